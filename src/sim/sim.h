/* A simulated world: nodes with disks, a network between them, and a clock that stands still while
 * code runs. One seed gives one run.
 *
 * Every node has a struct env (os/env.h), so the code under test is what runs in production: its
 * loops, its pool jobs, its files and sockets. Everything happens on the calling thread. Threads
 * and jobs of the nodes are coroutines; one runs until it waits (in a poller, in a BLOCKING call,
 * for a thread or a mutex), or until the scheduler takes the turn away at an env call, and then the
 * seed decides who goes on. Time passes in the calls, as the options say, and jumps when all wait.
 *
 * A crash may strike at any env call: the node's coroutines then never run again, so not one more
 * instruction of it is executed; its memory is freed by the simulator, which knows every allocation
 * made while one of its coroutines ran (sim_memory.c). Tests need no clean-up after a crash.
 *
 * What may be called from where. `sim_` functions belong to the test: its main function, callbacks,
 * or code on a simulated node (a checker inside a client). Env calls come from coroutines; the
 * test's main function may make them too, and then a call that waits runs the simulation meanwhile.
 * Calls from there never crash. At most one simulation exists per thread at a time. */
#ifndef JACKDAW_SIM_SIM_H
#define JACKDAW_SIM_SIM_H

#include <stdio.h>

#include "os/env.h"

struct sim;
struct sim_node;

#define SIM_NODES_MAX 64

/* How unkind the world is. Chances are in parts per million of the calls concerned. */
struct sim_options {
    int64_t link_min_ns, link_max_ns; /* one way between two nodes */
    uint32_t link_slow_ppm;           /* messages that take up to a hundred times longer */
    uint32_t short_io_ppm;            /* reads and writes of less than was asked for */
    uint32_t again_ppm;               /* needless -EAGAIN on a ready socket */
    uint32_t cold_page_ppm;           /* pages found evicted from the page cache */
    uint32_t slow_disk_ppm;           /* disk calls that take up to a hundred times longer */
    uint32_t preempt_ppm;             /* env calls at which another coroutine may go on */
    uint32_t read_error_ppm;          /* -EIO */
    uint32_t write_error_ppm;         /* -EIO */
    uint32_t sync_error_ppm;          /* -EIO, and what was not synced may never be */
    int64_t connect_timeout_ns;       /* of unanswered connects: -ETIMEDOUT */
    int64_t send_timeout_ns;          /* of unacknowledged bytes: -ETIMEDOUT */
    int64_t writeback_bytes;          /* unsynced bytes of a file that the kernel keeps back */
    int64_t disk_bytes;               /* size of each node's disk */
    int open_files_max;               /* files and sockets per node */
    int pool_threads;                 /* jobs of one node that run at once */
    FILE *log;                        /* log lines of the nodes; NULL: dropped */
    FILE *trace;                      /* every event, for the eye; NULL: none */
};

/* A calm world: short delays, no errors. */
void sim_options_calm(struct sim_options *ret_options);

/* Anything but calm: the seed also chooses which kinds of trouble the run has, and how much. Errors
 * of the disk are left at zero, since what must survive them is for the test to say. */
void sim_options_rough(uint64_t seed, struct sim_options *ret_options);

/* `options` NULL: calm. Never NULL. */
struct sim *sim_create(uint64_t seed, const struct sim_options *options);
void sim_destroy(struct sim *sim);

/* Options may be changed while it runs. */
struct sim_options *sim_options(struct sim *sim);

/* Nodes. */

/* Add a node: up, with an empty disk and an address of its own that `name` resolves to. */
struct sim_node *sim_node_add(struct sim *sim, const char *name);
struct env *sim_env(struct sim_node *node);
struct sim *sim_of(struct sim_node *node);
const char *sim_node_name(const struct sim_node *node);
void sim_node_address(const struct sim_node *node, uint16_t port, struct net_address *ret_address);

/* Run `run(env, context)` as the main thread of the node's process. It may make BLOCKING calls. */
void sim_start(struct sim_node *node, void (*run)(struct env *env, void *context), void *context);

/* Whether any thread or job of the node is left; a process that has ended by itself has none. */
bool sim_is_running(const struct sim_node *node);
bool sim_is_up(const struct sim_node *node);

/* Bytes allocated by the node's code and not freed; after it has ended by itself, leaks. */
size_t sim_memory_bytes(const struct sim_node *node);

enum sim_crash {
    SIM_KILL,  /* the process dies; what it wrote is in the page cache, its sockets are closed */
    SIM_POWER, /* the machine dies: unsynced data is kept, dropped or torn; its peers hear nothing
                */
};

/* Now, or at the `calls`-th env call from now (0: never). The node is down afterwards. A node may
 * crash itself; then this does not return. */
void sim_crash(struct sim_node *node, enum sim_crash kind);
void sim_crash_after(struct sim_node *node, int64_t calls, enum sim_crash kind);

/* Crash at the first env call that works on a file whose path contains `part`, or NULL: never. */
void sim_crash_at_path(struct sim_node *node, const char *part, enum sim_crash kind);

/* Bring a crashed node up; sim_start begins the new life. */
void sim_restart(struct sim_node *node);

/* The node's coroutines do not run for this long, as after SIGSTOP. */
void sim_pause(struct sim_node *node, int64_t for_ns);

/* Move the node's wall clock. */
void sim_wall_jump(struct sim_node *node, int64_t by_ms);

/* Running. */

/* One choice of the scheduler. False when nothing is left that could ever happen. */
bool sim_step(struct sim *sim);

/* Until `done` answers true (asked after each step; NULL: never) or this much time has passed.
 * Returns whether it was done. */
bool sim_run_until(struct sim *sim, bool (*done)(void *context), void *context, int64_t for_ns);
void sim_run_for(struct sim *sim, int64_t for_ns);

int64_t sim_now_ns(const struct sim *sim); /* since sim_create */
int64_t sim_steps(const struct sim *sim);

/* The test's own dice, of their own stream: below `limit`; true with this chance. */
uint64_t sim_dice(struct sim *sim, uint64_t limit);
bool sim_dice_ppm(struct sim *sim, uint32_t ppm);

/* Put a decoded event into the trace. */
void sim_note(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A hash over all events so far. Same seed and same code, same hash; addresses never enter it. */
uint64_t sim_trace_hash(const struct sim *sim);

/* Network. */

/* Nothing passes from one node to the other, until allowed again. The other direction is on its
 * own. TCP repeats what is lost, so a short block delays and a long one ends in -ETIMEDOUT. */
void sim_block(struct sim_node *from, struct sim_node *to, bool blocked);

/* Both directions between the node and all others. */
void sim_isolate(struct sim_node *node, bool isolated);

/* Reset every connection between two nodes. */
void sim_disconnect(struct sim_node *a, struct sim_node *b);

/* Disk. */

enum sim_disk_op { SIM_DISK_READ, SIM_DISK_WRITE, SIM_DISK_SYNC, SIM_DISK_NAMES };

/* From the `after`-th such call (0: the next) on, `times` calls on paths that contain `part` fail
 * with -error. SIM_DISK_WRITE includes truncation, SIM_DISK_NAMES create, rename, remove and
 * SIM_DISK_SYNC the sync of directories. Up to SIM_FAULTS_MAX at once; times == 0 clears all. */
#define SIM_FAULTS_MAX 8
void sim_disk_fault(struct sim_node *node, enum sim_disk_op op, const char *part, int after,
                    int times, int error);

/* What other processes leave free on the node's disk. */
void sim_disk_set_free(struct sim_node *node, int64_t free_bytes);

/* Change bits of a file behind everybody's back, in the page cache and on the device. -ENOENT,
 * -EINVAL beyond its end. */
int sim_disk_flip(struct sim_node *node, const char *path, int64_t offset, uint8_t mask);

/* A node of the same content: names and data as the other's processes see them now. */
void sim_disk_copy(struct sim_node *to, struct sim_node *from);

#endif
