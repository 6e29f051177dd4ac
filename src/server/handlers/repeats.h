/* Which topics or partitions a request names more than once: work and answers must not grow with
 * how often a small request repeats a name. */
#ifndef JACKDAW_SERVER_REPEATS_H
#define JACKDAW_SERVER_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum repeat { NAMED_ONCE, NAMED_FIRST /* of several */, NAMED_AGAIN };

struct repeats {
    struct repeats_item *items;
    uint8_t *found; /* of each, in the order of adding: enum repeat. After repeats_find. */
    int32_t count;
};

/* Room for `capacity` names, all in the arena; false when it has no room. */
bool repeats_init(struct repeats *repeats, struct arena *arena, int32_t capacity);
/* `name` must outlive repeats_find. */
void repeats_add(struct repeats *repeats, struct str name, int32_t index);
/* n log n. */
void repeats_find(struct repeats *repeats);

#endif
