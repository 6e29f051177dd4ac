/* The tables that tools/schema-compile makes from schema/, as the codec reads them. Only protocol/
 * and its tests look inside. References between tables are indices, so that the tables need no
 * relocation and stay shared, read-only pages. */
#ifndef JACKDAW_PROTOCOL_TABLES_H
#define JACKDAW_PROTOCOL_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/message.h"

enum field_kind {
    FIELD_BOOL,
    FIELD_INT8,
    FIELD_INT16,
    FIELD_UINT16,
    FIELD_INT32,
    FIELD_UINT32,
    FIELD_INT64,
    FIELD_FLOAT64,
    FIELD_UUID,
    FIELD_STRING,
    FIELD_BYTES,
    FIELD_RECORDS,
    FIELD_STRUCT,
    FIELD_KINDS,
};

enum field_flags {
    FIELD_IS_ARRAY = 1,       /* of `kind` */
    FIELD_IS_POINTER = 2,     /* a nullable struct */
    FIELD_IGNORABLE = 4,      /* dropped, not refused, where the version lacks it */
    FIELD_INFLEXIBLE = 8,     /* written as in inflexible versions always */
    FIELD_NULL_DEFAULT = 16,  /* the default is null */
    FIELD_DEFAULT_BYTES = 32, /* the default is more than zero bytes in the C struct */
    FIELD_NULLABLE = 64,      /* in some version */
};

/* One field. Version ranges are inclusive; min > max is an empty one. */
struct field {
    uint8_t kind;
    uint8_t flags;
    int8_t min_version;
    int8_t max_version;
    int8_t nullable_min;
    int8_t nullable_max;
    uint8_t tag;           /* of fields from untagged_count on */
    uint8_t default_index; /* into protocol_defaults; of a pointer, into protocol_default_structs */
    uint16_t offset;       /* in the C struct */
    uint16_t struct_index; /* of a struct or an array of them */
    uint32_t name;         /* offset into protocol_names */
};

/* One C struct: the untagged fields in order, then the tagged ones by ascending tag. */
struct struct_schema {
    uint32_t first_field; /* into protocol_fields */
    uint32_t least_sizes; /* into protocol_least_sizes: one byte per version of the message, the
                             fewest bytes that the struct takes on the wire (255: or more) */
    uint16_t size;        /* of the C struct */
    uint8_t untagged_count;
    uint8_t tagged_count;
    uint8_t first_version; /* of the message: the version of the first least size */
    bool default_bytes;    /* some default is more than zero bytes */
};

struct message_schema {
    const char *name;
    uint32_t arena_factor; /* bytes of arena per byte of input, at most */
    uint16_t struct_index;
    int8_t min_version;
    int8_t max_version;
    uint8_t flexible_version; /* the first; 127: none */
};

extern const struct field protocol_fields[];
extern const struct struct_schema protocol_structs[];
extern const uint8_t protocol_least_sizes[];
extern const int64_t protocol_defaults[];
extern const void *const protocol_default_structs[];
extern const char protocol_names[];

/* Every message, for tests and tools that walk over all of them. */
extern const struct message_schema *const protocol_messages[];
extern const unsigned protocol_message_count;

#endif
