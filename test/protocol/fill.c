#include "fill.h"

#include "base/must.h"
#include "protocol/walk.h"

struct filler {
    struct arena *arena;
    uint64_t state;
    enum fill_mode mode;
    int16_t version;
    int depth;
};

static void fill_struct(struct filler *filler, const struct struct_schema *schema, uint8_t *at);

/* splitmix64 */
static uint64_t draw(struct filler *filler)
{
    uint64_t z = filler->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t draw_below(struct filler *filler, uint64_t limit)
{
    return draw(filler) % limit;
}

/* Small numbers, the ends of ranges, and anything. */
static int64_t draw_number(struct filler *filler)
{
    static const int64_t edges[] = {0,         1,         -1,         127,       128,
                                    INT8_MIN,  INT16_MAX, INT16_MIN,  INT32_MAX, INT32_MIN,
                                    INT64_MAX, INT64_MIN, UINT16_MAX, UINT32_MAX};
    if (draw_below(filler, 2) == 0)
        return edges[draw_below(filler, array_size(edges))];
    return (int64_t)(draw(filler) >> draw_below(filler, 64));
}

/* Lengths around those where a uvarint grows; in full messages never 0. */
static int32_t draw_length(struct filler *filler)
{
    uint64_t kind = draw_below(filler, 64);
    int32_t length = (int32_t)draw_below(filler, 12);
    if (kind == 0)
        length = 120 + (int32_t)draw_below(filler, 16);
    else if (kind == 1 && filler->depth < 2)
        length = 16370 + (int32_t)draw_below(filler, 30);
    return length == 0 && filler->mode == FILL_FULL ? 1 : length;
}

/* Valid UTF-8 of exactly `length` bytes. */
static struct str draw_string(struct filler *filler)
{
    static const char *const points[] = {"a", "Z", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa6"};
    int32_t length = draw_length(filler);
    char *text = arena_alloc(filler->arena, (size_t)length + 1);
    for (int32_t at = 0; at < length;) {
        const char *point = points[draw_below(filler, array_size(points))];
        int32_t size = (int32_t)strlen(point);
        if (size > length - at)
            continue;
        memcpy(text + at, point, (size_t)size);
        at += size;
    }
    return (struct str){text, length};
}

static struct bytes draw_bytes(struct filler *filler)
{
    int32_t length = draw_length(filler);
    uint8_t *data = arena_alloc(filler->arena, (size_t)length);
    for (int32_t i = 0; i < length; i++)
        data[i] = (uint8_t)draw(filler);
    return (struct bytes){data, length};
}

/* One value that is neither an array nor a pointer; `at` is zeroed. */
static void fill_value(struct filler *filler, const struct field *field, uint8_t *at)
{
    int64_t number = draw_number(filler);
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL:
        *(bool *)at = number & 1;
        break;
    case FIELD_FLOAT64: {
        double value = (double)number / 8;
        memcpy(at, &value, sizeof value);
        break;
    }
    case FIELD_INT8:
    case FIELD_INT16:
    case FIELD_UINT16:
    case FIELD_INT32:
    case FIELD_UINT32:
    case FIELD_INT64:
        memcpy(at, &number, field_kind_sizes[field->kind]); /* little-endian: the low bytes */
        break;
    case FIELD_UUID: {
        struct uuid id = uuid_of(draw(filler), draw(filler));
        memcpy(at, &id, sizeof id);
        break;
    }
    case FIELD_STRING:
        *(struct str *)at = draw_string(filler);
        break;
    case FIELD_BYTES:
        *(struct bytes *)at = draw_bytes(filler);
        break;
    case FIELD_RECORDS: {
        struct bytes bytes = draw_bytes(filler);
        *(struct records *)at = (struct records){.data = bytes.data, .size = bytes.size};
        break;
    }
    case FIELD_STRUCT:
        fill_struct(filler, field_struct(field), at);
        break;
    case FIELD_KINDS:
        break;
    }
}

static void fill_array(struct filler *filler, const struct field *field, uint8_t *at)
{
    struct any_array *array = (struct any_array *)at;
    size_t size = field_item_size(field);
    int32_t count = (int32_t)draw_below(filler, filler->depth > 1 ? 3 : 5);
    if (field->kind != FIELD_STRUCT && draw_below(filler, 32) == 0)
        count = 126 + (int32_t)draw_below(filler, 4);
    if (count == 0 && filler->mode == FILL_FULL)
        count = 1;
    array->count = count;
    array->items = arena_array(filler->arena, (size_t)count, size);
    for (int32_t i = 0; i < count; i++)
        fill_value(filler, field, array->items + (size_t)i * size);
}

static void fill_present(struct filler *filler, const struct field *field, uint8_t *at)
{
    memset(at, 0,
           field->flags & FIELD_IS_ARRAY     ? sizeof(struct any_array)
           : field->flags & FIELD_IS_POINTER ? sizeof(void *)
                                             : field_item_size(field));
    if (field->flags & FIELD_IS_ARRAY) {
        fill_array(filler, field, at);
    } else if (field->flags & FIELD_IS_POINTER) {
        uint8_t *to = arena_alloc(filler->arena, field_struct(field)->size);
        *(void **)at = to;
        fill_struct(filler, field_struct(field), to);
    } else {
        fill_value(filler, field, at);
    }
}

static void fill_null(const struct field *field, uint8_t *at)
{
    memset(at, 0,
           field->flags & FIELD_IS_ARRAY     ? sizeof(struct any_array)
           : field->flags & FIELD_IS_POINTER ? sizeof(void *)
                                             : field_item_size(field));
    if (field->flags & FIELD_IS_ARRAY)
        ((struct any_array *)at)->count = -1;
}

static void fill_field(struct filler *filler, const struct field *field, uint8_t *at)
{
    bool nullable = field_nullable(field, filler->version);
    bool null_default = field->flags & FIELD_NULL_DEFAULT;
    if (filler->mode == FILL_DEFAULT) {
        field_set_default(field, at);
        if (null_default && !nullable) /* the version cannot carry its default */
            fill_present(filler, field, at);
    } else if (filler->mode == FILL_RANDOM && draw_below(filler, 4) == 0 &&
               (!null_default || nullable)) {
        field_set_default(field, at);
    } else if (filler->mode == FILL_RANDOM && nullable && draw_below(filler, 4) == 0) {
        fill_null(field, at);
    } else {
        do
            fill_present(filler, field, at);
        while (filler->mode == FILL_FULL && field_is_default(field, at));
    }
}

static void fill_struct(struct filler *filler, const struct struct_schema *schema, uint8_t *at)
{
    const struct field *field = &protocol_fields[schema->first_field];
    const struct field *end = field + schema->untagged_count + schema->tagged_count;
    filler->depth++;
    for (; field < end; field++) {
        if (field_exists(field, filler->version))
            fill_field(filler, field, at + field->offset);
        else
            field_set_default(field, at + field->offset);
    }
    filler->depth--;
}

void *fill_message(const struct message_schema *schema, int16_t version, enum fill_mode mode,
                   uint64_t seed, struct arena *arena)
{
    must(message_has_version(schema, version));
    struct filler filler = {arena, seed, mode, version, 0};
    uint8_t *message = arena_alloc(arena, message_struct_size(schema));
    fill_struct(&filler, &protocol_structs[schema->struct_index], message);
    return message;
}
