/* The state machine of a classic group:
 *
 *     Empty ──▶ PreparingRebalance ──▶ CompletingRebalance ──▶ Stable
 *       ▲          │     ▲                    │                  │
 *       └──────────┘     └────────────────────┴──────────────────┘
 *
 * Invariants:
 * 1. `joining` and `syncing` say that a request of the member is owed an answer in this phase; the
 *    wait is beside it unless the connection went away, and both end together.
 * 2. A group becomes Empty only in an operation that also wrote the record of it
 *    (classic_will_be_empty told decide), so `generation` then equals `saved_generation`.
 * 3. join_timer is armed while the group prepares, sync_timer from the end of joining until all
 *    have synced. */
#include "base/errors.h"
#include "group/classic.h"
#include "group/records.h"

#define NS_PER_MS INT64_C(1000000)

static void arm(const struct classic_at *at, struct coord_timer *timer, int64_t in_ms)
{
    coord_timer_set(at->shard->shard, timer, at->turn->now_ns + in_ms * NS_PER_MS);
}

void classic_heartbeat_in(const struct classic_at *at, struct classic_member *member,
                          int32_t timeout_ms)
{
    arm(at, &member->heartbeat, timeout_ms);
}

/* A damaged record may hold the last one there is. */
static int32_t next_generation(const struct classic *classic)
{
    return classic->generation == INT32_MAX ? 1 : classic->generation + 1;
}

static void transition(const struct classic_at *at, enum classic_state state)
{
    struct classic *classic = at->classic;
    classic->previous_state = classic->state;
    classic->state = state;
    /* The time at which a group became empty is in its record. */
    if (state != CLASSIC_EMPTY)
        classic->state_timestamp_ms = at->turn->wall_ms;
}

int classic_append_error(int error)
{
    switch (error) {
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_REQUEST_TIMED_OUT:
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_KAFKA_STORAGE_ERROR:
        return KAFKA_NOT_COORDINATOR;
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE:
    case KAFKA_INVALID_FETCH_SIZE:
        return KAFKA_UNKNOWN_SERVER_ERROR;
    default:
        return error;
    }
}

/* ---- answers ---- */

static bool add_members(const struct classic *classic, struct arena *arena,
                        struct join_group_response *ret)
{
    ret->members.items = join_group_response_member_array(arena, classic_member_count(classic));
    if (!ret->members.items)
        return false;
    for (struct map_at at = map_begin(&classic->members); map_next(&classic->members, &at);) {
        const struct classic_member *member = *(struct classic_member **)at.value;
        struct bytes metadata = protocols_metadata(member->protocols, classic->protocol_name);
        struct join_group_response_member *out = &ret->members.items[ret->members.count++];
        out->member_id = arena_str(arena, member->id);
        if (member->instance_id.data)
            out->group_instance_id = arena_str(arena, member->instance_id);
        uint8_t *copy = arena_alloc(arena, (size_t)metadata.size);
        if (!out->member_id.data || !copy ||
            (member->instance_id.data && !out->group_instance_id.data))
            return false;
        if (metadata.size > 0)
            memcpy(copy, metadata.data, (size_t)metadata.size);
        out->metadata = (struct bytes){copy, metadata.size};
    }
    return true;
}

static struct str copy_or_null(struct arena *arena, struct str text, bool *ok)
{
    if (!text.data)
        return text;
    text = arena_str(arena, text);
    *ok = *ok && text.data;
    return text;
}

void classic_join_answer(const struct classic *classic, struct str member_id, bool with_members,
                         struct arena *arena, struct join_group_response *ret)
{
    bool ok = true;
    join_group_response_init(ret);
    ret->generation_id = classic->generation;
    ret->protocol_type = copy_or_null(arena, classic->protocol_type, &ok);
    ret->protocol_name = copy_or_null(arena, classic->protocol_name, &ok);
    ret->leader = copy_or_null(arena, str_or_empty(classic->leader), &ok);
    ret->member_id = copy_or_null(arena, member_id, &ok);
    if (ok && with_members)
        ok = add_members(classic, arena, ret);
    if (!ok) { /* above GROUP_ANSWER_MAX_BYTES */
        join_group_response_init(ret);
        ret->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
}

static void answer_join(struct classic *classic, struct classic_member *member)
{
    struct group_wait *wait = member->join_wait;
    if (!member->joining)
        return;
    classic_set_joining(classic, member, false);
    if (!wait)
        return;
    classic_join_answer(classic, member->id, classic_is_leader(classic, member->id), &wait->arena,
                        wait->answer);
    group_wait_complete(wait);
}

void classic_answer_join_error(struct classic *classic, struct classic_member *member,
                               struct str member_id, int error)
{
    struct group_wait *wait = member->join_wait;
    if (!member->joining)
        return;
    classic_set_joining(classic, member, false);
    if (!wait)
        return;
    struct join_group_response *answer = wait->answer;
    bool ok = true;
    join_group_response_init(answer);
    answer->error_code = error_to_wire(error);
    answer->protocol_name = (struct str){NULL, 0};
    answer->member_id = copy_or_null(&wait->arena, member_id, &ok);
    if (!ok)
        answer->member_id = STR("");
    group_wait_complete(wait);
}

/* Whether a SyncGroup was waiting, be it one whose connection is gone. */
static bool answer_sync(const struct classic *classic, struct classic_member *member, int error)
{
    struct group_wait *wait = member->sync_wait;
    if (!member->syncing)
        return false;
    member->syncing = false;
    if (!wait)
        return true;
    struct sync_group_response *answer = wait->answer;
    bool ok = true;
    sync_group_response_init(answer);
    answer->error_code = error_to_wire(error);
    if (error == 0) {
        answer->protocol_type = copy_or_null(&wait->arena, classic->protocol_type, &ok);
        answer->protocol_name = copy_or_null(&wait->arena, classic->protocol_name, &ok);
    }
    uint8_t *copy = arena_alloc(&wait->arena, (size_t)member->assignment.size);
    if (!ok || !copy) {
        sync_group_response_init(answer);
        answer->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
    } else if (member->assignment.size > 0) {
        memcpy(copy, member->assignment.data, (size_t)member->assignment.size);
        answer->assignment = (struct bytes){copy, member->assignment.size};
    }
    group_wait_complete(wait);
    return true;
}

void classic_answer_sync_error(struct classic_member *member, int error)
{
    classic_set_assignment(member, (struct bytes){NULL, 0});
    answer_sync(member->classic, member, error);
}

void classic_answer_syncs(const struct classic_at *at, int error)
{
    struct classic *classic = at->classic;
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);) {
        struct classic_member *member = *(struct classic_member **)m.value;
        if (error != 0)
            classic_set_assignment(member, (struct bytes){NULL, 0});
        /* A session that ran out while the answer was owed did not count, and is not watched any
         * more: it starts again here. */
        if (answer_sync(classic, member, error))
            classic_heartbeat_in(at, member, member->session_timeout_ms);
    }
}

/* ---- from state to state ---- */

static void clear_unsynced(const struct classic_at *at)
{
    struct classic *classic = at->classic;
    if (classic->unsynced_count == 0)
        return;
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);)
        classic_set_unsynced(classic, *(struct classic_member **)m.value, false);
}

void classic_cancel_sync_timer_if_synced(const struct classic_at *at)
{
    if (at->classic->unsynced_count == 0)
        coord_timer_cancel(at->shard->shard, &at->classic->sync_timer);
}

void classic_prepare_rebalance(const struct classic_at *at)
{
    struct classic *classic = at->classic;
    bool initial = classic->state == CLASSIC_EMPTY;
    if (classic->state == CLASSIC_COMPLETING)
        classic_answer_syncs(at, KAFKA_REBALANCE_IN_PROGRESS);
    clear_unsynced(at);
    coord_timer_cancel(at->shard->shard, &classic->sync_timer);
    classic->initial = initial;
    if (initial) {
        int32_t delay_ms = at->turn->settings->group_initial_rebalance_delay_ms;
        int32_t timeout_ms = classic_rebalance_timeout_ms(classic);
        classic->initial_delay_ms = delay_ms;
        classic->initial_remaining_ms = timeout_ms > delay_ms ? timeout_ms - delay_ms : 0;
        arm(at, &classic->join_timer, delay_ms);
    }
    transition(at, CLASSIC_PREPARING);
    say_debug(coord_shard_say(at->shard->shard), "group prepares to rebalance",
              kv_str("group", at->group->id), kv_int("generation", classic->generation),
              kv_int("members", classic_member_count(classic)));
    if (initial)
        return;
    if (classic_all_joined(classic))
        classic_complete_join(at);
    else
        arm(at, &classic->join_timer, classic_rebalance_timeout_ms(classic));
}

void classic_maybe_complete_join(const struct classic_at *at)
{
    /* The first rebalance of a group takes its whole delay. */
    if (at->classic->state == CLASSIC_PREPARING && at->classic->previous_state != CLASSIC_EMPTY &&
        classic_all_joined(at->classic))
        classic_complete_join(at);
}

void classic_rebalance_or_complete(const struct classic_at *at)
{
    if (at->classic->state == CLASSIC_PREPARING)
        classic_maybe_complete_join(at);
    else
        classic_prepare_rebalance(at);
}

static bool has_failed_to_join(const struct classic_member *member)
{
    return !member->joining && !member->instance_id.data;
}

static void remove_failed(const struct classic_at *at)
{
    struct classic *classic = at->classic;
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);) {
        struct classic_member *member = *(struct classic_member **)m.value;
        if (has_failed_to_join(member))
            classic_remove(at->shard, classic, member);
    }
}

/* The leader must be somebody who can assign. False: nobody joined. */
static bool elect_leader(struct classic *classic)
{
    const struct classic_member *leader =
        classic->leader.data ? classic_member(classic, classic->leader) : NULL;
    if (leader && leader->joining)
        return true;
    if (!leader)
        return false;
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);) {
        const struct classic_member *member = *(struct classic_member **)m.value;
        if (member->joining) {
            text_set(&classic->leader, member->id);
            return true;
        }
    }
    return false;
}

static void become_empty(const struct classic_at *at)
{
    struct classic *classic = at->classic;
    text_drop(&classic->protocol_name);
    classic_find_subscriptions(classic);
    transition(at, CLASSIC_EMPTY);
    must(classic->saved_generation == classic->generation);
    say_info(coord_shard_say(at->shard->shard), "group is empty", kv_str("group", at->group->id),
             kv_int("generation", classic->generation));
}

static void begin_generation(const struct classic_at *at)
{
    struct classic *classic = at->classic;
    const struct protocol_list none = {NULL, 0};
    text_set(&classic->protocol_name, classic_select_protocol(classic, NULL, none));
    classic_find_subscriptions(classic);
    transition(at, CLASSIC_COMPLETING);
    say_info(coord_shard_say(at->shard->shard), "group has a new generation",
             kv_str("group", at->group->id), kv_int("generation", classic->generation),
             kv_int("members", classic_member_count(classic)),
             kv_str("protocol", classic->protocol_name));
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);) {
        struct classic_member *member = *(struct classic_member **)m.value;
        answer_join(classic, member);
        classic_heartbeat_in(at, member, member->session_timeout_ms);
        member->is_new = false;
        classic_set_unsynced(classic, member, true);
    }
    classic->sync_generation = classic->generation;
    arm(at, &classic->sync_timer, classic_rebalance_timeout_ms(classic));
}

void classic_complete_join(const struct classic_at *at)
{
    struct classic *classic = at->classic;
    coord_timer_cancel(at->shard->shard, &classic->join_timer);
    classic->initial = false;
    remove_failed(at);
    if (!elect_leader(classic) && classic_member_count(classic) > 0) {
        /* Static members only, none of them here: until their sessions run out. */
        arm(at, &classic->join_timer, classic_rebalance_timeout_ms(classic));
        return;
    }
    clear_unsynced(at);
    classic->generation = next_generation(classic);
    if (classic_member_count(classic) > 0)
        begin_generation(at);
    else
        become_empty(at);
}

/* ---- the group that becomes empty ---- */

bool classic_will_be_empty(const struct classic *classic, const struct classic_removal *removal)
{
    if (classic_member_count(classic) != removal->members ||
        (int32_t)map_count(&classic->pending) != removal->pending)
        return false;
    if (classic->state == CLASSIC_PREPARING)
        return !removal->leave || classic->previous_state != CLASSIC_EMPTY;
    return classic->state != CLASSIC_EMPTY;
}

int classic_put_emptied(const struct classic *classic, struct coord_op *op,
                        const struct coord_turn *turn)
{
    return put_empty_group(op, classic->group->id, next_generation(classic), classic->protocol_type,
                           turn->wall_ms);
}

/* ---- timers ---- */

static struct classic_at at_of(struct classic *classic, void *state, const struct coord_turn *turn)
{
    return (struct classic_at){state, classic->group, classic, turn};
}

/* The record could not be written: what the timer stands for did not happen, and is tried again. */
static bool failed(struct coord_timer *timer, const struct classic_at *at, int error)
{
    if (error != 0)
        arm(at, timer, GROUP_RETRY_MS);
    return error != 0;
}

/* A member that waits for an answer of ours is not expected to send heartbeats. A new one does not
 * know its id yet, so its first join is bounded by the timer. */
static bool member_is_gone(const struct classic_member *member)
{
    return member->is_new || (!member->joining && !member->syncing);
}

static int heartbeat_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                            const struct coord_turn *turn)
{
    const struct classic_member *member = container_of(timer, struct classic_member, heartbeat);
    const struct classic_removal removal = {.members = 1};
    (void)state;
    if (member_is_gone(member) && classic_will_be_empty(member->classic, &removal))
        return classic_put_emptied(member->classic, op, turn);
    return 0;
}

static void heartbeat_settle(struct coord_timer *timer, struct coord_op *op, void *state,
                             const struct coord_turn *turn, int error)
{
    struct classic_member *member = container_of(timer, struct classic_member, heartbeat);
    struct classic *classic = member->classic;
    struct classic_at at = at_of(classic, state, turn);
    (void)op;
    if (failed(timer, &at, error) || !member_is_gone(member))
        return;
    say_info(coord_shard_say(at.shard->shard), "member of a group has failed",
             kv_str("group", at.group->id), kv_str("member", member->id));
    classic_answer_join_error(classic, member, STR(""), KAFKA_UNKNOWN_MEMBER_ID);
    classic_answer_sync_error(member, KAFKA_UNKNOWN_MEMBER_ID);
    classic_remove(at.shard, classic, member);
    if (classic->state == CLASSIC_STABLE || classic->state == CLASSIC_COMPLETING)
        classic_prepare_rebalance(&at);
    else if (classic->state == CLASSIC_PREPARING && classic_all_joined(classic))
        classic_complete_join(&at);
}

void classic_member_timer_init(struct classic_member *member)
{
    coord_timer_init(&member->heartbeat);
    member->heartbeat.liveness = true;
    member->heartbeat.decide = heartbeat_decide;
    member->heartbeat.settle = heartbeat_settle;
}

static bool pending_empties(const struct classic *classic)
{
    const struct classic_removal removal = {.pending = 1};
    return classic->state == CLASSIC_PREPARING && classic_will_be_empty(classic, &removal);
}

static int pending_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                          const struct coord_turn *turn)
{
    const struct classic_pending *pending = container_of(timer, struct classic_pending, timeout);
    (void)state;
    return pending_empties(pending->classic) ? classic_put_emptied(pending->classic, op, turn) : 0;
}

static void pending_settle(struct coord_timer *timer, struct coord_op *op, void *state,
                           const struct coord_turn *turn, int error)
{
    struct classic_pending *pending = container_of(timer, struct classic_pending, timeout);
    struct classic *classic = pending->classic;
    struct classic_at at = at_of(classic, state, turn);
    (void)op;
    if (failed(timer, &at, error))
        return;
    classic_pending_remove(at.shard, classic, pending);
    if (classic->state == CLASSIC_PREPARING && classic_all_joined(classic))
        classic_complete_join(&at);
}

void classic_pending_timer_init(struct classic_pending *pending)
{
    coord_timer_init(&pending->timeout);
    pending->timeout.liveness = true;
    pending->timeout.decide = pending_decide;
    pending->timeout.settle = pending_settle;
}

/* The delay of the first rebalance ends: a longer one if members came during it. */
static bool delay_goes_on(const struct classic *classic)
{
    return classic->initial && classic->new_member_added && classic->initial_remaining_ms != 0;
}

static int join_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                       const struct coord_turn *turn)
{
    const struct classic *classic = container_of(timer, struct classic, join_timer);
    (void)state;
    must(classic->state == CLASSIC_PREPARING);
    if (delay_goes_on(classic))
        return 0;
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);)
        if (!has_failed_to_join(*(struct classic_member **)m.value))
            return 0;
    return classic_put_emptied(classic, op, turn);
}

static void join_settle(struct coord_timer *timer, struct coord_op *op, void *state,
                        const struct coord_turn *turn, int error)
{
    struct classic *classic = container_of(timer, struct classic, join_timer);
    struct classic_at at = at_of(classic, state, turn);
    (void)op;
    if (failed(timer, &at, error))
        return;
    if (!delay_goes_on(classic)) {
        classic_complete_join(&at);
        return;
    }
    int32_t delay_ms = turn->settings->group_initial_rebalance_delay_ms;
    int32_t past_ms = classic->initial_delay_ms, remaining_ms = classic->initial_remaining_ms;
    classic->new_member_added = false;
    classic->initial_delay_ms = delay_ms < remaining_ms ? delay_ms : remaining_ms;
    classic->initial_remaining_ms = remaining_ms > past_ms ? remaining_ms - past_ms : 0;
    arm(&at, &classic->join_timer, classic->initial_delay_ms);
}

static bool sync_is_over(const struct classic *classic)
{
    return classic->sync_generation != classic->generation || classic->unsynced_count == 0 ||
           (classic->state != CLASSIC_COMPLETING && classic->state != CLASSIC_STABLE);
}

static int sync_decide(struct coord_timer *timer, struct coord_op *op, void *state,
                       const struct coord_turn *turn)
{
    const struct classic *classic = container_of(timer, struct classic, sync_timer);
    const struct classic_removal removal = {.members = classic->unsynced_count};
    (void)state;
    if (sync_is_over(classic) || !classic_will_be_empty(classic, &removal))
        return 0;
    return classic_put_emptied(classic, op, turn);
}

static void sync_settle(struct coord_timer *timer, struct coord_op *op, void *state,
                        const struct coord_turn *turn, int error)
{
    struct classic *classic = container_of(timer, struct classic, sync_timer);
    struct classic_at at = at_of(classic, state, turn);
    (void)op;
    if (failed(timer, &at, error) || sync_is_over(classic))
        return;
    for (struct map_at m = map_begin(&classic->members); map_next(&classic->members, &m);) {
        struct classic_member *member = *(struct classic_member **)m.value;
        if (member->unsynced)
            classic_remove(at.shard, classic, member);
    }
    classic_prepare_rebalance(&at);
}

void classic_timers_init(struct classic *classic)
{
    coord_timer_init(&classic->join_timer);
    classic->join_timer.liveness = true;
    classic->join_timer.decide = join_decide;
    classic->join_timer.settle = join_settle;
    coord_timer_init(&classic->sync_timer);
    classic->sync_timer.liveness = true;
    classic->sync_timer.decide = sync_decide;
    classic->sync_timer.settle = sync_settle;
}
