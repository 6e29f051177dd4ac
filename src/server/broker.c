/* Creating, starting and destroying a node.
 *
 * Everything after broker_start is a chain of steps on the home loop: life.c starts the node,
 * life_stop.c stops it from wherever starting got to. */
#include "server/broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "group/group.h"
#include "server/fetch_session.h"
#include "server/life.h"
#include "server/listener.h"
#include "server/request.h"

#define ONE_LOOP_PER_CORE 0

static void turn_begin(struct loop *loop)
{
    struct broker_loop *home = loop->owner;
    epoch_online(&home->epoch);
    if (loop->gap_ns > 0)
        coordinators_gap(home->broker, loop);
}

static void turn_end(struct loop *loop)
{
    struct broker_loop *home = loop->owner;
    image_reader_turn_end(&home->images);
    epoch_offline(&home->epoch);
}

static int loops_init(struct broker *broker, int32_t count)
{
    size_t size = (size_t)count * sizeof *broker->loops;
    broker->loops = aligned_alloc(_Alignof(struct broker_loop), size);
    if (!broker->loops)
        return -ENOMEM;
    memset(broker->loops, 0, size);
    for (int32_t i = 0; i < count; i++) {
        struct broker_loop *home = &broker->loops[i];
        home->broker = broker;
        int err = loop_init(&home->loop, broker->env, i);
        if (err < 0)
            return err;
        broker->loop_count++;
        home->loop.owner = home;
        marker_loop_init(&home->markers);
        home->loop.turn_begin = turn_begin;
        home->loop.turn_end = turn_end;
        image_reader_init(&home->images, &broker->publisher);
        epoch_reader_add(&broker->epochs, &home->epoch);
        err = broker_loop_conns_init(home);
        if (err < 0)
            return err;
    }
    return 0;
}

/* What is left undone after a failure broker_destroy can tell. */
static int parts_init(struct broker *broker, const struct broker_settings *settings)
{
    struct env *env = broker->env;
    uint64_t quota_seed, sessions_seed;
    env_random(env, &quota_seed, sizeof quota_seed);
    conn_quota_init(&broker->quota, quota_seed);
    epoch_init(&broker->epochs);
    int err = image_publisher_init(&broker->publisher);
    if (err < 0)
        return err;
    int32_t loops = settings->event_loops;
    err = loops_init(broker, loops == ONE_LOOP_PER_CORE ? env_core_count(env) : loops);
    if (err < 0)
        return err;
    broker->files = file_cache_create(env, (uint32_t)settings->open_files_max);
    if (!broker->files)
        return -ENOMEM;
    env_random(env, &sessions_seed, sizeof sessions_seed);
    broker->sessions = fetch_sessions_create(settings->max_incremental_fetch_session_cache_slots,
                                             settings->fetch_session_memory_bytes, sessions_seed);
    return broker->sessions ? 0 : -ENOMEM;
}

int broker_create(struct env *env, const struct say *say, struct broker_config *config,
                  void (*ready)(void *context, struct broker *broker),
                  void (*stopped)(void *context, struct broker *broker, int result), void *context,
                  struct broker **ret_broker)
{
    struct broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return -ENOMEM;
    broker->life = life_create(broker);
    if (!broker->life) {
        free(broker);
        return -ENOMEM;
    }
    broker->env = env;
    broker->coordinators.group_fold = &group_fold;
    broker->coordinators.group_context = &broker->group_memory;
    broker->say = *say;
    broker->static_config = config;
    atomic_init(&broker->config, config);
    broker->ready = ready;
    broker->stopped = stopped;
    broker->context = context;
    broker->broker_epoch = -1;
    broker->budget.limit_bytes = config->settings.request_memory_bytes;
    broker->plain.limit_bytes = config->settings.request_memory_bytes;
    producer_ids_init(&broker->producer_ids);
    txn_service_init(broker);
    broker->coordinators.transaction_fold = &txn_fold;
    broker->coordinators.transaction_context = &broker->txn.host;
    int err = parts_init(broker, &config->settings);
    if (err < 0) {
        broker->static_config = NULL; /* still the caller's */
        atomic_store(&broker->config, NULL);
        broker_destroy(broker);
        return err;
    }
    *ret_broker = broker;
    return 0;
}

int broker_start(struct broker *broker)
{
    for (int32_t i = 0; i < broker->loop_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "loop-%d", i);
        int err = loop_start(&broker->loops[i].loop, name);
        if (err < 0)
            return err;
    }
    loop_post(&broker_home(broker)->loop, &broker->life->begin);
    return 0;
}

void broker_stop(struct broker *broker)
{
    if (!atomic_exchange(&broker->life->stop_posted, true))
        loop_post(&broker_home(broker)->loop, &broker->life->stop);
}

void broker_destroy(struct broker *broker)
{
    if (!broker)
        return;
    for (int32_t i = 0; i < broker->loop_count; i++)
        loop_stop(&broker->loops[i].loop);
    for (int32_t i = 0; i < broker->loop_count; i++)
        loop_join(&broker->loops[i].loop);
    controller_destroy(broker->controller);
    coordinators_destroy(broker);
    for (int32_t i = 0; i < broker->loop_count; i++) {
        conn_set_close(&broker->loops[i].conns);
        image_reader_close(&broker->loops[i].images);
        epoch_reader_remove(&broker->loops[i].epoch);
        loop_close(&broker->loops[i].loop);
    }
    epoch_close(&broker->epochs);
    free(broker->loops);
    free(broker->listeners);
    fetch_sessions_destroy(broker->sessions);
    producer_ids_close(&broker->producer_ids);
    conn_quota_close(&broker->quota);
    image_publisher_close(&broker->publisher);
    if (broker->files)
        file_cache_destroy(broker->files);
    struct broker_config *config = atomic_load(&broker->config);
    if (config != broker->static_config)
        broker_config_destroy(config);
    broker_config_destroy(broker->static_config);
    life_destroy(broker->life);
    free(broker);
}

void broker_address(const struct broker *broker, char text[NET_ADDRESS_TEXT_SIZE])
{
    net_address_format(&broker->listeners[0].bound, text);
}
