/* Shared by the tests of the fold and the loader. */
#ifndef JACKDAW_TEST_METADATA_H
#define JACKDAW_TEST_METADATA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/must.h"
#include "metadata/fold.h"

/* Test programs are one file each: what a program does not use is no mistake. */
#define HELPER __attribute__((unused)) static

HELPER bool apply(struct image_builder *builder, int16_t type, const void *record)
{
    return image_apply(builder, metadata_record_find(type), record);
}

HELPER struct uuid id_of(int number)
{
    return uuid_of(0x1234567800000000ull + (uint64_t)number, (uint64_t)number);
}

HELPER bool apply_topic_named(struct image_builder *builder, const char *name, struct uuid id)
{
    struct topic_record record = {.name = str_of(name), .topic_id = id};
    return apply(builder, METADATA_TOPIC_RECORD, &record);
}

HELPER bool apply_partition_of(struct image_builder *builder, struct uuid topic, int32_t partition,
                               int32_t leader)
{
    struct partition_record record;
    int32_t replicas[] = {leader, leader + 1};
    struct uuid directories[] = {id_of(leader), id_of(leader + 1)};
    partition_record_init(&record);
    record.partition_id = partition;
    record.topic_id = topic;
    record.replicas = (struct int32_array){replicas, 2};
    record.isr = (struct int32_array){replicas, 2};
    record.leader = leader;
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    record.directories = (struct uuid_array){directories, 2};
    return apply(builder, METADATA_PARTITION_RECORD, &record);
}

HELPER bool apply_config_of(struct image_builder *builder, int8_t type, const char *resource,
                            const char *name, const char *value)
{
    struct config_record record = {.resource_type = type,
                                   .resource_name = str_of(resource),
                                   .name = str_of(name),
                                   .value = str_of(value)};
    return apply(builder, METADATA_CONFIG_RECORD, &record);
}

HELPER bool apply_feature_of(struct image_builder *builder, const char *name, int16_t level)
{
    struct feature_level_record record = {.name = str_of(name), .feature_level = level};
    return apply(builder, METADATA_FEATURE_LEVEL_RECORD, &record);
}

/* An image as the list of its records. */
struct dump {
    struct bytes values[4096];
    int count;
};

HELPER int dump_add(void *context, struct bytes value)
{
    struct dump *dump = context;
    must(dump->count < (int)array_size(dump->values));
    uint8_t *copy = malloc(value.size > 0 ? (size_t)value.size : 1);
    must(copy);
    memcpy(copy, value.data, (size_t)value.size);
    dump->values[dump->count++] = (struct bytes){copy, value.size};
    return 0;
}

HELPER struct dump *dump_of(const struct image *image)
{
    struct dump *dump = calloc(1, sizeof *dump);
    must(dump);
    assert_int_equal(image_write(image, dump_add, dump), 0);
    return dump;
}

HELPER void dump_destroy(struct dump *dump)
{
    for (int i = 0; i < dump->count; i++)
        free((void *)dump->values[i].data);
    free(dump);
}

HELPER void assert_dumps_equal(const struct dump *a, const struct dump *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        assert_int_equal(a->values[i].size, b->values[i].size);
        assert_memory_equal(a->values[i].data, b->values[i].data, (size_t)a->values[i].size);
    }
}

HELPER void apply_value(struct image_builder *builder, struct bytes value)
{
    struct arena arena;
    const struct metadata_record_type *type;
    int16_t version;
    void *record;
    arena_init(&arena, 0);
    assert_int_equal(metadata_record_decode(value, &arena, &type, &version, &record), 0);
    assert_true(image_apply(builder, type, record));
    arena_close(&arena);
}

/* A file below test/golden, whole; freed by the caller. */
HELPER uint8_t *golden_load(const char *name, size_t *ret_size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/golden/%s", TEST_ROOT, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *data = malloc(1 << 20);
    must(data);
    *ret_size = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

#endif
