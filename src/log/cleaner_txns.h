/* Transactions as one pass over a log meets them: which batches are of an aborted one, and when a
 * marker has nothing left to mark. The rules are those of Kafka's CleanedTransactionMetadata. */
#ifndef JACKDAW_LOG_CLEANER_TXNS_H
#define JACKDAW_LOG_CLEANER_TXNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "log/txn_index.h"
#include "os/env.h"
#include "record/batch.h"

struct cleaner_txns {
    struct aborted_entry *pending; /* by first offset; those before `next` were met */
    int32_t next, count, capacity;
    struct map committed; /* producers whose open transaction has data and is no aborted one */
    struct map aborted;   /* producer → struct met_txn */
};

void cleaner_txns_init(struct cleaner_txns *txns, struct env *env);
void cleaner_txns_close(struct cleaner_txns *txns); /* a zeroed one is accepted */

/* Tell of an aborted transaction; the pass has not reached its marker yet. -ENOMEM. */
int cleaner_txns_add(struct cleaner_txns *txns, const struct aborted_entry *entry);
/* After the last of several were added. */
void cleaner_txns_sort(struct cleaner_txns *txns);

/* The pass meets a batch, whose bytes are in memory. *ret_discard: it is data of an aborted
 * transaction, or a marker of one of which no data was met. *ret_ended: it is the marker of an
 * aborted transaction of which data was met, put to ret_entry for the new .txnindex. 0, -EBADMSG,
 * -ENOMEM. */
int cleaner_txns_meet(struct cleaner_txns *txns, const struct batch *batch, bool *ret_discard,
                      bool *ret_ended, struct aborted_entry *ret_entry);

#endif
