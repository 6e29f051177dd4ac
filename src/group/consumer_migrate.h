/* Groups that go from one protocol to the other with their members (KIP-848, "Migration").
 *
 * Upgrade: a member of the consumer protocol joins a classic group of consumers. In decide of its
 * heartbeat the group that it turns into is made beside the state, the rest of the heartbeat is
 * decided on it, and the records of both are one batch. Downgrade: when all members of a consumer
 * group speak the classic protocol an operation of the shard's own turns it into a classic group.
 * group.consumer.migration.policy allows either. */
#ifndef JACKDAW_GROUP_CONSUMER_MIGRATE_H
#define JACKDAW_GROUP_CONSUMER_MIGRATE_H

#include "group/classic.h"
#include "group/consumer_group.h"

/* The consumer group that a classic one turns into; no part of the state. */
struct consumer_upgrade {
    bool begun;
    struct group group; /* of type GROUP_CONSUMER */
    struct group_shard alone;
};

/* In decide. 0, or GROUP_ID_NOT_FOUND where it cannot be: not allowed, no consumers, too large,
 * members that cannot be understood or whose assignors keep data of their own. *ret_message says
 * which. */
int consumer_upgrade_begin(struct consumer_upgrade *upgrade, const struct group *group,
                           const struct coord_turn *turn, const char **ret_message);
/* The records of the group as it was made. */
int consumer_upgrade_put(const struct consumer_upgrade *upgrade, struct coord_op *op,
                         struct arena *arena);
void consumer_upgrade_end(struct consumer_upgrade *upgrade); /* also when it was never begun */

/* In apply, while the shard is loaded: members came or went. */
void consumer_downgrade_look(struct group_shard *shard, struct consumer_group *consumer);

/* ---- the protocol in the bytes of classic members ---- */

/* False: not as it should be. `arena` holds what it points to beside the bytes. */
bool classic_subscription_read(struct bytes bytes, struct arena *arena,
                               struct consumer_protocol_subscription *ret);
/* The partitions of an assignment for a member with these protocols, of topics that exist, in the
 * version of the first of them; in the arena. data NULL: it is exhausted. */
struct bytes classic_assignment_write(const struct assignment *assignment, struct bytes metadata,
                                      const struct image *image, struct arena *arena);
/* Topics by name to partitions by id; those that do not exist are left out. */
bool classic_partitions(const struct consumer_protocol_assignment_topic_partition *topics,
                        int32_t count, int32_t epoch, const struct image *image,
                        struct arena *arena, struct assignment *ret);

#endif
