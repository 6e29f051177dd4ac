/* What is asked of a transaction's coordinator before something of the transaction is appended
 * (KIP-890): are these partitions in it? Or, for clients whose transactions have epochs of their
 * own, add them.
 *
 * Such a client is not told to come again when its last transaction is just being completed, which
 * is over in no time: the question is put again after a pause, for at most
 * add.partitions.to.txn.retry.backoff.max.ms. */
#ifndef JACKDAW_SERVER_TXN_ASK_H
#define JACKDAW_SERVER_TXN_ASK_H

#include "server/handlers/coordinated.h"
#include "txn/txn.h"

struct txn_question {
    struct str transactional_id;
    int64_t producer_id;
    int16_t producer_epoch;
    bool adds;                        /* else verify only */
    struct txn_partitions partitions; /* must stay until the answer */
    int *results;                     /* verify only: see struct txn_add_op */
};

/* Embedded in the memory of the request. */
struct txn_ask {
    struct request *request;
    struct txn_question question;
    enum { TXN_ASK, TXN_ASKING, TXN_ASK_PAUSE, TXN_ASKED } stage;
    int error;
    int64_t give_up_ns, pause_ns;
    struct loop_timer pause;
    struct txn_add_op add;
};

void txn_ask_init(struct txn_ask *ask, struct request *request,
                  const struct txn_question *question);

/* Go on, on the request's loop. True: answered; *ret_error is 0 (with verify only `results` say the
 * rest) or the coordinator's error in the words of a partition leader. False: the request is woken.
 * A request that timed out gives up where that is possible. */
bool txn_ask_run(struct txn_ask *ask, int *ret_error);

#endif
