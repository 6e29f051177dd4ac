#include "group/consumer_classic.h"

#include <errno.h>

#include "base/errors.h"
#include "group/consumer_assign.h"
#include "group/consumer_migrate.h"
#include "group/consumer_regex.h"
#include "group/consumer_step.h"
#include "group/consumer_timers.h"

/* ---- who asks ---- */

/* UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID. */
static int find_member(const struct consumer_group *consumer, struct str id, struct str instance_id,
                       struct consumer_member **ret_member)
{
    struct consumer_member *member = instance_id.data ? consumer_static_find(consumer, instance_id)
                                                      : consumer_member_find(consumer, id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (instance_id.data && !str_equal(member->id, id))
        return KAFKA_FENCED_INSTANCE_ID;
    *ret_member = member;
    return 0;
}

static int find_classic(const struct consumer_group *consumer, struct str id,
                        struct str instance_id, int32_t generation,
                        struct consumer_member **ret_member)
{
    int err = find_member(consumer, id, instance_id, ret_member);
    if (err != 0)
        return err;
    if (!(*ret_member)->subscription.classic)
        return KAFKA_UNKNOWN_MEMBER_ID;
    return (*ret_member)->current.epoch == generation ? 0 : KAFKA_ILLEGAL_GENERATION;
}

/* The protocol in which the member is spoken to: its first one. */
static const struct consumer_group_member_metadata_value_classic_protocol *
first_protocol(const struct consumer_member *member)
{
    return member->subscription.classic->supported_protocols.count > 0
               ? &member->subscription.classic->supported_protocols.items[0]
               : NULL;
}

static void ask_to_join(struct group_shard *shard, struct consumer_member *member,
                        const struct coord_turn *turn)
{
    if (!coord_timer_armed(&member->rebalance))
        consumer_turn_start(shard, member, turn);
}

/* ---- JoinGroup ---- */

static bool all_classic_offer(const struct consumer_group *consumer, struct str name)
{
    const struct consumer_member *member;
    struct map_at at = map_begin(&consumer->members);
    while ((member = consumer_member_next(consumer, &at))) {
        const struct consumer_group_member_metadata_value_classic_member_metadata *classic =
            member->subscription.classic;
        bool found = false;
        for (int32_t i = 0; classic && i < classic->supported_protocols.count; i++)
            found = found || str_equal(classic->supported_protocols.items[i].name, name);
        if (classic && !found)
            return false;
    }
    return true;
}

static bool is_supported(const struct consumer_group *consumer,
                         const struct join_group_request *request)
{
    if (!str_equal(str_or_empty(request->protocol_type), STR("consumer")))
        return false;
    for (int32_t i = 0; i < request->protocols.count; i++)
        if (all_classic_offer(consumer, request->protocols.items[i].name))
            return true;
    return false;
}

static bool is_full(const struct consumer_group *consumer, const struct join_group_request *request,
                    const struct coord_turn *turn)
{
    return consumer->member_count >= turn->settings->group_consumer_max_size &&
           !consumer_static_find(consumer, request->group_instance_id) &&
           !consumer_member_find(consumer, request->member_id);
}

static int translate(const struct classic_join *join, struct str member_id,
                     const struct image *image, struct arena *arena,
                     struct consumer_group_heartbeat_request *ret)
{
    const struct join_group_request *request = join->request;
    struct consumer_protocol_subscription subscription;
    struct assignment owned;
    if (request->protocols.count < 1 ||
        !classic_subscription_read(request->protocols.items[0].metadata, arena, &subscription))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    /* Both are lists of a topic and its partitions. */
    _Static_assert(sizeof(struct consumer_protocol_subscription_topic_partition) ==
                       sizeof(struct consumer_protocol_assignment_topic_partition),
                   "the same");
    if (!classic_partitions((const struct consumer_protocol_assignment_topic_partition *)
                                subscription.owned_partitions.items,
                            subscription.owned_partitions.count, 0, image, arena, &owned))
        return -ENOMEM;
    consumer_group_heartbeat_request_init(ret);
    ret->group_id = request->group_id;
    ret->member_id = member_id;
    ret->member_epoch = CONSUMER_EPOCH_JOIN;
    ret->instance_id = request->group_instance_id;
    ret->rack_id = subscription.rack_id;
    ret->rebalance_timeout_ms = request->rebalance_timeout_ms;
    ret->subscribed_topic_names = subscription.topics;
    ret->subscribed_topic_regex = STR("");
    ret->topic_partitions.items =
        consumer_group_heartbeat_request_topic_partitions_array(arena, owned.count);
    int32_t *numbers = arena_array(arena, (size_t)owned.count, sizeof *numbers);
    if (!ret->topic_partitions.items || !numbers)
        return -ENOMEM;
    ret->topic_partitions.count = 0;
    for (int32_t i = 0; i < owned.count; i++) {
        int32_t *count = &ret->topic_partitions.count;
        if (i == 0 || !uuid_equal(owned.items[i].topic, owned.items[i - 1].topic)) {
            ret->topic_partitions.items[*count].topic_id = owned.items[i].topic;
            ret->topic_partitions.items[*count].partitions = (struct int32_array){numbers + i, 0};
            (*count)++;
        }
        numbers[i] = owned.items[i].partition;
        ret->topic_partitions.items[*count - 1].partitions.count++;
    }
    return 0;
}

static bool take_offers(const struct join_group_request *request, struct arena *arena,
                        struct consumer_group_member_metadata_value_classic_member_metadata *ret)
{
    consumer_group_member_metadata_value_classic_member_metadata_init(ret);
    ret->session_timeout_ms = request->session_timeout_ms;
    ret->supported_protocols.items = consumer_group_member_metadata_value_classic_protocol_array(
        arena, request->protocols.count);
    if (!ret->supported_protocols.items)
        return false;
    for (int32_t i = 0; i < request->protocols.count; i++) {
        ret->supported_protocols.items[i].name = request->protocols.items[i].name;
        ret->supported_protocols.items[i].metadata = request->protocols.items[i].metadata;
    }
    ret->supported_protocols.count = request->protocols.count;
    return true;
}

static void answer_join(struct classic_join *join, const struct consumer_step *step)
{
    struct join_group_response *response = &join->response;
    struct arena *arena = &join->wait.arena;
    join_group_response_init(response);
    response->member_id = arena_str(arena, join->member_id);
    response->generation_id = step->next.epoch;
    response->protocol_type = STR("consumer");
    response->protocol_name = arena_str(arena, join->request->protocols.items[0].name);
    must(response->member_id.data && response->protocol_name.data);
}

static int run_join(struct classic_join *join, struct group *group, const struct coord_turn *turn)
{
    const struct join_group_request *request = join->request;
    struct consumer_group_member_metadata_value_classic_member_metadata offers;
    struct consumer_group_heartbeat_request translated;
    struct arena *arena = &join->op.arena;
    bool nameless = request->member_id.size == 0;
    join->member_id = nameless ? join->new_id : request->member_id;
    int err = translate(join, join->member_id, turn->image, arena, &translated);
    if (err != 0)
        return err;
    if (!take_offers(request, arena, &offers))
        return -ENOMEM;
    struct consumer_step step = {
        .op = &join->op,
        .turn = turn,
        .shard = group->consumer->shard,
        .arena = arena,
        .request = &translated,
        .client = &join->client,
        .group = group,
        .classic = &offers,
        .nameless = nameless,
    };
    err = consumer_step_run(&step);
    if (err == 0)
        answer_join(join, &step);
    return err;
}

int consumer_classic_join(struct classic_join *join, struct group *group,
                          const struct coord_turn *turn)
{
    const struct join_group_request *request = join->request;
    const struct broker_settings *settings = turn->settings;
    if (!settings->group_consumer_upgrade && !settings->group_consumer_downgrade)
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (is_full(group->consumer, request, turn))
        return KAFKA_GROUP_MAX_SIZE_REACHED;
    if (!is_supported(group->consumer, request))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (request->member_id.size > 0 || request->group_instance_id.data ||
        join->version < JOIN_GROUP_KNOWN_MEMBER_ID)
        return run_join(join, group, turn);
    join_group_response_init(&join->response);
    join->response.error_code = KAFKA_MEMBER_ID_REQUIRED;
    join->response.member_id = join->new_id;
    join->response.protocol_name = (struct str){NULL, 0};
    return 0;
}

void consumer_classic_joined(const struct classic_join *join, struct group_shard *shard,
                             const struct coord_turn *turn)
{
    struct consumer_group *consumer = consumer_group_of(group_find(shard, join->request->group_id));
    struct consumer_member *member =
        consumer ? consumer_member_find(consumer, join->member_id) : NULL;
    if (!member)
        return;
    consumer_session_start(shard, member, turn);
    consumer_turn_start(shard, member, turn); /* until it has synced */
    consumer_regex_look(shard, consumer, turn);
    consumer_assign_look(shard, consumer, turn);
}

/* ---- SyncGroup ---- */

static bool is_other(struct str asked, struct str own)
{
    return asked.data && !str_equal(asked, own);
}

int consumer_classic_sync(struct classic_sync *sync, struct group_shard *shard,
                          const struct consumer_group *consumer, const struct coord_turn *turn)
{
    const struct sync_group_request *request = sync->request;
    struct consumer_member *member;
    int err = find_classic(consumer, request->member_id, request->group_instance_id,
                           request->generation_id, &member);
    if (err != 0)
        return err;
    const struct consumer_group_member_metadata_value_classic_protocol *protocol =
        first_protocol(member);
    if (is_other(request->protocol_type, STR("consumer")) || !protocol ||
        is_other(request->protocol_name, protocol->name))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (consumer->assignment_epoch > member->current.epoch &&
        member->current.state != CONSUMER_UNREVOKED) {
        ask_to_join(shard, member, turn);
        return KAFKA_REBALANCE_IN_PROGRESS;
    }
    sync_group_response_init(&sync->response);
    sync->response.protocol_type = request->protocol_type;
    sync->response.protocol_name = request->protocol_name;
    sync->response.assignment = classic_assignment_write(
        &member->current.assigned, protocol->metadata, turn->image, &sync->wait.arena);
    return sync->response.assignment.data ? 0 : -ENOMEM;
}

void consumer_classic_synced(const struct classic_sync *sync, struct group_shard *shard,
                             struct consumer_group *consumer, const struct coord_turn *turn)
{
    struct consumer_member *member = consumer_member_find(consumer, sync->request->member_id);
    if (!member)
        return;
    coord_timer_cancel(shard->shard, &member->rebalance);
    consumer_session_start(shard, member, turn);
}

/* ---- Heartbeat ---- */

int consumer_classic_check(const struct consumer_group *consumer,
                           const struct heartbeat_request *request)
{
    struct consumer_member *member;
    return find_classic(consumer, request->member_id, request->group_instance_id,
                        request->generation_id, &member);
}

/* Something of its target is still another member's. */
static bool waits_for_others(const struct consumer_group *consumer,
                             const struct consumer_member *member)
{
    for (int32_t i = 0; i < member->target.count; i++) {
        const struct assigned *item = &member->target.items[i];
        if (!assignment_find(&member->current.assigned, item->topic, item->partition) &&
            consumer_partition_epoch(consumer, item->topic, item->partition) != CONSUMER_EPOCH_NONE)
            return true;
    }
    return false;
}

int consumer_classic_beat(struct group_shard *shard, struct consumer_group *consumer,
                          const struct heartbeat_request *request, const struct coord_turn *turn)
{
    struct consumer_member *member = consumer_member_find(consumer, request->member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    consumer_session_start(shard, member, turn);
    bool again =
        member->current.epoch < consumer->assignment_epoch ||
        member->current.state == CONSUMER_UNREVOKED ||
        (member->current.state == CONSUMER_UNRELEASED && !waits_for_others(consumer, member));
    if (!again)
        return 0;
    ask_to_join(shard, member, turn);
    return KAFKA_REBALANCE_IN_PROGRESS;
}

/* ---- LeaveGroup ---- */

static int find_leaver(const struct consumer_group *consumer,
                       const struct leave_group_request_member_identity *who,
                       struct consumer_member **ret_member)
{
    /* An administrator names the instance alone. */
    if (who->group_instance_id.data && who->member_id.size == 0) {
        *ret_member = consumer_static_find(consumer, who->group_instance_id);
        return *ret_member ? 0 : KAFKA_UNKNOWN_MEMBER_ID;
    }
    return find_member(consumer, who->member_id, who->group_instance_id, ret_member);
}

int consumer_classic_leave(struct classic_leave *leave, const struct consumer_group *consumer,
                           const struct coord_turn *turn, const int **ret_errors)
{
    struct arena *arena = &leave->op.arena;
    int *errors = arena_array(arena, (size_t)leave->count, sizeof *errors);
    const struct consumer_member **members =
        arena_array(arena, (size_t)leave->count, sizeof *members);
    struct map seen; /* by address */
    int32_t count = 0;
    if (!errors || !members)
        return -ENOMEM;
    map_init(&seen, MAP_U64, 1, consumer->members.seed);
    for (int32_t i = 0; i < leave->count; i++) {
        struct consumer_member *member;
        uint8_t *place;
        errors[i] = find_leaver(consumer, &leave->members[i], &member);
        if (errors[i] != 0)
            continue;
        int added = map_put(&seen, (uint64_t)(uintptr_t)member, &place);
        must(added >= 0);
        if (added == 1)
            members[count++] = member;
    }
    map_close(&seen);
    *ret_errors = errors;
    return count > 0 ? consumer_put_fenced(&leave->op, arena, consumer, members, count, turn) : 0;
}
