/* Topics in which coordinators keep their records. */
#ifndef JACKDAW_METADATA_TOPIC_NAMES_H
#define JACKDAW_METADATA_TOPIC_NAMES_H

#include <stdbool.h>

#include "base/bytes.h"

#define GROUP_TOPIC "__consumer_offsets"
#define TRANSACTION_TOPIC "__transaction_state"
#define SHARE_TOPIC "__share_group_state"

/* One of these three: what clients are told, and kept from writing. */
bool topic_is_internal(struct str name);

#endif
