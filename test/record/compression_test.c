#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "record/batch.h"

static const enum compression all[] = {COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_SNAPPY,
                                       COMPRESSION_LZ4, COMPRESSION_ZSTD};

/* Text that shrinks, with stretches that do not. */
static uint8_t *sample(size_t size)
{
    uint8_t *data = malloc(size ? size : 1);
    uint32_t random = 1;
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525 + 1013904223;
        data[i] =
            (i >> 14) % 3 == 2 ? (uint8_t)(random >> 24) : (uint8_t) "jackdaw, jack"[random >> 29];
    }
    return data;
}

static const size_t sizes[] = {1, 5, 1000, 32768, 65535, 65536, 65537, 300000, 1 << 20};

static void every_codec_reads_what_it_wrote(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof all / sizeof all[0]; c++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint8_t *data = sample(sizes[i]);
            struct writer packed = {0}, plain = {0};
            assert_int_equal(
                compress_bytes(all[c], COMPRESSION_LEVEL_DEFAULT, 2, data, sizes[i], &packed), 0);
            assert_int_equal(
                decompress_bytes(all[c], 2, packed.data, packed.size, sizes[i], &plain), 0);
            assert_int_equal(plain.size, sizes[i]);
            assert_memory_equal(plain.data, data, sizes[i]);
            writer_close(&plain);
            assert_int_equal(
                decompress_bytes(all[c], 2, packed.data, packed.size, sizes[i] - 1, &plain),
                -EFBIG);
            writer_close(&plain);
            writer_close(&packed);
            free(data);
        }
    }
}

static void small_steps_give_the_same_bytes(void **state)
{
    (void)state;
    size_t size = 200000;
    uint8_t *data = sample(size), *plain = malloc(size + 1);
    for (size_t c = 1; c < sizeof all / sizeof all[0]; c++) {
        struct writer packed = {0};
        assert_int_equal(compress_bytes(all[c], COMPRESSION_LEVEL_DEFAULT, 2, data, size, &packed),
                         0);
        for (size_t step = 1; step < size; step = step * 7 + 1) {
            struct decompressor *decompressor;
            size_t at = 0, got;
            assert_int_equal(
                decompressor_create(all[c], 2, packed.data, packed.size, &decompressor), 0);
            do {
                size_t room = step < size + 1 - at ? step : size + 1 - at;
                assert_int_equal(decompressor_read(decompressor, plain + at, room, &got), 0);
                assert_true(got <= room);
                at += got;
            } while (got > 0);
            assert_int_equal(at, size);
            assert_memory_equal(plain, data, size);
            assert_int_equal(decompressor_read(decompressor, plain, size, &got), 0);
            assert_int_equal(got, 0);
            decompressor_destroy(decompressor);
        }
        writer_close(&packed);
    }
    free(plain);
    free(data);
}

static void every_level_works_and_higher_ones_shrink_more(void **state)
{
    (void)state;
    struct {
        enum compression codec;
        int low, high;
    } ranges[] = {{COMPRESSION_GZIP, 1, 9}, {COMPRESSION_LZ4, 1, 17}, {COMPRESSION_ZSTD, -20, 22}};
    size_t size = 100000;
    uint8_t *data = sample(size);
    for (size_t r = 0; r < 3; r++) {
        size_t first = 0, last = 0;
        for (int level = ranges[r].low; level <= ranges[r].high; level++) {
            struct writer packed = {0}, plain = {0};
            assert_int_equal(compress_bytes(ranges[r].codec, level, 2, data, size, &packed), 0);
            assert_int_equal(
                decompress_bytes(ranges[r].codec, 2, packed.data, packed.size, size, &plain), 0);
            assert_memory_equal(plain.data, data, size);
            last = packed.size;
            first = first ? first : last;
            writer_close(&plain);
            writer_close(&packed);
        }
        assert_true(last < first || ranges[r].codec == COMPRESSION_LZ4);
    }
    free(data);
}

static void torn_streams_are_corrupt(void **state)
{
    (void)state;
    size_t size = 5000;
    uint8_t *data = sample(size);
    for (size_t c = 1; c < sizeof all / sizeof all[0]; c++) {
        struct writer packed = {0};
        assert_int_equal(compress_bytes(all[c], COMPRESSION_LEVEL_DEFAULT, 2, data, size, &packed),
                         0);
        for (size_t cut = 1; cut < packed.size; cut += 1 + cut / 20) {
            uint8_t *torn = malloc(cut);
            memcpy(torn, packed.data, cut);
            struct writer plain = {0};
            int err = decompress_bytes(all[c], 2, torn, cut, size, &plain);
            /* A framed snappy stream may end after any block; the records then miss. */
            if (all[c] == COMPRESSION_SNAPPY && err == 0)
                assert_true(plain.size < size);
            else
                assert_int_equal(err, -EBADMSG);
            writer_close(&plain);
            free(torn);
        }
        writer_close(&packed);
    }
    free(data);
}

static void flipped_bits_never_write_outside(void **state)
{
    (void)state;
    size_t size = 300;
    uint8_t *data = sample(size);
    for (size_t c = 1; c < sizeof all / sizeof all[0]; c++) {
        struct writer packed = {0};
        assert_int_equal(compress_bytes(all[c], COMPRESSION_LEVEL_DEFAULT, 2, data, size, &packed),
                         0);
        for (size_t bit = 0; bit < packed.size * 8; bit++) {
            uint8_t *copy = malloc(packed.size);
            memcpy(copy, packed.data, packed.size);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            struct writer plain = {0};
            int err = decompress_bytes(all[c], 2, copy, packed.size, 100000, &plain);
            assert_true(err == 0 || err == -EBADMSG || err == -EFBIG);
            writer_close(&plain);
            free(copy);
        }
        writer_close(&packed);
    }
    free(data);
}

static void a_bare_snappy_block_is_read(void **state)
{
    (void)state;
    const uint8_t block[] = {5, 4 << 2, 'h', 'e', 'l', 'l', 'o'};
    struct writer plain = {0};
    assert_int_equal(decompress_bytes(COMPRESSION_SNAPPY, 2, block, sizeof block, 100, &plain), 0);
    assert_int_equal(plain.size, 5);
    assert_memory_equal(plain.data, "hello", 5);
    writer_close(&plain);
}

static void a_snappy_block_that_claims_gigabytes_gets_none(void **state)
{
    (void)state;
    const uint8_t block[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 4 << 2, 'h', 'e', 'l', 'l', 'o'};
    struct writer plain = {0};
    assert_int_equal(
        decompress_bytes(COMPRESSION_SNAPPY, 2, block, sizeof block, SIZE_MAX / 2, &plain),
        -EBADMSG);
    writer_close(&plain);
}

static void concatenated_streams_are_one(void **state)
{
    (void)state;
    const enum compression codecs[] = {COMPRESSION_GZIP, COMPRESSION_SNAPPY, COMPRESSION_ZSTD};
    for (size_t c = 0; c < 3; c++) {
        struct writer packed = {0}, plain = {0};
        assert_int_equal(
            compress_bytes(codecs[c], COMPRESSION_LEVEL_DEFAULT, 2, "one, ", 5, &packed), 0);
        assert_int_equal(compress_bytes(codecs[c], COMPRESSION_LEVEL_DEFAULT, 2, "two", 3, &packed),
                         0);
        assert_int_equal(decompress_bytes(codecs[c], 2, packed.data, packed.size, 100, &plain), 0);
        assert_int_equal(plain.size, 8);
        assert_memory_equal(plain.data, "one, two", 8);
        writer_close(&plain);
        writer_close(&packed);
    }
}

static void lz4_frames_are_javas(void **state)
{
    (void)state;
    struct writer packed = {0}, plain = {0};
    uint8_t *data = sample(100);
    assert_int_equal(
        compress_bytes(COMPRESSION_LZ4, COMPRESSION_LEVEL_DEFAULT, 2, data, 100, &packed), 0);
    const uint8_t header[] = {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82};
    assert_memory_equal(packed.data, header, sizeof header);
    /* The checksum that old clients computed is right in magic 0 only, where none is asked for. */
    packed.data[6] ^= 0xff;
    assert_int_equal(decompress_bytes(COMPRESSION_LZ4, 1, packed.data, packed.size, 100, &plain),
                     -EBADMSG);
    assert_int_equal(decompress_bytes(COMPRESSION_LZ4, 0, packed.data, packed.size, 100, &plain),
                     0);
    packed.data[6] ^= 0xff;
    packed.data[4] &= 0xdf; /* blocks that depend on each other: Kafka reads none such */
    writer_close(&plain);
    assert_int_equal(decompress_bytes(COMPRESSION_LZ4, 0, packed.data, packed.size, 100, &plain),
                     -EBADMSG);
    writer_close(&packed);
    assert_int_equal(
        compress_bytes(COMPRESSION_LZ4, COMPRESSION_LEVEL_DEFAULT, 0, data, 100, &packed), 0);
    assert_int_not_equal(packed.data[6], 0x82);
    writer_close(&packed);
    writer_close(&plain);
    free(data);
}

static void a_zstd_window_over_the_limit_is_refused(void **state)
{
    (void)state;
    /* Magic number, a descriptor that asks for a window of 2^31, one raw last block of 1 byte. */
    const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x09, 0, 0, 'x'};
    struct writer plain = {0};
    assert_int_equal(decompress_bytes(COMPRESSION_ZSTD, 2, frame, sizeof frame, 100, &plain),
                     -EBADMSG);
    uint8_t small[sizeof frame];
    memcpy(small, frame, sizeof frame);
    small[5] = 17 << 3; /* 2^27 */
    assert_int_equal(decompress_bytes(COMPRESSION_ZSTD, 2, small, sizeof small, 100, &plain), 0);
    writer_close(&plain);
}

static void unknown_codecs_are_told(void **state)
{
    (void)state;
    struct decompressor *decompressor;
    for (int codec = 5; codec < 8; codec++)
        assert_int_equal(decompressor_create((enum compression)codec, 2, "x", 1, &decompressor),
                         -EINVAL);
}

static void batches_of_every_codec_read_back(void **state)
{
    (void)state;
    uint8_t *data = sample(70000);
    for (size_t c = 0; c < sizeof all / sizeof all[0]; c++) {
        struct batch_builder builder;
        batch_builder_init(&builder, 50);
        builder.compression = all[c];
        const struct record_header header = {STR("h"), {data, 300}};
        for (int i = 0; i < 500; i++)
            batch_builder_add(&builder, 1000 + i, (struct bytes){data + i, 10},
                              (struct bytes){data + i * 3, i == 77 ? 60000 : i}, &header, i % 2);
        assert_int_equal(batch_builder_finish(&builder), 0);
        struct batch batch;
        struct record_reader reader;
        struct record record;
        struct arena arena;
        arena_init(&arena, 0);
        assert_int_equal(batch_read(builder.out.data, builder.out.size, &batch), 0);
        assert_int_equal(batch_compression(&batch), all[c]);
        assert_true(batch_checksum_ok(&batch));
        assert_int_equal(record_reader_init(&reader, &batch, 61000), 0);
        for (int i = 0; i < 500; i++) {
            assert_int_equal(record_reader_next(&reader, &arena, &record), 0);
            assert_int_equal(record.offset, 50 + i);
            assert_int_equal(record.value.size, i == 77 ? 60000 : i);
            assert_int_equal(record.header_count, i % 2);
            assert_memory_equal(record.key.data, data + i, 10);
            if (record.value.size)
                assert_memory_equal(record.value.data, data + i * 3, (size_t)record.value.size);
            if (i % 2)
                assert_memory_equal(record.headers[0].value.data, data, 300);
        }
        assert_int_equal(record_reader_next(&reader, &arena, &record), -ENODATA);
        record_reader_close(&reader);
        if (all[c] != COMPRESSION_NONE) { /* a record over the bound */
            int err = record_reader_init(&reader, &batch, 50000);
            while (err == 0)
                err = record_reader_next(&reader, NULL, &record);
            assert_int_equal(err, -EFBIG);
            assert_int_equal(reader.index, 77);
            record_reader_close(&reader);
        }
        arena_close(&arena);
        batch_builder_close(&builder);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_codec_reads_what_it_wrote),
        cmocka_unit_test(small_steps_give_the_same_bytes),
        cmocka_unit_test(every_level_works_and_higher_ones_shrink_more),
        cmocka_unit_test(torn_streams_are_corrupt),
        cmocka_unit_test(flipped_bits_never_write_outside),
        cmocka_unit_test(a_bare_snappy_block_is_read),
        cmocka_unit_test(a_snappy_block_that_claims_gigabytes_gets_none),
        cmocka_unit_test(concatenated_streams_are_one),
        cmocka_unit_test(lz4_frames_are_javas),
        cmocka_unit_test(a_zstd_window_over_the_limit_is_refused),
        cmocka_unit_test(unknown_codecs_are_told),
        cmocka_unit_test(batches_of_every_codec_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
