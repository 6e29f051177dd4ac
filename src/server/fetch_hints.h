/* Where the last reads of a connection ended, for consumers that fetch without a session: the next
 * read starts there, and a sequential reader never searches an index. */
#ifndef JACKDAW_SERVER_FETCH_HINTS_H
#define JACKDAW_SERVER_FETCH_HINTS_H

#include "base/uuid.h"
#include "log/log.h"

enum { FETCH_HINTS_MAX = 64 }; /* partitions remembered by a connection */

struct fetch_hints;

/* The hint for reading this partition at `offset`, or NULL. `hints` may be NULL. */
const struct log_position *fetch_hints_find(const struct fetch_hints *hints, struct uuid topic_id,
                                            int32_t partition, int64_t offset);
/* Remember; creates *hints at first. Quietly forgets when memory runs out. */
void fetch_hints_note(struct fetch_hints **hints, struct uuid topic_id, int32_t partition,
                      struct log_position next);
void fetch_hints_free(struct fetch_hints *hints);

#endif
