/* JoinGroup, SyncGroup, Heartbeat and LeaveGroup as operations of a shard.
 *
 * Each struct is embedded in the request that it serves: init it, set op.shard and op.wake (and
 * wait.wake), and drive `op` with coord_op_run. What the request points to must stay until the
 * operation is over. Then, if it ended with 0, `response` is the answer; a join or sync with
 * `waits` set has its answer when group_wait_over says so, in `response` as well. Checks that need
 * no group (an empty group id, session timeouts) are made by classic_..._check before.
 *
 * Strings of the answer are in the wait's arena (join, sync) or point into the request. */
#ifndef JACKDAW_GROUP_CLASSIC_OPS_H
#define JACKDAW_GROUP_CLASSIC_OPS_H

#include "group/classic.h"

enum {
    /* Protocols that one member may offer; more are refused as inconsistent. */
    CLASSIC_PROTOCOLS_MAX = 1024,
    /* JoinGroup from here on asks new dynamic members to come again with the id they are given. */
    JOIN_GROUP_KNOWN_MEMBER_ID = 4,
    /* From here on a static member may be told that its assignment stands. */
    JOIN_GROUP_SKIP_ASSIGNMENT = 9,
    /* From here on the protocol name may be null. */
    JOIN_GROUP_NULL_PROTOCOL_NAME = 7,
    /* From here on it names a rebalance timeout; before, that is the session timeout (KIP-62). */
    JOIN_GROUP_REBALANCE_TIMEOUT = 1,
};

/* Who asks. Unknown client ids are null, as Kafka's are. */
struct classic_client {
    struct str client_id;
    struct str host;    /* as Java prints an address: "/127.0.0.1" */
    struct uuid random; /* for a new member's id */
};

enum classic_join_plan {
    JOIN_ANSWER,          /* nothing changes */
    JOIN_KICKED,          /* no place in the group */
    JOIN_ASK_ID,          /* come again with the id */
    JOIN_ADD,             /* a new member */
    JOIN_UPDATE,          /* a member that comes again */
    JOIN_REPLACE,         /* a static member under a new id */
    JOIN_REPLACE_QUIETLY, /* the same in a stable group, which goes on with the assignment */
};

struct classic_join {
    struct coord_op op;
    struct group_wait wait;
    bool waits;
    const struct join_group_request *request;
    struct join_group_request oldest; /* `request` of version 0, with what it leaves out */
    int16_t version;
    struct classic_client client;
    struct str new_id; /* in wait.arena */
    enum classic_join_plan plan;
    struct str member_id; /* who joined a consumer group; data NULL: nobody */
    struct join_group_response response;
};

int classic_join_check(const struct join_group_request *request,
                       const struct broker_settings *settings);
void classic_join_init(struct classic_join *join, const struct join_group_request *request,
                       int16_t version, const struct classic_client *client);

struct classic_sync {
    struct coord_op op;
    struct group_wait wait;
    bool waits;
    const struct sync_group_request *request;
    bool leader; /* the assignment was written */
    struct sync_group_response response;
};

int classic_sync_check(const struct sync_group_request *request, int16_t version);
void classic_sync_init(struct classic_sync *sync, const struct sync_group_request *request);

struct classic_heartbeat {
    struct coord_op op;
    const struct heartbeat_request *request;
    struct heartbeat_response response;
};

void classic_heartbeat_init(struct classic_heartbeat *heartbeat,
                            const struct heartbeat_request *request);

struct classic_leave {
    struct coord_op op;
    const struct leave_group_request *request;
    int16_t version;
    struct arena *arena; /* the request's */
    /* The members named: those of the request, or before version 3 its one. */
    const struct leave_group_request_member_identity *members;
    int32_t count;
    struct leave_group_request_member_identity single;
    const int *errors; /* of members of a consumer group, in op's arena; NULL: a classic group */
    struct leave_group_response response;
};

/* 0 or -ENOMEM. */
int classic_leave_init(struct classic_leave *leave, const struct leave_group_request *request,
                       int16_t version, struct arena *arena);

/* The connection of a parked join or sync is gone: an operation that unlinks its wait. It changes
 * nothing else; the member still counts as having asked. */
struct classic_abandon {
    struct coord_op op;
    struct group_wait *wait;
};

void classic_abandon_init(struct classic_abandon *abandon, struct group_wait *wait);

#endif
