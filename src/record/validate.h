/* Validation of what a producer sends, as Kafka's LogValidator and UnifiedLog do it, before any
 * lock.
 *
 * Runs over all batches of one partition of one Produce request. Offsets are assigned later, by
 * log_append. */
#ifndef JACKDAW_RECORD_VALIDATE_H
#define JACKDAW_RECORD_VALIDATE_H

#include "record/batch.h"

struct validate_rules {
    int32_t max_message_bytes;
    bool compacted; /* records need keys */
    bool log_append_time;
    int64_t now_ms;        /* wall clock */
    int64_t before_max_ms; /* message.timestamp.before.max.ms; INT64_MAX: no bound */
    int64_t after_max_ms;
    bool recompress;         /* the topic has a codec of its own (compression.type != producer) */
    enum compression target; /* valid if recompress */
    int target_level;
    bool control_allowed;        /* the broker's own appends */
    bool transactional_id_given; /* for later checks of the caller */
    size_t decompress_max_bytes; /* bound on memory per batch */
};

/* The first record that failed, for Produce's per-record errors. */
struct validate_failure {
    int32_t batch_index; /* relative to the first record of the request's partition data */
    const char *message; /* Kafka's text; static or in the arena */
};

struct validated {
    /* The bytes to append: the input itself (with timestamps changed in place where the rules ask)
     * or, if `owned`, a recompressed copy that validated_close frees. */
    uint8_t *data;
    size_t size;
    bool owned;
    struct batch *batches; /* in the arena; `data` pointers lie in `data` */
    int32_t batch_count;
    int64_t record_count;
    int64_t max_timestamp;
    int64_t log_append_time; /* -1 with CreateTime */
};

/* 0, or +code: CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE,
 * UNSUPPORTED_COMPRESSION_TYPE, UNSUPPORTED_FOR_MESSAGE_FORMAT, INVALID_REQUEST…; -ENOMEM.
 * `cheap` inputs (magic 2, no recompression, not compacted, CreateTime) read only headers, checksum
 * and — as Kafka does — the records' lengths and counts. */
int validate_records(const struct validate_rules *rules, uint8_t *data, size_t size,
                     struct arena *arena, struct validated *ret_validated,
                     struct validate_failure *ret_failure);
void validated_close(struct validated *validated);

/* Whether validating these bytes will take real CPU time (recompression): then it belongs to a
 * pool job. */
bool validate_is_heavy(const struct validate_rules *rules, const uint8_t *data, size_t size);

#endif
