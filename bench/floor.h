/* What the files of the floor share: topics with their logs, and connections. floor.c says what the
 * floor is. */
#ifndef JACKDAW_BENCH_FLOOR_H
#define JACKDAW_BENCH_FLOOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/bytes.h"

#define TOPICS_MAX 4096

struct place {
    int64_t offset, position;
};

struct partition {
    pthread_mutex_t lock;
    int file;
    int64_t end_offset, end_position;
    struct place *places; /* of every batch */
    size_t place_count, place_capacity;
};

struct topic {
    char *name; /* NULL: deleted */
    int32_t partition_count;
    struct partition *partitions;
};

struct floor {
    char dir[512];
    bool append;
    uint16_t port;
    pthread_mutex_t lock; /* topics, their count */
    struct topic topics[TOPICS_MAX];
    int topic_count;
    pthread_mutex_t appended_lock;
    pthread_cond_t appended;
    _Atomic int waiting; /* fetches for `appended` */
};

struct connection {
    struct floor *floor;
    int sock;
    uint8_t *in;
    size_t in_size, in_capacity;
    struct writer out;
};

/* floor.c */
struct str read_string(struct reader *in);
void write_str(struct writer *out, struct str text);
/* What stands in `out`; `more` follows at once. */
void send_out(struct connection *connection, bool more);

/* floor_log.c: topics and their logs. Errors are Kafka's. */
struct topic *find_topic(struct floor *floor, struct str name); /* NULL: none */
struct partition *find_partition(struct topic *topic, int32_t index);
int16_t create_topic(struct floor *floor, struct str name, int32_t partition_count);
int16_t delete_topic(struct floor *floor, struct str name);
/* One batch, as every Produce from version 3 on has. 0 and its offset, or an error. */
int16_t append_batch(struct floor *floor, struct partition *partition, uint8_t *batch, size_t size,
                     int64_t *ret_offset);
/* Where the batch with this offset begins. The partition's lock is held. */
int64_t find_place(const struct partition *partition, int64_t offset);

/* floor_fetch.c */
/* Sends its whole answer itself; `start` is where the answer's length stands in `out`. */
void answer_fetch(struct connection *connection, int16_t version, struct reader *in, size_t start);

#endif
