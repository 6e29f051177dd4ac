/* The one-voter engine's own struct; single.c commits, single_start.c gets it going. */
#ifndef JACKDAW_QUORUM_SINGLE_H
#define JACKDAW_QUORUM_SINGLE_H

#include "log/log.h"
#include "os/pool.h"
#include "quorum/control.h"
#include "quorum/engine.h"
#include "quorum/quorum_state.h"
#include "quorum/snapshot.h"

enum {
    SINGLE_PATH_SIZE = 4096,
    SINGLE_SNAPSHOTS_MAX = 1000,                /* listed in the directory; more are ignored */
    SINGLE_REPLAY_BYTES = 1024 * 1024,          /* read at once at a start */
    SINGLE_REPLAY_BATCH_MAX = 64 * 1024 * 1024, /* of one batch on disk; larger ones are refused */
};

enum single_phase {
    SINGLE_NEW,
    SINGLE_STARTING, /* opening, replaying, taking the new epoch */
    SINGLE_LEADING,
    SINGLE_FAILED,
    SINGLE_STOPPED,
};

/* A batch on its way into the log: proposed, or the leader's own. */
struct single_entry {
    struct list link;
    struct quorum_proposal *proposal; /* NULL: the leader's own */
    struct batch batch;               /* its data is from malloc */
};

/* Where the replay of a start is. */
struct single_replay {
    enum { REPLAY_BOOTSTRAP, REPLAY_SNAPSHOT, REPLAY_LOG } stage;
    int file;         /* of the bootstrap or snapshot file; -1: not open */
    int64_t position; /* in that file */
    struct log_position next;
    uint8_t *buffer;
    size_t filled;
    size_t capacity;
    bool end; /* the source has no more than what is in the buffer */
};

struct single {
    struct quorum quorum;
    struct quorum_params params; /* texts and arrays in `arena` */
    struct arena arena;
    char *dir; /* …/__cluster_metadata-0 */
    enum single_phase phase;
    struct log *log;
    struct voter_set own; /* this node alone, with the endpoints it was created with */
    struct voter_set voters;
    int32_t epoch; /* the newest known; the leader's own while leading */
    struct snapshot_id snapshot;
    bool has_bootstrap;
    struct single_replay replay;

    /* The one job that writes the log, or reads it at a start. */
    struct pool_job io;
    bool io_busy;
    int io_error;
    void (*io_run)(struct single *single);  /* pool thread */
    void (*io_done)(struct single *single); /* home loop */

    /* Commits. */
    struct list queue;   /* single_entry: wait for the next job */
    struct list writing; /* single_entry: of the job under way; the job's own while it runs */
    int32_t written;     /* entries of `writing` that the job appended and synced */
    int append_error;    /* why it stopped there, the directory being fine; 0 */
    bool write_state;    /* the job writes quorum-state first */
    bool sync_dir;       /* a segment came into being: its name is to be synced */
    int64_t pending_bytes;
    int64_t next_offset; /* of the next proposal */

    /* Snapshots. */
    struct pool_job snapshot_job;
    bool snapshot_busy;
    int snapshot_error;
    const void *snapshot_state;
    struct snapshot_id snapshot_id;
    int64_t snapshot_last_timestamp;
    int64_t snapshot_size_bytes;
    struct voter_set snapshot_voters;
    int64_t bytes_since_snapshot;
    int64_t oldest_unsnapshotted_ns;
    bool clean_up; /* older snapshots and segments are to be looked at */

    int fail_error; /* of the phase SINGLE_FAILED */
    bool stopping;
    bool stop_finished;
    int stop_result;
    struct loop_task stop_task;
    void (*stopped)(void *context, int result);
    void *stopped_context;
};

static inline struct single *single_of(const struct quorum *quorum)
{
    return container_of((struct quorum *)quorum, struct single, quorum);
}

/* Run `run` in the pool, then `done` here. */
void single_io(struct single *single, void (*run)(struct single *single),
               void (*done)(struct single *single));

/* Do what is next: write, clean up, close. To be called whenever something ended. */
void single_advance(struct single *single);

/* The directory failed, or what is in it is unusable. */
void single_fail(struct single *single, int error);

/* Queue a batch built in `builder` (which is closed); proposal may be NULL. 0 or -ENOMEM. */
int single_enqueue(struct single *single, struct batch_builder *builder,
                   struct quorum_proposal *proposal);

/* A batch of the log was delivered: count it towards the next snapshot. */
void single_note_batch(struct single *single, const struct batch *batch);

/* Begin; single_start.c. */
void single_start(struct quorum *quorum);
void single_replay_close(struct single *single);

#endif
