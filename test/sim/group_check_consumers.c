/* The consumer protocol. Members say what they own in their heartbeats, and the coordinator gives a
 * partition to somebody only when nobody has it any more. So a member has a partition from the
 * answer that gave it until it sends the first heartbeat without it (or leaves, or is refused). */
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/must.h"
#include "group_history.h"

#define MS INT64_C(1000000)

struct tenure {
    int32_t group, member, partition;
    int64_t from_ns, until_ns; /* GROUP_OPEN: it was never given up */
};

struct check {
    const struct group_history *history;
    const struct group_event **hearts; /* as they began */
    int32_t count;
    struct tenure *tenures;
    int32_t tenure_count, tenure_capacity;
    char *why;
    size_t why_size;
};

static const char *name_of(const struct check *check, int32_t number)
{
    return group_history_name(check->history, number);
}

static bool leaves(const struct group_event *heart)
{
    return heart->generation < 0;
}

static bool is_refused(const struct group_event *heart)
{
    return heart->error == KAFKA_UNKNOWN_MEMBER_ID || heart->error == KAFKA_FENCED_MEMBER_EPOCH ||
           heart->error == KAFKA_FENCED_INSTANCE_ID;
}

/* ---- who has what, and from when to when ---- */

static void begin_tenure(struct check *check, const struct group_event *heart, int32_t partition)
{
    if (check->tenure_count == check->tenure_capacity) {
        check->tenure_capacity = check->tenure_capacity * 2 + 64;
        check->tenures =
            realloc(check->tenures, (size_t)check->tenure_capacity * sizeof *check->tenures);
        must(check->tenures);
    }
    check->tenures[check->tenure_count++] =
        (struct tenure){heart->group, heart->member, partition, heart->end_ns, GROUP_OPEN};
}

static void end_tenures(struct check *check, int32_t member, uint64_t kept, int64_t at_ns)
{
    for (int32_t i = 0; i < check->tenure_count; i++) {
        struct tenure *tenure = &check->tenures[i];
        if (tenure->member == member && tenure->until_ns == GROUP_OPEN &&
            !(kept >> tenure->partition & 1))
            tenure->until_ns = at_ns;
    }
}

static uint64_t held(const struct check *check, int32_t member)
{
    uint64_t partitions = 0;
    for (int32_t i = 0; i < check->tenure_count; i++)
        if (check->tenures[i].member == member && check->tenures[i].until_ns == GROUP_OPEN)
            partitions |= UINT64_C(1) << check->tenures[i].partition;
    return partitions;
}

/* A member's heartbeats come one after the other. */
static void follow(struct check *check, const struct group_event *heart)
{
    end_tenures(check, heart->member, leaves(heart) ? 0 : heart->owned, heart->begin_ns);
    if (is_refused(heart))
        end_tenures(check, heart->member, 0, heart->end_ns);
    if (heart->error != 0 || !heart->gives || leaves(heart))
        return;
    uint64_t gained = heart->given & ~held(check, heart->member);
    for (int32_t p = 0; p < GROUP_PARTITIONS_MAX; p++)
        if (gained >> p & 1)
            begin_tenure(check, heart, p);
}

/* ---- rules ---- */

/* Within its tenure the member is heard as an owner after another has got the partition. */
static bool check_tenures(const struct check *check)
{
    for (int32_t i = 0; i < check->tenure_count; i++)
        for (int32_t j = 0; j < check->tenure_count; j++) {
            const struct tenure *old = &check->tenures[i], *new = &check->tenures[j];
            if (old->group != new->group || old->partition != new->partition ||
                old->member == new->member || new->from_ns <= old->from_ns ||
                new->from_ns >= old->until_ns)
                continue;
            for (int32_t k = 0; k < check->count; k++) {
                const struct group_event *heart = check->hearts[k];
                if (heart->member != old->member || heart->error != 0 || leaves(heart) ||
                    heart->begin_ns <= new->from_ns || heart->begin_ns >= old->until_ns)
                    continue;
                snprintf(check->why, check->why_size,
                         "group %s: partition %d is %s's and %s's at %lld",
                         name_of(check, old->group), old->partition, name_of(check, old->member),
                         name_of(check, new->member), (long long)heart->begin_ns);
                return false;
            }
        }
    return true;
}

static bool check_pair(const struct check *check, const struct group_event *one,
                       const struct group_event *other)
{
    const char *what = NULL;
    if (one->end_ns >= other->begin_ns || other->error != 0)
        return true;
    if (one->error == 0 && one->generation == -1 && other->generation > 0)
        what = "has left and is still taken for a member";
    else if (one->error == 0 && !leaves(one) && !leaves(other) && other->epoch < one->epoch)
        what = "is given an older epoch";
    if (!what)
        return true;
    snprintf(check->why, check->why_size, "group %s: %s %s at %lld", name_of(check, one->group),
             name_of(check, one->member), what, (long long)other->begin_ns);
    return false;
}

/* The last heartbeat before it that was taken. */
static bool check_session(const struct check *check, int32_t at)
{
    const struct group_event *refused = check->hearts[at], *last = NULL;
    if (refused->error != KAFKA_UNKNOWN_MEMBER_ID || refused->generation <= 0)
        return true;
    for (int32_t i = at - 1; i >= 0; i--) {
        const struct group_event *heart = check->hearts[i];
        if (heart->member != refused->member)
            continue;
        if (leaves(heart))
            return true;
        if (heart->error == 0) {
            last = heart;
            break;
        }
    }
    if (!last || refused->end_ns - last->begin_ns >= last->session_ms * MS)
        return true;
    snprintf(check->why, check->why_size,
             "group %s: %s is thrown out at %lld, %lld ms after it was heard",
             name_of(check, refused->group), name_of(check, refused->member),
             (long long)refused->begin_ns, (long long)((refused->end_ns - last->begin_ns) / MS));
    return false;
}

static bool check_all(struct check *check)
{
    for (int32_t i = 0; i < check->count; i++)
        follow(check, check->hearts[i]);
    if (!check_tenures(check))
        return false;
    for (int32_t i = 0; i < check->count; i++) {
        if (!check_session(check, i))
            return false;
        for (int32_t j = i + 1; j < check->count; j++)
            if (check->hearts[i]->member == check->hearts[j]->member &&
                !check_pair(check, check->hearts[i], check->hearts[j]))
                return false;
    }
    return true;
}

bool group_check_consumers(const struct group_history *history, char *ret_why, size_t why_size)
{
    struct check check = {
        .history = history,
        .hearts = calloc((size_t)history->event_count + 1, sizeof(const struct group_event *)),
        .why = ret_why,
        .why_size = why_size};
    must(check.hearts);
    for (int32_t i = 0; i < history->event_count; i++)
        if (history->events[i].op == GROUP_HEART)
            check.hearts[check.count++] = &history->events[i];
    qsort(check.hearts, (size_t)check.count, sizeof *check.hearts, group_event_by_begin);
    bool well = check_all(&check);
    free(check.hearts);
    free(check.tenures);
    return well;
}
