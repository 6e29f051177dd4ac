/* A naive model of a compacted topic: everything that was ever appended, record by record. What a
 * log must show after any cleanings follows from it by brute force. */
#ifndef JACKDAW_TEST_LOG_CLEAN_MODEL_H
#define JACKDAW_TEST_LOG_CLEAN_MODEL_H

#include "clean_kit.h"

#define MODEL_RECORDS_MAX 6000
#define MODEL_KEYS 12
#define MODEL_PRODUCERS 5 /* 1 and 2 idempotent, 3 to 5 transactional */

enum model_fate { FATE_PLAIN, FATE_OPEN, FATE_COMMITTED, FATE_ABORTED };

struct model_record {
    int64_t offset, timestamp;
    int key;   /* -1: none */
    int value; /* -1: a tombstone */
    int producer;
    enum model_fate fate;
    int64_t marker;           /* offset of its transaction's; -1: none yet */
    int64_t first_cleaned_ms; /* the first cleaning that covered it; -1: none */
};

struct model {
    struct model_record records[MODEL_RECORDS_MAX];
    int count;
    int32_t next_sequence[MODEL_PRODUCERS + 1];
    int16_t epoch[MODEL_PRODUCERS + 1];
    bool open[MODEL_PRODUCERS + 1];
    uint64_t random;
    int next_value;
};

void model_init(struct model *model, uint64_t seed);
uint32_t model_random(struct model *model, uint32_t below);

/* Append a random batch or marker and note it; the result of the append. */
int model_append(struct model *model, struct kit *kit);

/* Forget what lies at or above the offset: a crash took it. */
void model_cut(struct model *model, int64_t end);

/* Note a cleaning that ended at log_cleaned_to. */
void model_cleaned(struct model *model, const struct kit *kit, int64_t now_ms);

/* The log shows a committed reader the same last value of every key as the model does; every record
 * is one that was appended; what was not cleaned is all there; what was cleaned holds each key once
 * and nothing aborted; and no tombstone went before its time. */
void model_check(const struct model *model, struct kit *kit, int64_t now_ms,
                 int64_t delete_retention_ms);
/* The first of these alone: what must hold between the swaps of a cleaning, too. */
void model_check_values(const struct model *model, struct kit *kit);

#endif
