/* Before a transactional batch is appended where no transaction of its producer is open: the word
 * of the transaction's coordinator that there is one, and that this partition is in it (KIP-890).
 *
 * Stages only go forward, but for the pause: BEGIN takes a token of each partition, under its
 * append lock; ASK has the coordinator verify the partitions, or, for clients whose transactions
 * have epochs of their own, add them; such a client is not told to come again when its last
 * transaction is just being completed, which is over in no time: PAUSE, and ASK again. */
#include <errno.h>

#include "base/errors.h"
#include "server/handlers/coordinated.h"
#include "server/handlers/produce_private.h"
#include "txn/txn.h"

#define NS_PER_MS INT64_C(1000000)

/* Markers in this process take less than the least time that a client would wait. */
#define PAUSE_FIRST_NS (NS_PER_MS / 2)

enum {
    PRODUCE_ABORTABLE_SINCE = 11, /* the version that knows TRANSACTION_ABORTABLE */
    PRODUCE_ADDS_SINCE = 12,      /* transactions version 2: no AddPartitionsToTxn of the client */
};

struct produce_verify {
    struct request *request;
    enum { VERIFY_BEGIN, VERIFY_ASK, VERIFY_ASKING, VERIFY_PAUSE, VERIFY_DONE } stage;
    int32_t part_at;
    int64_t give_up_ns, pause_ns;
    struct loop_timer pause;
    struct txn_add_op add;
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

static void verify_wakes(struct coord_op *op, struct wakes *wakes)
{
    request_wake_later(container_of(op, struct produce_verify, add.op)->request, wakes);
}

static void pause_over(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct produce_verify *verify = container_of(timer, struct produce_verify, pause);
    verify->stage = VERIFY_ASK;
    request_wake(verify->request);
}

static bool is_asked_about(const struct produce_part *part)
{
    return part->error == 0 && part->transactional;
}

static bool anything(const struct produce_work *work)
{
    for (int32_t i = 0; i < work->part_count; i++)
        if (is_asked_about(&work->parts[i]))
            return true;
    return false;
}

static struct produce_verify *verify_new(struct request *request, const struct produce_work *work)
{
    size_t count = (size_t)work->part_count + 1;
    struct produce_verify *verify = arena_alloc(&request->arena, sizeof *verify);
    if (!verify)
        return NULL;
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    verify->request = request;
    verify->give_up_ns = request->home->loop.now_ns +
                         settings->add_partitions_to_txn_retry_backoff_max_ms * NS_PER_MS;
    loop_timer_init(&verify->pause, pause_over);
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
    case KAFKA_PRODUCER_FENCED:
        return KAFKA_INVALID_PRODUCER_EPOCH;
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

static int verify_ask(struct request *request, struct produce_verify *verify)
{
    const struct produce_request *body = request->body;
    const struct batch *batch = &verify->parts[0]->validated.batches[0];
    verify->add = (struct txn_add_op){
        .transactional_id = body->transactional_id,
        .producer_id = batch->producer_id,
        .producer_epoch = batch->producer_epoch,
        .client_version = adds(request) ? TXN_VERSION_EPOCH_BUMP : TXN_VERSION_PLAIN,
        .verify_only = !adds(request),
        .partitions = {verify->topics, verify->count},
        .results = verify->results,
    };
    txn_add_op(&verify->add);
    verify->add.op.wake = verify_wakes;
    return coordinated_find(request_broker(request)->coordinators.transactions,
                            body->transactional_id, &verify->add.op);
}

static void verify_end(struct produce_verify *verify, int err)
{
    for (int32_t i = 0; i < verify->count; i++) {
        int own = err != 0 || adds(verify->request) ? err : verify->results[i];
        verify->parts[i]->error = as_produce_error(verify->request, own);
    }
    verify->stage = VERIFY_DONE;
}

static bool verify_answered(struct request *request, struct produce_verify *verify, int err)
{
    struct loop *loop = &request->home->loop;
    if (err != KAFKA_CONCURRENT_TRANSACTIONS || !adds(request) || request->timed_out ||
        loop->now_ns >= verify->give_up_ns) {
        verify_end(verify, err);
        return true;
    }
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    int64_t most_ns = settings->add_partitions_to_txn_retry_backoff_ms * NS_PER_MS;
    verify->pause_ns = verify->pause_ns == 0 ? PAUSE_FIRST_NS : verify->pause_ns * 2;
    if (verify->pause_ns > most_ns)
        verify->pause_ns = most_ns;
    verify->stage = VERIFY_PAUSE;
    loop_timer_set(loop, &verify->pause, loop->now_ns + verify->pause_ns);
    return false;
}

bool produce_verify(struct request *request, struct produce_work *work)
{
    struct produce_verify *verify = work->verify;
    int err;
    if (!verify) {
        const struct broker_settings *settings = broker_settings_now(request_broker(request));
        if (!anything(work) ||
            (!settings->transaction_partition_verification_enable && !adds(request)))
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
        verify->stage = verify->count > 0 ? VERIFY_ASK : VERIFY_DONE;
    }
    if (verify->stage == VERIFY_PAUSE && request->timed_out) {
        loop_timer_cancel(&request->home->loop, &verify->pause);
        verify_end(verify, KAFKA_CONCURRENT_TRANSACTIONS);
    }
    if (verify->stage == VERIFY_ASK) {
        err = verify_ask(request, verify);
        if (err != 0)
            verify_end(verify, err);
        else
            verify->stage = VERIFY_ASKING;
    }
    if (verify->stage == VERIFY_ASKING)
        return coordinated_run(request, &verify->add.op, &err) &&
               verify_answered(request, verify, err);
    return verify->stage == VERIFY_DONE;
}
