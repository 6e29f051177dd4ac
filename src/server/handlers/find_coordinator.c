/* FindCoordinator: the leader of the partition of the internal topic that an id belongs to. The
 * topic is created when somebody first asks for it; until it is there, and until its partition has
 * a leader that is alive, the answer is COORDINATOR_NOT_AVAILABLE.
 *
 * Versions 0 to 3 ask for one id, 4 and later for several (KIP-699). Errors have Kafka's texts in
 * the form with one id, and an empty one else. */
#include "base/errors.h"
#include "server/api_table.h"

#define NOT_AVAILABLE STR("The coordinator is not available.")
#define MALFORMED                                                                                  \
    STR("This most likely occurs because of a request being malformed by the client library or "   \
        "the message was sent to an incompatible broker. See the broker logs for more details.")

enum { KEY_TYPE_GROUP = 0, KEY_TYPE_TRANSACTION = 1, KEY_TYPE_SHARE = 2 };

struct coordinator {
    int error;
    struct str message; /* of the form with one id */
    struct str host;
    int32_t port, node_id;
};

static struct coordinator no_coordinator(int error, struct str message)
{
    return (struct coordinator){
        .error = error, .message = message, .host = STR(""), .port = -1, .node_id = -1};
}

static struct coordinator find(struct request *request, enum internal_topic which, struct str id)
{
    static const struct str names[INTERNAL_TOPICS] = {
        {GROUP_TOPIC, sizeof GROUP_TOPIC - 1}, {TRANSACTION_TOPIC, sizeof TRANSACTION_TOPIC - 1}};
    const struct image *image = request_image(request);
    const struct topic_image *topic = image_topic_named(image, names[which]);
    struct coordinator found = no_coordinator(KAFKA_COORDINATOR_NOT_AVAILABLE, NOT_AVAILABLE);
    if (!topic) {
        internal_topic_want(request_broker(request), &request->home->loop, which);
        return found;
    }
    int32_t count = topic_partition_count(topic);
    const struct partition_image *partition =
        count > 0 ? topic_partition(topic, coord_hash_partition(id, count)) : NULL;
    const struct broker_image *leader = partition ? image_broker(image, partition->leader) : NULL;
    if (!leader || leader->fenced || !request_endpoint(request, leader, &found.host, &found.port))
        return found;
    found.error = 0;
    found.message = STR("NONE");
    found.node_id = leader->id;
    return found;
}

/* "group:topic id:partition", as Kafka checks it. This broker runs no coordinator of share groups.
 */
static struct coordinator find_share(const struct request *request, struct str key)
{
    int32_t colons = 0, first = -1, last = -1;
    for (int32_t i = 0; i < key.size; i++) {
        if (key.data[i] != ':')
            continue;
        first = first < 0 ? i : first;
        last = i;
        colons++;
    }
    if (request->version < 6 || colons != 2 || first == 0 || last - first != 23)
        return no_coordinator(KAFKA_INVALID_REQUEST, request->version < 4 ? MALFORMED : STR(""));
    return no_coordinator(KAFKA_COORDINATOR_NOT_AVAILABLE, NOT_AVAILABLE);
}

static struct coordinator find_of_type(struct request *request, int8_t type, struct str id)
{
    switch (type) {
    case KEY_TYPE_GROUP:
        return find(request, INTERNAL_GROUP, id);
    case KEY_TYPE_TRANSACTION:
        return find(request, INTERNAL_TRANSACTION, id);
    case KEY_TYPE_SHARE:
        return find_share(request, id);
    default:
        return no_coordinator(KAFKA_INVALID_REQUEST, MALFORMED);
    }
}

static enum outcome answer_one(struct request *request)
{
    const struct find_coordinator_request *body = request->body;
    struct coordinator found = find_of_type(request, body->key_type, body->key);
    struct find_coordinator_response response;
    find_coordinator_response_init(&response);
    response.error_code = error_to_wire(found.error);
    response.node_id = found.node_id;
    response.host = found.host;
    response.port = found.port;
    if (request->version >= 1)
        response.error_message = found.message;
    return request_answer(request, &response);
}

enum outcome handle_find_coordinator(struct request *request)
{
    const struct find_coordinator_request *body = request->body;
    struct find_coordinator_response *response = request->work;
    if (request->version < 4)
        return answer_one(request);
    bool known = body->key_type >= KEY_TYPE_GROUP && body->key_type <= KEY_TYPE_SHARE;
    if (!response) {
        request->work = response = arena_alloc(&request->arena, sizeof *response);
        if (!response)
            return request_refuse(request, "out of memory");
        find_coordinator_response_init(response);
        response->coordinators.items = find_coordinator_response_coordinator_array(
            &request->arena, body->coordinator_keys.count);
        if (!response->coordinators.items)
            return request_refuse(request, "out of memory");
    }
    while (response->coordinators.count < body->coordinator_keys.count) {
        if (request_yield(request))
            return PARKED;
        struct find_coordinator_response_coordinator *item =
            &response->coordinators.items[response->coordinators.count];
        item->key = body->coordinator_keys.items[response->coordinators.count++];
        struct coordinator found = find_of_type(request, body->key_type, item->key);
        item->node_id = found.node_id;
        item->host = found.host;
        item->port = found.port;
        item->error_code = error_to_wire(found.error);
        item->error_message = known ? STR("") : found.message;
    }
    return request_answer(request, response);
}
