/* Fetch sessions against a node on loopback: what is told, what is waited for, and for how long
 * anything is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/errors.h"
#include "broker_fixture.h"
#include "record/batch.h"
#include "server/fetch_session.h"

/* A fetch that would wait LONG_MS is given up after WAKE_S: what ends it is a wake, never its
 * deadline, at which a node that forgot to wake would answer as well. */
enum {
    V = 12, /* the last version with topic names */
    PARTITIONS = 3,
    LONG_MS = 10 * FIXTURE_PATIENCE_S * 1000,
    WAKE_S = 15
};

struct world {
    struct broker_fixture *fixture;
    struct arena arena;
    int consumer, other;
};

static int connect_consumer(struct broker_fixture *fixture)
{
    int peer = peer_connect(fixture);
    struct timeval patience = {.tv_sec = WAKE_S};
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return peer;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    arena_init(&world->arena, 0);
    world->fixture = broker_fixture_create(NULL);
    world->consumer = connect_consumer(world->fixture);
    world->other = peer_connect(world->fixture);
    peer_create_topic(world->other, "orders", PARTITIONS);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    peer_close(world->consumer);
    peer_close(world->other);
    broker_fixture_destroy(world->fixture);
    arena_close(&world->arena);
    free(world);
    return 0;
}

/* ---- asking ---- */

static struct fetch_request *request_of(struct world *world, int32_t id, int32_t epoch,
                                        int32_t max_wait_ms)
{
    struct fetch_request *request = fetch_of(&world->arena, "orders", 0, 0);
    request->session_id = id;
    request->session_epoch = epoch;
    request->max_wait_ms = max_wait_ms;
    request->topics.items[0].partitions.items =
        fetch_request_partition_array(&world->arena, PARTITIONS);
    request->topics.count = 0;
    request->topics.items[0].partitions.count = 0;
    return request;
}

/* Name a partition in the request. */
static struct fetch_request_partition *want(struct fetch_request *request, int32_t partition,
                                            int64_t offset)
{
    struct fetch_request_topic *topic = &request->topics.items[0];
    struct fetch_request_partition *at = &topic->partitions.items[topic->partitions.count++];
    request->topics.count = 1;
    at->partition = partition;
    at->fetch_offset = offset;
    at->partition_max_bytes = 1024 * 1024;
    at->current_leader_epoch = -1;
    at->last_fetched_epoch = -1;
    return at;
}

static struct fetch_response call(struct world *world, const struct fetch_request *request)
{
    struct fetch_response response;
    peer_call(world->consumer, &world->arena, API_FETCH, V, request, &response);
    return response;
}

/* A session of all partitions at their ends, told of once. */
static int32_t open_at(struct world *world, int64_t offset)
{
    struct fetch_request *request = request_of(world, 0, 0, 0);
    for (int32_t i = 0; i < PARTITIONS; i++)
        want(request, i, offset);
    struct fetch_response response = call(world, request);
    assert_int_equal(response.error_code, 0);
    assert_int_not_equal(response.session_id, 0);
    return response.session_id;
}

static void ask(struct world *world, const struct fetch_request *request)
{
    peer_ask(world->consumer, API_FETCH, V, 1, request);
}

static struct fetch_response answer(struct world *world)
{
    struct fetch_response response;
    peer_answer(world->consumer, &world->arena, API_FETCH, V, 1, &response);
    return response;
}

static int32_t told(const struct fetch_response *response)
{
    int32_t count = 0;
    assert_int_equal(response->error_code, 0);
    for (int32_t i = 0; i < response->responses.count; i++)
        count += response->responses.items[i].partitions.count;
    return count;
}

static const struct fetch_response_partition_data *only(const struct fetch_response *response)
{
    assert_int_equal(told(response), 1);
    return &response->responses.items[0].partitions.items[0];
}

static int32_t records_in(const struct fetch_response_partition_data *data)
{
    int32_t count = 0, at = 0;
    assert_int_equal(data->error_code, 0);
    while (at < data->records.size) {
        struct batch batch;
        assert_int_equal(
            batch_read(data->records.data + at, (size_t)(data->records.size - at), &batch), 0);
        count += batch.record_count;
        at += batch.size;
    }
    return count;
}

static int32_t waiters_on(struct watermark *mark)
{
    int32_t count = 0;
    pthread_mutex_lock(&mark->lock);
    list_for_each (node, &mark->waiters)
        count++;
    pthread_mutex_unlock(&mark->lock);
    return count;
}

/* ---- waiting ---- */

static void partitions_wait_between_fetches(void **state)
{
    struct world *world = *state;
    int32_t id = open_at(world, 0);
    struct fetch_response response = call(world, request_of(world, id, 1, 1));
    assert_int_equal(told(&response), 0);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        struct partition *partition = fixture_partition(world->fixture, "orders", i);
        assert_int_equal(waiters_on(&partition->high_watermark), 1);
        partition_unref(partition);
    }
    /* What comes between two fetches is there for the next one. */
    peer_produce(world->other, "orders", 1, 3);
    response = call(world, request_of(world, id, 2, LONG_MS));
    assert_int_equal(records_in(only(&response)), 3);
    assert_int_equal(only(&response)->partition_index, 1);
    /* As long as the client does not say that it has them, it gets them again. */
    response = call(world, request_of(world, id, 3, LONG_MS));
    assert_int_equal(records_in(only(&response)), 3);
}

static void min_bytes_is_a_sum_over_partitions(void **state)
{
    struct world *world = *state;
    int32_t id = open_at(world, 0);
    struct fetch_request *request = request_of(world, id, 1, LONG_MS);
    request->min_bytes = 150; /* more than two batches of one record, at most three */
    ask(world, request);
    fixture_until_fetching(world->fixture, "orders", 0);
    for (int32_t i = 0; i < PARTITIONS; i++)
        peer_produce(world->other, "orders", i, 1);
    struct fetch_response response = answer(world);
    assert_int_equal(told(&response), PARTITIONS);
}

static void a_lagging_reader_reads_on_whatever_the_limits(void **state)
{
    struct world *world = *state;
    enum { BATCHES = 20 };
    int64_t next[PARTITIONS] = {0};
    for (int32_t i = 0; i < PARTITIONS * BATCHES; i++)
        peer_produce(world->other, "orders", i % PARTITIONS, 1);
    struct fetch_request *request = request_of(world, 0, 0, LONG_MS);
    for (int32_t i = 0; i < PARTITIONS; i++)
        want(request, i, 0);
    int32_t id = 0, left = PARTITIONS * BATCHES;
    for (int32_t epoch = 0; left > 0; epoch++) {
        request->session_id = id;
        request->session_epoch = epoch;
        request->max_bytes = 1; /* one batch at a time, by turns */
        struct fetch_response response = call(world, request);
        id = response.session_id;
        request = request_of(world, id, epoch + 1, LONG_MS);
        for (int32_t t = 0; t < response.responses.count; t++) {
            for (int32_t p = 0; p < response.responses.items[t].partitions.count; p++) {
                const struct fetch_response_partition_data *data =
                    &response.responses.items[t].partitions.items[p];
                int32_t count = records_in(data);
                left -= count;
                next[data->partition_index] += count;
                if (count > 0)
                    want(request, data->partition_index, next[data->partition_index]);
            }
        }
        int64_t least = BATCHES, most = 0;
        for (int32_t i = 0; i < PARTITIONS; i++) {
            least = next[i] < least ? next[i] : least;
            most = next[i] > most ? next[i] : most;
        }
        assert_true(most - least <= 1);
    }
}

static void another_isolation_waits_on_another_mark(void **state)
{
    struct world *world = *state;
    int32_t id = open_at(world, 0);
    call(world, request_of(world, id, 1, 1));
    struct fetch_request *request = request_of(world, id, 2, 1);
    request->isolation_level = 1;
    call(world, request);
    struct partition *partition = fixture_partition(world->fixture, "orders", 0);
    assert_int_equal(waiters_on(&partition->high_watermark), 0);
    assert_int_equal(waiters_on(&partition->last_stable), 1);
    partition_unref(partition);
    request = request_of(world, id, 3, LONG_MS);
    request->isolation_level = 1;
    ask(world, request);
    peer_produce(world->other, "orders", 2, 1);
    struct fetch_response response = answer(world);
    assert_int_equal(records_in(only(&response)), 1);
}

static void another_offset_is_looked_at(void **state)
{
    struct world *world = *state;
    peer_produce(world->other, "orders", 0, 2);
    peer_produce(world->other, "orders", 0, 3);
    struct fetch_request *request = request_of(world, 0, 0, 0);
    want(request, 0, 5);
    int32_t id = call(world, request).session_id;
    call(world, request_of(world, id, 1, 1)); /* now it waits at the end */
    request = request_of(world, id, 2, LONG_MS);
    want(request, 0, 2);
    struct fetch_response response = call(world, request);
    assert_int_equal(records_in(only(&response)), 3);
}

static void a_raised_log_start_is_told(void **state)
{
    struct world *world = *state;
    peer_produce(world->other, "orders", 0, 5);
    struct fetch_request *fetch = request_of(world, 0, 0, 0);
    want(fetch, 0, 5);
    want(fetch, 1, 0);
    int32_t id = call(world, fetch).session_id;
    struct fetch_response response = call(world, request_of(world, id, 1, 1));
    assert_int_equal(told(&response), 0);

    struct delete_records_request request;
    struct delete_records_response deleted;
    delete_records_request_init(&request);
    request.topics.items = delete_records_request_topic_array(&world->arena, 1);
    request.topics.count = 1;
    request.topics.items[0].name = STR("orders");
    request.topics.items[0].partitions.items =
        delete_records_request_partition_array(&world->arena, 1);
    request.topics.items[0].partitions.count = 1;
    request.topics.items[0].partitions.items[0].offset = 4;
    request.timeout_ms = LONG_MS;
    peer_call(world->other, &world->arena, API_DELETE_RECORDS, 2, &request, &deleted);
    assert_int_equal(deleted.topics.items[0].partitions.items[0].error_code, 0);

    response = call(world, request_of(world, id, 2, 1));
    assert_int_equal(only(&response)->log_start_offset, 4);
    assert_int_equal(only(&response)->records.size, 0);
    response = call(world, request_of(world, id, 3, 1));
    assert_int_equal(told(&response), 0);
}

/* ---- partitions that come and go ---- */

static void an_idle_session_keeps_no_deleted_partition(void **state)
{
    struct world *world = *state;
    int32_t id = open_at(world, 0);
    call(world, request_of(world, id, 1, 1)); /* all wait */
    peer_delete_topic(world->other, "orders");
    while (atomic_load(&world->fixture->broker->partitions.deleted_count) > 0)
        sched_yield();
    struct fetch_response response = call(world, request_of(world, id, 2, LONG_MS));
    assert_int_equal(told(&response), PARTITIONS);
    for (int32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(response.responses.items[0].partitions.items[i].error_code,
                         KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void a_topic_made_anew_is_another_one(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 4; i++)
        peer_produce(world->other, "orders", 0, 50);
    struct fetch_request *request = request_of(world, 0, 0, LONG_MS);
    want(request, 0, 0);
    struct fetch_response response = call(world, request);
    assert_int_equal(records_in(only(&response)), 200);
    int32_t id = response.session_id; /* it remembers the place of offset 200 */
    peer_delete_topic(world->other, "orders");
    peer_create_topic(world->other, "orders", PARTITIONS);
    for (int i = 0; i < 250; i++)
        peer_produce(world->other, "orders", 0, 1);
    request = request_of(world, id, 1, LONG_MS);
    want(request, 0, 200);
    response = call(world, request);
    assert_int_equal(records_in(only(&response)), 50);
    assert_int_equal(only(&response)->high_watermark, 250);
}

static void sessions_by_id_hear_that_their_topic_is_gone(void **state)
{
    struct world *world = *state;
    struct partition *partition = fixture_partition(world->fixture, "orders", 0);
    struct fetch_request *request = request_of(world, 0, 0, 0);
    want(request, 0, 0);
    request->topics.items[0].topic_id = partition->topic_id;
    partition_unref(partition);
    struct fetch_response response;
    peer_call(world->consumer, &world->arena, API_FETCH, 16, request, &response);
    int32_t id = response.session_id;
    assert_int_equal(only(&response)->error_code, 0);
    peer_ask(world->consumer, API_FETCH, 16, 1, request_of(world, id, 1, LONG_MS));
    fixture_until_fetching(world->fixture, "orders", 0);
    peer_delete_topic(world->other, "orders");
    peer_answer(world->consumer, &world->arena, API_FETCH, 16, 1, &response);
    assert_int_not_equal(only(&response)->error_code, 0);
    peer_call(world->consumer, &world->arena, API_FETCH, 16, request_of(world, id, 2, LONG_MS),
              &response);
    assert_int_equal(only(&response)->error_code, KAFKA_UNKNOWN_TOPIC_ID);
}

static void a_new_leader_epoch_ends_the_wait(void **state)
{
    struct world *world = *state;
    struct partition *partition = fixture_partition(world->fixture, "orders", 1);
    struct fetch_request *request = request_of(world, 0, 0, 0);
    want(request, 0, 0);
    want(request, 1, 0)->current_leader_epoch = atomic_load(&partition->leader_epoch);
    int32_t id = call(world, request).session_id;
    ask(world, request_of(world, id, 1, LONG_MS));
    fixture_until_fetching(world->fixture, "orders", 1);
    int32_t epoch = atomic_fetch_add(&partition->leader_epoch, 1);
    partition_reset_marks(partition);
    struct fetch_response response = answer(world);
    assert_int_equal(only(&response)->error_code, KAFKA_FENCED_LEADER_EPOCH);
    assert_int_equal(only(&response)->high_watermark, -1);
    /* The client learns of it, and waits under the new one. */
    request = request_of(world, id, 2, LONG_MS);
    want(request, 1, 0)->current_leader_epoch = epoch + 1;
    ask(world, request);
    fixture_until_fetching(world->fixture, "orders", 1);
    peer_produce(world->other, "orders", 1, 2);
    response = answer(world);
    assert_int_equal(records_in(only(&response)), 2);
    atomic_store(&partition->leader_epoch, epoch);
    partition_reset_marks(partition);
    partition_unref(partition);
}

static void an_offline_directory_is_told(void **state)
{
    struct world *world = *state;
    struct partition *partition = fixture_partition(world->fixture, "orders", 1);
    int32_t id = open_at(world, 0);
    ask(world, request_of(world, id, 1, LONG_MS));
    fixture_until_fetching(world->fixture, "orders", 1);
    atomic_store(&partition->dir->offline, true);
    partition_stir(partition);
    struct fetch_response response = answer(world);
    assert_int_equal(only(&response)->error_code, KAFKA_KAFKA_STORAGE_ERROR);
    atomic_store(&partition->dir->offline, false);
    partition_unref(partition);
}

/* ---- sessions that end ---- */

static void forget(struct fetch_request *request, int32_t first, int32_t count, struct arena *arena)
{
    struct fetch_request_forgotten_topic *topic = fetch_request_forgotten_topic_array(arena, 1);
    topic->topic = STR("orders");
    topic->partitions.items = arena_array(arena, (size_t)count, sizeof(int32_t));
    topic->partitions.count = count;
    for (int32_t i = 0; i < count; i++)
        topic->partitions.items[i] = first + i;
    request->forgotten_topics_data.items = topic;
    request->forgotten_topics_data.count = 1;
}

static void a_forgotten_partition_does_not_wait(void **state)
{
    struct world *world = *state;
    int32_t id = open_at(world, 0);
    call(world, request_of(world, id, 1, 1));
    struct fetch_request *request = request_of(world, id, 2, 1);
    forget(request, 1, 2, &world->arena);
    call(world, request);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        struct partition *partition = fixture_partition(world->fixture, "orders", i);
        assert_int_equal(waiters_on(&partition->high_watermark), i < 1);
        partition_unref(partition);
    }
    ask(world, request_of(world, id, 3, LONG_MS));
    fixture_until_fetching(world->fixture, "orders", 0);
    peer_produce(world->other, "orders", 1, 1);
    peer_produce(world->other, "orders", 0, 2);
    struct fetch_response response = answer(world);
    assert_int_equal(records_in(only(&response)), 2);
}

static void a_session_ends_with_its_last_partition(void **state)
{
    struct world *world = *state;
    int32_t id = open_at(world, 0);
    struct fetch_request *request = request_of(world, id, 1, LONG_MS);
    forget(request, 0, PARTITIONS, &world->arena);
    struct fetch_response response = call(world, request); /* at once */
    assert_int_equal(told(&response), 0);
    assert_int_equal(response.session_id, 0);
    assert_int_equal(fetch_sessions_count(world->fixture->broker->sessions), 0);
    response = call(world, request_of(world, id, 2, 1));
    assert_int_equal(response.error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    /* One that begins empty lives until it is asked for more. */
    id = call(world, request_of(world, 0, 0, LONG_MS)).session_id;
    assert_int_not_equal(id, 0);
    response = call(world, request_of(world, id, 1, LONG_MS));
    assert_int_equal(told(&response), 0);
    assert_int_equal(response.session_id, 0);
}

static void a_closed_session_leaves_no_waiter(void **state)
{
    struct world *world = *state;
    int32_t id = open_at(world, 0);
    call(world, request_of(world, id, 1, 1));
    struct partition *partition = fixture_partition(world->fixture, "orders", 0);
    assert_int_equal(waiters_on(&partition->high_watermark), 1);
    call(world, request_of(world, id, -1, 1));
    assert_int_equal(waiters_on(&partition->high_watermark), 0);
    partition_unref(partition);
}

static void a_closed_connection_leaves_the_session(void **state)
{
    struct world *world = *state;
    int32_t id = open_at(world, 0);
    ask(world, request_of(world, id, 1, LONG_MS));
    fixture_until_fetching(world->fixture, "orders", 0);
    peer_close(world->consumer);
    world->consumer = connect_consumer(world->fixture);
    peer_produce(world->other, "orders", 2, 1);
    struct fetch_response response;
    do { /* it is given back once the connection is seen to be closed */
        response = call(world, request_of(world, id, 2, LONG_MS));
    } while (response.error_code == KAFKA_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(records_in(only(&response)), 1);
}

/* ---- epochs of the client's log (KIP-595) ---- */

static void a_log_that_parted_from_ours_is_told_where(void **state)
{
    struct world *world = *state;
    struct fetch_request *request;
    struct fetch_response response;
    for (int32_t epoch = 0; epoch < 3; epoch++) { /* nothing is written yet */
        request = request_of(world, 0, -1, 0);
        want(request, 0, 0)->last_fetched_epoch = epoch;
        response = call(world, request);
        assert_int_equal(only(&response)->error_code, epoch ? KAFKA_OFFSET_OUT_OF_RANGE : 0);
    }
    peer_produce(world->other, "orders", 0, 3);
    static const struct {
        int32_t epoch;
        int64_t offset;
        int error;
        int64_t diverging_end;
    } asked[] = {{0, 0, 0, -1},
                 {0, 3, 0, -1},
                 {0, 4, 0, 3},
                 {1, 0, KAFKA_OFFSET_OUT_OF_RANGE, -1},
                 {1, 4, KAFKA_OFFSET_OUT_OF_RANGE, -1},
                 {INT32_MAX, 3, KAFKA_OFFSET_OUT_OF_RANGE, -1}};
    for (size_t i = 0; i < array_size(asked); i++) {
        request = request_of(world, 0, -1, 0);
        want(request, 0, asked[i].offset)->last_fetched_epoch = asked[i].epoch;
        response = call(world, request);
        assert_int_equal(only(&response)->error_code, asked[i].error);
        assert_int_equal(only(&response)->high_watermark, asked[i].error ? -1 : 3);
        assert_int_equal(only(&response)->diverging_epoch.end_offset, asked[i].diverging_end);
        assert_int_equal(only(&response)->records.size > 0, i == 0);
    }
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(partitions_wait_between_fetches),
        NODE_TEST(min_bytes_is_a_sum_over_partitions),
        NODE_TEST(a_lagging_reader_reads_on_whatever_the_limits),
        NODE_TEST(another_isolation_waits_on_another_mark),
        NODE_TEST(another_offset_is_looked_at),
        NODE_TEST(a_raised_log_start_is_told),
        NODE_TEST(an_idle_session_keeps_no_deleted_partition),
        NODE_TEST(a_topic_made_anew_is_another_one),
        NODE_TEST(sessions_by_id_hear_that_their_topic_is_gone),
        NODE_TEST(a_new_leader_epoch_ends_the_wait),
        NODE_TEST(an_offline_directory_is_told),
        NODE_TEST(a_forgotten_partition_does_not_wait),
        NODE_TEST(a_session_ends_with_its_last_partition),
        NODE_TEST(a_closed_session_leaves_no_waiter),
        NODE_TEST(a_closed_connection_leaves_the_session),
        NODE_TEST(a_log_that_parted_from_ours_is_told_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
