/* The broker follows the published image: its partitions, its dynamic configuration. Home loop. */
#ifndef JACKDAW_SERVER_FOLLOW_H
#define JACKDAW_SERVER_FOLLOW_H

#include "server/broker.h"

/* Every partition of the current image that has a replica on this broker, in the arena. Settings
 * are computed under the current configuration. */
int follow_assignments(struct broker *broker, struct arena *arena,
                       struct partition_assignment **ret_items, int32_t *ret_count);

/* Take the dynamic broker configuration of the current image into force. */
void follow_config(struct broker *broker);

/* Be told of every change from now on, beginning with all of the current image. */
void follow_start(struct broker *broker);
void follow_stop(struct broker *broker);

#endif
