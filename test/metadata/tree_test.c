#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/must.h"
#include "metadata/tree.h"

struct number {
    struct tree_item item;
    int64_t key;
    int64_t value;
};

static int alive;

static struct tree_key number_key(const struct tree_item *item)
{
    return (struct tree_key){.number = ((const struct number *)item)->key};
}

static void number_destroy(struct tree_item *item)
{
    alive--;
    free(item);
}

static const struct tree_item_ops number_ops = {number_key, number_destroy};

static struct tree_item *number_create(int64_t key, int64_t value)
{
    struct number *number = malloc(sizeof *number);
    must(number);
    tree_item_init(&number->item, &number_ops);
    number->key = key;
    number->value = value;
    alive++;
    return &number->item;
}

static struct tree_item *number_clone(const struct tree_item *item)
{
    const struct number *number = (const struct number *)item;
    return number_create(number->key, number->value);
}

static struct tree_key key_of(int64_t key)
{
    return (struct tree_key){.number = key};
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

enum { KEYS = 400 };

static void assert_equals_model(const struct tree *tree, const int64_t model[KEYS])
{
    struct tree_cursor cursor;
    const struct tree_item *item;
    int64_t expected = 0;
    int32_t size = 0;
    tree_check(tree);
    tree_first(tree, &cursor);
    while ((item = tree_next(&cursor))) {
        const struct number *number = (const struct number *)item;
        while (model[expected] < 0)
            expected++;
        assert_int_equal(number->key, expected);
        assert_int_equal(number->value, model[expected]);
        expected++;
        size++;
    }
    for (; expected < KEYS; expected++)
        assert_int_equal(model[expected], -1);
    assert_int_equal(tree_size(tree), size);
}

/* Random puts, removals and edits, with copies taken on the way: every copy stays what it was. */
static void copies_stay_what_they_were(void **state)
{
    (void)state;
    enum { COPIES = 16 };
    struct tree tree = {0};
    struct tree copies[COPIES] = {{0}};
    static int64_t model[KEYS];
    static int64_t models[COPIES][KEYS];
    uint64_t seed = 88172645463325252ull;
    for (int i = 0; i < KEYS; i++)
        model[i] = -1;
    for (int i = 0; i < COPIES; i++)
        memcpy(models[i], model, sizeof model);
    for (int step = 0; step < 60000; step++) {
        uint64_t dice = next_random(&seed);
        int64_t key = (int64_t)(dice >> 8) % KEYS;
        if (key < 0)
            key = -key;
        /* Phases of growth and of shrinking. */
        int removals = step / 10000 % 2 ? 5 : 2;
        int what = (int)(dice & 7);
        if (what == 7 && (dice >> 60) == 0) {
            int slot = (int)(dice >> 4 & (COPIES - 1));
            assert_equals_model(&copies[slot], models[slot]);
            tree_clear(&copies[slot]);
            copies[slot] = tree_copy(&tree);
            memcpy(models[slot], model, sizeof model);
        } else if (what < removals) {
            assert_int_equal(tree_remove(&tree, key_of(key)), model[key] >= 0);
            model[key] = -1;
        } else if (what == 6) {
            struct tree_item *item = tree_edit(&tree, key_of(key), number_clone);
            assert_int_equal(item != NULL, model[key] >= 0);
            if (item)
                ((struct number *)item)->value = model[key] = step;
        } else {
            tree_put(&tree, number_create(key, step));
            model[key] = step;
        }
        const struct tree_item *found = tree_find(&tree, key_of(key));
        assert_int_equal(found ? ((const struct number *)found)->value : -1, model[key]);
        if (step % 500 == 0)
            assert_equals_model(&tree, model);
    }
    for (int i = 0; i < COPIES; i++) {
        assert_equals_model(&copies[i], models[i]);
        tree_clear(&copies[i]);
    }
    assert_equals_model(&tree, model);
    tree_clear(&tree);
    assert_int_equal(alive, 0);
}

static void seeking_finds_the_first_key_not_below(void **state)
{
    (void)state;
    struct tree tree = {0};
    for (int64_t key = -70000; key <= 70000; key += 35)
        tree_put(&tree, number_create(key, 0));
    tree_check(&tree);
    for (int64_t key = -70100; key <= 70100; key += 7) {
        struct tree_cursor cursor;
        tree_seek(&tree, key_of(key), &cursor);
        const struct tree_item *item = tree_next(&cursor);
        int64_t expected = key <= -70000 ? -70000 : (key + 70000 + 34) / 35 * 35 - 70000;
        if (expected > 70000)
            assert_null(item);
        else
            assert_int_equal(((const struct number *)item)->key, expected);
    }
    tree_clear(&tree);
}

struct text {
    struct tree_item item;
    struct str text;
};

static struct tree_key text_key(const struct tree_item *item)
{
    struct str text = ((const struct text *)item)->text;
    return (struct tree_key){.bytes = {(const uint8_t *)text.data, text.size}};
}

static void text_destroy(struct tree_item *item)
{
    free(item);
}

static const struct tree_item_ops text_ops = {text_key, text_destroy};

static void texts_come_in_the_order_of_their_bytes(void **state)
{
    (void)state;
    const char *texts[] = {"",       "a",        "aaaaaa",    "aaaaaaa",  "aaaaaab", "ab",
                           "orders", "orders-1", "orders-10", "orders-2", "p",       "\xc3\xbc"};
    struct tree tree = {0};
    for (size_t i = 0; i < array_size(texts); i++) {
        struct text *text = malloc(sizeof *text);
        must(text);
        tree_item_init(&text->item, &text_ops);
        text->text = str_of(texts[(i * 5) % array_size(texts)]);
        tree_put(&tree, &text->item);
    }
    tree_check(&tree);
    struct tree_cursor cursor;
    tree_first(&tree, &cursor);
    for (size_t i = 0; i < array_size(texts); i++) {
        const struct text *text = (const struct text *)tree_next(&cursor);
        assert_non_null(text);
        assert_true(str_equal(text->text, str_of(texts[i])));
    }
    assert_null(tree_next(&cursor));
    tree_clear(&tree);
}

struct differences {
    int64_t model_before[KEYS];
    int64_t model_after[KEYS];
    int64_t last;
    int count;
    int visited;
};

static void check_difference(void *context, const struct tree_item *before,
                             const struct tree_item *after)
{
    struct differences *differences = context;
    const struct number *old = (const struct number *)before;
    const struct number *new = (const struct number *)after;
    int64_t key = old ? old->key : new->key;
    assert_true(key > differences->last);
    assert_int_equal(old ? old->value : -1, differences->model_before[key]);
    assert_int_equal(new ? new->value : -1, differences->model_after[key]);
    differences->last = key;
    differences->count++;
}

static void a_diff_names_exactly_what_differs(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int round = 0; round < 300; round++) {
        static struct differences differences;
        differences = (struct differences){.last = -1};
        struct tree before = {0};
        for (int i = 0; i < KEYS; i++) {
            bool present = next_random(&seed) % 4 != 0;
            differences.model_before[i] = present ? i : -1;
            if (present)
                tree_put(&before, number_create(i, i));
        }
        memcpy(differences.model_after, differences.model_before, sizeof differences.model_after);
        struct tree after = tree_copy(&before);
        int changes = (int)(next_random(&seed) % 40);
        for (int i = 0; i < changes; i++) {
            int64_t key = (int64_t)(next_random(&seed) % KEYS);
            bool remove = next_random(&seed) % 2;
            differences.model_after[key] = remove ? -1 : 1000 + i;
            if (remove)
                tree_remove(&after, key_of(key));
            else
                tree_put(&after, number_create(key, 1000 + i));
        }
        int expected = 0;
        for (int i = 0; i < KEYS; i++)
            expected += differences.model_before[i] != differences.model_after[i];
        tree_diff(&before, &after, check_difference, &differences);
        assert_int_equal(differences.count, expected);
        tree_clear(&before);
        tree_clear(&after);
    }
    assert_int_equal(alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_stay_what_they_were),
        cmocka_unit_test(seeking_finds_the_first_key_not_below),
        cmocka_unit_test(texts_come_in_the_order_of_their_bytes),
        cmocka_unit_test(a_diff_names_exactly_what_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
