/* Messages as they are found in records, and every other one: the first byte says which way the
 * rest is read. */
#include <errno.h>

#include "base/must.h"
#include "decode.h"
#include "protocol/stored.h"
#include "protocol/tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

enum way { ANY_MESSAGE, METADATA, COORDINATOR, CONTROL, VERSIONED, WAYS };

#define ANY_MESSAGE_HEAD 4 /* way, index (2), version */

static void check_metadata(struct bytes value, struct arena *arena)
{
    const struct metadata_record_type *type;
    int16_t version;
    void *record;
    if (metadata_record_decode(value, arena, &type, &version, &record) < 0)
        return;
    must(arena->used_bytes <= message_arena_bound(type->schema, (size_t)value.size) +
                                  message_struct_size(type->schema) + 15);
    struct writer writer = {0};
    must(metadata_record_encode(type->type, version, record, &writer) == 0);
    writer_close(&writer);
}

/* The first byte names the topic; key and value are the same bytes. */
static void check_coordinator(struct bytes data, struct arena *arena)
{
    const struct coordinator_record_type *type;
    int16_t version;
    void *message;
    struct writer writer = {0};
    if (data.size == 0)
        return;
    enum coordinator_topic topic = (enum coordinator_topic)(data.data[0] % 3);
    struct bytes rest = {data.data + 1, data.size - 1};
    if (coordinator_key_decode(topic, rest, arena, &type, &message) < 0)
        return;
    must(coordinator_key_encode(type, message, &writer) == 0);
    if (versioned_decode(type->value, rest, arena, &version, &message) == 0)
        must(versioned_encode(type->value, version, message, &writer) == 0);
    writer_close(&writer);
}

static void check_control(struct bytes value, struct arena *arena)
{
    const struct message_schema *const schemas[] = {
        &leader_change_message_schema, &snapshot_header_record_schema,
        &snapshot_footer_record_schema, &kraft_version_record_schema, &voters_record_schema};
    for (size_t i = 0; i < array_size(schemas); i++) {
        void *message;
        struct writer writer = {0};
        if (control_record_decode(schemas[i], value, arena, &message) == 0)
            must(control_record_encode(schemas[i], message, &writer) == 0);
        writer_close(&writer);
    }
}

static void check_versioned(struct bytes value, struct arena *arena)
{
    const struct message_schema *const schemas[] = {
        &consumer_protocol_subscription_schema, &consumer_protocol_assignment_schema,
        &default_principal_data_schema, &control_record_type_schema_schema, &end_txn_marker_schema};
    for (size_t i = 0; i < array_size(schemas); i++) {
        int16_t version;
        void *message;
        struct writer writer = {0};
        if (versioned_decode_newest(schemas[i], value, arena, &version, &message) == 0)
            must(versioned_encode(schemas[i], version, message, &writer) == 0);
        writer_close(&writer);
    }
}

static void check_any_message(const uint8_t *data, size_t size)
{
    if (size < ANY_MESSAGE_HEAD)
        return;
    const struct message_schema *schema =
        protocol_messages[load_be16(data + 1) % protocol_message_count];
    decode_and_check(schema, (int8_t)data[3], data + ANY_MESSAGE_HEAD, size - ANY_MESSAGE_HEAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bytes rest = {data + 1, (int32_t)size - 1};
    struct arena arena;
    arena_init(&arena, 0);
    switch ((enum way)(data[0] % WAYS)) {
    case ANY_MESSAGE:
        check_any_message(data, size);
        break;
    case METADATA:
        check_metadata(rest, &arena);
        break;
    case COORDINATOR:
        check_coordinator(rest, &arena);
        break;
    case CONTROL:
        check_control(rest, &arena);
        break;
    case VERSIONED:
        check_versioned(rest, &arena);
        break;
    case WAYS:
        break;
    }
    arena_close(&arena);
    return 0;
}

/* Now and then a valid message, else libFuzzer's own mutations. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (seed % 64 > 0 || max_size <= ANY_MESSAGE_HEAD)
        return LLVMFuzzerMutate(data, size, max_size);
    uint16_t index = (uint16_t)(seed / 64 % protocol_message_count);
    const struct message_schema *schema = protocol_messages[index];
    unsigned versions = (unsigned)(message_max_version(schema) - message_min_version(schema) + 1);
    int16_t version = (int16_t)(message_min_version(schema) + (int)(seed / 32768 % versions));
    data[0] = ANY_MESSAGE;
    store_be16(data + 1, index);
    data[3] = (uint8_t)version;
    return ANY_MESSAGE_HEAD +
           decode_seed(schema, version, seed, data + ANY_MESSAGE_HEAD, max_size - ANY_MESSAGE_HEAD);
}
