/* The life of a request.
 *
 * 1. request_begin takes the exchange's place in the order of answers before the handler runs.
 * 2. A request is freed when its exchange is over (`ended`) and its mailbox node is not posted.
 *    Handlers cancel their waiters before they answer, so after that nobody wakes it; a wake that
 *    was posted before is still delivered and frees it then. */
#include "server/request.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "server/api_table.h"
#include "server/listener.h"

static void request_free(struct request *request)
{
    arena_close(&request->arena);
    free(request);
}

static void request_look(struct request *request)
{
    if (!request->answered)
        request->row->handle(request);
}

static void request_again(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct request *request = container_of(task, struct request, again);
    atomic_store_explicit(&request->posted, false, memory_order_release);
    if (request->ended)
        request_free(request);
    else
        request_look(request);
}

void request_wake(struct request *request)
{
    if (!atomic_exchange_explicit(&request->posted, true, memory_order_acq_rel))
        loop_post(&request->home->loop, &request->again);
}

void request_wake_later(struct request *request, struct wakes *wakes)
{
    if (!atomic_exchange_explicit(&request->posted, true, memory_order_acq_rel))
        loop_post_later(&request->home->loop, &request->again, wakes);
}

bool request_yield(struct request *request)
{
    if (++request->slice < REQUEST_SLICE_ELEMENTS)
        return false;
    request->slice = 0;
    request_wake(request);
    return true;
}

static void deadline_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct request *request = container_of(timer, struct request, deadline);
    request->timed_out = true;
    request_look(request);
}

void request_set_deadline_about(struct request *request, int64_t due_ns, int64_t slack_ns)
{
    request->deadline.slack_ns = slack_ns;
    loop_timer_set(&request->home->loop, &request->deadline, due_ns);
}

void request_set_deadline(struct request *request, int64_t due_ns)
{
    request_set_deadline_about(request, due_ns, 0);
}

void request_release_frame(struct request *request)
{
    conn_set_release(&request->home->conns, request->frame);
    request->frame = NULL;
    request->client_id = STR("");
}

void request_appended(struct request *request)
{
    if (request->appended)
        return;
    request->appended = true;
    request_session(request)->appending--;
    conn_resume(request->exchange.conn);
}

void request_charge(struct request *request)
{
    size_t used = request->arena.used_bytes;
    if (used <= REQUEST_CHARGE_BYTES || used <= request->charged)
        return;
    conn_set_charge(&request->home->conns, used - request->charged);
    request->charged = used;
}

/* Everything that the request holds but its answer. */
static void request_let_go(struct request *request)
{
    if (request->cleanup)
        request->cleanup(request);
    request->cleanup = NULL;
    request->work = NULL;
    request->body = NULL;
    request_release_frame(request);
    arena_close(&request->arena);
    if (request->charged)
        conn_set_discharge(&request->home->conns, request->charged);
    request->charged = 0;
}

static void request_done(struct exchange *exchange)
{
    struct request *request = container_of(exchange, struct request, exchange);
    struct session *session = exchange->conn->owner;
    must(request->answered);
    if (request->api->key != API_PRODUCE)
        session->others--;
    else if (!request->appended)
        session->appending--;
    request_let_go(request);
    request->ended = true;
    if (!atomic_load_explicit(&request->posted, memory_order_acquire))
        request_free(request);
}

/* ---- answering ---- */

/* Pieces of an answer under construction: bytes between external records. */
struct assembly {
    struct request *request;
    struct out_piece *pieces;
    int32_t count, capacity;
    size_t from; /* first byte of the writer not yet in a piece */
    bool failed;
};

static struct out_piece *assembly_add(struct assembly *assembly)
{
    if (assembly->count == assembly->capacity) {
        int32_t capacity = assembly->capacity ? assembly->capacity * 2 : 8;
        struct out_piece *grown =
            arena_array(&assembly->request->arena, (size_t)capacity, sizeof *grown);
        if (!grown) {
            assembly->failed = true;
            return NULL;
        }
        if (assembly->count)
            memcpy(grown, assembly->pieces, (size_t)assembly->count * sizeof *grown);
        assembly->pieces = grown;
        assembly->capacity = capacity;
    }
    return &assembly->pieces[assembly->count++];
}

static void records_unreadable(const struct out_piece *piece, int err)
{
    struct request_records *records = piece->owner;
    records->unreadable(records, err);
}

static void assembly_external(void *context, size_t position, void *external, int32_t size)
{
    struct assembly *assembly = context;
    struct request_records *records = external;
    struct out_piece *bytes = assembly_add(assembly);
    struct out_piece *file = bytes ? assembly_add(assembly) : NULL;
    if (!file)
        return;
    bytes = file - 1;
    *bytes = (struct out_piece){.offset = (int64_t)assembly->from,
                                .size = (int64_t)(position - assembly->from)};
    *file = (struct out_piece){.file = file_ref_descriptor(records->span.file),
                               .offset = records->span.position,
                               .size = size,
                               .owner = records,
                               .maybe_cold = true,
                               .unreadable = records_unreadable};
    assembly->from = position;
    atomic_fetch_add_explicit(&assembly->request->home->counters.bytes_out, size,
                              memory_order_relaxed);
}

/* Give every memory piece its reference to the one buf of the answer. */
static void assembly_finish(struct assembly *assembly, struct buf *buf)
{
    for (int32_t i = 0; i < assembly->count; i++)
        if (!assembly->pieces[i].owner)
            assembly->pieces[i].buf = buf_ref(buf);
    buf_unref(buf);
}

enum outcome request_answer(struct request *request, const void *response)
{
    must(!request->answered);
    request->answered = true;
    loop_timer_cancel(&request->home->loop, &request->deadline);
    struct writer out = {.limit = REQUEST_ANSWER_MAX_BYTES};
    struct assembly assembly = {.request = request};
    struct message_sink sink = {.external = assembly_external, .context = &assembly};
    write_int32(&out, 0);
    int err = response_header_encode(request->api, request->version, request->correlation_id, &out);
    if (err == 0)
        err = message_encode(request->api->response, request->version, response, &out, &sink);
    struct out_piece *last = err == 0 ? assembly_add(&assembly) : NULL;
    struct buf *buf = NULL;
    if (last && !assembly.failed)
        buf = buf_adopt(out.data, out.size, out.capacity);
    if (!buf) {
        writer_close(&out);
        say_error(&request->home->broker->say, "cannot encode a response",
                  kv_text("api", request->api->name), kv_int("version", request->version),
                  kv_text("error", result_text(err ? err : -ENOMEM)));
        conn_close(request->exchange.conn, "response cannot be encoded");
        exchange_finish(&request->exchange, NULL, 0);
        return ANSWERED;
    }
    *last = (struct out_piece){.offset = (int64_t)assembly.from,
                               .size = (int64_t)(out.size - assembly.from)};
    int64_t size = -4;
    for (int32_t i = 0; i < assembly.count; i++)
        size += assembly.pieces[i].size;
    store_be32(out.data, (uint32_t)size);
    assembly_finish(&assembly, buf);
    if (assembly.count == 1) { /* all is encoded: nothing else need be kept until it is sent */
        request->whole = *assembly.pieces;
        request_let_go(request);
        exchange_finish(&request->exchange, &request->whole, 1);
        return ANSWERED;
    }
    request_charge(request);
    exchange_finish(&request->exchange, assembly.pieces, assembly.count);
    return ANSWERED;
}

enum outcome request_answer_nothing(struct request *request)
{
    must(!request->answered);
    request->answered = true;
    loop_timer_cancel(&request->home->loop, &request->deadline);
    exchange_finish(&request->exchange, NULL, 0);
    return ANSWERED;
}

enum outcome request_refuse(struct request *request, const char *reason)
{
    char peer[NET_ADDRESS_TEXT_SIZE];
    net_address_format(&request->exchange.conn->peer, peer);
    if (!request->exchange.conn->closed && conn_set_may_say(&request->home->conns))
        say_warn(&request->home->broker->say, "closing connection: request not answered",
                 kv_text("peer", peer), kv_text("reason", reason),
                 kv_text("api", request->api->name), kv_int("version", request->version),
                 kv_str("client_id", request->client_id));
    conn_close(request->exchange.conn, reason);
    return request_answer_nothing(request);
}

void requests_abandon(struct conn *conn)
{
    list_for_each (pos, &conn->order) {
        struct exchange *exchange = container_of(pos, struct exchange, link);
        if (exchange->ready)
            continue;
        struct request *request = container_of(exchange, struct request, exchange);
        request->timed_out = true;
        request_wake(request);
    }
}

/* A fetch waits for records; the others, once the controller has answered, for partitions to follow
 * an image that is not followed any more. */
static bool waits_in_vain(const struct request *request)
{
    return request->row->handle == handle_fetch || request->row->handle == handle_controller ||
           request->row->handle == handle_metadata;
}

void requests_hurry(struct conn *conn)
{
    list_for_each (pos, &conn->order) {
        struct exchange *exchange = container_of(pos, struct exchange, link);
        struct request *request = container_of(exchange, struct request, exchange);
        if (exchange->ready || request->timed_out || !waits_in_vain(request))
            continue;
        request->timed_out = true;
        request_wake(request);
    }
}

/* ---- beginning ---- */

bool request_may_begin(struct conn *conn, const uint8_t *head, int32_t size)
{
    const struct session *session = conn->owner;
    if (!atomic_load_explicit(&session->home->broker->serving, memory_order_acquire))
        return false;
    if (conn->inflight == 0)
        return true;
    return size >= 2 && (int16_t)load_be16(head) == API_PRODUCE && session->others == 0 &&
           session->appending == 0;
}

/* ApiVersions is asked before the client knows what is spoken: an unknown version is answered with
 * UNSUPPORTED_VERSION in version 0 (KIP-511). */
static bool request_version_ok(struct request *request, const struct api_row *row, int16_t version)
{
    if (version >= row->min_version && version <= row->max_version) {
        request->version = version;
        return true;
    }
    request->version = 0;
    return false;
}

static bool request_reject(struct request *request, const struct request_header *header,
                           const char *reason)
{
    char peer[NET_ADDRESS_TEXT_SIZE];
    net_address_format(&request->exchange.conn->peer, peer);
    if (conn_set_may_say(&request->home->conns))
        say_warn(&request->home->broker->say, "closing connection: request refused",
                 kv_text("peer", peer), kv_text("reason", reason),
                 kv_int("api_key", header->request_api_key),
                 kv_int("version", header->request_api_version),
                 kv_str("client_id", header->client_id));
    request->answered = true;
    exchange_finish(&request->exchange, NULL, 0);
    return false;
}

bool request_begin(struct conn *conn, struct buf *frame)
{
    struct session *session = conn->owner;
    struct broker_loop *home = session->home;
    struct request_header header = {0};
    const struct api *api;
    struct reader reader = reader_of(frame->data, frame->size);
    int err = request_header_decode(&reader, &header, &api);
    const struct api_row *row = err == 0 ? api_row_find(api->key) : NULL;
    struct request *request = row ? calloc(1, sizeof *request) : NULL;
    if (!request) {
        char peer[NET_ADDRESS_TEXT_SIZE];
        net_address_format(&conn->peer, peer);
        if (conn_set_may_say(&home->conns))
            say_warn(&home->broker->say, "closing connection: request not understood",
                     kv_text("peer", peer), kv_int("api_key", header.request_api_key),
                     kv_int("version", header.request_api_version), kv_int("size", frame->size));
        conn_set_release(&home->conns, frame);
        return false;
    }
    request->home = home;
    request->row = row;
    request->api = api;
    request->correlation_id = header.correlation_id;
    request->client_id = header.client_id;
    request->frame = frame;
    request->again.run = request_again;
    loop_timer_init(&request->deadline, deadline_fire);
    if (api->key == API_PRODUCE)
        session->appending++;
    else
        session->others++;
    exchange_begin(conn, &request->exchange, request_done);
    atomic_fetch_add_explicit(&home->counters.requests, 1, memory_order_relaxed);
    if (!request_version_ok(request, row, header.request_api_version)) {
        if (api->key != API_API_VERSIONS)
            return request_reject(request, &header, "version not served");
        handle_api_versions(request); /* without a body: says which versions there are */
        return true;
    }
    size_t struct_size = message_struct_size(api->request);
    size_t bound =
        message_arena_bound(api->request, reader_left(&reader)) + struct_size + ARENA_ALIGN;
    arena_init(&request->arena, bound < REQUEST_ARENA_MAX_BYTES ? bound : REQUEST_ARENA_MAX_BYTES);
    void *body = arena_alloc(&request->arena, struct_size);
    err = body ? message_decode(api->request, request->version, &reader, &request->arena, body)
               : -ENOMEM;
    if (err != 0)
        return request_reject(request, &header, result_text(err));
    request_charge(request);
    request->arena.limit_bytes = REQUEST_ARENA_MAX_BYTES;
    request->body = body;
    row->handle(request);
    return true;
}

/* ---- addresses ---- */

static void local_address(struct request *request, struct str *ret_host, int32_t *ret_port)
{
    struct broker *broker = request_broker(request);
    struct conn *conn = request->exchange.conn;
    struct net_address local;
    if (conn->closed || broker->env->ops->sock_local(broker->env, conn->watch.sock, &local) < 0 ||
        local.family == NET_UNIX)
        local = broker->listeners[0].bound;
    char text[NET_ADDRESS_TEXT_SIZE];
    net_address_format_host(&local, text);
    struct str host = arena_str(&request->arena, str_of(text));
    *ret_host = host.data ? host : STR("");
    *ret_port = local.port;
}

void request_advertised(struct request *request, struct str *ret_host, int32_t *ret_port)
{
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    struct str name = request_session(request)->listener->setting->name;
    for (int32_t i = 0; i < settings->advertised_count; i++) {
        if (!str_equal(settings->advertised[i].name, name))
            continue;
        *ret_host = settings->advertised[i].host;
        *ret_port = settings->advertised[i].port;
        return;
    }
    local_address(request, ret_host, ret_port);
}

bool request_endpoint(struct request *request, const struct broker_image *broker,
                      struct str *ret_host, int32_t *ret_port)
{
    const struct broker_settings *settings = broker_settings_now(request_broker(request));
    if (broker->id == settings->node_id) {
        request_advertised(request, ret_host, ret_port);
        return true;
    }
    const struct broker_endpoint *endpoint =
        broker_endpoint_named(broker, request_session(request)->listener->setting->name);
    if (!endpoint)
        return false;
    *ret_host = endpoint->host;
    *ret_port = endpoint->port;
    return true;
}
