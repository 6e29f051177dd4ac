/* Records of __consumer_offsets as this broker writes them, in the versions that Kafka 4.4 writes.
 * All are for decide: 0, or what coord_op_put says, to be returned. */
#ifndef JACKDAW_GROUP_RECORDS_H
#define JACKDAW_GROUP_RECORDS_H

#include "group/group.h"
#include "protocol/messages.h"

int put_offset(struct coord_op *op, struct str group, struct str topic, int32_t partition,
               const struct group_offset *value, struct str metadata);
int put_offset_tombstone(struct coord_op *op, struct str group, struct str topic,
                         int32_t partition);
int put_group_tombstone(struct coord_op *op, struct str group);
int put_group_metadata(struct coord_op *op, struct str group,
                       const struct group_metadata_value *value);

/* A group without members: new (generation 0, no protocol type), or after its last one left. */
int put_empty_group(struct coord_op *op, struct str group, int32_t generation,
                    struct str protocol_type, int64_t wall_ms);

/* Whether the operation has room for one more tombstone of an offset. Names may be long. */
bool offset_tombstone_fits(const struct coord_op *op, struct str group, struct str topic);
/* The same for those of an empty group itself, of whatever type. */
bool group_tombstones_fit(const struct coord_op *op, struct str group);

/* Tombstones of a group's offsets, committed or pending: as many as the operation has room for.
 * *ret_more: these were not all. */
int put_offset_tombstones(struct coord_op *op, const struct group *group, bool *ret_more);

#endif
