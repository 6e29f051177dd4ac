/* Validation in Kafka's order: what ProduceRequest checks, then UnifiedLog's append, then
 * LogValidator. The order matters where a batch has several faults: the first one names the code.
 *
 * Three ways through the records:
 *  - not compressed and to stay so: a walk over the bytes (walk_plain), nothing is copied;
 *  - compressed and to stay so: the same checks over the decompressed stream, the bytes stay;
 *  - anything else: the stream is read and a new batch is built.
 * In the first two only the header can change: timestamp type and max_timestamp, with a new
 * checksum. */
#include "record/validate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"
#include "record/varint.h"

#define FIRST_ZSTD_PRODUCE 7
#define ERRORS_SHOWN 3
#define ZSTD_WINDOW_MAX_BYTES (128 * 1024 * 1024)
#define ACCOUNT_STEP_BYTES (1024 * 1024)

struct validation {
    const struct validate_rules *rules;
    struct arena *arena;
    struct validate_failure *failure; /* filled as faults are found */
    struct batch batch;
    struct batch *batches; /* in the arena: room for the result, taken before anything changes */
    int64_t max_timestamp; /* of the records seen */
    int64_t error_count;   /* records refused, those beyond the list too */
    struct record_error *errors;
    int32_t listed, error_capacity;
    struct plain_account account;
    int64_t accounted;       /* of the decompressor and the new batch */
    bool bad_timestamp;      /* a record was refused for its timestamp */
    bool offset_gap;         /* an offset is not the one before and one */
    bool negative_timestamp; /* one has a timestamp that no new batch may have */
};

/* What the checks need of one record. */
struct seen {
    int64_t timestamp_delta;
    int32_t offset_delta;
    int32_t key_size, value_size;
};

#define fail(v, code, ...) fail_at((v), (code), arena_printf((v)->arena, __VA_ARGS__))

static int fail_at(struct validation *v, int code, const char *text)
{
    v->failure->message = text ? text : "The records are invalid.";
    return code;
}

/* "…  in topic partition NAME" */
#define TP "%.*s"
#define TP_ARG(v) (v)->rules->topic_partition.size, (v)->rules->topic_partition.data

/* Find the batch that begins at `at`. 0; -ENODATA when none is whole; +code when there is something
 * that cannot be one. Only lengths and magic are looked at. */
static int find_batch(struct validation *v, const uint8_t *at, size_t size, size_t *ret_size)
{
    if (size < BATCH_OVERHEAD)
        return -ENODATA;
    int32_t length = (int32_t)load_be32(at + 8);
    if (length < LEGACY_OVERHEAD_V0)
        return fail(v, KAFKA_CORRUPT_MESSAGE,
                    "Record size %d is less than the minimum record overhead (%d)", length,
                    LEGACY_OVERHEAD_V0);
    if (size < 17)
        return -ENODATA;
    int8_t magic = (int8_t)at[16];
    if (magic < 0 || magic > 2)
        return fail(v, KAFKA_CORRUPT_MESSAGE, "Invalid magic found in record: %d", magic);
    size_t whole = (size_t)length + BATCH_OVERHEAD;
    if (whole > size || whole > BATCH_SIZE_MAX)
        return -ENODATA;
    *ret_size = whole;
    return 0;
}

static int unknown_codec(struct validation *v, int codec)
{
    return fail(v, KAFKA_INVALID_RECORD, "Unknown compression type id: %d", codec);
}

/* What ProduceRequest checks when it is parsed: one batch, of magic 2. */
static int check_request(struct validation *v, const uint8_t *data, size_t size, size_t *ret_size)
{
    int version = v->rules->produce_version;
    size_t first, second;
    int err = find_batch(v, data, size, &first);
    if (err == -ENODATA)
        return fail(v, KAFKA_INVALID_RECORD,
                    "Produce requests with version %d must have at least one record batch per "
                    "partition",
                    version);
    if (err)
        return err;
    if (data[16] != 2)
        return fail(v, KAFKA_INVALID_RECORD,
                    "Produce requests with version %d are only allowed to contain record batches "
                    "with magic version 2",
                    version);
    int codec = data[22] & BATCH_COMPRESSION;
    if (version < FIRST_ZSTD_PRODUCE && codec > COMPRESSION_ZSTD)
        return unknown_codec(v, codec);
    if (version < FIRST_ZSTD_PRODUCE && codec == COMPRESSION_ZSTD)
        return fail(v, KAFKA_UNSUPPORTED_COMPRESSION_TYPE,
                    "Produce requests with version %d are not allowed to use ZStandard compression",
                    version);
    err = find_batch(v, data + first, size - first, &second);
    if (err > 0)
        return err;
    if (err == 0)
        return fail(v, KAFKA_INVALID_RECORD,
                    "Produce requests with version %d are only allowed to contain exactly one "
                    "record batch per partition",
                    version);
    *ret_size = first;
    return 0;
}

/* What UnifiedLog checks before it takes its lock. */
static int check_header(struct validation *v, const uint8_t *data, size_t size)
{
    const struct validate_rules *rules = v->rules;
    int64_t base_offset = (int64_t)load_be64(data);
    if (base_offset != 0 && !rules->control_allowed)
        return fail(v, KAFKA_INVALID_RECORD,
                    "The baseOffset of the record batch in the append to " TP
                    " should be 0, but it is %lld",
                    TP_ARG(v), (long long)base_offset);
    if (rules->max_message_bytes < 0 || size > (size_t)rules->max_message_bytes)
        return fail(v, KAFKA_MESSAGE_TOO_LARGE,
                    "The record batch size in the append to " TP
                    " is %zu bytes which exceeds the maximum configured value of %d).",
                    TP_ARG(v), size, rules->max_message_bytes);
    int err = batch_read(data, size, &v->batch);
    if (err < 0 || !batch_checksum_ok(&v->batch))
        return fail(v, KAFKA_CORRUPT_MESSAGE,
                    "Record is corrupt (stored crc = %u) in topic partition " TP ".",
                    load_be32(data + 17), TP_ARG(v));
    if (batch_compression(&v->batch) > COMPRESSION_ZSTD)
        return unknown_codec(v, (int)batch_compression(&v->batch));
    return 0;
}

/* What LogValidator asks of a client's batch as a whole; counts must be right in our own, too. */
static int check_batch(struct validation *v)
{
    const struct batch *batch = &v->batch;
    long long first = batch->base_offset, last = batch_last_offset(batch);
    if (batch->last_offset_delta < 0)
        return fail(v, KAFKA_INVALID_RECORD,
                    "Batch has an invalid offset range: [%lld, %lld] in topic partition " TP, first,
                    last, TP_ARG(v));
    if (batch->record_count <= 0)
        return fail(v, KAFKA_INVALID_RECORD,
                    "Invalid reported count for record batch: %d in topic partition " TP,
                    batch->record_count, TP_ARG(v));
    if ((int64_t)batch->last_offset_delta + 1 != batch->record_count)
        return fail(v, KAFKA_INVALID_RECORD,
                    "Inconsistent batch offset range [%lld, %lld] and count of records %d in topic "
                    "partition " TP,
                    first, last, batch->record_count, TP_ARG(v));
    if (v->rules->control_allowed)
        return 0;
    if (batch_is_control(batch))
        return fail(v, KAFKA_INVALID_RECORD,
                    "Clients are not allowed to write control records in topic partition " TP,
                    TP_ARG(v));
    if (batch->producer_id > NO_PRODUCER_ID && batch->base_sequence < 0)
        return fail(v, KAFKA_INVALID_RECORD,
                    "Invalid sequence number %d in record batch with producerId %lld in topic "
                    "partition " TP,
                    batch->base_sequence, (long long)batch->producer_id, TP_ARG(v));
    return 0;
}

static int64_t seen_timestamp(const struct batch *batch, const struct seen *seen)
{
    if (batch->attributes & BATCH_LOG_APPEND_TIME)
        return batch->max_timestamp;
    return (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)seen->timestamp_delta);
}

/* Note that record `index` is refused. When memory for the list runs out, the count goes on. */
static void add_error(struct validation *v, int32_t index, const char *message)
{
    v->error_count++;
    if (!message || v->listed == VALIDATE_RECORD_ERRORS_MAX)
        return;
    if (v->listed == v->error_capacity) {
        int32_t capacity = v->error_capacity ? v->error_capacity * 2 : 8;
        struct record_error *errors = arena_array(v->arena, (size_t)capacity, sizeof *errors);
        if (!errors)
            return;
        if (v->listed)
            memcpy(errors, v->errors, (size_t)v->listed * sizeof *errors);
        v->errors = errors;
        v->error_capacity = capacity;
    }
    v->errors[v->listed++] = (struct record_error){index, message};
}

/* Java's arithmetic wraps, so this does. */
static bool timestamp_in_range(const struct validate_rules *rules, int64_t timestamp)
{
    uint64_t age = (uint64_t)rules->now_ms - (uint64_t)timestamp;
    return (int64_t)age <= rules->before_max_ms && (int64_t)(0 - age) <= rules->after_max_ms;
}

/* The rare side of check_record: which rule is broken, if one is. */
static __attribute__((noinline)) void refuse_record(struct validation *v, int32_t index,
                                                    const struct seen *seen)
{
    const struct validate_rules *rules = v->rules;
    long long timestamp = seen_timestamp(&v->batch, seen);
    long long offset = offset_add(v->batch.base_offset, seen->offset_delta);
    bool list_full = v->listed == VALIDATE_RECORD_ERRORS_MAX;
    if (rules->compacted && seen->key_size < 0) {
        const char *same = v->listed > 0 && !v->bad_timestamp ? v->errors[0].message : NULL;
        if (!same && !list_full)
            same = arena_printf(
                v->arena,
                "Compacted topic cannot accept message without key in topic partition " TP,
                TP_ARG(v));
        add_error(v, index, same);
        return;
    }
    const char *message = NULL;
    v->bad_timestamp = true;
    if (!rules->log_append_time && timestamp != NO_TIMESTAMP) {
        if (!list_full)
            message = arena_printf(
                v->arena,
                "Timestamp %lld of message with offset %lld is out of range. The timestamp should "
                "be within [%lld, %lld]",
                timestamp, offset,
                (long long)((uint64_t)rules->now_ms - (uint64_t)rules->before_max_ms),
                (long long)((uint64_t)rules->now_ms + (uint64_t)rules->after_max_ms));
    } else if (!list_full) {
        message = arena_printf(
            v->arena,
            "Invalid timestamp type in message DefaultRecord(offset=%lld, timestamp=%lld, key=%d "
            "bytes, value=%d bytes). Producer should not set timestamp type to LogAppendTime.",
            offset, timestamp, seen->key_size < 0 ? 0 : seen->key_size,
            seen->value_size < 0 ? 0 : seen->value_size);
    }
    add_error(v, index, message);
}

/* Key and timestamp of one record, as the topic's rules ask. */
static inline void check_record(struct validation *v, int32_t index, const struct seen *seen)
{
    const struct validate_rules *rules = v->rules;
    int64_t timestamp = seen_timestamp(&v->batch, seen);
    bool good;
    if (!rules->log_append_time && timestamp != NO_TIMESTAMP)
        good = timestamp_in_range(rules, timestamp);
    else
        good = !(v->batch.attributes & BATCH_LOG_APPEND_TIME);
    if (timestamp > v->max_timestamp)
        v->max_timestamp = timestamp;
    if (__builtin_expect(!good || (rules->compacted && seen->key_size < 0), 0))
        refuse_record(v, index, seen);
}

/* Skip the headers of a record; [at, end) is the rest of it. */
static bool headers_ok(const uint8_t *at, const uint8_t *end)
{
    int32_t count, size;
    at = varint_read(at, end, &count);
    if (!at || count < 0)
        return false;
    for (int32_t i = 0; i < count; i++) {
        at = varint_skip_bytes(at, end, &size);
        if (!at || size < 0 || !(at = varint_skip_bytes(at, end, &size)))
            return false;
    }
    return at == end;
}

/* Read the frame of the record at `at`. The byte after it, or NULL when it is malformed. */
static inline const uint8_t *record_skip(const uint8_t *at, const uint8_t *limit, struct seen *seen)
{
    int32_t length;
    at = varint_read(at, limit, &length);
    if (!at || length < 1 || length > limit - at)
        return NULL;
    const uint8_t *end = at + length;
    at = varlong_read(at + 1, end, &seen->timestamp_delta);
    if (!at || !(at = varint_read(at, end, &seen->offset_delta)) ||
        !(at = varint_skip_bytes(at, end, &seen->key_size)) ||
        !(at = varint_skip_bytes(at, end, &seen->value_size)))
        return NULL;
    if (end - at == 1 && *at == 0)
        return end;
    return headers_ok(at, end) ? end : NULL;
}

static int malformed(struct validation *v)
{
    return fail_at(v, KAFKA_INVALID_RECORD, "Found invalid record structure");
}

/* The records of an uncompressed batch, in place. */
static int walk_plain(struct validation *v)
{
    const uint8_t *at = v->batch.data + BATCH_HEADER_SIZE;
    const uint8_t *end = v->batch.data + v->batch.size;
    for (int32_t i = 0; i < v->batch.record_count; i++) {
        struct seen seen;
        at = record_skip(at, end, &seen);
        if (!at)
            return malformed(v);
        check_record(v, i, &seen);
    }
    if (at != end)
        return fail_at(v, KAFKA_INVALID_RECORD,
                       "Incorrect declared batch size, records still remaining in file");
    return 0;
}

static int reader_fault(struct validation *v, int err)
{
    if (err == -ENOMEM)
        return err;
    if (err == -ENOBUFS)
        return fail_at(v, KAFKA_REQUEST_TIMED_OUT,
                       "There is no memory now to decompress so large a batch beside others.");
    if (err == -EFBIG)
        return fail(v, KAFKA_INVALID_RECORD,
                    "Invalid record size: it exceeds the configured maximum record size of %zu.",
                    v->rules->decompress_max_bytes);
    return malformed(v);
}

/* Count what the decompressor (zstd looks back so far) and the new batch have come to hold. */
static bool account(struct validation *v, int64_t plain_bytes, const struct batch_builder *builder)
{
    int64_t held = 0;
    if (batch_compression(&v->batch) == COMPRESSION_ZSTD)
        held = plain_bytes < ZSTD_WINDOW_MAX_BYTES ? plain_bytes : ZSTD_WINDOW_MAX_BYTES;
    if (builder)
        held += (int64_t)(builder->body.capacity + builder->out.capacity);
    int64_t more = held - v->accounted;
    if (more < ACCOUNT_STEP_BYTES)
        return true;
    if (!plain_take(&v->account, more))
        return false;
    v->accounted += more;
    return true;
}

/* The records of a batch of any codec through a reader. `builder` NULL: the batch stays as it is,
 * so its offsets must be those it will get; else what passes is added to it. */
static int walk_stream(struct validation *v, struct record_reader *reader,
                       struct batch_builder *builder)
{
    struct record record;
    int64_t plain_bytes = 0;
    int err;
    while ((err = record_reader_next(reader, NULL, &record)) == 0) {
        int32_t index = reader->index - 1;
        struct seen seen = {
            .timestamp_delta =
                (int64_t)((uint64_t)record.timestamp - (uint64_t)v->batch.base_timestamp),
            .offset_delta = (int32_t)((uint64_t)record.offset - (uint64_t)v->batch.base_offset),
            .key_size = record.key.data ? record.key.size : -1,
            .value_size = record.value.data ? record.value.size : -1,
        };
        check_record(v, index, &seen);
        plain_bytes += record.body.size + 1;
        if (plain_bytes > VALIDATE_PLAIN_MAX_BYTES)
            return fail(v, KAFKA_MESSAGE_TOO_LARGE,
                        "The records of a batch in the append to " TP
                        " take more than %d bytes when decompressed.",
                        TP_ARG(v), VALIDATE_PLAIN_MAX_BYTES);
        if (!account(v, plain_bytes, builder))
            return reader_fault(v, -ENOBUFS);
        if (!builder) {
            v->offset_gap |= seen.offset_delta != index;
            continue;
        }
        if (record.timestamp < NO_TIMESTAMP)
            v->negative_timestamp = true;
        if (v->error_count == 0)
            batch_builder_add_body(builder, index, record.timestamp, record.body);
    }
    return err == -ENODATA ? 0 : reader_fault(v, err);
}

/* RecordError(batchIndex=1, message='…'), …: the first few, as Kafka prints a list. */
static int record_errors(struct validation *v)
{
    if (v->error_count == 0)
        return 0;
    v->failure->record_errors = v->errors;
    v->failure->record_error_count = v->listed;
    if (v->bad_timestamp)
        return fail_at(v, KAFKA_INVALID_TIMESTAMP,
                       "One or more records have been rejected due to invalid timestamp");
    const char *list = "";
    for (int32_t i = 0; i < v->listed && i < ERRORS_SHOWN && list; i++)
        list = arena_printf(v->arena, "%s%sRecordError(batchIndex=%d, message='%s')", list,
                            i ? ", " : "", v->errors[i].batch_index, v->errors[i].message);
    return fail(v, KAFKA_INVALID_RECORD,
                "One or more records have been rejected due to %lld record errors in total, and "
                "only showing the first three errors at most: [%s]",
                (long long)v->error_count, list ? list : "");
}

static void finish(struct validation *v, uint8_t *data, bool owned, struct validated *ret_validated)
{
    *v->batches = v->batch;
    *ret_validated = (struct validated){
        .data = data,
        .size = (size_t)v->batch.size,
        .owned = owned,
        .batches = v->batches,
        .batch_count = 1,
        .record_count = v->batch.record_count,
        .max_timestamp = v->batch.max_timestamp,
        .log_append_time = v->rules->log_append_time ? v->rules->now_ms : NO_TIMESTAMP,
    };
}

/* The batch stays; its header tells the truth about time. */
static void keep(struct validation *v, uint8_t *data, struct validated *ret_validated)
{
    bool append_time = v->rules->log_append_time;
    int64_t max_timestamp = append_time ? v->rules->now_ms : v->max_timestamp;
    struct batch *batch = &v->batch;
    if (max_timestamp != batch->max_timestamp ||
        append_time != !!(batch->attributes & BATCH_LOG_APPEND_TIME))
        batch_set_max_timestamp(batch, data, append_time, max_timestamp);
    finish(v, data, false, ret_validated);
}

static int take_built(struct validation *v, struct batch_builder *builder,
                      struct validated *ret_validated)
{
    int err = batch_builder_finish(builder);
    if (err == -ENOMEM)
        return err;
    if (err < 0 || builder->out.size > (size_t)v->rules->max_message_bytes)
        return fail(v, KAFKA_MESSAGE_TOO_LARGE,
                    "Message batch size is %zu bytes in append to partition " TP
                    " which exceeds the maximum configured size of %d.",
                    batch_builder_size(builder), TP_ARG(v), v->rules->max_message_bytes);
    must(batch_read(builder->out.data, builder->out.size, &v->batch) == 0);
    finish(v, builder->out.data, true, ret_validated);
    builder->out = (struct writer){0};
    return 0;
}

static int check_offsets(struct validation *v)
{
    if (!v->offset_gap)
        return 0;
    return fail(v, KAFKA_INVALID_RECORD,
                "Inner records of the compressed record batch do not have incremental offsets in "
                "topic partition " TP,
                TP_ARG(v));
}

/* What Kafka's builder refuses and its validation in place lets pass. */
static int check_rebuild(struct validation *v)
{
    const struct batch *batch = &v->batch;
    const char *fault = NULL;
    if (v->negative_timestamp)
        fault = "Invalid negative timestamp";
    else if (batch_is_transactional(batch) && batch->producer_id == NO_PRODUCER_ID)
        fault = "Cannot write transactional messages without a valid producer ID";
    else if (batch->producer_id != NO_PRODUCER_ID && batch->producer_epoch == -1)
        fault = "Invalid negative producer epoch";
    else if (batch->producer_id != NO_PRODUCER_ID && batch->base_sequence < 0 &&
             !batch_is_control(batch))
        fault = "Invalid negative sequence number used";
    return fault ? fail_at(v, KAFKA_INVALID_RECORD, fault) : 0;
}

/* Build the batch anew with the topic's codec. */
static int rebuild(struct validation *v, struct record_reader *reader,
                   struct validated *ret_validated)
{
    const struct batch *batch = &v->batch;
    const struct validate_rules *rules = v->rules;
    struct batch_builder builder;
    batch_builder_init(&builder, batch->base_offset);
    builder.compression = rules->target;
    builder.compression_level = rules->target_level;
    builder.attributes = batch->attributes & (BATCH_TRANSACTIONAL | BATCH_CONTROL);
    builder.producer_id = batch->producer_id;
    builder.producer_epoch = batch->producer_epoch;
    builder.base_sequence = batch->base_sequence;
    builder.leader_epoch = batch->leader_epoch;
    if (rules->log_append_time) {
        builder.attributes |= BATCH_LOG_APPEND_TIME;
        builder.max_timestamp = rules->now_ms;
    }
    int err = walk_stream(v, reader, &builder);
    if (err == 0)
        err = record_errors(v);
    if (err == 0)
        err = check_rebuild(v);
    if (err == 0)
        err = take_built(v, &builder, ret_validated);
    batch_builder_close(&builder);
    return err;
}

static int validate_stream(struct validation *v, uint8_t *data, bool stays,
                           struct validated *ret_validated)
{
    struct record_reader reader;
    size_t max_bytes = v->rules->decompress_max_bytes;
    if (max_bytes > VALIDATE_PLAIN_MAX_BYTES)
        max_bytes = VALIDATE_PLAIN_MAX_BYTES;
    int err = record_reader_init(&reader, &v->batch, max_bytes);
    v->account.budget = v->rules->plain;
    reader.account = &v->account;
    if (err < 0) {
        err = reader_fault(v, err);
    } else if (stays) {
        err = walk_stream(v, &reader, NULL);
        if (err == 0)
            err = record_errors(v);
        if (err == 0)
            err = check_offsets(v);
        if (err == 0)
            keep(v, data, ret_validated);
    } else {
        err = rebuild(v, &reader, ret_validated);
    }
    record_reader_close(&reader);
    plain_give(&v->account, v->accounted);
    return err;
}

/* The broker's own control batches are never compressed. */
static bool batch_stays(const struct validate_rules *rules, const struct batch *batch)
{
    return !rules->recompress || rules->target == batch_compression(batch) ||
           (batch_is_control(batch) && batch_compression(batch) == COMPRESSION_NONE);
}

static int validate(struct validation *v, uint8_t *data, size_t size,
                    struct validated *ret_validated)
{
    size_t batch_size;
    v->batches = arena_alloc(v->arena, sizeof *v->batches);
    if (!v->batches)
        return -ENOMEM;
    int err = check_request(v, data, size, &batch_size);
    v->failure->not_a_batch = err > 0;
    if (err == 0)
        err = check_header(v, data, batch_size);
    if (err == 0)
        err = check_batch(v);
    if (err)
        return err;

    bool stays = batch_stays(v->rules, &v->batch);
    if (!stays || batch_compression(&v->batch) != COMPRESSION_NONE)
        return validate_stream(v, data, stays, ret_validated);
    err = walk_plain(v);
    if (err == 0)
        err = record_errors(v);
    if (err == 0)
        keep(v, data, ret_validated);
    return err;
}

int validate_records(const struct validate_rules *rules, uint8_t *data, size_t size,
                     struct arena *arena, struct validated *ret_validated,
                     struct validate_failure *ret_failure)
{
    struct validate_failure failure = {.message = ""};
    struct validation v = {
        .rules = rules, .arena = arena, .failure = &failure, .max_timestamp = NO_TIMESTAMP};
    int err = validate(&v, data, size, ret_validated);
    if (err > 0)
        *ret_failure = failure;
    return err;
}

void validated_close(struct validated *validated)
{
    if (validated && validated->owned)
        free(validated->data);
    if (validated)
        *validated = (struct validated){0};
}

/* Compressed bytes that take about a millisecond: measured with text that shrinks to a third or
 * less, see test/record/micro_validate.c. */
static size_t light_bytes(enum compression compression)
{
    switch (compression) {
    case COMPRESSION_GZIP:
        return 64 * 1024;
    case COMPRESSION_ZSTD:
        return 256 * 1024;
    case COMPRESSION_SNAPPY:
        return 512 * 1024;
    case COMPRESSION_LZ4:
        return 1024 * 1024;
    default:
        return SIZE_MAX;
    }
}

bool validate_is_heavy(const struct validate_rules *rules, const uint8_t *data, size_t size)
{
    struct batch batch;
    if (size < BATCH_HEADER_SIZE || batch_read_header(data, size, &batch) < 0)
        return false;
    return !batch_stays(rules, &batch) || size > light_bytes(batch_compression(&batch));
}
