/* The state of a consumer group, and the counts that hang off its members.
 *
 * Invariants:
 * 1. A topic is in `topics` as long as a member names it or a resolved expression of a member
 *    matches it; an expression is in `regexes` as long as it has members or a resolution.
 * 2. owned_epochs has a partition as long as it is in assigned or revoking of a member; where
 *    records contradict each other the highest epoch counts.
 * 3. A member is in the map while it is in the group or has a target.
 * 4. What is held for members, topics, expressions and the group itself is accounted for with
 *    group_hold: whoever changes one of them counts it anew. */
#include <stdlib.h>

#include "group/consumer_group.h"
#include "group/consumer_memory.h"
#include "group/consumer_migrate.h"
#include "group/consumer_ops.h"
#include "group/consumer_timers.h"
#include "group/names.h"
#include "metadata/delta.h"

/* ---- texts ---- */

struct consumer_texts *consumer_texts_create(void)
{
    struct consumer_texts *texts = group_alloc(sizeof *texts);
    atomic_init(&texts->references, 1);
    arena_init(&texts->arena, 0);
    return texts;
}

struct consumer_texts *consumer_texts_ref(struct consumer_texts *texts)
{
    atomic_fetch_add_explicit(&texts->references, 1, memory_order_relaxed);
    return texts;
}

void consumer_texts_unref(struct consumer_texts *texts)
{
    if (!texts || atomic_fetch_sub_explicit(&texts->references, 1, memory_order_acq_rel) != 1)
        return;
    arena_close(&texts->arena);
    free(texts);
}

/* ---- look-ups ---- */

struct consumer_member *consumer_member_find(const struct consumer_group *consumer, struct str id)
{
    struct consumer_member **found = map_find_str(&consumer->members, id);
    return found && (*found)->in_group ? *found : NULL;
}

struct consumer_member *consumer_static_find(const struct consumer_group *consumer,
                                             struct str instance_id)
{
    struct consumer_member **found =
        instance_id.data ? map_find_str(&consumer->statics, instance_id) : NULL;
    return found ? *found : NULL;
}

struct consumer_member *consumer_member_next(const struct consumer_group *consumer,
                                             struct map_at *at)
{
    while (map_next(&consumer->members, at)) {
        struct consumer_member *member = *(struct consumer_member **)at->value;
        if (member->in_group)
            return member;
    }
    return NULL;
}

const struct consumer_topic *consumer_topic_find(const struct consumer_group *consumer,
                                                 struct str name)
{
    struct consumer_topic **found = map_find_str(&consumer->topics, name);
    return found ? *found : NULL;
}

const struct consumer_regex *consumer_regex_find(const struct consumer_group *consumer,
                                                 struct str regex)
{
    struct consumer_regex **found = regex.size > 0 ? map_find_str(&consumer->regexes, regex) : NULL;
    return found ? *found : NULL;
}

enum consumer_group_state consumer_group_state(const struct consumer_group *consumer)
{
    struct consumer_member *member;
    if (consumer->member_count == 0)
        return CONSUMER_GROUP_EMPTY;
    if (consumer->epoch > consumer->assignment_epoch)
        return CONSUMER_GROUP_ASSIGNING;
    for (struct map_at at = map_begin(&consumer->members);
         (member = consumer_member_next(consumer, &at));)
        if (!consumer_is_reconciled(&member->current, consumer->assignment_epoch))
            return CONSUMER_GROUP_RECONCILING;
    return CONSUMER_GROUP_STABLE;
}

/* ---- who owns what ---- */

static uint64_t owned_key(const struct consumer_owned_topic *topic, int32_t partition)
{
    return (uint64_t)topic->number << 32 | (uint32_t)partition;
}

int32_t consumer_partition_epoch(const struct consumer_group *consumer, struct uuid topic,
                                 int32_t partition)
{
    const struct consumer_owned_topic *owned = map_find_id(&consumer->owned_topics, topic);
    const int32_t *epoch =
        owned ? map_find(&consumer->owned_epochs, owned_key(owned, partition)) : NULL;
    return epoch ? *epoch : CONSUMER_EPOCH_NONE;
}

static void own(struct consumer_group *consumer, const struct assignment *assignment, int32_t epoch)
{
    for (int32_t i = 0; i < assignment->count; i++) {
        const struct assigned *item = &assignment->items[i];
        struct consumer_owned_topic *topic;
        int32_t *place;
        int added = map_put_id(&consumer->owned_topics, item->topic, &topic);
        must(added >= 0);
        if (added)
            topic->number = consumer->next_number++;
        added = map_put(&consumer->owned_epochs, owned_key(topic, item->partition), &place);
        must(added >= 0);
        topic->count += added;
        if (added || *place < epoch)
            *place = epoch;
    }
}

static void disown(struct consumer_group *consumer, const struct assignment *assignment,
                   int32_t epoch)
{
    for (int32_t i = 0; i < assignment->count; i++) {
        const struct assigned *item = &assignment->items[i];
        struct consumer_owned_topic *topic = map_find_id(&consumer->owned_topics, item->topic);
        const int32_t *place =
            topic ? map_find(&consumer->owned_epochs, owned_key(topic, item->partition)) : NULL;
        if (!place || *place != epoch)
            continue; /* somebody else has it by now */
        map_remove(&consumer->owned_epochs, owned_key(topic, item->partition), NULL);
        if (--topic->count == 0)
            map_remove_id(&consumer->owned_topics, item->topic, NULL);
    }
}

void consumer_set_current(struct consumer_member *member, const struct consumer_current *current)
{
    struct consumer_current *now = &member->current;
    disown(member->group, &now->assigned, now->epoch);
    disown(member->group, &now->revoking, now->epoch);
    assignment_drop(&now->assigned);
    assignment_drop(&now->revoking);
    *now = *current;
    now->assigned = assignment_copy(&current->assigned);
    now->revoking = assignment_copy(&current->revoking);
    own(member->group, &now->assigned, now->epoch);
    own(member->group, &now->revoking, now->epoch);
    consumer_member_recount(member);
}

/* ---- subscriptions ---- */

static void topic_count(struct consumer_group *consumer, struct str name, int32_t by_name,
                        int32_t by_regex)
{
    struct consumer_topic **found = map_find_str(&consumer->topics, name);
    struct consumer_topic *topic = found ? *found : NULL;
    if (!topic) {
        topic = group_alloc(sizeof *topic + (size_t)name.size);
        if (name.size > 0)
            memcpy(topic + 1, name.data, (size_t)name.size);
        topic->name = (struct str){(const char *)(topic + 1), name.size};
        must(map_put_str(&consumer->topics, topic->name, &found) == 1);
        *found = topic;
        group_hold(consumer->shard, consumer_topic_bytes(topic->name));
    }
    topic->by_name += by_name;
    topic->by_regex += by_regex;
    must(topic->by_name >= 0 && topic->by_regex >= 0);
    if (topic->by_name == 0 && topic->by_regex == 0) {
        must(map_remove_str(&consumer->topics, topic->name, NULL));
        group_hold(consumer->shard, -consumer_topic_bytes(topic->name));
        free(topic);
    }
}

static struct consumer_regex *regex_get(struct consumer_group *consumer, struct str text)
{
    struct consumer_regex **found = map_find_str(&consumer->regexes, text);
    if (found)
        return *found;
    struct consumer_regex *regex = group_alloc(sizeof *regex + (size_t)text.size);
    if (text.size > 0)
        memcpy(regex + 1, text.data, (size_t)text.size);
    regex->regex = (struct str){(const char *)(regex + 1), text.size};
    must(map_put_str(&consumer->regexes, regex->regex, &found) == 1);
    *found = regex;
    consumer_regex_recount(consumer, regex);
    return regex;
}

static void regex_drop_if_unused(struct consumer_group *consumer, struct consumer_regex *regex)
{
    if (regex->members > 0 || regex->resolved)
        return;
    must(map_remove_str(&consumer->regexes, regex->regex, NULL));
    group_hold(consumer->shard, -regex->held);
    consumer_texts_unref(regex->texts);
    free(regex);
}

/* What its topics count for: only while somebody subscribes to it. */
static void regex_count(struct consumer_group *consumer, const struct consumer_regex *regex,
                        int32_t by)
{
    if (regex->members > 0 && regex->resolved)
        for (int32_t i = 0; i < regex->topics.count; i++)
            topic_count(consumer, regex->topics.items[i], 0, by);
}

static void regex_members(struct consumer_group *consumer, struct str text, int32_t by)
{
    if (text.size == 0)
        return;
    struct consumer_regex *regex = regex_get(consumer, text);
    regex_count(consumer, regex, -1);
    regex->members += by;
    must(regex->members >= 0);
    regex_count(consumer, regex, 1);
    regex_drop_if_unused(consumer, regex);
}

static struct str text_in(struct arena *arena, struct str text)
{
    if (!text.data)
        return (struct str){NULL, 0};
    struct str copy = arena_str(arena, text);
    must(copy.data);
    return copy;
}

/* Copied, ascending, each once. */
static struct str_array texts_in(struct arena *arena, struct str_array texts)
{
    int32_t count = texts.count > 0 ? texts.count : 0;
    struct str_array copy = {arena_array(arena, (size_t)count, sizeof *copy.items), count};
    must(copy.items);
    for (int32_t i = 0; i < count; i++)
        copy.items[i] = text_in(arena, texts.items[i]);
    names_sort_once(&copy);
    return copy;
}

void consumer_set_regex(struct group_shard *shard, struct consumer_group *consumer, struct str text,
                        const struct consumer_group_regular_expression_value *value)
{
    (void)shard;
    struct consumer_regex *regex = regex_get(consumer, text);
    regex_count(consumer, regex, -1);
    consumer_texts_unref(regex->texts);
    regex->texts = NULL;
    regex->resolved = value != NULL;
    regex->topics = (struct str_array){NULL, 0};
    if (value) {
        regex->texts = consumer_texts_create();
        regex->topics = texts_in(&regex->texts->arena, value->topics);
        regex->version = value->version;
        regex->timestamp_ms = value->timestamp;
    }
    consumer_regex_recount(consumer, regex);
    regex_count(consumer, regex, 1);
    regex_drop_if_unused(consumer, regex);
}

static void count_subscription(struct consumer_member *member, int32_t by)
{
    const struct consumer_subscription *subscription = &member->subscription;
    const struct assignor *assignor = consumer_assignor_of(subscription);
    if (assignor == &range_assignor)
        member->group->range_votes += by;
    else if (assignor == &uniform_assignor)
        member->group->uniform_votes += by;
    for (int32_t i = 0; i < subscription->topics.count; i++)
        topic_count(member->group, subscription->topics.items[i], by, 0);
    regex_members(member->group, subscription->regex, by);
}

static void static_put(struct consumer_member *member)
{
    struct consumer_member **place;
    if (!member->subscription.instance_id.data)
        return;
    /* The key's bytes are this member's own, not those of who had the instance id before. */
    map_remove_str(&member->group->statics, member->subscription.instance_id, NULL);
    must(map_put_str(&member->group->statics, member->subscription.instance_id, &place) == 1);
    *place = member;
}

static void static_remove(struct consumer_member *member)
{
    struct str id = member->subscription.instance_id;
    if (id.data && consumer_static_find(member->group, id) == member)
        map_remove_str(&member->group->statics, id, NULL);
}

/* A deep copy: protocols of a member that speaks the classic protocol. */
static const struct consumer_group_member_metadata_value_classic_member_metadata *
classic_in(struct arena *arena,
           const struct consumer_group_member_metadata_value_classic_member_metadata *from)
{
    if (!from)
        return NULL;
    struct consumer_group_member_metadata_value_classic_member_metadata *copy =
        arena_alloc(arena, sizeof *copy);
    must(copy);
    *copy = *from;
    copy->supported_protocols.items = arena_array(arena, (size_t)from->supported_protocols.count,
                                                  sizeof *copy->supported_protocols.items);
    must(copy->supported_protocols.items);
    for (int32_t i = 0; i < from->supported_protocols.count; i++) {
        struct bytes metadata = from->supported_protocols.items[i].metadata;
        uint8_t *data = arena_alloc(arena, (size_t)metadata.size);
        must(data);
        if (metadata.size > 0)
            memcpy(data, metadata.data, (size_t)metadata.size);
        copy->supported_protocols.items[i].name =
            text_in(arena, from->supported_protocols.items[i].name);
        copy->supported_protocols.items[i].metadata = (struct bytes){data, metadata.size};
    }
    return copy;
}

void consumer_set_subscription(struct group_shard *shard, struct consumer_member *member,
                               const struct consumer_subscription *from)
{
    struct consumer_texts *before = member->texts;
    int was_classic = member->in_group && member->subscription.classic;
    int from_classic = from->classic != NULL;
    if (member->in_group) {
        count_subscription(member, -1);
        static_remove(member);
    } else {
        member->in_group = true;
        member->group->member_count++;
    }
    member->texts = consumer_texts_create();
    struct arena *texts = &member->texts->arena;
    member->subscription = (struct consumer_subscription){
        .instance_id = text_in(texts, from->instance_id),
        .rack_id = text_in(texts, from->rack_id),
        .client_id = text_in(texts, from->client_id),
        .client_host = text_in(texts, from->client_host),
        .topics = texts_in(texts, from->topics),
        .regex = text_in(texts, from->regex),
        .assignor = text_in(texts, from->assignor),
        .rebalance_timeout_ms = from->rebalance_timeout_ms,
        .classic = classic_in(texts, from->classic),
    };
    consumer_texts_unref(before);
    member->group->classic_count += from_classic - was_classic;
    count_subscription(member, 1);
    static_put(member);
    consumer_member_recount(member);
    consumer_downgrade_look(shard, member->group);
}

/* ---- members ---- */

struct consumer_member *consumer_member_get(struct group_shard *shard,
                                            struct consumer_group *consumer, struct str id)
{
    struct consumer_member **found = map_find_str(&consumer->members, id);
    (void)shard;
    if (found)
        return *found;
    struct consumer_member *member = group_alloc(sizeof *member);
    member->group = consumer;
    member->id = text_copy(id);
    member->current.previous_epoch = CONSUMER_EPOCH_NONE;
    consumer_timers_init(member);
    must(map_put_str(&consumer->members, member->id, &found) == 1);
    *found = member;
    consumer_member_recount(member);
    return member;
}

static void member_drop_if_unused(struct group_shard *shard, struct consumer_member *member)
{
    if (member->in_group || member->has_target)
        return;
    must(map_remove_str(&member->group->members, member->id, NULL));
    if (shard->loaded) {
        coord_timer_cancel(shard->shard, &member->session);
        coord_timer_cancel(shard->shard, &member->rebalance);
    }
    group_hold(shard, -member->held);
    consumer_texts_unref(member->texts);
    text_drop(&member->id);
    free(member);
}

void consumer_set_target(struct consumer_member *member, const struct assignment *target)
{
    member->group->target_count += target->count - member->target.count;
    assignment_drop(&member->target);
    member->target = assignment_copy(target);
    member->has_target = true;
    consumer_member_recount(member);
}

void consumer_drop_target(struct group_shard *shard, struct consumer_member *member)
{
    member->group->target_count -= member->target.count;
    assignment_drop(&member->target);
    member->has_target = false;
    consumer_member_recount(member);
    member_drop_if_unused(shard, member);
}

void consumer_leave_group(struct group_shard *shard, struct consumer_member *member)
{
    const struct consumer_current gone = {.epoch = CONSUMER_EPOCH_NONE,
                                          .previous_epoch = CONSUMER_EPOCH_NONE};
    must(member->in_group);
    consumer_set_current(member, &gone);
    count_subscription(member, -1);
    static_remove(member);
    struct consumer_group *consumer = member->group;
    consumer->classic_count -= member->subscription.classic != NULL;
    member->subscription = (struct consumer_subscription){0};
    consumer_texts_unref(member->texts);
    member->texts = NULL;
    consumer_member_recount(member);
    member->in_group = false;
    consumer->member_count--;
    if (shard->loaded) {
        coord_timer_cancel(shard->shard, &member->session);
        coord_timer_cancel(shard->shard, &member->rebalance);
    }
    member_drop_if_unused(shard, member);
    consumer_downgrade_look(shard, consumer);
}

/* ---- the group ---- */

struct consumer_group *consumer_group_create(struct group_shard *shard, struct group *group)
{
    struct consumer_group *consumer = group_alloc(sizeof *consumer);
    consumer->group = group;
    consumer->shard = shard;
    group_hold(shard, consumer_group_bytes());
    consumer->epoch = CONSUMER_EPOCH_FIRST;
    consumer->assignment_epoch = CONSUMER_EPOCH_NONE;
    map_init(&consumer->members, MAP_STR, sizeof(struct consumer_member *), shard->seed);
    map_init(&consumer->statics, MAP_STR, sizeof(struct consumer_member *), shard->seed);
    map_init(&consumer->topics, MAP_STR, sizeof(struct consumer_topic *), shard->seed);
    map_init(&consumer->regexes, MAP_STR, sizeof(struct consumer_regex *), shard->seed);
    map_init(&consumer->owned_topics, MAP_ID, sizeof(struct consumer_owned_topic), shard->seed);
    map_init(&consumer->owned_epochs, MAP_U64, sizeof(int32_t), shard->seed);
    return consumer;
}

void consumer_group_destroy(struct group_shard *shard, struct group *group)
{
    struct consumer_group *consumer = group->consumer;
    for (struct map_at at = map_begin(&consumer->members); map_next(&consumer->members, &at);) {
        struct consumer_member *member = *(struct consumer_member **)at.value;
        /* The last of the two frees it. */
        if (member->in_group && member->has_target) {
            consumer_leave_group(shard, member);
            consumer_drop_target(shard, member);
        } else if (member->in_group) {
            consumer_leave_group(shard, member);
        } else {
            consumer_drop_target(shard, member);
        }
    }
    for (struct map_at at = map_begin(&consumer->regexes); map_next(&consumer->regexes, &at);)
        consumer_set_regex(shard, consumer, (*(struct consumer_regex **)at.value)->regex, NULL);
    must(map_count(&consumer->members) == 0 && map_count(&consumer->statics) == 0 &&
         map_count(&consumer->topics) == 0 && map_count(&consumer->regexes) == 0 &&
         map_count(&consumer->owned_topics) == 0 && map_count(&consumer->owned_epochs) == 0);
    map_close(&consumer->members);
    map_close(&consumer->statics);
    map_close(&consumer->topics);
    map_close(&consumer->regexes);
    map_close(&consumer->owned_topics);
    map_close(&consumer->owned_epochs);
    must(consumer->target_count == 0 && consumer->range_votes == 0 && consumer->uniform_votes == 0);
    group_hold(shard, -consumer_group_bytes());
    free(consumer);
    group->consumer = NULL;
}

/* ---- the cluster changes ---- */

static bool wants_any_of(const struct consumer_group *consumer, const struct image_delta *delta)
{
    for (int32_t i = 0; i < delta->topic_count; i++) {
        const struct topic_image *topic =
            delta->topics[i].after ? delta->topics[i].after : delta->topics[i].before;
        if (map_find_str(&consumer->topics, topic->name))
            return true;
    }
    return false;
}

void consumer_image_changed(struct group_shard *shard, const struct coord_turn *turn)
{
    struct image_delta delta;
    struct arena arena;
    bool known = shard->image && turn->image;
    arena_init(&arena, 0);
    if (known) {
        image_diff(shard->image, turn->image, &arena, &delta);
        for (int32_t i = 0; i < delta.topic_count; i++)
            if (!delta.topics[i].before)
                shard->new_topics_offset = turn->image->offset;
    } else if (turn->image) {
        shard->new_topics_offset = turn->image->offset;
    }
    list_for_each (at, &shard->all) {
        struct consumer_group *consumer = consumer_group_of(container_of(at, struct group, link));
        if (consumer && consumer->metadata_fresh && (!known || wants_any_of(consumer, &delta)))
            consumer->metadata_fresh = false;
    }
    arena_close(&arena);
}
