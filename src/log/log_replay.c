/* The producer state after a cut: from the newest snapshot that is left, and the batches since. */
#include <errno.h>
#include <stdlib.h>

#include "log/log_internal.h"

struct snapshot_walk {
    struct log *log;
    int64_t end;
    int64_t newest; /* at or below the end; -1: none */
    int64_t below;  /* consider only those below this */
};

static int visit(void *context, const char *name)
{
    struct snapshot_walk *walk = context;
    int64_t offset;
    enum segment_file kind;
    const char *suffix;
    if (!segment_name_parse(name, &offset, &kind, &suffix) || kind != SEGMENT_SNAPSHOT || *suffix)
        return 0;
    if (offset > walk->end)
        return log_remove_snapshot(walk->log, offset);
    if (offset > walk->newest && offset < walk->below)
        walk->newest = offset;
    return 0;
}

int log_load_snapshot(struct log *log, int64_t offset)
{
    char path[LOG_PATH_MAX];
    char *data;
    size_t size;
    int err = segment_path(path, log->dir, offset, SEGMENT_SNAPSHOT, "");
    if (err == 0)
        err = env_load(log->env, path, INT32_MAX, &data, &size);
    if (err < 0)
        return err == -EFBIG ? -EBADMSG : err;
    err = producers_read(&log->producers, (struct bytes){(uint8_t *)data, (int32_t)size},
                         env_wall_ms(log->env), log->settings.producer_expiration_ms);
    free(data);
    return err;
}

static int load_newest(struct log *log, int64_t end, int64_t *ret_offset)
{
    struct snapshot_walk walk = {log, end, -1, INT64_MAX};
    for (;;) {
        walk.newest = -1;
        int err = env_list_dir(log->env, log->dir, visit, &walk);
        if (err == 0 && walk.newest >= 0)
            err = log_load_snapshot(log, walk.newest);
        if (err != -EBADMSG) {
            *ret_offset = walk.newest;
            return err;
        }
        walk.below = walk.newest;
    }
}

/* What an appended batch with a producer means for the state. The batch's bytes are fetched when it
 * is a marker. */
int log_replay_batch(struct log *log, struct scan *scan, struct batch *batch,
                     struct completed_txn *ret_completed, bool *ret_ended)
{
    struct txn_marker marker;
    const struct txn_marker *end = NULL;
    int err = 0;
    if (batch_is_control(batch)) {
        err = scan_body(scan, batch);
        if (err == 0)
            err = txn_marker_read(batch, &marker);
        end = &marker;
    }
    if (err == 0)
        err = producers_reserve(&log->producers, 1);
    if (err < 0)
        return err == -EFBIG ? -EBADMSG : err;
    *ret_ended = producers_update(&log->producers, batch, end, ret_completed);
    return 0;
}

static int replay_segment(struct log *log, struct segment *segment, int64_t from)
{
    struct segment_place place;
    struct completed_txn completed;
    struct file_ref *file;
    struct scan scan = {0};
    struct batch batch;
    bool ended;
    int err = segment_find(log, segment, from, true, &place);
    if (err < 0)
        return err == -ENODATA ? 0 : err;
    err = segment_file(log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    err = scan_init_large(&scan, log->env, file_ref_descriptor(file), place.position,
                          segment_size(segment));
    while (err == 0 && (err = scan_next(&scan, &batch)) == 0)
        if (batch.magic == 2 && batch.producer_id >= 0 && batch.base_offset >= from)
            err = log_replay_batch(log, &scan, &batch, &completed, &ended);
    scan_close(&scan);
    file_ref_drop(file);
    return err == -ENODATA ? 0 : err;
}

int log_reload_producers(struct log *log, int64_t end)
{
    int64_t from = -1;
    pthread_mutex_lock(&log->list_lock);
    producers_clear(&log->producers);
    pthread_mutex_unlock(&log->list_lock);
    int err = load_newest(log, end, &from);
    for (int32_t i = 0; i < log->segment_count && err == 0; i++)
        if (i + 1 == log->segment_count || log->segments[i + 1]->base_offset > from)
            err = replay_segment(log, log->segments[i], from);
    if (err < 0)
        return err;

    log->snapshot_offset = from;
    log->loose_snapshot_offset = from;
    for (int32_t i = 0; i < log->segment_count; i++)
        if (log->segments[i]->base_offset == from)
            log->loose_snapshot_offset = -1;
    pthread_mutex_lock(&log->list_lock);
    producers_release(&log->producers,
                      atomic_load_explicit(&log->high_watermark, memory_order_acquire));
    log_publish_unstable(log);
    pthread_mutex_unlock(&log->list_lock);
    return log_refill_producers(log);
}
