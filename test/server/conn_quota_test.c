#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/conn_quota.h"

static const struct net_address home = {.family = NET_IP4, .ip = {127, 0, 0, 1}};
static const struct net_address far = {.family = NET_IP4, .ip = {10, 1, 2, 3}};
static const struct net_address path = {.family = NET_UNIX, .path = "/run/x"};

static void every_limit_is_kept_and_given_back(void **state)
{
    (void)state;
    struct ip_override override = {.max_connections = 3};
    net_address_to_ip6(&home, override.address);
    struct broker_settings settings = {.max_connections = 4,
                                       .max_connections_per_ip = 1,
                                       .max_connections_per_ip_overrides = &override,
                                       .max_connections_per_ip_override_count = 1};
    struct listener_setting listener = {.max_connections = 100};
    struct conn_quota quota;
    int32_t count = 0;
    conn_quota_init(&quota, 7);
    assert_null(conn_quota_take(&quota, &settings, &count, &far));
    assert_string_equal(conn_quota_take(&quota, &settings, &count, &far), "max.connections.per.ip");
    for (int i = 0; i < 3; i++)
        assert_null(conn_quota_take(&quota, &settings, &count, &home));
    assert_string_equal(conn_quota_full(&quota, &settings, &listener, &count, true),
                        "max.connections");
    assert_null(conn_quota_full(&quota, &settings, &listener, &count, false));
    assert_int_equal(count, 4);
    conn_quota_give(&quota, &count, &far, false);
    assert_null(conn_quota_full(&quota, &settings, &listener, &count, true));
    assert_string_equal(conn_quota_take(&quota, &settings, &count, &home),
                        "max.connections.per.ip");
    assert_null(conn_quota_take(&quota, &settings, &count, &path));
    conn_quota_give(&quota, &count, &path, false);
    assert_null(conn_quota_take(&quota, &settings, &count, &far));
    conn_quota_close(&quota);
}

static void a_listener_has_a_limit_of_its_own(void **state)
{
    (void)state;
    struct broker_settings settings = {.max_connections = 100, .max_connections_per_ip = 100};
    struct listener_setting narrow = {.max_connections = 1}, wide = {.max_connections = 100};
    struct conn_quota quota;
    int32_t in_narrow = 0, in_wide = 0;
    conn_quota_init(&quota, 7);
    assert_null(conn_quota_take(&quota, &settings, &in_narrow, &home));
    assert_string_equal(conn_quota_full(&quota, &settings, &narrow, &in_narrow, true),
                        "the listener's max.connections");
    assert_null(conn_quota_full(&quota, &settings, &wide, &in_wide, true));
    conn_quota_close(&quota);
}

/* Those that are closed for it count until they are gone, but are not closed twice. */
static void as_many_leave_as_there_are_too_many(void **state)
{
    (void)state;
    struct broker_settings settings = {.max_connections = 5, .max_connections_per_ip = 100};
    struct conn_quota quota;
    int32_t count = 0;
    conn_quota_init(&quota, 7);
    for (int i = 0; i < 5; i++)
        assert_null(conn_quota_take(&quota, &settings, &count, &home));
    assert_false(conn_quota_passed(&quota, &settings));
    assert_false(conn_quota_leave(&quota, &settings));
    settings.max_connections = 3;
    assert_true(conn_quota_passed(&quota, &settings));
    assert_true(conn_quota_leave(&quota, &settings));
    assert_true(conn_quota_leave(&quota, &settings));
    assert_false(conn_quota_leave(&quota, &settings));
    assert_false(conn_quota_passed(&quota, &settings));
    conn_quota_give(&quota, &count, &home, true);
    assert_false(conn_quota_leave(&quota, &settings));
    conn_quota_give(&quota, &count, &home, true);
    assert_int_equal(count, 3);
    assert_false(conn_quota_leave(&quota, &settings));
    assert_null(conn_quota_take(&quota, &settings, &count, &home)); /* another broker's, say */
    assert_true(conn_quota_leave(&quota, &settings));
    conn_quota_close(&quota);
}

static void an_address_is_the_same_through_v4_and_v6(void **state)
{
    (void)state;
    struct net_address mapped = {.family = NET_IP6, .ip = {[10] = 0xff, 0xff, 127, 0, 0, 1}};
    struct ip_override override = {.max_connections = 2};
    net_address_to_ip6(&home, override.address);
    struct broker_settings settings = {.max_connections = 100,
                                       .max_connections_per_ip = 0,
                                       .max_connections_per_ip_overrides = &override,
                                       .max_connections_per_ip_override_count = 1};
    struct conn_quota quota;
    int32_t count = 0;
    conn_quota_init(&quota, 7);
    assert_null(conn_quota_take(&quota, &settings, &count, &mapped));
    assert_null(conn_quota_take(&quota, &settings, &count, &home));
    assert_non_null(conn_quota_take(&quota, &settings, &count, &mapped));
    assert_non_null(conn_quota_take(&quota, &settings, &count, &far));
    conn_quota_close(&quota);
}

static void too_many_in_a_second_wait(void **state)
{
    (void)state;
    const int64_t second = INT64_C(1000000000);
    struct conn_rate rate = {0};
    int64_t now = 1000 * second;
    enum { RATE = 20 };
    /* Ten seconds' worth at once. */
    for (int i = 0; i < 10 * RATE; i++) {
        assert_int_equal(conn_rate_wait_ns(&rate, RATE, now), 0);
        conn_rate_note(&rate, RATE, now);
    }
    /* Then at the rate. */
    for (int i = 0; i < 100; i++) {
        int64_t wait = conn_rate_wait_ns(&rate, RATE, now);
        assert_int_equal(wait, second / RATE);
        now += wait;
        assert_int_equal(conn_rate_wait_ns(&rate, RATE, now), 0);
        conn_rate_note(&rate, RATE, now);
    }
    /* Without a limit nobody waits, and a silence gives everything back. */
    assert_int_equal(conn_rate_wait_ns(&rate, INT32_MAX, now), 0);
    conn_rate_note(&rate, INT32_MAX, now);
    now += 11 * second;
    for (int i = 0; i < 10 * RATE; i++) {
        assert_int_equal(conn_rate_wait_ns(&rate, RATE, now), 0);
        conn_rate_note(&rate, RATE, now);
    }
    /* A rate of zero is one of a connection a second. */
    struct conn_rate none = {0};
    for (int i = 0; i < 10; i++)
        conn_rate_note(&none, 0, now);
    assert_int_equal(conn_rate_wait_ns(&none, 0, now), second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_limit_is_kept_and_given_back),
        cmocka_unit_test(a_listener_has_a_limit_of_its_own),
        cmocka_unit_test(as_many_leave_as_there_are_too_many),
        cmocka_unit_test(an_address_is_the_same_through_v4_and_v6),
        cmocka_unit_test(too_many_in_a_second_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
