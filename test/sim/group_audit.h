/* What a coordinator says of its groups, as text: to be compared before and after a restart. */
#ifndef JACKDAW_TEST_SIM_GROUP_AUDIT_H
#define JACKDAW_TEST_SIM_GROUP_AUDIT_H

#include "os/env.h"

#define GROUP_AUDIT_BYTES (64 << 10)
#define GROUP_AUDIT_GROUPS 2

/* In the test's memory. */
struct group_audit {
    const char *bootstrap, *topic;
    int32_t partition_count;
    const char *groups[GROUP_AUDIT_GROUPS];
    bool consumer[GROUP_AUDIT_GROUPS]; /* groups of the consumer protocol */
    int32_t group_count;
    bool stop; /* give up */
    bool done;
    char text[GROUP_AUDIT_BYTES];
};

/* For sim_start, with an audit as the context; it ends. Everything is asked until it is answered.
 */
void group_audit_main(struct env *env, void *audit);

#endif
