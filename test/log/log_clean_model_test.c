/* Random logs, cleaned again and again while they grow, against a naive model; a reader who goes
 * along sees no record twice and misses none that stays; restarts find the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clean_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log_internal.h"

#define SEEDS 60
#define RETENTION_MS 3000

/* Reads a little at a time, by hints where it has them. */
struct walker {
    struct log_position at;
    bool started;
    bool seen[2 * MODEL_RECORDS_MAX];
};

struct run {
    struct kit kit;
    struct model model;
    struct walker walker;
    int64_t retention_ms;
    uint64_t seed;
};

static void walk(struct run *run)
{
    struct walker *walker = &run->walker;
    struct log_span span;
    struct log_read_params params = {.offset = walker->at.offset,
                                     .hint = walker->started ? &walker->at : NULL,
                                     .bound = log_end(run->kit.log),
                                     .max_bytes = 1 + (int32_t)model_random(&run->model, 400),
                                     .min_one_batch = true,
                                     .may_block = true};
    if (walker->at.offset < log_start_offset(run->kit.log))
        params.offset = log_start_offset(run->kit.log);
    assert_int_equal(log_read(run->kit.log, &params, &span), 0);
    uint8_t *data = malloc((size_t)span.size + 1);
    if (span.size)
        assert_int_equal(env_read_all(run->kit.env, file_ref_descriptor(span.file), data,
                                      (size_t)span.size, span.position),
                         0);
    int64_t next = params.offset;
    for (int32_t at = 0; at < span.size;) {
        struct batch batch;
        struct record_reader reader;
        struct record record;
        assert_int_equal(batch_read(data + at, (size_t)(span.size - at), &batch), 0);
        assert_true(batch_last_offset(&batch) >= next);
        int err = record_reader_init(&reader, &batch, 1 << 20);
        while (err == 0 && (err = record_reader_next(&reader, NULL, &record)) == 0)
            if (record.offset >= params.offset) {
                assert_false(walker->seen[record.offset]);
                walker->seen[record.offset] = true;
            }
        record_reader_close(&reader);
        next = batch_last_offset(&batch) + 1;
        at += batch.size;
    }
    assert_true(span.next.offset >= next);
    walker->at = span.next;
    walker->started = true;
    free(data);
    log_span_close(&span);
}

/* Everything that is in the log below the walker's place was seen by it. */
static void check_walked(struct run *run)
{
    struct read_log log;
    clean_read(&run->kit, log_start_offset(run->kit.log), &log);
    for (int i = 0; i < log.count && log.records[i].offset < run->walker.at.offset; i++)
        if (!run->walker.seen[log.records[i].offset])
            fail_msg("seed %llu: the reader missed record %lld", (unsigned long long)run->seed,
                     (long long)log.records[i].offset);
    arena_reset(&run->kit.arena, 0);
}

static void grow(struct run *run, int count)
{
    for (int i = 0; i < count && run->model.count < MODEL_RECORDS_MAX - 50; i++) {
        assert_int_equal(model_append(&run->model, &run->kit), 0);
        ram_disk_set_time(run->kit.disk, env_wall_ms(run->kit.env) + model_random(&run->model, 30));
    }
}

static void between(void *context)
{
    struct run *run = context;
    if (model_random(&run->model, 4) == 0)
        grow(run, 1);
    if (model_random(&run->model, 2) == 0)
        walk(run);
    if (model_random(&run->model, 16) == 0)
        model_check_values(&run->model, &run->kit);
}

static void clean(struct run *run)
{
    struct log_clean_rules rules = clean_rules();
    rules.delete_retention_ms = run->retention_ms;
    if (model_random(&run->model, 4) == 0)
        rules.map_bytes = 24 * (int64_t)(8 + model_random(&run->model, 20));
    if (model_random(&run->model, 3) == 0) /* as if what stays were too much for one segment */
        rules.segment_max_bytes =
            run->kit.settings.segment_bytes / 4 + model_random(&run->model, 500);
    int64_t now_ms = env_wall_ms(run->kit.env), before = log_cleaned_to(run->kit.log);
    assert_int_equal(clean_in_steps(&run->kit, &rules, now_ms, 1 + model_random(&run->model, 2000),
                                    between, run),
                     0);
    assert_true(log_cleaned_to(run->kit.log) >= before);
    model_cleaned(&run->model, &run->kit, now_ms);
    model_check(&run->model, &run->kit, env_wall_ms(run->kit.env), run->retention_ms);
    check_walked(run);
}

static void remove_snapshots(struct kit *kit, int64_t end)
{
    char path[LOG_PATH_MAX];
    for (int64_t offset = 0; offset <= end; offset++) {
        assert_int_equal(segment_path(path, KIT_DIR, offset, SEGMENT_SNAPSHOT, ""), 0);
        if (ram_disk_exists(kit->disk, path))
            ram_disk_remove(kit->disk, path);
    }
}

static void compare_producers(struct run *run, const struct producer_view *before, int32_t count)
{
    struct producer_view *after;
    int32_t after_count;
    assert_int_equal(log_producers(run->kit.log, &run->kit.arena, &after, &after_count), 0);
    assert_int_equal(after_count, count);
    for (int32_t i = 0; i < count; i++) {
        assert_int_equal(after[i].producer_id, before[i].producer_id);
        assert_int_equal(after[i].producer_epoch, before[i].producer_epoch);
        assert_int_equal(after[i].last_sequence, before[i].last_sequence);
        assert_int_equal(after[i].current_txn_start_offset, before[i].current_txn_start_offset);
    }
}

/* A start that has to read the cleaned log instead of snapshots knows the same producers. */
static void restart(struct run *run)
{
    struct kit *kit = &run->kit;
    struct producer_view *before;
    int32_t count;
    int64_t synced, cleaned_to = log_cleaned_to(kit->log), end = log_end_offset(kit->log);
    assert_int_equal(log_flush(kit->log, &synced), 0);
    assert_int_equal(log_producers(kit->log, &kit->arena, &before, &count), 0);
    bool clean = model_random(&run->model, 2);
    if (clean)
        kit_stop_clean(kit);
    else
        kit_drop(kit);
    kit->recovery_point = synced;
    if (model_random(&run->model, 2))
        remove_snapshots(kit, end);
    assert_int_equal(kit_open(kit), 0);
    log_set_high_watermark(kit->log, log_end_offset(kit->log));
    log_set_cleaned_to(kit->log, cleaned_to);
    assert_int_equal(log_end_offset(kit->log), end);
    compare_producers(run, before, count);
    run->walker.started = false;
    model_check(&run->model, kit, env_wall_ms(kit->env), run->retention_ms);
}

static void run_seed(struct run *run, uint64_t seed)
{
    memset(run, 0, sizeof *run);
    model_init(&run->model, seed + 1);
    run->seed = seed;
    run->retention_ms = model_random(&run->model, RETENTION_MS);
    clean_kit_init(&run->kit, 500 + (int32_t)model_random(&run->model, 3000));
    for (int round = 0; round < 8; round++) {
        grow(run, (int)model_random(&run->model, 60));
        walk(run);
        clean(run);
        if (model_random(&run->model, 3) == 0)
            restart(run);
    }
    kit_close(&run->kit);
}

static void any_log_keeps_what_the_model_says(void **state)
{
    (void)state;
    struct run *run = malloc(sizeof *run);
    const char *one = getenv("SEED"), *many = getenv("SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 0;
    uint64_t count = one ? 1 : many ? strtoull(many, NULL, 10) : SEEDS;
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (one || many)
            print_message("seed %llu\n", (unsigned long long)seed);
        run_seed(run, seed);
    }
    free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_log_keeps_what_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
