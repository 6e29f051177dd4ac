/* A life of a copier or of the reader: it makes one call after the other. */
#ifndef JACKDAW_TEST_SIM_COPIER_LIFE_H
#define JACKDAW_TEST_SIM_COPIER_LIFE_H

#include "base/errors.h"
#include "client/core.h"
#include "copier.h"
#include "protocol/messages.h"

#define COPY_TOPIC STR("out")

/* One life of a copier, or of the reader; it does one thing after the other. */
struct copier {
    struct copier_plan *plan;
    struct copies *copies;
    struct say say;
    struct loop loop;
    struct client *client;
    struct client_request request;
    bool done;
    int result;
    struct loop_timer pause;
    bool paused;

    char id[16];
    int64_t producer_id;
    int16_t epoch;
    int32_t sequence[COPY_PARTITIONS];
    int32_t position;
    int64_t next_offset[COPY_PARTITIONS]; /* the reader's */
};

struct copier *life_begin(struct env *env, struct copier_plan *plan);
void life_end(struct copier *copier);

uint64_t dice(struct copier *copier, uint64_t limit);
void rest(struct copier *copier, int64_t ms);

/* The response, valid until the next call; NULL: none came, and nobody knows. */
const void *call(struct copier *copier, int16_t key, int16_t version, const void *message);

/* Whether an error says: come again with the same. */
bool passes(int error);
/* Rest and answer true when it does, and not too often. */
bool wait_for(struct copier *copier, int error, int *tries);
/* Make the call until its error is none that passes; `step` answers an error, or -1: no answer. */
int insist(struct copier *copier, int (*step)(struct copier *copier));

int make_topic(struct copier *copier);

#endif
