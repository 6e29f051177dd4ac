#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/parklock.h"

struct owner {
    struct park_waiter park;
    _Atomic int fired;
};

static void owner_fire(struct park_waiter *park, struct wakes *wakes)
{
    (void)wakes;
    atomic_fetch_add(&container_of(park, struct owner, park)->fired, 1);
}

static void the_lock_is_handed_on_in_the_order_of_asking(void **state)
{
    (void)state;
    struct parklock lock;
    struct owner a = {.park.fire = owner_fire}, b = a;
    parklock_init(&lock);
    assert_true(parklock_try(&lock));
    assert_false(parklock_try(&lock));
    assert_false(parklock_take(&lock, &a.park));
    assert_false(parklock_take(&lock, &b.park));
    parklock_release(&lock);
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 0);
    assert_true(parklock_take(&lock, &a.park));
    parklock_release(&lock);
    assert_int_equal(b.fired, 1);
    assert_true(parklock_take(&lock, &b.park));
    parklock_release(&lock);
    assert_true(parklock_try(&lock));
    parklock_release(&lock);
    parklock_close(&lock);
}

static void looking_again_keeps_the_place_in_line(void **state)
{
    (void)state;
    struct parklock lock;
    struct owner a = {.park.fire = owner_fire}, b = a;
    parklock_init(&lock);
    assert_true(parklock_try(&lock));
    assert_false(parklock_take(&lock, &a.park));
    assert_false(parklock_take(&lock, &b.park));
    assert_false(parklock_take(&lock, &a.park));
    parklock_release(&lock);
    assert_false(parklock_take(&lock, &b.park));
    assert_true(parklock_take(&lock, &a.park));
    parklock_release(&lock);
    assert_true(parklock_take(&lock, &b.park));
    parklock_release(&lock);
    parklock_close(&lock);
}

static void a_waiter_may_be_used_again(void **state)
{
    (void)state;
    struct parklock lock;
    struct owner a = {.park.fire = owner_fire};
    parklock_init(&lock);
    for (int i = 0; i < 3; i++) {
        assert_true(parklock_try(&lock));
        assert_false(parklock_take(&lock, &a.park));
        parklock_release(&lock);
        assert_true(parklock_take(&lock, &a.park));
        parklock_release(&lock);
    }
    assert_int_equal(a.fired, 3);
    assert_true(parklock_take(&lock, &a.park));
    parklock_release(&lock);
    parklock_close(&lock);
}

/* An owner that looks again all the time, not only when it is fired (as a request whose deadline
 * passes or whose connection closes), frees its waiter as soon as it holds the lock. `fire` must
 * have returned by then. */
struct race {
    struct parklock lock;
    int counter; /* the lock's */
};

struct racer {
    struct park_waiter park;
    _Atomic bool fired;
};

static void racer_fire(struct park_waiter *park, struct wakes *wakes)
{
    (void)wakes;
    struct racer *racer = container_of(park, struct racer, park);
    for (int i = 0; i < 20; i++) /* time for the owner to look */
        atomic_store(&racer->fired, false);
    atomic_store(&racer->fired, true);
}

enum { RACE_ROUNDS = 2000, RACE_THREADS = 3 };

static void *race_run(void *context)
{
    struct race *race = context;
    for (int i = 0; i < RACE_ROUNDS; i++) {
        struct racer *racer = calloc(1, sizeof *racer);
        racer->park.fire = racer_fire;
        while (!parklock_take(&race->lock, &racer->park))
            sched_yield();
        free(racer);
        race->counter++;
        parklock_release(&race->lock);
    }
    return NULL;
}

static void an_owner_that_looks_early_never_outruns_the_handing_over(void **state)
{
    (void)state;
    struct race race = {0};
    pthread_t threads[RACE_THREADS];
    parklock_init(&race.lock);
    for (int i = 0; i < RACE_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_run, &race), 0);
    for (int i = 0; i < RACE_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race.counter, RACE_ROUNDS * RACE_THREADS);
    parklock_close(&race.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lock_is_handed_on_in_the_order_of_asking),
        cmocka_unit_test(looking_again_keeps_the_place_in_line),
        cmocka_unit_test(a_waiter_may_be_used_again),
        cmocka_unit_test(an_owner_that_looks_early_never_outruns_the_handing_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
