/* Fetch against a node on loopback: waiting, sessions, leaders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "broker_fixture.h"
#include "record/batch.h"

enum { V = 12 /* the last version with topic names */ };

struct world {
    struct broker_fixture *fixture;
    struct arena arena;
    int consumer, producer;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    arena_init(&world->arena, 0);
    world->fixture = broker_fixture_create(NULL);
    world->consumer = peer_connect(world->fixture);
    world->producer = peer_connect(world->fixture);
    peer_create_topic(world->producer, "orders", 3);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    peer_close(world->consumer);
    peer_close(world->producer);
    broker_fixture_destroy(world->fixture);
    arena_close(&world->arena);
    free(world);
    return 0;
}

static const struct fetch_response_partition_data *only(const struct fetch_response *response)
{
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->responses.count, 1);
    assert_int_equal(response->responses.items[0].partitions.count, 1);
    return &response->responses.items[0].partitions.items[0];
}

/* Records in a partition's answer. */
static int32_t records_in(const struct fetch_response_partition_data *data)
{
    int32_t count = 0, at = 0;
    while (at < data->records.size) {
        struct batch batch;
        assert_int_equal(
            batch_read(data->records.data + at, (size_t)(data->records.size - at), &batch), 0);
        count += batch.record_count;
        at += batch.size;
    }
    return count;
}

static void until_parked(struct world *world, const char *topic, int32_t partition)
{
    fixture_until_fetching(world->fixture, topic, partition);
}

static void what_was_produced_is_read_back(void **state)
{
    struct world *world = *state;
    assert_int_equal(peer_produce(world->producer, "orders", 1, 10), 0);
    assert_int_equal(peer_produce(world->producer, "orders", 1, 7), 10);
    struct fetch_response response;
    peer_call(world->consumer, &world->arena, API_FETCH, V, fetch_of(&world->arena, "orders", 1, 0),
              &response);
    const struct fetch_response_partition_data *data = only(&response);
    assert_int_equal(data->error_code, 0);
    assert_int_equal(data->high_watermark, 17);
    assert_int_equal(data->last_stable_offset, 17);
    assert_int_equal(records_in(data), 17);
    /* From inside the second batch: it comes whole, the first does not. */
    peer_call(world->consumer, &world->arena, API_FETCH, V,
              fetch_of(&world->arena, "orders", 1, 12), &response);
    assert_int_equal(records_in(only(&response)), 7);
}

static void a_fetch_at_the_end_waits_for_the_next_append(void **state)
{
    struct world *world = *state;
    struct fetch_response response;
    peer_ask(world->consumer, API_FETCH, V, 1, fetch_of(&world->arena, "orders", 0, 0));
    until_parked(world, "orders", 0);
    peer_produce(world->producer, "orders", 1, 1); /* another partition is no reason */
    peer_produce(world->producer, "orders", 0, 5);
    peer_answer(world->consumer, &world->arena, API_FETCH, V, 1, &response);
    assert_int_equal(records_in(only(&response)), 5);
}

static void a_fetch_waits_for_min_bytes_from_the_first_one_on(void **state)
{
    struct world *world = *state;
    peer_produce(world->producer, "orders", 0, 1);
    struct fetch_request *request = fetch_of(&world->arena, "orders", 0, 0);
    request->min_bytes = 150; /* more than one batch of one record, less than three */
    peer_ask(world->consumer, API_FETCH, V, 1, request);
    until_parked(world, "orders", 0);
    peer_produce(world->producer, "orders", 0, 1);
    peer_produce(world->producer, "orders", 0, 1);
    struct fetch_response response;
    peer_answer(world->consumer, &world->arena, API_FETCH, V, 1, &response);
    assert_true(records_in(only(&response)) >= 2);
}

static void no_more_is_waited_for_than_may_be_returned(void **state)
{
    struct world *world = *state;
    peer_produce(world->producer, "orders", 0, 50);
    struct fetch_request *request = fetch_of(&world->arena, "orders", 0, 0);
    request->min_bytes = INT32_MAX;
    request->max_bytes = 100;
    struct fetch_response response;
    peer_call(world->consumer, &world->arena, API_FETCH, V, request, &response);
    assert_int_equal(records_in(only(&response)), 50); /* the first batch comes whole */
}

static void a_passed_deadline_answers_with_what_is_there(void **state)
{
    struct world *world = *state;
    struct fetch_request *request = fetch_of(&world->arena, "orders", 0, 0);
    request->max_wait_ms = 20;
    int64_t begin = env_now_ns(world->fixture->env);
    struct fetch_response response;
    peer_call(world->consumer, &world->arena, API_FETCH, V, request, &response);
    assert_int_equal(only(&response)->records.size, 0);
    assert_true(env_now_ns(world->fixture->env) - begin >= 19 * 1000000);
}

static void a_closed_consumer_leaves_no_waiter(void **state)
{
    struct world *world = *state;
    peer_ask(world->consumer, API_FETCH, V, 1, fetch_of(&world->arena, "orders", 0, 0));
    until_parked(world, "orders", 0);
    peer_close(world->consumer);
    int64_t open;
    do { /* the request is gone although its wait is a minute */
        sched_yield();
        open = 0;
        for (int32_t i = 0; i < world->fixture->broker->loop_count; i++)
            open += atomic_load(&world->fixture->broker->loops[i].counters.connections);
    } while (open > 1);
    peer_produce(world->producer, "orders", 0, 1);
    world->consumer = peer_connect(world->fixture);
}

static void offsets_outside_the_log_are_refused(void **state)
{
    struct world *world = *state;
    peer_produce(world->producer, "orders", 0, 3);
    static const int64_t offsets[] = {-1, -2, INT64_MIN, 4, INT64_MAX};
    for (size_t i = 0; i < array_size(offsets); i++) {
        struct fetch_response response;
        peer_call(world->consumer, &world->arena, API_FETCH, V,
                  fetch_of(&world->arena, "orders", 0, offsets[i]), &response);
        assert_int_equal(only(&response)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    }
}

static void hostile_sizes_do_no_harm(void **state)
{
    struct world *world = *state;
    peer_produce(world->producer, "orders", 0, 3);
    static const int32_t sizes[] = {INT32_MIN, -1, 0, 1, INT32_MAX};
    for (size_t i = 0; i < 125; i++) {
        struct fetch_request *request = fetch_of(&world->arena, "orders", 0, i % 2);
        request->max_wait_ms = 1;
        request->max_bytes = sizes[i % 5];
        request->min_bytes = sizes[i / 5 % 5];
        request->topics.items[0].partitions.items[0].partition_max_bytes = sizes[i / 25];
        struct fetch_response response;
        peer_call(world->consumer, &world->arena, API_FETCH, V, request, &response);
        assert_int_equal(only(&response)->error_code, 0);
    }
}

static void a_topic_that_is_not_known_does_not_hurry_the_others(void **state)
{
    struct world *world = *state;
    struct fetch_request *request = fetch_of(&world->arena, "orders", 0, 0);
    struct fetch_request_topic *topics = fetch_request_topic_array(&world->arena, 2);
    topics[0] = request->topics.items[0];
    topics[1] = request->topics.items[0];
    topics[1].topic = STR("nowhere");
    request->topics.items = topics;
    request->topics.count = 2;
    peer_ask(world->consumer, API_FETCH, V, 1, request);
    until_parked(world, "orders", 0);
    peer_produce(world->producer, "orders", 0, 1);
    struct fetch_response response;
    peer_answer(world->consumer, &world->arena, API_FETCH, V, 1, &response);
    assert_int_equal(response.responses.count, 2);
    assert_int_equal(records_in(&response.responses.items[0].partitions.items[0]), 1);
    assert_int_equal(response.responses.items[1].partitions.items[0].error_code,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    /* Alone it is told at once. */
    peer_call(world->consumer, &world->arena, API_FETCH, V,
              fetch_of(&world->arena, "nowhere", 0, 0), &response);
    assert_int_equal(only(&response)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void deleting_the_topic_ends_the_wait(void **state)
{
    struct world *world = *state;
    peer_ask(world->consumer, API_FETCH, V, 1, fetch_of(&world->arena, "orders", 0, 0));
    until_parked(world, "orders", 0);
    peer_delete_topic(world->producer, "orders");
    struct fetch_response response;
    peer_answer(world->consumer, &world->arena, API_FETCH, V, 1, &response);
    assert_int_equal(only(&response)->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    /* Nothing of the partitions is left once the answer is out. */
    while (atomic_load(&world->fixture->broker->partitions.deleted_count) > 0)
        sched_yield();
}

/* ---- sessions ---- */

static struct fetch_request *session_request(struct world *world, int32_t id, int32_t epoch,
                                             int32_t max_wait_ms)
{
    struct fetch_request *request = fetch_of(&world->arena, "orders", 0, 0);
    request->session_id = id;
    request->session_epoch = epoch;
    request->max_wait_ms = max_wait_ms;
    if (epoch > 0) {
        request->topics.count = 0;
        return request;
    }
    struct fetch_request_partition *all = fetch_request_partition_array(&world->arena, 3);
    for (int32_t i = 0; i < 3; i++) {
        all[i] = request->topics.items[0].partitions.items[0];
        all[i].partition = i;
    }
    request->topics.items[0].partitions.items = all;
    request->topics.items[0].partitions.count = 3;
    return request;
}

static void a_session_tells_only_what_changed(void **state)
{
    struct world *world = *state;
    struct fetch_response response;
    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, 0, 0, 1),
              &response);
    int32_t id = response.session_id;
    assert_int_not_equal(id, 0);
    assert_int_equal(response.responses.items[0].partitions.count, 3);

    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, id, 1, 1),
              &response);
    assert_int_equal(response.session_id, id);
    assert_int_equal(response.responses.count, 0);

    peer_ask(world->consumer, API_FETCH, V, 1,
             session_request(world, id, 2, FIXTURE_PATIENCE_S * 1000));
    until_parked(world, "orders", 2);
    peer_produce(world->producer, "orders", 2, 4);
    peer_answer(world->consumer, &world->arena, API_FETCH, V, 1, &response);
    assert_int_equal(only(&response)->partition_index, 2);
    assert_int_equal(records_in(only(&response)), 4);

    /* The client names what it changes: it read on. */
    struct fetch_request *request = session_request(world, id, 3, 1);
    struct fetch_request *named = fetch_of(&world->arena, "orders", 2, 4);
    request->topics.items = named->topics.items;
    request->topics.count = 1;
    peer_call(world->consumer, &world->arena, API_FETCH, V, request, &response);
    assert_int_equal(response.responses.count, 0);
}

static void a_forgotten_partition_is_not_told_of(void **state)
{
    struct world *world = *state;
    struct fetch_response response;
    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, 0, 0, 1),
              &response);
    struct fetch_request *request = session_request(world, response.session_id, 1, 1);
    struct fetch_request_forgotten_topic forgotten = {.topic = STR("orders"),
                                                      .partitions = {(int32_t[]){2, 7}, 2}};
    request->forgotten_topics_data.items = &forgotten;
    request->forgotten_topics_data.count = 1;
    peer_produce(world->producer, "orders", 1, 1);
    peer_produce(world->producer, "orders", 2, 1);
    peer_call(world->consumer, &world->arena, API_FETCH, V, request, &response);
    assert_int_equal(only(&response)->partition_index, 1);
}

static void an_epoch_that_is_not_expected_is_refused(void **state)
{
    struct world *world = *state;
    struct fetch_response response;
    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, 0, 0, 1),
              &response);
    int32_t id = response.session_id;
    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, id, 2, 1),
              &response);
    assert_int_equal(response.error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, id ^ 1, 1, 1),
              &response);
    assert_int_equal(response.error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    /* The session itself came to no harm; and its owner ends it. */
    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, id, 1, 1),
              &response);
    assert_int_equal(response.error_code, 0);
    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, id, -1, 1),
              &response);
    assert_int_equal(response.error_code, 0);
    assert_int_equal(response.session_id, 0);
    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, id, 2, 1),
              &response);
    assert_int_equal(response.error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
}

static void a_session_that_waits_is_refused_to_a_second_connection(void **state)
{
    struct world *world = *state;
    struct fetch_response response;
    peer_call(world->consumer, &world->arena, API_FETCH, V, session_request(world, 0, 0, 1),
              &response);
    int32_t id = response.session_id;
    peer_ask(world->consumer, API_FETCH, V, 1,
             session_request(world, id, 1, FIXTURE_PATIENCE_S * 1000));
    until_parked(world, "orders", 0);
    peer_call(world->producer, &world->arena, API_FETCH, V, session_request(world, id, 2, 1),
              &response);
    assert_int_equal(response.error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    /* Ended from outside while it waits, it is still answered. */
    peer_call(world->producer, &world->arena, API_FETCH, V, session_request(world, id, -1, 1),
              &response);
    peer_produce(world->producer, "orders", 0, 1);
    peer_answer(world->consumer, &world->arena, API_FETCH, V, 1, &response);
    assert_int_equal(records_in(only(&response)), 1);
}

/* ---- who leads ---- */

static struct partition *partition_of(struct world *world, int32_t index, struct uuid *ret_topic_id)
{
    struct image *image = image_acquire(&world->fixture->broker->publisher);
    const struct topic_image *found = image_topic_named(image, STR("orders"));
    *ret_topic_id = found->id;
    image_unref(image);
    return partition_find(&world->fixture->broker->partitions, *ret_topic_id, index);
}

static void who_asks_the_wrong_broker_is_told_the_right_one(void **state)
{
    struct world *world = *state;
    struct uuid topic_id;
    struct partition *partition = partition_of(world, 0, &topic_id);
    int32_t leader = atomic_exchange(&partition->leader_id, 99);
    struct fetch_response fetched;
    struct fetch_request *fetch = fetch_of(&world->arena, "", 0, 0);
    fetch->topics.items[0].topic_id = topic_id;
    peer_call(world->consumer, &world->arena, API_FETCH, 16, fetch, &fetched);
    assert_int_equal(only(&fetched)->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(only(&fetched)->current_leader.leader_id, leader);
    assert_int_equal(fetched.node_endpoints.count, 1);
    assert_int_equal(fetched.node_endpoints.items[0].node_id, leader);
    assert_int_equal(fetched.node_endpoints.items[0].port, world->fixture->port);
    assert_int_equal(fetched.node_endpoints.items[0].host.size, 9);
    assert_memory_equal(fetched.node_endpoints.items[0].host.data, "127.0.0.1", 9);
    /* As in Kafka, Fetch tells it from version 16 on. */
    peer_call(world->consumer, &world->arena, API_FETCH, 15, fetch, &fetched);
    assert_int_equal(only(&fetched)->current_leader.leader_id, -1);
    assert_int_equal(fetched.node_endpoints.count, 0);

    struct bytes batch = fixture_plain_batch(&world->arena, 1);
    struct produce_response produced;
    peer_call(world->producer, &world->arena, API_PRODUCE, 10,
              produce_of(&world->arena, "orders", 0, -1, batch), &produced);
    const struct produce_response_partition_produce_response *part =
        &produced.responses.items[0].partition_responses.items[0];
    assert_int_equal(part->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(part->current_leader.leader_id, leader);
    assert_int_equal(produced.node_endpoints.count, 1);
    assert_int_equal(produced.node_endpoints.items[0].port, world->fixture->port);
    atomic_store(&partition->leader_id, leader);
}

static void a_client_of_another_leader_epoch_is_told_so(void **state)
{
    struct world *world = *state;
    struct uuid topic_id;
    struct partition *partition = partition_of(world, 0, &topic_id);
    int32_t epoch = atomic_load(&partition->leader_epoch);
    struct fetch_response response;
    struct fetch_request *request = fetch_of(&world->arena, "orders", 0, 0);
    request->topics.items[0].partitions.items[0].current_leader_epoch = epoch + 1;
    peer_call(world->consumer, &world->arena, API_FETCH, V, request, &response);
    assert_int_equal(only(&response)->error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
    atomic_store(&partition->leader_epoch, epoch + 5);
    peer_call(world->consumer, &world->arena, API_FETCH, V, request, &response);
    assert_int_equal(only(&response)->error_code, KAFKA_FENCED_LEADER_EPOCH);
    atomic_store(&partition->leader_epoch, epoch);
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(what_was_produced_is_read_back),
        NODE_TEST(a_fetch_at_the_end_waits_for_the_next_append),
        NODE_TEST(a_fetch_waits_for_min_bytes_from_the_first_one_on),
        NODE_TEST(no_more_is_waited_for_than_may_be_returned),
        NODE_TEST(a_passed_deadline_answers_with_what_is_there),
        NODE_TEST(a_closed_consumer_leaves_no_waiter),
        NODE_TEST(offsets_outside_the_log_are_refused),
        NODE_TEST(hostile_sizes_do_no_harm),
        NODE_TEST(a_topic_that_is_not_known_does_not_hurry_the_others),
        NODE_TEST(deleting_the_topic_ends_the_wait),
        NODE_TEST(a_session_tells_only_what_changed),
        NODE_TEST(a_forgotten_partition_is_not_told_of),
        NODE_TEST(an_epoch_that_is_not_expected_is_refused),
        NODE_TEST(a_session_that_waits_is_refused_to_a_second_connection),
        NODE_TEST(who_asks_the_wrong_broker_is_told_the_right_one),
        NODE_TEST(a_client_of_another_leader_epoch_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
