/* The small parts of a log: index search, leader epochs, walking batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log/epochs.h"
#include "log/index.h"
#include "log/scan.h"
#include "log_kit.h"

static void index_search_finds_the_floor_in_file_and_tail(void **state)
{
    (void)state;
    for (int kind = 0; kind < INDEX_KINDS; kind++) {
        struct ram_disk *disk = ram_disk_create(1);
        struct env *env = ram_disk_env(disk);
        struct index index = {0};
        int file = env_open(env, "/index", ENV_READ | ENV_WRITE | ENV_CREATE);
        enum { COUNT = 5000 };
        for (int i = 0; i < COUNT; i++) {
            if (index_tail_full(&index)) {
                assert_int_equal(index_write_tail(&index, (enum index_kind)kind, env, file), 0);
                index_tail_written(&index);
            }
            struct index_entry entry = {10 + i * 10, 100 + i * 7};
            assert_int_equal(index_append(&index, (enum index_kind)kind, entry), 0);
        }
        assert_int_equal(index_count(&index), COUNT);
        struct index_file in = {env, file, (enum index_kind)kind, index.written, false};
        for (int by = INDEX_BY_KEY; by <= INDEX_BY_VALUE; by++) {
            for (int64_t target = 0; target < 52000; target += 13) {
                int64_t expected = by == INDEX_BY_KEY ? target / 10 - 1 : (target - 100) / 7;
                if ((by == INDEX_BY_KEY ? target < 10 : target < 100))
                    expected = -1;
                if (expected >= COUNT)
                    expected = COUNT - 1;
                struct index_entry entry;
                int32_t number = -1;
                if (index_search_tail(&index, (enum index_kind)kind, (enum index_by)by, target,
                                      &entry))
                    number = (int32_t)((entry.key - 10) / 10);
                else
                    assert_int_equal(
                        index_search_file(&in, (enum index_by)by, target, &number, &entry), 0);
                assert_int_equal(number, expected);
                if (number >= 0)
                    assert_int_equal(entry.value, 100 + number * 7);
            }
        }
        int32_t valid;
        int64_t size = (int64_t)index.written * index_entry_size((enum index_kind)kind);
        assert_int_equal(index_check_file(&in, size, INT32_MAX, INT32_MAX, &valid), 0);
        assert_int_equal(valid, index.written);
        assert_int_equal(index_check_file(&in, size, 110, 110, &valid), 0);
        assert_true(valid < 20);

        assert_int_equal(index_truncate(&index, (enum index_kind)kind, COUNT - 3, env, file), 0);
        assert_int_equal(index_count(&index), COUNT - 3);
        assert_int_equal(index.last.value, 100 + (COUNT - 4) * 7);
        assert_int_equal(index_truncate(&index, (enum index_kind)kind, 17, env, file), 0);
        assert_int_equal(index.written, 17);
        assert_int_equal(index.last.key, 170);
        index_close(&index);
        assert_int_equal(env_close(env, file), 0);
        ram_disk_destroy(disk);
    }
}

static void a_cold_index_block_is_not_waited_for(void **state)
{
    (void)state;
    struct ram_disk *disk = ram_disk_create(1);
    struct env *env = ram_disk_env(disk);
    uint8_t zeros[800] = {0};
    ram_disk_put(disk, "/index", zeros, sizeof zeros);
    int file = env_open(env, "/index", ENV_READ);
    struct index_file in = {env, file, INDEX_OFFSET, 100, false};
    struct index_entry entry;
    int32_t number;
    ram_disk_set_cold(disk, true);
    assert_int_equal(index_search_file(&in, INDEX_BY_KEY, 5, &number, &entry), -EAGAIN);
    in.may_block = true;
    assert_int_equal(index_search_file(&in, INDEX_BY_KEY, 5, &number, &entry), 0);
    in.count = 101; /* one more than the file has */
    assert_int_equal(index_search_file(&in, INDEX_BY_KEY, 5, &number, &entry), -ENODATA);
    assert_int_equal(env_close(env, file), 0);
    ram_disk_destroy(disk);
}

static bool assign(struct epochs *epochs, int32_t epoch, int64_t offset)
{
    assert_int_equal(epochs_reserve(epochs, 1), 0);
    return epochs_assign(epochs, epoch, offset);
}

static void epochs_answer_where_they_ended(void **state)
{
    (void)state;
    struct epochs epochs = {0};
    int32_t epoch;
    int64_t end;
    epochs_end(&epochs, 3, 100, &epoch, &end);
    assert_int_equal(epoch, -1);
    assert_true(assign(&epochs, 2, 10));
    assert_true(assign(&epochs, 5, 20));
    assert_false(assign(&epochs, 5, 25));
    assert_true(assign(&epochs, 9, 40));
    const struct {
        int32_t asked, epoch;
        int64_t end;
    } cases[] = {{-1, -1, -1}, {0, 0, 10}, {2, 2, 20},  {3, 2, 20},
                 {5, 5, 40},   {8, 5, 40}, {9, 9, 100}, {10, -1, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        epochs_end(&epochs, cases[i].asked, 100, &epoch, &end);
        assert_int_equal(epoch, cases[i].epoch);
        assert_int_equal(end, cases[i].end);
    }
    assert_int_equal(epochs_at(&epochs, 9), -1);
    assert_int_equal(epochs_at(&epochs, 39), 5);
    epochs_close(&epochs);
}

static void epochs_that_contradict_a_new_one_are_dropped(void **state)
{
    (void)state;
    struct epochs epochs = {0};
    assign(&epochs, 1, 0);
    assign(&epochs, 2, 50);
    assign(&epochs, 3, 80);
    assert_true(assign(&epochs, 4, 50));
    assert_int_equal(epochs.count, 2);
    assert_int_equal(epochs_at(&epochs, 60), 4);
    assert_true(assign(&epochs, 2, 70));
    assert_int_equal(epochs_latest(&epochs), 2);
    assert_true(epochs_truncate_start(&epochs, 30));
    assert_int_equal(epochs.items[0].epoch, 1);
    assert_int_equal(epochs.items[0].start_offset, 30);
    assert_false(epochs_truncate_start(&epochs, 30));
    assert_true(epochs_truncate_end(&epochs, 70));
    assert_int_equal(epochs_latest(&epochs), 1);
    epochs_close(&epochs);
}

static void scanning_meets_every_batch_and_stops_at_damage(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit);
    assert_int_equal(kit_open(&kit), 0);
    for (int i = 0; i < 60; i++) {
        struct kit_batch batch = {.value_size = i % 10 == 0 ? 400000 : 30 + i};
        kit.settings.segment_bytes = 1 << 30;
        log_set_settings(kit.log, &kit.settings);
        assert_int_equal(kit_append(&kit, &batch), 0);
    }
    const char *path = KIT_DIR "/00000000000000000000.log";
    size_t size;
    uint8_t *data = ram_disk_data(kit.disk, path, &size);
    int file = env_open(kit.env, path, ENV_READ);
    struct scan scan;
    struct batch batch;
    int count = 0, err;
    assert_int_equal(scan_init_large(&scan, kit.env, file, 0, (int64_t)size), 0);
    while ((err = scan_next(&scan, &batch)) == 0) {
        assert_int_equal(batch.base_offset, count++);
        assert_int_equal(scan_check(&scan, &batch), 0);
        assert_int_equal(scan_body(&scan, &batch), 0);
        assert_true(batch_checksum_ok(&batch));
    }
    assert_int_equal(err, -ENODATA);
    assert_int_equal(count, 60);
    scan_close(&scan);

    /* Headers alone are a small part of the file. */
    uint8_t buffer[SCAN_SMALL_BYTES];
    int64_t read = ram_disk_bytes_read(kit.disk);
    scan_init(&scan, kit.env, file, 0, (int64_t)size, false, buffer);
    for (count = 0; scan_next(&scan, &batch) == 0; count++)
        ;
    assert_int_equal(count, 60);
    assert_true(ram_disk_bytes_read(kit.disk) - read < (int64_t)size / 10);

    /* A flipped byte far inside a large batch. */
    data[200000] ^= 1;
    assert_int_equal(scan_init_large(&scan, kit.env, file, 0, (int64_t)size), 0);
    assert_int_equal(scan_next(&scan, &batch), 0);
    assert_int_equal(scan_check(&scan, &batch), -EBADMSG);
    scan_close(&scan);
    data[200000] ^= 1;
    /* A file that ends within a batch. */
    scan_init(&scan, kit.env, file, 0, 400000, true, buffer);
    assert_int_equal(scan_next(&scan, &batch), -EBADMSG);
    assert_int_equal(scan.position, 0);
    assert_int_equal(env_close(kit.env, file), 0);
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_search_finds_the_floor_in_file_and_tail),
        cmocka_unit_test(a_cold_index_block_is_not_waited_for),
        cmocka_unit_test(epochs_answer_where_they_ended),
        cmocka_unit_test(epochs_that_contradict_a_new_one_are_dropped),
        cmocka_unit_test(scanning_meets_every_batch_and_stops_at_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
