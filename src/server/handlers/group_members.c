/* The classic protocol's members: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.
 *
 * A join or sync may be parked in its group for as long as a rebalance takes. If its connection
 * goes, the place where the group remembers it is taken away by an operation of its own; only then
 * may the request go. */
#include <stdio.h>

#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/group_common.h"

/* A request that may be parked in a group. */
struct parked {
    struct group_call call;
    struct group_call abandon;
    bool frame_given_back, abandoning;
    struct coord_shard *shard; /* a reference of its own, for `abandon` */
};

static void parked_begin(struct parked *parked, struct request *request, struct str group_id)
{
    group_call_begin(&parked->call, request, group_id);
    if (!parked->call.over)
        parked->shard = coord_shard_ref(parked->call.op.shard);
}

static void parked_end(struct parked *parked, struct group_wait *wait)
{
    group_wait_close(wait);
    if (parked->shard)
        coord_shard_unref(parked->shard);
}

/* Have the group forget the wait of a request whose connection is gone. False: not yet. */
static bool parked_abandon(struct parked *parked, struct group_wait *wait)
{
    struct group_call *abandon = &parked->abandon;
    if (!parked->abandoning) {
        parked->abandoning = true;
        classic_abandon_init(&abandon->abandon, wait);
        group_call_begin_at(abandon, parked->call.request, coord_shard_ref(parked->shard));
    }
    const struct coord_turn turn = group_turn(parked->call.request);
    if (!abandon->over)
        abandon->over = coord_op_run(&abandon->op, &turn, &abandon->error);
    return abandon->over;
}

/* True when there is something to answer: *ret_error 0, and the answer was written, or an error. */
static bool parked_run(struct parked *parked, struct group_wait *wait, const bool *waits,
                       int *ret_error)
{
    struct request *request = parked->call.request;
    if (!group_call_run(&parked->call))
        return false;
    *ret_error = parked->call.error;
    if (!*waits)
        return true;
    /* The wait may end while `abandon` is in the queue of the shard's lock: not before it is out of
     * it may the request go. */
    bool queued = parked->abandoning && !parked_abandon(parked, wait);
    if (group_wait_over(wait, ret_error))
        return !queued;
    if (!parked->frame_given_back) { /* the group has copies of all that it needs */
        parked->frame_given_back = true;
        request_release_frame(request);
    }
    if (group_wait_stage(wait) == GROUP_WAIT_ENDING) {
        request_wake(request);
        return false;
    }
    *ret_error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (queued || !request->timed_out || !parked_abandon(parked, wait))
        return false;
    /* Without a state there is nobody to forget it; unloading has ended the wait, or does so. */
    return parked->abandon.error == 0 || group_wait_over(wait, ret_error);
}

/* ---- JoinGroup ---- */

static void join_cleanup(struct request *request)
{
    struct parked *work = request->work;
    parked_end(work, &work->call.join.wait);
}

static void join_woken(struct group_wait *wait, struct wakes *wakes)
{
    struct classic_join *join = container_of(wait, struct classic_join, wait);
    request_wake_later(container_of(join, struct group_call, join)->request, wakes);
}

static struct parked *join_begin(struct request *request)
{
    const struct join_group_request *body = request->body;
    struct parked *work = arena_alloc(&request->arena, sizeof *work);
    struct classic_client client = {.client_id = request->client_id,
                                    .host = group_client_host(request)};
    if (!work || !client.host.data)
        return NULL;
    if (body->member_id.size == 0)
        env_random(request_broker(request)->env, &client.random, sizeof client.random);
    classic_join_init(&work->call.join, body, request->version, &client);
    work->call.join.wait.wake = join_woken;
    request->work = work;
    request->cleanup = join_cleanup;
    int err = classic_join_check(body, broker_settings_now(request_broker(request)));
    if (err == 0) {
        parked_begin(work, request, body->group_id);
        return work;
    }
    group_call_fail(&work->call, request, err);
    work->call.join.response.member_id = body->member_id;
    return work;
}

enum outcome handle_join_group(struct request *request)
{
    struct parked *work = request->work ? request->work : join_begin(request);
    int err;
    if (!work)
        return request_refuse(request, "out of memory");
    struct classic_join *join = &work->call.join;
    if (!parked_run(work, &join->wait, &join->waits, &err))
        return PARKED;
    struct join_group_response *response = &join->response;
    if (err != 0) {
        struct str member_id = response->member_id;
        join_group_response_init(response);
        response->error_code = error_to_wire(classic_append_error(err));
        if (!work->shard) /* nobody was asked */
            response->member_id = member_id;
        response->protocol_name = (struct str){NULL, 0};
    }
    if (request->version < JOIN_GROUP_NULL_PROTOCOL_NAME)
        response->protocol_name = str_or_empty(response->protocol_name);
    return request_answer(request, response);
}

/* ---- SyncGroup ---- */

static void sync_cleanup(struct request *request)
{
    struct parked *work = request->work;
    parked_end(work, &work->call.sync.wait);
}

static void sync_woken(struct group_wait *wait, struct wakes *wakes)
{
    struct classic_sync *sync = container_of(wait, struct classic_sync, wait);
    request_wake_later(container_of(sync, struct group_call, sync)->request, wakes);
}

static struct parked *sync_begin(struct request *request)
{
    const struct sync_group_request *body = request->body;
    struct parked *work = arena_alloc(&request->arena, sizeof *work);
    if (!work)
        return NULL;
    classic_sync_init(&work->call.sync, body);
    work->call.sync.wait.wake = sync_woken;
    request->work = work;
    request->cleanup = sync_cleanup;
    int err = classic_sync_check(body, request->version);
    if (err == 0)
        parked_begin(work, request, body->group_id);
    else
        group_call_fail(&work->call, request, err);
    return work;
}

enum outcome handle_sync_group(struct request *request)
{
    struct parked *work = request->work ? request->work : sync_begin(request);
    int err;
    if (!work)
        return request_refuse(request, "out of memory");
    struct classic_sync *sync = &work->call.sync;
    if (!parked_run(work, &sync->wait, &sync->waits, &err))
        return PARKED;
    if (err != 0) {
        sync_group_response_init(&sync->response);
        sync->response.error_code = error_to_wire(classic_append_error(err));
    }
    return request_answer(request, &sync->response);
}

/* ---- Heartbeat ---- */

enum outcome handle_heartbeat(struct request *request)
{
    const struct heartbeat_request *body = request->body;
    struct group_call *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work)
            return request_refuse(request, "out of memory");
        classic_heartbeat_init(&work->heartbeat, body);
        if (body->group_id.size == 0)
            group_call_fail(work, request, KAFKA_INVALID_GROUP_ID);
        else
            group_call_begin(work, request, body->group_id);
        group_deadline(request);
    }
    if (!group_call_run(work))
        return PARKED;
    /* While the group is being loaded nobody is late. */
    if (work->error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS)
        work->error = 0;
    if (work->error != 0)
        work->heartbeat.response.error_code = error_to_wire(work->error);
    return request_answer(request, &work->heartbeat.response);
}

/* ---- LeaveGroup ---- */

enum outcome handle_leave_group(struct request *request)
{
    const struct leave_group_request *body = request->body;
    struct group_call *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work || classic_leave_init(&work->leave, body, request->version, &request->arena) != 0)
            return request_refuse(request, "out of memory");
        if (body->group_id.size == 0)
            group_call_fail(work, request, KAFKA_INVALID_GROUP_ID);
        else
            group_call_begin(work, request, body->group_id);
        group_deadline(request);
    }
    if (!group_call_run(work))
        return PARKED;
    struct leave_group_response *response = &work->leave.response;
    /* That there is no such group is told for each member. */
    if (work->error != 0 && work->error != KAFKA_UNKNOWN_MEMBER_ID) {
        leave_group_response_init(response);
        response->error_code = error_to_wire(work->error);
    }
    return request_answer(request, response);
}
