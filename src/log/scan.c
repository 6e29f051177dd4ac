#include "log/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/must.h"

void scan_init(struct scan *scan, struct env *env, int file, int64_t position, int64_t end,
               bool may_block, uint8_t buffer[SCAN_SMALL_BYTES])
{
    *scan = (struct scan){
        .env = env,
        .file = file,
        .position = position,
        .end = end,
        .may_block = may_block,
        .least_offset = INT64_MIN,
        .buffer = buffer,
        .capacity = SCAN_SMALL_BYTES,
        .buffer_at = position,
    };
}

int scan_init_large(struct scan *scan, struct env *env, int file, int64_t position, int64_t end)
{
    int64_t left = end - position;
    int32_t capacity = left > SCAN_LARGE_BYTES   ? SCAN_LARGE_BYTES
                       : left < SCAN_SMALL_BYTES ? SCAN_SMALL_BYTES
                                                 : (int32_t)left;
    uint8_t *buffer = malloc((size_t)capacity);
    if (!buffer)
        return -ENOMEM;
    scan_init(scan, env, file, position, end, true, buffer);
    scan->capacity = capacity;
    scan->owned = true;
    return 0;
}

void scan_close(struct scan *scan)
{
    if (scan->owned)
        free(scan->buffer);
    scan->buffer = NULL;
    scan->owned = false;
}

/* Read `size` bytes at `at`, up to the scan's end; the count may be short only there. */
static int read_bytes(struct scan *scan, int64_t at, uint8_t *data, int32_t size, int32_t *ret_size)
{
    int32_t done = 0;
    while (done < size) {
        size_t want = (size_t)(size - done);
        ssize_t n = scan->may_block
                        ? env_read(scan->env, scan->file, data + done, want, at + done)
                        : env_read_nowait(scan->env, scan->file, data + done, want, at + done);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        done += (int32_t)n;
    }
    *ret_size = done;
    return 0;
}

/* Bytes in memory from `at` on. */
static int32_t window_left(const struct scan *scan, int64_t at)
{
    if (at < scan->buffer_at || at > scan->buffer_at + scan->buffer_size)
        return 0;
    return (int32_t)(scan->buffer_at + scan->buffer_size - at);
}

static uint8_t *window_data(const struct scan *scan, int64_t at)
{
    return scan->buffer + (at - scan->buffer_at);
}

/* Have at least `least` bytes from `at` in memory, reading `wish` if anything must be read. */
static int window_fill(struct scan *scan, int64_t at, int32_t least, int32_t wish)
{
    int32_t have = window_left(scan, at);
    if (have >= least)
        return 0;
    if (wish > scan->capacity)
        wish = scan->capacity;
    if (wish > scan->end - at)
        wish = (int32_t)(scan->end - at);
    if (have > 0)
        memmove(scan->buffer, window_data(scan, at), (size_t)have);
    scan->buffer_at = at;
    scan->buffer_size = have;
    int32_t got = 0;
    int err = read_bytes(scan, at + have, scan->buffer + have, wish - have, &got);
    if (err < 0)
        return err;
    scan->buffer_size += got;
    return scan->buffer_size < least ? -EBADMSG : 0;
}

/* Small batches are read many at a time; of large ones only the headers. */
static int32_t wish_for_header(const struct scan *scan)
{
    if (scan->last_size > SCAN_SMALL_BYTES)
        return BATCH_HEADER_SIZE;
    return scan->capacity < 4 * SCAN_SMALL_BYTES ? scan->capacity : 4 * SCAN_SMALL_BYTES;
}

int scan_next(struct scan *scan, struct batch *ret_batch)
{
    struct batch batch;
    int64_t left = scan->end - scan->position;
    if (left <= 0)
        return -ENODATA;
    int32_t least = left < BATCH_HEADER_SIZE ? (int32_t)left : BATCH_HEADER_SIZE;
    int err = window_fill(scan, scan->position, least, wish_for_header(scan));
    if (err < 0)
        return err;
    err = batch_read_header(window_data(scan, scan->position),
                            (size_t)window_left(scan, scan->position), &batch);
    if (err == -EAGAIN || (err == 0 && batch.size > left))
        return -EBADMSG;
    if (err < 0)
        return err;
    if (batch.base_offset < scan->least_offset || batch.last_offset_delta < 0 ||
        batch.base_offset < 0 || batch.base_offset > INT64_MAX - 1 - batch.last_offset_delta)
        return -EBADMSG;
    batch.data = NULL;
    scan->position += batch.size;
    scan->last_size = batch.size;
    scan->least_offset = batch_last_offset(&batch) + 1;
    *ret_batch = batch;
    return 0;
}

int scan_body(struct scan *scan, struct batch *batch)
{
    must(scan->owned);
    if (batch->size > SCAN_BODY_MAX_BYTES)
        return -EFBIG;
    if (batch->size > scan->capacity) {
        uint8_t *buffer = realloc(scan->buffer, (size_t)batch->size);
        if (!buffer)
            return -ENOMEM;
        scan->buffer = buffer;
        scan->capacity = batch->size;
    }
    int64_t at = scan->position - batch->size;
    int err = window_fill(scan, at, batch->size, scan->capacity);
    if (err == 0)
        batch->data = window_data(scan, at);
    return err;
}

/* CRC-32C of a batch that is too large for the window, a window at a time. */
static int check_stream(struct scan *scan, const struct batch *batch)
{
    uint32_t crc = 0;
    int64_t at = scan->position - batch->size + BATCH_CRC_FROM;
    while (at < scan->position) {
        int64_t left = scan->position - at;
        int err = window_fill(scan, at, 1, scan->capacity);
        if (err < 0)
            return err;
        int32_t part = window_left(scan, at);
        if (part > left)
            part = (int32_t)left;
        crc = crc32c(crc, window_data(scan, at), (size_t)part);
        at += part;
    }
    return crc == batch->crc ? 0 : -EBADMSG;
}

/* The old formats have another checksum and are rare: the batch goes to memory whole. */
static int check_in_memory(struct scan *scan, const struct batch *batch)
{
    struct batch copy = *batch;
    int32_t got;
    uint8_t *data = malloc((size_t)batch->size);
    if (!data)
        return -ENOMEM;
    int err = read_bytes(scan, scan->position - batch->size, data, batch->size, &got);
    copy.data = data;
    if (err == 0 && (got < batch->size || !batch_checksum_ok(&copy)))
        err = -EBADMSG;
    free(data);
    return err;
}

int scan_check(struct scan *scan, const struct batch *batch)
{
    must(scan->owned);
    if (batch->size > scan->capacity)
        return batch->magic == 2 ? check_stream(scan, batch) : check_in_memory(scan, batch);
    struct batch copy = *batch;
    int64_t at = scan->position - batch->size;
    int err = window_fill(scan, at, batch->size, scan->capacity);
    if (err < 0)
        return err;
    copy.data = window_data(scan, at);
    return batch_checksum_ok(&copy) ? 0 : -EBADMSG;
}
