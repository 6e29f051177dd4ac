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
    bool gaps_stand;          /* a compacted log: gaps above it are no lost tails, see README */
    int64_t log_start_offset; /* from the checkpoint file, else 0 */
};

/* What opening found and did, for one log line per partition and the tests. */
struct log_open_report {
    int64_t recovered_bytes; /* read and checked */
    int64_t dropped_bytes;   /* cut off the end */
    int32_t segments;
    int32_t indexes_rebuilt;
    bool gaps; /* there are some above the recovery point, and they stand: flush and write the
                * checkpoint before `gaps_stand` is no longer given */
};

/* Load (and where needed recover) the log. Missing, stale or damaged indexes, producer snapshots
 * and epoch files are rebuilt; a torn or corrupt tail above the recovery point is cut off;
 * corruption below it, where data is known to have been on disk, answers -EUCLEAN and changes
 * nothing. INCONSISTENT_TOPIC_ID when partition.metadata names another id. -ESTALE: a gap was met,
 * and it was Apache Kafka that wrote to this log last; nothing is changed, say that gaps stand.
 * BLOCKING. */
int log_open(const struct log_open_params *params, struct log **ret_log,
             struct log_open_report *ret_report);

/* Write what is buffered (index tails, a producer snapshot at the end offset, trimmed indexes as
 * Kafka leaves them) and sync. After 0 the directory may be marked clean. BLOCKING, WRITER. */
int log_close_clean(struct log *log);

/* The same in two halves, for many logs at once: write all of them, sync the directory that they
 * lie in where one of them asks for it, then sync each. What is written together is committed by
 * the file system together. BLOCKING, WRITER. */
int log_close_write(struct log *log);
int log_close_sync(struct log *log);
/* Whether the log's folder is new, and its name not synced; and: by now it is. */
bool log_parent_unsynced(const struct log *log);
void log_parent_synced(struct log *log);

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

/* Whether an error passes by itself: the disk is full, or memory or descriptors have run out. The
 * log is as it was and the call may be made again. Every other -errno is final for the directory.
 */
bool log_error_passes(int err);

struct log_append_params {
    int32_t leader_epoch; /* written into the batches; with REPLICATION the replica's own */
    enum log_origin origin;
    int16_t transaction_version; /* of WriteTxnMarkers; 2: a marker must raise the producer epoch */
    /* A transactional batch that goes on with no open transaction must come with the token of
     * log_verification_begin: else INVALID_TXN_STATE (KIP-890). */
    bool verify;
    int64_t verification;
};

/* Append validated batches: assign offsets and leader epoch in place (not with REPLICATION), check
 * producer epochs and sequences (INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER,
 * INVALID_TXN_STATE, TRANSACTION_COORDINATOR_FENCED per Kafka's rules), roll the segment where
 * Kafka would, write, update the indexes and the producer state, and publish the end. All batches
 * or none: after a short write or a full disk the file is cut back to the published end and
 * -ENOSPC (-EDQUOT, -EFBIG) is returned. Errors of which log_error_passes says no are final for the
 * directory (-EIO and so on; the caller takes it offline). WRITER.
 *
 * Also answers RECORD_LIST_TOO_LARGE when the batches exceed segment.bytes, and with REPLICATION
 * OFFSET_OUT_OF_RANGE when they start below the log end, INVALID_RECORD when offsets do not grow.
 */
int log_append(struct log *log, struct validated *records, const struct log_append_params *params,
               struct log_append_result *ret_result);

/* The whole batches at the front of `data` (from a leader, from the raft log), checksums checked,
 * for log_append with REPLICATION or COORDINATOR. A cut batch at the end is left out. 0 (also for
 * no batch at all), CORRUPT_MESSAGE, -ENOMEM. */
int log_records_from(uint8_t *data, size_t size, struct arena *arena,
                     struct validated *ret_records);

/* An offset and, when known, its place. Places go stale when the log is cut: the file epoch tells,
 * and whoever is handed a stale one searches instead. */
struct log_position {
    int64_t offset;
    int64_t segment_base; /* -1: place unknown */
    int32_t position;     /* in bytes in that segment */
    uint32_t file_epoch;
};

/* A range of whole batches in one segment file. Holds a reference to the file; release with
 * log_span_close. */
struct log_span {
    struct file_ref *file; /* NULL when size is 0 */
    int64_t position;
    int64_t segment_base;
    int32_t size;
    struct log_position next; /* where the next read goes on: its offset and hint */
    bool first_batch_cut;     /* size is 0 because the first batch is larger than max_bytes */
};

struct log_read_params {
    int64_t offset;
    const struct log_position *hint; /* `next` of the last read or NULL */
    struct log_position bound;       /* exclusive; HW, LSO or log end */
    int32_t max_bytes;
    bool min_one_batch; /* the first batch comes whole even if larger than max_bytes */
    bool may_block;     /* false on a loop: -EAGAIN instead of waiting for the device */
};

/* Find the whole batches from the one that holds `offset` up to the bound. A hint whose offset is
 * the one asked for saves the search; reading on to the bound then touches no file at all. A cut by
 * max_bytes costs one look at the index. size 0 when offset >= bound.
 *
 * 0; OFFSET_OUT_OF_RANGE below the log start or above the log end; -EAGAIN: call again from a pool
 * job with may_block; other -errno: the segment cannot be read. */
int log_read(struct log *log, const struct log_read_params *params, struct log_span *ret_span);
void log_span_close(struct log_span *span);

/* Published state; any thread. */
struct log_position log_end(const struct log *log); /* log end offset with its place */
int64_t log_end_offset(const struct log *log);
int64_t log_start_offset(const struct log *log);
int64_t log_size_bytes(const struct log *log);
/* The place of an offset inside the log, so that a high watermark can be published as a position.
 * OFFSET_OUT_OF_RANGE outside [log start, log end]; -EAGAIN as log_read; -errno. */
int log_locate(struct log *log, int64_t offset, bool may_block, struct log_position *ret_position);
/* The same for the first unstable offset, as it was read, without waiting: as a rule its place was
 * noted when it was appended. */
int log_locate_unstable(struct log *log, int64_t offset, struct log_position *ret_position);

struct log_time_result {
    int64_t offset; /* -1: none */
    int64_t timestamp;
    int32_t leader_epoch; /* -1: unknown */
};

/* The first record with timestamp >= `timestamp` below `end`. What is decompressed meanwhile is
 * counted in `plain` (NULL: in nothing); -ENOBUFS when that has no room. BLOCKING. */
int log_find_by_time(struct log *log, int64_t timestamp, int64_t end, struct plain_budget *plain,
                     struct log_time_result *ret);
/* The record of the greatest timestamp below `end`, the first of several. BLOCKING. */
int log_find_max_timestamp(struct log *log, int64_t end, struct plain_budget *plain,
                           struct log_time_result *ret);

/* Retention and deletion. */

/* Raise the log start offset (DeleteRecords, retention). OFFSET_OUT_OF_RANGE above `limit` (HW).
 * WRITER. */
int log_raise_start(struct log *log, int64_t offset, int64_t limit);
/* Detach segments that retention by time, size or log start gives up (never above `limit`, the
 * HW), rename them to .deleted; their files are removed by log_remove_deleted after
 * file.delete.delay.ms. Returns the number detached or -errno. WRITER, BLOCKING. */
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
/* Bumped by every truncation, which makes all older places stale, and when a cleaning exchanges
 * segments, which makes those in them stale. */
uint32_t log_file_epoch(const struct log *log);

/* How far the log is compacted (cleaner-offset-checkpoint); -1: not at all, or not known. A cut
 * lowers it. */
int64_t log_cleaned_to(const struct log *log);
void log_set_cleaned_to(struct log *log, int64_t offset);

/* Sync everything below the current end; afterwards log_recovery_point() is that end. Any
 * threads, beside the writer: they take turns. What log_error_passes says no of is final for the
 * directory; after the others nothing is known to be synced, and it may be tried again. BLOCKING.
 */
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
/* Aborted transactions that overlap [from, to), into the arena; `to` is the `next` offset of the
 * span to be answered. Logs that never saw an abort answer at once. -EAGAIN as log_read. */
int log_aborted_transactions(struct log *log, int64_t from, int64_t to, bool may_block,
                             struct arena *arena, struct aborted_transaction **ret_items,
                             int32_t *ret_count);

/* Before the coordinator of a transactional producer is asked whether this partition is in its
 * transaction (KIP-890): 0 when the transaction is open here under this epoch, so that there is
 * nothing to ask; else a token for the append, which is good until the producer's transaction is
 * begun or ended here by somebody else; -ENOMEM. WRITER. */
int64_t log_verification_begin(struct log *log, int64_t producer_id, int16_t producer_epoch,
                               int32_t sequence, bool epochs_bump);

/* Whether this producer has a transaction open here under this epoch (KIP-890). WRITER. */
bool log_has_open_transaction(const struct log *log, int64_t producer_id, int16_t producer_epoch);
/* The same under any epoch. WRITER. */
bool log_is_in_transaction(const struct log *log, int64_t producer_id);

struct producer_view {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t last_sequence;
    int64_t last_timestamp;
    int32_t coordinator_epoch;
    int64_t current_txn_start_offset; /* -1: none */
};
/* DescribeProducers: all producers known, by id. WRITER. */
int log_producers(struct log *log, struct arena *arena, struct producer_view **ret_items,
                  int32_t *ret_count);

#endif
