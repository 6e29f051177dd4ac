/* ListGroups, DescribeGroups and DeleteGroups as operations of a shard; as in offset_ops.h. */
#ifndef JACKDAW_GROUP_ADMIN_OPS_H
#define JACKDAW_GROUP_ADMIN_OPS_H

#include "group/group.h"
#include "protocol/messages.h"

enum { GROUP_FILTER_VALUES = 16 };

/* Which values pass a filter, as far as it was asked. */
struct group_filter {
    const char *values[GROUP_FILTER_VALUES];
    bool passed[GROUP_FILTER_VALUES];
    int32_t count;
};

/* The groups of one shard that pass the filters, appended to `found`. */
struct group_list {
    struct coord_op op;
    struct str_array states; /* case does not matter; none: all */
    struct str_array types;
    struct group_filter states_passed, types_passed; /* may be kept from shard to shard */
    struct arena *arena;
    struct list_groups_response_listed_group *found; /* in the arena */
    int32_t count;
};

void group_list_init(struct group_list *list);

/* One group of the classic protocol. */
struct group_describe {
    struct coord_op op;
    struct str group;
    int16_t version;
    struct arena *arena;
    struct describe_groups_response_described_group *answer;
};

void group_describe_init(struct group_describe *describe);
/* What the answer says when the operation ended with an error, or was not begun. */
void group_describe_error(struct describe_groups_response_described_group *answer, struct str group,
                          int error);

/* The group and all its offsets. The operation's error is the answer. One operation takes what fits
 * into one batch: when it leaves `more` set, another is to follow, for which it is set, too. */
struct group_delete {
    struct coord_op op;
    struct str group;
    bool more;
};

void group_delete_init(struct group_delete *drop);

#endif
