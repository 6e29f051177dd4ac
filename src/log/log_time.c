/* Finding records by timestamp (ListOffsets). */
#include <errno.h>

#include "log/log_internal.h"

/* One record at a time is in memory while a compressed batch is searched. */
#define RECORD_MAX_BYTES (256 * 1024 * 1024)

struct time_search {
    struct log *log;
    int64_t timestamp;
    int64_t from; /* no record below this offset */
    bool exact;   /* the record must have this very timestamp */
    struct plain_budget *plain;
    struct log_time_result result;
};

/* The first fitting record of a batch whose bytes are in memory. 0; -ENODATA: none. */
static int search_batch(struct time_search *search, const struct batch *batch)
{
    struct record_reader reader;
    struct record record;
    struct plain_account account = {.budget = search->plain};
    int err = record_reader_init(&reader, batch, RECORD_MAX_BYTES);
    if (err < 0)
        return err;
    reader.account = &account;
    while ((err = record_reader_next(&reader, NULL, &record)) == 0) {
        if (record.offset < search->from || record.timestamp < search->timestamp ||
            (search->exact && record.timestamp != search->timestamp))
            continue;
        search->result =
            (struct log_time_result){record.offset, record.timestamp, batch->leader_epoch};
        break;
    }
    record_reader_close(&reader);
    return err;
}

static int search_file(struct time_search *search, struct segment *segment, int file,
                       int32_t position)
{
    struct scan scan;
    struct batch batch;
    int err = scan_init_large(&scan, search->log->env, file, position, segment_size(segment));
    if (err < 0)
        return err;
    while ((err = scan_next(&scan, &batch)) == 0) {
        if (batch.max_timestamp < search->timestamp || batch_last_offset(&batch) < search->from)
            continue;
        err = scan_body(&scan, &batch);
        if (err == 0)
            err = search_batch(search, &batch);
        if (err != -ENODATA)
            break;
    }
    scan_close(&scan);
    return err;
}

/* Search one segment from the batch that holds `offset` on. 0; -ENODATA. */
static int search_segment(struct time_search *search, struct segment *segment, int64_t offset)
{
    struct segment_place place;
    struct file_ref *file;
    int err = segment_find(search->log, segment, offset, true, &place);
    if (err == 0)
        err = segment_file(search->log, segment, SEGMENT_LOG, &file);
    if (err < 0)
        return err;
    err = search_file(search, segment, file_ref_descriptor(file), place.position);
    file_ref_drop(file);
    return err;
}

/* The offset below which no record of the segment is as late as the timestamp. */
static int time_floor(struct time_search *search, struct segment *segment, int64_t *ret_offset)
{
    struct index_entry entry;
    bool found, is_true;
    *ret_offset = search->from > segment->base_offset ? search->from : segment->base_offset;
    int err = segment_index_floor(search->log, segment, INDEX_TIME, INDEX_BY_KEY, search->timestamp,
                                  true, &found, &entry);
    if (err == -ENOENT || err == -ENODATA)
        return 0;
    if (err < 0 || !found || segment->base_offset + entry.value <= *ret_offset)
        return err;
    err = segment_time_entry_true(search->log, segment, &entry, &is_true);
    if (err == 0 && is_true)
        *ret_offset = segment->base_offset + entry.value;
    return err;
}

static int64_t segment_max_timestamp(struct log *log, struct segment *segment, int64_t *ret_offset)
{
    pthread_mutex_lock(&log->list_lock);
    int64_t timestamp = segment->max_timestamp;
    *ret_offset = segment->max_timestamp_offset;
    pthread_mutex_unlock(&log->list_lock);
    return timestamp;
}

int log_find_by_time(struct log *log, int64_t timestamp, int64_t end, struct plain_budget *plain,
                     struct log_time_result *ret)
{
    struct time_search search = {
        .log = log,
        .timestamp = timestamp,
        .from = log_start_offset(log),
        .plain = plain,
        .result = {-1, -1, -1},
    };
    int64_t next_base = search.from;
    int err = -ENODATA;
    while (err == -ENODATA && next_base >= 0) {
        int64_t offset;
        struct segment *segment = log_segment_for(log, next_base, &next_base);
        err = segment_load_timestamps(log, segment);
        if (err == 0)
            err = segment_max_timestamp(log, segment, &offset) < timestamp ? -ENODATA : 0;
        if (err == 0)
            err = time_floor(&search, segment, &offset);
        if (err == 0)
            err = search_segment(&search, segment, offset);
        if (err == -ENOENT && segment->base_offset < log_start_offset(log))
            err = -ENODATA; /* retention took it away meanwhile */
        segment_unref(log, segment);
    }
    if (err < 0 && err != -ENODATA)
        return err;
    *ret = search.result.offset < end ? search.result : (struct log_time_result){-1, -1, -1};
    return 0;
}

int log_find_max_timestamp(struct log *log, int64_t end, struct plain_budget *plain,
                           struct log_time_result *ret)
{
    struct time_search search = {.log = log,
                                 .from = log_start_offset(log),
                                 .exact = true,
                                 .plain = plain,
                                 .result = {-1, -1, -1}};
    struct segment *best = NULL;
    int64_t best_timestamp = -1, best_offset = -1, next_base = search.from;
    int err = 0;
    while (err == 0 && next_base >= 0) {
        int64_t offset;
        struct segment *segment = log_segment_for(log, next_base, &next_base);
        err = segment_load_timestamps(log, segment);
        if (err == -ENOENT && segment->base_offset < log_start_offset(log)) {
            segment_unref(log, segment);
            err = 0;
            continue;
        }
        int64_t timestamp = segment_max_timestamp(log, segment, &offset);
        if (err == 0 && timestamp > best_timestamp) {
            segment_unref(log, best);
            best = segment_ref(segment);
            best_timestamp = timestamp;
            best_offset = offset;
        }
        segment_unref(log, segment);
    }
    search.timestamp = best_timestamp;
    if (err == 0 && best)
        err = search_segment(&search, best, best_offset);
    segment_unref(log, best);
    if (err < 0 && err != -ENODATA)
        return err;
    *ret = search.result.offset < end ? search.result : (struct log_time_result){-1, -1, -1};
    return 0;
}
