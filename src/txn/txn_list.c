/* DescribeTransactions and ListTransactions. */
#include <stdlib.h>

#include "txn/txn_private.h"

/* ---- describe ---- */

static bool describe_topics(const struct txn_partitions *partitions, struct arena *arena,
                            struct describe_transactions_response_transaction_state *ret)
{
    ret->topics.items = describe_transactions_response_topic_data_array(arena, partitions->count);
    if (!ret->topics.items)
        return false;
    for (int32_t t = 0; t < partitions->count; t++) {
        const struct txn_topic *from = &partitions->topics[t];
        struct describe_transactions_response_topic_data *topic = &ret->topics.items[t];
        topic->topic = arena_str(arena, from->name);
        topic->partitions.items =
            arena_array(arena, (size_t)from->count + 1, sizeof *topic->partitions.items);
        if (!topic->topic.data || !topic->partitions.items)
            return false;
        memcpy(topic->partitions.items, from->partitions,
               (size_t)from->count * sizeof *from->partitions);
        topic->partitions.count = from->count;
    }
    ret->topics.count = partitions->count;
    return true;
}

static int describe_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    (void)turn;
    struct txn_describe_op *describe = container_of(op, struct txn_describe_op, op);
    const struct txn *txn = txn_find(state, describe->transactional_id);
    if (!txn)
        return KAFKA_TRANSACTIONAL_ID_NOT_FOUND;
    op->await_offset = txn->applied;
    struct describe_transactions_response_transaction_state *ret = describe->ret;
    ret->transaction_state = str_of(txn_state_name(txn->now.state));
    ret->transaction_timeout_ms = txn->now.timeout_ms;
    ret->transaction_start_time_ms = txn->now.start_ms;
    ret->producer_id = txn->now.producer_id;
    ret->producer_epoch = txn->now.producer_epoch;
    return describe_topics(&txn->now.partitions, describe->arena, ret) ? 0 : -ENOMEM;
}

void txn_describe_op(struct txn_describe_op *describe)
{
    coord_op_init(&describe->op);
    describe->op.access = COORD_READ;
    describe->op.decide = describe_decide;
}

/* ---- list ---- */

static int by_id(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* Filters may be as many as a request holds: they are gone through once, not for each id. */
static bool filters_prepare(struct txn_list_op *list)
{
    const struct list_transactions_request *filters = list->filters;
    int32_t count = filters->producer_id_filters.count > 0 ? filters->producer_id_filters.count : 0;
    if (list->producer_ids)
        return true;
    list->producer_ids = arena_array(list->arena, (size_t)count + 1, sizeof *list->producer_ids);
    if (!list->producer_ids)
        return false;
    for (int32_t i = 0; i < count; i++)
        list->producer_ids[i] = filters->producer_id_filters.items[i];
    qsort(list->producer_ids, (size_t)count, sizeof *list->producer_ids, by_id);
    for (int32_t i = 0; i < filters->state_filters.count; i++)
        for (int8_t state = 0; txn_state_name(state); state++)
            if (str_equal(filters->state_filters.items[i], str_of(txn_state_name(state))))
                list->states_asked |= 1U << state;
    return true;
}

static bool passes(const struct txn *txn, const struct txn_list_op *list, int64_t now_ms)
{
    const struct list_transactions_request *filters = list->filters;
    int32_t ids = filters->producer_id_filters.count;
    bool state = filters->state_filters.count <= 0 || (list->states_asked >> txn->now.state & 1);
    bool producer = ids <= 0 || bsearch(&txn->now.producer_id, list->producer_ids, (size_t)ids,
                                        sizeof *list->producer_ids, by_id);
    bool lasts = filters->duration_filter < 0 ||
                 coord_ms_since(now_ms, txn->now.start_ms) > filters->duration_filter;
    return state && producer && lasts;
}

static bool list_room(struct txn_list_op *list)
{
    if (list->count < list->capacity)
        return true;
    int32_t capacity = list->capacity ? list->capacity * 2 : 16;
    struct list_transactions_response_transaction_state *grown =
        list_transactions_response_transaction_state_array(list->arena, capacity);
    if (!grown)
        return false;
    if (list->count > 0)
        memcpy(grown, list->states, (size_t)list->count * sizeof *grown);
    list->states = grown;
    list->capacity = capacity;
    return true;
}

static int list_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct txn_list_op *list = container_of(op, struct txn_list_op, op);
    const struct txn_shard *shard = state;
    op->await_offset = coord_shard_applied(shard->shard);
    if (!filters_prepare(list))
        return -ENOMEM;
    for (struct map_at at = map_begin(&shard->txns); map_next(&shard->txns, &at);) {
        const struct txn *txn = *(struct txn **)at.value;
        if (txn->now.state == TXN_DEAD || !passes(txn, list, turn->wall_ms))
            continue;
        if (!list_room(list))
            return -ENOMEM;
        struct list_transactions_response_transaction_state *item = &list->states[list->count];
        item->transactional_id = arena_str(list->arena, txn->id);
        item->producer_id = txn->now.producer_id;
        item->transaction_state = str_of(txn_state_name(txn->now.state));
        if (!item->transactional_id.data)
            return -ENOMEM;
        list->count++;
    }
    return 0;
}

void txn_list_op(struct txn_list_op *list)
{
    coord_op_init(&list->op);
    list->op.access = COORD_READ;
    list->op.decide = list_decide;
}
