/* A node in the test's own process, on a directory of its own and a port that the system picks, and
 * a client of bare blocking sockets, with which a test can send whatever it wants.
 *
 * Every step that can fail fails the test. Reading gives up after FIXTURE_PATIENCE_S seconds. */
#ifndef JACKDAW_TEST_SERVER_BROKER_FIXTURE_H
#define JACKDAW_TEST_SERVER_BROKER_FIXTURE_H

#include "base/arena.h"
#include "protocol/api.h"
#include "protocol/messages.h"
#include "server/broker.h"

enum { FIXTURE_PATIENCE_S = 60 };

struct broker_fixture {
    struct env *env;
    struct say say;
    struct broker *broker;
    char dir[64];
    char address[NET_ADDRESS_TEXT_SIZE];
    uint16_t port;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ready, stopped; /* lock */
    int result;          /* lock */
    bool fenced;         /* when it stopped: its registration in the metadata */
    char log[64 * 1024]; /* lock; the last lines it said, each with its newline */
    size_t log_size;
    const char *const *overrides;
    bool two_dirs; /* log.dirs is DIR/data,DIR/more; the metadata lies in the first */
    void (*prepare)(struct env *env);
};

/* Start a node with these "key=value" (NULL-terminated, may be NULL; must stay valid), and wait
 * until it serves. */
struct broker_fixture *broker_fixture_create(const char *const *overrides);
/* The same; `prepare` may change what the env's calls do, before anybody makes one. */
struct broker_fixture *broker_fixture_create_on(const char *const *overrides,
                                                void (*prepare)(struct env *env));

/* The same with two log directories. */
struct broker_fixture *broker_fixture_create_two_dirs(const char *const *overrides,
                                                      void (*prepare)(struct env *env));

/* Stop it in order; the result it stopped with. */
int broker_fixture_stop(struct broker_fixture *fixture);
/* On the same directory; with 0 the node is expected to come to serve. Returns the result. */
int broker_fixture_start(struct broker_fixture *fixture);

/* Wait until it has stopped by itself. */
void broker_fixture_wait_stopped(struct broker_fixture *fixture);

/* Stop it (0 is expected) if it runs, remove the directory. */
void broker_fixture_destroy(struct broker_fixture *fixture);

/* Whether a line with this text was said. */
bool broker_fixture_said(struct broker_fixture *fixture, const char *text);

/* ---- a client ---- */

int peer_connect(struct broker_fixture *fixture); /* the socket */
void peer_close(int peer);

/* All of it; false when the node closed the connection. */
bool peer_send(int peer, const void *data, size_t size);
/* One answer without its size, from malloc; NULL when the node closed the connection. */
uint8_t *peer_receive(int peer, size_t *ret_size);
/* Whether something of an answer is there, or the end of the connection. */
bool peer_has_answer(int peer);
/* Whether the node closed the connection; nothing else may come. */
bool peer_is_closed(int peer);

/* A whole frame for a request: size, header with this correlation id, body. */
void request_frame(struct writer *out, int16_t api_key, int16_t version, int32_t correlation_id,
                   const void *request);
/* Send a request without waiting. */
void peer_ask(int peer, int16_t api_key, int16_t version, int32_t correlation_id,
              const void *request);
/* The next answer, which must be that of `correlation_id`. Strings of the response point into the
 * arena. */
void peer_answer(int peer, struct arena *arena, int16_t api_key, int16_t version,
                 int32_t correlation_id, void *ret_response);
/* Both. */
void peer_call(int peer, struct arena *arena, int16_t api_key, int16_t version, const void *request,
               void *ret_response);

/* ---- what most tests need ---- */

void peer_create_topic(int peer, const char *name, int32_t partitions);
void peer_delete_topic(int peer, const char *name);

/* One batch of `count` records "FIRST + i" with these producer fields (id -1: none). */
struct fixture_batch {
    int32_t count, first;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
};
struct bytes fixture_batch_make(struct arena *arena, const struct fixture_batch *batch);
struct bytes fixture_plain_batch(struct arena *arena, int32_t count); /* without a producer */

/* A Produce request of one batch to one partition, in the arena. */
const struct produce_request *produce_of(struct arena *arena, const char *topic, int32_t partition,
                                         int16_t acks, struct bytes batch);

/* Produce `count` records to a partition with acks=all; the base offset. */
int64_t peer_produce(int peer, const char *topic, int32_t partition, int32_t count);

/* Return when a fetch of this partition waits: with a session its waiter is there all the time, so
 * it has to have a request to wake. */
void fixture_until_fetching(struct broker_fixture *fixture, const char *topic, int32_t partition);

/* The partition, with a reference. */
struct partition *fixture_partition(struct broker_fixture *fixture, const char *topic,
                                    int32_t partition);

/* A Fetch request of one partition without a session, in the arena. */
struct fetch_request *fetch_of(struct arena *arena, const char *topic, int32_t partition,
                               int64_t offset);

#endif
