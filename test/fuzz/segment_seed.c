#include "segment_seed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/errors.h"
#include "base/must.h"
#include "record/control.h"

#define SPOIL_MAX 64

static struct log *open_log(struct env *env, struct file_cache *files, const struct say *say,
                            bool clean, int64_t recovery_point, int *ret_result)
{
    struct log *log = NULL;
    struct log_open_params params = {
        .env = env,
        .say = say,
        .files = files,
        .dir = SEGMENT_FUZZ_DIR,
        .topic_id = uuid_of(1, 1000),
        .clean = clean,
        .recovery_point = recovery_point,
        .settings = {.segment_bytes = 3000,
                     .segment_ms = INT64_MAX,
                     .segment_index_bytes = 1 << 20,
                     .index_interval_bytes = 200,
                     .retention_ms = -1,
                     .retention_bytes = -1,
                     .producer_expiration_ms = INT64_MAX},
    };
    *ret_result = log_open(&params, &log, NULL);
    return log;
}

static int append_bytes(struct log *log, uint8_t *data, size_t size)
{
    struct arena arena;
    struct validated records;
    struct log_append_params params = {2, LOG_ORIGIN_COORDINATOR, 0};
    struct log_append_result result;
    arena_init(&arena, 0);
    must(log_records_from(data, size, &arena, &records) == 0 && records.batch_count == 1);
    int err = log_append(log, &records, &params, &result);
    arena_close(&arena);
    return err;
}

static int append_batch(struct log *log, int number)
{
    struct batch_builder builder;
    const uint8_t value[90] = {1, 2, 3};
    batch_builder_init(&builder, 0);
    builder.producer_id = 1 + number % 2;
    builder.producer_epoch = 5;
    builder.base_sequence = number / 2;
    if (number % 2)
        builder.attributes |= BATCH_TRANSACTIONAL;
    batch_builder_add(&builder, 1000 + number, (struct bytes){0},
                      (struct bytes){value, sizeof value}, NULL, 0);
    must(batch_builder_finish(&builder) == 0);
    int err = append_bytes(log, builder.out.data, builder.out.size);
    batch_builder_close(&builder);
    return err;
}

static void append_marker(struct log *log, bool commit)
{
    struct writer out = {0};
    struct end_transaction end = {commit, 3};
    struct end_transaction_batch batch = {0, 5000, 2, 2, 5};
    must(end_transaction_write(&end, &batch, &out) == 0);
    must(append_bytes(log, out.data, out.size) == 0);
    writer_close(&out);
}

static void note_path(void *context, const char *path)
{
    struct segment_seed *seed = context;
    size_t size;
    if (!ram_disk_data(seed->disk, path, &size))
        return;
    must(seed->count < SEGMENT_FUZZ_FILES_MAX);
    seed->paths[seed->count++] = strdup(path);
}

const struct segment_seed *segment_seed(void)
{
    static struct segment_seed seed;
    static const struct say quiet = {.level = SAY_ERROR};
    int err;
    if (seed.disk)
        return &seed;
    seed.disk = ram_disk_create(1);
    struct file_cache *files = file_cache_create(ram_disk_env(seed.disk), 16);
    struct log *log = open_log(ram_disk_env(seed.disk), files, &quiet, true, 0, &err);
    must(err == 0);
    for (int i = 0; i < 48; i++) {
        must(append_batch(log, i) == 0);
        if (i % 12 == 11)
            append_marker(log, i % 24 == 23);
    }
    seed.end_offset = log_end_offset(log);
    must(log_close_clean(log) == 0);
    log_destroy(log);
    file_cache_destroy(files);
    ram_disk_each(seed.disk, note_path, &seed);
    return &seed;
}

void segment_spoil(struct ram_disk *disk, const char *path, const uint8_t *script, size_t size)
{
    size_t file_size;
    uint8_t *data = ram_disk_data(disk, path, &file_size);
    for (size_t i = 0; i + 3 <= size && i < SPOIL_MAX * 3 && data && file_size > 0; i += 3)
        data[load_be16(script + i) % file_size] ^= script[i + 2];
}

void segment_repair(struct ram_disk *disk, const char *path)
{
    size_t size, at = 0;
    uint8_t *data = ram_disk_data(disk, path, &size);
    struct batch batch;
    while (data && at < size && batch_read(data + at, size - at, &batch) == 0) {
        if (batch.magic == 2)
            store_be32(data + at + 17,
                       crc32c(0, data + at + BATCH_CRC_FROM, (size_t)batch.size - BATCH_CRC_FROM));
        at += (size_t)batch.size;
    }
}

/* Follow the log as a follower does; false when it could not be read to its end. */
static bool read_all(struct env *env, struct log *log)
{
    struct log_position end = log_end(log), hint = {-1, -1, 0, 0};
    int64_t offset = log_start_offset(log);
    while (offset < end.offset) {
        struct log_span span;
        struct log_read_params params = {.offset = offset,
                                         .hint = &hint,
                                         .bound = end,
                                         .max_bytes = 700,
                                         .min_one_batch = true,
                                         .may_block = true};
        int err = log_read(log, &params, &span);
        if (err != 0)
            return false;
        if (span.size == 0)
            break; /* a gap at the end */
        must(span.next.offset > offset);
        uint8_t *data = malloc((size_t)span.size);
        must(data && env_read_all(env, file_ref_descriptor(span.file), data, (size_t)span.size,
                                  span.position) == 0);
        free(data);
        offset = span.next.offset;
        hint = span.next;
        log_span_close(&span);
    }
    return true;
}

/* Ask everything; answers may be errors of damage, nothing else. */
static void ask_all(struct log *log)
{
    struct arena arena;
    struct log_position place;
    struct log_time_result found;
    struct aborted_transaction *aborted;
    struct producer_view *views;
    int32_t count;
    arena_init(&arena, 0);
    for (int64_t offset = log_start_offset(log);
         offset <= log_end_offset(log) && offset < log_start_offset(log) + 80; offset++)
        (void)log_locate(log, offset, true, &place);
    for (int64_t time = 990; time < 1060; time += 7)
        (void)log_find_by_time(log, time, INT64_MAX, NULL, &found);
    (void)log_find_max_timestamp(log, INT64_MAX, NULL, &found);
    (void)log_aborted_transactions(log, log_start_offset(log), log_end_offset(log), true, &arena,
                                   &aborted, &count);
    must(log_producers(log, &arena, &views, &count) == 0);
    arena_close(&arena);
}

void segment_try(struct ram_disk *disk, bool clean, int64_t recovery_point)
{
    static const struct say quiet = {.level = SAY_ERROR + 1};
    struct env *env = ram_disk_env(disk);
    struct file_cache *files = file_cache_create(env, 8);
    int err;
    struct log *log = open_log(env, files, &quiet, clean, recovery_point, &err);
    if (!log) {
        must(err == -EUCLEAN || err == -EBADMSG || err == KAFKA_INCONSISTENT_TOPIC_ID);
        file_cache_destroy(files);
        must(ram_disk_open_files(disk) == 0);
        return;
    }
    bool readable = read_all(env, log);
    must(readable || clean || recovery_point > 0);
    ask_all(log);

    /* Offsets near the largest leave no room to write; producers may be in any state. */
    int64_t end = log_end_offset(log);
    (void)append_batch(log, 1000);
    must(log_end_offset(log) == end || log_end_offset(log) == end + 1);
    end = log_end_offset(log);
    must(log_close_clean(log) == 0);
    log_destroy(log);
    log = open_log(env, files, &quiet, true, 0, &err);
    must(!readable || log);
    if (log) {
        must(log_end_offset(log) == end);
        log_destroy(log);
    }
    file_cache_destroy(files);
    must(ram_disk_open_files(disk) == 0);
}
