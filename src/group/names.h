/* Lists of names, of topics mostly: in ascending order, each once. Strings are borrowed. */
#ifndef JACKDAW_GROUP_NAMES_H
#define JACKDAW_GROUP_NAMES_H

#include <stdbool.h>

#include "protocol/message.h"

/* Of two struct str, for qsort and bsearch. */
int names_order(const void *a, const void *b);

/* Ascending, each once. */
void names_sort_once(struct str_array *names);

/* Where it is in ascending names; NULL: nowhere. */
const struct str *names_find(struct str_array names, struct str name);

static inline bool names_have(struct str_array names, struct str name)
{
    return names_find(names, name) != NULL;
}

bool names_equal(struct str_array a, struct str_array b);

#endif
