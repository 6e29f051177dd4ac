#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "os/loop.h"
#include "os/pool.h"
#include "sim/sim.h"

/* A process with one loop that does something every ten milliseconds: works a job, writes a file.
 */
struct process {
    struct loop loop;
    struct loop_timer tick;
    struct pool_job job;
    int file;
    int turns;
    int64_t size;
    int *ticks; /* outside of the node */
};

static void job_run(struct pool_job *job)
{
    struct process *process = container_of(job, struct process, job);
    struct env *env = job->loop->env;
    char *scratch = malloc(100);
    env_random(env, scratch, 100);
    must(env_write_all(env, process->file, scratch, 100, process->size) == 0);
    must(env_sync(env, process->file) == 0);
    process->size += 100;
    free(scratch);
}

static void job_done(struct loop *loop, struct pool_job *job)
{
    struct process *process = container_of(job, struct process, job);
    (*process->ticks)++;
    loop_timer_set(loop, &process->tick, loop->now_ns + 10000000);
}

static void tick(struct loop *loop, struct loop_timer *timer)
{
    pool_submit(loop, &container_of(timer, struct process, tick)->job);
}

static void count_turn(struct loop *loop)
{
    container_of(loop, struct process, loop)->turns++;
}

static void process_main(struct env *env, void *context)
{
    struct process *process = calloc(1, sizeof *process);
    process->ticks = context;
    process->file = env_open(env, "/data", ENV_READ | ENV_WRITE | ENV_CREATE);
    must(process->file >= 0);
    must(loop_init(&process->loop, env, 0) == 0);
    process->loop.turn_begin = count_turn;
    process->job = (struct pool_job){.run = job_run, .done = job_done};
    loop_timer_init(&process->tick, tick);
    loop_timer_set(&process->loop, &process->tick, env_now_ns(env));
    must(loop_start(&process->loop, "loop") == 0);
    loop_join(&process->loop);
    loop_close(&process->loop);
    free(process);
}

static uint64_t run_seed(uint64_t seed, int *ret_ticks)
{
    struct sim_options options;
    sim_options_rough(seed, &options);
    struct sim *sim = sim_create(seed, &options);
    struct sim_node *a = sim_node_add(sim, "a"), *b = sim_node_add(sim, "b");
    *ret_ticks = 0;
    sim_start(a, process_main, ret_ticks);
    sim_start(b, process_main, ret_ticks);
    sim_run_for(sim, 500000000);
    sim_crash(a, SIM_POWER);
    sim_restart(a);
    sim_start(a, process_main, ret_ticks);
    sim_crash_after(b, (int64_t)sim_dice(sim, 200) + 1, SIM_KILL);
    sim_run_for(sim, 500000000);
    sim_note(sim, "ticks=%d", *ret_ticks);
    uint64_t hash = sim_trace_hash(sim);
    sim_destroy(sim);
    return hash;
}

static void the_same_seed_gives_the_same_trace(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        int ticks, again;
        void *shift = malloc(1000 + seed * 100); /* other addresses for the second run */
        uint64_t hash = run_seed(seed, &ticks);
        free(shift);
        assert_int_equal(run_seed(seed, &again), hash);
        assert_int_equal(ticks, again);
        assert_true(ticks > 30);
        assert_true(hash != last);
        last = hash;
    }
}

static void a_crash_at_any_call_leaves_a_node_that_starts_again(void **state)
{
    (void)state;
    int died_early = 0;
    for (int call = 1; call < 400; call++) {
        struct sim *sim = sim_create(1, NULL);
        struct sim_node *node = sim_node_add(sim, "a");
        int ticks = 0;
        sim_crash_after(node, call, call % 2 ? SIM_KILL : SIM_POWER);
        sim_start(node, process_main, &ticks);
        sim_run_for(sim, 10000000000);
        assert_false(sim_is_up(node));
        assert_false(sim_is_running(node));
        assert_int_equal(sim_memory_bytes(node), 0);
        died_early += ticks == 0;
        sim_restart(node);
        ticks = 0;
        sim_start(node, process_main, &ticks);
        sim_run_for(sim, 1000000000);
        assert_true(ticks > 20);
        sim_destroy(sim);
    }
    assert_in_range(died_early, 1, 200);
}

static void a_crash_at_a_path_strikes_there(void **state)
{
    (void)state;
    struct sim *sim = sim_create(1, NULL);
    struct sim_node *node = sim_node_add(sim, "a");
    int ticks = 0;
    sim_crash_at_path(node, "dat", SIM_KILL);
    sim_start(node, process_main, &ticks);
    sim_run_for(sim, 1000000000);
    assert_false(sim_is_up(node));
    assert_int_equal(ticks, 0);
    sim_destroy(sim);
}

static void crash_yourself(struct env *env, void *context)
{
    int *reached = context;
    (void)env;
    *reached = 1;
    char *lost = malloc(1000);
    memset(lost, 1, 1000);
    sim_crash((struct sim_node *)env, SIM_KILL);
    *reached = 2;
}

static void nothing_of_a_node_runs_after_its_crash(void **state)
{
    (void)state;
    struct sim *sim = sim_create(1, NULL);
    struct sim_node *node = sim_node_add(sim, "a");
    int reached = 0;
    sim_start(node, crash_yourself, &reached);
    sim_run_for(sim, 1000000000);
    assert_int_equal(reached, 1);
    assert_false(sim_is_up(node));
    sim_destroy(sim);
}

static void leak_some(struct env *env, void *context)
{
    (void)env;
    *(void **)context = malloc(123);
    free(strdup("freed"));
    free(realloc(calloc(3, 5), 100));
}

static void what_a_node_forgot_to_free_is_told(void **state)
{
    (void)state;
    struct sim *sim = sim_create(1, NULL);
    struct sim_node *node = sim_node_add(sim, "a");
    void *leaked = NULL;
    sim_start(node, leak_some, &leaked);
    sim_run_for(sim, 1000000000);
    assert_false(sim_is_running(node));
    assert_int_equal(sim_memory_bytes(node), 123);
    free(leaked);
    assert_int_equal(sim_memory_bytes(node), 0);
    sim_destroy(sim);
}

static void an_idle_loop_does_not_wake(void **state)
{
    (void)state;
    struct sim *sim = sim_create(1, NULL);
    struct sim_node *node = sim_node_add(sim, "a");
    struct loop loop;
    must(loop_init(&loop, sim_env(node), 0) == 0);
    must(loop_start(&loop, "idle") == 0);
    sim_run_for(sim, 1000000000);
    int64_t steps = sim_steps(sim);
    sim_run_for(sim, 3600000000000);
    assert_int_equal(sim_steps(sim), steps);
    assert_false(sim_step(sim));
    loop_stop(&loop);
    loop_join(&loop);
    loop_close(&loop);
    sim_destroy(sim);
}

struct post {
    struct loop_task task;
    struct loop *to;
    int left;
};

static void post_on(struct loop *loop, struct loop_task *task)
{
    struct post *post = container_of(task, struct post, task);
    struct loop *to = post->to;
    if (--post->left == 0)
        return;
    post->to = loop;
    loop_post(to, task);
}

static bool post_is_over(void *context)
{
    return ((struct post *)context)->left == 0;
}

static void loops_hand_tasks_to_each_other(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_options options;
        sim_options_rough(seed, &options);
        struct sim *sim = sim_create(seed, &options);
        struct env *env = sim_env(sim_node_add(sim, "a"));
        struct loop loops[2];
        for (int i = 0; i < 2; i++) {
            must(loop_init(&loops[i], env, i) == 0);
            must(loop_start(&loops[i], "loop") == 0);
        }
        struct post post = {.task.run = post_on, .to = &loops[1], .left = 100};
        loop_post(&loops[0], &post.task);
        assert_true(sim_run_until(sim, post_is_over, &post, 60000000000));
        for (int i = 0; i < 2; i++) {
            loop_stop(&loops[i]);
            loop_join(&loops[i]);
        }
        for (int i = 0; i < 2; i++)
            loop_close(&loops[i]);
        sim_destroy(sim);
    }
}

struct gap {
    struct loop loop;
    struct loop_timer timer;
    int64_t gap_ns;
};

static void note_gap(struct loop *loop, struct loop_timer *timer)
{
    container_of(timer, struct gap, timer)->gap_ns = loop->gap_ns;
}

static void a_paused_process_sees_the_gap(void **state)
{
    (void)state;
    struct sim *sim = sim_create(1, NULL);
    struct sim_node *node = sim_node_add(sim, "a");
    struct env *env = sim_env(node);
    struct gap gap = {0};
    must(loop_init(&gap.loop, env, 0) == 0);
    must(loop_start(&gap.loop, "loop") == 0);
    loop_timer_init(&gap.timer, note_gap);
    loop_timer_set(&gap.loop, &gap.timer, env_now_ns(env) + 2000000000);
    sim_run_for(sim, 1000000000);
    sim_pause(node, 30000000000);
    sim_run_for(sim, 60000000000);
    assert_in_range(gap.gap_ns, 28000000000, 30000000000);
    loop_stop(&gap.loop);
    loop_join(&gap.loop);
    loop_close(&gap.loop);
    sim_destroy(sim);
}

static void clocks_of_nodes_have_nothing_in_common(void **state)
{
    (void)state;
    struct sim *sim = sim_create(1, NULL);
    struct sim_node *a = sim_node_add(sim, "a"), *b = sim_node_add(sim, "b");
    int64_t difference = env_now_ns(sim_env(a)) - env_now_ns(sim_env(b));
    assert_true(llabs(difference) > 1000000000);
    assert_int_equal(env_wall_ms(sim_env(a)), env_wall_ms(sim_env(b)));
    sim_wall_jump(b, -5000);
    assert_int_equal(env_wall_ms(sim_env(a)), env_wall_ms(sim_env(b)) + 5000);
    sim_destroy(sim);
}

static void sync_on_loop(struct loop *loop, struct loop_timer *timer)
{
    (void)timer;
    (void)env_sync_dir(loop->env, "/");
}

static void a_blocking_call_on_a_loop_stops_the_program(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        must(freopen("/dev/null", "w", stderr));
        struct sim *sim = sim_create(1, NULL);
        struct loop loop;
        struct loop_timer timer;
        must(loop_init(&loop, sim_env(sim_node_add(sim, "a")), 0) == 0);
        loop_timer_init(&timer, sync_on_loop);
        loop_timer_set(&loop, &timer, 1);
        must(loop_start(&loop, "loop") == 0);
        sim_run_for(sim, 1000000000);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_trace),
        cmocka_unit_test(a_crash_at_any_call_leaves_a_node_that_starts_again),
        cmocka_unit_test(a_crash_at_a_path_strikes_there),
        cmocka_unit_test(nothing_of_a_node_runs_after_its_crash),
        cmocka_unit_test(what_a_node_forgot_to_free_is_told),
        cmocka_unit_test(an_idle_loop_does_not_wake),
        cmocka_unit_test(loops_hand_tasks_to_each_other),
        cmocka_unit_test(a_paused_process_sees_the_gap),
        cmocka_unit_test(clocks_of_nodes_have_nothing_in_common),
        cmocka_unit_test(a_blocking_call_on_a_loop_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
