/* The calls on files and names, and the faults they meet. What becomes of the bytes is in
 * sim_inode.c, of the names in sim_names.c. */
#include "sim/sim_disk.h"

#include <stdlib.h>
#include <string.h>

#define WRITE_MIN_NS 2000
#define WRITE_MAX_NS 20000
#define HOT_READ_MAX_NS 10000
#define COLD_READ_MIN_NS 50000
#define COLD_READ_MAX_NS 500000
#define SYNC_MIN_NS 200000
#define SYNC_MAX_NS 2000000
#define NAMES_MIN_NS 5000
#define NAMES_MAX_NS 50000
#define FILE_BYTES_MAX ((int64_t)1 << 36)

struct sim_file {
    struct sim_inode *inode; /* a reference */
    unsigned flags;
    char *path; /* as opened; for faults */
};

/* The disk. */

struct sim_disk *sim_disk_create(struct sim_node *node)
{
    struct sim_disk *disk = sim_alloc(sizeof *disk);
    disk->node = node;
    disk->pages_max = node->sim->options.disk_bytes / SIM_PAGE_BYTES;
    list_init(&disk->changes);
    list_init(&disk->inodes);
    disk->root = sim_inode_create(disk, true);
    return disk;
}

/* References that crashed coroutines held are still counted, so what is left goes by the list. */
void sim_disk_destroy(struct sim_disk *disk)
{
    sim_changes_drop(disk);
    sim_inode_unref(disk->root);
    while (!list_empty(&disk->inodes)) {
        struct sim_inode *inode = list_first(&disk->inodes, struct sim_inode, link);
        inode->refs = 1;
        sim_inode_unref(inode);
    }
    sim_free(disk);
}

static void file_free(struct sim_file *file)
{
    if (file->inode->locked_by == file)
        file->inode->locked_by = NULL;
    sim_inode_unref(file->inode);
    sim_free(file->path);
    sim_free(file);
}

void sim_disk_crash(struct sim_node *node, enum sim_crash kind)
{
    for (int i = 0; i < node->fd_count; i++) {
        if (node->fds[i].kind == SIM_FD_FILE)
            file_free(node->fds[i].what);
    }
    if (kind == SIM_KILL)
        return;
    list_for_each (at, &node->disk->inodes)
        sim_inode_lose_power(container_of(at, struct sim_inode, link));
    sim_changes_crash(node->disk);
}

int sim_disk_space(struct env *env, const char *path, int64_t *ret_total, int64_t *ret_free)
{
    struct sim_node *node = sim_node_of(env);
    struct sim_disk *disk = node->disk;
    int err;
    sim_enter_path(node, "space", path);
    if (!sim_path_find(disk, path, &err))
        return err;
    int64_t left = disk->pages_max - disk->pages_used;
    *ret_total = disk->pages_max * SIM_PAGE_BYTES;
    *ret_free = left > 0 ? left * SIM_PAGE_BYTES : 0;
    return 0;
}

void sim_disk_set_free(struct sim_node *node, int64_t free_bytes)
{
    sim_trace(node->sim, node, "free", free_bytes, NULL);
    node->disk->pages_max = node->disk->pages_used + free_bytes / SIM_PAGE_BYTES;
}

void sim_disk_fault(struct sim_node *node, enum sim_disk_op op, const char *part, int after,
                    int times, int error)
{
    for (int i = 0; i < SIM_FAULTS_MAX; i++) {
        struct sim_fault *fault = &node->faults[i];
        if (times == 0) {
            sim_free(fault->part);
            *fault = (struct sim_fault){0};
        } else if (fault->times == 0) {
            sim_free(fault->part);
            *fault = (struct sim_fault){op, sim_strdup(part), after, times, error};
            return;
        }
    }
    must(times == 0);
}

/* The error that this call meets: asked for, or by bad luck; else 0. */
static int meet_fault(struct sim_node *node, enum sim_disk_op op, const char *path)
{
    const struct sim_options *options = &node->sim->options;
    const uint32_t ppm[] = {[SIM_DISK_READ] = options->read_error_ppm,
                            [SIM_DISK_WRITE] = options->write_error_ppm,
                            [SIM_DISK_SYNC] = options->sync_error_ppm,
                            [SIM_DISK_NAMES] = 0};
    for (int i = 0; i < SIM_FAULTS_MAX; i++) {
        struct sim_fault *fault = &node->faults[i];
        if (fault->times == 0 || fault->op != op || !strstr(path, fault->part))
            continue;
        if (fault->after > 0) {
            fault->after--;
            continue;
        }
        fault->times--;
        sim_trace(node->sim, node, "fault", fault->error, path);
        return -fault->error;
    }
    return sim_random_ppm(&node->sim->disk, ppm[op]) ? -EIO : 0;
}

static int64_t disk_latency(struct sim_node *node, int64_t low, int64_t high)
{
    return sim_random_latency(&node->sim->disk, low, high, node->sim->options.slow_disk_ppm);
}

/* Open files. */

struct sim_inode *sim_file_inode(struct sim_node *node, int file)
{
    struct sim_file *found = sim_fd_get(node, file, SIM_FD_FILE);
    return found ? found->inode : NULL;
}

/* The file behind a descriptor if it was opened for this, else NULL. */
static struct sim_file *file_for(struct sim_node *node, const char *call, int file, unsigned flags)
{
    struct sim_file *found = sim_fd_get(node, file, SIM_FD_FILE);
    if (!found) {
        sim_enter(node, call);
        return NULL;
    }
    sim_enter_path(node, call, found->path);
    found = sim_fd_get(node, file, SIM_FD_FILE); /* another coroutine may have been at it */
    return found && (found->flags & flags) == flags ? found : NULL;
}

static struct sim_inode *open_inode(struct sim_node *node, const char *path, unsigned flags,
                                    int *ret_error)
{
    char name[SIM_NAME_MAX];
    struct sim_inode *inode = sim_path_find(node->disk, path, ret_error);
    if (inode && (flags & ENV_CREATE) && (flags & ENV_EXCLUSIVE)) {
        *ret_error = -EEXIST;
        return NULL;
    }
    if (inode && inode->is_dir && (flags & (ENV_WRITE | ENV_CREATE))) {
        *ret_error = -EISDIR;
        return NULL;
    }
    if (inode) {
        sim_inode_ref(inode);
        return inode;
    }
    if (*ret_error != -ENOENT || !(flags & ENV_CREATE))
        return NULL;
    struct sim_inode *dir = sim_path_parent(node->disk, path, name, ret_error);
    if (!dir)
        return NULL;
    *ret_error = meet_fault(node, SIM_DISK_NAMES, path);
    if (*ret_error < 0)
        return NULL;
    inode = sim_inode_create(node->disk, false);
    inode->modified_ms = sim_wall_ms(node);
    sim_names_change(node->disk, dir, name, inode);
    return inode;
}

int sim_file_open(struct env *env, const char *path, unsigned flags)
{
    struct sim_node *node = sim_node_of(env);
    int err = 0;
    sim_enter_path(node, "open", path);
    sim_spend(node, disk_latency(node, NAMES_MIN_NS, NAMES_MAX_NS));
    struct sim_inode *inode = open_inode(node, path, flags, &err);
    if (!inode)
        return err;
    struct sim_file *file = sim_alloc(sizeof *file);
    file->inode = inode;
    file->flags = flags;
    file->path = sim_strdup(path);
    int fd = sim_fd_add(node, SIM_FD_FILE, file);
    if (fd < 0) {
        file_free(file);
        return fd;
    }
    if ((flags & ENV_TRUNCATE) && inode->now.size_bytes > 0)
        sim_inode_truncate(inode, 0);
    return fd;
}

int sim_file_close(struct env *env, int file)
{
    struct sim_node *node = sim_node_of(env);
    struct sim_file *found = file_for(node, "close", file, 0);
    if (!found)
        return -EBADF;
    sim_fd_remove(node, file);
    file_free(found);
    return 0;
}

static ssize_t clip_to_end(const struct sim_inode *inode, size_t size, int64_t offset)
{
    int64_t left = inode->now.size_bytes - offset;
    if (offset < 0)
        return -EINVAL;
    if (left <= 0)
        return 0;
    return (uint64_t)left < size ? (ssize_t)left : (ssize_t)size;
}

static size_t short_size(struct sim_node *node, size_t size)
{
    struct sim *sim = node->sim;
    if (size > 1 && sim_random_ppm(&sim->disk, sim->options.short_io_ppm))
        return 1 + (size_t)sim_random_below(&sim->disk, size);
    return size;
}

ssize_t sim_file_read(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    struct sim_node *node = sim_node_of(env);
    struct sim_file *found = file_for(node, "read", file, ENV_READ);
    sim_check_blocking(node, "file_read");
    if (!found)
        return -EBADF;
    int err = meet_fault(node, SIM_DISK_READ, found->path);
    if (err < 0)
        return err;
    struct sim_inode *inode = found->inode;
    ssize_t clipped = clip_to_end(inode, size, offset);
    if (clipped <= 0)
        return clipped;
    if (sim_inode_hot_prefix(inode, offset, (size_t)clipped) == (size_t)clipped) {
        sim_spend(node, sim_random_between(&node->sim->disk, 500, HOT_READ_MAX_NS));
    } else {
        sim_inode_ref(inode);
        sim_sleep(node, disk_latency(node, COLD_READ_MIN_NS, COLD_READ_MAX_NS));
        clipped = clip_to_end(inode, size, offset);
        sim_inode_unref(inode);
        if (clipped <= 0 || sim_file_inode(node, file) != inode)
            return clipped <= 0 ? clipped : -EBADF;
    }
    size = short_size(node, (size_t)clipped);
    sim_image_read(&inode->now, data, size, offset);
    sim_inode_hot_set(inode, offset, size);
    return (ssize_t)size;
}

ssize_t sim_file_read_nowait(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    struct sim_node *node = sim_node_of(env);
    struct sim_file *found = file_for(node, "read nowait", file, ENV_READ);
    if (!found)
        return -EBADF;
    ssize_t clipped = clip_to_end(found->inode, size, offset);
    if (clipped <= 0)
        return clipped;
    sim_inode_cool(found->inode, offset);
    size = sim_inode_hot_prefix(found->inode, offset, (size_t)clipped);
    if (size == 0)
        return -EAGAIN;
    size = short_size(node, size);
    sim_spend(node, sim_random_between(&node->sim->disk, 500, HOT_READ_MAX_NS));
    sim_image_read(&found->inode->now, data, size, offset);
    return (ssize_t)size;
}

static size_t parts_size(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count && i < ENV_PARTS_MAX; i++)
        size += parts[i].iov_len;
    return size;
}

/* A process that is killed in the middle of a write has written some of it. */
static void write_some_before_crash(struct sim_node *node, int file, const struct iovec *parts,
                                    int count, int64_t offset)
{
    struct sim_file *found = sim_fd_get(node, file, SIM_FD_FILE);
    struct sim_co *co = node->sim->current;
    if (!found || !co || co->node != node || node->crash_after != 1)
        return;
    size_t size = parts_size(parts, count);
    size =
        sim_inode_room(found->inode, offset, (size_t)sim_random_below(&node->sim->disk, size + 1));
    if (size > 0)
        sim_inode_put(found->inode, parts, size, offset);
}

ssize_t sim_file_write(struct env *env, int file, const struct iovec *parts, int count,
                       int64_t offset)
{
    struct sim_node *node = sim_node_of(env);
    write_some_before_crash(node, file, parts, count, offset);
    struct sim_file *found = file_for(node, "write", file, ENV_WRITE);
    size_t size = parts_size(parts, count);
    if (!found)
        return -EBADF;
    if (offset < 0 || offset + (int64_t)size > FILE_BYTES_MAX)
        return offset < 0 ? -EINVAL : -EFBIG;
    int err = meet_fault(node, SIM_DISK_WRITE, found->path);
    if (err < 0)
        return err;
    if (size == 0)
        return 0;
    size = sim_inode_room(found->inode, offset, short_size(node, size));
    if (size == 0)
        return -ENOSPC;
    sim_spend(node, disk_latency(node, WRITE_MIN_NS, WRITE_MAX_NS));
    sim_inode_put(found->inode, parts, size, offset);
    found->inode->modified_ms = sim_wall_ms(node);
    return (ssize_t)size;
}

int sim_file_sync(struct env *env, int file)
{
    struct sim_node *node = sim_node_of(env);
    struct sim_file *found = file_for(node, "sync", file, 0);
    sim_check_blocking(node, "file_sync");
    if (!found)
        return -EBADF;
    struct sim_inode *inode = found->inode;
    uint64_t until = node->disk->next_write;
    int err = meet_fault(node, SIM_DISK_SYNC, found->path);
    sim_inode_ref(inode);
    sim_sleep(node, disk_latency(node, SYNC_MIN_NS, SYNC_MAX_NS));
    sim_inode_sync(inode, until, err < 0);
    sim_inode_unref(inode);
    return err;
}

int sim_file_start_writeback(struct env *env, int file, int64_t offset, int64_t size)
{
    struct sim_node *node = sim_node_of(env);
    (void)offset;
    (void)size;
    return file_for(node, "writeback", file, 0) ? 0 : -EBADF;
}

int sim_file_truncate(struct env *env, int file, int64_t size_bytes)
{
    struct sim_node *node = sim_node_of(env);
    struct sim_file *found = file_for(node, "truncate", file, ENV_WRITE);
    if (!found)
        return -EBADF;
    if (size_bytes < 0 || size_bytes > FILE_BYTES_MAX)
        return size_bytes < 0 ? -EINVAL : -EFBIG;
    int err = meet_fault(node, SIM_DISK_WRITE, found->path);
    if (err < 0)
        return err;
    sim_inode_truncate(found->inode, size_bytes);
    found->inode->modified_ms = sim_wall_ms(node);
    return 0;
}

int sim_file_size(struct env *env, int file, int64_t *ret_size_bytes)
{
    struct sim_node *node = sim_node_of(env);
    struct sim_file *found = file_for(node, "size", file, 0);
    if (!found)
        return -EBADF;
    *ret_size_bytes = found->inode->now.size_bytes;
    return 0;
}

int sim_file_lock(struct env *env, int file)
{
    struct sim_node *node = sim_node_of(env);
    struct sim_file *found = file_for(node, "lock", file, 0);
    if (!found)
        return -EBADF;
    if (found->inode->locked_by && found->inode->locked_by != found)
        return -EWOULDBLOCK;
    found->inode->locked_by = found;
    return 0;
}

/* Names. */

static void enter_names(struct sim_node *node, const char *call, const char *path)
{
    sim_enter_path(node, call, path);
    sim_spend(node, disk_latency(node, NAMES_MIN_NS, NAMES_MAX_NS));
}

int sim_path_stat(struct env *env, const char *path, struct env_stat *ret_stat)
{
    struct sim_node *node = sim_node_of(env);
    int err;
    enter_names(node, "stat", path);
    struct sim_inode *inode = sim_path_find(node->disk, path, &err);
    if (!inode)
        return err;
    *ret_stat = (struct env_stat){.size_bytes = inode->now.size_bytes,
                                  .modified_ms = inode->modified_ms,
                                  .is_dir = inode->is_dir};
    return 0;
}

int sim_path_rename(struct env *env, const char *from, const char *to)
{
    struct sim_node *node = sim_node_of(env);
    char from_name[SIM_NAME_MAX], to_name[SIM_NAME_MAX];
    int err;
    enter_names(node, "rename", from);
    enter_names(node, "rename to", to);
    struct sim_inode *from_dir = sim_path_parent(node->disk, from, from_name, &err);
    struct sim_inode *to_dir = from_dir ? sim_path_parent(node->disk, to, to_name, &err) : NULL;
    if (!to_dir)
        return err;
    struct sim_inode *inode = sim_names_find(&from_dir->names, from_name);
    struct sim_inode *target = sim_names_find(&to_dir->names, to_name);
    if (!inode)
        return -ENOENT;
    if (inode == target)
        return 0;
    if (target && target->is_dir != inode->is_dir)
        return target->is_dir ? -EISDIR : -ENOTDIR;
    if (target && target->is_dir && target->names.count > 0)
        return -ENOTEMPTY;
    err = meet_fault(node, SIM_DISK_NAMES, from);
    if (err < 0)
        return err;
    sim_names_move(node->disk, from_dir, from_name, to_dir, to_name);
    return 0;
}

static int remove_name(struct sim_node *node, const char *path, bool is_dir)
{
    char name[SIM_NAME_MAX];
    int err;
    struct sim_inode *dir = sim_path_parent(node->disk, path, name, &err);
    if (!dir)
        return err;
    struct sim_inode *inode = sim_names_find(&dir->names, name);
    if (!inode)
        return -ENOENT;
    if (inode->is_dir != is_dir)
        return is_dir ? -ENOTDIR : -EISDIR;
    if (inode->names.count > 0)
        return -ENOTEMPTY;
    err = meet_fault(node, SIM_DISK_NAMES, path);
    if (err < 0)
        return err;
    sim_names_change(node->disk, dir, name, NULL);
    return 0;
}

int sim_path_unlink(struct env *env, const char *path)
{
    struct sim_node *node = sim_node_of(env);
    enter_names(node, "unlink", path);
    sim_check_blocking(node, "path_unlink");
    return remove_name(node, path, false);
}

int sim_path_set_modified(struct env *env, const char *path, int64_t wall_ms)
{
    struct sim_node *node = sim_node_of(env);
    int err;
    enter_names(node, "modified", path);
    struct sim_inode *inode = sim_path_find(node->disk, path, &err);
    if (!inode)
        return err;
    inode->modified_ms = wall_ms;
    return 0;
}

int sim_dir_create(struct env *env, const char *path)
{
    struct sim_node *node = sim_node_of(env);
    char name[SIM_NAME_MAX];
    int err;
    enter_names(node, "mkdir", path);
    struct sim_inode *dir = sim_path_parent(node->disk, path, name, &err);
    if (!dir)
        return err;
    if (sim_names_find(&dir->names, name))
        return -EEXIST;
    err = meet_fault(node, SIM_DISK_NAMES, path);
    if (err < 0)
        return err;
    struct sim_inode *inode = sim_inode_create(node->disk, true);
    inode->modified_ms = sim_wall_ms(node);
    sim_names_change(node->disk, dir, name, inode);
    sim_inode_unref(inode);
    return 0;
}

int sim_dir_remove(struct env *env, const char *path)
{
    struct sim_node *node = sim_node_of(env);
    enter_names(node, "rmdir", path);
    return remove_name(node, path, true);
}

static struct sim_inode *find_dir(struct sim_node *node, const char *path, int *ret_error)
{
    struct sim_inode *dir = sim_path_find(node->disk, path, ret_error);
    if (dir && !dir->is_dir)
        *ret_error = -ENOTDIR;
    return dir && dir->is_dir ? dir : NULL;
}

int sim_dir_sync(struct env *env, const char *path)
{
    struct sim_node *node = sim_node_of(env);
    int err;
    sim_enter_path(node, "sync dir", path);
    sim_check_blocking(node, "dir_sync");
    if (!find_dir(node, path, &err))
        return err;
    int fault = meet_fault(node, SIM_DISK_SYNC, path);
    sim_sleep(node, disk_latency(node, SYNC_MIN_NS, SYNC_MAX_NS));
    struct sim_inode *dir = find_dir(node, path, &err);
    if (!dir || fault < 0)
        return dir ? fault : err;
    sim_changes_sync(node->disk, dir);
    return 0;
}

/* The copy of the names is the process's memory, since it may crash in `each`. */
int sim_dir_list(struct env *env, const char *path, int (*each)(void *context, const char *name),
                 void *context)
{
    struct sim_node *node = sim_node_of(env);
    int err = 0;
    enter_names(node, "list", path);
    struct sim_inode *dir = find_dir(node, path, &err);
    if (!dir)
        return err;
    err = 0;
    size_t count = dir->names.count;
    char(*names)[SIM_NAME_MAX] = malloc((count + 1) * sizeof *names);
    must(names);
    for (size_t i = 0; i < count; i++)
        memcpy(names[i], dir->names.entries[i].name, strlen(dir->names.entries[i].name) + 1);
    for (size_t i = 0; err == 0 && i < count; i++)
        err = each(context, names[i]);
    free(names);
    return err;
}

/* For the test. */

int sim_disk_flip(struct sim_node *node, const char *path, int64_t offset, uint8_t mask)
{
    int err = 0;
    struct sim_inode *inode = sim_path_find(node->disk, path, &err);
    if (!inode)
        return err;
    if (inode->is_dir || offset < 0 || offset >= inode->now.size_bytes)
        return -EINVAL;
    struct sim_image *images[] = {&inode->now, &inode->durable};
    sim_trace(node->sim, node, "flip", offset, path);
    for (size_t i = 0; i < array_size(images); i++) {
        uint8_t byte;
        if (offset >= images[i]->size_bytes)
            continue;
        inode->disk->pages_used -= inode->now.pages_used;
        sim_image_read(images[i], &byte, 1, offset);
        byte ^= mask;
        sim_image_write(images[i], &byte, 1, offset);
        inode->disk->pages_used += inode->now.pages_used;
    }
    return 0;
}

static void copy_dir(struct sim_inode *to, const struct sim_inode *from)
{
    for (size_t i = 0; i < from->names.count; i++) {
        const struct sim_inode *source = from->names.entries[i].inode;
        struct sim_inode *copy = sim_inode_create(to->disk, source->is_dir);
        copy->modified_ms = source->modified_ms;
        sim_image_copy(&copy->now, &source->now);
        sim_image_copy(&copy->durable, &source->now);
        to->disk->pages_used += copy->now.pages_used;
        copy_dir(copy, source);
        sim_names_set(&to->names, from->names.entries[i].name, copy);
        sim_names_set(&to->names_durable, from->names.entries[i].name, copy);
        sim_inode_unref(copy);
    }
}

void sim_disk_copy(struct sim_node *to, struct sim_node *from)
{
    must(!sim_is_running(to));
    int64_t pages_max = to->disk->pages_max;
    sim_disk_destroy(to->disk);
    to->disk = sim_disk_create(to);
    to->disk->pages_max = pages_max;
    copy_dir(to->disk->root, from->disk->root);
}
