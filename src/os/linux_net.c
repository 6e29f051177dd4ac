#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/must.h"
#include "os/linux_internal.h"

union socket_address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
    struct sockaddr_un un;
};

/* A Unix-domain listener, so that closing it removes its path if that is still the same socket. */
struct listener {
    struct list link;
    int sock;
    dev_t device;
    ino_t inode;
    char path[108];
};

static_assert(sizeof(((struct net_address *)0)->path) ==
                  sizeof(((struct sockaddr_un *)0)->sun_path),
              "paths have the kernel's size");

/* Returns the size of what was written to `ret`, or -errno. */
static int address_to_linux(const struct net_address *address, union socket_address *ret)
{
    memset(ret, 0, sizeof *ret);
    switch (address->family) {
    case NET_IP4:
        ret->ip4.sin_family = AF_INET;
        ret->ip4.sin_port = htons(address->port);
        memcpy(&ret->ip4.sin_addr, address->ip, 4);
        return sizeof ret->ip4;
    case NET_IP6:
        ret->ip6.sin6_family = AF_INET6;
        ret->ip6.sin6_port = htons(address->port);
        memcpy(&ret->ip6.sin6_addr, address->ip, 16);
        return sizeof ret->ip6;
    case NET_UNIX:
        if (!memchr(address->path, 0, sizeof address->path))
            return -ENAMETOOLONG;
        ret->un.sun_family = AF_UNIX;
        memcpy(ret->un.sun_path, address->path, sizeof address->path);
        return sizeof ret->un;
    case NET_NONE:
        break;
    }
    return -EAFNOSUPPORT;
}

/* IPv4 peers of a "::" listener are shown as IPv4. */
static void address_from_linux(const union socket_address *from, struct net_address *ret)
{
    memset(ret, 0, sizeof *ret);
    if (from->any.sa_family == AF_INET) {
        ret->family = NET_IP4;
        ret->port = ntohs(from->ip4.sin_port);
        memcpy(ret->ip, &from->ip4.sin_addr, 4);
    } else if (from->any.sa_family == AF_INET6) {
        ret->port = ntohs(from->ip6.sin6_port);
        ret->family = IN6_IS_ADDR_V4MAPPED(&from->ip6.sin6_addr) ? NET_IP4 : NET_IP6;
        if (ret->family == NET_IP4)
            memcpy(ret->ip, from->ip6.sin6_addr.s6_addr + 12, 4);
        else
            memcpy(ret->ip, &from->ip6.sin6_addr, 16);
    } else if (from->any.sa_family == AF_UNIX) {
        ret->family = NET_UNIX;
        memcpy(ret->path, from->un.sun_path, sizeof ret->path - 1);
    }
}

void linux_net_init(struct linux_env *env)
{
    must(pthread_mutex_init(&env->listeners_lock, NULL) == 0);
    list_init(&env->listeners);
    atomic_init(&env->listener_count, 0);
}

void linux_net_close(struct linux_env *env)
{
    struct list *link;
    while ((link = list_pop(&env->listeners)))
        free(container_of(link, struct listener, link));
    pthread_mutex_destroy(&env->listeners_lock);
}

/* A TCP or Unix-domain socket with the options that every connection has. Accepted sockets take
 * them over from their listener. */
static int sock_create(int family)
{
    int on = 1;
    int sock = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return -errno;
    if (family != AF_UNIX && (setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
                              setsockopt(sock, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0)) {
        int err = -errno;
        close(sock);
        return err;
    }
    return sock;
}

/* Make way for a listener at a path: remove a socket that nobody answers on. */
static int unix_path_clear(const union socket_address *address, socklen_t size)
{
    struct stat stat_;
    const char *path = address->un.sun_path;
    if (lstat(path, &stat_) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(stat_.st_mode))
        return -EADDRINUSE;
    int probe = sock_create(AF_UNIX);
    if (probe < 0)
        return probe;
    bool refused = connect(probe, &address->any, size) < 0 && errno == ECONNREFUSED;
    close(probe);
    if (!refused)
        return -EADDRINUSE;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int unix_listener_add(struct linux_env *env, int sock, const char *path)
{
    struct stat stat_;
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return -ENOMEM;
    if (stat(path, &stat_) < 0) {
        free(listener);
        return -errno;
    }
    listener->sock = sock;
    listener->device = stat_.st_dev;
    listener->inode = stat_.st_ino;
    memcpy(listener->path, path, sizeof listener->path);
    pthread_mutex_lock(&env->listeners_lock);
    list_push_back(&env->listeners, &listener->link);
    atomic_fetch_add(&env->listener_count, 1);
    pthread_mutex_unlock(&env->listeners_lock);
    return 0;
}

static void unix_listener_remove(struct linux_env *env, int sock)
{
    struct listener *found = NULL;
    struct stat stat_;
    pthread_mutex_lock(&env->listeners_lock);
    list_for_each (at, &env->listeners) {
        struct listener *listener = container_of(at, struct listener, link);
        if (listener->sock == sock)
            found = listener;
    }
    if (found) {
        list_remove(&found->link);
        atomic_fetch_sub(&env->listener_count, 1);
    }
    pthread_mutex_unlock(&env->listeners_lock);
    if (!found)
        return;
    if (stat(found->path, &stat_) == 0 && stat_.st_dev == found->device &&
        stat_.st_ino == found->inode)
        (void)unlink(found->path);
    free(found);
}

static int sock_bind(int sock, const union socket_address *address, socklen_t size, int backlog)
{
    int on = 1, off = 0;
    int family = address->any.sa_family;
    if (family != AF_UNIX && setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return -errno;
    if (family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->ip6.sin6_addr) &&
        setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0)
        return -errno;
    if (bind(sock, &address->any, size) < 0 || listen(sock, backlog) < 0)
        return -errno;
    return 0;
}

int linux_sock_listen(struct env *env, const struct net_address *address, int backlog)
{
    union socket_address linux_address;
    int size = address_to_linux(address, &linux_address);
    if (size < 0)
        return size;
    if (address->family == NET_UNIX) {
        int err = unix_path_clear(&linux_address, (socklen_t)size);
        if (err < 0)
            return err;
    }
    int sock = sock_create(linux_address.any.sa_family);
    if (sock < 0)
        return sock;
    int err = sock_bind(sock, &linux_address, (socklen_t)size, backlog);
    if (err == 0 && address->family == NET_UNIX)
        err = unix_listener_add(linux_env_of(env), sock, address->path);
    if (err < 0) {
        close(sock);
        return err;
    }
    return sock;
}

/* Errors of the connection that was to be accepted are not the listener's: take the next one. */
int linux_sock_accept(struct env *env, int listener, struct net_address *ret_peer)
{
    (void)env;
    for (;;) {
        union socket_address from = {0};
        socklen_t size = sizeof from;
        int sock = accept4(listener, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (sock >= 0) {
            if (ret_peer)
                address_from_linux(&from, ret_peer);
            return sock;
        }
        switch (errno) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case ENETUNREACH:
            continue;
        default:
            return -errno;
        }
    }
}

int linux_sock_connect(struct env *env, const struct net_address *address)
{
    union socket_address linux_address;
    (void)env;
    int size = address_to_linux(address, &linux_address);
    if (size < 0)
        return size;
    int sock = sock_create(linux_address.any.sa_family);
    if (sock < 0)
        return sock;
    /* After EINTR the connection goes on by itself, as after EINPROGRESS. */
    if (connect(sock, &linux_address.any, (socklen_t)size) < 0 && errno != EINPROGRESS &&
        errno != EINTR) {
        int err = -errno;
        close(sock);
        return err;
    }
    return sock;
}

int linux_sock_error(struct env *env, int sock)
{
    int error = 0;
    socklen_t size = sizeof error;
    (void)env;
    if (getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

int linux_sock_local(struct env *env, int sock, struct net_address *ret_address)
{
    union socket_address address = {0};
    socklen_t size = sizeof address;
    (void)env;
    if (getsockname(sock, &address.any, &size) < 0)
        return -errno;
    address_from_linux(&address, ret_address);
    return 0;
}

int linux_sock_buffers(struct env *env, int sock, int send_bytes, int receive_bytes)
{
    (void)env;
    if (send_bytes >= 0 &&
        setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes) < 0)
        return -errno;
    if (receive_bytes >= 0 &&
        setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes) < 0)
        return -errno;
    return 0;
}

ssize_t linux_sock_read(struct env *env, int sock, void *data, size_t size)
{
    (void)env;
    ssize_t n = linux_retry(recv(sock, data, size, 0));
    return n < 0 ? -errno : n;
}

ssize_t linux_sock_write(struct env *env, int sock, const struct iovec *parts, int count, bool more)
{
    (void)env;
    if (count > ENV_PARTS_MAX)
        count = ENV_PARTS_MAX;
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    ssize_t n = linux_retry(count == 1 ? send(sock, parts[0].iov_base, parts[0].iov_len, flags)
                                       : sendmsg(sock, &message, flags));
    return n < 0 ? -errno : n;
}

ssize_t linux_sock_sendfile(struct env *env, int sock, int file, int64_t offset, size_t size)
{
    off_t at = offset;
    (void)env;
    ssize_t n = linux_retry(sendfile(sock, file, &at, size));
    return n < 0 ? -errno : n;
}

int linux_sock_close(struct env *env, int sock)
{
    struct linux_env *linux_env = linux_env_of(env);
    if (atomic_load_explicit(&linux_env->listener_count, memory_order_relaxed) > 0)
        unix_listener_remove(linux_env, sock);
    return close(sock) < 0 && errno != EINTR ? -errno : 0;
}

static int resolve_error(int error)
{
    switch (error) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return -ENOENT;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return -errno;
    default:
        return -EIO;
    }
}

int linux_resolve(struct env *env, const char *host, uint16_t port, struct net_address *ret,
                  int max)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    (void)env;
    must(max > 0);
    if (net_address_parse(host, port, ret) == 0)
        return 1;
    linux_check_blocking("resolve");
    int error = getaddrinfo(host, NULL, &hints, &found);
    if (error != 0)
        return resolve_error(error);
    int count = 0;
    for (struct addrinfo *at = found; at && count < max; at = at->ai_next) {
        union socket_address address = {0};
        if (at->ai_addrlen > sizeof address)
            continue;
        memcpy(&address, at->ai_addr, at->ai_addrlen);
        address_from_linux(&address, &ret[count]);
        ret[count++].port = port;
    }
    freeaddrinfo(found);
    return count > 0 ? count : -ENOENT;
}
