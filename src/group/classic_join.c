/* JoinGroup. decide makes a plan of what the request comes to, settle carries it out.
 *
 * The checks, in their order: the group, its room (group.max.size), the protocols offered, and then
 * who asks: nobody yet, a static member whose place is taken, an id handed out, a member. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "group/classic_ops.h"
#include "group/consumer_classic.h"
#include "group/records.h"

static struct protocol_list offers_of(const struct join_group_request *request)
{
    return (struct protocol_list){request->protocols.items,
                                  request->protocols.count > 0 ? request->protocols.count : 0};
}

int classic_join_check(const struct join_group_request *request,
                       const struct broker_settings *settings)
{
    if (request->group_id.size == 0)
        return KAFKA_INVALID_GROUP_ID;
    if (request->session_timeout_ms < settings->group_min_session_timeout_ms ||
        request->session_timeout_ms > settings->group_max_session_timeout_ms)
        return KAFKA_INVALID_SESSION_TIMEOUT;
    return 0;
}

/* Where a place is free: for whoever waits in it already, while the group fills; for members, once
 * it is full. */
static bool has_room(const struct classic *classic, const struct classic_member *member,
                     int32_t max_size)
{
    if (!classic || classic->state == CLASSIC_EMPTY)
        return true;
    if (classic->state == CLASSIC_PREPARING)
        return (member && member->joining) || classic->joining_count < max_size;
    return member || classic_member_count(classic) < max_size;
}

static void answer_error(struct classic_join *join, struct str member_id, int error)
{
    join_group_response_init(&join->response);
    join->response.error_code = error_to_wire(error);
    join->response.member_id = member_id;
    join->response.protocol_name = (struct str){NULL, 0};
}

/* The record of a static member's new id: the generation as it is, but for this member. */
static int put_replacement(struct classic_join *join, const struct classic *classic,
                           const struct classic_member *replaced)
{
    const struct join_group_request *request = join->request;
    struct group_metadata_value value;
    group_metadata_value_init(&value);
    value.protocol_type = str_or_empty(classic->protocol_type);
    value.generation = classic->generation;
    value.protocol = classic->protocol_name;
    value.leader = classic_is_leader(classic, replaced->id) ? join->new_id : classic->leader;
    value.current_state_timestamp = classic->state_timestamp_ms;
    value.members.items =
        group_metadata_value_member_metadata_array(&join->op.arena, classic_member_count(classic));
    if (!value.members.items)
        return -ENOMEM;
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);) {
        const struct classic_member *member = *(struct classic_member **)m.value;
        struct group_metadata_value_member_metadata *out =
            &value.members.items[value.members.count++];
        bool is_new = member == replaced;
        out->member_id = is_new ? join->new_id : member->id;
        out->group_instance_id = member->instance_id;
        out->client_id = member->client_id;
        out->client_host = member->client_host;
        out->rebalance_timeout =
            is_new ? request->rebalance_timeout_ms : member->rebalance_timeout_ms;
        out->session_timeout = is_new ? request->session_timeout_ms : member->session_timeout_ms;
        out->subscription = protocols_metadata(is_new ? offers_of(request) : member->protocols,
                                               classic->protocol_name);
        out->assignment =
            member->assignment.data ? member->assignment : (struct bytes){(const uint8_t *)"", 0};
    }
    return put_group_metadata(&join->op, request->group_id, &value);
}

static int plan_replacement(struct classic_join *join, const struct classic *classic,
                            const struct classic_member *replaced)
{
    join->plan = JOIN_REPLACE;
    if (classic->state != CLASSIC_STABLE)
        return 0;
    struct str next = classic_select_protocol(classic, replaced, offers_of(join->request));
    if (!str_equal(str_or_empty(classic->protocol_name), next))
        return 0;
    join->plan = JOIN_REPLACE_QUIETLY;
    return put_replacement(join, classic, replaced);
}

static int plan_new_member(struct classic_join *join, const struct group *group,
                           const struct coord_turn *turn)
{
    const struct join_group_request *request = join->request;
    const struct classic *classic = group ? group->classic : NULL;
    if (!classic_supports(classic, request->protocol_type, offers_of(request))) {
        answer_error(join, STR(""), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return 0;
    }
    if (request->group_instance_id.data) {
        const struct classic_member *replaced =
            classic ? classic_static(classic, request->group_instance_id) : NULL;
        if (replaced)
            return plan_replacement(join, classic, replaced);
        join->plan = JOIN_ADD;
    } else {
        join->plan = join->version >= JOIN_GROUP_KNOWN_MEMBER_ID ? JOIN_ASK_ID : JOIN_ADD;
    }
    if (group)
        return 0;
    return put_empty_group(&join->op, request->group_id, 0, STR(""), turn->wall_ms);
}

static void plan_member(struct classic_join *join, const struct classic *classic)
{
    const struct join_group_request *request = join->request;
    struct classic_member *member;
    int err = classic_check_member(classic, request->member_id, request->group_instance_id);
    if (err != 0) {
        answer_error(join, request->member_id, err);
        return;
    }
    member = classic_member(classic, request->member_id);
    bool same = protocols_equal(member->protocols, offers_of(request));
    join->plan = JOIN_UPDATE;
    /* Nothing new: the answer to an earlier join may have been lost. But the leader of a stable
     * group wants a rebalance, for something that only it sees. */
    if (same && (classic->state == CLASSIC_COMPLETING ||
                 (classic->state == CLASSIC_STABLE && !classic_is_leader(classic, member->id)))) {
        join->plan = JOIN_ANSWER;
        classic_join_answer(classic, member->id,
                            classic->state == CLASSIC_COMPLETING &&
                                classic_is_leader(classic, member->id),
                            &join->wait.arena, &join->response);
    }
}

static void plan_known_id(struct classic_join *join, const struct classic *classic)
{
    const struct join_group_request *request = join->request;
    if (!classic_supports(classic, request->protocol_type, offers_of(request))) {
        answer_error(join, request->member_id, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    } else if (classic && classic_pending_find(classic, request->member_id)) {
        /* Ids are handed out to dynamic members only. */
        if (request->group_instance_id.data)
            answer_error(join, STR(""), KAFKA_UNKNOWN_SERVER_ERROR);
        else
            join->plan = JOIN_ADD;
    } else if (!classic) {
        answer_error(join, request->member_id, KAFKA_UNKNOWN_MEMBER_ID);
    } else {
        plan_member(join, classic);
    }
}

/* Whether the group may hold what the request brings; what a member had makes room for it. */
static bool has_memory(const struct classic_join *join, const struct group_shard *shard,
                       const struct classic *classic, const struct classic_member *member,
                       const struct coord_turn *turn)
{
    int64_t bytes = protocols_bytes(offers_of(join->request));
    if (member)
        return group_may_hold(shard, turn, bytes - protocols_bytes(member->protocols));
    /* One of the two ids is empty. */
    bytes += (int64_t)sizeof *member + join->request->member_id.size + join->new_id.size +
             join->client.client_id.size;
    return group_may_hold(shard, turn, bytes + (classic ? 0 : (int64_t)sizeof *classic));
}

/* A group of another type gives way when it has no members; its offsets stay. Then *group is NULL:
 * as if it had not been there. */
static int plan_take_over(struct classic_join *join, const struct group_shard *shard,
                          const struct group **group, const struct coord_turn *turn)
{
    const struct join_group_request *request = join->request;
    const struct group_kind *kind = group_kind_of(*group);
    if (!kind->is_empty(*group) ||
        !classic_supports(NULL, request->protocol_type, offers_of(request))) {
        answer_error(join, STR(""), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return 0;
    }
    if (request->member_id.size > 0) {
        answer_error(join, request->member_id, KAFKA_UNKNOWN_MEMBER_ID);
        return 0;
    }
    if (!has_memory(join, shard, NULL, NULL, turn)) { /* before anything is taken from the group */
        answer_error(join, request->member_id, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return 0;
    }
    int err = kind->put_tombstones(*group, &join->op);
    *group = NULL;
    return err;
}

static int join_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct classic_join *join = container_of(op, struct classic_join, op);
    const struct join_group_request *request = join->request;
    const struct group *group = group_find(state, request->group_id);
    bool unknown = request->member_id.size == 0;
    op->await_offset = group_await(state, group);
    join->plan = JOIN_ANSWER;
    if (unknown && join->new_id.size > INT16_MAX) { /* no answer could say it, nor who leads */
        answer_error(join, STR(""), KAFKA_UNKNOWN_SERVER_ERROR);
        return 0;
    }
    if (request->protocols.count > CLASSIC_PROTOCOLS_MAX) {
        answer_error(join, request->member_id, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return 0;
    }
    if (!group && !unknown) {
        answer_error(join, request->member_id, KAFKA_UNKNOWN_MEMBER_ID);
        return 0;
    }
    if (group && group->type == GROUP_CONSUMER && !group_kind_of(group)->is_empty(group))
        return consumer_classic_join(join, group_find(state, request->group_id), turn);
    if (group && group->type != GROUP_CLASSIC) {
        int err = plan_take_over(join, state, &group, turn);
        if (err != 0 || group)
            return err;
    }
    const struct classic *classic = group ? group->classic : NULL;
    const struct classic_member *member =
        classic && !unknown ? classic_member(classic, request->member_id) : NULL;
    if (!has_room(classic, member, turn->settings->group_max_size)) {
        answer_error(join, STR(""), KAFKA_GROUP_MAX_SIZE_REACHED);
        join->plan = JOIN_KICKED;
        return 0;
    }
    if (!has_memory(join, state, classic, member, turn)) {
        answer_error(join, request->member_id, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return 0;
    }
    if (unknown)
        return plan_new_member(join, group, turn);
    plan_known_id(join, classic);
    return 0;
}

/* ---- settle ---- */

static void park(struct classic_join *join, const struct classic_at *at,
                 struct classic_member *member)
{
    struct group_wait *earlier = member->join_wait;
    if (earlier) { /* asked again on another connection: the first is told to come back */
        struct join_group_response *answer = earlier->answer;
        join_group_response_init(answer);
        answer->error_code = KAFKA_REBALANCE_IN_PROGRESS;
        answer->protocol_name = (struct str){NULL, 0};
        group_wait_complete(earlier);
    }
    group_wait_begin(at->shard, &join->wait, &member->join_wait);
    join->waits = true;
    classic_set_joining(at->classic, member, true);
}

static void add_member(struct classic_join *join, const struct classic_at *at)
{
    const struct join_group_request *request = join->request;
    struct classic *classic = at->classic;
    struct classic_pending *pending =
        request->member_id.size > 0 ? classic_pending_find(classic, request->member_id) : NULL;
    const struct classic_new_member from = {
        .id = request->member_id.size > 0 ? request->member_id : join->new_id,
        .instance_id = request->group_instance_id,
        .client_id = join->client.client_id,
        .client_host = join->client.host,
        .protocol_type = request->protocol_type,
        .rebalance_timeout_ms = request->rebalance_timeout_ms,
        .session_timeout_ms = request->session_timeout_ms,
        .protocols = offers_of(request),
    };
    if (pending)
        classic_pending_remove(at->shard, classic, pending);
    if (classic->state == CLASSIC_PREPARING && classic->previous_state == CLASSIC_EMPTY)
        classic->new_member_added = true;
    struct classic_member *member = classic_add(at->shard, classic, &from);
    member->is_new = true;
    park(join, at, member);
    classic_heartbeat_in(at, member, CLASSIC_NEW_MEMBER_JOIN_TIMEOUT_MS);
    classic_rebalance_or_complete(at);
}

static void update_member(struct classic_join *join, const struct classic_at *at)
{
    const struct join_group_request *request = join->request;
    struct classic_member *member = classic_member(at->classic, request->member_id);
    classic_set_offers(at->classic, member, offers_of(request), request->rebalance_timeout_ms,
                       request->session_timeout_ms);
    park(join, at, member);
    classic_rebalance_or_complete(at);
}

/* The member under its new id; whoever still asks under the old one is fenced. */
static struct classic_member *take_over(struct classic_join *join, const struct classic_at *at)
{
    const struct join_group_request *request = join->request;
    struct classic_member *member = classic_static(at->classic, request->group_instance_id);
    classic_answer_join_error(at->classic, member, member->id, KAFKA_FENCED_INSTANCE_ID);
    if (member->syncing) {
        struct bytes kept = member->assignment;
        member->assignment = (struct bytes){NULL, 0};
        classic_answer_sync_error(member, KAFKA_FENCED_INSTANCE_ID);
        member->assignment = kept;
    }
    classic_set_unsynced(at->classic, member, false);
    member->is_new = false;
    classic_rename(at->classic, member, join->new_id);
    classic_heartbeat_in(at, member, member->session_timeout_ms);
    classic_set_offers(at->classic, member, offers_of(request), request->rebalance_timeout_ms,
                       request->session_timeout_ms);
    return member;
}

static void replace_member(struct classic_join *join, const struct classic_at *at)
{
    struct classic_member *member = take_over(join, at);
    park(join, at, member);
    if (at->classic->state == CLASSIC_PREPARING)
        classic_maybe_complete_join(at);
    else /* the old id may have been given to the leader: it must assign again */
        classic_prepare_rebalance(at);
}

static void replace_quietly(struct classic_join *join, const struct classic_at *at)
{
    struct arena *arena = &join->wait.arena;
    struct str old_leader = arena_str(arena, str_or_empty(at->classic->leader));
    const struct classic_member *member = take_over(join, at);
    bool leads = classic_is_leader(at->classic, member->id);
    bool skips = join->version >= JOIN_GROUP_SKIP_ASSIGNMENT;
    classic_join_answer(at->classic, member->id, skips && leads, arena, &join->response);
    if (skips)
        join->response.skip_assignment = leads;
    else if (join->response.error_code == 0)
        /* A client that cannot skip must not take itself for the leader, or it would assign for a
         * group that does not rebalance. */
        join->response.leader = str_or_empty(old_leader);
    classic_find_subscriptions(at->classic);
}

static void kick(struct classic_join *join, const struct classic_at *at)
{
    const struct str id = join->request->member_id;
    struct classic_member *member = classic_member(at->classic, id);
    struct classic_pending *pending = classic_pending_find(at->classic, id);
    if (member) {
        classic_answer_sync_error(member, KAFKA_GROUP_MAX_SIZE_REACHED);
        classic_remove(at->shard, at->classic, member);
    } else if (pending) {
        classic_pending_remove(at->shard, at->classic, pending);
    }
    classic_maybe_complete_join(at); /* whoever has a place has it */
}

static void ask_id(struct classic_join *join, const struct classic_at *at)
{
    classic_pending_add(at, join->new_id, join->request->session_timeout_ms);
    answer_error(join, join->new_id, KAFKA_MEMBER_ID_REQUIRED);
}

static void join_settle(struct coord_op *op, void *state, const struct coord_turn *turn, int error)
{
    struct classic_join *join = container_of(op, struct classic_join, op);
    struct group_shard *shard = state;
    if (error != 0) {
        answer_error(join, STR(""), classic_append_error(error));
        return;
    }
    if (join->member_id.data)
        consumer_classic_joined(join, shard, turn);
    if (join->plan == JOIN_ANSWER)
        return;
    struct group *group = group_find(shard, join->request->group_id);
    must(group);
    struct classic_at at = {shard, group, classic_of(shard, group), turn};
    switch (join->plan) {
    case JOIN_ANSWER:
        break;
    case JOIN_KICKED:
        kick(join, &at);
        break;
    case JOIN_ASK_ID:
        ask_id(join, &at);
        break;
    case JOIN_ADD:
        add_member(join, &at);
        break;
    case JOIN_UPDATE:
        update_member(join, &at);
        break;
    case JOIN_REPLACE:
        replace_member(join, &at);
        break;
    case JOIN_REPLACE_QUIETLY:
        replace_quietly(join, &at);
        break;
    }
}

enum { ID_TAIL_BYTES = 37 };

/* "-" and a UUID of version 4, variant 1 (RFC 9562). */
static void write_tail(struct uuid random, char text[ID_TAIL_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    random.bytes[6] = (uint8_t)((random.bytes[6] & 0x0f) | 0x40);
    random.bytes[8] = (uint8_t)((random.bytes[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++) {
        if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[random.bytes[i] >> 4];
        *text++ = digits[random.bytes[i] & 0x0f];
    }
}

/* "<client id or instance id>-<random UUID>", as Kafka makes them. */
static struct str make_id(struct classic_join *join)
{
    struct str prefix = join->request->group_instance_id.data ? join->request->group_instance_id
                                                              : join->client.client_id;
    size_t size = (size_t)prefix.size + ID_TAIL_BYTES;
    char *text = arena_alloc(&join->wait.arena, size); /* the prefix may hold any bytes */
    must(text);
    if (prefix.size > 0)
        memcpy(text, prefix.data, (size_t)prefix.size);
    write_tail(join->client.random, text + prefix.size);
    return (struct str){text, (int32_t)size};
}

void classic_join_init(struct classic_join *join, const struct join_group_request *request,
                       int16_t version, const struct classic_client *client)
{
    *join = (struct classic_join){.request = request, .version = version, .client = *client};
    if (version < JOIN_GROUP_REBALANCE_TIMEOUT) {
        join->oldest = *request;
        join->oldest.rebalance_timeout_ms = request->session_timeout_ms;
        join->request = &join->oldest;
    }
    group_wait_init(&join->wait, &join->response, NULL);
    coord_op_init(&join->op);
    join->op.access = COORD_WRITE;
    join->op.decide = join_decide;
    join->op.settle = join_settle;
    if (request->member_id.size == 0)
        join->new_id = make_id(join);
    join_group_response_init(&join->response);
}
