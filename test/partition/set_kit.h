/* What the tests of the partition set share: real logs in up to two directories on a RAM disk, one
 * loop, and a clock that moves only when nothing else is left to do.
 *
 * Everything runs on the test's thread: kit_step runs one job of the pool, or else turns the loop,
 * or else moves the clock to the next timer. So a test can stop between any two jobs of a cleaning,
 * and waiting for a day takes no time. */
#ifndef JACKDAW_TEST_PARTITION_SET_KIT_H
#define JACKDAW_TEST_PARTITION_SET_KIT_H

#include "../log/ram_disk.h"
#include "partition/partition_set.h"

#define KIT_DIRS_MAX 2
#define KIT_TOPICS_MAX 8
#define KIT_KEYS_MAX 64
#define KIT_FILES_MAX 4096
#define KIT_WALL_MS INT64_C(1700000000000) /* of the clock's zero */
#define KIT_SECOND_NS INT64_C(1000000000)

/* A topic of one partition, and what its log has to say of every key: the last value that was
 * acknowledged, 0 for none. Values count up over the whole kit. */
struct kit_topic {
    struct uuid id;
    char name[16];
    struct topic_settings settings;
    int dir; /* -1: the set's choice */
    bool exists;
    int64_t values[KIT_KEYS_MAX];
};

struct kit {
    struct ram_disk *disk;
    struct env *env;
    struct env_ops ops;
    const struct env_ops *ram_ops;
    struct say say;
    struct writer lines;
    struct file_cache *files;
    struct epoch_domain epochs;
    struct epoch_reader reader;
    struct loop loop;
    struct partition_set set;
    bool up; /* there is a set */
    int dir_count;
    struct broker_settings broker;
    struct kit_topic topics[KIT_TOPICS_MAX];
    int64_t metadata_offset, next_value;
    uint64_t topics_made;
    int64_t now_ns, job_ns; /* every job takes so long */
    bool may_sleep;         /* the poller moves the clock */
    int64_t sleep_until_ns; /* but not beyond this */
    bool slept;
    int64_t turns, sleeps, jobs_run;
    int fail_dir, fail_error; /* see kit_fail_dir */
    int8_t file_dirs[KIT_FILES_MAX];
};

/* Formats the directories; there is no set yet, and no topic. The cleaner has one thread, no rate,
 * and looks after 15 s. */
void kit_init(struct kit *kit, int dir_count);
void kit_close(struct kit *kit);

/* Load what the directories hold, and start. */
void kit_start(struct kit *kit);
int kit_try_start(struct kit *kit); /* -errno when a directory cannot be opened; then not started */
/* Start with `topics` new topics, "a", "b" and so on: each in a directory of its own, if there are
 * two, where the last one has the rest. */
void kit_start_with(struct kit *kit, int topics);
/* In order, or (`clean` false) without writing anything down. */
void kit_stop(struct kit *kit, bool clean);
/* The disk loses what the machine or process would lose; no set is left. */
void kit_crash(struct kit *kit, enum ram_crash how);

/* A compacted topic of small segments that is dirty enough as soon as it is dirty at all. Change
 * `settings` before it is made, or afterwards with kit_change. */
struct kit_topic *kit_topic(struct kit *kit, int index, const char *name);
void kit_make(struct kit *kit, int index);
void kit_change(struct kit *kit, int index);
void kit_delete(struct kit *kit, int index);
void kit_configure(struct kit *kit); /* kit->broker has changed */
struct partition *kit_partition(struct kit *kit, int index);

/* Append as leader: the error. Taken note of when it is 0. */
int kit_append(struct kit *kit, int index, int key, const char *value, int64_t timestamp_ms);
/* A record of an idempotent producer, its first, with the clock's time. No key is taken note of. */
void kit_append_of(struct kit *kit, int index, int64_t producer_id);
/* `count` records of the keys in turn, with the clock's time. */
void kit_put(struct kit *kit, int index, int keys, int count);

/* Sync what the log holds, as its job would. */
void kit_sync(struct kit *kit, int index);
/* Every write to a file in this directory fails, until told so again with 0. */
void kit_fail_dir(struct kit *kit, int dir, int error);

/* What the cleaner has done, and does. */
int64_t kit_cleanings(const struct kit *kit);
bool kit_is_cleaning(struct kit *kit);
bool kit_one_is_cleaned(struct kit *kit);

/* One thing; false when nothing is left that could ever happen before `sleep_until_ns`. */
bool kit_step(struct kit *kit);
/* Until `done` is true; fails when that takes more than a virtual day. */
void kit_until(struct kit *kit, bool (*done)(struct kit *kit));
/* Let so much time pass. */
void kit_run_for(struct kit *kit, int64_t for_ns);

bool kit_said(const struct kit *kit, const char *text);
int kit_said_times(const struct kit *kit, const char *text);
void kit_forget_lines(struct kit *kit);

/* The records of the log, as "key=value …" in the order of offsets, to be freed. */
char *kit_text(struct kit *kit, int index);
char *kit_text_below(struct kit *kit, int index, int64_t offset);
int kit_count(struct kit *kit, int index); /* of records */
/* Every key has its last value, whatever else there is. */
void kit_check(struct kit *kit, int index);

/* A reader that is slow to give the log's first segment back. In set_kit_log.c. */
struct segment;
struct segment *kit_hold_first_segment(struct log *log);
void kit_let_go(struct log *log, struct segment *segment);

/* cleaner-offset-checkpoint's entry of the topic in this directory, -1: none. */
int64_t kit_checkpoint(struct kit *kit, int dir, int index);

#endif
