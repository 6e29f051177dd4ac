/* A topic that is deleted and made again under its name has a log of its own: nothing that was
 * written down of the old one's is believed of the new one's, whenever the process dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "set_kit.h"

#include <string.h>

/* A log that begins at 10 and is on disk up to 40, all of it written down; then its topic goes. */
static void prepare(struct kit *kit)
{
    kit_init(kit, 1);
    kit_topic(kit, 0, "a");
    kit_start(kit);
    kit_make(kit, 0);
    kit_put(kit, 0, 8, 40);
    kit_sync(kit, 0);
    assert_int_equal(log_raise_start(kit_partition(kit, 0)->log, 10, 40), 0);
    kit_run_for(kit, 120 * KIT_SECOND_NS);
    assert_true(ram_disk_exists(kit->disk, "/one/log-start-offset-checkpoint"));
}

static bool is_deleted(struct kit *kit)
{
    return !kit->set.steps;
}

static void make_again(struct kit *kit)
{
    kit_topic(kit, 0, "a");
    kit_make(kit, 0);
    kit_put(kit, 0, 3, 3);
}

static void check(struct kit *kit)
{
    kit_start(kit);
    assert_false(atomic_load(&kit->set.dirs[0].offline));
    assert_int_equal(log_start_offset(kit_partition(kit, 0)->log), 0);
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), 3);
    kit_check(kit, 0);
}

static void a_topic_made_again_keeps_its_records_when_the_process_dies(void **state)
{
    (void)state;
    struct kit kit;
    prepare(&kit);
    kit_delete(&kit, 0);
    kit_until(&kit, is_deleted);
    make_again(&kit);
    kit_crash(&kit, RAM_CRASH_PROCESS);
    check(&kit);
    kit_close(&kit);
}

static void what_a_deletion_cut_short_leaves_is_forgotten_at_the_next_start(void **state)
{
    (void)state;
    bool over = false;
    int died = 0;
    for (int64_t call = 0; !over; call++) {
        struct kit kit;
        prepare(&kit);
        int64_t at = ram_disk_calls(kit.disk) + call;
        ram_disk_die_at(kit.disk, at);
        kit_delete(&kit, 0);
        kit_run_for(&kit, KIT_SECOND_NS);
        over = ram_disk_calls(kit.disk) <= at;
        died += !over;
        kit_crash(&kit, RAM_CRASH_PROCESS);
        ram_disk_die_at(kit.disk, -1);
        kit_start(&kit);
        make_again(&kit);
        kit_crash(&kit, RAM_CRASH_PROCESS);
        check(&kit);
        kit_close(&kit);
    }
    assert_true(died > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_made_again_keeps_its_records_when_the_process_dies),
        cmocka_unit_test(what_a_deletion_cut_short_leaves_is_forgotten_at_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
