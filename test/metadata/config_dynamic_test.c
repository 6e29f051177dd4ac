/* Settings of topics, brokers, groups and subscriptions that are changed while a node runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/errors.h"
#include "base/must.h"
#include "config_kit.h"

static void a_topic_without_overrides_has_the_brokers_settings(void **state)
{
    (void)state;
    struct broker_config *config =
        load_good(NODE "log.retention.minutes=5\nlog.roll.hours=2\nlog.flush.scheduler.interval.ms="
                       "900\ncompression.type=zstd\nlog.cleanup.policy=\nlog.retention.hours=9\n"
                       "log.message.timestamp.type=LogAppendTime\nmessage.max.bytes=77\n");
    struct topic_settings settings;
    assert_int_equal(topic_settings_compute(config, (struct config_pairs){0}, &settings), 0);
    assert_int_equal(settings.retention_ms, 5 * 60000);
    assert_int_equal(settings.segment_ms, 2 * 3600000);
    assert_int_equal(settings.flush_ms, 900);
    assert_int_equal(settings.flush_messages, INT64_MAX);
    assert_int_equal(settings.compression_type, COMPRESSION_SETTING_ZSTD);
    assert_int_equal(settings.compression_zstd_level, 3);
    assert_false(settings.cleanup_delete || settings.cleanup_compact);
    assert_true(settings.log_append_time);
    assert_int_equal(settings.max_message_bytes, 77);
    assert_int_equal(settings.segment_bytes, 1 << 30);
    assert_int_equal(settings.segment_index_bytes, 10485760);
    assert_int_equal(settings.index_interval_bytes, 4096);
    assert_int_equal(settings.retention_bytes, -1);
    assert_int_equal(settings.min_insync_replicas, 1);
    assert_true(settings.min_cleanable_dirty_ratio == 0.5);
    broker_config_destroy(config);
}

static void overrides_of_a_topic_win_and_bad_ones_do_not_count(void **state)
{
    (void)state;
    struct broker_config *config = load_good(NODE "log.retention.hours=-3\n");
    struct topic_settings settings;
    assert_int_equal(config->topic_defaults.retention_ms, -1);
    const struct config_pairs overrides =
        PAIRS(PAIR("cleanup.policy", "compact,delete"), PAIR("compression.type", "producer"),
              PAIR("internal.segment.bytes", "1024"), PAIR("min.insync.replicas", "zero"),
              PAIR("retention.bytes", "-7"), PAIR("retention.ms", " 1000 "),
              PAIR("segment.bytes", "1048576"), PAIR("what.is.this", "1"));
    assert_int_equal(topic_settings_compute(config, overrides, &settings), 0);
    assert_true(settings.cleanup_delete && settings.cleanup_compact);
    assert_int_equal(settings.compression_type, COMPRESSION_SETTING_PRODUCER);
    assert_int_equal(settings.segment_bytes, 1024);
    assert_int_equal(settings.min_insync_replicas, 1);
    assert_int_equal(settings.retention_ms, 1000);
    assert_int_equal(settings.retention_bytes, -1);
    broker_config_destroy(config);
}

static void bad_overrides_of_a_topic_get_kafkas_words(void **state)
{
    (void)state;
    struct broker_config *config = load_good(NODE "log.cleaner.max.compaction.lag.ms=100\n");
    const struct {
        struct config_pairs pairs;
        const char *error; /* NULL: good */
    } cases[] = {
        {PAIRS(PAIR("retention.ms", "abc")),
         "Invalid value abc for configuration retention.ms: Not a number of type LONG"},
        {PAIRS(PAIR("nope", "1"), PAIR("retention.ms", "x")), "Unknown topic config name: nope"},
        {PAIRS(PAIR("a", "1"), {STR("retention.ms"), {0}}), "Unknown topic config name: a"},
        {PAIRS({STR("retention.ms"), {0}}),
         "Null value not supported for topic configs: retention.ms"},
        {PAIRS(PAIR("remote.storage.enable", "true")),
         "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with "
         "remote log storage."},
        {PAIRS(PAIR("remote.storage.enable", "false")), NULL},
        {PAIRS(PAIR("max.compaction.lag.ms", "5"), PAIR("min.compaction.lag.ms", "10")),
         "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"},
        {PAIRS(PAIR("min.compaction.lag.ms", "101")),
         "conflict topic config setting min.compaction.lag.ms (101) > max.compaction.lag.ms (100)"},
        {PAIRS(PAIR("local.retention.bytes", "5000"), PAIR("retention.bytes", "100")), NULL},
        {PAIRS(PAIR("cleanup.policy", " compact , delete ")), NULL},
        {{0}, NULL},
    };
    for (size_t i = 0; i < array_size(cases); i++) {
        struct arena arena;
        const char *error = NULL;
        arena_init(&arena, 0);
        int err = topic_config_validate_all(config, cases[i].pairs, &arena, &error);
        assert_int_equal(err, cases[i].error ? KAFKA_INVALID_CONFIG : 0);
        if (cases[i].error)
            assert_string_equal(error, cases[i].error);
        arena_close(&arena);
    }
    broker_config_destroy(config);
}

static void bad_dynamic_values_of_a_broker_get_kafkas_words(void **state)
{
    (void)state;
    struct broker_config *config = load_good(NODE);
    const struct {
        bool per_broker;
        struct config_pairs pairs;
        const char *error; /* NULL: good */
    } cases[] = {
        {false, PAIRS(PAIR("log.retention.minutes", "2")),
         "Cannot update these configs dynamically: [log.retention.minutes]"},
        {true, PAIRS(PAIR("broker.id", "7"), PAIR("node.id", "7")),
         "Cannot update these configs dynamically: [broker.id, node.id]"},
        {true, PAIRS(PAIR("advertised.listeners", "PLAINTEXT://x:1")),
         "Cannot update these configs dynamically: [advertised.listeners]"},
        {false, PAIRS(PAIR("sasl.enabled.mechanisms", "PLAIN")),
         "Cannot update these configs at default cluster level, broker id must be specified: "
         "[sasl.enabled.mechanisms]"},
        {true, PAIRS(PAIR("sasl.enabled.mechanisms", "PLAIN")), NULL},
        {true, PAIRS(PAIR("ssl.keystore.location", "/x")),
         "These security configs can be dynamically updated only per-listener using the listener "
         "prefix: [ssl.keystore.location]"},
        {true, PAIRS(PAIR("listener.name.ssl.ssl.keystore.location", "/x")), NULL},
        {true, PAIRS(PAIR("log.retention.ms", "bad")),
         "Invalid value bad for configuration log.retention.ms: Not a number of type LONG"},
        {false, PAIRS(PAIR("log.retention.ms", "0")),
         "log.retention.ms must be unlimited (-1) or, greater than or equal to 1"},
        {false, PAIRS(PAIR("min.insync.replicas", "0")),
         "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1"},
        {false, PAIRS(PAIR("num.network.threads", "1000")),
         "Dynamic thread count update validation failed for num.network.threads=1000, value should "
         "not be greater than double the current value 3"},
        {false, PAIRS(PAIR("num.io.threads", "16")), NULL},
        {false, PAIRS(PAIR("max.connections.per.ip.overrides", "127.0.0.1:x")),
         "'127.0.0.1:x' in max.connections.per.ip.overrides is not of the form host:count."},
        {false, PAIRS(PAIR("metric.reporters", "foo.Bar")),
         "Invalid value foo.Bar for configuration metric.reporters: a Java class cannot be loaded"},
        {false, PAIRS(PAIR("nope", "7")), NULL},
        {false, PAIRS(PAIR("leader.replication.throttled.rate", "7")), NULL},
        {true, PAIRS(PAIR("listener.name.plaintext.max.connections", "x")),
         "Invalid value x for configuration max.connections: Not a number of type INT"},
    };
    for (size_t i = 0; i < array_size(cases); i++) {
        struct arena arena;
        const char *error = NULL;
        arena_init(&arena, 0);
        int err = broker_config_validate_dynamic(config, cases[i].per_broker, cases[i].pairs,
                                                 &arena, &error);
        if (cases[i].error)
            assert_string_equal(error, cases[i].error);
        assert_int_equal(err, cases[i].error ? KAFKA_INVALID_REQUEST : 0);
        arena_close(&arena);
    }
    broker_config_destroy(config);
}

static void dynamic_values_make_a_new_configuration(void **state)
{
    (void)state;
    struct broker_config *old = load_good(NODE "log.retention.hours=1\nmax.connections=5\n");
    struct broker_config *config;
    const struct config_pairs of_all =
        PAIRS(PAIR("listener.name.plaintext.max.connections", "3"), PAIR("log.retention.ms", "20"),
              PAIR("max.connections", "6"), PAIR("metric.reporters", "foo.Bar"),
              PAIR("num.partitions", "9"), PAIR("sasl.jaas.config", "x"));
    const struct config_pairs of_broker =
        PAIRS(PAIR("jackdaw.log.level", "WARN"), PAIR("max.connections", "7"),
              PAIR("message.max.bytes", "bad"));
    assert_int_equal(broker_config_with_dynamic(old, of_all, of_broker, &config), 0);
    /* Nothing of the old one is needed any more. */
    broker_config_destroy(old);
    assert_int_equal(config->settings.max_connections, 7);
    assert_int_equal(config->settings.listeners[0].max_connections, 3);
    assert_int_equal(config->topic_defaults.retention_ms, 20);
    assert_int_equal(config->settings.log_level, LOG_LEVEL_WARN);
    /* Read-only, invalid and refused values do not count. */
    assert_int_equal(config->settings.num_partitions, 1);
    assert_int_equal(config->topic_defaults.max_message_bytes, 1048588);
    assert_true(config_is_null(&config->values, BROKER_CONFIG_SASL_JAAS_CONFIG));
    assert_int_equal(config_source_of(&config->values, BROKER_CONFIG_METRIC_REPORTERS),
                     CONFIG_SOURCE_DEFAULT);
    old = config;
    const struct config_pairs none = {0};
    assert_int_equal(broker_config_with_dynamic(old, none, none, &config), 0);
    broker_config_destroy(old);
    assert_int_equal(config->settings.max_connections, 5);
    assert_int_equal(config->topic_defaults.retention_ms, 3600000);
    broker_config_destroy(config);
}

static void bad_values_of_groups_and_subscriptions_get_kafkas_words(void **state)
{
    (void)state;
    struct broker_config *config = load_good(NODE);
    struct arena arena;
    const char *error;
    arena_init(&arena, 0);
    assert_int_equal(group_config_validate_all(
                         config, PAIRS(PAIR("consumer.session.timeout.ms", "5")), &arena, &error),
                     KAFKA_INVALID_CONFIG);
    assert_string_equal(
        error, "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.");
    assert_int_equal(group_config_validate_all(
                         config, PAIRS(PAIR("streams.num.standby.replicas", "5")), &arena, &error),
                     KAFKA_INVALID_CONFIG);
    assert_string_equal(error, "streams.num.standby.replicas must be less than or equal to 2");
    assert_int_equal(group_config_validate_all(config, PAIRS(PAIR("nope", "5")), &arena, &error),
                     KAFKA_INVALID_CONFIG);
    assert_string_equal(error, "Unknown group config name: nope");
    assert_int_equal(group_config_validate_all(config,
                                               PAIRS(PAIR("consumer.session.timeout.ms", "46000")),
                                               &arena, &error),
                     0);
    assert_int_equal(client_metrics_config_validate_all(PAIRS(PAIR("nope", "5")), &arena, &error),
                     KAFKA_INVALID_REQUEST);
    assert_string_equal(error, "Unknown client metrics configuration: nope");
    assert_int_equal(
        client_metrics_config_validate_all(PAIRS(PAIR("interval.ms", "5")), &arena, &error),
        KAFKA_INVALID_REQUEST);
    assert_string_equal(
        error,
        "Invalid value 5 for interval.ms, interval must be between 100 and 3600000 (1 hour)");
    assert_int_equal(client_metrics_config_validate_all(PAIRS(PAIR("match", "client_id=a,foo=b")),
                                                        &arena, &error),
                     KAFKA_INVALID_CONFIG);
    assert_string_equal(error, "Illegal client matching pattern: foo=b");
    arena_close(&arena);
    broker_config_destroy(config);
}

/* Each row was asked of Apache Kafka 4.4.0, but for the spaces of SUBTRACT, which it does not trim.
 */
static void operations_on_a_key_do_what_kafkas_do(void **state)
{
    (void)state;
    const struct {
        const struct config_schema *schema;
        enum config_op op;
        const char *name;
        const char *current;
        const char *operand;
        const char *value; /* NULL: deleted, or an error */
        const char *error;
    } rows[] = {
        {&topic_schema, CONFIG_OP_SET, "retention.ms", NULL, " 5 ", " 5 ", NULL},
        {&topic_schema, CONFIG_OP_SET, "no.such.key", NULL, "5", "5", NULL},
        {&topic_schema, CONFIG_OP_SET, "retention.ms", "1", NULL, NULL,
         "Null value not supported for : retention.ms"},
        {&topic_schema, CONFIG_OP_DELETE, "retention.ms", "1", NULL, NULL, NULL},
        {&topic_schema, CONFIG_OP_DELETE, "no.such.key", NULL, "5", NULL, NULL},
        {&topic_schema, CONFIG_OP_APPEND, "cleanup.policy", NULL, "compact", "delete,compact",
         NULL},
        {&topic_schema, CONFIG_OP_APPEND, "cleanup.policy", NULL, " compact , delete ",
         "delete,compact", NULL},
        {&topic_schema, CONFIG_OP_APPEND, "cleanup.policy", "compact", "delete,delete",
         "compact,delete", NULL},
        {&topic_schema, CONFIG_OP_APPEND, "cleanup.policy", "delete", "", "delete,", NULL},
        {&topic_schema, CONFIG_OP_APPEND, "cleanup.policy", "delete", ",", "delete", NULL},
        {&topic_schema, CONFIG_OP_APPEND, "cleanup.policy", "", "compact", "compact", NULL},
        {&topic_schema, CONFIG_OP_APPEND, "cleanup.policy", " compact , delete ", "delete",
         "compact,delete", NULL},
        {&topic_schema, CONFIG_OP_APPEND, "cleanup.policy", "delete", NULL, NULL,
         "Null value not supported for : cleanup.policy"},
        {&topic_schema, CONFIG_OP_APPEND, "retention.ms", NULL, "5", NULL,
         "Can't APPEND to key retention.ms because its type is not LIST."},
        {&topic_schema, CONFIG_OP_APPEND, "no.such.key", NULL, "5", NULL,
         "Can't APPEND to key no.such.key because its type is not LIST."},
        {&topic_schema, CONFIG_OP_SUBTRACT, "retention.ms", NULL, "5", NULL,
         "Can't SUBTRACT to key retention.ms because its type is not LIST."},
        {&topic_schema, CONFIG_OP_SUBTRACT, "cleanup.policy", "delete,compact", "delete", "compact",
         NULL},
        {&topic_schema, CONFIG_OP_SUBTRACT, "cleanup.policy", NULL, "delete", "", NULL},
        {&topic_schema, CONFIG_OP_SUBTRACT, "cleanup.policy", "", "compact", "", NULL},
        {&topic_schema, CONFIG_OP_SUBTRACT, "cleanup.policy", "compact,delete", "foo",
         "compact,delete", NULL},
        {&topic_schema, CONFIG_OP_SUBTRACT, "cleanup.policy", "compact,delete", " delete ",
         "compact", NULL},
        {&topic_schema, CONFIG_OP_APPEND, "leader.replication.throttled.replicas", "0:1", "0:2,0:1",
         "0:1,0:2", NULL},
        {&broker_schema, CONFIG_OP_APPEND, "log.cleanup.policy", NULL, "compact", "delete,compact",
         NULL},
        {&broker_schema, CONFIG_OP_APPEND, "nope", NULL, "x", NULL, "Unknown config name: nope"},
        {&broker_schema, (enum config_op)4, "nope", NULL, "x", NULL, "Unknown op type 4"},
    };
    for (size_t i = 0; i < array_size(rows); i++) {
        struct arena arena;
        struct str value = STR("untouched");
        const char *error = NULL;
        arena_init(&arena, 0);
        int err = config_apply_op(rows[i].schema, rows[i].op, str_of(rows[i].name),
                                  str_of(rows[i].current), str_of(rows[i].operand), &arena, &value,
                                  &error);
        assert_int_equal(err == 0, !rows[i].error);
        if (rows[i].error)
            assert_string_equal(error, rows[i].error);
        else if (rows[i].value)
            assert_true(str_equal(value, str_of(rows[i].value)));
        else
            assert_null(value.data);
        arena_close(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_without_overrides_has_the_brokers_settings),
        cmocka_unit_test(overrides_of_a_topic_win_and_bad_ones_do_not_count),
        cmocka_unit_test(bad_overrides_of_a_topic_get_kafkas_words),
        cmocka_unit_test(bad_dynamic_values_of_a_broker_get_kafkas_words),
        cmocka_unit_test(dynamic_values_make_a_new_configuration),
        cmocka_unit_test(bad_values_of_groups_and_subscriptions_get_kafkas_words),
        cmocka_unit_test(operations_on_a_key_do_what_kafkas_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
