#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/config.h"
#include "base/errors.h"
#include "base/must.h"

enum { FLAG, LEVEL, LIMIT, NAMES, RATIO, SECRET };

static const struct config_key keys[] = {
    {"flag", "true", "", .type = CONFIG_TYPE_BOOLEAN},
    {"level",
     "low",
     "",
     {.kind = CONFIG_CHECK_ONE_OF, .allowed = "low, high"},
     .type = CONFIG_TYPE_STRING},
    {"limit", "7", "", {.kind = CONFIG_CHECK_RANGE, .min = 1, .max = 9}, .type = CONFIG_TYPE_INT},
    {"names", NULL, "", {.kind = CONFIG_CHECK_LIST, .null_ok = true}, .type = CONFIG_TYPE_LIST},
    {"ratio", "0.5", "", .type = CONFIG_TYPE_DOUBLE},
    {"secret", NULL, "", .type = CONFIG_TYPE_PASSWORD},
};
static const struct config_schema schema = {keys, array_size(keys)};

static struct config_pairs sorted(struct config_pair *items, int32_t count)
{
    struct config_pairs pairs = {items, 0};
    assert_int_equal(config_pairs_sort(items, count, &pairs.count), 0);
    return pairs;
}

static void the_strongest_layer_wins_and_says_so(void **state)
{
    (void)state;
    struct config_pair weak[] = {{STR("limit"), STR("2")}, {STR("flag"), STR("false")}};
    struct config_pair strong[] = {{STR("limit"), STR(" 3 ")}};
    const struct config_layer layers[] = {{CONFIG_SOURCE_DYNAMIC_BROKER, sorted(strong, 1)},
                                          {CONFIG_SOURCE_STATIC_BROKER, sorted(weak, 2)}};
    struct arena arena;
    struct config config;
    const char *error;
    arena_init(&arena, 0);
    assert_int_equal(config_build(&schema, layers, 2, &arena, &config, &error), 0);
    assert_int_equal(config_int(&config, LIMIT), 3);
    assert_int_equal(config_source_of(&config, LIMIT), CONFIG_SOURCE_DYNAMIC_BROKER);
    assert_false(config_bool(&config, FLAG));
    assert_int_equal(config_source_of(&config, FLAG), CONFIG_SOURCE_STATIC_BROKER);
    assert_string_equal(config_text(&config, LEVEL).data, "low");
    assert_int_equal(config_source_of(&config, LEVEL), CONFIG_SOURCE_DEFAULT);
    assert_true(config_is_null(&config, NAMES));
    assert_null(config_text(&config, SECRET).data);
    assert_true(config_double(&config, RATIO) == 0.5);
    arena_close(&arena);
}

static void an_invalid_value_stops_the_build_with_its_text(void **state)
{
    (void)state;
    struct config_pair pairs[] = {{STR("limit"), STR("10")}, {STR("unknown"), STR("x")}};
    const struct config_layer layer = {CONFIG_SOURCE_STATIC_BROKER, sorted(pairs, 2)};
    struct arena arena;
    struct config config;
    const char *error;
    arena_init(&arena, 0);
    assert_int_equal(config_build(&schema, &layer, 1, &arena, &config, &error),
                     KAFKA_INVALID_CONFIG);
    assert_string_equal(error,
                        "Invalid value 10 for configuration limit: Value must be no more than 9");
    arena_close(&arena);
}

static void pairs_are_sorted_and_the_last_of_a_name_counts(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    struct config_pair items[COUNT];
    char names[COUNT][8];
    for (int i = 0; i < COUNT; i++) {
        /* Each of 37 names comes two or three times, in no order. */
        int size = snprintf(names[i], sizeof names[i], "k%02d", i * 31 % 37);
        items[i] = (struct config_pair){{names[i], size}, {names[i], i}};
    }
    struct config_pairs pairs = sorted(items, COUNT);
    assert_int_equal(pairs.count, 37);
    for (int i = 0; i < 37; i++) {
        char name[8];
        int size = snprintf(name, sizeof name, "k%02d", i);
        int last = -1;
        for (int j = 0; j < COUNT; j++)
            last = j * 31 % 37 == i ? j : last;
        assert_int_equal(config_pairs_get(pairs, (struct str){name, size}).size, last);
    }
    assert_null(config_pairs_get(pairs, STR("k99")).data);
    assert_null(config_pairs_get((struct config_pairs){0}, STR("k00")).data);
}

static void names_are_found_and_near_ones_suggested(void **state)
{
    (void)state;
    for (int32_t i = 0; i < schema.count; i++)
        assert_int_equal(config_find(&schema, str_of(keys[i].name)), i);
    assert_int_equal(config_find(&schema, STR("limits")), -1);
    assert_int_equal(config_find(&schema, STR("")), -1);
    assert_string_equal(config_nearest(&schema, STR("limti")), "limit");
    assert_string_equal(config_nearest(&schema, STR("Secret")), "secret");
    assert_null(config_nearest(&schema, STR("something.else")));
    assert_null(config_nearest(&schema, STR("")));
}

static void lists_are_walked_item_by_item(void **state)
{
    (void)state;
    struct str rest = STR(" a , b,,c,");
    struct str item;
    const char *const expected[] = {"a", "b", "", "c"};
    for (size_t i = 0; i < array_size(expected); i++) {
        assert_true(config_list_next(rest, &item, &rest));
        assert_true(str_equal(item, str_of(expected[i])));
    }
    assert_false(config_list_next(rest, &item, &rest));
    assert_true(config_list_has(STR("a, b"), STR("b")));
    assert_false(config_list_has(STR("ab"), STR("b")));
    assert_int_equal(config_list_count(STR("")), 0);
    assert_int_equal(config_list_count(STR("a")), 1);
    assert_int_equal(config_list_count(STR("a,b")), 2);
}

static void an_error_has_a_text_even_without_memory(void **state)
{
    (void)state;
    struct arena arena;
    struct config_value value;
    const char *error = NULL;
    arena_init(&arena, 16);
    arena_alloc(&arena, 16);
    int err = config_parse(&keys[LIMIT], STR("not a number"), &arena, &value, &error);
    assert_int_equal(err, KAFKA_INVALID_CONFIG);
    assert_non_null(error);
    assert_int_equal(config_parse(&keys[LEVEL], STR("low"), &arena, &value, &error), -ENOMEM);
    arena_close(&arena);
}

static void a_huge_list_is_refused_before_its_items_are_compared(void **state)
{
    (void)state;
    enum { SIZE = 2 * (CONFIG_LIST_MAX_ITEMS + 1) - 1 };
    char *text = malloc(SIZE);
    struct arena arena;
    struct config_value value;
    const char *error;
    for (int i = 0; i < SIZE; i++)
        text[i] = i % 2 ? ',' : 'x';
    arena_init(&arena, 0);
    assert_int_equal(config_parse(&keys[NAMES], (struct str){text, SIZE}, &arena, &value, &error),
                     KAFKA_INVALID_CONFIG);
    assert_string_equal(error, "Configuration 'names' must not have more than 4096 values.");
    free(text);
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_strongest_layer_wins_and_says_so),
        cmocka_unit_test(an_invalid_value_stops_the_build_with_its_text),
        cmocka_unit_test(pairs_are_sorted_and_the_last_of_a_name_counts),
        cmocka_unit_test(names_are_found_and_near_ones_suggested),
        cmocka_unit_test(lists_are_walked_item_by_item),
        cmocka_unit_test(an_error_has_a_text_even_without_memory),
        cmocka_unit_test(a_huge_list_is_refused_before_its_items_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
