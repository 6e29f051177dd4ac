/* One broker and the connection to it.
 *
 * 1. A connection goes IDLE, RESOLVE, CONNECT, NEGOTIATE, READY; whatever fails goes back to IDLE
 *    and fails every request that waits or is under way, so that their owners can look for another
 *    leader meanwhile. Requests that come while the next attempt must not begin yet wait for it.
 * 2. Everything that begins something runs from `pump`, which is deferred: never within a caller.
 * 3. `conn` is not NULL from CONNECT on, and only then. Callbacks of a connection that is not the
 *    node's any more are ignored.
 * 4. Requests are sent in the order in which they came, and answered in the order sent; an answer
 *    out of order closes the connection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"

static void node_pump(struct loop *loop, struct loop_task *task);
static void node_timer(struct loop *loop, struct loop_timer *timer);

struct client_node *node_create(struct client *client, int32_t id, struct str host, uint16_t port)
{
    must(host.size <= CLIENT_HOST_MAX);
    struct client_node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    node->client = client;
    node->id = id;
    memcpy(node->host, host.data, (size_t)host.size);
    node->port = port;
    list_init(&node->waiting);
    list_init(&node->inflight);
    loop_timer_init(&node->timer, node_timer);
    node->pump.run = node_pump;
    client_request_init(&node->negotiation, API_API_VERSIONS, &node->negotiation_message, NULL);
    list_push_back(&client->nodes, &node->link);
    return node;
}

struct client_node *node_find(struct client *client, int32_t id)
{
    list_for_each (pos, &client->nodes) {
        struct client_node *node = container_of(pos, struct client_node, link);
        if (node->id == id && !node->gone)
            return node;
    }
    return NULL;
}

/* How soon a node can serve: less is sooner. */
static int64_t node_distance(const struct client_node *node)
{
    int64_t now = node->client->loop->now_ns;
    int64_t load = node->waiting_count + node->inflight_count;
    bool bootstrap = node->id < CLIENT_ANY_NODE;
    if (node->state == NODE_READY && node->throttled_until_ns <= now)
        return load;
    if (node->state != NODE_IDLE)
        return (1ll << 32) + load;
    /* Bootstrap addresses are a last resort once the brokers are known. */
    if (node->retry_ns <= now)
        return (2ll << 32) + (bootstrap ? 1ll << 31 : 0) + node->failures;
    return (3ll << 32) + node->retry_ns - now;
}

struct client_node *node_choose(struct client *client)
{
    struct client_node *best = NULL;
    int64_t best_distance = INT64_MAX;
    uint32_t dice, ties = 0;
    list_for_each (pos, &client->nodes) {
        struct client_node *node = container_of(pos, struct client_node, link);
        int64_t distance = node->gone ? INT64_MAX : node_distance(node);
        if (distance > best_distance || node->gone)
            continue;
        if (distance == best_distance) {
            env_random(client->loop->env, &dice, sizeof dice);
            if (dice % ++ties != 0)
                continue;
        } else {
            ties = 1;
        }
        best = node;
        best_distance = distance;
    }
    return best;
}

void node_move(struct client_node *node, struct str host, uint16_t port)
{
    must(host.size <= CLIENT_HOST_MAX);
    if (node->port == port && str_equal(str_of(node->host), host))
        return;
    memcpy(node->host, host.data, (size_t)host.size);
    node->host[host.size] = 0;
    node->port = port;
    node->retry_ns = 0;
    node->moved = true;
    node_pump_later(node);
}

void node_pump_later(struct client_node *node)
{
    if (node->pump_queued || node->client->closing)
        return;
    node->pump_queued = true;
    loop_defer(node->client->loop, &node->pump);
}

void node_add(struct client_node *node, struct client_request *request)
{
    request->node = node;
    list_push_back(&node->waiting, &request->link);
    node->waiting_count++;
    node_pump_later(node);
}

void node_forget_timer(struct client_node *node)
{
    loop_timer_cancel(node->client->loop, &node->timer);
}

void node_free_if_done(struct client_node *node)
{
    if (!node->gone || node->resolving || node->pump_queued || !list_empty(&node->waiting) ||
        !list_empty(&node->inflight))
        return;
    struct conn *conn = node->conn;
    node->conn = NULL;
    if (conn)
        conn_close(conn, "not in the cluster any more");
    node_forget_timer(node);
    list_remove(&node->link);
    free(node);
}

void node_fail(struct client_node *node, int result, const char *reason)
{
    struct list failed;
    struct list *link;
    list_init(&failed);
    while ((link = list_pop(&node->inflight)))
        list_push_back(&failed, link);
    while ((link = list_pop(&node->waiting)))
        list_push_back(&failed, link);
    node->inflight_count = node->waiting_count = 0;
    struct conn *conn = node->conn;
    node->conn = NULL;
    node->state = NODE_IDLE;
    node->throttled_until_ns = 0;
    node_forget_timer(node);
    node_pump_later(node);
    if (conn)
        conn_close(conn, reason);
    while ((link = list_pop(&failed)))
        request_end(container_of(link, struct client_request, link), result);
}

/* The connection, or the attempt to make one, has failed. */
static void node_lost(struct client_node *node, int result, const char *reason)
{
    struct client *client = node->client;
    node->failures++;
    node->retry_ns = client->loop->now_ns + client_backoff_ns(client, node->failures);
    say_debug(client->say, "no connection to a broker", kv_int("node", node->id),
              kv_text("host", node->host), kv_int("port", node->port), kv_text("why", reason));
    node_fail(node, result, reason);
}

/* ---- sending ---- */

static int encode_request(const struct client_request *request, const struct client *client,
                          struct buf **ret_frame)
{
    struct writer out = {.limit = (size_t)client->settings.frame_max_bytes};
    struct request_header header = {
        .request_api_key = request->key,
        .request_api_version = request->version,
        .correlation_id = request->correlation_id,
        .client_id = str_of(client->client_id),
    };
    struct buf *frame = NULL;
    write_int32(&out, 0);
    int err = request_header_encode(&header, &out);
    if (err == 0)
        err = message_encode(request->api->request, request->version, request->message, &out, NULL);
    if (err == 0 && !out.failed) {
        store_be32(out.data, (uint32_t)(out.size - 4));
        frame = buf_adopt(out.data, out.size, out.capacity);
    }
    if (!frame) {
        writer_close(&out);
        return err < 0 ? err : -ENOMEM;
    }
    *ret_frame = frame;
    return 0;
}

/* The newest version that the owner, the protocol and the broker share. */
static int choose_version(const struct client_node *node, const struct client_request *request,
                          int16_t *ret_version)
{
    const struct version_range *served = &node->versions[request->key];
    int16_t max = request->api->max_version, min = request->api->min_version;
    if (request->api->latest_version_unstable)
        max--;
    max = max < request->max_version ? max : request->max_version;
    max = max < served->max ? max : served->max;
    min = min > request->min_version ? min : request->min_version;
    min = min > served->min ? min : served->min;
    if (served->max < served->min || max < min)
        return -ENOTSUP;
    *ret_version = max;
    return 0;
}

/* `request` is in no list. It ends here when it cannot be sent. */
static void send_request(struct client_node *node, struct client_request *request)
{
    struct buf *frame;
    struct conn *conn = node->conn;
    request->correlation_id = node->next_correlation++;
    int err = encode_request(request, node->client, &frame);
    if (err < 0) {
        request_end(request, err);
        return;
    }
    request->sent = true;
    if (request->no_answer) {
        request_end(request, conn_send(conn, frame));
        return;
    }
    list_push_back(&node->inflight, &request->link);
    node->inflight_count++;
    err = conn_send(conn, frame);
    if (err < 0 && node->conn == conn)
        node_lost(node, err, "out of memory");
}

static void negotiate(struct client_node *node, int16_t version)
{
    struct client_request *request = &node->negotiation;
    struct client *client = node->client;
    api_versions_request_init(&node->negotiation_message);
    node->negotiation_message.client_software_name = STR("jackdaw");
    node->negotiation_message.client_software_version = STR(CLIENT_VERSION_TEXT);
    if (version >= 5 && node->id >= 0 && client->metadata.cluster_id) {
        /* So that an address that has become another broker's is noticed (KIP-1242). */
        node->negotiation_message.cluster_id = str_of(client->metadata.cluster_id);
        node->negotiation_message.node_id = node->id;
    }
    client_request_release(request);
    request->client = client;
    request->api = api_find(API_API_VERSIONS);
    request->node = node;
    request->version = version;
    request->active = true;
    send_request(node, request);
}

static void negotiation_done(struct client_request *request, int result)
{
    struct client_node *node = container_of(request, struct client_node, negotiation);
    if (result < 0) {
        client_request_release(request);
        if (result != -ECANCELED && node->state == NODE_NEGOTIATE && node->conn)
            node_lost(node, result, "ApiVersions failed");
        return;
    }
    const struct api_versions_response *response = request->response;
    struct version_range own = {0, 0};
    for (int i = 0; i < API_COUNT; i++)
        node->versions[i] = (struct version_range){0, -1};
    for (int32_t i = 0; i < response->api_keys.count; i++) {
        const struct api_versions_response_api_version *item = &response->api_keys.items[i];
        if (item->api_key >= 0 && item->api_key < API_COUNT)
            node->versions[item->api_key] =
                (struct version_range){item->min_version, item->max_version};
    }
    int16_t error = response->error_code, tried = request->version;
    if (node->versions[API_API_VERSIONS].max >= 0)
        own = node->versions[API_API_VERSIONS];
    client_request_release(request);
    if (error == KAFKA_UNSUPPORTED_VERSION && tried > 0) {
        negotiate(node, own.max < tried ? own.max : 0);
        return;
    }
    if (error != KAFKA_NONE) {
        node_lost(node, -EPROTO, "ApiVersions refused");
        return;
    }
    node->state = NODE_READY;
    node->failures = 0;
    node_forget_timer(node);
    node_pump_later(node);
}

/* ---- connecting ---- */

static void try_address(struct client_node *node)
{
    struct client *client = node->client;
    struct conn *conn;
    int err = -ENOENT;
    for (; node->address_at < node->address_count; node->address_at++) {
        err = conn_connect(&client->conns, &node->addresses[node->address_at], node, &conn);
        if (err == 0) {
            node->conn = conn;
            node->state = NODE_CONNECT;
            return;
        }
    }
    node_lost(node, err, "cannot connect");
}

static void resolve_run(struct pool_job *job)
{
    struct resolve_job *resolve = container_of(job, struct resolve_job, job);
    struct env *env = job->loop->env;
    resolve->result = env->ops->resolve(env, resolve->host, resolve->port, resolve->addresses,
                                        NODE_ADDRESSES_MAX);
}

static void resolve_done(struct loop *loop, struct pool_job *job)
{
    struct resolve_job *resolve = container_of(job, struct resolve_job, job);
    struct client_node *node = container_of(resolve, struct client_node, resolve);
    (void)loop;
    node->resolving = false;
    node->client->jobs--;
    client_check_finish(node->client);
    if (node->client->closing)
        return;
    if (node->state != NODE_RESOLVE) {
        node_pump_later(node);
        return;
    }
    if (resolve->result <= 0) {
        node_lost(node, resolve->result < 0 ? resolve->result : -ENOENT, "cannot resolve");
        return;
    }
    must(resolve->result <= NODE_ADDRESSES_MAX);
    memcpy(node->addresses, resolve->addresses, sizeof node->addresses);
    node->address_count = resolve->result;
    node->address_at = 0;
    try_address(node);
}

static void begin_connecting(struct client_node *node)
{
    struct client *client = node->client;
    node->state = NODE_RESOLVE;
    node->moved = false;
    loop_timer_set(client->loop, &node->timer,
                   client->loop->now_ns + client->settings.connect_timeout_ns);
    if (node->resolving) /* of an attempt given up: its end leads to the next pump */
        return;
    struct resolve_job *resolve = &node->resolve;
    memcpy(resolve->host, node->host, sizeof resolve->host);
    resolve->port = node->port;
    resolve->job = (struct pool_job){.run = resolve_run, .done = resolve_done};
    node->resolving = true;
    client->jobs++;
    pool_submit(client->loop, &resolve->job);
}

static void pump_idle(struct client_node *node)
{
    struct loop *loop = node->client->loop;
    if (list_empty(&node->waiting) || node->resolving)
        return; /* the end of the job pumps again */
    if (node->retry_ns > loop->now_ns)
        loop_timer_set(loop, &node->timer, node->retry_ns);
    else
        begin_connecting(node);
}

static void pump_ready(struct client_node *node)
{
    struct client *client = node->client;
    struct loop *loop = client->loop;
    if (node->moved) {
        if (node->inflight_count > 0)
            return; /* the last answer pumps again */
        struct conn *conn = node->conn;
        node->conn = NULL;
        node->state = NODE_IDLE;
        node->moved = false;
        conn_close(conn, "the broker has moved");
        pump_idle(node);
        return;
    }
    if (node->throttled_until_ns > loop->now_ns) {
        loop_timer_set(loop, &node->timer, node->throttled_until_ns);
        return;
    }
    struct conn *conn = node->conn;
    /* `done` of a request that cannot be sent may do anything, but not free the node: it has this
     * pump before it as long as anything is waiting. */
    while (node->conn == conn && node->state == NODE_READY && !list_empty(&node->waiting) &&
           node->inflight_count < client->settings.inflight_max) {
        struct list *link = list_pop(&node->waiting);
        struct client_request *request = container_of(link, struct client_request, link);
        node->waiting_count--;
        int err = choose_version(node, request, &request->version);
        if (err < 0)
            request_end(request, err);
        else
            send_request(node, request);
    }
}

static void node_pump(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct client_node *node = container_of(task, struct client_node, pump);
    if (node->client->closing) {
        node->pump_queued = false;
        return;
    }
    /* Still queued as far as others see: nobody may free it under us. */
    if (node->state == NODE_IDLE)
        pump_idle(node);
    else if (node->state == NODE_READY)
        pump_ready(node);
    node->pump_queued = false;
    bool more = node->state == NODE_READY && !list_empty(&node->waiting) &&
                node->inflight_count < node->client->settings.inflight_max &&
                node->throttled_until_ns <= node->client->loop->now_ns && !node->moved;
    bool waits = node->state == NODE_IDLE && !list_empty(&node->waiting) && !node->resolving &&
                 !heap_contains(&node->timer.node);
    bool leaves = node->state == NODE_READY && node->moved && node->inflight_count == 0;
    if (more || waits || leaves)
        node_pump_later(node);
    else
        node_free_if_done(node);
}

static void node_timer(struct loop *loop, struct loop_timer *timer)
{
    struct client_node *node = container_of(timer, struct client_node, timer);
    if (node->state == NODE_IDLE || node->state == NODE_READY)
        node_pump_later(node);
    else if (loop->gap_ns > 0) /* we stood still: no reason to lose patience */
        loop_timer_set(loop, timer, loop->now_ns + loop->gap_ns);
    else
        node_lost(node, -ETIMEDOUT, "connecting took too long");
}

/* ---- callbacks of connections ---- */

static struct client_node *node_of(struct conn *conn)
{
    struct client *client = conn->set->owner;
    if (client->closing)
        return NULL;
    struct client_node *node = conn->owner;
    /* The owner may be freed when the connection is not its any more: look it up. */
    list_for_each (pos, &client->nodes)
        if (container_of(pos, struct client_node, link) == node && node->conn == conn)
            return node;
    return NULL;
}

static void on_connected(struct conn *conn, int result)
{
    struct client_node *node = node_of(conn);
    if (!node)
        return;
    node->connect_error = result;
    if (result < 0)
        return; /* on_closed follows */
    node->state = NODE_NEGOTIATE;
    const struct api *api = api_find(API_API_VERSIONS);
    node->negotiation.done = negotiation_done;
    negotiate(node, (int16_t)(api->max_version - (api->latest_version_unstable ? 1 : 0)));
}

static void on_closed(struct conn *conn, const char *reason)
{
    struct client_node *node = node_of(conn);
    if (!node)
        return;
    node->conn = NULL;
    if (node->state == NODE_CONNECT && ++node->address_at < node->address_count) {
        try_address(node);
        return;
    }
    bool unused =
        node->state == NODE_READY && list_empty(&node->inflight) && list_empty(&node->waiting);
    if (unused) { /* idle for long; nothing is wrong */
        node->state = NODE_IDLE;
        node_pump_later(node);
        return;
    }
    int error =
        node->state == NODE_CONNECT && node->connect_error < 0 ? node->connect_error : -ECONNRESET;
    node_lost(node, error, reason);
}

static void on_freed(struct conn *conn)
{
    client_check_finish(conn->set->owner);
}

/* Read the answer to `request`. 0 or -errno. */
static int decode_answer(struct client_request *request, const struct buf *frame)
{
    const struct api *api = request->api;
    struct reader in = reader_of(frame->data, frame->size);
    int32_t correlation_id;
    int err = response_header_decode(api, request->version, &in, &correlation_id);
    if (err < 0)
        return err;
    if (correlation_id != request->correlation_id)
        return -EBADMSG;
    int16_t version = request->version;
    /* A broker that does not know the version of ApiVersions answers in version 0 (KIP-511). */
    if (api->key == API_API_VERSIONS && reader_left(&in) >= 2 &&
        (int16_t)load_be16(in.at) == KAFKA_UNSUPPORTED_VERSION)
        version = 0;
    size_t size = message_struct_size(api->response),
           bound = message_arena_bound(api->response, frame->size);
    arena_init(&request->arena, bound < SIZE_MAX - size - 64 ? bound + size + 64 : 0);
    void *response = arena_alloc(&request->arena, size);
    if (!response)
        return -ENOMEM;
    err = message_decode(api->response, version, &in, &request->arena, response);
    if (err == 0)
        request->response = response;
    return err;
}

static bool on_frame(struct conn *conn, struct buf *frame)
{
    struct client_node *node = node_of(conn);
    if (!node || list_empty(&node->inflight)) {
        conn_set_release(conn->set, frame);
        return false;
    }
    struct client_request *request = list_first(&node->inflight, struct client_request, link);
    request->frame = buf_ref(frame);
    conn_set_release(conn->set, frame);
    int err = decode_answer(request, request->frame);
    if (err < 0) {
        say_warn(node->client->say, "closing connection: an answer that cannot be read",
                 kv_int("node", node->id), kv_text("api", request->api->name),
                 kv_int("version", request->version));
        buf_unref(request->frame);
        request->frame = NULL;
        arena_close(&request->arena);
        node_lost(node, -EBADMSG, "unreadable answer");
        return true;
    }
    list_remove(&request->link);
    node->inflight_count--;
    node_pump_later(node);
    request_end(request, 0);
    return true;
}

const struct conn_ops client_conn_ops = {
    .frame = on_frame,
    .connected = on_connected,
    .closed = on_closed,
    .freed = on_freed,
};
