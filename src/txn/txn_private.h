/* The state of a shard of the transaction coordinator, for the files of this folder. */
#ifndef JACKDAW_TXN_TXN_PRIVATE_H
#define JACKDAW_TXN_TXN_PRIVATE_H

#include <errno.h>

#include "base/errors.h"
#include "base/map.h"
#include "protocol/stored.h"
#include "txn/txn.h"

enum { TXN_EPOCH_EXHAUSTED = INT16_MAX - 1 }; /* the last that a transaction may have */
#define TXN_RETRY_NS INT64_C(100000000)

enum {
    /* What the record of a decided end may be larger by than the one before it: tagged fields. A
     * transaction whose record left no room for it could neither commit nor abort. */
    TXN_END_BYTES = 64,
};

struct txn {
    struct str id; /* owned, behind this struct */
    struct txn_values now;
    void *partitions_block; /* owned */
    int64_t applied;        /* offset behind its last record: answers wait for it */

    /* Soft state. */
    int16_t last_epoch; /* the one before, of which a retry may come; -1: none, also after a load */
    struct txn_shard *shard;
    struct coord_timer timeout; /* of a transaction under way; also retries what failed */
    struct txn_step timed_out;  /* what the timer decided, while its record is appended */
    bool timing_out;
    bool timeout_said;           /* once, however often the record cannot be written */
    struct coord_effect effect;  /* write the markers once the end is committed */
    struct txn_markers *markers; /* with the effect or the sink; NULL: none under way */
    bool markers_sent;           /* with the sink, which outlives this */
    bool markers_written;        /* all of them; the record that says so could not be */
};

struct txn_shard {
    struct coord_shard *shard;
    const struct txn_host *host;
    struct map txns;          /* struct txn *, by id */
    struct coord_timer sweep; /* ids that nobody uses any more */
    bool sweep_more;          /* it could not take all at once */
    int64_t unreadable;       /* records that were skipped */
};

/* txn_apply.c */
struct txn *txn_find(const struct txn_shard *shard, struct str id);
/* 0 or -ENOMEM: one block that holds names and numbers; free(ret->topics). */
int txn_partitions_copy(const struct txn_partitions *from, struct txn_partitions *ret);

/* txn_step.c: by name and number, each once; in the arena but for the names. */
bool txn_partitions_sort(const struct txn_partitions *from, struct arena *arena,
                         struct txn_partitions *ret);

/* txn_step.c: the rules, without any I/O. `now_ms` is wall time. */
bool txn_epoch_exhausted(int16_t epoch);
/* txn is NULL for a new id. 0, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS; or TXN_STEP_FENCES: the
 * step aborts what is under way, and the client is to come again. `fresh_id` is taken when it is
 * needed: *ret_needs_id with 0 tells that it is -1 and must not be. */
#define TXN_STEP_FENCES (-EINPROGRESS)
int txn_step_init(const struct txn *txn, const struct txn_init_op *init, int64_t fresh_id,
                  int16_t feature, int64_t now_ms, struct txn_step *ret_step, bool *ret_needs_id);
/* The new set is in the arena. *ret_changes false: all are in it already. */
int txn_step_add(const struct txn *txn, const struct txn_add_op *add, int64_t now_ms,
                 struct arena *arena, struct txn_step *ret_step, bool *ret_changes);
/* `from_client` false: the coordinator's own abort, which fences. *ret_changes false with 0: a
 * retry of what is done. */
int txn_step_end(const struct txn *txn, const struct txn_end_op *end, bool from_client,
                 int64_t fresh_id, int64_t now_ms, struct txn_step *ret_step, bool *ret_changes,
                 bool *ret_needs_id);
/* From PREPARE to COMPLETE. */
void txn_step_complete(const struct txn *txn, int64_t now_ms, struct txn_step *ret_step);

/* txn_ops.c: values NULL is a tombstone. */
int txn_put(struct coord_op *op, struct str id, const struct txn_values *values, int16_t feature);
int16_t txn_feature(const struct coord_turn *turn); /* the finalized transaction.version */
/* In settle, when the step's record was applied: the soft state of `txn`, timers, markers. */
void txn_stepped(struct txn *txn, int16_t last_epoch, const struct coord_turn *turn);
/* Timers and markers as the state of txn says; also at load. */
void txn_follow_state(struct txn *txn, const struct coord_turn *turn);

/* txn_complete.c */
void txn_complete_begin(struct txn *txn, const struct coord_turn *turn);
void txn_markers_drop(struct txn *txn); /* before txn goes: what the sink does not have yet */
void txn_markers_released(struct coord_effect *effect, void *state, struct wakes *wakes);

/* txn_expire.c */
void txn_timeout_init(struct txn *txn);
void txn_sweep_init(struct txn_shard *shard);
void txn_sweep_arm(struct txn_shard *shard, const struct coord_turn *turn);

#endif
