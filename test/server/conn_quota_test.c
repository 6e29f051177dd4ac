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
    struct ip_override override = {.host = STR("127.0.0.1"), .max_connections = 3};
    struct broker_settings settings = {.max_connections = 4,
                                       .max_connections_per_ip = 1,
                                       .max_connections_per_ip_overrides = &override,
                                       .max_connections_per_ip_override_count = 1};
    struct listener_setting listener = {.max_connections = 100};
    struct conn_quota quota;
    int32_t count = 0;
    conn_quota_init(&quota, 7);
    assert_null(conn_quota_take(&quota, &settings, &listener, &count, &far));
    assert_string_equal(conn_quota_take(&quota, &settings, &listener, &count, &far),
                        "max.connections.per.ip");
    for (int i = 0; i < 3; i++)
        assert_null(conn_quota_take(&quota, &settings, &listener, &count, &home));
    assert_string_equal(conn_quota_take(&quota, &settings, &listener, &count, &path),
                        "max.connections");
    assert_int_equal(count, 4);
    conn_quota_give(&quota, &count, &far);
    assert_string_equal(conn_quota_take(&quota, &settings, &listener, &count, &home),
                        "max.connections.per.ip");
    assert_null(conn_quota_take(&quota, &settings, &listener, &count, &path));
    conn_quota_give(&quota, &count, &path);
    assert_null(conn_quota_take(&quota, &settings, &listener, &count, &far));
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
    assert_null(conn_quota_take(&quota, &settings, &narrow, &in_narrow, &home));
    assert_string_equal(conn_quota_take(&quota, &settings, &narrow, &in_narrow, &far),
                        "the listener's max.connections");
    assert_null(conn_quota_take(&quota, &settings, &wide, &in_wide, &far));
    conn_quota_close(&quota);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_limit_is_kept_and_given_back),
        cmocka_unit_test(a_listener_has_a_limit_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
