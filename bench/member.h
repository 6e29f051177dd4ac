/* A member of a classic group, and its group as the generator knows it. Versions, the order of
 * requests and what the leader assigns are those of Java's consumer with the range assignor; what
 * happens when is the owner's. */
#ifndef JACKDAW_BENCH_MEMBER_H
#define JACKDAW_BENCH_MEMBER_H

#include "agents.h"

#define MEMBER_ID_MAX 128
#define GROUP_NAME_MAX 64

struct group;

struct member {
    struct agent link; /* its connection to the coordinator */
    struct group *group;
    int index;
    char id[MEMBER_ID_MAX];
    int32_t generation; /* that it has synced in; -1: none */
    bool gone;          /* it counts no more */
    /* What a heartbeat said, Kafka's error. */
    void (*heard)(struct member *member, int error, int64_t now);
};

struct group {
    char name[GROUP_NAME_MAX];
    const char *topic;
    int partitions; /* of the topic, all of which the leader gives away */
    int session_timeout_ms;
    struct member *members;
    int count;    /* of those that are not gone */
    int capacity; /* of `members` */
    int32_t generation;
    int synced; /* members that have synced in it */
    int64_t joins, first_join_ns, last_sync_ns;
    /* The last of all members that are not gone has synced in one generation. */
    void (*stable)(struct group *group, int64_t now);
};

/* Members are connected and know nobody. */
void group_open(struct group *group, struct agents *agents, const struct sockaddr_in *address,
                int count);
void group_close(struct group *group);

/* JoinGroup and then SyncGroup, with the member-id round when it has no id. */
void member_join(struct member *member);
void member_heartbeat(struct member *member);
/* All members leave, in one request; member 0's connection must be free. */
void group_leave(struct group *group, void (*left)(struct agent *, struct reader *, int64_t));

#endif
