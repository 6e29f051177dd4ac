/* Giving up the oldest segments, and removing files after their delay.
 *
 * The log start rises before a segment leaves the list, and a segment leaves the list before its
 * files are renamed, the oldest first: a reader meets OFFSET_OUT_OF_RANGE, never a hole. */
#include <errno.h>

#include "base/errors.h"
#include "base/must.h"
#include "log/log_internal.h"

static int rename_deleted(struct log *log, int64_t base_offset, enum segment_file kind)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    int err = segment_path(from, log->dir, base_offset, kind, "");
    if (err == 0)
        err = segment_path(to, log->dir, base_offset, kind, SUFFIX_DELETED);
    if (err == 0)
        err = env_rename(log->env, from, to);
    return err == -ENOENT ? 0 : err;
}

int log_discard_segment(struct log *log, struct segment *segment)
{
    int err = 0;
    for (int kind = 0; kind < SEGMENT_OWN_FILES; kind++)
        if (segment_has(segment, (enum segment_file)kind) && err == 0)
            err = rename_deleted(log, segment->base_offset, (enum segment_file)kind);
    if (__builtin_add_overflow(env_wall_ms(log->env), log->settings.file_delete_delay_ms,
                               &segment->delete_at_ms))
        segment->delete_at_ms = INT64_MAX;
    pthread_mutex_lock(&log->list_lock);
    segment->next = log->deleted;
    log->deleted = segment;
    pthread_mutex_unlock(&log->list_lock);
    return err;
}

static bool files_in_use(struct log *log, struct segment *segment)
{
    for (int kind = 0; kind < SEGMENT_OWN_FILES; kind++)
        if (file_cache_in_use(log->files, &segment->files[kind]))
            return true;
    return false;
}

void log_remove_files(struct log *log, struct segment *segment)
{
    char path[LOG_PATH_MAX];
    for (int kind = 0; kind < SEGMENT_OWN_FILES; kind++) {
        file_cache_forget(log->files, &segment->files[kind]);
        if (segment_has(segment, (enum segment_file)kind) &&
            segment_path(path, log->dir, segment->base_offset, (enum segment_file)kind,
                         SUFFIX_DELETED) == 0)
            (void)env_unlink(log->env, path); /* what stays is removed at the next start */
    }
    segment_unref(log, segment);
}

void log_remove_deleted(struct log *log, int64_t now_ms, bool all)
{
    struct segment *due = NULL;
    pthread_mutex_lock(&log->list_lock);
    for (struct segment **at = &log->deleted; *at;) {
        struct segment *segment = *at;
        bool held = atomic_load_explicit(&segment->refs, memory_order_acquire) > 1 ||
                    files_in_use(log, segment);
        if (all || (segment->delete_at_ms <= now_ms && !held)) {
            *at = segment->next;
            segment->next = due;
            due = segment;
        } else {
            at = &segment->next;
        }
    }
    pthread_mutex_unlock(&log->list_lock);
    while (due) {
        struct segment *next = due->next;
        log_remove_files(log, due);
        due = next;
    }
}

int log_raise_start(struct log *log, int64_t offset, int64_t limit)
{
    if (offset > limit || offset > log_end_offset(log))
        return KAFKA_OFFSET_OUT_OF_RANGE;
    if (offset <= log_start_offset(log))
        return 0;
    atomic_store_explicit(&log->start_offset, offset, memory_order_release);
    pthread_mutex_lock(&log->list_lock);
    log->epochs_dirty |= epochs_truncate_start(&log->epochs, offset);
    producers_release(&log->producers, offset);
    log_publish_unstable(log);
    pthread_mutex_unlock(&log->list_lock);
    return 0;
}

struct retention {
    struct log *log;
    int64_t now_ms;
    int64_t excess_bytes; /* what the size bound asks to give up */
    int err;
};

static int64_t largest_timestamp(struct log *log, struct segment *segment)
{
    int64_t timestamp = segment->max_timestamp;
    char path[LOG_PATH_MAX];
    struct env_stat stat;
    if (timestamp >= 0)
        return timestamp;
    if (segment_path(path, log->dir, segment->base_offset, SEGMENT_LOG, "") == 0 &&
        env_stat(log->env, path, &stat) == 0)
        return stat.modified_ms;
    return segment->created_ms;
}

static bool below_start(struct retention *retention, struct segment *segment, int64_t next_base)
{
    (void)segment;
    return next_base <= log_start_offset(retention->log);
}

static bool over_size(struct retention *retention, struct segment *segment, int64_t next_base)
{
    (void)next_base;
    if (retention->excess_bytes < segment_size(segment))
        return false;
    retention->excess_bytes -= segment_size(segment);
    return true;
}

static bool over_time(struct retention *retention, struct segment *segment, int64_t next_base)
{
    (void)next_base;
    int64_t retention_ms = retention->log->settings.retention_ms;
    retention->err = segment_load_timestamps(retention->log, segment);
    if (retention->err < 0)
        return false;
    return retention->now_ms - largest_timestamp(retention->log, segment) > retention_ms;
}

/* How many of the oldest segments the rule gives up; those that reach above `limit` stay. -errno
 * when that cannot be known. */
static int32_t count_due(struct retention *retention, int64_t limit,
                         bool (*due)(struct retention *, struct segment *, int64_t))
{
    struct log *log = retention->log;
    int32_t count = 0;
    while (count < log->segment_count) {
        bool last = count + 1 == log->segment_count;
        struct segment *segment = log->segments[count];
        int64_t next_base = last ? log_end_offset(log) : log->segments[count + 1]->base_offset;
        if (next_base > limit || (last && segment_size(segment) == 0) ||
            !due(retention, segment, next_base))
            break;
        count++;
    }
    return retention->err < 0 ? retention->err : count;
}

static struct segment *list_shift(struct log *log)
{
    pthread_mutex_lock(&log->list_lock);
    struct segment *segment = log->segments[0];
    log->segment_count--;
    memmove(log->segments, log->segments + 1, sizeof *log->segments * (size_t)log->segment_count);
    pthread_mutex_unlock(&log->list_lock);
    return segment;
}

/* The new active segment is there, on disk too, before the last old one goes: its name is what
 * tells where the log ends. */
static int roll_to_empty(struct log *log)
{
    struct file_ref *file;
    int err = log_roll(log, log_end_offset(log));
    if (err == 0)
        err = segment_file_make(log, log_active(log), SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    file_ref_drop(file);
    log_publish_end(log, log_end_offset(log));
    return log_sync_names(log);
}

/* Producers that wrote only to what goes now are known from the snapshot where the log will begin:
 * it must outlive a crash. */
static int keep_snapshot(struct log *log, int64_t base_offset)
{
    char path[LOG_PATH_MAX];
    if (base_offset <= log_recovery_point(log))
        return 0;
    int err = segment_path(path, log->dir, base_offset, SEGMENT_SNAPSHOT, "");
    if (err == 0)
        err = log_sync_path(log, path);
    atomic_store_explicit(&log->dir_unsynced, true, memory_order_relaxed);
    return err < 0 ? err : log_sync_names(log);
}

static int give_up(struct log *log, int32_t count, const char *reason)
{
    int err = count < 0 ? count : 0;
    if (count > 0 && count == log->segment_count)
        err = roll_to_empty(log);
    if (count > 0 && err == 0)
        err = keep_snapshot(log, log->segments[count]->base_offset);
    for (int32_t i = 0; i < count && err == 0; i++) {
        int64_t base = log->segments[0]->base_offset, next_base = log->segments[1]->base_offset;
        say_info(log->say, "giving up a segment", kv_text("log", log->name),
                 kv_text("reason", reason), kv_int("base_offset", base));
        err = log_raise_start(log, next_base, INT64_MAX);
        if (err < 0)
            return err;
        struct segment *segment = list_shift(log);
        atomic_fetch_sub_explicit(&log->size_bytes, segment_size(segment), memory_order_relaxed);
        err = log_discard_segment(log, segment);
        if (err == 0 && base != next_base)
            err = log_remove_snapshot(log, base);
        /* Names go for good in their order: were this one back after a crash and the next one gone,
         * the gap would look like a lost tail, and all behind it would be cut. */
        if (err == 0)
            err = log_sync_result(env_sync_dir(log->env, log->dir));
    }
    return err < 0 ? err : count;
}

int log_apply_retention(struct log *log, int64_t now_ms, int64_t limit)
{
    const struct log_settings *settings = &log->settings;
    struct retention retention = {.log = log, .now_ms = now_ms};
    int total = give_up(log, count_due(&retention, limit, below_start), "log_start");
    int given = 0;
    if (total < 0 || !settings->cleanup_delete)
        return total;
    if (settings->retention_bytes >= 0 && log_size_bytes(log) >= settings->retention_bytes) {
        retention.excess_bytes = log_size_bytes(log) - settings->retention_bytes;
        given = give_up(log, count_due(&retention, limit, over_size), "size");
        if (given < 0)
            return given;
        total += given;
    }
    if (settings->retention_ms >= 0)
        given = give_up(log, count_due(&retention, limit, over_time), "time");
    else
        given = 0;
    if (given < 0)
        return given;
    int err = log_write_epochs(log);
    return err < 0 ? err : total + given;
}
