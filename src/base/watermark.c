/* Invariants, all under mark->lock:
 *
 * 1. Every linked waiter has offset > value: advance takes out the prefix that it reaches.
 * 2. The list is ascending by offset; equal offsets keep the order in which they came, so the
 *    eldest fires first.
 * 3. `value` only rises between two resets.
 *
 * `value` and `epoch` are written under the lock alone and read by anyone. */
#include "base/watermark.h"

#include "base/must.h"

void watermark_init(struct watermark *mark, int64_t value, int32_t epoch)
{
    must(pthread_mutex_init(&mark->lock, NULL) == 0);
    list_init(&mark->waiters);
    atomic_init(&mark->value, value);
    atomic_init(&mark->epoch, epoch);
}

void watermark_close(struct watermark *mark)
{
    must(list_empty(&mark->waiters));
    pthread_mutex_destroy(&mark->lock);
}

void waiter_init(struct waiter *waiter, void (*fire)(struct waiter *waiter, struct wakes *wakes))
{
    list_init(&waiter->link);
    waiter->offset = 0;
    waiter->failed = false;
    waiter->fire = fire;
}

void watermark_advance(struct watermark *mark, int64_t value)
{
    struct wakes wakes;
    wakes_init(&wakes);
    pthread_mutex_lock(&mark->lock);
    if (value > atomic_load_explicit(&mark->value, memory_order_relaxed)) {
        atomic_store_explicit(&mark->value, value, memory_order_release);
        while (!list_empty(&mark->waiters)) {
            struct waiter *waiter = list_first(&mark->waiters, struct waiter, link);
            if (waiter->offset > value)
                break;
            list_remove(&waiter->link);
            waiter->fire(waiter, &wakes);
        }
    }
    pthread_mutex_unlock(&mark->lock);
    wakes_run(&wakes);
}

/* Almost every waiter asks for more than its elders, so the place is looked for from the end. */
static void watermark_link(struct watermark *mark, struct waiter *waiter)
{
    struct list *after = mark->waiters.prev;
    while (after != &mark->waiters &&
           container_of(after, struct waiter, link)->offset > waiter->offset)
        after = after->prev;
    list_push_front(after, &waiter->link);
}

bool watermark_wait(struct watermark *mark, struct waiter *waiter, int64_t offset, int32_t epoch)
{
    bool linked = false;
    pthread_mutex_lock(&mark->lock);
    must(list_empty(&waiter->link));
    waiter->offset = offset;
    int32_t current = atomic_load_explicit(&mark->epoch, memory_order_relaxed);
    waiter->failed = epoch < 0 || current != epoch;
    if (!waiter->failed && atomic_load_explicit(&mark->value, memory_order_relaxed) < offset) {
        watermark_link(mark, waiter);
        linked = true;
    }
    pthread_mutex_unlock(&mark->lock);
    return linked;
}

void watermark_cancel(struct watermark *mark, struct waiter *waiter)
{
    pthread_mutex_lock(&mark->lock);
    if (!list_empty(&waiter->link))
        list_remove(&waiter->link);
    pthread_mutex_unlock(&mark->lock);
}

/* Under the lock. */
static void watermark_fire_all(struct watermark *mark, bool failed, struct wakes *wakes)
{
    struct list *link;
    while ((link = list_pop(&mark->waiters))) {
        struct waiter *waiter = container_of(link, struct waiter, link);
        waiter->failed = failed;
        waiter->fire(waiter, wakes);
    }
}

void watermark_stir(struct watermark *mark)
{
    struct wakes wakes;
    wakes_init(&wakes);
    pthread_mutex_lock(&mark->lock);
    watermark_fire_all(mark, false, &wakes);
    pthread_mutex_unlock(&mark->lock);
    wakes_run(&wakes);
}

void watermark_reset(struct watermark *mark, int64_t value, int32_t epoch)
{
    struct wakes wakes;
    wakes_init(&wakes);
    pthread_mutex_lock(&mark->lock);
    watermark_fire_all(mark, true, &wakes);
    atomic_store_explicit(&mark->epoch, epoch, memory_order_release);
    atomic_store_explicit(&mark->value, value, memory_order_release);
    pthread_mutex_unlock(&mark->lock);
    wakes_run(&wakes);
}
