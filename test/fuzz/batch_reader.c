/* What a log or a fetch answer may hold: batches and message sets of every magic, as they come.
 * Every record that is read lies in memory that is there; reading ends; what a batch of magic 2
 * says can be built again and says the same. */
#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "batch_seed.h"
#include "record/batch.h"
#include "record/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#define ARENA_MAX (1 << 20)

static volatile uint8_t sink;

static void touch(const void *data, int32_t size)
{
    for (int32_t i = 0; i < size; i++)
        sink ^= ((const uint8_t *)data)[i];
}

static void touch_record(const struct record *record)
{
    struct end_transaction end;
    touch(record->key.data, record->key.size);
    touch(record->value.data, record->value.size);
    touch(record->body.data, record->body.size);
    for (int32_t i = 0; record->headers && i < record->header_count; i++) {
        touch(record->headers[i].key.data, record->headers[i].key.size);
        touch(record->headers[i].value.data, record->headers[i].value.size);
    }
    end_transaction_read(record, &end);
}

/* The records of `batch` go into a batch of our own; both must read the same. */
static void rebuild(const struct batch *batch)
{
    struct batch_builder builder;
    struct record_reader one, other;
    struct record a, b;
    batch_builder_init(&builder, 0);
    must(record_reader_init(&one, batch, FUZZ_PLAIN_MAX) == 0);
    while (record_reader_next(&one, NULL, &a) == 0)
        batch_builder_add_body(&builder, one.index - 1, a.timestamp, a.body);
    record_reader_close(&one);
    must(batch_builder_finish(&builder) == 0);

    struct batch rebuilt;
    must(batch_read(builder.out.data, builder.out.size, &rebuilt) == 0);
    must(batch_checksum_ok(&rebuilt) && rebuilt.record_count == batch->record_count);
    must(record_reader_init(&one, batch, FUZZ_PLAIN_MAX) == 0);
    must(record_reader_init(&other, &rebuilt, FUZZ_PLAIN_MAX) == 0);
    for (int32_t i = 0; i < batch->record_count; i++) {
        must(record_reader_next(&one, NULL, &a) == 0);
        must(record_reader_next(&other, NULL, &b) == 0);
        must(a.timestamp == b.timestamp && a.body.size == b.body.size);
        must(memcmp(a.body.data, b.body.data, (size_t)a.body.size) == 0);
        must(a.key.size == b.key.size && !a.key.data == !b.key.data);
        must(a.value.size == b.value.size && a.header_count == b.header_count);
    }
    must(record_reader_next(&other, NULL, &b) == -ENODATA);
    record_reader_close(&one);
    record_reader_close(&other);
    batch_builder_close(&builder);
}

static void read_batch(const struct batch *batch)
{
    struct record_reader reader;
    struct record record;
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    batch_last_sequence(batch);
    batch_checksum_ok(batch);
    int err = record_reader_init(&reader, batch, FUZZ_PLAIN_MAX);
    while (err == 0 && (err = record_reader_next(&reader, &arena, &record)) == 0) {
        touch_record(&record);
        must(arena.used_bytes <= ARENA_MAX);
        must(reader.scratch_capacity <= 2 * FUZZ_PLAIN_MAX);
    }
    must(err == -ENODATA || err == -EBADMSG || err == -EFBIG || err == -ENOMEM);
    record_reader_close(&reader);
    arena_close(&arena);
    if (err == -ENODATA && batch->magic == 2 && batch->record_count > 0)
        rebuild(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch batch;
    struct batch header;
    int err;
    while ((err = batch_read(data, size, &batch)) == 0) {
        must(batch_read_header(data, size, &header) == 0);
        must(memcmp(&header, &batch, sizeof batch) == 0);
        must(batch.size > 0 && (size_t)batch.size <= size);
        read_batch(&batch);
        data += batch.size;
        size -= (size_t)batch.size;
    }
    must(err == -EAGAIN || err == -EBADMSG);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (seed % 64 == 0)
        return batch_seed(seed / 64, data, max_size);
    if (seed % 64 == 1)
        return legacy_seed(seed / 64, data, max_size);
    return batch_mutate(data, size, max_size, seed / 64);
}
