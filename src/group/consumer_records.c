#include "group/consumer_records.h"

#include <errno.h>

#include "protocol/stored.h"

static int put(struct coord_op *op, int16_t type, const void *key, const void *value)
{
    return coord_op_put(op, coordinator_record_find(COORDINATOR_GROUP, type), key, value, 0);
}

int put_consumer_group(struct coord_op *op, struct str group, int32_t epoch, int64_t hash)
{
    const struct consumer_group_metadata_key key = {.group_id = group};
    struct consumer_group_metadata_value value;
    consumer_group_metadata_value_init(&value);
    value.epoch = epoch;
    value.metadata_hash = hash;
    return put(op, GROUP_RECORD_CONSUMER_GROUP_METADATA, &key, &value);
}

int put_consumer_member(struct coord_op *op, struct str group, struct str member,
                        const struct consumer_subscription *from)
{
    const struct consumer_group_member_metadata_key key = {group, member};
    struct consumer_group_member_metadata_value value;
    consumer_group_member_metadata_value_init(&value);
    value.instance_id = from->instance_id;
    value.rack_id = from->rack_id;
    value.client_id = str_or_empty(from->client_id);
    value.client_host = str_or_empty(from->client_host);
    value.subscribed_topic_names = from->topics;
    value.subscribed_topic_regex = str_or_empty(from->regex);
    value.rebalance_timeout_ms = from->rebalance_timeout_ms;
    value.server_assignor = from->assignor;
    value.classic_member_metadata = from->classic;
    return put(op, GROUP_RECORD_CONSUMER_GROUP_MEMBER_METADATA, &key, &value);
}

/* How many from here on are of the same topic. */
static int32_t run_length(const struct assignment *assignment, int32_t from)
{
    int32_t at = from + 1;
    while (at < assignment->count &&
           uuid_equal(assignment->items[at].topic, assignment->items[from].topic))
        at++;
    return at - from;
}

static int32_t topic_runs(const struct assignment *assignment)
{
    int32_t runs = 0;
    for (int32_t i = 0; i < assignment->count; i += run_length(assignment, i))
        runs++;
    return runs;
}

static bool fill_partitions(struct arena *arena, const struct assigned *items, int32_t count,
                            struct int32_array *ret)
{
    ret->items = arena_array(arena, (size_t)count, sizeof *ret->items);
    ret->count = count;
    for (int32_t i = 0; ret->items && i < count; i++)
        ret->items[i] = items[i].partition;
    return ret->items;
}

static bool
fill_current(struct arena *arena, const struct assignment *from,
             struct consumer_group_current_member_assignment_value_topic_partitions **ret_items,
             int32_t *ret_count)
{
    int32_t runs = topic_runs(from), run = 0;
    struct consumer_group_current_member_assignment_value_topic_partitions *items =
        consumer_group_current_member_assignment_value_topic_partitions_array(arena, runs);
    if (!items)
        return false;
    for (int32_t i = 0; i < from->count; i += items[run++].partitions.count) {
        int32_t count = run_length(from, i);
        items[run].topic_id = from->items[i].topic;
        struct int32_array epochs = {arena_array(arena, (size_t)count, sizeof *epochs.items),
                                     count};
        if (!epochs.items ||
            !fill_partitions(arena, &from->items[i], count, &items[run].partitions))
            return false;
        for (int32_t p = 0; p < count; p++)
            epochs.items[p] = from->items[i + p].epoch;
        items[run].assignment_epochs = epochs;
    }
    *ret_items = items;
    *ret_count = runs;
    return true;
}

int put_consumer_current(struct coord_op *op, struct arena *arena, struct str group,
                         struct str member, const struct consumer_current *current)
{
    const struct consumer_group_current_member_assignment_key key = {group, member};
    struct consumer_group_current_member_assignment_value value;
    consumer_group_current_member_assignment_value_init(&value);
    value.member_epoch = current->epoch;
    value.previous_member_epoch = current->previous_epoch;
    value.state = (int8_t)current->state;
    if (!fill_current(arena, &current->assigned, &value.assigned_partitions.items,
                      &value.assigned_partitions.count) ||
        !fill_current(arena, &current->revoking, &value.partitions_pending_revocation.items,
                      &value.partitions_pending_revocation.count))
        return -ENOMEM;
    return put(op, GROUP_RECORD_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT, &key, &value);
}

int put_consumer_target(struct coord_op *op, struct arena *arena, struct str group,
                        struct str member, const struct assignment *target)
{
    const struct consumer_group_target_assignment_member_key key = {group, member};
    struct consumer_group_target_assignment_member_value value;
    consumer_group_target_assignment_member_value_init(&value);
    int32_t runs = topic_runs(target), run = 0;
    struct consumer_group_target_assignment_member_value_topic_partition *items =
        consumer_group_target_assignment_member_value_topic_partition_array(arena, runs);
    if (!items)
        return -ENOMEM;
    for (int32_t i = 0; i < target->count; i += items[run++].partitions.count) {
        items[run].topic_id = target->items[i].topic;
        if (!fill_partitions(arena, &target->items[i], run_length(target, i),
                             &items[run].partitions))
            return -ENOMEM;
    }
    value.topic_partitions.items = items;
    value.topic_partitions.count = runs;
    return put(op, GROUP_RECORD_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER, &key, &value);
}

int put_consumer_target_metadata(struct coord_op *op, struct str group, int32_t epoch,
                                 int64_t timestamp_ms)
{
    const struct consumer_group_target_assignment_metadata_key key = {.group_id = group};
    struct consumer_group_target_assignment_metadata_value value;
    consumer_group_target_assignment_metadata_value_init(&value);
    value.assignment_epoch = epoch;
    value.assignment_timestamp = timestamp_ms;
    return put(op, GROUP_RECORD_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA, &key, &value);
}

int put_consumer_partition_metadata_tombstone(struct coord_op *op, struct str group)
{
    const struct consumer_group_partition_metadata_key key = {.group_id = group};
    return put(op, GROUP_RECORD_CONSUMER_GROUP_PARTITION_METADATA, &key, NULL);
}

static int put_member_tombstone(struct coord_op *op, int16_t type, struct str group,
                                struct str member)
{
    const struct consumer_group_member_metadata_key key = {group, member};
    return put(op, type, &key, NULL);
}

/* What is left of a member is taken away from the outside in. */
static const int16_t member_types[] = {
    GROUP_RECORD_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT,
    GROUP_RECORD_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER,
    GROUP_RECORD_CONSUMER_GROUP_MEMBER_METADATA,
};

int put_consumer_member_tombstones(struct coord_op *op, struct str group, struct str member)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < array_size(member_types); i++)
        err = put_member_tombstone(op, member_types[i], group, member);
    return err;
}

int put_consumer_regex(struct coord_op *op, struct str group, struct str regex,
                       struct str_array topics, int64_t version, int64_t timestamp_ms)
{
    const struct consumer_group_regular_expression_key key = {group, regex};
    struct consumer_group_regular_expression_value value;
    consumer_group_regular_expression_value_init(&value);
    value.topics = topics;
    value.version = version;
    value.timestamp = timestamp_ms;
    return put(op, GROUP_RECORD_CONSUMER_GROUP_REGULAR_EXPRESSION, &key, &value);
}

int put_consumer_regex_tombstone(struct coord_op *op, struct str group, struct str regex)
{
    const struct consumer_group_regular_expression_key key = {group, regex};
    return put(op, GROUP_RECORD_CONSUMER_GROUP_REGULAR_EXPRESSION, &key, NULL);
}

int put_consumer_group_tombstones(const struct group *group, struct coord_op *op)
{
    const struct consumer_group *consumer = group->consumer;
    const struct consumer_group_metadata_key key = {.group_id = group->id};
    int err = 0;
    for (size_t i = 0; err == 0 && i < array_size(member_types); i++) {
        if (member_types[i] == GROUP_RECORD_CONSUMER_GROUP_MEMBER_METADATA)
            err = put(op, GROUP_RECORD_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA, &key, NULL);
        for (struct map_at at = map_begin(&consumer->members);
             err == 0 && map_next(&consumer->members, &at);)
            err = put_member_tombstone(op, member_types[i], group->id, at.str);
    }
    for (struct map_at at = map_begin(&consumer->regexes);
         err == 0 && map_next(&consumer->regexes, &at);)
        err = put_consumer_regex_tombstone(op, group->id, at.str);
    if (err == 0)
        err = put_consumer_partition_metadata_tombstone(op, group->id);
    return err == 0 ? put(op, GROUP_RECORD_CONSUMER_GROUP_METADATA, &key, NULL) : err;
}
