/* Sessions of many partitions while everything happens to them: appends from several connections,
 * terms that end, topics that are deleted and made anew, partitions forgotten and taken in again,
 * connections closed while they wait, sessions ended by others and made anew.
 *
 * Consumers wait for longer than the test's patience, so a lost wake fails it; every record has to
 * come once and in order. */
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

enum {
    V = 12, /* the last version with topic names */
    WIDE = 120,
    BRIEF = 3,
    CONSUMERS = 4,
    PRODUCERS = 2,
    RECORDS_EACH = 1500, /* by a producer */
    LONG_MS = 600000,    /* the peers give up before */
};

struct crowd {
    struct broker_fixture *fixture;
    struct partition *partitions[WIDE]; /* references */
    _Atomic int consuming;
};

struct consumer {
    struct crowd *crowd;
    uint64_t random;
    int peer;
    int32_t session, epoch;
    int32_t answers;
    int64_t next[WIDE];
    bool changed[WIDE]; /* to be named in the next request */
    bool forgotten[WIDE];
    int64_t total;
};

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

/* ---- a consumer ---- */

static void name_partition(struct fetch_request_topic *topic, int32_t index, int64_t offset)
{
    struct fetch_request_partition *at = &topic->partitions.items[topic->partitions.count++];
    at->partition = index;
    at->fetch_offset = offset;
    at->partition_max_bytes = 1024 * 1024;
    at->current_leader_epoch = at->last_fetched_epoch = -1;
}

/* The next request: a few partitions are forgotten, those that were are taken in again. */
static struct fetch_request *request_next(struct consumer *consumer, struct arena *arena)
{
    struct fetch_request *request = fetch_of(arena, "wide", 0, 0);
    struct fetch_request_topic *topics = fetch_request_topic_array(arena, 2);
    struct fetch_request_forgotten_topic *forgotten = fetch_request_forgotten_topic_array(arena, 1);
    bool all = consumer->session == 0;
    request->session_id = consumer->session;
    request->session_epoch = all ? 0 : consumer->epoch;
    request->isolation_level = (int8_t)(draw(&consumer->random, 20) == 0);
    request->max_bytes = draw(&consumer->random, 4) ? 1024 * 1024 : 200;
    request->topics.items = topics;
    request->topics.count = all ? 2 : 1;
    topics[0].topic = STR("wide");
    topics[0].partitions.items = fetch_request_partition_array(arena, WIDE);
    topics[1].topic = STR("brief");
    topics[1].partitions.items = fetch_request_partition_array(arena, BRIEF);
    forgotten->topic = STR("wide");
    forgotten->partitions.items = arena_array(arena, WIDE, sizeof(int32_t));
    for (int32_t i = 0; i < BRIEF; i++)
        name_partition(&topics[1], i, 0);
    for (int32_t i = 0; i < WIDE; i++) {
        bool forget = !all && !consumer->forgotten[i] && draw(&consumer->random, 200) == 0;
        if (forget)
            forgotten->partitions.items[forgotten->partitions.count++] = i;
        else if (all || consumer->changed[i] || consumer->forgotten[i])
            name_partition(&topics[0], i, consumer->next[i]);
        consumer->changed[i] = false;
        consumer->forgotten[i] = forget;
    }
    request->forgotten_topics_data.items = forgotten;
    request->forgotten_topics_data.count = forgotten->partitions.count > 0;
    /* What is forgotten is asked for in the next request, which must come without being woken. */
    request->max_wait_ms = forgotten->partitions.count > 0 ? 1 : LONG_MS;
    return request;
}

static void take_records(struct consumer *consumer,
                         const struct fetch_response_partition_data *data)
{
    int32_t index = data->partition_index;
    if (data->error_code != 0) { /* a term has just ended: ask again */
        assert_int_equal(data->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    for (int32_t at = 0; at < data->records.size;) {
        struct batch batch;
        assert_int_equal(
            batch_read(data->records.data + at, (size_t)(data->records.size - at), &batch), 0);
        assert_int_equal(batch.base_offset, consumer->next[index]);
        consumer->next[index] += batch.record_count;
        consumer->total += batch.record_count;
        consumer->changed[index] = true;
        at += batch.size;
    }
}

static void session_begin_anew(struct consumer *consumer)
{
    consumer->session = 0;
    consumer->epoch = 0;
}

static void take_response(struct consumer *consumer, const struct fetch_response *response)
{
    if (response->error_code == KAFKA_FETCH_SESSION_ID_NOT_FOUND) {
        session_begin_anew(consumer);
        return;
    }
    assert_int_equal(response->error_code, 0);
    consumer->session = response->session_id;
    consumer->epoch++;
    for (int32_t t = 0; t < response->responses.count; t++) {
        const struct fetch_response_fetchable_topic_response *topic = &response->responses.items[t];
        if (!str_equal(topic->topic, STR("wide")))
            continue;
        for (int32_t p = 0; p < topic->partitions.count; p++)
            take_records(consumer, &topic->partitions.items[p]);
    }
}

/* End the session from another connection, while it may be waiting. */
static void end_session(struct consumer *consumer, struct arena *arena)
{
    struct fetch_request *request = fetch_of(arena, "wide", 0, 0);
    struct fetch_response response;
    int peer = peer_connect(consumer->crowd->fixture);
    request->session_id = consumer->session;
    request->session_epoch = -1;
    request->topics.count = 0;
    peer_call(peer, arena, API_FETCH, V, request, &response);
    peer_close(peer);
}

static void *consume(void *context)
{
    struct consumer *consumer = context;
    consumer->peer = peer_connect(consumer->crowd->fixture);
    while (consumer->total < PRODUCERS * RECORDS_EACH) {
        struct arena arena;
        struct fetch_response response;
        arena_init(&arena, 0);
        peer_ask(consumer->peer, API_FETCH, V, 1, request_next(consumer, &arena));
        if (draw(&consumer->random, 30) == 0) { /* gone, and comes back as somebody else */
            peer_close(consumer->peer);
            consumer->peer = peer_connect(consumer->crowd->fixture);
            session_begin_anew(consumer);
        } else {
            if (consumer->session != 0 && draw(&consumer->random, 30) == 0)
                end_session(consumer, &arena);
            peer_answer(consumer->peer, &arena, API_FETCH, V, 1, &response);
            take_response(consumer, &response);
        }
        consumer->answers++;
        arena_close(&arena);
    }
    peer_close(consumer->peer);
    atomic_fetch_sub(&consumer->crowd->consuming, 1);
    return NULL;
}

/* ---- the others ---- */

static void *produce(void *context)
{
    struct crowd *crowd = context;
    uint64_t random = (uintptr_t)&random;
    int peer = peer_connect(crowd->fixture);
    for (int i = 0; i < RECORDS_EACH; i++) {
        /* Most of them to a few. */
        uint32_t below = draw(&random, 4) ? 5 : WIDE;
        peer_produce(peer, "wide", (int32_t)draw(&random, below), 1);
    }
    peer_close(peer);
    return NULL;
}

static void *disturb(void *context)
{
    struct crowd *crowd = context;
    uint64_t random = 7;
    while (atomic_load(&crowd->consuming) > 0) {
        partition_reset_marks(crowd->partitions[draw(&random, 5)]);
        partition_stir(crowd->partitions[draw(&random, WIDE)]);
        sched_yield();
    }
    return NULL;
}

static void *come_and_go(void *context)
{
    struct crowd *crowd = context;
    int peer = peer_connect(crowd->fixture);
    while (atomic_load(&crowd->consuming) > 0) {
        peer_create_topic(peer, "brief", BRIEF);
        peer_delete_topic(peer, "brief");
    }
    peer_close(peer);
    return NULL;
}

static void every_record_comes_once_and_in_order_whatever_happens(void **state)
{
    (void)state;
    struct crowd crowd = {.fixture = broker_fixture_create(NULL), .consuming = CONSUMERS};
    struct consumer consumers[CONSUMERS];
    pthread_t threads[CONSUMERS + PRODUCERS + 2];
    int count = 0, peer = peer_connect(crowd.fixture);
    peer_create_topic(peer, "wide", WIDE);
    peer_close(peer);
    for (int32_t i = 0; i < WIDE; i++)
        crowd.partitions[i] = fixture_partition(crowd.fixture, "wide", i);
    for (int i = 0; i < CONSUMERS; i++) {
        consumers[i] = (struct consumer){.crowd = &crowd, .random = (uint64_t)i + 1};
        assert_int_equal(pthread_create(&threads[count++], NULL, consume, &consumers[i]), 0);
    }
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[count++], NULL, produce, &crowd), 0);
    assert_int_equal(pthread_create(&threads[count++], NULL, disturb, &crowd), 0);
    assert_int_equal(pthread_create(&threads[count++], NULL, come_and_go, &crowd), 0);
    while (count > 0)
        assert_int_equal(pthread_join(threads[--count], NULL), 0);
    for (int i = 0; i < CONSUMERS; i++) {
        assert_int_equal(consumers[i].total, PRODUCERS * RECORDS_EACH);
        for (int32_t p = 0; p < WIDE; p++)
            assert_int_equal(consumers[i].next[p],
                             watermark_get(&crowd.partitions[p]->high_watermark));
    }
    for (int32_t i = 0; i < WIDE; i++)
        partition_unref(crowd.partitions[i]);
    broker_fixture_destroy(crowd.fixture); /* with idle sessions in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_comes_once_and_in_order_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
