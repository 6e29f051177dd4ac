/* Our side of the differential test: reads commands from standard input, answers on standard
 * output. test/record/java is the other end.
 *
 * A command is an int32 size and a body: an operation (int8) and operands; an answer is an int32
 * size, a result (int32: 0, -errno or an error code) and bytes. Numbers are big-endian; a "blob" is
 * an int32 size, -1 for null, and bytes.
 *
 *   V rules place records      validate; 0: max_timestamp, log_append_time, owned (int8), bytes
 * with offset and epoch assigned; code: text, record errors R max_bytes(int32) data    read every
 * record of every batch: their dump W seed codec level         a random batch of ours (blob) and
 * its dump
 *   E commit(int8) coordinator_epoch(int32) base_offset timestamp(int64) leader_epoch(int32)
 *     producer_id(int64) producer_epoch(int16)
 *                              the batch that ends a transaction
 *
 * A dump is, for each record: offset, timestamp (int64), sequence (int32), key, value (blobs),
 * header count (int32), each header's key and value (blobs). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "record/batch.h"
#include "record/control.h"
#include "record/validate.h"

#define COMMAND_MAX (64 << 20)

static void write_blob(struct writer *out, const void *data, int32_t size)
{
    write_int32(out, data ? size : -1);
    if (data)
        write_bytes(out, data, (size_t)size);
}

static void dump_record(const struct record *record, struct writer *out)
{
    write_int64(out, record->offset);
    write_int64(out, record->timestamp);
    write_int32(out, record->sequence);
    write_blob(out, record->key.data, record->key.size);
    write_blob(out, record->value.data, record->value.size);
    write_int32(out, record->header_count);
    for (int32_t i = 0; i < record->header_count; i++) {
        write_blob(out, record->headers[i].key.data, record->headers[i].key.size);
        write_blob(out, record->headers[i].value.data, record->headers[i].value.size);
    }
}

static int dump_batch(const struct batch *batch, size_t max_bytes, struct arena *arena,
                      struct writer *out)
{
    struct record_reader reader;
    struct record record;
    int err = record_reader_init(&reader, batch, max_bytes);
    while (err == 0 && (err = record_reader_next(&reader, arena, &record)) == 0)
        dump_record(&record, out);
    record_reader_close(&reader);
    return err == -ENODATA ? 0 : err;
}

static int run_read(struct reader *in, struct arena *arena, struct writer *out)
{
    size_t max_bytes = (size_t)read_int32(in);
    while (reader_left(in) > 0) {
        struct batch batch;
        int err = batch_read(in->at, reader_left(in), &batch);
        if (err < 0)
            return err;
        if (!batch_checksum_ok(&batch))
            return -EILSEQ;
        err = dump_batch(&batch, max_bytes, arena, out);
        if (err < 0)
            return err;
        reader_take(in, (size_t)batch.size);
    }
    return 0;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Bytes that shrink; one time in eight null. */
static struct bytes random_bytes(uint64_t *random, struct arena *arena, bool nullable)
{
    uint64_t kind = next_random(random) % 8;
    if (kind == 0 && nullable)
        return (struct bytes){NULL, 0};
    int32_t size = (int32_t)(next_random(random) % (kind == 1 ? 100000 : 50));
    uint8_t *data = arena_alloc(arena, (size_t)size);
    for (int32_t i = 0; i < size; i++)
        data[i] = (uint8_t)('a' + next_random(random) % (1 + (i >> 10) % 26));
    return (struct bytes){data, size};
}

static void random_record(struct batch_builder *builder, uint64_t *random, struct arena *arena)
{
    struct record_header headers[4];
    int32_t count = (int32_t)(next_random(random) % 5);
    for (int32_t i = 0; i < count; i++) {
        struct bytes key = random_bytes(random, arena, false);
        headers[i].key = (struct str){(const char *)key.data, key.size};
        headers[i].value = random_bytes(random, arena, true);
    }
    int64_t timestamp = (int64_t)(next_random(random) >> (1 + next_random(random) % 62)) - 1;
    struct bytes key = random_bytes(random, arena, true);
    batch_builder_add(builder, timestamp, key, random_bytes(random, arena, true), headers, count);
}

static int run_write(struct reader *in, struct arena *arena, struct writer *out)
{
    uint64_t random = (uint64_t)read_int64(in);
    struct batch_builder builder;
    batch_builder_init(&builder, (int64_t)(next_random(&random) >> 24));
    builder.compression = (enum compression)read_int8(in);
    builder.compression_level = read_int32(in);
    builder.leader_epoch = 5;
    if (next_random(&random) % 2) {
        builder.producer_id = 77;
        builder.producer_epoch = 3;
        builder.base_sequence = INT32_MAX - 2;
        builder.attributes = next_random(&random) % 2 ? BATCH_TRANSACTIONAL : 0;
    }
    int32_t count = 1 + (int32_t)(next_random(&random) % 30);
    for (int32_t i = 0; i < count; i++)
        random_record(&builder, &random, arena);
    int err = batch_builder_finish(&builder);
    must(err == 0);
    write_blob(out, builder.out.data, (int32_t)builder.out.size);
    struct batch batch;
    must(batch_read(builder.out.data, builder.out.size, &batch) == 0);
    must(batch_checksum_ok(&batch) && batch.record_count == count);
    err = dump_batch(&batch, SIZE_MAX, arena, out);
    batch_builder_close(&builder);
    return err;
}

static void write_failure(const struct validate_failure *failure, struct writer *out)
{
    write_blob(out, failure->message, (int32_t)strlen(failure->message));
    write_int32(out, failure->record_error_count);
    for (int32_t i = 0; i < failure->record_error_count; i++) {
        const struct record_error *error = &failure->record_errors[i];
        write_int32(out, error->batch_index);
        write_blob(out, error->message, (int32_t)strlen(error->message));
    }
}

static int run_validate(struct reader *in, struct arena *arena, struct writer *out)
{
    struct validate_rules rules = {.topic_partition = STR("topic-0")};
    rules.produce_version = read_int16(in);
    rules.max_message_bytes = read_int32(in);
    int8_t flags = read_int8(in);
    rules.compacted = flags & 1;
    rules.log_append_time = flags & 2;
    rules.recompress = flags & 4;
    rules.control_allowed = flags & 8;
    rules.now_ms = read_int64(in);
    rules.before_max_ms = read_int64(in);
    rules.after_max_ms = read_int64(in);
    rules.target = (enum compression)read_int8(in);
    rules.target_level = read_int32(in);
    rules.decompress_max_bytes = (size_t)read_int32(in);
    int64_t base_offset = read_int64(in);
    int32_t leader_epoch = read_int32(in);
    must(!in->failed);

    struct validated validated;
    struct validate_failure failure;
    uint8_t *data = (uint8_t *)(uintptr_t)in->at;
    int err = validate_records(&rules, data, reader_left(in), arena, &validated, &failure);
    if (err > 0)
        write_failure(&failure, out);
    if (err)
        return err;
    must(validated.batch_count == 1 && validated.batches[0].data == validated.data);
    batch_set_position(&validated.batches[0], validated.data, base_offset, leader_epoch);
    write_int64(out, validated.max_timestamp);
    write_int64(out, validated.log_append_time);
    write_int8(out, validated.owned);
    write_bytes(out, validated.data, validated.size);
    validated_close(&validated);
    return 0;
}

static int run_end_transaction(struct reader *in, struct writer *out)
{
    struct end_transaction end;
    struct end_transaction_batch batch;
    end.commit = read_int8(in);
    end.coordinator_epoch = read_int32(in);
    batch.base_offset = read_int64(in);
    batch.timestamp = read_int64(in);
    batch.leader_epoch = read_int32(in);
    batch.producer_id = read_int64(in);
    batch.producer_epoch = read_int16(in);
    must(!in->failed);
    return end_transaction_write(&end, &batch, out);
}

static int run(struct reader *in, struct arena *arena, struct writer *out)
{
    switch (read_int8(in)) {
    case 'V':
        return run_validate(in, arena, out);
    case 'R':
        return run_read(in, arena, out);
    case 'W':
        return run_write(in, arena, out);
    case 'E':
        return run_end_transaction(in, out);
    default:
        must(!"a known operation");
        return 0;
    }
}

int main(void)
{
    uint8_t size_bytes[4];
    while (fread(size_bytes, sizeof size_bytes, 1, stdin) == 1) {
        uint32_t size = load_be32(size_bytes);
        must(size > 0 && size <= COMMAND_MAX);
        uint8_t *command = malloc(size);
        must(command && fread(command, size, 1, stdin) == 1);
        struct arena arena;
        arena_init(&arena, 0);
        struct reader in = reader_of(command, size);
        struct writer out = {0};
        write_int64(&out, 0);
        int result = run(&in, &arena, &out);
        must(!out.failed);
        store_be32(out.data, (uint32_t)out.size - 4);
        store_be32(out.data + 4, (uint32_t)result);
        must(fwrite(out.data, out.size, 1, stdout) == 1 && fflush(stdout) == 0);
        writer_close(&out);
        arena_close(&arena);
        free(command);
    }
    return 0;
}
