/* One replica of one partition on this broker: its log, its role, and the marks others wait for.
 *
 * Who may do what. Appending, truncating, retention and settings need `append_lock` (a parking
 * lock, held across page-cache writes). `replica_lock` guards role and ISR and the computation of
 * high watermark and last stable offset; it is never held across I/O. Reading needs neither. Lock
 * order: append_lock, replica_lock, watermark.
 *
 * A pointer from partition_find is valid until the handler returns; partition_ref keeps it longer.
 */
#ifndef JACKDAW_PARTITION_PARTITION_H
#define JACKDAW_PARTITION_PARTITION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/epoch.h"
#include "base/list.h"
#include "base/parklock.h"
#include "base/uuid.h"
#include "base/watermark.h"
#include "log/log.h"
#include "log/log_dir.h"
#include "metadata/config_keys_topic.h"

struct partition_set;

/* A log directory as its partitions see it. */
struct partition_dir {
    struct log_dir dir;
    _Atomic bool offline;     /* an I/O error struck: its partitions answer KAFKA_STORAGE_ERROR */
    _Atomic bool dirty;       /* appended to since the checkpoints were written */
    _Atomic bool has_cleaned; /* cleaner-offset-checkpoint has entries */
    pthread_mutex_t checkpoint_lock; /* pool threads, across the writing of a checkpoint file */
    /* Appends took longer than disk_slow_ms lately: until then they are the pool's. Monotonic. */
    _Atomic int64_t slow_until_ns;
    _Atomic int64_t
        refused_said_ns; /* monotonic: when a refused append was last logged; 0: never */
};

/* A log position that one writer publishes and any thread reads whole. */
struct published_position {
    _Atomic uint32_t sequence; /* odd: being written */
    _Atomic int64_t offset;
    _Atomic int64_t segment_base;
    _Atomic int64_t position;
};

enum isolation { READ_UNCOMMITTED, READ_COMMITTED, READ_LOG_END /* replicas */ };

/* A topic's settings, replaced whole. */
struct partition_settings {
    struct topic_settings topic;
    struct epoch_entry retired;
};

struct partition {
    _Atomic int refs;
    struct epoch_entry retired;     /* the set's reference, once it is out of the table */
    struct env_job burial;          /* closes the log of a deleted partition */
    struct env_job flush;           /* syncs the log: a closed segment, or flush.messages */
    _Atomic int64_t flushed_ms;     /* monotonic: when a sync last began */
    _Atomic int64_t damage_said_ns; /* monotonic: when damage was last logged; 0: never */
    _Atomic int64_t sync_asked;     /* somebody waits until all below is on the device */
    _Atomic bool sync_asked_again;  /* since those who waited were told that a sync failed */
    struct list placed;             /* home loop: in set->placed, with a reference */
    bool flush_passed;              /* the job's own: it failed for a reason that passes */
    _Atomic bool flushing;          /* `flush` is queued or runs, with a reference of its own */
    struct partition_set *set;
    struct partition_dir *dir;
    struct uuid topic_id;
    struct str topic; /* owned */
    struct str name;  /* owned: "topic-0" */
    int32_t index;
    struct log *log; /* NULL: the directory was offline when it was to be opened */
    struct parklock append_lock;
    /* Held while the log is cleaned, and by whoever must not be disturbed by that; taken before
     * append_lock. A cleaning looks every few MiB whether it is to give up. */
    struct parklock clean_lock;
    int64_t clean_after_ns;   /* home loop: the last cleaning was given up; not again before */
    _Atomic bool cleaning;    /* a cleaning has the lock: retention waits for its end */
    bool unassigned;          /* home loop: the metadata names no or another directory for it */
    _Atomic bool uncleanable; /* the cleaner met damage (KIP-346): not again before a restart */
    pthread_mutex_t replica_lock;
    struct watermark end;                        /* log end offset */
    struct watermark high_watermark;             /* what readers may see */
    struct watermark last_stable;                /* what read_committed readers may see */
    struct watermark synced;                     /* known to be on the device (flush.messages) */
    struct published_position high_watermark_at; /* written under replica_lock */
    struct published_position last_stable_at;
    _Atomic(struct partition_settings *) settings; /* read by epoch readers */
    _Atomic int32_t leader_id;                     /* -1: none */
    _Atomic int32_t leader_epoch;
    _Atomic int32_t isr_size;
    _Atomic int32_t replica_count;
    _Atomic bool deleted;
    _Atomic bool settings_changed; /* the log does not know yet: see partition_sync_settings */
};

static inline struct partition *partition_ref(struct partition *partition)
{
    atomic_fetch_add_explicit(&partition->refs, 1, memory_order_relaxed);
    return partition;
}

/* NULL is accepted. The last reference of a deleted partition sends its log to the pool: closing
 * removed files frees their blocks, which takes long. */
void partition_unref(struct partition *partition);

/* May this broker answer for it as leader? `leader_epoch` is the client's (-1: it does not say).
 * 0; NOT_LEADER_OR_FOLLOWER; FENCED_LEADER_EPOCH (the client's is older); UNKNOWN_LEADER_EPOCH
 * (newer than ours); KAFKA_STORAGE_ERROR (its directory is offline); UNKNOWN_TOPIC_OR_PARTITION
 * (deleted). */
int partition_check_leader(const struct partition *partition, int32_t leader_epoch);

/* Valid until the caller's epoch reader goes offline: until the end of a handler. */
static inline const struct topic_settings *partition_settings(const struct partition *partition)
{
    return &atomic_load_explicit(&partition->settings, memory_order_acquire)->topic;
}

/* Tell the log of changed settings. The caller holds append_lock and is an epoch reader online. */
void partition_sync_settings(struct partition *partition);

/* What validate_records is to check for this partition now. */
void partition_validate_rules(const struct partition *partition, int64_t now_ms,
                              struct validate_rules *ret_rules);

/* Append as leader. The caller holds append_lock and has checked the leader under it. On success
 * the marks are advanced, so waiters are queued. A final I/O error takes the directory offline and
 * answers KAFKA_STORAGE_ERROR. Results as log_append, plus NOT_ENOUGH_REPLICAS for acks=all. */
int partition_append(struct partition *partition, struct validated *records, int16_t acks,
                     enum log_origin origin, struct log_append_result *ret_result);

/* The same for transactional records: `verification` is the token of partition_verification_begin,
 * 0 when it answered that the transaction is open. */
int partition_append_verified(struct partition *partition, struct validated *records, int16_t acks,
                              enum log_origin origin, int64_t verification,
                              struct log_append_result *ret_result);

/* See log_verification_begin. The caller holds append_lock. */
int64_t partition_verification_begin(struct partition *partition, int64_t producer_id,
                                     int16_t producer_epoch, int32_t sequence, bool epochs_bump);

/* The same for the marker of a transaction's end, as a coordinator has it written: acks=all, with
 * the version of WriteTxnMarkers' `transaction_version` (2: it must raise the producer's epoch). */
int partition_append_marker(struct partition *partition, struct validated *records,
                            int16_t transaction_version, struct log_append_result *ret_result);

/* Whether appends are to be made on a pool thread now, because the directory's writes are slow: by
 * the holder of append_lock, with an epoch reader of its own. */
bool partition_is_slow(const struct partition *partition);

/* Whether flush.messages wants everything below `end_offset` on the device before it is
 * acknowledged: then wait on `synced`, which a flush under way or begun here will advance. */
bool partition_must_sync(struct partition *partition, int64_t end_offset);

/* Sync the log on the pool, if it is not being synced already. */
void partition_flush(struct partition *partition);

/* A read of the log from `offset` on (-1: from anywhere) ended in this error: what to answer, any
 * thread. As in Kafka, an error of the device takes the directory offline (KAFKA_STORAGE_ERROR),
 * and bytes that are gone or make no sense are CORRUPT_MESSAGE of this partition alone. Both are
 * logged, the latter once a minute. Kafka's errors, and those of memory and descriptors, come back
 * as they are. */
int partition_read_failed(struct partition *partition, int64_t offset, int err);

/* Leader epochs as the leader tells them: its own begins where the log ended when it took over,
 * whether or not anything was appended since. As log_epoch_end and log_epoch_at otherwise. */
void partition_epoch_end(const struct partition *partition, int32_t epoch, int32_t *ret_epoch,
                         int64_t *ret_end_offset);
int32_t partition_epoch_at(const struct partition *partition, int64_t offset);

/* The end of what a reader of this isolation may see. */
struct log_position partition_bound(const struct partition *partition, enum isolation isolation);

/* The mark that such a reader waits on. */
struct watermark *partition_mark(struct partition *partition, enum isolation isolation);

/* The log was opened, or its term changed: fail all waiters and set the marks from the log's end
 * (left as they are without a log). */
void partition_reset_marks(struct partition *partition);

/* The log start was raised: it may have passed the first record of an open transaction. The caller
 * holds append_lock. */
void partition_start_raised(struct partition *partition);

/* Readers who wait look again: something that they are told has changed beside the marks, as the
 * log start, or the directory went offline. Any thread. */
void partition_stir(struct partition *partition);

/* Give up the directory after an I/O error (any thread). */
void partition_dir_fail(struct partition_set *set, struct partition_dir *dir, int err,
                        const char *what);

#endif
