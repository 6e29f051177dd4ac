/* Open addressing with linear probing: a key that is not there is found out within one or two cache
 * lines' worth of neighbours at usual loads. Pages of the table come to be when they are touched;
 * they are large ones where the system has them: a place in 128 MiB is otherwise looked up in the
 * page tables first, and that alone took as long as everything else of a cleaning. */
#include "log/cleaner_map.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/must.h"
#include "os/pages.h"

#define SLOTS_MIN 16
#define SLOTS_MAX (INT32_MAX / CLEANER_MAP_ENTRY_SIZE) /* Kafka's buffer is a Java array */

struct cleaner_map_entry {
    uint64_t digest[2];
    int64_t offset_above; /* offset + 1; 0: no entry */
};
_Static_assert(sizeof(struct cleaner_map_entry) == CLEANER_MAP_ENTRY_SIZE, "as Kafka's");

int cleaner_map_init(struct cleaner_map *map, struct env *env, int64_t bytes, double load_factor,
                     int64_t keys_max)
{
    int64_t slots = bytes / CLEANER_MAP_ENTRY_SIZE;
    if (slots > SLOTS_MAX)
        slots = SLOTS_MAX;
    if (slots < SLOTS_MIN)
        slots = SLOTS_MIN;
    if (!(load_factor > 0 && load_factor < 1)) /* full to the brim, a search would not end */
        load_factor = 0.9;
    int64_t count_max = (int64_t)((double)slots * load_factor);
    if (keys_max < count_max && (double)keys_max / load_factor + SLOTS_MIN < (double)slots)
        slots = (int64_t)((double)keys_max / load_factor) + SLOTS_MIN;
    *map = (struct cleaner_map){.latest_offset = -1};
    map->entries = calloc((size_t)slots, sizeof *map->entries);
    if (!map->entries)
        return -ENOMEM;
    pages_prefer_huge(map->entries, (size_t)slots * sizeof *map->entries);
    if (count_max < 1)
        count_max = 1;
    map->slots = (uint64_t)slots;
    map->count_max = (uint64_t)(count_max < slots ? count_max : slots - 1);
    env_random(env, map->seeds, sizeof map->seeds);
    return 0;
}

void cleaner_map_close(struct cleaner_map *map)
{
    free(map->entries);
    *map = (struct cleaner_map){0};
}

static uint64_t slot_of(const struct cleaner_map *map, struct cleaner_key key)
{
    return (uint64_t)(((unsigned __int128)key.digest[0] * map->slots) >> 64);
}

struct cleaner_key cleaner_map_find(const struct cleaner_map *map, struct bytes key)
{
    struct cleaner_key found;
    for (int i = 0; i < 2; i++)
        found.digest[i] = hash_bytes(key.data, (size_t)key.size, map->seeds[i]);
    __builtin_prefetch(&map->entries[slot_of(map, found)]);
    return found;
}

/* The key's entry, or the free one where it belongs. */
static struct cleaner_map_entry *entry_of(const struct cleaner_map *map, struct cleaner_key key)
{
    uint64_t at = slot_of(map, key);
    for (;;) {
        struct cleaner_map_entry *entry = &map->entries[at];
        if (entry->offset_above == 0 ||
            (entry->digest[0] == key.digest[0] && entry->digest[1] == key.digest[1]))
            return entry;
        at = at + 1 == map->slots ? 0 : at + 1;
    }
}

bool cleaner_map_put(struct cleaner_map *map, struct cleaner_key key, int64_t offset)
{
    if (map->count >= map->count_max)
        return false;
    struct cleaner_map_entry *entry = entry_of(map, key);
    if (entry->offset_above == 0) {
        *entry = (struct cleaner_map_entry){{key.digest[0], key.digest[1]}, offset + 1};
        map->count++;
    } else if (offset >= entry->offset_above) {
        entry->offset_above = offset + 1;
    }
    return true;
}

int64_t cleaner_map_get(const struct cleaner_map *map, struct cleaner_key key)
{
    return entry_of(map, key)->offset_above - 1;
}
