/* Sets of partitions that a member of a consumer group owns, is to own, or has to give up, and the
 * step from the assignment that a member has towards the one that it is to have (KIP-848,
 * "Reconciliation"). Everything here is a function of its arguments. */
#ifndef JACKDAW_GROUP_CONSUMER_ASSIGNMENT_H
#define JACKDAW_GROUP_CONSUMER_ASSIGNMENT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/uuid.h"

/* One partition. `epoch` is the member epoch at which its owner got it; 0 where that is of no
 * interest. */
struct assigned {
    struct uuid topic;
    int32_t partition;
    int32_t epoch;
};

/* Ascending by topic and partition, each once. */
struct assignment {
    struct assigned *items;
    int32_t count;
};

int assigned_compare(const struct assigned *a, const struct assigned *b); /* epochs do not count */
/* Sort, drop repetitions (the first counts). */
void assignment_normalize(struct assignment *assignment);
const struct assigned *assignment_find(const struct assignment *assignment, struct uuid topic,
                                       int32_t partition);
/* With the epochs. */
bool assignment_equal(const struct assignment *a, const struct assignment *b);
/* Without them. */
bool assignment_same_partitions(const struct assignment *a, const struct assignment *b);

/* A copy in one owned block, and its end. */
struct assignment assignment_copy(const struct assignment *from);
void assignment_drop(struct assignment *assignment);

/* Kafka's numbers of a member's states (MemberState). */
enum consumer_member_state {
    CONSUMER_STABLE = 0,
    CONSUMER_UNREVOKED = 1,  /* it owns partitions that it has to give up first */
    CONSUMER_UNRELEASED = 2, /* it waits for partitions that others still own */
    CONSUMER_UNKNOWN = 127,  /* written by a newer broker */
};

/* What a member has. */
struct consumer_current {
    int32_t epoch, previous_epoch;
    enum consumer_member_state state;
    struct assignment assigned;
    struct assignment revoking; /* pending revocation */
};

/* A topic id is subscribed to; a partition is owned by somebody, pending revocation included. */
struct consumer_reconcile {
    const struct consumer_current *current;
    const struct assignment *target;
    int32_t target_epoch;
    bool subscription_changed;
    const struct assignment *owned; /* what the member says that it owns; NULL: did not say */
    bool (*subscribes)(const void *context, struct uuid topic);
    bool (*is_owned)(const void *context, struct uuid topic, int32_t partition);
    const void *context;
    struct arena *arena; /* for the result */
};

/* The member's next state, equal to the current one where nothing changes. 0;
 * FENCED_MEMBER_EPOCH: its state is not known and it owns something; -ENOMEM. */
int consumer_reconcile(const struct consumer_reconcile *step, struct consumer_current *ret_next);

/* Whether there is nothing left to do towards this epoch. */
static inline bool consumer_is_reconciled(const struct consumer_current *current, int32_t epoch)
{
    return current->state == CONSUMER_STABLE && current->epoch == epoch;
}

#endif
