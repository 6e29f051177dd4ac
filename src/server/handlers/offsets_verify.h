/* Before the offsets of a transaction are appended to a partition of __consumer_offsets where no
 * transaction of its producer is open: the word of the transaction's coordinator that there is one,
 * and that this partition is in it (KIP-890).
 *
 * Without it a commit of offsets that was delayed in the network could open a transaction that has
 * ended, whose offsets would be pending for ever. */
#ifndef JACKDAW_SERVER_OFFSETS_VERIFY_H
#define JACKDAW_SERVER_OFFSETS_VERIFY_H

#include "server/handlers/txn_ask.h"

/* Embedded in the memory of a TxnOffsetCommit; zero to begin with. */
struct offsets_verify {
    struct request *request;
    enum { OFFSETS_FIND, OFFSETS_BEGIN, OFFSETS_ASK, OFFSETS_DONE } stage;
    struct partition *partition; /* a reference */
    struct park_waiter park;
    struct txn_topic topic;
    int32_t index;
    int result;
    int64_t verification;
    struct txn_ask ask;
};

/* Go on until true: then *ret_error says how it went, and with 0 the append's rules are set in
 * `transaction`. False: the request is woken. */
bool offsets_verify_run(struct offsets_verify *verify, struct request *request, int32_t partition,
                        struct coord_transaction *transaction, int *ret_error);
static inline bool offsets_verify_is_done(const struct offsets_verify *verify)
{
    return verify->stage == OFFSETS_DONE;
}
void offsets_verify_close(struct offsets_verify *verify);

#endif
