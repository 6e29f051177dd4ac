/* Reading a log's segments at open: finds where it ends, rebuilds what is missing beside them, and
 * replays producers and epochs. Two steps, so that a refusal changes nothing: recovery_scan only
 * reads, recovery_apply then cuts and writes. */
#ifndef JACKDAW_LOG_RECOVERY_H
#define JACKDAW_LOG_RECOVERY_H

#include "log/folder.h"
#include "log/log_internal.h"

/* What is to be done with one segment, and what reading it showed. */
struct segment_scan {
    int64_t size; /* of the file */
    bool rebuild; /* its indexes are read anew from `from` on */
    bool read;    /* it was read, at least in part */
    int32_t from; /* where the index is taken up: 0 or the position of the last entry kept */
    int32_t kept[INDEX_KINDS]; /* entries kept */
    struct index_entry last[INDEX_KINDS];
    int32_t kept_txns;
    bool rebuild_txns;
    int32_t valid_size;                 /* of whole, sound batches */
    int64_t end_offset;                 /* after the last of them */
    struct writer entries[INDEX_KINDS]; /* to be written behind the kept ones */
    struct writer txns;
};

struct recovery {
    struct log *log;
    const struct folder *folder;
    struct segment_scan *scans; /* one for each segment of the folder */
    int32_t count;              /* segments that remain */
    int64_t trusted;            /* every record below this offset was known to be on disk */
    bool clean;                 /* all of it was */
    bool gaps_stand;            /* above the trusted offset, too */
    bool gaps;                  /* and there are some */
    bool epochs_rebuild;        /* leader-epoch-checkpoint is missing or damaged */
    int64_t snapshot_offset;    /* producers are known up to here */
    int64_t recovered_bytes, dropped_bytes;
    int32_t indexes_rebuilt;
};

static inline struct segment *recovery_segment(const struct recovery *recovery, int32_t i)
{
    return recovery->log->segments[i];
}

/* The offset that the segment after number i begins with; INT64_MAX for the last. */
static inline int64_t recovery_next_base(const struct recovery *recovery, int32_t i)
{
    return i + 1 < recovery->folder->segment_count ? recovery_segment(recovery, i + 1)->base_offset
                                                   : INT64_MAX;
}

/* recovery_plan.c: what of indexes and snapshots is kept, and with it where reading begins. */
int recovery_plan(struct recovery *recovery);
/* -1 without such a file. */
int recovery_file_size(struct log *log, struct segment *segment, enum segment_file kind,
                       int64_t *ret_size);
/* Whether the active segment's index says that Apache Kafka had this log last and did not close it.
 */
int recovery_was_kafkas(struct recovery *recovery, bool *ret_was);
/* recovery.c: a last time entry for a segment that is not the active one. */
void recovery_close_times(struct segment_scan *scan, const struct segment *segment);

/* 0; -EUCLEAN when records below `trusted` are missing or damaged; -ESTALE as log_open. BLOCKING.
 */
int recovery_scan(struct recovery *recovery);
int recovery_apply(struct recovery *recovery);
void recovery_close(struct recovery *recovery);

#endif
