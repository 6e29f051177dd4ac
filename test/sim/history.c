#include "history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

void history_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("history: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

struct history *history_create(void)
{
    struct history *history = calloc(1, sizeof *history);
    must(history);
    return history;
}

void history_destroy(struct history *history)
{
    free(history);
}

void history_writer_begin(struct history *history, struct history_writer *ret_writer)
{
    *ret_writer = (struct history_writer){.history = history, .id = history->writer_count++};
}

int32_t history_give(struct history_writer *writer, int32_t partition)
{
    struct history *history = writer->history;
    must(history->value_count < HISTORY_VALUES_MAX);
    must(partition >= 0 && partition < HISTORY_PARTITIONS);
    history->values[history->value_count] = (struct history_value){
        .writer = writer->id,
        .partition = partition,
        .place = writer->places[partition]++,
        .acknowledged_at = -1,
        .seen_at = -1,
    };
    return history->value_count++;
}

void history_lose_power(struct history *history)
{
    history->losses++;
    for (int32_t value = 0; value < history->value_count && !history->durable; value++)
        history->values[value].may_be_lost |= history->values[value].acknowledged_at != -1;
    for (int p = 0; p < HISTORY_PARTITIONS; p++)
        for (int offset = 0; offset < HISTORY_OFFSETS_MAX; offset++)
            history->doubtful[p][offset] = history->seen[p][offset] != 0;
}

/* Something else stands at this offset than before the loss: from here on all is new. */
static void cut(struct history *history, int32_t partition, int64_t offset)
{
    for (; offset < HISTORY_OFFSETS_MAX; offset++) {
        if (!history->doubtful[partition][offset])
            continue;
        struct history_value *lost = &history->values[history->seen[partition][offset] - 1];
        if (lost->acknowledged_at != -1 && !lost->may_be_lost)
            history_fail(
                "partition %d offset %lld held a value that was acknowledged and may not be "
                "lost",
                partition, (long long)offset);
        lost->seen_at = -1;
        history->seen[partition][offset] = 0;
        history->doubtful[partition][offset] = false;
    }
}

/* A value is at this offset now: does that say that the part before the loss ended sooner? */
static void doubt_ends(struct history *history, int32_t partition, int64_t offset, int64_t value)
{
    int64_t before = history->values[value].seen_at;
    if (history->doubtful[partition][offset] && history->seen[partition][offset] != value + 1)
        cut(history, partition, offset);
    if (before >= 0 && before != offset && history->doubtful[partition][before])
        cut(history, partition, before < offset ? before : offset);
}

void history_acknowledge(struct history *history, int32_t value, int64_t offset)
{
    struct history_value *entry = &history->values[value];
    if (entry->acknowledged_at != -1)
        history_fail("value %d was acknowledged twice", value);
    must(offset < HISTORY_OFFSETS_MAX);
    if (offset >= 0)
        doubt_ends(history, entry->partition, offset, value);
    if (offset >= 0 && entry->seen_at >= 0 && entry->seen_at != offset)
        history_fail("value %d was acknowledged at %lld but read at %lld", value, (long long)offset,
                     (long long)entry->seen_at);
    entry->acknowledged_at = offset >= 0 ? offset : -2;
    history->acknowledged++;
}

void history_read(struct history *history, int32_t partition, int64_t offset, int64_t value)
{
    if (value < 0 || value >= history->value_count)
        history_fail("partition %d offset %lld holds what nobody wrote", partition,
                     (long long)offset);
    if (offset < 0 || offset >= HISTORY_OFFSETS_MAX)
        history_fail("offset %lld", (long long)offset);
    struct history_value *entry = &history->values[value];
    if (entry->partition != partition)
        history_fail("value %lld of partition %d was read in %d", (long long)value,
                     entry->partition, partition);
    doubt_ends(history, partition, offset, value);
    if (entry->seen_at >= 0 && entry->seen_at != offset)
        history_fail("value %lld of partition %d is at %lld and at %lld", (long long)value,
                     partition, (long long)entry->seen_at, (long long)offset);
    if (entry->acknowledged_at >= 0 && entry->acknowledged_at != offset && !entry->may_be_lost)
        history_fail("value %lld was acknowledged at %lld but is at %lld", (long long)value,
                     (long long)entry->acknowledged_at, (long long)offset);
    int32_t *place = &history->seen[partition][offset];
    if (*place != 0 && *place != value + 1)
        history_fail("partition %d offset %lld held value %d and now %lld", partition,
                     (long long)offset, *place - 1, (long long)value);
    *place = (int32_t)value + 1;
    history->doubtful[partition][offset] = false;
    entry->seen_at = offset;
    history->read++;
}

void history_check_partition(const struct history *history, int32_t partition, int64_t end_offset)
{
    int32_t *next = calloc((size_t)history->writer_count + 1, sizeof *next);
    must(next && end_offset <= HISTORY_OFFSETS_MAX);
    for (int64_t offset = 0; offset < end_offset; offset++) {
        int32_t value = history->seen[partition][offset] - 1;
        if (value < 0)
            history_fail("partition %d has no offset %lld", partition, (long long)offset);
        const struct history_value *entry = &history->values[value];
        bool in_order = history->losses > 0 && !history->durable
                            ? entry->place >= next[entry->writer]
                            : entry->place == next[entry->writer];
        if (!in_order)
            history_fail("partition %d offset %lld: writer %d's number %d comes after its %d",
                         partition, (long long)offset, entry->writer, entry->place,
                         next[entry->writer] - 1);
        next[entry->writer] = entry->place + 1;
    }
    for (int32_t value = 0; value < history->value_count; value++) {
        const struct history_value *entry = &history->values[value];
        if (entry->partition == partition && entry->acknowledged_at != -1 && !entry->may_be_lost &&
            (entry->seen_at < 0 || entry->seen_at >= end_offset))
            history_fail("value %d was acknowledged at %lld of partition %d and is lost", value,
                         (long long)entry->acknowledged_at, partition);
    }
    free(next);
}
