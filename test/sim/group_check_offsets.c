/* Committed offsets: each partition of a group is a register whose values are written once each (a
 * commit's metadata is of this commit only). Such a register is linearizable if and only if the
 * zones of its values allow it (Gibbons and Korach, "Testing Shared Memories", 1997): a value's
 * zone reaches from the first end to the last beginning of its write and reads. If it is forward,
 * the register held the value throughout. No two forward zones overlap, and no backward zone lies
 * within a forward one. */
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"
#include "group_history.h"

/* A value of the register. */
struct value {
    const struct group_event *commit; /* NULL: before the first commit */
    int64_t offset;
    int64_t first_end_ns, last_begin_ns;
    bool seen; /* it was acknowledged or read: it was there */
};

struct offsets {
    const struct group_history *history;
    int32_t group, partition;
    struct value *values;
    int32_t count;
    int32_t *by_tag; /* name → value */
    struct value **forward, **backward;
    char *why;
    size_t why_size;
};

static bool fail(const struct offsets *offsets, const char *what, const struct value *value,
                 const struct value *other)
{
    snprintf(
        offsets->why, offsets->why_size,
        "group %s partition %d: offset %lld (%s) %s offset %lld (%s)",
        group_history_name(offsets->history, offsets->group), offsets->partition,
        (long long)value->offset,
        group_history_name(offsets->history, value->commit ? value->commit->tag : -1), what,
        (long long)(other ? other->offset : -1),
        group_history_name(offsets->history, other && other->commit ? other->commit->tag : -1));
    return false;
}

/* The coordinator has said that it did not do it. Other errors leave it open. */
static bool is_refused(const struct group_event *commit)
{
    switch (commit->error) {
    case KAFKA_ILLEGAL_GENERATION:
    case KAFKA_UNKNOWN_MEMBER_ID:
    case KAFKA_FENCED_INSTANCE_ID:
    case KAFKA_REBALANCE_IN_PROGRESS:
    case KAFKA_STALE_MEMBER_EPOCH:
    case KAFKA_GROUP_ID_NOT_FOUND:
    case KAFKA_OFFSET_METADATA_TOO_LARGE:
        return true;
    default:
        return false;
    }
}

static bool is_of(const struct offsets *offsets, const struct group_event *event, enum group_op op)
{
    return event->op == op && event->group == offsets->group &&
           event->partition == offsets->partition;
}

static void add_commits(struct offsets *offsets)
{
    const struct group_history *history = offsets->history;
    offsets->values[0] =
        (struct value){.offset = -1, .first_end_ns = -1, .last_begin_ns = -1, .seen = true};
    offsets->count = 1;
    for (int32_t i = 0; i < history->event_count; i++) {
        const struct group_event *commit = &history->events[i];
        if (!is_of(offsets, commit, GROUP_COMMIT))
            continue;
        offsets->by_tag[commit->tag] = offsets->count;
        offsets->values[offsets->count++] = (struct value){
            .commit = commit,
            .offset = commit->offset,
            .first_end_ns = commit->error == 0 ? commit->end_ns : GROUP_OPEN,
            .last_begin_ns = commit->begin_ns,
            .seen = commit->error == 0,
        };
    }
}

static bool add_fetches(struct offsets *offsets)
{
    const struct group_history *history = offsets->history;
    for (int32_t i = 0; i < history->event_count; i++) {
        const struct group_event *fetch = &history->events[i];
        if (!is_of(offsets, fetch, GROUP_FETCH) || fetch->error != 0)
            continue;
        const struct value answer = {.offset = fetch->offset};
        int32_t place = fetch->offset < 0 ? 0 : fetch->tag < 0 ? -1 : offsets->by_tag[fetch->tag];
        if (place < 0 || (place == 0 && fetch->offset >= 0))
            return fail(offsets, "is read, and nobody has committed it", &answer, NULL);
        struct value *value = &offsets->values[place];
        if (value->offset != fetch->offset)
            return fail(offsets, "is read with the metadata of", &answer, value);
        if (value->commit && is_refused(value->commit))
            return fail(offsets, "is read, and its commit was refused", value, NULL);
        if (value->commit && fetch->end_ns < value->commit->begin_ns)
            return fail(offsets, "is read before it is committed", value, NULL);
        value->seen = true;
        if (fetch->end_ns < value->first_end_ns)
            value->first_end_ns = fetch->end_ns;
        if (fetch->begin_ns > value->last_begin_ns)
            value->last_begin_ns = fetch->begin_ns;
    }
    return true;
}

static int by_first_end(const void *a, const void *b)
{
    const struct value *one = *(struct value *const *)a, *other = *(struct value *const *)b;
    return one->first_end_ns < other->first_end_ns ? -1 : one->first_end_ns > other->first_end_ns;
}

static bool check_zones(struct offsets *offsets)
{
    int32_t forward = 0, backward = 0;
    for (int32_t i = 0; i < offsets->count; i++) {
        struct value *value = &offsets->values[i];
        if (value->seen && value->first_end_ns < value->last_begin_ns)
            offsets->forward[forward++] = value;
        else if (value->seen && value->commit)
            offsets->backward[backward++] = value;
    }
    qsort(offsets->forward, (size_t)forward, sizeof *offsets->forward, by_first_end);
    for (int32_t i = 1; i < forward; i++)
        if (offsets->forward[i]->first_end_ns < offsets->forward[i - 1]->last_begin_ns)
            return fail(offsets, "is read again after", offsets->forward[i - 1],
                        offsets->forward[i]);
    for (int32_t i = 0; i < backward; i++) {
        const struct value *value = offsets->backward[i];
        for (int32_t j = 0; j < forward; j++)
            if (offsets->forward[j]->first_end_ns < value->last_begin_ns &&
                value->first_end_ns < offsets->forward[j]->last_begin_ns)
                return fail(offsets, "is acknowledged and lost; read is", value,
                            offsets->forward[j]);
    }
    return true;
}

/* A commit whose answer was never heard may have been under way for long, and took effect after
 * `one`: what the network brings late counts while its member is in its generation, in Kafka, too.
 * Whoever read it went on from there, to `other`. */
static bool is_after_a_late_one(const struct offsets *offsets, const struct value *one,
                                const struct value *other)
{
    for (int32_t i = 1; i < offsets->count; i++) {
        const struct value *late = &offsets->values[i];
        if (late->commit->error != 0 && late->seen && late->offset <= other->offset &&
            late->commit->begin_ns < one->first_end_ns && late->last_begin_ns > one->first_end_ns)
            return true;
    }
    return false;
}

/* Whoever owns a partition goes on from what it read, so positions rise, from call to call and from
 * generation to generation. A member of the consumer protocol may name an older epoch for what it
 * has held ever since (KIP-1251). */
static bool check_order(const struct offsets *offsets)
{
    for (int32_t i = 1; i < offsets->count; i++)
        for (int32_t j = 1; j < offsets->count; j++) {
            const struct value *one = &offsets->values[i], *other = &offsets->values[j];
            if (!one->seen || !other->seen || one->offset <= other->offset ||
                is_after_a_late_one(offsets, one, other))
                continue;
            if (one->first_end_ns < other->commit->begin_ns)
                return fail(offsets, "goes back to", one, other);
            if (one->commit->generation >= 0 && one->commit->member != other->commit->member &&
                one->commit->generation < other->commit->generation)
                return fail(offsets, "of an older generation stands beside", one, other);
        }
    return true;
}

static bool check_partition(struct offsets *offsets)
{
    add_commits(offsets);
    return add_fetches(offsets) && check_zones(offsets) && check_order(offsets);
}

bool group_check_offsets(const struct group_history *history, char *ret_why, size_t why_size)
{
    size_t room = (size_t)history->event_count + 1;
    struct offsets offsets = {.history = history,
                              .values = calloc(room, sizeof(struct value)),
                              .forward = calloc(room, sizeof(struct value *)),
                              .backward = calloc(room, sizeof(struct value *)),
                              .by_tag = calloc((size_t)history->name_count + 1, sizeof(int32_t)),
                              .why = ret_why,
                              .why_size = why_size};
    uint64_t *used =
        calloc((size_t)history->name_count + 1, sizeof *used); /* partitions by group */
    bool well = true;
    must(offsets.values && offsets.forward && offsets.backward && offsets.by_tag && used);
    for (int32_t i = 0; i < history->event_count; i++) {
        const struct group_event *event = &history->events[i];
        if (event->op == GROUP_COMMIT || event->op == GROUP_FETCH)
            used[event->group] |= UINT64_C(1) << event->partition;
    }
    for (offsets.group = 0; well && offsets.group < history->name_count; offsets.group++)
        for (offsets.partition = 0; well && offsets.partition < GROUP_PARTITIONS_MAX;
             offsets.partition++)
            if (used[offsets.group] >> offsets.partition & 1)
                well = check_partition(&offsets);
    free(offsets.values);
    free(offsets.forward);
    free(offsets.backward);
    free(offsets.by_tag);
    free(used);
    return well;
}
