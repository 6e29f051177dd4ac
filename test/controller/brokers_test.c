/* Registration, heartbeats, fencing, elections, ISR changes. */
#include "controller_test.h"

static const struct partition_image *partition_of(struct test_cluster *cluster, const char *topic,
                                                  int32_t partition)
{
    return topic_partition(image_topic_named(cluster_image(cluster), str_of(topic)), partition);
}

static void set_feature(struct test_cluster *cluster, const char *name, int16_t level)
{
    struct update_features_request_feature_update_key update;
    struct update_features_request request;
    struct update_features_response response;
    update_features_request_feature_update_key_init(&update);
    update_features_request_init(&request);
    update.feature = str_of(name);
    update.max_version_level = level;
    update.upgrade_type = level ? 1 : 2;
    request.feature_updates.items = &update;
    request.feature_updates.count = 1;
    must(cluster_ask(cluster, API_UPDATE_FEATURES, &request, &response) == 0);
    must(response.error_code == 0);
}

static void register_some(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    struct test_broker broker = test_broker(5, "r");
    int64_t next = quorum_next_offset(controller_quorum(cluster.controller));
    must(broker_register(&cluster, &broker) == 0);
    must(broker.epoch == next);
    const struct broker_image *image = image_broker(cluster_image(&cluster), 5);
    must(image->fenced && image->epoch == broker.epoch && str_equal(image->rack, STR("r")));
    must(image->log_dir_count == 1 && image->endpoint_count == 1);
    /* The same incarnation again amends. */
    int64_t epoch = broker.epoch;
    broker.rack = "s";
    must(broker_register(&cluster, &broker) == 0 && broker.epoch == epoch);
    must(str_equal(image_broker(cluster_image(&cluster), 5)->rack, STR("s")));
    /* Another one while the first lives is a mistake. */
    struct test_broker other = test_broker(5, NULL);
    other.incarnation = uuid_of(51, 5);
    must(broker_register(&cluster, &other) == KAFKA_DUPLICATE_BROKER_REGISTRATION);
    /* Somebody else's directory. */
    other = test_broker(6, NULL);
    other.dir = broker.dir;
    must(broker_register(&cluster, &other) == KAFKA_INVALID_REGISTRATION);
    other.dir = uuid_of(0, 5);
    must(broker_register(&cluster, &other) == KAFKA_INVALID_REGISTRATION);

    struct broker_registration_request request;
    struct broker_registration_response response;
    struct broker_registration_request_feature range = {STR(FEATURE_METADATA_VERSION), 7, 33};
    broker_registration_request_init(&request);
    request.broker_id = 7;
    request.cluster_id = STR("other");
    request.log_dirs = (struct uuid_array){&other.dir, 1};
    must(cluster_ask(&cluster, API_BROKER_REGISTRATION, &request, &response) == 0);
    must(response.error_code == KAFKA_INCONSISTENT_CLUSTER_ID);
    request.cluster_id = STR(TEST_CLUSTER);
    other.dir = uuid_of(70, 7);
    must(cluster_ask(&cluster, API_BROKER_REGISTRATION, &request, &response) == 0);
    must(response.error_code == KAFKA_INVALID_REGISTRATION); /* no metadata.version */
    request.features.items = &range;
    request.features.count = 1;
    must(cluster_ask(&cluster, API_BROKER_REGISTRATION, &request, &response) == 0);
    must(response.error_code == KAFKA_UNSUPPORTED_VERSION); /* kraft.version is finalized */
    /* Heartbeats of nobody. */
    other.epoch = 3;
    must(broker_beat(&cluster, &other, false, false).error_code == KAFKA_STALE_BROKER_EPOCH);
    broker.epoch++;
    must(broker_beat(&cluster, &broker, false, false).error_code == KAFKA_STALE_BROKER_EPOCH);
    must(cluster_close(&cluster) == 0);
}

static void registrations_are_checked_as_kafka_does(void **state)
{
    (void)state;
    world_once(register_some);
}

static void fence_by_silence(struct env *env, void *context)
{
    struct test_world *world = context;
    struct test_cluster cluster;
    cluster_init(&cluster, env);
    cluster.local_broker_id = 1;
    cluster_start(&cluster);
    while (!cluster.ready)
        cluster_turn(&cluster);
    struct test_broker local = cluster_broker(&cluster, 1, NULL);
    struct test_broker remote = cluster_broker(&cluster, 2, NULL);
    must(cluster_create_code(&cluster, "t", 4, 2) == 0);
    int64_t started = env_now_ns(env);
    while (image_broker_alive(cluster_image(&cluster), 2))
        cluster_turn(&cluster);
    int64_t waited_ms = (env_now_ns(env) - started) / 1000000;
    must(waited_ms >= 8000 && waited_ms < 10000);
    must(image_broker_alive(cluster_image(&cluster), 1));
    for (int32_t p = 0; p < 4; p++) {
        const struct partition_image *partition = partition_of(&cluster, "t", p);
        must(partition->leader == 1);
        must(partition->isr.count == 1 && partition->isr.items[0] == 1);
        must(partition->leader_epoch <= 1 && partition->partition_epoch == 1);
    }
    /* It comes back: same incarnation, caught up, and is in no ISR until its leaders say so. */
    must(!broker_beat(&cluster, &remote, false, false).is_fenced);
    must(partition_of(&cluster, "t", 0)->isr.count == 1);
    (void)local;
    (void)world;
    must(cluster_close(&cluster) == 0);
}

static void a_silent_broker_is_fenced_and_its_leaders_move(void **state)
{
    (void)state;
    world_once(fence_by_silence);
}

static void shut_down(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    struct test_broker one = cluster_broker(&cluster, 1, NULL);
    struct test_broker two = cluster_broker(&cluster, 2, NULL);
    must(cluster_create_code(&cluster, "t", 6, 2) == 0);
    struct broker_heartbeat_response beat = broker_beat(&cluster, &one, false, true);
    must(!beat.should_shut_down && !beat.is_fenced);
    const struct broker_image *broker = image_broker(cluster_image(&cluster), 1);
    must(broker->in_controlled_shutdown && !broker->fenced);
    for (int32_t p = 0; p < 6; p++)
        must(partition_of(&cluster, "t", p)->leader == 2);
    /* The other one has not yet said that it has seen this. */
    beat = broker_beat(&cluster, &one, false, true);
    must(!beat.should_shut_down);
    broker_beat(&cluster, &two, false, false);
    beat = broker_beat(&cluster, &one, false, true);
    must(beat.should_shut_down && beat.is_fenced);
    must(image_broker(cluster_image(&cluster), 1)->fenced);
    /* A new incarnation that was shut down in order may come while the session still lives? No: its
     * id is taken until the session ends. */
    struct test_broker again = one;
    again.incarnation = uuid_of(51, 1);
    again.previous_epoch = one.epoch;
    must(broker_register(&cluster, &again) == KAFKA_DUPLICATE_BROKER_REGISTRATION);
    must(cluster_close(&cluster) == 0);
}

static void a_controlled_shutdown_moves_leaders_first(void **state)
{
    (void)state;
    world_once(shut_down);
}

/* One broker alone, with and without eligible leader replicas, through a crash and a clean stop. */
/* AlterPartition of the topic's partition 0. */
struct isr_change {
    int32_t leader_epoch, partition_epoch;
    struct alter_partition_request_broker_state *isr;
    int32_t count;
};

static struct alter_partition_response_partition_data change_isr(struct test_cluster *cluster,
                                                                 const struct test_broker *leader,
                                                                 const char *name,
                                                                 const struct isr_change *change)
{
    struct alter_partition_request_partition_data data;
    struct alter_partition_request_topic_data topic;
    struct alter_partition_request request;
    struct alter_partition_response response;
    alter_partition_request_init(&request);
    alter_partition_request_topic_data_init(&topic);
    alter_partition_request_partition_data_init(&data);
    request.broker_id = leader->id;
    request.broker_epoch = leader->epoch;
    request.topics.items = &topic;
    request.topics.count = 1;
    topic.topic_id = image_topic_named(cluster_image(cluster), str_of(name))->id;
    topic.partitions.items = &data;
    topic.partitions.count = 1;
    data.leader_epoch = change->leader_epoch;
    data.partition_epoch = change->partition_epoch;
    data.new_isr_with_epochs.items = change->isr;
    data.new_isr_with_epochs.count = change->count;
    must(cluster_ask(cluster, API_ALTER_PARTITION, &request, &response) == 0);
    must(response.error_code == 0);
    return response.topics.items[0].partitions.items[0];
}

static void restart_alone(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_init(&cluster, env);
    cluster.local_broker_id = 1;
    cluster_start(&cluster);
    while (!cluster.ready)
        cluster_turn(&cluster);
    for (int elr = 1; elr >= 0; elr--) {
        set_feature(&cluster, FEATURE_ELR_VERSION, (int16_t)elr);
        const char *topic = elr ? "with" : "without";
        struct test_broker broker = test_broker(1, NULL);
        broker.incarnation = uuid_of(60 + (uint64_t)elr, 1);
        must(broker_register(&cluster, &broker) == 0);
        must(!broker_beat(&cluster, &broker, false, false).is_fenced);
        must(cluster_create_code(&cluster, topic, 1, 1) == 0);
        must(partition_of(&cluster, topic, 0)->leader == 1);

        /* Crash: a new incarnation, which knows no earlier epoch. */
        broker.incarnation = uuid_of(70 + (uint64_t)elr, 1);
        must(broker_register(&cluster, &broker) == 0);
        const struct partition_image *partition = partition_of(&cluster, topic, 0);
        must(partition->leader == NO_LEADER && partition->leader_epoch == 1);
        must(partition->isr.count == (elr ? 0 : 1));
        must(partition->last_known_elr.count == elr);
        must(!broker_beat(&cluster, &broker, false, false).is_fenced);
        partition = partition_of(&cluster, topic, 0);
        must(partition->leader == 1 && partition->leader_epoch == 2);
        must(partition->isr.count == 1 && partition->last_known_elr.count == 0);
        must(partition->leader_recovery_state == (elr ? LEADER_RECOVERING : LEADER_RECOVERED));

        /* The leader says that it has recovered what there is. */
        if (elr) {
            struct alter_partition_request_broker_state isr = {1, broker.epoch};
            const struct isr_change change = {partition->leader_epoch, partition->partition_epoch,
                                              &isr, 1};
            must(change_isr(&cluster, &broker, topic, &change).error_code == 0);
            must(partition_of(&cluster, topic, 0)->leader_recovery_state == LEADER_RECOVERED);
        }

        /* A clean stop, and a start that can prove it. */
        must(!broker_beat(&cluster, &broker, false, true).should_shut_down);
        must(broker_beat(&cluster, &broker, false, true).should_shut_down);
        partition = partition_of(&cluster, topic, 0);
        must(partition->leader == NO_LEADER);
        must(partition->elr.count == elr && partition->isr.count == !elr);
        broker.incarnation = uuid_of(80 + (uint64_t)elr, 1);
        broker.previous_epoch = broker.epoch;
        must(broker_register(&cluster, &broker) == 0);
        must(!broker_beat(&cluster, &broker, false, false).is_fenced);
        partition = partition_of(&cluster, topic, 0);
        must(partition->leader == 1 && partition->isr.count == 1 && partition->elr.count == 0);
        must(partition->leader_recovery_state == LEADER_RECOVERED);
        must(partition->leader_epoch == 4);
        must(broker_beat(&cluster, &broker, true, false).is_fenced);
    }
    must(cluster_close(&cluster) == 0);
}

static void a_lone_broker_leads_again_after_a_crash_and_after_a_stop(void **state)
{
    (void)state;
    world_once(restart_alone);
}

struct isr_case {
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t isr[3];
    int32_t count;
    int64_t epoch_shift; /* of the last broker in the ISR */
    int16_t code;
};

static void alter_isr(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    struct test_broker brokers[4];
    cluster_open(&cluster, env);
    for (int32_t id = 1; id <= 3; id++)
        brokers[id] = cluster_broker(&cluster, id, NULL);
    must(cluster_create_code(&cluster, "t", 1, 3) == 0);
    const struct partition_image *partition = partition_of(&cluster, "t", 0);
    int32_t leader = partition->leader;
    int32_t follower = leader % 3 + 1;
    int32_t third = follower % 3 + 1;
    const struct isr_case cases[] = {
        {0, 0, {leader, follower, 0}, 2, 0, 0},
        {0, 0, {leader, follower, 0}, 2, 0, KAFKA_INVALID_UPDATE_VERSION},
        {1, 1, {leader, follower, 0}, 2, 0, KAFKA_NOT_CONTROLLER},
        {0, 2, {leader, follower, 0}, 2, 0, KAFKA_NOT_CONTROLLER},
        {-1, 1, {leader, follower, 0}, 2, 0, KAFKA_FENCED_LEADER_EPOCH},
        {0, 1, {follower, third, 0}, 2, 0, KAFKA_INVALID_REQUEST},
        {0, 1, {leader, 9, 0}, 2, 0, KAFKA_INVALID_REQUEST},
        {0, 1, {leader, leader, 0}, 2, 0, KAFKA_INVALID_REQUEST},
        {0, 1, {leader, follower, third}, 3, 1, KAFKA_INELIGIBLE_REPLICA},
        {0, 1, {leader, follower, third}, 3, 0, 0},
        {0, 2, {leader, follower, third}, 3, 0, 0},
    };
    int32_t epoch = 0;
    for (size_t i = 0; i < array_size(cases); i++) {
        struct alter_partition_request_broker_state isr[3];
        const struct isr_change change = {cases[i].leader_epoch, cases[i].partition_epoch, isr,
                                          cases[i].count};
        for (int k = 0; k < cases[i].count; k++) {
            int32_t id = cases[i].isr[k];
            isr[k].broker_id = id;
            isr[k].broker_epoch = id < 4 ? brokers[id].epoch : 0;
        }
        isr[cases[i].count - 1].broker_epoch += cases[i].epoch_shift;
        const struct alter_partition_response_partition_data result =
            change_isr(&cluster, &brokers[leader], "t", &change);
        must(result.error_code == cases[i].code);
        partition = partition_of(&cluster, "t", 0);
        epoch += i == 0 || i == array_size(cases) - 2;
        must(partition->partition_epoch == epoch);
        if (result.error_code == 0) {
            must(result.leader_id == leader && result.leader_epoch == 0);
            must(result.partition_epoch == epoch && result.isr.count == cases[i].count);
            must(partition->isr.count == cases[i].count);
        }
    }
    must(cluster_close(&cluster) == 0);
}

static void isr_changes_are_checked_as_kafka_does(void **state)
{
    (void)state;
    world_once(alter_isr);
}

static int16_t elect(struct test_cluster *cluster, const char *topic, int8_t type)
{
    int32_t partition = 0;
    struct elect_leaders_request_topic_partitions partitions = {str_of(topic), {&partition, 1}};
    struct elect_leaders_request request;
    struct elect_leaders_response response;
    elect_leaders_request_init(&request);
    request.election_type = type;
    request.topic_partitions.items = &partitions;
    request.topic_partitions.count = 1;
    must(cluster_ask(cluster, API_ELECT_LEADERS, &request, &response) == 0);
    must(response.error_code == 0 && response.replica_election_results.count == 1);
    return response.replica_election_results.items[0].partition_result.items[0].error_code;
}

static void elect_some(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    struct test_broker brokers[3];
    cluster_open(&cluster, env);
    set_feature(&cluster, FEATURE_ELR_VERSION, 0);
    brokers[1] = cluster_broker(&cluster, 1, NULL);
    brokers[2] = cluster_broker(&cluster, 2, NULL);
    must(cluster_create_code(&cluster, "t", 1, 2) == 0);
    int32_t preferred = partition_of(&cluster, "t", 0)->replicas.items[0];
    int32_t other = 3 - preferred;
    must(elect(&cluster, "t", 0) == KAFKA_ELECTION_NOT_NEEDED);
    must(elect(&cluster, "none", 0) == KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    /* The preferred leader goes, and is back, out of sync: it must not lead. */
    must(broker_beat(&cluster, &brokers[preferred], true, false).is_fenced);
    must(partition_of(&cluster, "t", 0)->leader == other);
    must(!broker_beat(&cluster, &brokers[preferred], false, false).is_fenced);
    must(elect(&cluster, "t", 0) == KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    /* Now the only one in sync goes: nobody leads, until an unclean election is asked for. */
    must(broker_beat(&cluster, &brokers[other], true, false).is_fenced);
    const struct partition_image *partition = partition_of(&cluster, "t", 0);
    must(partition->leader == NO_LEADER && partition->isr.items[0] == other);
    must(elect(&cluster, "t", 0) == KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    must(elect(&cluster, "t", 1) == 0);
    partition = partition_of(&cluster, "t", 0);
    must(partition->leader == preferred && partition->isr.count == 1);
    must(partition->isr.items[0] == preferred);
    must(partition->leader_recovery_state == LEADER_RECOVERING);
    must(elect(&cluster, "t", 1) == KAFKA_ELECTION_NOT_NEEDED);
    must(cluster_close(&cluster) == 0);
}

static void only_those_in_sync_lead_unless_asked_otherwise(void **state)
{
    (void)state;
    world_once(elect_some);
}

static void unregister(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    cluster_broker(&cluster, 2, NULL);
    must(cluster_create_code(&cluster, "t", 2, 2) == 0);
    struct unregister_broker_request request = {2};
    struct unregister_broker_response response;
    must(cluster_ask(&cluster, API_UNREGISTER_BROKER, &request, &response) == 0);
    must(response.error_code == 0);
    must(!image_broker(cluster_image(&cluster), 2));
    for (int32_t p = 0; p < 2; p++)
        must(partition_of(&cluster, "t", p)->leader == 1);
    must(cluster_ask(&cluster, API_UNREGISTER_BROKER, &request, &response) == 0);
    must(response.error_code == KAFKA_BROKER_ID_NOT_REGISTERED);
    must(str_equal(response.error_message, STR("Broker ID 2 is not currently registered")));
    must(cluster_close(&cluster) == 0);
}

static void an_unregistered_broker_leaves_no_leaders_behind(void **state)
{
    (void)state;
    world_once(unregister);
}

/* Say that partition `index` of t lies in this directory of the broker's; its error. */
static int16_t assign_directory(struct test_cluster *cluster, const struct test_broker *broker,
                                int32_t index, struct uuid directory)
{
    struct assign_replicas_to_dirs_request_partition_data partition = {index};
    struct assign_replicas_to_dirs_request_topic_data topic = {
        image_topic_named(cluster_image(cluster), STR("t"))->id, {&partition, 1}};
    struct assign_replicas_to_dirs_request_directory_data dir = {directory, {&topic, 1}};
    struct assign_replicas_to_dirs_request request;
    struct assign_replicas_to_dirs_response response;
    assign_replicas_to_dirs_request_init(&request);
    request.broker_id = broker->id;
    request.broker_epoch = broker->epoch;
    request.directories.items = &dir;
    request.directories.count = 1;
    must(cluster_ask(cluster, API_ASSIGN_REPLICAS_TO_DIRS, &request, &response) == 0);
    must(response.error_code == 0);
    return response.directories.items[0].topics.items[0].partitions.items[0].error_code;
}

static struct uuid directory_in(struct test_cluster *cluster, int32_t index, int32_t broker_id)
{
    return *partition_directory(partition_of(cluster, "t", index), broker_id);
}

static void lose_directory(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    struct test_broker one = test_broker(1, NULL);
    one.second_dir = uuid_of(90, 1);
    must(broker_register(&cluster, &one) == 0);
    must(!broker_beat(&cluster, &one, false, false).is_fenced);
    struct test_broker two = cluster_broker(&cluster, 2, NULL);
    must(cluster_create_code(&cluster, "t", 3, 2) == 0);
    must(uuid_equal(directory_in(&cluster, 0, 1), uuid_of(0, 1))); /* it has two */
    must(uuid_equal(directory_in(&cluster, 0, 2), two.dir));
    must(assign_directory(&cluster, &one, 0, one.second_dir) == 0);
    must(assign_directory(&cluster, &one, 1, one.dir) == 0);
    must(uuid_equal(directory_in(&cluster, 0, 1), one.second_dir));
    must(uuid_equal(directory_in(&cluster, 0, 2), two.dir));

    /* The first directory fails: only what lies in it loses this replica. */
    struct broker_heartbeat_request beat;
    struct broker_heartbeat_response answer;
    broker_heartbeat_request_init(&beat);
    beat.broker_id = 1;
    beat.broker_epoch = one.epoch;
    beat.offline_log_dirs = (struct uuid_array){&one.dir, 1};
    must(cluster_ask(&cluster, API_BROKER_HEARTBEAT, &beat, &answer) == 0);
    must(answer.error_code == 0);
    must(image_broker(cluster_image(&cluster), 1)->log_dir_count == 1);
    must(!broker_ids_has(partition_of(&cluster, "t", 1)->isr, 1));
    must(partition_of(&cluster, "t", 1)->leader == 2);
    must(broker_ids_has(partition_of(&cluster, "t", 0)->isr, 1));
    must(broker_ids_has(partition_of(&cluster, "t", 2)->isr, 1));

    /* And what turns out to have lain there. */
    must(assign_directory(&cluster, &one, 2, one.dir) == 0);
    must(!broker_ids_has(partition_of(&cluster, "t", 2)->isr, 1));
    must(partition_of(&cluster, "t", 2)->leader == 2);
    must(cluster_close(&cluster) == 0);
}

static void a_failed_directory_takes_only_its_own_replicas_along(void **state)
{
    (void)state;
    world_once(lose_directory);
}

static void allocate(struct env *env, void *context)
{
    int64_t *next = context;
    struct test_cluster cluster;
    cluster_init(&cluster, env);
    cluster.local_broker_id = 1; /* registers anew in every life */
    cluster_start(&cluster);
    while (!cluster.ready)
        cluster_turn(&cluster);
    struct test_broker broker = test_broker(1, NULL);
    broker.incarnation = uuid_of(100, (uint64_t)*next);
    must(broker_register(&cluster, &broker) == 0);
    struct allocate_producer_ids_request request = {1, broker.epoch};
    struct allocate_producer_ids_response response;
    for (int i = 0; i < 3; i++) {
        must(cluster_ask(&cluster, API_ALLOCATE_PRODUCER_IDS, &request, &response) == 0);
        must(response.error_code == 0);
        must(response.producer_id_start == *next && response.producer_id_len == 1000);
        *next += 1000;
    }
    request.broker_epoch++;
    must(cluster_ask(&cluster, API_ALLOCATE_PRODUCER_IDS, &request, &response) == 0);
    must(response.error_code == KAFKA_STALE_BROKER_EPOCH);
    must(cluster_close(&cluster) == 0);
}

static void blocks_of_producer_ids_never_overlap(void **state)
{
    (void)state;
    int64_t next = 0;
    struct test_world world = world_open();
    for (int i = 0; i < 3; i++)
        world_live(&world, allocate, &next);
    sim_destroy(world.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registrations_are_checked_as_kafka_does),
        cmocka_unit_test(a_silent_broker_is_fenced_and_its_leaders_move),
        cmocka_unit_test(a_controlled_shutdown_moves_leaders_first),
        cmocka_unit_test(a_lone_broker_leads_again_after_a_crash_and_after_a_stop),
        cmocka_unit_test(isr_changes_are_checked_as_kafka_does),
        cmocka_unit_test(only_those_in_sync_lead_unless_asked_otherwise),
        cmocka_unit_test(an_unregistered_broker_leaves_no_leaders_behind),
        cmocka_unit_test(a_failed_directory_takes_only_its_own_replicas_along),
        cmocka_unit_test(blocks_of_producer_ids_never_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
