/* Produce: validate every partition's records (before any lock), append partition by partition in
 * request order, wait for the high watermark when acks=all, answer.
 *
 * Stages only go forward: VALIDATE → VERIFY → APPEND → AWAIT → ANSWER. Looking again re-enters the
 * stage that parked. Once everything is appended the next Produce of the connection may start, and
 * the frame's memory is given back: from there on nothing may point into it. */
#include <errno.h>

#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/produce_private.h"
#include "server/handlers/topic_fields.h"

#define NS_PER_MS INT64_C(1000000)

static void part_locked(struct park_waiter *park, struct wakes *wakes)
{
    request_wake_later(container_of(park, struct produce_part, park)->request, wakes);
}

static void part_reached(struct waiter *waiter, struct wakes *wakes)
{
    struct produce_part *part = container_of(waiter, struct produce_part, waiter);
    request_wake_later(part->request, wakes);
}

static void part_synced(struct waiter *waiter, struct wakes *wakes)
{
    struct produce_part *part = container_of(waiter, struct produce_part, sync_waiter);
    request_wake_later(part->request, wakes);
}

/* ---- validate ---- */

static int part_find(struct request *request, struct produce_part *part,
                     const struct produce_request_topic_produce_data *topic)
{
    const struct image *image = request_image(request);
    bool by_id = request->version >= 13;
    const struct topic_image *found =
        by_id ? image_topic(image, topic->topic_id) : image_topic_named(image, topic->name);
    part->topic = topic->name;
    part->topic_id = topic->topic_id;
    if (!found)
        return by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!topic_partition(found, part->index))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic_is_internal(found->name) && !internal_topic_writer(request->client_id))
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    struct partition *partition =
        partition_find(&request_broker(request)->partitions, found->id, part->index);
    if (!partition)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    part->partition = partition_ref(partition);
    part->topic = partition->topic;
    part->topic_id = partition->topic_id;
    return partition_check_leader(partition, -1);
}

/* Kafka tells the log start offset beside what its log refuses, but for a few errors that it knows
 * to be the client's or the disk's. */
static void part_refused(struct produce_part *part)
{
    switch (part->error) {
    case 0:
    case KAFKA_CORRUPT_MESSAGE:
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE:
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_KAFKA_STORAGE_ERROR:
        return;
    default:
        part->log_start = log_start_offset(part->partition->log);
    }
}

static void part_validate(struct request *request, struct produce_part *part)
{
    part->error = validate_records(&part->rules, (uint8_t *)(uintptr_t)part->records.data,
                                   (size_t)part->records.size, &request->arena, &part->validated,
                                   &part->failure);
    if (part->error != 0) {
        part->message = part->failure.message;
        if (!part->failure.not_a_batch)
            part_refused(part);
        return;
    }
    part->valid = true;
    for (int32_t i = 0; i < part->validated.batch_count; i++)
        part->transactional |= batch_is_transactional(&part->validated.batches[i]);
}

/* Whether any records of the request claim to belong to a transaction: known from the header of
 * their batch, before anything else is looked at. */
static bool has_transactional(const struct produce_work *work)
{
    for (int32_t i = 0; i < work->part_count; i++) {
        const struct bytes *records = &work->parts[i].records;
        struct batch batch;
        if (records->data && records->size >= BATCH_HEADER_SIZE &&
            batch_read_header(records->data, (size_t)records->size, &batch) == 0 &&
            batch_is_transactional(&batch))
            return true;
    }
    return false;
}

/* What can be said before looking at the records. */
static int part_admit(struct produce_part *part, const struct produce_work *work)
{
    if (work->acks != -1 && work->acks != 0 && work->acks != 1)
        return KAFKA_INVALID_REQUIRED_ACKS;
    if (!part->records.data || part->records.size == 0) {
        part->message = "Record batch is empty.";
        return KAFKA_INVALID_RECORD;
    }
    return 0;
}

/* The settings may be read on the loop alone. */
static void part_rules(struct request *request, struct produce_part *part)
{
    partition_validate_rules(part->partition, env_wall_ms(request_broker(request)->env),
                             &part->rules);
    part->rules.produce_version = request->version;
    part->rules.plain = &request_broker(request)->plain;
}

static void validate_all(struct request *request, struct produce_work *work)
{
    for (int32_t i = 0; i < work->part_count; i++)
        if (work->parts[i].error == 0)
            part_validate(request, &work->parts[i]);
}

static void validate_run(struct pool_job *job)
{
    struct produce_work *work = container_of(job, struct produce_work, job);
    validate_all(work->request, work);
}

static void validate_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct produce_work *work = container_of(job, struct produce_work, job);
    work->validating = false;
    work->stage = PRODUCE_VERIFY;
    handle_produce(work->request);
}

/* True when all is validated; false when a pool job is at it. */
static bool produce_validate(struct request *request, struct produce_work *work)
{
    if (work->validating)
        return false;
    bool heavy = false;
    for (int32_t i = 0; i < work->part_count; i++) {
        struct produce_part *part = &work->parts[i];
        if (part->error != 0)
            continue;
        part_rules(request, part);
        heavy |= validate_is_heavy(&part->rules, part->records.data, (size_t)part->records.size);
    }
    if (!heavy) {
        validate_all(request, work);
        return true;
    }
    work->validating = true;
    work->job.run = validate_run;
    work->job.done = validate_done;
    pool_submit(&request->home->loop, &work->job);
    return false;
}

static bool produce_prepare(struct request *request)
{
    const struct produce_request *body = request->body;
    struct produce_work *work = arena_alloc(&request->arena, sizeof *work);
    if (!work)
        return false;
    request->work = work;
    work->request = request;
    work->acks = body->acks;
    for (int32_t t = 0; t < body->topic_data.count; t++)
        work->part_count += body->topic_data.items[t].partition_data.count;
    work->parts = arena_array(&request->arena, (size_t)work->part_count + 1, sizeof *work->parts);
    if (!work->parts)
        return false;
    int32_t at = 0;
    for (int32_t t = 0; t < body->topic_data.count; t++) {
        const struct produce_request_topic_produce_data *topic = &body->topic_data.items[t];
        for (int32_t p = 0; p < topic->partition_data.count; p++) {
            struct produce_part *part = &work->parts[at++];
            part->request = request;
            part->log_start = -1;
            part->park.fire = part_locked;
            waiter_init(&part->waiter, part_reached);
            waiter_init(&part->sync_waiter, part_synced);
            part->index = topic->partition_data.items[p].index;
            part->records.data = topic->partition_data.items[p].records.data;
            part->records.size = topic->partition_data.items[p].records.size;
            part->error = part_find(request, part, topic);
            if (part->error == 0)
                part->error = part_admit(part, work);
        }
    }
    if (!body->transactional_id.data && has_transactional(work))
        for (int32_t i = 0; i < work->part_count; i++)
            work->parts[i].error = KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    return true;
}

/* ---- append ---- */

static void part_append(struct produce_part *part, const struct produce_work *work)
{
    struct partition *partition = part->partition;
    int err = partition_check_leader(partition, -1);
    part->leader_epoch = atomic_load_explicit(&partition->leader_epoch, memory_order_acquire);
    if (err == 0)
        err = part->verify ? partition_append_verified(partition, &part->validated, work->acks,
                                                       LOG_ORIGIN_CLIENT, part->verification,
                                                       &part->appended)
                           : partition_append(partition, &part->validated, work->acks,
                                              LOG_ORIGIN_CLIENT, &part->appended);
    part->error = err;
    part_refused(part);
    if (err == 0)
        part->must_sync = partition_must_sync(partition, part->appended.last_offset + 1);
    if (err != 0 || part->appended.duplicate)
        return;
    struct broker_counters *counters = &part->request->home->counters;
    atomic_fetch_add_explicit(&counters->messages_in, part->validated.record_count,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->bytes_in, (int64_t)part->validated.size,
                              memory_order_relaxed);
}

static void append_run(struct pool_job *job)
{
    struct produce_work *work = container_of(job, struct produce_work, job);
    struct epoch_reader reader; /* settings are read */
    epoch_reader_add(&request_broker(work->request)->epochs, &reader);
    epoch_online(&reader);
    part_append(&work->parts[work->part_at], work);
    epoch_offline(&reader);
    epoch_reader_remove(&reader);
    parklock_release(&work->parts[work->part_at].partition->append_lock);
}

static void append_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct produce_work *work = container_of(job, struct produce_work, job);
    work->part_at++;
    work->appending = false;
    handle_produce(work->request);
}

/* True when all are appended; false when parked on a lock, or a pool job appends. */
static bool produce_append(struct request *request, struct produce_work *work)
{
    for (; !work->appending && work->part_at < work->part_count; work->part_at++) {
        struct produce_part *part = &work->parts[work->part_at];
        if (part->error != 0)
            continue;
        if (!parklock_take(&part->partition->append_lock, &part->park))
            return false;
        if (partition_is_slow(part->partition)) {
            work->appending = true;
            work->job.run = append_run;
            work->job.done = append_done;
            pool_submit(&request->home->loop, &work->job);
            return false;
        }
        part_append(part, work);
        parklock_release(&part->partition->append_lock);
    }
    return !work->appending;
}

/* Whatever the answer needs must not lie in the frame. */
static bool produce_let_go(struct request *request, struct produce_work *work)
{
    for (int32_t i = 0; i < work->part_count; i++) {
        struct produce_part *part = &work->parts[i];
        if (part->valid)
            validated_close(&part->validated);
        part->valid = false;
        if (!part->partition && part->topic.data) {
            part->topic = arena_str(&request->arena, part->topic);
            if (!part->topic.data)
                return false;
        }
    }
    request_release_frame(request);
    return true;
}

/* ---- await ---- */

/* True when the mark has what the part needs, or will not have it any more: then part->error says
 * why. */
static bool part_has(struct produce_part *part, struct watermark *mark, struct waiter *waiter)
{
    watermark_cancel(mark, waiter); /* of an earlier look */
    if (waiter->failed && watermark_get(mark) <= part->appended.last_offset &&
        atomic_load_explicit(&mark->epoch, memory_order_acquire) == part->leader_epoch) {
        part->error = KAFKA_KAFKA_STORAGE_ERROR; /* within the term: it could not be synced now */
        return true;
    }
    if (watermark_wait(mark, waiter, part->appended.last_offset + 1, part->leader_epoch))
        return false;
    if (atomic_load_explicit(&mark->epoch, memory_order_acquire) != part->leader_epoch) {
        int err = partition_check_leader(part->partition, -1);
        part->error = err ? err : KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    return true;
}

/* The sync that part_append asked for may have failed before there was a waiter to tell. */
static bool part_is_synced(struct produce_part *part)
{
    bool has = part_has(part, &part->partition->synced, &part->sync_waiter);
    if (!has)
        (void)partition_must_sync(part->partition, part->appended.last_offset + 1);
    return has;
}

/* True when every partition has what was asked of it, or the time is over. */
static bool produce_await(struct request *request, struct produce_work *work)
{
    bool all = true;
    for (int32_t i = 0; i < work->part_count; i++) {
        struct produce_part *part = &work->parts[i];
        struct partition *partition = part->partition;
        if (part->error != 0 || !partition)
            continue;
        bool has = work->acks != -1 || part_has(part, &partition->high_watermark, &part->waiter);
        if (part->error == 0 && part->must_sync)
            has &= part_is_synced(part);
        if (!has && request->timed_out)
            part->error = KAFKA_REQUEST_TIMED_OUT;
        all &= has || request->timed_out;
    }
    return all;
}

static void produce_cancel(struct produce_work *work)
{
    for (int32_t i = 0; i < work->part_count; i++) {
        struct produce_part *part = &work->parts[i];
        if (!part->partition)
            continue;
        watermark_cancel(&part->partition->high_watermark, &part->waiter);
        watermark_cancel(&part->partition->synced, &part->sync_waiter);
    }
}

/* ---- answer ---- */

static void produce_cleanup(struct request *request)
{
    struct produce_work *work = request->work;
    for (int32_t i = 0; work && i < work->part_count; i++) {
        struct produce_part *part = &work->parts[i];
        if (part->valid)
            validated_close(&part->validated);
        partition_unref(part->partition);
    }
}

static bool same_topic(const struct request *request, const struct produce_part *a,
                       const struct produce_part *b)
{
    return request->version >= 13 ? uuid_equal(a->topic_id, b->topic_id)
                                  : str_equal(a->topic, b->topic);
}

static bool part_response(struct request *request, const struct produce_part *part,
                          struct produce_response_partition_produce_response *ret)
{
    ret->index = part->index;
    ret->error_code = error_to_wire(part->error);
    ret->base_offset = part->error ? -1 : part->appended.base_offset;
    ret->log_append_time_ms = part->error ? -1 : part->appended.log_append_time;
    ret->log_start_offset = part->error ? part->log_start : part->appended.log_start_offset;
    ret->error_message = str_of(part->message);
    int32_t count = part->error ? part->failure.record_error_count : 0;
    if (count == 0)
        return true;
    ret->record_errors.items =
        produce_response_batch_index_and_error_message_array(&request->arena, count);
    if (!ret->record_errors.items)
        return false;
    ret->record_errors.count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct record_error *from = &part->failure.record_errors[i];
        ret->record_errors.items[i].batch_index = from->batch_index;
        ret->record_errors.items[i].batch_index_error_message = str_of(from->message);
    }
    return true;
}

/* KIP-951: tell who leads, so that the client need not ask. */
static void part_leader_hint(struct request *request, const struct produce_part *part,
                             struct leader_nodes *nodes,
                             struct produce_response_partition_produce_response *ret)
{
    if (part->error != KAFKA_NOT_LEADER_OR_FOLLOWER || request->version < 10)
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
                       struct produce_response *response)
{
    response->node_endpoints.items =
        produce_response_node_endpoint_array(&request->arena, nodes->count);
    if (!response->node_endpoints.items)
        return false;
    for (int32_t i = 0; i < nodes->count; i++) {
        struct produce_response_node_endpoint *node =
            &response->node_endpoints.items[response->node_endpoints.count];
        if (!request_endpoint(request, nodes->items[i], &node->host, &node->port))
            continue;
        node->node_id = nodes->items[i]->id;
        node->rack = nodes->items[i]->rack;
        response->node_endpoints.count++;
    }
    return true;
}

static enum outcome produce_answer(struct request *request, struct produce_work *work)
{
    bool failed = false;
    for (int32_t i = 0; i < work->part_count; i++)
        failed |= work->parts[i].error != 0;
    if (work->acks == 0) /* the only way to tell: the client sees its connection close */
        return failed ? request_refuse(request, "acks=0 produce failed")
                      : request_answer_nothing(request);
    struct produce_response response;
    struct leader_nodes nodes = {0};
    produce_response_init(&response);
    response.responses.items =
        produce_response_topic_produce_response_array(&request->arena, work->part_count);
    struct produce_response_partition_produce_response *parts =
        produce_response_partition_produce_response_array(&request->arena, work->part_count);
    if (!response.responses.items || !parts)
        return request_refuse(request, "out of memory");
    for (int32_t i = 0; i < work->part_count; i++) {
        const struct produce_part *part = &work->parts[i];
        struct produce_response_topic_produce_response *topic =
            &response.responses.items[response.responses.count];
        if (i > 0 && same_topic(request, part, &work->parts[i - 1])) {
            topic--;
        } else {
            response.responses.count++;
            topic->name = part->topic.data ? part->topic : STR("");
            topic->topic_id = part->topic_id;
            topic->partition_responses.items = &parts[i];
        }
        if (!part_response(request, part, &parts[i]))
            return request_refuse(request, "out of memory");
        part_leader_hint(request, part, &nodes, &parts[i]);
        topic->partition_responses.count++;
    }
    if (!fill_nodes(request, &nodes, &response))
        return request_refuse(request, "out of memory");
    return request_answer(request, &response);
}

enum outcome handle_produce(struct request *request)
{
    const struct produce_request *body = request->body;
    if (!request->work) {
        int32_t timeout_ms = body->timeout_ms;
        request->cleanup = produce_cleanup;
        if (!produce_prepare(request))
            return request_refuse(request, "out of memory");
        request_charge(request);
        struct produce_work *work = request->work;
        if (work->acks == -1)
            request_set_deadline(request, request->home->loop.now_ns +
                                              (timeout_ms > 0 ? timeout_ms : 0) * NS_PER_MS);
    }
    struct produce_work *work = request->work;
    if (work->stage == PRODUCE_VALIDATE) {
        if (!produce_validate(request, work))
            return PARKED;
        work->stage = PRODUCE_VERIFY;
    }
    if (work->stage == PRODUCE_VERIFY) {
        if (!produce_verify(request, work))
            return PARKED;
        work->stage = PRODUCE_APPEND;
    }
    if (work->stage == PRODUCE_APPEND) {
        if (!produce_append(request, work))
            return PARKED;
        if (!produce_let_go(request, work))
            return request_refuse(request, "out of memory");
        request_appended(request);
        work->stage = PRODUCE_AWAIT;
    }
    if (work->acks != 0 && !produce_await(request, work))
        return PARKED;
    produce_cancel(work);
    return produce_answer(request, work);
}
