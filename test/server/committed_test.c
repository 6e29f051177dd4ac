/* What readers of committed records see while transactions are open, and after them. The records
 * come from the inside, as those of a transaction coordinator do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>

#include "base/epoch.h"
#include "base/errors.h"
#include "broker_fixture.h"
#include "record/control.h"

enum { V = 12, PRODUCER = 7, COMMITTED = 1 };

struct world {
    struct broker_fixture *fixture;
    struct partition *partition; /* a reference */
    struct arena arena;
    int peer;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct epoch_reader reader;
    assert_non_null(world);
    arena_init(&world->arena, 0);
    world->fixture = broker_fixture_create(NULL);
    world->peer = peer_connect(world->fixture);
    peer_create_topic(world->peer, "orders", 1);
    assert_int_equal(peer_produce(world->peer, "orders", 0, 2), 0);

    struct broker *broker = world->fixture->broker;
    struct image *image = image_acquire(&broker->publisher);
    const struct topic_image *topic = image_topic_named(image, STR("orders"));
    epoch_reader_add(broker->partitions.epochs, &reader);
    epoch_online(&reader);
    struct partition *partition = partition_find(&broker->partitions, topic->id, 0);
    assert_non_null(partition);
    world->partition = partition_ref(partition);
    epoch_offline(&reader);
    epoch_reader_remove(&reader);
    image_unref(image);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    peer_close(world->peer);
    partition_unref(world->partition);
    broker_fixture_destroy(world->fixture);
    arena_close(&world->arena);
    free(world);
    return 0;
}

static void append(struct world *world, struct writer *batch)
{
    struct validated records;
    struct log_append_result result;
    assert_int_equal(log_records_from(batch->data, batch->size, &world->arena, &records), 0);
    while (!parklock_try(&world->partition->append_lock))
        sched_yield();
    assert_int_equal(
        partition_append(world->partition, &records, -1, LOG_ORIGIN_COORDINATOR, &result), 0);
    parklock_release(&world->partition->append_lock);
    writer_close(batch);
}

static void append_to_transaction(struct world *world, int32_t count)
{
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.attributes = BATCH_TRANSACTIONAL;
    builder.producer_id = PRODUCER;
    builder.producer_epoch = 0;
    builder.base_sequence = 0;
    for (int32_t i = 0; i < count; i++)
        batch_builder_add(&builder, 1000, (struct bytes){0},
                          (struct bytes){(const uint8_t *)"x", 1}, NULL, 0);
    assert_int_equal(batch_builder_finish(&builder), 0);
    append(world, &builder.out);
    builder.out = (struct writer){0};
    batch_builder_close(&builder);
}

static void end_transaction(struct world *world, bool commit)
{
    struct writer out = {0};
    const struct end_transaction end = {.commit = commit};
    const struct end_transaction_batch batch = {
        .timestamp = 1001, .producer_id = PRODUCER, .producer_epoch = 0};
    assert_int_equal(end_transaction_write(&end, &batch, &out), 0);
    append(world, &out);
}

/* Records from the offset on, as such a reader gets them; the answer's one partition. */
static int32_t read_from(struct world *world, int64_t offset, int8_t isolation,
                         const struct fetch_response_partition_data **ret_data)
{
    struct fetch_response response;
    struct fetch_request *request = fetch_of(&world->arena, "orders", 0, offset);
    request->isolation_level = isolation;
    request->max_wait_ms = 0;
    peer_call(world->peer, &world->arena, API_FETCH, V, request, &response);
    const struct fetch_response_partition_data *data =
        &response.responses.items[0].partitions.items[0];
    assert_int_equal(data->error_code, 0);
    *ret_data = data;
    int32_t count = 0;
    struct batch batch;
    for (int32_t at = 0; at < data->records.size; at += batch.size) {
        size_t left = (size_t)(data->records.size - at);
        assert_int_equal(batch_read(data->records.data + at, left, &batch), 0);
        count += batch.record_count;
    }
    return count;
}

static void a_reader_of_committed_records_stops_at_an_open_transaction(void **state)
{
    struct world *world = *state;
    const struct fetch_response_partition_data *data;
    append_to_transaction(world, 3);
    peer_produce(world->peer, "orders", 0, 1);
    assert_int_equal(read_from(world, 0, COMMITTED, &data), 2);
    assert_int_equal(data->high_watermark, 6);
    assert_int_equal(data->last_stable_offset, 2);
    assert_int_equal(data->aborted_transactions.count, 0);
    assert_int_equal(read_from(world, 2, COMMITTED, &data), 0);
    assert_int_equal(read_from(world, 0, 0, &data), 6);
    assert_int_equal(data->last_stable_offset, 2);
}

static void a_commit_releases_the_records(void **state)
{
    struct world *world = *state;
    const struct fetch_response_partition_data *data;
    append_to_transaction(world, 3);
    end_transaction(world, true);
    assert_int_equal(read_from(world, 0, COMMITTED, &data), 6); /* the marker is one */
    assert_int_equal(data->last_stable_offset, 6);
    assert_int_equal(data->aborted_transactions.count, 0);
}

static void an_abort_is_told_with_the_records(void **state)
{
    struct world *world = *state;
    const struct fetch_response_partition_data *data;
    append_to_transaction(world, 3);
    end_transaction(world, false);
    peer_produce(world->peer, "orders", 0, 1);
    assert_int_equal(read_from(world, 0, COMMITTED, &data), 7);
    assert_int_equal(data->aborted_transactions.count, 1);
    assert_int_equal(data->aborted_transactions.items[0].producer_id, PRODUCER);
    assert_int_equal(data->aborted_transactions.items[0].first_offset, 2);
    assert_int_equal(read_from(world, 0, 0, &data), 7);
    assert_int_equal(data->aborted_transactions.count, -1);
}

static void a_waiting_reader_of_committed_records_is_woken_by_the_marker(void **state)
{
    struct world *world = *state;
    struct fetch_response response;
    append_to_transaction(world, 3);
    assert_int_equal(partition_bound(world->partition, READ_COMMITTED).offset, 2); /* it waits */
    struct fetch_request *request = fetch_of(&world->arena, "orders", 0, 2);
    request->isolation_level = COMMITTED;
    peer_ask(world->peer, API_FETCH, V, 1, request);
    for (bool parked = false; !parked; sched_yield()) {
        struct watermark *mark = &world->partition->last_stable;
        pthread_mutex_lock(&mark->lock);
        parked = !list_empty(&mark->waiters);
        pthread_mutex_unlock(&mark->lock);
    }
    end_transaction(world, true);
    peer_answer(world->peer, &world->arena, API_FETCH, V, 1, &response);
    assert_int_equal(response.responses.items[0].partitions.items[0].last_stable_offset, 6);
    assert_true(response.responses.items[0].partitions.items[0].records.size > 0);
}

static void delete_records(struct world *world, int64_t offset)
{
    struct delete_records_request_partition partition = {.partition_index = 0, .offset = offset};
    struct delete_records_request_topic topic = {.name = STR("orders"),
                                                 .partitions = {&partition, 1}};
    struct delete_records_request request = {.topics = {&topic, 1}, .timeout_ms = 1000};
    struct delete_records_response response;
    peer_call(world->peer, &world->arena, API_DELETE_RECORDS, 2, &request, &response);
    assert_int_equal(response.topics.items[0].partitions.items[0].error_code, 0);
}

/* The log start is stable, though a transaction that began before it is open. */
static void what_is_deleted_holds_nobody_up(void **state)
{
    struct world *world = *state;
    const struct fetch_response_partition_data *data;
    append_to_transaction(world, 3);
    peer_produce(world->peer, "orders", 0, 3);
    delete_records(world, 4);
    assert_int_equal(read_from(world, 4, COMMITTED, &data), 0);
    assert_int_equal(data->log_start_offset, 4);
    assert_int_equal(data->last_stable_offset, 4);
    delete_records(world, -1);
    assert_int_equal(read_from(world, 8, COMMITTED, &data), 0);
    assert_int_equal(data->last_stable_offset, 8);
    peer_produce(world->peer, "orders", 0, 1);
    assert_int_equal(read_from(world, 8, COMMITTED, &data), 0);
    assert_int_equal(data->last_stable_offset, 8);
    end_transaction(world, false);
    assert_int_equal(read_from(world, 8, COMMITTED, &data), 2);
    assert_int_equal(data->last_stable_offset, 10);
    assert_int_equal(data->aborted_transactions.count, 1);
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(a_reader_of_committed_records_stops_at_an_open_transaction),
        NODE_TEST(a_commit_releases_the_records),
        NODE_TEST(an_abort_is_told_with_the_records),
        NODE_TEST(what_is_deleted_holds_nobody_up),
        NODE_TEST(a_waiting_reader_of_committed_records_is_woken_by_the_marker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
