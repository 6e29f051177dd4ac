#include "server/fetch_session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/map.h"

#define BUCKETS_FIRST 16
#define MALLOC_OVERHEAD 16

struct fetch_sessions {
    pthread_mutex_t lock;
    struct list by_use;
    struct map by_id; /* to struct fetch_session * */
    int32_t max;
    uint64_t seed;
    int64_t max_bytes;
    _Atomic int64_t bytes; /* of all sessions, borrowed ones too */
};

struct fetch_sessions *fetch_sessions_create(int32_t max_sessions, int64_t max_bytes, uint64_t seed)
{
    struct fetch_sessions *sessions = calloc(1, sizeof *sessions);
    if (!sessions)
        return NULL;
    pthread_mutex_init(&sessions->lock, NULL);
    list_init(&sessions->by_use);
    map_init(&sessions->by_id, MAP_U64, sizeof(struct fetch_session *), seed);
    sessions->max = max_sessions;
    sessions->max_bytes = max_bytes;
    sessions->seed = seed;
    return sessions;
}

/* What a partition takes: itself, its name, its share of the buckets, and what malloc adds. */
static int64_t partition_bytes(struct str topic)
{
    return (int64_t)sizeof(struct fetch_partition) + topic.size +
           2 * (int64_t)sizeof(struct fetch_partition *) + 2 * MALLOC_OVERHEAD;
}

/* Room for one more, or none: nothing is taken then. */
static bool bytes_take(struct fetch_sessions *sessions, int64_t bytes)
{
    int64_t used = atomic_fetch_add_explicit(&sessions->bytes, bytes, memory_order_relaxed);
    if (used + bytes <= sessions->max_bytes)
        return true;
    atomic_fetch_sub_explicit(&sessions->bytes, bytes, memory_order_relaxed);
    return false;
}

static void partition_free(struct fetch_session *session, struct fetch_partition *partition)
{
    atomic_fetch_sub_explicit(&session->cache->bytes, partition_bytes(partition->topic),
                              memory_order_relaxed);
    free((char *)(uintptr_t)partition->topic.data);
    free(partition);
}

/* Without the sessions' lock: it takes those of marks. NULL is accepted. */
static void session_free(struct fetch_session *session)
{
    if (!session)
        return;
    for (uint32_t i = 0; i <= session->bucket_mask; i++) {
        for (struct fetch_partition *at = session->buckets[i], *next; at; at = next) {
            next = at->next;
            fetch_watch_remove(at);
            partition_free(session, at);
        }
    }
    fetch_watch_close(&session->watch);
    free(session->buckets);
    free(session);
}

void fetch_sessions_clear(struct fetch_sessions *sessions)
{
    for (struct list *link; (link = list_pop(&sessions->by_use));) {
        struct fetch_session *session = container_of(link, struct fetch_session, link);
        must(!session->busy);
        map_remove(&sessions->by_id, (uint32_t)session->id, NULL);
        session_free(session);
    }
}

void fetch_sessions_destroy(struct fetch_sessions *sessions)
{
    if (!sessions)
        return;
    fetch_sessions_clear(sessions);
    map_close(&sessions->by_id);
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}

/* lock held */
static struct fetch_session *session_of(struct fetch_sessions *sessions, int32_t id)
{
    struct fetch_session **at = map_find(&sessions->by_id, (uint32_t)id);
    return at ? *at : NULL;
}

/* lock held: nobody finds it any more. Returns it when it is to be freed now. */
static struct fetch_session *session_drop(struct fetch_sessions *sessions,
                                          struct fetch_session *session)
{
    list_remove(&session->link);
    map_remove(&sessions->by_id, (uint32_t)session->id, NULL);
    session->doomed = true;
    return session->busy ? NULL : session;
}

/* lock held: make room by ending the least recently used session that was idle for long. False when
 * there is none. */
static bool make_room(struct fetch_sessions *sessions, int64_t now_ns,
                      struct fetch_session **ret_ended)
{
    if ((int32_t)map_count(&sessions->by_id) < sessions->max &&
        atomic_load_explicit(&sessions->bytes, memory_order_relaxed) +
                partition_bytes((struct str){NULL, 0}) <=
            sessions->max_bytes)
        return true;
    if (list_empty(&sessions->by_use))
        return false;
    struct fetch_session *oldest = list_first(&sessions->by_use, struct fetch_session, link);
    if (oldest->busy || now_ns - oldest->used_ns < FETCH_SESSION_EVICTION_NS)
        return false;
    *ret_ended = session_drop(sessions, oldest);
    return true;
}

struct fetch_session *fetch_session_create(struct fetch_sessions *sessions, uint32_t random,
                                           bool uses_topic_ids, int64_t now_ns)
{
    struct fetch_session *session = calloc(1, sizeof *session);
    struct fetch_partition **buckets = calloc(BUCKETS_FIRST, sizeof *buckets);
    struct fetch_session **place;
    struct fetch_session *ended = NULL;
    int32_t id = (int32_t)(random & INT32_MAX);
    pthread_mutex_lock(&sessions->lock);
    while (id == 0 || session_of(sessions, id))
        id = id == INT32_MAX ? 1 : id + 1;
    bool room = session && buckets && make_room(sessions, now_ns, &ended) &&
                map_put(&sessions->by_id, (uint32_t)id, &place) > 0;
    if (room) {
        *place = session;
        *session = (struct fetch_session){.cache = sessions,
                                          .id = id,
                                          .epoch = 1,
                                          .uses_topic_ids = uses_topic_ids,
                                          .busy = true,
                                          .used_ns = now_ns,
                                          .seed = sessions->seed,
                                          .bucket_mask = BUCKETS_FIRST - 1,
                                          .buckets = buckets};
        fetch_watch_init(&session->watch, true);
        list_push_back(&sessions->by_use, &session->link);
    }
    pthread_mutex_unlock(&sessions->lock);
    session_free(ended);
    if (room)
        return session;
    free(buckets);
    free(session);
    return NULL;
}

int fetch_session_acquire(struct fetch_sessions *sessions, int32_t id, int32_t epoch,
                          bool uses_topic_ids, int64_t now_ns, struct fetch_session **ret_session)
{
    int result = 0;
    pthread_mutex_lock(&sessions->lock);
    struct fetch_session *session = session_of(sessions, id);
    if (!session)
        result = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    else if (session->busy || session->epoch != epoch)
        result = KAFKA_INVALID_FETCH_SESSION_EPOCH;
    else if (session->uses_topic_ids != uses_topic_ids)
        result = KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
    if (result == 0) {
        session->busy = true;
        session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
        session->used_ns = now_ns;
        list_remove(&session->link);
        list_push_back(&sessions->by_use, &session->link);
        *ret_session = session;
    }
    pthread_mutex_unlock(&sessions->lock);
    return result;
}

void fetch_session_release(struct fetch_sessions *sessions, struct fetch_session *session)
{
    pthread_mutex_lock(&sessions->lock);
    session->busy = false;
    bool doomed = session->doomed;
    pthread_mutex_unlock(&sessions->lock);
    if (doomed)
        session_free(session);
}

void fetch_session_remove(struct fetch_sessions *sessions, int32_t id)
{
    pthread_mutex_lock(&sessions->lock);
    struct fetch_session *session = session_of(sessions, id);
    struct fetch_session *ended = session ? session_drop(sessions, session) : NULL;
    pthread_mutex_unlock(&sessions->lock);
    session_free(ended);
}

int32_t fetch_sessions_count(struct fetch_sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    int32_t count = (int32_t)map_count(&sessions->by_id);
    pthread_mutex_unlock(&sessions->lock);
    return count;
}

static uint32_t partition_hash(const struct fetch_session *session, struct uuid topic_id,
                               struct str topic, int32_t index)
{
    uint64_t h = session->uses_topic_ids
                     ? hash_bytes(topic_id.bytes, sizeof topic_id.bytes, session->seed)
                     : hash_bytes(topic.data, (size_t)topic.size, session->seed);
    return (uint32_t)hash_u64(h ^ (uint32_t)index, session->seed);
}

struct fetch_partition *fetch_session_find(struct fetch_session *session, struct uuid topic_id,
                                           struct str topic, int32_t index)
{
    uint32_t h = partition_hash(session, topic_id, topic, index);
    struct fetch_partition *at = session->buckets[h & session->bucket_mask];
    for (; at; at = at->next) {
        if (at->index != index)
            continue;
        if (session->uses_topic_ids ? uuid_equal(at->topic_id, topic_id)
                                    : str_equal(at->topic, topic))
            return at;
    }
    return NULL;
}

static void buckets_grow(struct fetch_session *session)
{
    uint32_t mask = session->bucket_mask * 2 + 1;
    struct fetch_partition **buckets = calloc(mask + 1, sizeof *buckets);
    if (!buckets)
        return; /* longer chains, nothing worse */
    for (uint32_t i = 0; i <= session->bucket_mask; i++) {
        for (struct fetch_partition *at = session->buckets[i], *next; at; at = next) {
            next = at->next;
            uint32_t h = partition_hash(session, at->topic_id, at->topic, at->index) & mask;
            at->next = buckets[h];
            buckets[h] = at;
        }
    }
    free(session->buckets);
    session->buckets = buckets;
    session->bucket_mask = mask;
}

struct fetch_partition *fetch_session_add(struct fetch_session *session, struct uuid topic_id,
                                          struct str topic, int32_t index)
{
    int64_t bytes = partition_bytes(topic);
    if (session->watch.count >= FETCH_SESSION_PARTITIONS_MAX || !bytes_take(session->cache, bytes))
        return NULL;
    struct fetch_partition *partition = calloc(1, sizeof *partition);
    char *name = topic.data ? malloc((size_t)topic.size + 1) : NULL;
    if (!partition || (topic.data && !name)) {
        atomic_fetch_sub_explicit(&session->cache->bytes, bytes, memory_order_relaxed);
        free(partition);
        free(name);
        return NULL;
    }
    if (name) {
        memcpy(name, topic.data, (size_t)topic.size);
        name[topic.size] = '\0';
    }
    partition->topic_id = topic_id;
    partition->topic = (struct str){name, topic.size};
    partition->index = index;
    fetch_watch_add(&session->watch, partition);
    uint32_t h = partition_hash(session, topic_id, topic, index) & session->bucket_mask;
    partition->next = session->buckets[h];
    session->buckets[h] = partition;
    if ((uint32_t)session->watch.count > session->bucket_mask)
        buckets_grow(session);
    return partition;
}

void fetch_session_forget(struct fetch_session *session, struct fetch_partition *partition)
{
    uint32_t h = partition_hash(session, partition->topic_id, partition->topic, partition->index);
    struct fetch_partition **at = &session->buckets[h & session->bucket_mask];
    while (*at != partition)
        at = &(*at)->next;
    *at = partition->next;
    fetch_watch_remove(partition);
    partition_free(session, partition);
}

void fetch_session_changed(struct fetch_session *session)
{
    for (uint32_t i = 0; i <= session->bucket_mask; i++)
        for (struct fetch_partition *at = session->buckets[i]; at; at = at->next)
            fetch_watch_changed(at);
}
