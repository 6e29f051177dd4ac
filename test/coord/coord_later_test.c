/* What a coordinator does later than in an operation: effects, timers, parked requests, tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>

#include "../log/ram_disk.h"
#include "base/errors.h"
#include "coord_kit.h"

/* ---- effects ---- */

struct noted_effect {
    struct coord_effect effect;
    int released;
    int64_t order;
    int64_t *clock;
};

static void effect_note(struct coord_effect *effect, void *state, struct wakes *wakes)
{
    struct noted_effect *noted = container_of(effect, struct noted_effect, effect);
    assert_non_null(state);
    assert_non_null(wakes);
    noted->released++;
    noted->order = ++*noted->clock;
}

/* What adds 1 to "a", with an effect. */
static void effect_op(struct kit *kit, struct toy_op *op, struct noted_effect *effect,
                      int64_t *clock)
{
    *effect = (struct noted_effect){.clock = clock};
    coord_effect_init(&effect->effect, effect_note);
    toy_op_init(op, kit, 0, "a", 1);
    op->effect = &effect->effect;
}

static void an_effect_is_released_when_its_records_are_committed(void **state)
{
    struct kit *kit = *state;
    int64_t clock = 0;
    struct noted_effect effects[2];
    struct toy_op ops[2];
    for (int i = 0; i < 2; i++) {
        effect_op(kit, &ops[i], &effects[i], &clock);
        assert_false(toy_op_run(&ops[i]));
    }
    kit_turns(kit, 3);
    assert_int_equal(clock, 0);
    kit_run_jobs(kit);
    kit_turns(kit, 3);
    assert_int_equal(effects[0].order, 1);
    assert_int_equal(effects[1].order, 2);
    assert_true(toy_op_run(&ops[0]));
    assert_true(toy_op_run(&ops[1]));
}

static void an_effect_of_what_is_committed_runs_before_its_op_ends(void **state)
{
    struct kit *kit = *state;
    int64_t clock = 0;
    struct noted_effect effect;
    struct toy_op op;
    effect_op(kit, &op, &effect, &clock);
    assert_true(toy_op_run(&op));
    assert_int_equal(effect.released, 1);
}

static void a_cancelled_effect_is_not_released(void **state)
{
    struct kit *kit = *state;
    int64_t clock = 0;
    struct noted_effect effect;
    struct toy_op op;
    effect_op(kit, &op, &effect, &clock);
    assert_false(toy_op_run(&op));
    coord_effect_cancel(&effect.effect);
    kit_run_jobs(kit);
    kit_turns(kit, 3);
    assert_int_equal(clock, 0);
    assert_true(toy_op_run(&op));
}

static void effects_are_dropped_with_the_leadership(void **state)
{
    struct kit *kit = *state;
    int64_t clock = 0;
    struct noted_effect effect;
    struct toy_op op;
    effect_op(kit, &op, &effect, &clock);
    assert_false(toy_op_run(&op));
    kit_lead(kit, 0, -1);
    assert_true(toy_op_run(&op));
    assert_int_equal(op.error, KAFKA_NOT_COORDINATOR);
    kit->jobs_held = false;
    kit_turns(kit, 4);
    assert_int_equal(clock, 0);
    assert_true(list_empty(&effect.effect.link));
}

/* ---- timers ---- */

struct noted_timer {
    struct coord_timer timer;
    int fired, settled, settle_error;
    int64_t delta;    /* a record is written */
    int64_t again_ns; /* sets itself again instead */
};

static int timer_note(struct coord_timer *timer, struct coord_op *op, void *state,
                      const struct coord_turn *turn)
{
    struct noted_timer *noted = container_of(timer, struct noted_timer, timer);
    (void)state;
    assert_false(coord_timer_armed(timer));
    if (noted->again_ns > turn->now_ns) {
        coord_timer_set(op->shard, timer, noted->again_ns);
        return 0;
    }
    noted->fired++;
    if (noted->delta == 0)
        return 0;
    uint8_t value[8];
    store_be64(value, (uint64_t)noted->delta);
    return coord_op_put_bytes(op, (struct bytes){(const uint8_t *)"a", 1},
                              (struct bytes){value, 8});
}

static void timer_settle_note(struct coord_timer *timer, struct coord_op *op, void *state,
                              const struct coord_turn *turn, int error)
{
    struct noted_timer *noted = container_of(timer, struct noted_timer, timer);
    (void)op, (void)state, (void)turn;
    noted->settled++;
    noted->settle_error = error;
}

static void timer_make(struct noted_timer *noted)
{
    *noted = (struct noted_timer){0};
    coord_timer_init(&noted->timer);
    noted->timer.decide = timer_note;
    noted->timer.settle = timer_settle_note;
}

static void timer_arm(struct kit *kit, struct noted_timer *noted, int64_t due_ns)
{
    struct toy_op op;
    toy_op_init(&op, kit, 1, "x", 1);
    op.timer = &noted->timer;
    op.timer_due_ns = due_ns;
    assert_true(toy_op_run(&op));
}

static void a_timer_fires_when_due_and_its_records_are_applied(void **state)
{
    struct kit *kit = *state;
    struct noted_timer timer;
    timer_make(&timer);
    timer.delta = 5;
    timer_arm(kit, &timer, 2000);
    kit_turns(kit, 3);
    assert_int_equal(timer.fired, 0);
    assert_int_equal(kit->loops[1].timers.size, 1);
    kit->now_ns = 2000;
    kit_turns(kit, 2);
    assert_int_equal(timer.fired, 1);
    assert_int_equal(timer.settled, 1);
    assert_int_equal(toy_get(kit, 1, "a"), 5);
    kit_turns(kit, 2);
    assert_int_equal(kit->loops[1].timers.size, 0); /* an idle shard wakes nobody */
}

static void a_timer_may_move_itself(void **state)
{
    struct kit *kit = *state;
    struct noted_timer timer;
    timer_make(&timer);
    timer.again_ns = 3000;
    timer_arm(kit, &timer, 2000);
    kit->now_ns = 2500;
    kit_turns(kit, 3);
    assert_int_equal(timer.fired, 0);
    kit->now_ns = 3000;
    kit_turns(kit, 3);
    assert_int_equal(timer.fired, 1);
}

static void timers_fire_in_the_order_they_are_due(void **state)
{
    struct kit *kit = *state;
    struct noted_timer timers[200];
    for (int i = 0; i < 200; i++) {
        timer_make(&timers[i]);
        timer_arm(kit, &timers[i], 2000 + (i * 37) % 200);
    }
    kit->now_ns = 2099;
    kit_turns(kit, 5);
    for (int i = 0; i < 200; i++)
        assert_int_equal(timers[i].fired, 2000 + (i * 37) % 200 <= 2099);
    kit->now_ns = 2200;
    kit_turns(kit, 5);
    for (int i = 0; i < 200; i++)
        assert_int_equal(timers[i].fired, 1);
}

static void liveness_is_not_counted_while_the_process_stands_still(void **state)
{
    struct kit *kit = *state;
    struct noted_timer session, retention;
    timer_make(&session);
    timer_make(&retention);
    session.timer.liveness = true;
    timer_arm(kit, &session, 3000);
    timer_arm(kit, &retention, 2000);
    kit_turns(kit, 2);
    kit->loops[1].gap_ns = 10000;
    coord_gap(kit->coord, &kit->loops[1]);
    kit->now_ns = 12999;
    kit_turns(kit, 3);
    assert_int_equal(retention.fired, 1);
    assert_int_equal(session.fired, 0);
    kit->now_ns = 13000;
    kit_turns(kit, 3);
    assert_int_equal(session.fired, 1);
}

static void a_timer_whose_append_fails_is_told(void **state)
{
    struct kit *kit = *state;
    struct noted_timer timer;
    timer_make(&timer);
    timer.delta = 5;
    timer_arm(kit, &timer, 2000);
    ram_disk_fail_writes(kit->disk, 1, -ENOSPC);
    kit->now_ns = 2000;
    kit_turns(kit, 3);
    assert_int_equal(timer.settled, 1);
    assert_int_equal(timer.settle_error, KAFKA_NOT_COORDINATOR);
    assert_int_equal(toy_get(kit, 1, "a"), 0);
}

static void a_timer_without_settle_is_tried_again(void **state)
{
    struct kit *kit = *state;
    struct noted_timer timer;
    timer_make(&timer);
    timer.timer.settle = NULL;
    timer.delta = 5;
    timer_arm(kit, &timer, 2000);
    ram_disk_fail_writes(kit->disk, 1, -ENOSPC);
    kit->now_ns = 2000;
    kit_turns(kit, 3);
    assert_int_equal(timer.fired, 1);
    kit->now_ns = INT64_C(3000000000);
    kit_turns(kit, 3);
    assert_int_equal(timer.fired, 2);
    assert_int_equal(toy_get(kit, 1, "a"), 5);
}

static void timers_end_with_the_leadership(void **state)
{
    struct kit *kit = *state;
    struct noted_timer timer;
    timer_make(&timer);
    timer_arm(kit, &timer, 2000);
    kit_turn(kit);
    kit_lead(kit, 1, -1);
    kit_turns(kit, 4);
    assert_false(coord_timer_armed(&timer.timer));
    assert_int_equal(kit->loops[1].timers.size, 0);
    kit->now_ns = 3000;
    kit_turns(kit, 3);
    assert_int_equal(timer.fired, 0);
}

/* ---- parked requests and tasks ---- */

static void wait_note(struct coord_wait *wait, struct wakes *wakes)
{
    (void)wait, (void)wakes;
}

static void parked_requests_fail_when_the_shard_is_unloaded(void **state)
{
    struct kit *kit = *state;
    struct coord_wait wait;
    struct toy_op op;
    coord_wait_init(&wait, wait_note);
    toy_op_init(&op, kit, 0, "a", 1);
    op.wait = &wait;
    assert_true(toy_op_run(&op));
    assert_true(coord_wait_waits(&wait));
    kit_lead(kit, 0, -1);
    kit_turns(kit, 3);
    assert_false(coord_wait_waits(&wait));
    assert_int_equal(wait.error, KAFKA_NOT_COORDINATOR);
}

struct noted_task {
    struct coord_task task;
    int ended, error;
    struct loop *loop; /* that it decided on */
};

static int task_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct coord_task *task = container_of(op, struct coord_task, op);
    (void)state;
    container_of(task, struct noted_task, task)->loop = turn->loop;
    uint8_t value[8];
    store_be64(value, 9);
    return coord_op_put_bytes(op, (struct bytes){(const uint8_t *)"t", 1},
                              (struct bytes){value, 8});
}

static void task_ended(struct coord_task *task, int error)
{
    struct noted_task *noted = container_of(task, struct noted_task, task);
    noted->ended++;
    noted->error = error;
}

static void a_task_runs_on_the_shards_home_and_ends_when_committed(void **state)
{
    struct kit *kit = *state;
    struct noted_task noted = {0};
    struct coord_shard *shard = kit_shard(kit, 1);
    struct wakes wakes;
    coord_op_init(&noted.task.op);
    noted.task.op.access = COORD_WRITE;
    noted.task.op.decide = task_decide;
    noted.task.ended = task_ended;
    wakes_init(&wakes);
    coord_task_start(shard, &noted.task, &wakes);
    wakes_run(&wakes);
    coord_shard_unref(shard);
    assert_int_equal(noted.ended, 0);
    kit_turns(kit, 3);
    assert_int_equal(noted.ended, 0); /* not synced yet */
    kit_run_jobs(kit);
    kit_turns(kit, 3);
    assert_int_equal(noted.ended, 1);
    assert_int_equal(noted.error, 0);
    assert_ptr_equal(noted.loop, &kit->loops[1]);
    kit->jobs_held = false;
    assert_int_equal(toy_get(kit, 1, "t"), 9);
}

static void a_task_runs_at_once_where_it_is_told_to(void **state)
{
    struct kit *kit = *state;
    struct noted_task noted = {0};
    struct coord_shard *shard = kit_shard(kit, 1);
    coord_op_init(&noted.task.op);
    noted.task.op.access = COORD_WRITE;
    noted.task.op.decide = task_decide;
    noted.task.ended = task_ended;
    coord_task_run(shard, &noted.task, &kit->loops[0]);
    coord_shard_unref(shard);
    assert_ptr_equal(noted.loop, &kit->loops[0]);
    assert_int_equal(noted.ended, 0); /* not synced yet */
    kit_run_jobs(kit);
    kit_turns(kit, 3);
    assert_int_equal(noted.ended, 1);
    assert_int_equal(noted.error, 0);
    kit->jobs_held = false;
    assert_int_equal(toy_get(kit, 1, "t"), 9);
}

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
#define HELD(name) cmocka_unit_test_setup_teardown(name, kit_setup_held, kit_teardown)
    const struct CMUnitTest tests[] = {
        HELD(an_effect_is_released_when_its_records_are_committed),
        PLAIN(an_effect_of_what_is_committed_runs_before_its_op_ends),
        HELD(a_cancelled_effect_is_not_released),
        HELD(effects_are_dropped_with_the_leadership),
        PLAIN(a_timer_fires_when_due_and_its_records_are_applied),
        PLAIN(a_timer_may_move_itself),
        PLAIN(timers_fire_in_the_order_they_are_due),
        PLAIN(liveness_is_not_counted_while_the_process_stands_still),
        PLAIN(a_timer_whose_append_fails_is_told),
        PLAIN(a_timer_without_settle_is_tried_again),
        PLAIN(timers_end_with_the_leadership),
        PLAIN(parked_requests_fail_when_the_shard_is_unloaded),
        HELD(a_task_runs_on_the_shards_home_and_ends_when_committed),
        HELD(a_task_runs_at_once_where_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
