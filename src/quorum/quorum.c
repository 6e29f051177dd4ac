#include "quorum/quorum.h"

#include "quorum/engine.h"

void quorum_params_init(struct quorum_params *ret_params)
{
    *ret_params = (struct quorum_params){
        .segment_bytes = 1024 * 1024 * 1024,
        .segment_ms = 7 * 24 * 3600 * 1000LL,
        .retention_bytes = 100 * 1024 * 1024,
        .retention_ms = 7 * 24 * 3600 * 1000LL,
        .snapshot_after_bytes = 20 * 1024 * 1024,
        .snapshot_interval_ms = 3600 * 1000,
    };
}

int quorum_create(const struct quorum_params *params, struct quorum **ret_quorum)
{
    return single_create(params, ret_quorum);
}

void quorum_start(struct quorum *quorum)
{
    quorum->ops->start(quorum);
}

int quorum_propose(struct quorum *quorum, int32_t epoch, const struct bytes *values, int32_t count,
                   struct quorum_proposal *proposal)
{
    return quorum->ops->propose(quorum, epoch, values, count, proposal);
}

int64_t quorum_next_offset(const struct quorum *quorum)
{
    return quorum->ops->next_offset(quorum);
}

struct quorum_leader quorum_leader(const struct quorum *quorum)
{
    uint64_t both = atomic_load_explicit(&quorum->leader, memory_order_acquire);
    return (struct quorum_leader){.id = (int32_t)(uint32_t)both, .epoch = (int32_t)(both >> 32)};
}

int64_t quorum_high_watermark(const struct quorum *quorum)
{
    return atomic_load_explicit(&quorum->high_watermark, memory_order_acquire);
}

int64_t quorum_log_end(const struct quorum *quorum)
{
    return atomic_load_explicit(&quorum->log_end, memory_order_acquire);
}

struct quorum_voters quorum_voters(const struct quorum *quorum)
{
    return quorum->ops->voters(quorum);
}

struct snapshot_id quorum_last_snapshot(const struct quorum *quorum)
{
    return quorum->ops->last_snapshot(quorum);
}

int32_t quorum_replicas(const struct quorum *quorum, struct quorum_replica *ret_replicas,
                        int32_t max)
{
    return quorum->ops->replicas(quorum, ret_replicas, max);
}

void quorum_stop(struct quorum *quorum, void (*stopped)(void *context, int result), void *context)
{
    quorum->ops->stop(quorum, stopped, context);
}

void quorum_destroy(struct quorum *quorum)
{
    if (quorum)
        quorum->ops->destroy(quorum);
}
