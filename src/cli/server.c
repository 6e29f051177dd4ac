/* jackdaw server: configuration, log, signals, and a node that runs until it is told to stop. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "cli/status.h"
#include "os/linux_env.h"
#include "server/broker.h"

/* Signals to stop that come so soon after the first mean the same: a supervisor may signal the
 * process and then its group, and so may a terminal. */
#define STOP_AGAIN_NS 1000000000ll

static const char usage[] =
    "usage: jackdaw server [--config FILE] [--status] [KEY=VALUE…]\n"
    "\n"
    "Runs one node, broker and controller in one process, until SIGTERM or SIGINT.\n"
    "Prints `ready HOST:PORT` on a line of its own once it serves.\n"
    "\n"
    "  -c, --config FILE  Kafka's server.properties; without it node 1 serves 127.0.0.1:9092\n"
    "                     with its data in ./data\n"
    "  --status           a live line: messages and bytes per second, connections, partitions\n"
    "  KEY=VALUE          a configuration key; wins over the file\n"
    "\n"
    "SIGTERM and SIGINT stop in order, again after a second at once; SIGHUP opens the log file\n"
    "anew.\n";

/* What the main thread and the node tell each other. */
struct server {
    pthread_mutex_t lock;
    bool ready, stopped;
    int result;
    struct env *env;
    struct broker *broker;
};

struct arguments {
    const char *config_path;
    const char **overrides;
    int32_t override_count;
    bool status;
};

static int wrong(const char *argument, const char *why)
{
    fprintf(stderr, "jackdaw server: %s: %s\n\n%s", argument, why, usage);
    return 1 + EXIT_USAGE;
}

/* 0, or the exit code plus one. */
static int arguments_parse(int argc, char **argv, struct arguments *ret)
{
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            fputs(usage, stdout);
            return 1 + EXIT_OK;
        } else if (strcmp(argument, "--status") == 0) {
            ret->status = true;
        } else if (strcmp(argument, "--config") == 0 || strcmp(argument, "-c") == 0) {
            if (i + 1 == argc)
                return wrong(argument, "which file?");
            ret->config_path = argv[++i];
        } else if (strncmp(argument, "--config=", 9) == 0) {
            ret->config_path = argument + 9;
        } else if (argument[0] == '-') {
            return wrong(argument, "no such option");
        } else if (!strchr(argument, '=')) {
            return wrong(argument, "not of the form KEY=VALUE; a file is given by --config FILE");
        } else {
            ret->overrides[ret->override_count++] = argument;
        }
    }
    return 0;
}

static void say_write(void *context, enum say_level level, const char *line, size_t size)
{
    struct env *env = context;
    env->ops->log_line(env, (int)level, line, size);
}

static int64_t say_wall_ms(void *context)
{
    return env_wall_ms(context);
}

static void messages_say(const struct say *say, const struct config_messages *messages)
{
    for (int32_t i = 0; i < messages->count; i++) {
        const struct config_message *message = &messages->items[i];
        enum say_level level = message->level == CONFIG_ERROR     ? SAY_ERROR
                               : message->level == CONFIG_WARNING ? SAY_WARN
                                                                  : SAY_INFO;
        say_at(say, level, "configuration", kv_str("key", message->key),
               kv_text("says", message->text));
    }
}

static void on_ready(void *context, struct broker *broker)
{
    struct server *server = context;
    char text[NET_ADDRESS_TEXT_SIZE];
    broker_address(broker, text);
    pthread_mutex_lock(&server->lock);
    server->ready = true;
    pthread_mutex_unlock(&server->lock);
    printf("ready %s\n", text);
    fflush(stdout);
}

static void on_stopped(void *context, struct broker *broker, int result)
{
    (void)broker;
    struct server *server = context;
    pthread_mutex_lock(&server->lock);
    server->stopped = true;
    server->result = result;
    pthread_mutex_unlock(&server->lock);
    linux_signals_interrupt();
}

static bool is_stopped(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    bool stopped = server->stopped;
    pthread_mutex_unlock(&server->lock);
    return stopped;
}

/* Until the node has stopped: signals, and the status line when asked for. */
static void server_wait(struct server *server, const struct say *say, bool status)
{
    struct status_line line;
    int64_t stop_ns = 0; /* when it was told to stop, 0: not yet */
    status_init(&line, server->broker);
    while (!is_stopped(server)) {
        int signal = linux_signals_wait_for(status ? 1000 : -1);
        if (signal == LINUX_SIGNAL_HANGUP) {
            int err = linux_env_reopen_log(server->env);
            if (err < 0)
                say_warn(say, "cannot open the log file anew", kv_text("error", result_text(err)));
        } else if (signal == LINUX_SIGNAL_STOP && stop_ns == 0) {
            stop_ns = env_now_ns(server->env);
            say_info(say, "stopping");
            broker_stop(server->broker);
        } else if (signal == LINUX_SIGNAL_STOP &&
                   env_now_ns(server->env) - stop_ns >= STOP_AGAIN_NS) {
            say_warn(say, "stopping at once");
            linux_exit_now(EXIT_FAILED);
        } else if (status && stop_ns == 0) {
            status_print(&line, stdout);
        }
    }
    if (status)
        fputs("\n", stdout);
}

/* Files that are only kept open may have half of what there is: the rest is for connections and for
 * files that are in use. */
static void share_open_files(const struct say *say, struct broker_config *config, int64_t limit)
{
    struct broker_settings *settings = &config->settings;
    if (settings->open_files_max <= limit / 2)
        return;
    settings->open_files_max = (int32_t)(limit / 2);
    say_warn(say, "the limit of open files is low: fewer files of segments are kept open",
             kv_int("limit", limit), kv_int("kept", settings->open_files_max));
}

static int server_run(struct server *server, struct broker_config *config,
                      const struct config_messages *messages, bool status)
{
    const struct broker_settings *settings = &config->settings;
    struct linux_env_options options = {
        .pool_threads = settings->pool_threads,
        .log_path = settings->log_file.data,
    };
    linux_signals_block();
    server->env = linux_env_create(&options);
    if (!server->env) {
        const char *why = strerror(errno);
        if (settings->log_file.data)
            fprintf(stderr, "jackdaw server: cannot open jackdaw.log.file=%s: %s\n",
                    settings->log_file.data, why);
        else
            fprintf(stderr, "jackdaw server: %s\n", why);
        broker_config_destroy(config);
        return EXIT_FAILED;
    }
    struct say say = {.level = (enum say_level)settings->log_level,
                      .write = say_write,
                      .wall_ms = say_wall_ms,
                      .context = server->env};
    messages_say(&say, messages);
    int64_t files;
    if (linux_raise_open_files(&files) == 0) {
        say_info(&say, "open files", kv_int("limit", files));
        share_open_files(&say, config, files);
    }
    int err =
        broker_create(server->env, &say, config, on_ready, on_stopped, server, &server->broker);
    if (err < 0) {
        say_error(&say, "cannot start", kv_text("error", result_text(err)));
        broker_config_destroy(config);
        linux_env_destroy(server->env);
        return EXIT_FAILED;
    }
    err = broker_start(server->broker);
    if (err == 0)
        server_wait(server, &say, status);
    else
        say_error(&say, "cannot start", kv_text("error", result_text(err)));
    broker_destroy(server->broker);
    say_info(&say, "stopped", kv_text("result", err || server->result ? "failed" : "clean"));
    linux_env_destroy(server->env);
    return err || server->result ? EXIT_FAILED : EXIT_OK;
}

int server_main(int argc, char **argv)
{
    struct arguments arguments = {0};
    arguments.overrides = calloc((size_t)argc + 1, sizeof *arguments.overrides);
    if (!arguments.overrides)
        return EXIT_FAILED;
    int code = arguments_parse(argc, argv, &arguments);
    if (code != 0) {
        free(arguments.overrides);
        return code - 1;
    }
    struct config_messages messages = {0};
    struct broker_config *config = NULL;
    code = config_file_load("server", arguments.config_path, arguments.overrides,
                            arguments.override_count, &messages, &config);
    free(arguments.overrides);
    if (code != 0) {
        config_messages_close(&messages);
        return code;
    }
    /* Freed frames go back to the system early: an idle broker is to be small. */
    mallopt(M_ARENA_MAX, 2);
    struct server server = {0};
    pthread_mutex_init(&server.lock, NULL);
    code = server_run(&server, config, &messages, arguments.status);
    pthread_mutex_destroy(&server.lock);
    config_messages_close(&messages);
    return code;
}
