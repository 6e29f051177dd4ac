#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "record/batch.h"

#define TEXT(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})
#define NULL_BYTES ((struct bytes){NULL, 0})

static void assert_bytes(struct bytes got, struct bytes want)
{
    assert_int_equal(got.size, want.size);
    assert_int_equal(got.data == NULL, want.data == NULL);
    if (want.size)
        assert_memory_equal(got.data, want.data, (size_t)want.size);
}

/* Three records at offsets 100, 101, 105. */
static void build_three(struct batch_builder *builder)
{
    batch_builder_init(builder, 100);
    builder->producer_id = 77;
    builder->producer_epoch = 3;
    builder->base_sequence = INT32_MAX - 1;
    builder->leader_epoch = 9;
    const struct record_header headers[] = {{STR("h"), TEXT("1")}, {STR("empty"), NULL_BYTES}};
    batch_builder_add(builder, 5000, TEXT("k"), TEXT("value"), headers, 2);
    batch_builder_add(builder, 4000, NULL_BYTES, TEXT(""), NULL, 0);
    batch_builder_add_at(builder, 5, 6000, TEXT(""), NULL_BYTES, NULL, 0);
    assert_int_equal(batch_builder_finish(builder), 0);
}

static void a_built_batch_reads_back(void **state)
{
    (void)state;
    struct batch_builder builder;
    build_three(&builder);
    struct batch batch;
    assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
    assert_int_equal(batch.size, builder.out.size);
    assert_int_equal(batch.base_offset, 100);
    assert_int_equal(batch_last_offset(&batch), 105);
    assert_int_equal(batch.leader_epoch, 9);
    assert_int_equal(batch.base_timestamp, 5000);
    assert_int_equal(batch.max_timestamp, 6000);
    assert_int_equal(batch.producer_id, 77);
    assert_int_equal(batch.producer_epoch, 3);
    assert_int_equal(batch.record_count, 3);
    assert_int_equal(batch_last_sequence(&batch), 3);
    assert_true(batch_checksum_ok(&batch));

    struct arena arena;
    arena_init(&arena, 0);
    struct record_reader reader;
    struct record record;
    assert_int_equal(record_reader_init(&reader, &batch, 0), 0);
    assert_int_equal(record_reader_next(&reader, &arena, &record), 0);
    assert_int_equal(record.offset, 100);
    assert_int_equal(record.timestamp, 5000);
    assert_int_equal(record.sequence, INT32_MAX - 1);
    assert_bytes(record.key, TEXT("k"));
    assert_bytes(record.value, TEXT("value"));
    assert_int_equal(record.header_count, 2);
    assert_true(str_equal(record.headers[1].key, STR("empty")));
    assert_bytes(record.headers[0].value, TEXT("1"));
    assert_bytes(record.headers[1].value, NULL_BYTES);
    assert_int_equal(record_reader_next(&reader, &arena, &record), 0);
    assert_int_equal(record.offset, 101);
    assert_int_equal(record.timestamp, 4000);
    assert_int_equal(record.sequence, INT32_MAX);
    assert_bytes(record.key, NULL_BYTES);
    assert_bytes(record.value, TEXT(""));
    assert_int_equal(record_reader_next(&reader, NULL, &record), 0);
    assert_int_equal(record.offset, 105);
    assert_int_equal(record.sequence, 3);
    assert_bytes(record.value, NULL_BYTES);
    assert_int_equal(record_reader_next(&reader, &arena, &record), -ENODATA);
    record_reader_close(&reader);
    arena_close(&arena);
    batch_builder_close(&builder);
}

static void the_bytes_are_those_of_the_protocol_guide(void **state)
{
    (void)state;
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    batch_builder_add(&builder, 0, NULL_BYTES, TEXT("a"), NULL, 0);
    assert_int_equal(batch_builder_finish(&builder), 0);
    const uint8_t want[] = {
        0,    0,    0,    0,    0,    0,    0,    0,          /* base offset */
        0,    0,    0,    57,                                 /* length */
        0xff, 0xff, 0xff, 0xff,                               /* leader epoch */
        2,                                                    /* magic */
        0,    0,    0,    0,                                  /* checksum, tested below */
        0,    0,    0,    0,    0,    0,                      /* attributes, delta */
        0,    0,    0,    0,    0,    0,    0,    0,          /* base timestamp */
        0,    0,    0,    0,    0,    0,    0,    0,          /* max timestamp */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,       /* producer id */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,    0,    0, 1, /* epoch, sequence, count */
        14,   0,    0,    0,    1,    2,    'a',  0,
    };
    assert_int_equal(builder.out.size, sizeof want);
    assert_memory_equal(builder.out.data, want, 17);
    assert_memory_equal(builder.out.data + 21, want + 21, sizeof want - 21);
    batch_builder_close(&builder);
}

static void a_torn_batch_asks_for_more(void **state)
{
    (void)state;
    struct batch_builder builder;
    build_three(&builder);
    struct batch batch = {.size = -7};
    for (size_t size = 0; size < builder.out.size; size++) {
        assert_int_equal(batch_read(builder.out.data, size, &batch), -EAGAIN);
        assert_int_equal(batch.size, size < 12 ? 0 : (int)builder.out.size);
    }
    assert_int_equal(batch_read_header(builder.out.data, BATCH_HEADER_SIZE - 1, &batch), -EAGAIN);
    assert_int_equal(batch_read_header(builder.out.data, BATCH_HEADER_SIZE, &batch), 0);
    batch_builder_close(&builder);
}

static void impossible_lengths_and_magics_are_bad(void **state)
{
    (void)state;
    struct batch_builder builder;
    build_three(&builder);
    struct batch batch;
    const int32_t lengths[] = {-1, 0, 13, 48, INT32_MIN, INT32_MAX, INT32_MAX - 12};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        store_be32(builder.out.data + 8, (uint32_t)lengths[i]);
        assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), -EBADMSG);
    }
    store_be32(builder.out.data + 8, (uint32_t)builder.out.size - BATCH_OVERHEAD);
    const uint8_t magics[] = {3, 0x80, 0xff};
    for (size_t i = 0; i < sizeof magics; i++) {
        builder.out.data[16] = magics[i];
        assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), -EBADMSG);
    }
    batch_builder_close(&builder);
}

static void every_flipped_bit_under_the_checksum_shows(void **state)
{
    (void)state;
    struct batch_builder builder;
    build_three(&builder);
    struct batch batch;
    for (size_t bit = 17 * 8; bit < builder.out.size * 8; bit++) {
        builder.out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
        assert_false(batch_checksum_ok(&batch));
        builder.out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    batch_builder_close(&builder);
}

static int read_all(const uint8_t *data, size_t size, int *ret_count)
{
    struct batch batch;
    struct record_reader reader;
    struct record record;
    int err = batch_read(data, size, &batch);
    if (err < 0)
        return err;
    *ret_count = 0;
    err = record_reader_init(&reader, &batch, 1 << 20);
    while (err == 0 && (err = record_reader_next(&reader, NULL, &record)) == 0)
        ++*ret_count;
    record_reader_close(&reader);
    return err;
}

static void a_wrong_count_is_bad(void **state)
{
    (void)state;
    struct batch_builder builder;
    build_three(&builder);
    int count;
    assert_int_equal(read_all(builder.out.data, builder.out.size, &count), -ENODATA);
    const int32_t counts[] = {0, 2, 4, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        store_be32(builder.out.data + 57, (uint32_t)counts[i]);
        assert_int_equal(read_all(builder.out.data, builder.out.size, &count), -EBADMSG);
    }
    batch_builder_close(&builder);
}

/* Any mutation of the records gives an error or records, never a read outside (the sanitizer
 * watches: the batch is copied to memory of its exact size). */
static void mutated_records_never_read_outside(void **state)
{
    (void)state;
    struct batch_builder builder;
    build_three(&builder);
    size_t size = builder.out.size;
    for (size_t at = BATCH_HEADER_SIZE; at < size; at++) {
        for (int value = 0; value < 256; value++) {
            uint8_t *copy = malloc(size);
            memcpy(copy, builder.out.data, size);
            copy[at] = (uint8_t)value;
            int count;
            int err = read_all(copy, size, &count);
            assert_true(err == -ENODATA || err == -EBADMSG);
            free(copy);
        }
    }
    batch_builder_close(&builder);
}

static void log_append_time_covers_all_records(void **state)
{
    (void)state;
    struct batch_builder builder;
    build_three(&builder);
    struct batch batch;
    assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
    batch_set_max_timestamp(&batch, builder.out.data, true, 123456);
    batch_set_position(&batch, builder.out.data, 7, 8);
    assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
    assert_true(batch_checksum_ok(&batch));
    assert_int_equal(batch.leader_epoch, 8);
    struct record_reader reader;
    struct record record;
    assert_int_equal(record_reader_init(&reader, &batch, 0), 0);
    for (int64_t i = 0; i < 3; i++) {
        assert_int_equal(record_reader_next(&reader, NULL, &record), 0);
        assert_int_equal(record.timestamp, 123456);
        assert_int_equal(record.offset, 7 + (i == 2 ? 5 : i));
    }
    record_reader_close(&reader);
    batch_builder_close(&builder);
}

static void an_empty_batch_keeps_its_range(void **state)
{
    (void)state;
    struct batch_builder builder;
    batch_builder_init(&builder, 40);
    builder.last_offset_delta = 9;
    assert_int_equal(batch_builder_finish(&builder), 0);
    int count;
    struct batch batch;
    assert_int_equal(builder.out.size, BATCH_HEADER_SIZE);
    assert_int_equal(read_all(builder.out.data, builder.out.size, &count), -ENODATA);
    assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
    assert_int_equal(batch_last_offset(&batch), 49);
    batch_builder_close(&builder);
}

static void a_delete_horizon_is_the_base_of_timestamps(void **state)
{
    (void)state;
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.attributes = BATCH_DELETE_HORIZON;
    builder.base_timestamp = 99999;
    batch_builder_add(&builder, 12, TEXT("k"), NULL_BYTES, NULL, 0);
    assert_int_equal(batch_builder_finish(&builder), 0);
    struct batch batch;
    struct record_reader reader;
    struct record record;
    assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
    assert_int_equal(batch.base_timestamp, 99999);
    assert_int_equal(batch.max_timestamp, 12);
    assert_int_equal(record_reader_init(&reader, &batch, 0), 0);
    assert_int_equal(record_reader_next(&reader, NULL, &record), 0);
    assert_int_equal(record.timestamp, 12);
    record_reader_close(&reader);
    batch_builder_close(&builder);
}

static void headers_stay_within_the_arena(void **state)
{
    (void)state;
    struct batch_builder builder;
    struct record_header headers[100];
    for (size_t i = 0; i < 100; i++)
        headers[i] = (struct record_header){STR(""), NULL_BYTES};
    batch_builder_init(&builder, 0);
    batch_builder_add(&builder, 12, NULL_BYTES, NULL_BYTES, headers, 100);
    assert_int_equal(batch_builder_finish(&builder), 0);
    struct batch batch;
    struct record_reader reader;
    struct record record;
    struct arena arena;
    arena_init(&arena, 1000);
    assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
    assert_int_equal(record_reader_init(&reader, &batch, 0), 0);
    assert_int_equal(record_reader_next(&reader, &arena, &record), -ENOMEM);
    record_reader_close(&reader);
    arena_close(&arena);
    batch_builder_close(&builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_built_batch_reads_back),
        cmocka_unit_test(the_bytes_are_those_of_the_protocol_guide),
        cmocka_unit_test(a_torn_batch_asks_for_more),
        cmocka_unit_test(impossible_lengths_and_magics_are_bad),
        cmocka_unit_test(every_flipped_bit_under_the_checksum_shows),
        cmocka_unit_test(a_wrong_count_is_bad),
        cmocka_unit_test(mutated_records_never_read_outside),
        cmocka_unit_test(log_append_time_covers_all_records),
        cmocka_unit_test(an_empty_batch_keeps_its_range),
        cmocka_unit_test(a_delete_horizon_is_the_base_of_timestamps),
        cmocka_unit_test(headers_stay_within_the_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
