/* Coordinators that count, whose process is killed at any call, or whose machine loses power, in
 * the middle of a load too; count_world.h says what is checked. In half of the worlds it is the
 * machine that dies; then every acknowledgement waits for the device. */
#include <stdlib.h>

#include "base/must.h"
#include "count_world.h"
#include "sim/sim_main.h"

#define SECOND INT64_C(1000000000)
#define LIMIT_NS (600 * SECOND)
#define LIVES 6

/* In the test's memory. */
struct node {
    struct sim *sim;
    struct sim_node *node;
    struct count_history history;
    struct count_plan plan;
    bool power;
};

/* One life of the process, in the node's memory. */
struct process {
    struct env *env;
    struct env_poller *poller;
    bool ended;
};

static void on_ended(void *context)
{
    struct process *process = context;
    process->ended = true;
    process->env->ops->poller_wake(process->poller);
}

static void node_main(struct env *env, void *context)
{
    struct node *node = context;
    struct process *process = calloc(1, sizeof *process);
    must(process);
    process->env = env;
    process->poller = env->ops->poller_create(env);
    (void)env_mkdirs(env, node->plan.dir);
    must(env_sync_dir(env, "/") == 0);
    struct count_plan plan = node->plan;
    plan.ended = on_ended;
    plan.context = process;
    struct count_world *world = count_world_create(env, &plan);
    count_world_start(world);
    while (!process->ended) {
        struct env_poll_event event;
        env->ops->poller_wait(process->poller, &event, 1, -1);
    }
    count_world_destroy(world);
    env->ops->poller_destroy(process->poller);
    free(process);
}

static bool has_ended(void *context)
{
    const struct node *node = context;
    return !sim_is_running(node->node);
}

/* To its own end, or to that of its process. */
static void live(struct node *node)
{
    sim_start(node->node, node_main, node);
    must(sim_run_until(node->sim, has_ended, node, LIMIT_NS));
    if (sim_is_up(node->node))
        must(sim_memory_bytes(node->node) == 0);
    sim_crash_after(node->node, 0, SIM_KILL);
    if (!sim_is_up(node->node))
        sim_restart(node->node);
}

static void run(struct sim *sim, void *context)
{
    (void)context;
    struct node *node = calloc(1, sizeof *node);
    must(node);
    node->sim = sim;
    node->node = sim_node_add(sim, "node");
    node->power = sim_dice(sim, 2) == 0;
    node->plan = (struct count_plan){
        .dir = "/data",
        .flush_messages = node->power || sim_dice(sim, 4) == 0 ? 1 : INT64_MAX,
        .ops = 30,
        .flips = 1 + (int)sim_dice(sim, 6),
        .history = &node->history,
    };
    for (int i = 0; i < LIVES; i++) {
        int64_t calls = 1 + (int64_t)sim_dice(sim, sim_dice(sim, 2) == 0 ? 300 : 6000);
        sim_crash_after(node->node, calls, node->power ? SIM_POWER : SIM_KILL);
        live(node);
    }
    live(node);        /* the last one to its end, over all that there is */
    int64_t acked = 0; /* of one shard there may be none: all of its ops came while it was loaded */
    for (int i = 0; i < COUNT_SHARDS; i++)
        acked += atomic_load(&node->history.acked[i]);
    must(acked > 0);
    must(atomic_load(&node->history.loads) >= COUNT_SHARDS);
    free(node);
}

int main(int argc, char **argv)
{
    static const struct sim_program program = {"coord-sim", .run = run, .seeds = 60};
    return sim_main(argc, argv, &program);
}
