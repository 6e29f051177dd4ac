/* 1. A partition that is not active waits, or has fired and is in `fired`.
 * 2. `waiting` is set by the owner before the waiter is put on the mark, and cleared by the fire or
 *    by the owner who has cancelled it. Who reads it as set, as an epoch reader online, may use
 *    `partition` and `mark` for the rest of the turn: the partition's end clears it first.
 * 3. The fire clears it as the last thing it does to the partition, under the watch's lock. Taking
 *    that lock once more makes sure that the watch is left, too. */
#include "server/fetch_watch.h"

#include "base/errors.h"
#include "server/fetch_hints.h"
#include "server/request.h"

#define FIRED_AT_ONCE 64

static void partition_fired(struct waiter *waiter, struct wakes *wakes)
{
    struct fetch_partition *at = container_of(waiter, struct fetch_partition, waiter);
    struct fetch_watch *watch = at->watch;
    pthread_mutex_lock(&watch->lock);
    if (list_empty(&at->fired))
        list_push_back(&watch->fired, &at->fired);
    if (watch->request)
        request_wake_later(watch->request, wakes);
    atomic_store_explicit(&at->waiting, false, memory_order_release);
    pthread_mutex_unlock(&watch->lock);
}

void fetch_watch_init(struct fetch_watch *watch, bool lasting)
{
    *watch = (struct fetch_watch){.lasting = lasting};
    pthread_mutex_init(&watch->lock, NULL);
    list_init(&watch->fired);
    list_init(&watch->active);
    list_init(&watch->todo);
}

void fetch_watch_close(struct fetch_watch *watch)
{
    must(watch->count == 0);
    must(watch->bytes == 0);
    pthread_mutex_lock(&watch->lock);
    must(!watch->request);
    pthread_mutex_unlock(&watch->lock);
    pthread_mutex_destroy(&watch->lock);
}

static void activate(struct fetch_partition *at)
{
    if (list_empty(&at->link))
        list_push_back(&at->watch->active, &at->link);
}

void fetch_watch_add(struct fetch_watch *watch, struct fetch_partition *at)
{
    at->watch = watch;
    at->hint = (struct log_position){-1, -1, 0, 0};
    at->diverging_epoch = -1;
    at->told_high_watermark = at->told_log_start = -1;
    atomic_init(&at->waiting, false);
    waiter_init(&at->waiter, partition_fired);
    list_init(&at->link);
    list_init(&at->todo);
    list_init(&at->fired);
    watch->count++;
    activate(at);
}

void fetch_watch_cancel(struct fetch_partition *at)
{
    if (!atomic_load_explicit(&at->waiting, memory_order_acquire))
        return;
    watermark_cancel(at->mark, &at->waiter);
    atomic_store_explicit(&at->waiting, false, memory_order_relaxed);
}

void fetch_watch_changed(struct fetch_partition *at)
{
    fetch_watch_cancel(at);
    activate(at);
}

/* ---- sums ---- */

static bool is_urgent(const struct fetch_partition *at)
{
    return (at->error != 0 && !at->unknown) || at->diverging_epoch >= 0;
}

static void forget_findings(struct fetch_partition *at)
{
    struct fetch_watch *watch = at->watch;
    watch->unknown -= at->unknown;
    watch->urgent -= is_urgent(at);
    watch->bytes -= at->available;
    at->error = 0;
    at->unknown = at->news = false;
    at->diverging_epoch = -1;
    at->available = 0;
}

static void note_findings(struct fetch_partition *at)
{
    struct fetch_watch *watch = at->watch;
    watch->unknown += at->unknown;
    watch->urgent += is_urgent(at);
    watch->bytes += at->available;
}

void fetch_watch_remove(struct fetch_partition *at)
{
    struct fetch_watch *watch = at->watch;
    fetch_watch_cancel(at);
    pthread_mutex_lock(&watch->lock);
    list_remove(&at->fired);
    pthread_mutex_unlock(&watch->lock);
    list_remove(&at->link);
    list_remove(&at->todo);
    forget_findings(at);
    watch->count--;
}

/* ---- looking ---- */

/* Find the partition. 0 or what the client is told. */
static int find(struct fetch_partition *at, struct request *request)
{
    const struct image *image = request_image(request);
    bool by_id = request->version >= 13;
    const struct topic_image *topic =
        by_id ? image_topic(image, at->topic_id) : image_topic_named(image, at->topic);
    struct partition *was = at->partition;
    at->partition = NULL;
    if (!topic || !topic_partition(topic, at->index)) {
        at->unknown = true;
        return !topic && by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (!uuid_equal(at->topic_id, topic->id)) { /* another topic of the same name */
        at->topic_id = topic->id;
        at->told_high_watermark = at->told_log_start = -1;
        was = NULL;
    }
    at->partition = partition_find(&request_broker(request)->partitions, topic->id, at->index);
    if (!at->partition)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (at->partition != was)
        at->hint = (struct log_position){-1, -1, 0, 0};
    if (!at->watch->lasting && at->hint.segment_base < 0) {
        const struct log_position *hint = fetch_hints_find(
            request_session(request)->hints, at->topic_id, at->index, at->fetch_offset);
        if (hint)
            at->hint = *hint;
    }
    return 0;
}

/* KIP-595: where the client's log parts from ours, by the epoch of its last record. A leader counts
 * as having begun its epoch, whether or not it has written anything. */
static int check_epoch(struct fetch_partition *at)
{
    struct log *log = at->partition->log;
    int32_t asked = at->last_fetched_epoch, epoch;
    int64_t end;
    log_epoch_end(log, asked, &epoch, &end);
    if (epoch < 0) { /* later than any record */
        int32_t ours = atomic_load_explicit(&at->partition->leader_epoch, memory_order_acquire);
        int32_t latest = log_latest_epoch(log);
        if (asked > ours)
            return KAFKA_OFFSET_OUT_OF_RANGE;
        epoch = asked < ours && latest >= 0 ? latest : asked;
        end = log_end_offset(log);
    }
    if (at->fetch_offset < log_start_offset(log))
        return KAFKA_OFFSET_OUT_OF_RANGE;
    if (epoch < asked || end < at->fetch_offset) {
        at->diverging_epoch = epoch;
        at->diverging_end = end;
    }
    return 0;
}

/* What a read would meet before data. */
static int check(struct fetch_partition *at)
{
    int err = partition_check_leader(at->partition, at->current_leader_epoch);
    if (err == 0 && at->last_fetched_epoch >= 0)
        err = check_epoch(at);
    if (err != 0 || at->diverging_epoch >= 0)
        return err;
    struct log *log = at->partition->log;
    if (at->fetch_offset < log_start_offset(log) || at->fetch_offset > log_end_offset(log))
        return KAFKA_OFFSET_OUT_OF_RANGE;
    return 0;
}

/* How many bytes can be read now; INT64_MAX when they are in more than one segment, or when it
 * would take the device to know. */
static int64_t count_bytes(struct fetch_partition *at)
{
    struct log_position bound = partition_bound(at->partition, at->watch->isolation);
    struct log_position *hint = &at->hint;
    if (bound.offset <= at->fetch_offset)
        return 0;
    if (at->watch->exact && (hint->segment_base < 0 || hint->offset != at->fetch_offset))
        (void)log_locate(at->partition->log, at->fetch_offset, false, hint);
    if (hint->segment_base >= 0 && hint->offset == at->fetch_offset &&
        hint->segment_base == bound.segment_base && hint->file_epoch == bound.file_epoch &&
        bound.position > hint->position)
        return bound.position - hint->position;
    return INT64_MAX;
}

static void look_at(struct fetch_partition *at, struct request *request)
{
    forget_findings(at);
    if (!atomic_load_explicit(&at->waiting, memory_order_acquire))
        at->error = find(at, request);
    if (at->error == 0)
        at->error = check(at);
    if (at->error == 0 && at->diverging_epoch < 0) {
        int64_t available = count_bytes(at);
        int64_t most = at->max_bytes > 0 ? at->max_bytes : 0;
        at->available = available < most ? available : most;
        at->news = available > 0 ||
                   at->told_high_watermark != watermark_get(&at->partition->high_watermark) ||
                   at->told_log_start != log_start_offset(at->partition->log);
    }
    note_findings(at);
}

/* Wait for one record more than there is now, then look once more. */
static void wait_and_look(struct fetch_partition *at, struct request *request)
{
    must(list_empty(&at->waiter.link));
    at->mark = partition_mark(at->partition, at->watch->isolation);
    for (;;) {
        int32_t epoch = atomic_load_explicit(&at->mark->epoch, memory_order_acquire);
        int64_t value = watermark_get(at->mark);
        int64_t need = (value >= at->fetch_offset ? value : at->fetch_offset) + 1;
        atomic_store_explicit(&at->waiting, true, memory_order_relaxed);
        if (watermark_wait(at->mark, &at->waiter, need, epoch))
            break;
        atomic_store_explicit(&at->waiting, false, memory_order_relaxed);
        if (epoch < 0) { /* its term is over: the partition is being deleted */
            forget_findings(at);
            int err = check(at);
            at->error = err ? err : KAFKA_NOT_LEADER_OR_FOLLOWER;
            note_findings(at);
            return;
        }
    }
    look_at(at, request);
}

static bool may_wait(const struct fetch_partition *at)
{
    return at->error == 0 && at->diverging_epoch < 0 &&
           !atomic_load_explicit(&at->waiting, memory_order_acquire);
}

static bool has_nothing_to_tell(const struct fetch_partition *at)
{
    return at->error == 0 && at->diverging_epoch < 0 && !at->news;
}

/* A partition that waits and has nothing to tell: nobody looks at it until it fires. */
static void rest(struct fetch_partition *at)
{
    list_remove(&at->link);
    list_remove(&at->todo);
}

/* Some of what has fired is to be looked at; false when that was all. The lock is held for a few at
 * a time: who fires holds the lock of a mark meanwhile. */
static bool take_fired(struct fetch_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    for (int i = 0; i < FIRED_AT_ONCE; i++) {
        struct list *node = list_pop(&watch->fired);
        if (!node)
            break;
        struct fetch_partition *at = container_of(node, struct fetch_partition, fired);
        activate(at);
        if (list_empty(&at->todo))
            list_push_back(&watch->todo, &at->todo);
    }
    bool more = !list_empty(&watch->fired);
    pthread_mutex_unlock(&watch->lock);
    return more;
}

void fetch_watch_begin(struct fetch_watch *watch, struct request *request, enum isolation isolation,
                       bool exact)
{
    watch->isolation = isolation;
    watch->exact = exact;
    pthread_mutex_lock(&watch->lock);
    watch->request = request;
    pthread_mutex_unlock(&watch->lock);
    list_for_each (node, &watch->active)
        list_push_back(&watch->todo, &container_of(node, struct fetch_partition, link)->todo);
}

void fetch_watch_look(struct fetch_watch *watch)
{
    while (take_fired(watch))
        ;
    list_for_each_safe (node, &watch->todo) {
        struct fetch_partition *at = container_of(node, struct fetch_partition, todo);
        look_at(at, watch->request);
        if (has_nothing_to_tell(at) && may_wait(at))
            wait_and_look(at, watch->request);
        if (has_nothing_to_tell(at))
            rest(at);
    }
}

void fetch_watch_wait(struct fetch_watch *watch)
{
    for (struct list *node; (node = list_pop(&watch->todo));) {
        struct fetch_partition *at = container_of(node, struct fetch_partition, todo);
        if (may_wait(at))
            wait_and_look(at, watch->request);
        if (has_nothing_to_tell(at))
            rest(at);
    }
}

void fetch_watch_end(struct fetch_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    watch->request = NULL;
    pthread_mutex_unlock(&watch->lock);
    while (list_pop(&watch->todo))
        ;
}
