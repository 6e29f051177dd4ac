#include "base/bytes.h"

#include <stdlib.h>

#define WRITER_FIRST_BYTES 256

int str_compare(struct str a, struct str b)
{
    int32_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, (size_t)common) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

uint64_t read_uvarlong(struct reader *reader)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        const uint8_t *p = reader_take(reader, 1);
        if (!p)
            return 0;
        if (shift == 63 && *p > 1)
            break;
        value |= (uint64_t)(*p & 0x7f) << shift;
        if (!(*p & 0x80))
            return value;
    }
    reader->failed = true;
    return 0;
}

uint32_t read_uvarint(struct reader *reader)
{
    uint32_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        const uint8_t *p = reader_take(reader, 1);
        if (!p)
            return 0;
        if (shift == 28 && *p > 15)
            break;
        value |= (uint32_t)(*p & 0x7f) << shift;
        if (!(*p & 0x80))
            return value;
    }
    reader->failed = true;
    return 0;
}

int32_t read_varint(struct reader *reader)
{
    uint32_t v = read_uvarint(reader);
    return (int32_t)((v >> 1) ^ (~(v & 1) + 1));
}

int64_t read_varlong(struct reader *reader)
{
    uint64_t v = read_uvarlong(reader);
    return (int64_t)((v >> 1) ^ (~(v & 1) + 1));
}

void writer_close(struct writer *writer)
{
    if (!writer)
        return;
    free(writer->data);
    *writer = (struct writer){0};
}

uint8_t *writer_reserve(struct writer *writer, size_t more)
{
    if (writer->failed)
        return NULL;
    size_t need = writer->size + more;
    if (need < more || (writer->limit && need > writer->limit)) {
        writer->failed = true;
        return NULL;
    }
    if (need > writer->capacity) {
        size_t capacity = writer->capacity ? writer->capacity : WRITER_FIRST_BYTES;
        while (capacity < need)
            capacity *= 2;
        if (writer->limit && capacity > writer->limit)
            capacity = writer->limit;
        uint8_t *data = realloc(writer->data, capacity);
        if (!data) {
            writer->failed = true;
            return NULL;
        }
        writer->data = data;
        writer->capacity = capacity;
    }
    return writer->data + writer->size;
}

void write_bytes(struct writer *writer, const void *data, size_t size)
{
    if (size == 0)
        return;
    uint8_t *p = writer_add(writer, size);
    if (p)
        memcpy(p, data, size);
}

void write_uvarlong(struct writer *writer, uint64_t v)
{
    uint8_t text[10];
    size_t n = 0;
    while (v > 0x7f) {
        text[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    text[n++] = (uint8_t)v;
    write_bytes(writer, text, n);
}

void write_uvarint(struct writer *writer, uint32_t v)
{
    write_uvarlong(writer, v);
}

void write_varint(struct writer *writer, int32_t v)
{
    write_uvarint(writer, ((uint32_t)v << 1) ^ (uint32_t)(v >> 31));
}

void write_varlong(struct writer *writer, int64_t v)
{
    write_uvarlong(writer, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static int uvarlong_size(uint64_t v)
{
    int n = 1;
    while (v > 0x7f) {
        v >>= 7;
        n++;
    }
    return n;
}

int uvarint_size(uint32_t v)
{
    return uvarlong_size(v);
}

int varint_size(int32_t v)
{
    return uvarlong_size(((uint32_t)v << 1) ^ (uint32_t)(v >> 31));
}

int varlong_size(int64_t v)
{
    return uvarlong_size(((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}
