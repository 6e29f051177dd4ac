#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "golden.h"

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static uint8_t *unhex(const char *hex, size_t *ret_size)
{
    size_t size = strlen(hex) / 2;
    uint8_t *data = malloc(size);
    must(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    *ret_size = size;
    return data;
}

struct expected {
    int64_t offset, timestamp;
    const char *key, *value;
};

static const struct expected expected[] = {
    {10, 1000, "a", "first"}, {11, 1001, NULL, ""}, {15, 999, "c", NULL}};

static void assert_text(struct bytes got, const char *want)
{
    assert_int_equal(got.data == NULL, want == NULL);
    assert_int_equal(got.size, want ? strlen(want) : 0);
    if (got.size)
        assert_memory_equal(got.data, want, (size_t)got.size);
}

static void assert_record(const struct golden *set, const struct record *record, int index)
{
    int64_t timestamp = set->append_time ? 9999 : expected[index].timestamp;
    assert_int_equal(record->offset, expected[index].offset);
    assert_int_equal(record->timestamp, set->magic == 0 ? NO_TIMESTAMP : timestamp);
    assert_int_equal(record->sequence, NO_SEQUENCE);
    assert_text(record->key, expected[index].key);
    assert_text(record->value, expected[index].value);
    assert_int_equal(record->header_count, set->magic == 2);
}

/* As a log is read: batch after batch (entry after entry), and the records in each. */
static void what_java_wrote_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_size(golden); i++) {
        const struct golden *set = &golden[i];
        size_t size, at = 0;
        uint8_t *data = unhex(set->hex, &size);
        int index = 0, batches = 0;
        while (at < size) {
            struct batch batch;
            struct record_reader reader;
            struct record record;
            assert_int_equal(batch_read(data + at, size - at, &batch), 0);
            assert_int_equal(batch.magic, set->magic);
            assert_true(batch_checksum_ok(&batch));
            assert_int_equal(batch_compression(&batch), set->codec);
            assert_int_equal(record_reader_init(&reader, &batch, 100), 0);
            int err;
            while ((err = record_reader_next(&reader, NULL, &record)) == 0)
                assert_record(set, &record, index++);
            assert_int_equal(err, -ENODATA);
            assert_int_equal(batch_last_offset(&batch), expected[index - 1].offset);
            record_reader_close(&reader);
            at += (size_t)batch.size;
            batches++;
        }
        assert_int_equal(index, 3);
        assert_int_equal(batches, set->magic < 2 && set->codec == COMPRESSION_NONE ? 3 : 1);
        free(data);
    }
}

static void an_entry_says_what_it_does_not_have(void **state)
{
    (void)state;
    size_t size;
    uint8_t *data = unhex(golden[0].hex, &size);
    struct batch batch;
    assert_int_equal(batch_read(data, size, &batch), 0);
    assert_int_equal(batch.magic, 0);
    assert_int_equal(batch.leader_epoch, -1);
    assert_int_equal(batch.producer_id, NO_PRODUCER_ID);
    assert_int_equal(batch.base_sequence, NO_SEQUENCE);
    assert_int_equal(batch.max_timestamp, NO_TIMESTAMP);
    assert_int_equal(batch.record_count, 1);
    assert_false(batch_is_control(&batch));
    free(data);
}

static int read_all(const uint8_t *data, size_t size)
{
    struct batch batch;
    struct record_reader reader;
    struct record record;
    int err = batch_read(data, size, &batch);
    if (err < 0)
        return err;
    err = record_reader_init(&reader, &batch, 1 << 20);
    while (err == 0)
        err = record_reader_next(&reader, NULL, &record);
    record_reader_close(&reader);
    return err;
}

/* The sanitizers watch: memory is of the exact size. */
static void no_changed_byte_reads_outside(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_size(golden); i++) {
        size_t size;
        uint8_t *data = unhex(golden[i].hex, &size);
        for (size_t at = 0; at < size; at++) {
            const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, (uint8_t)(data[at] + 1)};
            for (size_t v = 0; v < array_size(values); v++) {
                uint8_t was = data[at];
                data[at] = values[v];
                int err = read_all(data, size);
                assert_true(err == -ENODATA || err == -EBADMSG || err == -EAGAIN || err == -EFBIG);
                data[at] = was;
            }
        }
        free(data);
    }
}

static const struct golden *find(int8_t magic, enum compression codec)
{
    for (size_t i = 0; i < array_size(golden); i++)
        if (golden[i].magic == magic && golden[i].codec == codec)
            return &golden[i];
    return NULL;
}

static void a_wrapper_below_its_records_is_bad(void **state)
{
    (void)state;
    size_t size;
    uint8_t *data = unhex(find(1, COMPRESSION_GZIP)->hex, &size);
    store_be64(data, 4); /* relative offsets inside go to 5 */
    assert_int_equal(read_all(data, size), -EBADMSG);
    store_be64(data, 5);
    assert_int_equal(read_all(data, size), -ENODATA);
    free(data);
}

static void a_wrapper_in_a_wrapper_is_bad(void **state)
{
    (void)state;
    size_t size;
    uint8_t *inner = unhex(find(1, COMPRESSION_GZIP)->hex, &size);
    struct writer packed = {0}, outer = {0};
    assert_int_equal(
        compress_bytes(COMPRESSION_GZIP, COMPRESSION_LEVEL_DEFAULT, 1, inner, size, &packed), 0);
    write_int64(&outer, 15);
    write_int32(&outer, (int32_t)packed.size + LEGACY_OVERHEAD_V1);
    write_int32(&outer, 0);
    write_int8(&outer, 1);
    write_int8(&outer, COMPRESSION_GZIP);
    write_int64(&outer, 1);
    write_int32(&outer, -1);
    write_int32(&outer, (int32_t)packed.size);
    write_bytes(&outer, packed.data, packed.size);
    assert_int_equal(read_all(outer.data, outer.size), -EBADMSG);
    writer_close(&packed);
    writer_close(&outer);
    free(inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_java_wrote_is_read),
        cmocka_unit_test(an_entry_says_what_it_does_not_have),
        cmocka_unit_test(no_changed_byte_reads_outside),
        cmocka_unit_test(a_wrapper_below_its_records_is_bad),
        cmocka_unit_test(a_wrapper_in_a_wrapper_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
