/* What becomes of connections when there are more than max.connections: as with Kafka, those of
 * clients are closed, least recently used first, and those of other brokers stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "broker_fixture.h"
#include "server/listener.h"

static void use(int peer)
{
    struct arena arena;
    struct api_versions_request request;
    struct api_versions_response response;
    arena_init(&arena, 0);
    api_versions_request_init(&request);
    peer_call(peer, &arena, API_API_VERSIONS, 0, &request, &response);
    assert_int_equal(response.error_code, 0);
    arena_close(&arena);
}

static void set_max_connections(int peer, const char *most)
{
    struct arena arena;
    struct incremental_alter_configs_request_alterable_config config = {
        .name = STR("max.connections"), .value = str_of(most)};
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = 4, .resource_name = STR(""), .configs = {&config, 1}};
    struct incremental_alter_configs_request request = {.resources = {&resource, 1}};
    struct incremental_alter_configs_response response;
    arena_init(&arena, 0);
    peer_call(peer, &arena, API_INCREMENTAL_ALTER_CONFIGS, 1, &request, &response);
    assert_int_equal(response.responses.items[0].error_code, 0);
    arena_close(&arena);
}

static void a_lowered_max_connections_closes_those_least_recently_used(void **state)
{
    (void)state;
    static const char *const overrides[] = {"jackdaw.event.loops=1", NULL};
    struct broker_fixture *fixture = broker_fixture_create(overrides);
    enum { PEERS = 6 };
    int admin = peer_connect(fixture), peers[PEERS];
    for (int i = 0; i < PEERS; i++)
        use(peers[i] = peer_connect(fixture));
    use(peers[0]);
    use(peers[2]);
    set_max_connections(admin, "4");
    assert_true(peer_is_closed(peers[1]));
    assert_true(peer_is_closed(peers[3]));
    assert_true(peer_is_closed(peers[4]));
    use(peers[0]);
    use(peers[2]);
    use(peers[5]);
    use(admin);
    assert_true(broker_fixture_said(fixture, "too many connections"));
    for (int i = 0; i < PEERS; i++)
        peer_close(peers[i]);
    peer_close(admin);
    broker_fixture_destroy(fixture);
}

/* However the loops share them, so many are closed and no more. */
static void as_many_are_closed_as_there_are_too_many(void **state)
{
    (void)state;
    static const char *const overrides[] = {"jackdaw.event.loops=4", NULL};
    struct broker_fixture *fixture = broker_fixture_create(overrides);
    enum { PEERS = 40, MOST = 7 };
    int peers[PEERS], closed = 0;
    for (int i = 0; i < PEERS; i++)
        use(peers[i] = peer_connect(fixture));
    /* Who asks may be among those that are closed: the answer is not waited for. */
    struct incremental_alter_configs_request_alterable_config config = {
        .name = STR("max.connections"), .value = STR("7")};
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = 4, .resource_name = STR(""), .configs = {&config, 1}};
    struct incremental_alter_configs_request request = {.resources = {&resource, 1}};
    peer_ask(peers[0], API_INCREMENTAL_ALTER_CONFIGS, 1, 1, &request);
    while (closed < PEERS - MOST) {
        closed = 0;
        for (int i = 1; i < PEERS; i++)
            closed += peer_has_answer(peers[i]); /* nobody else asked for anything */
        if (peer_has_answer(peers[0])) {
            size_t size;
            uint8_t *answer = peer_receive(peers[0], &size);
            closed += !answer;
            free(answer);
        }
    }
    assert_int_equal(closed, PEERS - MOST);
    for (int i = 0; i < PEERS; i++)
        peer_close(peers[i]);
    broker_fixture_destroy(fixture);
}

static void other_brokers_are_never_kept_waiting_clients_go(void **state)
{
    (void)state;
    static const char *const overrides[] = {
        "jackdaw.event.loops=1",
        "listeners=CLIENTS://127.0.0.1:0,BROKERS://127.0.0.1:0",
        "listener.security.protocol.map=CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name=BROKERS",
        "max.connections=2",
        NULL};
    struct broker_fixture *fixture = broker_fixture_create(overrides);
    uint16_t clients = fixture->port, brokers = 0;
    for (int32_t i = 0; i < fixture->broker->listener_count; i++)
        if (fixture->broker->listeners[i].bound.port != clients)
            brokers = fixture->broker->listeners[i].bound.port;
    int client[3], broker[3];
    for (int i = 0; i < 2; i++)
        use(client[i] = peer_connect(fixture));
    fixture->port = brokers;
    for (int i = 0; i < 3; i++) {
        use(broker[i] = peer_connect(fixture));
        if (i < 2)
            assert_true(peer_is_closed(client[i]));
    }
    for (int i = 0; i < 3; i++)
        use(broker[i]);
    /* There is no place for a client, until two have gone. */
    fixture->port = clients;
    client[2] = peer_connect(fixture);
    struct api_versions_request request;
    api_versions_request_init(&request);
    peer_ask(client[2], API_API_VERSIONS, 0, 7, &request);
    while (!broker_fixture_said(fixture, "no more connections are accepted"))
        use(broker[0]);
    assert_false(peer_has_answer(client[2]));
    peer_close(broker[1]);
    peer_close(broker[2]);
    struct arena arena;
    struct api_versions_response response;
    arena_init(&arena, 0);
    peer_answer(client[2], &arena, API_API_VERSIONS, 0, 7, &response);
    arena_close(&arena);
    for (int i = 0; i < 3; i++)
        peer_close(client[i]);
    peer_close(broker[0]);
    broker_fixture_destroy(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lowered_max_connections_closes_those_least_recently_used),
        cmocka_unit_test(as_many_are_closed_as_there_are_too_many),
        cmocka_unit_test(other_brokers_are_never_kept_waiting_clients_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
