/* A user of a broker, on a node of its own: it produces idempotently and reads at the same time,
 * and tells the history of it. Or it audits: reads everything once and ends. */
#ifndef JACKDAW_TEST_SIM_USER_H
#define JACKDAW_TEST_SIM_USER_H

#include "history.h"
#include "sim/sim.h"

/* In the test's memory. */
struct user_plan {
    struct sim *sim;
    struct history *history;
    const char *bootstrap; /* "host:port" */
    const char *topic;
    bool audit;
    bool durable;         /* the topic is synced before anything is acknowledged */
    bool big_records;     /* some records of tens of kilobytes, so that segments roll */
    int32_t inflight_max; /* batches under way per partition; 0: by chance */
    int32_t values_max;   /* give no more when the history has so many */
    bool stop;            /* give no more */
    int outstanding;      /* batches given and not done, in this life */
    bool audited;         /* the audit is over */
};

/* For sim_start, with a plan as the context. */
void user_main(struct env *env, void *plan);

#endif
