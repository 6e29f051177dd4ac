/* Committed offsets: of members, of nobody, in transactions; expiry, deletion, what load makes of
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "group/classic.h"
#include "group/offsets.h"
#include "group/records.h"
#include "group_kit.h"
#include "metadata/fold.h"

#define MINUTE INT64_C(60000)
#define DAY (24 * 60 * MINUTE)

/* ---- commits ---- */

static void whoever_commits_without_a_group_makes_one(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 41), 0);
    assert_int_equal(fetch(kit, "g", "t", 0), 41);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
    assert_int_equal(
        group_kind_of(group_kit_group(kit, "g"))->protocol_type(group_kit_group(kit, "g")).size, 0);
    group_kit_restart(kit);
    assert_int_equal(fetch(kit, "g", "t", 0), 41);
    assert_string_equal(group_kit_state_name(kit, "g"), "Empty");
}

static void unknown_groups_and_topics_have_no_offset_and_no_error(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(fetch(kit, "nobody", "t", 0), -1);
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 41), 0);
    assert_int_equal(fetch(kit, "g", "u", 0), -1);
    assert_int_equal(fetch(kit, "g", "t", 1), -1);
    assert_int_equal(group_kit_state(kit)->counts.groups, 1);
}

static void a_commit_keeps_its_metadata_and_leader_epoch(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    assert_int_equal(member_commit(&a, 2, 17, "a note: \xc3\xa9"), 0);
    group_kit_restart(kit);
    struct offset_fetch request;
    struct offset_fetch_part part = {.topic = STR("t"), .partition = 2};
    struct arena arena;
    arena_init(&arena, 0);
    offset_fetch_init(&request);
    request.group = STR("g");
    request.arena = &arena;
    request.parts = &part;
    request.count = 1;
    assert_int_equal(group_kit_run(kit, &request.op), 0);
    assert_true(str_equal(part.metadata, STR("a note: \xc3\xa9")));
    assert_int_equal(part.leader_epoch, -1);
    arena_close(&arena);
    assert_int_equal(commit_as_nobody(kit, "h", "t", 0, 1), 0);
    const struct group_topic *topic = offsets_topic(group_kit_group(kit, "h"), STR("t"));
    assert_int_equal(offsets_partition(topic, 0)->value.leader_epoch, 3);
}

static void metadata_is_bounded_in_utf16_units(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    kit->broker.offset_metadata_max_bytes = 4;
    assert_int_equal(member_commit(&a, 0, 1, "abcd"), 0);
    assert_int_equal(member_commit(&a, 0, 2, "abcde"), KAFKA_OFFSET_METADATA_TOO_LARGE);
    assert_int_equal(member_commit(&a, 0, 3, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"), 0);
    assert_int_equal(member_commit(&a, 0, 4, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"), 0);
    assert_int_equal(member_commit(&a, 0, 5, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80x"),
                     KAFKA_OFFSET_METADATA_TOO_LARGE);
    assert_int_equal(fetch(kit, "g", "t", 0), 4);
}

static void only_members_of_the_generation_commit(void **state)
{
    struct kit *kit = *state;
    struct member a, b;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    assert_int_equal(member_commit(&a, 0, 1, ""), 0);
    b = a;
    b.generation = 0;
    assert_int_equal(member_commit(&b, 0, 2, ""), KAFKA_ILLEGAL_GENERATION);
    b.generation = 1;
    strcpy(b.id, "stranger");
    assert_int_equal(member_commit(&b, 0, 2, ""), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 2), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
}

static void a_commit_between_join_and_sync_is_told_of_the_rebalance(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    (void)member_join_as_new(&a);
    group_kit_pass(kit, 3000);
    assert_true(member_joined(&a));
    assert_int_equal(member_commit(&a, 0, 1, ""), KAFKA_REBALANCE_IN_PROGRESS);
    assert_true(member_sync(&a));
    assert_int_equal(member_commit(&a, 0, 1, ""), 0);
    assert_false(member_join(&a) && a.join_error != 0);
}

static void a_member_may_commit_while_the_group_prepares(void **state)
{
    struct kit *kit = *state;
    struct member m[2];
    member_init(&m[0], kit, "g", "a");
    member_init(&m[1], kit, "g", "b");
    members_settle(kit, m, 2);
    (void)member_join(&m[0]);
    assert_int_equal(member_commit(&m[1], 0, 5, ""), 0);
    assert_int_equal(fetch(kit, "g", "t", 0), 5);
    member_close(&m[0]);
}

static void the_absence_of_a_group_is_told_by_version(void **state)
{
    struct kit *kit = *state;
    struct offset_commit commit;
    int16_t error = 0;
    const struct offset_commit_part part = {STR("t"), {{0}}, 0, -1, 1, STR(""), &error};
    for (int16_t version = 8; version <= 9; version++) {
        offset_commit_init(&commit);
        commit.group = STR("g");
        commit.who =
            (struct group_committer){.member_id = STR("m"), .generation = 3, .version = version};
        commit.parts = &part;
        commit.count = 1;
        assert_int_equal(group_kit_run(kit, &commit.op),
                         version < 9 ? KAFKA_ILLEGAL_GENERATION : KAFKA_GROUP_ID_NOT_FOUND);
    }
    assert_null(group_kit_group(kit, "g"));
}

static void everything_committed_is_fetched_when_nothing_is_named(void **state)
{
    struct kit *kit = *state;
    struct offset_fetch request;
    struct arena arena;
    for (int p = 2; p >= 0; p--)
        for (const char *topic = "cba"; *topic; topic++)
            assert_int_equal(commit_as_nobody(kit, "g", (char[2]){*topic, 0}, p, p), 0);
    assert_int_equal(commit_in_transaction(kit, "g", "d", 0, 1, 5), 0);
    arena_init(&arena, 0);
    offset_fetch_init(&request);
    request.group = STR("g");
    request.all = true;
    request.arena = &arena;
    assert_int_equal(group_kit_run(kit, &request.op), 0);
    assert_int_equal(request.count, 9);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(request.parts[i].topic.data[0], 'a' + i / 3);
        assert_int_equal(request.parts[i].partition, i % 3);
        assert_int_equal(request.parts[i].offset, i % 3);
    }
    request.group = STR("nobody");
    struct offset_fetch none;
    offset_fetch_init(&none);
    none.group = STR("nobody");
    none.all = true;
    none.arena = &arena;
    assert_int_equal(group_kit_run(kit, &none.op), 0);
    assert_int_equal(none.count, 0);
    arena_close(&arena);
}

static void an_offset_of_a_deleted_topic_of_the_same_name_is_not_given(void **state)
{
    struct kit *kit = *state;
    struct offset_fetch request;
    struct offset_fetch_part part = {.topic = STR("t"), .partition = 0};
    const struct uuid other = {{9}};
    struct arena arena;
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 41), 0);
    arena_init(&arena, 0);
    offset_fetch_init(&request);
    request.group = STR("g");
    request.arena = &arena;
    request.parts = &part;
    request.topic_ids = &other;
    request.count = 1;
    assert_int_equal(group_kit_run(kit, &request.op), 0);
    assert_int_equal(part.offset, -1);
    arena_close(&arena);
}

/* ---- transactions ---- */

static void an_offset_in_a_transaction_counts_when_it_commits(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    assert_int_equal(commit_in_transaction(kit, "g", "t", 0, 9, 5), 0);
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
    assert_int_equal(fetch_stable(kit, "g", "t", 0), -KAFKA_UNSTABLE_OFFSET_COMMIT);
    assert_int_equal(fetch_stable(kit, "g", "t", 1), -1);
    end_transaction(kit, 5, true);
    assert_int_equal(fetch_stable(kit, "g", "t", 0), 9);
    group_kit_restart(kit);
    assert_int_equal(fetch_stable(kit, "g", "t", 0), 9);
    assert_int_equal(group_kit_state(kit)->counts.pending, 0);
}

static void an_offset_in_a_transaction_that_aborts_never_was(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    assert_int_equal(commit_in_transaction(kit, "g", "t", 0, 9, 5), 0);
    end_transaction(kit, 5, false);
    assert_int_equal(fetch_stable(kit, "g", "t", 0), 1);
    assert_int_equal(map_count(&group_kit_state(kit)->transactions), 0);
}

static void a_restart_within_a_transaction_leaves_it_open(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(commit_in_transaction(kit, "g", "t", 0, 9, 5), 0);
    group_kit_restart(kit);
    assert_int_equal(fetch_stable(kit, "g", "t", 0), -KAFKA_UNSTABLE_OFFSET_COMMIT);
    end_transaction(kit, 5, true);
    assert_int_equal(fetch(kit, "g", "t", 0), 9);
}

static void of_a_transaction_and_a_later_commit_the_later_counts(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(commit_in_transaction(kit, "g", "t", 0, 9, 5), 0);
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 20), 0);
    end_transaction(kit, 5, true);
    assert_int_equal(fetch(kit, "g", "t", 0), 20);
    group_kit_restart(kit);
    assert_int_equal(fetch(kit, "g", "t", 0), 20);
}

static void transactions_of_two_producers_end_each_by_itself(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(commit_in_transaction(kit, "g", "t", 0, 5, 5), 0);
    assert_int_equal(commit_in_transaction(kit, "g", "t", 0, 6, 6), 0);
    assert_int_equal(commit_in_transaction(kit, "h", "t", 0, 7, 6), 0);
    end_transaction(kit, 6, true);
    assert_int_equal(fetch_stable(kit, "g", "t", 0), -KAFKA_UNSTABLE_OFFSET_COMMIT);
    assert_int_equal(fetch_stable(kit, "h", "t", 0), 7);
    end_transaction(kit, 5, false);
    assert_int_equal(fetch_stable(kit, "g", "t", 0), 6);
}

static void a_marker_of_an_unknown_producer_is_nothing(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    end_transaction(kit, 77, true);
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
}

/* ---- deleting ---- */

static int offset_delete_of(struct kit *kit, const char *group, const char *topic,
                            int32_t partition)
{
    struct offset_delete drop;
    int16_t error = 0;
    const struct offset_delete_part part = {str_of(topic), partition, &error};
    offset_delete_init(&drop);
    drop.group = str_of(group);
    drop.parts = &part;
    drop.count = 1;
    int whole = group_kit_run(kit, &drop.op);
    return whole != 0 ? whole : error;
}

static int group_delete_of(struct kit *kit, const char *group)
{
    struct group_delete drop;
    bool more = false;
    int err;
    do {
        group_delete_init(&drop);
        drop.group = str_of(group);
        drop.more = more;
        err = group_kit_run(kit, &drop.op);
        more = drop.more;
    } while (err == 0 && more);
    return err;
}

static void offsets_are_deleted_unless_the_group_subscribes(void **state)
{
    struct kit *kit = *state;
    struct member a;
    assert_int_equal(offset_delete_of(kit, "g", "t", 0), KAFKA_GROUP_ID_NOT_FOUND);
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    assert_int_equal(commit_as_nobody(kit, "g", "u", 0, 2), 0);
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    assert_int_equal(offset_delete_of(kit, "g", "t", 0), KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
    assert_int_equal(offset_delete_of(kit, "g", "u", 0), 0);
    assert_int_equal(offset_delete_of(kit, "g", "v", 0), 0); /* nothing to do is no error */
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
    assert_int_equal(fetch(kit, "g", "u", 0), -1);
    group_kit_restart(kit);
    assert_int_equal(fetch(kit, "g", "u", 0), -1);
}

static void offsets_of_a_live_group_of_another_protocol_are_not_deleted(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    a.protocol_type = "connect";
    members_settle(kit, &a, 1);
    assert_int_equal(offset_delete_of(kit, "g", "t", 0), KAFKA_NON_EMPTY_GROUP);
}

static void an_empty_group_is_deleted_with_its_offsets(void **state)
{
    struct kit *kit = *state;
    struct member a;
    assert_int_equal(group_delete_of(kit, "g"), KAFKA_GROUP_ID_NOT_FOUND);
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    assert_int_equal(member_commit(&a, 0, 1, ""), 0);
    assert_int_equal(commit_in_transaction(kit, "g", "u", 0, 9, 5), 0);
    assert_int_equal(group_delete_of(kit, "g"), KAFKA_NON_EMPTY_GROUP);
    assert_int_equal(member_leave(&a), 0);
    assert_int_equal(group_delete_of(kit, "g"), 0);
    assert_null(group_kit_group(kit, "g"));
    struct group_shard *shard = group_kit_state(kit);
    assert_int_equal(map_count(&shard->groups), 0);
    assert_int_equal(map_count(&shard->topics), 0);
    assert_int_equal(map_count(&shard->transactions), 0);
    assert_int_equal(shard->counts.groups + shard->counts.offsets + shard->counts.pending, 0);
    group_kit_restart(kit);
    assert_null(group_kit_group(kit, "g"));
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
}

static void a_group_is_deleted_while_an_id_is_handed_out(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    (void)member_join(&a);
    assert_int_equal(group_delete_of(kit, "g"), 0);
    group_kit_pass(kit, 60000); /* its timer is gone */
    (void)member_join(&a);
    assert_int_equal(a.join_error, KAFKA_UNKNOWN_MEMBER_ID);
}

/* ---- expiry ---- */

static void offsets_of_a_group_without_members_expire_after_their_commit(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    group_kit_pass(kit, 3 * DAY);
    assert_int_equal(commit_as_nobody(kit, "g", "t", 1, 2), 0);
    group_kit_pass(kit, 4 * DAY - 20 * MINUTE);
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
    group_kit_pass(kit, 20 * MINUTE);
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
    assert_int_equal(fetch(kit, "g", "t", 1), 2);
    group_kit_pass(kit, 3 * DAY + 10 * MINUTE);
    assert_int_equal(fetch(kit, "g", "t", 1), -1);
    assert_null(group_kit_group(kit, "g")); /* with its last offset */
    assert_int_equal(map_count(&group_kit_state(kit)->groups), 0);
    group_kit_restart(kit);
    assert_null(group_kit_group(kit, "g"));
}

static void offsets_of_an_empty_group_expire_after_its_last_member_left(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    assert_int_equal(member_commit(&a, 0, 1, ""), 0);
    for (int i = 0; i < 8 * 24 * 60 / 29; i++) { /* eight days of heartbeats */
        kit->now_ns += 29 * MINUTE * 1000000;
        assert_int_equal(member_heartbeat(&a), 0);
    }
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
    assert_int_equal(member_leave(&a), 0);
    group_kit_restart(kit); /* since when it is empty is in the log */
    group_kit_pass(kit, 7 * DAY - 20 * MINUTE);
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
    group_kit_pass(kit, 30 * MINUTE);
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
    assert_null(group_kit_group(kit, "g"));
}

/* Nothing that is written says when an offset expires, so what the broker is told at its start goes
 * for offsets of before, too. */
static void offsets_expire_by_the_retention_of_the_last_start(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    assert_int_equal(member_commit(&a, 0, 1, ""), 0);
    assert_int_equal(member_leave(&a), 0);
    kit->broker.offsets_retention_minutes = 8 * 24 * 60;
    group_kit_restart(kit);
    group_kit_pass(kit, 8 * DAY - 20 * MINUTE); /* a day longer than before */
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
    assert_int_equal(commit_as_nobody(kit, "h", "t", 0, 2), 0);
    kit->broker.offsets_retention_minutes = 60;
    group_kit_restart(kit);
    group_kit_pass(kit, 11 * MINUTE); /* a look */
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
    assert_null(group_kit_group(kit, "g"));
    group_kit_pass(kit, 40 * MINUTE);
    assert_int_equal(fetch(kit, "h", "t", 0), 2);
    group_kit_pass(kit, 20 * MINUTE);
    assert_int_equal(fetch(kit, "h", "t", 0), -1);
    assert_null(group_kit_group(kit, "h"));
}

static void a_stable_group_of_consumers_loses_only_what_it_does_not_subscribe_to(void **state)
{
    struct kit *kit = *state;
    struct member a;
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    assert_int_equal(commit_as_nobody(kit, "g", "u", 0, 2), 0);
    member_init(&a, kit, "g", "a");
    a.session_ms = 1800000;
    members_settle(kit, &a, 1);
    for (int i = 0; i < 8 * 24 * 2; i++) {
        group_kit_pass(kit, 29 * MINUTE);
        assert_int_equal(member_heartbeat(&a), 0);
    }
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
    assert_int_equal(fetch(kit, "g", "u", 0), -1);
}

static void a_stable_group_of_another_protocol_keeps_its_offsets(void **state)
{
    struct kit *kit = *state;
    struct member a;
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    member_init(&a, kit, "g", "a");
    a.session_ms = 1800000;
    a.protocol_type = "connect";
    members_settle(kit, &a, 1);
    for (int i = 0; i < 8 * 24 * 2; i++) {
        group_kit_pass(kit, 29 * MINUTE);
        assert_int_equal(member_heartbeat(&a), 0);
    }
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
}

static void an_offset_with_an_expiry_of_its_own_goes_by_that(void **state)
{
    struct kit *kit = *state;
    struct offset_commit commit;
    int16_t error = 0;
    const struct offset_commit_part part = {STR("t"), {{0}}, 0, -1, 1, STR(""), &error};
    offset_commit_init(&commit);
    commit.group = STR("g");
    commit.who = (struct group_committer){.member_id = STR(""), .generation = -1, .version = 4};
    commit.retention_ms = 3600000;
    commit.parts = &part;
    commit.count = 1;
    assert_int_equal(group_kit_run(kit, &commit.op), 0);
    group_kit_restart(kit);
    group_kit_pass(kit, 50 * MINUTE);
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
    group_kit_pass(kit, 20 * MINUTE);
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
}

static void an_offset_with_a_transaction_under_way_does_not_expire(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    assert_int_equal(commit_in_transaction(kit, "g", "t", 0, 9, 5), 0);
    assert_int_equal(commit_in_transaction(kit, "g", "t", 1, 9, 5), 0);
    group_kit_pass(kit, 8 * DAY);
    assert_int_equal(fetch(kit, "g", "t", 0), 1);
    end_transaction(kit, 5, false);
    group_kit_pass(kit, 10 * MINUTE);
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
    assert_null(group_kit_group(kit, "g"));
}

static void an_empty_group_without_offsets_is_forgotten_at_the_next_look(void **state)
{
    struct kit *kit = *state;
    struct member a;
    member_init(&a, kit, "g", "a");
    members_settle(kit, &a, 1);
    assert_int_equal(member_leave(&a), 0);
    assert_non_null(group_kit_group(kit, "g"));
    group_kit_pass(kit, 10 * MINUTE);
    assert_null(group_kit_group(kit, "g"));
}

static void thousands_of_groups_expire_in_operations_of_bounded_size(void **state)
{
    struct kit *kit = *state;
    enum { GROUPS = 2500 };
    for (int i = 0; i < GROUPS; i++) {
        char id[16];
        snprintf(id, sizeof id, "g%d", i);
        assert_int_equal(commit_as_nobody(kit, id, "t", 0, i), 0);
    }
    int64_t before = log_end_offset(kit_partition(kit, 0)->log);
    group_kit_pass(kit, 8 * DAY);
    for (int i = 0; i < 20; i++)
        kit_turns(kit, 2);
    assert_int_equal(map_count(&group_kit_state(kit)->groups), 0);
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log) - before, 2 * GROUPS);
}

/* ---- deleted topics ---- */

/* Topics of these names exist from now on, "" for none. */
static void have_topics(struct kit *kit, const char *names)
{
    struct image_builder builder;
    struct topic_record topic;
    image_builder_init(&builder, NULL);
    for (; *names; names++) {
        const char name[2] = {*names, 0};
        topic_record_init(&topic);
        topic.name = str_of(name);
        topic.topic_id = group_kit_topic(name);
        assert_true(image_apply(&builder, metadata_record_find(METADATA_TOPIC_RECORD), &topic));
    }
    const struct image *before = kit->image;
    image_builder_set_offset(&builder, before ? before->offset + 1 : 0, 1, 0);
    kit->image = image_builder_snapshot(&builder);
    image_builder_close(&builder);
    coord_follow(kit->coord, &kit->topic, true);
    kit_turns(kit, 6);
    image_unref(before);
}

static void offsets_of_a_deleted_topic_go(void **state)
{
    struct kit *kit = *state;
    have_topics(kit, "tu");
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    assert_int_equal(commit_as_nobody(kit, "g", "u", 0, 2), 0);
    assert_int_equal(commit_as_nobody(kit, "h", "t", 1, 3), 0);
    assert_int_equal(commit_in_transaction(kit, "h", "t", 2, 4, 5), 0);
    have_topics(kit, "u");
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
    assert_int_equal(fetch(kit, "h", "t", 1), -1);
    assert_int_equal(fetch_stable(kit, "h", "t", 2), -1);
    assert_int_equal(fetch(kit, "g", "u", 0), 2);
    assert_true(list_empty(&group_kit_state(kit)->gone));
    group_kit_restart(kit);
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
    image_unref(kit->image);
    kit->image = NULL;
}

static void a_commit_that_comes_after_the_deletion_of_its_topic_is_refused(void **state)
{
    struct kit *kit = *state;
    have_topics(kit, "tu");
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    const struct image *old = image_ref(kit->image);
    have_topics(kit, "u");
    const struct image *now = kit->image;
    kit->image = old; /* of a loop whose turn began before that */
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 2), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(commit_as_nobody(kit, "g", "u", 0, 3), 0);
    kit->image = now;
    image_unref(old);
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
    assert_int_equal(fetch(kit, "g", "u", 0), 3);
    image_unref(kit->image);
    kit->image = NULL;
}

/* It was looked for when the topic was there, and waited: for its transaction's coordinator, say.
 */
static void a_commit_that_waited_while_its_topic_was_deleted_is_refused(void **state)
{
    struct kit *kit = *state;
    have_topics(kit, "tu");
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    have_topics(kit, "u");
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 2), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(commit_in_transaction(kit, "g", "t", 0, 3, 5),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(fetch_stable(kit, "g", "t", 0), -1);
    image_unref(kit->image);
    kit->image = NULL;
}

static void more_offsets_of_a_deleted_topic_than_fit_into_one_operation_go(void **state)
{
    struct kit *kit = *state;
    have_topics(kit, "t");
    for (int i = 0; i < 2 * GROUP_TOMBSTONES_MAX + 1; i++)
        assert_int_equal(commit_as_nobody(kit, i % 2 ? "g" : "h", "t", i, 1), 0);
    have_topics(kit, "");
    kit_turns(kit, 10);
    assert_int_equal(group_kit_state(kit)->counts.offsets, 0);
    assert_true(list_empty(&group_kit_state(kit)->gone));
    image_unref(kit->image);
    kit->image = NULL;
}

static void a_group_with_more_offsets_than_fit_into_one_operation_is_deleted(void **state)
{
    struct kit *kit = *state;
    struct group_delete drop;
    for (int i = 0; i < 2 * GROUP_TOMBSTONES_MAX + 1; i++)
        assert_int_equal(commit_as_nobody(kit, "g", "t", i, 1), 0);
    group_delete_init(&drop);
    drop.group = STR("g");
    assert_int_equal(group_kit_run(kit, &drop.op), 0);
    assert_true(drop.more);
    assert_int_equal(group_kit_state(kit)->counts.offsets, GROUP_TOMBSTONES_MAX + 1);
    assert_int_equal(group_delete_of(kit, "g"), 0);
    assert_int_equal(group_kit_state(kit)->counts.offsets, 0);
    assert_int_equal(group_delete_of(kit, "g"), KAFKA_GROUP_ID_NOT_FOUND);
}

static void offsets_of_a_topic_that_went_while_nobody_led_go_at_load(void **state)
{
    struct kit *kit = *state;
    have_topics(kit, "tu");
    assert_int_equal(commit_as_nobody(kit, "g", "t", 0, 1), 0);
    assert_int_equal(commit_as_nobody(kit, "g", "u", 0, 2), 0);
    kit_crash(kit);
    const struct image *before = kit->image;
    struct image_builder builder;
    struct topic_record topic;
    image_builder_init(&builder, NULL);
    topic_record_init(&topic);
    topic.name = STR("u");
    topic.topic_id = group_kit_topic("u");
    assert_true(image_apply(&builder, metadata_record_find(METADATA_TOPIC_RECORD), &topic));
    kit->image = image_builder_snapshot(&builder);
    image_builder_close(&builder);
    image_unref(before);
    kit_open(kit, 2);
    kit_turns(kit, 10);
    assert_int_equal(fetch(kit, "g", "t", 0), -1);
    assert_int_equal(fetch(kit, "g", "u", 0), 2);
    image_unref(kit->image);
    kit->image = NULL;
}

/* ---- what is kept ---- */

static void records_of_unknown_types_and_damaged_ones_are_passed_over(void **state)
{
    struct kit *kit = *state;
    struct group_shard *shard = group_kit_state(kit);
    static const uint8_t unknown[] = {0, 99, 0, 1, 'x'}, damaged[] = {0, 1, 0, 9, 'x'};
    static const uint8_t share[] = {0, 11, 0, 1, 'g'}, value[] = {0, 0, 0, 0, 0, 1};
    const struct coord_record records[] = {
        {.offset = 0, .producer_id = -1, .key = {unknown, sizeof unknown}, .value = {value, 6}},
        {.offset = 1, .producer_id = -1, .key = {damaged, sizeof damaged}, .value = {value, 6}},
        {.offset = 2, .producer_id = -1, .key = {share, sizeof share}, .value = {NULL, 0}},
    };
    for (size_t i = 0; i < array_size(records); i++)
        assert_true(group_apply(shard, &records[i]));
    assert_int_equal(map_count(&shard->groups), 0);
    assert_int_equal(shard->counts.skipped, 2);
}

static void the_legacy_record_of_an_offset_is_read(void **state)
{
    struct kit *kit = *state;
    struct group_shard *shard = group_kit_state(kit);
    static const uint8_t key[] = {0, 0, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 0};
    static const uint8_t value[] = {0, 0,   0, 0, 0, 0, 0, 0, 0, 7, 0,
                                    1, 'm', 0, 0, 0, 0, 0, 0, 0, 5};
    const struct coord_record record = {
        .offset = 0, .producer_id = -1, .key = {key, sizeof key}, .value = {value, sizeof value}};
    assert_true(group_apply(shard, &record));
    const struct group_topic *topic = offsets_topic(group_find(shard, STR("g")), STR("t"));
    assert_int_equal(offsets_partition(topic, 0)->value.offset, 7);
    assert_int_equal(offsets_partition(topic, 0)->value.expire_ms, -1);
}

/* Under AddressSanitizer the allocator is another one. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated_bytes(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
                                                   : mallinfo2().uordblks;
}

/* What a million of these cost; the figure is for people, the bound for the machine. */
static void a_committed_group_partition_takes_less_than_a_kilobyte(void **state)
{
    struct kit *kit = *state;
    struct group_shard *shard = group_kit_state(kit);
    enum { GROUPS = 20000 };
    struct writer key = {0}, value = {0};
    size_t before = allocated_bytes();
    for (int i = 0; i < GROUPS; i++) {
        char id[32];
        int size = snprintf(id, sizeof id, "payments-consumer-%06d", i);
        key.size = value.size = 0;
        write_int16(&key, 1);
        write_int16(&key, (int16_t)size);
        write_bytes(&key, id, (size_t)size);
        write_int16(&key, 8);
        write_bytes(&key, "payments", 8);
        write_int32(&key, i % 12);
        write_int16(&value, 3);
        write_int64(&value, i);
        write_int32(&value, 1);
        write_int16(&value, 0);
        write_int64(&value, GROUP_KIT_WALL_MS);
        const struct coord_record record = {.offset = i,
                                            .producer_id = -1,
                                            .key = {key.data, (int32_t)key.size},
                                            .value = {value.data, (int32_t)value.size}};
        assert_true(group_apply(shard, &record));
    }
    size_t each = (allocated_bytes() - before) / GROUPS;
    print_message("a group with one committed partition: %zu bytes\n", each);
    assert_int_equal(shard->counts.offsets, GROUPS);
    assert_in_range(each, 100, 1024);
    writer_close(&key);
    writer_close(&value);
}

/* ---- describing and listing ---- */

static int list_of(struct kit *kit, const char *state_filter, const char *type_filter,
                   struct arena *arena, struct group_list *list)
{
    static struct str state, type;
    state = str_of(state_filter), type = str_of(type_filter);
    group_list_init(list);
    list->arena = arena;
    if (state_filter)
        list->states = (struct str_array){&state, 1};
    if (type_filter)
        list->types = (struct str_array){&type, 1};
    assert_int_equal(group_kit_run(kit, &list->op), 0);
    return list->count;
}

static void groups_are_listed_by_state_and_type(void **state)
{
    struct kit *kit = *state;
    struct member a;
    struct group_list list;
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(commit_as_nobody(kit, "simple", "t", 0, 1), 0);
    member_init(&a, kit, "live", "a");
    members_settle(kit, &a, 1);
    assert_int_equal(list_of(kit, NULL, NULL, &arena, &list), 2);
    assert_int_equal(list_of(kit, " sTable ", NULL, &arena, &list), 1);
    assert_true(str_equal(list.found[0].group_id, STR("live")));
    assert_true(str_equal(list.found[0].protocol_type, STR("consumer")));
    assert_true(str_equal(list.found[0].group_state, STR("Stable")));
    assert_true(str_equal(list.found[0].group_type, STR("classic")));
    assert_int_equal(list_of(kit, "Empty", "CLASSIC", &arena, &list), 1);
    assert_true(str_equal(list.found[0].protocol_type, STR("")));
    assert_int_equal(list_of(kit, NULL, "consumer", &arena, &list), 0);
    assert_int_equal(list_of(kit, "Nonsense", NULL, &arena, &list), 0);
    arena_close(&arena);
}

static int describe(struct kit *kit, const char *id, int16_t version, struct arena *arena,
                    struct describe_groups_response_described_group *ret_answer)
{
    struct group_describe op;
    group_describe_init(&op);
    op.group = str_of(id);
    op.version = version;
    op.arena = arena;
    op.answer = ret_answer;
    return group_kit_run(kit, &op.op);
}

static void a_group_is_described_with_its_members(void **state)
{
    struct kit *kit = *state;
    struct member a;
    struct describe_groups_response_described_group answer;
    struct arena arena;
    arena_init(&arena, 0);
    member_init(&a, kit, "g", "client-a");
    members_settle(kit, &a, 1);
    assert_int_equal(describe(kit, "g", 6, &arena, &answer), 0);
    assert_true(str_equal(answer.group_state, STR("Stable")));
    assert_true(str_equal(answer.protocol_data, STR("range")));
    assert_int_equal(answer.members.count, 1);
    assert_true(str_equal(answer.members.items[0].client_id, STR("client-a")));
    assert_true(str_equal(answer.members.items[0].client_host, STR("/127.0.0.1")));
    assert_true(answer.members.items[0].member_metadata.size > 0);
    assert_int_equal(answer.members.items[0].member_assignment.size, strlen(a.assignment));
    for (int16_t version = 5; version <= 6; version++) {
        assert_int_equal(describe(kit, "nobody", version, &arena, &answer), 0);
        assert_true(str_equal(answer.group_state, STR("Dead")));
        assert_int_equal(answer.error_code, version < 6 ? 0 : KAFKA_GROUP_ID_NOT_FOUND);
    }
    arena_close(&arena);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, group_kit_setup, group_kit_teardown)
    const struct CMUnitTest tests[] = {
        T(whoever_commits_without_a_group_makes_one),
        T(unknown_groups_and_topics_have_no_offset_and_no_error),
        T(a_commit_keeps_its_metadata_and_leader_epoch),
        T(metadata_is_bounded_in_utf16_units),
        T(only_members_of_the_generation_commit),
        T(a_commit_between_join_and_sync_is_told_of_the_rebalance),
        T(a_member_may_commit_while_the_group_prepares),
        T(the_absence_of_a_group_is_told_by_version),
        T(everything_committed_is_fetched_when_nothing_is_named),
        T(an_offset_of_a_deleted_topic_of_the_same_name_is_not_given),
        T(an_offset_in_a_transaction_counts_when_it_commits),
        T(an_offset_in_a_transaction_that_aborts_never_was),
        T(a_restart_within_a_transaction_leaves_it_open),
        T(of_a_transaction_and_a_later_commit_the_later_counts),
        T(transactions_of_two_producers_end_each_by_itself),
        T(a_marker_of_an_unknown_producer_is_nothing),
        T(offsets_are_deleted_unless_the_group_subscribes),
        T(offsets_of_a_live_group_of_another_protocol_are_not_deleted),
        T(an_empty_group_is_deleted_with_its_offsets),
        T(a_group_is_deleted_while_an_id_is_handed_out),
        T(offsets_of_a_group_without_members_expire_after_their_commit),
        T(offsets_of_an_empty_group_expire_after_its_last_member_left),
        T(offsets_expire_by_the_retention_of_the_last_start),
        T(a_stable_group_of_consumers_loses_only_what_it_does_not_subscribe_to),
        T(a_stable_group_of_another_protocol_keeps_its_offsets),
        T(an_offset_with_an_expiry_of_its_own_goes_by_that),
        T(an_offset_with_a_transaction_under_way_does_not_expire),
        T(an_empty_group_without_offsets_is_forgotten_at_the_next_look),
        T(thousands_of_groups_expire_in_operations_of_bounded_size),
        T(offsets_of_a_deleted_topic_go),
        T(a_commit_that_comes_after_the_deletion_of_its_topic_is_refused),
        T(a_commit_that_waited_while_its_topic_was_deleted_is_refused),
        T(more_offsets_of_a_deleted_topic_than_fit_into_one_operation_go),
        T(a_group_with_more_offsets_than_fit_into_one_operation_is_deleted),
        T(offsets_of_a_topic_that_went_while_nobody_led_go_at_load),
        T(records_of_unknown_types_and_damaged_ones_are_passed_over),
        T(the_legacy_record_of_an_offset_is_read),
        T(a_committed_group_partition_takes_less_than_a_kilobyte),
        T(groups_are_listed_by_state_and_type),
        T(a_group_is_described_with_its_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
