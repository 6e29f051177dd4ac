/* Wire bytes as they are written in tests: hexadecimal digits, blanks ignored. */
#ifndef JACKDAW_TEST_PROTOCOL_HEX_H
#define JACKDAW_TEST_PROTOCOL_HEX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/bytes.h"

static inline struct bytes hex_parse(const char *text, uint8_t *space, size_t space_size)
{
    size_t size = 0;
    for (const char *at = text; *at; at += 2) {
        while (*at == ' ')
            at++;
        unsigned value;
        assert_int_equal(sscanf(at, "%2x", &value), 1);
        assert_true(size < space_size);
        space[size++] = (uint8_t)value;
    }
    return (struct bytes){space, (int32_t)size};
}

#define HEX(text) hex_parse((text), (uint8_t[1024]){0}, 1024)

static inline void assert_hex(const void *data, size_t size, const char *expected)
{
    struct bytes bytes = HEX(expected);
    assert_int_equal(size, bytes.size);
    assert_memory_equal(data, bytes.data, size);
}

static inline void assert_str(struct str text, const char *expected)
{
    assert_non_null(text.data);
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, (size_t)text.size);
}

#endif
