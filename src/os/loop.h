/* An event loop: sockets, timers, a mailbox and a run queue, turned by one thread.
 *
 * All calls but loop_post, loop_post_later and loop_stop belong to the loop's own thread. One turn:
 * wait for readiness (not longer than the next timer; not at all when work is queued), dispatch
 * ready sockets, then mailbox, then run queue, then due timers. An idle loop does not wake.
 *
 * Ready sockets are read before timers fire. When the turn runs more than one second later than its
 * earliest timer asked for, as after a paused process or a turn that took too long, `gap_ns` tells
 * how much, so that liveness deadlines can be moved by it before they fire. */
#ifndef JACKDAW_OS_LOOP_H
#define JACKDAW_OS_LOOP_H

#include <stdatomic.h>

#include "base/heap.h"
#include "base/wakes.h"
#include "os/env.h"

struct loop;

/* Something to run once on a loop, embedded in its owner. */
struct loop_task {
    struct loop_task *next; /* the loop's, while queued */
    void (*run)(struct loop *loop, struct loop_task *task);
};

struct loop_timer {
    struct heap_node node; /* the loop's, while armed; node.index == HEAP_NONE otherwise */
    int64_t due_ns;
    /* The owner's: it may fire so much later, so that the loop need not wake for it alone. A loop
     * that sleeps waits for the first due_ns + slack_ns, and then fires whatever is due. */
    int64_t slack_ns;
    void (*fire)(struct loop *loop, struct loop_timer *timer);
};

/* A socket that the loop watches, embedded in its owner. `ready` may remove this and any other
 * watch and free its owner: a removed watch is not called again, not even in the turn under way. */
struct loop_sock {
    int sock;
    unsigned events; /* what is asked for now */
    void (*ready)(struct loop *loop, struct loop_sock *watch, unsigned events);
};

/* Ready sockets taken from the poller per turn. */
#define LOOP_BATCH_MAX 128

struct loop {
    struct env *env;
    int index; /* 0 … loops-1 of the node */
    struct env_poller *poller;
    struct env_thread *thread;
    struct heap timers;
    _Atomic(struct loop_task *) mailbox; /* newest first */
    struct loop_task *run_first;         /* run queue, oldest first */
    struct loop_task **run_last;
    _Atomic bool sleeping; /* the poller is (about to be) waiting; see loop.c */
    _Atomic bool stopping;
    int64_t now_ns; /* read once per turn */
    int64_t gap_ns; /* how late this turn is, above one second, else 0 */
    /* Hooks of the owner, may be NULL: epoch online and offline, publishing. */
    void (*turn_begin)(struct loop *loop); /* right after the wait, now_ns is set */
    void (*turn_end)(struct loop *loop);   /* just before the loop may sleep */
    void *owner;
    int batch_at; /* the events being dispatched: batch[batch_at … batch_count) are to come */
    int batch_count;
    struct env_poll_event batch[LOOP_BATCH_MAX];
};

/* Prepare, without starting a thread. 0 or -errno. */
int loop_init(struct loop *loop, struct env *env, int index);

/* Start turning it on a thread (an actor in the simulator). */
int loop_start(struct loop *loop, const char *name);

/* Ask the loop to end after the turn under way (any thread); loop_join waits for it. Tasks still
 * queued are not run. loop_close frees what init took, when nobody can post any more: join all
 * loops that know each other before closing one. It waits for the env's jobs, whose threads may be
 * about to leave loop_post; timers are disarmed. */
void loop_stop(struct loop *loop);
void loop_join(struct loop *loop);
void loop_close(struct loop *loop);

/* One turn by the caller's thread: used by tests and by loop_start. False when stopped. */
bool loop_turn(struct loop *loop);

/* Hand a task to the loop from any thread. A task may be in one mailbox or run queue at a time; it
 * is in none once its `run` was called. Tasks of one poster run in the order posted. */
void loop_post(struct loop *loop, struct loop_task *task);

/* The same under a lock: if the loop has to be woken, that is left to wakes_run. */
void loop_post_later(struct loop *loop, struct loop_task *task, struct wakes *wakes);

/* Own thread: queue for this or the next turn, after the current handler. A task that defers itself
 * runs once per turn. */
void loop_defer(struct loop *loop, struct loop_task *task);

void loop_timer_init(struct loop_timer *timer,
                     void (*fire)(struct loop *loop, struct loop_timer *timer));
/* Arm, or move when armed. Without slack, a due time that has passed fires in this or the next
 * turn. What slack there is takes effect here. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer); /* unarmed: nothing */

/* watch->sock and watch->ready are the caller's to set. Remove before the socket is closed. */
int loop_sock_add(struct loop *loop, struct loop_sock *watch, unsigned events);
int loop_sock_change(struct loop *loop, struct loop_sock *watch, unsigned events);
void loop_sock_remove(struct loop *loop, struct loop_sock *watch);

#endif
