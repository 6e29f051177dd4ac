#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "log/file_cache.h"
#include "ram_disk.h"

#define RW (ENV_READ | ENV_WRITE | ENV_CREATE)

static struct file_ref *open_file(struct file_cache *cache, struct file_slot *slot, int number)
{
    char path[32];
    struct file_ref *file;
    snprintf(path, sizeof path, "/%d", number);
    assert_int_equal(file_cache_open(cache, slot, path, RW, &file), 0);
    return file;
}

static void a_slot_finds_its_file_again(void **state)
{
    (void)state;
    struct ram_disk *disk = ram_disk_create(1);
    struct file_cache *cache = file_cache_create(ram_disk_env(disk), 2);
    struct file_slot slot = {0};
    assert_null(file_cache_get(cache, &slot));
    struct file_ref *file = open_file(cache, &slot, 1);
    assert_ptr_equal(file_cache_get(cache, &slot), file);
    file_ref_drop(file);
    file_ref_drop(file);
    assert_ptr_equal(file_cache_get(cache, &slot), file);
    file_ref_drop(file);
    assert_int_equal(ram_disk_open_files(disk), 1);
    file_cache_destroy(cache);
    assert_int_equal(ram_disk_open_files(disk), 0);
    ram_disk_destroy(disk);
}

static void the_oldest_unused_file_is_closed_and_used_ones_never(void **state)
{
    (void)state;
    struct ram_disk *disk = ram_disk_create(1);
    struct file_cache *cache = file_cache_create(ram_disk_env(disk), 2);
    struct file_slot slots[5] = {{0}};
    struct file_ref *held = open_file(cache, &slots[0], 0);
    for (int i = 1; i < 5; i++)
        file_ref_drop(open_file(cache, &slots[i], i));
    assert_int_equal(ram_disk_open_files(disk), 3);
    assert_null(slots[1].file);
    assert_null(slots[2].file);
    assert_non_null(slots[4].file);
    file_ref_drop(held);
    assert_null(slots[3].file);
    assert_non_null(slots[0].file);
    assert_int_equal(file_cache_open_count(cache), 2);
    file_cache_destroy(cache);
    ram_disk_destroy(disk);
}

static void a_forgotten_file_lives_until_its_last_user(void **state)
{
    (void)state;
    struct ram_disk *disk = ram_disk_create(1);
    struct env *env = ram_disk_env(disk);
    struct file_cache *cache = file_cache_create(env, 2);
    struct file_slot slot = {0};
    struct file_ref *old = open_file(cache, &slot, 1);
    assert_int_equal(env_write_all(env, file_ref_descriptor(old), "old", 3, 0), 0);
    assert_int_equal(env_rename(env, "/1", "/1.deleted"), 0);
    assert_true(file_cache_in_use(cache, &slot));
    file_cache_forget(cache, &slot);
    assert_false(file_cache_in_use(cache, &slot));
    struct file_ref *fresh = open_file(cache, &slot, 1);
    assert_ptr_not_equal(fresh, old);
    char text[3];
    assert_int_equal(env_read_all(env, file_ref_descriptor(old), text, 3, 0), 0);
    assert_memory_equal(text, "old", 3);
    file_ref_drop(file_ref_take(old));
    file_ref_drop(old);
    assert_int_equal(ram_disk_open_files(disk), 1);
    file_ref_drop(fresh);
    file_cache_forget(cache, &slot);
    assert_int_equal(ram_disk_open_files(disk), 0);
    file_cache_destroy(cache);
    ram_disk_destroy(disk);
}

static void running_out_of_descriptors_closes_unused_files(void **state)
{
    (void)state;
    enum { COUNT = 4096 };
    static struct file_slot slots[COUNT + 1];
    struct ram_disk *disk = ram_disk_create(1);
    struct file_cache *cache = file_cache_create(ram_disk_env(disk), COUNT * 2);
    for (int i = 0; i < COUNT; i++)
        file_ref_drop(open_file(cache, &slots[i], i % 10));
    struct file_ref *file = open_file(cache, &slots[COUNT], 1);
    assert_non_null(file);
    assert_true(ram_disk_open_files(disk) < COUNT);
    file_ref_drop(file);
    file_cache_destroy(cache);
    ram_disk_destroy(disk);
}

static void a_missing_file_is_an_error_and_leaves_the_slot_empty(void **state)
{
    (void)state;
    struct ram_disk *disk = ram_disk_create(1);
    struct file_cache *cache = file_cache_create(ram_disk_env(disk), 2);
    struct file_slot slot = {0};
    struct file_ref *file = NULL;
    assert_int_equal(file_cache_open(cache, &slot, "/none", ENV_READ, &file), -ENOENT);
    assert_null(file);
    assert_null(slot.file);
    file_cache_destroy(cache);
    ram_disk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_finds_its_file_again),
        cmocka_unit_test(the_oldest_unused_file_is_closed_and_used_ones_never),
        cmocka_unit_test(a_forgotten_file_lives_until_its_last_user),
        cmocka_unit_test(running_out_of_descriptors_closes_unused_files),
        cmocka_unit_test(a_missing_file_is_an_error_and_leaves_the_slot_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
