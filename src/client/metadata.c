/* The cache of brokers and leaders, and its refresh.
 *
 * 1. At most one refresh is under way. Who begins to wait meanwhile is woken by its end too, looks,
 *    and waits again if that was too early for it.
 * 2. Between two refreshes passes at least the backoff, unless a topic is new.
 * 3. An entry's leader epoch never goes down while the topic's id stays the same. */
#include "client/metadata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"

static void refresh_done(struct client_request *request, int result);
static void refresh_fire(struct loop *loop, struct loop_timer *timer);

void metadata_init(struct client *client)
{
    struct metadata *metadata = &client->metadata;
    metadata->controller_id = -1;
    list_init(&metadata->waits);
    loop_timer_init(&metadata->timer, refresh_fire);
    arena_init(&metadata->arena, 0);
    client_request_init(&metadata->request, API_METADATA, &metadata->message, refresh_done);
}

void metadata_close(struct client *client)
{
    struct metadata *metadata = &client->metadata;
    must(list_empty(&metadata->waits));
    loop_timer_cancel(client->loop, &metadata->timer);
    for (int32_t i = 0; i < metadata->topic_count; i++) {
        free(metadata->topics[i].name);
        free(metadata->topics[i].partitions);
    }
    free(metadata->topics);
    free(metadata->cluster_id);
    arena_close(&metadata->arena);
}

void metadata_wake(struct client *client)
{
    struct list woken, *link;
    list_init(&woken);
    while ((link = list_pop(&client->metadata.waits)))
        list_push_back(&woken, link);
    while ((link = list_pop(&woken))) {
        struct metadata_wait *wait = container_of(link, struct metadata_wait, link);
        wait->wake(wait);
    }
}

/* ---- the cache ---- */

/* The place of a topic, or where it would be. */
static int32_t topic_place(const struct metadata *metadata, struct str name, bool *ret_found)
{
    int32_t low = 0, high = metadata->topic_count;
    *ret_found = false;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = str_compare(str_of(metadata->topics[middle].name), name);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct client_topic *topic_find(struct client *client, struct str name)
{
    bool found;
    int32_t place = topic_place(&client->metadata, name, &found);
    return found ? &client->metadata.topics[place] : NULL;
}

static int topic_add(struct client *client, struct str name)
{
    struct metadata *metadata = &client->metadata;
    bool found;
    int32_t place = topic_place(metadata, name, &found);
    must(!found);
    if (metadata->topic_count == CLIENT_TOPICS_MAX)
        return -ENOBUFS;
    if (metadata->topic_count == metadata->topic_capacity) {
        int32_t capacity = metadata->topic_capacity ? 2 * metadata->topic_capacity : 8;
        struct client_topic *topics = realloc(metadata->topics, (size_t)capacity * sizeof *topics);
        if (!topics)
            return -ENOMEM;
        metadata->topics = topics;
        metadata->topic_capacity = capacity;
    }
    char *copy = strndup(name.data, (size_t)name.size);
    if (!copy)
        return -ENOMEM;
    memmove(metadata->topics + place + 1, metadata->topics + place,
            (size_t)(metadata->topic_count - place) * sizeof *metadata->topics);
    metadata->topics[place] = (struct client_topic){.name = copy};
    metadata->topic_count++;
    if (metadata->failures == 0)
        metadata->next_ns = 0; /* others' backoff is not for those who ask for the first time */
    return 0;
}

/* Errors of a topic that no repeating mends. */
static bool error_is_final(int16_t error)
{
    return error == KAFKA_INVALID_TOPIC_EXCEPTION || error == KAFKA_TOPIC_AUTHORIZATION_FAILED ||
           error == KAFKA_CLUSTER_AUTHORIZATION_FAILED || error == KAFKA_INVALID_REQUEST;
}

/* 0 and the topic, or as client_find_leader. */
static int topic_known(struct client *client, struct str name, struct client_topic **ret_topic)
{
    if (client->closing)
        return -ECANCELED;
    struct client_topic *topic = topic_find(client, name);
    if (!topic) {
        int err = topic_add(client, name);
        return err < 0 ? err : -EAGAIN;
    }
    if (!topic->answered)
        return -EAGAIN;
    if (error_is_final(topic->error)) {
        topic->answered = false; /* whoever asks again means it */
        return topic->error;
    }
    if (topic->error != KAFKA_NONE)
        return -EAGAIN;
    *ret_topic = topic;
    return 0;
}

int client_find_leader(struct client *client, struct str name, int32_t partition,
                       struct client_leader *ret_leader)
{
    struct client_topic *topic;
    int err = topic_known(client, name, &topic);
    if (err != 0)
        return err;
    if (partition < 0 || partition >= topic->partition_count)
        return -EAGAIN;
    const struct client_partition *entry = &topic->partitions[partition];
    if (entry->leader_id < 0 || entry->doubted || !node_find(client, entry->leader_id))
        return -EAGAIN;
    *ret_leader = (struct client_leader){entry->leader_id, entry->leader_epoch, topic->id};
    return 0;
}

int client_find_topic(struct client *client, struct str name, int32_t *ret_partition_count)
{
    struct client_topic *topic;
    int err = topic_known(client, name, &topic);
    if (err == 0)
        *ret_partition_count = topic->partition_count;
    return err;
}

static struct client_partition *entry_find(struct client *client, struct str name,
                                           int32_t partition)
{
    struct client_topic *topic = topic_find(client, name);
    if (!topic || partition < 0 || partition >= topic->partition_count)
        return NULL;
    return &topic->partitions[partition];
}

void client_doubt_leader(struct client *client, struct str topic, int32_t partition,
                         int32_t leader_epoch)
{
    struct client_partition *entry = entry_find(client, topic, partition);
    if (entry && entry->leader_epoch <= leader_epoch)
        entry->doubted = true;
}

bool client_learn_leader(struct client *client, struct str topic, int32_t partition,
                         int32_t leader_epoch, const struct client_endpoint *endpoint)
{
    struct client_partition *entry = entry_find(client, topic, partition);
    if (!entry || endpoint->node_id < 0 || leader_epoch <= entry->leader_epoch)
        return false;
    struct client_node *node = node_find(client, endpoint->node_id);
    bool usable = endpoint->host.data && endpoint->host.size > 0 &&
                  endpoint->host.size <= CLIENT_HOST_MAX && endpoint->port > 0 &&
                  endpoint->port <= UINT16_MAX;
    if (usable && node)
        node_move(node, endpoint->host, (uint16_t)endpoint->port);
    else if (usable)
        node = node_create(client, endpoint->node_id, endpoint->host, (uint16_t)endpoint->port);
    if (!node)
        return false;
    *entry = (struct client_partition){endpoint->node_id, leader_epoch, false};
    return true;
}

/* ---- what an answer changes ---- */

static bool broker_is_usable(const struct metadata_response_broker *broker)
{
    return broker->node_id >= 0 && broker->port > 0 && broker->port <= UINT16_MAX &&
           broker->host.size > 0 && broker->host.size <= CLIENT_HOST_MAX;
}

static void take_brokers(struct client *client, const struct metadata_response *response)
{
    int32_t usable = 0;
    for (int32_t i = 0; i < response->brokers.count; i++) {
        const struct metadata_response_broker *broker = &response->brokers.items[i];
        if (!broker_is_usable(broker))
            continue;
        usable++;
        struct client_node *node = node_find(client, broker->node_id);
        if (node)
            node_move(node, broker->host, (uint16_t)broker->port);
        else
            node_create(client, broker->node_id, broker->host, (uint16_t)broker->port);
    }
    if (usable == 0)
        return; /* a broker that has just started may know of nobody */
    list_for_each (pos, &client->nodes) {
        struct client_node *node = container_of(pos, struct client_node, link);
        bool listed = node->id < CLIENT_ANY_NODE;
        for (int32_t i = 0; i < response->brokers.count && !listed; i++)
            listed = response->brokers.items[i].node_id == node->id;
        if (!listed && !node->gone) {
            node->gone = true;
            node_pump_later(node);
        }
    }
}

static bool resize_partitions(struct client_topic *topic, int32_t count)
{
    if (count <= topic->partition_count)
        return true;
    struct client_partition *partitions =
        realloc(topic->partitions, (size_t)count * sizeof *partitions);
    if (!partitions)
        return false;
    for (int32_t i = topic->partition_count; i < count; i++)
        partitions[i] = (struct client_partition){-1, -1, false};
    topic->partitions = partitions;
    topic->partition_count = count;
    return true;
}

static void take_topic(struct client *client, const struct metadata_response_topic *from)
{
    struct client_topic *topic = from->name.data ? topic_find(client, from->name) : NULL;
    if (!topic)
        return;
    topic->answered = true;
    topic->error = from->error_code;
    if (topic->error != KAFKA_NONE)
        return;
    if (!uuid_equal(topic->id, from->topic_id)) { /* another topic of that name */
        topic->id = from->topic_id;
        topic->partition_count = 0;
    }
    if (!resize_partitions(topic, from->partitions.count)) {
        topic->answered = false;
        return;
    }
    for (int32_t i = 0; i < from->partitions.count; i++) {
        const struct metadata_response_partition *partition = &from->partitions.items[i];
        int32_t index = partition->partition_index;
        if (index < 0 || index >= topic->partition_count)
            continue;
        struct client_partition *entry = &topic->partitions[index];
        if (partition->leader_epoch >= 0 && partition->leader_epoch < entry->leader_epoch)
            continue;
        bool has_leader = partition->error_code != KAFKA_LEADER_NOT_AVAILABLE;
        *entry = (struct client_partition){has_leader ? partition->leader_id : -1,
                                           partition->leader_epoch, false};
    }
}

static void take_cluster(struct client *client, const struct metadata_response *response)
{
    struct metadata *metadata = &client->metadata;
    metadata->controller_id = response->controller_id;
    if (!response->cluster_id.data)
        return;
    if (metadata->cluster_id && str_equal(str_of(metadata->cluster_id), response->cluster_id))
        return;
    if (metadata->cluster_id)
        say_warn(client->say, "the cluster has another id", kv_text("was", metadata->cluster_id),
                 kv_str("is", response->cluster_id));
    char *copy = strndup(response->cluster_id.data, (size_t)response->cluster_id.size);
    if (!copy)
        return;
    free(metadata->cluster_id);
    metadata->cluster_id = copy;
}

/* ---- refreshing ---- */

static void refresh_at(struct client *client, int64_t due_ns)
{
    struct metadata *metadata = &client->metadata;
    if (client->closing || metadata->refreshing)
        return;
    if (!heap_contains(&metadata->timer.node) || due_ns < metadata->timer.due_ns)
        loop_timer_set(client->loop, &metadata->timer, due_ns);
}

static int build_request(struct client *client)
{
    struct metadata *metadata = &client->metadata;
    metadata_request_init(&metadata->message);
    metadata->message.allow_auto_topic_creation = client->settings.create_topics;
    metadata->message.topics.items =
        metadata_request_topic_array(&metadata->arena, metadata->topic_count);
    if (!metadata->message.topics.items)
        return -ENOMEM;
    metadata->message.topics.count = metadata->topic_count;
    for (int32_t i = 0; i < metadata->topic_count; i++) {
        struct str name = arena_str(&metadata->arena, str_of(metadata->topics[i].name));
        if (!name.data)
            return -ENOMEM;
        metadata->message.topics.items[i].name = name;
    }
    return 0;
}

static void refresh_over(struct client *client, bool good)
{
    struct metadata *metadata = &client->metadata;
    metadata->refreshing = false;
    arena_reset(&metadata->arena, 0);
    metadata->failures = good ? 0 : metadata->failures + 1;
    int64_t now = client->loop->now_ns;
    metadata->next_ns = now + client_backoff_ns(client, good ? 1 : metadata->failures);
    if (!client->closing && metadata->topic_count > 0)
        refresh_at(client, good ? now + client->settings.metadata_max_age_ns : metadata->next_ns);
    metadata_wake(client);
}

static void refresh_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct client *client = container_of(timer, struct client, metadata.timer);
    struct metadata *metadata = &client->metadata;
    if (metadata->refreshing)
        return;
    metadata->refreshing = true;
    if (build_request(client) < 0) {
        refresh_over(client, false);
        return;
    }
    client_send(client, &metadata->request, CLIENT_ANY_NODE);
}

static void refresh_done(struct client_request *request, int result)
{
    struct client *client = container_of(request, struct client, metadata.request);
    bool good = false;
    if (result == 0) {
        const struct metadata_response *response = request->response;
        client_throttle(client, request->node_id, response->throttle_time_ms);
        good = response->error_code == KAFKA_NONE;
        if (good) {
            take_cluster(client, response);
            take_brokers(client, response);
            for (int32_t i = 0; i < response->topics.count; i++)
                take_topic(client, &response->topics.items[i]);
        }
    }
    client_request_release(request);
    refresh_over(client, good);
}

void metadata_wait_init(struct metadata_wait *wait, void (*wake)(struct metadata_wait *wait))
{
    list_init(&wait->link);
    wait->wake = wake;
}

void client_await_metadata(struct client *client, struct metadata_wait *wait)
{
    must(list_empty(&wait->link) && !client->closing);
    list_push_back(&client->metadata.waits, &wait->link);
    refresh_at(client, client->metadata.next_ns);
}

void client_cancel_wait(struct metadata_wait *wait)
{
    list_remove(&wait->link);
}
