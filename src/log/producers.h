/* What one partition knows of its idempotent and transactional producers: the last batches of each,
 * to recognise repeats and gaps, and which transactions are open.
 *
 * The rules are Kafka's (ProducerAppendInfo, ProducerStateEntry, ProducerStateManager; KIP-98,
 * KIP-360, KIP-890, KIP-1228). A check comes before the write and changes nothing; an update comes
 * after it and cannot fail. No locks here: all calls are the log's writer's; what readers need
 * (first unstable offset) the log publishes. */
#ifndef JACKDAW_LOG_PRODUCERS_H
#define JACKDAW_LOG_PRODUCERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "record/batch.h"

#define PRODUCER_BATCHES 5
#define PRODUCERS_MAX 4194304 /* in a snapshot that is read */

struct producer_batch {
    int64_t last_offset;
    int64_t timestamp;
    int32_t last_sequence;
    int32_t offset_delta; /* last offset - first offset */
};

struct producer {
    int64_t id;
    int64_t last_timestamp;
    int64_t txn_first_offset; /* -1: no transaction open */
    int32_t coordinator_epoch;
    int16_t epoch;
    uint8_t batch_count;
    uint8_t batch_first;                             /* place of the oldest */
    struct producer_batch batches[PRODUCER_BATCHES]; /* a ring */
};
_Static_assert(sizeof(struct producer) == 152, "a producer costs 152 bytes");

static inline bool producer_is_in_transaction(const struct producer *producer)
{
    return producer->txn_first_offset >= 0;
}

/* A transaction by its first offset: open, or decided but not yet below the high watermark. */
struct open_txn {
    int64_t first_offset;
    int64_t producer_id;
    int64_t segment_base; /* where its first batch is; -1: not known */
    int32_t position;
    uint32_t file_epoch; /* of the log, when that was noted */
};
struct decided_txn {
    int64_t first_offset;
    int64_t last_offset;
};

struct producers {
    struct producer *items; /* dense, in no order that matters */
    uint32_t count, capacity;
    uint32_t
        *slots; /* open addressing by id; item number + 1, 0 empty; NULL while count is small */
    uint32_t slot_count;   /* a power of two */
    struct open_txn *open; /* by first offset, ascending */
    int32_t open_count, open_capacity;
    struct decided_txn *decided; /* by first offset, ascending */
    int32_t decided_count, decided_capacity;
};

void producers_close(struct producers *producers);
/* Forget everything, keeping the memory. */
void producers_clear(struct producers *producers);

struct producer *producers_find(const struct producers *producers, int64_t id);
/* The newest batch's last sequence, last offset and delta; -1, -1 and 0 when there is none. */
int32_t producer_last_sequence(const struct producer *producer);
int64_t producer_last_offset(const struct producer *producer);
int32_t producer_batch_first_sequence(const struct producer_batch *batch); /* wraps downwards */

/* Add a producer as it stands, with its open transaction; false when its id or the transaction's
 * offset is there already. Needs producers_reserve. */
bool producers_put(struct producers *producers, const struct producer *producer);

enum producer_origin { PRODUCER_CLIENT, PRODUCER_COORDINATOR, PRODUCER_REPLICATION };

/* An end-of-transaction marker, read from a control batch. */
struct txn_marker {
    bool is_marker; /* false: another kind of control record */
    bool commit;
    int32_t coordinator_epoch;
    int64_t timestamp;
};

/* Read the marker of a control batch whose bytes are in memory. 0, -EBADMSG, -ENOMEM. */
int txn_marker_read(const struct batch *batch, struct txn_marker *ret_marker);

/* Whether the batch may be appended: 0; OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH,
 * INVALID_TXN_STATE, TRANSACTION_COORDINATOR_FENCED; or DUPLICATE_SEQUENCE_NUMBER with the original
 * batch. Replicated batches always may. `marker` is NULL for data. */
int producers_check(const struct producers *producers, const struct batch *batch,
                    const struct txn_marker *marker, enum producer_origin origin,
                    int16_t transaction_version, struct producer_batch *ret_original);

/* Make room for `more` batches' producers and transactions. -ENOMEM. */
int producers_reserve(struct producers *producers, uint32_t more);

struct completed_txn {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;        /* of the marker */
    int64_t last_stable_offset; /* what is stable once it is complete */
    bool aborted;
};

/* Take note of an appended batch with a producer id. Answers whether a transaction ended. Needs
 * producers_reserve. */
bool producers_update(struct producers *producers, const struct batch *batch,
                      const struct txn_marker *marker, struct completed_txn *ret_completed);

/* Put in a batch that is older than the newest one of its producer and epoch, if it is among the
 * last PRODUCER_BATCHES and not there yet. Unknown producers are left unknown. */
void producers_note_older(struct producers *producers, const struct batch *batch);
/* Whether there may be batches before the oldest one known that a client may repeat. */
bool producer_may_miss_batches(const struct producer *producer);

/* The least first offset of open and of decided transactions; INT64_MAX when there is none. */
int64_t producers_first_unstable(const struct producers *producers);
/* The open transaction that begins with this offset, or NULL. */
struct open_txn *producers_open_at(const struct producers *producers, int64_t first_offset);
/* Forget decided transactions that ended below the offset; whether there were any. */
bool producers_release(struct producers *producers, int64_t high_watermark);

/* Drop producers without open transaction that were silent for expiration_ms; returns how many. */
uint32_t producers_expire(struct producers *producers, int64_t now_ms, int64_t expiration_ms);

/* Kafka's .snapshot file, version 1. Only the newest batch of each producer is in it. */
void producers_write(const struct producers *producers, struct writer *out);
/* Into an empty state; expired ones are left out. 0, -EBADMSG, -ENOMEM. */
int producers_read(struct producers *producers, struct bytes data, int64_t now_ms,
                   int64_t expiration_ms);

#endif
