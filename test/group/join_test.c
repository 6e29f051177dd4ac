/* Who gets into a group of the classic protocol, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "group/classic.h"
#include "group_kit.h"

/* ---- joining ---- */

static void a_new_member_is_asked_to_come_again_with_its_id(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "client");
    assert_true(member_join(&a));
    assert_int_equal(a.join_error, KAFKA_MEMBER_ID_REQUIRED);
    assert_memory_equal(a.id, "client-", 7);
    assert_int_equal(strlen(a.id), 7 + 36);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
    assert_false(member_join(&a)); /* parked for the delay of the first rebalance */
    assert_string_equal(group_kit_state_name(kit, "g"), "PreparingRebalance");
    member_close(&a);
}

static void before_version_4_a_member_is_in_at_once(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "client");
    a.version = 3;
    assert_false(member_join(&a));
    group_kit_pass(kit, 3000);
    assert_true(member_joined(&a));
    assert_int_equal(a.join_error, 0);
    assert_int_equal(a.generation, 1);
    assert_string_equal(a.leader, a.id);
}

static void before_version_1_members_have_their_session_to_rebalance(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    for (int i = 0; i < 2; i++) {
        member_init(&m[i], kit, "g", "client");
        m[i].version = 0;
        m[i].rebalance_ms = -1; /* what is left out is decoded as that */
    }
    assert_false(member_join(&m[0]));
    group_kit_pass(kit, 3000);
    assert_true(member_joined(&m[0]));
    group_kit_pass(kit, 0);
    assert_int_equal(member_heartbeat(&m[0]), 0); /* it need not have synced at once */
    assert_true(member_sync(&m[0]));
    assert_int_equal(m[0].sync_error, 0);
    assert_false(member_join(&m[1]));
    group_kit_pass(kit, 5000);
    assert_int_equal(member_heartbeat(&m[0]), KAFKA_REBALANCE_IN_PROGRESS);
    assert_true(member_join(&m[0]));
    assert_true(member_joined(&m[1]));
    assert_int_equal(m[0].generation, 2);
    assert_int_equal(m[1].generation, 2);
    for (int i = 0; i < 2; i++)
        member_close(&m[i]);
}

static void two_members_share_a_generation_and_each_gets_its_assignment(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    char expected[256];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    assert_int_equal(m[0].generation, 1);
    assert_int_equal(m[1].generation, 1);
    assert_string_equal(m[0].leader, m[0].id);
    assert_string_equal(m[1].leader, m[0].id);
    assert_int_equal(m[0].member_count, 2);
    assert_int_equal(m[1].member_count, 0); /* only the leader is told of the members */
    for (int i = 0; i < 2; i++) {
        snprintf(expected, sizeof expected, "range:%s", m[i].id);
        assert_string_equal(m[i].assignment, expected);
        assert_int_equal(member_heartbeat(&m[i]), 0);
    }
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
}

static void the_first_rebalance_waits_longer_when_members_come_but_not_for_ever(void **state)
{
    struct kit *kit = *state;
    struct member m[4];
    for (int i = 0; i < 4; i++) {
        member_init(&m[i], kit, "g", "c");
        m[i].rebalance_ms = 8000; /* 3 + 3 + 2 seconds */
        m[i].version = 3;
    }
    (void)member_join(&m[0]);
    group_kit_pass(kit, 2000);
    (void)member_join(&m[1]);
    group_kit_pass(kit, 1000);
    assert_false(member_joined(&m[0]));
    group_kit_pass(kit, 2000);
    (void)member_join(&m[2]);
    group_kit_pass(kit, 1000); /* 6 s */
    assert_false(member_joined(&m[0]));
    group_kit_pass(kit, 1000);
    (void)member_join(&m[3]);
    assert_false(member_joined(&m[0]));
    group_kit_pass(kit, 1000); /* 8 s: the rebalance timeout */
    for (int i = 0; i < 4; i++) {
        assert_true(member_joined(&m[i]));
        assert_int_equal(m[i].join_error, 0);
    }
}

static void a_group_without_new_members_starts_after_the_first_delay(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    (void)member_join_as_new(&a);
    group_kit_pass(kit, 2999);
    assert_false(member_joined(&a));
    group_kit_pass(kit, 1);
    assert_true(member_joined(&a));
    assert_int_equal(a.join_error, 0);
}

static void requests_are_checked_before_any_group_is_looked_at(void **state)
{
    struct kit *kit = *state;
    struct join_group_request request;
    join_group_request_init(&request);
    request.session_timeout_ms = 10000;
    assert_int_equal(classic_join_check(&request, &kit->broker), KAFKA_INVALID_GROUP_ID);
    request.group_id = STR("g");
    assert_int_equal(classic_join_check(&request, &kit->broker), 0);
    request.session_timeout_ms = 5999;
    assert_int_equal(classic_join_check(&request, &kit->broker), KAFKA_INVALID_SESSION_TIMEOUT);
    request.session_timeout_ms = 1800001;
    assert_int_equal(classic_join_check(&request, &kit->broker), KAFKA_INVALID_SESSION_TIMEOUT);
    struct sync_group_request sync;
    sync_group_request_init(&sync);
    sync.group_id = STR("g");
    assert_int_equal(classic_sync_check(&sync, 4), 0);
    assert_int_equal(classic_sync_check(&sync, 5), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

static void an_unknown_member_of_an_unknown_group_is_unknown(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    strcpy(a.id, "a-stranger");
    a.generation = 3;
    assert_true(member_join(&a));
    assert_int_equal(a.join_error, KAFKA_UNKNOWN_MEMBER_ID);
    (void)member_sync(&a);
    assert_int_equal(a.sync_error, KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(member_heartbeat(&a), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(member_leave(&a), KAFKA_UNKNOWN_MEMBER_ID);
    assert_null(group_kit_group(kit, "g"));
    assert_int_equal(group_kit_state(kit)->counts.groups, 0);
}

static void members_without_a_common_protocol_are_refused(void **state)
{
    struct kit *kit = *state;
    struct member m[2], other, none;
    member_init(&m[0], kit, "g", "a");
    members_settle(kit, m, 1);
    member_init(&other, kit, "g", "b");
    other.protocols[0] = "sticky";
    assert_true(member_join(&other));
    assert_int_equal(other.join_error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    other.protocols[0] = "range";
    other.protocol_type = "connect";
    assert_true(member_join(&other));
    assert_int_equal(other.join_error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    member_init(&none, kit, "fresh", "c");
    none.protocols[0] = NULL;
    assert_true(member_join(&none));
    assert_int_equal(none.join_error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    assert_null(group_kit_group(kit, "fresh"));
}

static void the_protocol_is_the_one_that_most_prefer_among_those_all_have(void **state)
{
    struct kit *kit = *state;
    struct member m[3];
    for (int i = 0; i < 3; i++)
        member_init(&m[i], kit, "g", "c");
    m[0].protocols[0] = "x", m[0].protocols[1] = "range", m[0].protocols[2] = "roundrobin";
    m[1].protocols[0] = "roundrobin", m[1].protocols[1] = "range";
    m[2].protocols[0] = "roundrobin", m[2].protocols[1] = "range";
    members_settle(kit, m, 3);
    assert_string_equal(m[0].protocol, "roundrobin");
    assert_string_equal(m[2].protocol, "roundrobin");
}

static void a_full_group_takes_nobody_more(void **state)
{
    struct kit *kit = *state;
    struct member m[2], late;
    kit->broker.group_max_size = 2;
    for (int i = 0; i < 2; i++)
        member_init(&m[i], kit, "g", "c");
    members_settle(kit, m, 2);
    member_init(&late, kit, "g", "late");
    assert_true(member_join(&late));
    assert_int_equal(late.join_error, KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_string_equal(late.id, "");
    assert_int_equal(member_heartbeat(&m[0]), 0);
    assert_int_equal(member_heartbeat(&m[1]), 0);
}

static void a_group_above_a_lowered_limit_rebalances_and_the_last_are_refused(void **state)
{
    struct kit *kit = *state;
    struct member m[3];
    for (int i = 0; i < 3; i++)
        member_init(&m[i], kit, "g", "c");
    members_settle(kit, m, 3);
    kit->broker.group_max_size = 2;
    group_kit_restart(kit);
    assert_string_equal(group_kit_state_name(kit, "g"), "PreparingRebalance");
    for (int i = 0; i < 3; i++)
        assert_int_equal(member_heartbeat(&m[i]), KAFKA_REBALANCE_IN_PROGRESS);
    assert_false(member_join(&m[2]));
    assert_false(member_join(&m[1]));
    assert_true(member_join(&m[0]));
    assert_int_equal(m[0].join_error, KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_true(member_joined(&m[1]));
    assert_true(member_joined(&m[2]));
    assert_int_equal(m[1].generation, 2);
}

static void who_was_given_an_id_and_finds_the_group_full_holds_nobody_up(void **state)
{
    struct kit *kit = *state;
    struct member a, b, late;
    kit->broker.group_max_size = 2;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    member_init(&b, kit, "g", "b");
    member_init(&late, kit, "g", "late");
    assert_true(member_join(&b));
    assert_true(member_join(&late));
    assert_int_equal(late.join_error, KAFKA_MEMBER_ID_REQUIRED);
    assert_false(member_join(&b));
    assert_false(member_join(&a)); /* for the third may come with the id that it has */
    assert_true(member_join(&late));
    assert_int_equal(late.join_error, KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_true(member_joined(&a));
    assert_true(member_joined(&b));
    assert_int_equal(b.member_count + a.member_count, 2); /* told to the leader alone */
}

static void an_id_that_nobody_comes_back_with_is_forgotten(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    (void)member_join(&a);
    group_kit_pass(kit, a.session_ms - 1);
    assert_int_equal(map_count(&group_kit_group(kit, "g")->classic->pending), 1);
    group_kit_pass(kit, 1);
    assert_int_equal(map_count(&group_kit_group(kit, "g")->classic->pending), 0);
    assert_true(member_join(&a));
    assert_int_equal(a.join_error, KAFKA_UNKNOWN_MEMBER_ID);
}

static void a_rebalance_waits_for_an_id_that_was_handed_out(void **state)
{
    struct kit *kit = *state;
    struct member a, b;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    member_init(&b, kit, "g", "b");
    (void)member_join(&b);
    assert_int_equal(b.join_error, KAFKA_MEMBER_ID_REQUIRED);
    assert_false(member_join(&a)); /* the leader wants a rebalance; b is waited for */
    assert_true(member_join(&b));
    assert_true(member_joined(&a));
    assert_int_equal(a.member_count, 2);
    assert_int_equal(b.generation, 2);
}

static void members_join_at_the_same_time_and_none_is_unknown(void **state)
{
    struct kit *kit = *state;
    struct member m[20];
    for (int i = 0; i < 20; i++)
        member_init(&m[i], kit, "g", "c");
    members_settle(kit, m, 10);
    for (int i = 10; i < 20; i++) {
        /* Each comes while the others are told to rejoin, and joins twice, as clients do whose
         * answer got lost. */
        (void)member_join(&m[i]);
        assert_int_equal(m[i].join_error, KAFKA_MEMBER_ID_REQUIRED);
        assert_false(member_join(&m[i]));
        member_close(&m[i]);
        assert_false(member_join(&m[i]));
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(member_heartbeat(&m[i]), KAFKA_REBALANCE_IN_PROGRESS);
        (void)member_join(&m[i]);
    }
    for (int i = 0; i < 20; i++) {
        assert_true(member_joined(&m[i]));
        assert_int_equal(m[i].join_error, 0);
        assert_int_equal(m[i].generation, 2);
    }
    for (int i = 0; i < 20; i++)
        (void)member_sync(&m[i]);
    for (int i = 0; i < 20; i++) {
        assert_true(member_synced(&m[i]));
        assert_int_equal(m[i].sync_error, 0);
        assert_int_equal(member_heartbeat(&m[i]), 0);
    }
}

static void a_join_that_is_asked_again_elsewhere_ends_the_first(void **state)
{
    struct kit *kit = *state;
    struct member a, again;
    member_init(&a, kit, "g", "a");
    (void)member_join_as_new(&a);
    member_init(&again, kit, "g", "a");
    strcpy(again.id, a.id);
    assert_false(member_join(&again));
    assert_true(member_joined(&a));
    assert_int_equal(a.join_error, KAFKA_REBALANCE_IN_PROGRESS);
    group_kit_pass(kit, 3000);
    assert_true(member_joined(&again));
    assert_int_equal(again.join_error, 0);
}

static void a_join_whose_connection_is_gone_still_counts(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    assert_false(member_join(&m[0])); /* the leader forces a rebalance */
    member_close(&m[0]);
    assert_true(member_join(&m[1])); /* nobody else is waited for */
    assert_int_equal(m[1].generation, 2);
    assert_true(member_join(&m[0])); /* asks again: told of the generation */
    assert_int_equal(m[0].generation, 2);
    assert_int_equal(m[0].member_count, 2);
}

/* ---- static members ---- */

static void a_static_member_that_restarts_keeps_its_assignment(void **state)
{
    struct kit *kit = *state;
    struct member m[2], again;
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    m[0].instance_id = "one", m[1].instance_id = "two";
    members_settle(kit, m, 2);
    member_init(&again, kit, "g", "b");
    again.instance_id = "two";
    assert_true(member_join(&again));
    assert_int_equal(again.join_error, 0);
    assert_memory_equal(again.id, "two-", 4);
    assert_string_not_equal(again.id, m[1].id);
    assert_int_equal(again.generation, 1);
    assert_true(member_sync(&again));
    assert_string_equal(again.assignment, m[1].assignment);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
    assert_int_equal(member_heartbeat(&m[1]), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(member_commit(&m[1], 0, 1, ""), KAFKA_FENCED_INSTANCE_ID);
    group_kit_restart(kit);
    assert_int_equal(member_heartbeat(&again), 0);
    assert_int_equal(member_heartbeat(&m[1]), KAFKA_FENCED_INSTANCE_ID);
}

static void a_static_leader_that_restarts_is_told_to_skip_the_assignment(void **state)
{
    struct kit *kit = *state;
    struct member m[2], again, old;
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    m[0].instance_id = "one", m[1].instance_id = "two";
    members_settle(kit, m, 2);
    member_init(&again, kit, "g", "a");
    again.instance_id = "one";
    assert_true(member_join(&again));
    assert_true(again.skip_assignment);
    assert_string_equal(again.leader, again.id);
    assert_int_equal(again.member_count, 2);
    /* A client that does not know of it must not take itself for the leader. */
    member_init(&old, kit, "g", "a");
    old.instance_id = "one";
    old.version = 8;
    assert_true(member_join(&old));
    assert_false(old.skip_assignment);
    assert_string_equal(old.leader, again.id);
    assert_int_equal(old.member_count, 0);
}

static void a_static_member_that_comes_back_changed_begins_a_rebalance(void **state)
{
    struct kit *kit = *state;
    struct member m[2], again;
    for (int i = 0; i < 2; i++) {
        member_init(&m[i], kit, "g", "c");
        m[i].protocols[0] = "range", m[i].protocols[1] = "sticky";
    }
    m[0].instance_id = "one", m[1].instance_id = "two";
    members_settle(kit, m, 2);
    assert_string_equal(m[0].protocol, "range");
    member_init(&again, kit, "g", "c");
    again.instance_id = "two";
    again.protocols[0] = "sticky"; /* all it offers: the group has to change over */
    assert_false(member_join(&again));
    assert_string_equal(group_kit_state_name(kit, "g"), "PreparingRebalance");
    assert_true(member_join(&m[0]));
    assert_true(member_joined(&again));
    assert_string_equal(m[0].protocol, "sticky");
}

static void a_parked_join_of_a_static_member_is_fenced_by_its_successor(void **state)
{
    struct kit *kit = *state;
    struct member m[2], again;
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    m[1].instance_id = "two";
    members_settle(kit, m, 2);
    m[1].topics[0] = "u";
    assert_false(member_join(&m[1]));
    member_init(&again, kit, "g", "b");
    again.instance_id = "two";
    assert_false(member_join(&again));
    assert_true(member_joined(&m[1]));
    assert_int_equal(m[1].join_error, KAFKA_FENCED_INSTANCE_ID);
    assert_true(member_join(&m[0]));
    assert_true(member_joined(&again));
    assert_int_equal(again.join_error, 0);
}

static void a_rebalance_does_not_drop_static_members_that_are_away(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    m[1].instance_id = "two";
    m[0].rebalance_ms = m[1].rebalance_ms = 10000;
    m[1].session_ms = 60000;
    members_settle(kit, m, 2);
    assert_false(member_join(&m[0]));
    group_kit_pass(kit, 10000);
    assert_true(member_joined(&m[0]));
    assert_int_equal(m[0].member_count, 2);
}

static void an_unknown_instance_is_unknown_and_a_taken_one_fenced(void **state)
{
    struct kit *kit = *state;
    struct member a, b;
    member_init(&a, kit, "g", "a");
    a.instance_id = "one";
    members_settle(kit, &a, 1);
    b = a;
    b.instance_id = "other";
    assert_int_equal(member_heartbeat(&b), KAFKA_UNKNOWN_MEMBER_ID);
    b.instance_id = "one";
    strcpy(b.id, "somebody");
    assert_int_equal(member_heartbeat(&b), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(member_leave(&b), KAFKA_FENCED_INSTANCE_ID);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, group_kit_setup, group_kit_teardown)
    const struct CMUnitTest tests[] = {
        T(a_new_member_is_asked_to_come_again_with_its_id),
        T(before_version_4_a_member_is_in_at_once),
        T(before_version_1_members_have_their_session_to_rebalance),
        T(two_members_share_a_generation_and_each_gets_its_assignment),
        T(the_first_rebalance_waits_longer_when_members_come_but_not_for_ever),
        T(a_group_without_new_members_starts_after_the_first_delay),
        T(requests_are_checked_before_any_group_is_looked_at),
        T(an_unknown_member_of_an_unknown_group_is_unknown),
        T(members_without_a_common_protocol_are_refused),
        T(the_protocol_is_the_one_that_most_prefer_among_those_all_have),
        T(a_full_group_takes_nobody_more),
        T(a_group_above_a_lowered_limit_rebalances_and_the_last_are_refused),
        T(who_was_given_an_id_and_finds_the_group_full_holds_nobody_up),
        T(an_id_that_nobody_comes_back_with_is_forgotten),
        T(a_rebalance_waits_for_an_id_that_was_handed_out),
        T(members_join_at_the_same_time_and_none_is_unknown),
        T(a_join_that_is_asked_again_elsewhere_ends_the_first),
        T(a_join_whose_connection_is_gone_still_counts),
        T(a_static_member_that_restarts_keeps_its_assignment),
        T(a_static_leader_that_restarts_is_told_to_skip_the_assignment),
        T(a_static_member_that_comes_back_changed_begins_a_rebalance),
        T(a_parked_join_of_a_static_member_is_fenced_by_its_successor),
        T(a_rebalance_does_not_drop_static_members_that_are_away),
        T(an_unknown_instance_is_unknown_and_a_taken_one_fenced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
