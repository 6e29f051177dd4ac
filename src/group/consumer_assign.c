/* Invariants:
 * 1. consumer_group.assigning is the one assignment under way on the pool for this group, NULL when
 *    there is none. It finds its group by id and goes on only if it is that one: the group may be
 *    gone, or another one of its name may be there.
 * 2. The pool knows the list alone: its strings are copies or in texts to which it has references,
 *    and the image is its own.
 * 3. Of a target that is written nobody has more than one member's part, so no partition is in two
 *    targets: a member is found by its instance id if it had one, else by its id, and each part
 *    replaces the member's whole target. */
#include "group/consumer_assign.h"

#include <stdlib.h>

#include "base/errors.h"
#include "group/consumer_memory.h"
#include "group/consumer_ops.h"
#include "group/consumer_records.h"
#include "group/consumer_timers.h"

/* ---- when and where ---- */

bool consumer_assign_is_due(const struct consumer_group *consumer, const struct coord_turn *turn)
{
    if (!consumer)
        return true;
    if (consumer->assigning || turn->now_ns < consumer->assign_after_ns)
        return false;
    if (consumer->assignment_timestamp_ms == 0)
        return true;
    int32_t interval_ms = consumer_assignment_interval_ms(consumer->group, turn);
    int64_t since_ms = coord_ms_since(turn->wall_ms, consumer->assignment_timestamp_ms);
    /* Of the future: the clock was set back, and nobody is to wait until it is there again. */
    return since_ms < 0 || since_ms >= interval_ms;
}

bool consumer_assign_is_large(struct str group, struct str_array names, int32_t member_count,
                              const struct coord_turn *turn)
{
    const struct group named = {.id = group};
    int64_t cost = (int64_t)member_count * names.count;
    if (!turn->image || !consumer_assignor_offload(&named, turn))
        return false;
    for (int32_t i = 0; i < names.count; i++) {
        const struct topic_image *topic = image_topic_named(turn->image, names.items[i]);
        if (topic)
            cost += topic_partition_count(topic);
    }
    return cost > turn->settings->group_assignor_inline_max;
}

/* ---- the records ---- */

static bool has_memory(const struct group_shard *shard, const struct consumer_group *consumer,
                       const struct consumer_target *target, const struct coord_turn *turn)
{
    int64_t more = target->partition_count - (consumer ? consumer->target_count : 0);
    return group_may_hold(shard, turn, consumer_partitions_bytes(more));
}

static int put_one(struct coord_op *op, struct arena *arena, struct str group, struct str id,
                   bool has_last, const struct assignment *last, const struct assignment *next)
{
    return has_last && assignment_same_partitions(last, next)
               ? 0
               : put_consumer_target(op, arena, group, id, next);
}

int consumer_assign_now(const struct consumer_assign *job, struct coord_op *op,
                        const struct coord_turn *turn, struct assignment *ret_next)
{
    struct consumer_target target = {
        .image = turn->image, .assignor = consumer_assignor(job->assignor), .arena = job->arena};
    if (!consumer_target_list(&target, job->consumer, &job->change))
        return -ENOMEM;
    int err = consumer_target_assign(&target);
    if (err == 0 && !has_memory(job->shard, job->consumer, &target, turn))
        err = KAFKA_COORDINATOR_NOT_AVAILABLE;
    for (int32_t m = 0; err == 0 && m < target.member_count; m++) {
        const struct target_member *member = &target.members[m];
        err = put_one(op, job->arena, job->group_id, member->id, member->has_last, &member->last,
                      &member->next);
    }
    if (err != 0)
        return err;
    *ret_next = target.members[target.changed].next;
    return put_consumer_target_metadata(op, job->group_id, job->epoch, turn->wall_ms);
}

/* ---- beside the requests ---- */

struct consumer_assigning {
    struct coord_task task;
    struct coord_shard *shard;
    struct consumer_target target;
    struct consumer_texts **texts; /* references */
    int32_t texts_count;
    struct arena arena;
    struct str group;
    int32_t epoch;
    int error; /* of the pool's work */
};

static void assigning_work(struct coord_task *task)
{
    struct consumer_assigning *assigning = container_of(task, struct consumer_assigning, task);
    assigning->error = coord_shard_is_deposed(assigning->shard)
                           ? KAFKA_NOT_COORDINATOR
                           : consumer_target_assign(&assigning->target);
}

static struct consumer_group *assigned_group(const struct group_shard *shard,
                                             const struct consumer_assigning *assigning)
{
    struct consumer_group *consumer = consumer_group_of(group_find(shard, assigning->group));
    return consumer && consumer->assigning == assigning ? consumer : NULL;
}

/* Who the member is by now. */
static const struct consumer_member *now_in_group(const struct consumer_group *consumer,
                                                  const struct target_member *member)
{
    return member->instance_id.data ? consumer_static_find(consumer, member->instance_id)
                                    : consumer_member_find(consumer, member->id);
}

static int assigning_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct consumer_assigning *assigning = container_of(op, struct consumer_assigning, task.op);
    const struct group_shard *shard = state;
    const struct consumer_group *consumer = assigned_group(shard, assigning);
    int err = assigning->error;
    if (!consumer || consumer->assignment_epoch >= assigning->epoch)
        return 0;
    if (err == 0 && !has_memory(shard, consumer, &assigning->target, turn))
        err = KAFKA_COORDINATOR_NOT_AVAILABLE;
    for (int32_t m = 0; err == 0 && m < assigning->target.member_count; m++) {
        const struct target_member *member = &assigning->target.members[m];
        const struct consumer_member *now = now_in_group(consumer, member);
        if (now)
            err = put_one(op, &assigning->arena, assigning->group, now->id, now->has_target,
                          &now->target, &member->next);
    }
    return err == 0
               ? put_consumer_target_metadata(op, assigning->group, assigning->epoch, turn->wall_ms)
               : err;
}

static void assigning_settle(struct coord_op *op, void *state, const struct coord_turn *turn,
                             int error)
{
    struct consumer_assigning *assigning = container_of(op, struct consumer_assigning, task.op);
    struct consumer_group *consumer = assigned_group(state, assigning);
    if (!consumer)
        return;
    consumer->assigning = NULL;
    if (error == 0)
        return;
    /* The next heartbeat after that tries again. */
    consumer->assign_after_ns = turn->now_ns + GROUP_RETRY_MS * INT64_C(1000000);
    say_warn(coord_shard_say(consumer->shard->shard), "a group's partitions were not assigned",
             kv_str("group", assigning->group), kv_int("error", error));
}

static void assigning_ended(struct coord_task *task, int error)
{
    struct consumer_assigning *assigning = container_of(task, struct consumer_assigning, task);
    (void)error;
    for (int32_t i = 0; i < assigning->texts_count; i++)
        consumer_texts_unref(assigning->texts[i]);
    image_unref(assigning->target.image);
    coord_shard_unref(assigning->shard);
    arena_close(&assigning->arena);
    free(assigning);
}

static void refer(struct consumer_assigning *assigning, struct consumer_texts *texts)
{
    if (texts)
        assigning->texts[assigning->texts_count++] = consumer_texts_ref(texts);
}

/* What the list borrows from the state is made its own. */
static void take_list(struct consumer_assigning *assigning, const struct consumer_group *consumer)
{
    struct arena *arena = &assigning->arena;
    struct target_member *members = assigning->target.members;
    struct consumer_member *from;
    assigning->texts =
        arena_array(arena, (size_t)assigning->target.member_count + map_count(&consumer->regexes),
                    sizeof(struct consumer_texts *));
    must(assigning->texts);
    struct map_at at = map_begin(&consumer->members);
    for (int32_t m = 0; (from = consumer_member_next(consumer, &at)); m++) {
        struct assignment *last = &members[m].last;
        struct assigned *items = arena_array(arena, (size_t)last->count, sizeof *items);
        must(m < assigning->target.member_count && str_equal(members[m].id, from->id));
        members[m].id = arena_str(arena, from->id);
        must(items && members[m].id.data);
        if (last->count > 0)
            memcpy(items, last->items, (size_t)last->count * sizeof *items);
        last->items = items;
        refer(assigning, from->texts);
    }
    for (at = map_begin(&consumer->regexes); map_next(&consumer->regexes, &at);)
        refer(assigning, (*(struct consumer_regex **)at.value)->texts);
}

static struct consumer_assigning *assigning_create(const struct group_shard *shard,
                                                   const struct consumer_group *consumer,
                                                   const struct coord_turn *turn)
{
    const struct consumer_change same = {NULL, NULL};
    struct consumer_assigning *assigning = group_alloc(sizeof *assigning);
    arena_init(&assigning->arena, 0);
    assigning->shard = coord_shard_ref(shard->shard);
    assigning->epoch = consumer->epoch;
    assigning->group = arena_str(&assigning->arena, consumer->group->id);
    assigning->target.image = image_ref(turn->image);
    assigning->target.assignor =
        consumer_assignor(consumer_preferred_assignor(consumer, &same, turn->settings));
    assigning->target.arena = &assigning->arena;
    must(assigning->group.data && consumer_target_list(&assigning->target, consumer, NULL));
    take_list(assigning, consumer);
    coord_op_init(&assigning->task.op);
    assigning->task.op.access = COORD_WRITE;
    assigning->task.op.decide = assigning_decide;
    assigning->task.op.settle = assigning_settle;
    assigning->task.work = assigning_work;
    assigning->task.ended = assigning_ended;
    return assigning;
}

/* Of the group as it is. */
static bool is_large(const struct consumer_group *consumer, const struct coord_turn *turn)
{
    const struct consumer_change same = {NULL, NULL};
    struct str_array names;
    struct arena arena;
    arena_init(&arena, 0);
    must(consumer_names_after(consumer, &same, &arena, &names));
    bool large = consumer_assign_is_large(consumer->group->id, names, consumer->member_count, turn);
    arena_close(&arena);
    return large;
}

void consumer_assign_look(struct group_shard *shard, struct consumer_group *consumer,
                          const struct coord_turn *turn)
{
    if (consumer->assignment_epoch >= consumer->epoch || !turn->image ||
        !consumer_assign_is_due(consumer, turn) || !is_large(consumer, turn))
        return;
    consumer->assigning = assigning_create(shard, consumer, turn);
    coord_task_start(shard->shard, &consumer->assigning->task, coord_shard_wakes(shard->shard));
}
