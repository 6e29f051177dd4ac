/* What the files of the simulator share. Everything here belongs to the one thread that runs it. */
#ifndef JACKDAW_SIM_INTERNAL_H
#define JACKDAW_SIM_INTERNAL_H

#include <ucontext.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/must.h"
#include "sim/sim.h"

/* Randomness. Streams of their own, so that one more draw in the network does not change what the
 * disk does. */

struct sim_random {
    uint64_t state;
};

void sim_random_init(struct sim_random *random, uint64_t seed, uint64_t stream);
uint64_t sim_random_next(struct sim_random *random);
uint64_t sim_random_below(struct sim_random *random, uint64_t limit);
int64_t sim_random_between(struct sim_random *random, int64_t low, int64_t high);
bool sim_random_ppm(struct sim_random *random, uint32_t ppm);

/* Between low and high; with chance slow_ppm up to a hundred times that. */
int64_t sim_random_latency(struct sim_random *random, int64_t low, int64_t high, uint32_t slow_ppm);

/* Memory. */

/* The simulator's own, never counted as a node's. Zeroed; never NULL. */
void *sim_alloc(size_t size);
void *sim_resize(void *data, size_t size);
void sim_free(void *data);
char *sim_strdup(const char *text);

/* Which node pays for what is allocated from now on; returns who paid before. */
struct sim_node *sim_memory_charge(struct sim *sim, struct sim_node *node);
void sim_memory_attach(struct sim *sim); /* this thread's simulation from now on */
void sim_memory_detach(struct sim *sim);
void sim_memory_drop(struct sim_node *node); /* free all that the node has */

/* Events: something of the world, not of a node's code, that happens at a time. */

struct sim_event {
    struct heap_node node;
    void (*fire)(struct sim_event *event);
};

void sim_event_init(struct sim_event *event, void (*fire)(struct sim_event *event));
bool sim_event_is_set(const struct sim_event *event);
void sim_event_set(struct sim *sim, struct sim_event *event, int64_t at_ns);
void sim_event_cancel(struct sim *sim, struct sim_event *event);

/* Coroutines: the threads and jobs of the nodes. */

#define SIM_STACK_BYTES (256 << 10)

/* Where a stack goes on; see sim_co.c. */
struct sim_machine {
#if defined(__x86_64__) && !defined(SIM_UCONTEXT)
    void *stack_pointer;
#else
    ucontext_t context;
#endif
};

struct sim_co {
    struct list link; /* sim->cos */
    struct sim_node *node;
    uint64_t id;
    void (*run)(struct sim_co *co);
    void *context;
    bool owns_context; /* freed with the coroutine */
    bool may_block;
    bool ended;
    bool waiting;     /* for something that sim_co_wake tells; else only for ready_ns */
    int64_t ready_ns; /* may go on at this time; INT64_MAX: not by itself */
    int64_t local_ns; /* how far it is ahead of sim->now_ns since it went on */
    uint8_t *stack;
    struct sim_machine machine;
    void *fiber; /* the sanitizer's */
};

struct sim_co *sim_co_start(struct sim_node *node, bool may_block, void (*run)(struct sim_co *co),
                            void *context);

/* Let `co` go on until it waits, ends or crashes. For the scheduler. */
void sim_co_resume(struct sim_co *co);
void sim_co_free(struct sim_co *co);
void sim_stacks_free(struct sim *sim);

/* The coroutine under way waits until this time, or is woken if `waiting`. */
void sim_co_wait(struct sim_co *co, int64_t until_ns, bool waiting);
void sim_co_wake(struct sim_co *co, int64_t delay_ns);

/* Nodes. */

enum sim_fd_kind { SIM_FD_FREE, SIM_FD_FILE, SIM_FD_SOCK };

struct sim_fd {
    enum sim_fd_kind kind;
    void *what;
};

struct sim_fault {
    enum sim_disk_op op;
    char *part;
    int after;
    int times;
    int error;
};

struct sim_disk;
struct sim_allocation;

struct sim_node {
    struct env env; /* first */
    struct sim *sim;
    int index;
    char name[32];
    bool up;
    bool off;                /* the machine, not only the process: it answers nothing */
    int64_t clock_offset_ns; /* monotonic clocks of nodes have nothing in common */
    int64_t wall_offset_ms;
    int64_t paused_until_ns;
    struct sim_random random; /* what the node's code draws */
    int co_count;

    bool dying; /* a coroutine of the node ran into a crash; the scheduler does the rest */
    enum sim_crash dying_kind;
    int64_t crash_after; /* env calls; 0: never */
    enum sim_crash crash_kind;
    char *crash_part;
    enum sim_crash crash_part_kind;

    struct list threads; /* struct env_thread */
    struct list pollers;
    struct env_job *job_first;
    struct env_job **job_last;
    int jobs_running;

    struct sim_fd *fds;
    int fd_count;
    int fds_open;

    struct list socks;
    uint16_t next_port;
    bool blocked_to[SIM_NODES_MAX];

    struct sim_disk *disk;
    struct sim_fault faults[SIM_FAULTS_MAX];

    struct list allocations; /* of the process; see sim_memory.c */
    size_t allocated_bytes;
};

struct sim {
    struct sim_options options;
    int64_t now_ns;
    int64_t steps;
    struct heap events;
    struct list cos;
    struct sim_co *current; /* NULL: the test's own code runs */
    uint64_t next_co_id;
    struct sim_machine scheduler;
    const void *scheduler_stack;
    size_t scheduler_stack_size;
    void *scheduler_fiber;
    uint8_t **stacks; /* free ones */
    size_t stack_count;
    struct sim_node *nodes[SIM_NODES_MAX];
    int node_count;
    struct sim_random schedule, net, disk, test;
    uint64_t trace;
    struct list conns;
    struct sim_node *payer;
    struct sim_allocation **allocations; /* by address */
    size_t allocation_count;
    size_t allocation_buckets;
};

static inline struct sim_node *sim_node_of(struct env *env)
{
    return (struct sim_node *)env;
}

/* Now, for the code that runs. */
int64_t sim_time(const struct sim *sim);
int64_t sim_wall_ms(const struct sim_node *node);

enum sim_result { SIM_STEP, SIM_LIMIT, SIM_IDLE };

/* One step, not beyond the time limit_ns. */
enum sim_result sim_step_within(struct sim *sim, int64_t limit_ns);

/* At the start of every env call: a crash may strike here, another coroutine may go on. */
void sim_enter(struct sim_node *node, const char *call);

/* The same for calls on a path, which is traced too. */
void sim_enter_path(struct sim_node *node, const char *call, const char *path);

/* The call takes this long. sim_sleep lets others go on meanwhile. */
void sim_spend(struct sim_node *node, int64_t ns);
void sim_sleep(struct sim_node *node, int64_t ns);

/* Stop the program unless the coroutine under way may block. */
void sim_check_blocking(struct sim_node *node, const char *call);

/* The node's code ends here and now: does not return when a coroutine of it runs. */
void sim_die(struct sim_node *node, enum sim_crash kind);

void sim_trace(struct sim *sim, const struct sim_node *node, const char *what, int64_t number,
               const char *text);

/* Descriptors. The lowest free one, or -EMFILE. */
int sim_fd_add(struct sim_node *node, enum sim_fd_kind kind, void *what);
void *sim_fd_get(struct sim_node *node, int fd, enum sim_fd_kind kind);
void sim_fd_remove(struct sim_node *node, int fd);

/* sim_exec.c: threads, jobs, pollers. */
struct env_thread *sim_thread_start(struct env *env, const char *name, struct env_poller *poller,
                                    bool (*turn)(void *context), void *context);
void sim_thread_join(struct env_thread *thread);
int sim_core_count(struct env *env);
void sim_job_submit(struct env *env, struct env_job *job);
void sim_jobs_wait(struct env *env);
bool sim_allow_blocking(struct env *env, bool allow);
struct env_poller *sim_poller_create(struct env *env);
void sim_poller_destroy(struct env_poller *poller);
int sim_poller_add(struct env_poller *poller, int sock, unsigned events, void *tag);
int sim_poller_change(struct env_poller *poller, int sock, unsigned events, void *tag);
int sim_poller_remove(struct env_poller *poller, int sock);
int sim_poller_wait(struct env_poller *poller, struct env_poll_event *events, int max,
                    int64_t deadline_ns);
void sim_poller_wake(struct env_poller *poller);
void sim_exec_crash(struct sim_node *node);

/* A socket in a poller. */
struct sim_watch {
    struct list link; /* poller->watches */
    struct env_poller *poller;
    struct sim_sock *sock;
    unsigned events;
    void *tag;
};
void sim_watch_changed(struct sim_watch *watch); /* NULL: nothing */

/* sim_net.c */
struct sim_sock;
unsigned sim_sock_events(const struct sim_sock *sock);
struct sim_watch **sim_sock_watch(struct sim_sock *sock);
int sim_sock_listen(struct env *env, const struct net_address *address, int backlog);
int sim_sock_accept(struct env *env, int listener, struct net_address *ret_peer);
int sim_sock_connect(struct env *env, const struct net_address *address);
int sim_sock_error(struct env *env, int sock);
int sim_sock_local(struct env *env, int sock, struct net_address *ret_address);
int sim_sock_buffers(struct env *env, int sock, int send_bytes, int receive_bytes);
ssize_t sim_sock_read(struct env *env, int sock, void *data, size_t size);
ssize_t sim_sock_write(struct env *env, int sock, const struct iovec *parts, int count, bool more);
ssize_t sim_sock_sendfile(struct env *env, int sock, int file, int64_t offset, size_t size);
int sim_sock_close(struct env *env, int sock);
int sim_resolve(struct env *env, const char *host, uint16_t port, struct net_address *ret, int max);
void sim_net_crash(struct sim_node *node, enum sim_crash kind);
void sim_net_close(struct sim *sim);

/* sim_disk.c */
struct sim_inode;
struct sim_inode *sim_file_inode(struct sim_node *node, int file); /* NULL: no such descriptor */
void sim_inode_ref(struct sim_inode *inode);
void sim_inode_unref(struct sim_inode *inode);
int64_t sim_inode_size(const struct sim_inode *inode);
/* What is in the page cache now; zeros past the end. */
void sim_inode_read(const struct sim_inode *inode, void *data, size_t size, int64_t offset);
struct sim_disk *sim_disk_create(struct sim_node *node);
void sim_disk_destroy(struct sim_disk *disk);
void sim_disk_crash(struct sim_node *node, enum sim_crash kind);
int sim_file_open(struct env *env, const char *path, unsigned flags);
int sim_file_close(struct env *env, int file);
ssize_t sim_file_read(struct env *env, int file, void *data, size_t size, int64_t offset);
ssize_t sim_file_read_nowait(struct env *env, int file, void *data, size_t size, int64_t offset);
ssize_t sim_file_write(struct env *env, int file, const struct iovec *parts, int count,
                       int64_t offset);
int sim_file_sync(struct env *env, int file);
int sim_file_start_writeback(struct env *env, int file, int64_t offset, int64_t size);
int sim_file_truncate(struct env *env, int file, int64_t size_bytes);
int sim_file_size(struct env *env, int file, int64_t *ret_size_bytes);
int sim_file_lock(struct env *env, int file);
int sim_path_stat(struct env *env, const char *path, struct env_stat *ret_stat);
int sim_path_rename(struct env *env, const char *from, const char *to);
int sim_path_unlink(struct env *env, const char *path);
int sim_path_set_modified(struct env *env, const char *path, int64_t wall_ms);
int sim_dir_create(struct env *env, const char *path);
int sim_dir_remove(struct env *env, const char *path);
int sim_dir_sync(struct env *env, const char *path);
int sim_dir_list(struct env *env, const char *path, int (*each)(void *context, const char *name),
                 void *context);
int sim_disk_space(struct env *env, const char *path, int64_t *ret_total, int64_t *ret_free);

#endif
