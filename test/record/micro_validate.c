/* What validating costs: ns per record and GB per second, one thread, warm caches, per record size,
 * codec and rule. Prints a table. Not a test: `ninja -C build test/micro-validate`.
 *
 *   micro-validate [seconds per row]
 *
 * "crc" is the checksum alone, which nothing can go below. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/must.h"
#include "record/validate.h"

#define BATCH_BYTES (1000 * 1000)
#define NOW 1700000000000

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Text like log lines, so that codecs have something to do. */
static void fill(uint8_t *at, int size, uint32_t *random)
{
    static const char *const words[] = {
        "\"level\":\"info\"", "user=",       "request served in ", " ms status=200 ",
        "path=/v1/orders/",   "\"trace\":\""};
    for (int i = 0; i < size;) {
        *random = *random * 1664525 + 1013904223;
        if (*random >> 30) {
            const char *word = words[(*random >> 8) % 6];
            for (; *word && i < size; i++)
                at[i] = (uint8_t)*word++;
        } else {
            for (int n = 0; n < 6 && i < size; n++)
                at[i++] = (uint8_t)('0' + (*random >> (n * 4)) % 10);
        }
    }
}

static void build(struct batch_builder *builder, enum compression codec, int value_size, bool keys)
{
    uint8_t *value = malloc((size_t)value_size);
    uint32_t random = 7;
    batch_builder_init(builder, 0);
    builder->compression = codec;
    for (int64_t i = 0; batch_builder_size(builder) < BATCH_BYTES; i++) {
        fill(value, value_size, &random);
        struct bytes key = {keys ? value : NULL, keys ? 8 : 0};
        batch_builder_add(builder, NOW + i / 100, key, (struct bytes){value, value_size}, NULL, 0);
    }
    must(batch_builder_finish(builder) == 0);
    free(value);
}

struct row {
    const char *name;
    enum compression codec;
    int value_size;
    bool compacted, append_time, recompress;
    enum compression target;
};

static void measure(const struct row *row, double seconds)
{
    struct batch_builder builder;
    build(&builder, row->codec, row->value_size, row->compacted);
    struct batch batch;
    must(batch_read(builder.out.data, builder.out.size, &batch) == 0);
    double plain = 0, start = now_s();
    struct record_reader reader;
    struct record record;
    must(record_reader_init(&reader, &batch, SIZE_MAX) == 0);
    while (record_reader_next(&reader, NULL, &record) == 0)
        plain += record.body.size + 5;
    record_reader_close(&reader);

    struct validate_rules rules = {
        .topic_partition = STR("t-0"),
        .produce_version = 12,
        .max_message_bytes = INT32_MAX,
        .compacted = row->compacted,
        .log_append_time = row->append_time,
        .now_ms = NOW,
        .before_max_ms = INT64_MAX,
        .after_max_ms = 3600000,
        .recompress = row->recompress,
        .target = row->target,
        .target_level = COMPRESSION_LEVEL_DEFAULT,
        .decompress_max_bytes = INT32_MAX,
    };
    uint8_t header[BATCH_HEADER_SIZE];
    memcpy(header, builder.out.data, sizeof header);
    struct arena arena;
    arena_init(&arena, 0);
    int rounds = 0;
    start = now_s();
    double took;
    do {
        struct validated validated;
        struct validate_failure failure;
        memcpy(builder.out.data, header, sizeof header);
        int err = validate_records(&rules, builder.out.data, builder.out.size, &arena, &validated,
                                   &failure);
        must(err == 0);
        validated_close(&validated);
        arena_reset(&arena, 0);
        rules.now_ms++;
        rounds++;
        took = now_s() - start;
    } while (took < seconds);

    int crc_rounds = 0;
    volatile uint32_t sink = 0;
    start = now_s();
    double crc_took;
    do {
        sink ^= batch_checksum(&batch);
        crc_rounds++;
        crc_took = now_s() - start;
    } while (crc_took < seconds / 4);
    double each = took / rounds, crc_each = crc_took / crc_rounds;
    printf("%-34s %7d %8.1f %8.1f %7.2f %7.2f %8.4f\n", row->name, batch.record_count,
           each * 1e9 / batch.record_count, (each - crc_each) * 1e9 / batch.record_count,
           (double)batch.size / each / 1e9, plain / each / 1e9, each * 1e9 / (double)batch.size);
    arena_close(&arena);
    batch_builder_close(&builder);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.5;
    const struct row rows[] = {
        {"plain 10 B", COMPRESSION_NONE, 10, false, false, false, 0},
        {"plain 100 B", COMPRESSION_NONE, 100, false, false, false, 0},
        {"plain 1 KiB", COMPRESSION_NONE, 1024, false, false, false, 0},
        {"plain 1 KiB keyed, compacted", COMPRESSION_NONE, 1024, true, false, false, 0},
        {"plain 1 KiB LogAppendTime", COMPRESSION_NONE, 1024, false, true, false, 0},
        {"plain 100 KiB", COMPRESSION_NONE, 102400, false, false, false, 0},
        {"lz4 100 B", COMPRESSION_LZ4, 100, false, false, false, 0},
        {"lz4 1 KiB", COMPRESSION_LZ4, 1024, false, false, false, 0},
        {"snappy 1 KiB", COMPRESSION_SNAPPY, 1024, false, false, false, 0},
        {"zstd 1 KiB", COMPRESSION_ZSTD, 1024, false, false, false, 0},
        {"gzip 1 KiB", COMPRESSION_GZIP, 1024, false, false, false, 0},
        {"plain -> lz4 1 KiB", COMPRESSION_NONE, 1024, false, false, true, COMPRESSION_LZ4},
        {"plain -> zstd 1 KiB", COMPRESSION_NONE, 1024, false, false, true, COMPRESSION_ZSTD},
        {"gzip -> lz4 1 KiB", COMPRESSION_GZIP, 1024, false, false, true, COMPRESSION_LZ4},
        {"lz4 -> plain 1 KiB", COMPRESSION_LZ4, 1024, false, false, true, COMPRESSION_NONE},
    };
    printf("%-34s %7s %8s %8s %7s %7s %8s\n", "batches of 1 MB of records", "records", "ns/rec",
           "less crc", "GB/s", "plain", "CPUs/GB");
    for (size_t i = 0; i < array_size(rows); i++)
        measure(&rows[i], seconds);
    return 0;
}
