/* The beginning of a metadata log: DIR/__cluster_metadata-0 with the bootstrap snapshot 0-0, as
 * kafka-storage makes it. */
#ifndef JACKDAW_QUORUM_FORMAT_H
#define JACKDAW_QUORUM_FORMAT_H

#include "quorum/quorum.h"

/* Write it, durably. `voters` of kraft.version 1 go into the snapshot, with kraft.version 0 they
 * are left to the configuration; `values` are encoded metadata records. An older bootstrap snapshot
 * is replaced. BLOCKING. */
int quorum_format(struct env *env, const char *dir, struct quorum_voters voters,
                  const struct bytes *values, int32_t count);

/* Whether DIR/__cluster_metadata-0 holds anything to start from. BLOCKING. */
int quorum_is_formatted(struct env *env, const char *dir, bool *ret_formatted);

#endif
