/* ListGroups, DescribeGroups, DeleteGroups: one operation after the other, for each shard or group
 * that is asked about. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/group_common.h"
#include "server/handlers/repeats.h"

/* READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS: all that there is for groups. */
#define GROUP_OPERATIONS (1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11)

/* ---- ListGroups ---- */

struct list_work {
    struct group_call call;
    bool calling;
    int32_t partition; /* the next one */
    struct list_groups_response response;
    int32_t capacity;
};

/* The groups of one shard behind those found so far. */
static bool list_take(struct request *request, struct list_work *work)
{
    struct list_groups_response *response = &work->response;
    const struct group_list *list = &work->call.list;
    int32_t count = response->groups.count + list->count;
    if (count > work->capacity) {
        int32_t capacity = count > INT32_MAX / 2 ? count : count * 2;
        struct list_groups_response_listed_group *grown =
            arena_array(&request->arena, (size_t)capacity, sizeof *grown);
        if (!grown)
            return false;
        if (response->groups.count > 0)
            memcpy(grown, response->groups.items, (size_t)response->groups.count * sizeof *grown);
        response->groups.items = grown;
        work->capacity = capacity;
    }
    if (list->count > 0)
        memcpy(response->groups.items + response->groups.count, list->found,
               (size_t)list->count * sizeof *list->found);
    response->groups.count = count;
    return true;
}

/* The next shard that this broker leads; false: there is none, or *ret_error. */
static bool list_next(struct request *request, struct list_work *work, int *ret_error)
{
    const struct list_groups_request *body = request->body;
    struct coord *groups = request_broker(request)->coordinators.groups;
    int32_t count = groups ? coord_shard_count(groups) : 0;
    while (work->partition < count) {
        struct coord_shard *shard;
        int err = coord_shard_find(groups, work->partition++, &shard);
        if (err == KAFKA_NOT_COORDINATOR)
            continue;
        if (err != 0) {
            *ret_error = err;
            return false;
        }
        const struct group_filter states = work->call.list.states_passed;
        const struct group_filter types = work->call.list.types_passed;
        group_list_init(&work->call.list);
        work->call.list.states_passed = states;
        work->call.list.types_passed = types;
        work->call.list.states = body->states_filter;
        work->call.list.types = body->types_filter;
        work->call.list.arena = &request->arena;
        group_call_begin_at(&work->call, request, shard);
        work->calling = true;
        return true;
    }
    return false;
}

enum outcome handle_list_groups(struct request *request)
{
    struct list_work *work = request->work;
    int err = 0;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work)
            return request_refuse(request, "out of memory");
        list_groups_response_init(&work->response);
        group_deadline(request);
    }
    while (err == 0 && (work->calling || list_next(request, work, &err))) {
        if (!group_call_run(&work->call))
            return PARKED;
        work->calling = false;
        err = work->call.error == KAFKA_NOT_COORDINATOR ? 0 : work->call.error;
        if (work->call.error == 0 && !list_take(request, work))
            return request_refuse(request, "out of memory");
    }
    if (err != 0) {
        list_groups_response_init(&work->response);
        work->response.error_code = error_to_wire(err);
    }
    return request_answer(request, &work->response);
}

/* ---- DescribeGroups ---- */

struct describe_work {
    struct group_call call;
    bool calling;
    int32_t at;
    struct describe_groups_response response;
};

static void describe_begin(struct request *request, struct describe_work *work)
{
    const struct describe_groups_request *body = request->body;
    struct group_describe *describe = &work->call.describe;
    group_describe_init(describe);
    describe->group = body->groups.items[work->at];
    describe->version = request->version;
    describe->arena = &request->arena;
    describe->answer = &work->response.groups.items[work->at];
    group_call_begin(&work->call, request, describe->group);
    work->calling = true;
}

enum outcome handle_describe_groups(struct request *request)
{
    const struct describe_groups_request *body = request->body;
    struct describe_work *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work)
            return request_refuse(request, "out of memory");
        describe_groups_response_init(&work->response);
        work->response.groups.items =
            describe_groups_response_described_group_array(&request->arena, body->groups.count);
        if (!work->response.groups.items)
            return request_refuse(request, "out of memory");
        group_deadline(request);
    }
    for (; work->at < body->groups.count; work->at++, work->calling = false) {
        struct describe_groups_response_described_group *answer =
            &work->response.groups.items[work->at];
        if (!work->calling)
            describe_begin(request, work);
        if (!group_call_run(&work->call))
            return PARKED;
        if (work->call.error != 0)
            group_describe_error(answer, body->groups.items[work->at], work->call.error);
        if (body->include_authorized_operations && answer->error_code == 0)
            answer->authorized_operations = GROUP_OPERATIONS;
        if (request_yield(request)) {
            work->at++;
            work->calling = false;
            return PARKED;
        }
    }
    work->response.groups.count = body->groups.count;
    return request_answer(request, &work->response);
}

/* ---- DeleteGroups ---- */

struct delete_work {
    struct group_call call;
    bool calling;
    bool more; /* of the group */
    int32_t at;
    struct repeats repeats; /* a group that is named twice is deleted and answered once */
    struct delete_groups_response response;
};

static struct delete_work *delete_begin(struct request *request)
{
    const struct delete_groups_request *body = request->body;
    struct delete_work *work = arena_alloc(&request->arena, sizeof *work);
    if (!work || !repeats_init(&work->repeats, &request->arena, body->groups_names.count))
        return NULL;
    for (int32_t i = 0; i < body->groups_names.count; i++)
        repeats_add(&work->repeats, body->groups_names.items[i], 0);
    repeats_find(&work->repeats);
    delete_groups_response_init(&work->response);
    work->response.results.items = delete_groups_response_deletable_group_result_array(
        &request->arena, body->groups_names.count);
    if (!work->response.results.items)
        return NULL;
    request->work = work;
    group_deadline(request);
    return work;
}

enum outcome handle_delete_groups(struct request *request)
{
    const struct delete_groups_request *body = request->body;
    struct delete_work *work = request->work ? request->work : delete_begin(request);
    if (!work)
        return request_refuse(request, "out of memory");
    for (; work->at < body->groups_names.count; work->at++, work->calling = false) {
        struct str id = body->groups_names.items[work->at];
        if (!work->calling && request_yield(request))
            return PARKED;
        if (work->repeats.found[work->at] == NAMED_AGAIN)
            continue;
        if (!work->calling) {
            group_delete_init(&work->call.group_delete);
            work->call.group_delete.group = id;
            work->call.group_delete.more = work->more;
            group_call_begin(&work->call, request, id);
            work->calling = true;
        }
        if (!group_call_run(&work->call))
            return PARKED;
        work->more = work->call.error == 0 && work->call.group_delete.more;
        if (work->more) {
            work->at--;
            continue;
        }
        struct delete_groups_response_deletable_group_result *result =
            &work->response.results.items[work->response.results.count++];
        result->group_id = id;
        result->error_code = error_to_wire(work->call.error);
    }
    return request_answer(request, &work->response);
}
