/* Coordinators: folds over the partitions of an internal topic.
 *
 * A coordinator (of groups on __consumer_offsets, of transactions on __transaction_state) has one
 * shard for each partition that this broker leads. A shard's record state changes only by `apply`,
 * which sees the records in log order: right after they were appended here, or while the log is
 * replayed at load. Both go through the same function and the same bytes, so what a restart finds
 * is what was there. When leadership is lost the whole state is dropped.
 *
 * One use of a shard is a `coord_op`: wait for the shard, decide (state and request in, records
 * out), append the records as one batch, apply them, settle (soft state: timers, parked members,
 * the answer), and wait until what was looked at is committed. Everything that a caller hears,
 * reads and errors included, waits until the high watermark has passed the last record that it
 * depends on (op->await_offset), under the leader epoch that it was read under.
 *
 * Locks. The shard's lock is a parking lock: decide, append, apply and settle run under it on
 * whichever loop the request belongs to, and no loop sleeps on it. Order: shard, append_lock,
 * replica_lock, watermark. `decide`, `apply`, `settle` and a timer's functions hold the shard's
 * lock and touch only its state; they never wait, never call the partition, never block. Two shards
 * are never locked by one op. */
#ifndef JACKDAW_COORD_COORD_H
#define JACKDAW_COORD_COORD_H

#include "base/arena.h"
#include "base/heap.h"
#include "base/parklock.h"
#include "base/say.h"
#include "base/watermark.h"
#include "metadata/config_keys_broker.h"
#include "metadata/image.h"
#include "os/loop.h"
#include "os/pool.h"
#include "partition/partition.h"

struct coord;
struct coord_shard;
struct coord_op;
struct coordinator_record_type;
struct coord_batch;
struct coord_put;

/* What the world looks like to one decision or timer; valid during the call. */
struct coord_turn {
    struct loop *loop; /* the one that this runs on */
    int64_t now_ns;    /* monotonic: deadlines */
    int64_t wall_ms;   /* wall clock: record timestamps, retention */
    const struct image *image;
    const struct broker_settings *settings;
};

/* Sums and differences of times, of which one may come from a client or a damaged record. */
static inline int64_t coord_ms_add(int64_t a, int64_t b)
{
    int64_t sum;
    return !__builtin_add_overflow(a, b, &sum) ? sum : b < 0 ? INT64_MIN : INT64_MAX;
}

static inline int64_t coord_ms_since(int64_t now_ms, int64_t then_ms)
{
    int64_t since;
    return !__builtin_sub_overflow(now_ms, then_ms, &since) ? since
           : then_ms < 0                                    ? INT64_MAX
                                                            : INT64_MIN;
}

/* One record of the log. Slices are valid during the call. */
struct coord_record {
    int64_t offset;
    int64_t timestamp;
    int64_t producer_id; /* of its batch; -1: none */
    int16_t producer_epoch;
    bool transactional; /* pending until the marker of its producer comes */
    struct bytes key;   /* with the type's int16 in front, as stored */
    struct bytes value; /* data == NULL: a tombstone */
};

/* The end of a transaction, from a control batch of this partition. */
struct coord_marker {
    int64_t offset;
    int64_t timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    bool commit;
};

/* What makes a shard a coordinator of its kind. */
struct coord_fold {
    const char *name;  /* "group": for log lines */
    const char *topic; /* "__consumer_offsets" */
    /* What batches are compressed with, unless the topic has a codec of its own. NULL: nothing. */
    enum compression (*codec)(const struct broker_settings *settings);

    /* An empty state; NULL: out of memory. `shard` outlives it. Made on the pool where there is a
     * log to replay, else with the first op, so that an empty shard has none. */
    void *(*create)(struct coord_shard *shard, void *context);
    /* Any thread, a pool job as a rule; nobody else knows the state any more, its timers and
     * effects are no longer linked (cancelling them is harmless). */
    void (*destroy)(void *state);

    /* Take in a record or marker. Deterministic: no clock, no randomness, no I/O. A record of an
     * unknown type or that does not parse is counted, said once and skipped, as Kafka does; records
     * without a key never come here. Returns false only when memory is exhausted: the shard then
     * fails (and is loaded again later). While loading these run on a pool thread that alone knows
     * the state. Whoever frees a timer here cancels it first, as everywhere. */
    bool (*apply)(void *state, const struct coord_record *record);
    bool (*mark)(void *state, const struct coord_marker *marker);

    /* The log is replayed, or a new state was made for an empty one; shard lock held, any loop.
     * Rebuild soft state: liveness with full timeouts, timers, effects that the records promise
     * (such as markers to be written). May be NULL. */
    void (*loaded)(void *state, const struct coord_turn *turn);

    /* Leadership is lost, the broker stops or the shard failed; shard lock held, home loop. Let go
     * of everything outside the state: complete parked waits with NOT_COORDINATOR. Timers and
     * effects are cancelled by the runtime. Called once for each `loaded`. May be NULL. */
    void (*unloaded)(void *state, struct wakes *wakes);

    /* The metadata image changed (topics came, went, grew); shard lock held, home loop. Not called
     * while there is no state. May be NULL. */
    void (*image_changed)(void *state, const struct coord_turn *turn);
};

/* ---- the coordinator ---- */

struct coord_params {
    struct env *env;
    const struct say *say;
    struct loop *const *loops; /* copied; shards are spread over them by partition index */
    int32_t loop_count;
    struct partition_set *partitions;
    struct epoch_domain *epochs;
    const struct coord_fold *fold;
    void *context; /* the fold's */
    /* The turn of the loop that this is called on: its image and settings. */
    void (*turn)(void *server, struct loop *loop, struct coord_turn *ret_turn);
    void *server;
};

/* Internal topics that are loaded at the same time; the pool has other work, too. */
#define COORD_LOADS_MAX 4

int coord_create(const struct coord_params *params, struct coord **ret_coord);
/* After every shard was unloaded and no op is left (coord_quiet), and the loops are joined. */
void coord_destroy(struct coord *coord);

/* Home loop of the broker, after partitions follow an image (partition_set's `applied`): load
 * shards that this broker leads now, drop those that it does not, tell the others that the image
 * changed. `topic` is the internal topic (NULL: it does not exist). */
void coord_follow(struct coord *coord, const struct topic_image *topic, bool image_changed);
/* Unload everything (the broker stops), and whether nothing is left to wait for: no shard, no job,
 * no task. Ops that wait for their commit end as they would. */
void coord_stop(struct coord *coord);
bool coord_quiet(const struct coord *coord);

/* From the turn_begin hook of a loop whose gap_ns is not 0, on that loop: liveness timers of its
 * shards are moved by the gap before any of them fires. */
void coord_gap(struct coord *coord, struct loop *loop);

/* The partition of the internal topic that a group or transactional id belongs to: Java's
 * String.hashCode over UTF-16 code units, made non-negative as Kafka's Utils.abs does, modulo. -1
 * while the topic does not exist. Invalid UTF-8 counts as U+FFFD, as Java decodes it. Partitions
 * that the topic gets later count from the next start on, as in Kafka. */
int32_t coord_partition_for(const struct coord *coord, struct str id);
int32_t coord_hash_partition(struct str id, int32_t count); /* count > 0 */
int32_t java_string_hash(struct str utf8);

/* A reference to the shard of this partition, for one op; any loop, epoch reader online. 0;
 * NOT_COORDINATOR (we do not lead it, or it could not be loaded), COORDINATOR_NOT_AVAILABLE (the
 * topic does not exist yet), COORDINATOR_LOAD_IN_PROGRESS. */
int coord_shard_find(struct coord *coord, int32_t partition, struct coord_shard **ret_shard);
/* Partitions of the topic when it was first seen; 0: there is none. */
int32_t coord_shard_count(const struct coord *coord);
struct coord_shard *coord_shard_ref(struct coord_shard *shard);
void coord_shard_unref(struct coord_shard *shard);
int32_t coord_shard_partition(const struct coord_shard *shard);
int32_t coord_shard_epoch(const struct coord_shard *shard); /* leader epoch = coordinator epoch */
struct env *coord_shard_env(const struct coord_shard *shard);
const struct say *coord_shard_say(const struct coord_shard *shard);
struct loop *coord_shard_home(const struct coord_shard *shard);
/* Its leadership is over, or about to be: what is done for it comes to nothing. Any thread. */
bool coord_shard_is_deposed(const struct coord_shard *shard);

/* ---- one use of a shard ---- */

enum coord_access {
    COORD_READ,  /* decide adds no records */
    COORD_WRITE, /* it may */
};

/* What the records of an op are to be stamped with; producer_id -1: plain. With `verify` the append
 * is refused with INVALID_TXN_STATE unless the transaction is open in this log or `verification`,
 * the token of partition_verification_begin, is still good (KIP-890). */
struct coord_transaction {
    int64_t producer_id;
    int16_t producer_epoch;
    bool verify;
    int64_t verification;
};

enum coord_stage { COORD_LOCK, COORD_APPEND_LOCK, COORD_APPENDING, COORD_AWAIT, COORD_ENDED };

/* Records of one op, encoded; more is RECORD_LIST_TOO_LARGE whatever the topic allows. */
#define COORD_OP_BYTES_MAX (64 * 1024 * 1024)

/* Embedded in its owner, which keeps it until coord_op_run said that it is over. coord_op_init,
 * then set what is marked "owner". */
struct coord_op {
    struct coord_shard *shard; /* owner: a reference, given back at the end */
    enum coord_access access;  /* owner */
    struct coord_transaction
        transaction;                    /* owner: producer_id -1 unless records are transactional */
    const struct coord_marker *marker;  /* owner: append this control record instead of records */
    int16_t marker_transaction_version; /* owner, with marker */
    /* Out, with marker and an error of the append: the producer's transaction is open in this log.
     */
    bool marker_left_open;

    /* Owner. Look at the state; add records with coord_op_put; set await_offset when the answer
     * depends on records appended earlier. Must not change the state, soft or hard: it may still
     * come to nothing. 0, or the code to end with (records are then dropped). NULL with `marker`.
     */
    int (*decide)(struct coord_op *op, void *state, const struct coord_turn *turn);

    /* Owner. Called once if decide was called (or would have been, with `marker`), under the lock,
     * after the records were applied (error == 0) or given up (decide's code, or why the append
     * failed, in coordinator terms: COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR,
     * RECORD_LIST_TOO_LARGE, INVALID_PRODUCER_EPOCH, ...). Change soft state, write the answer
     * (copied into the request's arena), start timers. May be NULL. */
    void (*settle)(struct coord_op *op, void *state, const struct coord_turn *turn, int error);

    /* Owner. ANY THREAD: have coord_op_run called again, as request_wake_later. */
    void (*wake)(struct coord_op *op, struct wakes *wakes);

    /* Owner, in decide: room that the batch has to leave below max.message.bytes, because what goes
     * on from these records will be larger and must not be refused. */
    int32_t spare_bytes;

    int64_t await_offset; /* the answer is given when the high watermark is >= this */

    /* The runtime's. */
    enum coord_stage stage;
    bool begun, decided;
    int error;
    int32_t leader_epoch;
    int64_t wall_ms;    /* of the decision: the records' timestamp */
    struct arena arena; /* the records under construction; closed at the end */
    struct coord_put *first_put, **last_put;
    int32_t put_count;
    size_t put_bytes;
    struct coord_batch *batch; /* what is being appended; in the arena */
    struct park_waiter shard_park, append_park;
    struct waiter waiter, sync_waiter;
    struct wakes *wakes; /* while decide and settle run */
    struct pool_job job; /* an append to a slow disk */
};

void coord_op_init(struct coord_op *op);

/* Go on as far as possible, always on the same loop. True: it is over, *ret_error is 0, decide's
 * code, or the runtime's (NOT_COORDINATOR when leadership went away); the shard's reference is
 * given back. False: parked, `wake` will be called. Calling without having been woken is harmless.
 */
bool coord_op_run(struct coord_op *op, const struct coord_turn *turn, int *ret_error);

/* Stop waiting (deadline, closed connection). True: ended now, nothing will be appended on its
 * behalf that was not before (in COORD_AWAIT the records are in the log and settle was called); the
 * owner answers what it likes, the shard's reference is given back. False: an append is under way
 * or about to be; run it on, and try again when it is parked in another stage. */
bool coord_op_give_up(struct coord_op *op);

/* In decide: add a record of this type (COORDINATOR_..._RECORD's row, see protocol/stored.h). The
 * key gets its type's number in front and the value `value_version`; value NULL is a tombstone. 0,
 * RECORD_LIST_TOO_LARGE above COORD_OP_BYTES_MAX, or -ENOMEM and other results of message_encode:
 * return it from decide. */
int coord_op_put(struct coord_op *op, const struct coordinator_record_type *type, const void *key,
                 const void *value, int16_t value_version);
/* The same with bytes as they are to be stored. */
int coord_op_put_bytes(struct coord_op *op, struct bytes key, struct bytes value);

/* In a decide that has more to write than may fit, and may stop anywhere: whether records of so
 * many bytes more, keys and values, still fit into the topic's batches. The first always do: if
 * they are too large, the append says so. */
bool coord_op_has_room(const struct coord_op *op, int32_t records, size_t bytes);

/* In decide or settle: what to pass to coord_wait_complete and friends. */
static inline struct wakes *coord_op_wakes(const struct coord_op *op)
{
    return op->wakes;
}
/* The same wherever the shard's lock is held and there is no op: in loaded and image_changed. */
struct wakes *coord_shard_wakes(struct coord_shard *shard);

/* ---- timers and effects: soft state, under the shard's lock ---- */

/* Embedded in a member, a group, a transaction. When due an op of its own is run on the shard's
 * home loop: decide and settle as for a request's op, the timer gone from the heap before decide. A
 * timer that finds in decide that its deadline has moved sets itself again and answers with no
 * records. If the append fails and there is no settle, it is armed again a second later.
 *
 * Who frees the memory of a timer cancels it first, armed or not. Where the timer's own records
 * free its owner (apply removes the member), the cancel also means that settle is not called. */
struct coord_timer {
    struct heap_node node;
    bool liveness; /* moved by the time the process did not run (coord_gap) */
    int (*decide)(struct coord_timer *timer, struct coord_op *op, void *state,
                  const struct coord_turn *turn);
    void (*settle)(struct coord_timer *timer, struct coord_op *op, void *state,
                   const struct coord_turn *turn, int error); /* may be NULL */
};

void coord_timer_init(struct coord_timer *timer); /* then set `decide`, `settle`, `liveness` */
/* Arm, or move. From decide, settle, loaded, image_changed (timers are the one soft state that
 * decide may touch). */
void coord_timer_set(struct coord_shard *shard, struct coord_timer *timer, int64_t due_ns);
void coord_timer_cancel(struct coord_shard *shard, struct coord_timer *timer);
static inline bool coord_timer_armed(const struct coord_timer *timer)
{
    return heap_contains(&timer->node);
}

/* Something to be done outside once the records below `offset` are committed: write markers, answer
 * those who wait for a group. Released in order of offset, under the lock, on whichever loop has
 * it, and no longer linked then. Must be derivable from the state, so that `loaded` can make it
 * again, and idempotent. */
struct coord_effect {
    struct list link;
    int64_t offset;
    void (*release)(struct coord_effect *effect, void *state, struct wakes *wakes);
};

void coord_effect_init(struct coord_effect *effect,
                       void (*release)(struct coord_effect *effect, void *state,
                                       struct wakes *wakes));
/* From settle, loaded, release: after what was applied so far. Runs before the lock is dropped when
 * that is committed already. The owner keeps it until it was released or cancelled; adding one that
 * is linked does nothing but move it behind what was applied since. */
void coord_effect_add(struct coord_shard *shard, struct coord_effect *effect);
void coord_effect_cancel(struct coord_effect *effect);

/* End offset of what was applied last: what a read of everything has to wait for. */
int64_t coord_shard_applied(const struct coord_shard *shard);

/* A request parked on a group: joining or syncing. Linked and completed under the shard's lock. */
struct coord_wait {
    struct list link; /* self-linked when not waiting */
    int error;        /* set before the wake */
    void (*wake)(struct coord_wait *wait, struct wakes *wakes);
};

static inline bool coord_wait_waits(const struct coord_wait *wait)
{
    return !list_empty(&wait->link);
}
void coord_wait_init(struct coord_wait *wait,
                     void (*wake)(struct coord_wait *wait, struct wakes *wakes));
/* Unlink and wake; a wait that does not wait is left alone. */
void coord_wait_complete(struct coord_wait *wait, int error, struct wakes *wakes);

/* An op of the shard's own (an effect's follow-up): allocated by the caller, freed by `ended` when
 * it is over. Set op.access, op.decide and op.settle (after coord_op_init), `ended`, and `work`
 * where something long comes first; shard, wake and references are the runtime's. */
struct coord_task {
    struct coord_op op;
    void (*ended)(struct coord_task *task, int error); /* on its loop, no lock held */
    /* May be NULL. Pool, before the op: knows the task's own data alone, and comes to an end soon
     * when coord_shard_is_deposed. */
    void (*work)(struct coord_task *task);
    /* The runtime's. */
    struct loop *loop; /* that it runs on */
    struct loop_task again;
    struct pool_job job;
    _Atomic bool posted;
    bool worked, over;
    int error;
};
/* On the shard's home loop, soon. From any thread, also under the shard's lock. */
void coord_task_start(struct coord_shard *shard, struct coord_task *task, struct wakes *wakes);
/* On this loop, which is the caller's, and at once: the task may have ended when this returns. No
 * lock held. */
void coord_task_run(struct coord_shard *shard, struct coord_task *task, struct loop *loop);

#endif
