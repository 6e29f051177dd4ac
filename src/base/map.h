/* A hash table from integers, strings or ids to values of one size, iterated in the order in which
 * keys were first put.
 *
 *     struct map sessions;
 *     map_init(&sessions, MAP_U64, sizeof(struct session *), seed);
 *     err = map_put(&sessions, id, &place);          place is a struct session **
 *     struct session **found = map_find(&sessions, id);
 *     for (struct map_at at = map_begin(&sessions); map_next(&sessions, &at);)
 *         use(at.key, *(struct session **)at.value);
 *
 * The order does not depend on the seed, so it may show outside. Seeds come from env_random: keys
 * may be chosen by an enemy. An empty map holds no memory. Not thread-safe. */
#ifndef JACKDAW_BASE_MAP_H
#define JACKDAW_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/uuid.h"

enum map_keys {
    MAP_U64,
    MAP_STR, /* borrowed: the bytes must outlive the entry */
    MAP_ID,
};

struct map {
    uint8_t *entries; /* in the order of insertion, dead ones among them */
    uint32_t *slots;  /* hash to index of entry */
    uint32_t slot_mask;
    uint32_t used; /* entries, dead ones included */
    uint32_t capacity;
    uint32_t count; /* keys in the map */
    enum map_keys keys;
    uint32_t value_size;
    uint32_t entry_size;
    uint64_t seed;
};

void map_init(struct map *map, enum map_keys keys, size_t value_size, uint64_t seed);
void map_close(struct map *map); /* values are the caller's */

static inline size_t map_count(const struct map *map)
{
    return map->count;
}

/* The value's place, or NULL. It stays where it is until the next put or removal. */
void *map_find(const struct map *map, uint64_t key);
void *map_find_str(const struct map *map, struct str key);
void *map_find_id(const struct map *map, struct uuid key);

/* Find the key, or add it with a zeroed value. 1 when added, 0 when it was there (a string key
 * keeps its old bytes), -ENOMEM. */
int map_put(struct map *map, uint64_t key, void *ret_place);
int map_put_str(struct map *map, struct str key, void *ret_place);
int map_put_id(struct map *map, struct uuid key, void *ret_place);

/* Whether the key was there; if so and ret_value is not NULL, the value is copied to it. */
bool map_remove(struct map *map, uint64_t key, void *ret_value);
bool map_remove_str(struct map *map, struct str key, void *ret_value);
bool map_remove_id(struct map *map, struct uuid key, void *ret_value);

/* Iteration. Any key may be removed meanwhile; none may be added. */
struct map_at {
    uint32_t next;
    uint64_t key; /* the one of these that the map's keys are */
    struct str str;
    struct uuid id;
    void *value;
};

static inline struct map_at map_begin(const struct map *map)
{
    (void)map;
    return (struct map_at){0};
}

bool map_next(const struct map *map, struct map_at *at);

/* The hash that the map uses, for others who need one that enemies cannot aim at: SipHash-1-3
 * (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). */
uint64_t hash_bytes(const void *data, size_t size, uint64_t seed);
uint64_t hash_u64(uint64_t value, uint64_t seed);

#endif
