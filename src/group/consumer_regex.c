/* Invariants:
 * 1. consumer_group.refresh is the one refresh under way of this group, NULL when there is none. A
 *    refresh finds its group by id and goes on only if it is that one: the group may be gone, or
 *    another one of its name may be there.
 * 2. The pool knows the refresh alone: copies of the expressions, and an image that is its own. */
#include "group/consumer_regex.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "group/consumer_memory.h"
#include "group/consumer_metadata.h"
#include "group/consumer_records.h"
#include "group/group.h"
#include "group/names.h"
#include "regex/regex.h"

struct resolution {
    struct str regex;
    struct str_array topics; /* ascending */
    bool known;
};

struct consumer_refresh {
    struct coord_task task;
    struct coord_shard *shard;
    const struct image *image;
    struct arena arena;
    struct str group;
    struct resolution *items;
    int32_t count;
    int64_t began_wall_ms;
};

/* ---- a member's expression ---- */

int consumer_regex_change(struct coord_op *op, const struct consumer_group *consumer,
                          struct str group, struct str before, struct str after, int compile_error,
                          enum consumer_regex_change *ret_change)
{
    const struct consumer_regex *old = consumer ? consumer_regex_find(consumer, before) : NULL;
    const struct consumer_regex *new = consumer ? consumer_regex_find(consumer, after) : NULL;
    *ret_change = CONSUMER_REGEX_SAME;
    if (str_equal(before, after))
        return 0;
    *ret_change = CONSUMER_REGEX_CHANGED;
    int err = old && old->members == 1 ? put_consumer_regex_tombstone(op, group, before) : 0;
    if (err == 0 && after.size > 0 && (!new || new->members == 0))
        return compile_error;
    if (after.size == 0 || new->resolved)
        *ret_change = CONSUMER_REGEX_CHANGED_RESOLVED;
    return err;
}

/* ---- on the pool ---- */

static bool is_late(const struct consumer_refresh *refresh, int64_t deadline_ns)
{
    return coord_shard_is_deposed(refresh->shard) ||
           env_now_ns(coord_shard_env(refresh->shard)) > deadline_ns;
}

static bool resolve(struct consumer_refresh *refresh, struct resolution *item,
                    const struct regex *regex, int64_t deadline_ns)
{
    const struct topic_image *topic;
    struct tree_cursor cursor;
    struct str_array *topics = &item->topics;
    topics->items = arena_array(&refresh->arena, (size_t)image_topic_count(refresh->image),
                                sizeof *topics->items);
    must(topics->items);
    topics_from(refresh->image, STR(""), &cursor);
    while ((topic = topics_next(refresh->image, &cursor))) {
        if (is_late(refresh, deadline_ns))
            return false;
        if (regex_matches(regex, topic->name.data, (size_t)topic->name.size))
            topics->items[topics->count++] = topic->name;
    }
    return true;
}

static void refresh_work(struct coord_task *task)
{
    struct consumer_refresh *refresh = container_of(task, struct consumer_refresh, task);
    int64_t deadline_ns =
        env_now_ns(coord_shard_env(refresh->shard)) + CONSUMER_REGEX_MATCH_MS * INT64_C(1000000);
    for (int32_t i = 0; i < refresh->count; i++) {
        struct resolution *item = &refresh->items[i];
        struct regex *regex;
        if (is_late(refresh, deadline_ns))
            return;
        int err = regex_compile(item->regex.data, (size_t)item->regex.size, &regex, NULL);
        item->known = err == -EINVAL; /* to another broker it was one: it stands for nothing */
        if (err != 0)
            continue;
        item->known = resolve(refresh, item, regex, deadline_ns);
        regex_destroy(regex);
    }
}

/* ---- what came of it ---- */

static struct consumer_group *refreshed(struct group_shard *shard,
                                        const struct consumer_refresh *refresh)
{
    struct consumer_group *consumer = consumer_group_of(group_find(shard, refresh->group));
    return consumer && consumer->refresh == refresh ? consumer : NULL;
}

static int put_resolutions(struct coord_op *op, const struct consumer_refresh *refresh,
                           const struct consumer_group *consumer, const struct coord_turn *turn,
                           bool *ret_changed)
{
    int64_t held = 0;
    for (int32_t i = 0; i < refresh->count; i++) {
        struct resolution *item = &refresh->items[i];
        const struct consumer_regex *regex = consumer_regex_find(consumer, item->regex);
        if (!item->known || !regex || regex->members == 0)
            continue; /* nobody wants it any more */
        int64_t bytes =
            consumer_resolution_bytes(item->topics) - consumer_resolution_bytes(regex->topics);
        item->known = group_may_hold(consumer->shard, turn, bytes > 0 ? held + bytes : 0);
        if (!item->known)
            continue;
        held += bytes;
        *ret_changed = *ret_changed || !names_equal(regex->topics, item->topics);
        int err = put_consumer_regex(op, refresh->group, item->regex, item->topics,
                                     refresh->image->offset, refresh->began_wall_ms);
        if (err != 0)
            return err;
    }
    return 0;
}

static struct str_array topics_of(const struct consumer_refresh *refresh,
                                  const struct consumer_regex *regex)
{
    for (int32_t i = 0; i < refresh->count; i++)
        if (refresh->items[i].known && str_equal(refresh->items[i].regex, regex->regex))
            return refresh->items[i].topics;
    return regex->topics;
}

/* All that members want once these resolutions are in. */
static struct str_array names_then(struct consumer_refresh *refresh,
                                   const struct consumer_group *consumer)
{
    size_t room = map_count(&consumer->topics);
    struct map_at at = map_begin(&consumer->regexes);
    while (map_next(&consumer->regexes, &at))
        room += (size_t)topics_of(refresh, *(struct consumer_regex **)at.value).count;
    struct str_array names = {arena_array(&refresh->arena, room, sizeof *names.items), 0};
    must(names.items);
    for (at = map_begin(&consumer->topics); map_next(&consumer->topics, &at);) {
        const struct consumer_topic *topic = *(struct consumer_topic **)at.value;
        if (topic->by_name > 0)
            names.items[names.count++] = topic->name;
    }
    for (at = map_begin(&consumer->regexes); map_next(&consumer->regexes, &at);) {
        const struct consumer_regex *regex = *(struct consumer_regex **)at.value;
        struct str_array topics = topics_of(refresh, regex);
        for (int32_t i = 0; regex->members > 0 && i < topics.count; i++)
            names.items[names.count++] = topics.items[i];
    }
    names_sort_once(&names);
    return names;
}

static int refresh_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct consumer_refresh *refresh = container_of(op, struct consumer_refresh, task.op);
    const struct consumer_group *consumer = refreshed(state, refresh);
    bool changed = false;
    if (!consumer)
        return 0;
    int err = put_resolutions(op, refresh, consumer, turn, &changed);
    if (err != 0)
        return err;
    int64_t hash =
        consumer_metadata_hash(turn->image, names_then(refresh, consumer), &refresh->arena);
    if (!changed && hash == consumer->metadata_hash)
        return 0;
    return put_consumer_group(op, refresh->group, consumer_epoch_after(consumer->epoch), hash);
}

static void refresh_settle(struct coord_op *op, void *state, const struct coord_turn *turn,
                           int error)
{
    struct consumer_refresh *refresh = container_of(op, struct consumer_refresh, task.op);
    const struct group_shard *shard = state;
    struct consumer_group *consumer = refreshed(state, refresh);
    int32_t unknown = 0;
    (void)turn;
    if (consumer)
        consumer->refresh = NULL;
    for (int32_t i = 0; i < refresh->count; i++)
        unknown += !refresh->items[i].known;
    if (error != 0 || (unknown > 0 && consumer))
        say_warn(coord_shard_say(shard->shard), "expressions of a group were not resolved",
                 kv_str("group", refresh->group), kv_int("expressions", unknown),
                 kv_int("error", error));
}

static void refresh_ended(struct coord_task *task, int error)
{
    struct consumer_refresh *refresh = container_of(task, struct consumer_refresh, task);
    (void)error;
    image_unref(refresh->image);
    coord_shard_unref(refresh->shard);
    arena_close(&refresh->arena);
    free(refresh);
}

/* ---- when ---- */

/* Some member has an expression, the last refresh is not too recent, and it is not resolved, or
 * there may be topics that it was not matched against, or it is simply long ago. */
static bool is_due(const struct group_shard *shard, const struct consumer_group *consumer,
                   const struct coord_turn *turn)
{
    int64_t last_ms = consumer->refreshed_wall_ms, version = INT64_MAX;
    bool any = false, unresolved = false;
    for (struct map_at at = map_begin(&consumer->regexes); map_next(&consumer->regexes, &at);) {
        const struct consumer_regex *regex = *(struct consumer_regex **)at.value;
        if (regex->members == 0)
            continue;
        any = true;
        unresolved = unresolved || !regex->resolved;
        if (regex->resolved && regex->timestamp_ms > last_ms)
            last_ms = regex->timestamp_ms;
        if (regex->resolved && regex->version < version)
            version = regex->version;
    }
    int64_t since_ms = turn->wall_ms - last_ms;
    if (!any || (last_ms > 0 && since_ms <= CONSUMER_REGEX_REFRESH_MS && since_ms >= 0))
        return false;
    return unresolved || version < shard->new_topics_offset ||
           since_ms > turn->settings->group_consumer_regex_refresh_interval_ms;
}

static struct consumer_refresh *refresh_create(const struct group_shard *shard,
                                               const struct consumer_group *consumer,
                                               const struct coord_turn *turn)
{
    struct consumer_refresh *refresh = group_alloc(sizeof *refresh);
    refresh->shard = coord_shard_ref(shard->shard);
    refresh->image = image_ref(turn->image);
    refresh->began_wall_ms = turn->wall_ms;
    arena_init(&refresh->arena, 0);
    refresh->group = arena_str(&refresh->arena, consumer->group->id);
    refresh->items =
        arena_array(&refresh->arena, map_count(&consumer->regexes), sizeof *refresh->items);
    must(refresh->group.data && refresh->items);
    for (struct map_at at = map_begin(&consumer->regexes); map_next(&consumer->regexes, &at);) {
        const struct consumer_regex *regex = *(struct consumer_regex **)at.value;
        if (regex->members == 0)
            continue;
        struct resolution *item = &refresh->items[refresh->count++];
        item->regex = arena_str(&refresh->arena, regex->regex);
        must(item->regex.data);
    }
    coord_op_init(&refresh->task.op);
    refresh->task.op.access = COORD_WRITE;
    refresh->task.op.decide = refresh_decide;
    refresh->task.op.settle = refresh_settle;
    refresh->task.work = refresh_work;
    refresh->task.ended = refresh_ended;
    return refresh;
}

void consumer_regex_look(struct group_shard *shard, struct consumer_group *consumer,
                         const struct coord_turn *turn)
{
    if (map_count(&consumer->regexes) == 0 || consumer->refresh || !turn->image ||
        !is_due(shard, consumer, turn))
        return;
    consumer->refresh = refresh_create(shard, consumer, turn);
    consumer->refreshed_wall_ms = turn->wall_ms;
    coord_task_start(shard->shard, &consumer->refresh->task, coord_shard_wakes(shard->shard));
}
