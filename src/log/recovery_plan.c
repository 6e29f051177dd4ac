/* Before a segment is read: which of the entries beside it are kept, and from which snapshot on
 * producers are replayed. Nothing on disk is changed here. */
#include "log/recovery.h"

#include <errno.h>

#define PREALLOCATED_MIN_BYTES 65536

int recovery_file_size(struct log *log, struct segment *segment, enum segment_file kind,
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

/* Its active segments have offset indexes of segment.index.bytes, zeroes behind the entries, until
 * they are closed; ours have what was written. Small ones may be torn ones of ours. */
int recovery_was_kafkas(struct recovery *recovery, bool *ret_was)
{
    int32_t count = recovery->folder->segment_count;
    struct segment *segment = recovery_segment(recovery, count - 1);
    struct index_entry last;
    struct file_ref *file;
    int64_t size;
    int err = recovery_file_size(recovery->log, segment, SEGMENT_INDEX, &size);
    if (err < 0 || size < PREALLOCATED_MIN_BYTES || size > INT32_MAX)
        return err;
    err = segment_file(recovery->log, segment, SEGMENT_INDEX, &file);
    if (err < 0)
        return err;
    struct index_file in = {recovery->log->env, file_ref_descriptor(file), INDEX_OFFSET,
                            (int32_t)size / index_entry_size(INDEX_OFFSET), true};
    err = index_read_entry(&in, in.count - 1, &last);
    file_ref_drop(file);
    if (err == 0)
        *ret_was = last.key == 0 && last.value == 0;
    return err;
}

/* Entries of an index file that make sense, counted one by one. */
static int count_entries(struct recovery *recovery, int32_t i, enum index_kind kind, int64_t size,
                         int32_t *ret_count)
{
    struct segment *segment = recovery_segment(recovery, i);
    struct file_ref *file;
    int64_t last = recovery_next_base(recovery, i) - 1 - segment->base_offset;
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
    struct segment *segment = recovery_segment(recovery, i);
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
    struct segment *segment = recovery_segment(recovery, i);
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
    int err =
        segment_file(recovery->log, recovery_segment(recovery, i), index_file_kind(kind), &file);
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
    int64_t target = recovery->trusted - recovery_segment(recovery, i)->base_offset;
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
    int err =
        segment_find_from(recovery->log, recovery_segment(recovery, i), 0, INT64_MIN, true, &place);
    if (err == 0)
        *ret_missing = place.batch.max_timestamp >= 0;
    return err == -ENODATA || err == -EBADMSG ? 0 : err;
}

/* Decide what of the indexes is kept. Closed segments below the trusted offset are believed when
 * the files are there and whole: what an entry says is checked whenever it is used. */
static int plan_indexes(struct recovery *recovery, int32_t i)
{
    struct segment_scan *scan = &recovery->scans[i];
    struct segment *segment = recovery_segment(recovery, i);
    int64_t sizes[INDEX_KINDS];
    bool whole = true, ok = false;
    bool last = recovery_next_base(recovery, i) == INT64_MAX;
    bool unsure = !recovery->clean && recovery_next_base(recovery, i) > recovery->trusted;
    int err = 0;
    for (int kind = 0; kind < INDEX_KINDS && err == 0; kind++) {
        int32_t entry_size = index_entry_size((enum index_kind)kind);
        err = recovery_file_size(recovery->log, segment, index_file_kind((enum index_kind)kind),
                                 &sizes[kind]);
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
    struct segment *segment = recovery_segment(recovery, i);
    struct aborted_entry entry;
    struct file_ref *file;
    int64_t size, previous = segment->base_offset - 1;
    int err = recovery_file_size(recovery->log, segment, SEGMENT_TXNINDEX, &size);
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
            entry.last_offset >= recovery_next_base(recovery, i) ||
            entry.first_offset > entry.last_offset || entry.first_offset < 0)
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
    struct segment *segment = recovery_segment(recovery, i);
    int err = recovery_file_size(recovery->log, segment, SEGMENT_LOG, &scan->size);
    if (err < 0)
        return err;
    if (scan->size > INT32_MAX)
        return -EUCLEAN;
    scan->valid_size = (int32_t)scan->size;
    scan->end_offset = recovery_next_base(recovery, i);
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
    if (recovery->folder->segment_count > 0 && recovery_segment(recovery, 0)->base_offset > limit)
        limit = recovery_segment(recovery, 0)->base_offset;
    for (int32_t i = 0; i < recovery->folder->segment_count; i++)
        if (recovery->scans[i].rebuild_txns && recovery_segment(recovery, i)->base_offset < limit)
            limit = recovery_segment(recovery, i)->base_offset;
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

/* An empty epoch file beside batches that have epochs is no epoch file. */
static int check_epochs(struct recovery *recovery)
{
    struct segment_place place;
    int err = -ENODATA;
    if (recovery->log->epochs.count > 0)
        return 0;
    for (int32_t i = 0; i < recovery->folder->segment_count && err == -ENODATA; i++)
        err = segment_find_from(recovery->log, recovery_segment(recovery, i), 0, INT64_MIN, true,
                                &place);
    if (err == 0)
        recovery->epochs_rebuild = place.batch.magic >= 2 && place.batch.leader_epoch >= 0;
    return err == -ENODATA || err == -EBADMSG ? 0 : err;
}

int recovery_plan(struct recovery *recovery)
{
    int err = 0;
    for (int32_t i = 0; i < recovery->folder->segment_count && err == 0; i++)
        err = plan_segment(recovery, i);
    if (err == 0)
        err = check_epochs(recovery);
    return err < 0 ? err : choose_snapshot(recovery);
}
