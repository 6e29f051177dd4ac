/* From a file's text and overrides to a broker's configuration, and from one to the next.
 *
 * 1. Every entry gets its message in the order of the file, before anything is put together.
 * 2. A configuration exists only if nothing was an error; what is missing is never guessed. */
#include "metadata/config_keys_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"
#include "base/properties.h"

/* What a node is without a file: alone, on loopback, with its data beside it. */
static const char default_file[] = "node.id=1\n"
                                   "process.roles=broker,controller\n"
                                   "listeners=PLAINTEXT://127.0.0.1:9092\n"
                                   "log.dirs=./data\n"
                                   "offsets.topic.replication.factor=1\n"
                                   "transaction.state.log.replication.factor=1\n"
                                   "transaction.state.log.min.isr=1\n"
                                   "share.coordinator.state.topic.replication.factor=1\n"
                                   "share.coordinator.state.topic.min.isr=1\n";

/* The entries of a file and of the overrides, in order. */
struct entries {
    struct property *items;
    int32_t count;
    int32_t capacity;
};

void config_messages_close(struct config_messages *messages)
{
    if (!messages)
        return;
    free(messages->items);
    arena_close(&messages->arena);
    *messages = (struct config_messages){0};
}

const char *config_messages_error(const struct config_messages *messages)
{
    for (int32_t i = 0; i < messages->count; i++) {
        if (messages->items[i].level == CONFIG_ERROR)
            return messages->items[i].text;
    }
    return messages->error_count > 0 ? "Invalid configuration" : NULL;
}

void config_messages_add(struct config_messages *messages, enum config_message_level level,
                         int32_t line, struct str key, const char *format, ...)
{
    char text[2048];
    va_list args;
    messages->error_count += level == CONFIG_ERROR;
    if (messages->count == CONFIG_MESSAGES_MAX) {
        messages->dropped++;
        return;
    }
    if (messages->count == messages->capacity) {
        int32_t capacity = messages->capacity ? messages->capacity * 2 : 16;
        struct config_message *items = realloc(messages->items, (size_t)capacity * sizeof *items);
        if (!items) {
            messages->dropped++;
            return;
        }
        messages->items = items;
        messages->capacity = capacity;
    }
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size = size < (int)sizeof text ? size : (int)sizeof text - 1;
    struct str copy = arena_str(&messages->arena, (struct str){text, size});
    messages->items[messages->count++] = (struct config_message){
        level, line, arena_str(&messages->arena, key), copy.data ? copy.data : ""};
}

static int entries_add(struct entries *entries, struct property property)
{
    if (entries->count == CONFIG_ENTRIES_MAX)
        return -E2BIG;
    if (entries->count == entries->capacity) {
        int32_t capacity = entries->capacity ? entries->capacity * 2 : 64;
        struct property *items = realloc(entries->items, (size_t)capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        entries->items = items;
        entries->capacity = capacity;
    }
    entries->items[entries->count++] = property;
    return 0;
}

/* 0; KAFKA_INVALID_CONFIG with a message; -ENOMEM. */
static int read_file(struct bytes text, bool builtin, struct arena *arena, struct entries *entries,
                     struct config_messages *messages)
{
    struct properties_reader reader = {0};
    int err = properties_open(text, &reader);
    while (err == 0) {
        struct property property;
        err = properties_next(&reader, arena, &property);
        if (err == 0) {
            property.line = builtin ? -1 : property.line;
            err = entries_add(entries, property);
        }
    }
    if (err == 1)
        return 0;
    if (err == -ENOMEM)
        return err;
    const char *why = err == -EFBIG      ? "The file is larger than 4 MiB."
                      : err == -EMSGSIZE ? "A key or a value is too long."
                      : err == -E2BIG    ? "The file has too many entries."
                                         : "A \\u escape is malformed, or the text is not UTF-8.";
    config_messages_add(messages, CONFIG_ERROR, reader.line, (struct str){0}, "%s", why);
    return KAFKA_INVALID_CONFIG;
}

static int read_overrides(const char *const *overrides, int32_t count, struct arena *arena,
                          struct entries *entries, struct config_messages *messages)
{
    for (int32_t i = 0; i < count; i++) {
        const char *equals = strchr(overrides[i], '=');
        size_t size = strlen(overrides[i]);
        if (!equals || equals == overrides[i] || size > PROPERTIES_VALUE_MAX_BYTES) {
            config_messages_add(messages, CONFIG_ERROR, 0, (struct str){0},
                                "'%.100s' is not of the form key=value.", overrides[i]);
            return KAFKA_INVALID_CONFIG;
        }
        struct property property = {
            arena_str(arena, (struct str){overrides[i], (int32_t)(equals - overrides[i])}),
            arena_str(arena, str_of(equals + 1)), 0};
        if (!property.key.data || !property.value.data)
            return -ENOMEM;
        int err = entries_add(entries, property);
        if (err == -ENOMEM)
            return err;
        if (err != 0) {
            config_messages_add(messages, CONFIG_ERROR, 0, (struct str){0},
                                "There are more than %d settings.", CONFIG_ENTRIES_MAX);
            return KAFKA_INVALID_CONFIG;
        }
    }
    return 0;
}

bool config_value_is_harmless(const struct config_key *key, const struct config_value *value,
                              struct arena *arena)
{
    bool textual = key->type == CONFIG_TYPE_STRING || key->type == CONFIG_TYPE_LIST ||
                   key->type == CONFIG_TYPE_CLASS || key->type == CONFIG_TYPE_PASSWORD;
    if (value->is_null || (textual && value->text.size == 0))
        return true;
    return key->default_text &&
           str_equal(config_format(key, value, arena), str_of(key->default_text));
}

int32_t find_listener_key(struct str name, struct str *ret_listener)
{
    static const char prefix[] = "listener.name.";
    const int32_t prefix_size = sizeof prefix - 1;
    if (name.size <= prefix_size || memcmp(name.data, prefix, (size_t)prefix_size) != 0)
        return -1;
    for (int32_t dot = prefix_size + 1; dot < name.size; dot++) {
        if (name.data[dot] != '.')
            continue;
        struct str key = {name.data + dot + 1, name.size - dot - 1};
        int32_t index = config_find(&broker_schema, key);
        if (index >= 0) {
            *ret_listener = (struct str){name.data + prefix_size, dot - prefix_size};
            return index;
        }
    }
    return -1;
}

/* What the two keys are that a listener may have for itself. */
static bool is_listener_key(int32_t key)
{
    return key == BROKER_CONFIG_MAX_CONNECTIONS ||
           key == BROKER_CONFIG_MAX_CONNECTION_CREATION_RATE;
}

static void say_unknown(const struct property *entry, struct config_messages *messages)
{
    const char *nearest = config_nearest(&broker_schema, entry->key);
    if (nearest)
        config_messages_add(messages, CONFIG_WARNING, entry->line, entry->key,
                            "%.100s is not a known key; did you mean %s? It is ignored.",
                            entry->key.data, nearest);
    else
        config_messages_add(messages, CONFIG_WARNING, entry->line, entry->key,
                            "%.100s is not a known key; it is ignored.", entry->key.data);
}

/* Say what there is to say about one entry. The value is not shown where it may be a secret. */
static void check_entry(const struct property *entry, struct arena *arena,
                        struct config_messages *messages)
{
    struct str listener = {0};
    int32_t index = config_find(&broker_schema, entry->key);
    if (index < 0)
        index = find_listener_key(entry->key, &listener);
    if (index < 0) {
        say_unknown(entry, messages);
        return;
    }
    const struct config_key *key = &broker_schema.keys[index];
    struct config_value value;
    const char *error;
    if (key->visibility == CONFIG_DYNAMIC_ONLY) {
        config_messages_add(messages, CONFIG_WARNING, entry->line, entry->key,
                            "%s can be set while running only; it is ignored.", key->name);
        return;
    }
    if (config_parse(key, entry->value, arena, &value, &error) != 0) {
        config_messages_add(messages, CONFIG_ERROR, entry->line, entry->key, "%s", error);
        return;
    }
    if (key->status == CONFIG_REFUSED && !config_value_is_harmless(key, &value, arena)) {
        bool secret = key->type == CONFIG_TYPE_PASSWORD;
        config_messages_add(messages, CONFIG_ERROR, entry->line, entry->key,
                            "%s=%.200s is refused: %s.", key->name,
                            secret ? "[hidden]" : value.text.data, key->about);
        return;
    }
    if (listener.data && key->status == CONFIG_HONOURED && !is_listener_key(index)) {
        config_messages_add(messages, CONFIG_WARNING, entry->line, entry->key,
                            "%s cannot be set for one listener; it is ignored.", key->name);
        return;
    }
    if (key->status == CONFIG_NO_EFFECT && entry->line >= 0)
        config_messages_add(messages, CONFIG_NOTE, entry->line, entry->key, "%s has no effect: %s.",
                            key->name, key->about);
}

/* As Kafka does, node.id and broker.id stand for each other. */
static int add_node_id(struct config_pair *pairs, int32_t *count)
{
    const struct str names[] = {STR("node.id"), STR("broker.id")};
    int32_t found = *count;
    for (int side = 0; side < 2; side++) {
        struct config_pairs now = {pairs, found};
        struct str value = config_pairs_get(now, names[side]);
        if (value.data && !config_pairs_get(now, names[1 - side]).data) {
            pairs[found] = (struct config_pair){names[1 - side], value};
            return config_pairs_sort(pairs, found + 1, count);
        }
    }
    return 0;
}

/* The entries as sorted pairs, the last of each name, after a message where one is due. */
static int make_pairs(const struct entries *entries, struct arena *arena,
                      struct config_messages *messages, struct config_pairs *ret_pairs)
{
    struct config_pair *pairs = arena_array(arena, (size_t)entries->count + 1, sizeof *pairs);
    int32_t count;
    if (!pairs)
        return -ENOMEM;
    for (int32_t i = 0; i < entries->count; i++)
        pairs[i] = (struct config_pair){entries->items[i].key, entries->items[i].value};
    int err = config_pairs_sort(pairs, entries->count, &count);
    if (err != 0)
        return err;
    for (int32_t i = 0; i < entries->count; i++) {
        const struct property *entry = &entries->items[i];
        struct str used = config_pairs_get((struct config_pairs){pairs, count}, entry->key);
        if (used.data == entry->value.data)
            check_entry(entry, arena, messages);
        else if (entry->line > 0)
            config_messages_add(messages, CONFIG_NOTE, entry->line, entry->key,
                                "%.100s is set again later; this value does not count.",
                                entry->key.data);
    }
    err = add_node_id(pairs, &count);
    *ret_pairs = (struct config_pairs){pairs, count};
    return err;
}

/* Resolve config->values over its three sets of pairs. The pairs were checked. */
static int resolve_values(struct broker_config *config, struct config_messages *messages)
{
    const struct config_layer layers[] = {
        {CONFIG_SOURCE_DYNAMIC_BROKER, config->dynamic_broker},
        {CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER, config->dynamic_default},
        {CONFIG_SOURCE_STATIC_BROKER, config->static_pairs},
    };
    const char *error;
    int err = config_build(&broker_schema, layers, array_size(layers), &config->arena,
                           &config->values, &error);
    if (err > 0)
        config_messages_add(messages, CONFIG_ERROR, 0, (struct str){0}, "%s", error);
    return err;
}

static struct broker_config *broker_config_create(void)
{
    struct broker_config *config = calloc(1, sizeof *config);
    if (config)
        arena_init(&config->arena, 0);
    return config;
}

void broker_config_destroy(struct broker_config *config)
{
    if (!config)
        return;
    arena_close(&config->arena);
    free(config);
}

int broker_config_load(struct bytes file, const char *const *overrides, int32_t override_count,
                       struct config_messages *messages, struct broker_config **ret_config)
{
    struct broker_config *config = broker_config_create();
    struct entries entries = {0};
    struct bytes text = file;
    int err = config ? 0 : -ENOMEM;
    if (!file.data)
        text = (struct bytes){(const uint8_t *)default_file, sizeof default_file - 1};
    if (err == 0)
        err = read_file(text, !file.data, &config->arena, &entries, messages);
    if (err == 0)
        err = read_overrides(overrides, override_count, &config->arena, &entries, messages);
    if (err == 0)
        err = make_pairs(&entries, &config->arena, messages, &config->static_pairs);
    if (err == 0 && messages->error_count == 0)
        err = resolve_values(config, messages);
    if (err == 0 && messages->error_count == 0)
        err = broker_settings_compute(config, messages);
    free(entries.items);
    if (err == 0 && messages->error_count > 0)
        err = KAFKA_INVALID_CONFIG;
    if (err != 0) {
        broker_config_destroy(config);
        return err;
    }
    *ret_config = config;
    return 0;
}

/* May this pair count? Unknown names may stay: they are described, but nothing reads them. */
static bool is_usable(const struct config_pair *pair, bool per_broker, struct arena *arena)
{
    struct str listener;
    struct config_value value;
    const char *error;
    int32_t index = config_find(&broker_schema, pair->name);
    if (index < 0)
        index = find_listener_key(pair->name, &listener);
    else if (broker_schema.keys[index].mode == CONFIG_READ_ONLY ||
             (!per_broker && broker_schema.keys[index].mode == CONFIG_PER_BROKER))
        return false;
    if (index < 0)
        return true;
    const struct config_key *key = &broker_schema.keys[index];
    if (config_parse(key, pair->value, arena, &value, &error) != 0)
        return false;
    return key->status != CONFIG_REFUSED || config_value_is_harmless(key, &value, arena);
}

/* Copies; with `dynamic` only what is usable. */
static int copy_pairs(struct config_pairs from, bool dynamic, bool per_broker, struct arena *arena,
                      struct config_pairs *ret_pairs)
{
    struct config_pair *items = arena_array(arena, (size_t)from.count, sizeof *items);
    int32_t count = 0;
    if (!items)
        return -ENOMEM;
    for (int32_t i = 0; i < from.count; i++) {
        if (dynamic && !is_usable(&from.items[i], per_broker, arena))
            continue;
        items[count] = (struct config_pair){arena_str(arena, from.items[i].name),
                                            arena_str(arena, from.items[i].value)};
        if (!items[count].name.data || !items[count].value.data)
            return -ENOMEM;
        count++;
    }
    *ret_pairs = (struct config_pairs){items, count};
    return 0;
}

static int make_dynamic(const struct broker_config *old, struct config_pairs dynamic_default,
                        struct config_pairs dynamic_broker, struct config_messages *messages,
                        struct broker_config **ret_config)
{
    struct broker_config *config = broker_config_create();
    if (!config)
        return -ENOMEM;
    struct arena *arena = &config->arena;
    int err = copy_pairs(old->static_pairs, false, false, arena, &config->static_pairs);
    if (err == 0)
        err = copy_pairs(dynamic_default, true, false, arena, &config->dynamic_default);
    if (err == 0)
        err = copy_pairs(dynamic_broker, true, true, arena, &config->dynamic_broker);
    if (err == 0)
        err = resolve_values(config, messages);
    if (err == 0)
        err = broker_settings_compute(config, messages);
    if (err == 0 && messages->error_count > 0)
        err = KAFKA_INVALID_CONFIG;
    if (err != 0) {
        broker_config_destroy(config);
        return err;
    }
    *ret_config = config;
    return 0;
}

int broker_config_with_dynamic(const struct broker_config *config,
                               struct config_pairs dynamic_default,
                               struct config_pairs dynamic_broker,
                               struct broker_config **ret_config)
{
    struct config_messages messages = {0};
    int err = make_dynamic(config, dynamic_default, dynamic_broker, &messages, ret_config);
    config_messages_close(&messages);
    return err;
}

/* What is wrong with a set of names. `names` grows to "a, b". */
struct complaint {
    const char *names;
    struct arena *arena;
};

static void complain(struct complaint *complaint, struct str name)
{
    complaint->names =
        config_error(complaint->arena, "%s%s%.*s", complaint->names ? complaint->names : "",
                     complaint->names ? ", " : "", (int)name.size, name.data);
}

/* The keys of SSL stores: dynamic for a listener, never for all of them. */
static bool is_listener_security_key(const struct config_key *key)
{
    static const char *const prefixes[] = {"ssl.keystore.", "ssl.truststore.", "ssl.key.password"};
    for (size_t i = 0; i < array_size(prefixes); i++) {
        if (strncmp(key->name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

/* May these names be set at that level? Kafka's three complaints, in its order. */
static const char *check_names(bool per_broker, struct config_pairs pairs, struct arena *arena)
{
    struct complaint read_only = {.arena = arena};
    struct complaint security = {.arena = arena};
    struct complaint one_broker = {.arena = arena};
    for (int32_t i = 0; i < pairs.count; i++) {
        struct str name = pairs.items[i].name;
        int32_t index = config_find(&broker_schema, name);
        if (index < 0)
            continue;
        const struct config_key *key = &broker_schema.keys[index];
        if (key->mode == CONFIG_READ_ONLY)
            complain(&read_only, name);
        else if (is_listener_security_key(key))
            complain(&security, name);
        else if (!per_broker && key->mode == CONFIG_PER_BROKER)
            complain(&one_broker, name);
    }
    if (read_only.names)
        return config_error(arena, "Cannot update these configs dynamically: [%s]",
                            read_only.names);
    if (security.names)
        return config_error(arena,
                            "These security configs can be dynamically updated only per-listener "
                            "using the listener prefix: [%s]",
                            security.names);
    if (one_broker.names)
        return config_error(arena,
                            "Cannot update these configs at default cluster level, broker id must "
                            "be specified: [%s]",
                            one_broker.names);
    return NULL;
}

/* Thread counts may at most double or halve at a time, as in Kafka. */
static const char *check_threads(const struct broker_config *config, int32_t index, int64_t wanted,
                                 struct arena *arena)
{
    static const int16_t keys[] = {
        BROKER_CONFIG_NUM_IO_THREADS,       BROKER_CONFIG_NUM_NETWORK_THREADS,
        BROKER_CONFIG_NUM_REPLICA_FETCHERS, BROKER_CONFIG_NUM_RECOVERY_THREADS_PER_DATA_DIR,
        BROKER_CONFIG_BACKGROUND_THREADS,
    };
    bool counted = false;
    for (size_t i = 0; i < array_size(keys); i++)
        counted = counted || keys[i] == index;
    if (!counted)
        return NULL;
    int64_t current = config_long(&config->values, index);
    const char *what = wanted < current / 2   ? "less than half"
                       : wanted > current * 2 ? "greater than double"
                                              : NULL;
    if (!what)
        return NULL;
    return config_error(arena,
                        "Dynamic thread count update validation failed for %s=%lld, value should "
                        "not be %s the current value %lld",
                        broker_schema.keys[index].name, (long long)wanted, what,
                        (long long)current);
}

static const char *check_pair(const struct broker_config *config, const struct config_pair *pair,
                              struct arena *arena)
{
    struct str listener = {0};
    struct config_value value;
    const char *error = NULL;
    int32_t index = config_find(&broker_schema, pair->name);
    if (index < 0)
        index = find_listener_key(pair->name, &listener);
    if (index < 0)
        return NULL;
    const struct config_key *key = &broker_schema.keys[index];
    if (config_parse(key, pair->value, arena, &value, &error) != 0)
        return error ? error : "Invalid configuration value";
    if (key->status == CONFIG_REFUSED && !config_value_is_harmless(key, &value, arena))
        return config_error(arena, "Invalid value %.200s for configuration %s: %s",
                            key->type == CONFIG_TYPE_PASSWORD ? "[hidden]" : value.text.data,
                            key->name, key->about);
    return listener.data || key->type != CONFIG_TYPE_INT
               ? NULL
               : check_threads(config, index, value.number, arena);
}

int broker_config_validate_dynamic(const struct broker_config *config, bool per_broker,
                                   struct config_pairs pairs, struct arena *arena,
                                   const char **ret_error)
{
    struct config_messages messages = {0};
    struct broker_config *next = NULL;
    const char *error = check_names(per_broker, pairs, arena);
    for (int32_t i = 0; !error && i < pairs.count; i++)
        error = check_pair(config, &pairs.items[i], arena);
    if (error) {
        *ret_error = error;
        return KAFKA_INVALID_REQUEST;
    }
    int err = make_dynamic(config, per_broker ? config->dynamic_default : pairs,
                           per_broker ? pairs : config->dynamic_broker, &messages, &next);
    if (err > 0) {
        *ret_error = config_error(arena, "%s", config_messages_error(&messages));
        err = KAFKA_INVALID_REQUEST;
    }
    broker_config_destroy(next);
    config_messages_close(&messages);
    return err;
}
