/* The calls on sockets. What moves bytes between them is in sim_conn.c. */
#include "sim/sim_net.h"

#include <string.h>

#define BUFFER_LIMIT_MIN 4096

/* Addresses. */

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

/* Connecting. */

/* A place in the listener's queue for the other end, at the time the first packet arrives. */
static void listener_queue(struct sim_sock *listener, struct sim_conn *conn)
{
    struct sim_sock *sock = sim_sock_create(listener->node);
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
            sim_conn_break(conn, 0, ECONNREFUSED);
            return;
        }
        client->connecting = false;
        sim_watch_changed(client->watch);
        return;
    }
    struct sim_sock *listener =
        conn->nodes[1]->up ? find_listener(conn->nodes[1], &conn->target) : NULL;
    bool lost = !sim_link_open(conn, 0) || !sim_link_open(conn, 1);
    if (lost || (listener && listener->queued >= listener->backlog)) {
        if (sim->now_ns - conn->began_ns > sim->options.connect_timeout_ns)
            sim_conn_break(conn, 0, ETIMEDOUT);
        else
            sim_event_set(sim, event, sim->now_ns + sim_link_backoff(sim, &conn->retry_ns));
        return;
    }
    conn->answered = true;
    conn->refused = !listener;
    if (listener)
        listener_queue(listener, conn);
    sim_event_set(sim, event, sim->now_ns + sim_link_delay(conn));
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
    struct sim_sock *sock = sim_sock_create(node);
    int fd = sim_fd_add(node, SIM_FD_SOCK, sock);
    if (fd < 0) {
        sim_sock_free(sock);
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
    struct sim_sock *sock = sim_sock_create(node);
    int fd = sim_fd_add(node, SIM_FD_SOCK, sock);
    if (fd < 0) {
        sim_sock_free(sock);
        return fd;
    }
    struct sim_conn *conn = sim_conn_create(node, to, handshake_goes_on);
    sock->conn = conn;
    conn->ends[0] = sock;
    conn->target = *address;
    if (address->family == NET_UNIX) {
        sock->local.family = NET_UNIX;
        int err = connect_unix(sock, conn);
        if (err < 0) {
            sim_fd_remove(node, fd);
            sock->dead = true;
            sim_sock_end(sock);
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
    sim_event_set(sim, &conn->handshake, sim_time(sim) + sim_link_delay(conn));
    return fd;
}

/* Using a connection. */

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
    sim_pipe_kick(in);
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
    sim_pipe_kick(out);
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
        sim_listener_end(sock, SIM_KILL);
    else
        sim_sock_end(sock);
    return 0;
}
