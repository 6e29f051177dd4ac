/* The few Kafka frames that the load generator speaks, written by hand.
 *
 * They do not come from src/protocol on purpose: the generator must not share a mistake with the
 * program that it measures, and it must be able to send what a client would never send. Source:
 * Kafka protocol guide. */
#ifndef JACKDAW_BENCH_WIRE_H
#define JACKDAW_BENCH_WIRE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum wire_key {
    WIRE_PRODUCE = 0,
    WIRE_FETCH = 1,
    WIRE_LIST_OFFSETS = 2,
    WIRE_METADATA = 3,
    WIRE_API_VERSIONS = 18,
    WIRE_CREATE_TOPICS = 19,
    WIRE_DELETE_TOPICS = 20,
    WIRE_INIT_PRODUCER_ID = 22,
};

/* The versions that are spoken here. Produce is the first flexible version, all others the last
 * ones before that. */
enum wire_version {
    WIRE_PRODUCE_VERSION = 9,
    WIRE_FETCH_VERSION = 11,
    WIRE_METADATA_VERSION = 8,
    WIRE_API_VERSIONS_VERSION = 0,
    WIRE_CREATE_TOPICS_VERSION = 4,
    WIRE_DELETE_TOPICS_VERSION = 3,
};

#define WIRE_FRAME_MAX (128 << 20)

int64_t now_ns(void);
double own_cpu_s(void);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "HOST:PORT" with an IPv4 literal or a name; ends the program when it is neither. */
struct sockaddr_in address_parse(const char *text);

/* A connected, blocking socket without Nagle's delay, or -errno. */
int dial(const struct sockaddr_in *address);

/* One connection on which requests are answered one after the other. */
struct peer {
    int sock;
    int32_t correlation;
    struct writer out;
    uint8_t *in;
    size_t in_capacity;
};

int peer_open(struct peer *peer, const struct sockaddr_in *address); /* 0 or -errno */
void peer_close(struct peer *peer);

/* Begin a request; its body is then appended to peer->out. */
void peer_begin(struct peer *peer, int16_t key, int16_t version, bool flexible);

/* Send it and wait for the answer: 0 and the body behind the header, or -errno. */
int peer_call(struct peer *peer, bool flexible_answer, struct reader *ret_body);

int peer_api_versions(struct peer *peer);

struct topic_state {
    int error; /* of Kafka, for the topic */
    int partitions;
    int with_leader;
};
int peer_metadata(struct peer *peer, const char *topic, struct topic_state *ret_state);

/* Strings and frames. */
void write_string(struct writer *out, const char *text); /* int16 length; NULL is null */
void write_compact_string(struct writer *out, const char *text);
void frame_begin(struct writer *out, int16_t key, int16_t version, int32_t correlation,
                 bool flexible);
void frame_end(struct writer *out, size_t start);

/* A Produce request with one batch of `records` records of `size` bytes each. */
struct produce_spec {
    const char *topic;
    int32_t partition;
    int16_t acks;
    int32_t records;
    int32_t size;
};
void write_produce(struct writer *out, const struct produce_spec *spec);

/* Who sends it, for a batch in a transaction. */
struct producer_state {
    const char *transactional_id;
    int64_t producer_id;
    int16_t epoch;
    int32_t sequence; /* of the first record */
};
/* The request without its header, in versions 9 to 12. `producer` NULL: nobody in particular. */
void write_produce_body(struct writer *out, const struct produce_spec *spec,
                        const struct producer_state *producer);

/* Where frame_begin has put the correlation id, from the first byte of the frame's length. */
#define FRAME_CORRELATION_AT 8

/* What an answer to write_produce says: Kafka's error code, or -EBADMSG. `body` stands behind the
 * header. */
int produce_answer(struct reader *body);

#endif
