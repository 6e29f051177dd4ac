/* EndTxn: commit or abort. Answered when the decision is committed; the markers follow. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/coordinated.h"
#include "txn/txn.h"
#include "server/handlers/producer_id_block.h"

struct end_work {
    struct request *request;
    struct txn_end_op end;
    struct producer_id_block block;
    bool running;
};

static enum outcome answer(struct request *request, int err, const struct end_work *work)
{
    struct end_txn_response response;
    end_txn_response_init(&response);
    if (err == KAFKA_PRODUCER_FENCED && request->version < 2) /* not known then */
        err = KAFKA_INVALID_PRODUCER_EPOCH;
    response.error_code = error_to_wire(err);
    if (err == 0 && request->version >= 5) {
        response.producer_id = work->end.next_producer_id;
        response.producer_epoch = work->end.next_producer_epoch;
    }
    return request_answer(request, &response);
}

static void end_wakes(struct coord_op *op, struct wakes *wakes)
{
    request_wake_later(container_of(op, struct end_work, end.op)->request, wakes);
}

static int end_begin(struct request *request, struct end_work *work)
{
    const struct end_txn_request *body = request->body;
    if (body->transactional_id.size == 0)
        return KAFKA_INVALID_REQUEST;
    work->end = (struct txn_end_op){
        .transactional_id = body->transactional_id,
        .producer_id = body->producer_id,
        .producer_epoch = body->producer_epoch,
        .client_version = request->version >= 5 ? TXN_VERSION_EPOCH_BUMP : TXN_VERSION_PLAIN,
        .commit = body->committed,
    };
    txn_end_op(&work->end);
    work->end.op.wake = end_wakes;
    return coordinated_find(request_broker(request)->coordinators.transactions,
                            body->transactional_id, &work->end.op);
}

enum outcome handle_end_txn(struct request *request)
{
    struct end_work *work = request->work;
    int err = 0;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work)
            return request_refuse(request, "out of memory");
        work->request = request;
    }
    if (work->block.asking)
        return PARKED;
    if (work->block.failed)
        return answer(request, KAFKA_COORDINATOR_NOT_AVAILABLE, work);
    if (!work->running && (err = end_begin(request, work)) != 0)
        return answer(request, err, work);
    work->running = true;
    if (!coordinated_run(request, &work->end.op, &err))
        return PARKED;
    work->running = false;
    /* The epochs of its producer id are used up, and no other id is at hand. */
    return work->end.needs_id ? producer_id_block_ask(request, &work->block)
                              : answer(request, err, work);
}
