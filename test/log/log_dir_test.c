#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log/log_dir.h"
#include "log/text_file.h"
#include "ram_disk.h"

static const char meta_text[] = "#\n#Sun Nov 22 20:58:01 UTC 2026\n"
                                "cluster.id=MkU3OEVBNTcwNTJENDM2Qg\n"
                                "directory.id=kTiP6HxbS1yIHzNcz7ZGdw\n"
                                "node.id=3\nversion=1\n";

static struct ram_disk *formatted(void)
{
    struct ram_disk *disk = ram_disk_create(7);
    assert_int_equal(env_mkdirs(ram_disk_env(disk), "/data"), 0);
    assert_int_equal(env_sync_dir(ram_disk_env(disk), ""), 0);
    ram_disk_put(disk, "/data/meta.properties", meta_text, strlen(meta_text));
    return disk;
}

static void opening_reads_what_kafka_wrote(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    const char marker[] = "{\"version\":0,\"brokerEpoch\":30}";
    ram_disk_put(disk, "/data/.kafka_cleanshutdown", marker, strlen(marker));
    struct log_dir dir;
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    assert_string_equal(dir.meta.cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
    assert_int_equal(dir.meta.node_id, 3);
    char id[UUID_TEXT_SIZE];
    uuid_format(dir.meta.directory_id, id);
    assert_string_equal(id, "kTiP6HxbS1yIHzNcz7ZGdw");
    assert_true(dir.was_clean);
    assert_int_equal(dir.broker_epoch, 30);
    assert_int_equal(log_dir_unmark_clean(&dir), 0);
    assert_false(ram_disk_exists(disk, "/data/.kafka_cleanshutdown"));
    log_dir_close(&dir);
    ram_disk_destroy(disk);
}

static void a_second_process_is_refused(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    struct log_dir dir, other = {0};
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &other), -EWOULDBLOCK);
    log_dir_close(&dir);
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    log_dir_close(&dir);
    ram_disk_destroy(disk);
}

static void malformed_meta_properties_are_refused(void **state)
{
    (void)state;
    const char *texts[] = {
        "",
        "version=1\nnode.id=1\n",
        "version=1\ncluster.id=abc\n",
        "version=0\nbroker.id=1\ncluster.id=abc\n",
        "version=2\nnode.id=1\ncluster.id=abc\n",
        "version=1\nnode.id=-1\ncluster.id=abc\n",
        "version=1\nnode.id=99999999999\ncluster.id=abc\n",
        "version=1\nnode.id=1\ncluster.id=abc\ndirectory.id=short\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ram_disk *disk = formatted();
        ram_disk_put(disk, "/data/meta.properties", texts[i], strlen(texts[i]));
        struct log_dir dir;
        assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), -EBADMSG);
        assert_int_equal(ram_disk_open_files(disk), 0);
        ram_disk_destroy(disk);
    }
}

static void an_unformatted_directory_is_left_alone(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    ram_disk_remove(disk, "/data/meta.properties");
    struct log_dir dir;
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), -ENOENT);
    assert_false(ram_disk_exists(disk, "/data/.lock"));
    ram_disk_destroy(disk);
}

static void a_directory_without_id_is_given_one(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    const char text[] = "version=1\nnode.id=1\ncluster.id=abc\n";
    ram_disk_put(disk, "/data/meta.properties", text, strlen(text));
    struct log_dir dir;
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    struct uuid id = dir.meta.directory_id;
    assert_false(uuid_is_zero(id));
    log_dir_close(&dir);
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    assert_true(uuid_equal(dir.meta.directory_id, id));
    assert_string_equal(dir.meta.cluster_id, "abc");
    log_dir_close(&dir);
    ram_disk_destroy(disk);
}

static void formatting_needs_an_empty_directory(void **state)
{
    (void)state;
    struct ram_disk *disk = ram_disk_create(1);
    struct env *env = ram_disk_env(disk);
    struct meta_properties meta = {.cluster_id = "abc", .node_id = 5};
    meta.directory_id = uuid_of(1, 200);
    assert_int_equal(log_dir_format(env, "/a/b", &meta), 0);
    assert_int_equal(log_dir_format(env, "/a/b", &meta), -ENOTEMPTY);
    struct meta_properties read;
    assert_int_equal(log_dir_read_meta(env, "/a/b", &read), 0);
    assert_int_equal(read.node_id, 5);
    assert_true(uuid_equal(read.directory_id, meta.directory_id));

    bool empty;
    assert_int_equal(env_mkdirs(env, "/c/lost+found"), 0);
    assert_int_equal(log_dir_is_empty(env, "/c", &empty), 0);
    assert_true(empty);
    ram_disk_put(disk, "/c/notes", "x", 1);
    assert_int_equal(log_dir_is_empty(env, "/c", &empty), 0);
    assert_false(empty);
    ram_disk_destroy(disk);
}

static void the_clean_marker_is_durable_both_ways(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    struct log_dir dir;
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    assert_int_equal(log_dir_mark_clean(&dir, 17), 0);
    log_dir_close(&dir);
    ram_disk_crash(disk, RAM_CRASH_CLEAN);
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    assert_true(dir.was_clean);
    assert_int_equal(dir.broker_epoch, 17);
    assert_int_equal(log_dir_unmark_clean(&dir), 0);
    log_dir_close(&dir);
    ram_disk_crash(disk, RAM_CRASH_CLEAN);
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    assert_false(dir.was_clean);
    assert_int_equal(dir.broker_epoch, -1);
    log_dir_close(&dir);
    ram_disk_destroy(disk);
}

/* Opens after a loss of power. */
static void reopen(struct ram_disk *disk, struct log_dir *dir)
{
    log_dir_close(dir);
    ram_disk_crash(disk, RAM_CRASH_CLEAN);
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", dir), 0);
}

static void the_sign_stays_until_a_clean_stop(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    struct log_dir dir;
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    assert_false(dir.is_signed);
    assert_int_equal(log_dir_sign(&dir), 0);
    assert_true(dir.is_signed);
    reopen(disk, &dir);
    assert_true(dir.is_signed);
    assert_int_equal(log_dir_unsign(&dir), 0);
    reopen(disk, &dir);
    assert_false(dir.is_signed);
    assert_int_equal(log_dir_sign(&dir), 0);
    assert_int_equal(log_dir_mark_clean(&dir, 17), 0);
    reopen(disk, &dir);
    assert_true(dir.was_clean);
    assert_false(dir.is_signed);
    log_dir_close(&dir);
    ram_disk_destroy(disk);
}

/* With both, Kafka would take the marker away and leave the sign. */
static void the_marker_and_the_sign_are_never_there_together(void **state)
{
    (void)state;
    bool over = false;
    for (int64_t call = 0; !over; call++) {
        struct ram_disk *disk = formatted();
        struct log_dir dir;
        assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
        assert_int_equal(log_dir_sign(&dir), 0);
        ram_disk_reseed(disk, (uint64_t)call);
        ram_disk_die_at(disk, ram_disk_calls(disk) + call);
        over = log_dir_mark_clean(&dir, 17) == 0;
        log_dir_close(&dir);
        ram_disk_crash(disk, RAM_CRASH_TORN);
        ram_disk_die_at(disk, -1);
        assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
        assert_false(dir.was_clean && dir.is_signed);
        assert_true(dir.was_clean || !over);
        log_dir_close(&dir);
        ram_disk_destroy(disk);
    }
}

static void an_unreadable_marker_still_means_clean(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    ram_disk_put(disk, "/data/.kafka_cleanshutdown", "", 0);
    struct log_dir dir;
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    assert_true(dir.was_clean);
    assert_int_equal(dir.broker_epoch, -1);
    log_dir_close(&dir);
    ram_disk_destroy(disk);
}

static void checkpoints_round_trip_in_kafkas_text(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    struct arena arena;
    arena_init(&arena, 0);
    struct log_dir dir;
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    const struct checkpoint_entry entries[] = {
        {STR("orders"), 0, 42}, {STR("a.b_c-d"), 17, 0}, {STR("x"), 2147483647, INT64_MAX}};
    assert_int_equal(checkpoint_write(&dir, CHECKPOINT_RECOVERY_POINT, entries, 3), 0);
    size_t size;
    const uint8_t *data = ram_disk_data(disk, "/data/recovery-point-offset-checkpoint", &size);
    const char text[] = "0\n3\norders 0 42\na.b_c-d 17 0\nx 2147483647 9223372036854775807\n";
    assert_int_equal(size, strlen(text));
    assert_memory_equal(data, text, size);

    struct checkpoint_entry *read;
    int32_t count;
    assert_int_equal(checkpoint_read(&dir, CHECKPOINT_RECOVERY_POINT, &arena, &read, &count), 0);
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(str_equal(read[i].topic, entries[i].topic));
        assert_int_equal(read[i].partition, entries[i].partition);
        assert_true(read[i].offset == entries[i].offset);
    }
    assert_int_equal(checkpoint_read(&dir, CHECKPOINT_CLEANER, &arena, &read, &count), 0);
    assert_int_equal(count, 0);
    log_dir_close(&dir);
    arena_close(&arena);
    ram_disk_destroy(disk);
}

static void checkpoints_are_read_strictly(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int result;
    } cases[] = {
        {"", 0},
        {"0\n", 0},
        {"0\n0\n", 0},
        {"0\n1\nt 0 5", 0},
        {"0\n1\nt 0 -1\n", 0},
        {"1\n0\n", -EBADMSG},
        {"zero\n0\n", -EBADMSG},
        {"0\nx\n", -EBADMSG},
        {"0\n-1\n", -EBADMSG},
        {"0\n2000000000\nt 0 1\n", -EBADMSG},
        {"0\n2\nt 0 1\n", -EBADMSG},
        {"0\n1\nt 0 1\nt 1 1\n", -EBADMSG},
        {"0\n1\nt 0\n", -EBADMSG},
        {"0\n1\nt 0 1 2\n", -EBADMSG},
        {"0\n1\nt x 1\n", -EBADMSG},
        {"0\n1\nt -1 1\n", -EBADMSG},
        {"0\n1\nt 0 99999999999999999999\n", -EBADMSG},
        {"0\n1\n\n", -EBADMSG},
    };
    struct ram_disk *disk = formatted();
    struct log_dir dir;
    assert_int_equal(log_dir_open(ram_disk_env(disk), "/data", &dir), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct checkpoint_entry *read = NULL;
        int32_t count = 0;
        ram_disk_put(disk, "/data/cleaner-offset-checkpoint", cases[i].text, strlen(cases[i].text));
        assert_int_equal(checkpoint_read(&dir, CHECKPOINT_CLEANER, &arena, &read, &count),
                         cases[i].result);
        arena_close(&arena);
    }
    log_dir_close(&dir);
    ram_disk_destroy(disk);
}

static void partition_folders_are_found_by_their_names(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    struct env *env = ram_disk_env(disk);
    const char *names[] = {"/data/orders-0",
                           "/data/a-b-c-12",
                           "/data/orders-1.0123456789abcdef0123456789abcdef-delete",
                           "/data/orders-2.0123456789abcdef0123456789abcdef-future",
                           "/data/orders-3.0123456789abcdef0123456789abcdef-stray",
                           "/data/notes",
                           "/data/-5",
                           "/data/x-",
                           "/data/x-1y",
                           "/data/x-99999999999"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(env_mkdir(env, names[i]), 0);
    ram_disk_put(disk, "/data/file-1", "x", 1);
    struct uuid id = uuid_of(7, 8000);
    assert_int_equal(partition_metadata_write(env, "/data/orders-0", id), 0);

    struct log_dir dir;
    struct arena arena;
    arena_init(&arena, 0);
    assert_int_equal(log_dir_open(env, "/data", &dir), 0);
    struct partition_folder *folders;
    int32_t count;
    assert_int_equal(log_dir_list(&dir, &arena, &folders, &count), 0);
    assert_int_equal(count, 5);
    assert_true(str_equal(folders[0].topic, STR("a-b-c")));
    assert_int_equal(folders[0].partition, 12);
    assert_true(uuid_is_zero(folders[0].topic_id));
    assert_true(str_equal(folders[1].name, STR("orders-0")));
    assert_true(uuid_equal(folders[1].topic_id, id));
    assert_int_equal(folders[1].kind, FOLDER_LOG);
    assert_int_equal(folders[2].kind, FOLDER_DELETED);
    assert_int_equal(folders[2].partition, 1);
    assert_int_equal(folders[3].kind, FOLDER_FUTURE);
    assert_int_equal(folders[4].kind, FOLDER_STRAY);

    char path[LOG_PATH_MAX];
    assert_int_equal(log_dir_retire_folder(&dir, STR("orders"), 0, path), 0);
    assert_true(ram_disk_exists(disk, path));
    assert_false(ram_disk_exists(disk, "/data/orders-0"));
    assert_int_equal(log_dir_retire_folder(&dir, STR("orders"), 0, path), -ENOENT);
    assert_int_equal(env_mkdir(dir.env, "/data/lost-7"), 0);
    assert_int_equal(log_dir_stray_folder(&dir, STR("lost"), 7, path), 0);
    assert_true(ram_disk_exists(disk, path));
    assert_string_equal(path + strlen(path) - 6, "-stray");
    assert_false(ram_disk_exists(disk, "/data/lost-7"));
    log_dir_close(&dir);
    arena_close(&arena);
    ram_disk_destroy(disk);
}

static void partition_metadata_is_kafkas_and_read_strictly(void **state)
{
    (void)state;
    struct ram_disk *disk = formatted();
    struct env *env = ram_disk_env(disk);
    struct uuid id, read;
    assert_int_equal(env_mkdir(env, "/data/t-0"), 0);
    assert_int_equal(uuid_parse(STR("kTiP6HxbS1yIHzNcz7ZGdw"), &id), 0);
    assert_int_equal(partition_metadata_read(env, "/data/t-0", &read), -ENOENT);
    assert_int_equal(partition_metadata_write(env, "/data/t-0", id), 0);
    size_t size;
    const uint8_t *data = ram_disk_data(disk, "/data/t-0/partition.metadata", &size);
    assert_int_equal(size, 43);
    assert_memory_equal(data, "version: 0\ntopic_id: kTiP6HxbS1yIHzNcz7ZGdw", size);
    assert_int_equal(partition_metadata_read(env, "/data/t-0", &read), 0);
    assert_true(uuid_equal(read, id));

    const char *bad[] = {"", "version: 1\ntopic_id: kTiP6HxbS1yIHzNcz7ZGdw", "version: 0\n",
                         "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
                         "topic_id: kTiP6HxbS1yIHzNcz7ZGdw\nversion: 0\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ram_disk_put(disk, "/data/t-0/partition.metadata", bad[i], strlen(bad[i]));
        assert_int_equal(partition_metadata_read(env, "/data/t-0", &read), -EBADMSG);
    }
    ram_disk_destroy(disk);
}

static void segment_names_are_parsed_strictly(void **state)
{
    (void)state;
    int64_t base;
    enum segment_file kind;
    const char *suffix;
    assert_true(segment_name_parse("00000000000000000042.log", &base, &kind, &suffix));
    assert_int_equal(base, 42);
    assert_int_equal(kind, SEGMENT_LOG);
    assert_string_equal(suffix, "");
    assert_true(
        segment_name_parse("09223372036854775807.timeindex.deleted", &base, &kind, &suffix));
    assert_true(base == INT64_MAX);
    assert_int_equal(kind, SEGMENT_TIMEINDEX);
    assert_string_equal(suffix, SUFFIX_DELETED);
    const char *others[] = {"42.log",
                            "00000000000000000042.lo",
                            "00000000000000000042",
                            "00000000000000000042.log.tmp",
                            "09223372036854775808.log",
                            "-0000000000000000042.log",
                            "leader-epoch-checkpoint",
                            "00000000000000000042-0000000001.checkpoint"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(segment_name_parse(others[i], &base, &kind, &suffix));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_reads_what_kafka_wrote),
        cmocka_unit_test(a_second_process_is_refused),
        cmocka_unit_test(malformed_meta_properties_are_refused),
        cmocka_unit_test(an_unformatted_directory_is_left_alone),
        cmocka_unit_test(a_directory_without_id_is_given_one),
        cmocka_unit_test(formatting_needs_an_empty_directory),
        cmocka_unit_test(the_clean_marker_is_durable_both_ways),
        cmocka_unit_test(the_sign_stays_until_a_clean_stop),
        cmocka_unit_test(the_marker_and_the_sign_are_never_there_together),
        cmocka_unit_test(an_unreadable_marker_still_means_clean),
        cmocka_unit_test(checkpoints_round_trip_in_kafkas_text),
        cmocka_unit_test(checkpoints_are_read_strictly),
        cmocka_unit_test(partition_folders_are_found_by_their_names),
        cmocka_unit_test(partition_metadata_is_kafkas_and_read_strictly),
        cmocka_unit_test(segment_names_are_parsed_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
