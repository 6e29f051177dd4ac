/* AddPartitionsToTxn, AddOffsetsToTxn: what a transaction is going to touch, told to its
 * coordinator before it is touched.
 *
 * Versions up to 3 come from clients, with one transaction and one result for all of its
 * partitions; from version 4 on brokers send several, also to verify only. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/coordinated.h"
#include "txn/txn.h"

struct add_part {
    struct request *request;
    struct txn_add_op add;
    int32_t count; /* partitions */
    bool begun, running;
    int error;    /* of the whole transaction */
    int *results; /* by partition, where the whole went well */
};

/* Transactions of one request that are asked about at a time. */
enum { ADDS_AT_ONCE = 64 };

struct add_work {
    int32_t part_count, first; /* those before `first` are done */
    struct add_part parts[];
};

static void add_wakes(struct coord_op *op, struct wakes *wakes)
{
    request_wake_later(container_of(op, struct add_part, add.op)->request, wakes);
}

static int find_shard(struct add_part *part)
{
    return coordinated_find(request_broker(part->request)->coordinators.transactions,
                            part->add.transactional_id, &part->add.op);
}

/* Partitions that do not exist fail, and then the others are not attempted. Of internal topics only
 * coordinators have transactions, not the clients that send the older versions. */
static bool all_exist(struct request *request, struct add_part *part)
{
    const struct image *image = request_image(request);
    bool from_client = request->version < 4, all = true;
    for (int32_t t = 0, at = 0; t < part->add.partitions.count; t++) {
        const struct txn_topic *topic = &part->add.partitions.topics[t];
        const struct topic_image *found = image_topic_named(image, topic->name);
        bool internal = from_client && topic_is_internal(topic->name);
        for (int32_t p = 0; p < topic->count; p++, at++) {
            bool exists = found && topic_partition(found, topic->partitions[p]);
            part->results[at] = internal ? KAFKA_TOPIC_AUTHORIZATION_FAILED
                                : exists ? 0
                                         : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            all &= part->results[at] == 0;
        }
    }
    for (int32_t i = 0; !all && i < part->count; i++)
        if (part->results[i] == 0)
            part->results[i] = KAFKA_OPERATION_NOT_ATTEMPTED;
    return all;
}

static bool part_fill(struct request *request, struct add_part *part, struct str id,
                      int64_t producer_id, int16_t epoch, bool verify_only,
                      const struct add_partitions_to_txn_request_topic *topics, int32_t count)
{
    struct txn_add_op *add = &part->add;
    struct txn_topic *own = arena_array(&request->arena, (size_t)count + 1, sizeof *own);
    if (!own)
        return false;
    for (int32_t t = 0; t < count; t++) {
        own[t] = (struct txn_topic){topics[t].name, topics[t].partitions.items,
                                    topics[t].partitions.count};
        part->count += topics[t].partitions.count;
    }
    part->request = request;
    part->results = arena_array(&request->arena, (size_t)part->count + 1, sizeof *part->results);
    *add = (struct txn_add_op){
        .transactional_id = id,
        .producer_id = producer_id,
        .producer_epoch = epoch,
        .client_version = request->version > 4 ? TXN_VERSION_EPOCH_BUMP : TXN_VERSION_PLAIN,
        .verify_only = verify_only,
        .partitions = {own, count},
        .results = part->results,
    };
    txn_add_op(add);
    add->op.wake = add_wakes;
    return part->results;
}

static void part_begin(struct request *request, struct add_part *part)
{
    part->begun = true;
    if (part->add.transactional_id.size == 0)
        part->error = KAFKA_INVALID_REQUEST;
    else if (all_exist(request, part)) {
        part->error = find_shard(part);
        part->running = part->error == 0;
    }
}

static struct add_work *work_new(struct request *request)
{
    const struct add_partitions_to_txn_request *body = request->body;
    int32_t count = request->version < 4 ? 1 : body->transactions.count;
    struct add_work *work =
        arena_alloc(&request->arena, sizeof *work + (size_t)count * sizeof work->parts[0]);
    if (!work)
        return NULL;
    work->part_count = count;
    bool filled = true;
    if (request->version < 4)
        filled = part_fill(request, &work->parts[0], body->v3_and_below_transactional_id,
                           body->v3_and_below_producer_id, body->v3_and_below_producer_epoch, false,
                           body->v3_and_below_topics.items, body->v3_and_below_topics.count);
    for (int32_t i = 0; filled && request->version >= 4 && i < count; i++) {
        const struct add_partitions_to_txn_request_transaction *from = &body->transactions.items[i];
        filled = part_fill(request, &work->parts[i], from->transactional_id, from->producer_id,
                           from->producer_epoch, from->verify_only, from->topics.items,
                           from->topics.count);
    }
    return filled ? work : NULL;
}

static int result_of(const struct request *request, const struct add_part *part, int32_t at)
{
    int err = part->error ? part->error : part->results[at];
    return err == KAFKA_PRODUCER_FENCED && request->version < 2 ? KAFKA_INVALID_PRODUCER_EPOCH
                                                                : err;
}

static bool part_results(struct request *request, const struct add_part *part,
                         struct add_partitions_to_txn_response_topic_result **ret_items,
                         int32_t *ret_count)
{
    const struct txn_partitions *partitions = &part->add.partitions;
    struct add_partitions_to_txn_response_topic_result *topics =
        add_partitions_to_txn_response_topic_result_array(&request->arena, partitions->count);
    struct add_partitions_to_txn_response_partition_result *results =
        add_partitions_to_txn_response_partition_result_array(&request->arena, part->count);
    if (!topics || !results)
        return false;
    for (int32_t t = 0, at = 0; t < partitions->count; t++) {
        const struct txn_topic *topic = &partitions->topics[t];
        topics[t].name = topic->name;
        topics[t].results_by_partition.items = &results[at];
        topics[t].results_by_partition.count = topic->count;
        for (int32_t p = 0; p < topic->count; p++, at++) {
            results[at].partition_index = topic->partitions[p];
            results[at].partition_error_code = error_to_wire(result_of(request, part, at));
        }
    }
    *ret_items = topics;
    *ret_count = partitions->count;
    return true;
}

static enum outcome answer(struct request *request, const struct add_work *work)
{
    struct add_partitions_to_txn_response response;
    add_partitions_to_txn_response_init(&response);
    if (request->version < 4)
        return part_results(request, &work->parts[0], &response.results_by_topic_v3_and_below.items,
                            &response.results_by_topic_v3_and_below.count)
                   ? request_answer(request, &response)
                   : request_refuse(request, "out of memory");
    response.results_by_transaction.items =
        add_partitions_to_txn_response_result_array(&request->arena, work->part_count);
    if (!response.results_by_transaction.items)
        return request_refuse(request, "out of memory");
    for (int32_t i = 0; i < work->part_count; i++) {
        struct add_partitions_to_txn_response_result *result =
            &response.results_by_transaction.items[i];
        result->transactional_id = work->parts[i].add.transactional_id;
        if (!part_results(request, &work->parts[i], &result->topic_results.items,
                          &result->topic_results.count))
            return request_refuse(request, "out of memory");
    }
    response.results_by_transaction.count = work->part_count;
    return request_answer(request, &response);
}

enum outcome handle_add_partitions_to_txn(struct request *request)
{
    struct add_work *work = request->work;
    if (!work) {
        request->work = work = work_new(request);
        if (!work)
            return request_refuse(request, "out of memory");
    }
    for (int32_t i = work->first; i < work->part_count && i < work->first + ADDS_AT_ONCE; i++) {
        struct add_part *part = &work->parts[i];
        if (!part->begun)
            part_begin(request, part);
        if (part->running && coordinated_run(request, &part->add.op, &part->error))
            part->running = false;
        work->first += !part->running && i == work->first;
        if (request_yield(request))
            return PARKED;
    }
    return work->first < work->part_count ? PARKED : answer(request, work);
}

/* ---- offsets of a group ---- */

struct offsets_work {
    struct request *request;
    struct txn_add_op add;
    struct txn_topic topic;
    int32_t partition;
};

static void offsets_wakes(struct coord_op *op, struct wakes *wakes)
{
    request_wake_later(container_of(op, struct offsets_work, add.op)->request, wakes);
}

static enum outcome offsets_answer(struct request *request, int err)
{
    struct add_offsets_to_txn_response response;
    add_offsets_to_txn_response_init(&response);
    if (err == KAFKA_PRODUCER_FENCED && request->version < 2)
        err = KAFKA_INVALID_PRODUCER_EPOCH;
    response.error_code = error_to_wire(err);
    return request_answer(request, &response);
}

/* The transaction touches the partition of __consumer_offsets that the group belongs to. */
static int offsets_begin(struct request *request, struct offsets_work *work)
{
    const struct add_offsets_to_txn_request *body = request->body;
    struct broker *broker = request_broker(request);
    work->request = request;
    if (body->transactional_id.size == 0)
        return KAFKA_INVALID_REQUEST;
    work->partition = coord_partition_for(broker->coordinators.groups, body->group_id);
    if (work->partition < 0)
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    work->topic = (struct txn_topic){STR(GROUP_TOPIC), &work->partition, 1};
    work->add = (struct txn_add_op){.transactional_id = body->transactional_id,
                                    .producer_id = body->producer_id,
                                    .producer_epoch = body->producer_epoch,
                                    .client_version = TXN_VERSION_PLAIN,
                                    .partitions = {&work->topic, 1}};
    txn_add_op(&work->add);
    work->add.op.wake = offsets_wakes;
    return coordinated_find(broker->coordinators.transactions, body->transactional_id,
                            &work->add.op);
}

enum outcome handle_add_offsets_to_txn(struct request *request)
{
    struct offsets_work *work = request->work;
    int err = 0;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work)
            return request_refuse(request, "out of memory");
        err = offsets_begin(request, work);
        if (err != 0)
            return offsets_answer(request, err);
    }
    return coordinated_run(request, &work->add.op, &err) ? offsets_answer(request, err) : PARKED;
}
