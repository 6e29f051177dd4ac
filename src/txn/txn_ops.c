/* Requests to the transaction coordinator as ops on a shard: decide by the rules of txn_step.c, put
 * the record, settle what is not in it. */
#include "txn/txn_private.h"

int16_t txn_feature(const struct coord_turn *turn)
{
    return image_feature(turn->image, STR("transaction.version"));
}

int txn_put(struct coord_op *op, struct str id, const struct txn_values *values, int16_t feature)
{
    static const int16_t type = TRANSACTION_RECORD_TRANSACTION_LOG;
    const struct coordinator_record_type *row =
        coordinator_record_find(COORDINATOR_TRANSACTION, type);
    const struct transaction_log_key key = {.transactional_id = id};
    if (!values)
        return coord_op_put(op, row, &key, NULL, 0);
    const struct txn_partitions *partitions = &values->partitions;
    op->spare_bytes = values->state == TXN_ONGOING ? TXN_END_BYTES : 0;
    struct transaction_log_value value;
    transaction_log_value_init(&value);
    value.producer_id = values->producer_id;
    if (feature > 0) {
        value.previous_producer_id = values->previous_producer_id;
        value.next_producer_id = values->next_producer_id;
    }
    value.producer_epoch = values->producer_epoch;
    value.transaction_timeout_ms = values->timeout_ms;
    value.transaction_status = values->state;
    value.transaction_last_update_timestamp_ms = values->update_ms;
    value.transaction_start_timestamp_ms = values->start_ms;
    value.client_transaction_version = values->client_version;
    value.transaction_partitions.count = -1; /* of an empty transaction: null */
    if (values->state != TXN_EMPTY) {
        value.transaction_partitions.items =
            transaction_log_value_partitions_schema_array(&op->arena, partitions->count);
        if (!value.transaction_partitions.items)
            return -ENOMEM;
        value.transaction_partitions.count = partitions->count;
    }
    for (int32_t t = 0; t < value.transaction_partitions.count; t++) {
        struct transaction_log_value_partitions_schema *topic =
            &value.transaction_partitions.items[t];
        topic->topic = partitions->topics[t].name;
        topic->partition_ids.items = (int32_t *)(uintptr_t)partitions->topics[t].partitions;
        topic->partition_ids.count = partitions->topics[t].count;
    }
    return coord_op_put(op, row, &key, &value, feature > 0 ? 1 : 0);
}

void txn_follow_state(struct txn *txn, const struct coord_turn *turn)
{
    struct coord_shard *shard = txn->shard->shard;
    if (txn->now.state == TXN_ONGOING) {
        int64_t left_ms =
            coord_ms_since(coord_ms_add(txn->now.start_ms, txn->now.timeout_ms), turn->wall_ms);
        int64_t wait_ms = left_ms < 0                     ? 0
                          : left_ms > txn->now.timeout_ms ? txn->now.timeout_ms
                                                          : left_ms;
        coord_timer_set(shard, &txn->timeout, turn->now_ns + wait_ms * 1000000);
        return;
    }
    coord_timer_cancel(shard, &txn->timeout);
    if (txn->now.state == TXN_PREPARE_COMMIT || txn->now.state == TXN_PREPARE_ABORT)
        txn_complete_begin(txn, turn);
}

void txn_stepped(struct txn *txn, int16_t last_epoch, const struct coord_turn *turn)
{
    txn->last_epoch = last_epoch;
    txn->markers_written = txn->timeout_said = false;
    txn_follow_state(txn, turn);
    txn_sweep_arm(txn->shard, turn);
}

/* What a client may do is bounded by what the cluster has finalized. */
static void bound_version(int16_t *version, int16_t feature)
{
    if (*version > feature)
        *version = feature;
}

/* The answer depends on the id's last record. */
static void await(struct coord_op *op, const struct txn *txn)
{
    if (txn && op->await_offset < txn->applied)
        op->await_offset = txn->applied;
}

/* ---- InitProducerId ---- */

static int init_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct txn_init_op *init = container_of(op, struct txn_init_op, op);
    struct txn_shard *shard = state;
    const struct txn *txn = txn_find(shard, init->transactional_id);
    await(op, txn);
    int16_t feature = txn_feature(turn);
    bool needs_id;
    int64_t fresh_id = -1;
    int err = txn_step_init(txn, init, -1, feature, turn->wall_ms, &init->step, &needs_id);
    if (needs_id) {
        init->needs_id = shard->host->take_producer_id(shard->host->server, &fresh_id) != 0;
        if (init->needs_id)
            return KAFKA_COORDINATOR_NOT_AVAILABLE;
        err = txn_step_init(txn, init, fresh_id, feature, turn->wall_ms, &init->step, &needs_id);
    }
    init->fences = err == TXN_STEP_FENCES;
    if (err != 0 && !init->fences)
        return err;
    return txn_put(op, init->transactional_id, &init->step.values, feature);
}

static void init_settle(struct coord_op *op, void *state, const struct coord_turn *turn, int error)
{
    struct txn_init_op *init = container_of(op, struct txn_init_op, op);
    if (error != 0)
        return;
    init->producer_id = init->step.values.producer_id;
    init->producer_epoch = init->step.values.producer_epoch;
    txn_stepped(txn_find(state, init->transactional_id), init->step.last_epoch, turn);
}

void txn_init_op(struct txn_init_op *init)
{
    coord_op_init(&init->op);
    init->op.access = COORD_WRITE;
    init->op.decide = init_decide;
    init->op.settle = init_settle;
}

/* ---- AddPartitionsToTxn, AddOffsetsToTxn ---- */

static int add_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct txn_add_op *add = container_of(op, struct txn_add_op, op);
    const struct txn *txn = txn_find(state, add->transactional_id);
    await(op, txn);
    bound_version(&add->client_version, txn_feature(turn));
    int err = txn_step_add(txn, add, turn->wall_ms, &op->arena, &add->step, &add->changes);
    return err || !add->changes
               ? err
               : txn_put(op, add->transactional_id, &add->step.values, txn_feature(turn));
}

static void add_settle(struct coord_op *op, void *state, const struct coord_turn *turn, int error)
{
    struct txn_add_op *add = container_of(op, struct txn_add_op, op);
    if (error == 0 && add->changes)
        txn_stepped(txn_find(state, add->transactional_id), add->step.last_epoch, turn);
}

void txn_add_op(struct txn_add_op *add)
{
    coord_op_init(&add->op);
    add->op.access = add->verify_only ? COORD_READ : COORD_WRITE;
    add->op.decide = add_decide;
    add->op.settle = add_settle;
}

/* ---- EndTxn ---- */

static int end_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct txn_end_op *end = container_of(op, struct txn_end_op, op);
    struct txn_shard *shard = state;
    const struct txn *txn = txn_find(shard, end->transactional_id);
    await(op, txn);
    bound_version(&end->client_version, txn_feature(turn));
    bool needs_id;
    int64_t fresh_id = -1;
    int err = txn_step_end(txn, end, true, -1, turn->wall_ms, &end->step, &end->changes, &needs_id);
    if (needs_id) {
        end->needs_id = shard->host->take_producer_id(shard->host->server, &fresh_id) != 0;
        if (end->needs_id)
            return KAFKA_COORDINATOR_NOT_AVAILABLE;
        err = txn_step_end(txn, end, true, fresh_id, turn->wall_ms, &end->step, &end->changes,
                           &needs_id);
    }
    if (err != 0)
        return err;
    if (!end->changes) {
        end->next_producer_id = txn->now.producer_id;
        end->next_producer_epoch = txn->now.producer_epoch;
        return 0;
    }
    return txn_put(op, end->transactional_id, &end->step.values, txn_feature(turn));
}

static void end_settle(struct coord_op *op, void *state, const struct coord_turn *turn, int error)
{
    struct txn_end_op *end = container_of(op, struct txn_end_op, op);
    if (error != 0 || !end->changes)
        return;
    const struct txn_values *values = &end->step.values;
    bool rotates = values->next_producer_id >= 0;
    end->next_producer_id = rotates ? values->next_producer_id : values->producer_id;
    end->next_producer_epoch = rotates ? 0 : values->producer_epoch;
    txn_stepped(txn_find(state, end->transactional_id), end->step.last_epoch, turn);
}

void txn_end_op(struct txn_end_op *end)
{
    coord_op_init(&end->op);
    end->op.access = COORD_WRITE;
    end->op.decide = end_decide;
    end->op.settle = end_settle;
    end->next_producer_id = -1;
    end->next_producer_epoch = -1;
}
