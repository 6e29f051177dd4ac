/* What the tests of consumer groups share, on top of group_kit.h: a cluster of topics, and members
 * that send heartbeats and do what the answers say. */
#ifndef JACKDAW_TEST_CONSUMER_KIT_H
#define JACKDAW_TEST_CONSUMER_KIT_H

#include "group/consumer_ops.h"
#include "group_kit.h"

#define CONSUMER_TOPICS 4

/* A kit with groups of the consumer protocol, no interval between assignments, and the topics "t0"
 * (3 partitions), "t1" (4), ... */
void consumer_kit_init(struct kit *kit);
void consumer_kit_close(struct kit *kit);
/* The same for cmocka: the kit is the state. */
int consumer_kit_setup(void **state);
int consumer_kit_teardown(void **state);
/* The group "g", where most tests happen; NULL: there is none, or a classic one. */
const struct consumer_group *group_of(struct kit *kit);
/* The topics become these: partition counts, 0 for those that do not exist. */
void consumer_kit_topics(struct kit *kit, const int32_t counts[CONSUMER_TOPICS]);
struct uuid consumer_kit_topic(int topic);

struct owned {
    int topic;
    int32_t partition;
};

struct consumer {
    struct kit *kit;
    const char *group, *instance_id, *assignor;
    const char *regex; /* version 1 then; NULL: not said */
    char id[32];
    const char *topics[CONSUMER_TOPICS];
    int topic_count;
    int32_t epoch;
    int32_t rebalance_ms;
    bool holds_on; /* it does not give up partitions */
    struct owned owned[512];
    int owned_count;
    /* the last answer */
    int error;
    bool assigned; /* it had an assignment */
    int32_t interval_ms;
    char message[128];
};

/* The topics come as names; end with NULL. */
void consumer_init(struct consumer *consumer, struct kit *kit, const char *group, const char *id);
/* Join or heartbeat with all fields; the error. What is no longer assigned is given up, what is
 * newly assigned is taken. */
int consumer_heartbeat(struct consumer *consumer);
/* The same with nothing but the epoch. */
int consumer_ping(struct consumer *consumer);
int consumer_leave(struct consumer *consumer);        /* for good */
int consumer_leave_static(struct consumer *consumer); /* for a while */
int consumer_commit(struct consumer *consumer, int32_t epoch, int topic, int32_t partition,
                    int64_t offset);
/* "t0:0,1 t1:3", ascending. */
const char *consumer_owns(const struct consumer *consumer);
/* Heartbeats of all in turn until nothing changes. */
void consumers_settle(struct consumer *consumers, int count);

#endif
