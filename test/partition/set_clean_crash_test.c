/* Crashes and errors at every call that a cleaning makes as the partition set drives it, with its
 * checkpoint files: no value is lost, no directory is given up for a disk that is full, and what
 * the checkpoint calls clean is clean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "set_kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Every call is met by one kind of crash; the other kinds and errors take every third, or with
 * TEST_LONG all. */
static int64_t stride(void)
{
    const char *all = getenv("TEST_LONG");
    return all && *all ? 1 : 3;
}

static bool is_over(struct kit *kit)
{
    return kit->set.cleaner.running == 0 && !kit->set.cleaner.looking &&
           !ram_disk_has_jobs(kit->disk);
}

/* A log that was cleaned once and is dirty again; its cleaning begins. */
static void prepare(struct kit *kit)
{
    kit_init(kit, 1);
    kit_start_with(kit, 1);
    kit_put(kit, 0, 20, 60);
    kit_run_for(kit, 90 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(kit), 1);
    kit_put(kit, 0, 20, 60);
    kit_sync(kit, 0);
    kit_until(kit, kit_is_cleaning);
}

/* Below what the checkpoint says no key has two records. */
static void check_claim(struct kit *kit)
{
    int64_t claim = kit_checkpoint(kit, 0, 0);
    int seen[KIT_KEYS_MAX] = {0};
    char *text = kit_text_below(kit, 0, claim), *at = text;
    while ((at = strchr(at, 'k'))) {
        int key = atoi(++at);
        assert_true(seen[key]++ == 0);
    }
    free(text);
}

static void live_on(struct kit *kit)
{
    kit_start(kit);
    kit_check(kit, 0);
    check_claim(kit);
    assert_false(atomic_load(&kit->set.dirs[0].offline));
    kit_put(kit, 0, 20, 60);
    kit_run_for(kit, 60 * KIT_SECOND_NS);
    assert_true(kit_cleanings(kit) >= 1);
    kit_check(kit, 0);
    check_claim(kit);
    assert_true(kit_count(kit, 0) < 40);
}

static void crash_at_calls(enum ram_crash how, int64_t every)
{
    int died = 0;
    bool over = false;
    for (int64_t call = how; !over; call += every) {
        struct kit kit;
        prepare(&kit);
        ram_disk_reseed(kit.disk, (uint64_t)call);
        int64_t at = ram_disk_calls(kit.disk) + call;
        ram_disk_die_at(kit.disk, at);
        kit_until(&kit, is_over);
        over = ram_disk_calls(kit.disk) <= at;
        died += !over;
        kit_crash(&kit, how);
        ram_disk_die_at(kit.disk, -1);
        live_on(&kit);
        kit_close(&kit);
    }
    assert_true(died > 40 / every);
}

static void a_killed_process_loses_nothing_and_claims_nothing(void **state)
{
    (void)state;
    crash_at_calls(RAM_CRASH_PROCESS, 1);
}

static void a_loss_of_power_loses_nothing_that_was_synced(void **state)
{
    (void)state;
    crash_at_calls(RAM_CRASH_CLEAN, stride());
}

static void torn_sectors_and_names_lose_nothing_that_was_synced(void **state)
{
    (void)state;
    crash_at_calls(RAM_CRASH_TORN, stride());
}

/* One call fails, and the node goes on; or it has given the directory up, and starts again. */
static void fail_at_calls(int error, int64_t first, int64_t every)
{
    bool over = false;
    int offline = 0, online = 0;
    for (int64_t call = first; !over; call += every) {
        struct kit kit;
        prepare(&kit);
        int64_t at = ram_disk_calls(kit.disk) + call;
        ram_disk_fail_at(kit.disk, at, error);
        kit_until(&kit, is_over);
        over = ram_disk_calls(kit.disk) <= at;
        ram_disk_fail_at(kit.disk, -1, 0);
        if (atomic_load(&kit.set.dirs[0].offline)) {
            offline++;
        } else {
            online++;
            kit_check(&kit, 0);
            /* It is tried again by itself. */
            kit_run_for(&kit, 60 * KIT_SECOND_NS);
            assert_int_equal(kit_cleanings(&kit), 2);
            kit_check(&kit, 0);
            check_claim(&kit);
            assert_true(kit_count(&kit, 0) < 40);
        }
        kit_crash(&kit, RAM_CRASH_PROCESS);
        live_on(&kit);
        kit_close(&kit);
    }
    assert_true(online > 3);
    assert_true(offline > 3);
}

static void an_error_of_the_device_loses_nothing(void **state)
{
    (void)state;
    fail_at_calls(-EIO, 0, stride());
}

static void a_disk_that_is_full_for_a_moment_loses_nothing(void **state)
{
    (void)state;
    fail_at_calls(-ENOSPC, 1, stride());
}

/* No room for any write: the log stays as it is, the directory is served, and the cleaning comes
 * back when there is room. Others have their turn meanwhile. */
static void a_full_disk_is_waited_for(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit_start_with(&kit, 1);
    kit_put(&kit, 0, 20, 60);
    kit_until(&kit, kit_is_cleaning);
    ram_disk_fail_writes(kit.disk, -1, -ENOSPC);
    kit_run_for(&kit, 300 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 0);
    assert_false(atomic_load(&kit.set.dirs[0].offline));
    assert_int_equal(atomic_load(&kit.set.cleaner.uncleanable_count), 0);
    assert_true(kit_said(&kit, "WARN cannot clean a log now log=a-0"));
    assert_true(kit_said_times(&kit, "WARN") < 60);
    kit_check(&kit, 0);
    ram_disk_fail_writes(kit.disk, 0, 0);
    kit_run_for(&kit, 16 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    kit_check(&kit, 0);
    kit_close(&kit);
}

/* The dirtiest log's directory has no room; those of the other are cleaned all the same. */
static void a_log_that_cannot_be_cleaned_now_does_not_hold_up_the_others(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 2);
    kit_start_with(&kit, 2);
    kit_put(&kit, 0, 20, 60);
    kit_put(&kit, 1, 20, 60);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    kit_put(&kit, 0, 20, 300); /* the dirtiest */
    kit_put(&kit, 1, 20, 60);
    kit_fail_dir(&kit, 0, -ENOSPC);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 3);
    assert_true(kit_count(&kit, 1) < 40);
    assert_true(kit_count(&kit, 0) > 300);
    kit_fail_dir(&kit, 0, 0);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 4);
    kit_check(&kit, 0);
    kit_check(&kit, 1);
    kit_close(&kit);
}

/* The checkpoint alone found no room: it is written with the next ones. */
static void a_checkpoint_that_found_no_room_is_written_later(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit_start_with(&kit, 1);
    kit_put(&kit, 0, 20, 60);
    kit_until(&kit, kit_is_cleaning);
    while (!kit_said(&kit, "cleaned a log"))
        kit_step(&kit);
    assert_true(kit_is_cleaning(&kit));
    atomic_store(&kit.set.dirs[0].dirty, false); /* nothing else asks for them */
    ram_disk_fail_writes(kit.disk, 1, -ENOSPC);
    kit_until(&kit, is_over);
    assert_int_equal(kit_checkpoint(&kit, 0, 0), -1);
    kit_run_for(&kit, 61 * KIT_SECOND_NS);
    assert_int_equal(kit_checkpoint(&kit, 0, 0), log_cleaned_to(kit_partition(&kit, 0)->log));
    kit_close(&kit);
}

/* A directory that goes offline during a cleaning of it takes nothing else with it. */
static void a_directory_that_fails_leaves_the_other_one_clean(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 2);
    kit_start_with(&kit, 2);
    kit_put(&kit, 0, 20, 60);
    kit_put(&kit, 1, 20, 60);
    kit_fail_dir(&kit, 0, -EIO);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_true(atomic_load(&kit.set.dirs[0].offline));
    assert_false(atomic_load(&kit.set.dirs[1].offline));
    assert_int_equal(kit_cleanings(&kit), 1);
    assert_int_equal(kit_said_times(&kit, "log directory offline"), 1);
    kit_check(&kit, 1);
    kit_put(&kit, 1, 20, 60);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 2);
    kit_fail_dir(&kit, 0, 0);
    kit_stop(&kit, true);
    kit_start(&kit);
    kit_check(&kit, 0);
    kit_check(&kit, 1);
    kit_run_for(&kit, 60 * KIT_SECOND_NS);
    assert_int_equal(kit_cleanings(&kit), 1);
    assert_true(kit_count(&kit, 0) < 40);
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_process_loses_nothing_and_claims_nothing),
        cmocka_unit_test(a_loss_of_power_loses_nothing_that_was_synced),
        cmocka_unit_test(torn_sectors_and_names_lose_nothing_that_was_synced),
        cmocka_unit_test(an_error_of_the_device_loses_nothing),
        cmocka_unit_test(a_disk_that_is_full_for_a_moment_loses_nothing),
        cmocka_unit_test(a_full_disk_is_waited_for),
        cmocka_unit_test(a_log_that_cannot_be_cleaned_now_does_not_hold_up_the_others),
        cmocka_unit_test(a_checkpoint_that_found_no_room_is_written_later),
        cmocka_unit_test(a_directory_that_fails_leaves_the_other_one_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
