/* What stands in a partition's folder when its log is opened, with leftovers of interrupted work
 * completed or removed as Kafka's LogLoader does. */
#ifndef JACKDAW_LOG_FOLDER_H
#define JACKDAW_LOG_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/say.h"
#include "os/env.h"

#define FOLDER_FILES_MAX 4194304

struct folder_segment {
    int64_t base_offset;
    uint8_t files; /* FILE_BITs; .log is always among them */
};

struct folder {
    struct folder_segment *segments; /* by base offset */
    int32_t segment_count;
    int64_t *snapshots; /* offsets, ascending */
    int32_t snapshot_count;
    bool exists;
};

/* A missing folder gives an empty answer. BLOCKING. */
int folder_load(struct env *env, const struct say *say, const char *dir, struct folder *ret_folder);
void folder_close(struct folder *folder);

#endif
