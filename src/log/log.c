/* A log in memory: its list of segments, the published end, and the small files beside the
 * segments.
 *
 * 1. The list is never empty; its last segment is the active one, and only that one grows.
 * 2. size_bytes of a segment and then the end are published after the bytes are written, so whoever
 *    loads an end first and the list afterwards finds every byte below it.
 * 3. No I/O under list_lock. */
#include "log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/must.h"
#include "log/log_internal.h"
#include "log/text_file.h"

bool log_error_passes(int err)
{
    return err == -ENOSPC || err == -EDQUOT || err == -EFBIG || err == -ENOMEM || err == -EMFILE ||
           err == -ENFILE;
}

void log_destroy(struct log *log)
{
    if (!log)
        return;
    for (int32_t i = 0; i < log->segment_count; i++) {
        must(atomic_load(&log->segments[i]->refs) == 1);
        segment_unref(log, log->segments[i]);
    }
    while (log->deleted) {
        struct segment *segment = log->deleted;
        log->deleted = segment->next;
        segment_unref(log, segment);
    }
    free(log->segments);
    epochs_close(&log->epochs);
    producers_close(&log->producers);
    verifications_close(&log->verifications);
    pthread_mutex_destroy(&log->list_lock);
    pthread_mutex_destroy(&log->flush_lock);
    free(log->dir);
    free(log);
}

void log_set_settings(struct log *log, const struct log_settings *settings)
{
    log->settings = *settings;
}

int log_list_reserve(struct log *log, int32_t more)
{
    if (log->segment_count + more <= log->segment_capacity)
        return 0;
    int32_t capacity = log->segment_capacity ? log->segment_capacity * 2 : 1;
    if (capacity < log->segment_count + more)
        capacity = log->segment_count + more;
    struct segment **segments = malloc(sizeof *segments * (size_t)capacity);
    if (!segments)
        return -ENOMEM;
    pthread_mutex_lock(&log->list_lock);
    struct segment **old = log->segments;
    if (old)
        memcpy(segments, old, sizeof *segments * (size_t)log->segment_count);
    log->segments = segments;
    log->segment_capacity = capacity;
    pthread_mutex_unlock(&log->list_lock);
    free(old);
    return 0;
}

void log_list_push(struct log *log, struct segment *segment)
{
    must(log->segment_count < log->segment_capacity);
    pthread_mutex_lock(&log->list_lock);
    must(log->segment_count == 0 || log_active(log)->base_offset < segment->base_offset);
    log->segments[log->segment_count++] = segment;
    pthread_mutex_unlock(&log->list_lock);
}

/* The number of the last segment with base <= offset, 0 if there is none. Under list_lock. */
static int32_t list_floor(const struct log *log, int64_t offset)
{
    int32_t low = 0, high = log->segment_count - 1;
    while (low < high) {
        int32_t mid = low + (high - low + 1) / 2;
        if (log->segments[mid]->base_offset <= offset)
            low = mid;
        else
            high = mid - 1;
    }
    return low;
}

struct segment *log_segment_for(struct log *log, int64_t offset, int64_t *ret_next_base)
{
    pthread_mutex_lock(&log->list_lock);
    int32_t at = log->segments[log->segment_count - 1]->base_offset <= offset
                     ? log->segment_count - 1
                     : list_floor(log, offset);
    struct segment *segment = segment_ref(log->segments[at]);
    *ret_next_base = at + 1 < log->segment_count ? log->segments[at + 1]->base_offset : -1;
    pthread_mutex_unlock(&log->list_lock);
    return segment;
}

void log_publish_end(struct log *log, int64_t offset)
{
    const struct segment *active = log_active(log);
    uint32_t sequence = atomic_load_explicit(&log->end_sequence, memory_order_relaxed);
    uint32_t epoch = atomic_load_explicit(&log->file_epoch, memory_order_relaxed);
    atomic_store_explicit(&log->end_sequence, sequence + 1, memory_order_relaxed);
    /* Releases, so that who sees a new value also sees the odd number before it. */
    atomic_store_explicit(&log->end_offset, offset, memory_order_release);
    atomic_store_explicit(&log->end_segment_base, active->base_offset, memory_order_release);
    atomic_store_explicit(&log->end_position, segment_size(active), memory_order_release);
    atomic_store_explicit(&log->end_file_epoch, epoch, memory_order_release);
    atomic_store_explicit(&log->end_sequence, sequence + 2, memory_order_release);
}

struct log_position log_end(const struct log *log)
{
    for (;;) {
        uint32_t before = atomic_load_explicit(&log->end_sequence, memory_order_acquire);
        struct log_position end = {
            .offset = atomic_load_explicit(&log->end_offset, memory_order_acquire),
            .segment_base = atomic_load_explicit(&log->end_segment_base, memory_order_acquire),
            .position = atomic_load_explicit(&log->end_position, memory_order_acquire),
            .file_epoch = atomic_load_explicit(&log->end_file_epoch, memory_order_acquire),
        };
        uint32_t after = atomic_load_explicit(&log->end_sequence, memory_order_relaxed);
        if (before == after && before % 2 == 0)
            return end;
    }
}

int64_t log_end_offset(const struct log *log)
{
    return atomic_load_explicit(&log->end_offset, memory_order_acquire);
}

int64_t log_start_offset(const struct log *log)
{
    return atomic_load_explicit(&log->start_offset, memory_order_acquire);
}

int64_t log_size_bytes(const struct log *log)
{
    return atomic_load_explicit(&log->size_bytes, memory_order_relaxed);
}

int64_t log_recovery_point(const struct log *log)
{
    return atomic_load_explicit(&log->recovery_point, memory_order_acquire);
}

uint32_t log_file_epoch(const struct log *log)
{
    return atomic_load_explicit(&log->file_epoch, memory_order_acquire);
}

int64_t log_cleaned_to(const struct log *log)
{
    return atomic_load_explicit(&log->cleaned_to, memory_order_acquire);
}

void log_set_cleaned_to(struct log *log, int64_t offset)
{
    atomic_store_explicit(&log->cleaned_to, offset, memory_order_release);
}

int64_t log_first_unstable(const struct log *log)
{
    return atomic_load_explicit(&log->first_unstable, memory_order_acquire);
}

void log_publish_unstable(struct log *log)
{
    int64_t first = producers_first_unstable(&log->producers), start = log_start_offset(log);
    atomic_store_explicit(&log->first_unstable, first < start ? start : first,
                          memory_order_release);
}

void log_set_high_watermark(struct log *log, int64_t high_watermark)
{
    atomic_store_explicit(&log->high_watermark, high_watermark, memory_order_release);
    if (log_first_unstable(log) == INT64_MAX)
        return;
    pthread_mutex_lock(&log->list_lock);
    if (producers_release(&log->producers, high_watermark))
        log_publish_unstable(log);
    pthread_mutex_unlock(&log->list_lock);
}

int log_ensure_dir(struct log *log)
{
    if (log->dir_exists)
        return 0;
    int err = env_mkdir(log->env, log->dir);
    if (err < 0 && err != -EEXIST)
        return err;
    if (!uuid_is_zero(log->topic_id))
        err = partition_metadata_write(log->env, log->dir, log->topic_id);
    else
        err = 0;
    if (err < 0)
        return err;
    atomic_store_explicit(&log->dir_unsynced, true, memory_order_relaxed);
    atomic_store_explicit(&log->parent_unsynced, true, memory_order_relaxed);
    log->dir_exists = true;
    return 0;
}

int log_write_epochs(struct log *log)
{
    if (!log->epochs_dirty || !log->dir_exists)
        return 0;
    int err = epochs_write(&log->epochs, log->env, log->dir);
    if (err < 0)
        return err;
    log->epochs_dirty = false;
    atomic_store_explicit(&log->epochs_unsynced, true, memory_order_release);
    return 0;
}

int log_write_snapshot(struct log *log, int64_t offset)
{
    char path[LOG_PATH_MAX];
    struct writer out = {0};
    int err = segment_path(path, log->dir, offset, SEGMENT_SNAPSHOT, "");
    if (err < 0)
        return err;
    producers_write(&log->producers, &out);
    err = out.failed ? -ENOMEM : file_replace_unsynced(log->env, path, out.data, out.size);
    writer_close(&out);
    if (err < 0)
        return err;
    log->snapshot_offset = offset;
    log->bytes_since_snapshot = 0;
    atomic_store_explicit(&log->unsynced_snapshot, offset, memory_order_release);
    return 0;
}

int log_remove_snapshot(struct log *log, int64_t offset)
{
    char path[LOG_PATH_MAX];
    int err = segment_path(path, log->dir, offset, SEGMENT_SNAPSHOT, "");
    if (err == 0) {
        /* A small file, whose pages are gone in no time: a loop may do that. */
        bool before = env_allow_blocking(log->env, true);
        err = env_unlink(log->env, path);
        env_allow_blocking(log->env, before);
    }
    return err == -ENOENT ? 0 : err;
}

int32_t log_latest_epoch(const struct log *log)
{
    struct log *mutable = (struct log *)log;
    pthread_mutex_lock(&mutable->list_lock);
    int32_t epoch = epochs_latest(&log->epochs);
    pthread_mutex_unlock(&mutable->list_lock);
    return epoch;
}

int log_assign_epoch(struct log *log, int32_t epoch)
{
    pthread_mutex_lock(&log->list_lock);
    int err = epochs_reserve(&log->epochs, 1);
    if (err == 0)
        log->epochs_dirty |= epochs_assign(&log->epochs, epoch, log_end_offset(log));
    pthread_mutex_unlock(&log->list_lock);
    return err;
}

void log_epoch_end(struct log *log, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset)
{
    pthread_mutex_lock(&log->list_lock);
    epochs_end(&log->epochs, epoch, log_end_offset(log), ret_epoch, ret_end_offset);
    pthread_mutex_unlock(&log->list_lock);
}

int32_t log_epoch_at(struct log *log, int64_t offset)
{
    pthread_mutex_lock(&log->list_lock);
    int32_t epoch = epochs_at(&log->epochs, offset);
    pthread_mutex_unlock(&log->list_lock);
    return epoch;
}

bool log_has_open_transaction(const struct log *log, int64_t producer_id, int16_t producer_epoch)
{
    const struct producer *producer = producers_find(&log->producers, producer_id);
    return producer && producer->epoch == producer_epoch && producer_is_in_transaction(producer);
}

bool log_is_in_transaction(const struct log *log, int64_t producer_id)
{
    const struct producer *producer = producers_find(&log->producers, producer_id);
    return producer && producer_is_in_transaction(producer);
}

void log_expire_producers(struct log *log, int64_t now_ms)
{
    producers_expire(&log->producers, now_ms, log->settings.producer_expiration_ms);
    verifications_expire(&log->verifications, now_ms, log->settings.producer_expiration_ms);
}

static int compare_producers(const void *a, const void *b)
{
    const struct producer_view *x = a, *y = b;
    return x->producer_id < y->producer_id ? -1 : x->producer_id > y->producer_id;
}

int log_producers(struct log *log, struct arena *arena, struct producer_view **ret_items,
                  int32_t *ret_count)
{
    uint32_t count = log->producers.count;
    struct producer_view *items = arena_array(arena, count, sizeof *items);
    if (!items)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        const struct producer *producer = &log->producers.items[i];
        items[i] = (struct producer_view){
            .producer_id = producer->id,
            .producer_epoch = producer->epoch,
            .last_sequence = producer_last_sequence(producer),
            .last_timestamp = producer->last_timestamp,
            .coordinator_epoch = producer->coordinator_epoch,
            .current_txn_start_offset = producer->txn_first_offset,
        };
    }
    qsort(items, count, sizeof *items, compare_producers);
    *ret_items = items;
    *ret_count = (int32_t)count;
    return 0;
}
