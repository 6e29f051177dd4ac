/* What users did and saw, and what must hold of it. It stands apart from the code under test: it
 * knows values, partitions and offsets, nothing of protocols.
 *
 * A value is written once by one writer; writers are lives of producers, each in order per
 * partition. The history is the test's memory: no crash of a node takes it. Whatever must not be
 * ends the program with a line that says what it was. */
#ifndef JACKDAW_TEST_SIM_HISTORY_H
#define JACKDAW_TEST_SIM_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_PARTITIONS 3
#define HISTORY_VALUES_MAX 40000
#define HISTORY_OFFSETS_MAX 40000

struct history_value {
    int32_t writer;
    int32_t partition;
    int32_t place;           /* in what this writer gave to this partition: 0, 1, 2 … */
    int64_t acknowledged_at; /* offset; -1: not acknowledged; -2: acknowledged without an offset */
    int64_t seen_at;         /* offset; -1: never, or not since it was lost */
    bool may_be_lost;        /* it was acknowledged before a loss of power */
};

struct history {
    bool durable; /* what is acknowledged was synced before: no loss of power may take it */
    struct history_value values[HISTORY_VALUES_MAX];
    int32_t value_count;
    int32_t writer_count;
    int32_t seen[HISTORY_PARTITIONS][HISTORY_OFFSETS_MAX];  /* value + 1 by offset; 0: none */
    bool doubtful[HISTORY_PARTITIONS][HISTORY_OFFSETS_MAX]; /* seen before the last loss of power */
    int32_t losses;                                         /* of power */
    int32_t acknowledged;                                   /* values, in all */
    int32_t read;                                           /* records, repeated ones included */
};

struct history *history_create(void);
void history_destroy(struct history *history);

/* A new writer, which has given nothing yet. */
struct history_writer {
    struct history *history;
    int32_t id;
    int32_t places[HISTORY_PARTITIONS];
};
void history_writer_begin(struct history *history, struct history_writer *ret_writer);

/* The next value that this writer sends to this partition. */
int32_t history_give(struct history_writer *writer, int32_t partition);

/* The value was acknowledged; offset -1: without saying where. */
void history_acknowledge(struct history *history, int32_t value, int64_t offset);

/* A reader got the value at this offset: it is known, of this partition, at this offset only, and
 * nothing else ever was there. */
void history_read(struct history *history, int32_t partition, int64_t offset, int64_t value);

/* The broker's machine lost power: of each partition a part from some offset on may be gone,
 * whatever was acknowledged; in a durable history only what was not. What was there before that
 * offset must be there still. To be called when no answer of before can arrive any more. */
void history_lose_power(struct history *history);

/* The partition was read as a whole, [0, end): no offset is missing, every acknowledged value is
 * there, and each writer's values stand in order without a gap, but for what may be lost. */
void history_check_partition(const struct history *history, int32_t partition, int64_t end_offset);

_Noreturn void history_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
