/* Records of consumer groups as this broker writes them. All are for decide: 0, or what
 * coord_op_put says. Lists are written in ascending order. */
#ifndef JACKDAW_GROUP_CONSUMER_RECORDS_H
#define JACKDAW_GROUP_CONSUMER_RECORDS_H

#include "group/consumer_group.h"

int put_consumer_group(struct coord_op *op, struct str group, int32_t epoch, int64_t hash);
int put_consumer_member(struct coord_op *op, struct str group, struct str member,
                        const struct consumer_subscription *subscription);
/* `arena` is for the record's form. */
int put_consumer_current(struct coord_op *op, struct arena *arena, struct str group,
                         struct str member, const struct consumer_current *current);
int put_consumer_target(struct coord_op *op, struct arena *arena, struct str group,
                        struct str member, const struct assignment *target);
int put_consumer_target_metadata(struct coord_op *op, struct str group, int32_t epoch,
                                 int64_t timestamp_ms);
int put_consumer_partition_metadata_tombstone(struct coord_op *op, struct str group);
/* All that there is of one member: current assignment, target, metadata. */
int put_consumer_member_tombstones(struct coord_op *op, struct str group, struct str member);
int put_consumer_regex(struct coord_op *op, struct str group, struct str regex,
                       struct str_array topics, int64_t version, int64_t timestamp_ms);
int put_consumer_regex_tombstone(struct coord_op *op, struct str group, struct str regex);
/* All that there is of a group; group_kind.put_tombstones. */
int put_consumer_group_tombstones(const struct group *group, struct coord_op *op);

#endif
