/* What an engine is to quorum.c, and what all engines share. */
#ifndef JACKDAW_QUORUM_ENGINE_H
#define JACKDAW_QUORUM_ENGINE_H

#include <stdatomic.h>

#include "quorum/quorum.h"

struct quorum_ops {
    void (*start)(struct quorum *quorum);
    int (*propose)(struct quorum *quorum, int32_t epoch, const struct bytes *values, int32_t count,
                   struct quorum_proposal *proposal);
    int64_t (*next_offset)(const struct quorum *quorum);
    struct quorum_voters (*voters)(const struct quorum *quorum);
    struct snapshot_id (*last_snapshot)(const struct quorum *quorum);
    int32_t (*replicas)(const struct quorum *quorum, struct quorum_replica *ret_replicas,
                        int32_t max);
    void (*stop)(struct quorum *quorum, void (*stopped)(void *context, int result), void *context);
    void (*destroy)(struct quorum *quorum);
};

/* Embedded first in the engine's own struct. */
struct quorum {
    const struct quorum_ops *ops;
    /* The leader's epoch above its id, so that both are read at once; written by the home loop. */
    _Atomic uint64_t leader;
    _Atomic int64_t high_watermark;
    _Atomic int64_t log_end;
};

static inline void quorum_set_leader(struct quorum *quorum, int32_t epoch, int32_t id)
{
    uint64_t both = (uint64_t)(uint32_t)epoch << 32 | (uint32_t)id;
    atomic_store_explicit(&quorum->leader, both, memory_order_release);
}

int single_create(const struct quorum_params *params, struct quorum **ret_quorum);

#endif
