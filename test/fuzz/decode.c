#include "decode.h"

#include <errno.h>
#include <stdlib.h>

#include "../protocol/fill.h"
#include "base/must.h"

static void check_encoding(const struct message_schema *schema, int16_t version,
                           const void *message, struct writer *writer)
{
    size_t size;
    must(message_encode(schema, version, message, writer, NULL) == 0);
    must(message_size(schema, version, message, &size) == 0);
    must(size == writer->size);
}

static void check_print(const struct message_schema *schema, int16_t version, const void *message)
{
    struct writer writer = {0};
    must(message_print(schema, version, message, &writer) == 0);
    must(writer.size >= 2);
    writer_close(&writer);
}

/* The bytes of `first` decode to the message that they came from: it encodes to them again. */
static void check_again(const struct message_schema *schema, int16_t version,
                        const struct writer *first)
{
    struct arena arena;
    arena_init(&arena, 0);
    void *message = malloc(message_struct_size(schema));
    must(message);
    struct reader reader = reader_of(first->data, first->size);
    must(message_decode(schema, version, &reader, &arena, message) == 0);
    must(reader_left(&reader) == 0);
    must(arena.used_bytes <= message_arena_bound(schema, first->size));
    struct writer second = {0};
    check_encoding(schema, version, message, &second);
    must(second.size == first->size);
    must(second.size == 0 || memcmp(second.data, first->data, second.size) == 0);
    writer_close(&second);
    free(message);
    arena_close(&arena);
}

void decode_and_check(const struct message_schema *schema, int16_t version, const uint8_t *data,
                      size_t size)
{
    struct arena arena;
    arena_init(&arena, 0);
    void *message = malloc(message_struct_size(schema));
    must(message);
    struct reader reader = reader_of(data, size);
    int err = message_decode(schema, version, &reader, &arena, message);
    must(err == 0 || err == -EBADMSG || err == -ENOTSUP);
    must(arena.used_bytes <= message_arena_bound(schema, size));
    if (err == 0) {
        struct writer writer = {0};
        check_encoding(schema, version, message, &writer);
        check_again(schema, version, &writer);
        check_print(schema, version, message);
        writer_close(&writer);
    }
    free(message);
    arena_close(&arena);
}

size_t decode_seed(const struct message_schema *schema, int16_t version, uint64_t seed,
                   uint8_t *data, size_t max_size)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct writer writer = {.limit = max_size};
    const void *message =
        fill_message(schema, version, seed & 1 ? FILL_FULL : FILL_RANDOM, seed, &arena);
    size_t size = 0;
    if (max_size > 0 && message_encode(schema, version, message, &writer, NULL) == 0) {
        size = writer.size;
        if (size > 0)
            memcpy(data, writer.data, size);
    }
    writer_close(&writer);
    arena_close(&arena);
    return size;
}
