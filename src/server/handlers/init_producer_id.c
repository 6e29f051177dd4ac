/* InitProducerId: an id for an idempotent producer, or, with a transactional id, its coordinator's
 * word on which id and epoch the producer goes on with.
 *
 * Ids come in blocks from the controller. Whoever finds the block used up asks for the next one and
 * begins again; the transaction coordinator says so with `needs_id`. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/coordinated.h"
#include "txn/txn.h"
#include "server/handlers/producer_id_block.h"

struct init_work {
    struct request *request;
    struct producer_id_block block;
    struct txn_init_op init;
    bool running;
};

static enum outcome respond(struct request *request, int err, int64_t producer_id, int16_t epoch)
{
    struct init_producer_id_response response;
    init_producer_id_response_init(&response);
    if (err == KAFKA_PRODUCER_FENCED && request->version < 4) /* not known then */
        err = KAFKA_INVALID_PRODUCER_EPOCH;
    response.error_code = error_to_wire(err);
    response.producer_id = err ? -1 : producer_id;
    response.producer_epoch = err ? -1 : epoch;
    return request_answer(request, &response);
}

static int check(struct request *request, const struct init_producer_id_request *body)
{
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    if ((body->producer_id == -1) != (body->producer_epoch == -1))
        return KAFKA_INVALID_REQUEST;
    if (!body->transactional_id.data)
        return 0;
    if (body->transactional_id.size == 0)
        return KAFKA_INVALID_REQUEST;
    if (body->enable2_pc)
        return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED; /* transaction.two.phase.commit.enable
                                                             */
    if (body->keep_prepared_txn)
        return KAFKA_UNSUPPORTED_VERSION;
    if (body->transaction_timeout_ms <= 0 ||
        body->transaction_timeout_ms > settings->transaction_max_timeout_ms)
        return KAFKA_INVALID_TRANSACTION_TIMEOUT;
    return 0;
}

static void init_wakes(struct coord_op *op, struct wakes *wakes)
{
    request_wake_later(container_of(op, struct init_work, init.op)->request, wakes);
}

static int coordinate(struct request *request, struct init_work *work)
{
    const struct init_producer_id_request *body = request->body;
    struct txn_init_op *init = &work->init;
    *init = (struct txn_init_op){.transactional_id = body->transactional_id,
                                 .timeout_ms = body->transaction_timeout_ms,
                                 .expected_id = body->producer_id,
                                 .expected_epoch = body->producer_epoch};
    txn_init_op(init);
    init->op.wake = init_wakes;
    return coordinated_find(request_broker(request)->coordinators.transactions,
                            body->transactional_id, &init->op);
}

static enum outcome init_plain(struct request *request, struct init_work *work)
{
    int64_t producer_id;
    return producer_ids_take(&request_broker(request)->producer_ids, &producer_id)
               ? respond(request, 0, producer_id, 0)
               : producer_id_block_ask(request, &work->block);
}

static enum outcome init_transactional(struct request *request, struct init_work *work)
{
    int err = 0;
    if (!work->running && (err = coordinate(request, work)) != 0)
        return respond(request, err, -1, -1);
    work->running = true;
    if (!coordinated_run(request, &work->init.op, &err))
        return PARKED;
    work->running = false;
    if (work->init.needs_id)
        return producer_id_block_ask(request, &work->block);
    if (err == 0 && work->init.fences)
        err = KAFKA_CONCURRENT_TRANSACTIONS;
    return respond(request, err, work->init.producer_id, work->init.producer_epoch);
}

enum outcome handle_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    struct init_work *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work)
            return request_refuse(request, "out of memory");
        work->request = request;
        int err = check(request, body);
        if (err != 0)
            return respond(request, err, -1, -1);
    }
    if (work->block.asking)
        return PARKED;
    if (work->block.failed)
        return respond(request, KAFKA_COORDINATOR_LOAD_IN_PROGRESS, -1, -1);
    return body->transactional_id.data ? init_transactional(request, work)
                                       : init_plain(request, work);
}
