/* Requests, whole and hostile, against a node on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#include "base/errors.h"
#include "broker_fixture.h"
#include "server/api_table.h"

static int setup(void **state)
{
    *state = broker_fixture_create(NULL);
    return 0;
}

static int64_t connections(struct broker_fixture *fixture)
{
    int64_t open = 0;
    for (int32_t i = 0; i < fixture->broker->loop_count; i++)
        open += atomic_load(&fixture->broker->loops[i].counters.connections);
    return open;
}

/* After every test: the node still serves, and of the connections nothing is left. */
static int teardown(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    struct metadata_request request;
    struct metadata_response response;
    metadata_request_init(&request);
    peer_call(peer, &arena, API_METADATA, 12, &request, &response);
    assert_int_equal(response.brokers.count, 1);
    peer_close(peer);
    arena_close(&arena);
    while (connections(fixture) > 0)
        sched_yield();
    assert_int_equal(atomic_load(&fixture->broker->budget.used_bytes), 0);
    broker_fixture_destroy(fixture);
    return 0;
}

/* Send it on a connection of its own, which the node has to close without an answer. */
static void refused(struct broker_fixture *fixture, const void *data, size_t size)
{
    int peer = peer_connect(fixture);
    (void)peer_send(peer, data, size);
    assert_true(peer_is_closed(peer));
    peer_close(peer);
}

static void what_is_no_request_closes_the_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } frames[] = {
        {"\xff\xff\xff\xff", 4},                                    /* a negative size */
        {"\x7f\xff\xff\xff", 4},                                    /* larger than any frame */
        {"\0\0\0\0", 4},                                            /* nothing */
        {"\0\0\0\1\0", 5},                                          /* half a key */
        {"\0\0\0\3\0\3\0", 7},                                      /* half a version */
        {"\0\0\0\4\0\3\0\0", 8},                                    /* no correlation id */
        {"\0\0\0\x0a\x7f\xff\0\0\0\0\0\1\xff\xff", 14},             /* an API that is none */
        {"\0\0\0\x0a\xff\xff\0\0\0\0\0\1\xff\xff", 14},             /* a negative one */
        {"\0\0\0\x0a\0\4\0\0\0\0\0\1\xff\xff", 14},                 /* not for clients */
        {"\0\0\0\x0a\0\3\x7f\xff\0\0\0\1\xff\xff", 14},             /* Metadata, version 32767 */
        {"\0\0\0\x0a\0\3\xff\xff\0\0\0\1\xff\xff", 14},             /* version -1 */
        {"\0\0\0\x0a\0\3\0\1\0\0\0\1\x7f\xff", 14},                 /* a client id that is cut */
        {"\0\0\0\x0a\0\3\0\1\0\0\0\1\x80\x00", 14},                 /* of a negative length */
        {"\0\0\0\x0e\0\3\0\1\0\0\0\1\xff\xff\x7f\xff\xff\xff", 18}, /* 2^31-1 topics */
        {"\0\0\0\x0e\0\3\0\1\0\0\0\1\xff\xff\xff\xff\xff\xfe", 18}, /* -2 topics */
        {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11}, /* a TLS hello */
    };
    struct broker_fixture *fixture = *state;
    for (size_t i = 0; i < array_size(frames); i++)
        refused(fixture, frames[i].bytes, frames[i].size);
    assert_true(broker_fixture_said(fixture, "invalid frame size"));
    assert_true(broker_fixture_said(fixture, "request not understood"));
    assert_true(broker_fixture_said(fixture, "request refused"));
}

static void an_unknown_version_of_api_versions_is_answered_in_version_0(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    struct api_versions_response response;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    /* The header is of a version that the node does not know either; what follows is not read. */
    assert_true(peer_send(peer, "\0\0\0\x0f\0\x12\x00\x63\0\0\0\x05\xff\xff\0junk", 19));
    peer_answer(peer, &arena, API_API_VERSIONS, 0, 5, &response);
    assert_int_equal(response.error_code, KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(response.api_keys.count, 1);
    assert_int_equal(response.api_keys.items[0].api_key, API_API_VERSIONS);
    assert_int_equal(response.api_keys.items[0].max_version,
                     api_row_find(API_API_VERSIONS)->max_version);
    /* The connection goes on. */
    struct api_versions_request request;
    api_versions_request_init(&request);
    request.client_software_name = STR("fixture");
    request.client_software_version = STR("1.0");
    peer_call(peer, &arena, API_API_VERSIONS, 3, &request, &response);
    assert_int_equal(response.error_code, 0);
    assert_int_equal(response.api_keys.count, api_row_count);
    peer_close(peer);
    arena_close(&arena);
}

/* Requests that have something in them. */
static void sample(struct arena *arena, int which, struct writer *out)
{
    struct bytes batch = fixture_plain_batch(arena, 3);
    struct fetch_request *fetch;
    struct metadata_request metadata;
    switch (which) {
    case 0:
        request_frame(out, API_PRODUCE, 9, 1, produce_of(arena, "samples", 0, -1, batch));
        break;
    case 1:
        request_frame(out, API_PRODUCE, 3, 1, produce_of(arena, "samples", 0, 1, batch));
        break;
    case 2:
        fetch = fetch_of(arena, "samples", 0, 0);
        fetch->max_wait_ms = 0;
        request_frame(out, API_FETCH, 12, 1, fetch);
        break;
    case 3:
        fetch = fetch_of(arena, "samples", 0, 0);
        fetch->max_wait_ms = 0;
        fetch->session_epoch = 0;
        request_frame(out, API_FETCH, 7, 1, fetch);
        break;
    default:
        metadata_request_init(&metadata);
        metadata.topics.items = metadata_request_topic_array(arena, 2);
        metadata.topics.count = 2;
        metadata.topics.items[0].name = STR("samples");
        metadata.topics.items[1].name = STR("others");
        metadata.allow_auto_topic_creation = false;
        request_frame(out, API_METADATA, 9, 1, &metadata);
    }
}

enum { SAMPLES = 5 };

static void a_body_cut_anywhere_closes_the_connection(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "samples", 1);
    peer_close(peer);
    for (int which = 0; which < SAMPLES; which++) {
        struct writer out = {0};
        sample(&arena, which, &out);
        for (size_t size = 4; size < out.size; size++) {
            store_be32(out.data, (uint32_t)(size - 4));
            refused(fixture, out.data, size);
        }
        writer_close(&out);
    }
    arena_close(&arena);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Whatever bytes are changed, the node answers or closes the connection, and serves on. */
static void changed_bytes_are_answered_or_refused(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "samples", 1);
    peer_close(peer);
    uint64_t random = 0x9e3779b97f4a7c15u;
    for (int round = 0; round < 1000; round++) {
        struct writer out = {0};
        sample(&arena, round % SAMPLES, &out);
        int changes = 1 + (int)(next_random(&random) % 4);
        for (int i = 0; i < changes; i++)
            out.data[4 + next_random(&random) % (out.size - 4)] = (uint8_t)next_random(&random);
        /* Whoever is not answered (acks came to be 0, the wait to be long) must not wait here. */
        peer = peer_connect(fixture);
        size_t size;
        if (peer_send(peer, out.data, out.size)) {
            shutdown(peer, SHUT_WR);
            free(peer_receive(peer, &size));
        }
        peer_close(peer);
        writer_close(&out);
        arena_reset(&arena, 0);
    }
    arena_close(&arena);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "samples", 1);
    struct bytes batch = fixture_plain_batch(&arena, 1);
    struct writer out = {0};
    enum { ROUNDS = 200 };
    for (int32_t i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            struct metadata_request metadata;
            metadata_request_init(&metadata);
            request_frame(&out, API_METADATA, 12, i, &metadata);
        } else { /* every other of them is not answered */
            int16_t acks = i % 3 == 1 ? -1 : 0;
            request_frame(&out, API_PRODUCE, 9, i, produce_of(&arena, "samples", 0, acks, batch));
        }
    }
    assert_true(peer_send(peer, out.data, out.size));
    int64_t offset = 0;
    for (int32_t i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            struct metadata_response response;
            peer_answer(peer, &arena, API_METADATA, 12, i, &response);
        } else if (i % 3 == 1) {
            struct produce_response response;
            peer_answer(peer, &arena, API_PRODUCE, 9, i, &response);
            assert_int_equal(response.responses.items[0].partition_responses.items[0].base_offset,
                             offset);
            offset += 2; /* this one and the quiet one */
        }
    }
    writer_close(&out);
    peer_close(peer);
    arena_close(&arena);
}

static struct partition *partition_of(struct broker_fixture *fixture, const char *topic)
{
    struct image *image = image_acquire(&fixture->broker->publisher);
    const struct topic_image *found = image_topic_named(image, str_of(topic));
    assert_non_null(found);
    struct partition *partition = partition_find(&fixture->broker->partitions, found->id, 0);
    image_unref(image);
    assert_non_null(partition);
    return partition;
}

static bool somebody_parks(struct partition *partition)
{
    pthread_mutex_lock(&partition->append_lock.mutex);
    bool some = !list_empty(&partition->append_lock.waiters);
    pthread_mutex_unlock(&partition->append_lock.mutex);
    return some;
}

static void a_produce_parked_on_the_append_lock_outlives_its_connection(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "samples", 1);
    struct bytes batch = fixture_plain_batch(&arena, 4);
    struct partition *partition = partition_of(fixture, "samples");
    while (!parklock_try(&partition->append_lock))
        sched_yield();
    peer_ask(peer, API_PRODUCE, 9, 1, produce_of(&arena, "samples", 0, -1, batch));
    while (!somebody_parks(partition))
        sched_yield();
    peer_close(peer);
    int other = peer_connect(fixture); /* its loop is not held up */
    struct metadata_request request;
    struct metadata_response response;
    metadata_request_init(&request);
    peer_call(other, &arena, API_METADATA, 12, &request, &response);
    peer_close(other);
    assert_int_equal(log_end_offset(partition->log), 0);
    parklock_release(&partition->append_lock);
    while (log_end_offset(partition->log) < 4)
        sched_yield();
    arena_close(&arena);
}

static void a_deadline_that_passes_while_parked_loses_nothing(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "samples", 1);
    struct bytes batch = fixture_plain_batch(&arena, 4);
    struct partition *partition = partition_of(fixture, "samples");
    while (!parklock_try(&partition->append_lock))
        sched_yield();
    static const int32_t timeouts_ms[] = {INT32_MIN, -1, 0, 1, 2};
    for (size_t i = 0; i < array_size(timeouts_ms); i++) {
        struct produce_request *request =
            (struct produce_request *)(uintptr_t)produce_of(&arena, "samples", 0, -1, batch);
        request->timeout_ms = timeouts_ms[i];
        peer_ask(peer, API_PRODUCE, 9, (int32_t)i, request);
    }
    while (!somebody_parks(partition))
        sched_yield();
    int64_t begin = env_now_ns(fixture->env);
    while (env_now_ns(fixture->env) - begin < 10 * 1000000)
        sched_yield();
    parklock_release(&partition->append_lock);
    for (size_t i = 0; i < array_size(timeouts_ms); i++) {
        struct produce_response response;
        peer_answer(peer, &arena, API_PRODUCE, 9, (int32_t)i, &response);
        assert_int_equal(response.responses.items[0].partition_responses.items[0].error_code, 0);
        assert_int_equal(response.responses.items[0].partition_responses.items[0].base_offset,
                         (int64_t)i * 4);
    }
    peer_close(peer);
    arena_close(&arena);
}

static void a_refused_produce_without_acks_closes_the_connection(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    struct bytes batch = fixture_plain_batch(&arena, 1);
    peer_ask(peer, API_PRODUCE, 9, 1, produce_of(&arena, "nowhere", 0, 0, batch));
    assert_true(peer_is_closed(peer));
    peer_close(peer);
    arena_close(&arena);
}

/* A disk whose syncs, or whose writes, end when the test says so. */
static struct {
    struct env_ops ops;
    const struct env_ops *real;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool syncs_closed, writes_closed, names_closed;
    _Atomic int syncing_names; /* of the folder samples-0 */
    _Atomic int64_t write_ns;  /* a write takes at least so long */
    _Atomic int write_error;   /* what a write answers, if negative */
    int waiting;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void gate_pass(const bool *closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    pthread_cond_broadcast(&gate.changed);
    while (*closed)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.waiting--;
    pthread_mutex_unlock(&gate.lock);
}

static int gated_sync(struct env *env, int file)
{
    gate_pass(&gate.syncs_closed);
    return gate.real->file_sync(env, file);
}

static ssize_t gated_write(struct env *env, int file, const struct iovec *parts, int count,
                           int64_t offset)
{
    gate_pass(&gate.writes_closed);
    int error = atomic_load(&gate.write_error);
    if (error < 0)
        return error;
    int64_t until = env_now_ns(env) + atomic_load(&gate.write_ns);
    while (env_now_ns(env) < until)
        sched_yield();
    return gate.real->file_write(env, file, parts, count, offset);
}

static int gated_dir_sync(struct env *env, const char *path)
{
    static const char folder[] = "/samples-0";
    size_t size = strlen(path);
    if (size > sizeof folder && strcmp(path + size + 1 - sizeof folder, folder) == 0) {
        atomic_fetch_add(&gate.syncing_names, 1);
        gate_pass(&gate.names_closed);
    }
    return gate.real->dir_sync(env, path);
}

static void gate_prepare(struct env *env)
{
    gate.real = env->ops;
    gate.ops = *env->ops;
    gate.ops.file_sync = gated_sync;
    gate.ops.dir_sync = gated_dir_sync;
    gate.ops.file_write = gated_write;
    env->ops = &gate.ops;
}

static int setup_gated(void **state)
{
    static const char *const overrides[] = {
        "log.flush.interval.messages=10", "jackdaw.event.loops=1", "jackdaw.disk.slow.ms=5", NULL};
    *state = broker_fixture_create_on(overrides, gate_prepare);
    return 0;
}

static void gate_set(bool *closed, bool value)
{
    pthread_mutex_lock(&gate.lock);
    *closed = value;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void gate_await_waiter(void)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.waiting == 0)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void what_is_appended_during_a_sync_is_synced_after_it(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int first = peer_connect(fixture), second = peer_connect(fixture);
    peer_create_topic(first, "samples", 1);
    peer_produce(first, "samples", 0, 9); /* nothing is due yet */
    gate_set(&gate.syncs_closed, true);
    struct fixture_batch batch = {
        .count = 1, .producer_id = -1, .producer_epoch = -1, .base_sequence = -1};
    peer_ask(first, API_PRODUCE, 9, 1,
             produce_of(&arena, "samples", 0, 1, fixture_batch_make(&arena, &batch)));
    gate_await_waiter();
    /* Due as well, as nothing is synced yet; but fewer than ten once the sync under way ends. */
    batch.count = 3;
    peer_ask(second, API_PRODUCE, 9, 2,
             produce_of(&arena, "samples", 0, 1, fixture_batch_make(&arena, &batch)));
    while (log_end_offset(partition_of(fixture, "samples")->log) < 13)
        sched_yield();
    gate_set(&gate.syncs_closed, false);
    struct produce_response response;
    peer_answer(first, &arena, API_PRODUCE, 9, 1, &response);
    peer_answer(second, &arena, API_PRODUCE, 9, 2, &response);
    assert_true(watermark_get(&partition_of(fixture, "samples")->synced) >= 13);
    peer_close(first);
    peer_close(second);
    arena_close(&arena);
}

/* The folder is renamed between the sync of the records and that of their files' names. */
static void a_topic_deleted_while_it_is_synced_takes_nothing_else_along(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int producer = peer_connect(fixture), other = peer_connect(fixture);
    peer_create_topic(producer, "samples", 1);
    gate_set(&gate.names_closed, true);
    int before = atomic_load(&gate.syncing_names);
    peer_ask(producer, API_PRODUCE, 9, 1,
             produce_of(&arena, "samples", 0, 1, fixture_plain_batch(&arena, 10)));
    while (atomic_load(&gate.syncing_names) == before)
        sched_yield();
    peer_delete_topic(other, "samples");
    char path[128];
    snprintf(path, sizeof path, "%s/data/samples-0", fixture->dir);
    while (access(path, F_OK) == 0)
        sched_yield();
    gate_set(&gate.names_closed, false);
    struct produce_response answer;
    peer_answer(producer, &arena, API_PRODUCE, 9, 1, &answer);
    while (atomic_load(&fixture->broker->partitions.flush_count) > 0)
        sched_yield();
    peer_create_topic(other, "samples", 1);
    assert_int_equal(peer_produce(other, "samples", 0, 12), 0);
    assert_false(broker_fixture_said(fixture, "offline"));
    peer_close(producer);
    peer_close(other);
    arena_close(&arena);
}

static void a_full_disk_is_told_to_every_producer_and_once_to_the_operator(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "samples", 1);
    atomic_store(&gate.write_error, -ENOSPC);
    for (int i = 0; i < 3; i++) {
        struct produce_response response;
        peer_call(peer, &arena, API_PRODUCE, 9,
                  produce_of(&arena, "samples", 0, -1, fixture_plain_batch(&arena, 2)), &response);
        assert_int_equal(response.responses.items[0].partition_responses.items[0].error_code,
                         KAFKA_KAFKA_STORAGE_ERROR);
    }
    atomic_store(&gate.write_error, 0);
    assert_int_equal(peer_produce(peer, "samples", 0, 2), 0);
    pthread_mutex_lock(&fixture->lock);
    const char *first = strstr(fixture->log, "cannot append");
    assert_non_null(first);
    assert_null(strstr(first + 1, "cannot append"));
    pthread_mutex_unlock(&fixture->lock);
    peer_close(peer);
    arena_close(&arena);
}

static void a_slow_disk_does_not_hold_up_the_loop(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int producer = peer_connect(fixture), other = peer_connect(fixture);
    peer_create_topic(producer, "samples", 1);
    atomic_store(&gate.write_ns, 10 * 1000000);
    peer_produce(producer, "samples", 0, 1); /* still on the loop: it finds out */
    atomic_store(&gate.write_ns, 0);
    assert_true(partition_is_slow(partition_of(fixture, "samples")));
    gate_set(&gate.writes_closed, true);
    for (int32_t i = 0; i < 3; i++)
        peer_ask(producer, API_PRODUCE, 9, i,
                 produce_of(&arena, "samples", 0, -1, fixture_plain_batch(&arena, 2)));
    gate_await_waiter();
    struct metadata_request request;
    struct metadata_response metadata;
    metadata_request_init(&request);
    peer_call(other, &arena, API_METADATA, 12, &request, &metadata);
    gate_set(&gate.writes_closed, false);
    for (int32_t i = 0; i < 3; i++) { /* in order all the same */
        struct produce_response response;
        peer_answer(producer, &arena, API_PRODUCE, 9, i, &response);
        assert_int_equal(response.responses.items[0].partition_responses.items[0].base_offset,
                         1 + 2 * i);
    }
    peer_close(producer);
    peer_close(other);
    arena_close(&arena);
}

static void a_bad_checksum_is_refused_and_nothing_is_written(void **state)
{
    struct broker_fixture *fixture = *state;
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "samples", 1);
    struct bytes batch = fixture_plain_batch(&arena, 2);
    ((uint8_t *)(uintptr_t)batch.data)[batch.size - 2] ^= 1;
    struct produce_response response;
    peer_call(peer, &arena, API_PRODUCE, 9, produce_of(&arena, "samples", 0, -1, batch), &response);
    assert_int_equal(response.responses.items[0].partition_responses.items[0].error_code,
                     KAFKA_CORRUPT_MESSAGE);
    assert_int_equal(log_end_offset(partition_of(fixture, "samples")->log), 0);
    peer_close(peer);
    arena_close(&arena);
}

/* A frame that decodes into a thousand times its size is held to the limit. */
static void a_frame_cannot_ask_for_more_memory_than_a_request_may_have(void **state)
{
    struct broker_fixture *fixture = *state;
    size_t size = 48 << 20;
    uint8_t *frame = calloc(1, size + 4);
    assert_non_null(frame);
    struct writer out = {0};
    struct metadata_request request;
    metadata_request_init(&request);
    request.topics.count = -1;
    request_frame(&out, API_METADATA, 9, 1, &request);
    /* The body begins with the compact array's count, 0 for null. */
    size_t header = out.size - 5;
    memcpy(frame, out.data, header);
    writer_close(&out);
    uint8_t *at = frame + header;
    uint32_t count = (uint32_t)((size + 4 - header - 8) / 2); /* a name "" and no tags each */
    for (uint32_t v = count + 1; v > 0; v >>= 7)
        *at++ = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
    for (uint32_t i = 0; i < count; i++) {
        *at++ = 1;
        *at++ = 0;
    }
    store_be32(frame, (uint32_t)size);
    refused(fixture, frame, size + 4);
    free(frame);
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(what_is_no_request_closes_the_connection),
        NODE_TEST(an_unknown_version_of_api_versions_is_answered_in_version_0),
        NODE_TEST(a_body_cut_anywhere_closes_the_connection),
        NODE_TEST(changed_bytes_are_answered_or_refused),
        NODE_TEST(pipelined_requests_are_answered_in_order),
        NODE_TEST(a_produce_parked_on_the_append_lock_outlives_its_connection),
        NODE_TEST(a_deadline_that_passes_while_parked_loses_nothing),
        NODE_TEST(a_refused_produce_without_acks_closes_the_connection),
        cmocka_unit_test_setup_teardown(what_is_appended_during_a_sync_is_synced_after_it,
                                        setup_gated, teardown),
        cmocka_unit_test_setup_teardown(a_topic_deleted_while_it_is_synced_takes_nothing_else_along,
                                        setup_gated, teardown),
        cmocka_unit_test_setup_teardown(
            a_full_disk_is_told_to_every_producer_and_once_to_the_operator, setup_gated, teardown),
        cmocka_unit_test_setup_teardown(a_slow_disk_does_not_hold_up_the_loop, setup_gated,
                                        teardown),
        NODE_TEST(a_bad_checksum_is_refused_and_nothing_is_written),
        NODE_TEST(a_frame_cannot_ask_for_more_memory_than_a_request_may_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
