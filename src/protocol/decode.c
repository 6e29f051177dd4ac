#include "protocol/message.h"

#include <errno.h>

#include "protocol/walk.h"

/* One pass over the input, driven by the field rows of each struct.
 *
 * 1. Nothing is allocated before the bytes that pay for it are known to be there: an array's count
 *    is held against what is left of the input using the least size of an element, a nullable
 *    struct likewise. message_arena_bound follows from that (tools/schema-compile, arena_ratio).
 * 2. Memory from the arena is zeroed, so only defaults that are not zero bytes are stored.
 * 3. Recursion goes down the schema, which contains no cycle.
 * 4. A read past the end answers 0 and marks the reader; the mark is looked at once per struct. */

struct decoder {
    struct reader reader;
    struct arena *arena;
    int16_t version;
    bool flexible;
};

static int decode_struct(struct decoder *decoder, const struct struct_schema *schema, uint8_t *at);

static inline uint32_t take_uvarint(struct reader *reader)
{
    if (!reader->failed && reader->at < reader->end && *reader->at < 0x80)
        return *reader->at++;
    return read_uvarint(reader);
}

static inline bool compact(const struct decoder *decoder, const struct field *field)
{
    return decoder->flexible && !(field->flags & FIELD_INFLEXIBLE);
}

/* The length in front of bytes or an array: -1 for null, or at most what is left. */
static int take_length(struct decoder *decoder, bool is_compact, int32_t *ret_length)
{
    struct reader *reader = &decoder->reader;
    int64_t length = is_compact ? (int64_t)take_uvarint(reader) - 1 : read_int32(reader);
    if (reader->failed || length < -1 || length > (int64_t)reader_left(reader))
        return -EBADMSG;
    *ret_length = (int32_t)length;
    return 0;
}

static int decode_string(struct decoder *decoder, bool is_compact, bool nullable,
                         struct str *ret_text)
{
    struct reader *reader = &decoder->reader;
    int64_t length = is_compact ? (int64_t)take_uvarint(reader) - 1 : read_int16(reader);
    if (length < 0) {
        *ret_text = (struct str){NULL, 0};
        return length == -1 && nullable && !reader->failed ? 0 : -EBADMSG;
    }
    const uint8_t *data = length <= INT16_MAX ? reader_take(reader, (size_t)length) : NULL;
    if (!data)
        return -EBADMSG;
    *ret_text = (struct str){(const char *)data, (int32_t)length};
    return 0;
}

static int decode_bytes(struct decoder *decoder, const struct field *field,
                        const uint8_t **ret_data, int32_t *ret_size)
{
    int32_t length;
    int err = take_length(decoder, compact(decoder, field), &length);
    if (err < 0)
        return err;
    *ret_size = 0;
    *ret_data = NULL;
    if (length == -1)
        return field_nullable(field, decoder->version) ? 0 : -EBADMSG;
    *ret_size = length;
    *ret_data = reader_take(&decoder->reader, (size_t)length);
    return 0;
}

/* One value that is neither an array nor a pointer. */
static int decode_value(struct decoder *decoder, const struct field *field, uint8_t *at)
{
    struct reader *reader = &decoder->reader;
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL:
        *(bool *)at = read_int8(reader) != 0;
        return 0;
    case FIELD_INT8:
        *(int8_t *)at = read_int8(reader);
        return 0;
    case FIELD_INT16:
    case FIELD_UINT16:
        *(int16_t *)at = read_int16(reader);
        return 0;
    case FIELD_INT32:
    case FIELD_UINT32:
        *(int32_t *)at = read_int32(reader);
        return 0;
    case FIELD_INT64:
    case FIELD_FLOAT64:
        *(int64_t *)at = read_int64(reader);
        return 0;
    case FIELD_UUID: {
        const uint8_t *id = reader_take(reader, sizeof(struct uuid));
        if (id)
            memcpy(at, id, sizeof(struct uuid));
        return 0;
    }
    case FIELD_STRING:
        return decode_string(decoder, compact(decoder, field),
                             field_nullable(field, decoder->version), (struct str *)at);
    case FIELD_BYTES: {
        struct bytes *bytes = (struct bytes *)at;
        return decode_bytes(decoder, field, &bytes->data, &bytes->size);
    }
    case FIELD_RECORDS: {
        struct records *records = (struct records *)at;
        return decode_bytes(decoder, field, &records->data, &records->size);
    }
    case FIELD_STRUCT:
        return decode_struct(decoder, field_struct(field), at);
    case FIELD_KINDS:
        break;
    }
    return -EBADMSG;
}

/* Items of one size in memory and on the wire; their bytes are known to be there. */
static void decode_numbers(struct decoder *decoder, size_t size, uint8_t *items, int32_t count)
{
    const uint8_t *from = reader_take(&decoder->reader, (size_t)count * size);
    if (size == 4) {
        for (int32_t i = 0; i < count; i++)
            ((uint32_t *)items)[i] = load_be32(from + (size_t)i * 4);
    } else if (size == 8) {
        for (int32_t i = 0; i < count; i++)
            ((uint64_t *)items)[i] = load_be64(from + (size_t)i * 8);
    } else if (size == 2) {
        for (int32_t i = 0; i < count; i++)
            ((uint16_t *)items)[i] = load_be16(from + (size_t)i * 2);
    } else {
        memcpy(items, from, (size_t)count * size);
    }
}

static size_t least_item_size(const struct decoder *decoder, const struct field *field)
{
    if (field->kind == FIELD_STRING)
        return compact(decoder, field) ? 1 : 2;
    if (field->kind != FIELD_STRUCT)
        return field_kind_sizes[field->kind];
    size_t size = struct_least_size(field_struct(field), decoder->version);
    return size > 0 ? size : 1;
}

static int decode_array(struct decoder *decoder, const struct field *field, uint8_t *at)
{
    struct any_array *array = (struct any_array *)at;
    int32_t count;
    int err = take_length(decoder, compact(decoder, field), &count);
    if (err < 0)
        return err;
    array->items = NULL;
    array->count = count;
    if (count <= 0)
        return count == 0 || field_nullable(field, decoder->version) ? 0 : -EBADMSG;
    if ((size_t)count > reader_left(&decoder->reader) / least_item_size(decoder, field))
        return -EBADMSG;
    size_t size = field_item_size(field);
    array->items = arena_array(decoder->arena, (size_t)count, size);
    if (!array->items)
        return -ENOMEM;
    if (field->kind == FIELD_STRUCT) {
        const struct struct_schema *schema = field_struct(field);
        for (int32_t i = 0; i < count && err == 0; i++)
            err = decode_struct(decoder, schema, array->items + (size_t)i * size);
    } else if (field->kind == FIELD_STRING) {
        bool is_compact = compact(decoder, field);
        for (int32_t i = 0; i < count && err == 0; i++)
            err = decode_string(decoder, is_compact, false, (struct str *)array->items + i);
    } else {
        decode_numbers(decoder, size, array->items, count);
    }
    return err;
}

/* A nullable struct: a marker, then the struct. The marker is an int8, below 0 for null; inside a
 * tagged field Kafka writes it as a uvarint, 0 for null. */
static int decode_pointer(struct decoder *decoder, const struct field *field, bool tagged,
                          uint8_t *at)
{
    struct reader *reader = &decoder->reader;
    bool null = tagged ? take_uvarint(reader) == 0 : read_int8(reader) < 0;
    const struct struct_schema *schema = field_struct(field);
    *(void **)at = NULL;
    if (reader->failed)
        return -EBADMSG;
    if (null)
        return field_nullable(field, decoder->version) ? 0 : -EBADMSG;
    if (reader_left(reader) < struct_least_size(schema, decoder->version))
        return -EBADMSG;
    uint8_t *to = arena_alloc(decoder->arena, schema->size);
    if (!to)
        return -ENOMEM;
    *(void **)at = to;
    return decode_struct(decoder, schema, to);
}

static inline int decode_field(struct decoder *decoder, const struct field *field, bool tagged,
                               uint8_t *at)
{
    if (field->flags & FIELD_IS_ARRAY)
        return decode_array(decoder, field, at);
    if (field->flags & FIELD_IS_POINTER)
        return decode_pointer(decoder, field, tagged, at);
    return decode_value(decoder, field, at);
}

static const struct field *find_tag(const struct field *field, const struct field *end,
                                    uint32_t tag, int16_t version)
{
    for (; field < end; field++) {
        if (field->tag == tag)
            return field_exists(field, version) ? field : NULL;
    }
    return NULL;
}

/* The tagged fields behind a struct of a flexible version. */
static int decode_tags(struct decoder *decoder, const struct field *fields, const struct field *end,
                       uint8_t *at)
{
    struct reader *reader = &decoder->reader;
    for (uint32_t left = take_uvarint(reader); left > 0; left--) {
        uint32_t tag = take_uvarint(reader);
        uint32_t size = take_uvarint(reader);
        const uint8_t *data = reader_take(reader, size);
        if (!data)
            return -EBADMSG;
        const struct field *field = find_tag(fields, end, tag, decoder->version);
        if (!field)
            continue;
        struct reader after = *reader;
        *reader = reader_of(data, size);
        if (field->kind == FIELD_STRUCT && !(field->flags & (FIELD_IS_ARRAY | FIELD_IS_POINTER)))
            memset(at + field->offset, 0, field_struct(field)->size);
        int err = decode_field(decoder, field, true, at + field->offset);
        if (err < 0)
            return err;
        if (reader->failed || reader_left(reader) > 0)
            return -EBADMSG;
        *reader = after;
    }
    return 0;
}

/* `at` is zeroed. */
static int decode_struct(struct decoder *decoder, const struct struct_schema *schema, uint8_t *at)
{
    const struct field *field = &protocol_fields[schema->first_field];
    const struct field *tagged = field + schema->untagged_count;
    const struct field *end = tagged + schema->tagged_count;
    for (; field < tagged; field++) {
        if (field_exists(field, decoder->version)) {
            int err = decode_field(decoder, field, false, at + field->offset);
            if (err < 0)
                return err;
        } else {
            field_set_default(field, at + field->offset);
        }
    }
    for (; field < end; field++)
        field_set_default(field, at + field->offset);
    if (decoder->flexible) {
        int err = decode_tags(decoder, tagged, end, at);
        if (err < 0)
            return err;
    }
    return decoder->reader.failed ? -EBADMSG : 0;
}

int message_decode(const struct message_schema *schema, int16_t version, struct reader *reader,
                   struct arena *arena, void *ret_message)
{
    if (!message_has_version(schema, version))
        return -ENOTSUP;
    const struct struct_schema *top = &protocol_structs[schema->struct_index];
    struct decoder decoder = {*reader, arena, version, message_is_flexible(schema, version)};
    memset(ret_message, 0, top->size);
    int err = decode_struct(&decoder, top, ret_message);
    *reader = decoder.reader;
    return err;
}
