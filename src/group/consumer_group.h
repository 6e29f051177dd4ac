/* Groups of the consumer protocol (KIP-848): what their records say, and the little beside it.
 *
 * Unlike a classic group, a consumer group is in its records whole: members, their subscriptions,
 * the target assignment, and for each member what it has. Only timers are soft. So apply does the
 * same whether a record was just appended or is replayed.
 *
 * Records of one member come as three keys (member metadata, target assignment, current assignment)
 * that compaction may leave in any order; a `consumer_member` is there as long as one of them is.
 * Source: KIP-848, and the behaviour of Apache Kafka 4.4's group coordinator. */
#ifndef JACKDAW_GROUP_CONSUMER_GROUP_H
#define JACKDAW_GROUP_CONSUMER_GROUP_H

#include "group/consumer_assignment.h"
#include "group/group.h"
#include "protocol/messages.h"

enum {
    /* Of a group, before anything has given it another one; that is in no record. */
    CONSUMER_EPOCH_FIRST = 1,
    /* Of a member that is gone but for the tombstones. */
    CONSUMER_EPOCH_NONE = -1,
    /* In requests: join; leave; leave for a while (static members), which is also stored. */
    CONSUMER_EPOCH_JOIN = 0,
    CONSUMER_EPOCH_LEAVE = -1,
    CONSUMER_EPOCH_LEAVE_STATIC = -2,
};

/* What a member's metadata record says of it. Strings and arrays are borrowed or owned, as the
 * struct around it says. */
struct consumer_subscription {
    struct str instance_id, rack_id; /* data NULL: none */
    struct str client_id, client_host;
    struct str_array topics; /* ascending, each once */
    struct str regex;        /* empty or data NULL: none */
    struct str assignor;     /* data NULL: none preferred */
    int32_t rebalance_timeout_ms;
    /* A member that speaks the classic protocol; encoded as in the record. */
    const struct consumer_group_member_metadata_value_classic_member_metadata *classic;
};

/* The texts of a subscription, or of what an expression stands for. They do not change; who looks
 * at them without the shard's lock has a reference. */
struct consumer_texts {
    _Atomic int32_t references;
    struct arena arena;
};

struct consumer_member {
    struct consumer_group *group;
    struct str id; /* owned */
    bool in_group; /* false: only a target assignment is left of it */
    bool has_target;
    struct consumer_subscription subscription; /* all in `texts` */
    struct consumer_texts *texts;              /* NULL when it is not in the group */
    struct consumer_current current;           /* assignments owned */
    struct assignment target;                  /* owned */
    int64_t held;                              /* bytes accounted for it */
    /* soft */
    struct coord_timer session, rebalance;
    int32_t rebalance_epoch; /* that the timer was set for */
    bool end_said;           /* once, however often its records cannot be written */
};

/* A topic by name, and how many members want it. */
struct consumer_topic {
    int32_t by_name;  /* members */
    int32_t by_regex; /* resolved regular expressions of members */
    struct str name;  /* behind the struct */
};

struct consumer_regex {
    int32_t members; /* who subscribe to it */
    bool resolved;
    struct consumer_texts *texts; /* NULL when it is not resolved */
    struct str_array topics;      /* ascending; in texts */
    int64_t version;              /* of the metadata image */
    int64_t timestamp_ms;
    int64_t held;     /* bytes accounted for it */
    struct str regex; /* behind the struct */
};

/* Partitions of one topic that are owned. */
struct consumer_owned_topic {
    uint32_t number; /* the upper half of the keys in owned_epochs */
    int32_t count;
};

struct consumer_refresh;
struct consumer_assigning;

struct consumer_group {
    struct group *group;
    struct group_shard *shard;
    int32_t epoch;
    int64_t metadata_hash;
    int32_t assignment_epoch;        /* -1: none */
    int64_t assignment_timestamp_ms; /* 0: compute whenever it is due */
    bool has_partition_metadata;     /* an old broker's record, to be removed */
    struct map members;              /* by id: struct consumer_member * */
    int32_t member_count;            /* those in the group */
    int32_t classic_count;           /* of these, those that speak the classic protocol */
    int32_t range_votes;             /* those that prefer this assignor */
    int32_t uniform_votes;           /* and this one; others are not offered */
    struct map statics;              /* by instance id: struct consumer_member * */
    struct map topics;               /* by name: struct consumer_topic * */
    struct map regexes;              /* by expression: struct consumer_regex * */
    struct map owned_topics;         /* by id: struct consumer_owned_topic */
    struct map owned_epochs;         /* by number << 32 | partition: int32_t */
    uint32_t next_number;
    int64_t target_count; /* partitions in the targets of all members */
    /* soft */
    bool metadata_fresh;                  /* metadata_hash is that of `topics` in the image */
    struct consumer_refresh *refresh;     /* of the expressions; NULL: none under way */
    int64_t refreshed_wall_ms;            /* when the last one began; 0: never */
    struct consumer_assigning *assigning; /* a target under way on the pool; NULL: none */
    int64_t assign_after_ns;              /* the last one failed: not sooner than this */
    bool downgrading;                     /* consumer_migrate.c is about to look at it */
};

enum consumer_group_state {
    CONSUMER_GROUP_EMPTY,
    CONSUMER_GROUP_ASSIGNING,
    CONSUMER_GROUP_RECONCILING,
    CONSUMER_GROUP_STABLE,
};

extern const struct group_kind consumer_kind;

/* The group, or NULL where it is none of this type. */
static inline struct consumer_group *consumer_group_of(const struct group *group)
{
    return group && group->type == GROUP_CONSUMER ? group->consumer : NULL;
}
enum consumer_group_state consumer_group_state(const struct consumer_group *consumer);
/* The group's next epoch. Only a damaged record may hold the last one there is. */
static inline int32_t consumer_epoch_after(int32_t epoch)
{
    return epoch == INT32_MAX ? epoch : epoch + 1;
}

/* ---- members; NULL when there is none (in the group) ---- */

struct consumer_member *consumer_member_find(const struct consumer_group *consumer, struct str id);
struct consumer_member *consumer_static_find(const struct consumer_group *consumer,
                                             struct str instance_id);
/* The member epoch of who owns it, pending revocation included; -1: nobody. */
int32_t consumer_partition_epoch(const struct consumer_group *consumer, struct uuid topic,
                                 int32_t partition);
const struct consumer_topic *consumer_topic_find(const struct consumer_group *consumer,
                                                 struct str name);
const struct consumer_regex *consumer_regex_find(const struct consumer_group *consumer,
                                                 struct str regex);

/* Members in the group, in the order in which they came. */
struct consumer_member *consumer_member_next(const struct consumer_group *consumer,
                                             struct map_at *at);

struct consumer_texts *consumer_texts_create(void);
struct consumer_texts *consumer_texts_ref(struct consumer_texts *texts);
void consumer_texts_unref(struct consumer_texts *texts); /* any thread; NULL is fine */

/* ---- apply ---- */

/* True: the record is one of a consumer group, and was taken in or passed over. *ret_why then says
 * why it was passed over; NULL when it was not. */
bool consumer_apply(struct group_shard *shard, const struct coord_record *record, int16_t type,
                    const void *key, const void *value, const char **ret_why);

/* An empty group of the type; group_set_type calls it. */
struct consumer_group *consumer_group_create(struct group_shard *shard, struct group *group);
/* group_kind.destroy */
void consumer_group_destroy(struct group_shard *shard, struct group *group);

/* For apply. */
struct consumer_member *consumer_member_get(struct group_shard *shard,
                                            struct consumer_group *consumer, struct str id);
void consumer_set_subscription(struct group_shard *shard, struct consumer_member *member,
                               const struct consumer_subscription *subscription);
/* Assignments are copied. */
void consumer_set_current(struct consumer_member *member, const struct consumer_current *current);
void consumer_set_target(struct consumer_member *member, const struct assignment *target);
void consumer_drop_target(struct group_shard *shard, struct consumer_member *member);
void consumer_leave_group(struct group_shard *shard, struct consumer_member *member);
void consumer_set_regex(struct group_shard *shard, struct consumer_group *consumer,
                        struct str regex,
                        const struct consumer_group_regular_expression_value *value);

/* The image changed: the hash may be of the past. */
void consumer_image_changed(struct group_shard *shard, const struct coord_turn *turn);

#endif
