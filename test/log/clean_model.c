#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "clean_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

void model_init(struct model *model, uint64_t seed)
{
    memset(model, 0, sizeof *model);
    model->random = seed * 0x9e3779b97f4a7c15u + 1;
}

uint32_t model_random(struct model *model, uint32_t below)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (uint32_t)(model->random >> 33) % below;
}

static int append_marker(struct model *model, struct kit *kit, int producer)
{
    bool commit = model_random(model, 2);
    int err = clean_marker(kit, producer, model->epoch[producer], commit, env_wall_ms(kit->env));
    if (err)
        return err;
    for (int i = 0; i < model->count; i++) {
        struct model_record *record = &model->records[i];
        if (record->producer != producer || record->fate != FATE_OPEN)
            continue;
        record->fate = commit ? FATE_COMMITTED : FATE_ABORTED;
        record->marker = kit->result.base_offset;
    }
    model->open[producer] = false;
    return 0;
}

int model_append(struct model *model, struct kit *kit)
{
    static char keys[CLEAN_RECORDS_MAX][8], values[CLEAN_RECORDS_MAX][80];
    struct model_record drafts[CLEAN_RECORDS_MAX];
    int producer = (int)model_random(model, MODEL_PRODUCERS + 3) - 2;
    if (producer < 0)
        producer = 0;
    if (producer >= 3 && model->open[producer] && model_random(model, 3) == 0)
        return append_marker(model, kit, producer);

    struct clean_batch batch = {.timestamp = env_wall_ms(kit->env),
                                .count = 1 + (int)model_random(model, 5),
                                .producer_id = producer,
                                .producer_epoch = model->epoch[producer],
                                .sequence = model->next_sequence[producer],
                                .transactional = producer >= 3,
                                .log_append_time = model_random(model, 6) == 0};
    if (model_random(model, 3) == 0)
        batch.compression = (enum compression)model_random(model, 5);
    for (int i = 0; i < batch.count; i++) {
        struct model_record *draft = &drafts[i];
        *draft =
            (struct model_record){.key = (int)model_random(model, MODEL_KEYS),
                                  .value = model->next_value++,
                                  .producer = producer,
                                  .timestamp = batch.timestamp + (batch.log_append_time ? 0 : i),
                                  .fate = producer >= 3 ? FATE_OPEN : FATE_PLAIN,
                                  .marker = -1,
                                  .first_cleaned_ms = -1};
        if (model_random(model, 6) == 0)
            draft->value = -1;
        if (model_random(model, 40) == 0)
            draft->key = -1;
        snprintf(keys[i], sizeof keys[i], "k%d", draft->key);
        snprintf(values[i], sizeof values[i], "%d%.*s", draft->value, (int)model_random(model, 60),
                 "............................................"
                 "................");
        batch.records[i] = (struct clean_record){draft->key < 0 ? NULL : keys[i],
                                                 draft->value < 0 ? NULL : values[i], 0};
    }
    int err = clean_append(kit, &batch);
    if (err)
        return err;
    must(model->count + batch.count <= MODEL_RECORDS_MAX);
    for (int i = 0; i < batch.count; i++) {
        drafts[i].offset = kit->result.base_offset + i;
        model->records[model->count++] = drafts[i];
    }
    if (producer)
        model->next_sequence[producer] += batch.count;
    if (producer >= 3)
        model->open[producer] = true;
    return 0;
}

void model_cut(struct model *model, int64_t end)
{
    while (model->count > 0 && model->records[model->count - 1].offset >= end)
        model->count--;
    memset(model->next_sequence, 0, sizeof model->next_sequence);
    memset(model->open, 0, sizeof model->open);
    for (int i = 0; i < model->count; i++) {
        struct model_record *record = &model->records[i];
        if (record->producer)
            model->next_sequence[record->producer]++;
        if (record->marker >= end) {
            record->marker = -1;
            record->fate = FATE_OPEN;
        }
        if (record->fate == FATE_OPEN)
            model->open[record->producer] = true;
    }
}

void model_cleaned(struct model *model, const struct kit *kit, int64_t now_ms)
{
    int64_t end = log_cleaned_to(kit->log);
    for (int i = 0; i < model->count; i++)
        if (model->records[i].offset < end && model->records[i].first_cleaned_ms < 0)
            model->records[i].first_cleaned_ms = now_ms;
}

static const struct model_record *model_find(const struct model *model, int64_t offset)
{
    int low = 0, high = model->count;
    while (low < high) {
        int mid = (low + high) / 2;
        if (model->records[mid].offset < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low < model->count && model->records[low].offset == offset ? &model->records[low] : NULL;
}

static int64_t model_stable(const struct model *model)
{
    for (int i = 0; i < model->count; i++)
        if (model->records[i].fate == FATE_OPEN)
            return model->records[i].offset;
    return INT64_MAX;
}

/* What a consumer with read_committed leaves out, as Kafka's clients do it. */
struct abort_filter {
    struct aborted_transaction *items;
    int32_t count, next;
    bool aborted[MODEL_PRODUCERS + 1];
};

static int by_first_offset(const void *a, const void *b)
{
    const struct aborted_transaction *x = a, *y = b;
    return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

static bool is_aborted(struct abort_filter *filter, const struct read_record *record)
{
    while (filter->next < filter->count &&
           filter->items[filter->next].first_offset <= record->offset)
        filter->aborted[filter->items[filter->next++].producer_id] = true;
    if (!record->transactional)
        return false;
    if (record->control) {
        filter->aborted[record->producer_id] = false;
        return true;
    }
    return filter->aborted[record->producer_id];
}

static void log_values(struct kit *kit, const struct read_log *log, int64_t stable,
                       int values[MODEL_KEYS])
{
    struct abort_filter filter = {0};
    assert_int_equal(log_aborted_transactions(kit->log, log_start_offset(kit->log),
                                              log_end_offset(kit->log), true, &kit->arena,
                                              &filter.items, &filter.count),
                     0);
    if (filter.count)
        qsort(filter.items, (size_t)filter.count, sizeof *filter.items, by_first_offset);
    for (int i = 0; i < log->count && log->records[i].offset < stable; i++) {
        const struct read_record *record = &log->records[i];
        if (!is_aborted(&filter, record) && !record->control && record->key)
            values[atoi(record->key + 1)] = record->value ? atoi(record->value) : -1;
    }
}

static void check_values(const struct model *model, struct kit *kit, const struct read_log *log)
{
    int expected[MODEL_KEYS], actual[MODEL_KEYS];
    int64_t stable = model_stable(model);
    memset(expected, -1, sizeof expected);
    memset(actual, -1, sizeof actual);
    for (int i = 0; i < model->count && model->records[i].offset < stable; i++) {
        const struct model_record *record = &model->records[i];
        if (record->fate != FATE_ABORTED && record->key >= 0)
            expected[record->key] = record->value;
    }
    log_values(kit, log, stable, actual);
    for (int key = 0; key < MODEL_KEYS; key++)
        if (expected[key] != actual[key])
            fail_msg("key %d is %d, not %d (cleaned to %lld, stable %lld)", key, actual[key],
                     expected[key], (long long)log_cleaned_to(kit->log), (long long)stable);
}

void model_check_values(const struct model *model, struct kit *kit)
{
    struct read_log log;
    clean_read(kit, log_start_offset(kit->log), &log);
    check_values(model, kit, &log);
    arena_reset(&kit->arena, 0);
}

static void check_record(const struct model *model, const struct read_record *record)
{
    const struct model_record *expected = model_find(model, record->offset);
    assert_non_null(expected);
    assert_int_equal(record->timestamp, expected->timestamp);
    if (expected->key < 0)
        assert_null(record->key);
    else
        assert_int_equal(atoi(record->key + 1), expected->key);
    if (expected->value < 0)
        assert_null(record->value);
    else
        assert_int_equal(atoi(record->value), expected->value);
    assert_int_equal(record->producer_id, expected->producer ? expected->producer : -1);
}

/* Whether a later record of the same key hides it from the cleaned part. */
static bool is_superseded(const struct model *model, const struct model_record *record,
                          int64_t below)
{
    for (int i = (int)(record - model->records) + 1;
         i < model->count && model->records[i].offset < below; i++)
        if (model->records[i].key == record->key && model->records[i].fate != FATE_ABORTED)
            return true;
    return false;
}

/* Whether the record must be there, must not, or either. */
static void check_presence(const struct model *model, const struct model_record *record,
                           bool present, int64_t cleaned_to, int64_t now_ms,
                           int64_t delete_retention_ms)
{
    if (record->offset >= cleaned_to) {
        /* Aborted data goes wherever it is copied, not only where keys were looked at. */
        if (record->fate != FATE_ABORTED && record->key >= 0 && !present &&
            !is_superseded(model, record, INT64_MAX))
            fail_msg("record %lld is gone", (long long)record->offset);
        return;
    }
    bool goes =
        record->key < 0 || record->fate == FATE_ABORTED || is_superseded(model, record, cleaned_to);
    if (goes && present)
        fail_msg("record %lld is still there, cleaned to %lld", (long long)record->offset,
                 (long long)cleaned_to);
    if (goes || present)
        return;
    if (record->value >= 0 || record->first_cleaned_ms + delete_retention_ms > now_ms)
        fail_msg("record %lld of key %d is gone, value %d, first cleaned at %lld, now %lld",
                 (long long)record->offset, record->key, record->value,
                 (long long)record->first_cleaned_ms, (long long)now_ms);
}

void model_check(const struct model *model, struct kit *kit, int64_t now_ms,
                 int64_t delete_retention_ms)
{
    struct read_log log;
    int64_t cleaned_to = log_cleaned_to(kit->log);
    clean_read(kit, log_start_offset(kit->log), &log);
    check_values(model, kit, &log);
    int at = 0;
    for (int i = 0; i < model->count; i++) {
        while (at < log.count &&
               (log.records[at].control || log.records[at].offset < model->records[i].offset)) {
            if (!log.records[at].control)
                check_record(model, &log.records[at]);
            at++;
        }
        bool present = at < log.count && log.records[at].offset == model->records[i].offset;
        check_presence(model, &model->records[i], present, cleaned_to, now_ms, delete_retention_ms);
    }
    arena_reset(&kit->arena, 0);
}
