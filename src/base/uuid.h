/* Kafka's 128-bit ids and their text form: base64url of 16 bytes without padding, 22 characters. */
#ifndef JACKDAW_BASE_UUID_H
#define JACKDAW_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

#define UUID_TEXT_SIZE 23 /* with the closing NUL */

struct uuid {
    uint8_t bytes[16];
};

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static inline bool uuid_is_zero(struct uuid id)
{
    return uuid_equal(id, (struct uuid){{0}});
}

/* The id with these halves, as Kafka's Uuid(most, least). */
struct uuid uuid_of(uint64_t most, uint64_t least);

/* A random (version 4) id from 16 random bytes, never one of Kafka's reserved ones (the first 100)
 * and never one whose text starts with '-'. Returns false when these bytes will not do: draw again.
 * Source: org.apache.kafka.common.Uuid#randomUuid. */
bool uuid_from_random(const uint8_t random[16], struct uuid *ret_id);

void uuid_format(struct uuid id, char text[UUID_TEXT_SIZE]);

/* 0, or -EINVAL when the text is not 22 characters of base64url. */
int uuid_parse(struct str text, struct uuid *ret_id);

#endif
