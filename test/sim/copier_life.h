/* A life of a copier or of the reader: it makes one call after the other. */
#ifndef JACKDAW_TEST_SIM_COPIER_LIFE_H
#define JACKDAW_TEST_SIM_COPIER_LIFE_H

#include "base/errors.h"
#include "copier.h"
#include "membership.h"
#include "protocol/messages.h"

#define COPY_TOPIC STR("out")
#define COPY_INPUT STR("in") /* only positions in it matter */
#define COPY_JOIN_MS 30000
#define COPY_SESSION_MS 2000
#define COPY_SENDS_MAX 4 /* of one record, without an answer */

/* One life of a copier, or of the reader; it does one thing after the other. */
struct copier {
    struct life life;
    struct copier_plan *plan;
    struct copies *copies;
    const char *group;
    struct membership place; /* without a group it owns its share, of no generation */
    char id[16];
    int64_t producer_id;
    int16_t epoch;
    int32_t sequence[COPY_PARTITIONS];
    int32_t position[COPY_SHARES];
    int32_t share;                        /* of which the position is being read */
    int64_t next_offset[COPY_PARTITIONS]; /* the reader's */
};

struct copier *copier_begin(struct env *env, struct copier_plan *plan);
void copier_end(struct copier *copier);

uint64_t dice(struct copier *copier, uint64_t limit);

/* The response, valid until the next call; NULL: none came, and nobody knows. */
const void *call(struct copier *copier, int16_t key, int16_t version, const void *message);

/* Make the call until its error is none that passes; `step` answers an error, or -1: no answer. */
int insist(struct copier *copier, int (*step)(struct copier *copier));

/* Each answers an error, or -1: no answer. */

int make_topics(struct copier *copier);
int find_group(struct copier *copier);
int find_transaction(struct copier *copier);
int init_producer(struct copier *copier);
int fetch_position(struct copier *copier, int32_t share, int64_t *ret_offset);
int add_partition(struct copier *copier, int32_t partition);
int add_group(struct copier *copier);
int send_record(struct copier *copier, int16_t epoch, int32_t partition, int32_t share,
                int32_t input, int32_t attempt);
/* Negative positions are not part of it; generation -1: of nobody's. */
int commit_positions(struct copier *copier, int16_t epoch, const int32_t positions[COPY_SHARES],
                     int32_t generation);
/* With 0: the id and epoch that the next transaction has, if it has others. */
int end_transaction(struct copier *copier, int16_t epoch, bool commit, int64_t *ret_id,
                    int16_t *ret_epoch);
/* 0 when the markers of the last transaction are written. */
int look_for_end(struct copier *copier);

#endif
