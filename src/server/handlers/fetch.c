/* Fetch: which partitions (from the request and its session), what is there, wait for more, answer.
 *
 * Stages: PREPARE → AWAIT → ANSWER. AWAIT registers on every partition's mark first and evaluates
 * then, so that nothing that comes between is missed. File spans are taken in ANSWER only: a parked
 * fetch pins no segment. */
#include <errno.h>

#include "base/errors.h"
#include "server/api_table.h"
#include "server/fetch_hints.h"
#include "server/fetch_session.h"
#include "server/handlers/topic_fields.h"

struct fetch_part {
    struct request *request;
    struct fetch_partition *remembered; /* of the session, or NULL */
    struct partition *partition;        /* a reference; NULL when unknown */
    struct uuid topic_id;
    struct str topic;
    int32_t index;
    int64_t fetch_offset;
    int32_t max_bytes;
    int32_t current_leader_epoch;
    int32_t last_fetched_epoch;
    int32_t epoch; /* ours, while waiting */
    int error;
    struct log_position hint;
    struct waiter waiter;
    struct log_span *span; /* of `records`, or NULL: nothing was read */
    struct request_records records;
    int64_t high_watermark, last_stable, log_start;
    struct aborted_transaction *aborted;
    int32_t aborted_count;
    int32_t diverging_epoch;
    int64_t diverging_end;
};

/* What may still be returned; the first batch comes whole whatever the limits (KIP-74). */
struct fetch_room {
    int64_t bytes_left;
    bool nothing_yet;
};

struct fetch_work {
    struct fetch_session *session; /* borrowed, or NULL */
    bool incremental;
    enum isolation isolation;
    int32_t part_count;
    struct fetch_part *parts;
    bool answering; /* the wait is over */
    bool reading;   /* a pool job reads on from part_at */
    int32_t part_at;
    struct fetch_room room;
    struct pool_job cold;
    struct request *request;
};

static void part_reached(struct waiter *waiter, struct wakes *wakes)
{
    request_wake_later(container_of(waiter, struct fetch_part, waiter)->request, wakes);
}

/* ---- which partitions ---- */

static bool session_update(struct fetch_work *work, const struct fetch_request *body)
{
    struct fetch_session *session = work->session;
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
            at->fetch_offset = want->fetch_offset;
            at->max_bytes = want->partition_max_bytes;
            at->current_leader_epoch = want->current_leader_epoch;
            at->last_fetched_epoch = want->last_fetched_epoch;
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

static void part_init(struct fetch_part *part, struct request *request)
{
    part->request = request;
    part->hint = (struct log_position){-1, -1, 0};
    part->diverging_epoch = -1;
    part->high_watermark = part->last_stable = part->log_start = -1;
    waiter_init(&part->waiter, part_reached);
}

static bool parts_from_session(struct request *request, struct fetch_work *work)
{
    struct fetch_session *session = work->session;
    work->parts =
        arena_array(&request->arena, (size_t)session->partition_count + 1, sizeof *work->parts);
    if (!work->parts)
        return false;
    list_for_each (pos, &session->partitions) {
        struct fetch_partition *from = container_of(pos, struct fetch_partition, link);
        struct fetch_part *part = &work->parts[work->part_count++];
        part_init(part, request);
        part->remembered = from;
        part->topic_id = from->topic_id;
        part->topic = from->topic;
        part->index = from->index;
        part->fetch_offset = from->fetch_offset;
        part->max_bytes = from->max_bytes;
        part->current_leader_epoch = from->current_leader_epoch;
        part->last_fetched_epoch = from->last_fetched_epoch;
        part->hint = from->hint;
    }
    return true;
}

static bool parts_from_request(struct request *request, struct fetch_work *work)
{
    const struct fetch_request *body = request->body;
    int32_t count = 0;
    for (int32_t t = 0; t < body->topics.count; t++)
        count += body->topics.items[t].partitions.count;
    work->parts = arena_array(&request->arena, (size_t)count + 1, sizeof *work->parts);
    if (!work->parts)
        return false;
    for (int32_t t = 0; t < body->topics.count; t++) {
        const struct fetch_request_topic *topic = &body->topics.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const struct fetch_request_partition *want = &topic->partitions.items[p];
            struct fetch_part *part = &work->parts[work->part_count++];
            part_init(part, request);
            part->topic_id = topic->topic_id;
            part->topic = topic->topic;
            part->index = want->partition;
            part->fetch_offset = want->fetch_offset;
            part->max_bytes = want->partition_max_bytes;
            part->current_leader_epoch = want->current_leader_epoch;
            part->last_fetched_epoch = want->last_fetched_epoch;
        }
    }
    return true;
}

static void part_find(struct request *request, struct fetch_part *part)
{
    const struct image *image = request_image(request);
    bool by_id = request->version >= 13;
    const struct topic_image *topic =
        by_id ? image_topic(image, part->topic_id) : image_topic_named(image, part->topic);
    if (!topic) {
        part->error = by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    if (!topic_partition(topic, part->index)) {
        part->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    struct partition *partition =
        partition_find(&request_broker(request)->partitions, topic->id, part->index);
    if (!partition) {
        part->error = KAFKA_NOT_LEADER_OR_FOLLOWER;
        return;
    }
    part->partition = partition_ref(partition);
    part->topic_id = partition->topic_id;
    if (!part->remembered) {
        const struct log_position *hint = fetch_hints_find(
            request_session(request)->hints, part->topic_id, part->index, part->fetch_offset);
        if (hint)
            part->hint = *hint;
    }
}

/* The session of this request. 0 or an error for the whole response. */
static int fetch_open_session(struct request *request, struct fetch_work *work)
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

/* It cannot hold what it would have to: a client goes on without one, or begins anew. */
static void session_give_up(struct request *request, struct fetch_work *work)
{
    struct fetch_sessions *sessions = request_broker(request)->sessions;
    fetch_session_remove(sessions, work->session->id);
    fetch_session_release(sessions, work->session);
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
    work->isolation = body->isolation_level == 1 ? READ_COMMITTED : READ_UNCOMMITTED;
    int err = fetch_open_session(request, work);
    if (err != 0)
        return err;
    if (work->session && !session_update(work, body)) {
        session_give_up(request, work);
        if (work->incremental)
            return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    }
    if (!(work->session ? parts_from_session(request, work) : parts_from_request(request, work)))
        return -ENOMEM;
    for (int32_t i = 0; i < work->part_count; i++)
        part_find(request, &work->parts[i]);
    return 0;
}

/* ---- what is there ---- */

/* Errors and truncation that a read meets before data. */
static void part_check(struct fetch_part *part)
{
    if (part->error != 0 || !part->partition)
        return;
    part->error = partition_check_leader(part->partition, part->current_leader_epoch);
    if (part->error != 0)
        return;
    struct log *log = part->partition->log;
    if (part->last_fetched_epoch >= 0) {
        int32_t epoch;
        int64_t end;
        log_epoch_end(log, part->last_fetched_epoch, &epoch, &end);
        if (epoch >= 0 && (epoch < part->last_fetched_epoch || end < part->fetch_offset)) {
            part->diverging_epoch = epoch;
            part->diverging_end = end;
            return;
        }
    }
    if (part->fetch_offset < log_start_offset(log) || part->fetch_offset > log_end_offset(log))
        part->error = KAFKA_OFFSET_OUT_OF_RANGE;
}

/* How many bytes can be read now; INT64_MAX when they are in more than one segment, or when it
 * would take the device to know. */
static int64_t part_available(struct fetch_part *part, enum isolation isolation, bool exact)
{
    struct log_position bound = partition_bound(part->partition, isolation);
    if (bound.offset <= part->fetch_offset)
        return 0;
    if (exact && (part->hint.segment_base < 0 || part->hint.offset != part->fetch_offset))
        (void)log_locate(part->partition->log, part->fetch_offset, false, &part->hint);
    if (part->hint.segment_base >= 0 && part->hint.offset == part->fetch_offset &&
        part->hint.segment_base == bound.segment_base && bound.position > part->hint.position)
        return bound.position - part->hint.position;
    return INT64_MAX;
}

static int32_t most_bytes(struct request *request)
{
    const struct fetch_request *body = request->body;
    int32_t limit = broker_settings_now(request_broker(request))->fetch_max_bytes;
    return body->max_bytes < limit ? body->max_bytes : limit;
}

/* Never wait for more than may be returned. */
static int32_t least_bytes(struct request *request)
{
    const struct fetch_request *body = request->body;
    int32_t most = most_bytes(request);
    return body->min_bytes < most ? body->min_bytes : most;
}

/* Not in the image: the client will learn so from the metadata. */
static bool part_is_unknown(const struct fetch_part *part)
{
    return !part->partition && part->error != KAFKA_NOT_LEADER_OR_FOLLOWER;
}

/* True when it is time to answer: an error, enough bytes, or the deadline. */
static bool fetch_satisfied(struct request *request, struct fetch_work *work)
{
    const struct fetch_request *body = request->body;
    if (work->part_count == 0)
        return true;
    int64_t bytes = 0, least = least_bytes(request);
    int32_t unknown = 0;
    bool now = body->max_wait_ms <= 0 || body->min_bytes <= 0 || request->timed_out;
    for (int32_t i = 0; i < work->part_count; i++) {
        struct fetch_part *part = &work->parts[i];
        if (part_is_unknown(part)) { /* no reason to hurry the others */
            unknown++;
            continue;
        }
        part_check(part);
        if (part->error != 0 || part->diverging_epoch >= 0) {
            now = true;
            continue;
        }
        int64_t available = part_available(part, work->isolation, least > 1);
        if (available > part->max_bytes)
            available = part->max_bytes;
        bytes += available;
    }
    return now || bytes >= least || unknown == work->part_count;
}

/* Wait on every mark for one record more than there is now. False: one of them moved meanwhile,
 * look again. */
static bool fetch_register(struct fetch_work *work)
{
    bool all = true;
    for (int32_t i = 0; i < work->part_count; i++) {
        struct fetch_part *part = &work->parts[i];
        if (!part->partition || part->error != 0)
            continue;
        struct watermark *mark = partition_mark(part->partition, work->isolation);
        watermark_cancel(mark, &part->waiter);
        part->epoch = atomic_load_explicit(&mark->epoch, memory_order_acquire);
        int64_t now = watermark_get(mark);
        int64_t need = now >= part->fetch_offset ? now + 1 : part->fetch_offset + 1;
        all &= watermark_wait(mark, &part->waiter, need, part->epoch);
    }
    return all;
}

static void fetch_cancel(struct fetch_work *work)
{
    for (int32_t i = 0; i < work->part_count; i++) {
        struct fetch_part *part = &work->parts[i];
        if (part->partition)
            watermark_cancel(partition_mark(part->partition, work->isolation), &part->waiter);
    }
}

/* ---- answer ---- */

static int part_read_log(struct request *request, struct fetch_part *part,
                         const struct fetch_work *work, const struct log_read_params *params)
{
    struct log *log = part->partition->log;
    int err = log_read(log, params, part->span);
    if (err == 0 && work->isolation == READ_COMMITTED && part->span->size > 0) {
        err = log_aborted_transactions(log, part->fetch_offset, part->span->next.offset,
                                       params->may_block, &request->arena, &part->aborted,
                                       &part->aborted_count);
        if (err != 0)
            log_span_close(part->span);
    }
    return err;
}

/* Its records could not be sent: the next fetch is told what is left to tell. */
static void part_unreadable(struct request_records *records, int err)
{
    struct fetch_part *part = container_of(records, struct fetch_part, records);
    (void)partition_read_failed(part->partition, part->fetch_offset, err);
}

/* Take the partition's span. -EAGAIN: the device has to be waited for. */
static int part_read(struct request *request, struct fetch_part *part,
                     const struct fetch_work *work, struct fetch_room *room, bool may_block)
{
    struct partition *partition = part->partition;
    part->high_watermark = watermark_get(&partition->high_watermark);
    part->last_stable = watermark_get(&partition->last_stable);
    part->log_start = log_start_offset(partition->log);
    if (part->diverging_epoch >= 0 || (room->bytes_left <= 0 && !room->nothing_yet))
        return 0;
    int64_t max = part->max_bytes < room->bytes_left ? part->max_bytes : room->bytes_left;
    struct log_read_params params = {
        .offset = part->fetch_offset,
        .hint = part->hint.offset == part->fetch_offset ? &part->hint : NULL,
        .bound = partition_bound(partition, work->isolation),
        .max_bytes = max > 0 ? (int32_t)max : 0,
        .min_one_batch = room->nothing_yet,
        .may_block = may_block,
    };
    if (params.bound.offset <= part->fetch_offset)
        return 0;
    part->span = &part->records.span;
    part->records.unreadable = part_unreadable;
    int err = part_read_log(request, part, work, &params);
    if (err != 0 || part->span->size == 0) {
        part->span = NULL;
        return err;
    }
    room->nothing_yet = false;
    room->bytes_left -= part->span->size;
    return 0;
}

static void fetch_read(struct request *request, struct fetch_work *work, bool may_block)
{
    for (; work->part_at < work->part_count; work->part_at++) {
        struct fetch_part *part = &work->parts[work->part_at];
        if (part->error != 0)
            continue;
        int err = part_read(request, part, work, &work->room, may_block);
        if (err == -EAGAIN && !may_block)
            return;
        if (err == 0)
            continue;
        int changed = partition_check_leader(part->partition, part->current_leader_epoch);
        part->error =
            changed ? changed : partition_read_failed(part->partition, part->fetch_offset, err);
    }
}

static void cold_run(struct pool_job *job)
{
    struct fetch_work *work = container_of(job, struct fetch_work, cold);
    fetch_read(work->request, work, true);
}

static void cold_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct fetch_work *work = container_of(job, struct fetch_work, cold);
    work->reading = false;
    handle_fetch(work->request);
}

/* Remember where the next read starts. */
static void part_note(struct request *request, struct fetch_part *part)
{
    if (!part->span)
        return;
    if (part->remembered)
        part->remembered->hint = part->span->next;
    else if (part->span->next.segment_base >= 0)
        fetch_hints_note(&request_session(request)->hints, part->topic_id, part->index,
                         part->span->next);
}

static bool part_aborted(struct request *request, const struct fetch_part *part,
                         struct fetch_response_partition_data *ret)
{
    ret->aborted_transactions.items =
        fetch_response_aborted_transaction_array(&request->arena, part->aborted_count);
    if (!ret->aborted_transactions.items)
        return false;
    ret->aborted_transactions.count = part->aborted_count;
    for (int32_t i = 0; i < part->aborted_count; i++) {
        ret->aborted_transactions.items[i].producer_id = part->aborted[i].producer_id;
        ret->aborted_transactions.items[i].first_offset = part->aborted[i].first_offset;
    }
    return true;
}

/* KIP-951: tell who leads, so that the client need not ask. */
static void part_leader_hint(struct request *request, const struct fetch_part *part,
                             struct leader_nodes *nodes, struct fetch_response_partition_data *ret)
{
    if (request->version < 16 ||
        (part->error != KAFKA_NOT_LEADER_OR_FOLLOWER && part->error != KAFKA_FENCED_LEADER_EPOCH))
        return;
    const struct partition_image *partition =
        image_partition(request_image(request), part->topic_id, part->index);
    if (!partition)
        return;
    ret->current_leader.leader_id = partition->leader;
    ret->current_leader.leader_epoch = partition->leader_epoch;
    leader_nodes_add(nodes, request, partition->leader);
}

static bool fill_nodes(struct request *request, const struct leader_nodes *nodes,
                       struct fetch_response *response)
{
    response->node_endpoints.items =
        fetch_response_node_endpoint_array(&request->arena, nodes->count);
    if (!response->node_endpoints.items)
        return false;
    for (int32_t i = 0; i < nodes->count; i++) {
        struct fetch_response_node_endpoint *node =
            &response->node_endpoints.items[response->node_endpoints.count];
        if (!request_endpoint(request, nodes->items[i], &node->host, &node->port))
            continue;
        node->node_id = nodes->items[i]->id;
        node->rack = nodes->items[i]->rack;
        response->node_endpoints.count++;
    }
    return true;
}

static bool part_response(struct request *request, struct fetch_part *part,
                          const struct fetch_work *work, struct fetch_response_partition_data *ret)
{
    ret->partition_index = part->index;
    ret->error_code = error_to_wire(part->error);
    ret->high_watermark = part->high_watermark;
    ret->last_stable_offset = part->last_stable;
    ret->log_start_offset = part->log_start;
    ret->preferred_read_replica = -1;
    ret->records = (struct records){.data = (const uint8_t *)"", .size = 0};
    ret->aborted_transactions.count = -1;
    if (part->diverging_epoch >= 0) {
        ret->diverging_epoch.epoch = part->diverging_epoch;
        ret->diverging_epoch.end_offset = part->diverging_end;
    }
    if (work->isolation == READ_COMMITTED && part->error == 0 && !part_aborted(request, part, ret))
        return false;
    if (part->span)
        ret->records = (struct records){.size = part->span->size, .external = &part->records};
    return true;
}

/* An incremental answer leaves out partitions that have nothing new to tell. */
static bool part_is_news(const struct fetch_part *part, const struct fetch_work *work)
{
    const struct fetch_partition *told = part->remembered;
    return !work->incremental || !told || part->error != 0 || part->span ||
           part->diverging_epoch >= 0 || told->told_high_watermark != part->high_watermark ||
           told->told_log_start != part->log_start;
}

static void part_told(struct fetch_part *part, struct fetch_session *session)
{
    struct fetch_partition *told = part->remembered;
    if (!told)
        return;
    told->told_high_watermark = part->error ? -1 : part->high_watermark;
    told->told_log_start = part->error ? -1 : part->log_start;
    if (part->span) { /* whoever got bytes goes behind the others */
        list_remove(&told->link);
        list_push_back(&session->partitions, &told->link);
    }
}

static bool same_topic(const struct request *request, const struct fetch_part *a,
                       const struct fetch_part *b)
{
    return request->version >= 13 ? uuid_equal(a->topic_id, b->topic_id)
                                  : str_equal(a->topic, b->topic);
}

static void fetch_cleanup(struct request *request)
{
    struct fetch_work *work = request->work;
    for (int32_t i = 0; work && i < work->part_count; i++) {
        if (work->parts[i].span)
            log_span_close(work->parts[i].span);
        partition_unref(work->parts[i].partition);
    }
}

static void fetch_release(struct request *request, struct fetch_work *work)
{
    if (work->session)
        fetch_session_release(request_broker(request)->sessions, work->session);
    work->session = NULL;
}

static enum outcome fetch_fail(struct request *request, int err)
{
    struct fetch_work *work = request->work;
    if (work)
        fetch_release(request, work);
    struct fetch_response response;
    fetch_response_init(&response);
    response.error_code = error_to_wire(err);
    return request_answer(request, &response);
}

static bool fetch_fill(struct request *request, struct fetch_work *work,
                       struct fetch_response *response)
{
    struct fetch_response_partition_data *parts =
        fetch_response_partition_data_array(&request->arena, work->part_count);
    response->responses.items =
        fetch_response_fetchable_topic_response_array(&request->arena, work->part_count);
    if (!parts || !response->responses.items)
        return false;
    const struct fetch_part *previous = NULL;
    struct leader_nodes nodes = {0};
    int32_t at = 0;
    for (int32_t i = 0; i < work->part_count; i++) {
        struct fetch_part *part = &work->parts[i];
        part_note(request, part);
        if (!part_is_news(part, work))
            continue;
        struct fetch_response_fetchable_topic_response *topic =
            &response->responses.items[response->responses.count];
        if (previous && same_topic(request, part, previous)) {
            topic--;
        } else {
            response->responses.count++;
            topic->topic = part->topic.data ? part->topic : STR("");
            topic->topic_id = part->topic_id;
            topic->partitions.items = &parts[at];
        }
        previous = part;
        part_told(part, work->session);
        part_leader_hint(request, part, &nodes, &parts[at]);
        if (!part_response(request, part, work, &parts[at++]))
            return false;
        topic->partitions.count++;
    }
    return fill_nodes(request, &nodes, response);
}

static enum outcome fetch_answer(struct request *request, struct fetch_work *work)
{
    struct fetch_response response;
    fetch_response_init(&response);
    response.session_id = work->session ? work->session->id : 0;
    bool ok = fetch_fill(request, work, &response);
    /* The response names topics of the session: encode before giving it back. Answering may free
     * the request. */
    struct fetch_session *session = work->session;
    struct fetch_sessions *sessions = request_broker(request)->sessions;
    enum outcome outcome =
        ok ? request_answer(request, &response) : request_refuse(request, "out of memory");
    if (session)
        fetch_session_release(sessions, session);
    return outcome;
}

enum outcome handle_fetch(struct request *request)
{
    const struct fetch_request *body = request->body;
    if (!request->work) {
        request->cleanup = fetch_cleanup;
        int err = fetch_prepare(request);
        if (err != 0)
            return fetch_fail(request, err);
        if (body->max_wait_ms > 0)
            request_set_deadline(request,
                                 request->home->loop.now_ns + (int64_t)body->max_wait_ms * 1000000);
    }
    struct fetch_work *work = request->work;
    if (work->reading)
        return PARKED;
    if (!work->answering) {
        while (!fetch_satisfied(request, work))
            if (fetch_register(work) && !fetch_satisfied(request, work))
                return PARKED;
        fetch_cancel(work);
        work->room.bytes_left = most_bytes(request);
        work->room.nothing_yet = true;
        work->answering = true;
    }
    fetch_read(request, work, false);
    if (work->part_at < work->part_count) {
        work->reading = true;
        work->cold.run = cold_run;
        work->cold.done = cold_done;
        pool_submit(&request->home->loop, &work->cold);
        return PARKED;
    }
    return fetch_answer(request, work);
}
