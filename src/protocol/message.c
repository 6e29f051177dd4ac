#include "protocol/message.h"

#include "base/must.h"
#include "protocol/walk.h"

/* Schemas and defaults. The tables mark which structs and fields default to anything but zero
 * bytes, so that the others cost nothing beyond the clearing of their memory. */

const uint8_t field_kind_sizes[FIELD_KINDS] = {
    [FIELD_BOOL] = sizeof(bool),
    [FIELD_INT8] = 1,
    [FIELD_INT16] = 2,
    [FIELD_UINT16] = 2,
    [FIELD_INT32] = 4,
    [FIELD_UINT32] = 4,
    [FIELD_INT64] = 8,
    [FIELD_FLOAT64] = sizeof(double),
    [FIELD_UUID] = sizeof(struct uuid),
    [FIELD_STRING] = sizeof(struct str),
    [FIELD_BYTES] = sizeof(struct bytes),
    [FIELD_RECORDS] = sizeof(struct records),
};

const char *message_name(const struct message_schema *schema)
{
    return schema->name;
}

int16_t message_min_version(const struct message_schema *schema)
{
    return schema->min_version;
}

int16_t message_max_version(const struct message_schema *schema)
{
    return schema->max_version;
}

size_t message_struct_size(const struct message_schema *schema)
{
    return protocol_structs[schema->struct_index].size;
}

bool message_is_flexible(const struct message_schema *schema, int16_t version)
{
    return version >= schema->flexible_version;
}

bool message_has_version(const struct message_schema *schema, int16_t version)
{
    return version >= schema->min_version && version <= schema->max_version;
}

size_t message_arena_bound(const struct message_schema *schema, size_t size_bytes)
{
    size_t bound;
    return __builtin_mul_overflow(size_bytes, (size_t)schema->arena_factor, &bound) ? SIZE_MAX
                                                                                    : bound;
}

static void set_scalar_default(const struct field *field, uint8_t *at)
{
    int64_t value = protocol_defaults[field->default_index];
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL:
        *(bool *)at = value != 0;
        break;
    case FIELD_INT8:
        *(int8_t *)at = (int8_t)value;
        break;
    case FIELD_INT16:
    case FIELD_UINT16:
        *(int16_t *)at = (int16_t)value;
        break;
    case FIELD_INT32:
    case FIELD_UINT32:
        *(int32_t *)at = (int32_t)value;
        break;
    case FIELD_INT64:
        *(int64_t *)at = value;
        break;
    case FIELD_FLOAT64:
        *(double *)at = (double)value;
        break;
    case FIELD_STRING:
        *(struct str *)at = (struct str){"", 0};
        break;
    case FIELD_BYTES:
        *(struct bytes *)at = (struct bytes){(const uint8_t *)"", 0};
        break;
    case FIELD_UUID:
    case FIELD_RECORDS:
    case FIELD_STRUCT:
    case FIELD_KINDS:
        must(!"the default of this kind is zero bytes");
    }
}

void field_set_default(const struct field *field, uint8_t *at)
{
    if (!(field->flags & FIELD_DEFAULT_BYTES))
        return;
    if (field->flags & FIELD_IS_ARRAY)
        ((struct any_array *)at)->count = -1;
    else if (field->flags & FIELD_IS_POINTER)
        *(const void **)at = protocol_default_structs[field->default_index];
    else if (field->kind == FIELD_STRUCT)
        struct_set_defaults(field_struct(field), at);
    else
        set_scalar_default(field, at);
}

void struct_set_defaults(const struct struct_schema *schema, uint8_t *at)
{
    if (!schema->default_bytes)
        return;
    const struct field *field = &protocol_fields[schema->first_field];
    const struct field *end = field + schema->untagged_count + schema->tagged_count;
    for (; field < end; field++)
        field_set_default(field, at + field->offset);
}

static bool struct_is_default(const struct struct_schema *schema, const uint8_t *at)
{
    const struct field *field = &protocol_fields[schema->first_field];
    const struct field *end = field + schema->untagged_count + schema->tagged_count;
    for (; field < end; field++) {
        if (!field_is_default(field, at + field->offset))
            return false;
    }
    return true;
}

static bool range_is_default(const struct field *field, const void *data, int32_t size)
{
    if (field->flags & FIELD_NULL_DEFAULT)
        return !data;
    return size == 0 && (data || !(field->flags & FIELD_NULLABLE));
}

bool field_is_default(const struct field *field, const uint8_t *at)
{
    if (field->flags & FIELD_IS_ARRAY)
        return ((const struct any_array *)at)->count ==
               (field->flags & FIELD_NULL_DEFAULT ? -1 : 0);
    if (field->flags & FIELD_IS_POINTER) {
        const uint8_t *to = *(const uint8_t *const *)at;
        return field->flags & FIELD_NULL_DEFAULT ? !to
                                                 : to && struct_is_default(field_struct(field), to);
    }
    int64_t value = protocol_defaults[field->default_index];
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL:
        return *(const bool *)at == (value != 0);
    case FIELD_INT8:
        return *(const int8_t *)at == value;
    case FIELD_INT16:
        return *(const int16_t *)at == value;
    case FIELD_UINT16:
        return *(const uint16_t *)at == value;
    case FIELD_INT32:
        return *(const int32_t *)at == value;
    case FIELD_UINT32:
        return *(const uint32_t *)at == value;
    case FIELD_INT64:
        return *(const int64_t *)at == value;
    case FIELD_FLOAT64:
        return *(const double *)at == (double)value;
    case FIELD_UUID:
        return uuid_is_zero(*(const struct uuid *)at);
    case FIELD_STRING:
        return range_is_default(field, ((const struct str *)at)->data,
                                ((const struct str *)at)->size);
    case FIELD_BYTES:
        return range_is_default(field, ((const struct bytes *)at)->data,
                                ((const struct bytes *)at)->size);
    case FIELD_RECORDS:
        return !((const struct records *)at)->data && !((const struct records *)at)->external;
    case FIELD_STRUCT:
        return struct_is_default(field_struct(field), at);
    case FIELD_KINDS:
        break;
    }
    must(!"a kind of the table");
    return false;
}

void message_struct_init(unsigned index, void *ret_struct)
{
    const struct struct_schema *schema = &protocol_structs[index];
    memset(ret_struct, 0, schema->size);
    struct_set_defaults(schema, ret_struct);
}

void *message_struct_array(unsigned index, struct arena *arena, int32_t count)
{
    must(count >= 0);
    const struct struct_schema *schema = &protocol_structs[index];
    uint8_t *items = arena_array(arena, (size_t)count, schema->size);
    if (items && schema->default_bytes) {
        for (int32_t i = 0; i < count; i++)
            struct_set_defaults(schema, items + (size_t)i * schema->size);
    }
    return items;
}

void message_init(const struct message_schema *schema, void *ret_message)
{
    message_struct_init(schema->struct_index, ret_message);
}
