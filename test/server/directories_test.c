/* Log directories that fail, at start and while the node runs; what Apache Kafka does in each case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/errors.h"
#include "broker_fixture.h"
#include "faulty_disk.h"
#include "os/linux_env.h"

#define PARTITIONS 2

static int setup(void **state)
{
    faulty_disk_fail(NULL, 0);
    struct broker_fixture *fixture = broker_fixture_create_two_dirs(NULL, faulty_disk_plant);
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", PARTITIONS);
    for (int32_t i = 0; i < PARTITIONS; i++)
        peer_produce(peer, "orders", i, 3);
    peer_close(peer);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    faulty_disk_fail(NULL, 0);
    broker_fixture_destroy(*state);
    return 0;
}

/* ---- asking ---- */

/* "DIR/data/orders-0", wherever the partition lies. */
static const char *path_of(struct broker_fixture *fixture, const char *dir, int32_t partition,
                           const char *file)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s/orders-%d%s", fixture->dir, dir, partition, file);
    return path;
}

static int32_t partition_in(struct broker_fixture *fixture, const char *dir)
{
    for (int32_t i = 0; i < PARTITIONS; i++)
        if (access(path_of(fixture, dir, i, ""), F_OK) == 0)
            return i;
    fail_msg("no partition in %s", dir);
    return -1;
}

static int16_t fetch_error(struct broker_fixture *fixture, int32_t partition, int64_t *ret_end)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct fetch_response response;
    int peer = peer_connect(fixture);
    peer_call(peer, &arena, API_FETCH, 12, fetch_of(&arena, "orders", partition, 0), &response);
    const struct fetch_response_partition_data *answer =
        &response.responses.items[0].partitions.items[0];
    int16_t error = answer->error_code;
    if (ret_end)
        *ret_end = answer->high_watermark;
    peer_close(peer);
    arena_close(&arena);
    return error;
}

static int16_t produce_error(struct broker_fixture *fixture, int32_t partition)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct bytes batch = fixture_plain_batch(&arena, 1);
    struct produce_response response;
    int peer = peer_connect(fixture);
    peer_call(peer, &arena, API_PRODUCE, 9, produce_of(&arena, "orders", partition, -1, batch),
              &response);
    int16_t error = response.responses.items[0].partition_responses.items[0].error_code;
    peer_close(peer);
    arena_close(&arena);
    return error;
}

static int16_t latest_error(struct broker_fixture *fixture, int32_t partition, int64_t timestamp)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct list_offsets_request_partition asked = {
        .partition_index = partition, .current_leader_epoch = -1, .timestamp = timestamp};
    struct list_offsets_request_topic topic = {.name = STR("orders"), .partitions = {&asked, 1}};
    struct list_offsets_request request = {.replica_id = -1, .topics = {&topic, 1}};
    struct list_offsets_response response;
    int peer = peer_connect(fixture);
    peer_call(peer, &arena, API_LIST_OFFSETS, 7, &request, &response);
    int16_t error = response.topics.items[0].partitions.items[0].error_code;
    peer_close(peer);
    arena_close(&arena);
    return error;
}

/* Three records in the one directory are served and a fourth is taken; the other one's are not. */
static void expect_half_served(struct broker_fixture *fixture, int32_t bad)
{
    int64_t end;
    assert_int_equal(fetch_error(fixture, bad, NULL), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(produce_error(fixture, bad), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(latest_error(fixture, bad, -1), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(fetch_error(fixture, 1 - bad, &end), 0);
    assert_int_equal(end, 3);
    assert_int_equal(produce_error(fixture, 1 - bad), 0);
    assert_int_equal(latest_error(fixture, 1 - bad, -1), 0);
    assert_true(broker_fixture_said(fixture, "log directory offline"));
}

static int deleted_folders(struct broker_fixture *fixture, const char *dir)
{
    char path[256];
    int count = 0;
    snprintf(path, sizeof path, "%s/%s", fixture->dir, dir);
    DIR *listing = opendir(path);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));)
        count += ends_with(entry->d_name, "-delete");
    closedir(listing);
    return count;
}

static void remove_folder(struct broker_fixture *fixture, const char *dir)
{
    struct linux_env_options options = {.pool_threads = 1};
    struct env *env = linux_env_create(&options);
    char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture->dir, dir);
    assert_int_equal(env_remove_tree(env, path), 0);
    linux_env_destroy(env);
}

static void expect_all_served(struct broker_fixture *fixture)
{
    for (int32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(produce_error(fixture, i), 0);
    assert_false(broker_fixture_said(fixture, "log directory offline"));
}

/* Until the metadata says this of a partition's leader, and where it lies. */
static void await_leader(struct broker_fixture *fixture, const char *topic, int32_t index,
                         int32_t leader, struct uuid *ret_directory)
{
    int64_t until = env_now_ns(fixture->env) + (int64_t)FIXTURE_PATIENCE_S * 1000000000;
    bool settled;
    do {
        struct image *image = image_acquire(&fixture->broker->publisher);
        const struct topic_image *at = image_topic_named(image, str_of(topic));
        const struct partition_image *partition = at ? topic_partition(at, index) : NULL;
        assert_non_null(partition);
        assert_non_null(partition->directories);
        *ret_directory = partition->directories[0];
        settled = partition->leader == leader && !uuid_equal(*ret_directory, uuid_of(0, 1));
        image_unref(image);
        sched_yield();
    } while (!settled && env_now_ns(fixture->env) < until);
    assert_true(settled);
}

/* How often it was changed. */
static int32_t changes_of(struct broker_fixture *fixture, const char *topic, int32_t index)
{
    struct image *image = image_acquire(&fixture->broker->publisher);
    int32_t epoch =
        topic_partition(image_topic_named(image, str_of(topic)), index)->partition_epoch;
    image_unref(image);
    return epoch;
}

static struct uuid id_of_dir(struct broker_fixture *fixture, const char *dir)
{
    const struct partition_set *set = &fixture->broker->partitions;
    for (int32_t i = 0; i < set->dir_count; i++)
        if (ends_with(set->dirs[i].dir.path, dir))
            return set->dirs[i].dir.meta.directory_id;
    fail_msg("no directory %s", dir);
    return (struct uuid){{0}};
}

static bool is_registered(struct broker_fixture *fixture, struct uuid directory)
{
    struct image *image = image_acquire(&fixture->broker->publisher);
    const struct broker_image *self = image_broker(image, 1);
    bool found = false;
    for (int32_t i = 0; i < self->log_dir_count; i++)
        found |= uuid_equal(self->log_dirs[i], directory);
    image_unref(image);
    return found;
}

/* As Metadata tells it: the error, and whether this broker's replica is offline. */
static int16_t metadata_error(struct broker_fixture *fixture, int32_t index, bool *ret_offline)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct metadata_request_topic asked = {.name = STR("orders")};
    struct metadata_request request = {.topics = {&asked, 1}};
    struct metadata_response response;
    int peer = peer_connect(fixture);
    peer_call(peer, &arena, API_METADATA, 8, &request, &response);
    const struct metadata_response_topic *topic = &response.topics.items[0];
    int16_t error = -1;
    for (int32_t i = 0; i < topic->partitions.count; i++) {
        if (topic->partitions.items[i].partition_index != index)
            continue;
        error = topic->partitions.items[i].error_code;
        *ret_offline = topic->partitions.items[i].offline_replicas.count > 0;
    }
    peer_close(peer);
    arena_close(&arena);
    return error;
}

/* The controller knows that the directory of this partition failed. */
static void expect_told_offline(struct broker_fixture *fixture, int32_t bad)
{
    struct uuid directory;
    bool offline;
    await_leader(fixture, "orders", bad, -1, &directory);
    assert_true(uuid_equal(directory, id_of_dir(fixture, "/more")));
    assert_false(is_registered(fixture, directory));
    assert_int_equal(metadata_error(fixture, bad, &offline), KAFKA_LEADER_NOT_AVAILABLE);
    assert_true(offline);
    assert_int_equal(metadata_error(fixture, 1 - bad, &offline), 0);
    assert_false(offline);
}

/* ---- at start ---- */

static void an_unreadable_segment_takes_its_directory_offline_at_start(void **state)
{
    struct broker_fixture *fixture = *state;
    int32_t bad = partition_in(fixture, "more");
    assert_int_equal(broker_fixture_stop(fixture), 0);
    faulty_disk_fail("/more/orders-", EIO);
    assert_int_equal(broker_fixture_start(fixture), 0);
    expect_half_served(fixture, bad);
    /* The device is back: nothing was lost. */
    assert_int_equal(broker_fixture_stop(fixture), 0);
    faulty_disk_fail(NULL, 0);
    assert_int_equal(broker_fixture_start(fixture), 0);
    int64_t end;
    assert_int_equal(fetch_error(fixture, bad, &end), 0);
    assert_int_equal(end, 3);
}

static void a_damaged_segment_takes_its_directory_offline_at_start(void **state)
{
    struct broker_fixture *fixture = *state;
    int32_t bad = partition_in(fixture, "more");
    assert_int_equal(broker_fixture_stop(fixture), 0);
    /* After a clean stop every byte was there. */
    assert_int_equal(truncate(path_of(fixture, "more", bad, "/00000000000000000000.log"), 10), 0);
    assert_int_equal(broker_fixture_start(fixture), 0);
    expect_half_served(fixture, bad);
}

static void
a_directory_that_cannot_be_opened_is_offline_and_its_partitions_are_not_made_anew(void **state)
{
    struct broker_fixture *fixture = *state;
    int32_t bad = partition_in(fixture, "more");
    assert_int_equal(broker_fixture_stop(fixture), 0);
    faulty_disk_fail("/more", EIO);
    assert_int_equal(broker_fixture_start(fixture), 0);
    expect_half_served(fixture, bad);
    assert_int_not_equal(access(path_of(fixture, "data", bad, ""), F_OK), 0);
    /* Topics are made and deleted beside it. */
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "later", 3);
    for (int32_t i = 0; i < 3; i++)
        assert_int_equal(peer_produce(peer, "later", i, 1), 0);
    peer_close(peer);
    assert_int_equal(broker_fixture_stop(fixture), 0);
    faulty_disk_fail(NULL, 0);
    assert_int_equal(broker_fixture_start(fixture), 0);
    int64_t end;
    assert_int_equal(fetch_error(fixture, bad, &end), 0);
    assert_int_equal(end, 3);
}

static void a_fault_in_the_metadata_directory_ends_the_start(void **state)
{
    struct broker_fixture *fixture = *state;
    assert_int_equal(broker_fixture_stop(fixture), 0);
    faulty_disk_fail("/data/orders-", EIO);
    assert_int_equal(broker_fixture_start(fixture), -EIO);
    assert_true(broker_fixture_said(fixture, "the metadata directory is offline: stopping"));
    faulty_disk_fail("/data/meta.properties", EIO);
    assert_int_equal(broker_fixture_start(fixture), -EIO);
    faulty_disk_fail("/data/__cluster_metadata-0/", EIO);
    assert_int_equal(broker_fixture_start(fixture), -EIO);
    assert_true(broker_fixture_said(fixture, "__cluster_metadata"));
}

static void all_directories_failing_ends_the_start(void **state)
{
    struct broker_fixture *fixture = *state;
    assert_int_equal(broker_fixture_stop(fixture), 0);
    faulty_disk_fail("/orders-", EIO);
    assert_int_equal(broker_fixture_start(fixture), -EIO);
}

static void an_unformatted_directory_is_refused(void **state)
{
    struct broker_fixture *fixture = *state;
    char path[256];
    assert_int_equal(broker_fixture_stop(fixture), 0);
    snprintf(path, sizeof path, "%s/more/meta.properties", fixture->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(broker_fixture_start(fixture), -ENOENT);
    assert_true(broker_fixture_said(fixture, "it has no meta.properties"));
}

static void a_new_node_with_a_wrong_listener_is_not_formatted(void **state)
{
    struct broker_fixture *fixture = *state;
    static const char *const wrong[] = {"listeners=PLAINTEXT://192.0.2.1:9092", NULL};
    char path[256];
    assert_int_equal(broker_fixture_stop(fixture), 0);
    remove_folder(fixture, "data");
    remove_folder(fixture, "more");
    snprintf(path, sizeof path, "%s/more/meta.properties", fixture->dir);
    fixture->overrides = wrong;
    assert_int_equal(broker_fixture_start(fixture), -EADDRNOTAVAIL);
    assert_true(broker_fixture_said(fixture, "cannot listen"));
    assert_int_not_equal(access(path, F_OK), 0);
    fixture->overrides = NULL;
    assert_int_equal(broker_fixture_start(fixture), 0);
}

/* ---- at the stop ---- */

enum { MANY = 60 };

static void make_many(struct broker_fixture *fixture)
{
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "many", MANY);
    for (int32_t i = 0; i < MANY; i++)
        assert_int_equal(peer_produce(peer, "many", i, 1), 0);
    peer_close(peer);
}

static void many_new_logs_take_one_sync_of_their_directory_at_the_stop(void **state)
{
    struct broker_fixture *fixture = *state;
    make_many(fixture);
    atomic_store(&faulty_disk.more_syncs, 0);
    assert_int_equal(broker_fixture_stop(fixture), 0);
    /* Checkpoints and the marker need theirs. */
    assert_true(atomic_load(&faulty_disk.more_syncs) < 10);
    assert_int_equal(broker_fixture_start(fixture), 0);
    assert_false(broker_fixture_said(fixture, "recovered log"));
    expect_all_served(fixture);
}

static void a_sync_that_fails_at_the_stop_leaves_no_directory_marked_clean(void **state)
{
    struct broker_fixture *fixture = *state;
    char path[256];
    atomic_store(&faulty_disk.names_fail, true);
    int result = broker_fixture_stop(fixture);
    atomic_store(&faulty_disk.names_fail, false);
    assert_int_equal(result, -EIO);
    snprintf(path, sizeof path, "%s/more/.kafka_cleanshutdown", fixture->dir);
    assert_int_not_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/data/.kafka_cleanshutdown", fixture->dir);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(broker_fixture_start(fixture), 0);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        int64_t end;
        assert_int_equal(fetch_error(fixture, i, &end), 0);
        assert_int_equal(end, 3);
    }
}

static void many_recovered_logs_are_said_in_one_line(void **state)
{
    static const char *const lost[] = {".kafka_cleanshutdown", "recovery-point-offset-checkpoint"};
    struct broker_fixture *fixture = *state;
    char path[256], text[64];
    make_many(fixture);
    assert_int_equal(broker_fixture_stop(fixture), 0);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s/%s", fixture->dir, i < 2 ? "data" : "more", lost[i % 2]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(broker_fixture_start(fixture), 0);
    snprintf(text, sizeof text, "recovered logs count=%d", MANY + PARTITIONS);
    assert_true(broker_fixture_said(fixture, text));
    int lines = 0;
    for (const char *at = fixture->log; (at = strstr(at, "recovered log ")); at++)
        lines++;
    assert_int_equal(lines, LOAD_LINES_MAX);
}

/* ---- while it runs ---- */

static void a_deletion_whose_files_go_slowly_holds_nobody_up(void **state)
{
    struct broker_fixture *fixture = *state;
    int peer = peer_connect(fixture);
    atomic_store(&faulty_disk.removal_waits, false);
    atomic_store(&faulty_disk.removals_wait, true);
    peer_delete_topic(peer, "orders");
    while (!atomic_load(&faulty_disk.removal_waits))
        sched_yield();
    for (int i = 0; i < 3; i++) {
        peer_create_topic(peer, i % 2 ? "later" : i ? "last" : "orders", 2);
        assert_int_equal(peer_produce(peer, i % 2 ? "later" : i ? "last" : "orders", 0, 3), 0);
    }
    atomic_store(&faulty_disk.removals_wait, false);
    peer_close(peer);
    /* Whatever is left then is removed by the next start. */
    assert_int_equal(broker_fixture_stop(fixture), 0);
    assert_int_equal(broker_fixture_start(fixture), 0);
    while (deleted_folders(fixture, "data") + deleted_folders(fixture, "more") > 0)
        sched_yield();
}

static void a_read_error_takes_the_directory_offline(void **state)
{
    struct broker_fixture *fixture = *state;
    int32_t bad = partition_in(fixture, "more");
    faulty_disk_fail("/more/orders-", EIO);
    assert_int_equal(fetch_error(fixture, bad, NULL), KAFKA_KAFKA_STORAGE_ERROR);
    expect_half_served(fixture, bad);
    expect_told_offline(fixture, bad);
    assert_int_equal(fetch_error(fixture, bad, NULL), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(produce_error(fixture, bad), KAFKA_KAFKA_STORAGE_ERROR);
    /* The device is back with the next start. */
    faulty_disk_fail(NULL, 0);
    assert_int_equal(broker_fixture_stop(fixture), 0);
    assert_int_equal(broker_fixture_start(fixture), 0);
    struct uuid directory;
    bool offline;
    await_leader(fixture, "orders", bad, 1, &directory);
    assert_true(is_registered(fixture, directory));
    assert_int_equal(metadata_error(fixture, bad, &offline), 0);
    assert_false(offline);
    for (int32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(produce_error(fixture, i), 0);
}

static void the_controller_knows_where_each_partition_lies(void **state)
{
    struct broker_fixture *fixture = *state;
    struct uuid directory;
    int32_t more = partition_in(fixture, "more");
    await_leader(fixture, "orders", more, 1, &directory);
    assert_true(uuid_equal(directory, id_of_dir(fixture, "/more")));
    await_leader(fixture, "orders", 1 - more, 1, &directory);
    assert_true(uuid_equal(directory, id_of_dir(fixture, "/data")));
}

/* While the node was down an operator moved a folder into a directory that fails at the start: the
 * controller hears of both, first where it lies, which is a change of its own, and then that this
 * is gone, as of all that lay there. */
static void a_partition_that_was_moved_into_a_failing_directory_has_no_leader(void **state)
{
    struct broker_fixture *fixture = *state;
    int32_t bad = partition_in(fixture, "more");
    struct uuid directory;
    char from[256], to[256];
    bool moves = false;
    int32_t moved_before = 0, bad_before;
    await_leader(fixture, "orders", bad, 1, &directory);
    bad_before = changes_of(fixture, "orders", bad);
    int peer = peer_connect(fixture);
    for (int i = 0; !moves; i++) { /* of two new topics one lies in the other directory */
        char name[16];
        snprintf(name, sizeof name, "moved%d", i);
        peer_create_topic(peer, name, 1);
        peer_produce(peer, name, 0, 1);
        snprintf(from, sizeof from, "%s/data/%s-0", fixture->dir, name);
        snprintf(to, sizeof to, "%s/more/%s-0", fixture->dir, name);
        moves = access(from, F_OK) == 0;
        await_leader(fixture, name, 0, 1, &directory);
        moved_before = changes_of(fixture, name, 0);
    }
    peer_close(peer);
    assert_int_equal(broker_fixture_stop(fixture), 0);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(truncate(path_of(fixture, "more", bad, "/00000000000000000000.log"), 10), 0);
    assert_int_equal(broker_fixture_start(fixture), 0);
    char *name = strrchr(to, '/') + 1;
    *strrchr(name, '-') = '\0';
    await_leader(fixture, name, 0, -1, &directory);
    assert_true(uuid_equal(directory, id_of_dir(fixture, "/more")));
    await_leader(fixture, "orders", bad, -1, &directory);
    assert_int_equal(changes_of(fixture, name, 0) - moved_before,
                     changes_of(fixture, "orders", bad) - bad_before + 1);
    await_leader(fixture, "orders", 1 - bad, 1, &directory);
}

/* It has no folder before its first record, so only the metadata knows. */
static void an_empty_partition_stays_in_its_directory(void **state)
{
    static const char *const topics[] = {"zeta", "alpha"}; /* loaded in the other order */
    struct broker_fixture *fixture = *state;
    struct uuid directories[2], directory;
    int peer = peer_connect(fixture);
    for (int i = 0; i < 2; i++) {
        peer_create_topic(peer, topics[i], 1);
        await_leader(fixture, topics[i], 0, 1, &directories[i]);
    }
    peer_close(peer);
    assert_false(uuid_equal(directories[0], directories[1]));
    assert_int_equal(broker_fixture_stop(fixture), 0);
    assert_int_equal(broker_fixture_start(fixture), 0);
    for (int i = 0; i < 2; i++) {
        await_leader(fixture, topics[i], 0, 1, &directory);
        assert_true(uuid_equal(directory, directories[i]));
        struct partition *at = fixture_partition(fixture, topics[i], 0);
        assert_true(uuid_equal(at->dir->dir.meta.directory_id, directory));
        partition_unref(at);
    }
}

static void a_segment_that_was_cut_is_said_and_harms_no_other_partition(void **state)
{
    struct broker_fixture *fixture = *state;
    int32_t bad = partition_in(fixture, "more");
    int64_t end;
    assert_int_equal(truncate(path_of(fixture, "more", bad, "/00000000000000000000.log"), 0), 0);
    assert_int_equal(fetch_error(fixture, bad, NULL), KAFKA_CORRUPT_MESSAGE);
    assert_true(broker_fixture_said(fixture, "a log segment is damaged"));
    assert_int_equal(latest_error(fixture, bad, 0), KAFKA_CORRUPT_MESSAGE);
    assert_int_equal(fetch_error(fixture, 1 - bad, &end), 0);
    assert_int_equal(end, 3);
    assert_int_equal(produce_error(fixture, 1 - bad), 0);
}

/* The batch's header is there, so that it is known only when the records are to be sent. */
static void records_that_cannot_be_sent_close_the_connection_and_are_said(void **state)
{
    struct broker_fixture *fixture = *state;
    int32_t bad = partition_in(fixture, "more");
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(truncate(path_of(fixture, "more", bad, "/00000000000000000000.log"), 70), 0);
    int peer = peer_connect(fixture);
    peer_ask(peer, API_FETCH, 12, 1, fetch_of(&arena, "orders", bad, 0));
    size_t size;
    assert_null(peer_receive(peer, &size));
    peer_close(peer);
    arena_close(&arena);
    assert_true(broker_fixture_said(fixture, "a log segment is damaged"));
    assert_int_equal(produce_error(fixture, 1 - bad), 0);
}

/* ---- what passes ---- */

static int setup_tended(void **state)
{
    static const char *const overrides[] = {"log.roll.ms=1", "log.retention.check.interval.ms=1",
                                            "log.initial.task.delay.ms=0", NULL};
    *state = broker_fixture_create_two_dirs(overrides, faulty_disk_plant);
    return 0;
}

static void a_full_disk_keeps_no_segment_from_rolling_later(void **state)
{
    struct broker_fixture *fixture = *state;
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", PARTITIONS);
    atomic_store(&faulty_disk.full, true);
    while (!broker_fixture_said(fixture, "cannot tend a log now")) {
        atomic_store(&faulty_disk.full, false); /* something to roll */
        peer_produce(peer, "orders", 0, 1);
        atomic_store(&faulty_disk.full, true);
        sched_yield();
    }
    atomic_store(&faulty_disk.full, false);
    peer_close(peer);
    expect_all_served(fixture);
}

static int setup_synced(void **state)
{
    static const char *const overrides[] = {"log.flush.interval.messages=1", NULL};
    *state = broker_fixture_create_two_dirs(overrides, faulty_disk_plant);
    return 0;
}

static void a_sync_without_descriptors_is_refused_and_comes_later(void **state)
{
    struct broker_fixture *fixture = *state;
    int peer = peer_connect(fixture);
    peer_create_topic(peer, "orders", PARTITIONS);
    peer_close(peer);
    atomic_store(&faulty_disk.no_descriptors, true);
    assert_int_equal(produce_error(fixture, 0), KAFKA_KAFKA_STORAGE_ERROR); /* its folder is new */
    assert_true(broker_fixture_said(fixture, "cannot sync a log now"));
    /* Whoever comes while the sync that failed is still ending waits for the next. */
    for (int32_t i = 0; i < PARTITIONS; i++) {
        atomic_store(&faulty_disk.no_descriptors, true);
        (void)produce_error(fixture, i);
        atomic_store(&faulty_disk.no_descriptors, false);
        assert_int_equal(produce_error(fixture, i), 0);
    }
    expect_all_served(fixture);
}

#define DIR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIR_TEST(an_unreadable_segment_takes_its_directory_offline_at_start),
        DIR_TEST(a_damaged_segment_takes_its_directory_offline_at_start),
        DIR_TEST(a_directory_that_cannot_be_opened_is_offline_and_its_partitions_are_not_made_anew),
        DIR_TEST(a_fault_in_the_metadata_directory_ends_the_start),
        DIR_TEST(all_directories_failing_ends_the_start),
        DIR_TEST(an_unformatted_directory_is_refused),
        DIR_TEST(a_new_node_with_a_wrong_listener_is_not_formatted),
        DIR_TEST(many_new_logs_take_one_sync_of_their_directory_at_the_stop),
        DIR_TEST(a_sync_that_fails_at_the_stop_leaves_no_directory_marked_clean),
        DIR_TEST(many_recovered_logs_are_said_in_one_line),
        DIR_TEST(a_deletion_whose_files_go_slowly_holds_nobody_up),
        DIR_TEST(a_read_error_takes_the_directory_offline),
        DIR_TEST(the_controller_knows_where_each_partition_lies),
        DIR_TEST(a_partition_that_was_moved_into_a_failing_directory_has_no_leader),
        DIR_TEST(an_empty_partition_stays_in_its_directory),
        DIR_TEST(a_segment_that_was_cut_is_said_and_harms_no_other_partition),
        DIR_TEST(records_that_cannot_be_sent_close_the_connection_and_are_said),
        cmocka_unit_test_setup_teardown(a_full_disk_keeps_no_segment_from_rolling_later,
                                        setup_tended, teardown),
        cmocka_unit_test_setup_teardown(a_sync_without_descriptors_is_refused_and_comes_later,
                                        setup_synced, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
