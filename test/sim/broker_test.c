/* One broker, several users, and everything that can happen to them.
 *
 * Users produce idempotently and read (user.h); the broker is killed at any call, stopped in order,
 * cut off and paused, in the middle of its start too. Nothing that was acknowledged may be lost,
 * doubled, moved or reordered, no watermark may go back for a reader (history.h), and after every
 * trouble work goes on.
 *
 * In a third of the worlds it is the machine that dies, with whatever was not synced: then a part
 * of each partition from some offset on may be gone, but what is before it must be what it was, and
 * nothing may be doubled or torn. In half of those the topic has flush.messages=1, and what was
 * acknowledged must all be there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker_node.h"
#include "sim/sim_main.h"
#include "user_world.h"

#define USERS 2
#define ROUNDS 7
#define SECOND INT64_C(1000000000)
#define LIMIT_NS BROKER_NODE_LIMIT_NS

static void trouble(struct broker_node *node, struct user_world *users)
{
    struct sim *sim = node->sim;
    struct sim_node *user = users->users[sim_dice(sim, (uint64_t)users->user_count)];
    switch (sim_dice(sim, 11)) {
    case 0:
    case 1:
    case 2:
        sim_crash_after(node->node, 1 + (int64_t)sim_dice(sim, 4000),
                        node->power ? SIM_POWER : SIM_KILL);
        break;
    case 3:
        broker_node_stop_and_start(node);
        break;
    case 4:
        sim_crash(user, SIM_KILL);
        break;
    case 5:
        sim_isolate(node->node, true);
        break;
    case 6:
        sim_block(node->node, user, true);
        break;
    case 7:
        sim_block(user, node->node, true);
        break;
    case 8:
        sim_disconnect(user, node->node);
        break;
    case 9:
        sim_pause(node->node, (int64_t)sim_dice(sim, 8) * SECOND);
        break;
    case 10: /* what the user has under way is appended, and no answer comes */
        if (users->plans[0].big_records)
            break; /* the others might write more than what a start looks at again */
        sim_block(node->node, user, true);
        sim_run_for(sim, (int64_t)sim_dice(sim, 500) * (SECOND / 1000));
        broker_node_stop_and_start(node);
        break;
    }
}

static void heal(struct broker_node *node, struct user_world *users)
{
    struct sim *sim = node->sim;
    sim_crash_after(node->node, 0, SIM_KILL);
    sim_isolate(node->node, false);
    for (int i = 0; i < users->user_count; i++) {
        sim_block(node->node, users->users[i], false);
        sim_block(users->users[i], node->node, false);
    }
    user_world_revive(users);
    while (!sim_is_up(node->node)) {
        if (node->power) { /* what was sent before may still arrive */
            sim_run_for(sim, 20 * SECOND);
            history_lose_power(users->history);
        }
        sim_restart(node->node);
        broker_node_begin(node);
        if (sim_dice(sim, 4) == 0) /* and again, while it starts */
            sim_crash_after(node->node, 1 + (int64_t)sim_dice(sim, 1500),
                            node->power ? SIM_POWER : SIM_KILL);
        broker_node_await(node);
        sim_crash_after(node->node, 0, SIM_KILL);
    }
}

static void run(struct sim *sim, void *context)
{
    (void)context;
    struct broker_node node = {.sim = sim, .power = sim_dice(sim, 3) == 0};
    struct user_plan plan = {
        .bootstrap = "broker:9092",
        .topic = "orders",
        .values_max = 3000,
        .durable = node.power && sim_dice(sim, 2) == 0,
        .big_records = sim_dice(sim, 2) == 0,
    };
    struct user_world users;
    node.node = sim_node_add(sim, "broker");
    broker_node_begin(&node);
    user_world_create(&users, sim, USERS, &plan);
    for (int round = 0; round < ROUNDS; round++) {
        sim_run_for(sim, (int64_t)sim_dice(sim, 500) * (SECOND / 1000));
        trouble(&node, &users);
        sim_run_for(sim, (int64_t)sim_dice(sim, 3000) * (SECOND / 1000));
        heal(&node, &users);
        user_world_await_progress(&users, LIMIT_NS);
    }
    user_world_audit(&users, LIMIT_NS);
    broker_node_stop_and_start(&node);
    user_world_destroy(&users);
}

int main(int argc, char **argv)
{
    static const struct sim_program program = {"sim-broker", .run = run, .seeds = 30};
    return sim_main(argc, argv, &program);
}
