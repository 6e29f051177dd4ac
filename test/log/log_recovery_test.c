#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "log/text_file.h"
#include "log_kit.h"

#define FILE_0(ext) KIT_DIR "/00000000000000000000." ext

static int setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    kit_init(kit);
    kit->settings.segment_bytes = 20000;
    kit->settings.index_interval_bytes = 500;
    kit->settings.producer_expiration_ms = INT64_MAX;
    assert_int_equal(kit_open(kit), 0);
    *state = kit;
    return 0;
}

/* A log of several segments with every kind of file. */
static void fill(struct kit *kit)
{
    for (int i = 0; i < 300; i++) {
        struct kit_batch batch = {.value_size = 200,
                                  .timestamp = 10000 + i,
                                  .producer_id = 1 + i % 5,
                                  .sequence = i / 5,
                                  .transactional = i % 5 == 0,
                                  .leader_epoch = i / 100};
        assert_int_equal(kit_append(kit, &batch), 0);
        if (i % 50 == 25) {
            struct kit_batch marker = {
                .marker = 2, .producer_id = 1, .timestamp = 10000 + i, .leader_epoch = i / 100};
            assert_int_equal(kit_append(kit, &marker), 0);
        }
    }
}

struct snapshot_of_state {
    int64_t start, end;
    uint32_t checksum;
    int32_t producers, aborted, epoch_1_end;
    int64_t unstable, time_offset, max_time_offset;
};

static struct snapshot_of_state look(struct kit *kit)
{
    struct snapshot_of_state seen = {.start = log_start_offset(kit->log),
                                     .end = log_end_offset(kit->log)};
    struct producer_view *views;
    struct aborted_transaction *aborted;
    struct log_time_result time;
    int32_t epoch;
    int64_t end;
    seen.checksum = kit_checksum(kit, seen.start, seen.end, NULL);
    assert_int_equal(log_producers(kit->log, &kit->arena, &views, &seen.producers), 0);
    for (int32_t i = 0; i < seen.producers; i++)
        seen.checksum = seen.checksum * 31 + (uint32_t)views[i].last_sequence * 7 +
                        (uint32_t)views[i].current_txn_start_offset;
    assert_int_equal(log_aborted_transactions(kit->log, seen.start, seen.end, true, &kit->arena,
                                              &aborted, &seen.aborted),
                     0);
    log_epoch_end(kit->log, 1, &epoch, &end);
    seen.epoch_1_end = (int32_t)end;
    log_set_high_watermark(kit->log, seen.end);
    seen.unstable = log_first_unstable(kit->log);
    assert_int_equal(log_find_by_time(kit->log, 10150, INT64_MAX, NULL, &time), 0);
    seen.time_offset = time.offset;
    assert_int_equal(log_find_max_timestamp(kit->log, INT64_MAX, NULL, &time), 0);
    seen.max_time_offset = time.offset;
    arena_reset(&kit->arena, 0);
    return seen;
}

static void assert_same(const struct snapshot_of_state *a, const struct snapshot_of_state *b)
{
    assert_int_equal(a->start, b->start);
    assert_int_equal(a->end, b->end);
    assert_int_equal(a->producers, b->producers);
    assert_int_equal(a->aborted, b->aborted);
    assert_int_equal(a->epoch_1_end, b->epoch_1_end);
    assert_int_equal(a->unstable, b->unstable);
    assert_int_equal(a->time_offset, b->time_offset);
    assert_int_equal(a->max_time_offset, b->max_time_offset);
    assert_int_equal(a->checksum, b->checksum);
}

static void a_clean_restart_reads_next_to_nothing(void **state)
{
    struct kit *kit = *state;
    fill(kit);
    struct snapshot_of_state before = look(kit);
    kit_stop_clean(kit);
    /* So late that nobody repeats batches any more, see producers_tail.c. */
    ram_disk_set_time(kit->disk, env_wall_ms(kit->env) + 3600 * 1000);
    int64_t read = ram_disk_bytes_read(kit->disk), syncs = ram_disk_syncs(kit->disk);
    assert_int_equal(kit_open(kit), 0);
    read = ram_disk_bytes_read(kit->disk) - read;
    assert_true(read < 8000);
    assert_int_equal(kit->report.recovered_bytes, 0);
    assert_int_equal(kit->report.indexes_rebuilt, 0);
    assert_int_equal(ram_disk_syncs(kit->disk), syncs);
    struct snapshot_of_state after = look(kit);
    assert_same(&before, &after);
    /* And goes on where it was. */
    struct kit_batch again = {.value_size = 200,
                              .timestamp = 10000 + 299,
                              .producer_id = 5,
                              .sequence = 59,
                              .leader_epoch = 2};
    assert_int_equal(kit_append(kit, &again), 0);
    assert_true(kit->result.duplicate);
    assert_int_equal(kit->result.base_offset, log_end_offset(kit->log) - 1);
}

static void a_clean_stop_leaves_what_kafka_leaves(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 5, 100);
    kit_stop_clean(kit);
    size_t size;
    assert_non_null(ram_disk_data(kit->disk, FILE_0("index"), &size));
    assert_int_equal(size, 8);
    assert_non_null(ram_disk_data(kit->disk, FILE_0("timeindex"), &size));
    assert_int_equal(size, 24);
    assert_non_null(ram_disk_data(kit->disk, KIT_DIR "/00000000000000000005.snapshot", &size));
    assert_int_equal(size, 10);
    assert_false(ram_disk_exists(kit->disk, FILE_0("txnindex")));
    /* Power loss after the stop takes nothing. */
    ram_disk_crash(kit->disk, RAM_CRASH_CLEAN);
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 5);
}

static void recovery_reads_only_above_the_recovery_point(void **state)
{
    struct kit *kit = *state;
    int64_t synced;
    struct log_settings settings = kit->settings;
    settings.segment_bytes = 10 << 20;
    settings.index_interval_bytes = 4096;
    log_set_settings(kit->log, &settings);
    kit->settings = settings;
    kit_fill(kit, 5000, 500);
    assert_int_equal(log_flush(kit->log, &synced), 0);
    assert_int_equal(synced, 5000);
    kit_fill(kit, 20, 500);
    kit_drop(kit);
    kit->recovery_point = synced;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 5020);
    assert_true(kit->report.recovered_bytes < 20 * 700);
}

static void a_damaged_tail_is_cut_at_the_last_sound_batch(void **state)
{
    struct kit *kit = *state;
    int64_t synced;
    kit_fill(kit, 10, 100);
    assert_int_equal(log_flush(kit->log, &synced), 0);
    kit_fill(kit, 10, 100);
    size_t size;
    uint8_t *data = ram_disk_data(kit->disk, FILE_0("log"), &size);
    kit_drop(kit);
    data[size * 15 / 20 + 80] ^= 1;
    kit->recovery_point = synced;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 15);
    assert_int_equal(kit->report.dropped_bytes, size / 4);
    kit_fill(kit, 5, 100);
    assert_int_equal(kit_read_all(kit, 0, 1 << 20, NULL), 20);
}

static void damage_below_the_recovery_point_is_refused_and_nothing_changed(void **state)
{
    struct kit *kit = *state;
    int64_t synced;
    kit_fill(kit, 20, 100);
    assert_int_equal(log_flush(kit->log, &synced), 0);
    kit_fill(kit, 10, 100);
    size_t size;
    uint8_t *data = ram_disk_data(kit->disk, FILE_0("log"), &size);
    kit_drop(kit);
    kit->recovery_point = synced;
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);

    /* A length of a batch in the middle. */
    data[size * 15 / 30 + 8] ^= 0x40;
    assert_int_equal(kit_open(kit), -EUCLEAN);
    data = ram_disk_data(kit->disk, FILE_0("log"), &size);
    data[size * 15 / 30 + 8] ^= 0x40;
    assert_memory_equal(data, copy, size);

    /* The file is too short. */
    ram_disk_put(kit->disk, FILE_0("log"), copy, size / 2);
    assert_int_equal(kit_open(kit), -EUCLEAN);
    /* It is gone. */
    ram_disk_remove(kit->disk, FILE_0("log"));
    assert_int_equal(kit_open(kit), -EUCLEAN);
    ram_disk_put(kit->disk, FILE_0("log"), copy, size);
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 30);
    free(copy);
}

static void damage_after_a_clean_stop_is_refused(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 20, 100);
    kit_stop_clean(kit);
    size_t size;
    uint8_t *data = ram_disk_data(kit->disk, FILE_0("log"), &size);
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    ram_disk_put(kit->disk, FILE_0("log"), copy, size - 7);
    kit->clean = true;
    assert_int_equal(kit_open(kit), -EUCLEAN);
    ram_disk_put(kit->disk, FILE_0("log"), copy, size * 19 / 20);
    kit->clean = true;
    assert_int_equal(kit_open(kit), -EUCLEAN);
    ram_disk_put(kit->disk, FILE_0("log"), copy, size);
    kit->clean = true;
    assert_int_equal(kit_open(kit), 0);
    free(copy);
}

struct file_list {
    char paths[128][128];
    int count;
};

static void list_add(void *context, const char *path)
{
    struct file_list *list = context;
    size_t size = strlen(KIT_DIR "/");
    if (strncmp(path, KIT_DIR "/", size) == 0)
        strcpy(list->paths[list->count++], path);
}

static bool is_data(const char *path)
{
    return strcmp(path + strlen(path) - 4, ".log") == 0;
}

/* Every auxiliary file removed, emptied, cut, filled with zeros or flipped, one at a time, after a
 * clean stop and after a crash: the log is what it was. */
static void damaged_auxiliary_files_are_rebuilt(void **state)
{
    struct kit *kit = *state;
    struct file_list list = {0};
    fill(kit);
    struct snapshot_of_state before = look(kit);
    kit_stop_clean(kit);
    ram_disk_each(kit->disk, list_add, &list);
    for (int i = 0; i < list.count * 6; i++) {
        const char *path = list.paths[i / 6];
        size_t size;
        uint8_t *data = ram_disk_data(kit->disk, path, &size);
        if (is_data(path) || !data)
            continue;
        uint8_t *copy = calloc(1, size + 1);
        memcpy(copy, data, size);
        switch (i % 6) {
        case 0:
            ram_disk_remove(kit->disk, path);
            break;
        case 1:
            ram_disk_put(kit->disk, path, copy, 0);
            break;
        case 2:
            ram_disk_put(kit->disk, path, copy, size ? size - 1 : 0);
            break;
        case 3:
            memset(data, 0, size);
            break;
        case 4:
            ram_disk_put(kit->disk, path, copy, size + 1);
            break;
        default:
            if (size)
                data[size / 2] ^= 0x11;
        }
        for (int clean = 0; clean < 2; clean++) {
            kit->clean = clean;
            kit->recovery_point = 0;
            struct ram_disk *disk = kit->disk;
            kit->disk = ram_disk_clone(disk, 1);
            kit->env = ram_disk_env(kit->disk);
            file_cache_destroy(kit->files);
            kit->files = file_cache_create(kit->env, 16);
            int err = kit_open(kit);
            /* A .txnindex that is missing or empty cannot be told from one that never was. */
            bool lies = clean && i % 6 < 2 && strstr(path, ".txnindex");
            bool foreign = i % 6 == 5 && strstr(path, PARTITION_METADATA);
            assert_int_equal(err, foreign ? KAFKA_INCONSISTENT_TOPIC_ID : 0);
            if (err == 0 && !lies) {
                struct snapshot_of_state after = look(kit);
                assert_same(&before, &after);
            }
            kit_drop(kit);
            file_cache_destroy(kit->files);
            ram_disk_destroy(kit->disk);
            kit->disk = disk;
            kit->env = ram_disk_env(disk);
            kit->files = file_cache_create(kit->env, 16);
        }
        ram_disk_put(kit->disk, path, copy, size);
        free(copy);
    }
}

/* Bits of every file flipped at random, in both kinds of start: no crash; either the log is refused
 * or what is read is true. */
static void flipped_bits_are_repaired_or_refused(void **state)
{
    struct kit *kit = *state;
    struct file_list list = {0};
    int opened = 0, refused = 0;
    fill(kit);
    int64_t end = log_end_offset(kit->log);
    kit_stop_clean(kit);
    ram_disk_each(kit->disk, list_add, &list);
    for (unsigned round = 0; round < 600; round++) {
        const char *path = list.paths[round % (unsigned)list.count];
        struct ram_disk *disk = kit->disk;
        kit->disk = ram_disk_clone(disk, round);
        kit->env = ram_disk_env(kit->disk);
        file_cache_destroy(kit->files);
        kit->files = file_cache_create(kit->env, 16);
        size_t size;
        uint8_t *data = ram_disk_data(kit->disk, path, &size);
        if (data && size)
            data[(round * 2654435761u) % size] ^= (uint8_t)(1u << (round / 3) % 8);
        kit->clean = round % 2;
        kit->recovery_point = 0;
        int err = kit_open(kit);
        if (err == 0) {
            opened++;
            assert_true(log_end_offset(kit->log) <= end);
            if (!is_data(path))
                assert_int_equal(kit_read_all(kit, log_start_offset(kit->log), 3000, NULL), end);
            kit_drop(kit);
        } else {
            assert_true(err == -EUCLEAN || err == KAFKA_INCONSISTENT_TOPIC_ID);
            refused++;
        }
        file_cache_destroy(kit->files);
        ram_disk_destroy(kit->disk);
        kit->disk = disk;
        kit->env = ram_disk_env(disk);
        kit->files = file_cache_create(kit->env, 16);
    }
    assert_true(opened > 300);
    assert_true(refused > 0);
}

static void a_lying_index_costs_time_not_records(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 60, 200);
    kit_stop_clean(kit);
    size_t size;
    uint8_t *data = ram_disk_data(kit->disk, FILE_0("index"), &size);
    for (size_t i = 0; i < size / 8 - 1; i++)
        store_be32(data + i * 8 + 4, load_be32(data + i * 8 + 4) + 3);
    assert_int_equal(kit_open(kit), 0);
    for (int64_t offset = 0; offset < 60; offset++) {
        int batches;
        kit_checksum(kit, offset, offset + 1, &batches);
        assert_int_equal(batches, 1);
    }
    assert_int_equal(kit_read_all(kit, 0, 700, NULL), 60);
}

static void an_index_with_negative_positions_is_read_around(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 200, 200);
    kit_stop_clean(kit);
    size_t size;
    uint8_t *data = ram_disk_data(kit->disk, FILE_0("index"), &size);
    for (size_t at = 4; at < size; at += 8)
        data[at] ^= 0x80;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(kit_read_all(kit, 0, 700, NULL), 200);
}

static void kafkas_preallocated_indexes_are_taken(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 60, 200);
    kit_stop_clean(kit);
    kit->clean = false;
    size_t size;
    static uint8_t large[1 << 20];
    uint8_t *data = ram_disk_data(kit->disk, FILE_0("index"), &size);
    memcpy(large, data, size);
    ram_disk_put(kit->disk, FILE_0("index"), large, sizeof large);
    memset(large, 0, size);
    size_t time_size;
    data = ram_disk_data(kit->disk, FILE_0("timeindex"), &time_size);
    memcpy(large, data, time_size);
    ram_disk_put(kit->disk, FILE_0("timeindex"), large, 1 << 19);
    kit->recovery_point = 60;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 60);
    ram_disk_data(kit->disk, FILE_0("index"), &size);
    assert_true(size < 600);
    kit_fill(kit, 10, 200);
    assert_int_equal(kit_read_all(kit, 0, 700, NULL), 70);
}

/* A compacted log of 40 records that was never flushed. Of its first segment the first batch alone
 * remains, as a cleaner leaves it or a loss of power. Gives the last segment's index. */
static void make_gap(struct kit *kit, int *ret_second, char ret_index[128])
{
    char path[128];
    size_t size;
    int second = 1, last;
    kit->settings.segment_bytes = 2000;
    kit->settings.cleanup_compact = true;
    kit_drop(kit);
    assert_int_equal(kit_open(kit), 0);
    kit_fill(kit, 40, 100);
    kit_drop(kit);
    for (;; second++) {
        snprintf(path, sizeof path, KIT_DIR "/%020d.log", second);
        if (ram_disk_exists(kit->disk, path))
            break;
    }
    for (last = 39;; last--) {
        snprintf(path, sizeof path, KIT_DIR "/%020d.log", last);
        if (ram_disk_exists(kit->disk, path))
            break;
    }
    assert_in_range(second, 4, last - 1);
    uint8_t *data = ram_disk_data(kit->disk, FILE_0("log"), &size);
    uint8_t *copy = malloc(size);
    ram_disk_put(kit->disk, FILE_0("log"), memcpy(copy, data, size), size / (size_t)second);
    free(copy);
    snprintf(ret_index, 128, KIT_DIR "/%020d.index", last);
    *ret_second = second;
}

/* Kafka's cleaner works above the recovery point, and Kafka may be killed before that rises: a gap
 * between segments is no lost tail then. In what was ours last it is one. */
static void a_gap_that_kafkas_cleaner_left_is_no_lost_tail(void **state)
{
    struct kit *kit = *state;
    char index[128];
    int second;
    make_gap(kit, &second, index);
    kit->gaps_stand = true;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 40);
    assert_int_equal(kit->report.dropped_bytes, 0);
    assert_int_equal(kit_read_all(kit, second, 1 << 20, NULL), 40);
    assert_true(kit->report.gaps);
    assert_int_equal(log_flush(kit->log, &kit->recovery_point), 0);
    assert_int_equal(kit->recovery_point, 40);
    kit->gaps_stand = false;
    kit_drop(kit);
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 40);
    assert_false(kit->report.gaps);
    kit_drop(kit);
    kit->recovery_point = 0;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 1);
}

/* A log that is not compacted has no gaps, whoever had it. */
static void a_gap_of_a_log_that_is_not_compacted_is_a_lost_tail(void **state)
{
    struct kit *kit = *state;
    char index[128];
    int second;
    make_gap(kit, &second, index);
    kit->settings.cleanup_compact = false;
    kit->gaps_stand = true;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 1);
}

/* Kafka's active segment has a preallocated index. Who did not know better is told, before anything
 * is changed. */
static void a_gap_beside_kafkas_index_is_told(void **state)
{
    struct kit *kit = *state;
    static const uint8_t preallocated[1 << 20];
    char index[128];
    size_t size;
    int second;
    make_gap(kit, &second, index);
    ram_disk_put(kit->disk, index, preallocated, sizeof preallocated);
    for (int times = 0; times < 2; times++) {
        assert_int_equal(kit_open(kit), -ESTALE);
        assert_non_null(ram_disk_data(kit->disk, index, &size));
        assert_int_equal(size, sizeof preallocated);
    }
    kit->gaps_stand = true;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 40);
    assert_int_equal(kit_read_all(kit, second, 1 << 20, NULL), 40);
}

static void leftovers_of_compaction_are_finished_or_removed(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 200, 200);
    kit_stop_clean(kit);
    size_t size;
    uint8_t *data = ram_disk_data(kit->disk, FILE_0("log"), &size);
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    ram_disk_put(kit->disk, FILE_0("log.swap"), copy, size);
    ram_disk_put(kit->disk, FILE_0("index.swap"), copy, 0);
    ram_disk_put(kit->disk, FILE_0("timeindex.swap"), copy, 0);
    ram_disk_put(kit->disk, FILE_0("log.deleted"), copy, 10);
    ram_disk_put(kit->disk, KIT_DIR "/00000000000000999999.index", copy, 8);
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), 200);
    assert_int_equal(kit_read_all(kit, 0, 3000, NULL), 200);
    assert_false(ram_disk_exists(kit->disk, FILE_0("log.swap")));
    assert_false(ram_disk_exists(kit->disk, FILE_0("log.deleted")));
    assert_false(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000999999.index"));
    kit_stop_clean(kit);

    ram_disk_put(kit->disk, FILE_0("log.swap"), copy, 5);
    ram_disk_put(kit->disk, FILE_0("log.cleaned"), copy, 5);
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(kit_read_all(kit, 0, 3000, NULL), 200);
    assert_false(ram_disk_exists(kit->disk, FILE_0("log.swap")));
    assert_false(ram_disk_exists(kit->disk, FILE_0("log.cleaned")));
    free(copy);
}

static void another_topics_folder_is_refused(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 1, 100);
    kit_stop_clean(kit);
    struct uuid id = kit->topic_id;
    kit->topic_id = uuid_of(5, 5000);
    assert_int_equal(kit_open(kit), KAFKA_INCONSISTENT_TOPIC_ID);
    kit->topic_id = id;
    kit->clean = true;
    assert_int_equal(kit_open(kit), 0);
}

static void a_start_above_the_end_starts_over(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 10, 100);
    kit_stop_clean(kit);
    kit->log_start_offset = 50;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_start_offset(kit->log), 50);
    assert_int_equal(log_end_offset(kit->log), 50);
    kit_fill(kit, 1, 100);
    assert_int_equal(kit->result.base_offset, 50);
}

static void the_start_from_the_checkpoint_holds(void **state)
{
    struct kit *kit = *state;
    kit_fill(kit, 10, 100);
    kit_stop_clean(kit);
    kit->log_start_offset = 4;
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_start_offset(kit->log), 4);
    struct log_span span;
    struct log_read_params params = {
        .offset = 3, .bound = log_end(kit->log), .max_bytes = 100, .may_block = true};
    assert_int_equal(log_read(kit->log, &params, &span), KAFKA_OFFSET_OUT_OF_RANGE);
}

static void read_errors_at_open_are_told(void **state)
{
    struct kit *kit = *state;
    fill(kit);
    kit_drop(kit);
    ram_disk_fail_reads(kit->disk, 1, -EIO);
    assert_int_equal(kit_open(kit), -EIO);
    assert_int_equal(ram_disk_open_files(kit->disk), 0);
    assert_int_equal(kit_open(kit), 0);
}

static void a_failed_sync_is_told_and_moves_no_recovery_point(void **state)
{
    struct kit *kit = *state;
    int64_t synced = -1;
    fill(kit);
    ram_disk_fail_syncs(kit->disk, 1, -EIO);
    assert_int_equal(log_flush(kit->log, &synced), -EIO);
    assert_int_equal(synced, -1);
    assert_int_equal(log_recovery_point(kit->log), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_clean_restart_reads_next_to_nothing),
        TEST(a_clean_stop_leaves_what_kafka_leaves),
        TEST(recovery_reads_only_above_the_recovery_point),
        TEST(a_damaged_tail_is_cut_at_the_last_sound_batch),
        TEST(damage_below_the_recovery_point_is_refused_and_nothing_changed),
        TEST(damage_after_a_clean_stop_is_refused),
        TEST(damaged_auxiliary_files_are_rebuilt),
        TEST(flipped_bits_are_repaired_or_refused),
        TEST(a_lying_index_costs_time_not_records),
        TEST(an_index_with_negative_positions_is_read_around),
        TEST(kafkas_preallocated_indexes_are_taken),
        TEST(a_gap_that_kafkas_cleaner_left_is_no_lost_tail),
        TEST(a_gap_of_a_log_that_is_not_compacted_is_a_lost_tail),
        TEST(a_gap_beside_kafkas_index_is_told),
        TEST(leftovers_of_compaction_are_finished_or_removed),
        TEST(another_topics_folder_is_refused),
        TEST(a_start_above_the_end_starts_over),
        TEST(the_start_from_the_checkpoint_holds),
        TEST(read_errors_at_open_are_told),
        TEST(a_failed_sync_is_told_and_moves_no_recovery_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
