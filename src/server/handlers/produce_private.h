/* What the files of Produce share. */
#ifndef JACKDAW_SERVER_PRODUCE_PRIVATE_H
#define JACKDAW_SERVER_PRODUCE_PRIVATE_H

#include "server/request.h"

enum produce_stage { PRODUCE_VALIDATE, PRODUCE_VERIFY, PRODUCE_APPEND, PRODUCE_AWAIT };

struct produce_verify;

struct produce_part {
    struct request *request;
    struct partition *partition; /* a reference; NULL when unknown */
    struct str topic;            /* in the arena or the partition */
    struct uuid topic_id;
    int32_t index;
    struct bytes records;
    struct validate_rules rules; /* as the settings were when validation began */
    struct validated validated;
    struct validate_failure failure;
    bool valid; /* `validated` is to be closed */
    int error;
    bool transactional;
    bool verify; /* append with `verification`, see partition_append_verified */
    int64_t verification;
    int64_t log_start; /* told beside some errors; -1: not */
    const char *message;
    int32_t leader_epoch; /* it was appended under */
    struct log_append_result appended;
    struct park_waiter park;
    bool must_sync;       /* flush.messages: not acknowledged before it is on the device */
    struct waiter waiter; /* on the high watermark */
    struct waiter sync_waiter;
};

struct produce_work {
    enum produce_stage stage;
    int16_t acks;
    int32_t part_count;
    int32_t part_at; /* of the stage under way */
    struct produce_part *parts;
    struct request *request;
    struct pool_job job; /* validation that takes real CPU time, an append to a slow disk */
    bool validating, appending;
    struct produce_verify *verify; /* NULL: nothing is transactional */
};

/* Ask the transaction's coordinator about the partitions that have no transaction of this producer
 * open (KIP-890): verified, or with clients of transactions version 2 added. True when that is
 * done: parts it said no to have their error. produce_verify.c */
bool produce_verify(struct request *request, struct produce_work *work);

#endif
