/* One partition's log: segments with their indexes, producer state and leader epochs, in Apache
 * Kafka's files and formats.
 *
 * Threads. There is one writer at a time: the calls marked WRITER are made under the partition's
 * append lock, which the caller holds. Reads may come from any thread at any time and see the end
 * that was published last. Calls marked BLOCKING wait for the device and belong into a pool job or
 * the start of the process; the others touch the page cache only.
 *
 * What is published after an append: the log end offset as (offset, segment base, file position) by
 * a seqlock, so that a reader who holds a bound never searches an index for it. */
#ifndef JACKDAW_LOG_LOG_H
#define JACKDAW_LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/say.h"
#include "base/uuid.h"
#include "log/file_cache.h"
#include "os/env.h"
#include "record/batch.h"
#include "record/validate.h"

struct log;

/* What of a topic's configuration the log obeys; see Kafka's topic configs of the same names. */
struct log_settings {
    int32_t segment_bytes;
    int64_t segment_ms;
    int64_t segment_jitter_ms;
    int32_t segment_index_bytes;
    int32_t index_interval_bytes;
    int64_t retention_ms;    /* -1: for ever */
    int64_t retention_bytes; /* -1: no bound */
    bool cleanup_delete;
    bool cleanup_compact;
    int64_t flush_messages; /* INT64_MAX: left to the system */
    int64_t flush_ms;
    int64_t file_delete_delay_ms;
    int64_t producer_expiration_ms;
    int64_t transaction_max_ms; /* producers of open transactions are kept at least this long */
};

struct log_open_params {
    struct env *env;
    const struct say *say;
    struct file_cache *files;
    const char *dir;  /* ".../topic-0"; copied; need not exist yet (created at first append) */
    struct str topic; /* for log lines */
    int32_t partition;
    struct uuid topic_id; /* zero: unknown; else compared with or written to partition.metadata */
    struct log_settings settings;
    bool clean;               /* the directory was closed cleanly: trust what is on disk */
    int64_t recovery_point;   /* known to be on disk below this; from the checkpoint file, else 0 */
    int64_t log_start_offset; /* from the checkpoint file, else 0 */
};

/* What opening found and did, for one log line per partition and the tests. */
struct log_open_report {
    int64_t recovered_bytes; /* read and checked */
    int64_t dropped_bytes;   /* cut off the end */
    int32_t segments;
    int32_t indexes_rebuilt;
};

/* Load (and where needed recover) the log. Missing, stale or damaged indexes, producer snapshots
 * and epoch files are rebuilt; a torn or corrupt tail above the recovery point is cut off;
 * corruption below it, where data is known to have been on disk, answers -EUCLEAN and changes
 * nothing. INCONSISTENT_TOPIC_ID when partition.metadata names another id. BLOCKING. */
int log_open(const struct log_open_params *params, struct log **ret_log,
             struct log_open_report *ret_report);

/* Write what is buffered (index tails, a producer snapshot at the end offset, trimmed indexes as
 * Kafka leaves them) and sync. After 0 the directory may be marked clean. BLOCKING, WRITER. */
int log_close_clean(struct log *log);

/* Drop the log from memory; without log_close_clean this is a crash as far as the disk goes. */
void log_destroy(struct log *log);

/* Change settings while running (dynamic topic configuration). WRITER. */
void log_set_settings(struct log *log, const struct log_settings *settings);

enum log_origin {
    LOG_ORIGIN_CLIENT,      /* sequence numbers and epochs are checked */
    LOG_ORIGIN_COORDINATOR, /* group and transaction coordinators: sequences are not checked */
    LOG_ORIGIN_REPLICATION, /* offsets and epochs are in the batches already */
};

struct log_append_result {
    int64_t base_offset; /* of the first batch; of the original one for a duplicate */
    int64_t last_offset;
    int64_t log_append_time; /* -1 with CreateTime */
    int64_t log_start_offset;
    int64_t end_offset; /* the new log end; bound for waits */
    bool duplicate;     /* an idempotent retry: nothing was written */
    bool rolled;        /* a segment was closed: its flush and the retention check are due */
};

/* Append validated batches as leader: assign offsets and leader epoch in place, check producer
 * sequences (INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, UNKNOWN_PRODUCER_ID per Kafka's
 * rules), roll the segment where Kafka would, write, update the indexes and the producer state, and
 * publish the end. All batches or none: after a short write or ENOSPC the file is cut back to the
 * published end and KAFKA_STORAGE_ERROR-like -ENOSPC is returned; any other write error is final
 * for the directory (-EIO and so on; the caller takes it offline). WRITER.
 *
 * Also answers RECORD_LIST_TOO_LARGE when the batches exceed segment.bytes. */
int log_append(struct log *log, struct validated *records, int32_t leader_epoch,
               enum log_origin origin, struct log_append_result *ret_result);

/* Where a read ends: an offset and, when known, its place. */
struct log_position {
    int64_t offset;
    int64_t segment_base; /* -1: unknown, look it up */
    int64_t position;     /* in bytes in that segment */
};

/* A range of whole or (at the end) cut batches in one segment file. Holds a reference to the file;
 * release with log_span_close. */
struct log_span {
    struct file_ref *file; /* NULL when size is 0 */
    int64_t position;
    int32_t size;
    struct log_position
        next;             /* hint for the read that follows, valid when the span ends on a batch */
    bool first_batch_cut; /* the first batch is larger than size */
};

/* Find at most max_bytes from the batch that holds `offset` up to `bound` (exclusive; HW, LSO or
 * log end). `hint` may be the `next` of the last read: then no index is searched. min_one_batch
 * grows the span to the first batch even if larger than max_bytes. size 0 when offset == bound.
 * 0; OFFSET_OUT_OF_RANGE; -errno for a segment that cannot be opened. May read index blocks from
 * the page cache. */
int log_read(struct log *log, int64_t offset, const struct log_position *hint, int32_t max_bytes,
             bool min_one_batch, struct log_position bound, struct log_span *ret_span);
void log_span_close(struct log_span *span);

/* Published state; any thread. */
struct log_position log_end(const struct log *log); /* log end offset with its place */
int64_t log_end_offset(const struct log *log);
int64_t log_start_offset(const struct log *log);
int64_t log_size_bytes(const struct log *log);
/* The place of an offset inside the log, so that a high watermark can be published as a position.
 */
int log_locate(struct log *log, int64_t offset, struct log_position *ret_position);

struct log_time_result {
    int64_t offset; /* -1: none */
    int64_t timestamp;
    int32_t leader_epoch; /* -1: unknown */
};

/* The first record with timestamp >= `timestamp` below `end`. BLOCKING. */
int log_find_by_time(struct log *log, int64_t timestamp, int64_t end, struct log_time_result *ret);
/* The record of the greatest timestamp below `end`, the first of several. BLOCKING. */
int log_find_max_timestamp(struct log *log, int64_t end, struct log_time_result *ret);

/* Retention and deletion. */

/* Raise the log start offset (DeleteRecords, retention). OFFSET_OUT_OF_RANGE above `limit` (HW).
 * WRITER. */
int log_raise_start(struct log *log, int64_t offset, int64_t limit);
/* Detach segments that retention by time, size or log start gives up (never above `limit`), rename
 * them to .deleted; their files are removed by log_remove_deleted after file.delete.delay.ms.
 * Returns the number detached or -errno. WRITER. */
int log_apply_retention(struct log *log, int64_t now_ms, int64_t limit);
/* Close the active segment now if segment.ms (less jitter) has passed. WRITER. */
int log_roll_if_due(struct log *log, int64_t now_ms);
/* Remove .deleted files whose delay is over. BLOCKING. */
void log_remove_deleted(struct log *log, int64_t now_ms, bool all);
/* Drop idle producers (producer.id.expiration.ms). WRITER. */
void log_expire_producers(struct log *log, int64_t now_ms);

/* Cut to `offset` (new end) or drop all and start at `offset`. WRITER, BLOCKING. */
int log_truncate(struct log *log, int64_t offset);
int log_truncate_all(struct log *log, int64_t new_start);
/* Bumped by every truncation: spans taken before it are stale. */
uint32_t log_file_epoch(const struct log *log);

/* Sync everything below the current end; afterwards log_recovery_point() is that end. BLOCKING. */
int log_flush(struct log *log, int64_t *ret_synced_end);
int64_t log_recovery_point(const struct log *log);

/* Leader epochs (leader-epoch-checkpoint). */
int32_t log_latest_epoch(const struct log *log); /* -1: none */
/* Note that `epoch` starts at the current end. WRITER. */
int log_assign_epoch(struct log *log, int32_t epoch);
/* KIP-101/279: the largest epoch <= `epoch` that the log knows and where it ended (-1, -1 if
 * unknown). */
void log_epoch_end(struct log *log, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset);
/* The epoch that the record at `offset` was written under; -1 unknown. */
int32_t log_epoch_at(struct log *log, int64_t offset);

/* Transactions. */

/* First offset that a read_committed reader must not pass: of the earliest open transaction, or the
 * earliest completed one above the high watermark; INT64_MAX if none. */
int64_t log_first_unstable(const struct log *log);
void log_set_high_watermark(struct log *log, int64_t high_watermark); /* releases completed ones */

struct aborted_transaction {
    int64_t producer_id;
    int64_t first_offset;
};
/* Aborted transactions that overlap [from, to), into the arena. */
int log_aborted_transactions(struct log *log, int64_t from, int64_t to, struct arena *arena,
                             struct aborted_transaction **ret_items, int32_t *ret_count);

struct producer_view {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t last_sequence;
    int64_t last_timestamp;
    int32_t coordinator_epoch;
    int64_t current_txn_start_offset; /* -1: none */
};
/* DescribeProducers: all producers known, by id. WRITER (or a lock of its own inside). */
int log_producers(struct log *log, struct arena *arena, struct producer_view **ret_items,
                  int32_t *ret_count);

#endif
