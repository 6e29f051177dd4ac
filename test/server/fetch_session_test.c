#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/errors.h"
#include "server/fetch_hints.h"
#include "server/fetch_session.h"

#define SECOND (INT64_C(1000000000))
#define PLENTY (INT64_C(1) << 30)

static const struct uuid no_id;

static struct uuid id_of(uint8_t n)
{
    return (struct uuid){.bytes = {1, [15] = n}};
}

static void a_session_expects_the_next_epoch_each_time(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(10, PLENTY, 42);
    struct fetch_session *session = fetch_session_create(sessions, 7, true, 0), *again;
    assert_int_equal(session->id, 7);
    fetch_session_release(sessions, session);
    assert_int_equal(fetch_session_acquire(sessions, 7, 2, true, 0, &again),
                     KAFKA_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(fetch_session_acquire(sessions, 7, 1, true, 0, &again), 0);
    assert_ptr_equal(again, session);
    fetch_session_release(sessions, session);
    assert_int_equal(fetch_session_acquire(sessions, 7, 1, true, 0, &again),
                     KAFKA_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(fetch_session_acquire(sessions, 7, 2, true, 0, &again), 0);
    fetch_session_release(sessions, session);
    assert_int_equal(fetch_session_acquire(sessions, 8, 1, true, 0, &again),
                     KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    fetch_sessions_destroy(sessions);
}

static void the_epoch_wraps_to_one_and_never_to_a_special_value(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(10, PLENTY, 42);
    struct fetch_session *session = fetch_session_create(sessions, 7, true, 0), *again;
    session->epoch = INT32_MAX;
    fetch_session_release(sessions, session);
    assert_int_equal(fetch_session_acquire(sessions, 7, INT32_MAX, true, 0, &again), 0);
    assert_int_equal(session->epoch, 1);
    fetch_session_release(sessions, session);
    fetch_sessions_destroy(sessions);
}

static void a_borrowed_session_is_refused_to_others(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(10, PLENTY, 42);
    struct fetch_session *session = fetch_session_create(sessions, 7, true, 0), *again;
    assert_int_equal(fetch_session_acquire(sessions, 7, 1, true, 0, &again),
                     KAFKA_INVALID_FETCH_SESSION_EPOCH);
    fetch_session_release(sessions, session);
    fetch_sessions_destroy(sessions);
}

static void a_session_of_names_is_no_session_of_ids(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(10, PLENTY, 42);
    struct fetch_session *session = fetch_session_create(sessions, 7, false, 0), *again;
    fetch_session_release(sessions, session);
    assert_int_equal(fetch_session_acquire(sessions, 7, 1, true, 0, &again),
                     KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    assert_int_equal(fetch_session_acquire(sessions, 7, 1, false, 0, &again), 0);
    fetch_session_release(sessions, session);
    fetch_sessions_destroy(sessions);
}

static void a_session_removed_while_borrowed_lives_until_it_is_given_back(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(10, PLENTY, 42);
    struct fetch_session *session = fetch_session_create(sessions, 7, true, 0), *again;
    fetch_session_remove(sessions, 7);
    assert_int_equal(fetch_sessions_count(sessions), 0);
    assert_non_null(fetch_session_add(session, id_of(1), (struct str){NULL, 0}, 0));
    assert_int_equal(fetch_session_acquire(sessions, 7, 1, true, 0, &again),
                     KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    fetch_session_release(sessions, session); /* frees it; the sanitizer watches */
    fetch_sessions_destroy(sessions);
}

static void ids_are_never_zero_nor_taken(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(10, PLENTY, 42);
    struct fetch_session *a = fetch_session_create(sessions, 0, true, 0);
    struct fetch_session *b = fetch_session_create(sessions, 0x80000000u, true, 0);
    struct fetch_session *c = fetch_session_create(sessions, 0xffffffffu, true, 0);
    struct fetch_session *d = fetch_session_create(sessions, 0x7fffffffu, true, 0);
    assert_int_equal(a->id, 1);
    assert_int_equal(b->id, 2);
    assert_int_equal(c->id, INT32_MAX);
    assert_int_equal(d->id, 3);
    fetch_session_release(sessions, a);
    fetch_session_release(sessions, b);
    fetch_session_release(sessions, c);
    fetch_session_release(sessions, d);
    fetch_sessions_destroy(sessions);
}

static void a_full_cache_gives_way_only_to_long_idleness(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(2, PLENTY, 42);
    struct fetch_session *again;
    fetch_session_release(sessions, fetch_session_create(sessions, 1, true, 0));
    fetch_session_release(sessions, fetch_session_create(sessions, 2, true, 60 * SECOND));
    assert_null(fetch_session_create(sessions, 3, true, 100 * SECOND));
    /* Used again, the first is no longer the one that was idle for longest. */
    assert_int_equal(fetch_session_acquire(sessions, 1, 1, true, 110 * SECOND, &again), 0);
    fetch_session_release(sessions, again);
    struct fetch_session *third = fetch_session_create(sessions, 3, true, 180 * SECOND);
    assert_non_null(third);
    assert_int_equal(fetch_session_acquire(sessions, 2, 1, true, 180 * SECOND, &again),
                     KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch_sessions_count(sessions), 2);
    fetch_session_release(sessions, third);
    fetch_sessions_destroy(sessions);
}

static void a_session_in_use_is_not_evicted(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(1, PLENTY, 42);
    struct fetch_session *session = fetch_session_create(sessions, 1, true, 0);
    assert_null(fetch_session_create(sessions, 2, true, 1000 * SECOND));
    fetch_session_release(sessions, session);
    session = fetch_session_create(sessions, 2, true, 1000 * SECOND);
    assert_non_null(session);
    fetch_session_release(sessions, session);
    fetch_sessions_destroy(sessions);
}

static void no_slots_mean_no_sessions(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(0, PLENTY, 42);
    assert_null(fetch_session_create(sessions, 1, true, 1000 * SECOND));
    fetch_sessions_destroy(sessions);
}

/* Many partitions, so that chains and growing of the table matter. */
static void partitions_are_found_by_id_or_name_and_forgotten(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(10, PLENTY, 42);
    for (int ids = 0; ids < 2; ids++) {
        struct fetch_session *session = fetch_session_create(sessions, 7, ids, 0);
        char name[16];
        for (int32_t i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "topic-%d", i / 10);
            struct str text = ids ? (struct str){NULL, 0} : str_of(name);
            struct uuid id = ids ? id_of((uint8_t)(i / 10)) : no_id;
            assert_null(fetch_session_find(session, id, text, i));
            struct fetch_partition *added = fetch_session_add(session, id, text, i);
            assert_non_null(added);
            added->fetch_offset = i * 3;
        }
        assert_int_equal(session->watch.count, 1000);
        for (int32_t i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "topic-%d", i / 10);
            struct str text = ids ? (struct str){NULL, 0} : str_of(name);
            struct uuid id = ids ? id_of((uint8_t)(i / 10)) : no_id;
            struct fetch_partition *found = fetch_session_find(session, id, text, i);
            assert_non_null(found);
            assert_int_equal(found->fetch_offset, i * 3);
            assert_null(fetch_session_find(session, ids ? id_of(200) : no_id,
                                           ids ? text : STR("other"), i));
            if (i % 2)
                fetch_session_forget(session, found);
        }
        assert_int_equal(session->watch.count, 500);
        for (int32_t i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "topic-%d", i / 10);
            struct str text = ids ? (struct str){NULL, 0} : str_of(name);
            struct uuid id = ids ? id_of((uint8_t)(i / 10)) : no_id;
            assert_int_equal(fetch_session_find(session, id, text, i) == NULL, i % 2);
        }
        fetch_session_remove(sessions, 7);
        fetch_session_release(sessions, session);
    }
    fetch_sessions_destroy(sessions);
}

static void a_name_is_copied(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(1, PLENTY, 42);
    struct fetch_session *session = fetch_session_create(sessions, 7, false, 0);
    char name[] = "orders";
    fetch_session_add(session, no_id, str_of(name), 0);
    name[0] = 'x';
    assert_non_null(fetch_session_find(session, no_id, STR("orders"), 0));
    fetch_session_release(sessions, session);
    fetch_sessions_destroy(sessions);
}

static void a_session_takes_no_more_partitions_than_the_limit(void **state)
{
    (void)state;
    struct fetch_sessions *sessions = fetch_sessions_create(1, PLENTY, 42);
    struct fetch_session *session = fetch_session_create(sessions, 7, true, 0);
    for (int32_t i = 0; i < FETCH_SESSION_PARTITIONS_MAX; i++)
        assert_non_null(fetch_session_add(session, id_of(1), (struct str){NULL, 0}, i));
    assert_null(fetch_session_add(session, id_of(1), (struct str){NULL, 0}, -1));
    fetch_session_release(sessions, session);
    fetch_sessions_destroy(sessions);
}

static void all_sessions_together_take_no_more_memory_than_the_limit(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    struct fetch_sessions *sessions = fetch_sessions_create(100, BYTES, 42);
    struct fetch_session *last = fetch_session_create(sessions, 1, true, 0), *again;
    for (uint32_t s = 0; s < 10; s++) {
        struct fetch_session *session = fetch_session_create(sessions, 100 + s, true, SECOND * s);
        for (int32_t i = 0; session && i < BYTES / 10; i++)
            if (!fetch_session_add(session, id_of(1), (struct str){NULL, 0}, i))
                break;
        if (session)
            fetch_session_release(sessions, session);
    }
    assert_null(fetch_session_add(last, id_of(1), (struct str){NULL, 0}, 0));
    /* No room for another session either, unless one was idle for long. */
    assert_null(fetch_session_create(sessions, 200, true, 100 * SECOND));
    fetch_session_release(sessions, last);
    fetch_session_remove(sessions, 1);
    struct fetch_session *late = fetch_session_create(sessions, 200, true, 125 * SECOND);
    assert_non_null(late);
    assert_int_equal(fetch_session_acquire(sessions, 100, 1, true, 125 * SECOND, &again),
                     KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_non_null(fetch_session_add(late, id_of(1), (struct str){NULL, 0}, 0));
    fetch_session_release(sessions, late);
    fetch_sessions_destroy(sessions);
}

/* A request can hold thousands of names that nobody ever made a topic of. */
static void names_of_topics_count(void **state)
{
    (void)state;
    static char name[32 * 1024];
    memset(name, 'n', sizeof name);
    struct fetch_sessions *sessions = fetch_sessions_create(10, 10 * sizeof name, 42);
    struct fetch_session *session = fetch_session_create(sessions, 7, false, 0);
    struct str topic = {name, sizeof name};
    int taken = 0;
    while (fetch_session_add(session, no_id, topic, taken))
        taken++;
    assert_int_equal(taken, 9);
    struct fetch_partition *first = fetch_session_find(session, no_id, topic, 0);
    fetch_session_forget(session, first);
    assert_non_null(fetch_session_add(session, no_id, topic, 10));
    assert_null(fetch_session_add(session, no_id, topic, 11));
    fetch_session_release(sessions, session);
    fetch_sessions_destroy(sessions);
}

/* ---- hints ---- */

static void a_hint_is_for_one_partition_and_one_offset(void **state)
{
    (void)state;
    struct fetch_hints *hints = NULL;
    assert_null(fetch_hints_find(hints, id_of(1), 0, 10));
    fetch_hints_note(&hints, id_of(1), 0, (struct log_position){10, 0, 700});
    assert_int_equal(fetch_hints_find(hints, id_of(1), 0, 10)->position, 700);
    assert_null(fetch_hints_find(hints, id_of(1), 0, 11));
    assert_null(fetch_hints_find(hints, id_of(1), 1, 10));
    assert_null(fetch_hints_find(hints, id_of(2), 0, 10));
    fetch_hints_note(&hints, id_of(1), 0, (struct log_position){20, 0, 900});
    assert_null(fetch_hints_find(hints, id_of(1), 0, 10));
    assert_int_equal(fetch_hints_find(hints, id_of(1), 0, 20)->position, 900);
    fetch_hints_free(hints);
}

static void the_oldest_hints_go_first(void **state)
{
    (void)state;
    struct fetch_hints *hints = NULL;
    for (int32_t i = 0; i < FETCH_HINTS_MAX + 10; i++)
        fetch_hints_note(&hints, id_of(1), i, (struct log_position){i, 0, i});
    for (int32_t i = 0; i < FETCH_HINTS_MAX + 10; i++)
        assert_int_equal(fetch_hints_find(hints, id_of(1), i, i) == NULL, i < 10);
    fetch_hints_free(hints);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_expects_the_next_epoch_each_time),
        cmocka_unit_test(the_epoch_wraps_to_one_and_never_to_a_special_value),
        cmocka_unit_test(a_borrowed_session_is_refused_to_others),
        cmocka_unit_test(a_session_of_names_is_no_session_of_ids),
        cmocka_unit_test(a_session_removed_while_borrowed_lives_until_it_is_given_back),
        cmocka_unit_test(ids_are_never_zero_nor_taken),
        cmocka_unit_test(a_full_cache_gives_way_only_to_long_idleness),
        cmocka_unit_test(a_session_in_use_is_not_evicted),
        cmocka_unit_test(no_slots_mean_no_sessions),
        cmocka_unit_test(partitions_are_found_by_id_or_name_and_forgotten),
        cmocka_unit_test(a_name_is_copied),
        cmocka_unit_test(a_session_takes_no_more_partitions_than_the_limit),
        cmocka_unit_test(all_sessions_together_take_no_more_memory_than_the_limit),
        cmocka_unit_test(names_of_topics_count),
        cmocka_unit_test(a_hint_is_for_one_partition_and_one_offset),
        cmocka_unit_test(the_oldest_hints_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
