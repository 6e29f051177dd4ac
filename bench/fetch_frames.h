/* Fetch in version 11, as the modes of `load` ask it and read its answers. */
#ifndef JACKDAW_BENCH_FETCH_FRAMES_H
#define JACKDAW_BENCH_FETCH_FRAMES_H

#include "wire.h"

#define FETCH_WAIT_MS 500

/* {0, -1}: there is no session, and none is wanted. {0, 0} asks for one. */
struct fetch_session {
    int32_t id, epoch;
};

/* A request's body: its begin, as many partitions as that said, its end. With `partitions` 0 the
 * session knows the rest, and no topic is named. Limits are those of Kafka's consumer. */
void fetch_write_begin(struct writer *out, struct fetch_session session, const char *topic,
                       int partitions);
void fetch_write_partition(struct writer *out, int partition, int64_t offset);
void fetch_write_end(struct writer *out);

/* What an answer says of a partition. `data` is NULL if it cannot be read. */
struct fetched {
    int32_t partition;
    int error;
    const uint8_t *data;
    int32_t size;
};
/* How many partitions of its one topic are next in the answer. */
int32_t fetched_begin(struct reader *body);
struct fetched fetched_read(struct reader *body);

/* As much of a batch as a reader needs that looks at headers only. */
struct fetched_batch {
    int64_t last_offset;
    int32_t records;
    int32_t bytes;
};
/* The batch at `at`; false where no whole one is left: the last may be cut off. */
bool fetched_batch(const struct fetched *fetched, int32_t at, struct fetched_batch *ret_batch);

#endif
