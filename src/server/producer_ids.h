/* Producer ids in blocks from the controller, handed out one by one. Any thread. */
#ifndef JACKDAW_SERVER_PRODUCER_IDS_H
#define JACKDAW_SERVER_PRODUCER_IDS_H

#include <pthread.h>

#include "controller/controller.h"

struct producer_ids {
    pthread_mutex_t lock;
    int64_t next, end;
};

void producer_ids_init(struct producer_ids *ids);
void producer_ids_close(struct producer_ids *ids);

/* False when the block is used up: ask the controller and refill. */
bool producer_ids_take(struct producer_ids *ids, int64_t *ret_id);
void producer_ids_refill(struct producer_ids *ids, int64_t first, int32_t count);

#endif
