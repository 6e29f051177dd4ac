/* Replaying a shard's log into a new state, on a pool thread.
 *
 * Everything from the log's start to the end that it had when the load began goes through the same
 * `apply` as new records do; nobody appends to the partition meanwhile, because that takes an
 * active shard. Batches are checked before they are believed, and read as streams, so memory stays
 * at one piece of the log plus the state. */
#include "coord/coord_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "record/batch.h"
#include "record/control.h"

#define LOAD_READ_BYTES (1024 * 1024) /* of the log at a time; more for larger batches */
#define LOAD_RECORD_MAX_BYTES (256 * 1024 * 1024) /* one record, decompressed */

struct loading {
    struct coord_shard *shard;
    const struct coord_fold *fold;
    void *state;
    uint8_t *buffer;
    size_t capacity;
    struct load_result *result;
};

static int load_control(struct loading *loading, const struct batch *batch,
                        const struct record *record)
{
    struct end_transaction end;
    if (end_transaction_read(record, &end) != 0) {
        loading->result->skipped++;
        return 0;
    }
    const struct coord_marker marker = {
        .offset = record->offset,
        .timestamp = record->timestamp,
        .producer_id = batch->producer_id,
        .producer_epoch = batch->producer_epoch,
        .coordinator_epoch = end.coordinator_epoch,
        .commit = end.commit,
    };
    return !loading->fold->mark || loading->fold->mark(loading->state, &marker) ? 0 : -ENOMEM;
}

static int load_record(struct loading *loading, const struct batch *batch,
                       const struct record *record)
{
    if (batch_is_control(batch))
        return load_control(loading, batch, record);
    if (!record->key.data) {
        loading->result->skipped++;
        return 0;
    }
    const struct coord_record fold_record = {
        .offset = record->offset,
        .timestamp = record->timestamp,
        .producer_id = batch->producer_id,
        .producer_epoch = batch->producer_epoch,
        .transactional = batch_is_transactional(batch),
        .key = record->key,
        .value = record->value,
    };
    return loading->fold->apply(loading->state, &fold_record) ? 0 : -ENOMEM;
}

static int load_batch(struct loading *loading, const struct batch *batch)
{
    if (!batch_checksum_ok(batch))
        return -EBADMSG;
    struct record_reader reader;
    struct record record;
    int err = record_reader_init(&reader, batch, LOAD_RECORD_MAX_BYTES);
    while (err == 0 && (err = record_reader_next(&reader, NULL, &record)) == 0) {
        loading->result->records++;
        err = load_record(loading, batch, &record);
    }
    record_reader_close(&reader);
    return err == -ENODATA ? 0 : err;
}

/* The bytes of the span in memory. */
static int load_bytes(struct loading *loading, const struct log_span *span)
{
    size_t size = (size_t)span->size;
    if (size > loading->capacity) {
        free(loading->buffer);
        loading->capacity = 0;
        loading->buffer = malloc(size);
        if (!loading->buffer)
            return -ENOMEM;
        loading->capacity = size;
    }
    return env_read_all(loading->shard->coord->params.env, file_ref_descriptor(span->file),
                        loading->buffer, size, span->position);
}

static int load_span(struct loading *loading, const struct log_span *span)
{
    int err = load_bytes(loading, span);
    for (size_t at = 0; err == 0 && at < (size_t)span->size;) {
        struct batch batch;
        err = batch_read(loading->buffer + at, (size_t)span->size - at, &batch);
        if (err == 0)
            err = load_batch(loading, &batch);
        at += (size_t)batch.size;
    }
    loading->result->bytes += span->size;
    return err;
}

static int load_log(struct loading *loading)
{
    struct partition *partition = loading->shard->partition;
    struct log *log = partition->log;
    const struct log_position bound = log_end(log);
    struct log_position at = {.offset = log_start_offset(log), .segment_base = -1};
    while (at.offset < bound.offset) {
        if (atomic_load(&loading->shard->deposed))
            return -ECANCELED;
        const struct log_read_params params = {.offset = at.offset,
                                               .hint = at.segment_base >= 0 ? &at : NULL,
                                               .bound = bound,
                                               .max_bytes = LOAD_READ_BYTES,
                                               .min_one_batch = true,
                                               .may_block = true};
        struct log_span span;
        int err = log_read(log, &params, &span);
        if (err != 0)
            return err < 0 ? partition_read_failed(partition, at.offset, err) : err;
        if (span.size == 0) { /* compaction took the last records */
            log_span_close(&span);
            break;
        }
        err = load_span(loading, &span);
        log_span_close(&span);
        if (err != 0)
            return partition_read_failed(partition, at.offset, err);
        at = span.next;
    }
    loading->shard->applied = bound.offset;
    return 0;
}

void load_run(struct pool_job *job)
{
    struct coord_shard *shard = container_of(job, struct coord_shard, job);
    struct coord *coord = shard->coord;
    struct loading loading = {.shard = shard, .fold = coord->params.fold, .result = &shard->loaded};
    int64_t began_ns = env_now_ns(coord->params.env);
    loading.state = loading.fold->create(shard, coord->params.context);
    int err = loading.state ? load_log(&loading) : -ENOMEM;
    free(loading.buffer);
    if (err != 0 && loading.state) {
        loading.fold->destroy(loading.state);
        loading.state = NULL;
    }
    shard->loaded.error = err;
    shard->loaded.took_ns = env_now_ns(coord->params.env) - began_ns;
    shard->loaded_state = loading.state;
}
