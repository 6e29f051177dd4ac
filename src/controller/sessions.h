/* Soft state about brokers: who was heard of when, and how far it is. Rebuilt with full timeouts
 * when this node becomes the active controller. Home loop only. */
#ifndef JACKDAW_CONTROLLER_SESSIONS_H
#define JACKDAW_CONTROLLER_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"

struct session {
    int32_t broker_id;
    int64_t broker_epoch;
    int64_t register_offset; /* of its registration's record; -1 unknown */
    int64_t metadata_offset; /* that the broker says it has applied; -1 unknown */
    int64_t shutdown_offset; /* of the records that move its leaders away; -1: not shutting down */
    struct heap_node deadline; /* in `expiry` while the session is live and can expire */
};

struct sessions {
    struct session **items; /* by broker id */
    int32_t count;
    int32_t capacity;
    struct heap expiry; /* by the monotonic time at which the session ends */
    int64_t timeout_ns;
    int32_t local_broker_id; /* -1: none; its session does not expire */
};

void sessions_init(struct sessions *sessions, int64_t timeout_ns, int32_t local_broker_id);
void sessions_close(struct sessions *sessions);
void sessions_clear(struct sessions *sessions);

/* NULL when there is none. */
struct session *sessions_find(struct sessions *sessions, int32_t broker_id);

/* The session of this broker and epoch, new or renewed, live until now + timeout. NULL when memory
 * runs out. */
struct session *sessions_touch(struct sessions *sessions, int32_t broker_id, int64_t broker_epoch,
                               int64_t now_ns);

/* Heard of within the timeout, under this epoch. The local broker's counts as dead: whoever
 * registers for it is this process. */
bool sessions_valid(struct sessions *sessions, int32_t broker_id, int64_t broker_epoch);

/* End a session: it no longer expires, and is not valid. */
void sessions_end(struct sessions *sessions, int32_t broker_id);
void sessions_remove(struct sessions *sessions, int32_t broker_id);

/* The broker whose session ended first and not after now, or -1. */
int32_t sessions_expired(const struct sessions *sessions, int64_t now_ns);
/* When the next one ends; INT64_MAX: none. */
int64_t sessions_next_expiry(const struct sessions *sessions);

/* The process slept: give everybody that time. */
void sessions_shift(struct sessions *sessions, int64_t gap_ns);

#endif
