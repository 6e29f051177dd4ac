/* A node's disk: what its processes see, what is on the device, and what lies between. */
#ifndef JACKDAW_SIM_DISK_H
#define JACKDAW_SIM_DISK_H

#include "sim/sim_image.h"
#include "sim/sim_internal.h"

#define SIM_SECTOR_BYTES 512

/* A change of a file's bytes that is not on the device. */
struct sim_write {
    struct list link; /* inode->unsynced, oldest first */
    uint64_t number;
    bool truncate;
    int64_t offset; /* or the new size */
    size_t size;
    uint8_t data[];
};

struct sim_entry {
    char *name;
    struct sim_inode *inode; /* a reference */
};

/* Names in byte order. */
struct sim_names {
    struct sim_entry *entries;
    size_t count;
    size_t capacity;
};

struct sim_inode {
    struct list link; /* disk->inodes */
    struct sim_disk *disk;
    int refs; /* names, name changes, open files, bytes under way by sendfile */
    bool is_dir;
    struct sim_image now, durable;
    struct list unsynced;
    int64_t unsynced_bytes;
    uint8_t *hot; /* per page of `now`: in the page cache */
    size_t hot_slots;
    int64_t modified_ms;
    void *locked_by;                       /* the open file */
    struct sim_names names, names_durable; /* of a directory */
};

/* One or two changes of names that happen together or not at all. */
struct sim_name_change {
    struct list link; /* disk->changes, oldest first */
    int count;
    struct {
        struct sim_inode *dir; /* a reference */
        char *name;
        struct sim_inode *inode; /* a reference; NULL: the name goes */
    } parts[2];
};

struct sim_disk {
    struct sim_node *node;
    struct sim_inode *root;
    struct list inodes; /* all, also nameless ones */
    struct list changes;
    uint64_t next_write;
    int64_t pages_used; /* of all `now` images */
    int64_t pages_max;
};

/* sim_inode.c: bytes. */
struct sim_inode *sim_inode_create(struct sim_disk *disk, bool is_dir);

/* Pages in the page cache: mark a range, tell how much of a range is there from its start, and
 * sometimes let a page go. */
void sim_inode_hot_set(struct sim_inode *inode, int64_t offset, size_t size);
size_t sim_inode_hot_prefix(const struct sim_inode *inode, int64_t offset, size_t size);
void sim_inode_cool(struct sim_inode *inode, int64_t offset);

/* What of a write fits on the disk. */
size_t sim_inode_room(const struct sim_inode *inode, int64_t offset, size_t size);
void sim_inode_put(struct sim_inode *inode, const struct iovec *parts, size_t size, int64_t offset);
void sim_inode_truncate(struct sim_inode *inode, int64_t size_bytes);

/* Take the writes with numbers below `until` to the device; or, if that failed, some of them, and
 * the others are lost. */
void sim_inode_sync(struct sim_inode *inode, uint64_t until, bool failed);
void sim_inode_lose_power(struct sim_inode *inode);

/* sim_names.c: directories. */

/* The inode at a path, or NULL and the error. */
struct sim_inode *sim_path_find(struct sim_disk *disk, const char *path, int *ret_error);

/* The directory that holds the last name of a path; the name is copied. */
#define SIM_NAME_MAX 256
struct sim_inode *sim_path_parent(struct sim_disk *disk, const char *path, char name[SIM_NAME_MAX],
                                  int *ret_error);
struct sim_inode *sim_names_find(const struct sim_names *names, const char *name);

/* Put a name, replace what it stood for, or take it away (inode NULL). */
void sim_names_set(struct sim_names *names, const char *name, struct sim_inode *inode);
void sim_names_close(struct sim_names *names);
void sim_names_copy(struct sim_names *to, const struct sim_names *from);

/* Change what processes see and remember it for the device. */
void sim_names_change(struct sim_disk *disk, struct sim_inode *dir, const char *name,
                      struct sim_inode *inode);
void sim_names_move(struct sim_disk *disk, struct sim_inode *from_dir, const char *from,
                    struct sim_inode *to_dir, const char *to);
void sim_changes_sync(struct sim_disk *disk, const struct sim_inode *dir);

/* After a loss of power: each change is kept or not, the oldest first; then processes see what is
 * on the device. */
void sim_changes_crash(struct sim_disk *disk);
void sim_changes_drop(struct sim_disk *disk);

#endif
