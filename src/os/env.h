/* All that a node sees of the outside: clock, randomness, disk, network, threads.
 *
 * Nothing above rank 1 calls the operating system; lint checks it. There are two implementations:
 * Linux (os/linux_env.h) and the simulated one (sim/sim.h). A struct env is embedded first in
 * the implementation's own struct.
 *
 * Results are 0 or a count, or -errno. Files and sockets are small integers in one number space per
 * env. Every call may fail with the errno that Linux documents for it; -EINTR is never returned.
 *
 * Calls marked BLOCKING may wait for a device. Threads made by thread_start are loops and must not
 * make them: a debug build and the simulator stop the program there. Where such a call is right all
 * the same (start and stop, a file known to be small), the caller says so:
 *
 *     bool before = env_allow_blocking(env, true);
 *     err = env_replace(env, path, data, size);
 *     env_allow_blocking(env, before);
 */
#ifndef JACKDAW_OS_ENV_H
#define JACKDAW_OS_ENV_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/say.h"

struct env;
struct env_poller;
struct env_thread;

/* A network address, without name service. */
struct net_address {
    enum { NET_NONE, NET_IP4, NET_IP6, NET_UNIX } family;
    uint16_t port;
    uint8_t ip[16]; /* IPv4 in the first four bytes */
    char path[108]; /* NET_UNIX: NUL-terminated */
};

enum env_open_flags {
    ENV_READ = 1,
    ENV_WRITE = 2,
    ENV_CREATE = 4,
    ENV_EXCLUSIVE = 8,
    ENV_TRUNCATE = 16,
};

/* Parts of one scatter/gather call. */
#define ENV_PARTS_MAX 1024

struct env_stat {
    int64_t size_bytes;
    int64_t modified_ms; /* wall clock */
    bool is_dir;
};

/* HUP says that the connection is gone in both directions or broken. It is reported whether asked
 * for or not, again in every turn, so its receiver closes the socket or stops watching it. A peer
 * that has only finished sending shows as IN and a read of 0. */
enum env_poll_events {
    ENV_POLL_IN = 1,
    ENV_POLL_OUT = 2,
    ENV_POLL_HUP = 4,
};

struct env_poll_event {
    unsigned events;
    void *tag;
};

/* A blocking piece of work. `run` and then `finish` are called on a pool thread; `finish` only
 * hands the result on, and may free the job. They are two because the simulator calls `finish` as a
 * step of its own, when the time that `run` took has passed. Callers use os/pool.h, which runs
 * `done` on the loop that submitted. */
struct env_job {
    struct env_job *next; /* the env's, while queued */
    void (*run)(struct env_job *job);
    void (*finish)(struct env_job *job);
};

struct env_ops {
    /* Time and randomness. */
    int64_t (*now_ns)(struct env *env);  /* monotonic */
    int64_t (*wall_ms)(struct env *env); /* since 1970; may jump */
    void (*random)(struct env *env, void *data, size_t size);

    /* Disk. Paths are NUL-terminated; relative ones start at the working directory. */
    int (*file_open)(struct env *env, const char *path, unsigned flags);
    int (*file_close)(struct env *env, int file);
    ssize_t (*file_read)(struct env *env, int file, void *data, size_t size,
                         int64_t offset); /* BLOCKING */
    /* As file_read, but -EAGAIN when it would wait for the device, or where the file system cannot
     * tell. Short counts are normal; 0 is the end of the file. */
    ssize_t (*file_read_nowait)(struct env *env, int file, void *data, size_t size, int64_t offset);
    /* To the page cache. May write less than asked; takes at most ENV_PARTS_MAX parts. */
    ssize_t (*file_write)(struct env *env, int file, const struct iovec *parts, int count,
                          int64_t offset);
    int (*file_sync)(struct env *env, int file); /* BLOCKING: fdatasync */
    int (*file_start_writeback)(struct env *env, int file, int64_t offset,
                                int64_t size); /* a hint */
    int (*file_truncate)(struct env *env, int file, int64_t size_bytes);
    int (*file_size)(struct env *env, int file, int64_t *ret_size_bytes);
    /* The whole file, opened for writing, exclusively; until it is closed. -EWOULDBLOCK if it is
     * held, by this or another process, Apache Kafka's too. */
    int (*file_lock)(struct env *env, int file);
    int (*path_stat)(struct env *env, const char *path, struct env_stat *ret_stat);
    int (*path_rename)(struct env *env, const char *from, const char *to);
    int (*path_unlink)(struct env *env, const char *path); /* BLOCKING for large files */
    int (*path_set_modified)(struct env *env, const char *path, int64_t wall_ms);
    int (*dir_create)(struct env *env, const char *path);
    int (*dir_remove)(struct env *env, const char *path);
    int (*dir_sync)(struct env *env,
                    const char *path); /* BLOCKING: names made or removed in it are durable */
    /* Calls `each` with every name but "." and "..", in byte order. A non-zero answer ends the walk
     * and is returned. */
    int (*dir_list)(struct env *env, const char *path, int (*each)(void *context, const char *name),
                    void *context);
    int (*disk_space)(struct env *env, const char *path, int64_t *ret_total, int64_t *ret_free);

    /* Network. Sockets never block and are closed on exec; TCP ones have NODELAY set. */
    /* "::" takes IPv4 as well. A Unix-domain path is removed first if it is a socket that nobody
     * answers on, else -EADDRINUSE; closing the listener removes it. */
    int (*sock_listen)(struct env *env, const struct net_address *address, int backlog);
    /* -EAGAIN when nobody waits. On -EMFILE, -ENFILE, -ENOBUFS and -ENOMEM the peer stays queued
     * and the listener stays readable: stop watching it for a while. ret_peer may be NULL. */
    int (*sock_accept)(struct env *env, int listener, struct net_address *ret_peer);
    int (*sock_connect)(
        struct env *env,
        const struct net_address *address);       /* under way: wait for OUT, then sock_error */
    int (*sock_error)(struct env *env, int sock); /* the pending error, 0 if none */
    int (*sock_local)(struct env *env, int sock, struct net_address *ret_address);
    int (*sock_buffers)(struct env *env, int sock, int send_bytes,
                        int receive_bytes);                                   /* -1: leave */
    ssize_t (*sock_read)(struct env *env, int sock, void *data, size_t size); /* 0: peer finished */
    /* -EAGAIN when the socket is full; -EPIPE or -ECONNRESET when the peer is gone. `more`: further
     * bytes follow at once, do not send a short segment yet. At most ENV_PARTS_MAX parts are taken.
     */
    ssize_t (*sock_write)(struct env *env, int sock, const struct iovec *parts, int count,
                          bool more);
    /* 0 when the file ends at or before `offset`. May wait for the device: probe before. */
    ssize_t (*sock_sendfile)(struct env *env, int sock, int file, int64_t offset, size_t size);
    int (*sock_close)(struct env *env, int sock); /* remove it from its poller before */
    /* Resolve a host name or literal to at most `max` addresses; returns the count, -ENOENT when
     * there is no such name, -EAGAIN when it is not known now. BLOCKING. */
    int (*resolve)(struct env *env, const char *host, uint16_t port, struct net_address *ret,
                   int max);

    /* Readiness, level-triggered. A poller belongs to one thread; poller_wake is for all. */
    struct env_poller *(*poller_create)(struct env *env);
    void (*poller_destroy)(struct env_poller *poller);
    int (*poller_add)(struct env_poller *poller, int sock, unsigned events, void *tag);
    int (*poller_change)(struct env_poller *poller, int sock, unsigned events, void *tag);
    int (*poller_remove)(struct env_poller *poller, int sock);
    /* Waits until an event, a wake or the deadline (monotonic ns; -1 none, 0 do not wait). Returns
     * the number of events, 0 for a wake, the deadline, or an earlier one that was given up: look
     * at the clock. Wakes are merged and consumed. */
    int (*poller_wait)(struct env_poller *poller, struct env_poll_event *events, int max,
                       int64_t deadline_ns);
    void (*poller_wake)(struct env_poller *poller);

    /* Execution. */
    /* Run `turn(context)` until it answers false: on a thread of its own in Linux; as an actor in
     * the simulator, which calls it when `poller` has an event, a wake or a passed deadline. */
    struct env_thread *(*thread_start)(struct env *env, const char *name, struct env_poller *poller,
                                       bool (*turn)(void *context), void *context);
    void (*thread_join)(struct env_thread *thread); /* waits for its end and frees it */
    void (*job_submit)(struct env *env, struct env_job *job);
    int (*core_count)(struct env *env); /* processors this process may use; at least 1 */
    /* Wait until no job is queued or under way, `finish` included. BLOCKING. */
    void (*jobs_wait)(struct env *env);
    /* Set whether the calling thread may make BLOCKING calls; returns what was set before. */
    bool (*allow_blocking)(struct env *env, bool allow);

    /* One finished log line; see base/say.h. */
    void (*log_line)(struct env *env, int level, const char *line, size_t size);
};

struct env {
    const struct env_ops *ops;
};

/* Wrappers, so that calls read env_read(env, …). */
static inline int64_t env_now_ns(struct env *env)
{
    return env->ops->now_ns(env);
}

static inline int64_t env_wall_ms(struct env *env)
{
    return env->ops->wall_ms(env);
}

static inline void env_random(struct env *env, void *data, size_t size)
{
    env->ops->random(env, data, size);
}

static inline int env_open(struct env *env, const char *path, unsigned flags)
{
    return env->ops->file_open(env, path, flags);
}

static inline int env_close(struct env *env, int file)
{
    return env->ops->file_close(env, file);
}

static inline ssize_t env_read(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    return env->ops->file_read(env, file, data, size, offset);
}

static inline ssize_t env_read_nowait(struct env *env, int file, void *data, size_t size,
                                      int64_t offset)
{
    return env->ops->file_read_nowait(env, file, data, size, offset);
}

static inline ssize_t env_writev(struct env *env, int file, const struct iovec *parts, int count,
                                 int64_t offset)
{
    return env->ops->file_write(env, file, parts, count, offset);
}

static inline int env_sync(struct env *env, int file)
{
    return env->ops->file_sync(env, file);
}

static inline int env_start_writeback(struct env *env, int file, int64_t offset, int64_t size)
{
    return env->ops->file_start_writeback(env, file, offset, size);
}

static inline int env_truncate(struct env *env, int file, int64_t size)
{
    return env->ops->file_truncate(env, file, size);
}

static inline int env_size(struct env *env, int file, int64_t *ret_size)
{
    return env->ops->file_size(env, file, ret_size);
}

static inline int env_lock(struct env *env, int file)
{
    return env->ops->file_lock(env, file);
}

static inline int env_stat(struct env *env, const char *path, struct env_stat *ret)
{
    return env->ops->path_stat(env, path, ret);
}

static inline int env_rename(struct env *env, const char *from, const char *to)
{
    return env->ops->path_rename(env, from, to);
}

static inline int env_unlink(struct env *env, const char *path)
{
    return env->ops->path_unlink(env, path);
}

static inline int env_set_modified(struct env *env, const char *path, int64_t wall_ms)
{
    return env->ops->path_set_modified(env, path, wall_ms);
}

static inline int env_mkdir(struct env *env, const char *path)
{
    return env->ops->dir_create(env, path);
}

static inline int env_rmdir(struct env *env, const char *path)
{
    return env->ops->dir_remove(env, path);
}

static inline int env_sync_dir(struct env *env, const char *path)
{
    return env->ops->dir_sync(env, path);
}

static inline int env_list_dir(struct env *env, const char *path,
                               int (*each)(void *context, const char *name), void *context)
{
    return env->ops->dir_list(env, path, each, context);
}

static inline int env_disk_space(struct env *env, const char *path, int64_t *ret_total,
                                 int64_t *ret_free)
{
    return env->ops->disk_space(env, path, ret_total, ret_free);
}

static inline int env_listen(struct env *env, const struct net_address *address, int backlog)
{
    return env->ops->sock_listen(env, address, backlog);
}

static inline int env_accept(struct env *env, int listener, struct net_address *ret_peer)
{
    return env->ops->sock_accept(env, listener, ret_peer);
}

static inline int env_connect(struct env *env, const struct net_address *address)
{
    return env->ops->sock_connect(env, address);
}

static inline int env_sock_error(struct env *env, int sock)
{
    return env->ops->sock_error(env, sock);
}

static inline int env_sock_local(struct env *env, int sock, struct net_address *ret)
{
    return env->ops->sock_local(env, sock, ret);
}

static inline int env_sock_buffers(struct env *env, int sock, int send_bytes, int receive_bytes)
{
    return env->ops->sock_buffers(env, sock, send_bytes, receive_bytes);
}

static inline ssize_t env_sock_read(struct env *env, int sock, void *data, size_t size)
{
    return env->ops->sock_read(env, sock, data, size);
}

static inline ssize_t env_sock_write(struct env *env, int sock, const struct iovec *parts,
                                     int count, bool more)
{
    return env->ops->sock_write(env, sock, parts, count, more);
}

static inline ssize_t env_sock_sendfile(struct env *env, int sock, int file, int64_t offset,
                                        size_t size)
{
    return env->ops->sock_sendfile(env, sock, file, offset, size);
}

static inline int env_sock_close(struct env *env, int sock)
{
    return env->ops->sock_close(env, sock);
}

static inline int env_resolve(struct env *env, const char *host, uint16_t port,
                              struct net_address *ret, int max)
{
    return env->ops->resolve(env, host, port, ret, max);
}

static inline int env_core_count(struct env *env)
{
    return env->ops->core_count(env);
}

static inline void env_job_submit(struct env *env, struct env_job *job)
{
    env->ops->job_submit(env, job);
}

static inline bool env_allow_blocking(struct env *env, bool allow)
{
    return env->ops->allow_blocking(env, allow);
}

/* Helpers over the calls above; in os/env.c. */

/* Read or write all of it: 0, -errno; a read that meets the end answers -ENODATA. */
int env_read_all(struct env *env, int file, void *data, size_t size, int64_t offset);
int env_write_all(struct env *env, int file, const void *data, size_t size, int64_t offset);

/* The whole file in memory from malloc, NUL-terminated beyond its size. -EFBIG above max_bytes. */
int env_load(struct env *env, const char *path, size_t max_bytes, char **ret_data,
             size_t *ret_size);

/* Replace a file so that a crash leaves the old or the new one: write PATH.tmp, sync, rename, and
 * sync the directory. BLOCKING. */
int env_replace(struct env *env, const char *path, const void *data, size_t size);

/* Create a directory and its missing parents. */
int env_mkdirs(struct env *env, const char *path);

/* Remove a file, or a directory with everything in it; links are removed, not followed. 0 when it
 * is not there. -ELOOP below ENV_TREE_DEPTH_MAX levels. BLOCKING. */
#define ENV_TREE_DEPTH_MAX 16
int env_remove_tree(struct env *env, const char *path);

/* Make `say` print through the env's log_line with its wall clock. */
void env_say_init(struct env *env, enum say_level level, struct say *ret_say);

/* "1.2.3.4:9092", "[::1]:9092" or "/path/to/socket". */
#define NET_ADDRESS_TEXT_SIZE 128
void net_address_format(const struct net_address *address, char text[NET_ADDRESS_TEXT_SIZE]);

/* The host alone: "1.2.3.4", "::1" or the path. */
void net_address_format_host(const struct net_address *address, char text[NET_ADDRESS_TEXT_SIZE]);
/* The address of IPv4 or IPv6 as IPv6, v4 mapped (::ffff:a.b.c.d), so that a host is the same
 * whichever way it came. */
void net_address_to_ip6(const struct net_address *address, uint8_t ret_ip[16]);
bool net_address_is_loopback(const struct net_address *address);

/* Parse an address literal: dotted IPv4, IPv6 without brackets, or a path that starts with '/'. 0,
 * -EINVAL when it is none of them, -ENAMETOOLONG. */
int net_address_parse(const char *host, uint16_t port, struct net_address *ret_address);

#endif
