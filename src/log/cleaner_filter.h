/* What a cleaning leaves of one batch. The rules are those of Kafka's Cleaner and of its
 * MemoryRecords.filterTo (KIP-98, KIP-360, KIP-534). */
#ifndef JACKDAW_LOG_CLEANER_FILTER_H
#define JACKDAW_LOG_CLEANER_FILTER_H

#include "log/cleaner_map.h"
#include "log/cleaner_txns.h"

/* Plain bytes of one batch that is written anew. More than producers may send. */
#define CLEANER_PLAIN_MAX_BYTES (512 * 1024 * 1024)

/* The last batch that the log knows of a producer: it stays, if need be without records, because a
 * restart learns the producer's sequence number from it. */
struct cleaner_last_batch {
    int64_t last_data_offset; /* -1: only markers are known */
    int16_t epoch;
};

struct cleaner_filter {
    const struct cleaner_map *map;
    struct cleaner_txns *txns;
    const struct map *last_batches; /* producer → struct cleaner_last_batch */
    int64_t now_ms;
    int64_t delete_retention_ms;
    int64_t high_watermark;     /* the batch before it stays: it tells where the log ends */
    bool retain_old_tombstones; /* those of magic 0 and 1, which know no horizon */
    size_t record_max_bytes;
    int64_t records_read, records_kept, keyless;
    struct writer verdicts; /* of the batch at hand: a bit for each record that stays */
};

void cleaner_filter_close(struct cleaner_filter *filter); /* a zeroed one is accepted */

enum cleaner_verdict {
    CLEANER_DROP,
    CLEANER_KEEP,    /* the batch's own bytes */
    CLEANER_REWRITE, /* what was appended to `out` */
};

/* The batch's bytes are in memory and its checksum was right. *ret_ended and *ret_entry as
 * cleaner_txns_meet. 0; -EBADMSG, -EFBIG: the batch is damaged; -ENOMEM. */
int cleaner_filter_batch(struct cleaner_filter *filter, const struct batch *batch,
                         struct writer *out, enum cleaner_verdict *ret_verdict, bool *ret_ended,
                         struct aborted_entry *ret_entry);

#endif
