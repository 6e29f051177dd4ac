#include "metadata/image_items.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

/* A block that is measured first and then filled: every `take` of the second round gets the bytes
 * that the same call asked for in the first. Sizes are rounded up to 8. */
struct block {
    uint8_t *base; /* NULL in the measuring round */
    size_t used;
};

static void *block_take(struct block *block, size_t size)
{
    uint8_t *at = block->base ? block->base + block->used : NULL;
    block->used += (size + 7) & ~(size_t)7;
    return at;
}

static void block_copy(struct block *block, const void *data, size_t size, void *ret_copy)
{
    void *at = block_take(block, size);
    if (!at)
        return;
    if (size)
        memcpy(at, data, size);
    memcpy(ret_copy, &at, sizeof at);
}

static void block_str(struct block *block, struct str *text)
{
    if (!text->data)
        return;
    char *at = block_take(block, (size_t)text->size + 1);
    if (!at)
        return;
    memcpy(at, text->data, (size_t)text->size);
    at[text->size] = '\0';
    text->data = at;
}

static void block_ids(struct block *block, struct broker_ids *ids)
{
    if (ids->count == 0) {
        ids->items = NULL;
        return;
    }
    block_copy(block, ids->items, (size_t)ids->count * sizeof ids->items[0], &ids->items);
}

/* Run `fill` twice over a copy of the struct: to measure and to copy. */
#define create_item(type, from, ops, fill)                                                         \
    do {                                                                                           \
        type measured = *(from);                                                                   \
        struct block block = {0};                                                                  \
        block_take(&block, sizeof measured);                                                       \
        fill(&block, &measured);                                                                   \
        block.base = malloc(block.used);                                                           \
        must(block.base);                                                                          \
        block.used = 0;                                                                            \
        type *made = block_take(&block, sizeof measured);                                          \
        *made = *(from);                                                                           \
        tree_item_init(&made->item, ops);                                                          \
        fill(&block, made);                                                                        \
        return made;                                                                               \
    } while (0)

static void item_free(struct tree_item *item)
{
    free(item);
}

/* Topics. */

static struct tree_key topic_key(const struct tree_item *item)
{
    return key_of_id(&((const struct topic_image *)item)->id);
}

static void topic_destroy(struct tree_item *item)
{
    struct topic_image *topic = (struct topic_image *)item;
    tree_clear(&topic->partitions);
    free(topic);
}

static const struct tree_item_ops topic_ops = {topic_key, topic_destroy};

static void topic_fill(struct block *block, struct topic_image *topic)
{
    block_str(block, &topic->name);
}

struct topic_image *topic_image_create(struct str name, struct uuid id)
{
    const struct topic_image from = {.id = id, .name = name};
    create_item(struct topic_image, &from, &topic_ops, topic_fill);
}

static struct topic_image *topic_copy(const struct topic_image *from)
{
    create_item(struct topic_image, from, &topic_ops, topic_fill);
}

struct tree_item *topic_image_clone(const struct tree_item *item)
{
    const struct topic_image *from = (const struct topic_image *)item;
    struct topic_image *topic = topic_copy(from);
    topic->partitions = tree_copy(&from->partitions);
    return &topic->item;
}

static struct tree_key topic_name_key(const struct tree_item *item)
{
    return key_of_name(((const struct topic_name_image *)item)->name);
}

static const struct tree_item_ops topic_name_ops = {topic_name_key, item_free};

static void topic_name_fill(struct block *block, struct topic_name_image *name)
{
    block_str(block, &name->name);
}

struct topic_name_image *topic_name_image_create(struct str name, struct uuid id)
{
    const struct topic_name_image from = {.name = name, .id = id};
    create_item(struct topic_name_image, &from, &topic_name_ops, topic_name_fill);
}

/* Partitions. */

static struct tree_key partition_key(const struct tree_item *item)
{
    return key_of_number(((const struct partition_image *)item)->partition);
}

static const struct tree_item_ops partition_ops = {partition_key, item_free};

static void partition_fill(struct block *block, struct partition_image *partition)
{
    if (partition->directories)
        block_copy(block, partition->directories,
                   (size_t)partition->replicas.count * sizeof partition->directories[0],
                   &partition->directories);
    block_ids(block, &partition->replicas);
    block_ids(block, &partition->isr);
    block_ids(block, &partition->removing);
    block_ids(block, &partition->adding);
    block_ids(block, &partition->elr);
    block_ids(block, &partition->last_known_elr);
}

struct partition_image *partition_image_create(const struct partition_image *from)
{
    create_item(struct partition_image, from, &partition_ops, partition_fill);
}

/* Brokers and controllers. */

static void block_endpoints(struct block *block, const struct broker_endpoint **endpoints,
                            int32_t count)
{
    block_copy(block, *endpoints, (size_t)count * sizeof **endpoints, endpoints);
    for (int32_t i = 0; i < count; i++) {
        struct broker_endpoint copy = (*endpoints)[i];
        struct broker_endpoint *at = (struct broker_endpoint *)&(*endpoints)[i];
        block_str(block, &copy.name);
        block_str(block, &copy.host);
        if (block->base)
            *at = copy;
    }
}

static void block_features(struct block *block, const struct feature_range **features,
                           int32_t count)
{
    block_copy(block, *features, (size_t)count * sizeof **features, features);
    for (int32_t i = 0; i < count; i++) {
        struct str name = (*features)[i].name;
        block_str(block, &name);
        if (block->base)
            ((struct feature_range *)*features)[i].name = name;
    }
}

static struct tree_key broker_key(const struct tree_item *item)
{
    return key_of_number(((const struct broker_image *)item)->id);
}

static const struct tree_item_ops broker_ops = {broker_key, item_free};

static void broker_fill(struct block *block, struct broker_image *broker)
{
    block_str(block, &broker->rack);
    block_endpoints(block, &broker->endpoints, broker->endpoint_count);
    block_features(block, &broker->features, broker->feature_count);
    block_copy(block, broker->log_dirs, (size_t)broker->log_dir_count * sizeof(struct uuid),
               &broker->log_dirs);
    if (broker->cordoned_log_dir_count > 0)
        block_copy(block, broker->cordoned_log_dirs,
                   (size_t)broker->cordoned_log_dir_count * sizeof(struct uuid),
                   &broker->cordoned_log_dirs);
}

struct broker_image *broker_image_create(const struct broker_image *from)
{
    create_item(struct broker_image, from, &broker_ops, broker_fill);
}

static struct tree_key controller_key(const struct tree_item *item)
{
    return key_of_number(((const struct controller_image *)item)->id);
}

static const struct tree_item_ops controller_ops = {controller_key, item_free};

static void controller_fill(struct block *block, struct controller_image *controller)
{
    block_endpoints(block, &controller->endpoints, controller->endpoint_count);
    block_features(block, &controller->features, controller->feature_count);
}

struct controller_image *controller_image_create(const struct controller_image *from)
{
    create_item(struct controller_image, from, &controller_ops, controller_fill);
}

/* Configs, features, and what is only kept. */

static struct tree_key config_key_of(const struct tree_item *item)
{
    const struct config_image *config = (const struct config_image *)item;
    return key_of_pair(config->type, config->name);
}

static const struct tree_item_ops config_ops = {config_key_of, item_free};

static void config_fill(struct block *block, struct config_image *config)
{
    block_str(block, &config->name);
    block_copy(block, config->pairs.items, (size_t)config->pairs.count * sizeof(struct config_pair),
               &config->pairs.items);
    for (int32_t i = 0; i < config->pairs.count; i++) {
        struct config_pair copy = config->pairs.items[i];
        block_str(block, &copy.name);
        block_str(block, &copy.value);
        if (block->base)
            ((struct config_pair *)config->pairs.items)[i] = copy;
    }
}

struct config_image *config_image_create(int8_t type, struct str name, struct config_pairs pairs)
{
    const struct config_image from = {.type = type, .name = name, .pairs = pairs};
    create_item(struct config_image, &from, &config_ops, config_fill);
}

static struct tree_key feature_key(const struct tree_item *item)
{
    return key_of_name(((const struct feature_image *)item)->name);
}

static const struct tree_item_ops feature_ops = {feature_key, item_free};

static void feature_fill(struct block *block, struct feature_image *feature)
{
    block_str(block, &feature->name);
}

struct feature_image *feature_image_create(struct str name, int16_t level)
{
    const struct feature_image from = {.name = name, .level = level};
    create_item(struct feature_image, &from, &feature_ops, feature_fill);
}

static struct tree_key kept_key(const struct tree_item *item)
{
    const struct kept_image *kept = (const struct kept_image *)item;
    return (struct tree_key){kept->type, kept->key};
}

static const struct tree_item_ops kept_ops = {kept_key, item_free};

static void kept_fill(struct block *block, struct kept_image *kept)
{
    block_copy(block, kept->key.data, (size_t)kept->key.size, &kept->key.data);
    block_copy(block, kept->record.data, (size_t)kept->record.size, &kept->record.data);
}

struct kept_image *kept_image_create(int16_t type, struct bytes key, struct bytes record)
{
    const struct kept_image from = {.type = type, .key = key, .record = record};
    create_item(struct kept_image, &from, &kept_ops, kept_fill);
}
