/* Heartbeat and LeaveGroup. */
#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "group/classic_ops.h"
#include "group/consumer_classic.h"

/* ---- Heartbeat ---- */

static int heartbeat_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    const struct heartbeat_request *request =
        container_of(op, struct classic_heartbeat, op)->request;
    const struct group *group = group_find(state, request->group_id);
    (void)turn;
    op->await_offset = group_await(state, group);
    if (group && group->type == GROUP_CONSUMER)
        return consumer_classic_check(group->consumer, request);
    if (!group || group->type != GROUP_CLASSIC)
        return KAFKA_UNKNOWN_MEMBER_ID;
    int err = classic_check_member(group->classic, request->member_id, request->group_instance_id);
    if (err == 0 && request->generation_id != group->classic->generation)
        err = KAFKA_ILLEGAL_GENERATION;
    return err;
}

static void heartbeat_settle(struct coord_op *op, void *state, const struct coord_turn *turn,
                             int error)
{
    struct classic_heartbeat *heartbeat = container_of(op, struct classic_heartbeat, op);
    const struct heartbeat_request *request = heartbeat->request;
    heartbeat->response.error_code = error_to_wire(error);
    if (error != 0)
        return;
    struct group *group = group_find(state, request->group_id);
    if (group->type == GROUP_CONSUMER) {
        error = consumer_classic_beat(state, group->consumer, request, turn);
        heartbeat->response.error_code = error_to_wire(error);
        return;
    }
    struct classic_at at = {state, group, group->classic, turn};
    struct classic_member *member = classic_member(group->classic, request->member_id);
    classic_heartbeat_in(&at, member, member->session_timeout_ms);
    if (group->classic->state == CLASSIC_PREPARING)
        heartbeat->response.error_code = KAFKA_REBALANCE_IN_PROGRESS;
}

void classic_heartbeat_init(struct classic_heartbeat *heartbeat,
                            const struct heartbeat_request *request)
{
    *heartbeat = (struct classic_heartbeat){.request = request};
    coord_op_init(&heartbeat->op);
    heartbeat->op.access = COORD_READ;
    heartbeat->op.decide = heartbeat_decide;
    heartbeat->op.settle = heartbeat_settle;
    heartbeat_response_init(&heartbeat->response);
}

/* ---- LeaveGroup ---- */

/* Who is meant; at most one of these is set, and nothing when it is nobody. */
struct leaver {
    struct classic_member *member;
    struct classic_pending *pending;
    int error;
};

static struct leaver find_leaver(const struct classic *classic,
                                 const struct leave_group_request_member_identity *who)
{
    struct leaver leaver = {NULL, NULL, KAFKA_UNKNOWN_MEMBER_ID};
    if (!classic)
        return leaver;
    if (who->member_id.size == 0) { /* an administrator removes a static member */
        if (who->group_instance_id.data)
            leaver.member = classic_static(classic, who->group_instance_id);
        leaver.error = leaver.member ? 0 : KAFKA_UNKNOWN_MEMBER_ID;
        return leaver;
    }
    leaver.pending = classic_pending_find(classic, who->member_id);
    if (leaver.pending) {
        leaver.error = 0;
        return leaver;
    }
    leaver.error = classic_check_member(classic, who->member_id, who->group_instance_id);
    if (leaver.error == 0)
        leaver.member = classic_member(classic, who->member_id);
    return leaver;
}

/* How many go, each counted once though it be named twice. */
static struct classic_removal count_leavers(const struct classic_leave *leave,
                                            const struct classic *classic)
{
    struct classic_removal removal = {.leave = true};
    struct map seen; /* by address */
    map_init(&seen, MAP_U64, 1, classic ? classic->members.seed : 0);
    for (int32_t i = 0; i < leave->count; i++) {
        struct leaver leaver = find_leaver(classic, &leave->members[i]);
        void *who = leaver.member ? (void *)leaver.member : (void *)leaver.pending;
        uint8_t *place;
        if (leaver.error != 0)
            continue;
        int added = map_put(&seen, (uint64_t)(uintptr_t)who, &place);
        must(added >= 0);
        removal.members += added == 1 && leaver.member;
        removal.pending += added == 1 && leaver.pending;
    }
    map_close(&seen);
    return removal;
}

static int leave_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct classic_leave *leave = container_of(op, struct classic_leave, op);
    const struct group *group = group_find(state, leave->request->group_id);
    op->await_offset = group_await(state, group);
    if (group && group->type == GROUP_CONSUMER)
        return consumer_classic_leave(leave, group->consumer, turn, &leave->errors);
    if (!group || group->type != GROUP_CLASSIC)
        return KAFKA_UNKNOWN_MEMBER_ID;
    struct classic_removal removal = count_leavers(leave, group->classic);
    if (removal.members + removal.pending == 0 || !classic_will_be_empty(group->classic, &removal))
        return 0;
    return classic_put_emptied(group->classic, op, turn);
}

static void remove_leaver(const struct classic_at *at, const struct leaver *leaver)
{
    if (leaver->pending) {
        classic_pending_remove(at->shard, at->classic, leaver->pending);
        return;
    }
    say_info(coord_shard_say(at->shard->shard), "member leaves a group",
             kv_str("group", at->group->id), kv_str("member", leaver->member->id));
    classic_answer_join_error(at->classic, leaver->member, STR(""), KAFKA_UNKNOWN_MEMBER_ID);
    classic_answer_sync_error(leaver->member, KAFKA_UNKNOWN_MEMBER_ID);
    classic_remove(at->shard, at->classic, leaver->member);
}

static void answer_member(struct classic_leave *leave, int32_t index, int error)
{
    struct leave_group_response_member_response *out =
        &leave->response.members.items[leave->response.members.count++];
    out->member_id = leave->members[index].member_id;
    out->group_instance_id = leave->members[index].group_instance_id;
    out->error_code = error_to_wire(error);
}

/* Before version 3 the one member's error is the answer's. */
static void answer_in_old_form(struct classic_leave *leave)
{
    if (leave->version < 3 && leave->response.members.count == 1) {
        leave->response.error_code = leave->response.members.items[0].error_code;
        leave->response.members.count = 0;
    }
}

static void leave_settle(struct coord_op *op, void *state, const struct coord_turn *turn, int error)
{
    struct classic_leave *leave = container_of(op, struct classic_leave, op);
    bool any = false;
    if (error == KAFKA_UNKNOWN_MEMBER_ID) { /* there is no such group */
        for (int32_t i = 0; i < leave->count; i++)
            answer_member(leave, i, error);
        answer_in_old_form(leave);
        return;
    }
    if (error != 0) {
        leave->response.error_code = error_to_wire(error);
        return;
    }
    for (int32_t i = 0; leave->errors && i < leave->count; i++)
        answer_member(leave, i, leave->errors[i]);
    if (leave->errors) { /* a consumer group: its records were all there was to do */
        answer_in_old_form(leave);
        return;
    }
    struct group *group = group_find(state, leave->request->group_id);
    struct classic_at at = {state, group, group->classic, turn};
    for (int32_t i = 0; i < leave->count; i++) {
        struct leaver leaver = find_leaver(at.classic, &leave->members[i]);
        if (leaver.error == 0)
            remove_leaver(&at, &leaver);
        any = any || leaver.error == 0;
        answer_member(leave, i, leaver.error);
    }
    answer_in_old_form(leave);
    if (any && at.classic->state == CLASSIC_PREPARING)
        classic_maybe_complete_join(&at);
    else if (any && at.classic->state != CLASSIC_EMPTY)
        classic_prepare_rebalance(&at);
}

int classic_leave_init(struct classic_leave *leave, const struct leave_group_request *request,
                       int16_t version, struct arena *arena)
{
    *leave = (struct classic_leave){.request = request, .version = version, .arena = arena};
    leave_group_request_member_identity_init(&leave->single);
    leave->single.member_id = request->member_id;
    leave->members = version < 3 ? &leave->single : request->members.items;
    leave->count = version < 3 ? 1 : request->members.count;
    coord_op_init(&leave->op);
    leave->op.access = COORD_WRITE;
    leave->op.decide = leave_decide;
    leave->op.settle = leave_settle;
    leave_group_response_init(&leave->response);
    leave->response.members.items = leave_group_response_member_response_array(arena, leave->count);
    return leave->response.members.items ? 0 : -ENOMEM;
}
