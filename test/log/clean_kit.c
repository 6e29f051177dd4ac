#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clean_kit.h"
#include "follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "log/log_internal.h"
#include "record/control.h"

void clean_kit_init(struct kit *kit, int32_t segment_bytes)
{
    kit_init(kit);
    kit->settings.segment_bytes = segment_bytes;
    kit->settings.index_interval_bytes = 100;
    kit->settings.cleanup_compact = true;
    kit->settings.cleanup_delete = false;
    kit->settings.producer_expiration_ms = INT64_MAX;
    ram_disk_set_time(kit->disk, 1000000);
    assert_int_equal(kit_open(kit), 0);
}

int clean_setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    clean_kit_init(kit, 1 << 20);
    *state = kit;
    return 0;
}

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, text ? (int32_t)strlen(text) : 0};
}

static int append(struct kit *kit, uint8_t *data, size_t size, int32_t leader_epoch,
                  enum log_origin origin)
{
    struct validated records;
    struct log_append_params params = {leader_epoch, origin, 0};
    struct arena arena;
    arena_init(&arena, 0);
    must(log_records_from(data, size, &arena, &records) == 0);
    int err = log_append(kit->log, &records, &params, &kit->result);
    if (err == 0)
        log_set_high_watermark(kit->log, log_end_offset(kit->log));
    arena_close(&arena);
    return err;
}

int clean_append(struct kit *kit, const struct clean_batch *batch)
{
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    builder.compression = batch->compression;
    builder.compression_level = COMPRESSION_LEVEL_DEFAULT;
    if (batch->producer_id) {
        builder.producer_id = batch->producer_id;
        builder.producer_epoch = batch->producer_epoch;
        builder.base_sequence = batch->sequence;
    }
    if (batch->transactional)
        builder.attributes |= BATCH_TRANSACTIONAL;
    if (batch->log_append_time) {
        builder.attributes |= BATCH_LOG_APPEND_TIME;
        builder.max_timestamp = batch->timestamp;
    }
    for (int i = 0; i < batch->count; i++) {
        const struct clean_record *record = &batch->records[i];
        struct record_header header = {STR("h"), bytes_of("x")};
        int64_t delta = record->delta ? record->delta : builder.last_offset_delta + 1;
        batch_builder_add_at(&builder, delta, batch->timestamp + i, bytes_of(record->key),
                             bytes_of(record->value), &header, i % 2);
    }
    must(batch_builder_finish(&builder) == 0);
    int err =
        append(kit, builder.out.data, builder.out.size, batch->leader_epoch, LOG_ORIGIN_CLIENT);
    batch_builder_close(&builder);
    return err;
}

void clean_put(struct kit *kit, const char *key, const char *value)
{
    struct clean_batch batch = {
        .records = {{key, value, 0}}, .count = 1, .timestamp = 1000 + log_end_offset(kit->log)};
    assert_int_equal(clean_append(kit, &batch), 0);
}

int clean_marker(struct kit *kit, int64_t producer_id, int16_t epoch, bool commit,
                 int64_t timestamp)
{
    struct writer out = {0};
    struct end_transaction end = {commit, 0};
    struct end_transaction_batch about = {0, timestamp, 0, producer_id, epoch};
    must(end_transaction_write(&end, &about, &out) == 0);
    int err = append(kit, out.data, out.size, 0, LOG_ORIGIN_COORDINATOR);
    writer_close(&out);
    return err;
}

void clean_roll(struct kit *kit)
{
    int64_t end = log_end_offset(kit->log);
    assert_int_equal(log_roll(kit->log, end), 0);
    log_publish_end(kit->log, end);
}

struct log_clean_rules clean_rules(void)
{
    return (struct log_clean_rules){.min_dirty_ratio = 0,
                                    .max_lag_ms = INT64_MAX,
                                    .delete_retention_ms = 1000,
                                    .record_max_bytes = 1 << 20,
                                    .map_bytes = 1 << 16,
                                    .map_load_factor = 0.9};
}

int clean_in_steps(struct kit *kit, const struct log_clean_rules *rules, int64_t now_ms,
                   int64_t step_bytes, void (*between)(void *context), void *context)
{
    struct log_dirt dirt;
    struct log_cleaning *cleaning;
    enum log_cleaning_next next = CLEANING_GOES_ON;
    int64_t bytes, synced;
    int err = log_flush(kit->log, &synced);
    if (err == 0) {
        kit->recovery_point = synced;
        err = log_measure_dirt(kit->log, rules, now_ms, &dirt);
    }
    if (err < 0 || !dirt.due)
        return err;
    err = log_cleaning_begin(kit->log, rules, &dirt, now_ms, &cleaning);
    if (err < 0)
        return err;
    while (err == 0 && next != CLEANING_DONE) {
        err = log_cleaning_step(cleaning, step_bytes, &next, &bytes);
        if (err == 0 && next == CLEANING_WANTS_WRITER)
            err = log_cleaning_swap(cleaning);
        if (err == 0 && between)
            between(context);
    }
    if (err == 0)
        log_set_cleaned_to(kit->log, log_cleaning_end(cleaning));
    log_cleaning_destroy(cleaning);
    return err;
}

int clean_all(struct kit *kit, const struct log_clean_rules *rules, int64_t now_ms)
{
    return clean_in_steps(kit, rules, now_ms, 1 << 20, NULL, NULL);
}

static const char *text_of(struct kit *kit, struct bytes bytes)
{
    return bytes.data ? arena_printf(&kit->arena, "%.*s", bytes.size, (const char *)bytes.data)
                      : NULL;
}

struct reading {
    struct kit *kit;
    int64_t from;
    struct read_log log; /* from malloc */
};

static void take_record(struct reading *reading, const struct batch *batch,
                        const struct record *record)
{
    struct read_log *log = &reading->log;
    bool control = batch_is_control(batch);
    log->records = realloc(log->records, sizeof *log->records * (size_t)(log->count + 1));
    log->records[log->count++] = (struct read_record){
        .offset = record->offset,
        .timestamp = record->timestamp,
        .key = control ? NULL : text_of(reading->kit, record->key),
        .value = control ? NULL : text_of(reading->kit, record->value),
        .producer_id = batch->producer_id,
        .control = control,
        .transactional = batch_is_transactional(batch),
    };
}

static void take_batch(void *context, const struct batch *batch)
{
    struct reading *reading = context;
    struct read_log *log = &reading->log;
    struct record_reader reader;
    struct record record;
    if (log->batch_count > 0)
        assert_true(batch->base_offset > batch_last_offset(&log->batches[log->batch_count - 1]));
    log->batches = realloc(log->batches, sizeof *log->batches * (size_t)(log->batch_count + 1));
    log->batches[log->batch_count] = *batch;
    log->batches[log->batch_count++].data = NULL;
    int err = record_reader_init(&reader, batch, 1 << 20);
    while (err == 0 && (err = record_reader_next(&reader, NULL, &record)) == 0)
        if (record.offset >= reading->from)
            take_record(reading, batch, &record);
    record_reader_close(&reader);
    assert_int_equal(err, -ENODATA);
}

void clean_read(struct kit *kit, int64_t from, struct read_log *ret_log)
{
    struct reading reading = {.kit = kit, .from = from};
    struct read_log *log = &reading.log;
    follow_log(kit->env, kit->log, from, log_end(kit->log), 500, take_batch, &reading);
    struct read_record *records = arena_array(&kit->arena, (size_t)log->count, sizeof *records);
    struct batch *batches = arena_array(&kit->arena, (size_t)log->batch_count, sizeof *batches);
    if (log->count)
        memcpy(records, log->records, sizeof *records * (size_t)log->count);
    if (log->batch_count)
        memcpy(batches, log->batches, sizeof *batches * (size_t)log->batch_count);
    free(log->records);
    free(log->batches);
    *ret_log = (struct read_log){records, log->count, batches, log->batch_count};
}

const char *clean_text(struct kit *kit)
{
    struct read_log log;
    const char *text = "";
    clean_read(kit, log_start_offset(kit->log), &log);
    for (int i = 0; i < log.count; i++)
        if (!log.records[i].control)
            text = arena_printf(&kit->arena, "%s%s%s=%s", text, *text ? " " : "",
                                log.records[i].key ? log.records[i].key : "-",
                                log.records[i].value ? log.records[i].value : "~");
    return text;
}
