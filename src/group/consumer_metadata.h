/* What a consumer group would subscribe to after a change, and the hash by which it finds out that
 * its topics are not what they were (KIP-1101). */
#ifndef JACKDAW_GROUP_CONSUMER_METADATA_H
#define JACKDAW_GROUP_CONSUMER_METADATA_H

#include "group/consumer_group.h"

/* One member changes: what it subscribed to (NULL: it is new) and will (NULL: it goes). */
struct consumer_change {
    const struct consumer_subscription *before, *after;
};

/* The topics that members then want, by name or by a resolved expression; ascending. Strings are
 * borrowed. False: the arena is exhausted. */
bool consumer_names_after(const struct consumer_group *consumer,
                          const struct consumer_change *change, struct arena *arena,
                          struct str_array *ret_names);
/* The names and resolved topics of one subscription, likewise. */
bool consumer_names_of(const struct consumer_group *consumer,
                       const struct consumer_subscription *subscription, struct arena *arena,
                       struct str_array *ret_names);
/* The topics that the group's expression stands for; none while it is not resolved. */
struct str_array consumer_names_resolved(const struct consumer_group *consumer, struct str regex);

/* Kafka's hash of those of the topics that exist: ids, names, partitions, racks of their replicas.
 * 0 where there is none. `image` may be NULL. */
int64_t consumer_metadata_hash(const struct image *image, struct str_array names,
                               struct arena *arena);
/* The same for a group (NULL: new) that goes on with these topics. What it has is taken where it
 * holds: members come and go, and partitions are many. */
int64_t consumer_metadata_hash_after(const struct consumer_group *consumer,
                                     const struct image *image, struct str_array names,
                                     struct arena *arena);

#endif
