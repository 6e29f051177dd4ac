/* Requests that a coordinator answers. */
#ifndef JACKDAW_SERVER_COORDINATED_H
#define JACKDAW_SERVER_COORDINATED_H

#include "base/errors.h"
#include "coord/coord.h"
#include "server/request.h"

/* The shard for this group or transactional id, referenced by the op. 0, NOT_COORDINATOR,
 * COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS. */
static inline int coordinated_find(struct coord *coord, struct str id, struct coord_op *op)
{
    int32_t partition = coord_partition_for(coord, id);
    return partition < 0 ? KAFKA_COORDINATOR_NOT_AVAILABLE
                         : coord_shard_find(coord, partition, &op->shard);
}

/* Run the op of a request as far as it goes. True: it is over, with *ret_error. A request whose
 * connection is gone gives up where that is possible: nobody hears of it. */
static inline bool coordinated_run(struct request *request, struct coord_op *op, int *ret_error)
{
    struct coord_turn turn;
    coordinators_turn(request_broker(request), &request->home->loop, &turn);
    if (coord_op_run(op, &turn, ret_error))
        return true;
    if (!request->timed_out || !coord_op_give_up(op))
        return false;
    *ret_error = KAFKA_REQUEST_TIMED_OUT;
    return true;
}

#endif
