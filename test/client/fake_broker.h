/* A broker for the client's tests: it answers a handful of requests from a table that the test owns
 * and may change at any time, and it can be told to misbehave. It runs on a node of the simulator.
 *
 * What it stores is in struct fake_cluster, which the test allocates: it outlives crashes. */
#ifndef JACKDAW_TEST_CLIENT_FAKE_BROKER_H
#define JACKDAW_TEST_CLIENT_FAKE_BROKER_H

#include "net/conn.h"
#include "protocol/api.h"
#include "protocol/messages.h"
#include "sim/sim.h"

#define FAKE_PORT 9092
#define FAKE_BROKERS_MAX 3
#define FAKE_PARTITIONS 3
#define FAKE_BATCHES_MAX 4000
#define FAKE_LOG_BYTES (4 << 20)
#define FAKE_PRODUCERS_MAX 64
#define FAKE_REMEMBERED 5

struct fake_batch {
    int64_t base_offset;
    int32_t position, size;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence, count;
};

struct fake_partition {
    int32_t leader_id, leader_epoch;
    struct fake_batch batches[FAKE_BATCHES_MAX];
    int batch_count;
    int64_t end_offset;
    uint8_t log[FAKE_LOG_BYTES];
    int32_t log_size;
};

/* What a broker does with the next requests of one API. */
struct fake_fault {
    int16_t key;
    int count;        /* so many times; 0: unused */
    int16_t error;    /* answered instead of doing it, unless `after` */
    bool after;       /* do it, then answer the error */
    bool close;       /* do it, then close the connection without an answer */
    bool silent;      /* never answer */
    bool garbage;     /* answer with bytes that are no answer */
    int32_t delay_ms; /* answer later */
    bool tell_leader; /* with the error, say who leads (KIP-951) */
};

/* Faults of the kind that must never be in a broker, to see that they are found. */
struct fake_mutant {
    bool forget_sequences;  /* repeated batches are written again */
    int lose_every;         /* so many acknowledged batches are not written */
    bool watermark_wobbles; /* it is told lower than before now and then */
    bool wrong_offset;      /* acknowledgements are off by one */
};

struct fake_cluster {
    struct sim *sim;
    struct sim_node *nodes[FAKE_BROKERS_MAX];
    uint16_t ports[FAKE_BROKERS_MAX];
    int broker_count;
    bool topic_exists;
    int16_t topic_error; /* of Metadata */
    struct uuid topic_id;
    int16_t api_versions_max; /* of ApiVersions itself */
    int16_t produce_max, fetch_max;
    bool no_producer_ids; /* InitProducerId is not served */
    int32_t throttle_ms;
    int64_t next_producer_id;
    struct fake_partition partitions[FAKE_PARTITIONS];
    struct fake_fault faults[4];
    struct fake_mutant mutant;
    int requests[API_COUNT]; /* seen, by key */
    int connections;
};

/* A cluster of so many brokers on nodes "broker0", …; topic "t" exists, led by broker 0. */
struct fake_cluster *fake_cluster_create(struct sim *sim, int broker_count);
void fake_cluster_destroy(struct fake_cluster *cluster);

/* Start serving on its node. */
void fake_broker_start(struct fake_cluster *cluster, int id);

/* Broker `id` leads the partition from now on, under the next epoch. */
void fake_move_leader(struct fake_cluster *cluster, int partition, int32_t id);

/* The free slot for a fault, zeroed. */
struct fake_fault *fake_fault_add(struct fake_cluster *cluster, int16_t key, int count);

#endif
