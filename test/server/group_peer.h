/* What tests of groups on a node share: a function for each request of a member, over a connection
 * of its own. JoinGroup and SyncGroup may be parked, so they are sent and answered apart. */
#ifndef JACKDAW_TEST_SERVER_GROUP_PEER_H
#define JACKDAW_TEST_SERVER_GROUP_PEER_H

#include "broker_fixture.h"

struct group_peer {
    int peer;
    struct arena arena;
    const char *group;
    char id[128]; /* "" until one was given */
    int32_t generation;
    int32_t session_ms, rebalance_ms;
    bool leads;
    char members[64][128]; /* a leader's */
    int32_t member_count;
    char assignment[256];
};

void group_peer_open(struct group_peer *member, struct broker_fixture *fixture, const char *group);
void group_peer_close(struct group_peer *member);

/* JoinGroup in version 9, subscribed to topic "in". The answer's error; the member then knows its
 * id, generation and, as leader, the members. */
void member_join_ask(struct group_peer *member);
int16_t member_join_answer(struct group_peer *member);
/* Both, and again with the id that a new member is given. */
int16_t member_join(struct group_peer *member);

/* SyncGroup: a leader gives every member its own id as assignment. */
void member_sync_ask(struct group_peer *member);
int16_t member_sync_answer(struct group_peer *member);

int16_t member_heartbeat(struct group_peer *member);
int16_t member_leave(struct group_peer *member);
/* OffsetCommit in version 9 to a partition of "in". */
int16_t member_commit(struct group_peer *member, int32_t partition, int64_t offset,
                      const char *metadata);
/* The state's name as DescribeGroups tells it, in the arena. */
struct str member_state(struct group_peer *member);

#endif
