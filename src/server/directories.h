/* The node's log directories at start and stop, and what the node says of itself because of them.
 */
#ifndef JACKDAW_SERVER_DIRECTORIES_H
#define JACKDAW_SERVER_DIRECTORIES_H

#include "protocol/api.h"
#include "server/broker.h"

/* Open all of log.dirs; format them first when every one is missing or empty. Sets dirs, cluster_id
 * and directory_id. Refuses a directory without meta.properties (-ENOENT) or with a malformed one
 * (-EBADMSG), one that belongs to another node or cluster (-EINVAL), or that another process uses
 * (-EWOULDBLOCK). One whose device fails is offline, unless it is the metadata's: then its error is
 * the answer. What is wrong is logged. BLOCKING. */
int directories_open(struct broker *broker);
/* Unlock what the partition set has not taken over. */
void directories_close(struct broker *broker);

/* Fill the registration. False when memory runs out. */
bool directories_registration(struct broker *broker, struct arena *arena,
                              struct broker_registration_request *ret_request);

/* Fill the quorum's parameters: files, retention, static voters, the controller's own address. What
 * they point to is in the arena or the configuration. -ENOMEM. */
int directories_quorum(struct broker *broker, struct arena *arena,
                       struct quorum_params *ret_params);

#endif
