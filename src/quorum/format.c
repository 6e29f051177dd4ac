#include "quorum/format.h"

#include <errno.h>
#include <stdio.h>

#include "quorum/snapshot.h"

enum { PATH_SIZE = 4096 };

static int metadata_path(const char *dir, char path[PATH_SIZE])
{
    int size = snprintf(path, PATH_SIZE, "%s/__cluster_metadata-0", dir);
    return size < 0 || size >= PATH_SIZE ? -ENAMETOOLONG : 0;
}

int quorum_format(struct env *env, const char *dir, struct quorum_voters voters,
                  const struct bytes *values, int32_t count)
{
    const struct snapshot_id bootstrap = {0, 0};
    struct snapshot_writer *writer;
    char path[PATH_SIZE];
    int64_t size;
    int err = metadata_path(dir, path);
    if (!err)
        err = env_mkdirs(env, path);
    if (!err)
        err = env_sync_dir(env, dir);
    if (!err)
        err = snapshot_writer_create(env, path, bootstrap, env_wall_ms(env), voters, &writer);
    if (err)
        return err;
    for (int32_t i = 0; i < count; i++)
        snapshot_write_record(writer, values[i]); /* finish tells of errors */
    return snapshot_writer_finish(writer, &size);
}

static int look_at_name(void *context, const char *name)
{
    struct snapshot_id id;
    size_t size = strlen(name);
    bool is_log = size > 4 && strcmp(name + size - 4, ".log") == 0;
    if (is_log || snapshot_parse_name(name, &id))
        *(bool *)context = true;
    return 0;
}

int quorum_is_formatted(struct env *env, const char *dir, bool *ret_formatted)
{
    char path[PATH_SIZE];
    bool found = false;
    int err = metadata_path(dir, path);
    if (!err)
        err = env_list_dir(env, path, look_at_name, &found);
    if (err && err != -ENOENT)
        return err;
    *ret_formatted = found;
    return 0;
}
