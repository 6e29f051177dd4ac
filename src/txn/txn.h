/* The transaction coordinator's decisions: which producer id and epoch a transactional id has, what
 * its transaction is doing, and how it ends.
 *
 * A fold over __transaction_state (coord/coord.h): each record is the whole state of one
 * transactional id, in Kafka's format. The rules are those of Apache Kafka 4.4 (KIP-98, KIP-360,
 * KIP-447, KIP-588, KIP-664, KIP-890): which requests are retries, which are fenced, what each
 * client generation is promised. docs/transactions.md says what that means to a user.
 *
 * An op is embedded by its owner in the memory of a request: fill in what is marked "in", give it a
 * shard, run op.op with coord_op_run, read what is marked "out". The strings that come in have to
 * live until then. */
#ifndef JACKDAW_TXN_TXN_H
#define JACKDAW_TXN_TXN_H

#include "coord/coord.h"
#include "protocol/messages.h"

/* As stored. */
enum txn_state {
    TXN_EMPTY = 0,
    TXN_ONGOING = 1,
    TXN_PREPARE_COMMIT = 2,
    TXN_PREPARE_ABORT = 3,
    TXN_COMPLETE_COMMIT = 4,
    TXN_COMPLETE_ABORT = 5,
    TXN_DEAD = 6,
    TXN_PREPARE_EPOCH_FENCE = 7, /* never stored by us: fencing and aborting are one step */
};

const char *txn_state_name(int8_t state); /* "Ongoing"; NULL: no such state */

/* KIP-890: 0 and 1 end a transaction under its epoch, 2 gives each transaction an epoch of its own.
 */
enum { TXN_VERSION_PLAIN = 0, TXN_VERSION_EPOCH_BUMP = 2 };

struct txn_topic {
    struct str name;
    const int32_t *partitions; /* ascending in the state; as sent in a request */
    int32_t count;
};

/* Topics by name. The state's own are one block of memory. */
struct txn_partitions {
    struct txn_topic *topics;
    int32_t count;
};

/* What a record says. */
struct txn_values {
    int64_t producer_id;
    int64_t previous_producer_id; /* before the epochs of one were used up; -1: none */
    int64_t next_producer_id;     /* taken when the transaction under way is complete; -1: none */
    int16_t producer_epoch;
    int16_t client_version; /* of the last client that changed it */
    int8_t state;
    int32_t timeout_ms;
    int64_t start_ms; /* -1: no transaction since */
    int64_t update_ms;
    struct txn_partitions partitions;
};

/* A step from what is to what shall be: the record, and the soft state that goes with it. */
struct txn_step {
    struct txn_values values;
    int16_t last_epoch;
};

/* Markers to be written to the partitions of a transaction whose end is decided. Made by the
 * coordinator, kept by the sink until it says txn_markers_done.
 *
 * All this happens on the loop that decided the end, as a rule that of the client's connection. It
 * is awake, it has sent the answer before it looks at its mailbox, and unless a lock or a disk has
 * to be waited for it has completed the transaction before it reads that client's next request. */
struct txn_markers {
    struct coord_task task; /* the coordinator's, then the sink is done */
    struct loop_task sink;  /* the sink's */
    void *sink_work;
    struct loop *loop; /* where the sink works and says that it is done */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    int16_t transaction_version;
    bool commit;
    struct str transactional_id;
    struct txn_partitions partitions;
};

/* What the fold needs of the server: its context. */
struct txn_host {
    void *server;
    /* Get markers written; called under a shard's lock, so only queue them, on their loop. Every
     * partition's leader is to append its marker; partitions that do not exist any more are done.
     */
    void (*write_markers)(void *server, struct txn_markers *markers, struct wakes *wakes);
    /* A fresh producer id: 0, or -EAGAIN when the block is used up. Any thread. */
    int (*take_producer_id)(void *server, int64_t *ret_producer_id);
    /* Get more of them. Any thread. */
    void (*want_producer_ids)(void *server, struct wakes *wakes);
};

extern const struct coord_fold txn_fold; /* its context is a struct txn_host, which outlives it */

/* All markers are written (error 0), or not all can be now: then the coordinator comes again with
 * new ones, if it still is the coordinator. Gives the markers back. On their loop, no lock held. */
void txn_markers_done(struct txn_markers *markers, int error);

struct txn_init_op {
    struct coord_op op;
    struct str transactional_id; /* in */
    int32_t timeout_ms;          /* in */
    int64_t expected_id;         /* in: what the producer has; -1: nothing (KIP-360) */
    int16_t expected_epoch;
    int64_t producer_id; /* out */
    int16_t producer_epoch;
    bool fences;   /* out: what was under way is being aborted; answer CONCURRENT_TRANSACTIONS */
    bool needs_id; /* out: with an error, no producer id is at hand: get some and run a new op */
    struct txn_step step;
};
void txn_init_op(struct txn_init_op *init);

/* Add partitions to a transaction, or verify that they are in it. */
struct txn_add_op {
    struct coord_op op;
    struct str transactional_id; /* in */
    int64_t producer_id;
    int16_t producer_epoch;
    int16_t client_version; /* of transactions, see above */
    bool verify_only;
    struct txn_partitions partitions;
    /* in, verify only: one for each partition in order, set to 0 or TRANSACTION_ABORTABLE */
    int *results;
    struct txn_step step;
    bool changes;
};
void txn_add_op(struct txn_add_op *add);

struct txn_end_op {
    struct coord_op op;
    struct str transactional_id; /* in */
    int64_t producer_id;
    int16_t producer_epoch;
    int16_t client_version;
    bool commit;
    bool needs_id;            /* out, as above */
    int64_t next_producer_id; /* out: for the next transaction, with client_version 2; else -1 */
    int16_t next_producer_epoch;
    struct txn_step step;
    bool changes;
};
void txn_end_op(struct txn_end_op *end);

struct txn_describe_op {
    struct coord_op op;
    struct str transactional_id;                                  /* in */
    struct arena *arena;                                          /* in: of the answer */
    struct describe_transactions_response_transaction_state *ret; /* in: filled but for errors */
};
void txn_describe_op(struct txn_describe_op *describe);

/* All of one shard that the filters let through, appended to what `states` has. */
struct txn_list_op {
    struct coord_op op;
    const struct list_transactions_request *filters; /* in; the pattern is the caller's */
    struct arena *arena;                             /* in: of the answer */
    struct list_transactions_response_transaction_state *states; /* out */
    int32_t count, capacity;
    int64_t *producer_ids; /* its own: the filters, sorted; NULL before the first shard */
    uint32_t states_asked; /* its own: by number */
};
void txn_list_op(struct txn_list_op *list);

#endif
