#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "log/verifications.h"

static void a_check_under_way_keeps_its_token_and_the_lowest_sequence(void **state)
{
    (void)state;
    struct verifications all = {0};
    int64_t token = verifications_begin(&all, 7, 1, 5, true, 100);
    assert_true(token > 0);
    assert_int_equal(verifications_begin(&all, 7, 1, 3, true, 200), token);
    assert_int_equal(verifications_begin(&all, 7, 1, 4, true, 200), token);
    assert_int_equal(verifications_find(&all, 7)->lowest_sequence, 3);
    assert_int_equal(verifications_begin(&all, 7, 2, 9, true, 200), token);
    assert_int_equal(verifications_find(&all, 7)->lowest_sequence, 9);
    assert_int_equal(verifications_find(&all, 7)->epoch, 2);
    assert_int_equal(verifications_begin(&all, 7, 1, 0, true, 200), token); /* an old one */
    assert_int_equal(verifications_find(&all, 7)->lowest_sequence, 9);
    verifications_close(&all);
}

static void what_was_forgotten_gets_another_token(void **state)
{
    (void)state;
    struct verifications all = {0};
    int64_t first = verifications_begin(&all, 7, 1, 0, false, 100);
    int64_t other = verifications_begin(&all, 8, 1, 0, false, 100);
    assert_int_not_equal(first, other);
    verifications_forget(&all, 7);
    assert_null(verifications_find(&all, 7));
    assert_int_equal(verifications_find(&all, 8)->token, other);
    assert_int_not_equal(verifications_begin(&all, 7, 1, 0, false, 100), first);
    verifications_close(&all);
}

static void checks_whose_client_never_came_back_go_by_age(void **state)
{
    (void)state;
    struct verifications all = {0};
    for (int64_t i = 0; i < 10; i++)
        assert_true(verifications_begin(&all, i, 0, 0, false, i) > 0);
    verifications_expire(&all, 15, 10);
    assert_int_equal(all.count, 4);
    assert_null(verifications_find(&all, 5));
    assert_non_null(verifications_find(&all, 6));
    verifications_close(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_under_way_keeps_its_token_and_the_lowest_sequence),
        cmocka_unit_test(what_was_forgotten_gets_another_token),
        cmocka_unit_test(checks_whose_client_never_came_back_go_by_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
