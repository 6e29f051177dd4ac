/* Operations on offsets; see offset_ops.h. All of the state that they change is in the records. */
#include "group/offset_ops.h"

#include <errno.h>

#include "base/errors.h"
#include "group/offsets.h"
#include "group/records.h"

int32_t utf16_length(struct str text)
{
    int32_t length = 0;
    for (int32_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        length += (byte & 0xc0) != 0x80; /* the first byte of a character */
        length += byte >= 0xf0;          /* one beyond the basic plane: two units */
    }
    return length;
}

/* ---- commit ---- */

/* Whoever commits without a member's generation needs no group: a commit makes one. */
static int check_absent(const struct offset_commit *commit)
{
    const struct group_committer *who = &commit->who;
    if (who->generation < 0)
        return 0;
    int16_t from = who->transactional ? TXN_OFFSET_COMMIT_GROUP_ID_NOT_FOUND
                                      : OFFSET_COMMIT_GROUP_ID_NOT_FOUND;
    return who->version >= from ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_ILLEGAL_GENERATION;
}

/* Before that version a transaction is told of a stale epoch as of a stale generation. */
static int in_words_of(const struct group_committer *who, int error)
{
    bool old = who->transactional && who->version < TXN_OFFSET_COMMIT_GROUP_ID_NOT_FOUND;
    return old && error == KAFKA_STALE_MEMBER_EPOCH ? KAFKA_ILLEGAL_GENERATION : error;
}

static int check_partition(const struct offset_commit *commit, const struct group *group,
                           const struct offset_commit_part *part)
{
    const struct group_kind *kind = group ? group_kind_of(group) : NULL;
    if (!kind || !kind->check_commit_partition)
        return 0;
    return kind->check_commit_partition(group, &commit->who, part->topic_id, part->partition);
}

/* The topic was deleted between the look at it by whoever asks and now: what the shard has heard of
 * is swept already, and nobody would sweep this offset. A topic of the same name would take it for
 * its own. */
static bool is_gone(const struct group_shard *shard, const struct offset_commit_part *part,
                    const struct coord_turn *turn)
{
    const struct image *image = turn->image;
    if (image && shard->image && shard->image->offset > image->offset)
        image = shard->image;
    return image && shard->image && !uuid_is_zero(part->topic_id) &&
           !image_topic(image, part->topic_id);
}

static int commit_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct offset_commit *commit = container_of(op, struct offset_commit, op);
    struct group *group = group_find(state, commit->group);
    op->await_offset = group_await(state, group);
    int err =
        group ? group_kind_of(group)->check_commit(group, &commit->who) : check_absent(commit);
    if (err == 0 && group && !commit->who.transactional && group_kind_of(group)->member_seen)
        group_kind_of(group)->member_seen(state, group, commit->who.member_id, turn);
    for (int32_t i = 0; err == 0 && i < commit->count; i++) {
        const struct offset_commit_part *part = &commit->parts[i];
        if (is_gone(state, part, turn)) {
            *part->error = error_to_wire(commit->unknown_topic);
            continue;
        }
        if (utf16_length(part->metadata) > turn->settings->offset_metadata_max_bytes) {
            *part->error = KAFKA_OFFSET_METADATA_TOO_LARGE;
            continue;
        }
        const struct group_offset value = {
            .offset = part->offset,
            .commit_ms = turn->wall_ms,
            .expire_ms =
                commit->retention_ms == -1 ? -1 : coord_ms_add(turn->wall_ms, commit->retention_ms),
            .leader_epoch = part->leader_epoch,
            .topic_id = part->topic_id,
        };
        err = check_partition(commit, group, part);
        if (err == 0)
            err =
                put_offset(op, commit->group, part->topic, part->partition, &value, part->metadata);
    }
    return in_words_of(&commit->who, err);
}

void offset_commit_init(struct offset_commit *commit)
{
    *commit = (struct offset_commit){.retention_ms = -1,
                                     .who.generation = -1,
                                     .unknown_topic = KAFKA_UNKNOWN_TOPIC_OR_PARTITION};
    coord_op_init(&commit->op);
    commit->op.access = COORD_WRITE;
    commit->op.decide = commit_decide;
}

/* ---- fetch ---- */

static int fetch_value(struct offset_fetch *fetch, const struct group_partition *partition,
                       struct uuid topic_id, struct offset_fetch_part *part)
{
    part->error = 0;
    part->offset = -1;
    part->leader_epoch = -1;
    part->metadata = STR("");
    if (!partition)
        return 0;
    if (fetch->require_stable && partition->pending) {
        part->error = KAFKA_UNSTABLE_OFFSET_COMMIT;
        return 0;
    }
    const struct group_offset *value = &partition->value;
    bool other_topic = !uuid_is_zero(topic_id) && !uuid_is_zero(value->topic_id) &&
                       !uuid_equal(topic_id, value->topic_id);
    if (!partition->committed || other_topic)
        return 0;
    part->offset = value->offset;
    part->leader_epoch = value->leader_epoch;
    if (value->metadata_size > 0)
        part->metadata =
            arena_str(fetch->arena, (struct str){value->metadata, value->metadata_size});
    return part->metadata.data ? 0 : -ENOMEM;
}

/* Everything committed. A partition with nothing but an open transaction's offset is not named. */
static int fetch_all(struct offset_fetch *fetch, const struct group *group)
{
    int32_t total = 0;
    for (int32_t t = 0; group && t < group->topic_count; t++)
        total += group->topics[t]->count;
    fetch->count = 0;
    fetch->parts = arena_array(fetch->arena, (size_t)total, sizeof *fetch->parts);
    if (!fetch->parts)
        return -ENOMEM;
    for (int32_t t = 0; group && t < group->topic_count; t++) {
        const struct group_topic *topic = group->topics[t];
        struct str name = arena_str(fetch->arena, topic->name->name);
        if (!name.data)
            return -ENOMEM;
        for (int32_t p = 0; p < topic->count; p++) {
            if (!topic->partitions[p].committed)
                continue;
            struct offset_fetch_part *part = &fetch->parts[fetch->count++];
            part->topic = name;
            part->partition = topic->partitions[p].partition;
            int err = fetch_value(fetch, &topic->partitions[p], (struct uuid){{0}}, part);
            if (err != 0)
                return err;
        }
    }
    return 0;
}

static int fetch_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct offset_fetch *fetch = container_of(op, struct offset_fetch, op);
    const struct group *group = group_find(state, fetch->group);
    const struct group_topic *topic = NULL;
    (void)turn;
    op->await_offset = group_await(state, group);
    /* A group that is not there has committed nothing; that is no error. */
    int err =
        group ? group_kind_of(group)->check_fetch(group, fetch->member_id, fetch->member_epoch) : 0;
    if (err != 0)
        return err;
    if (fetch->all)
        return fetch_all(fetch, group);
    for (int32_t i = 0; err == 0 && i < fetch->count; i++) {
        struct offset_fetch_part *part = &fetch->parts[i];
        if (group && (!topic || !str_equal(topic->name->name, part->topic)))
            topic = offsets_topic(group, part->topic);
        err = fetch_value(fetch, topic ? offsets_partition(topic, part->partition) : NULL,
                          fetch->topic_ids ? fetch->topic_ids[i] : (struct uuid){{0}}, part);
    }
    return err;
}

void offset_fetch_init(struct offset_fetch *fetch)
{
    *fetch = (struct offset_fetch){.member_epoch = -1};
    coord_op_init(&fetch->op);
    fetch->op.access = COORD_READ;
    fetch->op.decide = fetch_decide;
}

/* ---- delete ---- */

static int delete_decide(struct coord_op *op, void *state, const struct coord_turn *turn)
{
    struct offset_delete *drop = container_of(op, struct offset_delete, op);
    const struct group *group = group_find(state, drop->group);
    (void)turn;
    op->await_offset = group_await(state, group);
    int err = group ? group_kind_of(group)->check_delete_offsets(group) : KAFKA_GROUP_ID_NOT_FOUND;
    for (int32_t i = 0; err == 0 && i < drop->count; i++) {
        const struct offset_delete_part *part = &drop->parts[i];
        if (group_kind_of(group)->subscribes(group, part->topic)) {
            *part->error = KAFKA_GROUP_SUBSCRIBED_TO_TOPIC;
            continue;
        }
        const struct group_topic *topic = offsets_topic(group, part->topic);
        if (topic && offsets_partition(topic, part->partition))
            err = put_offset_tombstone(op, drop->group, part->topic, part->partition);
    }
    return err;
}

void offset_delete_init(struct offset_delete *drop)
{
    *drop = (struct offset_delete){0};
    coord_op_init(&drop->op);
    drop->op.access = COORD_WRITE;
    drop->op.decide = delete_decide;
}
