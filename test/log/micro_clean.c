/* How fast a log is compacted. A measurement, not a test:
 *
 *   micro-clean make DIRECTORY MEGABYTES KEYS CODEC [RECORDS VALUE_BYTES]
 *                                  a log of batches of 100 records of 100 bytes, or of so many
 *   micro-clean clean DIRECTORY    MB/s, and the processor's time for a GB
 *
 * The log lies in DIRECTORY/t-0; half of a value can be pressed. What Kafka's cleaner makes of a
 * copy: java/CleanSpeed.java. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/must.h"
#include "log/log_clean.h"
#include "log/log_internal.h"
#include "os/linux_env.h"

#define VALUE_BYTES_MAX 10000

struct shape {
    uint64_t keys;
    enum compression codec;
    int records; /* of a batch */
    int value_bytes;
};

static const struct log_settings settings = {
    .segment_bytes = 100 << 20,
    .segment_ms = INT64_MAX,
    .segment_index_bytes = 10 << 20,
    .index_interval_bytes = 4096,
    .retention_ms = -1,
    .retention_bytes = -1,
    .cleanup_compact = true,
    .producer_expiration_ms = 86400000,
};

static uint64_t dice(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void append(struct log *log, uint64_t *state, const struct shape *shape)
{
    uint64_t value[(VALUE_BYTES_MAX + 7) / 8];
    size_t words = ((size_t)shape->value_bytes + 7) / 8;
    struct batch_builder builder;
    struct validated records;
    struct log_append_result result;
    struct log_append_params params = {.origin = LOG_ORIGIN_CLIENT};
    struct arena arena;
    arena_init(&arena, 0);
    batch_builder_init(&builder, 0);
    builder.compression = shape->codec;
    builder.compression_level = COMPRESSION_LEVEL_DEFAULT;
    memset(value, 'v', words * 8);
    for (int i = 0; i < shape->records; i++) {
        char key[32];
        for (size_t w = 0; w < words / 2; w++)
            value[w] = dice(state);
        int size =
            snprintf(key, sizeof key, "key-%llu", (unsigned long long)(dice(state) % shape->keys));
        batch_builder_add(&builder, 1700000000000 + i, (struct bytes){(const uint8_t *)key, size},
                          (struct bytes){(const uint8_t *)value, shape->value_bytes}, NULL, 0);
    }
    must(batch_builder_finish(&builder) == 0);
    must(log_records_from(builder.out.data, builder.out.size, &arena, &records) == 0);
    must(log_append(log, &records, &params, &result) == 0);
    batch_builder_close(&builder);
    arena_close(&arena);
}

static double processor_s(void)
{
    struct rusage usage;
    must(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void clean(struct env *env, struct log *log)
{
    struct log_clean_rules rules = {.max_lag_ms = INT64_MAX,
                                    .delete_retention_ms = 86400000,
                                    .record_max_bytes = 1 << 20,
                                    .map_bytes = 128 << 20,
                                    .map_load_factor = 0.9};
    struct log_dirt dirt;
    struct log_cleaning *cleaning;
    enum log_cleaning_next next = CLEANING_GOES_ON;
    struct log_cleaning_stats stats;
    int64_t bytes, synced, now_ms = env_wall_ms(env);
    must(log_flush(log, &synced) == 0 && log_measure_dirt(log, &rules, now_ms, &dirt) == 0);
    int64_t began_ns = env_now_ns(env);
    double began_s = processor_s();
    must(log_cleaning_begin(log, &rules, &dirt, now_ms, &cleaning) == 0);
    while (next != CLEANING_DONE) {
        must(log_cleaning_step(cleaning, 4 << 20, &next, &bytes) == 0);
        if (next == CLEANING_WANTS_WRITER)
            must(log_cleaning_swap(cleaning) == 0);
    }
    double took_s = (double)(env_now_ns(env) - began_ns) / 1e9, used_s = processor_s() - began_s;
    log_cleaning_stats(cleaning, &stats);
    printf("%.0f MB/s, %.2f CPU-s/GB; %lld MB, %lld of %lld records kept, end %lld\n",
           (double)stats.bytes_read / 1e6 / took_s, used_s / ((double)stats.bytes_read / 1e9),
           (long long)stats.bytes_read / 1000000, (long long)stats.records_kept,
           (long long)stats.records_read, (long long)log_cleaning_end(cleaning));
    log_cleaning_destroy(cleaning);
}

int main(int argc, char **argv)
{
    char path[600];
    struct say say = {.level = SAY_ERROR + 1};
    struct log *log;
    bool make = (argc == 6 || argc == 8) && strcmp(argv[1], "make") == 0;
    must(make || (argc == 3 && strcmp(argv[1], "clean") == 0));
    struct env *env = linux_env_create(NULL);
    env_allow_blocking(env, true);
    struct file_cache *files = file_cache_create(env, 64);
    must(env_mkdirs(env, argv[2]) == 0);
    snprintf(path, sizeof path, "%s/t-0", argv[2]);
    struct log_open_params params = {.env = env,
                                     .say = &say,
                                     .files = files,
                                     .dir = path,
                                     .topic_id = uuid_of(77, 1234),
                                     .settings = settings,
                                     .clean = true};
    must(log_open(&params, &log, NULL) == 0);
    if (make) {
        uint64_t state = 1;
        int64_t bytes = atoll(argv[3]) * 1000000;
        struct shape shape = {.keys = strtoull(argv[4], NULL, 10),
                              .codec = (enum compression)atoi(argv[5]),
                              .records = argc == 8 ? atoi(argv[6]) : 100,
                              .value_bytes = argc == 8 ? atoi(argv[7]) : 100};
        must(shape.records > 0 && shape.value_bytes >= 0 && shape.value_bytes <= VALUE_BYTES_MAX);
        while (log_size_bytes(log) < bytes)
            append(log, &state, &shape);
        must(log_roll(log, log_end_offset(log)) == 0);
        log_publish_end(log, log_end_offset(log));
        must(log_close_clean(log) == 0);
    } else {
        log_set_high_watermark(log, log_end_offset(log));
        clean(env, log);
    }
    log_destroy(log);
    file_cache_destroy(files);
    linux_env_destroy(env);
    return 0;
}
