/* Compaction of one log: of every key only the last value stays, as Apache Kafka's log cleaner does
 * it (KIP-58, KIP-98, KIP-346, KIP-354, KIP-534).
 *
 *   log_measure_dirt        is it worth it, and how far can it go
 *   log_cleaning_begin      WRITER
 *   log_cleaning_step       again and again, until it is DONE or WANTS_WRITER
 *   log_cleaning_swap       WRITER; then steps again
 *   log_cleaning_end        what log_set_cleaned_to is to be told
 *   log_cleaning_destroy    at any time: a cleaning that is given up leaves the log as it was, or
 *                           with some of its groups of segments cleaned
 *
 * Appends and reads go on meanwhile; so do retention and cuts, after which the cleaning answers
 * -ECANCELED. Closed segments are read, and what stays of a group of them is written to one
 * .cleaned segment, which takes their place in the swap.
 *
 * Before log_cleaning_begin the recovery point in the checkpoint file must have reached
 * `first_uncleanable_offset`: a gap above it would look like a lost tail to the next start. */
#ifndef JACKDAW_LOG_LOG_CLEAN_H
#define JACKDAW_LOG_LOG_CLEAN_H

#include "log/log.h"

/* What of the configuration a cleaning obeys. */
struct log_clean_rules {
    double min_dirty_ratio;      /* min.cleanable.dirty.ratio */
    int64_t min_lag_ms;          /* min.compaction.lag.ms */
    int64_t max_lag_ms;          /* max.compaction.lag.ms; INT64_MAX: none */
    int64_t delete_retention_ms; /* delete.retention.ms */
    int32_t record_max_bytes;    /* max.decompressed.message.bytes */
    int64_t map_bytes;           /* of log.cleaner.dedupe.buffer.size, for this cleaning */
    double map_load_factor;      /* log.cleaner.io.buffer.load.factor */
    int64_t segment_max_bytes;   /* of a cleaned segment; 0: what its files can hold */
};

struct log_dirt {
    int64_t first_dirty_offset;
    int64_t first_uncleanable_offset; /* the base of a segment: active, unstable, or too young */
    int64_t clean_bytes, cleanable_bytes;
    double ratio;       /* of what is cleanable in both; 0 in an empty log */
    bool overdue;       /* max.compaction.lag.ms has passed */
    bool due;           /* clean it now */
    uint32_t cut_epoch; /* of the log that was measured */
    int64_t wait_ms; /* not due, but may be after this time though nothing is appended; INT64_MAX:
                        no use in looking again */
};

/* Any thread. 0, -ENOMEM, other -errno when timestamps cannot be read. BLOCKING. */
int log_measure_dirt(struct log *log, const struct log_clean_rules *rules, int64_t now_ms,
                     struct log_dirt *ret_dirt);

struct log_cleaning;

/* -ENOMEM; -ECANCELED: the log was cut since it was measured. WRITER. */
int log_cleaning_begin(struct log *log, const struct log_clean_rules *rules,
                       const struct log_dirt *dirt, int64_t now_ms,
                       struct log_cleaning **ret_cleaning);

enum log_cleaning_next { CLEANING_GOES_ON, CLEANING_WANTS_WRITER, CLEANING_DONE };

/* Read and write about max_bytes. One thread at a time. 0; -ECANCELED: the log changed under the
 * cleaning, begin again; -EBADMSG: a damaged batch, or a segment that grew too large: cleaning is
 * of no use until somebody has looked (KIP-346); -ENOMEM, -ENOSPC and the like; other -errno are
 * final for the directory. After an error there is only destroy. BLOCKING. */
int log_cleaning_step(struct log_cleaning *cleaning, int64_t max_bytes,
                      enum log_cleaning_next *ret_next, int64_t *ret_bytes);

/* Put the cleaned segment in the place of its group, durably. -EAGAIN: a reader still looks into a
 * segment that had this place before; try again a little later. Other errors as for a step. WRITER,
 * BLOCKING. */
int log_cleaning_swap(struct log_cleaning *cleaning);

/* Whether nothing was cut off the log since it began. WRITER. */
bool log_cleaning_holds(const struct log_cleaning *cleaning);

/* Below this offset the log is clean once the cleaning is DONE. */
int64_t log_cleaning_end(const struct log_cleaning *cleaning);

struct log_cleaning_stats {
    int64_t mapped_bytes; /* read for the map */
    int64_t bytes_read, bytes_written;
    int64_t records_read, records_kept, keyless;
    int32_t segments_before, segments_after;
    double map_used; /* part of the map's slots */
};
void log_cleaning_stats(const struct log_cleaning *cleaning, struct log_cleaning_stats *ret_stats);

/* BLOCKING. NULL is accepted. */
void log_cleaning_destroy(struct log_cleaning *cleaning);

#endif
