/* The target assignment: who of a consumer group should own what, computed anew when the group's
 * epoch is ahead of it. */
#ifndef JACKDAW_GROUP_CONSUMER_TARGET_H
#define JACKDAW_GROUP_CONSUMER_TARGET_H

#include "group/consumer_metadata.h"

/* The group as it is when the member of this heartbeat is as it says. */
struct consumer_target {
    struct str group_id;
    const struct consumer_group *consumer; /* NULL: the group is new */
    struct str member_id;
    const struct consumer_subscription *subscription; /* as it will be */
    const struct assignment *target;                  /* its last one; NULL: none */
    struct str replaced_id; /* the static member whose place it takes; data NULL: none */
    int32_t epoch;          /* of the group: the assignment's */
    const char *assignor;
    struct arena *arena;
};

/* In decide: records for all whose target changes, then the assignment's epoch. *ret_target is what
 * the member of this heartbeat is to have; in the arena. 0; UNKNOWN_SERVER_ERROR: more partitions
 * than an assignor takes; -ENOMEM and what coord_op_put says. */
int consumer_target_compute(const struct consumer_target *job, struct coord_op *op,
                            const struct coord_turn *turn, struct assignment *ret_target);

#endif
