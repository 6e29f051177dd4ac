/* Which compacted log is cleaned when: lags, ratios, order, settings that change, what a look costs
 * while nothing is dirty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "set_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (INT64_C(3600) * 1000)
#define HOUR_NS (HOUR_MS * 1000000)
#define BACKOFF_NS (15 * KIT_SECOND_NS)

static void start_with(struct kit *kit, int topics)
{
    kit_init(kit, 1);
    kit_start_with(kit, topics);
}

/* The order in which logs were cleaned, as "a b …". */
static void cleaned_order(const struct kit *kit, char *ret_order, size_t size)
{
    const char *at = (const char *)kit->lines.data, *end = at + kit->lines.size;
    size_t used = 0;
    ret_order[0] = 0;
    while (at && (at = memmem(at, (size_t)(end - at), "cleaned a log log=", 18))) {
        at += 18;
        used += (size_t)snprintf(ret_order + used, size - used, "%s%c", used ? " " : "", *at);
    }
}

static void a_dirty_log_is_cleaned_after_the_backoff(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 1);
    kit_run_for(&kit, 60 * KIT_SECOND_NS); /* the start's own look is over */
    kit_put(&kit, 0, 4, 60);
    int64_t began_ns = kit.now_ns;
    kit_until(&kit, kit_one_is_cleaned);
    assert_true(kit.now_ns - began_ns >= BACKOFF_NS);
    assert_true(kit.now_ns - began_ns < BACKOFF_NS + KIT_SECOND_NS);
    kit_check(&kit, 0);
    assert_true(kit_count(&kit, 0) < 40);
    kit_close(&kit);
}

static void a_log_of_another_policy_is_left_alone(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 1);
    kit.topics[0].settings.cleanup_compact = false;
    kit.topics[0].settings.cleanup_delete = true;
    kit_change(&kit, 0);
    kit_put(&kit, 0, 4, 60);
    kit_run_for(&kit, HOUR_NS);
    assert_int_equal(kit_count(&kit, 0), 60);

    /* Until its policy changes; then nothing needs to be appended. */
    kit.topics[0].settings.cleanup_compact = true;
    kit_change(&kit, 0);
    kit_until(&kit, kit_one_is_cleaned);
    kit_check(&kit, 0);
    kit_close(&kit);
}

static void a_disabled_cleaner_cleans_nothing(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit.broker.log_cleaner_enable = false;
    kit_start_with(&kit, 1);
    kit_put(&kit, 0, 4, 60);
    kit_run_for(&kit, HOUR_NS);
    assert_int_equal(kit_count(&kit, 0), 60);
    kit_close(&kit);
}

static void without_threads_nothing_is_cleaned_until_there_are_some(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 2);
    kit.broker.log_cleaner_threads = 0;
    kit_configure(&kit);
    kit_put(&kit, 0, 4, 60);
    kit_put(&kit, 1, 4, 60);
    kit_run_for(&kit, HOUR_NS);
    assert_int_equal(kit_cleanings(&kit), 0);
    kit.broker.log_cleaner_threads = 2;
    kit_configure(&kit);
    kit_run_for(&kit, 16 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    kit_close(&kit);
}

static int most_running;

static bool both_are_cleaned(struct kit *kit)
{
    if (kit->set.cleaner.running > most_running)
        most_running = kit->set.cleaner.running;
    return kit_cleanings(kit) == 2;
}

static void as_many_logs_are_cleaned_at_once_as_there_are_threads(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        struct kit kit;
        start_with(&kit, 2);
        kit.broker.log_cleaner_threads = threads;
        kit_configure(&kit);
        kit_put(&kit, 0, 4, 60);
        kit_put(&kit, 1, 4, 60);
        most_running = 0;
        kit_until(&kit, both_are_cleaned);
        assert_int_equal(most_running, threads);
        kit_check(&kit, 0);
        kit_check(&kit, 1);
        kit_close(&kit);
    }
}

/* Both were cleaned once, and have grown by different parts since. */
static void the_dirtiest_log_comes_first(void **state)
{
    (void)state;
    static const int grown[2][3] = {{60, 20, 120}, {20, 120, 60}};
    static const char *const orders[2] = {"c a b", "b c a"};
    for (int i = 0; i < 2; i++) {
        struct kit kit;
        char order[64];
        start_with(&kit, 3);
        for (int topic = 0; topic < 3; topic++)
            kit_put(&kit, topic, 40, 120);
        kit_run_for(&kit, 60 * KIT_SECOND_NS);
        assert_int_equal(kit_cleanings(&kit), 3);
        kit_forget_lines(&kit);
        for (int topic = 0; topic < 3; topic++)
            kit_put(&kit, topic, 40, grown[i][topic]);
        kit_run_for(&kit, 60 * KIT_SECOND_NS);
        cleaned_order(&kit, order, sizeof order);
        assert_string_equal(order, orders[i]);
        kit_close(&kit);
    }
}

static void a_log_below_its_ratio_waits_until_it_is_above(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 1);
    kit_put(&kit, 0, 40, 120);
    kit_until(&kit, kit_one_is_cleaned);
    kit.topics[0].settings.min_cleanable_dirty_ratio = 0.5;
    kit_change(&kit, 0);
    kit_run_for(&kit, KIT_SECOND_NS); /* the look of that end */
    kit_put(&kit, 0, 40, 20);
    kit_run_for(&kit, HOUR_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    kit_put(&kit, 0, 40, 120);
    kit_run_for(&kit, 16 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    kit_close(&kit);
}

static void the_ratio_may_be_lowered_while_nothing_is_appended(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 1);
    kit.topics[0].settings.min_cleanable_dirty_ratio = 0.99;
    kit_change(&kit, 0);
    kit_put(&kit, 0, 40, 120);
    kit_until(&kit, kit_one_is_cleaned); /* all of it is dirty: 1 */
    kit_put(&kit, 0, 40, 120);
    kit_run_for(&kit, HOUR_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    kit.topics[0].settings.min_cleanable_dirty_ratio = 0.1;
    kit_change(&kit, 0);
    kit_run_for(&kit, 16 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    kit_close(&kit);
}

static void a_lag_holds_records_back_and_its_end_is_met_in_time(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 1);
    kit.topics[0].settings.min_compaction_lag_ms = HOUR_MS;
    kit_change(&kit, 0);
    kit_put(&kit, 0, 4, 60);
    kit_run_for(&kit, HOUR_NS - KIT_SECOND_NS);
    assert_int_equal(kit_count(&kit, 0), 60);
    int64_t sleeps = kit.sleeps;
    /* The timer stands at the very moment, and nothing is appended. */
    kit_run_for(&kit, 16 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    assert_true(kit.sleeps - sleeps < 6);
    kit_check(&kit, 0);
    kit_close(&kit);
}

/* max.compaction.lag.ms closes the segment and cleans the log, however clean it is. */
static void a_log_is_cleaned_before_the_longest_lag_has_passed(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 1);
    kit_put(&kit, 0, 40, 200);
    kit_until(&kit, kit_one_is_cleaned);
    int64_t cleaned_to = kit_checkpoint(&kit, 0, 0);
    kit.topics[0].settings.min_cleanable_dirty_ratio = 0.9;
    kit.topics[0].settings.max_compaction_lag_ms = 6 * HOUR_MS;
    kit_change(&kit, 0);
    kit_put(&kit, 0, 40, 5);
    kit_run_for(&kit, 5 * HOUR_NS);
    assert_true(kit_cleanings(&kit) <= 2); /* what was dirty before the change */
    assert_true(kit_checkpoint(&kit, 0, 0) >= cleaned_to);
    /* Retention looks every five minutes, and segments are closed then. */
    kit_run_for(&kit, HOUR_NS + 11 * 60 * KIT_SECOND_NS);
    struct log *log = kit_partition(&kit, 0)->log;
    assert_int_equal(kit_checkpoint(&kit, 0, 0), log_end_offset(log));
    kit_check(&kit, 0);
    kit_close(&kit);
}

/* A log that nobody appends to: a look at the start, and then none for a day. */
static void nothing_wakes_up_while_nothing_is_dirty(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit.broker.log_retention_check_interval_ms = 1000 * HOUR_MS;
    kit.broker.log_flush_offset_checkpoint_interval_ms = INT32_MAX;
    kit_start_with(&kit, 2);
    kit_put(&kit, 0, 4, 60);
    kit_put(&kit, 1, 4, 60);
    kit_run_for(&kit, HOUR_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    int64_t sleeps = kit.sleeps, jobs = kit.jobs_run, turns = kit.turns;
    kit_run_for(&kit, 23 * HOUR_NS);
    assert_int_equal(kit.sleeps, sleeps);
    assert_int_equal(kit.jobs_run, jobs);
    assert_int_equal(kit.turns, turns + 1); /* the test's own */
    kit_close(&kit);
}

/* However many segments are closed: one look for each backoff. */
static void many_closed_segments_ask_for_one_look(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 1);
    kit.topics[0].settings.min_compaction_lag_ms = 100 * HOUR_MS; /* never due */
    kit_change(&kit, 0);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    int64_t jobs = kit.jobs_run, flushes = 0;
    for (int i = 0; i < 30; i++) {
        kit_put(&kit, 0, 4, 20);
        flushes++;
        kit_run_for(&kit, KIT_SECOND_NS);
    }
    /* A sync for each closed segment, a look each 15 s, a checkpoint each minute, retention. */
    assert_true(kit.jobs_run - jobs <= flushes + 3 + 1 + 1);
    kit_close(&kit);
}

static void a_backoff_of_nothing_does_not_spin(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 1);
    kit.broker.log_cleaner_backoff_ms = 0;
    kit_configure(&kit);
    kit.topics[0].settings.min_compaction_lag_ms = HOUR_MS;
    kit_change(&kit, 0);
    /* From the future: a lag that its own timestamp cannot end soon. */
    for (int i = 0; i < 60; i++)
        assert_int_equal(kit_append(&kit, 0, i % 4, "1", KIT_WALL_MS + 2 * HOUR_MS), 0);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    /* And a disk that is full: every try fails. */
    kit.topics[0].settings.min_compaction_lag_ms = 0;
    kit_change(&kit, 0);
    int64_t turns = kit.turns;
    ram_disk_fail_writes(kit.disk, -1, -ENOSPC);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 0);
    assert_true(kit.turns - turns < 60 * 12);
    ram_disk_fail_writes(kit.disk, 0, 0);
    kit_run_for(&kit, 5 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    kit_close(&kit);
}

static void the_backoff_may_be_changed(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    /* Retention makes the cleaner look, too. */
    kit.broker.log_retention_check_interval_ms = 1000 * HOUR_MS;
    kit_start_with(&kit, 1);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    kit.broker.log_cleaner_backoff_ms = 100;
    kit_configure(&kit);
    kit_put(&kit, 0, 4, 60);
    kit_run_for(&kit, KIT_SECOND_NS / 2);
    assert_int_equal(kit_cleanings(&kit), 1);
    kit.broker.log_cleaner_backoff_ms = HOUR_MS;
    kit_configure(&kit);
    kit_run_for(&kit, 2 * HOUR_NS);
    kit_put(&kit, 0, 4, 60);
    kit_run_for(&kit, HOUR_NS - KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    kit_run_for(&kit, 2 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    kit_close(&kit);
}

/* log.cleaner.dedupe.buffer.size bounds the keys of one cleaning; the next goes on behind it. */
static void a_small_map_takes_more_cleanings(void **state)
{
    (void)state;
    struct kit kit;
    start_with(&kit, 1);
    kit.broker.log_cleaner_dedupe_buffer_size = 24 * 20;
    kit_configure(&kit);
    kit_put(&kit, 0, 60, 180);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_true(kit_cleanings(&kit) > 5);
    struct log *log = kit_partition(&kit, 0)->log;
    kit_check(&kit, 0);
    assert_true(log_cleaned_to(log) > log_end_offset(log) - 30);

    /* A larger one, from the next cleaning on. */
    int64_t before = kit_cleanings(&kit);
    kit.broker.log_cleaner_dedupe_buffer_size = 1 << 20;
    kit_configure(&kit);
    kit_put(&kit, 0, 60, 180);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), before + 1);
    kit_check(&kit, 0);
    kit_close(&kit);
}

static void what_is_cleaned_is_written_down_for_each_directory(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 2);
    kit_topic(&kit, 0, "a")->dir = 0;
    kit_topic(&kit, 1, "b")->dir = 1;
    kit_topic(&kit, 2, "c")->dir = 1;
    kit.topics[2].settings.cleanup_compact = false;
    kit_start(&kit);
    for (int i = 0; i < 3; i++) {
        kit_make(&kit, i);
        kit_put(&kit, i, 4, 60 + 20 * i);
    }
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    int64_t a = log_cleaned_to(kit_partition(&kit, 0)->log);
    int64_t b = log_cleaned_to(kit_partition(&kit, 1)->log);
    assert_true(a > 0 && b > a);
    assert_int_equal(kit_checkpoint(&kit, 0, 0), a);
    assert_int_equal(kit_checkpoint(&kit, 0, 1), -1);
    assert_int_equal(kit_checkpoint(&kit, 1, 1), b);
    assert_int_equal(kit_checkpoint(&kit, 1, 0), -1);
    assert_int_equal(kit_checkpoint(&kit, 1, 2), -1);

    /* After a start, and after a crash, they are clean as far as that. */
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            kit_stop(&kit, true);
        else
            kit_crash(&kit, RAM_CRASH_PROCESS);
        kit_start(&kit);
        kit_run_for(&kit, 60 * KIT_SECOND_NS);
        assert_int_equal(kit_cleanings(&kit), 0);
        assert_int_equal(log_cleaned_to(kit_partition(&kit, 0)->log), a);
        assert_int_equal(log_cleaned_to(kit_partition(&kit, 1)->log), b);
    }

    /* A topic that is gone is gone from the file. */
    kit_delete(&kit, 1);
    kit_put(&kit, 0, 4, 60);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    kit_stop(&kit, true);
    assert_int_equal(kit_checkpoint(&kit, 1, 1), -1);
    assert_true(kit_checkpoint(&kit, 0, 0) > a);
    kit_close(&kit);
}

/* One byte of a closed segment: that log alone is left, until somebody has looked and restarts. */
static void a_damaged_log_is_left_until_a_restart_and_the_others_go_on(void **state)
{
    (void)state;
    struct kit kit;
    size_t size;
    start_with(&kit, 2);
    kit_put(&kit, 0, 4, 60);
    kit_put(&kit, 1, 4, 60);
    uint8_t *data = ram_disk_data(kit.disk, "/one/a-0/00000000000000000000.log", &size);
    assert_non_null(data);
    data[size / 2] ^= 1;
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    assert_int_equal(atomic_load(&kit.set.cleaner.uncleanable_count), 1);
    assert_int_equal(
        kit_said_times(&kit, "ERROR a log cannot be cleaned: it is damaged log=a-0 dir=/one"), 1);
    assert_false(atomic_load(&kit.set.dirs[0].offline));

    /* It is not tried again, whatever is appended; and it is served. */
    kit_put(&kit, 0, 4, 60);
    kit_put(&kit, 1, 4, 60);
    kit_run_for(&kit, HOUR_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    assert_int_equal(kit_said_times(&kit, "it is damaged"), 1);
    kit_check(&kit, 1);

    /* Mended, and started again. */
    kit_stop(&kit, true);
    ram_disk_data(kit.disk, "/one/a-0/00000000000000000000.log", &size)[size / 2] ^= 1;
    kit_start(&kit);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    assert_int_equal(atomic_load(&kit.set.cleaner.uncleanable_count), 0);
    kit_check(&kit, 0);
    assert_true(kit_count(&kit, 0) < 40);
    kit_close(&kit);
}

/* The topic of the same name that is made after it is another log. */
static void a_damaged_log_is_forgotten_with_its_topic(void **state)
{
    (void)state;
    struct kit kit;
    size_t size;
    start_with(&kit, 1);
    kit_put(&kit, 0, 4, 60);
    uint8_t *data = ram_disk_data(kit.disk, "/one/a-0/00000000000000000000.log", &size);
    data[size / 2] ^= 1;
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 0);
    kit_delete(&kit, 0);
    kit_topic(&kit, 0, "a");
    kit_make(&kit, 0);
    kit_put(&kit, 0, 4, 60);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    kit_check(&kit, 0);
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dirty_log_is_cleaned_after_the_backoff),
        cmocka_unit_test(a_log_of_another_policy_is_left_alone),
        cmocka_unit_test(a_disabled_cleaner_cleans_nothing),
        cmocka_unit_test(without_threads_nothing_is_cleaned_until_there_are_some),
        cmocka_unit_test(as_many_logs_are_cleaned_at_once_as_there_are_threads),
        cmocka_unit_test(the_dirtiest_log_comes_first),
        cmocka_unit_test(a_log_below_its_ratio_waits_until_it_is_above),
        cmocka_unit_test(the_ratio_may_be_lowered_while_nothing_is_appended),
        cmocka_unit_test(a_lag_holds_records_back_and_its_end_is_met_in_time),
        cmocka_unit_test(a_log_is_cleaned_before_the_longest_lag_has_passed),
        cmocka_unit_test(nothing_wakes_up_while_nothing_is_dirty),
        cmocka_unit_test(many_closed_segments_ask_for_one_look),
        cmocka_unit_test(a_backoff_of_nothing_does_not_spin),
        cmocka_unit_test(the_backoff_may_be_changed),
        cmocka_unit_test(a_small_map_takes_more_cleanings),
        cmocka_unit_test(what_is_cleaned_is_written_down_for_each_directory),
        cmocka_unit_test(a_damaged_log_is_left_until_a_restart_and_the_others_go_on),
        cmocka_unit_test(a_damaged_log_is_forgotten_with_its_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
