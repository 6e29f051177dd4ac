/* Encoding and decoding of every Kafka message by one interpreter over generated field tables.
 *
 * The structs themselves, one `struct produce_request` per message and one `struct
 * produce_request_topic` per nested struct, and one `extern const struct message_schema
 * produce_request_schema` per message, are in the generated header protocol/messages.h, which is
 * made from schema/ at build time (notation: schema/README.md). How Kafka's types look in C:
 *
 *   bool int8 int16 uint16 int32 uint32 int64 float64   bool, int8_t, ..., double
 *   uuid                     struct uuid
 *   string, bytes            struct str, struct bytes; data == NULL is null
 *   records                  struct records; data == NULL and external == NULL is null
 *   []int32, []string, ...   struct int32_array, struct str_array, ...: items and count
 *   []Topic                  struct { struct ... *items; int32_t count; }
 *   Cursor (a struct)        embedded; a nullable one is a pointer to const, NULL is null
 *
 * A null array has count -1. Source: Kafka protocol guide; KIP-482 (flexible versions, tagged
 * fields); KIP-893 (nullable structs). Nothing here keeps state: any thread may call anything. */
#ifndef JACKDAW_PROTOCOL_MESSAGE_H
#define JACKDAW_PROTOCOL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/uuid.h"

struct message_schema;

/* Record batches inside a message. Decoding sets data and size: a slice of the input. When
 * encoding, a non-NULL `external` means that `size` bytes which the sink knows how to send (a range
 * of a file, say) stand here; then data is ignored. */
struct records {
    const uint8_t *data;
    int32_t size;
    void *external;
};

struct int8_array {
    int8_t *items;
    int32_t count;
};
struct int16_array {
    int16_t *items;
    int32_t count;
};
struct int32_array {
    int32_t *items;
    int32_t count;
};
struct int64_array {
    int64_t *items;
    int32_t count;
};
struct uuid_array {
    struct uuid *items;
    int32_t count;
};
struct str_array {
    struct str *items;
    int32_t count;
};

/* Where external records go: called once for each, in order, while the message is written.
 * `position` is the writer's size at the place where the bytes belong; the writer does not contain
 * them. */
struct message_sink {
    void (*external)(void *context, size_t position, void *external, int32_t size);
    void *context;
};

const char *message_name(const struct message_schema *schema); /* "ProduceRequest" */
int16_t message_min_version(const struct message_schema *schema);
int16_t message_max_version(const struct message_schema *schema); /* < min: no version is left */
size_t message_struct_size(const struct message_schema *schema);  /* sizeof the C struct */
bool message_is_flexible(const struct message_schema *schema, int16_t version);
bool message_has_version(const struct message_schema *schema, int16_t version);

/* Set every field to its default. Each struct also has typed functions in protocol/messages.h:
 *
 *   void produce_request_topic_init(struct produce_request_topic *ret);
 *   struct produce_request_topic *produce_request_topic_array(struct arena *, int32_t count);
 *
 * A zeroed struct is not the same: many defaults are -1, and a zeroed string is null. */
void message_init(const struct message_schema *schema, void *ret_message);

/* Read one message from the front of `reader` into a struct of message_struct_size bytes. Strings,
 * bytes and records point into the input; arrays and nullable structs are in the arena. Fields that
 * the version lacks have their defaults. Unknown tagged fields are skipped. Bytes that follow are
 * left in the reader: whether they are an error is the caller's rule.
 *
 * 0; -EBADMSG: truncated, a length that is negative or longer than what is left, null where null is
 * not allowed, a tagged field that does not fill its size; -ENOMEM: the arena's limit or memory;
 * -ENOTSUP: no such version. After an error *ret_message is undefined but may be dropped with the
 * arena. No input makes it take more than message_arena_bound bytes of the arena. */
int message_decode(const struct message_schema *schema, int16_t version, struct reader *reader,
                   struct arena *arena, void *ret_message);

/* The most that decoding `size_bytes` of input can take from an arena: a constant of the schema
 * times the size. SIZE_MAX where that would overflow. */
size_t message_arena_bound(const struct message_schema *schema, size_t size_bytes);

/* Append the message. `sink` may be NULL when no records are external.
 *
 * 0; -ENOTSUP: no such version, or a field that the version lacks, and which may not be ignored, is
 * not at its default; -EINVAL: null where null is not allowed (a zeroed string is null), or a
 * string over 32,767 bytes; -ENOMEM: the writer failed. After an error the writer holds a torn
 * message. */
int message_encode(const struct message_schema *schema, int16_t version, const void *message,
                   struct writer *writer, const struct message_sink *sink);

/* The bytes that message_encode would produce, external records included. Errors as there. */
int message_size(const struct message_schema *schema, int16_t version, const void *message,
                 size_t *ret_size);

/* Print as JSON in the form of Kafka's own tools: camelCase names, uuids and enumerated fields of
 * the version in order, bytes in base64, records as their size. For logs, dumps and debugging. 0,
 * -ENOTSUP as message_encode, or -ENOMEM. */
int message_print(const struct message_schema *schema, int16_t version, const void *message,
                  struct writer *writer);

/* For the functions of protocol/messages.h: structs are numbered in the generated tables. */
void message_struct_init(unsigned index, void *ret_struct);
void *message_struct_array(unsigned index, struct arena *arena, int32_t count);

#endif
