/* DescribeCluster, and two answers that are always empty here: partitions move nowhere and quotas
 * are not kept by a single node without them. */
#include "base/errors.h"
#include "server/api_table.h"
#include "server/handlers/topic_fields.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

enum outcome handle_describe_cluster(struct request *request)
{
    const struct describe_cluster_request *body = request->body;
    struct broker *broker = request_broker(request);
    const struct image *image = request_image(request);
    struct describe_cluster_response response;
    describe_cluster_response_init(&response);
    response.endpoint_type = body->endpoint_type;
    if (body->endpoint_type != ENDPOINT_BROKERS) {
        response.error_code = body->endpoint_type == ENDPOINT_CONTROLLERS
                                  ? KAFKA_MISMATCHED_ENDPOINT_TYPE
                                  : KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        response.error_message = STR("The request was sent to an endpoint of the wrong type.");
        return request_answer(request, &response);
    }
    response.cluster_id = str_of(broker->cluster_id);
    response.controller_id = controller_leader(broker->controller).id;
    if (body->include_cluster_authorized_operations)
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    response.brokers.items =
        describe_cluster_response_broker_array(&request->arena, tree_size(&image->brokers));
    if (!response.brokers.items)
        return request_refuse(request, "out of memory");
    struct tree_cursor cursor;
    brokers_from(image, 0, &cursor);
    for (const struct broker_image *item; (item = brokers_next(&cursor));) {
        struct describe_cluster_response_broker *out =
            &response.brokers.items[response.brokers.count];
        if ((item->fenced && !body->include_fenced_brokers) ||
            !request_endpoint(request, item, &out->host, &out->port))
            continue;
        out->broker_id = item->id;
        out->rack = item->rack;
        out->is_fenced = item->fenced;
        response.brokers.count++;
    }
    return request_answer(request, &response);
}

enum outcome handle_list_partition_reassignments(struct request *request)
{
    struct list_partition_reassignments_response response;
    list_partition_reassignments_response_init(&response);
    return request_answer(request, &response);
}

enum outcome handle_describe_client_quotas(struct request *request)
{
    struct describe_client_quotas_response response;
    describe_client_quotas_response_init(&response);
    return request_answer(request, &response);
}
