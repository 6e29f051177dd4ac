/* After the scan: cut the log where it ends and bring the files beside it in line. */
#include <errno.h>

#include "log/recovery.h"

static int remove_segment_files(struct recovery *recovery, int32_t i)
{
    char path[LOG_PATH_MAX];
    struct log *log = recovery->log;
    /* The .log goes last: indexes without it are waste that the next start removes. */
    for (int kind = SEGMENT_OWN_FILES - 1; kind >= 0; kind--) {
        int err = segment_path(path, log->dir, recovery_segment(recovery, i)->base_offset,
                               (enum segment_file)kind, "");
        if (err == 0)
            err = env_unlink(log->env, path);
        if (err < 0 && err != -ENOENT)
            return err;
    }
    return 0;
}

/* From the last one backwards and durably, before the segment that ends the log is cut: otherwise
 * a crash could leave later segments behind a gap. */
static int remove_later_segments(struct recovery *recovery)
{
    struct log *log = recovery->log;
    if (recovery->count == recovery->folder->segment_count)
        return 0;
    for (int32_t i = recovery->folder->segment_count - 1; i >= recovery->count; i--) {
        int err = remove_segment_files(recovery, i);
        if (err < 0)
            return err;
        segment_unref(log, log->segments[i]);
        log->segment_count--;
    }
    return env_sync_dir(log->env, log->dir);
}

static int remove_stray_snapshots(struct recovery *recovery, int64_t end_offset)
{
    struct log *log = recovery->log;
    int64_t newest = -1;
    for (int32_t i = recovery->folder->snapshot_count - 1; i >= 0; i--) {
        int64_t offset = recovery->folder->snapshots[i];
        bool at_base = false;
        for (int32_t s = 0; s < log->segment_count; s++)
            at_base |= log->segments[s]->base_offset == offset;
        bool usable = offset <= recovery->snapshot_offset;
        if (usable && newest < 0)
            newest = offset;
        if (usable && (at_base || offset == newest))
            continue;
        int err = offset > end_offset || !at_base ? log_remove_snapshot(log, offset) : 0;
        if (err < 0)
            return err;
    }
    log->snapshot_offset = newest;
    log->loose_snapshot_offset = -1;
    for (int32_t s = 0; s < log->segment_count; s++)
        if (log->segments[s]->base_offset == newest)
            return 0;
    log->loose_snapshot_offset = newest;
    return 0;
}

static int cut_log(struct recovery *recovery, int32_t i)
{
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = recovery_segment(recovery, i);
    struct file_ref *file;
    atomic_store_explicit(&segment->size_bytes, scan->valid_size, memory_order_relaxed);
    if (scan->size == scan->valid_size)
        return 0;
    int err = segment_file(recovery->log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    err = env_truncate(recovery->log->env, file_ref_descriptor(file), scan->valid_size);
    if (err == 0)
        err = env_sync(recovery->log->env, file_ref_descriptor(file));
    file_ref_drop(file);
    return err;
}

/* Leave `kept_size` bytes of an auxiliary file and write `more` behind them. */
static int rewrite_tail(struct recovery *recovery, struct segment *segment, enum segment_file kind,
                        int64_t kept_size, const struct writer *more)
{
    struct log *log = recovery->log;
    struct file_ref *file;
    int64_t size;
    int err = recovery_file_size(log, segment, kind, &size);
    if (err < 0 || (size == kept_size && more->size == 0) || (size < 0 && more->size == 0))
        return err;
    if (more->failed)
        return -ENOMEM;
    err = segment_file_make(log, segment, kind, &file);
    if (err < 0)
        return err;
    err = env_truncate(log->env, file_ref_descriptor(file), kept_size);
    if (err == 0 && more->size > 0)
        err = env_write_all(log->env, file_ref_descriptor(file), more->data, more->size, kept_size);
    file_ref_drop(file);
    segment_mark_unsynced(segment, kind);
    return err;
}

static int apply_segment(struct recovery *recovery, int32_t i)
{
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = recovery_segment(recovery, i);
    bool closed = i + 1 < recovery->count;
    int err = cut_log(recovery, i);
    if (scan->rebuild && closed)
        recovery_close_times(scan, segment);
    for (int kind = 0; kind < INDEX_KINDS && err == 0 && scan->rebuild; kind++) {
        int32_t entry_size = index_entry_size((enum index_kind)kind);
        struct index *index = &segment->index[kind];
        err = rewrite_tail(recovery, segment, index_file_kind((enum index_kind)kind),
                           (int64_t)scan->kept[kind] * entry_size, &scan->entries[kind]);
        index->written = scan->kept[kind] + (int32_t)scan->entries[kind].size / entry_size;
        index->last = scan->last[kind];
    }
    if (err == 0)
        err = rewrite_tail(recovery, segment, SEGMENT_TXNINDEX,
                           (int64_t)scan->kept_txns * TXN_ENTRY_SIZE, &scan->txns);
    segment->txn_entries = scan->kept_txns + (int32_t)(scan->txns.size / TXN_ENTRY_SIZE);
    if (segment->txn_entries > 0)
        atomic_store_explicit(&recovery->log->has_aborts, true, memory_order_relaxed);
    /* A crash may have kept bytes from the disk that nobody wrote back since. */
    if (!recovery->clean && scan->read)
        segment_mark_unsynced(segment, SEGMENT_LOG);
    return err;
}

int recovery_apply(struct recovery *recovery)
{
    if (recovery->count == 0)
        return 0;
    int err = remove_later_segments(recovery);
    if (err == 0)
        err = remove_stray_snapshots(recovery, recovery->scans[recovery->count - 1].end_offset);
    for (int32_t i = 0; i < recovery->count && err == 0; i++)
        err = apply_segment(recovery, i);
    return err;
}
