/* What the files of the Linux env share. */
#ifndef JACKDAW_OS_LINUX_INTERNAL_H
#define JACKDAW_OS_LINUX_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "os/linux_env.h"

/* Threads for jobs; see linux_pool.c. All under `lock`. */
struct linux_pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job came, or closing */
    pthread_cond_t rest; /* no job is queued or running */
    struct env_job *first;
    struct env_job **last;
    int queued;
    int running;
    int threads; /* running ones */
    int idle;    /* of these, waiting for work */
    int threads_max;
    bool closing;
    struct linux_worker {
        pthread_t thread;
        struct linux_pool *pool;
        enum { WORKER_NONE, WORKER_RUNNING, WORKER_ENDED } state;
    } workers[LINUX_POOL_THREADS_MAX];
};

struct linux_env {
    struct env env;
    struct linux_pool pool;
    _Atomic int log_file;
    char *log_path; /* NULL: standard error */
    pthread_mutex_t listeners_lock;
    struct list listeners; /* Unix-domain ones, whose path goes with them; listeners_lock */
    _Atomic int listener_count;
};

static inline struct linux_env *linux_env_of(struct env *env)
{
    return (struct linux_env *)env;
}

#define linux_result(call) ((call) < 0 ? -errno : 0)

/* Repeat while a signal interrupts. */
#define linux_retry(call)                                                                          \
    ({                                                                                             \
        __typeof__(call) result_;                                                                  \
        do                                                                                         \
            result_ = (call);                                                                      \
        while (result_ < 0 && errno == EINTR);                                                     \
        result_;                                                                                   \
    })

/* Called by every BLOCKING operation; see linux_env.c. */
void linux_check_blocking(const char *what);

/* Start a thread with all signals blocked. 0 or -errno. */
int linux_start_thread(pthread_t *thread, void *(*run)(void *context), void *context);

/* linux_disk.c */
int linux_file_open(struct env *env, const char *path, unsigned flags);
int linux_file_close(struct env *env, int file);
ssize_t linux_file_read(struct env *env, int file, void *data, size_t size, int64_t offset);
ssize_t linux_file_read_nowait(struct env *env, int file, void *data, size_t size, int64_t offset);
ssize_t linux_file_write(struct env *env, int file, const struct iovec *parts, int count,
                         int64_t offset);
int linux_file_sync(struct env *env, int file);
int linux_file_start_writeback(struct env *env, int file, int64_t offset, int64_t size);
int linux_file_truncate(struct env *env, int file, int64_t size_bytes);
int linux_file_size(struct env *env, int file, int64_t *ret_size_bytes);
int linux_file_lock(struct env *env, int file);
int linux_path_stat(struct env *env, const char *path, struct env_stat *ret_stat);
int linux_path_rename(struct env *env, const char *from, const char *to);
int linux_path_unlink(struct env *env, const char *path);
int linux_path_set_modified(struct env *env, const char *path, int64_t wall_ms);
int linux_dir_create(struct env *env, const char *path);
int linux_dir_remove(struct env *env, const char *path);
int linux_dir_sync(struct env *env, const char *path);
int linux_dir_list(struct env *env, const char *path, int (*each)(void *context, const char *name),
                   void *context);
int linux_disk_space(struct env *env, const char *path, int64_t *ret_total, int64_t *ret_free);

/* linux_net.c */
int linux_sock_listen(struct env *env, const struct net_address *address, int backlog);
int linux_sock_accept(struct env *env, int listener, struct net_address *ret_peer);
int linux_sock_connect(struct env *env, const struct net_address *address);
int linux_sock_error(struct env *env, int sock);
int linux_sock_local(struct env *env, int sock, struct net_address *ret_address);
int linux_sock_buffers(struct env *env, int sock, int send_bytes, int receive_bytes);
ssize_t linux_sock_read(struct env *env, int sock, void *data, size_t size);
ssize_t linux_sock_write(struct env *env, int sock, const struct iovec *parts, int count,
                         bool more);
ssize_t linux_sock_sendfile(struct env *env, int sock, int file, int64_t offset, size_t size);
int linux_sock_close(struct env *env, int sock);
int linux_resolve(struct env *env, const char *host, uint16_t port, struct net_address *ret,
                  int max);
void linux_net_init(struct linux_env *env);
void linux_net_close(struct linux_env *env);

/* linux_poller.c */
struct env_poller *linux_poller_create(struct env *env);
void linux_poller_destroy(struct env_poller *poller);
int linux_poller_add(struct env_poller *poller, int sock, unsigned events, void *tag);
int linux_poller_change(struct env_poller *poller, int sock, unsigned events, void *tag);
int linux_poller_remove(struct env_poller *poller, int sock);
int linux_poller_wait(struct env_poller *poller, struct env_poll_event *events, int max,
                      int64_t deadline_ns);
void linux_poller_wake(struct env_poller *poller);

/* linux_pool.c */
int linux_pool_init(struct linux_pool *pool, int threads_max);
void linux_pool_close(struct linux_pool *pool);
void linux_pool_wait(struct linux_pool *pool);
void linux_pool_submit(struct linux_pool *pool, struct env_job *job);

#endif
