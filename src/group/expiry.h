/* What removes offsets and groups that nobody asked to remove: retention
 * (offsets.retention.minutes, looked at every offsets.retention.check.interval.ms) and the deletion
 * of topics. Both work in operations of bounded size, one after the other. */
#ifndef JACKDAW_GROUP_EXPIRY_H
#define JACKDAW_GROUP_EXPIRY_H

#include "group/group.h"

void expiry_init(struct group_shard *shard);
void expiry_close(struct group_shard *shard);
void expiry_loaded(struct group_shard *shard, const struct coord_turn *turn);
void expiry_image_changed(void *state, const struct coord_turn *turn);

#endif
