/* The answers of DescribeConfigs, as Apache Kafka 4.4 gives them.
 *
 * A key's synonyms are listed source by source: every dynamic value of this broker, then those of
 * all brokers, the file's, the defaults; within a source in the order of broker_key_synonyms.
 * Entries before the first one of the described name are left out, which is how Kafka hides that
 * log.retention.hours stands in for log.retention.ms. Values of the file and of dynamic changes are
 * shown as they were written, effective values as parsed. */
#include "metadata/config_keys_private.h"

#include <errno.h>

#include "base/must.h"
#include "metadata/config_keys_describe.h"

enum {
    SOURCES = 4,                                            /* of a broker's value */
    SYNONYMS_MAX = SOURCES * (CONFIG_SYNONYMS_MAX + 1) + 1, /* of one key */
};

/* One description under way. */
struct describer {
    const struct broker_config *broker;
    const struct describe_request *request;
    struct arena *arena;
    struct described_config *items;
    int32_t count;
    bool failed; /* out of memory */
};

/* Synonyms of one key, before they are copied. */
struct synonyms {
    struct described_synonym items[SYNONYMS_MAX];
    int32_t count;
};

static bool is_wanted(const struct describe_request *request, struct str name)
{
    for (int32_t i = 0; i < request->names_count; i++) {
        if (str_equal(request->names[i], name))
            return true;
    }
    return request->names_count < 0;
}

/* The value as text. Running out of memory must not look like null. */
static struct str text_of(struct describer *describer, const struct config_key *key,
                          const struct config_value *value)
{
    struct str text = config_format(key, value, describer->arena);
    if (!text.data && !value->is_null)
        describer->failed = true;
    return text;
}

static void synonyms_add(struct synonyms *synonyms, struct str name, struct str value,
                         enum config_source source, bool sensitive)
{
    must(synonyms->count < SYNONYMS_MAX);
    synonyms->items[synonyms->count++] =
        (struct described_synonym){name, sensitive ? (struct str){0} : value, (int8_t)source};
}

static struct str default_of(struct describer *describer, const struct config_key *key)
{
    struct config_value value;
    const char *error;
    if (!key->default_text)
        return (struct str){0};
    int err = config_parse(key, str_of(key->default_text), describer->arena, &value, &error);
    must(err <= 0);
    if (err < 0) {
        describer->failed = true;
        return (struct str){0};
    }
    return text_of(describer, key, &value);
}

/* What sets one of these names, strongest source first. `name` starts the list. */
static void collect_broker_synonyms(struct describer *describer, struct str name,
                                    const struct str *names, int32_t name_count, bool sensitive,
                                    struct synonyms *ret_synonyms)
{
    const struct broker_config *broker = describer->broker;
    const struct config_layer layers[SOURCES - 1] = {
        {CONFIG_SOURCE_DYNAMIC_BROKER, broker->dynamic_broker},
        {CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER, broker->dynamic_default},
        {CONFIG_SOURCE_STATIC_BROKER, broker->static_pairs},
    };
    struct synonyms all = {.count = 0};
    int32_t first = 0;
    for (size_t i = 0; i < array_size(layers); i++) {
        for (int32_t j = 0; j < name_count; j++) {
            struct str text = config_pairs_get(layers[i].pairs, names[j]);
            if (text.data)
                synonyms_add(&all, names[j], text, layers[i].source, sensitive);
        }
    }
    for (int32_t j = 0; j < name_count; j++) {
        int32_t index = config_find(&broker_schema, names[j]);
        struct str text = {0};
        if (index >= 0 && broker_schema.keys[index].visibility != CONFIG_DYNAMIC_ONLY)
            text = default_of(describer, &broker_schema.keys[index]);
        if (text.data)
            synonyms_add(&all, names[j], text, CONFIG_SOURCE_DEFAULT, sensitive);
    }
    while (first < all.count && !str_equal(all.items[first].name, name))
        first++;
    for (; first < all.count; first++)
        ret_synonyms->items[ret_synonyms->count++] = all.items[first];
}

static void collect_of_key(struct describer *describer, int32_t index, bool sensitive,
                           struct synonyms *ret_synonyms)
{
    enum broker_config_key keys[CONFIG_SYNONYMS_MAX];
    struct str names[CONFIG_SYNONYMS_MAX];
    int32_t count = broker_key_synonyms((enum broker_config_key)index, keys);
    for (int32_t i = 0; i < count; i++)
        names[i] = str_of(broker_schema.keys[keys[i]].name);
    collect_broker_synonyms(describer, str_of(broker_schema.keys[index].name), names, count,
                            sensitive, ret_synonyms);
}

static struct str documentation_of(const struct describer *describer, const struct config_key *key)
{
    if (!describer->request->include_documentation)
        return (struct str){0};
    if (key->status == CONFIG_HONOURED)
        return str_of(key->about);
    return str_of(config_error(describer->arena,
                               key->status == CONFIG_NO_EFFECT
                                   ? "Has no effect: %s."
                                   : "Only the default is accepted: %s.",
                               key->about));
}

/* Add one answer; its source is that of the strongest synonym. */
static void add(struct describer *describer, struct described_config config,
                const struct synonyms *synonyms)
{
    config.source = synonyms->count > 0 ? synonyms->items[0].source : (int8_t)CONFIG_SOURCE_DEFAULT;
    config.is_default = config.source == CONFIG_SOURCE_DEFAULT;
    if (config.is_sensitive)
        config.value = (struct str){0};
    if (describer->request->include_synonyms && synonyms->count > 0) {
        struct described_synonym *copy =
            arena_array(describer->arena, (size_t)synonyms->count, sizeof *copy);
        if (!copy) {
            describer->failed = true;
            return;
        }
        memcpy(copy, synonyms->items, (size_t)synonyms->count * sizeof *copy);
        config.synonyms = copy;
        config.synonym_count = synonyms->count;
    }
    describer->items[describer->count++] = config;
}

static int start(struct describer *describer, int32_t most)
{
    describer->items = arena_array(describer->arena, (size_t)most, sizeof *describer->items);
    return describer->items ? 0 : -ENOMEM;
}

static int finish(const struct describer *describer, const struct described_config **ret_configs,
                  int32_t *ret_count)
{
    if (describer->failed)
        return -ENOMEM;
    *ret_configs = describer->items;
    *ret_count = describer->count;
    return 0;
}

/* Answers that came from two sorted sources, in the order of their names. */
static void sort_by_name(struct described_config *items, int32_t count)
{
    for (int32_t i = 1; i < count; i++) {
        struct described_config item = items[i];
        int32_t j = i;
        while (j > 0 && str_compare(items[j - 1].name, item.name) > 0) {
            items[j] = items[j - 1];
            j--;
        }
        items[j] = item;
    }
}

static int describe_topic_key(struct describer *describer, struct config_pairs overrides,
                              enum topic_config_key index)
{
    const struct config_key *key = &topic_schema.keys[index];
    const struct config_key_synonym *synonym = topic_key_synonyms(index);
    struct synonyms synonyms = {.count = 0};
    struct config_value value;
    int err = topic_value_resolve(describer->broker, overrides, index, describer->arena, &value);
    if (err != 0)
        return err;
    struct described_config config = {
        .name = str_of(key->name),
        .value = text_of(describer, key, &value),
        .documentation = documentation_of(describer, key),
        .type = (int8_t)key->type,
    };
    if (value.source == CONFIG_SOURCE_TOPIC)
        synonyms_add(&synonyms, config.name, config.value, CONFIG_SOURCE_TOPIC, false);
    if (synonym->key >= 0)
        collect_of_key(describer, synonym->key, false, &synonyms);
    add(describer, config, &synonyms);
    return 0;
}

int config_describe_topic(const struct broker_config *broker, struct config_pairs overrides,
                          const struct describe_request *request, struct arena *arena,
                          const struct described_config **ret_configs, int32_t *ret_count)
{
    struct describer describer = {.broker = broker, .request = request, .arena = arena};
    int err = start(&describer, topic_schema.count);
    for (int32_t i = 0; err == 0 && i < topic_schema.count; i++) {
        struct str name = str_of(topic_schema.keys[i].name);
        bool shown = topic_schema.keys[i].visibility == CONFIG_PUBLIC ||
                     config_pairs_get(overrides, name).data;
        if (shown && is_wanted(request, name))
            err = describe_topic_key(&describer, overrides, (enum topic_config_key)i);
    }
    return err != 0 ? err : finish(&describer, ret_configs, ret_count);
}

static void describe_broker_key(struct describer *describer, int32_t index)
{
    const struct config_key *key = &broker_schema.keys[index];
    struct synonyms synonyms = {.count = 0};
    struct described_config config = {
        .name = str_of(key->name),
        .value = text_of(describer, key, &describer->broker->values.values[index]),
        .documentation = documentation_of(describer, key),
        .type = (int8_t)key->type,
        .read_only = key->mode == CONFIG_READ_ONLY,
        .is_sensitive = key->type == CONFIG_TYPE_PASSWORD,
    };
    collect_of_key(describer, index, config.is_sensitive, &synonyms);
    add(describer, config, &synonyms);
}

/* The part behind "listener.name.NAME."; empty for other names. */
static struct str without_listener(struct str name)
{
    static const char prefix[] = "listener.name.";
    const int32_t size = sizeof prefix - 1;
    if (name.size <= size || memcmp(name.data, prefix, (size_t)size) != 0)
        return (struct str){0};
    const char *dot = memchr(name.data + size, '.', (size_t)(name.size - size));
    if (!dot)
        return (struct str){0};
    return (struct str){dot + 1, name.size - (int32_t)(dot + 1 - name.data)};
}

/* A name that the table has only behind a listener's prefix, or not at all: then nobody knows
 * whether it is a secret. */
static void describe_other(struct describer *describer, struct str name, struct str value)
{
    struct str names[2] = {name, without_listener(name)};
    struct str listener;
    int32_t index = find_listener_key(name, &listener);
    struct synonyms synonyms = {.count = 0};
    struct described_config config = {.name = name, .value = value, .read_only = true};
    if (index >= 0)
        config.type = (int8_t)broker_schema.keys[index].type;
    config.is_sensitive = index < 0 || config.type == CONFIG_TYPE_PASSWORD;
    collect_broker_synonyms(describer, name, names, names[1].data ? 2 : 1, config.is_sensitive,
                            &synonyms);
    add(describer, config, &synonyms);
}

int config_describe_broker(const struct broker_config *broker,
                           const struct describe_request *request, struct arena *arena,
                           const struct described_config **ret_configs, int32_t *ret_count)
{
    struct describer describer = {.broker = broker, .request = request, .arena = arena};
    const struct config_pairs sets[] = {broker->dynamic_broker, broker->dynamic_default,
                                        broker->static_pairs};
    int32_t most = broker_schema.count;
    for (size_t i = 0; i < array_size(sets); i++)
        most += sets[i].count;
    int err = start(&describer, most);
    if (err != 0)
        return err;
    for (int32_t i = 0; i < broker_schema.count; i++) {
        struct str name = str_of(broker_schema.keys[i].name);
        bool shown = broker_schema.keys[i].visibility == CONFIG_PUBLIC ||
                     config_source_of(&broker->values, i) != CONFIG_SOURCE_DEFAULT;
        if (shown && is_wanted(request, name))
            describe_broker_key(&describer, i);
    }
    for (size_t i = 0; i < array_size(sets); i++) {
        for (int32_t j = 0; j < sets[i].count; j++) {
            const struct config_pair *pair = &sets[i].items[j];
            bool seen = config_find(&broker_schema, pair->name) >= 0;
            for (size_t k = 0; k < i; k++)
                seen = seen || config_pairs_get(sets[k], pair->name).data;
            if (!seen && is_wanted(request, pair->name))
                describe_other(&describer, pair->name, pair->value);
        }
    }
    sort_by_name(describer.items, describer.count);
    return finish(&describer, ret_configs, ret_count);
}

int config_describe_broker_default(const struct broker_config *broker,
                                   const struct describe_request *request, struct arena *arena,
                                   const struct described_config **ret_configs, int32_t *ret_count)
{
    struct describer describer = {.broker = broker, .request = request, .arena = arena};
    struct config_pairs pairs = broker->dynamic_default;
    int err = start(&describer, pairs.count);
    for (int32_t i = 0; err == 0 && i < pairs.count; i++) {
        const struct config_pair *pair = &pairs.items[i];
        struct synonyms synonyms = {.count = 0};
        struct described_config config = {
            .name = pair->name, .value = pair->value, .read_only = true};
        struct str listener;
        int32_t index = config_find(&broker_schema, pair->name);
        if (!is_wanted(request, pair->name))
            continue;
        if (index >= 0) {
            config.read_only = broker_schema.keys[index].mode == CONFIG_READ_ONLY;
            config.documentation = documentation_of(&describer, &broker_schema.keys[index]);
        } else {
            index = find_listener_key(pair->name, &listener);
        }
        config.type = index < 0 ? 0 : (int8_t)broker_schema.keys[index].type;
        config.is_sensitive = index < 0 || config.type == CONFIG_TYPE_PASSWORD;
        synonyms_add(&synonyms, pair->name, pair->value, CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER,
                     config.is_sensitive);
        add(&describer, config, &synonyms);
    }
    return err != 0 ? err : finish(&describer, ret_configs, ret_count);
}

/* The value of a group's key: its own, else the broker's; of a list the first item, which is what
 * streams.assignor.name takes from group.streams.assignors. */
static struct str group_value(struct describer *describer, const struct config_key *key,
                              struct str override, int32_t broker_key)
{
    struct config_value value;
    const char *error;
    if (override.data && key->visibility != CONFIG_PUBLIC)
        return override; /* as it was written, as Kafka has it */
    if (override.data && config_parse(key, override, describer->arena, &value, &error) == 0)
        return text_of(describer, key, &value);
    if (broker_key < 0)
        return default_of(describer, key);
    const struct config_key *behind = &broker_schema.keys[broker_key];
    struct str text = text_of(describer, behind, &describer->broker->values.values[broker_key]);
    struct str rest;
    if (behind->type == CONFIG_TYPE_LIST && key->type == CONFIG_TYPE_STRING)
        config_list_next(text, &text, &rest);
    return text;
}

int config_describe_group(const struct broker_config *broker, struct config_pairs overrides,
                          const struct describe_request *request, struct arena *arena,
                          const struct described_config **ret_configs, int32_t *ret_count)
{
    struct describer describer = {.broker = broker, .request = request, .arena = arena};
    int err = start(&describer, group_schema.count);
    for (int32_t i = 0; err == 0 && i < group_schema.count; i++) {
        const struct config_key *key = &group_schema.keys[i];
        struct str name = str_of(key->name);
        struct str override = config_pairs_get(overrides, name);
        int32_t broker_key = group_key_synonym((enum group_config_key)i);
        struct synonyms synonyms = {.count = 0};
        if (!is_wanted(request, name))
            continue;
        struct described_config config = {
            .name = name,
            .value = group_value(&describer, key, override, broker_key),
            .documentation = documentation_of(&describer, key),
            .type = (int8_t)key->type,
        };
        if (override.data)
            synonyms_add(&synonyms, name, config.value, CONFIG_SOURCE_GROUP, false);
        struct str default_text = default_of(&describer, key);
        if (broker_key >= 0)
            collect_of_key(&describer, broker_key, false, &synonyms);
        else if (default_text.data)
            synonyms_add(&synonyms, name, default_text, CONFIG_SOURCE_DEFAULT, false);
        /* What is internal is seen when somebody has set it, for the group or for the broker. */
        bool is_set = synonyms.count > 0 && synonyms.items[0].source != CONFIG_SOURCE_DEFAULT;
        if (key->visibility != CONFIG_PUBLIC && !is_set)
            continue;
        add(&describer, config, &synonyms);
    }
    return err != 0 ? err : finish(&describer, ret_configs, ret_count);
}

int config_describe_client_metrics(struct config_pairs overrides,
                                   const struct describe_request *request, struct arena *arena,
                                   const struct described_config **ret_configs, int32_t *ret_count)
{
    struct describer describer = {.request = request, .arena = arena};
    int err = start(&describer, client_metrics_schema.count);
    for (int32_t i = 0; err == 0 && i < client_metrics_schema.count; i++) {
        const struct config_key *key = &client_metrics_schema.keys[i];
        struct str name = str_of(key->name);
        struct str override = config_pairs_get(overrides, name);
        struct synonyms synonyms = {.count = 0};
        if (!is_wanted(request, name))
            continue;
        struct described_config config = {
            .name = name,
            .value = group_value(&describer, key, override, -1),
            .documentation = documentation_of(&describer, key),
            .type = (int8_t)key->type,
        };
        if (override.data)
            synonyms_add(&synonyms, name, config.value, CONFIG_SOURCE_CLIENT_METRICS, false);
        add(&describer, config, &synonyms);
    }
    return err != 0 ? err : finish(&describer, ret_configs, ret_count);
}
