/* Hostile clients make groups, members and offsets by the thousands, and go. When they are gone and
 * what they left has expired, the state holds nothing. */
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

enum { STORM_GROUPS = 2000, PRODUCERS = 50 };

/* What one hostile client does to a group, by its number. */
static void attack(struct kit *kit, int number)
{
    char group[64], client[64];
    struct member *member = malloc(sizeof *member);
    snprintf(group, sizeof group, "storm-%d", number);
    snprintf(client, sizeof client, "client-%d", number % 7);
    member_init(member, kit, group, client);
    switch (number % 8) {
    case 0: /* an id that nobody comes back with */
        assert_true(member_join(member));
        assert_int_equal(member->join_error, KAFKA_MEMBER_ID_REQUIRED);
        break;
    case 1: /* a join that is never read */
        member->version = 3;
        assert_false(member_join(member));
        break;
    case 2: /* the same of a static member */
        member->instance_id = client;
        assert_false(member_join(member));
        break;
    case 3:
        assert_int_equal(commit_as_nobody(kit, group, "t", number, number), 0);
        break;
    case 4:
        assert_int_equal(commit_in_transaction(kit, group, "t", 0, 5, 100 + number % PRODUCERS), 0);
        break;
    case 5: /* a stranger in a group of its own */
        strcpy(member->id, "stranger");
        assert_true(member_join(member));
        assert_int_equal(member->join_error, KAFKA_UNKNOWN_MEMBER_ID);
        assert_int_equal(member_leave(member), KAFKA_UNKNOWN_MEMBER_ID);
        break;
    case 6: /* commits as well, so that it is a group with members and offsets */
        assert_int_equal(commit_as_nobody(kit, group, "u", 0, 1), 0);
        member->version = 3;
        assert_false(member_join(member));
        break;
    case 7: /* many protocols, and another join under the same id */
        member->protocols[0] = "a", member->protocols[1] = "b", member->protocols[2] = "c";
        assert_true(member_join(member));
        assert_false(member_join(member));
        member_close(member);
        assert_false(member_join(member));
        break;
    }
    member_close(member);
    free(member);
}

static bool is_empty(struct kit *kit)
{
    const struct group_shard *shard = group_kit_state(kit);
    return shard->counts.groups == 0 && shard->counts.offsets == 0 && shard->counts.pending == 0 &&
           shard->counts.held == 0 && map_count(&shard->groups) == 0 &&
           map_count(&shard->topics) == 0 && map_count(&shard->transactions) == 0 &&
           list_empty(&shard->all) && list_empty(&shard->waits) && list_empty(&shard->gone);
}

/* So long that sessions, ids handed out and offsets expire, in steps as a clock goes. */
static void pass_until_empty(struct kit *kit)
{
    for (int i = 0; i < 200 && !is_empty(kit); i++)
        group_kit_pass(kit, 60 * 60 * 1000);
    assert_true(is_empty(kit));
    assert_int_equal(kit->fold_word, 0);
}

static void a_storm_of_groups_leaves_nothing(void **state)
{
    struct kit *kit = *state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STORM_GROUPS; i++)
            attack(kit, i);
        const struct group_shard *shard = group_kit_state(kit);
        assert_int_equal(shard->counts.groups, STORM_GROUPS / 8 * 7);
        assert_int_equal(shard->counts.pending, STORM_GROUPS / 8);
        assert_true(shard->counts.held > STORM_GROUPS / 8 * 4 * (int64_t)sizeof(struct classic));
        assert_int_equal(kit->fold_word, shard->counts.held);
        for (int i = 0; i < PRODUCERS; i++)
            end_transaction(kit, 100 + i, i % 2 == 0);
        assert_int_equal(shard->counts.pending, 0);
        if (round == 1) /* the same when a load found it */
            group_kit_restart(kit);
        pass_until_empty(kit);
    }
}

static void a_storm_that_a_restart_ends_leaves_nothing(void **state)
{
    struct kit *kit = *state;
    for (int i = 0; i < STORM_GROUPS; i++)
        attack(kit, i);
    group_kit_restart(kit);
    for (int i = 0; i < PRODUCERS; i++)
        end_transaction(kit, 100 + i, false);
    pass_until_empty(kit);
}

static void members_beyond_the_memory_of_groups_are_refused_until_there_is_room(void **state)
{
    struct kit *kit = *state;
    struct member *members = calloc(50, sizeof *members), late;
    int count = 0;
    kit->broker.group_memory_bytes = 8192;
    for (bool full = false; !full; count++) {
        assert_true(count < 49);
        member_init(&members[count], kit, "g", "client");
        members[count].version = 3;
        full = member_join(&members[count]);
        if (full)
            assert_int_equal(members[count].join_error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
    assert_true(kit->fold_word <= 8192);
    assert_int_equal(classic_member_count(group_kit_group(kit, "g")->classic), count - 1);
    member_init(&late, kit, "other", "client");
    assert_true(member_join(&late));
    assert_int_equal(late.join_error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_null(group_kit_group(kit, "other"));
    /* Who is in stays in, with what it had, and may leave. */
    group_kit_pass(kit, 3000);
    group_kit_pass(kit, 3000);
    for (int i = 0; i + 1 < count; i++)
        while (!member_joined(&members[i]))
            group_kit_pass(kit, 3000);
    assert_int_equal(members[1].join_error, 0);
    assert_false(member_join(&members[1]) && members[1].join_error != 0);
    assert_int_equal(member_leave(&members[0]), 0);
    assert_false(member_join(&members[count - 1]) &&
                 members[count - 1].join_error == KAFKA_COORDINATOR_NOT_AVAILABLE);
    for (int i = 0; i < count; i++)
        member_close(&members[i]);
    member_close(&late);
    free(members);
    kit->broker.group_memory_bytes = INT64_C(1) << 30;
    pass_until_empty(kit);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, group_kit_setup, group_kit_teardown)
    const struct CMUnitTest tests[] = {
        T(a_storm_of_groups_leaves_nothing),
        T(a_storm_that_a_restart_ends_leaves_nothing),
        T(members_beyond_the_memory_of_groups_are_refused_until_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
