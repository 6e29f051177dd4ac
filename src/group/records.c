#include "group/records.h"

#include "protocol/stored.h"

enum {
    OFFSET_COMMIT_VERSION = 4,
    OFFSET_COMMIT_VERSION_WITH_EXPIRY = 1, /* the only one that has the field */
    GROUP_METADATA_VERSION = 3,
};

static int put(struct coord_op *op, int16_t type, const void *key, const void *value,
               int16_t version)
{
    return coord_op_put(op, coordinator_record_find(COORDINATOR_GROUP, type), key, value, version);
}

int put_offset(struct coord_op *op, struct str group, struct str topic, int32_t partition,
               const struct group_offset *value, struct str metadata)
{
    struct offset_commit_key key = {.group = group, .topic = topic, .partition = partition};
    struct offset_commit_value record;
    offset_commit_value_init(&record);
    record.offset = value->offset;
    record.leader_epoch = value->leader_epoch;
    record.metadata = str_or_empty(metadata);
    record.commit_timestamp = value->commit_ms;
    record.expire_timestamp = value->expire_ms;
    record.topic_id = value->topic_id;
    return put(op, GROUP_RECORD_OFFSET_COMMIT, &key, &record,
               value->expire_ms == -1 ? OFFSET_COMMIT_VERSION : OFFSET_COMMIT_VERSION_WITH_EXPIRY);
}

int put_offset_tombstone(struct coord_op *op, struct str group, struct str topic, int32_t partition)
{
    struct offset_commit_key key = {.group = group, .topic = topic, .partition = partition};
    return put(op, GROUP_RECORD_OFFSET_COMMIT, &key, NULL, 0);
}

int put_group_tombstone(struct coord_op *op, struct str group)
{
    struct group_metadata_key key = {.group = group};
    return put(op, GROUP_RECORD_GROUP_METADATA, &key, NULL, 0);
}

int put_group_metadata(struct coord_op *op, struct str group,
                       const struct group_metadata_value *value)
{
    struct group_metadata_key key = {.group = group};
    return put(op, GROUP_RECORD_GROUP_METADATA, &key, value, GROUP_METADATA_VERSION);
}

int put_empty_group(struct coord_op *op, struct str group, int32_t generation,
                    struct str protocol_type, int64_t wall_ms)
{
    struct group_metadata_value value;
    group_metadata_value_init(&value);
    value.protocol_type = str_or_empty(protocol_type);
    value.generation = generation;
    value.protocol = (struct str){NULL, 0};
    value.leader = (struct str){NULL, 0};
    value.current_state_timestamp = wall_ms;
    return put_group_metadata(op, group, &value);
}

enum {
    KEY_BYTES = 16, /* of a record's key, beside its strings */
    GROUP_OWN_RECORDS_MAX = 8,
};

bool offset_tombstone_fits(const struct coord_op *op, struct str group, struct str topic)
{
    return op->put_count < GROUP_TOMBSTONES_MAX &&
           coord_op_has_room(op, 1, (size_t)group.size + (size_t)topic.size + KEY_BYTES);
}

bool group_tombstones_fit(const struct coord_op *op, struct str group)
{
    return coord_op_has_room(op, GROUP_OWN_RECORDS_MAX,
                             GROUP_OWN_RECORDS_MAX * ((size_t)group.size + KEY_BYTES));
}

int put_offset_tombstones(struct coord_op *op, const struct group *group, bool *ret_more)
{
    *ret_more = false;
    for (int32_t t = 0; t < group->topic_count; t++) {
        const struct group_topic *topic = group->topics[t];
        for (int32_t p = 0; p < topic->count; p++) {
            *ret_more = !offset_tombstone_fits(op, group->id, topic->name->name);
            if (*ret_more)
                return 0;
            int err = put_offset_tombstone(op, group->id, topic->name->name,
                                           topic->partitions[p].partition);
            if (err != 0)
                return err;
        }
    }
    return 0;
}
