/* Writing a cleaned segment. It is in no list, so nobody else touches it; its files are made and
 * indexed as those of any segment, under other names. */
#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "log/log_clean_internal.h"

#define WRITE_BYTES (256 * 1024) /* gathered before they are written */

int cleaned_begin(struct cleaned_segment *cleaned, struct log *log, int64_t base_offset)
{
    must(!cleaned->segment);
    struct file_ref *file;
    struct segment *segment = segment_alloc(log, base_offset);
    if (!segment)
        return -ENOMEM;
    atomic_init(&segment->state, SEGMENT_CLEANED);
    cleaned->segment = segment;
    cleaned->size = 0;
    int err = segment_file_make(log, segment, SEGMENT_LOG, &file);
    if (err == 0)
        file_ref_drop(file);
    return err;
}

static int write_out(struct cleaned_segment *cleaned, struct log *log, int64_t *ret_written)
{
    struct file_ref *file;
    size_t size = cleaned->out.size;
    if (size == 0)
        return 0;
    int err = segment_file(log, cleaned->segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    err = env_write_all(log->env, file_ref_descriptor(file), cleaned->out.data, size,
                        cleaned->size - (int64_t)size);
    file_ref_drop(file);
    if (err < 0)
        return err;
    *ret_written += (int64_t)size;
    cleaned->out.size = 0;
    return 0;
}

int cleaned_add(struct cleaned_segment *cleaned, struct log *log,
                const struct log_settings *settings, size_t start, int64_t *ret_written)
{
    struct batch batch;
    size_t size = cleaned->out.size - start;
    if (cleaned->out.failed)
        return -ENOMEM;
    if (cleaned->size + (int64_t)size > INT32_MAX)
        return -EBADMSG;
    int err = batch_read(cleaned->out.data + start, size, &batch);
    must(err == 0 && (size_t)batch.size == size);
    if (batch_last_offset(&batch) - cleaned->segment->base_offset > INT32_MAX)
        return -EBADMSG;
    err = segment_index_batch(log, settings, cleaned->segment, &batch, (int32_t)cleaned->size);
    if (err < 0)
        return err;
    cleaned->size += (int64_t)size;
    return cleaned->out.size >= WRITE_BYTES ? write_out(cleaned, log, ret_written) : 0;
}

int cleaned_add_txn(struct cleaned_segment *cleaned, const struct aborted_entry *entry)
{
    uint8_t *at = writer_add(&cleaned->txns, TXN_ENTRY_SIZE);
    if (!at)
        return -ENOMEM;
    txn_entry_encode(entry, at);
    cleaned->segment->txn_entries++;
    return 0;
}

static int write_txns(struct cleaned_segment *cleaned, struct log *log, int64_t *ret_written)
{
    struct file_ref *file;
    if (cleaned->txns.size == 0)
        return 0;
    int err = segment_file_make(log, cleaned->segment, SEGMENT_TXNINDEX, &file);
    if (err < 0)
        return err;
    err = env_write_all(log->env, file_ref_descriptor(file), cleaned->txns.data, cleaned->txns.size,
                        0);
    file_ref_drop(file);
    *ret_written += (int64_t)cleaned->txns.size;
    return err;
}

static int hold_and_sync(struct cleaned_segment *cleaned, struct log *log)
{
    int err = 0;
    for (int kind = 0; kind < SEGMENT_OWN_FILES && err == 0; kind++) {
        if (!segment_has(cleaned->segment, (enum segment_file)kind))
            continue;
        err = segment_file(log, cleaned->segment, (enum segment_file)kind, &cleaned->files[kind]);
        if (err < 0)
            cleaned->files[kind] = NULL;
        else
            err = env_sync(log->env, file_ref_descriptor(cleaned->files[kind]));
    }
    atomic_store_explicit(&cleaned->segment->unsynced, 0, memory_order_relaxed);
    return err;
}

int cleaned_seal(struct cleaned_segment *cleaned, struct log *log, int64_t modified_ms,
                 int64_t *ret_written)
{
    char path[LOG_PATH_MAX];
    struct segment *segment = cleaned->segment;
    int err = write_out(cleaned, log, ret_written);
    atomic_store_explicit(&segment->size_bytes, (int32_t)cleaned->size, memory_order_relaxed);
    if (err == 0)
        err = segment_write_indexes(log, segment, true);
    if (err == 0)
        err = write_txns(cleaned, log, ret_written);
    if (err == 0)
        err = hold_and_sync(cleaned, log);
    /* Retention and tombstones of records without a time go by the age of the file. */
    if (err == 0)
        err = segment_path(path, log->dir, segment->base_offset, SEGMENT_LOG, SUFFIX_CLEANED);
    if (err == 0)
        err = env_set_modified(log->env, path, modified_ms);
    segment->created_ms = modified_ms;
    return err;
}

void cleaned_close(struct cleaned_segment *cleaned, struct log *log)
{
    char path[LOG_PATH_MAX];
    struct segment *segment = cleaned->segment;
    for (int kind = 0; kind < SEGMENT_OWN_FILES; kind++) {
        file_ref_drop(cleaned->files[kind]);
        /* What stays is removed when the log is opened the next time. */
        if (segment && segment_has(segment, (enum segment_file)kind) &&
            segment_path(path, log->dir, segment->base_offset, (enum segment_file)kind,
                         SUFFIX_CLEANED) == 0)
            (void)env_unlink(log->env, path);
    }
    segment_unref(log, segment);
    writer_close(&cleaned->out);
    writer_close(&cleaned->txns);
    *cleaned = (struct cleaned_segment){0};
}
