/* The next block of producer ids for a request that found the last one used up. */
#ifndef JACKDAW_SERVER_PRODUCER_ID_BLOCK_H
#define JACKDAW_SERVER_PRODUCER_ID_BLOCK_H

#include "server/request.h"

/* In the request's work; zero to begin with. */
struct producer_id_block {
    struct request *request;
    struct controller_op op;
    struct allocate_producer_ids_request ask;
    struct allocate_producer_ids_response answer;
    bool asking; /* the handler is called again when it is over */
    bool failed; /* none is to be had now */
};

/* Always PARKED. */
enum outcome producer_id_block_ask(struct request *request, struct producer_id_block *block);

#endif
