/* What time does to transactions: those that take too long are aborted, and ids that nobody used
 * for long are forgotten. */
#include <stdlib.h>

#include "txn/txn_private.h"

enum {
    TXN_SWEEP_RECORDS_MAX = 1000, /* ids forgotten in one go */
    TXN_KEY_BYTES = 8,            /* of a record's key, beside the id */
};

/* ---- a transaction takes too long ---- */

/* All is done but the record that says so. */
static int complete_decide(struct txn *txn, struct coord_op *op, const struct coord_turn *turn)
{
    txn_step_complete(txn, turn->wall_ms, &txn->timed_out);
    txn->timing_out = true;
    return txn_put(op, txn->id, &txn->timed_out.values, txn_feature(turn));
}

/* The timer also retries what could not be done, so it may find any state. */
static int timeout_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                          const struct coord_turn *turn)
{
    struct txn *txn = container_of(timer, struct txn, timeout);
    struct txn_shard *shard = state;
    txn->timing_out = false;
    if (txn->markers_written)
        return complete_decide(txn, op, turn);
    if (txn->now.state != TXN_ONGOING ||
        coord_ms_since(turn->wall_ms, txn->now.start_ms) < txn->now.timeout_ms)
        return 0;
    int16_t feature = txn_feature(turn);
    const struct txn_end_op abort = {.producer_id = txn->now.producer_id,
                                     .producer_epoch = txn->now.producer_epoch,
                                     .client_version = feature};
    bool changes, needs_id;
    int64_t fresh_id = -1;
    int err =
        txn_step_end(txn, &abort, false, -1, turn->wall_ms, &txn->timed_out, &changes, &needs_id);
    if (needs_id) {
        if (shard->host->take_producer_id(shard->host->server, &fresh_id) != 0) {
            shard->host->want_producer_ids(shard->host->server, coord_op_wakes(op));
            return KAFKA_COORDINATOR_NOT_AVAILABLE;
        }
        err = txn_step_end(txn, &abort, false, fresh_id, turn->wall_ms, &txn->timed_out, &changes,
                           &needs_id);
    }
    if (err != 0)
        return err;
    txn->timing_out = true;
    if (!txn->timeout_said)
        say_info(coord_shard_say(shard->shard), "transaction took too long and is aborted",
                 kv_str("transactional_id", txn->id), kv_int("producer_id", txn->now.producer_id),
                 kv_int("timeout_ms", txn->now.timeout_ms));
    txn->timeout_said = true;
    return txn_put(op, txn->id, &txn->timed_out.values, feature);
}

static void timeout_settle(struct coord_timer *timer, struct coord_op *op, void *state,
                           const struct coord_turn *turn, int error)
{
    (void)op;
    struct txn *txn = container_of(timer, struct txn, timeout);
    struct txn_shard *shard = state;
    if (error != 0)
        coord_timer_set(shard->shard, timer, turn->now_ns + TXN_RETRY_NS);
    else if (txn->timing_out)
        txn_stepped(txn, txn->timed_out.last_epoch, turn);
    else
        txn_follow_state(txn, turn);
}

void txn_timeout_init(struct txn *txn)
{
    coord_timer_init(&txn->timeout);
    txn->timeout.decide = timeout_decide;
    txn->timeout.settle = timeout_settle;
}

/* ---- nobody uses an id any more ---- */

static bool is_expired(const struct txn *txn, const struct coord_turn *turn)
{
    bool idle = txn->now.state == TXN_EMPTY || txn->now.state == TXN_COMPLETE_COMMIT ||
                txn->now.state == TXN_COMPLETE_ABORT;
    return idle && coord_ms_since(turn->wall_ms, txn->now.update_ms) >=
                       turn->settings->transactional_id_expiration_ms;
}

static int sweep_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                        const struct coord_turn *turn)
{
    (void)timer;
    struct txn_shard *shard = state;
    shard->sweep_more = false;
    for (struct map_at at = map_begin(&shard->txns); map_next(&shard->txns, &at);) {
        const struct txn *txn = *(struct txn **)at.value;
        if (!is_expired(txn, turn))
            continue;
        /* Ids may be long: as many as fit into a batch. */
        if (op->put_count == TXN_SWEEP_RECORDS_MAX ||
            !coord_op_has_room(op, 1, (size_t)txn->id.size + TXN_KEY_BYTES)) {
            shard->sweep_more = true;
            return 0;
        }
        int err = txn_put(op, txn->id, NULL, 0);
        if (err != 0)
            return err;
    }
    return 0;
}

static void sweep_settle(struct coord_timer *timer, struct coord_op *op, void *state,
                         const struct coord_turn *turn, int error)
{
    struct txn_shard *shard = state;
    (void)timer;
    (void)op;
    if (error == 0 && shard->sweep_more)
        coord_timer_set(shard->shard, &shard->sweep, turn->now_ns + TXN_RETRY_NS);
    else
        txn_sweep_arm(shard, turn);
}

void txn_sweep_init(struct txn_shard *shard)
{
    coord_timer_init(&shard->sweep);
    shard->sweep.decide = sweep_decide;
    shard->sweep.settle = sweep_settle;
}

void txn_sweep_arm(struct txn_shard *shard, const struct coord_turn *turn)
{
    if (map_count(&shard->txns) == 0 || coord_timer_armed(&shard->sweep))
        return;
    int64_t interval_ms = turn->settings->transaction_remove_expired_interval_ms;
    coord_timer_set(shard->shard, &shard->sweep, turn->now_ns + interval_ms * 1000000);
}
