/* A lock on which nobody sleeps: who finds it taken parks and is handed the lock in FIFO order.
 *
 * For locks that are held across page-cache writes (ARCHITECTURE.md, "Locks"). Any thread. */
#ifndef JACKDAW_BASE_PARKLOCK_H
#define JACKDAW_BASE_PARKLOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "base/list.h"
#include "base/wakes.h"

/* A place in the line. Zero but for `fire` to begin with. */
struct park_waiter {
    struct list link;
    enum { PARK_IDLE, PARK_QUEUED, PARK_GRANTED } state; /* under the parklock's mutex */
    /* Called with the lock handed over to this waiter, by the releasing thread and under the
     * parklock's own mutex: may only queue the owner's "look again" (loop_post_later). */
    void (*fire)(struct park_waiter *waiter, struct wakes *wakes);
};

struct parklock {
    pthread_mutex_t mutex; /* held for a few instructions */
    bool taken;
    struct list waiters;
};

void parklock_init(struct parklock *lock);
void parklock_close(struct parklock *lock);

/* True: the caller holds it now. Nothing is queued. */
bool parklock_try(struct parklock *lock);

/* True: the caller holds it now, taken by this call or handed over since an earlier one. False: the
 * waiter is in the line and `fire` will be called. Looking again is harmless, for whatever reason
 * it happens: the answer turns true only when `fire` has returned, so the owner may go on, release
 * and free the waiter at once. */
bool parklock_take(struct parklock *lock, struct park_waiter *waiter);

/* Leave the line: afterwards `fire` is neither running nor going to run, and a lock that was handed
 * over already has been released. A waiter that is in no line is accepted. */
void parklock_leave(struct parklock *lock, struct park_waiter *waiter);

/* Hand over to the first waiter, or free the lock. */
void parklock_release(struct parklock *lock);

#endif
