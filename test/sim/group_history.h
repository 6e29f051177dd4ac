/* What members of groups did and heard, and what must hold of it whoever wrote it down: simulated
 * members, or real ones beside a real broker.
 *
 * An event is one call: when it began, when its answer came (if one came), and what both said. The
 * checker knows of time only what follows from that: one call was over before another began, or
 * they were under way together. It stands apart from the code under test, and knows no broker. */
#ifndef JACKDAW_TEST_SIM_GROUP_HISTORY_H
#define JACKDAW_TEST_SIM_GROUP_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"

/* Of a plan, and partitions of the one topic that all groups read. */
#define GROUP_MEMBERS_MAX 16
#define GROUP_PARTITIONS_MAX 64
#define GROUP_EVENTS_MAX 60000
#define GROUP_NAMES_MAX 30000
#define GROUP_NAME_MAX 96

/* Nobody knows whether it was done: no answer came, or one that leaves it open. */
#define GROUP_OPEN INT64_MAX
#define GROUP_NO_ANSWER (-1)

enum group_op {
    GROUP_JOIN,
    GROUP_SYNC,
    GROUP_BEAT,
    GROUP_LEAVE,
    GROUP_HEART, /* the consumer protocol's heartbeat: claims an epoch, 0 to join, below 0 to leave
                  */
    GROUP_COMMIT,
    GROUP_FETCH,
    GROUP_OWN,    /* no call: from when to when a client that keeps its sessions owned partitions */
    GROUP_RELOAD, /* at some time in here the coordinator may have lost what is not in its log */
};

/* What a leader gives to a member: a set of partitions, bit by bit. */
struct group_share {
    int32_t member;
    uint64_t partitions;
};

/* Names (of groups, members, instances, tags) are numbers given by the history; -1: none. */
struct group_event {
    enum group_op op;
    int64_t begin_ns, end_ns; /* end_ns GROUP_OPEN: no answer */
    int32_t at;               /* a name for the event itself, when it came from a file */
    int32_t error;            /* Kafka's code; GROUP_NO_ANSWER */
    int32_t group, member, instance;
    int32_t generation;               /* given by a join, else claimed; -1: none is claimed */
    bool leads;                       /* join: it is the leader */
    int32_t session_ms, rebalance_ms; /* join */
    int32_t partition;                /* commit and fetch */
    int64_t offset;                   /* -1: none is committed */
    int32_t tag;                      /* the metadata: of one commit only */
    uint64_t owned;                   /* sync: the answer; own; heart: as the member claims */
    int32_t epoch;                    /* heart: the answer */
    bool gives;                       /* heart: the answer has an assignment, `given` */
    uint64_t given;
    int32_t plan_count; /* sync: the leader's */
    struct group_share plan[GROUP_MEMBERS_MAX];
};

struct group_history {
    /* One clock for all events. */
    int64_t (*now_ns)(void *context);
    void *context;
    FILE *out;        /* each event is written when it begins and when it ends; NULL: not */
    const char *self; /* whose events these are; unique among the writers of one history */
    int32_t event_count, name_count, tags;
    struct group_event events[GROUP_EVENTS_MAX];
    char names[GROUP_NAMES_MAX][GROUP_NAME_MAX];
    int32_t buckets[GROUP_NAMES_MAX * 2];
};

struct group_history *group_history_create(int64_t (*now_ns)(void *context), void *context);
void group_history_destroy(struct group_history *history);

/* data NULL: -1. */
int32_t group_history_number(struct group_history *history, struct str name);
const char *group_history_name(const struct group_history *history, int32_t number);

/* The event's place is good as long as the history. */
struct group_event *group_history_begin(struct group_history *history,
                                        const struct group_event *event);
/* A GROUP_RELOAD begins. */
struct group_event *group_history_reload(struct group_history *history);
void group_history_end(struct group_history *history, struct group_event *event, int32_t error);

/* Order of pointers to events, for qsort. */
int group_event_by_begin(const void *a, const void *b);

/* All of it, in the form that it is read in. */
void group_history_write(const struct group_history *history, FILE *out);

/* A line per event, as "op=commit at=a.7 begin=12 end=17 error=0 group=g member=m generation=3
 * partition=1 offset=5 tag=a.7"; the last line with the same `at` counts. False: it cannot be read,
 * and why. */
bool group_history_read(struct group_history *history, FILE *in, char *ret_why, size_t why_size);

/* Whether all is well; if not, in words what was seen that must not be.
 *
 * 1. In one generation no partition has two owners, and each member is given what the leader gave.
 * 2. Once a generation is seen, no older one is accepted: neither heartbeats nor commits. Until a
 *    member has its assignment a reload may take the generation back.
 * 3. Who has left, or whose place another with the same instance id has taken, is refused.
 * 4. Nobody is thrown out whose session cannot have run out.
 * 5. Nobody owns what another owns, of those who say from when to when they do.
 * 6. Committed offsets are one register for each partition: what is acknowledged is read until
 *    another commit takes its place, what was refused never, and positions go back for nobody. */
bool group_check(const struct group_history *history, char *ret_why, size_t why_size);
/* 7. In the consumer protocol: nobody is heard as the owner of what another was given meanwhile,
 *    epochs do not go back, and 3 and 4 hold. */
bool group_check_consumers(const struct group_history *history, char *ret_why, size_t why_size);
bool group_check_offsets(const struct group_history *history, char *ret_why, size_t why_size);

#endif
