/* Appending: decide, write, take note, publish.
 *
 * 1. Everything that can be refused is decided before the write; nothing after it is undone but the
 *    bytes themselves, by cutting the file back to the published end.
 * 2. Memory for what is noted after the write is reserved before it.
 * 3. The epoch file is written before the first batch of an epoch, so a flush that covers the
 *    batch covers its epoch. */
#include <errno.h>

#include "base/errors.h"
#include "base/must.h"
#include "log/log_internal.h"

/* A snapshot of the producers within a segment bounds what a restart has to read again. */
#define SNAPSHOT_INTERVAL_BYTES (64 * 1024 * 1024)

static bool has_producer(const struct batch *batch)
{
    return batch->magic == 2 && batch->producer_id >= 0;
}

static enum producer_origin producer_origin(enum log_origin origin)
{
    return origin == LOG_ORIGIN_CLIENT        ? PRODUCER_CLIENT
           : origin == LOG_ORIGIN_COORDINATOR ? PRODUCER_COORDINATOR
                                              : PRODUCER_REPLICATION;
}

static int read_marker(const struct batch *batch, struct txn_marker *marker,
                       const struct txn_marker **ret_marker)
{
    *ret_marker = NULL;
    if (!batch_is_control(batch))
        return 0;
    int err = txn_marker_read(batch, marker);
    if (err < 0)
        return err == -EBADMSG ? KAFKA_CORRUPT_MESSAGE : err;
    *ret_marker = marker;
    return 0;
}

/* A batch that would open a transaction needs the word of its coordinator that there is one. */
static int check_verified(const struct log *log, const struct batch *batch,
                          const struct log_append_params *params)
{
    if (!batch_is_transactional(batch) || batch_is_control(batch) ||
        params->origin == LOG_ORIGIN_REPLICATION)
        return 0;
    const struct verification *known = verifications_find(&log->verifications, batch->producer_id);
    if (params->verify &&
        !log_has_open_transaction(log, batch->producer_id, batch->producer_epoch) &&
        (!known || known->token != params->verification))
        return KAFKA_INVALID_TXN_STATE;
    if (!known || params->origin != LOG_ORIGIN_CLIENT)
        return 0;
    bool first = !producers_find(&log->producers, batch->producer_id);
    if ((known->epochs_bump && first && batch->base_sequence != 0) ||
        batch->base_sequence > known->lowest_sequence)
        return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    return 0;
}

int64_t log_verification_begin(struct log *log, int64_t producer_id, int16_t producer_epoch,
                               int32_t sequence, bool epochs_bump)
{
    if (log_has_open_transaction(log, producer_id, producer_epoch))
        return 0;
    return verifications_begin(&log->verifications, producer_id, producer_epoch, sequence,
                               epochs_bump, env_wall_ms(log->env));
}

/* Ask the producer state about every batch. A client sends one batch at a time, so its batches need
 * not be seen in each other's light. */
static int check_producers(struct log *log, const struct validated *records,
                           const struct log_append_params *params,
                           struct producer_batch *ret_original)
{
    for (int32_t i = 0; i < records->batch_count; i++) {
        const struct batch *batch = &records->batches[i];
        struct txn_marker marker;
        const struct txn_marker *end = NULL;
        if (!has_producer(batch))
            continue;
        int err = read_marker(batch, &marker, &end);
        if (err == 0)
            err = producers_check(&log->producers, batch, end, producer_origin(params->origin),
                                  params->transaction_version, ret_original);
        if (err == 0)
            err = check_verified(log, batch, params);
        if (err)
            return err;
    }
    return 0;
}

static void assign_offsets(struct validated *records, int64_t next_offset, int32_t leader_epoch)
{
    for (int32_t i = 0; i < records->batch_count; i++) {
        struct batch *batch = &records->batches[i];
        batch_set_position(batch, (uint8_t *)batch->data, next_offset, leader_epoch);
        next_offset = batch_last_offset(batch) + 1;
    }
}

/* Offsets that came with the batches must go on from the log end. */
static int check_offsets(const struct validated *records, int64_t end_offset)
{
    int64_t least = end_offset;
    for (int32_t i = 0; i < records->batch_count; i++) {
        const struct batch *batch = &records->batches[i];
        if (batch->base_offset < least)
            return i == 0 ? KAFKA_OFFSET_OUT_OF_RANGE : KAFKA_INVALID_RECORD;
        if (batch->last_offset_delta < 0 ||
            batch->base_offset > INT64_MAX - 1 - batch->last_offset_delta)
            return KAFKA_INVALID_RECORD;
        least = batch_last_offset(batch) + 1;
    }
    return 0;
}

static int reserve(struct log *log, const struct validated *records)
{
    uint32_t with_producer = 0;
    int32_t epochs = 0, last_epoch = epochs_latest(&log->epochs);
    for (int32_t i = 0; i < records->batch_count; i++) {
        const struct batch *batch = &records->batches[i];
        with_producer += has_producer(batch);
        epochs += batch->leader_epoch != last_epoch;
        last_epoch = batch->leader_epoch;
    }
    int err = 0;
    if (epochs || with_producer) {
        pthread_mutex_lock(&log->list_lock);
        if (epochs)
            err = epochs_reserve(&log->epochs, epochs);
        if (err == 0 && with_producer)
            err = producers_reserve(&log->producers, with_producer);
        pthread_mutex_unlock(&log->list_lock);
    }
    return err;
}

static int64_t wait_for_roll(const struct segment *segment, int64_t now_ms, int64_t timestamp)
{
    return segment->first_timestamp >= 0 ? timestamp - segment->first_timestamp
                                         : now_ms - segment->created_ms;
}

static bool index_full(const struct log *log, const struct segment *segment)
{
    int32_t bytes = log->settings.segment_index_bytes;
    return index_count(&segment->index[INDEX_OFFSET]) >= bytes / index_entry_size(INDEX_OFFSET) ||
           index_count(&segment->index[INDEX_TIME]) >= bytes / index_entry_size(INDEX_TIME) - 1;
}

/* Kafka's LogSegment.shouldRoll. An index may be full of nothing when its bytes are set very low;
 * an empty segment is never rolled for that. */
static bool must_roll(struct log *log, const struct segment *segment,
                      const struct validated *records, int64_t last_offset)
{
    int32_t size = segment_size(segment);
    if (last_offset - segment->base_offset > INT32_MAX)
        return true;
    if (size == 0)
        return false;
    if (size > log->settings.segment_bytes - (int64_t)records->size || index_full(log, segment))
        return true;
    int64_t waited = wait_for_roll(segment, env_wall_ms(log->env), records->max_timestamp);
    return waited > log->settings.segment_ms - segment->roll_jitter_ms;
}

/* A closed segment has its file even if it is empty: Kafka takes indexes without one for waste. */
static int make_log_file(struct log *log, struct segment *segment)
{
    struct file_ref *file;
    if (segment_has(segment, SEGMENT_LOG))
        return 0;
    int err = segment_file_make(log, segment, SEGMENT_LOG, &file);
    if (err == 0)
        file_ref_drop(file);
    return err;
}

int log_roll(struct log *log, int64_t new_base)
{
    struct segment *active = log_active(log);
    must(new_base > active->base_offset);
    int err = log_list_reserve(log, 1);
    if (err == 0)
        err = make_log_file(log, active);
    if (err == 0)
        err = segment_write_indexes(log, active, true);
    if (err == 0)
        err = log_write_snapshot(log, new_base);
    if (err < 0)
        return err;
    if (log->loose_snapshot_offset >= 0 && log->loose_snapshot_offset != new_base)
        (void)log_remove_snapshot(log, log->loose_snapshot_offset);
    log->loose_snapshot_offset = -1;
    (void)log_forget_lowered(log);

    struct segment *segment = segment_create(log, new_base);
    if (!segment)
        return -ENOMEM;
    log_list_push(log, segment);
    say_debug(log->say, "rolled a segment", kv_text("log", log->name),
              kv_int("base_offset", new_base));
    return 0;
}

/* Roll where Kafka would. The new segment starts at the log end, so that recovery can tell a lost
 * tail from a gap; only an offset out of its reach makes it start later. */
static int roll_if_needed(struct log *log, const struct validated *records, bool *ret_rolled)
{
    struct segment *active = log_active(log);
    int64_t first = records->batches[0].base_offset;
    int64_t last = batch_last_offset(&records->batches[records->batch_count - 1]);
    if (!must_roll(log, active, records, last))
        return 0;
    int64_t new_base = log_end_offset(log);
    if (last - new_base > INT32_MAX)
        new_base = first;
    if (last - new_base > INT32_MAX)
        return KAFKA_INVALID_RECORD;
    *ret_rolled = true;
    return log_roll(log, new_base);
}

static int assign_epochs(struct log *log, const struct validated *records)
{
    for (int32_t i = 0; i < records->batch_count; i++) {
        const struct batch *batch = &records->batches[i];
        if (batch->magic < 2 || batch->leader_epoch < 0 ||
            batch->leader_epoch == epochs_latest(&log->epochs))
            continue;
        pthread_mutex_lock(&log->list_lock);
        log->epochs_dirty |= epochs_assign(&log->epochs, batch->leader_epoch, batch->base_offset);
        pthread_mutex_unlock(&log->list_lock);
    }
    return log_write_epochs(log);
}

/* Write all or leave the file as it was. */
static int write_bytes_at(struct log *log, int file, const void *data, size_t size, int64_t offset)
{
    int err = env_write_all(log->env, file, data, size, offset);
    if (err < 0) {
        int cut = env_truncate(log->env, file, offset);
        if (cut < 0)
            return cut;
    }
    return err;
}

/* Entries that .txnindex may get; a repeated marker gets none. Of several batches one may open
 * what the next ends. */
static int32_t count_aborts(const struct log *log, const struct validated *records)
{
    int32_t count = 0;
    for (int32_t i = 0; i < records->batch_count; i++) {
        struct txn_marker marker;
        const struct batch *batch = &records->batches[i];
        if (!has_producer(batch) || !batch_is_control(batch))
            continue;
        const struct producer *producer = producers_find(&log->producers, batch->producer_id);
        bool open = producer && producer_is_in_transaction(producer);
        if ((open || records->batch_count > 1) && txn_marker_read(batch, &marker) == 0 &&
            marker.is_marker && !marker.commit)
            count++;
    }
    return count;
}

/* Room in .txnindex is taken before the write: afterwards a full disk could not be refused. */
static int txn_index_take_room(struct log *log, struct segment *segment, int32_t count,
                               struct file_ref **ret_file)
{
    static const uint8_t zeros[TXN_ENTRY_SIZE];
    int err = segment_file_make(log, segment, SEGMENT_TXNINDEX, ret_file);
    if (err < 0)
        return err;
    int64_t start = (int64_t)segment->txn_entries * TXN_ENTRY_SIZE;
    for (int32_t i = 0; i < count && err == 0; i++)
        err = env_write_all(log->env, file_ref_descriptor(*ret_file), zeros, sizeof zeros,
                            start + i * TXN_ENTRY_SIZE);
    if (err < 0) {
        (void)env_truncate(log->env, file_ref_descriptor(*ret_file), start);
        file_ref_drop(*ret_file);
        *ret_file = NULL;
    }
    return err;
}

static int txn_index_add(struct log *log, struct segment *segment, struct file_ref *file,
                         const struct completed_txn *txn)
{
    uint8_t data[TXN_ENTRY_SIZE];
    struct aborted_entry entry = {txn->producer_id, txn->first_offset, txn->last_offset,
                                  txn->last_stable_offset};
    txn_entry_encode(&entry, data);
    int err = env_write_all(log->env, file_ref_descriptor(file), data, sizeof data,
                            (int64_t)segment->txn_entries * TXN_ENTRY_SIZE);
    if (err < 0)
        return err;
    segment_mark_unsynced(segment, SEGMENT_TXNINDEX);
    pthread_mutex_lock(&log->list_lock);
    segment->txn_entries++;
    pthread_mutex_unlock(&log->list_lock);
    atomic_store_explicit(&log->has_aborts, true, memory_order_release);
    return 0;
}

/* A transaction of this producer began, went on or ended, so what was verified for it is no longer
 * true. Since transaction.version 2 a marker has the epoch of the producer's next transaction: who
 * sent the first batch of that while the markers of the last one were being written is being
 * verified for the next one. */
static void forget_verification(struct log *log, const struct batch *batch,
                                const struct txn_marker *end, int16_t transaction_version)
{
    const struct verification *known = verifications_find(&log->verifications, batch->producer_id);
    if (known && end && end->is_marker && transaction_version >= 2 &&
        known->epoch >= batch->producer_epoch)
        return;
    verifications_forget(&log->verifications, batch->producer_id);
}

/* Remember where the batch is if it opened a transaction: the last stable offset may come to stand
 * before it, and nobody should have to search for its place then. Under list_lock. */
static void note_place(struct log *log, const struct segment *segment, const struct batch *batch,
                       int32_t position)
{
    struct open_txn *open = producers_open_at(&log->producers, batch->base_offset);
    if (!open)
        return;
    open->segment_base = segment->base_offset;
    open->position = position;
    open->file_epoch = log_file_epoch(log);
}

/* Take note of written batches: index entries, producers, ended transactions. */
static int note_batches(struct log *log, struct segment *segment, const struct validated *records,
                        int32_t position, struct file_ref *txn_file, int16_t transaction_version)
{
    for (int32_t i = 0; i < records->batch_count; i++) {
        const struct batch *batch = &records->batches[i];
        int err = segment_index_batch(log, &log->settings, segment, batch, position);
        if (err < 0)
            return err;
        position += batch->size;
        if (!has_producer(batch))
            continue;

        struct txn_marker marker;
        const struct txn_marker *end = NULL;
        struct completed_txn completed;
        err = read_marker(batch, &marker, &end);
        if (err)
            return err < 0 ? err : -EIO;
        pthread_mutex_lock(&log->list_lock);
        bool ended = producers_update(&log->producers, batch, end, &completed);
        if (batch_is_transactional(batch)) {
            log_publish_unstable(log);
            forget_verification(log, batch, end, transaction_version);
            note_place(log, segment, batch, position - batch->size);
        }
        pthread_mutex_unlock(&log->list_lock);
        if (ended && completed.aborted)
            err = txn_index_add(log, segment, txn_file, &completed);
        if (err < 0)
            return err;
    }
    return 0;
}

/* Every transaction that ended may leave room taken but not used: repeats of a marker. */
static int txn_index_trim(struct log *log, struct segment *segment, struct file_ref *file)
{
    int err = env_truncate(log->env, file_ref_descriptor(file),
                           (int64_t)segment->txn_entries * TXN_ENTRY_SIZE);
    file_ref_drop(file);
    return err;
}

static int write_batches(struct log *log, const struct validated *records,
                         int16_t transaction_version)
{
    struct segment *segment = log_active(log);
    int32_t position = segment_size(segment);
    struct file_ref *file, *txn_file = NULL;
    int err = segment_file_make(log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    int32_t aborts = count_aborts(log, records);
    if (aborts > 0)
        err = txn_index_take_room(log, segment, aborts, &txn_file);
    if (err == 0)
        err =
            write_bytes_at(log, file_ref_descriptor(file), records->data, records->size, position);
    bool written = err == 0;
    if (written) {
        if (position == 0)
            segment->first_timestamp = records->batches[0].max_timestamp;
        segment_mark_unsynced(segment, SEGMENT_LOG);
        err = note_batches(log, segment, records, position, txn_file, transaction_version);
    }
    if (txn_file) {
        int trim_err = txn_index_trim(log, segment, txn_file);
        if (written && err == 0)
            err = trim_err;
    }
    file_ref_drop(file);
    /* Once producers took note, nothing can be refused any more: space was taken before. */
    if (err < 0)
        return written && log_error_passes(err) ? -EIO : err;
    atomic_store_explicit(&segment->size_bytes, position + (int32_t)records->size,
                          memory_order_release);
    return 0;
}

/* Bound what a restart has to read: the newest snapshot within the segment replaces the last. */
static void snapshot_if_due(struct log *log, size_t written)
{
    log->bytes_since_snapshot += (int64_t)written;
    if (log->bytes_since_snapshot < SNAPSHOT_INTERVAL_BYTES)
        return;
    int64_t old = log->loose_snapshot_offset, offset = log_end_offset(log);
    log->bytes_since_snapshot = 0;
    if (log_write_snapshot(log, offset) < 0)
        return; /* it only saves time */
    log->loose_snapshot_offset = offset;
    if (old >= 0)
        (void)log_remove_snapshot(log, old);
}

static int append_checked(struct log *log, struct validated *records,
                          const struct log_append_params *params, bool *ret_rolled)
{
    int err = reserve(log, records);
    if (err == 0)
        err = log_ensure_dir(log);
    if (err == 0)
        err = roll_if_needed(log, records, ret_rolled);
    if (err == 0)
        err = assign_epochs(log, records);
    if (err == 0)
        err = write_batches(log, records, params->transaction_version);
    if (err)
        return err;

    int64_t end = batch_last_offset(&records->batches[records->batch_count - 1]) + 1;
    atomic_fetch_add_explicit(&log->size_bytes, (int64_t)records->size, memory_order_relaxed);
    /* What a read_committed reader must not pass was published before, in note_batches. */
    log_publish_end(log, end);
    snapshot_if_due(log, records->size);
    return 0;
}

int log_append(struct log *log, struct validated *records, const struct log_append_params *params,
               struct log_append_result *ret_result)
{
    struct producer_batch original;
    struct log_append_result result = {
        .log_append_time = records->log_append_time,
        .log_start_offset = log_start_offset(log),
    };
    int64_t end = log_end_offset(log);
    must(records->batch_count > 0);
    if (records->size > (size_t)log->settings.segment_bytes)
        return KAFKA_RECORD_LIST_TOO_LARGE;

    int err = check_producers(log, records, params, &original);
    if (err == KAFKA_DUPLICATE_SEQUENCE_NUMBER) {
        result.duplicate = true;
        result.base_offset = original.last_offset - original.offset_delta;
        result.last_offset = original.last_offset;
        result.log_append_time = original.timestamp;
        result.end_offset = end;
        *ret_result = result;
        return 0;
    }
    if (err == 0) {
        if (params->origin == LOG_ORIGIN_REPLICATION)
            err = check_offsets(records, end);
        else
            assign_offsets(records, end, params->leader_epoch);
    }
    if (err == 0)
        err = append_checked(log, records, params, &result.rolled);
    if (err)
        return err;
    result.base_offset = records->batches[0].base_offset;
    result.last_offset = batch_last_offset(&records->batches[records->batch_count - 1]);
    result.end_offset = result.last_offset + 1;
    *ret_result = result;
    return 0;
}

int log_roll_if_due(struct log *log, int64_t now_ms)
{
    struct segment *active = log_active(log);
    if (segment_size(active) == 0 ||
        wait_for_roll(active, now_ms, now_ms) <= log->settings.segment_ms - active->roll_jitter_ms)
        return 0;
    int err = log_roll(log, log_end_offset(log));
    if (err == 0)
        log_publish_end(log, log_end_offset(log));
    return err;
}

int log_records_from(uint8_t *data, size_t size, struct arena *arena, struct validated *ret_records)
{
    struct validated records = {.data = data, .log_append_time = -1, .max_timestamp = -1};
    struct batch batch;
    int32_t capacity = 0;
    int err;
    while ((err = batch_read(data + records.size, size - records.size, &batch)) == 0) {
        if (!batch_checksum_ok(&batch))
            return KAFKA_CORRUPT_MESSAGE;
        if (records.batch_count == capacity) {
            capacity = capacity ? capacity * 2 : 4;
            struct batch *batches = arena_array(arena, (size_t)capacity, sizeof *batches);
            if (!batches)
                return -ENOMEM;
            if (records.batch_count)
                memcpy(batches, records.batches, sizeof *batches * (size_t)records.batch_count);
            records.batches = batches;
        }
        records.batches[records.batch_count++] = batch;
        records.size += (size_t)batch.size;
        records.record_count += batch.record_count;
        if (batch.max_timestamp > records.max_timestamp)
            records.max_timestamp = batch.max_timestamp;
    }
    if (err == -EBADMSG)
        return KAFKA_CORRUPT_MESSAGE;
    *ret_records = records;
    return 0;
}
