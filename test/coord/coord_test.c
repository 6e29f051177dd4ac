/* The runtime of coordinators, on a toy fold and real logs: deciding, appending, waiting, giving
 * up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>

#include "../log/ram_disk.h"
#include "base/errors.h"
#include "coord_kit.h"

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

/* The first, which adds 1, waits for the partition's append lock, which the caller has now; the
 * others, which add 10 and 100, wait for the shard behind it. */
static struct partition *line_up(struct kit *kit, struct toy_op *first, struct toy_op *second,
                                 struct toy_op *third)
{
    struct partition *partition = kit_partition(kit, 0);
    assert_true(parklock_try(&partition->append_lock));
    toy_op_init(first, kit, 0, "a", 1);
    toy_op_init(second, kit, 0, "a", 10);
    toy_op_init(third, kit, 0, "a", 100);
    assert_false(toy_op_run(first));
    assert_false(toy_op_run(second));
    assert_false(toy_op_run(third));
    return partition;
}

static void ops_take_their_turns_in_the_order_they_came(void **state)
{
    struct kit *kit = *state;
    struct toy_op first, second, third;
    struct partition *partition = line_up(kit, &first, &second, &third);
    assert_int_equal(first.op.stage, COORD_APPEND_LOCK);
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
    struct partition *partition = line_up(kit, &first, &second, &third);
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
    struct partition *partition = line_up(kit, &first, &second, &third);
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

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
#define HELD(name) cmocka_unit_test_setup_teardown(name, kit_setup_held, kit_teardown)
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
