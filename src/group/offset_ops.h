/* OffsetCommit, TxnOffsetCommit, OffsetFetch and OffsetDelete as operations of a shard.
 *
 * The handlers resolve topics (names, ids, which partitions exist) and hand over what is valid;
 * these check the group and its members, write the records, and read. Each struct is embedded in
 * the request that it serves; init it, set op.shard and op.wake, and drive `op`. What the request
 * points to must stay until the operation is over; then each partition has its error, and `error`
 * of coord_op_run is the group's. */
#ifndef JACKDAW_GROUP_OFFSET_OPS_H
#define JACKDAW_GROUP_OFFSET_OPS_H

#include "group/group.h"

/* From these versions on the group's absence and a stale member epoch have errors of their own. */
enum {
    OFFSET_COMMIT_GROUP_ID_NOT_FOUND = 9,
    TXN_OFFSET_COMMIT_GROUP_ID_NOT_FOUND = 6,
};

/* One partition to commit. */
struct offset_commit_part {
    struct str topic;
    struct uuid topic_id;
    int32_t partition;
    int32_t leader_epoch;
    int64_t offset;
    struct str metadata; /* data NULL: none */
    int16_t *error;      /* where its error goes */
};

struct offset_commit {
    struct coord_op op;
    struct str group;
    struct group_committer who; /* who.transactional: op.transaction is set by the owner */
    int64_t retention_ms;       /* -1: the broker's */
    int unknown_topic;          /* the error of a topic that is gone by now */
    const struct offset_commit_part *parts;
    int32_t count;
};

void offset_commit_init(struct offset_commit *commit);

/* UTF-16 code units of a string, as Java counts its length. */
int32_t utf16_length(struct str text);

/* One answer of OffsetFetch. */
struct offset_fetch_part {
    struct str topic;
    int32_t partition;
    int16_t error;
    int32_t leader_epoch;
    int64_t offset;
    struct str metadata; /* in the arena */
};

struct offset_fetch {
    struct coord_op op;
    struct str group;
    struct str member_id; /* of the consumer protocol; data NULL: none */
    int32_t member_epoch;
    bool require_stable;
    bool all; /* whatever the group has committed, instead of `parts` */
    struct arena *arena;
    /* Asked for (topic, topic_id and partition set by the owner), or with `all` found; by topic. */
    struct offset_fetch_part *parts;
    const struct uuid *topic_ids; /* as many as parts: zero where not given; NULL: none */
    int32_t count;
};

void offset_fetch_init(struct offset_fetch *fetch);

struct offset_delete_part {
    struct str topic;
    int32_t partition;
    int16_t *error;
};

struct offset_delete {
    struct coord_op op;
    struct str group;
    const struct offset_delete_part *parts;
    int32_t count;
};

void offset_delete_init(struct offset_delete *drop);

#endif
