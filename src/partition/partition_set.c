/* The table is open addressing over atomic pointers: any loop reads it without a lock, only the
 * home loop (or the loading thread, before loops run) writes it. A removed partition leaves its
 * slot's pointer REMOVED, so that probing goes on behind it. What readers may still hold (old
 * tables, removed partitions, replaced settings) is retired, not freed. */
#include "partition/set_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"

#define TABLE_FIRST 64
#define REMOVED ((struct partition *)1)

struct partition_table {
    uint32_t mask;
    uint32_t used; /* removed ones included; the writer's */
    _Atomic(struct partition *) slots[];
};

/* Something that a reader of this turn may still look at. */
struct retired {
    struct list link;
    void *thing;
    void (*drop)(void *thing);
};

void partition_set_retire(struct partition_set *set, void *thing, void (*drop)(void *thing))
{
    struct retired *retired = thing ? malloc(sizeof *retired) : NULL;
    if (!retired)
        return;
    *retired = (struct retired){.thing = thing, .drop = drop};
    pthread_mutex_lock(&set->retired_lock);
    list_push_back(&set->retired, &retired->link);
    pthread_mutex_unlock(&set->retired_lock);
}

static uint32_t slot_hash(struct uuid topic_id, int32_t index)
{
    uint64_t h = load_be64(topic_id.bytes) ^ load_be64(topic_id.bytes + 8);
    h = (h ^ (uint32_t)index) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32);
}

static struct partition_table *table_create(uint32_t size)
{
    struct partition_table *table = calloc(1, sizeof *table + size * sizeof table->slots[0]);
    if (table)
        table->mask = size - 1;
    return table;
}

struct partition *partition_find(const struct partition_set *set, struct uuid topic_id,
                                 int32_t index)
{
    const struct partition_table *table = atomic_load_explicit(&set->table, memory_order_acquire);
    for (uint32_t i = slot_hash(topic_id, index);; i++) {
        struct partition *at =
            atomic_load_explicit(&table->slots[i & table->mask], memory_order_acquire);
        if (!at)
            return NULL;
        if (at != REMOVED && at->index == index && uuid_equal(at->topic_id, topic_id))
            return at;
    }
}

void partition_set_each(const struct partition_set *set,
                        bool (*each)(void *context, struct partition *partition), void *context)
{
    const struct partition_table *table = atomic_load_explicit(&set->table, memory_order_acquire);
    for (uint32_t i = 0; i <= table->mask; i++) {
        struct partition *at = atomic_load_explicit(&table->slots[i], memory_order_acquire);
        if (at && at != REMOVED && !each(context, at))
            return;
    }
}

static void table_put(struct partition_table *table, struct partition *partition)
{
    for (uint32_t i = slot_hash(partition->topic_id, partition->index);; i++) {
        _Atomic(struct partition *) *slot = &table->slots[i & table->mask];
        if (atomic_load_explicit(slot, memory_order_relaxed))
            continue;
        atomic_store_explicit(slot, partition, memory_order_release);
        table->used++;
        return;
    }
}

int set_insert(struct partition_set *set, struct partition *partition)
{
    struct partition_table *table = atomic_load_explicit(&set->table, memory_order_relaxed);
    if ((table->used + 1) * 2 > table->mask) {
        struct partition_table *larger = table_create((table->mask + 1) * 2);
        if (!larger)
            return -ENOMEM;
        for (uint32_t i = 0; i <= table->mask; i++) {
            struct partition *at = atomic_load_explicit(&table->slots[i], memory_order_relaxed);
            if (at && at != REMOVED)
                table_put(larger, at);
        }
        atomic_store_explicit(&set->table, larger, memory_order_release);
        partition_set_retire(set, table, free);
        table = larger;
    }
    table_put(table, partition);
    return 0;
}

void set_remove(struct partition_set *set, const struct partition *partition)
{
    struct partition_table *table = atomic_load_explicit(&set->table, memory_order_relaxed);
    for (uint32_t i = 0; i <= table->mask; i++) {
        if (atomic_load_explicit(&table->slots[i], memory_order_relaxed) != partition)
            continue;
        atomic_store_explicit(&table->slots[i], REMOVED, memory_order_release);
        return;
    }
}

static struct list *retired_pop(struct partition_set *set)
{
    pthread_mutex_lock(&set->retired_lock);
    struct list *first = list_pop(&set->retired);
    pthread_mutex_unlock(&set->retired_lock);
    return first;
}

int partition_set_init(struct partition_set *set, struct env *env, struct loop *home,
                       const struct say *say, struct file_cache *files, int32_t node_id,
                       struct partition_dir *dirs, int32_t dir_count,
                       const struct broker_settings *settings)
{
    struct partition_table *table = table_create(TABLE_FIRST);
    if (!table)
        return -ENOMEM;
    *set = (struct partition_set){
        .env = env,
        .home = home,
        .say = say,
        .files = files,
        .node_id = node_id,
        .dirs = dirs,
        .dir_count = dir_count,
        .producer_expiration_ms = settings->producer_id_expiration_ms,
        .checkpoint_interval_ns = settings->log_flush_offset_checkpoint_interval_ms * NS_PER_MS,
        .retention_interval_ns = settings->log_retention_check_interval_ms * NS_PER_MS,
        .retention_first_ns = settings->log_initial_task_delay_ms * NS_PER_MS,
    };
    atomic_init(&set->table, table);
    list_init(&set->retired);
    pthread_mutex_init(&set->retired_lock, NULL);
    watermark_init(&set->applied, -1, 0);
    set_tend_init(set);
    return 0;
}

void set_destroy(struct partition_set *set)
{
    struct partition_table *table = atomic_load_explicit(&set->table, memory_order_relaxed);
    for (uint32_t i = 0; i <= table->mask; i++) {
        struct partition *at = atomic_load_explicit(&table->slots[i], memory_order_relaxed);
        if (at && at != REMOVED)
            partition_unref(at);
    }
    free(table);
    for (struct list *link; (link = retired_pop(set));) {
        struct retired *retired = container_of(link, struct retired, link);
        retired->drop(retired->thing);
        free(retired);
    }
    watermark_close(&set->applied);
    pthread_mutex_destroy(&set->retired_lock);
}
