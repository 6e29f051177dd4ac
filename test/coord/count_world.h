/* A node whose coordinators count, and clients that use them: on every loop, all at once, giving up
 * now and then, while timers fire, effects are released and the leadership changes.
 *
 * What is checked, by must(): what was acknowledged is there after every load, what is there was
 * sent, records come in order, a reader never sees less than was acknowledged before it asked, and
 * no effect is released before its commit. Runs on threads and in the simulation. */
#ifndef JACKDAW_TEST_COORD_COUNT_WORLD_H
#define JACKDAW_TEST_COORD_COUNT_WORLD_H

#include <stdatomic.h>

#include "os/env.h"

enum { COUNT_SHARDS = 3, COUNT_LOOPS = 2, COUNT_CLIENTS = 24 };

/* What outlives the node. */
struct count_history {
    _Atomic int64_t acked[COUNT_SHARDS], sent[COUNT_SHARDS];
    _Atomic int64_t loads, effects, given_up;
    int32_t leader_epoch;
};

struct count_plan {
    const char *dir;
    int64_t flush_messages; /* 1: what is acknowledged survives the machine */
    int ops;                /* of each client */
    int flips;              /* changes of the leadership meanwhile */
    struct count_history *history;
    /* Called on a loop's thread when all clients are done and everything is unloaded. */
    void (*ended)(void *context);
    void *context;
};

struct count_world;

/* BLOCKING: opens the logs. */
struct count_world *count_world_create(struct env *env, const struct count_plan *plan);
void count_world_start(struct count_world *world);
/* After `ended`. */
void count_world_destroy(struct count_world *world);

#endif
