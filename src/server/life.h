/* What life.c and life_stop.c share: the steps of a node's life, one after the other on the home
 * loop. */
#ifndef JACKDAW_SERVER_LIFE_H
#define JACKDAW_SERVER_LIFE_H

#include "server/broker.h"

#define NS_PER_MS INT64_C(1000000)
#define LIFE_RETRY_NS (10 * NS_PER_MS) /* until the next heartbeat */

enum life_stage {
    LIFE_NEW,
    LIFE_DIRECTORIES,
    LIFE_METADATA,
    LIFE_REGISTERING,
    LIFE_LOGS,
    LIFE_SERVING,
    LIFE_STOPPING,
    LIFE_STOPPED
};

struct broker_life {
    struct broker *broker;
    enum life_stage stage;
    struct loop_task begin, stop, dir_failed;
    struct pool_job job;
    struct controller_op op;
    struct arena arena;
    struct loop_timer timer;
    struct partition_assignment *assignments; /* in the arena */
    int32_t assignment_count;
    int job_result;
    bool stop_asked, job_running, op_running, timer_armed;
    _Atomic bool stop_posted, dir_failed_posted;
    int64_t grace_end_ns;
    int32_t leave_tries;
    int64_t stop_ns, drained_ns, left_ns, closing_ns; /* when each part of the stop was over */
};

/* NULL without memory. */
struct broker_life *life_create(struct broker *broker);
void life_destroy(struct broker_life *life);

/* ---- of the home loop ---- */

/* Stop, now or as soon as what is under way allows it, and end with this result. */
void life_fail(struct broker_life *life, int err);
/* Idempotent: runs again when what it waited for is over. */
void life_stop(struct broker_life *life);

/* A pool job as the next step. */
void life_job(struct broker_life *life, void (*run)(struct pool_job *job),
              void (*done)(struct loop *loop, struct pool_job *job));
/* A heartbeat to the controller as the next step: `done` looks at the response. */
void life_heartbeat(struct broker_life *life, bool want_shut_down,
                    void (*done)(struct loop *loop, struct controller_op *op));
void life_wait(struct broker_life *life, int64_t for_ns,
               void (*done)(struct loop *loop, struct loop_timer *timer));

#endif
