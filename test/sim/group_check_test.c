/* The checker of group histories notices what it must, and nothing else. Times are small numbers:
 * a call of two digits begins at the first and ends at the second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/must.h"
#include "group_history.h"

static char why[512];

static bool is_well(const char *text)
{
    struct group_history *history = group_history_create(NULL, NULL);
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    must(in);
    *why = '\0';
    bool read = group_history_read(history, in, why, sizeof why);
    fclose(in);
    if (!read)
        fail_msg("%s", why);
    bool well = group_check(history, why, sizeof why);
    group_history_destroy(history);
    return well;
}

#define JOIN(member, begin, end, generation, leads)                                                \
    "op=join begin=" begin " end=" end " error=0 group=g member=" member " generation=" generation \
    " leads=" leads " session=6000 rebalance=6000\n"
#define SYNC(member, begin, end, generation, owned, rest)                                          \
    "op=sync begin=" begin " end=" end " error=0 group=g member=" member " generation=" generation \
    " owned=" owned rest "\n"
#define BEAT(member, begin, end, generation, error)                                                \
    "op=beat begin=" begin " end=" end " error=" error " group=g member=" member                   \
    " generation=" generation "\n"
#define COMMIT(member, begin, end, error, generation, offset, tag)                                 \
    "op=commit begin=" begin " end=" end " error=" error " group=g member=" member                 \
    " generation=" generation " partition=0 offset=" offset " tag=" tag "\n"
#define FETCH(begin, end, offset, tag)                                                             \
    "op=fetch begin=" begin " end=" end " error=0 group=g partition=0 offset=" offset tag "\n"

static void one_owner_per_partition_and_generation(void **state)
{
    (void)state;
    assert_true(is_well(SYNC("a", "1", "2", "1", "3", " gives=a:3 gives=b:c")
                            SYNC("b", "1", "3", "1", "c", "")));
    assert_false(is_well(SYNC("a", "1", "2", "1", "3", "") SYNC("b", "1", "3", "1", "6", "")));
    assert_non_null(strstr(why, "partition 1 has two owners"));
    assert_false(is_well(SYNC("a", "1", "2", "1", "3", "") SYNC("a", "3", "4", "1", "1", "")));
    assert_non_null(strstr(why, "two assignments"));
}

#define PLANS                                                                                      \
    "op=sync begin=1 group=g member=a generation=1 gives=a:1 gives=b:2\n"                          \
    "op=sync begin=3 group=g member=a generation=1 gives=a:2 gives=b:1\n"

static void assignments_are_what_one_leader_gave(void **state)
{
    (void)state;
    assert_false(is_well(SYNC("a", "1", "2", "1", "1", " gives=a:3 gives=b:c")));
    assert_non_null(strstr(why, "what no leader gave"));
    /* Of two plans of a leader that asked twice, one. */
    assert_true(is_well(PLANS SYNC("a", "4", "5", "1", "1", "") SYNC("b", "4", "5", "1", "2", "")));
    assert_false(
        is_well(PLANS SYNC("a", "4", "5", "1", "1", "") SYNC("b", "4", "5", "1", "1", "")));
    assert_false(is_well(JOIN("a", "1", "4", "1", "1") JOIN("b", "2", "4", "1", "1")));
    assert_non_null(strstr(why, "two leaders"));
}

static void older_generations_are_not_accepted(void **state)
{
    (void)state;
    assert_true(is_well(BEAT("a", "3", "5", "1", "0") SYNC("b", "1", "4", "2", "0", "")));
    assert_true(is_well(BEAT("a", "5", "6", "1", "22") SYNC("b", "1", "4", "2", "0", "")));
    assert_false(is_well(BEAT("a", "5", "6", "1", "0") SYNC("b", "1", "4", "2", "0", "")));
    assert_false(is_well(COMMIT("a", "5", "6", "0", "1", "7", "x") JOIN("b", "1", "4", "2", "0")));
    assert_non_null(strstr(why, "generation 2 was there"));
    /* What is only joined may be lost; what is assigned may not. */
    assert_true(is_well(BEAT("a", "5", "6", "1", "0")
                            JOIN("b", "1", "3", "2", "0") "op=reload begin=4 end=5\n"));
    assert_false(is_well(BEAT("a", "5", "6", "1", "0")
                             SYNC("b", "1", "3", "2", "0", "") "op=reload begin=4 end=5\n"));
}

#define LEAVE "op=leave begin=1 end=2 error=0 group=g member=a\n"

static void who_has_left_is_no_member(void **state)
{
    (void)state;
    assert_true(is_well(LEAVE BEAT("a", "3", "4", "1", "25")));
    assert_false(is_well(LEAVE BEAT("a", "3", "4", "1", "0")));
    assert_non_null(strstr(why, "has left"));
}

#define JOINS                                                                                      \
    "op=join begin=1 end=2 error=0 group=g member=a instance=i generation=1 leads=1\n"             \
    "op=join begin=3 end=4 error=0 group=g member=b instance=i generation=1 leads=1\n"

static void whose_place_is_taken_is_fenced(void **state)
{
    (void)state;
    assert_true(is_well(JOINS BEAT("a", "3", "5", "1", "0")));
    assert_true(is_well(JOINS BEAT("b", "5", "6", "1", "0")));
    assert_false(is_well(JOINS BEAT("a", "5", "6", "1", "0")));
    assert_non_null(strstr(why, "took its place"));
}

#define LIFE JOIN("a", "1", "2", "1", "1") SYNC("a", "3", "4", "1", "1", " gives=a:1")

static void sessions_last_their_time(void **state)
{
    (void)state;
    assert_true(is_well(LIFE BEAT("a", "6000000003", "6000000005", "1", "25")));
    assert_false(is_well(LIFE BEAT("a", "5000000003", "5000000005", "1", "25")));
    assert_non_null(strstr(why, "is thrown out"));
}

#define HEART(member, begin, end, epoch, owned, rest)                                              \
    "op=heart begin=" begin " end=" end " error=0 group=g member=" member " generation=" epoch     \
    " epoch=" epoch " session=6000 rebalance=6000 owned=" owned rest "\n"

#define FIRST HEART("a", "1", "2", "1", "0", " given=3")

static void in_the_consumer_protocol_owners_give_up_before_others_get(void **state)
{
    (void)state;
    assert_true(is_well(FIRST HEART("a", "3", "5", "1", "1", "")
                            HEART("b", "4", "6", "2", "0", " given=2")));
    assert_false(is_well(FIRST HEART("b", "4", "6", "2", "0", " given=2")
                             HEART("a", "7", "8", "1", "3", "")));
    assert_non_null(strstr(why, "partition 1 is a's and b's"));
    assert_false(is_well(HEART("a", "1", "2", "5", "0", "") HEART("a", "3", "4", "4", "0", "")));
    assert_non_null(strstr(why, "older epoch"));
}

#define ONE "op=own begin=1 end=5 error=0 group=g member=a owned=3\n"

static void nobody_owns_what_another_owns(void **state)
{
    (void)state;
    assert_true(is_well(ONE "op=own begin=6 group=g member=b owned=2\n"));
    assert_true(is_well(ONE "op=own begin=2 group=g member=b owned=4\n"));
    assert_false(is_well(ONE "op=own begin=4 end=9 error=0 group=g member=b owned=2\n"));
    assert_non_null(strstr(why, "is owned by a and b"));
}

#define COMMITS COMMIT("a", "1", "2", "0", "1", "5", "x") COMMIT("a", "3", "4", "0", "1", "8", "y")

static void committed_offsets_are_kept(void **state)
{
    (void)state;
    assert_true(is_well(COMMITS FETCH("5", "6", "8", " tag=y")));
    assert_true(is_well(COMMITS FETCH("3", "6", "5", " tag=x")));
    assert_false(is_well(COMMITS FETCH("5", "6", "5", " tag=x")));
    assert_non_null(strstr(why, "lost"));
    assert_false(is_well(COMMITS FETCH("5", "6", "-1", "")));
    assert_false(is_well(COMMITS FETCH("5", "6", "8", " tag=x")));
    assert_non_null(strstr(why, "with the metadata of"));
    assert_false(is_well(COMMITS FETCH("5", "6", "9", " tag=z")));
    assert_non_null(strstr(why, "nobody has committed"));
}

#define HALF_KNOWN                                                                                 \
    COMMIT("a", "1", "2", "0", "1", "5", "x")                                                      \
    "op=commit begin=3 group=g member=a generation=1 partition=0 offset=8 tag=y\n"

static void reads_agree_with_each_other(void **state)
{
    (void)state;
    /* Nobody knows of y; once read it is there. */
    assert_true(is_well(HALF_KNOWN FETCH("5", "6", "5", " tag=x") FETCH("7", "8", "8", " tag=y")));
    assert_false(is_well(HALF_KNOWN FETCH("5", "6", "8", " tag=y") FETCH("7", "8", "5", " tag=x")));
}

static void refused_commits_have_no_effect(void **state)
{
    (void)state;
    assert_false(
        is_well(COMMIT("a", "1", "2", "22", "1", "5", "x") FETCH("3", "4", "5", " tag=x")));
    assert_non_null(strstr(why, "was refused"));
}

static void positions_do_not_go_back(void **state)
{
    (void)state;
    assert_false(is_well(COMMIT("a", "1", "2", "0", "1", "5", "x")
                             COMMIT("b", "3", "4", "0", "2", "4", "y")));
    assert_non_null(strstr(why, "goes back"));
    assert_false(is_well(COMMIT("a", "1", "6", "0", "1", "5", "x")
                             COMMIT("b", "3", "4", "0", "2", "4", "y")));
    assert_non_null(strstr(why, "older generation"));
}

static void what_was_never_answered_may_come_late(void **state)
{
    (void)state;
    assert_true(is_well("op=commit at=p.1 begin=1 group=g member=a generation=1 partition=0 "
                        "offset=3 tag=late\n" COMMIT("a", "2", "4", "0", "1", "5", "x") FETCH(
                            "6", "7", "3", " tag=late") COMMIT("b", "8", "9", "0", "2", "4", "y")));
    /* It was there before the other one, and nobody read it afterwards. */
    assert_false(is_well("op=commit at=p.1 begin=1 group=g member=a generation=1 partition=0 "
                         "offset=3 tag=late\n" FETCH("2", "3", "3", " tag=late")
                             COMMIT("a", "4", "5", "0", "1", "5", "x")
                                 COMMIT("b", "8", "9", "0", "2", "4", "y")));
    assert_non_null(strstr(why, "goes back"));
}

static void of_an_event_the_last_line_counts(void **state)
{
    (void)state;
    assert_true(is_well("op=commit at=p.1 begin=1 group=g member=a generation=1 partition=0 "
                        "offset=5 tag=x\n"
                        "# a comment\n"
                        "op=commit at=p.1 begin=1 end=2 error=0 group=g member=a generation=1 "
                        "partition=0 offset=5 tag=x\n" FETCH("3", "4", "5", " tag=x")));
    assert_false(is_well("op=commit at=p.1 begin=1 group=g member=a generation=1 partition=0 "
                         "offset=5 tag=x\n"
                         "op=commit at=p.1 begin=1 end=2 error=0 group=g member=a generation=1 "
                         "partition=0 offset=5 tag=x\n" FETCH("3", "4", "-1", "")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_owner_per_partition_and_generation),
        cmocka_unit_test(assignments_are_what_one_leader_gave),
        cmocka_unit_test(older_generations_are_not_accepted),
        cmocka_unit_test(who_has_left_is_no_member),
        cmocka_unit_test(whose_place_is_taken_is_fenced),
        cmocka_unit_test(sessions_last_their_time),
        cmocka_unit_test(in_the_consumer_protocol_owners_give_up_before_others_get),
        cmocka_unit_test(nobody_owns_what_another_owns),
        cmocka_unit_test(committed_offsets_are_kept),
        cmocka_unit_test(reads_agree_with_each_other),
        cmocka_unit_test(refused_commits_have_no_effect),
        cmocka_unit_test(positions_do_not_go_back),
        cmocka_unit_test(what_was_never_answered_may_come_late),
        cmocka_unit_test(of_an_event_the_last_line_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
