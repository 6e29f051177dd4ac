/* A properties file: what is read must be bounded by the text, and must survive being written. */
#include "base/must.h"
#include "base/properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What one entry may cost in the arena beside its bytes: room for two ends and the alignment. */
enum { ENTRY_OVERHEAD = 32 };

static void check_round_trip(const struct property *property)
{
    struct writer writer = {0};
    struct arena arena;
    struct property again;
    struct properties_reader reader;
    arena_init(&arena, 0);
    properties_write(&writer, property->key, property->value);
    must(!writer.failed);
    must(properties_open((struct bytes){writer.data, (int32_t)writer.size}, &reader) == 0);
    must(properties_next(&reader, &arena, &again) == 0);
    must(str_equal(again.key, property->key));
    must(str_equal(again.value, property->value));
    must(properties_next(&reader, &arena, &again) == 1);
    arena_close(&arena);
    writer_close(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct properties_reader reader;
    struct property property;
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, 0);
    must(properties_open((struct bytes){data, (int32_t)size}, &reader) == 0);
    int32_t line = 0;
    while (properties_next(&reader, &arena, &property) == 0) {
        must(property.line > line);
        must(property.key.data[property.key.size] == 0);
        must(property.value.data[property.value.size] == 0);
        check_round_trip(&property);
        line = property.line;
        count++;
    }
    must(arena.used_bytes <= size + (count + 1) * ENTRY_OVERHEAD);
    arena_close(&arena);
    return 0;
}
