/* Records of __transaction_state as hostile as they come: any bytes, and records whose fields are
 * anything. What the fold takes can be asked about and ended, its timers decide something, and its
 * markers are made and given back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "fold_shard.h"
#include "protocol/stored.h"
#include "txn/txn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str names[] = {STR("t"), STR(""), STR("u"), STR("topic")};

static struct str name_of(struct fuzz_input *input)
{
    return fuzz_name(input, names, sizeof names / sizeof *names);
}

static void write_markers(void *server, struct txn_markers *markers, struct wakes *wakes)
{
    (void)server, (void)markers, (void)wakes;
    must(false); /* nothing is ever committed here */
}

static int take_producer_id(void *server, int64_t *ret_producer_id)
{
    int64_t *next = server;
    if (*next % 3 == 0) {
        ++*next;
        return -EAGAIN;
    }
    *ret_producer_id = (*next)++;
    return 0;
}

static void want_producer_ids(void *server, struct wakes *wakes)
{
    (void)server, (void)wakes;
}

static bool write_value(struct fuzz_input *input, struct writer *out)
{
    const struct coordinator_record_type *row = coordinator_record_find(COORDINATOR_TRANSACTION, 0);
    struct transaction_log_value_partitions_schema topics[5];
    int32_t numbers[5][4];
    struct transaction_log_value value;
    transaction_log_value_init(&value);
    int16_t version = fuzz_byte(input) & 1;
    value.producer_id = fuzz_number(input);
    value.producer_epoch = (int16_t)fuzz_number(input);
    value.transaction_timeout_ms = (int32_t)fuzz_number(input);
    value.transaction_status = (int8_t)(fuzz_byte(input) % 9);
    value.transaction_last_update_timestamp_ms = fuzz_number(input);
    value.transaction_start_timestamp_ms = fuzz_number(input);
    if (version > 0) {
        value.previous_producer_id = fuzz_number(input);
        value.next_producer_id = fuzz_number(input);
        value.client_transaction_version = (int16_t)(fuzz_byte(input) % 4);
    }
    value.transaction_partitions.items = topics;
    value.transaction_partitions.count = fuzz_byte(input) % 6;
    for (int32_t t = 0; t < value.transaction_partitions.count; t++) {
        transaction_log_value_partitions_schema_init(&topics[t]);
        topics[t].topic = name_of(input);
        topics[t].partition_ids.items = numbers[t];
        topics[t].partition_ids.count = fuzz_byte(input) % 5;
        for (int32_t p = 0; p < topics[t].partition_ids.count; p++)
            numbers[t][p] = (int32_t)fuzz_number(input);
    }
    write_int16(out, version);
    return message_encode(row->value, version, &value, out, NULL) == 0;
}

static void step(struct fold_shard *fold, struct fuzz_input *input)
{
    struct writer key = {0}, value = {0};
    uint8_t kind = fuzz_byte(input);
    bool written = true, tombstone = kind % 4 == 3;
    if (kind % 4 == 0) {
        struct bytes any = fuzz_bytes(input, 255), more = fuzz_bytes(input, 255);
        write_bytes(&key, any.data, (size_t)any.size);
        write_bytes(&value, more.data, (size_t)more.size);
    } else {
        struct str id = name_of(input);
        write_int16(&key, 0);
        write_int16(&key, (int16_t)id.size);
        write_bytes(&key, id.data, (size_t)id.size);
        written = tombstone || write_value(input, &value);
    }
    struct coord_record record = {
        .timestamp = fuzz_number(input), .producer_id = -1, .key = {key.data, (int32_t)key.size}};
    if (!tombstone)
        record.value =
            (struct bytes){value.data ? value.data : (const uint8_t *)"", (int32_t)value.size};
    if (written && record.key.size > 0)
        fold_shard_apply(fold, &record);
    writer_close(&key);
    writer_close(&value);
}

/* What a client may ask of each. */
static void ask(struct fold_shard *fold, struct fuzz_input *input)
{
    struct arena arena;
    struct list_transactions_request filters;
    struct txn_list_op list = {.filters = &filters, .arena = &arena};
    arena_init(&arena, 0);
    list_transactions_request_init(&filters);
    filters.duration_filter = fuzz_number(input);
    txn_list_op(&list);
    must(fold_shard_decide(fold, &list.op) == 0);
    for (int32_t i = 0; i < list.count && i < 20; i++) {
        const struct str id = list.states[i].transactional_id;
        struct describe_transactions_response_transaction_state described;
        struct txn_describe_op describe = {
            .transactional_id = id, .arena = &arena, .ret = &described};
        describe_transactions_response_transaction_state_init(&described);
        txn_describe_op(&describe);
        must(fold_shard_decide(fold, &describe.op) == 0);
        struct txn_init_op init = {.transactional_id = id,
                                   .timeout_ms = 1000,
                                   .expected_id = fuzz_number(input),
                                   .expected_epoch = (int16_t)fuzz_number(input)};
        txn_init_op(&init);
        (void)fold_shard_decide(fold, &init.op);
        int32_t partition = (int32_t)fuzz_number(input);
        struct txn_topic topic = {name_of(input), &partition, 1};
        struct txn_add_op add = {.transactional_id = id,
                                 .producer_id = described.producer_id,
                                 .producer_epoch = described.producer_epoch,
                                 .client_version = 2,
                                 .partitions = {&topic, 1}};
        txn_add_op(&add);
        (void)fold_shard_decide(fold, &add.op);
        struct txn_end_op end = {.transactional_id = id,
                                 .producer_id = described.producer_id,
                                 .producer_epoch =
                                     (int16_t)(described.producer_epoch - (fuzz_byte(input) & 1)),
                                 .client_version = fuzz_byte(input) % 3,
                                 .commit = fuzz_byte(input) & 1};
        txn_end_op(&end);
        (void)fold_shard_decide(fold, &end.op);
    }
    arena_close(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size > 32 ? size - 32 : 0};
    struct fuzz_input questions = {data + input.left, size - input.left};
    int64_t next = 1;
    const struct txn_host host = {&next, write_markers, take_producer_id, want_producer_ids};
    struct fold_shard *fold = calloc(1, sizeof *fold);
    must(fold);
    fold_shard_init(fold, &txn_fold, (void *)(uintptr_t)&host);
    while (input.left > 0)
        step(fold, &input);
    fold_shard_load(fold);
    ask(fold, &questions);
    fold_shard_pass(fold, 5000, 40, KAFKA_NOT_COORDINATOR);
    fold_shard_close(fold);
    free(fold);
    return 0;
}
