#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/properties.h"

/* A text and the pairs that java.util.Properties.load(Reader) of OpenJDK 17 made of it, in order.
 */
static const struct {
    const char *text;
    const char *pairs[4][2];
} read_vectors[] = {
    {"a=b", {{"a", "b"}}},
    {"a:b", {{"a", "b"}}},
    {"a b", {{"a", "b"}}},
    {"a", {{"a", ""}}},
    {"a=", {{"a", ""}}},
    {"=b", {{"", "b"}}},
    {"  a  =  b  ", {{"a", "b  "}}},
    {"a\\ b=c", {{"a b", "c"}}},
    {"a\\=b\\:c=d", {{"a=b:c", "d"}}},
    {"a==b", {{"a", "=b"}}},
    {"a=:b", {{"a", ":b"}}},
    {" a : = b", {{"a", "= b"}}},
    {"a\011b", {{"a", "b"}}},
    {"a\014b", {{"a", "b"}}},
    {"#c\012a=b", {{"a", "b"}}},
    {"!c\012a=b", {{"a", "b"}}},
    {"  # c\012a=b", {{"a", "b"}}},
    {"#c\\\012a=b", {{"a", "b"}}},
    {"a=b\\\012  c", {{"a", "bc"}}},
    {"a=b\\\\\012c=d", {{"a", "b\\"}, {"c", "d"}}},
    {"a=b\\\\\\\012 c", {{"a", "b\\c"}}},
    {"a=b\015\012c=d", {{"a", "b"}, {"c", "d"}}},
    {"a=b\015c=d", {{"a", "b"}, {"c", "d"}}},
    {"a=b\\\015\012   c", {{"a", "bc"}}},
    {"a=b\\\012\012c=d", {{"a", "b"}, {"c", "d"}}},
    {"a=b\\\012\012  c=d", {{"a", "b"}, {"c", "d"}}},
    {"a=b\\\012#c\012d=e", {{"a", "b#c"}, {"d", "e"}}},
    {"\\\012#c\012d=e", {{"d", "e"}}},
    {"\\\012x=y", {{"x", "y"}}},
    {"a\\\012=b", {{"a", "b"}}},
    {"a\\\012\\\012b=c", {{"ab", "c"}}},
    {"a=b\\", {{"a", "b"}}},
    {"a=\\t\\n\\r\\f\\q\\\"", {{"a", "\011\012\015\014q\""}}},
    {"a=\\u0041\\u00e9\\u20ac", {{"a", "A\303\251\342\202\254"}}},
    {"\\u0061=b", {{"a", "b"}}},
    {"a=\\ud83d\\ude00", {{"a", "\360\237\230\200"}}},
    {"a=b#c", {{"a", "b#c"}}},
    {"a=b!c", {{"a", "b!c"}}},
    {"a b c", {{"a", "b c"}}},
    {"a  b=c", {{"a", "b=c"}}},
    {"a=b c ", {{"a", "b c "}}},
    {"\012\012\012a=b", {{"a", "b"}}},
    {"   \012\011\012a=b", {{"a", "b"}}},
    {"a\\u003db=c", {{"a=b", "c"}}},
    {"a=\\u005cn", {{"a", "\\n"}}},
    {"k=\\\\", {{"k", "\\"}}},
    {"k\\\\=v", {{"k\\", "v"}}},
    {"\\ \\ =v", {{"  ", "v"}}},
    {"k=\\ v", {{"k", " v"}}},
    {"k = \\\012   v", {{"k", "v"}}},
    {"k\\\012   = v", {{"k", "v"}}},
    {"#x\015!y\015\012z=1", {{"z", "1"}}},
    {"a=\\\012\\\012\\\012b", {{"a", "b"}}},
    {"a\\", {{"a", ""}}},
    {"\014 a=b", {{"a", "b"}}},
    {"a=b\014", {{"a", "b\014"}}},
    {"k=\\\011v", {{"k", "\011v"}}},
    {"a:=b", {{"a", "=b"}}},
    {"a=\\u00E9\\u00c9", {{"a", "\303\251\303\211"}}},
};

/* A pair and what java.util.Properties.store(OutputStream, null) wrote for it. */
static const struct {
    const char *key;
    const char *value;
    const char *text;
} write_vectors[] = {
    {"a", "b", "a=b\012"},
    {"a b", " c d ", "a\\ b=\\ c d \012"},
    {"k=:#!", "v=:#!", "k\\=\\:\\#\\!=v\\=\\:\\#\\!\012"},
    {"t", "\011\012\015\014\\", "t=\\t\\n\\r\\f\\\\\012"},
    {"\303\251", "\342\202\254\360\237\230\200", "\\u00E9=\\u20AC\\uD83D\\uDE00\012"},
    {"ctl", "\001\177~", "ctl=\\u0001\\u007F~\012"},
    {"", "", "=\012"},
    {" k", "  v", "\\ k=\\  v\012"},
    {"cluster.id", "abc-_D", "cluster.id=abc-_D\012"},
};

static struct properties_reader open_text(const char *text)
{
    struct properties_reader reader;
    struct bytes bytes = {(const uint8_t *)text, (int32_t)strlen(text)};
    assert_int_equal(properties_open(bytes, &reader), 0);
    return reader;
}

static void texts_are_read_as_java_reads_them(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < array_size(read_vectors); i++) {
        struct properties_reader reader = open_text(read_vectors[i].text);
        struct property property;
        for (size_t j = 0; j < 4 && read_vectors[i].pairs[j][0]; j++) {
            assert_int_equal(properties_next(&reader, &arena, &property), 0);
            assert_string_equal(property.key.data, read_vectors[i].pairs[j][0]);
            assert_string_equal(property.value.data, read_vectors[i].pairs[j][1]);
            assert_int_equal(property.key.size, strlen(property.key.data));
            assert_int_equal(property.value.size, strlen(property.value.data));
        }
        assert_int_equal(properties_next(&reader, &arena, &property), 1);
    }
    arena_close(&arena);
}

static void pairs_are_written_as_java_writes_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_size(write_vectors); i++) {
        struct writer writer = {0};
        properties_write(&writer, str_of(write_vectors[i].key), str_of(write_vectors[i].value));
        write_int8(&writer, 0);
        assert_string_equal((char *)writer.data, write_vectors[i].text);
        writer_close(&writer);
    }
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_size(write_vectors); i++) {
        struct writer writer = {0};
        struct arena arena;
        struct property property;
        arena_init(&arena, 0);
        properties_write_comment(&writer, STR("two\r\nlines\rmore\n"));
        properties_write(&writer, str_of(write_vectors[i].key), str_of(write_vectors[i].value));
        write_int8(&writer, 0);
        struct properties_reader reader = open_text((char *)writer.data);
        assert_int_equal(properties_next(&reader, &arena, &property), 0);
        assert_string_equal(property.key.data, write_vectors[i].key);
        assert_string_equal(property.value.data, write_vectors[i].value);
        assert_int_equal(property.line, 5);
        arena_close(&arena);
        writer_close(&writer);
    }
}

static void entries_know_their_line(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct properties_reader reader = open_text("# one\r\n\r\na=1\\\r\n 2\n\nb=2\rc=3");
    const int32_t lines[] = {3, 6, 7};
    struct property property;
    for (size_t i = 0; i < array_size(lines); i++) {
        assert_int_equal(properties_next(&reader, &arena, &property), 0);
        assert_int_equal(property.line, lines[i]);
    }
    assert_int_equal(properties_next(&reader, &arena, &property), 1);
    arena_close(&arena);
}

static void malformed_text_is_refused_with_its_line(void **state)
{
    (void)state;
    const char *const bad[] = {"a=1\nb=\\u12g4",      "a=1\nb=\\u12",   "a=1\n\\u=2",
                               "a=1\nb=\\ud83d\\u1",  "a=1\nb=\xff",    "a=1\nb=\xc3",
                               "a=1\nb=\xed\xa0\x80", "a=1\nb=\\u0000", "a=1\nb=\xc0\x80"};
    for (size_t i = 0; i < array_size(bad); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct properties_reader reader = open_text(bad[i]);
        struct property property;
        assert_int_equal(properties_next(&reader, &arena, &property), 0);
        assert_int_equal(properties_next(&reader, &arena, &property), -EBADMSG);
        assert_int_equal(reader.line, 2);
        assert_int_equal(properties_next(&reader, &arena, &property), -EBADMSG);
        arena_close(&arena);
    }
}

static void lone_surrogates_become_replacement_characters(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct properties_reader reader = open_text("a=\\ud83dx\\ude00\\ud83d\\ud83d\\ude00");
    struct property property;
    assert_int_equal(properties_next(&reader, &arena, &property), 0);
    assert_string_equal(property.value.data,
                        "\357\277\275x\357\277\275\357\277\275\360\237\230\200");
    arena_close(&arena);
}

static void limits_hold(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    char *text = malloc(PROPERTIES_VALUE_MAX_BYTES + 64);
    const struct {
        size_t key;
        size_t value;
        int result;
    } cases[] = {{PROPERTIES_KEY_MAX_BYTES, 1, 0},
                 {PROPERTIES_KEY_MAX_BYTES + 1, 1, -EMSGSIZE},
                 {1, PROPERTIES_VALUE_MAX_BYTES, 0},
                 {1, PROPERTIES_VALUE_MAX_BYTES + 1, -EMSGSIZE}};
    for (size_t i = 0; i < array_size(cases); i++) {
        size_t n = 0;
        memset(text, 'k', cases[i].key);
        n += cases[i].key;
        text[n++] = '=';
        memset(text + n, 'v', cases[i].value);
        n += cases[i].value;
        text[n] = 0;
        struct properties_reader reader = open_text(text);
        struct property property;
        assert_int_equal(properties_next(&reader, &arena, &property), cases[i].result);
    }
    free(text);
    struct properties_reader reader;
    struct bytes huge = {(const uint8_t *)"", PROPERTIES_MAX_BYTES + 1};
    assert_int_equal(properties_open(huge, &reader), -EFBIG);
    arena_close(&arena);
}

static void an_exhausted_arena_is_an_error(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 16);
    struct properties_reader reader = open_text("a=a value that does not fit into the arena\n");
    struct property property;
    assert_int_equal(properties_next(&reader, &arena, &property), -ENOMEM);
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_as_java_reads_them),
        cmocka_unit_test(pairs_are_written_as_java_writes_them),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(entries_know_their_line),
        cmocka_unit_test(malformed_text_is_refused_with_its_line),
        cmocka_unit_test(lone_surrogates_become_replacement_characters),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(an_exhausted_arena_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
