/* Server-side assignors of the consumer protocol (KIP-848): pure functions from a description of
 * the group to who should own which partition. They know names and numbers only, no state and no
 * clock, so the same description always gives the same answer.
 *
 * Partitions are numbered through: partition p of topic t has the place topics[t].first + p, and
 * owners are arrays over places whose values are indexes into `members`, or -1. Racks are not part
 * of the description, as neither assignor of Kafka 4.4 looks at them. */
#ifndef JACKDAW_GROUP_ASSIGNOR_SPEC_H
#define JACKDAW_GROUP_ASSIGNOR_SPEC_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/uuid.h"

enum {
    ASSIGNOR_NOBODY = -1,
    /* Partitions of all subscribed topics together; a group that wants more is refused. */
    ASSIGNOR_PARTITIONS_MAX = 100 * 1000 * 1000,
    /* How often `uniform` goes over all topics that not all members subscribe to. */
    ASSIGNOR_ROUNDS_MAX = 16,
};

struct assignor_topic {
    struct uuid id;
    int32_t partition_count;
    int32_t first; /* place of its partition 0 */
};

struct assignor_member {
    struct str id;
    struct str instance_id; /* data NULL: dynamic */
    const int32_t *topics;  /* indexes of what it subscribes to, ascending, each once */
    int32_t topic_count;
};

struct assignor_spec {
    const struct assignor_topic *topics; /* some may have no subscriber */
    int32_t topic_count;
    int32_t place_count;
    const struct assignor_member *members;
    int32_t member_count;
    const int32_t *previous; /* the owners of the last assignment */
};

/* Each partition with a subscriber has one owner, who subscribes to its topic; the others have
 * nobody. `arena` is for what they need on the way. 0 or -ENOMEM. */
struct assignor {
    const char *name; /* in group.consumer.assignors and requests */
    int (*assign)(const struct assignor_spec *spec, struct arena *arena, int32_t *ret_owners);
};

/* For each topic its subscribers in order (static members by instance id first, then the others by
 * member id) get consecutive ranges whose sizes differ by one at most, the larger ones first. Where
 * members subscribe to topics of as many partitions, each gets the same ranges of all. */
extern const struct assignor range_assignor;

/* Members own as many partitions as each other, or one more, as far as subscriptions allow; under
 * that condition as few partitions as possible leave their owners. */
extern const struct assignor uniform_assignor;

/* Java's order of strings, by UTF-16 code units: characters beyond the basic plane come before the
 * last ones of it. */
int java_string_compare(struct str a, struct str b);

#endif
