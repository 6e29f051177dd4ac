/* Who allocated what.
 *
 * A crash ends a node's code in the middle of anything, so nobody can free what it held. The linker
 * sends every call of malloc and its kin in a test program to the __wrap_ functions here (--wrap;
 * see meson.build). What is allocated while a coroutine of a node runs is put into a table and into
 * the node's list, and freed with the node. Other memory passes through untouched, and so does all
 * memory of threads that run no simulation.
 *
 * Libraries' own allocations do not come through here: contexts of compressors and the like outlive
 * a crash and are lost, as they are few.
 *
 * Mutexes are wrapped as well: in the simulator all threads are one, so a coroutine that finds a
 * mutex taken lets others go on until it is free. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim_internal.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
void *__real_reallocarray(void *data, size_t count, size_t size);
void __real_free(void *data);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ret_data, size_t alignment, size_t size);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);
void *__wrap_reallocarray(void *data, size_t count, size_t size);
void __wrap_free(void *data);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret_data, size_t alignment, size_t size);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

struct sim_allocation {
    struct list link;            /* node->allocations */
    struct sim_allocation *next; /* in its bucket */
    struct sim_node *node;
    void *data;
    size_t size;
};

/* The wrapped functions are called without any argument of ours, hence thread-local. */
static _Thread_local struct sim *thread_sim;

void sim_memory_attach(struct sim *sim)
{
    must(!thread_sim);
    sim->allocation_buckets = 1024;
    sim->allocations = sim_alloc(sim->allocation_buckets * sizeof *sim->allocations);
    thread_sim = sim;
}

void sim_memory_detach(struct sim *sim)
{
    must(thread_sim == sim);
    thread_sim = NULL;
    sim_free(sim->allocations);
}

struct sim_node *sim_memory_charge(struct sim *sim, struct sim_node *node)
{
    struct sim_node *before = sim->payer;
    sim->payer = node;
    return before;
}

void *sim_alloc(size_t size)
{
    void *data = __real_calloc(1, size ? size : 1);
    must(data);
    return data;
}

void *sim_resize(void *data, size_t size)
{
    data = __real_realloc(data, size ? size : 1);
    must(data);
    return data;
}

void sim_free(void *data)
{
    __real_free(data);
}

char *sim_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(sim_alloc(size), text, size);
}

static struct sim_allocation **bucket_of(const struct sim *sim, const void *data)
{
    uint64_t hash = ((uint64_t)(uintptr_t)data >> 4) * 0x9e3779b97f4a7c15u;
    return &sim->allocations[hash >> 20 & (sim->allocation_buckets - 1)];
}

static void grow_table(struct sim *sim)
{
    struct sim_allocation **old = sim->allocations;
    size_t old_buckets = sim->allocation_buckets;
    sim->allocation_buckets *= 4;
    sim->allocations = sim_alloc(sim->allocation_buckets * sizeof *sim->allocations);
    for (size_t i = 0; i < old_buckets; i++) {
        struct sim_allocation *at = old[i];
        while (at) {
            struct sim_allocation *next = at->next;
            struct sim_allocation **bucket = bucket_of(sim, at->data);
            at->next = *bucket;
            *bucket = at;
            at = next;
        }
    }
    sim_free(old);
}

static void track(struct sim *sim, struct sim_node *node, void *data, size_t size)
{
    if (!data || !node)
        return;
    if (sim->allocation_count >= 2 * sim->allocation_buckets)
        grow_table(sim);
    struct sim_allocation *allocation = sim_alloc(sizeof *allocation);
    struct sim_allocation **bucket = bucket_of(sim, data);
    allocation->node = node;
    allocation->data = data;
    allocation->size = size;
    allocation->next = *bucket;
    *bucket = allocation;
    list_push_back(&node->allocations, &allocation->link);
    node->allocated_bytes += size;
    sim->allocation_count++;
}

/* Forget the block; tells whose it was, NULL if nobody's. */
static struct sim_node *untrack(struct sim *sim, const void *data)
{
    if (!data || sim->allocation_count == 0)
        return NULL;
    struct sim_allocation **at = bucket_of(sim, data);
    while (*at && (*at)->data != data)
        at = &(*at)->next;
    struct sim_allocation *allocation = *at;
    if (!allocation)
        return NULL;
    struct sim_node *node = allocation->node;
    *at = allocation->next;
    list_remove(&allocation->link);
    node->allocated_bytes -= allocation->size;
    sim->allocation_count--;
    sim_free(allocation);
    return node;
}

void sim_memory_drop(struct sim_node *node)
{
    while (!list_empty(&node->allocations)) {
        void *data = list_first(&node->allocations, struct sim_allocation, link)->data;
        untrack(node->sim, data);
        __real_free(data);
    }
    must(node->allocated_bytes == 0);
}

void *__wrap_malloc(size_t size)
{
    void *data = __real_malloc(size);
    if (thread_sim)
        track(thread_sim, thread_sim->payer, data, size);
    return data;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *data = __real_calloc(count, size);
    if (thread_sim)
        track(thread_sim, thread_sim->payer, data, count * size);
    return data;
}

/* A block stays with who allocated it first. The old address is forgotten before the call, because
 * afterwards it may not even be compared. */
void *__wrap_realloc(void *data, size_t size)
{
    if (!thread_sim)
        return __real_realloc(data, size);
    struct sim_node *node = data ? untrack(thread_sim, data) : thread_sim->payer;
    void *grown = __real_realloc(data, size);
    must(grown || size == 0); /* real memory is not what is simulated */
    track(thread_sim, node, grown, size);
    return grown;
}

void *__wrap_reallocarray(void *data, size_t count, size_t size)
{
    size_t bytes;
    if (!thread_sim)
        return __real_reallocarray(data, count, size);
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return __wrap_realloc(data, bytes);
}

void __wrap_free(void *data)
{
    if (thread_sim)
        untrack(thread_sim, data);
    __real_free(data);
}

char *__wrap_strdup(const char *text)
{
    char *copy = __real_strdup(text);
    if (thread_sim)
        track(thread_sim, thread_sim->payer, copy, strlen(text) + 1);
    return copy;
}

char *__wrap_strndup(const char *text, size_t size)
{
    char *copy = __real_strndup(text, size);
    if (thread_sim)
        track(thread_sim, thread_sim->payer, copy, size + 1);
    return copy;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    void *data = __real_aligned_alloc(alignment, size);
    if (thread_sim)
        track(thread_sim, thread_sim->payer, data, size);
    return data;
}

int __wrap_posix_memalign(void **ret_data, size_t alignment, size_t size)
{
    int err = __real_posix_memalign(ret_data, alignment, size);
    if (thread_sim && err == 0)
        track(thread_sim, thread_sim->payer, *ret_data, size);
    return err;
}

/* A holder that never lets go shows as this many vain tries. */
#define MUTEX_TRIES_MAX 1000000

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    struct sim *sim = thread_sim;
    if (!sim)
        return __real_pthread_mutex_lock(mutex);
    for (int tries = 0;; tries++) {
        int err = pthread_mutex_trylock(mutex);
        if (err != EBUSY)
            return err;
        must(tries < MUTEX_TRIES_MAX);
        if (sim->current)
            sim_co_wait(sim->current, sim_time(sim) + 1000, false);
        else
            must(sim_step(sim));
    }
}
