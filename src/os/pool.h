/* Blocking work away from the loops: `run` on a pool thread, then `done` on the loop it came from.
 *
 * Embedded in its owner, which keeps it alive until `done` was called. There is no cancel: the
 * owner marks itself and finds out in `done`. */
#ifndef JACKDAW_OS_POOL_H
#define JACKDAW_OS_POOL_H

#include "os/loop.h"

struct pool_job {
    struct env_job job;
    struct loop_task finished;
    struct loop *loop;
    void (*run)(struct pool_job *job);                     /* pool thread; may block */
    void (*done)(struct loop *loop, struct pool_job *job); /* loop thread */
};

/* Own thread of `loop` only. */
void pool_submit(struct loop *loop, struct pool_job *job);

#endif
