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

#include "sim/sim_internal.h"

#define SEND_LIMIT_DEFAULT (128 << 10)
#define RECEIVE_LIMIT_DEFAULT (128 << 10)
#define BUFFER_LIMIT_MIN 4096
#define LOCAL_DELAY_MIN_NS 5000
#define LOCAL_DELAY_MAX_NS 40000
#define RETRY_MIN_NS 200000000
#define RETRY_MAX_NS 10000000000

struct sim_conn;

/* Bytes on their way. Those of sendfile are looked up in the page cache when they arrive: until
 * then the kernel holds the pages, not a copy, and who changes the file changes them. */
struct sim_chunk {
    struct list link;
    size_t size;
    size_t at;               /* bytes that have arrived */
    struct sim_inode *inode; /* NULL: in data */
    int64_t offset;
    uint8_t data[];
};

struct sim_pipe {
    struct sim_conn *conn;
    int from; /* the end that writes */
    struct list chunks;
    uint64_t written, arrived, read, acked;
    bool fin, fin_arrived;
    uint8_t *inbox; /* arrived and unread bytes */
    size_t inbox_at, inbox_size, inbox_capacity;
    struct sim_event deliver;
    uint64_t deliver_to; /* what the delivery under way carries at most */
    bool deliver_fin;
    struct sim_event ack;
    int64_t stuck_since_ns; /* -1: not stuck */
    int64_t retry_ns;
};

struct sim_conn {
    struct list link; /* sim->conns */
    struct sim *sim;
    struct sim_node *nodes[2];
    struct sim_sock *ends[2]; /* 0: who connected */
    struct sim_pipe pipes[2]; /* [i]: from end i */
    struct sim_event resets[2];
    struct sim_event handshake;
    bool answered; /* the handshake is on its way back */
    bool refused;
    struct net_address target;
    int64_t began_ns;
    int64_t retry_ns;
};

struct sim_sock {
    struct list link; /* node->socks */
    struct sim_node *node;
    struct sim_watch *watch;
    struct net_address local;
    bool listener;
    /* Listeners. */
    struct list queue; /* of sockets to accept, by queue_link */
    int queued, backlog;
    /* Connections. */
    struct list queue_link;
    struct sim_conn *conn;
    int side;
    bool connecting;
    bool dead; /* reset or given up: nothing comes or goes any more */
    int error; /* pending, positive */
    uint64_t send_limit, receive_limit;
};

static int64_t link_delay(const struct sim_conn *conn)
{
    struct sim *sim = conn->sim;
    if (conn->nodes[0] == conn->nodes[1])
        return sim_random_between(&sim->net, LOCAL_DELAY_MIN_NS, LOCAL_DELAY_MAX_NS);
    return sim_random_latency(&sim->net, sim->options.link_min_ns, sim->options.link_max_ns,
                              sim->options.link_slow_ppm);
}

/* Whether anything can pass from end `from` to the other one's machine. */
static bool link_open(const struct sim_conn *conn, int from)
{
    const struct sim_node *a = conn->nodes[from], *b = conn->nodes[1 - from];
    return a == b || (!a->blocked_to[b->index] && !b->off);
}

static int64_t backoff(struct sim *sim, int64_t *retry_ns)
{
    int64_t wait_ns = *retry_ns + sim_random_between(&sim->net, 0, *retry_ns / 4);
    *retry_ns = *retry_ns * 2 < RETRY_MAX_NS ? *retry_ns * 2 : RETRY_MAX_NS;
    return wait_ns;
}

/* Chunks.
 * ------------------------------------------------------------------------------------------- */

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

/* Connections.
 * --------------------------------------------------------------------------------------- */

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

/* An end learns that the connection is over. What arrived before can still be read. */
static void end_break(struct sim_conn *conn, int end, int error)
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

static void send_reset(struct sim_conn *conn, int to)
{
    if (conn->ends[to] && !conn->ends[to]->dead && !sim_event_is_set(&conn->resets[to]))
        sim_event_set(conn->sim, &conn->resets[to], sim_time(conn->sim) + link_delay(conn));
}

static void reset_arrives(struct sim_conn *conn, int to)
{
    if (!link_open(conn, 1 - to) || conn->nodes[to]->blocked_to[conn->nodes[1 - to]->index]) {
        sim_event_set(conn->sim, &conn->resets[to], sim_time(conn->sim) + RETRY_MIN_NS);
        return;
    }
    end_break(conn, to, ECONNRESET);
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
        end_break(pipe->conn, pipe->from, ETIMEDOUT);
        return true;
    }
    sim_event_set(sim, event, sim->now_ns + backoff(sim, &pipe->retry_ns));
    return false;
}

/* Send what can be sent, unless a delivery is under way. */
static void pipe_kick(struct sim_pipe *pipe)
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
    sim_event_set(conn->sim, &pipe->deliver, sim_time(conn->sim) + link_delay(conn));
}

static void pipe_delivers(struct sim_event *event)
{
    struct sim_pipe *pipe = container_of(event, struct sim_pipe, deliver);
    struct sim_conn *conn = pipe->conn;
    struct sim *sim = conn->sim;
    if (!link_open(conn, pipe->from)) {
        pipe_stuck(pipe, event);
        return;
    }
    struct sim_sock *receiver = conn->ends[1 - pipe->from];
    if (!receiver || receiver->dead) {
        send_reset(conn, pipe->from);
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
        sim_event_set(sim, &pipe->ack, sim->now_ns + link_delay(conn));
    sim_trace(sim, receiver->node, "arrived", pipe->fin_arrived, NULL);
    sim_watch_changed(receiver->watch);
    pipe_kick(pipe);
}

static void pipe_acked(struct sim_event *event)
{
    struct sim_pipe *pipe = container_of(event, struct sim_pipe, ack);
    struct sim_conn *conn = pipe->conn;
    struct sim_sock *sender = conn->ends[pipe->from];
    if (!link_open(conn, 1 - pipe->from)) {
        pipe_stuck(pipe, event);
        return;
    }
    pipe->stuck_since_ns = -1;
    pipe->acked = pipe->arrived;
    if (sender)
        sim_watch_changed(sender->watch);
}

static struct sim_sock *sock_create(struct sim_node *node)
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

static void sock_free(struct sim_sock *sock)
{
    if (sock->watch) {
        list_remove(&sock->watch->link);
        sim_free(sock->watch);
    }
    list_remove(&sock->link);
    list_remove(&sock->queue_link);
    sim_free(sock);
}

static struct sim_conn *conn_create(struct sim_node *from, struct sim_node *to,
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

/* The process closes its end, or the kernel does so after it died. Unread bytes make it a reset. */
static void sock_end(struct sim_sock *sock)
{
    struct sim_conn *conn = sock->conn;
    int end = sock->side;
    struct sim_pipe *in = &conn->pipes[1 - end], *out = &conn->pipes[end];
    bool unread = in->arrived > in->read;
    bool dead = sock->dead, connecting = sock->connecting;
    conn->ends[end] = NULL;
    sock_free(sock);
    if (dead || connecting || unread) {
        pipe_drop(out);
        sim_event_cancel(conn->sim, &conn->handshake);
        if (!dead)
            send_reset(conn, 1 - end);
    } else {
        out->fin = true;
        pipe_kick(out);
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
    sock_free(sock);
    pipe_drop(&conn->pipes[end]);
    if (end == 0)
        sim_event_cancel(conn->sim, &conn->handshake);
    sim_event_cancel(conn->sim, &conn->resets[1 - end]);
    if (!conn->ends[1 - end])
        conn_free(conn);
}

static void listener_end(struct sim_sock *listener, enum sim_crash kind)
{
    struct list *at;
    while ((at = list_pop(&listener->queue))) {
        struct sim_sock *sock = container_of(at, struct sim_sock, queue_link);
        if (kind == SIM_POWER) {
            sock_vanish(sock);
        } else {
            send_reset(sock->conn, 1 - sock->side);
            sock->dead = true;
            sock_end(sock);
        }
    }
    sock_free(listener);
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
        listener_end(listener, kind);
    while (!list_empty(&node->socks)) {
        struct sim_sock *sock = list_first(&node->socks, struct sim_sock, link);
        if (kind == SIM_POWER)
            sock_vanish(sock);
        else
            sock_end(sock);
    }
}

void sim_net_close(struct sim *sim)
{
    must(list_empty(&sim->conns));
}

/* Addresses.
 * ----------------------------------------------------------------------------------------- */

/* The node with this index has 10.0.0.(index + 1). */
void sim_node_address(const struct sim_node *node, uint16_t port, struct net_address *ret_address)
{
    *ret_address = (struct net_address){
        .family = NET_IP4, .port = port, .ip = {10, 0, 0, (uint8_t)(node->index + 1)}};
}

static bool address_is_any(const struct net_address *address)
{
    static const uint8_t zero[16];
    size_t size = address->family == NET_IP4 ? 4 : 16;
    return address->family != NET_UNIX && memcmp(address->ip, zero, size) == 0;
}

static struct sim_node *address_node(struct sim_node *from, const struct net_address *address)
{
    if (address->family == NET_UNIX || address_is_any(address) || net_address_is_loopback(address))
        return from;
    if (address->family != NET_IP4 || memcmp(address->ip, "\x0a\0\0", 3) != 0)
        return NULL;
    int index = address->ip[3] - 1;
    return index >= 0 && index < from->sim->node_count ? from->sim->nodes[index] : NULL;
}

static struct sim_sock *find_listener(struct sim_node *node, const struct net_address *address)
{
    list_for_each (at, &node->socks) {
        struct sim_sock *sock = container_of(at, struct sim_sock, link);
        const struct net_address *local = &sock->local;
        if (!sock->listener || (local->family == NET_UNIX) != (address->family == NET_UNIX))
            continue;
        if (address->family == NET_UNIX) {
            if (strcmp(local->path, address->path) == 0)
                return sock;
        } else if (local->port == address->port &&
                   (address_is_any(local) || address_is_any(address) ||
                    (local->family == address->family &&
                     memcmp(local->ip, address->ip, sizeof local->ip) == 0))) {
            return sock;
        }
    }
    return NULL;
}

static uint16_t free_port(struct sim_node *node)
{
    if (node->next_port < 32768)
        node->next_port = 32768;
    return node->next_port++;
}

int sim_resolve(struct env *env, const char *host, uint16_t port, struct net_address *ret, int max)
{
    struct sim_node *node = sim_node_of(env);
    must(max > 0);
    sim_enter(node, "resolve");
    if (net_address_parse(host, port, ret) == 0)
        return 1;
    sim_check_blocking(node, "resolve");
    sim_sleep(node, sim_random_between(&node->sim->net, 50000, 2000000));
    if (strcmp(host, "localhost") == 0)
        return net_address_parse("127.0.0.1", port, ret) == 0;
    for (int i = 0; i < node->sim->node_count; i++) {
        if (strcmp(node->sim->nodes[i]->name, host) == 0) {
            sim_node_address(node->sim->nodes[i], port, ret);
            return 1;
        }
    }
    return -ENOENT;
}

/* Connecting.
 * ---------------------------------------------------------------------------------------- */

/* A place in the listener's queue for the other end, at the time the first packet arrives. */
static void listener_queue(struct sim_sock *listener, struct sim_conn *conn)
{
    struct sim_sock *sock = sock_create(listener->node);
    sock->local = conn->target;
    sock->conn = conn;
    sock->side = 1;
    conn->ends[1] = sock;
    list_push_back(&listener->queue, &sock->queue_link);
    listener->queued++;
    sim_watch_changed(listener->watch);
}

/* The first packet arrives, or its answer does. */
static void handshake_goes_on(struct sim_event *event)
{
    struct sim_conn *conn = container_of(event, struct sim_conn, handshake);
    struct sim *sim = conn->sim;
    struct sim_sock *client = conn->ends[0];
    if (conn->answered) {
        if (conn->refused) {
            end_break(conn, 0, ECONNREFUSED);
            return;
        }
        client->connecting = false;
        sim_watch_changed(client->watch);
        return;
    }
    struct sim_sock *listener =
        conn->nodes[1]->up ? find_listener(conn->nodes[1], &conn->target) : NULL;
    bool lost = !link_open(conn, 0) || !link_open(conn, 1);
    if (lost || (listener && listener->queued >= listener->backlog)) {
        if (sim->now_ns - conn->began_ns > sim->options.connect_timeout_ns)
            end_break(conn, 0, ETIMEDOUT);
        else
            sim_event_set(sim, event, sim->now_ns + backoff(sim, &conn->retry_ns));
        return;
    }
    conn->answered = true;
    conn->refused = !listener;
    if (listener)
        listener_queue(listener, conn);
    sim_event_set(sim, event, sim->now_ns + link_delay(conn));
}

static bool address_is_mine(const struct sim_node *node, const struct net_address *address)
{
    struct net_address own;
    sim_node_address(node, 0, &own);
    return address->family == NET_UNIX || address_is_any(address) ||
           net_address_is_loopback(address) ||
           (address->family == NET_IP4 && memcmp(address->ip, own.ip, 4) == 0);
}

int sim_sock_listen(struct env *env, const struct net_address *address, int backlog)
{
    struct sim_node *node = sim_node_of(env);
    struct net_address local = *address;
    sim_enter(node, "listen");
    if (address->family == NET_NONE)
        return -EAFNOSUPPORT;
    if (!node->up)
        return -ENETDOWN;
    if (!address_is_mine(node, address))
        return -EADDRNOTAVAIL;
    if (local.family != NET_UNIX && local.port == 0)
        local.port = free_port(node);
    if (find_listener(node, &local))
        return -EADDRINUSE;
    struct sim_sock *sock = sock_create(node);
    int fd = sim_fd_add(node, SIM_FD_SOCK, sock);
    if (fd < 0) {
        sock_free(sock);
        return fd;
    }
    sock->listener = true;
    sock->local = local;
    sock->backlog = backlog > 0 ? backlog : 1;
    return fd;
}

int sim_sock_accept(struct env *env, int listener, struct net_address *ret_peer)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "accept");
    struct sim_sock *sock = sim_fd_get(node, listener, SIM_FD_SOCK);
    if (!sock)
        return -EBADF;
    if (!sock->listener)
        return -EINVAL;
    if (list_empty(&sock->queue))
        return -EAGAIN;
    struct sim_sock *accepted = list_first(&sock->queue, struct sim_sock, queue_link);
    int fd = sim_fd_add(node, SIM_FD_SOCK, accepted);
    if (fd < 0)
        return fd;
    list_remove(&accepted->queue_link);
    sock->queued--;
    if (ret_peer) {
        struct sim_sock *peer = accepted->conn->ends[0];
        if (accepted->local.family == NET_UNIX)
            *ret_peer = (struct net_address){.family = NET_UNIX};
        else if (peer)
            *ret_peer = peer->local;
        else
            sim_node_address(accepted->conn->nodes[0], 1, ret_peer);
    }
    return fd;
}

static int connect_unix(struct sim_sock *sock, struct sim_conn *conn)
{
    struct sim_sock *listener = find_listener(sock->node, &conn->target);
    if (!listener)
        return -ECONNREFUSED;
    if (listener->queued >= listener->backlog)
        return -EAGAIN;
    listener_queue(listener, conn);
    return 0;
}

int sim_sock_connect(struct env *env, const struct net_address *address)
{
    struct sim_node *node = sim_node_of(env);
    struct sim *sim = node->sim;
    sim_enter(node, "connect");
    if (address->family == NET_NONE)
        return -EAFNOSUPPORT;
    struct sim_node *to = address_node(node, address);
    if (!to || !node->up)
        return -ENETUNREACH;
    struct sim_sock *sock = sock_create(node);
    int fd = sim_fd_add(node, SIM_FD_SOCK, sock);
    if (fd < 0) {
        sock_free(sock);
        return fd;
    }
    struct sim_conn *conn = conn_create(node, to, handshake_goes_on);
    sock->conn = conn;
    conn->ends[0] = sock;
    conn->target = *address;
    if (address->family == NET_UNIX) {
        sock->local.family = NET_UNIX;
        int err = connect_unix(sock, conn);
        if (err < 0) {
            sim_fd_remove(node, fd);
            sock->dead = true;
            sock_end(sock);
            return err;
        }
        return fd;
    }
    if (to == node && !address_is_any(address))
        sock->local = *address;
    else
        sim_node_address(node, 0, &sock->local);
    sock->local.port = free_port(node);
    sock->connecting = true;
    sim_trace(sim, to, "syn", address->port, NULL);
    sim_event_set(sim, &conn->handshake, sim_time(sim) + link_delay(conn));
    return fd;
}

/* Using a connection.
 * -------------------------------------------------------------------------------- */

static size_t sock_unread(const struct sim_sock *sock)
{
    const struct sim_pipe *in = &sock->conn->pipes[1 - sock->side];
    return in->inbox_size - in->inbox_at;
}

static uint64_t sock_space(const struct sim_sock *sock)
{
    const struct sim_pipe *out = &sock->conn->pipes[sock->side];
    uint64_t used = out->written - out->acked;
    return used < sock->send_limit ? sock->send_limit - used : 0;
}

unsigned sim_sock_events(const struct sim_sock *sock)
{
    if (sock->listener)
        return list_empty(&sock->queue) ? 0 : ENV_POLL_IN;
    if (sock->dead)
        return ENV_POLL_IN | ENV_POLL_OUT | ENV_POLL_HUP;
    if (sock->connecting)
        return 0;
    unsigned events = 0;
    if (sock_unread(sock) > 0 || sock->conn->pipes[1 - sock->side].fin_arrived)
        events |= ENV_POLL_IN;
    if (sock_space(sock) >= sock->send_limit / 3)
        events |= ENV_POLL_OUT;
    return events;
}

struct sim_watch **sim_sock_watch(struct sim_sock *sock)
{
    return &sock->watch;
}

static int sock_take_error(struct sim_sock *sock)
{
    int error = sock->error;
    sock->error = 0;
    return -error;
}

int sim_sock_error(struct env *env, int sock)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "sock error");
    struct sim_sock *found = sim_fd_get(node, sock, SIM_FD_SOCK);
    return found ? sock_take_error(found) : -EBADF;
}

int sim_sock_local(struct env *env, int sock, struct net_address *ret_address)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "sock local");
    struct sim_sock *found = sim_fd_get(node, sock, SIM_FD_SOCK);
    if (!found)
        return -EBADF;
    *ret_address = found->local;
    return 0;
}

static uint64_t buffer_limit(int bytes)
{
    return bytes < BUFFER_LIMIT_MIN ? BUFFER_LIMIT_MIN : (uint64_t)bytes;
}

int sim_sock_buffers(struct env *env, int sock, int send_bytes, int receive_bytes)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "sock buffers");
    struct sim_sock *found = sim_fd_get(node, sock, SIM_FD_SOCK);
    if (!found)
        return -EBADF;
    if (send_bytes >= 0)
        found->send_limit = buffer_limit(send_bytes);
    /* A window that was promised is not taken back. */
    if (receive_bytes >= 0 && buffer_limit(receive_bytes) > found->receive_limit)
        found->receive_limit = buffer_limit(receive_bytes);
    return 0;
}

/* The connection behind a descriptor, or NULL and the error. */
static struct sim_sock *stream_of(struct sim_node *node, int fd, int *ret_error)
{
    struct sim_sock *sock = sim_fd_get(node, fd, SIM_FD_SOCK);
    *ret_error = !sock ? -EBADF : sock->listener ? -ENOTCONN : 0;
    return *ret_error == 0 ? sock : NULL;
}

ssize_t sim_sock_read(struct env *env, int fd, void *data, size_t size)
{
    struct sim_node *node = sim_node_of(env);
    struct sim *sim = node->sim;
    int err;
    sim_enter(node, "recv");
    struct sim_sock *sock = stream_of(node, fd, &err);
    if (!sock)
        return err;
    size_t unread = sock_unread(sock);
    struct sim_pipe *in = &sock->conn->pipes[1 - sock->side];
    if (unread == 0) {
        if (sock->error)
            return sock_take_error(sock);
        return sock->dead || in->fin_arrived ? 0 : -EAGAIN;
    }
    if (size == 0)
        return 0;
    if (sim_random_ppm(&sim->net, sim->options.again_ppm))
        return -EAGAIN;
    if (size > unread)
        size = unread;
    if (size > 1 && sim_random_ppm(&sim->net, sim->options.short_io_ppm))
        size = 1 + (size_t)sim_random_below(&sim->net, size);
    memcpy(data, in->inbox + in->inbox_at, size);
    in->inbox_at += size;
    in->read += size;
    pipe_kick(in);
    return (ssize_t)size;
}

/* How many of `size` bytes the connection takes now, at least one, or -errno. */
static ssize_t sock_admit(struct sim_sock *sock, size_t size)
{
    struct sim *sim = sock->node->sim;
    if (sock->error)
        return sock_take_error(sock);
    if (sock->dead)
        return -EPIPE;
    uint64_t space = sock_space(sock);
    if (sock->connecting || space == 0 || sim_random_ppm(&sim->net, sim->options.again_ppm))
        return -EAGAIN;
    if (size > space)
        size = space;
    if (size > 1 && sim_random_ppm(&sim->net, sim->options.short_io_ppm))
        size = 1 + (size_t)sim_random_below(&sim->net, size);
    return (ssize_t)size;
}

static void sock_send(struct sim_sock *sock, struct sim_chunk *chunk)
{
    struct sim_pipe *out = &sock->conn->pipes[sock->side];
    list_push_back(&out->chunks, &chunk->link);
    out->written += chunk->size;
    pipe_kick(out);
}

ssize_t sim_sock_write(struct env *env, int fd, const struct iovec *parts, int count, bool more)
{
    struct sim_node *node = sim_node_of(env);
    size_t size = 0, filled = 0;
    int err;
    (void)more;
    sim_enter(node, "send");
    struct sim_sock *sock = stream_of(node, fd, &err);
    if (!sock)
        return err;
    if (count > ENV_PARTS_MAX)
        count = ENV_PARTS_MAX;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    if (size == 0)
        return 0;
    ssize_t admitted = sock_admit(sock, size);
    if (admitted < 0)
        return admitted;
    struct sim_chunk *chunk = sim_alloc(sizeof *chunk + (size_t)admitted);
    chunk->size = (size_t)admitted;
    for (int i = 0; filled < chunk->size; i++) {
        size_t part = parts[i].iov_len;
        if (part > chunk->size - filled)
            part = chunk->size - filled;
        if (part > 0)
            memcpy(chunk->data + filled, parts[i].iov_base, part);
        filled += part;
    }
    sock_send(sock, chunk);
    return admitted;
}

ssize_t sim_sock_sendfile(struct env *env, int fd, int file, int64_t offset, size_t size)
{
    struct sim_node *node = sim_node_of(env);
    int err;
    sim_enter(node, "sendfile");
    struct sim_sock *sock = stream_of(node, fd, &err);
    struct sim_inode *inode = sim_file_inode(node, file);
    if (!sock || !inode)
        return sock ? -EBADF : err;
    int64_t left = sim_inode_size(inode) - offset;
    if (offset < 0 || left <= 0 || size == 0)
        return offset < 0 ? -EINVAL : 0;
    if ((uint64_t)left < size)
        size = (size_t)left;
    ssize_t admitted = sock_admit(sock, size);
    if (admitted < 0)
        return admitted;
    struct sim_chunk *chunk = sim_alloc(sizeof *chunk);
    sim_inode_ref(inode);
    chunk->size = (size_t)admitted;
    chunk->inode = inode;
    chunk->offset = offset;
    sock_send(sock, chunk);
    return admitted;
}

int sim_sock_close(struct env *env, int fd)
{
    struct sim_node *node = sim_node_of(env);
    sim_enter(node, "close");
    struct sim_sock *sock = sim_fd_get(node, fd, SIM_FD_SOCK);
    if (!sock)
        return -EBADF;
    sim_fd_remove(node, fd);
    if (sock->listener)
        listener_end(sock, SIM_KILL);
    else
        sock_end(sock);
    return 0;
}

/* Troubles.
 * ------------------------------------------------------------------------------------------ */

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
            end_break(conn, 0, ECONNRESET);
            end_break(conn, 1, ECONNRESET);
        }
    }
}
