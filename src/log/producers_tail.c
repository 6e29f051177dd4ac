/* The last batches of each producer, found again at the end of the log.
 *
 * Kafka's .snapshot holds the newest batch of a producer and no other. A client may have five under
 * way, and if the answers to several were lost when the node stopped, it repeats them all: the
 * earlier ones must be known, or they are taken for a gap. So the end of the log is read again. It
 * is at most PRODUCER_TAIL_BYTES, headers only where batches are large, and nothing at all for a
 * log that nobody wrote to lately: who got no answer gives up after a while.
 *
 * What is added is always older than what the snapshot says is newest, so a log and a snapshot that
 * disagree can do no harm. */
#include <errno.h>

#include "log/log_internal.h"

/* Enough for most: the end is read once more, further back, only if it was not. */
#define FIRST_LOOK_BYTES (64 * 1024)
/* Of a producer or a file: longer ago than any client waits for its answer. */
#define RECENT_MS (10 * 60 * 1000)

static bool is_recent(int64_t now_ms, int64_t then_ms)
{
    int64_t age;
    return !__builtin_sub_overflow(now_ms, then_ms, &age) && age < RECENT_MS;
}

/* Whether a batch of this producer may be missing that a client may repeat. From `offset` on all
 * was seen. */
static bool any_missing(const struct log *log, int64_t offset, int64_t now_ms)
{
    for (uint32_t i = 0; i < log->producers.count; i++) {
        const struct producer *producer = &log->producers.items[i];
        if (producer_may_miss_batches(producer) && (producer_last_offset(producer) >= offset ||
                                                    is_recent(now_ms, producer->last_timestamp)))
            return true;
    }
    return false;
}

/* Read a segment from `position` on; the first offset seen. */
static int read_tail(struct log *log, struct segment *segment, int32_t position,
                     int64_t *ret_offset)
{
    struct file_ref *file;
    struct scan scan;
    struct batch batch;
    if (position >= segment_size(segment))
        return 0;
    int err = segment_file(log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    err = scan_init_large(&scan, log->env, file_ref_descriptor(file), position,
                          segment_size(segment));
    while (err == 0 && (err = scan_next(&scan, &batch)) == 0) {
        if (batch.base_offset < *ret_offset)
            *ret_offset = batch.base_offset;
        if (batch.magic == 2 && batch.producer_id >= 0 && !batch_is_control(&batch))
            producers_note_older(&log->producers, &batch);
    }
    scan_close(&scan);
    file_ref_drop(file);
    return err;
}

/* Read the last `bytes` of a segment, from a whole batch on; what is left of them for the segment
 * before. */
static int read_segment_tail(struct log *log, struct segment *segment, int32_t *bytes,
                             int64_t *ret_offset)
{
    int32_t size = segment_size(segment), position = 0;
    int64_t next_offset;
    int err = 0;
    if (size > *bytes)
        err = segment_cut(log, segment, 0, size - *bytes, true, &position, &next_offset);
    *bytes -= size < *bytes ? size : *bytes;
    if (err == 0)
        err = read_tail(log, segment, position, ret_offset);
    /* What is not there cannot be found again. */
    return err == -ENODATA || err == -EBADMSG || err == -ENOENT ? 0 : err;
}

/* The end of the log, and of the segment before the last if that one is small. */
static int read_end(struct log *log, int32_t bytes, int64_t *ret_offset)
{
    int err = 0;
    for (int32_t i = 0; i < 2 && i < log->segment_count && err == 0 && bytes > 0; i++)
        err = read_segment_tail(log, log->segments[log->segment_count - 1 - i], &bytes, ret_offset);
    return err;
}

int log_refill_producers(struct log *log)
{
    int64_t now_ms = env_wall_ms(log->env), offset = log_end_offset(log);
    const struct segment *active = log_active(log);
    bool recent = is_recent(now_ms, active->created_ms);
    if (!recent && log->segment_count > 1 && segment_size(active) == 0)
        recent = is_recent(now_ms, log->segments[log->segment_count - 2]->created_ms);
    if (!recent || !any_missing(log, 0, now_ms))
        return 0;
    int err = read_end(log, FIRST_LOOK_BYTES, &offset);
    if (err == 0 && any_missing(log, offset, now_ms))
        err = read_end(log, PRODUCER_TAIL_BYTES, &offset);
    return err;
}
