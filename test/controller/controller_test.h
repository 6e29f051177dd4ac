/* A controller on a simulated node: the test's main thread is its home loop. */
#ifndef JACKDAW_TEST_CONTROLLER_H
#define JACKDAW_TEST_CONTROLLER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/errors.h"
#include "base/must.h"
#include "controller/controller.h"
#include "metadata/features.h"
#include "metadata/fold.h"
#include "quorum/format.h"
#include "sim/sim.h"

#define HELPER __attribute__((unused)) static
#define TEST_DIR "/data"
#define TEST_CLUSTER "cluster"

struct test_cluster {
    struct env *env;
    struct loop loop;
    struct say say;
    struct file_cache *files;
    struct image_publisher publisher;
    struct image_reader images;
    struct broker_config *config;
    struct controller *controller;
    struct arena arena; /* of requests and responses */
    int32_t local_broker_id;
    int64_t max_idle_ms;
    int64_t snapshot_after_bytes;
    bool ready;
    bool stopped;
    int stop_result;
    int error;
};

static void cluster_say(void *context, enum say_level level, const char *line, size_t size)
{
    struct test_cluster *cluster = context;
    cluster->env->ops->log_line(cluster->env, level, line, size);
}

static void cluster_failed(void *context, int error)
{
    ((struct test_cluster *)context)->error = error;
}

static void cluster_ready(void *context)
{
    ((struct test_cluster *)context)->ready = true;
}

static void cluster_stopped(void *context, int result)
{
    struct test_cluster *cluster = context;
    cluster->stopped = true;
    cluster->stop_result = result;
}

HELPER void cluster_format(struct env *env)
{
    const struct quorum_endpoint endpoint = {STR("CONTROLLER"), STR("localhost"), 9093};
    const struct quorum_voter voter = {1, uuid_of(7, 7), &endpoint, 1};
    must(env_mkdirs(env, TEST_DIR) == 0);
    must(env_sync_dir(env, "/") == 0);
    must(quorum_format(env, TEST_DIR, (struct quorum_voters){&voter, 1, 1}, NULL, 0) == 0);
}

/* Everything up to controller_start; options may be changed before it. */
HELPER void cluster_init(struct test_cluster *cluster, struct env *env)
{
    struct config_messages messages = {.count = 0};
    *cluster =
        (struct test_cluster){.env = env, .local_broker_id = -1, .snapshot_after_bytes = 1 << 20};
    must(loop_init(&cluster->loop, env, 0) == 0);
    cluster->say = (struct say){.level = SAY_INFO, .write = cluster_say, .context = cluster};
    cluster->files = file_cache_create(env, 10);
    must(cluster->files);
    must(image_publisher_init(&cluster->publisher) == 0);
    image_reader_init(&cluster->images, &cluster->publisher);
    must(broker_config_load((struct bytes){0}, NULL, 0, &messages, &cluster->config) == 0);
    config_messages_close(&messages);
    arena_init(&cluster->arena, 0);
}

HELPER void cluster_start(struct test_cluster *cluster)
{
    const struct quorum_endpoint endpoint = {STR("CONTROLLER"), STR("localhost"), 9093};
    struct quorum_params quorum;
    quorum_params_init(&quorum);
    quorum.files = cluster->files;
    quorum.dir = TEST_DIR;
    quorum.directory_id = uuid_of(7, 7);
    quorum.endpoints = &endpoint;
    quorum.endpoint_count = 1;
    quorum.snapshot_after_bytes = cluster->snapshot_after_bytes;
    const struct controller_params params = {
        .env = cluster->env,
        .loop = &cluster->loop,
        .say = &cluster->say,
        .publisher = &cluster->publisher,
        .node_id = 1,
        .cluster_id = STR(TEST_CLUSTER),
        .config = cluster->config,
        .session_timeout_ms = 9000,
        .max_idle_ms = cluster->max_idle_ms,
        .local_broker_id = cluster->local_broker_id,
        .failed = cluster_failed,
        .context = cluster,
    };
    must(controller_create(&params, &quorum, &cluster->controller) == 0);
    controller_start(cluster->controller, cluster_ready, cluster);
}

HELPER void cluster_turn(struct test_cluster *cluster)
{
    loop_turn(&cluster->loop);
    image_reader_turn_end(&cluster->images);
}

HELPER void cluster_open(struct test_cluster *cluster, struct env *env)
{
    cluster_init(cluster, env);
    cluster_start(cluster);
    while (!cluster->ready && !cluster->error)
        cluster_turn(cluster);
    must(cluster->ready);
}

HELPER int cluster_close(struct test_cluster *cluster)
{
    controller_stop(cluster->controller, cluster_stopped, cluster);
    while (!cluster->stopped)
        cluster_turn(cluster);
    controller_destroy(cluster->controller);
    loop_close(&cluster->loop);
    image_reader_close(&cluster->images);
    image_publisher_close(&cluster->publisher);
    broker_config_destroy(cluster->config);
    file_cache_destroy(cluster->files);
    arena_close(&cluster->arena);
    return cluster->stop_result;
}

HELPER const struct image *cluster_image(struct test_cluster *cluster)
{
    return image_get(&cluster->images);
}

/* One op under way. */
struct test_op {
    struct controller_op op;
    bool done;
};

static void test_op_done(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    container_of(op, struct test_op, op)->done = true;
}

HELPER void cluster_submit(struct test_cluster *cluster, int16_t api_key, const void *request,
                           void *response, struct test_op *op)
{
    *op = (struct test_op){
        .op = {.api_key = api_key,
               .api_version = api_find(api_key)->max_version,
               .request = request,
               .response = response,
               .arena = &cluster->arena,
               .done = test_op_done},
    };
    controller_submit(cluster->controller, &cluster->loop, &op->op);
}

/* Ask, and wait for the answer. */
HELPER int cluster_ask(struct test_cluster *cluster, int16_t api_key, const void *request,
                       void *response)
{
    struct test_op op;
    cluster_submit(cluster, api_key, request, response, &op);
    while (!op.done)
        cluster_turn(cluster);
    return op.op.result;
}

/* Topics. */

HELPER struct create_topics_response *cluster_create(struct test_cluster *cluster, const char *name,
                                                     int32_t partitions, int16_t factor)
{
    struct create_topics_request_creatable_topic *topic =
        create_topics_request_creatable_topic_array(&cluster->arena, 1);
    struct create_topics_request request;
    struct create_topics_response *response = arena_alloc(&cluster->arena, sizeof *response);
    create_topics_request_init(&request);
    topic->name = str_of(name);
    topic->num_partitions = partitions;
    topic->replication_factor = factor;
    request.topics.items = topic;
    request.topics.count = 1;
    request.timeout_ms = 30000;
    int result = cluster_ask(cluster, API_CREATE_TOPICS, &request, response);
    must(response->topics.count == 1);
    must(result == 0 || response->topics.items[0].error_code != 0);
    return response;
}

HELPER int16_t cluster_create_code(struct test_cluster *cluster, const char *name,
                                   int32_t partitions, int16_t factor)
{
    return cluster_create(cluster, name, partitions, factor)->topics.items[0].error_code;
}

HELPER int16_t cluster_delete(struct test_cluster *cluster, const char *name)
{
    struct delete_topics_request_delete_topic_state state = {.name = str_of(name)};
    struct delete_topics_request request;
    struct delete_topics_response response;
    delete_topics_request_init(&request);
    request.topics.items = &state;
    request.topics.count = 1;
    cluster_ask(cluster, API_DELETE_TOPICS, &request, &response);
    must(response.responses.count == 1);
    return response.responses.items[0].error_code;
}

/* Brokers. */

struct test_broker {
    int32_t id;
    struct uuid incarnation;
    const char *rack;
    int64_t previous_epoch;
    int64_t epoch;
    struct uuid dir, second_dir; /* the second zero: there is none */
};

HELPER struct test_broker test_broker(int32_t id, const char *rack)
{
    return (struct test_broker){.id = id,
                                .incarnation = uuid_of(50, (uint64_t)id),
                                .rack = rack,
                                .previous_epoch = -1,
                                .dir = uuid_of(70, 100 + (uint64_t)id)};
}

HELPER int16_t broker_register(struct test_cluster *cluster, struct test_broker *broker)
{
    struct broker_registration_request request;
    struct broker_registration_response response;
    struct broker_registration_request_listener listener = {STR("PLAINTEXT"), STR("localhost"),
                                                            9092, 0};
    broker_registration_request_init(&request);
    request.broker_id = broker->id;
    request.cluster_id = STR(TEST_CLUSTER);
    request.incarnation_id = broker->incarnation;
    request.rack = str_of(broker->rack);
    request.previous_broker_epoch = broker->previous_epoch;
    struct uuid dirs[] = {broker->dir, broker->second_dir};
    request.log_dirs = (struct uuid_array){dirs, uuid_is_zero(broker->second_dir) ? 1 : 2};
    request.listeners.items = &listener;
    request.listeners.count = 1;
    request.features.count = features_count;
    request.features.items =
        broker_registration_request_feature_array(&cluster->arena, features_count);
    for (int32_t i = 0; i < features_count; i++)
        request.features.items[i] = (struct broker_registration_request_feature){
            str_of(features[i].name), features[i].min, features[i].max};
    must(cluster_ask(cluster, API_BROKER_REGISTRATION, &request, &response) == 0);
    if (response.error_code == 0)
        broker->epoch = response.broker_epoch;
    return response.error_code;
}

HELPER struct broker_heartbeat_response broker_beat(struct test_cluster *cluster,
                                                    const struct test_broker *broker, bool fence,
                                                    bool shut_down)
{
    struct broker_heartbeat_request request;
    struct broker_heartbeat_response response;
    broker_heartbeat_request_init(&request);
    request.broker_id = broker->id;
    request.broker_epoch = broker->epoch;
    request.current_metadata_offset = cluster_image(cluster)->offset;
    request.want_fence = fence;
    request.want_shut_down = shut_down;
    must(cluster_ask(cluster, API_BROKER_HEARTBEAT, &request, &response) == 0);
    return response;
}

/* Register and unfence. */
HELPER struct test_broker cluster_broker(struct test_cluster *cluster, int32_t id, const char *rack)
{
    struct test_broker broker = test_broker(id, rack);
    must(broker_register(cluster, &broker) == 0);
    struct broker_heartbeat_response beat = broker_beat(cluster, &broker, false, false);
    must(beat.error_code == 0 && beat.is_caught_up && !beat.is_fenced);
    must(image_broker_alive(cluster_image(cluster), id));
    return broker;
}

/* Run one life of the node to its end. */

struct test_world {
    struct sim *sim;
    struct sim_node *node;
};

HELPER struct test_world world_open(void)
{
    struct test_world world = {.sim = sim_create(1, NULL)};
    world.node = sim_node_add(world.sim, "a");
    cluster_format(sim_env(world.node));
    return world;
}

static bool life_has_ended(void *context)
{
    return !sim_is_running(context);
}

HELPER void world_live(struct test_world *world, void (*life)(struct env *env, void *context),
                       void *context)
{
    sim_start(world->node, life, context);
    must(sim_run_until(world->sim, life_has_ended, world->node, INT64_C(36000000000000)));
    must(sim_memory_bytes(world->node) == 0);
}

/* A test that is one life on a new cluster. */
HELPER void world_once(void (*life)(struct env *env, void *context))
{
    struct test_world world = world_open();
    world_live(&world, life, &world);
    sim_destroy(world.sim);
}

#endif
