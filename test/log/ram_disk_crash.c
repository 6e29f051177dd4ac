/* A crash builds the durable state anew, letting through a random part of what was not synced. */
#include "ram_disk_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define SECTOR 512

/* What a disk that lost power may hold: every sector old or new, the length old, new or between. */
static void node_tear(struct ram_disk *disk, struct ram_node *node)
{
    bool same = node->size == node->synced_size &&
                (node->size == 0 || memcmp(node->data, node->synced, node->size) == 0);
    if (same)
        return;
    size_t low = node->size < node->synced_size ? node->size : node->synced_size;
    size_t high = node->size < node->synced_size ? node->synced_size : node->size;
    size_t size = low;
    switch (ram_random(disk) % 3) {
    case 0:
        size = high;
        break;
    case 1:
        size = low + ram_random(disk) % (high - low + 1);
        break;
    }
    uint8_t *torn = calloc(1, size + 1);
    must(torn);
    uint64_t keep_new = ram_random(disk) % 4; /* 0: none, 3: mostly */
    for (size_t at = 0; at < size; at += SECTOR) {
        size_t part = size - at < SECTOR ? size - at : SECTOR;
        bool new_one = ram_random(disk) % 3 < keep_new;
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

static void names_drop_orphans(struct ram_names *names)
{
    for (int i = 0; i < names->count; i++) {
        if (ram_names_has_parent(names, names->items[i].path))
            continue;
        char *path = strdup(names->items[i].path);
        ram_names_set(names, path, NULL);
        free(path);
        i = -1;
    }
}

void ram_disk_crash(struct ram_disk *disk, enum ram_crash how)
{
    for (int i = 0; i < RAM_FILES_MAX; i++) {
        ram_node_unref(disk->files[i].node);
        disk->files[i] = (struct ram_file){0};
    }
    disk->dead = false;
    disk->die_at = disk->fail_at = -1;
    disk->fail_writes = disk->fail_reads = disk->fail_opens = disk->fail_syncs = 0;
    if (how == RAM_CRASH_PROCESS)
        return;

    /* Names survive in their order, as in a journal: a prefix of what was not synced. */
    int kept = 0;
    if (how == RAM_CRASH_TORN && ram_random(disk) % 2 == 0)
        kept = disk->change_count;
    else if (how == RAM_CRASH_TORN)
        kept = (int)(ram_random(disk) % (uint64_t)(disk->change_count + 1));
    for (int i = 0; i < kept; i++)
        ram_names_set(&disk->durable, disk->changes[i].path, disk->changes[i].node);
    ram_changes_clear(disk);
    names_drop_orphans(&disk->durable);

    ram_names_clear(&disk->present);
    for (int i = 0; i < disk->durable.count; i++) {
        struct ram_node *node = disk->durable.items[i].node;
        if (how == RAM_CRASH_CLEAN) {
            ram_node_resize(node, node->synced_size);
            if (node->synced_size)
                memcpy(node->data, node->synced, node->synced_size);
        } else {
            node_tear(disk, node);
            ram_node_sync(node);
        }
        ram_names_set(&disk->present, disk->durable.items[i].path, node);
    }
}

struct ram_disk *ram_disk_clone(const struct ram_disk *disk, uint64_t seed)
{
    struct ram_disk *copy = ram_disk_create(seed);
    copy->wall_ms = disk->wall_ms;
    copy->now_ns = disk->now_ns;
    /* Nodes with several names do not occur but between the two halves of a rename. */
    for (int pass = 0; pass < 2; pass++) {
        const struct ram_names *from = pass ? &disk->durable : &disk->present;
        for (int i = 0; i < from->count; i++) {
            const struct ram_node *node = from->items[i].node;
            struct ram_node *twin =
                pass ? ram_names_get(&copy->present, from->items[i].path) : NULL;
            if (pass && ram_names_get(&disk->present, from->items[i].path) != node)
                twin = NULL;
            if (!twin) {
                twin = ram_node_create(node->is_dir);
                ram_node_resize(twin, node->synced_size);
                if (node->synced_size)
                    memcpy(twin->data, node->synced, node->synced_size);
                ram_node_sync(twin);
                ram_node_resize(twin, node->size);
                if (node->size)
                    memcpy(twin->data, node->data, node->size);
                twin->modified_ms = node->modified_ms;
            }
            ram_names_set(pass ? &copy->durable : &copy->present, from->items[i].path, twin);
        }
    }
    for (int i = 0; i < disk->change_count; i++) {
        const struct ram_change *change = &disk->changes[i];
        struct ram_node *node =
            change->node && ram_names_get(&disk->present, change->path) == change->node
                ? ram_names_get(&copy->present, change->path)
                : NULL;
        if (change->node && !node)
            continue; /* made and gone again */
        if (copy->change_count == copy->change_capacity) {
            copy->change_capacity = copy->change_capacity * 2 + 16;
            copy->changes =
                realloc(copy->changes, sizeof *copy->changes * (size_t)copy->change_capacity);
            must(copy->changes);
        }
        copy->changes[copy->change_count++] =
            (struct ram_change){strdup(change->path), ram_node_ref(node)};
    }
    return copy;
}
