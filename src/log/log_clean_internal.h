/* What the files of a cleaning share. Not for others. */
#ifndef JACKDAW_LOG_LOG_CLEAN_INTERNAL_H
#define JACKDAW_LOG_LOG_CLEAN_INTERNAL_H

#include "log/cleaner_filter.h"
#include "log/log_clean.h"
#include "log/log_internal.h"

/* Closed segments, a reference each. */
struct segment_list {
    struct segment **items; /* NULL: given back */
    int32_t count;
    int64_t end_base; /* of the segment after the last one */
};

/* Those with a base below `limit`, but never the active one. -ENOMEM. */
int segment_list_take(struct log *log, int64_t limit, struct segment_list *ret_list);
void segment_list_drop(struct log *log, struct segment_list *list, int32_t from, int32_t to);
void segment_list_close(struct log *log, struct segment_list *list);

static inline int64_t segment_list_next_base(const struct segment_list *list, int32_t i)
{
    return i + 1 < list->count ? list->items[i + 1]->base_offset : list->end_base;
}

/* When its .log was written to last. */
int segment_modified_ms(struct log *log, struct segment *segment, int64_t *ret_ms);

/* A segment that is being written as .cleaned. */
struct cleaned_segment {
    struct segment *segment; /* NULL: none is */
    /* Held from the end of writing until the names are the last ones: nobody opens it by name. */
    struct file_ref *files[SEGMENT_OWN_FILES];
    struct writer out;  /* batches not yet written */
    struct writer txns; /* of its .txnindex */
    int64_t size;       /* with those in `out` */
};

int cleaned_begin(struct cleaned_segment *cleaned, struct log *log, int64_t base_offset);
/* Note the batch at the end of `out` that begins at byte `start` of it, and write when it is much.
 */
int cleaned_add(struct cleaned_segment *cleaned, struct log *log,
                const struct log_settings *settings, size_t start, int64_t *ret_written);
int cleaned_add_txn(struct cleaned_segment *cleaned, const struct aborted_entry *entry);
/* Write what is left, the indexes, and sync all. */
int cleaned_seal(struct cleaned_segment *cleaned, struct log *log, int64_t modified_ms,
                 int64_t *ret_written);
/* Give it up and remove its files, unless it was taken (segment NULL). */
void cleaned_close(struct cleaned_segment *cleaned, struct log *log);

/* A group becomes more than one segment if what stays of it is larger, as when batches that a
 * producer has pressed harder are written anew, than a segment may be. */
#define CLEANED_PIECES_MAX 8

enum cleaning_phase {
    CLEANING_MAP,  /* reading the dirty part */
    CLEANING_COPY, /* reading everything, writing what stays */
    CLEANING_SWAP, /* a group is ready */
    CLEANING_TIDY, /* its names are to be synced */
    CLEANING_OVER,
};

struct log_cleaning {
    struct log *log;
    struct log_settings settings; /* when it began */
    struct log_clean_rules rules;
    int64_t now_ms;
    uint32_t cut_epoch; /* when it began: any cut ends it */
    int64_t first_dirty_offset;
    int64_t end_offset; /* known after the map is made */
    struct segment_list segments;
    struct cleaner_map map;
    struct cleaner_txns txns;
    struct map last_batches; /* producer → struct cleaner_last_batch */
    struct cleaner_filter filter;
    enum cleaning_phase phase;

    int32_t at;              /* the segment being read, or next */
    struct file_ref *source; /* NULL: not opened yet */
    struct scan scan;

    int32_t copy_count; /* segments to be copied: those that begin below end_offset */
    int64_t old_tombstones_until_ms;
    int32_t group_from, group_to;
    int64_t modified_ms;            /* of the group's last segment so far */
    struct cleaned_segment cleaned; /* being written; in the swap: the group's last one */
    struct cleaned_segment pieces[CLEANED_PIECES_MAX]; /* finished, before it */
    int32_t piece_count;
    struct log_cleaning_stats stats;
};

#endif
