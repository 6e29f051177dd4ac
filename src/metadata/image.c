#include "metadata/image.h"

#include <stdlib.h>

#include "base/must.h"
#include "metadata/image_items.h"

struct image *image_ref(const struct image *image)
{
    struct image *own = (struct image *)image;
    atomic_fetch_add_explicit(&own->refs, 1, memory_order_relaxed);
    return own;
}

void image_unref(const struct image *image)
{
    struct image *own = (struct image *)image;
    if (!own)
        return;
    int before = atomic_fetch_sub_explicit(&own->refs, 1, memory_order_acq_rel);
    must(before > 0);
    if (before != 1)
        return;
    tree_clear(&own->topics);
    tree_clear(&own->topic_names);
    tree_clear(&own->brokers);
    tree_clear(&own->controllers);
    tree_clear(&own->configs);
    tree_clear(&own->features);
    tree_clear(&own->kept);
    free(own);
}

const struct topic_image *image_topic(const struct image *image, struct uuid id)
{
    return (const struct topic_image *)tree_find(&image->topics, key_of_id(&id));
}

const struct topic_image *image_topic_named(const struct image *image, struct str name)
{
    const struct topic_name_image *found =
        (const struct topic_name_image *)tree_find(&image->topic_names, key_of_name(name));
    return found ? image_topic(image, found->id) : NULL;
}

const struct partition_image *topic_partition(const struct topic_image *topic, int32_t partition)
{
    return (const struct partition_image *)tree_find(&topic->partitions, key_of_number(partition));
}

const struct partition_image *image_partition(const struct image *image, struct uuid topic_id,
                                              int32_t partition)
{
    const struct topic_image *topic = image_topic(image, topic_id);
    return topic ? topic_partition(topic, partition) : NULL;
}

const struct broker_image *image_broker(const struct image *image, int32_t id)
{
    return (const struct broker_image *)tree_find(&image->brokers, key_of_number(id));
}

const struct controller_image *image_controller(const struct image *image, int32_t id)
{
    return (const struct controller_image *)tree_find(&image->controllers, key_of_number(id));
}

const struct broker_endpoint *broker_endpoint_named(const struct broker_image *broker,
                                                    struct str listener)
{
    for (int32_t i = 0; i < broker->endpoint_count; i++)
        if (str_equal(broker->endpoints[i].name, listener))
            return &broker->endpoints[i];
    return NULL;
}

const struct uuid *partition_directory(const struct partition_image *partition, int32_t broker_id)
{
    for (int32_t i = 0; partition->directories && i < partition->replicas.count; i++)
        if (partition->replicas.items[i] == broker_id)
            return &partition->directories[i];
    return NULL;
}

bool broker_has_directory(const struct broker_image *broker, struct uuid directory)
{
    if (uuid_equal(directory, uuid_of(0, 2))) /* LOST */
        return false;
    if (uuid_is_zero(directory) || uuid_equal(directory, uuid_of(0, 1)))
        return true;
    for (int32_t i = 0; i < broker->log_dir_count; i++)
        if (uuid_equal(broker->log_dirs[i], directory))
            return true;
    return broker->log_dir_count == 0;
}

bool image_broker_alive(const struct image *image, int32_t id)
{
    const struct broker_image *broker = image_broker(image, id);
    return broker && !broker->fenced;
}

int16_t image_feature(const struct image *image, struct str name)
{
    const struct feature_image *feature =
        (const struct feature_image *)tree_find(&image->features, key_of_name(name));
    return feature ? feature->level : 0;
}

struct config_pairs image_configs(const struct image *image, int8_t type, struct str name)
{
    const struct config_image *config =
        (const struct config_image *)tree_find(&image->configs, key_of_pair(type, name));
    return config ? config->pairs : (struct config_pairs){0};
}

void topics_from(const struct image *image, struct str name, struct tree_cursor *ret_cursor)
{
    tree_seek(&image->topic_names, key_of_name(name), ret_cursor);
}

const struct topic_image *topics_next(const struct image *image, struct tree_cursor *cursor)
{
    const struct topic_name_image *name = (const struct topic_name_image *)tree_next(cursor);
    if (!name)
        return NULL;
    const struct topic_image *topic = image_topic(image, name->id);
    must(topic);
    return topic;
}

void partitions_from(const struct topic_image *topic, int32_t partition,
                     struct tree_cursor *ret_cursor)
{
    tree_seek(&topic->partitions, key_of_number(partition), ret_cursor);
}

const struct partition_image *partitions_next(struct tree_cursor *cursor)
{
    return (const struct partition_image *)tree_next(cursor);
}

void brokers_from(const struct image *image, int32_t id, struct tree_cursor *ret_cursor)
{
    tree_seek(&image->brokers, key_of_number(id), ret_cursor);
}

const struct broker_image *brokers_next(struct tree_cursor *cursor)
{
    return (const struct broker_image *)tree_next(cursor);
}

void configs_from(const struct image *image, int8_t type, struct tree_cursor *ret_cursor)
{
    tree_seek(&image->configs, key_of_pair(type, STR("")), ret_cursor);
}

const struct config_image *configs_next(struct tree_cursor *cursor)
{
    return (const struct config_image *)tree_next(cursor);
}

void features_from(const struct image *image, struct tree_cursor *ret_cursor)
{
    tree_first(&image->features, ret_cursor);
}

const struct feature_image *features_next(struct tree_cursor *cursor)
{
    return (const struct feature_image *)tree_next(cursor);
}
