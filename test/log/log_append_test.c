#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "log_kit.h"

static int setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    kit_init(kit);
    assert_int_equal(kit_open(kit), 0);
    *state = kit;
    return 0;
}

static void an_untouched_log_needs_no_files(void **state)
{
    struct kit *kit = *state;
    assert_false(ram_disk_exists(kit->disk, KIT_DIR));
    assert_int_equal(log_end_offset(kit->log), 0);
    assert_int_equal(log_assign_epoch(kit->log, 3), 0);
    assert_int_equal(log_latest_epoch(kit->log), 3);
    int64_t end;
    assert_int_equal(log_close_clean(kit->log), 0);
    assert_int_equal(log_flush(kit->log, &end), 0);
    assert_false(ram_disk_exists(kit->disk, KIT_DIR));
    assert_int_equal(ram_disk_open_files(kit->disk), 0);
}

static void append_assigns_consecutive_offsets_and_the_epoch(void **state)
{
    struct kit *kit = *state;
    struct kit_batch batch = {.records = 3, .timestamp = 5000, .leader_epoch = 7};
    assert_int_equal(kit_append(kit, &batch), 0);
    assert_int_equal(kit->result.base_offset, 0);
    assert_int_equal(kit->result.last_offset, 2);
    assert_int_equal(kit_append(kit, &batch), 0);
    assert_int_equal(kit->result.base_offset, 3);
    assert_int_equal(kit->result.end_offset, 6);
    assert_int_equal(log_end_offset(kit->log), 6);
    assert_int_equal(log_latest_epoch(kit->log), 7);
    size_t size;
    const uint8_t *data = ram_disk_data(kit->disk, KIT_DIR "/00000000000000000000.log", &size);
    struct batch second;
    assert_int_equal(batch_read(data + size / 2, size / 2, &second), 0);
    assert_int_equal(second.base_offset, 3);
    assert_int_equal(second.leader_epoch, 7);
    assert_true(batch_checksum_ok(&second));
    data = ram_disk_data(kit->disk, KIT_DIR "/leader-epoch-checkpoint", &size);
    assert_int_equal(size, 8);
    assert_memory_equal(data, "0\n1\n7 0\n", size);
    assert_true(ram_disk_exists(kit->disk, KIT_DIR "/partition.metadata"));
}

static void the_end_is_published_with_its_place(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 10, 100);
    struct log_position end = log_end(kit->log), located;
    assert_int_equal(end.offset, 10);
    assert_int_equal(end.segment_base, 0);
    assert_int_equal(end.position, log_size_bytes(kit->log));
    assert_int_equal(log_locate(kit->log, 4, true, &located), 0);
    assert_int_equal(located.position, end.position * 4 / 10);
    assert_int_equal(log_locate(kit->log, 11, true, &located), KAFKA_OFFSET_OUT_OF_RANGE);
}

static void every_offset_is_found_in_every_segment(void **state)
{
    struct kit *kit = *state;
    struct log_settings settings = kit->settings;
    settings.segment_bytes = 100000;
    settings.index_interval_bytes = 512;
    log_set_settings(kit->log, &settings);
    for (int i = 0; i < 3000; i++) {
        struct kit_batch batch = {.records = 1 + i % 4, .value_size = 20 + i % 200};
        assert_int_equal(kit_append(kit, &batch), 0);
    }
    int64_t end = log_end_offset(kit->log);
    assert_true(log_end(kit->log).segment_base > 0);
    for (int64_t offset = 0; offset < end; offset++) {
        struct log_span span;
        uint8_t header[BATCH_HEADER_SIZE];
        struct batch batch;
        struct log_read_params params = {
            .offset = offset, .bound = log_end(kit->log), .max_bytes = 1, .min_one_batch = true};
        assert_int_equal(log_read(kit->log, &params, &span), 0);
        assert_int_equal(env_read_all(kit->env, file_ref_descriptor(span.file), header,
                                      sizeof header, span.position),
                         0);
        assert_int_equal(batch_read_header(header, sizeof header, &batch), 0);
        assert_true(batch.base_offset <= offset && offset <= batch_last_offset(&batch));
        assert_int_equal(batch.size, span.size);
        assert_int_equal(span.next.offset, batch_last_offset(&batch) + 1);
        log_span_close(&span);
    }
}

static void reading_on_with_the_hint_reaches_the_end(void **state)
{
    struct kit *kit = *state;
    struct log_settings settings = kit->settings;
    settings.segment_bytes = 50000;
    log_set_settings(kit->log, &settings);
    kit_fill(kit, 2000, 300);
    const int32_t sizes[] = {1, 500, 4096, 10000, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t bytes;
        assert_int_equal(kit_read_all(kit, 0, sizes[i], &bytes), 2000);
        assert_int_equal(bytes, log_size_bytes(kit->log));
        assert_int_equal(kit_read_all(kit, 777, sizes[i], &bytes), 2000);
    }
}

static void a_hinted_read_to_the_bound_touches_no_file(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 100, 1000);
    struct log_span span;
    struct log_read_params params = {.bound = log_end(kit->log), .max_bytes = 1 << 20};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    struct log_position hint = span.next;
    log_span_close(&span);
    assert_int_equal(hint.offset, 100);
    kit_fill(kit, 10, 1000);
    int64_t read = ram_disk_bytes_read(kit->disk);
    ram_disk_set_cold(kit->disk, true);
    params = (struct log_read_params){
        .offset = 100, .hint = &hint, .bound = log_end(kit->log), .max_bytes = 1 << 20};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    assert_int_equal(span.size, log_size_bytes(kit->log) / 11);
    assert_int_equal(ram_disk_bytes_read(kit->disk), read);
    log_span_close(&span);
}

static void a_cold_lookup_asks_for_a_job(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 100, 1000);
    ram_disk_set_cold(kit->disk, true);
    struct log_span span;
    struct log_read_params params = {
        .offset = 50, .bound = log_end(kit->log), .max_bytes = 1 << 20};
    assert_int_equal(log_read(kit->log, &params, &span), -EAGAIN);
    params.may_block = true;
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    assert_true(span.size > 0);
    log_span_close(&span);
}

static void reads_stop_at_their_bound(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 20, 100);
    struct log_position bound;
    struct log_span span;
    assert_int_equal(log_locate(kit->log, 12, true, &bound), 0);
    struct log_read_params params = {.offset = 5, .bound = bound, .max_bytes = 1 << 20};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    assert_int_equal(span.size, log_size_bytes(kit->log) * 7 / 20);
    assert_int_equal(span.next.offset, 12);
    log_span_close(&span);

    params.bound = (struct log_position){12, -1, 0, 0};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    assert_int_equal(span.size, log_size_bytes(kit->log) * 7 / 20);
    log_span_close(&span);

    params.offset = 12;
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    assert_int_equal(span.size, 0);
    params.offset = 21;
    assert_int_equal(log_read(kit->log, &params, &span), KAFKA_OFFSET_OUT_OF_RANGE);
}

static void a_first_batch_too_large_comes_whole_or_not_at_all(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 3, 5000);
    struct log_span span;
    struct log_read_params params = {.bound = log_end(kit->log), .max_bytes = 1000};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    assert_int_equal(span.size, 0);
    assert_true(span.first_batch_cut);
    params.min_one_batch = true;
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    assert_int_equal(span.size, log_size_bytes(kit->log) / 3);
    assert_int_equal(span.next.offset, 1);
    log_span_close(&span);
}

static void batches_larger_than_a_segment_are_refused(void **state)
{
    struct kit *kit = *state;
    struct log_settings settings = kit->settings;
    settings.segment_bytes = 2000;
    log_set_settings(kit->log, &settings);
    struct kit_batch batch = {.value_size = 3000};
    assert_int_equal(kit_append(kit, &batch), KAFKA_RECORD_LIST_TOO_LARGE);
    assert_int_equal(log_end_offset(kit->log), 0);
}

static void segments_roll_by_size_as_kafkas(void **state)
{
    struct kit *kit = *state;
    struct log_settings settings = kit->settings;
    kit_fill(kit, 1, 100);
    settings.segment_bytes = (int32_t)log_size_bytes(kit->log) * 4;
    log_set_settings(kit->log, &settings);
    kit_fill(kit, 3, 100);
    assert_int_equal(log_end(kit->log).segment_base, 0);
    assert_false(kit->result.rolled);
    kit_fill(kit, 1, 100);
    assert_int_equal(log_end(kit->log).segment_base, 4);
    assert_true(kit->result.rolled);
    /* Kafka wants the indexes of a closed segment, even if they are empty, and a snapshot. */
    size_t size;
    assert_non_null(ram_disk_data(kit->disk, KIT_DIR "/00000000000000000000.index", &size));
    assert_int_equal(size, 0);
    assert_non_null(ram_disk_data(kit->disk, KIT_DIR "/00000000000000000000.timeindex", &size));
    assert_int_equal(size, 12);
    assert_non_null(ram_disk_data(kit->disk, KIT_DIR "/00000000000000000004.snapshot", &size));
    assert_int_equal(size, 10);
}

static void segments_roll_by_time_of_their_first_batch(void **state)
{
    struct kit *kit = *state;
    struct log_settings settings = kit->settings;
    settings.segment_ms = 1000;
    log_set_settings(kit->log, &settings);
    struct kit_batch batch = {.timestamp = 50000};
    assert_int_equal(kit_append(kit, &batch), 0);
    batch.timestamp = 51000;
    assert_int_equal(kit_append(kit, &batch), 0);
    assert_false(kit->result.rolled);
    batch.timestamp = 51001;
    assert_int_equal(kit_append(kit, &batch), 0);
    assert_true(kit->result.rolled);
    assert_int_equal(log_end(kit->log).segment_base, 2);
    assert_int_equal(log_roll_if_due(kit->log, 52001), 0);
    assert_int_equal(log_end(kit->log).segment_base, 2);
    assert_int_equal(log_roll_if_due(kit->log, 52002), 0);
    assert_int_equal(log_end(kit->log).segment_base, 3);
    assert_int_equal(kit_read_all(kit, 0, 1 << 20, NULL), 3);
}

static void segments_roll_when_an_index_is_full(void **state)
{
    struct kit *kit = *state;
    struct log_settings settings = kit->settings;
    settings.index_interval_bytes = 0;
    settings.segment_index_bytes = 80;
    log_set_settings(kit->log, &settings);
    kit_fill(kit, 100, 100);
    /* The time index takes 6 entries, one of them for closing: 1 + 5 batches a segment. */
    assert_int_equal(log_end(kit->log).segment_base, 96);
    size_t size;
    assert_non_null(ram_disk_data(kit->disk, KIT_DIR "/00000000000000000000.timeindex", &size));
    assert_int_equal(size, 60);
    assert_int_equal(kit_read_all(kit, 0, 1 << 20, NULL), 100);
}

static void segments_roll_when_offsets_leave_their_range(void **state)
{
    struct kit *kit = *state;
    const int64_t far = INT64_C(5000000000);
    struct kit_batch batch = {.base_offset = far};
    kit_fill(kit, 1, 100);
    assert_int_equal(kit_append_as(kit, &batch, LOG_ORIGIN_REPLICATION), 0);
    assert_int_equal(log_end(kit->log).segment_base, far);
    assert_int_equal(log_end_offset(kit->log), far + 1);
    batch.base_offset = far + INT32_MAX;
    assert_int_equal(kit_append_as(kit, &batch, LOG_ORIGIN_REPLICATION), 0);
    assert_int_equal(log_end(kit->log).segment_base, far);
    batch.base_offset = far + INT32_MAX + INT64_C(1);
    assert_int_equal(kit_append_as(kit, &batch, LOG_ORIGIN_REPLICATION), 0);
    assert_int_equal(log_end(kit->log).segment_base, far + INT32_MAX + INT64_C(1));
    assert_int_equal(kit_read_all(kit, 0, 1 << 20, NULL), far + INT32_MAX + INT64_C(2));
}

static void replicated_batches_keep_offsets_and_epochs(void **state)
{
    struct kit *kit = *state;
    struct kit_batch batch = {.records = 2, .base_offset = 10, .leader_epoch = 4};
    assert_int_equal(kit_append_as(kit, &batch, LOG_ORIGIN_REPLICATION), 0);
    assert_int_equal(log_end_offset(kit->log), 12);
    assert_int_equal(kit_append_as(kit, &batch, LOG_ORIGIN_REPLICATION), KAFKA_OFFSET_OUT_OF_RANGE);
    batch.base_offset = 20;
    batch.leader_epoch = 6;
    assert_int_equal(kit_append_as(kit, &batch, LOG_ORIGIN_REPLICATION), 0);
    int32_t epoch;
    int64_t end;
    log_epoch_end(kit->log, 4, &epoch, &end);
    assert_int_equal(epoch, 4);
    assert_int_equal(end, 20);
    log_epoch_end(kit->log, 5, &epoch, &end);
    assert_int_equal(epoch, 4);
    assert_int_equal(end, 20);
    log_epoch_end(kit->log, 6, &epoch, &end);
    assert_int_equal(end, 22);
    log_epoch_end(kit->log, 7, &epoch, &end);
    assert_int_equal(epoch, -1);
    assert_int_equal(log_epoch_at(kit->log, 11), 4);
    assert_int_equal(log_epoch_at(kit->log, 21), 6);
    assert_int_equal(log_epoch_at(kit->log, 9), -1);
}

static void a_short_write_leaves_nothing_behind(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 5, 100);
    int64_t size = log_size_bytes(kit->log);
    const int errors[] = {-ENOSPC, -EDQUOT};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct kit_batch batch = {.value_size = 200};
        ram_disk_fail_writes(kit->disk, -1, errors[i]);
        assert_int_equal(kit_append(kit, &batch), errors[i]);
        ram_disk_fail_writes(kit->disk, 0, 0);
        size_t file_size;
        ram_disk_data(kit->disk, KIT_DIR "/00000000000000000000.log", &file_size);
        assert_int_equal(file_size, size);
        assert_int_equal(log_end_offset(kit->log), 5);
    }
    /* A short count alone is no failure. */
    ram_disk_fail_writes(kit->disk, 1, 0);
    kit_fill(kit, 5, 100);
    assert_int_equal(kit_read_all(kit, 0, 1 << 20, NULL), 10);
}

static void a_full_disk_at_any_call_is_refused_and_resumed(void **state)
{
    (void)state;
    for (int64_t skip = 0; skip < 40; skip++) {
        struct kit kit;
        kit_init(&kit);
        kit.settings.segment_bytes = 4000;
        kit.settings.index_interval_bytes = 100;
        assert_int_equal(kit_open(&kit), 0);
        kit_fill(&kit, 30, 100);
        ram_disk_fail_at(kit.disk, ram_disk_calls(kit.disk) + skip, -ENOSPC);
        for (int i = 0; i < 40; i++) {
            struct kit_batch batch = {.value_size = 100, .timestamp = 5000 + i, .leader_epoch = 1};
            int err = kit_append(&kit, &batch);
            assert_true(err == 0 || err == -ENOSPC);
            if (err)
                assert_int_equal(kit_append(&kit, &batch), 0);
        }
        assert_int_equal(log_end_offset(kit.log), 70);
        assert_int_equal(kit_read_all(&kit, 0, 1 << 20, NULL), 70);
        kit_drop(&kit);
        assert_int_equal(kit_open(&kit), 0);
        assert_int_equal(log_end_offset(kit.log), 70);
        assert_int_equal(kit.report.dropped_bytes, 0);
        assert_int_equal(kit_read_all(&kit, 0, 1 << 20, NULL), 70);
        kit_close(&kit);
    }
}

static int append_number(struct kit *kit, int i)
{
    struct kit_batch batch = {
        .value_size = 100, .timestamp = 5000 + i, .producer_id = 7, .sequence = i};
    return kit_append(kit, &batch);
}

static void no_descriptors_at_any_append_is_refused_and_resumed(void **state)
{
    struct kit *kit = *state;
    int refused = 0;
    kit->settings.segment_bytes = 30000; /* more entries than an index keeps in memory */
    kit->settings.index_interval_bytes = 100;
    log_set_settings(kit->log, &kit->settings);
    for (int i = 0; i < 600; i++) {
        ram_disk_fail_opens(kit->disk, -1, i % 2 ? -EMFILE : -ENFILE);
        int err = append_number(kit, i);
        ram_disk_fail_opens(kit->disk, 0, 0);
        assert_true(err == 0 || err == -EMFILE || err == -ENFILE);
        refused += err != 0;
        if (err)
            assert_int_equal(append_number(kit, i), 0);
        assert_false(kit->result.duplicate);
        assert_int_equal(kit->result.base_offset, i);
    }
    assert_true(refused > 0);
    assert_int_equal(kit_read_all(kit, 0, 1 << 20, NULL), 600);
    kit_stop_clean(kit);
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(kit->report.dropped_bytes, 0);
    assert_int_equal(kit_read_all(kit, 0, 1 << 20, NULL), 600);
}

static void a_sync_without_descriptors_loses_no_mark(void **state)
{
    struct kit *kit = *state;
    int64_t synced;
    kit_fill(kit, 20, 100);
    /* At each of its calls. */
    for (int64_t skip = 0;; skip++) {
        int64_t before = log_recovery_point(kit->log), calls = ram_disk_calls(kit->disk);
        ram_disk_fail_at(kit->disk, calls + skip, -EMFILE);
        int err = log_flush(kit->log, &synced);
        ram_disk_fail_at(kit->disk, -1, 0);
        if (err == 0)
            break;
        assert_int_equal(err, -EMFILE);
        assert_int_equal(log_recovery_point(kit->log), before);
    }
    kit_drop(kit);
    ram_disk_crash(kit->disk, RAM_CRASH_CLEAN);
    kit->recovery_point = synced;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 20);
}

static void a_full_disk_that_a_sync_tells_of_is_final(void **state)
{
    struct kit *kit = *state;
    int64_t synced;
    kit_fill(kit, 20, 100);
    ram_disk_fail_syncs(kit->disk, 1, -ENOSPC);
    assert_int_equal(log_flush(kit->log, &synced), -EIO);
    assert_false(log_error_passes(-EIO));
}

static void descriptors_stay_within_the_cache(void **state)
{
    struct kit *kit = *state;
    struct log_settings settings = kit->settings;
    settings.segment_bytes = 2000;
    log_set_settings(kit->log, &settings);
    kit_fill(kit, 500, 200);
    assert_int_equal(kit_read_all(kit, 0, 1 << 20, NULL), 500);
    assert_true(ram_disk_open_files(kit->disk) <= 16);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_untouched_log_needs_no_files),
        TEST(append_assigns_consecutive_offsets_and_the_epoch),
        TEST(the_end_is_published_with_its_place),
        TEST(every_offset_is_found_in_every_segment),
        TEST(reading_on_with_the_hint_reaches_the_end),
        TEST(a_hinted_read_to_the_bound_touches_no_file),
        TEST(a_cold_lookup_asks_for_a_job),
        TEST(reads_stop_at_their_bound),
        TEST(a_first_batch_too_large_comes_whole_or_not_at_all),
        TEST(batches_larger_than_a_segment_are_refused),
        TEST(segments_roll_by_size_as_kafkas),
        TEST(segments_roll_by_time_of_their_first_batch),
        TEST(segments_roll_when_an_index_is_full),
        TEST(segments_roll_when_offsets_leave_their_range),
        TEST(replicated_batches_keep_offsets_and_epochs),
        TEST(a_short_write_leaves_nothing_behind),
        TEST(a_full_disk_at_any_call_is_refused_and_resumed),
        TEST(no_descriptors_at_any_append_is_refused_and_resumed),
        TEST(a_sync_without_descriptors_loses_no_mark),
        TEST(a_full_disk_that_a_sync_tells_of_is_final),
        TEST(descriptors_stay_within_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
