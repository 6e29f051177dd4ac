/* The server-side assignors: what they promise, on small groups that say why, and on random ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group/assignor_spec.h"

enum { MEMBERS = 12, TOPICS = 8, PLACES = 400 };

/* A group under construction. */
struct world {
    struct assignor_topic topics[TOPICS];
    struct assignor_member members[MEMBERS];
    int32_t wants[MEMBERS][TOPICS];
    char ids[MEMBERS][16];
    int32_t previous[PLACES], owners[PLACES];
    struct assignor_spec spec;
    struct arena arena;
    uint64_t random;
};

static void world_init(struct world *world)
{
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, 0);
    world->spec.topics = world->topics;
    world->spec.members = world->members;
    world->spec.previous = world->previous;
}

static int add_topic(struct world *world, int32_t partitions)
{
    int t = world->spec.topic_count++;
    world->topics[t] =
        (struct assignor_topic){uuid_of(7, (uint64_t)t + 1), partitions, world->spec.place_count};
    for (int32_t p = 0; p < partitions; p++)
        world->previous[world->spec.place_count++] = ASSIGNOR_NOBODY;
    return t;
}

/* Subscribes to what `topics` has bits for. */
static int add_member(struct world *world, const char *id, unsigned topics)
{
    int m = world->spec.member_count++;
    snprintf(world->ids[m], sizeof world->ids[m], "%s", id);
    int count = 0;
    for (int t = 0; t < TOPICS; t++)
        if (topics >> t & 1)
            world->wants[m][count++] = t;
    world->members[m] =
        (struct assignor_member){str_of(world->ids[m]), {NULL, 0}, world->wants[m], count};
    return m;
}

static void run(struct world *world, const struct assignor *assignor)
{
    assert_int_equal(assignor->assign(&world->spec, &world->arena, world->owners), 0);
    arena_reset(&world->arena, 0);
}

static int32_t owner_of(const struct world *world, int topic, int32_t partition)
{
    return world->owners[world->topics[topic].first + partition];
}

static int load_of(const struct world *world, int member)
{
    int load = 0;
    for (int32_t place = 0; place < world->spec.place_count; place++)
        load += world->owners[place] == member;
    return load;
}

static bool wants(const struct world *world, int member, int topic)
{
    for (int32_t i = 0; i < world->members[member].topic_count; i++)
        if (world->members[member].topics[i] == topic)
            return true;
    return false;
}

/* Everything that has a subscriber has an owner, who subscribes to it. */
static void check_owners(const struct world *world)
{
    for (int32_t t = 0; t < world->spec.topic_count; t++) {
        for (int32_t p = 0; p < world->topics[t].partition_count; p++) {
            int32_t owner = owner_of(world, t, p);
            assert_in_range(owner, 0, world->spec.member_count - 1);
            assert_true(wants(world, owner, t));
        }
    }
}

static int moved(const struct world *world)
{
    int count = 0;
    for (int32_t place = 0; place < world->spec.place_count; place++)
        count += world->previous[place] != ASSIGNOR_NOBODY &&
                 world->previous[place] != world->owners[place];
    return count;
}

static uint32_t pick(struct world *world, uint32_t below)
{
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(world->random >> 33) % below;
}

/* ---- range ---- */

static void range_gives_consecutive_partitions_and_the_rest_to_the_first(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    int t = add_topic(&world, 7);
    add_member(&world, "b", 1);
    add_member(&world, "a", 1);
    add_member(&world, "c", 1);
    run(&world, &range_assignor);
    static const int32_t expected[] = {1, 1, 1, 0, 0, 2, 2}; /* a, b, c */
    for (int32_t p = 0; p < 7; p++)
        assert_int_equal(owner_of(&world, t, p), expected[p]);
    arena_close(&world.arena);
}

static void range_puts_static_members_first_by_instance_id(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    int t = add_topic(&world, 3);
    add_member(&world, "a", 1);
    add_member(&world, "z", 1);
    add_member(&world, "y", 1);
    world.members[1].instance_id = STR("1");
    world.members[2].instance_id = STR("2");
    run(&world, &range_assignor);
    assert_int_equal(owner_of(&world, t, 0), 1);
    assert_int_equal(owner_of(&world, t, 1), 2);
    assert_int_equal(owner_of(&world, t, 2), 0);
    arena_close(&world.arena);
}

static void range_gives_members_the_same_partitions_of_topics_of_one_size(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    int t = add_topic(&world, 5), u = add_topic(&world, 5);
    add_member(&world, "a", 3);
    add_member(&world, "b", 3);
    run(&world, &range_assignor);
    for (int32_t p = 0; p < 5; p++)
        assert_int_equal(owner_of(&world, t, p), owner_of(&world, u, p));
    arena_close(&world.arena);
}

static void more_members_than_partitions_leave_the_last_with_nothing(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    add_topic(&world, 2);
    for (int m = 0; m < 4; m++)
        add_member(&world, (const char *[]){"a", "b", "c", "d"}[m], 1);
    run(&world, &range_assignor);
    check_owners(&world);
    assert_int_equal(load_of(&world, 0), 1);
    assert_int_equal(load_of(&world, 1), 1);
    assert_int_equal(load_of(&world, 2), 0);
    run(&world, &uniform_assignor);
    check_owners(&world);
    arena_close(&world.arena);
}

static void strings_are_ordered_by_utf_16_units_as_in_java(void **state)
{
    (void)state;
    assert_true(java_string_compare(STR("a"), STR("b")) < 0);
    assert_true(java_string_compare(STR("a"), STR("aa")) < 0);
    assert_int_equal(java_string_compare(STR("ab"), STR("ab")), 0);
    assert_true(java_string_compare(STR("z"), STR("\xc3\xa9")) < 0);
    /* U+FF5E is above U+1F600 there, because that begins with a surrogate. */
    assert_true(java_string_compare(STR("\xef\xbd\x9e"), STR("\xf0\x9f\x98\x80")) > 0);
    assert_true(java_string_compare(STR("\xed\x9f\xbf"), STR("\xf0\x9f\x98\x80")) < 0);
}

/* ---- uniform ---- */

static void uniform_keeps_what_members_have_and_evens_out_the_rest(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    add_topic(&world, 4);
    add_topic(&world, 5);
    add_member(&world, "a", 3);
    add_member(&world, "b", 3);
    run(&world, &uniform_assignor);
    check_owners(&world);
    assert_int_equal(abs(load_of(&world, 0) - load_of(&world, 1)), 1);
    memcpy(world.previous, world.owners, sizeof world.previous);
    run(&world, &uniform_assignor);
    assert_int_equal(moved(&world), 0);
    add_member(&world, "c", 3);
    run(&world, &uniform_assignor);
    check_owners(&world);
    for (int m = 0; m < 3; m++)
        assert_int_equal(load_of(&world, m), 3);
    assert_int_equal(moved(&world), 3); /* just what the new one gets */
    arena_close(&world.arena);
}

static void uniform_gives_the_larger_shares_to_those_who_have_more(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    add_topic(&world, 5);
    add_member(&world, "a", 1);
    add_member(&world, "b", 1);
    for (int32_t p = 0; p < 5; p++)
        world.previous[p] = p < 2 ? 0 : 1;
    run(&world, &uniform_assignor);
    assert_int_equal(moved(&world), 0);
    arena_close(&world.arena);
}

static void uniform_balances_members_of_different_subscriptions(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    add_topic(&world, 6);
    add_topic(&world, 2);
    add_member(&world, "a", 1);
    add_member(&world, "b", 3);
    run(&world, &uniform_assignor);
    check_owners(&world);
    assert_int_equal(load_of(&world, 0), 4);
    assert_int_equal(load_of(&world, 1), 4);
    /* Whoever no longer subscribes gives up. */
    memcpy(world.previous, world.owners, sizeof world.previous);
    world.wants[1][0] = 1;
    world.members[1].topic_count = 1;
    run(&world, &uniform_assignor);
    check_owners(&world);
    assert_int_equal(load_of(&world, 0), 6);
    assert_int_equal(load_of(&world, 1), 2);
    arena_close(&world.arena);
}

static void a_topic_that_nobody_subscribes_to_has_no_owner(void **state)
{
    static const struct assignor *const assignors[] = {&range_assignor, &uniform_assignor};
    struct world world;
    (void)state;
    for (int i = 0; i < 2; i++) {
        world_init(&world);
        int wanted = add_topic(&world, 2), other = add_topic(&world, 3);
        add_member(&world, "a", 1);
        add_member(&world, "b", 1);
        world.previous[world.topics[other].first] = 1; /* who does not want it any more */
        run(&world, assignors[i]);
        for (int32_t p = 0; p < 2; p++)
            assert_int_equal(owner_of(&world, wanted, p), p);
        for (int32_t p = 0; p < 3; p++)
            assert_int_equal(owner_of(&world, other, p), ASSIGNOR_NOBODY);
        arena_close(&world.arena);
    }
}

/* ---- any group ---- */

static void random_world(struct world *world, bool alike)
{
    int topics = 1 + (int)pick(world, TOPICS), members = 1 + (int)pick(world, MEMBERS);
    unsigned all = (1u << topics) - 1, seen = 0;
    for (int t = 0; t < topics; t++)
        add_topic(world, 1 + (int32_t)pick(world, 20));
    for (int m = 0; m < members; m++) {
        char id[16];
        unsigned some = alike ? all : pick(world, all + 1);
        if (m == members - 1)
            some |= all & ~seen; /* nobody assigns what nobody wants */
        seen |= some;
        snprintf(id, sizeof id, "m%u", pick(world, 1000000));
        add_member(world, id, some);
    }
    for (int32_t place = 0; place < world->spec.place_count; place++)
        if (pick(world, 3) > 0)
            world->previous[place] = (int32_t)pick(world, (uint32_t)members);
}

/* No single partition could move from one subscriber to another and make the two more equal. */
static void check_balanced(const struct world *world)
{
    int load[MEMBERS];
    for (int m = 0; m < world->spec.member_count; m++)
        load[m] = load_of(world, m);
    for (int32_t t = 0; t < world->spec.topic_count; t++)
        for (int32_t p = 0; p < world->topics[t].partition_count; p++)
            for (int m = 0; m < world->spec.member_count; m++)
                if (wants(world, m, t))
                    assert_true(load[owner_of(world, t, p)] - load[m] <= 1);
}

static void every_partition_gets_an_owner_and_no_move_improves_the_balance(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct world world;
        world_init(&world);
        world.random = seed * 977;
        random_world(&world, seed % 2);
        run(&world, &range_assignor);
        check_owners(&world);
        run(&world, &uniform_assignor);
        check_owners(&world);
        check_balanced(&world);
        /* What is balanced stays where it is. */
        memcpy(world.previous, world.owners, sizeof world.previous);
        run(&world, &uniform_assignor);
        assert_int_equal(moved(&world), 0);
        arena_close(&world.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_gives_consecutive_partitions_and_the_rest_to_the_first),
        cmocka_unit_test(range_puts_static_members_first_by_instance_id),
        cmocka_unit_test(range_gives_members_the_same_partitions_of_topics_of_one_size),
        cmocka_unit_test(more_members_than_partitions_leave_the_last_with_nothing),
        cmocka_unit_test(strings_are_ordered_by_utf_16_units_as_in_java),
        cmocka_unit_test(uniform_keeps_what_members_have_and_evens_out_the_rest),
        cmocka_unit_test(uniform_gives_the_larger_shares_to_those_who_have_more),
        cmocka_unit_test(uniform_balances_members_of_different_subscriptions),
        cmocka_unit_test(a_topic_that_nobody_subscribes_to_has_no_owner),
        cmocka_unit_test(every_partition_gets_an_owner_and_no_move_improves_the_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
