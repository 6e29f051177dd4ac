/* What a restart knows of batches that a client may repeat: the snapshot has each producer's
 * newest, the end of the log has the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/errors.h"
#include "log_kit.h"

#define PRODUCERS 3

static int setup(void **state)
{
    struct kit *kit = malloc(sizeof *kit);
    kit_init(kit);
    kit->settings.segment_bytes = 1 << 20;
    kit->settings.index_interval_bytes = 4096;
    kit->settings.producer_expiration_ms = INT64_MAX;
    assert_int_equal(kit_open(kit), 0);
    *state = kit;
    return 0;
}

static struct kit_batch batch_of(int64_t producer, int32_t sequence)
{
    return (struct kit_batch){
        .value_size = 200, .timestamp = 1000, .producer_id = producer, .sequence = sequence};
}

/* `count` batches of each producer, one after the other. */
static void fill(struct kit *kit, int32_t from, int32_t count)
{
    for (int32_t i = from; i < from + count; i++)
        for (int64_t p = 1; p <= PRODUCERS; p++) {
            struct kit_batch batch = batch_of(p, i);
            assert_int_equal(kit_append(kit, &batch), 0);
            assert_false(kit->result.duplicate);
        }
}

/* The last `known` of `count` batches are repeats with their offsets; the one before is a gap. */
static void expect_known(struct kit *kit, int32_t count, int32_t known)
{
    for (int64_t p = 1; p <= PRODUCERS; p++) {
        for (int32_t i = count - known; i < count; i++) {
            struct kit_batch batch = batch_of(p, i);
            assert_int_equal(kit_append(kit, &batch), 0);
            assert_true(kit->result.duplicate);
            assert_int_equal(kit->result.base_offset, (int64_t)i * PRODUCERS + p - 1);
        }
        struct kit_batch early = batch_of(p, count - known - 1);
        assert_int_equal(kit_append(kit, &early), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    fill(kit, count, 1);
}

static void five_batches_of_each_producer_are_known_after_a_clean_stop(void **state)
{
    struct kit *kit = *state;
    fill(kit, 0, 8);
    kit_stop_clean(kit);
    assert_int_equal(kit_open(kit), 0);
    expect_known(kit, 8, 5);
    /* And after the next one: five with the one that came. */
    kit_stop_clean(kit);
    assert_int_equal(kit_open(kit), 0);
    expect_known(kit, 9, 5);
}

static void five_batches_are_known_across_a_new_segment(void **state)
{
    struct kit *kit = *state;
    for (int killed = 0; killed < 2; killed++) {
        int32_t before = killed * 7;
        fill(kit, before, 4);
        kit->settings.segment_ms = 1;
        log_set_settings(kit->log, &kit->settings);
        ram_disk_set_time(kit->disk, env_wall_ms(kit->env) + 1000);
        assert_int_equal(log_roll_if_due(kit->log, INT64_MAX / 2), 0);
        kit->settings.segment_ms = INT64_MAX;
        log_set_settings(kit->log, &kit->settings);
        fill(kit, before + 4, 2);
        if (killed)
            kit_drop(kit);
        else
            kit_stop_clean(kit);
        assert_int_equal(kit_open(kit), 0);
        expect_known(kit, before + 6, 5);
    }
}

static void five_batches_are_known_after_a_stop_right_behind_a_new_segment(void **state)
{
    struct kit *kit = *state;
    fill(kit, 0, 6);
    kit->settings.segment_ms = 1;
    log_set_settings(kit->log, &kit->settings);
    assert_int_equal(log_roll_if_due(kit->log, INT64_MAX / 2), 0);
    kit_stop_clean(kit);
    assert_int_equal(kit_open(kit), 0);
    expect_known(kit, 6, 5);
}

static void others_large_batches_may_lie_between(void **state)
{
    struct kit *kit = *state;
    fill(kit, 0, 6);
    for (int i = 0; i < 4; i++) {
        struct kit_batch large = {.value_size = 100000, .producer_id = 9, .sequence = i};
        assert_int_equal(kit_append(kit, &large), 0);
    }
    kit_stop_clean(kit);
    assert_int_equal(kit_open(kit), 0);
    struct kit_batch repeat = {.value_size = 100000, .producer_id = 9, .sequence = 0};
    assert_int_equal(kit_append(kit, &repeat), 0);
    assert_true(kit->result.duplicate);
    expect_known(kit, 6, 5);
}

static void what_is_read_is_bounded(void **state)
{
    struct kit *kit = *state;
    int64_t now_ms = env_wall_ms(kit->env);
    kit->settings.segment_bytes = 64 << 20;
    log_set_settings(kit->log, &kit->settings);
    for (int i = 0; i < 3; i++) {
        struct kit_batch first = {.timestamp = now_ms, .producer_id = 1, .sequence = i};
        assert_int_equal(kit_append(kit, &first), 0);
    }
    for (int i = 0; i < 8000; i++) {
        struct kit_batch other = {.value_size = 1000, .timestamp = now_ms};
        assert_int_equal(kit_append(kit, &other), 0);
    }
    kit_stop_clean(kit);
    int64_t read = ram_disk_bytes_read(kit->disk);
    assert_int_equal(kit_open(kit), 0);
    read = ram_disk_bytes_read(kit->disk) - read;
    assert_true(read > 1 << 20);
    assert_true(read < (1 << 20) + (1 << 18));
    struct kit_batch repeat = {.timestamp = now_ms, .producer_id = 1, .sequence = 2};
    assert_int_equal(kit_append(kit, &repeat), 0);
    assert_true(kit->result.duplicate);
    repeat.sequence = 1; /* as Kafka answers */
    assert_int_equal(kit_append(kit, &repeat), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
}

static void nothing_is_read_again_of_a_log_that_nobody_writes_to(void **state)
{
    struct kit *kit = *state;
    fill(kit, 0, 100);
    kit_stop_clean(kit);
    ram_disk_set_time(kit->disk, env_wall_ms(kit->env) + 3600 * 1000);
    int64_t read = ram_disk_bytes_read(kit->disk);
    assert_int_equal(kit_open(kit), 0);
    assert_true(ram_disk_bytes_read(kit->disk) - read < 20000);
    expect_known(kit, 100, 1);
}

static void batches_of_an_earlier_epoch_stay_forgotten(void **state)
{
    struct kit *kit = *state;
    struct kit_batch batch = batch_of(1, 0);
    for (batch.sequence = 0; batch.sequence < 3; batch.sequence++)
        assert_int_equal(kit_append(kit, &batch), 0);
    batch.producer_epoch = 1;
    for (batch.sequence = 0; batch.sequence < 2; batch.sequence++)
        assert_int_equal(kit_append(kit, &batch), 0);
    kit_stop_clean(kit);
    assert_int_equal(kit_open(kit), 0);
    batch.sequence = 0;
    assert_int_equal(kit_append(kit, &batch), 0);
    assert_true(kit->result.duplicate);
    assert_int_equal(kit->result.base_offset, 3);
    batch.sequence = 2; /* the old epoch's is none of this one's repeats */
    assert_int_equal(kit_append(kit, &batch), 0);
    assert_false(kit->result.duplicate);
    batch.producer_epoch = 0;
    assert_int_equal(kit_append(kit, &batch), KAFKA_INVALID_PRODUCER_EPOCH);
}

#define TAIL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TAIL_TEST(five_batches_of_each_producer_are_known_after_a_clean_stop),
        TAIL_TEST(five_batches_are_known_across_a_new_segment),
        TAIL_TEST(five_batches_are_known_after_a_stop_right_behind_a_new_segment),
        TAIL_TEST(others_large_batches_may_lie_between),
        TAIL_TEST(what_is_read_is_bounded),
        TAIL_TEST(nothing_is_read_again_of_a_log_that_nobody_writes_to),
        TAIL_TEST(batches_of_an_earlier_epoch_stay_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
