/* What tests of transactions on a node share: a world of one node and one connection, and a
 * function for each request of a transactional producer. Errors are Kafka's codes as they came. */
#ifndef JACKDAW_TEST_SERVER_TXN_PEER_H
#define JACKDAW_TEST_SERVER_TXN_PEER_H

#include "broker_fixture.h"

enum {
    GROUP = 0,
    TRANSACTION = 1,
    VERIFIES = 11, /* Produce of clients that add partitions themselves */
    ADDS = 12,     /* and of those whose first batch does */
    TIMEOUT_MS = 60000,
};

struct world {
    struct broker_fixture *fixture;
    struct arena arena;
    int peer;
};

struct producer {
    const char *id;
    int64_t producer_id;
    int16_t epoch;
};

/* Wait until the coordinator of this group or transactional id is there. */
void world_find_coordinator(struct world *world, int8_t type, const char *id);
/* Whether clients come again with this error. */
bool world_passes(int16_t error);
/* InitProducerId: the next incarnation. */
struct producer producer_of(struct world *world, const char *id);
/* AddPartitionsToTxn as clients of version 1 send it; the partition's error. */
int16_t txn_add(struct world *world, struct producer producer, const char *topic, int32_t index);
/* A transactional batch of one record, in the arena. */
struct bytes txn_batch(struct world *world, struct producer producer, int32_t sequence);
const struct produce_request *txn_produce_request(struct world *world, struct producer producer,
                                                  int16_t version, int32_t sequence,
                                                  const char *topic, int32_t index);
int16_t txn_produced(const struct produce_response *response);
int16_t txn_produce(struct world *world, struct producer producer, int16_t version,
                    int32_t sequence, const char *topic, int32_t index);
/* EndTxn; from version 5 on `producer` is what the next transaction has. */
int16_t txn_end(struct world *world, int16_t version, struct producer *producer, bool commit);
const struct describe_transactions_response_transaction_state *txn_describe(struct world *world,
                                                                            const char *id);
void txn_until_state(struct world *world, const char *id, const char *state);
/* Where readers of committed records stop, and where the others do. */
int64_t world_end_of(struct world *world, const char *topic, int32_t index,
                     enum isolation isolation);
/* TxnOffsetCommit of in-0. */
int16_t txn_commit_offset(struct world *world, struct producer producer, int16_t version,
                          const char *group, int64_t offset);
int16_t txn_add_offsets(struct world *world, struct producer producer, const char *group);
/* The group's offset of in-0 as a consumer asks for it; -2: a transaction has one pending. */
int64_t group_committed(struct world *world, const char *group);
/* WriteTxnMarkers to one partition; as the coordinator of its first leadership, or of another. */
int16_t txn_write_marker(struct world *world, struct producer producer, bool commit,
                         const char *topic, int32_t index);
int16_t txn_write_marker_as(struct world *world, int32_t coordinator_epoch,
                            struct producer producer, bool commit, const char *topic,
                            int32_t index);
/* A node with topics "in" (1 partition) and "out" (2), and a coordinator for group "g". */
int world_setup(void **state, const char *const *overrides);
int world_teardown(void **state);

#endif
