/* Markers of the end of transactions: written to the partitions that this broker leads, for the
 * coordinator in this process and for those that send WriteTxnMarkers.
 *
 * A partition of an internal topic with a coordinator gets its marker through the coordinator's
 * shard, so that its state follows. Source: KIP-98, KIP-890. */
#ifndef JACKDAW_SERVER_TXN_MARKERS_H
#define JACKDAW_SERVER_TXN_MARKERS_H

#include "controller/controller.h"
#include "coord/coord.h"
#include "protocol/messages.h"
#include "txn/txn.h"

struct broker;

/* One partition's marker. Zero it, fill in what is marked "in", run it until it is done. */
struct marker_part {
    struct broker *broker;             /* in */
    const struct coord_marker *marker; /* in; offset and timestamp are not used */
    int16_t transaction_version;       /* in */
    struct str topic;                  /* in */
    int32_t index;                     /* in */
    /* in. ANY THREAD, under locks: have marker_part_run called again. */
    void (*wake)(struct marker_part *part, struct wakes *wakes);

    /* Its own. */
    enum {
        MARKER_FIND,
        MARKER_APPEND,
        MARKER_APPENDING, /* a pool job: the disk is slow */
        MARKER_APPENDED,
        MARKER_AWAIT,
        MARKER_COORDINATED,
        MARKER_DONE
    } stage;
    int error;      /* out, when done */
    bool left_open; /* out, with an error: a transaction of this producer is open there */
    struct partition *partition;
    struct park_waiter park;
    struct waiter waiter;
    int64_t end_offset;
    int32_t leader_epoch;
    struct pool_job job;
    struct coord_op op;
};

/* True: done, part->error says how: 0; UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER,
 * INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED, KAFKA_STORAGE_ERROR, NOT_ENOUGH_REPLICAS.
 */
bool marker_part_run(struct marker_part *part, const struct coord_turn *turn);

/* What one loop is writing for the coordinator in this process. Embedded in the loop. */
struct marker_loop {
    struct list jobs;
    struct loop_task stop;
};
void marker_loop_init(struct marker_loop *markers);

/* What the broker does for its transaction coordinator. Embedded in the broker. */
struct txn_service {
    struct txn_host host;
    _Atomic int32_t busy; /* jobs of all loops, and loops that are yet to hear of the stop */
    _Atomic bool stopped;

    /* Producer ids for transactions that nobody waits for; home loop but for `wanted`. */
    struct loop_task want;
    _Atomic bool wanted;
    struct controller_op op;
    struct allocate_producer_ids_request ask;
    struct allocate_producer_ids_response answer;
    struct arena arena;
};

void txn_service_init(struct broker *broker);
/* Home loop, when the broker stops: what is being written ends as soon as it can. */
void txn_service_stop(struct broker *broker);
bool txn_service_quiet(const struct broker *broker);

#endif
