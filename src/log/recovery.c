/* One pass over what must be read, from the least offset that indexes, producers or the recovery
 * point ask for. Below the trusted offset only headers are looked at; from there on every checksum.
 *
 * 1. Indexes are taken up at an entry that both indexes cover and whose batch stands where it says;
 *    everything after it is built anew, by the rule that appending uses.
 * 2. The first batch that is not whole and sound ends the log, and so does a segment that does not
 *    begin where the one before ended: its tail was lost. If records below the trusted offset are
 *    missing then, that is not a crash's doing: refuse. */
#include "log/recovery.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

/* A larger distance between segments is a real gap, see roll_if_needed. */
#define LOST_TAIL_MAX (1 << 30)

static struct segment *segment_at(const struct recovery *recovery, int32_t i)
{
    return recovery->log->segments[i];
}

/* The offset that the segment after number i begins with; INT64_MAX for the last. */
static int64_t next_base(const struct recovery *recovery, int32_t i)
{
    return i + 1 < recovery->folder->segment_count ? segment_at(recovery, i + 1)->base_offset
                                                   : INT64_MAX;
}

static int file_size(struct log *log, struct segment *segment, enum segment_file kind,
                     int64_t *ret_size)
{
    char path[LOG_PATH_MAX];
    struct env_stat stat;
    *ret_size = -1;
    if (!segment_has(segment, kind))
        return 0;
    int err = segment_path(path, log->dir, segment->base_offset, kind, "");
    if (err == 0)
        err = env_stat(log->env, path, &stat);
    if (err == 0)
        *ret_size = stat.size_bytes;
    if (err == 0 && kind == SEGMENT_LOG)
        segment->created_ms = stat.modified_ms;
    return err;
}

/* Entries of an index file that make sense, counted one by one. */
static int count_entries(struct recovery *recovery, int32_t i, enum index_kind kind, int64_t size,
                         int32_t *ret_count)
{
    struct segment *segment = segment_at(recovery, i);
    struct file_ref *file;
    int64_t last = next_base(recovery, i) - 1 - segment->base_offset;
    int err = segment_file(recovery->log, segment, index_file_kind(kind), &file);
    if (err < 0)
        return err;
    struct index_file in = {recovery->log->env, file_ref_descriptor(file), kind, 0, true};
    err = index_check_file(&in, size, last < INT32_MAX ? last : INT32_MAX,
                           recovery->scans[i].size - 1, ret_count);
    file_ref_drop(file);
    return err;
}

/* Set the number of entries kept and read the last of them. */
static int keep_entries(struct recovery *recovery, int32_t i, enum index_kind kind, int32_t count)
{
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = segment_at(recovery, i);
    struct file_ref *file;
    segment->index[kind].written = count;
    scan->kept[kind] = count;
    scan->last[kind] = (struct index_entry){NO_TIMESTAMP, 0};
    if (count == 0)
        return 0;
    int err = segment_file(recovery->log, segment, index_file_kind(kind), &file);
    if (err < 0)
        return err;
    struct index_file in = {recovery->log->env, file_ref_descriptor(file), kind, count, true};
    err = index_read_entry(&in, count - 1, &scan->last[kind]);
    file_ref_drop(file);
    return err;
}

static int keep_none(struct recovery *recovery, int32_t i)
{
    struct segment_scan *scan = &recovery->scans[i];
    scan->from = 0;
    (void)keep_entries(recovery, i, INDEX_OFFSET, 0);
    return keep_entries(recovery, i, INDEX_TIME, 0);
}

/* Whether the last kept entries are believable: the batch stands where the .index says. */
static int check_kept(struct recovery *recovery, int32_t i, bool *ret_ok)
{
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = segment_at(recovery, i);
    struct segment_place place;
    const struct index_entry *last = &scan->last[INDEX_OFFSET];
    *ret_ok = true;
    if (scan->kept[INDEX_OFFSET] == 0)
        return 0;
    int err = last->value <= 0 || last->value >= scan->size || last->key < 0
                  ? -EBADMSG
                  : segment_find_from(recovery->log, segment, last->value, INT64_MIN, true, &place);
    if (err == 0 && batch_last_offset(&place.batch) != segment->base_offset + last->key)
        err = -EBADMSG;
    if (err == -EBADMSG || err == -ENODATA) {
        *ret_ok = false;
        return 0;
    }
    return err;
}

/* The last entry of the first `count` whose column is <= target; its number, -1 without one. */
static int find_floor(struct recovery *recovery, int32_t i, enum index_kind kind, int32_t count,
                      enum index_by by, int64_t target, int32_t *ret_number)
{
    struct file_ref *file;
    struct index_entry entry;
    *ret_number = -1;
    if (count == 0)
        return 0;
    int err = segment_file(recovery->log, segment_at(recovery, i), index_file_kind(kind), &file);
    if (err < 0)
        return err;
    struct index_file in = {recovery->log->env, file_ref_descriptor(file), kind, count, true};
    err = index_search_file(&in, by, target, ret_number, &entry);
    file_ref_drop(file);
    return err;
}

/* Take the indexes up at the last entry that is below the trusted offset and that the .timeindex
 * covers as well: an .index that is ahead of it would hide timestamps. */
static int take_up_indexes(struct recovery *recovery, int32_t i, int64_t sizes[INDEX_KINDS])
{
    struct segment_scan *scan = &recovery->scans[i];
    int64_t target = recovery->trusted - segment_at(recovery, i)->base_offset;
    int32_t counts[INDEX_KINDS], number;
    bool ok;
    int err = 0;
    for (int kind = 0; kind < INDEX_KINDS && err == 0; kind++)
        err = count_entries(recovery, i, (enum index_kind)kind, sizes[kind], &counts[kind]);
    if (err == 0)
        err = keep_entries(recovery, i, INDEX_TIME, counts[INDEX_TIME]);
    if (err < 0)
        return err;
    if (counts[INDEX_TIME] == 0)
        return keep_none(recovery, i);
    if (target > scan->last[INDEX_TIME].value)
        target = scan->last[INDEX_TIME].value;

    err =
        find_floor(recovery, i, INDEX_OFFSET, counts[INDEX_OFFSET], INDEX_BY_KEY, target, &number);
    if (err == 0)
        err = keep_entries(recovery, i, INDEX_OFFSET, number + 1);
    if (err == 0)
        err = find_floor(recovery, i, INDEX_TIME, counts[INDEX_TIME], INDEX_BY_VALUE,
                         number < 0 ? -1 : scan->last[INDEX_OFFSET].key, &number);
    if (err == 0)
        err = keep_entries(recovery, i, INDEX_TIME, number + 1);
    if (err == 0)
        err = check_kept(recovery, i, &ok);
    if (err < 0)
        return err;
    if (!ok)
        return keep_none(recovery, i);
    scan->from = scan->kept[INDEX_OFFSET] ? scan->last[INDEX_OFFSET].value : 0;
    return 0;
}

/* A closed segment with timestamps has at least the closing entry in its .timeindex. */
static int time_index_missing(struct recovery *recovery, int32_t i, bool *ret_missing)
{
    struct segment_place place;
    *ret_missing = false;
    if (recovery->scans[i].size == 0)
        return 0;
    int err = segment_find_from(recovery->log, segment_at(recovery, i), 0, INT64_MIN, true, &place);
    if (err == 0)
        *ret_missing = place.batch.max_timestamp >= 0;
    return err == -ENODATA || err == -EBADMSG ? 0 : err;
}

/* Decide what of the indexes is kept. Closed segments below the trusted offset are believed when
 * the files are there and whole: what an entry says is checked whenever it is used. */
static int plan_indexes(struct recovery *recovery, int32_t i)
{
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = segment_at(recovery, i);
    int64_t sizes[INDEX_KINDS];
    bool whole = true, ok = false;
    bool last = next_base(recovery, i) == INT64_MAX;
    bool unsure = !recovery->clean && next_base(recovery, i) > recovery->trusted;
    int err = 0;
    for (int kind = 0; kind < INDEX_KINDS && err == 0; kind++) {
        int32_t entry_size = index_entry_size((enum index_kind)kind);
        err =
            file_size(recovery->log, segment, index_file_kind((enum index_kind)kind), &sizes[kind]);
        if (sizes[kind] < 0 || sizes[kind] % entry_size != 0 ||
            sizes[kind] / entry_size > INT32_MAX)
            whole = false;
    }
    if (err == 0 && whole && !last && sizes[INDEX_TIME] == 0) {
        err = time_index_missing(recovery, i, &ok);
        whole = !ok;
        ok = false;
    }
    if (err < 0)
        return err;
    scan->rebuild = unsure || last;
    if (whole && !unsure) {
        for (int kind = 0; kind < INDEX_KINDS && err == 0; kind++) {
            int32_t count = (int32_t)(sizes[kind] / index_entry_size((enum index_kind)kind));
            if (last)
                err = keep_entries(recovery, i, (enum index_kind)kind, count);
            else
                segment->index[kind].written = scan->kept[kind] = count;
        }
        if (err == 0 && last)
            err = check_kept(recovery, i, &ok);
        scan->from = last && ok && scan->kept[INDEX_OFFSET] ? scan->last[INDEX_OFFSET].value : 0;
        if (err < 0 || ok || !last)
            return err;
    }
    scan->rebuild = true;
    if (sizes[INDEX_OFFSET] < 0 || sizes[INDEX_TIME] < 0)
        err = keep_none(recovery, i);
    else
        err = take_up_indexes(recovery, i, sizes);
    if (!unsure && scan->size > 0)
        recovery->indexes_rebuilt++;
    return err;
}

/* Entries of .txnindex to keep: those of markers below the trusted offset. */
static int plan_txns(struct recovery *recovery, int32_t i)
{
    uint8_t data[TXN_ENTRY_SIZE];
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = segment_at(recovery, i);
    struct aborted_entry entry;
    struct file_ref *file;
    int64_t size, previous = segment->base_offset - 1;
    int err = file_size(recovery->log, segment, SEGMENT_TXNINDEX, &size);
    if (err < 0 || size <= 0)
        return err;
    err = segment_file(recovery->log, segment, SEGMENT_TXNINDEX, &file);
    if (err < 0)
        return err;
    int64_t count = size / TXN_ENTRY_SIZE, at = 0;
    for (; at < count; at++) {
        err = env_read_all(recovery->log->env, file_ref_descriptor(file), data, sizeof data,
                           at * TXN_ENTRY_SIZE);
        if (err < 0)
            break;
        if (txn_entry_decode(data, &entry) < 0 || entry.last_offset <= previous ||
            entry.last_offset >= next_base(recovery, i) || entry.first_offset > entry.last_offset ||
            entry.first_offset < 0)
            scan->rebuild_txns = previous < recovery->trusted;
        else
            previous = entry.last_offset;
        if (scan->rebuild_txns || previous >= recovery->trusted || previous != entry.last_offset)
            break;
    }
    file_ref_drop(file);
    /* A damaged entry among those that were known good makes all of them worthless. */
    if (at == count && size % TXN_ENTRY_SIZE != 0 && recovery->clean)
        scan->rebuild_txns = true;
    scan->kept_txns = scan->rebuild_txns ? 0 : (int32_t)at;
    segment->txn_entries = scan->kept_txns;
    recovery->indexes_rebuilt += scan->rebuild_txns;
    return err;
}

static int plan_segment(struct recovery *recovery, int32_t i)
{
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = segment_at(recovery, i);
    int err = file_size(recovery->log, segment, SEGMENT_LOG, &scan->size);
    if (err < 0)
        return err;
    if (scan->size > INT32_MAX)
        return -EUCLEAN;
    scan->valid_size = (int32_t)scan->size;
    scan->end_offset = next_base(recovery, i);
    atomic_store_explicit(&segment->size_bytes, scan->valid_size, memory_order_relaxed);
    err = plan_indexes(recovery, i);
    return err < 0 ? err : plan_txns(recovery, i);
}

/* The newest sound snapshot at or below the trusted offset, and not above a segment whose aborted
 * transactions must be found again. */
static int choose_snapshot(struct recovery *recovery)
{
    int64_t limit = recovery->trusted;
    /* Retention may have passed the recovery point; it saw to the snapshot where the log begins. */
    if (recovery->folder->segment_count > 0 && segment_at(recovery, 0)->base_offset > limit)
        limit = segment_at(recovery, 0)->base_offset;
    for (int32_t i = 0; i < recovery->folder->segment_count; i++)
        if (recovery->scans[i].rebuild_txns && segment_at(recovery, i)->base_offset < limit)
            limit = segment_at(recovery, i)->base_offset;
    recovery->snapshot_offset = -1;
    for (int32_t i = recovery->folder->snapshot_count - 1; i >= 0; i--) {
        int64_t offset = recovery->folder->snapshots[i];
        if (offset > limit)
            continue;
        int err = log_load_snapshot(recovery->log, offset);
        if (err == 0) {
            recovery->snapshot_offset = offset;
            return 0;
        }
        if (err != -EBADMSG)
            return err;
        say_warn(recovery->log->say, "a producer snapshot is damaged, reading the log instead",
                 kv_text("log", recovery->log->name), kv_int("offset", offset));
    }
    return 0;
}

/* Where reading of segment i must begin; its size if it need not be read. */
static int read_start(struct recovery *recovery, int32_t i, int32_t *ret_position)
{
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = segment_at(recovery, i);
    int64_t snapshot = recovery->snapshot_offset;
    struct segment_place place;
    *ret_position = scan->rebuild ? scan->from : scan->valid_size;
    if (recovery->epochs_rebuild || scan->rebuild_txns ||
        (snapshot < next_base(recovery, i) && snapshot <= segment->base_offset))
        *ret_position = 0;
    if (*ret_position == 0 || snapshot >= next_base(recovery, i))
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

static void add_time_entry(struct segment_scan *result, const struct segment *segment)
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
        add_time_entry(result, segment);
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
    struct segment *segment = segment_at(recovery, i);
    struct file_ref *file;
    int32_t start;
    bool last = next_base(recovery, i) == INT64_MAX;
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

/* Whether what segment i holds fits what is known of it and of the next one. */
static int check_segment(struct recovery *recovery, int32_t i, bool *ret_ends_here)
{
    const struct segment_scan *result = &recovery->scans[i];
    int64_t next = next_base(recovery, i), trusted = recovery->trusted;
    if (!result->read)
        return 0;
    if (*ret_ends_here && result->end_offset < trusted)
        return -EUCLEAN;
    if (next == INT64_MAX)
        return !recovery->clean && result->end_offset < trusted ? -EUCLEAN : 0;
    if (recovery->clean || next <= trusted)
        return result->end_offset > next ? -EUCLEAN : 0;
    bool lost_tail = result->end_offset > next || next - result->end_offset < LOST_TAIL_MAX;
    if (result->end_offset != next && lost_tail) {
        *ret_ends_here = true;
        if (result->end_offset < trusted)
            return -EUCLEAN;
    }
    return 0;
}

/* An empty epoch file beside batches that have epochs is no epoch file. */
static int check_epochs(struct recovery *recovery)
{
    struct segment_place place;
    int err = -ENODATA;
    if (recovery->log->epochs.count > 0)
        return 0;
    for (int32_t i = 0; i < recovery->folder->segment_count && err == -ENODATA; i++)
        err = segment_find_from(recovery->log, segment_at(recovery, i), 0, INT64_MIN, true, &place);
    if (err == 0)
        recovery->epochs_rebuild = place.batch.magic >= 2 && place.batch.leader_epoch >= 0;
    return err == -ENODATA || err == -EBADMSG ? 0 : err;
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
    for (int32_t i = 0; i < count && err == 0; i++)
        err = plan_segment(recovery, i);
    if (err == 0)
        err = check_epochs(recovery);
    if (err == 0)
        err = choose_snapshot(recovery);
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

static int remove_segment_files(struct recovery *recovery, int32_t i)
{
    char path[LOG_PATH_MAX];
    struct log *log = recovery->log;
    /* The .log goes last: indexes without it are waste that the next start removes. */
    for (int kind = SEGMENT_OWN_FILES - 1; kind >= 0; kind--) {
        int err = segment_path(path, log->dir, segment_at(recovery, i)->base_offset,
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
    struct segment *segment = segment_at(recovery, i);
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
    int err = file_size(log, segment, kind, &size);
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
    struct segment *segment = segment_at(recovery, i);
    bool closed = i + 1 < recovery->count;
    int err = cut_log(recovery, i);
    if (scan->rebuild && closed)
        add_time_entry(scan, segment);
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
