#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "regex/regex.h"

struct expected {
    const char *expression, *text;
    bool matches;
};

static void assert_all(const struct expected *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct expected *row = &rows[i];
        struct regex *regex;
        assert_int_equal(regex_compile(row->expression, strlen(row->expression), &regex, NULL), 0);
        if (regex_matches(regex, row->text, strlen(row->text)) != row->matches)
            fail_msg("\"%s\" and \"%s\"", row->expression, row->text);
        regex_destroy(regex);
    }
}

static void the_whole_text_is_matched(void **state)
{
    static const struct expected rows[] = {
        {"foo.*", "foobar", true},
        {"foo", "foobar", false},
        {"bar", "foobar", false},
        {"^foo|bar$", "bar", true},
        {"a|ab", "ab", true},
        {"", "", true},
        {"", "a", false},
        {"(?i)FOO", "foo", true},
        {"\\Qa.b\\E", "a.b", true},
        {"\\Qa.b\\E", "axb", false},
        {"[[:alpha:]]+-\\d{2,3}", "topic-123", true},
        {"\\pL+", "t\xc3\xa9", true},
    };
    (void)state;
    assert_all(rows, sizeof rows / sizeof *rows);
}

static void groups_may_be_named_in_both_ways(void **state)
{
    static const struct expected rows[] = {
        {"(?P<name>a+)b", "aab", true}, {"(?<name>a+)b", "aab", true},
        {"[(?<]+", "(?<", true},        {"[]]\\(\\?<a>", "](?<a>", true},
        {"\\Q(?<a>\\E", "(?<a>", true}, {"[[:digit:](?<]x", "<x", true},
    };
    (void)state;
    assert_all(rows, sizeof rows / sizeof *rows);
}

static void what_is_no_expression_is_refused_with_a_reason(void **state)
{
    static const char *const bad[] = {
        "(",      "[a",      "a**", "*a",    "a{1001}", "\\",        "(?=a)",
        "(a)\\1", "(?<=a)b", "\\C", "[b-a]", "(?z)",    "\\p{Nope}", "a{2}{3}{400}{500}",
        ")",      "\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct regex *regex = NULL;
        char why[REGEX_WHY_SIZE] = "";
        assert_int_equal(regex_compile(bad[i], strlen(bad[i]), &regex, why), -EINVAL);
        assert_null(regex);
        assert_true(why[0] != 0);
        assert_int_equal(regex_compile(bad[i], strlen(bad[i]), &regex, NULL), -EINVAL);
    }
}

static void what_is_too_large_is_refused(void **state)
{
    struct regex *regex;
    char why[REGEX_WHY_SIZE];
    size_t size = REGEX_MAX_BYTES + 1;
    char *text = malloc(size);
    (void)state;
    assert_non_null(text);
    memset(text, 'a', size);
    assert_int_equal(regex_compile(text, size, &regex, why), -EINVAL);
    assert_int_equal(regex_compile(text, size - 1, &regex, why), 0);
    regex_destroy(regex);
    memset(text, '(', size);
    assert_int_equal(regex_compile(text, size - 1, &regex, why), -EINVAL);
    for (size_t i = 0; i + 1 < size; i++)
        text[i] = "((a{100}){100}){100}"[i % 20];
    assert_int_equal(regex_compile(text, 20, &regex, why), -EINVAL);
    free(text);
}

/* A matcher that backtracks would need 2^n steps for each of these. */
static void hostile_expressions_take_as_long_as_others(void **state)
{
    static const char *const hostile[] = {"(a*)*b", "(a|aa)+$b", "(a|a)*c", "(.*a){20}b",
                                          "(a?){200}a{200}b"};
    char text[250];
    (void)state;
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct regex *regex;
        assert_int_equal(regex_compile(hostile[i], strlen(hostile[i]), &regex, NULL), 0);
        for (int times = 0; times < 1000; times++)
            assert_false(regex_matches(regex, text, sizeof text - (size_t)times % 3));
        regex_destroy(regex);
    }
    regex_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_text_is_matched),
        cmocka_unit_test(groups_may_be_named_in_both_ways),
        cmocka_unit_test(what_is_no_expression_is_refused_with_a_reason),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(hostile_expressions_take_as_long_as_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
