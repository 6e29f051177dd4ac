/* Answering a fetch: read what the active partitions have, each after the other until the limits
 * are met, on a pool thread where the device has to be waited for; then tell.
 *
 * An incremental answer leaves out partitions that have nothing new to tell. Who got records goes
 * behind the others, so that small limits starve nobody. */
#include <errno.h>

#include "base/errors.h"
#include "server/api_table.h"
#include "server/fetch_hints.h"
#include "server/handlers/fetch_private.h"
#include "server/handlers/topic_fields.h"

/* ---- read ---- */

static bool answer_begin(struct request *request, struct fetch_work *work)
{
    int32_t count = 0;
    list_for_each (node, &work->watch->active)
        count++;
    work->parts = arena_array(&request->arena, (size_t)count + 1, sizeof *work->parts);
    if (!work->parts)
        return false;
    list_for_each (node, &work->watch->active) {
        struct fetch_partition *from = container_of(node, struct fetch_partition, link);
        struct fetch_part *part = &work->parts[work->part_count++];
        *part = (struct fetch_part){.from = from,
                                    .fetch_offset = from->fetch_offset,
                                    .error = from->error,
                                    .high_watermark = -1,
                                    .last_stable = -1,
                                    .log_start = -1};
        if (from->error == 0)
            part->partition = partition_ref(from->partition);
    }
    work->room.bytes_left = fetch_most_bytes(request);
    work->room.nothing_yet = true;
    work->answering = true;
    return true;
}

static int part_read_log(struct request *request, struct fetch_part *part,
                         const struct fetch_work *work, const struct log_read_params *params)
{
    struct log *log = part->partition->log;
    int err = log_read(log, params, part->span);
    if (err == 0 && work->watch->isolation == READ_COMMITTED && part->span->size > 0) {
        err = log_aborted_transactions(log, params->offset, part->span->next.offset,
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
    const struct fetch_partition *from = part->from;
    part->high_watermark = watermark_get(&partition->high_watermark);
    part->last_stable = watermark_get(&partition->last_stable);
    part->log_start = log_start_offset(partition->log);
    if (from->diverging_epoch >= 0 || (room->bytes_left <= 0 && !room->nothing_yet))
        return 0;
    int64_t max = from->max_bytes < room->bytes_left ? from->max_bytes : room->bytes_left;
    struct log_read_params params = {
        .offset = from->fetch_offset,
        .hint = from->hint.offset == from->fetch_offset ? &from->hint : NULL,
        .bound = partition_bound(partition, work->watch->isolation),
        .max_bytes = max > 0 ? (int32_t)max : 0,
        .min_one_batch = room->nothing_yet,
        .may_block = may_block,
    };
    if (params.bound.offset <= from->fetch_offset)
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

static void part_fail(struct fetch_part *part, int err)
{
    int changed = partition_check_leader(part->partition, part->from->current_leader_epoch);
    part->error =
        changed ? changed : partition_read_failed(part->partition, part->fetch_offset, err);
    part->high_watermark = part->last_stable = part->log_start = -1;
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
        if (err != 0)
            part_fail(part, err);
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

/* ---- tell ---- */

/* Remember where the next read starts. */
static void part_note(struct request *request, const struct fetch_part *part)
{
    if (!part->span)
        return;
    struct fetch_partition *from = part->from;
    if (from->watch->lasting)
        from->hint = part->span->next;
    else if (part->span->next.segment_base >= 0)
        fetch_hints_note(&request_session(request)->hints, from->topic_id, from->index,
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
        image_partition(request_image(request), part->from->topic_id, part->from->index);
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
    const struct fetch_partition *from = part->from;
    ret->partition_index = from->index;
    ret->error_code = error_to_wire(part->error);
    ret->high_watermark = part->high_watermark;
    ret->last_stable_offset = part->last_stable;
    ret->log_start_offset = part->log_start;
    ret->preferred_read_replica = -1;
    ret->records = (struct records){.data = (const uint8_t *)"", .size = 0};
    bool unknown =
        part->error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || part->error == KAFKA_UNKNOWN_TOPIC_ID;
    ret->aborted_transactions.count = unknown ? 0 : -1; /* as in Kafka */
    if (from->diverging_epoch >= 0) {
        ret->diverging_epoch.epoch = from->diverging_epoch;
        ret->diverging_epoch.end_offset = from->diverging_end;
    }
    if (work->watch->isolation == READ_COMMITTED && part->error == 0 &&
        !part_aborted(request, part, ret))
        return false;
    if (part->span)
        ret->records = (struct records){.size = part->span->size, .external = &part->records};
    return true;
}

static bool part_is_news(const struct fetch_part *part, const struct fetch_work *work)
{
    const struct fetch_partition *from = part->from;
    return !work->incremental || part->error != 0 || part->span || from->diverging_epoch >= 0 ||
           from->told_high_watermark != part->high_watermark ||
           from->told_log_start != part->log_start;
}

static void part_told(const struct fetch_part *part)
{
    struct fetch_partition *told = part->from;
    told->told_high_watermark = part->high_watermark;
    told->told_log_start = part->log_start;
    if (part->span) {
        list_remove(&told->link);
        list_push_back(&told->watch->active, &told->link);
    }
}

static bool same_topic(const struct request *request, const struct fetch_part *a,
                       const struct fetch_part *b)
{
    return request->version >= 13 ? uuid_equal(a->from->topic_id, b->from->topic_id)
                                  : str_equal(a->from->topic, b->from->topic);
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
            topic->topic = part->from->topic.data ? part->from->topic : STR("");
            topic->topic_id = part->from->topic_id;
            topic->partitions.items = &parts[at];
        }
        previous = part;
        part_told(part);
        part_leader_hint(request, part, &nodes, &parts[at]);
        if (!part_response(request, part, work, &parts[at++]))
            return false;
        topic->partitions.count++;
    }
    return fill_nodes(request, &nodes, response);
}

static enum outcome fetch_tell(struct request *request, struct fetch_work *work)
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

enum outcome fetch_answer(struct request *request, struct fetch_work *work)
{
    if (!work->answering && !answer_begin(request, work)) {
        struct fetch_session *session = work->session;
        struct fetch_sessions *sessions = request_broker(request)->sessions;
        enum outcome outcome = request_refuse(request, "out of memory");
        if (session)
            fetch_session_release(sessions, session);
        return outcome;
    }
    fetch_read(request, work, false);
    if (work->part_at < work->part_count) {
        work->reading = true;
        work->cold.run = cold_run;
        work->cold.done = cold_done;
        pool_submit(&request->home->loop, &work->cold);
        return PARKED;
    }
    return fetch_tell(request, work);
}

void fetch_answer_cleanup(struct fetch_work *work)
{
    for (int32_t i = 0; i < work->part_count; i++) {
        if (work->parts[i].span)
            log_span_close(work->parts[i].span);
        partition_unref(work->parts[i].partition);
    }
}
