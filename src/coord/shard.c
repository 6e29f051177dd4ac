/* One shard: its life on its home loop, its lock, and what is done under it.
 *
 * 1. `state` becomes ACTIVE under the lock, after `loaded`. Ops look at it under the lock.
 * 2. fold_state belongs to the holder of the lock; while LOADING it is NULL and loaded_state is the
 *    job's. A shard whose log was empty has no fold_state before its first op.
 * 3. Whoever wants something of the home loop sets a bit in `asked`; a post carries a reference.
 *    Bits become `todo`, and stay there until the lock is to be had and the job is over.
 * 4. After unloading nothing is armed, linked or posted on the shard's behalf but by ops, which
 *    hold references of their own and find it DEAD. */
#include "coord/coord_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"

#define LOAD_SAY_RECORDS 10000
#define LOAD_SAY_NS INT64_C(100000000)

static const struct coord_fold *shard_fold(const struct coord_shard *shard)
{
    return shard->coord->params.fold;
}

static enum shard_state shard_state_now(const struct coord_shard *shard)
{
    return (enum shard_state)atomic_load_explicit(&shard->state, memory_order_acquire);
}

static void shard_state_set(struct coord_shard *shard, enum shard_state state)
{
    atomic_store_explicit(&shard->state, state, memory_order_release);
}

bool shard_serves(const struct coord_shard *shard)
{
    return shard_state_now(shard) == SHARD_ACTIVE && !atomic_load(&shard->deposed);
}

/* ---- references and asking ---- */

struct coord_shard *coord_shard_ref(struct coord_shard *shard)
{
    atomic_fetch_add_explicit(&shard->refs, 1, memory_order_relaxed);
    return shard;
}

void coord_shard_unref(struct coord_shard *shard)
{
    if (atomic_fetch_sub_explicit(&shard->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct coord *coord = shard->coord;
    must(!shard->fold_state && !shard->loaded_state && shard->timers.size == 0);
    must(!heap_contains(&shard->timer.node));
    heap_close(&shard->timers);
    parklock_close(&shard->lock);
    partition_unref(shard->partition);
    free(shard);
    atomic_fetch_sub(&coord->shards, 1);
}

void shard_ask(struct coord_shard *shard, unsigned what, struct wakes *wakes)
{
    if (atomic_fetch_or(&shard->asked, what | ASK_POSTED) & ASK_POSTED)
        return;
    coord_shard_ref(shard);
    if (wakes)
        loop_post_later(shard->home, &shard->tend, wakes);
    else
        loop_post(shard->home, &shard->tend);
}

static void shard_turn(struct coord_shard *shard, struct coord_turn *ret_turn)
{
    const struct coord_params *params = &shard->coord->params;
    params->turn(params->server, shard->home, ret_turn);
}

/* ---- under the lock ---- */

static void effect_reached(struct waiter *waiter, struct wakes *wakes)
{
    shard_ask(container_of(waiter, struct coord_shard, effect_waiter), ASK_EFFECTS, wakes);
}

static void effect_synced(struct waiter *waiter, struct wakes *wakes)
{
    shard_ask(container_of(waiter, struct coord_shard, effect_sync_waiter), ASK_EFFECTS, wakes);
}

static void effects_unwait(struct coord_shard *shard)
{
    if (shard->effects_waiting)
        commit_cancel(shard->partition, &shard->effect_waiter, &shard->effect_sync_waiter);
    shard->effects_waiting = false;
}

/* Release what is committed; wait for the first that is not. Lost leadership unloads anyway. */
static void effects_release(struct coord_shard *shard)
{
    while (!list_empty(&shard->effects)) {
        struct coord_effect *first = list_first(&shard->effects, struct coord_effect, link);
        shard->effects_waiting = true;
        if (commit_wait(shard->partition, shard->leader_epoch, first->offset, &shard->effect_waiter,
                        &shard->effect_sync_waiter) != COMMIT_REACHED)
            return;
        list_remove(&first->link);
        first->release(first, shard->fold_state, shard->wakes);
    }
    effects_unwait(shard);
}

void coord_effect_init(struct coord_effect *effect,
                       void (*release)(struct coord_effect *effect, void *state,
                                       struct wakes *wakes))
{
    list_init(&effect->link);
    effect->offset = 0;
    effect->release = release;
}

void coord_effect_add(struct coord_shard *shard, struct coord_effect *effect)
{
    coord_effect_cancel(effect);
    effect->offset = shard->applied;
    list_push_back(&shard->effects, &effect->link);
}

void coord_effect_cancel(struct coord_effect *effect)
{
    if (!list_empty(&effect->link))
        list_remove(&effect->link);
}

static void effects_clear(struct coord_shard *shard)
{
    effects_unwait(shard);
    while (list_pop(&shard->effects))
        ;
}

void shard_enter(struct coord_shard *shard, struct wakes *wakes)
{
    must(!shard->wakes);
    shard->wakes = wakes;
}

void shard_leave(struct coord_shard *shard)
{
    struct wakes *wakes = shard->wakes;
    if (shard->fold_state && !list_empty(&shard->effects))
        effects_release(shard);
    shard->wakes = NULL;
    parklock_release(&shard->lock);
    wakes_run(wakes);
}

void *shard_state(struct coord_shard *shard, const struct coord_turn *turn)
{
    if (shard->fold_state)
        return shard->fold_state;
    const struct coord_fold *fold = shard_fold(shard);
    shard->fold_state = fold->create(shard, shard->coord->params.context);
    if (shard->fold_state && fold->loaded)
        fold->loaded(shard->fold_state, turn);
    return shard->fold_state;
}

void shard_fail(struct coord_shard *shard)
{
    shard_state_set(shard, SHARD_FAILED);
    shard_ask(shard, ASK_UNLOAD, shard->wakes);
}

struct wakes *coord_shard_wakes(struct coord_shard *shard)
{
    return shard->wakes;
}

int64_t coord_shard_applied(const struct coord_shard *shard)
{
    return shard->applied;
}

/* ---- loading and unloading: home loop ---- */

static void load_submit(struct coord_shard *shard);

/* One of the loads is over: the next in line may go. */
static void load_leave_line(struct coord *coord)
{
    pthread_mutex_lock(&coord->load_lock);
    struct list *next = list_pop(&coord->load_queue);
    if (!next)
        coord->loading--;
    pthread_mutex_unlock(&coord->load_lock);
    if (!next)
        return;
    struct coord_shard *shard = container_of(next, struct coord_shard, load_link);
    shard_ask(shard, ASK_LOAD_NOW, NULL);
    coord_shard_unref(shard); /* the line's */
}

static void load_enter_line(struct coord_shard *shard)
{
    struct coord *coord = shard->coord;
    pthread_mutex_lock(&coord->load_lock);
    bool now = coord->loading < COORD_LOADS_MAX;
    if (now)
        coord->loading++;
    else
        list_push_back(&coord->load_queue, &coord_shard_ref(shard)->load_link);
    pthread_mutex_unlock(&coord->load_lock);
    if (now)
        load_submit(shard);
}

static void load_say(const struct coord_shard *shard)
{
    const struct load_result *loaded = &shard->loaded;
    bool much = loaded->records >= LOAD_SAY_RECORDS || loaded->took_ns >= LOAD_SAY_NS;
    if (loaded->error != 0) {
        say_error(shard->coord->params.say, "coordinator cannot be loaded",
                  kv_text("coordinator", shard_fold(shard)->name),
                  kv_str("partition", shard->partition->name),
                  kv_text("error", result_text(loaded->error)));
        return;
    }
    if (loaded->records == 0)
        return;
    say_at(shard->coord->params.say, much ? SAY_INFO : SAY_DEBUG, "coordinator loaded",
           kv_text("coordinator", shard_fold(shard)->name),
           kv_str("partition", shard->partition->name), kv_int("records", loaded->records),
           kv_int("bytes", loaded->bytes), kv_int("ms", loaded->took_ns / 1000000));
}

static void load_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct coord_shard *shard = container_of(job, struct coord_shard, job);
    shard->job_runs = false;
    load_leave_line(shard->coord);
    if (!atomic_load(&shard->deposed))
        load_say(shard);
    shard_ask(shard, ASK_LOADED, NULL);
    coord_shard_unref(shard); /* the job's */
}

static void load_submit(struct coord_shard *shard)
{
    must(!shard->job_runs && !shard->loaded_state);
    shard->job_runs = true;
    shard->loaded = (struct load_result){0};
    shard->job.run = load_run;
    shard->job.done = load_done;
    coord_shard_ref(shard);
    pool_submit(shard->home, &shard->job);
}

static void drop_run(struct pool_job *job)
{
    struct coord_shard *shard = container_of(job, struct coord_shard, job);
    shard_fold(shard)->destroy(shard->loaded_state);
    shard->loaded_state = NULL;
}

static void drop_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct coord_shard *shard = container_of(job, struct coord_shard, job);
    shard->job_runs = false;
    shard_ask(shard, 0, NULL); /* what had to wait for the job */
    coord_shard_unref(shard);
}

/* A large state takes long to free: that is for the pool. */
static void state_drop(struct coord_shard *shard, void *state)
{
    must(!shard->job_runs && !shard->loaded_state);
    shard->loaded_state = state;
    shard->job_runs = true;
    shard->job.run = drop_run;
    shard->job.done = drop_done;
    coord_shard_ref(shard);
    pool_submit(shard->home, &shard->job);
}

/* Lock held, entered. Let everything go that others know of; what is left is memory. */
static void shard_unload(struct coord_shard *shard)
{
    bool deposed = atomic_load(&shard->deposed);
    if (deposed)
        shard_state_set(shard, SHARD_DEAD);
    void *state = shard->fold_state;
    if (state && shard_fold(shard)->unloaded)
        shard_fold(shard)->unloaded(state, shard->wakes);
    shard_timers_clear(shard);
    effects_clear(shard);
    shard->fold_state = NULL;
    loop_timer_cancel(shard->home, &shard->timer);
    parklock_leave(&shard->partition->append_lock, &shard->load_park);
    if (state)
        state_drop(shard, state);
    if (!deposed) /* it failed: once more, a little later */
        loop_timer_set(shard->home, &shard->timer, shard->home->now_ns + shard->retry_ns);
}

/* Lock held, entered. */
static void shard_loaded(struct coord_shard *shard)
{
    void *state = shard->loaded_state;
    shard->loaded_state = NULL;
    if (atomic_load(&shard->deposed) || shard->loaded.error != 0) {
        if (state)
            state_drop(shard, state);
        if (atomic_load(&shard->deposed))
            return;
        shard_state_set(shard, SHARD_FAILED);
        loop_timer_set(shard->home, &shard->timer, shard->home->now_ns + shard->retry_ns);
        if (shard->retry_ns < SHARD_RETRY_MAX_NS)
            shard->retry_ns *= 2;
        return;
    }
    shard->retry_ns = SHARD_RETRY_NS;
    shard->fold_state = state;
    if (state && shard_fold(shard)->loaded) {
        struct coord_turn turn;
        shard_turn(shard, &turn);
        shard_fold(shard)->loaded(state, &turn);
    }
    shard_state_set(shard, SHARD_ACTIVE);
}

/* Lock held, entered. */
static void shard_image(struct coord_shard *shard)
{
    if (!shard->fold_state || !shard_fold(shard)->image_changed || !shard_serves(shard))
        return;
    struct coord_turn turn;
    shard_turn(shard, &turn);
    shard_fold(shard)->image_changed(shard->fold_state, &turn);
}

/* ---- the home loop's task ---- */

#define ASKS_WITH_LOCK (ASK_EFFECTS | ASK_IMAGE | ASK_UNLOAD | ASK_LOADED)

/* When somebody has the lock, it is handed to us and we are called again. */
static void tend_locked(struct coord_shard *shard)
{
    shard->tend_queued = !parklock_take(&shard->lock, &shard->tend_park);
    if (shard->tend_queued)
        return;
    unsigned todo = shard->todo & ASKS_WITH_LOCK;
    if (shard->job_runs)
        todo &= ~(unsigned)ASK_UNLOAD; /* it is seen when the job is over */
    shard->todo &= ~todo;
    struct wakes wakes;
    wakes_init(&wakes);
    shard_enter(shard, &wakes);
    if (todo & ASK_LOADED)
        shard_loaded(shard);
    if (todo & ASK_IMAGE)
        shard_image(shard);
    if (todo & ASK_UNLOAD) {
        if (shard->job_runs) /* shard_loaded has begun one */
            shard->todo |= ASK_UNLOAD;
        else
            shard_unload(shard);
    }
    shard_leave(shard); /* releases effects */
}

/* An append that was let in under an earlier leadership may still be under way. Whoever comes after
 * it finds another epoch, so when we had the lock once the log's end is what we shall find. */
static bool appends_ended(struct coord_shard *shard)
{
    if (!parklock_take(&shard->partition->append_lock, &shard->load_park))
        return false;
    parklock_release(&shard->partition->append_lock);
    return true;
}

static void load_lock_given(struct park_waiter *park, struct wakes *wakes)
{
    shard_ask(container_of(park, struct coord_shard, load_park), ASK_LOAD, wakes);
}

static void tend_loads(struct coord_shard *shard)
{
    unsigned todo = shard->todo & (ASK_LOAD | ASK_LOAD_NOW);
    if (shard->job_runs)
        return; /* an old state is being freed */
    shard->todo &= ~todo;
    if (todo & ASK_LOAD_NOW) {
        if (atomic_load(&shard->deposed))
            load_leave_line(shard->coord);
        else
            load_submit(shard);
    } else if (!atomic_load(&shard->deposed) && appends_ended(shard)) {
        load_enter_line(shard);
    }
}

static void tend_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct coord_shard *shard = container_of(task, struct coord_shard, tend);
    shard->todo |= atomic_exchange(&shard->asked, 0) & ~(unsigned)ASK_POSTED;
    if (shard->todo & ASK_TIMER_OP) {
        shard->todo &= ~(unsigned)ASK_TIMER_OP;
        if (shard->timer_op_runs)
            shard_timer_op_run(shard);
    }
    if (shard->todo & (ASK_LOAD | ASK_LOAD_NOW))
        tend_loads(shard);
    if (shard->tend_queued || (shard->todo & ASKS_WITH_LOCK))
        tend_locked(shard);
    if (shard->todo & ASK_TIMERS) {
        shard->todo &= ~(unsigned)ASK_TIMERS;
        shard_timers_run(shard);
    }
    coord_shard_unref(shard); /* the post's */
}

static void tend_lock_given(struct park_waiter *park, struct wakes *wakes)
{
    shard_ask(container_of(park, struct coord_shard, tend_park), 0, wakes);
}

static void timer_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct coord_shard *shard = container_of(timer, struct coord_shard, timer);
    coord_shard_ref(shard);
    if (shard_state_now(shard) == SHARD_FAILED && !atomic_load(&shard->deposed)) {
        shard_state_set(shard, SHARD_LOADING);
        shard_ask(shard, ASK_LOAD, NULL);
    } else {
        shard_timers_run(shard);
    }
    coord_shard_unref(shard);
}

/* ---- making and deposing: the broker's home loop ---- */

int shard_create(struct coord *coord, struct partition *partition, int32_t leader_epoch,
                 struct coord_shard **ret_shard)
{
    struct coord_shard *shard = calloc(1, sizeof *shard);
    if (!shard)
        return -ENOMEM;
    atomic_init(&shard->refs, 1);
    shard->coord = coord;
    shard->partition = partition_ref(partition);
    shard->home = coord->loops[partition->index % coord->params.loop_count];
    shard->index = partition->index;
    shard->leader_epoch = leader_epoch;
    parklock_init(&shard->lock);
    heap_init(&shard->timers);
    list_init(&shard->effects);
    waiter_init(&shard->effect_waiter, effect_reached);
    waiter_init(&shard->effect_sync_waiter, effect_synced);
    atomic_init(&shard->timers_due_ns, INT64_MAX);
    shard->tend.run = tend_run;
    shard->tend_park.fire = tend_lock_given;
    shard->load_park.fire = load_lock_given;
    loop_timer_init(&shard->timer, timer_fire);
    list_init(&shard->load_link);
    shard->retry_ns = SHARD_RETRY_NS;
    atomic_fetch_add(&coord->shards, 1);
    bool empty = parklock_try(&partition->append_lock);
    if (empty) {
        shard->applied = log_end_offset(partition->log);
        empty = log_start_offset(partition->log) == shard->applied;
        parklock_release(&partition->append_lock);
    }
    atomic_init(&shard->state, empty ? SHARD_ACTIVE : SHARD_LOADING);
    if (!empty)
        shard_ask(shard, ASK_LOAD, NULL);
    *ret_shard = shard;
    return 0;
}

static void shard_retired(struct epoch_entry *entry)
{
    coord_shard_unref(container_of(entry, struct coord_shard, retired));
}

void shard_depose(struct coord_shard *shard)
{
    atomic_store(&shard->deposed, true);
    shard_ask(shard, ASK_UNLOAD, NULL);
    epoch_retire(shard->coord->params.epochs, &shard->retired, shard_retired);
}

/* ---- what others may know ---- */

int32_t coord_shard_partition(const struct coord_shard *shard)
{
    return shard->index;
}

int32_t coord_shard_epoch(const struct coord_shard *shard)
{
    return shard->leader_epoch;
}

struct env *coord_shard_env(const struct coord_shard *shard)
{
    return shard->coord->params.env;
}

const struct say *coord_shard_say(const struct coord_shard *shard)
{
    return shard->coord->params.say;
}

struct loop *coord_shard_home(const struct coord_shard *shard)
{
    return shard->home;
}

bool coord_shard_is_deposed(const struct coord_shard *shard)
{
    return atomic_load(&shard->deposed);
}

/* ---- parked requests and tasks ---- */

void coord_wait_init(struct coord_wait *wait,
                     void (*wake)(struct coord_wait *wait, struct wakes *wakes))
{
    list_init(&wait->link);
    wait->error = 0;
    wait->wake = wake;
}

void coord_wait_complete(struct coord_wait *wait, int error, struct wakes *wakes)
{
    if (!coord_wait_waits(wait))
        return;
    list_remove(&wait->link);
    wait->error = error;
    wait->wake(wait, wakes);
}

static void task_wake(struct coord_op *op, struct wakes *wakes)
{
    struct coord_task *task = container_of(op, struct coord_task, op);
    if (!atomic_exchange(&task->posted, true))
        loop_post_later(task->loop, &task->again, wakes);
}

static void task_work(struct pool_job *job)
{
    struct coord_task *task = container_of(job, struct coord_task, job);
    task->work(task);
}

static void task_worked(struct loop *loop, struct pool_job *job)
{
    struct coord_task *task = container_of(job, struct coord_task, job);
    task->worked = true;
    if (!atomic_exchange(&task->posted, true))
        loop_post(loop, &task->again);
}

static void task_run(struct loop *loop, struct loop_task *again)
{
    struct coord_task *task = container_of(again, struct coord_task, again);
    atomic_store(&task->posted, false);
    if (task->work && !task->worked) {
        task->job.run = task_work;
        task->job.done = task_worked;
        pool_submit(loop, &task->job);
        return;
    }
    if (!task->over) {
        const struct coord_params *params = &task->op.shard->coord->params;
        struct coord_turn turn;
        params->turn(params->server, loop, &turn);
        task->over = coord_op_run(&task->op, &turn, &task->error);
    }
    /* Nothing wakes an op that is over; a wake that came before is still in the mailbox. */
    if (task->over && !atomic_load(&task->posted))
        task->ended(task, task->error);
}

static void task_init(struct coord_shard *shard, struct coord_task *task, struct loop *loop)
{
    task->op.shard = coord_shard_ref(shard);
    task->op.wake = task_wake;
    task->again.run = task_run;
    task->loop = loop;
    task->over = task->worked = false;
    atomic_store(&task->posted, true);
}

void coord_task_run(struct coord_shard *shard, struct coord_task *task, struct loop *loop)
{
    task_init(shard, task, loop);
    task_run(loop, &task->again);
}

void coord_task_start(struct coord_shard *shard, struct coord_task *task, struct wakes *wakes)
{
    task_init(shard, task, shard->home);
    loop_post_later(shard->home, &task->again, wakes);
}
