/* From a list of members to the assignor's description of the group, and back.
 *
 * Topics of the description are in the order of their names; `by_id` finds them by id. */
#include "group/consumer_target.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "group/names.h"

/* ---- the members ---- */

static void add_member(struct consumer_target *target, const struct consumer_group *consumer,
                       struct str id, const struct consumer_subscription *subscription,
                       const struct assignment *last)
{
    target->members[target->member_count++] = (struct target_member){
        .id = id,
        .instance_id = subscription->instance_id,
        .names = subscription->topics,
        .resolved = consumer_names_resolved(consumer, subscription->regex),
        .has_last = last != NULL,
        .last = last ? *last : (struct assignment){NULL, 0},
    };
}

bool consumer_target_list(struct consumer_target *target, const struct consumer_group *consumer,
                          const struct target_change *change)
{
    size_t room = (size_t)(consumer ? consumer->member_count : 0) + (change ? 1 : 0);
    const struct consumer_member *member;
    target->members = arena_array(target->arena, room, sizeof *target->members);
    target->member_count = 0;
    target->changed = -1;
    target->seed = consumer ? consumer->members.seed : 0;
    if (!target->members)
        return false;
    const struct consumer_member *itself = NULL, *replaced = NULL;
    if (consumer && change) {
        itself = consumer_member_find(consumer, change->member_id);
        if (change->replaced_id.data)
            replaced = consumer_member_find(consumer, change->replaced_id);
    }
    struct map_at at = {0};
    while (consumer && (member = consumer_member_next(consumer, &at))) {
        if (member == replaced)
            continue;
        if (member == itself) {
            target->changed = target->member_count;
            add_member(target, consumer, member->id, change->subscription, change->last);
        } else {
            add_member(target, consumer, member->id, &member->subscription,
                       member->has_target ? &member->target : NULL);
        }
    }
    if (change && target->changed < 0) {
        target->changed = target->member_count;
        add_member(target, consumer, change->member_id, change->subscription, change->last);
    }
    return true;
}

/* ---- the description ---- */

struct topic_by_id {
    struct uuid id;
    int32_t index;
};

struct target_work {
    struct consumer_target *target;
    struct map indexes; /* of topics by name; -1: there is none of that name */
    struct assignor_topic *topics;
    struct topic_by_id *by_id;
    struct assignor_member *members;
    struct assignor_spec spec;
    int32_t *previous, *owners;
};

static int by_id_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static bool note_names(struct map *indexes, struct str_array names)
{
    for (int32_t i = 0; i < names.count; i++) {
        int32_t *place;
        if (map_put_str(indexes, names.items[i], &place) < 0)
            return false;
    }
    return true;
}

/* Whether the member wants what the one before it does, which is so in most groups. */
static bool wants_the_same(const struct consumer_target *target, int32_t m)
{
    const struct target_member *member = &target->members[m];
    return m > 0 && names_equal(member[-1].names, member->names) &&
           names_equal(member[-1].resolved, member->resolved);
}

/* All names that members want, ascending. */
static bool find_names(struct target_work *work, struct str_array *ret_names)
{
    const struct consumer_target *target = work->target;
    for (int32_t m = 0; m < target->member_count; m++)
        if (!wants_the_same(target, m) &&
            (!note_names(&work->indexes, target->members[m].names) ||
             !note_names(&work->indexes, target->members[m].resolved)))
            return false;
    ret_names->items = arena_array(target->arena, map_count(&work->indexes), sizeof(struct str));
    ret_names->count = 0;
    if (!ret_names->items)
        return false;
    for (struct map_at at = map_begin(&work->indexes); map_next(&work->indexes, &at);)
        ret_names->items[ret_names->count++] = at.str;
    names_sort_once(ret_names);
    return true;
}

static int find_topics(struct target_work *work)
{
    const struct consumer_target *target = work->target;
    struct str_array names;
    int64_t places = 0;
    if (!find_names(work, &names))
        return -ENOMEM;
    work->topics = arena_array(target->arena, (size_t)names.count, sizeof *work->topics);
    work->by_id = arena_array(target->arena, (size_t)names.count, sizeof *work->by_id);
    if (!work->topics || !work->by_id)
        return -ENOMEM;
    for (int32_t i = 0; i < names.count; i++) {
        int32_t *index = map_find_str(&work->indexes, names.items[i]);
        const struct topic_image *topic =
            target->image ? image_topic_named(target->image, names.items[i]) : NULL;
        *index = -1;
        if (!topic)
            continue;
        int32_t t = *index = work->spec.topic_count++;
        work->topics[t] =
            (struct assignor_topic){topic->id, topic_partition_count(topic), (int32_t)places};
        work->by_id[t] = (struct topic_by_id){topic->id, t};
        places += work->topics[t].partition_count;
        if (places > ASSIGNOR_PARTITIONS_MAX)
            return KAFKA_UNKNOWN_SERVER_ERROR;
    }
    work->spec.place_count = (int32_t)places;
    qsort(work->by_id, (size_t)work->spec.topic_count, sizeof *work->by_id, by_id_order);
    return 0;
}

/* The indexes of two ascending lists of names, ascending, each once. */
static int32_t *merge(const struct target_work *work, struct str_array a, struct str_array b,
                      int32_t *ret_count)
{
    int32_t *indexes =
        arena_array(work->target->arena, (size_t)a.count + (size_t)b.count, sizeof *indexes);
    int32_t i = 0, j = 0, count = 0;
    while (indexes && (i < a.count || j < b.count)) {
        int order = i == a.count ? 1 : j == b.count ? -1 : str_compare(a.items[i], b.items[j]);
        const int32_t *index = map_find_str(&work->indexes, order <= 0 ? a.items[i] : b.items[j]);
        if (*index >= 0)
            indexes[count++] = *index;
        i += order <= 0;
        j += order >= 0;
    }
    *ret_count = count;
    return indexes;
}

static bool describe_members(struct target_work *work)
{
    const struct consumer_target *target = work->target;
    work->members = arena_array(target->arena, (size_t)target->member_count, sizeof *work->members);
    if (!work->members)
        return false;
    for (int32_t m = 0; m < target->member_count; m++) {
        const struct target_member *from = &target->members[m];
        struct assignor_member *to = &work->members[m];
        to->id = from->id;
        to->instance_id = from->instance_id;
        if (wants_the_same(target, m)) {
            to->topics = to[-1].topics;
            to->topic_count = to[-1].topic_count;
            continue;
        }
        to->topics = merge(work, from->names, from->resolved, &to->topic_count);
        if (!to->topics)
            return false;
    }
    return true;
}

/* Who has what in the last target; what exists no more is left out. */
static void find_previous(struct target_work *work)
{
    for (int32_t place = 0; place < work->spec.place_count; place++)
        work->previous[place] = ASSIGNOR_NOBODY;
    for (int32_t m = 0; m < work->target->member_count; m++) {
        const struct assignment *last = &work->target->members[m].last;
        const struct topic_by_id *found = NULL;
        for (int32_t i = 0; i < last->count; i++) {
            const struct assigned *item = &last->items[i];
            if (work->spec.topic_count == 0)
                break;
            if (!found || !uuid_equal(found->id, item->topic))
                found = bsearch(&item->topic, work->by_id, (size_t)work->spec.topic_count,
                                sizeof *found, by_id_order);
            if (!found || item->partition < 0 ||
                item->partition >= work->topics[found->index].partition_count)
                continue;
            int32_t *place = &work->previous[work->topics[found->index].first + item->partition];
            if (*place == ASSIGNOR_NOBODY)
                *place = m;
        }
    }
}

/* Ascending, because topics are walked by id and partitions by number. */
static bool collect(struct target_work *work)
{
    struct consumer_target *target = work->target;
    target->partition_count = 0;
    for (int32_t place = 0; place < work->spec.place_count; place++) {
        if (work->owners[place] == ASSIGNOR_NOBODY)
            continue;
        target->members[work->owners[place]].next.count++;
        target->partition_count++;
    }
    struct assigned *items =
        arena_array(target->arena, (size_t)target->partition_count, sizeof *items);
    if (!items)
        return false;
    for (int32_t m = 0; m < target->member_count; m++) {
        struct assignment *next = &target->members[m].next;
        next->items = items;
        items += next->count;
        next->count = 0;
    }
    for (int32_t i = 0; i < work->spec.topic_count; i++) {
        const struct assignor_topic *topic = &work->topics[work->by_id[i].index];
        for (int32_t p = 0; p < topic->partition_count; p++) {
            int32_t owner = work->owners[topic->first + p];
            if (owner == ASSIGNOR_NOBODY)
                continue;
            struct assignment *next = &target->members[owner].next;
            next->items[next->count++] = (struct assigned){topic->id, p, 0};
        }
    }
    return true;
}

static int assign(struct target_work *work)
{
    struct consumer_target *target = work->target;
    int err = find_topics(work);
    if (err != 0)
        return err;
    size_t places = (size_t)work->spec.place_count;
    work->previous = arena_array(target->arena, places, sizeof *work->previous);
    work->owners = arena_array(target->arena, places, sizeof *work->owners);
    if (!work->previous || !work->owners || !describe_members(work))
        return -ENOMEM;
    find_previous(work);
    work->spec.topics = work->topics;
    work->spec.members = work->members;
    work->spec.member_count = target->member_count;
    work->spec.previous = work->previous;
    err = target->assignor->assign(&work->spec, target->arena, work->owners);
    if (err != 0)
        return err;
    return collect(work) ? 0 : -ENOMEM;
}

int consumer_target_assign(struct consumer_target *target)
{
    struct target_work work = {.target = target};
    map_init(&work.indexes, MAP_STR, sizeof(int32_t), target->seed);
    int err = assign(&work);
    map_close(&work.indexes);
    return err;
}
