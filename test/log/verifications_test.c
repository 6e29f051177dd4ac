#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/errors.h"
#include "log/verifications.h"
#include "log_kit.h"

static void a_check_under_way_keeps_its_token_and_the_lowest_sequence(void **state)
{
    (void)state;
    struct verifications all = {0};
    int64_t token = verifications_begin(&all, 7, 1, 5, true, 100);
    assert_true(token > 0);
    assert_int_equal(verifications_begin(&all, 7, 1, 3, true, 200), token);
    assert_int_equal(verifications_begin(&all, 7, 1, 4, true, 200), token);
    assert_int_equal(verifications_find(&all, 7)->lowest_sequence, 3);
    assert_int_equal(verifications_begin(&all, 7, 2, 9, true, 200), token);
    assert_int_equal(verifications_find(&all, 7)->lowest_sequence, 9);
    assert_int_equal(verifications_find(&all, 7)->epoch, 2);
    assert_int_equal(verifications_begin(&all, 7, 1, 0, true, 200), token); /* an old one */
    assert_int_equal(verifications_find(&all, 7)->lowest_sequence, 9);
    verifications_close(&all);
}

static void what_was_forgotten_gets_another_token(void **state)
{
    (void)state;
    struct verifications all = {0};
    int64_t first = verifications_begin(&all, 7, 1, 0, false, 100);
    int64_t other = verifications_begin(&all, 8, 1, 0, false, 100);
    assert_int_not_equal(first, other);
    verifications_forget(&all, 7);
    assert_null(verifications_find(&all, 7));
    assert_int_equal(verifications_find(&all, 8)->token, other);
    assert_int_not_equal(verifications_begin(&all, 7, 1, 0, false, 100), first);
    verifications_close(&all);
}

static void checks_whose_client_never_came_back_go_by_age(void **state)
{
    (void)state;
    struct verifications all = {0};
    for (int64_t i = 0; i < 10; i++)
        assert_true(verifications_begin(&all, i, 0, 0, false, i) > 0);
    verifications_expire(&all, 15, 10);
    assert_int_equal(all.count, 4);
    assert_null(verifications_find(&all, 5));
    assert_non_null(verifications_find(&all, 6));
    verifications_close(&all);
}

static void checks_that_came_to_nothing_do_not_pile_up(void **state)
{
    (void)state;
    struct verifications all = {0};
    int64_t last = 0;
    for (int64_t i = 0; i < 3 * VERIFICATIONS_MAX; i++)
        last = verifications_begin(&all, i, 0, 0, false, 100);
    assert_int_equal(all.count, VERIFICATIONS_MAX);
    assert_int_equal(verifications_find(&all, 3 * VERIFICATIONS_MAX - 1)->token, last);
    assert_null(verifications_find(&all, 2 * VERIFICATIONS_MAX - 1));
    assert_non_null(verifications_find(&all, 2 * VERIFICATIONS_MAX));
    verifications_clear(&all);
    assert_int_equal(verifications_begin(&all, 1, 0, 0, false, 100), last + 1);
    verifications_close(&all);
}

/* As many producers begin a transaction in a partition while the coordinator's disk is slow. */
static void thousands_of_checks_are_under_way_at_once(void **state)
{
    (void)state;
    enum { PRODUCERS = 10000, STRIDE = 7919 };
    static int64_t tokens[PRODUCERS];
    struct verifications all = {0};
    for (int64_t i = 0; i < PRODUCERS; i++) {
        int64_t id = i * STRIDE % PRODUCERS;
        tokens[id] = verifications_begin(&all, id, 0, 0, true, 100);
    }
    for (int64_t id = 0; id < PRODUCERS; id++) {
        assert_non_null(verifications_find(&all, id));
        assert_int_equal(verifications_find(&all, id)->token, tokens[id]);
    }
    for (int64_t i = 0; i < PRODUCERS; i++) {
        int64_t id = i * STRIDE % PRODUCERS;
        verifications_forget(&all, id);
        assert_null(verifications_find(&all, id));
    }
    assert_int_equal(all.count, 0);
    verifications_close(&all);
}

/* ---- in a log ---- */

static int append(struct kit *kit, int32_t sequence, int64_t verification)
{
    const struct kit_batch batch = {.producer_id = 1,
                                    .producer_epoch = 3,
                                    .sequence = sequence,
                                    .transactional = true,
                                    .verify = true,
                                    .verification = verification};
    return kit_append(kit, &batch);
}

static int mark(struct kit *kit)
{
    const struct kit_batch marker = {.marker = 2, .producer_id = 1, .producer_epoch = 3};
    return kit_append(kit, &marker);
}

static int setup(void **state)
{
    static struct kit kit;
    kit_init(&kit);
    assert_int_equal(kit_open(&kit), 0);
    *state = &kit;
    return 0;
}

static int teardown(void **state)
{
    kit_close(*state);
    return 0;
}

static void a_transaction_is_begun_only_with_a_verification(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(append(kit, 0, 0), KAFKA_INVALID_TXN_STATE);
    int64_t token = log_verification_begin(kit->log, 1, 3, 0, true);
    assert_true(token > 0);
    assert_int_equal(append(kit, 0, token + 1), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(append(kit, 0, token), 0);
    /* It is open now: nothing to verify. */
    assert_int_equal(log_verification_begin(kit->log, 1, 3, 1, true), 0);
    assert_int_equal(append(kit, 1, 0), 0);
}

/* The batch that would hang: verified, then overtaken by the abort of its transaction. */
static void a_marker_takes_the_verification_away(void **state)
{
    struct kit *kit = *state;
    int64_t token = log_verification_begin(kit->log, 1, 3, 0, true);
    assert_int_equal(mark(kit), 0);
    assert_int_equal(append(kit, 0, token), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(log_first_unstable(kit->log), INT64_MAX);
}

/* Epochs that grow with each transaction tell them apart: a marker has the next one's. */
static int mark_with_bump(struct kit *kit, int16_t epoch)
{
    const struct kit_batch marker = {
        .marker = 1, .producer_id = 1, .producer_epoch = epoch, .transaction_version = 2};
    return kit_append(kit, &marker);
}

static void a_late_marker_leaves_the_verification_of_the_next_transaction(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(append(kit, 0, log_verification_begin(kit->log, 1, 3, 0, true)), 0);
    const struct kit_batch next = {.producer_id = 1,
                                   .producer_epoch = 4,
                                   .transactional = true,
                                   .verify = true,
                                   .verification = log_verification_begin(kit->log, 1, 4, 0, true)};
    assert_int_equal(mark_with_bump(kit, 4), 0);
    assert_int_equal(kit_append(kit, &next), 0);
    /* A batch of the transaction that was ended is still refused. */
    assert_int_equal(mark_with_bump(kit, 5), 0);
    int64_t late = log_verification_begin(kit->log, 1, 5, 0, true);
    assert_int_equal(mark_with_bump(kit, 6), 0);
    const struct kit_batch ended = {.producer_id = 1,
                                    .producer_epoch = 5,
                                    .transactional = true,
                                    .verify = true,
                                    .verification = late};
    assert_int_not_equal(kit_append(kit, &ended), 0);
    log_set_high_watermark(kit->log, log_end_offset(kit->log));
    assert_int_equal(log_first_unstable(kit->log), INT64_MAX);
}

static void the_first_batch_to_be_verified_is_the_first_to_be_appended(void **state)
{
    struct kit *kit = *state;
    int64_t token = log_verification_begin(kit->log, 1, 3, 0, false);
    assert_int_equal(log_verification_begin(kit->log, 1, 3, 1, false), token);
    assert_int_equal(append(kit, 1, token), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(append(kit, 0, token), 0);
    assert_int_equal(append(kit, 1, token), 0);
}

static void a_client_with_epochs_of_its_own_begins_at_0(void **state)
{
    struct kit *kit = *state;
    int64_t token = log_verification_begin(kit->log, 1, 3, 4, true);
    assert_int_equal(append(kit, 4, token), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_under_way_keeps_its_token_and_the_lowest_sequence),
        cmocka_unit_test(what_was_forgotten_gets_another_token),
        cmocka_unit_test(checks_whose_client_never_came_back_go_by_age),
        cmocka_unit_test(checks_that_came_to_nothing_do_not_pile_up),
        cmocka_unit_test(thousands_of_checks_are_under_way_at_once),
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_transaction_is_begun_only_with_a_verification),
        TEST(a_marker_takes_the_verification_away),
        TEST(a_late_marker_leaves_the_verification_of_the_next_transaction),
        TEST(the_first_batch_to_be_verified_is_the_first_to_be_appended),
        TEST(a_client_with_epochs_of_its_own_begins_at_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
