/* Randomness, and how unkind a world it makes. */
#include "sim/sim_internal.h"

void sim_random_init(struct sim_random *random, uint64_t seed, uint64_t stream)
{
    random->state = seed * 0x9e3779b97f4a7c15u + stream * 0xd1342543de82ef95u;
    sim_random_next(random);
}

/* splitmix64, Steele, Lea and Flood 2014. */
uint64_t sim_random_next(struct sim_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t sim_random_below(struct sim_random *random, uint64_t limit)
{
    must(limit > 0);
    return sim_random_next(random) % limit;
}

int64_t sim_random_between(struct sim_random *random, int64_t low, int64_t high)
{
    must(low <= high);
    return low + (int64_t)sim_random_below(random, (uint64_t)(high - low) + 1);
}

bool sim_random_ppm(struct sim_random *random, uint32_t ppm)
{
    return ppm > 0 && sim_random_below(random, 1000000) < ppm;
}

int64_t sim_random_latency(struct sim_random *random, int64_t low, int64_t high, uint32_t slow_ppm)
{
    int64_t latency = sim_random_between(random, low, high);
    if (sim_random_ppm(random, slow_ppm))
        latency *= sim_random_between(random, 2, 100);
    return latency;
}

void sim_options_calm(struct sim_options *ret_options)
{
    *ret_options = (struct sim_options){
        .link_min_ns = 50000,
        .link_max_ns = 500000,
        .connect_timeout_ns = 20000000000,
        .send_timeout_ns = 60000000000,
        .writeback_bytes = 16 << 20,
        .disk_bytes = (int64_t)1 << 30,
        .open_files_max = 10000,
        .pool_threads = 8,
    };
}

static uint32_t sometimes(struct sim_random *random, uint32_t most_ppm)
{
    return sim_random_below(random, 3) ? (uint32_t)sim_random_below(random, most_ppm + 1) : 0;
}

void sim_options_rough(uint64_t seed, struct sim_options *ret_options)
{
    struct sim_random random;
    sim_random_init(&random, seed, 7);
    sim_options_calm(ret_options);
    ret_options->link_max_ns = sim_random_between(&random, 100000, 5000000);
    ret_options->link_slow_ppm = sometimes(&random, 50000);
    ret_options->short_io_ppm = sometimes(&random, 300000);
    ret_options->again_ppm = sometimes(&random, 100000);
    ret_options->cold_page_ppm = sometimes(&random, 200000);
    ret_options->slow_disk_ppm = sometimes(&random, 50000);
    ret_options->preempt_ppm = sometimes(&random, 100000);
    ret_options->writeback_bytes = sim_random_between(&random, 4096, 1 << 20);
    ret_options->pool_threads = (int)sim_random_between(&random, 1, 8);
}
