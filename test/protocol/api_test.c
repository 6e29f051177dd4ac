#include "hex.h"

#include <errno.h>

#include "protocol/api.h"

static void the_table_is_indexed_by_key(void **state)
{
    (void)state;
    int removed = 0;
    for (int16_t key = 0; key < API_COUNT; key++) {
        if (!api_table[key].name)
            continue;
        assert_int_equal(api_table[key].key, key);
        if (!api_table[key].request) {
            removed++;
            assert_null(api_find(key));
            assert_false(api_has_version(&api_table[key], 0));
        } else {
            assert_ptr_equal(api_find(key), &api_table[key]);
            assert_int_equal(message_max_version(api_table[key].request),
                             message_max_version(api_table[key].response));
        }
    }
    assert_int_equal(removed,
                     4); /* LeaderAndIsr, StopReplica, UpdateMetadata, ControlledShutdown */
    assert_null(api_find(-1));
    assert_null(api_find(API_COUNT));
    assert_null(api_find(INT16_MAX));
}

static void rows_say_what_kafka_says(void **state)
{
    (void)state;
    const struct api *produce = api_find(API_PRODUCE);
    assert_string_equal(produce->name, "Produce");
    assert_int_equal(produce->min_version, 3);
    assert_int_equal(produce->max_version, 13);
    assert_int_equal(produce->request_flexible_version, 9);
    assert_int_equal(produce->listeners, API_ON_BROKER);
    assert_true(api_find(API_INIT_PRODUCER_ID)->latest_version_unstable);
    assert_int_equal(api_find(API_FETCH)->listeners, API_ON_BROKER | API_ON_CONTROLLER);
    assert_int_equal(api_find(API_VOTE)->listeners, API_ON_CONTROLLER);
    assert_int_equal(api_find(API_SASL_HANDSHAKE)->request_flexible_version, INT16_MAX);
}

static void request_headers_read_and_write_as_in_kafka(void **state)
{
    (void)state;
    const char *texts[] = {"001200030000000700026d6500", "0000000300000007ffff"};
    for (size_t i = 0; i < 2; i++) {
        struct bytes input = HEX(texts[i]);
        struct reader reader = reader_of(input.data, (size_t)input.size);
        struct request_header header;
        const struct api *api;
        assert_int_equal(request_header_decode(&reader, &header, &api), 0);
        assert_int_equal(reader_left(&reader), 0);
        assert_int_equal(header.correlation_id, 7);
        assert_int_equal(api->key, header.request_api_key);
        if (i == 0)
            assert_str(header.client_id, "me");
        else
            assert_null(header.client_id.data);
        struct writer writer = {0};
        assert_int_equal(request_header_encode(&header, &writer), 0);
        assert_hex(writer.data, writer.size, texts[i]);
        writer_close(&writer);
    }
}

static void a_header_of_an_unknown_version_can_be_read(void **state)
{
    (void)state;
    /* ApiVersions 99: newer versions are taken for flexible. */
    struct bytes input = HEX("0012 0063 00000007 0002 6d65 00 ff");
    struct reader reader = reader_of(input.data, (size_t)input.size);
    struct request_header header;
    const struct api *api;
    assert_int_equal(request_header_decode(&reader, &header, &api), 0);
    assert_int_equal(header.request_api_version, 99);
    assert_int_equal(reader_left(&reader), 1);
    assert_false(api_has_version(api, header.request_api_version));
}

static void bad_request_headers_are_refused(void **state)
{
    (void)state;
    struct {
        const char *text;
        int expected;
    } cases[] = {{"", -EBADMSG},
                 {"001200", -EBADMSG},
                 {"0012000300000007", -EBADMSG},
                 {"00120003000000070005616263", -EBADMSG},
                 {"0012000300000007fffe00", -EBADMSG},
                 {"0004000000000007ffff", -ENOTSUP}, /* LeaderAndIsr was removed */
                 {"7fff000000000007ffff", -ENOTSUP},
                 {"ffff000000000007ffff", -ENOTSUP}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes input = HEX(cases[i].text);
        struct reader reader = reader_of(input.data, (size_t)input.size);
        struct request_header header;
        const struct api *api;
        assert_int_equal(request_header_decode(&reader, &header, &api), cases[i].expected);
    }
}

static void the_response_header_of_api_versions_is_never_flexible(void **state)
{
    (void)state;
    struct writer writer = {0};
    assert_int_equal(response_header_encode(api_find(API_API_VERSIONS), 4, 7, &writer), 0);
    assert_hex(writer.data, writer.size, "00000007");
    writer.size = 0;
    assert_int_equal(response_header_encode(api_find(API_METADATA), 12, 7, &writer), 0);
    assert_hex(writer.data, writer.size, "0000000700");
    struct reader reader = reader_of(writer.data, writer.size);
    int32_t correlation_id = 0;
    assert_int_equal(response_header_decode(api_find(API_METADATA), 12, &reader, &correlation_id),
                     0);
    assert_int_equal(correlation_id, 7);
    assert_int_equal(reader_left(&reader), 0);
    writer.size = 0;
    assert_int_equal(response_header_encode(api_find(API_METADATA), 8, 7, &writer), 0);
    assert_hex(writer.data, writer.size, "00000007");
    writer_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_indexed_by_key),
        cmocka_unit_test(rows_say_what_kafka_says),
        cmocka_unit_test(request_headers_read_and_write_as_in_kafka),
        cmocka_unit_test(a_header_of_an_unknown_version_can_be_read),
        cmocka_unit_test(bad_request_headers_are_refused),
        cmocka_unit_test(the_response_header_of_api_versions_is_never_flexible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
