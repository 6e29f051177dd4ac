#include "hex.h"

#include <errno.h>
#include <stdlib.h>

#include "protocol/messages.h"
#include "protocol/tables.h"

/* The expected bytes were written by Apache Kafka 4.4.0's own classes. */

static int decode(const struct message_schema *schema, int16_t version, struct bytes input,
                  struct arena *arena, void *ret_message)
{
    struct reader reader = reader_of(input.data, (size_t)input.size);
    int err = message_decode(schema, version, &reader, arena, ret_message);
    if (err == 0)
        assert_int_equal(reader_left(&reader), 0);
    return err;
}

static void assert_encodes(const struct message_schema *schema, int16_t version,
                           const void *message, const char *expected)
{
    struct writer writer = {0};
    assert_int_equal(message_encode(schema, version, message, &writer, NULL), 0);
    assert_hex(writer.data, writer.size, expected);
    size_t size;
    assert_int_equal(message_size(schema, version, message, &size), 0);
    assert_int_equal(size, writer.size);
    writer_close(&writer);
}

static void a_flexible_request_reads_and_writes_as_in_kafka(void **state)
{
    struct arena *arena = *state;
    const char *text = "086a61636b64617704302e310363310000000700";
    struct api_versions_request request;
    assert_int_equal(decode(&api_versions_request_schema, 5, HEX(text), arena, &request), 0);
    assert_str(request.client_software_name, "jackdaw");
    assert_str(request.client_software_version, "0.1");
    assert_str(request.cluster_id, "c1");
    assert_int_equal(request.node_id, 7);
    assert_encodes(&api_versions_request_schema, 5, &request, text);
}

static void fields_that_a_version_lacks_have_their_defaults(void **state)
{
    struct arena *arena = *state;
    struct api_versions_request request;
    memset(&request, 0x55, sizeof request);
    struct bytes input = HEX("086a61636b64617704302e3100");
    assert_int_equal(decode(&api_versions_request_schema, 3, input, arena, &request), 0);
    assert_null(request.cluster_id.data);
    assert_int_equal(request.node_id, -1);
    assert_encodes(&api_versions_request_schema, 3, &request, "086a61636b64617704302e3100");
}

static void tagged_fields_are_written_only_when_not_at_their_default(void **state)
{
    struct arena *arena = *state;
    struct api_versions_response response;
    api_versions_response_init(&response);
    response.api_keys.items = api_versions_response_api_version_array(arena, 2);
    response.api_keys.count = 2;
    response.api_keys.items[0].max_version = 13;
    response.api_keys.items[1].api_key = 18;
    response.api_keys.items[1].max_version = 5;
    assert_encodes(&api_versions_response_schema, 3, &response,
                   "0000 03 0000 0000 000d 00 0012 0000 0005 00 00000000 00");
    response.supported_features.items = api_versions_response_supported_feature_key_array(arena, 1);
    response.supported_features.count = 1;
    response.supported_features.items[0].name = STR("metadata.version");
    response.supported_features.items[0].min_version = 7;
    response.supported_features.items[0].max_version = 33;
    response.finalized_features_epoch = 5;
    response.finalized_features.items = api_versions_response_finalized_feature_key_array(arena, 1);
    response.finalized_features.count = 1;
    response.finalized_features.items[0].name = STR("metadata.version");
    response.finalized_features.items[0].min_version_level = 33;
    response.finalized_features.items[0].max_version_level = 33;
    assert_encodes(&api_versions_response_schema, 3, &response,
                   "0000 03 0000 0000 000d 00 0012 0000 0005 00 00000000 03"
                   "0017 02 116d657461646174612e76657273696f6e 0007 0021 00"
                   "0108 0000000000000005"
                   "0217 02 116d657461646174612e76657273696f6e 0021 0021 00");
}

static void produce_points_at_the_records_of_the_input(void **state)
{
    struct arena *arena = *state;
    const char *text = "00ffff0000753002076f72646572730200000003060102030405000000";
    struct bytes input = HEX(text);
    struct produce_request request;
    assert_int_equal(decode(&produce_request_schema, 9, input, arena, &request), 0);
    assert_null(request.transactional_id.data);
    assert_int_equal(request.acks, -1);
    assert_int_equal(request.timeout_ms, 30000);
    assert_int_equal(request.topic_data.count, 1);
    assert_str(request.topic_data.items[0].name, "orders");
    assert_int_equal(request.topic_data.items[0].partition_data.count, 1);
    const struct records *records = &request.topic_data.items[0].partition_data.items[0].records;
    assert_int_equal(request.topic_data.items[0].partition_data.items[0].index, 3);
    assert_int_equal(records->size, 5);
    assert_ptr_equal(records->data, input.data + input.size - 8);
    assert_encodes(&produce_request_schema, 9, &request, text);
}

static void fetch_reads_and_writes_as_in_kafka(void **state)
{
    struct arena *arena = *state;
    const char *v13 =
        "ffffffff000001f4000000010010000000000000090000000202000000000000000100000000000000020200"
        "0000040000000600000000000003e8ffffffffffffffffffffffff0010000000000200000000000000030000"
        "0000000000040300000001000000020003723100";
    const char *v17 =
        "000001f400000001001000000000000009000000020200000000000000010000000000000002020000000400"
        "00000600000000000003e8ffffffffffffffffffffffff001000000100100000000000000005000000000000"
        "000600020000000000000003000000000000000403000000010000000200037231020003036331010d000000"
        "02000000000000004d00";
    struct fetch_request request;
    assert_int_equal(decode(&fetch_request_schema, 13, HEX(v13), arena, &request), 0);
    assert_int_equal(request.replica_id, -1);
    assert_int_equal(request.topics.items[0].partitions.items[0].fetch_offset, 1000);
    assert_encodes(&fetch_request_schema, 13, &request, v13);
    assert_int_equal(decode(&fetch_request_schema, 17, HEX(v17), arena, &request), 0);
    assert_str(request.cluster_id, "c1");
    assert_int_equal(request.replica_state.replica_id, 2);
    assert_int_equal(request.replica_state.replica_epoch, 77);
    assert_true(uuid_equal(request.topics.items[0].topic_id, uuid_of(1, 2)));
    assert_true(uuid_equal(request.topics.items[0].partitions.items[0].replica_directory_id,
                           uuid_of(5, 6)));
    assert_int_equal(request.topics.items[0].partitions.items[0].high_watermark, INT64_MAX);
    assert_int_equal(request.forgotten_topics_data.items[0].partitions.items[1], 2);
    assert_encodes(&fetch_request_schema, 17, &request, v17);
}

static void a_null_array_is_not_an_empty_one(void **state)
{
    struct arena *arena = *state;
    struct metadata_request request;
    assert_int_equal(decode(&metadata_request_schema, 12, HEX("00000000"), arena, &request), 0);
    assert_int_equal(request.topics.count, -1);
    assert_false(request.allow_auto_topic_creation);
    assert_encodes(&metadata_request_schema, 12, &request, "00000000");
    request.topics.count = 0;
    assert_encodes(&metadata_request_schema, 12, &request, "01000000");
    request.topics.count = -1;
    struct writer writer = {0};
    assert_int_equal(message_encode(&metadata_request_schema, 0, &request, &writer, NULL), -EINVAL);
    writer_close(&writer);
    /* Version 0 has no null array. */
    assert_int_equal(decode(&metadata_request_schema, 0, HEX("ffffffff"), arena, &request),
                     -EBADMSG);
}

static void metadata_reads_and_writes_as_in_kafka(void **state)
{
    struct arena *arena = *state;
    const char *text =
        "000000000200000001026800002384000003633100000001020000076f726465727300000000000000010000"
        "0000000000020002000000000000000000010000000303000000010000000202000000010100800000000000";
    struct metadata_response response;
    assert_int_equal(decode(&metadata_response_schema, 12, HEX(text), arena, &response), 0);
    assert_int_equal(response.brokers.items[0].port, 9092);
    assert_null(response.brokers.items[0].rack.data);
    const struct metadata_response_topic *topic = &response.topics.items[0];
    assert_str(topic->name, "orders");
    assert_int_equal(topic->partitions.items[0].replica_nodes.count, 2);
    assert_int_equal(topic->partitions.items[0].isr_nodes.items[0], 1);
    assert_int_equal(topic->topic_authorized_operations, INT32_MIN);
    assert_encodes(&metadata_response_schema, 12, &response, text);
}

static void a_nullable_struct_is_a_pointer(void **state)
{
    struct arena *arena = *state;
    const char *text = "02026100000007d0010262000000050000";
    struct describe_topic_partitions_request request;
    assert_int_equal(
        decode(&describe_topic_partitions_request_schema, 0, HEX(text), arena, &request), 0);
    assert_str(request.cursor->topic_name, "b");
    assert_int_equal(request.cursor->partition_index, 5);
    assert_encodes(&describe_topic_partitions_request_schema, 0, &request, text);
    describe_topic_partitions_request_init(&request);
    assert_null(request.cursor);
    assert_encodes(&describe_topic_partitions_request_schema, 0, &request, "01000007d0ff00");
}

static void a_nullable_struct_whose_default_is_not_null_points_at_one(void **state)
{
    struct arena *arena = *state;
    struct consumer_group_member_metadata_value value;
    consumer_group_member_metadata_value_init(&value);
    assert_non_null(value.classic_member_metadata);
    struct writer writer = {0};
    value.classic_member_metadata = NULL;
    assert_int_equal(
        message_encode(&consumer_group_member_metadata_value_schema, 0, &value, &writer, NULL), 0);
    /* One tagged field, number 0, of one byte: null. */
    assert_hex(writer.data + writer.size - 4, 4, "01000100");
    struct bytes input = {writer.data, (int32_t)writer.size};
    assert_int_equal(decode(&consumer_group_member_metadata_value_schema, 0, input, arena, &value),
                     0);
    assert_null(value.classic_member_metadata);
    writer_close(&writer);
}

static void unknown_tagged_fields_are_skipped(void **state)
{
    struct arena *arena = *state;
    struct api_versions_request request;
    struct bytes input = HEX("086a61636b64617704302e31 02 05 03aabbcc 8101 00");
    assert_int_equal(decode(&api_versions_request_schema, 3, input, arena, &request), 0);
    assert_encodes(&api_versions_request_schema, 3, &request, "086a61636b64617704302e3100");
}

static void a_tagged_field_must_fill_its_size(void **state)
{
    struct arena *arena = *state;
    struct fetch_request request;
    const char *front = "000001f40000000100100000000000000900000002010101";
    struct {
        const char *tags;
        int expected;
    } cases[] = {{"01 01 0d 00000002 000000000000004d 00", 0},
                 {"01 01 0e 00000002 000000000000004d 00 00", -EBADMSG},
                 {"01 01 0c 00000002 000000000000004d", -EBADMSG},
                 {"01 01 7f 00000002 000000000000004d 00", -EBADMSG},
                 {"01 01", -EBADMSG},
                 {"ffffffff0f", -EBADMSG}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t data[128];
        struct bytes head = HEX(front);
        struct bytes tags = HEX(cases[i].tags);
        memcpy(data, head.data, (size_t)head.size);
        memcpy(data + head.size, tags.data, (size_t)tags.size);
        struct bytes input = {data, head.size + tags.size};
        assert_int_equal(decode(&fetch_request_schema, 15, input, arena, &request),
                         cases[i].expected);
    }
}

static void hostile_lengths_are_refused_before_memory_is_taken(void **state)
{
    struct arena *arena = *state;
    struct metadata_request metadata;
    struct produce_request produce;
    /* Counts of two thousand million topics, then -2; strings of -2 and of more than is there. */
    const char *metadata_v4[] = {"7fffffff01",     "fffffffe01",       "00000001fffe01",
                                 "00000001000461", "0000000200016101", "0000"};
    for (size_t i = 0; i < sizeof metadata_v4 / sizeof *metadata_v4; i++)
        assert_int_equal(decode(&metadata_request_schema, 4, HEX(metadata_v4[i]), arena, &metadata),
                         -EBADMSG);
    /* Compact forms: counts and lengths of 2^32 - 2, a uvarint of six bytes, an empty body. */
    const char *produce_v9[] = {"00ffff00007530ffffffff0f",
                                "00ffff0000753002ffffffff0f",
                                "00ffff000075300202610200000003ffffffff0f",
                                "00ffff000075300202610200000003ffffffffff01",
                                "ffffffff0f",
                                ""};
    for (size_t i = 0; i < sizeof produce_v9 / sizeof *produce_v9; i++)
        assert_int_equal(decode(&produce_request_schema, 9, HEX(produce_v9[i]), arena, &produce),
                         -EBADMSG);
    assert_true(arena->used_bytes < 1024);
}

static void every_cut_of_a_message_is_refused(void **state)
{
    struct arena *arena = *state;
    const char *text = "02026100000007d0010262000000050000";
    struct bytes whole = HEX(text);
    for (int32_t size = 0; size < whole.size; size++) {
        /* An allocation of its own lets the sanitizer see a read past the end. */
        uint8_t *copy = malloc((size_t)size + 1);
        memcpy(copy, whole.data, (size_t)size);
        struct describe_topic_partitions_request request;
        assert_int_equal(decode(&describe_topic_partitions_request_schema, 0,
                                (struct bytes){copy, size}, arena, &request),
                         -EBADMSG);
        free(copy);
    }
}

static void the_arena_limit_ends_decoding(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 32);
    struct metadata_request request;
    struct bytes input = HEX("00000003 000161 000162 000163");
    assert_int_equal(decode(&metadata_request_schema, 0, input, &arena, &request), -ENOMEM);
    arena_close(&arena);
}

static void versions_outside_the_range_are_refused(void **state)
{
    struct arena *arena = *state;
    struct produce_request request;
    produce_request_init(&request);
    struct writer writer = {0};
    size_t size;
    const int16_t versions[] = {-1, 2, 14, INT16_MAX, INT16_MIN};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        assert_int_equal(decode(&produce_request_schema, versions[i], HEX("00"), arena, &request),
                         -ENOTSUP);
        assert_int_equal(
            message_encode(&produce_request_schema, versions[i], &request, &writer, NULL),
            -ENOTSUP);
        assert_int_equal(message_size(&produce_request_schema, versions[i], &request, &size),
                         -ENOTSUP);
    }
    assert_int_equal(writer.size, 0);
}

static void a_value_that_the_version_cannot_carry_is_refused_unless_ignorable(void **state)
{
    (void)state;
    struct metadata_request request;
    struct fetch_response response;
    struct writer writer = {0};
    metadata_request_init(&request);
    request.topics.count = 0;
    assert_int_equal(message_encode(&metadata_request_schema, 0, &request, &writer, NULL), 0);
    request.allow_auto_topic_creation = false;
    assert_int_equal(message_encode(&metadata_request_schema, 0, &request, &writer, NULL),
                     -ENOTSUP);
    writer.size = 0;
    fetch_response_init(&response);
    response.error_code = 3; /* ignorable before version 7 */
    assert_int_equal(message_encode(&fetch_response_schema, 4, &response, &writer, NULL), 0);
    assert_hex(writer.data, writer.size, "0000000000000000");
    response.session_id = 1; /* not ignorable */
    assert_int_equal(message_encode(&fetch_response_schema, 4, &response, &writer, NULL), -ENOTSUP);
    writer_close(&writer);
}

static void null_where_null_is_not_allowed_is_refused(void **state)
{
    (void)state;
    struct api_versions_request request;
    struct writer writer = {0};
    api_versions_request_init(&request);
    request.client_software_name = (struct str){0};
    assert_int_equal(message_encode(&api_versions_request_schema, 3, &request, &writer, NULL),
                     -EINVAL);
    static char text[INT16_MAX + 1];
    request.client_software_name = (struct str){text, sizeof text};
    assert_int_equal(message_encode(&api_versions_request_schema, 3, &request, &writer, NULL),
                     -EINVAL);
    request.client_software_name.size--;
    assert_int_equal(message_encode(&api_versions_request_schema, 3, &request, &writer, NULL), 0);
    writer_close(&writer);
}

struct splice {
    size_t position;
    void *external;
    int32_t size;
};

static void remember_splice(void *context, size_t position, void *external, int32_t size)
{
    *(struct splice *)context = (struct splice){position, external, size};
}

static void external_records_leave_a_gap_for_their_bytes(void **state)
{
    struct arena *arena = *state;
    struct fetch_response response;
    fetch_response_init(&response);
    response.responses.items = fetch_response_fetchable_topic_response_array(arena, 1);
    response.responses.count = 1;
    response.responses.items[0].partitions.items = fetch_response_partition_data_array(arena, 1);
    response.responses.items[0].partitions.count = 1;
    struct records *records = &response.responses.items[0].partitions.items[0].records;
    uint8_t data[300] = {7};
    struct writer plain = {0};
    struct writer spliced = {0};
    *records = (struct records){.data = data, .size = sizeof data};
    assert_int_equal(message_encode(&fetch_response_schema, 17, &response, &plain, NULL), 0);
    int file;
    *records = (struct records){.external = &file, .size = sizeof data};
    struct splice splice = {0};
    struct message_sink sink = {remember_splice, &splice};
    assert_int_equal(message_encode(&fetch_response_schema, 17, &response, &spliced, &sink), 0);
    assert_ptr_equal(splice.external, &file);
    assert_int_equal(splice.size, sizeof data);
    assert_int_equal(spliced.size + sizeof data, plain.size);
    assert_memory_equal(spliced.data, plain.data, splice.position);
    assert_memory_equal(spliced.data + splice.position, plain.data + splice.position + sizeof data,
                        spliced.size - splice.position);
    size_t size;
    assert_int_equal(message_size(&fetch_response_schema, 17, &response, &size), 0);
    assert_int_equal(size, plain.size);
    writer_close(&plain);
    writer_close(&spliced);
}

static void every_message_survives_the_way_there_and_back_in_every_version(void **state)
{
    struct arena *arena = *state;
    assert_true(protocol_message_count > 250);
    for (unsigned i = 0; i < protocol_message_count; i++) {
        const struct message_schema *schema = protocol_messages[i];
        for (int16_t v = message_min_version(schema); v <= message_max_version(schema); v++) {
            void *message = arena_alloc(arena, message_struct_size(schema));
            struct writer first = {0};
            struct writer second = {0};
            message_init(schema, message);
            int err = message_encode(schema, v, message, &first, NULL);
            if (err == -EINVAL) { /* a default of null that this version does not have */
                writer_close(&first);
                continue;
            }
            assert_int_equal(err, 0);
            struct bytes input = {first.data ? first.data : (const uint8_t *)"",
                                  (int32_t)first.size};
            assert_int_equal(decode(schema, v, input, arena, message), 0);
            assert_int_equal(message_encode(schema, v, message, &second, NULL), 0);
            assert_int_equal(first.size, second.size);
            if (first.size > 0)
                assert_memory_equal(first.data, second.data, first.size);
            writer_close(&first);
            writer_close(&second);
        }
    }
}

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

#define arena_test(name) cmocka_unit_test_setup_teardown(name, make_arena, drop_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        arena_test(a_flexible_request_reads_and_writes_as_in_kafka),
        arena_test(fields_that_a_version_lacks_have_their_defaults),
        arena_test(tagged_fields_are_written_only_when_not_at_their_default),
        arena_test(produce_points_at_the_records_of_the_input),
        arena_test(fetch_reads_and_writes_as_in_kafka),
        arena_test(a_null_array_is_not_an_empty_one),
        arena_test(metadata_reads_and_writes_as_in_kafka),
        arena_test(a_nullable_struct_is_a_pointer),
        arena_test(a_nullable_struct_whose_default_is_not_null_points_at_one),
        arena_test(unknown_tagged_fields_are_skipped),
        arena_test(a_tagged_field_must_fill_its_size),
        arena_test(hostile_lengths_are_refused_before_memory_is_taken),
        arena_test(every_cut_of_a_message_is_refused),
        arena_test(the_arena_limit_ends_decoding),
        arena_test(versions_outside_the_range_are_refused),
        arena_test(a_value_that_the_version_cannot_carry_is_refused_unless_ignorable),
        arena_test(null_where_null_is_not_allowed_is_refused),
        arena_test(external_records_leave_a_gap_for_their_bytes),
        arena_test(every_message_survives_the_way_there_and_back_in_every_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
