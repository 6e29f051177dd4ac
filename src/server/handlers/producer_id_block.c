#include "server/handlers/producer_id_block.h"

#include "server/api_table.h"

static void block_came(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct producer_id_block *block = container_of(op, struct producer_id_block, op);
    struct request *request = block->request;
    block->asking = false;
    block->failed = op->result != 0 || block->answer.error_code != 0;
    if (!block->failed)
        producer_ids_refill(&request_broker(request)->producer_ids, block->answer.producer_id_start,
                            block->answer.producer_id_len);
    request->row->handle(request);
}

enum outcome producer_id_block_ask(struct request *request, struct producer_id_block *block)
{
    struct broker *broker = request_broker(request);
    allocate_producer_ids_request_init(&block->ask);
    block->ask.broker_id = broker->static_config->settings.node_id;
    block->ask.broker_epoch = broker->broker_epoch;
    block->request = request;
    block->asking = true;
    block->op = (struct controller_op){.api_key = API_ALLOCATE_PRODUCER_IDS,
                                       .request = &block->ask,
                                       .response = &block->answer,
                                       .arena = &request->arena,
                                       .done = block_came};
    controller_submit(broker->controller, &request->home->loop, &block->op);
    return PARKED;
}
