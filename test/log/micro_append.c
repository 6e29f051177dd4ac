/* What an append costs beyond the write, what an untouched log weighs, how fast logs open. A
 * measurement, not a test: micro-append DIRECTORY. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "log/log.h"
#include "os/linux_env.h"

#define APPENDS 200000
#define LARGE_APPENDS 400
#define LOGS 1000

static const struct log_settings settings = {
    .segment_bytes = 1 << 30,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 10 << 20,
    .index_interval_bytes = 4096,
    .retention_ms = -1,
    .retention_bytes = -1,
    .producer_expiration_ms = 86400000,
};

static struct log *open_log(struct env *env, struct file_cache *files, const struct say *say,
                            const char *dir, bool clean)
{
    struct log *log;
    struct log_open_params params = {.env = env,
                                     .say = say,
                                     .files = files,
                                     .dir = dir,
                                     .topic_id = uuid_of(1, 1000),
                                     .settings = settings,
                                     .clean = clean};
    must(log_open(&params, &log, NULL) == 0);
    return log;
}

static uint8_t *build(int value_size, int64_t producer, size_t *ret_size)
{
    struct batch_builder builder;
    uint8_t *value = calloc(1, (size_t)value_size);
    batch_builder_init(&builder, 0);
    builder.producer_id = producer;
    if (producer >= 0)
        builder.producer_epoch = 0, builder.base_sequence = 0;
    batch_builder_add(&builder, 1, (struct bytes){0}, (struct bytes){value, value_size}, NULL, 0);
    must(batch_builder_finish(&builder) == 0);
    uint8_t *data = builder.out.data;
    *ret_size = builder.out.size;
    builder.out = (struct writer){0};
    batch_builder_close(&builder);
    free(value);
    return data;
}

/* Nanoseconds per append of one batch of this size. */
static double time_appends(struct env *env, struct log *log, int value_size, int64_t producer,
                           int count)
{
    struct log_append_params params = {0, LOG_ORIGIN_CLIENT, 0};
    struct log_append_result result;
    struct validated records;
    struct arena arena;
    size_t size;
    uint8_t *data = build(value_size, producer, &size);
    arena_init(&arena, 0);
    must(log_records_from(data, size, &arena, &records) == 0);
    int64_t start = env_now_ns(env);
    for (int i = 0; i < count; i++) {
        records.batches[0].base_sequence = producer >= 0 ? i : -1;
        must(log_append(log, &records, &params, &result) == 0 && !result.duplicate);
    }
    double each = (double)(env_now_ns(env) - start) / count;
    arena_close(&arena);
    free(data);
    return each;
}

static double time_writes(struct env *env, const char *path, int size, int count)
{
    void *data = calloc(1, (size_t)size);
    int file = env_open(env, path, ENV_WRITE | ENV_CREATE | ENV_TRUNCATE);
    must(file >= 0);
    int64_t start = env_now_ns(env);
    for (int i = 0; i < count; i++)
        must(env_write_all(env, file, data, (size_t)size, (int64_t)i * size) == 0);
    double each = (double)(env_now_ns(env) - start) / count;
    (void)env_close(env, file);
    (void)env_unlink(env, path);
    free(data);
    return each;
}

static void measure_size(struct env *env, struct file_cache *files, const struct say *say,
                         const char *root, const char *kind, int value_size, int count)
{
    char path[512];
    snprintf(path, sizeof path, "%s/plain", root);
    double plain = time_writes(env, path, value_size + 70, count);
    for (int idempotent = 0; idempotent < 2; idempotent++) {
        snprintf(path, sizeof path, "%s/%s%d-0", root, kind, idempotent);
        struct log *log = open_log(env, files, say, path, true);
        double each = time_appends(env, log, value_size, idempotent ? 7 : -1, count);
        printf("append %s%s: %.0f ns, the bare write %.0f ns, beyond it %.0f ns\n", kind,
               idempotent ? " idempotent" : "", each, plain, each - plain);
        log_destroy(log);
    }
}

static void measure_logs(struct env *env, struct file_cache *files, const struct say *say,
                         const char *root)
{
    static struct log *logs[LOGS];
    char path[512];
    for (int round = 0; round < 2; round++) {
        size_t before = mallinfo2().uordblks;
        int64_t start = env_now_ns(env);
        for (int i = 0; i < LOGS; i++) {
            snprintf(path, sizeof path, "%s/many-%d", root, i);
            logs[i] = open_log(env, files, say, path, round == 1);
        }
        printf("%s %d logs: %.1f ms, %zu bytes each\n",
               round ? "open again (one record each)" : "open new", LOGS,
               (double)(env_now_ns(env) - start) / 1e6, (mallinfo2().uordblks - before) / LOGS);
        if (round == 0) {
            start = env_now_ns(env);
            for (int i = 0; i < LOGS; i++)
                time_appends(env, logs[i], 100, -1, 1);
            printf("first append to each: %.1f ms\n", (double)(env_now_ns(env) - start) / 1e6);
            start = env_now_ns(env);
            for (int i = 0; i < LOGS; i++)
                must(log_close_clean(logs[i]) == 0);
            printf("clean stop: %.1f ms\n", (double)(env_now_ns(env) - start) / 1e6);
        }
        for (int i = 0; i < LOGS; i++)
            log_destroy(logs[i]);
    }
}

int main(int argc, char **argv)
{
    char root[256];
    struct say say = {.level = SAY_ERROR};
    must(argc == 2);
    snprintf(root, sizeof root, "%s/jackdaw-micro", argv[1]);
    struct env *env = linux_env_create(NULL);
    (void)env_remove_tree(env, root);
    must(env && env_mkdirs(env, root) == 0);
    struct file_cache *files = file_cache_create(env, 256);
    measure_size(env, files, &say, root, "100 bytes", 100, APPENDS);
    measure_size(env, files, &say, root, "1 MB", 1 << 20, LARGE_APPENDS);
    measure_logs(env, files, &say, root);
    file_cache_destroy(files);
    (void)env_remove_tree(env, root);
    linux_env_destroy(env);
    return 0;
}
