/* A client's place in a group, of the classic protocol or the consumer protocol (KIP-848): one call
 * after the other, each written into the history. What the calls lead to is for the owner to
 * decide. */
#ifndef JACKDAW_TEST_SIM_MEMBERSHIP_H
#define JACKDAW_TEST_SIM_MEMBERSHIP_H

#include "group_history.h"
#include "life.h"

struct membership_peer {
    char id[GROUP_NAME_MAX];
};

/* In its owner; the first block is set by it. */
struct membership {
    struct life *life;
    struct group_history *history;
    const char *group, *instance; /* instance NULL: dynamic */
    const char *topic;
    int32_t partition_count;
    int32_t session_ms, rebalance_ms;
    int16_t join_version; /* from 5 on with an instance */
    uint32_t flavour;     /* what a subscription differs by */

    char id[GROUP_NAME_MAX]; /* "": none yet */
    int32_t generation;
    uint64_t owned;
    bool leads, skips; /* skips: the assignment stands, as it is known to the coordinator */
    char protocol[16];
    struct uuid topic_id; /* consumer protocol: as assignments name the topic */
    const char *assignor; /* the same: the coordinator's; NULL: its choice */
    bool told;            /* the same: the coordinator knows what is owned */
    struct membership_peer peers[GROUP_MEMBERS_MAX]; /* the leader's */
    int32_t peer_count;
};

/* Whose commit it is to be: the member's own, or one that it is no more. */
struct membership_claim {
    const char *id;
    int32_t generation;
};

/* Each answers Kafka's error, or GROUP_NO_ANSWER. */

/* Waits up to `timeout_ms` for the others. MEMBER_ID_REQUIRED: come again, with the id. */
int membership_join(struct membership *self, int64_t timeout_ms);
/* As leader give the partitions to the peers in turn, from the `first`-th on. */
int membership_sync(struct membership *self, uint32_t first, int64_t timeout_ms);
int membership_beat(struct membership *self);
int membership_leave(struct membership *self);
int membership_commit(struct membership *self, const struct membership_claim *claim,
                      int32_t partition, int64_t offset);
/* The committed offset, -1: none, in *ret_offset with 0. */
int membership_fetch(struct membership *self, int32_t partition, int64_t *ret_offset);

/* The consumer protocol: a heartbeat that claims this epoch (0: to join, -1 and -2: to leave) and
 * owns `owned`; `full` says everything anew. With 0 the epoch is in `generation`, and if the
 * coordinator gave an assignment, true and it are in *ret_gives and *ret_given. */
int membership_heart(struct membership *self, int32_t epoch, bool full, bool *ret_gives,
                     uint64_t *ret_given);

/* The next event of this member, with the names that it has now. */
struct group_event membership_event(struct membership *self, enum group_op op);

/* Nothing is owned any more, and the place is lost, too, with `id`. */
void membership_forget(struct membership *self, bool id);

#endif
