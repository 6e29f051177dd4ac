#include "metadata/delta.h"

#include <string.h>

#include "base/must.h"
#include "metadata/image_items.h"

/* A list in the arena that doubles; what it leaves behind goes with the arena. */
struct list_builder {
    struct arena *arena;
    void *items;
    int32_t count;
    int32_t capacity;
};

static void *list_add(struct list_builder *list, size_t size)
{
    if (list->count == list->capacity) {
        int32_t capacity = list->capacity ? list->capacity * 2 : 8;
        void *grown = arena_array(list->arena, (size_t)capacity, size);
        must(grown);
        if (list->count)
            memcpy(grown, list->items, (size_t)list->count * size);
        list->items = grown;
        list->capacity = capacity;
    }
    return (uint8_t *)list->items + (size_t)list->count++ * size;
}

static void partition_differs(void *context, const struct tree_item *before,
                              const struct tree_item *after)
{
    struct partition_change *change = list_add(context, sizeof *change);
    change->before = (const struct partition_image *)before;
    change->after = (const struct partition_image *)after;
}

static void topic_differs(void *context, const struct tree_item *before,
                          const struct tree_item *after)
{
    struct list_builder *topics = context;
    const struct topic_image *old = (const struct topic_image *)before;
    const struct topic_image *new = (const struct topic_image *)after;
    const struct tree none = {0};
    struct list_builder partitions = {.arena = topics->arena};
    tree_diff(old ? &old->partitions : &none, new ? &new->partitions : &none, partition_differs,
              &partitions);
    if (old && new &&partitions.count == 0)
        return;
    struct topic_change *change = list_add(topics, sizeof *change);
    *change = (struct topic_change){old, new, partitions.items, partitions.count};
}

static void broker_differs(void *context, const struct tree_item *before,
                           const struct tree_item *after)
{
    struct broker_change *change = list_add(context, sizeof *change);
    change->before = (const struct broker_image *)before;
    change->after = (const struct broker_image *)after;
}

static void config_differs(void *context, const struct tree_item *before,
                           const struct tree_item *after)
{
    struct config_change *change = list_add(context, sizeof *change);
    change->before = (const struct config_image *)before;
    change->after = (const struct config_image *)after;
    const struct config_image *any = change->after ? change->after : change->before;
    change->type = any->type;
    change->name = any->name;
}

static void feature_differs(void *context, const struct tree_item *before,
                            const struct tree_item *after)
{
    (void)before;
    (void)after;
    *(bool *)context = true;
}

void image_diff(const struct image *before, const struct image *after, struct arena *arena,
                struct image_delta *ret_delta)
{
    struct list_builder topics = {.arena = arena};
    struct list_builder brokers = {.arena = arena};
    struct list_builder configs = {.arena = arena};
    bool features_changed = false;
    tree_diff(&before->topics, &after->topics, topic_differs, &topics);
    tree_diff(&before->brokers, &after->brokers, broker_differs, &brokers);
    tree_diff(&before->configs, &after->configs, config_differs, &configs);
    tree_diff(&before->features, &after->features, feature_differs, &features_changed);
    *ret_delta = (struct image_delta){
        .before = before,
        .after = after,
        .topics = topics.items,
        .topic_count = topics.count,
        .brokers = brokers.items,
        .broker_count = brokers.count,
        .configs = configs.items,
        .config_count = configs.count,
        .features_changed = features_changed,
    };
}
