/* A shard's timers: a heap under the shard's lock, and one timer of the home loop for the first.
 *
 * 1. timers_due_ns is the first key of the heap, INT64_MAX when it is empty. A loop's timer that is
 *    armed too early costs one look; it is never armed too late, because whoever lowers the first
 *    key asks the home loop to look.
 * 2. One op at a time runs the timers of a shard. It does not wait for its commit: what a timer
 *    promises to others is an effect. */
#include "coord/coord_private.h"

#include "base/errors.h"

static struct coord_timer *timer_of(struct heap_node *node)
{
    return container_of(node, struct coord_timer, node);
}

static void due_publish(struct coord_shard *shard)
{
    const struct heap_node *first = heap_first(&shard->timers);
    atomic_store(&shard->timers_due_ns, first ? first->key : INT64_MAX);
}

void coord_timer_init(struct coord_timer *timer)
{
    *timer = (struct coord_timer){0};
    heap_node_init(&timer->node);
}

void coord_timer_set(struct coord_shard *shard, struct coord_timer *timer, int64_t due_ns)
{
    if (due_ns < 0)
        due_ns = 0;
    if (heap_contains(&timer->node))
        heap_move(&shard->timers, &timer->node, due_ns);
    else
        must(heap_insert(&shard->timers, &timer->node, due_ns) == 0);
    int64_t before = atomic_load(&shard->timers_due_ns);
    due_publish(shard);
    if (atomic_load(&shard->timers_due_ns) < before)
        shard_ask(shard, ASK_TIMERS, shard->wakes);
}

void coord_timer_cancel(struct coord_shard *shard, struct coord_timer *timer)
{
    if (shard->timer_now == timer)
        shard->timer_now = NULL;
    if (!heap_contains(&timer->node))
        return;
    heap_remove(&shard->timers, &timer->node);
    due_publish(shard);
}

void shard_timers_clear(struct coord_shard *shard)
{
    heap_close(&shard->timers);
    shard->timer_now = NULL;
    due_publish(shard);
}

/* The process stood still for so long: nobody who had to be heard of meanwhile is late. Moving all
 * of them by the same amount keeps their order, but not the order among the others, so each is
 * moved by itself; the largest first, as every move goes towards the leaves. */
static void gap_take_off(struct coord_shard *shard)
{
    int64_t gap_ns = atomic_exchange(&shard->gap_ns, 0);
    if (gap_ns == 0)
        return;
    struct heap moved;
    heap_init(&moved);
    struct heap_node *node;
    while ((node = heap_first(&shard->timers))) {
        heap_remove(&shard->timers, node);
        int64_t key = node->key + (timer_of(node)->liveness ? gap_ns : 0);
        must(heap_insert(&moved, node, key) == 0);
    }
    heap_close(&shard->timers);
    shard->timers = moved;
    due_publish(shard);
}

/* ---- the op ---- */

static int timer_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct coord_shard *shard = op->shard;
    gap_take_off(shard);
    struct heap_node *first = heap_first(&shard->timers);
    shard->timer_now = NULL;
    if (!first || first->key > turn->now_ns)
        return 0;
    heap_remove(&shard->timers, first);
    due_publish(shard);
    shard->timer_now = timer_of(first);
    return shard->timer_now->decide(shard->timer_now, op, state, turn);
}

static void timer_settle(struct coord_op *op, void *state, const struct coord_turn *turn, int error)
{
    struct coord_shard *shard = op->shard;
    struct coord_timer *timer = shard->timer_now;
    shard->timer_now = NULL;
    if (!timer)
        return;
    if (timer->settle)
        timer->settle(timer, op, state, turn, error);
    else if (error != 0 && !coord_timer_armed(timer))
        coord_timer_set(shard, timer, turn->now_ns + SHARD_RETRY_NS);
}

static void timer_wake(struct coord_op *op, struct wakes *wakes)
{
    struct coord_shard *shard = container_of(op, struct coord_shard, timer_op);
    shard_ask(shard, ASK_TIMER_OP, wakes);
}

/* True: the op is over, or all of it that timers wait for. */
static bool timer_op_go(struct coord_shard *shard, const struct coord_turn *turn)
{
    struct coord_op *op = &shard->timer_op;
    int error;
    if (!coord_op_run(op, turn, &error) && (op->stage != COORD_AWAIT || !coord_op_give_up(op)))
        return false;
    shard->timer_op_runs = false;
    return true;
}

static bool timers_due(const struct coord_shard *shard, int64_t now_ns)
{
    return atomic_load(&shard->timers_due_ns) <= now_ns;
}

static void timers_arm(struct coord_shard *shard)
{
    int64_t due_ns = atomic_load(&shard->timers_due_ns);
    if (atomic_load(&shard->deposed) || atomic_load(&shard->state) != SHARD_ACTIVE)
        return; /* unloading cancels it; a failed shard has other uses for it */
    if (due_ns == INT64_MAX)
        loop_timer_cancel(shard->home, &shard->timer);
    else
        loop_timer_set(shard->home, &shard->timer, due_ns);
}

static void timers_go_on(struct coord_shard *shard, const struct coord_turn *turn)
{
    for (int i = 0; i < SHARD_TIMERS_PER_TURN; i++) {
        if (!timers_due(shard, turn->now_ns) || !shard_serves(shard)) {
            timers_arm(shard);
            return;
        }
        coord_op_init(&shard->timer_op);
        shard->timer_op.shard = coord_shard_ref(shard);
        shard->timer_op.access = COORD_WRITE;
        shard->timer_op.decide = timer_decide;
        shard->timer_op.settle = timer_settle;
        shard->timer_op.wake = timer_wake;
        shard->timer_op_runs = true;
        if (!timer_op_go(shard, turn))
            return;
    }
    shard_ask(shard, ASK_TIMERS, NULL);
}

void shard_timers_run(struct coord_shard *shard)
{
    if (shard->timer_op_runs)
        return; /* it looks again when it is over */
    struct coord_turn turn;
    shard->coord->params.turn(shard->coord->params.server, shard->home, &turn);
    timers_go_on(shard, &turn);
}

void shard_timer_op_run(struct coord_shard *shard)
{
    struct coord_turn turn;
    shard->coord->params.turn(shard->coord->params.server, shard->home, &turn);
    if (timer_op_go(shard, &turn))
        timers_go_on(shard, &turn);
}
