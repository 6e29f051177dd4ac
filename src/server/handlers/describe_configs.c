/* DescribeConfigs and ListConfigResources. */
#include <stdio.h>

#include "base/errors.h"
#include "metadata/config_keys_describe.h"
#include "server/api_table.h"
#include "server/handlers/topic_fields.h"

static bool copy_configs(struct request *request, const struct described_config *from,
                         int32_t count, struct describe_configs_response_result *ret)
{
    struct arena *arena = &request->arena;
    ret->configs.items = describe_configs_response_resource_result_array(arena, count);
    if (!ret->configs.items)
        return false;
    ret->configs.count = count;
    for (int32_t i = 0; i < count; i++) {
        struct describe_configs_response_resource_result *out = &ret->configs.items[i];
        out->name = from[i].name;
        out->value = from[i].value;
        out->read_only = from[i].read_only;
        out->config_source = from[i].source;
        out->is_sensitive = from[i].is_sensitive;
        out->config_type = from[i].type;
        out->documentation = from[i].documentation;
        out->synonyms.items = describe_configs_response_synonym_array(arena, from[i].synonym_count);
        if (!out->synonyms.items)
            return false;
        for (int32_t s = 0; s < from[i].synonym_count; s++) {
            struct describe_configs_response_synonym *synonym =
                &out->synonyms.items[out->synonyms.count++];
            synonym->name = from[i].synonyms[s].name;
            synonym->value = from[i].synonyms[s].value;
            synonym->source = from[i].synonyms[s].source;
        }
    }
    return true;
}

static int describe_broker(struct request *request, struct str name,
                           const struct describe_request *ask,
                           const struct described_config **ret_configs, int32_t *ret_count,
                           const char **ret_message)
{
    const struct broker_config *config = atomic_load(&request_broker(request)->config);
    char own[16];
    snprintf(own, sizeof own, "%d", config->settings.node_id);
    if (name.size == 0)
        return config_describe_broker_default(config, ask, &request->arena, ret_configs, ret_count);
    if (str_equal(name, str_of(own)))
        return config_describe_broker(config, ask, &request->arena, ret_configs, ret_count);
    *ret_message = arena_printf(&request->arena,
                                "Unexpected broker id, expected %s or empty string, but received "
                                "%.*s",
                                own, name.size, name.data);
    return KAFKA_INVALID_REQUEST;
}

static int describe_one(struct request *request,
                        const struct describe_configs_request_resource *asked,
                        const struct describe_request *ask,
                        const struct described_config **ret_configs, int32_t *ret_count,
                        const char **ret_message)
{
    const struct broker_config *config = atomic_load(&request_broker(request)->config);
    const struct image *image = request_image(request);
    struct arena *arena = &request->arena;
    struct config_pairs pairs = image_configs(image, asked->resource_type, asked->resource_name);
    switch (asked->resource_type) {
    case CONFIG_RESOURCE_TOPIC:
        if (!topic_name_ok(asked->resource_name)) {
            *ret_message = "Topic name is invalid";
            return KAFKA_INVALID_TOPIC_EXCEPTION;
        }
        if (!image_topic_named(image, asked->resource_name))
            return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return config_describe_topic(config, pairs, ask, arena, ret_configs, ret_count);
    case CONFIG_RESOURCE_BROKER:
        return describe_broker(request, asked->resource_name, ask, ret_configs, ret_count,
                               ret_message);
    case CONFIG_RESOURCE_GROUP:
        if (asked->resource_name.size == 0) {
            *ret_message = "Group name must not be empty";
            return KAFKA_INVALID_REQUEST;
        }
        return config_describe_group(config, pairs, ask, arena, ret_configs, ret_count);
    case CONFIG_RESOURCE_CLIENT_METRICS:
        return config_describe_client_metrics(pairs, ask, arena, ret_configs, ret_count);
    default:
        *ret_message = arena_printf(arena, "Unsupported resource type: %d", asked->resource_type);
        return KAFKA_INVALID_REQUEST;
    }
}

enum outcome handle_describe_configs(struct request *request)
{
    const struct describe_configs_request *body = request->body;
    struct describe_configs_response response;
    describe_configs_response_init(&response);
    response.results.items =
        describe_configs_response_result_array(&request->arena, body->resources.count);
    if (!response.results.items)
        return request_refuse(request, "out of memory");
    for (int32_t i = 0; i < body->resources.count; i++) {
        const struct describe_configs_request_resource *asked = &body->resources.items[i];
        struct describe_configs_response_result *out =
            &response.results.items[response.results.count++];
        /* An empty list of keys means all of them, as null does. */
        bool all = asked->configuration_keys.count <= 0;
        struct describe_request ask = {
            .names = asked->configuration_keys.items,
            .names_count = all ? -1 : asked->configuration_keys.count,
            .include_synonyms = body->include_synonyms,
            .include_documentation = body->include_documentation,
        };
        const struct described_config *configs = NULL;
        const char *message = NULL;
        int32_t count = 0;
        int err = describe_one(request, asked, &ask, &configs, &count, &message);
        out->resource_type = asked->resource_type;
        out->resource_name = asked->resource_name;
        out->error_code = error_to_wire(err);
        out->error_message = err ? str_of(message ? message : error_name(error_to_wire(err)))
                                 : (struct str){NULL, 0};
        if (!copy_configs(request, configs, err ? 0 : count, out))
            return request_refuse(request, "out of memory");
    }
    return request_answer(request, &response);
}

/* ---- ListConfigResources (KIP-1142) ---- */

static bool list_add(struct request *request, struct list_config_resources_response *response,
                     int32_t *capacity, int8_t type, struct str name)
{
    if (response->config_resources.count == *capacity) {
        int32_t larger = *capacity ? *capacity * 2 : 16;
        struct list_config_resources_response_config_resource *grown =
            list_config_resources_response_config_resource_array(&request->arena, larger);
        if (!grown)
            return false;
        if (*capacity)
            memcpy(grown, response->config_resources.items, (size_t)*capacity * sizeof *grown);
        response->config_resources.items = grown;
        *capacity = larger;
    }
    struct list_config_resources_response_config_resource *out =
        &response->config_resources.items[response->config_resources.count++];
    out->resource_type = type;
    out->resource_name = name;
    return true;
}

static bool list_configured(struct request *request,
                            struct list_config_resources_response *response, int32_t *capacity,
                            int8_t type)
{
    struct tree_cursor cursor;
    configs_from(request_image(request), type, &cursor);
    for (const struct config_image *at; (at = configs_next(&cursor)) && at->type == type;)
        if (!list_add(request, response, capacity, type, at->name))
            return false;
    return true;
}

static bool list_brokers(struct request *request, struct list_config_resources_response *response,
                         int32_t *capacity, int8_t type)
{
    struct tree_cursor cursor;
    brokers_from(request_image(request), 0, &cursor);
    for (const struct broker_image *at; (at = brokers_next(&cursor));) {
        const char *name = arena_printf(&request->arena, "%d", at->id);
        if (!name || !list_add(request, response, capacity, type, str_of(name)))
            return false;
    }
    return true;
}

static bool list_type(struct request *request, struct list_config_resources_response *response,
                      int32_t *capacity, int8_t type)
{
    struct tree_cursor cursor;
    switch (type) {
    case CONFIG_RESOURCE_TOPIC:
        topics_from(request_image(request), STR(""), &cursor);
        for (const struct topic_image *at; (at = topics_next(request_image(request), &cursor));)
            if (!list_add(request, response, capacity, type, at->name))
                return false;
        return true;
    case CONFIG_RESOURCE_BROKER:
    case CONFIG_RESOURCE_BROKER_LOGGER:
        return list_brokers(request, response, capacity, type);
    default:
        return list_configured(request, response, capacity, type);
    }
}

static bool type_known(int8_t type)
{
    return type == CONFIG_RESOURCE_TOPIC || type == CONFIG_RESOURCE_BROKER ||
           type == CONFIG_RESOURCE_BROKER_LOGGER || type == CONFIG_RESOURCE_CLIENT_METRICS ||
           type == CONFIG_RESOURCE_GROUP;
}

enum outcome handle_list_config_resources(struct request *request)
{
    static const int8_t every[] = {CONFIG_RESOURCE_TOPIC, CONFIG_RESOURCE_BROKER,
                                   CONFIG_RESOURCE_BROKER_LOGGER, CONFIG_RESOURCE_CLIENT_METRICS,
                                   CONFIG_RESOURCE_GROUP};
    static const int8_t only_metrics[] = {CONFIG_RESOURCE_CLIENT_METRICS};
    const struct list_config_resources_request *body = request->body;
    struct list_config_resources_response response;
    list_config_resources_response_init(&response);
    const int8_t *types = body->resource_types.items;
    int32_t count = body->resource_types.count;
    if (request->version == 0) { /* it was ListClientMetricsResources */
        types = only_metrics;
        count = 1;
    } else if (count <= 0) {
        types = every;
        count = (int32_t)array_size(every);
    }
    int32_t capacity = 0;
    for (int32_t i = 0; i < count; i++) {
        if (!type_known(types[i])) {
            list_config_resources_response_init(&response);
            response.error_code = KAFKA_UNSUPPORTED_VERSION;
            break;
        }
        if (!list_type(request, &response, &capacity, types[i]))
            return request_refuse(request, "out of memory");
    }
    return request_answer(request, &response);
}
