/* The cluster as it stands at one offset of the metadata log: brokers, topics, partitions, configs,
 * features and the rest.
 *
 * An image is immutable and shares all that did not change with the one before it: everything in it
 * hangs in copy-on-write trees (metadata/tree.h) of reference-counted items. Read it from any
 * thread for as long as you hold it; metadata/publisher.h says how to get hold of the current one.
 * What is found in an image lives as long as the image.
 *
 * Only the fold (metadata/fold.h) makes images. */
#ifndef JACKDAW_METADATA_IMAGE_H
#define JACKDAW_METADATA_IMAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/config.h"
#include "base/uuid.h"
#include "metadata/tree.h"

enum {
    NO_LEADER = -1,
};

/* Kafka's ids of what a config belongs to (ConfigResource.Type). */
enum config_resource_type {
    CONFIG_RESOURCE_TOPIC = 2,
    CONFIG_RESOURCE_BROKER = 4, /* the empty name: of all brokers */
    CONFIG_RESOURCE_BROKER_LOGGER = 8,
    CONFIG_RESOURCE_CLIENT_METRICS = 16,
    CONFIG_RESOURCE_GROUP = 32,
};

enum leader_recovery_state { LEADER_RECOVERED = 0, LEADER_RECOVERING = 1 };

/* A list of broker ids; the order of replicas counts, the first is the preferred leader. */
struct broker_ids {
    const int32_t *items;
    int32_t count;
};

static inline bool broker_ids_has(struct broker_ids ids, int32_t id)
{
    for (int32_t i = 0; i < ids.count; i++)
        if (ids.items[i] == id)
            return true;
    return false;
}

struct partition_image {
    struct tree_item item;
    int32_t partition;
    int32_t leader; /* NO_LEADER */
    int32_t leader_epoch;
    int32_t partition_epoch;
    int8_t leader_recovery_state;
    struct broker_ids replicas;
    struct broker_ids isr;
    struct broker_ids removing;
    struct broker_ids adding;
    struct broker_ids elr; /* eligible leader replicas, KIP-966 */
    struct broker_ids last_known_elr;
    const struct uuid *directories; /* as many as replicas; NULL: none known (before level 17) */
};

struct topic_image {
    struct tree_item item;
    struct uuid id;
    struct str name;        /* NUL-terminated */
    struct tree partitions; /* of partition_image, by partition */
};

struct broker_endpoint {
    struct str name; /* of the listener */
    struct str host; /* NUL-terminated */
    uint16_t port;
    int16_t security_protocol;
};

struct feature_range {
    struct str name;
    int16_t min;
    int16_t max;
};

struct broker_image {
    struct tree_item item;
    int32_t id;
    int64_t epoch;
    struct uuid incarnation_id;
    bool fenced;
    bool in_controlled_shutdown;
    bool migrating;  /* of the ZooKeeper era; only read and written back */
    struct str rack; /* data NULL: none */
    const struct broker_endpoint *endpoints;
    int32_t endpoint_count;
    const struct feature_range *features;
    int32_t feature_count;
    const struct uuid *log_dirs;
    int32_t log_dir_count;
    const struct uuid *cordoned_log_dirs;
    int32_t cordoned_log_dir_count; /* -1: null */
};

/* A controller's registration (not a voter: that is the quorum's knowledge). */
struct controller_image {
    struct tree_item item;
    int32_t id;
    struct uuid incarnation_id;
    bool zk_migration_ready;
    const struct broker_endpoint *endpoints;
    int32_t endpoint_count;
    const struct feature_range *features;
    int32_t feature_count;
};

/* All configs of one resource. */
struct config_image {
    struct tree_item item;
    int8_t type; /* enum config_resource_type */
    struct str name;
    struct config_pairs pairs; /* by name; never empty */
};

struct feature_image {
    struct tree_item item;
    struct str name;
    int16_t level; /* never 0 */
};

/* State that is kept and written back, not yet served (ACLs, quotas, SCRAM credentials, tokens):
 * its last record under a key made of what identifies it. */
struct kept_image {
    struct tree_item item;
    int16_t type;        /* of the metadata record */
    struct bytes key;    /* compared as bytes, within the type */
    struct bytes record; /* the value of the record that made it */
};

struct image {
    _Atomic int refs;
    /* Where in the log: everything up to and including `offset` is in it; -1: nothing yet. */
    int64_t offset;
    int32_t epoch;
    int64_t timestamp_ms; /* of that record's batch */

    struct tree topics;      /* topic_image by id */
    struct tree topic_names; /* topic_name_image by name */
    struct tree brokers;     /* broker_image by id */
    struct tree controllers; /* controller_image by id */
    struct tree configs;     /* config_image by type, name */
    struct tree features;    /* feature_image by name */
    struct tree kept;        /* kept_image by type, key */

    int64_t next_producer_id;
    int64_t partition_count;  /* of all topics */
    int16_t metadata_version; /* the feature of that name; 0: not yet set */
    int8_t zk_migration_state;
};

struct image *image_ref(const struct image *image);
void image_unref(const struct image *image); /* NULL is accepted */

/* Look-ups; NULL when there is none. O(log n). */
const struct topic_image *image_topic(const struct image *image, struct uuid id);
const struct topic_image *image_topic_named(const struct image *image, struct str name);
const struct partition_image *topic_partition(const struct topic_image *topic, int32_t partition);
const struct partition_image *image_partition(const struct image *image, struct uuid topic_id,
                                              int32_t partition);
const struct broker_image *image_broker(const struct image *image, int32_t id);
const struct controller_image *image_controller(const struct image *image, int32_t id);

/* The endpoint of that listener, or NULL. */
const struct broker_endpoint *broker_endpoint_named(const struct broker_image *broker,
                                                    struct str listener);
/* Where the broker keeps its replica: a directory's id, or one that stands for none. NULL: it has
 * no replica, or the metadata is of a level without directories. */
const struct uuid *partition_directory(const struct partition_image *partition, int32_t broker_id);
/* Whether the broker says that it has the directory, as Kafka sees it: UNASSIGNED and MIGRATING
 * count, LOST does not, and a broker that names no directories has all of them. */
bool broker_has_directory(const struct broker_image *broker, struct uuid directory);
/* Registered, not fenced. */
bool image_broker_alive(const struct image *image, int32_t id);

/* The finalized level, 0 when there is none. */
int16_t image_feature(const struct image *image, struct str name);

/* The overrides set on a resource; count 0 when there are none. */
struct config_pairs image_configs(const struct image *image, int8_t type, struct str name);

static inline int32_t image_topic_count(const struct image *image)
{
    return tree_size(&image->topics);
}
static inline int32_t topic_partition_count(const struct topic_image *topic)
{
    return tree_size(&topic->partitions);
}

/* Walking in order. Begin, then next until NULL:
 *
 *   struct tree_cursor cursor;
 *   topics_from(image, STR(""), &cursor);
 *   while ((topic = topics_next(image, &cursor)))
 *
 * Topics come by name (from `name` on, inclusive), partitions by number, brokers by id. */
void topics_from(const struct image *image, struct str name, struct tree_cursor *ret_cursor);
const struct topic_image *topics_next(const struct image *image, struct tree_cursor *cursor);
void partitions_from(const struct topic_image *topic, int32_t partition,
                     struct tree_cursor *ret_cursor);
const struct partition_image *partitions_next(struct tree_cursor *cursor);
void brokers_from(const struct image *image, int32_t id, struct tree_cursor *ret_cursor);
const struct broker_image *brokers_next(struct tree_cursor *cursor);
void configs_from(const struct image *image, int8_t type, struct tree_cursor *ret_cursor);
const struct config_image *
configs_next(struct tree_cursor *cursor); /* of all types from there on */
void features_from(const struct image *image, struct tree_cursor *ret_cursor);
const struct feature_image *features_next(struct tree_cursor *cursor);

#endif
