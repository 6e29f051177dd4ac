/* DeleteRecords: raise the log start offset of partitions. Writing the change needs each
 * partition's append lock; files go later, when retention passes. */
#include "base/errors.h"
#include "server/api_table.h"

struct delete_part {
    struct request *request;
    struct partition *partition; /* a reference */
    int64_t offset;
    struct delete_records_response_partition_result *response;
    struct park_waiter park;
};

struct delete_work {
    struct delete_records_response response;
    struct delete_part *parts;
    int32_t count, at;
};

static void part_locked(struct park_waiter *park, struct wakes *wakes)
{
    request_wake_later(container_of(park, struct delete_part, park)->request, wakes);
}

static int part_find(struct request *request, struct str topic, int32_t index,
                     struct partition **ret_partition)
{
    const struct topic_image *found = image_topic_named(request_image(request), topic);
    if (!found || !topic_partition(found, index))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic_is_internal(topic))
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    struct partition *partition =
        partition_find(&request_broker(request)->partitions, found->id, index);
    if (!partition)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    int err = partition_check_leader(partition, -1);
    if (err == 0 && !partition_settings(partition)->cleanup_delete)
        err = KAFKA_POLICY_VIOLATION; /* the log is compacted only */
    if (err == 0)
        *ret_partition = partition_ref(partition);
    return err;
}

static bool delete_prepare(struct request *request, struct delete_work *work)
{
    const struct delete_records_request *body = request->body;
    struct arena *arena = &request->arena;
    int32_t total = 0;
    for (int32_t t = 0; t < body->topics.count; t++)
        total += body->topics.items[t].partitions.count;
    delete_records_response_init(&work->response);
    work->parts = arena_array(arena, (size_t)total + 1, sizeof *work->parts);
    work->response.topics.items =
        delete_records_response_topic_result_array(arena, body->topics.count);
    if (!work->parts || !work->response.topics.items)
        return false;
    for (int32_t t = 0; t < body->topics.count; t++) {
        const struct delete_records_request_topic *topic = &body->topics.items[t];
        struct delete_records_response_topic_result *out =
            &work->response.topics.items[work->response.topics.count++];
        out->name = topic->name;
        out->partitions.items =
            delete_records_response_partition_result_array(arena, topic->partitions.count);
        if (!out->partitions.items)
            return false;
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            struct delete_part *part = &work->parts[work->count];
            *part =
                (struct delete_part){.request = request,
                                     .offset = topic->partitions.items[p].offset,
                                     .response = &out->partitions.items[out->partitions.count++],
                                     .park.fire = part_locked};
            part->response->partition_index = topic->partitions.items[p].partition_index;
            part->response->low_watermark = -1;
            int err =
                part_find(request, topic->name, part->response->partition_index, &part->partition);
            part->response->error_code = error_to_wire(err);
            work->count += err == 0;
        }
    }
    return true;
}

static void part_delete(struct delete_part *part)
{
    struct partition *partition = part->partition;
    int err = partition_check_leader(partition, -1);
    int64_t high_watermark = watermark_get(&partition->high_watermark);
    int64_t offset = part->offset == -1 ? high_watermark : part->offset;
    if (err == 0)
        err = offset < 0 ? KAFKA_OFFSET_OUT_OF_RANGE
                         : log_raise_start(partition->log, offset, high_watermark);
    part->response->error_code = error_to_wire(err);
    if (err != 0)
        return;
    part->response->low_watermark = log_start_offset(partition->log);
    partition_start_raised(partition);
    atomic_store_explicit(&partition->dir->dirty, true, memory_order_relaxed);
}

static void delete_cleanup(struct request *request)
{
    struct delete_work *work = request->work;
    for (int32_t i = 0; work && i < work->count; i++)
        partition_unref(work->parts[i].partition);
}

enum outcome handle_delete_records(struct request *request)
{
    struct delete_work *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        request->cleanup = delete_cleanup;
        if (!work || !delete_prepare(request, work))
            return request_refuse(request, "out of memory");
        request_charge(request);
    }
    for (; work->at < work->count; work->at++) {
        struct delete_part *part = &work->parts[work->at];
        if (!parklock_take(&part->partition->append_lock, &part->park))
            return PARKED;
        part_delete(part);
        parklock_release(&part->partition->append_lock);
    }
    return request_answer(request, &work->response);
}
