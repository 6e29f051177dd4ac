#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "app.h"
#include "base/must.h"

#define RECORDS_MAX 2000

/* Reads a partition from its start to a number of records. */
struct reading {
    struct app *app;
    struct offset_search search;
    struct partition_fetch fetch;
    int64_t timestamp;
    int64_t wanted; /* ends at this offset */
    int64_t next_offset, high_watermark;
    int result;
    int answers;
    int64_t numbers[RECORDS_MAX];
};

static void reading_end(struct reading *reading, int result)
{
    reading->result = result;
    reading->app->finished = true;
}

static void take_record(void *context, int64_t offset, int64_t number)
{
    struct reading *reading = context;
    if (offset < reading->next_offset)
        return; /* the first batch may begin before what was asked for */
    assert_int_equal(offset, reading->next_offset);
    assert_true(offset < RECORDS_MAX);
    reading->numbers[offset] = number;
    reading->next_offset++;
}

static void fetched(struct partition_fetch *fetch, int result)
{
    struct reading *reading = container_of(fetch, struct reading, fetch);
    reading->answers++;
    if (result == 0) {
        assert_true(fetch->high_watermark >= reading->high_watermark);
        reading->high_watermark = fetch->high_watermark;
        each_record(fetch->records.data, fetch->records.size, take_record, reading);
    }
    partition_fetch_release(fetch);
    if (result != 0 || reading->next_offset >= reading->wanted) {
        reading_end(reading, result);
        return;
    }
    fetch->offset = reading->next_offset;
    partition_fetch_start(reading->app->client, fetch);
}

static void found(struct offset_search *search, int result)
{
    struct reading *reading = container_of(search, struct reading, search);
    if (result != 0) {
        reading_end(reading, result);
        return;
    }
    reading->next_offset = search->offset;
    reading->fetch.offset = search->offset;
    partition_fetch_start(reading->app->client, &reading->fetch);
}

static void reading_begin(struct app *app)
{
    struct reading *reading = app->context;
    reading->app = app;
    reading->search = (struct offset_search){.topic = STR("t"),
                                             .timestamp = reading->timestamp,
                                             .timeout_ns = reading->search.timeout_ns,
                                             .done = found};
    reading->fetch = (struct partition_fetch){
        .topic = STR("t"),
        .max_bytes = 1000,
        .min_bytes = 1,
        .max_wait_ms = 500,
        .timeout_ns = 100 * APP_SECOND,
        .done = fetched,
    };
    offset_search_start(app->client, &reading->search);
}

static void fill(struct fake_cluster *cluster, int batches, int records)
{
    struct fake_partition *partition = &cluster->partitions[0];
    for (int i = 0; i < batches; i++) {
        int32_t size;
        uint8_t *data = make_batch(partition->end_offset, records, &size);
        must(partition->log_size + size <= FAKE_LOG_BYTES);
        memcpy(partition->log + partition->log_size, data, (size_t)size);
        store_be64(partition->log + partition->log_size, (uint64_t)partition->end_offset);
        partition->batches[partition->batch_count++] = (struct fake_batch){
            partition->end_offset, partition->log_size, size, -1, -1, -1, records};
        partition->log_size += size;
        partition->end_offset += records;
        free(data);
    }
}

static void check(const struct reading *reading, int64_t from)
{
    assert_int_equal(reading->result, 0);
    assert_int_equal(reading->next_offset, reading->wanted);
    for (int64_t i = from; i < reading->wanted; i++)
        assert_int_equal(reading->numbers[i], i);
}

static struct reading *reading_create(struct app *app, uint64_t seed,
                                      const struct sim_options *options, int brokers)
{
    struct reading *reading = calloc(1, sizeof *reading);
    must(reading);
    app_create(app, seed, options, brokers);
    app->begin = reading_begin;
    app->context = reading;
    reading->timestamp = OFFSETS_EARLIEST;
    reading->result = 1;
    return reading;
}

static void reading_destroy(struct reading *reading, struct app *app)
{
    app_destroy(app);
    free(reading);
}

static void everything_is_read_in_order_across_answers(void **state)
{
    (void)state;
    struct app app;
    struct reading *reading = reading_create(&app, 1, NULL, 1);
    fill(app.cluster, 100, 7);
    reading->wanted = 700;
    app_start(&app);
    assert_true(app_run(&app, 60 * APP_SECOND));
    check(reading, 0);
    assert_true(reading->answers > 5);
    assert_int_equal(reading->high_watermark, 700);
    reading_destroy(reading, &app);
}

static void brokers_without_topic_ids_are_read_by_name(void **state)
{
    (void)state;
    struct app app;
    struct reading *reading = reading_create(&app, 1, NULL, 1);
    app.cluster->fetch_max = 8;
    fill(app.cluster, 10, 3);
    reading->wanted = 30;
    app_start(&app);
    assert_true(app_run(&app, 60 * APP_SECOND));
    check(reading, 0);
    reading_destroy(reading, &app);
}

static void the_latest_offset_is_the_end(void **state)
{
    (void)state;
    struct app app;
    struct reading *reading = reading_create(&app, 1, NULL, 1);
    fill(app.cluster, 10, 3);
    reading->timestamp = OFFSETS_LATEST;
    reading->wanted = 30;
    app_start(&app);
    assert_true(app_run(&app, 60 * APP_SECOND));
    assert_int_equal(reading->search.offset, 30);
    reading_destroy(reading, &app);
}

static void an_offset_out_of_range_is_told_with_the_bounds(void **state)
{
    (void)state;
    struct app app;
    struct reading *reading = reading_create(&app, 1, NULL, 1);
    fill(app.cluster, 10, 3);
    reading->timestamp = OFFSETS_LATEST;
    reading->wanted = 31;
    app_start(&app);
    while (reading->answers == 0)
        sim_step(app.sim);
    app.cluster->partitions[0].end_offset = 12; /* as after a loss */
    assert_true(app_run(&app, 60 * APP_SECOND));
    assert_int_equal(reading->result, KAFKA_OFFSET_OUT_OF_RANGE);
    reading_destroy(reading, &app);
}

static void a_search_ends_when_its_time_is_over(void **state)
{
    (void)state;
    struct app app;
    struct reading *reading = reading_create(&app, 1, NULL, 1);
    app.cluster->topic_exists = false;
    reading->search.timeout_ns = 3 * APP_SECOND;
    app_start(&app);
    assert_true(app_run(&app, 10 * APP_SECOND));
    assert_int_equal(reading->result, -ETIMEDOUT);
    assert_in_range(sim_now_ns(app.sim), 3 * APP_SECOND, 4 * APP_SECOND);
    reading_destroy(reading, &app);
}

static void readers_survive_rough_worlds(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim_options options;
        struct app app;
        sim_options_rough(seed, &options);
        struct reading *reading = reading_create(&app, seed, &options, 2);
        fill(app.cluster, 100, 7);
        reading->wanted = 700;
        reading->search.timeout_ns = 1000 * APP_SECOND;
        app.settings.request_timeout_ns = 5 * APP_SECOND;
        app_start(&app);
        for (int i = 0; i < 10 && !app.ended; i++) {
            int broker = (int)sim_dice(app.sim, 2);
            sim_run_for(app.sim, (int64_t)sim_dice(app.sim, APP_SECOND / 10));
            if (sim_dice(app.sim, 3) == 0)
                fake_move_leader(app.cluster, 0, broker);
            else if (sim_dice(app.sim, 2) == 0)
                sim_disconnect(app.node, app.cluster->nodes[broker]);
            else
                fake_fault_add(app.cluster, API_FETCH, 1)->close = true;
            memset(app.cluster->faults + 1, 0, 3 * sizeof *app.cluster->faults);
        }
        assert_true(app_run(&app, 2000 * APP_SECOND));
        check(reading, 0);
        reading_destroy(reading, &app);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read_in_order_across_answers),
        cmocka_unit_test(brokers_without_topic_ids_are_read_by_name),
        cmocka_unit_test(the_latest_offset_is_the_end),
        cmocka_unit_test(an_offset_out_of_range_is_told_with_the_bounds),
        cmocka_unit_test(a_search_ends_when_its_time_is_over),
        cmocka_unit_test(readers_survive_rough_worlds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
