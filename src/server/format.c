#include "server/format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/errors.h"
#include "log/log_dir.h"
#include "metadata/features.h"
#include "protocol/stored.h"
#include "quorum/snapshot.h"

#define METADATA_FOLDER "__cluster_metadata-0"

struct uuid format_random_uuid(struct env *env)
{
    uint8_t random[16];
    struct uuid id;
    do {
        env_random(env, random, sizeof random);
    } while (!uuid_from_random(random, &id));
    return id;
}

/* Where the controller listens; a node that is its own only voter may have no such listener, and
 * then the record names the loopback address, for nobody to use. */
static struct quorum_endpoint controller_endpoint(const struct broker_settings *settings)
{
    struct quorum_endpoint endpoint = {STR("CONTROLLER"), STR("localhost"), 9093};
    for (int32_t i = 0; i < settings->listener_count; i++) {
        const struct listener_setting *listener = &settings->listeners[i];
        if (!listener->controller)
            continue;
        endpoint.listener = listener->name;
        endpoint.port = (uint16_t)listener->port;
        if (listener->host.size > 0)
            endpoint.host = listener->host;
    }
    return endpoint;
}

/* The records that a new cluster begins with: the features it has switched on. */
static int write_features(struct snapshot_writer *writer)
{
    for (int32_t i = 0; i < features_count; i++) {
        const struct feature *feature = &features[i];
        if (feature->finalize_max == 0 ||
            strcmp(feature->name, FEATURE_KRAFT_VERSION) == 0) /* a control record of its own */
            continue;
        struct feature_level_record record;
        feature_level_record_init(&record);
        record.name = str_of(feature->name);
        record.feature_level = feature->finalize_max;
        struct writer value = {0};
        int err = metadata_record_encode(METADATA_FEATURE_LEVEL_RECORD, 0, &record, &value);
        if (err == 0)
            err = snapshot_write_record(writer, (struct bytes){value.data, (int32_t)value.size});
        writer_close(&value);
        if (err != 0)
            return err;
    }
    return 0;
}

static int write_bootstrap(struct env *env, const char *dir, const struct broker_settings *settings,
                           struct uuid directory_id)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/" METADATA_FOLDER, dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    int err = env_mkdirs(env, path);
    if (err < 0)
        return err;
    struct quorum_endpoint endpoint = controller_endpoint(settings);
    struct quorum_voter self = {.id = settings->node_id,
                                .directory_id = directory_id,
                                .endpoints = &endpoint,
                                .endpoint_count = 1};
    struct quorum_voters voters = {.items = &self, .count = 1, .kraft_version = 1};
    struct snapshot_writer *writer;
    err = snapshot_writer_create(env, path, (struct snapshot_id){0, 0}, env_wall_ms(env), voters,
                                 &writer);
    if (err != 0)
        return err;
    err = write_features(writer);
    if (err != 0) {
        snapshot_writer_abort(writer);
        return err;
    }
    int64_t size;
    return snapshot_writer_finish(writer, &size);
}

int format_directories(struct env *env, const struct say *say, const struct broker_config *config,
                       const char *cluster_id)
{
    const struct broker_settings *settings = &config->settings;
    struct meta_properties meta = {.node_id = settings->node_id};
    snprintf(meta.cluster_id, sizeof meta.cluster_id, "%s", cluster_id);
    for (int32_t i = 0; i < settings->log_dir_count; i++) {
        const char *path = settings->log_dirs[i].data;
        meta.directory_id = format_random_uuid(env);
        /* meta.properties comes first because it wants an empty directory; without the bootstrap
         * snapshot the node will not start, so a crash between the two loses nothing. */
        int err = log_dir_format(env, path, &meta);
        if (err == 0 && str_equal(settings->log_dirs[i], settings->metadata_log_dir))
            err = write_bootstrap(env, path, settings, meta.directory_id);
        if (err < 0) {
            say_error(say, "cannot format log directory", kv_text("dir", path),
                      kv_text("error", result_text(err)));
            return err;
        }
        say_info(say, "formatted log directory", kv_text("dir", path),
                 kv_text("cluster_id", cluster_id));
    }
    return 0;
}
