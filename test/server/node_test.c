/* A node's partitions through changes of the metadata, restarts and what lies in its directories.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/errors.h"
#include "broker_fixture.h"

static int setup(void **state)
{
    *state = broker_fixture_create(NULL);
    return 0;
}

static int teardown(void **state)
{
    broker_fixture_destroy(*state);
    return 0;
}

static int64_t fetched_end(int peer, const char *topic)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct fetch_response response;
    peer_call(peer, &arena, API_FETCH, 12, fetch_of(&arena, topic, 0, 0), &response);
    assert_int_equal(response.responses.items[0].partitions.items[0].error_code, 0);
    int64_t end = response.responses.items[0].partitions.items[0].high_watermark;
    arena_close(&arena);
    return end;
}

static int16_t set_config(int peer, const char *topic, const char *name, const char *value)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct incremental_alter_configs_request_alterable_config config = {.name = str_of(name),
                                                                        .value = str_of(value)};
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = 2, .resource_name = str_of(topic), .configs = {&config, 1}};
    struct incremental_alter_configs_request request = {.resources = {&resource, 1}};
    struct incremental_alter_configs_response response;
    peer_call(peer, &arena, API_INCREMENTAL_ALTER_CONFIGS, 1, &request, &response);
    int16_t error = response.responses.items[0].error_code;
    arena_close(&arena);
    return error;
}

static bool count_partition(void *context, struct partition *partition)
{
    (void)partition;
    ++*(int *)context;
    return true;
}

static int partition_count(struct broker_fixture *fixture)
{
    int count = 0;
    partition_set_each(&fixture->broker->partitions, count_partition, &count);
    return count;
}

/* Names in the data directory that contain this text. */
static int names_with(struct broker_fixture *fixture, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/data", fixture->dir);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strstr(entry->d_name, text) != NULL;
    closedir(dir);
    return count;
}

static void records_survive_a_restart(void **state)
{
    struct broker_fixture *fixture = *state;
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 4);
    assert_int_equal(peer_produce(peer, "orders", 0, 12), 0);
    peer_close(peer);
    for (int64_t round = 1; round <= 3; round++) {
        assert_int_equal(broker_fixture_stop(fixture), 0);
        assert_int_equal(broker_fixture_start(fixture), 0);
        assert_false(broker_fixture_said(fixture, "recovered log"));
        peer = peer_connect(fixture);
        assert_int_equal(fetched_end(peer, "orders"), 12 * round);
        assert_int_equal(peer_produce(peer, "orders", 0, 12), 12 * round);
        peer_close(peer);
    }
    assert_int_equal(partition_count(fixture), 4);
}

static void stopping_waits_for_nobody_who_only_listens(void **state)
{
    struct broker_fixture *fixture = *state;
    int idle = peer_connect(fixture);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 1);
    int64_t begin = env_now_ns(fixture->env);
    assert_int_equal(broker_fixture_stop(fixture), 0);
    assert_true(peer_is_closed(idle));
    assert_true(peer_is_closed(peer));
    assert_int_equal(broker_fixture_start(fixture), 0);
    assert_true(env_now_ns(fixture->env) - begin < 4 * INT64_C(1000000000));
    peer_close(idle);
    peer_close(peer);
}

static void a_stop_answers_a_fetch_that_waits_and_begins_nothing_behind_it(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 1);
    struct bytes batch = fixture_plain_batch(&arena, 1);
    peer_ask(peer, API_FETCH, 12, 1, fetch_of(&arena, "orders", 0, 0));
    peer_ask(peer, API_PRODUCE, 9, 2, produce_of(&arena, "orders", 0, -1, batch));
    fixture_until_fetching(fixture, "orders", 0);
    assert_int_equal(broker_fixture_stop(fixture), 0);
    struct fetch_response response;
    peer_answer(peer, &arena, API_FETCH, 12, 1, &response);
    assert_int_equal(response.error_code, 0);
    assert_true(peer_is_closed(peer));
    peer_close(peer);
    assert_int_equal(broker_fixture_start(fixture), 0);
    peer = peer_connect(fixture);
    assert_int_equal(peer_produce(peer, "orders", 0, 1), 0);
    peer_close(peer);
    arena_close(&arena);
}

/* Whoever opens the directory next, Apache Kafka too, would take an unfenced registration for a
 * broker that lives, and refuse another of its id for a whole session. */
static void a_stopped_broker_leaves_its_registration_fenced(void **state)
{
    struct broker_fixture *fixture = *state;
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 4);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(broker_fixture_stop(fixture), 0);
        assert_true(fixture->fenced);
        assert_int_equal(broker_fixture_start(fixture), 0);
    }
    assert_false(broker_fixture_said(fixture, "did not fence"));
    peer_close(peer);
    peer = peer_connect(fixture);
    assert_int_equal(peer_produce(peer, "orders", 3, 1), 0);
    peer_close(peer);
}

/* controller.quorum.voters: nothing in the log says who votes (kraft.version 0). */
static void a_static_quorum_of_this_node_starts_again_and_again(void **state)
{
    (void)state;
    static const char *const settings[] = {"node.id=7", "controller.quorum.voters=7@127.0.0.1:9093",
                                           "controller.listener.names=CONTROLLER", NULL};
    struct broker_fixture *fixture = broker_fixture_create(settings);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 1);
    for (int64_t round = 0; round < 3; round++) {
        assert_int_equal(peer_produce(peer, "orders", 0, 5), 5 * round);
        assert_int_equal(broker_fixture_stop(fixture), 0);
        peer_close(peer);
        assert_int_equal(broker_fixture_start(fixture), 0);
        peer = peer_connect(fixture);
    }
    peer_close(peer);
    broker_fixture_destroy(fixture);
}

/* The limit is set while the node runs; ten seconds' worth may come at once. */
static void too_many_connections_in_a_second_wait_and_are_served(void **state)
{
    struct broker_fixture *fixture = *state;
    enum { PEERS = 12 };
    int first = peer_connect(fixture), peers[PEERS];
    struct arena arena;
    arena_init(&arena, 0);
    struct incremental_alter_configs_request_alterable_config config = {
        .name = STR("max.connection.creation.rate"), .value = STR("1")};
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = 4, .resource_name = STR(""), .configs = {&config, 1}};
    struct incremental_alter_configs_request request = {.resources = {&resource, 1}};
    struct incremental_alter_configs_response response;
    peer_call(first, &arena, API_INCREMENTAL_ALTER_CONFIGS, 1, &request, &response);
    assert_int_equal(response.responses.items[0].error_code, 0);
    int64_t begin = env_now_ns(fixture->env);
    for (int i = 0; i < PEERS; i++)
        peers[i] = peer_connect(fixture);
    for (int i = 0; i < PEERS; i++) {
        struct api_versions_request versions;
        struct api_versions_response answer;
        api_versions_request_init(&versions);
        peer_call(peers[i], &arena, API_API_VERSIONS, 0, &versions, &answer);
        assert_int_equal(answer.error_code, 0);
        peer_close(peers[i]);
    }
    /* The others come a second apart. */
    assert_true(env_now_ns(fixture->env) - begin >= (PEERS - 10) * INT64_C(1000000000) * 9 / 10);
    arena_close(&arena);
    peer_close(first);
}

/* As with Kafka: nobody is turned away, and whoever waits is served as soon as one has gone. */
static void above_max_connections_clients_wait_until_one_goes(void **state)
{
    struct broker_fixture *fixture = *state;
    enum { MOST = 4, PEERS = 12 };
    int peers[PEERS];
    struct arena arena;
    arena_init(&arena, 0);
    peers[0] = peer_connect(fixture);
    struct incremental_alter_configs_request_alterable_config config = {
        .name = STR("max.connections"), .value = STR("4")};
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = 4, .resource_name = STR(""), .configs = {&config, 1}};
    struct incremental_alter_configs_request request = {.resources = {&resource, 1}};
    struct incremental_alter_configs_response response;
    peer_call(peers[0], &arena, API_INCREMENTAL_ALTER_CONFIGS, 1, &request, &response);
    assert_int_equal(response.responses.items[0].error_code, 0);
    struct api_versions_request versions;
    struct api_versions_response answer;
    api_versions_request_init(&versions);
    for (int i = 1; i < PEERS; i++) {
        peers[i] = peer_connect(fixture);
        peer_ask(peers[i], API_API_VERSIONS, 0, 1, &versions);
        if (i < MOST)
            peer_answer(peers[i], &arena, API_API_VERSIONS, 0, 1, &answer);
    }
    while (!broker_fixture_said(fixture, "no more connections are accepted"))
        sched_yield();
    for (int i = MOST; i < PEERS; i++) {
        for (int j = i; j < PEERS; j++)
            assert_false(peer_has_answer(peers[j]));
        peer_close(peers[i - MOST]);
        peer_answer(peers[i], &arena, API_API_VERSIONS, 0, 1, &answer);
    }
    for (int i = PEERS - MOST; i < PEERS; i++)
        peer_close(peers[i]);
    arena_close(&arena);
}

/* The metadata tells of the topic and of its configuration at once. */
static void a_topic_made_with_a_configuration_is_there_once(void **state)
{
    struct broker_fixture *fixture = *state;
    int peer = peer_connect(fixture);
    struct arena arena;
    arena_init(&arena, 0);
    struct create_topics_request_creatable_topic_config config = {.name = STR("retention.ms"),
                                                                  .value = STR("123456")};
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request request;
    struct create_topics_response response;
    create_topics_request_init(&request);
    create_topics_request_creatable_topic_init(&topic);
    topic.name = STR("orders");
    topic.num_partitions = 4;
    topic.replication_factor = 1;
    topic.configs.items = &config;
    topic.configs.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    request.timeout_ms = FIXTURE_PATIENCE_S * 1000;
    peer_call(peer, &arena, API_CREATE_TOPICS, 7, &request, &response);
    assert_int_equal(response.topics.items[0].error_code, 0);
    assert_int_equal(partition_count(fixture), 4);
    assert_int_equal(peer_produce(peer, "orders", 3, 1), 0);
    peer_delete_topic(peer, "orders");
    while (partition_count(fixture) > 0)
        sched_yield();
    arena_close(&arena);
    peer_close(peer);
}

/* Configurations change while the logs of new topics are being made; each partition must come to be
 * once, and with the settings that were set last. */
static void a_topic_reconfigured_while_it_is_made_is_there_once(void **state)
{
    struct broker_fixture *fixture = *state;
    int maker = peer_connect(fixture), changer = peer_connect(fixture);
    struct arena arena;
    arena_init(&arena, 0);
    enum { ROUNDS = 10, PARTITIONS = 40 };
    for (int round = 0; round < ROUNDS; round++) {
        char name[32];
        snprintf(name, sizeof name, "topic-%d", round);
        struct create_topics_request request;
        struct create_topics_response response;
        create_topics_request_init(&request);
        request.topics.items = create_topics_request_creatable_topic_array(&arena, 1);
        request.topics.count = 1;
        request.topics.items[0].name = str_of(name);
        request.topics.items[0].num_partitions = PARTITIONS;
        request.topics.items[0].replication_factor = 1;
        request.timeout_ms = FIXTURE_PATIENCE_S * 1000;
        peer_ask(maker, API_CREATE_TOPICS, 7, round, &request);
        /* Until it is known. */
        while (set_config(changer, name, "max.message.bytes", "4321") != 0)
            sched_yield();
        assert_int_equal(set_config(changer, name, "max.message.bytes", "1234"), 0);
        peer_answer(maker, &arena, API_CREATE_TOPICS, 7, round, &response);
        assert_int_equal(response.topics.items[0].error_code, 0);
    }
    assert_int_equal(partition_count(fixture), ROUNDS * PARTITIONS);
    for (int round = 0; round < ROUNDS; round++) {
        char name[32];
        snprintf(name, sizeof name, "topic-%d", round);
        struct image *image = image_acquire(&fixture->broker->publisher);
        const struct topic_image *topic = image_topic_named(image, str_of(name));
        for (int32_t i = 0; i < PARTITIONS; i++) {
            struct partition *partition =
                partition_find(&fixture->broker->partitions, topic->id, i);
            assert_int_equal(partition_settings(partition)->max_message_bytes, 1234);
        }
        image_unref(image);
        peer_delete_topic(maker, name);
    }
    while (partition_count(fixture) > 0 ||
           atomic_load(&fixture->broker->partitions.deleted_count) > 0)
        sched_yield();
    arena_close(&arena);
    peer_close(maker);
    peer_close(changer);
}

static void settings_that_change_under_load_are_reclaimed(void **state)
{
    struct broker_fixture *fixture = *state;
    int producer = peer_connect(fixture), changer = peer_connect(fixture);
    peer_create_topic(producer, "orders", 1);
    for (int round = 0; round < 50; round++) {
        char value[16];
        snprintf(value, sizeof value, "%d", 100000 + round);
        assert_int_equal(set_config(changer, "orders", "max.message.bytes", value), 0);
        peer_produce(producer, "orders", 0, 3);
    }
    /* Every loop that turns frees what it can. */
    while (atomic_load(&fixture->broker->epochs.waiting) > 0)
        peer_produce(producer, "orders", 0, 1);
    peer_close(producer);
    peer_close(changer);
}

static void a_changed_setting_holds_for_the_next_append(void **state)
{
    struct broker_fixture *fixture = *state;
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 1);
    peer_produce(peer, "orders", 0, 1);
    assert_int_equal(set_config(peer, "orders", "segment.bytes", "1048576"), 0);
    assert_int_equal(set_config(peer, "orders", "segment.index.bytes", "16"), 0);
    /* Two index entries fill an index of 16 bytes, with one every index.interval.bytes. */
    assert_int_equal(set_config(peer, "orders", "index.interval.bytes", "1"), 0);
    for (int i = 0; i < 8; i++)
        peer_produce(peer, "orders", 0, 1);
    char path[160];
    snprintf(path, sizeof path, "%s/data/orders-0", fixture->dir);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int segments = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        segments += strstr(entry->d_name, ".log") != NULL;
    closedir(dir);
    assert_true(segments > 1);
    peer_close(peer);
}

static void what_administrators_change_stands_in_the_log(void **state)
{
    struct broker_fixture *fixture = *state;
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 3);
    assert_true(broker_fixture_said(fixture, "topic created topic=orders"));
    assert_true(broker_fixture_said(fixture, "partitions=3"));
    assert_int_equal(set_config(peer, "orders", "retention.ms", "1000"), 0);
    assert_true(broker_fixture_said(fixture, "configuration changed of=topic name=orders"));
    peer_delete_topic(peer, "orders");
    assert_true(broker_fixture_said(fixture, "topic deleted topic=orders"));
    peer_close(peer);
}

static void the_longest_name_can_be_deleted_and_used_again(void **state)
{
    struct broker_fixture *fixture = *state;
    char name[250];
    memset(name, 'x', 249);
    name[249] = 0;
    int peer = peer_connect(fixture);
    for (int round = 0; round < 3; round++) {
        peer_create_topic(peer, name, 1);
        assert_int_equal(peer_produce(peer, name, 0, 5), 0);
        peer_delete_topic(peer, name);
    }
    while (names_with(fixture, "xxx") > 0) /* the files go behind the answers */
        sched_yield();
    assert_false(broker_fixture_said(fixture, "cannot remove a deleted log"));
    peer_close(peer);
}

static void make_folder(struct broker_fixture *fixture, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/data/%s", fixture->dir, name);
    assert_int_equal(mkdir(path, 0755), 0);
    strcat(path, "/00000000000000000000.log");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("not a batch", file);
    fclose(file);
}

/* One of its partitions is being written meanwhile; the others wait for it, and none is forgotten.
 */
static void a_topic_of_many_partitions_is_deleted_whole(void **state)
{
    enum { MANY = 1100 }; /* more than one step takes */
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    struct delete_topics_request request;
    struct delete_topics_response response;
    struct str names[] = {STR("one"), STR("many")};
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "one", 1);
    peer_create_topic(peer, "many", MANY);
    for (int32_t i = 0; i < MANY; i += 100)
        assert_int_equal(peer_produce(peer, "many", i, 1), 0);
    struct partition *written = fixture_partition(fixture, "many", 500);
    while (!parklock_try(&written->append_lock))
        sched_yield();
    delete_topics_request_init(&request);
    request.topic_names = (struct str_array){names, 2};
    request.timeout_ms = FIXTURE_PATIENCE_S * 1000;
    peer_ask(peer, API_DELETE_TOPICS, 5, 1, &request);
    while (!atomic_load(&written->deleted))
        sched_yield();
    assert_true(names_with(fixture, "many-500") == 1 && names_with(fixture, "-delete") == 0);
    parklock_release(&written->append_lock);
    partition_unref(written);
    peer_answer(peer, &arena, API_DELETE_TOPICS, 5, 1, &response);
    for (int i = 0; i < 2; i++)
        assert_int_equal(response.responses.items[i].error_code, 0);
    peer_create_topic(peer, "many", 1); /* its steps are over by then */
    assert_int_equal(partition_count(fixture), 1);
    assert_int_equal(names_with(fixture, "many-500."), names_with(fixture, "many-500"));
    peer_close(peer);
    arena_close(&arena);
}

static void folders_of_no_topic_do_not_stand_in_the_way(void **state)
{
    struct broker_fixture *fixture = *state;
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 1);
    peer_produce(peer, "orders", 0, 3);
    peer_close(peer);
    assert_int_equal(broker_fixture_stop(fixture), 0);
    make_folder(fixture, "ghost-0"); /* of a topic deleted while the node was down */
    make_folder(fixture, "orders-0.0123456789abcdef0123456789abcdef-delete"); /* a crash left it */
    make_folder(fixture, "not a partition");
    assert_int_equal(broker_fixture_start(fixture), 0);
    assert_true(broker_fixture_said(fixture, "of no known topic"));
    peer = peer_connect(fixture);
    peer_create_topic(peer, "ghost", 1);
    assert_int_equal(peer_produce(peer, "ghost", 0, 2), 0);
    assert_int_equal(fetched_end(peer, "orders"), 3);
    assert_int_equal(names_with(fixture, "-stray"), 1);
    assert_int_equal(names_with(fixture, "not a partition"), 1);
    while (names_with(fixture, "-delete") > 0)
        sched_yield();
    peer_close(peer);
}

static void too_small_an_isr_refuses_only_where_there_could_be_more(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 1);
    /* As in Kafka, one replica cannot be asked to be two. */
    assert_int_equal(set_config(peer, "orders", "min.insync.replicas", "2"), 0);
    assert_int_equal(peer_produce(peer, "orders", 0, 1), 0);
    struct image *image = image_acquire(&fixture->broker->publisher);
    struct partition *partition = partition_find(&fixture->broker->partitions,
                                                 image_topic_named(image, STR("orders"))->id, 0);
    image_unref(image);
    atomic_store(&partition->replica_count, 3);
    struct bytes batch = fixture_plain_batch(&arena, 1);
    struct produce_response response;
    peer_call(peer, &arena, API_PRODUCE, 9, produce_of(&arena, "orders", 0, -1, batch), &response);
    assert_int_equal(response.responses.items[0].partition_responses.items[0].error_code,
                     KAFKA_NOT_ENOUGH_REPLICAS);
    peer_call(peer, &arena, API_PRODUCE, 9, produce_of(&arena, "orders", 0, 1, batch), &response);
    assert_int_equal(response.responses.items[0].partition_responses.items[0].error_code, 0);
    assert_int_equal(log_end_offset(partition->log), 2);
    peer_close(peer);
    arena_close(&arena);
}

static void an_offline_directory_stops_the_node_it_holds_the_metadata_of(void **state)
{
    struct broker_fixture *fixture = *state;
    struct partition_set *set = &fixture->broker->partitions;
    partition_dir_fail(set, &set->dirs[0], -EIO, "a test");
    broker_fixture_wait_stopped(fixture);
    assert_int_equal(broker_fixture_stop(fixture), -EIO);
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(records_survive_a_restart),
        NODE_TEST(stopping_waits_for_nobody_who_only_listens),
        NODE_TEST(a_stop_answers_a_fetch_that_waits_and_begins_nothing_behind_it),
        NODE_TEST(a_stopped_broker_leaves_its_registration_fenced),
        cmocka_unit_test(a_static_quorum_of_this_node_starts_again_and_again),
        NODE_TEST(too_many_connections_in_a_second_wait_and_are_served),
        NODE_TEST(above_max_connections_clients_wait_until_one_goes),
        NODE_TEST(a_topic_made_with_a_configuration_is_there_once),
        NODE_TEST(a_topic_reconfigured_while_it_is_made_is_there_once),
        NODE_TEST(settings_that_change_under_load_are_reclaimed),
        NODE_TEST(a_changed_setting_holds_for_the_next_append),
        NODE_TEST(what_administrators_change_stands_in_the_log),
        NODE_TEST(the_longest_name_can_be_deleted_and_used_again),
        NODE_TEST(a_topic_of_many_partitions_is_deleted_whole),
        NODE_TEST(folders_of_no_topic_do_not_stand_in_the_way),
        NODE_TEST(too_small_an_isr_refuses_only_where_there_could_be_more),
        NODE_TEST(an_offline_directory_stops_the_node_it_holds_the_metadata_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
