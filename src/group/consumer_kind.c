/* The type "consumer": what the APIs of all types ask a group. */
#include "base/errors.h"
#include "group/consumer_migrate.h"
#include "group/consumer_records.h"
#include "group/consumer_timers.h"

/* From this version on OffsetCommit knows member epochs. */
enum { OFFSET_COMMIT_MEMBER_EPOCH = 9 };

static struct str consumer_state_name(const struct group *group)
{
    static const struct str names[] = {
        [CONSUMER_GROUP_EMPTY] = STR("Empty"),
        [CONSUMER_GROUP_ASSIGNING] = STR("Assigning"),
        [CONSUMER_GROUP_RECONCILING] = STR("Reconciling"),
        [CONSUMER_GROUP_STABLE] = STR("Stable"),
    };
    return names[consumer_group_state(group->consumer)];
}

static struct str consumer_protocol_type(const struct group *group)
{
    (void)group;
    return STR("consumer");
}

static bool consumer_is_empty(const struct group *group)
{
    return group->consumer->member_count == 0;
}

/* In words that the member's protocol knows. */
static int stale(const struct consumer_member *member)
{
    return member->subscription.classic ? KAFKA_ILLEGAL_GENERATION : KAFKA_STALE_MEMBER_EPOCH;
}

static int consumer_check_commit(const struct group *group, const struct group_committer *who)
{
    const struct consumer_group *consumer = group->consumer;
    if (who->generation < 0 && consumer->member_count == 0)
        return 0;
    if (who->transactional && who->generation == -1 && who->member_id.size == 0 &&
        !who->instance_id.data)
        return 0;
    const struct consumer_member *member = consumer_member_find(consumer, who->member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (!who->transactional && !member->subscription.classic &&
        who->version < OFFSET_COMMIT_MEMBER_EPOCH)
        return KAFKA_UNSUPPORTED_VERSION;
    return who->generation > member->current.epoch ? stale(member) : 0;
}

/* An older epoch will do for a partition that the member has held ever since: its position was not
 * handed to anybody (KIP-1251). */
static int consumer_check_commit_partition(const struct group *group,
                                           const struct group_committer *who, struct uuid topic_id,
                                           int32_t partition)
{
    const struct consumer_member *member = consumer_member_find(group->consumer, who->member_id);
    if (!member || who->generation == member->current.epoch)
        return 0;
    const struct assigned *item = assignment_find(&member->current.assigned, topic_id, partition);
    if (!item)
        item = assignment_find(&member->current.revoking, topic_id, partition);
    return item && who->generation >= item->epoch ? 0 : stale(member);
}

static int consumer_check_fetch(const struct group *group, struct str member_id,
                                int32_t member_epoch)
{
    if (!member_id.data && member_epoch < 0)
        return 0;
    const struct consumer_member *member = consumer_member_find(group->consumer, member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    return member_epoch == member->current.epoch ? 0 : stale(member);
}

static int consumer_check_delete_offsets(const struct group *group)
{
    (void)group; /* topics that members subscribe to are protected */
    return 0;
}

static int consumer_check_delete(const struct group *group)
{
    return consumer_is_empty(group) ? 0 : KAFKA_NON_EMPTY_GROUP;
}

static bool consumer_subscribes(const struct group *group, struct str topic)
{
    return consumer_topic_find(group->consumer, topic) != NULL;
}

static bool consumer_offsets_expire(const struct group *group, int64_t *ret_since_ms)
{
    (void)group;
    *ret_since_ms = -1; /* from each commit; what is subscribed to does not expire */
    return true;
}

static void consumer_member_seen(struct group_shard *shard, struct group *group,
                                 struct str member_id, const struct coord_turn *turn)
{
    /* A commit is no heartbeat here, whichever protocol the member speaks. */
    (void)shard, (void)group, (void)member_id, (void)turn;
}

static void consumer_loaded(struct group_shard *shard, struct group *group,
                            const struct coord_turn *turn)
{
    struct consumer_member *member;
    group->consumer->metadata_fresh = false;
    for (struct map_at at = map_begin(&group->consumer->members);
         (member = consumer_member_next(group->consumer, &at));) {
        consumer_session_start(shard, member, turn);
        consumer_rebalance_start(shard, member, turn);
    }
    consumer_downgrade_look(shard, group->consumer);
}

const struct group_kind consumer_kind = {
    .type_name = STR("consumer"),
    .state_name = consumer_state_name,
    .protocol_type = consumer_protocol_type,
    .is_empty = consumer_is_empty,
    .check_commit = consumer_check_commit,
    .check_commit_partition = consumer_check_commit_partition,
    .check_fetch = consumer_check_fetch,
    .check_delete_offsets = consumer_check_delete_offsets,
    .check_delete = consumer_check_delete,
    .subscribes = consumer_subscribes,
    .offsets_expire = consumer_offsets_expire,
    .put_tombstones = put_consumer_group_tombstones,
    .member_seen = consumer_member_seen,
    .loaded = consumer_loaded,
    .destroy = consumer_group_destroy,
};
