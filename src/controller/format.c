/* The order is: every meta.properties but the metadata directory's, then that one, then the
 * bootstrap snapshot. A crash leaves directories that are empty, half formatted or done, and
 * formatting again finishes the work under the cluster id that is there. */
#include "controller/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "protocol/stored.h"
#include "quorum/format.h"

/* Levels. */

static const struct feature_choice *choice_of(const struct format_params *params, const char *name)
{
    for (int32_t i = params->choice_count - 1; i >= 0; i--)
        if (str_equal(params->choices[i].name, str_of(name)))
            return &params->choices[i];
    return NULL;
}

/* The metadata.version that a level of a feature needs (Apache Kafka 4.4.0). */
static int16_t needed_metadata_version(const char *name, int16_t level)
{
    if (level == 0)
        return 0;
    if (strcmp(name, FEATURE_KRAFT_VERSION) == 0)
        return METADATA_VERSION_KRAFT_1;
    if (strcmp(name, FEATURE_ELR_VERSION) == 0)
        return METADATA_VERSION_ELR;
    return METADATA_VERSION_MIN;
}

/* -EINVAL, and the feature with what is wrong about it as the problem. */
static int refuse_feature(const struct format_params *params, struct str name, int16_t level,
                          const char *why, const char **ret_problem)
{
    snprintf(params->text, FORMAT_TEXT_SIZE, "%.*s=%d: %s", name.size, name.data, level, why);
    *ret_problem = params->text;
    return -EINVAL;
}

static int choose(const struct format_params *params, const struct feature *feature,
                  int16_t *ret_level, const char **ret_problem)
{
    const struct feature_choice *choice = choice_of(params, feature->name);
    bool is_kraft = strcmp(feature->name, FEATURE_KRAFT_VERSION) == 0;
    int16_t level = feature->finalize_max;
    if (is_kraft && params->static_voters)
        level = 0;
    if (params->metadata_version < needed_metadata_version(feature->name, level))
        level = 0;
    if (choice) {
        level = choice->level;
        if (level < 0 || level > feature->finalize_max)
            return refuse_feature(params, choice->name, level, "this version does not serve it",
                                  ret_problem);
        if (params->metadata_version < needed_metadata_version(feature->name, level))
            return refuse_feature(params, choice->name, level, "needs a newer metadata.version",
                                  ret_problem);
    }
    if (is_kraft && level > 0 && params->static_voters) {
        *ret_problem = "kraft.version 1 and controller.quorum.voters contradict each other";
        return -EINVAL;
    }
    if (is_kraft && level == 0 && !params->static_voters) {
        *ret_problem =
            "voters in the log need kraft.version 1 and metadata.version 3.9-IV0 or newer";
        return -EINVAL;
    }
    *ret_level = level;
    return 0;
}

int format_levels(const struct format_params *params, struct feature_choice *ret_levels,
                  int32_t *ret_count, int16_t *ret_kraft, const char **ret_problem)
{
    int32_t count = 0;
    if (!metadata_version_name(params->metadata_version)) {
        *ret_problem = "an unknown metadata.version";
        return -EINVAL;
    }
    for (int32_t i = 0; i < params->choice_count; i++) {
        const struct feature_choice *choice = &params->choices[i];
        if (!feature_find(choice->name))
            return refuse_feature(params, choice->name, choice->level, "no such feature",
                                  ret_problem);
        if (str_equal(choice->name, STR(FEATURE_METADATA_VERSION)))
            return refuse_feature(params, choice->name, choice->level,
                                  "it is chosen on its own, by the release version", ret_problem);
    }
    for (int32_t i = 0; i < features_count; i++) {
        const struct feature *feature = &features[i];
        int16_t level = params->metadata_version;
        bool is_metadata = strcmp(feature->name, FEATURE_METADATA_VERSION) == 0;
        int err = is_metadata ? 0 : choose(params, feature, &level, ret_problem);
        if (err)
            return err;
        if (strcmp(feature->name, FEATURE_KRAFT_VERSION) == 0) {
            *ret_kraft = level;
        } else if (level > 0) {
            must(count < FORMAT_LEVELS_MAX);
            ret_levels[count++] = (struct feature_choice){str_of(feature->name), level};
        }
    }
    *ret_count = count;
    return 0;
}

/* What is there. */

static bool is_metadata_dir(const struct broker_settings *settings, int32_t index)
{
    return str_equal(settings->log_dirs[index], settings->metadata_log_dir);
}

/* Anything but what an interrupted format leaves behind. */
static int look_for_content(void *context, const char *name)
{
    static const char *const harmless[] = {"meta.properties", ".lock", "lost+found",
                                           "__cluster_metadata-0", "meta.properties.tmp"};
    for (size_t i = 0; i < array_size(harmless); i++)
        if (strcmp(name, harmless[i]) == 0)
            return 0;
    *(bool *)context = true;
    return 0;
}

static int look_at_meta(struct env *env, const char *dir, const struct broker_settings *settings,
                        bool is_metadata, enum format_state *ret_state)
{
    bool content = false;
    bool formatted = false;
    *ret_state = FORMAT_DONE;
    if (!is_metadata || !settings->role_controller)
        return 0;
    int err = env_list_dir(env, dir, look_for_content, &content);
    if (!err)
        err = quorum_is_formatted(env, dir, &formatted);
    if (!err && !content && !formatted)
        *ret_state = FORMAT_HALF;
    return err;
}

int format_look(struct env *env, const struct broker_settings *settings, int32_t index,
                enum format_state *ret_state, struct meta_properties *ret_meta)
{
    const char *dir = settings->log_dirs[index].data;
    int err = log_dir_read_meta(env, dir, ret_meta);
    if (err == 0)
        return look_at_meta(env, dir, settings, is_metadata_dir(settings, index), ret_state);
    if (err == -EBADMSG) {
        *ret_state = FORMAT_MALFORMED;
        return 0;
    }
    if (err != -ENOENT && err != -ENOTDIR)
        return err;
    bool content = false;
    bool formatted = false;
    err = env_list_dir(env, dir, look_for_content, &content);
    if (err == -ENOENT) {
        *ret_state = FORMAT_EMPTY;
        return 0;
    }
    if (!err)
        err = quorum_is_formatted(env, dir, &formatted);
    if (!err)
        *ret_state = content || formatted ? FORMAT_FOREIGN : FORMAT_EMPTY;
    return err;
}

int format_is_fresh(struct env *env, const struct broker_settings *settings, bool *ret_fresh,
                    char ret_cluster_id[CLUSTER_ID_SIZE])
{
    bool fresh = true;
    ret_cluster_id[0] = '\0';
    for (int32_t i = 0; i < settings->all_dir_count && fresh; i++) {
        const char *dir = settings->log_dirs[i].data;
        struct meta_properties meta;
        enum format_state state;
        bool content = false;
        bool formatted = false;
        int err = format_look(env, settings, i, &state, &meta);
        if (!err && state == FORMAT_DONE)
            err = env_list_dir(env, dir, look_for_content, &content);
        if (!err && state == FORMAT_DONE)
            err = quorum_is_formatted(env, dir, &formatted);
        if (err)
            return err;
        fresh = state != FORMAT_FOREIGN && state != FORMAT_MALFORMED && !content && !formatted;
        if (state == FORMAT_DONE || state == FORMAT_HALF)
            memcpy(ret_cluster_id, meta.cluster_id, CLUSTER_ID_SIZE);
    }
    *ret_fresh = fresh;
    return 0;
}

/* Doing it. */

/* What an interrupted attempt left of meta.properties is in the way of the next one. */
static int clear_remains(struct env *env, const char *dir)
{
    char path[4096];
    int size = snprintf(path, sizeof path, "%s/meta.properties.tmp", dir);
    if (size < 0 || (size_t)size >= sizeof path)
        return -ENAMETOOLONG;
    int err = env_unlink(env, path);
    return err == -ENOENT || err == -ENOTDIR ? 0 : err;
}

static struct uuid random_id(struct env *env)
{
    struct uuid id;
    uint8_t random[16];
    do {
        env_random(env, random, sizeof random);
    } while (!uuid_from_random(random, &id));
    return id;
}

/* Where this node's controller is told to be. A node that needs no other controller may have no
 * such listener; Kafka wants an address all the same, and the loopback harms nobody. */
static struct quorum_endpoint controller_endpoint(const struct broker_settings *settings)
{
    struct quorum_endpoint endpoint = {STR("CONTROLLER"), STR("localhost"), 9093};
    for (int32_t i = 0; i < settings->listener_count; i++) {
        const struct listener_setting *listener = &settings->listeners[i];
        if (!listener->controller || listener->unix_path.data)
            continue;
        endpoint.listener = listener->name;
        endpoint.port = (uint16_t)listener->port;
        if (listener->host.size > 0)
            endpoint.host = listener->host;
        break;
    }
    return endpoint;
}

static int write_bootstrap(const struct format_params *params, const char *dir,
                           struct uuid directory_id, const struct feature_choice *levels,
                           int32_t count, int16_t kraft_version)
{
    struct writer values[FORMAT_LEVELS_MAX] = {{0}};
    struct bytes bytes[FORMAT_LEVELS_MAX];
    int err = 0;
    for (int32_t i = 0; i < count && !err; i++) {
        const struct feature_level_record record = {levels[i].name, levels[i].level};
        err = metadata_record_encode(METADATA_FEATURE_LEVEL_RECORD, 0, &record, &values[i]);
        bytes[i] = (struct bytes){values[i].data, (int32_t)values[i].size};
    }
    const struct quorum_endpoint endpoint = controller_endpoint(params->settings);
    const struct quorum_voter self = {params->settings->node_id, directory_id, &endpoint, 1};
    const struct quorum_voters voters = {&self, kraft_version > 0, kraft_version};
    if (!err)
        err = quorum_format(params->env, dir, voters, bytes, count);
    for (int32_t i = 0; i < count; i++)
        writer_close(&values[i]);
    return err;
}

/* One look at everything. The cluster id of a half formatted node stays. */
static int look_at_all(const struct format_params *params, enum format_state *states,
                       struct meta_properties *metas, const char **ret_problem)
{
    const struct broker_settings *settings = params->settings;
    for (int32_t i = 0; i < settings->all_dir_count; i++) {
        *ret_problem = settings->log_dirs[i].data;
        int err = format_look(params->env, settings, i, &states[i], &metas[i]);
        if (err)
            return err;
        if (states[i] == FORMAT_FOREIGN)
            return -ENOTEMPTY;
        if (states[i] == FORMAT_MALFORMED)
            return -EBADMSG;
        if (states[i] == FORMAT_DONE && !params->ignore_formatted)
            return -EEXIST;
        bool has_meta = states[i] == FORMAT_DONE || states[i] == FORMAT_HALF;
        if (has_meta && (metas[i].node_id != settings->node_id ||
                         strcmp(metas[i].cluster_id, params->cluster_id) != 0))
            return -EXDEV;
    }
    return 0;
}

/* The names of the directory and of those above it, some of which may be new. */
static int sync_ancestors(struct env *env, const char *dir)
{
    char path[4096];
    size_t size = strlen(dir);
    if (size >= sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, dir, size + 1);
    while (size > 0) {
        while (size > 0 && path[size - 1] == '/')
            size--;
        while (size > 0 && path[size - 1] != '/')
            size--;
        path[size] = '\0';
        int err = env_sync_dir(env, size > 0 ? path : dir[0] == '/' ? "/" : ".");
        /* Above what this process may read nothing was made by it. */
        if (err && err != -EACCES)
            return err;
    }
    return 0;
}

static int format_dir(const struct format_params *params, int32_t index, enum format_state state,
                      struct meta_properties *meta, const struct feature_choice *levels,
                      int32_t level_count, int16_t kraft_version)
{
    const char *dir = params->settings->log_dirs[index].data;
    int err = 0;
    if (state == FORMAT_EMPTY) {
        *meta = (struct meta_properties){.node_id = params->settings->node_id,
                                         .directory_id = random_id(params->env)};
        int size = snprintf(meta->cluster_id, sizeof meta->cluster_id, "%s", params->cluster_id);
        if (size < 0 || (size_t)size >= sizeof meta->cluster_id)
            return -EINVAL;
        err = clear_remains(params->env, dir);
        if (!err)
            err = log_dir_format(params->env, dir, meta);
    }
    if (!err && is_metadata_dir(params->settings, index) && params->settings->role_controller)
        err = write_bootstrap(params, dir, meta->directory_id, levels, level_count, kraft_version);
    return err;
}

int format_storage(const struct format_params *params,
                   void (*told)(void *context, const char *dir, int outcome), void *context,
                   const char **ret_problem)
{
    const struct broker_settings *settings = params->settings;
    struct feature_choice levels[FORMAT_LEVELS_MAX];
    int32_t level_count;
    int16_t kraft_version = 0;
    int err = format_levels(params, levels, &level_count, &kraft_version, ret_problem);
    if (err)
        return err;
    size_t count = (size_t)settings->all_dir_count;
    enum format_state *states = calloc(count, sizeof states[0]);
    struct meta_properties *metas = calloc(count, sizeof metas[0]);
    *ret_problem = "memory";
    err = states && metas ? look_at_all(params, states, metas, ret_problem) : -ENOMEM;
    /* The metadata directory comes last: it is what makes the node start. */
    for (int last = 0; last < 2 && !err; last++) {
        for (int32_t i = 0; i < settings->all_dir_count && !err; i++) {
            if (is_metadata_dir(settings, i) != (last == 1))
                continue;
            bool formats = states[i] != FORMAT_DONE;
            *ret_problem = settings->log_dirs[i].data;
            if (formats)
                err =
                    format_dir(params, i, states[i], &metas[i], levels, level_count, kraft_version);
            /* Also of those that an interrupted attempt made. */
            if (!err)
                err = sync_ancestors(params->env, *ret_problem);
            if (!err && told)
                told(context, settings->log_dirs[i].data, !formats);
        }
    }
    free(states);
    free(metas);
    return err;
}
