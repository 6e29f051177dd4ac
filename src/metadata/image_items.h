/* How the items of an image are made; for the fold only. Every item is one allocation: the struct
 * and behind it the arrays and texts that it points to. Memory running out aborts (must). */
#ifndef JACKDAW_METADATA_IMAGE_ITEMS_H
#define JACKDAW_METADATA_IMAGE_ITEMS_H

#include "metadata/image.h"

/* The name of a topic and where to find it. */
struct topic_name_image {
    struct tree_item item;
    struct str name;
    struct uuid id;
};

/* Each is a copy of `from` (whose `item` is ignored) with one reference. */
struct topic_image *topic_image_create(struct str name, struct uuid id);
struct tree_item *topic_image_clone(const struct tree_item *item); /* shares the partitions */
struct topic_name_image *topic_name_image_create(struct str name, struct uuid id);
struct partition_image *partition_image_create(const struct partition_image *from);
struct broker_image *broker_image_create(const struct broker_image *from);
struct controller_image *controller_image_create(const struct controller_image *from);
struct config_image *config_image_create(int8_t type, struct str name, struct config_pairs pairs);
struct feature_image *feature_image_create(struct str name, int16_t level);
struct kept_image *kept_image_create(int16_t type, struct bytes key, struct bytes record);

/* Keys. They point to what they are made of. */
static inline struct tree_key key_of_id(const struct uuid *id)
{
    return (struct tree_key){.bytes = {id->bytes, sizeof id->bytes}};
}

static inline struct tree_key key_of_number(int64_t number)
{
    return (struct tree_key){.number = number};
}

static inline struct tree_key key_of_name(struct str name)
{
    return (struct tree_key){.bytes = {(const uint8_t *)name.data, name.size}};
}

/* A number, a type say, and a text within it. */
static inline struct tree_key key_of_pair(int64_t number, struct str text)
{
    return (struct tree_key){number, {(const uint8_t *)text.data, text.size}};
}

#endif
