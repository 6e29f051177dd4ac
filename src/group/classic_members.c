/* Members of a classic group, and what they offer.
 *
 * Invariants:
 * 1. Every member is in `members`, a static one in `statics` as well, a pending id in neither.
 * 2. joining_count and unsynced_count count the flags of the members.
 * 3. `protocols` counts for each name the members that offer it, each once.
 * 4. The leader, where there is one, is a member; the first member is the first leader. */
#include <stdlib.h>

#include "base/errors.h"
#include "group/classic.h"

/* ---- look-ups ---- */

struct classic_member *classic_member(const struct classic *classic, struct str id)
{
    struct classic_member **found = map_find_str(&classic->members, id);
    return found ? *found : NULL;
}

struct classic_member *classic_static(const struct classic *classic, struct str instance_id)
{
    struct classic_member **found = map_find_str(&classic->statics, instance_id);
    return found ? *found : NULL;
}

struct classic_pending *classic_pending_find(const struct classic *classic, struct str id)
{
    struct classic_pending **found = map_find_str(&classic->pending, id);
    return found ? *found : NULL;
}

bool classic_is_leader(const struct classic *classic, struct str member_id)
{
    return classic->leader.data && str_equal(classic->leader, member_id);
}

int classic_check_member(const struct classic *classic, struct str id, struct str instance_id)
{
    if (!classic)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (instance_id.data) {
        const struct classic_member *owner = classic_static(classic, instance_id);
        if (!owner)
            return KAFKA_UNKNOWN_MEMBER_ID;
        if (!str_equal(owner->id, id))
            return KAFKA_FENCED_INSTANCE_ID;
    }
    return classic_member(classic, id) ? 0 : KAFKA_UNKNOWN_MEMBER_ID;
}

bool classic_all_joined(const struct classic *classic)
{
    return classic_member_count(classic) == classic->joining_count &&
           map_count(&classic->pending) == 0;
}

int32_t classic_rebalance_timeout_ms(const struct classic *classic)
{
    int32_t longest = 0;
    for (struct map_at at = map_begin(&classic->members); map_next(&classic->members, &at);) {
        const struct classic_member *member = *(struct classic_member **)at.value;
        if (member->rebalance_timeout_ms > longest)
            longest = member->rebalance_timeout_ms;
    }
    return longest;
}

/* ---- protocols ---- */

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, (size_t)a.size) == 0);
}

bool protocols_equal(struct protocol_list a, struct protocol_list b)
{
    if (a.count != b.count)
        return false;
    for (int32_t i = 0; i < a.count; i++)
        if (!str_equal(a.items[i].name, b.items[i].name) ||
            !bytes_equal(a.items[i].metadata, b.items[i].metadata))
            return false;
    return true;
}

struct bytes protocols_metadata(struct protocol_list protocols, struct str name)
{
    for (int32_t i = 0; i < protocols.count; i++) {
        if (!str_equal(protocols.items[i].name, name))
            continue;
        struct bytes metadata = protocols.items[i].metadata;
        return metadata.data ? metadata : (struct bytes){(const uint8_t *)"", 0};
    }
    return (struct bytes){NULL, 0};
}

static bool protocols_have(struct protocol_list protocols, struct str name)
{
    return protocols_metadata(protocols, name).data != NULL;
}

int64_t protocols_bytes(struct protocol_list protocols)
{
    int64_t size = (int64_t)protocols.count * (int64_t)sizeof *protocols.items;
    for (int32_t i = 0; i < protocols.count; i++)
        size += protocols.items[i].name.size + protocols.items[i].metadata.size;
    return size;
}

/* Everything in one block: the array, then names and metadata. */
static struct protocol_list protocols_copy(struct protocol_list from)
{
    struct join_group_request_protocol *items = group_alloc((size_t)protocols_bytes(from));
    uint8_t *at = (uint8_t *)(items + from.count);
    for (int32_t i = 0; i < from.count; i++) {
        struct str name = from.items[i].name;
        struct bytes metadata = from.items[i].metadata;
        if (name.size > 0)
            memcpy(at, name.data, (size_t)name.size);
        items[i].name = (struct str){(const char *)at, name.size};
        at += name.size;
        if (metadata.size > 0)
            memcpy(at, metadata.data, (size_t)metadata.size);
        items[i].metadata = (struct bytes){at, metadata.size};
        at += metadata.size;
    }
    return (struct protocol_list){items, from.count};
}

/* Whether item `index` repeats a name of before. */
static bool is_repeated(struct protocol_list protocols, int32_t index)
{
    for (int32_t i = 0; i < index; i++)
        if (str_equal(protocols.items[i].name, protocols.items[index].name))
            return true;
    return false;
}

static int32_t supporters(const struct classic *classic, struct str name)
{
    struct classic_protocol_count **found = map_find_str(&classic->protocols, name);
    return found ? (*found)->members : 0;
}

static void count_protocols(struct classic *classic, struct protocol_list protocols, int32_t by)
{
    for (int32_t i = 0; i < protocols.count; i++) {
        struct str name = protocols.items[i].name;
        if (is_repeated(protocols, i))
            continue;
        struct classic_protocol_count **found = map_find_str(&classic->protocols, name);
        struct classic_protocol_count *count = found ? *found : NULL;
        if (!count) {
            count = group_alloc(sizeof *count + (size_t)name.size);
            if (name.size > 0)
                memcpy(count + 1, name.data, (size_t)name.size);
            count->name = (struct str){(const char *)(count + 1), name.size};
            struct classic_protocol_count **place;
            must(map_put_str(&classic->protocols, count->name, &place) == 1);
            *place = count;
        }
        count->members += by;
        must(count->members >= 0);
        if (count->members == 0) {
            map_remove_str(&classic->protocols, count->name, NULL);
            free(count);
        }
    }
}

bool classic_supports(const struct classic *classic, struct str protocol_type,
                      struct protocol_list protocols)
{
    if (!classic || classic->state == CLASSIC_EMPTY)
        return protocol_type.size > 0 && protocols.count > 0;
    if (!classic->protocol_type.data || !str_equal(classic->protocol_type, protocol_type))
        return false;
    for (int32_t i = 0; i < protocols.count; i++)
        if (supporters(classic, protocols.items[i].name) == classic_member_count(classic))
            return true;
    return false;
}

struct vote_count {
    struct str name;
    int32_t votes;
};

/* Where Java's HashMap of `count` entries keeps the string: that order decides between protocols
 * with as many votes. */
static uint32_t java_bucket(struct str name, int32_t count)
{
    uint32_t capacity = 16, hash = (uint32_t)java_string_hash(name);
    while ((uint32_t)count > capacity / 4 * 3)
        capacity *= 2;
    return (hash ^ hash >> 16) & (capacity - 1);
}

/* The member's favourite among those that all members offer. */
static struct str vote(const struct classic *classic, const struct classic_member *member,
                       const struct classic_member *instead, struct protocol_list offers)
{
    struct protocol_list own = member == instead ? offers : member->protocols;
    for (int32_t i = 0; i < own.count; i++) {
        struct str name = own.items[i].name;
        int32_t members = supporters(classic, name);
        if (instead)
            members += protocols_have(offers, name) - protocols_have(instead->protocols, name);
        if (members == classic_member_count(classic))
            return name;
    }
    return (struct str){NULL, 0};
}

struct str classic_select_protocol(const struct classic *classic,
                                   const struct classic_member *instead,
                                   struct protocol_list offers)
{
    struct map votes; /* by name: int32_t */
    map_init(&votes, MAP_STR, sizeof(int32_t), classic->members.seed);
    for (struct map_at at = map_begin(&classic->members); map_next(&classic->members, &at);) {
        struct str name = vote(classic, *(struct classic_member **)at.value, instead, offers);
        /* Whoever is let in shares a protocol with all (classic_supports). */
        must(name.data);
        int32_t *count;
        must(map_put_str(&votes, name, &count) >= 0);
        (*count)++;
    }
    struct vote_count best = {{NULL, 0}, 0};
    int32_t distinct = (int32_t)map_count(&votes);
    for (struct map_at at = map_begin(&votes); map_next(&votes, &at);) {
        int32_t count = *(int32_t *)at.value;
        if (count > best.votes || (count == best.votes && java_bucket(at.str, distinct) <
                                                              java_bucket(best.name, distinct)))
            best = (struct vote_count){at.str, count};
    }
    map_close(&votes);
    return best.name;
}

/* ---- subscriptions ---- */

/* Add the topics of one member; false: its bytes are no subscription. The version in front does not
 * matter: the first version's fields come first in all. */
static bool add_subscription(struct classic *classic, struct bytes metadata, struct arena *arena)
{
    struct consumer_protocol_subscription subscription;
    struct reader reader = reader_of(metadata.data, (size_t)metadata.size);
    read_int16(&reader);
    if (reader.failed || message_decode(&consumer_protocol_subscription_schema, 0, &reader, arena,
                                        &subscription) != 0)
        return false;
    for (int32_t i = 0; i < subscription.topics.count; i++) {
        struct str topic = subscription.topics.items[i];
        uint8_t *place;
        if (map_find_str(&classic->subscribed, topic))
            continue;
        topic = arena_str(&classic->subscribed_arena, topic);
        must(topic.data && map_put_str(&classic->subscribed, topic, &place) == 1);
    }
    return true;
}

void classic_find_subscriptions(struct classic *classic)
{
    uint64_t seed = classic->subscribed.seed;
    map_close(&classic->subscribed);
    map_init(&classic->subscribed, MAP_STR, 1, seed);
    arena_close(&classic->subscribed_arena);
    arena_init(&classic->subscribed_arena, 0);
    classic->subscriptions_known = false;
    if (!classic->protocol_type.data || !str_equal(classic->protocol_type, STR("consumer")))
        return;
    if (classic_member_count(classic) > 0 && !classic->protocol_name.data)
        return;
    struct arena scratch;
    arena_init(&scratch, 0);
    bool known = true;
    for (struct map_at at = map_begin(&classic->members);
         known && map_next(&classic->members, &at);) {
        const struct classic_member *member = *(struct classic_member **)at.value;
        struct bytes metadata = protocols_metadata(member->protocols, classic->protocol_name);
        known = metadata.data && add_subscription(classic, metadata, &scratch);
    }
    arena_close(&scratch);
    classic->subscriptions_known = known;
}

/* ---- changes ---- */

/* Account for what the member takes by now. */
static void recount(struct classic_member *member)
{
    int64_t bytes = (int64_t)sizeof *member + member->id.size + member->instance_id.size +
                    member->client_id.size + member->client_host.size +
                    protocols_bytes(member->protocols) + member->assignment.size;
    group_hold(member->classic->shard, bytes - member->held);
    member->held = bytes;
}

void classic_set_assignment(struct classic_member *member, struct bytes assignment)
{
    uint8_t *copy = NULL;
    if (assignment.size > 0) {
        copy = group_alloc((size_t)assignment.size);
        memcpy(copy, assignment.data, (size_t)assignment.size);
    }
    free((uint8_t *)member->assignment.data);
    member->assignment = (struct bytes){copy, copy ? assignment.size : 0};
    recount(member);
}

void classic_set_joining(struct classic *classic, struct classic_member *member, bool joining)
{
    classic->joining_count += joining - member->joining;
    member->joining = joining;
}

void classic_set_unsynced(struct classic *classic, struct classic_member *member, bool unsynced)
{
    classic->unsynced_count += unsynced - member->unsynced;
    member->unsynced = unsynced;
}

struct classic_member *classic_add(struct group_shard *shard, struct classic *classic,
                                   const struct classic_new_member *from)
{
    struct classic_member *member = group_alloc(sizeof *member);
    struct classic_member **place;
    (void)shard;
    member->classic = classic;
    member->id = text_copy(from->id);
    member->instance_id = text_copy(from->instance_id);
    member->client_id = text_copy(str_or_empty(from->client_id));
    member->client_host = text_copy(str_or_empty(from->client_host));
    member->rebalance_timeout_ms = from->rebalance_timeout_ms;
    member->session_timeout_ms = from->session_timeout_ms;
    member->protocols = protocols_copy(from->protocols);
    classic_member_timer_init(member);
    if (classic_member_count(classic) == 0)
        text_set(&classic->protocol_type, from->protocol_type);
    if (!classic->leader.data)
        text_set(&classic->leader, from->id);
    must(map_put_str(&classic->members, member->id, &place) == 1);
    *place = member;
    if (member->instance_id.data) {
        must(map_put_str(&classic->statics, member->instance_id, &place) == 1);
        *place = member;
    }
    count_protocols(classic, member->protocols, +1);
    recount(member);
    return member;
}

void classic_remove(struct group_shard *shard, struct classic *classic,
                    struct classic_member *member)
{
    must(!member->join_wait && !member->sync_wait);
    if (shard->loaded)
        coord_timer_cancel(shard->shard, &member->heartbeat);
    classic_set_joining(classic, member, false);
    classic_set_unsynced(classic, member, false);
    count_protocols(classic, member->protocols, -1);
    must(map_remove_str(&classic->members, member->id, NULL));
    if (member->instance_id.data)
        must(map_remove_str(&classic->statics, member->instance_id, NULL));
    if (classic_is_leader(classic, member->id)) {
        struct map_at first = map_begin(&classic->members);
        text_set(&classic->leader, map_next(&classic->members, &first)
                                       ? (*(struct classic_member **)first.value)->id
                                       : (struct str){NULL, 0});
    }
    text_drop(&member->id);
    text_drop(&member->instance_id);
    text_drop(&member->client_id);
    text_drop(&member->client_host);
    free((void *)member->protocols.items);
    free((uint8_t *)member->assignment.data);
    group_hold(shard, -member->held);
    free(member);
}

void classic_set_offers(struct classic *classic, struct classic_member *member,
                        struct protocol_list protocols, int32_t rebalance_timeout_ms,
                        int32_t session_timeout_ms)
{
    count_protocols(classic, member->protocols, -1);
    free((void *)member->protocols.items);
    member->protocols = protocols_copy(protocols);
    count_protocols(classic, member->protocols, +1);
    member->rebalance_timeout_ms = rebalance_timeout_ms;
    member->session_timeout_ms = session_timeout_ms;
    recount(member);
}

void classic_rename(struct classic *classic, struct classic_member *member, struct str new_id)
{
    bool leads = classic_is_leader(classic, member->id);
    struct classic_member **place;
    must(map_remove_str(&classic->members, member->id, NULL));
    text_set(&member->id, new_id);
    recount(member);
    must(map_put_str(&classic->members, member->id, &place) == 1);
    *place = member;
    if (leads)
        text_set(&classic->leader, member->id);
}

static int64_t pending_bytes(const struct classic_pending *pending)
{
    return (int64_t)sizeof *pending + pending->id.size;
}

void classic_pending_add(const struct classic_at *at, struct str id, int32_t timeout_ms)
{
    struct classic_pending *pending = group_alloc(sizeof *pending), **place;
    pending->id = text_copy(id);
    pending->classic = at->classic;
    group_hold(at->shard, pending_bytes(pending));
    classic_pending_timer_init(pending);
    must(map_put_str(&at->classic->pending, pending->id, &place) == 1);
    *place = pending;
    coord_timer_set(at->shard->shard, &pending->timeout,
                    at->turn->now_ns + timeout_ms * INT64_C(1000000));
}

void classic_pending_remove(struct group_shard *shard, struct classic *classic,
                            struct classic_pending *pending)
{
    if (shard->loaded)
        coord_timer_cancel(shard->shard, &pending->timeout);
    must(map_remove_str(&classic->pending, pending->id, NULL));
    group_hold(shard, -pending_bytes(pending));
    text_drop(&pending->id);
    free(pending);
}
