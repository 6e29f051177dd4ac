/* The state machine of one member, as Kafka's CurrentAssignmentBuilder has it.
 *
 *   stable      the target's epoch is another one, or it lost a topic: take the next step
 *   unrevoked   keeps its epoch until the member does not own what it has to give up
 *   unreleased  has the target's epoch, and asks again for what others did not release yet
 *
 * Invariants: assigned and revoking have no partition in common; a partition gets into assigned
 * only when nobody owns it or this member does. */
#include "group/consumer_assignment.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"

int assigned_compare(const struct assigned *a, const struct assigned *b)
{
    int topics = memcmp(a->topic.bytes, b->topic.bytes, sizeof a->topic.bytes);
    return topics != 0 ? topics : (a->partition > b->partition) - (a->partition < b->partition);
}

static int order(const void *a, const void *b)
{
    return assigned_compare(a, b);
}

void assignment_normalize(struct assignment *assignment)
{
    int32_t kept = 0;
    if (assignment->count == 0)
        return;
    qsort(assignment->items, (size_t)assignment->count, sizeof *assignment->items, order);
    for (int32_t i = 0; i < assignment->count; i++)
        if (kept == 0 || assigned_compare(&assignment->items[kept - 1], &assignment->items[i]) != 0)
            assignment->items[kept++] = assignment->items[i];
    assignment->count = kept;
}

const struct assigned *assignment_find(const struct assignment *assignment, struct uuid topic,
                                       int32_t partition)
{
    const struct assigned key = {topic, partition, 0};
    return assignment->count == 0
               ? NULL
               : bsearch(&key, assignment->items, (size_t)assignment->count, sizeof key, order);
}

bool assignment_same_partitions(const struct assignment *a, const struct assignment *b)
{
    if (a->count != b->count)
        return false;
    for (int32_t i = 0; i < a->count; i++)
        if (a->items[i].partition != b->items[i].partition ||
            !uuid_equal(a->items[i].topic, b->items[i].topic))
            return false;
    return true;
}

bool assignment_equal(const struct assignment *a, const struct assignment *b)
{
    if (!assignment_same_partitions(a, b))
        return false;
    for (int32_t i = 0; i < a->count; i++)
        if (a->items[i].epoch != b->items[i].epoch)
            return false;
    return true;
}

struct assignment assignment_copy(const struct assignment *from)
{
    struct assignment copy = {NULL, from->count};
    if (from->count == 0)
        return copy;
    copy.items = malloc((size_t)from->count * sizeof *copy.items);
    must(copy.items);
    memcpy(copy.items, from->items, (size_t)from->count * sizeof *copy.items);
    return copy;
}

void assignment_drop(struct assignment *assignment)
{
    free(assignment->items);
    *assignment = (struct assignment){NULL, 0};
}

/* ---- the next step ---- */

static bool owns_any_of(const struct consumer_reconcile *step, const struct assignment *partitions)
{
    if (!step->owned)
        return true; /* it did not say, so it may */
    for (int32_t i = 0; i < step->owned->count; i++)
        if (assignment_find(partitions, step->owned->items[i].topic,
                            step->owned->items[i].partition))
            return true;
    return false;
}

static bool room(struct arena *arena, int64_t count, struct assignment *ret)
{
    ret->items = arena_array(arena, (size_t)count, sizeof *ret->items);
    ret->count = 0;
    return ret->items;
}

static void add(struct assignment *to, const struct assigned *item)
{
    to->items[to->count++] = *item;
}

static void move_on(struct consumer_current *next, int32_t epoch)
{
    next->previous_epoch = next->epoch;
    next->epoch = epoch;
}

/* Give up what is no longer subscribed to, and nothing else for now. */
static int drop_unsubscribed(const struct consumer_reconcile *step, struct consumer_current *next)
{
    const struct consumer_current *now = step->current;
    struct assignment kept, revoking;
    if (!room(step->arena, now->assigned.count, &kept) ||
        !room(step->arena, (int64_t)now->assigned.count + now->revoking.count, &revoking))
        return -ENOMEM;
    for (int32_t i = 0; i < now->revoking.count; i++)
        add(&revoking, &now->revoking.items[i]);
    for (int32_t i = 0; i < now->assigned.count; i++) {
        const struct assigned *item = &now->assigned.items[i];
        add(step->subscribes(step->context, item->topic) ? &kept : &revoking, item);
    }
    if (kept.count == now->assigned.count)
        return 0;
    assignment_normalize(&revoking);
    next->assigned = kept;
    move_on(next, now->epoch);
    if (revoking.count > 0 && owns_any_of(step, &revoking)) {
        next->state = CONSUMER_UNREVOKED;
        next->revoking = revoking;
    }
    return 0;
}

/* What the target wants of the member, topic by topic subscribed to: keep, revoke, get. */
struct difference {
    struct assignment kept, revoked, fresh;
    bool unreleased; /* somebody else still owns some of what is to come */
};

static bool released(const struct consumer_reconcile *step, const struct assigned *item)
{
    return !step->is_owned(step->context, item->topic, item->partition) ||
           assignment_find(&step->current->revoking, item->topic, item->partition);
}

static int compare_with_target(const struct consumer_reconcile *step, struct difference *ret)
{
    const struct assignment *assigned = &step->current->assigned;
    const struct assignment *target = step->target;
    int32_t a = 0, t = 0;
    *ret = (struct difference){0};
    if (!room(step->arena, (int64_t)assigned->count + target->count, &ret->kept) ||
        !room(step->arena, assigned->count, &ret->revoked) ||
        !room(step->arena, target->count, &ret->fresh))
        return -ENOMEM;
    while (a < assigned->count || t < target->count) {
        int c = a == assigned->count ? 1
                : t == target->count ? -1
                                     : assigned_compare(&assigned->items[a], &target->items[t]);
        const struct assigned *item = c <= 0 ? &assigned->items[a] : &target->items[t];
        bool wanted = c >= 0 && step->subscribes(step->context, item->topic);
        if (c <= 0)
            add(wanted ? &ret->kept : &ret->revoked, item);
        else if (wanted && released(step, item))
            add(&ret->fresh, item);
        else if (wanted)
            ret->unreleased = true;
        a += c <= 0;
        t += c >= 0;
    }
    return 0;
}

static int next_assignment(const struct consumer_reconcile *step, int32_t epoch,
                           struct consumer_current *next)
{
    struct difference difference;
    int err = compare_with_target(step, &difference);
    if (err != 0)
        return err;
    if (difference.revoked.count > 0 && owns_any_of(step, &difference.revoked)) {
        next->state = CONSUMER_UNREVOKED;
        move_on(next, epoch);
        next->assigned = difference.kept;
        next->revoking = difference.revoked;
        return 0;
    }
    for (int32_t i = 0; i < difference.fresh.count; i++) {
        difference.fresh.items[i].epoch = step->target_epoch;
        add(&difference.kept, &difference.fresh.items[i]);
    }
    assignment_normalize(&difference.kept);
    next->state = difference.unreleased ? CONSUMER_UNRELEASED : CONSUMER_STABLE;
    move_on(next, step->target_epoch);
    next->assigned = difference.kept;
    next->revoking = (struct assignment){NULL, 0};
    return 0;
}

int consumer_reconcile(const struct consumer_reconcile *step, struct consumer_current *ret_next)
{
    const struct consumer_current *now = step->current;
    *ret_next = *now;
    switch (now->state) {
    case CONSUMER_STABLE:
        if (now->epoch != step->target_epoch)
            return next_assignment(step, now->epoch, ret_next);
        return step->subscription_changed ? drop_unsubscribed(step, ret_next) : 0;
    case CONSUMER_UNREVOKED:
        if (!owns_any_of(step, &now->revoking))
            return next_assignment(step, now->epoch, ret_next);
        return step->subscription_changed ? drop_unsubscribed(step, ret_next) : 0;
    case CONSUMER_UNRELEASED:
        return next_assignment(step, now->epoch, ret_next);
    default:
        if (!step->owned || step->owned->count > 0)
            return KAFKA_FENCED_MEMBER_EPOCH;
        return next_assignment(step, step->target_epoch, ret_next);
    }
}
