/* Two loops, their pool, timers, effects and a leadership that changes, on a real disk; meant for
 * ThreadSanitizer. count_world.h says what is checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "base/must.h"
#include "count_world.h"
#include "os/linux_env.h"

struct end {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ended; /* lock */
};

static void on_ended(void *context)
{
    struct end *end = context;
    pthread_mutex_lock(&end->lock);
    end->ended = true;
    pthread_cond_signal(&end->changed);
    pthread_mutex_unlock(&end->lock);
}

static void run_once(const struct count_plan *plan)
{
    struct end end = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct count_plan own = *plan;
    own.ended = on_ended;
    own.context = &end;
    struct env *env = linux_env_create(NULL);
    must(env);
    struct count_world *world = count_world_create(env, &own);
    count_world_start(world);
    pthread_mutex_lock(&end.lock);
    while (!end.ended)
        pthread_cond_wait(&end.changed, &end.lock);
    pthread_mutex_unlock(&end.lock);
    count_world_destroy(world);
    linux_env_destroy(env);
}

static void run(int64_t flush_messages)
{
    char dir[] = "/tmp/coord-threads-XXXXXX";
    struct count_history history = {0};
    assert_non_null(mkdtemp(dir));
    struct count_plan plan = {
        .dir = dir, .flush_messages = flush_messages, .ops = 400, .flips = 40, .history = &history};
    run_once(&plan);
    for (int i = 0; i < COUNT_SHARDS; i++)
        assert_true(atomic_load(&history.acked[i]) > 0);
    assert_true(atomic_load(&history.effects) > 0);
    assert_true(atomic_load(&history.given_up) > 0);
    int64_t loads = atomic_load(&history.loads);
    assert_true(loads >= COUNT_SHARDS);
    plan.ops = 5; /* on what is there */
    plan.flips = 1;
    run_once(&plan);
    assert_true(atomic_load(&history.loads) > loads);
    struct env *env = linux_env_create(NULL);
    assert_int_equal(env_remove_tree(env, dir), 0);
    linux_env_destroy(env);
}

static void loops_share_shards_while_the_leadership_changes(void **state)
{
    (void)state;
    run(INT64_MAX);
}

static void the_same_when_every_commit_waits_for_the_device(void **state)
{
    (void)state;
    run(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_share_shards_while_the_leadership_changes),
        cmocka_unit_test(the_same_when_every_commit_waits_for_the_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
