/* What an index says, seen from outside: a read of any offset begins with the batch that holds it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "log_kit.h"

#define BATCHES 300
#define RECORDS 3

static void count_line(void *context, enum say_level level, const char *line, size_t size)
{
    (void)level;
    print_message("%.*s", (int)size, line);
    ++*(int *)context;
}

/* Nearly every batch gets an entry, and some segments are closed. */
static void kit_dense(struct kit *kit, int *warnings)
{
    kit_init(kit);
    kit->say = (struct say){.level = SAY_WARN, .write = count_line, .context = warnings};
    kit->settings.index_interval_bytes = 100;
    kit->settings.segment_bytes = 20000;
    assert_int_equal(kit_open(kit), 0);
    for (int i = 0; i < BATCHES; i++) {
        struct kit_batch batch = {.records = RECORDS, .value_size = 20, .timestamp = 1000 + i * 10};
        assert_int_equal(kit_append(kit, &batch), 0);
        assert_int_equal(kit->result.base_offset, i * RECORDS);
    }
    assert_true(log_size_bytes(kit->log) > 2 * 20000);
}

static int64_t first_offset_read(struct kit *kit, int64_t offset)
{
    struct log_span span;
    struct log_read_params params = {.offset = offset,
                                     .bound = log_end(kit->log),
                                     .max_bytes = 1,
                                     .min_one_batch = true,
                                     .may_block = true};
    uint8_t data[BATCH_HEADER_SIZE];
    struct batch batch;
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    assert_true(span.size > BATCH_HEADER_SIZE);
    assert_int_equal(
        env_read_all(kit->env, file_ref_descriptor(span.file), data, sizeof data, span.position),
        0);
    log_span_close(&span);
    assert_int_equal(batch_read_header(data, sizeof data, &batch), 0);
    return batch.base_offset;
}

static void check_every_offset(struct kit *kit)
{
    for (int64_t offset = 0; offset < BATCHES * RECORDS; offset++)
        assert_int_equal(first_offset_read(kit, offset), offset / RECORDS * RECORDS);
    for (int i = 0; i < BATCHES; i++) {
        struct log_time_result found;
        int64_t end = log_end_offset(kit->log);
        assert_int_equal(log_find_by_time(kit->log, 1000 + i * 10, end, NULL, &found), 0);
        /* The timestamps of a batch count up and reach no other batch's. */
        assert_int_equal(found.offset, i * RECORDS);
    }
}

static void every_offset_is_found_while_appending(void **state)
{
    (void)state;
    struct kit kit;
    int warnings = 0;
    kit_dense(&kit, &warnings);
    check_every_offset(&kit);
    assert_int_equal(warnings, 0);
    kit_close(&kit);
}

static void every_offset_is_found_after_a_clean_stop(void **state)
{
    (void)state;
    struct kit kit;
    int warnings = 0;
    kit_dense(&kit, &warnings);
    kit_stop_clean(&kit);
    assert_int_equal(kit_open(&kit), 0);
    assert_int_equal(kit.report.indexes_rebuilt, 0);
    check_every_offset(&kit);
    assert_int_equal(warnings, 0);
    kit_close(&kit);
}

static void every_offset_is_found_through_rebuilt_indexes(void **state)
{
    (void)state;
    struct kit kit;
    int warnings = 0;
    int removed = 0;
    kit_dense(&kit, &warnings);
    kit_drop(&kit);
    kit.recovery_point = 0;
    for (int i = 0; i < BATCHES * RECORDS; i++) {
        char path[64];
        snprintf(path, sizeof path, KIT_DIR "/%020d.index", i);
        removed += env_unlink(kit.env, path) == 0;
        snprintf(path, sizeof path, KIT_DIR "/%020d.timeindex", i);
        removed += env_unlink(kit.env, path) == 0;
    }
    assert_int_equal(kit_open(&kit), 0);
    assert_true(removed >= 4);
    check_every_offset(&kit);
    assert_int_equal(warnings, 0);
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_offset_is_found_while_appending),
        cmocka_unit_test(every_offset_is_found_after_a_clean_stop),
        cmocka_unit_test(every_offset_is_found_through_rebuilt_indexes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
