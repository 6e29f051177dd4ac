#include "metadata_test.h"

#include "metadata/delta.h"
#include "metadata/features.h"

static void a_topic_is_found_by_id_and_by_name(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    assert_true(apply_topic_named(&builder, "orders", id_of(1)));
    assert_true(apply_partition_of(&builder, id_of(1), 0, 1));
    assert_true(apply_partition_of(&builder, id_of(1), 1, 2));
    assert_false(apply_partition_of(&builder, id_of(2), 0, 1));
    const struct image *image = image_builder_peek(&builder);
    const struct topic_image *topic = image_topic_named(image, STR("orders"));
    assert_non_null(topic);
    assert_ptr_equal(topic, image_topic(image, id_of(1)));
    assert_int_equal(topic_partition_count(topic), 2);
    assert_int_equal(image->partition_count, 2);
    const struct partition_image *partition = image_partition(image, id_of(1), 1);
    assert_int_equal(partition->leader, 2);
    assert_int_equal(partition->replicas.count, 2);
    assert_int_equal(partition->replicas.items[1], 3);
    assert_true(uuid_equal(partition->directories[0], id_of(2)));
    assert_null(image_partition(image, id_of(1), 2));
    assert_null(image_topic_named(image, STR("order")));
    image_builder_close(&builder);
}

static void removing_a_topic_removes_its_partitions_and_configs(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_topic_named(&builder, "orders", id_of(1));
    apply_partition_of(&builder, id_of(1), 0, 1);
    apply_config_of(&builder, CONFIG_RESOURCE_TOPIC, "orders", "retention.ms", "1");
    struct image *before = image_builder_snapshot(&builder);
    struct remove_topic_record removal = {id_of(1)};
    assert_true(apply(&builder, METADATA_REMOVE_TOPIC_RECORD, &removal));
    assert_false(apply(&builder, METADATA_REMOVE_TOPIC_RECORD, &removal));
    apply_topic_named(&builder, "orders", id_of(2));
    const struct image *after = image_builder_peek(&builder);
    assert_int_equal(after->partition_count, 0);
    assert_int_equal(image_configs(after, CONFIG_RESOURCE_TOPIC, STR("orders")).count, 0);
    assert_null(image_topic(after, id_of(1)));
    assert_true(uuid_equal(image_topic_named(after, STR("orders"))->id, id_of(2)));
    /* The older image is as it was. */
    assert_int_equal(before->partition_count, 1);
    assert_non_null(image_partition(before, id_of(1), 0));
    assert_int_equal(image_configs(before, CONFIG_RESOURCE_TOPIC, STR("orders")).count, 1);
    image_unref(before);
    image_builder_close(&builder);
}

static void a_partition_change_touches_only_what_it_names(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_topic_named(&builder, "orders", id_of(1));
    apply_partition_of(&builder, id_of(1), 0, 1);
    struct partition_change_record change;
    partition_change_record_init(&change);
    change.partition_id = 0;
    change.topic_id = id_of(1);
    int32_t isr[] = {2};
    change.isr = (struct int32_array){isr, 1};
    assert_true(apply(&builder, METADATA_PARTITION_CHANGE_RECORD, &change));
    const struct partition_image *partition =
        image_partition(image_builder_peek(&builder), id_of(1), 0);
    assert_int_equal(partition->leader, 1);
    assert_int_equal(partition->leader_epoch, 0);
    assert_int_equal(partition->partition_epoch, 1);
    assert_int_equal(partition->isr.count, 1);
    assert_int_equal(partition->replicas.count, 2);
    assert_non_null(partition->directories);

    partition_change_record_init(&change);
    change.partition_id = 0;
    change.topic_id = id_of(1);
    change.leader = 2;
    change.leader_recovery_state = LEADER_RECOVERING;
    assert_true(apply(&builder, METADATA_PARTITION_CHANGE_RECORD, &change));
    partition = image_partition(image_builder_peek(&builder), id_of(1), 0);
    assert_int_equal(partition->leader, 2);
    assert_int_equal(partition->leader_epoch, 1);
    assert_int_equal(partition->partition_epoch, 2);
    assert_int_equal(partition->leader_recovery_state, LEADER_RECOVERING);
    change.partition_id = 7;
    assert_false(apply(&builder, METADATA_PARTITION_CHANGE_RECORD, &change));
    image_builder_close(&builder);
}

static void configs_are_sorted_and_the_last_one_removed_takes_the_resource(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_config_of(&builder, CONFIG_RESOURCE_BROKER, "", "b", "1");
    apply_config_of(&builder, CONFIG_RESOURCE_BROKER, "", "c", "2");
    apply_config_of(&builder, CONFIG_RESOURCE_BROKER, "", "a", "3");
    apply_config_of(&builder, CONFIG_RESOURCE_BROKER, "", "b", "4");
    const struct image *image = image_builder_peek(&builder);
    struct config_pairs pairs = image_configs(image, CONFIG_RESOURCE_BROKER, STR(""));
    assert_int_equal(pairs.count, 3);
    assert_true(str_equal(pairs.items[0].name, STR("a")));
    assert_true(str_equal(pairs.items[1].value, STR("4")));
    assert_true(str_equal(pairs.items[2].name, STR("c")));
    assert_int_equal(image_configs(image, CONFIG_RESOURCE_TOPIC, STR("")).count, 0);
    apply_config_of(&builder, CONFIG_RESOURCE_BROKER, "", "a", NULL);
    apply_config_of(&builder, CONFIG_RESOURCE_BROKER, "", "b", NULL);
    apply_config_of(&builder, CONFIG_RESOURCE_BROKER, "", "c", NULL);
    apply_config_of(&builder, CONFIG_RESOURCE_BROKER, "", "d", NULL);
    assert_int_equal(tree_size(&image_builder_peek(&builder)->configs), 0);
    image_builder_close(&builder);
}

static void apply_broker_of(struct image_builder *builder, int32_t id, int64_t epoch)
{
    struct register_broker_record record;
    register_broker_record_init(&record);
    struct register_broker_record_broker_endpoint endpoint = {STR("PLAINTEXT"), STR("localhost"),
                                                              9092, 0};
    struct register_broker_record_broker_feature range = {STR("metadata.version"), 7, 33};
    struct uuid dir = id_of(id);
    record.broker_id = id;
    record.broker_epoch = epoch;
    record.incarnation_id = id_of(1000 + id);
    record.rack = STR("r1");
    record.end_points.items = &endpoint;
    record.end_points.count = 1;
    record.features.items = &range;
    record.features.count = 1;
    record.log_dirs = (struct uuid_array){&dir, 1};
    assert_true(apply(builder, METADATA_REGISTER_BROKER_RECORD, &record));
}

static void a_broker_changes_only_under_its_epoch(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_broker_of(&builder, 5, 10);
    struct broker_registration_change_record change;
    broker_registration_change_record_init(&change);
    change.broker_id = 5;
    change.broker_epoch = 9;
    change.fenced = -1;
    assert_false(apply(&builder, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, &change));
    assert_false(image_broker_alive(image_builder_peek(&builder), 5));
    change.broker_epoch = 10;
    assert_true(apply(&builder, METADATA_BROKER_REGISTRATION_CHANGE_RECORD, &change));
    assert_true(image_broker_alive(image_builder_peek(&builder), 5));
    const struct broker_image *broker = image_broker(image_builder_peek(&builder), 5);
    assert_int_equal(broker_endpoint_named(broker, STR("PLAINTEXT"))->port, 9092);
    assert_null(broker_endpoint_named(broker, STR("SSL")));
    struct unregister_broker_record removal = {5, 9};
    assert_false(apply(&builder, METADATA_UNREGISTER_BROKER_RECORD, &removal));
    removal.broker_epoch = 10;
    assert_true(apply(&builder, METADATA_UNREGISTER_BROKER_RECORD, &removal));
    assert_null(image_broker(image_builder_peek(&builder), 5));
    image_builder_close(&builder);
}

static void clearing_elrs_raises_the_epoch_of_the_partitions_that_had_one(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_topic_named(&builder, "a", id_of(1));
    apply_topic_named(&builder, "b", id_of(2));
    for (int topic = 1; topic <= 2; topic++)
        for (int partition = 0; partition < 3; partition++)
            apply_partition_of(&builder, id_of(topic), partition, 1);
    int32_t elr[] = {2};
    for (int topic = 1; topic <= 2; topic++) {
        struct partition_change_record change;
        partition_change_record_init(&change);
        change.topic_id = id_of(topic);
        change.partition_id = 1;
        change.eligible_leader_replicas = (struct int32_array){elr, 1};
        assert_true(apply(&builder, METADATA_PARTITION_CHANGE_RECORD, &change));
    }
    struct clear_elr_record clear = {STR("a")};
    assert_true(apply(&builder, METADATA_CLEAR_ELR_RECORD, &clear));
    const struct image *image = image_builder_peek(&builder);
    assert_int_equal(image_partition(image, id_of(1), 1)->elr.count, 0);
    assert_int_equal(image_partition(image, id_of(1), 1)->partition_epoch, 2);
    assert_int_equal(image_partition(image, id_of(1), 0)->partition_epoch, 0);
    assert_int_equal(image_partition(image, id_of(2), 1)->elr.count, 1);
    clear.topic_name = STR("");
    assert_true(apply(&builder, METADATA_CLEAR_ELR_RECORD, &clear));
    assert_int_equal(image_partition(image_builder_peek(&builder), id_of(2), 1)->elr.count, 0);
    image_builder_close(&builder);
}

static void apply_one_of_everything(struct image_builder *builder)
{
    apply_feature_of(builder, FEATURE_METADATA_VERSION, METADATA_VERSION_LATEST);
    apply_feature_of(builder, FEATURE_ELR_VERSION, 1);
    apply_broker_of(builder, 1, 7);
    apply_broker_of(builder, 2, 9);
    struct register_controller_record controller;
    register_controller_record_init(&controller);
    controller.controller_id = 1;
    apply(builder, METADATA_REGISTER_CONTROLLER_RECORD, &controller);
    char name[16];
    for (int topic = 0; topic < 50; topic++) {
        snprintf(name, sizeof name, "t%d", topic);
        apply_topic_named(builder, name, id_of(topic));
        for (int partition = 0; partition < topic; partition++)
            apply_partition_of(builder, id_of(topic), partition, partition % 3);
    }
    apply_config_of(builder, CONFIG_RESOURCE_TOPIC, "t1", "retention.ms", "1");
    apply_config_of(builder, CONFIG_RESOURCE_GROUP, "g", "x", "");
    struct producer_ids_record ids = {1, 7, 5000};
    apply(builder, METADATA_PRODUCER_IDS_RECORD, &ids);
    struct client_quota_record_entity_data entity[] = {{STR("user"), {NULL, 0}}};
    struct client_quota_record quota = {.key = STR("request_percentage"), .value = 2.5};
    quota.entity.items = entity;
    quota.entity.count = 1;
    apply(builder, METADATA_CLIENT_QUOTA_RECORD, &quota);
    struct user_scram_credential_record scram = {.name = STR("u"),
                                                 .mechanism = 1,
                                                 .salt = {(const uint8_t *)"s", 1},
                                                 .stored_key = {(const uint8_t *)"k", 1},
                                                 .server_key = {(const uint8_t *)"v", 1},
                                                 .iterations = 4096};
    apply(builder, METADATA_USER_SCRAM_CREDENTIAL_RECORD, &scram);
    struct access_control_entry_record acl = {
        .id = id_of(77), .resource_name = STR("*"), .principal = STR("User:u"), .host = STR("*")};
    apply(builder, METADATA_ACCESS_CONTROL_ENTRY_RECORD, &acl);
}

static void an_image_written_and_folded_again_is_the_same(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_one_of_everything(&builder);
    struct dump *first = dump_of(image_builder_peek(&builder));
    struct image_builder again;
    image_builder_init(&again, NULL);
    for (int i = 0; i < first->count; i++)
        apply_value(&again, first->values[i]);
    struct dump *second = dump_of(image_builder_peek(&again));
    assert_true(first->count > 1225);
    assert_dumps_equal(first, second);
    assert_int_equal(image_builder_peek(&again)->next_producer_id, 5000);
    assert_int_equal(image_builder_peek(&again)->metadata_version, METADATA_VERSION_LATEST);
    dump_destroy(first);
    dump_destroy(second);
    image_builder_close(&builder);
    image_builder_close(&again);
}

static void an_old_level_gets_old_record_versions(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_one_of_everything(&builder);
    apply_feature_of(&builder, FEATURE_METADATA_VERSION, METADATA_VERSION_MIN);
    struct dump *dump = dump_of(image_builder_peek(&builder));
    for (int i = 0; i < dump->count; i++) {
        struct arena arena;
        const struct metadata_record_type *type;
        int16_t version;
        void *record;
        arena_init(&arena, 0);
        assert_int_equal(metadata_record_decode(dump->values[i], &arena, &type, &version, &record),
                         0);
        if (type->type == METADATA_PARTITION_RECORD)
            assert_int_equal(version, 0);
        if (type->type == METADATA_REGISTER_BROKER_RECORD)
            assert_int_equal(version, 1);
        assert_int_not_equal(type->type, METADATA_REGISTER_CONTROLLER_RECORD);
        arena_close(&arena);
    }
    dump_destroy(dump);
    image_builder_close(&builder);
}

static void what_is_only_kept_is_removed_by_its_key(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_one_of_everything(&builder);
    assert_int_equal(tree_size(&image_builder_peek(&builder)->kept), 3);
    struct remove_access_control_entry_record acl = {id_of(78)};
    assert_false(apply(&builder, METADATA_REMOVE_ACCESS_CONTROL_ENTRY_RECORD, &acl));
    acl.id = id_of(77);
    assert_true(apply(&builder, METADATA_REMOVE_ACCESS_CONTROL_ENTRY_RECORD, &acl));
    struct remove_user_scram_credential_record scram = {STR("u"), 2};
    assert_false(apply(&builder, METADATA_REMOVE_USER_SCRAM_CREDENTIAL_RECORD, &scram));
    scram.mechanism = 1;
    assert_true(apply(&builder, METADATA_REMOVE_USER_SCRAM_CREDENTIAL_RECORD, &scram));
    assert_int_equal(tree_size(&image_builder_peek(&builder)->kept), 1);
    image_builder_close(&builder);
}

static void a_delta_names_topics_partitions_brokers_and_configs(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_one_of_everything(&builder);
    struct image *before = image_builder_snapshot(&builder);
    struct remove_topic_record removal = {id_of(3)};
    apply(&builder, METADATA_REMOVE_TOPIC_RECORD, &removal);
    apply_topic_named(&builder, "new", id_of(100));
    apply_partition_of(&builder, id_of(100), 0, 1);
    struct partition_change_record change;
    partition_change_record_init(&change);
    change.partition_id = 20;
    change.topic_id = id_of(40);
    change.leader = 9;
    apply(&builder, METADATA_PARTITION_CHANGE_RECORD, &change);
    apply_config_of(&builder, CONFIG_RESOURCE_TOPIC, "t1", "retention.ms", NULL);
    apply_broker_of(&builder, 3, 11);
    struct image *after = image_builder_snapshot(&builder);

    struct arena arena;
    struct image_delta delta;
    arena_init(&arena, 0);
    image_diff(before, after, &arena, &delta);
    assert_int_equal(delta.topic_count, 3);
    assert_null(delta.topics[0].after);
    assert_int_equal(delta.topics[0].partition_count, 3);
    assert_int_equal(delta.topics[1].partition_count, 1);
    assert_int_equal(delta.topics[1].partitions[0].before->leader, 20 % 3);
    assert_int_equal(delta.topics[1].partitions[0].after->leader, 9);
    assert_null(delta.topics[2].before);
    assert_int_equal(delta.topics[2].partition_count, 1);
    assert_int_equal(delta.broker_count, 1);
    assert_null(delta.brokers[0].before);
    assert_int_equal(delta.config_count, 1);
    assert_true(str_equal(delta.configs[0].name, STR("t1")));
    assert_null(delta.configs[0].after);
    assert_false(delta.features_changed);
    image_diff(after, after, &arena, &delta);
    assert_int_equal(delta.topic_count + delta.broker_count + delta.config_count, 0);
    arena_close(&arena);
    image_unref(before);
    image_unref(after);
    image_builder_close(&builder);
}

static void topics_are_walked_by_name_from_anywhere(void **state)
{
    (void)state;
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    apply_one_of_everything(&builder);
    const struct image *image = image_builder_peek(&builder);
    struct tree_cursor cursor;
    const struct topic_image *topic;
    int count = 0;
    topics_from(image, STR("t45"), &cursor);
    while ((topic = topics_next(image, &cursor))) {
        if (count == 0)
            assert_true(str_equal(topic->name, STR("t45")));
        count++;
    }
    assert_int_equal(count, 10); /* t45 to t49, t5 to t9 */
    image_builder_close(&builder);
}

static void metadata_versions_have_names(void **state)
{
    (void)state;
    assert_string_equal(metadata_version_name(33), "4.4-IV2");
    assert_string_equal(metadata_version_name(25), "4.0-IV3");
    assert_string_equal(metadata_version_name(7), "3.3-IV3");
    assert_null(metadata_version_name(6));
    assert_null(metadata_version_name(34));
    assert_int_equal(metadata_version_parse(STR("4.4-IV2")), 33);
    assert_int_equal(metadata_version_parse(STR("4.0")), 25);
    assert_int_equal(metadata_version_parse(STR("17")), 17);
    assert_int_equal(metadata_version_parse(STR("4.9")), -1);
    assert_int_equal(metadata_version_parse(STR("6")), -1);
    assert_int_equal(metadata_version_parse(STR("")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_found_by_id_and_by_name),
        cmocka_unit_test(removing_a_topic_removes_its_partitions_and_configs),
        cmocka_unit_test(a_partition_change_touches_only_what_it_names),
        cmocka_unit_test(configs_are_sorted_and_the_last_one_removed_takes_the_resource),
        cmocka_unit_test(a_broker_changes_only_under_its_epoch),
        cmocka_unit_test(clearing_elrs_raises_the_epoch_of_the_partitions_that_had_one),
        cmocka_unit_test(an_image_written_and_folded_again_is_the_same),
        cmocka_unit_test(an_old_level_gets_old_record_versions),
        cmocka_unit_test(what_is_only_kept_is_removed_by_its_key),
        cmocka_unit_test(a_delta_names_topics_partitions_brokers_and_configs),
        cmocka_unit_test(topics_are_walked_by_name_from_anywhere),
        cmocka_unit_test(metadata_versions_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
