/* An event loop: sockets, timers, a mailbox and a run queue, turned by one thread.
 *
 * All calls but loop_post and loop_wake belong to the loop's own thread. One turn: wait for
 * readiness (not longer than the next timer; not at all when work is queued), dispatch ready
 * sockets, then mailbox, then run queue, then due timers. Ready sockets are read before timers
 * fire, and when more than one second went by between two turns, `gap_ns` tells how much, so that
 * liveness deadlines can be moved by it. */
#ifndef JACKDAW_OS_LOOP_H
#define JACKDAW_OS_LOOP_H

#include <stdatomic.h>

#include "base/heap.h"
#include "base/list.h"
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
    void (*fire)(struct loop *loop, struct loop_timer *timer);
};

/* A socket that the loop watches, embedded in its owner. */
struct loop_sock {
    int sock;
    unsigned events; /* what is asked for now */
    void (*ready)(struct loop *loop, struct loop_sock *watch, unsigned events);
};

struct loop {
    struct env *env;
    int index; /* 0 … loops-1 of the node */
    struct env_poller *poller;
    struct env_thread *thread;
    struct heap timers;
    _Atomic(struct loop_task *) mailbox; /* newest first */
    struct loop_task *run_first;         /* run queue, oldest first */
    struct loop_task **run_last;
    _Atomic bool sleeping; /* the poller is (about to be) waiting */
    _Atomic bool stopping;
    int64_t now_ns; /* read once per turn */
    int64_t gap_ns; /* time since the last turn above one second, else 0 */
    void (*turn_begin)(
        struct loop *loop);              /* hooks of the owner: epoch online/offline, publishing */
    void (*turn_end)(struct loop *loop); /* just before the loop may sleep */
    void *owner;
};

/* Prepare, without starting a thread. 0 or -errno. */
int loop_init(struct loop *loop, struct env *env, int index);

/* Start turning it on a thread (an actor in the simulator). */
int loop_start(struct loop *loop, const char *name);

/* Ask the loop to end after the turn under way (any thread); loop_join waits for it. */
void loop_stop(struct loop *loop);
void loop_join(struct loop *loop);
void loop_close(struct loop *loop);

/* One turn by the caller's thread: used by tests and by loop_start. False when stopped. */
bool loop_turn(struct loop *loop);

/* Hand a task to the loop from any thread. A task may be in one mailbox at a time. */
void loop_post(struct loop *loop, struct loop_task *task);

/* Own thread: queue for this or the next turn, after the current handler. */
void loop_defer(struct loop *loop, struct loop_task *task);

void loop_timer_init(struct loop_timer *timer,
                     void (*fire)(struct loop *loop, struct loop_timer *timer));
/* Arm, or move when armed. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

int loop_sock_add(struct loop *loop, struct loop_sock *watch, unsigned events);
int loop_sock_change(struct loop *loop, struct loop_sock *watch, unsigned events);
void loop_sock_remove(struct loop *loop, struct loop_sock *watch);

#endif
