/* Regular expressions that members subscribe to, and the topics that they stand for.
 *
 * An expression is resolved beside the requests: the pool matches it against the topics of an
 * image, then an operation of the shard's own writes what came of it, and gives the group a new
 * epoch if topics came or went. Until then the expression stands for nothing. When that is due is
 * Kafka's (group coordinator 4.4): looked at with each heartbeat; see is_due. */
#ifndef JACKDAW_GROUP_CONSUMER_REGEX_H
#define JACKDAW_GROUP_CONSUMER_REGEX_H

#include "group/consumer_group.h"

enum {
    /* From one refresh of a group to the next, at least. */
    CONSUMER_REGEX_REFRESH_MS = 10000,
    /* What one refresh may take of the pool's time. An expression that was not through by then is
     * left as it is, and tried again with the next refresh. */
    CONSUMER_REGEX_MATCH_MS = 5000,
};

enum consumer_regex_change {
    CONSUMER_REGEX_SAME,
    CONSUMER_REGEX_CHANGED,          /* it stands for nothing yet */
    CONSUMER_REGEX_CHANGED_RESOLVED, /* to one whose topics are known, or to none */
};

/* In decide: the member's expression becomes another one. `compile_error` is what compiling it has
 * come to, and counts if nobody else subscribes to it. Puts a tombstone for one that nobody wants
 * any more. 0, or an error. */
int consumer_regex_change(struct coord_op *op, const struct consumer_group *consumer,
                          struct str group, struct str before, struct str after, int compile_error,
                          enum consumer_regex_change *ret_change);

/* In settle: see whether the group's expressions are to be resolved, and begin. */
void consumer_regex_look(struct group_shard *shard, struct consumer_group *consumer,
                         const struct coord_turn *turn);

#endif
