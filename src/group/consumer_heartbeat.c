/* ConsumerGroupHeartbeat: everything that a member does in one request (KIP-848). What it comes to
 * is consumer_step.c's. */
#include <errno.h>

#include "base/errors.h"
#include "group/consumer_assign.h"
#include "group/consumer_migrate.h"
#include "group/consumer_records.h"
#include "group/consumer_regex.h"
#include "group/consumer_step.h"
#include "group/consumer_timers.h"

static int refuse(struct consumer_heartbeat *heartbeat, int error, const char *message)
{
    heartbeat->message = message;
    return error;
}

/* ---- checks without a group ---- */

/* As Kafka counts: with nothing in it but what Java trims, spaces and control characters. */
static bool is_blank(struct str text)
{
    for (int32_t i = 0; i < text.size; i++)
        if ((uint8_t)text.data[i] > ' ')
            return false;
    return text.data;
}

static const char *what_is_missing(const struct consumer_group_heartbeat_request *request,
                                   int16_t version)
{
    int32_t epoch = request->member_epoch;
    if ((version >= CONSUMER_HEARTBEAT_OWN_MEMBER_ID || epoch > 0 ||
         epoch == CONSUMER_EPOCH_LEAVE) &&
        is_blank(request->member_id))
        return "MemberId must not be empty.";
    if (is_blank(request->group_id))
        return "GroupId must not be empty.";
    if (is_blank(request->instance_id))
        return "InstanceId must not be empty.";
    if (is_blank(request->rack_id))
        return "RackId must not be empty.";
    if (epoch == CONSUMER_EPOCH_JOIN) {
        if (request->rebalance_timeout_ms == -1)
            return "A member that joins must send RebalanceTimeoutMs.";
        if (request->topic_partitions.count != 0)
            return "A member that joins must send an empty TopicPartitions.";
        if (request->subscribed_topic_names.count < 0 && !request->subscribed_topic_regex.data)
            return "A member that joins must send SubscribedTopicNames or SubscribedTopicRegex.";
    } else if (epoch == CONSUMER_EPOCH_LEAVE_STATIC) {
        if (!request->instance_id.data)
            return "Only a member with an InstanceId leaves for a while.";
    } else if (epoch < CONSUMER_EPOCH_LEAVE_STATIC) {
        return "There is no such MemberEpoch.";
    }
    return NULL;
}

static bool is_offered(const struct broker_settings *settings, struct str assignor)
{
    for (int i = 0; i < settings->group_consumer_assignor_count; i++)
        if (str_equal(str_of(settings->group_consumer_assignors[i]), assignor))
            return true;
    return false;
}

int consumer_heartbeat_check(const struct consumer_group_heartbeat_request *request,
                             int16_t version, const struct broker_settings *settings,
                             const char **ret_message)
{
    *ret_message = what_is_missing(request, version);
    if (*ret_message)
        return KAFKA_INVALID_REQUEST;
    if (request->server_assignor.data && !is_offered(settings, request->server_assignor)) {
        *ret_message = "ServerAssignor is not one of group.consumer.assignors.";
        return KAFKA_UNSUPPORTED_ASSIGNOR;
    }
    return 0;
}

/* ---- the answer ---- */

static const struct consumer_group_heartbeat_response_assignment *
answer_assignment(struct arena *arena, const struct assignment *assigned)
{
    struct consumer_group_heartbeat_response_assignment *answer =
        arena_alloc(arena, sizeof *answer);
    struct consumer_group_heartbeat_response_topic_partitions *topics =
        arena_array(arena, (size_t)assigned->count, sizeof *topics);
    int32_t *partitions = arena_array(arena, (size_t)assigned->count, sizeof *partitions);
    int32_t count = 0;
    if (!answer || !topics || !partitions)
        return NULL;
    for (int32_t i = 0; i < assigned->count; i++) {
        if (i == 0 || !uuid_equal(assigned->items[i].topic, assigned->items[i - 1].topic)) {
            consumer_group_heartbeat_response_topic_partitions_init(&topics[count]);
            topics[count].topic_id = assigned->items[i].topic;
            topics[count].partitions = (struct int32_array){partitions + i, 0};
            count++;
        }
        partitions[i] = assigned->items[i].partition;
        topics[count - 1].partitions.count++;
    }
    consumer_group_heartbeat_response_assignment_init(answer);
    answer->topic_partitions.items = topics;
    answer->topic_partitions.count = count;
    return answer;
}

static int answer(struct consumer_heartbeat *heartbeat, const struct consumer_step *step)
{
    const struct consumer_group_heartbeat_request *request = step->request;
    struct consumer_group_heartbeat_response *response = &heartbeat->response;
    const struct consumer_current *next = &step->next;
    bool full =
        request->rebalance_timeout_ms != -1 &&
        (request->subscribed_topic_names.count >= 0 || request->subscribed_topic_regex.data) &&
        request->topic_partitions.count >= 0;
    const struct group named = {.id = request->group_id};
    response->member_id = step->member_id;
    response->member_epoch = next->epoch;
    response->heartbeat_interval_ms = consumer_heartbeat_interval_ms(&named, step->turn);
    if (request->member_epoch != CONSUMER_EPOCH_JOIN && !full &&
        assignment_equal(&step->current.assigned, &next->assigned))
        return 0;
    response->assignment = answer_assignment(step->arena, &next->assigned);
    return response->assignment ? 0 : -ENOMEM;
}

/* ---- all of it ---- */

static int stay(struct consumer_heartbeat *heartbeat, struct consumer_step *step)
{
    int err = consumer_step_run(step);
    heartbeat->message = step->message;
    heartbeat->member_id = step->member_id;
    heartbeat->metadata_checked = step->metadata_checked;
    heartbeat->current_changed = step->current_changed;
    return err == 0 ? answer(heartbeat, step) : err;
}

static int leave(struct consumer_heartbeat *heartbeat, struct consumer_step *step)
{
    const struct consumer_group_heartbeat_request *request = step->request;
    heartbeat->leaves = true;
    heartbeat->response.member_id = request->member_id;
    heartbeat->response.member_epoch = request->member_epoch;
    if (!consumer_group_of(step->group))
        return refuse(heartbeat, KAFKA_GROUP_ID_NOT_FOUND, "There is no such consumer group.");
    step->consumer = step->group->consumer;
    if (!request->instance_id.data)
        step->member = consumer_member_find(step->consumer, request->member_id);
    else
        step->member = consumer_static_find(step->consumer, request->instance_id);
    if (!step->member)
        return refuse(heartbeat, KAFKA_UNKNOWN_MEMBER_ID, "The member is not in the group.");
    if (!str_equal(step->member->id, request->member_id))
        return refuse(heartbeat, KAFKA_FENCED_INSTANCE_ID,
                      "Another member has taken over the instance id.");
    if (request->instance_id.data && request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC) {
        /* It keeps its partitions until it comes back or its session ends. */
        struct consumer_current away = step->member->current;
        away.epoch = CONSUMER_EPOCH_LEAVE_STATIC;
        away.revoking = (struct assignment){NULL, 0};
        away.assigned.items =
            arena_array(step->arena, (size_t)away.assigned.count, sizeof *away.assigned.items);
        if (!away.assigned.items)
            return -ENOMEM;
        for (int32_t i = 0; i < away.assigned.count; i++) {
            away.assigned.items[i] = step->member->current.assigned.items[i];
            away.assigned.items[i].epoch = 0;
        }
        return put_consumer_current(step->op, step->arena, request->group_id, step->member->id,
                                    &away);
    }
    return consumer_put_fenced(step->op, step->arena, step->consumer, &step->member, 1, step->turn);
}

static int heartbeat_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct consumer_heartbeat *heartbeat = container_of(op, struct consumer_heartbeat, op);
    struct consumer_step step = {
        .op = op,
        .turn = turn,
        .shard = state,
        .arena = heartbeat->arena,
        .request = heartbeat->request,
        .client = &heartbeat->client,
        .compile_error = heartbeat->compile_error,
        .compile_message = heartbeat->compile_message,
        .group = group_find(state, heartbeat->request->group_id),
    };
    struct consumer_upgrade upgrade = {0};
    op->await_offset = group_await(state, step.group);
    if (heartbeat->request->member_epoch < 0)
        return leave(heartbeat, &step);
    step.upgrade = &upgrade;
    int err = stay(heartbeat, &step);
    heartbeat->upgraded = upgrade.begun;
    consumer_upgrade_end(&upgrade);
    return err;
}

static void heartbeat_settle(struct coord_op *op, void *state, const struct coord_turn *turn,
                             int error)
{
    struct consumer_heartbeat *heartbeat = container_of(op, struct consumer_heartbeat, op);
    struct group_shard *shard = state;
    if (error != 0 || heartbeat->leaves)
        return;
    struct consumer_group *consumer =
        consumer_group_of(group_find(shard, heartbeat->request->group_id));
    struct consumer_member *member =
        consumer ? consumer_member_find(consumer, heartbeat->member_id) : NULL;
    if (!member)
        return;
    if (heartbeat->metadata_checked)
        consumer->metadata_fresh = true;
    if (heartbeat->upgraded)
        consumer_kind.loaded(shard, consumer->group, turn); /* sessions of those it took over */
    consumer_session_start(shard, member, turn);
    if (heartbeat->current_changed)
        consumer_rebalance_start(shard, member, turn);
    consumer_regex_look(shard, consumer, turn);
    consumer_assign_look(shard, consumer, turn);
}

void consumer_heartbeat_init(struct consumer_heartbeat *heartbeat,
                             const struct consumer_group_heartbeat_request *request,
                             int16_t version, const struct classic_client *client,
                             struct arena *arena)
{
    *heartbeat = (struct consumer_heartbeat){
        .request = request, .version = version, .client = *client, .arena = arena};
    consumer_group_heartbeat_response_init(&heartbeat->response);
    coord_op_init(&heartbeat->op);
    heartbeat->op.access = COORD_WRITE;
    heartbeat->op.decide = heartbeat_decide;
    heartbeat->op.settle = heartbeat_settle;
}
