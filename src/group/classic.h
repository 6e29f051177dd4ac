/* Groups of the classic protocol: members join, the leader among them assigns, all sync.
 *
 * Only two moments of a group's life are in the log: a generation whose assignment is known, and a
 * group that has become empty. In between lies soft state, which a load forgets: the members of the
 * last stable generation come back with full session timeouts and find out by their heartbeats.
 *
 * State names, transitions and the order of checks are those of Apache Kafka 4.4's group
 * coordinator. KIP-62 (rebalance timeout), KIP-134 (delay of the first rebalance), KIP-345 (static
 * members), KIP-394 (member id round), KIP-559 (protocol name and type), KIP-814 (skip the
 * assignment). */
#ifndef JACKDAW_GROUP_CLASSIC_H
#define JACKDAW_GROUP_CLASSIC_H

#include "group/group.h"
#include "protocol/messages.h"

enum {
    /* A new member has no id to send heartbeats with while its first join is parked; after this
     * time it is taken for gone. */
    CLASSIC_NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000,
};

enum classic_state {
    CLASSIC_EMPTY,
    CLASSIC_PREPARING,  /* waiting for members to join */
    CLASSIC_COMPLETING, /* waiting for the leader's assignment */
    CLASSIC_STABLE,
};

/* What a member can do, in order of preference: assignor names with opaque metadata. */
struct protocol_list {
    const struct join_group_request_protocol *items;
    int32_t count;
};

struct classic_member {
    struct str id;
    struct str instance_id; /* data NULL: dynamic */
    struct str client_id, client_host;
    int32_t rebalance_timeout_ms, session_timeout_ms;
    bool is_new;   /* its first join is not answered yet */
    bool joining;  /* its JoinGroup is parked, or was when its connection went */
    bool syncing;  /* the same of SyncGroup */
    bool unsynced; /* did not send SyncGroup in this generation yet */
    struct group_wait *join_wait, *sync_wait;
    struct protocol_list protocols; /* one owned block */
    struct bytes assignment;        /* owned; data NULL: empty */
    struct coord_timer heartbeat;
    struct classic *classic;
    int64_t held; /* bytes accounted for it */
};

/* An id was handed out; its owner has not come with it yet. */
struct classic_pending {
    struct str id;
    struct coord_timer timeout;
    struct classic *classic;
};

struct classic_protocol_count {
    int32_t members;
    struct str name;
};

struct classic {
    struct group *group;
    struct group_shard *shard;
    enum classic_state state, previous_state;
    int32_t generation;
    int32_t saved_generation;                        /* of the last record */
    struct str protocol_type, protocol_name, leader; /* owned; data NULL: none */
    int64_t state_timestamp_ms;                      /* -1: not known */
    struct map members;                              /* by id: struct classic_member * */
    struct map statics;                              /* by instance id: struct classic_member * */
    struct map pending;                              /* by id: struct classic_pending * */
    struct map protocols;                            /* by name: struct classic_protocol_count * */
    int32_t joining_count, unsynced_count;
    bool new_member_added;    /* since the delay of the first rebalance began */
    bool subscriptions_known; /* `subscribed` is true of the members */
    struct map subscribed;    /* topics, when the protocol type is "consumer"; value unused */
    struct arena subscribed_arena;
    struct coord_timer join_timer, sync_timer;
    bool initial; /* join_timer is the delay of the first rebalance, with these */
    int32_t initial_delay_ms, initial_remaining_ms;
    int32_t sync_generation; /* that sync_timer was set for */
};

/* A group in one operation or timer. */
struct classic_at {
    struct group_shard *shard;
    struct group *group;
    struct classic *classic;
    const struct coord_turn *turn;
};

/* apply: what the record says of the group. */
void classic_apply(struct group_shard *shard, struct group *group,
                   const struct group_metadata_value *value);

/* The state of a group, also where group->classic is NULL. */
enum classic_state classic_state_of(const struct group *group);
/* Make group->classic if it is not there. */
struct classic *classic_of(struct group_shard *shard, struct group *group);

/* ---- members (classic_members.c) ---- */

struct classic_member *classic_member(const struct classic *classic, struct str id);
struct classic_member *classic_static(const struct classic *classic, struct str instance_id);
static inline int32_t classic_member_count(const struct classic *classic)
{
    return (int32_t)map_count(&classic->members);
}
bool classic_is_leader(const struct classic *classic, struct str member_id);
/* UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID. `classic` may be NULL. */
int classic_check_member(const struct classic *classic, struct str id, struct str instance_id);
bool classic_all_joined(const struct classic *classic);
int32_t classic_rebalance_timeout_ms(const struct classic *classic);

bool protocols_equal(struct protocol_list a, struct protocol_list b);
/* What a copy of them takes. */
int64_t protocols_bytes(struct protocol_list protocols);
/* The metadata under that name; data NULL when there is none. */
struct bytes protocols_metadata(struct protocol_list protocols, struct str name);
/* Whether a member that offers these may be in the group. `classic` may be NULL. */
bool classic_supports(const struct classic *classic, struct str protocol_type,
                      struct protocol_list protocols);
/* The protocol that most members prefer among those that all know. `instead` may be NULL; else it
 * is taken to offer `offers`. */
struct str classic_select_protocol(const struct classic *classic,
                                   const struct classic_member *instead,
                                   struct protocol_list offers);
void classic_find_subscriptions(struct classic *classic);

/* Settle. The member's strings and protocols are copied. */
struct classic_new_member {
    struct str id, instance_id, client_id, client_host, protocol_type;
    int32_t rebalance_timeout_ms, session_timeout_ms;
    struct protocol_list protocols;
};
struct classic_member *classic_add(struct group_shard *shard, struct classic *classic,
                                   const struct classic_new_member *from);
/* Its parked requests must be answered before, its timer is cancelled. */
void classic_remove(struct group_shard *shard, struct classic *classic,
                    struct classic_member *member);
void classic_set_offers(struct classic *classic, struct classic_member *member,
                        struct protocol_list protocols, int32_t rebalance_timeout_ms,
                        int32_t session_timeout_ms);
void classic_rename(struct classic *classic, struct classic_member *member, struct str new_id);
void classic_set_assignment(struct classic_member *member, struct bytes assignment);
void classic_set_joining(struct classic *classic, struct classic_member *member, bool joining);
void classic_set_unsynced(struct classic *classic, struct classic_member *member, bool unsynced);
void classic_pending_add(const struct classic_at *at, struct str id, int32_t timeout_ms);
void classic_pending_remove(struct group_shard *shard, struct classic *classic,
                            struct classic_pending *pending);
struct classic_pending *classic_pending_find(const struct classic *classic, struct str id);

/* ---- rebalances (classic_rebalance.c); all in settle ---- */

void classic_heartbeat_in(const struct classic_at *at, struct classic_member *member,
                          int32_t timeout_ms);
/* Begin one if the state allows it, else see whether all have joined. */
void classic_rebalance_or_complete(const struct classic_at *at);
void classic_prepare_rebalance(const struct classic_at *at);
void classic_maybe_complete_join(const struct classic_at *at);
void classic_complete_join(const struct classic_at *at);
/* Answer the parked SyncGroup of every member: with its assignment, or an error. */
void classic_answer_syncs(const struct classic_at *at, int error);
/* Answer the parked requests of one member. */
void classic_answer_join_error(struct classic *classic, struct classic_member *member,
                               struct str member_id, int error);
void classic_answer_sync_error(struct classic_member *member, int error);
/* The answer to a join into the current generation, strings copied to the arena. */
void classic_join_answer(const struct classic *classic, struct str member_id, bool with_members,
                         struct arena *arena, struct join_group_response *ret);
void classic_cancel_sync_timer_if_synced(const struct classic_at *at);

/* Whether the group ends up without members when these are gone, in decide: then the record of the
 * empty group goes with the operation. */
struct classic_removal {
    int32_t members, pending;
    bool leave; /* LeaveGroup: the first rebalance of a group is not cut short by it */
};
bool classic_will_be_empty(const struct classic *classic, const struct classic_removal *removal);
int classic_put_emptied(const struct classic *classic, struct coord_op *op,
                        const struct coord_turn *turn);

void classic_timers_init(struct classic *classic);
void classic_member_timer_init(struct classic_member *member);
void classic_pending_timer_init(struct classic_pending *pending);

/* What a record of the state could not be written for, in the words of JoinGroup and SyncGroup. */
int classic_append_error(int error);

#endif
