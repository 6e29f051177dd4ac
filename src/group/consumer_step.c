/* The order is Kafka's: find or make the member, take in what it subscribes to, give the group a
 * new epoch if that or the topics changed, compute a new target assignment if the epoch is ahead of
 * it, take the member one step towards its target. Each stage that changes something puts its
 * record, so records come in this order: member metadata, group metadata, target assignments, the
 * target's epoch, the member's current assignment.
 *
 * Nothing of the state changes here before the records are applied; what later stages need to know
 * of earlier ones is in the step. */
#include "group/consumer_step.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "group/consumer_assign.h"
#include "group/consumer_memory.h"
#include "group/consumer_migrate.h"
#include "group/consumer_records.h"
#include "group/consumer_regex.h"
#include "group/names.h"
#include "group/records.h"

static int refuse(struct consumer_step *step, int error, const char *message)
{
    step->message = message;
    return error;
}

/* ---- the group ---- */

/* A classic group with members turns into a consumer group with the same members. */
static int upgrade(struct consumer_step *step)
{
    int err = consumer_upgrade_begin(step->upgrade, step->group, step->turn, &step->message);
    if (err == 0)
        err = put_group_tombstone(step->op, step->group->id);
    if (err == 0)
        err = consumer_upgrade_put(step->upgrade, step->op, step->arena);
    if (err == 0)
        step->consumer = step->upgrade->group.consumer;
    return err;
}

static int find_group(struct consumer_step *step)
{
    bool joins = step->request->member_epoch == CONSUMER_EPOCH_JOIN;
    if (step->group && step->group->type == GROUP_CONSUMER) {
        step->consumer = step->group->consumer;
        return 0;
    }
    /* An empty classic group makes room; its offsets stay. */
    if (joins && step->group && group_kind_of(step->group)->is_empty(step->group))
        return put_group_tombstone(step->op, step->group->id);
    if (joins)
        return step->group ? upgrade(step) : 0;
    return refuse(step, KAFKA_GROUP_ID_NOT_FOUND,
                  step->group ? "The group is not a consumer group."
                              : "There is no such consumer group.");
}

static int check_room(struct consumer_step *step)
{
    const struct consumer_group *consumer = step->consumer;
    struct str id = step->request->member_id;
    int32_t count = consumer ? consumer->member_count : 0;
    if (consumer && consumer_static_find(consumer, step->request->instance_id))
        return 0;
    if (count < step->turn->settings->group_consumer_max_size ||
        (id.size > 0 && consumer && consumer_member_find(consumer, id)))
        return 0;
    return refuse(step, KAFKA_GROUP_MAX_SIZE_REACHED,
                  "The group has as many members as group.consumer.max.size allows.");
}

/* ---- the member ---- */

static bool owns_only(const struct consumer_group_heartbeat_request *request,
                      const struct assignment *assigned)
{
    if (request->topic_partitions.count < 0)
        return false;
    for (int32_t i = 0; i < request->topic_partitions.count; i++) {
        const struct consumer_group_heartbeat_request_topic_partitions *topic =
            &request->topic_partitions.items[i];
        for (int32_t p = 0; p < topic->partitions.count; p++)
            if (!assignment_find(assigned, topic->topic_id, topic->partitions.items[p]))
                return false;
    }
    return true;
}

/* A member may be one epoch behind: the answer that gave it the new one was lost. */
static int check_epoch(struct consumer_step *step, const struct consumer_member *member)
{
    int32_t epoch = step->request->member_epoch;
    const struct consumer_current *current = &member->current;
    if (epoch == CONSUMER_EPOCH_JOIN || epoch == current->epoch)
        return 0;
    if (epoch > current->epoch)
        return refuse(step, KAFKA_FENCED_MEMBER_EPOCH,
                      "The member's epoch is ahead of the coordinator's.");
    if (epoch == current->previous_epoch && owns_only(step->request, &current->assigned))
        return 0;
    return refuse(step, KAFKA_FENCED_MEMBER_EPOCH,
                  "The member's epoch is behind the coordinator's. It has to join again.");
}

static void start_as_new(struct consumer_step *step)
{
    step->before = (struct consumer_subscription){
        .client_id = STR(""), .client_host = STR(""), .rebalance_timeout_ms = -1};
    step->current = (struct consumer_current){.epoch = 0, .previous_epoch = CONSUMER_EPOCH_NONE};
}

static void start_as(struct consumer_step *step, const struct consumer_member *member)
{
    step->before = member->subscription;
    step->current = member->current;
    step->target = member->has_target ? &member->target : NULL;
}

static int find_dynamic(struct consumer_step *step)
{
    bool joins = step->request->member_epoch == CONSUMER_EPOCH_JOIN;
    if (step->consumer)
        step->member = consumer_member_find(step->consumer, step->member_id);
    if (step->member) {
        start_as(step, step->member);
        return step->classic ? 0 : check_epoch(step, step->member);
    }
    if (!joins)
        return refuse(step, KAFKA_UNKNOWN_MEMBER_ID, "The member is not in the group.");
    start_as_new(step);
    return 0;
}

/* A static member comes back under a new id: it takes over what the old one had. */
static int replace_static(struct consumer_step *step, const struct consumer_member *old)
{
    struct coord_op *op = step->op;
    struct str group = step->group->id, id = step->member_id;
    const struct assignment nothing = {NULL, 0};
    if (!step->classic && !old->subscription.classic &&
        old->current.epoch != CONSUMER_EPOCH_LEAVE_STATIC)
        return refuse(step, KAFKA_UNRELEASED_INSTANCE_ID, "Another member uses the instance id.");
    start_as(step, old);
    step->current.epoch = step->current.previous_epoch = 0;
    step->replaced = old;
    step->member = NULL;
    int err = put_consumer_member_tombstones(op, group, old->id);
    if (err == 0)
        err = put_consumer_member(op, group, id, &step->before);
    if (err == 0)
        err =
            put_consumer_target(op, step->arena, group, id, step->target ? step->target : &nothing);
    return err == 0 ? put_consumer_current(op, step->arena, group, id, &step->current) : err;
}

static int find_static(struct consumer_step *step)
{
    bool joins =
        step->classic ? step->nameless : step->request->member_epoch == CONSUMER_EPOCH_JOIN;
    const struct consumer_member *member =
        step->consumer ? consumer_static_find(step->consumer, step->request->instance_id) : NULL;
    if (joins && !member)
        return find_dynamic(step);
    if (joins)
        return replace_static(step, member);
    if (!member)
        return refuse(step, KAFKA_UNKNOWN_MEMBER_ID, "The instance id is not known.");
    if (!str_equal(member->id, step->member_id))
        return refuse(step, KAFKA_FENCED_INSTANCE_ID,
                      "Another member has taken over the instance id.");
    step->member = member;
    start_as(step, member);
    return step->classic ? 0 : check_epoch(step, member);
}

static int find_member(struct consumer_step *step)
{
    step->member_id = step->request->member_id;
    if (step->member_id.size == 0) {
        char text[UUID_TEXT_SIZE];
        uuid_format(step->client->random, text);
        step->member_id = arena_str(step->arena, str_of(text));
        if (!step->member_id.data)
            return -ENOMEM;
    }
    return step->request->instance_id.data ? find_static(step) : find_dynamic(step);
}

/* ---- what it subscribes to ---- */

static bool sorted_once(struct arena *arena, struct str_array from, struct str_array *ret)
{
    struct str_array names = {arena_array(arena, (size_t)from.count, sizeof *names.items),
                              from.count};
    if (!names.items)
        return false;
    if (from.count > 0)
        memcpy(names.items, from.items, (size_t)from.count * sizeof *names.items);
    names_sort_once(&names);
    *ret = names;
    return true;
}

static bool same_text(struct str a, struct str b)
{
    return !a.data == !b.data && str_equal(a, b);
}

static bool
same_classic(const struct consumer_group_member_metadata_value_classic_member_metadata *a,
             const struct consumer_group_member_metadata_value_classic_member_metadata *b)
{
    if (!a || !b)
        return !a && !b;
    if (a->session_timeout_ms != b->session_timeout_ms ||
        a->supported_protocols.count != b->supported_protocols.count)
        return false;
    for (int32_t i = 0; i < a->supported_protocols.count; i++) {
        struct bytes x = a->supported_protocols.items[i].metadata;
        struct bytes y = b->supported_protocols.items[i].metadata;
        if (!str_equal(a->supported_protocols.items[i].name,
                       b->supported_protocols.items[i].name) ||
            x.size != y.size || (x.size > 0 && memcmp(x.data, y.data, (size_t)x.size) != 0))
            return false;
    }
    return true;
}

static bool same_subscription(const struct consumer_subscription *a,
                              const struct consumer_subscription *b)
{
    return same_text(a->instance_id, b->instance_id) && same_text(a->rack_id, b->rack_id) &&
           same_text(a->client_id, b->client_id) && same_text(a->client_host, b->client_host) &&
           names_equal(a->topics, b->topics) && same_text(a->regex, b->regex) &&
           same_text(a->assignor, b->assignor) &&
           a->rebalance_timeout_ms == b->rebalance_timeout_ms &&
           same_classic(a->classic, b->classic);
}

/* What the request brings may be held; what the member had makes room for it. */
static bool has_memory(const struct consumer_step *step)
{
    bool known = step->member || step->replaced;
    int64_t bytes = consumer_subscription_bytes(&step->after) -
                    consumer_subscription_bytes(known ? &step->before : NULL);
    if (!known)
        bytes += consumer_member_bytes(step->member_id);
    if (!step->consumer)
        bytes += consumer_group_bytes();
    return group_may_hold(step->shard, step->turn, bytes);
}

struct changes {
    bool subscription; /* names or expression: what it may own has to be looked at again */
    bool topics;       /* what the group wants may be something else: it needs a new epoch */
};

/* What the request does not mention stays as it was. */
static int take_subscription(struct consumer_step *step, struct changes *ret)
{
    const struct consumer_group_heartbeat_request *request = step->request;
    struct consumer_subscription *after = &step->after;
    *after = step->before;
    if (request->instance_id.data)
        after->instance_id = request->instance_id;
    if (request->rack_id.data)
        after->rack_id = request->rack_id;
    if (request->rebalance_timeout_ms != -1)
        after->rebalance_timeout_ms = request->rebalance_timeout_ms;
    if (request->server_assignor.data)
        after->assignor = request->server_assignor;
    if (request->subscribed_topic_names.count >= 0 &&
        !sorted_once(step->arena, request->subscribed_topic_names, &after->topics))
        return -ENOMEM;
    if (request->subscribed_topic_regex.data)
        after->regex = request->subscribed_topic_regex;
    after->client_id = str_or_empty(step->client->client_id);
    after->client_host = step->client->host;
    after->classic = step->classic;
    if (!has_memory(step))
        return refuse(step, KAFKA_COORDINATOR_NOT_AVAILABLE,
                      "The groups hold as much as jackdaw.group.memory.bytes allows.");
    int err = same_subscription(&step->before, after)
                  ? 0
                  : put_consumer_member(step->op, request->group_id, step->member_id, after);
    enum consumer_regex_change regex;
    if (err == 0)
        err = consumer_regex_change(step->op, step->consumer, request->group_id,
                                    str_or_empty(step->before.regex), str_or_empty(after->regex),
                                    step->compile_error, &regex);
    if (err == KAFKA_INVALID_REGULAR_EXPRESSION)
        return refuse(step, err, step->compile_message);
    if (err != 0)
        return err;
    ret->topics = !names_equal(step->before.topics, after->topics);
    ret->subscription = ret->topics || regex != CONSUMER_REGEX_SAME;
    ret->topics = ret->topics || regex == CONSUMER_REGEX_CHANGED_RESOLVED;
    return 0;
}

/* ---- the group's epoch ---- */

/* Another loop may be an image behind what the shard was told of. */
static bool is_latest(const struct consumer_step *step)
{
    const struct image *image = step->turn->image, *told = step->shard->image;
    return !told || (image && image->offset >= told->offset);
}

static int update_epoch(struct consumer_step *step, bool bump)
{
    const struct consumer_group *consumer = step->consumer;
    bool known = step->member || step->replaced;
    const struct consumer_change change = {known ? &step->before : NULL, &step->after};
    struct str_array names;
    step->epoch = consumer ? consumer->epoch : CONSUMER_EPOCH_FIRST;
    if (!bump && consumer && consumer->metadata_fresh)
        return 0;
    if (!consumer_names_after(consumer, &change, step->arena, &names))
        return -ENOMEM;
    int64_t hash = consumer_metadata_hash_after(consumer, step->turn->image, names, step->arena);
    step->metadata_checked = is_latest(step);
    if (hash != (consumer ? consumer->metadata_hash : 0))
        bump = true;
    int err = 0;
    if (bump) {
        step->epoch = consumer_epoch_after(step->epoch);
        err = put_consumer_group(step->op, step->request->group_id, step->epoch, hash);
    }
    if (err == 0 && consumer && consumer->has_partition_metadata)
        err = put_consumer_partition_metadata_tombstone(step->op, step->request->group_id);
    return err;
}

/* ---- the target ---- */

/* The member goes on towards the target that there is; of a new group that is the one of its first
 * epoch, in which nobody has anything. */
static void keep_target(struct consumer_step *step)
{
    int32_t epoch = step->consumer ? step->consumer->assignment_epoch : CONSUMER_EPOCH_NONE;
    step->target_epoch = epoch > CONSUMER_EPOCH_FIRST ? epoch : CONSUMER_EPOCH_FIRST;
    step->new_target = step->target ? *step->target : (struct assignment){NULL, 0};
}

/* Whether the target is the pool's to compute; settle has it begin. */
static int look_at_size(const struct consumer_step *step, const struct consumer_change *change,
                        bool *ret_large)
{
    const struct consumer_group *consumer = step->consumer;
    int32_t count = (consumer ? consumer->member_count : 0) + (change->before ? 0 : 1);
    struct str_array names;
    if (!consumer_names_after(consumer, change, step->arena, &names))
        return -ENOMEM;
    *ret_large = consumer_assign_is_large(step->request->group_id, names, count, step->turn);
    return 0;
}

static int update_target(struct consumer_step *step)
{
    const struct consumer_group *consumer = step->consumer;
    bool known = step->member || step->replaced, large;
    const struct consumer_change change = {known ? &step->before : NULL, &step->after};
    keep_target(step);
    if ((consumer && consumer->assignment_epoch >= step->epoch) ||
        !consumer_assign_is_due(consumer, step->turn))
        return 0;
    int err = look_at_size(step, &change, &large);
    if (err != 0 || large)
        return err;
    const struct consumer_assign job = {
        .shard = step->shard,
        .group_id = step->request->group_id,
        .consumer = consumer,
        .change = {.member_id = step->member_id,
                   .subscription = &step->after,
                   .last = step->target,
                   .replaced_id = step->replaced ? step->replaced->id : (struct str){NULL, 0}},
        .epoch = step->epoch,
        .assignor = consumer_preferred_assignor(consumer, &change, step->turn->settings),
        .arena = step->arena,
    };
    struct assignment next;
    err = consumer_assign_now(&job, step->op, step->turn, &next);
    if (err == KAFKA_COORDINATOR_NOT_AVAILABLE)
        return 0; /* as long as there is no memory for more */
    if (err != 0)
        return err;
    step->target_epoch = step->epoch;
    step->new_target = next;
    return 0;
}

/* ---- the member's next step ---- */

static bool step_subscribes(const void *context, struct uuid id)
{
    const struct consumer_step *step = context;
    const struct topic_image *topic = step->turn->image ? image_topic(step->turn->image, id) : NULL;
    return topic && names_have(step->names, topic->name);
}

static bool step_is_owned(const void *context, struct uuid topic, int32_t partition)
{
    const struct consumer_step *step = context;
    return step->consumer &&
           consumer_partition_epoch(step->consumer, topic, partition) != CONSUMER_EPOCH_NONE;
}

/* What the member says that it owns. */
static bool take_owned(const struct consumer_step *step, struct assignment *ret_owned)
{
    const struct consumer_group_heartbeat_request *request = step->request;
    int64_t count = 0;
    for (int32_t i = 0; i < request->topic_partitions.count; i++)
        count += request->topic_partitions.items[i].partitions.count;
    ret_owned->items = arena_array(step->arena, (size_t)count, sizeof *ret_owned->items);
    ret_owned->count = 0;
    if (!ret_owned->items)
        return false;
    for (int32_t i = 0; i < request->topic_partitions.count; i++) {
        const struct consumer_group_heartbeat_request_topic_partitions *topic =
            &request->topic_partitions.items[i];
        for (int32_t p = 0; p < topic->partitions.count; p++)
            ret_owned->items[ret_owned->count++] =
                (struct assigned){topic->topic_id, topic->partitions.items[p], 0};
    }
    return true;
}

static bool same_current(const struct consumer_current *a, const struct consumer_current *b)
{
    return a->epoch == b->epoch && a->previous_epoch == b->previous_epoch && a->state == b->state &&
           assignment_equal(&a->assigned, &b->assigned) &&
           assignment_equal(&a->revoking, &b->revoking);
}

static int reconcile(struct consumer_step *step, bool subscription_changed)
{
    struct consumer_current *next = &step->next;
    struct assignment owned;
    *next = step->current;
    if (!subscription_changed && consumer_is_reconciled(&step->current, step->target_epoch))
        return 0;
    if (!take_owned(step, &owned) ||
        !consumer_names_of(step->consumer, &step->after, step->arena, &step->names))
        return -ENOMEM;
    const struct consumer_reconcile job = {
        .current = &step->current,
        .target = &step->new_target,
        .target_epoch = step->target_epoch,
        .subscription_changed = subscription_changed,
        .owned = step->request->topic_partitions.count >= 0 ? &owned : NULL,
        .subscribes = step_subscribes,
        .is_owned = step_is_owned,
        .context = step,
        .arena = step->arena,
    };
    int err = consumer_reconcile(&job, next);
    if (err > 0)
        return refuse(step, err, "The member's state is not known. It has to join again.");
    if (err != 0 || same_current(&step->current, next))
        return err;
    step->current_changed = true;
    return put_consumer_current(step->op, step->arena, step->request->group_id, step->member_id,
                                next);
}

/* ---- all of it ---- */

int consumer_step_run(struct consumer_step *step)
{
    struct changes changes;
    int err = find_group(step);
    if (err == 0)
        err = check_room(step);
    if (err == 0)
        err = find_member(step);
    if (err == 0)
        err = take_subscription(step, &changes);
    if (err != 0)
        return err;
    bool known = step->member || step->replaced;
    const struct consumer_change change = {known ? &step->before : NULL, &step->after};
    const struct consumer_change same = {NULL, NULL};
    const struct broker_settings *settings = step->turn->settings;
    bool other_assignor =
        strcmp(consumer_preferred_assignor(step->consumer, &same, settings),
               consumer_preferred_assignor(step->consumer, &change, settings)) != 0;
    err = update_epoch(step, changes.topics || (other_assignor && !step->classic));
    if (err == 0)
        err = update_target(step);
    return err == 0 ? reconcile(step, changes.subscription) : err;
}
