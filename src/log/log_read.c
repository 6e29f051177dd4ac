/* Reading: from an offset to a range of bytes in one segment file.
 *
 * Bytes below a bound that was published never move, but truncation may take them away, and a
 * cleaned segment may take their segment's place: places of an older file epoch are looked up
 * again. The segment that a reading holds stays as it is, replaced or not, so one reading sees
 * either the old batches or the new. What is found is checked against the segment's published size,
 * so a race with truncation gives an error or an empty span, never bytes beyond the end. */
#include <errno.h>

#include "base/errors.h"
#include "base/must.h"
#include "log/log_internal.h"

struct reading {
    struct log *log;
    const struct log_read_params *params;
    struct segment *segment; /* referenced */
    int64_t next_base;       /* of the segment after it, -1: it was the last */
    int32_t start, limit;
    uint32_t file_epoch; /* when the reading began: what it finds is of that epoch at best */
    uint32_t cut_epoch;
};

/* Whether the place was not cut away since. */
static bool place_known(const struct reading *reading, const struct log_position *position)
{
    return position->segment_base >= 0 && position->file_epoch >= reading->cut_epoch;
}

/* Whether it is a place in the current segment, and not in one that this has replaced. */
static bool place_here(const struct reading *reading, const struct log_position *position)
{
    return place_known(reading, position) &&
           position->segment_base == reading->segment->base_offset &&
           position->file_epoch >= reading->segment->since_epoch;
}

static struct log_position place(const struct reading *reading, int64_t offset,
                                 int64_t segment_base, int32_t position)
{
    return (struct log_position){offset, segment_base, position, reading->file_epoch};
}

static void reading_move(struct reading *reading, int64_t offset)
{
    segment_unref(reading->log, reading->segment);
    reading->segment = log_segment_for(reading->log, offset, &reading->next_base);
}

/* Where the bound lies in the current segment. */
static int find_limit(struct reading *reading)
{
    const struct log_position *bound = &reading->params->bound;
    const struct segment *segment = reading->segment;
    int32_t size = segment_size(segment);
    reading->limit = size;
    if (reading->next_base >= 0 && bound->offset >= reading->next_base)
        return 0;
    if (place_here(reading, bound)) {
        reading->limit = bound->position < size ? bound->position : size;
        return 0;
    }
    if (bound->offset >= log_end_offset(reading->log))
        return 0;
    struct segment_place found;
    int err = segment_find(reading->log, reading->segment, bound->offset,
                           reading->params->may_block, &found);
    if (err == 0)
        reading->limit = found.position;
    return err == -ENODATA ? 0 : err;
}

/* Where the asked offset lies. -ENODATA: not in this segment. */
static int find_start(struct reading *reading)
{
    const struct log_position *hint = reading->params->hint;
    struct segment_place found;
    if (hint && hint->offset == reading->params->offset && place_here(reading, hint)) {
        reading->start = hint->position;
        return hint->position < segment_size(reading->segment) ? 0 : -ENODATA;
    }
    int err = segment_find(reading->log, reading->segment, reading->params->offset,
                           reading->params->may_block, &found);
    if (err == 0)
        reading->start = found.position;
    return err;
}

/* Find the segment, and the place in it, that the first bytes come from. A hint at the end of a
 * segment, and gaps that compaction leaves, lead on to the next one. */
static int reading_begin(struct reading *reading)
{
    const struct log_position *hint = reading->params->hint;
    int64_t offset = reading->params->offset;
    if (hint && hint->offset == offset && place_known(reading, hint))
        offset = hint->segment_base;
    reading_move(reading, offset);
    for (;;) {
        int err = find_start(reading);
        if (err != -ENODATA)
            return err;
        if (reading->next_base < 0)
            return -ENODATA;
        reading_move(reading, reading->next_base);
    }
}

/* Cut the range to whole batches of at most max_bytes. */
static int reading_cut(struct reading *reading, int64_t *ret_next_offset, bool *ret_too_large)
{
    struct segment_place found;
    const struct log_read_params *params = reading->params;
    int32_t start = reading->start, cut;
    int32_t limit = start + (params->max_bytes > 0 ? params->max_bytes : 0);
    int err = segment_cut(reading->log, reading->segment, start, limit, params->may_block, &cut,
                          ret_next_offset);
    if (err < 0)
        return err;
    if (cut > start) {
        reading->limit = cut;
        return 0;
    }
    *ret_too_large = !params->min_one_batch;
    reading->limit = start;
    if (!params->min_one_batch)
        return 0;
    err = segment_find_from(reading->log, reading->segment, start, INT64_MIN, params->may_block,
                            &found);
    if (err == 0) {
        reading->limit = start + found.batch.size;
        *ret_next_offset = batch_last_offset(&found.batch) + 1;
    }
    return err;
}

/* What the read after this one asks for. */
static struct log_position reading_next(const struct reading *reading, bool cut, int64_t cut_next)
{
    const struct log_position *bound = &reading->params->bound;
    int64_t base = reading->segment->base_offset;
    if (cut)
        return place(reading, cut_next, base, reading->limit);
    if (reading->next_base >= 0 && bound->offset >= reading->next_base)
        return place(reading, reading->next_base, reading->next_base, 0);
    return place(reading, bound->offset, base, reading->limit);
}

static int reading_span(struct reading *reading, struct log_span *ret_span)
{
    int64_t cut_next = reading->params->offset;
    bool too_large = false, cut = false;
    int err = find_limit(reading);
    if (err < 0)
        return err;
    if (reading->limit - reading->start > reading->params->max_bytes) {
        cut = true;
        err = reading_cut(reading, &cut_next, &too_large);
        if (err < 0)
            return err;
    }
    struct log_span span = {
        .position = reading->start,
        .segment_base = reading->segment->base_offset,
        .first_batch_cut = too_large,
        .next = reading_next(reading, cut, cut_next),
    };
    if (reading->limit <= reading->start) {
        span.next =
            place(reading, reading->params->offset, reading->segment->base_offset, reading->start);
        *ret_span = span;
        return 0;
    }
    if (span.next.offset <= reading->params->offset)
        return -EBADMSG; /* batches whose offsets go back: whoever follows them would go round */
    span.size = reading->limit - reading->start;
    err = segment_file(reading->log, reading->segment, SEGMENT_LOG, &span.file);
    if (err == 0)
        *ret_span = span;
    return err;
}

int log_read(struct log *log, const struct log_read_params *params, struct log_span *ret_span)
{
    struct reading reading = {.log = log, .params = params, .file_epoch = log_file_epoch(log)};
    reading.cut_epoch = log_cut_epoch(log);
    int64_t offset = params->offset;
    if (offset < log_start_offset(log) || offset > log_end_offset(log))
        return KAFKA_OFFSET_OUT_OF_RANGE;
    if (offset >= params->bound.offset) {
        *ret_span = (struct log_span){.next = {offset, -1, 0, 0}};
        if (offset == params->bound.offset)
            ret_span->next = params->bound;
        return 0;
    }

    int err = reading_begin(&reading);
    if (err == 0)
        err = reading_span(&reading, ret_span);
    segment_unref(log, reading.segment);
    if (err == -ENODATA) {
        /* Nothing at or above the offset: compaction took the end of the last segment. */
        *ret_span = (struct log_span){.next = {offset, -1, 0, 0}};
        return 0;
    }
    /* Retention or truncation may have taken the segment away meanwhile. */
    if (err == -ENOENT && offset < log_start_offset(log))
        return KAFKA_OFFSET_OUT_OF_RANGE;
    return err;
}

void log_span_close(struct log_span *span)
{
    file_ref_drop(span->file);
    span->file = NULL;
    span->size = 0;
}

int log_locate(struct log *log, int64_t offset, bool may_block, struct log_position *ret_position)
{
    uint32_t file_epoch = log_file_epoch(log);
    struct log_position end = log_end(log);
    struct segment_place found;
    if (offset == end.offset) {
        *ret_position = end;
        return 0;
    }
    if (offset < log_start_offset(log) || offset > end.offset)
        return KAFKA_OFFSET_OUT_OF_RANGE;

    int64_t next_base;
    struct segment *segment = log_segment_for(log, offset, &next_base);
    int err = segment_find(log, segment, offset, may_block, &found);
    if (err == -ENODATA) {
        found.position = segment_size(segment);
        err = 0;
    }
    if (err == 0)
        *ret_position =
            (struct log_position){offset, segment->base_offset, found.position, file_epoch};
    segment_unref(log, segment);
    return err;
}

int log_locate_unstable(struct log *log, int64_t offset, struct log_position *ret_position)
{
    struct log_position noted = {offset, -1, 0, 0};
    pthread_mutex_lock(&log->list_lock);
    const struct open_txn *open = producers_open_at(&log->producers, offset);
    if (open)
        noted = (struct log_position){offset, open->segment_base, open->position, open->file_epoch};
    pthread_mutex_unlock(&log->list_lock);
    /* A log that was cut or cleaned since may have it in another place. */
    if (noted.segment_base < 0 || noted.file_epoch != log_file_epoch(log))
        return log_locate(log, offset, false, ret_position);
    *ret_position = noted;
    return 0;
}
