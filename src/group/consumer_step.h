/* What a request of a member that joins or stays comes to in a consumer group: the common part of
 * ConsumerGroupHeartbeat and of JoinGroup of members that speak the classic protocol. In decide. */
#ifndef JACKDAW_GROUP_CONSUMER_STEP_H
#define JACKDAW_GROUP_CONSUMER_STEP_H

#include "group/consumer_ops.h"

struct consumer_step {
    /* Who asks for what; set by the caller, strings in or above the arena. */
    struct coord_op *op;
    const struct coord_turn *turn;
    const struct group_shard *shard;
    struct arena *arena;
    const struct consumer_group_heartbeat_request *request;
    const struct classic_client *client;
    int compile_error; /* of the request's expression */
    const char *compile_message;
    struct group *group;              /* NULL: new */
    struct consumer_upgrade *upgrade; /* zeroed; the caller ends it after the answer */
    /* What a member offers that speaks the classic protocol, NULL where it is not one, and whether
     * it came without an id. Its request joins. */
    const struct consumer_group_member_metadata_value_classic_member_metadata *classic;
    bool nameless;

    /* What it comes to. */
    const char *message; /* of an error */
    struct str member_id;
    struct consumer_current next; /* the member's */
    bool metadata_checked;        /* the group's hash is that of the image now */
    bool current_changed;

    /* On the way. */
    const struct consumer_group *consumer;  /* NULL: new */
    const struct consumer_member *member;   /* as in the state; NULL: new */
    const struct consumer_member *replaced; /* the static member whose place it takes */
    struct consumer_subscription before, after;
    struct consumer_current current; /* before the reconciliation */
    const struct assignment *target;
    int32_t epoch;
    int32_t target_epoch;
    struct assignment new_target;
    struct str_array names; /* of the member, resolved */
};

/* 0, or an error: then nothing may be appended. */
int consumer_step_run(struct consumer_step *step);

#endif
