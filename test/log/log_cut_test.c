/* Retention, cutting, timestamps and transactions of a whole log. */
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

#define HOUR INT64_C(3600000)

static int setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    kit_init(kit);
    kit->settings.producer_expiration_ms = INT64_MAX;
    assert_int_equal(kit_open(kit), 0);
    *state = kit;
    return 0;
}

static void set_segments(struct kit *kit, int batches, int value_size)
{
    struct kit_batch batch = {.value_size = value_size};
    size_t size;
    free(kit_build(&batch, &size));
    kit->settings.segment_bytes = (int32_t)size * batches;
    kit->settings.index_interval_bytes = (int32_t)size;
    log_set_settings(kit->log, &kit->settings);
}

/* Ten batches a segment, timestamps one minute apart. */
static void fill_minutes(struct kit *kit, int count)
{
    set_segments(kit, 10, 100);
    for (int i = 0; i < count; i++) {
        struct kit_batch batch = {.value_size = 100, .timestamp = HOUR + i * 60000};
        assert_int_equal(kit_append(kit, &batch), 0);
    }
}

static void retention_by_size_gives_up_whole_segments(void **state)
{
    struct kit *kit = *state;
    fill_minutes(kit, 55);
    int64_t total = log_size_bytes(kit->log);
    kit->settings.retention_bytes = total - kit->settings.segment_bytes * 2 - 1;
    log_set_settings(kit->log, &kit->settings);
    assert_int_equal(log_apply_retention(kit->log, 0, 55), 2);
    assert_int_equal(log_start_offset(kit->log), 20);
    assert_int_equal(log_size_bytes(kit->log), total - kit->settings.segment_bytes * 2);
    assert_int_equal(log_apply_retention(kit->log, 0, 55), 0);
    assert_int_equal(kit_read_all(kit, 20, 1 << 20, NULL), 55);
}

static void retention_by_time_looks_at_the_greatest_timestamp(void **state)
{
    struct kit *kit = *state;
    fill_minutes(kit, 55);
    kit->settings.retention_ms = HOUR;
    log_set_settings(kit->log, &kit->settings);
    /* The second segment's last record is of minute 19. */
    assert_int_equal(log_apply_retention(kit->log, 2 * HOUR + 19 * 60000, 55), 1);
    assert_int_equal(log_apply_retention(kit->log, 2 * HOUR + 19 * 60000 + 1, 55), 1);
    assert_int_equal(log_start_offset(kit->log), 20);
}

static void retention_stops_at_the_high_watermark(void **state)
{
    struct kit *kit = *state;
    fill_minutes(kit, 55);
    kit->settings.retention_ms = 0;
    log_set_settings(kit->log, &kit->settings);
    assert_int_equal(log_apply_retention(kit->log, 100 * HOUR, 29), 2);
    assert_int_equal(log_start_offset(kit->log), 20);
    assert_int_equal(log_apply_retention(kit->log, 100 * HOUR, 30), 1);
}

static void retention_of_everything_leaves_an_empty_segment_that_survives(void **state)
{
    struct kit *kit = *state;
    int64_t synced;
    fill_minutes(kit, 55);
    assert_int_equal(log_flush(kit->log, &synced), 0);
    kit->settings.retention_ms = 0;
    log_set_settings(kit->log, &kit->settings);
    assert_int_equal(log_apply_retention(kit->log, 100 * HOUR, 55), 6);
    assert_int_equal(log_start_offset(kit->log), 55);
    assert_int_equal(log_end_offset(kit->log), 55);
    assert_int_equal(log_size_bytes(kit->log), 0);
    kit_drop(kit);
    ram_disk_crash(kit->disk, RAM_CRASH_CLEAN);
    kit->recovery_point = synced;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 55);
    kit_fill(kit, 1, 100);
    assert_int_equal(kit->result.base_offset, 55);
}

static void compacted_logs_lose_only_what_lies_below_the_start(void **state)
{
    struct kit *kit = *state;
    fill_minutes(kit, 55);
    kit->settings.retention_ms = 0;
    kit->settings.retention_bytes = 0;
    kit->settings.cleanup_delete = false;
    kit->settings.cleanup_compact = true;
    log_set_settings(kit->log, &kit->settings);
    assert_int_equal(log_apply_retention(kit->log, 100 * HOUR, 55), 0);
    assert_int_equal(log_raise_start(kit->log, 25, 55), 0);
    assert_int_equal(log_apply_retention(kit->log, 100 * HOUR, 55), 2);
    assert_int_equal(log_start_offset(kit->log), 25);
}

static void raising_the_start_hides_records_at_once(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 10, 100);
    struct log_span span;
    struct log_read_params params = {
        .offset = 5, .bound = log_end(kit->log), .max_bytes = 1 << 20, .may_block = true};
    assert_int_equal(log_raise_start(kit->log, 6, 5), KAFKA_OFFSET_OUT_OF_RANGE);
    assert_int_equal(log_raise_start(kit->log, 6, 10), 0);
    assert_int_equal(log_raise_start(kit->log, 3, 10), 0);
    assert_int_equal(log_start_offset(kit->log), 6);
    assert_int_equal(log_read(kit->log, &params, &span), KAFKA_OFFSET_OUT_OF_RANGE);
    params.offset = 6;
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    log_span_close(&span);
}

static void deleted_files_go_after_their_delay_and_their_last_reader(void **state)
{
    struct kit *kit = *state;
    struct log_span span;
    fill_minutes(kit, 25);
    ram_disk_set_time(kit->disk, 100 * HOUR);
    struct log_read_params params = {
        .bound = log_end(kit->log), .max_bytes = 100, .min_one_batch = true};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    kit->settings.retention_ms = HOUR;
    log_set_settings(kit->log, &kit->settings);
    assert_int_equal(log_apply_retention(kit->log, 100 * HOUR, 20), 2);
    assert_false(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000000.log"));
    assert_true(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000000.log.deleted"));
    assert_true(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000010.index.deleted"));

    log_remove_deleted(kit->log, 100 * HOUR + 59999, false);
    assert_true(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000010.log.deleted"));
    log_remove_deleted(kit->log, 100 * HOUR + 60000, false);
    assert_false(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000010.log.deleted"));
    assert_false(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000010.index.deleted"));
    /* The span still reads its bytes; nobody has to free them meanwhile. */
    assert_true(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000000.log.deleted"));
    uint8_t byte;
    assert_int_equal(env_read_all(kit->env, file_ref_descriptor(span.file), &byte, 1, 0), 0);
    log_span_close(&span);
    log_remove_deleted(kit->log, 100 * HOUR + 60000, false);
    assert_false(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000000.log.deleted"));
}

static void retention_that_outruns_the_flush_keeps_its_snapshot(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct kit kit;
        kit_init(&kit);
        ram_disk_reseed(kit.disk, seed);
        kit.settings.producer_expiration_ms = INT64_MAX;
        assert_int_equal(kit_open(&kit), 0);
        struct kit_batch once = {.producer_id = 99, .sequence = 3, .timestamp = 5};
        assert_int_equal(kit_append(&kit, &once), 0);
        fill_minutes(&kit, 35);
        kit.settings.retention_bytes = kit.settings.segment_bytes;
        log_set_settings(kit.log, &kit.settings);
        assert_true(log_apply_retention(kit.log, 0, 36) > 0);
        int64_t start = log_start_offset(kit.log);
        kit_drop(&kit);
        ram_disk_crash(kit.disk, RAM_CRASH_TORN);
        assert_int_equal(kit_open(&kit), 0);
        struct producer_view *views;
        int32_t count;
        assert_int_equal(log_producers(kit.log, &kit.arena, &views, &count), 0);
        if (log_end_offset(kit.log) >= start) {
            assert_int_equal(count, 1);
            assert_int_equal(views[0].last_sequence, 3);
        }
        kit_close(&kit);
    }
}

static void cutting_leaves_the_batches_below(void **state)
{
    struct kit *kit = *state;
    for (int64_t to = 0; to <= 40; to++) {
        kit_close(kit);
        kit_init(kit);
        assert_int_equal(kit_open(kit), 0);
        set_segments(kit, 10, 100);
        for (int i = 0; i < 35; i++) {
            struct kit_batch batch = {.value_size = 100,
                                      .timestamp = 1000 + i,
                                      .producer_id = 1,
                                      .sequence = i,
                                      .leader_epoch = i / 8};
            assert_int_equal(kit_append(kit, &batch), 0);
        }
        int batches;
        int64_t kept = to < 35 ? to : 35;
        uint32_t before = kit_checksum(kit, 0, kept, &batches);
        uint32_t file_epoch = log_file_epoch(kit->log);
        assert_int_equal(log_truncate(kit->log, to), 0);
        assert_int_equal(log_file_epoch(kit->log), file_epoch + (to < 35));
        assert_int_equal(log_end_offset(kit->log), kept);
        assert_int_equal(kit_checksum(kit, 0, kept, &batches), before);
        assert_int_equal(batches, kept);
        assert_int_equal(log_latest_epoch(kit->log), kept > 0 ? (int)(kept - 1) / 8 : -1);

        /* The producer is where the cut put it. */
        struct kit_batch next = {.value_size = 100,
                                 .timestamp = 5000,
                                 .producer_id = 1,
                                 .sequence = (int32_t)kept,
                                 .leader_epoch = 9};
        assert_int_equal(kit_append(kit, &next), 0);
        assert_int_equal(kit->result.base_offset, kept);
        kit_fill(kit, 15, 100);
        assert_int_equal(kit_read_all(kit, 0, 500, NULL), kept + 16);

        struct log_time_result time;
        assert_int_equal(log_find_by_time(kit->log, 4000, INT64_MAX, NULL, &time), 0);
        assert_int_equal(time.offset, kept);
        if (to % 2)
            kit_stop_clean(kit);
        else
            kit_drop(kit);
        assert_int_equal(kit_open(kit), 0);
        assert_int_equal(log_end_offset(kit->log), kept + 16);
        assert_int_equal(kit_read_all(kit, 0, 500, NULL), kept + 16);
        assert_int_equal(log_find_by_time(kit->log, 4000, INT64_MAX, NULL, &time), 0);
        assert_int_equal(time.offset, kept);
    }
}

static void cutting_within_a_batch_drops_it_whole(void **state)
{
    struct kit *kit = *state;
    struct kit_batch batch = {.records = 10, .timestamp = 1};
    for (int i = 0; i < 3; i++)
        assert_int_equal(kit_append(kit, &batch), 0);
    assert_int_equal(log_truncate(kit->log, 25), 0);
    assert_int_equal(log_end_offset(kit->log), 20);
}

static void spans_of_a_cut_file_keep_their_bytes(void **state)
{
    struct kit *kit = *state;
    struct log_span span;
    kit_fill(kit, 20, 100);
    log_set_high_watermark(kit->log, 20);
    struct log_read_params params = {
        .offset = 10, .bound = log_end(kit->log), .max_bytes = 1 << 20};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    uint8_t *before = malloc((size_t)span.size), *after = malloc((size_t)span.size);
    int file = file_ref_descriptor(span.file);
    assert_int_equal(env_read_all(kit->env, file, before, (size_t)span.size, span.position), 0);
    assert_int_equal(log_truncate(kit->log, 12), 0);
    struct kit_batch batch = {.value_size = 2000, .timestamp = 77, .leader_epoch = 1};
    assert_int_equal(kit_append(kit, &batch), 0);
    assert_int_equal(env_read_all(kit->env, file, after, (size_t)span.size, span.position), 0);
    assert_memory_equal(before, after, (size_t)span.size);
    log_span_close(&span);
    free(before);
    free(after);
    assert_int_equal(kit_read_all(kit, 0, 1 << 20, NULL), 13);
}

/* Where the last stable offset stands while the transaction at 20 is open. */
static void is_unstable_at(struct kit *kit, int64_t offset, bool without_reading)
{
    struct log_position noted, found;
    int64_t before = ram_disk_bytes_read(kit->disk);
    assert_int_equal(log_first_unstable(kit->log), offset);
    assert_int_equal(log_locate_unstable(kit->log, offset, &noted), 0);
    assert_int_equal(ram_disk_bytes_read(kit->disk) == before, without_reading);
    assert_int_equal(log_locate(kit->log, offset, true, &found), 0);
    assert_int_equal(noted.offset, offset);
    assert_int_equal(noted.segment_base, found.segment_base);
    assert_int_equal(noted.position, found.position);
    assert_int_equal(noted.file_epoch, found.file_epoch);
}

static void the_place_of_an_open_transaction_is_known_without_reading(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 20, 100);
    for (int i = 0; i < 3; i++) {
        struct kit_batch batch = {.producer_id = i + 1, .transactional = true, .value_size = 50};
        assert_int_equal(kit_append(kit, &batch), 0);
        is_unstable_at(kit, 20, true);
    }
    /* The first one ends: the second is the first now. */
    struct kit_batch marker = {.marker = 1, .producer_id = 1};
    assert_int_equal(kit_append(kit, &marker), 0);
    log_set_high_watermark(kit->log, log_end_offset(kit->log));
    is_unstable_at(kit, 21, true);
    assert_int_equal(log_truncate(kit->log, 22), 0);
    is_unstable_at(kit, log_first_unstable(kit->log), false);
}

static void a_hint_from_before_a_cut_is_not_believed(void **state)
{
    struct kit *kit = *state;
    struct log_span span;
    kit_fill(kit, 20, 100);
    struct log_position bound;
    assert_int_equal(log_locate(kit->log, 15, true, &bound), 0);
    struct log_read_params params = {.bound = bound, .max_bytes = 1 << 20};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    struct log_position hint = span.next;
    log_span_close(&span);
    assert_int_equal(hint.offset, 15);
    assert_int_equal(log_truncate(kit->log, 10), 0);
    for (int i = 0; i < 10; i++) {
        struct kit_batch batch = {.value_size = 333, .timestamp = i, .leader_epoch = 1};
        assert_int_equal(kit_append(kit, &batch), 0);
    }
    params = (struct log_read_params){
        .offset = 15, .hint = &hint, .bound = log_end(kit->log), .max_bytes = 1 << 20};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    uint8_t header[BATCH_HEADER_SIZE];
    struct batch batch;
    assert_int_equal(env_read_all(kit->env, file_ref_descriptor(span.file), header, sizeof header,
                                  span.position),
                     0);
    assert_int_equal(batch_read_header(header, sizeof header, &batch), 0);
    assert_int_equal(batch.base_offset, 15);
    log_span_close(&span);
}

static void cutting_everything_starts_where_told(void **state)
{
    struct kit *kit = *state;
    fill_minutes(kit, 25);
    assert_int_equal(log_truncate_all(kit->log, 1000), 0);
    assert_int_equal(log_start_offset(kit->log), 1000);
    assert_int_equal(log_end_offset(kit->log), 1000);
    assert_int_equal(log_latest_epoch(kit->log), -1);
    kit_drop(kit);
    ram_disk_crash(kit->disk, RAM_CRASH_PROCESS);
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 1000);
    kit_fill(kit, 1, 100);
    assert_int_equal(log_truncate(kit->log, 500), 0);
    assert_int_equal(log_start_offset(kit->log), 500);
    assert_int_equal(log_end_offset(kit->log), 500);
}

static void a_cut_below_the_recovery_point_is_remembered(void **state)
{
    struct kit *kit = *state;
    int64_t synced;
    kit_fill(kit, 20, 100);
    assert_int_equal(log_flush(kit->log, &synced), 0);
    assert_int_equal(log_truncate(kit->log, 10), 0);
    assert_int_equal(log_recovery_point(kit->log), 10);
    kit_fill(kit, 3, 100);
    kit_drop(kit);
    /* The checkpoint file still says 20. */
    kit->recovery_point = 20;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 13);
    assert_true(kit->report.recovered_bytes > 0);
    kit_fill(kit, 10, 100);
    assert_int_equal(log_flush(kit->log, &synced), 0);
    kit_stop_clean(kit);
    assert_false(ram_disk_exists(kit->disk, KIT_DIR "/jackdaw-recovery-point"));
}

static void the_first_record_at_or_after_a_time_is_found(void **state)
{
    struct kit *kit = *state;
    struct log_time_result found;
    set_segments(kit, 10, 300);
    for (int i = 0; i < 100; i++) {
        /* Records 10 apart; every seventh batch is late by 35. */
        struct kit_batch batch = {.records = 3,
                                  .value_size = 100,
                                  .timestamp = 1000 + i * 10 - (i % 7 == 0 ? 35 : 0),
                                  .leader_epoch = 4,
                                  .compression = i % 2 ? COMPRESSION_ZSTD : COMPRESSION_NONE};
        assert_int_equal(kit_append(kit, &batch), 0);
    }
    for (int restart = 0; restart < 3; restart++) {
        for (int64_t time = 960; time < 2000; time += 3) {
            int64_t expected = -1;
            for (int i = 0; i < 100 && expected < 0; i++)
                for (int r = 0; r < 3 && expected < 0; r++)
                    if (1000 + i * 10 - (i % 7 == 0 ? 35 : 0) + r >= time)
                        expected = i * 3 + r;
            assert_int_equal(log_find_by_time(kit->log, time, INT64_MAX, NULL, &found), 0);
            assert_int_equal(found.offset, expected);
            assert_true(expected < 0 || found.timestamp >= time);
            assert_int_equal(found.leader_epoch, expected < 0 ? -1 : 4);
        }
        assert_int_equal(log_find_by_time(kit->log, 1500, 10, NULL, &found), 0);
        assert_int_equal(found.offset, -1);
        assert_int_equal(log_find_max_timestamp(kit->log, INT64_MAX, NULL, &found), 0);
        assert_int_equal(found.offset, 299);
        assert_int_equal(found.timestamp, 1992);
        if (restart == 0)
            kit_stop_clean(kit);
        else
            kit_drop(kit);
        assert_int_equal(kit_open(kit), 0);
    }
    assert_int_equal(log_raise_start(kit->log, 50, 300), 0);
    assert_int_equal(log_find_by_time(kit->log, 0, INT64_MAX, NULL, &found), 0);
    assert_int_equal(found.offset, 50);
}

static void the_greatest_timestamp_is_the_first_of_several(void **state)
{
    struct kit *kit = *state;
    struct log_time_result found;
    assert_int_equal(log_find_max_timestamp(kit->log, INT64_MAX, NULL, &found), 0);
    assert_int_equal(found.offset, -1);
    const int64_t times[] = {5, 90, 7, 90, 8};
    for (size_t i = 0; i < 5; i++) {
        struct kit_batch batch = {.timestamp = times[i]};
        assert_int_equal(kit_append(kit, &batch), 0);
    }
    assert_int_equal(log_find_max_timestamp(kit->log, INT64_MAX, NULL, &found), 0);
    assert_int_equal(found.offset, 1);
}

static void aborted_transactions_are_told_where_they_overlap(void **state)
{
    struct kit *kit = *state;
    struct aborted_transaction *items;
    int32_t count;
    set_segments(kit, 6, 100);
    /* Transactions of producer 1 of three batches and a marker: aborted, committed, aborted, … */
    for (int i = 0; i < 10; i++) {
        for (int b = 0; b < 3; b++) {
            struct kit_batch batch = {.value_size = 100,
                                      .timestamp = i,
                                      .producer_id = 1,
                                      .sequence = i * 3 + b,
                                      .transactional = true};
            assert_int_equal(kit_append(kit, &batch), 0);
            assert_int_equal(log_first_unstable(kit->log), i * 4);
            assert_true(log_has_open_transaction(kit->log, 1, 0));
        }
        struct kit_batch marker = {
            .marker = i % 2 ? 1 : 2, .producer_id = 1, .timestamp = i, .coordinator_epoch = i};
        assert_int_equal(kit_append(kit, &marker), 0);
        assert_false(log_has_open_transaction(kit->log, 1, 0));
        assert_int_equal(log_first_unstable(kit->log), i * 4);
        log_set_high_watermark(kit->log, log_end_offset(kit->log));
        assert_true(log_first_unstable(kit->log) == INT64_MAX);
    }
    for (int restart = 0; restart < 3; restart++) {
        for (int64_t from = 0; from < 40; from++) {
            for (int64_t to = from + 1; to <= 40; to++) {
                int32_t expected = 0;
                assert_int_equal(
                    log_aborted_transactions(kit->log, from, to, true, &kit->arena, &items, &count),
                    0);
                for (int i = 0; i < 10; i += 2) {
                    if (i * 4 + 3 < from || i * 4 >= to)
                        continue;
                    assert_true(expected < count);
                    assert_int_equal(items[expected++].first_offset, i * 4);
                }
                assert_int_equal(count, expected);
                arena_reset(&kit->arena, 0);
            }
        }
        if (restart == 0)
            kit_stop_clean(kit);
        else
            kit_drop(kit);
        assert_int_equal(kit_open(kit), 0);
    }
    log_set_high_watermark(kit->log, 18);
    assert_int_equal(log_truncate(kit->log, 18), 0);
    assert_int_equal(log_aborted_transactions(kit->log, 0, 18, true, &kit->arena, &items, &count),
                     0);
    assert_int_equal(count, 2);
    assert_int_equal(log_first_unstable(kit->log), 16);
}

static void a_full_disk_refuses_markers_whole(void **state)
{
    (void)state;
    for (int skip = 0; skip < 12; skip++) {
        struct kit kit;
        kit_init(&kit);
        assert_int_equal(kit_open(&kit), 0);
        struct kit_batch batch = {.producer_id = 1, .transactional = true};
        struct kit_batch marker = {.marker = 2, .producer_id = 1};
        assert_int_equal(kit_append(&kit, &batch), 0);
        ram_disk_fail_at(kit.disk, ram_disk_calls(kit.disk) + skip, -ENOSPC);
        int err = kit_append(&kit, &marker);
        ram_disk_fail_at(kit.disk, -1, 0);
        if (err == -EIO) { /* after the write nothing can be refused: final */
            kit_close(&kit);
            continue;
        }
        if (err == -EIO) { /* after the write nothing can be refused: final */
            kit_close(&kit);
            continue;
        }
        if (err) {
            assert_int_equal(err, -ENOSPC);
            assert_true(log_has_open_transaction(kit.log, 1, 0));
            assert_int_equal(kit_append(&kit, &marker), 0);
        }
        struct aborted_transaction *items;
        int32_t count;
        assert_int_equal(log_aborted_transactions(kit.log, 0, 2, true, &kit.arena, &items, &count),
                         0);
        assert_int_equal(count, 1);
        size_t size;
        ram_disk_data(kit.disk, KIT_DIR "/00000000000000000000.txnindex", &size);
        assert_int_equal(size, 34);
        kit_close(&kit);
    }
}

static void duplicates_are_answered_with_their_first_place(void **state)
{
    struct kit *kit = *state;
    struct kit_batch batch = {.records = 4, .producer_id = 9, .timestamp = 123};
    kit_fill(kit, 5, 100);
    assert_int_equal(kit_append(kit, &batch), 0);
    kit_fill(kit, 5, 100);
    assert_int_equal(kit_append(kit, &batch), 0);
    assert_true(kit->result.duplicate);
    assert_int_equal(kit->result.base_offset, 5);
    assert_int_equal(kit->result.last_offset, 8);
    assert_int_equal(kit->result.log_append_time, 126);
    assert_int_equal(log_end_offset(kit->log), 14);
    batch.sequence = 9;
    assert_int_equal(kit_append(kit, &batch), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(log_end_offset(kit->log), 14);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(retention_by_size_gives_up_whole_segments),
        TEST(retention_by_time_looks_at_the_greatest_timestamp),
        TEST(retention_stops_at_the_high_watermark),
        TEST(retention_of_everything_leaves_an_empty_segment_that_survives),
        TEST(compacted_logs_lose_only_what_lies_below_the_start),
        TEST(raising_the_start_hides_records_at_once),
        TEST(deleted_files_go_after_their_delay_and_their_last_reader),
        TEST(retention_that_outruns_the_flush_keeps_its_snapshot),
        TEST(cutting_leaves_the_batches_below),
        TEST(cutting_within_a_batch_drops_it_whole),
        TEST(spans_of_a_cut_file_keep_their_bytes),
        TEST(the_place_of_an_open_transaction_is_known_without_reading),
        TEST(a_hint_from_before_a_cut_is_not_believed),
        TEST(cutting_everything_starts_where_told),
        TEST(a_cut_below_the_recovery_point_is_remembered),
        TEST(the_first_record_at_or_after_a_time_is_found),
        TEST(the_greatest_timestamp_is_the_first_of_several),
        TEST(aborted_transactions_are_told_where_they_overlap),
        TEST(a_full_disk_refuses_markers_whole),
        TEST(duplicates_are_answered_with_their_first_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
