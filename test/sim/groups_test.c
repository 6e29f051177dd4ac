/* Groups of members beside a broker that is killed, loses power, is stopped, paused and cut off;
 * members come and go, fall silent, crash, share instance ids, and commit what they must not.
 *
 * Whatever they did and heard must be what group_history.h says. And whenever the troubles end, the
 * members that are left come to a generation of their own in which every partition has its owner;
 * at the end the coordinator says the same of its groups before and after it has died. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "broker_node.h"
#include "group_audit.h"
#include "history.h"
#include "member.h"
#include "sim/sim_main.h"

#define ROUNDS 5
#define MEMBERS_MAX 5
#define GROUPS GROUP_AUDIT_GROUPS
#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)
#define LIMIT_NS BROKER_NODE_LIMIT_NS
#define ALL_PARTITIONS ((UINT64_C(1) << MEMBER_PARTITIONS) - 1)

static const char *const group_names[GROUPS] = {"alpha", "beta"};
static const char *const instances[] = {"i0", "i1"};

struct world {
    struct sim *sim;
    struct broker_node broker;
    struct group_history *history;
    struct group_audit *audits[2]; /* before the last death of the broker, and after it */
    struct sim_node *members[MEMBERS_MAX], *auditor;
    struct member_plan plans[MEMBERS_MAX];
    int member_count, group_count;
    char delay[64];
    bool consumer[GROUPS]; /* groups of the consumer protocol (KIP-848) */
    char assignment_interval[64];
    const char *overrides[16];
};

static int64_t now_ns(void *context)
{
    const struct world *world = context;
    return sim_now_ns(world->sim);
}

static uint64_t dice(struct world *world, uint64_t limit)
{
    return sim_dice(world->sim, limit);
}

/* ---- troubles ---- */

static enum sim_crash death(const struct world *world)
{
    return world->broker.power ? SIM_POWER : SIM_KILL;
}

static void trouble_member(struct world *world, struct sim_node *member)
{
    switch (dice(world, 6)) {
    case 0:
        sim_crash(member, SIM_KILL);
        break;
    case 1:
        sim_crash_after(member, 1 + (int64_t)dice(world, 300), SIM_KILL);
        break;
    case 2: /* what it has under way is done, and no answer comes */
        sim_block(world->broker.node, member, true);
        break;
    case 3:
        sim_block(member, world->broker.node, true);
        break;
    case 4:
        sim_disconnect(member, world->broker.node);
        break;
    case 5: /* longer than its session, or not */
        sim_pause(member, (int64_t)dice(world, 20) * SECOND);
        break;
    }
}

/* In *ret_reload, when the coordinator may lose its soft state by it. */
static void trouble_broker(struct world *world, struct group_event **ret_reload)
{
    uint64_t kind = dice(world, 6);
    if (kind <= 3)
        *ret_reload = group_history_reload(world->history);
    switch (kind) {
    case 0:
    case 1:
    case 2:
        sim_crash_after(world->broker.node, 1 + (int64_t)dice(world, 6000), death(world));
        break;
    case 3:
        broker_node_stop_and_start(&world->broker);
        break;
    case 4:
        sim_isolate(world->broker.node, true);
        break;
    case 5:
        sim_pause(world->broker.node, (int64_t)dice(world, 12) * SECOND);
        break;
    }
}

static bool is_alive(const struct world *world, int member)
{
    return sim_is_up(world->members[member]) && sim_is_running(world->members[member]);
}

/* Members with one instance id fence each other for ever: one of them at a time. */
static bool has_rival(const struct world *world, int member)
{
    const struct member_plan *plan = &world->plans[member];
    for (int i = 0; i < world->member_count; i++)
        if (i != member && is_alive(world, i) && plan->instance &&
            world->plans[i].instance == plan->instance &&
            strcmp(world->plans[i].group, plan->group) == 0)
            return true;
    return false;
}

static void begin_member(struct world *world, int member)
{
    if (!sim_is_up(world->members[member]))
        sim_restart(world->members[member]);
    world->plans[member].settled = world->plans[member].fenced = false;
    sim_start(world->members[member], member_main, &world->plans[member]);
}

static void heal_broker(struct world *world)
{
    struct broker_node *broker = &world->broker;
    sim_crash_after(broker->node, 0, SIM_KILL);
    sim_isolate(broker->node, false);
    while (!sim_is_up(broker->node)) {
        sim_restart(broker->node);
        broker_node_begin(broker);
        if (dice(world, 4) == 0) /* and again, while it starts */
            sim_crash_after(broker->node, 1 + (int64_t)dice(world, 1500), death(world));
        broker_node_await(broker);
        sim_crash_after(broker->node, 0, SIM_KILL);
    }
}

/* Some of the dead stay dead: the others must go on without them. A rival comes now and then, and
 * throws out who is there. */
static void heal(struct world *world)
{
    for (int i = 0; i < world->member_count; i++) {
        sim_crash_after(world->members[i], 0, SIM_KILL);
        sim_block(world->broker.node, world->members[i], false);
        sim_block(world->members[i], world->broker.node, false);
    }
    heal_broker(world);
    for (int i = 0; i < world->member_count; i++)
        if (!is_alive(world, i) && dice(world, 2) == 0 &&
            (!has_rival(world, i) || dice(world, 4) == 0))
            begin_member(world, i);
}

/* ---- when all is well ---- */

static bool group_settles(const struct world *world, const char *group)
{
    int32_t generation = -1;
    uint64_t owned = 0;
    bool any = false;
    for (int i = 0; i < world->member_count; i++) {
        const struct member_plan *plan = &world->plans[i];
        if (strcmp(plan->group, group) != 0 || !is_alive(world, i))
            continue;
        if (!plan->settled || (any && plan->generation != generation) || (owned & plan->owned) != 0)
            return false;
        generation = plan->generation;
        owned |= plan->owned;
        any = true;
    }
    return !any || owned == ALL_PARTITIONS;
}

static bool all_settle(void *context)
{
    const struct world *world = context;
    for (int g = 0; g < world->group_count; g++)
        if (!group_settles(world, group_names[g]))
            return false;
    return true;
}

static void set_calm(struct world *world, bool calm)
{
    for (int i = 0; i < world->member_count; i++)
        world->plans[i].calm = calm;
}

static int32_t all_commits(const struct world *world)
{
    int32_t count = 0;
    for (int i = 0; i < world->member_count; i++)
        count += world->plans[i].commits;
    return count;
}

struct wish {
    const struct world *world;
    int32_t commits;
};

static bool is_granted(void *context)
{
    const struct wish *wish = context;
    return all_commits(wish->world) >= wish->commits;
}

static bool anybody(const struct world *world)
{
    for (int i = 0; i < world->member_count; i++)
        if (is_alive(world, i))
            return true;
    return false;
}

static void await_calm(struct world *world)
{
    struct wish wish = {world, all_commits(world) + 3};
    set_calm(world, true);
    if (!sim_run_until(world->sim, all_settle, world, LIMIT_NS)) {
        for (int i = 0; i < world->member_count; i++)
            fprintf(stderr, "%s of %s: alive %d settled %d generation %d owned %llx\n",
                    sim_node_name(world->members[i]), world->plans[i].group, is_alive(world, i),
                    world->plans[i].settled, world->plans[i].generation,
                    (unsigned long long)world->plans[i].owned);
        history_fail("a group does not become stable");
    }
    if (anybody(world) && !sim_run_until(world->sim, is_granted, &wish, LIMIT_NS))
        history_fail("no progress: %d commits", all_commits(world));
}

/* ---- the last death ---- */

static bool all_rest(void *context)
{
    const struct world *world = context;
    for (int i = 0; i < world->member_count; i++)
        if (is_alive(world, i) && !world->plans[i].resting)
            return false;
    return true;
}

static bool audit_done(void *context)
{
    const struct world *world = context;
    return !sim_is_running(world->auditor);
}

static void audit(struct world *world, int which)
{
    struct group_audit *audit = world->audits[which];
    *audit = (struct group_audit){.bootstrap = "broker:9092",
                                  .topic = MEMBER_TOPIC,
                                  .partition_count = MEMBER_PARTITIONS,
                                  .group_count = world->group_count};
    memcpy(audit->groups, group_names, sizeof audit->groups);
    memcpy(audit->consumer, world->consumer, sizeof audit->consumer);
    sim_start(world->auditor, group_audit_main, audit);
    if (!sim_run_until(world->sim, audit_done, world, LIMIT_NS))
        history_fail("the coordinator does not answer");
}

static void rest(struct world *world, bool rest)
{
    for (int i = 0; i < world->member_count; i++)
        world->plans[i].rest = rest;
}

/* Nothing was under way, so the log holds all there is; unless a group was amid a rebalance, of
 * which the log knows nothing, or sessions may have run out meanwhile. */
static bool is_comparable(const struct world *world, int64_t took_ns)
{
    int32_t session_ms = INT32_MAX;
    for (int i = 0; i < world->member_count; i++)
        if (world->plans[i].session_ms < session_ms)
            session_ms = world->plans[i].session_ms;
    return took_ns < (session_ms - 1000) * MS && !strstr(world->audits[0]->text, "Rebalance");
}

static void die_and_compare(struct world *world)
{
    int64_t began_ns, took_ns;
    struct group_event *reload;
    sim_run_for(world->sim, 30 * SECOND); /* whoever is dead is gone then */
    began_ns = sim_now_ns(world->sim);
    rest(world, true);
    if (!sim_run_until(world->sim, all_rest, world, LIMIT_NS))
        history_fail("members do not rest");
    audit(world, 0);
    reload = group_history_reload(world->history);
    sim_crash(world->broker.node, death(world));
    took_ns = sim_now_ns(world->sim) - began_ns;
    heal_broker(world);
    group_history_end(world->history, reload, 0);
    began_ns = sim_now_ns(world->sim);
    audit(world, 1);
    if (sim_now_ns(world->sim) - began_ns > took_ns)
        took_ns = sim_now_ns(world->sim) - began_ns;
    bool comparable = is_comparable(world, took_ns);
    sim_note(world->sim, "compared=%d", comparable);
    if (comparable && strcmp(world->audits[0]->text, world->audits[1]->text) != 0)
        history_fail("the coordinator has lost something; before:\n%s\nafter:\n%s",
                     world->audits[0]->text, world->audits[1]->text);
    rest(world, false);
}

/* ---- the world ---- */

static void begin_broker(struct world *world, struct sim *sim)
{
    int count = 0;
    world->broker = (struct broker_node){.sim = sim, .power = dice(world, 3) == 0};
    snprintf(world->delay, sizeof world->delay, "group.initial.rebalance.delay.ms=%d",
             (int)dice(world, 3) * 700);
    world->overrides[count++] = world->delay;
    world->overrides[count++] = "offsets.topic.num.partitions=2";
    world->overrides[count++] = "offsets.topic.replication.factor=1";
    world->overrides[count++] = "group.min.session.timeout.ms=1000";
    world->overrides[count++] = "group.consumer.min.session.timeout.ms=1000";
    world->overrides[count++] = "group.consumer.session.timeout.ms=3000";
    world->overrides[count++] = "group.consumer.min.heartbeat.interval.ms=100";
    world->overrides[count++] = "group.consumer.heartbeat.interval.ms=500";
    snprintf(world->assignment_interval, sizeof world->assignment_interval,
             "group.consumer.assignment.interval.ms=%d", (int)dice(world, 2) * 1000);
    world->overrides[count++] = world->assignment_interval;
    if (dice(world, 2) == 0) /* each assignment is computed beside the requests */
        world->overrides[count++] = "jackdaw.group.assignor.inline.max=0";
    /* A group that expires begins again with generation 1. */
    world->overrides[count++] = "offsets.retention.check.interval.ms=86400000";
    if (world->broker.power) /* what is acknowledged is on the device */
        world->overrides[count++] = "log.flush.interval.messages=1";
    world->broker.overrides = world->overrides;
    world->broker.override_count = count;
    world->broker.node = sim_node_add(sim, "broker");
    broker_node_begin(&world->broker);
}

static void begin_members(struct world *world)
{
    world->group_count = 1 + (int)dice(world, GROUPS);
    for (int g = 0; g < GROUPS; g++)
        world->consumer[g] = dice(world, 2) == 0;
    world->member_count = 2 + (int)dice(world, MEMBERS_MAX - 1);
    for (int i = 0; i < world->member_count; i++) {
        char name[32];
        struct member_plan *plan = &world->plans[i];
        snprintf(name, sizeof name, "member-%d", i);
        *plan = (struct member_plan){
            .history = world->history,
            .bootstrap = "broker:9092",
            .group = group_names[i % world->group_count],
            .instance = dice(world, 3) == 0 ? instances[dice(world, 2)] : NULL,
            .session_ms = 2000 + (int32_t)dice(world, 3) * 3000,
            .rebalance_ms = 3000 + (int32_t)dice(world, 3) * 4000,
        };
        if (world->consumer[i % world->group_count]) {
            static const char *const assignors[] = {NULL, "range", "uniform"};
            plan->consumer = true;
            plan->session_ms = 3000;
            plan->rebalance_ms = 20000;
            plan->assignor = assignors[dice(world, 3)];
        }
        plan->join_version = (int16_t)(plan->instance ? 5 + dice(world, 5) : 2 + dice(world, 8));
        world->members[i] = sim_node_add(world->sim, name);
        begin_member(world, i);
    }
    world->auditor = sim_node_add(world->sim, "auditor");
}

static bool has_ended(void *context)
{
    const struct world *world = context;
    return !anybody(world);
}

static void end(struct world *world)
{
    char why[512];
    for (int i = 0; i < world->member_count; i++)
        world->plans[i].stop = true;
    if (!sim_run_until(world->sim, has_ended, world, LIMIT_NS))
        history_fail("members do not end");
    if (!group_check(world->history, why, sizeof why)) {
        if (sim_options(world->sim)->log) /* one seed is looked at */
            group_history_write(world->history, sim_options(world->sim)->log);
        history_fail("%s", why);
    }
    sim_note(world->sim, "events=%d commits=%d", world->history->event_count, all_commits(world));
    broker_node_stop_and_start(&world->broker);
}

static void run(struct sim *sim, void *context)
{
    struct world *world = calloc(1, sizeof *world);
    must(world);
    (void)context;
    world->sim = sim;
    world->history = group_history_create(now_ns, world);
    for (int i = 0; i < 2; i++)
        must((world->audits[i] = calloc(1, sizeof **world->audits)) != NULL);
    begin_broker(world, sim);
    begin_members(world);
    for (int round = 0; round < ROUNDS; round++) {
        struct group_event *reload = NULL;
        sim_run_for(sim, (int64_t)dice(world, 8000) * MS);
        set_calm(world, dice(world, 2) == 0); /* then nothing but the trouble moves the groups */
        if (dice(world, 3) != 0)
            trouble_member(world, world->members[dice(world, (uint64_t)world->member_count)]);
        if (dice(world, 3) != 0)
            trouble_broker(world, &reload);
        sim_run_for(sim, (int64_t)dice(world, 8000) * MS);
        heal(world);
        if (reload)
            group_history_end(world->history, reload, 0);
        await_calm(world);
        set_calm(world, false);
    }
    await_calm(world);
    die_and_compare(world);
    await_calm(world);
    end(world);
    for (int i = 0; i < 2; i++)
        free(world->audits[i]);
    group_history_destroy(world->history);
    free(world);
}

int main(int argc, char **argv)
{
    static const struct sim_program program = {"sim-groups", .run = run, .seeds = 40};
    return sim_main(argc, argv, &program);
}
