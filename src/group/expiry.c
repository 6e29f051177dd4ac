/* Expiry and deleted topics: tombstones that the shard writes by itself.
 *
 * Invariants:
 * 1. Groups looked at in this round carry its number and stand at the end of the list, so the first
 *    group that does ends the round. A group made meanwhile carries it, too.
 * 2. A topic in `gone` is swept until a look finds nothing more of it; the tombstones themselves
 *    take what was swept out of the state, so a look begins anew each time. */
#include "group/expiry.h"

#include <stdlib.h>

#include "group/offsets.h"
#include "group/records.h"
#include "metadata/delta.h"

#define NS_PER_MS INT64_C(1000000)

/* A topic that was deleted and whose offsets are being removed. */
struct group_gone_topic {
    struct list link;
    struct uuid id;
    struct str name; /* behind the struct */
};

/* ---- retention ---- */

static bool is_expired(const struct group_offset *value, int64_t since_ms,
                       const struct coord_turn *turn)
{
    if (value->expire_ms != -1) /* given by a client of before version 5 */
        return turn->wall_ms >= value->expire_ms;
    int64_t base_ms = since_ms != -1 ? since_ms : value->commit_ms;
    return coord_ms_since(turn->wall_ms, base_ms) >=
           turn->settings->offsets_retention_minutes * INT64_C(60000);
}

/* Tombstones for what has expired of one group, and for the group when that is all of it.
 * *ret_more: it was too much for one operation. */
static int expire_group(const struct group *group, struct coord_op *op,
                        const struct coord_turn *turn, bool *ret_more)
{
    const struct group_kind *kind = group_kind_of(group);
    int64_t since_ms;
    bool all = true;
    if (group->topic_count > 0 && !kind->offsets_expire(group, &since_ms))
        return 0;
    for (int32_t t = 0; t < group->topic_count; t++) {
        const struct group_topic *topic = group->topics[t];
        bool kept = kind->subscribes(group, topic->name->name);
        for (int32_t p = 0; p < topic->count; p++) {
            const struct group_partition *partition = &topic->partitions[p];
            if (kept || partition->pending || !is_expired(&partition->value, since_ms, turn)) {
                all = false;
                continue;
            }
            if (!offset_tombstone_fits(op, group->id, topic->name->name)) {
                *ret_more = true;
                return 0;
            }
            int err = put_offset_tombstone(op, group->id, topic->name->name, partition->partition);
            if (err != 0)
                return err;
        }
    }
    if (!all || !kind->is_empty(group))
        return 0;
    *ret_more = !group_tombstones_fit(op, group->id);
    return *ret_more ? 0 : kind->put_tombstones(group, op);
}

static int expiry_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                         const struct coord_turn *turn)
{
    struct group_shard *shard = state;
    int32_t looks = 0;
    bool more = false;
    (void)timer;
    if (!shard->expiry_more) { /* a new round */
        shard->expiry_round++;
        shard->expiry_more = true;
    }
    list_for_each (at, &shard->all) {
        struct group *group = container_of(at, struct group, link);
        if (group->looked_at == shard->expiry_round) {
            shard->expiry_more = false;
            break;
        }
        if (more || looks++ == GROUP_EXPIRY_LOOKS_MAX || op->put_count >= GROUP_TOMBSTONES_MAX)
            return 0;
        int err = group->type == GROUP_NONE ? 0 : expire_group(group, op, turn, &more);
        if (err != 0)
            return err;
        if (!more)
            group->looked_at = shard->expiry_round;
    }
    if (!more)
        shard->expiry_more = false;
    return 0;
}

/* What was looked at goes to the end of the list; what is gone is gone. */
static void expiry_settle(struct coord_timer *timer, struct coord_op *op, void *state,
                          const struct coord_turn *turn, int error)
{
    struct group_shard *shard = state;
    int64_t in_ms = error != 0           ? GROUP_RETRY_MS
                    : shard->expiry_more ? 0
                                         : turn->settings->offsets_retention_check_interval_ms;
    (void)op;
    if (error == 0 && shard->expiry_more) {
        for (struct list *first = shard->all.next;
             first != &shard->all &&
             container_of(first, struct group, link)->looked_at == shard->expiry_round;
             first = shard->all.next) {
            list_remove(first);
            list_push_back(&shard->all, first);
        }
    }
    coord_timer_set(shard->shard, timer, turn->now_ns + in_ms * NS_PER_MS);
}

/* ---- deleted topics ---- */

static bool gone_is_of(const struct group_gone_topic *gone, const struct group_offset *value)
{
    return uuid_is_zero(value->topic_id) || uuid_equal(value->topic_id, gone->id);
}

static bool partition_is_gone(const struct group_gone_topic *gone,
                              const struct group_partition *partition)
{
    if (partition->committed && gone_is_of(gone, &partition->value))
        return true;
    for (const struct group_pending *pending = partition->pending; pending; pending = pending->next)
        if (gone_is_of(gone, &pending->value))
            return true;
    return false;
}

static int sweep_topic(const struct group_gone_topic *gone, struct group_topic_name *name,
                       struct coord_op *op)
{
    list_for_each (at, &name->uses) {
        const struct group_topic *topic = container_of(at, struct group_topic, use);
        for (int32_t p = 0; p < topic->count; p++) {
            if (!partition_is_gone(gone, &topic->partitions[p]))
                continue;
            if (!offset_tombstone_fits(op, topic->group->id, name->name))
                return 0;
            int err = put_offset_tombstone(op, topic->group->id, name->name,
                                           topic->partitions[p].partition);
            if (err != 0)
                return err;
        }
    }
    return 0;
}

static struct group_gone_topic *gone_first(const struct group_shard *shard)
{
    return list_empty(&shard->gone) ? NULL
                                    : list_first(&shard->gone, struct group_gone_topic, link);
}

static int sweep_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                        const struct coord_turn *turn)
{
    struct group_shard *shard = state;
    const struct group_gone_topic *gone = gone_first(shard);
    struct group_topic_name **name = gone ? map_find_str(&shard->topics, gone->name) : NULL;
    (void)timer, (void)turn;
    return name ? sweep_topic(gone, *name, op) : 0;
}

static void sweep_settle(struct coord_timer *timer, struct coord_op *op, void *state,
                         const struct coord_turn *turn, int error)
{
    struct group_shard *shard = state;
    struct group_gone_topic *gone = gone_first(shard);
    if (error != 0) {
        coord_timer_set(shard->shard, timer, turn->now_ns + GROUP_RETRY_MS * NS_PER_MS);
        return;
    }
    if (gone && op->put_count == 0) { /* nothing was left of it */
        list_remove(&gone->link);
        free(gone);
    }
    if (!list_empty(&shard->gone))
        coord_timer_set(shard->shard, timer, turn->now_ns);
}

/* Whether it is at the end of the list already, among others of its name. */
static bool gone_added(const struct group_shard *shard, struct str name, struct uuid id)
{
    for (const struct list *at = shard->gone.prev; at != &shard->gone; at = at->prev) {
        const struct group_gone_topic *gone = container_of(at, struct group_gone_topic, link);
        if (!str_equal(gone->name, name))
            return false;
        if (uuid_equal(gone->id, id))
            return true;
    }
    return false;
}

static void gone_add(struct group_shard *shard, struct str name, struct uuid id,
                     const struct coord_turn *turn)
{
    if (gone_added(shard, name, id))
        return;
    struct group_gone_topic *gone = group_alloc(sizeof *gone + (size_t)name.size);
    if (name.size > 0)
        memcpy(gone + 1, name.data, (size_t)name.size);
    gone->name = (struct str){(const char *)(gone + 1), name.size};
    gone->id = id;
    list_push_back(&shard->gone, &gone->link);
    coord_timer_set(shard->shard, &shard->sweep, turn->now_ns);
}

static void image_keep(struct group_shard *shard, const struct image *image)
{
    const struct image *before = shard->image;
    shard->image = image ? image_ref(image) : NULL;
    image_unref(before);
}

void expiry_image_changed(void *state, const struct coord_turn *turn)
{
    struct group_shard *shard = state;
    struct image_delta delta;
    struct arena arena;
    if (!shard->image || !turn->image) {
        image_keep(shard, turn->image);
        return;
    }
    arena_init(&arena, 0);
    image_diff(shard->image, turn->image, &arena, &delta);
    for (int32_t i = 0; i < delta.topic_count; i++) {
        const struct topic_image *before = delta.topics[i].before;
        if (before && !delta.topics[i].after && map_find_str(&shard->topics, before->name))
            gone_add(shard, before->name, before->id, turn);
    }
    arena_close(&arena);
    image_keep(shard, turn->image);
}

/* A topic may have been deleted while nobody led this partition, or just before the broker stopped.
 * Offsets that carry an id tell. */
static void find_gone(struct group_shard *shard, const struct coord_turn *turn)
{
    for (struct map_at at = map_begin(&shard->topics); map_next(&shard->topics, &at);) {
        const struct group_topic_name *name = *(struct group_topic_name **)at.value;
        struct uuid good = {0}; /* one that was found: offsets of a name nearly all have the same */
        list_for_each (use, &name->uses) {
            const struct group_topic *topic = container_of(use, struct group_topic, use);
            for (int32_t p = 0; p < topic->count; p++) {
                const struct group_partition *partition = &topic->partitions[p];
                struct uuid id = partition->value.topic_id;
                if (!partition->committed || uuid_is_zero(id) || uuid_equal(id, good))
                    continue;
                if (image_topic(turn->image, id))
                    good = id;
                else
                    gone_add(shard, name->name, id, turn);
            }
        }
    }
}

/* ---- life ---- */

void expiry_init(struct group_shard *shard)
{
    list_init(&shard->gone);
    coord_timer_init(&shard->expiry);
    shard->expiry.decide = expiry_decide;
    shard->expiry.settle = expiry_settle;
    coord_timer_init(&shard->sweep);
    shard->sweep.decide = sweep_decide;
    shard->sweep.settle = sweep_settle;
}

void expiry_close(struct group_shard *shard)
{
    struct list *link;
    while ((link = list_pop(&shard->gone)))
        free(container_of(link, struct group_gone_topic, link));
    image_unref(shard->image);
}

void expiry_loaded(struct group_shard *shard, const struct coord_turn *turn)
{
    image_keep(shard, turn->image);
    if (turn->image)
        find_gone(shard, turn);
    coord_timer_set(shard->shard, &shard->expiry,
                    turn->now_ns + turn->settings->offsets_retention_check_interval_ms * NS_PER_MS);
}
