/* Which transactional producers are being checked with their coordinator before their first batch
 * of a transaction is appended here (KIP-890).
 *
 * Without it a batch that was delayed in the network could open a transaction that has ended, and
 * that nobody would ever end again. The check goes to another broker, so it is made without any
 * lock: `begin` before it, and what it returned comes with the append. Whatever ends or goes on
 * with a transaction of the producer meanwhile forgets the check, so a batch that was overtaken by
 * a marker is refused.
 *
 * No locks here: all calls are the log's writer's. Source: KIP-890; VerificationStateEntry of
 * Apache Kafka 4.4.0. */
#ifndef JACKDAW_LOG_VERIFICATIONS_H
#define JACKDAW_LOG_VERIFICATIONS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* Checks under way in one partition; each lasts one round trip to a coordinator, but one that
     * was answered with no stays until it is the oldest or expires. When the coordinator's disk is
     * slow the first batches of all producers wait at the same time, and whose check is forgotten
     * is refused: so there is room for more than there are producers. */
    VERIFICATIONS_MAX = 16384,
};

struct verification {
    int64_t producer_id;
    int64_t token;
    int64_t begun_ms;
    int32_t lowest_sequence; /* that was asked for: a later one must not become the first */
    int16_t epoch;
    bool epochs_bump; /* the client's transactions have epochs of their own: they begin at 0 */
};

struct verifications {
    struct verification *items; /* by producer id */
    int32_t count, capacity;
    int64_t last_token;
};

void verifications_close(struct verifications *all);

/* The token of this producer's check, new or under way (> 0); -ENOMEM. Above VERIFICATIONS_MAX the
 * oldest is forgotten: its producer comes again. */
int64_t verifications_begin(struct verifications *all, int64_t producer_id, int16_t epoch,
                            int32_t sequence, bool epochs_bump, int64_t now_ms);
/* NULL: none under way. */
const struct verification *verifications_find(const struct verifications *all, int64_t producer_id);
void verifications_forget(struct verifications *all, int64_t producer_id);
/* All of them; their tokens stay spent. */
void verifications_clear(struct verifications *all);
/* Those whose client never came back. */
void verifications_expire(struct verifications *all, int64_t now_ms, int64_t expiration_ms);

#endif
