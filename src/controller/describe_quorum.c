/* DescribeQuorum (KIP-595, KIP-836, KIP-853): who votes, who leads, how far everybody is. */
#include "controller/describe_quorum.h"

#include <errno.h>

#include "base/errors.h"

#define METADATA_TOPIC STR("__cluster_metadata")

static int describe_partition(const struct quorum *quorum, struct arena *arena,
                              struct describe_quorum_response_partition_data *result)
{
    struct quorum_replica replicas[QUORUM_VOTERS_MAX];
    struct quorum_leader leader = quorum_leader(quorum);
    int32_t count = quorum_replicas(quorum, replicas, QUORUM_VOTERS_MAX);
    result->leader_id = leader.id;
    result->leader_epoch = leader.epoch;
    result->high_watermark = quorum_high_watermark(quorum);
    result->current_voters.items = describe_quorum_response_replica_state_array(arena, count);
    if (!result->current_voters.items)
        return -ENOMEM;
    result->current_voters.count = count;
    for (int32_t i = 0; i < count; i++) {
        struct describe_quorum_response_replica_state *state = &result->current_voters.items[i];
        state->replica_id = replicas[i].id;
        state->replica_directory_id = replicas[i].directory_id;
        state->log_end_offset = replicas[i].log_end_offset;
        state->last_fetch_timestamp = replicas[i].last_fetch_ms;
        state->last_caught_up_timestamp = replicas[i].last_caught_up_ms;
    }
    return 0;
}

static int describe_topic(const struct quorum *quorum,
                          const struct describe_quorum_request_topic_data *topic,
                          struct arena *arena, struct describe_quorum_response_topic_data *result)
{
    int32_t count = topic->partitions.count > 0 ? topic->partitions.count : 0;
    result->topic_name = topic->topic_name;
    result->partitions.items = describe_quorum_response_partition_data_array(arena, count);
    if (!result->partitions.items)
        return -ENOMEM;
    result->partitions.count = count;
    for (int32_t i = 0; i < count; i++) {
        int32_t index = topic->partitions.items[i].partition_index;
        result->partitions.items[i].partition_index = index;
        if (!str_equal(topic->topic_name, METADATA_TOPIC) || index != 0) {
            result->partitions.items[i].error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        int err = describe_partition(quorum, arena, &result->partitions.items[i]);
        if (err)
            return err;
    }
    return 0;
}

static int describe_nodes(const struct quorum *quorum, struct arena *arena,
                          struct describe_quorum_response *response)
{
    struct quorum_voters voters = quorum_voters(quorum);
    response->nodes.items = describe_quorum_response_node_array(arena, voters.count);
    if (!response->nodes.items)
        return -ENOMEM;
    response->nodes.count = voters.count;
    for (int32_t i = 0; i < voters.count; i++) {
        const struct quorum_voter *voter = &voters.items[i];
        struct describe_quorum_response_node *node = &response->nodes.items[i];
        node->node_id = voter->id;
        node->listeners.items =
            describe_quorum_response_listener_array(arena, voter->endpoint_count);
        if (!node->listeners.items)
            return -ENOMEM;
        node->listeners.count = voter->endpoint_count;
        for (int32_t j = 0; j < voter->endpoint_count; j++) {
            node->listeners.items[j].name = arena_str(arena, voter->endpoints[j].listener);
            node->listeners.items[j].host = arena_str(arena, voter->endpoints[j].host);
            node->listeners.items[j].port = voter->endpoints[j].port;
            if (!node->listeners.items[j].name.data || !node->listeners.items[j].host.data)
                return -ENOMEM;
        }
    }
    return 0;
}

int describe_quorum(const struct quorum *quorum, const struct describe_quorum_request *request,
                    struct arena *arena, struct describe_quorum_response *response)
{
    int32_t count = request->topics.count > 0 ? request->topics.count : 0;
    response->topics.items = describe_quorum_response_topic_data_array(arena, count);
    if (!response->topics.items)
        return -ENOMEM;
    response->topics.count = count;
    int err = 0;
    for (int32_t i = 0; i < count && !err; i++)
        err = describe_topic(quorum, &request->topics.items[i], arena, &response->topics.items[i]);
    return err ? err : describe_nodes(quorum, arena, response);
}
