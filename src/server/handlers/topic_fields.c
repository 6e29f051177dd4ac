#include "server/handlers/topic_fields.h"

struct int32_array offline_replicas(struct request *request, const struct image *image,
                                    const struct partition_image *partition)
{
    struct int32_array offline = {0};
    offline.items =
        arena_array(&request->arena, (size_t)partition->replicas.count + 1, sizeof *offline.items);
    for (int32_t i = 0; offline.items && i < partition->replicas.count; i++) {
        const struct broker_image *broker = image_broker(image, partition->replicas.items[i]);
        bool online =
            broker && !broker->fenced &&
            (!partition->directories || broker_has_directory(broker, partition->directories[i]));
        if (!online)
            offline.items[offline.count++] = partition->replicas.items[i];
    }
    return offline;
}

void leader_nodes_add(struct leader_nodes *nodes, struct request *request, int32_t leader_id)
{
    const struct broker_image *broker = image_broker(request_image(request), leader_id);
    for (int32_t i = 0; i < nodes->count; i++)
        if (nodes->items[i]->id == leader_id)
            return;
    if (!broker || broker->fenced)
        return;
    if (nodes->count == nodes->capacity) {
        int32_t capacity = nodes->capacity ? nodes->capacity * 2 : 4;
        const struct broker_image **grown =
            arena_array(&request->arena, (size_t)capacity, sizeof *grown);
        if (!grown)
            return;
        if (nodes->count)
            memcpy(grown, nodes->items, (size_t)nodes->count * sizeof *grown);
        nodes->items = grown;
        nodes->capacity = capacity;
    }
    nodes->items[nodes->count++] = broker;
}

bool topic_name_ok(struct str name)
{
    if (name.size < 1 || name.size > CONTROLLER_TOPIC_NAME_MAX || str_equal(name, STR(".")) ||
        str_equal(name, STR("..")))
        return false;
    for (int32_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}
