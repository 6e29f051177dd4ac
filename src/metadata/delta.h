/* What is different between two images: found by walking only what they do not share. */
#ifndef JACKDAW_METADATA_DELTA_H
#define JACKDAW_METADATA_DELTA_H

#include "base/arena.h"
#include "metadata/image.h"

/* before NULL: added; after NULL: removed; both: changed. */
struct partition_change {
    const struct partition_image *before;
    const struct partition_image *after;
};

/* A topic whose partitions changed, or that came or went (then all its partitions are listed). A
 * topic deleted and made again under its name shows as two, with different ids. By id. */
struct topic_change {
    const struct topic_image *before;
    const struct topic_image *after;
    const struct partition_change *partitions; /* by partition */
    int32_t partition_count;
};

struct broker_change {
    const struct broker_image *before;
    const struct broker_image *after;
};

/* By type, then by name. */
struct config_change {
    int8_t type;
    struct str name;
    const struct config_image *before;
    const struct config_image *after;
};

struct image_delta {
    const struct image *before;
    const struct image *after;
    const struct topic_change *topics;
    int32_t topic_count;
    const struct broker_change *brokers;
    int32_t broker_count;
    const struct config_change *configs;
    int32_t config_count;
    bool features_changed;
};

/* Into the arena. Memory running out aborts (must), as in the fold. */
void image_diff(const struct image *before, const struct image *after, struct arena *arena,
                struct image_delta *ret_delta);

#endif
