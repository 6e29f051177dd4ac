#include "controller_test.h"

static const struct create_topics_response_creatable_topic_result *
result_of(const struct create_topics_response *response)
{
    return &response->topics.items[0];
}

static bool says(struct str message, const char *text)
{
    return str_equal(message, str_of(text));
}

static void boot(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    const struct image *image = cluster_image(&cluster);
    must(image->metadata_version == METADATA_VERSION_LATEST);
    must(image_feature(image, STR(FEATURE_ELR_VERSION)) == 1);
    must(image_feature(image, STR(FEATURE_GROUP_VERSION)) == 1);
    must(image_controller(image, 1));
    struct config_pairs defaults = image_configs(image, CONFIG_RESOURCE_BROKER, STR(""));
    must(says(config_pairs_get(defaults, STR("min.insync.replicas")), "1"));
    must(controller_leader(cluster.controller).id == 1);
    must(cluster_create_code(&cluster, "early", 1, 1) == KAFKA_INVALID_REPLICATION_FACTOR);
    must(cluster_close(&cluster) == 0);
}

static void a_new_cluster_gets_its_features(void **state)
{
    (void)state;
    world_once(boot);
}

static const struct {
    const char *name;
    int32_t partitions;
    int16_t factor;
    int16_t code;
    const char *message;
} create_cases[] = {
    {"orders", 1, 1, KAFKA_TOPIC_ALREADY_EXISTS, "Topic 'orders' already exists."},
    {"", 1, 1, KAFKA_INVALID_TOPIC_EXCEPTION,
     "Topic name is invalid: the empty string is not allowed"},
    {"..", 1, 1, KAFKA_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: '..' is not allowed"},
    {"a/b", 1, 1, KAFKA_INVALID_TOPIC_EXCEPTION,
     "Topic name is invalid: 'a/b' contains one or more characters other than ASCII "
     "alphanumerics, '.', '_' and '-'"},
    {"x", 0, 1, KAFKA_INVALID_PARTITIONS,
     "Number of partitions was set to an invalid non-positive value."},
    {"x", -2, 1, KAFKA_INVALID_PARTITIONS,
     "Number of partitions was set to an invalid non-positive value."},
    {"x", 1, 0, KAFKA_INVALID_REPLICATION_FACTOR,
     "Replication factor must be larger than 0, or -1 to use the default value."},
    {"x", 1, 2, KAFKA_INVALID_REPLICATION_FACTOR,
     "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be "
     "reached because only 1 broker(s) are registered or some brokers have all their log "
     "directories cordoned."},
    {"x", 10001, 1, KAFKA_POLICY_VIOLATION, "Excessively large number of partitions per request."},
    {"__cluster_metadata", 1, 1, KAFKA_INVALID_REQUEST,
     "Creation of internal topic __cluster_metadata is prohibited."},
};

static void create_some(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    struct create_topics_response *response = cluster_create(&cluster, "orders", 3, 1);
    must(result_of(response)->error_code == 0);
    must(result_of(response)->num_partitions == 3);
    must(result_of(response)->replication_factor == 1);
    must(result_of(response)->configs.count > 20);
    /* Visible at once to whoever was answered. */
    const struct topic_image *topic = image_topic_named(cluster_image(&cluster), STR("orders"));
    must(topic && uuid_equal(topic->id, result_of(response)->topic_id));
    must(topic_partition_count(topic) == 3);
    const struct partition_image *partition = topic_partition(topic, 2);
    must(partition->leader == 1 && partition->leader_epoch == 0);
    must(partition->replicas.count == 1 && partition->isr.count == 1);
    must(uuid_equal(partition->directories[0], uuid_of(70, 101)));
    /* The defaults of the configuration. */
    response = cluster_create(&cluster, "defaults", -1, -1);
    must(result_of(response)->num_partitions == cluster.config->settings.num_partitions);

    int64_t offset = cluster_image(&cluster)->offset;
    for (size_t i = 0; i < array_size(create_cases); i++) {
        response = cluster_create(&cluster, create_cases[i].name, create_cases[i].partitions,
                                  create_cases[i].factor);
        must(result_of(response)->error_code == create_cases[i].code);
        must(says(result_of(response)->error_message, create_cases[i].message));
    }
    char name[260];
    memset(name, 'a', sizeof name);
    name[249] = '\0';
    must(cluster_create_code(&cluster, name, 1, 1) == 0);
    name[249] = 'a';
    name[250] = '\0';
    must(cluster_create_code(&cluster, name, 1, 1) == KAFKA_INVALID_TOPIC_EXCEPTION);
    must(cluster_image(&cluster)->offset == offset + 2); /* refusals write nothing */
    must(cluster_close(&cluster) == 0);
}

static void topics_are_made_or_refused_as_kafka_does(void **state)
{
    (void)state;
    world_once(create_some);
}

static void collide(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    must(cluster_create_code(&cluster, "team.orders_eu", 1, 1) == 0);
    static const char *const colliding[] = {"team_orders_eu", "team.orders.eu", "team_orders.eu"};
    for (size_t i = 0; i < array_size(colliding); i++) {
        struct create_topics_response *response = cluster_create(&cluster, colliding[i], 1, 1);
        char expected[200];
        snprintf(expected, sizeof expected, "Topic '%s' collides with existing topic: %s",
                 colliding[i], "team.orders_eu");
        must(result_of(response)->error_code == KAFKA_INVALID_TOPIC_EXCEPTION);
        must(says(result_of(response)->error_message, expected));
    }
    must(cluster_create_code(&cluster, "team-orders-eu", 1, 1) == 0);
    must(cluster_create_code(&cluster, "team.orders_us", 1, 1) == 0);
    must(cluster_create_code(&cluster, "a.b.c.d.e.f.g.h.i.j", 1, 1) == 0);
    must(cluster_create_code(&cluster, "a.b.c.d.e.f.g.h.i_j", 1, 1) ==
         KAFKA_INVALID_TOPIC_EXCEPTION);
    must(cluster_close(&cluster) == 0);
}

static void names_that_differ_in_dots_and_underscores_collide(void **state)
{
    (void)state;
    world_once(collide);
}

static const struct hand_case {
    int8_t first[3], second[3]; /* partition, which of the lists, replicas */
    int16_t factor;
    int16_t code;
    const char *message;
} hand_cases[] = {
    {{0, 0, 3}, {1, 1, 3}, -1, 0, NULL},
    {{0, 2, 2}, {1, 2, 2}, -1, 0, NULL},
    {{0, 0, 3},
     {1, 1, 3},
     3,
     KAFKA_INVALID_REQUEST,
     "A manual partition assignment was specified, but replication factor was not set to -1."},
    {{0, 0, 3},
     {0, 1, 3},
     -1,
     KAFKA_INVALID_REPLICA_ASSIGNMENT,
     "Found multiple manual partition assignments for partition 0"},
    {{0, 0, 3},
     {2, 1, 3},
     -1,
     KAFKA_INVALID_REPLICA_ASSIGNMENT,
     "partitions should be a consecutive 0-based integer sequence"},
    {{0, 0, 3},
     {1, 1, 2},
     -1,
     KAFKA_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes a partition with 2 replica(s), but this is not "
     "consistent with previous partitions, which have 3 replica(s)."},
    {{0, 0, 3},
     {1, 0, 0},
     -1,
     KAFKA_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes an empty replica list."},
    {{0, 4, 2},
     {1, 4, 2},
     -1,
     KAFKA_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes the broker 1 more than once."},
    {{0, 5, 1},
     {1, 5, 1},
     -1,
     KAFKA_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes broker 9, but no such broker is registered."},
    {{0, 3, 1},
     {1, 3, 1},
     -1,
     KAFKA_INVALID_REPLICA_ASSIGNMENT,
     "All brokers specified in the manual partition assignment for partition 0 are fenced or in "
     "controlled shutdown."},
};

/* The lists are of brokers: 4 is fenced, 9 is not there. */
static void create_case(struct test_cluster *cluster, const char *name,
                        const struct hand_case *hand)
{
    int32_t lists[][3] = {{2, 3, 1}, {3, 1, 2}, {4, 1, 0}, {4, 0, 0}, {1, 1, 0}, {9, 0, 0}};
    struct create_topics_request_creatable_replica_assignment assignments[2];
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request request;
    struct create_topics_response response;
    for (int k = 0; k < 2; k++) {
        const int8_t *want = k ? hand->second : hand->first;
        assignments[k].partition_index = want[0];
        assignments[k].broker_ids = (struct int32_array){lists[want[1]], want[2]};
    }
    create_topics_request_init(&request);
    create_topics_request_creatable_topic_init(&topic);
    topic.name = str_of(name);
    topic.num_partitions = -1;
    topic.replication_factor = hand->factor;
    topic.assignments.items = assignments;
    topic.assignments.count = 2;
    request.topics.items = &topic;
    request.topics.count = 1;
    must(cluster_ask(cluster, API_CREATE_TOPICS, &request, &response) == 0);
    must(result_of(&response)->error_code == hand->code);
    must(!hand->message || says(result_of(&response)->error_message, hand->message));
}

static void create_by_hand(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    for (int32_t id = 1; id <= 3; id++)
        cluster_broker(&cluster, id, NULL);
    struct test_broker fenced = test_broker(4, NULL);
    must(broker_register(&cluster, &fenced) == 0);

    for (size_t i = 0; i < array_size(hand_cases); i++) {
        char name[16];
        snprintf(name, sizeof name, "t%zu", i);
        create_case(&cluster, name, &hand_cases[i]);
    }
    const struct topic_image *topic = image_topic_named(cluster_image(&cluster), STR("t0"));
    must(topic_partition(topic, 0)->leader == 2 && topic_partition(topic, 1)->leader == 3);
    /* A fenced replica is in the list, not in the ISR. */
    topic = image_topic_named(cluster_image(&cluster), STR("t1"));
    must(topic_partition(topic, 0)->leader == 1);
    must(topic_partition(topic, 0)->isr.count == 1);
    must(topic_partition(topic, 0)->replicas.items[0] == 4);
    must(cluster_close(&cluster) == 0);
}

static void manual_assignments_are_checked_as_kafka_does(void **state)
{
    (void)state;
    world_once(create_by_hand);
}

static void spread(struct env *env, void *context)
{
    (void)context;
    static const char *const racks[] = {"a", "a", "b", "b", "c", "c"};
    enum { BROKERS = 6, PARTITIONS = 60 };
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    for (int32_t id = 0; id < BROKERS; id++)
        cluster_broker(&cluster, id, racks[id]);
    must(cluster_create_code(&cluster, "wide", PARTITIONS, 3) == 0);
    const struct topic_image *topic = image_topic_named(cluster_image(&cluster), STR("wide"));
    int leaders[BROKERS] = {0};
    int replicas[BROKERS] = {0};
    for (int32_t p = 0; p < PARTITIONS; p++) {
        const struct partition_image *partition = topic_partition(topic, p);
        bool rack_used[3] = {false, false, false};
        leaders[partition->leader]++;
        must(partition->leader == partition->replicas.items[0]);
        for (int i = 0; i < 3; i++) {
            int32_t id = partition->replicas.items[i];
            replicas[id]++;
            must(!rack_used[id / 2]);
            rack_used[id / 2] = true;
        }
    }
    for (int id = 0; id < BROKERS; id++) {
        must(leaders[id] >= PARTITIONS / BROKERS / 2 && leaders[id] <= PARTITIONS / BROKERS * 2);
        must(replicas[id] >= 20 && replicas[id] <= 40);
    }
    must(cluster_close(&cluster) == 0);
}

static void replicas_are_spread_over_racks_and_brokers(void **state)
{
    (void)state;
    world_once(spread);
}

static void create_several(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    struct create_topics_request request;
    struct create_topics_response response;
    create_topics_request_init(&request);
    request.topics.items = create_topics_request_creatable_topic_array(&cluster.arena, 5);
    request.topics.count = 5;
    static const char *const names[] = {"a", "twice", "b", "twice", "bad name"};
    for (int i = 0; i < 5; i++) {
        request.topics.items[i].name = str_of(names[i]);
        request.topics.items[i].num_partitions = 1;
        request.topics.items[i].replication_factor = 1;
    }
    /* First to look, then in earnest. */
    int64_t offset = cluster_image(&cluster)->offset;
    for (int round = 0; round < 2; round++) {
        request.validate_only = round == 0;
        must(cluster_ask(&cluster, API_CREATE_TOPICS, &request, &response) == 0);
        must(response.topics.count == 4);
        must(response.topics.items[0].error_code == 0);
        must(response.topics.items[1].error_code == KAFKA_INVALID_REQUEST);
        must(says(response.topics.items[1].error_message, "Duplicate topic name."));
        must(response.topics.items[2].error_code == 0);
        must(response.topics.items[3].error_code == KAFKA_INVALID_TOPIC_EXCEPTION);
        must(round || cluster_image(&cluster)->offset == offset);
    }
    must(image_topic_count(cluster_image(&cluster)) == 2);
    must(cluster_close(&cluster) == 0);
}

static void one_bad_topic_does_not_spoil_the_others(void **state)
{
    (void)state;
    world_once(create_several);
}

static void delete_some(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    must(cluster_create_code(&cluster, "a", 2, 1) == 0);
    must(cluster_create_code(&cluster, "b", 2, 1) == 0);
    struct uuid b = image_topic_named(cluster_image(&cluster), STR("b"))->id;
    struct delete_topics_request_delete_topic_state states[] = {
        {STR("a"), {{0}}},  {STR("none"), {{0}}}, {{NULL, 0}, b},     {STR("b"), {{0}}},
        {{NULL, 0}, {{0}}}, {STR("a"), b},        {{NULL, 0}, {{9}}},
    };
    struct delete_topics_request request;
    struct delete_topics_response response;
    delete_topics_request_init(&request);
    request.topics.items = states;
    request.topics.count = 7;
    must(cluster_ask(&cluster, API_DELETE_TOPICS, &request, &response) == 0);
    must(response.responses.count == 7);
    static const int16_t codes[] = {0,
                                    KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                    KAFKA_INVALID_REQUEST,
                                    KAFKA_INVALID_REQUEST,
                                    KAFKA_INVALID_REQUEST,
                                    KAFKA_INVALID_REQUEST,
                                    KAFKA_UNKNOWN_TOPIC_ID};
    for (int i = 1; i < 7; i++)
        must(response.responses.items[i].error_code == codes[i]);
    must(says(response.responses.items[2].error_message, "Duplicate topic id."));
    must(says(response.responses.items[4].error_message,
              "Neither topic name nor id were specified."));
    must(says(response.responses.items[5].error_message,
              "You may not specify both topic name and topic id."));
    /* Given as "a" and as "a" with an id it is meant twice. */
    must(response.responses.items[0].error_code == KAFKA_INVALID_REQUEST);
    request.topics.count = 3;
    must(cluster_ask(&cluster, API_DELETE_TOPICS, &request, &response) == 0);
    must(response.responses.items[0].error_code == 0);
    must(response.responses.items[2].error_code == 0);
    must(says(response.responses.items[2].name, "b"));
    must(image_topic_count(cluster_image(&cluster)) == 0);
    must(cluster_image(&cluster)->partition_count == 0);
    must(cluster_delete(&cluster, "a") == KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    must(cluster_close(&cluster) == 0);
}

static void topics_are_deleted_by_name_or_id(void **state)
{
    (void)state;
    world_once(delete_some);
}

static void grow(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    for (int32_t id = 1; id <= 3; id++)
        cluster_broker(&cluster, id, NULL);
    must(cluster_create_code(&cluster, "a", 2, 2) == 0);
    must(cluster_create_code(&cluster, "__consumer_offsets", 2, 2) == 0);
    must(cluster_create_code(&cluster, "__transaction_state", 2, 2) == 0);
    int32_t ids[] = {3, 1};
    struct create_partitions_request_assignment assignment = {{ids, 2}};
    static const struct {
        const char *name;
        int32_t count;
        int32_t assignments; /* -1: null */
        int16_t code;
        const char *message;
    } cases[] = {
        {"a", 2, -1, KAFKA_INVALID_PARTITIONS, "Topic already has 2 partition(s)."},
        {"a", 1, -1, KAFKA_INVALID_PARTITIONS,
         "The topic a currently has 2 partition(s); 1 would not be an increase."},
        {"none", 3, -1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL},
        {"a", 4, 1, KAFKA_INVALID_REPLICA_ASSIGNMENT,
         "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."},
        {"a", 10003, -1, KAFKA_POLICY_VIOLATION,
         "Excessively large number of additional partitions per request."},
        {"a", 3, 1, 0, NULL},
        {"a", 5, -1, 0, NULL},
        {"__consumer_offsets", 3, -1, KAFKA_INVALID_PARTITIONS,
         "Where __consumer_offsets keeps what it has depends on its 2 partition(s)."},
        {"__transaction_state", 3, -1, KAFKA_INVALID_PARTITIONS, NULL},
    };
    for (size_t i = 0; i < array_size(cases); i++) {
        struct create_partitions_request_topic topic;
        struct create_partitions_request request;
        struct create_partitions_response response;
        create_partitions_request_init(&request);
        create_partitions_request_topic_init(&topic);
        topic.name = str_of(cases[i].name);
        topic.count = cases[i].count;
        topic.assignments.items = &assignment;
        topic.assignments.count = cases[i].assignments;
        request.topics.items = &topic;
        request.topics.count = 1;
        cluster_ask(&cluster, API_CREATE_PARTITIONS, &request, &response);
        must(response.results.count == 1);
        must(response.results.items[0].error_code == cases[i].code);
        must(!cases[i].message || says(response.results.items[0].error_message, cases[i].message));
    }
    const struct topic_image *topic = image_topic_named(cluster_image(&cluster), STR("a"));
    must(topic_partition_count(topic) == 5);
    must(topic_partition(topic, 2)->leader == 3);
    must(topic_partition(topic, 4)->replicas.count == 2);
    must(cluster_close(&cluster) == 0);
}

static void partitions_are_added_as_kafka_does_but_to_internal_topics(void **state)
{
    (void)state;
    world_once(grow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster_gets_its_features),
        cmocka_unit_test(topics_are_made_or_refused_as_kafka_does),
        cmocka_unit_test(names_that_differ_in_dots_and_underscores_collide),
        cmocka_unit_test(manual_assignments_are_checked_as_kafka_does),
        cmocka_unit_test(replicas_are_spread_over_racks_and_brokers),
        cmocka_unit_test(one_bad_topic_does_not_spoil_the_others),
        cmocka_unit_test(topics_are_deleted_by_name_or_id),
        cmocka_unit_test(partitions_are_added_as_kafka_does_but_to_internal_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
