/* Entries stand in one array in the order of insertion; an open-addressing table of indexes into it
 * finds them (Hettinger, "More compact dictionaries with faster iteration", 2012).
 *
 * Invariants:
 * 1. Every live entry is found from its hash by linear probing before the first empty slot.
 * 2. A removed entry is dead and its slot stays, so probes pass over it; both go when the table is
 *    built anew, which happens when the array of entries is full, or all at once when none is live.
 * 3. Removal never moves an entry. */
#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define SLOT_EMPTY UINT32_MAX
#define SLOTS_MIN 8
#define CAPACITY_MAX (1u << 30)

/* Values follow the entry. */
struct entry {
    uint64_t hash;
    bool live;
    union {
        uint64_t u64;
        struct str str;
        struct uuid id;
    } key;
};

struct key {
    enum map_keys keys;
    uint64_t hash;
    uint64_t u64;
    struct str str;
    struct uuid id;
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static void sip_round(struct sip *sip)
{
    sip->v0 += sip->v1;
    sip->v1 = rotate(sip->v1, 13) ^ sip->v0;
    sip->v0 = rotate(sip->v0, 32);
    sip->v2 += sip->v3;
    sip->v3 = rotate(sip->v3, 16) ^ sip->v2;
    sip->v0 += sip->v3;
    sip->v3 = rotate(sip->v3, 21) ^ sip->v0;
    sip->v2 += sip->v1;
    sip->v1 = rotate(sip->v1, 17) ^ sip->v2;
    sip->v2 = rotate(sip->v2, 32);
}

static void sip_word(struct sip *sip, uint64_t word)
{
    sip->v3 ^= word;
    sip_round(sip);
    sip->v0 ^= word;
}

/* The seed is half of the key; the other half is derived from it. */
static struct sip sip_start(uint64_t seed)
{
    uint64_t k0 = seed, k1 = seed * 0x9e3779b97f4a7c15u + 0xd1b54a32d192ed03u;
    return (struct sip){k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du,
                        k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
}

static uint64_t sip_end(struct sip *sip)
{
    sip->v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(sip);
    return sip->v0 ^ sip->v1 ^ sip->v2 ^ sip->v3;
}

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    struct sip sip = sip_start(seed);
    const uint8_t *at = data;
    uint64_t word, last = (uint64_t)size << 56;
    size_t left = size;
    for (; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        sip_word(&sip, word);
    }
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)at[i] << 8 * i;
    sip_word(&sip, last);
    return sip_end(&sip);
}

uint64_t hash_u64(uint64_t value, uint64_t seed)
{
    struct sip sip = sip_start(seed);
    sip_word(&sip, value);
    return sip_end(&sip);
}

static struct key key_u64(const struct map *map, uint64_t u64)
{
    must(map->keys == MAP_U64);
    return (struct key){.keys = MAP_U64, .hash = hash_u64(u64, map->seed), .u64 = u64};
}

static struct key key_str(const struct map *map, struct str str)
{
    must(map->keys == MAP_STR);
    return (struct key){
        .keys = MAP_STR, .hash = hash_bytes(str.data, (size_t)str.size, map->seed), .str = str};
}

static struct key key_id(const struct map *map, struct uuid id)
{
    must(map->keys == MAP_ID);
    return (struct key){
        .keys = MAP_ID, .hash = hash_bytes(id.bytes, sizeof id.bytes, map->seed), .id = id};
}

static bool key_is(const struct key *key, const struct entry *entry)
{
    if (!entry->live || entry->hash != key->hash)
        return false;
    switch (key->keys) {
    case MAP_U64:
        return entry->key.u64 == key->u64;
    case MAP_STR:
        return str_equal(entry->key.str, key->str);
    case MAP_ID:
        return uuid_equal(entry->key.id, key->id);
    }
    return false;
}

static struct entry *entry_at(const struct map *map, uint32_t index)
{
    return (struct entry *)(map->entries + (size_t)index * map->entry_size);
}

static void *entry_value(struct entry *entry)
{
    return entry + 1;
}

void map_init(struct map *map, enum map_keys keys, size_t value_size, uint64_t seed)
{
    must(value_size <= 4096);
    size_t entry_size = (sizeof(struct entry) + value_size + 7) & ~(size_t)7;
    *map = (struct map){.keys = keys,
                        .value_size = (uint32_t)value_size,
                        .entry_size = (uint32_t)entry_size,
                        .seed = seed};
}

void map_close(struct map *map)
{
    free(map->entries);
    free(map->slots);
    map->entries = NULL;
    map->slots = NULL;
    map->slot_mask = map->used = map->capacity = map->count = 0;
}

static struct entry *map_lookup(const struct map *map, const struct key *key)
{
    if (map->count == 0)
        return NULL;
    for (uint32_t slot = (uint32_t)key->hash & map->slot_mask;;
         slot = (slot + 1) & map->slot_mask) {
        if (map->slots[slot] == SLOT_EMPTY)
            return NULL;
        struct entry *entry = entry_at(map, map->slots[slot]);
        if (key_is(key, entry))
            return entry;
    }
}

static void slots_add(uint32_t *slots, uint32_t mask, uint64_t hash, uint32_t index)
{
    uint32_t slot = (uint32_t)hash & mask;
    while (slots[slot] != SLOT_EMPTY)
        slot = (slot + 1) & mask;
    slots[slot] = index;
}

/* Move the live entries to new arrays with room for as many again. At most two thirds of the slots
 * are ever in use. */
static int map_rebuild(struct map *map)
{
    uint32_t slot_count = SLOTS_MIN;
    if (map->count >= CAPACITY_MAX)
        return -ENOMEM;
    while (slot_count / 3 < map->count)
        slot_count *= 2;
    uint32_t capacity = slot_count / 3 * 2;
    uint32_t *slots = malloc(slot_count * sizeof *slots);
    uint8_t *entries = malloc((size_t)capacity * map->entry_size);
    if (!slots || !entries) {
        free(slots);
        free(entries);
        return -ENOMEM;
    }
    memset(slots, 0xff, slot_count * sizeof *slots);
    uint32_t used = 0;
    for (uint32_t i = 0; i < map->used; i++) {
        const struct entry *entry = entry_at(map, i);
        if (!entry->live)
            continue;
        memcpy(entries + (size_t)used * map->entry_size, entry, map->entry_size);
        slots_add(slots, slot_count - 1, entry->hash, used++);
    }
    must(used == map->count && used < capacity);
    free(map->slots);
    free(map->entries);
    map->slots = slots;
    map->entries = entries;
    map->slot_mask = slot_count - 1;
    map->used = used;
    map->capacity = capacity;
    return 0;
}

static int map_add(struct map *map, const struct key *key, void *ret_place)
{
    struct entry *entry = map_lookup(map, key);
    int added = !entry;
    if (!entry) {
        int err = map->used == map->capacity ? map_rebuild(map) : 0;
        if (err < 0)
            return err;
        entry = entry_at(map, map->used);
        memset(entry, 0, map->entry_size);
        entry->hash = key->hash;
        entry->live = true;
        if (key->keys == MAP_U64)
            entry->key.u64 = key->u64;
        else if (key->keys == MAP_STR)
            entry->key.str = key->str;
        else
            entry->key.id = key->id;
        slots_add(map->slots, map->slot_mask, key->hash, map->used++);
        map->count++;
    }
    void *place = entry_value(entry);
    memcpy(ret_place, &place, sizeof place);
    return added;
}

static bool map_take(struct map *map, const struct key *key, void *ret_value)
{
    struct entry *entry = map_lookup(map, key);
    if (!entry)
        return false;
    if (ret_value)
        memcpy(ret_value, entry_value(entry), map->value_size);
    entry->live = false;
    if (--map->count == 0)
        map_close(map);
    return true;
}

bool map_next(const struct map *map, struct map_at *at)
{
    while (at->next < map->used) {
        struct entry *entry = entry_at(map, at->next++);
        if (!entry->live)
            continue;
        if (map->keys == MAP_U64)
            at->key = entry->key.u64;
        else if (map->keys == MAP_STR)
            at->str = entry->key.str;
        else
            at->id = entry->key.id;
        at->value = entry_value(entry);
        return true;
    }
    return false;
}

static void *map_value(const struct map *map, const struct key *key)
{
    struct entry *entry = map_lookup(map, key);
    return entry ? entry_value(entry) : NULL;
}

void *map_find(const struct map *map, uint64_t key)
{
    struct key made = key_u64(map, key);
    return map_value(map, &made);
}

void *map_find_str(const struct map *map, struct str key)
{
    struct key made = key_str(map, key);
    return map_value(map, &made);
}

void *map_find_id(const struct map *map, struct uuid key)
{
    struct key made = key_id(map, key);
    return map_value(map, &made);
}

int map_put(struct map *map, uint64_t key, void *ret_place)
{
    struct key made = key_u64(map, key);
    return map_add(map, &made, ret_place);
}

int map_put_str(struct map *map, struct str key, void *ret_place)
{
    struct key made = key_str(map, key);
    return map_add(map, &made, ret_place);
}

int map_put_id(struct map *map, struct uuid key, void *ret_place)
{
    struct key made = key_id(map, key);
    return map_add(map, &made, ret_place);
}

bool map_remove(struct map *map, uint64_t key, void *ret_value)
{
    struct key made = key_u64(map, key);
    return map_take(map, &made, ret_value);
}

bool map_remove_str(struct map *map, struct str key, void *ret_value)
{
    struct key made = key_str(map, key);
    return map_take(map, &made, ret_value);
}

bool map_remove_id(struct map *map, struct uuid key, void *ret_value)
{
    struct key made = key_id(map, key);
    return map_take(map, &made, ret_value);
}
