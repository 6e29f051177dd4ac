/* What the parts of the coordinator runtime share. */
#ifndef JACKDAW_COORD_PRIVATE_H
#define JACKDAW_COORD_PRIVATE_H

#include "coord/coord.h"
#include "partition/partition_set.h"

/* Timers that one shard runs in one turn of its loop. */
#define SHARD_TIMERS_PER_TURN 64
#define SHARD_RETRY_NS INT64_C(1000000000) /* after a failed load or timer */
#define SHARD_RETRY_MAX_NS (INT64_C(300) * 1000000000)

struct shard_table {
    struct epoch_entry retired;
    struct uuid topic_id;
    int32_t count;
    _Atomic(struct coord_shard *) slots[];
};

struct coord {
    struct coord_params params;
    struct loop **loops;
    _Atomic(struct shard_table *) table; /* written by the broker's home loop */
    _Atomic int32_t count;               /* partitions of the topic */
    _Atomic int64_t shards;              /* that are not freed yet */
    bool stopped;                        /* the broker's home loop */
    pthread_mutex_t load_lock;
    struct list load_queue; /* load_lock */
    int32_t loading;        /* load_lock */
};

enum shard_state {
    SHARD_LOADING,
    SHARD_ACTIVE,
    SHARD_FAILED, /* no memory for its state, or the log cannot be read: tried again */
    SHARD_DEAD,   /* unloaded */
};

/* What a shard's home loop is asked to do. */
enum shard_ask {
    ASK_POSTED = 1, /* the task is in the mailbox */
    ASK_TIMERS = 2,
    ASK_EFFECTS = 4,
    ASK_IMAGE = 8,
    ASK_UNLOAD = 16,
    ASK_LOAD = 32,      /* get in line for loading */
    ASK_LOAD_NOW = 64,  /* its turn has come */
    ASK_LOADED = 128,   /* the log is replayed */
    ASK_TIMER_OP = 256, /* the timers' op was woken */
};

struct load_result {
    int error;
    int64_t records, bytes, took_ns;
    int64_t skipped; /* records without a key, control records of no interest */
};

struct coord_shard {
    _Atomic int refs;
    struct epoch_entry retired; /* the table's reference */
    struct coord *coord;
    struct partition *partition; /* a reference */
    struct loop *home;
    int32_t index;
    int32_t leader_epoch;
    _Atomic int state; /* enum shard_state */
    _Atomic bool deposed;

    /* Under the lock. */
    struct parklock lock;
    void *fold_state;     /* NULL: not made yet */
    struct wakes *wakes;  /* of who holds the lock and runs callbacks */
    int64_t applied;      /* end offset */
    struct heap timers;   /* of coord_timer */
    struct list effects;  /* by offset */
    bool effects_waiting; /* the waiters below may be linked */
    struct waiter effect_waiter, effect_sync_waiter;
    struct coord_timer *timer_now; /* whose op is under way */

    /* Any thread. */
    _Atomic int64_t timers_due_ns; /* of the first timer; INT64_MAX: none */
    _Atomic int64_t gap_ns;        /* by which liveness timers are still to be moved */
    _Atomic unsigned asked;        /* enum shard_ask */

    /* Home loop. */
    struct loop_task tend;
    struct park_waiter tend_park, load_park;
    unsigned todo;    /* asked for and not done */
    bool tend_queued; /* in line for the lock */
    struct loop_timer timer;
    bool timer_op_runs;
    bool job_runs;
    int64_t retry_ns;
    struct coord_op timer_op;
    struct pool_job job; /* a load, or freeing the state */
    struct list load_link;
    struct load_result loaded;
    void *loaded_state; /* what the job made, or is to free */
};

/* shard.c */
int shard_create(struct coord *coord, struct partition *partition, int32_t leader_epoch,
                 struct coord_shard **ret_shard);
/* Out of the table: unload and give back the table's reference. Broker's home loop. */
void shard_depose(struct coord_shard *shard);
void shard_ask(struct coord_shard *shard, unsigned what, struct wakes *wakes);
/* Lock held: callbacks may run from here on; afterwards what became due is released, the lock
 * dropped and loops woken. */
void shard_enter(struct coord_shard *shard, struct wakes *wakes);
void shard_leave(struct coord_shard *shard);
/* Lock held, entered: the state, made now if need be; NULL when memory runs out. */
void *shard_state(struct coord_shard *shard, const struct coord_turn *turn);
/* Lock held: memory ran out in apply. The state is dropped and loaded again. */
void shard_fail(struct coord_shard *shard);
bool shard_serves(const struct coord_shard *shard);

/* timers.c: lock held. */
void shard_timers_clear(struct coord_shard *shard);
/* Home loop. */
void shard_timers_run(struct coord_shard *shard);
void shard_timer_op_run(struct coord_shard *shard);

/* op.c */
enum commit_look { COMMIT_REACHED, COMMIT_WAITING, COMMIT_LOST };
/* Whether everything below `offset` is committed, or one of the waiters was linked. */
enum commit_look commit_wait(struct partition *partition, int32_t leader_epoch, int64_t offset,
                             struct waiter *high, struct waiter *synced);
void commit_cancel(struct partition *partition, struct waiter *high, struct waiter *synced);

/* load.c: on the pool; replays the shard's log into loaded_state. */
void load_run(struct pool_job *job);

#endif
