/* A start: open and recover the log; replay bootstrap, snapshot and log to the listener, a chunk
 * per job; then take a new epoch: quorum-state first, then the batch that opens it. Only when that
 * batch is synced does this node lead.
 *
 * Everything in the log counts as committed once it is synced, which opening does: it may have been
 * written and not synced by a process that was killed, and nobody but this node could have another.
 */
#include "quorum/single.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"

/* Opening; pool thread. */

struct opening {
    struct single *single;
    bool part_found;
};

static int look_at_name(void *context, const char *name)
{
    struct opening *opening = context;
    struct single *single = opening->single;
    struct snapshot_id id;
    size_t size = strlen(name);
    if (size > 5 && strcmp(name + size - 5, ".part") == 0)
        opening->part_found = true;
    if (!snapshot_parse_name(name, &id))
        return 0;
    if (id.end_offset == 0)
        single->has_bootstrap = true;
    else if (id.end_offset > single->snapshot.end_offset)
        single->snapshot = id;
    return 0;
}

static int remove_part(void *context, const char *name)
{
    const struct single *single = context;
    size_t size = strlen(name);
    if (size <= 5 || strcmp(name + size - 5, ".part") != 0)
        return 0;
    char path[SINGLE_PATH_SIZE];
    int written = snprintf(path, sizeof path, "%s/%s", single->dir, name);
    if (written < 0 || (size_t)written >= sizeof path)
        return 0;
    return env_unlink(single->params.env, path);
}

static int read_epoch(struct single *single)
{
    struct quorum_state state;
    int err = quorum_state_read(single->params.env, single->dir, &state);
    if (err == -ENOENT)
        return 0;
    if (!err && state.leader_epoch > single->epoch)
        single->epoch = state.leader_epoch;
    return err;
}

static int open_log(struct single *single)
{
    const struct quorum_params *params = &single->params;
    const struct log_open_params log_params = {
        .env = params->env,
        .say = params->say,
        .files = params->files,
        .dir = single->dir,
        .topic = STR("__cluster_metadata"),
        .partition = 0,
        .topic_id = uuid_of(0, 1),
        .settings =
            {
                .segment_bytes = params->segment_bytes,
                .segment_ms = params->segment_ms,
                .segment_index_bytes = 10 * 1024 * 1024,
                .index_interval_bytes = 4096,
                .retention_ms = -1,
                .retention_bytes = -1,
                .cleanup_delete = true,
                .flush_messages = INT64_MAX,
                .flush_ms = INT64_MAX,
                .producer_expiration_ms = 24 * 3600 * 1000,
            },
        .clean = params->clean,
    };
    struct log_open_report report;
    int64_t synced;
    int err = log_open(&log_params, &single->log, &report);
    if (err)
        return err > 0 ? -EUCLEAN : err;
    if (log_end_offset(single->log) < single->snapshot.end_offset) {
        say_warn(params->say, "metadata log ends before its newest snapshot and restarts there",
                 kv_int("end_offset", log_end_offset(single->log)),
                 kv_int("snapshot", single->snapshot.end_offset));
        err = log_truncate_all(single->log, single->snapshot.end_offset);
    }
    if (!err)
        err = log_flush(single->log, &synced);
    return err;
}

static void open_run(struct single *single)
{
    struct opening opening = {.single = single};
    struct env *env = single->params.env;
    int err = env_list_dir(env, single->dir, look_at_name, &opening);
    if (!err && opening.part_found)
        err = env_list_dir(env, single->dir, remove_part, single);
    if (!err)
        err = read_epoch(single);
    if (!err)
        err = open_log(single);
    if (!err && log_latest_epoch(single->log) > single->epoch)
        single->epoch = log_latest_epoch(single->log);
    if (!err && single->snapshot.epoch > single->epoch)
        single->epoch = single->snapshot.epoch;
    if (!err && !single->has_bootstrap && single->snapshot.end_offset < 0 &&
        log_end_offset(single->log) == 0)
        err = -ENOENT;
    single->io_error = err;
}

/* Reading a chunk; pool thread. */

static int buffer_reserve(struct single_replay *replay, size_t capacity)
{
    if (capacity <= replay->capacity)
        return 0;
    if (capacity > SINGLE_REPLAY_BATCH_MAX)
        return -EUCLEAN;
    uint8_t *grown = realloc(replay->buffer, capacity);
    if (!grown)
        return -ENOMEM;
    replay->buffer = grown;
    replay->capacity = capacity;
    return 0;
}

static int read_file(struct single *single)
{
    struct single_replay *replay = &single->replay;
    struct env *env = single->params.env;
    if (replay->file < 0) {
        char name[SNAPSHOT_NAME_SIZE];
        char path[SINGLE_PATH_SIZE];
        const struct snapshot_id bootstrap = {0, 0};
        snapshot_name(replay->stage == REPLAY_BOOTSTRAP ? bootstrap : single->snapshot, name);
        int size = snprintf(path, sizeof path, "%s/%s", single->dir, name);
        if (size < 0 || (size_t)size >= sizeof path)
            return -ENAMETOOLONG;
        replay->file = env_open(env, path, ENV_READ);
        if (replay->file < 0)
            return replay->file;
    }
    while (replay->filled < replay->capacity) {
        ssize_t count = env_read(env, replay->file, replay->buffer + replay->filled,
                                 replay->capacity - replay->filled, replay->position);
        if (count < 0)
            return (int)count;
        if (count == 0) {
            replay->end = true;
            break;
        }
        replay->filled += (size_t)count;
        replay->position += count;
    }
    return 0;
}

static int read_log(struct single *single)
{
    struct single_replay *replay = &single->replay;
    struct log_position bound = log_end(single->log);
    if (replay->next.offset >= bound.offset) {
        replay->end = true;
        return 0;
    }
    const struct log_read_params params = {
        .offset = replay->next.offset,
        .hint = replay->next.segment_base >= 0 ? &replay->next : NULL,
        .bound = bound,
        .max_bytes = SINGLE_REPLAY_BYTES,
        .min_one_batch = true,
        .may_block = true,
    };
    struct log_span span;
    int err = log_read(single->log, &params, &span);
    if (err)
        return err > 0 ? -EUCLEAN : err;
    if (span.size <= 0)
        err = -EUCLEAN;
    if (!err)
        err = buffer_reserve(replay, (size_t)span.size);
    if (!err)
        err = env_read_all(single->params.env, file_ref_descriptor(span.file), replay->buffer,
                           (size_t)span.size, span.position);
    if (!err) {
        replay->filled = (size_t)span.size;
        replay->next = span.next;
    }
    log_span_close(&span);
    return err;
}

static void read_run(struct single *single)
{
    struct single_replay *replay = &single->replay;
    int err = buffer_reserve(replay, SINGLE_REPLAY_BYTES);
    if (!err)
        err = replay->stage == REPLAY_LOG ? read_log(single) : read_file(single);
    single->io_error = err;
}

/* Delivering a chunk; home loop. */

static int deliver_log_batch(struct single *single, const struct batch *batch)
{
    const struct quorum_listener *listener = &single->params.listener;
    if (batch->base_offset != single->next_offset)
        return -EUCLEAN;
    single->next_offset = batch_last_offset(batch) + 1;
    atomic_store_explicit(&single->quorum.log_end, single->next_offset, memory_order_release);
    atomic_store_explicit(&single->quorum.high_watermark, single->next_offset,
                          memory_order_release);
    single_note_batch(single, batch);
    listener->committed(listener->context, batch);
    return 0;
}

static int deliver_batch(struct single *single, const struct batch *batch)
{
    const struct quorum_listener *listener = &single->params.listener;
    if (!batch_checksum_ok(batch))
        return -EUCLEAN;
    if (batch_is_control(batch)) {
        int err = voter_set_read(&single->voters, batch);
        if (err)
            return err;
    }
    if (single->replay.stage == REPLAY_LOG)
        return deliver_log_batch(single, batch);
    if (batch_is_control(batch))
        return 0;
    if (single->replay.stage == REPLAY_BOOTSTRAP)
        listener->bootstrap(listener->context, batch);
    else
        listener->snapshot_batch(listener->context, batch);
    return 0;
}

/* Deliver the whole batches of the buffer and keep what is left of the last one. */
static int deliver_buffer(struct single *single)
{
    struct single_replay *replay = &single->replay;
    size_t at = 0;
    while (at < replay->filled) {
        struct batch batch;
        int err = batch_read(replay->buffer + at, replay->filled - at, &batch);
        if (err == -EAGAIN && !replay->end && replay->stage != REPLAY_LOG) {
            size_t need = batch.size > 0 ? (size_t)batch.size : SINGLE_REPLAY_BYTES;
            err = buffer_reserve(replay, need);
            if (err)
                return err;
            break;
        }
        if (!err)
            err = deliver_batch(single, &batch);
        if (err)
            return err == -EAGAIN || err == -EBADMSG ? -EUCLEAN : err;
        if (single->phase != SINGLE_STARTING)
            return 0;
        at += (size_t)batch.size;
    }
    replay->filled -= at;
    memmove(replay->buffer, replay->buffer + at, replay->filled);
    return 0;
}

/* The stages. */

static void take_epoch(struct single *single);
static void read_done(struct single *single);

void single_replay_close(struct single *single)
{
    struct single_replay *replay = &single->replay;
    if (replay->file >= 0)
        env_close(single->params.env, replay->file);
    free(replay->buffer);
    *replay = (struct single_replay){.stage = replay->stage, .file = -1};
}

static void begin_stage(struct single *single, int stage)
{
    const struct quorum_listener *listener = &single->params.listener;
    struct single_replay *replay = &single->replay;
    bool has_snapshot = single->snapshot.end_offset > 0;
    single_replay_close(single);
    if (stage == REPLAY_BOOTSTRAP && !single->has_bootstrap)
        stage = REPLAY_SNAPSHOT;
    if (stage == REPLAY_SNAPSHOT && !has_snapshot)
        stage = REPLAY_LOG;
    /* What the bootstrap says of voters is not yet in the log; what follows is. */
    if (stage != REPLAY_BOOTSTRAP)
        single->voters.records_read = 0;
    replay->stage = stage;
    if (stage == REPLAY_LOG) {
        single->next_offset = has_snapshot ? single->snapshot.end_offset : 0;
        replay->next = (struct log_position){single->next_offset, -1, 0};
    }
    if (stage == REPLAY_SNAPSHOT)
        listener->snapshot_begin(listener->context, single->snapshot);
    single_io(single, read_run, read_done);
}

static void end_stage(struct single *single)
{
    const struct quorum_listener *listener = &single->params.listener;
    switch (single->replay.stage) {
    case REPLAY_BOOTSTRAP:
        begin_stage(single, REPLAY_SNAPSHOT);
        break;
    case REPLAY_SNAPSHOT: {
        int32_t voters_read = single->voters.records_read;
        listener->snapshot_end(listener->context, single->voters.last_timestamp);
        begin_stage(single, REPLAY_LOG);
        single->voters.records_read = voters_read;
        break;
    }
    case REPLAY_LOG:
        single_replay_close(single);
        take_epoch(single);
        break;
    }
}

static void read_done(struct single *single)
{
    if (single->io_error) {
        single_fail(single, single->io_error);
        return;
    }
    int err = deliver_buffer(single);
    if (err) {
        single_fail(single, err);
        return;
    }
    if (single->phase != SINGLE_STARTING || single->stopping)
        return;
    if (!single->replay.end)
        single_io(single, read_run, read_done);
    else if (single->replay.filled > 0)
        single_fail(single, -EUCLEAN);
    else
        end_stage(single);
}

/* Leading. */

static bool endpoints_equal(const struct quorum_voter *a, const struct quorum_voter *b)
{
    if (a->endpoint_count != b->endpoint_count)
        return false;
    for (int32_t i = 0; i < a->endpoint_count; i++)
        if (!str_equal(a->endpoints[i].listener, b->endpoints[i].listener) ||
            !str_equal(a->endpoints[i].host, b->endpoints[i].host) ||
            a->endpoints[i].port != b->endpoints[i].port)
            return false;
    return true;
}

/* This engine serves a quorum of this node alone: kraft.version 1 names it and its directory,
 * version 0 has it as the one static voter. */
static int check_voters(const struct single *single)
{
    const struct voter_set *voters = &single->voters;
    const struct quorum_params *params = &single->params;
    if (voters->count != 1 || voters->items[0].id != params->node_id ||
        (voters->kraft_version > 0 &&
         !uuid_equal(voters->items[0].directory_id, params->directory_id))) {
        say_error(params->say, "the metadata quorum is not of this node alone",
                  kv_int("voters", voters->count), kv_int("node_id", params->node_id),
                  kv_id("directory_id", params->directory_id));
        return -ENOTSUP;
    }
    return 0;
}

static int add_leader_batch(struct single *single)
{
    struct voter_set *voters = &single->voters;
    int64_t now = env_wall_ms(single->params.env);
    bool write_voters = voters->kraft_version > 0 && voters->records_read == 0;
    if (voters->kraft_version > 0 && single->own.items[0].endpoint_count > 0 &&
        !endpoints_equal(&voters->items[0], &single->own.items[0])) {
        int err = voter_set_assign(voters, voters->kraft_version, single->own.items, 1);
        if (err)
            return err;
        write_voters = true;
    }
    struct batch_builder builder;
    batch_builder_init(&builder, single->next_offset);
    builder.attributes = BATCH_CONTROL;
    builder.leader_epoch = single->epoch;
    control_add_leader_change(&builder, now, single->params.node_id);
    if (write_voters)
        control_add_voters(&builder, now, voter_set_view(voters));
    return single_enqueue(single, &builder, NULL);
}

static void take_epoch(struct single *single)
{
    int err = check_voters(single);
    if (!err && single->epoch == INT32_MAX)
        err = -EOVERFLOW;
    if (!err) {
        single->epoch++;
        single->write_state = true;
        single->sync_dir = true;
        err = add_leader_batch(single);
    }
    if (err)
        single_fail(single, err);
}

static void open_done(struct single *single)
{
    if (single->io_error) {
        single_fail(single, single->io_error);
        return;
    }
    if (!single->stopping)
        begin_stage(single, REPLAY_BOOTSTRAP);
}

void single_start(struct quorum *quorum)
{
    struct single *single = single_of(quorum);
    must(single->phase == SINGLE_NEW);
    single->phase = SINGLE_STARTING;
    single_io(single, open_run, open_done);
}
