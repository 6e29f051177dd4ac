/* ConsumerGroupHeartbeat and ConsumerGroupDescribe as operations of a shard (KIP-848).
 *
 * Embedded in the request that they serve: init, set op.shard and op.wake, drive `op`. What the
 * request points to must stay until the operation is over. If it ended with 0 `response` is the
 * answer; else the error is, with `message` if that is not NULL. */
#ifndef JACKDAW_GROUP_CONSUMER_OPS_H
#define JACKDAW_GROUP_CONSUMER_OPS_H

#include "group/assignor_spec.h"
#include "group/classic_ops.h"
#include "group/consumer_group.h"

/* From here on members make their ids themselves, and may subscribe by a regular expression. */
enum { CONSUMER_HEARTBEAT_OWN_MEMBER_ID = 1 };

struct consumer_heartbeat {
    struct coord_op op;
    const struct consumer_group_heartbeat_request *request;
    int16_t version;
    struct classic_client client; /* who asks; also randomness for an id */
    struct arena *arena;          /* the request's */
    int compile_error;            /* of the request's expression: 0, INVALID_REGULAR_EXPRESSION */
    const char *compile_message;
    const char *message; /* of the error */
    struct consumer_group_heartbeat_response response;
    /* from decide to settle */
    struct str member_id;
    bool leaves, upgraded;
    bool metadata_checked; /* the group's hash is that of the image now */
    bool current_changed;
};

/* What needs no group: INVALID_REQUEST, UNSUPPORTED_ASSIGNOR, INVALID_REGULAR_EXPRESSION. */
int consumer_heartbeat_check(const struct consumer_group_heartbeat_request *request,
                             int16_t version, const struct broker_settings *settings,
                             const char **ret_message);
void consumer_heartbeat_init(struct consumer_heartbeat *heartbeat,
                             const struct consumer_group_heartbeat_request *request,
                             int16_t version, const struct classic_client *client,
                             struct arena *arena);

struct consumer_describe {
    struct coord_op op;
    struct str group;
    struct arena *arena; /* the request's */
    struct consumer_group_describe_response_described_group *answer;
};

void consumer_describe_init(struct consumer_describe *describe);

/* ---- for the operations themselves, in decide ---- */

/* Records that put these members, each once, out of their group. */
int consumer_put_fenced(struct coord_op *op, struct arena *arena,
                        const struct consumer_group *consumer,
                        const struct consumer_member *const *members, int32_t count,
                        const struct coord_turn *turn);

/* The assignor that most members prefer when this change is made; the first of
 * group.consumer.assignors where nobody has a preference. */
struct consumer_change;
const char *consumer_preferred_assignor(const struct consumer_group *consumer,
                                        const struct consumer_change *change,
                                        const struct broker_settings *settings);
/* "range" or "uniform" */
const struct assignor *consumer_assignor(const char *name);
/* The one that the member would like; NULL: none, or none that there is. */
const struct assignor *consumer_assignor_of(const struct consumer_subscription *subscription);

#endif
