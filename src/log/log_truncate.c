/* Cutting a log: a follower drops what its new leader does not have.
 *
 * 1. The file epoch rises first, then the list and sizes shrink, then the end is published; only
 *    then files change. Readers that began before find shorter segments, never foreign bytes.
 * 2. A file whose bytes below the high watermark go is copied and replaced, because bytes that wait
 *    in a socket's queue after sendfile are still the file's.
 * 3. The recovery point in the checkpoint file may lie above the cut. Until a flush has passed it
 *    again, a note in the folder says how far the disk may be trusted.
 * 4. Removed names are durable before anything is appended, so that nothing comes back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"
#include "log/log_internal.h"
#include "log/text_file.h"

#define LOWERED_FILE "jackdaw-recovery-point"
#define LOWERED_BYTES_MAX 64
#define COPY_BYTES (256 * 1024)

int log_read_lowered(struct log *log, int64_t *ret_offset)
{
    char path[LOG_PATH_MAX];
    char *data;
    size_t size;
    *ret_offset = INT64_MAX;
    int err = path_join(path, log->dir, LOWERED_FILE);
    if (err == 0)
        err = env_load(log->env, path, LOWERED_BYTES_MAX, &data, &size);
    if (err == -ENOENT)
        return 0;
    if (err < 0 && err != -EFBIG)
        return err;
    /* A damaged note still says that the checkpoint cannot be believed. */
    struct str line = err == 0 ? (struct str){data, (int32_t)size} : (struct str){0};
    if (line.size > 0 && line.data[line.size - 1] == '\n')
        line.size--;
    if (word_int64(line, 0, INT64_MAX, ret_offset) < 0)
        *ret_offset = 0;
    if (err == 0)
        free(data);
    return 0;
}

/* Durably note that only what lies below `offset` is known to be on disk. */
static int note_lowered(struct log *log, int64_t offset)
{
    char path[LOG_PATH_MAX], text[LOWERED_BYTES_MAX];
    int64_t point = log_recovery_point(log), noted;
    if (offset >= point)
        return 0;
    int err = log_read_lowered(log, &noted);
    if (err == 0)
        err = path_join(path, log->dir, LOWERED_FILE);
    if (err < 0)
        return err;
    int size = snprintf(text, sizeof text, "%lld\n", (long long)(noted < offset ? noted : offset));
    err = env_replace(log->env, path, text, (size_t)size);
    if (err == 0 && log->lowered_from < point)
        log->lowered_from = point;
    return err;
}

int log_forget_lowered(struct log *log)
{
    char path[LOG_PATH_MAX];
    if (log->lowered_from < 0 || log_recovery_point(log) < log->lowered_from)
        return 0;
    int err = path_join(path, log->dir, LOWERED_FILE);
    if (err == 0)
        err = env_unlink(log->env, path);
    if (err == 0 || err == -ENOENT)
        log->lowered_from = -1;
    return err == -ENOENT ? 0 : err;
}

/* Places found before are none any more. Under list_lock. */
static void raise_epoch(struct log *log)
{
    uint32_t epoch = atomic_fetch_add_explicit(&log->file_epoch, 1, memory_order_acq_rel) + 1;
    atomic_store_explicit(&log->cut_epoch, epoch, memory_order_release);
}

/* Shrink the list to `count` segments and the last of them to `size` bytes; what is cut off is
 * answered, newest first. */
static struct segment *shrink_list(struct log *log, int32_t count, int32_t size, int64_t point)
{
    struct segment *cut = NULL;
    pthread_mutex_lock(&log->list_lock);
    raise_epoch(log);
    if (log_recovery_point(log) > point)
        atomic_store_explicit(&log->recovery_point, point, memory_order_release);
    for (int32_t i = count; i < log->segment_count; i++) {
        log->segments[i]->next = cut;
        cut = log->segments[i];
    }
    log->segment_count = count;
    if (count > 0)
        atomic_store_explicit(&log_active(log)->size_bytes, size, memory_order_release);
    pthread_mutex_unlock(&log->list_lock);
    return cut;
}

/* Put `segment` in the place of all others. */
static struct segment *exchange_list(struct log *log, struct segment *segment)
{
    struct segment *cut = NULL;
    pthread_mutex_lock(&log->list_lock);
    raise_epoch(log);
    atomic_store_explicit(&log->recovery_point, segment->base_offset, memory_order_release);
    for (int32_t i = 0; i < log->segment_count; i++) {
        log->segments[i]->next = cut;
        cut = log->segments[i];
    }
    log->segments[0] = segment;
    log->segment_count = 1;
    pthread_mutex_unlock(&log->list_lock);
    return cut;
}

static void recount_size(struct log *log)
{
    int64_t size = 0;
    for (int32_t i = 0; i < log->segment_count; i++)
        size += segment_size(log->segments[i]);
    atomic_store_explicit(&log->size_bytes, size, memory_order_relaxed);
}

/* Rename the files of cut segments, from the last one on, and let go of them later. */
static int discard_segments(struct log *log, struct segment *cut)
{
    int err = 0;
    while (cut) {
        struct segment *next = cut->next;
        int detach_err = log_discard_segment(log, cut);
        if (err == 0)
            err = detach_err;
        cut = next;
    }
    return err;
}

/* Replace the segment's file by a copy of its first `size` bytes. */
static int copy_front(struct log *log, struct segment *segment, int from, int32_t size)
{
    char path[LOG_PATH_MAX], copy_path[LOG_PATH_MAX];
    int err = segment_path(path, log->dir, segment->base_offset, SEGMENT_LOG, "");
    if (err == 0)
        err = segment_path(copy_path, log->dir, segment->base_offset, SEGMENT_LOG, ".tmp");
    if (err < 0)
        return err;
    uint8_t *buffer = malloc(COPY_BYTES);
    if (!buffer)
        return -ENOMEM;
    int to = env_open(log->env, copy_path, ENV_READ | ENV_WRITE | ENV_CREATE | ENV_TRUNCATE);
    err = to < 0 ? to : 0;
    for (int32_t at = 0; at < size && err == 0;) {
        size_t part = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
        err = env_read_all(log->env, from, buffer, part, at);
        if (err == 0)
            err = env_write_all(log->env, to, buffer, part, at);
        at += (int32_t)part;
    }
    if (err == 0)
        err = env_sync(log->env, to);
    if (to >= 0)
        (void)env_close(log->env, to);
    free(buffer);
    if (err == 0)
        err = env_rename(log->env, copy_path, path);
    if (err == 0)
        file_cache_forget(log->files, &segment->files[SEGMENT_LOG]);
    else
        (void)env_unlink(log->env, copy_path);
    return err;
}

static int cut_log_file(struct log *log, struct segment *segment, int32_t size, bool copy)
{
    struct file_ref *file;
    if (!segment_has(segment, SEGMENT_LOG))
        return 0;
    int err = segment_file(log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    if (copy) {
        err = copy_front(log, segment, file_ref_descriptor(file), size);
    } else {
        err = env_truncate(log->env, file_ref_descriptor(file), size);
        if (err == 0)
            err = env_sync(log->env, file_ref_descriptor(file));
    }
    file_ref_drop(file);
    return err;
}

/* How many entries of an index have a column below `target`. BLOCKING. */
static int count_below(struct log *log, struct segment *segment, enum index_kind kind,
                       enum index_by by, int64_t target, int32_t *ret_count)
{
    struct index *index = &segment->index[kind];
    struct index_entry entry;
    struct file_ref *file;
    int32_t number;
    int32_t below = 0;
    while (below < index->tail_count &&
           index_tail_entry(index, kind, below).key < (by == INDEX_BY_KEY ? target : INT64_MAX) &&
           index_tail_entry(index, kind, below).value < (by == INDEX_BY_VALUE ? target : INT64_MAX))
        below++;
    *ret_count = index->written + below;
    if (below > 0 || index->written == 0)
        return 0;
    int err = segment_file(log, segment, index_file_kind(kind), &file);
    if (err < 0)
        return err;
    struct index_file in = {log->env, file_ref_descriptor(file), kind, index->written, true};
    err = index_search_file(&in, by, target - 1, &number, &entry);
    file_ref_drop(file);
    if (err == 0)
        *ret_count = number + 1;
    return err;
}

static int cut_index(struct log *log, struct segment *segment, enum index_kind kind, int64_t offset)
{
    struct index *index = &segment->index[kind];
    struct index cut = *index;
    struct file_ref *file = NULL;
    int32_t count;
    int64_t target = offset - segment->base_offset;
    int err = count_below(log, segment, kind, kind == INDEX_OFFSET ? INDEX_BY_KEY : INDEX_BY_VALUE,
                          target, &count);
    if (err == 0 && segment_has(segment, index_file_kind(kind)))
        err = segment_file(log, segment, index_file_kind(kind), &file);
    if (err == 0)
        err = index_truncate(&cut, kind, count, log->env, file ? file_ref_descriptor(file) : -1);
    if (err == 0) {
        pthread_mutex_lock(&log->list_lock);
        *index = cut;
        pthread_mutex_unlock(&log->list_lock);
    }
    if (err == 0 && file)
        err = env_truncate(log->env, file_ref_descriptor(file),
                           (int64_t)index->written * index_entry_size(kind));
    file_ref_drop(file);
    segment_mark_unsynced(segment, index_file_kind(kind));
    return err;
}

static int cut_txn_index(struct log *log, struct segment *segment, int64_t offset)
{
    uint8_t data[TXN_ENTRY_SIZE];
    struct file_ref *file;
    int32_t count = segment->txn_entries;
    if (count == 0)
        return 0;
    int err = segment_file(log, segment, SEGMENT_TXNINDEX, &file);
    if (err < 0)
        return err;
    while (count > 0 && err == 0) {
        struct aborted_entry entry = {0};
        err = env_read_all(log->env, file_ref_descriptor(file), data, sizeof data,
                           (int64_t)(count - 1) * TXN_ENTRY_SIZE);
        if (err == 0)
            err = txn_entry_decode(data, &entry);
        if (err == 0 && entry.last_offset < offset)
            break;
        count--;
    }
    if (err == 0 && count != segment->txn_entries) {
        pthread_mutex_lock(&log->list_lock);
        segment->txn_entries = count;
        pthread_mutex_unlock(&log->list_lock);
        err = env_truncate(log->env, file_ref_descriptor(file), (int64_t)count * TXN_ENTRY_SIZE);
        segment_mark_unsynced(segment, SEGMENT_TXNINDEX);
    }
    file_ref_drop(file);
    return err;
}

/* The greatest timestamp of what is left: the last time entry's, or of a batch after it. */
static int reload_timestamps(struct log *log, struct segment *segment)
{
    struct index *index = &segment->index[INDEX_TIME];
    struct index_entry last = index_count(index) ? index->last : (struct index_entry){-1, 0};
    uint8_t buffer[SCAN_SMALL_BYTES];
    struct segment_place place;
    struct file_ref *file;
    struct scan scan;
    struct batch batch;
    int64_t timestamp = last.key, offset = segment->base_offset + last.value;
    int64_t first = NO_TIMESTAMP;
    int err = segment_find_from(log, segment, 0, INT64_MIN, true, &place);
    if (err == 0) {
        first = place.batch.max_timestamp;
        err = segment_find(log, segment, offset, true, &place);
    }
    if (err == 0)
        err = segment_file(log, segment, SEGMENT_LOG, &file);
    if (err == 0) {
        scan_init(&scan, log->env, file_ref_descriptor(file), place.position, segment_size(segment),
                  true, buffer);
        while ((err = scan_next(&scan, &batch)) == 0) {
            if (batch.max_timestamp <= timestamp)
                continue;
            timestamp = batch.max_timestamp;
            offset = batch_last_offset(&batch);
        }
        file_ref_drop(file);
    }
    if (err < 0 && err != -ENODATA)
        return err;
    pthread_mutex_lock(&log->list_lock);
    segment->max_timestamp = timestamp;
    segment->max_timestamp_offset = offset;
    segment->timestamps_known = true;
    pthread_mutex_unlock(&log->list_lock);
    segment->first_timestamp = first;
    segment->bytes_since_index = 0;
    return 0;
}

static int cut_segment_files(struct log *log, struct segment *segment, int32_t size, int64_t offset,
                             bool copy)
{
    int err = cut_log_file(log, segment, size, copy);
    for (int kind = 0; kind < INDEX_KINDS && err == 0; kind++)
        err = cut_index(log, segment, (enum index_kind)kind, offset);
    if (err == 0)
        err = cut_txn_index(log, segment, offset);
    if (err == 0)
        err = reload_timestamps(log, segment);
    return err;
}

static void lower_marks(struct log *log, int64_t end)
{
    if (log_start_offset(log) > end)
        atomic_store_explicit(&log->start_offset, end, memory_order_release);
    if (atomic_load_explicit(&log->high_watermark, memory_order_acquire) > end)
        atomic_store_explicit(&log->high_watermark, end, memory_order_release);
    if (log_cleaned_to(log) > end)
        log_set_cleaned_to(log, end);
    recount_size(log);
}

static void truncate_epochs(struct log *log, int64_t end)
{
    pthread_mutex_lock(&log->list_lock);
    log->epochs_dirty |= epochs_truncate_end(&log->epochs, end);
    pthread_mutex_unlock(&log->list_lock);
}

/* The last batch's end before the cut, and the cut's place. */
static int find_cut(struct log *log, struct segment *segment, int64_t offset, int32_t *ret_size,
                    int64_t *ret_end)
{
    struct segment_place place;
    int32_t size = segment_size(segment);
    int err = segment_find(log, segment, offset, true, &place);
    if (err == 0)
        size = place.position;
    if (err < 0 && err != -ENODATA)
        return err;
    *ret_size = size;
    *ret_end = segment->base_offset;
    return size > 0 ? segment_cut(log, segment, 0, size, true, ret_size, ret_end) : 0;
}

static int truncate_to(struct log *log, int64_t offset)
{
    int32_t at = log->segment_count - 1, size;
    int64_t end;
    while (log->segments[at]->base_offset > offset)
        at--;
    struct segment *segment = log->segments[at];
    int err = find_cut(log, segment, offset, &size, &end);
    if (err == 0)
        err = note_lowered(log, end);
    if (err < 0)
        return err;
    bool copy = end < atomic_load_explicit(&log->high_watermark, memory_order_acquire) &&
                size < segment_size(segment);

    struct segment *cut = shrink_list(log, at + 1, size, end);
    log_publish_end(log, end);
    truncate_epochs(log, end);
    lower_marks(log, end);
    err = discard_segments(log, cut);
    if (err == 0)
        err = cut_segment_files(log, segment, size, offset, copy);
    if (err == 0)
        err = log_write_epochs(log);
    if (err == 0)
        err = log_reload_producers(log, end);
    verifications_clear(&log->verifications);
    return err < 0 ? err : env_sync_dir(log->env, log->dir);
}

int log_truncate(struct log *log, int64_t offset)
{
    if (offset < 0)
        return -EINVAL;
    if (offset >= log_end_offset(log)) {
        /* Epochs may have been assigned at the end without records. */
        truncate_epochs(log, log_end_offset(log));
        return log_write_epochs(log);
    }
    say_info(log->say, "cutting the log", kv_text("log", log->name), kv_int("offset", offset),
             kv_int("end_offset", log_end_offset(log)));
    if (offset < log->segments[0]->base_offset)
        return log_truncate_all(log, offset);
    return truncate_to(log, offset);
}

int log_truncate_all(struct log *log, int64_t new_start)
{
    struct file_ref *file;
    int err = log_ensure_dir(log);
    if (err == 0)
        err = log_list_reserve(log, 1);
    struct segment *segment = err == 0 ? segment_create(log, new_start) : NULL;
    if (!segment)
        return err < 0 ? err : -ENOMEM;
    err = note_lowered(log, new_start);
    if (err < 0) {
        segment_unref(log, segment);
        return err;
    }

    /* The list is empty for nobody: it is exchanged under its lock. */
    struct segment *cut = exchange_list(log, segment);
    log_publish_end(log, new_start);
    atomic_store_explicit(&log->start_offset, new_start, memory_order_release);
    pthread_mutex_lock(&log->list_lock);
    log->epochs_dirty |= epochs_clear(&log->epochs);
    pthread_mutex_unlock(&log->list_lock);
    lower_marks(log, new_start);
    err = discard_segments(log, cut);
    if (err == 0)
        err = segment_file_make(log, segment, SEGMENT_LOG, &file);
    if (err == 0) {
        file_ref_drop(file);
        err = log_write_epochs(log);
    }
    if (err == 0)
        err = log_reload_producers(log, -1);
    verifications_clear(&log->verifications);
    return err < 0 ? err : env_sync_dir(log->env, log->dir);
}
