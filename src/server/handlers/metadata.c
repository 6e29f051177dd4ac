/* Metadata: brokers and topics of the published image, and automatic creation of topics. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/repeats.h"
#include "server/handlers/topic_fields.h"

struct metadata_work {
    struct controller_op op; /* creation of missing topics */
    struct request *request;
    struct waiter waiter;
    bool creating, created;
};

static void fill_brokers(struct request *request, const struct image *image,
                         struct metadata_response *response)
{
    int32_t count = tree_size(&image->brokers);
    response->brokers.items = metadata_response_broker_array(&request->arena, count);
    struct tree_cursor cursor;
    brokers_from(image, 0, &cursor);
    for (const struct broker_image *broker; (broker = brokers_next(&cursor));) {
        struct metadata_response_broker *item = &response->brokers.items[response->brokers.count];
        if (broker->fenced || !request_endpoint(request, broker, &item->host, &item->port))
            continue;
        item->node_id = broker->id;
        item->rack = broker->rack;
        response->brokers.count++;
    }
}

static bool fill_partitions(struct request *request, const struct image *image,
                            const struct topic_image *topic,
                            struct metadata_response_topic *response)
{
    int32_t count = topic_partition_count(topic);
    response->partitions.items = metadata_response_partition_array(&request->arena, count);
    if (!response->partitions.items)
        return false;
    struct tree_cursor cursor;
    partitions_from(topic, 0, &cursor);
    for (const struct partition_image *partition; (partition = partitions_next(&cursor));) {
        struct metadata_response_partition *item =
            &response->partitions.items[response->partitions.count++];
        item->partition_index = partition->partition;
        item->leader_id = partition->leader;
        item->leader_epoch = partition->leader_epoch;
        item->replica_nodes = broker_ids_array(partition->replicas);
        item->isr_nodes = broker_ids_array(partition->isr);
        item->offline_replicas = offline_replicas(request, image, partition);
        if (!item->offline_replicas.items)
            return false;
        if (partition->leader == NO_LEADER)
            item->error_code = KAFKA_LEADER_NOT_AVAILABLE;
    }
    return true;
}

static bool fill_topic(struct request *request, const struct image *image,
                       const struct topic_image *topic, struct metadata_response_topic *response)
{
    response->name = topic->name;
    response->topic_id = topic->id;
    response->is_internal = topic_is_internal(topic->name);
    if (((const struct metadata_request *)request->body)->include_topic_authorized_operations)
        response->topic_authorized_operations = TOPIC_OPERATIONS;
    return fill_partitions(request, image, topic, response);
}

static bool fill_all(struct request *request, const struct image *image,
                     struct metadata_response *response)
{
    int32_t count = image_topic_count(image);
    response->topics.items = metadata_response_topic_array(&request->arena, count);
    if (!response->topics.items)
        return false;
    struct tree_cursor cursor;
    topics_from(image, STR(""), &cursor);
    for (const struct topic_image *topic; (topic = topics_next(image, &cursor));)
        if (!fill_topic(request, image, topic, &response->topics.items[response->topics.count++]))
            return false;
    return true;
}

static const struct topic_image *topic_asked(const struct request *request,
                                             const struct image *image,
                                             const struct metadata_request_topic *asked)
{
    if (request->version >= 10 && !uuid_is_zero(asked->topic_id))
        return image_topic(image, asked->topic_id);
    return asked->name.data ? image_topic_named(image, asked->name) : NULL;
}

/* Each topic is answered once, however often it is named. */
static bool find_repeats(struct request *request, struct repeats *ret_repeats)
{
    const struct metadata_request *body = request->body;
    if (!repeats_init(ret_repeats, &request->arena, body->topics.count))
        return false;
    for (int32_t i = 0; i < body->topics.count; i++) {
        const struct metadata_request_topic *asked = &body->topics.items[i];
        const struct str id = {(const char *)asked->topic_id.bytes, sizeof asked->topic_id.bytes};
        bool by_id = !uuid_is_zero(asked->topic_id);
        repeats_add(ret_repeats, by_id ? id : asked->name, by_id ? 1 : asked->name.data ? 0 : -1);
    }
    repeats_find(ret_repeats);
    return true;
}

static bool fill_asked(struct request *request, const struct image *image,
                       const struct metadata_work *work, struct metadata_response *response)
{
    const struct metadata_request *body = request->body;
    struct repeats repeats;
    response->topics.items = metadata_response_topic_array(&request->arena, body->topics.count);
    if (!response->topics.items || !find_repeats(request, &repeats))
        return false;
    for (int32_t i = 0; i < body->topics.count; i++) {
        const struct metadata_request_topic *asked = &body->topics.items[i];
        if (repeats.found[i] == NAMED_AGAIN)
            continue;
        struct metadata_response_topic *item = &response->topics.items[response->topics.count++];
        const struct topic_image *topic = topic_asked(request, image, asked);
        if (topic) {
            if (!fill_topic(request, image, topic, item))
                return false;
            continue;
        }
        bool by_id = !uuid_is_zero(asked->topic_id);
        item->topic_id = asked->topic_id;
        item->name = by_id && request->version >= 12 ? (struct str){NULL, 0}
                     : asked->name.data              ? asked->name
                                                     : STR("");
        if (by_id)
            item->error_code = KAFKA_UNKNOWN_TOPIC_ID;
        else if (!topic_name_ok(item->name))
            item->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
        else if (work && work->creating)
            item->error_code = KAFKA_LEADER_NOT_AVAILABLE; /* it is on its way */
        else
            item->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    return true;
}

/* Versions 10 and 11 have ids and null names in their form only: Kafka refuses the request. */
static bool asks_too_early(const struct request *request)
{
    const struct metadata_request *body = request->body;
    for (int32_t i = 0; request->version < 12 && i < body->topics.count; i++)
        if (!body->topics.items[i].name.data || !uuid_is_zero(body->topics.items[i].topic_id))
            return true;
    return false;
}

static enum outcome refuse_all(struct request *request, int error)
{
    const struct metadata_request *body = request->body;
    struct metadata_response response;
    metadata_response_init(&response);
    response.topics.items = metadata_response_topic_array(&request->arena, body->topics.count);
    if (!response.topics.items)
        return request_refuse(request, "out of memory");
    for (int32_t i = 0; i < body->topics.count; i++) {
        struct metadata_response_topic *item = &response.topics.items[response.topics.count++];
        item->name = body->topics.items[i].name.data ? body->topics.items[i].name : STR("");
        item->topic_id = body->topics.items[i].topic_id;
        item->error_code = error_to_wire(error);
    }
    return request_answer(request, &response);
}

/* ---- creation of missing topics ---- */

static void create_done(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct metadata_work *work = container_of(op, struct metadata_work, op);
    work->created = true;
    handle_metadata(work->request);
}

static void create_applied(struct waiter *waiter, struct wakes *wakes)
{
    request_wake_later(container_of(waiter, struct metadata_work, waiter)->request, wakes);
}

/* Ask the controller for the topics that are asked for and missing. False when there are none. */
static bool create_missing(struct request *request, const struct image *image,
                           struct metadata_work *work)
{
    const struct metadata_request *body = request->body;
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    bool allowed = settings->auto_create_topics_enable &&
                   (request->version < 4 || body->allow_auto_topic_creation);
    if (!allowed || body->topics.count <= 0)
        return false;
    struct arena *arena = &request->arena;
    struct create_topics_request *create = arena_alloc(arena, sizeof *create);
    struct create_topics_response *response = arena_alloc(arena, sizeof *response);
    if (!create || !response)
        return false;
    create_topics_request_init(create);
    create->topics.items = create_topics_request_creatable_topic_array(arena, body->topics.count);
    if (!create->topics.items)
        return false;
    for (int32_t i = 0; i < body->topics.count; i++) {
        const struct metadata_request_topic *asked = &body->topics.items[i];
        if (!asked->name.data || !uuid_is_zero(asked->topic_id) || !topic_name_ok(asked->name) ||
            image_topic_named(image, asked->name))
            continue;
        struct create_topics_request_creatable_topic *topic =
            &create->topics.items[create->topics.count++];
        if (!internal_topic_fill(arena, settings, asked->name, topic))
            return false;
    }
    if (create->topics.count == 0)
        return false;
    create->timeout_ms = settings->request_timeout_ms;
    work->request = request;
    waiter_init(&work->waiter, create_applied);
    work->op = (struct controller_op){.api_key = API_CREATE_TOPICS,
                                      .api_version = 7,
                                      .request = create,
                                      .response = response,
                                      .arena = arena,
                                      .done = create_done};
    work->creating = true;
    controller_submit(request_broker(request)->controller, &request->home->loop, &work->op);
    return true;
}

enum outcome handle_metadata(struct request *request)
{
    const struct metadata_request *body = request->body;
    const struct image *image = request_image(request);
    struct metadata_work *work = request->work;
    if (!work) {
        if (asks_too_early(request))
            return refuse_all(request, KAFKA_INVALID_REQUEST);
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        if (!work)
            return request_refuse(request, "out of memory");
        if (create_missing(request, image, work))
            return PARKED;
    }
    if (work->creating) {
        struct watermark *mark = &request_broker(request)->partitions.applied;
        if (!work->created)
            return PARKED;
        if (work->op.offset >= 0 && !request->timed_out &&
            watermark_wait(mark, &work->waiter, work->op.offset, 0))
            return PARKED;
        watermark_cancel(mark, &work->waiter);
    }
    struct metadata_response response;
    metadata_response_init(&response);
    fill_brokers(request, image, &response);
    if (body->include_cluster_authorized_operations)
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    response.cluster_id = str_of(request_broker(request)->cluster_id);
    response.controller_id = controller_leader(request_broker(request)->controller).id;
    bool all = body->topics.count < 0 || (request->version == 0 && body->topics.count == 0);
    bool ok =
        all ? fill_all(request, image, &response) : fill_asked(request, image, work, &response);
    return ok ? request_answer(request, &response) : request_refuse(request, "out of memory");
}
