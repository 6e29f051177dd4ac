/* Walks the records of one batch.
 *
 * `in` is a window of plain bytes: the whole batch when it is not compressed, else the part of the
 * decompressed stream that lies in `scratch`. window_want slides and refills it, so a record is
 * always in one piece. Invariants:
 *  1. Only window_more moves bytes; nobody keeps a pointer into the window across it.
 *  2. The window grows with bytes that did come, never with a length that was only promised. */
#include "record/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "record/varint.h"

#define READER_FREE_BYTES (1024 * 1024)
#define VARINT_MAX 5
#define ENTRY_HEADER 12 /* offset and size before each entry of a message set */

bool plain_take(struct plain_account *account, int64_t bytes)
{
    struct plain_budget *budget = account->budget;
    if (!budget || bytes <= 0)
        return true;
    int64_t held =
        atomic_fetch_add_explicit(&budget->held_bytes, bytes, memory_order_relaxed) + bytes;
    if (held > budget->limit_bytes && held > account->held_bytes + bytes) {
        atomic_fetch_sub_explicit(&budget->held_bytes, bytes, memory_order_relaxed);
        return false;
    }
    account->held_bytes += bytes;
    return true;
}

void plain_give(struct plain_account *account, int64_t bytes)
{
    if (!account->budget)
        return;
    account->held_bytes -= bytes;
    atomic_fetch_sub_explicit(&account->budget->held_bytes, bytes, memory_order_relaxed);
}

/* Small windows are not counted: most batches never touch the shared number. */
static bool window_account(struct record_reader *reader, size_t capacity)
{
    int64_t more = (int64_t)capacity - reader->accounted;
    if (!reader->account || capacity <= READER_FREE_BYTES)
        return true;
    if (!plain_take(reader->account, more))
        return false;
    reader->accounted += more;
    return true;
}

/* Append plain bytes to the window. 0, -ENOBUFS the account has no room, -ENODATA when there are
 * none, or the decompressor's. */
static int window_more(struct record_reader *reader)
{
    if (!reader->decompressor)
        return -ENODATA;
    size_t left = reader_left(&reader->in);
    if (left == reader->scratch_capacity) {
        size_t capacity = left ? left * 2 : READER_WINDOW_BYTES;
        if (!window_account(reader, capacity))
            return -ENOBUFS;
        uint8_t *scratch = realloc(reader->scratch, capacity);
        if (!scratch)
            return -ENOMEM;
        reader->scratch = scratch;
        reader->scratch_capacity = capacity;
    } else if (left && reader->in.at != reader->scratch) {
        memmove(reader->scratch, reader->in.at, left);
    }
    reader->in = reader_of(reader->scratch, left);

    size_t got;
    int err = decompressor_read(reader->decompressor, reader->scratch + left,
                                reader->scratch_capacity - left, &got);
    if (err < 0)
        return err;
    reader->in.end += got;
    return got ? 0 : -ENODATA;
}

/* Have `size` bytes in one piece. 0, -ENODATA when the stream ends before, or an error. */
static int window_want(struct record_reader *reader, size_t size)
{
    if (reader->decompressor && size > reader->max_bytes)
        return -EFBIG;
    while (reader_left(&reader->in) < size) {
        int err = window_more(reader);
        if (err < 0)
            return err;
    }
    return 0;
}

/* After the last record nothing may follow. */
static int window_end(struct record_reader *reader)
{
    if (reader_left(&reader->in) > 0)
        return -EBADMSG;
    int err = window_more(reader);
    return err == 0 ? -EBADMSG : err;
}

static struct bytes bytes_before(const uint8_t *end, int32_t size)
{
    return size < 0 ? (struct bytes){NULL, 0} : (struct bytes){end - size, size};
}

/* The headers of a record; [at, end) is the rest of it. */
static int read_headers(const uint8_t *at, const uint8_t *end, struct arena *arena,
                        struct record *record)
{
    int32_t count, size;
    at = varint_read(at, end, &count);
    if (!at || count < 0 || count > (end - at) / 2)
        return -EBADMSG;
    struct record_header *headers = NULL;
    if (arena && count > 0) {
        headers = arena_array(arena, (size_t)count, sizeof *headers);
        if (!headers)
            return -ENOMEM;
    }
    for (int32_t i = 0; i < count; i++) {
        struct record_header header;
        at = varint_skip_bytes(at, end, &size);
        if (!at || size < 0)
            return -EBADMSG;
        header.key = (struct str){(const char *)at - size, size};
        at = varint_skip_bytes(at, end, &size);
        if (!at)
            return -EBADMSG;
        header.value = bytes_before(at, size);
        if (headers)
            headers[i] = header;
    }
    record->header_count = count;
    record->headers = headers;
    return at == end ? 0 : -EBADMSG;
}

/* One record of magic 2 without its length. */
static int read_record(struct record_reader *reader, const uint8_t *at, const uint8_t *end,
                       struct arena *arena, struct record *ret_record)
{
    const struct batch *batch = &reader->batch;
    struct record record = {0};
    int64_t timestamp_delta;
    int32_t offset_delta, size;
    if (at == end)
        return -EBADMSG;
    at++; /* attributes, none defined */
    at = varlong_read(at, end, &timestamp_delta);
    if (!at || !(at = varint_read(at, end, &offset_delta)))
        return -EBADMSG;
    record.body = (struct bytes){at, (int32_t)(end - at)};
    if (!(at = varint_skip_bytes(at, end, &size)))
        return -EBADMSG;
    record.key = bytes_before(at, size);
    if (!(at = varint_skip_bytes(at, end, &size)))
        return -EBADMSG;
    record.value = bytes_before(at, size);
    int err = read_headers(at, end, arena, &record);
    if (err < 0)
        return err;

    record.offset = offset_add(batch->base_offset, offset_delta);
    record.timestamp = batch->attributes & BATCH_LOG_APPEND_TIME
                           ? batch->max_timestamp
                           : (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)timestamp_delta);
    record.sequence =
        batch->base_sequence >= 0 ? sequence_add(batch->base_sequence, offset_delta) : NO_SEQUENCE;
    *ret_record = record;
    return 0;
}

static int next_v2(struct record_reader *reader, struct arena *arena, struct record *ret_record)
{
    int32_t length;
    const uint8_t *body;
    while (!(body = varint_read(reader->in.at, reader->in.end, &length))) {
        if (reader_left(&reader->in) >= VARINT_MAX)
            return -EBADMSG;
        int err = window_more(reader);
        if (err < 0)
            return err == -ENODATA ? -EBADMSG : err;
    }
    if (length < 0)
        return -EBADMSG;
    reader->in.at = body;
    int err = window_want(reader, (size_t)length);
    if (err < 0)
        return err == -ENODATA ? -EBADMSG : err;
    body = reader->in.at;
    reader->in.at += length;
    return read_record(reader, body, body + length, arena, ret_record);
}

/* Key and value of one entry of magic 0 or 1, whose header is decoded. */
static int read_entry(const struct batch *entry, struct record *ret_record)
{
    struct reader in = reader_of(entry->data, (size_t)entry->size);
    reader_take(&in, BATCH_OVERHEAD + (entry->magic == 0 ? 6 : 14));
    struct record record = {
        .offset = entry->base_offset, .timestamp = entry->max_timestamp, .sequence = NO_SEQUENCE};
    struct bytes *fields[] = {&record.key, &record.value};
    for (int i = 0; i < 2; i++) {
        int32_t size = read_int32(&in);
        if (size < 0)
            continue;
        fields[i]->data = reader_take(&in, (size_t)size);
        fields[i]->size = size;
    }
    if (in.failed || reader_left(&in) > 0)
        return -EBADMSG;
    *ret_record = record;
    return 0;
}

/* The next entry inside a wrapper. As in Kafka, a torn one at the end counts as the end. */
static int next_inner(struct record_reader *reader, struct batch *ret_entry)
{
    int err = window_want(reader, ENTRY_HEADER);
    if (err < 0)
        return err;
    int32_t length = (int32_t)load_be32(reader->in.at + 8);
    if (length < LEGACY_OVERHEAD_V0 || length > BATCH_SIZE_MAX - BATCH_OVERHEAD)
        return -EBADMSG;
    err = window_want(reader, ENTRY_HEADER + (size_t)length);
    if (err < 0)
        return err;
    err = batch_read(reader->in.at, reader_left(&reader->in), ret_entry);
    if (err < 0 || ret_entry->magic != reader->batch.magic ||
        batch_compression(ret_entry) != COMPRESSION_NONE)
        return -EBADMSG;
    reader->in.at += ENTRY_HEADER + (size_t)length;
    return 0;
}

static int next_legacy(struct record_reader *reader, struct record *ret_record)
{
    const struct batch *wrapper = &reader->batch;
    struct record record;
    if (batch_compression(wrapper) == COMPRESSION_NONE)
        return reader->index > 0 ? -ENODATA : read_entry(wrapper, ret_record);

    struct batch entry;
    int err = next_inner(reader, &entry);
    if (err == -ENODATA && reader->index == 0)
        return -EBADMSG;
    if (err < 0)
        return err;
    err = read_entry(&entry, &record);
    if (err < 0)
        return err;
    record.offset = offset_add(record.offset, reader->offset_shift);
    if (wrapper->attributes & BATCH_LOG_APPEND_TIME)
        record.timestamp = wrapper->max_timestamp;
    if (record.offset < 0 || record.offset > wrapper->base_offset)
        return -EBADMSG;
    *ret_record = record;
    return 0;
}

static int open_stream(struct record_reader *reader, struct bytes data)
{
    int err = decompressor_create(batch_compression(&reader->batch), reader->batch.magic, data.data,
                                  (size_t)data.size, &reader->decompressor);
    return err == -EINVAL ? -EBADMSG : err;
}

/* Offsets inside a wrapper of magic 1 count from 0, and the wrapper has the last one's: the shift
 * is known only at the end of the stream, so it is read twice. Magic 0 has plain offsets inside. */
static int find_offset_shift(struct record_reader *reader)
{
    int64_t last = -1;
    struct batch entry;
    int err;
    while ((err = next_inner(reader, &entry)) == 0)
        last = entry.base_offset;
    if (err != -ENODATA)
        return err;
    if (last < 0 || last > reader->batch.base_offset)
        return -EBADMSG;
    reader->offset_shift = reader->batch.base_offset - last;
    return 0;
}

static int open_wrapper(struct record_reader *reader)
{
    struct record wrapper;
    int err = read_entry(&reader->batch, &wrapper);
    if (err < 0)
        return err;
    if (!wrapper.value.data || batch_compression(&reader->batch) == COMPRESSION_ZSTD)
        return -EBADMSG;
    err = open_stream(reader, wrapper.value);
    if (err < 0 || reader->batch.magic == 0)
        return err;
    err = find_offset_shift(reader);
    if (err < 0)
        return err;
    decompressor_destroy(reader->decompressor);
    reader->decompressor = NULL;
    reader->in = reader_of(reader->scratch, 0);
    return open_stream(reader, wrapper.value);
}

static int open_batch(struct record_reader *reader)
{
    const struct batch *batch = &reader->batch;
    if (batch->magic < 2)
        return batch_compression(batch) == COMPRESSION_NONE ? 0 : open_wrapper(reader);

    must(batch->size >= BATCH_HEADER_SIZE);
    if (batch->record_count < 0)
        return -EBADMSG;
    struct bytes body = {batch->data + BATCH_HEADER_SIZE, batch->size - BATCH_HEADER_SIZE};
    if (batch_compression(batch) != COMPRESSION_NONE)
        return open_stream(reader, body);
    reader->in = reader_of(body.data, (size_t)body.size);
    return 0;
}

int record_reader_init(struct record_reader *reader, const struct batch *batch, size_t max_bytes)
{
    *reader = (struct record_reader){.batch = *batch, .max_bytes = max_bytes, .last_offset = -1};
    int err = open_batch(reader);
    if (err != 0)
        record_reader_close(reader);
    return err;
}

int record_reader_next(struct record_reader *reader, struct arena *arena, struct record *ret_record)
{
    struct record record = {0};
    int err;
    if (reader->batch.magic < 2)
        err = next_legacy(reader, &record);
    else if (reader->index == reader->batch.record_count)
        err = window_end(reader);
    else
        err = next_v2(reader, arena, &record);
    if (err < 0)
        return err;
    if (reader->batch.magic < 2 && reader->index > 0 && record.offset <= reader->last_offset)
        return -EBADMSG;
    reader->index++;
    reader->last_offset = record.offset;
    *ret_record = record;
    return 0;
}

void record_reader_close(struct record_reader *reader)
{
    decompressor_destroy(reader->decompressor);
    free(reader->scratch);
    if (reader->account)
        plain_give(reader->account, reader->accounted);
    reader->accounted = 0;
    reader->decompressor = NULL;
    reader->scratch = NULL;
}
