/* Compaction, one rule a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clean_kit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log/cleaner_map.h"
#include "log/log_internal.h"

static void the_last_value_of_each_key_stays(void **state)
{
    struct kit *kit = *state;
    struct log_clean_rules rules = clean_rules();
    clean_put(kit, "a", "1");
    clean_put(kit, "b", "1");
    clean_put(kit, "a", "2");
    clean_roll(kit);
    clean_put(kit, "b", "2");
    clean_roll(kit);
    clean_put(kit, "c", "1");
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_string_equal(clean_text(kit), "a=2 b=2 c=1");
    assert_int_equal(log_cleaned_to(kit->log), 4);
    assert_int_equal(log_end_offset(kit->log), 5);
    /* Two segments became one; the active one is as it was. */
    assert_int_equal(kit->log->segment_count, 2);
}

static void the_active_segment_is_never_cleaned(void **state)
{
    struct kit *kit = *state;
    struct log_clean_rules rules = clean_rules();
    struct log_dirt dirt;
    clean_put(kit, "a", "1");
    clean_put(kit, "a", "2");
    assert_int_equal(log_measure_dirt(kit->log, &rules, 5000, &dirt), 0);
    assert_false(dirt.due);
    assert_int_equal(dirt.wait_ms, INT64_MAX);
    clean_roll(kit);
    clean_put(kit, "a", "3");
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    /* The value in the active segment was not looked at. */
    assert_string_equal(clean_text(kit), "a=2 a=3");
}

static void offsets_and_the_last_sequence_of_a_batch_stay(void **state)
{
    struct kit *kit = *state;
    struct read_log log;
    struct log_clean_rules rules = clean_rules();
    struct clean_batch batch = {.records = {{"a", "1", 0}, {"b", "1", 0}, {"c", "1", 0}},
                                .count = 3,
                                .timestamp = 100,
                                .producer_id = 7,
                                .sequence = 0,
                                .leader_epoch = 2};
    assert_int_equal(clean_append(kit, &batch), 0);
    clean_put(kit, "a", "2");
    clean_put(kit, "c", "2");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    clean_read(kit, 0, &log);
    assert_int_equal(log.count, 3);
    assert_int_equal(log.records[0].offset, 1);
    assert_string_equal(log.records[0].key, "b");
    assert_int_equal(log.records[0].timestamp, 101);
    assert_int_equal(log.batches[0].base_offset, 0);
    assert_int_equal(log.batches[0].last_offset_delta, 2);
    assert_int_equal(log.batches[0].base_sequence, 0);
    assert_int_equal(log.batches[0].leader_epoch, 2);
    assert_int_equal(log.batches[0].record_count, 1);
    assert_int_equal(log.batches[0].base_timestamp, 101);
    assert_int_equal(log.batches[0].max_timestamp, 101);
}

static void a_batch_of_which_all_stays_is_not_touched(void **state)
{
    struct kit *kit = *state;
    struct log_clean_rules rules = clean_rules();
    for (int codec = COMPRESSION_NONE; codec <= COMPRESSION_ZSTD; codec++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", codec);
        struct clean_batch batch = {.records = {{key, "1", 0}, {"only", "x", 3}},
                                    .count = codec == COMPRESSION_ZSTD ? 2 : 1,
                                    .compression = (enum compression)codec};
        assert_int_equal(clean_append(kit, &batch), 0);
    }
    clean_roll(kit);
    uint32_t before = kit_checksum(kit, 0, log_end_offset(kit->log), NULL);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_int_equal(kit_checksum(kit, 0, log_end_offset(kit->log), NULL), before);
}

static void compressed_batches_are_compressed_again_by_their_codec(void **state)
{
    (void)state;
    for (int codec = COMPRESSION_GZIP; codec <= COMPRESSION_ZSTD; codec++) {
        struct kit kit;
        struct read_log log;
        struct log_clean_rules rules = clean_rules();
        clean_kit_init(&kit, 1 << 20);
        struct clean_batch batch = {.records = {{"a", "1", 0}, {"b", "1", 0}, {"c", "1", 0}},
                                    .count = 3,
                                    .timestamp = 5,
                                    .compression = (enum compression)codec};
        assert_int_equal(clean_append(&kit, &batch), 0);
        clean_put(&kit, "b", "2");
        clean_roll(&kit);
        assert_int_equal(clean_all(&kit, &rules, 5000), 0);
        assert_string_equal(clean_text(&kit), "a=1 c=1 b=2");
        clean_read(&kit, 0, &log);
        assert_int_equal(batch_compression(&log.batches[0]), codec);
        assert_int_equal(log.records[1].offset, 2);
        kit_close(&kit);
    }
}

static void a_tombstone_stays_until_its_horizon_and_hides_what_was_before(void **state)
{
    struct kit *kit = *state;
    struct read_log log;
    struct log_clean_rules rules = clean_rules();
    clean_put(kit, "a", "1");
    clean_put(kit, "a", NULL);
    clean_put(kit, "b", "1");
    clean_roll(kit);
    clean_put(kit, "b", "2");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_string_equal(clean_text(kit), "a=~ b=2");
    clean_read(kit, 0, &log);
    assert_true(log.batches[0].attributes & BATCH_DELETE_HORIZON);
    assert_int_equal(log.batches[0].base_timestamp, 6000);
    assert_int_equal(log.records[0].timestamp, 1001);
    /* Not yet. */
    clean_put(kit, "c", "1");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 5999), 0);
    assert_string_equal(clean_text(kit), "a=~ b=2 c=1");
    clean_read(kit, 0, &log);
    assert_int_equal(log.batches[0].base_timestamp, 6000);
    clean_put(kit, "d", "1");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 6000), 0);
    assert_string_equal(clean_text(kit), "b=2 c=1 d=1");
}

static void records_without_a_key_go(void **state)
{
    struct kit *kit = *state;
    struct log_clean_rules rules = clean_rules();
    clean_put(kit, NULL, "1");
    clean_put(kit, "a", "1");
    clean_roll(kit);
    clean_put(kit, NULL, "2");
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_string_equal(clean_text(kit), "a=1 -=2");
}

static void append_txn(struct kit *kit, int64_t producer, int32_t sequence, const char *key,
                       const char *value)
{
    struct clean_batch batch = {.records = {{key, value, 0}},
                                .count = 1,
                                .timestamp = 1000 + log_end_offset(kit->log),
                                .producer_id = producer,
                                .sequence = sequence,
                                .transactional = true};
    assert_int_equal(clean_append(kit, &batch), 0);
}

static int count_control(struct kit *kit)
{
    struct read_log log;
    int count = 0;
    clean_read(kit, 0, &log);
    for (int i = 0; i < log.count; i++)
        count += log.records[i].control;
    return count;
}

static int count_aborted(struct kit *kit)
{
    struct aborted_transaction *items;
    int32_t count;
    assert_int_equal(log_aborted_transactions(kit->log, 0, log_end_offset(kit->log), true,
                                              &kit->arena, &items, &count),
                     0);
    return count;
}

static void aborted_data_goes_at_once_and_its_marker_later(void **state)
{
    struct kit *kit = *state;
    struct read_log log;
    struct log_clean_rules rules = clean_rules();
    clean_put(kit, "a", "1");
    append_txn(kit, 7, 0, "a", "aborted");
    append_txn(kit, 7, 1, "b", "aborted");
    assert_int_equal(clean_marker(kit, 7, 0, false, 1), 0);
    clean_roll(kit);
    append_txn(kit, 7, 2, "z", "1");
    assert_int_equal(clean_marker(kit, 7, 0, true, 1), 0);
    clean_roll(kit);
    /* First: the data goes, the marker stays, the index still knows of it. */
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_string_equal(clean_text(kit), "a=1 z=1");
    assert_int_equal(count_control(kit), 2);
    assert_int_equal(count_aborted(kit), 1);
    /* Second: nothing is left to mark; it gets its horizon, and the index forgets it. */
    clean_put(kit, "c", "1");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 5500), 0);
    assert_int_equal(count_control(kit), 2);
    assert_int_equal(count_aborted(kit), 0);
    clean_read(kit, 0, &log);
    assert_true(log.batches[1].attributes & BATCH_DELETE_HORIZON);
    assert_int_equal(log.batches[1].base_timestamp, 6500);
    /* Third: gone. The commit still marks data. */
    clean_put(kit, "d", "1");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 6500), 0);
    assert_int_equal(count_control(kit), 1);
    assert_string_equal(clean_text(kit), "a=1 z=1 c=1 d=1");
}

static void nothing_above_an_open_transaction_is_cleaned(void **state)
{
    struct kit *kit = *state;
    struct log_dirt dirt;
    struct log_clean_rules rules = clean_rules();
    clean_put(kit, "a", "1");
    clean_put(kit, "a", "2");
    clean_roll(kit);
    append_txn(kit, 7, 0, "a", "3");
    clean_put(kit, "a", "4");
    clean_roll(kit);
    clean_put(kit, "a", "5");
    assert_int_equal(log_measure_dirt(kit->log, &rules, 5000, &dirt), 0);
    assert_int_equal(dirt.first_uncleanable_offset, 2);
    assert_int_equal(dirt.wait_ms, 0);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_string_equal(clean_text(kit), "a=2 a=3 a=4 a=5");
    assert_int_equal(clean_marker(kit, 7, 0, true, 1), 0);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_string_equal(clean_text(kit), "a=4 a=5");
}

static void the_last_batch_of_a_producer_stays_without_records(void **state)
{
    struct kit *kit = *state;
    struct read_log log;
    struct producer_view *views;
    int32_t count;
    struct log_clean_rules rules = clean_rules();
    struct clean_batch batch = {
        .records = {{"a", "1", 0}, {"b", "1", 0}}, .count = 2, .timestamp = 9, .producer_id = 7};
    assert_int_equal(clean_append(kit, &batch), 0);
    batch.sequence = 2;
    assert_int_equal(clean_append(kit, &batch), 0);
    clean_put(kit, "a", "2");
    clean_put(kit, "b", "2");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_string_equal(clean_text(kit), "a=2 b=2");
    clean_read(kit, 0, &log);
    assert_int_equal(log.batches[0].base_offset, 2);
    assert_int_equal(log.batches[0].record_count, 0);
    assert_int_equal(log.batches[0].last_offset_delta, 1);
    assert_int_equal(log.batches[0].base_sequence, 2);
    assert_int_equal(log.batches[0].producer_id, 7);
    assert_int_equal(log.batches[0].base_timestamp, -1);
    assert_int_equal(log.batches[0].max_timestamp, 10);
    /* A start without snapshots learns the sequence from it. */
    kit_drop(kit);
    ram_disk_remove(kit->disk, KIT_DIR "/00000000000000000006.snapshot");
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_producers(kit->log, &kit->arena, &views, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(views[0].last_sequence, 3);
}

static void the_batch_before_the_high_watermark_stays_without_records(void **state)
{
    struct kit *kit = *state;
    struct read_log log;
    struct log_clean_rules rules = clean_rules();
    clean_put(kit, "a", "1");
    clean_put(kit, NULL, "1");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    clean_read(kit, 0, &log);
    assert_int_equal(log.batch_count, 2);
    assert_int_equal(log.batches[1].base_offset, 1);
    assert_int_equal(log.batches[1].record_count, 0);
}

static void a_full_map_cleans_as_far_as_it_came(void **state)
{
    struct kit *kit = *state;
    char key[16];
    struct log_clean_rules rules = clean_rules();
    rules.map_bytes = 24 * 16;
    rules.map_load_factor = 0.5;
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "k%d", i % 20);
        clean_put(kit, key, i < 20 ? "old" : "new");
    }
    clean_roll(kit);
    clean_put(kit, "end", "1");
    int64_t before = -2;
    for (int round = 0; round < 10 && log_cleaned_to(kit->log) != before; round++) {
        before = log_cleaned_to(kit->log);
        assert_int_equal(clean_all(kit, &rules, 5000), 0);
        if (round == 0)
            assert_int_equal(log_cleaned_to(kit->log), 8);
    }
    assert_int_equal(log_cleaned_to(kit->log), 40);
    struct read_log log;
    clean_read(kit, 0, &log);
    assert_int_equal(log.count, 21);
    for (int i = 0; i < 20; i++)
        assert_string_equal(log.records[i].value, "new");
}

static void a_batch_with_more_keys_than_the_map_is_cleaned_in_parts(void **state)
{
    struct kit *kit = *state;
    struct log_clean_rules rules = clean_rules();
    rules.map_bytes = 0;
    rules.map_load_factor = 0.25;
    struct clean_batch batch = {
        .records = {{"a", "1", 0}, {"b", "1", 0}, {"c", "1", 0}, {"d", "1", 0}, {"e", "1", 0}},
        .count = 5};
    assert_int_equal(clean_append(kit, &batch), 0);
    clean_roll(kit);
    clean_put(kit, "d", "2");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_int_equal(log_cleaned_to(kit->log), 4);
    assert_string_equal(clean_text(kit), "a=1 b=1 c=1 d=1 e=1 d=2");
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_int_equal(log_cleaned_to(kit->log), 6);
    assert_string_equal(clean_text(kit), "a=1 b=1 c=1 e=1 d=2");
}

/* The first cleaning ends within the segment, behind the marker of an aborted transaction. The
 * second begins there and must not take what the producer commits next for aborted. */
static void a_transaction_aborted_before_the_dirty_part_hides_no_later_one(void **state)
{
    struct kit *kit = *state;
    char key[16];
    struct log_clean_rules rules = clean_rules();
    rules.map_bytes = 24 * 16;
    rules.map_load_factor = 0.5;
    clean_put(kit, "k", "old");
    append_txn(kit, 7, 0, "a", "aborted");
    assert_int_equal(clean_marker(kit, 7, 0, false, 1), 0);
    for (int i = 0; i < 9; i++) {
        snprintf(key, sizeof key, "f%d", i);
        clean_put(kit, key, "x");
    }
    append_txn(kit, 7, 1, "k", NULL);
    assert_int_equal(clean_marker(kit, 7, 0, true, 1), 0);
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_int_equal(log_cleaned_to(kit->log), 10);
    assert_int_equal(count_aborted(kit), 1); /* the segment's index still names it */
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_int_equal(log_cleaned_to(kit->log), 14);
    assert_string_equal(clean_text(kit), "f0=x f1=x f2=x f3=x f4=x f5=x f6=x f7=x f8=x k=~");
    /* Without the tombstone the key stays away. */
    clean_put(kit, "n", "1");
    clean_roll(kit);
    assert_int_equal(clean_all(kit, &rules, 7000), 0);
    assert_string_equal(clean_text(kit), "f0=x f1=x f2=x f3=x f4=x f5=x f6=x f7=x f8=x n=1");
}

static void small_segments_are_joined_up_to_segment_bytes(void **state)
{
    struct kit *kit = *state;
    char key[16];
    struct log_clean_rules rules = clean_rules();
    int32_t size = 0;
    for (int i = 0; i < 12; i++) {
        snprintf(key, sizeof key, "key-%02d", i);
        clean_put(kit, key, "value");
        if (i == 0)
            size = (int32_t)log_size_bytes(kit->log);
        clean_roll(kit);
    }
    kit->settings.segment_bytes = 5 * size;
    log_set_settings(kit->log, &kit->settings);
    assert_int_equal(kit->log->segment_count, 13);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_int_equal(kit->log->segment_count, 4);
    assert_int_equal(kit->log->segments[1]->base_offset, 5);
    assert_int_equal(kit->log->segments[2]->base_offset, 10);
    assert_int_equal(log_size_bytes(kit->log), 12 * size);
    assert_int_equal(kit_read_all(kit, 0, 100, NULL), 12);
    /* The snapshots of segments that are no more are gone as well. */
    assert_false(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000004.snapshot"));
    assert_true(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000005.snapshot"));
}

static void the_ratio_decides_what_is_due(void **state)
{
    struct kit *kit = *state;
    struct log_dirt dirt;
    struct log_clean_rules rules = clean_rules();
    for (int i = 0; i < 3; i++) {
        clean_put(kit, i == 0 ? "a" : i == 1 ? "b" : "c", "1");
        clean_roll(kit);
    }
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    clean_put(kit, "d", "1");
    clean_roll(kit);
    rules.min_dirty_ratio = 0.5;
    assert_int_equal(log_measure_dirt(kit->log, &rules, 5000, &dirt), 0);
    assert_int_equal(dirt.clean_bytes, 3 * dirt.cleanable_bytes);
    assert_true(dirt.ratio == 0.25);
    assert_false(dirt.due);
    rules.min_dirty_ratio = 0.2;
    assert_int_equal(log_measure_dirt(kit->log, &rules, 5000, &dirt), 0);
    assert_true(dirt.due);
}

static void lags_delay_cleaning_and_make_it_due(void **state)
{
    struct kit *kit = *state;
    struct log_dirt dirt;
    struct log_clean_rules rules = clean_rules();
    clean_put(kit, "a", "1"); /* at 1000 */
    clean_roll(kit);
    clean_put(kit, "a", "2"); /* at 1001 */
    clean_roll(kit);
    rules.min_lag_ms = 500;
    assert_int_equal(log_measure_dirt(kit->log, &rules, 1500, &dirt), 0);
    assert_int_equal(dirt.first_uncleanable_offset, 1);
    assert_true(dirt.due);
    assert_int_equal(dirt.wait_ms, 1);
    assert_int_equal(log_measure_dirt(kit->log, &rules, 1499, &dirt), 0);
    assert_false(dirt.due);
    assert_int_equal(dirt.wait_ms, 1);
    assert_int_equal(log_measure_dirt(kit->log, &rules, 1501, &dirt), 0);
    assert_int_equal(dirt.first_uncleanable_offset, 2);
    rules.min_lag_ms = 0;
    rules.min_dirty_ratio = 1;
    rules.max_lag_ms = 800;
    assert_int_equal(log_measure_dirt(kit->log, &rules, 1800, &dirt), 0);
    assert_false(dirt.due);
    assert_int_equal(dirt.wait_ms, 1);
    assert_int_equal(log_measure_dirt(kit->log, &rules, 1801, &dirt), 0);
    assert_true(dirt.overdue);
    assert_true(dirt.due);
}

static void a_damaged_batch_ends_cleaning_and_nothing_changes(void **state)
{
    struct kit *kit = *state;
    size_t size;
    struct log_clean_rules rules = clean_rules();
    clean_put(kit, "a", "1");
    clean_put(kit, "a", "2");
    clean_roll(kit);
    uint8_t *data = ram_disk_data(kit->disk, KIT_DIR "/00000000000000000000.log", &size);
    data[size - 3] ^= 1;
    assert_int_equal(clean_all(kit, &rules, 5000), -EBADMSG);
    data = ram_disk_data(kit->disk, KIT_DIR "/00000000000000000000.log", &size);
    data[size - 3] ^= 1;
    assert_string_equal(clean_text(kit), "a=1 a=2");
    assert_int_equal(log_cleaned_to(kit->log), -1);
}

static void the_map_finds_the_last_offset_of_every_key(void **state)
{
    (void)state;
    struct ram_disk *disk = ram_disk_create(3);
    struct cleaner_map map;
    assert_int_equal(cleaner_map_init(&map, ram_disk_env(disk), 24 * 1000, 0.99, INT64_MAX), 0);
    for (uint64_t i = 0; i < 4000; i++) {
        uint64_t key = i % 900;
        assert_true(cleaner_map_put(
            &map, cleaner_map_find(&map, (struct bytes){(uint8_t *)&key, sizeof key}), (int64_t)i));
    }
    for (uint64_t key = 0; key < 1000; key++) {
        int64_t expected = key < 900 ? (int64_t)(key < 400 ? 3600 + key : 2700 + key) : -1;
        assert_int_equal(
            cleaner_map_get(&map,
                            cleaner_map_find(&map, (struct bytes){(uint8_t *)&key, sizeof key})),
            expected);
    }
    assert_int_equal(map.count, 900);
    cleaner_map_close(&map);
    ram_disk_destroy(disk);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, clean_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        T(the_last_value_of_each_key_stays),
        T(the_active_segment_is_never_cleaned),
        T(offsets_and_the_last_sequence_of_a_batch_stay),
        T(a_batch_of_which_all_stays_is_not_touched),
        cmocka_unit_test(compressed_batches_are_compressed_again_by_their_codec),
        T(a_tombstone_stays_until_its_horizon_and_hides_what_was_before),
        T(records_without_a_key_go),
        T(aborted_data_goes_at_once_and_its_marker_later),
        T(nothing_above_an_open_transaction_is_cleaned),
        T(the_last_batch_of_a_producer_stays_without_records),
        T(the_batch_before_the_high_watermark_stays_without_records),
        T(a_full_map_cleans_as_far_as_it_came),
        T(a_batch_with_more_keys_than_the_map_is_cleaned_in_parts),
        T(a_transaction_aborted_before_the_dirty_part_hides_no_later_one),
        T(small_segments_are_joined_up_to_segment_bytes),
        T(the_ratio_decides_what_is_due),
        T(lags_delay_cleaning_and_make_it_due),
        T(a_damaged_batch_ends_cleaning_and_nothing_changes),
        cmocka_unit_test(the_map_finds_the_last_offset_of_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
