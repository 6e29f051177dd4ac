/* The numbers are what a JVM answers: new String(bytes, UTF_8).hashCode(), and the partition that
 * Kafka's Utils.abs and the remainder make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "coord/coord.h"

struct expected {
    struct str id;
    int32_t hash, of_50, of_7;
};

#define ID(text)                                                                                   \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

static void check(const struct expected *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(java_string_hash(rows[i].id), rows[i].hash);
        assert_int_equal(coord_hash_partition(rows[i].id, 50), rows[i].of_50);
        assert_int_equal(coord_hash_partition(rows[i].id, 7), rows[i].of_7);
    }
}

#define CHECK(...)                                                                                 \
    do {                                                                                           \
        const struct expected rows[] = {__VA_ARGS__};                                              \
        (void)state;                                                                               \
        check(rows, sizeof rows / sizeof rows[0]);                                                 \
    } while (0)

static void ascii_ids(void **state)
{
    CHECK({ID(""), 0, 0, 0}, {ID("a"), 97, 47, 6}, {ID("my-group"), -1906497762, 12, 1},
          {ID("console-consumer-12345"), 158455506, 6, 6},
          {ID("connect-cluster"), 1440343063, 13, 5});
}

static void an_id_with_an_accent(void **state)
{
    CHECK({ID("\u00e9"), 233, 33, 2}, {ID("groupe-\u00e9"), 506365602, 2, 1});
}

static void an_id_of_other_scripts(void **state)
{
    CHECK({ID("\u65e5\u672c\u8a9e"), 25921943, 43, 5});
}

static void an_emoji_is_a_pair_of_surrogates(void **state)
{
    CHECK({ID("\xf0\x9f\x98\x80"), 1772899, 49, 2},
          {ID("a\xf0\x9f\x98\x80"
              "b"),
           57849694, 44, 0},
          {ID("\xf4\x8f\xbf\xbf"), 1803232, 32, 4});
}

static void the_id_whose_hash_has_no_positive_counterpart(void **state)
{
    CHECK({ID("polygenelubricants"), INT32_MIN, 0, 0},
          {ID("DESIGNING WORKHOUSES"), INT32_MIN, 0, 0});
}

static void invalid_utf_8_counts_as_java_decodes_it(void **state)
{
    CHECK({ID("\xff"), 65533, 33, 6}, {ID("\xc3"), 65533, 33, 6}, {ID("\xe2\x82"), 65533, 33, 6},
          {ID("a\xe2\x82"
              "b"),
           2124838, 38, 2},
          {ID("\xed\xa0\x80"), 65533, 33, 6}, {ID("\xed\xbb"), 65533, 33, 6},
          {ID("\xf0\x9f\x98"), 65533, 33, 6}, {ID("\xf0\x80\x80\x80"), 2017367872, 22, 2},
          {ID("\xc0\x80"), 2097056, 6, 3}, {ID("\xf4\x90\x80\x80"), 2017367872, 22, 2},
          {ID("\xf5x"), 2031643, 43, 5}, {ID("\x80\xbf"), 2097056, 6, 3},
          {ID("\xe0\x80\x80"), 65074269, 19, 1},
          {ID("\xf0\x9f"
              "a\x80"),
           63045753, 3, 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ascii_ids),
        cmocka_unit_test(an_id_with_an_accent),
        cmocka_unit_test(an_id_of_other_scripts),
        cmocka_unit_test(an_emoji_is_a_pair_of_surrogates),
        cmocka_unit_test(the_id_whose_hash_has_no_positive_counterpart),
        cmocka_unit_test(invalid_utf_8_counts_as_java_decodes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
