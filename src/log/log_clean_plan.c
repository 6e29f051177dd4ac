/* How dirty a log is, and what can be cleaned now. Sizes and bounds are computed as Kafka's
 * LogCleanerManager and LogToClean do. */
#include <errno.h>
#include <stdlib.h>

#include "log/log_clean_internal.h"

int segment_list_take(struct log *log, int64_t limit, struct segment_list *ret_list)
{
    int32_t capacity = 0, count;
    struct segment **items = NULL;
    for (;;) {
        pthread_mutex_lock(&log->list_lock);
        count = log->segment_count - 1;
        while (count > 0 && log->segments[count - 1]->base_offset >= limit)
            count--;
        if (count <= capacity)
            break;
        pthread_mutex_unlock(&log->list_lock);
        free(items);
        capacity = count + 16;
        items = malloc(sizeof *items * (size_t)capacity);
        if (!items)
            return -ENOMEM;
    }
    for (int32_t i = 0; i < count; i++)
        items[i] = segment_ref(log->segments[i]);
    *ret_list = (struct segment_list){items, count, log->segments[count]->base_offset};
    pthread_mutex_unlock(&log->list_lock);
    return 0;
}

void segment_list_drop(struct log *log, struct segment_list *list, int32_t from, int32_t to)
{
    for (int32_t i = from; i < to; i++) {
        segment_unref(log, list->items[i]);
        list->items[i] = NULL;
    }
}

void segment_list_close(struct log *log, struct segment_list *list)
{
    segment_list_drop(log, list, 0, list->count);
    free(list->items);
    *list = (struct segment_list){0};
}

int segment_modified_ms(struct log *log, struct segment *segment, int64_t *ret_ms)
{
    struct env_stat stat;
    char path[LOG_PATH_MAX];
    int err = segment_path(path, log->dir, segment->base_offset, SEGMENT_LOG, "");
    if (err == 0)
        err = env_stat(log->env, path, &stat);
    if (err == 0)
        *ret_ms = stat.modified_ms;
    return err;
}

struct measuring {
    struct log *log;
    const struct log_clean_rules *rules;
    int64_t now_ms;
    struct segment_list segments;
    struct log_dirt dirt;
};

static void wait_at_most(struct measuring *measuring, int64_t wait_ms)
{
    if (wait_ms < 0)
        wait_ms = 0;
    if (wait_ms < measuring->dirt.wait_ms)
        measuring->dirt.wait_ms = wait_ms;
}

/* The first segment that reaches beyond the offset. */
static int32_t list_from(const struct segment_list *list, int64_t offset)
{
    int32_t i = 0;
    while (i < list->count && segment_list_next_base(list, i) <= offset)
        i++;
    return i;
}

static int largest_timestamp(struct measuring *measuring, struct segment *segment,
                             int64_t *ret_timestamp)
{
    struct log *log = measuring->log;
    int err = segment_load_timestamps(log, segment);
    if (err < 0)
        return err;
    pthread_mutex_lock(&log->list_lock);
    *ret_timestamp = segment->max_timestamp;
    pthread_mutex_unlock(&log->list_lock);
    return *ret_timestamp >= 0 ? 0 : segment_modified_ms(log, segment, ret_timestamp);
}

/* min.compaction.lag.ms: the first dirty segment with a record that is too young bounds it. */
static int bound_by_lag(struct measuring *measuring, int64_t *bound)
{
    const struct segment_list *list = &measuring->segments;
    int64_t lag_ms = measuring->rules->min_lag_ms;
    if (lag_ms <= 0)
        return 0;
    for (int32_t i = list_from(list, measuring->dirt.first_dirty_offset); i < list->count; i++) {
        int64_t timestamp, age_ms;
        int err = largest_timestamp(measuring, list->items[i], &timestamp);
        if (err < 0)
            return err;
        if (__builtin_sub_overflow(measuring->now_ms, timestamp, &age_ms) || age_ms >= lag_ms)
            continue;
        if (list->items[i]->base_offset < *bound) {
            *bound = list->items[i]->base_offset;
            wait_at_most(measuring, lag_ms - age_ms);
        }
        break;
    }
    return 0;
}

/* max.compaction.lag.ms counts from the first batch of the dirty segments. */
static int check_overdue(struct measuring *measuring)
{
    const struct segment_list *list = &measuring->segments;
    int64_t lag_ms = measuring->rules->max_lag_ms, earliest = INT64_MAX, age_ms;
    if (lag_ms == INT64_MAX)
        return 0;
    for (int32_t i = list_from(list, measuring->dirt.first_dirty_offset); i < list->count; i++) {
        struct segment_place place;
        int err = segment_find_from(measuring->log, list->items[i], 0, INT64_MIN, true, &place);
        if (err < 0 && err != -ENODATA)
            return err;
        if (err == 0 && place.batch.max_timestamp > 0 && place.batch.max_timestamp < earliest)
            earliest = place.batch.max_timestamp;
    }
    if (earliest == INT64_MAX)
        return 0;
    age_ms = measuring->now_ms - earliest;
    measuring->dirt.overdue = age_ms > lag_ms;
    if (!measuring->dirt.overdue)
        wait_at_most(measuring, lag_ms - age_ms + 1);
    return 0;
}

static void sum_bytes(struct measuring *measuring)
{
    const struct segment_list *list = &measuring->segments;
    struct log_dirt *dirt = &measuring->dirt;
    for (int32_t i = 0; i < list->count; i++) {
        int64_t base = list->items[i]->base_offset, size = segment_size(list->items[i]);
        if (base < dirt->first_dirty_offset)
            dirt->clean_bytes += size;
        if (segment_list_next_base(list, i) > dirt->first_dirty_offset &&
            base < dirt->first_uncleanable_offset)
            dirt->cleanable_bytes += size;
    }
    int64_t total = dirt->clean_bytes + dirt->cleanable_bytes;
    dirt->ratio = total > 0 ? (double)dirt->cleanable_bytes / (double)total : 0;
}

static int measure(struct measuring *measuring)
{
    struct log *log = measuring->log;
    struct log_dirt *dirt = &measuring->dirt;
    const struct segment_list *list = &measuring->segments;
    int64_t unstable = log_first_unstable(log);
    int64_t bound = atomic_load_explicit(&log->high_watermark, memory_order_acquire);
    if (unstable < bound)
        bound = unstable;
    if (bound < list->end_base)
        wait_at_most(measuring, 0); /* it may become stable without a segment being closed */
    else
        bound = list->end_base;
    int err = bound_by_lag(measuring, &bound);
    if (err < 0)
        return err;
    int32_t at = list_from(list, bound);
    dirt->first_uncleanable_offset =
        at < list->count ? list->items[at]->base_offset : list->end_base;
    if (dirt->first_uncleanable_offset > dirt->first_dirty_offset)
        sum_bytes(measuring);
    err = check_overdue(measuring);
    if (err < 0)
        return err;
    dirt->due = dirt->cleanable_bytes > 0 &&
                (dirt->overdue || dirt->ratio > measuring->rules->min_dirty_ratio);
    return 0;
}

int log_measure_dirt(struct log *log, const struct log_clean_rules *rules, int64_t now_ms,
                     struct log_dirt *ret_dirt)
{
    struct measuring measuring = {
        .log = log, .rules = rules, .now_ms = now_ms, .dirt.wait_ms = INT64_MAX};
    measuring.dirt.cut_epoch = log_cut_epoch(log);
    int64_t start = log_start_offset(log), cleaned_to = log_cleaned_to(log);
    /* Below the start after retention; above the end if the log's end was lost. */
    measuring.dirt.first_dirty_offset =
        cleaned_to < start || cleaned_to > log_end_offset(log) ? start : cleaned_to;
    int err = segment_list_take(log, INT64_MAX, &measuring.segments);
    if (err < 0)
        return err;
    /* Nothing is dirty before a segment is closed. */
    if (measuring.segments.end_base > measuring.dirt.first_dirty_offset)
        err = measure(&measuring);
    else
        measuring.dirt.first_uncleanable_offset = measuring.segments.end_base;
    segment_list_close(log, &measuring.segments);
    if (err == 0)
        *ret_dirt = measuring.dirt;
    return err;
}
