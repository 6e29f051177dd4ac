/* A cleaned segment takes the place of its group.
 *
 * On disk, each line durable before the next begins, so that a start after a crash (folder.c) makes
 * either the old log or the new one of what it finds:
 *
 *   1. .cleaned becomes .swap      before: the old one; from here on the new one is finished. Of
 *                                  several, the first comes last: a start that finds a .cleaned
 *                                  takes it and every later .swap away
 *   2. old names become .deleted
 *   3. .swap becomes the name
 *
 * In memory the list is exchanged under its lock after the first. The files of the new segment are
 * held open until they have their names; the old ones are found by a segment's state. Who found a
 * segment before goes on reading the old batches, who comes after reads the new ones, and places in
 * the old ones are stale for them, because they are older than the new segment's epoch. */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "log/log_clean_internal.h"

static int rename_kind(struct log *log, int64_t base_offset, enum segment_file kind,
                       const char *from_suffix, const char *to_suffix)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    int err = segment_path(from, log->dir, base_offset, kind, from_suffix);
    if (err == 0)
        err = segment_path(to, log->dir, base_offset, kind, to_suffix);
    return err < 0 ? err : env_rename(log->env, from, to);
}

/* A part of the names changed is a state that only the next start can mend. */
static int rename_all(struct log *log, const struct segment *segment, const char *from_suffix,
                      const char *to_suffix)
{
    bool any = false;
    for (int kind = 0; kind < SEGMENT_OWN_FILES; kind++) {
        if (!segment_has(segment, (enum segment_file)kind))
            continue;
        int err =
            rename_kind(log, segment->base_offset, (enum segment_file)kind, from_suffix, to_suffix);
        if (err < 0)
            return any ? -EIO : err;
        any = true;
    }
    return 0;
}

/* The place of the group in the list, -1 if it is not there any more. The list's order and count
 * are the writer's. */
static int32_t group_find(const struct log_cleaning *cleaning)
{
    const struct log *log = cleaning->log;
    int32_t count = cleaning->group_to - cleaning->group_from, at = 0;
    struct segment *const *group = cleaning->segments.items + cleaning->group_from;
    while (at < log->segment_count && log->segments[at] != group[0])
        at++;
    if (at + count >= log->segment_count ||
        memcmp(log->segments + at, group, sizeof *group * (size_t)count) != 0)
        return -1;
    return at;
}

/* Old files of an earlier cleaning would lose their names to those of this one: remove them now. */
static int make_way(struct log_cleaning *cleaning)
{
    struct log *log = cleaning->log;
    const struct segment_list *list = &cleaning->segments;
    struct segment *gone = NULL;
    int err = 0;
    pthread_mutex_lock(&log->list_lock);
    for (struct segment **at = &log->deleted; *at;) {
        struct segment *segment = *at;
        bool same_name = false;
        for (int32_t i = cleaning->group_from; i < cleaning->group_to && !same_name; i++)
            same_name = list->items[i]->base_offset == segment->base_offset;
        if (same_name && atomic_load_explicit(&segment->refs, memory_order_acquire) > 1)
            err = -EAGAIN;
        if (!same_name || err < 0) {
            at = &segment->next;
            continue;
        }
        *at = segment->next;
        segment->next = gone;
        gone = segment;
    }
    pthread_mutex_unlock(&log->list_lock);
    while (gone) {
        struct segment *next = gone->next;
        log_remove_files(log, gone);
        gone = next;
    }
    return err;
}

/* The new segments of the group in their order. */
struct fresh {
    struct segment *items[CLEANED_PIECES_MAX + 1];
    int32_t count;
};

static struct fresh fresh_of(const struct log_cleaning *cleaning)
{
    struct fresh fresh = {0};
    for (int32_t i = 0; i < cleaning->piece_count; i++)
        fresh.items[fresh.count++] = cleaning->pieces[i].segment;
    fresh.items[fresh.count++] = cleaning->cleaned.segment;
    return fresh;
}

/* The list's now. */
static void fresh_given(struct log_cleaning *cleaning)
{
    for (int32_t i = 0; i < cleaning->piece_count; i++)
        cleaning->pieces[i].segment = NULL;
    cleaning->cleaned.segment = NULL;
}

static void list_exchange(struct log_cleaning *cleaning, const struct fresh *fresh, int32_t at)
{
    struct log *log = cleaning->log;
    int32_t count = cleaning->group_to - cleaning->group_from;
    int64_t growth = 0;
    pthread_mutex_lock(&log->list_lock);
    uint32_t epoch = atomic_fetch_add_explicit(&log->file_epoch, 1, memory_order_acq_rel) + 1;
    for (int32_t i = at; i < at + count; i++) {
        atomic_store(&log->segments[i]->state, SEGMENT_LEAVING);
        growth -= segment_size(log->segments[i]);
    }
    memmove(log->segments + at + fresh->count, log->segments + at + count,
            sizeof *log->segments * (size_t)(log->segment_count - at - count));
    for (int32_t i = 0; i < fresh->count; i++) {
        fresh->items[i]->since_epoch = epoch;
        growth += segment_size(fresh->items[i]);
        log->segments[at + i] = fresh->items[i];
    }
    log->segment_count += fresh->count - count;
    pthread_mutex_unlock(&log->list_lock);
    atomic_fetch_add_explicit(&log->size_bytes, growth, memory_order_relaxed);
}

static int old_segments_leave(struct log_cleaning *cleaning)
{
    struct log *log = cleaning->log;
    int err = 0;
    for (int32_t i = cleaning->group_from; i < cleaning->group_to; i++) {
        struct segment *segment = cleaning->segments.items[i];
        int leave_err = log_discard_segment(log, segment); /* takes the list's reference */
        atomic_store(&segment->state, SEGMENT_LEFT);
        if (err == 0)
            err = leave_err;
    }
    return err < 0 ? err : env_sync_dir(log->env, log->dir);
}

/* Snapshots stand at the bases of segments; those of segments that are no more are of no use. */
static int remove_snapshots(struct log_cleaning *cleaning)
{
    struct log *log = cleaning->log;
    int err = 0;
    for (int32_t i = cleaning->group_from + 1; i < cleaning->group_to && err == 0; i++) {
        int64_t base = cleaning->segments.items[i]->base_offset;
        if (base != log->snapshot_offset)
            err = log_remove_snapshot(log, base);
    }
    return err;
}

/* Of several the first one comes last, and not before the others are durable. */
static int become_swaps(struct log *log, const struct fresh *fresh)
{
    int err = 0;
    for (int32_t i = fresh->count - 1; i >= 0 && err == 0; i--) {
        if (i == 0 && fresh->count > 1)
            err = env_sync_dir(log->env, log->dir);
        if (err == 0)
            err = rename_all(log, fresh->items[i], SUFFIX_CLEANED, SUFFIX_SWAP);
        if (err < 0 && i < fresh->count - 1)
            err = -EIO;
    }
    if (err < 0)
        return err;
    /* With them the name of the active segment, which tells where the log ends when the last
     * batches before it are gone. Without such a segment they are not: see the filter's high
     * watermark. A .swap that is left must not outlive what it was made of. */
    return env_sync_dir(log->env, log->dir) < 0 ? -EIO : 0;
}

static int exchange(struct log_cleaning *cleaning, int32_t at)
{
    struct log *log = cleaning->log;
    struct fresh fresh = fresh_of(cleaning);
    int err = become_swaps(log, &fresh);
    if (err < 0)
        return err;
    list_exchange(cleaning, &fresh, at);
    fresh_given(cleaning);
    err = old_segments_leave(cleaning);
    for (int32_t i = 0; i < fresh.count && err == 0; i++) {
        err = rename_all(log, fresh.items[i], SUFFIX_SWAP, "");
        if (err == 0)
            atomic_store(&fresh.items[i]->state, SEGMENT_IN_PLACE);
    }
    if (err == 0)
        err = remove_snapshots(cleaning);
    return err < 0 ? -EIO : 0;
}

int log_cleaning_swap(struct log_cleaning *cleaning)
{
    struct log *log = cleaning->log;
    must(cleaning->phase == CLEANING_SWAP);
    int32_t at = log_cut_epoch(log) == cleaning->cut_epoch ? group_find(cleaning) : -1;
    if (at < 0)
        return -ECANCELED;
    int err = log_list_reserve(log, cleaning->piece_count + 1);
    if (err == 0)
        err = make_way(cleaning);
    if (err == 0)
        err = exchange(cleaning, at);
    if (err < 0)
        return err;
    for (int32_t i = 0; i < cleaning->piece_count; i++)
        cleaned_close(&cleaning->pieces[i], log);
    cleaned_close(&cleaning->cleaned, log);
    cleaning->stats.segments_before += cleaning->group_to - cleaning->group_from;
    cleaning->stats.segments_after += cleaning->piece_count + 1;
    cleaning->piece_count = 0;
    segment_list_drop(log, &cleaning->segments, cleaning->group_from, cleaning->group_to);
    cleaning->phase = CLEANING_TIDY;
    return 0;
}
