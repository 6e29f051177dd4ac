/* The simulated users and the history's checks, against a broker that is only made for tests: they
 * find nothing where nothing is wrong, and every planted fault. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../client/fake_broker.h"
#include "base/must.h"
#include "sim/sim_main.h"
#include "user.h"

#define USERS 2
#define ROUNDS 6
#define SECOND INT64_C(1000000000)

struct world {
    struct sim *sim;
    struct fake_cluster *cluster;
    struct history *history;
    struct sim_node *users[USERS];
    struct user_plan plans[USERS];
};

static void trouble(struct world *world)
{
    struct sim *sim = world->sim;
    int user = (int)sim_dice(sim, USERS);
    struct sim_node *broker = world->cluster->nodes[0];
    struct fake_fault *fault;
    switch (sim_dice(sim, 6)) {
    case 0:
        sim_disconnect(world->users[user], broker);
        break;
    case 1:
        sim_crash_after(broker, 1 + (int64_t)sim_dice(sim, 500), SIM_KILL);
        break;
    case 2:
        sim_crash(world->users[user], SIM_KILL);
        break;
    case 3:
        sim_isolate(broker, true);
        break;
    default:
        fault = fake_fault_add(world->cluster, API_PRODUCE, 1 + (int)sim_dice(sim, 3));
        fault->close = true;
        break;
    }
}

static void heal(struct world *world)
{
    struct sim_node *broker = world->cluster->nodes[0];
    sim_crash_after(broker, 0, SIM_KILL);
    sim_isolate(broker, false);
    memset(world->cluster->faults, 0, sizeof world->cluster->faults);
    if (!sim_is_up(broker)) {
        sim_restart(broker);
        fake_broker_start(world->cluster, 0);
    }
    for (int i = 0; i < USERS; i++) {
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

static bool nothing_is_outstanding(void *context)
{
    const struct world *world = context;
    for (int i = 0; i < USERS; i++)
        if (world->plans[i].outstanding > 0)
            return false;
    return true;
}

static bool is_audited(void *context)
{
    return *(const bool *)context;
}

static void run(struct sim *sim, void *context)
{
    struct world world = {.sim = sim, .history = history_create()};
    world.cluster = fake_cluster_create(sim, 1);
    world.cluster->mutant = *(const struct fake_mutant *)context;
    fake_broker_start(world.cluster, 0);
    for (int i = 0; i < USERS; i++) {
        world.users[i] = sim_node_add(sim, i ? "user-1" : "user-0");
        world.plans[i] = (struct user_plan){
            .sim = sim,
            .history = world.history,
            .bootstrap = "broker0:9092",
            .topic = "t",
            .values_max = 3000,
        };
        sim_start(world.users[i], user_main, &world.plans[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        sim_run_for(sim, (int64_t)sim_dice(sim, 500) * (SECOND / 1000));
        trouble(&world);
        sim_run_for(sim, (int64_t)sim_dice(sim, 3000) * (SECOND / 1000));
        heal(&world);
        struct wish wish = {world.history, world.history->acknowledged + 20,
                            world.history->read + 20};
        if (wish.acknowledged < 2500 && !sim_run_until(sim, is_granted, &wish, 300 * SECOND))
            history_fail("no progress: %d acknowledged, %d read", world.history->acknowledged,
                         world.history->read);
    }
    for (int i = 0; i < USERS; i++)
        world.plans[i].stop = true;
    must(sim_run_until(sim, nothing_is_outstanding, &world, 300 * SECOND));
    struct sim_node *auditor = sim_node_add(sim, "auditor");
    struct user_plan audit = world.plans[0];
    audit.audit = true;
    sim_start(auditor, user_main, &audit);
    must(sim_run_until(sim, is_audited, &audit.audited, 300 * SECOND));
    sim_run_for(sim, SECOND);
    must(sim_memory_bytes(auditor) == 0);
    sim_note(sim, "acknowledged=%d read=%d", world.history->acknowledged, world.history->read);
    fake_cluster_destroy(world.cluster);
    history_destroy(world.history);
}

int main(int argc, char **argv)
{
    static struct fake_mutant none;
    static struct fake_mutant mutants[] = {
        {.forget_sequences = true},
        {.lose_every = 40},
        {.watermark_wobbles = true},
        {.wrong_offset = true},
    };
    static const struct sim_program program = {"sim-users", .run = run, .context = &none,
                                               .seeds = 24};
    int result = sim_main(argc, argv, &program);
    if (argc > 1 || result != 0)
        return result;
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        struct sim_program mutant = {"sim-users", .run = run, .context = &mutants[i]};
        uint64_t seed = 0;
        while (seed < 50 && !sim_fails(&mutant, seed))
            seed++;
        printf("planted fault %zu: %s %llu\n", i, seed < 50 ? "found by seed" : "not found in",
               (unsigned long long)seed);
        if (seed == 50)
            return 1;
    }
    return 0;
}
