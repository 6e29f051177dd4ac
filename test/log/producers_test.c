#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "log/producers.h"

#define SEQUENCE_ERROR KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER
#define DUPLICATE KAFKA_DUPLICATE_SEQUENCE_NUMBER

struct fixture {
    struct producers producers;
    int64_t next_offset;
    struct producer_batch original;
    struct completed_txn completed;
    bool ended;
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    producers_close(&fixture->producers);
    free(fixture);
    return 0;
}

static struct batch data_batch(struct fixture *fixture, int64_t id, int16_t epoch, int32_t sequence,
                               int32_t records)
{
    return (struct batch){.magic = 2,
                          .size = 100,
                          .base_offset = fixture->next_offset,
                          .last_offset_delta = records - 1,
                          .max_timestamp = 1000 + fixture->next_offset,
                          .producer_id = id,
                          .producer_epoch = epoch,
                          .base_sequence = sequence,
                          .record_count = records};
}

static int offer(struct fixture *fixture, struct batch batch, const struct txn_marker *marker,
                 enum producer_origin origin, int16_t version)
{
    int err =
        producers_check(&fixture->producers, &batch, marker, origin, version, &fixture->original);
    if (err)
        return err;
    assert_int_equal(producers_reserve(&fixture->producers, 1), 0);
    fixture->ended = producers_update(&fixture->producers, &batch, marker, &fixture->completed);
    fixture->next_offset = batch_last_offset(&batch) + 1;
    return 0;
}

static int append(struct fixture *fixture, int64_t id, int16_t epoch, int32_t sequence,
                  int32_t records)
{
    return offer(fixture, data_batch(fixture, id, epoch, sequence, records), NULL, PRODUCER_CLIENT,
                 0);
}

static int append_txn(struct fixture *fixture, int64_t id, int16_t epoch, int32_t sequence)
{
    struct batch batch = data_batch(fixture, id, epoch, sequence, 1);
    batch.attributes = BATCH_TRANSACTIONAL;
    return offer(fixture, batch, NULL, PRODUCER_CLIENT, 0);
}

static int end_txn(struct fixture *fixture, int64_t id, int16_t epoch, bool commit,
                   int32_t coordinator_epoch, int16_t version)
{
    struct batch batch = data_batch(fixture, id, epoch, NO_SEQUENCE, 1);
    struct txn_marker marker = {true, commit, coordinator_epoch, 5000};
    batch.attributes = BATCH_TRANSACTIONAL | BATCH_CONTROL;
    return offer(fixture, batch, &marker, PRODUCER_COORDINATOR, version);
}

static void sequences_must_go_on(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append(f, 7, 0, 0, 3), 0);
    assert_int_equal(append(f, 7, 0, 3, 1), 0);
    assert_int_equal(append(f, 7, 0, 5, 1), SEQUENCE_ERROR);
    assert_int_equal(append(f, 7, 0, 2, 1), SEQUENCE_ERROR);
    /* It begins with the last one's sequence and goes beyond it: neither a repeat nor the next. */
    assert_int_equal(append(f, 7, 0, 3, 2), SEQUENCE_ERROR);
    assert_int_equal(append(f, 7, 0, 4, 1), 0);
}

static void an_unknown_producer_may_begin_anywhere(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append(f, 7, 3, 1234, 2), 0);
    assert_int_equal(append(f, 7, 3, 1236, 2), 0);
}

static void a_negative_epoch_is_not_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append(f, 7, -5, 0, 1), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(append(f, 7, -1, 0, 1), 0);
}

static void the_last_five_batches_are_recognised(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 7; i++)
        assert_int_equal(append(f, 7, 0, i * 2, 2), 0);
    for (int i = 2; i < 7; i++) {
        assert_int_equal(append(f, 7, 0, i * 2, 2), DUPLICATE);
        assert_int_equal(f->original.last_offset, i * 2 + 1);
        assert_int_equal(f->original.offset_delta, 1);
        assert_int_equal(f->original.timestamp, 1000 + i * 2);
    }
    assert_int_equal(append(f, 7, 0, 2, 2), SEQUENCE_ERROR);
    /* The range must be the same, not only its start. */
    assert_int_equal(append(f, 7, 0, 12, 1), SEQUENCE_ERROR);
}

static void sequences_wrap_to_zero(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append(f, 7, 0, INT32_MAX - 1, 2), 0);
    assert_int_equal(append(f, 7, 0, 1, 1), SEQUENCE_ERROR);
    assert_int_equal(append(f, 7, 0, 0, 1), 0);

    assert_int_equal(append(f, 8, 0, INT32_MAX, 3), 0);
    assert_int_equal(producer_last_sequence(producers_find(&f->producers, 8)), 1);
    assert_int_equal(append(f, 8, 0, INT32_MAX, 3), DUPLICATE);
    assert_int_equal(append(f, 8, 0, 2, 1), 0);
}

static void a_new_epoch_begins_at_zero_and_fences_the_old(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append(f, 7, 1, 0, 1), 0);
    assert_int_equal(append(f, 7, 2, 1, 1), SEQUENCE_ERROR);
    assert_int_equal(append(f, 7, 2, 0, 1), 0);
    assert_int_equal(append(f, 7, 1, 1, 1), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(append(f, 7, 1, 0, 1), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(producers_find(&f->producers, 7)->batch_count, 1);
}

static void coordinators_are_not_asked_for_sequences(void **state)
{
    struct fixture *f = *state;
    struct batch batch = data_batch(f, 7, 1, NO_SEQUENCE, 1);
    assert_int_equal(offer(f, batch, NULL, PRODUCER_COORDINATOR, 0), 0);
    batch.base_offset = f->next_offset;
    assert_int_equal(offer(f, batch, NULL, PRODUCER_COORDINATOR, 0), 0);
    batch.producer_epoch = 0;
    assert_int_equal(offer(f, batch, NULL, PRODUCER_COORDINATOR, 0), KAFKA_INVALID_PRODUCER_EPOCH);
}

static void replication_is_believed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append(f, 7, 5, 0, 1), 0);
    struct batch batch = data_batch(f, 7, 3, 77, 1);
    assert_int_equal(offer(f, batch, NULL, PRODUCER_REPLICATION, 0), 0);
    assert_int_equal(producers_find(&f->producers, 7)->epoch, 3);
}

static void a_transaction_opens_with_its_first_batch_and_ends_with_its_marker(void **state)
{
    struct fixture *f = *state;
    assert_true(producers_first_unstable(&f->producers) == INT64_MAX);
    f->next_offset = 10;
    assert_int_equal(append_txn(f, 7, 0, 0), 0);
    assert_int_equal(append_txn(f, 7, 0, 1), 0);
    assert_int_equal(append_txn(f, 8, 0, 0), 0);
    assert_int_equal(producers_first_unstable(&f->producers), 10);
    assert_int_equal(end_txn(f, 7, 0, false, 3, 0), 0);
    assert_true(f->ended);
    assert_true(f->completed.aborted);
    assert_int_equal(f->completed.first_offset, 10);
    assert_int_equal(f->completed.last_offset, 13);
    assert_int_equal(f->completed.last_stable_offset, 12);
    /* Decided, but consumers must not pass it before the high watermark has. */
    assert_int_equal(producers_first_unstable(&f->producers), 10);
    assert_false(producers_release(&f->producers, 13));
    assert_true(producers_release(&f->producers, 14));
    assert_int_equal(producers_first_unstable(&f->producers), 12);
    assert_int_equal(end_txn(f, 8, 0, true, 3, 0), 0);
    assert_false(f->completed.aborted);
    assert_int_equal(f->completed.last_stable_offset, 15);
    assert_true(producers_release(&f->producers, 15));
    assert_true(producers_first_unstable(&f->producers) == INT64_MAX);
}

static void a_marker_without_a_transaction_ends_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(end_txn(f, 7, 4, true, 1, 0), 0);
    assert_false(f->ended);
    assert_int_equal(producers_find(&f->producers, 7)->epoch, 4);
    assert_int_equal(producer_last_sequence(producers_find(&f->producers, 7)), NO_SEQUENCE);
    assert_int_equal(append_txn(f, 7, 4, 1), SEQUENCE_ERROR);
    assert_int_equal(append_txn(f, 7, 4, 0), 0);
}

static void plain_batches_within_a_transaction_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append_txn(f, 7, 0, 0), 0);
    assert_int_equal(append(f, 7, 0, 1, 1), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(end_txn(f, 7, 0, true, 0, 0), 0);
    assert_int_equal(append(f, 7, 0, 1, 1), 0);
}

static void zombie_coordinators_and_producers_are_fenced(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append_txn(f, 7, 2, 0), 0);
    assert_int_equal(end_txn(f, 7, 1, true, 5, 0), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(end_txn(f, 7, 2, true, 5, 0), 0);
    assert_int_equal(append_txn(f, 7, 2, 1), 0);
    assert_int_equal(end_txn(f, 7, 2, true, 4, 0), KAFKA_TRANSACTION_COORDINATOR_FENCED);
    assert_int_equal(end_txn(f, 7, 2, true, 5, 0), 0);
}

static void since_version_2_a_marker_raises_the_epoch(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append_txn(f, 7, 2, 0), 0);
    assert_int_equal(end_txn(f, 7, 2, true, 0, 2), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(end_txn(f, 7, 3, true, 0, 2), 0);
    assert_true(f->ended);
    /* The same marker once more finds nothing open: harmless. */
    assert_int_equal(end_txn(f, 7, 3, true, 0, 2), 0);
    assert_false(f->ended);
    assert_int_equal(end_txn(f, 7, 2, true, 0, 2), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(append_txn(f, 7, 3, 0), 0);
}

static void silent_producers_expire_unless_a_transaction_is_open(void **state)
{
    struct fixture *f = *state;
    for (int64_t id = 1; id <= 100; id++)
        assert_int_equal(append(f, id, 0, 0, 1), 0);
    assert_int_equal(append_txn(f, 200, 0, 0), 0);
    /* Timestamps are 1000 … 1100. */
    assert_int_equal(producers_expire(&f->producers, 2049, 1000), 50);
    assert_null(producers_find(&f->producers, 50));
    for (int64_t id = 51; id <= 100; id++)
        assert_non_null(producers_find(&f->producers, id));
    assert_int_equal(producers_expire(&f->producers, 100000, 1000), 50);
    assert_non_null(producers_find(&f->producers, 200));
    assert_int_equal(f->producers.count, 1);
    assert_int_equal(append(f, 7, 0, 55, 1), 0);
}

static void many_producers_are_found_again(void **state)
{
    struct fixture *f = *state;
    for (int64_t id = 0; id < 5000; id++)
        assert_int_equal(append(f, id * 1000003, 0, 0, 1), 0);
    for (int64_t id = 0; id < 5000; id++) {
        const struct producer *producer = producers_find(&f->producers, id * 1000003);
        assert_non_null(producer);
        assert_int_equal(producer_last_offset(producer), id);
    }
    assert_null(producers_find(&f->producers, 17));
    assert_true(f->producers.capacity < 2 * 5000 + 1000);
}

static void snapshots_are_kafkas_bytes(void **state)
{
    struct fixture *f = *state;
    struct writer out = {0};
    producers_write(&f->producers, &out);
    const uint8_t empty[] = {0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0};
    assert_int_equal(out.size, sizeof empty);
    assert_memory_equal(out.data, empty, sizeof empty);
    out.size = 0;

    f->next_offset = 40;
    assert_int_equal(append_txn(f, 0x0102, 3, 0), 0);
    struct batch batch = data_batch(f, 0x0102, 3, 1, 5);
    batch.attributes = BATCH_TRANSACTIONAL;
    assert_int_equal(offer(f, batch, NULL, PRODUCER_CLIENT, 0), 0);
    producers_write(&f->producers, &out);
    const uint8_t entry[] = {
        0,    0,    0,    0,    0, 0, 1,    2,    /* producer id */
        0,    3,                                  /* epoch */
        0,    0,    0,    5,                      /* last sequence */
        0,    0,    0,    0,    0, 0, 0,    45,   /* last offset */
        0,    0,    0,    4,                      /* offset delta */
        0,    0,    0,    0,    0, 0, 0x04, 0x11, /* timestamp 1041 */
        0xff, 0xff, 0xff, 0xff,                   /* coordinator epoch -1 */
        0,    0,    0,    0,    0, 0, 0,    40,   /* first offset of the open transaction */
    };
    assert_int_equal(out.size, 10 + sizeof entry);
    assert_memory_equal(out.data + 10, entry, sizeof entry);
    writer_close(&out);
}

static void snapshots_bring_the_state_back(void **state)
{
    struct fixture *f = *state;
    for (int64_t id = 1; id <= 50; id++) {
        assert_int_equal(append(f, id, 1, 0, 2), 0);
        assert_int_equal(append(f, id, 1, 2, 3), 0);
    }
    assert_int_equal(append_txn(f, 60, 0, 0), 0);
    struct writer out = {0};
    producers_write(&f->producers, &out);
    struct producers read = {0};
    struct bytes data = {out.data, (int32_t)out.size};
    assert_int_equal(producers_read(&read, data, 0, INT64_MAX), 0);
    assert_int_equal(read.count, 51);
    assert_int_equal(producers_first_unstable(&read), 250);
    for (int64_t id = 1; id <= 50; id++) {
        assert_int_equal(producer_last_sequence(producers_find(&read, id)), 4);
        assert_int_equal(producer_last_offset(producers_find(&read, id)), id * 5 - 1);
    }
    producers_close(&read);

    assert_int_equal(producers_read(&read, data, 1000 + 100000, 100000), 0);
    assert_int_equal(read.count, 51); /* none is that old */
    producers_close(&read);
    assert_int_equal(producers_read(&read, data, 1000000, 1000), 0);
    assert_int_equal(read.count, 1); /* the open transaction's */
    producers_close(&read);

    /* Every flipped bit is seen. */
    for (size_t i = 0; i < out.size; i++) {
        out.data[i] ^= 1;
        assert_int_equal(producers_read(&read, data, 0, INT64_MAX), -EBADMSG);
        out.data[i] ^= 1;
    }
    for (int32_t size = 0; size < data.size; size++)
        assert_int_equal(producers_read(&read, (struct bytes){data.data, size}, 0, INT64_MAX),
                         -EBADMSG);
    producers_close(&read);
    writer_close(&out);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(sequences_must_go_on),
        TEST(an_unknown_producer_may_begin_anywhere),
        TEST(a_negative_epoch_is_not_one),
        TEST(the_last_five_batches_are_recognised),
        TEST(sequences_wrap_to_zero),
        TEST(a_new_epoch_begins_at_zero_and_fences_the_old),
        TEST(coordinators_are_not_asked_for_sequences),
        TEST(replication_is_believed),
        TEST(a_transaction_opens_with_its_first_batch_and_ends_with_its_marker),
        TEST(a_marker_without_a_transaction_ends_nothing),
        TEST(plain_batches_within_a_transaction_are_refused),
        TEST(zombie_coordinators_and_producers_are_fenced),
        TEST(since_version_2_a_marker_raises_the_epoch),
        TEST(silent_producers_expire_unless_a_transaction_is_open),
        TEST(many_producers_are_found_again),
        TEST(snapshots_are_kafkas_bytes),
        TEST(snapshots_bring_the_state_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
