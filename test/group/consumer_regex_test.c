/* Regular expressions of consumer groups: resolved beside the requests, refreshed when topics come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "consumer_kit.h"
#include "group/consumer_regex.h"

/* A member that subscribes to nothing but an expression. */
static void init(struct consumer *consumer, struct kit *kit, const char *id, const char *regex)
{
    consumer_init(consumer, kit, "g", id);
    consumer->topic_count = 0;
    consumer->regex = regex;
}

/* The pool and the shard do what they have to. */
static void resolve(struct kit *kit)
{
    kit_turns(kit, 6);
    assert_null(group_of(kit)->refresh);
}

static void an_expression_is_resolved_beside_the_requests(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    init(&a, kit, "a", "t[01]");
    kit->jobs_held = true;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(a.epoch, 1);
    assert_string_equal(consumer_owns(&a), "");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_string_equal(consumer_owns(&a), "");
    kit->jobs_held = false;
    resolve(kit);
    assert_int_equal(group_of(kit)->epoch, 2);
    assert_int_equal(consumer_ping(&a), 0);
    assert_int_equal(a.epoch, 2);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2 t1:0,1,2,3");
}

static void topics_that_come_and_go_are_seen_with_the_next_refresh(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    static const int32_t fewer[] = {3, 4, 0, 6}, more[] = {3, 4, 2, 6};
    init(&a, kit, "a", "t.*[0-2]");
    assert_int_equal(consumer_heartbeat(&a), 0);
    resolve(kit);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2 t1:0,1,2,3 t2:0,1,2,3,4");
    consumer_kit_topics(kit, fewer);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2 t1:0,1,2,3");
    consumer_kit_topics(kit, more); /* its name is known, so that it need not be matched */
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2 t1:0,1,2,3 t2:0,1");
    a.regex = "t[0-9]";
    assert_int_equal(consumer_heartbeat(&a), 0);
    resolve(kit);
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_string_equal(consumer_owns(&a), ""); /* within ten seconds of the last refresh */
    group_kit_pass(kit, CONSUMER_REGEX_REFRESH_MS + 1);
    assert_int_equal(consumer_heartbeat(&a), 0);
    resolve(kit);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2 t1:0,1,2,3 t2:0,1 t3:0,1,2,3,4,5");
}

static void a_new_topic_is_matched_when_the_last_refresh_is_ten_seconds_old(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    static const int32_t without[] = {3, 4, 0, 0}, with[] = {3, 4, 0, 1};
    consumer_kit_topics(kit, without);
    init(&a, kit, "a", "t[3-9]");
    assert_int_equal(consumer_heartbeat(&a), 0);
    resolve(kit);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "");
    consumer_kit_topics(kit, with);
    group_kit_pass(kit, CONSUMER_REGEX_REFRESH_MS);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "");
    group_kit_pass(kit, 1);
    assert_int_equal(consumer_heartbeat(&a), 0);
    resolve(kit);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "t3:0");
    /* Without new topics there is nothing to be done. */
    int64_t end = log_end_offset(kit_partition(kit, 0)->log);
    group_kit_pass(kit, 40000);
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_null(group_of(kit)->refresh);
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), end);
}

static void what_is_no_expression_is_refused_and_leaves_no_group(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    init(&a, kit, "a", "(");
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REGULAR_EXPRESSION);
    assert_null(group_kit_group(kit, "g"));
    init(&a, kit, "a", "t0");
    assert_int_equal(consumer_heartbeat(&a), 0);
    init(&b, kit, "b", "[");
    assert_int_equal(consumer_heartbeat(&b), KAFKA_INVALID_REGULAR_EXPRESSION);
    b.epoch = 7;
    assert_int_equal(consumer_heartbeat(&b), KAFKA_UNKNOWN_MEMBER_ID);
    a.regex = "*";
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REGULAR_EXPRESSION);
    a.regex = "t0";
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(group_of(kit)->member_count, 1);
    assert_int_equal(map_count(&group_of(kit)->regexes), 1);
}

static void members_of_one_expression_share_what_it_stands_for(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2];
    init(&m[0], kit, "a", "t[01]");
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    resolve(kit);
    consumers_settle(m, 1);
    int32_t epoch = group_of(kit)->epoch;
    init(&m[1], kit, "b", "t[01]");
    assert_int_equal(consumer_heartbeat(&m[1]), 0);
    assert_int_equal(group_of(kit)->epoch, epoch + 1); /* it is resolved, no need to wait */
    consumers_settle(m, 2);
    assert_int_equal(m[0].owned_count + m[1].owned_count, 7);
    assert_true(m[0].owned_count == 3 || m[0].owned_count == 4);
    group_kit_restart(kit); /* the log knows what it stands for */
    consumers_settle(m, 2);
    assert_int_equal(m[0].owned_count + m[1].owned_count, 7);
    assert_int_equal(consumer_leave(&m[0]), 0);
    assert_int_equal(map_count(&group_of(kit)->regexes), 1);
    consumers_settle(m + 1, 1);
    assert_int_equal(m[1].owned_count, 7);
    assert_int_equal(consumer_leave(&m[1]), 0);
    assert_int_equal(map_count(&group_of(kit)->regexes), 0);
    assert_int_equal(map_count(&group_of(kit)->topics), 0);
}

static void names_and_expressions_add_up_and_may_be_exchanged(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    init(&a, kit, "a", "t1");
    a.topics[0] = "t0";
    a.topic_count = 1;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2");
    resolve(kit);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2 t1:0,1,2,3");
    a.regex = "";
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2");
    assert_int_equal(map_count(&group_of(kit)->regexes), 0);
}

static void a_group_that_is_gone_when_its_expression_is_resolved_stays_gone(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    init(&a, kit, "a", "t1");
    kit->jobs_held = true;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_non_null(group_of(kit)->refresh);
    assert_int_equal(consumer_leave(&a), 0);
    struct group_delete drop;
    group_delete_init(&drop);
    drop.group = STR("g");
    assert_int_equal(group_kit_run(kit, &drop.op), 0);
    kit->jobs_held = false;
    kit_turns(kit, 6);
    assert_null(group_kit_group(kit, "g"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, consumer_kit_setup, consumer_kit_teardown)
    const struct CMUnitTest tests[] = {
        T(an_expression_is_resolved_beside_the_requests),
        T(topics_that_come_and_go_are_seen_with_the_next_refresh),
        T(a_new_topic_is_matched_when_the_last_refresh_is_ten_seconds_old),
        T(what_is_no_expression_is_refused_and_leaves_no_group),
        T(members_of_one_expression_share_what_it_stands_for),
        T(names_and_expressions_add_up_and_may_be_exchanged),
        T(a_group_that_is_gone_when_its_expression_is_resolved_stays_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
