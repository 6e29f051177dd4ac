/* Around the moment in which cleaned segments take the place of others: what may come between, who
 * still reads the old ones, what is found afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clean_kit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log/log_internal.h"

struct disturbance {
    struct kit *kit;
    int calls;
    int at;
    void (*what)(struct kit *kit);
};

static void disturb(void *context)
{
    struct disturbance *disturbance = context;
    if (disturbance->calls++ == disturbance->at)
        disturbance->what(disturbance->kit);
}

static void cut(struct kit *kit)
{
    log_set_high_watermark(kit->log, 0);
    assert_int_equal(log_truncate(kit->log, 3), 0);
}

static void give_up_front(struct kit *kit)
{
    assert_int_equal(log_raise_start(kit->log, 2, INT64_MAX), 0);
    assert_true(log_apply_retention(kit->log, 0, INT64_MAX) >= 0);
}

static void fill_three_segments(struct kit *kit)
{
    for (int i = 0; i < 6; i++) {
        clean_put(kit, i % 2 ? "a" : "b", i % 2 ? "1" : "2");
        if (i % 2)
            clean_roll(kit);
    }
}

static void no_cleaned_file(void *context, const char *path)
{
    (void)context;
    assert_null(strstr(path, ".cleaned"));
    assert_null(strstr(path, ".swap"));
}

static void a_cut_or_retention_ends_a_cleaning_without_harm(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        int err = -ECANCELED, at;
        for (at = 0; err == -ECANCELED; at++) {
            struct kit kit;
            struct log_clean_rules rules = clean_rules();
            clean_kit_init(&kit, 1 << 20);
            fill_three_segments(&kit);
            struct disturbance disturbance = {&kit, 0, at, what ? cut : give_up_front};
            err = clean_in_steps(&kit, &rules, 5000, 1, disturb, &disturbance);
            if (err == -ECANCELED) {
                if (what)
                    assert_true(log_end_offset(kit.log) <= 3);
                assert_int_equal(log_cleaned_to(kit.log), -1);
                ram_disk_each(kit.disk, no_cleaned_file, NULL);
                kit_read_all(&kit, log_start_offset(kit.log), 1000, NULL);
            }
            kit_close(&kit);
        }
        assert_true(at > 5);
    }
}

static void a_cut_lowers_how_far_the_log_is_clean(void **state)
{
    struct kit *kit = *state;
    struct log_clean_rules rules = clean_rules();
    fill_three_segments(kit);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_int_equal(log_cleaned_to(kit->log), 6);
    assert_int_equal(log_truncate(kit->log, 5), 0);
    assert_true(log_cleaned_to(kit->log) <= 5);
}

static void old_files_go_after_their_delay_even_when_cleaned_twice(void **state)
{
    struct kit *kit = *state;
    struct log_clean_rules rules = clean_rules();
    for (int round = 0; round < 3; round++) {
        fill_three_segments(kit);
        assert_int_equal(clean_all(kit, &rules, 5000), 0);
    }
    assert_true(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000000.log.deleted"));
    log_remove_deleted(kit->log, env_wall_ms(kit->env), false);
    assert_true(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000000.log.deleted"));
    log_remove_deleted(kit->log, env_wall_ms(kit->env) + 60000, false);
    assert_false(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000000.log.deleted"));
    assert_string_equal(clean_text(kit), "b=2 a=1");
}

/* A reader that holds a segment while it is replaced goes on in the old batches, though its file
 * is not open and its name is another segment's. */
static void who_holds_a_segment_reads_the_old_batches(void **state)
{
    struct kit *kit = *state;
    int64_t next_base;
    struct segment_place place;
    struct log_clean_rules rules = clean_rules();
    fill_three_segments(kit);
    struct segment *held = log_segment_for(kit->log, 0, &next_base);
    for (int kind = 0; kind < SEGMENT_OWN_FILES; kind++)
        file_cache_forget(kit->files, &held->files[kind]);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_int_equal(segment_find(kit->log, held, 0, true, &place), 0);
    assert_int_equal(place.batch.base_offset, 0);
    /* Nor are its files removed while it is held, or its name taken again. */
    log_remove_deleted(kit->log, INT64_MAX, false);
    assert_true(ram_disk_exists(kit->disk, KIT_DIR "/00000000000000000000.log.deleted"));
    fill_three_segments(kit);
    assert_int_equal(clean_all(kit, &rules, 5000), -EAGAIN);
    segment_unref(kit->log, held);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_string_equal(clean_text(kit), "b=2 a=1");
}

static void a_place_in_a_replaced_segment_is_searched_again(void **state)
{
    struct kit *kit = *state;
    struct log_span span;
    struct log_clean_rules rules = clean_rules();
    fill_three_segments(kit);
    clean_put(kit, "c", "1");
    clean_put(kit, "d", "1");
    struct log_read_params params = {.offset = 0,
                                     .bound = log_end(kit->log),
                                     .max_bytes = 1,
                                     .min_one_batch = true,
                                     .may_block = true};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    struct log_position in_old = span.next;
    log_span_close(&span);
    params.offset = 6;
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    struct log_position in_active = span.next;
    log_span_close(&span);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    params.offset = 1;
    params.hint = &in_old;
    params.max_bytes = 1 << 20;
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    struct batch batch;
    uint8_t header[BATCH_HEADER_SIZE];
    assert_int_equal(env_read_all(kit->env, file_ref_descriptor(span.file), header, sizeof header,
                                  span.position),
                     0);
    assert_int_equal(batch_read_header(header, sizeof header, &batch), 0);
    assert_int_equal(batch.base_offset, 4);
    log_span_close(&span);
    /* The active segment is where it was: its places need no search, which -EAGAIN would show. */
    ram_disk_set_cold(kit->disk, true);
    params = (struct log_read_params){.offset = in_active.offset,
                                      .hint = &in_active,
                                      .bound = log_end(kit->log),
                                      .max_bytes = 1 << 20};
    assert_int_equal(log_read(kit->log, &params, &span), 0);
    assert_true(span.size > 0);
    log_span_close(&span);
}

static void a_cleaned_log_is_found_as_it_was_left(void **state)
{
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        struct kit kit;
        struct log_clean_rules rules = clean_rules();
        clean_kit_init(&kit, 700);
        for (int i = 0; i < 60; i++) {
            char key[8];
            snprintf(key, sizeof key, "k%d", i * i % 7);
            clean_put(&kit, key, "value");
        }
        assert_int_equal(clean_all(&kit, &rules, 5000), 0);
        const char *text = clean_text(&kit);
        int64_t size = log_size_bytes(kit.log);
        if (clean)
            kit_stop_clean(&kit);
        else
            kit_drop(&kit);
        assert_int_equal(kit_open(&kit), 0);
        assert_int_equal(kit.report.dropped_bytes, 0);
        assert_int_equal(kit.report.indexes_rebuilt, 0);
        assert_string_equal(clean_text(&kit), text);
        assert_int_equal(log_size_bytes(kit.log), size);
        assert_int_equal(log_end_offset(kit.log), 60);
        kit_close(&kit);
    }
}

static void a_full_disk_leaves_the_log_as_it_was(void **state)
{
    struct kit *kit = *state;
    struct log_clean_rules rules = clean_rules();
    fill_three_segments(kit);
    const char *before = clean_text(kit);
    assert_int_equal(log_flush(kit->log, NULL), 0);
    ram_disk_fail_writes(kit->disk, -1, -ENOSPC);
    assert_int_equal(clean_all(kit, &rules, 5000), -ENOSPC);
    ram_disk_fail_writes(kit->disk, 0, 0);
    ram_disk_each(kit->disk, no_cleaned_file, NULL);
    assert_string_equal(clean_text(kit), before);
    assert_int_equal(clean_all(kit, &rules, 5000), 0);
    assert_string_equal(clean_text(kit), "b=2 a=1");
}

/* A reader that holds the old segments goes on in them; who comes later reads the new ones. */
static void what_is_too_large_for_one_segment_becomes_several(void **state)
{
    (void)state;
    struct kit kit;
    struct log_clean_rules rules = clean_rules();
    clean_kit_init(&kit, 9000);
    for (int i = 0; i < 60; i++)
        clean_put(&kit, arena_printf(&kit.arena, "key%d", i % 40), "a value of some bytes");
    clean_roll(&kit);
    rules.segment_max_bytes = 1000;
    assert_true(kit.log->segment_count < 5);
    assert_int_equal(clean_all(&kit, &rules, 5000), 0);
    struct log *log = kit.log;
    assert_in_range(log->segment_count, 5, 9);
    for (int i = 0; i < log->segment_count; i++) {
        assert_true(segment_size(log->segments[i]) <= 1000);
        if (i > 0)
            assert_true(log->segments[i]->base_offset > log->segments[i - 1]->base_offset);
    }
    struct read_log read;
    clean_read(&kit, 0, &read);
    assert_int_equal(read.count, 40);
    for (int i = 0; i < read.count; i++)
        assert_int_equal(read.records[i].offset, 20 + i);

    /* The next cleaning puts them together again, and a start finds what there is. */
    clean_put(&kit, "key0", "again");
    clean_roll(&kit);
    rules.segment_max_bytes = 0;
    assert_int_equal(clean_all(&kit, &rules, 6000), 0);
    assert_int_equal(log->segment_count, 2);
    kit.recovery_point = log_end_offset(kit.log);
    kit_drop(&kit);
    assert_int_equal(kit_open(&kit), 0);
    clean_read(&kit, 0, &read);
    assert_int_equal(read.count, 40);
    kit_close(&kit);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, clean_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_or_retention_ends_a_cleaning_without_harm),
        T(a_cut_lowers_how_far_the_log_is_clean),
        T(old_files_go_after_their_delay_even_when_cleaned_twice),
        T(who_holds_a_segment_reads_the_old_batches),
        T(a_place_in_a_replaced_segment_is_searched_again),
        cmocka_unit_test(a_cleaned_log_is_found_as_it_was_left),
        T(a_full_disk_leaves_the_log_as_it_was),
        cmocka_unit_test(what_is_too_large_for_one_segment_becomes_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
