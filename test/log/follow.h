/* Reading a log back as a follower does. */
#ifndef JACKDAW_TEST_LOG_FOLLOW_H
#define JACKDAW_TEST_LOG_FOLLOW_H

#include "log/log.h"
#include "record/batch.h"

/* Calls `each` for every batch below `bound`, beginning with the one that holds `from`, or with the
 * first behind it. The log is read in pieces of at most `max_bytes` or one batch, each going on
 * where the last one ended. Fails the test if a read fails, a checksum is wrong or a batch ends
 * before the last one did. Returns the offset after the last batch, or `from`. */
int64_t follow_log(struct env *env, struct log *log, int64_t from, struct log_position bound,
                   int32_t max_bytes, void (*each)(void *context, const struct batch *batch),
                   void *context);

#endif
