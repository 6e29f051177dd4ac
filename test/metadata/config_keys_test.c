#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"
#include "metadata/config_keys_broker.h"
#include "metadata/config_vectors.h"

#define PAIRS(...)                                                                                 \
    ((struct config_pairs){(const struct config_pair[]){__VA_ARGS__},                              \
                           sizeof((const struct config_pair[]){__VA_ARGS__}) /                     \
                               sizeof(struct config_pair)})
#define PAIR(name, value)                                                                          \
    {                                                                                              \
        STR(name), STR(value)                                                                      \
    }

/* The smallest file that starts; tests add lines to it. */
#define NODE "node.id=1\nprocess.roles=broker,controller\n"

static const struct config_schema *const schemas[] = {&broker_schema, &topic_schema, &group_schema,
                                                      &client_metrics_schema};

/* Load a file, print what it says when the result is not the expected one. */
static struct broker_config *load(const char *text, int expected, struct config_messages *messages)
{
    struct broker_config *config = NULL;
    struct bytes file = {(const uint8_t *)text, (int32_t)strlen(text)};
    int err = broker_config_load(file, NULL, 0, messages, &config);
    for (int32_t i = 0; err != expected && i < messages->count; i++)
        print_message("%s\n", messages->items[i].text);
    assert_int_equal(err, expected);
    return config;
}

static struct broker_config *load_good(const char *text)
{
    struct config_messages messages = {0};
    struct broker_config *config = load(text, 0, &messages);
    config_messages_close(&messages);
    return config;
}

/* Only this one error, with a text that has `part` in it. */
static void assert_refused(const char *text, const char *part)
{
    struct config_messages messages = {0};
    assert_null(load(text, KAFKA_INVALID_CONFIG, &messages));
    const char *error = config_messages_error(&messages);
    assert_int_equal(messages.error_count, 1);
    if (!strstr(error, part))
        assert_string_equal(error, part);
    config_messages_close(&messages);
}

/* A message of that level about that key, with `part` in its text. */
static bool has_message(const struct config_messages *messages, enum config_message_level level,
                        const char *key, const char *part)
{
    for (int32_t i = 0; i < messages->count; i++) {
        const struct config_message *message = &messages->items[i];
        if (message->level == level && str_equal(message->key, str_of(key)) &&
            strstr(message->text, part))
            return true;
    }
    return false;
}

static void tables_are_sorted_and_every_key_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_size(schemas); i++) {
        for (int32_t j = 0; j < schemas[i]->count; j++) {
            const char *name = schemas[i]->keys[j].name;
            if (j > 0)
                assert_true(strcmp(schemas[i]->keys[j - 1].name, name) < 0);
            assert_int_equal(config_find(schemas[i], str_of(name)), j);
        }
    }
}

static void every_default_is_valid_harmless_and_printed_as_it_stands(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < array_size(schemas); i++) {
        for (int32_t j = 0; j < schemas[i]->count; j++) {
            const struct config_key *key = &schemas[i]->keys[j];
            struct config_value value;
            const char *error = NULL;
            if (!key->default_text)
                continue;
            int err = config_parse(key, str_of(key->default_text), &arena, &value, &error);
            if (err != 0)
                print_message("%s: %s\n", key->name, error);
            assert_int_equal(err, 0);
            assert_string_equal(config_format(key, &value, &arena).data, key->default_text);
        }
    }
    arena_close(&arena);
}

static void every_key_says_what_it_does_or_why_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_size(schemas); i++) {
        for (int32_t j = 0; j < schemas[i]->count; j++) {
            const char *about = schemas[i]->keys[j].about;
            assert_true(strlen(about) > 10);
            assert_true((schemas[i]->keys[j].status == CONFIG_HONOURED) ==
                        (about[strlen(about) - 1] == '.'));
        }
    }
}

static void texts_are_parsed_checked_and_printed_as_kafka_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_size(config_vectors); i++) {
        struct arena arena;
        struct config_value value;
        const char *error = NULL;
        arena_init(&arena, 0);
        int32_t index = config_find(config_vectors[i].schema, str_of(config_vectors[i].key));
        assert_true(index >= 0);
        const struct config_key *key = &config_vectors[i].schema->keys[index];
        int err = config_parse(key, str_of(config_vectors[i].text), &arena, &value, &error);
        assert_int_equal(err, config_vectors[i].good ? 0 : KAFKA_INVALID_CONFIG);
        assert_string_equal(err == 0 ? config_format(key, &value, &arena).data : error,
                            config_vectors[i].result);
        arena_close(&arena);
    }
}

static void without_a_file_a_node_is_alone_on_loopback(void **state)
{
    (void)state;
    struct config_messages messages = {0};
    struct broker_config *config;
    assert_int_equal(broker_config_load((struct bytes){0}, NULL, 0, &messages, &config), 0);
    const struct broker_settings *settings = &config->settings;
    assert_int_equal(messages.count, 0);
    assert_int_equal(settings->node_id, 1);
    assert_true(settings->role_broker && settings->role_controller);
    assert_int_equal(settings->listener_count, 1);
    assert_string_equal(settings->listeners[0].name.data, "PLAINTEXT");
    assert_true(str_equal(settings->listeners[0].host, STR("127.0.0.1")));
    assert_int_equal(settings->listeners[0].port, 9092);
    assert_true(listener_is_local(&settings->listeners[0]));
    assert_int_equal(settings->advertised_count, 0);
    assert_int_equal(settings->log_dir_count, 1);
    assert_string_equal(settings->log_dirs[0].data, "./data");
    assert_string_equal(settings->metadata_log_dir.data, "./data");
    assert_int_equal(settings->offsets_topic_replication_factor, 1);
    assert_int_equal(settings->transaction_state_log_replication_factor, 1);
    assert_int_equal(settings->default_replication_factor, 1);
    broker_config_destroy(config);
    config_messages_close(&messages);
}

static void overrides_win_over_the_file(void **state)
{
    (void)state;
    struct config_messages messages = {0};
    struct broker_config *config;
    const char file[] = NODE "num.partitions=3\nnum.partitions=4\nlog.dirs=/a\n";
    const char *const overrides[] = {"log.dirs=/b, /c", "listeners=PLAINTEXT://[::1]:0"};
    const struct bytes text = {(const uint8_t *)file, sizeof file - 1};
    assert_int_equal(broker_config_load(text, overrides, 2, &messages, &config), 0);
    assert_int_equal(config->settings.num_partitions, 4);
    assert_int_equal(config->settings.log_dir_count, 2);
    assert_string_equal(config->settings.log_dirs[1].data, "/c");
    assert_true(str_equal(config->settings.listeners[0].host, STR("::1")));
    assert_int_equal(config->settings.listeners[0].port, 0);
    assert_true(has_message(&messages, CONFIG_NOTE, "num.partitions", "set again later"));
    broker_config_destroy(config);
    config_messages_close(&messages);
    const char *const bad[] = {"nothing"};
    assert_int_equal(broker_config_load(text, bad, 1, &messages, &config), KAFKA_INVALID_CONFIG);
    config_messages_close(&messages);
}

/* The settings of the config/server.properties that Apache Kafka 4 ships, but for log.dirs. */
static void the_stock_settings_start(void **state)
{
    (void)state;
    static const char stock[] =
        "# Comments are left out.\n"
        "process.roles=broker,controller\n"
        "node.id=1\n"
        "controller.quorum.bootstrap.servers=localhost:9093\n"
        "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
        "inter.broker.listener.name=PLAINTEXT\n"
        "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
        "controller.listener.names=CONTROLLER\n"
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,"
        "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n"
        "num.network.threads=3\n"
        "num.io.threads=8\n"
        "socket.send.buffer.bytes=102400\n"
        "socket.receive.buffer.bytes=102400\n"
        "socket.request.max.bytes=104857600\n"
        "log.dirs=/tmp/elsewhere\n"
        "num.partitions=1\n"
        "num.recovery.threads.per.data.dir=1\n"
        "offsets.topic.replication.factor=1\n"
        "share.coordinator.state.topic.replication.factor=1\n"
        "share.coordinator.state.topic.min.isr=1\n"
        "transaction.state.log.replication.factor=1\n"
        "transaction.state.log.min.isr=1\n"
        "log.retention.hours=168\n"
        "log.segment.bytes=1073741824\n"
        "log.retention.check.interval.ms=300000\n";
    struct config_messages messages = {0};
    struct broker_config *config = load(stock, 0, &messages);
    const struct broker_settings *settings = &config->settings;
    assert_int_equal(settings->listener_count, 2);
    assert_int_equal(settings->listeners[0].host.size, 0);
    assert_false(settings->listeners[0].controller);
    assert_false(listener_is_local(&settings->listeners[0]));
    assert_true(settings->listeners[1].controller);
    assert_int_equal(settings->listeners[1].port, 9093);
    assert_int_equal(settings->advertised_count, 1);
    assert_true(str_equal(settings->advertised[0].host, STR("localhost")));
    assert_string_equal(settings->inter_broker_listener_name.data, "PLAINTEXT");
    assert_int_equal(settings->quorum_bootstrap_server_count, 1);
    assert_int_equal(config->topic_defaults.retention_ms, 168 * 3600000LL);
    /* Named once with its reason, at its line; nothing is worse than a note. */
    assert_true(has_message(&messages, CONFIG_NOTE, "num.io.threads", "event loops"));
    for (int32_t i = 0; i < messages.count; i++) {
        assert_int_equal(messages.items[i].level, CONFIG_NOTE);
        assert_true(messages.items[i].line > 0);
    }
    broker_config_destroy(config);
    config_messages_close(&messages);
}

static void unknown_keys_are_warned_of_with_the_nearest(void **state)
{
    (void)state;
    struct config_messages messages = {0};
    struct broker_config *config =
        load(NODE "log.retention.hour=1\nzookeeper.connect=h:2181\n"
                  "listener.name.plaintext.max.conections=1\nleader.replication.throttled.rate=1\n"
                  "listener.name.plaintext.log.dirs=/x\n",
             0, &messages);
    assert_true(has_message(&messages, CONFIG_WARNING, "log.retention.hour",
                            "did you mean log.retention.hours?"));
    assert_true(has_message(&messages, CONFIG_WARNING, "zookeeper.connect", "not a known key"));
    assert_true(has_message(&messages, CONFIG_WARNING, "listener.name.plaintext.max.conections",
                            "not a known key"));
    assert_true(has_message(&messages, CONFIG_WARNING, "leader.replication.throttled.rate",
                            "while running only"));
    assert_true(has_message(&messages, CONFIG_WARNING, "listener.name.plaintext.log.dirs",
                            "cannot be set for one listener"));
    assert_int_equal(messages.count, 5);
    assert_int_equal(messages.items[0].line, 3);
    broker_config_destroy(config);
    config_messages_close(&messages);
}

static void what_cannot_be_kept_is_refused_with_its_reason(void **state)
{
    (void)state;
    assert_refused(NODE "authorizer.class.name=org.apache.kafka.metadata.authorizer.Standard\n",
                   "authorisation is not there yet");
    assert_refused(NODE "listeners=SSL://:9092\n", "never served as plaintext");
    assert_refused(NODE "listeners=SASL_PLAINTEXT://:9092\n", "never served as plaintext");
    assert_refused(NODE "listeners=SASL_SSL://:9092\n", "never served as plaintext");
    assert_refused(NODE "listeners=IN://:9092\nlistener.security.protocol.map=IN:SASL_SSL\n",
                   "never served as plaintext");
    assert_refused(NODE "security.inter.broker.protocol=SSL\n", "is refused");
    assert_refused(NODE "remote.log.storage.system.enable=true\n", "tiered storage");
    assert_refused(NODE "metric.reporters=com.example.Reporter\n", "Java class");
    assert_refused(NODE "create.topic.policy.class.name=com.example.Policy\n", "Java class");
    assert_refused(NODE "cordoned.log.dirs=*\n", "is refused");
    assert_refused("node.id=1\nprocess.roles=broker\n", "both roles");
    assert_refused("node.id=1\nprocess.roles=controller\n", "both roles");
    assert_refused(NODE "controller.quorum.voters=1@a:1,2@b:2\n", "not there yet");
    assert_refused(NODE "controller.quorum.voters=2@a:1\n", "not there yet");
    assert_refused(NODE "controller.quorum.bootstrap.servers=a:1,b:2\n", "not there yet");
    assert_refused(NODE "delegation.token.secret.key=hush\n", "[hidden] is refused");
    /* The default, and nothing, are accepted. */
    broker_config_destroy(
        load_good(NODE "authorizer.class.name=\nmetric.reporters=\nreplica.selector.class=\n"
                       "remote.log.storage.system.enable=FALSE\n"
                       "metric.reporters=org.apache.kafka.common.metrics.JmxReporter\n"
                       "security.inter.broker.protocol=PLAINTEXT\n"
                       "controller.quorum.voters=1@a:1\n"));
}

static void what_is_missing_or_wrong_is_an_error(void **state)
{
    (void)state;
    assert_refused("process.roles=broker,controller\n",
                   "Missing required configuration \"node.id\" which has no default value.");
    assert_refused("node.id=1\n",
                   "Missing required configuration \"process.roles\" which has no default value.");
    assert_refused(NODE "broker.id=2\n", "must be the same");
    assert_refused(NODE "log.retention.ms=0\n",
                   "log.retention.ms must be unlimited (-1) or, greater than or equal to 1");
    assert_refused(NODE "log.roll.ms=0\n", "log.roll.ms must be greater than or equal to 1");
    assert_refused(NODE "max.connections.per.ip=0\n", "can be set to zero only if");
    assert_refused(NODE "max.connections.per.ip.overrides=host.example:5\n",
                   "is not an IP address");
    assert_refused(NODE "max.connections.per.ip.overrides=1.2.3.4\n", "host:count");
    assert_refused(NODE "queued.max.request.bytes=5\n", "socket.request.max.bytes");
    assert_refused(NODE "jackdaw.request.memory.bytes=1048576\n", "socket.request.max.bytes");
    assert_refused(NODE "num.partitions=none\n",
                   "Invalid value none for configuration num.partitions: Not a number of type INT");
    assert_refused(NODE "inter.broker.listener.name=NOPE\n", "not the name of a listener");
    assert_refused(NODE "num.partitions=\\u00zz\n", "\\u escape");
}

static void listeners_are_parsed(void **state)
{
    (void)state;
    struct broker_config *config = load_good(
        NODE "listeners=PLAINTEXT://:9092,v6://[fe80::1%25eth0]:1,Local://unix:/run/j.sock,"
             "NEAR://unix:./j.sock,UNIX://unix:9093,CONTROLLER://127.0.0.1:9094\n"
             "listener.security.protocol.map=plaintext:plaintext,V6:PLAINTEXT,LOCAL:PLAINTEXT,"
             "NEAR:PLAINTEXT,UNIX:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
             "controller.listener.names=CONTROLLER\n"
             "listener.name.local.max.connections=7\n");
    const struct listener_setting *listeners = config->settings.listeners;
    assert_int_equal(config->settings.listener_count, 6);
    assert_string_equal(listeners[1].name.data, "V6");
    assert_true(str_equal(listeners[1].host, STR("fe80::1%25eth0")));
    assert_string_equal(listeners[2].name.data, "LOCAL");
    assert_true(str_equal(listeners[2].unix_path, STR("/run/j.sock")));
    assert_int_equal(listeners[2].max_connections, 7);
    assert_int_equal(listeners[1].max_connections, INT32_MAX);
    assert_true(listener_is_local(&listeners[2]));
    assert_true(str_equal(listeners[3].unix_path, STR("./j.sock")));
    assert_null(listeners[4].unix_path.data);
    assert_true(str_equal(listeners[4].host, STR("unix")));
    assert_false(listener_is_local(&listeners[4]));
    assert_true(listeners[5].controller);
    assert_ptr_equal(broker_listener(&config->settings, STR("local")), &listeners[2]);
    assert_null(broker_listener(&config->settings, STR("other")));
    broker_config_destroy(config);
}

static void only_loopback_addresses_are_local(void **state)
{
    (void)state;
    const struct {
        const char *host;
        bool local;
    } cases[] = {
        {"127.0.0.1", true}, {"127.9.9.9", true}, {"::1", true},       {"localhost", true},
        {"", false},         {"0.0.0.0", false},  {"10.0.0.1", false}, {"127.0.0.1.org", false},
        {"LOCALHOST", true}};
    for (size_t i = 0; i < array_size(cases); i++) {
        struct listener_setting listener = {.host = str_of(cases[i].host)};
        assert_int_equal(listener_is_local(&listener), cases[i].local);
    }
}

static void bad_listeners_are_errors(void **state)
{
    (void)state;
    const struct {
        const char *listeners;
        const char *part;
    } cases[] = {
        {"PLAINTEXT://:x",
         "Unable to parse PLAINTEXT://:x to a broker endpoint: an item of listeners is "
         "NAME://HOST:PORT"},
        {"PLAINTEXT://unix:j.sock", "NAME://unix:./PATH"},
        {"PLAINTEXT:9092", "Unable to parse"},
        {"PLAINTEXT://localhost", "Unable to parse"},
        {"PLAINTEXT://:65536", "Unable to parse"},
        {"PLAINTEXT://:-1", "Unable to parse"},
        {"://:9092", "Unable to parse"},
        {"PLAINTEXT://[::1:9092", "Unable to parse"},
        {"PLAINTEXT://a/b:9092", "Unable to parse"},
        {"FOO://:9092", "No security protocol defined for listener FOO"},
        {"PLAINTEXT://:9092,plaintext://:9093", "different name"},
        {"PLAINTEXT://:9092,A://127.0.0.1:9092", "same address"},
        {"PLAINTEXT://0.0.0.0:9092,A://127.0.0.1:9092", "same address"},
        {"PLAINTEXT://unix:/a,A://unix:/a", "same address"},
        {"PLAINTEXT://unix:/" /* longer than a socket address */
         "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
         "890123456789012345678901234567890",
         "Unable to parse"},
    };
    for (size_t i = 0; i < array_size(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 NODE "listeners=%s\n"
                      "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT\n",
                 cases[i].listeners);
        assert_refused(text, cases[i].part);
    }
    assert_refused(NODE "listeners=C://:9093\ncontroller.listener.names=C\n",
                   "at least one listener for clients");
    assert_refused(NODE "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:FOO\n",
                   "Invalid security protocol `FOO`");
    assert_refused(NODE "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,A\n", "NAME:PROTOCOL");
    /* Several addresses may share a port. */
    broker_config_destroy(load_good(
        NODE
        "listeners=PLAINTEXT://127.0.0.1:9092,A://127.0.0.2:9092,B://[::]:9092,C://h:0,D://h:0\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT,B:PLAINTEXT,"
        "C:PLAINTEXT,D:PLAINTEXT\n"));
}

static void bad_advertised_listeners_are_errors(void **state)
{
    (void)state;
    assert_refused(NODE "advertised.listeners=PLAINTEXT://0.0.0.0:9092\n", "nonroutable");
    assert_refused(NODE "advertised.listeners=FOO://h:9092\n", "FOO");
    assert_refused(NODE "advertised.listeners=PLAINTEXT://h:1,plaintext://g:1\n", "twice");
    assert_refused(NODE "advertised.listeners=PLAINTEXT://unix:/a\n",
                   "an item of advertised.listeners is NAME://HOST:PORT; a Unix-domain socket "
                   "cannot be advertised");
    assert_refused(NODE "advertised.listeners=x\n", "Unable to parse");
}

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

static void messages_beyond_their_limit_are_counted(void **state)
{
    (void)state;
    struct writer writer = {0};
    struct config_messages messages = {0};
    write_bytes(&writer, NODE, sizeof NODE - 1);
    for (int i = 0; i < CONFIG_MESSAGES_MAX + 5; i++) {
        char line[64];
        int size = snprintf(line, sizeof line, "unknown%d=1\n", i);
        write_bytes(&writer, line, (size_t)size);
    }
    write_int8(&writer, 0);
    broker_config_destroy(load((char *)writer.data, 0, &messages));
    assert_int_equal(messages.count, CONFIG_MESSAGES_MAX);
    assert_int_equal(messages.dropped, 5);
    config_messages_close(&messages);
    writer_close(&writer);
}

static void too_many_entries_are_refused(void **state)
{
    (void)state;
    struct writer writer = {0};
    for (int i = 0; i <= CONFIG_ENTRIES_MAX; i++)
        write_bytes(&writer, "a=1\n", 4);
    write_int8(&writer, 0);
    assert_refused((char *)writer.data, "too many entries");
    writer_close(&writer);
}

static void request_memory_comes_from_its_own_key_then_from_kafkas(void **state)
{
    (void)state;
    struct broker_config *config = load_good(NODE);
    assert_int_equal(config->settings.request_memory_bytes, 268435456);
    broker_config_destroy(config);
    config = load_good(NODE "queued.max.request.bytes=200000000\n");
    assert_int_equal(config->settings.request_memory_bytes, 200000000);
    broker_config_destroy(config);
    config = load_good(NODE "queued.max.request.bytes=200000000\n"
                            "jackdaw.request.memory.bytes=300000000\n");
    assert_int_equal(config->settings.request_memory_bytes, 300000000);
    broker_config_destroy(config);
    config = load_good(NODE "socket.request.max.bytes=1000000000\n");
    assert_int_equal(config->settings.request_memory_bytes, 1000000000);
    broker_config_destroy(config);
}

/* docs/configuration.md lies at a known place from this file. */
static void the_reference_in_docs_is_what_the_tables_say(void **state)
{
    (void)state;
    static const char here[] = __FILE__;
    const char *end = strstr(here, "test/metadata/");
    char path[1024];
    struct writer expected = {0};
    assert_non_null(end);
    snprintf(path, sizeof path, "%.*sdocs/configuration.md", (int)(end - here), here);
    FILE *file = fopen(path, "r");
    if (!file)
        print_message("%s cannot be read\n", path);
    assert_non_null(file);
    config_write_reference(&expected);
    char *found = calloc(1, expected.size + 2);
    size_t size = fread(found, 1, expected.size + 1, file);
    fclose(file);
    if (size != expected.size || memcmp(found, expected.data, size) != 0)
        fail_msg("docs/configuration.md is out of date; run tools/docs-config");
    free(found);
    writer_close(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_sorted_and_every_key_is_found),
        cmocka_unit_test(every_default_is_valid_harmless_and_printed_as_it_stands),
        cmocka_unit_test(every_key_says_what_it_does_or_why_not),
        cmocka_unit_test(texts_are_parsed_checked_and_printed_as_kafka_does),
        cmocka_unit_test(without_a_file_a_node_is_alone_on_loopback),
        cmocka_unit_test(overrides_win_over_the_file),
        cmocka_unit_test(the_stock_settings_start),
        cmocka_unit_test(unknown_keys_are_warned_of_with_the_nearest),
        cmocka_unit_test(what_cannot_be_kept_is_refused_with_its_reason),
        cmocka_unit_test(what_is_missing_or_wrong_is_an_error),
        cmocka_unit_test(listeners_are_parsed),
        cmocka_unit_test(only_loopback_addresses_are_local),
        cmocka_unit_test(bad_listeners_are_errors),
        cmocka_unit_test(bad_advertised_listeners_are_errors),
        cmocka_unit_test(a_topic_without_overrides_has_the_brokers_settings),
        cmocka_unit_test(overrides_of_a_topic_win_and_bad_ones_do_not_count),
        cmocka_unit_test(bad_overrides_of_a_topic_get_kafkas_words),
        cmocka_unit_test(bad_dynamic_values_of_a_broker_get_kafkas_words),
        cmocka_unit_test(dynamic_values_make_a_new_configuration),
        cmocka_unit_test(bad_values_of_groups_and_subscriptions_get_kafkas_words),
        cmocka_unit_test(operations_on_a_key_do_what_kafkas_do),
        cmocka_unit_test(messages_beyond_their_limit_are_counted),
        cmocka_unit_test(too_many_entries_are_refused),
        cmocka_unit_test(request_memory_comes_from_its_own_key_then_from_kafkas),
        cmocka_unit_test(the_reference_in_docs_is_what_the_tables_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
