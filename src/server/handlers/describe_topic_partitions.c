/* DescribeTopicPartitions (KIP-966): topics by name, a page of partitions at a time. */
#include <stdlib.h>

#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/topic_fields.h"

struct page {
    struct request *request;
    const struct image *image;
    struct describe_topic_partitions_response response;
    int32_t left; /* partitions that still fit */
    int32_t capacity;
};

static int name_order(const void *a, const void *b)
{
    const struct describe_topic_partitions_request_topic_request *x = a;
    const struct describe_topic_partitions_request_topic_request *y = b;
    return str_compare(x->name, y->name);
}

static bool page_cursor(struct page *page, struct str topic, int32_t partition)
{
    struct describe_topic_partitions_response_cursor *cursor =
        arena_alloc(&page->request->arena, sizeof *cursor);
    if (!cursor)
        return false;
    cursor->topic_name = topic;
    cursor->partition_index = partition;
    page->response.next_cursor = cursor;
    return true;
}

static bool partition_fill(struct page *page, const struct partition_image *partition,
                           struct describe_topic_partitions_response_partition *out)
{
    out->partition_index = partition->partition;
    out->leader_id = partition->leader;
    out->leader_epoch = partition->leader_epoch;
    out->replica_nodes = broker_ids_array(partition->replicas);
    out->isr_nodes = broker_ids_array(partition->isr);
    out->eligible_leader_replicas = broker_ids_array(partition->elr);
    out->last_known_elr = broker_ids_array(partition->last_known_elr);
    out->offline_replicas = offline_replicas(page->request, page->image, partition);
    if (partition->leader == NO_LEADER)
        out->error_code = KAFKA_LEADER_NOT_AVAILABLE;
    return out->offline_replicas.items;
}

/* One topic from a partition on. False to stop: memory ran out, or the page is full. */
static bool page_topic(struct page *page, struct str name, int32_t from, bool *ret_failed)
{
    struct describe_topic_partitions_response *response = &page->response;
    struct describe_topic_partitions_response_topic *out =
        &response->topics.items[response->topics.count];
    const struct topic_image *topic = image_topic_named(page->image, name);
    if (page->left == 0) {
        *ret_failed = !page_cursor(page, name, from);
        return false;
    }
    response->topics.count++;
    out->name = name;
    if (!topic) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return true;
    }
    out->topic_id = topic->id;
    out->is_internal = topic_is_internal(name);
    out->topic_authorized_operations = TOPIC_OPERATIONS;
    int32_t count = topic_partition_count(topic);
    if (count > page->left)
        count = page->left;
    out->partitions.items =
        describe_topic_partitions_response_partition_array(&page->request->arena, count);
    *ret_failed = !out->partitions.items;
    struct tree_cursor cursor;
    partitions_from(topic, from, &cursor);
    for (const struct partition_image *at; !*ret_failed && (at = partitions_next(&cursor));) {
        if (page->left == 0) {
            *ret_failed = !page_cursor(page, name, at->partition);
            return false;
        }
        *ret_failed = !partition_fill(page, at, &out->partitions.items[out->partitions.count++]);
        page->left--;
    }
    return !*ret_failed;
}

static bool page_asked(struct page *page, const struct describe_topic_partitions_request *body)
{
    bool failed = false;
    struct str previous = {NULL, 0};
    qsort(body->topics.items, (size_t)body->topics.count, sizeof *body->topics.items, name_order);
    for (int32_t i = 0; i < body->topics.count; i++) {
        struct str name = body->topics.items[i].name;
        int32_t from = 0;
        if (previous.data && str_equal(previous, name))
            continue;
        previous = name;
        if (body->cursor) {
            int order = str_compare(name, body->cursor->topic_name);
            if (order < 0)
                continue;
            if (order == 0)
                from = body->cursor->partition_index;
        }
        if (!page_topic(page, name, from, &failed))
            break;
    }
    return !failed;
}

static bool page_all(struct page *page, const struct describe_topic_partitions_request *body)
{
    bool failed = false;
    struct tree_cursor cursor;
    topics_from(page->image, body->cursor ? body->cursor->topic_name : STR(""), &cursor);
    for (const struct topic_image *topic; (topic = topics_next(page->image, &cursor));) {
        bool first = body->cursor && str_equal(topic->name, body->cursor->topic_name);
        int32_t from = first ? body->cursor->partition_index : 0;
        if (!page_topic(page, topic->name, from, &failed))
            break;
    }
    return !failed;
}

enum outcome handle_describe_topic_partitions(struct request *request)
{
    const struct describe_topic_partitions_request *body = request->body;
    int32_t limit = broker_settings_now(request_broker(request))->max_request_partition_size_limit;
    struct page page = {.request = request, .image = request_image(request)};
    describe_topic_partitions_response_init(&page.response);
    page.left = body->response_partition_limit < limit ? body->response_partition_limit : limit;
    if (page.left < 1)
        page.left = 1;
    int32_t count = body->topics.count ? body->topics.count : image_topic_count(page.image);
    page.response.topics.items =
        describe_topic_partitions_response_topic_array(&request->arena, count);
    bool ok = page.response.topics.items != NULL;
    if (ok)
        ok = body->topics.count ? page_asked(&page, body) : page_all(&page, body);
    return ok ? request_answer(request, &page.response) : request_refuse(request, "out of memory");
}
