/* One log directory: its lock, meta.properties, clean-shutdown marker and checkpoint files, and the
 * partition folders in it; Apache Kafka's names and formats. */
#ifndef JACKDAW_LOG_LOG_DIR_H
#define JACKDAW_LOG_LOG_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/uuid.h"
#include "log/names.h"
#include "os/env.h"

#define CLUSTER_ID_SIZE 64 /* with the closing NUL */

struct meta_properties {
    char cluster_id[CLUSTER_ID_SIZE]; /* 22 characters as Kafka makes it */
    int32_t node_id;
    struct uuid directory_id;
};

struct log_dir {
    struct env *env;
    char *path;
    int lock_file; /* -1: not open */
    struct meta_properties meta;
    bool was_clean;       /* the clean-shutdown marker was there at open */
    bool is_signed;       /* see log_dir_sign */
    int64_t broker_epoch; /* from the marker, -1 unknown */
};

/* Take the .lock (-EWOULDBLOCK: another process holds it), read meta.properties (-ENOENT: not
 * formatted; -EBADMSG: malformed or of another version) and the marker, which stays where it is
 * until log_dir_unmark_clean. A directory without directory.id, as Kafka before 3.7 left it, is
 * given one. BLOCKING. */
int log_dir_open(struct env *env, const char *path, struct log_dir *ret_dir);
void log_dir_close(struct log_dir *dir); /* a zeroed or failed one is accepted */

/* meta.properties alone, without the lock: for tools. Same errors; directory_id may be zero. */
int log_dir_read_meta(struct env *env, const char *path, struct meta_properties *ret_meta);

/* Write meta.properties into an empty or new directory, durably. -ENOTEMPTY when something else is
 * in it. BLOCKING. */
int log_dir_format(struct env *env, const char *path, const struct meta_properties *meta);
/* Whether the directory is missing or holds nothing (but lost+found). */
int log_dir_is_empty(struct env *env, const char *path, bool *ret_empty);

/* Remove the marker (after open, before anything is written), or write it (last act of a clean
 * stop, after every log_close_clean). Durable on return. BLOCKING. */
int log_dir_unmark_clean(struct log_dir *dir);
int log_dir_mark_clean(struct log_dir *dir, int64_t broker_epoch);

/* The sign of a directory that Jackdaw has open: with it and without the marker, Jackdaw crashed
 * here. With neither it was Apache Kafka, which does not know the sign and so never takes it away,
 * either: where Jackdaw crashed and Kafka came after it, the sign stays and is wrong. Writing the
 * marker takes it away. Durable on return. BLOCKING. */
int log_dir_sign(struct log_dir *dir);
int log_dir_unsign(struct log_dir *dir);

struct checkpoint_entry {
    struct str topic;
    int32_t partition;
    int64_t offset;
};

#define CHECKPOINT_RECOVERY_POINT "recovery-point-offset-checkpoint"
#define CHECKPOINT_HIGH_WATERMARK "replication-offset-checkpoint"
#define CHECKPOINT_LOG_START "log-start-offset-checkpoint"
#define CHECKPOINT_CLEANER "cleaner-offset-checkpoint"
#define CHECKPOINT_BYTES_MAX (64 * 1024 * 1024)

/* Entries in the file's order; NULL entries when there is no such file; -EBADMSG for a malformed
 * one. The write is durable on return. BLOCKING. */
int checkpoint_read(struct log_dir *dir, const char *name, struct arena *arena,
                    struct checkpoint_entry **ret_entries, int32_t *ret_count);
int checkpoint_write(struct log_dir *dir, const char *name, const struct checkpoint_entry *entries,
                     int32_t count);

struct partition_folder {
    struct str name; /* the folder's own */
    struct str topic;
    int32_t partition;
    struct uuid topic_id; /* from partition.metadata; zero if there is none */
    enum folder_kind kind;
};
/* Every partition folder, by name, __cluster_metadata-0 included. Other names are skipped.
 * BLOCKING. */
int log_dir_list(struct log_dir *dir, struct arena *arena, struct partition_folder **ret_folders,
                 int32_t *ret_count);

/* Rename a partition's folder to TOPIC-PARTITION.UNIQUE-delete, so that a crash cannot bring it
 * back, and answer the new path; remove it later with env_remove_tree. An open log of it must be
 * destroyed, not closed. -ENOENT when there is none (a partition never written to). */
int log_dir_retire_folder(struct log_dir *dir, struct str topic, int32_t partition,
                          char ret_path[LOG_PATH_MAX]);
/* The same with -stray: a folder of a topic that the metadata does not know. It is kept for the
 * operator to look at, and its name is free again. */
int log_dir_stray_folder(struct log_dir *dir, struct str topic, int32_t partition,
                         char ret_path[LOG_PATH_MAX]);

#endif
