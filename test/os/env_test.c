#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "os/linux_env.h"
#include "os/loop.h"

struct fixture {
    struct env *env;
    char dir[64];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->env = linux_env_create(NULL);
    must(fixture->env);
    memcpy(fixture->dir, "/tmp/jackdaw-env-XXXXXX", 24);
    must(mkdtemp(fixture->dir));
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    must(env_remove_tree(fixture->env, fixture->dir) == 0);
    linux_env_destroy(fixture->env);
    free(fixture);
    return 0;
}

static const char *path_in(struct fixture *fixture, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture->dir, name);
    return path;
}

static void what_is_replaced_is_loaded_again(void **state)
{
    struct fixture *fixture = *state;
    char *data;
    size_t size;
    const char *path = path_in(fixture, "checkpoint");
    assert_int_equal(env_load(fixture->env, path, 100, &data, &size), -ENOENT);
    assert_int_equal(env_replace(fixture->env, path, "old", 3), 0);
    assert_int_equal(env_replace(fixture->env, path, "newer", 5), 0);
    assert_int_equal(env_load(fixture->env, path, 5, &data, &size), 0);
    assert_int_equal(size, 5);
    assert_string_equal(data, "newer");
    free(data);
    assert_int_equal(env_load(fixture->env, path, 4, &data, &size), -EFBIG);
}

static int names_join(void *context, const char *name)
{
    strcat(context, name);
    strcat(context, " ");
    return 0;
}

static int stop_at_b(void *context, const char *name)
{
    (*(int *)context)++;
    return strcmp(name, "b") == 0 ? -ECANCELED : 0;
}

static void names_are_listed_in_byte_order(void **state)
{
    struct fixture *fixture = *state;
    char names[100] = "";
    int calls = 0;
    assert_int_equal(env_mkdirs(fixture->env, path_in(fixture, "x/b")), 0);
    assert_int_equal(env_mkdirs(fixture->env, path_in(fixture, "x/b")), 0);
    assert_int_equal(env_mkdir(fixture->env, path_in(fixture, "x/a")), 0);
    assert_int_equal(env_mkdir(fixture->env, path_in(fixture, "x/Z")), 0);
    assert_int_equal(env_list_dir(fixture->env, path_in(fixture, "x"), names_join, names), 0);
    assert_string_equal(names, "Z a b ");
    assert_int_equal(env_list_dir(fixture->env, path_in(fixture, "x"), stop_at_b, &calls),
                     -ECANCELED);
    assert_int_equal(calls, 3);
    assert_int_equal(env_list_dir(fixture->env, path_in(fixture, "y"), names_join, names), -ENOENT);
}

static void a_path_through_a_file_is_no_directory(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(env_replace(fixture->env, path_in(fixture, "file"), "x", 1), 0);
    assert_int_equal(env_mkdirs(fixture->env, path_in(fixture, "file")), -ENOTDIR);
    assert_int_equal(env_mkdirs(fixture->env, path_in(fixture, "file/a")), -ENOTDIR);
}

static void removing_a_tree_does_not_follow_links(void **state)
{
    struct fixture *fixture = *state;
    struct env_stat stat;
    char target[256];
    assert_int_equal(env_mkdirs(fixture->env, path_in(fixture, "kept")), 0);
    assert_int_equal(env_replace(fixture->env, path_in(fixture, "kept/data"), "x", 1), 0);
    assert_int_equal(env_mkdirs(fixture->env, path_in(fixture, "gone/deep/deeper")), 0);
    snprintf(target, sizeof target, "%s/kept", fixture->dir);
    assert_int_equal(symlink(target, path_in(fixture, "gone/deep/link")), 0);
    assert_int_equal(env_remove_tree(fixture->env, path_in(fixture, "gone")), 0);
    assert_int_equal(env_remove_tree(fixture->env, path_in(fixture, "gone")), 0);
    assert_int_equal(env_stat(fixture->env, path_in(fixture, "gone"), &stat), -ENOENT);
    assert_int_equal(env_stat(fixture->env, path_in(fixture, "kept/data"), &stat), 0);
    assert_int_equal(stat.size_bytes, 1);
    assert_false(stat.is_dir);
}

static void a_very_deep_tree_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[512];
    int size = snprintf(path, sizeof path, "%s", fixture->dir);
    for (int i = 0; i < ENV_TREE_DEPTH_MAX + 2; i++)
        size += snprintf(path + size, sizeof path - (size_t)size, "/d");
    assert_int_equal(env_mkdirs(fixture->env, path), 0);
    assert_int_equal(env_remove_tree(fixture->env, path_in(fixture, "d")), -ELOOP);
    /* From further down it goes, and then from the top as well. */
    assert_int_equal(env_remove_tree(fixture->env, path_in(fixture, "d/d/d/d")), 0);
}

static void files_are_read_and_written_at_offsets(void **state)
{
    struct fixture *fixture = *state;
    struct env *env = fixture->env;
    char data[8] = "";
    int64_t size;
    struct iovec parts[2] = {{"ab", 2}, {"cd", 2}};
    int file = env_open(env, path_in(fixture, "f"), ENV_READ | ENV_WRITE | ENV_CREATE);
    assert_true(file >= 0);
    assert_int_equal(env_open(env, path_in(fixture, "f"), ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE),
                     -EEXIST);
    assert_int_equal(env_writev(env, file, parts, 2, 3), 4);
    assert_int_equal(env_size(env, file, &size), 0);
    assert_int_equal(size, 7);
    assert_int_equal(env_read(env, file, data, sizeof data, 0), 7);
    assert_memory_equal(data, "\0\0\0abcd", 7);
    assert_int_equal(env_read_all(env, file, data, 8, 0), -ENODATA);
    assert_int_equal(env_read(env, file, data, sizeof data, 7), 0);
    ssize_t n = env_read_nowait(env, file, data, sizeof data, 3);
    assert_true(n == 4 || n == -EAGAIN);
    assert_int_equal(env_start_writeback(env, file, 0, 7), 0);
    assert_int_equal(env_sync(env, file), 0);
    assert_int_equal(env_truncate(env, file, 4), 0);
    assert_int_equal(env_size(env, file, &size), 0);
    assert_int_equal(size, 4);
    assert_int_equal(env_close(env, file), 0);
    assert_int_equal(env_set_modified(env, path_in(fixture, "f"), -1500), 0);
    struct env_stat stat;
    assert_int_equal(env_stat(env, path_in(fixture, "f"), &stat), 0);
    assert_int_equal(stat.modified_ms, -1500);
    int64_t total, left;
    assert_int_equal(env_disk_space(env, fixture->dir, &total, &left), 0);
    assert_true(total >= left && left > 0);
}

static void a_lock_held_by_another_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct env *env = fixture->env;
    int first = env_open(env, path_in(fixture, "lock"), ENV_WRITE | ENV_CREATE);
    int second = env_open(env, path_in(fixture, "lock"), ENV_WRITE | ENV_CREATE);
    assert_int_equal(env_lock(env, first), 0);
    assert_int_equal(env_lock(env, second), -EWOULDBLOCK);
    env_close(env, first);
    assert_int_equal(env_lock(env, second), 0);
    env_close(env, second);
}

/* Java's FileLock is a record lock of the process. */
static bool child_can_lock(const char *path)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int file = open(path, O_RDWR);
        _exit(file >= 0 && fcntl(file, F_SETLK, &whole) == 0 ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 1;
}

static void a_lock_is_one_that_java_sees(void **state)
{
    struct fixture *fixture = *state;
    struct env *env = fixture->env;
    int file = env_open(env, path_in(fixture, "lock"), ENV_READ | ENV_WRITE | ENV_CREATE);
    assert_true(child_can_lock(path_in(fixture, "lock")));
    assert_int_equal(env_lock(env, file), 0);
    assert_false(child_can_lock(path_in(fixture, "lock")));
    env_close(env, file);
    assert_true(child_can_lock(path_in(fixture, "lock")));
}

static void addresses_become_text_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *host, *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:9092", true},
        {"127.9.9.9", "127.9.9.9:9092", true},
        {"10.0.0.1", "10.0.0.1:9092", false},
        {"::1", "[::1]:9092", true},
        {"::", "[::]:9092", false},
        {"fe80::1", "[fe80::1]:9092", false},
        {"/run/socket", "/run/socket", true},
        {"::ffff:127.0.0.1", "[::ffff:127.0.0.1]:9092", true},
    };
    struct net_address address;
    char text[NET_ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < array_size(cases); i++) {
        assert_int_equal(net_address_parse(cases[i].host, 9092, &address), 0);
        net_address_format(&address, text);
        assert_string_equal(text, cases[i].text);
        net_address_format_host(&address, text);
        assert_string_equal(text, cases[i].host);
        assert_int_equal(net_address_is_loopback(&address), cases[i].loopback);
    }
    assert_int_equal(net_address_parse("localhost", 1, &address), -EINVAL);
    char longest[200];
    memset(longest, '/', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_int_equal(net_address_parse(longest, 1, &address), -ENAMETOOLONG);
}

static int await_connection(struct env *env, int listener, struct net_address *ret_peer)
{
    int sock;
    do
        sock = env_accept(env, listener, ret_peer);
    while (sock == -EAGAIN);
    return sock;
}

static void a_listener_on_all_of_ip6_takes_ip4(void **state)
{
    struct fixture *fixture = *state;
    struct env *env = fixture->env;
    struct net_address address, peer, local;
    assert_int_equal(net_address_parse("::", 0, &address), 0);
    int listener = env_listen(env, &address, 5);
    if (listener == -EAFNOSUPPORT)
        skip();
    assert_true(listener >= 0);
    assert_int_equal(env_sock_local(env, listener, &local), 0);
    assert_int_equal(net_address_parse("127.0.0.1", local.port, &address), 0);
    int client = env_connect(env, &address);
    assert_true(client >= 0);
    int server = await_connection(env, listener, &peer);
    assert_true(server >= 0);
    assert_int_equal(peer.family, NET_IP4);
    assert_int_equal(peer.ip[0], 127);
    assert_int_equal(env_accept(env, listener, NULL), -EAGAIN);
    env_sock_close(env, client);
    env_sock_close(env, server);
    env_sock_close(env, listener);
}

static void a_refused_connection_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct env *env = fixture->env;
    struct net_address address;
    assert_int_equal(net_address_parse("127.0.0.1", 0, &address), 0);
    int listener = env_listen(env, &address, 1);
    assert_int_equal(env_sock_local(env, listener, &address), 0);
    env_sock_close(env, listener);
    int sock = env_connect(env, &address);
    if (sock >= 0) {
        assert_int_equal(env_sock_error(env, sock), -ECONNREFUSED);
        env_sock_close(env, sock);
    } else {
        assert_int_equal(sock, -ECONNREFUSED);
    }
}

static void a_unix_listener_takes_over_a_dead_path_only(void **state)
{
    struct fixture *fixture = *state;
    struct env *env = fixture->env;
    struct net_address address;
    struct env_stat stat;
    const char *path = path_in(fixture, "socket");
    assert_int_equal(net_address_parse(path, 0, &address), 0);
    int first = env_listen(env, &address, 5);
    assert_true(first >= 0);
    assert_int_equal(env_listen(env, &address, 5), -EADDRINUSE);
    int client = env_connect(env, &address);
    assert_true(client >= 0);
    struct net_address peer;
    /* The probe of the refused listener came first. */
    int probe = await_connection(env, first, &peer);
    int server = await_connection(env, first, &peer);
    assert_int_equal(peer.family, NET_UNIX);
    env_sock_close(env, probe);
    env_sock_close(env, server);
    env_sock_close(env, client);
    assert_int_equal(env_sock_close(env, first), 0);
    assert_int_equal(env_stat(env, path, &stat), -ENOENT);

    /* What a killed process leaves behind. */
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, address.path, sizeof name.sun_path);
    assert_int_equal(bind(dead, (struct sockaddr *)&name, sizeof name), 0);
    close(dead);
    first = env_listen(env, &address, 5);
    assert_true(first >= 0);
    env_sock_close(env, first);

    assert_int_equal(env_replace(env, path, "a file", 6), 0);
    assert_int_equal(env_listen(env, &address, 5), -EADDRINUSE);
}

static void bytes_and_files_go_through_a_connection(void **state)
{
    struct fixture *fixture = *state;
    struct env *env = fixture->env;
    struct net_address address;
    char data[16];
    assert_int_equal(net_address_parse("127.0.0.1", 0, &address), 0);
    int listener = env_listen(env, &address, 5);
    assert_int_equal(env_sock_local(env, listener, &address), 0);
    int client = env_connect(env, &address);
    int server = await_connection(env, listener, NULL);
    assert_int_equal(env_sock_error(env, client), 0);
    assert_int_equal(env_sock_read(env, server, data, sizeof data), -EAGAIN);
    assert_int_equal(env_replace(env, path_in(fixture, "f"), "0123456789", 10), 0);
    int file = env_open(env, path_in(fixture, "f"), ENV_READ);
    struct iovec head = {"head", 4};
    assert_int_equal(env_sock_write(env, client, &head, 1, true), 4);
    assert_int_equal(env_sock_sendfile(env, client, file, 6, 100), 4);
    assert_int_equal(env_sock_sendfile(env, client, file, 10, 100), 0);
    size_t size = 0;
    while (size < 8) {
        ssize_t n = env_sock_read(env, server, data + size, sizeof data - size);
        assert_true(n > 0 || n == -EAGAIN);
        size += n > 0 ? (size_t)n : 0;
    }
    assert_memory_equal(data, "head6789", 8);
    env_sock_close(env, server);
    ssize_t n;
    /* Neither kind of write to a closed peer may kill the process. */
    do
        n = env_sock_write(env, client, &head, 1, false);
    while (n >= 0);
    assert_true(n == -EPIPE || n == -ECONNRESET);
    env_close(env, file);
    env_sock_close(env, client);
    env_sock_close(env, listener);
}

static void a_literal_resolves_to_itself(void **state)
{
    struct fixture *fixture = *state;
    struct net_address found[4];
    assert_int_equal(env_resolve(fixture->env, "::1", 7, found, 4), 1);
    assert_int_equal(found[0].family, NET_IP6);
    assert_int_equal(found[0].port, 7);
}

static bool sync_on_loop(void *context)
{
    struct env *env = context;
    bool before = env_allow_blocking(env, true);
    (void)env_sync_dir(env, "/");
    env_allow_blocking(env, before);
    (void)env_sync_dir(env, "/");
    return false;
}

/* In a child, because the check ends the process. */
static void a_blocking_call_on_a_loop_thread_stops_a_debug_build(void **state)
{
    (void)state;
#if defined(JACKDAW_CHECK_BLOCKING) && !defined(__SANITIZE_THREAD__)
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        must(freopen("/dev/null", "w", stderr));
        struct env *env = linux_env_create(NULL);
        struct env_thread *thread = env->ops->thread_start(env, "loop", NULL, sync_on_loop, env);
        env->ops->thread_join(thread);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#else
    (void)sync_on_loop;
    skip();
#endif
}

static bool say_hello(void *context)
{
    struct say say;
    env_say_init(context, SAY_INFO, &say);
    say_info(&say, "hello", kv_int("n", 1));
    return false;
}

static void log_lines_reach_the_file_that_is_open_now(void **state)
{
    struct fixture *fixture = *state;
    char *text;
    size_t size;
    char log[256], moved[256];
    snprintf(log, sizeof log, "%s/log", fixture->dir);
    snprintf(moved, sizeof moved, "%s/log.1", fixture->dir);
    struct env *env = linux_env_create(&(struct linux_env_options){.log_path = log});
    say_hello(env);
    assert_int_equal(env_rename(env, log, moved), 0);
    say_hello(env);
    assert_int_equal(linux_env_reopen_log(env), 0);
    say_hello(env);
    assert_int_equal(env_load(env, log, 1000, &text, &size), 0);
    assert_non_null(strstr(text, "INFO hello n=1\n"));
    size_t one = size;
    free(text);
    assert_int_equal(env_load(env, moved, 1000, &text, &size), 0);
    assert_int_equal(size, 2 * one);
    free(text);
    linux_env_destroy(env);
}

static void the_limit_of_open_files_is_raised(void **state)
{
    (void)state;
    int64_t limit = 0, again = 0;
    assert_int_equal(linux_raise_open_files(&limit), 0);
    assert_true(limit >= 256);
    assert_int_equal(linux_raise_open_files(&again), 0);
    assert_int_equal(limit, again);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_replaced_is_loaded_again),
        TEST(names_are_listed_in_byte_order),
        TEST(a_path_through_a_file_is_no_directory),
        TEST(removing_a_tree_does_not_follow_links),
        TEST(a_very_deep_tree_is_refused),
        TEST(files_are_read_and_written_at_offsets),
        TEST(a_lock_held_by_another_is_refused),
        TEST(a_lock_is_one_that_java_sees),
        TEST(addresses_become_text_and_back),
        TEST(a_listener_on_all_of_ip6_takes_ip4),
        TEST(a_refused_connection_says_so),
        TEST(a_unix_listener_takes_over_a_dead_path_only),
        TEST(bytes_and_files_go_through_a_connection),
        TEST(a_literal_resolves_to_itself),
        TEST(a_blocking_call_on_a_loop_thread_stops_a_debug_build),
        TEST(log_lines_reach_the_file_that_is_open_now),
        TEST(the_limit_of_open_files_is_raised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
