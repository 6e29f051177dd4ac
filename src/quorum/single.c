/* The engine of a quorum with one voter: what is synced on this disk is committed.
 *
 * Invariants:
 *  1. One job at a time touches the log (`io`); snapshots are written beside it.
 *  2. Offsets are given out in quorum_propose and entries are appended in that order, so the offset
 * an entry gets from the log is the one it was promised (must). A refused entry (disk full) takes
 * all behind it along, and next_offset returns to the log's end.
 *  3. Entries are delivered in order and only after log_flush succeeded. */
#include "quorum/single.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>

#include "base/errors.h"
#include "base/must.h"

/* Jobs. */

static void io_run(struct pool_job *job)
{
    struct single *single = container_of(job, struct single, io);
    single->io_run(single);
}

static void io_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct single *single = container_of(job, struct single, io);
    single->io_busy = false;
    single->io_done(single);
    single_advance(single);
}

void single_io(struct single *single, void (*run)(struct single *single),
               void (*done)(struct single *single))
{
    must(!single->io_busy);
    single->io_busy = true;
    single->io_error = 0;
    single->io_run = run;
    single->io_done = done;
    single->io.run = io_run;
    single->io.done = io_done;
    pool_submit(single->params.loop, &single->io);
}

/* Entries. */

static void entry_destroy(struct single *single, struct single_entry *entry)
{
    single->pending_bytes -= entry->batch.size;
    free((void *)entry->batch.data);
    free(entry);
}

int single_enqueue(struct single *single, struct batch_builder *builder,
                   struct quorum_proposal *proposal)
{
    struct single_entry *entry = calloc(1, sizeof *entry);
    int err = entry ? batch_builder_finish(builder) : -ENOMEM;
    if (err) {
        free(entry);
        batch_builder_close(builder);
        return err;
    }
    must(batch_read(builder->out.data, builder->out.size, &entry->batch) == 0);
    builder->out.data = NULL; /* the entry's now */
    batch_builder_close(builder);
    entry->proposal = proposal;
    single->pending_bytes += entry->batch.size;
    single->next_offset = batch_last_offset(&entry->batch) + 1;
    list_push_back(&single->queue, &entry->link);
    return 0;
}

/* Answer every entry of the list. What `done` proposes anew is refused or goes to the queue's end.
 */
static void fail_entries(struct single *single, struct list *entries, int error)
{
    struct list failed;
    list_init(&failed);
    for (struct list *link; (link = list_pop(entries));)
        list_push_back(&failed, link);
    for (struct list *link; (link = list_pop(&failed));) {
        struct single_entry *entry = container_of(link, struct single_entry, link);
        struct quorum_proposal *proposal = entry->proposal;
        entry_destroy(single, entry);
        if (proposal)
            proposal->done(&single->quorum, proposal, error);
    }
}

void single_fail(struct single *single, int error)
{
    if (single->phase == SINGLE_FAILED)
        return;
    single->phase = SINGLE_FAILED;
    single->fail_error = error;
    quorum_set_leader(&single->quorum, single->epoch, -1);
    say_error(single->params.say, "metadata log failed", kv_text("dir", single->dir),
              kv_text("error", result_text(error)));
    /* What a job is writing is its own until it ends. */
    if (!single->io_busy)
        fail_entries(single, &single->writing, error);
    fail_entries(single, &single->queue, error);
    single->params.listener.failed(single->params.listener.context, error);
}

/* Writing. */

/* Pool thread. Sets append_error when the disk is full, io_error when the directory failed. */
static bool append_entry(struct single *single, struct single_entry *entry)
{
    struct validated records = {
        .data = (uint8_t *)entry->batch.data,
        .size = (size_t)entry->batch.size,
        .batches = &entry->batch,
        .batch_count = 1,
        .record_count = entry->batch.record_count,
        .max_timestamp = entry->batch.max_timestamp,
        .log_append_time = -1,
    };
    const struct log_append_params params = {
        .leader_epoch = entry->batch.leader_epoch,
        .origin = LOG_ORIGIN_COORDINATOR,
    };
    struct log_append_result result;
    int64_t promised = entry->batch.base_offset;
    int err = log_append(single->log, &records, &params, &result);
    if (err == -ENOSPC || err == -EDQUOT || err == -EFBIG) {
        single->append_error = err;
        return false;
    }
    if (err) {
        single->io_error = err;
        return false;
    }
    must(result.base_offset == promised);
    single->sync_dir |= result.rolled;
    return true;
}

static void write_run(struct single *single)
{
    if (single->write_state) {
        const struct quorum_state state = {
            .leader_id = single->params.node_id, .leader_epoch = single->epoch, .voted_id = -1};
        single->io_error = quorum_state_write(single->params.env, single->dir, &state,
                                              voter_set_view(&single->voters));
        if (single->io_error)
            return;
    }
    int32_t appended = 0;
    list_for_each (link, &single->writing) {
        if (!append_entry(single, container_of(link, struct single_entry, link)))
            break;
        appended++;
    }
    int64_t end;
    int err = log_flush(single->log, &end);
    if (!err && single->sync_dir)
        err = env_sync_dir(single->params.env, single->dir);
    if (err) {
        single->io_error = err;
        return;
    }
    single->sync_dir = false;
    single->written = appended;
}

void single_note_batch(struct single *single, const struct batch *batch)
{
    if (single->bytes_since_snapshot == 0)
        single->oldest_unsnapshotted_ns = env_now_ns(single->params.env);
    single->bytes_since_snapshot += batch->size;
}

/* An entry is committed: tell the listener, then the one who proposed it. */
static void deliver(struct single *single, struct single_entry *entry)
{
    const struct quorum_listener *listener = &single->params.listener;
    int64_t end = batch_last_offset(&entry->batch) + 1;
    atomic_store_explicit(&single->quorum.log_end, end, memory_order_release);
    atomic_store_explicit(&single->quorum.high_watermark, end, memory_order_release);
    single_note_batch(single, &entry->batch);
    listener->committed(listener->context, &entry->batch);
    struct quorum_proposal *proposal = entry->proposal;
    entry_destroy(single, entry);
    if (proposal)
        proposal->done(&single->quorum, proposal, 0);
}

/* The batch that opens this node's epoch is committed. */
static void lead(struct single *single)
{
    const struct quorum_listener *listener = &single->params.listener;
    single->phase = SINGLE_LEADING;
    single->write_state = false;
    quorum_set_leader(&single->quorum, single->epoch, single->params.node_id);
    say_info(single->params.say, "leads the metadata quorum", kv_int("epoch", single->epoch),
             kv_int("offset", single->next_offset));
    listener->leader_change(listener->context, single->epoch, single->params.node_id);
}

static void maybe_snapshot(struct single *single);

static void write_done(struct single *single)
{
    if (single->phase == SINGLE_FAILED) {
        single->written = 0;
        fail_entries(single, &single->writing, single->fail_error);
        return;
    }
    struct list committed;
    list_init(&committed);
    for (; single->written > 0; single->written--)
        list_push_back(&committed, list_pop(&single->writing));
    for (struct list *link; (link = list_pop(&committed));)
        deliver(single, container_of(link, struct single_entry, link));
    if (single->io_error || (single->append_error && single->phase != SINGLE_LEADING)) {
        single_fail(single, single->io_error ? single->io_error : single->append_error);
        return;
    }
    if (single->append_error) {
        int error = single->append_error;
        single->append_error = 0;
        single->next_offset = log_end_offset(single->log);
        say_warn(single->params.say, "metadata log refuses records",
                 kv_text("error", result_text(error)));
        /* Those that wait follow what was refused: their offsets are void too. */
        for (struct list *link; (link = list_pop(&single->queue));)
            list_push_back(&single->writing, link);
        fail_entries(single, &single->writing, error);
    }
    if (single->phase == SINGLE_STARTING)
        lead(single);
    maybe_snapshot(single);
}

static void start_write(struct single *single)
{
    must(list_empty(&single->writing) && single->written == 0);
    for (struct list *link; (link = list_pop(&single->queue));)
        list_push_back(&single->writing, link);
    single_io(single, write_run, write_done);
}

static int64_t batch_max_bytes(const struct single *single)
{
    return single->params.segment_bytes < QUORUM_BATCH_MAX_BYTES ? single->params.segment_bytes
                                                                 : QUORUM_BATCH_MAX_BYTES;
}

static int single_propose(struct quorum *quorum, int32_t epoch, const struct bytes *values,
                          int32_t count, struct quorum_proposal *proposal)
{
    struct single *single = single_of(quorum);
    if (single->phase != SINGLE_LEADING || single->stopping || epoch != single->epoch)
        return KAFKA_NOT_CONTROLLER;
    must(count > 0);
    if (count > QUORUM_BATCH_MAX_RECORDS)
        return -E2BIG;
    if (single->pending_bytes > QUORUM_QUEUE_MAX_BYTES)
        return -ENOBUFS;
    struct batch_builder builder;
    int64_t base_offset = single->next_offset;
    int64_t now = env_wall_ms(single->params.env);
    batch_builder_init(&builder, base_offset);
    builder.leader_epoch = epoch;
    for (int32_t i = 0; i < count; i++) {
        batch_builder_add(&builder, now, (struct bytes){0}, values[i], NULL, 0);
        if ((int64_t)batch_builder_size(&builder) > batch_max_bytes(single)) {
            batch_builder_close(&builder);
            return -E2BIG;
        }
    }
    int err = single_enqueue(single, &builder, proposal);
    if (err)
        return err;
    proposal->base_offset = base_offset;
    proposal->last_offset = base_offset + count - 1;
    proposal->epoch = epoch;
    single_advance(single);
    return 0;
}

/* Snapshots. */

static void snapshot_run(struct pool_job *job)
{
    struct single *single = container_of(job, struct single, snapshot_job);
    struct snapshot_writer *writer;
    int err = snapshot_writer_create(single->params.env, single->dir, single->snapshot_id,
                                     single->snapshot_last_timestamp,
                                     voter_set_view(&single->snapshot_voters), &writer);
    if (!err) {
        err = single->params.listener.snapshot_write(single->snapshot_state, writer);
        if (err)
            snapshot_writer_abort(writer);
        else
            err = snapshot_writer_finish(writer, &single->snapshot_size_bytes);
    }
    single->snapshot_error = err;
}

static void snapshot_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct single *single = container_of(job, struct single, snapshot_job);
    single->snapshot_busy = false;
    single->params.listener.snapshot_drop(single->params.listener.context, single->snapshot_state);
    single->snapshot_state = NULL;
    int err = single->snapshot_error;
    if (!err) {
        single->snapshot = single->snapshot_id;
        single->clean_up = true;
        say_info(single->params.say, "wrote a metadata snapshot",
                 kv_int("end_offset", single->snapshot_id.end_offset),
                 kv_int("bytes", single->snapshot_size_bytes));
    } else if (err == -ENOSPC || err == -EDQUOT || err == -ENOMEM) {
        /* The log holds everything: the next one may fare better. */
        say_warn(single->params.say, "metadata snapshot not written",
                 kv_text("error", result_text(err)));
    } else {
        single_fail(single, err);
    }
    single_advance(single);
}

static bool snapshot_due(const struct single *single)
{
    const struct quorum_params *params = &single->params;
    if (single->bytes_since_snapshot >= params->snapshot_after_bytes)
        return true;
    int64_t waited_ns = env_now_ns(params->env) - single->oldest_unsnapshotted_ns;
    return params->snapshot_interval_ms > 0 && single->bytes_since_snapshot > 0 &&
           waited_ns >= params->snapshot_interval_ms * 1000000;
}

static void maybe_snapshot(struct single *single)
{
    const struct quorum_listener *listener = &single->params.listener;
    if (single->phase != SINGLE_LEADING || single->snapshot_busy || single->stopping ||
        !snapshot_due(single))
        return;
    struct quorum_voters voters = voter_set_view(&single->voters);
    if (voter_set_assign(&single->snapshot_voters, voters.kraft_version, voters.items,
                         voters.count))
        return;
    const void *state = listener->snapshot_take(listener->context, &single->snapshot_id,
                                                &single->snapshot_last_timestamp);
    if (!state)
        return;
    if (single->snapshot_id.end_offset <= single->snapshot.end_offset) {
        listener->snapshot_drop(listener->context, state);
        return;
    }
    single->bytes_since_snapshot = 0;
    single->snapshot_state = state;
    single->snapshot_busy = true;
    single->snapshot_job.run = snapshot_run;
    single->snapshot_job.done = snapshot_done;
    pool_submit(single->params.loop, &single->snapshot_job);
}

/* Cleaning up: the oldest snapshot goes, with the log before the next one, while both together are
 * larger or the next one older than the retention allows. The newest always stays. */

struct snapshot_list {
    struct snapshot_id ids[SINGLE_SNAPSHOTS_MAX];
    int32_t count;
};

static int list_snapshot(void *context, const char *name)
{
    struct snapshot_list *list = context;
    if (list->count < SINGLE_SNAPSHOTS_MAX && snapshot_parse_name(name, &list->ids[list->count]))
        list->count++;
    return 0;
}

static int snapshot_path(const struct single *single, struct snapshot_id id,
                         char path[SINGLE_PATH_SIZE])
{
    char name[SNAPSHOT_NAME_SIZE];
    snapshot_name(id, name);
    int size = snprintf(path, SINGLE_PATH_SIZE, "%s/%s", single->dir, name);
    return size < 0 || size >= SINGLE_PATH_SIZE ? -ENAMETOOLONG : 0;
}

static int snapshot_stat(const struct single *single, struct snapshot_id id,
                         struct env_stat *ret_stat)
{
    char path[SINGLE_PATH_SIZE];
    int err = snapshot_path(single, id, path);
    return err ? err : env_stat(single->params.env, path, ret_stat);
}

static int drop_before(struct single *single, struct snapshot_id oldest, struct snapshot_id next)
{
    char path[SINGLE_PATH_SIZE];
    int64_t end = log_end_offset(single->log);
    int64_t now = env_wall_ms(single->params.env);
    int err = 0;
    if (next.end_offset > log_start_offset(single->log))
        err = log_raise_start(single->log, next.end_offset, end);
    if (!err)
        err = log_apply_retention(single->log, now, end);
    if (err < 0)
        return err;
    log_remove_deleted(single->log, now, true);
    err = snapshot_path(single, oldest, path);
    return err ? err : env_unlink(single->params.env, path);
}

static bool retention_exceeded(const struct single *single, const struct snapshot_list *list,
                               int32_t oldest)
{
    struct env_stat stat;
    int64_t bytes = log_size_bytes(single->log);
    for (int32_t i = oldest; i < list->count; i++)
        if (snapshot_stat(single, list->ids[i], &stat) == 0)
            bytes += stat.size_bytes;
    if (single->params.retention_bytes >= 0 && bytes > single->params.retention_bytes)
        return true;
    return single->params.retention_ms >= 0 &&
           snapshot_stat(single, list->ids[oldest + 1], &stat) == 0 &&
           env_wall_ms(single->params.env) - stat.modified_ms > single->params.retention_ms;
}

static void clean_up_run(struct single *single)
{
    struct snapshot_list *list = calloc(1, sizeof *list);
    if (!list)
        return;
    /* Names come in byte order, which is that of the offsets. */
    single->io_error = env_list_dir(single->params.env, single->dir, list_snapshot, list);
    for (int32_t i = 0; !single->io_error && i + 1 < list->count; i++) {
        if (!retention_exceeded(single, list, i))
            break;
        single->io_error = drop_before(single, list->ids[i], list->ids[i + 1]);
    }
    free(list);
}

static void clean_up_done(struct single *single)
{
    if (single->io_error)
        single_fail(single, single->io_error);
}

/* The end. */

static void close_run(struct single *single)
{
    if (single->log)
        single->io_error = log_close_clean(single->log);
}

/* From the run queue, as the very last thing: the owner may destroy the quorum in `stopped`. */
static void stopped_task(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct single *single = container_of(task, struct single, stop_task);
    single->stopped(single->stopped_context, single->stop_result);
}

static void finish_stop(struct single *single)
{
    single->stop_result = single->phase == SINGLE_FAILED ? single->fail_error : single->io_error;
    if (single->phase != SINGLE_FAILED)
        single->phase = SINGLE_STOPPED;
    single->stop_finished = true;
    quorum_set_leader(&single->quorum, single->epoch, -1);
    single->stop_task.run = stopped_task;
    loop_defer(single->params.loop, &single->stop_task);
}

static void close_done(struct single *single)
{
    finish_stop(single);
}

void single_advance(struct single *single)
{
    if (single->io_busy)
        return;
    if (single->phase == SINGLE_FAILED || single->phase == SINGLE_STOPPED) {
        if (single->stopping && !single->stop_finished && !single->snapshot_busy)
            finish_stop(single);
    } else if (!list_empty(&single->queue)) {
        start_write(single);
    } else if (single->clean_up) {
        single->clean_up = false;
        single_io(single, clean_up_run, clean_up_done);
    } else if (single->stopping && !single->snapshot_busy) {
        single_replay_close(single);
        single_io(single, close_run, close_done);
    }
}

static void single_stop(struct quorum *quorum, void (*stopped)(void *context, int result),
                        void *context)
{
    struct single *single = single_of(quorum);
    must(!single->stopping);
    single->stopping = true;
    single->stopped = stopped;
    single->stopped_context = context;
    if (single->phase == SINGLE_NEW)
        single->phase = SINGLE_STOPPED;
    single_advance(single);
}

/* Getters. */

static int64_t single_next_offset(const struct quorum *quorum)
{
    return single_of(quorum)->next_offset;
}

static struct quorum_voters single_voters(const struct quorum *quorum)
{
    return voter_set_view(&single_of(quorum)->voters);
}

static struct snapshot_id single_last_snapshot(const struct quorum *quorum)
{
    return single_of(quorum)->snapshot;
}

static int32_t single_replicas(const struct quorum *quorum, struct quorum_replica *ret_replicas,
                               int32_t max)
{
    const struct single *single = single_of(quorum);
    if (max < 1)
        return 0;
    int64_t now = env_wall_ms(single->params.env);
    ret_replicas[0] = (struct quorum_replica){
        .id = single->params.node_id,
        .directory_id = single->params.directory_id,
        .log_end_offset = quorum_log_end(quorum),
        .last_fetch_ms = now,
        .last_caught_up_ms = now,
    };
    return 1;
}

static void single_destroy(struct quorum *quorum)
{
    struct single *single = single_of(quorum);
    must(!single->io_busy && !single->snapshot_busy);
    for (struct list *link; (link = list_pop(&single->queue));)
        entry_destroy(single, container_of(link, struct single_entry, link));
    for (struct list *link; (link = list_pop(&single->writing));)
        entry_destroy(single, container_of(link, struct single_entry, link));
    single_replay_close(single);
    if (single->log)
        log_destroy(single->log);
    voter_set_close(&single->own);
    voter_set_close(&single->voters);
    voter_set_close(&single->snapshot_voters);
    arena_close(&single->arena);
    free(single);
}

static const struct quorum_ops single_ops = {
    .start = single_start,
    .propose = single_propose,
    .next_offset = single_next_offset,
    .voters = single_voters,
    .last_snapshot = single_last_snapshot,
    .replicas = single_replicas,
    .stop = single_stop,
    .destroy = single_destroy,
};

/* Creation. */

static int copy_params(struct single *single, const struct quorum_params *params)
{
    struct arena *arena = &single->arena;
    single->params = *params;
    single->params.dir = arena_printf(arena, "%s", params->dir);
    single->params.cluster_id = arena_str(arena, params->cluster_id);
    single->dir = (char *)arena_printf(arena, "%s/__cluster_metadata-0", params->dir);
    if (!single->params.dir || !single->params.cluster_id.data || !single->dir)
        return -ENOMEM;
    const struct quorum_voter own = {params->node_id, params->directory_id, params->endpoints,
                                     params->endpoint_count};
    int err = voter_set_assign(&single->own, 0, &own, 1);
    /* Static voters start the set that the log's control records then change. */
    return err ? err
               : voter_set_assign(&single->voters, 0, params->static_voters,
                                  params->static_voter_count);
}

int single_create(const struct quorum_params *params, struct quorum **ret_quorum)
{
    struct single *single = calloc(1, sizeof *single);
    if (!single)
        return -ENOMEM;
    single->quorum.ops = &single_ops;
    atomic_init(&single->quorum.high_watermark, -1);
    quorum_set_leader(&single->quorum, 0, -1);
    arena_init(&single->arena, 0);
    voter_set_init(&single->own);
    voter_set_init(&single->voters);
    voter_set_init(&single->snapshot_voters);
    list_init(&single->queue);
    list_init(&single->writing);
    single->snapshot = (struct snapshot_id){-1, -1};
    single->replay.file = -1;
    int err = copy_params(single, params);
    if (err) {
        single_destroy(&single->quorum);
        return err;
    }
    *ret_quorum = &single->quorum;
    return 0;
}
