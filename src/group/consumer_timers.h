/* Timers of members of consumer groups: a session that ends without a heartbeat, and a member that
 * does not give up partitions within its rebalance timeout. Both put it out of the group. */
#ifndef JACKDAW_GROUP_CONSUMER_TIMERS_H
#define JACKDAW_GROUP_CONSUMER_TIMERS_H

#include "group/consumer_group.h"

void consumer_timers_init(struct consumer_member *member);

/* In settle and loaded. */
void consumer_session_start(struct group_shard *shard, struct consumer_member *member,
                            const struct coord_turn *turn);
/* A member that speaks the classic protocol is to sync, or to join again, within its rebalance
 * timeout; the same timer as below. */
void consumer_turn_start(struct group_shard *shard, struct consumer_member *member,
                         const struct coord_turn *turn);
/* As the member's state wants it: set while it has to give up partitions. */
void consumer_rebalance_start(struct group_shard *shard, struct consumer_member *member,
                              const struct coord_turn *turn);

/* The group's own session timeout and heartbeat interval, or the broker's, in milliseconds. */
int32_t consumer_session_timeout_ms(const struct group *group, const struct coord_turn *turn);
int32_t consumer_heartbeat_interval_ms(const struct group *group, const struct coord_turn *turn);
int32_t consumer_assignment_interval_ms(const struct group *group, const struct coord_turn *turn);
/* Whether large assignments are computed by the pool. */
bool consumer_assignor_offload(const struct group *group, const struct coord_turn *turn);

#endif
