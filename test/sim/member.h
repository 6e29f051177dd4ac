/* A member of a group as applications are: it joins, works through what it owns, commits, comes and
 * goes. It also does what it must not get away with: it falls silent past its session and goes on
 * as if it were a member, and it commits for generations and members that are gone. */
#ifndef JACKDAW_TEST_SIM_MEMBER_H
#define JACKDAW_TEST_SIM_MEMBER_H

#include "group_history.h"
#include "os/env.h"

#define MEMBER_TOPIC "in"
#define MEMBER_PARTITIONS 6

/* In the test's memory; the first block is set by it. */
struct member_plan {
    struct group_history *history;
    const char *bootstrap, *group;
    const char *instance; /* NULL: dynamic */
    int32_t session_ms, rebalance_ms;
    int16_t join_version;
    bool consumer;        /* the consumer protocol (KIP-848) */
    const char *assignor; /* of it; NULL: the coordinator's choice */
    _Atomic bool calm;    /* no mischief: it stays, works and commits */
    _Atomic bool rest;    /* do nothing at all, as long as this is set */
    _Atomic bool stop;    /* end, without a word; with `calm` it leaves the group */

    /* What it has come to. */
    bool settled; /* it has its assignment, and its last heartbeat was well */
    bool resting;
    bool fenced; /* another has its instance id: it has ended */
    bool gone;   /* it has left the group, and ended */
    int32_t generation;
    uint64_t owned;
    int32_t commits; /* acknowledged, of all its lives */
};

/* For sim_start, with a plan as the context. */
void member_main(struct env *env, void *plan);

#endif
