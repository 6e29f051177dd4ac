/* The mechanism of configuration: keys, typed values, layers. It knows no key by name; tables of
 * keys are schemas, see metadata/config_keys.h.
 *
 * Parsing follows Kafka's ConfigDef: texts are trimmed, booleans are true or false in any case,
 * numbers as Java's parseInt, parseShort, parseLong and parseDouble take them, lists are separated
 * by commas. Errors have its form: "Invalid value X for configuration Y: ...". */
#ifndef JACKDAW_BASE_CONFIG_H
#define JACKDAW_BASE_CONFIG_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"

/* The numbers are those of DescribeConfigs (KIP-569). */
enum config_type {
    CONFIG_TYPE_BOOLEAN = 1,
    CONFIG_TYPE_STRING = 2,
    CONFIG_TYPE_INT = 3,
    CONFIG_TYPE_SHORT = 4,
    CONFIG_TYPE_LONG = 5,
    CONFIG_TYPE_DOUBLE = 6,
    CONFIG_TYPE_LIST = 7,
    CONFIG_TYPE_CLASS = 8,
    CONFIG_TYPE_PASSWORD = 9,
};

/* Where a value comes from, as DescribeConfigs numbers it (KIP-226). */
enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_DYNAMIC_BROKER = 2,
    CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER = 3,
    CONFIG_SOURCE_STATIC_BROKER = 4,
    CONFIG_SOURCE_DEFAULT = 5,
    CONFIG_SOURCE_DYNAMIC_BROKER_LOGGER = 6,
    CONFIG_SOURCE_CLIENT_METRICS = 7,
    CONFIG_SOURCE_GROUP = 8,
};

enum config_importance { CONFIG_IMPORTANCE_HIGH, CONFIG_IMPORTANCE_MEDIUM, CONFIG_IMPORTANCE_LOW };

/* What Jackdaw does with a key. */
enum config_status {
    CONFIG_HONOURED,  /* it does what Kafka's documentation says */
    CONFIG_NO_EFFECT, /* any valid value is accepted and changes nothing; `about` is the reason */
    CONFIG_REFUSED,   /* only the default (or null, or empty) is accepted; `about` is the reason */
};

/* How a broker's key may change while it runs (KIP-226). Cluster-wide keys may be set per broker
 * too. */
enum config_mode { CONFIG_READ_ONLY, CONFIG_PER_BROKER, CONFIG_CLUSTER_WIDE };

/* Who gets to see a key. */
enum config_visibility {
    CONFIG_PUBLIC,
    CONFIG_INTERNAL,     /* neither documented nor, unless it is set, described */
    CONFIG_DYNAMIC_ONLY, /* unknown in files; a dynamic value only */
};

/* A typed value. */
struct config_value {
    bool is_null;   /* no default and not set */
    uint8_t source; /* enum config_source */
    union {
        bool boolean;   /* BOOLEAN */
        int64_t number; /* INT, SHORT, LONG */
        double real;    /* DOUBLE */
    };
    struct str text; /* STRING, CLASS, PASSWORD: trimmed. LIST: items trimmed, joined by ','.
                      * Of the other types: as it was written. Always NUL-terminated. */
};

struct config_key;

/* A check after parsing. `function` answers NULL, or the whole error text, which may live in the
 * arena. */
struct config_check {
    enum {
        CONFIG_CHECK_NONE,
        CONFIG_CHECK_RANGE,            /* min..max; numbers, or reals for DOUBLE */
        CONFIG_CHECK_RANGE_OR_MINUS_1, /* min..max or -1 */
        CONFIG_CHECK_ONE_OF,           /* `allowed`, case matters */
        CONFIG_CHECK_ONE_OF_ANY_CASE,  /* `allowed`, any case */
        CONFIG_CHECK_LIST,             /* no duplicates, no empty item; `allowed` NULL: any items */
        CONFIG_CHECK_NON_NULL,
        CONFIG_CHECK_NON_EMPTY,
        CONFIG_CHECK_FUNCTION,
    } kind;
    bool no_empty; /* LIST: an empty list is an error */
    bool null_ok;  /* LIST: null is fine */
    union {
        int64_t min;
        double min_real; /* of DOUBLE */
    };
    union {
        int64_t max;
        double max_real;
    };
    const char *allowed; /* "a, b, c": separated by ", ", in the order of error messages */
    const char *(*function)(const struct config_key *key, const struct config_value *value,
                            struct arena *arena);
};

/* One key of a schema; constant data. */
struct config_key {
    const char *name;
    const char *default_text; /* NULL: null, or required */
    const char *about;        /* our own words: what it does, or why not; may be empty */
    struct config_check check;
    uint8_t type;       /* enum config_type */
    uint8_t importance; /* enum config_importance */
    uint8_t status;     /* enum config_status */
    uint8_t mode;       /* enum config_mode */
    uint8_t visibility; /* enum config_visibility */
};

/* A table of keys, sorted by name. An index into `keys` names a key everywhere. */
struct config_schema {
    const struct config_key *keys;
    int32_t count;
};

/* An error text in the arena; a shorter one without details when the arena is exhausted, so that it
 * is never NULL. */
const char *config_error(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Index of the key with that name, or -1. */
int32_t config_find(const struct config_schema *schema, struct str name);

/* The nearest name by edit distance, for "did you mean", or NULL when none is near. */
const char *config_nearest(const struct config_schema *schema, struct str name);

/* Text to value, checked. KAFKA_INVALID_CONFIG with an error text in the arena, or -ENOMEM.
 * text.data NULL: the value null. */
int config_parse(const struct config_key *key, struct str text, struct arena *arena,
                 struct config_value *ret_value, const char **ret_error);

/* The value as Kafka prints it (lists joined by ",", reals as Java's Double.toString), in the
 * arena; data NULL for null or when memory runs out. */
struct str config_format(const struct config_key *key, const struct config_value *value,
                         struct arena *arena);

enum { CONFIG_LIST_MAX_ITEMS = 4096 }; /* of a list that is checked for duplicates */

/* The first item of a comma-separated text, trimmed; ret_rest is what follows. False at the end: an
 * empty text has no items, and an empty last item is left out. */
bool config_list_next(struct str list, struct str *ret_item, struct str *ret_rest);
int32_t config_list_count(struct str list); /* commas and one; 0 for an empty text */
bool config_list_has(struct str list, struct str item);

/* Names and values as they were set: a file's content, the overrides of a topic. Sorted by name,
 * each name once; {NULL, 0} is the empty set. Whoever holds the items owns them. */
struct config_pair {
    struct str name;
    struct str value;
};

struct config_pairs {
    const struct config_pair *items;
    int32_t count;
};

/* The value of that name; data NULL when it is not set. */
struct str config_pairs_get(struct config_pairs pairs, struct str name);

/* Sort items in place and drop all but the last of equal names; ret_count is how many are left.
 * 0 or -ENOMEM. */
int config_pairs_sort(struct config_pair *items, int32_t count, int32_t *ret_count);

/* One source of values for a schema. */
struct config_layer {
    enum config_source source;
    struct config_pairs pairs;
};

/* All values of a schema: the strongest layer's, else the default. Immutable once built. */
struct config {
    const struct config_schema *schema;
    struct config_value *values; /* schema->count of them */
};

/* Resolve. `layers` come strongest first. Every pair whose name the schema knows is parsed; the
 * first invalid one fails with KAFKA_INVALID_CONFIG and its text. Values live in the arena. */
int config_build(const struct config_schema *schema, const struct config_layer *layers,
                 int32_t layer_count, struct arena *arena, struct config *ret_config,
                 const char **ret_error);

/* Getters by index; the type must be the key's and the value not null (must). */
bool config_bool(const struct config *config, int32_t key);
int32_t config_int(const struct config *config, int32_t key);
int64_t config_long(const struct config *config, int32_t key); /* INT, SHORT, LONG */
double config_double(const struct config *config, int32_t key);
struct str config_text(const struct config *config, int32_t key); /* data NULL: null */
bool config_is_null(const struct config *config, int32_t key);
enum config_source config_source_of(const struct config *config, int32_t key);

#endif
