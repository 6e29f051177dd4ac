/* What the handlers of the group APIs share: finding a group's shard and driving an operation. */
#ifndef JACKDAW_SERVER_GROUP_COMMON_H
#define JACKDAW_SERVER_GROUP_COMMON_H

#include "group/admin_ops.h"
#include "group/classic_ops.h"
#include "group/consumer_ops.h"
#include "group/offset_ops.h"
#include "server/request.h"

/* One operation on a group, and the request it is for. All operations have their `op` in front. */
struct group_call {
    struct request *request;
    bool over;
    int error; /* when over */
    union {
        struct coord_op op;
        struct classic_join join;
        struct classic_sync sync;
        struct classic_heartbeat heartbeat;
        struct classic_leave leave;
        struct classic_abandon abandon;
        struct offset_commit commit;
        struct offset_fetch fetch;
        struct offset_delete offset_delete;
        struct group_list list;
        struct group_describe describe;
        struct group_delete group_delete;
        struct consumer_heartbeat consumer_heartbeat;
        struct consumer_describe consumer_describe;
    };
};

/* The shard that the group belongs to, with a reference; as coord_shard_find, but NOT_COORDINATOR
 * too while the topic does not exist: clients of all ages then look for their coordinator, which
 * creates it. */
int group_shard_of(struct request *request, struct str group_id, struct coord_shard **ret_shard);

struct coord_turn group_turn(struct request *request);

/* The client's address as Java prints one, "/10.1.2.3" or "/0:0:0:0:0:0:0:1"; in the request's
 * arena, data NULL where that is exhausted. */
struct str group_client_host(struct request *request);

/* After the operation was initialised: give it its shard, or end it with that error. */
void group_call_begin(struct group_call *call, struct request *request, struct str group_id);
void group_call_begin_at(struct group_call *call, struct request *request,
                         struct coord_shard *shard); /* takes over the reference */
void group_call_fail(struct group_call *call, struct request *request, int error);

/* Go on. True: it is over, with `error`; false: parked. A deadline or a closed connection ends it
 * with COORDINATOR_NOT_AVAILABLE as soon as nothing is being appended. */
bool group_call_run(struct group_call *call);

/* A deadline of offsets.commit.timeout.ms for whatever waits for a commit. */
void group_deadline(struct request *request);

#endif
