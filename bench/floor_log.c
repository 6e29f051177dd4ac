#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "wire.h"

#define PARTITIONS_MAX 10000
#define BATCH_HEADER_BYTES 61

struct topic *find_topic(struct floor *floor, struct str name)
{
    struct topic *found = NULL;
    pthread_mutex_lock(&floor->lock);
    for (int i = floor->topic_count - 1; i >= 0 && !found; i--)
        if (floor->topics[i].name && str_equal(str_of(floor->topics[i].name), name))
            found = &floor->topics[i];
    pthread_mutex_unlock(&floor->lock);
    return found;
}

struct partition *find_partition(struct topic *topic, int32_t index)
{
    return topic && index >= 0 && index < topic->partition_count ? &topic->partitions[index] : NULL;
}

static int open_partition(struct floor *floor, struct partition *partition)
{
    char path[600];
    snprintf(path, sizeof path, "%s/floor.XXXXXX", floor->dir);
    partition->file = mkostemp(path, O_CLOEXEC);
    pthread_mutex_init(&partition->lock, NULL);
    if (partition->file >= 0)
        unlink(path);
    return partition->file < 0 ? -errno : 0;
}

int16_t create_topic(struct floor *floor, struct str name, int32_t partition_count)
{
    if (name.size <= 0 || partition_count <= 0 || partition_count > PARTITIONS_MAX)
        return 42;
    if (find_topic(floor, name))
        return 36;
    struct partition *partitions = calloc((size_t)partition_count, sizeof *partitions);
    char *copy = strndup(name.data, (size_t)name.size);
    for (int32_t i = 0; partitions && i < partition_count; i++)
        if (open_partition(floor, &partitions[i]) < 0)
            die("cannot open a partition in %s: %m", floor->dir);
    pthread_mutex_lock(&floor->lock);
    bool room = floor->topic_count < TOPICS_MAX && partitions && copy;
    if (room)
        floor->topics[floor->topic_count++] = (struct topic){copy, partition_count, partitions};
    pthread_mutex_unlock(&floor->lock);
    return room ? 0 : 42;
}

int16_t delete_topic(struct floor *floor, struct str name)
{
    struct topic *topic = find_topic(floor, name);
    if (!topic)
        return 3;
    pthread_mutex_lock(&floor->lock);
    topic->name = NULL; /* its memory stays: another thread may look at it */
    pthread_mutex_unlock(&floor->lock);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        pthread_mutex_lock(&topic->partitions[i].lock);
        close(topic->partitions[i].file);
        topic->partitions[i].file = -1;
        pthread_mutex_unlock(&topic->partitions[i].lock);
    }
    return 0;
}

static void tell_appended(struct floor *floor)
{
    if (atomic_load(&floor->waiting) == 0)
        return;
    pthread_mutex_lock(&floor->appended_lock);
    pthread_cond_broadcast(&floor->appended);
    pthread_mutex_unlock(&floor->appended_lock);
}

static bool remember_place(struct partition *partition)
{
    if (partition->place_count == partition->place_capacity) {
        size_t capacity = partition->place_capacity ? 2 * partition->place_capacity : 64;
        struct place *places = realloc(partition->places, capacity * sizeof *places);
        if (!places)
            return false;
        partition->places = places;
        partition->place_capacity = capacity;
    }
    partition->places[partition->place_count++] =
        (struct place){partition->end_offset, partition->end_position};
    return true;
}

int16_t append_batch(struct floor *floor, struct partition *partition, uint8_t *batch, size_t size,
                     int64_t *ret_offset)
{
    if (size < BATCH_HEADER_BYTES || load_be32(batch + 8) + 12 != size ||
        crc32c(0, batch + 21, size - 21) != load_be32(batch + 17))
        return 2;
    if (!floor->append)
        return 0;
    int16_t error = 0;
    pthread_mutex_lock(&partition->lock);
    store_be64(batch, (uint64_t)partition->end_offset);
    store_be32(batch + 12, 0);
    if (!remember_place(partition) ||
        pwrite(partition->file, batch, size, partition->end_position) != (ssize_t)size) {
        error = 56;
    } else {
        *ret_offset = partition->end_offset;
        partition->end_offset += (int64_t)load_be32(batch + 23) + 1;
        partition->end_position += (int64_t)size;
    }
    pthread_mutex_unlock(&partition->lock);
    tell_appended(floor);
    return error;
}

int64_t find_place(const struct partition *partition, int64_t offset)
{
    size_t low = 0, high = partition->place_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (partition->places[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return high > 0 ? partition->places[low].position : 0;
}
