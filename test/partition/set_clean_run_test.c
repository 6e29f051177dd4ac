/* What may happen to a partition while it is cleaned, at every point between two jobs of the
 * cleaning: deletion, another policy, records deleted, a cut, a stop; and how fast it may go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "set_kit.h"

#include <stdlib.h>
#include <string.h>

/* Jobs until a cleaning that has to give up is over: the one that is queued, and the one that drops
 * what it had. A deletion has three of its own. */
#define GIVE_UP_JOBS 2
#define DELETE_JOBS 3

static bool is_not_cleaning(struct kit *kit)
{
    return kit->set.cleaner.running == 0;
}

/* A dirty log of several groups, whose cleaning has done `jobs` of its jobs. False: it has fewer.
 */
static bool clean_partly(struct kit *kit, int jobs)
{
    kit_init(kit, 1);
    kit_start_with(kit, 1);
    kit_put(kit, 0, 30, 120);
    kit_until(kit, kit_is_cleaning);
    while (jobs > 0 && kit_is_cleaning(kit)) {
        int64_t before = kit->jobs_run;
        kit_step(kit);
        jobs -= kit->jobs_run > before;
    }
    return kit_is_cleaning(kit);
}

/* Play the scene at every point between two jobs of a cleaning, and once more when it is over.
 * Returns how many points there are. */
static int at_every_point(void (*scene)(struct kit *kit))
{
    for (int jobs = 0;; jobs++) {
        struct kit kit;
        bool during = clean_partly(&kit, jobs);
        scene(&kit);
        kit_close(&kit);
        if (!during)
            return jobs;
    }
}

static void restart_and_clean(struct kit *kit)
{
    kit_stop(kit, true);
    kit_start(kit);
    kit_check(kit, 0);
    kit_put(kit, 0, 30, 120);
    kit_until(kit, kit_one_is_cleaned);
    kit_check(kit, 0);
    assert_true(kit_count(kit, 0) < 60);
}

static void no_name_of_a(void *context, const char *path)
{
    (void)context;
    if (strstr(path, "/a-0"))
        fail_msg("%s is left", path);
}

static bool is_buried(struct kit *kit)
{
    return !kit->set.steps && !kit->set.removals && atomic_load(&kit->set.deleted_count) == 0;
}

static void delete_and_make_again(struct kit *kit)
{
    int64_t before = kit->jobs_run;
    int said = kit_said_times(kit, "cleaned a log");
    kit_delete(kit, 0);
    kit_until(kit, is_buried);
    assert_true(kit->jobs_run - before <= GIVE_UP_JOBS + DELETE_JOBS);
    assert_int_equal(kit_said_times(kit, "cleaned a log"), said);
    assert_false(kit_said(kit, "WARN"));
    assert_false(kit_said(kit, "ERROR"));
    ram_disk_each(kit->disk, no_name_of_a, NULL);

    /* Another topic takes the name at once. */
    kit_topic(kit, 0, "a");
    kit_make(kit, 0);
    kit_put(kit, 0, 30, 120);
    kit_run_for(kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_said_times(kit, "cleaned a log"), said + 1);
    kit_check(kit, 0);
    restart_and_clean(kit);
}

static void a_deleted_partition_is_not_cleaned_on(void **state)
{
    (void)state;
    assert_true(at_every_point(delete_and_make_again) > 10); /* it did stop at many places */
}

static void change_the_policy_and_back(struct kit *kit)
{
    kit->topics[0].settings.cleanup_compact = false;
    int64_t before = kit->jobs_run;
    kit_change(kit, 0);
    kit_until(kit, is_not_cleaning);
    assert_true(kit->jobs_run - before <= GIVE_UP_JOBS);
    kit_check(kit, 0);
    int count = kit_count(kit, 0);
    kit_run_for(kit, 3600 * KIT_SECOND_NS);
    assert_int_equal(kit_count(kit, 0), count);
    kit->topics[0].settings.cleanup_compact = true;
    kit_change(kit, 0);
    kit_run_for(kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(kit), 1);
    kit_check(kit, 0);
    assert_true(kit_count(kit, 0) < 60);
    restart_and_clean(kit);
}

static void a_topic_that_is_compacted_no_more_is_not_cleaned_on(void **state)
{
    (void)state;
    at_every_point(change_the_policy_and_back);
}

/* DeleteRecords up to the last value of every key. */
static void delete_records(struct kit *kit)
{
    struct partition *partition = kit_partition(kit, 0);
    int64_t start = log_end_offset(partition->log) - 30;
    while (!parklock_try(&partition->append_lock))
        kit_step(kit);
    assert_int_equal(
        log_raise_start(partition->log, start, watermark_get(&partition->high_watermark)), 0);
    parklock_release(&partition->append_lock);
    kit_run_for(kit, 400 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(kit), 1);
    kit_check(kit, 0);
    assert_int_equal(log_start_offset(partition->log), start);
    assert_int_equal(kit_count(kit, 0), 30);
    /* What lies below is given up, the segments that the cleaning made too. */
    assert_null(ram_disk_data(kit->disk, "/one/a-0/00000000000000000000.log", &(size_t){0}));
    restart_and_clean(kit);
}

static void records_may_be_deleted_during_a_cleaning(void **state)
{
    (void)state;
    at_every_point(delete_records);
}

static void cut(struct kit *kit, int64_t offset)
{
    struct partition *partition = kit_partition(kit, 0);
    while (!parklock_try(&partition->append_lock))
        kit_step(kit);
    assert_int_equal(
        offset < 0 ? log_truncate_all(partition->log, 0) : log_truncate(partition->log, offset), 0);
    partition_reset_marks(partition);
    parklock_release(&partition->append_lock);
}

static void cut_two_records(struct kit *kit)
{
    struct log *log = kit_partition(kit, 0)->log;
    int64_t end = log_end_offset(log), *values = kit->topics[0].values;
    assert_true(log_end(log).segment_base <= end - 2); /* what is cleaned is never cut */
    cut(kit, end - 2); /* keys 28 and 29 fall back to what they were a round before */
    for (int key = 28; key < 30; key++)
        values[key] -= 30;
    kit_until(kit, is_not_cleaning);
    kit_check(kit, 0);
    assert_false(kit_said(kit, "WARN"));
    assert_false(kit_said(kit, "ERROR"));
    kit_put(kit, 0, 30, 90);
    kit_run_for(kit, 60 * KIT_SECOND_NS);
    kit_check(kit, 0);
    assert_true(kit_count(kit, 0) < 60);
    restart_and_clean(kit);
}

static void a_cut_ends_the_cleaning(void **state)
{
    (void)state;
    at_every_point(cut_two_records);
}

/* How far a log was clean says nothing of the one that begins anew. */
static void begin_anew(struct kit *kit)
{
    cut(kit, -1);
    memset(kit->topics[0].values, 0, sizeof kit->topics[0].values);
    kit_put(kit, 0, 2, 80);
    kit_run_for(kit, 60 * KIT_SECOND_NS);
    kit_check(kit, 0);
    assert_true(kit_count(kit, 0) < 20);
}

static void a_log_that_begins_anew_is_dirty_from_its_start(void **state)
{
    (void)state;
    at_every_point(begin_anew);
}

static void stop_and_start(struct kit *kit)
{
    bool during = kit_is_cleaning(kit);
    int64_t before = kit->jobs_run, began_ns = kit->now_ns;
    partition_set_stop(&kit->set);
    kit_until(kit, is_not_cleaning);
    assert_true(kit->jobs_run - before <= GIVE_UP_JOBS);
    assert_true(kit->now_ns - began_ns < KIT_SECOND_NS / 4);
    assert_true(kit_cleanings(kit) == !during);
    bool cleaned = kit_said(kit, "cleaned a log");
    kit_stop(kit, true);
    kit_start(kit);
    kit_check(kit, 0);
    if (!cleaned) /* what the stop has left */
        kit_until(kit, kit_one_is_cleaned);
    kit_check(kit, 0);
    assert_true(kit_count(kit, 0) < 60);
    restart_and_clean(kit);
}

static void a_stop_ends_the_cleaning(void **state)
{
    (void)state;
    at_every_point(stop_and_start);
}

static void append_during(struct kit *kit)
{
    while (!parklock_try(&kit_partition(kit, 0)->append_lock))
        kit_step(kit);
    parklock_release(&kit_partition(kit, 0)->append_lock);
    kit_put(kit, 0, 30, 60);
    kit_run_for(kit, 60 * KIT_SECOND_NS);
    kit_check(kit, 0);
    assert_true(kit_count(kit, 0) < 60);
    restart_and_clean(kit);
}

static void appends_go_on_during_a_cleaning(void **state)
{
    (void)state;
    at_every_point(append_during);
}

/* ---- the writer's lock ---- */

static void a_cleaning_waits_for_the_writer(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit_start_with(&kit, 1);
    kit_put(&kit, 0, 30, 120);
    struct partition *partition = kit_partition(&kit, 0);
    assert_true(parklock_try(&partition->append_lock));
    kit_until(&kit, kit_is_cleaning);
    int64_t sleeps = kit.sleeps;
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_true(kit_is_cleaning(&kit));
    assert_int_equal(kit_count(&kit, 0), 120);
    assert_true(kit.sleeps - sleeps <= 3); /* it is handed the lock, and does not ask */
    parklock_release(&partition->append_lock);
    kit_until(&kit, kit_one_is_cleaned);
    kit_check(&kit, 0);
    kit_close(&kit);
}

static void a_deletion_ends_a_cleaning_that_waits_for_the_writer(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit_start_with(&kit, 1);
    kit_put(&kit, 0, 30, 120);
    struct partition *partition = partition_ref(kit_partition(&kit, 0));
    assert_true(parklock_try(&partition->append_lock));
    kit_until(&kit, kit_is_cleaning);
    kit_run_for(&kit, KIT_SECOND_NS);
    kit_delete(&kit, 0);
    kit_run_for(&kit, KIT_SECOND_NS);
    parklock_release(&partition->append_lock);
    partition_unref(partition);
    kit_until(&kit, is_buried);
    assert_int_equal(kit_cleanings(&kit), 0);
    ram_disk_each(kit.disk, no_name_of_a, NULL);
    kit_close(&kit);
}

/* A reader that is slow holds a segment of an earlier cleaning, whose name the next one wants. */
static void a_swap_waits_for_a_slow_reader(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit_start_with(&kit, 1);
    kit_put(&kit, 0, 30, 120);
    struct log *log = kit_partition(&kit, 0)->log;
    struct segment *held = kit_hold_first_segment(log);
    kit_until(&kit, kit_one_is_cleaned);
    kit_put(&kit, 0, 30, 120);
    kit_run_for(&kit, 30 * KIT_SECOND_NS);
    assert_true(kit_is_cleaning(&kit));
    int64_t turns = kit.turns;
    kit_run_for(&kit, 10 * KIT_SECOND_NS);
    assert_true(kit.turns - turns < 10 * 20);
    kit_let_go(log, held);
    kit_run_for(&kit, KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    kit_check(&kit, 0);
    kit_close(&kit);
}

/* ---- the rate ---- */

/* Bytes that a cleaning with these lines has read and written at least: each is read for the map
 * and for the copy. */
static int64_t bytes_said(const struct kit *kit)
{
    const char *at = (const char *)kit->lines.data, *end = at + kit->lines.size;
    int64_t sum = 0;
    while (at && (at = memmem(at, (size_t)(end - at), "read_bytes=", 11))) {
        at += 11;
        sum += 2 * strtoll(at, NULL, 10);
        at = memmem(at, (size_t)(end - at), "written_bytes=", 14);
        sum += strtoll(at + 14, NULL, 10);
    }
    return sum;
}

/* A cleaning that is allowed so much that it will not end, and has been going on for `for_s`. */
static void clean_at_rate(struct kit *kit, double bytes_per_second, int64_t for_s)
{
    kit_init(kit, 1);
    kit->broker.log_cleaner_io_max_bytes_per_second = bytes_per_second;
    kit_start_with(kit, 1);
    kit_put(kit, 0, 30, 240);
    kit_run_for(kit, for_s * KIT_SECOND_NS);
    assert_true(kit_is_cleaning(kit));
}

static int expected_cleanings;

static bool all_are_cleaned(struct kit *kit)
{
    return kit_cleanings(kit) == expected_cleanings;
}

static void the_rate_is_kept_by_all_cleanings_together(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b"};
    for (int topics = 1; topics <= 2; topics++) {
        struct kit kit;
        kit_init(&kit, 1);
        kit.broker.log_cleaner_threads = topics;
        kit.broker.log_cleaner_io_max_bytes_per_second = 100000;
        for (int i = 0; i < topics; i++)
            kit_topic(&kit, i, names[i])->settings.segment_bytes = 20000;
        kit_start(&kit);
        for (int i = 0; i < topics; i++) {
            kit_make(&kit, i);
            kit_put(&kit, i, 30, 4000);
        }
        expected_cleanings = topics;
        kit_until(&kit, kit_is_cleaning);
        int64_t began_ns = kit.now_ns, turns = kit.turns;
        kit_until(&kit, all_are_cleaned);
        double took_s = (double)(kit.now_ns - began_ns) / 1e9;
        double least_s = (double)bytes_said(&kit) / 100000;
        assert_true(least_s > 4 * topics);
        assert_true(took_s > least_s * 0.9);
        assert_true(took_s < least_s * 1.3 + 1);
        assert_true((double)(kit.turns - turns) < took_s * 60);
        kit_close(&kit);
    }
}

static void a_rate_that_is_raised_ends_the_wait_for_the_old_one(void **state)
{
    (void)state;
    struct kit kit;
    clean_at_rate(&kit, 10, 600);
    kit.broker.log_cleaner_io_max_bytes_per_second = 1e300;
    kit_configure(&kit);
    kit_run_for(&kit, KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    kit_check(&kit, 0);
    kit_close(&kit);
}

static void a_rate_may_be_set_during_a_cleaning(void **state)
{
    (void)state;
    struct kit kit;
    assert_true(clean_partly(&kit, 3));
    kit.broker.log_cleaner_io_max_bytes_per_second = 1000;
    kit_configure(&kit);
    int64_t began_ns = kit.now_ns;
    kit_until(&kit, kit_one_is_cleaned);
    assert_true(kit.now_ns - began_ns > 5 * KIT_SECOND_NS);
    kit_close(&kit);
}

static void a_deletion_does_not_wait_for_the_rate(void **state)
{
    (void)state;
    struct kit kit;
    clean_at_rate(&kit, 1, 60);
    int64_t began_ns = kit.now_ns;
    kit_delete(&kit, 0);
    kit_until(&kit, is_buried);
    assert_true(kit.now_ns - began_ns < KIT_SECOND_NS / 4);
    kit_close(&kit);
}

static void a_stop_does_not_wait_for_the_rate(void **state)
{
    (void)state;
    struct kit kit;
    clean_at_rate(&kit, 1, 60);
    int64_t began_ns = kit.now_ns;
    kit_stop(&kit, true);
    assert_true(kit.now_ns - began_ns < KIT_SECOND_NS / 4);
    kit_start(&kit);
    kit_check(&kit, 0);
    kit_close(&kit);
}

/* ---- compact and delete ---- */

static void a_topic_of_both_policies_loses_what_is_too_old(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    struct kit_topic *topic = kit_topic(&kit, 0, "a");
    topic->settings.cleanup_delete = true;
    topic->settings.retention_ms = 3600 * 1000;
    kit_start(&kit);
    kit_make(&kit, 0);
    kit_put(&kit, 0, 30, 120);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    kit_check(&kit, 0);
    assert_true(kit_count(&kit, 0) < 60);
    struct log *log = kit_partition(&kit, 0)->log;
    int64_t end = log_end_offset(log);
    kit_run_for(&kit, 4000 * KIT_SECOND_NS);
    assert_true(log_start_offset(log) > end - 30);

    /* What is dirty now begins where the log does. */
    memset(topic->values, 0, sizeof topic->values);
    kit_put(&kit, 0, 30, 120);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    for (int key = 0; key < 30; key++)
        assert_true(topic->values[key] > 0);
    kit_stop(&kit, true);
    kit_start(&kit);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 0);
    kit_close(&kit);
}

/* Retention leaves a log alone that is being cleaned, and has its turn when that is over. */
static void retention_waits_for_the_end_of_a_cleaning(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit.broker.log_cleaner_io_max_bytes_per_second = 20;
    struct kit_topic *topic = kit_topic(&kit, 0, "a");
    topic->settings.cleanup_delete = true;
    topic->settings.retention_ms = 120 * 1000;
    kit_start(&kit);
    kit_make(&kit, 0);
    kit_put(&kit, 0, 30, 120);
    struct log *log = kit_partition(&kit, 0)->log;
    kit_run_for(&kit, 700 * KIT_SECOND_NS);
    assert_true(kit_is_cleaning(&kit));
    assert_int_equal(log_start_offset(log), 0);
    kit_until(&kit, kit_one_is_cleaned);
    assert_true(log_start_offset(log) > 90);
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deleted_partition_is_not_cleaned_on),
        cmocka_unit_test(a_topic_that_is_compacted_no_more_is_not_cleaned_on),
        cmocka_unit_test(records_may_be_deleted_during_a_cleaning),
        cmocka_unit_test(a_cut_ends_the_cleaning),
        cmocka_unit_test(a_log_that_begins_anew_is_dirty_from_its_start),
        cmocka_unit_test(a_stop_ends_the_cleaning),
        cmocka_unit_test(appends_go_on_during_a_cleaning),
        cmocka_unit_test(a_cleaning_waits_for_the_writer),
        cmocka_unit_test(a_deletion_ends_a_cleaning_that_waits_for_the_writer),
        cmocka_unit_test(a_swap_waits_for_a_slow_reader),
        cmocka_unit_test(the_rate_is_kept_by_all_cleanings_together),
        cmocka_unit_test(a_rate_that_is_raised_ends_the_wait_for_the_old_one),
        cmocka_unit_test(a_rate_may_be_set_during_a_cleaning),
        cmocka_unit_test(a_deletion_does_not_wait_for_the_rate),
        cmocka_unit_test(a_stop_does_not_wait_for_the_rate),
        cmocka_unit_test(a_topic_of_both_policies_loses_what_is_too_old),
        cmocka_unit_test(retention_waits_for_the_end_of_a_cleaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
