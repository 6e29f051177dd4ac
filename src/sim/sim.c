/* The scheduler: whose turn it is, what time it is, and the trace of it all.
 *
 * Time. sim->now_ns moves only between steps. A coroutine that goes on at time t and makes calls
 * that take d is at t + d by its own clock (local_ns); what it sends leaves at that time, and it
 * goes on at t + d at the earliest when it next waits. Others may run from t on meanwhile. What it
 * writes to memory is seen by others a little early, at t; that is one of the orders real threads
 * could have had.
 *
 * A step. All coroutines whose time has come, and the earliest due event of the world, stand in one
 * line, and the seed picks one. If none is due, time moves to the next that will be. */
#include "sim/sim_internal.h"

#include <stdarg.h>
#include <string.h>

/* Wall clocks start on 2026-06-15; monotonic ones anywhere within a day of uptime. */
#define WALL_START_MS 1781481600000
#define UPTIME_MAX_NS 86400000000000

/* A coroutine that does not wait for this long loses its turn, so that spinning ends. */
#define TURN_MAX_NS 10000000

/* The trace. */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9fb21c651e98df25u;
    return hash ^ hash >> 32;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = mix(hash, (uint8_t)*text);
    return mix(hash, 256);
}

void sim_trace(struct sim *sim, const struct sim_node *node, const char *what, int64_t number,
               const char *text)
{
    uint64_t hash = mix(sim->trace, (uint64_t)sim_time(sim));
    hash = mix(hash, node ? (uint64_t)node->index : UINT64_MAX);
    hash = mix(hash, sim->current ? sim->current->id : 0);
    hash = mix_text(hash, what);
    hash = mix(hash, (uint64_t)number);
    sim->trace = text ? mix_text(hash, text) : hash;
    if (!sim->options.trace)
        return;
    fprintf(sim->options.trace, "%14.6f %-10s %4llu %-12s %lld%s%s\n", (double)sim_time(sim) / 1e6,
            node ? node->name : "-", (unsigned long long)(sim->current ? sim->current->id : 0),
            what, (long long)number, text ? " " : "", text ? text : "");
}

void sim_note(struct sim *sim, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sim_trace(sim, NULL, "note", 0, text);
}

uint64_t sim_trace_hash(const struct sim *sim)
{
    return sim->trace;
}

/* Events. */

void sim_event_init(struct sim_event *event, void (*fire)(struct sim_event *event))
{
    heap_node_init(&event->node);
    event->fire = fire;
}

bool sim_event_is_set(const struct sim_event *event)
{
    return heap_contains(&event->node);
}

/* The heap's array grows and shrinks in here and must not become some node's memory. */
void sim_event_set(struct sim *sim, struct sim_event *event, int64_t at_ns)
{
    struct sim_node *payer = sim_memory_charge(sim, NULL);
    sim_event_cancel(sim, event);
    must(heap_insert(&sim->events, &event->node, at_ns) == 0);
    sim_memory_charge(sim, payer);
}

void sim_event_cancel(struct sim *sim, struct sim_event *event)
{
    if (heap_contains(&event->node))
        heap_remove(&sim->events, &event->node);
}

/* The scheduler. */

int64_t sim_time(const struct sim *sim)
{
    return sim->now_ns + (sim->current ? sim->current->local_ns : 0);
}

static int64_t co_ready_ns(const struct sim_co *co)
{
    int64_t paused = co->node->paused_until_ns;
    return co->ready_ns > paused ? co->ready_ns : paused;
}

static void node_crash(struct sim_node *node, enum sim_crash kind)
{
    struct sim *sim = node->sim;
    sim_trace(sim, node, kind == SIM_KILL ? "kill" : "power", 0, NULL);
    must(!sim->current || sim->current->node != node);
    list_for_each_safe (at, &sim->cos) {
        struct sim_co *co = container_of(at, struct sim_co, link);
        if (co->node == node)
            sim_co_free(co);
    }
    sim_net_crash(node, kind);
    sim_disk_crash(node, kind);
    sim_exec_crash(node);
    sim_free(node->fds);
    node->fds = NULL;
    node->fd_count = 0;
    node->fds_open = 0;
    sim_memory_drop(node);
    node->dying = false;
    node->crash_after = 0;
    sim_free(node->crash_part);
    node->crash_part = NULL;
    node->up = false;
    node->off = kind == SIM_POWER;
}

static void resume(struct sim_co *co)
{
    struct sim_node *node = co->node;
    sim_co_resume(co);
    if (node->dying)
        node_crash(node, node->dying_kind);
    else if (co->ended)
        sim_co_free(co);
}

/* Who may go on now: how many, and the earliest time at which that changes. */
static int64_t count_ready(const struct sim *sim, uint64_t *ret_count)
{
    struct heap_node *event = heap_first(&sim->events);
    int64_t next_ns = event ? event->key : INT64_MAX;
    uint64_t count = event && event->key <= sim->now_ns;
    list_for_each (at, &sim->cos) {
        int64_t ready_ns = co_ready_ns(container_of(at, struct sim_co, link));
        if (ready_ns <= sim->now_ns)
            count++;
        else if (ready_ns < next_ns)
            next_ns = ready_ns;
    }
    *ret_count = count;
    return next_ns;
}

static void run_choice(struct sim *sim, uint64_t choice)
{
    list_for_each (at, &sim->cos) {
        struct sim_co *co = container_of(at, struct sim_co, link);
        if (co_ready_ns(co) > sim->now_ns)
            continue;
        if (choice-- == 0) {
            resume(co);
            return;
        }
    }
    must(choice == 0);
    struct heap_node *first = heap_first(&sim->events);
    must(first && first->key <= sim->now_ns);
    heap_remove(&sim->events, first);
    struct sim_event *event = container_of(first, struct sim_event, node);
    event->fire(event);
}

enum sim_result sim_step_within(struct sim *sim, int64_t limit_ns)
{
    uint64_t count;
    must(!sim->current);
    int64_t next_ns = count_ready(sim, &count);
    if (count == 0) {
        if (next_ns == INT64_MAX)
            return SIM_IDLE;
        if (next_ns > limit_ns) {
            sim->now_ns = limit_ns;
            return SIM_LIMIT;
        }
        sim->now_ns = next_ns;
        count_ready(sim, &count);
    }
    sim->steps++;
    run_choice(sim, sim_random_below(&sim->schedule, count));
    return SIM_STEP;
}

bool sim_step(struct sim *sim)
{
    return sim_step_within(sim, INT64_MAX) == SIM_STEP;
}

bool sim_run_until(struct sim *sim, bool (*done)(void *context), void *context, int64_t for_ns)
{
    int64_t limit_ns = sim->now_ns + for_ns;
    enum sim_result result = SIM_STEP;
    while (!(done && done(context))) {
        if (result != SIM_STEP)
            return false;
        result = sim_step_within(sim, limit_ns);
        if (result == SIM_IDLE)
            sim->now_ns = limit_ns;
    }
    return true;
}

void sim_run_for(struct sim *sim, int64_t for_ns)
{
    sim_run_until(sim, NULL, NULL, for_ns);
}

/* What every call goes through. */

void sim_die(struct sim_node *node, enum sim_crash kind)
{
    struct sim_co *co = node->sim->current;
    if (!co || co->node != node) {
        node_crash(node, kind);
        return;
    }
    node->dying = true;
    node->dying_kind = kind;
    sim_co_wait(co, INT64_MAX, false);
    must(false);
}

void sim_enter(struct sim_node *node, const char *call)
{
    struct sim *sim = node->sim;
    struct sim_co *co = sim->current;
    if (!co || co->node != node)
        return;
    co->local_ns += sim_random_between(&sim->schedule, 50, 1000);
    sim_trace(sim, node, call, 0, NULL);
    if (node->crash_after > 0 && --node->crash_after == 0)
        sim_die(node, node->crash_kind);
    if (co->local_ns > TURN_MAX_NS || sim_random_ppm(&sim->schedule, sim->options.preempt_ppm))
        sim_co_wait(co, sim_time(sim), false);
}

void sim_enter_path(struct sim_node *node, const char *call, const char *path)
{
    struct sim_co *co = node->sim->current;
    sim_enter(node, call);
    if (!co || co->node != node)
        return;
    sim_trace(node->sim, node, "path", 0, path);
    if (node->crash_part && strstr(path, node->crash_part))
        sim_die(node, node->crash_part_kind);
}

void sim_spend(struct sim_node *node, int64_t ns)
{
    struct sim_co *co = node->sim->current;
    if (co && co->node == node)
        co->local_ns += ns;
}

void sim_sleep(struct sim_node *node, int64_t ns)
{
    struct sim_co *co = node->sim->current;
    if (co && co->node == node)
        sim_co_wait(co, sim_time(node->sim) + ns, false);
}

void sim_check_blocking(struct sim_node *node, const char *call)
{
    struct sim_co *co = node->sim->current;
    if (!co || co->node != node || co->may_block)
        return;
    fprintf(stderr, "sim: %s may block and was called on a loop of %s\n", call, node->name);
    must(co->may_block);
}

int sim_fd_add(struct sim_node *node, enum sim_fd_kind kind, void *what)
{
    int fd = 0;
    if (node->fds_open >= node->sim->options.open_files_max)
        return -EMFILE;
    while (fd < node->fd_count && node->fds[fd].kind != SIM_FD_FREE)
        fd++;
    if (fd == node->fd_count) {
        int count = node->fd_count ? node->fd_count * 2 : 16;
        node->fds = sim_resize(node->fds, (size_t)count * sizeof *node->fds);
        memset(node->fds + node->fd_count, 0, (size_t)(count - node->fd_count) * sizeof *node->fds);
        node->fd_count = count;
    }
    node->fds[fd] = (struct sim_fd){kind, what};
    node->fds_open++;
    return fd;
}

void *sim_fd_get(struct sim_node *node, int fd, enum sim_fd_kind kind)
{
    if (fd < 0 || fd >= node->fd_count || node->fds[fd].kind != kind)
        return NULL;
    return node->fds[fd].what;
}

void sim_fd_remove(struct sim_node *node, int fd)
{
    must(fd >= 0 && fd < node->fd_count && node->fds[fd].kind != SIM_FD_FREE);
    node->fds[fd] = (struct sim_fd){SIM_FD_FREE, NULL};
    node->fds_open--;
}

/* Clocks, randomness, log. */

static int64_t sim_env_now_ns(struct env *env)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "now");
    return sim_time(node->sim) + node->clock_offset_ns;
}

int64_t sim_wall_ms(const struct sim_node *node)
{
    return WALL_START_MS + sim_time(node->sim) / 1000000 + node->wall_offset_ms;
}

static int64_t sim_env_wall_ms(struct env *env)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "wall");
    return sim_wall_ms(node);
}

static void sim_env_random(struct env *env, void *data, size_t size)
{
    struct sim_node *node = sim_node_of(env);
    uint8_t *at = data;
    sim_enter(node, "random");
    for (; size > 0; size--)
        *at++ = (uint8_t)sim_random_next(&node->random);
}

static void sim_env_log_line(struct env *env, int level, const char *line, size_t size)
{
    struct sim_node *node = sim_node_of(env);
    (void)level;
    if (node->sim->options.log)
        fprintf(node->sim->options.log, "%s: %.*s\n", node->name, (int)size, line);
}

static const struct env_ops sim_ops = {
    .now_ns = sim_env_now_ns,
    .wall_ms = sim_env_wall_ms,
    .random = sim_env_random,
    .file_open = sim_file_open,
    .file_close = sim_file_close,
    .file_read = sim_file_read,
    .file_read_nowait = sim_file_read_nowait,
    .file_write = sim_file_write,
    .file_sync = sim_file_sync,
    .file_start_writeback = sim_file_start_writeback,
    .file_truncate = sim_file_truncate,
    .file_size = sim_file_size,
    .file_lock = sim_file_lock,
    .path_stat = sim_path_stat,
    .path_rename = sim_path_rename,
    .path_unlink = sim_path_unlink,
    .path_set_modified = sim_path_set_modified,
    .dir_create = sim_dir_create,
    .dir_remove = sim_dir_remove,
    .dir_sync = sim_dir_sync,
    .dir_list = sim_dir_list,
    .disk_space = sim_disk_space,
    .sock_listen = sim_sock_listen,
    .sock_accept = sim_sock_accept,
    .sock_connect = sim_sock_connect,
    .sock_error = sim_sock_error,
    .sock_local = sim_sock_local,
    .sock_buffers = sim_sock_buffers,
    .sock_read = sim_sock_read,
    .sock_write = sim_sock_write,
    .sock_sendfile = sim_sock_sendfile,
    .sock_close = sim_sock_close,
    .resolve = sim_resolve,
    .poller_create = sim_poller_create,
    .poller_destroy = sim_poller_destroy,
    .poller_add = sim_poller_add,
    .poller_change = sim_poller_change,
    .poller_remove = sim_poller_remove,
    .poller_wait = sim_poller_wait,
    .poller_wake = sim_poller_wake,
    .thread_start = sim_thread_start,
    .thread_join = sim_thread_join,
    .job_submit = sim_job_submit,
    .core_count = sim_core_count,
    .jobs_wait = sim_jobs_wait,
    .allow_blocking = sim_allow_blocking,
    .log_line = sim_env_log_line,
};

/* Nodes and the whole. */

struct sim *sim_create(uint64_t seed, const struct sim_options *options)
{
    struct sim *sim = sim_alloc(sizeof *sim);
    if (options)
        sim->options = *options;
    else
        sim_options_calm(&sim->options);
    list_init(&sim->cos);
    list_init(&sim->conns);
    heap_init(&sim->events);
    sim_random_init(&sim->schedule, seed, 1);
    sim_random_init(&sim->net, seed, 2);
    sim_random_init(&sim->disk, seed, 3);
    sim_random_init(&sim->test, seed, 4);
    sim_memory_attach(sim);
    return sim;
}

void sim_destroy(struct sim *sim)
{
    if (!sim)
        return;
    must(!sim->current);
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *node = sim->nodes[i];
        node_crash(node, SIM_KILL); /* also of a dead one: the test may have opened files there */
        sim_disk_fault(node, SIM_DISK_READ, NULL, 0, 0, 0);
    }
    /* Connections of all nodes may still hold files that were sent to them. */
    for (int i = 0; i < sim->node_count; i++)
        sim_disk_destroy(sim->nodes[i]->disk);
    sim_net_close(sim);
    sim_stacks_free(sim);
    heap_close(&sim->events);
    sim_memory_detach(sim);
    for (int i = 0; i < sim->node_count; i++)
        sim_free(sim->nodes[i]);
    sim_free(sim);
}

struct sim_options *sim_options(struct sim *sim)
{
    return &sim->options;
}

struct sim_node *sim_node_add(struct sim *sim, const char *name)
{
    must(sim->node_count < SIM_NODES_MAX);
    struct sim_node *node = sim_alloc(sizeof *node);
    node->env.ops = &sim_ops;
    node->sim = sim;
    node->index = sim->node_count;
    node->up = true;
    snprintf(node->name, sizeof node->name, "%s", name);
    node->clock_offset_ns = sim_random_between(&sim->schedule, 1, UPTIME_MAX_NS);
    sim_random_init(&node->random, sim_random_next(&sim->schedule), 5);
    list_init(&node->threads);
    list_init(&node->pollers);
    list_init(&node->socks);
    list_init(&node->allocations);
    node->job_last = &node->job_first;
    node->next_port = 32768;
    node->disk = sim_disk_create(node);
    sim->nodes[sim->node_count++] = node;
    return node;
}

struct env *sim_env(struct sim_node *node)
{
    return &node->env;
}

struct sim *sim_of(struct sim_node *node)
{
    return node->sim;
}

const char *sim_node_name(const struct sim_node *node)
{
    return node->name;
}

struct main_thread {
    void (*run)(struct env *env, void *context);
    void *context;
};

static void run_main(struct sim_co *co)
{
    struct main_thread *main = co->context;
    main->run(&co->node->env, main->context);
}

void sim_start(struct sim_node *node, void (*run)(struct env *env, void *context), void *context)
{
    must(node->up);
    struct main_thread *main = sim_alloc(sizeof *main);
    main->run = run;
    main->context = context;
    sim_co_start(node, true, run_main, main)->owns_context = true;
}

bool sim_is_running(const struct sim_node *node)
{
    return node->co_count > 0;
}

bool sim_is_up(const struct sim_node *node)
{
    return node->up;
}

size_t sim_memory_bytes(const struct sim_node *node)
{
    return node->allocated_bytes;
}

void sim_crash(struct sim_node *node, enum sim_crash kind)
{
    if (node->up)
        sim_die(node, kind);
}

void sim_crash_after(struct sim_node *node, int64_t calls, enum sim_crash kind)
{
    node->crash_after = calls;
    node->crash_kind = kind;
}

void sim_crash_at_path(struct sim_node *node, const char *part, enum sim_crash kind)
{
    sim_free(node->crash_part);
    node->crash_part = part ? sim_strdup(part) : NULL;
    node->crash_part_kind = kind;
}

void sim_restart(struct sim_node *node)
{
    must(!node->up);
    sim_trace(node->sim, node, "restart", 0, NULL);
    node->up = true;
    node->off = false;
    node->paused_until_ns = 0;
}

void sim_pause(struct sim_node *node, int64_t for_ns)
{
    sim_trace(node->sim, node, "pause", for_ns, NULL);
    node->paused_until_ns = sim_time(node->sim) + for_ns;
}

void sim_wall_jump(struct sim_node *node, int64_t by_ms)
{
    sim_trace(node->sim, node, "wall jump", by_ms, NULL);
    node->wall_offset_ms += by_ms;
}

int64_t sim_now_ns(const struct sim *sim)
{
    return sim_time(sim);
}

int64_t sim_steps(const struct sim *sim)
{
    return sim->steps;
}

uint64_t sim_dice(struct sim *sim, uint64_t limit)
{
    return sim_random_below(&sim->test, limit);
}

bool sim_dice_ppm(struct sim *sim, uint32_t ppm)
{
    return sim_random_ppm(&sim->test, ppm);
}
