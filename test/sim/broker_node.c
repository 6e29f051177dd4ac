#include "broker_node.h"

#include <stdlib.h>

#include "base/must.h"
#include "history.h"
#include "server/broker.h"

#define SECOND INT64_C(1000000000)
#define OVERRIDES_MAX 24

/* One life of the broker's process, in the node's memory. */
struct process {
    struct broker_node *node;
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

static struct broker_config *make_config(const struct broker_node *node)
{
    const char *overrides[OVERRIDES_MAX] = {
        "log.dirs=/data",
        "listeners=PLAINTEXT://0.0.0.0:9092",
        "num.network.threads=2",
        "auto.create.topics.enable=false",
    };
    int32_t count = 4;
    for (int32_t i = 0; i < node->override_count; i++) {
        must(count < OVERRIDES_MAX);
        overrides[count++] = node->overrides[i];
    }
    struct config_messages messages = {0};
    struct broker_config *config = NULL;
    int err = broker_config_load((struct bytes){0}, overrides, count, &messages, &config);
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
    must(broker_create(env, &say, make_config(process->node), on_ready, on_stopped, process,
                       &process->broker) == 0);
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

void broker_node_begin(struct broker_node *node)
{
    node->stop = node->serves = false;
    sim_start(node->node, broker_main, node);
}

static bool has_ended(void *context)
{
    const struct broker_node *node = context;
    return !sim_is_running(node->node);
}

static bool does_serve(void *context)
{
    const struct broker_node *node = context;
    return node->serves || !sim_is_up(node->node);
}

void broker_node_stop_and_start(struct broker_node *node)
{
    if (!sim_is_up(node->node))
        return;
    node->stop = true;
    if (!sim_run_until(node->sim, has_ended, node, BROKER_NODE_LIMIT_NS))
        history_fail("the broker does not stop");
    if (!sim_is_up(node->node))
        return;
    if (sim_memory_bytes(node->node) > 0)
        history_fail("the broker has leaked %zu bytes", sim_memory_bytes(node->node));
    broker_node_begin(node);
}

void broker_node_await(struct broker_node *node)
{
    if (!sim_run_until(node->sim, does_serve, node, BROKER_NODE_LIMIT_NS))
        history_fail("the broker does not start");
}
