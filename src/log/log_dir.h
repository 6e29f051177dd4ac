/* One log directory: its lock, meta.properties, clean-shutdown marker and checkpoint files, and the
 * partition folders in it; Apache Kafka's names and formats. */
#ifndef JACKDAW_LOG_LOG_DIR_H
#define JACKDAW_LOG_LOG_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/uuid.h"
#include "os/env.h"

struct meta_properties {
    char cluster_id[64]; /* NUL-terminated text, 22 characters as Kafka makes it */
    int32_t node_id;
    struct uuid directory_id;
};

struct log_dir {
    struct env *env;
    char *path;
    int lock_file;
    struct meta_properties meta;
    bool was_clean;       /* the clean-shutdown marker was there at open (it is removed then) */
    int64_t broker_epoch; /* from the marker, -1 unknown */
};

/* Take the .lock (-EWOULDBLOCK: another process holds it), read meta.properties (-ENOENT: not
 * formatted; -EBADMSG: malformed) and the marker. BLOCKING. */
int log_dir_open(struct env *env, const char *path, struct log_dir *ret_dir);
void log_dir_close(struct log_dir *dir);

/* Write meta.properties into an empty or new directory, durably. -ENOTEMPTY when something else is
 * in it. BLOCKING. */
int log_dir_format(struct env *env, const char *path, const struct meta_properties *meta);
/* Whether the directory is missing or holds nothing (but lost+found). */
int log_dir_is_empty(struct env *env, const char *path, bool *ret_empty);

/* Remove the marker (after open, before anything is written), or write it (last act of a clean
 * stop). */
int log_dir_unmark_clean(struct log_dir *dir);
int log_dir_mark_clean(struct log_dir *dir, int64_t broker_epoch);

struct checkpoint_entry {
    struct str topic;
    int32_t partition;
    int64_t offset;
};

#define CHECKPOINT_RECOVERY_POINT "recovery-point-offset-checkpoint"
#define CHECKPOINT_HIGH_WATERMARK "replication-offset-checkpoint"
#define CHECKPOINT_LOG_START "log-start-offset-checkpoint"
#define CHECKPOINT_CLEANER "cleaner-offset-checkpoint"

/* Missing or empty files give no entries; -EBADMSG for malformed ones. BLOCKING. */
int checkpoint_read(struct log_dir *dir, const char *name, struct arena *arena,
                    struct checkpoint_entry **ret_entries, int32_t *ret_count);
int checkpoint_write(struct log_dir *dir, const char *name, const struct checkpoint_entry *entries,
                     int32_t count);

struct partition_folder {
    struct str name; /* the folder's own */
    struct str topic;
    int32_t partition;
    struct uuid topic_id; /* from partition.metadata; zero if there is none */
    enum { FOLDER_LOG, FOLDER_DELETED, FOLDER_FUTURE, FOLDER_STRAY } kind;
};
/* Every partition folder, by name. Other names are skipped. BLOCKING. */
int log_dir_list(struct log_dir *dir, struct arena *arena, struct partition_folder **ret_folders,
                 int32_t *ret_count);

#endif
