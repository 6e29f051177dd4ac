/* Helpers over the calls of env.h; they know no operating system. */
#include "os/env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define ENV_PATH_MAX 4096

int env_read_all(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    char *at = data;
    while (size > 0) {
        ssize_t n = env_read(env, file, at, size, offset);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -ENODATA;
        at += n;
        size -= (size_t)n;
        offset += n;
    }
    return 0;
}

int env_write_all(struct env *env, int file, const void *data, size_t size, int64_t offset)
{
    const char *at = data;
    while (size > 0) {
        struct iovec part = {.iov_base = (void *)at, .iov_len = size};
        ssize_t n = env_writev(env, file, &part, 1, offset);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO;
        at += n;
        size -= (size_t)n;
        offset += n;
    }
    return 0;
}

int env_load(struct env *env, const char *path, size_t max_bytes, char **ret_data, size_t *ret_size)
{
    int64_t size_bytes = 0;
    char *data = NULL;
    int file = env_open(env, path, ENV_READ);
    if (file < 0)
        return file;
    int err = env_size(env, file, &size_bytes);
    if (err < 0)
        goto out;
    err = -EFBIG;
    if ((uint64_t)size_bytes > max_bytes)
        goto out;
    err = -ENOMEM;
    data = malloc((size_t)size_bytes + 1);
    if (!data)
        goto out;
    err = env_read_all(env, file, data, (size_t)size_bytes, 0);
    if (err < 0)
        goto out;
    data[size_bytes] = 0;
    *ret_data = data;
    *ret_size = (size_t)size_bytes;
    data = NULL;
out:
    free(data);
    (void)env_close(env, file);
    return err;
}

/* The directory that holds `path`: everything before the last slash. */
static int path_parent(const char *path, char parent[ENV_PATH_MAX])
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    while (size > 0 && path[size - 1] != '/')
        size--;
    while (size > 1 && path[size - 1] == '/')
        size--;
    if (size >= ENV_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(parent, path, size);
    parent[size] = 0;
    if (size == 0)
        memcpy(parent, ".", 2);
    return 0;
}

static int write_new_file(struct env *env, const char *path, const void *data, size_t size)
{
    int file = env_open(env, path, ENV_WRITE | ENV_CREATE | ENV_TRUNCATE);
    if (file < 0)
        return file;
    int err = env_write_all(env, file, data, size, 0);
    if (err == 0)
        err = env_sync(env, file);
    int close_err = env_close(env, file);
    return err < 0 ? err : close_err;
}

int env_replace(struct env *env, const char *path, const void *data, size_t size)
{
    char temporary[ENV_PATH_MAX], parent[ENV_PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof temporary)
        return -ENAMETOOLONG;
    int err = path_parent(path, parent);
    if (err < 0)
        return err;
    err = write_new_file(env, temporary, data, size);
    if (err == 0)
        err = env_rename(env, temporary, path);
    if (err < 0) {
        (void)env_unlink(env, temporary);
        return err;
    }
    return env_sync_dir(env, parent);
}

static int mkdir_unless_there(struct env *env, const char *path)
{
    struct env_stat stat;
    int err = env_mkdir(env, path);
    if (err != -EEXIST)
        return err;
    err = env_stat(env, path, &stat);
    if (err < 0)
        return err;
    return stat.is_dir ? 0 : -ENOTDIR;
}

int env_mkdirs(struct env *env, const char *path)
{
    char part[ENV_PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part)
        return size ? -ENAMETOOLONG : -ENOENT;
    memcpy(part, path, size + 1);
    for (size_t i = 1; i < size; i++) {
        if (part[i] != '/')
            continue;
        part[i] = 0;
        int err = mkdir_unless_there(env, part);
        if (err < 0)
            return err;
        part[i] = '/';
    }
    return mkdir_unless_there(env, part);
}

struct tree_walk {
    struct env *env;
    size_t size; /* of the path of the directory being emptied */
    int depth;
    char path[ENV_PATH_MAX];
};

static int remove_entry(struct tree_walk *walk);

static int remove_child(void *context, const char *name)
{
    struct tree_walk *walk = context;
    size_t size = walk->size;
    int n = snprintf(walk->path + size, sizeof walk->path - size, "/%s", name);
    if (n < 0 || (size_t)n >= sizeof walk->path - size)
        return -ENAMETOOLONG;
    walk->size = size + (size_t)n;
    int err = remove_entry(walk);
    walk->size = size;
    walk->path[size] = 0;
    return err;
}

/* Unlink is tried first: it tells a directory from all else without following a link. */
static int remove_entry(struct tree_walk *walk)
{
    int err = env_unlink(walk->env, walk->path);
    if (err == -ENOENT)
        return 0;
    if (err != -EISDIR)
        return err;
    if (walk->depth == ENV_TREE_DEPTH_MAX)
        return -ELOOP;
    walk->depth++;
    err = env_list_dir(walk->env, walk->path, remove_child, walk);
    walk->depth--;
    return err ? err : env_rmdir(walk->env, walk->path);
}

int env_remove_tree(struct env *env, const char *path)
{
    struct tree_walk walk = {.env = env, .size = strlen(path)};
    if (walk.size >= sizeof walk.path)
        return -ENAMETOOLONG;
    memcpy(walk.path, path, walk.size + 1);
    return remove_entry(&walk);
}

static void env_say_write(void *context, enum say_level level, const char *line, size_t size)
{
    struct env *env = context;
    env->ops->log_line(env, level, line, size);
}

static int64_t env_say_wall_ms(void *context)
{
    return env_wall_ms(context);
}

void env_say_init(struct env *env, enum say_level level, struct say *ret_say)
{
    *ret_say = (struct say){
        .level = level, .write = env_say_write, .wall_ms = env_say_wall_ms, .context = env};
}
