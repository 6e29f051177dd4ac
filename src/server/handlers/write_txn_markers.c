/* WriteTxnMarkers: the coordinator of a transaction, or an administrator who ends one that hangs,
 * has the end of it written to partitions that this broker leads. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/txn_markers.h"

struct marker_item {
    struct request *request;
    struct marker_part part;
    bool done;
};

/* Under way at a time: each may wait for a lock, and whoever is woken looks at all of them. */
enum { MARKERS_AT_ONCE = 64 };

struct markers_work {
    int32_t count, first;         /* those before `first` are done */
    struct coord_marker *markers; /* of the request */
    struct marker_item *items;    /* partitions of all, in order */
};

static void item_wakes(struct marker_part *part, struct wakes *wakes)
{
    request_wake_later(container_of(part, struct marker_item, part)->request, wakes);
}

static struct markers_work *work_new(struct request *request)
{
    const struct write_txn_markers_request *body = request->body;
    struct markers_work *work = arena_alloc(&request->arena, sizeof *work);
    int32_t count = 0;
    for (int32_t m = 0; m < body->markers.count; m++)
        for (int32_t t = 0; t < body->markers.items[m].topics.count; t++)
            count += body->markers.items[m].topics.items[t].partition_indexes.count;
    if (!work)
        return NULL;
    work->markers =
        arena_array(&request->arena, (size_t)body->markers.count + 1, sizeof *work->markers);
    work->items = arena_array(&request->arena, (size_t)count + 1, sizeof *work->items);
    return work->markers && work->items ? work : NULL;
}

/* A marker of nobody would end nothing, and whoever reads the log would not know what it is. */
static int marker_error(const struct write_txn_markers_request_writable_txn_marker *marker)
{
    return marker->producer_id < 0      ? KAFKA_INVALID_PRODUCER_ID_MAPPING
           : marker->producer_epoch < 0 ? KAFKA_INVALID_PRODUCER_EPOCH
                                        : 0;
}

static void work_fill(struct request *request, struct markers_work *work)
{
    const struct write_txn_markers_request *body = request->body;
    for (int32_t m = 0; m < body->markers.count; m++) {
        const struct write_txn_markers_request_writable_txn_marker *from = &body->markers.items[m];
        work->markers[m] = (struct coord_marker){.producer_id = from->producer_id,
                                                 .producer_epoch = from->producer_epoch,
                                                 .coordinator_epoch = from->coordinator_epoch,
                                                 .commit = from->transaction_result};
        for (int32_t t = 0; t < from->topics.count; t++) {
            const struct write_txn_markers_request_writable_txn_marker_topic *topic =
                &from->topics.items[t];
            for (int32_t p = 0; p < topic->partition_indexes.count; p++) {
                struct marker_item *item = &work->items[work->count++];
                item->request = request;
                item->part = (struct marker_part){.broker = request_broker(request),
                                                  .marker = &work->markers[m],
                                                  .transaction_version = from->transaction_version,
                                                  .topic = topic->name,
                                                  .index = topic->partition_indexes.items[p],
                                                  .wake = item_wakes};
                item->part.error = marker_error(from);
                item->done = item->part.error != 0;
            }
        }
    }
}

static bool fill_marker(struct request *request,
                        const struct write_txn_markers_request_writable_txn_marker *from,
                        const struct marker_item **items,
                        struct write_txn_markers_response_writable_txn_marker_result *ret)
{
    ret->producer_id = from->producer_id;
    ret->topics.items = write_txn_markers_response_writable_txn_marker_topic_result_array(
        &request->arena, from->topics.count);
    if (!ret->topics.items)
        return false;
    ret->topics.count = from->topics.count;
    for (int32_t t = 0; t < from->topics.count; t++) {
        struct write_txn_markers_response_writable_txn_marker_topic_result *topic =
            &ret->topics.items[t];
        int32_t count = from->topics.items[t].partition_indexes.count;
        topic->name = from->topics.items[t].name;
        topic->partitions.items =
            write_txn_markers_response_writable_txn_marker_partition_result_array(&request->arena,
                                                                                  count);
        if (!topic->partitions.items)
            return false;
        topic->partitions.count = count;
        for (int32_t p = 0; p < count; p++, (*items)++) {
            topic->partitions.items[p].partition_index = (*items)->part.index;
            topic->partitions.items[p].error_code = error_to_wire((*items)->part.error);
        }
    }
    return true;
}

static enum outcome answer(struct request *request, const struct markers_work *work)
{
    const struct write_txn_markers_request *body = request->body;
    const struct marker_item *item = work->items;
    struct write_txn_markers_response response;
    write_txn_markers_response_init(&response);
    response.markers.items = write_txn_markers_response_writable_txn_marker_result_array(
        &request->arena, body->markers.count);
    if (!response.markers.items)
        return request_refuse(request, "out of memory");
    response.markers.count = body->markers.count;
    for (int32_t m = 0; m < body->markers.count; m++)
        if (!fill_marker(request, &body->markers.items[m], &item, &response.markers.items[m]))
            return request_refuse(request, "out of memory");
    return request_answer(request, &response);
}

enum outcome handle_write_txn_markers(struct request *request)
{
    struct markers_work *work = request->work;
    struct coord_turn turn;
    if (!work) {
        request->work = work = work_new(request);
        if (!work)
            return request_refuse(request, "out of memory");
        work_fill(request, work);
    }
    coordinators_turn(request_broker(request), &request->home->loop, &turn);
    for (int32_t i = work->first; i < work->count && i < work->first + MARKERS_AT_ONCE; i++) {
        struct marker_item *item = &work->items[i];
        item->done = item->done || marker_part_run(&item->part, &turn);
        work->first += item->done && i == work->first;
        if (request_yield(request))
            return PARKED;
    }
    return work->first == work->count ? answer(request, work) : PARKED;
}
