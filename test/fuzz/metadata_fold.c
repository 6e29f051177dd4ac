/* Metadata records of any bytes, folded one after the other: values with their size in two bytes in
 * front. What the fold takes must be writable, and give the same again. */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "metadata/delta.h"
#include "metadata/fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fold(struct image_builder *builder, struct bytes value)
{
    const struct metadata_record_type *type;
    int16_t version;
    void *record;
    struct arena arena;
    arena_init(&arena, 1 << 24);
    if (metadata_record_decode(value, &arena, &type, &version, &record) == 0)
        image_apply(builder, type, record);
    arena_close(&arena);
}

struct copy {
    struct image_builder builder;
    int64_t records;
};

static int fold_again(void *context, struct bytes value)
{
    struct copy *copy = context;
    fold(&copy->builder, value);
    copy->records++;
    return 0;
}

static void check_trees(const struct image *image)
{
    tree_check(&image->topics);
    tree_check(&image->topic_names);
    tree_check(&image->brokers);
    tree_check(&image->controllers);
    tree_check(&image->configs);
    tree_check(&image->features);
    tree_check(&image->kept);
    must(image_topic_count(image) == tree_size(&image->topic_names));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_builder builder;
    struct copy copy = {.records = 0};
    struct reader reader = reader_of(data, size);
    struct arena arena;
    struct image_delta delta;
    image_builder_init(&builder, NULL);
    struct image *before = image_builder_snapshot(&builder);
    for (int count = 0; reader_left(&reader) > 2; count++) {
        uint16_t length = (uint16_t)read_int16(&reader);
        if (length > reader_left(&reader))
            length = (uint16_t)reader_left(&reader);
        const uint8_t *value = reader_take(&reader, length);
        fold(&builder, (struct bytes){value, length});
        if (count == 5) {
            image_unref(before);
            before = image_builder_snapshot(&builder);
        }
    }
    const struct image *image = image_builder_peek(&builder);
    check_trees(image);
    arena_init(&arena, 0);
    image_diff(before, image, &arena, &delta);
    arena_close(&arena);
    image_builder_init(&copy.builder, NULL);
    must(image_write(image, fold_again, &copy) == 0);
    const struct image *again = image_builder_peek(&copy.builder);
    check_trees(again);
    must(image_topic_count(again) == image_topic_count(image));
    must(again->partition_count == image->partition_count);
    must(tree_size(&again->configs) == tree_size(&image->configs));
    must(tree_size(&again->brokers) == tree_size(&image->brokers));
    must(tree_size(&again->kept) == tree_size(&image->kept));
    image_builder_close(&copy.builder);
    image_unref(before);
    image_builder_close(&builder);
    return 0;
}
