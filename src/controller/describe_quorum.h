#ifndef JACKDAW_CONTROLLER_DESCRIBE_QUORUM_H
#define JACKDAW_CONTROLLER_DESCRIBE_QUORUM_H

#include "controller/controller.h"

/* Fill the response to DescribeQuorum in the arena. 0 or -ENOMEM. Home loop. */
int describe_quorum(const struct quorum *quorum, const struct describe_quorum_request *request,
                    struct arena *arena, struct describe_quorum_response *response);

#endif
