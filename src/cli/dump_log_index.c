/* Indexes and producer snapshots, compared with the .log file beside them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/dump_log.h"
#include "log/index.h"
#include "log/names.h"
#include "log/producers.h"
#include "log/scan.h"
#include "log/txn_index.h"

#define SNAPSHOT_BYTES_MAX (256 * 1024 * 1024)

/* An index and the log it belongs to. */
struct index_dump {
    struct dump *dump;
    const char *path;
    int64_t base_offset;
    int64_t size, log_size;
    int file, log;
};

static void pair_close(struct index_dump *state)
{
    if (state->file >= 0)
        (void)env_close(state->dump->env, state->file);
    if (state->log >= 0)
        (void)env_close(state->dump->env, state->log);
}

static int pair_open(struct index_dump *state, struct dump *dump, const char *path,
                     int64_t base_offset)
{
    char dir[LOG_PATH_MAX], log_path[LOG_PATH_MAX];
    const char *slash = strrchr(path, '/');
    *state = (struct index_dump){
        .dump = dump, .path = path, .base_offset = base_offset, .file = -1, .log = -1};
    int n = slash ? snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path)
                  : snprintf(dir, sizeof dir, ".");
    if (n < 0 || n >= (int)sizeof dir)
        return -ENAMETOOLONG;
    int err = segment_path(log_path, dir, base_offset, SEGMENT_LOG, "");
    if (err < 0)
        return err;
    state->file = env_open(dump->env, path, ENV_READ);
    state->log = env_open(dump->env, log_path, ENV_READ);
    err = state->file < 0 ? state->file : state->log < 0 ? state->log : 0;
    if (err == 0)
        err = env_size(dump->env, state->file, &state->size);
    if (err == 0)
        err = env_size(dump->env, state->log, &state->log_size);
    if (err < 0)
        pair_close(state);
    return err;
}

/* The first batch from `position` on that ends at or after the offset. */
static int find_batch(struct index_dump *state, int64_t position, int64_t offset,
                      struct batch *ret_batch)
{
    uint8_t buffer[SCAN_SMALL_BYTES];
    struct scan scan;
    int err;
    if (position < 0 || position >= state->log_size)
        return -ENODATA;
    scan_init(&scan, state->dump->env, state->log, position, state->log_size, true, buffer);
    while ((err = scan_next(&scan, ret_batch)) == 0)
        if (batch_last_offset(ret_batch) >= offset)
            return 0;
    return err;
}

/* The zeros that Kafka preallocates end an index. */
static bool is_tail(const struct index_entry *entry)
{
    return entry->key == 0 && entry->value == 0;
}

static void check_offset_entry(struct index_dump *state, const struct index_entry *entry,
                               const struct index_entry *previous)
{
    struct batch batch;
    int64_t offset = state->base_offset + entry->key;
    int err = find_batch(state, entry->value, INT64_MIN, &batch);
    if (err == 0 && batch_last_offset(&batch) != offset)
        dump_problem(state->dump, "Mismatches in :%s\n  Index offset: %lld, log offset: %lld",
                     state->path, (long long)offset, (long long)batch_last_offset(&batch));
    else if (err < 0)
        dump_problem(state->dump, "Mismatches in :%s\n  Index offset: %lld, no batch at %d",
                     state->path, (long long)offset, entry->value);
    if (entry->key <= previous->key || entry->value <= previous->value)
        dump_problem(state->dump, "Entries out of order in %s at offset %lld", state->path,
                     (long long)offset);
    if (!state->dump->verify_only)
        fprintf(state->dump->out, "offset: %lld position: %d\n", (long long)offset, entry->value);
}

/* 0; -ENODATA: the position lies behind the last batch. */
static void check_time_entry(struct index_dump *state, const struct index_entry *entry,
                             const struct index_entry *previous)
{
    struct batch batch;
    int64_t offset = state->base_offset + entry->value;
    int err = find_batch(state, 0, offset, &batch);
    if (err < 0 || batch_last_offset(&batch) != offset)
        dump_problem(state->dump,
                     "The following indexed offsets are not found in :%s\n"
                     "Indexed offset: %lld, found log offset: %lld",
                     state->path, (long long)offset,
                     (long long)(err < 0 ? -1 : batch_last_offset(&batch)));
    else if (batch.max_timestamp != entry->key)
        dump_problem(state->dump,
                     "Found timestamp mismatch in :%s\n  Index timestamp: %lld, log timestamp: "
                     "%lld",
                     state->path, (long long)entry->key, (long long)batch.max_timestamp);
    if (entry->key <= previous->key)
        dump_problem(state->dump,
                     "Found out of order timestamp in :%s\n  Index timestamp: %lld, Previously "
                     "indexed timestamp: %lld",
                     state->path, (long long)entry->key, (long long)previous->key);
    if (!state->dump->verify_only)
        fprintf(state->dump->out, "timestamp: %lld offset: %lld\n", (long long)entry->key,
                (long long)offset);
}

/* The check of a start: whole entries, and the last not before the first. */
static int sanity_check(struct index_dump *state, const struct index_file *in)
{
    struct index_entry first, last;
    int32_t entry_size = index_entry_size(in->kind);
    int err = index_read_entry(in, 0, &first);
    if (err == 0)
        err = index_read_entry(in, in->count - 1, &last);
    if (err < 0)
        return err;
    if (state->size % entry_size != 0 || (in->kind == INDEX_OFFSET ? last.key : last.value) < 0 ||
        last.key < first.key)
        dump_problem(state->dump, "%s is corrupt.", state->path);
    else
        fprintf(state->dump->out, "%s passed sanity check.\n", state->path);
    return 0;
}

static int dump_index(struct dump *dump, const char *path, int64_t base_offset,
                      enum index_kind kind)
{
    struct index_dump state;
    struct index_entry entry, previous = {-1, -1};
    int err = pair_open(&state, dump, path, base_offset);
    if (err < 0)
        return err;
    struct index_file in = {dump->env, state.file, kind,
                            (int32_t)(state.size / index_entry_size(kind)), true};
    if (in.count == 0)
        fprintf(dump->out, "%s is empty.\n", path);
    else if (dump->index_sanity)
        err = sanity_check(&state, &in);
    for (int32_t i = 0; i < in.count && err == 0 && !dump->index_sanity; i++) {
        err = index_read_entry(&in, i, &entry);
        if (err < 0 || is_tail(&entry))
            break;
        if (kind == INDEX_OFFSET)
            check_offset_entry(&state, &entry, &previous);
        else
            check_time_entry(&state, &entry, &previous);
        previous = entry;
    }
    if (state.size % index_entry_size(kind) != 0 && !dump->index_sanity)
        dump_problem(dump, "%s has a cut entry at its end.", path);
    pair_close(&state);
    return err;
}

int dump_offset_index(struct dump *dump, const char *path, int64_t base_offset)
{
    return dump_index(dump, path, base_offset, INDEX_OFFSET);
}

int dump_time_index(struct dump *dump, const char *path, int64_t base_offset)
{
    return dump_index(dump, path, base_offset, INDEX_TIME);
}

static int load(struct dump *dump, const char *path, char **ret_data, size_t *ret_size)
{
    return env_load(dump->env, path, SNAPSHOT_BYTES_MAX, ret_data, ret_size);
}

int dump_txn_index(struct dump *dump, const char *path, int64_t base_offset)
{
    int64_t previous = base_offset - 1;
    char *data;
    size_t size;
    int err = load(dump, path, &data, &size);
    if (err < 0)
        return err;
    for (size_t at = 0; at + TXN_ENTRY_SIZE <= size; at += TXN_ENTRY_SIZE) {
        struct aborted_entry entry;
        if (txn_entry_decode((const uint8_t *)data + at, &entry) < 0) {
            dump_problem(dump, "%s: the entry at %zu has an unknown version", path, at);
            continue;
        }
        fprintf(dump->out,
                "version: 0 producerId: %lld firstOffset: %lld lastOffset: %lld lastStableOffset: "
                "%lld\n",
                (long long)entry.producer_id, (long long)entry.first_offset,
                (long long)entry.last_offset, (long long)entry.last_stable_offset);
        if (entry.last_offset <= previous || entry.first_offset > entry.last_offset)
            dump_problem(dump, "%s: the entry at %zu is out of order", path, at);
        previous = entry.last_offset;
    }
    if (size % TXN_ENTRY_SIZE != 0)
        dump_problem(dump, "%s has a cut entry at its end.", path);
    free(data);
    return 0;
}

static void print_producer(struct dump *dump, const struct producer *producer)
{
    fprintf(dump->out, "producerId: %lld producerEpoch: %d coordinatorEpoch: %d ",
            (long long)producer->id, producer->epoch, producer->coordinator_epoch);
    if (producer->txn_first_offset >= 0)
        fprintf(dump->out, "currentTxnFirstOffset: OptionalLong[%lld]",
                (long long)producer->txn_first_offset);
    else
        fputs("currentTxnFirstOffset: OptionalLong.empty", dump->out);
    fprintf(dump->out, " lastTimestamp: %lld", (long long)producer->last_timestamp);
    if (producer->batch_count > 0) {
        const struct producer_batch *batch = &producer->batches[0];
        fprintf(dump->out,
                " firstSequence: %d lastSequence: %d lastOffset: %lld offsetDelta: %d "
                "timestamp: %lld",
                producer_batch_first_sequence(batch), batch->last_sequence,
                (long long)batch->last_offset, batch->offset_delta, (long long)batch->timestamp);
    }
    putc('\n', dump->out);
}

int dump_snapshot(struct dump *dump, const char *path)
{
    struct producers producers = {0};
    char *data;
    size_t size;
    int err = load(dump, path, &data, &size);
    if (err < 0)
        return err;
    err = producers_read(&producers, (struct bytes){(uint8_t *)data, (int32_t)size}, 0, INT64_MAX);
    if (err == -EBADMSG)
        dump_problem(dump, "%s is corrupt.", path);
    for (uint32_t i = 0; i < producers.count; i++)
        print_producer(dump, &producers.items[i]);
    producers_close(&producers);
    free(data);
    return err == -EBADMSG ? 0 : err;
}
