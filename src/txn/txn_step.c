/* The rules of the transaction coordinator as functions of a state and a request.
 *
 * Kafka keeps a transition "pending" between deciding and having it appended, and answers
 * CONCURRENT_TRANSACTIONS meanwhile. Here deciding, appending and applying are one step under the
 * shard's lock, so that only a transaction whose markers are being written is "concurrent".
 * Sources: KIP-98, KIP-360, KIP-588, KIP-890, and what TransactionMetadata and
 * TransactionCoordinator of Apache Kafka 4.4.0 do. */
#include <stdlib.h>

#include "txn/txn_private.h"

const char *txn_state_name(int8_t state)
{
    static const char *const names[] = {"Empty",        "Ongoing",          "PrepareCommit",
                                        "PrepareAbort", "CompleteCommit",   "CompleteAbort",
                                        "Dead",         "PrepareEpochFence"};
    return state >= 0 && state < (int8_t)(sizeof names / sizeof *names) ? names[state] : NULL;
}

bool txn_epoch_exhausted(int16_t epoch)
{
    return epoch >= TXN_EPOCH_EXHAUSTED;
}

static bool is_preparing(const struct txn *txn)
{
    return txn->now.state == TXN_PREPARE_COMMIT || txn->now.state == TXN_PREPARE_ABORT;
}

/* Every transition notes the producer id that it started from. */
static void step_from(const struct txn *txn, int64_t now_ms, struct txn_step *step)
{
    step->values = txn->now;
    step->values.previous_producer_id = txn->now.producer_id;
    step->values.update_ms = now_ms;
    step->last_epoch = txn->last_epoch;
}

/* ---- InitProducerId ---- */

static void start_anew(struct txn_step *step, int32_t timeout_ms)
{
    step->values.state = TXN_EMPTY;
    step->values.timeout_ms = timeout_ms;
    step->values.partitions = (struct txn_partitions){0};
    step->values.start_ms = -1;
}

static int step_first(const struct txn_init_op *init, int64_t fresh_id, int64_t now_ms,
                      struct txn_step *step, bool *ret_needs_id)
{
    *ret_needs_id = fresh_id < 0;
    *step = (struct txn_step){.values = {.producer_id = fresh_id,
                                         .previous_producer_id = fresh_id,
                                         .next_producer_id = -1,
                                         .update_ms = now_ms},
                              .last_epoch = -1};
    start_anew(step, init->timeout_ms);
    return 0;
}

/* KIP-360: a producer that says what it has is fenced unless that is current, or was before the
 * epochs of its id were used up. */
static bool is_known(const struct txn *txn, const struct txn_init_op *init)
{
    return init->expected_id == -1 || init->expected_id == txn->now.producer_id ||
           (init->expected_id == txn->now.previous_producer_id &&
            txn_epoch_exhausted(init->expected_epoch));
}

static int step_restart(const struct txn *txn, const struct txn_init_op *init, int64_t fresh_id,
                        struct txn_step *step, bool *ret_needs_id)
{
    bool expects = init->expected_id != -1;
    int16_t epoch = txn->now.producer_epoch;
    if (txn_epoch_exhausted(epoch) && (!expects || init->expected_epoch == epoch)) {
        *ret_needs_id = fresh_id < 0;
        step->values.producer_id = fresh_id;
        step->values.producer_epoch = 0;
        step->last_epoch = expects ? epoch : -1;
    } else if (!expects) {
        step->values.producer_epoch = epoch + 1;
        step->last_epoch = -1;
    } else if (init->expected_epoch == epoch) {
        step->values.producer_epoch = epoch + 1;
        step->last_epoch = epoch;
    } else if (init->expected_epoch != txn->last_epoch) { /* else: a retry of the last bump */
        return KAFKA_PRODUCER_FENCED;
    }
    start_anew(step, init->timeout_ms);
    return 0;
}

int txn_step_init(const struct txn *txn, const struct txn_init_op *init, int64_t fresh_id,
                  int16_t feature, int64_t now_ms, struct txn_step *ret_step, bool *ret_needs_id)
{
    *ret_needs_id = false;
    if (!txn)
        return step_first(init, fresh_id, now_ms, ret_step, ret_needs_id);
    if (is_preparing(txn))
        return KAFKA_CONCURRENT_TRANSACTIONS;
    if (!is_known(txn, init))
        return KAFKA_PRODUCER_FENCED;
    if (txn->now.state == TXN_ONGOING) {
        const struct txn_end_op abort = {.producer_id = txn->now.producer_id,
                                         .producer_epoch = txn->now.producer_epoch,
                                         .client_version = feature};
        bool changes;
        int err =
            txn_step_end(txn, &abort, false, fresh_id, now_ms, ret_step, &changes, ret_needs_id);
        return err ? err : TXN_STEP_FENCES;
    }
    step_from(txn, now_ms, ret_step);
    return step_restart(txn, init, fresh_id, ret_step, ret_needs_id);
}

/* ---- AddPartitionsToTxn, AddOffsetsToTxn ---- */

struct one_partition {
    struct str topic;
    int32_t index;
};

static int by_topic_and_index(const void *left, const void *right)
{
    const struct one_partition *a = left, *b = right;
    int order = str_compare(a->topic, b->topic);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

static int32_t count_of(const struct txn_partitions *partitions)
{
    int32_t count = 0;
    for (int32_t t = 0; t < partitions->count; t++)
        count += partitions->topics[t].count;
    return count;
}

static int32_t flatten(const struct txn_partitions *from, struct one_partition *ret_to)
{
    int32_t count = 0;
    for (int32_t t = 0; t < from->count; t++)
        for (int32_t p = 0; p < from->topics[t].count; p++)
            ret_to[count++] =
                (struct one_partition){from->topics[t].name, from->topics[t].partitions[p]};
    return count;
}

/* Sorted, each once, grouped by topic; in the arena. */
static bool group(struct one_partition *all, int32_t count, struct arena *arena,
                  struct txn_partitions *ret)
{
    struct txn_topic *topics = arena_array(arena, (size_t)count + 1, sizeof *topics);
    int32_t *numbers = arena_array(arena, (size_t)count + 1, sizeof *numbers);
    if (!topics || !numbers)
        return false;
    *ret = (struct txn_partitions){.topics = topics};
    if (count > 0)
        qsort(all, (size_t)count, sizeof *all, by_topic_and_index);
    for (int32_t i = 0, used = 0; i < count; i++) {
        bool new_topic = i == 0 || !str_equal(all[i].topic, all[i - 1].topic);
        if (!new_topic && all[i].index == all[i - 1].index)
            continue;
        if (new_topic)
            topics[ret->count++] =
                (struct txn_topic){.name = all[i].topic, .partitions = &numbers[used]};
        numbers[used++] = all[i].index;
        topics[ret->count - 1].count++;
    }
    return true;
}

static bool unite(const struct txn_partitions *a, const struct txn_partitions *b,
                  struct arena *arena, struct txn_partitions *ret)
{
    size_t count = (size_t)count_of(a) + (size_t)count_of(b);
    struct one_partition *all = arena_array(arena, count + 1, sizeof *all);
    if (!all)
        return false;
    int32_t used = flatten(a, all);
    used += flatten(b, all + used);
    return group(all, used, arena, ret);
}

bool txn_partitions_sort(const struct txn_partitions *from, struct arena *arena,
                         struct txn_partitions *ret)
{
    const struct txn_partitions none = {0};
    return unite(from, &none, arena, ret);
}

static int by_topic(const void *key, const void *topic)
{
    return str_compare(*(const struct str *)key, ((const struct txn_topic *)topic)->name);
}

static int by_index(const void *left, const void *right)
{
    const int32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static bool has(const struct txn_partitions *partitions, struct str topic, int32_t index)
{
    if (partitions->count == 0)
        return false;
    const struct txn_topic *found =
        bsearch(&topic, partitions->topics, (size_t)partitions->count, sizeof *found, by_topic);
    return found && bsearch(&index, found->partitions, (size_t)found->count,
                            sizeof *found->partitions, by_index);
}

/* Which of the asked are in the transaction; whether all are. */
static bool verify(const struct txn *txn, const struct txn_add_op *add, int *ret_results)
{
    bool all = true;
    for (int32_t t = 0, at = 0; t < add->partitions.count; t++) {
        const struct txn_topic *topic = &add->partitions.topics[t];
        for (int32_t p = 0; p < topic->count; p++, at++) {
            bool in = has(&txn->now.partitions, topic->name, topic->partitions[p]);
            all &= in;
            if (ret_results)
                ret_results[at] = in ? 0 : KAFKA_TRANSACTION_ABORTABLE;
        }
    }
    return all;
}

int txn_step_add(const struct txn *txn, const struct txn_add_op *add, int64_t now_ms,
                 struct arena *arena, struct txn_step *ret_step, bool *ret_changes)
{
    *ret_changes = false;
    /* First of all, since the producer may already use the id that follows the last epoch, which
     * becomes its own when the markers are written. */
    if (txn && is_preparing(txn) && !add->verify_only)
        return KAFKA_CONCURRENT_TRANSACTIONS;
    if (!txn || txn->now.producer_id != add->producer_id)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (txn->now.producer_epoch != add->producer_epoch)
        return KAFKA_PRODUCER_FENCED;
    if (is_preparing(txn))
        return KAFKA_CONCURRENT_TRANSACTIONS;
    bool all = verify(txn, add, add->verify_only ? add->results : NULL);
    if (add->verify_only || (all && txn->now.state == TXN_ONGOING))
        return 0;
    step_from(txn, now_ms, ret_step);
    struct txn_values *values = &ret_step->values;
    if (txn->now.state != TXN_ONGOING)
        values->start_ms = now_ms;
    values->state = TXN_ONGOING;
    values->client_version = add->client_version;
    if (!unite(&txn->now.partitions, &add->partitions, arena, &values->partitions))
        return -ENOMEM;
    *ret_changes = true;
    return 0;
}

/* ---- EndTxn ---- */

/* Decide the end. With epochs of their own (version 2), the next transaction's is taken now, so
 * that the markers fence whatever still comes from this one. */
static int step_prepare(const struct txn *txn, const struct txn_end_op *end, bool fences,
                        bool nothing_added, int64_t fresh_id, int64_t now_ms, struct txn_step *step,
                        bool *ret_needs_id)
{
    bool bumps = end->client_version >= TXN_VERSION_EPOCH_BUMP;
    int16_t epoch = txn->now.producer_epoch;
    step_from(txn, now_ms, step);
    struct txn_values *values = &step->values;
    values->state = end->commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT;
    values->client_version = end->client_version;
    values->next_producer_id = -1;
    if (bumps && txn_epoch_exhausted(epoch)) {
        *ret_needs_id = fresh_id < 0;
        values->next_producer_id = fresh_id;
    }
    if ((bumps || fences) && epoch < INT16_MAX) {
        values->producer_epoch = epoch + 1;
        step->last_epoch = bumps ? epoch : -1;
    }
    if (nothing_added)
        values->start_ms = now_ms;
    return 0;
}

static int step_end_plain(const struct txn *txn, const struct txn_end_op *end, bool from_client,
                          int64_t now_ms, struct txn_step *step, bool *ret_changes)
{
    bool unused;
    if (txn->now.producer_id != end->producer_id)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (from_client ? end->producer_epoch != txn->now.producer_epoch
                    : end->producer_epoch < txn->now.producer_epoch)
        return KAFKA_PRODUCER_FENCED;
    switch (txn->now.state) {
    case TXN_ONGOING:
        *ret_changes = true;
        return step_prepare(txn, end, !from_client, false, -1, now_ms, step, &unused);
    case TXN_COMPLETE_COMMIT:
        return end->commit ? 0 : KAFKA_INVALID_TXN_STATE;
    case TXN_COMPLETE_ABORT:
        return end->commit ? KAFKA_INVALID_TXN_STATE : 0;
    case TXN_PREPARE_COMMIT:
        return end->commit ? KAFKA_CONCURRENT_TRANSACTIONS : KAFKA_INVALID_TXN_STATE;
    case TXN_PREPARE_ABORT:
        return end->commit ? KAFKA_INVALID_TXN_STATE : KAFKA_CONCURRENT_TRANSACTIONS;
    default:
        return KAFKA_INVALID_TXN_STATE;
    }
}

/* Whether the request repeats the one that led to what is now: then its epoch is the one before, or
 * the last of the id before. The same epoch says that it is about the next transaction. */
struct retry {
    bool of_bump, of_rotation;
};

static struct retry retry_of(const struct txn *txn, const struct txn_end_op *end)
{
    return (struct retry){
        .of_bump = txn->now.producer_epoch == end->producer_epoch + 1,
        .of_rotation = txn->now.previous_producer_id == end->producer_id &&
                       end->producer_epoch == TXN_EPOCH_EXHAUSTED && txn->now.producer_epoch == 0,
    };
}

static bool epoch_is_valid(const struct txn *txn, const struct txn_end_op *end, struct retry retry)
{
    bool same = end->producer_epoch == txn->now.producer_epoch;
    switch (txn->now.state) {
    case TXN_PREPARE_COMMIT:
    case TXN_PREPARE_ABORT:
        return retry.of_bump;
    case TXN_COMPLETE_COMMIT:
    case TXN_COMPLETE_ABORT:
        return retry.of_bump || retry.of_rotation || same;
    default:
        return same;
    }
}

static int step_end_bumping(const struct txn *txn, const struct txn_end_op *end, bool from_client,
                            int64_t fresh_id, int64_t now_ms, struct txn_step *step,
                            bool *ret_changes, bool *ret_needs_id)
{
    struct retry retry = retry_of(txn, end);
    if (txn->now.producer_id != end->producer_id && !retry.of_rotation)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (from_client && !epoch_is_valid(txn, end, retry))
        return KAFKA_PRODUCER_FENCED;
    bool is_retry = retry.of_bump || retry.of_rotation;
    switch (txn->now.state) {
    case TXN_ONGOING:
        *ret_changes = true;
        return step_prepare(txn, end, !from_client, false, fresh_id, now_ms, step, ret_needs_id);
    case TXN_COMPLETE_COMMIT:
        if (end->commit)
            return is_retry ? 0 : KAFKA_INVALID_TXN_STATE;
        if (is_retry)
            return KAFKA_INVALID_TXN_STATE;
        break;
    case TXN_COMPLETE_ABORT:
        if (end->commit)
            return KAFKA_INVALID_TXN_STATE;
        if (is_retry)
            return 0;
        break;
    case TXN_PREPARE_COMMIT:
        return end->commit ? KAFKA_CONCURRENT_TRANSACTIONS : KAFKA_INVALID_TXN_STATE;
    case TXN_PREPARE_ABORT:
        return end->commit ? KAFKA_INVALID_TXN_STATE : KAFKA_CONCURRENT_TRANSACTIONS;
    default:
        if (end->commit)
            return KAFKA_INVALID_TXN_STATE;
        break;
    }
    /* An abort of a transaction that nothing was added to: it gives the client a new epoch. */
    *ret_changes = true;
    return step_prepare(txn, end, false, true, fresh_id, now_ms, step, ret_needs_id);
}

int txn_step_end(const struct txn *txn, const struct txn_end_op *end, bool from_client,
                 int64_t fresh_id, int64_t now_ms, struct txn_step *ret_step, bool *ret_changes,
                 bool *ret_needs_id)
{
    *ret_changes = *ret_needs_id = false;
    if (!txn)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (end->client_version < TXN_VERSION_EPOCH_BUMP)
        return step_end_plain(txn, end, from_client, now_ms, ret_step, ret_changes);
    return step_end_bumping(txn, end, from_client, fresh_id, now_ms, ret_step, ret_changes,
                            ret_needs_id);
}

void txn_step_complete(const struct txn *txn, int64_t now_ms, struct txn_step *ret_step)
{
    step_from(txn, now_ms, ret_step);
    struct txn_values *values = &ret_step->values;
    values->state = txn->now.state == TXN_PREPARE_COMMIT ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT;
    if (values->client_version >= TXN_VERSION_EPOCH_BUMP && values->next_producer_id >= 0) {
        values->producer_id = values->next_producer_id;
        values->producer_epoch = 0;
    }
    values->next_producer_id = -1;
    values->partitions = (struct txn_partitions){0};
}
