/* Two flushes of one log at the same time, as a cleaning and a closed segment ask for them, on a
 * simulated machine that loses its power when the first of them has answered: what it called synced
 * is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "log/log.h"
#include "record/batch.h"
#include "sim/sim.h"

#define DIR "/data/t-0"
#define RECORDS 40

struct promise {
    int64_t recovery_point; /* what the flush that answered first has promised */
    int64_t end;            /* found by the next start */
    int err;
};

struct flush_job {
    struct env_job job;
    struct log *log;
    struct sim_node *node;
    struct promise *promise;
};

static struct sim_node *the_node;

static struct log *log_opened(struct env *env, int64_t recovery_point, int *ret_err)
{
    static const struct say silent = {.level = SAY_ERROR + 1};
    struct log *log = NULL;
    struct log_open_report report;
    struct log_open_params params = {
        .env = env,
        .say = &silent,
        .files = file_cache_create(env, 16),
        .dir = DIR,
        .topic = STR("t"),
        .topic_id = uuid_of(1, 2),
        .recovery_point = recovery_point,
        .settings = {.segment_bytes = 1 << 20,
                     .segment_ms = INT64_MAX,
                     .segment_index_bytes = 10 << 20,
                     .index_interval_bytes = 4096,
                     .retention_ms = -1,
                     .retention_bytes = -1,
                     .cleanup_delete = true,
                     .producer_expiration_ms = INT64_MAX},
    };
    *ret_err = log_open(&params, &log, &report);
    return log;
}

static void append(struct log *log, int number)
{
    struct batch_builder builder;
    struct validated records;
    struct log_append_result result;
    struct log_append_params params = {.origin = LOG_ORIGIN_CLIENT};
    struct arena arena;
    char value[200];
    memset(value, 'a' + number % 26, sizeof value);
    arena_init(&arena, 0);
    batch_builder_init(&builder, 0);
    batch_builder_add(&builder, 1000 + number, (struct bytes){0},
                      (struct bytes){(const uint8_t *)value, sizeof value}, NULL, 0);
    must(batch_builder_finish(&builder) == 0);
    must(log_records_from(builder.out.data, builder.out.size, &arena, &records) == 0);
    must(log_append(log, &records, &params, &result) == 0);
    batch_builder_close(&builder);
    arena_close(&arena);
}

/* Whoever is through first takes the machine down. */
static void flush_run(struct env_job *job)
{
    struct flush_job *flush = container_of(job, struct flush_job, job);
    int64_t synced;
    must(log_flush(flush->log, &synced) == 0);
    flush->promise->recovery_point = synced;
    sim_crash(flush->node, SIM_POWER);
}

static void flush_finish(struct env_job *job)
{
    (void)job;
}

static void first_life(struct env *env, void *context)
{
    int err;
    must(env_mkdirs(env, "/data") == 0 && env_sync_dir(env, "/") == 0);
    struct log *log = log_opened(env, 0, &err);
    must(err == 0);
    for (int i = 0; i < RECORDS; i++)
        append(log, i);
    struct flush_job *jobs = calloc(2, sizeof *jobs);
    for (int i = 0; i < 2; i++) {
        jobs[i] = (struct flush_job){.job = {.run = flush_run, .finish = flush_finish},
                                     .log = log,
                                     .node = the_node,
                                     .promise = context};
        env_job_submit(env, &jobs[i].job);
    }
    env->ops->jobs_wait(env);
}

static void second_life(struct env *env, void *context)
{
    struct promise *promise = context;
    struct log *log = log_opened(env, promise->recovery_point, &promise->err);
    promise->end = promise->err == 0 ? log_end_offset(log) : -1;
}

static void what_one_of_two_flushes_calls_synced_is_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct sim_options options;
        struct promise promise = {.recovery_point = -1};
        sim_options_calm(&options);
        options.preempt_ppm = 200000;
        options.pool_threads = 2;
        struct sim *sim = sim_create(seed, &options);
        the_node = sim_node_add(sim, "a");
        sim_start(the_node, first_life, &promise);
        sim_run_for(sim, INT64_C(10000000000));
        assert_false(sim_is_up(the_node));
        assert_int_equal(promise.recovery_point, RECORDS);
        sim_restart(the_node);
        sim_start(the_node, second_life, &promise);
        sim_run_for(sim, INT64_C(10000000000));
        if (promise.err != 0 || promise.end != RECORDS)
            fail_msg("seed %d: open answers %d, the log ends at %lld", (int)seed, promise.err,
                     (long long)promise.end);
        sim_destroy(sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_of_two_flushes_calls_synced_is_synced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
