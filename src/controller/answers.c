#include "controller/answers.h"

#include "controller/decision.h"

static const struct message_schema *response_schema(int16_t api_key)
{
    switch (api_key) {
    case API_CREATE_TOPICS:
        return &create_topics_response_schema;
    case API_DELETE_TOPICS:
        return &delete_topics_response_schema;
    case API_CREATE_PARTITIONS:
        return &create_partitions_response_schema;
    case API_ALTER_CONFIGS:
        return &alter_configs_response_schema;
    case API_INCREMENTAL_ALTER_CONFIGS:
        return &incremental_alter_configs_response_schema;
    case API_UPDATE_FEATURES:
        return &update_features_response_schema;
    case API_ALLOCATE_PRODUCER_IDS:
        return &allocate_producer_ids_response_schema;
    case API_BROKER_REGISTRATION:
        return &broker_registration_response_schema;
    case API_BROKER_HEARTBEAT:
        return &broker_heartbeat_response_schema;
    case API_ALTER_PARTITION:
        return &alter_partition_response_schema;
    case API_ELECT_LEADERS:
        return &elect_leaders_response_schema;
    case API_UNREGISTER_BROKER:
        return &unregister_broker_response_schema;
    case API_DESCRIBE_QUORUM:
        return &describe_quorum_response_schema;
    case API_ASSIGN_REPLICAS_TO_DIRS:
        return &assign_replicas_to_dirs_response_schema;
    default:
        return NULL;
    }
}

bool answer_is_served(int16_t api_key)
{
    return response_schema(api_key) != NULL;
}

void answer_init(struct controller_op *op)
{
    message_init(response_schema(op->api_key), op->response);
}

static int32_t at_least_0(int32_t count)
{
    return count > 0 ? count : 0;
}

static void fail_create_topics(struct controller_op *op, struct outcome outcome)
{
    const struct create_topics_request *request = op->request;
    struct create_topics_response *response = op->response;
    int32_t count = at_least_0(request->topics.count);
    response->topics.items = create_topics_response_creatable_topic_result_array(op->arena, count);
    if (!response->topics.items)
        return;
    response->topics.count = count;
    for (int32_t i = 0; i < count; i++) {
        response->topics.items[i].name = request->topics.items[i].name;
        response->topics.items[i].error_code = outcome.error_code;
        response->topics.items[i].error_message = outcome.message;
    }
}

static void fail_delete_topics(struct controller_op *op, struct outcome outcome)
{
    const struct delete_topics_request *request = op->request;
    struct delete_topics_response *response = op->response;
    int32_t named = at_least_0(request->topic_names.count);
    int32_t count = named + at_least_0(request->topics.count);
    response->responses.items =
        delete_topics_response_deletable_topic_result_array(op->arena, count);
    if (!response->responses.items)
        return;
    response->responses.count = count;
    for (int32_t i = 0; i < count; i++) {
        struct delete_topics_response_deletable_topic_result *result =
            &response->responses.items[i];
        if (i < named) {
            result->name = request->topic_names.items[i];
        } else {
            result->name = request->topics.items[i - named].name;
            result->topic_id = request->topics.items[i - named].topic_id;
        }
        result->error_code = outcome.error_code;
        result->error_message = outcome.message;
    }
}

static void fail_create_partitions(struct controller_op *op, struct outcome outcome)
{
    const struct create_partitions_request *request = op->request;
    struct create_partitions_response *response = op->response;
    int32_t count = at_least_0(request->topics.count);
    response->results.items = create_partitions_response_topic_result_array(op->arena, count);
    if (!response->results.items)
        return;
    response->results.count = count;
    for (int32_t i = 0; i < count; i++) {
        response->results.items[i].name = request->topics.items[i].name;
        response->results.items[i].error_code = outcome.error_code;
        response->results.items[i].error_message = outcome.message;
    }
}

static void fail_alter_configs(struct controller_op *op, struct outcome outcome)
{
    const struct alter_configs_request *request = op->request;
    struct alter_configs_response *response = op->response;
    int32_t count = at_least_0(request->resources.count);
    response->responses.items = alter_configs_response_resource_response_array(op->arena, count);
    if (!response->responses.items)
        return;
    response->responses.count = count;
    for (int32_t i = 0; i < count; i++) {
        response->responses.items[i].resource_type = request->resources.items[i].resource_type;
        response->responses.items[i].resource_name = request->resources.items[i].resource_name;
        response->responses.items[i].error_code = outcome.error_code;
        response->responses.items[i].error_message = outcome.message;
    }
}

static void fail_incremental_alter_configs(struct controller_op *op, struct outcome outcome)
{
    const struct incremental_alter_configs_request *request = op->request;
    struct incremental_alter_configs_response *response = op->response;
    int32_t count = at_least_0(request->resources.count);
    response->responses.items =
        incremental_alter_configs_response_alter_configs_resource_response_array(op->arena, count);
    if (!response->responses.items)
        return;
    response->responses.count = count;
    for (int32_t i = 0; i < count; i++) {
        response->responses.items[i].resource_type = request->resources.items[i].resource_type;
        response->responses.items[i].resource_name = request->resources.items[i].resource_name;
        response->responses.items[i].error_code = outcome.error_code;
        response->responses.items[i].error_message = outcome.message;
    }
}

void answer_error(struct controller_op *op, int16_t error_code, const char *message)
{
    struct outcome outcome = outcome_of(error_code, message);
    answer_init(op);
    switch (op->api_key) {
    case API_CREATE_TOPICS:
        fail_create_topics(op, outcome);
        break;
    case API_DELETE_TOPICS:
        fail_delete_topics(op, outcome);
        break;
    case API_CREATE_PARTITIONS:
        fail_create_partitions(op, outcome);
        break;
    case API_ALTER_CONFIGS:
        fail_alter_configs(op, outcome);
        break;
    case API_INCREMENTAL_ALTER_CONFIGS:
        fail_incremental_alter_configs(op, outcome);
        break;
    case API_UPDATE_FEATURES:
        ((struct update_features_response *)op->response)->error_code = error_code;
        ((struct update_features_response *)op->response)->error_message = outcome.message;
        break;
    case API_ALLOCATE_PRODUCER_IDS:
        ((struct allocate_producer_ids_response *)op->response)->error_code = error_code;
        break;
    case API_BROKER_REGISTRATION:
        ((struct broker_registration_response *)op->response)->error_code = error_code;
        break;
    case API_BROKER_HEARTBEAT:
        ((struct broker_heartbeat_response *)op->response)->error_code = error_code;
        break;
    case API_ALTER_PARTITION:
        ((struct alter_partition_response *)op->response)->error_code = error_code;
        break;
    case API_ELECT_LEADERS:
        ((struct elect_leaders_response *)op->response)->error_code = error_code;
        break;
    case API_UNREGISTER_BROKER:
        ((struct unregister_broker_response *)op->response)->error_code = error_code;
        ((struct unregister_broker_response *)op->response)->error_message = outcome.message;
        break;
    case API_DESCRIBE_QUORUM:
        ((struct describe_quorum_response *)op->response)->error_code = error_code;
        ((struct describe_quorum_response *)op->response)->error_message = outcome.message;
        break;
    case API_ASSIGN_REPLICAS_TO_DIRS:
        ((struct assign_replicas_to_dirs_response *)op->response)->error_code = error_code;
        break;
    default:
        break;
    }
}

int32_t answer_timeout_ms(const struct controller_op *op)
{
    switch (op->api_key) {
    case API_CREATE_TOPICS:
        return ((const struct create_topics_request *)op->request)->timeout_ms;
    case API_DELETE_TOPICS:
        return ((const struct delete_topics_request *)op->request)->timeout_ms;
    case API_CREATE_PARTITIONS:
        return ((const struct create_partitions_request *)op->request)->timeout_ms;
    case API_UPDATE_FEATURES:
        return ((const struct update_features_request *)op->request)->timeout_ms;
    case API_ELECT_LEADERS:
        return ((const struct elect_leaders_request *)op->request)->timeout_ms;
    default:
        return -1;
    }
}
