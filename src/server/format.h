/* Formatting the directories of a new node, as Kafka's storage tool does it with --standalone. */
#ifndef JACKDAW_SERVER_FORMAT_H
#define JACKDAW_SERVER_FORMAT_H

#include "base/say.h"
#include "base/uuid.h"
#include "metadata/config_keys_broker.h"
#include "os/env.h"

/* A new id from the env's randomness. */
struct uuid format_random_uuid(struct env *env);

/* Format every directory of log.dirs that is not yet, see controller/format.h. Logged. 0 or -errno.
 * BLOCKING. */
int format_directories(struct env *env, const struct say *say, const struct broker_config *config,
                       const char *cluster_id);

#endif
