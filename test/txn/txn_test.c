/* The transaction coordinator over real logs: what it answers, what it has written to markers, and
 * what is left of it after a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../coord/coord_kit.h"
#include "../log/ram_disk.h"
#include "base/errors.h"
#include "metadata/fold.h"
#include "txn/txn.h"

#define ID fixture->id
#define TIMEOUT_MS 60000

enum { MARKERS_MAX = 1000, STORM_IDS = 3000 };

/* The server's part: ids from a counter; markers wait until the test has them written. */
struct fixture {
    struct kit kit;
    struct txn_host host;
    struct image_builder image;
    struct str id; /* whose requests are sent */
    int64_t next_producer_id, last_producer_id;
    struct txn_markers *markers[MARKERS_MAX];
    int marker_count;
};

static void write_markers(void *server, struct txn_markers *markers, struct wakes *wakes)
{
    struct fixture *fixture = server;
    (void)wakes;
    must(fixture->marker_count < MARKERS_MAX);
    fixture->markers[fixture->marker_count++] = markers;
}

static int take_producer_id(void *server, int64_t *ret_producer_id)
{
    struct fixture *fixture = server;
    if (fixture->next_producer_id == fixture->last_producer_id)
        return -EAGAIN;
    *ret_producer_id = fixture->next_producer_id++;
    return 0;
}

static void want_producer_ids(void *server, struct wakes *wakes)
{
    struct fixture *fixture = server;
    (void)wakes;
    fixture->last_producer_id += 10;
}

static int setup_version(void **state, int16_t version, int64_t flush_messages)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    *state = fixture;
    fixture->id = STR("copier");
    kit_init(&fixture->kit, flush_messages);
    image_builder_init(&fixture->image, NULL);
    const struct feature_level_record level = {.name = STR("transaction.version"),
                                               .feature_level = version};
    assert_true(
        image_apply(&fixture->image, metadata_record_find(METADATA_FEATURE_LEVEL_RECORD), &level));
    fixture->host = (struct txn_host){fixture, write_markers, take_producer_id, want_producer_ids};
    fixture->next_producer_id = 1000;
    fixture->last_producer_id = 1010;
    fixture->kit.fold = txn_fold;
    fixture->kit.fold_context = &fixture->host;
    fixture->kit.image = image_builder_peek(&fixture->image);
    fixture->kit.broker.transactional_id_expiration_ms = INT64_C(604800000);
    fixture->kit.broker.transaction_remove_expired_interval_ms = 3600000;
    kit_open(&fixture->kit, 5);
    return 0;
}

static int setup(void **state)
{
    return setup_version(state, 2, INT64_MAX);
}

/* Nothing is committed before it is synced, which the pool does. */
static int setup_held(void **state)
{
    return setup_version(state, 2, 1);
}

static int setup_plain(void **state)
{
    return setup_version(state, 0, INT64_MAX);
}

static void drop_markers(struct fixture *fixture)
{
    while (fixture->marker_count > 0)
        txn_markers_done(fixture->markers[--fixture->marker_count], -EIO);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    drop_markers(fixture);
    kit_close(&fixture->kit);
    image_builder_close(&fixture->image);
    free(fixture);
    return 0;
}

static void crash(struct fixture *fixture)
{
    drop_markers(fixture);
    kit_crash(&fixture->kit);
    fixture->marker_count = 0;
    kit_open(&fixture->kit, 6);
}

static void wakes_nobody(struct coord_op *op, struct wakes *wakes)
{
    (void)op;
    (void)wakes;
}

static int run_on(struct fixture *fixture, int32_t partition, struct coord_op *op)
{
    op->wake = wakes_nobody;
    op->shard = kit_shard(&fixture->kit, partition);
    for (int i = 0; i < 20; i++) {
        struct coord_turn turn;
        int error;
        kit_turn_of(&fixture->kit, 0, &turn);
        if (coord_op_run(op, &turn, &error))
            return error;
        kit_turn(&fixture->kit);
    }
    fail_msg("the op does not end");
    return 0;
}

static int run(struct fixture *fixture, struct coord_op *op)
{
    return run_on(fixture, coord_partition_for(fixture->kit.coord, ID), op);
}

struct producer {
    int64_t id;
    int16_t epoch;
};

static int init(struct fixture *fixture, struct producer *ret_producer)
{
    struct txn_init_op op = {
        .transactional_id = ID, .timeout_ms = TIMEOUT_MS, .expected_id = -1, .expected_epoch = -1};
    txn_init_op(&op);
    int err = run(fixture, &op.op);
    if (op.needs_id)
        return -EAGAIN;
    if (err == 0 && op.fences)
        return KAFKA_CONCURRENT_TRANSACTIONS;
    *ret_producer = (struct producer){op.producer_id, op.producer_epoch};
    return err;
}

static int add_as(struct fixture *fixture, int16_t client_version, struct producer producer,
                  struct txn_topic topic)
{
    struct txn_add_op op = {.transactional_id = ID,
                            .producer_id = producer.id,
                            .producer_epoch = producer.epoch,
                            .client_version = client_version,
                            .partitions = {&topic, 1}};
    txn_add_op(&op);
    return run(fixture, &op.op);
}

static int add(struct fixture *fixture, struct producer producer, const char *name,
               int32_t partition)
{
    return add_as(fixture, 2, producer, (struct txn_topic){str_of(name), &partition, 1});
}

static int end(struct fixture *fixture, struct producer *producer, bool commit)
{
    struct txn_end_op op = {.transactional_id = ID,
                            .producer_id = producer->id,
                            .producer_epoch = producer->epoch,
                            .client_version = 2,
                            .commit = commit};
    txn_end_op(&op);
    int err = run(fixture, &op.op);
    if (err == 0)
        *producer = (struct producer){op.next_producer_id, op.next_producer_epoch};
    return err;
}

static const char *state_now(struct fixture *fixture)
{
    struct arena arena;
    struct describe_transactions_response_transaction_state described;
    struct txn_describe_op op = {.transactional_id = ID, .arena = &arena, .ret = &described};
    arena_init(&arena, 1 << 20);
    describe_transactions_response_transaction_state_init(&described);
    txn_describe_op(&op);
    int err = run(fixture, &op.op);
    arena_close(&arena);
    if (err != 0) {
        assert_int_equal(err, KAFKA_TRANSACTIONAL_ID_NOT_FOUND);
        return "none";
    }
    return described.transaction_state.data; /* a constant */
}

static struct txn_markers *one_marker_set(struct fixture *fixture)
{
    kit_turns(&fixture->kit, 3);
    assert_int_equal(fixture->marker_count, 1);
    fixture->marker_count = 0;
    return fixture->markers[0];
}

static void written(struct fixture *fixture, struct txn_markers *markers)
{
    txn_markers_done(markers, 0);
    kit_turns(&fixture->kit, 5);
}

static void a_transaction_is_completed_when_its_markers_are_written(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer, next;
    assert_int_equal(init(fixture, &producer), 0);
    assert_int_equal(producer.id, 1000);
    assert_int_equal(producer.epoch, 0);
    assert_int_equal(add(fixture, producer, "b", 2), 0);
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    assert_string_equal(state_now(fixture), "Ongoing");
    next = producer;
    assert_int_equal(end(fixture, &next, true), 0);
    assert_int_equal(next.id, producer.id);
    assert_int_equal(next.epoch, 1);
    assert_string_equal(state_now(fixture), "PrepareCommit");
    struct txn_markers *markers = one_marker_set(fixture);
    assert_true(markers->commit);
    assert_int_equal(markers->producer_id, 1000);
    assert_int_equal(markers->producer_epoch, 1);
    assert_int_equal(markers->coordinator_epoch, 5);
    assert_int_equal(markers->transaction_version, 2);
    assert_int_equal(markers->partitions.count, 2);
    assert_true(str_equal(markers->partitions.topics[0].name, STR("a")));
    assert_int_equal(markers->partitions.topics[1].partitions[0], 2);
    assert_int_equal(add(fixture, next, "a", 1), KAFKA_CONCURRENT_TRANSACTIONS);
    written(fixture, markers);
    assert_string_equal(state_now(fixture), "CompleteCommit");
    assert_int_equal(add(fixture, next, "a", 1), 0);
}

static void markers_wait_until_the_end_is_committed(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    struct coord_turn turn;
    int error = -1;
    assert_int_equal(init(fixture, &producer), 0);
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    struct txn_end_op op = {.transactional_id = ID,
                            .producer_id = producer.id,
                            .producer_epoch = producer.epoch,
                            .client_version = 2,
                            .commit = true};
    txn_end_op(&op);
    op.op.wake = wakes_nobody;
    op.op.shard = kit_shard(&fixture->kit, coord_partition_for(fixture->kit.coord, ID));
    fixture->kit.jobs_held = true;
    for (int i = 0; i < 5; i++) {
        kit_turn_of(&fixture->kit, 0, &turn);
        assert_false(coord_op_run(&op.op, &turn, &error));
        kit_turn(&fixture->kit);
    }
    assert_int_equal(fixture->marker_count, 0);
    fixture->kit.jobs_held = false;
    kit_turns(&fixture->kit, 3);
    kit_turn_of(&fixture->kit, 0, &turn);
    assert_true(coord_op_run(&op.op, &turn, &error));
    assert_int_equal(error, 0);
    written(fixture, one_marker_set(fixture));
    assert_string_equal(state_now(fixture), "CompleteCommit");
}

static void after_a_crash_markers_are_written_again(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    assert_int_equal(init(fixture, &producer), 0);
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    assert_int_equal(end(fixture, &producer, false), 0);
    kit_turns(&fixture->kit, 3);
    assert_int_equal(fixture->marker_count, 1);
    crash(fixture);
    assert_string_equal(state_now(fixture), "PrepareAbort");
    struct txn_markers *markers = one_marker_set(fixture);
    assert_false(markers->commit);
    assert_int_equal(markers->coordinator_epoch, 6);
    assert_int_equal(markers->producer_epoch, 1);
    written(fixture, markers);
    assert_string_equal(state_now(fixture), "CompleteAbort");
    crash(fixture);
    assert_string_equal(state_now(fixture), "CompleteAbort");
    assert_int_equal(fixture->marker_count, 0);
}

static void markers_that_could_not_be_written_are_tried_again(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    assert_int_equal(init(fixture, &producer), 0);
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    assert_int_equal(end(fixture, &producer, true), 0);
    txn_markers_done(one_marker_set(fixture), KAFKA_NOT_LEADER_OR_FOLLOWER);
    kit_turns(&fixture->kit, 5);
    assert_string_equal(state_now(fixture), "PrepareCommit");
    assert_int_equal(fixture->marker_count, 0);
    fixture->kit.now_ns += INT64_C(200000000);
    struct txn_markers *markers = one_marker_set(fixture);
    assert_true(markers->commit);
    written(fixture, markers);
    assert_string_equal(state_now(fixture), "CompleteCommit");
}

/* It alone: markers that are written are not repeated for as long as the disk is full. */
static void a_full_disk_under_the_last_record_is_retried(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    assert_int_equal(init(fixture, &producer), 0);
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    assert_int_equal(end(fixture, &producer, true), 0);
    struct txn_markers *markers = one_marker_set(fixture);
    ram_disk_fail_writes(fixture->kit.disk, -1, -ENOSPC);
    written(fixture, markers);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(state_now(fixture), "PrepareCommit");
        assert_int_equal(fixture->marker_count, 0);
        fixture->kit.now_ns += INT64_C(200000000);
        kit_turns(&fixture->kit, 5);
    }
    ram_disk_fail_writes(fixture->kit.disk, 0, 0);
    fixture->kit.now_ns += INT64_C(200000000);
    kit_turns(&fixture->kit, 5);
    assert_string_equal(state_now(fixture), "CompleteCommit");
    assert_int_equal(fixture->marker_count, 0);
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    assert_int_equal(end(fixture, &producer, true), 0);
    written(fixture, one_marker_set(fixture));
    assert_string_equal(state_now(fixture), "CompleteCommit");
}

static void a_transaction_that_takes_too_long_is_aborted_and_fenced(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    assert_int_equal(init(fixture, &producer), 0);
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    fixture->kit.now_ns += INT64_C(1000000) * (TIMEOUT_MS - 10);
    kit_turns(&fixture->kit, 3);
    assert_int_equal(fixture->marker_count, 0);
    fixture->kit.now_ns += INT64_C(1000000) * 20;
    struct txn_markers *markers = one_marker_set(fixture);
    assert_false(markers->commit);
    assert_int_equal(markers->producer_epoch, 1);
    /* Its epoch is the one before the raised one, as that of a retried commit would be. */
    assert_int_equal(end(fixture, &producer, true), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(add(fixture, producer, "a", 1), KAFKA_CONCURRENT_TRANSACTIONS);
    written(fixture, markers);
    assert_string_equal(state_now(fixture), "CompleteAbort");
    assert_int_equal(add(fixture, producer, "a", 1), KAFKA_PRODUCER_FENCED);
    assert_int_equal(end(fixture, &producer, true), KAFKA_INVALID_TXN_STATE);
}

static void that_a_transaction_took_too_long_is_said_once_however_full_the_disk(void **state)
{
    struct fixture *fixture = *state;
    struct kit *kit = &fixture->kit;
    struct producer producer;
    int said = 0;
    assert_int_equal(init(fixture, &producer), 0);
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    ram_disk_fail_writes(kit->disk, -1, -ENOSPC);
    kit->now_ns += INT64_C(1000000) * (TIMEOUT_MS + 10);
    for (int i = 0; i < 5; i++) {
        kit_turns(kit, 3);
        kit->now_ns += INT64_C(1000000) * 100;
    }
    for (const char *at = kit->lines; (at = strstr(at, "took too long")); at++)
        said++;
    assert_int_equal(said, 1);
    assert_int_equal(fixture->marker_count, 0);
    ram_disk_fail_writes(kit->disk, 0, 0);
    written(fixture, one_marker_set(fixture));
    assert_string_equal(state_now(fixture), "CompleteAbort");
}

/* Of an older client's transaction the record of the end is larger than the one before it. */
static void a_transaction_with_as_much_as_a_record_holds_can_be_ended(void **state)
{
    enum { NAME_MAX_BYTES = 249 };
    struct fixture *fixture = *state;
    struct producer producer;
    char name[NAME_MAX_BYTES];
    int32_t partition = 0, topics = 0, size = NAME_MAX_BYTES;
    assert_int_equal(init(fixture, &producer), 0);
    memset(name, 'x', sizeof name);
    while (size > 4) { /* larger steps first: what is left holds no byte more */
        snprintf(name, sizeof name, "%03d", topics);
        name[3] = 'x';
        const struct txn_topic topic = {{name, size}, &partition, 1};
        int err = add_as(fixture, 0, producer, topic);
        if (err == 0) {
            topics++;
            continue;
        }
        assert_int_equal(err, KAFKA_RECORD_LIST_TOO_LARGE);
        size--;
    }
    assert_true(topics > 10);
    fixture->kit.now_ns += INT64_C(1000000) * (TIMEOUT_MS + 1);
    struct txn_markers *markers = one_marker_set(fixture);
    assert_int_equal(markers->partitions.count, topics);
    written(fixture, markers);
    assert_string_equal(state_now(fixture), "CompleteAbort");
}

static void a_new_incarnation_waits_until_the_old_transaction_is_aborted(void **state)
{
    struct fixture *fixture = *state;
    struct producer old, next;
    assert_int_equal(init(fixture, &old), 0);
    assert_int_equal(add(fixture, old, "a", 1), 0);
    assert_int_equal(init(fixture, &next), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(init(fixture, &next), KAFKA_CONCURRENT_TRANSACTIONS);
    written(fixture, one_marker_set(fixture));
    assert_int_equal(init(fixture, &next), 0);
    assert_int_equal(next.id, old.id);
    assert_int_equal(next.epoch, 2);
    assert_int_equal(add(fixture, old, "a", 1), KAFKA_PRODUCER_FENCED);
}

static void ids_are_asked_for_when_none_is_left(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    fixture->last_producer_id = fixture->next_producer_id;
    assert_int_equal(init(fixture, &producer), -EAGAIN);
    assert_string_equal(state_now(fixture), "none");
    want_producer_ids(fixture, NULL);
    assert_int_equal(init(fixture, &producer), 0);
}

static void ids_that_nobody_uses_are_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    fixture->kit.broker.transactional_id_expiration_ms = 1000;
    assert_int_equal(init(fixture, &producer), 0);
    assert_string_equal(state_now(fixture), "Empty");
    fixture->kit.now_ns += INT64_C(1000000) * 3600001;
    kit_turns(&fixture->kit, 3);
    assert_string_equal(state_now(fixture), "none");
    crash(fixture);
    assert_string_equal(state_now(fixture), "none");
}

/* On all partitions. */
static int32_t count_ids(struct fixture *fixture)
{
    struct list_transactions_request filters;
    struct arena arena;
    int32_t count = 0;
    list_transactions_request_init(&filters);
    arena_init(&arena, 0);
    for (int32_t p = 0; p < KIT_PARTITIONS; p++) {
        struct txn_list_op op = {.filters = &filters, .arena = &arena};
        txn_list_op(&op);
        assert_int_equal(run_on(fixture, p, &op.op), 0);
        count += op.count;
    }
    arena_close(&arena);
    return count;
}

static void write_all_markers(struct fixture *fixture)
{
    while (fixture->marker_count > 0)
        txn_markers_done(fixture->markers[--fixture->marker_count], 0);
    kit_turns(&fixture->kit, 20);
}

/* Ids by the thousands, with transactions that nobody ends: when their time is over nothing is left
 * of them, in the state and in what a load finds. */
static void a_storm_of_transactional_ids_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    char id[32];
    fixture->last_producer_id += STORM_IDS;
    fixture->kit.broker.transactional_id_expiration_ms = 1000000;
    for (int i = 0; i < STORM_IDS; i++) {
        snprintf(id, sizeof id, "storm-%d", i);
        fixture->id = (struct str){id, (int32_t)strlen(id)};
        assert_int_equal(init(fixture, &producer), 0);
        if (i % 5 == 1)
            assert_int_equal(add(fixture, producer, "a", i), 0);
        if (i % 5 == 2)
            assert_int_equal(init(fixture, &producer), 0);
        if (i % 5 == 3)
            assert_int_equal(end(fixture, &producer, true), KAFKA_INVALID_TXN_STATE);
    }
    assert_int_equal(count_ids(fixture), STORM_IDS);
    crash(fixture);
    assert_int_equal(count_ids(fixture), STORM_IDS);
    for (int i = 0; i < 20 && count_ids(fixture) > 0; i++) {
        fixture->kit.now_ns += INT64_C(1000000) * 3600001;
        kit_turns(&fixture->kit, 2000); /* a timer's op each */
        write_all_markers(fixture);
    }
    assert_int_equal(count_ids(fixture), 0);
    crash(fixture);
    assert_int_equal(count_ids(fixture), 0);
}

static void a_transaction_without_partitions_ends_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    assert_int_equal(init(fixture, &producer), 0);
    assert_int_equal(end(fixture, &producer, false), 0);
    assert_int_equal(producer.epoch, 1);
    struct txn_markers *markers = one_marker_set(fixture);
    assert_int_equal(markers->partitions.count, 0);
    written(fixture, markers);
    assert_string_equal(state_now(fixture), "CompleteAbort");
}

static void listing_filters_by_state_and_producer(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(init(fixture, &producer), 0);
    struct str states[] = {STR("Ongoing")};
    struct list_transactions_request filters;
    list_transactions_request_init(&filters);
    struct txn_list_op op = {.filters = &filters, .arena = &arena};
    txn_list_op(&op);
    assert_int_equal(run(fixture, &op.op), 0);
    assert_int_equal(op.count, 1);
    assert_true(str_equal(op.states[0].transactional_id, ID));
    assert_int_equal(op.states[0].producer_id, producer.id);
    filters.state_filters.items = states;
    filters.state_filters.count = 1;
    op = (struct txn_list_op){.filters = &filters, .arena = &arena};
    txn_list_op(&op);
    assert_int_equal(run(fixture, &op.op), 0);
    assert_int_equal(op.count, 0);
    arena_close(&arena);
}

/* Records of clusters that have not finalized transaction.version are of the old format. */
static void without_the_feature_a_restart_knows_what_the_old_format_holds(void **state)
{
    struct fixture *fixture = *state;
    struct producer producer;
    assert_int_equal(init(fixture, &producer), 0);
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    crash(fixture);
    assert_string_equal(state_now(fixture), "Ongoing");
    assert_int_equal(add(fixture, producer, "a", 1), 0);
    fixture->kit.now_ns += INT64_C(1000000) * (TIMEOUT_MS + 1);
    struct txn_markers *markers = one_marker_set(fixture);
    assert_int_equal(markers->producer_epoch, 1);
    assert_int_equal(markers->transaction_version, 0);
    written(fixture, markers);
    assert_string_equal(state_now(fixture), "CompleteAbort");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_transaction_is_completed_when_its_markers_are_written),
        TEST(after_a_crash_markers_are_written_again),
        TEST(markers_that_could_not_be_written_are_tried_again),
        TEST(a_full_disk_under_the_last_record_is_retried),
        TEST(a_transaction_that_takes_too_long_is_aborted_and_fenced),
        TEST(that_a_transaction_took_too_long_is_said_once_however_full_the_disk),
        TEST(a_transaction_with_as_much_as_a_record_holds_can_be_ended),
        TEST(a_new_incarnation_waits_until_the_old_transaction_is_aborted),
        TEST(ids_are_asked_for_when_none_is_left),
        TEST(ids_that_nobody_uses_are_forgotten),
        TEST(a_storm_of_transactional_ids_leaves_nothing),
        TEST(a_transaction_without_partitions_ends_at_once),
        TEST(listing_filters_by_state_and_producer),
        cmocka_unit_test_setup_teardown(markers_wait_until_the_end_is_committed, setup_held,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            without_the_feature_a_restart_knows_what_the_old_format_holds, setup_plain, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
