/* The simulated users and the history's checks, against a broker that is only made for tests: they
 * find nothing where nothing is wrong, and every planted fault. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../client/fake_broker.h"
#include "base/must.h"
#include "sim/sim_main.h"
#include "user_world.h"

#define USERS 2
#define ROUNDS 6
#define SECOND INT64_C(1000000000)

struct world {
    struct sim *sim;
    struct fake_cluster *cluster;
    struct user_world users;
};

static void trouble(struct world *world)
{
    struct sim *sim = world->sim;
    int user = (int)sim_dice(sim, USERS);
    struct sim_node *broker = world->cluster->nodes[0];
    struct fake_fault *fault;
    switch (sim_dice(sim, 6)) {
    case 0:
        sim_disconnect(world->users.users[user], broker);
        break;
    case 1:
        sim_crash_after(broker, 1 + (int64_t)sim_dice(sim, 500), SIM_KILL);
        break;
    case 2:
        sim_crash(world->users.users[user], SIM_KILL);
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
    user_world_revive(&world->users);
}

static void run(struct sim *sim, void *context)
{
    static const struct user_plan plan = {
        .bootstrap = "broker0:9092", .topic = "t", .values_max = 3000};
    struct world world = {.sim = sim, .cluster = fake_cluster_create(sim, 1)};
    world.cluster->mutant = *(const struct fake_mutant *)context;
    fake_broker_start(world.cluster, 0);
    user_world_create(&world.users, sim, USERS, &plan);
    for (int round = 0; round < ROUNDS; round++) {
        sim_run_for(sim, (int64_t)sim_dice(sim, 500) * (SECOND / 1000));
        trouble(&world);
        sim_run_for(sim, (int64_t)sim_dice(sim, 3000) * (SECOND / 1000));
        heal(&world);
        user_world_await_progress(&world.users, 300 * SECOND);
    }
    user_world_audit(&world.users, 300 * SECOND);
    user_world_destroy(&world.users);
    fake_cluster_destroy(world.cluster);
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
