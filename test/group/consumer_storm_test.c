/* Hostile clients make groups of the consumer protocol and members by the thousands, and go. What
 * they hold is counted as long as it is there, bounded, and given back to the last byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "consumer_kit.h"
#include "group/consumer_regex.h"

enum { STORM_GROUPS = 400 };

static int setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    consumer_kit_init(kit);
    *state = kit;
    return 0;
}

static int teardown(void **state)
{
    consumer_kit_close(*state);
    free(*state);
    return 0;
}

/* What one hostile client does to a group, by its number. */
static void attack(struct kit *kit, int number)
{
    static const char *const topics[] = {"t0", "t1", "t2", "t3"};
    struct consumer a, b;
    char group[64], instance[64];
    snprintf(group, sizeof group, "storm-%d", number);
    snprintf(instance, sizeof instance, "instance-%d", number % 5);
    consumer_init(&a, kit, group, "a");
    consumer_init(&b, kit, group, "b");
    switch (number % 8) {
    case 0: /* joins and is never seen again */
        memcpy(a.topics, topics, sizeof topics);
        a.topic_count = CONSUMER_TOPICS;
        assert_int_equal(consumer_heartbeat(&a), 0);
        break;
    case 1: /* an expression that is resolved when nobody waits for it */
        a.topic_count = 0;
        a.regex = "t.*";
        assert_int_equal(consumer_heartbeat(&a), 0);
        break;
    case 2: /* a static member that goes for a while */
        a.instance_id = instance;
        assert_int_equal(consumer_heartbeat(&a), 0);
        assert_int_equal(consumer_leave_static(&a), 0);
        break;
    case 3: /* the same, and another one takes its place */
        a.instance_id = b.instance_id = instance;
        assert_int_equal(consumer_heartbeat(&a), 0);
        assert_int_equal(consumer_leave_static(&a), 0);
        assert_int_equal(consumer_heartbeat(&b), 0);
        break;
    case 4: /* one that does not give up what the other one waits for */
        a.rebalance_ms = 1000;
        assert_int_equal(consumer_heartbeat(&a), 0);
        a.holds_on = true;
        assert_int_equal(consumer_heartbeat(&b), 0);
        assert_int_equal(consumer_heartbeat(&a), 0);
        break;
    case 5: /* what it wants changes all the time */
        for (int i = 0; i < 6; i++) {
            a.topics[0] = topics[i % CONSUMER_TOPICS];
            a.regex = i % 2 == 0 ? "t[0-2]" : "";
            assert_int_equal(consumer_heartbeat(&a), 0);
        }
        break;
    case 6: /* comes and goes; commits */
        assert_int_equal(consumer_heartbeat(&a), 0);
        assert_int_equal(consumer_commit(&a, a.epoch, 0, 0, 5), 0);
        assert_int_equal(consumer_leave(&a), 0);
        break;
    case 7: /* what is refused leaves nothing */
        a.regex = "(";
        assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REGULAR_EXPRESSION);
        break;
    }
}

static bool is_empty(struct kit *kit)
{
    const struct group_shard *shard = group_kit_state(kit);
    return shard->counts.groups == 0 && shard->counts.offsets == 0 && shard->counts.held == 0 &&
           map_count(&shard->groups) == 0 && map_count(&shard->topics) == 0 &&
           list_empty(&shard->all);
}

/* So long that sessions end, and offsets and groups expire. */
static void pass_until_empty(struct kit *kit)
{
    for (int i = 0; i < 300 && !is_empty(kit); i++)
        group_kit_pass(kit, 60 * 60 * 1000);
    assert_true(is_empty(kit));
    assert_int_equal(kit->fold_word, 0);
}

static void a_storm_of_consumers_leaves_nothing(void **state)
{
    struct kit *kit = *state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STORM_GROUPS; i++)
            attack(kit, i);
        group_kit_pass(kit, 2000);
        const struct group_shard *shard = group_kit_state(kit);
        int64_t held = shard->counts.held;
        assert_int_equal(shard->counts.groups, STORM_GROUPS / 8 * 7);
        assert_true(held > STORM_GROUPS / 8 * 7 * (int64_t)sizeof(struct consumer_group));
        assert_int_equal(kit->fold_word, held);
        if (round == 1) { /* the same when a load found it */
            group_kit_restart(kit);
            assert_int_equal(group_kit_state(kit)->counts.held, held);
            assert_int_equal(kit->fold_word, held);
        }
        pass_until_empty(kit);
    }
}

static void what_is_held_goes_with_the_leadership(void **state)
{
    struct kit *kit = *state;
    for (int i = 0; i < 16; i++)
        attack(kit, i);
    assert_true(kit->fold_word > 0);
    kit_lead(kit, 0, -1);
    kit_turns(kit, 6);
    assert_int_equal(kit->fold_word, 0);
}

static void each_part_of_a_member_counts(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    int64_t one = kit->fold_word;
    assert_true(one > (int64_t)(sizeof(struct consumer_group) + sizeof(struct consumer_member)));
    a.topics[1] = "t1";
    a.topic_count = 2;
    consumers_settle(&a, 1);
    int64_t two = kit->fold_word;
    /* A name, and four partitions in the target, in what it has, and with their owner. */
    assert_true(two >= one + (int64_t)sizeof(struct consumer_topic) +
                           4 * 2 * (int64_t)sizeof(struct assigned));
    a.regex = "t[23]";
    assert_int_equal(consumer_heartbeat(&a), 0);
    group_kit_pass(kit, 1);
    consumers_settle(&a, 1);
    assert_true(kit->fold_word >= two + (int64_t)sizeof(struct consumer_regex) +
                                      2 * (int64_t)sizeof(struct consumer_topic) +
                                      11 * 2 * (int64_t)sizeof(struct assigned));
    a.regex = "";
    consumers_settle(&a, 1);
    assert_int_equal(kit->fold_word, two);
    a.topic_count = 1;
    consumers_settle(&a, 1);
    assert_int_equal(kit->fold_word, one);
    assert_int_equal(consumer_leave(&a), 0);
    assert_int_equal(kit->fold_word, sizeof(struct consumer_group));
}

static void consumers_beyond_the_memory_of_groups_are_refused_until_there_is_room(void **state)
{
    struct kit *kit = *state;
    struct consumer *members = calloc(50, sizeof *members), late;
    int count = 0;
    kit->broker.group_memory_bytes = 40000;
    for (;; count++) {
        char id[32];
        assert_true(count < 50);
        snprintf(id, sizeof id, "m%d", count);
        consumer_init(&members[count], kit, "g", id);
        if (consumer_heartbeat(&members[count]) != 0)
            break;
    }
    assert_true(count > 5);
    assert_int_equal(members[count].error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_true(kit->fold_word <= kit->broker.group_memory_bytes);
    consumer_init(&late, kit, "other", "late");
    assert_int_equal(consumer_heartbeat(&late), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_null(group_kit_group(kit, "other"));
    /* Who is in stays in, as it is, and may leave. */
    consumers_settle(members, count);
    kit->broker.group_memory_bytes = kit->fold_word + 100;
    members[0].regex = "t2|t3|t4|and|so|on"; /* more than it had */
    assert_int_equal(consumer_heartbeat(&members[0]), KAFKA_COORDINATOR_NOT_AVAILABLE);
    members[0].regex = NULL;
    assert_int_equal(consumer_heartbeat(&members[0]), 0);
    int left = 0;
    for (; consumer_heartbeat(&late) != 0; left++) {
        assert_int_equal(late.error, KAFKA_COORDINATOR_NOT_AVAILABLE);
        assert_true(left < 4);
        assert_int_equal(consumer_leave(&members[left]), 0);
    }
    assert_true(left > 0);
    free(members);
    kit->broker.group_memory_bytes = INT64_C(1) << 30;
    pass_until_empty(kit);
}

static void who_is_refused_for_memory_takes_nothing_from_a_group_of_the_other_protocol(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    struct member b;
    consumer_init(&a, kit, "g", "a");
    consumers_settle(&a, 1);
    assert_int_equal(consumer_commit(&a, a.epoch, 0, 1, 7), 0);
    assert_int_equal(consumer_leave(&a), 0);
    kit->broker.group_memory_bytes = kit->fold_word;
    member_init(&b, kit, "g", "b");
    assert_true(member_join(&b));
    assert_int_equal(b.join_error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_non_null(group_of(kit));
    assert_int_equal(fetch(kit, "g", "t0", 1), 7);
    member_close(&b);
}

static void
an_expression_stands_for_nothing_as_long_as_there_is_no_room_for_its_topics(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    a.topic_count = 0;
    a.regex = "t.*";
    kit->jobs_held = true;
    assert_int_equal(consumer_heartbeat(&a), 0);
    kit->broker.group_memory_bytes = kit->fold_word + 100;
    kit->jobs_held = false;
    kit_turns(kit, 6);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "");
    kit->broker.group_memory_bytes = INT64_C(1) << 30;
    group_kit_pass(kit, CONSUMER_REGEX_REFRESH_MS + 1);
    assert_int_equal(consumer_heartbeat(&a), 0);
    kit_turns(kit, 6);
    consumers_settle(&a, 1);
    assert_int_equal(a.owned_count, 18);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_storm_of_consumers_leaves_nothing),
        T(what_is_held_goes_with_the_leadership),
        T(each_part_of_a_member_counts),
        T(consumers_beyond_the_memory_of_groups_are_refused_until_there_is_room),
        T(who_is_refused_for_memory_takes_nothing_from_a_group_of_the_other_protocol),
        T(an_expression_stands_for_nothing_as_long_as_there_is_no_room_for_its_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
