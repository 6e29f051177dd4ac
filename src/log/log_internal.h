/* What the files of this directory share about a log. Not for others.
 *
 * Who may touch what: plain fields belong to the writer (whoever makes the calls marked WRITER);
 * "list_lock" ones are changed by the writer under that lock and read by anyone under it; _Atomic
 * ones are read by anyone. No I/O is done under list_lock. */
#ifndef JACKDAW_LOG_LOG_INTERNAL_H
#define JACKDAW_LOG_LOG_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "log/epochs.h"
#include "log/index.h"
#include "log/log.h"
#include "log/names.h"
#include "log/producers.h"
#include "log/scan.h"
#include "log/txn_index.h"
#include "log/verifications.h"

#define SEGMENT_OWN_FILES 4 /* .log, .index, .timeindex, .txnindex: the first of segment_file */
#define FILE_BIT(kind) (1u << (kind))

/* Where the files of a segment are found. A cleaned segment takes the names of those it replaces
 * while readers may still look something up in them. */
enum segment_state {
    SEGMENT_IN_PLACE,
    SEGMENT_CLEANED, /* in no list yet: the names end with .cleaned */
    SEGMENT_LEAVING, /* replaced: the names are being changed from the first to the next */
    SEGMENT_LEFT,    /* replaced: the names end with .deleted */
};

struct segment {
    int64_t base_offset;
    uint32_t since_epoch;         /* file epoch that put it into the list: older places in a segment
                                     of this base were places in another one */
    _Atomic uint8_t state;        /* enum segment_state */
    _Atomic int32_t refs;         /* the log's own, and readers' while they look something up */
    _Atomic int32_t size_bytes;   /* of whole batches; grows before the log end is published */
    int64_t max_timestamp;        /* list_lock; -1: no batch has one */
    int64_t max_timestamp_offset; /* list_lock; last offset of the first batch that has it */
    int64_t first_timestamp;      /* greatest of the first batch; -1: none */
    int64_t created_ms;
    int64_t roll_jitter_ms;
    int64_t delete_at_ms; /* when in the log's list of deleted ones */
    struct segment *next; /* in that list */
    int32_t bytes_since_index;
    int32_t txn_entries;             /* list_lock */
    struct index index[INDEX_KINDS]; /* list_lock */
    struct file_slot files[SEGMENT_OWN_FILES];
    _Atomic uint8_t exists;   /* FILE_BITs of the files that are on disk */
    _Atomic uint8_t unsynced; /* FILE_BITs of those with bytes not synced */
    bool timestamps_known;    /* list_lock; else max_timestamp has to be read from .timeindex */
};

struct log {
    struct env *env;
    const struct say *say;
    struct file_cache *files;
    char *dir;
    const char *name; /* the last part of dir, for log lines */
    struct uuid topic_id;
    struct log_settings settings;

    pthread_mutex_t flush_lock; /* held by log_flush, across its syncs; before list_lock */
    pthread_mutex_t list_lock;
    struct segment **segments; /* list_lock; by base offset, never empty, the last one is active */
    int32_t segment_count, segment_capacity;
    struct segment *deleted; /* list_lock */
    struct epochs epochs;    /* list_lock */

    /* The published end, behind a sequence lock: odd while it changes. */
    _Atomic uint32_t end_sequence;
    _Atomic uint32_t end_file_epoch;
    _Atomic int64_t end_offset;
    _Atomic int64_t end_segment_base;
    _Atomic int32_t end_position;

    _Atomic int64_t start_offset;
    _Atomic int64_t size_bytes;
    _Atomic int64_t recovery_point;
    _Atomic int64_t high_watermark; /* as told, for cuts below it */
    _Atomic int64_t first_unstable;
    _Atomic uint32_t file_epoch;
    _Atomic uint32_t cut_epoch; /* file epoch of the last cut: older places are none */
    _Atomic int64_t cleaned_to; /* compacted below this offset; -1: never */
    _Atomic bool has_aborts;    /* some segment has entries in its .txnindex */

    struct producers producers; /* transactions: list_lock */
    struct verifications verifications;
    int64_t snapshot_offset;       /* of the newest .snapshot; -1: none */
    int64_t loose_snapshot_offset; /* the one that stands at no segment's base; -1: none */
    int64_t bytes_since_snapshot;
    int64_t lowered_from; /* the recovery point before a cut below it; -1: none is noted */
    bool dir_exists;
    bool epochs_dirty; /* newer than leader-epoch-checkpoint */

    /* Set by the writer, taken by log_flush. */
    _Atomic int64_t unsynced_snapshot; /* offset, -1: none */
    _Atomic bool epochs_unsynced;
    _Atomic bool dir_unsynced;
    _Atomic bool parent_unsynced;
};

/* segment.c */

struct segment *segment_create(struct log *log, int64_t base_offset);
/* The same without asking the settings, for a segment that nothing is appended to: not only for the
 * writer. */
struct segment *segment_alloc(struct log *log, int64_t base_offset);
static inline struct segment *segment_ref(struct segment *segment)
{
    atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed);
    return segment;
}
void segment_unref(struct log *log, struct segment *segment);

static inline int32_t segment_size(const struct segment *segment)
{
    return atomic_load_explicit(&segment->size_bytes, memory_order_acquire);
}
static inline bool segment_has(const struct segment *segment, enum segment_file kind)
{
    return atomic_load_explicit(&segment->exists, memory_order_acquire) & FILE_BIT(kind);
}
static inline void segment_mark_unsynced(struct segment *segment, enum segment_file kind)
{
    atomic_fetch_or_explicit(&segment->unsynced, (uint8_t)FILE_BIT(kind), memory_order_relaxed);
}
static inline enum segment_file index_file_kind(enum index_kind kind)
{
    return kind == INDEX_OFFSET ? SEGMENT_INDEX : SEGMENT_TIMEINDEX;
}

/* The file, opened; -ENOENT when it was never made. */
int segment_file(struct log *log, struct segment *segment, enum segment_file kind,
                 struct file_ref **ret_file);
/* The same, made (empty, whatever was there) at first need. WRITER. */
int segment_file_make(struct log *log, struct segment *segment, enum segment_file kind,
                      struct file_ref **ret_file);

struct segment_place {
    int32_t position;
    struct batch batch; /* at the position */
};

/* The first batch from `position` on whose last offset is >= offset. 0; -ENODATA: there is none;
 * -EAGAIN; -EBADMSG: the bytes make no sense; other -errno. */
int segment_find_from(struct log *log, struct segment *segment, int32_t position, int64_t offset,
                      bool may_block, struct segment_place *ret_place);
/* The same, starting where the index says. */
int segment_find(struct log *log, struct segment *segment, int64_t offset, bool may_block,
                 struct segment_place *ret_place);
/* The last place at or before `limit` where a batch ends, looking from `start`, where one begins.
 * Its offset is the last batch's end. */
int segment_cut(struct log *log, struct segment *segment, int32_t start, int32_t limit,
                bool may_block, int32_t *ret_position, int64_t *ret_next_offset);

/* Where to begin reading for a floor entry of an index: its value, 0 without one. */
int segment_index_floor(struct log *log, struct segment *segment, enum index_kind kind,
                        enum index_by by, int64_t target, bool may_block, bool *ret_found,
                        struct index_entry *ret_entry);

/* Add index entries for a batch that was just written at `position`. Never fails for want of
 * space: entries are left out. WRITER. */
int segment_index_batch(struct log *log, const struct log_settings *settings,
                        struct segment *segment, const struct batch *batch, int32_t position);
/* Write the tails of the indexes, with a last time entry when `closing`. WRITER. */
int segment_write_indexes(struct log *log, struct segment *segment, bool closing);
/* Whether the batch that a time entry names has that timestamp. BLOCKING. */
int segment_time_entry_true(struct log *log, struct segment *segment,
                            const struct index_entry *entry, bool *ret_true);
/* Read max_timestamp of a segment that was opened, not written. BLOCKING. */
int segment_load_timestamps(struct log *log, struct segment *segment);

/* log.c */

static inline struct segment *log_active(const struct log *log)
{
    return log->segments[log->segment_count - 1];
}
/* The segment with the greatest base <= offset (the first one if there is none), referenced, and
 * its number; list_lock is taken inside. */
struct segment *log_segment_for(struct log *log, int64_t offset, int64_t *ret_next_base);
int log_list_reserve(struct log *log, int32_t more);
void log_list_push(struct log *log, struct segment *segment); /* needs log_list_reserve */
void log_publish_end(struct log *log, int64_t offset);        /* at the active segment's end */
void log_publish_unstable(struct log *log);                   /* under list_lock */
int log_ensure_dir(struct log *log);
int log_write_epochs(struct log *log);
int log_write_snapshot(struct log *log, int64_t offset);
int log_remove_snapshot(struct log *log, int64_t offset);

static inline uint32_t log_cut_epoch(const struct log *log)
{
    return atomic_load_explicit(&log->cut_epoch, memory_order_acquire);
}

/* log_flush.c */

int log_sync_result(int err);                         /* of a sync: what must not pass is -EIO */
int log_sync_names(struct log *log);                  /* of new files and the folder. BLOCKING */
int log_sync_path(struct log *log, const char *path); /* a missing file is fine. BLOCKING */

/* log_truncate.c */

/* The offset in the note that a cut below the recovery point leaves, until a flush has passed the
 * recovery point that the checkpoint file may still hold; INT64_MAX without one. BLOCKING. */
int log_read_lowered(struct log *log, int64_t *ret_offset);
int log_forget_lowered(struct log *log);

/* log_retention.c */

/* Rename the files of a segment that is no longer in the list to .deleted and put it on the list of
 * those to be removed; takes over the list's reference. WRITER. */
int log_discard_segment(struct log *log, struct segment *segment);
/* Remove the .deleted files of a segment that was taken off that list, and let go of it. BLOCKING.
 */
void log_remove_files(struct log *log, struct segment *segment);

/* txn_index.c */

/* As log_aborted_transactions with all that the entries say; the array is to be freed. BLOCKING. */
int log_aborted_entries(struct log *log, int64_t from, int64_t to,
                        struct aborted_entry **ret_entries, int32_t *ret_count);

/* log_replay.c */

/* Forget the producers and read them again from the newest snapshot at or below `end` and the
 * batches after it; newer snapshots are removed. -1: there are none. WRITER, BLOCKING. */
int log_reload_producers(struct log *log, int64_t end);
/* Note a batch with a producer that scan_next answered; the scan is a large one. 0; -EBADMSG. */
int log_replay_batch(struct log *log, struct scan *scan, struct batch *batch,
                     struct completed_txn *ret_completed, bool *ret_ended);
/* Fill the empty producer state from a .snapshot. 0; -EBADMSG; other -errno. BLOCKING. */
int log_load_snapshot(struct log *log, int64_t offset);

/* producers_tail.c */

#define PRODUCER_TAIL_BYTES (1024 * 1024) /* of the log's end are looked at */
/* Add to the producers' newest batches, which is all that a snapshot has, the ones before that a
 * client may repeat. The end is published. 0; -errno of the device. WRITER, BLOCKING. */
int log_refill_producers(struct log *log);

/* log_append.c */
int log_roll(struct log *log, int64_t new_base);

#endif
