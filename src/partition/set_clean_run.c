/* One cleaning of one partition: jobs on the pool, one after the other.
 *
 *   PREPARE      sync the log and write its recovery point down: a gap above it would look like a
 *                lost tail to the next start
 *   BEGIN        under append_lock
 *   STEP, SWAP   a few MiB at a time; a swap under append_lock
 *   END          under append_lock: what retention has left for this moment
 *   NOTE         write down how far the log is clean
 *
 * The run holds clean_lock and a reference to the partition until it is over, and asks between its
 * jobs whether the partition is deleted, offline or no longer compacted, or the broker stops. */
#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "partition/set_private.h"

#define STEP_BYTES_MAX (4 * 1024 * 1024)
#define STEP_BYTES_MIN (16 * 1024)
#define STEPS_PER_SECOND 4             /* under a rate */
#define PAUSE_MAX_NS (200 * NS_PER_MS) /* how late a deletion is noticed */
#define SWAP_RETRY_NS (25 * NS_PER_MS) /* twice as long after each time, up to PAUSE_MAX_NS */

enum clean_stage { STAGE_PREPARE, STAGE_BEGIN, STAGE_STEP, STAGE_SWAP, STAGE_END, STAGE_NOTE };

struct clean_run {
    struct pool_job job;
    struct loop_timer pause;
    struct park_waiter park;
    struct loop_task locked;
    struct partition *partition;
    struct log_clean_rules rules;
    struct log_dirt dirt;
    struct log_cleaning *cleaning;
    enum clean_stage stage;
    bool has_append_lock;
    bool giving_up;
    int err;
    enum log_cleaning_next next;
    int64_t step_bytes, moved_bytes;
    int64_t swap_retry_ns;
};

static void run_go(struct clean_run *run);

/* ---- on the pool ---- */

static int prepare(struct clean_run *run)
{
    struct partition *partition = run->partition;
    int64_t synced;
    int err = log_flush(partition->log, &synced);
    if (err == 0 && log_recovery_point(partition->log) < run->dirt.first_uncleanable_offset)
        err = -ECANCELED;
    if (err < 0)
        return err;
    return set_checkpoint(partition->set, partition->dir, CHECKPOINT_RECOVERY_POINT);
}

static void say_cleaned(const struct clean_run *run)
{
    struct log_cleaning_stats stats;
    log_cleaning_stats(run->cleaning, &stats);
    say_info(run->partition->set->say, "cleaned a log", kv_str("log", run->partition->name),
             kv_int("from", run->dirt.first_dirty_offset),
             kv_int("to", log_cleaning_end(run->cleaning)), kv_int("read_bytes", stats.bytes_read),
             kv_int("written_bytes", stats.bytes_written),
             kv_int("records_read", stats.records_read), kv_int("records_kept", stats.records_kept),
             kv_int("keyless", stats.keyless), kv_int("segments_before", stats.segments_before),
             kv_int("segments_after", stats.segments_after),
             kv_int("map_used_percent", (int64_t)(stats.map_used * 100)));
}

static int end(struct clean_run *run)
{
    struct partition *partition = run->partition;
    if (!log_cleaning_holds(run->cleaning))
        return -ECANCELED;
    log_set_cleaned_to(partition->log, log_cleaning_end(run->cleaning));
    say_cleaned(run);
    set_retain(partition, env_wall_ms(partition->set->env));
    return 0;
}

static int stage_run(struct clean_run *run)
{
    struct partition *partition = run->partition;
    switch (run->stage) {
    case STAGE_PREPARE:
        return prepare(run);
    case STAGE_BEGIN:
        return log_cleaning_begin(partition->log, &run->rules, &run->dirt,
                                  env_wall_ms(partition->set->env), &run->cleaning);
    case STAGE_STEP:
        return log_cleaning_step(run->cleaning, run->step_bytes, &run->next, &run->moved_bytes);
    case STAGE_SWAP:
        return log_cleaning_swap(run->cleaning);
    case STAGE_END:
        return end(run);
    case STAGE_NOTE:
        return set_checkpoint(partition->set, partition->dir, CHECKPOINT_CLEANER);
    }
    return 0;
}

/* Between the loop's look and now the lock may have been waited for. */
static bool must_give_up(const struct partition *partition)
{
    return atomic_load(&partition->deleted) || atomic_load(&partition->dir->offline);
}

static void job_run(struct pool_job *job)
{
    struct clean_run *run = container_of(job, struct clean_run, job);
    if (run->giving_up) {
        log_cleaning_destroy(run->cleaning);
        run->cleaning = NULL;
        return;
    }
    run->moved_bytes = 0;
    run->err = must_give_up(run->partition) ? -ECANCELED : stage_run(run);
}

/* ---- on the loop ---- */

static void run_free(struct clean_run *run, bool completed)
{
    struct partition *partition = run->partition;
    atomic_store(&partition->cleaning, false);
    parklock_release(&partition->clean_lock);
    free(run);
    set_clean_ended(partition, completed);
    partition_unref(partition);
}

/* Leave what was cleaned, drop what was not finished. */
static void give_up(struct clean_run *run)
{
    run->giving_up = true;
    pool_submit(run->partition->set->home, &run->job);
}

/* Who moved bytes waits for as long as they take at the rate that all share. */
static int64_t throttle(struct clean_run *run)
{
    struct set_cleaner *cleaner = &run->partition->set->cleaner;
    int64_t now_ns = run->partition->set->home->now_ns;
    double rate = cleaner->bytes_per_second;
    if (!(rate > 0 && rate < 1e15)) /* as good as none */
        return 0;
    if (cleaner->throttled_until_ns < now_ns)
        cleaner->throttled_until_ns = now_ns;
    double cost_ns = (double)run->moved_bytes * 1e9 / rate;
    cleaner->throttled_until_ns += cost_ns < 1e15 ? (int64_t)cost_ns : INT64_C(1000000000000000);
    return cleaner->throttled_until_ns - now_ns;
}

static int64_t step_bytes(const struct set_cleaner *cleaner)
{
    double share = cleaner->bytes_per_second / STEPS_PER_SECOND;
    if (!(share > 0 && share < STEP_BYTES_MAX))
        return STEP_BYTES_MAX;
    return share < STEP_BYTES_MIN ? STEP_BYTES_MIN : (int64_t)share;
}

static enum clean_stage stage_after(const struct clean_run *run)
{
    switch (run->stage) {
    case STAGE_PREPARE:
        return STAGE_BEGIN;
    case STAGE_STEP:
        return run->next == CLEANING_WANTS_WRITER ? STAGE_SWAP
               : run->next == CLEANING_DONE       ? STAGE_END
                                                  : STAGE_STEP;
    case STAGE_END:
        return STAGE_NOTE;
    default:
        return STAGE_STEP;
    }
}

static void pause_for(struct clean_run *run, int64_t wait_ns)
{
    struct loop *loop = run->partition->set->home;
    loop_timer_set(loop, &run->pause, loop->now_ns + wait_ns);
}

static void throttle_pause(struct clean_run *run, int64_t wait_ns)
{
    pause_for(run, wait_ns < PAUSE_MAX_NS ? wait_ns : PAUSE_MAX_NS);
}

/* A reader that is slow keeps an earlier segment of that name. */
static void swap_later(struct clean_run *run)
{
    pause_for(run, run->swap_retry_ns);
    if (run->swap_retry_ns < PAUSE_MAX_NS)
        run->swap_retry_ns *= 2;
}

static void job_done(struct loop *loop, struct pool_job *job)
{
    struct clean_run *run = container_of(job, struct clean_run, job);
    (void)loop;
    if (run->has_append_lock) {
        run->has_append_lock = false;
        parklock_release(&run->partition->append_lock);
    }
    if (run->giving_up) {
        run_free(run, run->stage == STAGE_NOTE);
        return;
    }
    if (run->err == -EAGAIN && run->stage == STAGE_SWAP) {
        swap_later(run);
        return;
    }
    run->swap_retry_ns = SWAP_RETRY_NS;
    if (run->err < 0 && run->stage == STAGE_NOTE) /* the next checkpoints say it */
        atomic_store(&run->partition->dir->dirty, true);
    if (run->err < 0) {
        set_clean_fault(run->partition, run->err);
        give_up(run);
        return;
    }
    int64_t wait_ns = throttle(run);
    if (run->stage == STAGE_NOTE) {
        give_up(run); /* nothing is left to give up but memory */
        return;
    }
    run->stage = stage_after(run);
    if (wait_ns > 0)
        throttle_pause(run, wait_ns);
    else
        run_go(run);
}

static void pause_over(struct loop *loop, struct loop_timer *timer)
{
    struct clean_run *run = container_of(timer, struct clean_run, pause);
    const struct set_cleaner *cleaner = &run->partition->set->cleaner;
    int64_t wait_ns = cleaner->throttled_until_ns - loop->now_ns;
    if (wait_ns > 0 && !cleaner->stopping && !must_give_up(run->partition))
        throttle_pause(run, wait_ns);
    else
        run_go(run);
}

static bool wants_append_lock(const struct clean_run *run)
{
    return run->stage == STAGE_BEGIN || run->stage == STAGE_SWAP || run->stage == STAGE_END;
}

/* The next job, when its lock is there. */
static void run_go(struct clean_run *run)
{
    struct partition *partition = run->partition;
    struct set_cleaner *cleaner = &partition->set->cleaner;
    if (!run->has_append_lock && wants_append_lock(run) &&
        !parklock_take(&partition->append_lock, &run->park))
        return;
    run->has_append_lock = wants_append_lock(run);
    if (cleaner->stopping || must_give_up(partition) ||
        !partition_settings(partition)->cleanup_compact) {
        give_up(run);
        return;
    }
    if (run->has_append_lock)
        partition_sync_settings(partition);
    run->step_bytes = step_bytes(cleaner);
    pool_submit(partition->set->home, &run->job);
}

static void run_locked(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    run_go(container_of(task, struct clean_run, locked));
}

static void run_fire(struct park_waiter *park, struct wakes *wakes)
{
    struct clean_run *run = container_of(park, struct clean_run, park);
    loop_post_later(run->partition->set->home, &run->locked, wakes);
}

bool set_clean_run(struct partition *partition, const struct log_clean_rules *rules,
                   const struct log_dirt *dirt)
{
    struct partition_set *set = partition->set;
    struct clean_run *run = calloc(1, sizeof *run);
    if (!run || !parklock_try(&partition->clean_lock)) {
        free(run);
        partition_unref(partition);
        return false;
    }
    run->partition = partition;
    run->rules = *rules;
    run->dirt = *dirt;
    run->job.run = job_run;
    run->job.done = job_done;
    run->park.fire = run_fire;
    run->locked.run = run_locked;
    run->swap_retry_ns = SWAP_RETRY_NS;
    loop_timer_init(&run->pause, pause_over);
    atomic_store(&partition->cleaning, true);
    set->cleaner.running++;
    run_go(run);
    return true;
}
