/* Before a transactional batch is appended where no transaction of its producer is open: the word
 * of the transaction's coordinator that there is one, and that this partition is in it (KIP-890).
 *
 * Stages only go forward: BEGIN takes a token of each partition, under its append lock; ASK has the
 * coordinator verify the partitions, or, for clients whose transactions have epochs of their own,
 * add them. */
#include <errno.h>

#include "base/errors.h"
#include "server/handlers/produce_private.h"
#include "server/handlers/txn_ask.h"

enum {
    PRODUCE_ABORTABLE_SINCE = 11, /* the version that knows TRANSACTION_ABORTABLE */
    PRODUCE_ADDS_SINCE = 12,      /* transactions version 2: no AddPartitionsToTxn of the client */
};

struct produce_verify {
    struct request *request;
    enum { VERIFY_BEGIN, VERIFY_ASK, VERIFY_DONE } stage;
    int32_t part_at;
    struct txn_ask ask;
    /* Those to be asked about, one topic each. */
    struct produce_part **parts;
    struct txn_topic *topics;
    int *results;
    int32_t count;
};

static bool adds(const struct request *request)
{
    return request->version >= PRODUCE_ADDS_SINCE;
}

static bool is_asked_about(const struct produce_part *part)
{
    return part->error == 0 && part->transactional;
}

/* A transaction has one producer: whoever names two would have one of them vouched for by the
 * other's transaction. */
static bool has_one_producer(const struct produce_work *work)
{
    const struct batch *first = NULL;
    bool two = false, any = false;
    for (int32_t i = 0; i < work->part_count; i++) {
        if (!is_asked_about(&work->parts[i]))
            continue;
        const struct batch *batch = &work->parts[i].validated.batches[0];
        first = first ? first : batch;
        two |= batch->producer_id != first->producer_id ||
               batch->producer_epoch != first->producer_epoch;
        any = true;
    }
    for (int32_t i = 0; two && i < work->part_count; i++)
        if (work->parts[i].error == 0)
            work->parts[i].error = KAFKA_INVALID_PRODUCER_ID_MAPPING;
    return any && !two;
}

static struct produce_verify *verify_new(struct request *request, const struct produce_work *work)
{
    size_t count = (size_t)work->part_count + 1;
    struct produce_verify *verify = arena_alloc(&request->arena, sizeof *verify);
    if (!verify)
        return NULL;
    verify->request = request;
    verify->parts = arena_array(&request->arena, count, sizeof(struct produce_part *));
    verify->topics = arena_array(&request->arena, count, sizeof *verify->topics);
    verify->results = arena_array(&request->arena, count, sizeof *verify->results);
    return verify->parts && verify->topics && verify->results ? verify : NULL;
}

/* ---- begin ---- */

static void part_begin(struct produce_verify *verify, struct produce_part *part)
{
    const struct batch *batch = &part->validated.batches[0];
    part->verification =
        partition_verification_begin(part->partition, batch->producer_id, batch->producer_epoch,
                                     batch->base_sequence, adds(part->request));
    if (part->verification < 0) {
        part->error = (int)part->verification;
        return;
    }
    part->verify = true;
    if (part->verification == 0)
        return;
    verify->topics[verify->count] = (struct txn_topic){part->topic, &part->index, 1};
    verify->parts[verify->count++] = part;
}

/* True when every partition was looked at; false when parked on a lock. */
static bool verify_begin(struct produce_verify *verify, struct produce_work *work)
{
    for (; verify->part_at < work->part_count; verify->part_at++) {
        struct produce_part *part = &work->parts[verify->part_at];
        if (!is_asked_about(part))
            continue;
        if (!parklock_take(&part->partition->append_lock, &part->park))
            return false;
        part_begin(verify, part);
        parklock_release(&part->partition->append_lock);
    }
    return true;
}

/* ---- ask ---- */

/* What clients make of it: older ones retry produce on few errors only. */
static int as_produce_error(const struct request *request, int err)
{
    switch (err) {
    case KAFKA_TRANSACTION_ABORTABLE:
        return request->version < PRODUCE_ABORTABLE_SINCE ? KAFKA_INVALID_TXN_STATE : err;
    case KAFKA_CONCURRENT_TRANSACTIONS:
        return adds(request) ? err : KAFKA_NOT_ENOUGH_REPLICAS;
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_NOT_COORDINATOR:
        return KAFKA_NOT_ENOUGH_REPLICAS;
    default:
        return err;
    }
}

static void verify_ask(struct request *request, struct produce_verify *verify)
{
    const struct produce_request *body = request->body;
    const struct batch *batch = &verify->parts[0]->validated.batches[0];
    const struct txn_question question = {
        .transactional_id = body->transactional_id,
        .producer_id = batch->producer_id,
        .producer_epoch = batch->producer_epoch,
        .adds = adds(request),
        .partitions = {verify->topics, verify->count},
        .results = verify->results,
    };
    txn_ask_init(&verify->ask, request, &question);
}

static void verify_end(struct produce_verify *verify, int err)
{
    for (int32_t i = 0; i < verify->count; i++) {
        int own = err != 0 || adds(verify->request) ? err : verify->results[i];
        verify->parts[i]->error = as_produce_error(verify->request, own);
    }
    verify->stage = VERIFY_DONE;
}

static bool is_verified(struct request *request)
{
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    return settings->transaction_partition_verification_enable || adds(request);
}

bool produce_verify(struct request *request, struct produce_work *work)
{
    struct produce_verify *verify = work->verify;
    int err;
    if (!verify) {
        if (!has_one_producer(work) || !is_verified(request))
            return true;
        work->verify = verify = verify_new(request, work);
        if (!verify) {
            for (int32_t i = 0; i < work->part_count; i++)
                if (work->parts[i].error == 0)
                    work->parts[i].error = -ENOMEM;
            return true;
        }
    }
    if (verify->stage == VERIFY_BEGIN) {
        if (!verify_begin(verify, work))
            return false;
        const struct produce_request *body = request->body;
        if (body->transactional_id.size == 0) /* no coordinator has it */
            verify_end(verify, KAFKA_INVALID_REQUEST);
        else
            verify->stage = verify->count > 0 ? VERIFY_ASK : VERIFY_DONE;
        if (verify->stage == VERIFY_ASK)
            verify_ask(request, verify);
    }
    if (verify->stage == VERIFY_ASK) {
        if (!txn_ask_run(&verify->ask, &err))
            return false;
        verify_end(verify, err);
    }
    return true;
}
