#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "follow.h"
#include "log_kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/errors.h"
#include "base/must.h"
#include "record/control.h"

void kit_init(struct kit *kit)
{
    *kit = (struct kit){0};
    kit->disk = ram_disk_create(42);
    kit->env = ram_disk_env(kit->disk);
    kit->say.level = SAY_ERROR;
    kit->files = file_cache_create(kit->env, 16);
    arena_init(&kit->arena, 0);
    must(env_mkdir(kit->env, "/data") == 0);
    must(env_sync_dir(kit->env, "") == 0);
    kit->topic_id = uuid_of(1, 1000);
    kit->settings = (struct log_settings){
        .segment_bytes = 1 << 20,
        .segment_ms = INT64_C(7) * 24 * 3600 * 1000,
        .segment_index_bytes = 10 << 20,
        .index_interval_bytes = 4096,
        .retention_ms = -1,
        .retention_bytes = -1,
        .cleanup_delete = true,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .file_delete_delay_ms = 60000,
        .producer_expiration_ms = 86400000,
        .transaction_max_ms = 900000,
    };
}

void kit_close(struct kit *kit)
{
    log_destroy(kit->log);
    file_cache_destroy(kit->files);
    arena_close(&kit->arena);
    ram_disk_destroy(kit->disk);
}

int kit_teardown(void **state)
{
    kit_close(*state);
    free(*state);
    return 0;
}

int kit_open(struct kit *kit)
{
    struct log_open_params params = {
        .env = kit->env,
        .say = &kit->say,
        .files = kit->files,
        .dir = KIT_DIR,
        .topic = STR("t"),
        .topic_id = kit->topic_id,
        .settings = kit->settings,
        .clean = kit->clean,
        .recovery_point = kit->recovery_point,
        .gaps_stand = kit->gaps_stand,
        .log_start_offset = kit->log_start_offset,
    };
    assert_null(kit->log);
    int err = log_open(&params, &kit->log, &kit->report);
    if (err)
        kit->log = NULL;
    kit->clean = false;
    return err;
}

void kit_drop(struct kit *kit)
{
    log_destroy(kit->log);
    kit->log = NULL;
    file_cache_destroy(kit->files);
    kit->files = file_cache_create(kit->env, 16);
}

void kit_stop_clean(struct kit *kit)
{
    assert_int_equal(log_close_clean(kit->log), 0);
    kit->recovery_point = log_recovery_point(kit->log);
    kit_drop(kit);
    kit->clean = true;
}

static uint8_t *build_marker(const struct kit_batch *batch, size_t *ret_size)
{
    struct writer out = {0};
    struct end_transaction end = {batch->marker == 1, batch->coordinator_epoch};
    struct end_transaction_batch about = {batch->base_offset, batch->timestamp, batch->leader_epoch,
                                          batch->producer_id, batch->producer_epoch};
    must(end_transaction_write(&end, &about, &out) == 0);
    *ret_size = out.size;
    return out.data;
}

uint8_t *kit_build(const struct kit_batch *batch, size_t *ret_size)
{
    if (batch->marker)
        return build_marker(batch, ret_size);
    struct batch_builder builder;
    int value_size = batch->value_size ? batch->value_size : 10;
    uint8_t *value = malloc((size_t)value_size);
    must(value);
    batch_builder_init(&builder, batch->base_offset);
    builder.leader_epoch = batch->leader_epoch;
    builder.compression = batch->compression;
    builder.compression_level = COMPRESSION_LEVEL_DEFAULT;
    if (batch->producer_id) {
        builder.producer_id = batch->producer_id;
        builder.producer_epoch = batch->producer_epoch;
        builder.base_sequence = batch->sequence;
    }
    if (batch->transactional)
        builder.attributes |= BATCH_TRANSACTIONAL;
    for (int i = 0; i < (batch->records ? batch->records : 1); i++) {
        for (int b = 0; b < value_size; b++)
            value[b] = (uint8_t)(batch->timestamp * 31 + i * 7 + b);
        batch_builder_add(&builder, batch->timestamp + i, (struct bytes){0},
                          (struct bytes){value, value_size}, NULL, 0);
    }
    must(batch_builder_finish(&builder) == 0);
    uint8_t *data = builder.out.data;
    *ret_size = builder.out.size;
    builder.out = (struct writer){0};
    batch_builder_close(&builder);
    free(value);
    return data;
}

int kit_append_as(struct kit *kit, const struct kit_batch *batch, enum log_origin origin)
{
    struct validated records;
    struct log_append_params params = {.leader_epoch = batch->leader_epoch,
                                       .origin = origin,
                                       .transaction_version = batch->transaction_version,
                                       .verify = batch->verify,
                                       .verification = batch->verification};
    size_t size;
    uint8_t *data = kit_build(batch, &size);
    must(log_records_from(data, size, &kit->arena, &records) == 0);
    int err = log_append(kit->log, &records, &params, &kit->result);
    free(data);
    arena_reset(&kit->arena, 0);
    return err;
}

int kit_append(struct kit *kit, const struct kit_batch *batch)
{
    return kit_append_as(kit, batch, batch->marker ? LOG_ORIGIN_COORDINATOR : LOG_ORIGIN_CLIENT);
}

void kit_fill(struct kit *kit, int count, int value_size)
{
    for (int i = 0; i < count; i++) {
        struct kit_batch batch = {.value_size = value_size,
                                  .timestamp = 1000 + log_end_offset(kit->log)};
        assert_int_equal(kit_append(kit, &batch), 0);
    }
}

struct sum {
    int64_t bytes;
    uint32_t crc;
    int batches;
};

static void add_batch(void *context, const struct batch *batch)
{
    struct sum *sum = context;
    sum->bytes += batch->size;
    sum->crc = crc32c(sum->crc, batch->data, (size_t)batch->size);
    sum->batches++;
}

int64_t kit_read_all(struct kit *kit, int64_t from, int32_t max_bytes, int64_t *ret_bytes)
{
    struct sum sum = {0};
    int64_t reached =
        follow_log(kit->env, kit->log, from, log_end(kit->log), max_bytes, add_batch, &sum);
    if (ret_bytes)
        *ret_bytes = sum.bytes;
    return reached;
}

uint32_t kit_checksum(struct kit *kit, int64_t from, int64_t to, int *ret_batches)
{
    struct sum sum = {0};
    struct log_position bound = {to, -1, 0, 0};
    follow_log(kit->env, kit->log, from, bound, 1 << 20, add_batch, &sum);
    if (ret_batches)
        *ret_batches = sum.batches;
    return sum.crc;
}
