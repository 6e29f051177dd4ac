/* One use of a shard, from its lock to its commit.
 *
 * 1. decide, append, apply and settle of one op are one critical section of the shard's lock, so
 *    the state changes in log order and nobody sees records that are appended and not applied.
 * 2. Apply gets the bytes that were appended, with the offset that the log gave them.
 * 3. The error of an op that decided is answered after settle, and, like its success, only when
 *    everything below await_offset is committed under the epoch that was decided under.
 * 4. Waiters are linked only in COORD_AWAIT, and none is when coord_op_run answers true. */
#include "coord/coord_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "protocol/stored.h"
#include "record/batch.h"
#include "record/control.h"

struct coord_put {
    struct coord_put *next;
    struct bytes key, value;
};

/* The records as one batch, on its way to the log. */
struct coord_batch {
    struct coord_op *op;
    struct writer bytes;
    struct validated validated;
    struct log_append_result result;
    int error;
    bool done;
};

/* ---- commit ---- */

void commit_cancel(struct partition *partition, struct waiter *high, struct waiter *synced)
{
    watermark_cancel(&partition->high_watermark, high);
    watermark_cancel(&partition->synced, synced);
}

enum commit_look commit_wait(struct partition *partition, int32_t leader_epoch, int64_t offset,
                             struct waiter *high, struct waiter *synced)
{
    commit_cancel(partition, high, synced); /* of an earlier look */
    if (watermark_wait(&partition->high_watermark, high, offset, leader_epoch))
        return COMMIT_WAITING;
    if (high->failed)
        return COMMIT_LOST;
    if (!partition_must_sync(partition, offset))
        return COMMIT_REACHED;
    if (watermark_wait(&partition->synced, synced, offset, leader_epoch))
        return COMMIT_WAITING;
    return synced->failed ? COMMIT_LOST : COMMIT_REACHED;
}

static void op_reached(struct waiter *waiter, struct wakes *wakes)
{
    struct coord_op *op = container_of(waiter, struct coord_op, waiter);
    op->wake(op, wakes);
}

static void op_synced(struct waiter *waiter, struct wakes *wakes)
{
    struct coord_op *op = container_of(waiter, struct coord_op, sync_waiter);
    op->wake(op, wakes);
}

/* ---- records ---- */

static void *op_alloc(struct coord_op *op, size_t size)
{
    return arena_alloc(&op->arena, size);
}

int coord_op_put_bytes(struct coord_op *op, struct bytes key, struct bytes value)
{
    must(key.data && op->access == COORD_WRITE);
    size_t size = (size_t)key.size + (size_t)(value.data ? value.size : 0);
    if (size > COORD_OP_BYTES_MAX || op->put_bytes + size > COORD_OP_BYTES_MAX)
        return KAFKA_RECORD_LIST_TOO_LARGE;
    struct coord_put *put = op_alloc(op, sizeof *put);
    uint8_t *bytes = op_alloc(op, size + 1);
    if (!put || !bytes)
        return -ENOMEM;
    memcpy(bytes, key.data, (size_t)key.size);
    put->key = (struct bytes){bytes, key.size};
    if (value.data) {
        memcpy(bytes + key.size, value.data, (size_t)value.size);
        put->value = (struct bytes){bytes + key.size, value.size};
    }
    *op->last_put = put;
    op->last_put = &put->next;
    op->put_count++;
    op->put_bytes += size;
    return 0;
}

int coord_op_put(struct coord_op *op, const struct coordinator_record_type *type, const void *key,
                 const void *value, int16_t value_version)
{
    struct writer out = {.limit = COORD_OP_BYTES_MAX};
    int err = coordinator_key_encode(type, key, &out);
    size_t key_size = out.size;
    if (err == 0 && value)
        err = versioned_encode(type->value, value_version, value, &out);
    if (err == 0)
        err = coord_op_put_bytes(
            op, (struct bytes){out.data, (int32_t)key_size},
            value ? (struct bytes){out.data + key_size, (int32_t)(out.size - key_size)}
                  : (struct bytes){0});
    writer_close(&out);
    return err;
}

/* A record's length, attributes, deltas, sizes and number of headers. */
#define RECORD_OVERHEAD_BYTES 32

bool coord_op_has_room(const struct coord_op *op, int32_t records, size_t bytes)
{
    const struct partition *partition = op->shard->partition;
    if (op->put_count == 0 || !partition)
        return true;
    size_t most = (size_t)partition_settings(partition)->max_message_bytes;
    size_t all = op->put_bytes + bytes +
                 ((size_t)op->put_count + (size_t)records) * RECORD_OVERHEAD_BYTES +
                 BATCH_HEADER_SIZE;
    return all <= most - most / 16; /* what does not shrink may grow a little when compressed */
}

static int records_build(struct coord_op *op, struct writer *out, const struct coord_turn *turn)
{
    const struct coord_shard *shard = op->shard;
    const struct topic_settings *topic = partition_settings(shard->partition);
    const struct coord_fold *fold = shard->coord->params.fold;
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.compression_level = COMPRESSION_LEVEL_DEFAULT;
    if (topic->compression_type != COMPRESSION_SETTING_PRODUCER)
        builder.compression = (enum compression)topic->compression_type;
    else if (fold->codec)
        builder.compression = fold->codec(turn->settings);
    if (topic->log_append_time) {
        builder.attributes |= BATCH_LOG_APPEND_TIME;
        builder.max_timestamp = op->wall_ms;
    }
    if (op->transaction.producer_id >= 0) {
        builder.attributes |= BATCH_TRANSACTIONAL;
        builder.producer_id = op->transaction.producer_id;
        builder.producer_epoch = op->transaction.producer_epoch;
    }
    for (const struct coord_put *put = op->first_put; put; put = put->next)
        batch_builder_add(&builder, op->wall_ms, put->key, put->value, NULL, 0);
    int err = batch_builder_finish(&builder);
    if (err == 0) {
        *out = builder.out;
        builder.out = (struct writer){0};
    }
    batch_builder_close(&builder);
    return err == -EFBIG ? KAFKA_RECORD_LIST_TOO_LARGE : err;
}

static int marker_build(struct coord_op *op, struct writer *out)
{
    const struct coord_marker *marker = op->marker;
    const struct end_transaction end = {marker->commit, marker->coordinator_epoch};
    const struct end_transaction_batch about = {.timestamp = op->wall_ms,
                                                .producer_id = marker->producer_id,
                                                .producer_epoch = marker->producer_epoch};
    return end_transaction_write(&end, &about, out);
}

/* Everything that can be done for the append before its lock is asked for. */
static int batch_prepare(struct coord_op *op, const struct coord_turn *turn)
{
    struct coord_batch *batch = op_alloc(op, sizeof *batch);
    if (!batch)
        return -ENOMEM;
    batch->op = op;
    op->batch = batch;
    int err = op->marker ? marker_build(op, &batch->bytes) : records_build(op, &batch->bytes, turn);
    if (err != 0)
        return err;
    int32_t most = partition_settings(op->shard->partition)->max_message_bytes;
    if (!op->marker && batch->bytes.size + (size_t)op->spare_bytes > (size_t)most)
        return KAFKA_RECORD_LIST_TOO_LARGE;
    return log_records_from(batch->bytes.data, batch->bytes.size, &op->arena, &batch->validated);
}

/* ---- append ---- */

/* Append lock held; on a loop or, epoch reader online, on the pool. */
static void batch_append(struct coord_batch *batch)
{
    struct coord_op *op = batch->op;
    struct partition *partition = op->shard->partition;
    batch->error = partition_check_leader(partition, op->leader_epoch);
    if (batch->error != 0)
        return;
    if (op->marker) {
        batch->error = partition_append_marker(partition, &batch->validated,
                                               op->marker_transaction_version, &batch->result);
        op->marker_left_open =
            batch->error != 0 && log_is_in_transaction(partition->log, op->marker->producer_id);
    } else if (op->transaction.verify) {
        batch->error =
            partition_append_verified(partition, &batch->validated, -1, LOG_ORIGIN_COORDINATOR,
                                      op->transaction.verification, &batch->result);
    } else {
        batch->error = partition_append(partition, &batch->validated, -1, LOG_ORIGIN_COORDINATOR,
                                        &batch->result);
    }
}

static void append_run(struct pool_job *job)
{
    struct coord_op *op = container_of(job, struct coord_op, job);
    struct epoch_reader reader; /* settings are read */
    epoch_reader_add(op->shard->coord->params.epochs, &reader);
    epoch_online(&reader);
    batch_append(op->batch);
    epoch_offline(&reader);
    epoch_reader_remove(&reader);
    parklock_release(&op->shard->partition->append_lock);
}

static void append_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct coord_op *op = container_of(job, struct coord_op, job);
    op->batch->done = true;
    struct wakes wakes;
    wakes_init(&wakes);
    op->wake(op, &wakes);
    wakes_run(&wakes);
}

/* Why an append failed, as a coordinator says it. */
static int append_error(int error)
{
    switch (error) {
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case KAFKA_REQUEST_TIMED_OUT:
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_FENCED_LEADER_EPOCH:
    case KAFKA_UNKNOWN_LEADER_EPOCH:
    case KAFKA_KAFKA_STORAGE_ERROR:
        return KAFKA_NOT_COORDINATOR;
    case KAFKA_MESSAGE_TOO_LARGE:
        return KAFKA_RECORD_LIST_TOO_LARGE;
    default:
        return error < 0 ? KAFKA_COORDINATOR_NOT_AVAILABLE : error;
    }
}

/* ---- apply ---- */

static bool apply_marker(struct coord_op *op, void *state, int64_t offset)
{
    struct coord_marker marker = *op->marker;
    marker.offset = offset;
    marker.timestamp = op->wall_ms;
    const struct coord_fold *fold = op->shard->coord->params.fold;
    return !fold->mark || fold->mark(state, &marker);
}

static bool apply_all(struct coord_op *op, void *state)
{
    int64_t offset = op->batch->result.base_offset;
    if (op->marker)
        return apply_marker(op, state, offset);
    const struct coord_fold *fold = op->shard->coord->params.fold;
    bool transactional = op->transaction.producer_id >= 0;
    for (const struct coord_put *put = op->first_put; put; put = put->next) {
        struct coord_record record = {
            .offset = offset++,
            .timestamp = op->wall_ms,
            .producer_id = transactional ? op->transaction.producer_id : NO_PRODUCER_ID,
            .producer_epoch = transactional ? op->transaction.producer_epoch : -1,
            .transactional = transactional,
            .key = put->key,
            .value = put->value,
        };
        if (!fold->apply(state, &record))
            return false;
    }
    return true;
}

/* ---- the stages ---- */

static void shard_lock_given(struct park_waiter *park, struct wakes *wakes)
{
    struct coord_op *op = container_of(park, struct coord_op, shard_park);
    op->wake(op, wakes);
}

static void append_lock_given(struct park_waiter *park, struct wakes *wakes)
{
    struct coord_op *op = container_of(park, struct coord_op, append_park);
    op->wake(op, wakes);
}

void coord_op_init(struct coord_op *op)
{
    *op = (struct coord_op){.transaction.producer_id = NO_PRODUCER_ID};
}

static void op_begin(struct coord_op *op)
{
    op->begun = true;
    op->leader_epoch = op->shard->leader_epoch;
    op->last_put = &op->first_put;
    arena_init(&op->arena, 2 * (size_t)COORD_OP_BYTES_MAX);
    op->shard_park.fire = shard_lock_given;
    op->append_park.fire = append_lock_given;
    waiter_init(&op->waiter, op_reached);
    waiter_init(&op->sync_waiter, op_synced);
}

static void op_end(struct coord_op *op)
{
    struct coord_shard *shard = op->shard;
    if (op->batch)
        writer_close(&op->batch->bytes);
    if (op->begun)
        arena_close(&op->arena);
    op->batch = NULL;
    op->stage = COORD_ENDED;
    op->shard = NULL;
    coord_shard_unref(shard);
}

/* Lock held and entered: settle, drop the lock, wait for the commit. */
static void op_settle(struct coord_op *op, void *state, const struct coord_turn *turn, int error)
{
    op->error = error;
    if (op->settle)
        op->settle(op, state, turn, error);
    op->wakes = NULL;
    shard_leave(op->shard);
    op->stage = COORD_AWAIT;
}

/* The lock is ours. */
static void op_decide(struct coord_op *op, const struct coord_turn *turn)
{
    struct coord_shard *shard = op->shard;
    struct wakes wakes;
    wakes_init(&wakes);
    shard_enter(shard, &wakes);
    op->wakes = &wakes;
    void *state = shard_serves(shard) ? shard_state(shard, turn) : NULL;
    if (!state) {
        op->error = shard_serves(shard) ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_NOT_COORDINATOR;
        op->wakes = NULL;
        shard_leave(shard);
        op->stage = COORD_AWAIT;
        return;
    }
    op->decided = true;
    op->wall_ms = turn->wall_ms;
    int err = op->decide ? op->decide(op, state, turn) : 0;
    must(err != 0 || op->access == COORD_WRITE || (op->put_count == 0 && !op->marker));
    must(!op->marker || op->put_count == 0);
    if (err == 0 && (op->put_count > 0 || op->marker)) {
        err = batch_prepare(op, turn);
        if (err == 0) {
            /* The lock stays with the op; whoever was to be woken need not wait for that. */
            op->wakes = NULL;
            shard->wakes = NULL;
            wakes_run(&wakes);
            op->stage = COORD_APPEND_LOCK;
            return;
        }
    }
    op_settle(op, state, turn, err < 0 ? KAFKA_COORDINATOR_NOT_AVAILABLE : err);
}

/* True when the append is over, well or not. */
static bool op_append(struct coord_op *op, const struct coord_turn *turn)
{
    struct partition *partition = op->shard->partition;
    if (op->stage == COORD_APPENDING)
        return op->batch->done;
    if (!parklock_take(&partition->append_lock, &op->append_park))
        return false;
    if (partition_is_slow(partition)) {
        op->stage = COORD_APPENDING;
        op->job.run = append_run;
        op->job.done = append_done;
        pool_submit(turn->loop, &op->job);
        return false;
    }
    batch_append(op->batch);
    parklock_release(&partition->append_lock);
    return true;
}

/* The lock has been ours since op_decide. */
static void op_finish(struct coord_op *op, const struct coord_turn *turn)
{
    struct coord_shard *shard = op->shard;
    struct wakes wakes;
    wakes_init(&wakes);
    shard_enter(shard, &wakes);
    op->wakes = &wakes;
    void *state = shard->fold_state;
    int err = op->batch->error;
    if (err == 0) {
        must(op->batch->result.base_offset >= shard->applied);
        shard->applied = op->batch->result.last_offset + 1;
        if (op->await_offset < shard->applied)
            op->await_offset = shard->applied;
        if (!apply_all(op, state)) {
            shard_fail(shard);
            err = KAFKA_NOT_COORDINATOR;
        }
    }
    op_settle(op, state, turn, append_error(err));
}

/* True when what the answer rests on is committed, or will never be. */
static bool op_await(struct coord_op *op)
{
    if (!op->decided)
        return true;
    switch (commit_wait(op->shard->partition, op->leader_epoch, op->await_offset, &op->waiter,
                        &op->sync_waiter)) {
    case COMMIT_WAITING:
        return false;
    case COMMIT_LOST:
        op->error = KAFKA_NOT_COORDINATOR;
        return true;
    default:
        return true;
    }
}

bool coord_op_run(struct coord_op *op, const struct coord_turn *turn, int *ret_error)
{
    must(op->stage != COORD_ENDED);
    if (!op->begun)
        op_begin(op);
    if (op->stage == COORD_LOCK) {
        if (!parklock_take(&op->shard->lock, &op->shard_park))
            return false;
        op_decide(op, turn);
    }
    if (op->stage == COORD_APPEND_LOCK || op->stage == COORD_APPENDING) {
        if (!op_append(op, turn))
            return false;
        op_finish(op, turn);
    }
    if (!op_await(op))
        return false;
    op_end(op);
    *ret_error = op->error;
    return true;
}

bool coord_op_give_up(struct coord_op *op)
{
    switch (op->stage) {
    case COORD_LOCK:
        if (op->begun)
            parklock_leave(&op->shard->lock, &op->shard_park);
        break;
    case COORD_AWAIT:
        commit_cancel(op->shard->partition, &op->waiter, &op->sync_waiter);
        break;
    default:
        return false;
    }
    op_end(op);
    return true;
}
