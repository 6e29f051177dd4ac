/* ListOffsets and OffsetForLeaderEpoch.
 *
 * Ends and starts are answered at once. A search by time reads segments, so all such partitions of
 * a request go to the pool as one job. Special timestamps: -1 latest, -2 earliest, -3 of the
 * greatest timestamp (KIP-734), -4 earliest local (KIP-405), -5 latest tiered (KIP-1005), -6
 * earliest pending upload (KIP-1023): without tiered storage -4 is -2, and the last two have no
 * offset. */
#include <errno.h>

#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/repeats.h"

enum special_timestamp {
    LATEST = -1,
    EARLIEST = -2,
    MAX_TIMESTAMP = -3,
    EARLIEST_LOCAL = -4,
    LATEST_TIERED = -5,
    EARLIEST_PENDING_UPLOAD = -6,
};

struct search {
    struct partition *partition; /* a reference */
    int64_t timestamp;
    int64_t end;
    struct log_time_result found;
    int err;
    struct list_offsets_response_partition_response *response;
};

struct list_offsets_work {
    struct pool_job job;
    struct request *request;
    struct list_offsets_response response;
    struct search *searches;
    int32_t count;
    bool done;
};

/* The first version that knows a special timestamp. */
static int16_t timestamp_version(int64_t timestamp)
{
    switch (timestamp) {
    case MAX_TIMESTAMP:
        return 7;
    case EARLIEST_LOCAL:
        return 8;
    case LATEST_TIERED:
        return 9;
    case EARLIEST_PENDING_UPLOAD:
        return 11;
    default:
        return 1;
    }
}

static void respond(struct list_offsets_response_partition_response *response, int64_t offset,
                    int64_t timestamp, int32_t epoch)
{
    response->offset = offset;
    response->timestamp = timestamp;
    response->leader_epoch = epoch;
}

/* Only -1 says that the client does not know; in a Fetch every negative epoch does. */
static int check_epoch(const struct partition *partition, int32_t leader_epoch)
{
    int err = partition_check_leader(partition, leader_epoch);
    return err == 0 && leader_epoch < -1 ? KAFKA_FENCED_LEADER_EPOCH : err;
}

static void part_search(struct list_offsets_work *work, struct partition *partition,
                        int64_t timestamp, int64_t end,
                        struct list_offsets_response_partition_response *response)
{
    work->searches[work->count++] = (struct search){.partition = partition_ref(partition),
                                                    .timestamp = timestamp,
                                                    .end = end,
                                                    .response = response};
}

static int part_answer(struct request *request, struct list_offsets_work *work, struct str topic,
                       const struct list_offsets_request_partition *asked,
                       struct list_offsets_response_partition_response *response)
{
    const struct list_offsets_request *body = request->body;
    const struct topic_image *found = image_topic_named(request_image(request), topic);
    if (!found || !topic_partition(found, asked->partition_index))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    struct partition *partition =
        partition_find(&request_broker(request)->partitions, found->id, asked->partition_index);
    if (!partition)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    int err = check_epoch(partition, asked->current_leader_epoch);
    if (err != 0)
        return err;
    if (asked->timestamp < EARLIEST_PENDING_UPLOAD ||
        request->version < timestamp_version(asked->timestamp))
        return KAFKA_UNSUPPORTED_VERSION;
    struct log *log = partition->log;
    enum isolation isolation = body->isolation_level == 1 ? READ_COMMITTED : READ_UNCOMMITTED;
    int64_t end = partition_bound(partition, isolation).offset;
    switch (asked->timestamp) {
    case LATEST:
        respond(response, end, -1, partition_epoch_at(partition, INT64_MAX));
        return 0;
    case EARLIEST:
    case EARLIEST_LOCAL:
        respond(response, log_start_offset(log), -1,
                partition_epoch_at(partition, log_start_offset(log)));
        return 0;
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
        respond(response, -1, -1, -1);
        return 0;
    default:
        part_search(work, partition, asked->timestamp, end, response);
        return 0;
    }
}

static bool find_repeats(struct request *request, int32_t total, struct repeats *ret_repeats)
{
    const struct list_offsets_request *body = request->body;
    if (!repeats_init(ret_repeats, &request->arena, total))
        return false;
    for (int32_t t = 0; t < body->topics.count; t++) {
        const struct list_offsets_request_topic *topic = &body->topics.items[t];
        for (int32_t p = 0; p < topic->partitions.count; p++)
            repeats_add(ret_repeats, topic->name, topic->partitions.items[p].partition_index);
    }
    repeats_find(ret_repeats);
    return true;
}

/* A partition that is asked for more than once is answered once, with INVALID_REQUEST. */
static bool list_offsets_prepare(struct request *request, struct list_offsets_work *work)
{
    const struct list_offsets_request *body = request->body;
    struct arena *arena = &request->arena;
    struct repeats repeats;
    int32_t total = 0, at = 0;
    for (int32_t t = 0; t < body->topics.count; t++)
        total += body->topics.items[t].partitions.count;
    if (!find_repeats(request, total, &repeats))
        return false;
    list_offsets_response_init(&work->response);
    work->request = request;
    work->searches = arena_array(arena, (size_t)total + 1, sizeof *work->searches);
    work->response.topics.items =
        list_offsets_response_topic_response_array(arena, body->topics.count);
    if (!work->searches || !work->response.topics.items)
        return false;
    for (int32_t t = 0; t < body->topics.count; t++) {
        const struct list_offsets_request_topic *topic = &body->topics.items[t];
        struct list_offsets_response_topic_response *out =
            &work->response.topics.items[work->response.topics.count++];
        out->name = topic->name;
        out->partitions.items =
            list_offsets_response_partition_response_array(arena, topic->partitions.count);
        if (!out->partitions.items)
            return false;
        for (int32_t p = 0; p < topic->partitions.count; p++, at++) {
            if (repeats.found[at] == NAMED_AGAIN)
                continue;
            struct list_offsets_response_partition_response *response =
                &out->partitions.items[out->partitions.count++];
            response->partition_index = topic->partitions.items[p].partition_index;
            response->error_code =
                error_to_wire(repeats.found[at] == NAMED_FIRST
                                  ? KAFKA_INVALID_REQUEST
                                  : part_answer(request, work, topic->name,
                                                &topic->partitions.items[p], response));
        }
    }
    return true;
}

static void search_run(struct pool_job *job)
{
    struct list_offsets_work *work = container_of(job, struct list_offsets_work, job);
    struct plain_budget *plain = &request_broker(work->request)->plain;
    for (int32_t i = 0; i < work->count; i++) {
        struct search *search = &work->searches[i];
        struct log *log = search->partition->log;
        search->err =
            search->timestamp == MAX_TIMESTAMP
                ? log_find_max_timestamp(log, search->end, plain, &search->found)
                : log_find_by_time(log, search->timestamp, search->end, plain, &search->found);
        if (search->err == -ENOBUFS) /* clients try again */
            search->err = KAFKA_REQUEST_TIMED_OUT;
        if (search->err < 0)
            search->err = partition_read_failed(search->partition, -1, search->err);
    }
}

static void search_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct list_offsets_work *work = container_of(job, struct list_offsets_work, job);
    work->done = true;
    handle_list_offsets(work->request);
}

static void list_offsets_cleanup(struct request *request)
{
    struct list_offsets_work *work = request->work;
    for (int32_t i = 0; work && i < work->count; i++)
        partition_unref(work->searches[i].partition);
}

/* Versions below 4 have no leader epoch, and a value there could not be encoded. */
static void forget_epochs(struct list_offsets_response *response)
{
    for (int32_t t = 0; t < response->topics.count; t++)
        for (int32_t p = 0; p < response->topics.items[t].partitions.count; p++)
            response->topics.items[t].partitions.items[p].leader_epoch = -1;
}

enum outcome handle_list_offsets(struct request *request)
{
    struct list_offsets_work *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        request->cleanup = list_offsets_cleanup;
        if (!work || !list_offsets_prepare(request, work))
            return request_refuse(request, "out of memory");
        request_charge(request);
        if (work->count > 0) {
            work->job.run = search_run;
            work->job.done = search_done;
            pool_submit(&request->home->loop, &work->job);
            return PARKED;
        }
    } else if (!work->done) {
        return PARKED;
    }
    for (int32_t i = 0; i < work->count; i++) {
        const struct search *search = &work->searches[i];
        if (search->err != 0)
            search->response->error_code = error_to_wire(search->err);
        else
            respond(search->response, search->found.offset, search->found.timestamp,
                    search->found.leader_epoch);
    }
    if (request->version < 4)
        forget_epochs(&work->response);
    return request_answer(request, &work->response);
}

/* ---- OffsetForLeaderEpoch ---- */

static int
epoch_answer(struct request *request, struct str topic,
             const struct offset_for_leader_epoch_request_offset_for_leader_partition *asked,
             struct offset_for_leader_epoch_response_epoch_end_offset *response)
{
    const struct topic_image *found = image_topic_named(request_image(request), topic);
    if (!found || !topic_partition(found, asked->partition))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    struct partition *partition =
        partition_find(&request_broker(request)->partitions, found->id, asked->partition);
    if (!partition)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    int err = check_epoch(partition, asked->current_leader_epoch);
    if (err != 0)
        return err;
    int32_t epoch;
    int64_t end;
    partition_epoch_end(partition, asked->leader_epoch, &epoch, &end);
    response->leader_epoch = epoch;
    response->end_offset = end;
    return 0;
}

enum outcome handle_offset_for_leader_epoch(struct request *request)
{
    const struct offset_for_leader_epoch_request *body = request->body;
    struct arena *arena = &request->arena;
    struct offset_for_leader_epoch_response response;
    offset_for_leader_epoch_response_init(&response);
    response.topics.items = offset_for_leader_epoch_response_offset_for_leader_topic_result_array(
        arena, body->topics.count);
    if (!response.topics.items)
        return request_refuse(request, "out of memory");
    for (int32_t t = 0; t < body->topics.count; t++) {
        const struct offset_for_leader_epoch_request_offset_for_leader_topic *topic =
            &body->topics.items[t];
        struct offset_for_leader_epoch_response_offset_for_leader_topic_result *out =
            &response.topics.items[response.topics.count++];
        out->topic = topic->topic;
        out->partitions.items =
            offset_for_leader_epoch_response_epoch_end_offset_array(arena, topic->partitions.count);
        if (!out->partitions.items)
            return request_refuse(request, "out of memory");
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            struct offset_for_leader_epoch_response_epoch_end_offset *item =
                &out->partitions.items[out->partitions.count++];
            item->partition = topic->partitions.items[p].partition;
            item->error_code = error_to_wire(
                epoch_answer(request, topic->topic, &topic->partitions.items[p], item));
        }
    }
    return request_answer(request, &response);
}
