/* The end of all logs at a stop.
 *
 * A log that was written to has several files to sync, and a file system commits for every sync
 * that finds something new. So all logs are written first, and only then synced: the first syncs
 * commit what belongs to all, and the others find it done. Names of new folders take one sync of
 * their directory instead of one each. Writing goes with num.recovery.threads.per.data.dir threads
 * for each directory, as Kafka's shutdown does. Syncing takes at least SYNC_THREADS: they do
 * nothing but wait for the device, and syncs that wait at the same time share its flushes. Where
 * descriptors run out for so many, the logs concerned are done one by one afterwards.
 *
 * The order is what durability rests on: logs, then checkpoints, then the clean marker. A fault
 * takes its directory offline, and no directory is marked after any fault. */
#include "partition/set_private.h"

#include <errno.h>
#include <stdlib.h>

#define SYNC_THREADS 64 /* for each directory */

struct close_work {
    struct partition_set *set;
    int (*step)(struct log *log);
    struct partition **partitions;
    bool *again; /* for each: descriptors ran out while all threads were at it */
    int32_t count, capacity;
    bool failed; /* no memory for the list */
    _Atomic int32_t next;
    _Atomic int result; /* of the last that failed */
};

static bool collect_one(void *context, struct partition *partition)
{
    struct close_work *work = context;
    if (!partition->log) /* of a directory that is offline */
        return true;
    if (work->count == work->capacity) {
        int32_t capacity = work->capacity ? work->capacity * 2 : 64;
        void *grown = realloc(work->partitions, (size_t)capacity * sizeof(struct partition *));
        work->failed = !grown;
        if (work->failed)
            return false;
        work->partitions = grown;
        work->capacity = capacity;
    }
    work->partitions[work->count++] = partition;
    return true;
}

static void close_fault(struct close_work *work, struct partition_dir *dir, int err)
{
    partition_dir_fail(work->set, dir, err, "closing");
    atomic_store(&work->result, err);
}

/* False: descriptors have run out, and others may give some back. */
static bool close_one(struct close_work *work, struct partition *partition, bool may_wait)
{
    if (atomic_load(&partition->dir->offline))
        return true;
    int err = work->step(partition->log);
    if (may_wait && (err == -EMFILE || err == -ENFILE))
        return false;
    if (err < 0)
        close_fault(work, partition->dir, err);
    return true;
}

static bool close_turn(void *context)
{
    struct close_work *work = context;
    int32_t i = atomic_fetch_add(&work->next, 1);
    if (i >= work->count)
        return false;
    env_allow_blocking(work->set->env, true);
    work->again[i] = !close_one(work, work->partitions[i], true);
    return true;
}

/* One step over all logs. */
static void close_pass(struct close_work *work, int (*step)(struct log *log), int32_t per_dir)
{
    work->step = step;
    atomic_store(&work->next, 0);
    set_take_turns(work->set, "close", (int64_t)per_dir * work->set->dir_count, work->count,
                   close_turn, work);
    for (int32_t i = 0; i < work->count; i++)
        if (work->again[i])
            (void)close_one(work, work->partitions[i], false);
}

/* The names of new folders, with one sync for each directory. */
static void sync_parents(struct close_work *work)
{
    struct partition_set *set = work->set;
    for (int32_t d = 0; d < set->dir_count; d++) {
        struct partition_dir *dir = &set->dirs[d];
        bool unsynced = false;
        for (int32_t i = 0; i < work->count && !unsynced; i++)
            unsynced =
                work->partitions[i]->dir == dir && log_parent_unsynced(work->partitions[i]->log);
        if (!unsynced || atomic_load(&dir->offline))
            continue;
        int err = env_sync_dir(set->env, dir->dir.path);
        if (err < 0) {
            close_fault(work, dir, err);
            continue;
        }
        for (int32_t i = 0; i < work->count; i++)
            if (work->partitions[i]->dir == dir)
                log_parent_synced(work->partitions[i]->log);
    }
}

static int close_clean(struct partition_set *set, int64_t broker_epoch)
{
    struct close_work work = {.set = set};
    partition_set_each(set, collect_one, &work);
    work.again = work.failed ? NULL : calloc((size_t)work.count + 1, sizeof *work.again);
    if (!work.again) {
        free(work.partitions);
        return -ENOMEM;
    }
    close_pass(&work, log_close_write, set->threads_per_dir);
    sync_parents(&work);
    close_pass(&work, log_close_sync,
               set->threads_per_dir > SYNC_THREADS ? set->threads_per_dir : SYNC_THREADS);
    free(work.partitions);
    free(work.again);
    int err = atomic_load(&work.result);
    int checkpoints = set_checkpoints(set, true);
    if (checkpoints < 0)
        err = checkpoints;
    for (int32_t d = 0; d < set->dir_count && err == 0; d++)
        if (!atomic_load(&set->dirs[d].offline))
            err = log_dir_mark_clean(&set->dirs[d].dir, broker_epoch);
    return err;
}

int partition_set_close(struct partition_set *set, bool clean, int64_t broker_epoch)
{
    int err = clean ? close_clean(set, broker_epoch) : 0;
    set_destroy(set);
    for (int32_t d = 0; d < set->dir_count; d++)
        log_dir_close(&set->dirs[d].dir);
    free(set->dirs);
    set->dirs = NULL;
    return err;
}
