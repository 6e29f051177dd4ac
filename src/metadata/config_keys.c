/* The tables, and the checks that need code. Each table is read from config_keys.def by one macro.
 */
#include "metadata/config_keys.h"

#include <assert.h>

#include "base/must.h"
#include "metadata/config_keys_private.h"

/* Reasons that many keys share. */
#define WHY_ALONE "there is one broker so far, so each partition has one replica"
#define WHY_CLASS "a Java class cannot be loaded"
#define WHY_LINGER "coordinators write records at once, from no buffer that is kept"
#define WHY_LOADS "coordinators read their logs a mebibyte at a time"
#define WHY_ONE_NODE "broker and controller are one process and its only voter"
#define WHY_POLICY                                                                                 \
    "a Java class cannot be loaded, and without the policy what it forbids would be let through"
#define WHY_PURGATORY "requests that wait are not kept in a purgatory"
#define WHY_QUOTAS "quotas are not there yet"
#define WHY_REMOTE "tiered storage is not there"
#define WHY_SASL "there are no SASL listeners yet, so nothing reads it"
#define WHY_SHARE "share groups are not served yet"
#define WHY_SSL "there are no SSL listeners yet, so nothing reads it"
#define WHY_STREAMS "streams groups are not served yet"
#define WHY_THREADS "requests are served by event loops, see jackdaw.event.loops"

/* What the check column of the tables may say. */
#define CHECK_ANY .kind = CONFIG_CHECK_NONE
#define CHECK_AT_LEAST(least) .kind = CONFIG_CHECK_RANGE, .min = (least), .max = INT64_MAX
#define CHECK_BETWEEN(least, most) .kind = CONFIG_CHECK_RANGE, .min = (least), .max = (most)
#define CHECK_BETWEEN_OR_MINUS_1(least, most)                                                      \
    .kind = CONFIG_CHECK_RANGE_OR_MINUS_1, .min = (least), .max = (most)
#define CHECK_REAL_BETWEEN(least, most)                                                            \
    .kind = CONFIG_CHECK_RANGE, .min_real = (least), .max_real = (most)
#define CHECK_ONE_OF(values) .kind = CONFIG_CHECK_ONE_OF, .allowed = (values)
#define CHECK_ONE_OF_ANY_CASE(values) .kind = CONFIG_CHECK_ONE_OF_ANY_CASE, .allowed = (values)
#define CHECK_LIST(values) .kind = CONFIG_CHECK_LIST, .allowed = (values)
#define CHECK_LIST_OR_NULL(values) .kind = CONFIG_CHECK_LIST, .allowed = (values), .null_ok = true
#define CHECK_LIST_FILLED(values) .kind = CONFIG_CHECK_LIST, .allowed = (values), .no_empty = true
#define CHECK_LIST_FILLED_OR_NULL(values)                                                          \
    .kind = CONFIG_CHECK_LIST, .allowed = (values), .no_empty = true, .null_ok = true
#define CHECK_NON_NULL .kind = CONFIG_CHECK_NON_NULL
#define CHECK_NON_EMPTY .kind = CONFIG_CHECK_NON_EMPTY
#define CHECK_FUNCTION(function_) .kind = CONFIG_CHECK_FUNCTION, .function = (function_)

#define KEY(name_, type_, default_, check_, importance_, visibility_, mode_, status_, about_)      \
    {                                                                                              \
        .name = (name_), .default_text = (default_), .about = (about_), .check = {CHECK_##check_}, \
        .type = CONFIG_TYPE_##type_, .importance = CONFIG_IMPORTANCE_##importance_,                \
        .status = CONFIG_##status_, .mode = CONFIG_##mode_, .visibility = CONFIG_##visibility_,    \
    }

/* "[a, b]": a list as Java prints it. */
static const char *java_list(struct str list, struct arena *arena)
{
    char *text = arena_alloc(arena, (size_t)list.size * 2 + 3);
    size_t size = 0;
    if (!text)
        return "";
    text[size++] = '[';
    for (int32_t i = 0; i < list.size; i++) {
        text[size++] = list.data[i];
        if (list.data[i] == ',')
            text[size++] = ' ';
    }
    text[size] = ']';
    return text;
}

/* PARTITION:BROKER, or nothing at all. */
static bool is_throttled_replica(struct str item)
{
    int32_t digits[2] = {0, 0};
    int part = 0;
    if (item.size == 0)
        return true;
    for (int32_t i = 0; i < item.size; i++) {
        if (item.data[i] == ':' && part == 0)
            part = 1;
        else if (item.data[i] >= '0' && item.data[i] <= '9')
            digits[part]++;
        else
            return false;
    }
    return digits[0] > 0 && digits[1] > 0;
}

static const char *check_throttled_replicas(const struct config_key *key,
                                            const struct config_value *value, struct arena *arena)
{
    struct str rest = value->text;
    struct str item;
    bool good = true;
    if (str_equal(value->text, STR("*")))
        return NULL;
    while (good && config_list_next(rest, &item, &rest))
        good = is_throttled_replica(item);
    if (good)
        return NULL;
    return config_error(arena,
                        "Invalid value %s for configuration %s: %s must be the literal '*' or a "
                        "list of replicas in the following format: "
                        "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
                        java_list(value->text, arena), key->name, key->name);
}

static const char *check_quorum_voters(const struct config_key *key,
                                       const struct config_value *value, struct arena *arena)
{
    struct str rest = value->text;
    struct str item;
    while (config_list_next(rest, &item, &rest)) {
        struct quorum_address address;
        enum quorum_fault fault = parse_quorum_voter(item, &address);
        if (fault == QUORUM_FAULT_FORM)
            return config_error(arena,
                                "Invalid configuration value for %s. Each entry should be in the "
                                "form `{id}@{host}:{port}`.",
                                key->name);
        if (fault == QUORUM_FAULT_ID)
            return config_error(arena, "Failed to parse voter ID as an integer from %.*s",
                                (int)(strcspn(item.data, "@")), item.data);
        if (fault != QUORUM_FAULT_NONE)
            return config_error(arena,
                                "Failed to parse host name from entry %.*s for the configuration "
                                "%s. Each entry should be in the form `{id}@{host}:{port}`.",
                                (int)item.size, item.data, key->name);
    }
    return NULL;
}

static const char *check_bootstrap_servers(const struct config_key *key,
                                           const struct config_value *value, struct arena *arena)
{
    struct str rest = value->text;
    struct str item;
    while (config_list_next(rest, &item, &rest)) {
        struct str host;
        int32_t port;
        if (!parse_host_port(item, &host, &port))
            return config_error(arena,
                                "Failed to parse host name from %.*s for the configuration %s. "
                                "Each entry should be in the form \"{host}:{port}\"",
                                (int)item.size, item.data, key->name);
    }
    return NULL;
}

static const char *check_share_auto_offset_reset(const struct config_key *key,
                                                 const struct config_value *value,
                                                 struct arena *arena)
{
    if (str_equal(value->text, STR("latest")) || str_equal(value->text, STR("earliest")) ||
        is_by_duration(value->text))
        return NULL;
    return config_error(
        arena,
        "Invalid value %.*s for configuration %s: Invalid value `%.*s` for configuration %s. The "
        "value must be either 'earliest', 'latest' or of the format "
        "'by_duration:<PnDTnHnMn.nS>'.",
        (int)value->text.size, value->text.data, key->name, (int)value->text.size, value->text.data,
        key->name);
}

static bool is_client_pattern(struct str item)
{
    static const char *const names[] = {"client_id",
                                        "client_instance_id",
                                        "client_software_name",
                                        "client_software_version",
                                        "client_source_address",
                                        "client_source_port"};
    for (size_t i = 0; i < array_size(names); i++) {
        size_t size = strlen(names[i]);
        if ((size_t)item.size > size + 1 && memcmp(item.data, names[i], size) == 0 &&
            item.data[size] == '=')
            return true;
    }
    return false;
}

static const char *check_client_metrics_match(const struct config_key *key,
                                              const struct config_value *value, struct arena *arena)
{
    struct str rest = value->text;
    struct str item;
    (void)key;
    while (config_list_next(rest, &item, &rest)) {
        if (!is_client_pattern(item))
            return config_error(arena, "Illegal client matching pattern: %.*s", (int)item.size,
                                item.data);
    }
    return NULL;
}

static const struct config_key broker_keys[] = {
#define BROKER_KEY(id, name, type, default_, check, importance, visibility, mode, status, about)   \
    KEY(name, type, default_, check, importance, visibility, mode, status, about),
#include "metadata/config_keys.def"
};

static const struct config_key topic_keys[] = {
#define TOPIC_KEY(id, name, type, default_, check, visibility, status, about, ...)                 \
    KEY(name, type, default_, check, MEDIUM, visibility, CLUSTER_WIDE, status, about),
#include "metadata/config_keys.def"
};

static const struct config_key group_keys[] = {
#define GROUP_KEY(id, name, type, default_, check, importance, visibility, synonym, status, about) \
    KEY(name, type, default_, check, importance, visibility, CLUSTER_WIDE, status, about),
#include "metadata/config_keys.def"
};

static const struct config_key client_metrics_keys[] = {
#define CLIENT_METRICS_KEY(id, name, type, default_, check)                                        \
    KEY(name, type, default_, check, MEDIUM, PUBLIC, CLUSTER_WIDE, NO_EFFECT,                      \
        "client metrics are not collected yet"),
#include "metadata/config_keys.def"
};

static_assert(array_size(broker_keys) == BROKER_CONFIG_COUNT, "one entry a key");
static_assert(array_size(topic_keys) == TOPIC_CONFIG_COUNT, "one entry a key");

const struct config_schema broker_schema = {broker_keys, BROKER_CONFIG_COUNT};
const struct config_schema topic_schema = {topic_keys, TOPIC_CONFIG_COUNT};
const struct config_schema group_schema = {group_keys, GROUP_CONFIG_COUNT};
const struct config_schema client_metrics_schema = {client_metrics_keys,
                                                    CLIENT_METRICS_CONFIG_COUNT};

#define NO_SYNONYM                                                                                 \
    {                                                                                              \
        .key = -1                                                                                  \
    }
#define SYNONYM(id, factor_)                                                                       \
    {                                                                                              \
        .key = BROKER_CONFIG_##id, .factor = (factor_)                                             \
    }

static const struct config_key_synonym topic_synonyms[][CONFIG_SYNONYMS_MAX + 1] = {
#define TOPIC_KEY(id, name, type, default_, check, visibility, status, about, ...)                 \
    {__VA_ARGS__, {-1, 0}},
#include "metadata/config_keys.def"
};

static const int16_t group_synonyms[] = {
#define GROUP_KEY(id, name, type, default_, check, importance, visibility, synonym, status, about) \
    synonym,
#include "metadata/config_keys.def"
};

const struct config_key_synonym *topic_key_synonyms(enum topic_config_key key)
{
    must(key < TOPIC_CONFIG_COUNT);
    return topic_synonyms[key];
}

int32_t group_key_synonym(enum group_config_key key)
{
    must(key < GROUP_CONFIG_COUNT);
    return group_synonyms[key];
}

int32_t broker_key_synonyms(enum broker_config_key key,
                            enum broker_config_key ret_keys[CONFIG_SYNONYMS_MAX])
{
    static const int16_t families[][CONFIG_SYNONYMS_MAX] = {
        {BROKER_CONFIG_LOG_RETENTION_MS, BROKER_CONFIG_LOG_RETENTION_MINUTES,
         BROKER_CONFIG_LOG_RETENTION_HOURS},
        {BROKER_CONFIG_LOG_ROLL_MS, BROKER_CONFIG_LOG_ROLL_HOURS, -1},
        {BROKER_CONFIG_LOG_ROLL_JITTER_MS, BROKER_CONFIG_LOG_ROLL_JITTER_HOURS, -1},
    };
    if (key == BROKER_CONFIG_LOG_FLUSH_INTERVAL_MS) {
        ret_keys[0] = key;
        ret_keys[1] = BROKER_CONFIG_LOG_FLUSH_SCHEDULER_INTERVAL_MS;
        return 2;
    }
    for (size_t i = 0; i < array_size(families); i++) {
        int32_t count = families[i][2] < 0 ? 2 : 3;
        bool member = false;
        for (int32_t j = 0; j < count; j++)
            member = member || families[i][j] == (int16_t)key;
        if (!member)
            continue;
        for (int32_t j = 0; j < count; j++)
            ret_keys[j] = (enum broker_config_key)families[i][j];
        return count;
    }
    ret_keys[0] = key;
    return 1;
}
