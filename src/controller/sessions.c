#include "controller/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

void sessions_init(struct sessions *sessions, int64_t timeout_ns, int32_t local_broker_id)
{
    *sessions = (struct sessions){.timeout_ns = timeout_ns, .local_broker_id = local_broker_id};
    heap_init(&sessions->expiry);
}

void sessions_clear(struct sessions *sessions)
{
    for (int32_t i = 0; i < sessions->count; i++) {
        if (heap_contains(&sessions->items[i]->deadline))
            heap_remove(&sessions->expiry, &sessions->items[i]->deadline);
        free(sessions->items[i]);
    }
    sessions->count = 0;
}

void sessions_close(struct sessions *sessions)
{
    sessions_clear(sessions);
    free(sessions->items);
    heap_close(&sessions->expiry);
}

/* The first place whose broker id is not below. */
static int32_t place_of(const struct sessions *sessions, int32_t broker_id)
{
    int32_t low = 0;
    int32_t high = sessions->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (sessions->items[middle]->broker_id < broker_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct session *sessions_find(struct sessions *sessions, int32_t broker_id)
{
    int32_t at = place_of(sessions, broker_id);
    if (at < sessions->count && sessions->items[at]->broker_id == broker_id)
        return sessions->items[at];
    return NULL;
}

static struct session *sessions_add(struct sessions *sessions, int32_t broker_id)
{
    if (sessions->count == sessions->capacity) {
        int32_t capacity = sessions->capacity ? sessions->capacity * 2 : 8;
        struct session **grown =
            realloc(sessions->items, (size_t)capacity * sizeof sessions->items[0]);
        if (!grown)
            return NULL;
        sessions->items = grown;
        sessions->capacity = capacity;
    }
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->broker_id = broker_id;
    session->broker_epoch = -1;
    session->register_offset = -1;
    session->metadata_offset = -1;
    session->shutdown_offset = -1;
    heap_node_init(&session->deadline);
    int32_t at = place_of(sessions, broker_id);
    memmove(sessions->items + at + 1, sessions->items + at,
            (size_t)(sessions->count - at) * sizeof sessions->items[0]);
    sessions->items[at] = session;
    sessions->count++;
    return session;
}

struct session *sessions_touch(struct sessions *sessions, int32_t broker_id, int64_t broker_epoch,
                               int64_t now_ns)
{
    struct session *session = sessions_find(sessions, broker_id);
    if (!session)
        session = sessions_add(sessions, broker_id);
    if (!session)
        return NULL;
    if (session->broker_epoch != broker_epoch) {
        session->broker_epoch = broker_epoch;
        session->register_offset = -1;
        session->metadata_offset = -1;
        session->shutdown_offset = -1;
    }
    if (broker_id == sessions->local_broker_id)
        return session;
    int64_t end_ns = now_ns + sessions->timeout_ns;
    if (heap_contains(&session->deadline))
        heap_move(&sessions->expiry, &session->deadline, end_ns);
    else if (heap_insert(&sessions->expiry, &session->deadline, end_ns))
        return NULL;
    return session;
}

bool sessions_valid(struct sessions *sessions, int32_t broker_id, int64_t broker_epoch)
{
    const struct session *session = sessions_find(sessions, broker_id);
    return session && session->broker_epoch == broker_epoch && heap_contains(&session->deadline);
}

void sessions_end(struct sessions *sessions, int32_t broker_id)
{
    struct session *session = sessions_find(sessions, broker_id);
    if (session && heap_contains(&session->deadline))
        heap_remove(&sessions->expiry, &session->deadline);
}

void sessions_remove(struct sessions *sessions, int32_t broker_id)
{
    struct session *session = sessions_find(sessions, broker_id);
    if (!session)
        return;
    sessions_end(sessions, broker_id);
    int32_t at = place_of(sessions, broker_id);
    sessions->count--;
    memmove(sessions->items + at, sessions->items + at + 1,
            (size_t)(sessions->count - at) * sizeof sessions->items[0]);
    free(session);
}

int32_t sessions_expired(const struct sessions *sessions, int64_t now_ns)
{
    struct heap_node *first = heap_first(&sessions->expiry);
    if (!first || first->key > now_ns)
        return -1;
    return container_of(first, struct session, deadline)->broker_id;
}

int64_t sessions_next_expiry(const struct sessions *sessions)
{
    const struct heap_node *first = heap_first(&sessions->expiry);
    return first ? first->key : INT64_MAX;
}

void sessions_shift(struct sessions *sessions, int64_t gap_ns)
{
    for (int32_t i = 0; i < sessions->count; i++) {
        struct heap_node *node = &sessions->items[i]->deadline;
        if (heap_contains(node))
            heap_move(&sessions->expiry, node, node->key + gap_ns);
    }
}
