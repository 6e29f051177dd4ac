/* From a decided end to the completed transaction: markers are written, then the record that says
 * so.
 *
 * Nothing here is in the log but the decision itself: whoever loads the shard begins again, and
 * writing a marker twice changes nothing. */
#include <stdlib.h>

#include "txn/txn_private.h"

struct completing {
    struct txn_markers markers;
    struct txn_step step;
    struct coord_shard *shard; /* a reference */
    int error;                 /* of the sink */
};

static struct completing *completing_of(struct coord_op *op)
{
    return container_of(op, struct completing, markers.task.op);
}

static void completing_free(struct completing *completing)
{
    coord_shard_unref(completing->shard);
    free(completing->markers.partitions.topics);
    free((void *)(uintptr_t)completing->markers.transactional_id.data);
    free(completing);
}

/* ---- the markers are to be written ---- */

void txn_markers_released(struct coord_effect *effect, void *state, struct wakes *wakes)
{
    struct txn *txn = container_of(effect, struct txn, effect);
    struct txn_shard *shard = state;
    txn->markers_sent = true;
    shard->host->write_markers(shard->host->server, txn->markers, wakes);
}

static struct completing *completing_new(const struct txn *txn)
{
    struct completing *completing = calloc(1, sizeof *completing);
    if (!completing)
        return NULL;
    struct txn_markers *markers = &completing->markers;
    char *id = malloc((size_t)txn->id.size + 1);
    if (!id || txn_partitions_copy(&txn->now.partitions, &markers->partitions) != 0) {
        free(id);
        free(completing);
        return NULL;
    }
    memcpy(id, txn->id.data, (size_t)txn->id.size);
    markers->transactional_id = (struct str){id, txn->id.size};
    markers->producer_id = txn->now.producer_id;
    markers->producer_epoch = txn->now.producer_epoch;
    markers->coordinator_epoch = coord_shard_epoch(txn->shard->shard);
    markers->transaction_version = txn->now.client_version;
    markers->commit = txn->now.state == TXN_PREPARE_COMMIT;
    return completing;
}

void txn_complete_begin(struct txn *txn, const struct coord_turn *turn)
{
    if (txn->markers)
        return;
    struct completing *completing = completing_new(txn);
    if (!completing) { /* out of memory: the timer comes back to it */
        coord_timer_set(txn->shard->shard, &txn->timeout, turn->now_ns + TXN_RETRY_NS);
        return;
    }
    completing->markers.loop = turn->loop;
    txn->markers = &completing->markers;
    txn->markers_sent = false;
    completing->shard = coord_shard_ref(txn->shard->shard);
    coord_effect_add(txn->shard->shard, &txn->effect);
}

/* ---- they are written ---- */

static int complete_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct completing *completing = completing_of(op);
    const struct txn_markers *markers = &completing->markers;
    const struct txn *txn = txn_find(state, markers->transactional_id);
    if (!txn || txn->markers != markers)
        return KAFKA_INVALID_TXN_STATE; /* forgotten meanwhile */
    if (completing->error != 0)
        return completing->error;
    txn_step_complete(txn, turn->wall_ms, &completing->step);
    return txn_put(op, markers->transactional_id, &completing->step.values, txn_feature(turn));
}

static void complete_settle(struct coord_op *op, void *state, const struct coord_turn *turn,
                            int error)
{
    struct completing *completing = completing_of(op);
    struct txn *txn = txn_find(state, completing->markers.transactional_id);
    if (!txn || txn->markers != &completing->markers)
        return;
    txn->markers = NULL;
    if (error == 0) {
        txn_stepped(txn, completing->step.last_epoch, turn);
        return;
    }
    /* A partition without leader, or the disk of this log is full: the timer begins again. What is
     * in the partitions is not written to them once more, however long the disk stays full. */
    txn->markers_written = completing->error == 0;
    coord_timer_set(txn->shard->shard, &txn->timeout, turn->now_ns + TXN_RETRY_NS);
}

static void complete_ended(struct coord_task *task, int error)
{
    (void)error;
    completing_free(completing_of(&task->op));
}

void txn_markers_drop(struct txn *txn)
{
    if (txn->markers && !txn->markers_sent)
        completing_free(container_of(txn->markers, struct completing, markers));
    txn->markers = NULL;
}

void txn_markers_done(struct txn_markers *markers, int error)
{
    struct completing *completing = container_of(markers, struct completing, markers);
    completing->error = error;
    coord_op_init(&markers->task.op);
    markers->task.op.access = COORD_WRITE;
    markers->task.op.decide = complete_decide;
    markers->task.op.settle = complete_settle;
    markers->task.ended = complete_ended;
    coord_task_run(completing->shard, &markers->task, markers->loop);
}
