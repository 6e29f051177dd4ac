/* Files are inodes with a present and a synced content; names are a sorted table of paths, twice:
 * present and durable, with the operations between the two in a list. A crash builds the durable
 * state anew, letting through a random part of what was not synced. */
#include "ram_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define FILES_MAX 4096
#define SECTOR 512

struct node {
    int refs; /* names, open files, pending operations */
    bool is_dir;
    uint8_t *data;
    size_t size, capacity;
    uint8_t *synced;
    size_t synced_size;
    int64_t modified_ms;
};

struct name {
    char *path;
    struct node *node;
};

struct names {
    struct name *items;
    int count, capacity;
};

struct change {
    char *path; /* made (node set) or removed (node NULL) */
    struct node *node;
};

struct open_file {
    struct node *node;
    bool locked;
};

struct ram_disk {
    struct env env;
    uint64_t random;
    int64_t wall_ms, now_ns;
    struct names present, durable;
    struct change *changes;
    int change_count, change_capacity;
    struct open_file files[FILES_MAX];
    int64_t calls, bytes_read, syncs;
    int64_t die_at, fail_at;
    int fail_error;
    int fail_writes, fail_writes_error;
    int fail_reads, fail_reads_error;
    int fail_opens, fail_opens_error;
    int fail_syncs, fail_syncs_error;
    bool dead, cold;
};

static struct ram_disk *disk_of(struct env *env)
{
    return container_of(env, struct ram_disk, env);
}

static uint64_t disk_random(struct ram_disk *disk)
{
    uint64_t z = disk->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct node *node_create(bool is_dir)
{
    struct node *node = calloc(1, sizeof *node);
    must(node);
    node->is_dir = is_dir;
    return node;
}

static struct node *node_ref(struct node *node)
{
    if (node)
        node->refs++;
    return node;
}

static void node_unref(struct node *node)
{
    if (!node || --node->refs > 0)
        return;
    free(node->data);
    free(node->synced);
    free(node);
}

static void node_resize(struct node *node, size_t size)
{
    if (size > node->capacity || !node->data) {
        node->capacity = size * 2 + 64;
        node->data = realloc(node->data, node->capacity);
        must(node->data);
    }
    if (size > node->size)
        memset(node->data + node->size, 0, size - node->size);
    node->size = size;
}

static void node_sync(struct node *node)
{
    free(node->synced);
    node->synced = NULL;
    if (node->size) {
        node->synced = malloc(node->size);
        must(node->synced);
        memcpy(node->synced, node->data, node->size);
    }
    node->synced_size = node->size;
}

static int names_find(const struct names *names, const char *path, bool *ret_found)
{
    int low = 0, high = names->count;
    while (low < high) {
        int mid = (low + high) / 2;
        int order = strcmp(names->items[mid].path, path);
        if (order == 0) {
            *ret_found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_found = false;
    return low;
}

static struct node *names_get(const struct names *names, const char *path)
{
    bool found;
    int at = names_find(names, path, &found);
    return found ? names->items[at].node : NULL;
}

/* node NULL removes. */
static void names_set(struct names *names, const char *path, struct node *node)
{
    bool found;
    int at = names_find(names, path, &found);
    node_ref(node);
    if (found) {
        node_unref(names->items[at].node);
        names->items[at].node = node;
        if (!node) {
            free(names->items[at].path);
            memmove(names->items + at, names->items + at + 1,
                    sizeof *names->items * (size_t)(names->count - at - 1));
            names->count--;
        }
        return;
    }
    if (!node)
        return;
    if (names->count == names->capacity) {
        names->capacity = names->capacity * 2 + 16;
        names->items = realloc(names->items, sizeof *names->items * (size_t)names->capacity);
        must(names->items);
    }
    memmove(names->items + at + 1, names->items + at,
            sizeof *names->items * (size_t)(names->count - at));
    names->items[at] = (struct name){strdup(path), node};
    names->count++;
}

static void names_clear(struct names *names)
{
    for (int i = 0; i < names->count; i++) {
        free(names->items[i].path);
        node_unref(names->items[i].node);
    }
    free(names->items);
    *names = (struct names){0};
}

static bool parent_is(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/' && !strchr(path + size + 1, '/');
}

static bool has_parent(const struct names *names, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return true;
    char dir[4096];
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = 0;
    struct node *node = names_get(names, dir);
    return node && node->is_dir;
}

static void change_add(struct ram_disk *disk, const char *path, struct node *node)
{
    if (disk->change_count == disk->change_capacity) {
        disk->change_capacity = disk->change_capacity * 2 + 16;
        disk->changes =
            realloc(disk->changes, sizeof *disk->changes * (size_t)disk->change_capacity);
        must(disk->changes);
    }
    disk->changes[disk->change_count++] = (struct change){strdup(path), node_ref(node)};
    names_set(&disk->present, path, node);
}

static void changes_clear(struct ram_disk *disk)
{
    for (int i = 0; i < disk->change_count; i++) {
        free(disk->changes[i].path);
        node_unref(disk->changes[i].node);
    }
    disk->change_count = 0;
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
        ((uint8_t *)data)[i] = (uint8_t)disk_random(disk_of(env));
}

static int op_open(struct env *env, const char *path, unsigned flags)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    if (take_fault(&disk->fail_opens))
        return disk->fail_opens_error;
    struct node *node = names_get(&disk->present, path);
    if (node && node->is_dir)
        return -EISDIR;
    if (node && (flags & ENV_CREATE) && (flags & ENV_EXCLUSIVE))
        return -EEXIST;
    if (!node) {
        if (!(flags & ENV_CREATE))
            return -ENOENT;
        if (!has_parent(&disk->present, path))
            return -ENOENT;
        node = node_create(false);
        node->modified_ms = disk->wall_ms;
        change_add(disk, path, node);
    }
    if (flags & ENV_TRUNCATE)
        node_resize(node, 0);
    for (int i = 0; i < FILES_MAX; i++) {
        if (disk->files[i].node)
            continue;
        disk->files[i].node = node_ref(node);
        return i;
    }
    return -EMFILE;
}

static int op_close(struct env *env, int file)
{
    struct ram_disk *disk = disk_of(env);
    must(file >= 0 && file < FILES_MAX && disk->files[file].node);
    node_unref(disk->files[file].node);
    disk->files[file] = (struct open_file){0};
    return 0;
}

static ssize_t read_at(struct ram_disk *disk, int file, void *data, size_t size, int64_t offset)
{
    struct node *node = disk->files[file].node;
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
    struct node *node = disk->files[file].node;
    must(node && offset >= 0);
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    size_t allowed = total;
    int err = disk_enter(disk);
    if (err && disk->calls - 1 != disk->die_at)
        return err;
    if (err)
        allowed = total ? disk_random(disk) % (total + 1) : 0;
    bool fault = !err && take_fault(&disk->fail_writes);
    if (fault)
        allowed = total / 2;

    if ((size_t)offset + allowed > node->size)
        node_resize(node, (size_t)offset + allowed);
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
    node_sync(disk->files[file].node);
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
    node_resize(disk->files[file].node, (size_t)size_bytes);
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
    for (int i = 0; i < FILES_MAX; i++)
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
    struct node *node = names_get(&disk->present, path);
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
    struct node *node = names_get(&disk->present, from);
    if (!node)
        return -ENOENT;
    /* The new name first: a crash between the two leaves both, never none. */
    change_add(disk, to, node);
    if (node->is_dir) {
        size_t size = strlen(from);
        for (int i = 0; i < disk->present.count; i++) {
            struct name *name = &disk->present.items[i];
            if (strncmp(name->path, from, size) != 0 || name->path[size] != '/')
                continue;
            char path[8192];
            must(strlen(to) + strlen(name->path + size) < sizeof path);
            strcpy(path, to);
            strcat(path, name->path + size);
            char *old = strdup(name->path);
            change_add(disk, path, name->node);
            change_add(disk, old, NULL);
            free(old);
            i = -1;
        }
    }
    change_add(disk, from, NULL);
    return 0;
}

static int op_unlink(struct env *env, const char *path)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    struct node *node = names_get(&disk->present, path);
    if (!node)
        return -ENOENT;
    if (node->is_dir)
        return -EISDIR;
    change_add(disk, path, NULL);
    return 0;
}

static int op_set_modified(struct env *env, const char *path, int64_t wall_ms)
{
    struct ram_disk *disk = disk_of(env);
    struct node *node = names_get(&disk->present, path);
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
    if (names_get(&disk->present, path))
        return -EEXIST;
    if (!has_parent(&disk->present, path))
        return -ENOENT;
    change_add(disk, path, node_create(true));
    return 0;
}

static int op_rmdir(struct env *env, const char *path)
{
    struct ram_disk *disk = disk_of(env);
    int err = disk_enter(disk);
    if (err)
        return err;
    if (!names_get(&disk->present, path))
        return -ENOENT;
    for (int i = 0; i < disk->present.count; i++)
        if (parent_is(disk->present.items[i].path, path))
            return -ENOTEMPTY;
    change_add(disk, path, NULL);
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
        struct change *change = &disk->changes[i];
        if (!parent_is(change->path, path)) {
            disk->changes[kept++] = *change;
            continue;
        }
        names_set(&disk->durable, change->path, change->node);
        free(change->path);
        node_unref(change->node);
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
    struct node *node = names_get(&disk->present, path);
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
    for (int i = 0; i < FILES_MAX; i++)
        node_unref(disk->files[i].node);
    changes_clear(disk);
    free(disk->changes);
    names_clear(&disk->present);
    names_clear(&disk->durable);
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

/* What a disk that lost power may hold: every sector old or new, the length old, new or between. */
static void node_tear(struct ram_disk *disk, struct node *node)
{
    bool same = node->size == node->synced_size &&
                (node->size == 0 || memcmp(node->data, node->synced, node->size) == 0);
    if (same)
        return;
    size_t low = node->size < node->synced_size ? node->size : node->synced_size;
    size_t high = node->size < node->synced_size ? node->synced_size : node->size;
    size_t size = low;
    switch (disk_random(disk) % 3) {
    case 0:
        size = high;
        break;
    case 1:
        size = low + disk_random(disk) % (high - low + 1);
        break;
    }
    uint8_t *torn = calloc(1, size + 1);
    must(torn);
    uint64_t keep_new = disk_random(disk) % 4; /* 0: none, 3: mostly */
    for (size_t at = 0; at < size; at += SECTOR) {
        size_t part = size - at < SECTOR ? size - at : SECTOR;
        bool new_one = disk_random(disk) % 3 < keep_new;
        const uint8_t *from = new_one ? node->data : node->synced;
        size_t from_size = new_one ? node->size : node->synced_size;
        if (from_size > at)
            memcpy(torn + at, from + at, from_size - at < part ? from_size - at : part);
    }
    free(node->data);
    node->data = torn;
    node->size = size;
    node->capacity = size + 1;
}

static void names_drop_orphans(struct names *names)
{
    for (int i = 0; i < names->count; i++) {
        if (has_parent(names, names->items[i].path))
            continue;
        char *path = strdup(names->items[i].path);
        names_set(names, path, NULL);
        free(path);
        i = -1;
    }
}

void ram_disk_crash(struct ram_disk *disk, enum ram_crash how)
{
    for (int i = 0; i < FILES_MAX; i++) {
        node_unref(disk->files[i].node);
        disk->files[i] = (struct open_file){0};
    }
    disk->dead = false;
    disk->die_at = disk->fail_at = -1;
    disk->fail_writes = disk->fail_reads = disk->fail_opens = disk->fail_syncs = 0;
    if (how == RAM_CRASH_PROCESS)
        return;

    /* Names survive in their order, as in a journal: a prefix of what was not synced. */
    int kept = 0;
    if (how == RAM_CRASH_TORN && disk_random(disk) % 2 == 0)
        kept = disk->change_count;
    else if (how == RAM_CRASH_TORN)
        kept = (int)(disk_random(disk) % (uint64_t)(disk->change_count + 1));
    for (int i = 0; i < kept; i++)
        names_set(&disk->durable, disk->changes[i].path, disk->changes[i].node);
    changes_clear(disk);
    names_drop_orphans(&disk->durable);

    names_clear(&disk->present);
    for (int i = 0; i < disk->durable.count; i++) {
        struct node *node = disk->durable.items[i].node;
        if (how == RAM_CRASH_CLEAN) {
            node_resize(node, node->synced_size);
            if (node->synced_size)
                memcpy(node->data, node->synced, node->synced_size);
        } else {
            node_tear(disk, node);
            node_sync(node);
        }
        names_set(&disk->present, disk->durable.items[i].path, node);
    }
}

struct ram_disk *ram_disk_clone(const struct ram_disk *disk, uint64_t seed)
{
    struct ram_disk *copy = ram_disk_create(seed);
    copy->wall_ms = disk->wall_ms;
    copy->now_ns = disk->now_ns;
    /* Nodes with several names do not occur but between the two halves of a rename. */
    for (int pass = 0; pass < 2; pass++) {
        const struct names *from = pass ? &disk->durable : &disk->present;
        for (int i = 0; i < from->count; i++) {
            const struct node *node = from->items[i].node;
            struct node *twin = pass ? names_get(&copy->present, from->items[i].path) : NULL;
            if (pass && names_get(&disk->present, from->items[i].path) != node)
                twin = NULL;
            if (!twin) {
                twin = node_create(node->is_dir);
                node_resize(twin, node->synced_size);
                if (node->synced_size)
                    memcpy(twin->data, node->synced, node->synced_size);
                node_sync(twin);
                node_resize(twin, node->size);
                if (node->size)
                    memcpy(twin->data, node->data, node->size);
                twin->modified_ms = node->modified_ms;
            }
            names_set(pass ? &copy->durable : &copy->present, from->items[i].path, twin);
        }
    }
    for (int i = 0; i < disk->change_count; i++) {
        const struct change *change = &disk->changes[i];
        struct node *node = change->node && names_get(&disk->present, change->path) == change->node
                                ? names_get(&copy->present, change->path)
                                : NULL;
        if (change->node && !node)
            continue; /* made and gone again */
        if (copy->change_count == copy->change_capacity) {
            copy->change_capacity = copy->change_capacity * 2 + 16;
            copy->changes =
                realloc(copy->changes, sizeof *copy->changes * (size_t)copy->change_capacity);
            must(copy->changes);
        }
        copy->changes[copy->change_count++] = (struct change){strdup(change->path), node_ref(node)};
    }
    return copy;
}

uint8_t *ram_disk_data(struct ram_disk *disk, const char *path, size_t *ret_size)
{
    struct node *node = names_get(&disk->present, path);
    if (!node || node->is_dir)
        return NULL;
    node_resize(node, node->size);
    *ret_size = node->size;
    return node->data;
}

void ram_disk_put(struct ram_disk *disk, const char *path, const void *data, size_t size)
{
    struct node *node = names_get(&disk->present, path);
    if (!node) {
        node = node_create(false);
        names_set(&disk->present, path, node);
    }
    node_resize(node, size);
    if (size)
        memcpy(node->data, data, size);
    node_sync(node);
    node->modified_ms = disk->wall_ms;
    names_set(&disk->durable, path, node);
}

void ram_disk_remove(struct ram_disk *disk, const char *path)
{
    names_set(&disk->present, path, NULL);
    names_set(&disk->durable, path, NULL);
}

bool ram_disk_exists(struct ram_disk *disk, const char *path)
{
    return names_get(&disk->present, path) != NULL;
}

int ram_disk_open_files(const struct ram_disk *disk)
{
    int count = 0;
    for (int i = 0; i < FILES_MAX; i++)
        count += disk->files[i].node != NULL;
    return count;
}

void ram_disk_each(struct ram_disk *disk, void (*each)(void *context, const char *path),
                   void *context)
{
    for (int i = 0; i < disk->present.count; i++)
        each(context, disk->present.items[i].path);
}
