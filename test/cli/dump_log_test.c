#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/dump_log.h"
#include "../log/log_kit.h"

#define FILE_0(ext) KIT_DIR "/00000000000000000000." ext

struct fixture {
    struct kit kit;
    struct dump dump;
    char *out, *err;
    size_t out_size, err_size;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    kit_init(&f->kit);
    f->kit.settings.producer_expiration_ms = INT64_MAX;
    f->kit.settings.index_interval_bytes = 300;
    assert_int_equal(kit_open(&f->kit), 0);
    for (int i = 0; i < 40; i++) {
        struct kit_batch batch = {.records = 2,
                                  .timestamp = 1000 + i,
                                  .producer_id = 5,
                                  .sequence = i * 2,
                                  .transactional = true,
                                  .compression = i % 2 ? COMPRESSION_LZ4 : COMPRESSION_NONE};
        assert_int_equal(kit_append(&f->kit, &batch), 0);
    }
    struct kit_batch marker = {.marker = 2, .producer_id = 5, .timestamp = 2000};
    assert_int_equal(kit_append(&f->kit, &marker), 0);
    kit_stop_clean(&f->kit);
    f->dump.env = f->kit.env;
    f->dump.max_bytes = INT64_MAX;
    f->dump.out = open_memstream(&f->out, &f->out_size);
    f->dump.err = open_memstream(&f->err, &f->err_size);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fclose(f->dump.out);
    fclose(f->dump.err);
    free(f->out);
    free(f->err);
    kit_close(&f->kit);
    free(f);
    return 0;
}

static bool said(struct fixture *f, const char *text)
{
    fflush(f->dump.out);
    fflush(f->dump.err);
    return strstr(f->out, text) || strstr(f->err, text);
}

static void every_file_of_a_sound_log_passes(void **state)
{
    struct fixture *f = *state;
    f->dump.deep = f->dump.print = true;
    assert_int_equal(dump_records(&f->dump, FILE_0("log")), 0);
    assert_int_equal(dump_offset_index(&f->dump, FILE_0("index"), 0), 0);
    assert_int_equal(dump_time_index(&f->dump, FILE_0("timeindex"), 0), 0);
    assert_int_equal(dump_txn_index(&f->dump, FILE_0("txnindex"), 0), 0);
    assert_int_equal(dump_snapshot(&f->dump, KIT_DIR "/00000000000000000081.snapshot"), 0);
    assert_int_equal(f->dump.problems, 0);
    assert_true(said(f, "baseOffset: 2 lastOffset: 3 count: 2 baseSequence: 2 lastSequence: 3 "
                        "producerId: 5 producerEpoch: 0 partitionLeaderEpoch: 0 "
                        "isTransactional: true isControl: false deleteHorizonMs: "
                        "OptionalLong.empty position: "));
    assert_true(said(f, "| offset: 3 CreateTime: 1002 keySize: -1 valueSize: 10 sequence: 3 "
                        "headerKeys: [] payload: "));
    assert_true(said(f, " endTxnMarker: ABORT coordinatorEpoch: 0\n"));
    assert_true(said(f, "version: 0 producerId: 5 firstOffset: 0 lastOffset: 80 "
                        "lastStableOffset: 81\n"));
    assert_true(said(f, "producerId: 5 producerEpoch: 0 coordinatorEpoch: 0 "
                        "currentTxnFirstOffset: OptionalLong.empty lastTimestamp: 2000 "
                        "firstSequence: 78 lastSequence: 79 lastOffset: 79 offsetDelta: 1 "
                        "timestamp: 2000\n"));
    assert_true(said(f, "timestamp: 2000 offset: 80\n"));
}

static void sanity_and_verification_print_no_entries(void **state)
{
    struct fixture *f = *state;
    f->dump.verify_only = true;
    assert_int_equal(dump_offset_index(&f->dump, FILE_0("index"), 0), 0);
    assert_int_equal(dump_time_index(&f->dump, FILE_0("timeindex"), 0), 0);
    assert_false(said(f, "offset:"));
    f->dump.index_sanity = true;
    assert_int_equal(dump_offset_index(&f->dump, FILE_0("index"), 0), 0);
    assert_true(said(f, ".index passed sanity check."));
    assert_int_equal(f->dump.problems, 0);
}

static void damage_is_told(void **state)
{
    struct fixture *f = *state;
    size_t size;
    uint8_t *data = ram_disk_data(f->kit.disk, FILE_0("log"), &size);
    data[size / 2] ^= 1;
    assert_int_equal(dump_records(&f->dump, FILE_0("log")), 0);
    assert_int_equal(f->dump.problems, 1);
    assert_true(said(f, "isvalid: false"));
    data[size / 2] ^= 1;

    data = ram_disk_data(f->kit.disk, FILE_0("index"), &size);
    data[7] ^= 1;
    assert_int_equal(dump_offset_index(&f->dump, FILE_0("index"), 0), 0);
    assert_int_equal(f->dump.problems, 2);
    assert_true(said(f, "Mismatches in :"));

    data = ram_disk_data(f->kit.disk, FILE_0("timeindex"), &size);
    data[size - 5] ^= 1;
    assert_int_equal(dump_time_index(&f->dump, FILE_0("timeindex"), 0), 0);
    assert_int_equal(f->dump.problems, 3);
    assert_true(said(f, "Found timestamp mismatch in :"));

    data = ram_disk_data(f->kit.disk, KIT_DIR "/00000000000000000081.snapshot", &size);
    data[20] ^= 1;
    assert_int_equal(dump_snapshot(&f->dump, KIT_DIR "/00000000000000000081.snapshot"), 0);
    assert_int_equal(f->dump.problems, 4);

    data = ram_disk_data(f->kit.disk, FILE_0("log"), &size);
    data[8] = 0x7f;
    assert_int_equal(dump_records(&f->dump, FILE_0("log")), 0);
    assert_int_equal(f->dump.problems, 5);
    assert_true(said(f, "invalid bytes at the end of"));
}

static void control_characters_are_escaped(void **state)
{
    struct fixture *f = *state;
    f->kit.clean = true;
    assert_int_equal(kit_open(&f->kit), 0);
    struct kit_batch batch = {.timestamp = 0, .value_size = 40};
    assert_int_equal(kit_append(&f->kit, &batch), 0);
    f->dump.deep = f->dump.print = true;
    assert_int_equal(dump_records(&f->dump, FILE_0("log")), 0);
    assert_true(said(f, "payload: \\x00\\x01\\x02"));
    assert_true(said(f, "\\x1b\\x1c\\x1d\\x1e\\x1f !\"#$"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_file_of_a_sound_log_passes),
        TEST(sanity_and_verification_print_no_entries),
        TEST(damage_is_told),
        TEST(control_characters_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
