/* Crashes at every call: whatever the disk keeps, what was synced is there, the rest is a prefix of
 * what was appended, and opening again changes nothing more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "log_kit.h"

#define APPENDS_MAX 400

/* What was appended, batch by batch. */
struct history {
    struct kit_batch batches[APPENDS_MAX];
    int64_t base_offset[APPENDS_MAX], end_offset[APPENDS_MAX];
    int count;         /* acknowledged */
    int64_t synced;    /* end offset that a flush answered */
    int64_t truncated; /* least end offset a cut was begun for; INT64_MAX: none */
};

static void history_add(struct history *history, const struct kit_batch *batch, int64_t base)
{
    assert_true(history->count < APPENDS_MAX);
    int i = history->count++;
    history->batches[i] = *batch;
    history->base_offset[i] = base;
    history->end_offset[i] = base + (batch->records ? batch->records : 1);
}

/* The last appended batch of this producer below the offset, or NULL. */
static const struct kit_batch *history_last(const struct history *history, int64_t producer_id,
                                            int64_t below)
{
    for (int i = history->count - 1; i >= 0; i--)
        if (history->end_offset[i] <= below && history->batches[i].producer_id == producer_id &&
            !history->batches[i].marker)
            return &history->batches[i];
    return NULL;
}

/* Step `step` of the script: appends of three producers, one of them transactional. */
static int script_step(struct kit *kit, struct history *history, int step)
{
    static const int kinds[] = {1, 2, 3, 0, 3, 1, 4, 2, 3, 5};
    struct kit_batch batch = {.records = 1 + step % 3,
                              .value_size = 40 + step * 37 % 300,
                              .timestamp = 100000 + step * 10,
                              .leader_epoch = step / 25};
    int kind = kinds[step % 10];
    if (kind == 4 || kind == 5) {
        batch = (struct kit_batch){.marker = kind == 4 ? 2 : 1,
                                   .producer_id = 3,
                                   .timestamp = batch.timestamp,
                                   .leader_epoch = batch.leader_epoch};
    } else if (kind > 0) {
        const struct kit_batch *last = history_last(history, kind, INT64_MAX);
        batch.producer_id = kind;
        batch.sequence = last ? last->sequence + last->records : 0;
        batch.transactional = kind == 3;
    }
    int err = kit_append(kit, &batch);
    if (err == 0)
        history_add(history, &batch, kit->result.base_offset);
    return err;
}

/* Run until the disk dies or the script is over. */
static void run_script(struct kit *kit, struct history *history)
{
    for (int step = 0; step < 60; step++) {
        int64_t synced;
        if (script_step(kit, history, step) != 0)
            return;
        if (step % 11 == 10) {
            if (log_flush(kit->log, &synced) != 0)
                return;
            history->synced = synced;
        }
        if (step % 20 == 19) {
            if (log_apply_retention(kit->log, 0, log_end_offset(kit->log)) < 0)
                return;
            log_remove_deleted(kit->log, 0, true);
        }
    }
}

static void kit_small(struct kit *kit)
{
    kit_init(kit);
    kit->settings.segment_bytes = 3000;
    kit->settings.index_interval_bytes = 200;
    kit->settings.retention_bytes = 9000;
    kit->settings.producer_expiration_ms = INT64_MAX;
}

/* The log holds the history's batches from its start to its end, byte for byte. */
static void check_prefix(struct kit *kit, const struct history *history)
{
    int64_t start = log_start_offset(kit->log), end = log_end_offset(kit->log);
    for (int i = 0; i < history->count; i++) {
        if (history->end_offset[i] <= start || history->base_offset[i] >= end)
            continue;
        assert_true(history->end_offset[i] <= end);
        struct kit_batch batch = history->batches[i];
        struct log_span span;
        struct log_read_params params = {.offset = history->base_offset[i],
                                         .bound = log_end(kit->log),
                                         .max_bytes = 1,
                                         .min_one_batch = true,
                                         .may_block = true};
        size_t size;
        batch.base_offset = history->base_offset[i];
        uint8_t *data = kit_build(&batch, &size);
        assert_int_equal(log_read(kit->log, &params, &span), 0);
        assert_int_equal(span.size, size);
        uint8_t *read = malloc(size);
        assert_int_equal(
            env_read_all(kit->env, file_ref_descriptor(span.file), read, size, span.position), 0);
        assert_memory_equal(read, data, size);
        log_span_close(&span);
        free(read);
        free(data);
    }
    assert_int_equal(kit_read_all(kit, start, 700, NULL), end);
}

/* The state that a restart keeps of producers is that of the batches below the end. */
static void check_producers(struct kit *kit, const struct history *history)
{
    struct producer_view *views;
    int32_t count;
    int64_t end = log_end_offset(kit->log);
    assert_int_equal(log_producers(kit->log, &kit->arena, &views, &count), 0);
    for (int64_t id = 1; id <= 3; id++) {
        const struct kit_batch *last = history_last(history, id, end);
        const struct producer_view *view = NULL;
        for (int32_t i = 0; i < count; i++)
            if (views[i].producer_id == id)
                view = &views[i];
        if (!last) {
            assert_null(view);
            continue;
        }
        assert_non_null(view);
        assert_int_equal(view->last_sequence, last->sequence + last->records - 1);
        if (id != 3)
            continue;
        int64_t open = -1;
        for (int i = 0; i < history->count && history->end_offset[i] <= end; i++) {
            if (history->batches[i].producer_id != 3)
                continue;
            if (history->batches[i].marker)
                open = -1;
            else if (open < 0)
                open = history->base_offset[i];
        }
        assert_int_equal(view->current_txn_start_offset, open);
    }
    arena_reset(&kit->arena, 0);
}

/* Every aborted transaction of the history that lies within the log, and no other, is known. */
static void check_aborted(struct kit *kit, const struct history *history)
{
    struct aborted_transaction *items;
    int32_t count, expected = 0;
    int64_t open = -1, start = log_start_offset(kit->log), end = log_end_offset(kit->log);
    assert_int_equal(
        log_aborted_transactions(kit->log, start, end, true, &kit->arena, &items, &count), 0);
    for (int i = 0; i < history->count && history->end_offset[i] <= end; i++) {
        if (history->batches[i].producer_id != 3)
            continue;
        if (!history->batches[i].marker) {
            open = open < 0 ? history->base_offset[i] : open;
            continue;
        }
        if (history->batches[i].marker == 2 && open >= 0 && history->base_offset[i] >= start) {
            assert_true(expected < count);
            assert_int_equal(items[expected].first_offset, open);
            assert_int_equal(items[expected].producer_id, 3);
            expected++;
        }
        open = -1;
    }
    assert_int_equal(count, expected);
    arena_reset(&kit->arena, 0);
}

static void check_log(struct kit *kit, const struct history *history)
{
    check_prefix(kit, history);
    check_producers(kit, history);
    check_aborted(kit, history);
}

/* Crash, open, compare, open again, write on. */
static void check_crash(struct kit *kit, const struct history *history, enum ram_crash how,
                        bool all_there)
{
    kit_drop(kit);
    ram_disk_crash(kit->disk, how);
    kit->recovery_point = history->synced;
    int err = kit_open(kit);
    if (err)
        print_message("open: %d synced=%lld\n", err, (long long)history->synced);
    assert_int_equal(err, 0);
    int64_t end = log_end_offset(kit->log);
    assert_true(end >= history->synced);
    if (all_there && history->count > 0)
        assert_true(end >= history->end_offset[history->count - 1]);

    struct history kept = *history;
    while (kept.count > 0 && kept.end_offset[kept.count - 1] > end)
        kept.count--;
    /* A batch that was written whole but not acknowledged may be there: it is not in the history.
     */
    bool extra = end > (kept.count ? kept.end_offset[kept.count - 1] : 0);
    if (!extra)
        check_log(kit, &kept);

    kit_drop(kit);
    assert_int_equal(kit_open(kit), 0);
    assert_int_equal(log_end_offset(kit->log), end);
    assert_int_equal(kit->report.dropped_bytes, 0);
    if (!extra) {
        check_log(kit, &kept);
        for (int step = 0; step < 12; step++)
            assert_int_equal(script_step(kit, &kept, step), 0);
        check_log(kit, &kept);
    }
}

static void crashes_at_every_call(enum ram_crash how, int seeds)
{
    struct kit kit;
    struct history history = {0};
    kit_small(&kit);
    assert_int_equal(kit_open(&kit), 0);
    run_script(&kit, &history);
    assert_int_equal(history.count, 60);
    assert_true(log_start_offset(kit.log) > 0);
    int64_t calls = ram_disk_calls(kit.disk);
    kit_close(&kit);

    for (int64_t round = 0; round <= calls * seeds; round++) {
        history = (struct history){0};
        kit_small(&kit);
        ram_disk_reseed(kit.disk, (uint64_t)round);
        ram_disk_die_at(kit.disk, round / seeds);
        if (kit_open(&kit) == 0)
            run_script(&kit, &history);
        check_crash(&kit, &history, how, how == RAM_CRASH_PROCESS);
        kit_close(&kit);
    }
}

static void a_killed_process_loses_nothing_acknowledged(void **state)
{
    (void)state;
    crashes_at_every_call(RAM_CRASH_PROCESS, 1);
}

static void power_loss_keeps_exactly_what_was_synced_or_more(void **state)
{
    (void)state;
    crashes_at_every_call(RAM_CRASH_CLEAN, 1);
}

static void torn_sectors_and_names_never_show(void **state)
{
    (void)state;
    crashes_at_every_call(RAM_CRASH_TORN, 8);
}

/* The same with a crash while recovery itself runs. */
static void a_crash_during_recovery_is_recovered(void **state)
{
    (void)state;
    for (int64_t call = 0; call < 200; call++) {
        struct kit kit;
        struct history history = {0};
        kit_small(&kit);
        ram_disk_reseed(kit.disk, (uint64_t)call);
        assert_int_equal(kit_open(&kit), 0);
        run_script(&kit, &history);
        kit_drop(&kit);
        ram_disk_crash(kit.disk, RAM_CRASH_TORN);
        kit.recovery_point = history.synced;
        ram_disk_die_at(kit.disk, ram_disk_calls(kit.disk) + call % 60);
        (void)kit_open(&kit);
        check_crash(&kit, &history, call % 2 ? RAM_CRASH_TORN : RAM_CRASH_PROCESS, false);
        kit_close(&kit);
    }
}

/* Cut to a third, append other batches, crash anywhere: below the cut all is there, above it only
 * what one of the two lives wrote, and never old batches behind new ones. */
static void a_crash_around_a_cut_never_mixes_two_lives(void **state)
{
    (void)state;
    bool over = false;
    for (int64_t call = 0; !over; call++) {
        for (int how = RAM_CRASH_PROCESS; how <= RAM_CRASH_TORN; how++) {
            struct kit kit;
            struct history history = {0};
            int64_t synced = 0;
            kit_small(&kit);
            ram_disk_reseed(kit.disk, (uint64_t)call);
            kit.settings.retention_bytes = -1;
            assert_int_equal(kit_open(&kit), 0);
            for (int i = 0; i < 40; i++) {
                struct kit_batch batch = {.value_size = 150, .timestamp = i};
                assert_int_equal(kit_append(&kit, &batch), 0);
                history_add(&history, &batch, kit.result.base_offset);
            }
            assert_int_equal(log_flush(kit.log, &synced), 0);
            ram_disk_die_at(kit.disk, ram_disk_calls(kit.disk) + call);
            int err = log_truncate(kit.log, 13);
            int appended = 0;
            for (int i = 0; i < 20 && err == 0; i++) {
                struct kit_batch batch = {
                    .value_size = 150, .timestamp = 1000 + i, .leader_epoch = 1};
                err = kit_append(&kit, &batch);
                appended += err == 0;
            }
            over = err == 0;
            kit_drop(&kit);
            ram_disk_crash(kit.disk, (enum ram_crash)how);
            kit.recovery_point = synced;
            assert_int_equal(kit_open(&kit), 0);
            int64_t end = log_end_offset(kit.log);
            assert_true(end >= 13);
            if (appended > 0 && how == RAM_CRASH_PROCESS)
                assert_true(end >= 13 + appended);
            assert_int_equal(kit_read_all(&kit, 0, 1 << 20, NULL), end);
            /* Once there is a batch of the second life, all that follow are of it. */
            if (appended > 0 && log_latest_epoch(kit.log) == 1)
                assert_int_equal(log_epoch_at(kit.log, end - 1), 1);
            for (int i = 0; i < 13; i++) {
                int batches;
                kit_checksum(&kit, i, i + 1, &batches);
                assert_int_equal(batches, 1);
            }
            kit_close(&kit);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_process_loses_nothing_acknowledged),
        cmocka_unit_test(power_loss_keeps_exactly_what_was_synced_or_more),
        cmocka_unit_test(torn_sectors_and_names_never_show),
        cmocka_unit_test(a_crash_during_recovery_is_recovered),
        cmocka_unit_test(a_crash_around_a_cut_never_mixes_two_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
