#include "copier_life.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

#define SECOND INT64_C(1000000000)

uint64_t dice(struct copier *copier, uint64_t limit)
{
    return sim_dice(copier->plan->sim, limit);
}

/* The plan counts its calls: at the last one it dies, before the call or after its answer. */
const void *call(struct copier *copier, int16_t key, int16_t version, const void *message)
{
    struct copier_plan *plan = copier->plan;
    if (plan->calls_left == 1 && !plan->die_after_answer)
        sim_crash(plan->node, SIM_KILL);
    const void *response = life_call(&copier->life, key, version, message, 0);
    if (plan->calls_left == 1 && plan->die_after_answer)
        sim_crash(plan->node, SIM_KILL);
    if (plan->calls_left > 0)
        plan->calls_left--;
    return response;
}

int insist(struct copier *copier, int (*step)(struct copier *copier))
{
    int error = -1;
    for (int tries = 0; tries < LIFE_TRIES_MAX; tries++) {
        error = step(copier);
        if (error >= 0 && !life_passes(error))
            return error;
        life_rest(&copier->life, 5 + (int64_t)dice(copier, 100));
    }
    return error;
}

int make_topics(struct copier *copier)
{
    int error = life_make_topic(&copier->life, COPY_TOPIC, COPY_PARTITIONS);
    return error != 0 ? error : life_make_topic(&copier->life, COPY_INPUT, COPY_SHARES);
}

struct copier *copier_begin(struct env *env, struct copier_plan *plan)
{
    struct copier *copier = calloc(1, sizeof *copier);
    must(copier);
    copier->plan = plan;
    copier->copies = plan->copies;
    snprintf(copier->id, sizeof copier->id, "copier-%d", plan->index);
    copier->group = plan->grouped ? "copiers" : copier->id;
    copier->place = (struct membership){
        .life = &copier->life,
        .history = plan->history,
        .group = copier->group,
        .topic = "in",
        .partition_count = COPY_SHARES,
        .session_ms = COPY_SESSION_MS,
        .rebalance_ms = 8000,
        .join_version = (int16_t)(2 + dice(copier, 8)),
        .generation = -1,
    };
    life_begin(&copier->life, env, plan->bootstrap, (2 + (int64_t)dice(copier, 10)) * SECOND);
    return copier;
}

void copier_end(struct copier *copier)
{
    life_end(&copier->life);
    free(copier);
}
