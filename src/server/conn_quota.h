/* How many connections there are, of all, of each listener and of each address (max.connections,
 * max.connections.per.ip and its overrides; KIP-402). Any thread. */
#ifndef JACKDAW_SERVER_CONN_QUOTA_H
#define JACKDAW_SERVER_CONN_QUOTA_H

#include <pthread.h>

#include "base/map.h"
#include "metadata/config_keys_broker.h"
#include "os/env.h"

struct conn_quota {
    pthread_mutex_t lock;
    struct map by_address; /* the address, v4 as v4-in-v6, to its int32_t of connections */
    int32_t total;
};

void conn_quota_init(struct conn_quota *quota, uint64_t seed);
void conn_quota_close(struct conn_quota *quota);

/* Count one more connection, or answer which limit it would pass: a static text. NULL: counted.
 * `listener_count` is the listener's own counter, changed under the quota's lock. */
const char *conn_quota_take(struct conn_quota *quota, const struct broker_settings *settings,
                            const struct listener_setting *listener, int32_t *listener_count,
                            const struct net_address *peer);
void conn_quota_give(struct conn_quota *quota, int32_t *listener_count,
                     const struct net_address *peer);

#endif
