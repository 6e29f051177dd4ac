/* The table of shards, and how it follows the internal topic.
 *
 * The table and the deposing of shards belong to the broker's home loop. Any loop finds a shard
 * without a lock: tables and the table's references to shards are retired to the broker's epoch
 * domain. */
#include "coord/coord_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"

static struct shard_table *table_create(struct uuid topic_id, int32_t count)
{
    struct shard_table *table = calloc(1, sizeof *table + (size_t)count * sizeof table->slots[0]);
    if (table) {
        table->topic_id = topic_id;
        table->count = count;
    }
    return table;
}

static void table_retired(struct epoch_entry *entry)
{
    free(container_of(entry, struct shard_table, retired));
}

static struct shard_table *table_now(const struct coord *coord)
{
    return atomic_load_explicit(&coord->table, memory_order_acquire);
}

static struct coord_shard *table_slot(const struct shard_table *table, int32_t index)
{
    return atomic_load_explicit(&table->slots[index], memory_order_acquire);
}

int coord_create(const struct coord_params *params, struct coord **ret_coord)
{
    must(params->loop_count > 0);
    struct coord *coord = calloc(1, sizeof *coord);
    struct loop **loops = calloc((size_t)params->loop_count, sizeof(struct loop *));
    struct shard_table *table = table_create((struct uuid){{0}}, 0);
    if (!coord || !loops || !table) {
        free(coord);
        free(loops);
        free(table);
        return -ENOMEM;
    }
    coord->params = *params;
    memcpy(loops, params->loops, (size_t)params->loop_count * sizeof(struct loop *));
    coord->loops = loops;
    coord->params.loops = NULL;
    atomic_init(&coord->table, table);
    must(pthread_mutex_init(&coord->load_lock, NULL) == 0);
    list_init(&coord->load_queue);
    *ret_coord = coord;
    return 0;
}

void coord_destroy(struct coord *coord)
{
    if (!coord)
        return;
    must(coord_quiet(coord) && list_empty(&coord->load_queue));
    pthread_mutex_destroy(&coord->load_lock);
    free(atomic_load(&coord->table));
    free(coord->loops);
    free(coord);
}

static void slot_clear(struct shard_table *table, int32_t index)
{
    struct coord_shard *shard = table_slot(table, index);
    if (!shard)
        return;
    atomic_store_explicit(&table->slots[index], NULL, memory_order_release);
    shard_depose(shard);
}

static void table_clear(struct shard_table *table)
{
    for (int32_t i = 0; i < table->count; i++)
        slot_clear(table, i);
}

/* A table for this topic with as many slots. The shards of another topic are dropped: it was
 * deleted and made anew. */
static struct shard_table *table_for(struct coord *coord, struct uuid topic_id, int32_t count)
{
    struct shard_table *table = table_now(coord);
    bool same = uuid_equal(table->topic_id, topic_id);
    if (same && table->count >= count)
        return table;
    struct shard_table *larger = table_create(topic_id, count);
    must(larger);
    if (same) {
        for (int32_t i = 0; i < table->count; i++)
            atomic_store_explicit(&larger->slots[i], table_slot(table, i), memory_order_relaxed);
    }
    atomic_store_explicit(&coord->table, larger, memory_order_release);
    if (!same)
        table_clear(table);
    epoch_retire(coord->params.epochs, &table->retired, table_retired);
    return larger;
}

static void follow_one(struct coord *coord, struct shard_table *table, int32_t index,
                       struct wakes *wakes, bool image_changed)
{
    struct partition *partition = partition_find(coord->params.partitions, table->topic_id, index);
    bool lead = partition && partition_check_leader(partition, -1) == 0;
    int32_t epoch =
        lead ? atomic_load_explicit(&partition->leader_epoch, memory_order_acquire) : -1;
    struct coord_shard *shard = table_slot(table, index);
    if (shard && (!lead || shard->partition != partition || shard->leader_epoch != epoch)) {
        slot_clear(table, index);
        shard = NULL;
    }
    if (shard) {
        if (image_changed && coord->params.fold->image_changed)
            shard_ask(shard, ASK_IMAGE, wakes);
        return;
    }
    if (!lead || shard_create(coord, partition, epoch, &shard) != 0)
        return; /* no memory: the next image tries again */
    atomic_store_explicit(&table->slots[index], shard, memory_order_release);
}

void coord_follow(struct coord *coord, const struct topic_image *topic, bool image_changed)
{
    if (coord->stopped)
        return;
    int32_t count = topic ? topic_partition_count(topic) : 0;
    struct uuid topic_id = topic ? topic->id : (struct uuid){{0}};
    bool same = uuid_equal(table_now(coord)->topic_id, topic_id);
    struct shard_table *table = table_for(coord, topic_id, count);
    struct wakes wakes;
    wakes_init(&wakes);
    for (int32_t i = 0; i < count; i++)
        follow_one(coord, table, i, &wakes, image_changed);
    wakes_run(&wakes);
    /* Where an id belongs depends on the count: were it to grow, what is known of the ids would be
     * looked for where it is not. */
    if (!same || coord_shard_count(coord) == 0)
        atomic_store(&coord->count, count);
}

void coord_stop(struct coord *coord)
{
    coord->stopped = true;
    table_clear(table_now(coord));
}

bool coord_quiet(const struct coord *coord)
{
    return atomic_load(&coord->shards) == 0;
}

void coord_gap(struct coord *coord, struct loop *loop)
{
    struct shard_table *table = table_now(coord);
    for (int32_t i = 0; i < table->count; i++) {
        struct coord_shard *shard = table_slot(table, i);
        if (shard && shard->home == loop)
            atomic_fetch_add(&shard->gap_ns, loop->gap_ns);
    }
}

int32_t coord_shard_count(const struct coord *coord)
{
    return atomic_load(&coord->count);
}

int32_t coord_partition_for(const struct coord *coord, struct str id)
{
    int32_t count = coord_shard_count(coord);
    return count > 0 ? coord_hash_partition(id, count) : -1;
}

int coord_shard_find(struct coord *coord, int32_t partition, struct coord_shard **ret_shard)
{
    if (coord_shard_count(coord) == 0)
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    const struct shard_table *table = table_now(coord);
    struct coord_shard *shard =
        partition >= 0 && partition < table->count ? table_slot(table, partition) : NULL;
    if (!shard)
        return KAFKA_NOT_COORDINATOR;
    switch ((enum shard_state)atomic_load_explicit(&shard->state, memory_order_acquire)) {
    case SHARD_ACTIVE:
        *ret_shard = coord_shard_ref(shard);
        return 0;
    case SHARD_LOADING:
        return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    default:
        return KAFKA_NOT_COORDINATOR;
    }
}
