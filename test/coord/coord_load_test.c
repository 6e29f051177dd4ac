/* Shards of a coordinator that are loaded and unloaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "../log/ram_disk.h"
#include "base/errors.h"
#include "coord_kit.h"

static void while_loading_clients_are_told_to_wait(void **state)
{
    struct kit *kit = *state;
    struct coord_shard *shard;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_crash(kit);
    kit->jobs_held = true;
    kit_open(kit, 6);
    kit_turns(kit, 3);
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    assert_int_equal(coord_shard_find(kit->coord, 1, &shard), 0); /* it is empty */
    coord_shard_unref(shard);
    kit->jobs_held = false;
    kit_turns(kit, 3);
    assert_int_equal(toy_get(kit, 0, "a"), 3);
}

static void a_load_that_is_no_longer_wanted_is_dropped(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_crash(kit);
    kit->jobs_held = true;
    kit_open(kit, 6);
    kit_turns(kit, 2);
    kit_lead(kit, 0, 7); /* before the job ran */
    kit_turns(kit, 2);
    kit->jobs_held = false;
    assert_int_equal(toy_get(kit, 0, "a"), 3);
    assert_int_equal(coord_shard_epoch(kit->toys[0]->shard), 7);
}

static void an_unreadable_log_is_tried_again(void **state)
{
    struct kit *kit = *state;
    struct coord_shard *shard;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_lead(kit, 0, 6);
    ram_disk_fail_reads(kit->disk, -1, -EMFILE);
    kit_turns(kit, 5);
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_NOT_COORDINATOR);
    assert_non_null(strstr(kit->lines, "coordinator cannot be loaded"));
    ram_disk_fail_reads(kit->disk, 0, 0);
    kit->now_ns += INT64_C(1100000000);
    assert_int_equal(toy_get(kit, 0, "a"), 3);
}

static void damaged_records_are_not_believed(void **state)
{
    struct kit *kit = *state;
    struct coord_shard *shard;
    size_t size;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    uint8_t *data = ram_disk_data(kit->disk, "/data/__toy-0/00000000000000000000.log", &size);
    assert_non_null(data);
    data[size - 3] ^= 1;
    kit_lead(kit, 0, 6);
    kit_turns(kit, 5);
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_NOT_COORDINATOR);
    assert_non_null(strstr(kit->lines, "a log segment is damaged"));
}

static void a_read_error_takes_the_directory_offline(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_lead(kit, 0, 6);
    ram_disk_fail_reads(kit->disk, -1, -EIO);
    kit_turns(kit, 5);
    assert_true(atomic_load(&kit->set.dirs[0].offline));
}

static void a_state_without_memory_is_loaded_again(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit->toys[0]->out_of_memory = true;
    assert_int_equal(toy_add(kit, 0, "a", 4), KAFKA_NOT_COORDINATOR);
    kit_turns(kit, 3);
    kit->now_ns += INT64_C(1100000000);
    assert_int_equal(toy_get(kit, 0, "a"), 7); /* it was in the log */
}

static void leading_again_replays_the_log(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    kit_lead(kit, 0, -1);
    kit_turns(kit, 3);
    kit_lead(kit, 0, 9);
    assert_int_equal(toy_get(kit, 0, "a"), 3);
    assert_int_equal(kit->toys[0]->applied, 1);
}

static void an_append_of_the_old_leadership_is_seen_by_the_next_load(void **state)
{
    struct kit *kit = *state;
    struct toy_op op;
    struct partition *partition = kit_partition(kit, 0);
    kit->jobs_held = true;
    atomic_store(&partition->dir->slow_until_ns, INT64_MAX);
    toy_op_init(&op, kit, 0, "a", 1);
    assert_false(toy_op_run(&op)); /* a pool job has the append lock, and has not begun */
    kit_lead(kit, 0, 6);
    kit_turns(kit, 3);
    struct coord_shard *shard;
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    kit->jobs_held = false;
    kit_turns(kit, 3);
    assert_true(toy_op_run(&op));
    assert_int_equal(op.error, KAFKA_NOT_COORDINATOR);
    atomic_store(&partition->dir->slow_until_ns, 0);
    assert_int_equal(toy_get(kit, 0, "a"), log_end_offset(partition->log));
}

static void empty_shards_have_no_state_and_say_nothing(void **state)
{
    struct kit *kit = *state;
    kit_turns(kit, 3);
    assert_int_equal(kit->toys_made, 0);
    assert_string_equal(kit->lines, "");
    assert_int_equal(kit->loops[0].timers.size + kit->loops[1].timers.size, 0);
}

static void states_are_told_of_images(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    coord_follow(kit->coord, &kit->topic, true);
    kit_turns(kit, 2);
    assert_int_equal(kit->toys[0]->images, 1);
    assert_null(kit->toys[1]);
}

static void ids_stay_where_they_are_when_the_topic_gets_more_partitions(void **state)
{
    struct kit *kit = *state;
    static const char ids[] = "abcdefghijklmnopqrstuvwxyz";
    int32_t before[26];
    for (int i = 0; i < 26; i++)
        before[i] = coord_partition_for(kit->coord, (struct str){&ids[i], 1});
    kit->topic.partitions.size = KIT_PARTITIONS + 3;
    coord_follow(kit->coord, &kit->topic, true);
    for (int i = 0; i < 26; i++)
        assert_int_equal(coord_partition_for(kit->coord, (struct str){&ids[i], 1}), before[i]);
    coord_follow(kit->coord, NULL, true);
    kit->topic.id = uuid_of(5, 6); /* made anew */
    coord_follow(kit->coord, &kit->topic, true);
    assert_int_equal(coord_shard_count(kit->coord), KIT_PARTITIONS + 3);
    kit_turns(kit, 3);
}

static void a_deleted_topic_has_no_coordinator(void **state)
{
    struct kit *kit = *state;
    struct coord_shard *shard;
    assert_int_equal(toy_add(kit, 0, "a", 3), 0);
    coord_follow(kit->coord, NULL, true);
    kit_turns(kit, 3);
    assert_int_equal(coord_shard_find(kit->coord, 0, &shard), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(coord_partition_for(kit->coord, STR("g")), -1);
    assert_null(kit->toys[0]);
}

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        PLAIN(while_loading_clients_are_told_to_wait),
        PLAIN(a_load_that_is_no_longer_wanted_is_dropped),
        PLAIN(an_unreadable_log_is_tried_again),
        PLAIN(damaged_records_are_not_believed),
        PLAIN(a_read_error_takes_the_directory_offline),
        PLAIN(a_state_without_memory_is_loaded_again),
        PLAIN(leading_again_replays_the_log),
        PLAIN(an_append_of_the_old_leadership_is_seen_by_the_next_load),
        PLAIN(empty_shards_have_no_state_and_say_nothing),
        PLAIN(states_are_told_of_images),
        PLAIN(ids_stay_where_they_are_when_the_topic_gets_more_partitions),
        PLAIN(a_deleted_topic_has_no_coordinator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
