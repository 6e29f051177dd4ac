/* Time, randomness, threads and the log of the Linux env; the table of its operations. */
#include <fcntl.h>
#include <signal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "os/linux_internal.h"

/* Whether the thread may block is a property of the thread and of nothing else, hence thread-local:
 * it must be known where no env is at hand. Only loop threads forbid it. */
static _Thread_local bool thread_may_not_block;

void linux_check_blocking(const char *what)
{
#ifdef JACKDAW_CHECK_BLOCKING
    if (thread_may_not_block)
        fprintf(stderr, "jackdaw: %s may block and was called on a loop thread\n", what);
    must(!thread_may_not_block);
#else
    (void)what;
#endif
}

static bool linux_allow_blocking(struct env *env, bool allow)
{
    (void)env;
    bool before = !thread_may_not_block;
    thread_may_not_block = !allow;
    return before;
}

static int64_t linux_now_ns(struct env *env)
{
    struct timespec now;
    (void)env;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t linux_wall_ms(struct env *env)
{
    struct timespec now;
    (void)env;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void linux_random(struct env *env, void *data, size_t size)
{
    char *at = data;
    (void)env;
    while (size > 0) {
        ssize_t n = linux_retry(getrandom(at, size, 0));
        must(n > 0);
        at += n;
        size -= (size_t)n;
    }
}

struct env_thread {
    pthread_t thread;
    bool (*turn)(void *context);
    void *context;
    char name[16]; /* the kernel's limit */
};

int linux_start_thread(pthread_t *thread, void *(*run)(void *context), void *context)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -err;
}

static void *linux_thread_run(void *context)
{
    struct env_thread *thread = context;
    pthread_setname_np(pthread_self(), thread->name);
    thread_may_not_block = true;
    while (thread->turn(thread->context))
        ;
    return NULL;
}

static struct env_thread *linux_thread_start(struct env *env, const char *name,
                                             struct env_poller *poller, bool (*turn)(void *context),
                                             void *context)
{
    (void)env;
    (void)poller;
    struct env_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    thread->turn = turn;
    thread->context = context;
    snprintf(thread->name, sizeof thread->name, "%s", name);
    if (linux_start_thread(&thread->thread, linux_thread_run, thread) < 0) {
        free(thread);
        return NULL;
    }
    return thread;
}

static void linux_thread_join(struct env_thread *thread)
{
    must(pthread_join(thread->thread, NULL) == 0);
    free(thread);
}

static int linux_core_count(struct env *env)
{
    (void)env;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

static void linux_job_submit(struct env *env, struct env_job *job)
{
    linux_pool_submit(&linux_env_of(env)->pool, job);
}

static void linux_jobs_wait(struct env *env)
{
    linux_check_blocking("jobs_wait");
    linux_pool_wait(&linux_env_of(env)->pool);
}

/* One write per line, so that lines of several threads do not mix. A log that cannot be written is
 * nothing that could be logged. */
static void linux_log_line(struct env *env, int level, const char *line, size_t size)
{
    struct iovec parts[2] = {{(void *)line, size}, {(void *)"\n", 1}};
    (void)level;
    ssize_t n = linux_retry(writev(atomic_load(&linux_env_of(env)->log_file), parts, 2));
    (void)n;
}

static const struct env_ops linux_ops = {
    .now_ns = linux_now_ns,
    .wall_ms = linux_wall_ms,
    .random = linux_random,
    .file_open = linux_file_open,
    .file_close = linux_file_close,
    .file_read = linux_file_read,
    .file_read_nowait = linux_file_read_nowait,
    .file_write = linux_file_write,
    .file_sync = linux_file_sync,
    .file_start_writeback = linux_file_start_writeback,
    .file_truncate = linux_file_truncate,
    .file_size = linux_file_size,
    .file_lock = linux_file_lock,
    .path_stat = linux_path_stat,
    .path_rename = linux_path_rename,
    .path_unlink = linux_path_unlink,
    .path_set_modified = linux_path_set_modified,
    .dir_create = linux_dir_create,
    .dir_remove = linux_dir_remove,
    .dir_sync = linux_dir_sync,
    .dir_list = linux_dir_list,
    .disk_space = linux_disk_space,
    .sock_listen = linux_sock_listen,
    .sock_accept = linux_sock_accept,
    .sock_connect = linux_sock_connect,
    .sock_error = linux_sock_error,
    .sock_local = linux_sock_local,
    .sock_buffers = linux_sock_buffers,
    .sock_read = linux_sock_read,
    .sock_write = linux_sock_write,
    .sock_sendfile = linux_sock_sendfile,
    .sock_close = linux_sock_close,
    .resolve = linux_resolve,
    .poller_create = linux_poller_create,
    .poller_destroy = linux_poller_destroy,
    .poller_add = linux_poller_add,
    .poller_change = linux_poller_change,
    .poller_remove = linux_poller_remove,
    .poller_wait = linux_poller_wait,
    .poller_wake = linux_poller_wake,
    .thread_start = linux_thread_start,
    .thread_join = linux_thread_join,
    .job_submit = linux_job_submit,
    .core_count = linux_core_count,
    .jobs_wait = linux_jobs_wait,
    .allow_blocking = linux_allow_blocking,
    .log_line = linux_log_line,
};

static int linux_open_log(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return file < 0 ? -errno : file;
}

struct env *linux_env_create(const struct linux_env_options *options)
{
    static const struct linux_env_options none;
    int err = -ENOMEM;
    if (!options)
        options = &none;
    struct linux_env *linux_env = calloc(1, sizeof *linux_env);
    if (!linux_env)
        goto fail;
    linux_env->env.ops = &linux_ops;
    atomic_init(&linux_env->log_file, STDERR_FILENO);
    if (options->log_path) {
        linux_env->log_path = strdup(options->log_path);
        if (!linux_env->log_path)
            goto fail;
        int file = linux_open_log(options->log_path);
        if (file < 0) {
            err = file;
            goto fail;
        }
        atomic_init(&linux_env->log_file, file);
    }
    linux_net_init(linux_env);
    linux_pool_init(&linux_env->pool, options->pool_threads);
    return &linux_env->env;

fail:
    if (linux_env)
        free(linux_env->log_path);
    free(linux_env);
    errno = -err;
    return NULL;
}

void linux_env_destroy(struct env *env)
{
    if (!env)
        return;
    struct linux_env *linux_env = linux_env_of(env);
    linux_pool_close(&linux_env->pool);
    linux_net_close(linux_env);
    if (linux_env->log_path)
        close(atomic_load(&linux_env->log_file));
    free(linux_env->log_path);
    free(linux_env);
}

/* The new file takes the old one's number, so that no thread is left with a closed one. */
int linux_env_reopen_log(struct env *env)
{
    struct linux_env *linux_env = linux_env_of(env);
    if (!linux_env->log_path)
        return 0;
    int file = linux_open_log(linux_env->log_path);
    if (file < 0)
        return file;
    int err = linux_result(linux_retry(dup3(file, atomic_load(&linux_env->log_file), O_CLOEXEC)));
    close(file);
    return err;
}

void linux_standard_files(void)
{
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++)
        if (fcntl(file, F_GETFD) < 0)
            /* The lowest free number is this one. */
            must(open("/dev/null", O_RDWR) == file);
}

int linux_load(const char *path, size_t max_bytes, char **ret_data, size_t *ret_size)
{
    int err = -ENOMEM;
    size_t size = 0;
    int file = linux_retry(open(path, O_RDONLY | O_CLOEXEC));
    if (file < 0)
        return -errno;
    char *data = malloc(max_bytes + 1); /* and one, to notice that there is more, or for a NUL */
    while (data) {
        ssize_t n = linux_retry(read(file, data + size, max_bytes + 1 - size));
        err = n < 0 ? -errno : 0;
        if (n <= 0)
            break;
        size += (size_t)n;
        err = -EFBIG;
        if (size > max_bytes)
            break;
    }
    close(file);
    if (err < 0) {
        free(data);
        return err;
    }
    data[size] = '\0';
    *ret_data = data;
    *ret_size = size;
    return 0;
}

int linux_raise_open_files(int64_t *ret_limit)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            return -errno;
    }
    *ret_limit = limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)limit.rlim_cur;
    return 0;
}

static void stop_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGHUP);
    sigaddset(ret_set, SIGUSR1); /* linux_signals_interrupt */
}

void linux_signals_block(void)
{
    sigset_t set;
    stop_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

int linux_signals_wait_for(int timeout_ms)
{
    sigset_t set;
    stop_signals(&set);
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    int signal =
        timeout_ms < 0 ? linux_retry(sigwaitinfo(&set, NULL)) : sigtimedwait(&set, NULL, &timeout);
    if (signal == SIGTERM || signal == SIGINT)
        return LINUX_SIGNAL_STOP;
    return signal == SIGHUP ? LINUX_SIGNAL_HANGUP : LINUX_SIGNAL_NONE;
}

void linux_signals_interrupt(void)
{
    kill(getpid(), SIGUSR1);
}

void linux_exit_now(int code)
{
    _exit(code);
}
