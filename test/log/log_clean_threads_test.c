/* Readers follow a log that one thread appends to and another cleans, on a real disk and with few
 * open files, so that segments are opened by name while their names change hands. Some records have
 * a key of their own: a reader must meet every one of them, in order. For ThreadSanitizer, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/must.h"
#include "clean_kit.h"
#include "os/linux_env.h"

struct shared {
    struct kit kit; /* of the real disk */
    pthread_mutex_t writer;
    _Atomic bool cleaner_waits; /* the mutex knows no order: let it come to its turn */
    _Atomic bool stop;
    _Atomic int64_t passes, cleanings;
};

static void cleaner_lock(struct shared *shared)
{
    atomic_store(&shared->cleaner_waits, true);
    pthread_mutex_lock(&shared->writer);
    atomic_store(&shared->cleaner_waits, false);
}

static void *cleaner_run(void *context)
{
    struct shared *shared = context;
    struct log *log = shared->kit.log;
    struct log_clean_rules rules = clean_rules();
    rules.map_bytes = 1 << 20;
    while (!atomic_load(&shared->stop)) {
        struct log_dirt dirt;
        struct log_cleaning *cleaning;
        enum log_cleaning_next next = CLEANING_GOES_ON;
        int64_t bytes, now_ms = env_wall_ms(shared->kit.env);
        must(log_flush(log, &bytes) == 0);
        must(log_measure_dirt(log, &rules, now_ms, &dirt) == 0);
        if (!dirt.due)
            continue;
        cleaner_lock(shared);
        int err = log_cleaning_begin(log, &rules, &dirt, now_ms, &cleaning);
        pthread_mutex_unlock(&shared->writer);
        must(err == 0);
        while (next != CLEANING_DONE) {
            must(log_cleaning_step(cleaning, 20000, &next, &bytes) == 0);
            while (next == CLEANING_WANTS_WRITER) {
                cleaner_lock(shared);
                err = log_cleaning_swap(cleaning);
                pthread_mutex_unlock(&shared->writer);
                must(err == 0 || err == -EAGAIN);
                if (err == 0)
                    next = CLEANING_GOES_ON;
            }
        }
        log_set_cleaned_to(log, log_cleaning_end(cleaning));
        log_cleaning_destroy(cleaning);
        log_remove_deleted(log, INT64_MAX, false);
        atomic_fetch_add(&shared->cleanings, 1);
    }
    return NULL;
}

/* The records with keys of their own come one after the other, and nothing comes twice. */
static void check_batch(const struct batch *batch, int64_t *offset, int *next_own)
{
    struct record_reader reader;
    struct record record;
    must(batch_checksum_ok(batch) && batch_last_offset(batch) >= *offset);
    int err = record_reader_init(&reader, batch, 1 << 20);
    while (err == 0 && (err = record_reader_next(&reader, NULL, &record)) == 0) {
        if (record.offset < *offset || record.key.data[0] != 'o')
            continue;
        char text[16] = {0};
        memcpy(text, record.key.data + 1, (size_t)record.key.size - 1);
        must(atoi(text) == (*next_own)++);
    }
    record_reader_close(&reader);
    must(err == -ENODATA);
    *offset = batch_last_offset(batch) + 1;
}

static void *reader_run(void *context)
{
    struct shared *shared = context;
    struct log *log = shared->kit.log;
    struct log_position hint = {-1, -1, 0, 0};
    int64_t offset = 0;
    int next_own = 0;
    struct log_position bound = log_end(log);
    while (!atomic_load(&shared->stop)) {
        struct log_span span;
        struct log_read_params params = {.offset = offset,
                                         .hint = &hint,
                                         .bound = bound,
                                         .max_bytes = 3000,
                                         .min_one_batch = true,
                                         .may_block = true};
        must(log_read(log, &params, &span) == 0);
        if (span.size == 0) {
            offset = next_own = 0;
            hint.offset = -1;
            bound = log_end(log);
            atomic_fetch_add(&shared->passes, 1);
            continue;
        }
        uint8_t *data = malloc((size_t)span.size);
        must(env_read_all(shared->kit.env, file_ref_descriptor(span.file), data, (size_t)span.size,
                          span.position) == 0);
        for (int32_t at = 0; at < span.size;) {
            struct batch batch;
            must(batch_read(data + at, (size_t)(span.size - at), &batch) == 0);
            check_batch(&batch, &offset, &next_own);
            at += batch.size;
        }
        free(data);
        hint = span.next;
        log_span_close(&span);
    }
    return NULL;
}

static void append(struct shared *shared, int i)
{
    char keys[3][16], value[120];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    struct clean_batch batch = {.count = 3, .timestamp = env_wall_ms(shared->kit.env)};
    for (int r = 0; r < 3; r++) {
        snprintf(keys[r], sizeof keys[r], "%c%d", r == 1 && i % 5 == 0 ? 'o' : 'k',
                 r == 1 && i % 5 == 0 ? i / 5 : (i * 7 + r * 3) % 40);
        batch.records[r] = (struct clean_record){keys[r], value, 0};
    }
    /* Neither the cleaner nor the readers are left behind, however slow they are. */
    while (atomic_load(&shared->cleaner_waits) ||
           log_end_offset(shared->kit.log) - log_cleaned_to(shared->kit.log) > 2000)
        sched_yield();
    pthread_mutex_lock(&shared->writer);
    assert_int_equal(clean_append(&shared->kit, &batch), 0);
    pthread_mutex_unlock(&shared->writer);
}

static void readers_see_no_hole_and_nothing_twice_while_segments_are_replaced(void **state)
{
    (void)state;
    char dir[] = "/tmp/jackdaw-clean-XXXXXX", path[64];
    struct shared *shared = calloc(1, sizeof *shared);
    struct kit *kit = &shared->kit;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/t-0", dir);
    kit_init(kit);
    struct ram_disk *disk = kit->disk;
    file_cache_destroy(kit->files);
    kit->env = linux_env_create(NULL);
    kit->files = file_cache_create(kit->env, 2);
    struct log_open_params params = {.env = kit->env,
                                     .say = &kit->say,
                                     .files = kit->files,
                                     .dir = path,
                                     .topic = STR("t"),
                                     .settings = kit->settings};
    params.settings.segment_bytes = 20000;
    params.settings.cleanup_compact = true;
    assert_int_equal(log_open(&params, &kit->log, NULL), 0);
    pthread_mutex_init(&shared->writer, NULL);

    pthread_t readers[2], cleaner;
    for (int i = 0; i < 2; i++)
        pthread_create(&readers[i], NULL, reader_run, shared);
    pthread_create(&cleaner, NULL, cleaner_run, shared);
    for (int i = 0;
         i < 1500 || atomic_load(&shared->cleanings) < 5 || atomic_load(&shared->passes) < 10; i++)
        append(shared, i);
    atomic_store(&shared->stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    pthread_join(cleaner, NULL);
    assert_true(atomic_load(&shared->cleanings) >= 5);
    assert_int_equal(log_close_clean(kit->log), 0);
    log_destroy(kit->log);
    file_cache_destroy(kit->files);
    assert_int_equal(env_remove_tree(kit->env, dir), 0);
    linux_env_destroy(kit->env);
    arena_close(&kit->arena);
    ram_disk_destroy(disk);
    pthread_mutex_destroy(&shared->writer);
    free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_no_hole_and_nothing_twice_while_segments_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
