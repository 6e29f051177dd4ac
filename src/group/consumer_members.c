/* Who goes, and what members prefer. */
#include <errno.h>

#include "group/consumer_metadata.h"
#include "group/consumer_ops.h"
#include "group/consumer_records.h"

const struct assignor *consumer_assignor(const char *name)
{
    return strcmp(name, range_assignor.name) == 0 ? &range_assignor : &uniform_assignor;
}

static int32_t votes(const struct consumer_group *consumer, struct str assignor)
{
    const struct consumer_member *member;
    int32_t count = 0;
    struct map_at at = {0};
    while (consumer && (member = consumer_member_next(consumer, &at)))
        count += member->subscription.assignor.data &&
                 str_equal(member->subscription.assignor, assignor);
    return count;
}

static bool prefers(const struct consumer_subscription *subscription, struct str assignor)
{
    return subscription && subscription->assignor.data &&
           str_equal(subscription->assignor, assignor);
}

const char *consumer_preferred_assignor(const struct consumer_group *consumer,
                                        const struct consumer_change *change,
                                        const struct broker_settings *settings)
{
    const char *best = settings->group_consumer_assignors[0];
    int32_t most = 0;
    for (int i = 0; i < settings->group_consumer_assignor_count; i++) {
        struct str name = str_of(settings->group_consumer_assignors[i]);
        int32_t count =
            votes(consumer, name) - prefers(change->before, name) + prefers(change->after, name);
        if (count > most) {
            most = count;
            best = settings->group_consumer_assignors[i];
        }
    }
    return best;
}

int consumer_put_fenced(struct coord_op *op, struct arena *arena,
                        const struct consumer_group *consumer, const struct consumer_member *member,
                        const struct coord_turn *turn)
{
    const struct consumer_change change = {&member->subscription, NULL};
    const struct consumer_regex *regex = consumer_regex_find(consumer, member->subscription.regex);
    struct str group = consumer->group->id;
    struct str_array names;
    int err = put_consumer_member_tombstones(op, group, member->id);
    if (err == 0 && regex && regex->members == 1)
        err = put_consumer_regex_tombstone(op, group, regex->regex);
    if (err != 0)
        return err;
    if (!consumer_names_after(consumer, &change, arena, &names))
        return -ENOMEM;
    int64_t hash = consumer_metadata_hash(turn->image, names, arena);
    err = put_consumer_group(op, group, consumer->epoch + 1, hash);
    /* With nobody left the assignment of nobody is up to date at once. */
    if (err == 0 && consumer->member_count == 1)
        err = put_consumer_target_metadata(op, group, consumer->epoch + 1, 0);
    return err;
}
