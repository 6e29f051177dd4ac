/* jackdaw server: configuration, log, signals, and a node that runs until it is told to stop. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "cli/command.h"
#include "os/linux_env.h"
#include "server/broker.h"
#include "cli/status.h"

#define CONFIG_FILE_MAX_BYTES (1024 * 1024)

static const char usage[] =
    "usage: jackdaw server [--config FILE] [--status] [KEY=VALUE…]\n"
    "\n"
    "Runs one node, broker and controller in one process, until SIGTERM or SIGINT.\n"
    "Prints `ready HOST:PORT` on a line of its own once it serves.\n"
    "\n"
    "  --config FILE  Kafka's server.properties; without it node 1 serves 127.0.0.1:9092\n"
    "                 with its data in ./data\n"
    "  --status       a live line: messages and bytes per second, connections, partitions\n"
    "  KEY=VALUE      a configuration key; wins over the file\n"
    "\n"
    "SIGTERM and SIGINT stop in order, a second one at once; SIGHUP opens the log file anew.\n";

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

/* 0, or the exit code plus one. */
static int arguments_parse(int argc, char **argv, struct arguments *ret)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 1 + EXIT_OK;
        } else if (strcmp(argv[i], "--status") == 0) {
            ret->status = true;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            ret->config_path = argv[++i];
        } else if (argv[i][0] != '-' && strchr(argv[i], '=')) {
            ret->overrides[ret->override_count++] = argv[i];
        } else {
            fprintf(stderr, "jackdaw server: what is '%s'?\n\n%s", argv[i], usage);
            return 1 + EXIT_USAGE;
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

static int config_read(const struct arguments *arguments, struct broker_config **ret_config,
                       struct config_messages *messages)
{
    struct bytes text = {NULL, 0};
    char *data = NULL;
    if (arguments->config_path) {
        struct env *env = linux_env_create(NULL);
        size_t size = 0;
        int err = env ? env_load(env, arguments->config_path, CONFIG_FILE_MAX_BYTES, &data, &size)
                      : -ENOMEM;
        if (env)
            linux_env_destroy(env);
        if (err < 0) {
            fprintf(stderr, "jackdaw server: cannot read %s: %s\n", arguments->config_path,
                    result_text(err));
            return err;
        }
        text = (struct bytes){(uint8_t *)data, (int32_t)size};
    }
    int err = broker_config_load(text, arguments->overrides, arguments->override_count, messages,
                                 ret_config);
    free(data);
    return err;
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
    bool stopping = false;
    status_init(&line, server->broker);
    while (!is_stopped(server)) {
        int signal = linux_signals_wait_for(status ? 1000 : -1);
        if (signal == LINUX_SIGNAL_HANGUP) {
            int err = linux_env_reopen_log(server->env);
            if (err < 0)
                say_warn(say, "cannot open the log file anew", kv_text("error", result_text(err)));
        } else if (signal == LINUX_SIGNAL_STOP && stopping) {
            say_warn(say, "stopping at once");
            linux_exit_now(EXIT_FAILED);
        } else if (signal == LINUX_SIGNAL_STOP) {
            stopping = true;
            say_info(say, "stopping");
            broker_stop(server->broker);
        } else if (status && !stopping) {
            status_print(&line, stdout);
        }
    }
    if (status)
        fputs("\n", stdout);
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
        fprintf(stderr, "jackdaw server: %s\n", strerror(errno));
        broker_config_destroy(config);
        return EXIT_FAILED;
    }
    struct say say = {.level = (enum say_level)settings->log_level,
                      .write = say_write,
                      .wall_ms = say_wall_ms,
                      .context = server->env};
    messages_say(&say, messages);
    int64_t files;
    if (linux_raise_open_files(&files) == 0)
        say_info(&say, "open files", kv_int("limit", files));
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
    int err = config_read(&arguments, &config, &messages);
    free(arguments.overrides);
    if (err != 0) {
        for (int32_t i = 0; i < messages.count; i++)
            fprintf(stderr, "jackdaw server: %s\n", messages.items[i].text);
        config_messages_close(&messages);
        return EXIT_USAGE;
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
