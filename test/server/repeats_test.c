#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/handlers/repeats.h"

static void the_first_of_several_is_told_from_those_after_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t index;
        uint8_t found;
    } asked[] = {
        {"b", 1, NAMED_ONCE},  {"a", 0, NAMED_FIRST}, {"a", 1, NAMED_ONCE}, {"a", 0, NAMED_AGAIN},
        {NULL, 0, NAMED_ONCE}, {"ab", 0, NAMED_ONCE}, {"b", 0, NAMED_ONCE}, {"a", 0, NAMED_AGAIN},
    };
    enum { COUNT = sizeof asked / sizeof asked[0] };
    struct arena arena;
    struct repeats repeats;
    arena_init(&arena, 0);
    assert_true(repeats_init(&repeats, &arena, COUNT));
    for (int i = 0; i < COUNT; i++)
        repeats_add(&repeats, str_of(asked[i].name), asked[i].index);
    repeats_find(&repeats);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(repeats.found[i], asked[i].found);
    arena_close(&arena);
}

static void nothing_and_null_lists_have_no_repeats(void **state)
{
    (void)state;
    struct arena arena;
    struct repeats repeats;
    arena_init(&arena, 0);
    for (int32_t count = -1; count <= 0; count++) {
        assert_true(repeats_init(&repeats, &arena, count));
        repeats_find(&repeats);
    }
    arena_close(&arena);
    arena_init(&arena, 64);
    assert_false(repeats_init(&repeats, &arena, 1000000));
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_several_is_told_from_those_after_it),
        cmocka_unit_test(nothing_and_null_lists_have_no_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
