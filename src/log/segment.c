/* One segment: its files, its indexes, and finding a batch in it.
 *
 * 1. An index is a hint. Where it points is checked before it is believed: the batch found there
 *    must have the offset that the entry names. A damaged index costs time, never records.
 * 2. Files are made at first need, empty, and opened through the file cache. */
#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "log/log_internal.h"

struct segment *segment_alloc(struct log *log, int64_t base_offset)
{
    struct segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return NULL;
    segment->base_offset = base_offset;
    atomic_init(&segment->refs, 1);
    segment->max_timestamp = NO_TIMESTAMP;
    segment->max_timestamp_offset = base_offset;
    segment->first_timestamp = NO_TIMESTAMP;
    segment->timestamps_known = true;
    segment->created_ms = env_wall_ms(log->env);
    return segment;
}

struct segment *segment_create(struct log *log, int64_t base_offset)
{
    struct segment *segment = segment_alloc(log, base_offset);
    int64_t jitter = log->settings.segment_jitter_ms;
    if (!segment)
        return NULL;
    if (jitter > log->settings.segment_ms)
        jitter = log->settings.segment_ms;
    if (jitter > 0) {
        uint64_t random;
        env_random(log->env, &random, sizeof random);
        segment->roll_jitter_ms = (int64_t)(random % (uint64_t)jitter);
    }
    return segment;
}

void segment_unref(struct log *log, struct segment *segment)
{
    if (!segment || atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (int kind = 0; kind < SEGMENT_OWN_FILES; kind++)
        file_cache_forget(log->files, &segment->files[kind]);
    for (int kind = 0; kind < INDEX_KINDS; kind++)
        index_close(&segment->index[kind]);
    free(segment);
}

static int open_path(struct log *log, struct segment *segment, enum segment_file kind,
                     const char *suffix, unsigned flags, struct file_ref **ret_file)
{
    char path[LOG_PATH_MAX];
    int err = segment_path(path, log->dir, segment->base_offset, kind, suffix);
    if (err < 0)
        return err;
    return file_cache_open(log->files, NULL, path, ENV_READ | ENV_WRITE | flags, ret_file);
}

/* A name may pass to another segment's file while it is being opened. It does so after the state of
 * the old one has become LEFT: a file opened before that is its own, and is remembered. */
static int file_open(struct log *log, struct segment *segment, enum segment_file kind,
                     unsigned flags, struct file_ref **ret_file)
{
    for (;;) {
        struct file_ref *file = NULL;
        uint8_t state = atomic_load(&segment->state);
        int err = open_path(log, segment, kind,
                            state == SEGMENT_LEFT      ? SUFFIX_DELETED
                            : state == SEGMENT_CLEANED ? SUFFIX_CLEANED
                                                       : "",
                            flags, &file);
        if (err == -ENOENT && state == SEGMENT_LEAVING)
            err = open_path(log, segment, kind, SUFFIX_DELETED, flags, &file);
        if (atomic_load(&segment->state) != state) {
            file_ref_drop(file);
            continue;
        }
        if (err == 0)
            *ret_file = file_cache_attach(log->files, &segment->files[kind], file);
        return err;
    }
}

int segment_file(struct log *log, struct segment *segment, enum segment_file kind,
                 struct file_ref **ret_file)
{
    *ret_file = file_cache_get(log->files, &segment->files[kind]);
    if (*ret_file)
        return 0;
    return segment_has(segment, kind) ? file_open(log, segment, kind, 0, ret_file) : -ENOENT;
}

int segment_file_make(struct log *log, struct segment *segment, enum segment_file kind,
                      struct file_ref **ret_file)
{
    if (segment_has(segment, kind))
        return segment_file(log, segment, kind, ret_file);
    int err = file_open(log, segment, kind, ENV_CREATE | ENV_TRUNCATE, ret_file);
    if (err < 0)
        return err;
    atomic_fetch_or_explicit(&segment->exists, (uint8_t)FILE_BIT(kind), memory_order_release);
    segment_mark_unsynced(segment, kind);
    atomic_store_explicit(&log->dir_unsynced, true, memory_order_relaxed);
    return 0;
}

static int find_in_file(struct log *log, struct segment *segment, int file, int32_t position,
                        int64_t offset, bool may_block, struct segment_place *ret_place)
{
    uint8_t buffer[SCAN_SMALL_BYTES];
    struct scan scan;
    struct batch batch;
    int err;
    scan_init(&scan, log->env, file, position, segment_size(segment), may_block, buffer);
    while ((err = scan_next(&scan, &batch)) == 0) {
        if (batch_last_offset(&batch) < offset)
            continue;
        *ret_place = (struct segment_place){(int32_t)(scan.position - batch.size), batch};
        return 0;
    }
    return err;
}

int segment_find_from(struct log *log, struct segment *segment, int32_t position, int64_t offset,
                      bool may_block, struct segment_place *ret_place)
{
    struct file_ref *file;
    if (position < 0)
        return -EBADMSG; /* from a damaged index */
    if (position >= segment_size(segment))
        return -ENODATA;
    int err = segment_file(log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    err = find_in_file(log, segment, file_ref_descriptor(file), position, offset, may_block,
                       ret_place);
    file_ref_drop(file);
    return err;
}

/* Search the part of an index that is on disk. */
static int floor_in_file(struct log *log, struct segment *segment, enum index_kind kind,
                         enum index_by by, int64_t target, int32_t count, bool may_block,
                         bool *ret_found, struct index_entry *ret_entry)
{
    struct file_ref *file;
    int32_t number;
    int err = segment_file(log, segment, index_file_kind(kind), &file);
    if (err < 0)
        return err;
    struct index_file in = {log->env, file_ref_descriptor(file), kind, count, may_block};
    err = index_search_file(&in, by, target, &number, ret_entry);
    file_ref_drop(file);
    if (err == 0)
        *ret_found = number >= 0;
    return err;
}

int segment_index_floor(struct log *log, struct segment *segment, enum index_kind kind,
                        enum index_by by, int64_t target, bool may_block, bool *ret_found,
                        struct index_entry *ret_entry)
{
    struct index *index = &segment->index[kind];
    pthread_mutex_lock(&log->list_lock);
    *ret_found = index_search_tail(index, kind, by, target, ret_entry);
    int32_t written = index->written;
    pthread_mutex_unlock(&log->list_lock);
    if (*ret_found || written == 0)
        return 0;
    return floor_in_file(log, segment, kind, by, target, written, may_block, ret_found, ret_entry);
}

/* Whether the batch at an entry's position is the one that the entry names. */
static int entry_check(struct log *log, struct segment *segment, const struct index_entry *entry,
                       bool may_block, struct segment_place *ret_place)
{
    int err = segment_find_from(log, segment, entry->value, INT64_MIN, may_block, ret_place);
    if (err == 0 && batch_last_offset(&ret_place->batch) != segment->base_offset + entry->key)
        err = -EBADMSG;
    return err == -ENODATA ? -EBADMSG : err;
}

/* A checked place at or before the target, 0 when the index knows none or lies. */
static int index_start(struct log *log, struct segment *segment, enum index_by by, int64_t target,
                       bool may_block, int32_t *ret_position)
{
    struct index_entry entry;
    struct segment_place place;
    bool found;
    *ret_position = 0;
    int err =
        segment_index_floor(log, segment, INDEX_OFFSET, by, target, may_block, &found, &entry);
    if (err == 0 && found)
        err = entry_check(log, segment, &entry, may_block, &place);
    if (err == -EBADMSG || err == -ENODATA || err == -ENOENT) {
        say_warn(log->say, "an index is damaged, reading without it", kv_text("log", log->name),
                 kv_int("segment", segment->base_offset));
        return 0;
    }
    if (err == 0 && found)
        *ret_position = entry.value;
    return err;
}

int segment_find(struct log *log, struct segment *segment, int64_t offset, bool may_block,
                 struct segment_place *ret_place)
{
    int32_t position;
    int err = index_start(log, segment, INDEX_BY_KEY, offset - segment->base_offset, may_block,
                          &position);
    if (err < 0)
        return err;
    return segment_find_from(log, segment, position, offset, may_block, ret_place);
}

int segment_cut(struct log *log, struct segment *segment, int32_t start, int32_t limit,
                bool may_block, int32_t *ret_position, int64_t *ret_next_offset)
{
    uint8_t buffer[SCAN_SMALL_BYTES];
    struct scan scan;
    struct batch batch;
    struct file_ref *file;
    int32_t position;
    int err = index_start(log, segment, INDEX_BY_VALUE, limit - 1, may_block, &position);
    if (err == 0)
        err = segment_file(log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;

    /* From the indexed batch on it is at most an interval and a batch to the limit. */
    if (position < start)
        position = start;
    *ret_position = position;
    scan_init(&scan, log->env, file_ref_descriptor(file), position, segment_size(segment),
              may_block, buffer);
    while ((err = scan_next(&scan, &batch)) == 0) {
        if (scan.position > limit) {
            if (*ret_position == position)
                *ret_next_offset = batch.base_offset;
            break;
        }
        *ret_position = (int32_t)scan.position;
        *ret_next_offset = batch_last_offset(&batch) + 1;
    }
    file_ref_drop(file);
    return err == -ENODATA ? 0 : err;
}

/* Make room in the tail, writing it out when it is full. -ENOSPC and the like: no room. */
static int tail_make_room(struct log *log, struct segment *segment, enum index_kind kind)
{
    struct file_ref *file;
    struct index *index = &segment->index[kind];
    enum segment_file file_kind = index_file_kind(kind);
    int err = segment_file_make(log, segment, file_kind, &file);
    if (err < 0)
        return err;
    err = index_write_tail(index, kind, log->env, file_ref_descriptor(file));
    file_ref_drop(file);
    if (err < 0)
        return err;
    segment_mark_unsynced(segment, file_kind);
    pthread_mutex_lock(&log->list_lock);
    index_tail_written(index);
    pthread_mutex_unlock(&log->list_lock);
    return 0;
}

static int index_add(struct log *log, struct segment *segment, enum index_kind kind,
                     struct index_entry entry)
{
    int err = 0;
    struct index *index = &segment->index[kind];
    if (index_tail_full(index))
        err = tail_make_room(log, segment, kind);
    if (err < 0)
        return err;
    pthread_mutex_lock(&log->list_lock);
    err = index_append(index, kind, entry);
    pthread_mutex_unlock(&log->list_lock);
    return err;
}

/* Entries an index may have; Kafka leaves the last one of .timeindex for the closing entry. */
static int32_t index_max_entries(const struct log_settings *settings, enum index_kind kind)
{
    int32_t max = settings->segment_index_bytes / index_entry_size(kind);
    return kind == INDEX_TIME ? max - 1 : max;
}

static int time_index_add(struct log *log, struct segment *segment)
{
    struct index *index = &segment->index[INDEX_TIME];
    int64_t last = index_count(index) ? index->last.key : NO_TIMESTAMP;
    if (segment->max_timestamp <= last)
        return 0;
    struct index_entry entry = {segment->max_timestamp,
                                (int32_t)(segment->max_timestamp_offset - segment->base_offset)};
    return index_add(log, segment, INDEX_TIME, entry);
}

int segment_index_batch(struct log *log, const struct log_settings *settings,
                        struct segment *segment, const struct batch *batch, int32_t position)
{
    int err = 0;
    int64_t last_offset = batch_last_offset(batch);
    if (batch->max_timestamp > segment->max_timestamp) {
        pthread_mutex_lock(&log->list_lock);
        segment->max_timestamp = batch->max_timestamp;
        segment->max_timestamp_offset = last_offset;
        pthread_mutex_unlock(&log->list_lock);
    }
    if (segment->bytes_since_index > settings->index_interval_bytes &&
        index_count(&segment->index[INDEX_OFFSET]) < index_max_entries(settings, INDEX_OFFSET) &&
        index_count(&segment->index[INDEX_TIME]) < index_max_entries(settings, INDEX_TIME)) {
        struct index_entry entry = {last_offset - segment->base_offset, position};
        /* The time entry first: an offset entry without it would let recovery, which takes up
         * where both are known, forget a timestamp. */
        err = time_index_add(log, segment);
        if (err == 0)
            err = index_add(log, segment, INDEX_OFFSET, entry);
        if (err == 0)
            segment->bytes_since_index = 0;
    }
    /* The counter only has to pass the interval. */
    if (segment->bytes_since_index <= INT32_MAX - batch->size)
        segment->bytes_since_index += batch->size;
    return log_error_passes(err) ? 0 : err;
}

int segment_write_indexes(struct log *log, struct segment *segment, bool closing)
{
    int err = 0;
    if (closing)
        err = time_index_add(log, segment);
    for (int kind = 0; kind < INDEX_KINDS && err == 0; kind++) {
        if (segment->index[kind].tail_count > 0)
            err = tail_make_room(log, segment, (enum index_kind)kind);
        else if (closing && !segment_has(segment, index_file_kind((enum index_kind)kind))) {
            /* Kafka takes a missing index for a fault and reads the segment again. */
            struct file_ref *file;
            err = segment_file_make(log, segment, index_file_kind((enum index_kind)kind), &file);
            if (err == 0)
                file_ref_drop(file);
        }
    }
    if (err == 0 && closing) {
        pthread_mutex_lock(&log->list_lock);
        for (int kind = 0; kind < INDEX_KINDS; kind++)
            index_close(&segment->index[kind]);
        pthread_mutex_unlock(&log->list_lock);
    }
    return err;
}

int segment_time_entry_true(struct log *log, struct segment *segment,
                            const struct index_entry *entry, bool *ret_true)
{
    struct segment_place place;
    int64_t offset = segment->base_offset + entry->value;
    int err = entry->value < 0 ? -EBADMSG : segment_find(log, segment, offset, true, &place);
    *ret_true = err == 0 && batch_last_offset(&place.batch) == offset &&
                place.batch.max_timestamp == entry->key;
    if (!*ret_true && (err == 0 || err == -ENODATA || err == -EBADMSG)) {
        say_warn(log->say, "a time index is damaged, reading without it", kv_text("log", log->name),
                 kv_int("segment", segment->base_offset));
        return 0;
    }
    return err;
}

/* The first batch with the greatest timestamp, from the batches themselves. */
static int scan_timestamps(struct log *log, struct segment *segment, struct index_entry *ret_entry)
{
    uint8_t buffer[SCAN_SMALL_BYTES];
    struct file_ref *file;
    struct scan scan;
    struct batch batch;
    *ret_entry = (struct index_entry){NO_TIMESTAMP, 0};
    if (segment_size(segment) == 0)
        return 0;
    int err = segment_file(log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    scan_init(&scan, log->env, file_ref_descriptor(file), 0, segment_size(segment), true, buffer);
    while ((err = scan_next(&scan, &batch)) == 0)
        if (batch.max_timestamp > ret_entry->key)
            *ret_entry = (struct index_entry){
                batch.max_timestamp, (int32_t)(batch_last_offset(&batch) - segment->base_offset)};
    file_ref_drop(file);
    return err == -ENODATA ? 0 : err;
}

/* The last entry of a closed segment's .timeindex, if it is true. */
static int last_time_entry(struct log *log, struct segment *segment, int32_t count,
                           struct index_entry *ret_entry, bool *ret_true)
{
    struct file_ref *file;
    *ret_true = false;
    if (count == 0)
        return 0;
    int err = segment_file(log, segment, SEGMENT_TIMEINDEX, &file);
    if (err < 0)
        return err == -ENOENT ? 0 : err;
    struct index_file in = {log->env, file_ref_descriptor(file), INDEX_TIME, count, true};
    err = index_read_entry(&in, count - 1, ret_entry);
    file_ref_drop(file);
    if (err < 0)
        return err == -ENODATA ? 0 : err;
    return segment_time_entry_true(log, segment, ret_entry, ret_true);
}

int segment_load_timestamps(struct log *log, struct segment *segment)
{
    struct index_entry entry;
    bool is_true;
    pthread_mutex_lock(&log->list_lock);
    bool known = segment->timestamps_known;
    int32_t count = segment->index[INDEX_TIME].written;
    pthread_mutex_unlock(&log->list_lock);
    if (known)
        return 0;
    int err = last_time_entry(log, segment, count, &entry, &is_true);
    if (err == 0 && !is_true)
        err = scan_timestamps(log, segment, &entry);
    if (err < 0)
        return err;
    pthread_mutex_lock(&log->list_lock);
    segment->max_timestamp = entry.key;
    segment->max_timestamp_offset = segment->base_offset + entry.value;
    segment->timestamps_known = true;
    pthread_mutex_unlock(&log->list_lock);
    return 0;
}
