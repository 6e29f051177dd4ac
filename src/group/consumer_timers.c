#include "group/consumer_timers.h"

#include <stdlib.h>

#include "group/consumer_ops.h"
#include "metadata/config_keys.h"

#define NS_PER_MS INT64_C(1000000)

/* A dynamic setting of the group, which the controller has checked when it was set. False where
 * there is none. Numbers and booleans keep nothing of the arena. */
static bool setting_of(const struct group *group, const struct coord_turn *turn, int32_t key,
                       struct config_value *ret_value)
{
    if (!turn->image)
        return false;
    struct config_pairs pairs = image_configs(turn->image, CONFIG_RESOURCE_GROUP, group->id);
    struct str text = config_pairs_get(pairs, str_of(group_schema.keys[key].name));
    if (!text.data)
        return false;
    struct arena arena;
    arena_init(&arena, 0);
    const char *why;
    int err = config_parse(&group_schema.keys[key], text, &arena, ret_value, &why);
    arena_close(&arena);
    return err == 0;
}

/* Within the broker's bounds; `otherwise` where the group has no setting of its own. */
static int32_t setting(const struct group *group, const struct coord_turn *turn, int32_t key,
                       int32_t min, int32_t max, int32_t otherwise)
{
    struct config_value value;
    if (!setting_of(group, turn, key, &value))
        return otherwise;
    if (value.number < min)
        return min;
    return value.number > max ? max : (int32_t)value.number;
}

int32_t consumer_session_timeout_ms(const struct group *group, const struct coord_turn *turn)
{
    const struct broker_settings *settings = turn->settings;
    return setting(group, turn, GROUP_CONFIG_CONSUMER_SESSION_TIMEOUT_MS,
                   settings->group_consumer_min_session_timeout_ms,
                   settings->group_consumer_max_session_timeout_ms,
                   settings->group_consumer_session_timeout_ms);
}

int32_t consumer_heartbeat_interval_ms(const struct group *group, const struct coord_turn *turn)
{
    const struct broker_settings *settings = turn->settings;
    return setting(group, turn, GROUP_CONFIG_CONSUMER_HEARTBEAT_INTERVAL_MS,
                   settings->group_consumer_min_heartbeat_interval_ms,
                   settings->group_consumer_max_heartbeat_interval_ms,
                   settings->group_consumer_heartbeat_interval_ms);
}

int32_t consumer_assignment_interval_ms(const struct group *group, const struct coord_turn *turn)
{
    const struct broker_settings *settings = turn->settings;
    return setting(group, turn, GROUP_CONFIG_CONSUMER_ASSIGNMENT_INTERVAL_MS,
                   settings->group_consumer_min_assignment_interval_ms,
                   settings->group_consumer_max_assignment_interval_ms,
                   settings->group_consumer_assignment_interval_ms);
}

bool consumer_assignor_offload(const struct group *group, const struct coord_turn *turn)
{
    struct config_value value;
    return setting_of(group, turn, GROUP_CONFIG_CONSUMER_ASSIGNOR_OFFLOAD_ENABLE, &value)
               ? value.boolean
               : turn->settings->group_consumer_assignor_offload;
}

void consumer_session_start(struct group_shard *shard, struct consumer_member *member,
                            const struct coord_turn *turn)
{
    int64_t timeout_ms = member->subscription.classic
                             ? member->subscription.classic->session_timeout_ms
                             : consumer_session_timeout_ms(member->group->group, turn);
    member->end_said = false;
    coord_timer_set(shard->shard, &member->session, turn->now_ns + timeout_ms * NS_PER_MS);
}

void consumer_turn_start(struct group_shard *shard, struct consumer_member *member,
                         const struct coord_turn *turn)
{
    int64_t timeout_ms = member->subscription.rebalance_timeout_ms;
    coord_timer_set(shard->shard, &member->rebalance,
                    turn->now_ns + (timeout_ms > 0 ? timeout_ms : 0) * NS_PER_MS);
}

void consumer_rebalance_start(struct group_shard *shard, struct consumer_member *member,
                              const struct coord_turn *turn)
{
    if (member->subscription.classic)
        return;
    if (member->current.state != CONSUMER_UNREVOKED) {
        coord_timer_cancel(shard->shard, &member->rebalance);
        return;
    }
    member->rebalance_epoch = member->current.epoch;
    consumer_turn_start(shard, member, turn);
}

/* ---- when they fire ---- */

static int expel(struct consumer_member *member, struct coord_op *op, const struct coord_turn *turn,
                 const char *why)
{
    struct arena arena;
    if (!member->end_said)
        say_info(coord_shard_say(member->group->shard->shard),
                 "member of a consumer group is put out", kv_str("group", member->group->group->id),
                 kv_str("member", member->id), kv_text("why", why));
    member->end_said = true;
    arena_init(&arena, 0);
    int err = consumer_put_fenced(op, &arena, member->group,
                                  (const struct consumer_member *const[]){member}, 1, turn);
    arena_close(&arena);
    return err;
}

static int session_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                          const struct coord_turn *turn)
{
    struct consumer_member *member = container_of(timer, struct consumer_member, session);
    (void)state;
    return expel(member, op, turn, "its session ended");
}

static int rebalance_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                            const struct coord_turn *turn)
{
    struct consumer_member *member = container_of(timer, struct consumer_member, rebalance);
    bool classic = member->subscription.classic;
    (void)state;
    if (!classic && member->current.epoch != member->rebalance_epoch)
        return 0; /* it went on meanwhile */
    return expel(member, op, turn,
                 classic ? "it did not join or sync in time"
                         : "it did not give up its partitions in time");
}

/* Only called while the member is there: if the records could not be written, try again. */
static void timer_settle(struct coord_timer *timer, struct coord_op *op, void *state,
                         const struct coord_turn *turn, int error)
{
    struct group_shard *shard = state;
    (void)op;
    if (error != 0)
        coord_timer_set(shard->shard, timer, turn->now_ns + GROUP_RETRY_MS * NS_PER_MS);
}

void consumer_timers_init(struct consumer_member *member)
{
    coord_timer_init(&member->session);
    member->session.liveness = true;
    member->session.decide = session_decide;
    member->session.settle = timer_settle;
    coord_timer_init(&member->rebalance);
    member->rebalance.liveness = true;
    member->rebalance.decide = rebalance_decide;
    member->rebalance.settle = timer_settle;
}
