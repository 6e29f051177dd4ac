#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "app.h"
#include "base/must.h"
#include "record/batch.h"

#define BATCHES_MAX 300

/* Batches that are all given at once, or one by one as others are done. */
struct sending {
    struct app *app;
    struct producer *producer;
    struct producer_settings settings;
    struct producer_batch batches[BATCHES_MAX];
    int results[BATCHES_MAX];
    int count, given, done, partitions, records;
    int at_once; /* most that are given and not done */
    int64_t next_number[FAKE_PARTITIONS];
    int64_t first_number[BATCHES_MAX];
    bool close_early;
};

static void give(struct sending *sending);

static void batch_done(struct producer_batch *batch, int result)
{
    struct sending *sending = client_loop(batch->call.client)->owner;
    int i = (int)(batch - sending->batches);
    assert_int_equal(sending->results[i], 1);
    sending->results[i] = result;
    sending->done++;
    free(batch->data);
    batch->data = NULL;
    if (sending->done == sending->count)
        sending->app->finished = true;
    else if (!sending->app->finished)
        give(sending);
}

static void give(struct sending *sending)
{
    while (sending->given < sending->count && sending->given - sending->done < sending->at_once) {
        int i = sending->given++;
        struct producer_batch *batch = &sending->batches[i];
        int32_t partition = i % sending->partitions;
        batch->topic = STR("t");
        batch->partition = partition;
        batch->done = batch_done;
        sending->first_number[i] = sending->next_number[partition];
        batch->data = make_batch(sending->next_number[partition], sending->records, &batch->size);
        sending->next_number[partition] += sending->records;
        sending->results[i] = 1;
        assert_int_equal(producer_send(sending->producer, batch), 0);
    }
}

static void sending_begin(struct app *app)
{
    struct sending *sending = app->context;
    app->loop.owner = sending;
    must(producer_create(app->client, &sending->settings, &sending->producer) == 0);
    give(sending);
    app->finished = sending->close_early;
}

static void sending_end(struct app *app)
{
    struct sending *sending = app->context;
    producer_destroy(sending->producer);
}

static struct sending *sending_create(struct app *app, uint64_t seed,
                                      const struct sim_options *options, int brokers, int count)
{
    struct sending *sending = calloc(1, sizeof *sending);
    must(sending && count <= BATCHES_MAX);
    app_create(app, seed, options, brokers);
    app->begin = sending_begin;
    app->end = sending_end;
    app->context = sending;
    sending->app = app;
    sending->count = count;
    sending->partitions = 1;
    sending->records = 2;
    sending->at_once = count;
    producer_settings_init(&sending->settings);
    return sending;
}

static void sending_destroy(struct sending *sending)
{
    app_destroy(sending->app);
    free(sending);
}

/* Walks a partition's log: the next number expected is the offset. */
struct walk {
    int64_t expected;
};

static void walk_record(void *context, int64_t offset, int64_t number)
{
    struct walk *walk = context;
    assert_int_equal(offset, walk->expected);
    assert_int_equal(number, walk->expected);
    walk->expected++;
}

/* Everything is in the log once, in order, and where the client was told. */
static void check_all(struct sending *sending)
{
    for (int p = 0; p < sending->partitions; p++) {
        struct fake_partition *partition = &sending->app->cluster->partitions[p];
        struct walk walk = {0};
        each_record(partition->log, partition->log_size, walk_record, &walk);
        assert_int_equal(walk.expected, sending->next_number[p]);
    }
    for (int i = 0; i < sending->count; i++) {
        assert_int_equal(sending->results[i], 0);
        if (sending->batches[i].base_offset >= 0)
            assert_int_equal(sending->batches[i].base_offset, sending->first_number[i]);
    }
}

static void batches_arrive_once_and_in_order(void **state)
{
    (void)state;
    struct app app;
    struct sending *sending = sending_create(&app, 1, NULL, 1, 100);
    sending->partitions = FAKE_PARTITIONS;
    app_start(&app);
    assert_true(app_run(&app, 20 * APP_SECOND));
    check_all(sending);
    assert_int_equal(app.cluster->requests[API_INIT_PRODUCER_ID], 1);
    assert_int_equal(app.cluster->requests[API_PRODUCE], 100);
    sending_destroy(sending);
}

static void several_batches_are_under_way_at_once(void **state)
{
    (void)state;
    struct app app;
    struct sending *sending = sending_create(&app, 1, NULL, 1, 50);
    fake_fault_add(app.cluster, API_PRODUCE, 50)->delay_ms = 1000;
    app_start(&app);
    assert_true(app_run(&app, 40 * APP_SECOND));
    check_all(sending);
    /* One after the other it would have taken 50 s. */
    assert_in_range(sim_now_ns(app.sim), 10 * APP_SECOND, 13 * APP_SECOND);
    sending_destroy(sending);
}

static void an_answer_that_is_lost_makes_no_duplicate(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct app app;
        struct sending *sending = sending_create(&app, (uint64_t)kind, NULL, 1, 20);
        struct fake_fault *fault = fake_fault_add(app.cluster, API_PRODUCE, 3);
        fault->close = kind == 0;
        fault->silent = kind == 1;
        fault->garbage = kind == 2;
        fault->after = kind == 3;
        fault->error = kind == 3 ? KAFKA_REQUEST_TIMED_OUT : 0;
        app_start(&app);
        assert_true(app_run(&app, 300 * APP_SECOND));
        check_all(sending);
        sending_destroy(sending);
    }
}

static void a_refused_batch_is_repeated_before_those_behind_it(void **state)
{
    (void)state;
    static const int16_t errors[] = {KAFKA_NOT_LEADER_OR_FOLLOWER, KAFKA_NOT_ENOUGH_REPLICAS,
                                     KAFKA_KAFKA_STORAGE_ERROR, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                                     KAFKA_CORRUPT_MESSAGE};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct app app;
        struct sending *sending = sending_create(&app, i, NULL, 1, 30);
        fake_fault_add(app.cluster, API_PRODUCE, 1)->error = errors[i];
        app_start(&app);
        assert_true(app_run(&app, 60 * APP_SECOND));
        check_all(sending);
        sending_destroy(sending);
    }
}

static void a_batch_that_fails_for_good_leaves_the_rest_alone(void **state)
{
    (void)state;
    struct app app;
    struct sending *sending = sending_create(&app, 1, NULL, 1, 30);
    fake_fault_add(app.cluster, API_PRODUCE, 1)->error = KAFKA_MESSAGE_TOO_LARGE;
    app_start(&app);
    assert_true(app_run(&app, 60 * APP_SECOND));
    const struct fake_partition *partition = &app.cluster->partitions[0];
    assert_int_equal(sending->results[0], KAFKA_MESSAGE_TOO_LARGE);
    assert_false(sending->batches[0].maybe_written);
    assert_int_equal(partition->batch_count, 29);
    for (int i = 1; i < 30; i++) {
        assert_int_equal(sending->results[i], 0);
        assert_int_equal(partition->batches[i - 1].producer_epoch, 1);
        assert_int_equal(sending->batches[i].base_offset, 2 * (i - 1));
    }
    sending_destroy(sending);
}

static void a_batch_without_a_broker_expires(void **state)
{
    (void)state;
    struct app app;
    struct sending *sending = sending_create(&app, 1, NULL, 1, 10);
    sending->settings.delivery_timeout_ns = 5 * APP_SECOND;
    sim_crash(app.cluster->nodes[0], SIM_KILL);
    app_start(&app);
    assert_true(app_run(&app, 60 * APP_SECOND));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(sending->results[i], -ETIMEDOUT);
        assert_false(sending->batches[i].maybe_written);
    }
    sending_destroy(sending);
}

static void after_expired_batches_others_are_delivered(void **state)
{
    (void)state;
    struct app app;
    struct sending *sending = sending_create(&app, 1, NULL, 1, 20);
    sending->settings.delivery_timeout_ns = 5 * APP_SECOND;
    sending->at_once = 5;
    /* The first ones are never answered, and the connection hangs with them. */
    app.settings.request_timeout_ns = 6 * APP_SECOND;
    fake_fault_add(app.cluster, API_PRODUCE, 1)->silent = true;
    app_start(&app);
    assert_true(app_run(&app, 120 * APP_SECOND));
    const struct fake_partition *partition = &app.cluster->partitions[0];
    int delivered = 0;
    for (int i = 0; i < 20; i++) {
        if (sending->results[i] == 0)
            delivered++;
        else
            assert_true(sending->batches[i].maybe_written || sending->results[i] == -ETIMEDOUT);
    }
    assert_int_equal(sending->results[0], -ETIMEDOUT);
    assert_true(sending->batches[0].maybe_written);
    assert_true(delivered >= 15);
    /* No batch is there twice. */
    for (int i = 1; i < partition->batch_count; i++)
        assert_true(memcmp(partition->log + partition->batches[i].position + BATCH_HEADER_SIZE,
                           partition->log + partition->batches[i - 1].position + BATCH_HEADER_SIZE,
                           (size_t)(partition->batches[i].size - BATCH_HEADER_SIZE)) != 0);
    sending_destroy(sending);
}

static void a_new_leader_is_found(void **state)
{
    (void)state;
    for (int told = 0; told < 2; told++) {
        struct app app;
        struct sending *sending = sending_create(&app, 1, NULL, 2, 40);
        sending->at_once = 1;
        struct fake_fault *fault = NULL;
        app_start(&app);
        while (app.cluster->partitions[0].batch_count < 10)
            sim_step(app.sim);
        int asked = app.cluster->requests[API_METADATA];
        fake_move_leader(app.cluster, 0, 1);
        if (told) {
            fault = fake_fault_add(app.cluster, API_PRODUCE, 1);
            fault->tell_leader = true;
        }
        assert_true(app_run(&app, 60 * APP_SECOND));
        check_all(sending);
        /* KIP-951: whoever is told needs not ask. */
        assert_int_equal(app.cluster->requests[API_METADATA] - asked, told ? 0 : 1);
        sending_destroy(sending);
    }
}

static void without_answers_everything_is_sent_once(void **state)
{
    (void)state;
    struct app app;
    struct sending *sending = sending_create(&app, 1, NULL, 1, 20);
    sending->settings.idempotent = false;
    sending->settings.acks = 0;
    app_start(&app);
    assert_true(app_run(&app, 60 * APP_SECOND));
    for (int i = 0; i < 20; i++)
        assert_int_equal(sending->results[i], 0);
    sending_destroy(sending);
}

static void refused_producer_ids_fail_what_waits_for_one(void **state)
{
    (void)state;
    struct app app;
    struct sending *sending = sending_create(&app, 1, NULL, 1, 5);
    fake_fault_add(app.cluster, API_INIT_PRODUCER_ID, 1)->error =
        KAFKA_CLUSTER_AUTHORIZATION_FAILED;
    app_start(&app);
    assert_true(app_run(&app, 60 * APP_SECOND));
    for (int i = 0; i < 5; i++)
        assert_int_equal(sending->results[i], KAFKA_CLUSTER_AUTHORIZATION_FAILED);
    sending_destroy(sending);
}

static void closing_cancels_all_batches(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct app app;
        struct sending *sending = sending_create(&app, seed, NULL, 1, 50);
        sending->count = 51; /* never finished by itself */
        sending->at_once = 50;
        app_start(&app);
        int steps = (int)sim_dice(app.sim, 400);
        while (steps-- > 0)
            sim_step(app.sim);
        app.finished = true;
        if (sending->producer) {
            /* It sleeps until something happens: an answer, or its next timer. */
            assert_true(app_run(&app, 400 * APP_SECOND));
            assert_int_equal(sending->done, sending->given);
        }
        sending_destroy(sending);
    }
}

/* Whatever happens to brokers and network: each batch once, in order. */
static void trouble(struct sending *sending)
{
    struct app *app = sending->app;
    struct fake_cluster *cluster = app->cluster;
    struct sim *sim = app->sim;
    int broker = (int)sim_dice(sim, (uint64_t)cluster->broker_count);
    struct fake_fault *fault;
    switch (sim_dice(sim, 6)) {
    case 0:
        sim_disconnect(app->node, cluster->nodes[broker]);
        break;
    case 1:
        sim_crash(cluster->nodes[broker], sim_dice(sim, 2) ? SIM_KILL : SIM_POWER);
        sim_run_for(sim, (int64_t)sim_dice(sim, 2 * APP_SECOND));
        sim_restart(cluster->nodes[broker]);
        fake_broker_start(cluster, broker);
        break;
    case 2:
        fake_move_leader(cluster, (int)sim_dice(sim, FAKE_PARTITIONS), broker);
        break;
    case 3:
        sim_isolate(cluster->nodes[broker], true);
        sim_run_for(sim, (int64_t)sim_dice(sim, 3 * APP_SECOND));
        sim_isolate(cluster->nodes[broker], false);
        break;
    default:
        memset(cluster->faults, 0, sizeof cluster->faults);
        fault = fake_fault_add(cluster, API_PRODUCE, 1 + (int)sim_dice(sim, 3));
        fault->close = sim_dice(sim, 4) == 0;
        fault->delay_ms = (int32_t)sim_dice(sim, 1000);
        fault->after = sim_dice(sim, 2) == 0;
        fault->error = sim_dice(sim, 2) ? KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND : 0;
        break;
    }
}

static void rough_worlds_make_no_duplicates_and_lose_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 150; seed++) {
        struct sim_options options;
        struct app app;
        sim_options_rough(seed, &options);
        struct sending *sending = sending_create(&app, seed, &options, 2, 200);
        sending->partitions = FAKE_PARTITIONS;
        sending->at_once = 1 + (int)sim_dice(app.sim, 40);
        sending->settings.inflight_max = 1 + (int32_t)sim_dice(app.sim, PRODUCER_INFLIGHT_MAX);
        sending->settings.delivery_timeout_ns = 0;
        app.settings.request_timeout_ns = 4 * APP_SECOND;
        app_start(&app);
        for (int i = 0; i < 15 && !app.ended; i++) {
            sim_run_for(app.sim, (int64_t)sim_dice(app.sim, APP_SECOND / 5));
            trouble(sending);
        }
        if (!app_run(&app, 600 * APP_SECOND))
            fail_msg("seed %d: %d of %d batches after 600 s", (int)seed, sending->done,
                     sending->count);
        check_all(sending);
        sending_destroy(sending);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_arrive_once_and_in_order),
        cmocka_unit_test(several_batches_are_under_way_at_once),
        cmocka_unit_test(an_answer_that_is_lost_makes_no_duplicate),
        cmocka_unit_test(a_refused_batch_is_repeated_before_those_behind_it),
        cmocka_unit_test(a_batch_that_fails_for_good_leaves_the_rest_alone),
        cmocka_unit_test(a_batch_without_a_broker_expires),
        cmocka_unit_test(after_expired_batches_others_are_delivered),
        cmocka_unit_test(a_new_leader_is_found),
        cmocka_unit_test(without_answers_everything_is_sent_once),
        cmocka_unit_test(refused_producer_ids_fail_what_waits_for_one),
        cmocka_unit_test(closing_cancels_all_batches),
        cmocka_unit_test(rough_worlds_make_no_duplicates_and_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
