/* The calls that a copier makes. */
#include "copier_life.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "record/batch.h"

/* What the two kinds of clients speak. */
enum { PRODUCE_NEWER = 12, PRODUCE_OLDER = 11, COMMIT_NEWER = 5, COMMIT_OLDER = 3 };
enum { END_NEWER = 5, END_OLDER = 4 };

int find_group(struct copier *copier)
{
    return life_find(&copier->life, str_of(copier->group), 0);
}

int find_transaction(struct copier *copier)
{
    return life_find(&copier->life, str_of(copier->id), 1);
}

int init_producer(struct copier *copier)
{
    struct init_producer_id_request message;
    init_producer_id_request_init(&message);
    message.transactional_id = str_of(copier->id);
    message.transaction_timeout_ms = 30000;
    message.producer_id = -1;
    message.producer_epoch = -1;
    const struct init_producer_id_response *response =
        call(copier, API_INIT_PRODUCER_ID, 5, &message);
    if (!response)
        return -1;
    copier->producer_id = response->producer_id;
    copier->epoch = response->producer_epoch;
    memset(copier->sequence, 0, sizeof copier->sequence);
    return response->error_code;
}

int fetch_position(struct copier *copier, int32_t share, int64_t *ret_offset)
{
    struct offset_fetch_request_topic topic = {.name = COPY_INPUT,
                                               .partition_indexes = {&share, 1}};
    struct offset_fetch_request message;
    offset_fetch_request_init(&message);
    message.group_id = str_of(copier->group);
    message.topics.items = &topic;
    message.topics.count = 1;
    message.require_stable = true;
    const struct offset_fetch_response *response = call(copier, API_OFFSET_FETCH, 7, &message);
    if (!response)
        return -1;
    if (response->error_code != 0)
        return response->error_code;
    must(response->topics.count == 1 && response->topics.items[0].partitions.count == 1);
    const struct offset_fetch_response_partition *found =
        &response->topics.items[0].partitions.items[0];
    if (found->error_code == 0)
        *ret_offset = found->committed_offset;
    return found->error_code;
}

/* ---- a transaction ---- */

int add_partition(struct copier *copier, int32_t partition)
{
    struct add_partitions_to_txn_request_topic topic = {.name = COPY_TOPIC,
                                                        .partitions = {&partition, 1}};
    struct add_partitions_to_txn_request message;
    add_partitions_to_txn_request_init(&message);
    message.v3_and_below_transactional_id = str_of(copier->id);
    message.v3_and_below_producer_id = copier->producer_id;
    message.v3_and_below_producer_epoch = copier->epoch;
    message.v3_and_below_topics.items = &topic;
    message.v3_and_below_topics.count = 1;
    const struct add_partitions_to_txn_response *response =
        call(copier, API_ADD_PARTITIONS_TO_TXN, 3, &message);
    if (!response || response->results_by_topic_v3_and_below.count != 1)
        return -1;
    return response->results_by_topic_v3_and_below.items[0]
        .results_by_partition.items[0]
        .partition_error_code;
}

int send_record(struct copier *copier, int16_t epoch, int32_t partition, int32_t share,
                int32_t input, int32_t attempt)
{
    struct batch_builder builder;
    char text[64];
    int size = snprintf(text, sizeof text, "%d %d %d", share, input, attempt);
    batch_builder_init(&builder, 0);
    builder.attributes = BATCH_TRANSACTIONAL;
    builder.producer_id = copier->producer_id;
    builder.producer_epoch = epoch;
    builder.base_sequence = copier->sequence[partition];
    batch_builder_add(&builder, env_wall_ms(copier->life.loop.env), (struct bytes){0},
                      (struct bytes){(const uint8_t *)text, size}, NULL, 0);
    must(batch_builder_finish(&builder) == 0);
    struct produce_request_partition_produce_data data = {
        .index = partition,
        .records = {.data = builder.out.data, .size = (int32_t)builder.out.size}};
    struct produce_request_topic_produce_data topic;
    produce_request_topic_produce_data_init(&topic);
    topic.name = COPY_TOPIC;
    topic.partition_data.items = &data;
    topic.partition_data.count = 1;
    struct produce_request message;
    produce_request_init(&message);
    message.transactional_id = str_of(copier->id);
    message.acks = -1;
    message.timeout_ms = 10000;
    message.topic_data.items = &topic;
    message.topic_data.count = 1;
    const struct produce_response *response =
        call(copier, API_PRODUCE, copier->plan->newer ? PRODUCE_NEWER : PRODUCE_OLDER, &message);
    batch_builder_close(&builder);
    if (!response || response->responses.count != 1)
        return -1;
    return response->responses.items[0].partition_responses.items[0].error_code;
}

/* The error of the partition that fared worst: they are committed together. */
static int worst_of(const struct txn_offset_commit_response_topic *topic)
{
    int worst = 0;
    for (int32_t i = 0; i < topic->partitions.count; i++)
        if (topic->partitions.items[i].error_code != 0)
            worst = topic->partitions.items[i].error_code;
    return worst;
}

int commit_positions(struct copier *copier, int16_t epoch, const int32_t positions[COPY_SHARES],
                     int32_t generation)
{
    struct txn_offset_commit_request_partition partitions[COPY_SHARES];
    struct txn_offset_commit_request_topic topic;
    struct txn_offset_commit_request message;
    txn_offset_commit_request_init(&message);
    txn_offset_commit_request_topic_init(&topic);
    topic.name = COPY_INPUT;
    topic.partitions.items = partitions;
    for (int32_t share = 0; share < COPY_SHARES; share++) {
        if (positions[share] < 0)
            continue;
        struct txn_offset_commit_request_partition *part = &partitions[topic.partitions.count++];
        txn_offset_commit_request_partition_init(part);
        part->partition_index = share;
        part->committed_offset = positions[share];
        part->committed_metadata = STR("");
    }
    message.transactional_id = str_of(copier->id);
    message.group_id = str_of(copier->group);
    message.producer_id = copier->producer_id;
    message.producer_epoch = epoch;
    message.generation_id_or_member_epoch = generation;
    message.member_id = str_of(copier->place.id);
    message.topics.items = &topic;
    message.topics.count = 1;
    const struct txn_offset_commit_response *response = call(
        copier, API_TXN_OFFSET_COMMIT, copier->plan->newer ? COMMIT_NEWER : COMMIT_OLDER, &message);
    if (!response || response->topics.count != 1)
        return -1;
    return worst_of(&response->topics.items[0]);
}

int add_group(struct copier *copier)
{
    struct add_offsets_to_txn_request message;
    add_offsets_to_txn_request_init(&message);
    message.transactional_id = str_of(copier->id);
    message.group_id = str_of(copier->group);
    message.producer_id = copier->producer_id;
    message.producer_epoch = copier->epoch;
    const struct add_offsets_to_txn_response *response =
        call(copier, API_ADD_OFFSETS_TO_TXN, 3, &message);
    return response ? response->error_code : -1;
}

int end_transaction(struct copier *copier, int16_t epoch, bool commit, int64_t *ret_id,
                    int16_t *ret_epoch)
{
    struct end_txn_request message;
    end_txn_request_init(&message);
    message.transactional_id = str_of(copier->id);
    message.producer_id = copier->producer_id;
    message.producer_epoch = epoch;
    message.committed = commit;
    const struct end_txn_response *response =
        call(copier, API_END_TXN, copier->plan->newer ? END_NEWER : END_OLDER, &message);
    if (!response)
        return -1;
    if (response->error_code == 0 && copier->plan->newer) {
        *ret_id = response->producer_id;
        *ret_epoch = response->producer_epoch;
    }
    return response->error_code;
}

int look_for_end(struct copier *copier)
{
    struct str id = str_of(copier->id);
    struct describe_transactions_request message;
    describe_transactions_request_init(&message);
    message.transactional_ids = (struct str_array){&id, 1};
    const struct describe_transactions_response *response =
        call(copier, API_DESCRIBE_TRANSACTIONS, 0, &message);
    if (!response || response->transaction_states.count != 1)
        return -1;
    const struct describe_transactions_response_transaction_state *found =
        &response->transaction_states.items[0];
    bool complete = str_equal(found->transaction_state, STR("CompleteCommit")) ||
                    str_equal(found->transaction_state, STR("CompleteAbort"));
    return found->error_code ? found->error_code : complete ? 0 : KAFKA_CONCURRENT_TRANSACTIONS;
}
