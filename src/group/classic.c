/* The type "classic": what the log says of it, and what the APIs of all types ask. */
#include "group/classic.h"

#include <stdlib.h>

#include "base/errors.h"
#include "group/records.h"

static const struct str consumer_protocol = STR("consumer");

enum classic_state classic_state_of(const struct group *group)
{
    return group->classic ? group->classic->state : CLASSIC_EMPTY;
}

struct classic *classic_of(struct group_shard *shard, struct group *group)
{
    must(group->type == GROUP_CLASSIC);
    if (group->classic)
        return group->classic;
    struct classic *classic = group_alloc(sizeof *classic);
    classic->group = group;
    classic->shard = shard;
    group_hold(shard, (int64_t)sizeof *classic);
    classic->state_timestamp_ms = -1;
    map_init(&classic->members, MAP_STR, sizeof(struct classic_member *), shard->seed);
    map_init(&classic->statics, MAP_STR, sizeof(struct classic_member *), shard->seed);
    map_init(&classic->pending, MAP_STR, sizeof(struct classic_pending *), shard->seed);
    map_init(&classic->protocols, MAP_STR, sizeof(struct classic_protocol_count *), shard->seed);
    map_init(&classic->subscribed, MAP_STR, 1, shard->seed);
    arena_init(&classic->subscribed_arena, 0);
    classic_timers_init(classic);
    group->classic = classic;
    return classic;
}

static void classic_destroy(struct group_shard *shard, struct group *group)
{
    struct classic *classic = group->classic;
    if (!classic)
        return;
    for (struct map_at at = map_begin(&classic->pending); map_next(&classic->pending, &at);)
        classic_pending_remove(shard, classic, *(struct classic_pending **)at.value);
    for (struct map_at at = map_begin(&classic->members); map_next(&classic->members, &at);) {
        struct classic_member *member = *(struct classic_member **)at.value;
        /* A group with members is not deleted: it becomes a consumer group, or is unloaded, and
         * then nobody waits any more. */
        classic_answer_join_error(classic, member, member->id, KAFKA_REBALANCE_IN_PROGRESS);
        classic_answer_sync_error(member, KAFKA_REBALANCE_IN_PROGRESS);
        classic_remove(shard, classic, member);
    }
    if (shard->loaded) {
        coord_timer_cancel(shard->shard, &classic->join_timer);
        coord_timer_cancel(shard->shard, &classic->sync_timer);
    }
    text_drop(&classic->protocol_type);
    text_drop(&classic->protocol_name);
    text_drop(&classic->leader);
    map_close(&classic->members);
    map_close(&classic->statics);
    map_close(&classic->pending);
    map_close(&classic->protocols);
    map_close(&classic->subscribed);
    arena_close(&classic->subscribed_arena);
    group_hold(shard, -(int64_t)sizeof *classic);
    free(classic);
    group->classic = NULL;
}

/* ---- from the log ---- */

static void apply_members(struct group_shard *shard, struct classic *classic,
                          const struct group_metadata_value *value)
{
    for (int32_t i = 0; i < value->members.count; i++) {
        const struct group_metadata_value_member_metadata *from = &value->members.items[i];
        /* The log knows of each member the protocol that was chosen, no other. */
        const struct join_group_request_protocol protocol = {str_or_empty(value->protocol),
                                                             from->subscription};
        struct classic_new_member new_member = {
            .id = from->member_id,
            .instance_id = from->group_instance_id,
            .client_id = from->client_id,
            .client_host = from->client_host,
            .protocol_type = value->protocol_type,
            .rebalance_timeout_ms =
                from->rebalance_timeout == -1 ? from->session_timeout : from->rebalance_timeout,
            .session_timeout_ms = from->session_timeout,
            .protocols = {&protocol, 1},
        };
        if (classic_member(classic, from->member_id) ||
            (from->group_instance_id.data && classic_static(classic, from->group_instance_id)))
            continue; /* named twice: damage */
        struct classic_member *member = classic_add(shard, classic, &new_member);
        classic_set_assignment(member, from->assignment);
    }
}

/* The group is what the record says, no more. */
static void apply_whole(struct group_shard *shard, struct group *group,
                        const struct group_metadata_value *value)
{
    group_set_type(shard, group, GROUP_NONE);
    group_set_type(shard, group, GROUP_CLASSIC);
    if (value->members.count == 0 && value->generation == 0 && value->protocol_type.size == 0)
        return; /* as new */
    struct classic *classic = classic_of(shard, group);
    classic->state = value->members.count > 0 ? CLASSIC_STABLE : CLASSIC_EMPTY;
    classic->generation = classic->saved_generation = value->generation;
    classic->state_timestamp_ms = value->current_state_timestamp;
    if (value->protocol_type.size > 0)
        text_set(&classic->protocol_type, value->protocol_type);
    text_set(&classic->protocol_name, value->protocol);
    apply_members(shard, classic, value);                             /* the first one leads */
    if (value->leader.data && classic_member(classic, value->leader)) /* else damage */
        text_set(&classic->leader, value->leader);
    classic_find_subscriptions(classic);
}

void classic_apply(struct group_shard *shard, struct group *group,
                   const struct group_metadata_value *value)
{
    if (!shard->loaded || group->type != GROUP_CLASSIC) {
        apply_whole(shard, group, value);
        return;
    }
    /* Appended just now, on the grounds of the soft state that is here: settle makes the rest of
     * the transition. */
    struct classic *classic = classic_of(shard, group);
    classic->saved_generation = value->generation;
    if (value->members.count == 0)
        classic->state_timestamp_ms = value->current_state_timestamp;
    for (int32_t i = 0; i < value->members.count; i++) {
        struct classic_member *member = classic_member(classic, value->members.items[i].member_id);
        if (member)
            classic_set_assignment(member, value->members.items[i].assignment);
    }
}

/* Sessions start anew, and a group above the limit that has been lowered is rebalanced. */
static void classic_loaded(struct group_shard *shard, struct group *group,
                           const struct coord_turn *turn)
{
    struct classic *classic = group->classic;
    if (!classic)
        return;
    struct classic_at at = {shard, group, classic, turn};
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);) {
        struct classic_member *member = *(struct classic_member **)m.value;
        classic_heartbeat_in(&at, member, member->session_timeout_ms);
    }
    if (classic_member_count(classic) > turn->settings->group_max_size)
        classic_prepare_rebalance(&at);
}

/* ---- what the APIs of all types ask ---- */

static struct str classic_state_name(const struct group *group)
{
    static const struct str names[] = {
        [CLASSIC_EMPTY] = STR("Empty"),
        [CLASSIC_PREPARING] = STR("PreparingRebalance"),
        [CLASSIC_COMPLETING] = STR("CompletingRebalance"),
        [CLASSIC_STABLE] = STR("Stable"),
    };
    return names[classic_state_of(group)];
}

static struct str classic_protocol_type(const struct group *group)
{
    return str_or_empty(group->classic ? group->classic->protocol_type : (struct str){NULL, 0});
}

static bool uses_consumer_protocol(const struct group *group)
{
    return str_equal(classic_protocol_type(group), consumer_protocol);
}

static bool classic_is_empty(const struct group *group)
{
    return classic_state_of(group) == CLASSIC_EMPTY;
}

static int classic_check_commit(const struct group *group, const struct group_committer *who)
{
    enum classic_state state = classic_state_of(group);
    int32_t generation = group->classic ? group->classic->generation : 0;
    if (who->generation < 0 && state == CLASSIC_EMPTY)
        return 0;
    if (who->generation >= 0 || who->member_id.size > 0 || who->instance_id.data) {
        int err = classic_check_member(group->classic, who->member_id, who->instance_id);
        if (err != 0)
            return err;
        if (who->generation != generation)
            return KAFKA_ILLEGAL_GENERATION;
    } else if (!who->transactional && state != CLASSIC_EMPTY) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    /* Between join and sync a member has no partitions of its own to commit. */
    return !who->transactional && state == CLASSIC_COMPLETING ? KAFKA_REBALANCE_IN_PROGRESS : 0;
}

static int classic_check_fetch(const struct group *group, struct str member_id,
                               int32_t member_epoch)
{
    (void)group, (void)member_id, (void)member_epoch;
    return 0;
}

static int classic_check_delete_offsets(const struct group *group)
{
    /* A consumer group's live members protect the topics that they subscribe to, below. */
    return classic_is_empty(group) || uses_consumer_protocol(group) ? 0 : KAFKA_NON_EMPTY_GROUP;
}

static int classic_check_delete(const struct group *group)
{
    return classic_is_empty(group) ? 0 : KAFKA_NON_EMPTY_GROUP;
}

/* What is not known, because subscriptions could not be read, counts as subscribed. */
static bool classic_subscribes(const struct group *group, struct str topic)
{
    const struct classic *classic = group->classic;
    if (classic && classic->subscriptions_known)
        return map_find_str(&classic->subscribed, topic) != NULL;
    return uses_consumer_protocol(group);
}

static bool classic_offsets_expire(const struct group *group, int64_t *ret_since_ms)
{
    const struct classic *classic = group->classic;
    *ret_since_ms = -1;
    if (!classic || !classic->protocol_type.data)
        return true; /* nobody but commits ever touched it: from each commit */
    if (classic->state == CLASSIC_EMPTY) {
        *ret_since_ms = classic->state_timestamp_ms;
        return true; /* from when the last member left */
    }
    /* Topics that a stable group of consumers does not subscribe to any more: from each commit. */
    return uses_consumer_protocol(group) && classic->subscriptions_known &&
           classic->state == CLASSIC_STABLE;
}

static int classic_put_tombstones(const struct group *group, struct coord_op *op)
{
    return put_group_tombstone(op, group->id);
}

static void classic_member_seen(struct group_shard *shard, struct group *group,
                                struct str member_id, const struct coord_turn *turn)
{
    struct classic *classic = group->classic;
    if (!classic || (classic->state != CLASSIC_STABLE && classic->state != CLASSIC_PREPARING))
        return;
    struct classic_member *member = classic_member(classic, member_id);
    struct classic_at at = {shard, group, classic, turn};
    if (member)
        classic_heartbeat_in(&at, member, member->session_timeout_ms);
}

const struct group_kind classic_kind = {
    .type_name = STR("classic"),
    .state_name = classic_state_name,
    .protocol_type = classic_protocol_type,
    .is_empty = classic_is_empty,
    .check_commit = classic_check_commit,
    .check_fetch = classic_check_fetch,
    .check_delete_offsets = classic_check_delete_offsets,
    .check_delete = classic_check_delete,
    .subscribes = classic_subscribes,
    .offsets_expire = classic_offsets_expire,
    .put_tombstones = classic_put_tombstones,
    .member_seen = classic_member_seen,
    .loaded = classic_loaded,
    .destroy = classic_destroy,
};
