/* Configs and features. */
#include "controller_test.h"

static bool says(struct str message, const char *text)
{
    return str_equal(message, str_of(text));
}

enum { SET = 0, DELETE = 1, APPEND = 2, SUBTRACT = 3 };

struct answer {
    int16_t code;
    struct str message;
};

static struct answer alter(struct test_cluster *cluster, int8_t type, const char *resource,
                           const char *key, int8_t operation, const char *value)
{
    struct incremental_alter_configs_request_alterable_config config = {str_of(key), operation,
                                                                        str_of(value)};
    struct incremental_alter_configs_request_alter_configs_resource item = {
        type, str_of(resource), {&config, 1}};
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_response response;
    incremental_alter_configs_request_init(&request);
    request.resources.items = &item;
    request.resources.count = 1;
    must(cluster_ask(cluster, API_INCREMENTAL_ALTER_CONFIGS, &request, &response) == 0);
    must(response.responses.count == 1);
    must(response.responses.items[0].resource_type == type);
    return (struct answer){response.responses.items[0].error_code,
                           response.responses.items[0].error_message};
}

static struct str value_of(struct test_cluster *cluster, int8_t type, const char *resource,
                           const char *key)
{
    return config_pairs_get(image_configs(cluster_image(cluster), type, str_of(resource)),
                            str_of(key));
}

static void alter_topics(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    must(cluster_create_code(&cluster, "t", 1, 1) == 0);
    const int8_t topic = CONFIG_RESOURCE_TOPIC;
    must(alter(&cluster, topic, "t", "retention.ms", SET, "5000").code == 0);
    must(says(value_of(&cluster, topic, "t", "retention.ms"), "5000"));
    int64_t offset = cluster_image(&cluster)->offset;
    must(alter(&cluster, topic, "t", "retention.ms", SET, "5000").code == 0);
    must(cluster_image(&cluster)->offset == offset); /* nothing changed, nothing is written */
    must(alter(&cluster, topic, "t", "retention.ms", DELETE, NULL).code == 0);
    must(!value_of(&cluster, topic, "t", "retention.ms").data);
    must(alter(&cluster, topic, "t", "cleanup.policy", APPEND, "compact").code == 0);
    must(says(value_of(&cluster, topic, "t", "cleanup.policy"), "delete,compact"));
    must(alter(&cluster, topic, "t", "cleanup.policy", SUBTRACT, "delete").code == 0);
    must(says(value_of(&cluster, topic, "t", "cleanup.policy"), "compact"));

    struct answer answer = alter(&cluster, topic, "t", "retention.ms", SET, "many");
    must(answer.code == KAFKA_INVALID_CONFIG && answer.message.size > 0);
    must(alter(&cluster, topic, "t", "no.such.key", SET, "1").code == KAFKA_INVALID_CONFIG);
    answer = alter(&cluster, topic, "t", "retention.ms", APPEND, "1");
    must(answer.code == KAFKA_INVALID_CONFIG);
    must(says(answer.message, "Can't APPEND to key retention.ms because its type is not LIST."));
    answer = alter(&cluster, CONFIG_RESOURCE_GROUP, "g", "streams.rack.aware.assignment.tags",
                   APPEND, "zone");
    must(answer.code == KAFKA_INVALID_CONFIG);
    must(alter(&cluster, topic, "t", "retention.ms", SET, NULL).code == KAFKA_INVALID_REQUEST);
    must(alter(&cluster, topic, "t", "retention.ms", 7, "1").code == KAFKA_INVALID_REQUEST);
    answer = alter(&cluster, topic, "none", "retention.ms", SET, "1");
    must(answer.code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    must(alter(&cluster, 3, "t", "retention.ms", SET, "1").code == KAFKA_INVALID_REQUEST);
    must(cluster_close(&cluster) == 0);
}

static void topic_configs_are_altered_as_kafka_does(void **state)
{
    (void)state;
    world_once(alter_topics);
}

static void alter_brokers(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    const int8_t broker = CONFIG_RESOURCE_BROKER;
    must(alter(&cluster, broker, "", "log.retention.ms", SET, "5000").code == 0);
    must(says(value_of(&cluster, broker, "", "log.retention.ms"), "5000"));
    must(alter(&cluster, broker, "1", "log.retention.ms", SET, "6000").code == 0);
    must(alter(&cluster, broker, "9", "log.retention.ms", SET, "1").code == KAFKA_INVALID_REQUEST);
    must(alter(&cluster, broker, "x", "log.retention.ms", SET, "1").code == KAFKA_INVALID_REQUEST);
    must(alter(&cluster, broker, "1", "node.id", SET, "5").code != 0);
    /* Eligible leader replicas count on one value for all. */
    struct answer answer = alter(&cluster, broker, "1", "min.insync.replicas", SET, "2");
    must(answer.code == KAFKA_INVALID_CONFIG);
    must(says(answer.message,
              "Broker-level min.insync.replicas cannot be altered while ELR is enabled."));
    answer = alter(&cluster, broker, "", "min.insync.replicas", DELETE, NULL);
    must(says(answer.message,
              "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."));
    must(alter(&cluster, broker, "", "min.insync.replicas", SET, "2").code == 0);
    must(alter(&cluster, CONFIG_RESOURCE_GROUP, "g", "consumer.session.timeout.ms", SET, "50000")
             .code == 0);
    must(alter(&cluster, CONFIG_RESOURCE_GROUP, "", "consumer.session.timeout.ms", SET, "50000")
             .code == KAFKA_INVALID_REQUEST);
    must(cluster_close(&cluster) == 0);
}

static void broker_and_group_configs_are_altered_as_kafka_does(void **state)
{
    (void)state;
    world_once(alter_brokers);
}

static void alter_whole(struct env *env, void *context)
{
    (void)context;
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    must(cluster_create_code(&cluster, "t", 1, 1) == 0);
    struct alter_configs_request_alterable_config configs[] = {
        {STR("retention.ms"), STR("1")}, {STR("segment.bytes"), STR("2000000")}};
    struct alter_configs_request_resource resources[] = {
        {CONFIG_RESOURCE_TOPIC, STR("t"), {configs, 2}},
        {CONFIG_RESOURCE_TOPIC, STR("t"), {configs, 1}},
    };
    struct alter_configs_request request;
    struct alter_configs_response response;
    alter_configs_request_init(&request);
    request.resources.items = resources;
    request.resources.count = 2;
    must(cluster_ask(&cluster, API_ALTER_CONFIGS, &request, &response) == 0);
    must(response.responses.items[0].error_code == KAFKA_INVALID_REQUEST);
    must(
        says(response.responses.items[1].error_message, "Each resource must appear at most once."));
    request.resources.count = 1;
    request.validate_only = true;
    must(cluster_ask(&cluster, API_ALTER_CONFIGS, &request, &response) == 0);
    must(response.responses.items[0].error_code == 0);
    must(!value_of(&cluster, CONFIG_RESOURCE_TOPIC, "t", "retention.ms").data);
    request.validate_only = false;
    must(cluster_ask(&cluster, API_ALTER_CONFIGS, &request, &response) == 0);
    must(says(value_of(&cluster, CONFIG_RESOURCE_TOPIC, "t", "segment.bytes"), "2000000"));
    /* What is not named goes. */
    resources[0].configs.count = 1;
    must(cluster_ask(&cluster, API_ALTER_CONFIGS, &request, &response) == 0);
    must(!value_of(&cluster, CONFIG_RESOURCE_TOPIC, "t", "segment.bytes").data);
    must(says(value_of(&cluster, CONFIG_RESOURCE_TOPIC, "t", "retention.ms"), "1"));
    must(cluster_close(&cluster) == 0);
}

static void alter_configs_replaces_the_whole_set(void **state)
{
    (void)state;
    world_once(alter_whole);
}

static struct answer update(struct test_cluster *cluster, const char *name, int16_t level,
                            int8_t type)
{
    struct update_features_request_feature_update_key item;
    struct update_features_request request;
    struct update_features_response response;
    update_features_request_feature_update_key_init(&item);
    update_features_request_init(&request);
    item.feature = str_of(name);
    item.max_version_level = level;
    item.upgrade_type = type;
    request.feature_updates.items = &item;
    request.feature_updates.count = 1;
    must(cluster_ask(cluster, API_UPDATE_FEATURES, &request, &response) == 0);
    return (struct answer){response.error_code, response.error_message};
}

static void update_features(struct env *env, void *context)
{
    (void)context;
    enum { UPGRADE = 1, SAFE = 2 };
    struct test_cluster cluster;
    cluster_open(&cluster, env);
    cluster_broker(&cluster, 1, NULL);
    must(update(&cluster, FEATURE_ELR_VERSION, 0, SAFE).code == 0);
    must(image_feature(cluster_image(&cluster), STR(FEATURE_ELR_VERSION)) == 0);
    must(update(&cluster, FEATURE_ELR_VERSION, 1, UPGRADE).code == 0);
    must(image_feature(cluster_image(&cluster), STR(FEATURE_ELR_VERSION)) == 1);
    must(update(&cluster, FEATURE_METADATA_VERSION, 33, UPGRADE).code == 0);

    static const struct {
        const char *name;
        int16_t level;
        int8_t type;
        const char *why;
    } cases[] = {
        {FEATURE_METADATA_VERSION, 34, UPGRADE,
         "Invalid metadata.version 34. Valid versions are from 7 to 33."},
        {FEATURE_METADATA_VERSION, 30, UPGRADE,
         "Invalid update version 30 for feature metadata.version. Can't downgrade the version of "
         "this feature without setting the upgrade type to either safe or unsafe downgrade."},
        {FEATURE_METADATA_VERSION, 30, SAFE,
         "Unsupported metadata.version downgrade from 4.4-IV2 to 4.3-IV0. Refusing to perform the "
         "requested downgrade because it might delete metadata information."},
        {FEATURE_ELR_VERSION, 2, SAFE,
         "Invalid update version 2 for feature eligible.leader.replicas.version. Can't downgrade "
         "to "
         "a newer version."},
        {FEATURE_ELR_VERSION, 2, UPGRADE,
         "Invalid update version 2 for feature eligible.leader.replicas.version. Local controller "
         "1 "
         "only supports versions 0-1"},
        {FEATURE_SHARE_VERSION, 1, UPGRADE,
         "Invalid update version 1 for feature share.version. Local controller 1 only supports "
         "versions 0-0"},
        {"no.such.feature", 1, UPGRADE,
         "Invalid update version 1 for feature no.such.feature. Local controller 1 does not "
         "support "
         "this feature."},
        {FEATURE_ELR_VERSION, -1, UPGRADE,
         "Invalid update version -1 for feature eligible.leader.replicas.version. A feature "
         "version "
         "cannot be less than 0."},
        {FEATURE_ELR_VERSION, 1, 9,
         "Invalid update version 1 for feature eligible.leader.replicas.version. The controller "
         "does not support the given upgrade type."},
    };
    for (size_t i = 0; i < array_size(cases); i++) {
        char expected[400];
        struct answer answer = update(&cluster, cases[i].name, cases[i].level, cases[i].type);
        snprintf(expected, sizeof expected,
                 "The update failed for all features since the following feature had an error: %s",
                 cases[i].why);
        must(answer.code == KAFKA_INVALID_UPDATE_VERSION);
        must(says(answer.message, expected));
    }
    must(cluster_close(&cluster) == 0);
}

static void features_are_updated_as_far_as_they_are_served(void **state)
{
    (void)state;
    world_once(update_features);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topic_configs_are_altered_as_kafka_does),
        cmocka_unit_test(broker_and_group_configs_are_altered_as_kafka_does),
        cmocka_unit_test(alter_configs_replaces_the_whole_set),
        cmocka_unit_test(features_are_updated_as_far_as_they_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
