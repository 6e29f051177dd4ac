/* See member.h. */
#include "member.h"

#include <stdio.h>
#include <stdlib.h>

#include "group_frames.h"

#define PROTOCOL_TYPE "consumer"
#define PROTOCOL_NAME "range"
#define REBALANCE_TIMEOUT_MS 300000
#define SUBSCRIPTION_VERSION 3
#define ASSIGNMENT_VERSION 3
#define ASK_AGAIN_NS 20000000

static void synced(struct agent *link, struct reader *body, int64_t now);
static void joined(struct agent *link, struct reader *body, int64_t now);

static struct member *member_of(struct agent *link)
{
    return owner_of(link, struct member, link);
}

void group_open(struct group *group, struct agents *agents, const struct sockaddr_in *address,
                int count)
{
    group->members = calloc((size_t)count, sizeof *group->members);
    if (!group->members)
        die("out of memory");
    group->count = group->capacity = count;
    group->generation = -1;
    for (int i = 0; i < count; i++) {
        struct member *member = &group->members[i];
        member->group = group;
        member->index = i;
        member->generation = -1;
        agent_open(agents, &member->link, address);
    }
}

void group_close(struct group *group)
{
    for (int i = 0; i < group->capacity; i++) {
        if (group->members[i].link.sock >= 0)
            agent_close(&group->members[i].link);
    }
    free(group->members);
    group->members = NULL;
}

/* Bytes with a compact length in front, from what was written to a writer of its own. */
static void write_compact_bytes(struct writer *out, const struct writer *bytes)
{
    write_uvarint(out, (uint32_t)bytes->size + 1);
    write_bytes(out, bytes->data, bytes->size);
}

static void write_subscription(struct writer *out, const struct group *group)
{
    struct writer bytes = {0};
    write_int16(&bytes, SUBSCRIPTION_VERSION);
    write_int32(&bytes, 1);
    write_string(&bytes, group->topic);
    write_int32(&bytes, -1); /* no user data */
    write_int32(&bytes, 0);  /* owns nothing */
    write_int32(&bytes, -1); /* no generation */
    write_string(&bytes, NULL);
    write_compact_bytes(out, &bytes);
    writer_close(&bytes);
}

void member_join(struct member *member)
{
    struct group *group = member->group;
    struct writer *out = &member->link.out;
    agent_begin(&member->link, WIRE_JOIN_GROUP, WIRE_JOIN_GROUP_VERSION, true);
    write_compact_string(out, group->name);
    write_int32(out, group->session_timeout_ms);
    write_int32(out, REBALANCE_TIMEOUT_MS);
    write_compact_string(out, member->id);
    write_compact_string(out, NULL); /* no static member */
    write_compact_string(out, PROTOCOL_TYPE);
    write_uvarint(out, 2); /* one protocol */
    write_compact_string(out, PROTOCOL_NAME);
    write_subscription(out, group);
    write_uvarint(out, 0);
    write_compact_string(out, NULL); /* no reason */
    write_uvarint(out, 0);
    member->link.answered = joined;
    agent_send(&member->link);
    group->joins++;
    if (group->first_join_ns == 0)
        group->first_join_ns = member->link.asked_ns;
}

static void due_to_join(struct agent *link, int64_t now)
{
    (void)now;
    member_join(member_of(link));
}

/* What JoinGroup and SyncGroup may say before a group is stable. */
static void again(struct member *member, int error, const char *what)
{
    switch (error) {
    case UNKNOWN_MEMBER_ID:
        member->id[0] = 0;
        member_join(member);
        return;
    case ILLEGAL_GENERATION:
    case REBALANCE_IN_PROGRESS:
    case MEMBER_ID_REQUIRED:
        member_join(member);
        return;
    }
    if (!coordinator_comes(error))
        die("%s of member %d: error %d", what, member->index, error);
    member->link.due = due_to_join;
    agent_set(&member->link, now_ns() + ASK_AGAIN_NS);
}

/* The partitions of one member: an equal share, those at the beginning. */
static void write_assignment(struct writer *out, const struct group *group, int index, int members)
{
    int first = (int)((int64_t)group->partitions * index / members);
    int end = (int)((int64_t)group->partitions * (index + 1) / members);
    struct writer bytes = {0};
    write_int16(&bytes, ASSIGNMENT_VERSION);
    write_int32(&bytes, end > first);
    if (end > first) {
        write_string(&bytes, group->topic);
        write_int32(&bytes, end - first);
    }
    for (int i = first; i < end; i++)
        write_int32(&bytes, i);
    write_int32(&bytes, -1);
    write_compact_bytes(out, &bytes);
    writer_close(&bytes);
}

/* The leader's answer to JoinGroup names the members; SyncGroup says what each gets. */
static void write_assignments(struct writer *out, const struct group *group, struct reader *members)
{
    uint32_t count = read_uvarint(members);
    count = count > 0 ? count - 1 : 0;
    write_uvarint(out, count + 1);
    for (uint32_t i = 0; i < count && !members->failed; i++) {
        int32_t size, skip;
        const uint8_t *id = read_compact(members, &size);
        read_compact(members, &skip);
        read_compact(members, &skip);
        read_uvarint(members);
        write_uvarint(out, (uint32_t)size + 1);
        write_bytes(out, id, (size_t)size);
        write_assignment(out, group, (int)i, (int)count);
        write_uvarint(out, 0);
    }
    if (members->failed)
        die("a broken answer to JoinGroup");
}

static void member_sync(struct member *member, int32_t generation, struct reader *members)
{
    struct writer *out = &member->link.out;
    agent_begin(&member->link, WIRE_SYNC_GROUP, WIRE_SYNC_GROUP_VERSION, true);
    write_compact_string(out, member->group->name);
    write_int32(out, generation);
    write_compact_string(out, member->id);
    write_compact_string(out, NULL);
    write_compact_string(out, PROTOCOL_TYPE);
    write_compact_string(out, PROTOCOL_NAME);
    write_assignments(out, member->group, members); /* none but for the leader */
    write_uvarint(out, 0);
    member->link.answered = synced;
    agent_send(&member->link);
}

static void joined(struct agent *link, struct reader *body, int64_t now)
{
    struct member *member = member_of(link);
    int32_t size;
    (void)now;
    read_int32(body);
    int error = read_int16(body);
    int32_t generation = read_int32(body);
    read_compact(body, &size);
    read_compact(body, &size);
    read_compact(body, &size); /* the leader */
    read_int8(body);
    const uint8_t *id = read_compact(body, &size);
    if (body->failed || size >= MEMBER_ID_MAX)
        die("a broken answer to JoinGroup");
    if (error == 0 || error == MEMBER_ID_REQUIRED) {
        memcpy(member->id, id, (size_t)size);
        member->id[size] = 0;
    }
    if (error != 0) {
        again(member, error, "JoinGroup");
        return;
    }
    if (generation > member->group->generation) {
        member->group->generation = generation;
        member->group->synced = 0;
    }
    member->generation = generation;
    member_sync(member, generation, body);
}

static void synced(struct agent *link, struct reader *body, int64_t now)
{
    struct member *member = member_of(link);
    struct group *group = member->group;
    read_int32(body);
    int error = read_int16(body);
    if (body->failed)
        die("a broken answer to SyncGroup");
    if (error != 0) {
        again(member, error, "SyncGroup");
        return;
    }
    if (member->generation != group->generation)
        return; /* a later one is there already; a heartbeat will tell */
    group->synced++;
    group->last_sync_ns = now;
    if (group->synced == group->count)
        group->stable(group, now);
}

static void beaten(struct agent *link, struct reader *body, int64_t now)
{
    struct member *member = member_of(link);
    read_int32(body);
    int error = read_int16(body);
    if (body->failed)
        die("a broken answer to Heartbeat");
    member->heard(member, error, now);
}

void member_heartbeat(struct member *member)
{
    struct writer *out = &member->link.out;
    agent_begin(&member->link, WIRE_HEARTBEAT, WIRE_HEARTBEAT_VERSION, true);
    write_compact_string(out, member->group->name);
    write_int32(out, member->generation);
    write_compact_string(out, member->id);
    write_compact_string(out, NULL);
    write_uvarint(out, 0);
    member->link.answered = beaten;
    agent_send(&member->link);
}

void group_leave(struct group *group, void (*left)(struct agent *, struct reader *, int64_t))
{
    struct agent *link = &group->members[0].link;
    struct writer *out = &link->out;
    agent_begin(link, WIRE_LEAVE_GROUP, WIRE_LEAVE_GROUP_VERSION, true);
    write_compact_string(out, group->name);
    write_uvarint(out, (uint32_t)group->count + 1);
    for (int i = 0; i < group->capacity; i++) {
        if (group->members[i].gone)
            continue;
        write_compact_string(out, group->members[i].id);
        write_compact_string(out, NULL);
        write_compact_string(out, "the end of the load");
        write_uvarint(out, 0);
    }
    write_uvarint(out, 0);
    link->answered = left;
    agent_send(link);
}
