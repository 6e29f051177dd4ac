/* Who goes, and what members prefer. */
#include <errno.h>

#include "group/consumer_metadata.h"
#include "group/consumer_ops.h"
#include "group/consumer_records.h"
#include "group/names.h"

const struct assignor *consumer_assignor(const char *name)
{
    return strcmp(name, range_assignor.name) == 0 ? &range_assignor : &uniform_assignor;
}

const struct assignor *consumer_assignor_of(const struct consumer_subscription *subscription)
{
    struct str name = subscription->assignor;
    if (!name.data)
        return NULL;
    if (str_equal(name, str_of(range_assignor.name)))
        return &range_assignor;
    return str_equal(name, str_of(uniform_assignor.name)) ? &uniform_assignor : NULL;
}

static int32_t votes(const struct consumer_group *consumer, const struct assignor *assignor)
{
    if (!consumer)
        return 0;
    return assignor == &range_assignor ? consumer->range_votes : consumer->uniform_votes;
}

static bool prefers(const struct consumer_subscription *subscription,
                    const struct assignor *assignor)
{
    return subscription && consumer_assignor_of(subscription) == assignor;
}

const char *consumer_preferred_assignor(const struct consumer_group *consumer,
                                        const struct consumer_change *change,
                                        const struct broker_settings *settings)
{
    const char *best = settings->group_consumer_assignors[0];
    int32_t most = 0;
    for (int i = 0; i < settings->group_consumer_assignor_count; i++) {
        const struct assignor *assignor = consumer_assignor(settings->group_consumer_assignors[i]);
        int32_t count = votes(consumer, assignor) - prefers(change->before, assignor) +
                        prefers(change->after, assignor);
        if (count > most) {
            most = count;
            best = settings->group_consumer_assignors[i];
        }
    }
    return best;
}

/* The expression that the member is the first to take along, when nobody else has it. */
static const struct consumer_regex *orphaned(const struct consumer_group *consumer,
                                             const struct consumer_member *const *members,
                                             int32_t count, int32_t index)
{
    struct str text = members[index]->subscription.regex;
    const struct consumer_regex *regex = consumer_regex_find(consumer, text);
    int32_t leaving = 0;
    for (int32_t i = 0; regex && i < count; i++) {
        bool same = str_equal(str_or_empty(members[i]->subscription.regex), text);
        if (same && i < index)
            return NULL;
        leaving += same;
    }
    return regex && regex->members == leaving ? regex : NULL;
}

/* Whether anybody who stays wants the topic. */
static bool stays_wanted(const struct consumer_group *consumer, const struct consumer_topic *topic,
                         const struct consumer_member *const *members, int32_t count)
{
    int32_t wanted = topic->by_name + topic->by_regex;
    for (int32_t i = 0; i < count; i++) {
        const struct consumer_regex *regex = orphaned(consumer, members, count, i);
        wanted -= names_have(members[i]->subscription.topics, topic->name);
        if (regex && regex->resolved)
            wanted -= names_have(regex->topics, topic->name);
    }
    return wanted > 0;
}

static bool names_without(const struct consumer_group *consumer,
                          const struct consumer_member *const *members, int32_t count,
                          struct arena *arena, struct str_array *ret_names)
{
    struct str_array names = {arena_array(arena, map_count(&consumer->topics), sizeof *names.items),
                              0};
    if (!names.items)
        return false;
    for (struct map_at at = map_begin(&consumer->topics); map_next(&consumer->topics, &at);) {
        const struct consumer_topic *topic = *(struct consumer_topic **)at.value;
        if (stays_wanted(consumer, topic, members, count))
            names.items[names.count++] = topic->name;
    }
    names_sort_once(&names);
    *ret_names = names;
    return true;
}

int consumer_put_fenced(struct coord_op *op, struct arena *arena,
                        const struct consumer_group *consumer,
                        const struct consumer_member *const *members, int32_t count,
                        const struct coord_turn *turn)
{
    struct str group = consumer->group->id;
    struct str_array names;
    int err = 0;
    for (int32_t i = 0; err == 0 && i < count; i++)
        err = put_consumer_member_tombstones(op, group, members[i]->id);
    for (int32_t i = 0; err == 0 && i < count; i++) {
        const struct consumer_regex *regex = orphaned(consumer, members, count, i);
        err = regex ? put_consumer_regex_tombstone(op, group, regex->regex) : 0;
    }
    if (err != 0)
        return err;
    if (!names_without(consumer, members, count, arena, &names))
        return -ENOMEM;
    int64_t hash = consumer_metadata_hash_after(consumer, turn->image, names, arena);
    err = put_consumer_group(op, group, consumer_epoch_after(consumer->epoch), hash);
    /* With nobody left the assignment of nobody is up to date at once. */
    if (err == 0 && consumer->member_count == count)
        err = put_consumer_target_metadata(op, group, consumer_epoch_after(consumer->epoch), 0);
    return err;
}
