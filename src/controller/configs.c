/* IncrementalAlterConfigs and AlterConfigs: rules and texts of Kafka's ConfigAdminManager,
 * ControllerConfigurationValidator and ConfigurationControlManager, 4.4.0. Values are checked by
 * the table of keys (metadata/config_keys.h), each resource as the whole that it would become. */
#include <errno.h>
#include <stdlib.h>

#include "controller/ops.h"

enum { CONFIG_VALUE_MAX_BYTES = 32767 };

#define MIN_ISR STR("min.insync.replicas")
#define VALUE_TOO_LONG                                                                             \
    "The configuration value cannot be added because it exceeds the maximum value size of 32767 "  \
    "bytes."

/* One resource, as both APIs ask for it. */
struct alteration {
    int8_t type;
    struct str name;
    struct config_pairs before;
    struct config_pair *after; /* with room for the changes */
    int32_t after_count;
};

static struct outcome no_memory(struct decision *decision)
{
    decision->error = -ENOMEM;
    return outcome_of(error_to_wire(-ENOMEM), NULL);
}

/* The resource. */

static struct outcome check_broker_name(struct decision *decision, struct str name)
{
    int64_t id = 0;
    if (name.size == 0)
        return OUTCOME_OK;
    for (int32_t i = 0; i < name.size; i++) {
        if (i > 9 || name.data[i] < '0' || name.data[i] > '9')
            return outcome_of(KAFKA_INVALID_REQUEST,
                              name.data[0] == '-'
                                  ? "Invalid negative broker ID."
                                  : "Unable to parse broker name as a base 10 number.");
        id = id * 10 + (name.data[i] - '0');
    }
    if (id > INT32_MAX || !image_broker(decision->head, (int32_t)id))
        /* Kafka's brokers refuse every id that is not theirs before they ask the controller, whose
         * own code for this, BROKER_ID_NOT_REGISTERED, no client sees. */
        return outcome_printf(decision, KAFKA_INVALID_REQUEST,
                              "Unexpected broker id, there is no broker %.*s.", STR_ARGS(name));
    return OUTCOME_OK;
}

static struct outcome check_resource(struct decision *decision, int8_t type, struct str name)
{
    switch (type) {
    case CONFIG_RESOURCE_TOPIC: {
        if (name.size == 0)
            return outcome_of(KAFKA_INVALID_REQUEST, "Default topic resources are not allowed.");
        struct outcome outcome = check_topic_name(decision, name);
        if (outcome.error_code)
            return outcome;
        if (!image_topic_named(decision->head, name))
            return outcome_printf(decision, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                  "The topic '%.*s' does not exist.", STR_ARGS(name));
        return OUTCOME_OK;
    }
    case CONFIG_RESOURCE_BROKER:
        return check_broker_name(decision, name);
    case CONFIG_RESOURCE_CLIENT_METRICS:
        if (name.size == 0)
            return outcome_of(KAFKA_INVALID_REQUEST,
                              "Default client metrics resources are not allowed.");
        return OUTCOME_OK;
    case CONFIG_RESOURCE_GROUP:
        if (name.size == 0)
            return outcome_of(KAFKA_INVALID_REQUEST, "Default group resources are not allowed.");
        return OUTCOME_OK;
    default:
        return outcome_printf(decision, KAFKA_INVALID_REQUEST, "Unexpected resource type %d.",
                              type);
    }
}

static const struct config_schema *schema_of(int8_t type)
{
    switch (type) {
    case CONFIG_RESOURCE_TOPIC:
        return &topic_schema;
    case CONFIG_RESOURCE_BROKER:
        return &broker_schema;
    case CONFIG_RESOURCE_GROUP:
        return &group_schema;
    default:
        return &client_metrics_schema;
    }
}

/* The set that a resource would have. */

static bool begin(struct decision *decision, struct alteration *alteration, int32_t changes)
{
    alteration->before = image_configs(decision->head, alteration->type, alteration->name);
    alteration->after =
        arena_array(decision->scratch, (size_t)alteration->before.count + (size_t)changes,
                    sizeof alteration->after[0]);
    return alteration->after != NULL;
}

static int32_t find_after(const struct alteration *alteration, struct str name)
{
    for (int32_t i = 0; i < alteration->after_count; i++)
        if (str_equal(alteration->after[i].name, name))
            return i;
    return -1;
}

static void set_after(struct alteration *alteration, struct str name, struct str value)
{
    int32_t at = find_after(alteration, name);
    if (at < 0)
        at = alteration->after_count++;
    alteration->after[at] = (struct config_pair){name, value};
}

static void delete_after(struct alteration *alteration, struct str name)
{
    int32_t at = find_after(alteration, name);
    if (at >= 0)
        alteration->after[at] = alteration->after[--alteration->after_count];
}

/* What a list is now, for APPEND and SUBTRACT: the override, or else the key's default. */
static struct str current_list(const struct alteration *alteration,
                               const struct config_schema *schema, int32_t key, struct str name)
{
    int32_t at = find_after(alteration, name);
    if (at >= 0)
        return alteration->after[at].value;
    struct str text = str_of(schema->keys[key].default_text);
    return text.data ? text : STR("");
}

static void append_item(char *text, int32_t *size, struct str item)
{
    if (*size > 0)
        text[(*size)++] = ',';
    memcpy(text + *size, item.data, (size_t)item.size);
    *size += item.size;
}

/* `list` with the items of `items` added (those not in it yet) or taken out. */
static struct str change_list(struct decision *decision, struct str list, struct str items,
                              bool add)
{
    struct str item;
    struct str rest = list;
    char *text = arena_alloc(decision->scratch, (size_t)list.size + (size_t)items.size + 2);
    int32_t size = 0;
    if (!text) {
        decision->error = -ENOMEM;
        return STR("");
    }
    while (config_list_next(rest, &item, &rest))
        if (add || !config_list_has(items, item))
            append_item(text, &size, item);
    rest = items;
    while (add && config_list_next(rest, &item, &rest))
        if (!config_list_has((struct str){text, size}, item))
            append_item(text, &size, item);
    return (struct str){text, size};
}

/* Checks of the result, and the records. */

static struct outcome check_elr(struct decision *decision, const struct alteration *alteration)
{
    if (alteration->type != CONFIG_RESOURCE_BROKER ||
        image_feature(decision->head, STR(FEATURE_ELR_VERSION)) == 0)
        return OUTCOME_OK;
    struct str before = config_pairs_get(alteration->before, MIN_ISR);
    int32_t at = find_after(alteration, MIN_ISR);
    if (alteration->name.size > 0 && at >= 0 &&
        !(before.data && str_equal(before, alteration->after[at].value)))
        return outcome_of(
            KAFKA_INVALID_CONFIG,
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled.");
    if (alteration->name.size == 0 && before.data && at < 0)
        return outcome_of(
            KAFKA_INVALID_CONFIG,
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
    return OUTCOME_OK;
}

static struct outcome check_values(struct decision *decision, const struct alteration *alteration)
{
    const struct config_pairs after = {alteration->after, alteration->after_count};
    const char *error = NULL;
    int err;
    for (int32_t i = 0; i < after.count; i++)
        if (after.items[i].value.size > CONFIG_VALUE_MAX_BYTES)
            return outcome_of(KAFKA_INVALID_CONFIG, VALUE_TOO_LONG);
    switch (alteration->type) {
    case CONFIG_RESOURCE_TOPIC:
        err = topic_config_validate_all(decision->config, after, decision->arena, &error);
        break;
    case CONFIG_RESOURCE_BROKER:
        err = broker_config_validate_dynamic(decision->config, alteration->name.size > 0, after,
                                             decision->arena, &error);
        break;
    case CONFIG_RESOURCE_GROUP:
        err = group_config_validate_all(decision->config, after, decision->arena, &error);
        break;
    default:
        err = client_metrics_config_validate_all(after, decision->arena, &error);
    }
    if (err < 0)
        decision->error = err;
    return err ? outcome_of(error_to_wire(err), err > 0 ? error : NULL) : OUTCOME_OK;
}

static void add_config(struct decision *decision, const struct alteration *alteration,
                       struct str name, struct str value, bool *clear_elr)
{
    const struct config_record record = {
        .resource_type = alteration->type,
        .resource_name = alteration->name,
        .name = name,
        .value = value,
    };
    decision_add(decision, METADATA_CONFIG_RECORD, 0, &record);
    *clear_elr |= str_equal(name, MIN_ISR);
}

/* Records for what differs; both sides are sorted by name. */
static void add_records(struct decision *decision, const struct alteration *alteration)
{
    const struct config_pairs before = alteration->before;
    bool clear_elr = false;
    int32_t i = 0;
    int32_t j = 0;
    while (i < before.count || j < alteration->after_count) {
        int order = i == before.count ? 1
                    : j == alteration->after_count
                        ? -1
                        : str_compare(before.items[i].name, alteration->after[j].name);
        if (order < 0)
            add_config(decision, alteration, before.items[i].name, (struct str){NULL, 0},
                       &clear_elr);
        else if (order > 0 || !str_equal(before.items[i].value, alteration->after[j].value))
            add_config(decision, alteration, alteration->after[j].name, alteration->after[j].value,
                       &clear_elr);
        i += order <= 0;
        j += order >= 0;
    }
    /* Who is eligible was decided under the old bound. */
    if (!clear_elr || image_feature(decision->head, STR(FEATURE_ELR_VERSION)) == 0)
        return;
    struct clear_elr_record record = {STR("")};
    if (alteration->type == CONFIG_RESOURCE_TOPIC)
        record.topic_name = alteration->name;
    decision_add(decision, METADATA_CLEAR_ELR_RECORD, 0, &record);
}

static struct outcome finish(struct decision *decision, struct alteration *alteration)
{
    int err =
        config_pairs_sort(alteration->after, alteration->after_count, &alteration->after_count);
    if (err) {
        decision->error = err;
        return outcome_of(error_to_wire(err), NULL);
    }
    struct outcome outcome = check_elr(decision, alteration);
    if (!outcome.error_code)
        outcome = check_values(decision, alteration);
    if (!outcome.error_code)
        add_records(decision, alteration);
    return outcome;
}

/* IncrementalAlterConfigs. */

enum config_operation { OP_SET = 0, OP_DELETE = 1, OP_APPEND = 2, OP_SUBTRACT = 3 };

static struct outcome
apply_operation(struct decision *decision, struct alteration *alteration,
                const struct incremental_alter_configs_request_alterable_config *config)
{
    const struct config_schema *schema = schema_of(alteration->type);
    int32_t key = config_find(schema, config->name);
    struct str list;
    switch (config->config_operation) {
    case OP_SET:
        set_after(alteration, config->name, config->value);
        return OUTCOME_OK;
    case OP_DELETE:
        delete_after(alteration, config->name);
        return OUTCOME_OK;
    case OP_APPEND:
    case OP_SUBTRACT:
        /* Kafka's controller does not know which settings of groups are lists. */
        if (key < 0 || schema->keys[key].type != CONFIG_TYPE_LIST ||
            alteration->type == CONFIG_RESOURCE_GROUP)
            return outcome_printf(decision, KAFKA_INVALID_CONFIG,
                                  "Can't %s to key %.*s because its type is not LIST.",
                                  config->config_operation == OP_APPEND ? "APPEND" : "SUBTRACT",
                                  STR_ARGS(config->name));
        list = change_list(decision, current_list(alteration, schema, key, config->name),
                           config->value, config->config_operation == OP_APPEND);
        set_after(alteration, config->name, list);
        return decision->error ? no_memory(decision) : OUTCOME_OK;
    default:
        return outcome_printf(decision, KAFKA_INVALID_REQUEST, "Unknown operations type %d",
                              config->config_operation);
    }
}

static struct outcome
check_operations(struct decision *decision,
                 const struct incremental_alter_configs_request_alter_configs_resource *resource)
{
    struct name_list nulls = {.size = 0};
    if (resource->configs.count > CONFIGS_PER_RESOURCE_MAX)
        return outcome_of(KAFKA_INVALID_REQUEST, "Too many configs for one resource.");
    for (int32_t i = 0; i < resource->configs.count; i++) {
        const struct incremental_alter_configs_request_alterable_config *config =
            &resource->configs.items[i];
        for (int32_t j = 0; j < i; j++)
            if (str_equal(resource->configs.items[j].name, config->name))
                return outcome_of(KAFKA_INVALID_REQUEST, "Error due to duplicate config keys");
        if (config->config_operation != OP_DELETE && !config->value.data)
            name_list_add(&nulls, config->name);
        if (config->value.size > CONFIG_VALUE_MAX_BYTES)
            return outcome_of(KAFKA_INVALID_CONFIG, VALUE_TOO_LONG);
    }
    if (nulls.size > 0)
        return outcome_printf(decision, KAFKA_INVALID_REQUEST, "Null value not supported for : %s",
                              nulls.text);
    return OUTCOME_OK;
}

static struct outcome
alter_incrementally(struct decision *decision,
                    const struct incremental_alter_configs_request_alter_configs_resource *resource)
{
    struct alteration alteration = {.type = resource->resource_type,
                                    .name = resource->resource_name};
    int32_t count = resource->configs.count > 0 ? resource->configs.count : 0;
    struct outcome outcome =
        check_resource(decision, resource->resource_type, resource->resource_name);
    if (!outcome.error_code)
        outcome = check_operations(decision, resource);
    if (outcome.error_code)
        return outcome;
    if (!begin(decision, &alteration, count))
        return no_memory(decision);
    for (int32_t i = 0; i < alteration.before.count; i++)
        alteration.after[alteration.after_count++] = alteration.before.items[i];
    for (int32_t i = 0; i < count && !outcome.error_code; i++)
        outcome = apply_operation(decision, &alteration, &resource->configs.items[i]);
    return outcome.error_code ? outcome : finish(decision, &alteration);
}

struct resource_key {
    int8_t type;
    struct str name;
    int32_t index;
};

static int resource_order(const void *a, const void *b)
{
    const struct resource_key *x = a;
    const struct resource_key *y = b;
    return x->type != y->type ? x->type - y->type : str_compare(x->name, y->name);
}

/* Mark the resources that stand in the request more than once. */
static bool *find_repeated(struct decision *decision, struct resource_key *keys, int32_t count)
{
    bool *repeated = arena_array(decision->scratch, (size_t)count, sizeof repeated[0]);
    if (!repeated)
        return NULL;
    qsort(keys, (size_t)count, sizeof keys[0], resource_order);
    for (int32_t i = 1; i < count; i++)
        if (resource_order(&keys[i - 1], &keys[i]) == 0)
            repeated[keys[i - 1].index] = repeated[keys[i].index] = true;
    return repeated;
}

#define REPEATED outcome_of(KAFKA_INVALID_REQUEST, "Each resource must appear at most once.")

int decide_incremental_alter_configs(struct decision *decision,
                                     const struct incremental_alter_configs_request *request,
                                     struct incremental_alter_configs_response *response)
{
    int32_t count = request->resources.count > 0 ? request->resources.count : 0;
    struct resource_key *keys = arena_array(decision->scratch, (size_t)count, sizeof keys[0]);
    response->responses.items =
        incremental_alter_configs_response_alter_configs_resource_response_array(decision->arena,
                                                                                 count);
    if (!keys || !response->responses.items)
        return -ENOMEM;
    for (int32_t i = 0; i < count; i++)
        keys[i] = (struct resource_key){request->resources.items[i].resource_type,
                                        request->resources.items[i].resource_name, i};
    bool *repeated = find_repeated(decision, keys, count);
    if (!repeated)
        return -ENOMEM;
    for (int32_t i = 0; i < count && !decision->error; i++) {
        const struct incremental_alter_configs_request_alter_configs_resource *resource =
            &request->resources.items[i];
        int32_t mark = decision_mark(decision);
        struct outcome outcome = repeated[i] ? REPEATED : alter_incrementally(decision, resource);
        if (outcome.error_code)
            decision_rewind(decision, mark);
        struct incremental_alter_configs_response_alter_configs_resource_response *result =
            &response->responses.items[response->responses.count++];
        result->resource_type = resource->resource_type;
        result->resource_name = resource->resource_name;
        result->error_code = outcome.error_code;
        result->error_message = outcome.message;
    }
    if (request->validate_only)
        decision_rewind(decision, 0);
    return decision->error;
}

/* AlterConfigs: the given set replaces the old one. */

static struct outcome alter_whole(struct decision *decision,
                                  const struct alter_configs_request_resource *resource)
{
    struct alteration alteration = {.type = resource->resource_type,
                                    .name = resource->resource_name};
    int32_t count = resource->configs.count > 0 ? resource->configs.count : 0;
    struct outcome outcome =
        check_resource(decision, resource->resource_type, resource->resource_name);
    if (outcome.error_code)
        return outcome;
    if (count > CONFIGS_PER_RESOURCE_MAX)
        return outcome_of(KAFKA_INVALID_REQUEST, "Too many configs for one resource.");
    if (!begin(decision, &alteration, count))
        return no_memory(decision);
    for (int32_t i = 0; i < count; i++) {
        struct str name = resource->configs.items[i].name;
        struct str value = resource->configs.items[i].value;
        if (find_after(&alteration, name) >= 0)
            return outcome_of(KAFKA_INVALID_REQUEST, "Error due to duplicate config keys");
        if (!value.data)
            return outcome_printf(decision, KAFKA_INVALID_REQUEST,
                                  "Null value not supported for : %.*s", STR_ARGS(name));
        set_after(&alteration, name, value);
    }
    return finish(decision, &alteration);
}

int decide_alter_configs(struct decision *decision, const struct alter_configs_request *request,
                         struct alter_configs_response *response)
{
    int32_t count = request->resources.count > 0 ? request->resources.count : 0;
    struct resource_key *keys = arena_array(decision->scratch, (size_t)count, sizeof keys[0]);
    response->responses.items =
        alter_configs_response_resource_response_array(decision->arena, count);
    if (!keys || !response->responses.items)
        return -ENOMEM;
    for (int32_t i = 0; i < count; i++)
        keys[i] = (struct resource_key){request->resources.items[i].resource_type,
                                        request->resources.items[i].resource_name, i};
    bool *repeated = find_repeated(decision, keys, count);
    if (!repeated)
        return -ENOMEM;
    for (int32_t i = 0; i < count && !decision->error; i++) {
        const struct alter_configs_request_resource *resource = &request->resources.items[i];
        int32_t mark = decision_mark(decision);
        struct outcome outcome = repeated[i] ? REPEATED : alter_whole(decision, resource);
        if (outcome.error_code)
            decision_rewind(decision, mark);
        struct alter_configs_response_resource_response *result =
            &response->responses.items[response->responses.count++];
        result->resource_type = resource->resource_type;
        result->resource_name = resource->resource_name;
        result->error_code = outcome.error_code;
        result->error_message = outcome.message;
    }
    if (request->validate_only)
        decision_rewind(decision, 0);
    return decision->error;
}
