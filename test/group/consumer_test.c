/* Groups of the consumer protocol: who gets in, who is fenced, how partitions change hands, and
 * that the log knows all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../metadata/metadata_test.h"
#include "base/errors.h"
#include "consumer_kit.h"
#include "group/consumer_metadata.h"

/* ---- joining and leaving ---- */

static void a_member_that_joins_alone_gets_all_partitions(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(a.epoch, 2);
    assert_int_equal(a.interval_ms, 5000);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2");
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
}

static void a_member_without_an_id_is_given_one(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(strlen(a.id), 22);
    assert_int_equal(consumer_ping(&a), 0);
}

static void a_heartbeat_without_news_has_no_assignment_and_writes_nothing(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    int64_t end = log_end_offset(kit_partition(kit, 0)->log);
    assert_int_equal(consumer_ping(&a), 0);
    assert_false(a.assigned);
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_true(a.assigned); /* whoever sends everything hears everything */
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), end);
}

static void requests_are_checked_before_any_group_is_looked_at(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "", "a");
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REQUEST);
    consumer_init(&a, kit, " ", "a");
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REQUEST);
    consumer_init(&a, kit, "g", "\t \n");
    a.epoch = 1; /* who joins by version 0 need not have an id */
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REQUEST);
    consumer_init(&a, kit, "g", "a");
    a.rebalance_ms = -1;
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REQUEST);
    a.rebalance_ms = 1000;
    a.owned[0] = (struct owned){0, 0};
    a.owned_count = 1;
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REQUEST);
    a.owned_count = 0;
    a.instance_id = "";
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REQUEST);
    a.instance_id = " ";
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REQUEST);
    a.instance_id = NULL;
    a.assignor = "sticky";
    assert_int_equal(consumer_heartbeat(&a), KAFKA_UNSUPPORTED_ASSIGNOR);
    a.assignor = NULL;
    a.epoch = -3;
    assert_int_equal(consumer_heartbeat(&a), KAFKA_INVALID_REQUEST);
    a.epoch = 0;
    assert_int_equal(consumer_leave_static(&a), KAFKA_INVALID_REQUEST);
    assert_null(group_kit_group(kit, "g"));
}

static void who_is_not_a_member_is_told_so(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    consumer_init(&a, kit, "g", "a");
    consumer_init(&b, kit, "g", "b");
    a.epoch = 1;
    assert_int_equal(consumer_heartbeat(&a), KAFKA_GROUP_ID_NOT_FOUND);
    assert_int_equal(consumer_leave(&a), KAFKA_GROUP_ID_NOT_FOUND);
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_int_equal(consumer_heartbeat(&a), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(consumer_leave(&a), KAFKA_UNKNOWN_MEMBER_ID);
}

static void a_full_group_takes_nobody_more(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    kit->broker.group_consumer_max_size = 1;
    consumer_init(&a, kit, "g", "a");
    consumer_init(&b, kit, "g", "b");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(consumer_heartbeat(&b), KAFKA_GROUP_MAX_SIZE_REACHED);
    assert_int_equal(consumer_heartbeat(&a), 0);
}

static void the_last_one_to_leave_leaves_an_empty_group_that_can_be_deleted(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    struct group_delete drop;
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    group_delete_init(&drop);
    drop.group = STR("g");
    assert_int_equal(group_kit_run(kit, &drop.op), KAFKA_NON_EMPTY_GROUP);
    assert_int_equal(consumer_leave(&a), 0);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
    assert_int_equal(group_of(kit)->epoch, 3);
    assert_int_equal(group_of(kit)->assignment_epoch, 3);
    group_kit_restart(kit);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
    group_delete_init(&drop);
    drop.group = STR("g");
    assert_int_equal(group_kit_run(kit, &drop.op), 0);
    assert_null(group_kit_group(kit, "g"));
    group_kit_restart(kit);
    assert_null(group_kit_group(kit, "g"));
}

/* ---- partitions change hands ---- */

static void a_partition_is_given_to_nobody_before_its_owner_gave_it_up(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    consumer_init(&a, kit, "g", "a");
    consumer_init(&b, kit, "g", "b");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_int_equal(b.epoch, 3); /* it waits for what a still owns */
    assert_string_equal(consumer_owns(&b), "");
    assert_string_equal(group_kit_state_name(kit, "g"), "Reconciling");
    a.holds_on = true;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(a.epoch, 2); /* it keeps its epoch as long as it has more than it should */
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_string_equal(consumer_owns(&b), "");
    a.holds_on = false;
    assert_int_equal(consumer_heartbeat(&a), 0); /* hears what it is to have */
    assert_int_equal(a.owned_count, 2);
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_string_equal(consumer_owns(&b), "");
    assert_int_equal(consumer_heartbeat(&a), 0); /* has given up */
    assert_int_equal(a.epoch, 3);
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_int_equal(b.owned_count, 1);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
}

static void a_member_that_does_not_give_up_in_time_is_put_out(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2];
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    m[0].rebalance_ms = 10000;
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    assert_int_equal(consumer_heartbeat(&m[1]), 0);
    m[0].holds_on = true;
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    group_kit_pass(kit, 9000);
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    group_kit_pass(kit, 1500);
    assert_int_equal(consumer_heartbeat(&m[0]), KAFKA_UNKNOWN_MEMBER_ID);
    consumers_settle(&m[1], 1);
    assert_string_equal(consumer_owns(&m[1]), "t0:0,1,2");
}

static void a_member_that_falls_silent_loses_its_session(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2];
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    consumers_settle(m, 2);
    group_kit_pass(kit, 30000);
    assert_int_equal(consumer_ping(&m[1]), 0);
    group_kit_pass(kit, 20000);
    assert_int_equal(consumer_ping(&m[0]), KAFKA_UNKNOWN_MEMBER_ID);
    consumers_settle(&m[1], 1);
    assert_string_equal(consumer_owns(&m[1]), "t0:0,1,2");
}

static void that_a_member_is_gone_is_said_once_however_often_it_cannot_be_written(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    int said = 0;
    consumer_init(&a, kit, "g", "a");
    consumers_settle(&a, 1);
    kit->lines[0] = '\0';
    atomic_store(&kit_partition(kit, 0)->isr_size, 0);
    group_kit_pass(kit, 46000);
    for (int i = 0; i < 5; i++)
        group_kit_pass(kit, GROUP_RETRY_MS);
    assert_int_equal(group_of(kit)->member_count, 1);
    for (const char *at = kit->lines; (at = strstr(at, "its session ended")); at++)
        said++;
    assert_int_equal(said, 1);
    atomic_store(&kit_partition(kit, 0)->isr_size, 1);
    group_kit_pass(kit, GROUP_RETRY_MS);
    assert_int_equal(group_of(kit)->member_count, 0);
}

static void sessions_begin_anew_when_the_group_is_loaded(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    group_kit_pass(kit, 40000);
    group_kit_restart(kit);
    group_kit_pass(kit, 40000);
    assert_int_equal(consumer_ping(&a), 0);
    group_kit_restart(kit);
    group_kit_pass(kit, 46000);
    assert_int_equal(consumer_ping(&a), KAFKA_UNKNOWN_MEMBER_ID);
}

static void a_changed_subscription_gives_the_group_a_new_epoch(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2];
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    consumers_settle(m, 2);
    int32_t epoch = group_of(kit)->epoch;
    m[0].topics[0] = "t1";
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    assert_int_equal(group_of(kit)->epoch, epoch + 1);
    consumers_settle(m, 2);
    assert_string_equal(consumer_owns(&m[0]), "t1:0,1,2,3");
    assert_string_equal(consumer_owns(&m[1]), "t0:0,1,2");
    /* The same names in another order, one of them twice, are the same subscription. */
    m[0].topics[1] = "t1";
    m[0].topic_count = 2;
    epoch = group_of(kit)->epoch;
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    assert_int_equal(group_of(kit)->epoch, epoch);
}

static void members_prefer_an_assignor_and_the_group_follows_most_of_them(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2];
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    for (int i = 0; i < 2; i++) {
        m[i].topics[0] = "t1";
        m[i].topics[1] = "t3";
        m[i].topic_count = 2;
        m[i].assignor = "range";
    }
    consumers_settle(m, 2);
    assert_string_equal(consumer_owns(&m[0]), "t1:0,1 t3:0,1,2");
    assert_string_equal(consumer_owns(&m[1]), "t1:2,3 t3:3,4,5");
    int32_t epoch = group_of(kit)->epoch;
    m[0].assignor = m[1].assignor = "uniform";
    consumers_settle(m, 2);
    assert_true(group_of(kit)->epoch > epoch);
}

static const char *preferred(struct kit *kit)
{
    const struct consumer_change nothing = {NULL, NULL};
    return consumer_preferred_assignor(group_of(kit), &nothing, &kit->broker);
}

static void a_preference_counts_as_long_as_its_member_stays_with_it(void **state)
{
    struct kit *kit = *state;
    struct consumer m[3];
    for (int i = 0; i < 3; i++)
        consumer_init(&m[i], kit, "g", (const char *[]){"a", "b", "c"}[i]);
    m[0].assignor = m[1].assignor = "range";
    m[2].assignor = "uniform";
    consumers_settle(m, 3);
    assert_string_equal(preferred(kit), "range");
    group_kit_restart(kit);
    assert_string_equal(preferred(kit), "range");
    m[1].assignor = "uniform";
    consumers_settle(m, 3);
    assert_string_equal(preferred(kit), "uniform");
    assert_int_equal(consumer_leave(&m[1]), 0);
    assert_int_equal(consumer_leave(&m[2]), 0);
    assert_string_equal(preferred(kit), "range");
    group_kit_restart(kit);
    assert_string_equal(preferred(kit), "range");
}

static void members_that_join_within_the_interval_share_an_assignment(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2];
    kit->broker.group_consumer_assignment_interval_ms = 1000;
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    assert_int_equal(consumer_heartbeat(&m[1]), 0);
    assert_int_equal(m[1].epoch, 2); /* of the assignment that there is */
    assert_string_equal(group_kit_state_name(kit, "g"), "Assigning");
    group_kit_pass(kit, 1000);
    consumers_settle(m, 2);
    assert_int_equal(m[1].epoch, 3);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
}

static void a_clock_that_was_set_back_keeps_nobody_waiting(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2];
    kit->broker.group_consumer_assignment_interval_ms = 1000;
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    group_kit_group(kit, "g")->consumer->assignment_timestamp_ms += INT64_C(3600000);
    consumers_settle(m, 2);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
}

/* ---- the cluster changes ---- */

static void partitions_that_are_added_are_assigned_with_the_next_heartbeat(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    static const int32_t more[] = {5, 4, 5, 6};
    consumer_init(&a, kit, "g", "a");
    consumers_settle(&a, 1);
    consumer_kit_topics(kit, more);
    assert_int_equal(consumer_ping(&a), 0);
    assert_true(a.assigned);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2,3,4");
}

static void a_topic_that_is_deleted_is_taken_away_and_one_that_is_made_is_given(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    static const int32_t without[] = {3, 0, 5, 6}, again[] = {3, 2, 5, 6};
    consumer_init(&a, kit, "g", "a");
    a.topics[1] = "t1";
    a.topic_count = 2;
    consumers_settle(&a, 1);
    consumer_kit_topics(kit, without);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2");
    consumer_kit_topics(kit, again);
    consumers_settle(&a, 1);
    assert_string_equal(consumer_owns(&a), "t0:0,1,2 t1:0,1");
}

static void after_the_last_epoch_there_is_comes_no_other(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    consumer_init(&a, kit, "g", "a");
    consumer_init(&b, kit, "g", "b");
    assert_int_equal(consumer_heartbeat(&a), 0);
    group_kit_group(kit, "g")->consumer->epoch = INT32_MAX;
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_int_equal(group_of(kit)->epoch, INT32_MAX);
    assert_int_equal(consumer_leave(&b), 0);
    assert_int_equal(group_of(kit)->epoch, INT32_MAX);
}

static void a_change_of_other_topics_disturbs_nobody(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    static const int32_t other[] = {3, 4, 9, 6};
    consumer_init(&a, kit, "g", "a");
    consumers_settle(&a, 1);
    int32_t epoch = group_of(kit)->epoch;
    consumer_kit_topics(kit, other);
    assert_int_equal(consumer_ping(&a), 0);
    assert_int_equal(group_of(kit)->epoch, epoch);
}

static void apply_broker(struct image_builder *builder, int32_t id, const char *rack)
{
    struct register_broker_record record;
    register_broker_record_init(&record);
    record.broker_id = id;
    record.rack = str_of(rack);
    assert_true(apply(builder, METADATA_REGISTER_BROKER_RECORD, &record));
}

/* The group's hash is that of the hashes of its topics, which were computed with the library that
 * Kafka uses (hash4j's xxh3_64) over the fields in Kafka's order. */
static void the_hash_of_topics_is_kafkas(void **state)
{
    static const uint64_t kafkas[] = {0x90ed06a6e034b205u, 0xb1dbe508a58cb782u};
    const struct uuid foo = uuid_of(0x0102030405060708u, 0x1112131415161718u);
    const struct uuid other = uuid_of(0x2102030405060708u, 0x1112131415161718u);
    struct str names[] = {STR("b\xc3\xa9\xf0\x9f\x98\x80"), STR("foo"), STR("no such topic")};
    struct image_builder builder;
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    image_builder_init(&builder, NULL);
    apply_broker(&builder, 1, "rack2");
    apply_broker(&builder, 2, "rack1");
    assert_true(apply_topic_named(&builder, "foo", foo));
    assert_true(apply_partition_of(&builder, foo, 0, 11)); /* of brokers without racks */
    assert_true(apply_partition_of(&builder, foo, 1, 11));
    assert_true(apply_topic_named(&builder, names[0].data, other));
    assert_true(apply_partition_of(&builder, other, 0, 1));
    struct image *image = image_builder_snapshot(&builder);
    image_builder_close(&builder);
    assert_true((uint64_t)consumer_metadata_hash(image, (struct str_array){names, 3}, &arena) ==
                XXH3_64bits(kafkas, 16));
    assert_true((uint64_t)consumer_metadata_hash(image, (struct str_array){names + 1, 1}, &arena) ==
                XXH3_64bits(kafkas + 1, 8));
    assert_int_equal(consumer_metadata_hash(image, (struct str_array){names + 2, 1}, &arena), 0);
    image_unref(image);
    arena_close(&arena);
}

/* ---- fencing ---- */

/* What is kept is what would be computed. */
static void check_hash(struct kit *kit)
{
    const struct consumer_change nothing = {NULL, NULL};
    struct str_array names;
    struct arena arena;
    arena_init(&arena, 0);
    assert_true(consumer_names_after(group_of(kit), &nothing, &arena, &names));
    assert_true(consumer_metadata_hash(kit->image, names, &arena) == group_of(kit)->metadata_hash);
    arena_close(&arena);
}

static void the_hash_is_that_of_the_topics_whoever_comes_and_goes(void **state)
{
    struct kit *kit = *state;
    struct consumer m[4];
    for (int i = 0; i < 4; i++) {
        consumer_init(&m[i], kit, "g", (const char *[]){"a", "b", "c", "d"}[i]);
        m[i].topics[0] = i == 2 ? "t1" : "t0"; /* the third one wants another topic */
        m[i].topic_count = 1;
        assert_int_equal(consumer_heartbeat(&m[i]), 0);
        check_hash(kit);
    }
    consumer_kit_topics(kit, (const int32_t[CONSUMER_TOPICS]){3, 7, 5, 6});
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    check_hash(kit);
    assert_int_equal(consumer_leave(&m[3]), 0);
    check_hash(kit);
    assert_int_equal(consumer_leave(&m[2]), 0); /* and nobody wants that topic any more */
    check_hash(kit);
    consumer_kit_topics(kit, (const int32_t[CONSUMER_TOPICS]){8, 7, 5, 6});
    assert_int_equal(consumer_leave(&m[1]), 0);
    check_hash(kit);
    m[0].topics[0] = "t2"; /* as many as before */
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    check_hash(kit);
}

static void a_loop_that_is_an_image_behind_does_not_vouch_for_the_hash(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    consumer_init(&a, kit, "g", "a");
    consumer_init(&b, kit, "g", "b");
    assert_int_equal(consumer_heartbeat(&a), 0);
    const struct image *before = image_ref(kit->image);
    consumer_kit_topics(kit, (const int32_t[CONSUMER_TOPICS]){8, 4, 5, 6});
    const struct image *after = kit->image;
    kit->image = before;
    assert_int_equal(consumer_heartbeat(&a), 0);
    kit->image = after;
    assert_int_equal(consumer_heartbeat(&b), 0);
    check_hash(kit);
    image_unref(before);
}

static void a_member_may_be_one_epoch_behind_but_no_further(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b, late;
    consumer_init(&a, kit, "g", "a");
    consumer_init(&b, kit, "g", "b");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(consumer_heartbeat(&b), 0);
    late = a;
    assert_int_equal(consumer_heartbeat(&a), 0); /* told to give up one */
    assert_int_equal(consumer_heartbeat(&a), 0); /* and has */
    assert_int_equal(a.epoch, 3);
    late.epoch = 2;
    late.owned_count = a.owned_count; /* the answer was lost */
    memcpy(late.owned, a.owned, sizeof a.owned);
    assert_int_equal(consumer_heartbeat(&late), 0);
    assert_int_equal(late.epoch, 3);
    late.epoch = 2;
    late.owned_count = 3;
    for (int i = 0; i < 3; i++)
        late.owned[i] = (struct owned){0, i};
    assert_int_equal(consumer_heartbeat(&late), KAFKA_FENCED_MEMBER_EPOCH);
    late.epoch = 4;
    assert_int_equal(consumer_heartbeat(&late), KAFKA_FENCED_MEMBER_EPOCH);
    late.epoch = 0; /* it starts anew and is who it was */
    late.owned_count = 0;
    assert_int_equal(consumer_heartbeat(&late), 0);
    assert_int_equal(late.epoch, 3);
}

static void a_static_member_that_comes_back_has_what_it_had(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2], back;
    char before[4096];
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    m[0].instance_id = "i";
    consumers_settle(m, 2);
    snprintf(before, sizeof before, "%s", consumer_owns(&m[0]));
    back = m[0];
    assert_int_equal(consumer_leave_static(&m[0]), 0);
    assert_int_equal(consumer_heartbeat(&m[1]), 0);
    assert_string_equal(group_kit_state_name(kit, "g"), "Reconciling");
    group_kit_restart(kit);
    consumer_init(&back, kit, "g", "c");
    back.instance_id = "i";
    assert_int_equal(consumer_heartbeat(&back), 0);
    assert_string_equal(consumer_owns(&back), before);
    assert_int_equal(back.epoch, m[1].epoch); /* nobody was disturbed */
    assert_int_equal(group_of(kit)->member_count, 2);
    m[0].epoch = m[1].epoch;
    assert_int_equal(consumer_heartbeat(&m[0]), KAFKA_FENCED_INSTANCE_ID);
    group_kit_restart(kit);
    assert_int_equal(consumer_heartbeat(&back), 0);
    assert_string_equal(consumer_owns(&back), before);
}

static void who_is_not_heard_of_after_a_load_is_out_when_its_session_is_over(void **state)
{
    struct kit *kit = *state;
    struct consumer m[3];
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    consumer_init(&m[2], kit, "g", "c");
    m[2].instance_id = "i";
    consumers_settle(m, 3);
    assert_int_equal(consumer_leave_static(&m[2]), 0);
    group_kit_pass(kit, 44000);
    group_kit_restart(kit);
    group_kit_pass(kit, 44999);
    assert_int_equal(group_of(kit)->member_count, 3);
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    group_kit_pass(kit, 1);
    assert_int_equal(group_of(kit)->member_count, 1);
    assert_int_equal(consumer_heartbeat(&m[1]), KAFKA_UNKNOWN_MEMBER_ID);
    consumers_settle(m, 1);
    assert_string_equal(consumer_owns(&m[0]), "t0:0,1,2");
    group_kit_restart(kit);
    group_kit_pass(kit, 45000);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
}

/* Settings of the group, as somebody may have written them. */
static void configure(struct kit *kit, const char *name, const char *value)
{
    struct image_builder builder;
    const struct image *before = kit->image;
    image_builder_init(&builder, before);
    assert_true(apply_config_of(&builder, CONFIG_RESOURCE_GROUP, "g", name, value));
    struct image *image = image_builder_snapshot(&builder);
    image->offset = before->offset + 1;
    kit->image = image;
    image_builder_close(&builder);
    coord_follow(kit->coord, &kit->topic, true);
    kit_turns(kit, 6);
    image_unref(before);
}

static void settings_of_a_group_are_seen_with_the_next_heartbeat(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(a.interval_ms, 5000);
    configure(kit, "consumer.heartbeat.interval.ms", " 7000\t");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(a.interval_ms, 7000);
    configure(kit, "consumer.heartbeat.interval.ms", "+8000");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(a.interval_ms, 8000);
    kit->broker.group_consumer_max_heartbeat_interval_ms = 6000;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(a.interval_ms, 6000);
    configure(kit, "consumer.session.timeout.ms", "50000");
    assert_int_equal(consumer_heartbeat(&a), 0);
    group_kit_pass(kit, 49999);
    assert_int_equal(group_of(kit)->member_count, 1);
    group_kit_pass(kit, 1);
    assert_int_equal(group_of(kit)->member_count, 0);
    configure(kit, "consumer.assignor.offload.enable", " TRUE ");
    a.epoch = a.owned_count = 0;
    kit->jobs_held = true;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_non_null(group_of(kit)->assigning);
    kit->jobs_held = false;
    kit_turns(kit, 6);
}

static void who_holds_on_after_a_load_is_out_when_its_rebalance_timeout_is_over(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    consumer_init(&a, kit, "g", "a");
    consumer_init(&b, kit, "g", "b");
    a.rebalance_ms = 10000;
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(consumer_heartbeat(&b), 0);
    a.holds_on = true;
    assert_int_equal(consumer_heartbeat(&a), 0);
    group_kit_pass(kit, 9999);
    group_kit_restart(kit);
    group_kit_pass(kit, 9999);
    assert_int_equal(group_of(kit)->member_count, 2);
    group_kit_pass(kit, 1);
    assert_int_equal(group_of(kit)->member_count, 1);
    consumers_settle(&b, 1);
    assert_string_equal(consumer_owns(&b), "t0:0,1,2");
}

static void an_instance_id_in_use_is_not_released(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b;
    consumer_init(&a, kit, "g", "a");
    consumer_init(&b, kit, "g", "b");
    a.instance_id = b.instance_id = "i";
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(consumer_heartbeat(&b), KAFKA_UNRELEASED_INSTANCE_ID);
    assert_int_equal(consumer_leave(&b), KAFKA_FENCED_INSTANCE_ID);
    b.instance_id = "j";
    b.epoch = 1;
    assert_int_equal(consumer_heartbeat(&b), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(consumer_leave(&a), 0);
    b.instance_id = "i";
    b.epoch = 0;
    assert_int_equal(consumer_heartbeat(&b), 0);
}

static void a_member_that_takes_a_static_place_gives_up_its_own(void **state)
{
    struct kit *kit = *state;
    struct consumer a, b, c;
    consumer_init(&a, kit, "g", "a");
    consumer_init(&b, kit, "g", "b");
    consumer_init(&c, kit, "g", "c");
    a.instance_id = "i";
    b.topics[0] = "t1"; /* which nobody else wants */
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_int_equal(consumer_heartbeat(&c), 0);
    assert_int_equal(consumer_leave_static(&a), 0);
    consumer_init(&b, kit, "g", "b");
    b.instance_id = "i";
    b.topics[0] = "t2";
    assert_int_equal(consumer_heartbeat(&b), 0);
    assert_int_equal(group_of(kit)->member_count, 2);
    assert_int_equal(consumer_member_find(group_of(kit), STR("b"))->target.count, 5);
    assert_int_equal(consumer_member_find(group_of(kit), STR("c"))->target.count, 3);
    consumers_settle((struct consumer[]){b, c}, 2);
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
}

static void a_static_member_that_stays_away_loses_its_place(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    a.instance_id = "i";
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(consumer_leave_static(&a), 0);
    group_kit_pass(kit, 44000);
    assert_int_equal(group_of(kit)->member_count, 1);
    group_kit_pass(kit, 2000);
    assert_int_equal(group_of(kit)->member_count, 0);
}

/* ---- offsets ---- */

static void commits_are_taken_from_members_of_this_epoch_or_of_that_of_the_partition(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2];
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    assert_int_equal(consumer_commit(&m[0], 2, 0, 0, 5), 0);
    assert_int_equal(consumer_commit(&m[0], 3, 0, 0, 5), KAFKA_STALE_MEMBER_EPOCH);
    assert_int_equal(consumer_commit(&m[1], 2, 0, 0, 5), KAFKA_UNKNOWN_MEMBER_ID);
    consumers_settle(m, 2);
    assert_int_equal(m[0].epoch, 3);
    /* It has had these ever since epoch 2, the other one it gave away. */
    assert_int_equal(consumer_commit(&m[0], 2, 0, m[0].owned[0].partition, 6), 0);
    assert_int_equal(consumer_commit(&m[0], 2, 0, m[1].owned[0].partition, 6),
                     KAFKA_STALE_MEMBER_EPOCH);
    assert_int_equal(consumer_commit(&m[1], 2, 0, m[1].owned[0].partition, 6),
                     KAFKA_STALE_MEMBER_EPOCH);
    group_kit_restart(kit);
    assert_int_equal(consumer_commit(&m[0], 2, 0, m[0].owned[0].partition, 7), 0);
    assert_int_equal(commit_as_nobody(kit, "g", "t0", 0, 1), KAFKA_UNKNOWN_MEMBER_ID);
}

static void offsets_of_an_empty_classic_group_stay_when_consumers_take_it_over(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_commit(&a, -1, 0, 1, 42), 0);
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(fetch(kit, "g", "t0", 1), 42);
    group_kit_restart(kit);
    assert_non_null(group_of(kit));
    assert_int_equal(fetch(kit, "g", "t0", 1), 42);
}

static void a_classic_group_with_members_is_no_consumer_group(void **state)
{
    struct kit *kit = *state;
    struct member classic;
    struct consumer a;
    member_init(&classic, kit, "g", "classic");
    members_settle(kit, &classic, 1);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(consumer_heartbeat(&a), KAFKA_GROUP_ID_NOT_FOUND);
    assert_int_equal(member_heartbeat(&classic), 0);
}

static void classic_members_take_over_an_empty_consumer_group_and_its_offsets(void **state)
{
    struct kit *kit = *state;
    struct member classic;
    struct consumer a;
    consumer_init(&a, kit, "g", "a");
    member_init(&classic, kit, "g", "classic");
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(consumer_commit(&a, 2, 0, 1, 42), 0);
    assert_true(member_join(&classic));
    assert_int_equal(classic.join_error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    assert_int_equal(consumer_leave(&a), 0);
    members_settle(kit, &classic, 1);
    assert_null(group_of(kit));
    assert_int_equal(fetch(kit, "g", "t0", 1), 42);
    group_kit_restart(kit);
    assert_null(group_of(kit));
    assert_string_equal(group_kit_state_name(kit, "g"), "Stable");
    assert_int_equal(fetch(kit, "g", "t0", 1), 42);
}

/* ---- describe ---- */

static int describe(struct kit *kit, struct arena *arena,
                    struct consumer_group_describe_response_described_group *ret_answer)
{
    struct consumer_describe op;
    consumer_describe_init(&op);
    consumer_group_describe_response_described_group_init(ret_answer);
    op.group = STR("g");
    op.arena = arena;
    op.answer = ret_answer;
    return group_kit_run(kit, &op.op);
}

static void a_description_names_members_topics_and_both_assignments(void **state)
{
    struct kit *kit = *state;
    struct consumer a;
    struct consumer_group_describe_response_described_group answer;
    struct arena arena;
    arena_init(&arena, 0);
    consumer_init(&a, kit, "g", "a");
    assert_int_equal(describe(kit, &arena, &answer), KAFKA_GROUP_ID_NOT_FOUND);
    assert_int_equal(consumer_heartbeat(&a), 0);
    assert_int_equal(describe(kit, &arena, &answer), 0);
    assert_true(str_equal(answer.group_state, STR("Stable")));
    assert_true(str_equal(answer.assignor_name, STR("uniform")));
    assert_int_equal(answer.members.count, 1);
    const struct consumer_group_describe_response_member *member = &answer.members.items[0];
    assert_true(str_equal(member->member_id, STR("a")));
    assert_int_equal(member->member_epoch, 2);
    assert_int_equal(member->assignment.topic_partitions.count, 1);
    assert_true(str_equal(member->assignment.topic_partitions.items[0].topic_name, STR("t0")));
    assert_int_equal(member->target_assignment.topic_partitions.items[0].partitions.count, 3);
    arena_close(&arena);
}

static void what_a_member_is_to_give_up_is_described_as_its_own(void **state)
{
    struct kit *kit = *state;
    struct consumer m[2];
    struct consumer_describe describe;
    struct consumer_group_describe_response_described_group answer;
    struct arena arena;
    consumer_init(&m[0], kit, "g", "a");
    consumer_init(&m[1], kit, "g", "b");
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    assert_int_equal(consumer_heartbeat(&m[1]), 0);
    m[0].holds_on = true;
    assert_int_equal(consumer_heartbeat(&m[0]), 0);
    arena_init(&arena, 0);
    consumer_group_describe_response_described_group_init(&answer);
    consumer_describe_init(&describe);
    describe.group = STR("g");
    describe.arena = &arena;
    describe.answer = &answer;
    assert_int_equal(group_kit_run(kit, &describe.op), 0);
    const struct consumer_group_describe_response_member *member = &answer.members.items[0];
    assert_true(str_equal(member->member_id, STR("a")));
    assert_int_equal(member->assignment.topic_partitions.count, 1);
    assert_int_equal(member->assignment.topic_partitions.items[0].partitions.count, 3);
    assert_int_equal(member->target_assignment.topic_partitions.items[0].partitions.count, 2);
    arena_close(&arena);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, consumer_kit_setup, consumer_kit_teardown)
    const struct CMUnitTest tests[] = {
        T(a_member_that_joins_alone_gets_all_partitions),
        T(a_member_without_an_id_is_given_one),
        T(a_heartbeat_without_news_has_no_assignment_and_writes_nothing),
        T(requests_are_checked_before_any_group_is_looked_at),
        T(who_is_not_a_member_is_told_so),
        T(a_full_group_takes_nobody_more),
        T(the_last_one_to_leave_leaves_an_empty_group_that_can_be_deleted),
        T(a_partition_is_given_to_nobody_before_its_owner_gave_it_up),
        T(a_member_that_does_not_give_up_in_time_is_put_out),
        T(a_member_that_falls_silent_loses_its_session),
        T(that_a_member_is_gone_is_said_once_however_often_it_cannot_be_written),
        T(sessions_begin_anew_when_the_group_is_loaded),
        T(a_changed_subscription_gives_the_group_a_new_epoch),
        T(members_prefer_an_assignor_and_the_group_follows_most_of_them),
        T(a_preference_counts_as_long_as_its_member_stays_with_it),
        T(members_that_join_within_the_interval_share_an_assignment),
        T(a_clock_that_was_set_back_keeps_nobody_waiting),
        T(partitions_that_are_added_are_assigned_with_the_next_heartbeat),
        T(a_topic_that_is_deleted_is_taken_away_and_one_that_is_made_is_given),
        T(after_the_last_epoch_there_is_comes_no_other),
        T(a_change_of_other_topics_disturbs_nobody),
        T(the_hash_of_topics_is_kafkas),
        T(the_hash_is_that_of_the_topics_whoever_comes_and_goes),
        T(a_loop_that_is_an_image_behind_does_not_vouch_for_the_hash),
        T(a_member_may_be_one_epoch_behind_but_no_further),
        T(a_static_member_that_comes_back_has_what_it_had),
        T(who_is_not_heard_of_after_a_load_is_out_when_its_session_is_over),
        T(settings_of_a_group_are_seen_with_the_next_heartbeat),
        T(who_holds_on_after_a_load_is_out_when_its_rebalance_timeout_is_over),
        T(an_instance_id_in_use_is_not_released),
        T(a_member_that_takes_a_static_place_gives_up_its_own),
        T(a_static_member_that_stays_away_loses_its_place),
        T(commits_are_taken_from_members_of_this_epoch_or_of_that_of_the_partition),
        T(offsets_of_an_empty_classic_group_stay_when_consumers_take_it_over),
        T(a_classic_group_with_members_is_no_consumer_group),
        T(classic_members_take_over_an_empty_consumer_group_and_its_offsets),
        T(a_description_names_members_topics_and_both_assignments),
        T(what_a_member_is_to_give_up_is_described_as_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
