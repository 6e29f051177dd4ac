/* ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848). Both are served when group.version is
 * finalized at 1 or above and the broker's settings do not rule the protocol out, as in Kafka. */
#include <errno.h>

#include "base/errors.h"
#include "metadata/features.h"
#include "regex/regex.h"
#include "server/api_table.h"
#include "server/handlers/group_common.h"

/* READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS: all that there is for groups. */
#define GROUP_OPERATIONS (1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11)

static bool is_served(struct request *request)
{
    const struct image *image = request_image(request);
    return broker_settings_now(request_broker(request))->group_consumer_protocol && image &&
           image_feature(image, STR(FEATURE_GROUP_VERSION)) >= 1;
}

/* ---- ConsumerGroupHeartbeat ---- */

struct heartbeat_work {
    struct group_call call;
    struct request *request;
    struct pool_job compile;
    bool compiling;
};

/* Compiled to see whether it can be; what it stands for is found out later, for the whole group. */
static void compile_run(struct pool_job *job)
{
    struct heartbeat_work *work = container_of(job, struct heartbeat_work, compile);
    struct consumer_heartbeat *heartbeat = &work->call.consumer_heartbeat;
    struct str text = heartbeat->request->subscribed_topic_regex;
    struct regex *regex = NULL;
    char why[REGEX_WHY_SIZE];
    int err = regex_compile(text.data, (size_t)text.size, &regex, why);
    regex_destroy(regex);
    if (err == -EINVAL) {
        heartbeat->compile_error = KAFKA_INVALID_REGULAR_EXPRESSION;
        heartbeat->compile_message = arena_printf(
            heartbeat->arena, "SubscribedTopicRegex is not a regular expression: %s.", why);
    } else if (err != 0) {
        heartbeat->compile_error = err;
    }
}

static void compile_done(struct loop *loop, struct pool_job *job)
{
    struct heartbeat_work *work = container_of(job, struct heartbeat_work, compile);
    (void)loop;
    work->compiling = false;
    request_wake(work->request);
}

static void compile_begin(struct heartbeat_work *work)
{
    work->compiling = true;
    work->compile.run = compile_run;
    work->compile.done = compile_done;
    pool_submit(&work->request->home->loop, &work->compile);
}

static struct heartbeat_work *heartbeat_begin(struct request *request)
{
    const struct consumer_group_heartbeat_request *body = request->body;
    struct heartbeat_work *work = arena_alloc(&request->arena, sizeof *work);
    struct classic_client client = {.client_id = request->client_id,
                                    .host = group_client_host(request)};
    if (!work || !client.host.data)
        return NULL;
    if (body->member_id.size == 0)
        env_random(request_broker(request)->env, &client.random, sizeof client.random);
    work->request = request;
    struct consumer_heartbeat *heartbeat = &work->call.consumer_heartbeat;
    consumer_heartbeat_init(heartbeat, body, request->version, &client, &request->arena);
    int err = is_served(request)
                  ? consumer_heartbeat_check(body, request->version,
                                             broker_settings_now(request_broker(request)),
                                             &heartbeat->message)
                  : KAFKA_UNSUPPORTED_VERSION;
    if (err == 0)
        group_call_begin(&work->call, request, body->group_id);
    else
        group_call_fail(&work->call, request, err);
    group_deadline(request);
    request->work = work;
    if (err == 0 && body->subscribed_topic_regex.size > 0)
        compile_begin(work);
    return work;
}

enum outcome handle_consumer_group_heartbeat(struct request *request)
{
    struct heartbeat_work *work = request->work ? request->work : heartbeat_begin(request);
    if (!work)
        return request_refuse(request, "out of memory");
    if (work->compiling || !group_call_run(&work->call))
        return PARKED;
    struct consumer_group_heartbeat_response *response = &work->call.consumer_heartbeat.response;
    if (work->call.error != 0) {
        consumer_group_heartbeat_response_init(response);
        response->error_code = error_to_wire(work->call.error);
        response->error_message = str_of(work->call.consumer_heartbeat.message);
    }
    return request_answer(request, response);
}

/* ---- ConsumerGroupDescribe ---- */

struct describe_work {
    struct group_call call;
    bool calling;
    int32_t at;
    struct consumer_group_describe_response response;
};

static struct describe_work *describe_begin(struct request *request)
{
    const struct consumer_group_describe_request *body = request->body;
    struct describe_work *work = arena_alloc(&request->arena, sizeof *work);
    if (!work)
        return NULL;
    consumer_group_describe_response_init(&work->response);
    work->response.groups.items = consumer_group_describe_response_described_group_array(
        &request->arena, body->group_ids.count);
    if (!work->response.groups.items)
        return NULL;
    request->work = work;
    group_deadline(request);
    return work;
}

static void describe_next(struct request *request, struct describe_work *work, struct str group)
{
    struct consumer_describe *describe = &work->call.consumer_describe;
    consumer_describe_init(describe);
    describe->group = group;
    describe->arena = &request->arena;
    describe->answer = &work->response.groups.items[work->at];
    if (group.size == 0)
        group_call_fail(&work->call, request, KAFKA_INVALID_GROUP_ID);
    else if (!is_served(request))
        group_call_fail(&work->call, request, KAFKA_UNSUPPORTED_VERSION);
    else
        group_call_begin(&work->call, request, group);
    work->calling = true;
}

enum outcome handle_consumer_group_describe(struct request *request)
{
    const struct consumer_group_describe_request *body = request->body;
    struct describe_work *work = request->work ? request->work : describe_begin(request);
    if (!work)
        return request_refuse(request, "out of memory");
    for (; work->at < body->group_ids.count; work->at++, work->calling = false) {
        struct consumer_group_describe_response_described_group *answer =
            &work->response.groups.items[work->at];
        if (!work->calling)
            describe_next(request, work, body->group_ids.items[work->at]);
        if (!group_call_run(&work->call))
            return PARKED;
        if (work->call.error != 0) {
            consumer_group_describe_response_described_group_init(answer);
            answer->group_id = body->group_ids.items[work->at];
            answer->error_code = error_to_wire(work->call.error);
        } else if (body->include_authorized_operations) {
            answer->authorized_operations = GROUP_OPERATIONS;
        }
    }
    work->response.groups.count = body->group_ids.count;
    return request_answer(request, &work->response);
}
