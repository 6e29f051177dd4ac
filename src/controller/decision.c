#include "controller/decision.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static bool grow(struct decision *decision)
{
    int32_t capacity = decision->capacity ? decision->capacity * 2 : 64;
    struct decision_record *records =
        arena_array(decision->scratch, (size_t)capacity, sizeof records[0]);
    if (!records)
        return false;
    if (decision->count)
        memcpy(records, decision->records, (size_t)decision->count * sizeof records[0]);
    decision->records = records;
    decision->capacity = capacity;
    return true;
}

void decision_add(struct decision *decision, int16_t type, int16_t version, const void *record)
{
    if (decision->error)
        return;
    if (decision->count == DECISION_MAX_RECORDS) {
        decision->error = -E2BIG;
        return;
    }
    const struct metadata_record_type *row = metadata_record_find(type);
    must(row);
    size_t size = message_struct_size(row->schema);
    void *copy = arena_alloc(decision->scratch, size);
    if (!copy || (decision->count == decision->capacity && !grow(decision))) {
        decision->error = -ENOMEM;
        return;
    }
    memcpy(copy, record, size);
    decision->records[decision->count++] = (struct decision_record){row, version, copy};
}

struct outcome outcome_printf(struct decision *decision, int16_t error_code, const char *format,
                              ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size < 0)
        size = 0;
    if ((size_t)size >= sizeof text)
        size = sizeof text - 1;
    return (struct outcome){error_code, arena_str(decision->arena, (struct str){text, size})};
}

void name_list_add(struct name_list *list, struct str name)
{
    int32_t room = (int32_t)sizeof list->text - list->size;
    if (name.size + 1 >= room)
        return;
    if (list->size > 0)
        list->text[list->size++] = ',';
    memcpy(list->text + list->size, name.data, (size_t)name.size);
    list->size += name.size;
    list->text[list->size] = '\0';
}

struct uuid decision_random_id(struct decision *decision)
{
    struct uuid id;
    uint8_t random[16];
    do {
        env_random(decision->env, random, sizeof random);
    } while (!uuid_from_random(random, &id));
    return id;
}
