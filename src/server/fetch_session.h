/* Incremental fetch sessions (KIP-227): the broker remembers which partitions a client fetches,
 * from where and what it was told, so that requests and responses carry only what changed.
 *
 * The cache is for any thread. A session is borrowed by one request at a time, from acquire or
 * create to release; between them its partitions are that request's alone. Who ends or releases a
 * session, or makes room for one, is an epoch reader online (fetch_watch.h). */
#ifndef JACKDAW_SERVER_FETCH_SESSION_H
#define JACKDAW_SERVER_FETCH_SESSION_H

#include "server/fetch_watch.h"

enum {
    FETCH_SESSION_FINAL_EPOCH = -1,        /* no session, or its end */
    FETCH_SESSION_INITIAL_EPOCH = 0,       /* make one */
    FETCH_SESSION_PARTITIONS_MAX = 100000, /* of one */
};

#define FETCH_SESSION_EVICTION_NS (120 * INT64_C(1000000000)) /* Kafka's two minutes */

struct fetch_sessions;

struct fetch_session {
    struct fetch_sessions *cache;
    int32_t id;
    int32_t epoch; /* of the request that is expected next */
    bool uses_topic_ids;
    bool busy;
    bool doomed; /* removed while busy: freed at release */
    int64_t used_ns;
    struct list link;         /* in the cache, least recently used first */
    struct fetch_watch watch; /* its partitions, those without anything to tell too */
    uint64_t seed;
    uint32_t bucket_mask;
    struct fetch_partition **buckets;
};

/* `max_bytes` is for the partitions of all sessions together, with their names, which are as long
 * as clients like. `seed` from env_random: clients choose what is hashed. */
struct fetch_sessions *fetch_sessions_create(int32_t max_sessions, int64_t max_bytes,
                                             uint64_t seed);
void fetch_sessions_destroy(struct fetch_sessions *sessions); /* NULL is accepted */
/* End all sessions, none of which is borrowed: before the partitions go. */
void fetch_sessions_clear(struct fetch_sessions *sessions);

/* A new empty session, borrowed; NULL when the cache is full of sessions in use, by their number or
 * their bytes. `random` gives its
 * id. */
struct fetch_session *fetch_session_create(struct fetch_sessions *sessions, uint32_t random,
                                           bool uses_topic_ids, int64_t now_ns);

/* Borrow. FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH (also for one that is busy),
 * FETCH_SESSION_TOPIC_ID_ERROR. */
int fetch_session_acquire(struct fetch_sessions *sessions, int32_t id, int32_t epoch,
                          bool uses_topic_ids, int64_t now_ns, struct fetch_session **ret_session);
/* Give back; the next request must carry the next epoch. */
void fetch_session_release(struct fetch_sessions *sessions, struct fetch_session *session);
/* End a session, if there is one with this id. */
void fetch_session_remove(struct fetch_sessions *sessions, int32_t id);
int32_t fetch_sessions_count(struct fetch_sessions *sessions);

/* Partitions of a borrowed session. Found by id when the session uses ids, else by name. */
struct fetch_partition *fetch_session_find(struct fetch_session *session, struct uuid topic_id,
                                           struct str topic, int32_t index);
/* To be looked at first. NULL when memory runs out or one of the limits is reached. */
struct fetch_partition *fetch_session_add(struct fetch_session *session, struct uuid topic_id,
                                          struct str topic, int32_t index);
void fetch_session_forget(struct fetch_session *session, struct fetch_partition *partition);
/* All of them have `changed`, because what they wait for does. */
void fetch_session_changed(struct fetch_session *session);

#endif
