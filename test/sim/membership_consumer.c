/* Heartbeats of the consumer protocol. */
#include <stdio.h>

#include "base/errors.h"
#include "base/must.h"
#include "membership.h"
#include "protocol/messages.h"

enum { HEART_VERSION = 1 };

static uint64_t read_given(struct membership *self,
                           const struct consumer_group_heartbeat_response_assignment *assignment)
{
    uint64_t given = 0;
    must(assignment->topic_partitions.count <= 1); /* of the one topic */
    for (int32_t t = 0; t < assignment->topic_partitions.count; t++) {
        const struct consumer_group_heartbeat_response_topic_partitions *topic =
            &assignment->topic_partitions.items[t];
        self->topic_id = topic->topic_id;
        for (int32_t i = 0; i < topic->partitions.count; i++)
            given |= UINT64_C(1) << topic->partitions.items[i];
    }
    return given;
}

int membership_heart(struct membership *self, int32_t epoch, bool full, bool *ret_gives,
                     uint64_t *ret_given)
{
    struct consumer_group_heartbeat_request_topic_partitions owned;
    struct consumer_group_heartbeat_request message;
    struct group_event event = membership_event(self, GROUP_HEART), *place;
    struct str topic = str_of(self->topic);
    int32_t partitions[GROUP_PARTITIONS_MAX];
    event.generation = epoch;
    event.owned = self->owned;
    event.session_ms = self->session_ms;
    event.rebalance_ms = self->rebalance_ms;
    consumer_group_heartbeat_request_init(&message);
    consumer_group_heartbeat_request_topic_partitions_init(&owned);
    owned.topic_id = self->topic_id;
    owned.partitions.items = partitions;
    for (int32_t p = 0; p < self->partition_count; p++)
        if (self->owned >> p & 1)
            partitions[owned.partitions.count++] = p;
    message.group_id = str_of(self->group);
    message.member_id = str_of(self->id);
    message.member_epoch = epoch;
    message.instance_id = self->instance ? str_of(self->instance) : (struct str){NULL, 0};
    if (full) {
        message.rebalance_timeout_ms = self->rebalance_ms;
        message.subscribed_topic_names = (struct str_array){&topic, 1};
        if (self->assignor)
            message.server_assignor = str_of(self->assignor);
    }
    if (full || (!self->told && epoch > 0)) {
        message.topic_partitions.items = &owned;
        message.topic_partitions.count = self->owned != 0;
    }
    place = group_history_begin(self->history, &event);
    const struct consumer_group_heartbeat_response *response =
        life_call(self->life, API_CONSUMER_GROUP_HEARTBEAT, HEART_VERSION, &message, 0);
    if (!response)
        return GROUP_NO_ANSWER;
    *ret_gives = false;
    if (response->error_code == 0) {
        place->epoch = self->generation = response->member_epoch;
        self->told = true;
        if (response->assignment) {
            place->gives = *ret_gives = true;
            place->given = *ret_given = read_given(self, response->assignment);
        }
    }
    group_history_end(self->history, place, response->error_code);
    return response->error_code;
}
