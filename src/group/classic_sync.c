/* SyncGroup, and what becomes of requests whose connection goes while they are parked. */
#include <errno.h>

#include "base/errors.h"
#include "group/classic_ops.h"
#include "group/consumer_classic.h"
#include "group/records.h"

/* Protocol name and type are part of the request from this version on. */
enum { SYNC_GROUP_PROTOCOL_FIELDS = 5 };

int classic_sync_check(const struct sync_group_request *request, int16_t version)
{
    if (version >= SYNC_GROUP_PROTOCOL_FIELDS &&
        (!request->protocol_type.data || !request->protocol_name.data))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    return request->group_id.size == 0 ? KAFKA_INVALID_GROUP_ID : 0;
}

static void answer_error(struct classic_sync *sync, int error)
{
    sync_group_response_init(&sync->response);
    sync->response.error_code = error_to_wire(error);
}

static bool is_inconsistent(struct str asked, struct str own)
{
    return asked.data && own.data && !str_equal(asked, own);
}

static int check(const struct sync_group_request *request, const struct group *group)
{
    const struct classic *classic = group->classic;
    int err = classic_check_member(classic, request->member_id, request->group_instance_id);
    if (err != 0)
        return err;
    if (request->generation_id != classic->generation)
        return KAFKA_ILLEGAL_GENERATION;
    if (is_inconsistent(request->protocol_type, classic->protocol_type) ||
        is_inconsistent(request->protocol_name, classic->protocol_name))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    return classic->state == CLASSIC_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : 0;
}

/* Assignments by member id: the last one counts where an id comes twice. */
static int put_assignment(struct classic_sync *sync, const struct classic *classic)
{
    const struct sync_group_request *request = sync->request;
    struct group_metadata_value value;
    struct map given;
    group_metadata_value_init(&value);
    value.protocol_type = str_or_empty(classic->protocol_type);
    value.generation = classic->generation;
    value.protocol = classic->protocol_name;
    value.leader = classic->leader;
    value.current_state_timestamp = classic->state_timestamp_ms;
    value.members.items =
        group_metadata_value_member_metadata_array(&sync->op.arena, classic_member_count(classic));
    if (!value.members.items)
        return -ENOMEM;
    map_init(&given, MAP_STR, sizeof(struct bytes), classic->members.seed);
    for (int32_t i = 0; i < request->assignments.count; i++) {
        struct bytes *place;
        must(map_put_str(&given, request->assignments.items[i].member_id, &place) >= 0);
        *place = request->assignments.items[i].assignment;
    }
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);) {
        const struct classic_member *member = *(struct classic_member **)m.value;
        const struct bytes *assignment = map_find_str(&given, member->id);
        struct group_metadata_value_member_metadata *out =
            &value.members.items[value.members.count++];
        out->member_id = member->id;
        out->group_instance_id = member->instance_id;
        out->client_id = member->client_id;
        out->client_host = member->client_host;
        out->rebalance_timeout = member->rebalance_timeout_ms;
        out->session_timeout = member->session_timeout_ms;
        out->subscription = protocols_metadata(member->protocols, classic->protocol_name);
        out->assignment =
            assignment && assignment->data ? *assignment : (struct bytes){(const uint8_t *)"", 0};
    }
    map_close(&given);
    return put_group_metadata(&sync->op, request->group_id, &value);
}

static int sync_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct classic_sync *sync = container_of(op, struct classic_sync, op);
    const struct group *group = group_find(state, sync->request->group_id);
    op->await_offset = group_await(state, group);
    if (group && group->type == GROUP_CONSUMER)
        return consumer_classic_sync(sync, state, group->consumer, turn);
    if (!group || group->type != GROUP_CLASSIC || classic_state_of(group) == CLASSIC_EMPTY)
        return KAFKA_UNKNOWN_MEMBER_ID;
    int err = check(sync->request, group);
    if (err != 0)
        return err;
    sync->leader = group->classic->state == CLASSIC_COMPLETING &&
                   classic_is_leader(group->classic, sync->request->member_id);
    return sync->leader ? put_assignment(sync, group->classic) : 0;
}

static void park(struct classic_sync *sync, const struct classic_at *at,
                 struct classic_member *member)
{
    struct group_wait *earlier = member->sync_wait;
    if (earlier) { /* asked again on another connection */
        struct sync_group_response *answer = earlier->answer;
        sync_group_response_init(answer);
        answer->error_code = KAFKA_REBALANCE_IN_PROGRESS;
        group_wait_complete(earlier);
    }
    group_wait_begin(at->shard, &sync->wait, &member->sync_wait);
    sync->waits = true;
    member->syncing = true;
}

static void answer_stable(struct classic_sync *sync, const struct classic *classic,
                          const struct classic_member *member)
{
    struct arena *arena = &sync->wait.arena;
    struct sync_group_response *response = &sync->response;
    uint8_t *copy = arena_alloc(arena, (size_t)member->assignment.size);
    sync_group_response_init(response);
    if (classic->protocol_type.data)
        response->protocol_type = arena_str(arena, classic->protocol_type);
    if (classic->protocol_name.data)
        response->protocol_name = arena_str(arena, classic->protocol_name);
    if (!copy) {
        answer_error(sync, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    if (member->assignment.size > 0)
        memcpy(copy, member->assignment.data, (size_t)member->assignment.size);
    response->assignment = (struct bytes){copy, member->assignment.size};
}

/* The assignment was not written: the generation is given up, as it is for all who sync. */
static void leader_failed(struct classic_sync *sync, struct group_shard *shard,
                          const struct coord_turn *turn, int error)
{
    struct group *group = group_find(shard, sync->request->group_id);
    struct classic_at at = {shard, group, group->classic, turn};
    classic_answer_syncs(&at, classic_append_error(error));
    classic_prepare_rebalance(&at);
}

static void sync_settle(struct coord_op *op, void *state, const struct coord_turn *turn, int error)
{
    struct classic_sync *sync = container_of(op, struct classic_sync, op);
    struct group_shard *shard = state;
    if (error != 0) {
        answer_error(sync, sync->leader ? classic_append_error(error) : error);
        if (sync->leader)
            leader_failed(sync, shard, turn, error);
        return;
    }
    struct group *group = group_find(shard, sync->request->group_id);
    if (group->type == GROUP_CONSUMER) {
        consumer_classic_synced(sync, shard, group->consumer, turn);
        return;
    }
    struct classic *classic = group->classic;
    struct classic_at at = {shard, group, classic, turn};
    struct classic_member *member = classic_member(classic, sync->request->member_id);
    classic_set_unsynced(classic, member, false);
    classic_cancel_sync_timer_if_synced(&at);
    if (classic->state == CLASSIC_STABLE) {
        answer_stable(sync, classic, member);
        return;
    }
    park(sync, &at, member);
    if (!sync->leader)
        return;
    /* classic_apply gave the members what is in the record. */
    must(classic->saved_generation == classic->generation);
    classic_answer_syncs(&at, 0);
    classic->previous_state = classic->state;
    classic->state = CLASSIC_STABLE;
    classic->state_timestamp_ms = turn->wall_ms;
}

void classic_sync_init(struct classic_sync *sync, const struct sync_group_request *request)
{
    *sync = (struct classic_sync){.request = request};
    group_wait_init(&sync->wait, &sync->response, NULL);
    coord_op_init(&sync->op);
    sync->op.access = COORD_WRITE;
    sync->op.decide = sync_decide;
    sync->op.settle = sync_settle;
    sync_group_response_init(&sync->response);
}

/* ---- the connection is gone ---- */

static int abandon_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    (void)op, (void)state, (void)turn;
    return 0;
}

static void abandon_settle(struct coord_op *op, void *state, const struct coord_turn *turn,
                           int error)
{
    (void)state, (void)turn, (void)error;
    group_wait_abandon(container_of(op, struct classic_abandon, op)->wait);
}

void classic_abandon_init(struct classic_abandon *abandon, struct group_wait *wait)
{
    *abandon = (struct classic_abandon){.wait = wait};
    coord_op_init(&abandon->op);
    abandon->op.access = COORD_READ;
    abandon->op.decide = abandon_decide;
    abandon->op.settle = abandon_settle;
}
