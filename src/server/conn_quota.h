/* How many connections there are, of all, of each listener and of each address (max.connections,
 * max.connections.per.ip and its overrides; KIP-402), and how many come in a second
 * (max.connection.creation.rate; KIP-612). */
#ifndef JACKDAW_SERVER_CONN_QUOTA_H
#define JACKDAW_SERVER_CONN_QUOTA_H

#include <pthread.h>

#include "base/map.h"
#include "metadata/config_keys_broker.h"
#include "os/env.h"

/* New connections by the second, as Kafka's quota with its default of eleven windows of a second:
 * after a silence ten seconds' worth may come at once, later ones at the rate. Those beyond are not
 * refused; they wait in the listener's backlog. */
#define CONN_RATE_SECOND_NS INT64_C(1000000000)
#define CONN_RATE_BURST_NS (10 * CONN_RATE_SECOND_NS)

struct conn_rate {
    int64_t idle_ns; /* when all that came would have come at the rate exactly */
};

/* How long the next connection has to wait; 0: it may come. INT32_MAX: no limit. */
int64_t conn_rate_wait_ns(const struct conn_rate *rate, int32_t per_second, int64_t now_ns);
/* One has come. */
void conn_rate_note(struct conn_rate *rate, int32_t per_second, int64_t now_ns);

/* Any thread but for the rate. */
struct conn_quota {
    pthread_mutex_t lock;
    struct map by_address; /* the address, v4 as v4-in-v6, to its int32_t of connections */
    int32_t total;
    int32_t leaving;       /* of them: closed, because there were too many, and not yet gone */
    struct conn_rate rate; /* home loop, which accepts */
};

void conn_quota_init(struct conn_quota *quota, uint64_t seed);
void conn_quota_close(struct conn_quota *quota);

/* Whether a listener with so many connections (its own counter, changed under the quota's lock) may
 * accept no more now: which limit is reached, a static text, or NULL. Whoever comes then waits in
 * the backlog, as with Kafka. `counts_in_all` false: max.connections is not for this listener. */
const char *conn_quota_full(struct conn_quota *quota, const struct broker_settings *settings,
                            const struct listener_setting *listener, const int32_t *listener_count,
                            bool counts_in_all);

/* Count one more connection, or answer which limit of its address it would pass: a static text.
 * NULL: counted. */
const char *conn_quota_take(struct conn_quota *quota, const struct broker_settings *settings,
                            int32_t *listener_count, const struct net_address *peer);
/* One less. `left`: conn_quota_leave was called for it. */
void conn_quota_give(struct conn_quota *quota, int32_t *listener_count,
                     const struct net_address *peer, bool left);

/* Whether there are more than max.connections, because that was lowered, or because other brokers
 * came, who do not wait for a place. */
bool conn_quota_passed(struct conn_quota *quota, const struct broker_settings *settings);
/* The same, and a connection is closed for it: count it out. */
bool conn_quota_leave(struct conn_quota *quota, const struct broker_settings *settings);

#endif
