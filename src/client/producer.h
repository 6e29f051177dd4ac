/* Producing batches so that each is in the log once and in order, whatever is repeated.
 *
 * The batches of a partition are numbered (KIP-98) and sent in the order in which they were given,
 * at most `inflight_max` of them unanswered. When one has to be repeated, the answers of those
 * behind it are awaited, and all that were not acknowledged are sent again, in order, with the same
 * numbers: the broker knows those that it has. A batch that fails for good leaves a gap in the
 * numbers, so the rest of that partition goes on under a new epoch (KIP-360); batches behind it
 * whose fate is not known fail with it, since under new numbers they might be written twice.
 *
 * Everything belongs to the client's loop. */
#ifndef JACKDAW_CLIENT_PRODUCER_H
#define JACKDAW_CLIENT_PRODUCER_H

#include "client/leader_call.h"
#include "protocol/messages.h"

#define PRODUCER_INFLIGHT_MAX 5 /* as many as brokers keep in mind per producer and partition */

struct producer;
struct producer_partition;

struct producer_settings {
    bool idempotent;
    int16_t acks;                /* -1, 1; 0 only when not idempotent */
    int32_t inflight_max;        /* per partition; 1 … PRODUCER_INFLIGHT_MAX if idempotent */
    int32_t request_timeout_ms;  /* how long a broker may wait for replicas */
    int64_t delivery_timeout_ns; /* from producer_send to the last attempt; 0: for ever */
    int32_t queue_max;           /* batches given and not done */
};

/* Kafka's defaults. */
void producer_settings_init(struct producer_settings *ret_settings);

/* 0, -EINVAL for settings that contradict each other, or -ENOMEM. */
int producer_create(struct client *client, const struct producer_settings *settings,
                    struct producer **ret_producer);

/* After client_close, which ends all that is under way. */
void producer_destroy(struct producer *producer);

/* One batch for one partition, embedded in its owner, who sets the first block. */
struct producer_batch {
    struct str topic; /* must live until done, as `data` */
    int32_t partition;
    uint8_t *data; /* one whole v2 batch; the producer writes its numbers and checksum into it */
    int32_t size;
    /* 0; Kafka's code; or -errno, -ETIMEDOUT for one that could not be delivered in time. */
    void (*done)(struct producer_batch *batch, int result);

    int64_t base_offset; /* after success; -1 when the broker did not say (a duplicate, acks=0) */
    bool maybe_written;  /* after failure: it may be in the log */

    struct list link;
    struct producer_partition *of;
    struct leader_call call;
    int64_t deadline_ns;
    bool numbered, under_way;
    struct produce_request_topic_produce_data topic_data;
    struct produce_request_partition_produce_data partition_data;
    struct produce_request message;
};

/* 0: `done` will be called, never from within. -ENOBUFS: the queue is full; -EINVAL: `data` is no
 * batch; -ECANCELED: the client was closed. */
int producer_send(struct producer *producer, struct producer_batch *batch);

#endif
