#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/api_table.h"

static void every_row_serves_versions_that_the_protocol_has(void **state)
{
    (void)state;
    for (int32_t i = 0; i < api_row_count; i++) {
        const struct api_row *row = &api_rows[i];
        const struct api *api = api_find(row->key);
        assert_non_null(api);
        assert_true(row->min_version <= row->max_version);
        assert_true(row->advertised_min <= row->min_version);
        assert_true(row->min_version >= api->min_version);
        assert_true(row->max_version <= api->max_version);
        assert_true(row->key == API_PRODUCE || row->advertised_min == row->min_version);
        for (int16_t v = row->min_version; v <= row->max_version; v++) {
            assert_true(message_has_version(api->request, v));
            assert_true(message_has_version(api->response, v));
        }
        assert_non_null(row->handle);
    }
}

static void a_key_has_one_row(void **state)
{
    (void)state;
    for (int32_t i = 0; i < api_row_count; i++)
        assert_ptr_equal(api_row_find(api_rows[i].key), &api_rows[i]);
    assert_null(api_row_find(-1));
    assert_null(api_row_find(INT16_MAX));
}

/* "| 0 | Produce | 3–13 | 0–13 | …": the row of a key in docs/apis.md. */
static void the_list_in_docs_says_the_same(void **state)
{
    (void)state;
    FILE *file = fopen(TEST_ROOT "/../docs/apis.md", "r");
    assert_non_null(file);
    char line[512];
    int32_t found = 0;
    while (fgets(line, sizeof line, file)) {
        int key, min, max, advertised_min, advertised_max;
        char name[64];
        if (sscanf(line, "| %d | %63s | %d–%d | %d–%d |", &key, name, &min, &max, &advertised_min,
                   &advertised_max) != 6)
            continue;
        const struct api_row *row = api_row_find((int16_t)key);
        if (!row)
            print_error("docs/apis.md lists %s, which is not served\n", name);
        assert_non_null(row);
        assert_string_equal(api_find(row->key)->name, name);
        assert_int_equal(row->min_version, min);
        assert_int_equal(row->max_version, max);
        assert_int_equal(row->advertised_min, advertised_min);
        assert_int_equal(row->max_version, advertised_max);
        found++;
    }
    fclose(file);
    assert_int_equal(found, api_row_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_serves_versions_that_the_protocol_has),
        cmocka_unit_test(a_key_has_one_row),
        cmocka_unit_test(the_list_in_docs_says_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
