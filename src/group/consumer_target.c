/* From a group to the assignor's description of it, and back.
 *
 * Topics of the description are in the order of their names; `by_id` finds them by id. */
#include "group/consumer_target.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "group/assignor_spec.h"
#include "group/consumer_ops.h"
#include "group/consumer_records.h"
#include "group/names.h"

struct topic_by_id {
    struct uuid id;
    int32_t index;
};

/* What the assignor does not need to know of a member. */
struct target_member {
    struct str id;
    const struct consumer_subscription *subscription;
    const struct assignment *target; /* NULL: none */
    struct assignment next;
};

struct target_work {
    const struct consumer_target *job;
    const struct coord_turn *turn;
    struct str_array names; /* of topics that exist, parallel to `topics` */
    struct assignor_topic *topics;
    struct topic_by_id *by_id;
    struct target_member *members;
    struct assignor_member *described;
    int32_t member_count;
    struct assignor_spec spec;
    int32_t *previous, *owners;
};

static int by_id_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static int find_topics(struct target_work *work)
{
    const struct consumer_target *job = work->job;
    const struct consumer_member *before =
        job->consumer ? consumer_member_find(job->consumer, job->replaced_id.data ? job->replaced_id
                                                                                  : job->member_id)
                      : NULL;
    const struct consumer_change change = {before ? &before->subscription : NULL,
                                           job->subscription};
    struct str_array names;
    int64_t places = 0;
    if (!consumer_names_after(job->consumer, &change, job->arena, &names))
        return -ENOMEM;
    work->names = names;
    work->names.count = 0;
    work->topics = arena_array(job->arena, (size_t)names.count, sizeof *work->topics);
    work->by_id = arena_array(job->arena, (size_t)names.count, sizeof *work->by_id);
    if (!work->topics || !work->by_id)
        return -ENOMEM;
    for (int32_t i = 0; work->turn->image && i < names.count; i++) {
        const struct topic_image *topic = image_topic_named(work->turn->image, names.items[i]);
        if (!topic)
            continue;
        int32_t t = work->names.count++;
        work->names.items[t] = names.items[i];
        work->topics[t] =
            (struct assignor_topic){topic->id, topic_partition_count(topic), (int32_t)places};
        work->by_id[t] = (struct topic_by_id){topic->id, t};
        places += work->topics[t].partition_count;
        if (places > ASSIGNOR_PARTITIONS_MAX)
            return KAFKA_UNKNOWN_SERVER_ERROR;
    }
    work->spec.topic_count = work->names.count;
    work->spec.place_count = (int32_t)places;
    qsort(work->by_id, (size_t)work->names.count, sizeof *work->by_id, by_id_order);
    return 0;
}

static bool add_member(struct target_work *work, struct str id,
                       const struct consumer_subscription *subscription,
                       const struct assignment *target)
{
    struct arena *arena = work->job->arena;
    struct str_array names;
    if (!consumer_names_of(work->job->consumer, subscription, arena, &names))
        return false;
    int32_t *topics = arena_array(arena, (size_t)names.count, sizeof *topics);
    int32_t count = 0, m = work->member_count++;
    if (!topics)
        return false;
    for (int32_t i = 0; i < names.count; i++) {
        const struct str *found = names_find(work->names, names.items[i]);
        if (found)
            topics[count++] = (int32_t)(found - work->names.items);
    }
    work->described[m] = (struct assignor_member){id, subscription->instance_id, topics, count};
    work->members[m] =
        (struct target_member){.id = id, .subscription = subscription, .target = target};
    return true;
}

static bool find_members(struct target_work *work)
{
    const struct consumer_target *job = work->job;
    size_t room = (size_t)(job->consumer ? job->consumer->member_count : 0) + 1;
    const struct consumer_member *member;
    bool seen = false;
    work->members = arena_array(job->arena, room, sizeof *work->members);
    work->described = arena_array(job->arena, room, sizeof *work->described);
    if (!work->members || !work->described)
        return false;
    struct map_at at = {0};
    while (job->consumer && (member = consumer_member_next(job->consumer, &at))) {
        bool itself = str_equal(member->id, job->member_id);
        if (job->replaced_id.data && str_equal(member->id, job->replaced_id))
            continue;
        seen = seen || itself;
        if (!add_member(work, member->id, itself ? job->subscription : &member->subscription,
                        itself               ? job->target
                        : member->has_target ? &member->target
                                             : NULL))
            return false;
    }
    return seen || add_member(work, job->member_id, job->subscription, job->target);
}

/* Who has what in the last target; what exists no more is left out. */
static void find_previous(struct target_work *work)
{
    for (int32_t place = 0; place < work->spec.place_count; place++)
        work->previous[place] = ASSIGNOR_NOBODY;
    for (int32_t m = 0; m < work->member_count; m++) {
        const struct assignment *target = work->members[m].target;
        const struct topic_by_id *found = NULL;
        for (int32_t i = 0; target && i < target->count; i++) {
            const struct assigned *item = &target->items[i];
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
    for (int32_t place = 0; place < work->spec.place_count; place++)
        if (work->owners[place] != ASSIGNOR_NOBODY)
            work->members[work->owners[place]].next.count++;
    for (int32_t m = 0; m < work->member_count; m++) {
        struct assignment *next = &work->members[m].next;
        next->items = arena_array(work->job->arena, (size_t)next->count, sizeof *next->items);
        next->count = 0;
        if (!next->items)
            return false;
    }
    for (int32_t i = 0; i < work->spec.topic_count; i++) {
        const struct assignor_topic *topic = &work->topics[work->by_id[i].index];
        for (int32_t p = 0; p < topic->partition_count; p++) {
            int32_t owner = work->owners[topic->first + p];
            if (owner == ASSIGNOR_NOBODY)
                continue;
            struct assignment *next = &work->members[owner].next;
            next->items[next->count++] = (struct assigned){topic->id, p, 0};
        }
    }
    return true;
}

static int put_targets(const struct target_work *work, struct coord_op *op,
                       struct assignment *ret_target)
{
    const struct consumer_target *job = work->job;
    int err = 0;
    for (int32_t m = 0; err == 0 && m < work->member_count; m++) {
        const struct target_member *member = &work->members[m];
        if (str_equal(member->id, job->member_id))
            *ret_target = member->next;
        if (!member->target || !assignment_same_partitions(member->target, &member->next))
            err = put_consumer_target(op, job->arena, job->group_id, member->id, &member->next);
    }
    return err == 0
               ? put_consumer_target_metadata(op, job->group_id, job->epoch, work->turn->wall_ms)
               : err;
}

int consumer_target_compute(const struct consumer_target *job, struct coord_op *op,
                            const struct coord_turn *turn, struct assignment *ret_target)
{
    struct target_work work = {.job = job, .turn = turn};
    int err = find_topics(&work);
    if (err != 0)
        return err;
    size_t places = (size_t)work.spec.place_count;
    work.previous = arena_array(job->arena, places, sizeof *work.previous);
    work.owners = arena_array(job->arena, places, sizeof *work.owners);
    if (!work.previous || !work.owners || !find_members(&work))
        return -ENOMEM;
    find_previous(&work);
    work.spec.topics = work.topics;
    work.spec.members = work.described;
    work.spec.member_count = work.member_count;
    work.spec.previous = work.previous;
    err = consumer_assignor(job->assignor)->assign(&work.spec, job->arena, work.owners);
    if (err != 0)
        return err;
    return collect(&work) ? put_targets(&work, op, ret_target) : -ENOMEM;
}
