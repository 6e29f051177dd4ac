/* Copies in transactions: takes the next inputs (numbers) of its shares, writes each to a topic and
 * commits the positions in the same transaction, or aborts it; and a reader of committed records
 * that counts.
 *
 * The copies stand apart from the code under test: they know values and positions. Whatever must
 * not be ends the program with a line that says what it was. */
#ifndef JACKDAW_TEST_SIM_COPIER_H
#define JACKDAW_TEST_SIM_COPIER_H

#include "group_history.h"
#include "sim/sim.h"

#define COPIERS 2
#define COPY_SHARES 3 /* partitions of the input */
#define COPY_PARTITIONS 2
#define COPY_OPEN_MAX 64
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
    int32_t first[COPY_SHARES], count[COPY_SHARES]; /* inputs of each share */
};

/* In the test's memory. */
struct copies {
    struct attempt attempts[COPY_ATTEMPTS_MAX];
    int32_t attempt_count;
    int32_t position[COPY_SHARES]; /* every input below is committed */
    int32_t changes[COPY_SHARES];  /* a commit was asked for, or seen */
    int32_t open[COPY_OPEN_MAX];   /* attempts whose commit was asked for, and nobody knows */
    int32_t open_count;
    int8_t seen[COPY_SHARES][COPY_INPUTS_MAX];
    int32_t seen_count;
    int32_t commits;
    bool stop;                           /* begin no transaction more */
    bool ended[COPIERS];                 /* it has stopped, with no transaction open */
    bool idle[COPIERS];                  /* and knows where */
    bool settled[COPY_PARTITIONS];       /* read up to the end, and nothing is open */
    int64_t stable_end[COPY_PARTITIONS]; /* the last stable offset; it never goes back */
};

struct copier_plan {
    struct sim *sim;
    struct sim_node *node;
    struct copies *copies;
    struct group_history *history;
    const char *bootstrap; /* "host:port" */
    int32_t index;
    bool newer;   /* a client of transaction.version 2 */
    bool grouped; /* shares are given by a group of the classic protocol; else its index is its own
                   */
    int32_t calls_left; /* until it dies, before the last call or after it; 0: it does not */
    bool die_after_answer;
};

/* For sim_start, with a plan as the context: a copier lives until it crashes; a reader ends when
 * all is settled after `stop`. */
void copier_main(struct env *env, void *plan);
void copy_reader_main(struct env *env, void *plan);

#endif
