/* When a consumer group's target assignment is computed, where, and how it becomes records.
 *
 * A small one is computed with the heartbeat that finds it due. What would hold up the other groups
 * of the shard (jackdaw.group.assignor.inline.max) is computed by the pool, from a list of the
 * members as they were; an operation of the shard's own writes what came of it. Until then members
 * go on towards the target that they have. What happens to members meanwhile counts as if it had
 * happened afterwards: who left gets nothing, who took an instance id over gets what was meant for
 * it, who joined waits for the next one (KIP-1263).
 *
 * Nothing is written that groups have no memory for (jackdaw.group.memory.bytes). */
#ifndef JACKDAW_GROUP_CONSUMER_ASSIGN_H
#define JACKDAW_GROUP_CONSUMER_ASSIGN_H

#include "group/consumer_target.h"

/* Members that join one after the other share an assignment: whether one is to be computed now, if
 * the group's epoch is ahead of the last one. `consumer` NULL: the group is new. */
bool consumer_assign_is_due(const struct consumer_group *consumer, const struct coord_turn *turn);
/* Whether it is the pool's, for a group of so many members that want these topics. */
bool consumer_assign_is_large(struct str group, struct str_array names, int32_t member_count,
                              const struct coord_turn *turn);

struct consumer_assign {
    const struct group_shard *shard;
    struct str group_id;
    const struct consumer_group *consumer; /* NULL: the group is new */
    struct target_change change;           /* the member of this heartbeat */
    int32_t epoch;                         /* of the group: the assignment's */
    const char *assignor;
    struct arena *arena;
};

/* In decide: compute it, and put records for all whose target changes and for the assignment's
 * epoch. *ret_next is what the member of this heartbeat is to own, in the arena. 0;
 * KAFKA_COORDINATOR_NOT_AVAILABLE: there is no memory, and nothing was put; what
 * consumer_target_assign and coord_op_put say. */
int consumer_assign_now(const struct consumer_assign *job, struct coord_op *op,
                        const struct coord_turn *turn, struct assignment *ret_next);

/* In settle: see whether a target is due that is the pool's, and begin. */
void consumer_assign_look(struct group_shard *shard, struct consumer_group *consumer,
                          const struct coord_turn *turn);

#endif
