/* What a client knows of the cluster: brokers, topics with their ids, leaders with their epochs.
 *
 * The cache holds the topics that were asked for. It is refreshed when something is missing or
 * found to be wrong, and when it is older than metadata_max_age_ns; requests for that are merged. A
 * leader is replaced only by one of a newer epoch (KIP-320), so an old answer changes nothing.
 * Brokers that refuse may say who leads now (KIP-951): client_learn_leader. */
#ifndef JACKDAW_CLIENT_METADATA_H
#define JACKDAW_CLIENT_METADATA_H

#include "base/errors.h"
#include "base/uuid.h"
#include "client/core.h"

#define CLIENT_TOPICS_MAX 10000

struct client_leader {
    int32_t node_id;
    int32_t leader_epoch; /* -1: not known */
    struct uuid topic_id; /* all zero: not known */
};

/* 0; -EAGAIN: not known now (no such topic or partition yet, no leader): client_await_metadata,
 * then look again; -ENOBUFS: too many topics; -ECANCELED: the client is closed; or an error of
 * Kafka that repeating does not mend (invalid name, not authorised). The topic enters the cache. */
int client_find_leader(struct client *client, struct str topic, int32_t partition,
                       struct client_leader *ret_leader);

/* 0 and the number of partitions, or as above. */
int client_find_topic(struct client *client, struct str topic, int32_t *ret_partition_count);

/* To be called once after the next refresh, whether that succeeded or not. Embedded in its owner.
 */
struct metadata_wait {
    struct list link;
    void (*wake)(struct metadata_wait *wait);
};

void metadata_wait_init(struct metadata_wait *wait, void (*wake)(struct metadata_wait *wait));
void client_await_metadata(struct client *client, struct metadata_wait *wait);
void client_cancel_wait(struct metadata_wait *wait); /* nothing when it does not wait */

/* The leader of this partition is not who we thought: the entry counts as unknown until refreshed.
 * Nothing happens when the entry has already a newer epoch than `leader_epoch`. */
void client_doubt_leader(struct client *client, struct str topic, int32_t partition,
                         int32_t leader_epoch);

/* A broker said who leads; `host` NULL: it did not say where that is. True when that is news. */
struct client_endpoint {
    int32_t node_id;
    struct str host;
    int32_t port;
};
bool client_learn_leader(struct client *client, struct str topic, int32_t partition,
                         int32_t leader_epoch, const struct client_endpoint *endpoint);

#endif
