/* The target assignment: who of a consumer group should own what, computed anew when the group's
 * epoch is ahead of it.
 *
 * Members are listed under the shard's lock; what they are to own is a function of that list and of
 * an image, so it may be computed there, or anywhere else with the list's own copies. */
#ifndef JACKDAW_GROUP_CONSUMER_TARGET_H
#define JACKDAW_GROUP_CONSUMER_TARGET_H

#include "group/assignor_spec.h"
#include "group/consumer_metadata.h"

/* What the assignor has to know of a member. All is borrowed but `next`. */
struct target_member {
    struct str id;
    struct str instance_id;    /* data NULL: dynamic */
    struct str_array names;    /* that it subscribes to, ascending */
    struct str_array resolved; /* that its expression stands for, ascending */
    bool has_last;
    struct assignment last; /* its target so far */
    struct assignment next; /* what it is to own; in the arena */
};

struct consumer_target {
    const struct image *image; /* may be NULL */
    const struct assignor *assignor;
    struct arena *arena;
    uint64_t seed; /* of maps */
    struct target_member *members;
    int32_t member_count;
    int32_t changed;         /* the index of the member that changes; -1: none does */
    int64_t partition_count; /* result: of all that is assigned */
};

/* A member of the group is, or will be, another one than in the state. */
struct target_change {
    struct str member_id;
    const struct consumer_subscription *subscription;
    const struct assignment *last; /* NULL: none */
    struct str replaced_id;        /* the static member whose place it takes; data NULL: none */
};

/* List the members; `image`, `assignor` and `arena` are set. `consumer` NULL: the group is new;
 * `change` NULL: it is as it is. False: the arena is exhausted. */
bool consumer_target_list(struct consumer_target *target, const struct consumer_group *consumer,
                          const struct target_change *change);

/* Fill in what members are to own. No state is looked at. 0; UNKNOWN_SERVER_ERROR: more partitions
 * than an assignor takes; -ENOMEM. */
int consumer_target_assign(struct consumer_target *target);

#endif
