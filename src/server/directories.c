#include "server/directories.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "controller/format.h"
#include "metadata/features.h"
#include "server/format.h"
#include "server/listener.h"

static const char *open_problem(int err)
{
    switch (err) {
    case -ENOENT:
        return "it has no meta.properties, but other directories of this node have one or hold "
               "something; `jackdaw storage format --ignore-formatted` formats those that are "
               "empty";
    case -EWOULDBLOCK:
        return "another process uses it";
    case -EBADMSG:
        return "its meta.properties is malformed";
    default:
        return result_text(err);
    }
}

/* The first directory that is there; NULL before one was opened. The metadata's own is the last
 * resort: its log directories may all be offline. */
static const struct log_dir *directory_first(const struct broker *broker)
{
    for (int32_t i = 0; i < broker->dir_count; i++)
        if (!atomic_load(&broker->dirs[i].offline))
            return &broker->dirs[i].dir;
    return broker->metadata_dir.path ? &broker->metadata_dir : NULL;
}

static int directory_check(struct broker *broker, const struct log_dir *dir)
{
    const struct meta_properties *meta = &dir->meta;
    const struct meta_properties *first = &directory_first(broker)->meta;
    if (meta->node_id != broker->static_config->settings.node_id) {
        say_error(&broker->say, "log directory belongs to another node", kv_text("dir", dir->path),
                  kv_int("its_node_id", meta->node_id),
                  kv_int("node_id", broker->static_config->settings.node_id));
        return -EINVAL;
    }
    if (strcmp(meta->cluster_id, first->cluster_id) != 0) {
        say_error(&broker->say, "log directories belong to different clusters",
                  kv_text("dir", dir->path), kv_text("cluster_id", meta->cluster_id),
                  kv_text("first", first->cluster_id));
        return -EINVAL;
    }
    return 0;
}

/* Format all directories if every one is missing or empty. A directory that cannot be looked at
 * says that the node is not new. */
static int directories_format(struct broker *broker)
{
    const struct broker_settings *settings = &broker->static_config->settings;
    char cluster_id[CLUSTER_ID_SIZE];
    bool fresh;
    if (format_is_fresh(broker->env, settings, &fresh, cluster_id) < 0 || !fresh)
        return 0;
    /* A mistake in the listeners should not leave a formatted directory behind. */
    int err = listeners_check(broker);
    if (err < 0)
        return err;
    if (!cluster_id[0])
        uuid_format(format_random_uuid(broker->env), cluster_id);
    return format_directories(broker->env, &broker->say, broker->static_config, cluster_id);
}

/* As in Kafka: what was never formatted, is of somebody else or in use is the operator's mistake;
 * anything else is a fault of the device, and the node does without the directory. */
static bool is_device_fault(int err)
{
    return err != -ENOENT && err != -EBADMSG && err != -EWOULDBLOCK && err != -EINVAL &&
           err != -ENOMEM && err != -EMFILE && err != -ENFILE;
}

/* Lock it. On failure nothing is held. */
static int directory_lock(struct broker *broker, const char *path, struct log_dir *ret_dir)
{
    int err = log_dir_open(broker->env, path, ret_dir);
    if (err < 0)
        say_error(&broker->say, "cannot use log directory", kv_text("dir", path),
                  kv_text("reason", open_problem(err)));
    return err;
}

/* The metadata's directory where it is none of log.dirs: no partition lives there. */
static int metadata_directory_open(struct broker *broker, const char *path)
{
    int err = directory_lock(broker, path, &broker->metadata_dir);
    if (err == 0)
        err = directory_check(broker, &broker->metadata_dir);
    if (err == 0)
        broker->directory_id = broker->metadata_dir.meta.directory_id;
    return err;
}

static int directory_open(struct broker *broker, const char *path)
{
    struct partition_dir *dir = &broker->dirs[broker->dir_count];
    int err = directory_lock(broker, path, &dir->dir);
    if (err < 0)
        return err;
    broker->dir_count++;
    err = directory_check(broker, &dir->dir);
    if (err < 0)
        return err;
    err = log_dir_unmark_clean(&dir->dir);
    if (err < 0) {
        say_error(&broker->say, "cannot write to log directory", kv_text("dir", path),
                  kv_text("reason", result_text(err)));
        broker->dir_count--;
        log_dir_close(&dir->dir);
    }
    return err;
}

/* Keep its place: its partitions answer KAFKA_STORAGE_ERROR. */
static int directory_offline(struct broker *broker, const char *path)
{
    struct partition_dir *dir = &broker->dirs[broker->dir_count];
    *dir = (struct partition_dir){
        .dir = {.env = broker->env, .path = strdup(path), .lock_file = -1, .broker_epoch = -1}};
    if (!dir->dir.path)
        return -ENOMEM;
    atomic_init(&dir->offline, true);
    broker->dir_count++;
    say_error(&broker->say, "log directory offline", kv_text("dir", path),
              kv_text("during", "start"));
    return 0;
}

int directories_open(struct broker *broker)
{
    const struct broker_settings *settings = &broker->static_config->settings;
    int err = directories_format(broker);
    if (err < 0)
        return err;
    broker->dirs = calloc((size_t)settings->log_dir_count, sizeof *broker->dirs);
    if (!broker->dirs)
        return -ENOMEM;
    if (settings->all_dir_count > settings->log_dir_count)
        err = metadata_directory_open(broker, settings->metadata_log_dir.data);
    if (err < 0)
        return err;
    for (int32_t i = 0; i < settings->log_dir_count; i++) {
        const char *path = settings->log_dirs[i].data;
        bool metadata = str_equal(settings->log_dirs[i], settings->metadata_log_dir);
        err = directory_open(broker, path);
        if (err < 0 && is_device_fault(err) && !metadata)
            err = directory_offline(broker, path);
        else if (err < 0 && is_device_fault(err))
            say_error(&broker->say, "the metadata directory is offline: stopping",
                      kv_text("dir", path));
        if (err < 0)
            return err;
        if (metadata)
            broker->directory_id = broker->dirs[i].dir.meta.directory_id;
    }
    memcpy(broker->cluster_id, directory_first(broker)->meta.cluster_id, sizeof broker->cluster_id);
    broker->incarnation_id = format_random_uuid(broker->env);
    return 0;
}

void directories_close(struct broker *broker)
{
    log_dir_close(&broker->metadata_dir);
    if (!broker->dirs)
        return;
    for (int32_t i = 0; i < broker->dir_count; i++)
        log_dir_close(&broker->dirs[i].dir);
    free(broker->dirs);
    broker->dirs = NULL;
}

static bool registration_listeners(struct broker *broker, struct arena *arena,
                                   struct broker_registration_request *request)
{
    const struct broker_settings *settings = &broker->static_config->settings;
    request->listeners.items =
        broker_registration_request_listener_array(arena, settings->listener_count);
    if (!request->listeners.items)
        return false;
    for (int32_t i = 0; i < settings->listener_count; i++) {
        const struct listener_setting *setting = &settings->listeners[i];
        if (setting->controller || setting->unix_path.data)
            continue;
        struct broker_registration_request_listener *listener =
            &request->listeners.items[request->listeners.count++];
        listener->name = setting->name;
        listener->host = setting->host.size ? setting->host : STR("localhost");
        listener->port = (uint16_t)setting->port;
        listener->security_protocol = (int16_t)setting->protocol;
        for (int32_t a = 0; a < settings->advertised_count; a++) {
            if (!str_equal(settings->advertised[a].name, setting->name))
                continue;
            listener->host = settings->advertised[a].host;
            listener->port = (uint16_t)settings->advertised[a].port;
        }
    }
    return true;
}

bool directories_registration(struct broker *broker, struct arena *arena,
                              struct broker_registration_request *ret_request)
{
    const struct broker_settings *settings = &broker->static_config->settings;
    broker_registration_request_init(ret_request);
    ret_request->broker_id = settings->node_id;
    ret_request->cluster_id = str_of(broker->cluster_id);
    ret_request->incarnation_id = broker->incarnation_id;
    ret_request->rack = settings->rack;
    ret_request->previous_broker_epoch = directory_first(broker)->broker_epoch;
    ret_request->features.items = broker_registration_request_feature_array(arena, features_count);
    ret_request->log_dirs.items =
        arena_array(arena, (size_t)broker->dir_count, sizeof(struct uuid));
    if (!ret_request->features.items || !ret_request->log_dirs.items ||
        !registration_listeners(broker, arena, ret_request))
        return false;
    for (int32_t i = 0; i < features_count; i++) {
        struct broker_registration_request_feature *feature =
            &ret_request->features.items[ret_request->features.count++];
        feature->name = str_of(features[i].name);
        feature->min_supported_version = features[i].min;
        feature->max_supported_version = features[i].max;
    }
    for (int32_t i = 0; i < broker->dir_count; i++) {
        if (atomic_load(&broker->dirs[i].offline))
            continue;
        ret_request->log_dirs.items[ret_request->log_dirs.count++] =
            broker->dirs[i].dir.meta.directory_id;
    }
    return true;
}

/* The controller's own listener as others are told of it. Without a host to tell there is none:
 * then what the voters' record says stays. */
static bool controller_endpoint(const struct broker_settings *settings,
                                struct quorum_endpoint *ret_endpoint)
{
    for (int32_t i = 0; i < settings->listener_count; i++) {
        const struct listener_setting *listener = &settings->listeners[i];
        if (!listener->controller || listener->unix_path.data)
            continue;
        struct quorum_endpoint endpoint = {listener->name, listener->host,
                                           (uint16_t)listener->port};
        for (int32_t a = 0; a < settings->advertised_count; a++) {
            if (!str_equal(settings->advertised[a].name, listener->name))
                continue;
            endpoint.host = settings->advertised[a].host;
            endpoint.port = (uint16_t)settings->advertised[a].port;
        }
        if (endpoint.host.size == 0 || str_equal(endpoint.host, STR("0.0.0.0")) ||
            str_equal(endpoint.host, STR("::")) || endpoint.port == 0)
            return false;
        *ret_endpoint = endpoint;
        return true;
    }
    return false;
}

/* Who votes according to the configuration. A log with kraft.version 0 names nobody itself. */
static bool static_voters(const struct broker_settings *settings, struct arena *arena,
                          struct quorum_params *ret_params)
{
    int32_t count = settings->quorum_voter_count;
    struct quorum_voter *voters = arena_array(arena, (size_t)count, sizeof *voters);
    struct quorum_endpoint *endpoints = arena_array(arena, (size_t)count, sizeof *endpoints);
    if (!voters || !endpoints)
        return false;
    struct str name = STR("CONTROLLER");
    for (int32_t i = settings->listener_count - 1; i >= 0; i--)
        if (settings->listeners[i].controller)
            name = settings->listeners[i].name;
    for (int32_t i = 0; i < count; i++) {
        const struct quorum_address *address = &settings->quorum_voters[i];
        endpoints[i] = (struct quorum_endpoint){name, address->host, (uint16_t)address->port};
        voters[i] = (struct quorum_voter){
            .id = address->id, .endpoints = &endpoints[i], .endpoint_count = 1};
    }
    ret_params->static_voters = voters;
    ret_params->static_voter_count = count;
    return true;
}

int directories_quorum(struct broker *broker, struct arena *arena, struct quorum_params *ret_params)
{
    const struct broker_settings *settings = &broker->static_config->settings;
    struct quorum_endpoint *endpoint = arena_alloc(arena, sizeof *endpoint);
    if (!endpoint || !static_voters(settings, arena, ret_params))
        return -ENOMEM;
    if (controller_endpoint(settings, endpoint)) {
        ret_params->endpoints = endpoint;
        ret_params->endpoint_count = 1;
    }
    ret_params->files = broker->files;
    ret_params->dir = settings->metadata_log_dir.data;
    ret_params->directory_id = broker->directory_id;
    ret_params->segment_bytes = settings->metadata_log_segment_bytes;
    ret_params->segment_ms = settings->metadata_log_segment_ms;
    ret_params->retention_bytes = settings->metadata_max_retention_bytes;
    ret_params->retention_ms = settings->metadata_max_retention_ms;
    ret_params->snapshot_after_bytes = settings->metadata_log_max_record_bytes_between_snapshots;
    ret_params->snapshot_interval_ms = settings->metadata_log_max_snapshot_interval_ms;
    for (int32_t i = 0; i < broker->dir_count; i++)
        if (uuid_equal(broker->dirs[i].dir.meta.directory_id, broker->directory_id))
            ret_params->clean = broker->dirs[i].dir.was_clean;
    return 0;
}
