/* The fold: records to state, and the hooks of the coordinator.
 *
 * Invariants:
 * 1. Records are applied in log order; group.end_offset is behind the last one that concerns the
 *    group, so an answer that waits for it rests on committed records only.
 * 2. A group is in the map and the list as long as it has a type or offsets.
 * 3. Every parked request is in group_shard.waits until its wait is completed; a completed one ends
 *    when the log is committed up to where it was completed, or when the shard is unloaded. */
#include "group/group.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "group/classic.h"
#include "group/consumer_group.h"
#include "group/expiry.h"
#include "group/offsets.h"
#include "metadata/topic_names.h"
#include "protocol/stored.h"

/* ---- small things ---- */

void *group_alloc(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    must(memory);
    return memory;
}

struct str text_copy(struct str text)
{
    if (!text.data)
        return (struct str){NULL, 0};
    char *copy = group_alloc((size_t)text.size + 1);
    memcpy(copy, text.data, (size_t)text.size);
    return (struct str){copy, text.size};
}

void text_drop(struct str *text)
{
    free((char *)text->data);
    *text = (struct str){NULL, 0};
}

void text_set(struct str *place, struct str text)
{
    struct str copy = text_copy(text);
    text_drop(place);
    *place = copy;
}

/* ---- groups ---- */

const struct group_kind *group_kind_of(const struct group *group)
{
    must(group->type == GROUP_CLASSIC || group->type == GROUP_CONSUMER);
    return group->type == GROUP_CLASSIC ? &classic_kind : &consumer_kind;
}

struct group *group_find_any(const struct group_shard *shard, struct str id)
{
    struct group **found = map_find_str(&shard->groups, id);
    return found ? *found : NULL;
}

struct group *group_find(const struct group_shard *shard, struct str id)
{
    struct group *group = group_find_any(shard, id);
    return group && group->type != GROUP_NONE ? group : NULL;
}

struct group *group_get(struct group_shard *shard, struct str id)
{
    struct group *group = group_find_any(shard, id);
    if (group)
        return group;
    group = group_alloc(sizeof *group + (size_t)id.size);
    if (id.size > 0)
        memcpy(group + 1, id.data, (size_t)id.size);
    group->id = (struct str){(const char *)(group + 1), id.size};
    group->looked_at = shard->expiry_round;
    struct group **place;
    must(map_put_str(&shard->groups, group->id, &place) == 1);
    *place = group;
    list_push_back(&shard->all, &group->link);
    return group;
}

void group_set_type(struct group_shard *shard, struct group *group, enum group_type type)
{
    if (group->type != GROUP_NONE) {
        group_kind_of(group)->destroy(shard, group);
        shard->counts.groups--;
    }
    group->type = type;
    group->classic = NULL;
    if (type == GROUP_CONSUMER)
        group->consumer = consumer_group_create(shard, group);
    if (type != GROUP_NONE)
        shard->counts.groups++;
}

void group_drop_if_unused(struct group_shard *shard, struct group *group)
{
    if (group->type != GROUP_NONE || group->topic_count > 0)
        return;
    must(group->pending_count == 0);
    must(map_remove_str(&shard->groups, group->id, NULL));
    list_remove(&group->link);
    if (shard->latest == group)
        shard->latest = NULL;
    free(group);
}

void group_hold(struct group_shard *shard, int64_t bytes)
{
    shard->counts.held += bytes;
    must(shard->counts.held >= 0);
    if (shard->memory)
        atomic_fetch_add_explicit(&shard->memory->bytes, bytes, memory_order_relaxed);
}

bool group_may_hold(const struct group_shard *shard, const struct coord_turn *turn, int64_t bytes)
{
    return bytes <= 0 || !shard->memory ||
           atomic_load_explicit(&shard->memory->bytes, memory_order_relaxed) + bytes <=
               turn->settings->group_memory_bytes;
}

int64_t group_await(const struct group_shard *shard, const struct group *group)
{
    return group ? group->end_offset : coord_shard_applied(shard->shard);
}

/* ---- parked requests ---- */

static void wait_woken(struct coord_wait *wait, struct wakes *wakes)
{
    struct group_wait *self = container_of(wait, struct group_wait, wait);
    /* The owner may look at any time, and free it once it is over: so that is said last, when the
     * wake is on its way. */
    atomic_store_explicit(&self->stage, GROUP_WAIT_ENDING, memory_order_release);
    self->wake(self, wakes);
    atomic_store_explicit(&self->stage, GROUP_WAIT_OVER, memory_order_release);
}

static void wait_release(struct coord_effect *effect, void *state, struct wakes *wakes)
{
    (void)state;
    struct group_wait *wait = container_of(effect, struct group_wait, effect);
    coord_wait_complete(&wait->wait, 0, wakes);
}

void group_wait_init(struct group_wait *wait, void *answer,
                     void (*wake)(struct group_wait *wait, struct wakes *wakes))
{
    *wait = (struct group_wait){.answer = answer, .wake = wake};
    coord_wait_init(&wait->wait, wait_woken);
    coord_effect_init(&wait->effect, wait_release);
    arena_init(&wait->arena, GROUP_ANSWER_MAX_BYTES);
}

void group_wait_close(struct group_wait *wait)
{
    must(!coord_wait_waits(&wait->wait));
    arena_close(&wait->arena);
}

void group_wait_begin(struct group_shard *shard, struct group_wait *wait, struct group_wait **place)
{
    must(!*place && !coord_wait_waits(&wait->wait));
    list_push_back(&shard->waits, &wait->wait.link);
    wait->shard = shard;
    wait->place = place;
    *place = wait;
}

static void wait_detach(struct group_wait *wait)
{
    if (wait->place)
        *wait->place = NULL;
    wait->place = NULL;
}

void group_wait_complete(struct group_wait *wait)
{
    must(wait->place);
    wait_detach(wait);
    coord_effect_add(wait->shard->shard, &wait->effect);
}

void group_wait_abandon(struct group_wait *wait)
{
    if (!coord_wait_waits(&wait->wait))
        return;
    wait_detach(wait);
    coord_effect_cancel(&wait->effect);
    list_remove(&wait->wait.link);
}

/* ---- the fold ---- */

static void *shard_create(struct coord_shard *coord_shard, void *context)
{
    struct group_shard *shard = group_alloc(sizeof *shard);
    shard->shard = coord_shard;
    shard->memory = context;
    env_random(coord_shard_env(coord_shard), &shard->seed, sizeof shard->seed);
    map_init(&shard->groups, MAP_STR, sizeof(struct group *), shard->seed);
    map_init(&shard->topics, MAP_STR, sizeof(struct group_topic_name *), shard->seed);
    map_init(&shard->transactions, MAP_U64, sizeof(struct group_transaction *), shard->seed);
    list_init(&shard->all);
    list_init(&shard->waits);
    arena_init(&shard->scratch, 0);
    expiry_init(shard);
    return shard;
}

static void shard_destroy(void *state)
{
    struct group_shard *shard = state;
    must(list_empty(&shard->waits));
    while (!list_empty(&shard->all)) {
        struct group *group = list_first(&shard->all, struct group, link);
        offsets_clear(shard, group);
        group_set_type(shard, group, GROUP_NONE);
        group_drop_if_unused(shard, group);
    }
    must(map_count(&shard->topics) == 0 && map_count(&shard->transactions) == 0);
    must(shard->counts.groups == 0 && shard->counts.offsets == 0 && shard->counts.pending == 0);
    must(shard->counts.held == 0);
    expiry_close(shard);
    map_close(&shard->groups);
    map_close(&shard->topics);
    map_close(&shard->transactions);
    arena_close(&shard->scratch);
    free(shard);
}

/* What is not understood is passed over, as in Kafka, and said once. */
static void record_skipped(struct group_shard *shard, const struct coord_record *record,
                           const char *why)
{
    shard->counts.skipped++;
    if (shard->skip_said)
        return;
    shard->skip_said = true;
    say_warn(coord_shard_say(shard->shard), "record of a group is passed over, and others like it",
             kv_int("partition", coord_shard_partition(shard->shard)),
             kv_int("offset", record->offset), kv_text("why", why));
}

/* The group that a commit belongs to; a commit makes one where there is none. Offsets that were
 * committed together follow each other, so the last one's is tried first. */
static struct group *group_of_commit(struct group_shard *shard, struct str id)
{
    bool again = shard->latest && str_equal(shard->latest->id, id);
    struct group *group = again ? shard->latest : group_get(shard, id);
    shard->latest = group;
    if (group->type == GROUP_NONE)
        group_set_type(shard, group, GROUP_CLASSIC);
    return group;
}

static void apply_offset(struct group_shard *shard, const struct coord_record *record,
                         const struct offset_commit_key *key,
                         const struct offset_commit_value *value)
{
    if (!value) {
        struct group *group = group_find_any(shard, key->group);
        if (!group)
            return;
        group->end_offset = record->offset + 1;
        offsets_remove(shard, group, key->topic, key->partition);
        group_drop_if_unused(shard, group);
        return;
    }
    struct group *group = group_of_commit(shard, key->group);
    group->end_offset = record->offset + 1;
    struct group_offset offset = {
        .offset = value->offset,
        .commit_ms = value->commit_timestamp,
        .expire_ms = value->expire_timestamp,
        .record_offset = record->offset,
        .leader_epoch = value->leader_epoch,
        .topic_id = value->topic_id,
    };
    offsets_put(shard, group, key->topic, key->partition, &offset, value->metadata,
                record->producer_id);
}

static void apply_legacy_offset(struct group_shard *shard, const struct coord_record *record,
                                const struct legacy_offset_commit_key *old_key,
                                const struct legacy_offset_commit_value *old)
{
    struct offset_commit_key key = {old_key->group, old_key->topic, old_key->partition};
    struct offset_commit_value value;
    offset_commit_value_init(&value);
    if (old) {
        value.offset = old->offset;
        value.metadata = old->metadata;
        value.commit_timestamp = old->commit_timestamp;
    }
    apply_offset(shard, record, &key, old ? &value : NULL);
}

static void apply_group_metadata(struct group_shard *shard, const struct coord_record *record,
                                 const struct group_metadata_key *key,
                                 const struct group_metadata_value *value)
{
    struct group *group = value ? group_get(shard, key->group) : group_find_any(shard, key->group);
    if (!group)
        return;
    group->end_offset = record->offset + 1;
    if (value) {
        classic_apply(shard, group, value);
        return;
    }
    if (group->type == GROUP_CLASSIC) /* else it has become something else since */
        group_set_type(shard, group, GROUP_NONE);
    group_drop_if_unused(shard, group);
}

/* True: the type is one of those that make this state. */
static bool apply_by_type(struct group_shard *shard, const struct coord_record *record,
                          int16_t type, const void *key, const void *value)
{
    switch (type) {
    case GROUP_RECORD_LEGACY_OFFSET_COMMIT:
        apply_legacy_offset(shard, record, key, value);
        return true;
    case GROUP_RECORD_OFFSET_COMMIT:
        apply_offset(shard, record, key, value);
        return true;
    case GROUP_RECORD_GROUP_METADATA:
        apply_group_metadata(shard, record, key, value);
        return true;
    default:
        return false;
    }
}

bool group_apply(void *state, const struct coord_record *record)
{
    struct group_shard *shard = state;
    const struct coordinator_record_type *type;
    void *key, *value = NULL;
    int16_t version;
    arena_reset(&shard->scratch, 0);
    int err = coordinator_key_decode(COORDINATOR_GROUP, record->key, &shard->scratch, &type, &key);
    if (err != 0) {
        must(err != -ENOMEM);
        record_skipped(shard, record, err == -ENOTSUP ? "unknown type" : "damaged key");
        return true;
    }
    if (record->value.data) {
        err = versioned_decode(type->value, record->value, &shard->scratch, &version, &value);
        if (err != 0) {
            must(err != -ENOMEM);
            record_skipped(shard, record, err == -ENOTSUP ? "unknown version" : "damaged value");
            return true;
        }
    }
    /* Share and streams groups are another coordinator's; their records stay in the log as they
     * are. */
    if (apply_by_type(shard, record, type->type, key, value))
        return true;
    const char *why;
    if (consumer_apply(shard, record, type->type, key, value, &why) && why)
        record_skipped(shard, record, why);
    return true;
}

bool group_mark(void *state, const struct coord_marker *marker)
{
    offsets_end_transaction(state, marker->producer_id, marker->commit, marker->offset + 1);
    return true;
}

static void shard_loaded(void *state, const struct coord_turn *turn)
{
    struct group_shard *shard = state;
    shard->loaded = true;
    /* Topics may have come while nobody looked. */
    shard->new_topics_offset = turn->image ? turn->image->offset : -1;
    arena_close(&shard->scratch);
    arena_init(&shard->scratch, 0);
    list_for_each (at, &shard->all) {
        struct group *group = container_of(at, struct group, link);
        if (group->type != GROUP_NONE)
            group_kind_of(group)->loaded(shard, group, turn);
    }
    expiry_loaded(shard, turn);
}

static void shard_unloaded(void *state, struct wakes *wakes)
{
    struct group_shard *shard = state;
    while (!list_empty(&shard->waits)) {
        struct coord_wait *at = list_first(&shard->waits, struct coord_wait, link);
        struct group_wait *wait = container_of(at, struct group_wait, wait);
        wait_detach(wait);
        coord_effect_cancel(&wait->effect);
        coord_wait_complete(&wait->wait, KAFKA_NOT_COORDINATOR, wakes);
    }
    shard->loaded = false;
}

static void shard_image_changed(void *state, const struct coord_turn *turn)
{
    consumer_image_changed(state, turn);
    expiry_image_changed(state, turn); /* keeps the image for the next comparison */
}

/* offsets.topic.compression.codec: the codecs by Kafka's numbers. */
static enum compression shard_codec(const struct broker_settings *settings)
{
    return (enum compression)settings->offsets_topic_compression_codec;
}

const struct coord_fold group_fold = {
    .name = "group",
    .topic = GROUP_TOPIC,
    .codec = shard_codec,
    .create = shard_create,
    .destroy = shard_destroy,
    .apply = group_apply,
    .mark = group_mark,
    .loaded = shard_loaded,
    .unloaded = shard_unloaded,
    .image_changed = shard_image_changed,
};
