/* Records of consumer groups to state. What contradicts the state is passed over, not guessed at:
 * it takes a log that neither this broker nor Kafka has written. */
#include <stdlib.h>

#include "group/classic.h"
#include "group/consumer_group.h"
#include "protocol/stored.h"

/* The group of a record; made, where the record makes one. Groups that only commits have touched
 * turn into what the record says. NULL: there is none, or it is of another type. */
static struct consumer_group *group_of(struct group_shard *shard, struct str id, int64_t offset,
                                       bool create)
{
    struct group *group = create ? group_get(shard, id) : group_find_any(shard, id);
    bool simple = group && group->type == GROUP_CLASSIC && !group->classic;
    if (create && (group->type == GROUP_NONE || simple))
        group_set_type(shard, group, GROUP_CONSUMER);
    if (group && group->type == GROUP_CONSUMER)
        group->end_offset = offset + 1;
    return consumer_group_of(group);
}

/* ---- from the records' form ---- */

static struct assignment room(int64_t count)
{
    return (struct assignment){group_alloc((size_t)count * sizeof(struct assigned)), 0};
}

static struct assignment
assignment_of(const struct consumer_group_current_member_assignment_value_topic_partitions *topics,
              int32_t count, int32_t epoch)
{
    int64_t total = 0;
    for (int32_t i = 0; i < count; i++)
        total += topics[i].partitions.count;
    struct assignment assignment = room(total);
    for (int32_t i = 0; i < count; i++) {
        const struct int32_array *epochs = &topics[i].assignment_epochs;
        bool has_epochs = epochs->items && epochs->count == topics[i].partitions.count;
        for (int32_t p = 0; p < topics[i].partitions.count; p++)
            assignment.items[assignment.count++] =
                (struct assigned){topics[i].topic_id, topics[i].partitions.items[p],
                                  has_epochs ? epochs->items[p] : epoch};
    }
    assignment_normalize(&assignment);
    return assignment;
}

static struct assignment
target_of(const struct consumer_group_target_assignment_member_value *value)
{
    int64_t total = 0;
    for (int32_t i = 0; i < value->topic_partitions.count; i++)
        total += value->topic_partitions.items[i].partitions.count;
    struct assignment assignment = room(total);
    for (int32_t i = 0; i < value->topic_partitions.count; i++) {
        const struct consumer_group_target_assignment_member_value_topic_partition *topic =
            &value->topic_partitions.items[i];
        for (int32_t p = 0; p < topic->partitions.count; p++)
            assignment.items[assignment.count++] =
                (struct assigned){topic->topic_id, topic->partitions.items[p], 0};
    }
    assignment_normalize(&assignment);
    return assignment;
}

static enum consumer_member_state state_of(int8_t number)
{
    switch (number) {
    case CONSUMER_STABLE:
    case CONSUMER_UNREVOKED:
    case CONSUMER_UNRELEASED:
        return (enum consumer_member_state)number;
    default:
        return CONSUMER_UNKNOWN;
    }
}

/* ---- the types ---- */

static void apply_group(struct group_shard *shard, struct consumer_group *consumer,
                        const struct consumer_group_metadata_value *value)
{
    struct group *group = consumer->group;
    if (value) {
        consumer->epoch = value->epoch;
        consumer->metadata_hash = value->metadata_hash;
        return;
    }
    group_set_type(shard, group, GROUP_NONE);
    group_drop_if_unused(shard, group);
}

static void apply_member(struct group_shard *shard, struct consumer_group *consumer, struct str id,
                         const struct consumer_group_member_metadata_value *value)
{
    if (!value) {
        struct consumer_member *member = consumer_member_find(consumer, id);
        if (member)
            consumer_leave_group(shard, member);
        return;
    }
    const struct consumer_subscription subscription = {
        .instance_id = value->instance_id,
        .rack_id = value->rack_id,
        .client_id = value->client_id,
        .client_host = value->client_host,
        .topics = value->subscribed_topic_names,
        .regex = value->subscribed_topic_regex,
        .assignor = value->server_assignor,
        .rebalance_timeout_ms = value->rebalance_timeout_ms,
        .classic = value->classic_member_metadata,
    };
    consumer_set_subscription(shard, consumer_member_get(shard, consumer, id), &subscription);
}

static void apply_current(struct group_shard *shard, struct consumer_group *consumer, struct str id,
                          const struct consumer_group_current_member_assignment_value *value)
{
    struct consumer_current current = {.epoch = CONSUMER_EPOCH_NONE,
                                       .previous_epoch = CONSUMER_EPOCH_NONE};
    struct consumer_member *member = consumer_member_find(consumer, id);
    if (!value) {
        if (member)
            consumer_set_current(member, &current);
        return;
    }
    if (!member) { /* its metadata comes later in the log */
        const struct consumer_subscription nothing = {.client_id = STR(""), .client_host = STR("")};
        member = consumer_member_get(shard, consumer, id);
        consumer_set_subscription(shard, member, &nothing);
    }
    int32_t epoch = value->member_epoch > 0 ? value->member_epoch : 0;
    current = (struct consumer_current){
        .epoch = value->member_epoch,
        .previous_epoch = value->previous_member_epoch,
        .state = state_of(value->state),
        .assigned = assignment_of(value->assigned_partitions.items,
                                  value->assigned_partitions.count, epoch),
        .revoking = assignment_of(value->partitions_pending_revocation.items,
                                  value->partitions_pending_revocation.count, epoch),
    };
    consumer_set_current(member, &current);
    assignment_drop(&current.assigned);
    assignment_drop(&current.revoking);
}

static void apply_target(struct group_shard *shard, struct consumer_group *consumer, struct str id,
                         const struct consumer_group_target_assignment_member_value *value)
{
    if (value) {
        struct assignment target = target_of(value);
        consumer_set_target(consumer_member_get(shard, consumer, id), &target);
        assignment_drop(&target);
        return;
    }
    struct consumer_member **member = map_find_str(&consumer->members, id);
    if (member)
        consumer_drop_target(shard, *member);
}

static void
apply_target_metadata(struct consumer_group *consumer,
                      const struct consumer_group_target_assignment_metadata_value *value)
{
    consumer->assignment_epoch = value ? value->assignment_epoch : CONSUMER_EPOCH_NONE;
    consumer->assignment_timestamp_ms = value ? value->assignment_timestamp : 0;
}

/* The group's id is the first field of every key, the member's the second. */
_Static_assert(offsetof(struct consumer_group_member_metadata_key, group_id) == 0, "key");
_Static_assert(offsetof(struct consumer_group_current_member_assignment_key, group_id) == 0, "key");
_Static_assert(offsetof(struct consumer_group_target_assignment_member_key, group_id) == 0, "key");
_Static_assert(offsetof(struct consumer_group_regular_expression_key, group_id) == 0, "key");
_Static_assert(offsetof(struct consumer_group_current_member_assignment_key, member_id) ==
                   offsetof(struct consumer_group_member_metadata_key, member_id),
               "key");
_Static_assert(offsetof(struct consumer_group_target_assignment_member_key, member_id) ==
                   offsetof(struct consumer_group_member_metadata_key, member_id),
               "key");
_Static_assert(offsetof(struct consumer_group_regular_expression_key, regular_expression) ==
                   offsetof(struct consumer_group_member_metadata_key, member_id),
               "key");

bool consumer_apply(struct group_shard *shard, const struct coord_record *record, int16_t type,
                    const void *key, const void *value, const char **ret_why)
{
    const struct consumer_group_member_metadata_key *ids = key;
    *ret_why = NULL;
    switch (type) {
    case GROUP_RECORD_CONSUMER_GROUP_METADATA:
    case GROUP_RECORD_CONSUMER_GROUP_PARTITION_METADATA:
    case GROUP_RECORD_CONSUMER_GROUP_MEMBER_METADATA:
    case GROUP_RECORD_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA:
    case GROUP_RECORD_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER:
    case GROUP_RECORD_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT:
    case GROUP_RECORD_CONSUMER_GROUP_REGULAR_EXPRESSION:
        break;
    default:
        return false;
    }
    struct consumer_group *consumer = group_of(shard, ids->group_id, record->offset, value != NULL);
    if (!consumer) {
        *ret_why = value ? "the group is of another type" : NULL;
        return true;
    }
    if (type == GROUP_RECORD_CONSUMER_GROUP_METADATA)
        apply_group(shard, consumer, value);
    else if (type == GROUP_RECORD_CONSUMER_GROUP_PARTITION_METADATA)
        consumer->has_partition_metadata = value != NULL;
    else if (type == GROUP_RECORD_CONSUMER_GROUP_MEMBER_METADATA)
        apply_member(shard, consumer, ids->member_id, value);
    else if (type == GROUP_RECORD_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA)
        apply_target_metadata(consumer, value);
    else if (type == GROUP_RECORD_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER)
        apply_target(shard, consumer, ids->member_id, value);
    else if (type == GROUP_RECORD_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT)
        apply_current(shard, consumer, ids->member_id, value);
    else
        consumer_set_regex(shard, consumer, ids->member_id, value);
    return true;
}
