/* Where one produce request goes: a node whose core is compiled with -finstrument-functions serves
 * it, and this prints every function that the request's loop entered and left meanwhile.
 *
 *     > 1a2b3c      entered, the address relative to the program's start
 *     <             left
 *
 * compare.py names the functions and compares them with ARCHITECTURE.md. The request is the second
 * to its partition, on a connection of its own: what happens only once is not shown, accepting a
 * connection is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../server/broker_fixture.h"

#define STEPS_MAX (1 << 20)

extern const char __executable_start[];

void __cyg_profile_func_enter(void *function, void *site);
void __cyg_profile_func_exit(void *function, void *site);

static struct {
    _Atomic bool on;
    pthread_t loop; /* the one thread that is listened to; there is one loop */
    _Atomic bool loop_known;
    uint32_t count;
    uintptr_t steps[STEPS_MAX]; /* the function; 0: left */
} trace;

static void step(uintptr_t function)
{
    if (trace.count < STEPS_MAX)
        trace.steps[trace.count++] = function;
}

/* The first thread that reads a socket while the trace is on is the loop: the client's calls are
 * not instrumented, and the pool has nothing to do. */
void __cyg_profile_func_enter(void *function, void *site)
{
    (void)site;
    if (!atomic_load_explicit(&trace.on, memory_order_acquire))
        return;
    if (!atomic_load_explicit(&trace.loop_known, memory_order_acquire)) {
        trace.loop = pthread_self();
        atomic_store_explicit(&trace.loop_known, true, memory_order_release);
    }
    if (pthread_equal(trace.loop, pthread_self()))
        step((uintptr_t)function);
}

void __cyg_profile_func_exit(void *function, void *site)
{
    (void)function;
    (void)site;
    if (atomic_load_explicit(&trace.on, memory_order_acquire) &&
        atomic_load_explicit(&trace.loop_known, memory_order_acquire) &&
        pthread_equal(trace.loop, pthread_self()))
        step(0);
}

static void trace_one_produce(void **state)
{
    (void)state;
    static const char *const overrides[] = {"jackdaw.event.loops=1", NULL};
    struct broker_fixture *fixture = broker_fixture_create(overrides);
    struct arena arena;
    arena_init(&arena, 0);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", 1);
    peer_produce(peer, "orders", 0, 1);

    struct bytes batch = fixture_batch_make(
        &arena, &(struct fixture_batch){
                    .count = 1, .producer_id = -1, .producer_epoch = -1, .base_sequence = -1});
    const struct produce_request *request = produce_of(&arena, "orders", 0, -1, batch);
    struct writer frame = {0};
    request_frame(&frame, API_PRODUCE, 11, 7, request);
    atomic_store(&trace.on, true);
    int second = peer_connect(fixture);
    assert_true(peer_send(second, frame.data, frame.size));
    struct produce_response response;
    size_t size;
    uint8_t *answer = peer_receive(second, &size);
    atomic_store(&trace.on, false);
    assert_non_null(answer);
    struct reader reader = reader_of(answer, size);
    int32_t correlation_id;
    const struct api *api = api_find(API_PRODUCE);
    assert_int_equal(response_header_decode(api, 11, &reader, &correlation_id), 0);
    assert_int_equal(correlation_id, 7);
    assert_int_equal(message_decode(api->response, 11, &reader, &arena, &response), 0);
    assert_int_equal(response.responses.items[0].partition_responses.items[0].base_offset, 1);
    free(answer);
    writer_close(&frame);
    peer_close(second);
    peer_close(peer);
    broker_fixture_destroy(fixture); /* joins the loop: the steps are all there */
    arena_close(&arena);

    assert_true(trace.count > 0 && trace.count < STEPS_MAX);
    for (uint32_t i = 0; i < trace.count; i++) {
        if (trace.steps[i])
            printf("> %" PRIxPTR "\n", trace.steps[i] - (uintptr_t)__executable_start);
        else
            printf("<\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(trace_one_produce)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
