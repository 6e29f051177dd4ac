#include "ram_disk_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

struct ram_node *ram_node_create(bool is_dir)
{
    struct ram_node *node = calloc(1, sizeof *node);
    must(node);
    node->is_dir = is_dir;
    return node;
}

struct ram_node *ram_node_ref(struct ram_node *node)
{
    if (node)
        node->refs++;
    return node;
}

void ram_node_unref(struct ram_node *node)
{
    if (!node || --node->refs > 0)
        return;
    free(node->data);
    free(node->synced);
    free(node);
}

void ram_node_resize(struct ram_node *node, size_t size)
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

void ram_node_sync(struct ram_node *node)
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

static int names_find(const struct ram_names *names, const char *path, bool *ret_found)
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

struct ram_node *ram_names_get(const struct ram_names *names, const char *path)
{
    bool found;
    int at = names_find(names, path, &found);
    return found ? names->items[at].node : NULL;
}

void ram_names_set(struct ram_names *names, const char *path, struct ram_node *node)
{
    bool found;
    int at = names_find(names, path, &found);
    ram_node_ref(node);
    if (found) {
        ram_node_unref(names->items[at].node);
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
    names->items[at] = (struct ram_name){strdup(path), node};
    names->count++;
}

void ram_names_clear(struct ram_names *names)
{
    for (int i = 0; i < names->count; i++) {
        free(names->items[i].path);
        ram_node_unref(names->items[i].node);
    }
    free(names->items);
    *names = (struct ram_names){0};
}

bool ram_names_has_parent(const struct ram_names *names, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return true;
    char dir[4096];
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = 0;
    struct ram_node *node = ram_names_get(names, dir);
    return node && node->is_dir;
}

void ram_change_add(struct ram_disk *disk, const char *path, struct ram_node *node)
{
    if (disk->change_count == disk->change_capacity) {
        disk->change_capacity = disk->change_capacity * 2 + 16;
        disk->changes =
            realloc(disk->changes, sizeof *disk->changes * (size_t)disk->change_capacity);
        must(disk->changes);
    }
    disk->changes[disk->change_count++] = (struct ram_change){strdup(path), ram_node_ref(node)};
    ram_names_set(&disk->present, path, node);
}

void ram_changes_clear(struct ram_disk *disk)
{
    for (int i = 0; i < disk->change_count; i++) {
        free(disk->changes[i].path);
        ram_node_unref(disk->changes[i].node);
    }
    disk->change_count = 0;
}

/* ---- direct access ---- */

uint8_t *ram_disk_data(struct ram_disk *disk, const char *path, size_t *ret_size)
{
    struct ram_node *node = ram_names_get(&disk->present, path);
    if (!node || node->is_dir)
        return NULL;
    ram_node_resize(node, node->size);
    *ret_size = node->size;
    return node->data;
}

void ram_disk_put(struct ram_disk *disk, const char *path, const void *data, size_t size)
{
    struct ram_node *node = ram_names_get(&disk->present, path);
    if (!node) {
        node = ram_node_create(false);
        ram_names_set(&disk->present, path, node);
    }
    ram_node_resize(node, size);
    if (size)
        memcpy(node->data, data, size);
    ram_node_sync(node);
    node->modified_ms = disk->wall_ms;
    ram_names_set(&disk->durable, path, node);
}

void ram_disk_remove(struct ram_disk *disk, const char *path)
{
    ram_names_set(&disk->present, path, NULL);
    ram_names_set(&disk->durable, path, NULL);
}

bool ram_disk_exists(struct ram_disk *disk, const char *path)
{
    return ram_names_get(&disk->present, path) != NULL;
}

int ram_disk_open_files(const struct ram_disk *disk)
{
    int count = 0;
    for (int i = 0; i < RAM_FILES_MAX; i++)
        count += disk->files[i].node != NULL;
    return count;
}

void ram_disk_each(struct ram_disk *disk, void (*each)(void *context, const char *path),
                   void *context)
{
    for (int i = 0; i < disk->present.count; i++)
        each(context, disk->present.items[i].path);
}
