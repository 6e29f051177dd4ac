/* An image as records. Features come first, metadata.version before the others, because it decides
 * the versions of the records behind it. */
#include "metadata/fold.h"

#include <errno.h>

#include "metadata/features.h"
#include "metadata/image_items.h"

struct image_writer {
    const struct image *image;
    int (*write)(void *context, struct bytes value);
    void *context;
    struct writer value;  /* reused */
    struct arena scratch; /* while one record is made */
};

static int put(struct image_writer *writer, int16_t type, int16_t version, const void *record)
{
    writer->value.size = 0;
    int err = metadata_record_encode(type, version, record, &writer->value);
    if (err)
        return err;
    return writer->write(writer->context,
                         (struct bytes){writer->value.data, (int32_t)writer->value.size});
}

/* Features. */

static int put_feature(struct image_writer *writer, const struct feature_image *feature)
{
    struct feature_level_record record;
    feature_level_record_init(&record);
    record.name = feature->name;
    record.feature_level = feature->level;
    return put(writer, METADATA_FEATURE_LEVEL_RECORD, 0, &record);
}

static int put_features(struct image_writer *writer)
{
    const struct feature_image *first = NULL;
    const struct feature_image *feature;
    struct tree_cursor cursor;
    features_from(writer->image, &cursor);
    while ((feature = features_next(&cursor)))
        if (str_equal(feature->name, STR(FEATURE_METADATA_VERSION)))
            first = feature;
    int err = first ? put_feature(writer, first) : 0;
    features_from(writer->image, &cursor);
    while (!err && (feature = features_next(&cursor)))
        if (feature != first)
            err = put_feature(writer, feature);
    if (!err && writer->image->zk_migration_state) {
        struct zk_migration_state_record record = {writer->image->zk_migration_state};
        err = put(writer, METADATA_ZK_MIGRATION_STATE_RECORD, 0, &record);
    }
    return err;
}

/* Brokers and controllers. */

static int put_broker(struct image_writer *writer, const struct broker_image *broker)
{
    int16_t level = writer->image->metadata_version;
    struct register_broker_record record;
    register_broker_record_init(&record);
    record.broker_id = broker->id;
    record.is_migrating_zk_broker = broker->migrating && register_broker_record_version(level) >= 2;
    record.incarnation_id = broker->incarnation_id;
    record.broker_epoch = broker->epoch;
    record.rack = broker->rack;
    record.fenced = broker->fenced;
    record.in_controlled_shutdown = broker->in_controlled_shutdown;
    record.end_points.count = broker->endpoint_count;
    record.end_points.items =
        register_broker_record_broker_endpoint_array(&writer->scratch, broker->endpoint_count);
    record.features.count = broker->feature_count;
    record.features.items =
        register_broker_record_broker_feature_array(&writer->scratch, broker->feature_count);
    if (!record.end_points.items || !record.features.items)
        return -ENOMEM;
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        const struct broker_endpoint *from = &broker->endpoints[i];
        record.end_points.items[i] = (struct register_broker_record_broker_endpoint){
            from->name, from->host, from->port, from->security_protocol};
    }
    for (int32_t i = 0; i < broker->feature_count; i++) {
        const struct feature_range *from = &broker->features[i];
        record.features.items[i] =
            (struct register_broker_record_broker_feature){from->name, from->min, from->max};
    }
    if (level >= METADATA_VERSION_DIRECTORIES)
        record.log_dirs =
            (struct uuid_array){(struct uuid *)broker->log_dirs, broker->log_dir_count};
    if (level >= METADATA_VERSION_CORDON)
        record.cordoned_log_dirs = (struct uuid_array){(struct uuid *)broker->cordoned_log_dirs,
                                                       broker->cordoned_log_dir_count};
    return put(writer, METADATA_REGISTER_BROKER_RECORD, register_broker_record_version(level),
               &record);
}

static int put_controller(struct image_writer *writer, const struct controller_image *controller)
{
    struct register_controller_record record;
    register_controller_record_init(&record);
    record.controller_id = controller->id;
    record.incarnation_id = controller->incarnation_id;
    record.zk_migration_ready = controller->zk_migration_ready;
    record.end_points.count = controller->endpoint_count;
    record.end_points.items = register_controller_record_controller_endpoint_array(
        &writer->scratch, controller->endpoint_count);
    record.features.count = controller->feature_count;
    record.features.items = register_controller_record_controller_feature_array(
        &writer->scratch, controller->feature_count);
    if (!record.end_points.items || !record.features.items)
        return -ENOMEM;
    for (int32_t i = 0; i < controller->endpoint_count; i++) {
        const struct broker_endpoint *from = &controller->endpoints[i];
        record.end_points.items[i] = (struct register_controller_record_controller_endpoint){
            from->name, from->host, from->port, from->security_protocol};
    }
    for (int32_t i = 0; i < controller->feature_count; i++) {
        const struct feature_range *from = &controller->features[i];
        record.features.items[i] = (struct register_controller_record_controller_feature){
            from->name, from->min, from->max};
    }
    return put(writer, METADATA_REGISTER_CONTROLLER_RECORD, 0, &record);
}

static int put_cluster(struct image_writer *writer)
{
    int err = 0;
    struct tree_cursor cursor;
    const struct broker_image *broker;
    tree_first(&writer->image->brokers, &cursor);
    while (!err && (broker = brokers_next(&cursor))) {
        err = put_broker(writer, broker);
        arena_reset(&writer->scratch, 0);
    }
    if (writer->image->metadata_version < METADATA_VERSION_CONTROLLERS)
        return err;
    const struct tree_item *item;
    tree_first(&writer->image->controllers, &cursor);
    while (!err && (item = tree_next(&cursor))) {
        err = put_controller(writer, (const struct controller_image *)item);
        arena_reset(&writer->scratch, 0);
    }
    return err;
}

/* Topics. */

static struct int32_array array_of(struct broker_ids ids)
{
    return (struct int32_array){(int32_t *)ids.items, ids.count};
}

/* Where nothing is known the reserved id MIGRATING stands, which is all zeros. */
static int directories_of(struct image_writer *writer, const struct partition_image *partition,
                          struct uuid_array *ret_directories)
{
    if (partition->directories) {
        *ret_directories =
            (struct uuid_array){(struct uuid *)partition->directories, partition->replicas.count};
        return 0;
    }
    struct uuid *items =
        arena_array(&writer->scratch, (size_t)partition->replicas.count, sizeof items[0]);
    if (!items)
        return -ENOMEM;
    *ret_directories = (struct uuid_array){items, partition->replicas.count};
    return 0;
}

static int put_partition(struct image_writer *writer, const struct topic_image *topic,
                         const struct partition_image *partition)
{
    int16_t level = writer->image->metadata_version;
    struct partition_record record;
    partition_record_init(&record);
    record.partition_id = partition->partition;
    record.topic_id = topic->id;
    record.replicas = array_of(partition->replicas);
    record.isr = array_of(partition->isr);
    record.removing_replicas = array_of(partition->removing);
    record.adding_replicas = array_of(partition->adding);
    record.leader = partition->leader;
    record.leader_recovery_state = partition->leader_recovery_state;
    record.leader_epoch = partition->leader_epoch;
    record.partition_epoch = partition->partition_epoch;
    int err = 0;
    if (level >= METADATA_VERSION_DIRECTORIES)
        err = directories_of(writer, partition, &record.directories);
    if (level >= METADATA_VERSION_ELR && partition->elr.count > 0)
        record.eligible_leader_replicas = array_of(partition->elr);
    if (level >= METADATA_VERSION_ELR && partition->last_known_elr.count > 0)
        record.last_known_elr = array_of(partition->last_known_elr);
    return err ? err
               : put(writer, METADATA_PARTITION_RECORD, partition_record_version(level), &record);
}

static int put_topic(struct image_writer *writer, const struct topic_image *topic)
{
    struct topic_record record;
    topic_record_init(&record);
    record.name = topic->name;
    record.topic_id = topic->id;
    int err = put(writer, METADATA_TOPIC_RECORD, 0, &record);
    struct tree_cursor cursor;
    const struct partition_image *partition;
    partitions_from(topic, 0, &cursor);
    while (!err && (partition = partitions_next(&cursor))) {
        err = put_partition(writer, topic, partition);
        arena_reset(&writer->scratch, 0);
    }
    return err;
}

static int put_topics(struct image_writer *writer)
{
    int err = 0;
    struct tree_cursor cursor;
    const struct topic_image *topic;
    topics_from(writer->image, STR(""), &cursor);
    while (!err && (topic = topics_next(writer->image, &cursor)))
        err = put_topic(writer, topic);
    return err;
}

/* Configs, producer ids, and what is kept. */

static int put_configs(struct image_writer *writer)
{
    int err = 0;
    struct tree_cursor cursor;
    const struct config_image *config;
    tree_first(&writer->image->configs, &cursor);
    while (!err && (config = configs_next(&cursor))) {
        for (int32_t i = 0; !err && i < config->pairs.count; i++) {
            struct config_record record;
            config_record_init(&record);
            record.resource_type = config->type;
            record.resource_name = config->name;
            record.name = config->pairs.items[i].name;
            record.value = config->pairs.items[i].value;
            err = put(writer, METADATA_CONFIG_RECORD, 0, &record);
        }
    }
    return err;
}

static int put_producer_ids(struct image_writer *writer)
{
    if (writer->image->next_producer_id == 0)
        return 0;
    struct producer_ids_record record;
    producer_ids_record_init(&record);
    record.broker_id = -1;
    record.next_producer_id = writer->image->next_producer_id;
    return put(writer, METADATA_PRODUCER_IDS_RECORD, 0, &record);
}

static int put_kept(struct image_writer *writer, int16_t type)
{
    int err = 0;
    struct tree_cursor cursor;
    const struct kept_image *kept;
    tree_seek(&writer->image->kept, key_of_number(type), &cursor);
    while (!err && (kept = (const struct kept_image *)tree_next(&cursor)) && kept->type == type)
        err = writer->write(writer->context, kept->record);
    return err;
}

int image_write(const struct image *image, int (*write)(void *context, struct bytes value),
                void *context)
{
    struct image_writer writer = {.image = image, .write = write, .context = context};
    arena_init(&writer.scratch, 0);
    int err = put_features(&writer);
    if (!err)
        err = put_cluster(&writer);
    if (!err)
        err = put_topics(&writer);
    if (!err)
        err = put_configs(&writer);
    if (!err)
        err = put_kept(&writer, METADATA_CLIENT_QUOTA_RECORD);
    if (!err)
        err = put_producer_ids(&writer);
    if (!err)
        err = put_kept(&writer, METADATA_ACCESS_CONTROL_ENTRY_RECORD);
    if (!err)
        err = put_kept(&writer, METADATA_USER_SCRAM_CREDENTIAL_RECORD);
    if (!err)
        err = put_kept(&writer, METADATA_DELEGATION_TOKEN_RECORD);
    writer_close(&writer.value);
    arena_close(&writer.scratch);
    return err;
}
