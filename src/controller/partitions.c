/* CreatePartitions: rules and texts of Kafka's ControllerApis and ReplicationControlManager, 4.4.0.
 */
#include <errno.h>
#include <stdlib.h>

#include "controller/controller.h"
#include "controller/elections.h"
#include "controller/ops.h"
#include "metadata/topic_names.h"

static struct outcome add_by_hand(struct decision *decision, const struct topic_image *topic,
                                  const struct create_partitions_request_topic *request,
                                  int32_t first, int32_t count, int32_t replication_factor)
{
    for (int32_t i = 0; i < count; i++) {
        struct int32_array assigned = request->assignments.items[i].broker_ids;
        struct outcome outcome = check_assignment(decision, assigned, replication_factor);
        if (outcome.error_code)
            return outcome;
        struct broker_ids replicas = {assigned.items, assigned.count};
        struct broker_ids isr = active_replicas(decision, replicas);
        if (isr.count == 0)
            return outcome_printf(decision, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                  "All brokers specified in the manual partition assignment for "
                                  "partition %d are fenced or in controlled shutdown.",
                                  first + i);
        add_partition_record(decision, topic->id, first + i, replicas, isr);
    }
    return OUTCOME_OK;
}

static struct outcome add_partitions(struct decision *decision,
                                     const struct create_partitions_request_topic *request)
{
    const struct topic_image *topic = image_topic_named(decision->head, request->name);
    if (!topic)
        return outcome_of(KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL);
    int32_t before = topic_partition_count(topic);
    /* Where coordinators keep something is a hash modulo this count: with another one committed
     * offsets and transactions would be lost to sight. Kafka lets it grow, and loses them when it
     * is next started. */
    if (topic_is_internal(request->name))
        return outcome_printf(decision, KAFKA_INVALID_PARTITIONS,
                              "Where %.*s keeps what it has depends on its %d partition(s).",
                              STR_ARGS(request->name), before);
    if (request->count == before)
        return outcome_printf(decision, KAFKA_INVALID_PARTITIONS,
                              "Topic already has %d partition(s).", before);
    if (request->count < before)
        return outcome_printf(decision, KAFKA_INVALID_PARTITIONS,
                              "The topic %.*s currently has %d partition(s); %d would not be an "
                              "increase.",
                              STR_ARGS(request->name), before, request->count);
    int32_t more = request->count - before;
    /* A null list leaves the places to the controller. */
    bool by_hand = request->assignments.count >= 0;
    if (by_hand && request->assignments.count != more)
        return outcome_printf(decision, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                              "Attempted to add %d additional partition(s), but only %d "
                              "assignment(s) were specified.",
                              more, request->assignments.count);
    struct tree_cursor cursor;
    partitions_from(topic, 0, &cursor);
    const struct partition_image *first = partitions_next(&cursor);
    if (!first)
        return outcome_printf(decision, KAFKA_UNKNOWN_SERVER_ERROR,
                              "Invalid state: topic %.*s appears to have no partitions.",
                              STR_ARGS(request->name));
    int32_t factor = first->replicas.count;
    return by_hand ? add_by_hand(decision, topic, request, before, more, factor)
                   : place_partitions(decision, topic->id, before, more, factor);
}

static int check_total(const struct decision *decision,
                       const struct create_partitions_request *request, const char **ret_message)
{
    int64_t total = 0;
    for (int32_t i = 0; i < request->topics.count; i++) {
        const struct topic_image *topic =
            image_topic_named(decision->head, request->topics.items[i].name);
        int64_t before = topic ? topic_partition_count(topic) : 0;
        int64_t more = request->topics.items[i].count - before;
        total += topic && more > 0 ? more : 0;
    }
    if (total > CONTROLLER_PARTITIONS_PER_OP_MAX) {
        *ret_message = "Excessively large number of additional partitions per request.";
        return KAFKA_POLICY_VIOLATION;
    }
    if (decision->head->partition_count + total > CONTROLLER_PARTITIONS_MAX) {
        *ret_message = "The cluster has as many partitions as it can hold.";
        return KAFKA_POLICY_VIOLATION;
    }
    return 0;
}

static int topic_order(const void *a, const void *b)
{
    const struct create_partitions_request_topic *x =
        *(const struct create_partitions_request_topic *const *)a;
    const struct create_partitions_request_topic *y =
        *(const struct create_partitions_request_topic *const *)b;
    return str_compare(x->name, y->name);
}

int decide_create_partitions(struct decision *decision,
                             const struct create_partitions_request *request,
                             struct create_partitions_response *response, const char **ret_message)
{
    int32_t count = request->topics.count > 0 ? request->topics.count : 0;
    int err = check_total(decision, request, ret_message);
    if (err)
        return err;
    const struct create_partitions_request_topic **sorted =
        arena_array(decision->scratch, (size_t)count, sizeof sorted[0]);
    response->results.items = create_partitions_response_topic_result_array(decision->arena, count);
    if (!sorted || !response->results.items)
        return -ENOMEM;
    for (int32_t i = 0; i < count; i++)
        sorted[i] = &request->topics.items[i];
    qsort(sorted, (size_t)count, sizeof sorted[0], topic_order);
    for (int32_t i = 0; i < count && !decision->error; i++) {
        const struct create_partitions_request_topic *topic = sorted[i];
        bool duplicate = i + 1 < count && str_equal(sorted[i + 1]->name, topic->name);
        if (i > 0 && str_equal(sorted[i - 1]->name, topic->name))
            continue; /* answered with the first of its name */
        int32_t mark = decision_mark(decision);
        struct outcome outcome = duplicate
                                     ? outcome_of(KAFKA_INVALID_REQUEST, "Duplicate topic name.")
                                     : add_partitions(decision, topic);
        if (outcome.error_code)
            decision_rewind(decision, mark);
        struct create_partitions_response_topic_result *result =
            &response->results.items[response->results.count++];
        result->name = topic->name;
        result->error_code = outcome.error_code;
        result->error_message = outcome.message;
    }
    if (request->validate_only)
        decision_rewind(decision, 0);
    return decision->error;
}
