#include "group/consumer_metadata.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "group/names.h"

/* Of what is hashed; another number when other things are. */
enum { TOPIC_HASH_VERSION = 0 };

struct str_array consumer_names_resolved(const struct consumer_group *consumer, struct str text)
{
    const struct consumer_regex *regex = consumer ? consumer_regex_find(consumer, text) : NULL;
    return regex && regex->resolved ? regex->topics : (struct str_array){NULL, 0};
}

bool consumer_names_of(const struct consumer_group *consumer,
                       const struct consumer_subscription *subscription, struct arena *arena,
                       struct str_array *ret_names)
{
    struct str_array topics = consumer_names_resolved(consumer, subscription->regex);
    if (topics.count == 0) {
        *ret_names = subscription->topics;
        return true;
    }
    struct str_array names = {NULL, 0};
    names.items = arena_array(arena, (size_t)subscription->topics.count + (size_t)topics.count,
                              sizeof *names.items);
    if (!names.items)
        return false;
    for (int32_t i = 0; i < subscription->topics.count; i++)
        names.items[names.count++] = subscription->topics.items[i];
    for (int32_t i = 0; i < topics.count; i++)
        names.items[names.count++] = topics.items[i];
    names_sort_once(&names);
    *ret_names = names;
    return true;
}

/* The member was the last one of its expression. */
static struct str_array orphaned(const struct consumer_group *consumer,
                                 const struct consumer_change *change)
{
    const struct consumer_regex *regex =
        change->before ? consumer_regex_find(consumer, change->before->regex) : NULL;
    bool stays =
        change->after && change->before && str_equal(change->before->regex, change->after->regex);
    return regex && regex->resolved && regex->members == 1 && !stays ? regex->topics
                                                                     : (struct str_array){NULL, 0};
}

bool consumer_names_after(const struct consumer_group *consumer,
                          const struct consumer_change *change, struct arena *arena,
                          struct str_array *ret_names)
{
    const struct str_array none = {NULL, 0};
    struct str_array before = change->before ? change->before->topics : none;
    struct str_array after = change->after ? change->after->topics : none;
    struct str_array gone = consumer ? orphaned(consumer, change) : none;
    struct str_array come =
        change->after ? consumer_names_resolved(consumer, change->after->regex) : none;
    size_t room = (size_t)after.count + (size_t)come.count;
    if (consumer)
        room += map_count(&consumer->topics);
    struct str_array names = {arena_array(arena, room, sizeof *names.items), 0};
    if (!names.items)
        return false;
    struct map_at at = {0};
    while (consumer && map_next(&consumer->topics, &at)) {
        const struct consumer_topic *topic = *(struct consumer_topic **)at.value;
        int32_t wanted = topic->by_name + topic->by_regex - names_have(before, topic->name) -
                         names_have(gone, topic->name);
        if (wanted > 0)
            names.items[names.count++] = topic->name;
    }
    for (int32_t i = 0; i < after.count; i++)
        names.items[names.count++] = after.items[i];
    for (int32_t i = 0; i < come.count; i++)
        names.items[names.count++] = come.items[i];
    names_sort_once(&names);
    *ret_names = names;
    return true;
}

/* ---- the hash: XXH3, integers little-endian, strings as UTF-16 and then their length ---- */

static void hash_int(XXH3_state_t *state, int32_t value)
{
    XXH3_64bits_update(state, &value, sizeof value);
}

static void hash_long(XXH3_state_t *state, int64_t value)
{
    XXH3_64bits_update(state, &value, sizeof value);
}

static void hash_unit(XXH3_state_t *state, uint32_t unit, int32_t *length)
{
    const uint16_t value = (uint16_t)unit;
    XXH3_64bits_update(state, &value, sizeof value);
    (*length)++;
}

static int32_t hash_units(XXH3_state_t *state, struct str text)
{
    int32_t length = 0;
    for (int32_t i = 0; i < text.size;) {
        uint8_t lead = (uint8_t)text.data[i];
        int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
        uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
        for (i++; more > 0 && i < text.size; more--, i++)
            point = point << 6 | ((uint8_t)text.data[i] & 0x3f);
        if (point >= 0x10000) {
            hash_unit(state, 0xd800 + ((point - 0x10000) >> 10 & 0x3ff), &length);
            point = 0xdc00 + (point & 0x3ff);
        }
        hash_unit(state, point, &length);
    }
    return length;
}

static void hash_string(XXH3_state_t *state, struct str text)
{
    hash_int(state, hash_units(state, text));
}

/* The racks of a partition's replicas, in order; each before its length, as Kafka does it. */
static void hash_racks(XXH3_state_t *state, const struct image *image,
                       const struct partition_image *partition, struct arena *arena)
{
    struct str_array racks = {
        arena_array(arena, (size_t)partition->replicas.count, sizeof *racks.items), 0};
    must(racks.items);
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        const struct broker_image *broker = image_broker(image, partition->replicas.items[i]);
        if (broker && broker->rack.data)
            racks.items[racks.count++] = broker->rack;
    }
    qsort(racks.items, (size_t)racks.count, sizeof *racks.items, names_order);
    for (int32_t i = 0; i < racks.count; i++) {
        XXH3_state_t apart;
        XXH3_64bits_reset(&apart);
        hash_int(state, hash_units(&apart, racks.items[i])); /* its length alone */
        hash_string(state, racks.items[i]);
    }
}

static int64_t topic_hash(const struct image *image, const struct topic_image *topic,
                          struct arena *arena)
{
    XXH3_state_t state;
    const uint8_t version = TOPIC_HASH_VERSION;
    const struct partition_image *partition;
    struct tree_cursor cursor;
    int32_t index = 0;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, &version, sizeof version);
    hash_long(&state, (int64_t)load_be64(topic->id.bytes));
    hash_long(&state, (int64_t)load_be64(topic->id.bytes + 8));
    hash_string(&state, topic->name);
    hash_int(&state, topic_partition_count(topic));
    partitions_from(topic, 0, &cursor);
    while ((partition = partitions_next(&cursor))) {
        hash_int(&state, index++);
        hash_racks(&state, image, partition, arena);
    }
    return (int64_t)XXH3_64bits_digest(&state);
}

int64_t consumer_metadata_hash(const struct image *image, struct str_array names,
                               struct arena *arena)
{
    XXH3_state_t state;
    int32_t count = 0;
    XXH3_64bits_reset(&state);
    for (int32_t i = 0; image && i < names.count; i++) {
        const struct topic_image *topic = image_topic_named(image, names.items[i]);
        if (!topic)
            continue;
        hash_long(&state, topic_hash(image, topic, arena));
        count++;
    }
    return count > 0 ? (int64_t)XXH3_64bits_digest(&state) : 0;
}

/* `names` has each once, and `topics` what members want alone: as many, all of them known, are the
 * same. */
static bool are_the_topics(const struct consumer_group *consumer, struct str_array names)
{
    if ((size_t)names.count != map_count(&consumer->topics))
        return false;
    for (int32_t i = 0; i < names.count; i++)
        if (!consumer_topic_find(consumer, names.items[i]))
            return false;
    return true;
}

int64_t consumer_metadata_hash_after(const struct consumer_group *consumer,
                                     const struct image *image, struct str_array names,
                                     struct arena *arena)
{
    if (consumer && consumer->metadata_fresh && are_the_topics(consumer, names))
        return consumer->metadata_hash;
    return consumer_metadata_hash(image, names, arena);
}
