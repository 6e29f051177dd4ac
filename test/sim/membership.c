#include "membership.h"

#include <stdio.h>

#include "base/errors.h"
#include "base/must.h"
#include "protocol/messages.h"

#define MS INT64_C(1000000)

enum { SYNC_VERSION = 5, BEAT_VERSION = 4, LEAVE_VERSION = 5, COMMIT_VERSION = 9 };
enum { FETCH_OLDER = 7, FETCH_NEWER = 9 };

static struct str str_or_null(const char *text)
{
    return text ? str_of(text) : (struct str){NULL, 0};
}

struct group_event membership_event(struct membership *self, enum group_op op)
{
    struct group_history *history = self->history;
    return (struct group_event){
        .op = op,
        .group = group_history_number(history, str_of(self->group)),
        .member = *self->id ? group_history_number(history, str_of(self->id)) : -1,
        .instance = group_history_number(history, str_or_null(self->instance)),
        .generation = self->generation,
        .tag = -1,
        .at = -1,
    };
}

static void copy_text(char *to, size_t room, struct str from)
{
    must(from.size >= 0 && (size_t)from.size < room);
    memcpy(to, from.data, (size_t)from.size);
    to[from.size] = '\0';
}

void membership_forget(struct membership *self, bool id)
{
    self->owned = 0;
    self->leads = self->skips = self->told = false;
    self->peer_count = 0;
    if (id) {
        *self->id = '\0';
        self->generation = -1;
    }
}

/* ---- joining ---- */

/* A subscription of the consumer protocol, version 0: coordinators read the topics in it. */
static struct bytes subscription_of(const struct membership *self, uint8_t *room)
{
    size_t size = strlen(self->topic);
    store_be16(room, 0);
    store_be32(room + 2, 1);
    store_be16(room + 6, (uint16_t)size);
    memcpy(room + 8, self->topic, size);
    store_be32(room + 8 + size, 4);
    store_be32(room + 12 + size, self->flavour);
    return (struct bytes){room, (int32_t)(16 + size)};
}

static void take_join(struct membership *self, const struct join_group_response *response)
{
    copy_text(self->id, sizeof self->id, response->member_id);
    if (response->error_code != 0)
        return;
    self->generation = response->generation_id;
    self->leads = str_equal(response->leader, response->member_id);
    self->skips = response->skip_assignment;
    copy_text(self->protocol, sizeof self->protocol,
              response->protocol_name.data ? response->protocol_name : STR(""));
    self->peer_count = response->members.count < 0 ? 0 : response->members.count;
    must(self->peer_count <= GROUP_MEMBERS_MAX);
    for (int32_t i = 0; i < self->peer_count; i++) {
        const struct join_group_response_member *member = &response->members.items[i];
        copy_text(self->peers[i].id, sizeof self->peers[i].id, member->member_id);
    }
}

int membership_join(struct membership *self, int64_t timeout_ms)
{
    uint8_t subscription[64];
    struct join_group_request_protocol offers[2] = {
        {STR("range"), subscription_of(self, subscription)},
        {STR("sticky"), subscription_of(self, subscription)},
    };
    struct join_group_request message;
    struct group_event event = membership_event(self, GROUP_JOIN), *place;
    event.generation = -1;
    event.session_ms = self->session_ms;
    event.rebalance_ms = self->rebalance_ms;
    join_group_request_init(&message);
    message.group_id = str_of(self->group);
    message.session_timeout_ms = self->session_ms;
    message.rebalance_timeout_ms = self->rebalance_ms;
    message.member_id = str_of(self->id);
    message.group_instance_id = str_or_null(self->instance);
    message.protocol_type = STR("consumer");
    message.protocols.items = offers;
    message.protocols.count = 2;
    place = group_history_begin(self->history, &event);
    const struct join_group_response *response =
        life_call(self->life, API_JOIN_GROUP, self->join_version, &message, timeout_ms * MS);
    membership_forget(self, false);
    if (!response)
        return GROUP_NO_ANSWER;
    int error = response->error_code;
    if (error == 0 || error == KAFKA_MEMBER_ID_REQUIRED) {
        take_join(self, response);
        place->member = group_history_number(self->history, str_of(self->id));
        place->generation = self->generation;
        place->leads = self->leads;
    }
    group_history_end(self->history, place, error);
    return error;
}

/* ---- the assignment ---- */

static void make_plan(struct membership *self, uint32_t first, struct group_event *event)
{
    event->plan_count = self->peer_count;
    for (int32_t i = 0; i < self->peer_count; i++)
        event->plan[i].member = group_history_number(self->history, str_of(self->peers[i].id));
    for (int32_t p = 0; p < self->partition_count; p++)
        event->plan[(first + (uint32_t)p) % (uint32_t)self->peer_count].partitions |= UINT64_C(1)
                                                                                      << p;
}

static uint64_t read_owned(struct bytes assignment)
{
    if (assignment.size == 0)
        return 0;
    must(assignment.size == 8);
    return load_be64(assignment.data);
}

int membership_sync(struct membership *self, uint32_t first, int64_t timeout_ms)
{
    struct group_event event = membership_event(self, GROUP_SYNC), *place;
    struct sync_group_request_assignment assignments[GROUP_MEMBERS_MAX];
    uint8_t shares[GROUP_MEMBERS_MAX][8];
    struct sync_group_request message;
    sync_group_request_init(&message);
    if (self->leads && !self->skips && self->peer_count > 0)
        make_plan(self, first, &event);
    for (int32_t i = 0; i < event.plan_count; i++) {
        store_be64(shares[i], event.plan[i].partitions);
        assignments[i] = (struct sync_group_request_assignment){
            .member_id = str_of(self->peers[i].id), .assignment = {shares[i], 8}};
    }
    message.group_id = str_of(self->group);
    message.generation_id = self->generation;
    message.member_id = str_of(self->id);
    message.group_instance_id = str_or_null(self->instance);
    message.protocol_type = STR("consumer");
    message.protocol_name = str_of(self->protocol);
    message.assignments.items = assignments;
    message.assignments.count = event.plan_count;
    place = group_history_begin(self->history, &event);
    const struct sync_group_response *response =
        life_call(self->life, API_SYNC_GROUP, SYNC_VERSION, &message, timeout_ms * MS);
    if (!response)
        return GROUP_NO_ANSWER;
    if (response->error_code == 0)
        place->owned = self->owned = read_owned(response->assignment);
    group_history_end(self->history, place, response->error_code);
    return place->error;
}

/* ---- being a member ---- */

int membership_beat(struct membership *self)
{
    struct heartbeat_request message;
    struct group_event event = membership_event(self, GROUP_BEAT), *place;
    heartbeat_request_init(&message);
    message.group_id = str_of(self->group);
    message.generation_id = self->generation;
    message.member_id = str_of(self->id);
    message.group_instance_id = str_or_null(self->instance);
    place = group_history_begin(self->history, &event);
    const struct heartbeat_response *response =
        life_call(self->life, API_HEARTBEAT, BEAT_VERSION, &message, 0);
    group_history_end(self->history, place, response ? response->error_code : GROUP_NO_ANSWER);
    return place->error;
}

int membership_leave(struct membership *self)
{
    struct leave_group_request_member_identity who;
    struct leave_group_request message;
    struct group_event event = membership_event(self, GROUP_LEAVE), *place;
    leave_group_request_init(&message);
    leave_group_request_member_identity_init(&who);
    who.member_id = str_of(self->id);
    who.group_instance_id = str_or_null(self->instance);
    message.group_id = str_of(self->group);
    message.members.items = &who;
    message.members.count = 1;
    place = group_history_begin(self->history, &event);
    const struct leave_group_response *response =
        life_call(self->life, API_LEAVE_GROUP, LEAVE_VERSION, &message, 0);
    int error = response ? response->error_code : GROUP_NO_ANSWER;
    if (response && error == 0 && response->members.count == 1)
        error = response->members.items[0].error_code;
    group_history_end(self->history, place, error);
    return error;
}

/* ---- offsets ---- */

int membership_commit(struct membership *self, const struct membership_claim *claim,
                      int32_t partition, int64_t offset)
{
    struct offset_commit_request_partition part;
    struct offset_commit_request_topic topic;
    struct offset_commit_request message;
    struct group_event event = membership_event(self, GROUP_COMMIT), *place;
    char tag[GROUP_NAME_MAX];
    snprintf(tag, sizeof tag, "%s-%d", self->history->self, self->history->tags++);
    event.member = *claim->id ? group_history_number(self->history, str_of(claim->id)) : -1;
    event.generation = claim->generation;
    event.partition = partition;
    event.offset = offset;
    event.tag = group_history_number(self->history, str_of(tag));
    offset_commit_request_init(&message);
    offset_commit_request_topic_init(&topic);
    offset_commit_request_partition_init(&part);
    part.partition_index = partition;
    part.committed_offset = offset;
    part.committed_metadata = str_of(tag);
    topic.name = str_of(self->topic);
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    message.group_id = str_of(self->group);
    message.generation_id_or_member_epoch = claim->generation;
    message.member_id = str_of(claim->id);
    message.group_instance_id = str_or_null(self->instance);
    message.topics.items = &topic;
    message.topics.count = 1;
    place = group_history_begin(self->history, &event);
    const struct offset_commit_response *response =
        life_call(self->life, API_OFFSET_COMMIT, COMMIT_VERSION, &message, 0);
    bool answered = response && response->topics.count == 1;
    int error =
        answered ? response->topics.items[0].partitions.items[0].error_code : GROUP_NO_ANSWER;
    group_history_end(self->history, place, error);
    return error;
}

struct found_offset {
    int error;
    int64_t offset;
    struct str metadata;
};

static struct found_offset fetch_older(struct membership *self, int32_t partition)
{
    struct offset_fetch_request_topic topic = {.name = str_of(self->topic),
                                               .partition_indexes = {&partition, 1}};
    struct offset_fetch_request message;
    struct found_offset found = {.error = GROUP_NO_ANSWER};
    offset_fetch_request_init(&message);
    message.group_id = str_of(self->group);
    message.topics.items = &topic;
    message.topics.count = 1;
    message.require_stable = true;
    const struct offset_fetch_response *response =
        life_call(self->life, API_OFFSET_FETCH, FETCH_OLDER, &message, 0);
    if (!response)
        return found;
    found.error = response->error_code;
    if (found.error != 0)
        return found;
    must(response->topics.count == 1 && response->topics.items[0].partitions.count == 1);
    const struct offset_fetch_response_partition *part =
        &response->topics.items[0].partitions.items[0];
    return (struct found_offset){part->error_code, part->committed_offset, part->metadata};
}

static struct found_offset fetch_newer(struct membership *self, int32_t partition)
{
    struct offset_fetch_request_topics topic;
    struct offset_fetch_request_group group;
    struct offset_fetch_request message;
    struct found_offset found = {.error = GROUP_NO_ANSWER};
    offset_fetch_request_init(&message);
    offset_fetch_request_group_init(&group);
    offset_fetch_request_topics_init(&topic);
    topic.name = str_of(self->topic);
    topic.partition_indexes.items = &partition;
    topic.partition_indexes.count = 1;
    group.group_id = str_of(self->group);
    group.topics.items = &topic;
    group.topics.count = 1;
    message.groups.items = &group;
    message.groups.count = 1;
    message.require_stable = true;
    const struct offset_fetch_response *response =
        life_call(self->life, API_OFFSET_FETCH, FETCH_NEWER, &message, 0);
    if (!response || response->groups.count != 1)
        return found;
    const struct offset_fetch_response_group *answer = &response->groups.items[0];
    found.error = answer->error_code;
    if (found.error != 0)
        return found;
    must(answer->topics.count == 1 && answer->topics.items[0].partitions.count == 1);
    const struct offset_fetch_response_partitions *part =
        &answer->topics.items[0].partitions.items[0];
    return (struct found_offset){part->error_code, part->committed_offset, part->metadata};
}

int membership_fetch(struct membership *self, int32_t partition, int64_t *ret_offset)
{
    struct group_event event = membership_event(self, GROUP_FETCH), *place;
    event.partition = partition;
    event.offset = -1;
    place = group_history_begin(self->history, &event);
    struct found_offset found =
        self->join_version % 2 == 0 ? fetch_older(self, partition) : fetch_newer(self, partition);
    if (found.error == 0) {
        place->offset = *ret_offset = found.offset;
        if (found.offset >= 0 && found.metadata.size > 0)
            place->tag = group_history_number(self->history, found.metadata);
    }
    group_history_end(self->history, place, found.error);
    return found.error;
}
