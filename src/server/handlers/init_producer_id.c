/* InitProducerId for idempotent producers. A transactional id needs its coordinator, which this
 * broker does not have yet: refused. */
#include "base/errors.h"
#include "server/api_table.h"

struct producer_id_work {
    struct controller_op op;
    struct allocate_producer_ids_request request;
    struct allocate_producer_ids_response response;
    struct request *asker;
    bool answered;
};

static enum outcome respond(struct request *request, int err, int64_t producer_id)
{
    struct init_producer_id_response response;
    init_producer_id_response_init(&response);
    response.error_code = error_to_wire(err);
    response.producer_id = err ? -1 : producer_id;
    response.producer_epoch = err ? -1 : 0;
    return request_answer(request, &response);
}

static void block_done(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct producer_id_work *work = container_of(op, struct producer_id_work, op);
    if (op->result == 0 && work->response.error_code == 0)
        producer_ids_refill(&request_broker(work->asker)->producer_ids,
                            work->response.producer_id_start, work->response.producer_id_len);
    work->answered = true;
    handle_init_producer_id(work->asker);
}

static enum outcome block_ask(struct request *request, struct producer_id_work *work)
{
    struct broker *broker = request_broker(request);
    allocate_producer_ids_request_init(&work->request);
    work->request.broker_id = broker->static_config->settings.node_id;
    work->request.broker_epoch = broker->broker_epoch;
    work->asker = request;
    work->answered = false;
    work->op = (struct controller_op){.api_key = API_ALLOCATE_PRODUCER_IDS,
                                      .request = &work->request,
                                      .response = &work->response,
                                      .arena = &request->arena,
                                      .done = block_done};
    controller_submit(broker->controller, &request->home->loop, &work->op);
    return PARKED;
}

enum outcome handle_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    struct producer_id_work *work = request->work;
    if ((body->producer_id == -1) != (body->producer_epoch == -1)) /* both or neither (KIP-360) */
        return respond(request, KAFKA_INVALID_REQUEST, -1);
    if (body->transactional_id.data)
        return respond(request, KAFKA_UNSUPPORTED_VERSION, -1);
    if (work && !work->answered)
        return PARKED;
    int64_t producer_id;
    if (producer_ids_take(&request_broker(request)->producer_ids, &producer_id))
        return respond(request, 0, producer_id);
    if (work) /* the block is gone already, or there was none */
        return work->op.result == 0 && work->response.error_code == 0
                   ? block_ask(request, work)
                   : respond(request, KAFKA_COORDINATOR_LOAD_IN_PROGRESS, -1);
    request->work = work = arena_alloc(&request->arena, sizeof *work);
    return work ? block_ask(request, work) : request_refuse(request, "out of memory");
}
