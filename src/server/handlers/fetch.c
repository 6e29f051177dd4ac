/* Fetch: which partitions (from the request and its session), what is there, wait for more, answer.
 *
 * Stages: PREPARE → AWAIT → ANSWER (fetch_answer.c). AWAIT looks at the partitions that changed
 * since the session's last fetch, waits on the marks of those that it found something at, too, and
 * looks at them again, so that nothing that comes between is missed; the others wait all the time
 * (fetch_watch.h). File spans and references are taken in ANSWER only: a parked fetch pins no
 * segment and no partition. */
#include <errno.h>

#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/fetch_private.h"

#define NS_PER_MS INT64_C(1000000)
/* That there is still nothing may be said later by this part of the wait, but not by more than
 * that, to all who have waited together: consumers without records are most of what a quiet broker
 * does, and what they cost is the loop's waking up in the cold. */
#define FETCH_SLACK_SHARE 32
#define FETCH_SLACK_MAX_NS (20 * NS_PER_MS)

/* ---- which partitions ---- */

static void ask_for(struct fetch_partition *at, const struct fetch_request_partition *want)
{
    at->fetch_offset = want->fetch_offset;
    at->max_bytes = want->partition_max_bytes;
    at->current_leader_epoch = want->current_leader_epoch;
    at->last_fetched_epoch = want->last_fetched_epoch;
}

static bool session_update(struct fetch_session *session, const struct fetch_request *body)
{
    for (int32_t t = 0; t < body->topics.count; t++) {
        const struct fetch_request_topic *topic = &body->topics.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const struct fetch_request_partition *want = &topic->partitions.items[p];
            struct str name = session->uses_topic_ids ? (struct str){NULL, 0} : topic->topic;
            struct fetch_partition *at =
                fetch_session_find(session, topic->topic_id, name, want->partition);
            if (!at)
                at = fetch_session_add(session, topic->topic_id, name, want->partition);
            if (!at)
                return false;
            ask_for(at, want);
            fetch_watch_changed(at);
        }
    }
    for (int32_t t = 0; t < body->forgotten_topics_data.count; t++) {
        const struct fetch_request_forgotten_topic *topic = &body->forgotten_topics_data.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            struct fetch_partition *at = fetch_session_find(session, topic->topic_id, topic->topic,
                                                            topic->partitions.items[p]);
            if (at)
                fetch_session_forget(session, at);
        }
    }
    return true;
}

static bool watch_request(struct request *request, struct fetch_work *work)
{
    const struct fetch_request *body = request->body;
    int32_t count = 0;
    for (int32_t t = 0; t < body->topics.count; t++)
        count += body->topics.items[t].partitions.count;
    struct fetch_partition *at = arena_array(&request->arena, (size_t)count + 1, sizeof *at);
    if (!at)
        return false;
    fetch_watch_init(&work->own, false);
    work->watch = &work->own;
    work->own_partitions = at;
    work->own_count = count;
    for (int32_t t = 0; t < body->topics.count; t++) {
        const struct fetch_request_topic *topic = &body->topics.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++, at++) {
            at->topic_id = topic->topic_id;
            at->topic = topic->topic;
            at->index = topic->partitions.items[p].partition;
            ask_for(at, &topic->partitions.items[p]);
            fetch_watch_add(&work->own, at);
        }
    }
    return true;
}

/* The session of this request. 0 or an error for the whole response. */
static int open_session(struct request *request, struct fetch_work *work)
{
    const struct fetch_request *body = request->body;
    struct broker *broker = request_broker(request);
    int64_t now_ns = request->home->loop.now_ns;
    bool ids = request->version >= 13;
    if (body->session_epoch == FETCH_SESSION_FINAL_EPOCH ||
        body->session_epoch == FETCH_SESSION_INITIAL_EPOCH) {
        if (body->session_id != 0)
            fetch_session_remove(broker->sessions, body->session_id);
        if (body->session_epoch == FETCH_SESSION_FINAL_EPOCH || request->version < 7)
            return 0;
        uint32_t random;
        env_random(broker->env, &random, sizeof random);
        work->session = fetch_session_create(broker->sessions, random, ids, now_ns);
        return 0;
    }
    work->incremental = true;
    return fetch_session_acquire(broker->sessions, body->session_id, body->session_epoch, ids,
                                 now_ns, &work->session);
}

/* End the session and go on without one. */
static void end_session(struct request *request, struct fetch_work *work)
{
    struct fetch_sessions *sessions = request_broker(request)->sessions;
    fetch_session_remove(sessions, work->session->id);
    fetch_session_release(sessions, work->session);
    work->session = NULL;
    work->watch = NULL;
}

static void release_session(struct request *request, struct fetch_work *work)
{
    if (work->session)
        fetch_session_release(request_broker(request)->sessions, work->session);
    work->session = NULL;
}

static int fetch_prepare(struct request *request)
{
    const struct fetch_request *body = request->body;
    struct fetch_work *work = arena_alloc(&request->arena, sizeof *work);
    if (!work)
        return -ENOMEM;
    request->work = work;
    work->request = request;
    int err = open_session(request, work);
    if (err != 0)
        return err;
    if (work->session && !session_update(work->session, body)) {
        /* It cannot hold what it would have to: a client goes on without one, or begins anew. */
        end_session(request, work);
        if (work->incremental)
            return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    }
    /* As in Kafka, a session whose last partition is forgotten is over. */
    if (work->session && work->incremental && work->session->watch.count == 0)
        end_session(request, work);
    if (work->session)
        work->watch = &work->session->watch;
    else if (!watch_request(request, work))
        return -ENOMEM;
    return 0;
}

/* ---- await ---- */

int32_t fetch_most_bytes(struct request *request)
{
    const struct fetch_request *body = request->body;
    int32_t limit = broker_settings_now(request_broker(request))->fetch_max_bytes;
    return body->max_bytes < limit ? body->max_bytes : limit;
}

/* Never wait for more than may be returned. */
static int32_t least_bytes(struct request *request)
{
    const struct fetch_request *body = request->body;
    int32_t most = fetch_most_bytes(request);
    return body->min_bytes < most ? body->min_bytes : most;
}

static void watch_begin(struct request *request, struct fetch_work *work)
{
    const struct fetch_request *body = request->body;
    enum isolation isolation = body->isolation_level == 1 ? READ_COMMITTED : READ_UNCOMMITTED;
    if (work->session && work->watch->isolation != isolation)
        fetch_session_changed(work->session);
    fetch_watch_begin(work->watch, request, isolation, least_bytes(request) > 1);
}

/* Nothing wakes the request any more; without a session nothing waits any more. */
static void watch_end(struct fetch_work *work)
{
    fetch_watch_end(work->watch);
    for (int32_t i = 0; i < work->own_count; i++)
        fetch_watch_cancel(&work->own_partitions[i]);
}

/* True when it is time to answer: an error, enough bytes, or the deadline. What is not known is no
 * reason to hurry, unless there is nothing else. */
static bool fetch_satisfied(struct request *request, const struct fetch_work *work)
{
    const struct fetch_request *body = request->body;
    const struct fetch_watch *watch = work->watch;
    return body->max_wait_ms <= 0 || body->min_bytes <= 0 || request->timed_out ||
           watch->urgent > 0 || watch->unknown == watch->count ||
           watch->bytes >= least_bytes(request);
}

/* True when the wait is over. */
static bool fetch_await(struct request *request, struct fetch_work *work)
{
    fetch_watch_look(work->watch);
    if (fetch_satisfied(request, work))
        return true;
    fetch_watch_wait(work->watch);
    return fetch_satisfied(request, work);
}

static void fetch_park(struct request *request, struct fetch_work *work)
{
    const struct fetch_request *body = request->body;
    if (work->parked)
        return;
    work->parked = true;
    request_charge(request); /* of what a request without a session watches */
    int64_t wait_ns = (int64_t)body->max_wait_ms * NS_PER_MS;
    int64_t slack_ns = wait_ns / FETCH_SLACK_SHARE;
    request_set_deadline_about(request, request->home->loop.now_ns + wait_ns,
                               slack_ns < FETCH_SLACK_MAX_NS ? slack_ns : FETCH_SLACK_MAX_NS);
}

/* ---- all of it ---- */

static void fetch_cleanup(struct request *request)
{
    struct fetch_work *work = request->work;
    if (!work)
        return;
    fetch_answer_cleanup(work);
    if (work->watch != &work->own)
        return;
    for (int32_t i = 0; i < work->own_count; i++)
        fetch_watch_remove(&work->own_partitions[i]);
    fetch_watch_close(&work->own);
}

static enum outcome fetch_fail(struct request *request, int err)
{
    struct fetch_work *work = request->work;
    if (work)
        release_session(request, work);
    struct fetch_response response;
    fetch_response_init(&response);
    response.error_code = error_to_wire(err);
    return request_answer(request, &response);
}

enum outcome handle_fetch(struct request *request)
{
    struct fetch_work *work = request->work;
    if (!work) {
        request->cleanup = fetch_cleanup;
        int err = fetch_prepare(request);
        if (err != 0)
            return fetch_fail(request, err);
        work = request->work;
        watch_begin(request, work);
    }
    if (work->reading)
        return PARKED;
    if (!work->answering) {
        if (!fetch_await(request, work)) {
            fetch_park(request, work);
            return PARKED;
        }
        watch_end(work);
    }
    return fetch_answer(request, work);
}
