/* Threads, jobs and pollers of a node. */
#include "sim/sim_internal.h"

/* How long it takes until a woken thread runs. */
#define WAKE_MIN_NS 2000
#define WAKE_MAX_NS 60000
#define WAKE_SLOW_PPM 5000

struct env_thread {
    struct list link; /* node->threads */
    struct sim_node *node;
    bool (*turn)(void *context);
    void *context;
    bool ended;
};

struct env_poller {
    struct list link; /* node->pollers */
    struct sim_node *node;
    struct list watches;
    struct sim_co *waiter;
    bool woken;
    bool changed; /* a watch may have become ready since the last look */
};

static int64_t wake_delay(struct sim_node *node)
{
    return sim_random_latency(&node->sim->schedule, WAKE_MIN_NS, WAKE_MAX_NS, WAKE_SLOW_PPM);
}

/* Threads and jobs end rarely, so whoever waits in this node for whatever end looks again. */
static void wake_waiters(struct sim_node *node)
{
    list_for_each (at, &node->sim->cos) {
        struct sim_co *co = container_of(at, struct sim_co, link);
        if (co->node == node)
            sim_co_wake(co, wake_delay(node));
    }
}

/* Wait for wake_waiters. The test's main function runs the simulation instead; something must be
 * left to happen then. */
static void wait_for_end(struct sim_node *node)
{
    if (node->sim->current)
        sim_co_wait(node->sim->current, INT64_MAX, true);
    else
        must(sim_step(node->sim));
}

static void thread_run(struct sim_co *co)
{
    struct env_thread *thread = co->context;
    while (thread->turn(thread->context))
        ;
    thread->ended = true;
    wake_waiters(co->node);
}

struct env_thread *sim_thread_start(struct env *env, const char *name, struct env_poller *poller,
                                    bool (*turn)(void *context), void *context)
{
    struct sim_node *node = sim_node_of(env);
    (void)poller;
    sim_enter(node, "thread");
    sim_trace(node->sim, node, "start", 0, name);
    struct env_thread *thread = sim_alloc(sizeof *thread);
    thread->node = node;
    thread->turn = turn;
    thread->context = context;
    list_push_back(&node->threads, &thread->link);
    sim_co_start(node, false, thread_run, thread);
    return thread;
}

void sim_thread_join(struct env_thread *thread)
{
    sim_enter(thread->node, "join");
    while (!thread->ended)
        wait_for_end(thread->node);
    list_remove(&thread->link);
    sim_free(thread);
}

/* A pool thread takes jobs until none is left. That a job is taken, that it ends and that its end
 * is told are steps of their own. */
static void pool_run(struct sim_co *co)
{
    struct sim_node *node = co->node;
    while (node->job_first) {
        struct env_job *job = node->job_first;
        node->job_first = job->next;
        if (!node->job_first)
            node->job_last = &node->job_first;
        job->run(job);
        sim_sleep(node, wake_delay(node));
        job->finish(job);
        sim_sleep(node, wake_delay(node));
    }
    node->jobs_running--;
    wake_waiters(node);
}

/* Two loops for each node: enough for what happens between loops. */
int sim_core_count(struct env *env)
{
    (void)env;
    return 2;
}

void sim_job_submit(struct env *env, struct env_job *job)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "job");
    job->next = NULL;
    *node->job_last = job;
    node->job_last = &job->next;
    if (node->jobs_running < node->sim->options.pool_threads) {
        node->jobs_running++;
        sim_co_start(node, true, pool_run, NULL);
    }
}

void sim_jobs_wait(struct env *env)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "jobs wait");
    sim_check_blocking(node, "jobs_wait");
    while (node->jobs_running > 0)
        wait_for_end(node);
}

bool sim_allow_blocking(struct env *env, bool allow)
{
    struct sim_co *co = sim_node_of(env)->sim->current;
    if (!co)
        return true;
    bool before = co->may_block;
    co->may_block = allow;
    return before;
}

struct env_poller *sim_poller_create(struct env *env)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "poller");
    struct env_poller *poller = sim_alloc(sizeof *poller);
    poller->node = node;
    list_init(&poller->watches);
    list_push_back(&node->pollers, &poller->link);
    return poller;
}

static void watch_free(struct sim_watch *watch)
{
    *sim_sock_watch(watch->sock) = NULL;
    list_remove(&watch->link);
    sim_free(watch);
}

void sim_poller_destroy(struct env_poller *poller)
{
    if (!poller)
        return;
    must(!poller->waiter);
    list_for_each_safe (at, &poller->watches)
        watch_free(container_of(at, struct sim_watch, link));
    list_remove(&poller->link);
    sim_free(poller);
}

static void poller_alarm(struct env_poller *poller)
{
    if (poller->waiter)
        sim_co_wake(poller->waiter, wake_delay(poller->node));
}

void sim_watch_changed(struct sim_watch *watch)
{
    if (!watch)
        return;
    watch->poller->changed = true;
    poller_alarm(watch->poller);
}

int sim_poller_add(struct env_poller *poller, int sock, unsigned events, void *tag)
{
    sim_enter(poller->node, "watch");
    struct sim_sock *found = sim_fd_get(poller->node, sock, SIM_FD_SOCK);
    if (!found)
        return -EBADF;
    if (*sim_sock_watch(found))
        return -EEXIST;
    struct sim_watch *watch = sim_alloc(sizeof *watch);
    *watch = (struct sim_watch){.poller = poller, .sock = found, .events = events, .tag = tag};
    list_push_back(&poller->watches, &watch->link);
    *sim_sock_watch(found) = watch;
    sim_watch_changed(watch);
    return 0;
}

static struct sim_watch *find_watch(struct env_poller *poller, int sock)
{
    struct sim_sock *found = sim_fd_get(poller->node, sock, SIM_FD_SOCK);
    struct sim_watch *watch = found ? *sim_sock_watch(found) : NULL;
    return watch && watch->poller == poller ? watch : NULL;
}

int sim_poller_change(struct env_poller *poller, int sock, unsigned events, void *tag)
{
    sim_enter(poller->node, "rewatch");
    struct sim_watch *watch = find_watch(poller, sock);
    if (!watch)
        return -ENOENT;
    watch->events = events;
    watch->tag = tag;
    sim_watch_changed(watch);
    return 0;
}

int sim_poller_remove(struct env_poller *poller, int sock)
{
    sim_enter(poller->node, "unwatch");
    struct sim_watch *watch = find_watch(poller, sock);
    if (!watch)
        return -ENOENT;
    watch_free(watch);
    return 0;
}

/* The kernel promises no order; a watch that was told moves to the end, so that none starves. */
static int collect(struct env_poller *poller, struct env_poll_event *events, int max)
{
    struct sim_random *random = &poller->node->sim->schedule;
    struct list told;
    int count = 0;
    list_init(&told);
    list_for_each_safe (at, &poller->watches) {
        struct sim_watch *watch = container_of(at, struct sim_watch, link);
        unsigned ready = sim_sock_events(watch->sock) & (watch->events | ENV_POLL_HUP);
        if (ready == 0 || count == max)
            continue;
        events[count++] = (struct env_poll_event){ready, watch->tag};
        list_remove(at);
        list_push_back(&told, at);
    }
    struct list *at;
    while ((at = list_pop(&told)))
        list_push_back(&poller->watches, at);
    for (int i = count - 1; i > 0; i--) {
        int other = (int)sim_random_below(random, (uint64_t)i + 1);
        struct env_poll_event event = events[i];
        events[i] = events[other];
        events[other] = event;
    }
    return count;
}

/* The test's main function waits by running the world. */
static void main_wait(struct sim_node *node, int64_t deadline_ns)
{
    enum sim_result result = sim_step_within(node->sim, deadline_ns);
    must(result != SIM_IDLE || deadline_ns != INT64_MAX); /* it would wait for ever */
    if (result == SIM_IDLE)
        node->sim->now_ns = deadline_ns;
}

int sim_poller_wait(struct env_poller *poller, struct env_poll_event *events, int max,
                    int64_t deadline_ns)
{
    struct sim_node *node = poller->node;
    struct sim *sim = node->sim;
    int64_t until_ns = deadline_ns < 0 ? INT64_MAX : deadline_ns - node->clock_offset_ns;
    sim_enter(node, "poll");
    must(!poller->waiter);
    poller->changed = true;
    for (;;) {
        int count = poller->changed ? collect(poller, events, max) : 0;
        poller->changed = count > 0;
        if (count > 0 || poller->woken || deadline_ns == 0 || sim_time(sim) >= until_ns) {
            poller->woken = false;
            return count;
        }
        if (sim->current) {
            poller->waiter = sim->current;
            sim_co_wait(sim->current, until_ns, true);
            poller->waiter = NULL;
        } else {
            main_wait(node, until_ns);
        }
    }
}

void sim_poller_wake(struct env_poller *poller)
{
    sim_enter(poller->node, "wake");
    poller->woken = true;
    poller_alarm(poller);
}

/* After the node's coroutines and sockets are gone. */
void sim_exec_crash(struct sim_node *node)
{
    list_for_each_safe (at, &node->pollers) {
        struct env_poller *poller = container_of(at, struct env_poller, link);
        must(list_empty(&poller->watches));
        sim_free(poller);
    }
    list_for_each_safe (at, &node->threads)
        sim_free(container_of(at, struct env_thread, link));
    list_init(&node->pollers);
    list_init(&node->threads);
    node->job_first = NULL;
    node->job_last = &node->job_first;
    node->jobs_running = 0;
}
