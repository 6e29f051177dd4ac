/* The rules of the transaction coordinator, request by request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "txn/txn_private.h"

enum { PLAIN = TXN_VERSION_PLAIN, BUMP = TXN_VERSION_EPOCH_BUMP };
#define ID INT64_C(1000)
#define NEXT_ID INT64_C(2000)

/* A transactional id as the coordinator knows it, without coordinator. */
struct fixture {
    struct txn txn;
    bool known;
    struct arena arena;
    int64_t now_ms;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    arena_init(&fixture->arena, 1 << 20);
    fixture->txn.last_epoch = -1;
    fixture->now_ms = 100;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    arena_close(&fixture->arena);
    free(fixture);
    return 0;
}

static void take(struct fixture *fixture, const struct txn_step *step)
{
    fixture->txn.now = step->values;
    fixture->txn.last_epoch = step->last_epoch;
    fixture->known = true;
}

static int init(struct fixture *fixture, int64_t expected_id, int16_t expected_epoch,
                int16_t feature)
{
    const struct txn_init_op request = {
        .timeout_ms = 60000, .expected_id = expected_id, .expected_epoch = expected_epoch};
    struct txn_step step;
    bool needs_id;
    const struct txn *txn = fixture->known ? &fixture->txn : NULL;
    int64_t fresh = fixture->known ? NEXT_ID : ID;
    int err = txn_step_init(txn, &request, fresh, feature, ++fixture->now_ms, &step, &needs_id);
    assert_false(needs_id);
    if (err == 0 || err == TXN_STEP_FENCES)
        take(fixture, &step);
    return err;
}

static int add(struct fixture *fixture, const char *topic, int32_t partition, int64_t id,
               int16_t epoch)
{
    struct txn_topic topics[] = {{str_of(topic), &partition, 1}};
    const struct txn_add_op request = {
        .producer_id = id, .producer_epoch = epoch, .partitions = {topics, 1}};
    struct txn_step step;
    bool changes;
    int err =
        txn_step_add(&fixture->txn, &request, ++fixture->now_ms, &fixture->arena, &step, &changes);
    if (err == 0 && changes)
        take(fixture, &step);
    return err;
}

static int end(struct fixture *fixture, bool commit, int64_t id, int16_t epoch, int16_t version)
{
    const struct txn_end_op request = {
        .producer_id = id, .producer_epoch = epoch, .client_version = version, .commit = commit};
    struct txn_step step;
    bool changes, needs_id;
    int err = txn_step_end(&fixture->txn, &request, true, NEXT_ID, ++fixture->now_ms, &step,
                           &changes, &needs_id);
    assert_false(needs_id);
    if (err == 0 && changes)
        take(fixture, &step);
    return err;
}

static void complete(struct fixture *fixture)
{
    struct txn_step step;
    txn_step_complete(&fixture->txn, ++fixture->now_ms, &step);
    take(fixture, &step);
}

static void is_in(const struct fixture *fixture, enum txn_state state, int64_t id, int16_t epoch)
{
    assert_string_equal(txn_state_name(fixture->txn.now.state), txn_state_name((int8_t)state));
    assert_int_equal(fixture->txn.now.producer_id, id);
    assert_int_equal(fixture->txn.now.producer_epoch, epoch);
}

static void a_new_id_starts_with_epoch_0(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, BUMP), 0);
    is_in(fixture, TXN_EMPTY, ID, 0);
    assert_int_equal(fixture->txn.now.timeout_ms, 60000);
    assert_int_equal(fixture->txn.now.start_ms, -1);
}

static void a_new_id_needs_a_producer_id(void **state)
{
    struct fixture *fixture = *state;
    const struct txn_init_op request = {.timeout_ms = 1, .expected_id = -1, .expected_epoch = -1};
    struct txn_step step;
    bool needs_id;
    assert_int_equal(txn_step_init(NULL, &request, -1, BUMP, fixture->now_ms, &step, &needs_id), 0);
    assert_true(needs_id);
}

static void the_next_incarnation_fences_the_one_before(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, PLAIN), 0);
    assert_int_equal(init(fixture, -1, -1, PLAIN), 0);
    is_in(fixture, TXN_EMPTY, ID, 1);
    assert_int_equal(add(fixture, "t", 0, ID, 0), KAFKA_PRODUCER_FENCED);
    assert_int_equal(add(fixture, "t", 0, ID + 1, 1), KAFKA_INVALID_PRODUCER_ID_MAPPING);
    assert_int_equal(add(fixture, "t", 0, ID, 1), 0);
}

static void a_producer_that_recovers_gets_the_next_epoch_and_its_retry_the_same(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, PLAIN), 0);
    assert_int_equal(init(fixture, ID, 0, PLAIN), 0);
    is_in(fixture, TXN_EMPTY, ID, 1);
    assert_int_equal(init(fixture, ID, 0, PLAIN), 0); /* the answer was lost */
    is_in(fixture, TXN_EMPTY, ID, 1);
    assert_int_equal(init(fixture, ID, 1, PLAIN), 0);
    assert_int_equal(init(fixture, ID, 0, PLAIN), KAFKA_PRODUCER_FENCED);
    assert_int_equal(init(fixture, ID + 1, 2, PLAIN), KAFKA_PRODUCER_FENCED);
}

static void a_recovering_producer_changes_its_id_when_epochs_are_used_up(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, PLAIN), 0);
    fixture->txn.now.producer_epoch = INT16_MAX - 1;
    assert_int_equal(init(fixture, ID, INT16_MAX - 1, PLAIN), 0);
    is_in(fixture, TXN_EMPTY, NEXT_ID, 0);
    assert_int_equal(fixture->txn.now.previous_producer_id, ID);
    assert_int_equal(init(fixture, ID, INT16_MAX - 1, PLAIN), 0); /* the answer was lost */
    is_in(fixture, TXN_EMPTY, NEXT_ID, 0);
    assert_int_equal(init(fixture, ID, INT16_MAX - 2, PLAIN), KAFKA_PRODUCER_FENCED);
}

static void partitions_are_added_once(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, PLAIN), 0);
    assert_int_equal(add(fixture, "b", 1, ID, 0), 0);
    int64_t start_ms = fixture->txn.now.start_ms, update_ms = fixture->txn.now.update_ms;
    assert_int_equal(start_ms, fixture->now_ms);
    assert_int_equal(add(fixture, "b", 1, ID, 0), 0);
    assert_int_equal(fixture->txn.now.update_ms, update_ms); /* nothing was written */
    assert_int_equal(add(fixture, "b", 0, ID, 0), 0);
    assert_int_equal(add(fixture, "a", 7, ID, 0), 0);
    is_in(fixture, TXN_ONGOING, ID, 0);
    assert_int_equal(fixture->txn.now.start_ms, start_ms);
    const struct txn_partitions *partitions = &fixture->txn.now.partitions;
    assert_int_equal(partitions->count, 2);
    assert_true(str_equal(partitions->topics[0].name, STR("a")));
    assert_int_equal(partitions->topics[1].count, 2);
    assert_int_equal(partitions->topics[1].partitions[0], 0);
    assert_int_equal(partitions->topics[1].partitions[1], 1);
}

static void verifying_tells_which_partitions_are_in(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, PLAIN), 0);
    assert_int_equal(add(fixture, "t", 1, ID, 0), 0);
    const int32_t asked[] = {0, 1};
    int results[2] = {-1, -1};
    struct txn_topic topics[] = {{STR("t"), asked, 2}};
    struct txn_add_op request = {
        .producer_id = ID, .verify_only = true, .partitions = {topics, 1}, .results = results};
    struct txn_step step;
    bool changes;
    assert_int_equal(txn_step_add(&fixture->txn, &request, 1, &fixture->arena, &step, &changes), 0);
    assert_false(changes);
    assert_int_equal(results[0], KAFKA_TRANSACTION_ABORTABLE);
    assert_int_equal(results[1], 0);
    assert_int_equal(txn_step_add(NULL, &request, 1, &fixture->arena, &step, &changes),
                     KAFKA_INVALID_PRODUCER_ID_MAPPING);
}

static void without_epoch_bumps_a_commit_keeps_the_epoch(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, PLAIN), 0);
    assert_int_equal(end(fixture, true, ID, 0, PLAIN), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(add(fixture, "t", 0, ID, 0), 0);
    assert_int_equal(end(fixture, true, ID, 0, PLAIN), 0);
    is_in(fixture, TXN_PREPARE_COMMIT, ID, 0);
    assert_int_equal(end(fixture, true, ID, 0, PLAIN), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(end(fixture, false, ID, 0, PLAIN), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(add(fixture, "t", 1, ID, 0), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(init(fixture, -1, -1, PLAIN), KAFKA_CONCURRENT_TRANSACTIONS);
    complete(fixture);
    is_in(fixture, TXN_COMPLETE_COMMIT, ID, 0);
    assert_int_equal(fixture->txn.now.partitions.count, 0);
    assert_int_equal(end(fixture, true, ID, 0, PLAIN), 0); /* a retry */
    assert_int_equal(end(fixture, false, ID, 0, PLAIN), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(add(fixture, "t", 0, ID, 0), 0);
    is_in(fixture, TXN_ONGOING, ID, 0);
}

static void with_epoch_bumps_every_transaction_has_its_own(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, BUMP), 0);
    assert_int_equal(add(fixture, "t", 0, ID, 0), 0);
    assert_int_equal(end(fixture, true, ID, 0, BUMP), 0);
    is_in(fixture, TXN_PREPARE_COMMIT, ID, 1);
    assert_int_equal(end(fixture, true, ID, 0, BUMP), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(end(fixture, true, ID, 1, BUMP), KAFKA_PRODUCER_FENCED);
    complete(fixture);
    is_in(fixture, TXN_COMPLETE_COMMIT, ID, 1);
    assert_int_equal(end(fixture, true, ID, 0, BUMP), 0); /* a retry of the last */
    assert_int_equal(end(fixture, false, ID, 0, BUMP), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(end(fixture, true, ID, 1, BUMP), KAFKA_INVALID_TXN_STATE); /* the next */
    is_in(fixture, TXN_COMPLETE_COMMIT, ID, 1);
}

/* The trap: a retry that arrives late must not end the transaction that followed. */
static void a_retried_end_does_not_end_the_next_transaction(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, BUMP), 0);
    assert_int_equal(add(fixture, "t", 0, ID, 0), 0);
    assert_int_equal(end(fixture, true, ID, 0, BUMP), 0);
    complete(fixture);
    assert_int_equal(add(fixture, "t", 0, ID, 1), 0);
    assert_int_equal(end(fixture, true, ID, 0, BUMP), KAFKA_PRODUCER_FENCED);
    is_in(fixture, TXN_ONGOING, ID, 1);
}

/* What transactions version 1 cannot tell apart (KAFKA-17754); Kafka does the same. */
static void without_epoch_bumps_a_delayed_end_ends_the_next_transaction(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, PLAIN), 0);
    assert_int_equal(add(fixture, "t", 0, ID, 0), 0);
    assert_int_equal(end(fixture, true, ID, 0, PLAIN), 0);
    complete(fixture);
    assert_int_equal(add(fixture, "t", 0, ID, 0), 0);
    assert_int_equal(end(fixture, true, ID, 0, PLAIN), 0);
    is_in(fixture, TXN_PREPARE_COMMIT, ID, 0);
}

static void an_abort_without_partitions_raises_the_epoch(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, BUMP), 0);
    assert_int_equal(end(fixture, true, ID, 0, BUMP), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(end(fixture, false, ID, 0, BUMP), 0);
    is_in(fixture, TXN_PREPARE_ABORT, ID, 1);
    assert_int_equal(fixture->txn.now.start_ms, fixture->now_ms);
    complete(fixture);
    is_in(fixture, TXN_COMPLETE_ABORT, ID, 1);
    assert_int_equal(end(fixture, false, ID, 0, BUMP), 0); /* a retry */
    is_in(fixture, TXN_COMPLETE_ABORT, ID, 1);
    assert_int_equal(end(fixture, false, ID, 1, BUMP), 0); /* the next one, empty too */
    is_in(fixture, TXN_PREPARE_ABORT, ID, 2);
}

static void the_last_epoch_is_followed_by_a_new_id(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, BUMP), 0);
    fixture->txn.now.producer_epoch = INT16_MAX - 1;
    assert_int_equal(add(fixture, "t", 0, ID, INT16_MAX - 1), 0);
    assert_int_equal(end(fixture, true, ID, INT16_MAX - 1, BUMP), 0);
    is_in(fixture, TXN_PREPARE_COMMIT, ID, INT16_MAX); /* the markers' */
    assert_int_equal(fixture->txn.now.next_producer_id, NEXT_ID);
    /* The producer has been told its next id, which is not in force before the markers are. */
    assert_int_equal(add(fixture, "t", 0, NEXT_ID, 0), KAFKA_CONCURRENT_TRANSACTIONS);
    assert_int_equal(init(fixture, NEXT_ID, 0, BUMP), KAFKA_CONCURRENT_TRANSACTIONS);
    complete(fixture);
    is_in(fixture, TXN_COMPLETE_COMMIT, NEXT_ID, 0);
    assert_int_equal(end(fixture, true, ID, INT16_MAX - 1, BUMP), 0); /* a retry */
    assert_int_equal(end(fixture, true, ID, INT16_MAX - 2, BUMP),
                     KAFKA_INVALID_PRODUCER_ID_MAPPING);
    assert_int_equal(add(fixture, "t", 0, NEXT_ID, 0), 0);
}

static void a_new_incarnation_aborts_what_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, BUMP), 0);
    assert_int_equal(add(fixture, "t", 0, ID, 0), 0);
    assert_int_equal(init(fixture, -1, -1, BUMP), TXN_STEP_FENCES);
    is_in(fixture, TXN_PREPARE_ABORT, ID, 1);
    assert_int_equal(end(fixture, true, ID, 0, BUMP), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(init(fixture, -1, -1, BUMP), KAFKA_CONCURRENT_TRANSACTIONS);
    complete(fixture);
    assert_int_equal(init(fixture, -1, -1, BUMP), 0);
    is_in(fixture, TXN_EMPTY, ID, 2);
}

static void without_epoch_bumps_fencing_raises_the_epoch_too(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(init(fixture, -1, -1, PLAIN), 0);
    assert_int_equal(add(fixture, "t", 0, ID, 0), 0);
    assert_int_equal(init(fixture, -1, -1, PLAIN), TXN_STEP_FENCES);
    is_in(fixture, TXN_PREPARE_ABORT, ID, 1);
    assert_int_equal(fixture->txn.last_epoch, -1);
    assert_int_equal(end(fixture, true, ID, 0, PLAIN), KAFKA_PRODUCER_FENCED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_new_id_starts_with_epoch_0),
        TEST(a_new_id_needs_a_producer_id),
        TEST(the_next_incarnation_fences_the_one_before),
        TEST(a_producer_that_recovers_gets_the_next_epoch_and_its_retry_the_same),
        TEST(a_recovering_producer_changes_its_id_when_epochs_are_used_up),
        TEST(partitions_are_added_once),
        TEST(verifying_tells_which_partitions_are_in),
        TEST(without_epoch_bumps_a_commit_keeps_the_epoch),
        TEST(with_epoch_bumps_every_transaction_has_its_own),
        TEST(a_retried_end_does_not_end_the_next_transaction),
        TEST(without_epoch_bumps_a_delayed_end_ends_the_next_transaction),
        TEST(an_abort_without_partitions_raises_the_epoch),
        TEST(the_last_epoch_is_followed_by_a_new_id),
        TEST(a_new_incarnation_aborts_what_is_under_way),
        TEST(without_epoch_bumps_fencing_raises_the_epoch_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
