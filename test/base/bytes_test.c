#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/bytes.h"

static void varints_round_trip(void **state)
{
    (void)state;
    const int64_t values[] = {0,   1,   -1,        63,        64,        -64,
                              -65, 300, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct writer writer = {0};
        write_varlong(&writer, values[i]);
        assert_int_equal(writer.size, varlong_size(values[i]));
        struct reader reader = reader_of(writer.data, writer.size);
        assert_int_equal(read_varlong(&reader), values[i]);
        assert_false(reader.failed);
        assert_int_equal(reader_left(&reader), 0);
        writer_close(&writer);
    }
}

static void a_varint_longer_than_its_type_fails(void **state)
{
    (void)state;
    const uint8_t six[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    const uint8_t overflow[] = {0xff, 0xff, 0xff, 0xff, 0x1f};
    struct reader reader = reader_of(six, sizeof six);
    read_uvarint(&reader);
    assert_true(reader.failed);
    reader = reader_of(overflow, sizeof overflow);
    read_uvarint(&reader);
    assert_true(reader.failed);
}

static void a_read_past_the_end_stays_failed(void **state)
{
    (void)state;
    const uint8_t data[] = {0, 0, 0};
    struct reader reader = reader_of(data, sizeof data);
    assert_int_equal(read_int32(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(read_int8(&reader), 0);
    assert_ptr_equal(reader.at, data);
}

static void a_writer_stops_at_its_limit(void **state)
{
    (void)state;
    struct writer writer = {.limit = 6};
    write_int32(&writer, 7);
    write_int32(&writer, 8);
    assert_true(writer.failed);
    assert_int_equal(writer.size, 4);
    writer_close(&writer);
}

static void a_text_is_printed_into_an_arena_whatever_its_length(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (int size = 0; size < 300; size++) {
        const char *text = arena_printf(&arena, "%0*d%s", size, 0, "!");
        assert_non_null(text);
        size_t digits = size > 0 ? (size_t)size : 1; /* a zero is a digit */
        assert_int_equal(strspn(text, "0"), digits);
        assert_string_equal(text + digits, "!");
    }
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_round_trip),
        cmocka_unit_test(a_varint_longer_than_its_type_fails),
        cmocka_unit_test(a_read_past_the_end_stays_failed),
        cmocka_unit_test(a_writer_stops_at_its_limit),
        cmocka_unit_test(a_text_is_printed_into_an_arena_whatever_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
