/* Transactions on a node of its own, by a client of bare sockets: what is asked before a batch or a
 * commit of offsets is appended, and where the markers go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "broker_fixture.h"
#include "record/batch.h"

enum {
    GROUP = 0,
    TRANSACTION = 1,
    VERIFIES = 11, /* Produce of clients that add partitions themselves */
    ADDS = 12,     /* and of those whose first batch does */
    TIMEOUT_MS = 60000,
};

struct world {
    struct broker_fixture *fixture;
    struct arena arena;
    int peer;
};

struct producer {
    const char *id;
    int64_t producer_id;
    int16_t epoch;
};

/* ---- requests ---- */

static void find_coordinator(struct world *world, int8_t type, const char *id)
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
}

static bool passes(int16_t error)
{
    return error == KAFKA_COORDINATOR_NOT_AVAILABLE || error == KAFKA_NOT_COORDINATOR ||
           error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || error == KAFKA_CONCURRENT_TRANSACTIONS;
}

static struct producer producer_of(struct world *world, const char *id)
{
    struct init_producer_id_request request;
    struct init_producer_id_response response;
    find_coordinator(world, TRANSACTION, id);
    init_producer_id_request_init(&request);
    request.transactional_id = str_of(id);
    request.transaction_timeout_ms = TIMEOUT_MS;
    request.producer_id = -1;
    request.producer_epoch = -1;
    do {
        peer_call(world->peer, &world->arena, API_INIT_PRODUCER_ID, 5, &request, &response);
        sched_yield();
    } while (passes(response.error_code));
    assert_int_equal(response.error_code, 0);
    return (struct producer){id, response.producer_id, response.producer_epoch};
}

static int16_t add(struct world *world, struct producer producer, const char *topic, int32_t index)
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

static struct bytes batch_of(struct world *world, struct producer producer, int32_t sequence)
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

static const struct produce_request *produce_by(struct world *world, struct producer producer,
                                                int16_t version, int32_t sequence,
                                                const char *topic, int32_t index)
{
    struct produce_request *request = arena_alloc(&world->arena, sizeof *request);
    (void)version;
    *request = *produce_of(&world->arena, topic, index, -1, batch_of(world, producer, sequence));
    request->transactional_id = str_of(producer.id);
    return request;
}

static int16_t produced(const struct produce_response *response)
{
    return response->responses.items[0].partition_responses.items[0].error_code;
}

static int16_t produce(struct world *world, struct producer producer, int16_t version,
                       int32_t sequence, const char *topic, int32_t index)
{
    struct produce_response response;
    peer_call(world->peer, &world->arena, API_PRODUCE, version,
              produce_by(world, producer, version, sequence, topic, index), &response);
    return produced(&response);
}

static int16_t end_as(struct world *world, int16_t version, struct producer *producer, bool commit)
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

static const struct describe_transactions_response_transaction_state *describe(struct world *world,
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

static void until_state(struct world *world, const char *id, const char *state)
{
    while (!str_equal(describe(world, id)->transaction_state, str_of(state)))
        sched_yield();
}

/* Where readers of committed records stop, and where the others do. */
static int64_t end_of(struct world *world, const char *topic, int32_t index,
                      enum isolation isolation)
{
    struct partition *partition = fixture_partition(world->fixture, topic, index);
    int64_t offset = partition_bound(partition, isolation).offset;
    partition_unref(partition);
    return offset;
}

static int16_t commit_offset(struct world *world, struct producer producer, int16_t version,
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

static int16_t add_offsets(struct world *world, struct producer producer, const char *group)
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

/* The group's offset of in-0 as a consumer asks for it; -2: a transaction has one pending. */
static int64_t committed(struct world *world, const char *group)
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

static int16_t write_marker(struct world *world, struct producer producer, bool commit,
                            const char *topic, int32_t index)
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
    marker->coordinator_epoch = 0;
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

static int setup_with(void **state, const char *const *overrides)
{
    struct world *world = calloc(1, sizeof *world);
    arena_init(&world->arena, 0);
    world->fixture = broker_fixture_create(overrides);
    world->peer = peer_connect(world->fixture);
    peer_create_topic(world->peer, "in", 1);
    peer_create_topic(world->peer, "out", 2);
    find_coordinator(world, GROUP, "g");
    *state = world;
    return 0;
}

static const char *const few[] = {
    "offsets.topic.num.partitions=2",     "transaction.state.log.num.partitions=2",
    "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",    NULL};

static int setup(void **state)
{
    return setup_with(state, few);
}

static int setup_unverified(void **state)
{
    static const char *const overrides[] = {"offsets.topic.num.partitions=2",
                                            "transaction.state.log.num.partitions=2",
                                            "offsets.topic.replication.factor=1",
                                            "transaction.state.log.replication.factor=1",
                                            "transaction.state.log.min.isr=1",
                                            "transaction.partition.verification.enable=false",
                                            NULL};
    return setup_with(state, overrides);
}

static int teardown(void **state)
{
    struct world *world = *state;
    peer_close(world->peer);
    broker_fixture_destroy(world->fixture);
    arena_close(&world->arena);
    free(world);
    return 0;
}

static void lock_appends(struct partition *partition)
{
    while (!parklock_try(&partition->append_lock))
        sched_yield();
}

/* ---- batches ---- */

static void a_batch_of_an_older_client_needs_its_partition_in_the_transaction(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    assert_int_equal(produce(world, producer, VERIFIES, 0, "out", 0), KAFKA_TRANSACTION_ABORTABLE);
    assert_int_equal(produce(world, producer, VERIFIES - 1, 0, "out", 0), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(add(world, producer, "out", 0), 0);
    assert_int_equal(produce(world, producer, VERIFIES, 0, "out", 0), 0);
    assert_int_equal(produce(world, producer, VERIFIES, 0, "out", 1), KAFKA_TRANSACTION_ABORTABLE);
    assert_int_equal(end_of(world, "out", 1, READ_UNCOMMITTED), 0);
    assert_int_equal(end_as(world, 4, &producer, true), 0);
}

static void a_batch_of_a_newer_client_adds_its_partition(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    int16_t first = producer.epoch;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(produce(world, producer, ADDS, 0, "out", 1), 0);
        const struct describe_transactions_response_transaction_state *now = describe(world, "t");
        assert_true(str_equal(now->transaction_state, STR("Ongoing")));
        assert_true(str_equal(now->topics.items[0].topic, STR("out")));
        assert_int_equal(now->topics.items[0].partitions.items[0], 1);
        /* At once, while the markers may still be on their way. */
        assert_int_equal(end_as(world, 5, &producer, i % 2 == 0), 0);
    }
    assert_int_equal(producer.epoch, first + 20);
    until_state(world, "t", "CompleteAbort");
    assert_int_equal(end_of(world, "out", 1, READ_UNCOMMITTED), 40);
    assert_int_equal(end_of(world, "out", 1, READ_COMMITTED), 40);
}

static void another_epoch_or_an_unknown_transaction_is_refused(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    struct producer old = producer, stranger = producer;
    producer = producer_of(world, "t"); /* the next instance */
    assert_int_equal(add(world, producer, "out", 0), 0);
    stranger.id = "nobody";
    for (int16_t version = VERIFIES; version <= ADDS; version++) {
        assert_int_equal(produce(world, old, version, 0, "out", 0), KAFKA_INVALID_PRODUCER_EPOCH);
        assert_int_equal(produce(world, stranger, version, 0, "out", 0),
                         KAFKA_INVALID_PRODUCER_ID_MAPPING);
    }
    assert_int_equal(end_of(world, "out", 0, READ_UNCOMMITTED), 0);
}

/* One of them would be vouched for by the other's transaction, and nobody would ever end its own.
 */
static void a_request_with_two_producers_is_refused(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t"), other = producer;
    struct produce_response response;
    other.producer_id += 1000;
    const struct produce_request *one = produce_by(world, producer, ADDS, 0, "out", 0);
    const struct produce_request *two = produce_by(world, other, ADDS, 0, "out", 1);
    struct produce_request both = *one;
    both.topic_data.items = produce_request_topic_produce_data_array(&world->arena, 2);
    both.topic_data.count = 2;
    both.topic_data.items[0] = one->topic_data.items[0];
    both.topic_data.items[1] = two->topic_data.items[0];
    peer_call(world->peer, &world->arena, API_PRODUCE, ADDS, &both, &response);
    assert_int_equal(produced(&response), KAFKA_INVALID_PRODUCER_ID_MAPPING);
    assert_int_equal(end_of(world, "out", 0, READ_UNCOMMITTED), 0);
    assert_int_equal(end_of(world, "out", 1, READ_UNCOMMITTED), 0);
}

static void a_new_transaction_waits_for_the_markers_of_the_last(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    struct partition *held = fixture_partition(world->fixture, "out", 0);
    assert_int_equal(produce(world, producer, ADDS, 0, "out", 0), 0);
    lock_appends(held); /* the marker cannot be written */
    assert_int_equal(end_as(world, 5, &producer, true), 0);
    assert_int_equal(produce(world, producer, ADDS, 0, "out", 1), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(add(world, producer, "out", 1), KAFKA_CONCURRENT_TRANSACTIONS);
    parklock_release(&held->append_lock);
    partition_unref(held);
    until_state(world, "t", "CompleteCommit");
    assert_int_equal(produce(world, producer, ADDS, 0, "out", 1), 0);
    assert_int_equal(end_as(world, 5, &producer, true), 0);
}

/* The coordinator cannot append, the client goes: nothing of the request is left behind. */
static void a_client_that_goes_while_its_transaction_is_asked_for_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    struct partition *held[2];
    for (int32_t i = 0; i < 2; i++) {
        held[i] = fixture_partition(world->fixture, "__transaction_state", i);
        lock_appends(held[i]);
    }
    int gone = peer_connect(world->fixture);
    peer_ask(gone, API_PRODUCE, ADDS, 1, produce_by(world, producer, ADDS, 0, "out", 0));
    for (bool waits = false; !waits; sched_yield())
        for (int32_t i = 0; i < 2; i++) {
            pthread_mutex_lock(&held[i]->append_lock.mutex);
            waits |= !list_empty(&held[i]->append_lock.waiters);
            pthread_mutex_unlock(&held[i]->append_lock.mutex);
        }
    peer_close(gone);
    for (int32_t i = 0; i < 2; i++) {
        parklock_release(&held[i]->append_lock);
        partition_unref(held[i]);
    }
    /* Whether its batch was appended or not, its transaction ends, and the next one is served. */
    until_state(world, "t", "Ongoing");
    assert_int_equal(end_as(world, 5, &producer, false), 0);
    until_state(world, "t", "CompleteAbort");
    assert_int_equal(produce(world, producer, ADDS, 0, "out", 0), 0);
    assert_int_equal(end_as(world, 5, &producer, true), 0);
    until_state(world, "t", "CompleteCommit");
    assert_int_equal(end_of(world, "out", 0, READ_COMMITTED),
                     end_of(world, "out", 0, READ_UNCOMMITTED));
}

/* ---- markers ---- */

static void delete_topic(struct world *world, const char *name)
{
    struct delete_topics_request request;
    struct delete_topics_response response;
    struct str topic = str_of(name);
    delete_topics_request_init(&request);
    request.topic_names = (struct str_array){&topic, 1};
    request.timeout_ms = TIMEOUT_MS;
    peer_call(world->peer, &world->arena, API_DELETE_TOPICS, 5, &request, &response);
    assert_int_equal(response.responses.items[0].error_code, 0);
}

static void a_topic_that_was_deleted_meanwhile_does_not_hold_up_the_end(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    peer_create_topic(world->peer, "gone", 1);
    assert_int_equal(produce(world, producer, ADDS, 0, "gone", 0), 0);
    assert_int_equal(produce(world, producer, ADDS, 0, "out", 0), 0);
    assert_int_equal(produce(world, producer, ADDS, 0, "out", 1), 0);
    delete_topic(world, "gone");
    assert_int_equal(end_as(world, 5, &producer, true), 0);
    until_state(world, "t", "CompleteCommit");
    for (int32_t i = 0; i < 2; i++) {
        assert_int_equal(end_of(world, "out", i, READ_UNCOMMITTED), 2);
        assert_int_equal(end_of(world, "out", i, READ_COMMITTED), 2);
    }
}

static void a_restart_finds_the_transaction_and_ends_it(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    assert_int_equal(produce(world, producer, ADDS, 0, "out", 0), 0);
    peer_close(world->peer);
    assert_int_equal(broker_fixture_stop(world->fixture), 0);
    assert_int_equal(broker_fixture_start(world->fixture), 0);
    world->peer = peer_connect(world->fixture);
    find_coordinator(world, TRANSACTION, "t");
    int16_t error;
    while (passes(error = end_as(world, 5, &producer, true)))
        sched_yield();
    assert_int_equal(error, 0);
    until_state(world, "t", "CompleteCommit");
    assert_int_equal(end_of(world, "out", 0, READ_COMMITTED), 2);
}

static void a_transaction_that_hangs_is_ended_by_a_marker(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t"), older = producer;
    /* Nobody asked the coordinator, so it knows of nothing to end. */
    producer.epoch = 3;
    older.epoch = 2;
    assert_int_equal(produce(world, producer, VERIFIES, 0, "out", 0), 0);
    assert_int_equal(end_of(world, "out", 0, READ_COMMITTED), 0);
    assert_true(str_equal(describe(world, "t")->transaction_state, STR("Empty")));
    assert_int_equal(write_marker(world, older, false, "out", 0), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(write_marker(world, producer, false, "out", 7),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(write_marker(world, producer, false, "nowhere", 0),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(end_of(world, "out", 0, READ_COMMITTED), 0);
    assert_int_equal(write_marker(world, producer, false, "out", 0), 0);
    assert_int_equal(end_of(world, "out", 0, READ_COMMITTED), 2);
}

/* ---- offsets of groups ---- */

static void offsets_are_visible_when_their_transaction_is_committed(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    assert_int_equal(commit_offset(world, producer, 5, "g", 10), 0);
    assert_int_equal(committed(world, "g"), -2);
    assert_int_equal(end_as(world, 5, &producer, true), 0);
    until_state(world, "t", "CompleteCommit");
    assert_int_equal(committed(world, "g"), 10);
    assert_int_equal(commit_offset(world, producer, 5, "g", 20), 0);
    assert_int_equal(end_as(world, 5, &producer, false), 0);
    until_state(world, "t", "CompleteAbort");
    assert_int_equal(committed(world, "g"), 10);
}

static void offsets_of_an_older_client_need_their_group_in_the_transaction(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    assert_int_equal(commit_offset(world, producer, 4, "g", 10), KAFKA_TRANSACTION_ABORTABLE);
    assert_int_equal(commit_offset(world, producer, 3, "g", 10), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(add_offsets(world, producer, "g"), 0);
    assert_int_equal(commit_offset(world, producer, 3, "g", 10), 0);
    assert_int_equal(end_as(world, 4, &producer, true), 0);
    until_state(world, "t", "CompleteCommit");
    assert_int_equal(committed(world, "g"), 10);
    /* One that was delayed cannot open the transaction again. */
    assert_int_equal(commit_offset(world, producer, 3, "g", 5), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(committed(world, "g"), 10);
}

/* Of the check of an older client that is still under way. */
static void check(struct partition *const partitions[2], struct producer producer,
                  int64_t ret_tokens[2])
{
    for (int32_t i = 0; i < 2; i++) {
        lock_appends(partitions[i]);
        ret_tokens[i] = partition_verification_begin(partitions[i], producer.producer_id,
                                                     producer.epoch, -1, false);
        parklock_release(&partitions[i]->append_lock);
        assert_true(ret_tokens[i] > 0);
    }
}

/* A commit of offsets that was asked for and answered with yes, and then delayed, comes with a
 * token that is worth nothing any more. */
static void the_end_of_a_transaction_takes_back_what_was_verified_for_its_offsets(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    struct partition *const partitions[2] = {
        fixture_partition(world->fixture, "__consumer_offsets", 0),
        fixture_partition(world->fixture, "__consumer_offsets", 1)};
    int64_t before[2], after[2];
    assert_int_equal(add_offsets(world, producer, "g"), 0);
    check(partitions, producer, before);
    check(partitions, producer, after);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(end_as(world, 4, &producer, false), 0);
    until_state(world, "t", "CompleteAbort");
    check(partitions, producer, after);
    assert_int_equal((before[0] != after[0]) + (before[1] != after[1]), 1); /* the group's */
    partition_unref(partitions[0]);
    partition_unref(partitions[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_of_an_older_client_needs_its_partition_in_the_transaction),
        TEST(a_batch_of_a_newer_client_adds_its_partition),
        TEST(another_epoch_or_an_unknown_transaction_is_refused),
        TEST(a_request_with_two_producers_is_refused),
        TEST(a_new_transaction_waits_for_the_markers_of_the_last),
        TEST(a_client_that_goes_while_its_transaction_is_asked_for_leaves_nothing),
        TEST(a_topic_that_was_deleted_meanwhile_does_not_hold_up_the_end),
        TEST(a_restart_finds_the_transaction_and_ends_it),
        cmocka_unit_test_setup_teardown(a_transaction_that_hangs_is_ended_by_a_marker,
                                        setup_unverified, teardown),
        TEST(offsets_are_visible_when_their_transaction_is_committed),
        TEST(offsets_of_an_older_client_need_their_group_in_the_transaction),
        TEST(the_end_of_a_transaction_takes_back_what_was_verified_for_its_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
