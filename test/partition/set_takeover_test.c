/* Directories of an Apache Kafka that was killed soon after its cleaner left gaps above the
 * recovery point are taken over; crashes at every call of that start lose nothing, and later ones
 * neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "set_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define RECORDS 90
#define SIGN "/one/jackdaw-running"
#define RECOVERY_POINTS "/one/recovery-point-offset-checkpoint"
#define FOLDER "/one/a-0/"
#define FIRST_LOG FOLDER "00000000000000000000.log"

/* How it is known that the gaps are a cleaner's. */
enum known_by {
    BY_NO_SIGN,           /* Jackdaw did not have the directory when it was written to last */
    BY_KAFKAS_INDEX,      /* it crashed there, Kafka took over, and the sign is a wrong one */
    BY_NO_RECOVERY_POINT, /* it did, and somebody removed the checkpoint file since */
};

static void note_log(void *context, const char *path)
{
    size_t size = strlen(path);
    if (strncmp(path, FOLDER, strlen(FOLDER)) == 0 && strcmp(path + size - 4, ".log") == 0)
        snprintf(context, 128, "%.*s.index", (int)size - 4, path);
}

/* A compacted log of several segments, all synced, of whose first one the first batch alone is
 * left. Every key has its last value later. */
static void prepare(struct kit *kit, enum known_by known_by)
{
    static const uint8_t preallocated[1 << 20];
    char index[128] = "";
    size_t size;
    kit_init(kit, 1);
    kit_topic(kit, 0, "a");
    kit_start(kit);
    kit_make(kit, 0);
    kit_put(kit, 0, 20, RECORDS);
    kit_sync(kit, 0);
    kit_crash(kit, RAM_CRASH_PROCESS);
    uint8_t *data = ram_disk_data(kit->disk, FIRST_LOG, &size), batch[200];
    size_t batch_size = 12 + (size_t)load_be32(data + 8);
    assert_in_range(batch_size, 61, sizeof batch);
    memcpy(batch, data, batch_size);
    ram_disk_put(kit->disk, FIRST_LOG, batch, batch_size);
    assert_true(ram_disk_exists(kit->disk, SIGN));
    assert_true(ram_disk_exists(kit->disk, RECOVERY_POINTS));
    if (known_by == BY_NO_SIGN)
        ram_disk_remove(kit->disk, SIGN);
    if (known_by == BY_NO_RECOVERY_POINT)
        ram_disk_remove(kit->disk, RECOVERY_POINTS);
    if (known_by != BY_KAFKAS_INDEX)
        return;
    ram_disk_each(kit->disk, note_log, index); /* the last one's remains */
    ram_disk_put(kit->disk, index, preallocated, sizeof preallocated);
}

static void check(struct kit *kit)
{
    kit_start(kit);
    assert_false(atomic_load(&kit->set.dirs[0].offline));
    kit_check(kit, 0);
    assert_in_range(kit_count(kit, 0), RECORDS / 2, RECORDS - 1);
    assert_int_equal(log_end_offset(kit_partition(kit, 0)->log), RECORDS);
}

static void crash_at_calls(enum known_by known_by, enum ram_crash how)
{
    int died = 0;
    bool over = false;
    for (int64_t call = 0; !over; call++) {
        struct kit kit;
        prepare(&kit, known_by);
        ram_disk_reseed(kit.disk, (uint64_t)call);
        int64_t at = ram_disk_calls(kit.disk) + call;
        ram_disk_die_at(kit.disk, at);
        (void)kit_try_start(&kit);
        over = ram_disk_calls(kit.disk) <= at;
        died += !over;
        kit_crash(&kit, how);
        ram_disk_die_at(kit.disk, -1);
        check(&kit);
        kit_crash(&kit, RAM_CRASH_CLEAN);
        check(&kit);
        kit_close(&kit);
    }
    assert_true(died > 50);
}

static void crash(enum known_by known_by)
{
    crash_at_calls(known_by, RAM_CRASH_PROCESS);
    crash_at_calls(known_by, RAM_CRASH_CLEAN);
    crash_at_calls(known_by, RAM_CRASH_TORN);
}

static void crashes_during_a_takeover_lose_nothing(void **state)
{
    (void)state;
    crash(BY_NO_SIGN);
}

static void crashes_are_survived_where_kafka_came_after_a_crash(void **state)
{
    (void)state;
    crash(BY_KAFKAS_INDEX);
}

static void crashes_are_survived_without_recovery_points(void **state)
{
    (void)state;
    crash(BY_NO_RECOVERY_POINT);
}

/* Where nobody but Jackdaw was, the end of a segment that is missing was lost, and what came after
 * it goes, too: what remains is what there was at one time. */
static void a_lost_tail_of_our_own_ends_the_log(void **state)
{
    (void)state;
    struct kit kit;
    prepare(&kit, BY_NO_SIGN);
    kit_start(&kit); /* signs */
    kit_crash(&kit, RAM_CRASH_PROCESS);
    ram_disk_put(kit.disk, RECOVERY_POINTS, "0\n0\n", 4);
    kit_start(&kit);
    assert_int_equal(log_end_offset(kit_partition(&kit, 0)->log), 1);
    kit_close(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_during_a_takeover_lose_nothing),
        cmocka_unit_test(crashes_are_survived_where_kafka_came_after_a_crash),
        cmocka_unit_test(crashes_are_survived_without_recovery_points),
        cmocka_unit_test(a_lost_tail_of_our_own_ends_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
