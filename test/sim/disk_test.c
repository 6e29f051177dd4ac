#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/must.h"
#include "sim/sim.h"

#define SEEDS 300

/* One node with one disk; the test's main function makes the calls. */
struct world {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
};

static struct world world_create(uint64_t seed)
{
    struct world world = {.sim = sim_create(seed, NULL)};
    world.node = sim_node_add(world.sim, "a");
    world.env = sim_env(world.node);
    return world;
}

static int file_make(struct env *env, const char *path, const void *data, size_t size)
{
    int file = env_open(env, path, ENV_READ | ENV_WRITE | ENV_CREATE);
    must(file >= 0);
    must(env_write_all(env, file, data, size, 0) == 0);
    return file;
}

static void crash_and_restart(struct world *world, enum sim_crash kind)
{
    sim_crash(world->node, kind);
    sim_restart(world->node);
}

/* What a crash left of a file of 4096 bytes of 'x': whole, torn, empty or nameless. */
struct outcome {
    int whole, torn, empty, nameless;
};

static void look(struct env *env, const char *path, struct outcome *outcome)
{
    uint8_t data[4096];
    int64_t size;
    int count = 0;
    int file = env_open(env, path, ENV_READ);
    if (file < 0) {
        outcome->nameless++;
        return;
    }
    must(env_size(env, file, &size) == 0);
    must(size <= 4096);
    must(env_read_all(env, file, data, (size_t)size, 0) == 0);
    for (int64_t i = 0; i < size; i++) {
        must(data[i] == 'x' || data[i] == 0);
        must(i % 512 == 0 || data[i] == data[i - 1]); /* sectors are whole */
        count += data[i] == 'x';
    }
    if (count == 4096)
        outcome->whole++;
    else if (count > 0)
        outcome->torn++;
    else
        outcome->empty++;
    env_close(env, file);
}

static struct outcome try_seeds(bool sync_file, bool sync_dir, enum sim_crash kind)
{
    struct outcome outcome = {0};
    char data[4096];
    memset(data, 'x', sizeof data);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world world = world_create(seed);
        int file = file_make(world.env, "/file", data, sizeof data);
        if (sync_file)
            must(env_sync(world.env, file) == 0);
        if (sync_dir)
            must(env_sync_dir(world.env, "/") == 0);
        crash_and_restart(&world, kind);
        look(world.env, "/file", &outcome);
        sim_destroy(world.sim);
    }
    return outcome;
}

static void what_is_synced_survives_a_loss_of_power(void **state)
{
    (void)state;
    struct outcome outcome = try_seeds(true, true, SIM_POWER);
    assert_int_equal(outcome.whole, SEEDS);
}

static void unsynced_bytes_are_kept_torn_or_lost(void **state)
{
    (void)state;
    struct outcome outcome = try_seeds(false, true, SIM_POWER);
    assert_int_equal(outcome.nameless, 0);
    assert_true(outcome.whole > 0);
    assert_true(outcome.torn > 0);
    assert_true(outcome.empty > 0);
}

static void a_name_may_vanish_though_its_file_was_synced(void **state)
{
    (void)state;
    struct outcome outcome = try_seeds(true, false, SIM_POWER);
    assert_true(outcome.nameless > 0);
    assert_true(outcome.whole > 0);
    assert_int_equal(outcome.torn + outcome.empty, 0);
}

static void a_killed_process_leaves_all_it_wrote(void **state)
{
    (void)state;
    struct outcome outcome = try_seeds(false, false, SIM_KILL);
    assert_int_equal(outcome.whole, SEEDS);
}

static bool exists(struct env *env, const char *path)
{
    struct env_stat stat;
    return env_stat(env, path, &stat) == 0;
}

static void a_rename_happens_wholly_or_not(void **state)
{
    (void)state;
    int before = 0, after = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world world = world_create(seed);
        env_close(world.env, file_make(world.env, "/old", "o", 1));
        must(env_sync_dir(world.env, "/") == 0);
        must(env_rename(world.env, "/old", "/new") == 0);
        assert_false(exists(world.env, "/old"));
        crash_and_restart(&world, SIM_POWER);
        assert_int_not_equal(exists(world.env, "/old"), exists(world.env, "/new"));
        before += exists(world.env, "/old");
        after += exists(world.env, "/new");
        sim_destroy(world.sim);
    }
    assert_true(before > 0 && after > 0);
}

static void replacing_a_file_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    int old = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world world = world_create(seed);
        must(env_replace(world.env, "/f", "old", 3) == 0);
        must(env_replace(world.env, "/f", "new!", 4) == 0);
        crash_and_restart(&world, SIM_POWER);
        char *text;
        size_t size;
        assert_int_equal(env_load(world.env, "/f", 100, &text, &size), 0);
        assert_string_equal(text, "new!");
        free(text);
        /* The same without any sync, done by hand. */
        must(env_rename(world.env, "/f", "/g") == 0);
        crash_and_restart(&world, SIM_POWER);
        old += exists(world.env, "/f");
        sim_destroy(world.sim);
    }
    assert_true(old > 0);
}

static void a_synced_write_is_not_undone_by_a_later_one(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world world = world_create(seed);
        char data[2048], found[2048];
        memset(data, 'x', sizeof data);
        int file = file_make(world.env, "/file", data, sizeof data);
        must(env_sync(world.env, file) == 0 && env_sync_dir(world.env, "/") == 0);
        must(env_write_all(world.env, file, "yy", 2, 2048) == 0);
        crash_and_restart(&world, SIM_POWER);
        file = env_open(world.env, "/file", ENV_READ);
        must(env_read_all(world.env, file, found, sizeof found, 0) == 0);
        assert_memory_equal(found, data, sizeof data);
        sim_destroy(world.sim);
    }
}

static void a_failed_sync_may_lose_what_a_later_one_reports_safe(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    char data[4096];
    memset(data, 'x', sizeof data);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world world = world_create(seed);
        int file = file_make(world.env, "/file", data, sizeof data);
        must(env_sync_dir(world.env, "/") == 0);
        sim_disk_fault(world.node, SIM_DISK_SYNC, "file", 0, 1, EIO);
        assert_int_equal(env_sync(world.env, file), -EIO);
        assert_int_equal(env_sync(world.env, file), 0);
        crash_and_restart(&world, SIM_POWER);
        look(world.env, "/file", &outcome);
        sim_destroy(world.sim);
    }
    assert_true(outcome.whole > 0 && outcome.empty > 0);
}

static void faults_come_when_and_where_they_were_asked_for(void **state)
{
    (void)state;
    struct world world = world_create(1);
    int file = file_make(world.env, "/data-1", "abc", 3);
    int other = file_make(world.env, "/other", "abc", 3);
    struct iovec part = {"x", 1};
    sim_disk_fault(world.node, SIM_DISK_WRITE, "data", 1, 2, ENOSPC);
    assert_int_equal(env_writev(world.env, file, &part, 1, 0), 1);
    assert_int_equal(env_writev(world.env, other, &part, 1, 0), 1);
    assert_int_equal(env_writev(world.env, file, &part, 1, 0), -ENOSPC);
    assert_int_equal(env_truncate(world.env, file, 0), -ENOSPC);
    assert_int_equal(env_writev(world.env, file, &part, 1, 0), 1);
    sim_disk_fault(world.node, SIM_DISK_READ, "data", 0, 100, EIO);
    char byte;
    assert_int_equal(env_read(world.env, file, &byte, 1, 0), -EIO);
    sim_disk_fault(world.node, SIM_DISK_READ, NULL, 0, 0, 0);
    assert_int_equal(env_read(world.env, file, &byte, 1, 0), 1);
    sim_destroy(world.sim);
}

static void a_full_disk_takes_what_fits_and_then_refuses(void **state)
{
    (void)state;
    struct world world = world_create(1);
    static char data[20000];
    int64_t total, left;
    int file = file_make(world.env, "/file", "", 0);
    sim_disk_set_free(world.node, 8192);
    struct iovec part = {data, sizeof data};
    assert_int_equal(env_writev(world.env, file, &part, 1, 0), 8192);
    assert_int_equal(env_writev(world.env, file, &part, 1, 8192), -ENOSPC);
    part.iov_len = 100;
    assert_int_equal(env_writev(world.env, file, &part, 1, 100), 100);
    assert_int_equal(env_disk_space(world.env, "/", &total, &left), 0);
    assert_int_equal(left, 0);
    assert_int_equal(env_close(world.env, file), 0);
    assert_int_equal(env_unlink(world.env, "/file"), 0);
    assert_int_equal(env_sync_dir(world.env, "/"), 0);
    assert_int_equal(env_disk_space(world.env, "/", &total, &left), 0);
    assert_int_equal(left, 8192);
    sim_destroy(world.sim);
}

static int join_names(void *context, const char *name)
{
    strcat(context, name);
    strcat(context, " ");
    return 0;
}

static void names_behave_as_on_linux(void **state)
{
    (void)state;
    struct world world = world_create(1);
    struct env *env = world.env;
    char names[100] = "";
    assert_int_equal(env_mkdir(env, "/a/b"), -ENOENT);
    assert_int_equal(env_mkdirs(env, "/a/b"), 0);
    assert_int_equal(env_mkdir(env, "/a"), -EEXIST);
    env_close(env, file_make(env, "/a/b/two", "2", 1));
    env_close(env, file_make(env, "/a/b/one", "1", 1));
    assert_int_equal(env_mkdir(env, "/a/b/Dir"), 0);
    assert_int_equal(env_list_dir(env, "/a/b/", join_names, names), 0);
    assert_string_equal(names, "Dir one two ");
    assert_int_equal(env_open(env, "/a/b", ENV_WRITE), -EISDIR);
    assert_int_equal(env_open(env, "/a/b/one", ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE), -EEXIST);
    assert_int_equal(env_open(env, "/a/b/one/x", ENV_READ), -ENOTDIR);
    assert_int_equal(env_unlink(env, "/a/b"), -EISDIR);
    assert_int_equal(env_rmdir(env, "/a/b"), -ENOTEMPTY);
    assert_int_equal(env_rename(env, "/a/b/one", "/a/b/two"), 0);
    assert_int_equal(env_rename(env, "/a/b/one", "/a/b/two"), -ENOENT);
    assert_int_equal(env_rename(env, "/a/b/two", "/a/b/Dir"), -EISDIR);
    char *text;
    size_t size;
    assert_int_equal(env_load(env, "/a/b/two", 10, &text, &size), 0);
    assert_string_equal(text, "1");
    free(text);
    assert_int_equal(env_remove_tree(env, "/a"), 0);
    assert_false(exists(env, "/a"));
    sim_destroy(world.sim);
}

static void an_unlinked_file_lives_while_it_is_open(void **state)
{
    (void)state;
    struct world world = world_create(1);
    char data[4] = "";
    int file = file_make(world.env, "/f", "abc", 3);
    assert_int_equal(env_unlink(world.env, "/f"), 0);
    assert_int_equal(env_read_all(world.env, file, data, 3, 0), 0);
    assert_string_equal(data, "abc");
    sim_destroy(world.sim);
}

static void a_lock_dies_with_its_process(void **state)
{
    (void)state;
    struct world world = world_create(1);
    int first = file_make(world.env, "/lock", "", 0), second = file_make(world.env, "/lock", "", 0);
    assert_int_equal(env_lock(world.env, first), 0);
    assert_int_equal(env_lock(world.env, second), -EWOULDBLOCK);
    crash_and_restart(&world, SIM_KILL);
    first = file_make(world.env, "/lock", "", 0);
    assert_int_equal(env_lock(world.env, first), 0);
    sim_destroy(world.sim);
}

static void a_page_is_cold_after_a_loss_of_power_until_it_is_read(void **state)
{
    (void)state;
    struct world world = world_create(1);
    char data[16];
    int file = file_make(world.env, "/f", "0123456789", 10);
    assert_int_equal(env_read_nowait(world.env, file, data, 16, 2), 8);
    must(env_sync(world.env, file) == 0 && env_sync_dir(world.env, "/") == 0);
    crash_and_restart(&world, SIM_POWER);
    file = env_open(world.env, "/f", ENV_READ);
    assert_int_equal(env_read_nowait(world.env, file, data, 16, 2), -EAGAIN);
    assert_int_equal(env_read(world.env, file, data, 16, 2), 8);
    assert_int_equal(env_read_nowait(world.env, file, data, 16, 2), 8);
    assert_int_equal(env_read_nowait(world.env, file, data, 16, 10), 0);
    sim_destroy(world.sim);
}

static void flipped_bits_stay(void **state)
{
    (void)state;
    struct world world = world_create(1);
    char data[3];
    int file = file_make(world.env, "/f", "abc", 3);
    must(env_sync(world.env, file) == 0 && env_sync_dir(world.env, "/") == 0);
    assert_int_equal(sim_disk_flip(world.node, "/f", 1, 3), 0);
    assert_int_equal(sim_disk_flip(world.node, "/f", 3, 3), -EINVAL);
    crash_and_restart(&world, SIM_POWER);
    file = env_open(world.env, "/f", ENV_READ);
    assert_int_equal(env_read_all(world.env, file, data, 3, 0), 0);
    assert_memory_equal(data, "aac", 3);
    sim_destroy(world.sim);
}

static void a_copied_disk_is_durable_and_apart(void **state)
{
    (void)state;
    struct world world = world_create(1);
    struct sim_node *copy = sim_node_add(world.sim, "b");
    must(env_mkdirs(world.env, "/dir") == 0);
    env_close(world.env, file_make(world.env, "/dir/f", "abc", 3));
    sim_disk_copy(copy, world.node);
    must(env_unlink(world.env, "/dir/f") == 0);
    sim_crash(copy, SIM_POWER);
    sim_restart(copy);
    assert_true(exists(sim_env(copy), "/dir/f"));
    sim_destroy(world.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_synced_survives_a_loss_of_power),
        cmocka_unit_test(unsynced_bytes_are_kept_torn_or_lost),
        cmocka_unit_test(a_name_may_vanish_though_its_file_was_synced),
        cmocka_unit_test(a_killed_process_leaves_all_it_wrote),
        cmocka_unit_test(a_rename_happens_wholly_or_not),
        cmocka_unit_test(replacing_a_file_leaves_the_old_or_the_new),
        cmocka_unit_test(a_synced_write_is_not_undone_by_a_later_one),
        cmocka_unit_test(a_failed_sync_may_lose_what_a_later_one_reports_safe),
        cmocka_unit_test(faults_come_when_and_where_they_were_asked_for),
        cmocka_unit_test(a_full_disk_takes_what_fits_and_then_refuses),
        cmocka_unit_test(names_behave_as_on_linux),
        cmocka_unit_test(an_unlinked_file_lives_while_it_is_open),
        cmocka_unit_test(a_lock_dies_with_its_process),
        cmocka_unit_test(a_page_is_cold_after_a_loss_of_power_until_it_is_read),
        cmocka_unit_test(flipped_bits_stay),
        cmocka_unit_test(a_copied_disk_is_durable_and_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
