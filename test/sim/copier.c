#include "copier_life.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "history.h"
#include "record/batch.h"

/* What the two kinds of clients speak. */
enum { PRODUCE_NEWER = 12, PRODUCE_OLDER = 11, COMMIT_NEWER = 5, COMMIT_OLDER = 3 };
enum { END_NEWER = 5, END_OLDER = 4 };

/* ---- beginning ---- */

static int find(struct copier *copier, int8_t type)
{
    struct find_coordinator_request message;
    find_coordinator_request_init(&message);
    message.key = str_of(copier->id);
    message.key_type = type;
    const struct find_coordinator_response *response =
        call(copier, API_FIND_COORDINATOR, 3, &message);
    return response ? response->error_code : -1;
}

static int find_group(struct copier *copier)
{
    return find(copier, 0);
}

static int find_transaction(struct copier *copier)
{
    return find(copier, 1);
}

static int init_producer(struct copier *copier)
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

/* Whether the position is one that the copies allow; the fate of the last attempt is then known. */
static void take_position(struct copier *copier, int64_t offset)
{
    struct copies *copies = copier->copies;
    int32_t index = copier->plan->index, last = copies->last_attempt[index];
    int32_t known = copies->position[index];
    int32_t position = offset < 0 ? 0 : (int32_t)offset;
    struct attempt *attempt = last >= 0 ? &copies->attempts[last] : NULL;
    bool asked = attempt && attempt->fate == FATE_ASKED;
    if (position != known && !(asked && position == known + attempt->count))
        history_fail("copier %d: the position is %d, and should be %d", index, position, known);
    if (asked) {
        attempt->fate = position == known ? FATE_NEVER : FATE_COMMITTED;
        copies->commits += position != known;
    }
    copies->position[index] = copier->position = position;
    copies->last_attempt[index] = -1;
}

static int fetch_position(struct copier *copier)
{
    int32_t partition = copier->plan->index;
    struct offset_fetch_request_topic topic = {.name = COPY_TOPIC,
                                               .partition_indexes = {&partition, 1}};
    struct offset_fetch_request message;
    offset_fetch_request_init(&message);
    message.group_id = str_of(copier->id);
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
        take_position(copier, found->committed_offset);
    return found->error_code;
}

/* ---- a transaction ---- */

static int add_partition(struct copier *copier, int32_t partition)
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

static int send_record(struct copier *copier, int16_t epoch, int32_t partition, int32_t input,
                       int32_t attempt)
{
    struct batch_builder builder;
    char text[64];
    int size = snprintf(text, sizeof text, "%d %d %d", copier->plan->index, input, attempt);
    batch_builder_init(&builder, 0);
    builder.attributes = BATCH_TRANSACTIONAL;
    builder.producer_id = copier->producer_id;
    builder.producer_epoch = epoch;
    builder.base_sequence = copier->sequence[partition];
    batch_builder_add(&builder, env_wall_ms(copier->loop.env), (struct bytes){0},
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

static int commit_position(struct copier *copier, int16_t epoch, int32_t position)
{
    struct txn_offset_commit_request_partition partition;
    struct txn_offset_commit_request_topic topic;
    struct txn_offset_commit_request message;
    txn_offset_commit_request_init(&message);
    txn_offset_commit_request_topic_init(&topic);
    txn_offset_commit_request_partition_init(&partition);
    partition.partition_index = copier->plan->index;
    partition.committed_offset = position;
    partition.committed_metadata = STR("");
    topic.name = COPY_TOPIC;
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    message.transactional_id = message.group_id = str_of(copier->id);
    message.producer_id = copier->producer_id;
    message.producer_epoch = epoch;
    message.generation_id_or_member_epoch = -1;
    message.member_id = STR("");
    message.topics.items = &topic;
    message.topics.count = 1;
    const struct txn_offset_commit_response *response = call(
        copier, API_TXN_OFFSET_COMMIT, copier->plan->newer ? COMMIT_NEWER : COMMIT_OLDER, &message);
    if (!response || response->topics.count != 1)
        return -1;
    return response->topics.items[0].partitions.items[0].error_code;
}

static int add_group(struct copier *copier)
{
    struct add_offsets_to_txn_request message;
    add_offsets_to_txn_request_init(&message);
    message.transactional_id = message.group_id = str_of(copier->id);
    message.producer_id = copier->producer_id;
    message.producer_epoch = copier->epoch;
    const struct add_offsets_to_txn_response *response =
        call(copier, API_ADD_OFFSETS_TO_TXN, 3, &message);
    return response ? response->error_code : -1;
}

/* The epoch that the next transaction has, in *ret_epoch, with 0. */
static int end(struct copier *copier, int16_t epoch, bool commit, int64_t *ret_id,
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

/* Each record once, then the position. False: the life of this producer is over. */
static bool write_attempt(struct copier *copier, int32_t number)
{
    const struct attempt *attempt = &copier->copies->attempts[number];
    int error, tries = 0;
    for (int32_t i = 0; i < attempt->count; i++) {
        int32_t input = attempt->first + i, partition = (int32_t)dice(copier, COPY_PARTITIONS);
        do
            error = copier->plan->newer ? 0 : add_partition(copier, partition);
        while (wait_for(copier, error, &tries));
        if (error != 0)
            return false;
        do
            error = send_record(copier, copier->epoch, partition, input, number);
        while (wait_for(copier, error, &tries));
        if (error != 0)
            return false;
        copier->sequence[partition]++;
    }
    do
        error = copier->plan->newer ? 0 : add_group(copier);
    while (wait_for(copier, error, &tries));
    if (error != 0)
        return false;
    do
        error = commit_position(copier, copier->epoch, attempt->first + attempt->count);
    while (wait_for(copier, error, &tries));
    return error == 0;
}

/* 0 when the markers of the last transaction are written. */
static int look_for_end(struct copier *copier)
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

/* What was sent before the end of the transaction and arrives after it must not open anything.
 * Until its markers are written it would be part of it, as with Kafka. False: no answer came, and
 * an older client's may yet arrive in its next transaction, so that must have another epoch. */
static bool be_late(struct copier *copier, int16_t old_epoch)
{
    struct copies *copies = copier->copies;
    int error;
    if (insist(copier, look_for_end) != 0)
        return false;
    if (dice(copier, 2) == 0) {
        int32_t number = copies->attempt_count++;
        must(number < COPY_ATTEMPTS_MAX);
        copies->attempts[number] = (struct attempt){.copier = copier->plan->index};
        error = send_record(copier, old_epoch, 0, copier->position, number);
    } else {
        error = commit_position(copier, old_epoch, COPY_INPUTS_MAX);
    }
    if (error == 0)
        history_fail("copier %d: what came after the end of its transaction was taken",
                     copier->plan->index);
    return error > 0;
}

static struct attempt *attempt_begin(struct copier *copier)
{
    struct copies *copies = copier->copies;
    must(copies->attempt_count < COPY_ATTEMPTS_MAX);
    struct attempt *attempt = &copies->attempts[copies->attempt_count];
    *attempt = (struct attempt){.copier = copier->plan->index,
                                .first = copier->position,
                                .count = 1 + (int32_t)dice(copier, 4)};
    copies->last_attempt[copier->plan->index] = copies->attempt_count++;
    must(attempt->first + attempt->count < COPY_INPUTS_MAX);
    return attempt;
}

static bool end_attempt(struct copier *copier, struct attempt *attempt)
{
    struct copies *copies = copier->copies;
    bool commit = dice(copier, 4) != 0;
    int64_t id = copier->producer_id, again_id = id;
    int16_t before = copier->epoch, epoch = before, again_epoch;
    int error, tries = 0;
    if (commit)
        attempt->fate = FATE_ASKED;
    do
        error = end(copier, before, commit, &id, &epoch);
    while (wait_for(copier, error, &tries));
    if (error != 0)
        return false;
    if (copier->plan->newer && dice(copier, 4) == 0) { /* the answer was lost, say */
        again_epoch = epoch;
        error = end(copier, before, commit, &again_id, &again_epoch);
        if (error == 0 && (again_id != id || again_epoch != epoch))
            history_fail("copier %d: a repeated end has another answer", copier->plan->index);
    }
    if (commit) {
        attempt->fate = FATE_COMMITTED;
        copies->commits++;
        copier->position += attempt->count;
        copies->position[attempt->copier] = copier->position;
        copies->last_attempt[attempt->copier] = -1;
    }
    if (dice(copier, 4) == 0 && !be_late(copier, before))
        return false;
    if (copier->plan->newer)
        memset(copier->sequence, 0, sizeof copier->sequence);
    copier->producer_id = id;
    copier->epoch = epoch;
    return true;
}

static void copy(struct copier *copier)
{
    while (!copier->copies->stop) {
        struct attempt *attempt = attempt_begin(copier);
        int32_t number = (int32_t)(attempt - copier->copies->attempts);
        if (!write_attempt(copier, number) || !end_attempt(copier, attempt))
            return;
        rest(copier, (int64_t)dice(copier, 30));
    }
}

void copier_main(struct env *env, void *plan)
{
    struct copier *copier = life_begin(env, plan);
    int32_t index = copier->plan->index;
    while (insist(copier, make_topic) != 0 || insist(copier, find_group) != 0 ||
           insist(copier, find_transaction) != 0)
        ;
    for (;;) {
        while (insist(copier, init_producer) != 0 || insist(copier, fetch_position) != 0)
            ;
        if (copier->copies->stop)
            break;
        copy(copier); /* until it fails: then with a new epoch */
    }
    copier->copies->idle[index] = true;
    life_end(copier);
}
