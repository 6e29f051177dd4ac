#include "server/handlers/topic_fields.h"

struct int32_array offline_replicas(struct request *request, const struct image *image,
                                    const struct partition_image *partition)
{
    struct int32_array offline = {0};
    offline.items =
        arena_array(&request->arena, (size_t)partition->replicas.count + 1, sizeof *offline.items);
    for (int32_t i = 0; offline.items && i < partition->replicas.count; i++)
        if (!image_broker_alive(image, partition->replicas.items[i]))
            offline.items[offline.count++] = partition->replicas.items[i];
    return offline;
}

bool topic_is_internal(struct str name)
{
    return str_equal(name, STR("__consumer_offsets")) ||
           str_equal(name, STR("__transaction_state")) ||
           str_equal(name, STR("__share_group_state"));
}
