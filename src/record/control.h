/* Control records: what brokers and controllers write among the data of a log, in batches with
 * BATCH_CONTROL. Consumers skip them.
 *
 * The key is {version int16, type int16}; values begin with an int16 version of their own. Readers
 * take higher versions as the one they know, as Kafka does. Those of the metadata log have schemas
 * and are the quorum's; the end of a transaction is here. Source: KIP-98, KIP-595, KIP-853. */
#ifndef JACKDAW_RECORD_CONTROL_H
#define JACKDAW_RECORD_CONTROL_H

#include "record/batch.h"

enum control_type {
    CONTROL_ABORT = 0,
    CONTROL_COMMIT = 1,
    CONTROL_LEADER_CHANGE = 2,
    CONTROL_SNAPSHOT_HEADER = 3,
    CONTROL_SNAPSHOT_FOOTER = 4,
    CONTROL_KRAFT_VERSION = 5,
    CONTROL_KRAFT_VOTERS = 6,
};

/* The type a control record's key names; types unknown here are for the caller to ignore. 0, or
 * -EBADMSG when the key is none. */
int control_type_read(struct bytes key, int16_t *ret_type);

/* Add a control record at the next offset; sets BATCH_CONTROL. `value` begins with its version. */
void batch_builder_add_control(struct batch_builder *builder, int64_t timestamp,
                               enum control_type type, struct bytes value);

/* The end of a transaction in one partition. */
struct end_transaction {
    bool commit;
    int32_t coordinator_epoch;
};

/* 0, or -EBADMSG when the control record is not of this kind or malformed. */
int end_transaction_read(const struct record *record, struct end_transaction *ret_end);

/* Append a whole batch with that one record to `out`: the batch that WriteTxnMarkers writes. 0 or
 * -ENOMEM. */
struct end_transaction_batch {
    int64_t base_offset;
    int64_t timestamp;
    int32_t leader_epoch;
    int64_t producer_id;
    int16_t producer_epoch;
};

int end_transaction_write(const struct end_transaction *end,
                          const struct end_transaction_batch *batch, struct writer *out);

#endif
