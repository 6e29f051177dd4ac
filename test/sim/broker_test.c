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

#include "base/must.h"
#include "server/broker.h"
#include "sim/sim_main.h"
#include "user_world.h"

#define USERS 2
#define ROUNDS 7
#define SECOND INT64_C(1000000000)
#define LIMIT_NS (300 * SECOND)

/* One broker's node, in the test's memory. */
struct node {
    struct sim *sim;
    struct sim_node *node;
    bool stop;  /* the process is asked to end */
    bool power; /* it dies by loss of power */
    bool serves;
};

/* One life of the broker's process, in the node's memory. */
struct process {
    struct node *node;
    struct env *env;
    struct env_poller *poller; /* where the main thread waits */
    struct broker *broker;
    bool stopped;
    int result;
};

static void on_ready(void *context, struct broker *broker)
{
    struct process *process = context;
    (void)broker;
    process->node->serves = true;
}

static void on_stopped(void *context, struct broker *broker, int result)
{
    struct process *process = context;
    (void)broker;
    process->result = result;
    process->stopped = true;
    process->env->ops->poller_wake(process->poller);
}

static void say_line_out(void *context, enum say_level level, const char *line, size_t size)
{
    struct env *env = context;
    env->ops->log_line(env, (int)level, line, size);
}

static struct broker_config *make_config(void)
{
    static const char *const overrides[] = {
        "log.dirs=/data",
        "listeners=PLAINTEXT://0.0.0.0:9092",
        "num.network.threads=2",
        "auto.create.topics.enable=false",
    };
    struct config_messages messages = {0};
    struct broker_config *config = NULL;
    int err =
        broker_config_load((struct bytes){0}, overrides,
                           (int32_t)(sizeof overrides / sizeof *overrides), &messages, &config);
    if (err != 0)
        history_fail("configuration: %s", config_messages_error(&messages));
    config_messages_close(&messages);
    return config;
}

static void broker_main(struct env *env, void *context)
{
    struct process *process = calloc(1, sizeof *process);
    must(process);
    process->node = context;
    process->env = env;
    process->poller = env->ops->poller_create(env);
    must(process->poller);
    struct say say = {.level = SAY_DEBUG, .write = say_line_out, .context = env};
    must(broker_create(env, &say, make_config(), on_ready, on_stopped, process, &process->broker) ==
         0);
    must(broker_start(process->broker) == 0);
    bool asked = false;
    while (!process->stopped) {
        struct env_poll_event event;
        env->ops->poller_wait(process->poller, &event, 1, env_now_ns(env) + SECOND / 20);
        if (process->node->stop && !asked) {
            asked = true;
            broker_stop(process->broker);
        }
    }
    if (process->result != 0)
        history_fail("the broker ended by itself: %d", process->result);
    broker_destroy(process->broker);
    env->ops->poller_destroy(process->poller);
    free(process);
}

static void broker_begin(struct node *node)
{
    node->stop = node->serves = false;
    sim_start(node->node, broker_main, node);
}

static bool has_ended(void *context)
{
    const struct node *node = context;
    return !sim_is_running(node->node);
}

static bool does_serve(void *context)
{
    const struct node *node = context;
    return node->serves || !sim_is_up(node->node);
}

/* Stop in order and start again on what is there. */
static void broker_stop_and_start(struct node *node)
{
    if (!sim_is_up(node->node))
        return;
    node->stop = true;
    if (!sim_run_until(node->sim, has_ended, node, LIMIT_NS))
        history_fail("the broker does not stop");
    if (!sim_is_up(node->node))
        return;
    if (sim_memory_bytes(node->node) > 0)
        history_fail("the broker has leaked %zu bytes", sim_memory_bytes(node->node));
    broker_begin(node);
}

static void trouble(struct node *node, struct user_world *users)
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
        broker_stop_and_start(node);
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
        broker_stop_and_start(node);
        break;
    }
}

static void heal(struct node *node, struct user_world *users)
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
        broker_begin(node);
        if (sim_dice(sim, 4) == 0) /* and again, while it starts */
            sim_crash_after(node->node, 1 + (int64_t)sim_dice(sim, 1500),
                            node->power ? SIM_POWER : SIM_KILL);
        if (!sim_run_until(sim, does_serve, node, LIMIT_NS))
            history_fail("the broker does not start");
        sim_crash_after(node->node, 0, SIM_KILL);
    }
}

static void run(struct sim *sim, void *context)
{
    (void)context;
    struct node node = {.sim = sim, .power = sim_dice(sim, 3) == 0};
    struct user_plan plan = {
        .bootstrap = "broker:9092",
        .topic = "orders",
        .values_max = 3000,
        .durable = node.power && sim_dice(sim, 2) == 0,
        .big_records = sim_dice(sim, 2) == 0,
    };
    struct user_world users;
    node.node = sim_node_add(sim, "broker");
    broker_begin(&node);
    user_world_create(&users, sim, USERS, &plan);
    for (int round = 0; round < ROUNDS; round++) {
        sim_run_for(sim, (int64_t)sim_dice(sim, 500) * (SECOND / 1000));
        trouble(&node, &users);
        sim_run_for(sim, (int64_t)sim_dice(sim, 3000) * (SECOND / 1000));
        heal(&node, &users);
        user_world_await_progress(&users, LIMIT_NS);
    }
    user_world_audit(&users, LIMIT_NS);
    broker_stop_and_start(&node);
    user_world_destroy(&users);
}

int main(int argc, char **argv)
{
    static const struct sim_program program = {"sim-broker", .run = run, .seeds = 30};
    return sim_main(argc, argv, &program);
}
