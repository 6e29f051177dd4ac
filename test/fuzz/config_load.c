/* A whole server.properties: it is refused with an error, or makes a broker that can be described,
 * written down and loaded again. The same pairs are tried as dynamic values and topic overrides. */
#include "base/errors.h"
#include "base/must.h"
#include "base/properties.h"
#include "metadata/config_keys_describe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct describe_request everything = {
    .names_count = -1, .include_synonyms = true, .include_documentation = true};

static void check_descriptions(const struct broker_config *config, struct config_pairs pairs)
{
    const struct described_config *described;
    int32_t count;
    struct arena arena;
    arena_init(&arena, 0);
    must(config_describe_broker(config, &everything, &arena, &described, &count) == 0);
    must(count > 300);
    must(config_describe_broker_default(config, &everything, &arena, &described, &count) == 0);
    must(config_describe_topic(config, pairs, &everything, &arena, &described, &count) == 0);
    must(config_describe_group(config, pairs, &everything, &arena, &described, &count) == 0);
    must(config_describe_client_metrics(pairs, &everything, &arena, &described, &count) == 0);
    arena_close(&arena);
}

/* What was loaded loads again from what it says it was, to the same pairs. */
static void check_reload(const struct broker_config *config)
{
    struct config_messages messages = {0};
    struct broker_config *again;
    struct writer file = {0};
    for (int32_t i = 0; i < config->static_pairs.count; i++)
        properties_write(&file, config->static_pairs.items[i].name,
                         config->static_pairs.items[i].value);
    must(broker_config_load((struct bytes){file.data, (int32_t)file.size}, NULL, 0, &messages,
                            &again) == 0);
    must(again->static_pairs.count == config->static_pairs.count);
    for (int32_t i = 0; i < again->static_pairs.count; i++)
        must(str_equal(again->static_pairs.items[i].value, config->static_pairs.items[i].value));
    must(again->settings.listener_count == config->settings.listener_count);
    broker_config_destroy(again);
    config_messages_close(&messages);
    writer_close(&file);
}

/* Every operation on every pair, with the next pair's value: it answers, and a good answer is text.
 */
static void check_operations(struct config_pairs pairs)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (int32_t i = 0; i + 1 < pairs.count; i++) {
        for (int op = CONFIG_OP_SET; op <= CONFIG_OP_SUBTRACT; op++) {
            struct str value = {0};
            const char *error = NULL;
            int err = config_apply_op(i % 2 ? &topic_schema : &broker_schema, (enum config_op)op,
                                      pairs.items[i].name, pairs.items[i].value,
                                      pairs.items[i + 1].value, &arena, &value, &error);
            must(err == 0 ? value.data || op == CONFIG_OP_DELETE : error != NULL);
        }
    }
    arena_close(&arena);
}

static void check_changes(const struct broker_config *config, struct config_pairs pairs)
{
    struct broker_config *next;
    struct topic_settings settings;
    struct arena arena;
    const char *error = NULL;
    arena_init(&arena, 0);
    for (int per_broker = 0; per_broker < 2; per_broker++) {
        int err = broker_config_validate_dynamic(config, per_broker, pairs, &arena, &error);
        must(err == 0 || (err == KAFKA_INVALID_REQUEST && error));
        int made = broker_config_with_dynamic(config, per_broker ? (struct config_pairs){0} : pairs,
                                              per_broker ? pairs : (struct config_pairs){0}, &next);
        must(made == 0 || err != 0);
        if (made == 0)
            broker_config_destroy(next);
    }
    int err = topic_config_validate_all(config, pairs, &arena, &error);
    must(err == 0 || (err == KAFKA_INVALID_CONFIG && error));
    must(topic_settings_compute(config, pairs, &settings) == 0);
    must(settings.segment_bytes >= 0 || pairs.count > 0);
    err = group_config_validate_all(config, pairs, &arena, &error);
    must(err == 0 || error);
    err = client_metrics_config_validate_all(pairs, &arena, &error);
    must(err == 0 || error);
    arena_close(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A node that starts, for changes by pairs whose own file may not. */
    static const char *const node[] = {"node.id=1", "process.roles=broker,controller"};
    struct config_messages messages = {0};
    struct broker_config *config;
    struct bytes file = {data, (int32_t)size};
    int err = broker_config_load(file, NULL, 0, &messages, &config);
    must(err == 0 || err == KAFKA_INVALID_CONFIG);
    must((err == 0) == (messages.error_count == 0));
    must(err == 0 || config_messages_error(&messages));
    if (err != 0) {
        config_messages_close(&messages);
        err = broker_config_load(file, node, 2, &messages, &config);
    }
    config_messages_close(&messages);
    if (err == 0) {
        check_reload(config);
        check_changes(config, config->static_pairs);
        check_operations(config->static_pairs);
        /* Some are enough: this takes most of the time. */
        if (size % 4 == 0)
            check_descriptions(config, config->static_pairs);
        broker_config_destroy(config);
    }
    return 0;
}
