/* The fold: from the records of __transaction_state to the transactional ids of a shard. */
#include <stdlib.h>

#include "metadata/topic_names.h"
#include "txn/txn_private.h"

enum {
    /* What decoding one record may take. */
    TXN_DECODE_MAX_BYTES = 64 * 1024 * 1024,
};

struct txn *txn_find(const struct txn_shard *shard, struct str id)
{
    struct txn **found = map_find_str(&shard->txns, id);
    return found ? *found : NULL;
}

int txn_partitions_copy(const struct txn_partitions *from, struct txn_partitions *ret)
{
    size_t names = 0, numbers = 0;
    for (int32_t t = 0; t < from->count; t++) {
        names += (size_t)from->topics[t].name.size;
        numbers += (size_t)from->topics[t].count;
    }
    *ret = (struct txn_partitions){0};
    if (from->count == 0)
        return 0;
    size_t topics_bytes = (size_t)from->count * sizeof *ret->topics;
    uint8_t *block = malloc(topics_bytes + numbers * sizeof(int32_t) + names);
    if (!block)
        return -ENOMEM;
    struct txn_topic *topics = (struct txn_topic *)block;
    int32_t *number = (int32_t *)(block + topics_bytes);
    char *name = (char *)(number + numbers);
    for (int32_t t = 0; t < from->count; t++) {
        const struct txn_topic *topic = &from->topics[t];
        topics[t] = (struct txn_topic){{name, topic->name.size}, number, topic->count};
        if (topic->name.size > 0)
            memcpy(name, topic->name.data, (size_t)topic->name.size);
        name += topic->name.size;
        if (topic->count > 0)
            memcpy(number, topic->partitions, (size_t)topic->count * sizeof *number);
        number += topic->count;
    }
    *ret = (struct txn_partitions){topics, from->count};
    return 0;
}

static void *shard_create(struct coord_shard *coord_shard, void *context)
{
    struct txn_shard *shard = calloc(1, sizeof *shard);
    if (!shard)
        return NULL;
    uint64_t seed;
    env_random(coord_shard_env(coord_shard), &seed, sizeof seed);
    shard->shard = coord_shard;
    shard->host = context;
    map_init(&shard->txns, MAP_STR, sizeof(struct txn *), seed);
    txn_sweep_init(shard);
    return shard;
}

static void txn_free(struct txn *txn)
{
    txn_markers_drop(txn);
    free(txn->partitions_block);
    free(txn);
}

static void shard_destroy(void *state)
{
    struct txn_shard *shard = state;
    for (struct map_at at = map_begin(&shard->txns); map_next(&shard->txns, &at);)
        txn_free(*(struct txn **)at.value);
    map_close(&shard->txns);
    free(shard);
}

/* The known one, or a new one that says nothing yet; NULL: out of memory. */
static struct txn *txn_get(struct txn_shard *shard, struct str id)
{
    struct txn *txn = txn_find(shard, id);
    if (txn)
        return txn;
    txn = calloc(1, sizeof *txn + (size_t)id.size);
    if (!txn)
        return NULL;
    txn->id = (struct str){(const char *)(txn + 1), id.size};
    if (id.size > 0)
        memcpy(txn + 1, id.data, (size_t)id.size);
    txn->shard = shard;
    txn->last_epoch = -1;
    coord_effect_init(&txn->effect, txn_markers_released);
    txn_timeout_init(txn);
    struct txn **place;
    if (map_put_str(&shard->txns, txn->id, &place) < 0) {
        txn_free(txn);
        return NULL;
    }
    *place = txn;
    return txn;
}

static void txn_forget(struct txn_shard *shard, struct str id)
{
    struct txn *txn;
    if (!map_remove_str(&shard->txns, id, &txn))
        return;
    coord_timer_cancel(shard->shard, &txn->timeout);
    coord_effect_cancel(&txn->effect);
    txn_free(txn); /* markers under way find that it is gone */
}

static bool take_values(struct txn *txn, const struct transaction_log_value *value,
                        struct arena *arena)
{
    int32_t count = value->transaction_partitions.count;
    if (count < 0 || value->transaction_status == TXN_EMPTY) /* as Kafka reads it */
        count = 0;
    struct txn_partitions partitions = {
        .topics = arena_array(arena, (size_t)count + 1, sizeof *partitions.topics),
        .count = count,
    };
    if (!partitions.topics)
        return false;
    for (int32_t t = 0; t < count; t++) {
        const struct transaction_log_value_partitions_schema *topic =
            &value->transaction_partitions.items[t];
        partitions.topics[t] = (struct txn_topic){topic->topic, topic->partition_ids.items,
                                                  topic->partition_ids.count};
    }
    struct txn_partitions sorted, owned;
    if (!txn_partitions_sort(&partitions, arena, &sorted) || txn_partitions_copy(&sorted, &owned))
        return false;
    free(txn->partitions_block);
    txn->partitions_block = owned.topics;
    txn->now = (struct txn_values){
        .producer_id = value->producer_id,
        .previous_producer_id = value->previous_producer_id,
        .next_producer_id = value->next_producer_id,
        .producer_epoch = value->producer_epoch,
        .client_version = value->client_transaction_version,
        .state = value->transaction_status,
        .timeout_ms = value->transaction_timeout_ms,
        .start_ms = value->transaction_start_timestamp_ms,
        .update_ms = value->transaction_last_update_timestamp_ms,
        .partitions = owned,
    };
    return true;
}

static bool skip(struct txn_shard *shard, const struct coord_record *record, const char *what)
{
    if (shard->unreadable++ == 0)
        say_warn(coord_shard_say(shard->shard),
                 "a record of the transaction log cannot be read and is skipped",
                 kv_text("unknown", what), kv_int("offset", record->offset));
    return true;
}

static bool apply_in(struct txn_shard *shard, const struct coord_record *record,
                     struct arena *arena)
{
    const struct coordinator_record_type *type;
    void *decoded;
    int err = coordinator_key_decode(COORDINATOR_TRANSACTION, record->key, arena, &type, &decoded);
    if (err != 0)
        return err != -ENOMEM && skip(shard, record, err == -ENOTSUP ? "type" : "key");
    struct str id = ((const struct transaction_log_key *)decoded)->transactional_id;
    if (!record->value.data) {
        txn_forget(shard, id);
        return true;
    }
    int16_t version;
    err = versioned_decode(type->value, record->value, arena, &version, &decoded);
    if (err != 0)
        return err != -ENOMEM && skip(shard, record, err == -ENOTSUP ? "version" : "value");
    const struct transaction_log_value *value = decoded;
    if (!txn_state_name(value->transaction_status))
        return skip(shard, record, "state");
    struct txn *txn = txn_get(shard, id);
    if (!txn || !take_values(txn, value, arena))
        return false;
    txn->applied = record->offset + 1;
    return true;
}

static bool shard_apply(void *state, const struct coord_record *record)
{
    struct arena arena;
    arena_init(&arena, TXN_DECODE_MAX_BYTES);
    bool done = apply_in(state, record, &arena);
    arena_close(&arena);
    return done;
}

/* Nobody writes transactions into this log. */
static bool shard_mark(void *state, const struct coord_marker *marker)
{
    (void)state;
    (void)marker;
    return true;
}

static void shard_loaded(void *state, const struct coord_turn *turn)
{
    struct txn_shard *shard = state;
    for (struct map_at at = map_begin(&shard->txns); map_next(&shard->txns, &at);)
        txn_follow_state(*(struct txn **)at.value, turn);
    txn_sweep_arm(shard, turn);
}

static void shard_unloaded(void *state, struct wakes *wakes)
{
    (void)state; /* markers under way end by themselves */
    (void)wakes;
}

const struct coord_fold txn_fold = {
    .name = "transaction",
    .topic = TRANSACTION_TOPIC,
    .create = shard_create,
    .destroy = shard_destroy,
    .apply = shard_apply,
    .mark = shard_mark,
    .loaded = shard_loaded,
    .unloaded = shard_unloaded,
};
