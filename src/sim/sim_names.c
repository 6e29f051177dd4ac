/* Directories.
 *
 * Changes of names wait in one list per disk, as in a journal. Syncing a directory takes all
 * changes up to the last that concerns it to the device. At a loss of power each waiting change is
 * kept or dropped on its own: POSIX promises no order, and one that a file system happens to keep
 * is not to be relied on. A rename is one change. That a file was synced says nothing about its
 * name. */
#include <string.h>

#include "sim/sim_disk.h"

static size_t names_place(const struct sim_names *names, const char *name)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(names->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool names_has(const struct sim_names *names, size_t at, const char *name)
{
    return at < names->count && strcmp(names->entries[at].name, name) == 0;
}

struct sim_inode *sim_names_find(const struct sim_names *names, const char *name)
{
    size_t at = names_place(names, name);
    return names_has(names, at, name) ? names->entries[at].inode : NULL;
}

static void names_remove(struct sim_names *names, size_t at)
{
    struct sim_entry gone = names->entries[at];
    names->count--;
    memmove(names->entries + at, names->entries + at + 1,
            (names->count - at) * sizeof *names->entries);
    sim_free(gone.name);
    sim_inode_unref(gone.inode);
}

static void names_insert(struct sim_names *names, size_t at, const char *name,
                         struct sim_inode *inode)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? 2 * names->capacity : 8;
        names->entries = sim_resize(names->entries, names->capacity * sizeof *names->entries);
    }
    memmove(names->entries + at + 1, names->entries + at,
            (names->count - at) * sizeof *names->entries);
    names->entries[at] = (struct sim_entry){sim_strdup(name), inode};
    names->count++;
}

void sim_names_set(struct sim_names *names, const char *name, struct sim_inode *inode)
{
    size_t at = names_place(names, name);
    if (inode)
        sim_inode_ref(inode);
    if (names_has(names, at, name))
        names_remove(names, at);
    if (inode)
        names_insert(names, at, name, inode);
}

void sim_names_close(struct sim_names *names)
{
    while (names->count > 0)
        names_remove(names, names->count - 1);
    sim_free(names->entries);
    *names = (struct sim_names){0};
}

/* The new references are taken before the old ones go. */
void sim_names_copy(struct sim_names *to, const struct sim_names *from)
{
    struct sim_names copy = {0};
    for (size_t i = 0; i < from->count; i++) {
        sim_inode_ref(from->entries[i].inode);
        names_insert(&copy, i, from->entries[i].name, from->entries[i].inode);
    }
    sim_names_close(to);
    *to = copy;
}

/* Paths. */

/* The next name of a path, or false at its end. */
static bool path_next(const char **path, char name[SIM_NAME_MAX], int *ret_error)
{
    size_t size;
    do {
        *path += strspn(*path, "/");
        size = strcspn(*path, "/");
        if (size == 0)
            return false;
        if (size >= SIM_NAME_MAX) {
            *ret_error = -ENAMETOOLONG;
            return false;
        }
        memcpy(name, *path, size);
        name[size] = 0;
        *path += size;
    } while (strcmp(name, ".") == 0);
    must(strcmp(name, "..") != 0); /* not simulated */
    return true;
}

struct sim_inode *sim_path_parent(struct sim_disk *disk, const char *path, char name[SIM_NAME_MAX],
                                  int *ret_error)
{
    struct sim_inode *dir = disk->root;
    char next[SIM_NAME_MAX];
    int err = 0;
    if (!path_next(&path, name, &err)) {
        *ret_error = err ? err : -EEXIST; /* the root itself */
        return NULL;
    }
    while (path_next(&path, next, &err)) {
        dir = sim_names_find(&dir->names, name);
        if (!dir || !dir->is_dir) {
            *ret_error = dir ? -ENOTDIR : -ENOENT;
            return NULL;
        }
        memcpy(name, next, sizeof next);
    }
    if (err < 0) {
        *ret_error = err;
        return NULL;
    }
    return dir;
}

struct sim_inode *sim_path_find(struct sim_disk *disk, const char *path, int *ret_error)
{
    char name[SIM_NAME_MAX];
    struct sim_inode *dir = sim_path_parent(disk, path, name, ret_error);
    if (!dir)
        return *ret_error == -EEXIST ? disk->root : NULL;
    struct sim_inode *inode = sim_names_find(&dir->names, name);
    if (!inode)
        *ret_error = -ENOENT;
    return inode;
}

/* Changes. */

static void change_add(struct sim_name_change *change, struct sim_inode *dir, const char *name,
                       struct sim_inode *inode)
{
    sim_inode_ref(dir);
    if (inode)
        sim_inode_ref(inode);
    change->parts[change->count].dir = dir;
    change->parts[change->count].name = sim_strdup(name);
    change->parts[change->count].inode = inode;
    change->count++;
}

static void change_free(struct sim_name_change *change)
{
    list_remove(&change->link);
    for (int i = 0; i < change->count; i++) {
        sim_free(change->parts[i].name);
        if (change->parts[i].inode)
            sim_inode_unref(change->parts[i].inode);
        sim_inode_unref(change->parts[i].dir);
    }
    sim_free(change);
}

static void change_to_device(struct sim_name_change *change)
{
    for (int i = 0; i < change->count; i++)
        sim_names_set(&change->parts[i].dir->names_durable, change->parts[i].name,
                      change->parts[i].inode);
    change_free(change);
}

void sim_names_change(struct sim_disk *disk, struct sim_inode *dir, const char *name,
                      struct sim_inode *inode)
{
    struct sim_name_change *change = sim_alloc(sizeof *change);
    change_add(change, dir, name, inode);
    list_push_back(&disk->changes, &change->link);
    sim_names_set(&dir->names, name, inode);
}

void sim_names_move(struct sim_disk *disk, struct sim_inode *from_dir, const char *from,
                    struct sim_inode *to_dir, const char *to)
{
    struct sim_name_change *change = sim_alloc(sizeof *change);
    struct sim_inode *inode = sim_names_find(&from_dir->names, from);
    change_add(change, from_dir, from, NULL);
    change_add(change, to_dir, to, inode);
    list_push_back(&disk->changes, &change->link);
    sim_names_set(&to_dir->names, to, inode);
    sim_names_set(&from_dir->names, from, NULL);
}

static bool change_concerns(const struct sim_name_change *change, const struct sim_inode *dir)
{
    return change->parts[0].dir == dir || (change->count == 2 && change->parts[1].dir == dir);
}

void sim_changes_sync(struct sim_disk *disk, const struct sim_inode *dir)
{
    struct list *last = NULL;
    list_for_each (at, &disk->changes) {
        if (change_concerns(container_of(at, struct sim_name_change, link), dir))
            last = at;
    }
    while (last) {
        struct list *first = disk->changes.next;
        bool end = first == last;
        change_to_device(container_of(first, struct sim_name_change, link));
        if (end)
            break;
    }
}

static void show_device(struct sim_inode *dir)
{
    sim_names_copy(&dir->names, &dir->names_durable);
    for (size_t i = 0; i < dir->names.count; i++) {
        if (dir->names.entries[i].inode->is_dir)
            show_device(dir->names.entries[i].inode);
    }
}

void sim_changes_crash(struct sim_disk *disk)
{
    static const uint32_t keep_ppm[] = {0, 500000, 900000, 1000000};
    struct sim_random *random = &disk->node->sim->disk;
    uint32_t keep = keep_ppm[sim_random_below(random, array_size(keep_ppm))];
    while (!list_empty(&disk->changes)) {
        struct sim_name_change *change = list_first(&disk->changes, struct sim_name_change, link);
        if (sim_random_ppm(random, keep))
            change_to_device(change);
        else
            change_free(change);
    }
    show_device(disk->root);
}

void sim_changes_drop(struct sim_disk *disk)
{
    while (!list_empty(&disk->changes))
        change_free(list_first(&disk->changes, struct sim_name_change, link));
}
