/* One function per record type. Each reads the state, makes the new item and puts it into its tree.
 * Sizes of arrays come from decoded records, so they are bounded by the batch they came in. */
#include "metadata/fold.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "metadata/features.h"
#include "metadata/image_items.h"

/* Builders. */

static struct image *image_create(void)
{
    struct image *image = calloc(1, sizeof *image);
    must(image);
    atomic_init(&image->refs, 1);
    image->offset = -1;
    image->epoch = -1;
    image->timestamp_ms = -1;
    return image;
}

static struct image *image_copy(const struct image *from)
{
    struct image *image = image_create();
    if (!from)
        return image;
    image->offset = from->offset;
    image->epoch = from->epoch;
    image->timestamp_ms = from->timestamp_ms;
    image->topics = tree_copy(&from->topics);
    image->topic_names = tree_copy(&from->topic_names);
    image->brokers = tree_copy(&from->brokers);
    image->controllers = tree_copy(&from->controllers);
    image->configs = tree_copy(&from->configs);
    image->features = tree_copy(&from->features);
    image->kept = tree_copy(&from->kept);
    image->next_producer_id = from->next_producer_id;
    image->partition_count = from->partition_count;
    image->metadata_version = from->metadata_version;
    image->zk_migration_state = from->zk_migration_state;
    return image;
}

void image_builder_init(struct image_builder *builder, const struct image *base)
{
    builder->image = image_copy(base);
    arena_init(&builder->scratch, 0);
}

void image_builder_close(struct image_builder *builder)
{
    image_unref(builder->image);
    builder->image = NULL;
    arena_close(&builder->scratch);
}

void image_builder_reset(struct image_builder *builder, const struct image *base)
{
    image_unref(builder->image);
    builder->image = image_copy(base);
}

void image_builder_set_offset(struct image_builder *builder, int64_t offset, int32_t epoch,
                              int64_t timestamp_ms)
{
    builder->image->offset = offset;
    builder->image->epoch = epoch;
    builder->image->timestamp_ms = timestamp_ms;
}

struct image *image_builder_snapshot(struct image_builder *builder)
{
    return image_copy(builder->image);
}

static void *scratch_array(struct image_builder *builder, int32_t count, size_t size)
{
    void *array = arena_array(&builder->scratch, count > 0 ? (size_t)count : 0, size);
    must(array);
    return array;
}

/* Topics and partitions. */

static struct broker_ids ids_of(const struct int32_array *array)
{
    return array->count > 0 ? (struct broker_ids){array->items, array->count}
                            : (struct broker_ids){0};
}

static struct topic_image *topic_edit(struct image_builder *builder, const struct uuid *id)
{
    return (struct topic_image *)tree_edit(&builder->image->topics, key_of_id(id),
                                           topic_image_clone);
}

static bool topic_remove(struct image_builder *builder, struct uuid id)
{
    struct image *image = builder->image;
    const struct topic_image *topic = image_topic(image, id);
    if (!topic)
        return false;
    image->partition_count -= topic_partition_count(topic);
    /* A name may already belong to a newer topic. */
    const struct topic_image *named = image_topic_named(image, topic->name);
    if (named == topic)
        tree_remove(&image->topic_names, key_of_name(topic->name));
    tree_remove(&image->configs, key_of_pair(CONFIG_RESOURCE_TOPIC, topic->name));
    tree_remove(&image->topics, key_of_id(&id));
    return true;
}

static bool apply_topic(struct image_builder *builder, const struct topic_record *record)
{
    struct image *image = builder->image;
    const struct topic_image *named = image_topic_named(image, record->name);
    if (named && uuid_equal(named->id, record->topic_id))
        return true;
    if (image_topic(image, record->topic_id))
        return false;
    if (named)
        topic_remove(builder, named->id);
    struct topic_image *topic = topic_image_create(record->name, record->topic_id);
    struct topic_name_image *name = topic_name_image_create(record->name, record->topic_id);
    tree_put(&image->topics, &topic->item);
    tree_put(&image->topic_names, &name->item);
    return true;
}

static bool apply_remove_topic(struct image_builder *builder,
                               const struct remove_topic_record *record)
{
    return topic_remove(builder, record->topic_id);
}

static bool apply_partition(struct image_builder *builder, const struct partition_record *record)
{
    struct topic_image *topic = topic_edit(builder, &record->topic_id);
    if (!topic || record->partition_id < 0)
        return false;
    struct partition_image from = {
        .partition = record->partition_id,
        .leader = record->leader,
        .leader_epoch = record->leader_epoch,
        .partition_epoch = record->partition_epoch,
        .leader_recovery_state = record->leader_recovery_state,
        .replicas = ids_of(&record->replicas),
        .isr = ids_of(&record->isr),
        .removing = ids_of(&record->removing_replicas),
        .adding = ids_of(&record->adding_replicas),
        .elr = ids_of(&record->eligible_leader_replicas),
        .last_known_elr = ids_of(&record->last_known_elr),
    };
    if (record->directories.count > 0 && record->directories.count == record->replicas.count)
        from.directories = record->directories.items;
    int32_t before = topic_partition_count(topic);
    tree_put(&topic->partitions, &partition_image_create(&from)->item);
    builder->image->partition_count += topic_partition_count(topic) - before;
    return true;
}

/* Directories belong to replicas by place: a change that names other replicas without naming their
 * directories leaves none known. */
static void merge_directories(struct partition_image *partition, const struct uuid_array *named,
                              int32_t replicas_before)
{
    if (named->count > 0 && named->count == partition->replicas.count)
        partition->directories = named->items;
    else if (named->count >= 0 || partition->replicas.count != replicas_before)
        partition->directories = NULL;
}

static bool apply_partition_change(struct image_builder *builder,
                                   const struct partition_change_record *record)
{
    struct topic_image *topic = topic_edit(builder, &record->topic_id);
    const struct partition_image *before =
        topic ? topic_partition(topic, record->partition_id) : NULL;
    if (!before)
        return false;
    struct partition_image after = *before;
    if (record->replicas.count >= 0)
        after.replicas = ids_of(&record->replicas);
    if (record->isr.count >= 0)
        after.isr = ids_of(&record->isr);
    if (record->removing_replicas.count >= 0)
        after.removing = ids_of(&record->removing_replicas);
    if (record->adding_replicas.count >= 0)
        after.adding = ids_of(&record->adding_replicas);
    if (record->eligible_leader_replicas.count >= 0)
        after.elr = ids_of(&record->eligible_leader_replicas);
    if (record->last_known_elr.count >= 0)
        after.last_known_elr = ids_of(&record->last_known_elr);
    merge_directories(&after, &record->directories, before->replicas.count);
    if (record->leader != -2) {
        after.leader = record->leader;
        after.leader_epoch++;
    }
    if (record->leader_recovery_state >= 0)
        after.leader_recovery_state = record->leader_recovery_state;
    after.partition_epoch++;
    tree_put(&topic->partitions, &partition_image_create(&after)->item);
    return true;
}

/* Of one topic. As for any change of a partition, its epoch rises. */
static void clear_elr(struct image_builder *builder, struct uuid topic_id)
{
    const struct topic_image *seen = image_topic(builder->image, topic_id);
    int32_t count = topic_partition_count(seen);
    int32_t *numbers = scratch_array(builder, count, sizeof numbers[0]);
    int32_t found = 0;
    struct tree_cursor cursor;
    const struct partition_image *partition;
    partitions_from(seen, 0, &cursor);
    while ((partition = partitions_next(&cursor)))
        if (partition->elr.count > 0 || partition->last_known_elr.count > 0)
            numbers[found++] = partition->partition;
    if (found == 0)
        return;
    struct topic_image *topic = topic_edit(builder, &topic_id);
    for (int32_t i = 0; i < found; i++) {
        struct partition_image after = *topic_partition(topic, numbers[i]);
        after.elr = (struct broker_ids){0};
        after.last_known_elr = (struct broker_ids){0};
        after.partition_epoch++;
        tree_put(&topic->partitions, &partition_image_create(&after)->item);
    }
}

static bool apply_clear_elr(struct image_builder *builder, const struct clear_elr_record *record)
{
    struct image *image = builder->image;
    if (record->topic_name.size > 0) {
        const struct topic_image *topic = image_topic_named(image, record->topic_name);
        if (topic)
            clear_elr(builder, topic->id);
        return topic != NULL;
    }
    int32_t count = image_topic_count(image);
    struct uuid *ids = scratch_array(builder, count, sizeof ids[0]);
    int32_t found = 0;
    struct tree_cursor cursor;
    const struct topic_image *topic;
    topics_from(image, STR(""), &cursor);
    while ((topic = topics_next(image, &cursor)))
        ids[found++] = topic->id;
    for (int32_t i = 0; i < found; i++)
        clear_elr(builder, ids[i]);
    return true;
}

/* Brokers and controllers. */

static bool apply_register_broker(struct image_builder *builder,
                                  const struct register_broker_record *record)
{
    struct broker_endpoint *endpoints =
        scratch_array(builder, record->end_points.count, sizeof endpoints[0]);
    for (int32_t i = 0; i < record->end_points.count; i++) {
        const struct register_broker_record_broker_endpoint *from = &record->end_points.items[i];
        endpoints[i] =
            (struct broker_endpoint){from->name, from->host, from->port, from->security_protocol};
    }
    struct feature_range *ranges = scratch_array(builder, record->features.count, sizeof ranges[0]);
    for (int32_t i = 0; i < record->features.count; i++) {
        const struct register_broker_record_broker_feature *from = &record->features.items[i];
        ranges[i] = (struct feature_range){from->name, from->min_supported_version,
                                           from->max_supported_version};
    }
    const struct broker_image from = {
        .id = record->broker_id,
        .epoch = record->broker_epoch,
        .incarnation_id = record->incarnation_id,
        .fenced = record->fenced,
        .in_controlled_shutdown = record->in_controlled_shutdown,
        .migrating = record->is_migrating_zk_broker,
        .rack = record->rack,
        .endpoints = endpoints,
        .endpoint_count = record->end_points.count,
        .features = ranges,
        .feature_count = record->features.count,
        .log_dirs = record->log_dirs.items,
        .log_dir_count = record->log_dirs.count,
        .cordoned_log_dirs = record->cordoned_log_dirs.items,
        .cordoned_log_dir_count = record->cordoned_log_dirs.count,
    };
    tree_put(&builder->image->brokers, &broker_image_create(&from)->item);
    return true;
}

static const struct broker_image *broker_of_epoch(const struct image_builder *builder, int32_t id,
                                                  int64_t epoch)
{
    const struct broker_image *broker = image_broker(builder->image, id);
    return broker && broker->epoch == epoch ? broker : NULL;
}

static bool apply_unregister_broker(struct image_builder *builder,
                                    const struct unregister_broker_record *record)
{
    return broker_of_epoch(builder, record->broker_id, record->broker_epoch) &&
           tree_remove(&builder->image->brokers, key_of_number(record->broker_id));
}

static bool apply_broker_change(struct image_builder *builder,
                                const struct broker_registration_change_record *record)
{
    const struct broker_image *before =
        broker_of_epoch(builder, record->broker_id, record->broker_epoch);
    if (!before)
        return false;
    struct broker_image after = *before;
    if (record->fenced)
        after.fenced = record->fenced > 0;
    if (record->in_controlled_shutdown)
        after.in_controlled_shutdown = record->in_controlled_shutdown > 0;
    if (record->log_dirs.count > 0) {
        after.log_dirs = record->log_dirs.items;
        after.log_dir_count = record->log_dirs.count;
    }
    if (record->cordoned_log_dirs.count >= 0) {
        after.cordoned_log_dirs = record->cordoned_log_dirs.items;
        after.cordoned_log_dir_count = record->cordoned_log_dirs.count;
    }
    tree_put(&builder->image->brokers, &broker_image_create(&after)->item);
    return true;
}

static bool apply_fence(struct image_builder *builder, int32_t id, int64_t epoch, bool fenced)
{
    struct broker_registration_change_record record;
    broker_registration_change_record_init(&record);
    record.broker_id = id;
    record.broker_epoch = epoch;
    record.fenced = fenced ? 1 : -1;
    return apply_broker_change(builder, &record);
}

static bool apply_fence_broker(struct image_builder *builder,
                               const struct fence_broker_record *record)
{
    return apply_fence(builder, record->id, record->epoch, true);
}

static bool apply_unfence_broker(struct image_builder *builder,
                                 const struct unfence_broker_record *record)
{
    return apply_fence(builder, record->id, record->epoch, false);
}

static bool apply_register_controller(struct image_builder *builder,
                                      const struct register_controller_record *record)
{
    struct broker_endpoint *endpoints =
        scratch_array(builder, record->end_points.count, sizeof endpoints[0]);
    for (int32_t i = 0; i < record->end_points.count; i++) {
        const struct register_controller_record_controller_endpoint *from =
            &record->end_points.items[i];
        endpoints[i] =
            (struct broker_endpoint){from->name, from->host, from->port, from->security_protocol};
    }
    struct feature_range *ranges = scratch_array(builder, record->features.count, sizeof ranges[0]);
    for (int32_t i = 0; i < record->features.count; i++) {
        const struct register_controller_record_controller_feature *from =
            &record->features.items[i];
        ranges[i] = (struct feature_range){from->name, from->min_supported_version,
                                           from->max_supported_version};
    }
    const struct controller_image from = {
        .id = record->controller_id,
        .incarnation_id = record->incarnation_id,
        .zk_migration_ready = record->zk_migration_ready,
        .endpoints = endpoints,
        .endpoint_count = record->end_points.count,
        .features = ranges,
        .feature_count = record->features.count,
    };
    tree_put(&builder->image->controllers, &controller_image_create(&from)->item);
    return true;
}

static bool apply_unregister_controller(struct image_builder *builder,
                                        const struct unregister_controller_record *record)
{
    return tree_remove(&builder->image->controllers, key_of_number(record->controller_id));
}

/* Configs, features, producer ids. */

static bool apply_config(struct image_builder *builder, const struct config_record *record)
{
    struct image *image = builder->image;
    int8_t type = record->resource_type;
    struct config_pairs before = image_configs(image, type, record->resource_name);
    struct config_pair *items = scratch_array(builder, before.count + 1, sizeof items[0]);
    int32_t count = 0;
    bool placed = record->value.data == NULL;
    for (int32_t i = 0; i < before.count; i++) {
        int order = str_compare(before.items[i].name, record->name);
        if (order >= 0 && !placed) {
            items[count++] = (struct config_pair){record->name, record->value};
            placed = true;
        }
        if (order != 0)
            items[count++] = before.items[i];
    }
    if (!placed)
        items[count++] = (struct config_pair){record->name, record->value};
    if (count == 0) {
        tree_remove(&image->configs, key_of_pair(type, record->resource_name));
        return true;
    }
    struct config_pairs after = {items, count};
    tree_put(&image->configs, &config_image_create(type, record->resource_name, after)->item);
    return true;
}

static bool apply_feature_level(struct image_builder *builder,
                                const struct feature_level_record *record)
{
    struct image *image = builder->image;
    /* kraft.version is a control record of the quorum's. */
    if (str_equal(record->name, STR(FEATURE_KRAFT_VERSION)))
        return true;
    if (record->feature_level == 0)
        tree_remove(&image->features, key_of_name(record->name));
    else
        tree_put(&image->features,
                 &feature_image_create(record->name, record->feature_level)->item);
    if (str_equal(record->name, STR(FEATURE_METADATA_VERSION)))
        image->metadata_version = record->feature_level;
    return true;
}

static bool apply_producer_ids(struct image_builder *builder,
                               const struct producer_ids_record *record)
{
    builder->image->next_producer_id = record->next_producer_id;
    return true;
}

static bool apply_zk_migration_state(struct image_builder *builder,
                                     const struct zk_migration_state_record *record)
{
    builder->image->zk_migration_state = record->zk_migration_state;
    return true;
}

/* What is kept: keyed by the fields that identify it, each with its size in front. */

static void key_str(struct writer *key, struct str text)
{
    write_int32(key, text.data ? text.size : -1);
    if (text.size > 0)
        write_bytes(key, text.data, (size_t)text.size);
}

static bool keep(struct image_builder *builder, int16_t type, struct writer *key,
                 const void *record)
{
    struct bytes id = {key->data, (int32_t)key->size};
    must(!key->failed);
    bool done;
    if (record) {
        struct writer value = {0};
        must(metadata_record_encode(type, 0, record, &value) == 0);
        struct bytes bytes = {value.data, (int32_t)value.size};
        tree_put(&builder->image->kept, &kept_image_create(type, id, bytes)->item);
        writer_close(&value);
        done = true;
    } else {
        done = tree_remove(&builder->image->kept, (struct tree_key){type, id});
    }
    writer_close(key);
    return done;
}

static bool apply_client_quota(struct image_builder *builder,
                               const struct client_quota_record *record)
{
    struct writer key = {0};
    for (int32_t i = 0; i < record->entity.count; i++) {
        key_str(&key, record->entity.items[i].entity_type);
        key_str(&key, record->entity.items[i].entity_name);
    }
    write_int32(&key, -2);
    key_str(&key, record->key);
    return keep(builder, METADATA_CLIENT_QUOTA_RECORD, &key, record->remove ? NULL : record);
}

static bool keep_acl(struct image_builder *builder, struct uuid id, const void *record)
{
    struct writer key = {0};
    write_bytes(&key, id.bytes, sizeof id.bytes);
    return keep(builder, METADATA_ACCESS_CONTROL_ENTRY_RECORD, &key, record);
}

static bool keep_scram(struct image_builder *builder, struct str name, int8_t mechanism,
                       const void *record)
{
    struct writer key = {0};
    key_str(&key, name);
    write_int8(&key, mechanism);
    return keep(builder, METADATA_USER_SCRAM_CREDENTIAL_RECORD, &key, record);
}

static bool keep_token(struct image_builder *builder, struct str token_id, const void *record)
{
    struct writer key = {0};
    key_str(&key, token_id);
    return keep(builder, METADATA_DELEGATION_TOKEN_RECORD, &key, record);
}

static bool apply_kept(struct image_builder *builder, int16_t type, const void *record)
{
    switch (type) {
    case METADATA_CLIENT_QUOTA_RECORD:
        return apply_client_quota(builder, record);
    case METADATA_ACCESS_CONTROL_ENTRY_RECORD:
        return keep_acl(builder, ((const struct access_control_entry_record *)record)->id, record);
    case METADATA_REMOVE_ACCESS_CONTROL_ENTRY_RECORD:
        return keep_acl(builder, ((const struct remove_access_control_entry_record *)record)->id,
                        NULL);
    case METADATA_USER_SCRAM_CREDENTIAL_RECORD: {
        const struct user_scram_credential_record *scram = record;
        return keep_scram(builder, scram->name, scram->mechanism, record);
    }
    case METADATA_REMOVE_USER_SCRAM_CREDENTIAL_RECORD: {
        const struct remove_user_scram_credential_record *scram = record;
        return keep_scram(builder, scram->name, scram->mechanism, NULL);
    }
    case METADATA_DELEGATION_TOKEN_RECORD:
        return keep_token(builder, ((const struct delegation_token_record *)record)->token_id,
                          record);
    case METADATA_REMOVE_DELEGATION_TOKEN_RECORD:
        return keep_token(builder,
                          ((const struct remove_delegation_token_record *)record)->token_id, NULL);
    default:
        return false;
    }
}

static bool apply_record(struct image_builder *builder, int16_t type, const void *record)
{
    switch (type) {
    case METADATA_REGISTER_BROKER_RECORD:
        return apply_register_broker(builder, record);
    case METADATA_UNREGISTER_BROKER_RECORD:
        return apply_unregister_broker(builder, record);
    case METADATA_TOPIC_RECORD:
        return apply_topic(builder, record);
    case METADATA_PARTITION_RECORD:
        return apply_partition(builder, record);
    case METADATA_CONFIG_RECORD:
        return apply_config(builder, record);
    case METADATA_PARTITION_CHANGE_RECORD:
        return apply_partition_change(builder, record);
    case METADATA_FENCE_BROKER_RECORD:
        return apply_fence_broker(builder, record);
    case METADATA_UNFENCE_BROKER_RECORD:
        return apply_unfence_broker(builder, record);
    case METADATA_REMOVE_TOPIC_RECORD:
        return apply_remove_topic(builder, record);
    case METADATA_FEATURE_LEVEL_RECORD:
        return apply_feature_level(builder, record);
    case METADATA_PRODUCER_IDS_RECORD:
        return apply_producer_ids(builder, record);
    case METADATA_BROKER_REGISTRATION_CHANGE_RECORD:
        return apply_broker_change(builder, record);
    case METADATA_ZK_MIGRATION_STATE_RECORD:
        return apply_zk_migration_state(builder, record);
    case METADATA_REGISTER_CONTROLLER_RECORD:
        return apply_register_controller(builder, record);
    case METADATA_UNREGISTER_CONTROLLER_RECORD:
        return apply_unregister_controller(builder, record);
    case METADATA_CLEAR_ELR_RECORD:
        return apply_clear_elr(builder, record);
    case METADATA_NO_OP_RECORD:
    case METADATA_BEGIN_TRANSACTION_RECORD: /* transactions are the loader's affair */
    case METADATA_END_TRANSACTION_RECORD:
    case METADATA_ABORT_TRANSACTION_RECORD:
        return true;
    default:
        return apply_kept(builder, type, record);
    }
}

bool image_apply(struct image_builder *builder, const struct metadata_record_type *type,
                 const void *record)
{
    bool fits = apply_record(builder, type->type, record);
    arena_reset(&builder->scratch, 0);
    return fits;
}
