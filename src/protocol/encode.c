#include "protocol/message.h"

#include <errno.h>

#include "base/must.h"
#include "protocol/walk.h"

/* One pass over the struct. The same code counts and writes: with no writer it only adds up, which
 * is how a tagged field learns the size that stands before it, and what message_size does. */

struct encoder {
    struct writer *writer; /* NULL: only count */
    size_t counted;
    const struct message_sink *sink;
    int16_t version;
    bool flexible;
};

static int encode_struct(struct encoder *encoder, const struct struct_schema *schema,
                         const uint8_t *at);

/* Room for `size` bytes, or NULL when only counting or when the writer failed. */
static inline uint8_t *put(struct encoder *encoder, size_t size)
{
    if (encoder->writer)
        return writer_add(encoder->writer, size);
    encoder->counted += size;
    return NULL;
}

static inline void put_int8(struct encoder *encoder, uint8_t value)
{
    uint8_t *to = put(encoder, 1);
    if (to)
        *to = value;
}

static inline void put_int16(struct encoder *encoder, uint16_t value)
{
    uint8_t *to = put(encoder, 2);
    if (to)
        store_be16(to, value);
}

static inline void put_int32(struct encoder *encoder, uint32_t value)
{
    uint8_t *to = put(encoder, 4);
    if (to)
        store_be32(to, value);
}

static inline void put_int64(struct encoder *encoder, uint64_t value)
{
    uint8_t *to = put(encoder, 8);
    if (to)
        store_be64(to, value);
}

static inline void put_uvarint(struct encoder *encoder, uint32_t value)
{
    if (value < 0x80)
        put_int8(encoder, (uint8_t)value);
    else if (encoder->writer)
        write_uvarint(encoder->writer, value);
    else
        encoder->counted += (size_t)uvarint_size(value);
}

static inline void put_bytes(struct encoder *encoder, const void *data, int32_t size)
{
    uint8_t *to = put(encoder, (size_t)size);
    if (to && size > 0)
        memcpy(to, data, (size_t)size);
}

static inline bool compact(const struct encoder *encoder, const struct field *field)
{
    return encoder->flexible && !(field->flags & FIELD_INFLEXIBLE);
}

/* The length in front of bytes or an array, -1 for null. */
static inline void put_length(struct encoder *encoder, bool is_compact, int32_t length)
{
    if (is_compact)
        put_uvarint(encoder, (uint32_t)length + 1);
    else
        put_int32(encoder, (uint32_t)length);
}

static int encode_string(struct encoder *encoder, bool is_compact, bool nullable, struct str text)
{
    int32_t length = text.data ? text.size : -1;
    if ((length < 0 && !nullable) || length > INT16_MAX)
        return -EINVAL;
    if (is_compact)
        put_uvarint(encoder, (uint32_t)(length + 1));
    else
        put_int16(encoder, (uint16_t)length);
    if (length > 0)
        put_bytes(encoder, text.data, length);
    return 0;
}

static int encode_bytes(struct encoder *encoder, const struct field *field, struct bytes bytes)
{
    if (!bytes.data && !field_nullable(field, encoder->version))
        return -EINVAL;
    put_length(encoder, compact(encoder, field), bytes.data ? bytes.size : -1);
    if (bytes.data)
        put_bytes(encoder, bytes.data, bytes.size);
    return 0;
}

static int encode_records(struct encoder *encoder, const struct field *field,
                          const struct records *records)
{
    if (!records->external)
        return encode_bytes(encoder, field, (struct bytes){records->data, records->size});
    put_length(encoder, compact(encoder, field), records->size);
    if (!encoder->writer) {
        encoder->counted += (size_t)records->size;
        return 0;
    }
    must(encoder->sink);
    encoder->sink->external(encoder->sink->context, encoder->writer->size, records->external,
                            records->size);
    return 0;
}

/* One value that is neither an array nor a pointer. */
static int encode_value(struct encoder *encoder, const struct field *field, const uint8_t *at)
{
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL:
        put_int8(encoder, *(const bool *)at);
        return 0;
    case FIELD_INT8:
        put_int8(encoder, *at);
        return 0;
    case FIELD_INT16:
    case FIELD_UINT16:
        put_int16(encoder, *(const uint16_t *)at);
        return 0;
    case FIELD_INT32:
    case FIELD_UINT32:
        put_int32(encoder, *(const uint32_t *)at);
        return 0;
    case FIELD_INT64:
    case FIELD_FLOAT64:
        put_int64(encoder, *(const uint64_t *)at);
        return 0;
    case FIELD_UUID:
        put_bytes(encoder, at, sizeof(struct uuid));
        return 0;
    case FIELD_STRING:
        return encode_string(encoder, compact(encoder, field),
                             field_nullable(field, encoder->version), *(const struct str *)at);
    case FIELD_BYTES:
        return encode_bytes(encoder, field, *(const struct bytes *)at);
    case FIELD_RECORDS:
        return encode_records(encoder, field, (const struct records *)at);
    case FIELD_STRUCT:
        return encode_struct(encoder, field_struct(field), at);
    case FIELD_KINDS:
        break;
    }
    return -EINVAL;
}

static void encode_numbers(struct encoder *encoder, size_t size, const uint8_t *items,
                           int32_t count)
{
    uint8_t *to = put(encoder, (size_t)count * size);
    if (!to || count == 0)
        return;
    if (size == 4) {
        for (int32_t i = 0; i < count; i++)
            store_be32(to + (size_t)i * 4, ((const uint32_t *)items)[i]);
    } else if (size == 8) {
        for (int32_t i = 0; i < count; i++)
            store_be64(to + (size_t)i * 8, ((const uint64_t *)items)[i]);
    } else if (size == 2) {
        for (int32_t i = 0; i < count; i++)
            store_be16(to + (size_t)i * 2, ((const uint16_t *)items)[i]);
    } else {
        memcpy(to, items, (size_t)count * size);
    }
}

static int encode_array(struct encoder *encoder, const struct field *field, const uint8_t *at)
{
    const struct any_array *array = (const struct any_array *)at;
    if (array->count < 0 && !field_nullable(field, encoder->version))
        return -EINVAL;
    put_length(encoder, compact(encoder, field), array->count < 0 ? -1 : array->count);
    int err = 0;
    if (field->kind == FIELD_STRUCT) {
        const struct struct_schema *schema = field_struct(field);
        for (int32_t i = 0; i < array->count && err == 0; i++)
            err = encode_struct(encoder, schema, array->items + (size_t)i * schema->size);
    } else if (field->kind == FIELD_STRING) {
        const struct str *items = (const struct str *)array->items;
        for (int32_t i = 0; i < array->count && err == 0; i++)
            err = encode_string(encoder, compact(encoder, field), false, items[i]);
    } else if (array->count > 0) {
        encode_numbers(encoder, field_item_size(field), array->items, array->count);
    }
    return err;
}

/* See decode_pointer for the two forms of the marker. */
static int encode_pointer(struct encoder *encoder, const struct field *field, bool tagged,
                          const uint8_t *at)
{
    const uint8_t *to = *(const uint8_t *const *)at;
    if (to) {
        put_int8(encoder, 1);
        return encode_struct(encoder, field_struct(field), to);
    }
    if (!field_nullable(field, encoder->version))
        return -EINVAL;
    put_int8(encoder, tagged ? 0 : 0xff);
    return 0;
}

static inline int encode_field(struct encoder *encoder, const struct field *field, bool tagged,
                               const uint8_t *at)
{
    if (field->flags & FIELD_IS_ARRAY)
        return encode_array(encoder, field, at);
    if (field->flags & FIELD_IS_POINTER)
        return encode_pointer(encoder, field, tagged, at);
    return encode_value(encoder, field, at);
}

static int encode_tagged(struct encoder *encoder, const struct field *field, const uint8_t *at)
{
    struct encoder count = {NULL, 0, NULL, encoder->version, encoder->flexible};
    int err = encode_field(&count, field, true, at);
    if (err < 0)
        return err;
    if (count.counted > INT32_MAX)
        return -EINVAL;
    put_uvarint(encoder, field->tag);
    put_uvarint(encoder, (uint32_t)count.counted);
    return encode_field(encoder, field, true, at);
}

/* A field that the version lacks. */
static inline int skip_field(const struct field *field, const uint8_t *at)
{
    return field->flags & FIELD_IGNORABLE || field_is_default(field, at) ? 0 : -ENOTSUP;
}

static int encode_tags(struct encoder *encoder, const struct field *fields, const struct field *end,
                       const uint8_t *at)
{
    uint32_t count = 0;
    for (const struct field *field = fields; field < end; field++) {
        if (field_exists(field, encoder->version))
            count += !field_is_default(field, at + field->offset);
        else if (skip_field(field, at + field->offset) < 0)
            return -ENOTSUP;
    }
    if (encoder->flexible)
        put_uvarint(encoder, count);
    for (const struct field *field = fields; field < end && count > 0; field++) {
        const uint8_t *from = at + field->offset;
        if (!field_exists(field, encoder->version) || field_is_default(field, from))
            continue;
        int err = encode_tagged(encoder, field, from);
        if (err < 0)
            return err;
        count--;
    }
    return 0;
}

static int encode_struct(struct encoder *encoder, const struct struct_schema *schema,
                         const uint8_t *at)
{
    const struct field *field = &protocol_fields[schema->first_field];
    const struct field *tagged = field + schema->untagged_count;
    for (; field < tagged; field++) {
        const uint8_t *from = at + field->offset;
        int err = field_exists(field, encoder->version) ? encode_field(encoder, field, false, from)
                                                        : skip_field(field, from);
        if (err < 0)
            return err;
    }
    return encode_tags(encoder, tagged, tagged + schema->tagged_count, at);
}

static int encode_message(const struct message_schema *schema, int16_t version, const void *message,
                          struct encoder *encoder)
{
    if (!message_has_version(schema, version))
        return -ENOTSUP;
    encoder->version = version;
    encoder->flexible = message_is_flexible(schema, version);
    return encode_struct(encoder, &protocol_structs[schema->struct_index], message);
}

int message_encode(const struct message_schema *schema, int16_t version, const void *message,
                   struct writer *writer, const struct message_sink *sink)
{
    struct encoder encoder = {.writer = writer, .sink = sink};
    int err = encode_message(schema, version, message, &encoder);
    if (err < 0)
        return err;
    return writer->failed ? -ENOMEM : 0;
}

int message_size(const struct message_schema *schema, int16_t version, const void *message,
                 size_t *ret_size)
{
    struct encoder encoder = {0};
    int err = encode_message(schema, version, message, &encoder);
    if (err == 0)
        *ret_size = encoder.counted;
    return err;
}
