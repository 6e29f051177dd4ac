#include "log/verifications.h"

#include <errno.h>
#include <stdlib.h>

void verifications_close(struct verifications *all)
{
    free(all->items);
    *all = (struct verifications){0};
}

/* Few are under way at a time: each lasts one round trip to a coordinator. */
static struct verification *find(const struct verifications *all, int64_t producer_id)
{
    for (int32_t i = 0; i < all->count; i++)
        if (all->items[i].producer_id == producer_id)
            return &all->items[i];
    return NULL;
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

static void remove_at(struct verifications *all, int32_t at)
{
    all->items[at] = all->items[--all->count];
    if (all->count == 0) {
        free(all->items);
        all->items = NULL;
        all->capacity = 0;
    }
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
    all->items[all->count++] = (struct verification){
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
    for (int32_t i = all->count - 1; i >= 0; i--)
        if (now_ms - all->items[i].begun_ms >= expiration_ms)
            remove_at(all, i);
}
