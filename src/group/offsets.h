/* Committed offsets of the groups of a shard: the part of the state that OffsetCommit records make.
 * For apply and mark only, but for the look-ups. */
#ifndef JACKDAW_GROUP_OFFSETS_H
#define JACKDAW_GROUP_OFFSETS_H

#include "group/group.h"

/* Look-ups; NULL when there is none. */
struct group_topic *offsets_topic(const struct group *group, struct str name);
struct group_partition *offsets_partition(const struct group_topic *topic, int32_t partition);

/* Store a commit; the value's metadata is copied from `metadata`. producer_id -1: at once, else
 * pending until the marker of that producer. */
void offsets_put(struct group_shard *shard, struct group *group, struct str topic,
                 int32_t partition, const struct group_offset *value, struct str metadata,
                 int64_t producer_id);

/* A tombstone: forget the offset, and what transactions hold for the partition. */
void offsets_remove(struct group_shard *shard, struct group *group, struct str topic,
                    int32_t partition);

/* The transaction of this producer ended: its offsets count (where no later commit stands), or are
 * forgotten. */
void offsets_end_transaction(struct group_shard *shard, int64_t producer_id, bool commit,
                             int64_t end_offset);

/* Forget all of a group's. */
void offsets_clear(struct group_shard *shard, struct group *group);

#endif
