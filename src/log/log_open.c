/* Opening and closing a log. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/must.h"
#include "log/folder.h"
#include "log/log_internal.h"
#include "log/recovery.h"
#include "log/text_file.h"

static struct log *log_create(const struct log_open_params *params)
{
    struct log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->dir = strdup(params->dir);
    if (!log->dir) {
        free(log);
        return NULL;
    }
    const char *slash = strrchr(log->dir, '/');
    log->name = slash ? slash + 1 : log->dir;
    log->env = params->env;
    log->say = params->say;
    log->files = params->files;
    log->topic_id = params->topic_id;
    log->settings = params->settings;
    log->snapshot_offset = log->loose_snapshot_offset = log->lowered_from = -1;
    atomic_init(&log->unsynced_snapshot, -1);
    atomic_init(&log->first_unstable, INT64_MAX);
    atomic_init(&log->cleaned_to, -1);
    pthread_mutex_init(&log->flush_lock, NULL);
    pthread_mutex_init(&log->list_lock, NULL);
    return log;
}

/* Compare partition.metadata with the id that the caller knows. A damaged file is made again. */
static int check_topic_id(struct log *log)
{
    struct uuid id;
    int err = partition_metadata_read(log->env, log->dir, &id);
    if (err == -ENOENT || err == -EBADMSG)
        return uuid_is_zero(log->topic_id)
                   ? 0
                   : partition_metadata_write(log->env, log->dir, log->topic_id);
    if (err < 0)
        return err;
    if (uuid_is_zero(log->topic_id))
        log->topic_id = id;
    return uuid_equal(log->topic_id, id) ? 0 : KAFKA_INCONSISTENT_TOPIC_ID;
}

static int add_segment(struct log *log, int64_t base_offset, uint8_t files)
{
    int err = log_list_reserve(log, 1);
    struct segment *segment = err == 0 ? segment_create(log, base_offset) : NULL;
    if (!segment)
        return -ENOMEM;
    atomic_init(&segment->exists, files);
    segment->timestamps_known = files == 0;
    log_list_push(log, segment);
    return 0;
}

static int add_segments(struct log *log, const struct folder *folder)
{
    int err = 0;
    for (int32_t i = 0; i < folder->segment_count && err == 0; i++)
        err = add_segment(log, folder->segments[i].base_offset, folder->segments[i].files);
    return err;
}

/* All records lie below the log start: Kafka removes them and starts there, too. */
static int start_over(struct log *log, int64_t start_offset)
{
    say_warn(log->say, "the log ends before its start, removing it", kv_text("log", log->name),
             kv_int("start_offset", start_offset));
    return log_truncate_all(log, start_offset);
}

static void publish_opened(struct log *log, int64_t end_offset)
{
    int64_t size = 0;
    for (int32_t i = 0; i < log->segment_count; i++)
        size += segment_size(log->segments[i]);
    atomic_store_explicit(&log->size_bytes, size, memory_order_relaxed);
    log_publish_unstable(log);
    log_publish_end(log, end_offset);
}

static int load(struct log *log, const struct log_open_params *params, struct folder *folder,
                struct recovery *recovery)
{
    int64_t start = params->log_start_offset > 0 ? params->log_start_offset : 0;
    int64_t end = start;
    int err = add_segments(log, folder);
    if (err == 0)
        err = recovery_scan(recovery);
    if (err == 0 && folder->segment_count == 0) {
        /* Nothing here: a new partition, unless something was known to be on disk. */
        if (!params->clean && recovery->trusted > start)
            return -EUCLEAN;
        err = add_segment(log, start, 0);
    }
    if (err == 0)
        err = recovery_apply(recovery);
    if (err < 0)
        return err;
    if (recovery->count > 0)
        end = recovery->scans[recovery->count - 1].end_offset;
    if (log->segments[0]->base_offset > start)
        start = log->segments[0]->base_offset;
    int64_t recovery_point = params->clean || recovery->trusted > end ? end : recovery->trusted;
    atomic_store_explicit(&log->recovery_point, recovery_point, memory_order_relaxed);
    atomic_store_explicit(&log->start_offset, start < end ? start : end, memory_order_relaxed);
    publish_opened(log, end);
    log->epochs_dirty |=
        epochs_truncate_end(&log->epochs, end) || (recovery->epochs_rebuild && recovery->count > 0);
    if (start > end)
        return start_over(log, start);
    log->epochs_dirty |= epochs_truncate_start(&log->epochs, start);
    return log_refill_producers(log);
}

static int open_folder(struct log *log, const struct log_open_params *params,
                       struct log_open_report *report)
{
    struct folder folder;
    struct recovery recovery = {.log = log,
                                .folder = &folder,
                                .clean = params->clean,
                                .gaps_stand =
                                    params->gaps_stand && params->settings.cleanup_compact};
    int64_t lowered = INT64_MAX;
    int err = folder_load(log->env, log->say, log->dir, &folder);
    if (err < 0)
        return err;
    log->dir_exists = folder.exists;
    recovery.trusted = params->clean                ? INT64_MAX
                       : params->recovery_point > 0 ? params->recovery_point
                                                    : 0;
    if (folder.exists) {
        err = log_read_lowered(log, &lowered);
        if (lowered != INT64_MAX)
            log->lowered_from = params->recovery_point > 0 ? params->recovery_point : 0;
        if (lowered < recovery.trusted && !params->clean)
            recovery.trusted = lowered;
    }
    if (folder.exists && err == 0) {
        err = check_topic_id(log);
        if (err == 0) {
            err = epochs_read(log->env, log->dir, &log->epochs);
            recovery.epochs_rebuild = err == -EBADMSG || err == -ENOENT;
            err = recovery.epochs_rebuild ? 0 : err;
        }
    }
    if (err == 0)
        err = load(log, params, &folder, &recovery);
    *report = (struct log_open_report){.recovered_bytes = recovery.recovered_bytes,
                                       .dropped_bytes = recovery.dropped_bytes,
                                       .segments = log->segment_count,
                                       .indexes_rebuilt = recovery.indexes_rebuilt,
                                       .gaps = recovery.gaps};
    recovery_close(&recovery);
    folder_close(&folder);
    return err;
}

int log_open(const struct log_open_params *params, struct log **ret_log,
             struct log_open_report *ret_report)
{
    struct log_open_report report = {0};
    struct log *log = log_create(params);
    if (!log)
        return -ENOMEM;
    int err = open_folder(log, params, &report);
    if (err) {
        log_destroy(log);
        return err;
    }
    *ret_log = log;
    if (ret_report)
        *ret_report = report;
    return 0;
}

/* Ask for the writing of what will be synced, so that the syncs of many logs wait for it together.
 */
static void start_writeback(struct log *log)
{
    int64_t next = log_recovery_point(log);
    while (next >= 0) {
        struct segment *segment = log_segment_for(log, next, &next);
        unsigned marks = atomic_load_explicit(&segment->unsynced, memory_order_acquire);
        for (int kind = 0; kind < SEGMENT_OWN_FILES; kind++) {
            struct file_ref *file;
            if (!(marks & FILE_BIT(kind)) ||
                segment_file(log, segment, (enum segment_file)kind, &file) < 0)
                continue;
            (void)env_start_writeback(log->env, file_ref_descriptor(file), 0, 0);
            file_ref_drop(file);
        }
        segment_unref(log, segment);
    }
}

int log_close_write(struct log *log)
{
    struct segment *active = log_active(log);
    int64_t end = log_end_offset(log);
    struct file_ref *file;
    int err = 0;
    if (!log->dir_exists)
        return 0;
    /* The name of an empty last segment is what tells the log's end. */
    if (!segment_has(active, SEGMENT_LOG)) {
        err = segment_file_make(log, active, SEGMENT_LOG, &file);
        if (err == 0)
            file_ref_drop(file);
    }
    if (err == 0)
        err = segment_write_indexes(log, active, true);
    if (err == 0)
        err = log_write_epochs(log);
    if (err == 0 && log->snapshot_offset != end) {
        int64_t old = log->loose_snapshot_offset;
        err = log_write_snapshot(log, end);
        if (err == 0 && old >= 0)
            (void)log_remove_snapshot(log, old);
        log->loose_snapshot_offset = end != active->base_offset ? end : -1;
    }
    if (err == 0)
        start_writeback(log);
    return err;
}

bool log_parent_unsynced(const struct log *log)
{
    return atomic_load_explicit(&log->parent_unsynced, memory_order_acquire);
}

void log_parent_synced(struct log *log)
{
    atomic_store_explicit(&log->parent_unsynced, false, memory_order_release);
}

int log_close_sync(struct log *log)
{
    if (!log->dir_exists)
        return 0;
    int err = log_flush(log, NULL);
    return err < 0 ? err : log_forget_lowered(log);
}

int log_close_clean(struct log *log)
{
    int err = log_close_write(log);
    return err < 0 ? err : log_close_sync(log);
}
