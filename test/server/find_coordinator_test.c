/* Who coordinates a group or a transactional id, and the topics that are made when somebody asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>

#include "base/errors.h"
#include "broker_fixture.h"
#include "coord/coord.h"

enum { GROUP = 0, TRANSACTION = 1, SHARE = 2, NEWEST = 6 };

struct world {
    struct broker_fixture *fixture;
    struct arena arena;
    int peer;
};

static int setup(void **state)
{
    static const char *const overrides[] = {"offsets.topic.num.partitions=3",
                                            "offsets.topic.segment.bytes=1048576",
                                            "transaction.state.log.num.partitions=2",
                                            "offsets.topic.replication.factor=1",
                                            "transaction.state.log.replication.factor=1",
                                            "transaction.state.log.min.isr=1",
                                            NULL};
    struct world *world = calloc(1, sizeof *world);
    arena_init(&world->arena, 0);
    world->fixture = broker_fixture_create(overrides);
    world->peer = peer_connect(world->fixture);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    peer_close(world->peer);
    broker_fixture_destroy(world->fixture);
    arena_close(&world->arena);
    free(world);
    return 0;
}

static void ask_one(struct world *world, int16_t version, int8_t type, const char *id,
                    struct find_coordinator_response *ret)
{
    struct find_coordinator_request request;
    find_coordinator_request_init(&request);
    request.key = str_of(id);
    request.key_type = type;
    peer_call(world->peer, &world->arena, API_FIND_COORDINATOR, version, &request, ret);
}

static void ask_many(struct world *world, int8_t type, struct str *ids, int32_t count,
                     struct find_coordinator_response *ret)
{
    struct find_coordinator_request request;
    find_coordinator_request_init(&request);
    request.key_type = type;
    request.coordinator_keys = (struct str_array){ids, count};
    peer_call(world->peer, &world->arena, API_FIND_COORDINATOR, NEWEST, &request, ret);
    assert_int_equal(ret->coordinators.count, count);
}

/* Until the topic is there. */
static void ask_until_found(struct world *world, int8_t type, const char *id)
{
    struct find_coordinator_response response;
    do {
        ask_one(world, 3, type, id, &response);
        sched_yield();
    } while (response.error_code == KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(response.error_code, 0);
}

static const struct metadata_response_topic *topic_of(struct world *world, const char *name)
{
    struct metadata_request request;
    struct metadata_response response;
    metadata_request_init(&request);
    request.allow_auto_topic_creation = false;
    request.topics.items = metadata_request_topic_array(&world->arena, 1);
    request.topics.items[0].name = str_of(name);
    request.topics.count = 1;
    peer_call(world->peer, &world->arena, API_METADATA, 12, &request, &response);
    assert_int_equal(response.topics.count, 1);
    return &response.topics.items[0];
}

static void the_topic_is_made_when_somebody_asks(void **state)
{
    struct world *world = *state;
    struct find_coordinator_response response;
    assert_int_equal(topic_of(world, "__consumer_offsets")->error_code,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ask_one(world, 3, GROUP, "g", &response);
    assert_int_equal(response.error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_true(str_equal(response.error_message, STR("The coordinator is not available.")));
    assert_int_equal(response.node_id, -1);
    assert_int_equal(response.port, -1);
    ask_until_found(world, GROUP, "g");
    const struct metadata_response_topic *topic = topic_of(world, "__consumer_offsets");
    assert_int_equal(topic->error_code, 0);
    assert_true(topic->is_internal);
    assert_int_equal(topic->partitions.count, 3);
    assert_int_equal(topic_of(world, "__transaction_state")->error_code,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ask_until_found(world, TRANSACTION, "t");
    assert_int_equal(topic_of(world, "__transaction_state")->partitions.count, 2);
}

static void every_version_names_the_leader(void **state)
{
    struct world *world = *state;
    ask_until_found(world, GROUP, "g");
    for (int16_t version = 0; version < 4; version++) {
        struct find_coordinator_response response;
        ask_one(world, version, GROUP, "g", &response);
        assert_int_equal(response.error_code, 0);
        assert_int_equal(response.node_id, 1);
        assert_true(str_equal(response.host, STR("127.0.0.1")));
        assert_int_equal(response.port, world->fixture->port);
        if (version > 0)
            assert_true(str_equal(response.error_message, STR("NONE")));
    }
    struct str ids[] = {STR("g"), STR(""), STR("\xf0\x9f\x98\x80")};
    struct find_coordinator_response response;
    ask_many(world, GROUP, ids, 3, &response);
    for (int i = 0; i < 3; i++) {
        assert_true(str_equal(response.coordinators.items[i].key, ids[i]));
        assert_int_equal(response.coordinators.items[i].error_code, 0);
        assert_int_equal(response.coordinators.items[i].port, world->fixture->port);
        assert_true(str_equal(response.coordinators.items[i].error_message, STR("")));
    }
}

static void other_key_types_are_refused(void **state)
{
    struct world *world = *state;
    struct find_coordinator_response response;
    ask_one(world, 1, 7, "g", &response);
    assert_int_equal(response.error_code, KAFKA_INVALID_REQUEST);
    ask_one(world, 1, SHARE, "g", &response);
    assert_int_equal(response.error_code, KAFKA_INVALID_REQUEST);
    struct str ids[] = {STR("g"), STR("g:AAAAAAAAAAAAAAAAAAAAAQ:0")};
    ask_many(world, SHARE, ids, 2, &response);
    assert_int_equal(response.coordinators.items[0].error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(response.coordinators.items[1].error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static int16_t produce_as(struct world *world, const char *topic)
{
    const struct produce_request *request =
        produce_of(&world->arena, topic, 0, -1, fixture_plain_batch(&world->arena, 1));
    struct produce_response response;
    peer_call(world->peer, &world->arena, API_PRODUCE, 12, request, &response);
    return response.responses.items[0].partition_responses.items[0].error_code;
}

static void clients_do_not_write_to_internal_topics(void **state)
{
    struct world *world = *state;
    ask_until_found(world, GROUP, "g");
    ask_until_found(world, TRANSACTION, "g");
    assert_int_equal(produce_as(world, "__consumer_offsets"), KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(produce_as(world, "__transaction_state"), KAFKA_INVALID_TOPIC_EXCEPTION);
}

static void a_deleted_topic_is_made_again(void **state)
{
    struct world *world = *state;
    ask_until_found(world, GROUP, "g");
    peer_delete_topic(world->peer, "__consumer_offsets");
    struct find_coordinator_response found;
    ask_one(world, 3, GROUP, "g", &found);
    assert_int_equal(found.error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ask_until_found(world, GROUP, "g");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_topic_is_made_when_somebody_asks), TEST(every_version_names_the_leader),
        TEST(other_key_types_are_refused),          TEST(clients_do_not_write_to_internal_topics),
        TEST(a_deleted_topic_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
