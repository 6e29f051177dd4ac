/* What the parts of the partition set share. */
#ifndef JACKDAW_PARTITION_SET_PRIVATE_H
#define JACKDAW_PARTITION_SET_PRIVATE_H

#include "log/log_clean.h"
#include "partition/partition_set.h"

#define NS_PER_MS INT64_C(1000000)

/* What the checkpoints and folders of one directory say about one partition. */
struct found_log {
    bool clean;
    bool gaps_stand; /* see log_open_params */
    int64_t recovery_point;
    int64_t log_start_offset;
    int64_t cleaned_to; /* -1: unknown */
};

/* What one directory holds, sorted for look-ups. */
struct dir_content {
    struct partition_folder *folders; /* of logs, all of the image once strays are set aside */
    int32_t folder_count;
    struct checkpoint_entry *recovery, *starts, *cleaned; /* NULL: no such file */
    int32_t recovery_count, start_count, cleaned_count;
};

/* partition.c */
/* Free at once; nobody else may know it any more. The log may be NULL. */
void partition_destroy(struct partition *partition);

/* partition_set.c */
int set_insert(struct partition_set *set, struct partition *partition);
/* Out of the table; the caller retires the partition. */
void set_remove(struct partition_set *set, const struct partition *partition);
void set_destroy(struct partition_set *set);
/* Call `turn` until it answers false, from so many threads, but no more than there are `turns`;
 * this one is of them, and one that cannot be started is done without. BLOCKING. */
void set_take_turns(struct partition_set *set, const char *name, int64_t threads, int64_t turns,
                    bool (*turn)(void *context), void *context);

/* set_dirs.c: at start, before any loop runs. BLOCKING. */
/* Everything about each directory; the fault of one takes it offline. `contents` has a place for
 * each, and borrows from the arena. */
int set_dirs_look(struct partition_set *set, struct arena *arena, struct dir_content *contents);
/* Leave the folders of these partitions alone in the contents, and in the directories. */
int set_dirs_clear(struct partition_set *set, struct arena *arena, struct dir_content *contents,
                   const struct partition_assignment *items, int32_t count);
bool dir_content_has(const struct dir_content *content, const struct partition_assignment *item);
/* From one of its checkpoints. */
int64_t set_entry_offset(const struct checkpoint_entry *entries, int32_t count,
                         const struct partition_assignment *item, int64_t otherwise);
/* All logs are open: the directories are Jackdaw's. */
void set_dirs_sign(struct partition_set *set, const struct dir_content *contents);
/* The checkpoints name partitions that have no folder: they are written anew. */
void set_dirs_forget(struct partition_set *set, const struct dir_content *contents);
int set_entry_order(const void *a, const void *b); /* of checkpoint_entry, for qsort */

/* set_load.c */
/* Take the directory offline for what went wrong in it: 0; or the error back, if it is not the
 * directory's fault. Any thread. */
int set_dir_fault(struct partition_set *set, struct partition_dir *dir, int err);
/* NULL when memory runs out. */
struct partition_settings *set_settings_create(const struct topic_settings *topic);
/* Half-made: no log yet, in no table. NULL when memory runs out. item->dir is set. */
struct partition *set_partition_create(struct partition_set *set,
                                       const struct partition_assignment *item);
/* It is in the table: the controller is to be told if it lies elsewhere than the metadata says.
 * Home loop, or the loading thread. */
void set_placed(struct partition *partition);
/* The directory for a partition that lies in none: that of the metadata if it is online, else the
 * one with the fewest; -1: all are offline. */
int32_t set_dir_for(const struct partition_set *set, const struct partition_assignment *item,
                    const int32_t *counts);
/* Open its log. BLOCKING. */
int set_partition_open(struct partition *partition, const struct found_log *found);
void set_log_settings(const struct topic_settings *topic, int64_t producer_expiration_ms,
                      struct log_settings *ret_settings);

/* set_follow.c */
/* Home loop, at a stop: no further folder is removed; the next start does it. */
void set_removals_stop(struct partition_set *set);

/* set_tend.c */
void set_tend_init(struct partition_set *set);
/* Write one checkpoint file of a directory. Reports a failure. Pool. */
int set_checkpoint(struct partition_set *set, struct partition_dir *dir, const char *name);
/* Those files of a directory that say what is not so any more. If one cannot be written, the next
 * interval tries again. Pool. */
void set_checkpoint_anew(struct partition_set *set, struct partition_dir *dir, bool recovery,
                         bool starts, bool cleaned);
/* Every file of the directories that changed, or of all. The first error that is left over. Pool.
 */
int set_checkpoints(struct partition_set *set, bool all);
/* What retention gives up. append_lock held, pool. */
void set_retain(struct partition *partition, int64_t now_ms);

/* set_clean.c */
void set_clean_init(struct partition_set *set, const struct broker_settings *settings);
/* Home loop: the settings have changed. */
void set_clean_configure(struct partition_set *set, const struct broker_settings *settings);
/* Home loop: a cleaning of this partition has ended; whether it came to its end. */
void set_clean_ended(struct partition *partition, bool completed);

/* What an error of the cleaner means for the partition: nothing, that it is not cleaned any more,
 * or that its directory is offline. Any thread. */
void set_clean_fault(struct partition *partition, int err);

/* set_clean_run.c */
/* Home loop: clean it. Takes the reference over. False: no memory. */
bool set_clean_run(struct partition *partition, const struct log_clean_rules *rules,
                   const struct log_dirt *dirt);

#endif
