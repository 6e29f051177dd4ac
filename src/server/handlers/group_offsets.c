/* OffsetCommit, TxnOffsetCommit and OffsetDelete: which of the partitions named exist is seen here,
 * the rest is the group's. Nothing is asked of the group when none of them does, as in Kafka. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/group_common.h"
#include "server/handlers/offsets_verify.h"

/* Topics are named by id from here on. */
enum { OFFSET_COMMIT_TOPIC_IDS = 10, TXN_OFFSET_COMMIT_TOPIC_IDS = 6 };

/* A topic of the request as the image knows it. */
struct named_topic {
    const struct topic_image *topic; /* NULL: not there */
    struct str name;                 /* in the arena */
    int error;                       /* of all its partitions, when it is not there */
};

/* False: out of memory. */
static bool find_topic(struct request *request, struct str name, struct uuid id, bool by_id,
                       struct named_topic *ret)
{
    const struct image *image = request_image(request);
    ret->topic = by_id ? image_topic(image, id) : image_topic_named(image, name);
    ret->error = by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    ret->name = ret->topic ? arena_str(&request->arena, ret->topic->name) : STR("");
    return ret->name.data;
}

/* The error of one partition that need not be asked about, else 0. */
static int16_t partition_error(const struct named_topic *named, int32_t partition)
{
    if (!named->topic)
        return error_to_wire(named->error);
    return topic_partition(named->topic, partition) ? 0 : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* ---- OffsetCommit ---- */

struct commit_work {
    struct group_call call;
    struct offset_commit_response response;
    struct offset_commit_part *parts;
    int32_t count;
};

static bool commit_add_topic(struct request *request, struct commit_work *work,
                             const struct offset_commit_request_topic *topic)
{
    struct offset_commit_response_topic *out =
        &work->response.topics.items[work->response.topics.count++];
    struct named_topic named;
    out->name = topic->name;
    out->topic_id = topic->topic_id;
    out->partitions.items =
        offset_commit_response_partition_array(&request->arena, topic->partitions.count);
    if (!out->partitions.items || !find_topic(request, topic->name, topic->topic_id,
                                              request->version >= OFFSET_COMMIT_TOPIC_IDS, &named))
        return false;
    for (int32_t p = 0; p < topic->partitions.count; p++) {
        const struct offset_commit_request_partition *from = &topic->partitions.items[p];
        struct offset_commit_response_partition *to =
            &out->partitions.items[out->partitions.count++];
        to->partition_index = from->partition_index;
        to->error_code = partition_error(&named, from->partition_index);
        if (to->error_code != 0)
            continue;
        work->parts[work->count++] = (struct offset_commit_part){
            .topic = named.name,
            .topic_id = named.topic->id,
            .partition = from->partition_index,
            .leader_epoch = from->committed_leader_epoch,
            .offset = from->committed_offset,
            .metadata = from->committed_metadata,
            .error = &to->error_code,
        };
    }
    return true;
}

static bool commit_prepare(struct request *request, struct commit_work *work)
{
    const struct offset_commit_request *body = request->body;
    int32_t total = 0;
    for (int32_t t = 0; t < body->topics.count; t++)
        total += body->topics.items[t].partitions.count;
    offset_commit_response_init(&work->response);
    work->parts = arena_array(&request->arena, (size_t)total, sizeof *work->parts);
    work->response.topics.items =
        offset_commit_response_topic_array(&request->arena, body->topics.count);
    if (!work->parts || !work->response.topics.items)
        return false;
    for (int32_t t = 0; t < body->topics.count; t++)
        if (!commit_add_topic(request, work, &body->topics.items[t]))
            return false;
    return true;
}

static void commit_begin(struct request *request, struct commit_work *work)
{
    const struct offset_commit_request *body = request->body;
    struct offset_commit *commit = &work->call.commit;
    offset_commit_init(commit);
    commit->group = body->group_id;
    commit->who = (struct group_committer){.member_id = body->member_id,
                                           .instance_id = body->group_instance_id,
                                           .generation = body->generation_id_or_member_epoch,
                                           .version = request->version};
    commit->retention_ms = body->retention_time_ms;
    if (request->version >= OFFSET_COMMIT_TOPIC_IDS)
        commit->unknown_topic = KAFKA_UNKNOWN_TOPIC_ID;
    commit->parts = work->parts;
    commit->count = work->count;
    if (work->count == 0)
        group_call_fail(&work->call, request, 0);
    else
        group_call_begin(&work->call, request, body->group_id);
    group_deadline(request);
}

/* In terms that clients know of a commit: a batch above the topic's limit is theirs, not ours. */
static int16_t commit_error(int error)
{
    return error_to_wire(error == KAFKA_RECORD_LIST_TOO_LARGE ? KAFKA_INVALID_COMMIT_OFFSET_SIZE
                                                              : error);
}

enum outcome handle_offset_commit(struct request *request)
{
    struct commit_work *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work || !commit_prepare(request, work))
            return request_refuse(request, "out of memory");
        commit_begin(request, work);
    }
    if (!group_call_run(&work->call))
        return PARKED;
    for (int32_t i = 0; work->call.error != 0 && i < work->count; i++)
        *work->parts[i].error = commit_error(work->call.error);
    return request_answer(request, &work->response);
}

/* ---- TxnOffsetCommit ---- */

struct txn_work {
    struct group_call call;
    struct offsets_verify verify;
    struct txn_offset_commit_response response;
    struct offset_commit_part *parts;
    int32_t count;
};

static bool txn_add_topic(struct request *request, struct txn_work *work,
                          const struct txn_offset_commit_request_topic *topic)
{
    struct txn_offset_commit_response_topic *out =
        &work->response.topics.items[work->response.topics.count++];
    struct named_topic named;
    out->name = topic->name;
    out->topic_id = topic->topic_id;
    out->partitions.items =
        txn_offset_commit_response_partition_array(&request->arena, topic->partitions.count);
    if (!out->partitions.items ||
        !find_topic(request, topic->name, topic->topic_id,
                    request->version >= TXN_OFFSET_COMMIT_TOPIC_IDS, &named))
        return false;
    for (int32_t p = 0; p < topic->partitions.count; p++) {
        const struct txn_offset_commit_request_partition *from = &topic->partitions.items[p];
        struct txn_offset_commit_response_partition *to =
            &out->partitions.items[out->partitions.count++];
        to->partition_index = from->partition_index;
        to->error_code = partition_error(&named, from->partition_index);
        if (to->error_code != 0)
            continue;
        work->parts[work->count++] = (struct offset_commit_part){
            .topic = named.name,
            .topic_id = named.topic->id,
            .partition = from->partition_index,
            .leader_epoch = from->committed_leader_epoch,
            .offset = from->committed_offset,
            .metadata = from->committed_metadata,
            .error = &to->error_code,
        };
    }
    return true;
}

static bool txn_prepare(struct request *request, struct txn_work *work)
{
    const struct txn_offset_commit_request *body = request->body;
    int32_t total = 0;
    for (int32_t t = 0; t < body->topics.count; t++)
        total += body->topics.items[t].partitions.count;
    txn_offset_commit_response_init(&work->response);
    work->parts = arena_array(&request->arena, (size_t)total, sizeof *work->parts);
    work->response.topics.items =
        txn_offset_commit_response_topic_array(&request->arena, body->topics.count);
    if (!work->parts || !work->response.topics.items)
        return false;
    for (int32_t t = 0; t < body->topics.count; t++)
        if (!txn_add_topic(request, work, &body->topics.items[t]))
            return false;
    return true;
}

static void txn_begin(struct request *request, struct txn_work *work)
{
    const struct txn_offset_commit_request *body = request->body;
    struct offset_commit *commit = &work->call.commit;
    offset_commit_init(commit);
    commit->group = body->group_id;
    commit->who = (struct group_committer){.member_id = body->member_id,
                                           .instance_id = body->group_instance_id,
                                           .generation = body->generation_id_or_member_epoch,
                                           .version = request->version,
                                           .transactional = true};
    if (request->version >= TXN_OFFSET_COMMIT_TOPIC_IDS)
        commit->unknown_topic = KAFKA_UNKNOWN_TOPIC_ID;
    commit->op.transaction = (struct coord_transaction){.producer_id = body->producer_id,
                                                        .producer_epoch = body->producer_epoch};
    commit->parts = work->parts;
    commit->count = work->count;
    if (work->count == 0)
        group_call_fail(&work->call, request, 0);
    else if (body->group_id.size == 0)
        group_call_fail(&work->call, request, KAFKA_INVALID_GROUP_ID);
    else if (body->transactional_id.size == 0)
        group_call_fail(&work->call, request, KAFKA_INVALID_REQUEST);
    else if (body->producer_id < 0)
        group_call_fail(&work->call, request, KAFKA_INVALID_PRODUCER_ID_MAPPING);
    else
        group_call_begin(&work->call, request, body->group_id);
    group_deadline(request);
}

/* Ask the coordinator of the transaction. False: parked. */
static bool txn_verify(struct request *request, struct txn_work *work)
{
    int err = 0;
    if (work->call.over || offsets_verify_is_done(&work->verify))
        return true;
    if (!offsets_verify_run(&work->verify, request, coord_shard_partition(work->call.op.shard),
                            &work->call.op.transaction, &err))
        return false;
    if (err == 0)
        return true;
    coord_shard_unref(work->call.op.shard);
    group_call_fail(&work->call, request, err);
    return true;
}

static void txn_cleanup(struct request *request)
{
    struct txn_work *work = request->work;
    offsets_verify_close(&work->verify);
}

/* Before version 2 clients do not know that a coordinator may be loading. */
static int16_t txn_error(const struct request *request, int error)
{
    if (request->version < 2 && error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS)
        error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    return commit_error(error);
}

enum outcome handle_txn_offset_commit(struct request *request)
{
    struct txn_work *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work || !txn_prepare(request, work))
            return request_refuse(request, "out of memory");
        txn_begin(request, work);
    }
    request->cleanup = txn_cleanup;
    if (!txn_verify(request, work) || !group_call_run(&work->call))
        return PARKED;
    for (int32_t i = 0; work->call.error != 0 && i < work->count; i++)
        *work->parts[i].error = txn_error(request, work->call.error);
    return request_answer(request, &work->response);
}

/* ---- OffsetDelete ---- */

struct delete_work {
    struct group_call call;
    struct offset_delete_response response;
    struct offset_delete_part *parts;
    int32_t count;
};

static bool delete_add_topic(struct request *request, struct delete_work *work,
                             const struct offset_delete_request_topic *topic)
{
    struct offset_delete_response_topic *out =
        &work->response.topics.items[work->response.topics.count++];
    struct named_topic named;
    out->name = topic->name;
    out->partitions.items =
        offset_delete_response_partition_array(&request->arena, topic->partitions.count);
    if (!out->partitions.items ||
        !find_topic(request, topic->name, (struct uuid){{0}}, false, &named))
        return false;
    for (int32_t p = 0; p < topic->partitions.count; p++) {
        struct offset_delete_response_partition *to =
            &out->partitions.items[out->partitions.count++];
        to->partition_index = topic->partitions.items[p].partition_index;
        to->error_code = partition_error(&named, to->partition_index);
        if (to->error_code == 0)
            work->parts[work->count++] =
                (struct offset_delete_part){named.name, to->partition_index, &to->error_code};
    }
    return true;
}

static bool delete_prepare(struct request *request, struct delete_work *work)
{
    const struct offset_delete_request *body = request->body;
    struct offset_delete *drop = &work->call.offset_delete;
    int32_t total = 0;
    for (int32_t t = 0; t < body->topics.count; t++)
        total += body->topics.items[t].partitions.count;
    offset_delete_response_init(&work->response);
    work->parts = arena_array(&request->arena, (size_t)total, sizeof *work->parts);
    work->response.topics.items =
        offset_delete_response_topic_array(&request->arena, body->topics.count);
    if (!work->parts || !work->response.topics.items)
        return false;
    for (int32_t t = 0; t < body->topics.count; t++)
        if (!delete_add_topic(request, work, &body->topics.items[t]))
            return false;
    offset_delete_init(drop);
    drop->group = body->group_id;
    drop->parts = work->parts;
    drop->count = work->count;
    if (body->group_id.size == 0)
        group_call_fail(&work->call, request, KAFKA_INVALID_GROUP_ID);
    else
        group_call_begin(&work->call, request, body->group_id);
    group_deadline(request);
    return true;
}

enum outcome handle_offset_delete(struct request *request)
{
    struct delete_work *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work || !delete_prepare(request, work))
            return request_refuse(request, "out of memory");
    }
    if (!group_call_run(&work->call))
        return PARKED;
    if (work->call.error != 0) {
        offset_delete_response_init(&work->response);
        work->response.error_code = error_to_wire(work->call.error);
    }
    return request_answer(request, &work->response);
}
