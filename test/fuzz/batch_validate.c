/* What a producer sends, under any rules. Two bytes choose the rules, the rest are the records;
 * their length and checksum are made right first, most of the time, or nothing would get past them.
 *
 * What is accepted has a right checksum, can be read by a consumer to its last record, and is
 * accepted again. */
#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"
#include "batch_seed.h"
#include "record/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#define RULES_SIZE 2
#define ARENA_MAX (1 << 20)

static struct validate_rules rules_of(const uint8_t *data)
{
    return (struct validate_rules){
        .topic_partition = STR("topic-0"),
        .produce_version = data[0] & 1 ? 6 : 12,
        .max_message_bytes = data[0] & 2 ? 200 : 1 << 20,
        .compacted = data[0] & 4,
        .log_append_time = data[0] & 8,
        .now_ms = 1 << 24,
        .before_max_ms = data[0] & 16 ? 1 << 20 : INT64_MAX,
        .after_max_ms = data[0] & 32 ? 1 << 20 : INT64_MAX,
        .recompress = data[0] & 64,
        .control_allowed = data[0] & 128,
        .target = (enum compression)(data[1] % 5),
        .target_level = COMPRESSION_LEVEL_DEFAULT,
        .decompress_max_bytes = data[1] & 128 ? 20 : FUZZ_PLAIN_MAX,
    };
}

/* A producer may claim append time; then, as in Kafka, the claimed time is taken for that of all
 * records, and the claim is dropped. */
static void check_accepted(const struct validate_rules *rules, const struct validated *validated,
                           bool claimed)
{
    struct batch batch;
    struct record_reader reader;
    struct record record;
    must(validated->size <= (size_t)rules->max_message_bytes);
    must(batch_read(validated->data, validated->size, &batch) == 0);
    must((size_t)batch.size == validated->size && batch_checksum_ok(&batch));
    must(memcmp(&batch, &validated->batches[0], sizeof batch) == 0);
    must(!(batch.attributes & BATCH_LOG_APPEND_TIME) == !rules->log_append_time);
    must(validated->max_timestamp == batch.max_timestamp);
    int64_t count = 0;
    int err = record_reader_init(&reader, &batch, SIZE_MAX);
    while (err == 0 && (err = record_reader_next(&reader, NULL, &record)) == 0) {
        must(!rules->compacted || record.key.data);
        must(claimed || record.timestamp <= batch.max_timestamp);
        count++;
    }
    must(err == -ENODATA && count == validated->record_count);
    record_reader_close(&reader);
}

static int validate(const struct validate_rules *rules, uint8_t *data, size_t size, bool again)
{
    struct arena arena;
    struct validated validated;
    struct validate_failure failure;
    arena_init(&arena, ARENA_MAX);
    validate_is_heavy(rules, data, size);
    bool claimed = size >= BATCH_HEADER_SIZE && (data[22] & BATCH_LOG_APPEND_TIME);
    int err = validate_records(rules, data, size, &arena, &validated, &failure);
    if (err > 0) {
        must(err == KAFKA_CORRUPT_MESSAGE || err == KAFKA_INVALID_RECORD ||
             err == KAFKA_INVALID_TIMESTAMP || err == KAFKA_MESSAGE_TOO_LARGE ||
             err == KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
        must(failure.message && strlen(failure.message) > 0);
        must(failure.record_error_count <= VALIDATE_RECORD_ERRORS_MAX);
        for (int32_t i = 0; i < failure.record_error_count; i++)
            must(strlen(failure.record_errors[i].message) > 0);
    } else if (err == 0) {
        check_accepted(rules, &validated, claimed);
        struct validate_rules same = *rules;
        same.produce_version = 12;
        same.decompress_max_bytes = SIZE_MAX;
        if (!again && !claimed && !rules->log_append_time)
            must(validate(&same, validated.data, validated.size, true) == 0);
        validated_close(&validated);
    } else {
        must(err == -ENOMEM);
    }
    arena_close(&arena);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < RULES_SIZE)
        return 0;
    struct validate_rules rules = rules_of(data);
    bool repair = !(data[1] & 64);
    data += RULES_SIZE;
    size -= RULES_SIZE;
    uint8_t *copy = malloc(size ? size : 1);
    must(copy);
    memcpy(copy, data, size);
    if (repair)
        batch_repair(copy, size);
    validate(&rules, copy, size, false);
    free(copy);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (max_size < RULES_SIZE + 1 || size < RULES_SIZE || seed % 16 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    uint8_t *batch = data + RULES_SIZE;
    size_t room = max_size - RULES_SIZE;
    size_t got = seed % 16 == 1 ? batch_seed(seed / 16, batch, room)
                                : batch_mutate(batch, size - RULES_SIZE, room, seed / 16);
    return RULES_SIZE + got;
}
