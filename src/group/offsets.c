/* Offsets are sorted arrays of their group: groups have few topics, topics few partitions, and a
 * million groups must not cost a hash table each. Names of topics are kept once per shard, with
 * their uses, so that a deleted topic finds its offsets.
 *
 * Invariants:
 * 1. A group_partition is committed or has pending offsets; a group_topic has partitions; a topic
 *    name has uses; a transaction has offsets. What has none is freed at once.
 * 2. group.pending_count and the shard's counts are the lengths of what they count. */
#include "group/offsets.h"

#include <stdlib.h>

/* ---- sorted arrays ---- */

static int32_t topic_place(const struct group *group, struct str name, bool *ret_found)
{
    int32_t low = 0, high = group->topic_count;
    *ret_found = false;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = str_compare(group->topics[middle]->name->name, name);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int32_t partition_place(const struct group_topic *topic, int32_t partition, bool *ret_found)
{
    int32_t low = 0, high = topic->count;
    *ret_found = false;
    if (high > 0 && topic->partitions[high - 1].partition < partition)
        return high; /* in ascending order, as commits mostly come */
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (topic->partitions[middle].partition == partition) {
            *ret_found = true;
            return middle;
        }
        if (topic->partitions[middle].partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Make room for one more item at `place`. */
static void *array_insert(void *items, size_t size, int32_t *count, int32_t *capacity,
                          int32_t place)
{
    if (*count == *capacity) {
        must(*capacity < INT32_MAX / 4);
        *capacity += *capacity / 2 + 1;
        items = realloc(items, (size_t)*capacity * size);
        must(items);
    }
    char *at = (char *)items + (size_t)place * size;
    memmove(at + size, at, (size_t)(*count - place) * size);
    (*count)++;
    return items;
}

static void array_remove(void *items, size_t size, int32_t *count, int32_t place)
{
    char *at = (char *)items + (size_t)place * size;
    (*count)--;
    memmove(at, at + size, (size_t)(*count - place) * size);
}

/* ---- topics and partitions ---- */

struct group_topic *offsets_topic(const struct group *group, struct str name)
{
    bool found;
    int32_t place = topic_place(group, name, &found);
    return found ? group->topics[place] : NULL;
}

struct group_partition *offsets_partition(const struct group_topic *topic, int32_t partition)
{
    bool found;
    int32_t place = partition_place(topic, partition, &found);
    return found ? &topic->partitions[place] : NULL;
}

static struct group_topic_name *name_get(struct group_shard *shard, struct str name)
{
    struct group_topic_name **found = map_find_str(&shard->topics, name);
    if (found)
        return *found;
    struct group_topic_name *made = group_alloc(sizeof *made + (size_t)name.size);
    list_init(&made->uses);
    if (name.size > 0)
        memcpy(made + 1, name.data, (size_t)name.size);
    made->name = (struct str){(const char *)(made + 1), name.size};
    struct group_topic_name **place;
    must(map_put_str(&shard->topics, made->name, &place) == 1);
    *place = made;
    return made;
}

static struct group_topic *topic_get(struct group_shard *shard, struct group *group,
                                     struct str name)
{
    bool found;
    int32_t place = topic_place(group, name, &found);
    if (found)
        return group->topics[place];
    struct group_topic *topic = group_alloc(sizeof *topic);
    topic->group = group;
    topic->name = name_get(shard, name);
    list_push_back(&topic->name->uses, &topic->use);
    group->topics = array_insert(group->topics, sizeof(struct group_topic *), &group->topic_count,
                                 &group->topic_capacity, place);
    group->topics[place] = topic;
    return topic;
}

static void topic_drop(struct group_shard *shard, struct group_topic *topic)
{
    struct group *group = topic->group;
    bool found;
    int32_t place = topic_place(group, topic->name->name, &found);
    must(found && topic->count == 0);
    array_remove(group->topics, sizeof(struct group_topic *), &group->topic_count, place);
    if (group->topic_count == 0) {
        free(group->topics);
        group->topics = NULL;
        group->topic_capacity = 0;
    }
    list_remove(&topic->use);
    if (list_empty(&topic->name->uses)) {
        map_remove_str(&shard->topics, topic->name->name, NULL);
        free(topic->name);
    }
    free(topic->partitions);
    free(topic);
}

static struct group_partition *partition_get(struct group_topic *topic, int32_t partition)
{
    bool found;
    int32_t place = partition_place(topic, partition, &found);
    if (!found) {
        topic->partitions = array_insert(topic->partitions, sizeof *topic->partitions,
                                         &topic->count, &topic->capacity, place);
        topic->partitions[place] = (struct group_partition){.partition = partition};
    }
    return &topic->partitions[place];
}

/* Take the partition away, and the topic, if nothing is left of them. */
static void partition_tidy(struct group_shard *shard, struct group_topic *topic,
                           struct group_partition *partition)
{
    if (partition->committed || partition->pending)
        return;
    array_remove(topic->partitions, sizeof *topic->partitions, &topic->count,
                 (int32_t)(partition - topic->partitions));
    if (topic->count == 0)
        topic_drop(shard, topic);
}

/* ---- values ---- */

static void value_set(struct group_offset *place, const struct group_offset *value,
                      struct str metadata)
{
    *place = *value;
    place->metadata = NULL;
    place->metadata_size = metadata.size;
    if (metadata.size > 0) {
        place->metadata = group_alloc((size_t)metadata.size);
        memcpy(place->metadata, metadata.data, (size_t)metadata.size);
    }
}

static void value_drop(struct group_offset *value)
{
    free(value->metadata);
    value->metadata = NULL;
    value->metadata_size = 0;
}

static void uncommit(struct group_shard *shard, struct group_partition *partition)
{
    if (!partition->committed)
        return;
    value_drop(&partition->value);
    partition->committed = false;
    shard->counts.offsets--;
}

/* ---- transactions ---- */

static struct group_transaction *transaction_get(struct group_shard *shard, int64_t producer_id)
{
    struct group_transaction **place;
    int added = map_put(&shard->transactions, (uint64_t)producer_id, &place);
    must(added >= 0);
    if (added == 1) {
        *place = group_alloc(sizeof **place);
        (*place)->producer_id = producer_id;
        list_init(&(*place)->offsets);
    }
    return *place;
}

/* Take it out of its partition and its transaction, and free it; the transaction goes with its last
 * offset. */
static void pending_drop(struct group_shard *shard, struct group_partition *partition,
                         struct group_pending *pending)
{
    struct group_transaction *transaction = pending->transaction;
    struct group_pending **at = &partition->pending;
    while (*at != pending)
        at = &(*at)->next;
    *at = pending->next;
    list_remove(&pending->link);
    pending->topic->group->pending_count--;
    shard->counts.pending--;
    value_drop(&pending->value);
    free(pending);
    if (list_empty(&transaction->offsets)) {
        map_remove(&shard->transactions, (uint64_t)transaction->producer_id, NULL);
        free(transaction);
    }
}

static void pending_put(struct group_shard *shard, struct group_topic *topic,
                        struct group_partition *partition, const struct group_offset *value,
                        struct str metadata, int64_t producer_id)
{
    struct group_pending *pending = partition->pending;
    while (pending && pending->transaction->producer_id != producer_id)
        pending = pending->next;
    if (pending) { /* committed again within the transaction */
        value_drop(&pending->value);
    } else {
        pending = group_alloc(sizeof *pending);
        pending->transaction = transaction_get(shard, producer_id);
        pending->topic = topic;
        pending->partition = partition->partition;
        pending->next = partition->pending;
        partition->pending = pending;
        list_push_back(&pending->transaction->offsets, &pending->link);
        topic->group->pending_count++;
        shard->counts.pending++;
    }
    value_set(&pending->value, value, metadata);
}

/* ---- what apply calls ---- */

void offsets_put(struct group_shard *shard, struct group *group, struct str topic_name,
                 int32_t partition_index, const struct group_offset *value, struct str metadata,
                 int64_t producer_id)
{
    struct group_topic *topic = topic_get(shard, group, topic_name);
    struct group_partition *partition = partition_get(topic, partition_index);
    if (producer_id >= 0) {
        pending_put(shard, topic, partition, value, metadata, producer_id);
        return;
    }
    if (partition->committed)
        value_drop(&partition->value);
    else
        shard->counts.offsets++;
    partition->committed = true;
    value_set(&partition->value, value, metadata);
}

void offsets_remove(struct group_shard *shard, struct group *group, struct str topic_name,
                    int32_t partition_index)
{
    struct group_topic *topic = offsets_topic(group, topic_name);
    struct group_partition *partition = topic ? offsets_partition(topic, partition_index) : NULL;
    if (!partition)
        return;
    uncommit(shard, partition);
    while (partition->pending)
        pending_drop(shard, partition, partition->pending);
    partition_tidy(shard, topic, partition);
}

void offsets_end_transaction(struct group_shard *shard, int64_t producer_id, bool commit,
                             int64_t end_offset)
{
    struct group_transaction **found = map_find(&shard->transactions, (uint64_t)producer_id);
    if (!found)
        return;
    struct group_transaction *transaction = *found;
    for (bool last = false; !last;) {
        struct group_pending *pending =
            list_first(&transaction->offsets, struct group_pending, link);
        struct group_topic *topic = pending->topic;
        struct group *group = topic->group;
        struct group_partition *partition = offsets_partition(topic, pending->partition);
        /* Where plain and transactional commits are mixed the later record counts. Markers are no
         * records of the group, so compaction may move them past each other. */
        if (commit && (!partition->committed ||
                       pending->value.record_offset > partition->value.record_offset)) {
            uncommit(shard, partition);
            partition->value = pending->value;
            partition->committed = true;
            shard->counts.offsets++;
            pending->value.metadata = NULL;
        }
        group->end_offset = end_offset;
        last = transaction->offsets.next == transaction->offsets.prev;
        pending_drop(shard, partition, pending);
        partition_tidy(shard, topic, partition);
        group_drop_if_unused(shard, group);
    }
}

void offsets_clear(struct group_shard *shard, struct group *group)
{
    while (group->topic_count > 0) {
        struct group_topic *topic = group->topics[group->topic_count - 1];
        struct group_partition *partition = &topic->partitions[topic->count - 1];
        uncommit(shard, partition);
        while (partition->pending)
            pending_drop(shard, partition, partition->pending);
        partition_tidy(shard, topic, partition);
    }
}
