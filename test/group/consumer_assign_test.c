/* Assignments that the pool computes beside the requests: what members hear meanwhile, and what
 * becomes of them when the group, its members, its topics or the coordinator change meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "consumer_kit.h"
#include "group/assignor_spec.h"
#include "group/consumer_memory.h"
#include "group/consumer_target.h"

static int setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    consumer_kit_init(kit);
    kit->broker.group_consumer_assignor_offload = true; /* of all groups, as no inline.max is set */
    *state = kit;
    return 0;
}

/* The pool and the shard do what they have to. */
static void assign(struct kit *kit)
{
    kit->jobs_held = false;
    kit_turns(kit, 6);
    if (group_of(kit))
        assert_null(group_of(kit)->assigning);
}

static void joins(struct kit *kit, struct consumer *member, const char *id)
{
    consumer_init(member, kit, "g", id);
    assert_int_equal(consumer_heartbeat(member), 0);
}

/* Two members that share t0 and t1; what is begun next waits for `assign`. */
static void begin(struct kit *kit, struct consumer members[2])
{
    for (int i = 0; i < 2; i++) {
        consumer_init(&members[i], kit, "g", i == 0 ? "a" : "b");
        members[i].topics[1] = "t1";
        members[i].topic_count = 2;
        assert_int_equal(consumer_heartbeat(&members[i]), 0);
        assign(kit);
    }
    consumers_settle(members, 2);
    assert_int_equal(members[0].owned_count + members[1].owned_count, 7);
    kit->jobs_held = true;
}

/* Who is in the group has each wanted partition once, when all have settled. */
static void check_shared(struct kit *kit, struct consumer *members, int count, int partitions)
{
    int owned = 0;
    for (int i = 0; i < 10; i++) {
        consumers_settle(members, count);
        kit_turns(kit, 6);
    }
    for (int m = 0; m < count; m++) {
        owned += members[m].owned_count;
        for (int i = 0; i < members[m].owned_count; i++)
            for (int n = 0; n < m; n++)
                for (int k = 0; k < members[n].owned_count; k++)
                    assert_memory_not_equal(&members[m].owned[i], &members[n].owned[k],
                                            sizeof(struct owned));
    }
    assert_int_equal(owned, partitions);
    assert_int_equal(group_of(kit)->assignment_epoch, group_of(kit)->epoch);
}

static void a_new_group_hears_of_its_first_assignment_with_a_later_heartbeat(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    kit->jobs_held = true;
    joins(kit, &a, "a");
    assert_int_equal(a.epoch, 1); /* in which nobody has anything */
    assert_true(a.assigned);
    assert_string_equal(consumer_owns(&a), "");
    assert_int_equal(group_of(kit)->epoch, 2);
    assert_string_equal(group_kit_state_name(kit, "g"), "Assigning");
    assert_int_equal(consumer_ping(&a), 0);
    assert_int_equal(a.epoch, 1);
    assert_false(a.assigned);
    assign(kit);
    assert_int_equal(group_of(kit)->assignment_epoch, 2);
    assert_int_equal(group_of(kit)->assignment_timestamp_ms,
                     env_wall_ms(kit->env) + kit->now_ns / 1000000);
    assert_string_equal(group_kit_state_name(kit, "g"), "Reconciling");
    assert_int_equal(consumer_ping(&a), 0);
    assert_int_equal(a.epoch, 2);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2");
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
}

static void one_assignment_is_under_way_at_a_time(void **state)
{
    struct kit *kit = *state;
    struct consumer members[2], c;
    begin(kit, members);
    joins(kit, &c, "c");
    const struct consumer_assigning *first = group_of(kit)->assigning;
    assert_non_null(first);
    int64_t end = log_end_offset(kit_partition(kit, 0)->log);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(consumer_heartbeat(&members[i]), 0);
        assert_ptr_equal(group_of(kit)->assigning, first);
    }
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), end);
    assign(kit);
    struct consumer all[] = {members[0], members[1], c};
    check_shared(kit, all, 3, 7);
}

static void small_groups_hear_of_it_at_once(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    kit->broker.group_assignor_inline_max = 4; /* one member, one topic, three partitions */
    joins(kit, &a, "a");
    assert_string_equal(consumer_owns(&a), "t0:0,1,2");
    kit->jobs_held = true;
    joins(kit, &b, "b");
    assert_non_null(group_of(kit)->assigning);
    assign(kit);
    struct consumer all[] = {a, b};
    check_shared(kit, all, 2, 3);
}

static void a_member_that_left_meanwhile_is_given_nothing(void **state)
{
    struct kit *kit = *state;
    struct consumer members[2], c;
    begin(kit, members);
    joins(kit, &c, "c");
    int32_t epoch = group_of(kit)->epoch;
    assert_int_equal(consumer_leave(&members[1]), 0);
    assert_int_equal(group_of(kit)->epoch, epoch + 1);
    assign(kit);
    /* It is of the epoch that it was begun for, and the next one follows with a heartbeat. */
    assert_int_equal(group_of(kit)->assignment_epoch, epoch);
    assert_int_equal(group_of(kit)->member_count, 2);
    assert_null(map_find_str(&group_of(kit)->members, STR("b")));
    assert_true(group_of(kit)->target_count < 7);
    struct consumer all[] = {members[0], c};
    check_shared(kit, all, 2, 7);
    assert_int_equal(group_of(kit)->assignment_epoch, epoch + 1);
}

static void who_left_and_came_back_meanwhile_has_what_was_meant_for_it(void **state)
{
    struct kit *kit = *state;
    struct consumer members[2], c;
    begin(kit, members);
    consumer_init(&c, kit, "g", "c");
    c.topics[0] = "t2"; /* so that nothing changes for the others */
    assert_int_equal(consumer_heartbeat(&c), 0);
    assert_int_equal(consumer_leave(&members[1]), 0);
    assert_int_equal(consumer_heartbeat(&members[1]), 0); /* with no target at all */
    assign(kit);
    assert_int_equal(group_of(kit)->target_count, 7 + 5);
    struct consumer all[] = {members[0], members[1], c};
    check_shared(kit, all, 3, 7 + 5);
}

static void a_static_member_that_was_replaced_meanwhile_hands_on_what_was_meant_for_it(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b, again;
    consumer_init(&a, kit, "g", "a");
    a.instance_id = "one";
    assert_int_equal(consumer_heartbeat(&a), 0);
    assign(kit);
    consumers_settle(&a, 1);
    kit->jobs_held = true;
    joins(kit, &b, "b");
    assert_int_equal(consumer_leave_static(&a), 0);
    consumer_init(&again, kit, "g", "again");
    again.instance_id = "one";
    assert_int_equal(consumer_heartbeat(&again), 0);
    assign(kit);
    const struct consumer_member *member = consumer_member_find(group_of(kit), STR("again"));
    assert_true(member->has_target && member->target.count >= 1 && member->target.count <= 2);
    assert_int_equal(group_of(kit)->target_count, 3);
    struct consumer all[] = {again, b};
    check_shared(kit, all, 2, 3);
}

static void a_member_that_joined_meanwhile_is_in_the_next_one(void **state)
{
    struct kit *kit = *state;
    struct consumer members[2], c, d;
    begin(kit, members);
    joins(kit, &c, "c");
    joins(kit, &d, "d");
    int32_t epoch = group_of(kit)->epoch;
    assign(kit);
    assert_int_equal(group_of(kit)->assignment_epoch, epoch - 1);
    assert_false(consumer_member_find(group_of(kit), STR("d"))->has_target);
    assert_int_equal(consumer_ping(&d), 0);
    assert_string_equal(consumer_owns(&d), "");
    struct consumer all[] = {members[0], members[1], c, d};
    check_shared(kit, all, 4, 7);
}

static void whoever_changes_its_mind_meanwhile_owns_nothing_that_it_does_not_want(void **state)
{
    struct kit *kit = *state;
    struct consumer members[2], c;
    begin(kit, members);
    joins(kit, &c, "c");
    members[0].topics[0] = "t3", members[0].topic_count = 1;
    assert_int_equal(consumer_heartbeat(&members[0]), 0);
    assign(kit);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(consumer_heartbeat(&members[0]), 0);
        for (int k = 0; k < members[0].owned_count; k++)
            assert_int_equal(members[0].owned[k].topic, 3);
    }
    struct consumer all[] = {members[0], members[1], c};
    check_shared(kit, all, 3, 7 + 6);
}

static void topics_that_go_meanwhile_are_nobodys(void **state)
{
    struct kit *kit = *state;
    static const int32_t fewer[CONSUMER_TOPICS] = {3, 0, 5, 6};
    struct consumer members[2], c;
    begin(kit, members);
    joins(kit, &c, "c");
    consumer_kit_topics(kit, fewer);
    assign(kit);
    struct consumer all[] = {members[0], members[1], c};
    check_shared(kit, all, 3, 3);
}

static void a_group_that_is_gone_meanwhile_stays_gone(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    kit->jobs_held = true;
    joins(kit, &a, "a");
    assert_int_equal(consumer_leave(&a), 0);
    struct group_delete drop;
    group_delete_init(&drop);
    drop.group = STR("g");
    assert_int_equal(group_kit_run(kit, &drop.op), 0);
    assign(kit);
    assert_null(group_kit_group(kit, "g"));
}

static void another_group_of_the_name_gets_nothing_of_it(void **state)
{
    struct kit *kit = *state;
    struct consumer a, again;
    kit->jobs_held = true;
    joins(kit, &a, "a");
    assert_int_equal(consumer_leave(&a), 0);
    struct group_delete drop;
    group_delete_init(&drop);
    drop.group = STR("g");
    assert_int_equal(group_kit_run(kit, &drop.op), 0);
    consumer_init(&again, kit, "g", "a");
    again.topics[0] = "t1";
    assert_int_equal(consumer_heartbeat(&again), 0);
    assign(kit);
    assert_int_equal(group_of(kit)->target_count, 4);
    check_shared(kit, &again, 1, 4);
    assert_string_equal(consumer_owns(&again), "t1:0,1,2,3");
}

static void what_the_pool_computes_for_a_coordinator_of_before_comes_to_nothing(void **state)
{
    struct kit *kit = *state;
    struct consumer members[2], c;
    begin(kit, members);
    joins(kit, &c, "c");
    int32_t epoch = group_of(kit)->epoch;
    kit_lead(kit, 0, -1);
    for (int i = 0; i < 3; i++)
        kit_turn(kit); /* the pool still has it */
    kit_lead(kit, 0, 9);
    kit->jobs_held = false;
    kit_turns(kit, 10);
    coord_shard_unref(kit_shard(kit, 0));
    assert_null(group_of(kit)->assigning);
    assert_int_equal(group_of(kit)->epoch, epoch);
    assert_true(group_of(kit)->assignment_epoch < epoch);
    struct consumer all[] = {members[0], members[1], c};
    check_shared(kit, all, 3, 7);
}

static void an_assignment_that_cannot_be_written_is_tried_again_after_a_while(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    kit->jobs_held = true;
    joins(kit, &a, "a");
    kit->broker.group_memory_bytes = kit->fold_word + consumer_partitions_bytes(3) - 1;
    assign(kit);
    assert_non_null(strstr(kit->lines, "a group's partitions were not assigned"));
    assert_int_equal(group_of(kit)->target_count, 0);
    kit->broker.group_memory_bytes++;
    assert_int_equal(consumer_ping(&a), 0);
    assert_null(group_of(kit)->assigning); /* not at once */
    group_kit_pass(kit, GROUP_RETRY_MS);
    assert_int_equal(consumer_ping(&a), 0);
    assign(kit);
    assert_int_equal(group_of(kit)->target_count, 3);
    check_shared(kit, &a, 1, 3);
}

static void a_small_assignment_waits_for_memory_as_well(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    kit->broker.group_consumer_assignor_offload = false;
    consumer_init(&a, kit, "g", "a");
    a.topic_count = 0;
    assert_int_equal(consumer_heartbeat(&a), 0);
    a.topic_count = 1;
    kit->broker.group_memory_bytes = kit->fold_word + consumer_partitions_bytes(3) - 1;
    assert_int_equal(consumer_heartbeat(&a), 0); /* there is room for the name */
    assert_string_equal(consumer_owns(&a), "");
    assert_string_equal(group_kit_state_name(kit, "g"), "Assigning");
    int64_t end = log_end_offset(kit_partition(kit, 0)->log);
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), end);
    kit->broker.group_memory_bytes = INT64_C(1) << 30;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2");
}

static void the_interval_counts_from_the_end_of_an_assignment(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    kit->broker.group_consumer_assignment_interval_ms = 1000;
    kit->jobs_held = true;
    joins(kit, &a, "a");
    group_kit_pass(kit, 5000);
    assign(kit);
    joins(kit, &b, "b");
    assert_null(group_of(kit)->assigning);
    group_kit_pass(kit, 999);
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_null(group_of(kit)->assigning);
    kit->jobs_held = true;
    group_kit_pass(kit, 1);
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_non_null(group_of(kit)->assigning);
    assign(kit);
    struct consumer all[] = {a, b};
    check_shared(kit, all, 2, 3);
}

static void expressions_that_change_meanwhile_do_not_disturb_the_pool(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    a.topic_count = 0;
    a.regex = "t[01]";
    assert_int_equal(consumer_heartbeat(&a), 0);
    kit_turns(kit, 6); /* it is resolved */
    kit->jobs_held = true;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_non_null(group_of(kit)->assigning);
    a.regex = "";
    assert_int_equal(consumer_heartbeat(&a), 0); /* nothing of the expression is left */
    assert_int_equal(map_count(&group_of(kit)->regexes), 0);
    assign(kit);
    assert_int_equal(group_of(kit)->target_count, 7); /* as it was wanted then */
    check_shared(kit, &a, 1, 0);
}

/* The image says that a topic has so many partitions, more than could be made here. What only asks
 * how many there are does not find out. */
static void pretend(struct kit *kit, int topic, int32_t partitions)
{
    const struct topic_image *image = image_topic(kit->image, consumer_kit_topic(topic));
    ((struct topic_image *)(uintptr_t)image)->partitions.size = partitions;
}

static void an_assignor_takes_so_many_partitions_and_not_one_more(void **state)
{
    struct kit *kit = *state;
    struct str names[] = {STR("t0"), STR("t1")};
    struct target_member member = {.id = STR("a"), .names = {names, 2}};
    struct arena arena;
    arena_init(&arena, 1 << 20); /* no room for any of it */
    struct consumer_target target = {.image = kit->image,
                                     .assignor = &uniform_assignor,
                                     .arena = &arena,
                                     .members = &member,
                                     .member_count = 1};
    pretend(kit, 0, ASSIGNOR_PARTITIONS_MAX - 7);
    pretend(kit, 1, 7);
    assert_int_equal(consumer_target_assign(&target), -ENOMEM);
    pretend(kit, 1, 8);
    assert_int_equal(consumer_target_assign(&target), KAFKA_UNKNOWN_SERVER_ERROR);
    pretend(kit, 0, INT32_MAX);
    pretend(kit, 1, INT32_MAX);
    assert_int_equal(consumer_target_assign(&target), KAFKA_UNKNOWN_SERVER_ERROR);
    arena_close(&arena);
}

static void who_wants_more_partitions_than_an_assignor_takes_is_refused(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    kit->broker.group_consumer_assignor_offload = false;
    pretend(kit, 0, ASSIGNOR_PARTITIONS_MAX + 1);
    int64_t end = log_end_offset(kit_partition(kit, 0)->log);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), KAFKA_UNKNOWN_SERVER_ERROR);
    assert_null(group_kit_group(kit, "g"));
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), end);
    /* The pool refuses it, too, and the group waits until there are fewer. */
    kit->broker.group_consumer_assignor_offload = true;
    kit->jobs_held = true;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assign(kit);
    assert_non_null(strstr(kit->lines, "a group's partitions were not assigned"));
    assert_int_equal(group_of(kit)->target_count, 0);
    pretend(kit, 0, 3);
    group_kit_pass(kit, GROUP_RETRY_MS);
    assert_int_equal(consumer_ping(&a), 0);
    assign(kit);
    check_shared(kit, &a, 1, 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, consumer_kit_teardown)
    const struct CMUnitTest tests[] = {
        T(a_new_group_hears_of_its_first_assignment_with_a_later_heartbeat),
        T(one_assignment_is_under_way_at_a_time),
        T(small_groups_hear_of_it_at_once),
        T(a_member_that_left_meanwhile_is_given_nothing),
        T(who_left_and_came_back_meanwhile_has_what_was_meant_for_it),
        T(a_static_member_that_was_replaced_meanwhile_hands_on_what_was_meant_for_it),
        T(a_member_that_joined_meanwhile_is_in_the_next_one),
        T(whoever_changes_its_mind_meanwhile_owns_nothing_that_it_does_not_want),
        T(topics_that_go_meanwhile_are_nobodys),
        T(a_group_that_is_gone_meanwhile_stays_gone),
        T(another_group_of_the_name_gets_nothing_of_it),
        T(what_the_pool_computes_for_a_coordinator_of_before_comes_to_nothing),
        T(an_assignment_that_cannot_be_written_is_tried_again_after_a_while),
        T(a_small_assignment_waits_for_memory_as_well),
        T(the_interval_counts_from_the_end_of_an_assignment),
        T(expressions_that_change_meanwhile_do_not_disturb_the_pool),
        T(an_assignor_takes_so_many_partitions_and_not_one_more),
        T(who_wants_more_partitions_than_an_assignor_takes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
