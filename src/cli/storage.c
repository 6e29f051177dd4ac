/* jackdaw storage format | info: prepare log directories, and tell what is in them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "controller/format.h"
#include "os/linux_env.h"
#include "quorum/quorum_state.h"
#include "quorum/snapshot.h"

static const char usage[] =
    "usage: jackdaw storage format [options] [KEY=VALUE…]\n"
    "       jackdaw storage info [--config FILE] [KEY=VALUE…]\n"
    "\n"
    "format prepares the directories of log.dirs for a node: each gets a meta.properties, and the\n"
    "metadata directory the first records of a new cluster, whose only controller this node is.\n"
    "Directories that hold something else are refused. info tells what is in them.\n"
    "\n"
    "  -c, --config FILE        Kafka's server.properties; without it node 1 with ./data\n"
    "  -t, --cluster-id ID      the cluster's id, 22 characters; a random one without it\n"
    "  -s, --standalone         this node is the only voter (the default)\n"
    "  -g, --ignore-formatted   leave formatted directories as they are\n"
    "  -r, --release-version V  the metadata.version to begin with: 4.4-IV2, 4.3, 33\n"
    "  -f, --feature NAME=LEVEL the level of a feature to begin with\n"
    "  KEY=VALUE                a configuration key; wins over the file\n"
    "\n"
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage.\n";

struct arguments {
    bool info;
    const char *config_path;
    const char *cluster_id;
    const char *release;
    bool ignore_formatted;
    struct feature_choice choices[FORMAT_LEVELS_MAX];
    int32_t choice_count;
    const char **overrides;
    int32_t override_count;
};

static int wrong(const char *what, const char *argument)
{
    fprintf(stderr, "jackdaw storage: %s%s%s\n\n%s", what, argument ? ": " : "",
            argument ? argument : "", usage);
    return 1 + EXIT_USAGE;
}

static bool is_option(const char *argument, const char *letter, const char *name)
{
    return strcmp(argument, letter) == 0 || strcmp(argument, name) == 0;
}

static bool parse_feature(const char *text, struct feature_choice *ret_choice)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1] || strlen(equals + 1) > 4)
        return false;
    for (const char *at = equals + 1; *at; at++)
        if (*at < '0' || *at > '9')
            return false;
    *ret_choice =
        (struct feature_choice){{text, (int32_t)(equals - text)}, (int16_t)atoi(equals + 1)};
    return true;
}

/* 0, or the exit code plus one. */
static int parse_option(const char *name, const char *value, struct arguments *ret)
{
    if (is_option(name, "-c", "--config")) {
        ret->config_path = value;
    } else if (is_option(name, "-t", "--cluster-id")) {
        ret->cluster_id = value;
    } else if (is_option(name, "-r", "--release-version")) {
        ret->release = value;
    } else if (is_option(name, "-f", "--feature")) {
        if (ret->choice_count == FORMAT_LEVELS_MAX ||
            !parse_feature(value, &ret->choices[ret->choice_count++]))
            return wrong("a feature is NAME=LEVEL", value);
    } else {
        return wrong("no such option", name);
    }
    return 0;
}

static int parse_arguments(int argc, char **argv, struct arguments *ret)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        fputs(usage, stdout);
        return 1 + EXIT_OK;
    }
    if (argc < 2 || (strcmp(argv[1], "format") != 0 && strcmp(argv[1], "info") != 0))
        return wrong("format or info", NULL);
    ret->info = strcmp(argv[1], "info") == 0;
    for (int i = 2; i < argc; i++) {
        if (is_option(argv[i], "-h", "--help")) {
            fputs(usage, stdout);
            return 1 + EXIT_OK;
        } else if (is_option(argv[i], "-s", "--standalone")) {
            continue;
        } else if (is_option(argv[i], "-g", "--ignore-formatted")) {
            ret->ignore_formatted = true;
        } else if (argv[i][0] == '-') {
            if (i + 1 == argc)
                return wrong("no such option, or its value is missing", argv[i]);
            int code = parse_option(argv[i], argv[i + 1], ret);
            if (code)
                return code;
            i++;
        } else if (strchr(argv[i], '=')) {
            ret->overrides[ret->override_count++] = argv[i];
        } else {
            return wrong("what is this", argv[i]);
        }
    }
    return 0;
}

/* format */

static void told(void *context, const char *dir, int outcome)
{
    const struct format_params *params = context;
    if (outcome == 0)
        printf("Formatted %s with metadata.version %s.\n", dir,
               metadata_version_name(params->metadata_version));
    else
        printf("%s is already formatted.\n", dir);
}

static int refuse(int err, const char *problem)
{
    switch (err) {
    case -EEXIST:
        fprintf(stderr,
                "jackdaw storage: %s is already formatted; --ignore-formatted passes over it\n",
                problem);
        break;
    case -ENOTEMPTY:
        fprintf(stderr, "jackdaw storage: %s is not empty and has no meta.properties\n", problem);
        break;
    case -EBADMSG:
        fprintf(stderr, "jackdaw storage: %s/meta.properties is malformed\n", problem);
        break;
    case -EXDEV:
        fprintf(stderr, "jackdaw storage: %s belongs to another cluster or node\n", problem);
        break;
    case -EINVAL:
        fprintf(stderr, "jackdaw storage: %s\n", problem);
        return EXIT_USAGE;
    default:
        fprintf(stderr, "jackdaw storage: %s: %s\n", problem, result_text(err));
    }
    return EXIT_FAILED;
}

static void known_cluster_id(struct env *env, const struct broker_settings *settings,
                             char ret_id[CLUSTER_ID_SIZE])
{
    ret_id[0] = '\0';
    for (int32_t i = 0; i < settings->all_dir_count; i++) {
        struct meta_properties meta;
        enum format_state state;
        if (format_look(env, settings, i, &state, &meta) == 0 &&
            (state == FORMAT_DONE || state == FORMAT_HALF))
            memcpy(ret_id, meta.cluster_id, CLUSTER_ID_SIZE);
    }
}

static void random_cluster_id(struct env *env, char ret_id[CLUSTER_ID_SIZE])
{
    struct uuid id;
    uint8_t random[16];
    do {
        env_random(env, random, sizeof random);
    } while (!uuid_from_random(random, &id));
    uuid_format(id, ret_id);
}

static int run_format(struct env *env, const struct arguments *arguments,
                      const struct broker_config *config)
{
    char cluster_id[CLUSTER_ID_SIZE];
    const char *problem = "";
    char text[FORMAT_TEXT_SIZE];
    struct uuid parsed;
    struct format_params params = {
        .env = env,
        .settings = &config->settings,
        .cluster_id = arguments->cluster_id,
        .metadata_version = METADATA_VERSION_LATEST,
        .choices = arguments->choices,
        .choice_count = arguments->choice_count,
        .static_voters = config->settings.quorum_voter_count > 0,
        .ignore_formatted = arguments->ignore_formatted,
        .text = text,
    };
    if (arguments->release) {
        params.metadata_version = metadata_version_parse(str_of(arguments->release));
        if (params.metadata_version < 0) {
            fprintf(stderr, "jackdaw storage: no metadata.version '%s': there are %s to %s\n",
                    arguments->release, metadata_version_name(METADATA_VERSION_MIN),
                    metadata_version_name(METADATA_VERSION_LATEST));
            return EXIT_USAGE;
        }
    }
    if (params.cluster_id && uuid_parse(str_of(params.cluster_id), &parsed)) {
        fprintf(stderr, "jackdaw storage: a cluster id is 22 characters of base64url: %s\n",
                params.cluster_id);
        return EXIT_USAGE;
    }
    if (!params.cluster_id) {
        /* The rest of a node's directories join in where some are formatted. */
        known_cluster_id(env, &config->settings, cluster_id);
        if (!cluster_id[0])
            random_cluster_id(env, cluster_id);
        params.cluster_id = cluster_id;
    }
    int err = format_storage(&params, told, &params, &problem);
    if (err)
        return refuse(err, problem);
    printf("Cluster id: %s\n", params.cluster_id);
    return EXIT_OK;
}

/* info */

struct metadata_info {
    struct snapshot_id newest;
    int32_t snapshots;
    int32_t segments;
};

static int count_file(void *context, const char *name)
{
    struct metadata_info *info = context;
    struct snapshot_id id;
    size_t size = strlen(name);
    if (snapshot_parse_name(name, &id)) {
        info->snapshots++;
        info->newest = id;
    }
    info->segments += size > 4 && strcmp(name + size - 4, ".log") == 0;
    return 0;
}

static void print_metadata(struct env *env, const char *dir)
{
    char path[4096];
    struct metadata_info info = {.newest = {-1, -1}};
    struct quorum_state quorum;
    int size = snprintf(path, sizeof path, "%s/__cluster_metadata-0", dir);
    if (size < 0 || (size_t)size >= sizeof path || env_list_dir(env, path, count_file, &info))
        return;
    printf("  metadata log: %d segment%s, %d snapshot%s", info.segments,
           info.segments == 1 ? "" : "s", info.snapshots, info.snapshots == 1 ? "" : "s");
    if (info.snapshots > 0)
        printf(", the newest of offset %" PRId64 " and epoch %d", info.newest.end_offset,
               info.newest.epoch);
    printf("\n");
    if (quorum_state_read(env, path, &quorum) == 0)
        printf("  quorum: epoch %d, leader %d\n", quorum.leader_epoch, quorum.leader_id);
}

static int print_dir(struct env *env, const struct broker_settings *settings, int32_t index)
{
    const char *dir = settings->log_dirs[index].data;
    char id[UUID_TEXT_SIZE];
    struct meta_properties meta;
    enum format_state state;
    int err = format_look(env, settings, index, &state, &meta);
    printf("%s%s\n", dir,
           str_equal(settings->log_dirs[index], settings->metadata_log_dir) ? " (metadata)" : "");
    if (err) {
        printf("  cannot be read: %s\n", result_text(err));
        return EXIT_FAILED;
    }
    switch (state) {
    case FORMAT_EMPTY:
        printf("  not formatted\n");
        return EXIT_FAILED;
    case FORMAT_FOREIGN:
        printf("  not empty, and not formatted\n");
        return EXIT_FAILED;
    case FORMAT_MALFORMED:
        printf("  its meta.properties is malformed\n");
        return EXIT_FAILED;
    case FORMAT_HALF:
    case FORMAT_DONE:
        break;
    }
    uuid_format(meta.directory_id, id);
    printf("  cluster.id=%s node.id=%d directory.id=%s\n", meta.cluster_id, meta.node_id, id);
    if (state == FORMAT_HALF) {
        printf("  formatting was interrupted: format it again with --ignore-formatted\n");
        return EXIT_FAILED;
    }
    print_metadata(env, dir);
    if (meta.node_id != settings->node_id) {
        printf("  belongs to node %d, not to %d\n", meta.node_id, settings->node_id);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int run_info(struct env *env, const struct broker_config *config)
{
    int code = EXIT_OK;
    for (int32_t i = 0; i < config->settings.all_dir_count; i++)
        if (print_dir(env, &config->settings, i))
            code = EXIT_FAILED;
    return code;
}

int storage_main(int argc, char **argv)
{
    struct arguments arguments = {.overrides = NULL};
    struct config_messages messages = {.count = 0};
    struct broker_config *config = NULL;
    struct env *env = NULL;
    arguments.overrides = calloc((size_t)argc, sizeof arguments.overrides[0]);
    int code = arguments.overrides ? parse_arguments(argc, argv, &arguments) : 1 + EXIT_FAILED;
    if (code == 0) {
        const struct linux_env_options options = {0};
        env = linux_env_create(&options);
        code = env ? 0 : 1 + EXIT_FAILED;
    }
    if (code == 0) {
        int refused = config_file_load("storage", arguments.config_path, arguments.overrides,
                                       arguments.override_count, &messages, &config);
        code = refused ? 1 + refused : 0;
    }
    if (code == 0)
        code = 1 + (arguments.info ? run_info(env, config) : run_format(env, &arguments, config));
    config_messages_close(&messages);
    broker_config_destroy(config);
    if (env)
        linux_env_destroy(env);
    free(arguments.overrides);
    return code - 1;
}
