/* Borrowed byte ranges, and bounds-checked readers and writers of Kafka's primitive types.
 *
 * Integers are big-endian on the wire. Varints are the zig-zag form of Protocol Buffers; "uvarint"
 * is the form without zig-zag. Source: Kafka protocol guide, "Protocol Primitive Types". */
#ifndef JACKDAW_BASE_BYTES_H
#define JACKDAW_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A range of bytes owned by somebody else. data == NULL means Kafka's null. */
struct bytes {
    const uint8_t *data;
    int32_t size;
};

/* A UTF-8 string owned by somebody else, not NUL-terminated. data == NULL means Kafka's null. */
struct str {
    const char *data;
    int32_t size;
};

#define STR(literal) ((struct str){(literal), (int32_t)sizeof(literal) - 1})

static inline struct str str_of(const char *text)
{
    return (struct str){text, text ? (int32_t)strlen(text) : 0};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, (size_t)a.size) == 0);
}

/* Total order by bytes, the shorter first where one is a prefix of the other: <0, 0, >0. */
int str_compare(struct str a, struct str b);

static inline uint16_t load_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t load_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t load_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void store_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void store_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void store_be64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian hosts are not supported");

/* Reads forward through a range. After the first read past the end `failed` stays set, every read
 * answers 0 and nothing moves; callers may check once at the end. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(const void *data, size_t size)
{
    /* Null has no end to compute: a null range is an empty one. */
    return (struct reader){data, size > 0 ? (const uint8_t *)data + size : data, false};
}

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* The next `size` bytes, or NULL (and failed) when there are fewer. */
static inline const uint8_t *reader_take(struct reader *reader, size_t size)
{
    if (reader->failed || size > reader_left(reader)) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += size;
    return at;
}

static inline int8_t read_int8(struct reader *reader)
{
    const uint8_t *p = reader_take(reader, 1);
    return p ? (int8_t)*p : 0;
}

static inline int16_t read_int16(struct reader *reader)
{
    const uint8_t *p = reader_take(reader, 2);
    return p ? (int16_t)load_be16(p) : 0;
}

static inline int32_t read_int32(struct reader *reader)
{
    const uint8_t *p = reader_take(reader, 4);
    return p ? (int32_t)load_be32(p) : 0;
}

static inline int64_t read_int64(struct reader *reader)
{
    const uint8_t *p = reader_take(reader, 8);
    return p ? (int64_t)load_be64(p) : 0;
}

/* Unsigned varint of at most 32 (64) bits; longer or overflowing encodings set failed. */
uint32_t read_uvarint(struct reader *reader);
uint64_t read_uvarlong(struct reader *reader);
int32_t read_varint(struct reader *reader);
int64_t read_varlong(struct reader *reader);

/* Appends to memory that grows by realloc; free with writer_close. When memory runs out or
 * `limit` would be passed, `failed` is set and nothing more is written. */
struct writer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t limit; /* 0: none */
    bool failed;
};

void writer_close(struct writer *writer);

/* Make room for `more` bytes and return where they go; size is not yet moved. NULL on failure. */
uint8_t *writer_reserve(struct writer *writer, size_t more);

/* Append `size` bytes to be filled by the caller. NULL on failure. */
static inline uint8_t *writer_add(struct writer *writer, size_t size)
{
    uint8_t *at = writer->size + size <= writer->capacity && !writer->failed
                      ? writer->data + writer->size
                      : writer_reserve(writer, size);
    if (at)
        writer->size += size;
    return at;
}

void write_bytes(struct writer *writer, const void *data, size_t size);

static inline void write_int8(struct writer *writer, int8_t v)
{
    uint8_t *p = writer_add(writer, 1);
    if (p)
        *p = (uint8_t)v;
}

static inline void write_int16(struct writer *writer, int16_t v)
{
    uint8_t *p = writer_add(writer, 2);
    if (p)
        store_be16(p, (uint16_t)v);
}

static inline void write_int32(struct writer *writer, int32_t v)
{
    uint8_t *p = writer_add(writer, 4);
    if (p)
        store_be32(p, (uint32_t)v);
}

static inline void write_int64(struct writer *writer, int64_t v)
{
    uint8_t *p = writer_add(writer, 8);
    if (p)
        store_be64(p, (uint64_t)v);
}

void write_uvarint(struct writer *writer, uint32_t v);
void write_uvarlong(struct writer *writer, uint64_t v);
void write_varint(struct writer *writer, int32_t v);
void write_varlong(struct writer *writer, int64_t v);

/* Bytes that write_uvarint, write_varint and write_varlong take. */
int uvarint_size(uint32_t v);
int varint_size(int32_t v);
int varlong_size(int64_t v);

#endif
