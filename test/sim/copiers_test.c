/* Transactional copiers and a reader of committed records beside a broker that is killed, stopped
 * and cut off; copiers are killed at every step, too, and their next lives fence what they left. In
 * half of the worlds a group gives the copiers their shares of the input, so that they go over from
 * one to the other, and positions are committed under the group's generations.
 *
 * Every input is counted once, nothing of a transaction whose commit nobody asked for is ever seen,
 * positions never go back, what arrives after the end of its transaction is refused, and when all
 * have stopped the last stable offset is the end of each partition (copier.h). */
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "broker_node.h"
#include "copier.h"
#include "history.h"
#include "sim/sim_main.h"

#define ROUNDS 6
#define SECOND INT64_C(1000000000)
#define LIMIT_NS BROKER_NODE_LIMIT_NS
#define PROGRESS 5

struct world {
    struct sim *sim;
    struct broker_node broker;
    struct copies *copies;
    struct group_history *history;
    struct sim_node *copiers[COPIERS], *reader;
    struct copier_plan plans[COPIERS], reading;
};

static void trouble(struct world *world)
{
    struct sim *sim = world->sim;
    struct sim_node *copier = world->copiers[sim_dice(sim, COPIERS)];
    struct copier_plan *plan = NULL;
    for (int i = 0; i < COPIERS; i++)
        if (world->copiers[i] == copier)
            plan = &world->plans[i];
    switch (sim_dice(sim, 10)) {
    case 0:
    case 1:
        sim_crash_after(world->broker.node, 1 + (int64_t)sim_dice(sim, 4000), SIM_KILL);
        break;
    case 2:
        broker_node_stop_and_start(&world->broker);
        break;
    case 3:
        sim_crash(copier, SIM_KILL);
        break;
    case 4:
        sim_crash_after(copier, 1 + (int64_t)sim_dice(sim, 300), SIM_KILL);
        break;
    case 5: /* what it has under way is done, and no answer comes */
        sim_block(world->broker.node, copier, true);
        break;
    case 6:
        sim_disconnect(copier, world->broker.node);
        break;
    case 7:
        sim_pause(copier, (int64_t)sim_dice(sim, 60) * SECOND); /* longer than its transaction */
        break;
    case 8:
    case 9: /* at one of the steps of its next transactions */
        plan->calls_left = 1 + (int32_t)sim_dice(sim, 30);
        plan->die_after_answer = sim_dice(sim, 2) == 0;
        break;
    }
}

/* In a group the dead may stay dead for a while: `all` wakes them. */
static void heal(struct world *world, bool all)
{
    struct sim *sim = world->sim;
    struct broker_node *broker = &world->broker;
    sim_crash_after(broker->node, 0, SIM_KILL);
    for (int i = 0; i < COPIERS; i++) {
        sim_crash_after(world->copiers[i], 0, SIM_KILL);
        world->plans[i].calls_left = 0;
        sim_block(broker->node, world->copiers[i], false);
        bool others = world->plans[i].grouped && sim_is_up(world->copiers[(i + 1) % COPIERS]);
        if (sim_is_up(world->copiers[i]) || (!all && others && sim_dice(sim, 2) == 0))
            continue;
        sim_restart(world->copiers[i]);
        sim_start(world->copiers[i], copier_main, &world->plans[i]);
    }
    while (!sim_is_up(broker->node)) {
        sim_restart(broker->node);
        broker_node_begin(broker);
        if (sim_dice(sim, 4) == 0) /* and again, while it starts */
            sim_crash_after(broker->node, 1 + (int64_t)sim_dice(sim, 1500), SIM_KILL);
        broker_node_await(broker);
        sim_crash_after(broker->node, 0, SIM_KILL);
    }
}

struct wish {
    const struct copies *copies;
    int32_t commits, seen;
};

static bool is_granted(void *context)
{
    const struct wish *wish = context;
    return wish->copies->commits >= wish->commits && wish->copies->seen_count >= wish->seen;
}

static void await_progress(struct world *world)
{
    struct copies *copies = world->copies;
    struct wish wish = {copies, copies->commits + PROGRESS, copies->seen_count + PROGRESS};
    if (!sim_run_until(world->sim, is_granted, &wish, LIMIT_NS))
        history_fail("no progress: %d transactions committed, %d records seen", copies->commits,
                     copies->seen_count);
}

static bool has_read_all(void *context)
{
    const struct world *world = context;
    return !sim_is_running(world->reader);
}

static void audit(struct world *world)
{
    const struct copies *copies = world->copies;
    world->copies->stop = true;
    if (!sim_run_until(world->sim, has_read_all, world, LIMIT_NS))
        history_fail("a last stable offset is stuck: %d %d, stopped %d %d", copies->settled[0],
                     copies->settled[1], copies->idle[0], copies->idle[1]);
    char why[512];
    for (int i = 0; i < COPY_SHARES; i++)
        for (int32_t input = 0; input < COPY_INPUTS_MAX; input++)
            if (copies->seen[i][input] != (input < copies->position[i]))
                history_fail("share %d: input %d is seen %d times, committed up to %d", i, input,
                             copies->seen[i][input], copies->position[i]);
    if (!group_check(world->history, why, sizeof why)) {
        if (sim_options(world->sim)->log) /* one seed is looked at */
            group_history_write(world->history, sim_options(world->sim)->log);
        history_fail("%s", why);
    }
    sim_note(world->sim, "commits=%d seen=%d", copies->commits, copies->seen_count);
}

static int64_t now_ns(void *context)
{
    const struct world *world = context;
    return sim_now_ns(world->sim);
}

static void world_begin(struct world *world, struct sim *sim)
{
    static const char *const overrides[] = {
        "offsets.topic.num.partitions=2",         "offsets.topic.replication.factor=1",
        "transaction.state.log.num.partitions=2", "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",        "group.initial.rebalance.delay.ms=300",
        "group.min.session.timeout.ms=1000",
    };
    bool grouped = sim_dice(sim, 2) == 0;
    world->sim = sim;
    world->copies = calloc(1, sizeof *world->copies);
    must(world->copies);
    world->history = group_history_create(now_ns, world);
    world->broker = (struct broker_node){
        .sim = sim, .overrides = overrides, .override_count = sizeof overrides / sizeof *overrides};
    world->broker.node = sim_node_add(sim, "broker");
    broker_node_begin(&world->broker);
    for (int i = 0; i < COPIERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "copier-%d", i);
        world->copiers[i] = sim_node_add(sim, name);
        world->plans[i] = (struct copier_plan){.sim = sim,
                                               .node = world->copiers[i],
                                               .history = world->history,
                                               .grouped = grouped,
                                               .copies = world->copies,
                                               .bootstrap = "broker:9092",
                                               .index = i,
                                               .newer = sim_dice(sim, 2) == 0};
        sim_start(world->copiers[i], copier_main, &world->plans[i]);
    }
    world->reading = world->plans[0];
    world->reader = sim_node_add(sim, "reader");
    sim_start(world->reader, copy_reader_main, &world->reading);
}

static void run(struct sim *sim, void *context)
{
    struct world world;
    (void)context;
    world_begin(&world, sim);
    for (int round = 0; round < ROUNDS; round++) {
        sim_run_for(sim, (int64_t)sim_dice(sim, 500) * (SECOND / 1000));
        struct group_event *reload = group_history_reload(world.history);
        trouble(&world);
        sim_run_for(sim, (int64_t)sim_dice(sim, 3000) * (SECOND / 1000));
        heal(&world, false);
        group_history_end(world.history, reload, 0);
        await_progress(&world);
    }
    heal(&world, true);
    audit(&world);
    broker_node_stop_and_start(&world.broker);
    group_history_destroy(world.history);
    free(world.copies);
}

int main(int argc, char **argv)
{
    static const struct sim_program program = {"sim-copiers", .run = run, .seeds = 24};
    return sim_main(argc, argv, &program);
}
