/* The coordinators of this broker: made when its logs are there, following the published image one
 * step behind the partitions, unloaded when it stops. Home loop, but for coordinators_gap. */
#ifndef JACKDAW_SERVER_COORDINATORS_H
#define JACKDAW_SERVER_COORDINATORS_H

#include "coord/coord.h"

struct broker;

struct coordinators {
    struct coord *groups;       /* NULL: the broker runs none */
    struct coord *transactions; /* the same */
    /* What they are, set before the broker starts; NULL: none. */
    const struct coord_fold *group_fold, *transaction_fold;
    void *group_context, *transaction_context;
    bool following;
    bool waiting; /* a look was put off until the partitions have followed */
    struct waiter applied;
    struct loop_task follow;
    _Atomic bool posted;
};

/* After the partitions were loaded. 0 or -ENOMEM. */
int coordinators_start(struct broker *broker);
/* An image was published, and the partition set was told: follow when it has applied it. */
void coordinators_image(struct broker *broker);
/* Unload all of them; parked requests are answered NOT_COORDINATOR. */
void coordinators_stop(struct broker *broker);
bool coordinators_quiet(const struct broker *broker);
/* After the loops were joined. */
void coordinators_destroy(struct broker *broker);

/* What ops of this loop see of the world; own thread. */
void coordinators_turn(struct broker *broker, struct loop *loop, struct coord_turn *ret_turn);

/* From a loop's turn_begin: it is late. */
void coordinators_gap(struct broker *broker, struct loop *loop);

#endif
