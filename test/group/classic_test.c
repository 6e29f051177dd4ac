/* Rebalances of classic groups, members that leave and fail, and what is left in the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "group/classic.h"
#include "group/records.h"
#include "group_kit.h"

/* The two are in a new generation, and nobody has synced; the first is its leader. */
static void join_together(struct kit *kit, struct member members[2])
{
    for (int i = 0; i < 2; i++)
        (void)member_join_as_new(&members[i]);
    group_kit_pass(kit, 3000);
    group_kit_pass(kit, 3000);
    assert_true(member_joined(&members[0]) && member_joined(&members[1]));
}

/* ---- rebalances of a group that stands ---- */

static void a_follower_that_rejoins_unchanged_is_told_the_current_generation(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    assert_true(member_join(&m[1]));
    assert_int_equal(m[1].join_error, 0);
    assert_int_equal(m[1].generation, 1);
    assert_true(member_sync(&m[1]));
    assert_int_equal(m[1].sync_error, 0);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
}

static void a_leader_that_rejoins_or_a_member_that_changed_begins_a_rebalance(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    m[1].topics[0] = "u";
    assert_false(member_join(&m[1]));
    assert_int_equal(member_heartbeat(&m[0]), KAFKA_REBALANCE_IN_PROGRESS);
    assert_true(member_join(&m[0]));
    assert_true(member_joined(&m[1]));
    assert_int_equal(m[0].generation, 2);
    (void)member_sync(&m[0]);
    (void)member_sync(&m[1]);
    assert_true(member_synced(&m[1]));
    assert_false(member_join(&m[0]));
    assert_string_equal(group_kit_state_name(kit, "g"), "PreparingRebalance");
    member_close(&m[0]);
}

static void who_does_not_rejoin_in_time_is_out(void **state)
{
    struct kit *kit = *state;
    struct member m[3];
    for (int i = 0; i < 3; i++) {
        member_init(&m[i], kit, "g", "c");
        m[i].rebalance_ms = 10000;
    }
    members_settle(kit, m, 3);
    assert_false(member_join(&m[0]));
    assert_false(member_join(&m[1]));
    for (int i = 0; i < 9; i++) {
        group_kit_pass(kit, 1000);
        assert_int_equal(member_heartbeat(&m[2]), KAFKA_REBALANCE_IN_PROGRESS);
    }
    assert_false(member_joined(&m[0]));
    group_kit_pass(kit, 1000);
    assert_true(member_joined(&m[0]) && member_joined(&m[1]));
    assert_int_equal(m[0].member_count, 2);
    assert_int_equal(member_heartbeat(&m[2]), KAFKA_UNKNOWN_MEMBER_ID);
}

static void when_the_leader_does_not_rejoin_another_one_leads(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    m[0].rebalance_ms = m[1].rebalance_ms = 10000;
    members_settle(kit, m, 2);
    m[1].topics[0] = "u";
    assert_false(member_join(&m[1]));
    group_kit_pass(kit, 10000);
    assert_true(member_joined(&m[1]));
    assert_string_equal(m[1].leader, m[1].id);
    assert_int_equal(m[1].member_count, 1);
}

static void who_does_not_sync_in_time_is_out_and_the_rest_rebalances(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    for (int i = 0; i < 2; i++) {
        member_init(&m[i], kit, "g", "c");
        m[i].rebalance_ms = 10000;
    }
    join_together(kit, m);
    assert_false(member_sync(&m[1])); /* the leader, m[0], is silent */
    group_kit_pass(kit, 10000);
    assert_true(member_synced(&m[1]));
    assert_int_equal(m[1].sync_error, KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(member_heartbeat(&m[0]), KAFKA_UNKNOWN_MEMBER_ID);
    assert_true(member_join(&m[1]));
    assert_string_equal(m[1].leader, m[1].id);
}

static void a_sync_with_another_protocol_or_generation_is_refused(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    strcpy(a.protocol, "sticky");
    (void)member_sync(&a);
    assert_int_equal(a.sync_error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    strcpy(a.protocol, "range");
    a.generation = 7;
    (void)member_sync(&a);
    assert_int_equal(a.sync_error, KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(member_heartbeat(&a), KAFKA_ILLEGAL_GENERATION);
}

static void a_sync_during_a_rebalance_is_told_so(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    (void)member_join(&m[0]);
    (void)member_sync(&m[1]);
    assert_int_equal(m[1].sync_error, KAFKA_REBALANCE_IN_PROGRESS);
    member_close(&m[0]);
}

static void a_rebalance_ends_the_parked_syncs(void **state)
{
    struct kit *kit = *state;
    struct member m[3];
    for (int i = 0; i < 3; i++)
        member_init(&m[i], kit, "g", "c");
    join_together(kit, m);
    assert_false(member_sync(&m[1]));
    assert_false(member_join_as_new(&m[2]));
    assert_true(member_synced(&m[1]));
    assert_int_equal(m[1].sync_error, KAFKA_REBALANCE_IN_PROGRESS);
    member_close(&m[2]);
}

static void an_assignment_that_is_not_written_is_told_to_all(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    for (int i = 0; i < 2; i++)
        member_init(&m[i], kit, "g", "c");
    join_together(kit, m);
    assert_false(member_sync(&m[1]));
    atomic_store(&kit_partition(kit, 0)->isr_size, 0);
    assert_true(member_sync(&m[0]));
    assert_int_equal(m[0].sync_error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_true(member_synced(&m[1]));
    assert_int_equal(m[1].sync_error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_string_equal(group_kit_state_name(kit, "g"), "PreparingRebalance");
    atomic_store(&kit_partition(kit, 0)->isr_size, 1);
    assert_false(member_join(&m[0]));
    assert_true(member_join(&m[1]));
    assert_true(member_joined(&m[0]));
    assert_int_equal(m[0].generation, 2);
}

/* ---- leaving and failing ---- */

static void the_last_member_leaves_an_empty_group_that_is_in_the_log(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    assert_int_equal(member_leave(&a), 0);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
    assert_int_equal(group_kit_group(kit, "g")->classic->generation, 2);
    group_kit_restart(kit);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
    assert_int_equal(group_kit_group(kit, "g")->classic->generation, 2);
}

static void a_member_that_leaves_makes_the_others_rebalance(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    assert_int_equal(member_leave(&m[0]), 0);
    assert_int_equal(member_heartbeat(&m[1]), KAFKA_REBALANCE_IN_PROGRESS);
    assert_true(member_join(&m[1]));
    assert_string_equal(m[1].leader, m[1].id);
}

static void leaving_during_a_rebalance_lets_the_others_go_on(void **state)
{
    struct kit *kit = *state;
    struct member m[3];
    for (int i = 0; i < 3; i++)
        member_init(&m[i], kit, "g", "c");
    members_settle(kit, m, 3);
    assert_false(member_join(&m[0]));
    assert_false(member_join(&m[1]));
    assert_int_equal(member_leave(&m[2]), 0);
    assert_true(member_joined(&m[0]));
    assert_true(member_joined(&m[1]));
    assert_int_equal(m[0].member_count, 2);
    assert_int_equal(m[0].generation, 2);
}

static void leaving_with_a_join_parked_ends_it(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    assert_false(member_join(&m[0]));
    assert_int_equal(member_leave(&m[0]), 0);
    assert_true(member_joined(&m[0]));
    assert_int_equal(m[0].join_error, KAFKA_UNKNOWN_MEMBER_ID);
}

static void leaving_with_a_sync_parked_ends_it(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    for (int i = 0; i < 2; i++)
        member_init(&m[i], kit, "g", "c");
    join_together(kit, m);
    assert_false(member_sync(&m[1]));
    assert_int_equal(member_leave(&m[1]), 0);
    assert_true(member_synced(&m[1]));
    assert_int_equal(m[1].sync_error, KAFKA_UNKNOWN_MEMBER_ID);
}

static void the_delay_of_the_first_rebalance_is_not_cut_short_by_leaving(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    for (int i = 0; i < 2; i++) {
        member_init(&m[i], kit, "g", "c");
        (void)member_join_as_new(&m[i]);
    }
    assert_int_equal(member_leave(&m[1]), 0);
    assert_int_equal(member_leave(&m[0]), 0);
    assert_true(member_joined(&m[0]));
    assert_int_equal(m[0].join_error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_true(member_joined(&m[1]));
    assert_string_equal(group_kit_state_name(kit, "g"), "PreparingRebalance");
    group_kit_pass(kit, 3000);
    group_kit_pass(kit, 3000);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
}

static void several_leave_at_once_each_with_its_own_answer(void **state)
{
    struct kit *kit = *state;
    struct member m[3];
    for (int i = 0; i < 3; i++)
        member_init(&m[i], kit, "g", "c");
    m[1].instance_id = "one";
    members_settle(kit, m, 3);
    struct leave_group_request_member_identity who[5];
    struct leave_group_request request;
    struct classic_leave leave;
    struct arena arena;
    arena_init(&arena, 0);
    leave_group_request_init(&request);
    for (int i = 0; i < 5; i++)
        leave_group_request_member_identity_init(&who[i]);
    who[0].member_id = str_of(m[0].id);
    who[1].group_instance_id = STR("one"); /* an administrator */
    who[2].member_id = STR("nobody");
    who[3].member_id = str_of(m[2].id);
    who[3].group_instance_id = STR("two"); /* no such instance */
    who[4].member_id = str_of(m[0].id);    /* twice */
    request.group_id = STR("g");
    request.members.items = who;
    request.members.count = 5;
    assert_int_equal(classic_leave_init(&leave, &request, 5, &arena), 0);
    assert_int_equal(group_kit_run(kit, &leave.op), 0);
    const int expected[] = {0, 0, KAFKA_UNKNOWN_MEMBER_ID, KAFKA_UNKNOWN_MEMBER_ID,
                            KAFKA_UNKNOWN_MEMBER_ID};
    for (int i = 0; i < 5; i++)
        assert_int_equal(leave.response.members.items[i].error_code, expected[i]);
    arena_close(&arena);
    assert_true(member_join(&m[2]));
    assert_int_equal(m[2].member_count, 1);
}

static void the_leave_of_old_versions_has_one_error(void **state)
{
    struct kit *kit = *state;
    struct member a;
    struct leave_group_request request;
    struct classic_leave leave;
    struct arena arena;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    arena_init(&arena, 0);
    leave_group_request_init(&request);
    request.group_id = STR("g");
    request.member_id = STR("nobody");
    assert_int_equal(classic_leave_init(&leave, &request, 2, &arena), 0);
    assert_int_equal(group_kit_run(kit, &leave.op), 0);
    assert_int_equal(leave.response.error_code, KAFKA_UNKNOWN_MEMBER_ID);
    request.member_id = str_of(a.id);
    assert_int_equal(classic_leave_init(&leave, &request, 2, &arena), 0);
    assert_int_equal(group_kit_run(kit, &leave.op), 0);
    assert_int_equal(leave.response.error_code, 0);
    assert_int_equal(leave.response.members.count, 0);
    arena_close(&arena);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
}

static void a_silent_member_is_out_after_its_session_timeout(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    m[1].session_ms = 10000;
    members_settle(kit, m, 2);
    group_kit_pass(kit, 9999);
    assert_int_equal(member_heartbeat(&m[1]), 0);
    assert_int_equal(member_heartbeat(&m[0]), 0);
    group_kit_pass(kit, 9999);
    assert_int_equal(member_heartbeat(&m[0]), 0);
    group_kit_pass(kit, 1);
    assert_int_equal(member_heartbeat(&m[0]), KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(member_heartbeat(&m[1]), KAFKA_UNKNOWN_MEMBER_ID);
}

static void a_commit_keeps_the_session_alive(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    a.session_ms = 10000;
    members_settle(kit, &a, 1);
    for (int i = 0; i < 5; i++) {
        group_kit_pass(kit, 9000);
        assert_int_equal(member_commit(&a, 0, i, ""), 0);
    }
    assert_int_equal(member_heartbeat(&a), 0);
}

static void a_group_whose_members_all_die_is_empty(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    m[0].session_ms = m[1].session_ms = 10000;
    m[0].rebalance_ms = m[1].rebalance_ms = 20000;
    members_settle(kit, m, 2);
    for (int i = 0; i < 40; i++)
        group_kit_pass(kit, 1000);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
    assert_int_equal(map_count(&group_kit_group(kit, "g")->classic->members), 0);
}

static void a_member_that_dies_is_tried_again_when_its_record_is_not_written(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    a.session_ms = 10000;
    members_settle(kit, &a, 1);
    atomic_store(&kit_partition(kit, 0)->isr_size, 0);
    group_kit_pass(kit, 10000);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
    atomic_store(&kit_partition(kit, 0)->isr_size, 1);
    group_kit_pass(kit, GROUP_RETRY_MS);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
}

static void a_new_member_whose_join_stays_parked_is_dropped_in_the_end(void **state)
{
    struct kit *kit = *state;
    struct member a, b;
    member_init(&a, kit, "g", "a");
    a.session_ms = 1800000;
    a.rebalance_ms = 1800000;
    members_settle(kit, &a, 1);
    member_init(&b, kit, "g", "b");
    assert_false(member_join_as_new(&b));
    group_kit_pass(kit, CLASSIC_NEW_MEMBER_JOIN_TIMEOUT_MS - 1);
    assert_false(member_joined(&b));
    group_kit_pass(kit, 1);
    assert_true(member_joined(&b));
    assert_int_equal(b.join_error, KAFKA_UNKNOWN_MEMBER_ID);
}

/* ---- the log ---- */

static void a_stable_group_comes_back_from_the_log_and_its_members_go_on(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    group_kit_restart(kit);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
    assert_int_equal(member_heartbeat(&m[0]), 0);
    assert_true(member_sync(&m[1]));
    assert_int_equal(m[1].sync_error, 0);
    /* Sessions are counted from the load on, not from before it. */
    group_kit_pass(kit, m[0].session_ms - 1);
    assert_int_equal(member_heartbeat(&m[0]), 0);
    assert_int_equal(member_heartbeat(&m[1]), 0);
}

static void who_is_not_heard_of_after_a_load_is_out_when_its_session_is_over(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    group_kit_pass(kit, m[0].session_ms - 1);
    group_kit_restart(kit);
    group_kit_pass(kit, m[0].session_ms - 1);
    assert_int_equal(classic_member_count(group_kit_group(kit, "g")->classic), 2);
    assert_int_equal(member_heartbeat(&m[0]), 0);
    group_kit_pass(kit, 1);
    assert_int_equal(classic_member_count(group_kit_group(kit, "g")->classic), 1);
    assert_int_equal(member_heartbeat(&m[1]), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(member_heartbeat(&m[0]), KAFKA_REBALANCE_IN_PROGRESS);
    group_kit_restart(kit); /* into the old generation: the rebalance was not over */
    group_kit_pass(kit, m[0].session_ms);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
}

static int put_ghost(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct group_metadata_value value;
    struct group_metadata_value_member_metadata member;
    (void)state, (void)turn;
    group_metadata_value_init(&value);
    group_metadata_value_member_metadata_init(&member);
    value.protocol_type = STR("consumer");
    value.generation = 3;
    value.protocol = STR("range");
    value.leader = STR("ghost");
    value.members.items = &member;
    value.members.count = 1;
    member.member_id = STR("a");
    member.session_timeout = member.rebalance_timeout = 10000;
    member.subscription = member.assignment = (struct bytes){(const uint8_t *)"", 0};
    return put_group_metadata(op, STR("g"), &value);
}

static void a_leader_that_is_no_member_keeps_nobody_from_leading(void **state)
{
    struct kit *kit = *state;
    struct member a;
    struct coord_op op;
    coord_op_init(&op);
    op.access = COORD_WRITE;
    op.decide = put_ghost;
    assert_int_equal(group_kit_run(kit, &op), 0);
    group_kit_restart(kit);
    member_init(&a, kit, "g", "a");
    strcpy(a.id, "a");
    assert_true(member_join(&a));
    assert_int_equal(a.join_error, 0);
    assert_int_equal(a.generation, 4);
    assert_string_equal(a.leader, "a");
    member_close(&a);
}

static void a_rebalance_under_way_is_forgotten_by_a_restart(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 1);
    (void)member_join_as_new(&m[1]);
    kit_crash(kit); /* the parked join is told that this is the coordinator no more */
    assert_true(member_joined(&m[1]));
    assert_int_equal(m[1].join_error, KAFKA_NOT_COORDINATOR);
    kit_open(kit, 2);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
    assert_int_equal(member_heartbeat(&m[0]), 0);
    assert_true(member_join(&m[1]));
    assert_int_equal(m[1].join_error, KAFKA_UNKNOWN_MEMBER_ID);
}

static void lost_leadership_ends_parked_requests(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    (void)member_join_as_new(&a);
    kit_lead(kit, 0, -1);
    kit_turns(kit, 4);
    assert_true(member_joined(&a));
    assert_int_equal(a.join_error, KAFKA_NOT_COORDINATOR);
}

static void no_answer_comes_before_the_assignment_is_committed(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    for (int i = 0; i < 2; i++)
        member_init(&m[i], kit, "g", "c");
    join_together(kit, m);
    assert_false(member_sync(&m[1]));
    kit->jobs_held = true; /* no commit from here on */
    struct sync_group_request *request = &m[0].sync_request;
    sync_group_request_init(request);
    request->group_id = STR("g");
    request->generation_id = m[0].generation;
    request->member_id = str_of(m[0].id);
    struct classic_sync sync;
    classic_sync_init(&sync, request);
    struct coord_turn turn;
    int error;
    sync.op.shard = kit_shard(kit, 0);
    sync.op.wake = m[1].sync.op.wake;
    sync.wait.wake = m[1].sync.wait.wake;
    kit_turn_of(kit, 0, &turn);
    assert_false(coord_op_run(&sync.op, &turn, &error));
    kit_turns(kit, 3);
    assert_false(member_synced(&m[1]));
    assert_false(group_wait_over(&sync.wait, &error));
    kit->jobs_held = false;
    kit_turns(kit, 3);
    kit_turn_of(kit, 0, &turn);
    assert_true(coord_op_run(&sync.op, &turn, &error));
    assert_true(group_wait_over(&sync.wait, &error));
    assert_true(member_synced(&m[1]));
    assert_int_equal(m[1].sync_error, 0);
    group_wait_close(&sync.wait);
}

static void the_log_is_one_that_kafka_reads(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    const struct classic *classic = group_kit_group(kit, "g")->classic;
    assert_int_equal(classic->saved_generation, 1);
    assert_string_equal(classic_member(classic, str_of(a.id))->client_host.data, "/127.0.0.1");
    /* One record for the new group, one for the generation. */
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, group_kit_setup, group_kit_teardown)
    const struct CMUnitTest tests[] = {
        T(a_follower_that_rejoins_unchanged_is_told_the_current_generation),
        T(a_leader_that_rejoins_or_a_member_that_changed_begins_a_rebalance),
        T(who_does_not_rejoin_in_time_is_out),
        T(when_the_leader_does_not_rejoin_another_one_leads),
        T(who_does_not_sync_in_time_is_out_and_the_rest_rebalances),
        T(a_sync_with_another_protocol_or_generation_is_refused),
        T(a_sync_during_a_rebalance_is_told_so),
        T(a_rebalance_ends_the_parked_syncs),
        T(an_assignment_that_is_not_written_is_told_to_all),
        T(the_last_member_leaves_an_empty_group_that_is_in_the_log),
        T(a_member_that_leaves_makes_the_others_rebalance),
        T(leaving_during_a_rebalance_lets_the_others_go_on),
        T(leaving_with_a_join_parked_ends_it),
        T(leaving_with_a_sync_parked_ends_it),
        T(the_delay_of_the_first_rebalance_is_not_cut_short_by_leaving),
        T(several_leave_at_once_each_with_its_own_answer),
        T(the_leave_of_old_versions_has_one_error),
        T(a_silent_member_is_out_after_its_session_timeout),
        T(a_commit_keeps_the_session_alive),
        T(a_group_whose_members_all_die_is_empty),
        T(a_member_that_dies_is_tried_again_when_its_record_is_not_written),
        T(a_new_member_whose_join_stays_parked_is_dropped_in_the_end),
        T(a_stable_group_comes_back_from_the_log_and_its_members_go_on),
        T(a_leader_that_is_no_member_keeps_nobody_from_leading),
        T(who_is_not_heard_of_after_a_load_is_out_when_its_session_is_over),
        T(a_rebalance_under_way_is_forgotten_by_a_restart),
        T(lost_leadership_ends_parked_requests),
        cmocka_unit_test_setup_teardown(no_answer_comes_before_the_assignment_is_committed,
                                        group_kit_setup_synced, group_kit_teardown),
        T(the_log_is_one_that_kafka_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
