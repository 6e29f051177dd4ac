/* For test/log/differential: random logs, and our cleaning of them.
 *
 *   log-clean-peer make ROOT SEED COUNT     writes ROOT/N/ours/t-0 and ROOT/N/plan
 *   log-clean-peer clean ROOT SEED COUNT    cleans them as the plans say, writes ROOT/N/ends
 *
 * A plan's first line: segment.bytes, index.interval.bytes, delete.retention.ms, whether nothing is
 * compressed. Then a line for each cleaning: the offset that it may go up to, the time, the bytes
 * and the load factor of the map. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "log/log_clean.h"
#include "log/log_internal.h"
#include "os/linux_env.h"
#include "record/control.h"

#define PRODUCERS 6 /* 1 and 2 idempotent, 3 to 5 transactional */
#define ROUNDS 4

struct peer {
    struct env *env;
    struct say say;
    struct file_cache *files;
    struct log *log;
    struct log_settings settings;
    uint64_t random;
    char dir[512];
    int64_t delete_retention_ms;
    bool plain;
    int64_t now_ms;
    int32_t sequence[PRODUCERS];
    int16_t epoch[PRODUCERS];
    bool open[PRODUCERS];
};

static uint32_t roll(struct peer *peer, uint32_t below)
{
    peer->random ^= peer->random << 13;
    peer->random ^= peer->random >> 7;
    peer->random ^= peer->random << 17;
    return (uint32_t)(peer->random >> 33) % below;
}

static void open_log(struct peer *peer, bool clean)
{
    struct log_open_params params = {.env = peer->env,
                                     .say = &peer->say,
                                     .files = peer->files,
                                     .topic_id = uuid_of(77, 1234),
                                     .dir = peer->dir,
                                     .settings = peer->settings,
                                     .clean = clean};
    must(log_open(&params, &peer->log, NULL) == 0);
    log_set_high_watermark(peer->log, log_end_offset(peer->log));
}

static void append(struct peer *peer, uint8_t *data, size_t size, enum log_origin origin)
{
    struct validated records;
    struct log_append_params params = {.leader_epoch = (int32_t)(log_end_offset(peer->log) / 200),
                                       .origin = origin};
    struct log_append_result result;
    struct arena arena;
    arena_init(&arena, 0);
    must(log_records_from(data, size, &arena, &records) == 0);
    must(log_append(peer->log, &records, &params, &result) == 0);
    log_set_high_watermark(peer->log, log_end_offset(peer->log));
    arena_close(&arena);
}

static void append_marker(struct peer *peer, int producer)
{
    struct writer out = {0};
    struct end_transaction end = {roll(peer, 2), 0};
    struct end_transaction_batch about = {0, peer->now_ms, 0, producer, peer->epoch[producer]};
    must(end_transaction_write(&end, &about, &out) == 0);
    append(peer, out.data, out.size, LOG_ORIGIN_COORDINATOR);
    writer_close(&out);
    peer->open[producer] = false;
}

static void add_record(struct peer *peer, struct batch_builder *builder, int i)
{
    uint8_t key[8], value[200];
    int32_t key_size =
        roll(peer, 30) == 0 ? 0 : snprintf((char *)key, sizeof key, "k%u", roll(peer, 25));
    struct bytes key_bytes = {roll(peer, 40) == 0 ? NULL : key, key_size};
    struct bytes value_bytes = {roll(peer, 6) == 0 ? NULL : value,
                                (int32_t)roll(peer, sizeof value)};
    struct record_header headers[2] = {{STR("a"), {value, 3}}, {STR("b"), {NULL, 0}}};
    for (size_t b = 0; b < sizeof value; b++)
        value[b] = (uint8_t)(roll(peer, 4) ? 'x' : roll(peer, 256));
    if (!key_bytes.data)
        key_bytes.size = 0;
    if (!value_bytes.data)
        value_bytes.size = 0;
    batch_builder_add(builder, peer->now_ms + (int64_t)roll(peer, 40) - 20 + i, key_bytes,
                      value_bytes, headers, (int32_t)roll(peer, 3));
}

static void append_some(struct peer *peer)
{
    int producer = (int)roll(peer, PRODUCERS + 2) - 2;
    struct batch_builder builder;
    peer->now_ms += roll(peer, 20);
    if (producer < 0)
        producer = 0;
    if (producer >= 3 && roll(peer, peer->open[producer] ? 3 : 30) == 0) {
        append_marker(peer, producer); /* sometimes one without data */
        return;
    }
    batch_builder_init(&builder, 0);
    if (!peer->plain && roll(peer, 2))
        builder.compression = (enum compression)roll(peer, 5);
    if (producer) {
        builder.producer_id = producer;
        builder.producer_epoch = peer->epoch[producer];
        builder.base_sequence = peer->sequence[producer];
    }
    if (producer >= 3) {
        builder.attributes |= BATCH_TRANSACTIONAL;
        peer->open[producer] = true;
    }
    if (roll(peer, 6) == 0) {
        builder.attributes |= BATCH_LOG_APPEND_TIME;
        builder.max_timestamp = peer->now_ms;
    }
    int count = 1 + (int)roll(peer, 6);
    for (int i = 0; i < count; i++)
        add_record(peer, &builder, i);
    must(batch_builder_finish(&builder) == 0);
    append(peer, builder.out.data, builder.out.size, LOG_ORIGIN_CLIENT);
    batch_builder_close(&builder);
    peer->sequence[producer] += count;
}

static void setup(struct peer *peer, const char *root, uint64_t seed, int number)
{
    peer->random = seed * 0x9e3779b97f4a7c15u + 99;
    snprintf(peer->dir, sizeof peer->dir, "%s/%d/ours/t-0", root, number);
    peer->plain = roll(peer, 2);
    peer->delete_retention_ms = roll(peer, 3) ? roll(peer, 4000) : 0;
    memset(peer->sequence, 0, sizeof peer->sequence);
    memset(peer->open, 0, sizeof peer->open);
    for (int i = 0; i < PRODUCERS; i++)
        peer->epoch[i] = (int16_t)roll(peer, 3);
    peer->settings = (struct log_settings){.segment_bytes = 2500 + (int32_t)roll(peer, 6000),
                                           .segment_ms = INT64_C(7) * 24 * 3600 * 1000,
                                           .segment_index_bytes = 10 << 20,
                                           .index_interval_bytes = 100 + (int32_t)roll(peer, 500),
                                           .retention_ms = -1,
                                           .retention_bytes = -1,
                                           .cleanup_compact = true,
                                           .flush_messages = INT64_MAX,
                                           .flush_ms = INT64_MAX,
                                           .producer_expiration_ms = INT64_MAX};
}

static void write_plan(struct peer *peer, FILE *plan)
{
    struct log *log = peer->log;
    int64_t unstable = log_first_unstable(log), now_ms = peer->now_ms;
    int32_t most = log->segment_count - 1;
    while (most > 0 && log->segments[most]->base_offset > unstable)
        most--;
    fprintf(plan, "%d %d %" PRId64 " %d\n", peer->settings.segment_bytes,
            peer->settings.index_interval_bytes, peer->delete_retention_ms, peer->plain);
    int32_t at = 0;
    for (int round = 0; round < ROUNDS; round++) {
        at += (int32_t)roll(peer, (uint32_t)(most - at) + 1);
        if (round == ROUNDS - 1)
            at = most;
        now_ms += roll(peer, 3000);
        fprintf(plan, "%" PRId64 " %" PRId64 " %u %s\n", log->segments[at]->base_offset, now_ms,
                roll(peer, 3) ? 1 << 20 : 24 * (16 + roll(peer, 40)),
                roll(peer, 2) ? "0.9" : "0.5");
    }
}

static void make(struct peer *peer, const char *root, uint64_t seed, int number)
{
    char path[600];
    setup(peer, root, seed, number);
    peer->now_ms = env_wall_ms(peer->env) - 100000;
    snprintf(path, sizeof path, "%s/%d/ours", root, number);
    must(env_mkdirs(peer->env, path) == 0);
    open_log(peer, true);
    int appends = 20 + (int)roll(peer, 200);
    for (int i = 0; i < appends; i++)
        append_some(peer);
    for (int producer = 3; producer < PRODUCERS; producer++)
        if (peer->open[producer] && roll(peer, 3))
            append_marker(peer, producer);
    snprintf(path, sizeof path, "%s/%d/plan", root, number);
    FILE *plan = fopen(path, "w");
    must(plan);
    write_plan(peer, plan);
    fclose(plan);
    must(log_close_clean(peer->log) == 0);
    log_destroy(peer->log);
}

/* As far as the offset; how far it came. */
static int64_t clean_once(struct peer *peer, const struct log_clean_rules *rules, int64_t from,
                          int64_t to, int64_t now_ms)
{
    struct log_dirt dirt = {.first_dirty_offset = from, .first_uncleanable_offset = to};
    struct log_cleaning *cleaning;
    enum log_cleaning_next next = CLEANING_GOES_ON;
    int64_t bytes;
    must(log_cleaning_begin(peer->log, rules, &dirt, now_ms, &cleaning) == 0);
    while (next != CLEANING_DONE) {
        must(log_cleaning_step(cleaning, 5000, &next, &bytes) == 0);
        if (next == CLEANING_WANTS_WRITER)
            must(log_cleaning_swap(cleaning) == 0);
    }
    int64_t end = log_cleaning_end(cleaning);
    log_cleaning_destroy(cleaning);
    return end;
}

static void clean(struct peer *peer, const char *root, uint64_t seed, int number)
{
    char path[600];
    int64_t to, now_ms, end = 0;
    struct log_clean_rules rules = {.max_lag_ms = INT64_MAX, .record_max_bytes = 1 << 20};
    setup(peer, root, seed, number);
    rules.delete_retention_ms = peer->delete_retention_ms;
    snprintf(path, sizeof path, "%s/%d/plan", root, number);
    FILE *plan = fopen(path, "r");
    snprintf(path, sizeof path, "%s/%d/ends", root, number);
    FILE *ends = fopen(path, "w");
    must(plan && ends);
    must(fscanf(plan, "%*d %*d %*d %*d") == 0);
    open_log(peer, true);
    while (fscanf(plan, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %lf", &to, &now_ms, &rules.map_bytes,
                  &rules.map_load_factor) == 4) {
        if (to > end)
            end = clean_once(peer, &rules, end, to, now_ms);
        fprintf(ends, "%" PRId64 "\n", end);
    }
    fclose(plan);
    fclose(ends);
    log_destroy(peer->log);
}

int main(int argc, char **argv)
{
    struct peer peer = {.say.level = SAY_ERROR};
    must(argc == 5);
    peer.env = linux_env_create(NULL);
    must(peer.env);
    env_allow_blocking(peer.env, true);
    peer.files = file_cache_create(peer.env, 64);
    uint64_t seed = strtoull(argv[3], NULL, 10);
    for (int i = 0; i < atoi(argv[4]); i++)
        (strcmp(argv[1], "make") == 0 ? make : clean)(&peer, argv[2], seed + (uint64_t)i, i);
    file_cache_destroy(peer.files);
    linux_env_destroy(peer.env);
    return 0;
}
