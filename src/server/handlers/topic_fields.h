/* What several answers say about topics and partitions. */
#ifndef JACKDAW_SERVER_TOPIC_FIELDS_H
#define JACKDAW_SERVER_TOPIC_FIELDS_H

#include "server/request.h"

/* Bits by AclOperation: what may be done where there is no authorizer. */
enum {
    TOPIC_OPERATIONS = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11,
    CLUSTER_OPERATIONS = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12,
};

static inline struct int32_array broker_ids_array(struct broker_ids ids)
{
    return (struct int32_array){(int32_t *)(uintptr_t)ids.items, ids.count};
}

/* The replicas whose broker is not alive, in the arena; items NULL when memory runs out. */
struct int32_array offline_replicas(struct request *request, const struct image *image,
                                    const struct partition_image *partition);

/* Kafka's rule for topic names: 1 to 249 of [a-zA-Z0-9._-], not "." and not "..". */
bool topic_name_ok(struct str name);

/* KIP-951: brokers that an answer names as current leaders, to be told with their addresses. */
struct leader_nodes {
    const struct broker_image **items;
    int32_t count, capacity;
};

/* Note that the answer names this leader; who is not known or not alive is left out, as is one that
 * memory ran out for: the client asks for metadata then. */
void leader_nodes_add(struct leader_nodes *nodes, struct request *request, int32_t leader_id);

#endif
