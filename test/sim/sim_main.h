/* A program that runs one simulation over many seeds.
 *
 *     int main(int argc, char **argv)
 *     {
 *         static const struct sim_program program = {"orders", run_orders, .seeds = 200};
 *         return sim_main(argc, argv, &program);
 *     }
 *
 *     test-orders                       the first 200 seeds, as the unit test does
 *     test-orders --seconds 3600        as many seeds as an hour allows
 *     test-orders --first 7000 --seeds 50
 *     test-orders --seed 7013           this one, with the nodes' logs; --trace: with every event
 *
 * Seeds run in child processes, so that one that fails (must, a crash, a sanitizer, a hang) is
 * printed as "failed seed=N" and the next one goes on. Some seeds run twice, and then the trace
 * hashes must be equal. Exits with 1 if any failed. */
#ifndef JACKDAW_TEST_SIM_MAIN_H
#define JACKDAW_TEST_SIM_MAIN_H

#include "sim/sim.h"

/* A seed that needs longer than this, in real time, hangs. */
#define SIM_SEED_SECONDS_MAX 120

struct sim_program {
    const char *name;
    /* Build the world, let it run, check it; failures stop the program, by must(). */
    void (*run)(struct sim *sim, void *context);
    void *context;
    /* The world's options; NULL: sim_options_rough. */
    void (*options)(uint64_t seed, struct sim_options *ret_options);
    int seeds; /* without arguments */
};

int sim_main(int argc, char **argv, const struct sim_program *program);

/* Whether the program fails with this seed, tried quietly in a child: for planted faults. */
bool sim_fails(const struct sim_program *program, uint64_t seed);

#endif
