/* The table is open addressing over atomic pointers: any loop reads it without a lock, only the
 * home loop (or the loading thread, before loops run) writes it. A removed partition leaves its
 * slot's pointer REMOVED, so that probing goes on behind it. What readers may still hold (old
 * tables, removed partitions, replaced settings) is retired to the broker's epoch domain. */
#include "partition/set_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"

#define TABLE_FIRST 64
#define TURN_THREADS_MAX 128
#define REMOVED ((struct partition *)1)

struct partition_table {
    uint32_t mask;
    uint32_t used; /* removed ones included; the writer's */
    struct epoch_entry retired;
    _Atomic(struct partition *) slots[];
};

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

static void table_free(struct epoch_entry *entry)
{
    free(container_of(entry, struct partition_table, retired));
}

int set_insert(struct partition_set *set, struct partition *partition)
{
    struct partition_table *table = atomic_load_explicit(&set->table, memory_order_relaxed);
    must(!partition_find(set, partition->topic_id, partition->index));
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
        epoch_retire(set->epochs, &table->retired, table_free);
        table = larger;
    }
    table_put(table, partition);
    return 0;
}

void set_remove(struct partition_set *set, const struct partition *partition)
{
    struct partition_table *table = atomic_load_explicit(&set->table, memory_order_relaxed);
    for (uint32_t i = slot_hash(partition->topic_id, partition->index);; i++) {
        _Atomic(struct partition *) *slot = &table->slots[i & table->mask];
        struct partition *at = atomic_load_explicit(slot, memory_order_relaxed);
        must(at); /* it is in the table */
        if (at != partition)
            continue;
        atomic_store_explicit(slot, REMOVED, memory_order_release);
        return;
    }
}

bool partition_set_quiet(const struct partition_set *set)
{
    return !set->steps && !set->removals && !set->tending && !set->cleaner.looking &&
           set->cleaner.running == 0 && atomic_load(&set->flush_count) == 0 &&
           atomic_load(&set->deleted_count) == 0;
}

int partition_set_init(struct partition_set *set, struct env *env, struct loop *home,
                       struct epoch_domain *epochs, const struct say *say, struct file_cache *files,
                       int32_t node_id, struct partition_dir *dirs, int32_t dir_count,
                       const struct broker_settings *settings)
{
    struct partition_table *table = table_create(TABLE_FIRST);
    if (!table)
        return -ENOMEM;
    *set = (struct partition_set){
        .env = env,
        .home = home,
        .epochs = epochs,
        .say = say,
        .files = files,
        .node_id = node_id,
        .dirs = dirs,
        .dir_count = dir_count,
        .threads_per_dir = settings->num_recovery_threads_per_data_dir,
        .producer_expiration_ms = settings->producer_id_expiration_ms,
        .flush_interval_ns = settings->log_flush_scheduler_interval_ms < INT64_MAX / NS_PER_MS
                                 ? settings->log_flush_scheduler_interval_ms * NS_PER_MS
                                 : 0,
        .checkpoint_interval_ns = settings->log_flush_offset_checkpoint_interval_ms * NS_PER_MS,
        .retention_interval_ns = settings->log_retention_check_interval_ms * NS_PER_MS,
        .retention_first_ns = settings->log_initial_task_delay_ms * NS_PER_MS,
        .producers_interval_ns = settings->producer_id_expiration_check_interval_ms * NS_PER_MS,
    };
    atomic_init(&set->table, table);
    atomic_init(&set->disk_slow_ns, settings->disk_slow_ms * NS_PER_MS);
    watermark_init(&set->applied, -1, 0);
    list_init(&set->placed);
    for (int32_t d = 0; d < dir_count; d++)
        pthread_mutex_init(&dirs[d].checkpoint_lock, NULL);
    set_tend_init(set);
    set_clean_init(set, settings);
    return 0;
}

static bool settings_have_changed(void *context, struct partition *partition)
{
    (void)context;
    atomic_store_explicit(&partition->settings_changed, true, memory_order_release);
    return true;
}

void partition_set_configure(struct partition_set *set, const struct broker_settings *settings)
{
    set_clean_configure(set, settings);
    int64_t expiration_ms = settings->producer_id_expiration_ms;
    if (atomic_exchange(&set->producer_expiration_ms, expiration_ms) != expiration_ms)
        partition_set_each(set, settings_have_changed, NULL);
}

void set_take_turns(struct partition_set *set, const char *name, int64_t threads, int64_t turns,
                    bool (*turn)(void *context), void *context)
{
    const struct env_ops *ops = set->env->ops;
    struct env_thread *started[TURN_THREADS_MAX];
    int32_t count = 0;
    if (threads > turns)
        threads = turns;
    for (; count < threads - 1 && count < TURN_THREADS_MAX; count++) {
        started[count] = ops->thread_start(set->env, name, NULL, turn, context);
        if (!started[count])
            break;
    }
    while (turn(context))
        ;
    for (int32_t i = 0; i < count; i++)
        ops->thread_join(started[i]);
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
    watermark_close(&set->applied);
}
