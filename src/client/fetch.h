/* Reading one partition: offsets by timestamp, and batches from an offset on.
 *
 * Both repeat until they succeed, fail for good, or their time is over. Everything belongs to the
 * client's loop. A fetch may wait at the broker, and everything behind it on that connection with
 * it: producers use another client. */
#ifndef JACKDAW_CLIENT_FETCH_H
#define JACKDAW_CLIENT_FETCH_H

#include "client/leader_call.h"
#include "protocol/messages.h"

/* Special timestamps of ListOffsets. */
#define OFFSETS_LATEST (-1)
#define OFFSETS_EARLIEST (-2)

/* Embedded in its owner, who sets the first block. */
struct partition_fetch {
    struct str topic; /* must live until done */
    int32_t partition;
    int64_t offset;
    int32_t max_bytes, min_bytes, max_wait_ms;
    int8_t isolation_level; /* 0: read uncommitted, 1: committed */
    int64_t timeout_ns;     /* for all attempts together; 0: the client's request timeout */
    /* 0; Kafka's code (OFFSET_OUT_OF_RANGE says where the log begins and ends); or -errno. */
    void (*done)(struct partition_fetch *fetch, int result);

    /* Until partition_fetch_release: whole batches, the last one perhaps cut off, the first one
     * perhaps beginning before `offset`. */
    struct bytes records;
    int64_t high_watermark, last_stable_offset, log_start_offset;

    struct leader_call call;
    int64_t deadline_ns;
    int attempts;
    struct fetch_request message;
    struct fetch_request_topic message_topic;
    struct fetch_request_partition message_partition;
};

void partition_fetch_start(struct client *client, struct partition_fetch *fetch);
void partition_fetch_release(struct partition_fetch *fetch);

/* As above. */
struct offset_search {
    struct str topic;
    int32_t partition;
    int64_t timestamp; /* the first offset whose timestamp is not older, or OFFSETS_… */
    int8_t isolation_level;
    int64_t timeout_ns;
    void (*done)(struct offset_search *search, int result);

    int64_t offset; /* -1: none is */
    int64_t found_timestamp;
    int32_t leader_epoch;

    struct leader_call call;
    int64_t deadline_ns;
    int attempts;
    struct list_offsets_request message;
    struct list_offsets_request_topic message_topic;
    struct list_offsets_request_partition message_partition;
};

void offset_search_start(struct client *client, struct offset_search *search);

#endif
