/* Generations and members. Each rule is a pass over the events of one group. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/must.h"
#include "group_history.h"

#define MS INT64_C(1000000)

/* What is known of a member id. */
struct person {
    int32_t instance;
    int32_t session_ms, rebalance_ms;
    int64_t born_ns,
        known_ns;        /* its first accepted join: begin and end; known_ns GROUP_OPEN: none */
    int64_t assigned_ns; /* the end of its first accepted sync */
};

struct check {
    const struct group_history *history;
    int32_t group;
    struct person *persons;            /* by name */
    const struct group_event **events; /* of the group, as they began */
    int32_t count;
    const struct group_event **entries; /* accepted joins and syncs among them */
    int32_t entry_count;
    const struct group_event **reloads;
    int32_t reload_count;
    bool plans_known;
    char *why;
    size_t why_size;
};

static bool fail(const struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool fail(const struct check *check, const char *format, ...)
{
    va_list arguments;
    int size = snprintf(check->why, check->why_size,
                        "group %s: ", group_history_name(check->history, check->group));
    va_start(arguments, format);
    if (size > 0 && (size_t)size < check->why_size)
        vsnprintf(check->why + size, check->why_size - (size_t)size, format, arguments);
    va_end(arguments);
    return false;
}

static const char *name_of(const struct check *check, int32_t number)
{
    return group_history_name(check->history, number);
}

/* The coordinator took it as from a member of this generation. */
static bool is_accepted(const struct group_event *event)
{
    switch (event->op) {
    case GROUP_JOIN:
    case GROUP_SYNC:
        return event->error == 0;
    case GROUP_BEAT:
        return event->error == 0 || event->error == KAFKA_REBALANCE_IN_PROGRESS;
    case GROUP_COMMIT:
        return event->error == 0 && event->generation >= 0;
    default:
        return false;
    }
}

static bool reload_within(const struct check *check, int64_t from_ns, int64_t to_ns)
{
    for (int32_t i = 0; i < check->reload_count; i++)
        if (check->reloads[i]->begin_ns <= to_ns && check->reloads[i]->end_ns >= from_ns)
            return true;
    return false;
}

static bool same_place(const struct check *check, int32_t a, int32_t b)
{
    int32_t instance = check->persons[a].instance;
    return a == b || (instance >= 0 && instance == check->persons[b].instance);
}

/* ---- 1: assignments ---- */

/* Whether the id was made for this instance. Nobody else may know: its owner may never have got the
 * answer with the id, and old leaders are not told of instances. */
static bool is_of_instance(const struct check *check, int32_t member, int32_t instance)
{
    const char *prefix = name_of(check, instance), *id = name_of(check, member);
    size_t size = strlen(prefix);
    return instance >= 0 && strncmp(id, prefix, size) == 0 && id[size] == '-';
}

static bool agrees(const struct check *check, const struct group_event *plan,
                   const struct group_event *sync)
{
    uint64_t partitions = 0;
    for (int32_t i = 0; i < plan->plan_count; i++) {
        const struct group_share *share = &plan->plan[i];
        if (share->member == sync->member)
            return share->partitions == sync->owned;
        if (is_of_instance(check, share->member, check->persons[sync->member].instance))
            partitions = share->partitions; /* of who was there before */
    }
    return partitions == sync->owned;
}

static bool is_sync_of(const struct group_event *event, int32_t generation)
{
    return event->op == GROUP_SYNC && event->generation == generation;
}

/* One of the plans that were sent is what all were given. */
static bool check_plans(const struct check *check, int32_t generation)
{
    bool any = false;
    for (int32_t i = 0; i < check->count; i++) {
        const struct group_event *plan = check->events[i];
        bool all = is_sync_of(plan, generation) && plan->plan_count > 0;
        for (int32_t j = 0; all && j < check->entry_count; j++)
            if (is_sync_of(check->entries[j], generation))
                all = agrees(check, plan, check->entries[j]);
        if (all)
            return true;
    }
    for (int32_t i = 0; i < check->entry_count; i++)
        any |= is_sync_of(check->entries[i], generation) && check->entries[i]->owned != 0;
    return !any || fail(check, "generation %d: members are given what no leader gave", generation);
}

static bool check_assignments(const struct check *check)
{
    int32_t last = -1;
    for (int32_t i = 0; i < check->entry_count; i++) {
        const struct group_event *one = check->entries[i];
        if (one->op != GROUP_SYNC)
            continue;
        for (int32_t j = 0; j < i; j++) {
            const struct group_event *other = check->entries[j];
            if (!is_sync_of(other, one->generation))
                continue;
            if (other->member == one->member && other->owned != one->owned)
                return fail(check, "generation %d: %s is given two assignments", one->generation,
                            name_of(check, one->member));
            if (!same_place(check, one->member, other->member) && (one->owned & other->owned) != 0)
                return fail(check, "generation %d: partition %d has two owners", one->generation,
                            __builtin_ctzll(one->owned & other->owned));
        }
        if (check->plans_known && one->generation != last && !check_plans(check, one->generation))
            return false;
        last = one->generation;
    }
    return true;
}

/* Two who were both told that they lead, unless one took the other's place or a reload came. */
static bool check_leaders(const struct check *check)
{
    for (int32_t i = 0; i < check->entry_count; i++)
        for (int32_t j = 0; j < i; j++) {
            const struct group_event *one = check->entries[i], *other = check->entries[j];
            if (one->op == GROUP_JOIN && other->op == GROUP_JOIN && one->leads && other->leads &&
                one->generation == other->generation &&
                !same_place(check, one->member, other->member) &&
                !reload_within(check, other->begin_ns, one->end_ns))
                return fail(check, "generation %d has two leaders, %s and %s", one->generation,
                            name_of(check, other->member), name_of(check, one->member));
        }
    return true;
}

/* ---- 2: generations ---- */

static bool check_generations(const struct check *check)
{
    for (int32_t i = 0; i < check->count; i++) {
        const struct group_event *event = check->events[i];
        if (!is_accepted(event))
            continue;
        for (int32_t j = 0; j < check->entry_count; j++) {
            const struct group_event *newer = check->entries[j];
            if (newer->generation <= event->generation || newer->end_ns >= event->begin_ns)
                continue;
            if (newer->op == GROUP_SYNC || !reload_within(check, newer->begin_ns, event->end_ns))
                return fail(
                    check,
                    "%s is taken for a member of generation %d at %lld, after generation %d "
                    "was there",
                    name_of(check, event->member), event->generation, (long long)event->begin_ns,
                    newer->generation);
        }
    }
    return true;
}

/* ---- 3: who is a member ---- */

static bool check_leavers(const struct check *check)
{
    for (int32_t i = 0; i < check->count; i++) {
        const struct group_event *leave = check->events[i];
        if (leave->op != GROUP_LEAVE || leave->error != 0)
            continue;
        for (int32_t j = i + 1; j < check->count; j++) {
            const struct group_event *event = check->events[j];
            if (is_accepted(event) && event->member == leave->member &&
                event->begin_ns > leave->end_ns &&
                !reload_within(check, leave->begin_ns, event->end_ns))
                return fail(check, "%s has left and is still taken for a member at %lld",
                            name_of(check, event->member), (long long)event->begin_ns);
        }
    }
    return true;
}

static bool is_fenced(const struct check *check, int32_t member, int32_t by,
                      const struct group_event *event)
{
    const struct person *old = &check->persons[member], *new = &check->persons[by];
    if (old->known_ns >= new->born_ns || new->known_ns >= event->begin_ns)
        return false;
    return new->assigned_ns < event->begin_ns || !reload_within(check, new->born_ns, event->end_ns);
}

static bool check_statics(const struct check *check)
{
    for (int32_t i = 0; i < check->count; i++) {
        const struct group_event *event = check->events[i];
        if (!is_accepted(event) || check->persons[event->member].instance < 0)
            continue;
        for (int32_t j = 0; j < check->entry_count; j++) {
            const struct group_event *join = check->entries[j];
            if (join->op == GROUP_JOIN && join->member != event->member &&
                same_place(check, join->member, event->member) &&
                is_fenced(check, event->member, join->member, event))
                return fail(check, "%s is taken for a member at %lld, after %s took its place",
                            name_of(check, event->member), (long long)event->begin_ns,
                            name_of(check, join->member));
        }
    }
    return true;
}

/* ---- 4: sessions ---- */

/* It was a member with its assignment, in a group that was not preparing another generation. */
static bool is_settled(const struct group_event *event)
{
    return (event->op == GROUP_SYNC || event->op == GROUP_BEAT) && event->error == 0;
}

/* Something else may have ended its membership by then. */
static bool had_another_end(const struct check *check, const struct group_event *last,
                            const struct group_event *refused)
{
    int32_t member = refused->member, instance = check->persons[member].instance;
    for (int32_t i = 0; i < check->count; i++) {
        const struct group_event *event = check->events[i];
        if (event->begin_ns > refused->end_ns)
            break;
        if (event->op == GROUP_LEAVE &&
            (event->member == member || (instance >= 0 && event->instance == instance)))
            return true;
        if (event->op == GROUP_JOIN && instance >= 0 && event->instance == instance &&
            event->member != member && event->end_ns >= last->begin_ns)
            return true;
    }
    return reload_within(check, last->begin_ns, refused->end_ns);
}

static bool check_sessions(const struct check *check)
{
    for (int32_t i = 0; i < check->count; i++) {
        const struct group_event *refused = check->events[i], *last = NULL;
        if (refused->error != KAFKA_UNKNOWN_MEMBER_ID || refused->member < 0 ||
            refused->op == GROUP_LEAVE)
            continue;
        const struct person *person = &check->persons[refused->member];
        int32_t patience_ms =
            person->session_ms < person->rebalance_ms ? person->session_ms : person->rebalance_ms;
        for (int32_t j = i - 1; j >= 0 && !last; j--)
            if (check->events[j]->member == refused->member && is_settled(check->events[j]) &&
                person->assigned_ns <= check->events[j]->end_ns)
                last = check->events[j];
        if (last && refused->end_ns - last->begin_ns < patience_ms * MS &&
            !had_another_end(check, last, refused))
            return fail(check, "%s is thrown out at %lld, %lld ms after it was heard",
                        name_of(check, refused->member), (long long)refused->begin_ns,
                        (long long)((refused->end_ns - last->begin_ns) / MS));
    }
    return true;
}

/* ---- 5: owners ---- */

static bool check_owners(const struct check *check)
{
    for (int32_t i = 0; i < check->count; i++)
        for (int32_t j = 0; check->events[i]->op == GROUP_OWN && j < i; j++) {
            const struct group_event *one = check->events[i], *other = check->events[j];
            if (other->op == GROUP_OWN && other->member != one->member &&
                other->end_ns >= one->begin_ns && (one->owned & other->owned) != 0)
                return fail(check, "partition %d is owned by %s and %s at %lld",
                            __builtin_ctzll(one->owned & other->owned),
                            name_of(check, other->member), name_of(check, one->member),
                            (long long)one->begin_ns);
        }
    return true;
}

/* ---- all of it ---- */

static void meet(struct check *check, const struct group_event *event)
{
    if (event->member < 0)
        return;
    struct person *person = &check->persons[event->member];
    if (event->instance >= 0)
        person->instance = event->instance;
    if (event->op == GROUP_JOIN && event->error == 0) {
        person->session_ms = event->session_ms;
        person->rebalance_ms = event->rebalance_ms;
        if (person->known_ns == GROUP_OPEN) {
            person->born_ns = event->begin_ns;
            person->known_ns = event->end_ns;
        }
    }
    if (event->op == GROUP_SYNC && event->error == 0 && event->end_ns < person->assigned_ns)
        person->assigned_ns = event->end_ns;
}

static void collect(struct check *check)
{
    const struct group_history *history = check->history;
    check->count = check->entry_count = check->reload_count = 0;
    check->plans_known = false;
    for (int32_t i = 0; i < history->name_count; i++)
        check->persons[i] =
            (struct person){.instance = -1, .known_ns = GROUP_OPEN, .assigned_ns = GROUP_OPEN};
    for (int32_t i = 0; i < history->event_count; i++) {
        const struct group_event *event = &history->events[i];
        if (event->op == GROUP_RELOAD)
            check->reloads[check->reload_count++] = event;
        else if (event->group == check->group && event->op != GROUP_FETCH &&
                 event->op != GROUP_HEART && event->member >= 0)
            check->events[check->count++] = event;
    }
    qsort(check->events, (size_t)check->count, sizeof(const struct group_event *),
          group_event_by_begin);
    for (int32_t i = 0; i < check->count; i++) {
        const struct group_event *event = check->events[i];
        meet(check, event);
        check->plans_known |= event->plan_count > 0;
        if ((event->op == GROUP_JOIN || event->op == GROUP_SYNC) && is_accepted(event))
            check->entries[check->entry_count++] = event;
    }
}

static bool is_group(const struct group_history *history, int32_t number)
{
    for (int32_t i = 0; i < history->event_count; i++)
        if (history->events[i].group == number)
            return true;
    return false;
}

bool group_check(const struct group_history *history, char *ret_why, size_t why_size)
{
    size_t events = (size_t)history->event_count + 1;
    struct check check = {.history = history,
                          .why = ret_why,
                          .why_size = why_size,
                          .persons = calloc((size_t)history->name_count + 1, sizeof(struct person)),
                          .events = calloc(events, sizeof(const struct group_event *)),
                          .entries = calloc(events, sizeof(const struct group_event *)),
                          .reloads = calloc(events, sizeof(const struct group_event *))};
    bool well = true;
    must(check.persons && check.events && check.entries && check.reloads);
    for (check.group = 0; well && check.group < history->name_count; check.group++) {
        if (!is_group(history, check.group))
            continue;
        collect(&check);
        well = check_assignments(&check) && check_leaders(&check) && check_generations(&check) &&
               check_leavers(&check) && check_statics(&check) && check_sessions(&check) &&
               check_owners(&check);
    }
    free(check.persons);
    free(check.events);
    free(check.entries);
    free(check.reloads);
    return well && group_check_consumers(history, ret_why, why_size) &&
           group_check_offsets(history, ret_why, why_size);
}
