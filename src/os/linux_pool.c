/* Threads for blocking jobs.
 *
 * A thread is started when a job finds no idle one and fewer than threads_max run. Threads that
 * wait longer than LINUX_POOL_IDLE_MS end, but for the last, which waits without a timeout. An
 * ended thread is joined when its place is wanted again or the pool closes. */
#include <time.h>

#include "base/must.h"
#include "os/linux_internal.h"

int linux_pool_init(struct linux_pool *pool, int threads_max)
{
    pthread_condattr_t attributes;
    if (threads_max <= 0)
        threads_max = LINUX_POOL_THREADS_DEFAULT;
    if (threads_max > LINUX_POOL_THREADS_MAX)
        threads_max = LINUX_POOL_THREADS_MAX;
    pool->threads_max = threads_max;
    pool->last = &pool->first;
    must(pthread_mutex_init(&pool->lock, NULL) == 0);
    must(pthread_condattr_init(&attributes) == 0);
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(&pool->work, &attributes) == 0);
    must(pthread_cond_init(&pool->rest, NULL) == 0);
    pthread_condattr_destroy(&attributes);
    return 0;
}

/* Under the lock. False when the thread has nothing to live for. */
static bool pool_wait(struct linux_pool *pool)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LINUX_POOL_IDLE_MS / 1000;
    bool in_time = true;
    pool->idle++;
    while (!pool->first && !pool->closing) {
        if (pool->threads == 1)
            pthread_cond_wait(&pool->work, &pool->lock);
        else if (in_time)
            in_time = pthread_cond_timedwait(&pool->work, &pool->lock, &until) != ETIMEDOUT;
        else
            break;
    }
    pool->idle--;
    return pool->first;
}

static void *pool_thread(void *context)
{
    struct linux_worker *worker = context;
    struct linux_pool *pool = worker->pool;
    pthread_setname_np(pthread_self(), "pool");
    pthread_mutex_lock(&pool->lock);
    while (pool->first || pool_wait(pool)) {
        struct env_job *job = pool->first;
        pool->first = job->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->queued--;
        pool->running++;
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        job->finish(job);
        pthread_mutex_lock(&pool->lock);
        pool->running--;
        if (pool->running == 0 && !pool->first)
            pthread_cond_broadcast(&pool->rest);
    }
    pool->threads--;
    worker->state = WORKER_ENDED;
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Under the lock. An ended worker has dropped the lock for good, so the join is short. */
static void pool_start_thread(struct linux_pool *pool)
{
    struct linux_worker *worker = pool->workers;
    while (worker->state == WORKER_RUNNING)
        worker++;
    must(worker < pool->workers + pool->threads_max);
    if (worker->state == WORKER_ENDED)
        pthread_join(worker->thread, NULL);
    worker->pool = pool;
    worker->state = WORKER_NONE;
    if (linux_start_thread(&worker->thread, pool_thread, worker) == 0) {
        worker->state = WORKER_RUNNING;
        pool->threads++;
    }
    must(pool->threads > 0); /* without any thread jobs would never end */
}

void linux_pool_submit(struct linux_pool *pool, struct env_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    must(!pool->closing);
    *pool->last = job;
    pool->last = &job->next;
    pool->queued++;
    if (pool->queued > pool->idle && pool->threads < pool->threads_max)
        pool_start_thread(pool);
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

void linux_pool_wait(struct linux_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->running > 0 || pool->first)
        pthread_cond_wait(&pool->rest, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void linux_pool_close(struct linux_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    for (int i = 0; i < pool->threads_max; i++) {
        bool started = pool->workers[i].state != WORKER_NONE;
        pthread_mutex_unlock(&pool->lock);
        if (started)
            pthread_join(pool->workers[i].thread, NULL);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    must(!pool->first);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->rest);
    pthread_mutex_destroy(&pool->lock);
}
