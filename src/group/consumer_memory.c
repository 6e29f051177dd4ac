#include "group/consumer_memory.h"

enum {
    /* An entry of a map, with its share of the slots and of the room kept free. */
    MAP_ENTRY_BYTES = 64,
    /* The least that an arena takes. */
    TEXTS_MIN_BYTES = 2048 + 64 + sizeof(struct consumer_texts),
    /* Of each text in an arena: its end, padding. */
    TEXT_EXTRA_BYTES = 1 + ARENA_ALIGN,
};

static int64_t assigned_bytes(int64_t count)
{
    return count * (int64_t)sizeof(struct assigned);
}

/* ---- what is there ---- */

static int64_t held_by(const struct consumer_texts *texts)
{
    return texts ? (int64_t)(sizeof *texts + arena_held_bytes(&texts->arena)) : 0;
}

void consumer_member_recount(struct consumer_member *member)
{
    int64_t owned = (int64_t)member->current.assigned.count + member->current.revoking.count;
    int64_t bytes = consumer_member_bytes(member->id) + held_by(member->texts) +
                    assigned_bytes(owned + member->target.count) + owned * MAP_ENTRY_BYTES;
    group_hold(member->group->shard, bytes - member->held);
    member->held = bytes;
}

void consumer_regex_recount(struct consumer_group *consumer, struct consumer_regex *regex)
{
    int64_t bytes =
        (int64_t)sizeof *regex + regex->regex.size + MAP_ENTRY_BYTES + held_by(regex->texts);
    group_hold(consumer->shard, bytes - regex->held);
    regex->held = bytes;
}

int64_t consumer_topic_bytes(struct str name)
{
    return (int64_t)sizeof(struct consumer_topic) + name.size + MAP_ENTRY_BYTES;
}

int64_t consumer_member_bytes(struct str id)
{
    return (int64_t)sizeof(struct consumer_member) + id.size + 2 * MAP_ENTRY_BYTES;
}

int64_t consumer_group_bytes(void)
{
    return (int64_t)sizeof(struct consumer_group);
}

/* ---- what will be ---- */

static int64_t text_bytes(struct str text)
{
    return text.data ? text.size + TEXT_EXTRA_BYTES : 0;
}

static int64_t texts_bytes(struct str_array texts)
{
    int64_t bytes = ARENA_ALIGN + (texts.count > 0 ? texts.count : 0) * (int64_t)sizeof(struct str);
    for (int32_t i = 0; i < texts.count; i++)
        bytes += text_bytes(texts.items[i]);
    return bytes;
}

/* The arena doubles its chunks, so half of it may be empty. */
static int64_t arena_bytes(int64_t used)
{
    return TEXTS_MIN_BYTES + 2 * used;
}

static int64_t topics_bytes(struct str_array topics)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < topics.count; i++)
        bytes += consumer_topic_bytes(topics.items[i]);
    return bytes;
}

static int64_t
classic_bytes(const struct consumer_group_member_metadata_value_classic_member_metadata *classic)
{
    if (!classic)
        return 0;
    int64_t bytes = (int64_t)sizeof *classic + 2 * ARENA_ALIGN;
    for (int32_t i = 0; i < classic->supported_protocols.count; i++)
        bytes += (int64_t)sizeof classic->supported_protocols.items[i] +
                 text_bytes(classic->supported_protocols.items[i].name) +
                 classic->supported_protocols.items[i].metadata.size + ARENA_ALIGN;
    return bytes;
}

int64_t consumer_subscription_bytes(const struct consumer_subscription *subscription)
{
    if (!subscription)
        return 0;
    int64_t used = text_bytes(subscription->instance_id) + text_bytes(subscription->rack_id) +
                   text_bytes(subscription->client_id) + text_bytes(subscription->client_host) +
                   text_bytes(subscription->regex) + text_bytes(subscription->assignor) +
                   texts_bytes(subscription->topics) + classic_bytes(subscription->classic);
    int64_t regex = subscription->regex.size > 0 ? (int64_t)sizeof(struct consumer_regex) +
                                                       subscription->regex.size + MAP_ENTRY_BYTES
                                                 : 0;
    return arena_bytes(used) + topics_bytes(subscription->topics) + regex;
}

int64_t consumer_partitions_bytes(int64_t count)
{
    return 2 * assigned_bytes(count) + count * MAP_ENTRY_BYTES;
}

int64_t consumer_resolution_bytes(struct str_array topics)
{
    return arena_bytes(texts_bytes(topics)) + topics_bytes(topics);
}
