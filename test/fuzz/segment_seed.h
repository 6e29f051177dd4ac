/* A sound partition folder for the fuzzers of recovery to spoil, and what must hold afterwards. */
#ifndef JACKDAW_TEST_FUZZ_SEGMENT_SEED_H
#define JACKDAW_TEST_FUZZ_SEGMENT_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "../log/ram_disk.h"
#include "log/log.h"

#define SEGMENT_FUZZ_DIR "/t-0"
#define SEGMENT_FUZZ_FILES_MAX 64

struct segment_seed {
    struct ram_disk *disk;               /* closed cleanly; clone it */
    char *paths[SEGMENT_FUZZ_FILES_MAX]; /* of the folder's files */
    int count;
    int64_t end_offset;
};

/* Made at the first call; three segments with idempotent and transactional batches. */
const struct segment_seed *segment_seed(void);

/* Change bytes of a file as a script says: triples of offset (two bytes) and value; stops after
 * the script or 64 changes. */
void segment_spoil(struct ram_disk *disk, const char *path, const uint8_t *script, size_t size);

/* Make every batch's checksum in a .log file right again, as far as the batches hang together. */
void segment_repair(struct ram_disk *disk, const char *path);

/* Open the folder, read all that can be read, write on, stop cleanly, open again. Aborts when
 * something does not hold. `checked`: nothing was trusted, so everything must be readable. */
void segment_try(struct ram_disk *disk, bool clean, int64_t recovery_point);

#endif
