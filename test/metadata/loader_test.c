#include "metadata_test.h"

#include <errno.h>

#include "metadata/features.h"
#include "metadata/loader.h"
#include "os/loop.h"

static void drop_line(void *context, enum say_level level, const char *line, size_t size)
{
    (void)context;
    (void)level;
    (void)line;
    (void)size;
}

static const struct say quiet = {.level = SAY_ERROR, .write = drop_line};

/* A loader whose loop is only a run queue that the test empties. */
struct fixture {
    struct loop loop;
    struct image_publisher publisher;
    struct metadata_loader loader;
    struct image_subscriber subscriber;
    int changes;
    int published;
    int64_t next_offset;
};

static void count_change(struct image_subscriber *subscriber, const struct image_delta *delta)
{
    struct fixture *fixture = container_of(subscriber, struct fixture, subscriber);
    fixture->changes += delta->topic_count;
}

static void count_publication(void *context, const struct image *image)
{
    (void)image;
    ((struct fixture *)context)->published++;
}

static void fixture_open(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    fixture->loop.run_last = &fixture->loop.run_first;
    assert_int_equal(image_publisher_init(&fixture->publisher), 0);
    metadata_loader_init(&fixture->loader, &fixture->loop, &quiet, &fixture->publisher);
    fixture->loader.published = count_publication;
    fixture->loader.context = fixture;
    fixture->subscriber.changed = count_change;
    image_publisher_subscribe(&fixture->publisher, &fixture->subscriber);
}

static void turn(struct fixture *fixture)
{
    struct loop_task *task = fixture->loop.run_first;
    fixture->loop.run_first = NULL;
    fixture->loop.run_last = &fixture->loop.run_first;
    while (task) {
        struct loop_task *next = task->next;
        task->run(&fixture->loop, task);
        task = next;
    }
}

static void fixture_close(struct fixture *fixture)
{
    turn(fixture);
    metadata_loader_close(&fixture->loader);
    image_publisher_unsubscribe(&fixture->publisher, &fixture->subscriber);
    image_publisher_close(&fixture->publisher);
}

struct value_list {
    struct writer values[16];
    int count;
};

static void add(struct value_list *list, int16_t type, const void *record)
{
    struct writer *value = &list->values[list->count++];
    *value = (struct writer){0};
    assert_int_equal(metadata_record_encode(type, 0, record, value), 0);
}

static void add_topic(struct value_list *list, const char *name, int number)
{
    struct topic_record record = {.name = str_of(name), .topic_id = id_of(number)};
    add(list, METADATA_TOPIC_RECORD, &record);
}

static void add_marker(struct value_list *list, int16_t type)
{
    struct begin_transaction_record record;
    begin_transaction_record_init(&record);
    add(list, type, &record);
}

static void feed(struct fixture *fixture, struct value_list *list)
{
    struct batch_builder builder;
    struct batch batch;
    batch_builder_init(&builder, fixture->next_offset);
    builder.leader_epoch = 3;
    for (int i = 0; i < list->count; i++)
        batch_builder_add(&builder, 1000, (struct bytes){0},
                          (struct bytes){list->values[i].data, (int32_t)list->values[i].size}, NULL,
                          0);
    assert_int_equal(batch_builder_finish(&builder), 0);
    assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
    assert_int_equal(metadata_loader_batch(&fixture->loader, &batch), 0);
    fixture->next_offset += list->count;
    for (int i = 0; i < list->count; i++)
        writer_close(&list->values[i]);
    list->count = 0;
    batch_builder_close(&builder);
}

static bool has_topic(struct fixture *fixture, const char *name)
{
    struct image *image = image_acquire(&fixture->publisher);
    bool found = image_topic_named(image, str_of(name)) != NULL;
    image_unref(image);
    return found;
}

static void batches_of_one_turn_are_published_once(void **state)
{
    (void)state;
    struct fixture fixture;
    struct value_list list = {.count = 0};
    fixture_open(&fixture);
    add_topic(&list, "a", 1);
    feed(&fixture, &list);
    add_topic(&list, "b", 2);
    feed(&fixture, &list);
    assert_false(has_topic(&fixture, "a"));
    turn(&fixture);
    assert_true(has_topic(&fixture, "a"));
    assert_true(has_topic(&fixture, "b"));
    assert_int_equal(fixture.published, 1);
    struct image *image = image_acquire(&fixture.publisher);
    assert_int_equal(image->offset, 1);
    assert_int_equal(image->epoch, 3);
    assert_int_equal(image->timestamp_ms, 1000);
    image_unref(image);
    fixture_close(&fixture);
}

static void a_transaction_shows_when_it_ends(void **state)
{
    (void)state;
    struct fixture fixture;
    struct value_list list = {.count = 0};
    fixture_open(&fixture);
    add_marker(&list, METADATA_BEGIN_TRANSACTION_RECORD);
    add_topic(&list, "a", 1);
    feed(&fixture, &list);
    turn(&fixture);
    assert_true(fixture.loader.in_transaction);
    assert_false(has_topic(&fixture, "a"));
    add_topic(&list, "b", 2);
    add_marker(&list, METADATA_END_TRANSACTION_RECORD);
    feed(&fixture, &list);
    turn(&fixture);
    assert_true(has_topic(&fixture, "a"));
    assert_true(has_topic(&fixture, "b"));
    assert_false(fixture.loader.in_transaction);
    fixture_close(&fixture);
}

static void an_aborted_transaction_leaves_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    struct value_list list = {.count = 0};
    fixture_open(&fixture);
    add_topic(&list, "a", 1);
    feed(&fixture, &list);
    add_marker(&list, METADATA_BEGIN_TRANSACTION_RECORD);
    add_topic(&list, "b", 2);
    feed(&fixture, &list);
    add_marker(&list, METADATA_ABORT_TRANSACTION_RECORD);
    feed(&fixture, &list);
    turn(&fixture);
    assert_true(has_topic(&fixture, "a"));
    assert_false(has_topic(&fixture, "b"));
    struct image *image = image_acquire(&fixture.publisher);
    assert_int_equal(image->offset, 3);
    image_unref(image);
    fixture_close(&fixture);
}

static void a_value_that_cannot_be_decoded_stops_the_loader(void **state)
{
    (void)state;
    struct fixture fixture;
    struct batch_builder builder;
    struct batch batch;
    static const uint8_t unknown_type[] = {1, 6, 0, 0};
    fixture_open(&fixture);
    batch_builder_init(&builder, 0);
    batch_builder_add(&builder, 0, (struct bytes){0},
                      (struct bytes){unknown_type, sizeof unknown_type}, NULL, 0);
    assert_int_equal(batch_builder_finish(&builder), 0);
    assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
    assert_int_equal(metadata_loader_batch(&fixture.loader, &batch), -ENOTSUP);
    batch_builder_close(&builder);
    fixture_close(&fixture);
}

static void a_reader_keeps_what_it_gave_out_until_the_turn_ends(void **state)
{
    (void)state;
    struct fixture fixture;
    struct value_list list = {.count = 0};
    struct image_reader reader;
    fixture_open(&fixture);
    image_reader_init(&reader, &fixture.publisher);
    const struct image *first = image_get(&reader);
    assert_ptr_equal(image_get(&reader), first);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        add_topic(&list, name, i);
        feed(&fixture, &list);
        turn(&fixture);
        const struct image *next = image_get(&reader);
        assert_int_equal(image_topic_count(next), i + 1);
    }
    assert_int_equal(image_topic_count(first), 0);
    image_reader_turn_end(&reader);
    assert_int_equal(image_topic_count(image_get(&reader)), 20);
    image_reader_close(&reader);
    fixture_close(&fixture);
}

/* What Apache Kafka 4.4.0 wrote. */

static void feed_file(struct fixture *fixture, const uint8_t *data, size_t size, int64_t end_offset,
                      bool snapshot)
{
    struct batch batch;
    for (size_t at = 0; at < size; at += (size_t)batch.size) {
        assert_int_equal(batch_read(data + at, size - at, &batch), 0);
        assert_true(batch_checksum_ok(&batch));
        if (batch.base_offset >= end_offset)
            break;
        if (!snapshot)
            assert_int_equal(metadata_loader_batch(&fixture->loader, &batch), 0);
        else if (!batch_is_control(&batch))
            assert_int_equal(metadata_loader_snapshot_batch(&fixture->loader, &batch), 0);
    }
}

static int feature_order(const void *a, const void *b)
{
    const struct register_broker_record_broker_feature *x = a;
    const struct register_broker_record_broker_feature *y = b;
    return str_compare(x->name, y->name);
}

/* The same record with its features by name: Kafka writes them in the order of a hash map. */
static struct bytes canonical(struct bytes value)
{
    struct arena arena;
    const struct metadata_record_type *type;
    int16_t version;
    void *decoded;
    struct writer out = {0};
    arena_init(&arena, 0);
    assert_int_equal(metadata_record_decode(value, &arena, &type, &version, &decoded), 0);
    if (type->type == METADATA_REGISTER_BROKER_RECORD) {
        struct register_broker_record *record = decoded;
        qsort(record->features.items, (size_t)record->features.count,
              sizeof record->features.items[0], feature_order);
    } else if (type->type == METADATA_REGISTER_CONTROLLER_RECORD) {
        struct register_controller_record *record = decoded;
        qsort(record->features.items, (size_t)record->features.count,
              sizeof record->features.items[0], feature_order);
    }
    assert_int_equal(metadata_record_encode(type->type, version, decoded, &out), 0);
    arena_close(&arena);
    return (struct bytes){out.data, (int32_t)out.size};
}

static int value_order(const void *a, const void *b)
{
    const struct bytes *x = a;
    const struct bytes *y = b;
    return str_compare((struct str){(const char *)x->data, x->size},
                       (struct str){(const char *)y->data, y->size});
}

static void canonicalise(struct dump *dump)
{
    for (int i = 0; i < dump->count; i++) {
        struct bytes value = canonical(dump->values[i]);
        free((void *)dump->values[i].data);
        dump->values[i] = value;
    }
    qsort(dump->values, (size_t)dump->count, sizeof dump->values[0], value_order);
}

static struct dump *dump_of_snapshot_file(const uint8_t *data, size_t size)
{
    struct dump *dump = calloc(1, sizeof *dump);
    must(dump);
    struct batch batch;
    for (size_t at = 0; at < size; at += (size_t)batch.size) {
        struct record_reader reader;
        struct record record;
        assert_int_equal(batch_read(data + at, size - at, &batch), 0);
        if (batch_is_control(&batch))
            continue;
        assert_int_equal(record_reader_init(&reader, &batch, 1 << 20), 0);
        while (record_reader_next(&reader, NULL, &record) == 0)
            dump_add(dump, record.value);
        record_reader_close(&reader);
    }
    return dump;
}

/* Kafka's log, folded and written by us, is the snapshot that Kafka itself wrote at that offset. */
static void kafkas_log_folds_to_kafkas_snapshot(void **state)
{
    (void)state;
    size_t log_size;
    size_t snapshot_size;
    uint8_t *log = golden_load("metadata-kafka-4.4.0/00000000000000000000.log", &log_size);
    uint8_t *snapshot = golden_load(
        "metadata-kafka-4.4.0/00000000000000000403-0000000001.checkpoint", &snapshot_size);
    struct fixture fixture;
    fixture_open(&fixture);
    feed_file(&fixture, log, log_size, 403, false);
    turn(&fixture);
    struct image *image = image_acquire(&fixture.publisher);
    assert_int_equal(image->offset, 402);
    assert_int_equal(fixture.loader.ignored_records, 0);
    struct dump *ours = dump_of(image);
    struct dump *kafkas = dump_of_snapshot_file(snapshot, snapshot_size);
    canonicalise(ours);
    canonicalise(kafkas);
    assert_dumps_equal(ours, kafkas);
    dump_destroy(ours);
    dump_destroy(kafkas);
    image_unref(image);
    fixture_close(&fixture);
    free(log);
    free(snapshot);
}

static struct str value_of(struct config_pairs pairs, struct str name)
{
    for (int32_t i = 0; i < pairs.count; i++)
        if (str_equal(pairs.items[i].name, name))
            return pairs.items[i].value;
    return (struct str){NULL, 0};
}

static void kafkas_snapshot_and_the_rest_of_its_log_fold_to_the_known_state(void **state)
{
    (void)state;
    size_t log_size;
    size_t snapshot_size;
    uint8_t *log = golden_load("metadata-kafka-4.4.0/00000000000000000000.log", &log_size);
    uint8_t *snapshot = golden_load(
        "metadata-kafka-4.4.0/00000000000000000403-0000000001.checkpoint", &snapshot_size);
    struct fixture fixture;
    fixture_open(&fixture);
    metadata_loader_snapshot_begin(&fixture.loader);
    feed_file(&fixture, snapshot, snapshot_size, INT64_MAX, true);
    turn(&fixture);
    assert_int_equal(fixture.published, 0);
    metadata_loader_snapshot_end(&fixture.loader, 403, 1, 1795383039830);
    turn(&fixture);
    struct image *image = image_acquire(&fixture.publisher);
    assert_int_equal(image->offset, 402);
    const struct topic_image *topic = image_topic_named(image, STR("orders"));
    assert_non_null(topic);
    assert_null(image_topic_named(image, STR("gone")));
    assert_int_equal(topic_partition_count(topic), 5);
    assert_int_equal(topic_partition(topic, 4)->leader, 1);
    struct config_pairs configs = image_configs(image, CONFIG_RESOURCE_TOPIC, STR("orders"));
    assert_int_equal(configs.count, 3);
    assert_true(str_equal(value_of(configs, STR("segment.bytes")), STR("1048576")));
    assert_null(value_of(configs, STR("retention.bytes")).data);
    assert_int_equal(image_feature(image, STR(FEATURE_SHARE_VERSION)), 2);
    assert_int_equal(image->metadata_version, 33);
    assert_int_equal(image->next_producer_id, 1000);
    const struct broker_image *broker = image_broker(image, 1);
    assert_int_equal(broker->epoch, 14);
    assert_false(broker->fenced);
    assert_int_equal(broker_endpoint_named(broker, STR("PLAINTEXT"))->port, 23092);
    image_unref(image);

    /* What follows is the controlled shutdown: every partition loses its leader. */
    struct batch batch;
    for (size_t at = 0; at < log_size; at += (size_t)batch.size) {
        assert_int_equal(batch_read(log + at, log_size - at, &batch), 0);
        if (batch.base_offset >= 403)
            assert_int_equal(metadata_loader_batch(&fixture.loader, &batch), 0);
    }
    turn(&fixture);
    assert_int_equal(fixture.changes, 2);
    image = image_acquire(&fixture.publisher);
    const struct partition_image *partition =
        topic_partition(image_topic_named(image, STR("orders")), 2);
    assert_int_equal(partition->leader, NO_LEADER);
    assert_int_equal(partition->leader_epoch, 1);
    assert_int_equal(partition->isr.count, 0);
    assert_int_equal(partition->elr.items[0], 1);
    assert_true(image_broker(image, 1)->fenced);
    assert_true(image_broker(image, 1)->in_controlled_shutdown);
    image_unref(image);
    fixture_close(&fixture);
    free(log);
    free(snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_of_one_turn_are_published_once),
        cmocka_unit_test(a_transaction_shows_when_it_ends),
        cmocka_unit_test(an_aborted_transaction_leaves_nothing),
        cmocka_unit_test(a_value_that_cannot_be_decoded_stops_the_loader),
        cmocka_unit_test(a_reader_keeps_what_it_gave_out_until_the_turn_ends),
        cmocka_unit_test(kafkas_log_folds_to_kafkas_snapshot),
        cmocka_unit_test(kafkas_snapshot_and_the_rest_of_its_log_fold_to_the_known_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
