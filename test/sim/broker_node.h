/* A node that runs a broker, and its lives: begun, stopped in order, begun again. */
#ifndef JACKDAW_TEST_SIM_BROKER_NODE_H
#define JACKDAW_TEST_SIM_BROKER_NODE_H

#include "sim/sim.h"

#define BROKER_NODE_LIMIT_NS (300 * INT64_C(1000000000))

/* In the test's memory. */
struct broker_node {
    struct sim *sim;
    struct sim_node *node;
    const char *const *overrides; /* "key=value" beside those that every node has; may be NULL */
    int32_t override_count;
    bool stop;  /* the process is asked to end */
    bool power; /* it dies by loss of power */
    bool serves;
};

/* A new life; it listens on port 9092 of its node. */
void broker_node_begin(struct broker_node *node);
/* Wait until it serves, or has crashed. */
void broker_node_await(struct broker_node *node);
/* Stop in order and start again on what is there. */
void broker_node_stop_and_start(struct broker_node *node);

#endif
