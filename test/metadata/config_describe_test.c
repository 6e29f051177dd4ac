#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/must.h"
#include "metadata/config_keys_describe.h"
#include "metadata/config_described.h"

#define PAIRS(...)                                                                                 \
    ((struct config_pairs){(const struct config_pair[]){__VA_ARGS__},                              \
                           sizeof((const struct config_pair[]){__VA_ARGS__}) /                     \
                               sizeof(struct config_pair)})
#define PAIR(name, value)                                                                          \
    {                                                                                              \
        STR(name), STR(value)                                                                      \
    }

static const struct describe_request everything = {.names_count = -1, .include_synonyms = true};

static struct arena arena;
static struct broker_config *fresh;   /* as started */
static struct broker_config *changed; /* after the dynamic changes below */

static int start_broker(void **state)
{
    (void)state;
    struct config_messages messages = {0};
    struct broker_config *started;
    struct bytes file = {(const uint8_t *)described_file, sizeof described_file - 1};
    arena_init(&arena, 0);
    assert_int_equal(broker_config_load(file, NULL, 0, &messages, &started), 0);
    config_messages_close(&messages);
    assert_int_equal(broker_config_with_dynamic(started, PAIRS(PAIR("min.insync.replicas", "1")),
                                                (struct config_pairs){0}, &fresh),
                     0);
    const struct config_pairs of_all = PAIRS(
        PAIR("compression.type", " gzip "), PAIR("leader.replication.throttled.rate", "200"),
        PAIR("listener.name.plaintext.max.connections", "10"), PAIR("log.cleaner.threads", "2"),
        PAIR("log.cleanup.policy", "compact , delete"), PAIR("log.flush.interval.ms", "77"),
        PAIR("log.retention.ms", "2000"), PAIR("max.connections.per.ip.overrides", "127.0.0.1:5"),
        PAIR("message.max.bytes", "2000000"), PAIR("min.insync.replicas", "1"), PAIR("nope", "7"),
        PAIR("producer.id.expiration.ms", "5000"), PAIR("unclean.leader.election.enable", "true"));
    const struct config_pairs of_broker =
        PAIRS(PAIR("leader.replication.throttled.rate", "100"),
              PAIR("listener.name.foo.max.connections", "12"),
              PAIR("listener.name.plaintext.max.connections", "11"),
              PAIR("listener.name.plaintext.nope", "x"),
              PAIR("listener.name.plaintext.sasl.jaas.config", "x"),
              PAIR("log.cleaner.io.max.bytes.per.second", "1e9"), PAIR("log.retention.ms", "1000"),
              PAIR("log.roll.ms", " 5000 "), PAIR("nope.custom", "7"));
    assert_int_equal(broker_config_with_dynamic(started, of_all, of_broker, &changed), 0);
    broker_config_destroy(started);
    return 0;
}

static int stop_broker(void **state)
{
    (void)state;
    broker_config_destroy(fresh);
    broker_config_destroy(changed);
    arena_close(&arena);
    return 0;
}

static const char *text_or_null(struct str text)
{
    return text.data ? arena_str(&arena, text).data : "null";
}

/* One answer as a line of config_described.h. */
static const char *line_of(const struct described_config *config)
{
    static const char *const sources[] = {"UNKNOWN",
                                          "DYNAMIC_TOPIC_CONFIG",
                                          "DYNAMIC_BROKER_CONFIG",
                                          "DYNAMIC_DEFAULT_BROKER_CONFIG",
                                          "STATIC_BROKER_CONFIG",
                                          "DEFAULT_CONFIG",
                                          "DYNAMIC_BROKER_LOGGER_CONFIG",
                                          "DYNAMIC_CLIENT_METRICS_CONFIG",
                                          "DYNAMIC_GROUP_CONFIG"};
    static const char *const types[] = {"UNKNOWN", "BOOLEAN", "STRING", "INT",   "SHORT",
                                        "LONG",    "DOUBLE",  "LIST",   "CLASS", "PASSWORD"};
    assert_int_equal(config->is_default, config->source == CONFIG_SOURCE_DEFAULT);
    const char *line = arena_printf(&arena, "%s = %s | %s | %s%s%s |", text_or_null(config->name),
                                    text_or_null(config->value), sources[config->source],
                                    types[config->type], config->read_only ? " | read-only" : "",
                                    config->is_sensitive ? " | sensitive" : "");
    for (int32_t i = 0; i < config->synonym_count; i++)
        line = arena_printf(&arena, "%s %s=%s %s;", line, text_or_null(config->synonyms[i].name),
                            text_or_null(config->synonyms[i].value),
                            sources[config->synonyms[i].source]);
    return line;
}

/* Answers of ours that Kafka does not have, or has otherwise on purpose. */
static bool is_different(struct str name)
{
    /* Listeners cannot change while running. */
    const struct str names[] = {STR("listeners"), STR("listener.security.protocol.map")};
    for (size_t i = 0; i < array_size(names); i++) {
        if (str_equal(name, names[i]))
            return true;
    }
    return name.size > 8 && memcmp(name.data, "jackdaw.", 8) == 0;
}

static bool is_different_line(const char *line)
{
    const char *space = strchr(line, ' ');
    return is_different((struct str){line, (int32_t)(space - line)});
}

/* Both must have the same lines, but for what differs on purpose. */
static void compare(const struct described_config *configs, int32_t count, const char *const *lines,
                    size_t line_count)
{
    size_t at = 0;
    for (int32_t i = 0; i < count; i++) {
        if (is_different(configs[i].name))
            continue;
        while (at < line_count && is_different_line(lines[at]))
            at++;
        assert_true(at < line_count);
        assert_string_equal(line_of(&configs[i]), lines[at]);
        at++;
    }
    assert_int_equal(at, line_count);
}

#define compare_all(configs, count, lines) compare((configs), (count), (lines), array_size(lines))

static void a_fresh_topic_is_described_as_kafka_does(void **state)
{
    (void)state;
    const struct described_config *configs;
    int32_t count;
    assert_int_equal(config_describe_topic(fresh, (struct config_pairs){0}, &everything, &arena,
                                           &configs, &count),
                     0);
    compare_all(configs, count, described_fresh_topic);
}

static void a_topic_follows_its_broker(void **state)
{
    (void)state;
    const struct described_config *configs;
    int32_t count;
    assert_int_equal(config_describe_topic(changed, (struct config_pairs){0}, &everything, &arena,
                                           &configs, &count),
                     0);
    compare_all(configs, count, described_topic);
}

static void overrides_are_described_as_kafka_does(void **state)
{
    (void)state;
    const struct described_config *configs;
    int32_t count;
    const struct config_pairs overrides =
        PAIRS(PAIR("cleanup.policy", " compact , delete "), PAIR("internal.segment.bytes", "4096"),
              PAIR("leader.replication.throttled.replicas", "0:1,"),
              PAIR("local.retention.bytes", "5000"), PAIR("min.cleanable.dirty.ratio", "1e-2"),
              PAIR("min.insync.replicas", "5"), PAIR("preallocate", "TRUE"),
              PAIR("retention.bytes", "100000"), PAIR("retention.ms", "1000"),
              PAIR("segment.bytes", "2000000"));
    assert_int_equal(
        config_describe_topic(changed, overrides, &everything, &arena, &configs, &count), 0);
    compare_all(configs, count, described_topic_with_overrides);
}

static void a_fresh_broker_is_described_as_kafka_does(void **state)
{
    (void)state;
    const struct described_config *configs;
    int32_t count;
    assert_int_equal(config_describe_broker(fresh, &everything, &arena, &configs, &count), 0);
    compare_all(configs, count, described_fresh_broker);
}

/* When log.roll.ms is changed, Kafka shows the default as the value of log.roll.hours, with the
 * file's value as its synonym; we show the file's. */
static void dynamic_values_of_a_broker_are_described_as_kafka_does(void **state)
{
    (void)state;
    const struct described_config *configs;
    int32_t count;
    int32_t found = 0;
    assert_int_equal(config_describe_broker(changed, &everything, &arena, &configs, &count), 0);
    for (size_t i = 0; i < array_size(described_broker_changed); i++) {
        const char *expected = described_broker_changed[i];
        size_t name_size = strcspn(expected, " ");
        for (int32_t j = 0; j < count; j++) {
            const char *line = line_of(&configs[j]);
            if (strcspn(line, " ") != name_size || memcmp(line, expected, name_size) != 0)
                continue;
            found++;
            if (memcmp(line, "log.roll.hours ", 15) != 0)
                assert_string_equal(line, expected);
        }
    }
    assert_int_equal(found, array_size(described_broker_changed));
}

static void values_of_all_brokers_are_described_as_kafka_does(void **state)
{
    (void)state;
    const struct described_config *configs;
    int32_t count;
    assert_int_equal(config_describe_broker_default(changed, &everything, &arena, &configs, &count),
                     0);
    compare_all(configs, count, described_broker_default);
}

static void groups_and_client_metrics_are_described_as_kafka_does(void **state)
{
    (void)state;
    const struct described_config *configs;
    int32_t count;
    const struct config_pairs none = {0};
    assert_int_equal(config_describe_group(fresh, none, &everything, &arena, &configs, &count), 0);
    compare_all(configs, count, described_fresh_group);
    const struct config_pairs group = PAIRS(PAIR("consumer.session.timeout.ms", "46000"),
                                            PAIR("errors.deadletterqueue.topic.name", "a b"));
    assert_int_equal(config_describe_group(changed, group, &everything, &arena, &configs, &count),
                     0);
    compare_all(configs, count, described_group);
    assert_int_equal(config_describe_client_metrics(none, &everything, &arena, &configs, &count),
                     0);
    compare_all(configs, count, described_fresh_client_metrics);
    const struct config_pairs metrics = PAIRS(PAIR("interval.ms", "1000"), PAIR("metrics", "a, b"));
    assert_int_equal(config_describe_client_metrics(metrics, &everything, &arena, &configs, &count),
                     0);
    compare_all(configs, count, described_client_metrics);
}

static void only_the_names_asked_for_are_described(void **state)
{
    (void)state;
    const struct str names[] = {STR("retention.ms"), STR("no.such.key")};
    const struct describe_request request = {
        .names = names, .names_count = 2, .include_documentation = true};
    const struct described_config *configs;
    int32_t count;
    assert_int_equal(
        config_describe_topic(fresh, (struct config_pairs){0}, &request, &arena, &configs, &count),
        0);
    assert_int_equal(count, 1);
    assert_true(str_equal(configs[0].name, names[0]));
    assert_true(configs[0].documentation.size > 0);
    assert_int_equal(configs[0].synonym_count, 0);
    const struct describe_request nothing = {.names_count = 0};
    assert_int_equal(config_describe_broker(fresh, &nothing, &arena, &configs, &count), 0);
    assert_int_equal(count, 0);
}

static void an_exhausted_arena_is_an_error_and_not_a_null_value(void **state)
{
    (void)state;
    const struct described_config *configs;
    int32_t count;
    for (size_t limit = 64; limit < 200000; limit = limit * 5 / 4) {
        struct arena small;
        arena_init(&small, limit);
        int err = config_describe_broker(changed, &everything, &small, &configs, &count);
        assert_true(err == 0 || err == -ENOMEM);
        for (int32_t i = 0; err == 0 && i < count; i++) {
            if (str_equal(configs[i].name, STR("node.id")))
                assert_true(str_equal(configs[i].value, STR("1")));
        }
        arena_close(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_topic_is_described_as_kafka_does),
        cmocka_unit_test(a_topic_follows_its_broker),
        cmocka_unit_test(overrides_are_described_as_kafka_does),
        cmocka_unit_test(a_fresh_broker_is_described_as_kafka_does),
        cmocka_unit_test(dynamic_values_of_a_broker_are_described_as_kafka_does),
        cmocka_unit_test(values_of_all_brokers_are_described_as_kafka_does),
        cmocka_unit_test(groups_and_client_metrics_are_described_as_kafka_does),
        cmocka_unit_test(only_the_names_asked_for_are_described),
        cmocka_unit_test(an_exhausted_arena_is_an_error_and_not_a_null_value),
    };
    return cmocka_run_group_tests(tests, start_broker, stop_broker);
}
