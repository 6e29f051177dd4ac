/* All partitions of a broker: found without locks by any loop, kept in step with the metadata image
 * by the home loop, tended (retention, checkpoints) by pool jobs. */
#ifndef JACKDAW_PARTITION_PARTITION_SET_H
#define JACKDAW_PARTITION_PARTITION_SET_H

#include "metadata/config_keys_broker.h"
#include "os/pool.h"
#include "partition/partition.h"

struct partition_table;

/* A partition that this broker is to have, as the metadata image says. */
struct partition_assignment {
    struct uuid topic_id;
    struct str topic;
    int32_t index;
    int32_t leader_id;
    int32_t leader_epoch;
    int32_t isr_size;
    int32_t replica_count;
    int32_t dir; /* index into set->dirs, or -1: found on disk, else see `directory` */
    /* Where the metadata has it; the partition goes there if that directory is online and it lies
     * in none, else where the fewest are. */
    struct uuid directory;
    bool has_directory; /* false: the metadata is of a level without directories */
    const struct topic_settings *settings; /* read during the call */
};

/* Which logs are cleaned when, and how fast; see set_clean.c. Home loop, unless it says otherwise.
 */
struct set_cleaner {
    bool enabled;            /* log.cleaner.enable */
    int32_t threads;         /* log.cleaner.threads */
    int64_t map_bytes;       /* log.cleaner.dedupe.buffer.size */
    double load_factor;      /* log.cleaner.io.buffer.load.factor */
    double bytes_per_second; /* log.cleaner.io.max.bytes.per.second */
    int64_t backoff_ns;      /* log.cleaner.backoff.ms */
    bool started, stopping;
    bool looking, look_again;
    int32_t running;
    int64_t throttled_until_ns;
    struct loop_timer timer;
    struct loop_task wake;
    _Atomic bool woken;
    _Atomic int64_t cleaned_count;     /* cleanings that came to their end */
    _Atomic int64_t uncleanable_count; /* partitions */
};

struct partition_set {
    struct env *env;
    struct loop *home;
    const struct say *say;
    struct file_cache *files;
    int32_t node_id;
    struct partition_dir *dirs;
    int32_t dir_count;
    int32_t threads_per_dir; /* num.recovery.threads.per.data.dir, of a stop */
    _Atomic int64_t producer_expiration_ms;
    _Atomic int64_t disk_slow_ns; /* jackdaw.disk.slow.ms; the broker keeps it up to date */
    _Atomic(struct partition_table *) table;
    struct epoch_domain *epochs;   /* tables, partitions and settings are retired to it */
    struct watermark applied;      /* metadata offset up to which partitions follow the image */
    _Atomic int64_t deleted_count; /* partitions deleted and still referenced by somebody */
    _Atomic int64_t flush_count;   /* flushes queued or running */
    struct follow_step *steps;     /* home loop: changes to follow, the first is under way */
    struct follow_step *steps_last;
    struct set_removal *removals; /* home loop: folders to remove, the first is under way */
    struct set_removal *removals_last;
    bool stopping;
    /* What partition_set_load recovered. */
    _Atomic int64_t recovered_count, recovered_bytes, dropped_bytes;
    int64_t checkpoint_interval_ns, retention_interval_ns, retention_first_ns;
    int64_t producers_interval_ns; /* producer.id.expiration.check.interval.ms */
    int64_t flush_interval_ns;     /* log.flush.scheduler.interval.ms; 0: never */
    struct loop_timer checkpoint_timer, retention_timer, producers_timer, flush_timer;
    struct tend_job *tending; /* the pool job under way, or NULL */
    unsigned tend_next;       /* what became due meanwhile */
    struct set_cleaner cleaner;
    void (*dir_failed)(void *context, struct partition_dir *dir); /* any thread; may be NULL */
    void *dir_failed_context;
    /* Partitions that lie elsewhere than the metadata says, a reference each, until somebody takes
     * them from here; home loop. `placed_some` tells that there are more; may be NULL. */
    struct list placed;
    void (*placed_some)(void *context);
    void *placed_context;
};

/* `dirs` are open log directories, taken over (the array too) on success; `files` and `epochs`
 * outlive the set. Every thread that calls partition_find or partition_set_each while loops run is
 * a reader of `epochs`, and online. */
int partition_set_init(struct partition_set *set, struct env *env, struct loop *home,
                       struct epoch_domain *epochs, const struct say *say, struct file_cache *files,
                       int32_t node_id, struct partition_dir *dirs, int32_t dir_count,
                       const struct broker_settings *settings);

/* Start the timers of checkpoints and retention; home loop. */
void partition_set_start(struct partition_set *set);

/* Home loop: what the configuration says of the cleaner and of silent producers now. */
void partition_set_configure(struct partition_set *set, const struct broker_settings *settings);

/* Any thread: a compacted log may have become dirty enough to be cleaned. */
void partition_set_clean_soon(struct partition_set *set);

/* Home loop, at a stop: cancel the timers; cleanings under way give up soon, which
 * partition_set_quiet tells, and of deleted folders only the one under way is still removed. */
void partition_set_stop(struct partition_set *set);

#define LOAD_LINES_MAX 20

/* Open (or create) the logs of these partitions with `threads` at a time and publish them. Called
 * at start, BLOCKING, before any loop runs. Reports what was recovered: in one log line each
 * where something was, but beyond LOAD_LINES_MAX in one line for all. What fails takes its
 * directory offline, see set_load.c; whether enough are left is the caller's to look at. */
int partition_set_load(struct partition_set *set, const struct partition_assignment *items,
                       int32_t count, int32_t threads);

/* Home loop: make these partitions exist, or change what is known about them (leader, epoch, ISR,
 * settings). New logs are opened on the pool; `metadata_offset` is what `applied` advances to when
 * they are there. Changes are made in the order of the calls; the items are copied where they have
 * to wait. */
void partition_set_apply(struct partition_set *set, const struct partition_assignment *items,
                         int32_t count, int64_t metadata_offset);

/* Home loop: the topic was deleted. Fails waiters, unpublishes, renames; files go later. */
void partition_set_remove(struct partition_set *set, struct uuid topic_id, int32_t index);

/* Any loop; NULL when this broker has no such replica. */
struct partition *partition_find(const struct partition_set *set, struct uuid topic_id,
                                 int32_t index);

/* Every partition, in no promised order; `each` answers false to stop. */
void partition_set_each(const struct partition_set *set,
                        bool (*each)(void *context, struct partition *partition), void *context);

/* Home loop: no job is under way, and of deleted partitions nothing is left. */
bool partition_set_quiet(const struct partition_set *set);

/* Write and sync all logs with several threads, write checkpoints, and mark directories clean (when
 * `clean`); see set_close.c. The set is quiet, its timers are cancelled, and no handler runs any
 * more that could use it. BLOCKING. */
int partition_set_close(struct partition_set *set, bool clean, int64_t broker_epoch);

#endif
