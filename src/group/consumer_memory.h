/* What consumer groups hold in memory for their members, for jackdaw.group.memory.bytes: counted
 * when records are applied (group_hold), and estimated from above beforehand, so that nobody new is
 * let in and nothing larger is made when there is no room. */
#ifndef JACKDAW_GROUP_CONSUMER_MEMORY_H
#define JACKDAW_GROUP_CONSUMER_MEMORY_H

#include "group/consumer_group.h"

/* In apply: after the member, or the expression, became another one. */
void consumer_member_recount(struct consumer_member *member);
void consumer_regex_recount(struct consumer_group *consumer, struct consumer_regex *regex);
/* What a topic's name takes in a group that wants it. */
int64_t consumer_topic_bytes(struct str name);

/* At most so much is taken by a member's subscription and the names in it; NULL: none. */
int64_t consumer_subscription_bytes(const struct consumer_subscription *subscription);
/* By a member without its subscription, and by a group without members. */
int64_t consumer_member_bytes(struct str id);
int64_t consumer_group_bytes(void);
/* By partitions that are somebody's: as target, as what a member has, and as owned. */
int64_t consumer_partitions_bytes(int64_t count);
/* By what an expression stands for. */
int64_t consumer_resolution_bytes(struct str_array topics);

#endif
