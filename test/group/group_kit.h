/* What the tests of groups share: the real coordinator runtime over real logs on a RAM disk
 * (../coord/coord_kit.h) with the fold of groups, a clock that the test moves, and a function for
 * each request that plays a client's part.
 *
 * All groups of the tests are on partition 0. */
#ifndef JACKDAW_TEST_GROUP_KIT_H
#define JACKDAW_TEST_GROUP_KIT_H

#include "../coord/coord_kit.h"
#include "group/admin_ops.h"
#include "group/classic_ops.h"
#include "group/offset_ops.h"

#define GROUP_KIT_WALL_MS INT64_C(1700000000000)

/* The coordinator of groups, loaded, with Kafka's default settings. `flush_messages` 1: a commit
 * waits for its sync. */
void group_kit_init(struct kit *kit, int64_t flush_messages);
/* The same for cmocka: the kit is the state; a commit waits for no sync, or for its own. */
int group_kit_setup(void **state);
int group_kit_setup_synced(void **state);
int group_kit_teardown(void **state);
/* The process dies and comes back: the log makes the state again. */
void group_kit_restart(struct kit *kit);
/* Both clocks move, timers fire. */
void group_kit_pass(struct kit *kit, int64_t ms);
/* The state of partition 0 as its lock's holder sees it; nobody else may be at it. */
struct group_shard *group_kit_state(struct kit *kit);
const struct group *group_kit_group(struct kit *kit, const char *id);
/* The group's state as ListGroups names it; "" when there is none. */
const char *group_kit_state_name(struct kit *kit, const char *id);

/* Run one operation to its end; the error. */
int group_kit_run(struct kit *kit, struct coord_op *op);

/* ---- the classic protocol ---- */

struct member {
    struct kit *kit;
    const char *group, *client_id, *instance_id; /* instance_id NULL: dynamic */
    char id[128];
    int32_t generation;
    int32_t session_ms, rebalance_ms;
    int16_t version;
    const char *protocol_type;
    const char *protocols[4]; /* names; the metadata is a subscription to `topics` */
    const char *topics[4];
    /* under way */
    struct join_group_request join_request;
    struct join_group_request_protocol offers[4];
    uint8_t subscription[256];
    struct classic_join join;
    struct sync_group_request sync_request;
    struct sync_group_request_assignment assignments[64];
    char assigned[64][256];
    struct classic_sync sync;
    bool joining, syncing;
    /* the last answers */
    int join_error, sync_error;
    char leader[128], protocol[64], assignment[256];
    int32_t member_count; /* in the answer to the join */
    char members[64][128];
    bool skip_assignment;
    /* With `shares`, as leader: that many partitions of topics[0] in turn to each member, as real
     * clients write it; and what sync gave it of such, as a set of bits. */
    int32_t shares;
    uint64_t given;
};

void member_init(struct member *member, struct kit *kit, const char *group, const char *client_id);
void member_close(struct member *member); /* its connection goes */

/* JoinGroup: send it; whether it is answered, which is also to be asked later. */
bool member_join(struct member *member);
bool member_joined(struct member *member);
/* With the member-id round. */
bool member_join_as_new(struct member *member);
/* SyncGroup: as leader "<protocol>:<member>" for each member. */
bool member_sync(struct member *member);
bool member_synced(struct member *member);
int member_heartbeat(struct member *member);
int member_leave(struct member *member);
/* OffsetCommit of one partition of topic "t" (id group_kit_topic). */
int member_commit(struct member *member, int32_t partition, int64_t offset, const char *metadata);
struct uuid group_kit_topic(const char *name);

/* Join until the delay of the first rebalance is over and all have synced. */
void members_settle(struct kit *kit, struct member *members, int count);

/* ---- offsets, by whoever ---- */

int commit_as_nobody(struct kit *kit, const char *group, const char *topic, int32_t partition,
                     int64_t offset);
int commit_in_transaction(struct kit *kit, const char *group, const char *topic, int32_t partition,
                          int64_t offset, int64_t producer_id);
void end_transaction(struct kit *kit, int64_t producer_id, bool commit);
/* The offset, -1 for none, or minus the error. */
int64_t fetch(struct kit *kit, const char *group, const char *topic, int32_t partition);
int64_t fetch_stable(struct kit *kit, const char *group, const char *topic, int32_t partition);

#endif
