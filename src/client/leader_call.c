#include "client/leader_call.h"

#include <errno.h>

#include "client/internal.h"

static void look(struct leader_call *call);

bool leader_call_may_repeat(int result)
{
    switch (result) {
    /* Nothing that time heals. */
    case -ECANCELED:
    case -ENOTSUP:
    case -EINVAL:
    case -ENOMEM:
    case -ENOBUFS:
        return false;
    case KAFKA_CORRUPT_MESSAGE:
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_LEADER_NOT_AVAILABLE:
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_REQUEST_TIMED_OUT:
    case KAFKA_REPLICA_NOT_AVAILABLE:
    case KAFKA_NETWORK_EXCEPTION:
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_NOT_COORDINATOR:
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case KAFKA_NOT_CONTROLLER:
    case KAFKA_KAFKA_STORAGE_ERROR:
    case KAFKA_FENCED_LEADER_EPOCH:
    case KAFKA_UNKNOWN_LEADER_EPOCH:
    case KAFKA_OFFSET_NOT_AVAILABLE:
    case KAFKA_UNKNOWN_TOPIC_ID:
    case KAFKA_INCONSISTENT_TOPIC_ID:
        return true;
    default:
        return result < 0;
    }
}

/* Whether it says that somebody else leads, or that nobody may know yet. */
static bool is_about_leader(int result)
{
    return result < 0 || result == KAFKA_UNKNOWN_TOPIC_OR_PARTITION ||
           result == KAFKA_LEADER_NOT_AVAILABLE || result == KAFKA_NOT_LEADER_OR_FOLLOWER ||
           result == KAFKA_REPLICA_NOT_AVAILABLE || result == KAFKA_KAFKA_STORAGE_ERROR ||
           result == KAFKA_FENCED_LEADER_EPOCH || result == KAFKA_UNKNOWN_LEADER_EPOCH ||
           result == KAFKA_UNKNOWN_TOPIC_ID || result == KAFKA_INCONSISTENT_TOPIC_ID;
}

static void end(struct leader_call *call, int result)
{
    must(call->active);
    loop_timer_cancel(client_loop(call->client), &call->timer);
    client_cancel_wait(&call->wait);
    list_remove(&call->hook.link);
    call->active = false;
    call->done(call, result);
}

/* From within leader_call_start `done` must not be called: the timer does it. */
static void end_later(struct leader_call *call, int result)
{
    struct loop *loop = client_loop(call->client);
    call->result = result;
    call->delayed = false;
    loop_timer_set(loop, &call->timer, loop->now_ns);
}

static void timer_fire(struct loop *loop, struct loop_timer *timer)
{
    struct leader_call *call = container_of(timer, struct leader_call, timer);
    if (call->delayed) {
        look(call);
        return;
    }
    if (call->result == -ETIMEDOUT && loop->gap_ns > 0) { /* nobody could have found a leader */
        loop_timer_set(loop, timer, loop->now_ns + loop->gap_ns);
        return;
    }
    end(call, call->result);
}

static void look(struct leader_call *call)
{
    struct loop *loop = client_loop(call->client);
    call->delayed = false;
    int err = client_find_leader(call->client, call->topic, call->partition, &call->leader);
    if (err == -EAGAIN) {
        client_await_metadata(call->client, &call->wait);
        call->result = -ETIMEDOUT;
        loop_timer_set(loop, &call->timer, call->deadline_ns);
        return;
    }
    loop_timer_cancel(loop, &call->timer);
    if (err == 0)
        err = call->build(call);
    if (err == 0)
        client_send(call->client, &call->request, call->leader.node_id);
    else
        end_later(call, err);
}

static void wake(struct metadata_wait *wait)
{
    struct leader_call *call = container_of(wait, struct leader_call, wait);
    look(call);
}

static void learn(struct leader_call *call, const struct leader_verdict *verdict)
{
    struct client_endpoint leader = verdict->endpoint;
    leader.node_id = verdict->leader_id;
    bool known = client_learn_leader(call->client, call->topic, call->partition,
                                     verdict->leader_epoch, &leader);
    if (!known)
        client_doubt_leader(call->client, call->topic, call->partition, call->leader.leader_epoch);
}

static void request_done(struct client_request *request, int result)
{
    struct leader_call *call = container_of(request, struct leader_call, request);
    struct leader_verdict verdict = {.leader_id = -1, .leader_epoch = -1};
    if (result == 0 && !request->no_answer) {
        result = call->judge(call, &verdict);
        if (result == 0)
            result = verdict.error < 0 ? KAFKA_UNKNOWN_SERVER_ERROR : verdict.error;
        client_throttle(call->client, request->node_id, verdict.throttle_ms);
    }
    if (result != 0 && result != -ECANCELED && is_about_leader(result))
        learn(call, &verdict);
    end(call, result);
}

static void client_closing(struct client_hook *hook)
{
    struct leader_call *call = container_of(hook, struct leader_call, hook);
    if (!call->request.active) /* else it ends as the client's requests do */
        end(call, -ECANCELED);
}

void leader_call_init(struct leader_call *call, struct client *client, int16_t key)
{
    *call = (struct leader_call){.client = client};
    client_request_init(&call->request, key, NULL, request_done);
    call->hook.closing = client_closing;
    list_init(&call->hook.link);
    metadata_wait_init(&call->wait, wake);
    loop_timer_init(&call->timer, timer_fire);
}

void leader_call_start(struct leader_call *call, int64_t delay_ns, int64_t deadline_ns)
{
    must(!call->active);
    client_request_release(&call->request);
    client_hook_add(call->client, &call->hook);
    call->active = true;
    call->deadline_ns = deadline_ns;
    call->delayed = delay_ns > 0;
    if (call->delayed)
        loop_timer_set(client_loop(call->client), &call->timer,
                       client_loop(call->client)->now_ns + delay_ns);
    else
        look(call);
}

void leader_call_release(struct leader_call *call)
{
    client_request_release(&call->request);
}
