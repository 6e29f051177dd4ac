#include "group/assignor_spec.h"

#include <errno.h>
#include <stdlib.h>

int java_string_compare(struct str a, struct str b)
{
    int32_t shorter = a.size < b.size ? a.size : b.size;
    for (int32_t i = 0; i < shorter; i++) {
        uint8_t x = (uint8_t)a.data[i], y = (uint8_t)b.data[i];
        if (x == y)
            continue;
        /* A pair of surrogates begins with D8 to DB, below what U+E000 and above begin with. */
        bool x_pair = x >= 0xf0, y_pair = y >= 0xf0;
        if (x_pair != y_pair && x >= 0xee && y >= 0xee)
            return x_pair ? -1 : 1;
        return x < y ? -1 : 1;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

static int member_order(const struct assignor_member *a, const struct assignor_member *b)
{
    if (a->instance_id.data && b->instance_id.data)
        return java_string_compare(a->instance_id, b->instance_id);
    if (!a->instance_id.data != !b->instance_id.data)
        return a->instance_id.data ? -1 : 1;
    return java_string_compare(a->id, b->id);
}

static int order_of_pointers(const void *a, const void *b)
{
    return member_order(*(const struct assignor_member *const *)a,
                        *(const struct assignor_member *const *)b);
}

/* What is being dealt out of one topic. */
struct range_topic {
    int32_t subscribers;
    int32_t quota, extra; /* extra: so many members get one more */
    int32_t next;
};

static int assign_range(const struct assignor_spec *spec, struct arena *arena, int32_t *ret_owners)
{
    const struct assignor_member **members =
        arena_array(arena, (size_t)spec->member_count, sizeof *members);
    struct range_topic *topics = arena_array(arena, (size_t)spec->topic_count, sizeof *topics);
    if (!members || !topics)
        return -ENOMEM;
    for (int32_t m = 0; m < spec->member_count; m++) {
        members[m] = &spec->members[m];
        for (int32_t i = 0; i < members[m]->topic_count; i++)
            topics[members[m]->topics[i]].subscribers++;
    }
    qsort(members, (size_t)spec->member_count, sizeof(struct assignor_member *), order_of_pointers);
    for (int32_t t = 0; t < spec->topic_count; t++) {
        if (topics[t].subscribers == 0)
            continue;
        topics[t].quota = spec->topics[t].partition_count / topics[t].subscribers;
        topics[t].extra = spec->topics[t].partition_count % topics[t].subscribers;
    }
    for (int32_t place = 0; place < spec->place_count; place++)
        ret_owners[place] = ASSIGNOR_NOBODY;
    for (int32_t m = 0; m < spec->member_count; m++) {
        for (int32_t i = 0; i < members[m]->topic_count; i++) {
            int32_t t = members[m]->topics[i];
            int32_t count = topics[t].quota;
            if (topics[t].extra > 0) {
                topics[t].extra--;
                count++;
            }
            for (int32_t n = 0; n < count; n++)
                ret_owners[spec->topics[t].first + topics[t].next++] =
                    (int32_t)(members[m] - spec->members);
        }
    }
    return 0;
}

const struct assignor range_assignor = {"range", assign_range};
