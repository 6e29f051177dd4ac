/* Members that speak the classic protocol in a consumer group (KIP-848, "Migration"): their
 * JoinGroup, SyncGroup, Heartbeat and LeaveGroup. To them the broker is the leader: each join is
 * answered at once with the member's epoch as generation, sync gives the partitions that the member
 * has so far, and heartbeats tell it to join again when there is something to give up or to take.
 *
 * Called by the operations of classic_ops.h where the group is a consumer group. */
#ifndef JACKDAW_GROUP_CONSUMER_CLASSIC_H
#define JACKDAW_GROUP_CONSUMER_CLASSIC_H

#include "group/classic_ops.h"
#include "group/consumer_group.h"

/* decide: 0 and the answer is written (join->member_id is who joined, unless there is nothing to
 * settle), or the error to answer with; then nothing is to be appended. */
int consumer_classic_join(struct classic_join *join, struct group *group,
                          const struct coord_turn *turn);
/* settle, when it joined. */
void consumer_classic_joined(const struct classic_join *join, struct group_shard *shard,
                             const struct coord_turn *turn);

/* decide: likewise. */
int consumer_classic_sync(struct classic_sync *sync, struct group_shard *shard,
                          const struct consumer_group *consumer, const struct coord_turn *turn);
void consumer_classic_synced(const struct classic_sync *sync, struct group_shard *shard,
                             struct consumer_group *consumer, const struct coord_turn *turn);

/* decide: whether the member is one. settle: what it hears, 0 or REBALANCE_IN_PROGRESS. */
int consumer_classic_check(const struct consumer_group *consumer,
                           const struct heartbeat_request *request);
int consumer_classic_beat(struct group_shard *shard, struct consumer_group *consumer,
                          const struct heartbeat_request *request, const struct coord_turn *turn);

/* decide: *ret_errors (in op's arena) has a code for each member that is named. Members of both
 * protocols may be put out. */
int consumer_classic_leave(struct classic_leave *leave, const struct consumer_group *consumer,
                           const struct coord_turn *turn, const int **ret_errors);

#endif
