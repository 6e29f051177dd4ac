/* The runtime of coordinators, on a toy fold and real logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../log/ram_disk.h"
#include "base/errors.h"
#include "coord_kit.h"

static int setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    kit_init(kit, INT64_MAX);
    kit_open(kit, 5);
    *state = kit;
    return 0;
}

static int setup_held(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    kit_init(kit, 1);
    kit_open(kit, 5);
    kit->jobs_held = true;
    *state = kit;
    return 0;
}

static int teardown(void **state)
{
    kit_close(*state);
    free(*state);
    return 0;
}

/* ---- deciding, appending, applying ---- */

static void what_was_added_is_read(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    assert_int_equal(toy_add(kit, 0, "a", 4), 0);
    assert_int_equal(toy_add(kit, 0, "b", 1), 0);
    assert_int_equal(toy_get(kit, 0, "a"), 7);
    assert_int_equal(toy_get(kit, 0, "b"), 1);
    assert_int_equal(toy_get(kit, 1, "a"), 0);
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), 3);
}

static void settle_sees_the_state_with_the_records_applied(void **state)
{
    struct kit *kit = *state;
    struct toy_op add;
    toy_op_init(&add, kit, 0, "a", 3);
    assert_true(toy_op_run(&add));
    assert_int_equal(add.settled, 1);
    assert_int_equal(add.seen, 3);
}

static void after_a_crash_the_log_makes_the_same_state(void **state)
{
    struct kit *kit = *state;
    for (int i = 1; i <= 100; i++)
        assert_int_equal(toy_add(kit, i % KIT_PARTITIONS, i % 3 ? "a" : "b", i), 0);
    int64_t a = toy_get(kit, 2, "a"), b = toy_get(kit, 2, "b");
    kit_crash(kit);
    kit_open(kit, 6);
    assert_int_equal(toy_get(kit, 2, "a"), a);
    assert_int_equal(toy_get(kit, 2, "b"), b);
    assert_int_equal(coord_shard_epoch(kit->toys[2]->shard), 6);
    assert_int_equal(kit->toys[2]->applied, 25);
}

static void a_refusal_leaves_nothing_in_the_log_and_is_told_to_settle(void **state)
{
    struct kit *kit = *state;
    struct toy_op add;
    toy_op_init(&add, kit, 0, "a", 3);
    add.refuse = KAFKA_ILLEGAL_GENERATION;
    assert_true(toy_op_run(&add));
    assert_int_equal(add.error, KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(add.settle_error, KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), 0);
}

static void a_full_disk_leaves_the_state_as_it_was(void **state)
{
    struct kit *kit = *state;
    struct toy_op add;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    ram_disk_fail_writes(kit->disk, 1, -ENOSPC);
    toy_op_init(&add, kit, 0, "a", 100);
    assert_true(toy_op_run(&add));
    assert_int_equal(add.error, KAFKA_NOT_COORDINATOR);
    assert_int_equal(add.settle_error, KAFKA_NOT_COORDINATOR);
    assert_int_equal(add.settled, 1);
    assert_int_equal(toy_get(kit, 0, "a"), 3);
    assert_int_equal(toy_add(kit, 0, "a", 1), 0);
    assert_int_equal(toy_get(kit, 0, "a"), 4);
    kit_crash(kit);
    kit_open(kit, 6);
    assert_int_equal(toy_get(kit, 0, "a"), 4);
}

static void too_few_replicas_in_sync_is_coordinator_not_available(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    atomic_store(&kit_partition(kit, 0)->isr_size, 0);
    assert_int_equal(toy_add(kit, 0, "a", 3), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(toy_get(kit, 0, "a"), 3);
}

static void a_batch_above_the_topics_limit_is_refused_whole(void **state)
{
    struct kit *kit = *state;
    struct toy_op add;
    toy_op_init(&add, kit, 0, "a", 1);
    add.value_size = 10000;
    assert_true(toy_op_run(&add));
    assert_int_equal(add.error, KAFKA_RECORD_LIST_TOO_LARGE);
    assert_int_equal(toy_get(kit, 0, "a"), 0);
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), 0);
}

static void records_beyond_what_an_op_may_hold_are_refused(void **state)
{
    struct kit *kit = *state;
    struct toy_op add;
    toy_op_init(&add, kit, 0, "a", 1);
    add.value_size = COORD_OP_BYTES_MAX;
    assert_true(toy_op_run(&add));
    assert_int_equal(add.error, KAFKA_RECORD_LIST_TOO_LARGE);
}

static enum compression gzip(const struct broker_settings *settings)
{
    (void)settings;
    return COMPRESSION_GZIP;
}

static void batches_are_compressed_as_the_coordinator_is_told(void **state)
{
    struct kit *kit = *state;
    struct toy_op add;
    kit->fold.codec = gzip;
    toy_op_init(&add, kit, 0, "a", 5);
    add.value_size = 9000;
    assert_true(toy_op_run(&add));
    assert_true(log_size_bytes(kit_partition(kit, 0)->log) < 500);
    kit_crash(kit);
    kit_open(kit, 6);
    assert_int_equal(toy_get(kit, 0, "a"), 5);
}

/* ---- transactions ---- */

static int mark(struct kit *kit, int64_t producer_id, int16_t producer_epoch, bool commit)
{
    struct toy_op end;
    const struct coord_marker marker = {
        .producer_id = producer_id, .producer_epoch = producer_epoch, .commit = commit};
    toy_op_init(&end, kit, 0, "", 0);
    end.op.access = COORD_WRITE;
    end.op.decide = NULL;
    end.op.marker = &marker;
    assert_true(toy_op_run(&end));
    assert_int_equal(end.settled, 1);
    return end.error;
}

static int add_pending(struct kit *kit, int64_t producer_id, int16_t epoch, int64_t delta)
{
    struct toy_op add;
    toy_op_init(&add, kit, 0, "a", delta);
    add.op.transaction =
        (struct coord_transaction){.producer_id = producer_id, .producer_epoch = epoch};
    assert_true(toy_op_run(&add));
    return add.error;
}

static void transactional_records_count_when_their_marker_comes(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(add_pending(kit, 7, 0, 10), 0);
    assert_int_equal(add_pending(kit, 8, 0, 100), 0);
    assert_int_equal(toy_get(kit, 0, "a"), 0);
    assert_int_equal(mark(kit, 7, 0, true), 0);
    assert_int_equal(mark(kit, 8, 0, false), 0);
    assert_int_equal(toy_get(kit, 0, "a"), 10);
    kit_crash(kit);
    kit_open(kit, 6);
    assert_int_equal(toy_get(kit, 0, "a"), 10);
    assert_int_equal(kit->toys[0]->marked, 2);
}

static void an_old_producer_epoch_is_refused_by_the_log(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(add_pending(kit, 7, 3, 10), 0);
    assert_int_equal(add_pending(kit, 7, 2, 10), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(mark(kit, 7, 3, true), 0);
    assert_int_equal(toy_get(kit, 0, "a"), 10);
}

static int64_t verify(struct kit *kit, int64_t producer_id)
{
    struct partition *partition = kit_partition(kit, 0);
    assert_true(parklock_try(&partition->append_lock));
    int64_t token = partition_verification_begin(partition, producer_id, 0, -1, false);
    parklock_release(&partition->append_lock);
    return token;
}

static int add_verified(struct kit *kit, int64_t producer_id, int64_t token)
{
    struct toy_op add;
    toy_op_init(&add, kit, 0, "a", 1);
    add.op.transaction = (struct coord_transaction){
        .producer_id = producer_id, .verify = true, .verification = token};
    assert_true(toy_op_run(&add));
    assert_int_equal(add.settle_error, add.error);
    return add.error;
}

/* What a commit of offsets would do that was verified, and then overtaken by the abort. */
static void records_whose_transaction_ended_since_it_was_verified_are_refused(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(add_verified(kit, 7, 0), KAFKA_INVALID_TXN_STATE);
    int64_t token = verify(kit, 7);
    assert_true(token > 0);
    assert_int_equal(mark(kit, 7, 0, false), 0);
    assert_int_equal(add_verified(kit, 7, token), KAFKA_INVALID_TXN_STATE);
    token = verify(kit, 7);
    assert_int_equal(add_verified(kit, 7, token), 0);
    assert_int_equal(verify(kit, 7), 0); /* it is open: nothing to ask */
    assert_int_equal(add_verified(kit, 7, 0), 0);
    assert_int_equal(mark(kit, 7, 0, true), 0);
    assert_int_equal(toy_get(kit, 0, "a"), 2);
}

/* ---- waiting for the commit ---- */

static void an_answer_waits_for_its_commit(void **state)
{
    struct kit *kit = *state;
    struct toy_op add;
    toy_op_init(&add, kit, 0, "a", 3);
    assert_false(toy_op_run(&add));
    assert_int_equal(add.settled, 1);
    assert_int_equal(add.op.stage, COORD_AWAIT);
    assert_false(toy_op_run(&add)); /* looking again is harmless */
    kit_run_jobs(kit);
    assert_int_equal(add.woken, 1);
    assert_true(toy_op_run(&add));
    assert_int_equal(add.error, 0);
}

static void a_reader_waits_for_what_it_has_seen(void **state)
{
    struct kit *kit = *state;
    struct toy_op add, get;
    toy_op_init(&add, kit, 0, "a", 3);
    assert_false(toy_op_run(&add));
    toy_op_init(&get, kit, 0, "a", 0);
    assert_false(toy_op_run(&get));
    assert_int_equal(get.seen, 3);
    kit_run_jobs(kit);
    assert_true(toy_op_run(&get));
    assert_true(toy_op_run(&add));
}

static void an_error_waits_for_what_it_rests_on(void **state)
{
    struct kit *kit = *state;
    struct toy_op add, refused;
    toy_op_init(&add, kit, 0, "a", 3);
    assert_false(toy_op_run(&add));
    toy_op_init(&refused, kit, 0, "a", 1);
    refused.refuse = KAFKA_UNKNOWN_MEMBER_ID;
    assert_false(toy_op_run(&refused));
    kit_run_jobs(kit);
    assert_true(toy_op_run(&refused));
    assert_int_equal(refused.error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_true(toy_op_run(&add));
}

static void the_high_watermark_is_waited_for(void **state)
{
    struct kit *kit = *state;
    struct toy_op get;
    toy_op_init(&get, kit, 0, "a", 0);
    get.await_ahead = 2;
    assert_false(toy_op_run(&get));
    assert_int_equal(toy_add(kit, 0, "a", 1), 0);
    assert_int_equal(get.woken, 0);
    assert_int_equal(toy_add(kit, 0, "a", 1), 0);
    assert_int_equal(get.woken, 1);
    assert_true(toy_op_run(&get));
    assert_int_equal(get.error, 0);
}

static void lost_leadership_fails_who_waits(void **state)
{
    struct kit *kit = *state;
    struct toy_op get;
    toy_op_init(&get, kit, 0, "a", 0);
    get.await_ahead = 1;
    assert_false(toy_op_run(&get));
    kit_lead(kit, 0, -1);
    assert_int_equal(get.woken, 1);
    assert_true(toy_op_run(&get));
    assert_int_equal(get.error, KAFKA_NOT_COORDINATOR);
    kit_turns(kit, 3);
    struct coord_shard *shard;
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_NOT_COORDINATOR);
    assert_null(kit->toys[0]);
}

/* ---- locks and giving up ---- */

static void ops_take_their_turns_in_the_order_they_came(void **state)
{
    struct kit *kit = *state;
    struct toy_op first, second, third;
    struct partition *partition = kit_partition(kit, 0);
    assert_true(parklock_try(&partition->append_lock));
    toy_op_init(&first, kit, 0, "a", 1);
    toy_op_init(&second, kit, 0, "a", 10);
    toy_op_init(&third, kit, 0, "a", 100);
    assert_false(toy_op_run(&first));
    assert_int_equal(first.op.stage, COORD_APPEND_LOCK);
    assert_false(toy_op_run(&second));
    assert_false(toy_op_run(&third));
    assert_int_equal(second.decided, 0);
    parklock_release(&partition->append_lock);
    assert_int_equal(first.woken, 1);
    assert_int_equal(second.woken, 0);
    assert_true(toy_op_run(&first));
    assert_int_equal(second.woken, 1);
    assert_int_equal(third.woken, 0);
    assert_true(toy_op_run(&second));
    assert_true(toy_op_run(&third));
    assert_int_equal(first.seen, 1);
    assert_int_equal(second.seen, 11);
    assert_int_equal(third.seen, 111);
}

static void an_op_can_be_given_up_in_line_for_the_shard(void **state)
{
    struct kit *kit = *state;
    struct toy_op first, second, third;
    struct partition *partition = kit_partition(kit, 0);
    assert_true(parklock_try(&partition->append_lock));
    toy_op_init(&first, kit, 0, "a", 1);
    toy_op_init(&second, kit, 0, "a", 10);
    toy_op_init(&third, kit, 0, "a", 100);
    assert_false(toy_op_run(&first));
    assert_false(toy_op_run(&second));
    assert_false(toy_op_run(&third));
    assert_true(coord_op_give_up(&second.op));
    assert_int_equal(second.decided, 0);
    parklock_release(&partition->append_lock);
    assert_true(toy_op_run(&first));
    assert_true(toy_op_run(&third));
    assert_int_equal(third.seen, 101);
}

static void an_op_given_up_with_the_lock_in_hand_passes_it_on(void **state)
{
    struct kit *kit = *state;
    struct toy_op first, second, third;
    struct partition *partition = kit_partition(kit, 0);
    assert_true(parklock_try(&partition->append_lock));
    toy_op_init(&first, kit, 0, "a", 1);
    toy_op_init(&second, kit, 0, "a", 10);
    toy_op_init(&third, kit, 0, "a", 100);
    assert_false(toy_op_run(&first));
    assert_false(toy_op_run(&second));
    assert_false(toy_op_run(&third));
    parklock_release(&partition->append_lock);
    assert_true(toy_op_run(&first));
    assert_int_equal(second.woken, 1);
    assert_true(coord_op_give_up(&second.op));
    assert_int_equal(third.woken, 1);
    assert_true(toy_op_run(&third));
    assert_int_equal(third.seen, 101);
}

static void an_op_that_never_ran_can_be_given_up(void **state)
{
    struct kit *kit = *state;
    struct toy_op op;
    toy_op_init(&op, kit, 0, "a", 1);
    assert_true(coord_op_give_up(&op.op));
    assert_int_equal(toy_get(kit, 0, "a"), 0);
}

static void an_append_under_way_cannot_be_given_up(void **state)
{
    struct kit *kit = *state;
    struct toy_op op;
    struct partition *partition = kit_partition(kit, 0);
    assert_true(parklock_try(&partition->append_lock));
    toy_op_init(&op, kit, 0, "a", 1);
    assert_false(toy_op_run(&op));
    assert_false(coord_op_give_up(&op.op));
    parklock_release(&partition->append_lock);
    assert_true(toy_op_run(&op));
    assert_int_equal(toy_get(kit, 0, "a"), 1);
}

static void what_is_appended_stays_when_its_answer_is_given_up(void **state)
{
    struct kit *kit = *state;
    struct toy_op op;
    toy_op_init(&op, kit, 0, "a", 1);
    assert_false(toy_op_run(&op));
    assert_true(coord_op_give_up(&op.op));
    kit->jobs_held = false;
    assert_int_equal(toy_get(kit, 0, "a"), 1);
    assert_int_equal(op.woken, 0);
}

static void appends_to_a_slow_disk_are_the_pools(void **state)
{
    struct kit *kit = *state;
    struct toy_op first, second;
    struct partition *partition = kit_partition(kit, 0);
    kit->jobs_held = true;
    atomic_store(&partition->dir->slow_until_ns, INT64_MAX);
    toy_op_init(&first, kit, 0, "a", 1);
    toy_op_init(&second, kit, 0, "a", 10);
    assert_false(toy_op_run(&first));
    assert_int_equal(first.op.stage, COORD_APPENDING);
    assert_false(coord_op_give_up(&first.op));
    assert_false(toy_op_run(&second));
    assert_int_equal(second.decided, 0);
    kit_run_jobs(kit);
    assert_false(toy_op_run(&first)); /* its loop has not been told */
    kit_turn(kit);
    assert_int_equal(first.woken, 1);
    assert_true(toy_op_run(&first));
    atomic_store(&partition->dir->slow_until_ns, 0);
    assert_true(toy_op_run(&second));
    assert_int_equal(second.seen, 11);
}

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

static void effect_make(struct noted_effect *noted, int64_t *clock)
{
    *noted = (struct noted_effect){.clock = clock};
    coord_effect_init(&noted->effect, effect_note);
}

static void an_effect_is_released_when_its_records_are_committed(void **state)
{
    struct kit *kit = *state;
    int64_t clock = 0;
    struct noted_effect effects[2];
    struct toy_op ops[2];
    for (int i = 0; i < 2; i++) {
        effect_make(&effects[i], &clock);
        toy_op_init(&ops[i], kit, 0, "a", 1);
        ops[i].effect = &effects[i].effect;
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
    effect_make(&effect, &clock);
    toy_op_init(&op, kit, 0, "a", 1);
    op.effect = &effect.effect;
    assert_true(toy_op_run(&op));
    assert_int_equal(effect.released, 1);
}

static void a_cancelled_effect_is_not_released(void **state)
{
    struct kit *kit = *state;
    int64_t clock = 0;
    struct noted_effect effect;
    struct toy_op op;
    effect_make(&effect, &clock);
    toy_op_init(&op, kit, 0, "a", 1);
    op.effect = &effect.effect;
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
    effect_make(&effect, &clock);
    toy_op_init(&op, kit, 0, "a", 1);
    op.effect = &effect.effect;
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
};

static int task_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    (void)state, (void)turn;
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
    kit->jobs_held = false;
    assert_int_equal(toy_get(kit, 1, "t"), 9);
}

/* ---- loading and unloading ---- */

static void while_loading_clients_are_told_to_wait(void **state)
{
    struct kit *kit = *state;
    struct coord_shard *shard;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_crash(kit);
    kit->jobs_held = true;
    kit_open(kit, 6);
    kit_turns(kit, 3);
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    assert_int_equal(coord_shard_find(kit->coord, 1, &shard), 0); /* it is empty */
    coord_shard_unref(shard);
    kit->jobs_held = false;
    kit_turns(kit, 3);
    assert_int_equal(toy_get(kit, 0, "a"), 3);
}

static void a_load_that_is_no_longer_wanted_is_dropped(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_crash(kit);
    kit->jobs_held = true;
    kit_open(kit, 6);
    kit_turns(kit, 2);
    kit_lead(kit, 0, 7); /* before the job ran */
    kit_turns(kit, 2);
    kit->jobs_held = false;
    assert_int_equal(toy_get(kit, 0, "a"), 3);
    assert_int_equal(coord_shard_epoch(kit->toys[0]->shard), 7);
}

static void an_unreadable_log_is_tried_again(void **state)
{
    struct kit *kit = *state;
    struct coord_shard *shard;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_lead(kit, 0, 6);
    ram_disk_fail_reads(kit->disk, -1, -EMFILE);
    kit_turns(kit, 5);
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_NOT_COORDINATOR);
    assert_non_null(strstr(kit->lines, "coordinator cannot be loaded"));
    ram_disk_fail_reads(kit->disk, 0, 0);
    kit->now_ns += INT64_C(1100000000);
    assert_int_equal(toy_get(kit, 0, "a"), 3);
}

static void damaged_records_are_not_believed(void **state)
{
    struct kit *kit = *state;
    struct coord_shard *shard;
    size_t size;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    uint8_t *data = ram_disk_data(kit->disk, "/data/__toy-0/00000000000000000000.log", &size);
    assert_non_null(data);
    data[size - 3] ^= 1;
    kit_lead(kit, 0, 6);
    kit_turns(kit, 5);
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_NOT_COORDINATOR);
    assert_non_null(strstr(kit->lines, "a log segment is damaged"));
}

static void a_read_error_takes_the_directory_offline(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_lead(kit, 0, 6);
    ram_disk_fail_reads(kit->disk, -1, -EIO);
    kit_turns(kit, 5);
    assert_true(atomic_load(&kit->set.dirs[0].offline));
}

static void a_state_without_memory_is_loaded_again(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit->toys[0]->out_of_memory = true;
    assert_int_equal(toy_add(kit, 0, "a", 4), KAFKA_NOT_COORDINATOR);
    kit_turns(kit, 3);
    kit->now_ns += INT64_C(1100000000);
    assert_int_equal(toy_get(kit, 0, "a"), 7); /* it was in the log */
}

static void leading_again_replays_the_log(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_lead(kit, 0, -1);
    kit_turns(kit, 3);
    kit_lead(kit, 0, 9);
    assert_int_equal(toy_get(kit, 0, "a"), 3);
    assert_int_equal(kit->toys[0]->applied, 1);
}

static void an_append_of_the_old_leadership_is_seen_by_the_next_load(void **state)
{
    struct kit *kit = *state;
    struct toy_op op;
    struct partition *partition = kit_partition(kit, 0);
    kit->jobs_held = true;
    atomic_store(&partition->dir->slow_until_ns, INT64_MAX);
    toy_op_init(&op, kit, 0, "a", 1);
    assert_false(toy_op_run(&op)); /* a pool job has the append lock, and has not begun */
    kit_lead(kit, 0, 6);
    kit_turns(kit, 3);
    struct coord_shard *shard;
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    kit->jobs_held = false;
    kit_turns(kit, 3);
    assert_true(toy_op_run(&op));
    assert_int_equal(op.error, KAFKA_NOT_COORDINATOR);
    atomic_store(&partition->dir->slow_until_ns, 0);
    assert_int_equal(toy_get(kit, 0, "a"), log_end_offset(partition->log));
}

static void empty_shards_have_no_state_and_say_nothing(void **state)
{
    struct kit *kit = *state;
    kit_turns(kit, 3);
    assert_int_equal(kit->toys_made, 0);
    assert_string_equal(kit->lines, "");
    assert_int_equal(kit->loops[0].timers.size + kit->loops[1].timers.size, 0);
}

static void states_are_told_of_images(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    coord_follow(kit->coord, &kit->topic, true);
    kit_turns(kit, 2);
    assert_int_equal(kit->toys[0]->images, 1);
    assert_null(kit->toys[1]);
}

static void a_deleted_topic_has_no_coordinator(void **state)
{
    struct kit *kit = *state;
    struct coord_shard *shard;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    coord_follow(kit->coord, NULL, true);
    kit_turns(kit, 3);
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(coord_partition_for(kit->coord, STR("g")), -1);
    assert_null(kit->toys[0]);
}

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define HELD(name) cmocka_unit_test_setup_teardown(name, setup_held, teardown)
    const struct CMUnitTest tests[] = {
        PLAIN(what_was_added_is_read),
        PLAIN(settle_sees_the_state_with_the_records_applied),
        PLAIN(after_a_crash_the_log_makes_the_same_state),
        PLAIN(a_refusal_leaves_nothing_in_the_log_and_is_told_to_settle),
        PLAIN(a_full_disk_leaves_the_state_as_it_was),
        PLAIN(too_few_replicas_in_sync_is_coordinator_not_available),
        PLAIN(a_batch_above_the_topics_limit_is_refused_whole),
        PLAIN(records_beyond_what_an_op_may_hold_are_refused),
        PLAIN(batches_are_compressed_as_the_coordinator_is_told),
        PLAIN(transactional_records_count_when_their_marker_comes),
        PLAIN(records_whose_transaction_ended_since_it_was_verified_are_refused),
        PLAIN(an_old_producer_epoch_is_refused_by_the_log),
        HELD(an_answer_waits_for_its_commit),
        HELD(a_reader_waits_for_what_it_has_seen),
        HELD(an_error_waits_for_what_it_rests_on),
        PLAIN(the_high_watermark_is_waited_for),
        PLAIN(lost_leadership_fails_who_waits),
        PLAIN(ops_take_their_turns_in_the_order_they_came),
        PLAIN(an_op_can_be_given_up_in_line_for_the_shard),
        PLAIN(an_op_given_up_with_the_lock_in_hand_passes_it_on),
        PLAIN(an_op_that_never_ran_can_be_given_up),
        PLAIN(an_append_under_way_cannot_be_given_up),
        HELD(what_is_appended_stays_when_its_answer_is_given_up),
        PLAIN(appends_to_a_slow_disk_are_the_pools),
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
        PLAIN(while_loading_clients_are_told_to_wait),
        PLAIN(a_load_that_is_no_longer_wanted_is_dropped),
        PLAIN(an_unreadable_log_is_tried_again),
        PLAIN(damaged_records_are_not_believed),
        PLAIN(a_read_error_takes_the_directory_offline),
        PLAIN(a_state_without_memory_is_loaded_again),
        PLAIN(leading_again_replays_the_log),
        PLAIN(an_append_of_the_old_leadership_is_seen_by_the_next_load),
        PLAIN(empty_shards_have_no_state_and_say_nothing),
        PLAIN(states_are_told_of_images),
        PLAIN(a_deleted_topic_has_no_coordinator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
