#include "fetch_frames.h"

#define FETCH_MAX_BYTES (50 << 20)
#define PARTITION_MAX_BYTES (1 << 20)
#define BATCH_HEADER_BYTES 61

void fetch_write_begin(struct writer *out, struct fetch_session session, const char *topic,
                       int partitions)
{
    write_int32(out, -1);
    write_int32(out, FETCH_WAIT_MS);
    write_int32(out, 1);
    write_int32(out, FETCH_MAX_BYTES);
    write_int8(out, 0);
    write_int32(out, session.id);
    write_int32(out, session.epoch);
    write_int32(out, partitions > 0);
    if (partitions > 0) {
        write_string(out, topic);
        write_int32(out, partitions);
    }
}

void fetch_write_partition(struct writer *out, int partition, int64_t offset)
{
    write_int32(out, partition);
    write_int32(out, -1); /* leader epoch: unknown */
    write_int64(out, offset);
    write_int64(out, -1);
    write_int32(out, PARTITION_MAX_BYTES);
}

void fetch_write_end(struct writer *out)
{
    write_int32(out, 0);
    write_string(out, "");
}

int32_t fetched_begin(struct reader *body)
{
    int16_t name = read_int16(body);
    reader_take(body, name > 0 ? (size_t)name : 0);
    return read_int32(body);
}

struct fetched fetched_read(struct reader *body)
{
    struct fetched fetched = {.partition = read_int32(body)};
    fetched.error = read_int16(body);
    reader_take(body, 24); /* high watermark, last stable offset, log start */
    int32_t aborted = read_int32(body);
    reader_take(body, aborted > 0 ? (size_t)aborted * 16 : 0);
    read_int32(body);
    int32_t size = read_int32(body);
    fetched.size = size > 0 ? size : 0;
    fetched.data = reader_take(body, (size_t)fetched.size);
    return fetched;
}

bool fetched_batch(const struct fetched *fetched, int32_t at, struct fetched_batch *ret_batch)
{
    const uint8_t *data = fetched->data + at;
    int32_t left = fetched->size - at;
    if (left < BATCH_HEADER_BYTES)
        return false;
    int64_t bytes = 12 + (int64_t)load_be32(data + 8);
    if (bytes > left || bytes < BATCH_HEADER_BYTES)
        return false;
    ret_batch->bytes = (int32_t)bytes;
    ret_batch->last_offset = (int64_t)load_be64(data) + (int32_t)load_be32(data + 23);
    ret_batch->records = (int32_t)load_be32(data + 57);
    return true;
}
