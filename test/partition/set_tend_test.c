/* What is done to logs from time to time, beside cleaning: silent producers are forgotten, and what
 * is due meanwhile comes next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "set_kit.h"

#define HOUR_MS 3600000

static int producers(struct kit *kit)
{
    struct producer_view *items;
    struct arena arena;
    int32_t count;
    arena_init(&arena, 0);
    assert_int_equal(log_producers(kit_partition(kit, 0)->log, &arena, &items, &count), 0);
    arena_close(&arena);
    return count;
}

/* Silent producers are looked for every 5 s, and nothing else is due meanwhile. */
static void start(struct kit *kit, int64_t expiration_ms)
{
    kit_init(kit, 1);
    kit->broker.producer_id_expiration_ms = expiration_ms;
    kit->broker.producer_id_expiration_check_interval_ms = 5000;
    kit->broker.log_initial_task_delay_ms = HOUR_MS;
    kit_start_with(kit, 1);
    kit_append_of(kit, 0, 7);
    assert_int_equal(producers(kit), 1);
}

static void silent_producers_are_forgotten_at_an_interval_of_their_own(void **state)
{
    (void)state;
    struct kit kit;
    start(&kit, 8000);
    kit_run_for(&kit, 7 * KIT_SECOND_NS);
    assert_int_equal(producers(&kit), 1);
    kit_run_for(&kit, 4 * KIT_SECOND_NS);
    assert_int_equal(producers(&kit), 0);
    kit_close(&kit);
}

static void how_long_they_may_be_silent_can_be_changed(void **state)
{
    (void)state;
    struct kit kit;
    start(&kit, 86400000);
    kit_run_for(&kit, 20 * KIT_SECOND_NS);
    assert_int_equal(producers(&kit), 1);
    kit.broker.producer_id_expiration_ms = 1000;
    kit_configure(&kit);
    kit_run_for(&kit, 6 * KIT_SECOND_NS);
    assert_int_equal(producers(&kit), 0);
    kit_close(&kit);
}

static int32_t recovery_points(struct kit *kit)
{
    static char path[] = "/one";
    struct log_dir look = {.env = kit->env, .path = path};
    struct checkpoint_entry *entries;
    struct arena arena;
    int32_t count;
    arena_init(&arena, 0);
    assert_int_equal(checkpoint_read(&look, CHECKPOINT_RECOVERY_POINT, &arena, &entries, &count),
                     0);
    arena_close(&arena);
    return count;
}

/* All three tasks are due at the same moment, and one pass does one of them. */
static void what_is_due_while_logs_are_tended_is_done_right_afterwards(void **state)
{
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit.broker.producer_id_expiration_ms = 1000;
    kit.broker.producer_id_expiration_check_interval_ms = 5000;
    kit.broker.log_initial_task_delay_ms = 5000;
    kit.broker.log_flush_offset_checkpoint_interval_ms = 5000;
    struct kit_topic *topic = kit_topic(&kit, 0, "a");
    topic->settings.cleanup_compact = false;
    topic->settings.cleanup_delete = true;
    topic->settings.retention_ms = 1000;
    kit_start(&kit);
    kit_make(&kit, 0);
    kit_append_of(&kit, 0, 7);
    kit_put(&kit, 0, 20, 60);
    kit_run_for(&kit, 4 * KIT_SECOND_NS);
    assert_int_equal(log_start_offset(kit_partition(&kit, 0)->log), 0);
    assert_int_equal(producers(&kit), 1);
    assert_int_equal(recovery_points(&kit), 0);
    kit_run_for(&kit, 2 * KIT_SECOND_NS); /* the next time is in 10 s */
    assert_true(log_start_offset(kit_partition(&kit, 0)->log) > 0);
    assert_int_equal(producers(&kit), 0);
    assert_int_equal(recovery_points(&kit), 1);
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_producers_are_forgotten_at_an_interval_of_their_own),
        cmocka_unit_test(how_long_they_may_be_silent_can_be_changed),
        cmocka_unit_test(what_is_due_while_logs_are_tended_is_done_right_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
