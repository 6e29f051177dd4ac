/* One pass over what must be read, from the least offset that indexes, producers or the recovery
 * point ask for. Below the trusted offset only headers are looked at; from there on every checksum.
 *
 * 1. Indexes are taken up at an entry that both indexes cover and whose batch stands where it says;
 *    everything after it is built anew, by the rule that appending uses.
 * 2. The first batch that is not whole and sound ends the log, and so does a segment that does not
 *    begin where the one before ended: its tail was lost, unless a cleaner may have worked there.
 * If records below the trusted offset are missing then, that is not a crash's doing: refuse. */
#include "log/recovery.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

/* A larger distance between segments is a real gap, see roll_if_needed. */
#define LOST_TAIL_MAX (1 << 30)

/* Where reading of segment i must begin; its size if it need not be read. */
static int read_start(struct recovery *recovery, int32_t i, int32_t *ret_position)
{
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = recovery_segment(recovery, i);
    int64_t snapshot = recovery->snapshot_offset;
    struct segment_place place;
    *ret_position = scan->rebuild ? scan->from : scan->valid_size;
    if (recovery->epochs_rebuild || scan->rebuild_txns ||
        (snapshot < recovery_next_base(recovery, i) && snapshot <= segment->base_offset))
        *ret_position = 0;
    if (*ret_position == 0 || snapshot >= recovery_next_base(recovery, i))
        return 0;
    int err = segment_find(recovery->log, segment, snapshot, true, &place);
    if (err == 0 && place.position < *ret_position)
        *ret_position = place.position;
    if (err == -EBADMSG)
        *ret_position = 0;
    return err == -ENODATA || err == -EBADMSG ? 0 : err;
}

static int note_producer(struct recovery *recovery, struct segment_scan *result, struct scan *scan,
                         struct batch *batch)
{
    struct completed_txn completed;
    bool ended;
    int err = log_replay_batch(recovery->log, scan, batch, &completed, &ended);
    if (err < 0 || !ended || !completed.aborted ||
        (!result->rebuild_txns && completed.last_offset < recovery->trusted))
        return err;
    struct aborted_entry entry = {completed.producer_id, completed.first_offset,
                                  completed.last_offset, completed.last_stable_offset};
    uint8_t *at = writer_add(&result->txns, TXN_ENTRY_SIZE);
    if (!at)
        return -ENOMEM;
    txn_entry_encode(&entry, at);
    return 0;
}

static int note_epoch(struct recovery *recovery, const struct batch *batch)
{
    struct log *log = recovery->log;
    if (batch->magic < 2 || batch->leader_epoch <= epochs_latest(&log->epochs))
        return 0;
    int err = epochs_reserve(&log->epochs, 1);
    if (err == 0)
        log->epochs_dirty |= epochs_assign(&log->epochs, batch->leader_epoch, batch->base_offset);
    return err;
}

static void write_entry(struct writer *out, enum index_kind kind, struct index_entry entry)
{
    if (kind == INDEX_OFFSET)
        write_int32(out, (int32_t)entry.key);
    else
        write_int64(out, entry.key);
    write_int32(out, entry.value);
}

static void add_entry(struct segment_scan *result, enum index_kind kind, struct index_entry entry)
{
    write_entry(&result->entries[kind], kind, entry);
    result->last[kind] = entry;
}

void recovery_close_times(struct segment_scan *result, const struct segment *segment)
{
    if (segment->max_timestamp > result->last[INDEX_TIME].key)
        add_entry(
            result, INDEX_TIME,
            (struct index_entry){segment->max_timestamp,
                                 (int32_t)(segment->max_timestamp_offset - segment->base_offset)});
}

/* Build index entries as segment_index_batch does. */
static void note_index(struct recovery *recovery, struct segment_scan *result,
                       struct segment *segment, const struct batch *batch, int32_t position)
{
    int64_t last_offset = batch_last_offset(batch);
    if (position < result->from)
        return;
    if (batch->max_timestamp > segment->max_timestamp) {
        segment->max_timestamp = batch->max_timestamp;
        segment->max_timestamp_offset = last_offset;
    }
    if (position > result->from &&
        segment->bytes_since_index > recovery->log->settings.index_interval_bytes) {
        recovery_close_times(result, segment);
        add_entry(result, INDEX_OFFSET,
                  (struct index_entry){last_offset - segment->base_offset, position});
        segment->bytes_since_index = 0;
    }
    if (segment->bytes_since_index <= INT32_MAX - batch->size)
        segment->bytes_since_index += batch->size;
}

/* 0 for a sound batch; -EBADMSG: the log ends before it. */
static int note_batch(struct recovery *recovery, struct segment_scan *result,
                      struct segment *segment, struct scan *scan, struct batch *batch)
{
    int err = 0;
    int64_t last_offset = batch_last_offset(batch);
    if (last_offset - segment->base_offset > INT32_MAX)
        return -EBADMSG;
    if (!recovery->clean && last_offset >= recovery->trusted) {
        err = scan_check(scan, batch);
        recovery->recovered_bytes += batch->size;
    }
    if (err == 0 && batch->magic == 2 && batch->producer_id >= 0 &&
        batch->base_offset >= recovery->snapshot_offset)
        err = note_producer(recovery, result, scan, batch);
    if (err == 0)
        err = note_epoch(recovery, batch);
    if (err == 0 && result->rebuild)
        note_index(recovery, result, segment, batch, (int32_t)(scan->position - batch->size));
    result->end_offset = last_offset + 1;
    return err;
}

static int walk(struct recovery *recovery, struct segment_scan *result, struct segment *segment,
                int file, int32_t start)
{
    struct scan scan;
    struct batch batch;
    int64_t end_offset = segment->base_offset;
    int err = scan_init_large(&scan, recovery->log->env, file, start, result->size);
    if (err < 0)
        return err;
    scan.least_offset = segment->base_offset;
    result->valid_size = start;
    while ((err = scan_next(&scan, &batch)) == 0) {
        if (start == 0 && result->valid_size == 0)
            segment->first_timestamp = batch.max_timestamp;
        err = note_batch(recovery, result, segment, &scan, &batch);
        if (err < 0)
            break;
        result->valid_size = (int32_t)scan.position;
        end_offset = result->end_offset;
    }
    result->end_offset = end_offset;
    scan_close(&scan);
    return err;
}

/* The timestamp that rolling by time counts from, when the walk did not pass the front. */
static int load_first_timestamp(struct recovery *recovery, struct segment *segment)
{
    struct segment_place place;
    int err = segment_find_from(recovery->log, segment, 0, INT64_MIN, true, &place);
    if (err == 0)
        segment->first_timestamp = place.batch.max_timestamp;
    return err == -ENODATA ? 0 : err == -EBADMSG ? -EUCLEAN : err;
}

static int read_segment(struct recovery *recovery, int32_t i, bool *ret_ends_here)
{
    struct segment_scan *result = &recovery->scans[i];
    struct segment *segment = recovery_segment(recovery, i);
    struct file_ref *file;
    int32_t start;
    bool last = recovery_next_base(recovery, i) == INT64_MAX;
    int err = read_start(recovery, i, &start);
    if (err < 0 || (start >= result->size && !last && !result->rebuild))
        return err;

    result->read = true;
    if (result->rebuild) {
        segment->timestamps_known = true;
        segment->max_timestamp = result->kept[INDEX_TIME] ? result->last[INDEX_TIME].key : -1;
        segment->max_timestamp_offset = segment->base_offset + result->last[INDEX_TIME].value;
        segment->bytes_since_index = 0;
    }
    err = segment_file(recovery->log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    err = walk(recovery, result, segment, file_ref_descriptor(file), start);
    file_ref_drop(file);
    if (err != -ENODATA && err != -EBADMSG)
        return err;
    *ret_ends_here = err == -EBADMSG;
    return start > 0 ? load_first_timestamp(recovery, segment) : 0;
}

/* Between segment i and the next one there are offsets without records. */
static int check_gap(struct recovery *recovery, bool *ret_ends_here)
{
    bool kafkas = false;
    recovery->gaps |= recovery->gaps_stand;
    if (recovery->gaps_stand)
        return 0;
    int err = recovery->log->settings.cleanup_compact ? recovery_was_kafkas(recovery, &kafkas) : 0;
    *ret_ends_here = true;
    return err < 0 ? err : kafkas ? -ESTALE : 0;
}

/* Whether what segment i holds fits what is known of it and of the next one. */
static int check_segment(struct recovery *recovery, int32_t i, bool *ret_ends_here)
{
    const struct segment_scan *result = &recovery->scans[i];
    int64_t next = recovery_next_base(recovery, i), trusted = recovery->trusted;
    if (!result->read)
        return 0;
    if (*ret_ends_here && result->end_offset < trusted)
        return -EUCLEAN;
    if (next == INT64_MAX)
        return !recovery->clean && result->end_offset < trusted ? -EUCLEAN : 0;
    if (recovery->clean || next <= trusted)
        return result->end_offset > next ? -EUCLEAN : 0;
    if (!*ret_ends_here && result->end_offset < next && next - result->end_offset < LOST_TAIL_MAX) {
        int err = check_gap(recovery, ret_ends_here);
        if (err < 0)
            return err;
    }
    *ret_ends_here |= result->end_offset > next;
    return *ret_ends_here && result->end_offset < trusted ? -EUCLEAN : 0;
}

int recovery_scan(struct recovery *recovery)
{
    int32_t count = recovery->folder->segment_count;
    bool ends_here = false;
    int err = 0;
    recovery->count = count;
    recovery->scans = calloc((size_t)count + 1, sizeof *recovery->scans);
    if (!recovery->scans)
        return -ENOMEM;
    err = recovery_plan(recovery);
    for (int32_t i = 0; i < count && err == 0 && !ends_here; i++) {
        err = read_segment(recovery, i, &ends_here);
        if (err == 0)
            err = check_segment(recovery, i, &ends_here);
        if (ends_here)
            recovery->count = i + 1;
    }
    /* After a clean stop nothing may be newer than the log's end. */
    if (err == 0 && count > 0 && recovery->clean &&
        recovery->snapshot_offset > recovery->scans[count - 1].end_offset)
        err = -EUCLEAN;
    for (int32_t i = 0; i < count; i++)
        if (i >= recovery->count)
            recovery->dropped_bytes += recovery->scans[i].size;
        else
            recovery->dropped_bytes += recovery->scans[i].size - recovery->scans[i].valid_size;
    return err;
}

void recovery_close(struct recovery *recovery)
{
    for (int32_t i = 0; recovery->scans && i < recovery->folder->segment_count; i++) {
        for (int kind = 0; kind < INDEX_KINDS; kind++)
            writer_close(&recovery->scans[i].entries[kind]);
        writer_close(&recovery->scans[i].txns);
    }
    free(recovery->scans);
    recovery->scans = NULL;
}
