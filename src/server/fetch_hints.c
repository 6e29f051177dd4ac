#include "server/fetch_hints.h"

#include <stdlib.h>

struct fetch_hint {
    struct uuid topic_id;
    int32_t partition;
    struct log_position next;
};

/* A small ring, newest over oldest: most connections read a handful of partitions. */
struct fetch_hints {
    int32_t count, capacity, at;
    struct fetch_hint items[];
};

static struct fetch_hint *hint_of(const struct fetch_hints *hints, struct uuid topic_id,
                                  int32_t partition)
{
    for (int32_t i = 0; hints && i < hints->count; i++)
        if (hints->items[i].partition == partition &&
            uuid_equal(hints->items[i].topic_id, topic_id))
            return (struct fetch_hint *)(uintptr_t)&hints->items[i];
    return NULL;
}

const struct log_position *fetch_hints_find(const struct fetch_hints *hints, struct uuid topic_id,
                                            int32_t partition, int64_t offset)
{
    const struct fetch_hint *hint = hint_of(hints, topic_id, partition);
    return hint && hint->next.offset == offset ? &hint->next : NULL;
}

void fetch_hints_note(struct fetch_hints **hints, struct uuid topic_id, int32_t partition,
                      struct log_position next)
{
    struct fetch_hints *all = *hints;
    struct fetch_hint *hint = hint_of(all, topic_id, partition);
    if (!hint) {
        int32_t capacity = all ? all->capacity : 0;
        if (!all || (all->count == capacity && capacity < FETCH_HINTS_MAX)) {
            int32_t larger = capacity ? capacity * 2 : 4;
            all = realloc(*hints, sizeof *all + (size_t)larger * sizeof all->items[0]);
            if (!all)
                return;
            if (!capacity)
                all->count = all->at = 0;
            all->capacity = larger;
            *hints = all;
        }
        if (all->count < all->capacity) {
            hint = &all->items[all->count++];
        } else {
            hint = &all->items[all->at];
            all->at = (all->at + 1) % all->capacity;
        }
        hint->topic_id = topic_id;
        hint->partition = partition;
    }
    hint->next = next;
}

void fetch_hints_free(struct fetch_hints *hints)
{
    free(hints);
}
