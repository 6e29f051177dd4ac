/* ConsumerGroupDescribe: a group as it is, with the names of its topics. */
#include <errno.h>

#include "base/errors.h"
#include "group/consumer_metadata.h"
#include "group/consumer_ops.h"

/* MemberType of the answer. */
enum { MEMBER_CLASSIC = 0, MEMBER_CONSUMER = 1 };

static bool copy_or_null(struct arena *arena, struct str from, struct str *ret)
{
    *ret = from.data ? arena_str(arena, from) : (struct str){NULL, 0};
    return !from.data || ret->data;
}

/* Topics that are gone have no name and are left out. */
static bool describe_assignment(struct arena *arena, const struct image *image,
                                const struct assignment *from,
                                struct consumer_group_describe_response_assignment *ret)
{
    int32_t *partitions = arena_array(arena, (size_t)from->count, sizeof *partitions);
    ret->topic_partitions.items =
        consumer_group_describe_response_topic_partitions_array(arena, from->count);
    ret->topic_partitions.count = 0;
    if (!partitions || !ret->topic_partitions.items)
        return false;
    for (int32_t i = 0; i < from->count;) {
        const struct topic_image *topic = image ? image_topic(image, from->items[i].topic) : NULL;
        struct consumer_group_describe_response_topic_partitions *out =
            &ret->topic_partitions.items[ret->topic_partitions.count];
        struct uuid id = from->items[i].topic;
        int32_t first = i;
        for (; i < from->count && uuid_equal(from->items[i].topic, id); i++)
            partitions[i] = from->items[i].partition;
        if (!topic)
            continue;
        out->topic_id = id;
        out->partitions = (struct int32_array){partitions + first, i - first};
        if (!copy_or_null(arena, topic->name, &out->topic_name))
            return false;
        ret->topic_partitions.count++;
    }
    return true;
}

/* What the member is to give up is its own until it has. */
static bool describe_current(struct arena *arena, const struct image *image,
                             const struct consumer_current *current,
                             struct consumer_group_describe_response_assignment *ret)
{
    const struct assignment *assigned = &current->assigned, *revoking = &current->revoking;
    struct assignment all = {
        arena_array(arena, (size_t)assigned->count + (size_t)revoking->count, sizeof *all.items),
        assigned->count + revoking->count};
    if (!all.items)
        return false;
    if (assigned->count > 0)
        memcpy(all.items, assigned->items, (size_t)assigned->count * sizeof *all.items);
    if (revoking->count > 0)
        memcpy(all.items + assigned->count, revoking->items,
               (size_t)revoking->count * sizeof *all.items);
    assignment_normalize(&all);
    return describe_assignment(arena, image, &all, ret);
}

static bool describe_topics(struct arena *arena, struct str_array from, struct str_array *ret)
{
    *ret =
        (struct str_array){arena_array(arena, (size_t)from.count, sizeof *ret->items), from.count};
    for (int32_t i = 0; ret->items && i < from.count; i++)
        if (!copy_or_null(arena, from.items[i], &ret->items[i]))
            return false;
    return ret->items;
}

static bool describe_member(const struct consumer_describe *describe, const struct image *image,
                            const struct consumer_member *member,
                            struct consumer_group_describe_response_member *out)
{
    const struct consumer_subscription *subscription = &member->subscription;
    struct arena *arena = describe->arena;
    consumer_group_describe_response_member_init(out);
    out->member_epoch = member->current.epoch;
    out->member_type = subscription->classic ? MEMBER_CLASSIC : MEMBER_CONSUMER;
    return copy_or_null(arena, member->id, &out->member_id) &&
           copy_or_null(arena, subscription->instance_id, &out->instance_id) &&
           copy_or_null(arena, subscription->rack_id, &out->rack_id) &&
           copy_or_null(arena, subscription->client_id, &out->client_id) &&
           copy_or_null(arena, subscription->client_host, &out->client_host) &&
           copy_or_null(arena, str_or_empty(subscription->regex), &out->subscribed_topic_regex) &&
           describe_topics(arena, subscription->topics, &out->subscribed_topic_names) &&
           describe_current(arena, image, &member->current, &out->assignment) &&
           describe_assignment(arena, image, &member->target, &out->target_assignment);
}

static int describe_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct consumer_describe *describe = container_of(op, struct consumer_describe, op);
    struct consumer_group_describe_response_described_group *out = describe->answer;
    const struct group *group = group_find(state, describe->group);
    const struct consumer_group *consumer = consumer_group_of(group);
    const struct consumer_change nothing = {NULL, NULL};
    const struct consumer_member *member;
    op->await_offset = group_await(state, group);
    if (!consumer)
        return KAFKA_GROUP_ID_NOT_FOUND;
    out->group_id = describe->group;
    out->group_state = consumer_kind.state_name(group);
    out->group_epoch = consumer->epoch;
    out->assignment_epoch = consumer->assignment_epoch;
    out->assignor_name = str_of(consumer_preferred_assignor(consumer, &nothing, turn->settings));
    out->members.items =
        consumer_group_describe_response_member_array(describe->arena, consumer->member_count);
    if (!out->members.items)
        return -ENOMEM;
    struct map_at at = {0};
    while ((member = consumer_member_next(consumer, &at)))
        if (!describe_member(describe, turn->image, member,
                             &out->members.items[out->members.count++]))
            return -ENOMEM;
    return 0;
}

void consumer_describe_init(struct consumer_describe *describe)
{
    *describe = (struct consumer_describe){0};
    coord_op_init(&describe->op);
    describe->op.access = COORD_READ;
    describe->op.decide = describe_decide;
}
