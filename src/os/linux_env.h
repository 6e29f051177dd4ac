/* The env of a real node: Linux system calls.
 *
 * Threads made here block all signals, so that signals reach the thread that waits for them and a
 * sendfile to a closed socket cannot raise SIGPIPE there; other writes use MSG_NOSIGNAL. A process
 * that calls sock_sendfile from a thread of its own blocks or ignores SIGPIPE
 * (linux_signals_block). */
#ifndef JACKDAW_OS_LINUX_ENV_H
#define JACKDAW_OS_LINUX_ENV_H

#include "os/env.h"

/* Most threads for blocking jobs when the options name no number. */
#define LINUX_POOL_THREADS_DEFAULT 8
#define LINUX_POOL_THREADS_MAX 64

/* A pool thread without work ends after this time; the last one stays and waits without a timeout,
 * so an idle process does not wake. */
#define LINUX_POOL_IDLE_MS 2000

struct linux_env_options {
    int pool_threads;     /* most threads for jobs; 0: the default */
    const char *log_path; /* lines are appended to this file; NULL: standard error */
};

/* `options` may be NULL. NULL with errno set on failure. */
struct env *linux_env_create(const struct linux_env_options *options);

/* All threads joined, all jobs finished. Sockets and files still open are left to the process. */
void linux_env_destroy(struct env *env);

/* Open log_path again, for log rotation. 0 or -errno, and then the old file stays in use. */
int linux_env_reopen_log(struct env *env);

/* Raise the limit of open files to the hard one; tells the limit in force. 0 or -errno. */
int linux_raise_open_files(int64_t *ret_limit);

/* Open /dev/null as each of the descriptors 0 to 2 that is closed: a program that was started
 * without them would give their numbers to its own files, and print into these. To be called first.
 */
void linux_standard_files(void);

/* All that can be read from a path, which may be a pipe (env_load wants a file with a size). As
 * env_load; -EFBIG beyond max_bytes. BLOCKING. */
int linux_load(const char *path, size_t max_bytes, char **ret_data, size_t *ret_size);

/* Signals as a program's main thread wants them. Block SIGTERM, SIGINT and SIGHUP for this thread
 * and those it starts, and have writes to a closed pipe or beyond a file size limit answer errors
 * instead of ending the process; then wait until a signal comes, somebody interrupts the wait, or
 * the time is over (-1: none). */
enum linux_signal { LINUX_SIGNAL_NONE, LINUX_SIGNAL_STOP, LINUX_SIGNAL_HANGUP };
void linux_signals_block(void);
int linux_signals_wait_for(int timeout_ms);
void linux_signals_interrupt(void); /* any thread */

/* End the process without any more ado. */
_Noreturn void linux_exit_now(int code);

#endif
