/* What the tests of the coordinator runtime share: one internal topic whose partitions are real
 * logs, loops, and a toy fold: a counter for each key.
 *
 * The disk is a RAM disk with faults. Loops turn only when the test says so (kit_turn), and jobs
 * run only there, so every order of events can be had, with one thread. */
#ifndef JACKDAW_TEST_COORD_KIT_H
#define JACKDAW_TEST_COORD_KIT_H

#include "coord/coord.h"
#include "metadata/image.h"
#include "partition/partition_set.h"

#define KIT_PARTITIONS 4
#define KIT_LOOPS 2
#define TOY_KEYS 64
#define TOY_PENDING 16

struct toy_counter {
    char name[24];
    int64_t value;
};

struct toy_pending {
    int64_t producer_id;
    char name[24];
    int64_t delta;
};

/* The state of one shard. */
struct toy {
    struct coord_shard *shard;
    struct kit *kit;
    struct toy_counter counters[TOY_KEYS];
    int32_t count;
    struct toy_pending pending[TOY_PENDING];
    int32_t pending_count;
    int64_t applied, marked, loaded, unloaded, images;
    int64_t last_offset; /* applies come in order */
    struct list waits;   /* parked requests; failed by unloaded */
    bool out_of_memory;  /* the next apply fails */
};

int64_t toy_value(const struct toy *toy, const char *name);

struct kit {
    struct ram_disk *disk; /* NULL: a Linux env */
    struct env *env;
    struct say say;
    struct file_cache *files;
    struct epoch_domain epochs;
    struct epoch_reader reader; /* the test's own thread */
    struct loop loops[KIT_LOOPS];
    struct partition_set set;
    struct coord *coord;
    struct topic_settings settings;
    struct topic_image topic;
    struct broker_settings broker;
    struct coord_fold fold;
    void *fold_context;               /* NULL: the kit, which is what the toy fold needs */
    _Atomic int64_t fold_word;        /* a context, for a fold that needs no more */
    const struct image *image;        /* may be NULL */
    struct toy *toys[KIT_PARTITIONS]; /* the newest state of each shard */
    int64_t toys_made, toys_freed;
    int64_t now_ns;
    bool jobs_held; /* kit_turn runs none */
    char lines[4096];
};

/* `flush_messages` as the topic's setting: 1 holds every commit until its sync was run. */
void kit_init(struct kit *kit, int64_t flush_messages);
void kit_close(struct kit *kit);
/* For cmocka: the kit is the state, its partitions are led in epoch 5. Held: every commit waits for
 * its sync, which waits in line with the other jobs. */
int kit_setup(void **state);
int kit_setup_held(void **state);
int kit_teardown(void **state);

/* Open the partitions with this leader epoch; lead them all, and load. */
void kit_open(struct kit *kit, int32_t leader_epoch);
/* Stop the coordinator, and drop the partitions as a crash of the process would. */
void kit_crash(struct kit *kit);

struct partition *kit_partition(struct kit *kit, int32_t index);
/* Both loops turn once, and jobs run, unless held. */
void kit_turn(struct kit *kit);
void kit_turns(struct kit *kit, int count);
void kit_run_jobs(struct kit *kit);
/* Find a shard, turning until it is loaded. */
struct coord_shard *kit_shard(struct kit *kit, int32_t partition);
void kit_turn_of(struct kit *kit, int loop, struct coord_turn *ret_turn);
/* Lead the partition under another epoch, or (-1) no more; the coordinator follows. */
void kit_lead(struct kit *kit, int32_t partition, int32_t leader_epoch);

/* One use of the toy: add `delta` to a counter, or with delta 0 read it. */
struct toy_op {
    struct coord_op op;
    struct kit *kit;
    const char *name;
    int64_t delta;
    int32_t value_size;          /* the record's value is so long; 0: 8 bytes */
    int64_t await_ahead;         /* wait for so many records more than there are */
    int refuse;                  /* decide answers this */
    struct coord_effect *effect; /* added in settle */
    struct coord_wait *wait;     /* parked in settle */
    struct coord_timer *timer;   /* armed in settle */
    int64_t timer_due_ns;
    int decided, settled, woken;
    int settle_error;
    int64_t seen; /* the counter in settle */
    bool over;
    int error;
};

void toy_op_init(struct toy_op *toy, struct kit *kit, int32_t partition, const char *name,
                 int64_t delta);
/* Run it on loop 0's turn; true when over. */
bool toy_op_run(struct toy_op *toy);
/* From init to end; the error. Turns the loops as needed. */
int toy_add(struct kit *kit, int32_t partition, const char *name, int64_t delta);
int64_t toy_get(struct kit *kit, int32_t partition, const char *name);

#endif
