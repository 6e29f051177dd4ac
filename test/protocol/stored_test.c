#include "hex.h"

#include <errno.h>

#include "protocol/stored.h"

/* Written by Apache Kafka 4.4.0's serializers. */
#define PARTITION_CHANGE                                                                           \
    "010501 00000002 00000000000000010000000000000002 02 0009030000000100000002 010400000001"

static int make_arena(void **state)
{
    static struct arena arena;
    arena_init(&arena, 0);
    *state = &arena;
    return 0;
}

static int drop_arena(void **state)
{
    arena_close(*state);
    return 0;
}

static void metadata_records_read_and_write_as_in_kafka(void **state)
{
    struct arena *arena = *state;
    const struct metadata_record_type *type;
    int16_t version;
    void *record;
    assert_int_equal(metadata_record_decode(HEX(PARTITION_CHANGE), arena, &type, &version, &record),
                     0);
    assert_int_equal(type->type, METADATA_PARTITION_CHANGE_RECORD);
    assert_string_equal(type->name, "PartitionChangeRecord");
    assert_int_equal(version, 1);
    const struct partition_change_record *change = record;
    assert_int_equal(change->partition_id, 2);
    assert_int_equal(change->isr.count, 2);
    assert_int_equal(change->leader, 1);
    assert_int_equal(change->replicas.count, -1);
    assert_int_equal(change->leader_recovery_state, -1);
    struct writer writer = {0};
    assert_int_equal(metadata_record_encode(type->type, version, record, &writer), 0);
    assert_hex(writer.data, writer.size, PARTITION_CHANGE);
    writer_close(&writer);
}

static void bad_metadata_records_are_refused(void **state)
{
    struct arena *arena = *state;
    struct {
        const char *text;
        int expected;
    } cases[] = {{PARTITION_CHANGE "00", -EBADMSG}, /* trailing byte */
                 {"011400 00", 0},                  /* NoOpRecord */
                 {"001400 00", -ENOTSUP},           /* frame version 0 */
                 {"021400 00", -ENOTSUP},
                 {"016400 00", -ENOTSUP}, /* type 100 */
                 {"011401 00", -ENOTSUP}, /* version 1 */
                 {"0194ffffff0f00 00", -ENOTSUP},
                 {"0114", -EBADMSG},
                 {"", -EBADMSG}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct metadata_record_type *type;
        int16_t version;
        void *record;
        assert_int_equal(
            metadata_record_decode(HEX(cases[i].text), arena, &type, &version, &record),
            cases[i].expected);
    }
    struct no_op_record no_op = {0};
    struct writer writer = {0};
    assert_int_equal(metadata_record_encode(100, 0, &no_op, &writer), -ENOTSUP);
    assert_int_equal(metadata_record_encode(METADATA_NO_OP_RECORD, 1, &no_op, &writer), -ENOTSUP);
    assert_int_equal(writer.size, 0);
}

static void coordinator_records_read_and_write_as_in_kafka(void **state)
{
    struct arena *arena = *state;
    const char *key_text = "0001 0001 67 0001 74 00000001";
    const char *value_text = "0004 000000000000002a 00000003 026d 0000000000000063 00";
    const struct coordinator_record_type *type;
    void *key;
    assert_int_equal(coordinator_key_decode(COORDINATOR_GROUP, HEX(key_text), arena, &type, &key),
                     0);
    assert_int_equal(type->type, GROUP_RECORD_OFFSET_COMMIT);
    assert_str(((struct offset_commit_key *)key)->group, "g");
    int16_t version;
    void *value;
    assert_int_equal(versioned_decode(type->value, HEX(value_text), arena, &version, &value), 0);
    assert_int_equal(version, 4);
    assert_int_equal(((struct offset_commit_value *)value)->offset, 42);
    assert_int_equal(((struct offset_commit_value *)value)->expire_timestamp, -1);
    struct writer writer = {0};
    assert_int_equal(coordinator_key_encode(type, key, &writer), 0);
    assert_hex(writer.data, writer.size, key_text);
    writer.size = 0;
    assert_int_equal(versioned_encode(type->value, version, value, &writer), 0);
    assert_hex(writer.data, writer.size, value_text);
    writer_close(&writer);
}

static void coordinator_types_belong_to_their_topic(void **state)
{
    struct arena *arena = *state;
    const struct coordinator_record_type *type;
    void *key;
    assert_string_equal(coordinator_record_find(COORDINATOR_TRANSACTION, 0)->name,
                        "TransactionLog");
    assert_string_equal(coordinator_record_find(COORDINATOR_SHARE, 1)->name, "ShareUpdate");
    assert_null(coordinator_record_find(COORDINATOR_TRANSACTION, 1));
    assert_null(coordinator_record_find(COORDINATOR_GROUP, 9));
    assert_int_equal(coordinator_key_decode(COORDINATOR_GROUP, HEX("0009"), arena, &type, &key),
                     -ENOTSUP);
    assert_int_equal(coordinator_key_decode(COORDINATOR_GROUP, HEX("00"), arena, &type, &key),
                     -EBADMSG);
}

static void newer_versions_of_the_consumer_protocol_are_read_as_the_newest(void **state)
{
    struct arena *arena = *state;
    struct bytes value = HEX("0009 00000001 0001 74 ffffffff 00000000 ffffffff ffff ee");
    int16_t version;
    void *message;
    assert_int_equal(
        versioned_decode(&consumer_protocol_subscription_schema, value, arena, &version, &message),
        -ENOTSUP);
    assert_int_equal(versioned_decode_newest(&consumer_protocol_subscription_schema, value, arena,
                                             &version, &message),
                     0);
    assert_int_equal(version, 3);
    assert_str(((struct consumer_protocol_subscription *)message)->topics.items[0], "t");
    assert_int_equal(versioned_decode_newest(&consumer_protocol_subscription_schema, HEX("ffff00"),
                                             arena, &version, &message),
                     -ENOTSUP);
}

static void control_records_are_read_at_schema_version_0(void **state)
{
    struct arena *arena = *state;
    void *message;
    /* The Version field says 1, the voters have no directory id. */
    struct bytes value = HEX("0001 00000003 02 00000003 00 01 00");
    assert_int_equal(control_record_decode(&leader_change_message_schema, value, arena, &message),
                     0);
    struct leader_change_message *change = message;
    assert_int_equal(change->version, 1);
    assert_int_equal(change->leader_id, 3);
    assert_int_equal(change->voters.items[0].voter_id, 3);
    struct writer writer = {0};
    assert_int_equal(control_record_encode(&leader_change_message_schema, change, &writer), 0);
    assert_hex(writer.data, writer.size, "0001 00000003 02 00000003 00 01 00");
    writer_close(&writer);
}

#define arena_test(name) cmocka_unit_test_setup_teardown(name, make_arena, drop_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        arena_test(metadata_records_read_and_write_as_in_kafka),
        arena_test(bad_metadata_records_are_refused),
        arena_test(coordinator_records_read_and_write_as_in_kafka),
        arena_test(coordinator_types_belong_to_their_topic),
        arena_test(newer_versions_of_the_consumer_protocol_are_read_as_the_newest),
        arena_test(control_records_are_read_at_schema_version_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
