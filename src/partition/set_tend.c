/* Tending partitions from time to time: retention, rolling by time, expiry of idle producers, and
 * the checkpoint files.
 *
 * One pool job at a time walks over all partitions. It takes each append lock only if it is free
 * and holds it for one partition's renames; a partition that is being written comes next time. */
#include "partition/set_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"

enum tend_what { TEND_RETENTION = 1, TEND_CHECKPOINTS = 2, TEND_PRODUCERS = 4 };

struct tend_job {
    struct pool_job job;
    struct partition_set *set;
    unsigned what;
    bool rolled; /* a segment of a compacted log was closed, or may have been */
    int32_t count, capacity;
    struct partition **partitions; /* a reference each */
};

static bool collect_one(void *context, struct partition *partition)
{
    struct tend_job *tend = context;
    if (tend->count == tend->capacity) {
        int32_t capacity = tend->capacity ? tend->capacity * 2 : 64;
        void *grown = realloc(tend->partitions, (size_t)capacity * sizeof *tend->partitions);
        if (!grown)
            return false;
        tend->partitions = grown;
        tend->capacity = capacity;
    }
    tend->partitions[tend->count++] = partition_ref(partition);
    return true;
}

/* Report what went wrong while a log was tended. */
static void tend_fault(struct partition *partition, int err)
{
    struct partition_set *set = partition->set;
    if (err < 0 && log_error_passes(err))
        say_warn(set->say, "cannot tend a log now", kv_str("log", partition->name),
                 kv_text("error", result_text(err)));
    else if (err < 0)
        partition_dir_fail(set, partition->dir, err, "retention");
}

void set_retain(struct partition *partition, int64_t now_ms)
{
    int64_t high_watermark = watermark_get(&partition->high_watermark);
    int64_t start = log_start_offset(partition->log);
    tend_fault(partition, log_apply_retention(partition->log, now_ms, high_watermark));
    if (log_start_offset(partition->log) != start)
        partition_start_raised(partition);
}

/* append_lock held. */
static void partition_tend(struct partition *partition, unsigned what, int64_t now_ms)
{
    struct log *log = partition->log;
    if (what & TEND_PRODUCERS)
        log_expire_producers(log, now_ms);
    if (!(what & TEND_RETENTION))
        return;
    int err = log_roll_if_due(log, now_ms);
    tend_fault(partition, err);
    /* On a full disk it cannot roll, and giving up segments is what helps. While the log is being
     * cleaned that waits for the end. */
    if ((err >= 0 || log_error_passes(err)) && !atomic_load(&partition->cleaning))
        set_retain(partition, now_ms);
}

static void tend_logs(struct tend_job *tend)
{
    int64_t now_ms = env_wall_ms(tend->set->env);
    struct epoch_reader reader;
    epoch_reader_add(tend->set->epochs, &reader);
    for (int32_t i = 0; i < tend->count; i++) {
        struct partition *partition = tend->partitions[i];
        if (atomic_load(&partition->dir->offline) || !parklock_try(&partition->append_lock))
            continue;
        bool deleted = atomic_load(&partition->deleted);
        if (!deleted) {
            epoch_online(&reader); /* for the settings alone: the rest may take long */
            partition_sync_settings(partition);
            tend->rolled |=
                tend->what & TEND_RETENTION && partition_settings(partition)->cleanup_compact;
            epoch_offline(&reader);
            partition_tend(partition, tend->what, now_ms);
        }
        parklock_release(&partition->append_lock);
        if (!deleted)
            log_remove_deleted(partition->log, now_ms, false);
    }
    epoch_reader_remove(&reader);
}

/* The offset to write, or false for none. */
static bool checkpoint_offset(const struct partition *partition, const char *name,
                              int64_t *ret_offset)
{
    if (strcmp(name, CHECKPOINT_RECOVERY_POINT) == 0)
        *ret_offset = log_recovery_point(partition->log);
    else if (strcmp(name, CHECKPOINT_HIGH_WATERMARK) == 0)
        *ret_offset = watermark_get(&partition->high_watermark);
    else if (strcmp(name, CHECKPOINT_CLEANER) == 0)
        return (*ret_offset = log_cleaned_to(partition->log)) >= 0;
    else /* the folder says the same of 0 */
        return (*ret_offset = log_start_offset(partition->log)) > 0;
    return true;
}

struct checkpoint_walk {
    struct partition_dir *dir;
    const char *name;
    struct checkpoint_entry *entries;
    struct partition **partitions; /* a reference each: the entries borrow their names */
    int32_t count, capacity;
    bool failed;
};

static bool walk_one(void *context, struct partition *partition)
{
    struct checkpoint_walk *walk = context;
    struct checkpoint_entry entry = {.topic = partition->topic, .partition = partition->index};
    if (partition->dir != walk->dir || !partition->log || atomic_load(&partition->deleted) ||
        !checkpoint_offset(partition, walk->name, &entry.offset))
        return true;
    if (walk->count == walk->capacity) {
        int32_t capacity = walk->capacity ? walk->capacity * 2 : 64;
        void *entries = realloc(walk->entries, (size_t)capacity * sizeof *walk->entries);
        if (entries)
            walk->entries = entries;
        void *partitions = realloc(walk->partitions, (size_t)capacity * sizeof *walk->partitions);
        if (partitions)
            walk->partitions = partitions;
        walk->failed = !entries || !partitions;
        if (walk->failed)
            return false;
        walk->capacity = capacity;
    }
    walk->entries[walk->count] = entry;
    walk->partitions[walk->count++] = partition_ref(partition);
    return true;
}

static int dir_checkpoint(struct partition_set *set, struct checkpoint_walk *walk)
{
    struct partition_dir *dir = walk->dir;
    struct epoch_reader reader;
    epoch_reader_add(set->epochs, &reader);
    epoch_online(&reader);
    partition_set_each(set, walk_one, walk);
    epoch_offline(&reader);
    epoch_reader_remove(&reader);
    if (walk->failed)
        return -ENOMEM;
    if (strcmp(walk->name, CHECKPOINT_CLEANER) == 0 &&
        !atomic_exchange(&dir->has_cleaned, walk->count > 0) && walk->count == 0)
        return 0;
    if (walk->count)
        qsort(walk->entries, (size_t)walk->count, sizeof *walk->entries, set_entry_order);
    return checkpoint_write(&dir->dir, walk->name, walk->entries, walk->count);
}

/* The offsets are collected under the lock, so that nothing older is written over them: a cleaned
 * log whose recovery point went back would be cut at its first gap. */
int set_checkpoint(struct partition_set *set, struct partition_dir *dir, const char *name)
{
    struct checkpoint_walk walk = {.dir = dir, .name = name};
    pthread_mutex_lock(&dir->checkpoint_lock);
    int err = dir_checkpoint(set, &walk);
    pthread_mutex_unlock(&dir->checkpoint_lock);
    for (int32_t i = 0; i < walk.count; i++)
        partition_unref(walk.partitions[i]);
    free(walk.partitions);
    free(walk.entries);
    if (err < 0 && !log_error_passes(err))
        partition_dir_fail(set, dir, err, "checkpoint");
    else if (err < 0)
        say_warn(set->say, "cannot write a checkpoint", kv_text("dir", dir->dir.path),
                 kv_text("file", name), kv_text("error", result_text(err)));
    return err;
}

void set_checkpoint_anew(struct partition_set *set, struct partition_dir *dir, bool recovery,
                         bool starts, bool cleaned)
{
    int err = recovery ? set_checkpoint(set, dir, CHECKPOINT_RECOVERY_POINT) : 0;
    if (err == 0 && starts)
        err = set_checkpoint(set, dir, CHECKPOINT_LOG_START);
    if (err == 0 && cleaned)
        err = set_checkpoint(set, dir, CHECKPOINT_CLEANER);
    if (err < 0)
        atomic_store(&dir->dirty, true);
}

int set_checkpoints(struct partition_set *set, bool all)
{
    static const char *const names[] = {CHECKPOINT_RECOVERY_POINT, CHECKPOINT_HIGH_WATERMARK,
                                        CHECKPOINT_LOG_START, CHECKPOINT_CLEANER};
    int failed = 0;
    for (int32_t d = 0; d < set->dir_count; d++) {
        struct partition_dir *dir = &set->dirs[d];
        if (atomic_load(&dir->offline) || (!atomic_exchange(&dir->dirty, false) && !all))
            continue;
        for (size_t n = 0; n < array_size(names); n++) {
            int err = set_checkpoint(set, dir, names[n]);
            if (err >= 0)
                continue;
            atomic_store(&dir->dirty, true); /* try again: a full disk may have room by then */
            failed = err;
            break;
        }
    }
    return failed;
}

static void tend_free(struct tend_job *tend)
{
    for (int32_t i = 0; i < tend->count; i++)
        partition_unref(tend->partitions[i]);
    free(tend->partitions);
    free(tend);
}

static void tend_run(struct pool_job *job)
{
    struct tend_job *tend = container_of(job, struct tend_job, job);
    if (tend->what & (TEND_RETENTION | TEND_PRODUCERS))
        tend_logs(tend);
    if (tend->what & TEND_CHECKPOINTS)
        set_checkpoints(tend->set, false);
}

static void tend_done(struct loop *loop, struct pool_job *job);

static void tend_start(struct partition_set *set, unsigned what)
{
    if (set->tending) { /* what it does itself comes at the next interval */
        set->tend_next |= what & ~set->tending->what;
        return;
    }
    struct tend_job *tend = calloc(1, sizeof *tend);
    if (!tend)
        return;
    tend->set = set;
    tend->what = what;
    tend->job.run = tend_run;
    tend->job.done = tend_done;
    partition_set_each(set, collect_one, tend);
    set->tending = tend;
    pool_submit(set->home, &tend->job);
}

static void tend_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct tend_job *tend = container_of(job, struct tend_job, job);
    struct partition_set *set = tend->set;
    unsigned next = set->tend_next;
    bool rolled = tend->rolled;
    set->tending = NULL;
    set->tend_next = 0;
    tend_free(tend);
    if (rolled)
        partition_set_clean_soon(set);
    if (next)
        tend_start(set, next);
}

static void retention_fire(struct loop *loop, struct loop_timer *timer)
{
    struct partition_set *set = container_of(timer, struct partition_set, retention_timer);
    tend_start(set, TEND_RETENTION);
    loop_timer_set(loop, timer, loop->now_ns + set->retention_interval_ns);
}

static void producers_fire(struct loop *loop, struct loop_timer *timer)
{
    struct partition_set *set = container_of(timer, struct partition_set, producers_timer);
    tend_start(set, TEND_PRODUCERS);
    loop_timer_set(loop, timer, loop->now_ns + set->producers_interval_ns);
}

static void checkpoint_fire(struct loop *loop, struct loop_timer *timer)
{
    struct partition_set *set = container_of(timer, struct partition_set, checkpoint_timer);
    bool dirty = false;
    for (int32_t d = 0; d < set->dir_count; d++)
        dirty |= atomic_load_explicit(&set->dirs[d].dirty, memory_order_relaxed);
    if (dirty)
        tend_start(set, TEND_CHECKPOINTS);
    loop_timer_set(loop, timer, loop->now_ns + set->checkpoint_interval_ns);
}

/* flush.ms: sync what has waited for that long. */
static bool flush_one(void *context, struct partition *partition)
{
    const int64_t *now_ms = context;
    int64_t waited = *now_ms - atomic_load(&partition->flushed_ms);
    if (!atomic_load(&partition->dir->offline) &&
        waited >= partition_settings(partition)->flush_ms &&
        log_end_offset(partition->log) > log_recovery_point(partition->log))
        partition_flush(partition);
    return true;
}

static void flush_fire(struct loop *loop, struct loop_timer *timer)
{
    struct partition_set *set = container_of(timer, struct partition_set, flush_timer);
    int64_t now_ms = loop->now_ns / NS_PER_MS;
    partition_set_each(set, flush_one, &now_ms);
    loop_timer_set(loop, timer, loop->now_ns + set->flush_interval_ns);
}

void set_tend_init(struct partition_set *set)
{
    loop_timer_init(&set->retention_timer, retention_fire);
    loop_timer_init(&set->producers_timer, producers_fire);
    loop_timer_init(&set->checkpoint_timer, checkpoint_fire);
    loop_timer_init(&set->flush_timer, flush_fire);
}

void partition_set_start(struct partition_set *set)
{
    struct loop *loop = set->home;
    int64_t now_ns = env_now_ns(set->env);
    loop_timer_set(loop, &set->retention_timer, now_ns + set->retention_first_ns);
    loop_timer_set(loop, &set->producers_timer, now_ns + set->producers_interval_ns);
    loop_timer_set(loop, &set->checkpoint_timer, now_ns + set->checkpoint_interval_ns);
    if (set->flush_interval_ns > 0)
        loop_timer_set(loop, &set->flush_timer, now_ns + set->flush_interval_ns);
    set->cleaner.started = true;
    partition_set_clean_soon(set);
}

void partition_set_stop(struct partition_set *set)
{
    struct loop *loop = set->home;
    loop_timer_cancel(loop, &set->retention_timer);
    loop_timer_cancel(loop, &set->producers_timer);
    loop_timer_cancel(loop, &set->checkpoint_timer);
    set->tend_next = 0;
    loop_timer_cancel(loop, &set->flush_timer);
    loop_timer_cancel(loop, &set->cleaner.timer);
    set->cleaner.stopping = true;
    set_removals_stop(set);
    for (struct list *node; (node = list_pop(&set->placed));)
        partition_unref(container_of(node, struct partition, placed));
}
