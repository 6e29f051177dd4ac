/* One life of a client, which makes one call after the other: a straight line of code on a loop of
 * its own, in a simulated world or a real one. */
#ifndef JACKDAW_TEST_SIM_LIFE_H
#define JACKDAW_TEST_SIM_LIFE_H

#include "client/core.h"

#define LIFE_TRIES_MAX 200

/* Embedded in its owner. */
struct life {
    struct say say;
    struct loop loop;
    struct client *client;
    struct client_request request;
    bool done;
    int result; /* of the last call: 0 or -errno */
    struct loop_timer pause;
    bool paused;
};

void life_begin(struct life *life, struct env *env, const char *bootstrap,
                int64_t request_timeout_ns);
void life_end(struct life *life);

/* Below `limit`, from the env's randomness. */
uint64_t life_dice(struct life *life, uint64_t limit);
void life_rest(struct life *life, int64_t ms);

/* The response, valid until the next call; NULL: none came, and nobody knows. `timeout_ns` 0: the
 * client's. */
const void *life_call(struct life *life, int16_t key, int16_t version, const void *message,
                      int64_t timeout_ns);

/* Whether an error says: come again with the same. */
bool life_passes(int error);
/* Rest and answer true when it does, and not too often. */
bool life_wait_for(struct life *life, int error, int *tries);

/* 0 once the topic is there. */
int life_make_topic(struct life *life, struct str name, int32_t partitions);
/* What FindCoordinator says of the key. */
int life_find(struct life *life, struct str key, int8_t type);

#endif
