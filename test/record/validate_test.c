#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "record/validate.h"

#define TEXT(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})
#define NULL_BYTES ((struct bytes){NULL, 0})
#define NOW 1700000000000

struct fixture {
    struct batch_builder builder;
    struct validate_rules rules;
    struct arena arena;
    struct validated validated;
    struct validate_failure failure;
};

/* A fresh builder and the rules of a topic with default settings. */
static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    batch_builder_init(&f->builder, 0);
    arena_init(&f->arena, 0);
    f->rules = (struct validate_rules){
        .topic_partition = STR("orders-3"),
        .produce_version = 12,
        .max_message_bytes = 1048588,
        .now_ms = NOW,
        .before_max_ms = INT64_MAX,
        .after_max_ms = 3600000,
        .decompress_max_bytes = 1 << 20,
    };
}

static void add(struct fixture *f, int64_t timestamp, struct bytes key)
{
    batch_builder_add(&f->builder, timestamp, key, TEXT("some value"), NULL, 0);
}

static void three(struct fixture *f)
{
    add(f, NOW - 5, TEXT("a"));
    add(f, NOW, TEXT("b"));
    add(f, NOW - 3, TEXT("c"));
}

static void finish(struct fixture *f)
{
    assert_int_equal(batch_builder_finish(&f->builder), 0);
}

static void set_checksum(struct fixture *f)
{
    struct batch batch;
    assert_int_equal(batch_read(f->builder.out.data, f->builder.out.size, &batch), 0);
    store_be32(f->builder.out.data + 17, batch_checksum(&batch));
}

static int validate(struct fixture *f)
{
    return validate_records(&f->rules, f->builder.out.data, f->builder.out.size, &f->arena,
                            &f->validated, &f->failure);
}

static void end(struct fixture *f)
{
    validated_close(&f->validated);
    batch_builder_close(&f->builder);
    arena_close(&f->arena);
}

static void a_good_batch_passes_untouched(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    three(&f);
    finish(&f);
    uint8_t *copy = malloc(f.builder.out.size);
    memcpy(copy, f.builder.out.data, f.builder.out.size);
    assert_int_equal(validate(&f), 0);
    assert_ptr_equal(f.validated.data, f.builder.out.data);
    assert_int_equal(f.validated.size, f.builder.out.size);
    assert_memory_equal(copy, f.builder.out.data, f.builder.out.size);
    assert_int_equal(f.validated.batch_count, 1);
    assert_int_equal(f.validated.record_count, 3);
    assert_true(f.validated.max_timestamp == NOW);
    assert_int_equal(f.validated.log_append_time, -1);
    assert_ptr_equal(f.validated.batches[0].data, f.validated.data);
    free(copy);
    end(&f);
}

static void log_append_time_rewrites_the_header(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.rules.log_append_time = true;
    three(&f);
    finish(&f);
    assert_int_equal(validate(&f), 0);
    assert_true(f.validated.log_append_time == NOW);
    assert_true(f.validated.max_timestamp == NOW);
    struct batch batch;
    assert_int_equal(batch_read(f.validated.data, f.validated.size, &batch), 0);
    assert_int_equal(batch.attributes, BATCH_LOG_APPEND_TIME);
    assert_true(batch.max_timestamp == NOW);
    assert_true(batch_checksum_ok(&batch));
    end(&f);
}

static void a_lying_max_timestamp_is_set_right(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    three(&f);
    finish(&f);
    store_be64(f.builder.out.data + 35, NOW + 999999);
    set_checksum(&f);
    assert_int_equal(validate(&f), 0);
    struct batch batch;
    assert_int_equal(batch_read(f.validated.data, f.validated.size, &batch), 0);
    assert_true(batch.max_timestamp == NOW);
    assert_true(batch_checksum_ok(&batch));
    end(&f);
}

/* One change to the bytes of a good batch, and what becomes of it. */
struct change {
    size_t at;
    int bytes;
    uint64_t value;
    bool checksum; /* made right again */
    int want;
};

static void each_fault_has_its_code(void **state)
{
    (void)state;
    const struct change changes[] = {
        {8, 4, 13, false, KAFKA_CORRUPT_MESSAGE},           /* shorter than any record */
        {8, 4, (uint32_t)-1, false, KAFKA_CORRUPT_MESSAGE}, /* negative length */
        {8, 4, 48, false, KAFKA_CORRUPT_MESSAGE},           /* shorter than the header */
        {8, 4, 1000000, false, KAFKA_INVALID_RECORD},       /* torn: no batch at all */
        {16, 1, 0, false, KAFKA_INVALID_RECORD},
        {16, 1, 1, false, KAFKA_INVALID_RECORD},
        {16, 1, 3, false, KAFKA_CORRUPT_MESSAGE},
        {16, 1, 0xff, false, KAFKA_CORRUPT_MESSAGE},
        {0, 8, 1, true, KAFKA_INVALID_RECORD},  /* base offset */
        {0, 8, 1, false, KAFKA_INVALID_RECORD}, /* not under the checksum */
        {17, 4, 12345, false, KAFKA_CORRUPT_MESSAGE},
        {21, 2, 0x20, true, KAFKA_INVALID_RECORD}, /* control */
        {21, 2, 5, true, KAFKA_INVALID_RECORD},    /* no such codec */
        {21, 2, 8, true, 0}, /* append time: corrected, where timestamps are set */
        {23, 4, 1, true, KAFKA_INVALID_RECORD}, /* last offset delta */
        {23, 4, (uint32_t)-1, true, KAFKA_INVALID_RECORD},
        {27, 8, NOW + 3600001 + 5, true, KAFKA_INVALID_TIMESTAMP},
        {27, 8, NOW + 3600000 - 5, true, 0},
        {43, 8, 7, true, KAFKA_INVALID_RECORD}, /* a producer id without sequence */
        {53, 4, 7, true, 0},
        {57, 4, 2, true, KAFKA_INVALID_RECORD}, /* count */
        {57, 4, 0, true, KAFKA_INVALID_RECORD},
        {57, 4, (uint32_t)-3, true, KAFKA_INVALID_RECORD},
        {61, 1, 0x7e, true, KAFKA_INVALID_RECORD}, /* length of a record */
        {61, 1, 1, true, KAFKA_INVALID_RECORD},    /* negative */
        {65, 1, 0x7e, true, KAFKA_INVALID_RECORD}, /* length of a key */
        {62, 1, 0xff, true, 0},                    /* attributes of a record mean nothing */
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const struct change *change = &changes[i];
        struct fixture f;
        begin(&f);
        three(&f);
        finish(&f);
        for (int b = 0; b < change->bytes; b++)
            f.builder.out.data[change->at + (size_t)b] =
                (uint8_t)(change->value >> 8 * (change->bytes - 1 - b));
        if (change->checksum)
            set_checksum(&f);
        int err = validate(&f);
        if (err != change->want)
            print_message("change %zu: %d, not %d\n", i, err, change->want);
        assert_int_equal(err, change->want);
        if (err)
            assert_true(strlen(f.failure.message) > 0);
        end(&f);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    three(&f);
    finish(&f);
    for (size_t size = 0; size < f.builder.out.size; size++) {
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, f.builder.out.data, size);
        assert_int_equal(validate_records(&f.rules, copy, size, &f.arena, &f.validated, &f.failure),
                         KAFKA_INVALID_RECORD);
        free(copy);
    }
    end(&f);
}

static void a_second_batch_is_refused_and_a_torn_one_ignored(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    three(&f);
    finish(&f);
    size_t size = f.builder.out.size;
    uint8_t *twice = malloc(2 * size);
    memcpy(twice, f.builder.out.data, size);
    memcpy(twice + size, f.builder.out.data, size);
    assert_int_equal(
        validate_records(&f.rules, twice, 2 * size, &f.arena, &f.validated, &f.failure),
        KAFKA_INVALID_RECORD);
    assert_int_equal(
        validate_records(&f.rules, twice, 2 * size - 1, &f.arena, &f.validated, &f.failure), 0);
    assert_int_equal(f.validated.size, size);
    free(twice);
    end(&f);
}

static void a_batch_over_the_limit_is_too_large(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    three(&f);
    finish(&f);
    f.rules.max_message_bytes = (int32_t)f.builder.out.size;
    assert_int_equal(validate(&f), 0);
    f.rules.max_message_bytes--;
    assert_int_equal(validate(&f), KAFKA_MESSAGE_TOO_LARGE);
    end(&f);
}

static void keyless_records_of_a_compacted_topic_are_listed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.rules.compacted = true;
    for (int i = 0; i < 6; i++)
        add(&f, NOW, i % 2 ? NULL_BYTES : TEXT(""));
    finish(&f);
    assert_int_equal(validate(&f), KAFKA_INVALID_RECORD);
    assert_int_equal(f.failure.record_error_count, 3);
    assert_int_equal(f.failure.record_errors[0].batch_index, 1);
    assert_int_equal(f.failure.record_errors[2].batch_index, 5);
    assert_string_equal(f.failure.record_errors[1].message,
                        "Compacted topic cannot accept message without key in topic partition "
                        "orders-3");
    f.rules.compacted = false;
    assert_int_equal(validate(&f), 0);
    end(&f);
}

static void the_list_of_refused_records_has_a_limit(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.rules.compacted = true;
    for (int i = 0; i < VALIDATE_RECORD_ERRORS_MAX + 7; i++)
        add(&f, NOW, NULL_BYTES);
    finish(&f);
    assert_int_equal(validate(&f), KAFKA_INVALID_RECORD);
    assert_int_equal(f.failure.record_error_count, VALIDATE_RECORD_ERRORS_MAX);
    assert_non_null(strstr(f.failure.message, "due to 1007 record errors in total"));
    end(&f);
}

static void timestamps_out_of_range_are_told_with_their_bounds(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.rules.before_max_ms = 1000;
    f.rules.after_max_ms = 2000;
    add(&f, NOW - 1000, TEXT("k"));
    add(&f, NOW - 1001, TEXT("k"));
    add(&f, NOW + 2000, TEXT("k"));
    add(&f, NOW + 2001, TEXT("k"));
    add(&f, NO_TIMESTAMP, TEXT("k"));
    finish(&f);
    assert_int_equal(validate(&f), KAFKA_INVALID_TIMESTAMP);
    assert_int_equal(f.failure.record_error_count, 2);
    assert_int_equal(f.failure.record_errors[0].batch_index, 1);
    assert_int_equal(f.failure.record_errors[1].batch_index, 3);
    assert_string_equal(f.failure.record_errors[0].message,
                        "Timestamp 1699999998999 of message with offset 1 is out of range. The "
                        "timestamp should be within [1699999999000, 1700000002000]");
    end(&f);
}

static void the_brokers_own_control_records_pass(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.builder.base_offset = 1234;
    f.builder.attributes = BATCH_CONTROL | BATCH_TRANSACTIONAL;
    f.builder.producer_id = 9;
    add(&f, NOW, TEXT("k"));
    finish(&f);
    assert_int_equal(validate(&f), KAFKA_INVALID_RECORD);
    f.rules.control_allowed = true;
    assert_int_equal(validate(&f), 0);
    end(&f);
}

static void an_uncompressed_batch_may_have_any_offsets(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    three(&f);
    finish(&f);
    f.builder.out.data[64] = 9; /* offset delta of the first record: -5 */
    set_checksum(&f);
    assert_int_equal(validate(&f), 0);
    end(&f);
}

static void a_full_arena_is_no_crash(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.rules.compacted = true;
    for (int i = 0; i < 100; i++)
        add(&f, NOW, NULL_BYTES);
    finish(&f);
    for (size_t limit = 1; limit < 4096; limit += 16) {
        arena_reset(&f.arena, limit);
        assert_int_equal(validate(&f),
                         limit < sizeof(struct batch) ? -ENOMEM : KAFKA_INVALID_RECORD);
    }
    end(&f);
}

static const enum compression packed[] = {COMPRESSION_GZIP, COMPRESSION_SNAPPY, COMPRESSION_LZ4,
                                          COMPRESSION_ZSTD};

static void compressed_batches_are_read_and_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        begin(&f);
        f.builder.compression = packed[i];
        three(&f);
        finish(&f);
        assert_int_equal(validate(&f), 0);
        assert_false(f.validated.owned);
        assert_ptr_equal(f.validated.data, f.builder.out.data);
        f.rules.compacted = true;
        assert_int_equal(validate(&f), 0);
        f.rules.decompress_max_bytes = 10;
        assert_int_equal(validate(&f), KAFKA_INVALID_RECORD);
        end(&f);
    }
}

/* A compressed batch of three whose plain bytes are changed at one place. */
static int validate_changed(enum compression codec, size_t at, uint8_t value)
{
    struct fixture f;
    begin(&f);
    three(&f);
    finish(&f);
    struct writer copy = {0};
    write_bytes(&copy, f.builder.out.data, BATCH_HEADER_SIZE);
    f.builder.out.data[at] = value;
    assert_int_equal(compress_bytes(codec, COMPRESSION_LEVEL_DEFAULT, 2,
                                    f.builder.out.data + BATCH_HEADER_SIZE,
                                    f.builder.out.size - BATCH_HEADER_SIZE, &copy),
                     0);
    copy.data[22] = (uint8_t)codec;
    store_be32(copy.data + 8, (uint32_t)copy.size - BATCH_OVERHEAD);
    writer_close(&f.builder.out);
    f.builder.out = copy;
    set_checksum(&f);
    int err = validate(&f);
    end(&f);
    return err;
}

static void compressed_batches_that_lie_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(validate_changed(packed[i], 62, 9), 0);                    /* attributes */
        assert_int_equal(validate_changed(packed[i], 64, 9), KAFKA_INVALID_RECORD); /* offset */
        assert_int_equal(validate_changed(packed[i], 61, 40), KAFKA_INVALID_RECORD); /* length */
        assert_int_equal(validate_changed(packed[i], 65, 20), KAFKA_INVALID_RECORD); /* key size */
    }
}

static void a_corrupt_stream_with_a_good_checksum_is_an_invalid_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        begin(&f);
        f.builder.compression = packed[i];
        three(&f);
        finish(&f);
        memset(f.builder.out.data + BATCH_HEADER_SIZE + 4, 0xee, 20);
        set_checksum(&f);
        assert_int_equal(validate(&f), KAFKA_INVALID_RECORD);
        end(&f);
    }
}

static void recompression_keeps_records_and_producer(void **state)
{
    (void)state;
    for (int from = COMPRESSION_NONE; from <= COMPRESSION_ZSTD; from++) {
        for (int to = COMPRESSION_NONE; to <= COMPRESSION_ZSTD; to++) {
            struct fixture f;
            begin(&f);
            f.builder.compression = (enum compression)from;
            f.builder.attributes = BATCH_TRANSACTIONAL;
            f.builder.producer_id = 4;
            f.builder.producer_epoch = 2;
            f.builder.base_sequence = 11;
            three(&f);
            finish(&f);
            f.rules.recompress = true;
            f.rules.target = (enum compression)to;
            f.rules.target_level = COMPRESSION_LEVEL_DEFAULT;
            assert_int_equal(validate_is_heavy(&f.rules, f.builder.out.data, f.builder.out.size),
                             from != to);
            assert_int_equal(validate(&f), 0);
            assert_int_equal(f.validated.owned, from != to);
            struct batch batch;
            struct record_reader reader;
            struct record record;
            assert_int_equal(batch_read(f.validated.data, f.validated.size, &batch), 0);
            assert_true(batch_checksum_ok(&batch));
            assert_int_equal(batch_compression(&batch), to);
            assert_true(batch_is_transactional(&batch));
            assert_int_equal(batch.producer_id, 4);
            assert_int_equal(batch.producer_epoch, 2);
            assert_int_equal(batch.base_sequence, 11);
            assert_int_equal(batch_last_offset(&batch), 2);
            assert_true(batch.max_timestamp == NOW);
            assert_int_equal(record_reader_init(&reader, &batch, 1000), 0);
            for (int r = 0; r < 3; r++) {
                assert_int_equal(record_reader_next(&reader, NULL, &record), 0);
                assert_int_equal(record.key.data[0], 'a' + r);
                assert_int_equal(record.value.size, 10);
            }
            record_reader_close(&reader);
            end(&f);
        }
    }
}

static void a_batch_that_recompression_makes_too_large_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.builder.compression = COMPRESSION_ZSTD;
    for (int i = 0; i < 1000; i++)
        add(&f, NOW, TEXT("key"));
    finish(&f);
    f.rules.max_message_bytes = 5000;
    assert_int_equal(validate(&f), 0);
    f.rules.recompress = true;
    f.rules.target = COMPRESSION_NONE;
    assert_int_equal(validate(&f), KAFKA_MESSAGE_TOO_LARGE);
    end(&f);
}

/* 8 MiB of zeros in one record make a frame of zstd; frames may follow each other. */
static void a_decompression_bomb_ends_at_its_limit(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    uint32_t size = 8 << 20, count = VALIDATE_PLAIN_MAX_BYTES / size + 1;
    uint8_t *zeros = calloc(1, size);
    batch_builder_add(&f.builder, NOW, NULL_BYTES, (struct bytes){zeros, (int32_t)size}, NULL, 0);
    finish(&f);
    struct writer bomb = {0};
    write_bytes(&bomb, f.builder.out.data, BATCH_HEADER_SIZE);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(compress_bytes(COMPRESSION_ZSTD, 1, 2,
                                        f.builder.out.data + BATCH_HEADER_SIZE,
                                        f.builder.out.size - BATCH_HEADER_SIZE, &bomb),
                         0);
    bomb.data[22] = COMPRESSION_ZSTD;
    store_be32(bomb.data + 8, (uint32_t)bomb.size - BATCH_OVERHEAD);
    store_be32(bomb.data + 23, count - 1);
    store_be32(bomb.data + 57, count);
    writer_close(&f.builder.out);
    f.builder.out = bomb;
    set_checksum(&f);
    f.rules.decompress_max_bytes = INT32_MAX;
    assert_true(bomb.size < 100000);
    assert_int_equal(validate(&f), KAFKA_MESSAGE_TOO_LARGE);
    free(zeros);
    end(&f);
}

/* A record of 4 MiB, which a window of as much has to hold. */
static void what_validations_hold_together_is_limited(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    int32_t size = 4 << 20;
    uint8_t *zeros = calloc(1, (size_t)size);
    f.builder.compression = COMPRESSION_LZ4;
    batch_builder_add(&f.builder, NOW, NULL_BYTES, (struct bytes){zeros, size}, NULL, 0);
    finish(&f);
    struct plain_budget plain = {.held_bytes = 1, .limit_bytes = 2 << 20};
    f.rules.plain = &plain;
    f.rules.decompress_max_bytes = INT32_MAX;
    assert_int_equal(validate(&f), KAFKA_REQUEST_TIMED_OUT);
    assert_int_equal(plain.held_bytes, 1);
    plain.held_bytes = 0; /* who is alone may pass the limit */
    assert_int_equal(validate(&f), 0);
    assert_int_equal(plain.held_bytes, 0);
    plain = (struct plain_budget){.held_bytes = 1, .limit_bytes = 64 << 20};
    f.rules.recompress = true;
    f.rules.target = COMPRESSION_GZIP;
    f.rules.target_level = COMPRESSION_LEVEL_DEFAULT;
    assert_int_equal(validate(&f), 0);
    assert_int_equal(plain.held_bytes, 1);
    free(zeros);
    end(&f);
}

static void zstd_needs_produce_7(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.builder.compression = COMPRESSION_ZSTD;
    three(&f);
    finish(&f);
    f.rules.produce_version = 6;
    assert_int_equal(validate(&f), KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    f.rules.produce_version = 7;
    assert_int_equal(validate(&f), 0);
    end(&f);
}

static void only_large_compressed_batches_are_heavy(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.builder.compression = COMPRESSION_LZ4;
    three(&f);
    finish(&f);
    assert_false(validate_is_heavy(&f.rules, f.builder.out.data, f.builder.out.size));
    assert_true(
        validate_is_heavy(&f.rules, f.builder.out.data, 2 << 20)); /* only the header is read */
    assert_false(validate_is_heavy(&f.rules, f.builder.out.data, 20));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_batch_passes_untouched),
        cmocka_unit_test(log_append_time_rewrites_the_header),
        cmocka_unit_test(a_lying_max_timestamp_is_set_right),
        cmocka_unit_test(each_fault_has_its_code),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_second_batch_is_refused_and_a_torn_one_ignored),
        cmocka_unit_test(a_batch_over_the_limit_is_too_large),
        cmocka_unit_test(keyless_records_of_a_compacted_topic_are_listed),
        cmocka_unit_test(the_list_of_refused_records_has_a_limit),
        cmocka_unit_test(timestamps_out_of_range_are_told_with_their_bounds),
        cmocka_unit_test(the_brokers_own_control_records_pass),
        cmocka_unit_test(an_uncompressed_batch_may_have_any_offsets),
        cmocka_unit_test(a_full_arena_is_no_crash),
        cmocka_unit_test(compressed_batches_are_read_and_stay),
        cmocka_unit_test(compressed_batches_that_lie_are_refused),
        cmocka_unit_test(a_corrupt_stream_with_a_good_checksum_is_an_invalid_record),
        cmocka_unit_test(recompression_keeps_records_and_producer),
        cmocka_unit_test(a_batch_that_recompression_makes_too_large_is_refused),
        cmocka_unit_test(a_decompression_bomb_ends_at_its_limit),
        cmocka_unit_test(what_validations_hold_together_is_limited),
        cmocka_unit_test(zstd_needs_produce_7),
        cmocka_unit_test(only_large_compressed_batches_are_heavy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
