/* A quorum of one through crashes: a node proposes batches of numbers, is killed or loses power at
 * any call to its environment, and starts again.
 *
 * What is checked at every start: what was answered as committed is there, in its order; a batch is
 * there whole or not at all; nothing comes twice; and the epoch was never seen before. */
#include <stdio.h>
#include <stdlib.h>

#include "quorum_test.h"
#include "sim/sim_main.h"

enum {
    BATCH_MOST = 5,
    LIVES = 12,
    CALLS_PER_LIFE = 600,
};

/* What the test knows, in its own memory. */
struct history {
    bool answer_early;  /* the planted fault: a proposal counts as committed when it is made */
    int64_t next_batch; /* number of the next one to propose */
    int64_t committed;  /* all below this were answered */
    int32_t highest_epoch;
    int32_t starts;
    int64_t commits;
    bool lost[TEST_NUMBERS_MAX]; /* by batch: found missing once, so it may never come back */
};

static int32_t batch_size(int64_t batch)
{
    return (int32_t)(batch * 7 % BATCH_MOST) + 1;
}

static int64_t number_of(int64_t batch, int32_t index)
{
    return batch * BATCH_MOST + index;
}

/* What was replayed, against what is known. */
static void check_replay(struct history *history, const struct numbers *numbers)
{
    int32_t at = 0;
    for (int64_t batch = 0; batch < history->next_batch; batch++) {
        bool there = at < numbers->count && numbers->items[at] == number_of(batch, 0);
        if (!there) {
            must(batch >= history->committed || history->lost[batch]);
            history->lost[batch] = true;
            continue;
        }
        must(!history->lost[batch]);
        for (int32_t i = 0; i < batch_size(batch); i++, at++)
            must(at < numbers->count && numbers->items[at] == number_of(batch, i));
    }
    must(at == numbers->count);
    /* What is there now was synced before this node led. */
    history->committed = history->next_batch;
}

struct running {
    struct test_proposal proposal;
    int64_t batch;
    bool used;
};

static void propose(struct test_node *node, struct history *history, struct running *running)
{
    int64_t numbers[BATCH_MOST];
    int64_t batch = history->next_batch++;
    must(history->next_batch < TEST_NUMBERS_MAX / BATCH_MOST);
    for (int32_t i = 0; i < batch_size(batch); i++)
        numbers[i] = number_of(batch, i);
    must(test_propose(node, numbers, batch_size(batch), &running->proposal) == 0);
    running->batch = batch;
    running->used = true;
    if (history->answer_early)
        history->committed = history->next_batch;
}

static void collect(struct history *history, struct running *running)
{
    if (!running->used || !running->proposal.done)
        return;
    must(running->proposal.result == 0);
    running->used = false;
    history->commits++;
    if (running->batch + 1 > history->committed)
        history->committed = running->batch + 1;
}

/* One life, until it is ended from outside. */
static void live(struct env *env, void *context)
{
    enum { AT_ONCE = 6 };
    struct history *history = context;
    struct running running[AT_ONCE] = {{.used = false}};
    struct test_node *node = malloc(sizeof *node);
    bool formatted;
    must(node);
    must(quorum_is_formatted(env, TEST_DIR, &formatted) == 0);
    if (!formatted) {
        must(history->starts == 0);
        must(env_mkdirs(env, TEST_DIR) == 0);
        must(env_sync_dir(env, "/") == 0);
        test_format(env);
    }
    test_node_init(node, env);
    node->params.snapshot_after_bytes = 4000;
    node->params.segment_bytes = 6000;
    node->params.retention_bytes = 30000;
    must(test_node_start(node) == 0);
    must(node->epoch > history->highest_epoch);
    history->highest_epoch = node->epoch;
    history->starts++;
    check_replay(history, &node->numbers);
    for (;;) {
        uint8_t dice;
        bool any = false;
        env_random(env, &dice, 1);
        for (int i = 0; i < AT_ONCE; i++) {
            collect(history, &running[i]);
            if (!running[i].used && (dice >> i & 1))
                propose(node, history, &running[i]);
            any |= running[i].used;
        }
        if (any)
            loop_turn(&node->loop);
    }
}

static bool has_ended(void *context)
{
    return !sim_is_running(context);
}

static void run(struct sim *sim, void *context)
{
    struct history *history = calloc(1, sizeof *history);
    must(history);
    history->answer_early = context != NULL;
    struct sim_node *node = sim_node_add(sim, "a");
    for (int life = 0; life < LIVES; life++) {
        enum sim_crash kind = sim_dice(sim, 2) ? SIM_KILL : SIM_POWER;
        sim_start(node, live, history);
        sim_crash_after(node, 1 + (int64_t)sim_dice(sim, CALLS_PER_LIFE), kind);
        must(sim_run_until(sim, has_ended, node, INT64_C(3600000000000)));
        sim_restart(node);
    }
    sim_note(sim, "starts %d commits %lld", history->starts, (long long)history->commits);
    must(history->starts >= 2);
    free(history);
}

int main(int argc, char **argv)
{
    static const struct sim_program program = {.name = "quorum-crash", .run = run, .seeds = 60};
    static bool fault = true;
    static const struct sim_program faulty = {
        .name = "quorum-crash", .run = run, .context = &fault, .seeds = 60};
    int result = sim_main(argc, argv, &program);
    if (result || argc > 1)
        return result;
    for (uint64_t seed = 0; seed < 60; seed++)
        if (sim_fails(&faulty, seed))
            return 0;
    fprintf(stderr, "no seed found the planted fault\n");
    return 1;
}
