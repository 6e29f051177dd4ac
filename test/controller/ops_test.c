/* How ops run: waiting, deadlines, failures, large decisions, and what a restart keeps. */
#include "controller_test.h"

#include <errno.h>

static void wait_for_start(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_init(&cluster, env);
    cluster_start(&cluster);
    struct test_broker broker = test_broker(1, NULL);
    must(broker_register(&cluster, &broker) == 0); /* asked before the controller is active */
    must(cluster.ready);
    must(cluster_close(&cluster) == 0);
}

static void ops_wait_for_the_controller_to_be_active(void **state)
{
    (void)state;
    world_once(wait_for_start);
}

static void stop_under_load(struct env *env, void *context)
{
    (void)context;
    enum { MANY = 20 };
    struct test_cluster cluster;
    struct test_op ops[MANY];
    struct create_topics_response responses[MANY];
    struct create_topics_request requests[MANY];
    struct create_topics_request_creatable_topic topics[MANY];
    char names[MANY][8];
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        create_topics_request_init(&requests[i]);
        create_topics_request_creatable_topic_init(&topics[i]);
        topics[i].name = str_of(names[i]);
        topics[i].num_partitions = 1;
        topics[i].replication_factor = 1;
        requests[i].topics.items = &topics[i];
        requests[i].topics.count = 1;
        requests[i].timeout_ms = 10000;
    }
    for (int i = 0; i < MANY / 2; i++)
        cluster_submit(&cluster, API_CREATE_TOPICS, &requests[i], &responses[i], &ops[i]);
    cluster_turn(&cluster);
    controller_stop(cluster.controller, cluster_stopped, &cluster);
    for (int i = MANY / 2; i < MANY; i++)
        cluster_submit(&cluster, API_CREATE_TOPICS, &requests[i], &responses[i], &ops[i]);
    for (int i = 0; i < MANY; i++)
        while (!ops[i].done)
            cluster_turn(&cluster);
    while (!cluster.stopped)
        cluster_turn(&cluster);
    for (int i = 0; i < MANY; i++) {
        bool there = image_topic_named(cluster_image(&cluster), str_of(names[i])) != NULL;
        must(there == (ops[i].op.result == 0));
        if (i >= MANY / 2)
            must(ops[i].op.result == KAFKA_NOT_CONTROLLER);
        must(responses[i].topics.items[0].error_code == ops[i].op.result);
    }
    controller_destroy(cluster.controller);
    loop_close(&cluster.loop);
    image_reader_close(&cluster.images);
    image_publisher_close(&cluster.publisher);
    broker_config_destroy(cluster.config);
    file_cache_destroy(cluster.files);
    arena_close(&cluster.arena);
}

static void a_stop_answers_everybody(void **state)
{
    (void)state;
    world_once(stop_under_load);
}

static void time_out(struct env *env, void *context)
{
    struct test_world *world = context;
    struct test_cluster cluster;
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request request;
    struct create_topics_response response;
    struct test_op op;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    create_topics_request_init(&request);
    create_topics_request_creatable_topic_init(&topic);
    topic.name = STR("slow");
    topic.num_partitions = 1;
    topic.replication_factor = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    cluster_submit(&cluster, API_CREATE_TOPICS, &request, &response, &op);
    op.op.deadline_ns = env_now_ns(env) + 1;
    while (!op.done)
        cluster_turn(&cluster);
    must(op.op.result == KAFKA_REQUEST_TIMED_OUT);
    must(response.topics.count == 1);
    must(response.topics.items[0].error_code == KAFKA_REQUEST_TIMED_OUT);
    /* It was on its way, and comes about all the same. */
    must(cluster_create_code(&cluster, "other", 1, 1) == 0);
    must(image_topic_named(cluster_image(&cluster), STR("slow")));
    (void)world;
    must(cluster_close(&cluster) == 0);
}

static void an_op_is_answered_by_its_deadline(void **state)
{
    (void)state;
    world_once(time_out);
}

static void create_large(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    /* 10,000 partitions and their topics' records are more than one batch holds. */
    struct create_topics_request request;
    struct create_topics_response response;
    char names[100][8];
    create_topics_request_init(&request);
    request.topics.items = create_topics_request_creatable_topic_array(&cluster.arena, 100);
    request.topics.count = 100;
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        request.topics.items[i].name = str_of(names[i]);
        request.topics.items[i].num_partitions = 100;
        request.topics.items[i].replication_factor = 1;
    }
    struct test_op op;
    cluster_submit(&cluster, API_CREATE_TOPICS, &request, &response, &op);
    while (!op.done) {
        int32_t count = image_topic_count(cluster_image(&cluster));
        must(count == 0 || count == 100); /* all at once */
        cluster_turn(&cluster);
    }
    must(op.op.result == 0);
    must(cluster_image(&cluster)->partition_count == 10000);
    must(cluster_create_code(&cluster, "t5", 1, 1) == KAFKA_TOPIC_ALREADY_EXISTS);
    must(cluster_close(&cluster) == 0);
}

static void look_large(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    must(cluster_image(&cluster)->partition_count == 10000);
    must(cluster_close(&cluster) == 0);
}

static void more_records_than_a_batch_holds_show_at_once(void **state)
{
    (void)state;
    struct test_world world = world_open();
    world_live(&world, create_large, NULL);
    world_live(&world, look_large, NULL);
    sim_destroy(world.sim);
}

static struct create_topics_request *large_request(struct test_cluster *cluster)
{
    struct create_topics_request *request = arena_alloc(&cluster->arena, sizeof *request);
    create_topics_request_init(request);
    request->topics.items = create_topics_request_creatable_topic_array(&cluster->arena, 2);
    request->topics.count = 2;
    for (int i = 0; i < 2; i++) {
        request->topics.items[i].name = i ? STR("large-1") : STR("large-0");
        request->topics.items[i].num_partitions = 5000;
        request->topics.items[i].replication_factor = 1;
    }
    return request;
}

static void fill_disk(struct env *env, void *context)
{
    struct test_world *world = context;
    struct test_cluster cluster;
    struct create_topics_response responses[3];
    struct test_op ops[3];
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    must(cluster_create_code(&cluster, "before", 1, 1) == 0);
    /* First every write fails; then one in the middle of a transaction does. */
    for (int after = 0; after < 4; after++) {
        sim_disk_fault(world->node, SIM_DISK_WRITE, "0.log", after, 1000, ENOSPC);
        for (int i = 0; i < 3; i++)
            cluster_submit(&cluster, API_CREATE_TOPICS, large_request(&cluster), &responses[i],
                           &ops[i]);
        for (int i = 0; i < 3; i++)
            while (!ops[i].done)
                cluster_turn(&cluster);
        for (int i = 0; i < 3; i++)
            must(ops[i].op.result == -ENOSPC);
        must(responses[0].topics.items[0].error_code == KAFKA_KAFKA_STORAGE_ERROR);
        /* The disk has room again. What was refused is not there, and can be asked for again. */
        sim_disk_fault(world->node, SIM_DISK_WRITE, "0.log", 0, 0, 0);
        char name[16];
        snprintf(name, sizeof name, "after-%d", after);
        must(cluster_create_code(&cluster, name, 1, 1) == 0);
        must(!image_topic_named(cluster_image(&cluster), STR("large-0")));
        must(!cluster.error);
    }
    must(cluster_ask(&cluster, API_CREATE_TOPICS, large_request(&cluster), &responses[0]) == 0);
    must(responses[0].topics.items[0].error_code == 0);
    must(image_topic_named(cluster_image(&cluster), STR("large-1")));
    must(cluster_close(&cluster) == 0);
}

static void look_after_full_disk(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    must(image_topic_count(cluster_image(&cluster)) == 7);
    must(cluster_image(&cluster)->partition_count == 10005);
    must(cluster_close(&cluster) == 0);
}

static void a_full_disk_refuses_and_everything_goes_on_when_there_is_room(void **state)
{
    (void)state;
    struct test_world world = world_open();
    world_live(&world, fill_disk, &world);
    world_live(&world, look_after_full_disk, &world);
    sim_destroy(world.sim);
}

static void idle_alone(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_init(&cluster, env);
    cluster.local_broker_id = 1;
    cluster.max_idle_ms = 500;
    cluster_start(&cluster);
    while (!cluster.ready)
        cluster_turn(&cluster);
    cluster_broker(&cluster, 1, NULL);
    struct test_broker remote = test_broker(2, NULL);
    must(broker_register(&cluster, &remote) == 0);
    must(!broker_beat(&cluster, &remote, false, false).is_fenced);
    int64_t offset = cluster_image(&cluster)->offset;
    /* With a remote broker the log moves about twice a second; then it is fenced, and it stops. */
    while (image_broker_alive(cluster_image(&cluster), 2))
        cluster_turn(&cluster);
    int64_t moved = cluster_image(&cluster)->offset - offset;
    must(moved >= 14 && moved <= 20);
    must(cluster_close(&cluster) == 0);
}

static void the_log_is_kept_moving_for_remote_brokers_only(void **state)
{
    (void)state;
    world_once(idle_alone);
}

static void describe(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    struct describe_quorum_request_partition_data partition = {0};
    struct describe_quorum_request_topic_data topics[] = {
        {STR("__cluster_metadata"), {&partition, 1}}, {STR("other"), {&partition, 1}}};
    struct describe_quorum_request request = {{topics, 2}};
    struct describe_quorum_response response;
    must(cluster_ask(&cluster, API_DESCRIBE_QUORUM, &request, &response) == 0);
    const struct describe_quorum_response_partition_data *result =
        &response.topics.items[0].partitions.items[0];
    must(result->error_code == 0 && result->leader_id == 1 && result->leader_epoch == 1);
    must(result->high_watermark == cluster_image(&cluster)->offset + 1);
    must(result->current_voters.count == 1 && result->current_voters.items[0].replica_id == 1);
    must(uuid_equal(result->current_voters.items[0].replica_directory_id, uuid_of(7, 7)));
    must(response.topics.items[1].partitions.items[0].error_code ==
         KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    must(response.nodes.count == 1 && response.nodes.items[0].listeners.items[0].port == 9093);
    must(cluster_close(&cluster) == 0);
}

static void the_quorum_describes_itself(void **state)
{
    (void)state;
    world_once(describe);
}

static void churn(struct env *env, void *context)
{
    int32_t *lives = context;
    struct test_cluster cluster;
    cluster_init(&cluster, env);
    cluster.local_broker_id = 1;
    cluster.snapshot_after_bytes = 3000;
    cluster_start(&cluster);
    while (!cluster.ready)
        cluster_turn(&cluster);
    struct test_broker broker = test_broker(1, NULL);
    broker.incarnation = uuid_of(200, (uint64_t)*lives);
    must(broker_register(&cluster, &broker) == 0);
    must(!broker_beat(&cluster, &broker, false, false).is_fenced);
    must(image_topic_count(cluster_image(&cluster)) == *lives * 10);
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "t-%d-%d", *lives, i);
        must(cluster_create_code(&cluster, name, 2, 1) == 0);
        if (i % 2)
            must(cluster_delete(&cluster, name) == 0);
    }
    for (int32_t life = 0; life <= *lives; life++) {
        char name[32];
        snprintf(name, sizeof name, "t-%d-4", life);
        must(image_topic_named(cluster_image(&cluster), str_of(name)));
    }
    must(quorum_last_snapshot(controller_quorum(cluster.controller)).end_offset > 0);
    (*lives)++;
    must(cluster_close(&cluster) == 0);
}

static void snapshots_and_log_give_back_the_state(void **state)
{
    (void)state;
    int32_t lives = 0;
    struct test_world world = world_open();
    while (lives < 5)
        world_live(&world, churn, &lives);
    sim_destroy(world.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_wait_for_the_controller_to_be_active),
        cmocka_unit_test(a_stop_answers_everybody),
        cmocka_unit_test(an_op_is_answered_by_its_deadline),
        cmocka_unit_test(more_records_than_a_batch_holds_show_at_once),
        cmocka_unit_test(a_full_disk_refuses_and_everything_goes_on_when_there_is_room),
        cmocka_unit_test(the_log_is_kept_moving_for_remote_brokers_only),
        cmocka_unit_test(the_quorum_describes_itself),
        cmocka_unit_test(snapshots_and_log_give_back_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
