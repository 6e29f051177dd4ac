/* Copies in transactions: takes the next inputs (numbers), writes each to a topic and commits the
 * position in the same transaction, or aborts it; and a reader of committed records that counts.
 *
 * The copies stand apart from the code under test: they know values and positions. Whatever must
 * not be ends the program with a line that says what it was. */
#ifndef JACKDAW_TEST_SIM_COPIER_H
#define JACKDAW_TEST_SIM_COPIER_H

#include "sim/sim.h"

#define COPIERS 2
#define COPY_PARTITIONS 2
#define COPY_INPUTS_MAX 20000
#define COPY_ATTEMPTS_MAX 20000

/* One transaction as its copier meant it. */
enum fate {
    FATE_NEVER,     /* nobody asked for its commit: nothing of it may ever be seen */
    FATE_ASKED,     /* the commit was asked for and not answered */
    FATE_COMMITTED, /* and answered */
};

struct attempt {
    enum fate fate;
    int32_t copier, first, count;
};

/* In the test's memory. */
struct copies {
    struct attempt attempts[COPY_ATTEMPTS_MAX];
    int32_t attempt_count;
    int32_t position[COPIERS];     /* every input below is committed */
    int32_t last_attempt[COPIERS]; /* whose fate may be open; -1: none */
    int8_t seen[COPIERS][COPY_INPUTS_MAX];
    int32_t seen_count;
    int32_t commits;
    bool stop;                           /* begin no transaction more */
    bool idle[COPIERS];                  /* it has stopped, and knows where */
    bool settled[COPY_PARTITIONS];       /* read up to the end, and nothing is open */
    int64_t stable_end[COPY_PARTITIONS]; /* the last stable offset; it never goes back */
};

struct copier_plan {
    struct sim *sim;
    struct copies *copies;
    const char *bootstrap; /* "host:port" */
    int32_t index;
    bool newer; /* a client of transaction.version 2 */
};

/* For sim_start, with a plan as the context: a copier lives until it crashes; a reader ends when
 * all is settled after `stop`. */
void copier_main(struct env *env, void *plan);
void copy_reader_main(struct env *env, void *plan);

#endif
