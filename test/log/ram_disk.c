/* The calls of an env on a disk in memory. Each that touches the disk is counted, and may be the
 * one that fails or dies. */
#include "ram_disk_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

static struct ram_disk *disk_of(struct env *env)
{
    return container_of(env, struct ram_disk, env);
}

uint64_t ram_random(struct ram_disk *disk)
{
    uint64_t z = disk->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static bool parent_is(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/' && !strchr(path + size + 1, '/');
}

/* Count a call; a result below 0 is the call's answer. */
static int disk_enter(struct ram_disk *disk)
{
    int64_t call = disk->calls++;
    if (call == disk->die_at)
        disk->dead = true;
    if (disk->dead)
        return -EIO;
    if (call == disk->fail_at)
        return disk->fail_error;
    return 0;
}

static bool take_fault(int *count)
{
    if (*count == 0)
        return false;
    if (*count > 0)
        --*count;
    return true;
}

static int64_t op_now_ns(struct env *env)
{
    return disk_of(env)->now_ns;
}

static int64_t op_wall_ms(struct env *env)
{
    return disk_of(env)->wall_ms;
}

static void op_random(struct env *env, void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = (uint8_t)ram_random(disk_of(env));
}

static int op_open(struct env *env, const char *path, unsigned flags)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    if (take_fault(&disk->fail_opens))
        return disk->fail_opens_error;
    struct ram_node *node = ram_names_get(&disk->present, path);
    if (node && node->is_dir)
        return -EISDIR;
    if (node && (flags & ENV_CREATE) && (flags & ENV_EXCLUSIVE))
        return -EEXIST;
    if (!node) {
        if (!(flags & ENV_CREATE))
            return -ENOENT;
        if (!ram_names_has_parent(&disk->present, path))
            return -ENOENT;
        node = ram_node_create(false);
        node->modified_ms = disk->wall_ms;
        ram_change_add(disk, path, node);
    }
    if (flags & ENV_TRUNCATE)
        ram_node_resize(node, 0);
    for (int i = 0; i < RAM_FILES_MAX; i++) {
        if (disk->files[i].node)
            continue;
        disk->files[i].node = ram_node_ref(node);
        return i;
    }
    return -EMFILE;
}

static int op_close(struct env *env, int file)
{
    struct ram_disk *disk = disk_of(env);
    must(file >= 0 && file < RAM_FILES_MAX && disk->files[file].node);
    ram_node_unref(disk->files[file].node);
    disk->files[file] = (struct ram_file){0};
    return 0;
}

static ssize_t read_at(struct ram_disk *disk, int file, void *data, size_t size, int64_t offset)
{
    struct ram_node *node = disk->files[file].node;
    must(node && offset >= 0);
    if ((size_t)offset >= node->size)
        return 0;
    if (size > node->size - (size_t)offset)
        size = node->size - (size_t)offset;
    memcpy(data, node->data + offset, size);
    disk->bytes_read += (int64_t)size;
    return (ssize_t)size;
}

static ssize_t op_read(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    if (take_fault(&disk->fail_reads))
        return disk->fail_reads_error;
    return read_at(disk, file, data, size, offset);
}

static ssize_t op_read_nowait(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    if (disk_of(env)->cold)
        return -EAGAIN;
    return op_read(env, file, data, size, offset);
}

static ssize_t op_write(struct env *env, int file, const struct iovec *parts, int count,
                        int64_t offset)
{
    struct ram_disk *disk = disk_of(env);
    struct ram_node *node = disk->files[file].node;
    must(node && offset >= 0);
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    size_t allowed = total;
    int err = disk_enter(disk);
    if (err && disk->calls - 1 != disk->die_at)
        return err;
    if (err)
        allowed = total ? ram_random(disk) % (total + 1) : 0;
    bool fault = !err && take_fault(&disk->fail_writes);
    if (fault)
        allowed = total / 2;

    if ((size_t)offset + allowed > node->size)
        ram_node_resize(node, (size_t)offset + allowed);
    size_t done = 0;
    for (int i = 0; i < count && done < allowed; i++) {
        size_t part = parts[i].iov_len < allowed - done ? parts[i].iov_len : allowed - done;
        memcpy(node->data + offset + done, parts[i].iov_base, part);
        done += part;
    }
    node->modified_ms = disk->wall_ms;
    if (err)
        return err;
    if (fault)
        return disk->fail_writes_error ? disk->fail_writes_error : (ssize_t)done;
    return (ssize_t)done;
}

static int op_sync(struct env *env, int file)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    if (take_fault(&disk->fail_syncs))
        return disk->fail_syncs_error;
    disk->syncs++;
    ram_node_sync(disk->files[file].node);
    return 0;
}

static int op_start_writeback(struct env *env, int file, int64_t offset, int64_t size)
{
    (void)env;
    (void)file;
    (void)offset;
    (void)size;
    return 0;
}

static int op_truncate(struct env *env, int file, int64_t size_bytes)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    ram_node_resize(disk->files[file].node, (size_t)size_bytes);
    return 0;
}

static int op_size(struct env *env, int file, int64_t *ret_size_bytes)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    *ret_size_bytes = (int64_t)disk->files[file].node->size;
    return 0;
}

static int op_lock(struct env *env, int file)
{
    struct ram_disk *disk = disk_of(env);
    for (int i = 0; i < RAM_FILES_MAX; i++)
        if (i != file && disk->files[i].node == disk->files[file].node && disk->files[i].locked)
            return -EWOULDBLOCK;
    disk->files[file].locked = true;
    return 0;
}

static int op_stat(struct env *env, const char *path, struct env_stat *ret_stat)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    struct ram_node *node = ram_names_get(&disk->present, path);
    if (!node)
        return -ENOENT;
    *ret_stat = (struct env_stat){(int64_t)node->size, node->modified_ms, node->is_dir};
    return 0;
}

static int op_rename(struct env *env, const char *from, const char *to)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    struct ram_node *node = ram_names_get(&disk->present, from);
    if (!node)
        return -ENOENT;
    /* The new name first: a crash between the two leaves both, never none. */
    ram_change_add(disk, to, node);
    if (node->is_dir) {
        size_t size = strlen(from);
        for (int i = 0; i < disk->present.count; i++) {
            struct ram_name *name = &disk->present.items[i];
            if (strncmp(name->path, from, size) != 0 || name->path[size] != '/')
                continue;
            char path[8192];
            must(strlen(to) + strlen(name->path + size) < sizeof path);
            strcpy(path, to);
            strcat(path, name->path + size);
            char *old = strdup(name->path);
            ram_change_add(disk, path, name->node);
            ram_change_add(disk, old, NULL);
            free(old);
            i = -1;
        }
    }
    ram_change_add(disk, from, NULL);
    return 0;
}

static int op_unlink(struct env *env, const char *path)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    struct ram_node *node = ram_names_get(&disk->present, path);
    if (!node)
        return -ENOENT;
    if (node->is_dir)
        return -EISDIR;
    ram_change_add(disk, path, NULL);
    return 0;
}

static int op_set_modified(struct env *env, const char *path, int64_t wall_ms)
{
    struct ram_disk *disk = disk_of(env);
    struct ram_node *node = ram_names_get(&disk->present, path);
    if (!node)
        return -ENOENT;
    node->modified_ms = wall_ms;
    return 0;
}

static int op_mkdir(struct env *env, const char *path)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    if (ram_names_get(&disk->present, path))
        return -EEXIST;
    if (!ram_names_has_parent(&disk->present, path))
        return -ENOENT;
    ram_change_add(disk, path, ram_node_create(true));
    return 0;
}

static int op_rmdir(struct env *env, const char *path)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    if (!ram_names_get(&disk->present, path))
        return -ENOENT;
    for (int i = 0; i < disk->present.count; i++)
        if (parent_is(disk->present.items[i].path, path))
            return -ENOTEMPTY;
    ram_change_add(disk, path, NULL);
    return 0;
}

static int op_dir_sync(struct env *env, const char *path)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    if (take_fault(&disk->fail_syncs))
        return disk->fail_syncs_error;
    disk->syncs++;
    int kept = 0;
    for (int i = 0; i < disk->change_count; i++) {
        struct ram_change *change = &disk->changes[i];
        if (!parent_is(change->path, path)) {
            disk->changes[kept++] = *change;
            continue;
        }
        ram_names_set(&disk->durable, change->path, change->node);
        free(change->path);
        ram_node_unref(change->node);
    }
    disk->change_count = kept;
    return 0;
}

static int op_list(struct env *env, const char *path, int (*each)(void *context, const char *name),
                   void *context)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    struct ram_node *node = ram_names_get(&disk->present, path);
    if (!node)
        return -ENOENT;
    if (!node->is_dir)
        return -ENOTDIR;
    /* Over a copy: `each` may remove files. */
    char **children = calloc((size_t)disk->present.count + 1, sizeof *children);
    int count = 0;
    must(children);
    for (int i = 0; i < disk->present.count; i++)
        if (parent_is(disk->present.items[i].path, path))
            children[count++] = strdup(disk->present.items[i].path + strlen(path) + 1);
    int result = 0;
    for (int i = 0; i < count; i++) {
        if (result == 0)
            result = each(context, children[i]);
        free(children[i]);
    }
    free(children);
    return result;
}

static int op_disk_space(struct env *env, const char *path, int64_t *ret_total, int64_t *ret_free)
{
    (void)env;
    (void)path;
    *ret_total = INT64_C(1) << 40;
    *ret_free = INT64_C(1) << 39;
    return 0;
}

/* Loops are turned by the test, which knows when there is something to do. */
static struct env_poller *op_poller_create(struct env *env)
{
    return (struct env_poller *)env;
}

static void op_poller_destroy(struct env_poller *poller)
{
    (void)poller;
}

static int op_poller_wait(struct env_poller *poller, struct env_poll_event *events, int max,
                          int64_t deadline_ns)
{
    (void)poller, (void)events, (void)max, (void)deadline_ns;
    return 0;
}

static void op_poller_wake(struct env_poller *poller)
{
    (void)poller;
}

static void op_job_submit(struct env *env, struct env_job *job)
{
    struct ram_disk *disk = disk_of(env);
    job->next = NULL;
    if (disk->jobs)
        disk->jobs_last->next = job;
    else
        disk->jobs = job;
    disk->jobs_last = job;
}

static void op_jobs_wait(struct env *env)
{
    must(!disk_of(env)->jobs);
}

static bool op_allow_blocking(struct env *env, bool allow)
{
    (void)env;
    (void)allow;
    return true;
}

static void op_log_line(struct env *env, int level, const char *line, size_t size)
{
    (void)env;
    (void)level;
    (void)line;
    (void)size;
}

static const struct env_ops ram_ops = {
    .now_ns = op_now_ns,
    .wall_ms = op_wall_ms,
    .random = op_random,
    .file_open = op_open,
    .file_close = op_close,
    .file_read = op_read,
    .file_read_nowait = op_read_nowait,
    .file_write = op_write,
    .file_sync = op_sync,
    .file_start_writeback = op_start_writeback,
    .file_truncate = op_truncate,
    .file_size = op_size,
    .file_lock = op_lock,
    .path_stat = op_stat,
    .path_rename = op_rename,
    .path_unlink = op_unlink,
    .path_set_modified = op_set_modified,
    .dir_create = op_mkdir,
    .dir_remove = op_rmdir,
    .dir_sync = op_dir_sync,
    .dir_list = op_list,
    .disk_space = op_disk_space,
    .poller_create = op_poller_create,
    .poller_destroy = op_poller_destroy,
    .poller_wait = op_poller_wait,
    .poller_wake = op_poller_wake,
    .job_submit = op_job_submit,
    .jobs_wait = op_jobs_wait,
    .allow_blocking = op_allow_blocking,
    .log_line = op_log_line,
};

struct ram_disk *ram_disk_create(uint64_t seed)
{
    struct ram_disk *disk = calloc(1, sizeof *disk);
    must(disk);
    disk->env.ops = &ram_ops;
    disk->random = seed;
    disk->die_at = disk->fail_at = -1;
    disk->wall_ms = 1700000000000;
    return disk;
}

void ram_disk_destroy(struct ram_disk *disk)
{
    if (!disk)
        return;
    for (int i = 0; i < RAM_FILES_MAX; i++)
        ram_node_unref(disk->files[i].node);
    ram_changes_clear(disk);
    free(disk->changes);
    ram_names_clear(&disk->present);
    ram_names_clear(&disk->durable);
    free(disk);
}

void ram_disk_reseed(struct ram_disk *disk, uint64_t seed)
{
    disk->random = seed;
}

struct env *ram_disk_env(struct ram_disk *disk)
{
    return &disk->env;
}

void ram_disk_set_time(struct ram_disk *disk, int64_t wall_ms)
{
    disk->wall_ms = wall_ms;
}

int64_t ram_disk_calls(const struct ram_disk *disk)
{
    return disk->calls;
}

int64_t ram_disk_bytes_read(const struct ram_disk *disk)
{
    return disk->bytes_read;
}

int64_t ram_disk_syncs(const struct ram_disk *disk)
{
    return disk->syncs;
}

void ram_disk_die_at(struct ram_disk *disk, int64_t call)
{
    disk->die_at = call;
}

void ram_disk_fail_at(struct ram_disk *disk, int64_t call, int error)
{
    disk->fail_at = call;
    disk->fail_error = error;
}

void ram_disk_fail_writes(struct ram_disk *disk, int count, int error)
{
    disk->fail_writes = count;
    disk->fail_writes_error = error;
}

void ram_disk_fail_opens(struct ram_disk *disk, int count, int error)
{
    disk->fail_opens = count;
    disk->fail_opens_error = error;
}

void ram_disk_fail_reads(struct ram_disk *disk, int count, int error)
{
    disk->fail_reads = count;
    disk->fail_reads_error = error;
}

void ram_disk_fail_syncs(struct ram_disk *disk, int count, int error)
{
    disk->fail_syncs = count;
    disk->fail_syncs_error = error;
}

void ram_disk_set_cold(struct ram_disk *disk, bool cold)
{
    disk->cold = cold;
}

bool ram_disk_has_jobs(const struct ram_disk *disk)
{
    return disk->jobs != NULL;
}

bool ram_disk_run_job(struct ram_disk *disk)
{
    struct env_job *job = disk->jobs;
    if (!job)
        return false;
    disk->jobs = job->next;
    job->run(job);
    job->finish(job);
    return true;
}
