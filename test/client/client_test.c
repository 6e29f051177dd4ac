#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "app.h"
#include "base/must.h"

#define MANY 12

/* Some Metadata requests, sent one after the other without waiting. */
struct asker {
    struct client_request requests[MANY];
    struct metadata_request message;
    int results[MANY];
    int order[MANY]; /* request by place of completion */
    int64_t done_ns[MANY];
    int count, done;
    int32_t node_id;
};

static void asker_done(struct client_request *request, int result)
{
    struct app *app = client_loop(request->client)->owner;
    struct asker *asker = app->context;
    int i = (int)(request - asker->requests);
    asker->results[i] = result;
    asker->order[asker->done++] = i;
    asker->done_ns[i] = app->loop.now_ns;
    client_request_release(request);
    if (asker->done == asker->count)
        app->finished = true;
}

static void asker_begin(struct app *app)
{
    struct asker *asker = app->context;
    app->loop.owner = app;
    metadata_request_init(&asker->message);
    for (int i = 0; i < asker->count; i++) {
        client_request_init(&asker->requests[i], API_METADATA, &asker->message, asker_done);
        client_send(app->client, &asker->requests[i], asker->node_id);
    }
}

static struct asker asker_of(struct app *app, struct asker *asker, int count)
{
    app->begin = asker_begin;
    app->context = asker;
    return (struct asker){.count = count, .node_id = CLIENT_ANY_NODE};
}

static void requests_are_answered_in_the_order_sent(void **state)
{
    (void)state;
    struct app app;
    struct asker asker;
    app_create(&app, 1, NULL, 1);
    asker = asker_of(&app, &asker, MANY);
    app_start(&app);
    assert_true(app_run(&app, 10 * APP_SECOND));
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(asker.results[i], 0);
        assert_int_equal(asker.order[i], i);
    }
    assert_int_equal(app.cluster->requests[API_METADATA], MANY);
    assert_int_equal(app.cluster->requests[API_API_VERSIONS], 1);
    app_destroy(&app);
}

static void brokers_that_know_an_older_api_versions_are_understood(void **state)
{
    (void)state;
    for (int16_t max = 0; max < api_find(API_API_VERSIONS)->max_version; max++) {
        struct app app;
        struct asker asker;
        app_create(&app, 1, NULL, 1);
        app.cluster->api_versions_max = max;
        asker = asker_of(&app, &asker, 1);
        app_start(&app);
        assert_true(app_run(&app, 10 * APP_SECOND));
        assert_int_equal(asker.results[0], 0);
        assert_int_equal(app.cluster->requests[API_API_VERSIONS], 2);
        app_destroy(&app);
    }
}

struct one {
    struct client_request request;
    struct init_producer_id_request message;
    int result;
};

static void one_done(struct client_request *request, int result)
{
    struct app *app = client_loop(request->client)->owner;
    struct one *one = app->context;
    one->result = result;
    client_request_release(request);
    app->finished = true;
}

static void one_begin(struct app *app)
{
    struct one *one = app->context;
    app->loop.owner = app;
    init_producer_id_request_init(&one->message);
    client_request_init(&one->request, API_INIT_PRODUCER_ID, &one->message, one_done);
    client_send(app->client, &one->request, CLIENT_ANY_NODE);
}

static void an_api_that_is_not_served_is_told(void **state)
{
    (void)state;
    struct app app;
    struct one one = {.result = 1};
    app_create(&app, 1, NULL, 1);
    app.cluster->no_producer_ids = true;
    app.begin = one_begin;
    app.context = &one;
    app_start(&app);
    assert_true(app_run(&app, 10 * APP_SECOND));
    assert_int_equal(one.result, -ENOTSUP);
    assert_int_equal(app.cluster->requests[API_INIT_PRODUCER_ID], 0);
    app_destroy(&app);
}

static void a_node_that_is_not_known_is_told(void **state)
{
    (void)state;
    struct app app;
    struct asker asker;
    app_create(&app, 1, NULL, 1);
    asker = asker_of(&app, &asker, 1);
    asker.node_id = 77;
    app_start(&app);
    assert_true(app_run(&app, 10 * APP_SECOND));
    assert_int_equal(asker.results[0], -ENOENT);
    app_destroy(&app);
}

static void a_silent_broker_times_out_one_request_and_loses_the_connection(void **state)
{
    (void)state;
    struct app app;
    struct asker asker;
    app_create(&app, 1, NULL, 1);
    asker = asker_of(&app, &asker, 3);
    fake_fault_add(app.cluster, API_METADATA, 1)->silent = true;
    app.settings.request_timeout_ns = 5 * APP_SECOND;
    app_start(&app);
    assert_true(app_run(&app, 30 * APP_SECOND));
    assert_int_equal(asker.results[0], -ETIMEDOUT);
    assert_int_equal(asker.results[1], -ECONNRESET);
    assert_int_equal(asker.results[2], -ECONNRESET);
    app_destroy(&app);
}

static void unreadable_answers_close_the_connection(void **state)
{
    (void)state;
    struct app app;
    struct asker asker;
    app_create(&app, 1, NULL, 1);
    asker = asker_of(&app, &asker, 1);
    fake_fault_add(app.cluster, API_METADATA, 1)->garbage = true;
    app_start(&app);
    assert_true(app_run(&app, 30 * APP_SECOND));
    assert_int_equal(asker.results[0], -EBADMSG);
    app_destroy(&app);
}

static void unreadable_api_versions_do_not_hang(void **state)
{
    (void)state;
    struct app app;
    struct asker asker;
    app_create(&app, 1, NULL, 1);
    asker = asker_of(&app, &asker, 1);
    fake_fault_add(app.cluster, API_API_VERSIONS, 1)->garbage = true;
    app_start(&app);
    assert_true(app_run(&app, 30 * APP_SECOND));
    assert_int_equal(asker.results[0], -EBADMSG);
    app_destroy(&app);
}

static void a_refused_connection_fails_what_waits_for_it(void **state)
{
    (void)state;
    struct app app;
    struct asker asker;
    app_create(&app, 1, NULL, 1);
    app.bootstrap[0] = "broker0:9";
    asker = asker_of(&app, &asker, 2);
    app_start(&app);
    assert_true(app_run(&app, 30 * APP_SECOND));
    assert_int_equal(asker.results[0], -ECONNREFUSED);
    assert_int_equal(asker.results[1], -ECONNREFUSED);
    app_destroy(&app);
}

static void an_unknown_host_fails_what_waits_for_it(void **state)
{
    (void)state;
    struct app app;
    struct asker asker;
    app_create(&app, 1, NULL, 1);
    app.bootstrap[0] = "nobody:9092";
    asker = asker_of(&app, &asker, 1);
    app_start(&app);
    assert_true(app_run(&app, 30 * APP_SECOND));
    assert_int_equal(asker.results[0], -ENOENT);
    app_destroy(&app);
}

static void a_dead_machine_costs_the_connect_timeout(void **state)
{
    (void)state;
    struct app app;
    struct asker asker;
    app_create(&app, 1, NULL, 2);
    sim_crash(app.cluster->nodes[0], SIM_POWER);
    asker = asker_of(&app, &asker, 1);
    app.settings.connect_timeout_ns = 3 * APP_SECOND;
    app_start(&app);
    assert_true(app_run(&app, 10 * APP_SECOND));
    assert_int_equal(asker.results[0], -ETIMEDOUT);
    assert_in_range(sim_now_ns(app.sim), 3 * APP_SECOND, 5 * APP_SECOND);
    app_destroy(&app);
}

/* Looks for topic "t" until something is known of it. */
struct finding {
    struct metadata_wait wait;
    struct app *app;
    int32_t partition_count;
    int result;
};

static void finding_step(struct metadata_wait *wait)
{
    struct finding *finding = container_of(wait, struct finding, wait);
    struct app *app = finding->app;
    int err = client_find_topic(app->client, STR("t"), &finding->partition_count);
    if (err == -EAGAIN) {
        client_await_metadata(app->client, wait);
        return;
    }
    finding->result = err;
    app->finished = true;
}

static void find_topic_begin(struct app *app)
{
    struct finding *finding = app->context;
    finding->app = app;
    metadata_wait_init(&finding->wait, finding_step);
    finding_step(&finding->wait);
}

static void bootstrap_goes_on_to_the_next_address(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct app app;
        struct finding finding = {.result = 1};
        app_create(&app, seed, NULL, 2);
        app.bootstrap[0] = "nobody:9092";
        app.bootstrap[1] = "broker0:9";
        app.bootstrap[2] = "broker1:9092";
        app.settings.bootstrap_count = 3;
        app.begin = find_topic_begin;
        app.context = &finding;
        app_start(&app);
        assert_true(app_run(&app, 30 * APP_SECOND));
        assert_int_equal(finding.result, 0);
        assert_int_equal(finding.partition_count, FAKE_PARTITIONS);
        app_destroy(&app);
    }
}

static void a_topic_that_is_made_later_is_found(void **state)
{
    (void)state;
    struct app app;
    struct finding finding = {.result = 1};
    app_create(&app, 3, NULL, 1);
    app.cluster->topic_exists = false;
    app.begin = find_topic_begin;
    app.context = &finding;
    app_start(&app);
    assert_false(app_run(&app, 20 * APP_SECOND));
    /* It asked now and then, not all the time. */
    assert_in_range(app.cluster->requests[API_METADATA], 50, 260);
    app.cluster->topic_exists = true;
    assert_true(app_run(&app, 5 * APP_SECOND));
    assert_int_equal(finding.result, 0);
    app_destroy(&app);
}

static void final_errors_of_a_topic_are_told(void **state)
{
    (void)state;
    struct app app;
    struct finding finding = {.result = 1};
    app_create(&app, 3, NULL, 1);
    app.cluster->topic_error = KAFKA_TOPIC_AUTHORIZATION_FAILED;
    app.begin = find_topic_begin;
    app.context = &finding;
    app_start(&app);
    assert_true(app_run(&app, 20 * APP_SECOND));
    assert_int_equal(finding.result, KAFKA_TOPIC_AUTHORIZATION_FAILED);
    assert_int_equal(app.cluster->requests[API_METADATA], 1);
    app_destroy(&app);
}

static void closing_begin(struct app *app)
{
    asker_begin(app);
    app->finished = true; /* close with everything under way */
}

static void closing_cancels_what_is_under_way(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct app app;
        struct asker asker;
        app_create(&app, seed, NULL, 1);
        asker = asker_of(&app, &asker, 3);
        app.begin = closing_begin;
        app_start(&app);
        assert_true(app_run(&app, 30 * APP_SECOND));
        assert_int_equal(asker.done, 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(asker.results[i], -ECANCELED);
        app_destroy(&app);
    }
}

static void malformed_bootstrap_addresses_are_refused(void **state)
{
    (void)state;
    static const char *bad[] = {"", "host", "host:", ":9092", "host:0", "host:65536", "host:9x"};
    struct sim *sim = sim_create(1, NULL);
    struct loop loop;
    struct say say = {0};
    must(loop_init(&loop, sim_env(sim_node_add(sim, "app")), 0) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct client_settings settings;
        struct client *client = NULL;
        client_settings_init(&settings);
        assert_int_equal(client_create(&loop, &settings, &say, &client), -EINVAL);
        settings.bootstrap = &bad[i];
        settings.bootstrap_count = 1;
        assert_int_equal(client_create(&loop, &settings, &say, &client), -EINVAL);
        assert_null(client);
    }
    loop_close(&loop);
    sim_destroy(sim);
}

static void a_throttled_client_waits(void **state)
{
    (void)state;
    struct app app;
    struct finding finding = {.result = 1};
    app_create(&app, 1, NULL, 1);
    app.cluster->throttle_ms = 3000;
    app.cluster->topic_exists = false;
    app.begin = find_topic_begin;
    app.context = &finding;
    app_start(&app);
    assert_false(app_run(&app, 20 * APP_SECOND));
    assert_in_range(app.cluster->requests[API_METADATA], 6, 8);
    app_destroy(&app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_in_the_order_sent),
        cmocka_unit_test(brokers_that_know_an_older_api_versions_are_understood),
        cmocka_unit_test(an_api_that_is_not_served_is_told),
        cmocka_unit_test(a_node_that_is_not_known_is_told),
        cmocka_unit_test(a_silent_broker_times_out_one_request_and_loses_the_connection),
        cmocka_unit_test(unreadable_answers_close_the_connection),
        cmocka_unit_test(unreadable_api_versions_do_not_hang),
        cmocka_unit_test(a_refused_connection_fails_what_waits_for_it),
        cmocka_unit_test(an_unknown_host_fails_what_waits_for_it),
        cmocka_unit_test(a_dead_machine_costs_the_connect_timeout),
        cmocka_unit_test(bootstrap_goes_on_to_the_next_address),
        cmocka_unit_test(a_topic_that_is_made_later_is_found),
        cmocka_unit_test(final_errors_of_a_topic_are_told),
        cmocka_unit_test(closing_cancels_what_is_under_way),
        cmocka_unit_test(malformed_bootstrap_addresses_are_refused),
        cmocka_unit_test(a_throttled_client_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
