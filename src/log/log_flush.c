/* Making what was appended durable.
 *
 * The writer marks a file after it wrote to it and before it publishes the end; the flush loads the
 * end before it takes the marks. So every byte below that end is either synced already or marked.
 * Flushes take turns: one that found the marks taken would raise the recovery point above what the
 * other is still syncing. */
#include <errno.h>

#include "base/must.h"
#include "log/log_internal.h"
#include "log/text_file.h"

/* What a failed sync leaves is unknown, a full disk's included: it never passes. Descriptors may
 * have run out before it began. */
int log_sync_result(int err)
{
    return log_error_passes(err) && err != -EMFILE && err != -ENFILE ? -EIO : err;
}

static int sync_segment(struct log *log, struct segment *segment)
{
    unsigned marks = atomic_exchange_explicit(&segment->unsynced, 0, memory_order_acq_rel);
    for (int kind = 0; kind < SEGMENT_OWN_FILES; kind++) {
        struct file_ref *file;
        if (!(marks & FILE_BIT(kind)))
            continue;
        int err = segment_file(log, segment, (enum segment_file)kind, &file);
        if (err == 0) {
            err = log_sync_result(env_sync(log->env, file_ref_descriptor(file)));
            file_ref_drop(file);
        }
        if (err == -ENOENT)
            err = 0; /* detached by retention or truncation meanwhile */
        if (err < 0) {
            atomic_fetch_or_explicit(&segment->unsynced, (uint8_t)marks, memory_order_relaxed);
            return err;
        }
    }
    return 0;
}

int log_sync_path(struct log *log, const char *path)
{
    int file = env_open(log->env, path, ENV_READ | ENV_WRITE);
    if (file < 0)
        return file == -ENOENT ? 0 : file;
    int err = log_sync_result(env_sync(log->env, file));
    (void)env_close(log->env, file);
    return err;
}

static int sync_small_files(struct log *log)
{
    char path[LOG_PATH_MAX];
    int err = 0;
    int64_t snapshot = atomic_exchange_explicit(&log->unsynced_snapshot, -1, memory_order_acq_rel);
    int64_t none = -1;
    if (snapshot >= 0)
        err = segment_path(path, log->dir, snapshot, SEGMENT_SNAPSHOT, "");
    if (snapshot >= 0 && err == 0)
        err = log_sync_path(log, path);
    if (err < 0) /* a newer one may have been written meanwhile */
        (void)atomic_compare_exchange_strong(&log->unsynced_snapshot, &none, snapshot);
    if (err == 0 && atomic_exchange_explicit(&log->epochs_unsynced, false, memory_order_acq_rel)) {
        err = path_join(path, log->dir, EPOCHS_FILE);
        if (err == 0)
            err = log_sync_path(log, path);
        if (err < 0)
            atomic_store_explicit(&log->epochs_unsynced, true, memory_order_release);
    }
    return err;
}

/* The names of new files, and of the folder itself. */
int log_sync_names(struct log *log)
{
    char parent[LOG_PATH_MAX];
    if (atomic_exchange_explicit(&log->dir_unsynced, false, memory_order_acq_rel)) {
        int err = log_sync_result(env_sync_dir(log->env, log->dir));
        if (err < 0) {
            atomic_store_explicit(&log->dir_unsynced, true, memory_order_release);
            return err;
        }
    }
    if (!atomic_exchange_explicit(&log->parent_unsynced, false, memory_order_acq_rel))
        return 0;
    int size = (int)(log->name - log->dir);
    memcpy(parent, log->dir, (size_t)size);
    parent[size > 1 ? size - 1 : size] = 0;
    int err = log_sync_result(env_sync_dir(log->env, size == 0 ? "." : parent));
    if (err < 0)
        atomic_store_explicit(&log->parent_unsynced, true, memory_order_release);
    return err;
}

/* Raise the recovery point, unless the log was cut meanwhile. */
static void raise_recovery_point(struct log *log, int64_t end, uint32_t cut_epoch)
{
    pthread_mutex_lock(&log->list_lock);
    if (log_cut_epoch(log) == cut_epoch && end > log_recovery_point(log))
        atomic_store_explicit(&log->recovery_point, end, memory_order_release);
    pthread_mutex_unlock(&log->list_lock);
}

static int flush(struct log *log)
{
    uint32_t cut_epoch = log_cut_epoch(log);
    int64_t end = log_end_offset(log), next = log_recovery_point(log);
    int err = 0;
    while (next >= 0 && err == 0) {
        struct segment *segment = log_segment_for(log, next, &next);
        err = sync_segment(log, segment);
        segment_unref(log, segment);
    }
    if (err == 0)
        err = sync_small_files(log);
    if (err == 0)
        err = log_sync_names(log);
    if (err == 0)
        raise_recovery_point(log, end, cut_epoch);
    return err;
}

int log_flush(struct log *log, int64_t *ret_synced_end)
{
    pthread_mutex_lock(&log->flush_lock);
    int err = flush(log);
    pthread_mutex_unlock(&log->flush_lock);
    if (err < 0)
        return err;
    if (ret_synced_end)
        *ret_synced_end = log_recovery_point(log);
    return 0;
}
