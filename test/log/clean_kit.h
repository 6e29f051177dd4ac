/* What the tests of compaction share: batches of records with keys, and a cleaning from end to end.
 */
#ifndef JACKDAW_TEST_LOG_CLEAN_KIT_H
#define JACKDAW_TEST_LOG_CLEAN_KIT_H

#include "log/log_clean.h"
#include "log_kit.h"

#define CLEAN_RECORDS_MAX 8

struct clean_record {
    const char *key;   /* NULL: none */
    const char *value; /* NULL: a tombstone */
    int64_t delta;     /* offset within the batch, where it has gaps; 0: the next */
};

struct clean_batch {
    struct clean_record records[CLEAN_RECORDS_MAX];
    int count;
    int64_t timestamp;
    int64_t producer_id; /* 0: none */
    int16_t producer_epoch;
    int32_t sequence;
    bool transactional;
    bool log_append_time;
    enum compression compression;
    int32_t leader_epoch;
};

/* What a test reads back. Strings are in the kit's arena; NULL for null. */
struct read_record {
    int64_t offset, timestamp;
    const char *key, *value;
    int64_t producer_id;
    bool control, transactional;
};
struct read_log {
    struct read_record *records;
    int count;
    struct batch *batches; /* headers; data is NULL */
    int batch_count;
};

/* A kit whose topic is compacted, in segments of `segment_bytes`, opened. */
void clean_kit_init(struct kit *kit, int32_t segment_bytes);
/* For cmocka, with kit_teardown: the kit is the state, in segments of 1 MiB. */
int clean_setup(void **state);
int clean_append(struct kit *kit, const struct clean_batch *batch);
/* One record and no producer. */
void clean_put(struct kit *kit, const char *key, const char *value);
int clean_marker(struct kit *kit, int64_t producer_id, int16_t epoch, bool commit,
                 int64_t timestamp);
void clean_roll(struct kit *kit); /* close the active segment */

/* The rules of a topic with these defaults of Kafka, but a ratio that everything passes. */
struct log_clean_rules clean_rules(void);

/* Flush, measure, clean with steps of `step_bytes`, and note how far it is clean. 0, also when
 * nothing was due; the error of what failed. */
int clean_all(struct kit *kit, const struct log_clean_rules *rules, int64_t now_ms);
int clean_in_steps(struct kit *kit, const struct log_clean_rules *rules, int64_t now_ms,
                   int64_t step_bytes, void (*between)(void *context), void *context);

/* All records from `from` on, as a consumer that sees everything. */
void clean_read(struct kit *kit, int64_t from, struct read_log *ret_log);

/* "key=value key=value …" of the data records, "~" for a tombstone, in the arena. */
const char *clean_text(struct kit *kit);

#endif
