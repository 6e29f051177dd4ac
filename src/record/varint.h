/* Kafka's varints inline, for loops over many records.
 *
 * As Kafka's ByteUtils: at most 5 (10) bytes; bits of the last byte that do not fit are dropped, so
 * that what Kafka accepts is accepted here. Source: Kafka protocol guide, "Record". */
#ifndef JACKDAW_RECORD_VARINT_H
#define JACKDAW_RECORD_VARINT_H

#include <stddef.h>
#include <stdint.h>

/* Read one zig-zag varint in [at, end). The byte after it, or NULL when there is none. */
static inline const uint8_t *varint_read(const uint8_t *at, const uint8_t *end, int32_t *ret_value)
{
    uint32_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        if (at == end)
            return NULL;
        uint8_t byte = *at++;
        value |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = (int32_t)((value >> 1) ^ (~(value & 1) + 1));
            return at;
        }
    }
    return NULL;
}

static inline const uint8_t *varlong_read(const uint8_t *at, const uint8_t *end, int64_t *ret_value)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (at == end)
            return NULL;
        uint8_t byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = (int64_t)((value >> 1) ^ (~(value & 1) + 1));
            return at;
        }
    }
    return NULL;
}

/* Skip a length (negative means null) and as many bytes. The byte after them, or NULL. */
static inline const uint8_t *varint_skip_bytes(const uint8_t *at, const uint8_t *end,
                                               int32_t *ret_size)
{
    int32_t size;
    at = varint_read(at, end, &size);
    if (!at)
        return NULL;
    *ret_size = size;
    if (size <= 0)
        return at;
    return size <= end - at ? at + size : NULL;
}

#endif
