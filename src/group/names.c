#include "group/names.h"

#include <stdlib.h>

int names_order(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

void names_sort_once(struct str_array *names)
{
    int32_t kept = 0;
    qsort(names->items, (size_t)names->count, sizeof *names->items, names_order);
    for (int32_t i = 0; i < names->count; i++)
        if (kept == 0 || !str_equal(names->items[kept - 1], names->items[i]))
            names->items[kept++] = names->items[i];
    names->count = kept;
}

const struct str *names_find(struct str_array names, struct str name)
{
    if (names.count == 0)
        return NULL;
    return bsearch(&name, names.items, (size_t)names.count, sizeof name, names_order);
}

bool names_equal(struct str_array a, struct str_array b)
{
    if (a.count != b.count)
        return false;
    for (int32_t i = 0; i < a.count; i++)
        if (!str_equal(a.items[i], b.items[i]))
            return false;
    return true;
}
