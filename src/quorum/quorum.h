/* Consensus on one log of record batches, behind a handful of functions.
 *
 * The log is Apache Kafka's __cluster_metadata-0: record batches in segments, snapshots named
 * <end offset>-<epoch>.checkpoint, and quorum-state (KIP-595, KIP-630, KIP-853). What the records
 * mean is the listener's affair; control records (leader change, voters, kraft.version) are the
 * quorum's and reach the listener only as batches that move the offset.
 *
 * Threads. A quorum belongs to one loop, its home: every call here is made there and every callback
 * comes from there, but for the getters marked ANY THREAD. Device waits happen in pool jobs.
 *
 * The engine behind the functions is quorum_ops: quorum_single.c is the one with a single voter,
 * for which "on this disk and synced" is "committed". A raft engine takes its place without a
 * change above. */
#ifndef JACKDAW_QUORUM_QUORUM_H
#define JACKDAW_QUORUM_QUORUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/say.h"
#include "base/uuid.h"
#include "log/file_cache.h"
#include "os/env.h"
#include "os/loop.h"
#include "record/batch.h"

struct quorum;
struct snapshot_writer;

enum {
    QUORUM_BATCH_MAX_RECORDS = 10000,          /* of one proposal; Kafka's own bound */
    QUORUM_BATCH_MAX_BYTES = 8 * 1024 * 1024,  /* of one proposal, encoded; Kafka's own bound */
    QUORUM_QUEUE_MAX_BYTES = 64 * 1024 * 1024, /* proposed and not yet committed */
    QUORUM_VOTERS_MAX = 64,
    QUORUM_ENDPOINTS_MAX = 16, /* of one voter */
};

/* Names a snapshot: it holds everything below end_offset, whose last record is of this epoch. */
struct snapshot_id {
    int64_t end_offset;
    int32_t epoch;
};

struct quorum_endpoint {
    struct str listener; /* "CONTROLLER" */
    struct str host;
    uint16_t port;
};

struct quorum_voter {
    int32_t id;
    struct uuid directory_id; /* zero: unknown (static voters, kraft.version 0) */
    const struct quorum_endpoint *endpoints;
    int32_t endpoint_count;
};

/* Who is told. All on the home loop, in this order at a start: bootstrap, then the newest snapshot
 * (begin, batches, end) if there is one, then every committed batch behind it, then leader_change.
 * Nothing here may destroy the quorum. */
struct quorum_listener {
    /* A data batch of the bootstrap snapshot 0-0 that formatting wrote: what the first leader of a
     * new cluster writes into the log. Comes at every start, before everything else. */
    void (*bootstrap)(void *context, const struct batch *batch);

    /* What was folded so far is void; the batches up to snapshot_end are the state at `id`. Data
     * batches only; their offsets count from 0 within the snapshot. */
    void (*snapshot_begin)(void *context, struct snapshot_id id);
    void (*snapshot_batch)(void *context, const struct batch *batch);
    void (*snapshot_end)(void *context, int64_t last_timestamp); /* of the last record contained */

    /* A batch of the log is committed: data or control. In order of offsets, each once. The bytes
     * are valid during the call. */
    void (*committed)(void *context, const struct batch *batch);

    /* leader_id -1: unknown. When this node becomes leader its LeaderChange batch and everything
     * before it were delivered; from here on quorum_propose works until the next call of this. */
    void (*leader_change)(void *context, int32_t epoch, int32_t leader_id);

    /* The metadata directory failed (-errno): nothing will be committed any more; the process
     * stops. Called once. */
    void (*failed)(void *context, int error);

    /* A snapshot is due: keep the state folded so far and name it. NULL: not now (asked again after
     * the next committed batch). ret_last_timestamp is that of the last record contained. */
    const void *(*snapshot_take)(void *context, struct snapshot_id *ret_id,
                                 int64_t *ret_last_timestamp);
    /* Write all of it with snapshot_write_record; POOL THREAD. 0 or -errno. */
    int (*snapshot_write)(const void *state, struct snapshot_writer *writer);
    /* What snapshot_take kept is no longer needed. */
    void (*snapshot_drop)(void *context, const void *state);

    void *context;
};

struct quorum_params {
    struct env *env;
    struct loop *loop; /* home */
    const struct say *say;
    struct file_cache *files;
    const char
        *dir; /* the metadata log directory; the log is in DIR/__cluster_metadata-0. Copied. */
    int32_t node_id;
    struct uuid directory_id; /* of `dir`, from meta.properties */
    struct str cluster_id;    /* copied */
    bool clean;               /* the directory was closed cleanly */
    /* controller.quorum.voters, when set: only this node alone is supported. Empty: the voters are
     * those of the log or the bootstrap snapshot. */
    const struct quorum_voter *static_voters;
    int32_t static_voter_count;
    /* This node's controller endpoints; a VotersRecord that names others is replaced. May be empty:
     * then the record stays as it is. */
    const struct quorum_endpoint *endpoints;
    int32_t endpoint_count;
    int32_t segment_bytes;        /* metadata.log.segment.bytes */
    int64_t segment_ms;           /* metadata.log.segment.ms */
    int64_t retention_bytes;      /* metadata.max.retention.bytes; -1: no bound */
    int64_t retention_ms;         /* metadata.max.retention.ms; -1: no bound */
    int64_t snapshot_after_bytes; /* metadata.log.max.record.bytes.between.snapshots */
    int64_t snapshot_interval_ms; /* metadata.log.max.snapshot.interval.ms; 0: size alone */
    struct quorum_listener listener;
};

/* Sensible values of Kafka's defaults for everything below `endpoints`. */
void quorum_params_init(struct quorum_params *ret_params);

/* Prepare; nothing is read yet. Strings and endpoints are copied. 0 or -ENOMEM. */
int quorum_create(const struct quorum_params *params, struct quorum **ret_quorum);

/* Begin: open and recover the log, replay it to the listener, take part in the quorum. Failures
 * come through `failed`: -ENOENT no bootstrap and no log, -EUCLEAN corrupt below what was synced,
 * -ENOTSUP a quorum of more than this node, -EBADMSG malformed files. */
void quorum_start(struct quorum *quorum);

/* One batch of records to be appended atomically; embedded in its owner. */
struct quorum_proposal {
    struct list link; /* the quorum's, from quorum_propose to done */
    int64_t base_offset;
    int64_t last_offset;
    int32_t epoch;
    /* Once: 0, the batch is committed and was given to `committed` just before; NOT_CONTROLLER: the
     * leadership ended, whether it will ever be committed is unknown; -ENOSPC and its like: the
     * disk is full and nothing was written; other -errno: the directory failed. A proposal that
     * fails takes along all that were made before its `done`: theirs are called next, in order, and
     * the offsets are given out anew. May not propose after a failure: that belongs into a task of
     * its own. */
    void (*done)(struct quorum *quorum, struct quorum_proposal *proposal, int result);
};

/* Propose the values (keys are null) as one batch in this leader's epoch. The bytes are copied
 * before this returns. Its offsets are known at once: proposals commit in their order or the
 * leadership ends.
 *
 * 0; NOT_CONTROLLER: not the leader, or not in `epoch`; -E2BIG: above QUORUM_BATCH_MAX_RECORDS or
 * _BYTES; -ENOBUFS: QUORUM_QUEUE_MAX_BYTES wait already; -ENOMEM. After an error done is not
 * called.
 */
int quorum_propose(struct quorum *quorum, int32_t epoch, const struct bytes *values, int32_t count,
                   struct quorum_proposal *proposal);

/* The first offset of the next proposal; home loop, while leading. */
int64_t quorum_next_offset(const struct quorum *quorum);

/* Getters; ANY THREAD. */
struct quorum_leader {
    int32_t id; /* -1: unknown */
    int32_t epoch;
};
struct quorum_leader quorum_leader(const struct quorum *quorum);
int64_t quorum_high_watermark(const struct quorum *quorum); /* -1: not yet known */
int64_t quorum_log_end(const struct quorum *quorum);

/* For DescribeQuorum and the controllers' endpoints; home loop. The array and what it points to are
 * valid until control returns to the loop. kraft_version 0: voters are static. */
struct quorum_voters {
    const struct quorum_voter *items;
    int32_t count;
    int16_t kraft_version;
};
struct quorum_voters quorum_voters(const struct quorum *quorum);
struct snapshot_id quorum_last_snapshot(const struct quorum *quorum); /* {-1, -1}: none */

/* What replicas are known to have. The one-voter engine knows itself. */
struct quorum_replica {
    int32_t id;
    struct uuid directory_id;
    int64_t log_end_offset;
    int64_t last_fetch_ms;     /* wall clock; -1 unknown */
    int64_t last_caught_up_ms; /* wall clock; -1 unknown */
};
int32_t quorum_replicas(const struct quorum *quorum, struct quorum_replica *ret_replicas,
                        int32_t max);

/* End: proposals under way are finished (or fail), then the log is closed cleanly, then `stopped`
 * is called. No other callback comes after it. Also before quorum_start or after `failed`. */
void quorum_stop(struct quorum *quorum, void (*stopped)(void *context, int result), void *context);

/* After `stopped`, or when the loop no longer turns and no job is under way. NULL is accepted. */
void quorum_destroy(struct quorum *quorum);

#endif
