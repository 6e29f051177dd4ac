/* Crashes at every call of a cleaning: whatever the disk keeps, the next start finds the last value
 * of every key, and cleans on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clean_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log_internal.h"

struct trial {
    struct kit kit;
    struct model model;
    bool torn_append; /* the machine died while it appended: the batch may be there */
    bool appending;
    bool pieces; /* a group becomes more than one segment */
};

static void between(void *context)
{
    struct trial *trial = context;
    if (trial->appending && !trial->torn_append)
        trial->torn_append = model_append(&trial->model, &trial->kit) != 0;
}

static int clean(struct trial *trial, bool appending)
{
    struct log_clean_rules rules = clean_rules();
    rules.delete_retention_ms = 0;
    rules.segment_max_bytes = trial->pieces ? 400 : 0;
    trial->appending = appending;
    return clean_in_steps(&trial->kit, &rules, env_wall_ms(trial->kit.env), 400, between, trial);
}

/* A log that was cleaned once, grew, and is to be cleaned again. */
static void prepare(struct trial *trial, uint64_t seed, bool pieces)
{
    memset(trial, 0, sizeof *trial);
    trial->pieces = pieces;
    model_init(&trial->model, seed);
    clean_kit_init(&trial->kit, 1200);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 25; i++)
            assert_int_equal(model_append(&trial->model, &trial->kit), 0);
        if (round == 0)
            assert_int_equal(clean(trial, false), 0);
        ram_disk_set_time(trial->kit.disk, env_wall_ms(trial->kit.env) + 5000);
    }
    /* A recovery point that is behind the log's end, as the checkpoint file's is. */
    assert_int_equal(log_flush(trial->kit.log, &trial->kit.recovery_point), 0);
}

static void crash_and_open(struct trial *trial, enum ram_crash how)
{
    struct kit *kit = &trial->kit;
    kit_drop(kit);
    ram_disk_crash(kit->disk, how);
    int err = kit_open(kit);
    if (err)
        print_message("open: %d\n", err);
    assert_int_equal(err, 0);
    assert_true(log_end_offset(kit->log) >= kit->recovery_point);
    log_set_high_watermark(kit->log, log_end_offset(kit->log));
}

static int64_t model_end(const struct model *model)
{
    int64_t end = 0;
    for (int i = 0; i < model->count; i++) {
        if (model->records[i].offset >= end)
            end = model->records[i].offset + 1;
        if (model->records[i].marker >= end)
            end = model->records[i].marker + 1;
    }
    return end;
}

static void check(struct trial *trial)
{
    struct kit *kit = &trial->kit;
    struct model *model = &trial->model;
    int64_t end = log_end_offset(kit->log);
    if (trial->torn_append && end > model_end(model))
        return;
    model_cut(model, end);
    model_check_values(model, kit);
}

static void no_leftover(void *context, const char *path)
{
    (void)context;
    assert_null(strstr(path, ".cleaned"));
    assert_null(strstr(path, ".swap"));
    assert_null(strstr(path, ".deleted"));
}

/* The log that a crash left opens the same way again, is appended to and cleaned. */
static void live_on(struct trial *trial)
{
    struct kit *kit = &trial->kit;
    int64_t end = log_end_offset(kit->log);
    ram_disk_each(kit->disk, no_leftover, NULL);
    kit_drop(kit);
    assert_int_equal(kit_open(kit), 0);
    log_set_high_watermark(kit->log, end);
    assert_int_equal(log_end_offset(kit->log), end);
    assert_int_equal(kit->report.dropped_bytes, 0);
    check(trial);
    if (trial->torn_append)
        return;
    for (int i = 0; i < 10; i++)
        assert_int_equal(model_append(&trial->model, kit), 0);
    assert_int_equal(clean(trial, false), 0);
    model_cleaned(&trial->model, kit, env_wall_ms(kit->env));
    model_check(&trial->model, kit, env_wall_ms(kit->env), 0);
}

static void crash_at_every_call(enum ram_crash how, bool appending, bool pieces, int seeds)
{
    struct trial *trial = malloc(sizeof *trial);
    int dead = 0;
    for (int seed = 1; seed <= seeds; seed++) {
        bool over = false;
        for (int64_t call = 0; !over; call++) {
            prepare(trial, (uint64_t)seed * 77, pieces);
            ram_disk_reseed(trial->kit.disk, (uint64_t)(call * 1000 + seed));
            ram_disk_die_at(trial->kit.disk, ram_disk_calls(trial->kit.disk) + call);
            over = clean(trial, appending) == 0 && !trial->torn_append;
            dead += !over;
            crash_and_open(trial, how);
            check(trial);
            live_on(trial);
            kit_close(&trial->kit);
        }
    }
    assert_true(dead > 40 * seeds);
    free(trial);
}

static void a_killed_process_leaves_the_old_log_or_the_new(void **state)
{
    (void)state;
    crash_at_every_call(RAM_CRASH_PROCESS, true, false, 2);
    crash_at_every_call(RAM_CRASH_PROCESS, false, true, 2);
}

static void power_loss_leaves_the_old_log_or_the_new(void **state)
{
    (void)state;
    crash_at_every_call(RAM_CRASH_CLEAN, true, false, 2);
    crash_at_every_call(RAM_CRASH_CLEAN, false, true, 2);
}

static void torn_sectors_and_names_leave_the_old_log_or_the_new(void **state)
{
    (void)state;
    crash_at_every_call(RAM_CRASH_TORN, false, false, 4);
    crash_at_every_call(RAM_CRASH_TORN, true, false, 4);
    crash_at_every_call(RAM_CRASH_TORN, false, true, 6);
}

static void crash_twice(struct trial *trial, int64_t call, int64_t second, bool pieces,
                        bool *ret_over)
{
    prepare(trial, 5, pieces);
    ram_disk_reseed(trial->kit.disk, (uint64_t)(call * 100 + second));
    ram_disk_die_at(trial->kit.disk, ram_disk_calls(trial->kit.disk) + call);
    *ret_over = clean(trial, false) == 0;
    kit_drop(&trial->kit);
    ram_disk_crash(trial->kit.disk, RAM_CRASH_TORN);
    ram_disk_die_at(trial->kit.disk, ram_disk_calls(trial->kit.disk) + second);
    (void)kit_open(&trial->kit);
    crash_and_open(trial, second % 2 ? RAM_CRASH_TORN : RAM_CRASH_PROCESS);
    check(trial);
    kit_close(&trial->kit);
}

/* The same with a second crash while the first one is recovered from. */
static void a_crash_while_a_swap_is_finished_is_recovered(void **state)
{
    (void)state;
    struct trial *trial = malloc(sizeof *trial);
    for (int pieces = 0; pieces < 2; pieces++) {
        bool over = false;
        for (int64_t call = 0; !over; call++)
            for (int64_t second = 0; second < 40; second += 3)
                crash_twice(trial, call, second, pieces, &over);
    }
    free(trial);
}

/* One failing call, and the machine goes on: the log in memory is right, and so is the next start.
 */
static void a_failing_call_leaves_a_log_that_opens(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -ENOSPC};
    struct trial *trial = malloc(sizeof *trial);
    for (size_t e = 0; e < 4; e++) {
        bool over = false;
        for (int64_t call = 0; !over; call++) {
            prepare(trial, 9, e / 2);
            int64_t at = ram_disk_calls(trial->kit.disk) + call;
            ram_disk_fail_at(trial->kit.disk, at, errors[e % 2]);
            int err = clean(trial, false);
            over = ram_disk_calls(trial->kit.disk) <= at;
            ram_disk_fail_at(trial->kit.disk, -1, 0);
            if (err == 0)
                model_check_values(&trial->model, &trial->kit);
            crash_and_open(trial, RAM_CRASH_PROCESS);
            check(trial);
            live_on(trial);
            kit_close(&trial->kit);
        }
    }
    free(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_process_leaves_the_old_log_or_the_new),
        cmocka_unit_test(power_loss_leaves_the_old_log_or_the_new),
        cmocka_unit_test(torn_sectors_and_names_leave_the_old_log_or_the_new),
        cmocka_unit_test(a_crash_while_a_swap_is_finished_is_recovered),
        cmocka_unit_test(a_failing_call_leaves_a_log_that_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
