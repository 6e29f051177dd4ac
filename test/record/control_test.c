#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>

#include "record/control.h"

static void an_end_of_transaction_reads_back(void **state)
{
    (void)state;
    for (int commit = 0; commit < 2; commit++) {
        struct writer out = {0};
        struct end_transaction end = {.commit = commit, .coordinator_epoch = 17};
        const struct end_transaction_batch place = {.base_offset = 40,
                                                    .timestamp = 5000,
                                                    .leader_epoch = 3,
                                                    .producer_id = 9,
                                                    .producer_epoch = 2};
        assert_int_equal(end_transaction_write(&end, &place, &out), 0);
        struct batch batch;
        struct record_reader reader;
        struct record record;
        assert_int_equal(batch_read(out.data, out.size, &batch), 0);
        assert_true(batch_is_control(&batch) && batch_is_transactional(&batch));
        assert_true(batch_checksum_ok(&batch));
        assert_int_equal(batch.producer_id, 9);
        assert_int_equal(batch.base_sequence, NO_SEQUENCE);
        assert_int_equal(record_reader_init(&reader, &batch, 0), 0);
        assert_int_equal(record_reader_next(&reader, NULL, &record), 0);
        end = (struct end_transaction){0};
        assert_int_equal(end_transaction_read(&record, &end), 0);
        assert_int_equal(end.commit, commit);
        assert_int_equal(end.coordinator_epoch, 17);
        assert_int_equal(record.value.size, 6);
        record_reader_close(&reader);
        writer_close(&out);
    }
}

static void what_is_no_end_of_a_transaction_is_told(void **state)
{
    (void)state;
    const uint8_t commit[] = {0, 0, 0, 1}, leader_change[] = {0, 0, 0, 2},
                  negative[] = {0xff, 0, 0, 1};
    const uint8_t value[] = {0, 0, 0, 0, 0, 1}, later[] = {0, 9, 0, 0, 0, 1, 7, 7},
                  odd[] = {0x80, 0, 0, 0, 0, 1};
    struct end_transaction end;
    const struct {
        struct bytes key, value;
        int want;
    } cases[] = {
        {{commit, 4}, {value, 6}, 0},
        {{commit, 4}, {later, 8}, 0},
        {{commit, 4}, {value, 5}, -EBADMSG},
        {{commit, 4}, {odd, 6}, -EBADMSG},
        {{commit, 4}, {NULL, 0}, -EBADMSG},
        {{commit, 3}, {value, 6}, -EBADMSG},
        {{NULL, 0}, {value, 6}, -EBADMSG},
        {{negative, 4}, {value, 6}, -EBADMSG},
        {{leader_change, 4}, {value, 6}, -EBADMSG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record record = {.key = cases[i].key, .value = cases[i].value};
        assert_int_equal(end_transaction_read(&record, &end), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_of_transaction_reads_back),
        cmocka_unit_test(what_is_no_end_of_a_transaction_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
