/* Builds one batch of magic 2.
 *
 * Without compression records go straight behind the place of the header in `out`; with it they
 * gather in `body` and are compressed at the end. The header is filled in last. */
#include "record/batch.h"

#include <errno.h>

#include "base/must.h"

void batch_builder_init(struct batch_builder *builder, int64_t base_offset)
{
    *builder = (struct batch_builder){
        .compression_level = COMPRESSION_LEVEL_DEFAULT,
        .base_offset = base_offset,
        .base_timestamp = NO_TIMESTAMP,
        .max_timestamp = NO_TIMESTAMP,
        .producer_id = NO_PRODUCER_ID,
        .producer_epoch = -1,
        .base_sequence = NO_SEQUENCE,
        .leader_epoch = -1,
        .last_offset_delta = -1,
    };
}

static void start(struct batch_builder *builder)
{
    if (builder->started)
        return;
    builder->started = true;
    builder->start = builder->out.size;
    if (!writer_add(&builder->out, BATCH_HEADER_SIZE))
        builder->failed = true;
}

static int64_t nullable_size(struct bytes bytes)
{
    return bytes.data ? (int64_t)varint_size(bytes.size) + bytes.size : 1;
}

static void write_nullable(struct writer *out, struct bytes bytes)
{
    write_varint(out, bytes.data ? bytes.size : -1);
    if (bytes.data)
        write_bytes(out, bytes.data, (size_t)bytes.size);
}

static int64_t body_size(struct bytes key, struct bytes value, const struct record_header *headers,
                         int32_t header_count)
{
    int64_t size = nullable_size(key) + nullable_size(value) + varint_size(header_count);
    for (int32_t i = 0; i < header_count; i++)
        size += (int64_t)varint_size(headers[i].key.size) + headers[i].key.size +
                nullable_size(headers[i].value);
    return size;
}

/* Write what comes before a record's body. Returns where the body goes, or NULL and `failed`. */
static struct writer *add_front(struct batch_builder *builder, int64_t offset_delta,
                                int64_t timestamp, int64_t body_size)
{
    must(offset_delta > builder->last_offset_delta);
    if (builder->failed)
        return NULL;
    if (builder->count == 0) {
        start(builder);
        if (!(builder->attributes & BATCH_DELETE_HORIZON))
            builder->base_timestamp = timestamp;
    }
    if (!(builder->attributes & BATCH_LOG_APPEND_TIME) &&
        (builder->count == 0 || timestamp > builder->max_timestamp))
        builder->max_timestamp = timestamp;

    int64_t timestamp_delta = (int64_t)((uint64_t)timestamp - (uint64_t)builder->base_timestamp);
    int64_t size =
        1 + varlong_size(timestamp_delta) + varint_size((int32_t)offset_delta) + body_size;
    if (offset_delta > INT32_MAX || size > BATCH_SIZE_MAX || builder->count == INT32_MAX) {
        builder->failed = true;
        return NULL;
    }
    struct writer *out = builder->compression == COMPRESSION_NONE ? &builder->out : &builder->body;
    write_varint(out, (int32_t)size);
    write_int8(out, 0);
    write_varlong(out, timestamp_delta);
    write_varint(out, (int32_t)offset_delta);
    builder->last_offset_delta = offset_delta;
    builder->count++;
    return out;
}

void batch_builder_add_body(struct batch_builder *builder, int64_t offset_delta, int64_t timestamp,
                            struct bytes body)
{
    struct writer *out = add_front(builder, offset_delta, timestamp, body.size);
    if (out)
        write_bytes(out, body.data, (size_t)body.size);
}

void batch_builder_add_at(struct batch_builder *builder, int64_t offset_delta, int64_t timestamp,
                          struct bytes key, struct bytes value, const struct record_header *headers,
                          int32_t header_count)
{
    struct writer *out =
        add_front(builder, offset_delta, timestamp, body_size(key, value, headers, header_count));
    if (!out)
        return;
    write_nullable(out, key);
    write_nullable(out, value);
    write_varint(out, header_count);
    for (int32_t i = 0; i < header_count; i++) {
        write_varint(out, headers[i].key.size);
        write_bytes(out, headers[i].key.data, (size_t)headers[i].key.size);
        write_nullable(out, headers[i].value);
    }
}

void batch_builder_add(struct batch_builder *builder, int64_t timestamp, struct bytes key,
                       struct bytes value, const struct record_header *headers,
                       int32_t header_count)
{
    batch_builder_add_at(builder, builder->last_offset_delta + 1, timestamp, key, value, headers,
                         header_count);
}

size_t batch_builder_size(const struct batch_builder *builder)
{
    if (!builder->started)
        return BATCH_HEADER_SIZE;
    return builder->out.size - builder->start + builder->body.size;
}

static void write_header(const struct batch_builder *builder, uint8_t *at, int32_t size)
{
    store_be64(at, (uint64_t)builder->base_offset);
    store_be32(at + 8, (uint32_t)(size - BATCH_OVERHEAD));
    store_be32(at + 12, (uint32_t)builder->leader_epoch);
    at[16] = 2;
    store_be16(at + 21, (uint16_t)(builder->attributes | (int16_t)builder->compression));
    store_be32(at + 23, (uint32_t)builder->last_offset_delta);
    store_be64(at + 27, (uint64_t)builder->base_timestamp);
    store_be64(at + 35, (uint64_t)builder->max_timestamp);
    store_be64(at + 43, (uint64_t)builder->producer_id);
    store_be16(at + 51, (uint16_t)builder->producer_epoch);
    store_be32(at + 53, (uint32_t)builder->base_sequence);
    store_be32(at + 57, (uint32_t)builder->count);
    struct batch batch = {.data = at, .size = size, .magic = 2};
    store_be32(at + 17, batch_checksum(&batch));
}

int batch_builder_finish(struct batch_builder *builder)
{
    must(builder->last_offset_delta >= 0); /* an empty batch keeps the range it once had */
    start(builder);
    if (builder->failed)
        return builder->out.failed ? -ENOMEM : -EFBIG;
    if (builder->compression != COMPRESSION_NONE) {
        if (builder->body.failed)
            return -ENOMEM;
        int err = compress_bytes(builder->compression, builder->compression_level, 2,
                                 builder->body.data, builder->body.size, &builder->out);
        if (err < 0)
            return err;
    }
    if (builder->out.failed)
        return -ENOMEM;
    size_t size = builder->out.size - builder->start;
    if (size > BATCH_SIZE_MAX)
        return -EFBIG;
    write_header(builder, builder->out.data + builder->start, (int32_t)size);
    return 0;
}

void batch_builder_close(struct batch_builder *builder)
{
    if (!builder)
        return;
    writer_close(&builder->out);
    writer_close(&builder->body);
}
