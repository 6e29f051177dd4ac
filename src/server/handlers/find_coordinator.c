/* FindCoordinator, on a broker that runs no group or transaction coordinator yet: there is none
 * available. It is answered rather than left out because librdkafka takes the API for the sign of a
 * broker that understands LZ4, and sends such batches uncompressed otherwise. */
#include "base/errors.h"
#include "server/api_table.h"

#define NO_COORDINATOR STR("This broker runs no group or transaction coordinator.")

enum outcome handle_find_coordinator(struct request *request)
{
    const struct find_coordinator_request *body = request->body;
    struct find_coordinator_response response;
    find_coordinator_response_init(&response);
    if (request->version < 4) {
        response.error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
        response.node_id = -1;
        response.port = -1;
        if (request->version >= 1)
            response.error_message = NO_COORDINATOR;
        return request_answer(request, &response);
    }
    int32_t count = body->coordinator_keys.count > 0 ? body->coordinator_keys.count : 0;
    response.coordinators.items =
        find_coordinator_response_coordinator_array(&request->arena, count);
    if (!response.coordinators.items)
        return request_refuse(request, "out of memory");
    for (int32_t i = 0; i < count; i++) {
        struct find_coordinator_response_coordinator *item =
            &response.coordinators.items[response.coordinators.count++];
        item->key = body->coordinator_keys.items[i];
        item->node_id = -1;
        item->port = -1;
        item->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
        item->error_message = NO_COORDINATOR;
    }
    return request_answer(request, &response);
}
