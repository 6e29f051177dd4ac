#include "faulty_disk.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct faulty_disk faulty_disk;

static struct env_ops faulty_ops;
static const struct env_ops *whole_ops;

static bool path_is_faulty(const char *path)
{
    const char *part = atomic_load(&faulty_disk.path);
    return part && strstr(path, part);
}

static bool file_is_faulty(int file)
{
    char link[64], path[512];
    if (!atomic_load(&faulty_disk.path))
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    return path_is_faulty(path);
}

static int faulty_open(struct env *env, const char *path, unsigned flags)
{
    return path_is_faulty(path) ? -atomic_load(&faulty_disk.err)
                                : whole_ops->file_open(env, path, flags);
}

static ssize_t faulty_read(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    return file_is_faulty(file) ? -atomic_load(&faulty_disk.err)
                                : whole_ops->file_read(env, file, data, size, offset);
}

static ssize_t faulty_read_nowait(struct env *env, int file, void *data, size_t size,
                                  int64_t offset)
{
    return file_is_faulty(file) ? -EAGAIN
                                : whole_ops->file_read_nowait(env, file, data, size, offset);
}

static ssize_t faulty_write(struct env *env, int file, const struct iovec *parts, int count,
                            int64_t offset)
{
    return atomic_load(&faulty_disk.full) ? -ENOSPC
                                          : whole_ops->file_write(env, file, parts, count, offset);
}

static int faulty_dir_sync(struct env *env, const char *path)
{
    return atomic_load(&faulty_disk.no_descriptors) ? -EMFILE : whole_ops->dir_sync(env, path);
}

bool ends_with(const char *path, const char *end)
{
    size_t size = strlen(path), tail = strlen(end);
    return size >= tail && strcmp(path + size - tail, end) == 0;
}

static int counting_dir_sync(struct env *env, const char *path)
{
    if (ends_with(path, "/more"))
        atomic_fetch_add(&faulty_disk.more_syncs, 1);
    if (atomic_load(&faulty_disk.names_fail) && strstr(path, "/more/orders-"))
        return -EIO;
    return faulty_dir_sync(env, path);
}

static int waiting_unlink(struct env *env, const char *path)
{
    while (strstr(path, "-delete/") && atomic_load(&faulty_disk.removals_wait)) {
        atomic_store(&faulty_disk.removal_waits, true);
        sched_yield();
    }
    return whole_ops->path_unlink(env, path);
}

void faulty_disk_plant(struct env *env)
{
    whole_ops = env->ops;
    faulty_ops = *whole_ops;
    faulty_ops.file_open = faulty_open;
    faulty_ops.file_read = faulty_read;
    faulty_ops.file_read_nowait = faulty_read_nowait;
    faulty_ops.file_write = faulty_write;
    faulty_ops.dir_sync = counting_dir_sync;
    faulty_ops.path_unlink = waiting_unlink;
    env->ops = &faulty_ops;
}

void faulty_disk_fail(const char *path, int err)
{
    atomic_store(&faulty_disk.err, err);
    atomic_store(&faulty_disk.path, path);
}
