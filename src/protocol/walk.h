/* What decoding, encoding and printing share: looking at one field of a C struct by its row. */
#ifndef JACKDAW_PROTOCOL_WALK_H
#define JACKDAW_PROTOCOL_WALK_H

#include "protocol/tables.h"

/* Any array member; all of them are laid out alike. */
struct any_array {
    uint8_t *items;
    int32_t count;
};

_Static_assert(sizeof(struct any_array) == sizeof(struct str_array), "arrays are alike");
_Static_assert(offsetof(struct any_array, count) == offsetof(struct int8_array, count), "arrays");

static inline bool field_exists(const struct field *field, int16_t version)
{
    return version >= field->min_version && version <= field->max_version;
}

static inline bool field_nullable(const struct field *field, int16_t version)
{
    return version >= field->nullable_min && version <= field->nullable_max;
}

static inline const char *field_name(const struct field *field)
{
    return protocol_names + field->name;
}

static inline const struct struct_schema *field_struct(const struct field *field)
{
    return &protocol_structs[field->struct_index];
}

/* The fewest bytes that a struct takes on the wire. */
static inline size_t struct_least_size(const struct struct_schema *schema, int16_t version)
{
    return protocol_least_sizes[schema->least_sizes + (unsigned)(version - schema->first_version)];
}

/* Bytes in memory of a value of this kind; 0 for structs. */
extern const uint8_t field_kind_sizes[FIELD_KINDS];

static inline size_t field_item_size(const struct field *field)
{
    return field->kind == FIELD_STRUCT ? field_struct(field)->size : field_kind_sizes[field->kind];
}

/* Set one field of a zeroed struct to its default. */
void field_set_default(const struct field *field, uint8_t *at);

/* Set the defaults of a zeroed struct. */
void struct_set_defaults(const struct struct_schema *schema, uint8_t *at);

/* Whether the field at `at` has its default. A null string counts as "" where null is never
 * allowed, since nobody can have meant it. */
bool field_is_default(const struct field *field, const uint8_t *at);

#endif
