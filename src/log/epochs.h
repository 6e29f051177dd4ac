/* Leader epochs of one partition: which epoch began at which offset. In memory and, in Kafka's
 * format, in the file leader-epoch-checkpoint. Source: KIP-101, KIP-279 and LeaderEpochFileCache.
 *
 * Entries grow in both columns. No locks here. */
#ifndef JACKDAW_LOG_EPOCHS_H
#define JACKDAW_LOG_EPOCHS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/env.h"

#define EPOCHS_MAX 65536 /* in a file that is read */
#define EPOCHS_FILE "leader-epoch-checkpoint"

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epochs {
    struct epoch_entry *items;
    int32_t count, capacity;
};

void epochs_close(struct epochs *epochs);
int epochs_copy(const struct epochs *epochs, struct epochs *ret_copy);

/* Make room for `more` entries, so that epochs_assign cannot fail. -ENOMEM. */
int epochs_reserve(struct epochs *epochs, int32_t more);

/* Note that `epoch` starts at `offset`. Entries that contradict it (a later epoch or start) are
 * dropped. Returns whether anything changed. Needs epochs_reserve. */
bool epochs_assign(struct epochs *epochs, int32_t epoch, int64_t offset);

/* Drop what starts at or above `offset`; whether anything changed. */
bool epochs_truncate_end(struct epochs *epochs, int64_t offset);
/* The log now starts at `offset`: drop what ended before and begin there. */
bool epochs_truncate_start(struct epochs *epochs, int64_t offset);
bool epochs_clear(struct epochs *epochs);

int32_t epochs_latest(const struct epochs *epochs); /* -1: none */
int32_t epochs_at(const struct epochs *epochs, int64_t offset);
/* As log_epoch_end. */
void epochs_end(const struct epochs *epochs, int32_t epoch, int64_t log_end, int32_t *ret_epoch,
                int64_t *ret_end_offset);

/* DIR/leader-epoch-checkpoint. Reading: 0; -ENOENT; -EBADMSG malformed or not growing; writing is
 * unsynced. */
int epochs_read(struct env *env, const char *dir, struct epochs *ret_epochs);
int epochs_write(const struct epochs *epochs, struct env *env, const char *dir);

#endif
