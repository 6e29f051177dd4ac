/* Validation of what a producer sends, as Kafka's ProduceRequest, UnifiedLog and LogValidator do
 * it, before any lock.
 *
 * Runs over the records of one partition of one Produce request: exactly one batch of magic 2, as
 * Produce 3 and later demand; a torn second one is ignored. Offsets and leader epoch are assigned
 * later, by log_append. Which fault gives which error code is in README.md. */
#ifndef JACKDAW_RECORD_VALIDATE_H
#define JACKDAW_RECORD_VALIDATE_H

#include "record/batch.h"

/* Plain bytes one compressed batch may stand for; more are refused as MESSAGE_TOO_LARGE. This is
 * what bounds a decompression bomb: in memory where the batch is recompressed (else only one record
 * at a time is held), in CPU time everywhere. */
#define VALIDATE_PLAIN_MAX_BYTES (256 * 1024 * 1024)
/* Record errors told one by one; the code and the text's count are right beyond. */
#define VALIDATE_RECORD_ERRORS_MAX 1000

struct validate_rules {
    struct str topic_partition; /* "topic-0", for texts */
    int16_t produce_version;    /* of the request; zstd needs 7. The broker's own appends: 7 */
    int32_t max_message_bytes;
    bool compacted; /* records need keys */
    bool log_append_time;
    int64_t now_ms;        /* wall clock */
    int64_t before_max_ms; /* message.timestamp.before.max.ms; INT64_MAX: no bound */
    int64_t after_max_ms;
    bool recompress;         /* the topic has a codec of its own (compression.type != producer) */
    enum compression target; /* valid if recompress; COMPRESSION_NONE is one, too */
    int target_level;        /* COMPRESSION_LEVEL_DEFAULT or the topic's */
    bool control_allowed;    /* the broker's own appends: any base offset, control records, no
                                sequence rules */
    struct plain_budget *plain;  /* for decompressed bytes; NULL: unlimited */
    size_t decompress_max_bytes; /* max.decompressed.message.bytes: the largest record */
};

struct record_error {
    int32_t batch_index; /* of the record, from 0 */
    const char *message; /* Kafka's text; static or in the arena */
};

/* What to answer beside the code. Record errors are there only when single records failed while
 * the batch is sound: INVALID_RECORD for keyless ones, INVALID_TIMESTAMP. */
struct validate_failure {
    const char *message; /* Kafka's text for the partition; static or in the arena, never NULL */
    struct record_error *record_errors; /* in the arena */
    int32_t record_error_count;
    bool not_a_batch; /* found before any log was asked: the bytes are not one batch of magic 2 */
};

struct validated {
    /* The bytes to append: the input itself (with timestamps changed in place where the rules ask)
     * or, if `owned`, a recompressed copy that validated_close frees. */
    uint8_t *data;
    size_t size;
    bool owned;
    struct batch *batches; /* in the arena; `data` pointers lie in `data` */
    int32_t batch_count;   /* 1 */
    int64_t record_count;
    int64_t max_timestamp;
    int64_t log_append_time; /* -1 with CreateTime */
};

/* 0, or +code: CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE,
 * UNSUPPORTED_COMPRESSION_TYPE; REQUEST_TIMED_OUT when `plain` has no room now, which clients take
 * for a reason to try again; -ENOMEM. Only after 0 are ret_validated set and the input possibly
 * changed; only after +code is ret_failure set.
 *
 * Uncompressed batches without recompression read headers, checksum and the records' frame (a few
 * ns a record); compressed ones are decompressed, a record at a time. */
int validate_records(const struct validate_rules *rules, uint8_t *data, size_t size,
                     struct arena *arena, struct validated *ret_validated,
                     struct validate_failure *ret_failure);
void validated_close(struct validated *validated);

/* Whether validating these bytes may take more than about a millisecond of CPU time (recompression,
 * decompression of much): then it belongs into a pool job. */
bool validate_is_heavy(const struct validate_rules *rules, const uint8_t *data, size_t size);

#endif
