#include "hex.h"

#include <math.h>

#include "protocol/messages.h"

static void assert_prints(const struct message_schema *schema, int16_t version, const void *message,
                          const char *expected)
{
    struct writer writer = {0};
    assert_int_equal(message_print(schema, version, message, &writer), 0);
    write_int8(&writer, 0);
    assert_string_equal((const char *)writer.data, expected);
    writer_close(&writer);
}

static void messages_print_as_kafkas_json(void **state)
{
    (void)state;
    struct bytes input = HEX("00ffff0000753002076f72646572730200000003060102030405000000");
    struct arena arena;
    arena_init(&arena, 0);
    struct produce_request request;
    struct reader reader = reader_of(input.data, (size_t)input.size);
    assert_int_equal(message_decode(&produce_request_schema, 9, &reader, &arena, &request), 0);
    assert_prints(&produce_request_schema, 9, &request,
                  "{\"transactionalId\":null,\"acks\":-1,\"timeoutMs\":30000,\"topicData\":[{"
                  "\"name\":\"orders\",\"partitionData\":[{\"index\":3,"
                  "\"recordsSizeInBytes\":5}]}]}");
    arena_close(&arena);
}

static void tagged_fields_print_when_set(void **state)
{
    (void)state;
    struct partition_change_record change;
    int32_t isr[] = {1, 2};
    partition_change_record_init(&change);
    change.partition_id = 2;
    change.topic_id = uuid_of(1, 2);
    change.isr.items = isr;
    change.isr.count = 2;
    change.leader = 1;
    assert_prints(&partition_change_record_schema, 1, &change,
                  "{\"partitionId\":2,\"topicId\":\"AAAAAAAAAAEAAAAAAAAAAg\",\"isr\":[1,2],"
                  "\"leader\":1}");
}

static void bytes_print_in_base64(void **state)
{
    (void)state;
    struct envelope_request request;
    envelope_request_init(&request);
    request.request_data = (struct bytes){(const uint8_t *)"\1\2\3\4", 4};
    request.request_principal = (struct bytes){(const uint8_t *)"\x9", 1};
    assert_prints(&envelope_request_schema, 0, &request,
                  "{\"requestData\":\"AQIDBA==\",\"requestPrincipal\":\"CQ==\","
                  "\"clientHostAddress\":\"\"}");
}

static void strings_and_numbers_are_valid_json_whatever_they_hold(void **state)
{
    (void)state;
    struct client_quota_record record;
    client_quota_record_init(&record);
    record.key = STR("k\n\"\\\x01\xc3\xa9\xff\xc0\x80\xed\xa0\x80");
    record.value = 0.1;
    assert_prints(&client_quota_record_schema, 0, &record,
                  "{\"entity\":[],\"key\":\"k\\u000a\\\"\\\\\\u0001\xc3\xa9\\ufffd\\ufffd\\ufffd"
                  "\\ufffd\\ufffd\\ufffd\",\"value\":0.1,\"remove\":false}");
    record.key = STR("");
    record.value = -INFINITY;
    assert_prints(&client_quota_record_schema, 0, &record,
                  "{\"entity\":[],\"key\":\"\",\"value\":\"-Infinity\",\"remove\":false}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_print_as_kafkas_json),
        cmocka_unit_test(tagged_fields_print_when_set),
        cmocka_unit_test(bytes_print_in_base64),
        cmocka_unit_test(strings_and_numbers_are_valid_json_whatever_they_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
