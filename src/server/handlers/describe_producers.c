/* DescribeProducers (KIP-664): the producers that partitions know. Reading their state needs each
 * append lock. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/topic_fields.h"

struct producers_part {
    bool asked; /* for the lock */
    struct request *request;
    struct partition *partition; /* a reference */
    struct describe_producers_response_partition_response *response;
    struct park_waiter park;
};

struct producers_work {
    struct describe_producers_response response;
    struct producers_part *parts;
    int32_t count, at;
};

static void part_locked(struct park_waiter *park, struct wakes *wakes)
{
    request_wake_later(container_of(park, struct producers_part, park)->request, wakes);
}

static int part_find(struct request *request, struct str topic, int32_t index,
                     struct partition **ret_partition)
{
    const struct topic_image *found = image_topic_named(request_image(request), topic);
    if (!topic_name_ok(topic))
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    if (!found || !topic_partition(found, index))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    struct partition *partition =
        partition_find(&request_broker(request)->partitions, found->id, index);
    int err = partition ? partition_check_leader(partition, -1) : KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (err == 0)
        *ret_partition = partition_ref(partition);
    return err;
}

static bool producers_prepare(struct request *request, struct producers_work *work)
{
    const struct describe_producers_request *body = request->body;
    struct arena *arena = &request->arena;
    int32_t total = 0;
    for (int32_t t = 0; t < body->topics.count; t++)
        total += body->topics.items[t].partition_indexes.count;
    describe_producers_response_init(&work->response);
    work->parts = arena_array(arena, (size_t)total + 1, sizeof *work->parts);
    work->response.topics.items =
        describe_producers_response_topic_response_array(arena, body->topics.count);
    if (!work->parts || !work->response.topics.items)
        return false;
    for (int32_t t = 0; t < body->topics.count; t++) {
        const struct describe_producers_request_topic_request *topic = &body->topics.items[t];
        struct describe_producers_response_topic_response *out =
            &work->response.topics.items[work->response.topics.count++];
        out->name = topic->name;
        out->partitions.items = describe_producers_response_partition_response_array(
            arena, topic->partition_indexes.count);
        if (!out->partitions.items)
            return false;
        for (int32_t p = 0; p < topic->partition_indexes.count; p++) {
            struct producers_part *part = &work->parts[work->count];
            *part = (struct producers_part){.request = request,
                                            .park.fire = part_locked,
                                            .response =
                                                &out->partitions.items[out->partitions.count++]};
            part->response->partition_index = topic->partition_indexes.items[p];
            int err = part_find(request, topic->name, topic->partition_indexes.items[p],
                                &part->partition);
            part->response->error_code = error_to_wire(err);
            work->count += err == 0;
        }
    }
    return true;
}

static bool part_describe(struct request *request, struct producers_part *part)
{
    struct producer_view *views;
    int32_t count;
    if (log_producers(part->partition->log, &request->arena, &views, &count) != 0)
        return false;
    part->response->active_producers.items =
        describe_producers_response_producer_state_array(&request->arena, count);
    if (!part->response->active_producers.items)
        return false;
    part->response->active_producers.count = count;
    for (int32_t i = 0; i < count; i++) {
        struct describe_producers_response_producer_state *out =
            &part->response->active_producers.items[i];
        out->producer_id = views[i].producer_id;
        out->producer_epoch = views[i].producer_epoch;
        out->last_sequence = views[i].last_sequence;
        out->last_timestamp = views[i].last_timestamp;
        out->coordinator_epoch = views[i].coordinator_epoch;
        out->current_txn_start_offset = views[i].current_txn_start_offset;
    }
    return true;
}

static void producers_cleanup(struct request *request)
{
    struct producers_work *work = request->work;
    for (int32_t i = 0; work && i < work->count; i++)
        partition_unref(work->parts[i].partition);
}

enum outcome handle_describe_producers(struct request *request)
{
    struct producers_work *work = request->work;
    bool ok = true;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        request->cleanup = producers_cleanup;
        if (!work || !producers_prepare(request, work))
            return request_refuse(request, "out of memory");
        request_charge(request);
    }
    for (; ok && work->at < work->count; work->at++) {
        struct producers_part *part = &work->parts[work->at];
        if (!part->asked && request_yield(request))
            return PARKED;
        part->asked = true;
        if (!parklock_take(&part->partition->append_lock, &part->park))
            return PARKED;
        ok = part_describe(request, part);
        parklock_release(&part->partition->append_lock);
    }
    return ok ? request_answer(request, &work->response) : request_refuse(request, "out of memory");
}
