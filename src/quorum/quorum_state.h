/* The file quorum-state: the newest epoch this node took part in, its leader and its vote. It is
 * JSON in two versions: 0 with static voters, 1 once kraft.version is 1. Source: KIP-595, KIP-853.
 */
#ifndef JACKDAW_QUORUM_QUORUM_STATE_H
#define JACKDAW_QUORUM_QUORUM_STATE_H

#include "quorum/quorum.h"

#define QUORUM_STATE_FILE "quorum-state"

enum { QUORUM_STATE_MAX_BYTES = 64 * 1024 };

struct quorum_state {
    int32_t leader_id; /* -1: unknown */
    int32_t leader_epoch;
    int32_t voted_id; /* -1: none */
    struct uuid voted_directory_id;
};

/* Read DIR/quorum-state. -ENOENT; -EBADMSG malformed; -ENOTSUP a newer version. BLOCKING. */
int quorum_state_read(struct env *env, const char *dir, struct quorum_state *ret_state);

/* The same from its text. */
int quorum_state_parse(const char *text, size_t size, struct quorum_state *ret_state);

/* Replace it, durably. BLOCKING. */
int quorum_state_write(struct env *env, const char *dir, const struct quorum_state *state,
                       struct quorum_voters voters);

#endif
