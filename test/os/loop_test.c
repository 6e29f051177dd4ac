#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>

#include "base/must.h"
#include "os/linux_env.h"
#include "os/loop.h"
#include "os/pool.h"

struct fixture {
    struct env *env;
    struct loop loop;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->env = linux_env_create(NULL);
    must(fixture->env);
    must(loop_init(&fixture->loop, fixture->env, 0) == 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    loop_close(&fixture->loop);
    linux_env_destroy(fixture->env);
    free(fixture);
    return 0;
}

struct note {
    struct loop_task task;
    struct loop_timer timer;
    int *log;
    int *count;
    int id;
};

static void note_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct note *note = container_of(task, struct note, task);
    note->log[(*note->count)++] = note->id;
}

static void note_fire(struct loop *loop, struct loop_timer *timer)
{
    note_run(loop, &container_of(timer, struct note, timer)->task);
}

static void posts_of_one_poster_run_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct note notes[5];
    int log[5], count = 0;
    for (int i = 0; i < 5; i++) {
        notes[i] = (struct note){.task.run = note_run, .log = log, .count = &count, .id = i};
        loop_post(&fixture->loop, &notes[i].task);
    }
    assert_true(loop_turn(&fixture->loop));
    assert_int_equal(count, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(log[i], i);
}

static void defer_again(struct loop *loop, struct loop_task *task)
{
    struct note *note = container_of(task, struct note, task);
    (*note->count)++;
    loop_defer(loop, task);
}

static void a_task_that_defers_itself_runs_once_per_turn(void **state)
{
    struct fixture *fixture = *state;
    int count = 0;
    struct note note = {.task.run = defer_again, .count = &count};
    loop_defer(&fixture->loop, &note.task);
    for (int turn = 1; turn <= 3; turn++) {
        assert_true(loop_turn(&fixture->loop));
        assert_int_equal(count, turn);
    }
}

static void timers_fire_in_order_of_their_due_time(void **state)
{
    struct fixture *fixture = *state;
    struct loop *loop = &fixture->loop;
    static const int64_t after_us[] = {300, 100, 200, 0, 400};
    static const int order[] = {3, 1, 2, 0};
    struct note notes[5];
    int log[5], count = 0;
    int64_t start = env_now_ns(fixture->env);
    for (int i = 0; i < 5; i++) {
        notes[i] = (struct note){.task.run = note_run, .log = log, .count = &count, .id = i};
        loop_timer_init(&notes[i].timer, note_fire);
        loop_timer_set(loop, &notes[i].timer, start + after_us[i] * 1000);
    }
    loop_timer_cancel(loop, &notes[4].timer);
    loop_timer_cancel(loop, &notes[4].timer);
    while (count < 4)
        assert_true(loop_turn(loop));
    assert_true(loop->now_ns >= start + 300 * 1000);
    assert_memory_equal(log, order, sizeof order);
    assert_int_equal(loop->timers.size, 0);
}

static void a_timer_that_is_moved_fires_once_at_its_last_time(void **state)
{
    struct fixture *fixture = *state;
    struct loop *loop = &fixture->loop;
    int log[1], count = 0, turns = 0;
    struct note note = {.log = log, .count = &count};
    loop_timer_init(&note.timer, note_fire);
    int64_t last = 0;
    for (int i = 0; i < 3; i++) { /* the poller is told of the first and the earliest */
        last = env_now_ns(fixture->env) + (i == 1 ? 5 : 20) * 1000000;
        loop_timer_set(loop, &note.timer, last);
        fixture->env->ops->poller_wake(loop->poller);
        loop_turn(loop);
        assert_int_equal(count, loop->now_ns >= last);
        if (count > 0)
            return; /* the machine stood still meanwhile */
    }
    while (count == 0) {
        loop_turn(loop);
        turns++;
        assert_int_equal(count, loop->now_ns >= last);
    }
    assert_true(turns <= 3); /* it sleeps, but for the time that was given up */
    /* And again, from nothing. */
    last = env_now_ns(fixture->env) + 2000000;
    count = 0;
    loop_timer_set(loop, &note.timer, last);
    while (count == 0)
        loop_turn(loop);
    assert_true(loop->now_ns >= last);
}

static void timer_rearm(struct loop *loop, struct loop_timer *timer)
{
    struct note *note = container_of(timer, struct note, timer);
    (*note->count)++;
    loop_timer_set(loop, timer, 0);
}

static void a_timer_with_slack_fires_with_the_next_that_has_none(void **state)
{
    struct fixture *fixture = *state;
    struct loop *loop = &fixture->loop;
    static const int64_t after_us[] = {1000, 3000}, slack_us[] = {3600000000, 0};
    struct note notes[2];
    int log[2], count = 0;
    int64_t start = env_now_ns(fixture->env);
    for (int i = 0; i < 2; i++) {
        notes[i] = (struct note){.log = log, .count = &count, .id = i};
        loop_timer_init(&notes[i].timer, note_fire);
        notes[i].timer.slack_ns = slack_us[i] * 1000;
        loop_timer_set(loop, &notes[i].timer, start + after_us[i] * 1000);
    }
    while (count == 0)
        assert_true(loop_turn(loop));
    assert_true(loop->now_ns >= start + after_us[1] * 1000);
    assert_int_equal(count, 2); /* in one turn, for which the loop woke once */
    assert_int_equal(log[0], 1);
}

static void a_loop_that_is_awake_uses_no_slack(void **state)
{
    struct fixture *fixture = *state;
    struct loop *loop = &fixture->loop;
    int log[1], count = 0;
    struct note note = {.log = log, .count = &count};
    loop_timer_init(&note.timer, note_fire);
    note.timer.slack_ns = INT64_MAX;
    int64_t due = env_now_ns(fixture->env) + 1000000;
    loop_timer_set(loop, &note.timer, due);
    do {
        assert_int_equal(count, 0);
        fixture->env->ops->poller_wake(loop->poller);
        assert_true(loop_turn(loop));
    } while (loop->now_ns < due);
    assert_int_equal(count, 1);
}

static void a_timer_armed_for_the_past_does_not_hold_the_loop(void **state)
{
    struct fixture *fixture = *state;
    int count = 0;
    struct note note = {.count = &count};
    loop_timer_init(&note.timer, timer_rearm);
    loop_timer_set(&fixture->loop, &note.timer, 0);
    for (int turn = 1; turn <= 3; turn++) {
        assert_true(loop_turn(&fixture->loop));
        assert_int_equal(count, turn);
    }
    loop_timer_cancel(&fixture->loop, &note.timer);
}

static void a_late_turn_tells_its_gap(void **state)
{
    struct fixture *fixture = *state;
    struct loop *loop = &fixture->loop;
    int log[1], count = 0;
    struct note note = {.log = log, .count = &count};
    loop_timer_init(&note.timer, note_fire);
    /* As if the last turn had been ten seconds ago and the timer due five seconds ago. */
    loop->now_ns -= 10000000000;
    loop_timer_set(loop, &note.timer, loop->now_ns + 5000000000);
    assert_true(loop_turn(loop));
    assert_int_equal(count, 1);
    assert_true(loop->gap_ns >= 5000000000 && loop->gap_ns < 10000000000);
    /* A loop that had no timer slept; it was not late. */
    loop->now_ns -= 10000000000;
    loop_post(loop, &(struct note){.task.run = note_run, .log = log, .count = &(int){0}}.task);
    assert_true(loop_turn(loop));
    assert_int_equal(loop->gap_ns, 0);
}

/* A pair of connected sockets, both non-blocking. */
static void make_pair(struct env *env, int pair[2])
{
    struct net_address address;
    assert_int_equal(net_address_parse("127.0.0.1", 0, &address), 0);
    int listener = env_listen(env, &address, 5);
    assert_true(listener >= 0);
    assert_int_equal(env_sock_local(env, listener, &address), 0);
    pair[0] = env_connect(env, &address);
    assert_true(pair[0] >= 0);
    do
        pair[1] = env_accept(env, listener, NULL);
    while (pair[1] == -EAGAIN);
    assert_true(pair[1] >= 0);
    env_sock_close(env, listener);
}

static void sock_send(struct env *env, int sock, const char *text)
{
    struct iovec part = {(void *)text, strlen(text)};
    assert_int_equal(env_sock_write(env, sock, &part, 1, false), strlen(text));
}

struct ear {
    struct loop_sock watch;
    struct ear *other;
    int calls;
    unsigned events;
};

/* Whoever is called first removes the other, which is ready too. */
static void ear_ready(struct loop *loop, struct loop_sock *watch, unsigned events)
{
    struct ear *ear = container_of(watch, struct ear, watch);
    ear->calls++;
    ear->events = events;
    if (ear->other) {
        loop_sock_remove(loop, &ear->other->watch);
        ear->other->watch.ready = NULL;
        ear->other = NULL;
    }
}

static void a_removed_watch_is_not_called_in_the_same_turn(void **state)
{
    struct fixture *fixture = *state;
    struct loop *loop = &fixture->loop;
    struct ear ears[2] = {0};
    int pairs[2][2];
    for (int i = 0; i < 2; i++) {
        make_pair(fixture->env, pairs[i]);
        ears[i].watch = (struct loop_sock){.sock = pairs[i][0], .ready = ear_ready};
        ears[i].other = &ears[1 - i];
        assert_int_equal(loop_sock_add(loop, &ears[i].watch, ENV_POLL_IN), 0);
        sock_send(fixture->env, pairs[i][1], "x");
    }
    /* Loopback delivers at once, so both are ready in one turn. */
    while (ears[0].calls + ears[1].calls == 0)
        assert_true(loop_turn(loop));
    assert_int_equal(ears[0].calls + ears[1].calls, 1);
    for (int i = 0; i < 2; i++) {
        loop_sock_remove(loop, &ears[i].watch);
        env_sock_close(fixture->env, pairs[i][0]);
        env_sock_close(fixture->env, pairs[i][1]);
    }
}

static void readiness_is_level_triggered(void **state)
{
    struct fixture *fixture = *state;
    struct loop *loop = &fixture->loop;
    int pair[2];
    make_pair(fixture->env, pair);
    struct ear ear = {.watch = {.sock = pair[0], .ready = ear_ready}};
    assert_int_equal(loop_sock_add(loop, &ear.watch, ENV_POLL_IN), 0);
    sock_send(fixture->env, pair[1], "x");
    while (ear.calls < 3)
        assert_true(loop_turn(loop));
    assert_int_equal(ear.events, ENV_POLL_IN);
    assert_int_equal(loop_sock_change(loop, &ear.watch, ENV_POLL_OUT), 0);
    ear.calls = 0;
    while (ear.calls < 1)
        assert_true(loop_turn(loop));
    assert_int_equal(ear.events, ENV_POLL_OUT);
    loop_sock_remove(loop, &ear.watch);
    env_sock_close(fixture->env, pair[0]);
    env_sock_close(fixture->env, pair[1]);
}

/* Operations that count wakes, else the real ones. */

static _Atomic int64_t wake_count;
static void (*real_wake)(struct env_poller *poller);

static void counting_wake(struct env_poller *poller)
{
    atomic_fetch_add(&wake_count, 1);
    real_wake(poller);
}

static void posts_of_the_own_thread_make_no_system_call(void **state)
{
    struct fixture *fixture = *state;
    const struct env_ops *real = fixture->env->ops;
    struct env_ops counting = *real;
    real_wake = real->poller_wake;
    counting.poller_wake = counting_wake;
    fixture->env->ops = &counting;
    atomic_store(&wake_count, 0);
    int log[100], count = 0;
    struct note notes[100];
    for (int i = 0; i < 100; i++) {
        notes[i] = (struct note){.task.run = note_run, .log = log, .count = &count, .id = i};
        loop_post(&fixture->loop, &notes[i].task);
        assert_true(loop_turn(&fixture->loop));
    }
    assert_int_equal(count, 100);
    assert_int_equal(atomic_load(&wake_count), 0);
    fixture->env->ops = real;
}

#define STRESS_THREADS 3
#define STRESS_ROUNDS 4000

/* Each poster posts its one task again only after it ran, so the loop goes to sleep all the time
 * and a lost wake-up hangs the test. */
struct poster {
    struct loop_task task;
    struct loop *loop;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ran;
    int runs; /* lock */
    bool quietly;
};

static void poster_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct poster *poster = container_of(task, struct poster, task);
    pthread_mutex_lock(&poster->lock);
    poster->runs++;
    pthread_cond_signal(&poster->ran);
    pthread_mutex_unlock(&poster->lock);
}

static void *poster_thread(void *context)
{
    struct poster *poster = context;
    for (int i = 0; i < STRESS_ROUNDS; i++) {
        if (poster->quietly) {
            struct wakes wakes;
            wakes_init(&wakes);
            loop_post_later(poster->loop, &poster->task, &wakes);
            wakes_run(&wakes);
        } else {
            loop_post(poster->loop, &poster->task);
        }
        pthread_mutex_lock(&poster->lock);
        while (poster->runs <= i)
            pthread_cond_wait(&poster->ran, &poster->lock);
        pthread_mutex_unlock(&poster->lock);
    }
    return NULL;
}

static void no_post_of_another_thread_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct loop *loop = &fixture->loop;
    const struct env_ops *real = fixture->env->ops;
    struct env_ops counting = *real;
    real_wake = real->poller_wake;
    counting.poller_wake = counting_wake;
    fixture->env->ops = &counting;
    atomic_store(&wake_count, 0);
    struct poster posters[STRESS_THREADS] = {0};
    assert_int_equal(loop_start(loop, "stress"), 0);
    for (int i = 0; i < STRESS_THREADS; i++) {
        posters[i].task.run = poster_run;
        posters[i].loop = loop;
        posters[i].quietly = i % 2;
        pthread_mutex_init(&posters[i].lock, NULL);
        pthread_cond_init(&posters[i].ran, NULL);
        must(pthread_create(&posters[i].thread, NULL, poster_thread, &posters[i]) == 0);
    }
    for (int i = 0; i < STRESS_THREADS; i++)
        pthread_join(posters[i].thread, NULL);
    loop_stop(loop);
    loop_join(loop);
    for (int i = 0; i < STRESS_THREADS; i++)
        assert_int_equal(posters[i].runs, STRESS_ROUNDS);
    assert_in_range(atomic_load(&wake_count), 1, STRESS_THREADS * STRESS_ROUNDS + 1);
    fixture->env->ops = real;
}

static void stopping_wakes_a_sleeping_loop(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 200; i++) {
        struct loop loop;
        assert_int_equal(loop_init(&loop, fixture->env, 1), 0);
        assert_int_equal(loop_start(&loop, "stop"), 0);
        loop_stop(&loop);
        loop_join(&loop);
        loop_close(&loop);
    }
}

struct work {
    struct pool_job job;
    pthread_t ran_on;
    _Atomic int *running;
    _Atomic int *most;
    int *done;
};

static void work_run(struct pool_job *job)
{
    struct work *work = container_of(job, struct work, job);
    int now = atomic_fetch_add(work->running, 1) + 1;
    int most = atomic_load(work->most);
    while (now > most && !atomic_compare_exchange_weak(work->most, &most, now))
        ;
    work->ran_on = pthread_self();
    char data[4096];
    env_random(job->loop->env, data, sizeof data);
    atomic_fetch_sub(work->running, 1);
}

static void work_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    (*container_of(job, struct work, job)->done)++;
}

static void jobs_run_elsewhere_and_are_done_on_their_loop(void **state)
{
    struct fixture *fixture = *state;
    enum { JOBS = 300 };
    static struct work works[JOBS];
    _Atomic int running = 0, most = 0;
    int done = 0;
    for (int i = 0; i < JOBS; i++) {
        works[i] = (struct work){.job = {.run = work_run, .done = work_done},
                                 .running = &running,
                                 .most = &most,
                                 .done = &done};
        pool_submit(&fixture->loop, &works[i].job);
    }
    while (done < JOBS)
        assert_true(loop_turn(&fixture->loop));
    for (int i = 0; i < JOBS; i++)
        assert_false(pthread_equal(works[i].ran_on, pthread_self()));
    assert_in_range(atomic_load(&most), 1, LINUX_POOL_THREADS_DEFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(posts_of_one_poster_run_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_task_that_defers_itself_runs_once_per_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(timers_fire_in_order_of_their_due_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_that_is_moved_fires_once_at_its_last_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_timer_with_slack_fires_with_the_next_that_has_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_loop_that_is_awake_uses_no_slack, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_armed_for_the_past_does_not_hold_the_loop, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_late_turn_tells_its_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(a_removed_watch_is_not_called_in_the_same_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(readiness_is_level_triggered, setup, teardown),
        cmocka_unit_test_setup_teardown(posts_of_the_own_thread_make_no_system_call, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_post_of_another_thread_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(stopping_wakes_a_sleeping_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(jobs_run_elsewhere_and_are_done_on_their_loop, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
