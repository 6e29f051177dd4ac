/* One turn of the loop, and the protocol by which others wake it.
 *
 * Waking. A post is a push on a lock-free stack; the poller is woken only if the loop sleeps. Both
 * sides write first and read afterwards, all four accesses seq_cst, so they have one total order:
 *
 *   loop:    S  sleeping := true        poster:  P  push on the mailbox
 *            L  read the mailbox                 T  read `sleeping`, claim it by exchange(false)
 *
 * If L comes after P the loop sees the task and does not wait. Otherwise L before P, hence
 * S < L < P < T: the poster reads what S wrote or something newer. That is true, and the claimer
 * wakes the poller; or it is false because another poster claimed this very sleep and wakes it; or
 * because the loop itself has ended its wait, and a running loop empties its mailbox before it
 * sleeps again. No post is lost. One claim per sleep means one system call per sleep, and none for
 * a loop that runs, which includes every post by the loop's own thread.
 *
 * A claimer may be delayed between its exchange and its wake; then the wake may meet a later sleep
 * and costs one empty turn. The poller merges wakes and keeps one that comes before the wait.
 *
 * loop_stop is the same with `stopping` in the mailbox's place. */
#include "os/loop.h"

#include <errno.h>

#include "base/must.h"

#define LOOP_GAP_NS 1000000000

int loop_init(struct loop *loop, struct env *env, int index)
{
    *loop = (struct loop){.env = env, .index = index};
    loop->poller = env->ops->poller_create(env);
    if (!loop->poller)
        return -ENOMEM;
    heap_init(&loop->timers);
    atomic_init(&loop->mailbox, NULL);
    atomic_init(&loop->sleeping, false);
    atomic_init(&loop->stopping, false);
    loop->run_last = &loop->run_first;
    loop->now_ns = env_now_ns(env);
    return 0;
}

void loop_close(struct loop *loop)
{
    if (!loop->poller)
        return;
    must(!loop->thread);
    loop->env->ops->jobs_wait(loop->env);
    heap_close(&loop->timers);
    loop->env->ops->poller_destroy(loop->poller);
    loop->poller = NULL;
}

static bool loop_thread_turn(void *context)
{
    return loop_turn(context);
}

int loop_start(struct loop *loop, const char *name)
{
    must(!loop->thread);
    loop->thread =
        loop->env->ops->thread_start(loop->env, name, loop->poller, loop_thread_turn, loop);
    return loop->thread ? 0 : -EAGAIN;
}

void loop_join(struct loop *loop)
{
    if (!loop->thread)
        return;
    loop->env->ops->thread_join(loop->thread);
    loop->thread = NULL;
}

static void loop_wake(void *context)
{
    struct loop *loop = context;
    loop->env->ops->poller_wake(loop->poller);
}

/* Whether the caller has to wake the loop; at most one caller per sleep is told so. */
static bool loop_claim_sleep(struct loop *loop)
{
    return atomic_load(&loop->sleeping) && atomic_exchange(&loop->sleeping, false);
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stopping, true);
    if (loop_claim_sleep(loop))
        loop_wake(loop);
}

static void loop_push(struct loop *loop, struct loop_task *task)
{
    struct loop_task *newest = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);
    do {
        task->next = newest;
    } while (!atomic_compare_exchange_weak(&loop->mailbox, &newest, task));
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    loop_push(loop, task);
    if (loop_claim_sleep(loop))
        loop_wake(loop);
}

void loop_post_later(struct loop *loop, struct loop_task *task, struct wakes *wakes)
{
    loop_push(loop, task);
    if (loop_claim_sleep(loop))
        wakes_add(wakes, loop_wake, loop);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    task->next = NULL;
    *loop->run_last = task;
    loop->run_last = &task->next;
}

static struct loop_timer *loop_next_timer(struct loop *loop)
{
    struct heap_node *node = heap_first(&loop->timers);
    return node ? container_of(node, struct loop_timer, node) : NULL;
}

/* Wait for something to do. Returns the number of ready sockets, now in loop->batch. */
static int loop_wait(struct loop *loop, int64_t timer_due_ns)
{
    int64_t deadline_ns = timer_due_ns;
    if (loop->run_first || atomic_load_explicit(&loop->mailbox, memory_order_relaxed)) {
        deadline_ns = 0;
    } else {
        atomic_store(&loop->sleeping, true);
        if (atomic_load(&loop->mailbox) || atomic_load(&loop->stopping))
            deadline_ns = 0;
    }
    int count = loop->env->ops->poller_wait(loop->poller, loop->batch, LOOP_BATCH_MAX, deadline_ns);
    /* A stale `true` read by a poster would only cost a needless wake. */
    atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
    must(count >= 0);
    return count;
}

static void loop_run_socks(struct loop *loop, int count)
{
    loop->batch_count = count;
    for (loop->batch_at = 0; loop->batch_at < loop->batch_count;) {
        struct env_poll_event *event = &loop->batch[loop->batch_at++];
        struct loop_sock *watch = event->tag;
        if (watch)
            watch->ready(loop, watch, event->events);
    }
    loop->batch_count = 0;
}

static void loop_run_mailbox(struct loop *loop)
{
    if (!atomic_load_explicit(&loop->mailbox, memory_order_relaxed))
        return;
    struct loop_task *newest = atomic_exchange_explicit(&loop->mailbox, NULL, memory_order_acquire);
    struct loop_task *oldest = NULL;
    while (newest) {
        struct loop_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct loop_task *task = oldest;
        oldest = task->next;
        task->run(loop, task);
    }
}

/* What handlers defer meanwhile is left for the next turn. */
static void loop_run_queue(struct loop *loop)
{
    struct loop_task *task = loop->run_first;
    loop->run_first = NULL;
    loop->run_last = &loop->run_first;
    while (task) {
        struct loop_task *next = task->next;
        task->run(loop, task);
        task = next;
    }
}

/* The heap is ordered by when a timer must fire. From its top down all go that may fire; one that
 * may and stands behind one that may not yet waits for it, but never for longer than it must.
 *
 * A timer that arms itself for the past must not hold the loop, so no more are fired than were
 * armed at the start. */
static void loop_run_timers(struct loop *loop)
{
    for (size_t left = loop->timers.size; left > 0; left--) {
        struct loop_timer *timer = loop_next_timer(loop);
        if (!timer || timer->due_ns > loop->now_ns)
            break;
        heap_remove(&loop->timers, &timer->node);
        timer->fire(loop, timer);
    }
}

bool loop_turn(struct loop *loop)
{
    struct loop_timer *timer = loop_next_timer(loop);
    int64_t due_ns = timer ? timer->node.key : -1;
    int count = loop_wait(loop, due_ns);
    int64_t now_ns = env_now_ns(loop->env);
    if (due_ns < loop->now_ns)
        due_ns = due_ns < 0 ? now_ns : loop->now_ns;
    loop->gap_ns = now_ns - due_ns > LOOP_GAP_NS ? now_ns - due_ns : 0;
    loop->now_ns = now_ns;
    if (loop->turn_begin)
        loop->turn_begin(loop);
    loop_run_socks(loop, count);
    loop_run_mailbox(loop);
    loop_run_queue(loop);
    loop_run_timers(loop);
    if (loop->turn_end)
        loop->turn_end(loop);
    return !atomic_load_explicit(&loop->stopping, memory_order_acquire);
}

void loop_timer_init(struct loop_timer *timer,
                     void (*fire)(struct loop *loop, struct loop_timer *timer))
{
    heap_node_init(&timer->node);
    timer->due_ns = timer->slack_ns = 0;
    timer->fire = fire;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ns)
{
    timer->due_ns = due_ns < 0 ? 0 : due_ns;
    int64_t latest_ns =
        INT64_MAX - timer->slack_ns < timer->due_ns ? INT64_MAX : timer->due_ns + timer->slack_ns;
    if (heap_contains(&timer->node))
        heap_move(&loop->timers, &timer->node, latest_ns);
    else
        must(heap_insert(&loop->timers, &timer->node, latest_ns) == 0);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    if (heap_contains(&timer->node))
        heap_remove(&loop->timers, &timer->node);
}

int loop_sock_add(struct loop *loop, struct loop_sock *watch, unsigned events)
{
    watch->events = events;
    return loop->env->ops->poller_add(loop->poller, watch->sock, events, watch);
}

int loop_sock_change(struct loop *loop, struct loop_sock *watch, unsigned events)
{
    if (watch->events == events)
        return 0;
    int err = loop->env->ops->poller_change(loop->poller, watch->sock, events, watch);
    if (err < 0)
        return err;
    watch->events = events;
    return 0;
}

void loop_sock_remove(struct loop *loop, struct loop_sock *watch)
{
    (void)loop->env->ops->poller_remove(loop->poller, watch->sock);
    for (int i = loop->batch_at; i < loop->batch_count; i++) {
        if (loop->batch[i].tag == watch)
            loop->batch[i].tag = NULL;
    }
}
