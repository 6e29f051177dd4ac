/* A value of one leadership term that only rises, and those who wait for it.
 *
 * One primitive for every wait of the broker: log end, high watermark, last stable offset, applied
 * metadata offset. Any thread may call anything here.
 *
 * Rules (ARCHITECTURE.md, "Watermarks and waking"): a waiter carries the offset it needs and the
 * leader epoch it waits under. Under the mark's lock a fired waiter is unlinked and its `fire` is
 * called: that may only queue something (loop_post_later), never look at the world. So after
 * watermark_cancel returned, `fire` is neither running nor going to run. Sleeping loops are woken
 * after the lock is dropped. A change of term fails all
 * waiters first; only then may the value go down. */
#ifndef JACKDAW_BASE_WATERMARK_H
#define JACKDAW_BASE_WATERMARK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/wakes.h"

struct waiter {
    struct list link; /* self-linked when not waiting */
    int64_t offset;   /* fires when the value is >= this */
    bool failed;      /* fired because the term ended; read by the owner after it was fired */
    /* Under the mark's lock: queue the owner's "look again" with loop_post_later(…, wakes). */
    void (*fire)(struct waiter *waiter, struct wakes *wakes);
};

struct watermark {
    pthread_mutex_t lock;
    struct list waiters; /* by offset, ascending */
    _Atomic int64_t value;
    _Atomic int32_t epoch; /* leader epoch of the term; -1: no term, waits fail at once */
};

void watermark_init(struct watermark *mark, int64_t value, int32_t epoch);
void watermark_close(struct watermark *mark); /* nobody may wait any more */

void waiter_init(struct waiter *waiter, void (*fire)(struct waiter *waiter, struct wakes *wakes));

static inline int64_t watermark_get(const struct watermark *mark)
{
    return atomic_load_explicit(&mark->value, memory_order_acquire);
}

/* Raise the value and fire every waiter it reaches. Lower or equal values are ignored. */
void watermark_advance(struct watermark *mark, int64_t value);

/* Wait until value >= offset. Returns true when linked; false when the value is already there or
 * the epoch is not `epoch` (then waiter->failed is set): nothing was linked, evaluate again. */
bool watermark_wait(struct watermark *mark, struct waiter *waiter, int64_t offset, int32_t epoch);

/* After this the waiter is in no list and will not be fired. Waiters that do not wait are accepted;
 * one that was fired before keeps `failed` as it is. */
void watermark_cancel(struct watermark *mark, struct waiter *waiter);

/* Fire every waiter although the value stays: something else that they look at has changed. They
 * have not failed, and those that find nothing wait anew. */
void watermark_stir(struct watermark *mark);

/* End the term: fire every waiter as failed, then take the new value, which may be lower, and
 * epoch. */
void watermark_reset(struct watermark *mark, int64_t value, int32_t epoch);

#endif
