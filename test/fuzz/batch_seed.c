#include "batch_seed.h"

#include <stdlib.h>

#include "base/must.h"
#include "record/batch.h"

#define LEGACY_CODECS 4 /* none to lz4 */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static struct bytes random_bytes(uint32_t *random, uint8_t *room)
{
    if (next_random(random) % 5 == 0)
        return (struct bytes){NULL, 0};
    int32_t size = (int32_t)(next_random(random) % 40);
    memset(room, 'a' + (int)(next_random(random) % 26), (size_t)size);
    return (struct bytes){room, size};
}

static size_t take(struct writer *out, uint8_t *data, size_t max_size)
{
    size_t size = out->size <= max_size ? out->size : 0;
    if (size)
        memcpy(data, out->data, size);
    writer_close(out);
    return size;
}

size_t batch_seed(unsigned seed, uint8_t *data, size_t max_size)
{
    uint32_t random = seed;
    uint8_t key[40], value[40];
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.compression = (enum compression)(next_random(&random) % 5);
    builder.attributes = next_random(&random) % 4 == 0 ? BATCH_TRANSACTIONAL : 0;
    if (builder.attributes) {
        builder.producer_id = 7;
        builder.producer_epoch = 1;
        builder.base_sequence = 3;
    }
    uint32_t count = 1 + next_random(&random) % 6;
    for (uint32_t i = 0; i < count; i++) {
        struct record_header header = {STR("header"), random_bytes(&random, value)};
        struct bytes record_key = random_bytes(&random, key);
        batch_builder_add(&builder, (int64_t)next_random(&random), record_key,
                          random_bytes(&random, value), &header,
                          (int32_t)(next_random(&random) % 2));
    }
    must(batch_builder_finish(&builder) == 0);
    struct writer out = builder.out;
    builder.out = (struct writer){0};
    batch_builder_close(&builder);
    return take(&out, data, max_size);
}

static void write_entry(struct writer *out, int64_t offset, int8_t magic, int8_t attributes,
                        struct bytes key, struct bytes value)
{
    size_t start = out->size;
    write_int64(out, offset);
    write_int32(out, 0);
    write_int32(out, 0);
    write_int8(out, magic);
    write_int8(out, attributes);
    if (magic > 0)
        write_int64(out, 1234567);
    struct bytes fields[] = {key, value};
    for (int i = 0; i < 2; i++) {
        write_int32(out, fields[i].data ? fields[i].size : -1);
        write_bytes(out, fields[i].data, (size_t)fields[i].size);
    }
    struct batch batch;
    store_be32(out->data + start + 8, (uint32_t)(out->size - start) - BATCH_OVERHEAD);
    must(batch_read(out->data + start, out->size - start, &batch) == 0);
    store_be32(out->data + start + 12, batch_checksum(&batch));
}

size_t legacy_seed(unsigned seed, uint8_t *data, size_t max_size)
{
    uint32_t random = seed;
    uint8_t key[40], value[40];
    struct writer plain = {0}, packed = {0}, out = {0};
    int8_t magic = (int8_t)(next_random(&random) % 2);
    int8_t codec = (int8_t)(next_random(&random) % LEGACY_CODECS);
    int64_t base = magic == 0 || codec == 0 ? 100 : 0, count = 1 + next_random(&random) % 5;
    for (int64_t i = 0; i < count; i++) {
        struct bytes record_key = random_bytes(&random, key);
        write_entry(&plain, base + i, magic, 0, record_key, random_bytes(&random, value));
    }
    if (codec == 0)
        return take(&plain, data, max_size);
    must(compress_bytes((enum compression)codec, COMPRESSION_LEVEL_DEFAULT, magic, plain.data,
                        plain.size, &packed) == 0);
    struct bytes wrapped = {packed.data, (int32_t)packed.size};
    write_entry(&out, 100 + count - 1, magic, codec, (struct bytes){NULL, 0}, wrapped);
    writer_close(&plain);
    writer_close(&packed);
    return take(&out, data, max_size);
}

void batch_repair(uint8_t *data, size_t size)
{
    struct batch batch;
    if (size < BATCH_HEADER_SIZE || size > BATCH_SIZE_MAX)
        return;
    store_be32(data + 8, (uint32_t)size - BATCH_OVERHEAD);
    if (batch_read(data, size, &batch) == 0 && batch.magic == 2)
        store_be32(data + 17, batch_checksum(&batch));
}

/* The plain records mutated and compressed again; 0 when that cannot be. */
static size_t mutate_inside(uint8_t *data, size_t size, size_t max_size)
{
    struct batch batch;
    if (batch_read(data, size, &batch) < 0 || batch.magic != 2)
        return 0;
    enum compression codec = batch_compression(&batch);
    struct writer plain = {0}, packed = {0};
    size_t result = 0;
    if (codec > COMPRESSION_ZSTD ||
        decompress_bytes(codec, 2, data + BATCH_HEADER_SIZE, (size_t)batch.size - BATCH_HEADER_SIZE,
                         FUZZ_PLAIN_MAX, &plain) < 0)
        goto out;
    size_t room = plain.size + 64;
    uint8_t *copy = malloc(room);
    must(copy);
    if (plain.size)
        memcpy(copy, plain.data, plain.size);
    size_t mutated = LLVMFuzzerMutate(copy, plain.size, room);
    must(compress_bytes(codec, COMPRESSION_LEVEL_DEFAULT, 2, copy, mutated, &packed) == 0);
    free(copy);
    if (BATCH_HEADER_SIZE + packed.size <= max_size) {
        memcpy(data + BATCH_HEADER_SIZE, packed.data, packed.size);
        result = BATCH_HEADER_SIZE + packed.size;
        batch_repair(data, result);
    }
out:
    writer_close(&plain);
    writer_close(&packed);
    return result;
}

size_t batch_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size_t mutated = seed % 2 ? mutate_inside(data, size, max_size) : 0;
    return mutated ? mutated : LLVMFuzzerMutate(data, size, max_size);
}
