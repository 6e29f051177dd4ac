/* What the tests of a log share: a log on a RAM disk, batches to append, and reading back. */
#ifndef JACKDAW_TEST_LOG_LOG_KIT_H
#define JACKDAW_TEST_LOG_LOG_KIT_H

#include "log/log.h"
#include "ram_disk.h"

#define KIT_DIR "/data/t-0"

struct kit {
    struct ram_disk *disk;
    struct env *env;
    struct say say;
    struct file_cache *files;
    struct log *log;
    struct arena arena;
    struct log_settings settings;
    struct log_open_report report;
    struct log_append_result result; /* of the last append */
    struct uuid topic_id;
    bool gaps_stand;
    int64_t recovery_point, log_start_offset; /* handed to the next open */
    bool clean;
};

/* A batch to be built. Zeros mean: one record of 10 bytes, no producer. */
struct kit_batch {
    int records;
    int value_size;
    int64_t timestamp;   /* of the first record; the others count up */
    int64_t producer_id; /* 0: none */
    int16_t producer_epoch;
    int32_t sequence;
    bool transactional;
    int marker; /* 0: data, 1: commit, 2: abort */
    int32_t coordinator_epoch;
    int16_t transaction_version;
    int64_t base_offset; /* as replicated */
    int32_t leader_epoch;
    enum compression compression;
    bool verify; /* as log_append_params */
    int64_t verification;
};

void kit_init(struct kit *kit);
void kit_close(struct kit *kit);
/* For cmocka: the kit is the state, from malloc. */
int kit_teardown(void **state);

/* Open (again) with what kit says; the result. */
int kit_open(struct kit *kit);
void kit_drop(struct kit *kit);       /* log_destroy and a new file cache: a process crash */
void kit_stop_clean(struct kit *kit); /* log_close_clean, then drop; the next open is clean */

/* The bytes of one batch, to be freed. */
uint8_t *kit_build(const struct kit_batch *batch, size_t *ret_size);
int kit_append_as(struct kit *kit, const struct kit_batch *batch, enum log_origin origin);
int kit_append(struct kit *kit,
               const struct kit_batch *batch); /* CLIENT; COORDINATOR for markers */
/* Append `count` batches of one record. */
void kit_fill(struct kit *kit, int count, int value_size);

/* Read from `from` to the log end as a follower would, checking every batch; the offset reached. */
int64_t kit_read_all(struct kit *kit, int64_t from, int32_t max_bytes, int64_t *ret_bytes);
/* Everything the log holds below its end: a checksum of the batches and their count. */
uint32_t kit_checksum(struct kit *kit, int64_t from, int64_t to, int *ret_batches);

#endif
