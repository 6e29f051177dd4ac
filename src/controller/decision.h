/* A decision under construction: what an op reads, and the records it writes.
 *
 * Nothing changes until the controller applies the whole decision to the head and proposes it.
 * Until then records can be taken back: decision_mark, decision_rewind. */
#ifndef JACKDAW_CONTROLLER_DECISION_H
#define JACKDAW_CONTROLLER_DECISION_H

#include "base/arena.h"
#include "base/errors.h"
#include "base/must.h"
#include "metadata/config_keys_broker.h"
#include "metadata/features.h"
#include "metadata/fold.h"
#include "os/env.h"

enum {
    /* Of one decision: a million partitions change when a large broker is fenced. */
    DECISION_MAX_RECORDS = 4000000,
    CONFIGS_PER_RESOURCE_MAX = 1000, /* in one request; there are not that many keys */
};

struct decision_record {
    const struct metadata_record_type *type;
    int16_t version;
    const void *record;
};

struct decision {
    /* To read. */
    struct env *env;
    const struct say *say;
    const struct image *head;
    const struct broker_config *config;
    int16_t level;         /* head->metadata_version */
    int16_t kraft_version; /* the quorum's */
    int64_t next_offset;   /* of the decision's first record */
    int32_t node_id;
    int64_t now_ns;

    /* Where the response goes; and what lives until the decision is applied. */
    struct arena *arena;
    struct arena *scratch;

    /* To write. */
    struct decision_record *records;
    int32_t count;
    int32_t capacity;
    int error; /* -ENOMEM or -E2BIG: the decision cannot be made */
};

/* Add a record. The struct is copied; what it points to must live until the decision is applied: in
 * scratch, in the request or in the head. */
void decision_add(struct decision *decision, int16_t type, int16_t version, const void *record);

static inline int32_t decision_mark(const struct decision *decision)
{
    return decision->count;
}
static inline void decision_rewind(struct decision *decision, int32_t mark)
{
    must(mark <= decision->count);
    decision->count = mark;
}

/* An outcome of a part of a request: a wire error code and what Kafka says of it. NULL data: no
 * text. */
struct outcome {
    int16_t error_code;
    struct str message;
};

#define OUTCOME_OK ((struct outcome){0, {NULL, 0}})

static inline struct outcome outcome_of(int16_t error_code, const char *message)
{
    return (struct outcome){error_code, str_of(message)};
}

/* printf into the response's arena. */
struct outcome outcome_printf(struct decision *decision, int16_t error_code, const char *format,
                              ...) __attribute__((format(printf, 3, 4)));

/* Names for an error text, comma-separated; what does not fit is left out. */
struct name_list {
    char text[512];
    int32_t size;
};
void name_list_add(struct name_list *list, struct str name);

/* Arguments for "%.*s". */
#define STR_ARGS(text) (int)(text).size, (text).data ? (text).data : ""

/* A random id that is not reserved. */
struct uuid decision_random_id(struct decision *decision);

#endif
