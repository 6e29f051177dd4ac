/* Groups and committed offsets: the fold over one partition of __consumer_offsets.
 *
 * A shard (struct group_shard) holds all groups whose ids hash to its partition, with their
 * committed offsets and the offsets of transactions that are not decided yet. What the log says
 * lives beside what it does not: members that are joining, timers, parked requests. The first is
 * changed by group_apply alone, the second by the settle functions of operations. How a group
 * behaves depends on its type; what the APIs of all types need is in struct group_kind.
 *
 * Everything here is under the shard's lock (coord/coord.h). Memory running out aborts (must), as
 * in the fold of the metadata. */
#ifndef JACKDAW_GROUP_GROUP_H
#define JACKDAW_GROUP_GROUP_H

#include "base/map.h"
#include "coord/coord.h"

enum {
    /* Records of one operation of the shard's own (expiry, deleted topics); the rest follows. */
    GROUP_TOMBSTONES_MAX = 1000,
    /* Groups that one operation of expiry looks at. */
    GROUP_EXPIRY_LOOKS_MAX = 1000,
    /* How soon an operation of the shard's own is tried again when its append failed. */
    GROUP_RETRY_MS = 1000,
    /* What the answer to one parked request may take. */
    GROUP_ANSWER_MAX_BYTES = 256 * 1024 * 1024,
};

/* Kafka's GroupType by its number in ListGroups filters is not used on the wire; names are. */
enum group_type {
    GROUP_NONE,     /* only offsets are left of it, or nothing: no group for any API */
    GROUP_CLASSIC,  /* the classic protocol, and groups that only commit offsets */
    GROUP_CONSUMER, /* KIP-848 */
};

struct classic;
struct classic_member;
struct consumer_group;
struct group;
struct group_kind;
struct group_shard;

/* ---- committed offsets ---- */

/* A committed offset, as its record has it. */
struct group_offset {
    int64_t offset;
    int64_t commit_ms;
    int64_t expire_ms;     /* -1: by the broker's retention */
    int64_t record_offset; /* where in the log the commit stands */
    int32_t leader_epoch;  /* -1: none */
    int32_t metadata_size;
    char *metadata;       /* owned; NULL when empty */
    struct uuid topic_id; /* zero: not known (written by an older broker) */
};

/* An offset committed in a transaction that is not decided yet. */
struct group_pending {
    struct list link;           /* group_transaction.offsets */
    struct group_pending *next; /* of the same partition, other transactions */
    struct group_transaction *transaction;
    struct group_topic *topic;
    int32_t partition;
    struct group_offset value;
};

struct group_transaction {
    int64_t producer_id;
    struct list offsets; /* of group_pending */
};

struct group_partition {
    int32_t partition;
    bool committed;
    struct group_offset value;     /* when committed */
    struct group_pending *pending; /* at most one for each transaction */
};

/* A topic's name, kept once for all groups of the shard. */
struct group_topic_name {
    struct list uses; /* of group_topic */
    struct str name;
};

/* A topic in which a group has offsets, committed or pending; goes when the last partition goes. */
struct group_topic {
    struct list use;
    struct group_topic_name *name;
    struct group *group;
    struct group_partition *partitions; /* ascending; they move when others come or go */
    int32_t count, capacity;
};

/* ---- groups ---- */

struct group {
    struct list link; /* group_shard.all */
    enum group_type type;
    uint32_t looked_at; /* the round of expiry that saw it last */
    int64_t end_offset; /* behind the last record that concerns it: what answers wait for */
    struct group_topic **topics; /* by name */
    int32_t topic_count, topic_capacity;
    int32_t pending_count; /* transactional offsets that are not decided */
    union {
        struct classic *classic;         /* NULL: as new, without members ("simple") */
        struct consumer_group *consumer; /* never NULL */
    };
    struct str id;
};

/* What is known of who commits. */
struct group_committer {
    struct str member_id;
    struct str instance_id; /* data NULL: none */
    int32_t generation;     /* or member epoch */
    int16_t version;        /* of the API */
    bool transactional;
};

/* How a type of group behaves towards the APIs that serve all of them. `group` is of the type.
 * Results: 0 or Kafka's code. Sources: KIP-848; the behaviour of Apache Kafka 4.4. */
struct group_kind {
    struct str type_name; /* "classic": ListGroups */
    struct str (*state_name)(const struct group *group);
    struct str (*protocol_type)(const struct group *group); /* "" when there is none */
    bool (*is_empty)(const struct group *group);
    int (*check_commit)(const struct group *group, const struct group_committer *who);
    /* After check_commit, for each partition; may be NULL. */
    int (*check_commit_partition)(const struct group *group, const struct group_committer *who,
                                  struct uuid topic_id, int32_t partition);
    int (*check_fetch)(const struct group *group, struct str member_id, int32_t member_epoch);
    int (*check_delete_offsets)(const struct group *group);
    int (*check_delete)(const struct group *group);
    bool (*subscribes)(const struct group *group, struct str topic);
    /* Whether offsets may expire now; if so, from when an offset's retention counts (-1: from its
     * commit). */
    bool (*offsets_expire)(const struct group *group, int64_t *ret_since_ms);
    /* In decide: tombstones for all records of the group itself. 0 or -errno. */
    int (*put_tombstones)(const struct group *group, struct coord_op *op);
    /* In decide: a commit of this member was accepted; it keeps the session alive. */
    void (*member_seen)(struct group_shard *shard, struct group *group, struct str member_id,
                        const struct coord_turn *turn);
    void (*loaded)(struct group_shard *shard, struct group *group, const struct coord_turn *turn);
    /* Drop what hangs off the group beside its offsets, timers included. */
    void (*destroy)(struct group_shard *shard, struct group *group);
};

/* By type; never for GROUP_NONE. */
const struct group_kind *group_kind_of(const struct group *group);
extern const struct group_kind classic_kind;

/* What the groups of one broker hold for their members: the fold's context, which outlives it. May
 * be NULL: then nothing is bounded. */
struct group_memory {
    _Atomic int64_t bytes;
};

struct group_shard_counts {
    int64_t groups;  /* that APIs see */
    int64_t offsets; /* committed, group-topic-partitions */
    int64_t pending;
    int64_t skipped; /* records that were not understood */
    int64_t held;    /* bytes, see group_hold */
};

struct group_shard {
    struct coord_shard *shard;
    struct group_memory *memory;
    uint64_t seed;
    struct map groups;       /* by id: struct group * */
    struct list all;         /* groups; expiry moves the front to the back */
    struct group *latest;    /* whose offset was applied last; NULL: none, or it is gone */
    struct map topics;       /* by name: struct group_topic_name * */
    struct map transactions; /* by producer id: struct group_transaction * */
    struct list waits;       /* of group_wait.wait: parked requests that are not completed */
    struct group_shard_counts counts;
    bool loaded;
    bool skip_said;
    struct arena scratch; /* of group_apply */

    /* expiry and deleted topics: group/expiry.c */
    struct coord_timer expiry;
    uint32_t expiry_round;
    bool expiry_more; /* the round is not over */
    struct coord_timer sweep;
    struct list gone;          /* of group_gone_topic */
    const struct image *image; /* a reference; what image_changed is compared with */
    /* Of the last image in which topics were new, as far as is known; -1: none. */
    int64_t new_topics_offset;
};

extern const struct coord_fold group_fold;

/* The group, if an API may see it; NULL. */
struct group *group_find(const struct group_shard *shard, struct str id);
/* The same with offsets-only leftovers. */
struct group *group_find_any(const struct group_shard *shard, struct str id);
/* For apply: find or create, of GROUP_NONE then. */
struct group *group_get(struct group_shard *shard, struct str id);
/* For apply: from here on the group is of this type (what it was before is dropped) or none. */
void group_set_type(struct group_shard *shard, struct group *group, enum group_type type);
/* For apply: free it when nothing is left of it. */
void group_drop_if_unused(struct group_shard *shard, struct group *group);

/* What an answer about this id has to wait for; `group` may be NULL. */
int64_t group_await(const struct group_shard *shard, const struct group *group);

/* Account for bytes that clients make the groups hold: members of both protocols, what they offer,
 * subscribe to and are assigned, ids handed out. Offsets are not among them; they are in the log,
 * and expire. */
void group_hold(struct group_shard *shard, int64_t bytes);
/* Whether so many bytes more are within jackdaw.group.memory.bytes. */
bool group_may_hold(const struct group_shard *shard, const struct coord_turn *turn, int64_t bytes);

/* The fold's functions; group_apply is also the path of records that were just appended. */
bool group_apply(void *state, const struct coord_record *record);
bool group_mark(void *state, const struct coord_marker *marker);

/* ---- parked requests ---- */

/* A request that waits in a group, for the end of a rebalance say. Whoever ends the wait writes
 * the answer into `answer`, for which `arena` has room, and calls group_wait_complete; the answer
 * is given when the log is committed up to what it rests on. */
struct group_wait {
    struct coord_wait wait; /* group_shard.waits until it is completed */
    struct coord_effect effect;
    struct arena arena;
    void *answer;              /* the owner's response */
    struct group_wait **place; /* who waits: set to NULL when the wait ends */
    struct group_shard *shard;
    _Atomic int stage; /* enum group_wait_stage */
    /* Owner. ANY THREAD: it is over, as request_wake_later. */
    void (*wake)(struct group_wait *wait, struct wakes *wakes);
};

void group_wait_init(struct group_wait *wait, void *answer,
                     void (*wake)(struct group_wait *wait, struct wakes *wakes));
void group_wait_close(struct group_wait *wait); /* not while it waits */
/* In settle. `place` is where the group remembers who waits. */
void group_wait_begin(struct group_shard *shard, struct group_wait *wait,
                      struct group_wait **place);
/* In settle, after the answer was written. */
void group_wait_complete(struct group_wait *wait);
/* The owner gives up (its connection is gone); nothing is woken. Under the lock; harmless when it
 * does not wait. */
void group_wait_abandon(struct group_wait *wait);

/* How far it is; the owner's thread, without the lock. ENDING is a moment: whoever ends the wait is
 * about to have woken the owner, which must not free it yet and looks again of its own accord. */
enum group_wait_stage { GROUP_WAIT_WAITING, GROUP_WAIT_ENDING, GROUP_WAIT_OVER };

static inline enum group_wait_stage group_wait_stage(const struct group_wait *wait)
{
    return (enum group_wait_stage)atomic_load_explicit(&wait->stage, memory_order_acquire);
}

/* Over: 0 when the answer was written, else the error. */
static inline bool group_wait_over(const struct group_wait *wait, int *ret_error)
{
    if (group_wait_stage(wait) != GROUP_WAIT_OVER)
        return false;
    *ret_error = wait->wait.error;
    return true;
}

/* ---- small things ---- */

void *group_alloc(size_t size);        /* zeroed, never NULL */
struct str text_copy(struct str text); /* owned; data NULL stays NULL */
void text_drop(struct str *text);
void text_set(struct str *place, struct str text);
static inline struct str str_or_empty(struct str text)
{
    return text.data ? text : STR("");
}

#endif
