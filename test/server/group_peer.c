#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "group_peer.h"

#include <stdio.h>
#include <string.h>

#include "base/errors.h"

enum {
    JOIN = 9,
    SYNC = 5,
    HEARTBEAT = 4,
    LEAVE = 5,
    COMMIT = 9,
    DESCRIBE = 5,
    CORRELATION = 7,
};

static void text_to(char *place, size_t size, struct str text)
{
    assert_true((size_t)text.size < size);
    memcpy(place, text.data, (size_t)text.size);
    place[text.size] = '\0';
}

void group_peer_open(struct group_peer *member, struct broker_fixture *fixture, const char *group)
{
    *member = (struct group_peer){
        .group = group, .generation = -1, .session_ms = 30000, .rebalance_ms = 30000};
    arena_init(&member->arena, 0);
    member->peer = peer_connect(fixture);
}

void group_peer_close(struct group_peer *member)
{
    peer_close(member->peer);
    arena_close(&member->arena);
}

/* ---- joining ---- */

/* Version 0 of a consumer's subscription: the topic "in", no user data. */
static const uint8_t subscription[] = {0, 0, 0, 0, 0, 1, 0, 2, 'i', 'n', 0xff, 0xff, 0xff, 0xff};

void member_join_ask(struct group_peer *member)
{
    struct join_group_request request;
    struct join_group_request_protocol range = {.name = STR("range"),
                                                .metadata = {subscription, sizeof subscription}};
    arena_reset(&member->arena, 0);
    join_group_request_init(&request);
    request.group_id = str_of(member->group);
    request.session_timeout_ms = member->session_ms;
    request.rebalance_timeout_ms = member->rebalance_ms;
    request.member_id = str_of(member->id);
    request.protocol_type = STR("consumer");
    request.protocols.items = &range;
    request.protocols.count = 1;
    peer_ask(member->peer, API_JOIN_GROUP, JOIN, CORRELATION, &request);
}

int16_t member_join_answer(struct group_peer *member)
{
    struct join_group_response response;
    peer_answer(member->peer, &member->arena, API_JOIN_GROUP, JOIN, CORRELATION, &response);
    if (response.error_code == KAFKA_MEMBER_ID_REQUIRED || response.error_code == 0)
        text_to(member->id, sizeof member->id, response.member_id);
    if (response.error_code != 0)
        return response.error_code;
    member->generation = response.generation_id;
    member->leads = str_equal(response.leader, response.member_id);
    member->member_count = response.members.count;
    assert_true(response.members.count <= 64);
    for (int32_t i = 0; i < response.members.count; i++)
        text_to(member->members[i], sizeof member->members[i], response.members.items[i].member_id);
    return 0;
}

int16_t member_join(struct group_peer *member)
{
    member_join_ask(member);
    int16_t error = member_join_answer(member);
    if (error != KAFKA_MEMBER_ID_REQUIRED)
        return error;
    member_join_ask(member);
    return member_join_answer(member);
}

/* ---- a generation ---- */

void member_sync_ask(struct group_peer *member)
{
    struct sync_group_request request;
    struct sync_group_request_assignment assignments[64];
    arena_reset(&member->arena, 0);
    sync_group_request_init(&request);
    request.group_id = str_of(member->group);
    request.generation_id = member->generation;
    request.member_id = str_of(member->id);
    request.protocol_type = STR("consumer");
    request.protocol_name = STR("range");
    if (member->leads) {
        for (int32_t i = 0; i < member->member_count; i++)
            assignments[i] = (struct sync_group_request_assignment){
                .member_id = str_of(member->members[i]),
                .assignment = {(const uint8_t *)member->members[i],
                               (int32_t)strlen(member->members[i])}};
        request.assignments.items = assignments;
        request.assignments.count = member->member_count;
    }
    peer_ask(member->peer, API_SYNC_GROUP, SYNC, CORRELATION, &request);
}

int16_t member_sync_answer(struct group_peer *member)
{
    struct sync_group_response response;
    peer_answer(member->peer, &member->arena, API_SYNC_GROUP, SYNC, CORRELATION, &response);
    if (response.error_code == 0)
        text_to(member->assignment, sizeof member->assignment,
                (struct str){(const char *)response.assignment.data, response.assignment.size});
    return response.error_code;
}

int16_t member_heartbeat(struct group_peer *member)
{
    struct heartbeat_request request;
    struct heartbeat_response response;
    arena_reset(&member->arena, 0);
    heartbeat_request_init(&request);
    request.group_id = str_of(member->group);
    request.generation_id = member->generation;
    request.member_id = str_of(member->id);
    peer_call(member->peer, &member->arena, API_HEARTBEAT, HEARTBEAT, &request, &response);
    return response.error_code;
}

int16_t member_leave(struct group_peer *member)
{
    struct leave_group_request request;
    struct leave_group_response response;
    struct leave_group_request_member_identity who;
    arena_reset(&member->arena, 0);
    leave_group_request_init(&request);
    leave_group_request_member_identity_init(&who);
    who.member_id = str_of(member->id);
    request.group_id = str_of(member->group);
    request.members.items = &who;
    request.members.count = 1;
    peer_call(member->peer, &member->arena, API_LEAVE_GROUP, LEAVE, &request, &response);
    return response.error_code != 0 ? response.error_code : response.members.items[0].error_code;
}

int16_t member_commit(struct group_peer *member, int32_t partition, int64_t offset,
                      const char *metadata)
{
    struct offset_commit_request request;
    struct offset_commit_response response;
    struct offset_commit_request_topic topic;
    struct offset_commit_request_partition part;
    arena_reset(&member->arena, 0);
    offset_commit_request_init(&request);
    offset_commit_request_topic_init(&topic);
    offset_commit_request_partition_init(&part);
    part.partition_index = partition;
    part.committed_offset = offset;
    part.committed_metadata = str_of(metadata);
    topic.name = STR("in");
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    request.group_id = str_of(member->group);
    request.generation_id_or_member_epoch = member->generation;
    request.member_id = str_of(member->id);
    request.topics.items = &topic;
    request.topics.count = 1;
    peer_call(member->peer, &member->arena, API_OFFSET_COMMIT, COMMIT, &request, &response);
    return response.topics.items[0].partitions.items[0].error_code;
}

struct str member_state(struct group_peer *member)
{
    struct describe_groups_request request;
    struct describe_groups_response response;
    struct str id = str_of(member->group);
    arena_reset(&member->arena, 0);
    describe_groups_request_init(&request);
    request.groups = (struct str_array){&id, 1};
    peer_call(member->peer, &member->arena, API_DESCRIBE_GROUPS, DESCRIBE, &request, &response);
    return response.groups.items[0].group_state;
}
