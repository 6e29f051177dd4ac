#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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

/* ---- what ten thousand topics may meet ---- */

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

enum { NAMES = 10000, MATCH_S = 1, COMPILE_S = 4 };

/* As resolving an expression does it: name after name until the time is over; the CPU's, so that
 * other work on the machine does not count. Whether it is an expression at all. */
static bool meets_ten_thousand_names(const char *text, size_t size)
{
    struct regex *regex = NULL;
    double began = cpu_s();
    int err = regex_compile(text, size, &regex, NULL);
    assert_true(cpu_s() - began < COMPILE_S);
    assert_true(err == 0 || err == -EINVAL);
    if (err != 0)
        return false;
    began = cpu_s();
    for (int i = 0; i < NAMES && cpu_s() - began < MATCH_S; i++) {
        char name[250];
        memset(name, 'a', sizeof name);
        int digits = snprintf(name + 240, sizeof name - 240, "%d", i);
        double one = cpu_s();
        (void)regex_matches(regex, name, 240 + (size_t)digits);
        assert_true(cpu_s() - one < 1);
    }
    regex_destroy(regex);
    return true;
}

static void hostile_expressions_meet_ten_thousand_names_in_bounded_time(void **state)
{
    static const char *const taken[] = {"(a*)*b",
                                        "(a|aa)+$b",
                                        "(.*a){20}b",
                                        "(a?){1000}",
                                        "((a?){500}b?){2}",
                                        "((a{10}){10}){10}",
                                        "(a|b)*a(a|b|0|1|2){200}x",
                                        "(.{1,30}x?){30}",
                                        "(.*)(.*)(.*)(.*)(.*)(.*)(.*)[02468][^a]",
                                        "(?i)[^x\xc3\xa9]{0,1000}[k-\\x{10FFFF}]{0,900}",
                                        "[\\pL\\pN\\pP]+(\\pL|\\pN){20}"};
    static const char *const refused[] = {"(a{1000}){1000}",
                                          "((a{1000}){1000}){1000}",
                                          "(\\pL|\\pN){1000}",
                                          "(\\pL{1,30}.){1,30}",
                                          "\xff*",
                                          "[\xc3]"};
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        assert_true(meets_ten_thousand_names(taken[i], strlen(taken[i])));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_false(meets_ten_thousand_names(refused[i], strlen(refused[i])));
}

/* As long as an expression may be: whether it is one or not, that is soon known. */
static void the_longest_expressions_meet_ten_thousand_names_in_bounded_time(void **state)
{
    static const char *const units[] = {"a?",         "a*",      "(a|bc)?", ".?",
                                        "[a-z]{0,9}", "(a.*b)|", "(.*)x?",  "\\pL?",
                                        "[^x]?",      "(",       "a|",      "(?:(a|bc)?){1000}"};
    char *text = malloc(REGEX_MAX_BYTES);
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t unit = strlen(units[i]);
        for (size_t limit = REGEX_MAX_BYTES / 4; limit <= REGEX_MAX_BYTES; limit *= 4) {
            size_t size = 0;
            for (; size + unit <= limit; size += unit)
                memcpy(text + size, units[i], unit);
            (void)meets_ten_thousand_names(text, size);
        }
    }
    /* Names alone may be listed. */
    size_t size = 0;
    for (int i = 0; i < 500; i++)
        size += (size_t)snprintf(text + size, REGEX_MAX_BYTES - size, "%sa-topic-of-theirs-%d",
                                 i == 0 ? "" : "|", i * 7919);
    assert_true(meets_ten_thousand_names(text, size));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_text_is_matched),
        cmocka_unit_test(groups_may_be_named_in_both_ways),
        cmocka_unit_test(what_is_no_expression_is_refused_with_a_reason),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(hostile_expressions_take_as_long_as_others),
        cmocka_unit_test(hostile_expressions_meet_ten_thousand_names_in_bounded_time),
        cmocka_unit_test(the_longest_expressions_meet_ten_thousand_names_in_bounded_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
