/* A topic's keys: which value counts, whether a set of overrides is good, and the settings it
 * makes.
 *
 * The order is Kafka's: the topic's own value, then the broker keys that stand behind it, each at
 * its strongest source, then the default. */
#include "metadata/config_keys_private.h"

#include <errno.h>

#include "base/errors.h"
#include "base/must.h"

enum { CLIENT_METRICS_INTERVAL_MIN_MS = 100, CLIENT_METRICS_INTERVAL_MAX_MS = 3600000 };

/* The topic's own value, if it has one that parses: 0; 1 if not; -ENOMEM. */
static int read_override(struct config_pairs overrides, const struct config_key *key,
                         struct arena *arena, struct config_value *ret_value)
{
    const char *error;
    struct str text = config_pairs_get(overrides, str_of(key->name));
    if (!text.data)
        return 1;
    int err = config_parse(key, text, arena, ret_value, &error);
    if (err == 0)
        ret_value->source = CONFIG_SOURCE_TOPIC;
    return err > 0 ? 1 : err;
}

/* In Kafka a negative retention is no limit; hours and minutes may be negative too. */
static int64_t scale(enum topic_config_key key, int64_t number, int64_t factor)
{
    if (key == TOPIC_CONFIG_RETENTION_MS && number < 0)
        return -1;
    return number * factor;
}

int topic_value_resolve(const struct broker_config *broker, struct config_pairs overrides,
                        enum topic_config_key key, struct arena *arena,
                        struct config_value *ret_value)
{
    const struct config_key *topic_key = &topic_schema.keys[key];
    const char *error;
    int err = read_override(overrides, topic_key, arena, ret_value);
    if (err <= 0)
        return err;
    for (const struct config_key_synonym *synonym = topic_key_synonyms(key); synonym->key >= 0;
         synonym++) {
        if (config_is_null(&broker->values, synonym->key))
            continue;
        *ret_value = broker->values.values[synonym->key];
        if (topic_key->type == CONFIG_TYPE_INT || topic_key->type == CONFIG_TYPE_LONG)
            ret_value->number = scale(key, ret_value->number, synonym->factor);
        return 0;
    }
    err = config_parse(topic_key, str_of(topic_key->default_text), arena, ret_value, &error);
    if (err == 0)
        ret_value->source = CONFIG_SOURCE_DEFAULT;
    return err;
}

/* Values by key, for one computation. */
struct topic_values {
    struct config_value items[TOPIC_CONFIG_COUNT];
};

static int64_t number_of(const struct topic_values *values, enum topic_config_key key)
{
    must(!values->items[key].is_null);
    return values->items[key].number;
}

static enum compression_setting compression_of(struct str name)
{
    static const struct {
        const char *name;
        enum compression_setting setting;
    } settings[] = {
        {"producer", COMPRESSION_SETTING_PRODUCER},
        {"gzip", COMPRESSION_SETTING_GZIP},
        {"snappy", COMPRESSION_SETTING_SNAPPY},
        {"lz4", COMPRESSION_SETTING_LZ4},
        {"zstd", COMPRESSION_SETTING_ZSTD},
        {"uncompressed", COMPRESSION_SETTING_UNCOMPRESSED},
    };
    for (size_t i = 0; i < array_size(settings); i++) {
        if (str_equal(name, str_of(settings[i].name)))
            return settings[i].setting;
    }
    must(false);
    return COMPRESSION_SETTING_PRODUCER;
}

static struct topic_settings settings_of(const struct topic_values *v)
{
    const struct config_value *items = v->items;
    struct topic_settings s = {
        .segment_ms = number_of(v, TOPIC_CONFIG_SEGMENT_MS),
        .segment_jitter_ms = number_of(v, TOPIC_CONFIG_SEGMENT_JITTER_MS),
        .retention_ms = number_of(v, TOPIC_CONFIG_RETENTION_MS),
        .retention_bytes = number_of(v, TOPIC_CONFIG_RETENTION_BYTES),
        .flush_messages = number_of(v, TOPIC_CONFIG_FLUSH_MESSAGES),
        .flush_ms = number_of(v, TOPIC_CONFIG_FLUSH_MS),
        .file_delete_delay_ms = number_of(v, TOPIC_CONFIG_FILE_DELETE_DELAY_MS),
        .delete_retention_ms = number_of(v, TOPIC_CONFIG_DELETE_RETENTION_MS),
        .min_compaction_lag_ms = number_of(v, TOPIC_CONFIG_MIN_COMPACTION_LAG_MS),
        .max_compaction_lag_ms = number_of(v, TOPIC_CONFIG_MAX_COMPACTION_LAG_MS),
        .message_timestamp_before_max_ms =
            number_of(v, TOPIC_CONFIG_MESSAGE_TIMESTAMP_BEFORE_MAX_MS),
        .message_timestamp_after_max_ms = number_of(v, TOPIC_CONFIG_MESSAGE_TIMESTAMP_AFTER_MAX_MS),
        .min_cleanable_dirty_ratio = items[TOPIC_CONFIG_MIN_CLEANABLE_DIRTY_RATIO].real,
        .segment_bytes = (int32_t)number_of(v, TOPIC_CONFIG_SEGMENT_BYTES),
        .segment_index_bytes = (int32_t)number_of(v, TOPIC_CONFIG_SEGMENT_INDEX_BYTES),
        .index_interval_bytes = (int32_t)number_of(v, TOPIC_CONFIG_INDEX_INTERVAL_BYTES),
        .max_message_bytes = (int32_t)number_of(v, TOPIC_CONFIG_MAX_MESSAGE_BYTES),
        .max_decompressed_message_bytes =
            (int32_t)number_of(v, TOPIC_CONFIG_MAX_DECOMPRESSED_MESSAGE_BYTES),
        .min_insync_replicas = (int32_t)number_of(v, TOPIC_CONFIG_MIN_INSYNC_REPLICAS),
        .compression_gzip_level = (int32_t)number_of(v, TOPIC_CONFIG_COMPRESSION_GZIP_LEVEL),
        .compression_lz4_level = (int32_t)number_of(v, TOPIC_CONFIG_COMPRESSION_LZ4_LEVEL),
        .compression_zstd_level = (int32_t)number_of(v, TOPIC_CONFIG_COMPRESSION_ZSTD_LEVEL),
        .compression_type = (int8_t)compression_of(items[TOPIC_CONFIG_COMPRESSION_TYPE].text),
        .cleanup_delete = config_list_has(items[TOPIC_CONFIG_CLEANUP_POLICY].text, STR("delete")),
        .cleanup_compact = config_list_has(items[TOPIC_CONFIG_CLEANUP_POLICY].text, STR("compact")),
        .log_append_time =
            str_equal(items[TOPIC_CONFIG_MESSAGE_TIMESTAMP_TYPE].text, STR("LogAppendTime")),
        .preallocate = items[TOPIC_CONFIG_PREALLOCATE].boolean,
        .unclean_leader_election_enable =
            items[TOPIC_CONFIG_UNCLEAN_LEADER_ELECTION_ENABLE].boolean,
    };
    if (!items[TOPIC_CONFIG_INTERNAL_SEGMENT_BYTES].is_null)
        s.segment_bytes = (int32_t)number_of(v, TOPIC_CONFIG_INTERNAL_SEGMENT_BYTES);
    if (s.retention_bytes < 0)
        s.retention_bytes = -1;
    return s;
}

static int compute(const struct broker_config *broker, struct config_pairs overrides,
                   struct topic_settings *ret_settings)
{
    struct topic_values values;
    struct arena arena;
    int err = 0;
    arena_init(&arena, 0);
    for (int key = 0; err == 0 && key < TOPIC_CONFIG_COUNT; key++)
        err = topic_value_resolve(broker, overrides, (enum topic_config_key)key, &arena,
                                  &values.items[key]);
    if (err == 0)
        *ret_settings = settings_of(&values);
    arena_close(&arena);
    return err;
}

int topic_defaults_compute(struct broker_config *config)
{
    return compute(config, (struct config_pairs){0}, &config->topic_defaults);
}

int topic_settings_compute(const struct broker_config *broker, struct config_pairs overrides,
                           struct topic_settings *ret_settings)
{
    if (overrides.count == 0) {
        *ret_settings = broker->topic_defaults;
        return 0;
    }
    return compute(broker, overrides, ret_settings);
}

int topic_config_validate(struct str name, struct str value, struct arena *arena,
                          const char **ret_error)
{
    struct config_value parsed;
    int32_t index = config_find(&topic_schema, name);
    if (index < 0) {
        *ret_error = config_error(arena, "Unknown topic config name: %.*s", (int)name.size,
                                  name.data ? name.data : "");
        return KAFKA_INVALID_CONFIG;
    }
    if (!value.data) {
        *ret_error = config_error(arena, "Null value not supported for topic configs: %.*s",
                                  (int)name.size, name.data);
        return KAFKA_INVALID_CONFIG;
    }
    const struct config_key *key = &topic_schema.keys[index];
    int err = config_parse(key, value, arena, &parsed, ret_error);
    if (err != 0 || key->status != CONFIG_REFUSED || config_value_is_harmless(key, &parsed, arena))
        return err;
    *ret_error = index == TOPIC_CONFIG_REMOTE_STORAGE_ENABLE
                     ? "Tiered Storage functionality is disabled in the broker. Topic cannot be "
                       "configured with remote log storage."
                     : config_error(arena, "Invalid value %.200s for configuration %s: %s",
                                    parsed.text.data, key->name, key->about);
    return KAFKA_INVALID_CONFIG;
}

int topic_config_validate_all(const struct broker_config *broker, struct config_pairs overrides,
                              struct arena *arena, const char **ret_error)
{
    struct topic_settings settings;
    /* Names before values and nulls before both, as Kafka complains. */
    for (int32_t i = 0; i < overrides.count; i++) {
        struct str name = overrides.items[i].name;
        if (overrides.items[i].value.data && config_find(&topic_schema, name) >= 0)
            continue;
        return topic_config_validate(name, overrides.items[i].value, arena, ret_error);
    }
    for (int32_t i = 0; i < overrides.count; i++) {
        int err = topic_config_validate(overrides.items[i].name, overrides.items[i].value, arena,
                                        ret_error);
        if (err != 0)
            return err;
    }
    int err = topic_settings_compute(broker, overrides, &settings);
    if (err != 0)
        return err;
    if (settings.min_compaction_lag_ms > settings.max_compaction_lag_ms) {
        *ret_error = config_error(arena,
                                  "conflict topic config setting min.compaction.lag.ms (%lld) > "
                                  "max.compaction.lag.ms (%lld)",
                                  (long long)settings.min_compaction_lag_ms,
                                  (long long)settings.max_compaction_lag_ms);
        return KAFKA_INVALID_CONFIG;
    }
    return 0;
}

/* A group's value must stay between two of the broker's. */
struct group_bound {
    int16_t key;
    int16_t least; /* enum broker_config_key, -1: none */
    int16_t most;
};

#define BOUND(kind, name)                                                                          \
    {                                                                                              \
        GROUP_CONFIG_##kind##_##name, BROKER_CONFIG_GROUP_##kind##_MIN_##name,                     \
            BROKER_CONFIG_GROUP_##kind##_MAX_##name                                                \
    }

static const struct group_bound group_bounds[] = {
    BOUND(CONSUMER, SESSION_TIMEOUT_MS),
    BOUND(CONSUMER, HEARTBEAT_INTERVAL_MS),
    BOUND(CONSUMER, ASSIGNMENT_INTERVAL_MS),
    BOUND(SHARE, SESSION_TIMEOUT_MS),
    BOUND(SHARE, HEARTBEAT_INTERVAL_MS),
    BOUND(SHARE, ASSIGNMENT_INTERVAL_MS),
    BOUND(SHARE, RECORD_LOCK_DURATION_MS),
    BOUND(SHARE, DELIVERY_COUNT_LIMIT),
    BOUND(SHARE, PARTITION_MAX_RECORD_LOCKS),
    BOUND(STREAMS, SESSION_TIMEOUT_MS),
    BOUND(STREAMS, HEARTBEAT_INTERVAL_MS),
    BOUND(STREAMS, ASSIGNMENT_INTERVAL_MS),
    {GROUP_CONFIG_STREAMS_NUM_STANDBY_REPLICAS, -1,
     BROKER_CONFIG_GROUP_STREAMS_MAX_STANDBY_REPLICAS},
    {GROUP_CONFIG_STREAMS_NUM_WARMUP_REPLICAS, -1, BROKER_CONFIG_GROUP_STREAMS_MAX_WARMUP_REPLICAS},
};

static const char *check_group_bound(const struct broker_config *broker, int32_t index,
                                     int64_t number, struct arena *arena)
{
    for (size_t i = 0; i < array_size(group_bounds); i++) {
        const struct group_bound *bound = &group_bounds[i];
        if (bound->key != index)
            continue;
        int64_t most = config_long(&broker->values, bound->most);
        int64_t least = bound->least < 0 ? INT64_MIN : config_long(&broker->values, bound->least);
        if (number >= least && number <= most)
            return NULL;
        if (bound->least < 0)
            return config_error(arena, "%s must be less than or equal to %lld",
                                group_schema.keys[index].name, (long long)most);
        return config_error(arena, "%s must be in the range %lld to %lld inclusive.",
                            group_schema.keys[index].name, (long long)least, (long long)most);
    }
    return NULL;
}

int group_config_validate_all(const struct broker_config *broker, struct config_pairs overrides,
                              struct arena *arena, const char **ret_error)
{
    for (int32_t i = 0; i < overrides.count; i++) {
        struct config_value value;
        struct str name = overrides.items[i].name;
        int32_t index = config_find(&group_schema, name);
        if (index < 0) {
            *ret_error =
                config_error(arena, "Unknown group config name: %.*s", (int)name.size, name.data);
            return KAFKA_INVALID_CONFIG;
        }
        int err = config_parse(&group_schema.keys[index], overrides.items[i].value, arena, &value,
                               ret_error);
        if (err != 0)
            return err;
        const char *error = check_group_bound(broker, index, value.number, arena);
        if (error) {
            *ret_error = error;
            return KAFKA_INVALID_CONFIG;
        }
    }
    return 0;
}

int client_metrics_config_validate_all(struct config_pairs overrides, struct arena *arena,
                                       const char **ret_error)
{
    for (int32_t i = 0; i < overrides.count; i++) {
        struct config_value value;
        struct str name = overrides.items[i].name;
        int32_t index = config_find(&client_metrics_schema, name);
        if (index < 0) {
            *ret_error = config_error(arena, "Unknown client metrics configuration: %.*s",
                                      (int)name.size, name.data);
            return KAFKA_INVALID_REQUEST;
        }
        int err = config_parse(&client_metrics_schema.keys[index], overrides.items[i].value, arena,
                               &value, ret_error);
        if (err != 0)
            return err;
        /* Kafka checks the range elsewhere, and gives it another code. */
        if (index == CLIENT_METRICS_CONFIG_INTERVAL_MS &&
            (value.number < CLIENT_METRICS_INTERVAL_MIN_MS ||
             value.number > CLIENT_METRICS_INTERVAL_MAX_MS)) {
            *ret_error = config_error(arena,
                                      "Invalid value %lld for interval.ms, interval must be "
                                      "between 100 and 3600000 (1 hour)",
                                      (long long)value.number);
            return KAFKA_INVALID_REQUEST;
        }
    }
    return 0;
}
