/* One attempt to ask a partition's leader: find out who leads, send, and read what the answer says
 * of the partition. What it says of leaders goes into the cache of metadata (KIP-320, KIP-951).
 *
 * Repeating is the owner's: leader_call_may_repeat says whether it makes sense, and another
 * leader_call_start begins the next attempt. Calls for one partition that are started one after the
 * other, with no delay, reach one leader in that order. */
#ifndef JACKDAW_CLIENT_LEADER_CALL_H
#define JACKDAW_CLIENT_LEADER_CALL_H

#include "client/metadata.h"

/* What an answer says of the partition. */
struct leader_verdict {
    int error; /* Kafka's code, as on the wire */
    int32_t throttle_ms;
    int32_t leader_id, leader_epoch; /* -1: it does not say */
    struct client_endpoint endpoint; /* of that leader; host NULL: it does not say */
};

/* Embedded in its owner, who sets the first block. */
struct leader_call {
    struct client *client;
    struct str topic; /* must live until done */
    int32_t partition;
    /* Fill call->request.message for call->leader; may lower request.max_version. 0 or -errno. */
    int (*build)(struct leader_call *call);
    /* Read call->request.response. 0, or -EBADMSG when it says nothing of the partition. */
    int (*judge)(struct leader_call *call, struct leader_verdict *ret_verdict);
    /* 0 and the answer in call->request.response; Kafka's code; or -errno as client_send, and
     * -ETIMEDOUT when no leader was found in time. request.sent says whether it may have been
     * executed. */
    void (*done)(struct leader_call *call, int result);

    struct client_leader leader; /* who was asked */
    struct client_request request;

    struct client_hook hook;
    struct metadata_wait wait;
    struct loop_timer timer;
    int64_t deadline_ns;
    int result;
    bool active;
    bool delayed; /* the timer is the start's delay, else the end of the search or `result` */
};

void leader_call_init(struct leader_call *call, struct client *client, int16_t key);

/* Begin, not after client_close, after `delay_ns` (0: now), and search for a leader until
 * `deadline_ns`. What an earlier attempt received is dropped. */
void leader_call_start(struct leader_call *call, int64_t delay_ns, int64_t deadline_ns);

void leader_call_release(struct leader_call *call);

/* Whether the same may succeed when it is tried again. */
bool leader_call_may_repeat(int result);

#endif
