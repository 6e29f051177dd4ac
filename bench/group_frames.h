/* Frames of groups, offsets and transactions, written by hand like those of wire.h, in the versions
 * that Java's clients of Kafka 4 speak; all are flexible. Topics are named, not numbered. */
#ifndef JACKDAW_BENCH_GROUP_FRAMES_H
#define JACKDAW_BENCH_GROUP_FRAMES_H

#include "agents.h"
#include "wire.h"

enum group_key {
    WIRE_OFFSET_COMMIT = 8,
    WIRE_OFFSET_FETCH = 9,
    WIRE_FIND_COORDINATOR = 10,
    WIRE_JOIN_GROUP = 11,
    WIRE_HEARTBEAT = 12,
    WIRE_LEAVE_GROUP = 13,
    WIRE_SYNC_GROUP = 14,
};

enum group_version {
    WIRE_OFFSET_COMMIT_VERSION = 9,
    WIRE_OFFSET_FETCH_VERSION = 9,
    WIRE_FIND_COORDINATOR_VERSION = 4,
    WIRE_JOIN_GROUP_VERSION = 9,
    WIRE_HEARTBEAT_VERSION = 4,
    WIRE_LEAVE_GROUP_VERSION = 5,
    WIRE_SYNC_GROUP_VERSION = 5,
};

/* Kafka's errors that the load reckons with. */
enum group_error {
    COORDINATOR_LOAD_IN_PROGRESS = 14,
    COORDINATOR_NOT_AVAILABLE = 15,
    NOT_COORDINATOR = 16,
    ILLEGAL_GENERATION = 22,
    UNKNOWN_MEMBER_ID = 25,
    REBALANCE_IN_PROGRESS = 27,
    CONCURRENT_TRANSACTIONS = 51,
    MEMBER_ID_REQUIRED = 79,
};

enum coordinator_type { OF_GROUPS = 0, OF_TRANSACTIONS = 1 };

/* Such an error means: not yet, ask again. */
static inline bool coordinator_comes(int error)
{
    return error >= COORDINATOR_LOAD_IN_PROGRESS && error <= NOT_COORDINATOR;
}

/* Until the coordinator of this key is known; makes the internal topic where there is none. Ends
 * the program after a minute. */
void await_coordinator(const struct sockaddr_in *address, enum coordinator_type type,
                       const char *key);

/* A compact string or bytes: where it is and its size; NULL and 0 for null. */
const uint8_t *read_compact(struct reader *reader, int32_t *ret_size);

/* The partition of an internal topic of `count` partitions for this ASCII id, as Java hashes. */
int32_t offsets_partition(const char *id, int32_t count);

/* Offsets of partitions 0 … partitions - 1 (or of that one alone with partition >= 0). Without a
 * member it is -1 and "". */
struct commit_spec {
    const char *group;
    int32_t generation;
    const char *member;
    const char *topic;
    int32_t partition;
    int32_t partitions;
    int64_t offset;
};
void write_commit(struct writer *out, const struct commit_spec *spec);
/* The first error in the answer, or -EBADMSG. */
int commit_answer(struct reader *body);

/* OffsetFetch of one partition; the answer is Kafka's error or -EBADMSG. */
void write_offset_fetch(struct writer *out, const char *group, const char *topic,
                        int32_t partition);
int offset_fetch_answer(struct reader *body, int64_t *ret_offset);

#endif
