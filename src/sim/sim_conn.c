/* TCP as its users see it: bytes in order, or an error; never when, and never how many at once.
 *
 * A connection has two ends and two pipes. A pipe counts bytes: written ≥ arrived ≥ read, and
 * arrived ≥ acked. Bytes written and not arrived are in flight; a write that would take more than
 * send_limit unacknowledged bytes waits, and so do deliveries past receive_limit unread ones.
 *
 * At any time at most one delivery and one acknowledgement are under way per pipe, and at most one
 * reset to each end. What meets a blocked link or a machine that is off is tried again, less and
 * less often, until the sender gives up after send_timeout_ns.
 *
 * An end that is NULL has no socket any more: closed, or its process or machine is gone. Bytes that
 * reach it are answered with a reset. A connection goes when both ends have. */
#include <string.h>

#include "sim/sim_net.h"

#define SEND_LIMIT_DEFAULT (128 << 10)
#define RECEIVE_LIMIT_DEFAULT (128 << 10)
#define LOCAL_DELAY_MIN_NS 5000
#define LOCAL_DELAY_MAX_NS 40000
#define RETRY_MIN_NS 200000000
#define RETRY_MAX_NS 10000000000

int64_t sim_link_delay(const struct sim_conn *conn)
{
    struct sim *sim = conn->sim;
    if (conn->nodes[0] == conn->nodes[1])
        return sim_random_between(&sim->net, LOCAL_DELAY_MIN_NS, LOCAL_DELAY_MAX_NS);
    return sim_random_latency(&sim->net, sim->options.link_min_ns, sim->options.link_max_ns,
                              sim->options.link_slow_ppm);
}

bool sim_link_open(const struct sim_conn *conn, int from)
{
    const struct sim_node *a = conn->nodes[from], *b = conn->nodes[1 - from];
    return a == b || (!a->blocked_to[b->index] && !b->off);
}

int64_t sim_link_backoff(struct sim *sim, int64_t *retry_ns)
{
    int64_t wait_ns = *retry_ns + sim_random_between(&sim->net, 0, *retry_ns / 4);
    *retry_ns = *retry_ns * 2 < RETRY_MAX_NS ? *retry_ns * 2 : RETRY_MAX_NS;
    return wait_ns;
}

/* Chunks. */

static void chunk_free(struct sim_chunk *chunk)
{
    list_remove(&chunk->link);
    if (chunk->inode)
        sim_inode_unref(chunk->inode);
    sim_free(chunk);
}

/* What is in flight is lost with the connection. */
static void pipe_drop(struct sim_pipe *pipe)
{
    struct sim *sim = pipe->conn->sim;
    list_for_each_safe (at, &pipe->chunks)
        chunk_free(container_of(at, struct sim_chunk, link));
    pipe->written = pipe->arrived;
    pipe->fin = false;
    sim_event_cancel(sim, &pipe->deliver);
    sim_event_cancel(sim, &pipe->ack);
}

static uint8_t *inbox_room(struct sim_pipe *pipe, size_t size)
{
    if (pipe->inbox_at > 0) {
        pipe->inbox_size -= pipe->inbox_at;
        memmove(pipe->inbox, pipe->inbox + pipe->inbox_at, pipe->inbox_size);
        pipe->inbox_at = 0;
    }
    if (pipe->inbox_size + size > pipe->inbox_capacity) {
        pipe->inbox_capacity = 2 * (pipe->inbox_size + size);
        pipe->inbox = sim_resize(pipe->inbox, pipe->inbox_capacity);
    }
    return pipe->inbox + pipe->inbox_size;
}

/* Move `size` bytes from flight to the inbox. */
static void pipe_arrive(struct sim_pipe *pipe, size_t size)
{
    pipe->arrived += size;
    while (size > 0) {
        struct sim_chunk *chunk = list_first(&pipe->chunks, struct sim_chunk, link);
        size_t part = chunk->size - chunk->at < size ? chunk->size - chunk->at : size;
        uint8_t *to = inbox_room(pipe, part);
        if (chunk->inode)
            sim_inode_read(chunk->inode, to, part, chunk->offset + (int64_t)chunk->at);
        else
            memcpy(to, chunk->data + chunk->at, part);
        pipe->inbox_size += part;
        chunk->at += part;
        size -= part;
        if (chunk->at == chunk->size)
            chunk_free(chunk);
    }
}

/* Connections. */

static void conn_free(struct sim_conn *conn)
{
    struct sim *sim = conn->sim;
    must(!conn->ends[0] && !conn->ends[1]);
    for (int i = 0; i < 2; i++) {
        pipe_drop(&conn->pipes[i]);
        sim_free(conn->pipes[i].inbox);
        sim_event_cancel(sim, &conn->resets[i]);
    }
    sim_event_cancel(sim, &conn->handshake);
    list_remove(&conn->link);
    sim_free(conn);
}

void sim_conn_break(struct sim_conn *conn, int end, int error)
{
    struct sim_sock *sock = conn->ends[end];
    if (!sock || sock->dead)
        return;
    sock->dead = true;
    sock->connecting = false;
    sock->error = error;
    pipe_drop(&conn->pipes[end]);
    pipe_drop(&conn->pipes[1 - end]);
    sim_event_cancel(conn->sim, &conn->handshake);
    sim_trace(conn->sim, sock->node, "broken", error, NULL);
    sim_watch_changed(sock->watch);
}

void sim_conn_reset(struct sim_conn *conn, int to)
{
    if (conn->ends[to] && !conn->ends[to]->dead && !sim_event_is_set(&conn->resets[to]))
        sim_event_set(conn->sim, &conn->resets[to], sim_time(conn->sim) + sim_link_delay(conn));
}

static void reset_arrives(struct sim_conn *conn, int to)
{
    if (!sim_link_open(conn, 1 - to) || conn->nodes[to]->blocked_to[conn->nodes[1 - to]->index]) {
        sim_event_set(conn->sim, &conn->resets[to], sim_time(conn->sim) + RETRY_MIN_NS);
        return;
    }
    sim_conn_break(conn, to, ECONNRESET);
}

static void reset0_arrives(struct sim_event *event)
{
    reset_arrives(container_of(event, struct sim_conn, resets[0]), 0);
}

static void reset1_arrives(struct sim_event *event)
{
    reset_arrives(container_of(event, struct sim_conn, resets[1]), 1);
}

/* Nothing gets through. True when the sender gave up. */
static bool pipe_stuck(struct sim_pipe *pipe, struct sim_event *event)
{
    struct sim *sim = pipe->conn->sim;
    if (pipe->stuck_since_ns < 0) {
        pipe->stuck_since_ns = sim->now_ns;
        pipe->retry_ns = RETRY_MIN_NS;
    }
    if (sim->now_ns - pipe->stuck_since_ns > sim->options.send_timeout_ns) {
        sim_conn_break(pipe->conn, pipe->from, ETIMEDOUT);
        return true;
    }
    sim_event_set(sim, event, sim->now_ns + sim_link_backoff(sim, &pipe->retry_ns));
    return false;
}

void sim_pipe_kick(struct sim_pipe *pipe)
{
    struct sim_conn *conn = pipe->conn;
    struct sim_sock *receiver = conn->ends[1 - pipe->from];
    if (sim_event_is_set(&pipe->deliver) || pipe->fin_arrived)
        return;
    if (pipe->written == pipe->arrived && !pipe->fin)
        return;
    bool window = !receiver || pipe->arrived - pipe->read < receiver->receive_limit;
    if (!window && pipe->written > pipe->arrived)
        return; /* until the receiver reads */
    pipe->deliver_to = pipe->written;
    pipe->deliver_fin = pipe->fin;
    sim_event_set(conn->sim, &pipe->deliver, sim_time(conn->sim) + sim_link_delay(conn));
}

static void pipe_delivers(struct sim_event *event)
{
    struct sim_pipe *pipe = container_of(event, struct sim_pipe, deliver);
    struct sim_conn *conn = pipe->conn;
    struct sim *sim = conn->sim;
    if (!sim_link_open(conn, pipe->from)) {
        pipe_stuck(pipe, event);
        return;
    }
    struct sim_sock *receiver = conn->ends[1 - pipe->from];
    if (!receiver || receiver->dead) {
        sim_conn_reset(conn, pipe->from);
        return;
    }
    uint64_t size = pipe->deliver_to - pipe->arrived;
    uint64_t window = receiver->receive_limit - (pipe->arrived - pipe->read);
    if (size > window)
        size = window;
    if (size > 1 && sim_random_ppm(&sim->net, sim->options.short_io_ppm))
        size = 1 + sim_random_below(&sim->net, size);
    pipe_arrive(pipe, size);
    pipe->fin_arrived = pipe->deliver_fin && pipe->arrived == pipe->written;
    if (!sim_event_is_set(&pipe->ack))
        sim_event_set(sim, &pipe->ack, sim->now_ns + sim_link_delay(conn));
    sim_trace(sim, receiver->node, "arrived", pipe->fin_arrived, NULL);
    sim_watch_changed(receiver->watch);
    sim_pipe_kick(pipe);
}

static void pipe_acked(struct sim_event *event)
{
    struct sim_pipe *pipe = container_of(event, struct sim_pipe, ack);
    struct sim_conn *conn = pipe->conn;
    struct sim_sock *sender = conn->ends[pipe->from];
    if (!sim_link_open(conn, 1 - pipe->from)) {
        pipe_stuck(pipe, event);
        return;
    }
    pipe->stuck_since_ns = -1;
    pipe->acked = pipe->arrived;
    if (sender)
        sim_watch_changed(sender->watch);
}

struct sim_sock *sim_sock_create(struct sim_node *node)
{
    struct sim_sock *sock = sim_alloc(sizeof *sock);
    sock->node = node;
    sock->send_limit = SEND_LIMIT_DEFAULT;
    sock->receive_limit = RECEIVE_LIMIT_DEFAULT;
    list_init(&sock->queue);
    list_init(&sock->queue_link);
    list_push_back(&node->socks, &sock->link);
    return sock;
}

void sim_sock_free(struct sim_sock *sock)
{
    if (sock->watch) {
        list_remove(&sock->watch->link);
        sim_free(sock->watch);
    }
    list_remove(&sock->link);
    list_remove(&sock->queue_link);
    sim_free(sock);
}

struct sim_conn *sim_conn_create(struct sim_node *from, struct sim_node *to,
                                 void (*handshake)(struct sim_event *event))
{
    struct sim *sim = from->sim;
    struct sim_conn *conn = sim_alloc(sizeof *conn);
    conn->sim = sim;
    conn->nodes[0] = from;
    conn->nodes[1] = to;
    for (int i = 0; i < 2; i++) {
        struct sim_pipe *pipe = &conn->pipes[i];
        pipe->conn = conn;
        pipe->from = i;
        pipe->stuck_since_ns = -1;
        list_init(&pipe->chunks);
        sim_event_init(&pipe->deliver, pipe_delivers);
        sim_event_init(&pipe->ack, pipe_acked);
    }
    sim_event_init(&conn->resets[0], reset0_arrives);
    sim_event_init(&conn->resets[1], reset1_arrives);
    sim_event_init(&conn->handshake, handshake);
    conn->began_ns = sim_time(sim);
    conn->retry_ns = 1000000000;
    list_push_back(&sim->conns, &conn->link);
    return conn;
}

void sim_sock_end(struct sim_sock *sock)
{
    struct sim_conn *conn = sock->conn;
    int end = sock->side;
    struct sim_pipe *in = &conn->pipes[1 - end], *out = &conn->pipes[end];
    bool unread = in->arrived > in->read;
    bool dead = sock->dead, connecting = sock->connecting;
    conn->ends[end] = NULL;
    sim_sock_free(sock);
    if (dead || connecting || unread) {
        pipe_drop(out);
        sim_event_cancel(conn->sim, &conn->handshake);
        if (!dead)
            sim_conn_reset(conn, 1 - end);
    } else {
        out->fin = true;
        sim_pipe_kick(out);
    }
    if (!conn->ends[1 - end])
        conn_free(conn);
}

/* The machine dies: nobody is told. */
static void sock_vanish(struct sim_sock *sock)
{
    struct sim_conn *conn = sock->conn;
    int end = sock->side;
    conn->ends[end] = NULL;
    sim_sock_free(sock);
    pipe_drop(&conn->pipes[end]);
    if (end == 0)
        sim_event_cancel(conn->sim, &conn->handshake);
    sim_event_cancel(conn->sim, &conn->resets[1 - end]);
    if (!conn->ends[1 - end])
        conn_free(conn);
}

void sim_listener_end(struct sim_sock *listener, enum sim_crash kind)
{
    struct list *at;
    while ((at = list_pop(&listener->queue))) {
        struct sim_sock *sock = container_of(at, struct sim_sock, queue_link);
        if (kind == SIM_POWER) {
            sock_vanish(sock);
        } else {
            sim_conn_reset(sock->conn, 1 - sock->side);
            sock->dead = true;
            sim_sock_end(sock);
        }
    }
    sim_sock_free(listener);
}

static struct sim_sock *any_listener(struct sim_node *node)
{
    list_for_each (at, &node->socks) {
        struct sim_sock *sock = container_of(at, struct sim_sock, link);
        if (sock->listener)
            return sock;
    }
    return NULL;
}

void sim_net_crash(struct sim_node *node, enum sim_crash kind)
{
    struct sim_sock *listener;
    /* First, as they end what they have queued. */
    while ((listener = any_listener(node)))
        sim_listener_end(listener, kind);
    while (!list_empty(&node->socks)) {
        struct sim_sock *sock = list_first(&node->socks, struct sim_sock, link);
        if (kind == SIM_POWER)
            sock_vanish(sock);
        else
            sim_sock_end(sock);
    }
}

void sim_net_close(struct sim *sim)
{
    must(list_empty(&sim->conns));
}

/* Troubles. */

void sim_block(struct sim_node *from, struct sim_node *to, bool blocked)
{
    if (from->blocked_to[to->index] == blocked)
        return;
    sim_trace(from->sim, from, blocked ? "block" : "unblock", to->index, NULL);
    from->blocked_to[to->index] = blocked;
}

void sim_isolate(struct sim_node *node, bool isolated)
{
    for (int i = 0; i < node->sim->node_count; i++) {
        struct sim_node *other = node->sim->nodes[i];
        if (other != node) {
            sim_block(node, other, isolated);
            sim_block(other, node, isolated);
        }
    }
}

void sim_disconnect(struct sim_node *a, struct sim_node *b)
{
    sim_trace(a->sim, a, "disconnect", b->index, NULL);
    list_for_each (at, &a->sim->conns) {
        struct sim_conn *conn = container_of(at, struct sim_conn, link);
        if ((conn->nodes[0] == a && conn->nodes[1] == b) ||
            (conn->nodes[0] == b && conn->nodes[1] == a)) {
            sim_conn_break(conn, 0, ECONNRESET);
            sim_conn_break(conn, 1, ECONNRESET);
        }
    }
}
