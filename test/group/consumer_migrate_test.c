/* Groups whose members go from the classic protocol to the consumer protocol one by one, and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "consumer_kit.h"
#include "group/classic.h"
#include "group/consumer_records.h"

static int setup(void **state)
{
    consumer_kit_setup(state);
    struct kit *kit = *state;
    kit->broker.group_consumer_upgrade = kit->broker.group_consumer_downgrade = true;
    return 0;
}

static bool is_classic(struct kit *kit)
{
    const struct group *group = group_kit_group(kit, "g");
    return group && group->type == GROUP_CLASSIC;
}

/* A classic consumer of "t0", which has 3 partitions. */
static void classic_init(struct member *member, struct kit *kit, const char *client)
{
    member_init(member, kit, "g", client);
    member->protocol_type = "consumer";
    member->topics[0] = "t0";
    member->topics[1] = NULL;
    member->shares = 3;
}

static uint64_t owned(const struct consumer *consumer)
{
    uint64_t bits = 0;
    for (int i = 0; i < consumer->owned_count; i++)
        bits |= UINT64_C(1) << consumer->owned[i].partition;
    return bits;
}

/* As a client does: whenever a heartbeat says so it gives up what it had, joins and syncs. */
static bool classic_turn(struct member *member)
{
    int error = member_heartbeat(member);
    if (error == 0)
        return false;
    assert_true(error == KAFKA_REBALANCE_IN_PROGRESS || error == KAFKA_ILLEGAL_GENERATION);
    member->given = 0;
    assert_true(member_join(member));
    assert_int_equal(member->join_error, 0);
    assert_true(member_sync(member));
    return true;
}

/* Until nobody has anything to do. */
static void settle(struct member *classic, int classic_count, struct consumer *consumers, int count)
{
    for (int quiet = 0, round = 0; quiet < 3; round++) {
        bool changed = false;
        assert_true(round < 100);
        for (int i = 0; i < classic_count; i++)
            changed = classic_turn(&classic[i]) || changed;
        for (int i = 0; i < count; i++) {
            int32_t epoch = consumers[i].epoch;
            uint64_t before = owned(&consumers[i]);
            assert_int_equal(consumer_heartbeat(&consumers[i]), 0);
            changed = changed || epoch != consumers[i].epoch || before != owned(&consumers[i]);
        }
        quiet = changed ? 0 : quiet + 1;
    }
}

static void a_classic_group_becomes_a_consumer_group_with_its_members(void **state)
{
    struct kit *kit = *state;
    struct member x;
    struct consumer a;
    classic_init(&x, kit, "x");
    members_settle(kit, &x, 1);
    assert_int_equal(x.given, 7);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_false(is_classic(kit));
    assert_int_equal(group_of(kit)->member_count, 2);
    assert_int_equal(group_of(kit)->classic_count, 1);
    assert_int_equal(owned(&a), 0); /* it is all x's until x has given it up */
    assert_int_equal(member_heartbeat(&x), KAFKA_REBALANCE_IN_PROGRESS);
    settle(&x, 1, &a, 1);
    assert_int_equal(x.given | owned(&a), 7);
    assert_int_equal(x.given & owned(&a), 0);
    assert_true(x.given && owned(&a));
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
    group_kit_restart(kit);
    assert_int_equal(member_heartbeat(&x), 0);
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(group_of(kit)->classic_count, 1);
}

static void whoever_waits_in_the_classic_group_is_told_to_join_again(void **state)
{
    struct kit *kit = *state;
    struct member x, y;
    struct consumer a;
    classic_init(&x, kit, "x");
    classic_init(&y, kit, "y");
    members_settle(kit, &x, 1);
    assert_false(member_join_as_new(&y)); /* parked until x has joined as well */
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_true(member_joined(&y));
    assert_int_equal(y.join_error, KAFKA_REBALANCE_IN_PROGRESS);
    struct member both[2];
    assert_true(member_join(&y));
    assert_int_equal(y.join_error, 0);
    assert_true(member_sync(&y));
    both[0] = x;
    both[1] = y;
    settle(both, 2, &a, 1);
    assert_int_equal(both[0].given | both[1].given | owned(&a), 7);
    assert_int_equal(group_of(kit)->member_count, 3);
}

static void when_the_last_consumer_leaves_the_group_is_classic_again(void **state)
{
    struct kit *kit = *state;
    struct member x;
    struct consumer a;
    classic_init(&x, kit, "x");
    members_settle(kit, &x, 1);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    settle(&x, 1, &a, 1);
    assert_int_equal(commit_as_nobody(kit, "g", "t0", 1, 42), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(consumer_leave(&a), 0);
    kit_turns(kit, 6);
    assert_true(is_classic(kit));
    assert_string_equal(group_kit_state_name(kit, "g"), "PreparingRebalance");
    group_kit_restart(kit);
    assert_true(is_classic(kit));
    int error = member_heartbeat(&x);
    assert_true(error == KAFKA_ILLEGAL_GENERATION || error == KAFKA_REBALANCE_IN_PROGRESS);
    assert_true(member_join(&x));
    assert_int_equal(x.join_error, 0);
    assert_true(member_sync(&x));
    assert_int_equal(x.given, 7);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
}

/* Two classic members with one instance id, each with its own id. */
static int put_twins(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    static const uint8_t nothing[] = {0, 0, 0, 0, 0, 0, 255, 255, 255, 255};
    struct consumer_group_member_metadata_value_classic_member_metadata classic;
    struct consumer_group_member_metadata_value_classic_protocol protocol;
    (void)state, (void)turn;
    consumer_group_member_metadata_value_classic_member_metadata_init(&classic);
    consumer_group_member_metadata_value_classic_protocol_init(&protocol);
    protocol.name = STR("range");
    protocol.metadata = (struct bytes){nothing, sizeof nothing};
    classic.session_timeout_ms = 10000;
    classic.supported_protocols.items = &protocol;
    classic.supported_protocols.count = 1;
    const struct consumer_subscription twin = {.instance_id = STR("i"),
                                               .client_id = STR("c"),
                                               .client_host = STR("h"),
                                               .regex = STR(""),
                                               .rebalance_timeout_ms = 10000,
                                               .classic = &classic};
    int err = put_consumer_group(op, STR("g"), 5, 0);
    if (err == 0)
        err = put_consumer_member(op, STR("g"), STR("a"), &twin);
    return err == 0 ? put_consumer_member(op, STR("g"), STR("b"), &twin) : err;
}

static void of_two_members_with_one_instance_id_one_is_static(void **state)
{
    struct kit *kit = *state;
    struct coord_op op;
    coord_op_init(&op);
    op.access = COORD_WRITE;
    op.decide = put_twins;
    assert_int_equal(group_kit_run(kit, &op), 0);
    group_kit_restart(kit);
    kit_turns(kit, 6);
    assert_true(is_classic(kit));
    assert_int_equal(classic_member_count(group_kit_group(kit, "g")->classic), 2);
    assert_int_equal(map_count(&group_kit_group(kit, "g")->classic->statics), 1);
}

static void a_consumer_whose_session_ends_leaves_a_classic_group(void **state)
{
    struct kit *kit = *state;
    struct member x;
    struct consumer a;
    classic_init(&x, kit, "x");
    x.session_ms = 300000;
    members_settle(kit, &x, 1);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    settle(&x, 1, &a, 1);
    group_kit_pass(kit, 46000);
    kit_turns(kit, 6);
    assert_true(is_classic(kit));
    assert_true(member_join(&x));
    assert_int_equal(x.join_error, 0);
}

static void a_classic_member_that_falls_silent_loses_its_own_session(void **state)
{
    struct kit *kit = *state;
    struct member x;
    struct consumer a;
    classic_init(&x, kit, "x");
    x.session_ms = 10000;
    members_settle(kit, &x, 1);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    group_kit_pass(kit, 9000);
    assert_int_equal(group_of(kit)->member_count, 2);
    group_kit_pass(kit, 2000);
    assert_int_equal(group_of(kit)->member_count, 1);
    consumers_settle(&a, 1);
    assert_int_equal(owned(&a), 7);
}

static void a_classic_member_that_does_not_join_in_time_is_put_out(void **state)
{
    struct kit *kit = *state;
    struct member x;
    struct consumer a;
    classic_init(&x, kit, "x");
    x.session_ms = 300000;
    x.rebalance_ms = 20000;
    members_settle(kit, &x, 1);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(member_heartbeat(&x), KAFKA_REBALANCE_IN_PROGRESS);
    group_kit_pass(kit, 19000);
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(member_heartbeat(&x), KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(group_of(kit)->member_count, 2);
    group_kit_pass(kit, 2000);
    assert_int_equal(group_of(kit)->member_count, 1);
    assert_int_equal(member_heartbeat(&x), KAFKA_UNKNOWN_MEMBER_ID);
}

static void classic_members_come_and_go_in_a_consumer_group(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    consumers_settle(&a, 1);
    classic_init(&m[0], kit, "x");
    classic_init(&m[1], kit, "y");
    for (int i = 0; i < 2; i++) {
        assert_true(member_join_as_new(&m[i]));
        assert_int_equal(m[i].join_error, 0);
        assert_true(member_sync(&m[i]));
    }
    settle(m, 2, &a, 1);
    assert_int_equal(m[0].given | m[1].given | owned(&a), 7);
    assert_true(m[0].given && m[1].given && owned(&a));
    assert_int_equal(member_leave(&m[0]), 0);
    assert_int_equal(member_leave(&m[0]), KAFKA_UNKNOWN_MEMBER_ID);
    settle(m + 1, 1, &a, 1);
    assert_int_equal(m[1].given | owned(&a), 7);
    m[1].generation++;
    assert_int_equal(member_heartbeat(&m[1]), KAFKA_ILLEGAL_GENERATION);
    m[1].generation--;
    assert_int_equal(member_leave(&m[1]), 0);
    assert_int_equal(group_of(kit)->classic_count, 0);
    consumers_settle(&a, 1);
    assert_int_equal(owned(&a), 7);
}

static void a_static_member_moves_between_the_protocols_with_its_partitions(void **state)
{
    struct kit *kit = *state;
    struct member x, back;
    struct consumer a;
    classic_init(&x, kit, "x");
    x.instance_id = "i";
    members_settle(kit, &x, 1);
    consumer_init(&a, kit, "g", "a");
    a.instance_id = "i";
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(owned(&a), 7);
    assert_int_equal(group_of(kit)->member_count, 1);
    assert_int_equal(member_heartbeat(&x), KAFKA_FENCED_INSTANCE_ID);
    classic_init(&back, kit, "x");
    back.instance_id = "i";
    assert_true(member_join(&back));
    assert_int_equal(back.join_error, 0);
    kit_turns(kit, 6);
    assert_true(is_classic(kit));
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
    assert_true(member_sync(&back));
    assert_int_equal(back.sync_error, 0);
    assert_int_equal(back.given, 7);
    assert_int_equal(member_heartbeat(&back), 0);
}

static void the_policy_says_which_way_groups_may_go(void **state)
{
    struct kit *kit = *state;
    struct member x, y;
    struct consumer a;
    kit->broker.group_consumer_upgrade = false;
    classic_init(&x, kit, "x");
    members_settle(kit, &x, 1);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), KAFKA_GROUP_ID_NOT_FOUND);
    kit->broker.group_consumer_upgrade = true;
    kit->broker.group_consumer_downgrade = false;
    assert_int_equal(consumer_heartbeat(&a), 0);
    settle(&x, 1, &a, 1);
    assert_int_equal(consumer_leave(&a), 0);
    kit_turns(kit, 6);
    assert_false(is_classic(kit));
    kit->broker.group_consumer_upgrade = false;
    classic_init(&y, kit, "y");
    assert_true(member_join_as_new(&y));
    assert_int_equal(y.join_error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

static void groups_that_cannot_be_understood_stay_classic(void **state)
{
    struct kit *kit = *state;
    struct member x;
    struct consumer a;
    classic_init(&x, kit, "x");
    x.shares = 0; /* its leader writes something else */
    members_settle(kit, &x, 1);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), KAFKA_GROUP_ID_NOT_FOUND);
    assert_true(is_classic(kit));
    assert_int_equal(member_heartbeat(&x), 0);
    assert_int_equal(member_leave(&x), 0);
    assert_int_equal(consumer_heartbeat(&a), 0);
    kit->broker.group_consumer_max_size = 0;
    assert_int_equal(consumer_leave(&a), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, consumer_kit_teardown)
    const struct CMUnitTest tests[] = {
        T(a_classic_group_becomes_a_consumer_group_with_its_members),
        T(whoever_waits_in_the_classic_group_is_told_to_join_again),
        T(when_the_last_consumer_leaves_the_group_is_classic_again),
        T(of_two_members_with_one_instance_id_one_is_static),
        T(a_consumer_whose_session_ends_leaves_a_classic_group),
        T(a_classic_member_that_falls_silent_loses_its_own_session),
        T(a_classic_member_that_does_not_join_in_time_is_put_out),
        T(classic_members_come_and_go_in_a_consumer_group),
        T(a_static_member_moves_between_the_protocols_with_its_partitions),
        T(the_policy_says_which_way_groups_may_go),
        T(groups_that_cannot_be_understood_stay_classic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
