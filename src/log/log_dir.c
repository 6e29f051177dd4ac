/* The files at the top of a log directory. Everything here is written so that a crash leaves the
 * old or the new file (env_replace), and the clean marker is gone, durably, before anything else
 * changes. */
#include "log/log_dir.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/properties.h"
#include "log/text_file.h"

#define LOCK_FILE ".lock"
#define META_FILE "meta.properties"
#define MARKER_FILE ".kafka_cleanshutdown"
#define SIGN_FILE "jackdaw-running"
#define META_BYTES_MAX 65536
#define MARKER_BYTES_MAX 4096

/* Remembers the keys of meta.properties while they are read. */
struct meta_draft {
    struct meta_properties meta;
    int64_t version;
    bool has_node_id;
};

static int meta_take(struct meta_draft *draft, const struct property *property)
{
    struct meta_properties *meta = &draft->meta;
    struct str value = property->value;
    int64_t number;
    if (str_equal(property->key, STR("version")))
        return word_int64(value, 0, INT32_MAX, &draft->version);
    if (str_equal(property->key, STR("node.id"))) {
        int err = word_int64(value, 0, INT32_MAX, &number);
        if (err == 0) {
            meta->node_id = (int32_t)number;
            draft->has_node_id = true;
        }
        return err;
    }
    if (str_equal(property->key, STR("cluster.id"))) {
        if (value.size == 0 || value.size >= CLUSTER_ID_SIZE)
            return -EBADMSG;
        memset(meta->cluster_id, 0, sizeof meta->cluster_id);
        memcpy(meta->cluster_id, value.data, (size_t)value.size);
        return 0;
    }
    if (str_equal(property->key, STR("directory.id")))
        return uuid_parse(value, &meta->directory_id) < 0 ? -EBADMSG : 0;
    return 0;
}

static int meta_parse(struct bytes text, struct arena *arena, struct meta_properties *ret_meta)
{
    struct meta_draft draft = {.version = -1};
    struct properties_reader reader;
    struct property property;
    int err = properties_open(text, &reader);
    while (err == 0 && (err = properties_next(&reader, arena, &property)) == 0)
        err = meta_take(&draft, &property);
    if (err < 0)
        return err == -ENOMEM ? err : -EBADMSG;
    if (draft.version != 1 || !draft.has_node_id || !draft.meta.cluster_id[0])
        return -EBADMSG;
    *ret_meta = draft.meta;
    return 0;
}

int log_dir_read_meta(struct env *env, const char *path, struct meta_properties *ret_meta)
{
    char file[LOG_PATH_MAX];
    char *data;
    size_t size;
    struct arena arena;
    int err = path_join(file, path, META_FILE);
    if (err < 0)
        return err;
    err = env_load(env, file, META_BYTES_MAX, &data, &size);
    if (err < 0)
        return err == -EFBIG ? -EBADMSG : err;
    arena_init(&arena, 0);
    err = meta_parse((struct bytes){(uint8_t *)data, (int32_t)size}, &arena, ret_meta);
    arena_close(&arena);
    free(data);
    return err;
}

static int meta_write(struct env *env, const char *path, const struct meta_properties *meta)
{
    char file[LOG_PATH_MAX], id[UUID_TEXT_SIZE], number[16];
    struct writer out = {0};
    int err = path_join(file, path, META_FILE);
    if (err < 0)
        return err;
    uuid_format(meta->directory_id, id);
    snprintf(number, sizeof number, "%d", meta->node_id);
    properties_write(&out, STR("cluster.id"), str_of(meta->cluster_id));
    properties_write(&out, STR("directory.id"), str_of(id));
    properties_write(&out, STR("node.id"), str_of(number));
    properties_write(&out, STR("version"), STR("1"));
    err = out.failed ? -ENOMEM : env_replace(env, file, out.data, out.size);
    writer_close(&out);
    return err;
}

/* {"version":0,"brokerEpoch":30}. What cannot be read still marks a clean stop, as before 3.7. */
static int marker_read(struct log_dir *dir)
{
    char path[LOG_PATH_MAX];
    char *data;
    size_t size;
    dir->was_clean = false;
    dir->broker_epoch = -1;
    int err = path_join(path, dir->path, MARKER_FILE);
    if (err == 0)
        err = env_load(dir->env, path, MARKER_BYTES_MAX, &data, &size);
    if (err == -ENOENT)
        return 0;
    dir->was_clean = err == 0 || err == -EFBIG;
    if (err < 0)
        return err == -EFBIG ? 0 : err;

    json_t *root = json_loadb(data, size, 0, NULL);
    json_t *epoch = json_object_get(root, "brokerEpoch");
    if (json_is_integer(epoch))
        dir->broker_epoch = json_integer_value(epoch);
    json_decref(root);
    free(data);
    return 0;
}

static int sign_look(struct log_dir *dir)
{
    char path[LOG_PATH_MAX];
    struct env_stat stat;
    int err = path_join(path, dir->path, SIGN_FILE);
    if (err == 0)
        err = env_stat(dir->env, path, &stat);
    dir->is_signed = err == 0;
    return err == -ENOENT ? 0 : err;
}

static int lock_take(struct log_dir *dir)
{
    char path[LOG_PATH_MAX];
    int err = path_join(path, dir->path, LOCK_FILE);
    if (err < 0)
        return err;
    int file = env_open(dir->env, path, ENV_READ | ENV_WRITE | ENV_CREATE);
    if (file < 0)
        return file;
    err = env_lock(dir->env, file);
    if (err < 0) {
        (void)env_close(dir->env, file);
        return err;
    }
    dir->lock_file = file;
    return 0;
}

static int directory_id_add(struct log_dir *dir)
{
    uint8_t random[16];
    do {
        env_random(dir->env, random, sizeof random);
    } while (!uuid_from_random(random, &dir->meta.directory_id));
    return meta_write(dir->env, dir->path, &dir->meta);
}

int log_dir_open(struct env *env, const char *path, struct log_dir *ret_dir)
{
    struct log_dir dir = {.env = env, .lock_file = -1};
    /* Looked at before the lock: an unformatted directory is left as it is. */
    int err = log_dir_read_meta(env, path, &dir.meta);
    if (err < 0)
        return err;
    dir.path = strdup(path);
    if (!dir.path)
        return -ENOMEM;
    err = lock_take(&dir);
    if (err == 0)
        err = log_dir_read_meta(env, path, &dir.meta);
    if (err == 0 && uuid_is_zero(dir.meta.directory_id))
        err = directory_id_add(&dir);
    if (err == 0)
        err = marker_read(&dir);
    if (err == 0)
        err = sign_look(&dir);
    if (err < 0) {
        log_dir_close(&dir);
        return err;
    }
    *ret_dir = dir;
    return 0;
}

void log_dir_close(struct log_dir *dir)
{
    if (!dir->path)
        return;
    if (dir->lock_file >= 0)
        (void)env_close(dir->env, dir->lock_file);
    free(dir->path);
    *dir = (struct log_dir){.lock_file = -1};
}

static int refuse_entry(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "lost+found") == 0 ? 0 : -ENOTEMPTY;
}

int log_dir_is_empty(struct env *env, const char *path, bool *ret_empty)
{
    int err = env_list_dir(env, path, refuse_entry, NULL);
    if (err < 0 && err != -ENOENT && err != -ENOTEMPTY)
        return err;
    *ret_empty = err != -ENOTEMPTY;
    return 0;
}

int log_dir_format(struct env *env, const char *path, const struct meta_properties *meta)
{
    bool empty;
    int err = log_dir_is_empty(env, path, &empty);
    if (err < 0)
        return err;
    if (!empty)
        return -ENOTEMPTY;
    err = env_mkdirs(env, path);
    return err < 0 ? err : meta_write(env, path, meta);
}

static int file_remove(struct log_dir *dir, const char *name)
{
    char path[LOG_PATH_MAX];
    int err = path_join(path, dir->path, name);
    if (err == 0)
        err = env_unlink(dir->env, path);
    if (err < 0 && err != -ENOENT)
        return err;
    return env_sync_dir(dir->env, dir->path);
}

int log_dir_sign(struct log_dir *dir)
{
    static const char text[] = "Jackdaw has this directory open, or crashed.\n";
    char path[LOG_PATH_MAX];
    int err = path_join(path, dir->path, SIGN_FILE);
    if (err == 0)
        err = env_replace(dir->env, path, text, sizeof text - 1);
    dir->is_signed |= err == 0;
    return err;
}

int log_dir_unsign(struct log_dir *dir)
{
    int err = dir->is_signed ? file_remove(dir, SIGN_FILE) : 0;
    dir->is_signed &= err < 0;
    return err;
}

int log_dir_unmark_clean(struct log_dir *dir)
{
    return file_remove(dir, MARKER_FILE);
}

int log_dir_mark_clean(struct log_dir *dir, int64_t broker_epoch)
{
    char path[LOG_PATH_MAX], text[64];
    int err = path_join(path, dir->path, MARKER_FILE);
    if (err == 0) /* first: a Kafka that takes the marker away must not leave the sign */
        err = log_dir_unsign(dir);
    if (err < 0)
        return err;
    int size = snprintf(text, sizeof text, "{\"version\":0,\"brokerEpoch\":%lld}",
                        (long long)broker_epoch);
    return env_replace(dir->env, path, text, (size_t)size);
}

static int checkpoint_line_parse(struct str line, struct checkpoint_entry *ret_entry)
{
    int64_t partition, offset;
    struct str topic = line_word(&line);
    if (topic.size == 0 || word_int64(line_word(&line), 0, INT32_MAX, &partition) < 0 ||
        word_int64(line_word(&line), INT64_MIN, INT64_MAX, &offset) < 0 ||
        line_word(&line).size > 0)
        return -EBADMSG;
    *ret_entry = (struct checkpoint_entry){topic, (int32_t)partition, offset};
    return 0;
}

static int checkpoint_parse(struct str text, struct arena *arena,
                            struct checkpoint_entry **ret_entries, int32_t *ret_count)
{
    struct checkpoint_reader reader;
    struct str line;
    int err = checkpoint_reader_open(text, &reader);
    /* A line takes at least five bytes ("t 0 0"), so a lying count cannot ask for much memory. */
    if (err == 0 && reader.left > text.size / 5)
        err = -EBADMSG;
    if (err < 0)
        return err;

    int32_t count = 0;
    struct checkpoint_entry *entries = arena_array(arena, (size_t)reader.left, sizeof *entries);
    if (!entries)
        return -ENOMEM;
    while ((err = checkpoint_reader_next(&reader, &line)) == 0) {
        err = checkpoint_line_parse(line, &entries[count]);
        if (err < 0)
            return err;
        entries[count].topic = arena_str(arena, entries[count].topic);
        if (!entries[count].topic.data)
            return -ENOMEM;
        count++;
    }
    if (err != -ENODATA)
        return err;
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

int checkpoint_read(struct log_dir *dir, const char *name, struct arena *arena,
                    struct checkpoint_entry **ret_entries, int32_t *ret_count)
{
    char path[LOG_PATH_MAX];
    char *data;
    size_t size;
    int err = path_join(path, dir->path, name);
    if (err == 0)
        err = env_load(dir->env, path, CHECKPOINT_BYTES_MAX, &data, &size);
    if (err == -ENOENT) {
        *ret_entries = NULL;
        *ret_count = 0;
        return 0;
    }
    if (err < 0)
        return err;
    err = checkpoint_parse((struct str){data, (int32_t)size}, arena, ret_entries, ret_count);
    free(data);
    return err;
}

int checkpoint_write(struct log_dir *dir, const char *name, const struct checkpoint_entry *entries,
                     int32_t count)
{
    char path[LOG_PATH_MAX];
    struct writer out = {.limit = CHECKPOINT_BYTES_MAX};
    int err = path_join(path, dir->path, name);
    if (err < 0)
        return err;
    write_format(&out, "0\n%d\n", count);
    for (int32_t i = 0; i < count; i++)
        write_format(&out, "%.*s %d %lld\n", entries[i].topic.size, entries[i].topic.data,
                     entries[i].partition, (long long)entries[i].offset);
    err = out.failed ? -ENOMEM : env_replace(dir->env, path, out.data, out.size);
    writer_close(&out);
    return err;
}

struct folder_walk {
    struct log_dir *dir;
    struct arena *arena;
    struct partition_folder *folders; /* NULL: only count */
    int32_t count;
};

static int folder_add(struct folder_walk *walk, const char *name, struct str topic,
                      struct partition_folder folder)
{
    char path[LOG_PATH_MAX];
    struct env_stat stat;
    int err = path_join(path, walk->dir->path, name);
    if (err == 0)
        err = env_stat(walk->dir->env, path, &stat);
    if (err < 0 || !stat.is_dir)
        return err == -ENOENT ? 0 : err;
    err = partition_metadata_read(walk->dir->env, path, &folder.topic_id);
    if (err < 0 && err != -ENOENT && err != -EBADMSG)
        return err;

    folder.name = arena_str(walk->arena, str_of(name));
    if (!folder.name.data)
        return -ENOMEM;
    folder.topic = (struct str){folder.name.data, topic.size};
    walk->folders[walk->count++] = folder;
    return 0;
}

static int folder_visit(void *context, const char *name)
{
    struct folder_walk *walk = context;
    struct partition_folder folder = {0};
    struct str topic;
    if (!folder_name_parse(str_of(name), &topic, &folder.partition, &folder.kind))
        return 0;
    if (walk->folders)
        return folder_add(walk, name, topic, folder);
    walk->count++;
    return 0;
}

int log_dir_list(struct log_dir *dir, struct arena *arena, struct partition_folder **ret_folders,
                 int32_t *ret_count)
{
    struct folder_walk walk = {.dir = dir, .arena = arena};
    int err = env_list_dir(dir->env, dir->path, folder_visit, &walk);
    if (err < 0)
        return err;
    struct partition_folder *folders = arena_array(arena, (size_t)walk.count, sizeof *folders);
    if (!folders)
        return -ENOMEM;
    /* Nobody else makes folders while the list is taken: the lock is ours. */
    walk.folders = folders;
    walk.count = 0;
    err = env_list_dir(dir->env, dir->path, folder_visit, &walk);
    if (err < 0)
        return err;
    *ret_folders = folders;
    *ret_count = walk.count;
    return 0;
}

/* As Kafka, the topic is cut where the name would pass what a file system takes. */
#define FOLDER_NAME_MAX 255
#define UNIQUE_HEX 32

static int folder_rename(struct log_dir *dir, struct str topic, int32_t partition,
                         const char *suffix, char ret_path[LOG_PATH_MAX])
{
    uint8_t unique[UNIQUE_HEX / 2];
    char old_path[LOG_PATH_MAX], tail[64];
    int size = snprintf(tail, sizeof tail, "-%d.", partition);
    env_random(dir->env, unique, sizeof unique);
    for (size_t i = 0; i < sizeof unique; i++)
        size += snprintf(tail + size, sizeof tail - (size_t)size, "%02x", unique[i]);
    size += snprintf(tail + size, sizeof tail - (size_t)size, "%s", suffix);

    int kept = topic.size < FOLDER_NAME_MAX - size ? topic.size : FOLDER_NAME_MAX - size;
    int n = snprintf(old_path, sizeof old_path, "%s/%.*s-%d", dir->path, topic.size, topic.data,
                     partition);
    int m = snprintf(ret_path, LOG_PATH_MAX, "%s/%.*s%s", dir->path, kept, topic.data, tail);
    if (n >= LOG_PATH_MAX || m >= LOG_PATH_MAX)
        return -ENAMETOOLONG;
    return env_rename(dir->env, old_path, ret_path);
}

int log_dir_retire_folder(struct log_dir *dir, struct str topic, int32_t partition,
                          char ret_path[LOG_PATH_MAX])
{
    return folder_rename(dir, topic, partition, "-delete", ret_path);
}

int log_dir_stray_folder(struct log_dir *dir, struct str topic, int32_t partition,
                         char ret_path[LOG_PATH_MAX])
{
    return folder_rename(dir, topic, partition, "-stray", ret_path);
}
