/* What concerns the cluster as a whole: features, blocks of producer ids, and the first records of
 * a new cluster. Rules and texts of Kafka's FeatureControlManager and QuorumController, 4.4.0. */
#include <errno.h>
#include <stdio.h>

#include "controller/controller.h"
#include "controller/ops.h"

#define MIN_ISR STR("min.insync.replicas")

/* Features. */

enum upgrade_type { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

static struct outcome invalid_update(struct decision *decision, struct str feature, int16_t level,
                                     const char *why)
{
    return outcome_printf(decision, KAFKA_INVALID_UPDATE_VERSION,
                          "Invalid update version %d for feature %.*s. %s", level,
                          STR_ARGS(feature), why);
}

static struct outcome check_brokers_support(struct decision *decision, struct str name,
                                            int16_t level)
{
    struct tree_cursor cursor;
    const struct broker_image *broker;
    brokers_from(decision->head, INT32_MIN, &cursor);
    while ((broker = brokers_next(&cursor))) {
        const struct feature_range *range = NULL;
        for (int32_t i = 0; i < broker->feature_count; i++)
            if (str_equal(broker->features[i].name, name))
                range = &broker->features[i];
        char why[128];
        if (!range && level > 0)
            snprintf(why, sizeof why, "Broker %d does not support this feature.", broker->id);
        else if (range && level > 0 && (level < range->min || level > range->max))
            snprintf(why, sizeof why, "Broker %d only supports versions %d-%d", broker->id,
                     range->min, range->max);
        else
            continue;
        return invalid_update(decision, name, level, why);
    }
    return OUTCOME_OK;
}

/* ELR counts on min.insync.replicas being the same for all brokers: it becomes a cluster-wide value
 * that can no longer be taken away. */
static void add_elr_safety(struct decision *decision)
{
    struct tree_cursor cursor;
    const struct config_image *config;
    configs_from(decision->head, CONFIG_RESOURCE_BROKER, &cursor);
    bool set_for_all = false;
    while ((config = configs_next(&cursor)) && config->type == CONFIG_RESOURCE_BROKER) {
        if (!config_pairs_get(config->pairs, MIN_ISR).data)
            continue;
        if (config->name.size == 0) {
            set_for_all = true;
            continue;
        }
        const struct config_record removal = {.resource_type = CONFIG_RESOURCE_BROKER,
                                              .resource_name = config->name,
                                              .name = MIN_ISR};
        decision_add(decision, METADATA_CONFIG_RECORD, 0, &removal);
    }
    if (set_for_all)
        return;
    const char *value =
        arena_printf(decision->scratch, "%d", decision->config->topic_defaults.min_insync_replicas);
    if (!value) {
        decision->error = -ENOMEM;
        return;
    }
    const struct config_record record = {.resource_type = CONFIG_RESOURCE_BROKER,
                                         .resource_name = STR(""),
                                         .name = MIN_ISR,
                                         .value = str_of(value)};
    decision_add(decision, METADATA_CONFIG_RECORD, 0, &record);
}

static struct outcome check_direction(struct decision *decision, struct str name, int16_t level,
                                      int16_t current, enum upgrade_type type)
{
    if (type < UPGRADE || type > UNSAFE_DOWNGRADE)
        return invalid_update(decision, name, level,
                              "The controller does not support the given upgrade type.");
    if (level < 0)
        return invalid_update(decision, name, level, "A feature version cannot be less than 0.");
    if (level < current && type == UPGRADE)
        return invalid_update(decision, name, level,
                              "Can't downgrade the version of this feature without setting the "
                              "upgrade type to either safe or unsafe downgrade.");
    if (level > current && type != UPGRADE)
        return invalid_update(decision, name, level, "Can't downgrade to a newer version.");
    return OUTCOME_OK;
}

static struct outcome update_metadata_version(struct decision *decision, int16_t level)
{
    if (level < METADATA_VERSION_MIN || level > METADATA_VERSION_LATEST) {
        return outcome_printf(decision, KAFKA_INVALID_UPDATE_VERSION,
                              "Invalid metadata.version %d. Valid versions are from %d to %d.",
                              level, METADATA_VERSION_MIN, METADATA_VERSION_LATEST);
    }
    if (level < decision->level)
        return outcome_printf(
            decision, KAFKA_INVALID_UPDATE_VERSION,
            "Unsupported metadata.version downgrade from %s to %s. Refusing to perform the "
            "requested downgrade because it might delete metadata information.",
            metadata_version_name(decision->level), metadata_version_name(level));
    return check_brokers_support(decision, STR(FEATURE_METADATA_VERSION), level);
}

static struct outcome update_feature(struct decision *decision, struct str name, int16_t level,
                                     enum upgrade_type type)
{
    const struct feature *feature = feature_find(name);
    bool is_kraft = str_equal(name, STR(FEATURE_KRAFT_VERSION));
    int16_t current = is_kraft ? decision->kraft_version : image_feature(decision->head, name);
    struct outcome outcome = check_direction(decision, name, level, current, type);
    if (outcome.error_code || level == current)
        return outcome;
    char why[128];
    if (!feature) {
        snprintf(why, sizeof why, "Local controller %d does not support this feature.",
                 decision->node_id);
        return invalid_update(decision, name, level, why);
    }
    if (is_kraft)
        return invalid_update(decision, name, level,
                              "Can't downgrade the version of this feature.");
    if (str_equal(name, STR(FEATURE_METADATA_VERSION)))
        outcome = update_metadata_version(decision, level);
    else if (level > feature->finalize_max && level > current) {
        snprintf(why, sizeof why, "Local controller %d only supports versions 0-%d",
                 decision->node_id, feature->finalize_max);
        outcome = invalid_update(decision, name, level, why);
    } else
        outcome = check_brokers_support(decision, name, level);
    if (outcome.error_code)
        return outcome;
    const struct feature_level_record record = {name, level};
    decision_add(decision, METADATA_FEATURE_LEVEL_RECORD, 0, &record);
    if (str_equal(name, STR(FEATURE_ELR_VERSION)) && level > 0)
        add_elr_safety(decision);
    return OUTCOME_OK;
}

int decide_update_features(struct decision *decision, int16_t api_version,
                           const struct update_features_request *request,
                           struct update_features_response *response)
{
    int32_t count = request->feature_updates.count > 0 ? request->feature_updates.count : 0;
    struct outcome outcome = OUTCOME_OK;
    for (int32_t i = 0; i < count && !outcome.error_code; i++) {
        const struct update_features_request_feature_update_key *update =
            &request->feature_updates.items[i];
        enum upgrade_type type = (enum upgrade_type)update->upgrade_type;
        if (api_version == 0)
            type = update->allow_downgrade ? SAFE_DOWNGRADE : UPGRADE;
        outcome = update_feature(decision, update->feature, update->max_version_level, type);
    }
    if (outcome.error_code) {
        decision_rewind(decision, 0);
        outcome = outcome_printf(decision, outcome.error_code,
                                 "The update failed for all features since the following feature "
                                 "had an error: %.*s",
                                 STR_ARGS(outcome.message));
        response->error_code = outcome.error_code;
        response->error_message = outcome.message;
    }
    if (api_version < 2 && !outcome.error_code) {
        response->results.items =
            update_features_response_updatable_feature_result_array(decision->arena, count);
        if (!response->results.items)
            return -ENOMEM;
        response->results.count = count;
        for (int32_t i = 0; i < count; i++)
            response->results.items[i].feature = request->feature_updates.items[i].feature;
    }
    if (request->validate_only)
        decision_rewind(decision, 0);
    return decision->error;
}

/* Producer ids. */

int decide_allocate_producer_ids(struct decision *decision,
                                 const struct allocate_producer_ids_request *request,
                                 struct allocate_producer_ids_response *response)
{
    int err = check_broker_epoch(decision, request->broker_id, request->broker_epoch);
    int64_t first = decision->head->next_producer_id;
    if (!err && first > INT64_MAX - CONTROLLER_PRODUCER_ID_BLOCK)
        err = KAFKA_UNKNOWN_SERVER_ERROR;
    if (err) {
        response->error_code = error_to_wire(err);
        return 0;
    }
    struct producer_ids_record record;
    producer_ids_record_init(&record);
    record.broker_id = request->broker_id;
    record.broker_epoch = request->broker_epoch;
    record.next_producer_id = first + CONTROLLER_PRODUCER_ID_BLOCK;
    decision_add(decision, METADATA_PRODUCER_IDS_RECORD, 0, &record);
    response->producer_id_start = first;
    response->producer_id_len = CONTROLLER_PRODUCER_ID_BLOCK;
    return decision->error;
}

/* A new cluster. */

static void add_feature(struct decision *decision, const char *name, int16_t level)
{
    const struct feature_level_record record = {str_of(name), level};
    if (level > 0)
        decision_add(decision, METADATA_FEATURE_LEVEL_RECORD, 0, &record);
}

void decide_bootstrap(struct decision *decision, const struct feature_level_record *given,
                      int32_t count)
{
    int16_t level = METADATA_VERSION_LATEST;
    bool elr = count == 0;
    for (int32_t i = 0; i < count; i++) {
        if (str_equal(given[i].name, STR(FEATURE_METADATA_VERSION)))
            level = given[i].feature_level;
        elr |= str_equal(given[i].name, STR(FEATURE_ELR_VERSION)) && given[i].feature_level > 0;
    }
    struct begin_transaction_record begin;
    begin_transaction_record_init(&begin);
    begin.name = STR("Bootstrap records");
    const struct end_transaction_record end = {0};
    bool transaction = level >= METADATA_VERSION_TRANSACTIONS;
    if (transaction)
        decision_add(decision, METADATA_BEGIN_TRANSACTION_RECORD, 0, &begin);
    add_feature(decision, FEATURE_METADATA_VERSION, level);
    for (int32_t i = 0; i < count; i++)
        if (!str_equal(given[i].name, STR(FEATURE_METADATA_VERSION)))
            decision_add(decision, METADATA_FEATURE_LEVEL_RECORD, 0, &given[i]);
    for (int32_t i = 0; count == 0 && i < features_count; i++)
        if (!str_equal(str_of(features[i].name), STR(FEATURE_METADATA_VERSION)) &&
            !str_equal(str_of(features[i].name), STR(FEATURE_KRAFT_VERSION)))
            add_feature(decision, features[i].name, features[i].finalize_max);
    if (elr)
        add_elr_safety(decision);
    if (transaction)
        decision_add(decision, METADATA_END_TRANSACTION_RECORD, 0, &end);
}
