#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/map.h"
#include "base/must.h"

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* The model: keys in the order of insertion. */
#define KEYS 300

struct model {
    uint64_t keys[KEYS];
    int64_t values[KEYS];
    size_t count;
};

static size_t model_find(const struct model *model, uint64_t key)
{
    size_t at = 0;
    while (at < model->count && model->keys[at] != key)
        at++;
    return at;
}

static void model_remove(struct model *model, size_t at)
{
    model->count--;
    memmove(model->keys + at, model->keys + at + 1, (model->count - at) * sizeof *model->keys);
    memmove(model->values + at, model->values + at + 1,
            (model->count - at) * sizeof *model->values);
}

static void compare_all(const struct map *map, const struct model *model)
{
    size_t i = 0;
    for (struct map_at at = map_begin(map); map_next(map, &at); i++) {
        assert_true(i < model->count);
        assert_int_equal(at.key, model->keys[i]);
        assert_int_equal(*(int64_t *)at.value, model->values[i]);
    }
    assert_int_equal(i, model->count);
    assert_int_equal(map_count(map), model->count);
}

static void a_map_does_what_its_model_does(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct map map;
        struct model model = {.count = 0};
        uint64_t random = seed;
        map_init(&map, MAP_U64, sizeof(int64_t), seed);
        for (int step = 0; step < 3000; step++) {
            uint64_t key = next_random(&random) % KEYS;
            size_t at = model_find(&model, key);
            bool known = at < model.count;
            int64_t *place = map_find(&map, key), value;
            assert_int_equal(place != NULL, known);
            /* Phases of growth and of decline. */
            if (next_random(&random) % 100 < (step / 500 % 2 ? 30 : 70)) {
                assert_int_equal(map_put(&map, key, &place), !known);
                assert_int_equal(*place, known ? model.values[at] : 0);
                *place = step;
                model.keys[at] = key;
                model.values[at] = step;
                model.count += !known;
            } else {
                assert_int_equal(map_remove(&map, key, &value), known);
                if (known) {
                    assert_int_equal(value, model.values[at]);
                    model_remove(&model, at);
                }
            }
            if (step % 50 == 0)
                compare_all(&map, &model);
        }
        map_close(&map);
    }
}

static void strings_are_keys_by_their_bytes(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static char names[COUNT][16];
    struct map map;
    int *place;
    map_init(&map, MAP_STR, sizeof(int), 42);
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "topic-%d", i);
        assert_int_equal(map_put_str(&map, str_of(names[i]), &place), 1);
        *place = i;
    }
    for (int i = 0; i < COUNT; i++) {
        char copy[16];
        memcpy(copy, names[i], sizeof copy);
        assert_int_equal(*(int *)map_find_str(&map, str_of(copy)), i);
        assert_int_equal(map_put_str(&map, str_of(copy), &place), 0);
    }
    assert_null(map_find_str(&map, STR("topic-")));
    assert_null(map_find_str(&map, STR("")));
    assert_int_equal(map_put_str(&map, STR(""), &place), 1);
    assert_true(map_remove_str(&map, STR(""), NULL));
    int i = 0;
    for (struct map_at at = map_begin(&map); map_next(&map, &at); i++)
        assert_true(str_equal(at.str, str_of(names[i])));
    assert_int_equal(i, COUNT);
    map_close(&map);
}

static void ids_are_keys(void **state)
{
    (void)state;
    struct map map;
    void **place;
    map_init(&map, MAP_ID, sizeof(void *), 7);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(map_put_id(&map, uuid_of(i, ~i), &place), 1);
        *place = &map + i;
    }
    for (uint64_t i = 0; i < 100; i++)
        assert_ptr_equal(*(void **)map_find_id(&map, uuid_of(i, ~i)), &map + i);
    assert_null(map_find_id(&map, uuid_of(1, 1)));
    assert_true(map_remove_id(&map, uuid_of(5, ~5ull), NULL));
    assert_null(map_find_id(&map, uuid_of(5, ~5ull)));
    map_close(&map);
}

static void keys_may_be_removed_while_they_are_walked(void **state)
{
    (void)state;
    struct map map;
    int *place;
    int walked = 0;
    map_init(&map, MAP_U64, sizeof(int), 1);
    for (uint64_t key = 0; key < 100; key++)
        map_put(&map, key, &place);
    for (struct map_at at = map_begin(&map); map_next(&map, &at); walked++) {
        assert_true(map_remove(&map, at.key, NULL));
        (void)map_remove(&map, at.key + 1, NULL);
    }
    assert_int_equal(walked, 50);
    assert_int_equal(map_count(&map), 0);
    assert_null(map.entries);
    map_close(&map);
}

static void memory_follows_the_count(void **state)
{
    (void)state;
    struct map map;
    int *place;
    map_init(&map, MAP_U64, sizeof(int), 1);
    /* A queue: old keys go, new ones come; dead entries must not pile up. */
    for (uint64_t key = 0; key < 100000; key++) {
        assert_int_equal(map_put(&map, key, &place), 1);
        if (key >= 10)
            assert_true(map_remove(&map, key - 10, NULL));
    }
    assert_true(map.capacity < 100);
    map_close(&map);
}

/* Values published with SipHash 2-4 do not apply to 1-3, so what is checked is what is relied on:
 * every bit of input and seed matters. */
static void hashes_depend_on_every_bit(void **state)
{
    (void)state;
    uint8_t data[20] = {0};
    for (size_t size = 0; size <= sizeof data; size++) {
        uint64_t hash = hash_bytes(data, size, 1);
        assert_true(hash != hash_bytes(data, size, 2));
        if (size > 0)
            assert_true(hash != hash_bytes(data, size - 1, 1));
        for (size_t bit = 0; bit < 8 * size; bit++) {
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(hash != hash_bytes(data, size, 1));
            data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    assert_true(hash_u64(1, 1) != hash_u64(2, 1));
    assert_true(hash_u64(1, 1) != hash_u64(1, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_does_what_its_model_does),
        cmocka_unit_test(strings_are_keys_by_their_bytes),
        cmocka_unit_test(ids_are_keys),
        cmocka_unit_test(keys_may_be_removed_while_they_are_walked),
        cmocka_unit_test(memory_follows_the_count),
        cmocka_unit_test(hashes_depend_on_every_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
