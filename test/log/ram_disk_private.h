/* What the files of the RAM disk share: files are inodes with a present and a synced content; names
 * are a sorted table of paths, twice: present and durable, with the operations between the two in a
 * list. */
#ifndef JACKDAW_TEST_LOG_RAM_DISK_PRIVATE_H
#define JACKDAW_TEST_LOG_RAM_DISK_PRIVATE_H

#include "ram_disk.h"

#define RAM_FILES_MAX 4096

struct ram_node {
    int refs; /* names, open files, pending operations */
    bool is_dir;
    uint8_t *data;
    size_t size, capacity;
    uint8_t *synced;
    size_t synced_size;
    int64_t modified_ms;
};

struct ram_name {
    char *path;
    struct ram_node *node;
};

struct ram_names {
    struct ram_name *items;
    int count, capacity;
};

struct ram_change {
    char *path; /* made (node set) or removed (node NULL) */
    struct ram_node *node;
};

struct ram_file {
    struct ram_node *node;
    bool locked;
};

struct ram_disk {
    struct env env;
    uint64_t random;
    int64_t wall_ms, now_ns;
    struct ram_names present, durable;
    struct ram_change *changes;
    int change_count, change_capacity;
    struct ram_file files[RAM_FILES_MAX];
    int64_t calls, bytes_read, syncs;
    int64_t die_at, fail_at;
    int fail_error;
    int fail_writes, fail_writes_error;
    int fail_reads, fail_reads_error;
    int fail_opens, fail_opens_error;
    int fail_syncs, fail_syncs_error;
    bool dead, cold;
    struct env_job *jobs, *jobs_last;
};

uint64_t ram_random(struct ram_disk *disk);

/* ram_disk_names.c */
struct ram_node *ram_node_create(bool is_dir);
struct ram_node *ram_node_ref(struct ram_node *node);
void ram_node_unref(struct ram_node *node);
void ram_node_resize(struct ram_node *node, size_t size);
void ram_node_sync(struct ram_node *node);
struct ram_node *ram_names_get(const struct ram_names *names, const char *path);
/* `node` NULL removes. */
void ram_names_set(struct ram_names *names, const char *path, struct ram_node *node);
void ram_names_clear(struct ram_names *names);
bool ram_names_has_parent(const struct ram_names *names, const char *path);
/* The name is made (or, with `node` NULL, removed): present at once, durable by a sync. */
void ram_change_add(struct ram_disk *disk, const char *path, struct ram_node *node);
void ram_changes_clear(struct ram_disk *disk);

#endif
