/* The balanced assignor.
 *
 * Where all members subscribe to the same topics the sizes are known beforehand: every member gets
 * the quota, and so many of them one more as the division leaves. The larger share goes first to
 * those who own more than the quota already, so no other assignment as balanced leaves more
 * partitions where they are.
 *
 * Else what nobody owns goes to the least loaded subscriber, topic by topic, those with the most
 * partitions for each subscriber first; then single partitions move from the most to the least
 * loaded subscriber of a topic as long as that makes the two more equal. What comes out of that
 * depends on who is taken among equals. It is whom Kafka takes, for want of a better reason: so no
 * group is less balanced here, and none is moved about more.
 *
 * Invariants: load[m] is how many places m owns; an owner subscribes to the topic. */
#include <errno.h>
#include <stdlib.h>

#include "group/assignor_spec.h"

/* ---- all members subscribe to the same topics ---- */

static bool is_homogeneous(const struct assignor_spec *spec)
{
    for (int32_t m = 0; m < spec->member_count; m++)
        if (spec->members[m].topic_count != spec->topic_count)
            return false;
    return true;
}

/* How many each member may keep, and then how many it is to get: its share. */
static void share_out(const struct assignor_spec *spec, const int32_t *load, int32_t *share)
{
    int32_t quota = spec->place_count / spec->member_count;
    int32_t extra = spec->place_count % spec->member_count;
    for (int32_t m = 0; m < spec->member_count; m++) {
        share[m] = quota;
        if (extra > 0 && load[m] > quota) {
            share[m]++;
            extra--;
        }
    }
    for (int32_t m = 0; m < spec->member_count && extra > 0; m++) {
        if (share[m] == quota) {
            share[m]++;
            extra--;
        }
    }
}

static int assign_homogeneous(const struct assignor_spec *spec, struct arena *arena,
                              int32_t *owners)
{
    int32_t *load = arena_array(arena, (size_t)spec->member_count, sizeof *load);
    int32_t *share = arena_array(arena, (size_t)spec->member_count, sizeof *share);
    if (!load || !share)
        return -ENOMEM;
    for (int32_t place = 0; place < spec->place_count; place++)
        if (spec->previous[place] != ASSIGNOR_NOBODY)
            load[spec->previous[place]]++;
    share_out(spec, load, share);
    for (int32_t place = 0; place < spec->place_count; place++) {
        int32_t owner = spec->previous[place];
        owners[place] = ASSIGNOR_NOBODY;
        if (owner != ASSIGNOR_NOBODY && share[owner] > 0) {
            share[owner]--;
            owners[place] = owner;
        }
    }
    /* What is left goes round those with room, so that each topic is spread over them. */
    int32_t next = 0;
    for (int32_t place = 0; place < spec->place_count; place++) {
        if (owners[place] != ASSIGNOR_NOBODY)
            continue;
        while (share[next] == 0)
            next = (next + 1) % spec->member_count;
        share[next]--;
        owners[place] = next;
        next = (next + 1) % spec->member_count;
    }
    return 0;
}

/* ---- subscriptions differ ---- */

struct subscribers {
    int32_t *members; /* ascending */
    int32_t count;
};

/* Differences of load up to here are sorted by counting. */
enum { LOADS_COUNTED = 4096 };

struct uniform {
    const struct assignor_spec *spec;
    struct subscribers *subscribers; /* of each topic */
    int32_t *order;                  /* topics in the order in which they are dealt with */
    int32_t *load;                   /* of each member */
    int32_t *sorted;                 /* room for the subscribers of the topic at hand */
    int32_t *starts;                 /* room for the places of loads in that */
    int32_t *chain;                  /* of each member, of the topic at hand: a place, or none */
    int32_t *next;                   /* of each place: the next one in its chain */
    int32_t *owners;
};

static bool subscribers_find(struct uniform *uniform, struct arena *arena)
{
    const struct assignor_spec *spec = uniform->spec;
    for (int32_t m = 0; m < spec->member_count; m++)
        for (int32_t i = 0; i < spec->members[m].topic_count; i++)
            uniform->subscribers[spec->members[m].topics[i]].count++;
    for (int32_t t = 0; t < spec->topic_count; t++) {
        struct subscribers *topic = &uniform->subscribers[t];
        topic->members = arena_array(arena, (size_t)topic->count, sizeof *topic->members);
        if (!topic->members)
            return false;
        topic->count = 0;
    }
    for (int32_t m = 0; m < spec->member_count; m++) {
        for (int32_t i = 0; i < spec->members[m].topic_count; i++) {
            struct subscribers *topic = &uniform->subscribers[spec->members[m].topics[i]];
            topic->members[topic->count++] = m;
        }
    }
    return true;
}

static int id_order(struct uuid a, struct uuid b)
{
    for (int half = 0; half < 2; half++) { /* Java compares two signed numbers */
        int64_t x = (int64_t)load_be64(a.bytes + 8 * half);
        int64_t y = (int64_t)load_be64(b.bytes + 8 * half);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

/* Topics with many partitions for each subscriber first: they weigh most. */
static int topic_order(const void *a, const void *b, void *context)
{
    const struct uniform *uniform = context;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    const struct assignor_topic *topics = uniform->spec->topics;
    int64_t x_subscribers = uniform->subscribers[x].count;
    int64_t y_subscribers = uniform->subscribers[y].count;
    int64_t x_weight = topics[x].partition_count * y_subscribers;
    int64_t y_weight = topics[y].partition_count * x_subscribers;
    if (x_weight != y_weight)
        return x_weight > y_weight ? -1 : 1;
    if (x_subscribers != y_subscribers)
        return x_subscribers < y_subscribers ? -1 : 1;
    return id_order(topics[x].id, topics[y].id);
}

static bool is_subscriber(const struct assignor_member *member, int32_t topic)
{
    int32_t low = 0, high = member->topic_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (member->topics[middle] < topic)
            low = middle + 1;
        else
            high = middle;
    }
    return low < member->topic_count && member->topics[low] == topic;
}

static void keep_what_is_subscribed(struct uniform *uniform)
{
    const struct assignor_spec *spec = uniform->spec;
    for (int32_t t = 0; t < spec->topic_count; t++) {
        for (int32_t p = 0; p < spec->topics[t].partition_count; p++) {
            int32_t place = spec->topics[t].first + p;
            int32_t owner = spec->previous[place];
            if (owner != ASSIGNOR_NOBODY && !is_subscriber(&spec->members[owner], t))
                owner = ASSIGNOR_NOBODY;
            uniform->owners[place] = owner;
            if (owner != ASSIGNOR_NOBODY)
                uniform->load[owner]++;
        }
    }
}

/* ---- levels: the subscribers of one topic by load ----
 *
 * From below, a level takes in all who have so many and hands them out one after the other; then
 * the next level takes in those who have one more, so that whoever was given one is in it again.
 * From above likewise, downwards, without those who were excluded. */
struct levels {
    const struct uniform *uniform;
    int32_t *members; /* ascending by load, then index; those excluded are behind high_end */
    int32_t count;
    int32_t low_end, low_next, low_load;                /* the level from below: [0, low_end) */
    int32_t high_start, high_end, high_next, high_load; /* from above: [high_start, high_end) */
};

static int load_order(const void *a, const void *b, void *context)
{
    const struct uniform *uniform = context;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    if (uniform->load[x] != uniform->load[y])
        return uniform->load[x] < uniform->load[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void find_loads(const struct uniform *uniform, const struct subscribers *topic,
                       int32_t *ret_least, int32_t *ret_most)
{
    *ret_least = *ret_most = uniform->load[topic->members[0]];
    for (int32_t i = 1; i < topic->count; i++) {
        int32_t load = uniform->load[topic->members[i]];
        *ret_least = load < *ret_least ? load : *ret_least;
        *ret_most = load > *ret_most ? load : *ret_most;
    }
}

/* This is done for each topic in each round. Subscribers are ascending by index already, so
 * counting the loads is enough, which are close to each other as a rule. */
static void sort_by_load(struct uniform *uniform, const struct subscribers *topic)
{
    int32_t *members = uniform->sorted, *starts = uniform->starts, least, most;
    find_loads(uniform, topic, &least, &most);
    if (most - least >= LOADS_COUNTED) {
        memcpy(members, topic->members, (size_t)topic->count * sizeof *members);
        qsort_r(members, (size_t)topic->count, sizeof *members, load_order, uniform);
        return;
    }
    memset(starts, 0, (size_t)(most - least + 2) * sizeof *starts);
    for (int32_t i = 0; i < topic->count; i++)
        starts[uniform->load[topic->members[i]] - least + 1]++;
    for (int32_t load = 1; load <= most - least; load++)
        starts[load] += starts[load - 1];
    for (int32_t i = 0; i < topic->count; i++)
        members[starts[uniform->load[topic->members[i]] - least]++] = topic->members[i];
}

static struct levels levels_of(struct uniform *uniform, const struct subscribers *topic)
{
    int32_t *members = uniform->sorted, last = topic->count - 1;
    sort_by_load(uniform, topic);
    return (struct levels){.uniform = uniform,
                           .members = members,
                           .count = topic->count,
                           .low_load = uniform->load[members[0]] - 1,
                           .high_start = topic->count,
                           .high_end = topic->count,
                           .high_next = last,
                           .high_load = uniform->load[members[last]] + 1};
}

static int32_t load_at(const struct levels *levels, int32_t index)
{
    return levels->uniform->load[levels->members[index]];
}

/* Who gets the next one. */
static int32_t levels_low(struct levels *levels)
{
    if (levels->low_next == levels->low_end) {
        levels->low_load++;
        while (levels->low_end < levels->count &&
               load_at(levels, levels->low_end) == levels->low_load)
            levels->low_end++;
        levels->low_next = 0;
    }
    return levels->members[levels->low_next++];
}

/* Who gives one away; nobody when all are excluded. */
static int32_t levels_high(struct levels *levels)
{
    if (levels->high_next < levels->high_start) {
        if (levels->high_end <= levels->high_start && levels->high_start > 0)
            levels->high_load = load_at(levels, levels->high_start - 1);
        else
            levels->high_load--;
        while (levels->high_start > 0 &&
               load_at(levels, levels->high_start - 1) == levels->high_load)
            levels->high_start--;
        levels->high_next = levels->high_end - 1;
    }
    return levels->high_next < 0 ? ASSIGNOR_NOBODY : levels->members[levels->high_next--];
}

/* The one that levels_high gave last has nothing to give. */
static void levels_exclude(struct levels *levels)
{
    int32_t *last = &levels->members[--levels->high_end];
    int32_t *excluded = &levels->members[levels->high_next + 1];
    int32_t member = *excluded;
    *excluded = *last;
    *last = member;
}

static bool levels_meet(const struct levels *levels)
{
    return levels->high_load - levels->low_load <= 1;
}

static void deal_out(struct uniform *uniform, int32_t t)
{
    const struct assignor_topic *topic = &uniform->spec->topics[t];
    int32_t p = 0, end = topic->partition_count;
    while (p < end && uniform->owners[topic->first + p] != ASSIGNOR_NOBODY)
        p++;
    if (p == end || uniform->subscribers[t].count == 0)
        return;
    struct levels levels = levels_of(uniform, &uniform->subscribers[t]);
    for (; p < end; p++) {
        if (uniform->owners[topic->first + p] != ASSIGNOR_NOBODY)
            continue;
        int32_t member = levels_low(&levels);
        uniform->owners[topic->first + p] = member;
        uniform->load[member]++;
    }
}

/* The topic's partitions as chains, one for each owner, the last partition first. What a member
 * gets while the topic is balanced is not in its chain. */
static void chain_places(struct uniform *uniform, int32_t t)
{
    const struct assignor_topic *topic = &uniform->spec->topics[t];
    const struct subscribers *subscribers = &uniform->subscribers[t];
    for (int32_t i = 0; i < subscribers->count; i++)
        uniform->chain[subscribers->members[i]] = ASSIGNOR_NOBODY;
    for (int32_t place = topic->first; place < topic->first + topic->partition_count; place++) {
        int32_t owner = uniform->owners[place];
        uniform->next[place] = uniform->chain[owner];
        uniform->chain[owner] = place;
    }
}

/* Whether anything moved. */
static bool balance_topic(struct uniform *uniform, int32_t t)
{
    bool moved = false;
    int32_t least, most;
    find_loads(uniform, &uniform->subscribers[t], &least, &most);
    if (most - least <= 1)
        return false;
    struct levels levels = levels_of(uniform, &uniform->subscribers[t]);
    chain_places(uniform, t);
    while (!levels_meet(&levels)) {
        int32_t from;
        while ((from = levels_high(&levels)) != ASSIGNOR_NOBODY &&
               uniform->chain[from] == ASSIGNOR_NOBODY)
            levels_exclude(&levels);
        if (from == ASSIGNOR_NOBODY)
            break;
        int32_t place = uniform->chain[from];
        uniform->chain[from] = uniform->next[place];
        int32_t to = levels_low(&levels);
        if (levels_meet(&levels))
            break;
        uniform->owners[place] = to;
        uniform->load[from]--;
        uniform->load[to]++;
        moved = true;
    }
    return moved;
}

/* All topics in turn until one was reached again without a move since. */
static void balance(struct uniform *uniform)
{
    int32_t last = -1;
    for (int round = 0; round < ASSIGNOR_ROUNDS_MAX; round++) {
        for (int32_t i = 0; i < uniform->spec->topic_count; i++) {
            int32_t t = uniform->order[i];
            if (uniform->subscribers[t].count < 2)
                continue;
            if (i == last)
                return;
            if (balance_topic(uniform, t) || last < 0)
                last = i;
        }
    }
}

static int assign_heterogeneous(const struct assignor_spec *spec, struct arena *arena,
                                int32_t *owners)
{
    struct uniform uniform = {
        .spec = spec,
        .owners = owners,
        .subscribers = arena_array(arena, (size_t)spec->topic_count, sizeof *uniform.subscribers),
        .order = arena_array(arena, (size_t)spec->topic_count, sizeof *uniform.order),
        .load = arena_array(arena, (size_t)spec->member_count, sizeof *uniform.load),
        .sorted = arena_array(arena, (size_t)spec->member_count, sizeof *uniform.sorted),
        .starts = arena_array(arena, LOADS_COUNTED + 1, sizeof *uniform.starts),
        .chain = arena_array(arena, (size_t)spec->member_count, sizeof *uniform.chain),
        .next = arena_array(arena, (size_t)spec->place_count, sizeof *uniform.next),
    };
    if (!uniform.subscribers || !uniform.order || !uniform.load || !uniform.sorted ||
        !uniform.starts || !uniform.chain || !uniform.next || !subscribers_find(&uniform, arena))
        return -ENOMEM;
    for (int32_t t = 0; t < spec->topic_count; t++)
        uniform.order[t] = t;
    qsort_r(uniform.order, (size_t)spec->topic_count, sizeof *uniform.order, topic_order, &uniform);
    keep_what_is_subscribed(&uniform);
    for (int32_t i = 0; i < spec->topic_count; i++)
        deal_out(&uniform, uniform.order[i]);
    balance(&uniform);
    return 0;
}

static int assign_uniform(const struct assignor_spec *spec, struct arena *arena,
                          int32_t *ret_owners)
{
    if (spec->member_count == 0 || spec->place_count == 0)
        return 0;
    return is_homogeneous(spec) ? assign_homogeneous(spec, arena, ret_owners)
                                : assign_heterogeneous(spec, arena, ret_owners);
}

const struct assignor uniform_assignor = {"uniform", assign_uniform};
