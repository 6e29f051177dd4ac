#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "txn_peer.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "record/batch.h"

/* ---- requests ---- */

void world_find_coordinator(struct world *world, int8_t type, const char *id)
{
    struct find_coordinator_request request;
    struct find_coordinator_response response;
    find_coordinator_request_init(&request);
    request.key = str_of(id);
    request.key_type = type;
    do {
        peer_call(world->peer, &world->arena, API_FIND_COORDINATOR, 3, &request, &response);
        sched_yield();
    } while (response.error_code == KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(response.error_code, 0);
    if (type != GROUP)
        return;
    /* It may be known before it has loaded: whoever is nobody's member is told so when it has. */
    struct heartbeat_request nobody;
    struct heartbeat_response heard;
    heartbeat_request_init(&nobody);
    nobody.group_id = str_of(id);
    nobody.member_id = STR("nobody");
    do {
        peer_call(world->peer, &world->arena, API_HEARTBEAT, 3, &nobody, &heard);
        sched_yield();
    } while (world_passes(heard.error_code));
}

bool world_passes(int16_t error)
{
    return error == KAFKA_COORDINATOR_NOT_AVAILABLE || error == KAFKA_NOT_COORDINATOR ||
           error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || error == KAFKA_CONCURRENT_TRANSACTIONS;
}

struct producer producer_of(struct world *world, const char *id)
{
    struct init_producer_id_request request;
    struct init_producer_id_response response;
    world_find_coordinator(world, TRANSACTION, id);
    init_producer_id_request_init(&request);
    request.transactional_id = str_of(id);
    request.transaction_timeout_ms = TIMEOUT_MS;
    request.producer_id = -1;
    request.producer_epoch = -1;
    do {
        peer_call(world->peer, &world->arena, API_INIT_PRODUCER_ID, 5, &request, &response);
        sched_yield();
    } while (world_passes(response.error_code));
    assert_int_equal(response.error_code, 0);
    return (struct producer){id, response.producer_id, response.producer_epoch};
}

int16_t txn_add(struct world *world, struct producer producer, const char *topic, int32_t index)
{
    struct add_partitions_to_txn_request request;
    struct add_partitions_to_txn_response response;
    add_partitions_to_txn_request_init(&request);
    request.v3_and_below_transactional_id = str_of(producer.id);
    request.v3_and_below_producer_id = producer.producer_id;
    request.v3_and_below_producer_epoch = producer.epoch;
    request.v3_and_below_topics.items = add_partitions_to_txn_request_topic_array(&world->arena, 1);
    request.v3_and_below_topics.count = 1;
    request.v3_and_below_topics.items[0].name = str_of(topic);
    request.v3_and_below_topics.items[0].partitions.items = &index;
    request.v3_and_below_topics.items[0].partitions.count = 1;
    peer_call(world->peer, &world->arena, API_ADD_PARTITIONS_TO_TXN, 3, &request, &response);
    assert_int_equal(response.results_by_topic_v3_and_below.count, 1);
    return response.results_by_topic_v3_and_below.items[0]
        .results_by_partition.items[0]
        .partition_error_code;
}

struct bytes txn_batch(struct world *world, struct producer producer, int32_t sequence)
{
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.attributes = BATCH_TRANSACTIONAL;
    builder.producer_id = producer.producer_id;
    builder.producer_epoch = producer.epoch;
    builder.base_sequence = sequence;
    batch_builder_add(&builder, 1700000000000, (struct bytes){0},
                      (struct bytes){(const uint8_t *)"x", 1}, NULL, 0);
    assert_int_equal(batch_builder_finish(&builder), 0);
    uint8_t *data = arena_alloc(&world->arena, builder.out.size);
    memcpy(data, builder.out.data, builder.out.size);
    struct bytes bytes = {data, (int32_t)builder.out.size};
    batch_builder_close(&builder);
    return bytes;
}

const struct produce_request *txn_produce_request(struct world *world, struct producer producer,
                                                  int16_t version, int32_t sequence,
                                                  const char *topic, int32_t index)
{
    struct produce_request *request = arena_alloc(&world->arena, sizeof *request);
    (void)version;
    *request = *produce_of(&world->arena, topic, index, -1, txn_batch(world, producer, sequence));
    request->transactional_id = str_of(producer.id);
    return request;
}

int16_t txn_produced(const struct produce_response *response)
{
    return response->responses.items[0].partition_responses.items[0].error_code;
}

int16_t txn_produce(struct world *world, struct producer producer, int16_t version,
                    int32_t sequence, const char *topic, int32_t index)
{
    struct produce_response response;
    peer_call(world->peer, &world->arena, API_PRODUCE, version,
              txn_produce_request(world, producer, version, sequence, topic, index), &response);
    return txn_produced(&response);
}

int16_t txn_end(struct world *world, int16_t version, struct producer *producer, bool commit)
{
    struct end_txn_request request;
    struct end_txn_response response;
    end_txn_request_init(&request);
    request.transactional_id = str_of(producer->id);
    request.producer_id = producer->producer_id;
    request.producer_epoch = producer->epoch;
    request.committed = commit;
    peer_call(world->peer, &world->arena, API_END_TXN, version, &request, &response);
    if (version >= 5 && response.error_code == 0) {
        producer->producer_id = response.producer_id;
        producer->epoch = response.producer_epoch;
    }
    return response.error_code;
}

const struct describe_transactions_response_transaction_state *txn_describe(struct world *world,
                                                                            const char *id)
{
    struct describe_transactions_request request;
    struct describe_transactions_response *response = arena_alloc(&world->arena, sizeof *response);
    struct str *ids = arena_alloc(&world->arena, sizeof *ids);
    describe_transactions_request_init(&request);
    *ids = str_of(id);
    request.transactional_ids = (struct str_array){ids, 1};
    peer_call(world->peer, &world->arena, API_DESCRIBE_TRANSACTIONS, 0, &request, response);
    assert_int_equal(response->transaction_states.count, 1);
    return &response->transaction_states.items[0];
}

void txn_until_state(struct world *world, const char *id, const char *state)
{
    while (!str_equal(txn_describe(world, id)->transaction_state, str_of(state)))
        sched_yield();
}

int64_t world_end_of(struct world *world, const char *topic, int32_t index,
                     enum isolation isolation)
{
    struct partition *partition = fixture_partition(world->fixture, topic, index);
    int64_t offset = partition_bound(partition, isolation).offset;
    partition_unref(partition);
    return offset;
}

int16_t txn_commit_offset(struct world *world, struct producer producer, int16_t version,
                          const char *group, int64_t offset)
{
    struct txn_offset_commit_request request;
    struct txn_offset_commit_response response;
    txn_offset_commit_request_init(&request);
    request.transactional_id = str_of(producer.id);
    request.group_id = str_of(group);
    request.producer_id = producer.producer_id;
    request.producer_epoch = producer.epoch;
    request.generation_id_or_member_epoch = -1;
    request.member_id = STR("");
    request.topics.items = txn_offset_commit_request_topic_array(&world->arena, 1);
    request.topics.count = 1;
    request.topics.items[0].name = STR("in");
    request.topics.items[0].partitions.items =
        txn_offset_commit_request_partition_array(&world->arena, 1);
    request.topics.items[0].partitions.count = 1;
    request.topics.items[0].partitions.items[0].committed_offset = offset;
    request.topics.items[0].partitions.items[0].committed_metadata = STR("");
    peer_call(world->peer, &world->arena, API_TXN_OFFSET_COMMIT, version, &request, &response);
    return response.topics.items[0].partitions.items[0].error_code;
}

int16_t txn_add_offsets(struct world *world, struct producer producer, const char *group)
{
    struct add_offsets_to_txn_request request;
    struct add_offsets_to_txn_response response;
    add_offsets_to_txn_request_init(&request);
    request.transactional_id = str_of(producer.id);
    request.producer_id = producer.producer_id;
    request.producer_epoch = producer.epoch;
    request.group_id = str_of(group);
    peer_call(world->peer, &world->arena, API_ADD_OFFSETS_TO_TXN, 3, &request, &response);
    return response.error_code;
}

int64_t group_committed(struct world *world, const char *group)
{
    static int32_t zero;
    struct offset_fetch_request request;
    struct offset_fetch_response response;
    offset_fetch_request_init(&request);
    request.group_id = str_of(group);
    request.require_stable = true;
    request.topics.items = offset_fetch_request_topic_array(&world->arena, 1);
    request.topics.count = 1;
    request.topics.items[0].name = STR("in");
    request.topics.items[0].partition_indexes.items = &zero;
    request.topics.items[0].partition_indexes.count = 1;
    peer_call(world->peer, &world->arena, API_OFFSET_FETCH, 7, &request, &response);
    assert_int_equal(response.error_code, 0);
    const struct offset_fetch_response_partition *partition =
        &response.topics.items[0].partitions.items[0];
    return partition->error_code == KAFKA_UNSTABLE_OFFSET_COMMIT ? -2 : partition->committed_offset;
}

int16_t txn_write_marker(struct world *world, struct producer producer, bool commit,
                         const char *topic, int32_t index)
{
    return txn_write_marker_as(world, 0, producer, commit, topic, index);
}

int16_t txn_write_marker_as(struct world *world, int32_t coordinator_epoch,
                            struct producer producer, bool commit, const char *topic, int32_t index)
{
    struct write_txn_markers_request request;
    struct write_txn_markers_response response;
    write_txn_markers_request_init(&request);
    request.markers.items = write_txn_markers_request_writable_txn_marker_array(&world->arena, 1);
    request.markers.count = 1;
    struct write_txn_markers_request_writable_txn_marker *marker = &request.markers.items[0];
    marker->producer_id = producer.producer_id;
    marker->producer_epoch = producer.epoch;
    marker->transaction_result = commit;
    marker->coordinator_epoch = coordinator_epoch;
    marker->topics.items =
        write_txn_markers_request_writable_txn_marker_topic_array(&world->arena, 1);
    marker->topics.count = 1;
    marker->topics.items[0].name = str_of(topic);
    marker->topics.items[0].partition_indexes.items = &index;
    marker->topics.items[0].partition_indexes.count = 1;
    peer_call(world->peer, &world->arena, API_WRITE_TXN_MARKERS, 1, &request, &response);
    return response.markers.items[0].topics.items[0].partitions.items[0].error_code;
}

/* ---- the node ---- */

int world_setup(void **state, const char *const *overrides)
{
    struct world *world = calloc(1, sizeof *world);
    arena_init(&world->arena, 0);
    world->fixture = broker_fixture_create(overrides);
    world->peer = peer_connect(world->fixture);
    peer_create_topic(world->peer, "in", 1);
    peer_create_topic(world->peer, "out", 2);
    world_find_coordinator(world, GROUP, "g");
    *state = world;
    return 0;
}

int world_teardown(void **state)
{
    struct world *world = *state;
    peer_close(world->peer);
    broker_fixture_destroy(world->fixture);
    arena_close(&world->arena);
    free(world);
    return 0;
}
