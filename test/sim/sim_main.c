#include "sim/sim_main.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"

/* One seed of so many runs twice. */
#define TWICE_EVERY 16

/* Seeds per child, so that what libraries lose at crashes does not add up. */
#define CHILD_SEEDS 64

struct wish {
    uint64_t first;
    int64_t seeds; /* -1: until the time is over */
    int64_t seconds;
    bool one, trace, help;
};

/* Shared with the child. */
struct progress {
    uint64_t seed; /* under way */
    uint64_t done;
    int64_t simulated_ns;
    int64_t steps;
};

static int64_t real_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static uint64_t run_once(const struct sim_program *program, uint64_t seed, FILE *log, FILE *trace,
                         struct progress *progress)
{
    struct sim_options options;
    if (program->options)
        program->options(seed, &options);
    else
        sim_options_rough(seed, &options);
    options.log = log;
    options.trace = trace;
    struct sim *sim = sim_create(seed, &options);
    program->run(sim, program->context);
    uint64_t hash = sim_trace_hash(sim);
    if (progress) {
        progress->simulated_ns += sim_now_ns(sim);
        progress->steps += sim_steps(sim);
    }
    sim_destroy(sim);
    return hash;
}

static void run_seed(const struct sim_program *program, uint64_t seed, struct progress *progress)
{
    alarm(SIM_SEED_SECONDS_MAX);
    uint64_t hash = run_once(program, seed, NULL, NULL, progress);
    if (seed % TWICE_EVERY == 0 && run_once(program, seed, NULL, NULL, NULL) != hash) {
        fprintf(stderr, "seed %llu gave another trace the second time\n", (unsigned long long)seed);
        abort();
    }
    alarm(0);
}

/* Run seeds from progress->seed on until `end`. Returns false when one failed. */
static bool run_child(const struct sim_program *program, struct progress *progress, uint64_t end)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        while (progress->seed < end) {
            run_seed(program, progress->seed, progress);
            progress->done++;
            progress->seed++;
        }
        fflush(NULL);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        must(errno == EINTR);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int run_many(const struct sim_program *program, const struct wish *wish,
                    struct progress *progress)
{
    int64_t until = real_seconds() + wish->seconds;
    uint64_t end = wish->seeds < 0 ? UINT64_MAX : wish->first + (uint64_t)wish->seeds;
    int failed = 0;
    progress->seed = wish->first;
    while (progress->seed < end && (wish->seconds == 0 || real_seconds() < until)) {
        uint64_t left = end - progress->seed;
        uint64_t batch = left < CHILD_SEEDS ? left : CHILD_SEEDS;
        if (wish->seconds > 0 && wish->seconds < 60 && batch > 8)
            batch = 8;
        if (!run_child(program, progress, progress->seed + batch)) {
            failed++;
            printf("failed seed=%llu (again: test-%s --seed %llu)\n",
                   (unsigned long long)progress->seed, program->name,
                   (unsigned long long)progress->seed);
            fflush(stdout);
            progress->seed++;
        }
    }
    return failed;
}

static int64_t number_after(int argc, char **argv, int *at)
{
    if (*at + 1 >= argc)
        return -1;
    return strtoll(argv[++*at], NULL, 10);
}

static struct wish parse(int argc, char **argv, const struct sim_program *program)
{
    struct wish wish = {.seeds = program->seeds};
    bool counted = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0) {
            wish.one = true;
            wish.first = (uint64_t)number_after(argc, argv, &i);
        } else if (strcmp(argv[i], "--first") == 0) {
            wish.first = (uint64_t)number_after(argc, argv, &i);
        } else if (strcmp(argv[i], "--seeds") == 0) {
            wish.seeds = number_after(argc, argv, &i);
            counted = true;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            wish.seconds = number_after(argc, argv, &i);
        } else if (strcmp(argv[i], "--trace") == 0) {
            wish.trace = true;
        } else {
            wish.help = true;
        }
    }
    if (wish.seconds > 0 && !counted)
        wish.seeds = -1;
    return wish;
}

int sim_main(int argc, char **argv, const struct sim_program *program)
{
    struct wish wish = parse(argc, argv, program);
    if (wish.help) {
        printf("test-%s [--first N] [--seeds N] [--seconds S] | --seed N [--trace]\n",
               program->name);
        return 2;
    }
    if (wish.one) {
        uint64_t hash = run_once(program, wish.first, stderr, wish.trace ? stderr : NULL, NULL);
        printf("%s seed=%llu hash=%016llx\n", program->name, (unsigned long long)wish.first,
               (unsigned long long)hash);
        return 0;
    }
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(progress != MAP_FAILED);
    int64_t began = real_seconds();
    int failed = run_many(program, &wish, progress);
    printf("%s seeds=%llu failed=%d simulated_s=%lld steps=%lld real_s=%lld\n", program->name,
           (unsigned long long)progress->done + (unsigned)failed, failed,
           (long long)(progress->simulated_ns / 1000000000), (long long)progress->steps,
           (long long)(real_seconds() - began));
    munmap(progress, sizeof *progress);
    return failed > 0;
}

bool sim_fails(const struct sim_program *program, uint64_t seed)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null >= 0)
            dup2(null, STDERR_FILENO);
        alarm(SIM_SEED_SECONDS_MAX);
        run_once(program, seed, NULL, NULL, NULL);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        must(errno == EINTR);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
