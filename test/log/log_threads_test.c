/* One writer, several readers and a flusher on a real disk; meant for ThreadSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "log/log.h"
#include "log_kit.h"
#include "os/linux_env.h"

struct shared {
    struct log *log;
    struct env *env;
    _Atomic bool stop;
    _Atomic int64_t spans, flushes;
};

/* Follow the log from its start to its end, over and over, checking every batch. */
static void *reader_run(void *context)
{
    struct shared *shared = context;
    int64_t offset = 0;
    struct log_position hint = {-1, -1, 0, 0};
    while (!atomic_load(&shared->stop)) {
        struct log_span span;
        struct log_read_params params = {.offset = offset,
                                         .hint = &hint,
                                         .bound = log_end(shared->log),
                                         .max_bytes = 5000,
                                         .min_one_batch = true,
                                         .may_block = true};
        int err = log_read(shared->log, &params, &span);
        if (err == KAFKA_OFFSET_OUT_OF_RANGE) {
            offset = log_start_offset(shared->log);
            continue;
        }
        if (err == -ENOENT)
            continue; /* given up between lookup and open */
        if (err)
            abort();
        if (span.size == 0) {
            offset = log_start_offset(shared->log);
            continue;
        }
        uint8_t *data = malloc((size_t)span.size);
        if (env_read_all(shared->env, file_ref_descriptor(span.file), data, (size_t)span.size,
                         span.position) != 0)
            abort();
        for (int32_t at = 0; at < span.size;) {
            struct batch batch;
            if (batch_read(data + at, (size_t)(span.size - at), &batch) != 0 ||
                !batch_checksum_ok(&batch) || batch_last_offset(&batch) < offset)
                abort();
            offset = batch_last_offset(&batch) + 1;
            at += batch.size;
        }
        free(data);
        hint = span.next;
        log_span_close(&span);
        atomic_fetch_add(&shared->spans, 1);
    }
    return NULL;
}

static void *flusher_run(void *context)
{
    struct shared *shared = context;
    while (!atomic_load(&shared->stop)) {
        int64_t synced;
        if (log_flush(shared->log, &synced) != 0)
            abort();
        log_set_high_watermark(shared->log, synced);
        log_remove_deleted(shared->log, INT64_MAX, false);
        int32_t epoch;
        int64_t end;
        log_epoch_end(shared->log, 1, &epoch, &end);
        atomic_fetch_add(&shared->flushes, 1);
    }
    return NULL;
}

static void readers_and_flushes_run_beside_appends_rolls_and_retention(void **state)
{
    (void)state;
    char dir[] = "/tmp/jackdaw-log-XXXXXX", path[64];
    struct kit kit;
    assert_non_null(mkdtemp(dir));
    kit_init(&kit);
    snprintf(path, sizeof path, "%s/t-0", dir);
    struct shared shared = {.env = linux_env_create(NULL)};
    struct file_cache *files = file_cache_create(shared.env, 4);
    struct log_open_params params = {.env = shared.env,
                                     .say = &kit.say,
                                     .files = files,
                                     .dir = path,
                                     .topic = STR("t"),
                                     .settings = kit.settings};
    params.settings.segment_bytes = 50000;
    params.settings.retention_bytes = 200000;
    assert_int_equal(log_open(&params, &shared.log, NULL), 0);

    pthread_t readers[2], flusher;
    for (int i = 0; i < 2; i++)
        pthread_create(&readers[i], NULL, reader_run, &shared);
    pthread_create(&flusher, NULL, flusher_run, &shared);
    kit.log = shared.log;
    /* At least this many appends, and until the others have had their turns. */
    for (int i = 0;
         i < 3000 || atomic_load(&shared.spans) < 100 || atomic_load(&shared.flushes) < 5; i++) {
        struct kit_batch batch = {.records = 1 + i % 3,
                                  .value_size = 100 + i % 1000,
                                  .timestamp = i,
                                  .producer_id = 1 + i % 3,
                                  .producer_epoch = (int16_t)(i / 100 % 30000),
                                  .transactional = i % 3 == 0,
                                  .leader_epoch = i / 1000};
        int err = kit_append_as(&kit, &batch, LOG_ORIGIN_COORDINATOR);
        assert_true(err == 0 || err == KAFKA_INVALID_TXN_STATE);
        if (i % 30 == 29) {
            struct kit_batch marker = {.marker = 1 + i % 2,
                                       .producer_id = 1,
                                       .producer_epoch = (int16_t)(i / 100 % 30000)};
            assert_int_equal(kit_append(&kit, &marker), 0);
        }
        if (i % 200 == 199)
            assert_true(log_apply_retention(shared.log, 0, log_end_offset(shared.log)) >= 0);
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    pthread_join(flusher, NULL);
    assert_int_equal(log_close_clean(shared.log), 0);
    log_destroy(shared.log);
    file_cache_destroy(files);
    assert_int_equal(env_remove_tree(shared.env, dir), 0);
    linux_env_destroy(shared.env);
    kit.log = NULL;
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_and_flushes_run_beside_appends_rolls_and_retention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
