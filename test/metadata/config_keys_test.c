#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"
#include "config_kit.h"
#include "metadata/config_vectors.h"

static const struct config_schema *const schemas[] = {&broker_schema, &topic_schema, &group_schema,
                                                      &client_metrics_schema};

/* It is refused with this one error, with a text that has `part` in it. */
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
        cmocka_unit_test(messages_beyond_their_limit_are_counted),
        cmocka_unit_test(too_many_entries_are_refused),
        cmocka_unit_test(request_memory_comes_from_its_own_key_then_from_kafkas),
        cmocka_unit_test(the_reference_in_docs_is_what_the_tables_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
