/* The cleaner's map: for every key of the dirty part of a log the last offset that has it.
 *
 * Kafka's keeps the MD5 of a key in place of the key and takes equal digests for equal keys; so
 * does this one with 128 bits of SipHash. Two honest keys meet with a probability of n²/2^129
 * either way (10^-24 for 100 million keys). But MD5 collisions can be made at will, and whoever
 * writes such a pair of keys makes the cleaner drop a record that is nobody's last; SipHash is
 * keyed with random numbers that are new in every cleaning, so there is nothing to aim at. */
#ifndef JACKDAW_LOG_CLEANER_MAP_H
#define JACKDAW_LOG_CLEANER_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "os/env.h"

#define CLEANER_MAP_ENTRY_SIZE 24 /* as Kafka's: a digest and an offset */

struct cleaner_map {
    struct cleaner_map_entry *entries;
    uint64_t slots;
    uint64_t count, count_max;
    uint64_t seeds[2];
    int64_t latest_offset; /* everything up to here was looked at; -1: nothing */
};

/* Room for `bytes`, used up to `load_factor`, but not for more than `keys_max` keys. -ENOMEM. */
int cleaner_map_init(struct cleaner_map *map, struct env *env, int64_t bytes, double load_factor,
                     int64_t keys_max);
void cleaner_map_close(struct cleaner_map *map); /* a zeroed one is accepted */

/* A key as the map knows it. Its place is anywhere in memory, so asking for one key after the other
 * waits for memory each time: cleaner_map_find tells the processor to fetch the place, and who
 * finds CLEANER_MAP_AHEAD keys before the first is used waits for all of them at once. */
#define CLEANER_MAP_AHEAD 32

struct cleaner_key {
    uint64_t digest[2];
};

struct cleaner_key cleaner_map_find(const struct cleaner_map *map, struct bytes key);

/* Note the offset, in rising order. False: the map is full, and as Kafka's it is so even for a key
 * that is there. */
bool cleaner_map_put(struct cleaner_map *map, struct cleaner_key key, int64_t offset);

/* The last offset of the key, -1 if it has none. */
int64_t cleaner_map_get(const struct cleaner_map *map, struct cleaner_key key);

#endif
