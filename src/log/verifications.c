#include "log/verifications.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void verifications_close(struct verifications *all)
{
    free(all->items);
    *all = (struct verifications){0};
}

/* Where the producer stands or belongs. */
static int32_t place_of(const struct verifications *all, int64_t producer_id)
{
    int32_t low = 0, high = all->count;
    if (high > 0 && all->items[high - 1].producer_id < producer_id)
        return high; /* ids are given out in ascending order */
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (all->items[middle].producer_id < producer_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct verification *find(const struct verifications *all, int64_t producer_id)
{
    int32_t at = place_of(all, producer_id);
    return at < all->count && all->items[at].producer_id == producer_id ? &all->items[at] : NULL;
}

const struct verification *verifications_find(const struct verifications *all, int64_t producer_id)
{
    return find(all, producer_id);
}

static bool grow(struct verifications *all)
{
    if (all->count < all->capacity)
        return true;
    int32_t capacity = all->capacity ? all->capacity * 2 : 4;
    void *items = realloc(all->items, (size_t)capacity * sizeof *all->items);
    if (!items)
        return false;
    all->items = items;
    all->capacity = capacity;
    return true;
}

/* Keep the first `count`. */
static void shrink(struct verifications *all, int32_t count)
{
    all->count = count;
    if (count == 0) {
        free(all->items);
        all->items = NULL;
        all->capacity = 0;
    }
}

static void remove_at(struct verifications *all, int32_t at)
{
    memmove(all->items + at, all->items + at + 1,
            (size_t)(all->count - at - 1) * sizeof *all->items);
    shrink(all, all->count - 1);
}

/* Tokens ascend. */
static int32_t oldest(const struct verifications *all)
{
    int32_t found = 0;
    for (int32_t i = 1; i < all->count; i++)
        if (all->items[i].token < all->items[found].token)
            found = i;
    return found;
}

int64_t verifications_begin(struct verifications *all, int64_t producer_id, int16_t epoch,
                            int32_t sequence, bool epochs_bump, int64_t now_ms)
{
    struct verification *known = find(all, producer_id);
    if (known) {
        if (epoch > known->epoch) {
            known->epoch = epoch;
            known->lowest_sequence = sequence;
        } else if (epoch == known->epoch && sequence < known->lowest_sequence) {
            known->lowest_sequence = sequence;
        }
        return known->token;
    }
    if (all->count == VERIFICATIONS_MAX)
        remove_at(all, oldest(all));
    if (!grow(all))
        return -ENOMEM;
    int32_t at = place_of(all, producer_id);
    memmove(all->items + at + 1, all->items + at, (size_t)(all->count - at) * sizeof *all->items);
    all->count++;
    all->items[at] = (struct verification){
        .producer_id = producer_id,
        .token = ++all->last_token,
        .begun_ms = now_ms,
        .lowest_sequence = sequence,
        .epoch = epoch,
        .epochs_bump = epochs_bump,
    };
    return all->last_token;
}

void verifications_forget(struct verifications *all, int64_t producer_id)
{
    const struct verification *known = find(all, producer_id);
    if (known)
        remove_at(all, (int32_t)(known - all->items));
}

void verifications_clear(struct verifications *all)
{
    free(all->items);
    *all = (struct verifications){.last_token = all->last_token};
}

void verifications_expire(struct verifications *all, int64_t now_ms, int64_t expiration_ms)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < all->count; i++)
        if (now_ms - all->items[i].begun_ms < expiration_ms)
            all->items[kept++] = all->items[i];
    shrink(all, kept);
}
