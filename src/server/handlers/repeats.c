#include "server/handlers/repeats.h"

#include <stdlib.h>

struct repeats_item {
    struct str name;
    int32_t index;
    int32_t at; /* when it was added */
};

bool repeats_init(struct repeats *repeats, struct arena *arena, int32_t capacity)
{
    size_t count = capacity > 0 ? (size_t)capacity : 0;
    *repeats = (struct repeats){.items = arena_array(arena, count, sizeof *repeats->items),
                                .found = arena_array(arena, count, sizeof *repeats->found)};
    return repeats->items && repeats->found;
}

void repeats_add(struct repeats *repeats, struct str name, int32_t index)
{
    repeats->items[repeats->count] = (struct repeats_item){name, index, repeats->count};
    repeats->count++;
}

static int same_name_order(const struct repeats_item *a, const struct repeats_item *b)
{
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return str_compare(a->name, b->name);
}

static int item_order(const void *a, const void *b)
{
    const struct repeats_item *x = a, *y = b;
    int order = same_name_order(x, y);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

void repeats_find(struct repeats *repeats)
{
    if (repeats->count > 1)
        qsort(repeats->items, (size_t)repeats->count, sizeof *repeats->items, item_order);
    for (int32_t i = 1; i < repeats->count; i++) {
        const struct repeats_item *before = &repeats->items[i - 1], *item = &repeats->items[i];
        if (same_name_order(before, item) != 0)
            continue;
        repeats->found[item->at] = NAMED_AGAIN;
        if (repeats->found[before->at] == NAMED_ONCE)
            repeats->found[before->at] = NAMED_FIRST;
    }
}
