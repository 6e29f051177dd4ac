/* CreateTopics: rules, order of checks and texts of Kafka's ControllerApis and
 * ReplicationControlManager, 4.4.0. */
#include <errno.h>
#include <stdlib.h>

#include "controller/controller.h"
#include "controller/ops.h"
#include "metadata/config_keys_describe.h"

#define METADATA_TOPIC STR("__cluster_metadata")

/* The number of partitions that a topic asks for, -1 standing for the default. */
static int64_t asked_partitions(const struct decision *decision,
                                const struct create_topics_request_creatable_topic *topic)
{
    if (topic->assignments.count > 0)
        return topic->assignments.count;
    return topic->num_partitions == -1 ? decision->config->settings.num_partitions
                                       : topic->num_partitions;
}

static int assignment_order(const void *a, const void *b)
{
    const struct create_topics_request_creatable_replica_assignment *x = a;
    const struct create_topics_request_creatable_replica_assignment *y = b;
    return (x->partition_index > y->partition_index) - (x->partition_index < y->partition_index);
}

static struct outcome place_by_hand(struct decision *decision, struct uuid topic_id,
                                    const struct create_topics_request_creatable_topic *topic,
                                    struct create_topics_response_creatable_topic_result *result)
{
    int32_t count = topic->assignments.count;
    if (topic->replication_factor != -1)
        return outcome_of(KAFKA_INVALID_REQUEST,
                          "A manual partition assignment was specified, but replication factor was "
                          "not set to -1.");
    if (topic->num_partitions != -1)
        return outcome_of(KAFKA_INVALID_REQUEST,
                          "A manual partition assignment was specified, but numPartitions was not "
                          "set to -1.");
    struct create_topics_request_creatable_replica_assignment *sorted =
        arena_array(decision->scratch, (size_t)count, sizeof sorted[0]);
    if (!sorted)
        return outcome_of(error_to_wire(decision->error = -ENOMEM), NULL);
    memcpy(sorted, topic->assignments.items, (size_t)count * sizeof sorted[0]);
    qsort(sorted, (size_t)count, sizeof sorted[0], assignment_order);
    int32_t replicas_expected = 0;
    for (int32_t i = 0; i < count; i++) {
        if (i > 0 && sorted[i].partition_index == sorted[i - 1].partition_index)
            return outcome_printf(decision, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                  "Found multiple manual partition assignments for partition %d",
                                  sorted[i].partition_index);
        struct outcome outcome =
            check_assignment(decision, sorted[i].broker_ids, replicas_expected);
        if (outcome.error_code)
            return outcome;
        struct broker_ids replicas = {sorted[i].broker_ids.items, sorted[i].broker_ids.count};
        struct broker_ids isr = active_replicas(decision, replicas);
        if (isr.count == 0)
            return outcome_printf(decision, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                  "All brokers specified in the manual partition assignment for "
                                  "partition %d are fenced or in controlled shutdown.",
                                  sorted[i].partition_index);
        replicas_expected = replicas.count;
        add_partition_record(decision, topic_id, sorted[i].partition_index, replicas, isr);
    }
    for (int32_t i = 0; i < count; i++)
        if (sorted[i].partition_index != i)
            return outcome_of(KAFKA_INVALID_REPLICA_ASSIGNMENT,
                              "partitions should be a consecutive 0-based integer sequence");
    result->num_partitions = count;
    result->replication_factor = (int16_t)replicas_expected;
    return OUTCOME_OK;
}

static struct outcome
place_automatically(struct decision *decision, struct uuid topic_id,
                    const struct create_topics_request_creatable_topic *topic,
                    struct create_topics_response_creatable_topic_result *result)
{
    if (topic->replication_factor < -1 || topic->replication_factor == 0)
        return outcome_of(
            KAFKA_INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.");
    if (topic->num_partitions < -1 || topic->num_partitions == 0)
        return outcome_of(KAFKA_INVALID_PARTITIONS,
                          "Number of partitions was set to an invalid non-positive value.");
    int32_t count = (int32_t)asked_partitions(decision, topic);
    int32_t factor = topic->replication_factor == -1
                         ? decision->config->settings.default_replication_factor
                         : topic->replication_factor;
    struct outcome outcome = place_partitions(decision, topic_id, 0, count, factor);
    result->num_partitions = count;
    result->replication_factor = (int16_t)factor;
    return outcome;
}

/* The overrides by name, each once (the last one counts), checked as a whole. */
static struct outcome check_new_configs(struct decision *decision,
                                        const struct create_topics_request_creatable_topic *topic,
                                        struct config_pairs *ret_pairs)
{
    int32_t count = topic->configs.count > 0 ? topic->configs.count : 0;
    if (count > CONFIGS_PER_RESOURCE_MAX)
        return outcome_of(KAFKA_INVALID_CONFIG, "Too many configs for one topic.");
    struct config_pair *items = arena_array(decision->scratch, (size_t)count, sizeof items[0]);
    if (!items)
        return outcome_of(error_to_wire(decision->error = -ENOMEM), NULL);
    struct name_list nulls = {.size = 0};
    for (int32_t i = 0; i < count; i++) {
        items[i] =
            (struct config_pair){topic->configs.items[i].name, topic->configs.items[i].value};
        if (!items[i].value.data)
            name_list_add(&nulls, items[i].name);
    }
    if (nulls.size > 0)
        return outcome_printf(decision, KAFKA_INVALID_CONFIG,
                              "Null value not supported for topic configs: %s", nulls.text);
    int err = config_pairs_sort(items, count, &count);
    if (err)
        return outcome_of(error_to_wire(decision->error = err), NULL);
    *ret_pairs = (struct config_pairs){items, count};
    const char *error;
    err = topic_config_validate_all(decision->config, *ret_pairs, decision->arena, &error);
    if (err < 0)
        decision->error = err;
    return err ? outcome_of(error_to_wire(err), err > 0 ? error : NULL) : OUTCOME_OK;
}

static void add_topic_records(struct decision *decision, struct str name, struct uuid id,
                              struct config_pairs configs)
{
    const struct topic_record topic = {.name = name, .topic_id = id};
    decision_add(decision, METADATA_TOPIC_RECORD, 0, &topic);
    bool clear_elr = false;
    for (int32_t i = 0; i < configs.count; i++) {
        const struct config_record config = {
            .resource_type = CONFIG_RESOURCE_TOPIC,
            .resource_name = name,
            .name = configs.items[i].name,
            .value = configs.items[i].value,
        };
        decision_add(decision, METADATA_CONFIG_RECORD, 0, &config);
        clear_elr |= str_equal(config.name, STR("min.insync.replicas"));
    }
    if (clear_elr && image_feature(decision->head, STR(FEATURE_ELR_VERSION)) > 0) {
        const struct clear_elr_record record = {name};
        decision_add(decision, METADATA_CLEAR_ELR_RECORD, 0, &record);
    }
}

/* All effective configs of the new topic, as its creator is told (KIP-525). */
static int describe_new_topic(struct decision *decision, struct config_pairs configs,
                              struct create_topics_response_creatable_topic_result *result)
{
    const struct describe_request everything = {.names_count = -1};
    const struct described_config *described;
    int32_t count;
    int err = config_describe_topic(decision->config, configs, &everything, decision->arena,
                                    &described, &count);
    if (err)
        return err;
    result->configs.items =
        create_topics_response_creatable_topic_configs_array(decision->arena, count);
    if (!result->configs.items)
        return -ENOMEM;
    result->configs.count = count;
    for (int32_t i = 0; i < count; i++) {
        result->configs.items[i].name = described[i].name;
        result->configs.items[i].value = described[i].value;
        result->configs.items[i].read_only = described[i].read_only;
        result->configs.items[i].config_source = described[i].source;
        result->configs.items[i].is_sensitive = described[i].is_sensitive;
    }
    return 0;
}

static struct outcome create_topic(struct decision *decision,
                                   const struct create_topics_request_creatable_topic *topic,
                                   struct create_topics_response_creatable_topic_result *result)
{
    struct config_pairs configs;
    struct outcome outcome = check_topic_name(decision, topic->name);
    if (!outcome.error_code && str_equal(topic->name, METADATA_TOPIC))
        outcome = outcome_of(KAFKA_INVALID_REQUEST,
                             "Creation of internal topic __cluster_metadata is prohibited.");
    if (!outcome.error_code && image_topic_named(decision->head, topic->name))
        outcome = outcome_printf(decision, KAFKA_TOPIC_ALREADY_EXISTS,
                                 "Topic '%.*s' already exists.", STR_ARGS(topic->name));
    if (!outcome.error_code)
        outcome = check_name_collision(decision, topic->name);
    if (!outcome.error_code)
        outcome = check_new_configs(decision, topic, &configs);
    if (outcome.error_code)
        return outcome;
    result->topic_id = decision_random_id(decision);
    add_topic_records(decision, topic->name, result->topic_id, configs);
    outcome = topic->assignments.count > 0
                  ? place_by_hand(decision, result->topic_id, topic, result)
                  : place_automatically(decision, result->topic_id, topic, result);
    if (outcome.error_code)
        return outcome;
    int err = describe_new_topic(decision, configs, result);
    if (err)
        decision->error = err;
    return OUTCOME_OK;
}

struct named {
    struct str name;
    int32_t index;
};

static int named_order(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    int order = str_compare(x->name, y->name);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

enum repetition {
    NAME_ONCE,
    NAME_FIRST_OF_MANY,
    NAME_REPEATED, /* answered with the first */
};

/* One for each topic of the request; NULL when memory runs out. */
static enum repetition *find_repetitions(struct decision *decision,
                                         const struct create_topics_request *request, int32_t count)
{
    struct named *names = arena_array(decision->scratch, (size_t)count, sizeof names[0]);
    enum repetition *found = arena_array(decision->scratch, (size_t)count, sizeof found[0]);
    if (!names || !found)
        return NULL;
    for (int32_t i = 0; i < count; i++)
        names[i] = (struct named){request->topics.items[i].name, i};
    qsort(names, (size_t)count, sizeof names[0], named_order);
    for (int32_t i = 1; i < count; i++) {
        if (!str_equal(names[i].name, names[i - 1].name))
            continue;
        found[names[i].index] = NAME_REPEATED;
        if (found[names[i - 1].index] == NAME_ONCE)
            found[names[i - 1].index] = NAME_FIRST_OF_MANY;
    }
    return found;
}

static int check_total(const struct decision *decision, const struct create_topics_request *request,
                       const char **ret_message)
{
    int64_t total = 0;
    for (int32_t i = 0; i < request->topics.count; i++) {
        int64_t asked = asked_partitions(decision, &request->topics.items[i]);
        total += asked > 0 ? asked : 0;
    }
    if (total > CONTROLLER_PARTITIONS_PER_OP_MAX) {
        *ret_message = "Excessively large number of partitions per request.";
        return KAFKA_POLICY_VIOLATION;
    }
    if (image_topic_count(decision->head) + (int64_t)request->topics.count >
            CONTROLLER_TOPICS_MAX ||
        decision->head->partition_count + total > CONTROLLER_PARTITIONS_MAX) {
        *ret_message = "The cluster has as many topics or partitions as it can hold.";
        return KAFKA_POLICY_VIOLATION;
    }
    return 0;
}

int decide_create_topics(struct decision *decision, const struct create_topics_request *request,
                         struct create_topics_response *response, const char **ret_message)
{
    int32_t count = request->topics.count > 0 ? request->topics.count : 0;
    int err = check_total(decision, request, ret_message);
    if (err)
        return err;
    enum repetition *repetitions = find_repetitions(decision, request, count);
    response->topics.items =
        create_topics_response_creatable_topic_result_array(decision->arena, count);
    if (!repetitions || !response->topics.items)
        return -ENOMEM;
    for (int32_t i = 0; i < count && !decision->error; i++) {
        const struct create_topics_request_creatable_topic *topic = &request->topics.items[i];
        if (repetitions[i] == NAME_REPEATED)
            continue;
        struct create_topics_response_creatable_topic_result *result =
            &response->topics.items[response->topics.count++];
        int32_t mark = decision_mark(decision);
        struct outcome outcome = repetitions[i] == NAME_ONCE
                                     ? create_topic(decision, topic, result)
                                     : outcome_of(KAFKA_INVALID_REQUEST, "Duplicate topic name.");
        if (outcome.error_code) {
            decision_rewind(decision, mark);
            create_topics_response_creatable_topic_result_init(result);
        }
        result->name = topic->name;
        result->error_code = outcome.error_code;
        result->error_message = outcome.message;
    }
    if (request->validate_only)
        decision_rewind(decision, 0);
    return decision->error;
}
