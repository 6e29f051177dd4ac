/* What young brokers got wrong in groups and transactions, each as a client of bare sockets meets
 * it: a test for every trap, named after it. docs/testing.md lists them with what else shows them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "group_peer.h"
#include "record/batch.h"
#include "txn_peer.h"

enum { MEMBERS = 12, ROUNDS = 3, V1 = 4, V2 = 5, COMMITTED = 1 };

static int setup(void **state)
{
    static const char *const overrides[] = {
        "offsets.topic.num.partitions=50",    "transaction.state.log.num.partitions=2",
        "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",    "transaction.max.timeout.ms=60000",
        "group.initial.rebalance.delay.ms=0", NULL};
    return world_setup(state, overrides);
}

/* ---- groups ---- */

/* All of them in one generation. Whoever was answered before the last ones came hears by its
 * heartbeat that it has to join again. */
static void gather(struct world *world, struct group_peer *members, int count)
{
    bool waits[MEMBERS];
    for (int i = 0; i < count; i++) {
        group_peer_open(&members[i], world->fixture, "g");
        member_join_ask(&members[i]);
        assert_int_equal(member_join_answer(&members[i]), KAFKA_MEMBER_ID_REQUIRED);
    }
    for (int i = 0; i < count; i++) {
        member_join_ask(&members[i]);
        waits[i] = true;
    }
    for (int gathered = 0; gathered < count; sched_yield()) {
        int32_t newest = 0;
        gathered = 0;
        for (int i = 0; i < count; i++) {
            if (waits[i] && peer_has_answer(members[i].peer)) {
                assert_int_equal(member_join_answer(&members[i]), 0);
                waits[i] = false;
            } else if (!waits[i] && member_heartbeat(&members[i]) == KAFKA_REBALANCE_IN_PROGRESS) {
                member_join_ask(&members[i]);
                waits[i] = true;
            }
            newest = members[i].generation > newest ? members[i].generation : newest;
        }
        for (int i = 0; i < count; i++)
            gathered += !waits[i] && members[i].generation == newest;
    }
}

static void all_sync(struct group_peer *members, int count)
{
    for (int i = 0; i < count; i++)
        member_sync_ask(&members[i]);
    for (int i = 0; i < count; i++) {
        assert_int_equal(member_sync_answer(&members[i]), 0);
        assert_string_equal(members[i].assignment, members[i].id);
    }
}

/* Members commit, send heartbeats and join again while others come and go: one that the coordinator
 * let in stays known to it, whatever overlaps. */
static void concurrent_rebalances_make_no_member_id_unknown(void **state)
{
    struct world *world = *state;
    struct group_peer members[MEMBERS];
    gather(world, members, MEMBERS);
    all_sync(members, MEMBERS);
    for (int round = 0; round < ROUNDS; round++) {
        int32_t generation = members[0].generation;
        int leader = 0;
        while (!members[leader].leads)
            leader++;
        for (int n = 0; n < MEMBERS; n++) {
            int i = (leader + n) % MEMBERS; /* a leader that joins again begins a rebalance */
            /* Whoever has not heard of the rebalance yet still is a member. */
            int16_t error = member_heartbeat(&members[i]);
            assert_true(error == 0 || error == KAFKA_REBALANCE_IN_PROGRESS);
            assert_int_equal(member_commit(&members[i], 0, i, ""), 0);
            struct group_peer gone; /* comes and goes while the others join */
            group_peer_open(&gone, world->fixture, "g");
            member_join_ask(&gone);
            assert_int_equal(member_join_answer(&gone), KAFKA_MEMBER_ID_REQUIRED);
            assert_int_equal(member_leave(&gone), 0);
            group_peer_close(&gone);
            member_join_ask(&members[i]);
        }
        for (int i = 0; i < MEMBERS; i++) {
            assert_int_equal(member_join_answer(&members[i]), 0);
            assert_true(members[i].generation > generation);
        }
        all_sync(members, MEMBERS);
        for (int i = 0; i < MEMBERS; i++)
            assert_int_equal(member_heartbeat(&members[i]), 0);
    }
    for (int i = 0; i < MEMBERS; i++)
        group_peer_close(&members[i]);
}

/* The one that leaves is not waited for, and what is left of the group goes on. */
static void leave_group_during_a_rebalance_lets_the_others_go_on(void **state)
{
    struct world *world = *state;
    struct group_peer members[3];
    gather(world, members, 3);
    all_sync(members, 3);
    int leader = members[0].leads ? 0 : members[1].leads ? 1 : 2, other = (leader + 1) % 3;
    int leaves = (leader + 2) % 3;
    member_join_ask(&members[leader]);
    while (member_heartbeat(&members[other]) != KAFKA_REBALANCE_IN_PROGRESS)
        sched_yield();
    member_join_ask(&members[other]);
    assert_int_equal(member_leave(&members[leaves]), 0);
    assert_int_equal(member_join_answer(&members[leader]), 0);
    assert_int_equal(member_join_answer(&members[other]), 0);
    assert_int_equal(
        members[leader].leads ? members[leader].member_count : members[other].member_count, 2);
    member_sync_ask(&members[leader]);
    member_sync_ask(&members[other]);
    assert_int_equal(member_sync_answer(&members[leader]), 0);
    assert_int_equal(member_sync_answer(&members[other]), 0);
    assert_int_equal(member_heartbeat(&members[leaves]), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(member_leave(&members[leaves]), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(member_heartbeat(&members[other]), 0);
    for (int i = 0; i < 3; i++)
        group_peer_close(&members[i]);
}

static const struct offset_fetch_response_group *
fetch_offsets(struct world *world, const char *group, const char *topic, int32_t partition)
{
    struct offset_fetch_request request;
    struct offset_fetch_response *response = arena_alloc(&world->arena, sizeof *response);
    struct offset_fetch_request_group asked;
    struct offset_fetch_request_topics topics;
    offset_fetch_request_init(&request);
    offset_fetch_request_group_init(&asked);
    offset_fetch_request_topics_init(&topics);
    asked.group_id = str_of(group);
    topics.name = str_of(topic);
    topics.partition_indexes.items = &partition;
    topics.partition_indexes.count = 1;
    asked.topics.items = &topics;
    asked.topics.count = 1;
    request.groups.items = &asked;
    request.groups.count = 1;
    peer_call(world->peer, &world->arena, API_OFFSET_FETCH, 9, &request, response);
    assert_int_equal(response->groups.count, 1);
    return &response->groups.items[0];
}

static void restart(struct world *world)
{
    peer_close(world->peer);
    assert_int_equal(broker_fixture_stop(world->fixture), 0);
    assert_int_equal(broker_fixture_start(world->fixture), 0);
    world->peer = peer_connect(world->fixture);
}

static void the_metadata_of_a_commit_is_not_lost(void **state)
{
    static const char metadata[] = "position of \xc3\xa9, \xf0\x9f\x98\x80 and \"quotes\"";
    struct world *world = *state;
    struct group_peer nobody;
    group_peer_open(&nobody, world->fixture, "g");
    assert_int_equal(member_commit(&nobody, 0, 17, metadata), 0);
    group_peer_close(&nobody);
    for (int round = 0; round < 2; round++) {
        const struct offset_fetch_response_group *group = fetch_offsets(world, "g", "in", 0);
        while (group->error_code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS ||
               group->error_code == KAFKA_NOT_COORDINATOR)
            group = fetch_offsets(world, "g", "in", 0);
        assert_int_equal(group->error_code, 0);
        const struct offset_fetch_response_partitions *part =
            &group->topics.items[0].partitions.items[0];
        assert_int_equal(part->committed_offset, 17);
        assert_true(str_equal(part->metadata, str_of(metadata)));
        restart(world);
    }
}

static void unknown_groups_and_topics_in_offset_fetch_are_no_error(void **state)
{
    struct world *world = *state;
    struct group_peer nobody;
    group_peer_open(&nobody, world->fixture, "g");
    assert_int_equal(member_commit(&nobody, 0, 17, ""), 0);
    group_peer_close(&nobody);
    const struct {
        const char *group, *topic;
        int32_t partition;
    } unknown[] = {{"stranger", "in", 0}, {"g", "nowhere", 0}, {"g", "in", 99}, {"g", "out", 0}};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        world_find_coordinator(world, GROUP, unknown[i].group);
        const struct offset_fetch_response_group *group =
            fetch_offsets(world, unknown[i].group, unknown[i].topic, unknown[i].partition);
        assert_int_equal(group->error_code, 0);
        assert_int_equal(group->topics.count, 1);
        const struct offset_fetch_response_partitions *part =
            &group->topics.items[0].partitions.items[0];
        assert_int_equal(part->error_code, 0);
        assert_int_equal(part->committed_offset, -1);
        assert_int_equal(part->committed_leader_epoch, -1);
        assert_int_equal(part->metadata.size, 0);
    }
}

/* The coordinator's partition of an id is where Apache Kafka looks for it: it grows, no other does.
 * The numbers are a JVM's. */
static void ids_with_an_accent_an_emoji_and_a_hash_of_int_min_are_where_kafka_looks(void **state)
{
    static const struct {
        const char *id;
        int32_t partition;
    } expected[] = {{"\xc3\xa9", 33}, {"\xf0\x9f\x98\x80", 49}, {"polygenelubricants", 0}};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        int64_t before[50];
        struct group_peer nobody;
        world_find_coordinator(world, GROUP, expected[i].id);
        for (int32_t p = 0; p < 50; p++)
            before[p] = world_end_of(world, "__consumer_offsets", p, READ_UNCOMMITTED);
        group_peer_open(&nobody, world->fixture, expected[i].id);
        assert_int_equal(member_commit(&nobody, 0, 17, ""), 0);
        group_peer_close(&nobody);
        for (int32_t p = 0; p < 50; p++)
            assert_int_equal(world_end_of(world, "__consumer_offsets", p, READ_UNCOMMITTED),
                             before[p] + (p == expected[i].partition));
    }
}

/* On a broker that has just come to be nobody is a coordinator: clients are told to come again, not
 * that their group or transaction is unknown. */
static void a_cold_coordinator_tells_clients_to_come_again(void **state)
{
    struct world *world = *state;
    struct group_peer member;
    group_peer_open(&member, world->fixture, "g");
    assert_int_equal(member_commit(&member, 0, 17, ""), 0);
    group_peer_close(&member);
    struct producer producer = producer_of(world, "t");
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0);
    restart(world);
    group_peer_open(&member, world->fixture, "g");
    int16_t error;
    while ((error = member_commit(&member, 0, 18, "")) != 0)
        assert_true(error == KAFKA_NOT_COORDINATOR || error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    group_peer_close(&member);
    while ((error = txn_end(world, V2, &producer, true)) != 0)
        assert_true(world_passes(error));
}

/* ---- transactions ---- */

struct aborts {
    int64_t producers[64];
    int32_t count;
};

/* Whether a reader of committed records passes over this batch; the end of an abort is its last. */
static bool is_aborted(struct aborts *aborts, const struct batch *batch)
{
    for (int32_t i = 0; i < aborts->count && batch_is_transactional(batch); i++) {
        if (aborts->producers[i] != batch->producer_id)
            continue;
        if (batch_is_control(batch))
            aborts->producers[i] = aborts->producers[--aborts->count];
        return true;
    }
    return false;
}

/* Where the answer ends. */
static int64_t read_answer(const struct fetch_response_partition_data *data, int64_t offset,
                           struct aborts *aborts, int32_t *records)
{
    int32_t next = 0;
    struct batch batch;
    for (int32_t at = 0; at < data->records.size; at += batch.size) {
        size_t left = (size_t)(data->records.size - at);
        assert_int_equal(batch_read(data->records.data + at, left, &batch), 0);
        for (; next < data->aborted_transactions.count &&
               data->aborted_transactions.items[next].first_offset <= batch.base_offset;
             next++)
            aborts->producers[aborts->count++] = data->aborted_transactions.items[next].producer_id;
        if (!is_aborted(aborts, &batch) && !batch_is_control(&batch))
            *records += batch.record_count;
        offset = batch_last_offset(&batch) + 1;
    }
    return offset;
}

/* How many records a consumer of committed ones gets from the partition, by the protocol's rules.
 */
static int32_t read_committed(struct world *world, const char *topic)
{
    int32_t records = 0;
    for (int64_t offset = 0, before = -1; offset > before;) {
        struct aborts aborts = {.count = 0};
        struct fetch_response response;
        struct fetch_request *request = fetch_of(&world->arena, topic, 0, offset);
        request->isolation_level = COMMITTED;
        request->max_wait_ms = 0;
        peer_call(world->peer, &world->arena, API_FETCH, 12, request, &response);
        const struct fetch_response_partition_data *data =
            &response.responses.items[0].partitions.items[0];
        assert_int_equal(data->error_code, 0);
        before = offset;
        offset = read_answer(data, offset, &aborts, &records);
    }
    return records;
}

static void aborted_records_are_not_visible_to_readers_of_committed_ones(void **state)
{
    struct world *world = *state;
    struct producer old = producer_of(world, "old"), young = producer_of(world, "young");
    int32_t committed = 0, sequence = 0;
    for (int i = 0; i < 6; i++) {
        /* Two transactions that overlap, of both generations of clients. */
        assert_int_equal(txn_add(world, old, "out", 0), 0);
        assert_int_equal(txn_produce(world, old, VERIFIES, sequence++, "out", 0), 0);
        assert_int_equal(txn_produce(world, young, ADDS, 0, "out", 0), 0);
        assert_int_equal(read_committed(world, "out"), committed);
        bool commits = i % 3 == 0;
        assert_int_equal(txn_end(world, V2, &young, commits), 0);
        txn_until_state(world, "young", commits ? "CompleteCommit" : "CompleteAbort");
        assert_int_equal(read_committed(world, "out"), committed); /* the older is open */
        assert_int_equal(txn_end(world, V1, &old, !commits), 0);
        txn_until_state(world, "old", commits ? "CompleteAbort" : "CompleteCommit");
        committed++;
        assert_int_equal(read_committed(world, "out"), committed);
    }
}

static int16_t init(struct world *world, int32_t timeout_ms)
{
    struct init_producer_id_request request;
    struct init_producer_id_response response;
    init_producer_id_request_init(&request);
    request.transactional_id = STR("t");
    request.transaction_timeout_ms = timeout_ms;
    request.producer_id = -1;
    request.producer_epoch = -1;
    peer_call(world->peer, &world->arena, API_INIT_PRODUCER_ID, 5, &request, &response);
    return response.error_code;
}

static void a_transaction_timeout_above_the_maximum_is_refused(void **state)
{
    struct world *world = *state;
    (void)producer_of(world, "t"); /* so that only the timeout can be wrong */
    assert_int_equal(init(world, 60000), 0);
    assert_int_equal(init(world, 60001), KAFKA_INVALID_TRANSACTION_TIMEOUT);
    assert_int_equal(init(world, INT32_MAX), KAFKA_INVALID_TRANSACTION_TIMEOUT);
    assert_int_equal(init(world, 0), KAFKA_INVALID_TRANSACTION_TIMEOUT);
    assert_int_equal(init(world, -1), KAFKA_INVALID_TRANSACTION_TIMEOUT);
    assert_int_equal(init(world, 1), 0);
}

static void a_retried_end_txn_after_the_next_transaction_began_ends_nothing(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t"), before = producer;
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0);
    assert_int_equal(txn_end(world, V2, &producer, true), 0);
    txn_until_state(world, "t", "CompleteCommit");
    /* The answer was lost; nothing has begun: told the same again. */
    struct producer again = before;
    assert_int_equal(txn_end(world, V2, &again, true), 0);
    assert_int_equal(again.epoch, producer.epoch);
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0);
    for (int commit = 0; commit < 2; commit++) {
        again = before;
        assert_int_equal(txn_end(world, V2, &again, commit), KAFKA_PRODUCER_FENCED);
    }
    assert_true(str_equal(txn_describe(world, "t")->transaction_state, STR("Ongoing")));
    assert_int_equal(txn_end(world, V2, &producer, false), 0);
    txn_until_state(world, "t", "CompleteAbort");
    assert_int_equal(read_committed(world, "out"), 1);
}

static int64_t offset_at(struct world *world, int64_t timestamp, int8_t isolation)
{
    struct list_offsets_request request;
    struct list_offsets_response response;
    struct list_offsets_request_topic topic;
    struct list_offsets_request_partition part;
    list_offsets_request_init(&request);
    list_offsets_request_topic_init(&topic);
    list_offsets_request_partition_init(&part);
    request.replica_id = -1;
    request.isolation_level = isolation;
    topic.name = STR("out");
    part.timestamp = timestamp;
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    peer_call(world->peer, &world->arena, API_LIST_OFFSETS, 8, &request, &response);
    assert_int_equal(response.topics.items[0].partitions.items[0].error_code, 0);
    return response.topics.items[0].partitions.items[0].offset;
}

/* Readers of committed records find no offset that they could not read from, others do; an abort's
 * records and the markers count as records at their times. */
static void list_offsets_by_timestamp_inside_transactions_ends_where_the_reader_does(void **state)
{
    enum { STAMP = 1000 };
    const int64_t first = 1700000000000;
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    peer_produce(world->peer, "out", 0, 1);                               /* 0 */
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0); /* 1 */
    for (int8_t level = 0; level <= COMMITTED; level++) {
        assert_int_equal(offset_at(world, first, level), 0);
        assert_int_equal(offset_at(world, first - STAMP, level), 0);
        assert_int_equal(offset_at(world, first + STAMP, level), -1);
        assert_int_equal(offset_at(world, -1, level), level == COMMITTED ? 1 : 2);
        assert_int_equal(offset_at(world, -2, level), 0);
    }
    assert_int_equal(txn_end(world, V2, &producer, false), 0); /* 2, stamped with the wall clock */
    txn_until_state(world, "t", "CompleteAbort");
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0); /* 3 */
    for (int8_t level = 0; level <= COMMITTED; level++) {
        assert_int_equal(offset_at(world, first + STAMP, level), 2);
        assert_int_equal(offset_at(world, -1, level), level == COMMITTED ? 3 : 4);
    }
    assert_int_equal(txn_end(world, V2, &producer, true), 0); /* 4 */
    txn_until_state(world, "t", "CompleteCommit");
    assert_int_equal(offset_at(world, -1, COMMITTED), 5);
    assert_int_equal(offset_at(world, -3, COMMITTED), offset_at(world, -3, 0));
}

/* ---- what nobody promises ---- */

/* Version 1 has one epoch for all transactions, so nothing but its place in the order of sequence
 * numbers tells a batch of the last one from those of the next. */
static void a_delayed_batch_of_an_older_client_may_become_part_of_the_next_transaction(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    assert_int_equal(txn_add(world, producer, "out", 0), 0);
    assert_int_equal(txn_produce(world, producer, VERIFIES, 0, "out", 0), 0);
    assert_int_equal(txn_end(world, V1, &producer, false), 0);
    txn_until_state(world, "t", "CompleteAbort");
    /* Its second batch was delayed. Nothing is open: */
    assert_int_equal(txn_produce(world, producer, VERIFIES, 1, "out", 0),
                     KAFKA_TRANSACTION_ABORTABLE);
    assert_int_equal(txn_add(world, producer, "out", 0), 0);
    assert_int_equal(txn_produce(world, producer, VERIFIES, 2, "out", 0),
                     KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(txn_produce(world, producer, VERIFIES, 1, "out", 0), 0);
    assert_int_equal(txn_end(world, V1, &producer, true), 0);
    txn_until_state(world, "t", "CompleteCommit");
    assert_int_equal(read_committed(world, "out"), 1);
}

static void readers_see_the_partitions_of_a_transaction_one_by_one(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    struct partition *held = fixture_partition(world->fixture, "out", 1);
    for (int32_t i = 0; i < 2; i++)
        assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", i), 0);
    while (!parklock_try(&held->append_lock)) /* the marker of out-1 has to wait */
        sched_yield();
    assert_int_equal(txn_end(world, V2, &producer, true), 0);
    while (read_committed(world, "out") == 0)
        sched_yield();
    assert_int_equal(partition_bound(held, READ_COMMITTED).offset, 0);
    assert_true(str_equal(txn_describe(world, "t")->transaction_state, STR("PrepareCommit")));
    parklock_release(&held->append_lock);
    partition_unref(held);
    txn_until_state(world, "t", "CompleteCommit");
    assert_int_equal(world_end_of(world, "out", 1, READ_COMMITTED), 2);
}

static void two_phase_commit_is_refused(void **state)
{
    static const char *const settings[] = {"log.dirs=/tmp/x", "listeners=PLAINTEXT://127.0.0.1:0",
                                           "transaction.two.phase.commit.enable=true"};
    struct world *world = *state;
    struct config_messages messages = {0};
    struct broker_config *config = NULL;
    assert_int_not_equal(
        broker_config_load((struct bytes){NULL, 0}, settings, 3, &messages, &config), 0);
    assert_non_null(
        strstr(config_messages_error(&messages), "transaction.two.phase.commit.enable"));
    config_messages_close(&messages);
    /* The version in which a producer could ask for it is not served. */
    struct init_producer_id_request request;
    init_producer_id_request_init(&request);
    request.transactional_id = STR("t");
    request.transaction_timeout_ms = 60000;
    request.producer_id = -1;
    request.producer_epoch = -1;
    request.enable2_pc = true;
    int peer = peer_connect(world->fixture);
    peer_ask(peer, API_INIT_PRODUCER_ID, 6, 1, &request);
    assert_true(peer_is_closed(peer));
    peer_close(peer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(concurrent_rebalances_make_no_member_id_unknown),
        TEST(leave_group_during_a_rebalance_lets_the_others_go_on),
        TEST(the_metadata_of_a_commit_is_not_lost),
        TEST(unknown_groups_and_topics_in_offset_fetch_are_no_error),
        TEST(ids_with_an_accent_an_emoji_and_a_hash_of_int_min_are_where_kafka_looks),
        TEST(a_cold_coordinator_tells_clients_to_come_again),
        TEST(aborted_records_are_not_visible_to_readers_of_committed_ones),
        TEST(a_transaction_timeout_above_the_maximum_is_refused),
        TEST(a_retried_end_txn_after_the_next_transaction_began_ends_nothing),
        TEST(list_offsets_by_timestamp_inside_transactions_ends_where_the_reader_does),
        TEST(a_delayed_batch_of_an_older_client_may_become_part_of_the_next_transaction),
        TEST(readers_see_the_partitions_of_a_transaction_one_by_one),
        TEST(two_phase_commit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
