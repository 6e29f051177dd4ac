#include "client/fetch.h"

#include <errno.h>

#include "client/internal.h"

#define MS 1000000ll
#define LAST_VERSION_BY_NAME 12 /* of Fetch; later ones name topics by their ids */

static int64_t deadline_of(struct client *client, int64_t timeout_ns)
{
    int64_t timeout = timeout_ns ? timeout_ns : client_settings(client)->request_timeout_ns;
    return env_now_ns(client_loop(client)->env) + timeout;
}

/* Begin the next attempt if that makes sense. */
static bool repeat(struct leader_call *call, int result, int *attempts, int64_t deadline_ns)
{
    if (result == 0 || !leader_call_may_repeat(result) ||
        client_loop(call->client)->now_ns >= deadline_ns)
        return false;
    leader_call_start(call, client_backoff_ns(call->client, ++*attempts), deadline_ns);
    return true;
}

/* ---- fetching ---- */

static int build_fetch(struct leader_call *call)
{
    struct partition_fetch *fetch = container_of(call, struct partition_fetch, call);
    fetch_request_init(&fetch->message);
    fetch_request_topic_init(&fetch->message_topic);
    fetch_request_partition_init(&fetch->message_partition);
    fetch->message.max_wait_ms = fetch->max_wait_ms;
    fetch->message.min_bytes = fetch->min_bytes;
    fetch->message.max_bytes = fetch->max_bytes;
    fetch->message.isolation_level = fetch->isolation_level;
    fetch->message.session_id = 0;
    fetch->message.session_epoch = -1; /* none */
    fetch->message.topics.items = &fetch->message_topic;
    fetch->message.topics.count = 1;
    fetch->message_topic.topic = fetch->topic;
    fetch->message_topic.topic_id = call->leader.topic_id;
    fetch->message_topic.partitions.items = &fetch->message_partition;
    fetch->message_topic.partitions.count = 1;
    fetch->message_partition.partition = fetch->partition;
    fetch->message_partition.current_leader_epoch = call->leader.leader_epoch;
    fetch->message_partition.fetch_offset = fetch->offset;
    fetch->message_partition.partition_max_bytes = fetch->max_bytes;
    call->request.message = &fetch->message;
    call->request.max_version =
        uuid_is_zero(call->leader.topic_id) ? LAST_VERSION_BY_NAME : INT16_MAX;
    /* The broker may take that long on purpose. */
    call->request.timeout_ns =
        client_settings(call->client)->request_timeout_ns + fetch->max_wait_ms * MS;
    return 0;
}

static void take_leader(const struct fetch_response *response,
                        const struct fetch_response_partition_data *partition,
                        struct leader_verdict *ret_verdict)
{
    ret_verdict->leader_id = partition->current_leader.leader_id;
    ret_verdict->leader_epoch = partition->current_leader.leader_epoch;
    for (int32_t i = 0; i < response->node_endpoints.count; i++) {
        const struct fetch_response_node_endpoint *node = &response->node_endpoints.items[i];
        if (node->node_id == ret_verdict->leader_id)
            ret_verdict->endpoint = (struct client_endpoint){node->node_id, node->host, node->port};
    }
}

static int judge_fetch(struct leader_call *call, struct leader_verdict *ret_verdict)
{
    struct partition_fetch *fetch = container_of(call, struct partition_fetch, call);
    const struct fetch_response *response = call->request.response;
    ret_verdict->throttle_ms = response->throttle_time_ms;
    ret_verdict->error = response->error_code;
    if (response->error_code != KAFKA_NONE)
        return 0;
    if (response->responses.count != 1 || response->responses.items[0].partitions.count != 1)
        return -EBADMSG;
    const struct fetch_response_partition_data *partition =
        &response->responses.items[0].partitions.items[0];
    if (partition->partition_index != fetch->partition)
        return -EBADMSG;
    ret_verdict->error = partition->error_code;
    take_leader(response, partition, ret_verdict);
    fetch->high_watermark = partition->high_watermark;
    fetch->last_stable_offset = partition->last_stable_offset;
    fetch->log_start_offset = partition->log_start_offset;
    if (partition->error_code == KAFKA_NONE)
        fetch->records = (struct bytes){partition->records.data, partition->records.size};
    return 0;
}

static void fetch_done(struct leader_call *call, int result)
{
    struct partition_fetch *fetch = container_of(call, struct partition_fetch, call);
    if (!repeat(call, result, &fetch->attempts, fetch->deadline_ns))
        fetch->done(fetch, result);
}

void partition_fetch_start(struct client *client, struct partition_fetch *fetch)
{
    fetch->records = (struct bytes){0};
    fetch->high_watermark = fetch->last_stable_offset = fetch->log_start_offset = -1;
    fetch->attempts = 0;
    fetch->deadline_ns = deadline_of(client, fetch->timeout_ns);
    leader_call_init(&fetch->call, client, API_FETCH);
    fetch->call.topic = fetch->topic;
    fetch->call.partition = fetch->partition;
    fetch->call.build = build_fetch;
    fetch->call.judge = judge_fetch;
    fetch->call.done = fetch_done;
    leader_call_start(&fetch->call, 0, fetch->deadline_ns);
}

void partition_fetch_release(struct partition_fetch *fetch)
{
    fetch->records = (struct bytes){0};
    leader_call_release(&fetch->call);
}

/* ---- offsets ---- */

static int build_search(struct leader_call *call)
{
    struct offset_search *search = container_of(call, struct offset_search, call);
    list_offsets_request_init(&search->message);
    list_offsets_request_topic_init(&search->message_topic);
    list_offsets_request_partition_init(&search->message_partition);
    search->message.replica_id = -1;
    search->message.isolation_level = search->isolation_level;
    search->message.topics.items = &search->message_topic;
    search->message.topics.count = 1;
    search->message_topic.name = search->topic;
    search->message_topic.partitions.items = &search->message_partition;
    search->message_topic.partitions.count = 1;
    search->message_partition.partition_index = search->partition;
    search->message_partition.current_leader_epoch = call->leader.leader_epoch;
    search->message_partition.timestamp = search->timestamp;
    call->request.message = &search->message;
    return 0;
}

static int judge_search(struct leader_call *call, struct leader_verdict *ret_verdict)
{
    struct offset_search *search = container_of(call, struct offset_search, call);
    const struct list_offsets_response *response = call->request.response;
    if (response->topics.count != 1 || response->topics.items[0].partitions.count != 1)
        return -EBADMSG;
    const struct list_offsets_response_partition_response *partition =
        &response->topics.items[0].partitions.items[0];
    if (partition->partition_index != search->partition)
        return -EBADMSG;
    ret_verdict->throttle_ms = response->throttle_time_ms;
    ret_verdict->error = partition->error_code;
    search->offset = partition->offset;
    search->found_timestamp = partition->timestamp;
    search->leader_epoch = partition->leader_epoch;
    return 0;
}

static void search_done(struct leader_call *call, int result)
{
    struct offset_search *search = container_of(call, struct offset_search, call);
    if (repeat(call, result, &search->attempts, search->deadline_ns))
        return;
    leader_call_release(call);
    search->done(search, result);
}

void offset_search_start(struct client *client, struct offset_search *search)
{
    search->offset = search->found_timestamp = search->leader_epoch = -1;
    search->attempts = 0;
    search->deadline_ns = deadline_of(client, search->timeout_ns);
    leader_call_init(&search->call, client, API_LIST_OFFSETS);
    search->call.topic = search->topic;
    search->call.partition = search->partition;
    search->call.build = build_search;
    search->call.judge = judge_search;
    search->call.done = search_done;
    leader_call_start(&search->call, 0, search->deadline_ns);
}
