/* One group, every member on a connection of its own.
 *
 * `stable`: all send JoinGroup at once, and each goes on when it is answered, whether the others
 * have sent theirs or not. The time is from the first JoinGroup to the last answer to SyncGroup; of
 * it the waits are taken off that group.initial.rebalance.delay.ms asks for: one for the first
 * member, and one more if others came meanwhile.
 *
 * `death`: then one member hangs up and is not heard of any more. The time is from the end of its
 * session to the last answer to SyncGroup of the others. How long members take to notice is their
 * own configured wait, heartbeat.interval.ms, and not in it: from just before the end on one member
 * asks every millisecond, and when it is told of the rebalance the heartbeats of all others are
 * due, too. They hear, join and sync as they would at any other time. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

#include "group_frames.h"
#include "member.h"

#define GIVE_UP_NS (60 * 1000000000ll)
#define STABLE_SESSION_MS 45000
#define DEATH_SESSION_MS 6000
#define MS_NS 1000000ll
#define WATCH_NS (20 * MS_NS) /* before the session ends: when the witness begins to ask often */

struct run {
    struct agents agents;
    struct group group;
    const struct load_options *options;
    bool dies, left;
    int64_t stable_ns; /* when the group was stable the first time */
    int64_t dead_ns;   /* when the session of the dead member ends */
    int64_t heard_ns;  /* when the witness heard of it */
    int64_t done_ns;
};

static struct run *run_of(struct member *member)
{
    return owner_of(member->group, struct run, group);
}

static void heartbeat_due(struct agent *link, int64_t now)
{
    (void)now;
    member_heartbeat(owner_of(link, struct member, link));
}

static void told(struct member *member, int error)
{
    if (error != REBALANCE_IN_PROGRESS)
        die("Heartbeat of member %d: error %d", member->index, error);
    member_join(member);
}

/* One heartbeat of each in the middle of the session keeps the others alive. */
static void other_heard(struct member *member, int error, int64_t now)
{
    (void)now;
    if (error != 0)
        told(member, error);
}

static void witness_heard(struct member *member, int error, int64_t now)
{
    struct run *run = run_of(member);
    if (error == 0) {
        int64_t next = now + MS_NS, watch = run->dead_ns - WATCH_NS;
        agent_set(&member->link, next > watch ? next : watch);
        return;
    }
    run->heard_ns = now;
    told(member, error);
    for (int i = 1; i < run->group.capacity; i++) {
        if (!run->group.members[i].gone)
            member_heartbeat(&run->group.members[i]);
    }
}

/* The answer to the last heartbeat of the one that dies. */
static void victim_heard(struct member *member, int error, int64_t now)
{
    struct run *run = run_of(member);
    if (error != 0)
        die("Heartbeat of member %d: error %d", member->index, error);
    run->dead_ns = now + DEATH_SESSION_MS * MS_NS;
    member->gone = true;
    run->group.count--;
    agent_close(&member->link);
    for (int i = 0; i < run->group.capacity; i++) {
        struct member *other = &run->group.members[i];
        if (other->gone)
            continue;
        other->heard = i == 0 ? witness_heard : other_heard;
        other->link.due = heartbeat_due;
        agent_set(&other->link, now + (DEATH_SESSION_MS / 2 + i) * MS_NS);
    }
}

static void stable(struct group *group, int64_t now)
{
    struct run *run = owner_of(group, struct run, group);
    if (run->stable_ns == 0)
        run->stable_ns = now;
    if (!run->dies || run->dead_ns > 0) {
        run->done_ns = now;
        return;
    }
    struct member *victim = &group->members[group->capacity - 1];
    victim->heard = victim_heard;
    member_heartbeat(victim);
}

static void left(struct agent *link, struct reader *body, int64_t now)
{
    (void)body;
    (void)now;
    run_of(owner_of(link, struct member, link))->left = true;
}

static void turn_until(struct run *run, const bool *flag, const int64_t *time)
{
    int64_t give_up_ns = now_ns() + GIVE_UP_NS;
    while (flag ? !*flag : *time == 0) {
        agents_turn(&run->agents, give_up_ns);
        if (now_ns() >= give_up_ns)
            die("%d of %d members are in generation %d, and nothing happens", run->group.synced,
                run->group.count, (int)run->group.generation);
    }
}

int load_members(const struct load_options *options)
{
    struct run run = {.options = options, .dies = strcmp(options->words[0], "death") == 0};
    struct group *group = &run.group;
    if (!run.dies && strcmp(options->words[0], "stable") != 0)
        die("stable or death, not %s", options->words[0]);
    if (run.dies && options->connections < 2)
        die("the dead member would be the only one");
    agents_init(&run.agents);
    need_descriptors(options->connections);
    snprintf(group->name, sizeof group->name, "%s", options->group);
    group->topic = options->topic;
    group->partitions = options->partitions;
    group->session_timeout_ms = run.dies ? DEATH_SESSION_MS : STABLE_SESSION_MS;
    group->stable = stable;
    await_coordinator(&options->address, OF_GROUPS, group->name);
    group_open(group, &run.agents, &options->address, options->connections);
    for (int i = 0; i < options->connections; i++) {
        member_join(&group->members[i]);
        agents_turn(&run.agents, 0);
    }
    turn_until(&run, NULL, &run.done_ns);
    double stable_ms = (double)(run.stable_ns - group->first_join_ns) / 1e6;
    double waits_ms = options->delay_ms * (options->connections > 1 ? 2 : 1);
    printf("{\"mode\":\"members\",\"members\":%d,\"generation\":%d,\"joins\":%ld,"
           "\"stable_ms\":%.3f,\"waits_ms\":%.0f,\"own_ms\":%.3f",
           options->connections, (int)group->generation, (long)group->joins, stable_ms, waits_ms,
           stable_ms - waits_ms);
    if (run.dies)
        printf(",\"heard_ms\":%.3f,\"death_ms\":%.3f", (double)(run.heard_ns - run.dead_ns) / 1e6,
               (double)(run.done_ns - run.dead_ns) / 1e6);
    puts("}");
    fflush(stdout);
    group_leave(group, left);
    turn_until(&run, &run.left, NULL);
    group_close(group);
    return stable_ms < waits_ms; /* what was taken off was not waited for */
}
