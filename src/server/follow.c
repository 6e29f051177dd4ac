#include "server/follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "server/listener.h"

/* Assignments under construction; grows by doubling in the arena. */
struct gathering {
    struct broker *broker;
    struct arena *arena;
    struct partition_assignment *items;
    int32_t count, capacity;
};

static bool gather_one(struct gathering *gathering, const struct topic_image *topic,
                       const struct partition_image *partition,
                       const struct topic_settings *settings)
{
    struct broker *broker = gathering->broker;
    int32_t node_id = broker->static_config->settings.node_id;
    const struct uuid *directory = partition_directory(partition, node_id);
    if (!broker_ids_has(partition->replicas, node_id))
        return true;
    if (gathering->count == gathering->capacity) {
        int32_t capacity = gathering->capacity ? gathering->capacity * 2 : 16;
        void *grown = arena_array(gathering->arena, (size_t)capacity, sizeof *gathering->items);
        if (!grown)
            return false;
        if (gathering->count)
            memcpy(grown, gathering->items, (size_t)gathering->count * sizeof *gathering->items);
        gathering->items = grown;
        gathering->capacity = capacity;
    }
    gathering->items[gathering->count++] = (struct partition_assignment){
        .topic_id = topic->id,
        .topic = topic->name,
        .index = partition->partition,
        .leader_id = partition->leader,
        .leader_epoch = partition->leader_epoch,
        .isr_size = partition->isr.count,
        .replica_count = partition->replicas.count,
        .dir = -1,
        .directory = directory ? *directory : (struct uuid){{0}},
        .has_directory = directory,
        .settings = settings,
    };
    return true;
}

static const struct topic_settings *settings_of(struct gathering *gathering,
                                                const struct image *image, struct str topic)
{
    struct topic_settings *settings = arena_alloc(gathering->arena, sizeof *settings);
    const struct broker_config *config = atomic_load(&gathering->broker->config);
    if (settings && topic_settings_compute(
                        config, image_configs(image, CONFIG_RESOURCE_TOPIC, topic), settings) != 0)
        *settings = config->topic_defaults;
    return settings;
}

static bool gather_topic(struct gathering *gathering, const struct image *image,
                         const struct topic_image *topic)
{
    const struct topic_settings *settings = settings_of(gathering, image, topic->name);
    if (!settings)
        return false;
    struct tree_cursor cursor;
    partitions_from(topic, 0, &cursor);
    for (const struct partition_image *partition; (partition = partitions_next(&cursor));)
        if (!gather_one(gathering, topic, partition, settings))
            return false;
    return true;
}

static bool gather_all(struct gathering *gathering, const struct image *image)
{
    struct tree_cursor cursor;
    topics_from(image, STR(""), &cursor);
    for (const struct topic_image *topic; (topic = topics_next(image, &cursor));)
        if (!gather_topic(gathering, image, topic))
            return false;
    return true;
}

int follow_assignments(struct broker *broker, struct arena *arena,
                       struct partition_assignment **ret_items, int32_t *ret_count)
{
    struct gathering gathering = {.broker = broker, .arena = arena};
    if (!gather_all(&gathering, image_get(&broker_home(broker)->images)))
        return -ENOMEM;
    *ret_items = gathering.items;
    *ret_count = gathering.count;
    return 0;
}

struct retired_config {
    struct epoch_entry entry;
    struct broker_config *config;
};

static void config_free(struct epoch_entry *entry)
{
    struct retired_config *retired = container_of(entry, struct retired_config, entry);
    broker_config_destroy(retired->config);
    free(retired);
}

static void config_retire(struct broker *broker, struct broker_config *config)
{
    struct retired_config *retired = malloc(sizeof *retired);
    must(retired);
    retired->config = config;
    epoch_retire(&broker->epochs, &retired->entry, config_free);
}

void follow_config(struct broker *broker)
{
    const struct image *image = image_get(&broker_home(broker)->images);
    char id[16];
    snprintf(id, sizeof id, "%d", broker->static_config->settings.node_id);
    struct config_pairs all = image_configs(image, CONFIG_RESOURCE_BROKER, STR(""));
    struct config_pairs own = image_configs(image, CONFIG_RESOURCE_BROKER, str_of(id));
    struct broker_config *old = atomic_load(&broker->config);
    if (all.count == 0 && own.count == 0 && old == broker->static_config)
        return;
    struct broker_config *config;
    int err = broker_config_with_dynamic(broker->static_config, all, own, &config);
    if (err != 0) {
        say_warn(&broker->say, "dynamic configuration cannot be applied",
                 kv_text("error", result_text(err)));
        return;
    }
    atomic_store(&broker->config, config);
    atomic_store(&broker->partitions.disk_slow_ns, config->settings.disk_slow_ms * 1000000);
    partition_set_configure(&broker->partitions, &config->settings);
    connections_shed(broker);
    if (broker->controller)
        controller_set_config(broker->controller, config);
    if (old != broker->static_config)
        config_retire(broker, old);
}

static bool broker_config_changed(const struct broker *broker, const struct image_delta *delta)
{
    char id[16];
    snprintf(id, sizeof id, "%d", broker->static_config->settings.node_id);
    for (int32_t i = 0; i < delta->config_count; i++) {
        const struct config_change *change = &delta->configs[i];
        if (change->type == CONFIG_RESOURCE_BROKER &&
            (change->name.size == 0 || str_equal(change->name, str_of(id))))
            return true;
    }
    return false;
}

static bool topic_config_changed(const struct image_delta *delta, struct str topic)
{
    int32_t low = 0, high = delta->config_count;
    while (low < high) { /* by type, then by name */
        int32_t middle = low + (high - low) / 2;
        const struct config_change *change = &delta->configs[middle];
        int order = change->type - CONFIG_RESOURCE_TOPIC;
        if (order == 0)
            order = str_compare(change->name, topic);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Each partition once. */
static bool gather_changes(struct gathering *gathering, const struct image_delta *delta)
{
    for (int32_t i = 0; i < delta->topic_count; i++) {
        const struct topic_change *change = &delta->topics[i];
        if (change->after && topic_config_changed(delta, change->after->name))
            continue; /* all of its partitions come below */
        const struct topic_settings *settings =
            change->after ? settings_of(gathering, delta->after, change->after->name) : NULL;
        if (change->after && !settings)
            return false;
        for (int32_t p = 0; p < change->partition_count; p++) {
            const struct partition_change *partition = &change->partitions[p];
            if (partition->after &&
                !gather_one(gathering, change->after, partition->after, settings))
                return false;
        }
    }
    for (int32_t i = 0; i < delta->config_count; i++) {
        const struct config_change *change = &delta->configs[i];
        const struct topic_image *topic = change->type == CONFIG_RESOURCE_TOPIC
                                              ? image_topic_named(delta->after, change->name)
                                              : NULL;
        if (topic && !gather_topic(gathering, delta->after, topic))
            return false;
    }
    return true;
}

/* What administrators did, for whoever asks the log one day what became of a topic. Values may be
 * secrets and stay out of it. */
static void say_changes(const struct say *say, const struct image_delta *delta)
{
    for (int32_t i = 0; i < delta->topic_count; i++) {
        const struct topic_change *change = &delta->topics[i];
        int32_t added = 0;
        for (int32_t p = 0; p < change->partition_count; p++)
            added += !change->partitions[p].before;
        if (!change->after)
            say_info(say, "topic deleted", kv_str("topic", change->before->name),
                     kv_id("id", change->before->id));
        else if (!change->before)
            say_info(say, "topic created", kv_str("topic", change->after->name),
                     kv_id("id", change->after->id), kv_int("partitions", added));
        else if (added > 0)
            say_info(say, "partitions added", kv_str("topic", change->after->name),
                     kv_int("partitions", added));
    }
    for (int32_t i = 0; i < delta->config_count; i++) {
        const struct config_change *change = &delta->configs[i];
        bool topic = change->type == CONFIG_RESOURCE_TOPIC;
        if (topic || change->type == CONFIG_RESOURCE_BROKER)
            say_info(say, "configuration changed", kv_text("of", topic ? "topic" : "broker"),
                     kv_str("name", change->name.size ? change->name : STR("all")));
    }
}

static void image_changed(struct image_subscriber *subscriber, const struct image_delta *delta)
{
    struct broker *broker = container_of(subscriber, struct broker, follower);
    struct arena arena;
    arena_init(&arena, 0);
    struct gathering gathering = {.broker = broker, .arena = &arena};
    bool ok;
    say_changes(&broker->say, delta);
    if (broker_config_changed(broker, delta)) {
        follow_config(broker);
        ok = gather_all(&gathering, delta->after); /* topic defaults may differ everywhere */
    } else {
        ok = gather_changes(&gathering, delta);
    }
    must(ok);
    for (int32_t i = 0; i < delta->topic_count; i++) {
        const struct topic_change *change = &delta->topics[i];
        for (int32_t p = 0; p < change->partition_count; p++)
            if (!change->partitions[p].after)
                partition_set_remove(&broker->partitions, change->before->id,
                                     change->partitions[p].before->partition);
    }
    partition_set_apply(&broker->partitions, gathering.items, gathering.count,
                        delta->after->offset);
    coordinators_image(broker);
    arena_close(&arena);
}

void follow_start(struct broker *broker)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct gathering gathering = {.broker = broker, .arena = &arena};
    const struct image *image = image_get(&broker_home(broker)->images);
    must(gather_all(&gathering, image));
    partition_set_apply(&broker->partitions, gathering.items, gathering.count, image->offset);
    arena_close(&arena);
    broker->follower.changed = image_changed;
    image_publisher_subscribe(&broker->publisher, &broker->follower);
}

void follow_stop(struct broker *broker)
{
    if (!broker->follower.changed)
        return;
    image_publisher_unsubscribe(&broker->publisher, &broker->follower);
    broker->follower.changed = NULL;
}
