#include "user_world.h"

#include <stdio.h>

#include "base/must.h"

#define PROGRESS_VALUES 20

void user_world_create(struct user_world *world, struct sim *sim, int user_count,
                       const struct user_plan *plan)
{
    must(user_count <= USERS_MAX);
    *world = (struct user_world){.sim = sim, .user_count = user_count};
    world->history = history_create();
    world->history->durable = plan->durable;
    for (int i = 0; i < user_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "user-%d", i);
        world->users[i] = sim_node_add(sim, name);
        world->plans[i] = *plan;
        world->plans[i].sim = sim;
        world->plans[i].history = world->history;
        sim_start(world->users[i], user_main, &world->plans[i]);
    }
}

void user_world_destroy(struct user_world *world)
{
    history_destroy(world->history);
}

void user_world_revive(struct user_world *world)
{
    for (int i = 0; i < world->user_count; i++) {
        if (sim_is_up(world->users[i]))
            continue;
        sim_restart(world->users[i]);
        sim_start(world->users[i], user_main, &world->plans[i]);
    }
}

struct wish {
    const struct history *history;
    int32_t acknowledged, read;
};

static bool is_granted(void *context)
{
    const struct wish *wish = context;
    return wish->history->acknowledged >= wish->acknowledged && wish->history->read >= wish->read;
}

void user_world_await_progress(struct user_world *world, int64_t limit_ns)
{
    struct history *history = world->history;
    struct wish wish = {history, history->acknowledged + PROGRESS_VALUES,
                        history->read + PROGRESS_VALUES};
    if (history->value_count >= world->plans[0].values_max)
        return;
    if (!sim_run_until(world->sim, is_granted, &wish, limit_ns) &&
        history->value_count < world->plans[0].values_max)
        history_fail("no progress: %d acknowledged, %d read", history->acknowledged, history->read);
}

static bool nothing_is_outstanding(void *context)
{
    const struct user_world *world = context;
    for (int i = 0; i < world->user_count; i++)
        if (world->plans[i].outstanding > 0)
            return false;
    return true;
}

static bool is_audited(void *context)
{
    return *(const bool *)context;
}

void user_world_audit(struct user_world *world, int64_t limit_ns)
{
    for (int i = 0; i < world->user_count; i++)
        world->plans[i].stop = true;
    if (!sim_run_until(world->sim, nothing_is_outstanding, world, limit_ns))
        history_fail("batches are never answered");
    struct sim_node *auditor = sim_node_add(world->sim, "auditor");
    struct user_plan audit = world->plans[0];
    audit.audit = true;
    sim_start(auditor, user_main, &audit);
    if (!sim_run_until(world->sim, is_audited, &audit.audited, limit_ns))
        history_fail("the audit does not end");
    while (sim_is_running(auditor))
        must(sim_step(world->sim));
    must(sim_memory_bytes(auditor) == 0);
    sim_note(world->sim, "acknowledged=%d read=%d", world->history->acknowledged,
             world->history->read);
}
