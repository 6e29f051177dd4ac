#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sched.h>

#include "base/must.h"
#include "base/watermark.h"

struct request {
    struct waiter waiter;
    _Atomic int fired;
    int order;
};

static int fire_count;

static void request_fire(struct waiter *waiter, struct wakes *wakes)
{
    (void)wakes;
    struct request *request = container_of(waiter, struct request, waiter);
    request->order = fire_count++;
    atomic_fetch_add(&request->fired, 1);
}

static void request_init(struct request *request)
{
    *request = (struct request){.order = -1};
    waiter_init(&request->waiter, request_fire);
}

static void a_waiter_fires_when_its_offset_is_reached(void **state)
{
    (void)state;
    struct watermark mark;
    struct request request;
    watermark_init(&mark, 10, 3);
    request_init(&request);
    assert_true(watermark_wait(&mark, &request.waiter, 12, 3));
    watermark_advance(&mark, 11);
    assert_int_equal(request.fired, 0);
    watermark_advance(&mark, 12);
    assert_int_equal(request.fired, 1);
    assert_false(request.waiter.failed);
    watermark_advance(&mark, 13);
    assert_int_equal(request.fired, 1);
    watermark_close(&mark);
}

static void a_reached_offset_is_not_waited_for(void **state)
{
    (void)state;
    struct watermark mark;
    struct request request;
    watermark_init(&mark, 10, 3);
    request_init(&request);
    assert_false(watermark_wait(&mark, &request.waiter, 10, 3));
    assert_false(request.waiter.failed);
    assert_int_equal(request.fired, 0);
    watermark_close(&mark);
}

static void waiting_under_another_epoch_fails(void **state)
{
    (void)state;
    struct watermark mark;
    struct request request;
    watermark_init(&mark, 10, 3);
    request_init(&request);
    assert_false(watermark_wait(&mark, &request.waiter, 20, 2));
    assert_true(request.waiter.failed);
    assert_false(watermark_wait(&mark, &request.waiter, 5, 4));
    assert_true(request.waiter.failed);
    watermark_reset(&mark, 0, -1);
    assert_false(watermark_wait(&mark, &request.waiter, 0, -1));
    assert_true(request.waiter.failed);
    watermark_close(&mark);
}

static void a_reset_fails_all_waiters_and_may_lower_the_value(void **state)
{
    (void)state;
    struct watermark mark;
    struct request near, far;
    watermark_init(&mark, 10, 3);
    request_init(&near);
    request_init(&far);
    assert_true(watermark_wait(&mark, &near.waiter, 11, 3));
    assert_true(watermark_wait(&mark, &far.waiter, 1000, 3));
    watermark_reset(&mark, 4, 5);
    assert_true(near.waiter.failed && near.fired == 1);
    assert_true(far.waiter.failed && far.fired == 1);
    assert_int_equal(watermark_get(&mark), 4);
    assert_true(watermark_wait(&mark, &near.waiter, 11, 5));
    assert_false(near.waiter.failed);
    watermark_cancel(&mark, &near.waiter);
    watermark_close(&mark);
}

static void stirred_waiters_fire_and_have_not_failed(void **state)
{
    (void)state;
    struct watermark mark;
    struct request requests[2];
    watermark_init(&mark, 10, 3);
    for (int i = 0; i < 2; i++) {
        request_init(&requests[i]);
        assert_true(watermark_wait(&mark, &requests[i].waiter, 20 + i, 3));
    }
    watermark_stir(&mark);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(requests[i].fired, 1);
        assert_false(requests[i].waiter.failed);
    }
    assert_int_equal(watermark_get(&mark), 10);
    assert_true(watermark_wait(&mark, &requests[0].waiter, 11, 3)); /* it may wait again */
    watermark_advance(&mark, 11);
    assert_int_equal(requests[0].fired, 2);
    assert_int_equal(requests[1].fired, 1);
    watermark_close(&mark);
}

static void the_value_never_falls_by_advancing(void **state)
{
    (void)state;
    struct watermark mark;
    watermark_init(&mark, 10, 3);
    watermark_advance(&mark, 9);
    assert_int_equal(watermark_get(&mark), 10);
    watermark_close(&mark);
}

static void a_cancelled_waiter_does_not_fire(void **state)
{
    (void)state;
    struct watermark mark;
    struct request request;
    watermark_init(&mark, 10, 3);
    request_init(&request);
    watermark_cancel(&mark, &request.waiter);
    assert_true(watermark_wait(&mark, &request.waiter, 12, 3));
    watermark_cancel(&mark, &request.waiter);
    watermark_advance(&mark, 100);
    assert_int_equal(request.fired, 0);
    watermark_close(&mark);
}

static void waiters_fire_by_offset_and_then_by_age(void **state)
{
    (void)state;
    static const int offsets[] = {15, 12, 15, 11, 20, 12};
    static const int order[] = {3, 1, 4, 0, 5, 2};
    struct watermark mark;
    struct request requests[array_size(offsets)];
    watermark_init(&mark, 10, 3);
    fire_count = 0;
    for (size_t i = 0; i < array_size(offsets); i++) {
        request_init(&requests[i]);
        assert_true(watermark_wait(&mark, &requests[i].waiter, offsets[i], 3));
    }
    watermark_advance(&mark, 30);
    for (size_t i = 0; i < array_size(offsets); i++)
        assert_int_equal(requests[i].order, order[i]);
    watermark_close(&mark);
}

#define RACE_ROUNDS 20000

struct race {
    struct watermark mark;
    _Atomic int64_t wanted;
    _Atomic bool done;
};

static void *race_advance(void *context)
{
    struct race *race = context;
    while (!atomic_load(&race->done)) {
        watermark_advance(&race->mark, atomic_load(&race->wanted));
        sched_yield();
    }
    return NULL;
}

/* The waiter is on the stack of one round: a fire after cancel would be seen by the sanitizers, a
 * lost one would hang. */
static void no_fire_is_lost_or_late_under_a_race(void **state)
{
    (void)state;
    struct race race = {.wanted = 0};
    pthread_t thread;
    watermark_init(&race.mark, 0, 1);
    assert_int_equal(pthread_create(&thread, NULL, race_advance, &race), 0);
    for (int64_t i = 1; i <= RACE_ROUNDS; i++) {
        struct request request;
        request_init(&request);
        atomic_store(&race.wanted, i);
        if (watermark_wait(&race.mark, &request.waiter, i, 1)) {
            if (i % 3 == 0) {
                watermark_cancel(&race.mark, &request.waiter);
            } else {
                while (atomic_load(&request.fired) == 0)
                    sched_yield();
                watermark_cancel(&race.mark, &request.waiter);
                assert_int_equal(request.fired, 1);
            }
        }
    }
    atomic_store(&race.done, true);
    pthread_join(thread, NULL);
    watermark_close(&race.mark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiter_fires_when_its_offset_is_reached),
        cmocka_unit_test(a_reached_offset_is_not_waited_for),
        cmocka_unit_test(waiting_under_another_epoch_fails),
        cmocka_unit_test(a_reset_fails_all_waiters_and_may_lower_the_value),
        cmocka_unit_test(stirred_waiters_fire_and_have_not_failed),
        cmocka_unit_test(the_value_never_falls_by_advancing),
        cmocka_unit_test(a_cancelled_waiter_does_not_fire),
        cmocka_unit_test(waiters_fire_by_offset_and_then_by_age),
        cmocka_unit_test(no_fire_is_lost_or_late_under_a_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
