/* Invariants:
 * 1. consumer_group.downgrading: a task looks after the downgrade of this group. It finds the group
 *    by id, and asks again whether all its members are classic.
 * 2. What is made beside the state has no timers and nobody waits in it. */
#include "group/consumer_migrate.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "group/consumer_metadata.h"
#include "group/consumer_records.h"
#include "group/records.h"

enum { CONSUMER_PROTOCOL_NEWEST = 3 };

/* ---- the protocol in the bytes of classic members ---- */

/* Versions to come are read as the newest that is known: fields are only added. */
static bool read_version(struct reader *reader, int16_t *ret_version)
{
    int16_t version = read_int16(reader);
    *ret_version = version > CONSUMER_PROTOCOL_NEWEST ? CONSUMER_PROTOCOL_NEWEST : version;
    return !reader->failed && version >= 0;
}

bool classic_subscription_read(struct bytes bytes, struct arena *arena,
                               struct consumer_protocol_subscription *ret)
{
    struct reader reader = reader_of(bytes.data, (size_t)bytes.size);
    int16_t version;
    return bytes.data && read_version(&reader, &version) &&
           message_decode(&consumer_protocol_subscription_schema, version, &reader, arena, ret) ==
               0;
}

static bool assignment_read(struct bytes bytes, struct arena *arena,
                            struct consumer_protocol_assignment *ret)
{
    struct reader reader = reader_of(bytes.data, (size_t)bytes.size);
    int16_t version;
    return read_version(&reader, &version) &&
           message_decode(&consumer_protocol_assignment_schema, version, &reader, arena, ret) == 0;
}

bool classic_partitions(const struct consumer_protocol_assignment_topic_partition *topics,
                        int32_t count, int32_t epoch, const struct image *image,
                        struct arena *arena, struct assignment *ret)
{
    int64_t total = 0;
    for (int32_t i = 0; i < count; i++)
        total += topics[i].partitions.count;
    *ret = (struct assignment){arena_array(arena, (size_t)total, sizeof *ret->items), 0};
    if (!ret->items)
        return false;
    for (int32_t i = 0; i < count; i++) {
        const struct topic_image *topic = image ? image_topic_named(image, topics[i].topic) : NULL;
        for (int32_t p = 0; topic && p < topics[i].partitions.count; p++)
            ret->items[ret->count++] =
                (struct assigned){topic->id, topics[i].partitions.items[p], epoch};
    }
    assignment_normalize(ret);
    return true;
}

struct bytes classic_assignment_write(const struct assignment *assignment, struct bytes metadata,
                                      const struct image *image, struct arena *arena)
{
    const struct bytes nothing = {NULL, 0};
    struct reader reader = reader_of(metadata.data, (size_t)metadata.size);
    struct consumer_protocol_assignment value;
    int16_t version;
    if (!metadata.data || !read_version(&reader, &version))
        version = 0;
    consumer_protocol_assignment_init(&value);
    value.assigned_partitions.items =
        consumer_protocol_assignment_topic_partition_array(arena, assignment->count);
    int32_t *numbers = arena_array(arena, (size_t)assignment->count, sizeof *numbers);
    struct consumer_protocol_assignment_topic_partition *topic = NULL;
    if (!value.assigned_partitions.items || !numbers)
        return nothing;
    for (int32_t i = 0; i < assignment->count; i++) {
        const struct assigned *item = &assignment->items[i];
        numbers[i] = item->partition;
        if (i == 0 || !uuid_equal(item->topic, assignment->items[i - 1].topic)) {
            const struct topic_image *found = image ? image_topic(image, item->topic) : NULL;
            topic =
                found ? &value.assigned_partitions.items[value.assigned_partitions.count++] : NULL;
            if (topic) {
                topic->topic = found->name;
                topic->partitions = (struct int32_array){numbers + i, 0};
            }
        }
        if (topic)
            topic->partitions.count++;
    }
    struct writer out = {.limit = GROUP_ANSWER_MAX_BYTES};
    write_int16(&out, version);
    int err = message_encode(&consumer_protocol_assignment_schema, version, &value, &out, NULL);
    uint8_t *copy = err == 0 && !out.failed ? arena_alloc(arena, out.size) : NULL;
    if (copy)
        memcpy(copy, out.data, out.size);
    struct bytes bytes = {copy, copy ? (int32_t)out.size : 0};
    writer_close(&out);
    return bytes;
}

/* ---- upgrade ---- */

static int refuse(const char **ret_message, const char *message)
{
    *ret_message = message;
    return KAFKA_GROUP_ID_NOT_FOUND;
}

static bool offers(struct protocol_list from, struct arena *arena,
                   struct consumer_group_member_metadata_value_classic_member_metadata *ret)
{
    ret->supported_protocols.items =
        consumer_group_member_metadata_value_classic_protocol_array(arena, from.count);
    if (!ret->supported_protocols.items)
        return false;
    for (int32_t i = 0; i < from.count; i++) {
        ret->supported_protocols.items[i].name = from.items[i].name;
        ret->supported_protocols.items[i].metadata = from.items[i].metadata;
    }
    ret->supported_protocols.count = from.count;
    return true;
}

static int take_member(struct consumer_upgrade *upgrade, const struct classic *classic,
                       const struct classic_member *from, const struct coord_turn *turn,
                       struct arena *arena, const char **ret_message)
{
    struct consumer_protocol_subscription subscribed;
    struct consumer_protocol_assignment given;
    struct consumer_group_member_metadata_value_classic_member_metadata own;
    struct consumer_current current = {.epoch = classic->generation,
                                       .previous_epoch = classic->generation,
                                       .state = CONSUMER_STABLE};
    struct bytes metadata = classic->protocol_name.data
                                ? protocols_metadata(from->protocols, classic->protocol_name)
                            : from->protocols.count > 0 ? from->protocols.items[0].metadata
                                                        : (struct bytes){NULL, 0};
    consumer_protocol_assignment_init(&given);
    if (!classic_subscription_read(metadata, arena, &subscribed) ||
        (from->assignment.size > 0 && !assignment_read(from->assignment, arena, &given)))
        return refuse(ret_message, "The classic group's members cannot be understood.");
    if (given.user_data.data && given.user_data.size > 0)
        return refuse(ret_message, "The classic group's assignor keeps data of its own, which the "
                                   "consumer protocol has no place for.");
    consumer_group_member_metadata_value_classic_member_metadata_init(&own);
    own.session_timeout_ms = from->session_timeout_ms;
    if (!offers(from->protocols, arena, &own) ||
        !classic_partitions(given.assigned_partitions.items, given.assigned_partitions.count,
                            classic->generation, turn->image, arena, &current.assigned))
        return -ENOMEM;
    const struct consumer_subscription subscription = {
        .instance_id = from->instance_id,
        .rack_id = subscribed.rack_id,
        .client_id = from->client_id,
        .client_host = from->client_host,
        .topics = subscribed.topics,
        .regex = STR(""),
        .rebalance_timeout_ms = from->rebalance_timeout_ms,
        .classic = &own,
    };
    struct consumer_member *member =
        consumer_member_get(&upgrade->alone, upgrade->group.consumer, from->id);
    consumer_set_subscription(&upgrade->alone, member, &subscription);
    consumer_set_current(member, &current);
    consumer_set_target(member, &current.assigned);
    return 0;
}

static int64_t hash_of(const struct consumer_group *consumer, const struct image *image,
                       struct arena *arena)
{
    const struct consumer_change same = {NULL, NULL};
    struct str_array names;
    must(consumer_names_after(consumer, &same, arena, &names));
    return consumer_metadata_hash(image, names, arena);
}

int consumer_upgrade_begin(struct consumer_upgrade *upgrade, const struct group *group,
                           const struct coord_turn *turn, const char **ret_message)
{
    const struct classic *classic = group->classic;
    if (!turn->settings->group_consumer_upgrade)
        return refuse(ret_message, "The group is classic, and group.consumer.migration.policy does "
                                   "not let it become a consumer group.");
    if (!str_equal(group_kind_of(group)->protocol_type(group), STR("consumer")))
        return refuse(ret_message, "The group is classic, and none of consumers.");
    if (classic_member_count(classic) > turn->settings->group_consumer_max_size)
        return refuse(ret_message, "The classic group has more members than a consumer group may.");
    struct arena arena;
    int err = 0;
    arena_init(&arena, 0);
    upgrade->begun = true;
    upgrade->alone = (struct group_shard){.seed = classic->members.seed};
    upgrade->group = (struct group){.type = GROUP_CONSUMER, .id = group->id};
    struct consumer_group *consumer = consumer_group_create(&upgrade->alone, &upgrade->group);
    upgrade->group.consumer = consumer;
    consumer->epoch = consumer->assignment_epoch = classic->generation;
    for (struct map_at m = map_begin(&classic->members);
         err == 0 && map_next(&classic->members, &m);)
        err = take_member(upgrade, classic, *(struct classic_member **)m.value, turn, &arena,
                          ret_message);
    if (err == 0)
        consumer->metadata_hash = hash_of(consumer, turn->image, &arena);
    arena_close(&arena);
    return err;
}

int consumer_upgrade_put(const struct consumer_upgrade *upgrade, struct coord_op *op,
                         struct arena *arena)
{
    const struct consumer_group *consumer = upgrade->group.consumer;
    const struct consumer_member *member;
    struct str group = upgrade->group.id;
    int err = 0;
    struct map_at at = map_begin(&consumer->members);
    while (err == 0 && (member = consumer_member_next(consumer, &at)))
        err = put_consumer_member(op, group, member->id, &member->subscription);
    if (err == 0)
        err = put_consumer_group(op, group, consumer->epoch, consumer->metadata_hash);
    at = map_begin(&consumer->members);
    while (err == 0 && (member = consumer_member_next(consumer, &at)))
        err = put_consumer_target(op, arena, group, member->id, &member->target);
    if (err == 0)
        err = put_consumer_target_metadata(op, group, consumer->assignment_epoch, 0);
    at = map_begin(&consumer->members);
    while (err == 0 && (member = consumer_member_next(consumer, &at)))
        err = put_consumer_current(op, arena, group, member->id, &member->current);
    return err;
}

void consumer_upgrade_end(struct consumer_upgrade *upgrade)
{
    if (upgrade->begun)
        consumer_group_destroy(&upgrade->alone, &upgrade->group);
    upgrade->begun = false;
}

/* ---- downgrade ---- */

struct downgrade {
    struct coord_task task;
    struct arena arena;
    struct str group;
    /* What members offer beside the one protocol that their record has room for. */
    struct classic_new_member *members;
    int32_t count;
    bool stale; /* who should have what is not settled */
};

static bool is_due(const struct consumer_group *consumer)
{
    return consumer && consumer->member_count > 0 &&
           consumer->classic_count == consumer->member_count;
}

static bool take_offers(struct downgrade *downgrade, const struct consumer_group *consumer)
{
    struct arena *arena = &downgrade->arena;
    const struct consumer_member *from;
    downgrade->members =
        arena_array(arena, (size_t)consumer->member_count, sizeof *downgrade->members);
    if (!downgrade->members)
        return false;
    struct map_at at = map_begin(&consumer->members);
    while ((from = consumer_member_next(consumer, &at))) {
        const struct consumer_subscription *subscription = &from->subscription;
        int32_t count = subscription->classic->supported_protocols.count;
        /* Of two members with one instance id, which takes a damaged log, one is static. */
        bool is_static = consumer_static_find(consumer, subscription->instance_id) == from;
        struct join_group_request_protocol *protocols =
            arena_array(arena, (size_t)count, sizeof *protocols);
        if (!protocols)
            return false;
        for (int32_t i = 0; i < count; i++) {
            struct bytes metadata = subscription->classic->supported_protocols.items[i].metadata;
            uint8_t *copy = arena_alloc(arena, (size_t)metadata.size);
            protocols[i].name =
                arena_str(arena, subscription->classic->supported_protocols.items[i].name);
            if (!copy || !protocols[i].name.data)
                return false;
            if (metadata.size > 0)
                memcpy(copy, metadata.data, (size_t)metadata.size);
            protocols[i].metadata = (struct bytes){copy, metadata.size};
        }
        downgrade->members[downgrade->count++] = (struct classic_new_member){
            .id = arena_str(arena, from->id),
            .instance_id = is_static ? subscription->instance_id : (struct str){NULL, 0},
            .client_id = subscription->client_id,
            .client_host = subscription->client_host,
            .protocol_type = STR("consumer"),
            .rebalance_timeout_ms = subscription->rebalance_timeout_ms,
            .session_timeout_ms = subscription->classic->session_timeout_ms,
            .protocols = {protocols, count},
        };
    }
    return true;
}

/* By the rules of classic groups, which need one to look at. */
static struct str choose_protocol(struct downgrade *downgrade, uint64_t seed, bool *ret_common)
{
    struct group_shard alone = {.seed = seed};
    struct group group = {.type = GROUP_CLASSIC, .id = downgrade->group};
    struct classic *classic = classic_of(&alone, &group);
    struct str chosen = {NULL, 0};
    for (int32_t i = 0; i < downgrade->count; i++)
        classic_add(&alone, classic, &downgrade->members[i]);
    classic->state = CLASSIC_STABLE;
    *ret_common = downgrade->count > 0 &&
                  classic_supports(classic, STR("consumer"), downgrade->members[0].protocols);
    if (*ret_common)
        chosen = arena_str(&downgrade->arena,
                           classic_select_protocol(classic, NULL, (struct protocol_list){NULL, 0}));
    classic_kind.destroy(&alone, &group);
    return chosen;
}

static int put_classic_group(struct downgrade *downgrade, struct coord_op *op,
                             const struct consumer_group *consumer, struct str protocol,
                             const struct coord_turn *turn)
{
    struct group_metadata_value value;
    group_metadata_value_init(&value);
    value.protocol_type = STR("consumer");
    /* Whoever left has made a new epoch, so members that know an older one join again, whatever
     * becomes of this broker before the group is rebalanced. */
    value.generation = consumer->epoch;
    value.protocol = protocol;
    value.leader = downgrade->members[0].id;
    value.current_state_timestamp = turn->wall_ms;
    value.members.items =
        group_metadata_value_member_metadata_array(&downgrade->arena, downgrade->count);
    if (!value.members.items)
        return -ENOMEM;
    for (int32_t i = 0; i < downgrade->count; i++) {
        const struct classic_new_member *from = &downgrade->members[i];
        const struct consumer_member *member = consumer_member_find(consumer, from->id);
        struct group_metadata_value_member_metadata *out =
            &value.members.items[value.members.count++];
        out->member_id = from->id;
        out->group_instance_id = from->instance_id;
        out->client_id = from->client_id;
        out->client_host = from->client_host;
        out->rebalance_timeout = from->rebalance_timeout_ms;
        out->session_timeout = from->session_timeout_ms;
        out->subscription = protocols_metadata(from->protocols, protocol);
        out->assignment = classic_assignment_write(&member->target, out->subscription, turn->image,
                                                   &downgrade->arena);
        if (!out->assignment.data)
            return -ENOMEM;
    }
    return put_group_metadata(op, downgrade->group, &value);
}

static int downgrade_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct downgrade *downgrade = container_of(op, struct downgrade, task.op);
    const struct group_shard *shard = state;
    const struct group *group = group_find(shard, downgrade->group);
    const struct consumer_group *consumer = consumer_group_of(group);
    bool common;
    if (!is_due(consumer) || !turn->settings->group_consumer_downgrade ||
        consumer->member_count > turn->settings->group_max_size)
        return 0;
    if (!take_offers(downgrade, consumer))
        return -ENOMEM;
    struct str protocol = choose_protocol(downgrade, shard->seed, &common);
    if (!common) { /* written by somebody else */
        downgrade->count = 0;
        return 0;
    }
    downgrade->stale = consumer_group_state(consumer) != CONSUMER_GROUP_STABLE;
    int err = put_consumer_group_tombstones(group, op);
    return err == 0 ? put_classic_group(downgrade, op, consumer, protocol, turn) : err;
}

/* classic_apply has made the group of its record; sessions begin, and what is not settled is the
 * leader's to settle now. */
static void become_classic(const struct downgrade *downgrade, const struct classic_at *at)
{
    for (int32_t i = 0; i < downgrade->count; i++) {
        const struct classic_new_member *from = &downgrade->members[i];
        struct classic_member *member = classic_member(at->classic, from->id);
        must(member);
        classic_set_offers(at->classic, member, from->protocols, from->rebalance_timeout_ms,
                           from->session_timeout_ms);
        classic_heartbeat_in(at, member, from->session_timeout_ms);
    }
    say_info(coord_shard_say(at->shard->shard), "consumer group is a classic group now",
             kv_str("group", at->group->id), kv_int("members", downgrade->count));
    if (downgrade->stale)
        classic_prepare_rebalance(at);
}

static void downgrade_settle(struct coord_op *op, void *state, const struct coord_turn *turn,
                             int error)
{
    struct downgrade *downgrade = container_of(op, struct downgrade, task.op);
    struct group_shard *shard = state;
    struct group *group = group_find(shard, downgrade->group);
    struct consumer_group *consumer = consumer_group_of(group);
    if (consumer)
        consumer->downgrading = false;
    if (error != 0 || downgrade->count == 0 || !group || group->type != GROUP_CLASSIC)
        return;
    const struct classic_at at = {shard, group, group->classic, turn};
    become_classic(downgrade, &at);
}

static void downgrade_ended(struct coord_task *task, int error)
{
    struct downgrade *downgrade = container_of(task, struct downgrade, task);
    (void)error;
    arena_close(&downgrade->arena);
    free(downgrade);
}

void consumer_downgrade_look(struct group_shard *shard, struct consumer_group *consumer)
{
    if (!shard->loaded || consumer->downgrading || !is_due(consumer))
        return;
    struct downgrade *downgrade = group_alloc(sizeof *downgrade);
    arena_init(&downgrade->arena, 0);
    downgrade->group = arena_str(&downgrade->arena, consumer->group->id);
    must(downgrade->group.data);
    coord_op_init(&downgrade->task.op);
    downgrade->task.op.access = COORD_WRITE;
    downgrade->task.op.decide = downgrade_decide;
    downgrade->task.op.settle = downgrade_settle;
    downgrade->task.ended = downgrade_ended;
    consumer->downgrading = true;
    coord_task_start(shard->shard, &downgrade->task, coord_shard_wakes(shard->shard));
}
