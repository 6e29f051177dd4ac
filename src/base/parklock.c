#include "base/parklock.h"

void parklock_init(struct parklock *lock)
{
    pthread_mutex_init(&lock->mutex, NULL);
    lock->taken = false;
    list_init(&lock->waiters);
}

void parklock_close(struct parklock *lock)
{
    must(list_empty(&lock->waiters));
    pthread_mutex_destroy(&lock->mutex);
}

bool parklock_try(struct parklock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    bool got = !lock->taken;
    lock->taken = true;
    pthread_mutex_unlock(&lock->mutex);
    return got;
}

bool parklock_take(struct parklock *lock, struct park_waiter *waiter)
{
    pthread_mutex_lock(&lock->mutex);
    bool got = waiter->state == PARK_GRANTED || (waiter->state == PARK_IDLE && !lock->taken);
    if (got) {
        waiter->state = PARK_IDLE;
        lock->taken = true;
    } else if (waiter->state == PARK_IDLE) {
        waiter->state = PARK_QUEUED;
        list_push_back(&lock->waiters, &waiter->link);
    }
    pthread_mutex_unlock(&lock->mutex);
    return got;
}

void parklock_release(struct parklock *lock)
{
    struct wakes wakes;
    wakes_init(&wakes);
    pthread_mutex_lock(&lock->mutex);
    must(lock->taken);
    struct list *first = list_pop(&lock->waiters);
    if (first) {
        struct park_waiter *waiter = container_of(first, struct park_waiter, link);
        waiter->state = PARK_GRANTED;
        waiter->fire(waiter, &wakes);
    } else {
        lock->taken = false;
    }
    pthread_mutex_unlock(&lock->mutex);
    wakes_run(&wakes);
}

void parklock_leave(struct parklock *lock, struct park_waiter *waiter)
{
    pthread_mutex_lock(&lock->mutex);
    bool granted = waiter->state == PARK_GRANTED;
    if (waiter->state == PARK_QUEUED)
        list_remove(&waiter->link);
    waiter->state = PARK_IDLE;
    pthread_mutex_unlock(&lock->mutex);
    if (granted)
        parklock_release(lock);
}
