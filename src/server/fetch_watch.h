/* The partitions that a fetch reads, and which of them have something to tell.
 *
 * A watch belongs to a fetch session for its whole life, or to one fetch without a session. Each of
 * its partitions has one waiter, which stays on the partition's mark from fetch to fetch; what it
 * costs to look and to wait follows what has changed, not how many partitions there are.
 *
 * A partition is *idle* (its waiter is on the mark and there is nothing to tell) or *active*. A
 * fired waiter puts it into `fired` and wakes the request that is fetching, if one is; the next
 * look takes it from there. Idle partitions are looked at by nobody.
 *
 * Threads. Waiters fire on any thread; `fired` and `request` have a lock for that, which is taken
 * under a mark's and never the other way round. All else belongs to the request that fetches:
 * between two fetches to nobody, and a session is handed on under the lock of the sessions.
 *
 * Lifetimes. A watch holds no reference to partitions: a deleted one goes although idle sessions
 * know it. `partition` is good while the waiter waits, because a partition fails its waiters before
 * it is retired to the broker's epochs, and in the turn in which it was found. So whoever removes
 * partitions from a watch is an epoch reader online, or no other thread runs. */
#ifndef JACKDAW_SERVER_FETCH_WATCH_H
#define JACKDAW_SERVER_FETCH_WATCH_H

#include "partition/partition.h"

struct request;
struct fetch_watch;

struct fetch_partition {
    struct fetch_watch *watch;
    struct fetch_partition *next; /* in its hash chain, of a session */
    struct list link;             /* in watch->active, in the order to serve */
    struct list todo;             /* in watch->todo */
    struct list fired;            /* in watch->fired; watch->lock */
    struct waiter waiter;
    struct watermark *mark;      /* that the waiter was put on */
    _Atomic bool waiting;        /* it is there and has not fired */
    struct partition *partition; /* see above; NULL when there is none */

    /* Who it is and what the client asks for. */
    struct uuid topic_id; /* zero: the client names topics and this one is unknown */
    struct str topic;     /* data NULL when the client uses ids */
    int32_t index;
    int32_t max_bytes;
    int64_t fetch_offset;
    int32_t current_leader_epoch;
    int32_t last_fetched_epoch;

    /* What the last look found. */
    int error;
    bool unknown;            /* not in the image: the client will learn so from the metadata */
    bool news;               /* other than records: it was told something else */
    int32_t diverging_epoch; /* -1: it does not diverge */
    int64_t diverging_end;
    int64_t available; /* bytes that may be returned */

    /* What later fetches of a session go by. */
    struct log_position hint;    /* where the last read ended */
    int64_t told_high_watermark; /* in the last answer; -1: nothing yet */
    int64_t told_log_start;
};

struct fetch_watch {
    pthread_mutex_t lock;
    struct list fired;       /* lock */
    struct request *request; /* lock; woken by what fires, or NULL */
    struct list active;
    struct list todo; /* active ones to look at before parking */
    bool lasting;     /* a session's: it keeps hints of its own */
    bool exact;       /* bytes are to be counted, not only whether there are any */
    enum isolation isolation;
    /* Sums over all partitions, of what the last looks found. */
    int32_t count;
    int32_t unknown;
    int32_t urgent; /* errors and divergence: to be told at once */
    int64_t bytes;
};

void fetch_watch_init(struct fetch_watch *watch, bool lasting);
/* No partition is left in it. */
void fetch_watch_close(struct fetch_watch *watch);

/* Take in a partition whose fields of the second group are set and the others zero. It is active,
 * behind the others. */
void fetch_watch_add(struct fetch_watch *watch, struct fetch_partition *partition);
/* Afterwards its waiter is in no list and does not fire. */
void fetch_watch_remove(struct fetch_partition *partition);
/* Its waiter is in no list and does not fire; it is still in the watch. */
void fetch_watch_cancel(struct fetch_partition *partition);
/* The client asks for something else: to be looked at. */
void fetch_watch_changed(struct fetch_partition *partition);

/* A fetch begins: from now on what fires wakes the request, and all active partitions are to be
 * looked at. With another isolation than before, every partition must have been `changed`. */
void fetch_watch_begin(struct fetch_watch *watch, struct request *request, enum isolation isolation,
                       bool exact);
/* Look at what has fired and what is to be looked at. Partitions without anything to tell go idle.
 */
void fetch_watch_look(struct fetch_watch *watch);
/* Put the rest of what was looked at on its marks too, and look again: nothing that comes between
 * is missed. Afterwards the request may park. */
void fetch_watch_wait(struct fetch_watch *watch);
/* The wait is over: nothing wakes the request any more. */
void fetch_watch_end(struct fetch_watch *watch);

#endif
