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
#include "txn_peer.h"

/* ---- the node ---- */

static const char *const few[] = {
    "offsets.topic.num.partitions=2",     "transaction.state.log.num.partitions=2",
    "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",    NULL};

static int setup(void **state)
{
    return world_setup(state, few);
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
    return world_setup(state, overrides);
}

/* A loaded disk does not count as a slow one: then markers would be the pool's. */
static int setup_inline(void **state)
{
    static const char *const overrides[] = {"offsets.topic.num.partitions=2",
                                            "transaction.state.log.num.partitions=2",
                                            "offsets.topic.replication.factor=1",
                                            "transaction.state.log.replication.factor=1",
                                            "transaction.state.log.min.isr=1",
                                            "jackdaw.disk.slow.ms=600000",
                                            NULL};
    return world_setup(state, overrides);
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
    assert_int_equal(txn_produce(world, producer, VERIFIES, 0, "out", 0),
                     KAFKA_TRANSACTION_ABORTABLE);
    assert_int_equal(txn_produce(world, producer, VERIFIES - 1, 0, "out", 0),
                     KAFKA_INVALID_TXN_STATE);
    assert_int_equal(txn_add(world, producer, "out", 0), 0);
    assert_int_equal(txn_produce(world, producer, VERIFIES, 0, "out", 0), 0);
    assert_int_equal(txn_produce(world, producer, VERIFIES, 0, "out", 1),
                     KAFKA_TRANSACTION_ABORTABLE);
    assert_int_equal(world_end_of(world, "out", 1, READ_UNCOMMITTED), 0);
    assert_int_equal(txn_end(world, 4, &producer, true), 0);
}

static void a_batch_of_a_newer_client_adds_its_partition(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    int16_t first = producer.epoch;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 1), 0);
        const struct describe_transactions_response_transaction_state *now =
            txn_describe(world, "t");
        assert_true(str_equal(now->transaction_state, STR("Ongoing")));
        assert_true(str_equal(now->topics.items[0].topic, STR("out")));
        assert_int_equal(now->topics.items[0].partitions.items[0], 1);
        /* At once, while the markers may still be on their way. */
        assert_int_equal(txn_end(world, 5, &producer, i % 2 == 0), 0);
    }
    assert_int_equal(producer.epoch, first + 20);
    txn_until_state(world, "t", "CompleteAbort");
    assert_int_equal(world_end_of(world, "out", 1, READ_UNCOMMITTED), 40);
    assert_int_equal(world_end_of(world, "out", 1, READ_COMMITTED), 40);
}

static void another_epoch_or_an_unknown_transaction_is_refused(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    struct producer old = producer, stranger = producer, nobody = producer;
    producer = producer_of(world, "t"); /* the next instance */
    assert_int_equal(txn_add(world, producer, "out", 0), 0);
    stranger.id = "nobody";
    nobody.id = "";
    for (int16_t version = VERIFIES; version <= ADDS; version++) {
        assert_int_equal(txn_produce(world, old, version, 0, "out", 0),
                         KAFKA_INVALID_PRODUCER_EPOCH);
        assert_int_equal(txn_produce(world, stranger, version, 0, "out", 0),
                         KAFKA_INVALID_PRODUCER_ID_MAPPING);
        assert_int_equal(txn_produce(world, nobody, version, 0, "out", 0), KAFKA_INVALID_REQUEST);
    }
    assert_int_equal(world_end_of(world, "out", 0, READ_UNCOMMITTED), 0);
}

/* One of them would be vouched for by the other's transaction, and nobody would ever end its own.
 */
static void a_request_with_two_producers_is_refused(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t"), other = producer;
    struct produce_response response;
    other.producer_id += 1000;
    const struct produce_request *one = txn_produce_request(world, producer, ADDS, 0, "out", 0);
    const struct produce_request *two = txn_produce_request(world, other, ADDS, 0, "out", 1);
    struct produce_request both = *one;
    both.topic_data.items = produce_request_topic_produce_data_array(&world->arena, 2);
    both.topic_data.count = 2;
    both.topic_data.items[0] = one->topic_data.items[0];
    both.topic_data.items[1] = two->topic_data.items[0];
    peer_call(world->peer, &world->arena, API_PRODUCE, ADDS, &both, &response);
    assert_int_equal(txn_produced(&response), KAFKA_INVALID_PRODUCER_ID_MAPPING);
    assert_int_equal(world_end_of(world, "out", 0, READ_UNCOMMITTED), 0);
    assert_int_equal(world_end_of(world, "out", 1, READ_UNCOMMITTED), 0);
}

static void a_new_transaction_waits_for_the_markers_of_the_last(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    struct partition *held = fixture_partition(world->fixture, "out", 0);
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0);
    lock_appends(held); /* the marker cannot be written */
    assert_int_equal(txn_end(world, 5, &producer, true), 0);
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 1),
                     KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(txn_add(world, producer, "out", 1), KAFKA_CONCURRENT_TRANSACTIONS);
    parklock_release(&held->append_lock);
    partition_unref(held);
    txn_until_state(world, "t", "CompleteCommit");
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 1), 0);
    assert_int_equal(txn_end(world, 5, &producer, true), 0);
}

/* Wherever the coordinator's shard lives: two loops, two partitions, and ids of both. AddPartitions
 * is not held back as a batch is, so it tells. */
static void a_transaction_is_complete_before_its_clients_next_request(void **state)
{
    struct world *world = *state;
    static const char *const ids[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct producer producer = producer_of(world, ids[i]);
        for (int n = 0; n < 20; n++) {
            assert_int_equal(txn_add(world, producer, "out", n % 2), 0);
            assert_int_equal(txn_end(world, 5, &producer, n % 3 != 0), 0);
        }
    }
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
    peer_ask(gone, API_PRODUCE, ADDS, 1, txn_produce_request(world, producer, ADDS, 0, "out", 0));
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
    txn_until_state(world, "t", "Ongoing");
    assert_int_equal(txn_end(world, 5, &producer, false), 0);
    txn_until_state(world, "t", "CompleteAbort");
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0);
    assert_int_equal(txn_end(world, 5, &producer, true), 0);
    txn_until_state(world, "t", "CompleteCommit");
    assert_int_equal(world_end_of(world, "out", 0, READ_COMMITTED),
                     world_end_of(world, "out", 0, READ_UNCOMMITTED));
}

/* ---- markers ---- */

static void a_topic_that_was_deleted_meanwhile_does_not_hold_up_the_end(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    peer_create_topic(world->peer, "gone", 1);
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "gone", 0), 0);
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0);
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 1), 0);
    peer_delete_topic(world->peer, "gone");
    assert_int_equal(txn_end(world, 5, &producer, true), 0);
    txn_until_state(world, "t", "CompleteCommit");
    for (int32_t i = 0; i < 2; i++) {
        assert_int_equal(world_end_of(world, "out", i, READ_UNCOMMITTED), 2);
        assert_int_equal(world_end_of(world, "out", i, READ_COMMITTED), 2);
    }
}

static void a_restart_finds_the_transaction_and_ends_it(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    assert_int_equal(txn_produce(world, producer, ADDS, 0, "out", 0), 0);
    peer_close(world->peer);
    assert_int_equal(broker_fixture_stop(world->fixture), 0);
    assert_int_equal(broker_fixture_start(world->fixture), 0);
    world->peer = peer_connect(world->fixture);
    world_find_coordinator(world, TRANSACTION, "t");
    int16_t error;
    while (world_passes(error = txn_end(world, 5, &producer, true)))
        sched_yield();
    assert_int_equal(error, 0);
    txn_until_state(world, "t", "CompleteCommit");
    assert_int_equal(world_end_of(world, "out", 0, READ_COMMITTED), 2);
}

static void a_transaction_that_hangs_is_ended_by_a_marker(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t"), older = producer;
    /* Nobody asked the coordinator, so it knows of nothing to end. */
    producer.epoch = 3;
    older.epoch = 2;
    assert_int_equal(txn_produce(world, producer, VERIFIES, 0, "out", 0), 0);
    assert_int_equal(world_end_of(world, "out", 0, READ_COMMITTED), 0);
    assert_true(str_equal(txn_describe(world, "t")->transaction_state, STR("Empty")));
    assert_int_equal(txn_write_marker(world, older, false, "out", 0), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(txn_write_marker(world, producer, false, "out", 7),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(txn_write_marker(world, producer, false, "nowhere", 0),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(world_end_of(world, "out", 0, READ_COMMITTED), 0);
    assert_int_equal(txn_write_marker(world, producer, false, "out", 0), 0);
    assert_int_equal(world_end_of(world, "out", 0, READ_COMMITTED), 2);
}

/* Somebody sends a marker as if of a coordinator that will never be: the true one is fenced in that
 * partition. As long as records wait there for their end the transaction has not come to it. */
static void a_transaction_is_not_complete_where_its_marker_is_fenced(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    assert_int_equal(txn_add(world, producer, "out", 0), 0);
    assert_int_equal(txn_produce(world, producer, VERIFIES, 0, "out", 0), 0);
    assert_int_equal(txn_write_marker_as(world, INT32_MAX, producer, false, "out", 0), 0);
    assert_int_equal(txn_produce(world, producer, VERIFIES, 1, "out", 0), 0);
    assert_int_equal(txn_end(world, 4, &producer, true), 0);
    for (int i = 0; i < 3; i++) { /* by then the marker was tried */
        struct producer other = producer_of(world, "u");
        assert_int_equal(txn_produce(world, other, ADDS, 0, "out", 1), 0);
        assert_int_equal(txn_end(world, 5, &other, true), 0);
        txn_until_state(world, "u", "CompleteCommit");
    }
    assert_true(str_equal(txn_describe(world, "t")->transaction_state, STR("PrepareCommit")));
    assert_int_equal(world_end_of(world, "out", 0, READ_COMMITTED), 2);
    assert_int_equal(txn_write_marker_as(world, INT32_MAX, producer, true, "out", 0), 0);
    txn_until_state(world, "t", "CompleteCommit");
    assert_int_equal(world_end_of(world, "out", 0, READ_COMMITTED), 4);
}

/* ---- offsets of groups ---- */

static void offsets_are_visible_when_their_transaction_is_committed(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    assert_int_equal(txn_commit_offset(world, producer, 5, "g", 10), 0);
    assert_int_equal(group_committed(world, "g"), -2);
    assert_int_equal(txn_end(world, 5, &producer, true), 0);
    txn_until_state(world, "t", "CompleteCommit");
    assert_int_equal(group_committed(world, "g"), 10);
    assert_int_equal(txn_commit_offset(world, producer, 5, "g", 20), 0);
    assert_int_equal(txn_end(world, 5, &producer, false), 0);
    txn_until_state(world, "t", "CompleteAbort");
    assert_int_equal(group_committed(world, "g"), 10);
}

static void offsets_of_an_older_client_need_their_group_in_the_transaction(void **state)
{
    struct world *world = *state;
    struct producer producer = producer_of(world, "t");
    assert_int_equal(txn_commit_offset(world, producer, 4, "g", 10), KAFKA_TRANSACTION_ABORTABLE);
    assert_int_equal(txn_commit_offset(world, producer, 3, "g", 10), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(txn_add_offsets(world, producer, "g"), 0);
    assert_int_equal(txn_commit_offset(world, producer, 3, "g", 10), 0);
    assert_int_equal(txn_end(world, 4, &producer, true), 0);
    txn_until_state(world, "t", "CompleteCommit");
    assert_int_equal(group_committed(world, "g"), 10);
    /* One that was delayed cannot open the transaction again. */
    assert_int_equal(txn_commit_offset(world, producer, 3, "g", 5), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(group_committed(world, "g"), 10);
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
    assert_int_equal(txn_add_offsets(world, producer, "g"), 0);
    check(partitions, producer, before);
    check(partitions, producer, after);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(txn_end(world, 4, &producer, false), 0);
    txn_until_state(world, "t", "CompleteAbort");
    check(partitions, producer, after);
    assert_int_equal((before[0] != after[0]) + (before[1] != after[1]), 1); /* the group's */
    partition_unref(partitions[0]);
    partition_unref(partitions[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_of_an_older_client_needs_its_partition_in_the_transaction),
        TEST(a_batch_of_a_newer_client_adds_its_partition),
        TEST(another_epoch_or_an_unknown_transaction_is_refused),
        TEST(a_request_with_two_producers_is_refused),
        TEST(a_new_transaction_waits_for_the_markers_of_the_last),
        cmocka_unit_test_setup_teardown(a_transaction_is_complete_before_its_clients_next_request,
                                        setup_inline, world_teardown),
        TEST(a_client_that_goes_while_its_transaction_is_asked_for_leaves_nothing),
        TEST(a_topic_that_was_deleted_meanwhile_does_not_hold_up_the_end),
        TEST(a_restart_finds_the_transaction_and_ends_it),
        cmocka_unit_test_setup_teardown(a_transaction_that_hangs_is_ended_by_a_marker,
                                        setup_unverified, world_teardown),
        TEST(a_transaction_is_not_complete_where_its_marker_is_fenced),
        TEST(offsets_are_visible_when_their_transaction_is_committed),
        TEST(offsets_of_an_older_client_need_their_group_in_the_transaction),
        TEST(the_end_of_a_transaction_takes_back_what_was_verified_for_its_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
