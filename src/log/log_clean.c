/* A cleaning, batch by batch.
 *
 * 1. The map is made of the dirty part up to the first uncleanable offset, or until it is full;
 * what it has looked at is what can be cleaned. Data of aborted transactions is not looked at.
 * 2. Then the log is copied from its front, a group of segments at a time. A record stays when no
 *    later offset of its key is in the map.
 * 3. Nothing of the log changes before a swap, and a swap is one group: so whenever a cleaning
 * ends, what was swapped is right by itself. */
#include "log/log_clean.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"
#include "log/log_clean_internal.h"

/* ---- beginning and end ---- */

static int note_producers(struct log_cleaning *cleaning)
{
    const struct producers *producers = &cleaning->log->producers;
    for (uint32_t i = 0; i < producers->count; i++) {
        const struct producer *producer = &producers->items[i];
        struct cleaner_last_batch *last;
        int err = map_put(&cleaning->last_batches, (uint64_t)producer->id, &last);
        if (err < 0)
            return err;
        *last = (struct cleaner_last_batch){producer_last_offset(producer), producer->epoch};
    }
    return 0;
}

int log_cleaning_begin(struct log *log, const struct log_clean_rules *rules,
                       const struct log_dirt *dirt, int64_t now_ms,
                       struct log_cleaning **ret_cleaning)
{
    uint64_t seed;
    if (dirt->cut_epoch != log_cut_epoch(log))
        return -ECANCELED;
    struct log_cleaning *cleaning = calloc(1, sizeof *cleaning);
    if (!cleaning)
        return -ENOMEM;
    cleaning->log = log;
    cleaning->settings = log->settings;
    cleaning->rules = *rules;
    cleaning->now_ms = now_ms;
    cleaning->cut_epoch = log_cut_epoch(log);
    cleaning->first_dirty_offset = cleaning->end_offset = dirt->first_dirty_offset;
    env_random(log->env, &seed, sizeof seed);
    map_init(&cleaning->last_batches, MAP_U64, sizeof(struct cleaner_last_batch), seed);
    cleaner_txns_init(&cleaning->txns, log->env);
    int err = segment_list_take(log, dirt->first_uncleanable_offset, &cleaning->segments);
    if (err == 0)
        err = note_producers(cleaning);
    if (err == 0)
        err = cleaner_map_init(&cleaning->map, log->env, rules->map_bytes, rules->map_load_factor,
                               cleaning->segments.end_base - dirt->first_dirty_offset);
    if (err < 0) {
        log_cleaning_destroy(cleaning);
        return err;
    }
    cleaning->filter = (struct cleaner_filter){
        .map = &cleaning->map,
        .txns = &cleaning->txns,
        .last_batches = &cleaning->last_batches,
        .now_ms = now_ms,
        .delete_retention_ms = rules->delete_retention_ms,
        .record_max_bytes = (size_t)rules->record_max_bytes,
    };
    *ret_cleaning = cleaning;
    return 0;
}

static void source_close(struct log_cleaning *cleaning)
{
    if (!cleaning->source)
        return;
    scan_close(&cleaning->scan);
    file_ref_drop(cleaning->source);
    cleaning->source = NULL;
}

void log_cleaning_destroy(struct log_cleaning *cleaning)
{
    if (!cleaning)
        return;
    source_close(cleaning);
    cleaned_close(&cleaning->cleaned, cleaning->log);
    for (int32_t i = 0; i < cleaning->piece_count; i++)
        cleaned_close(&cleaning->pieces[i], cleaning->log);
    segment_list_close(cleaning->log, &cleaning->segments);
    cleaner_map_close(&cleaning->map);
    cleaner_filter_close(&cleaning->filter);
    cleaner_txns_close(&cleaning->txns);
    map_close(&cleaning->last_batches);
    free(cleaning);
}

bool log_cleaning_holds(const struct log_cleaning *cleaning)
{
    return log_cut_epoch(cleaning->log) == cleaning->cut_epoch;
}

int64_t log_cleaning_end(const struct log_cleaning *cleaning)
{
    return cleaning->end_offset;
}

void log_cleaning_stats(const struct log_cleaning *cleaning, struct log_cleaning_stats *ret_stats)
{
    *ret_stats = cleaning->stats;
    ret_stats->records_read = cleaning->filter.records_read;
    ret_stats->records_kept = cleaning->filter.records_kept;
    ret_stats->keyless = cleaning->filter.keyless;
    ret_stats->map_used = (double)cleaning->map.count / (double)cleaning->map.slots;
}

/* ---- reading ---- */

/* The next segment is read from `position` on. */
static int source_open(struct log_cleaning *cleaning, int32_t position)
{
    struct segment *segment = cleaning->segments.items[cleaning->at];
    int err = segment_file(cleaning->log, segment, SEGMENT_LOG, &cleaning->source);
    if (err < 0) {
        cleaning->source = NULL;
        return err;
    }
    err = scan_init_large(&cleaning->scan, cleaning->log->env,
                          file_ref_descriptor(cleaning->source), position, segment_size(segment));
    if (err < 0) {
        file_ref_drop(cleaning->source);
        cleaning->source = NULL;
    }
    return err;
}

/* The next batch, whole and sound. -ENODATA after the last one of the segment. */
static int source_next(struct log_cleaning *cleaning, struct batch *batch)
{
    int err = scan_next(&cleaning->scan, batch);
    if (err == 0)
        err = scan_check(&cleaning->scan, batch);
    if (err == 0)
        err = scan_body(&cleaning->scan, batch);
    return err == -EFBIG ? -EBADMSG : err;
}

/* Tell the pass of aborted transactions that overlap [from, to). Their markers may stand in any
 * later segment. */
static int note_aborted(struct log_cleaning *cleaning, int64_t from, int64_t to)
{
    struct log *log = cleaning->log;
    struct aborted_entry *entries;
    int32_t count;
    int err = log_aborted_entries(log, from, to, &entries, &count);
    for (int32_t i = 0; i < count && err == 0; i++)
        err = cleaner_txns_add(&cleaning->txns, &entries[i]);
    free(entries);
    cleaner_txns_sort(&cleaning->txns);
    return err;
}

/* ---- the map ---- */

static int copy_begin(struct log_cleaning *cleaning);

/* Where the dirty part begins in the first segment of it. */
static int map_start(struct log_cleaning *cleaning, int32_t *ret_position)
{
    struct segment *segment = cleaning->segments.items[cleaning->at];
    struct segment_place place;
    *ret_position = 0;
    if (segment->base_offset >= cleaning->first_dirty_offset)
        return 0;
    int err = segment_find(cleaning->log, segment, cleaning->first_dirty_offset, true, &place);
    if (err == 0)
        *ret_position = place.position;
    if (err == -ENODATA)
        *ret_position = segment_size(segment);
    return err == -ENODATA ? 0 : err;
}

static int map_open(struct log_cleaning *cleaning)
{
    const struct segment_list *list = &cleaning->segments;
    int32_t position;
    if (cleaning->at == 0) {
        while (cleaning->at < list->count &&
               segment_list_next_base(list, cleaning->at) <= cleaning->first_dirty_offset)
            cleaning->at++;
        int err = note_aborted(cleaning, cleaning->first_dirty_offset, list->end_base);
        if (err < 0)
            return err;
    }
    if (cleaning->at == list->count)
        return copy_begin(cleaning);
    int err = map_start(cleaning, &position);
    return err < 0 ? err : source_open(cleaning, position);
}

/* Keys of the batch that were found and not yet put. */
struct map_queue {
    struct cleaner_key keys[CLEANER_MAP_AHEAD];
    int64_t offsets[CLEANER_MAP_AHEAD];
    int count;
};

/* False: the map is full. */
static bool map_put_queued(struct log_cleaning *cleaning, struct map_queue *queue)
{
    for (int i = 0; i < queue->count; i++) {
        if (!cleaner_map_put(&cleaning->map, queue->keys[i], queue->offsets[i]))
            return false;
        cleaning->map.latest_offset = queue->offsets[i];
    }
    queue->count = 0;
    return true;
}

static int map_records(struct log_cleaning *cleaning, const struct batch *batch, bool *ret_full)
{
    struct record_reader reader;
    struct record record;
    struct map_queue queue;
    queue.count = 0;
    int err = record_reader_init(&reader, batch, (size_t)cleaning->rules.record_max_bytes);
    while (err == 0 && !*ret_full && (err = record_reader_next(&reader, NULL, &record)) == 0) {
        if (!record.key.data || record.offset < cleaning->first_dirty_offset)
            continue;
        queue.keys[queue.count] = cleaner_map_find(&cleaning->map, record.key);
        queue.offsets[queue.count++] = record.offset;
        if (queue.count == CLEANER_MAP_AHEAD)
            *ret_full = !map_put_queued(cleaning, &queue);
    }
    record_reader_close(&reader);
    if (err < 0 && err != -ENODATA)
        return err == -EFBIG ? -EBADMSG : err;
    if (!*ret_full)
        *ret_full = !map_put_queued(cleaning, &queue);
    return 0;
}

static void map_looked_at(struct log_cleaning *cleaning, int64_t offset)
{
    if (offset >= cleaning->first_dirty_offset && offset > cleaning->map.latest_offset)
        cleaning->map.latest_offset = offset;
}

static int mapping_next(struct log_cleaning *cleaning)
{
    struct batch batch;
    struct aborted_entry entry;
    bool discard, ended, full = false;
    if (!cleaning->source)
        return map_open(cleaning);
    int err = source_next(cleaning, &batch);
    if (err == -ENODATA) {
        map_looked_at(cleaning, segment_list_next_base(&cleaning->segments, cleaning->at) - 1);
        source_close(cleaning);
        cleaning->at++;
        return 0;
    }
    if (err < 0)
        return err;
    cleaning->stats.mapped_bytes += batch.size;
    err = cleaner_txns_meet(&cleaning->txns, &batch, &discard, &ended, &entry);
    if (err == 0 && !batch_is_control(&batch) && !discard)
        err = map_records(cleaning, &batch, &full);
    if (err < 0)
        return err;
    if (full)
        return copy_begin(cleaning);
    map_looked_at(cleaning, batch_last_offset(&batch));
    return 0;
}

/* ---- the copy ---- */

/* A pass of its own over transactions begins at the log's front. */
static int copy_begin(struct log_cleaning *cleaning)
{
    const struct segment_list *list = &cleaning->segments;
    struct log *log = cleaning->log;
    int32_t clean = 0;
    source_close(cleaning);
    if (cleaning->map.latest_offset < cleaning->first_dirty_offset) {
        cleaning->phase = CLEANING_OVER;
        return 0;
    }
    cleaning->end_offset = cleaning->map.latest_offset + 1;
    cleaner_txns_close(&cleaning->txns);
    cleaner_txns_init(&cleaning->txns, log->env);
    while (clean < list->count && list->items[clean]->base_offset < cleaning->first_dirty_offset)
        clean++;
    if (clean > 0) {
        int64_t modified_ms;
        int err = segment_modified_ms(log, list->items[clean - 1], &modified_ms);
        if (err < 0)
            return err;
        cleaning->old_tombstones_until_ms = modified_ms - cleaning->rules.delete_retention_ms;
    }
    while (cleaning->copy_count < list->count &&
           list->items[cleaning->copy_count]->base_offset < cleaning->end_offset)
        cleaning->copy_count++;
    cleaning->at = 0;
    cleaning->phase = CLEANING_COPY;
    return 0;
}

static void segment_sizes(struct log *log, struct segment *segment, int64_t sizes[3])
{
    pthread_mutex_lock(&log->list_lock);
    sizes[0] = segment_size(segment);
    for (int kind = 0; kind < INDEX_KINDS; kind++)
        sizes[1 + kind] =
            (int64_t)index_count(&segment->index[kind]) * index_entry_size((enum index_kind)kind);
    pthread_mutex_unlock(&log->list_lock);
}

/* As many segments as fit into one, by what they hold now (Kafka's groupSegmentsBySize). */
static int32_t group_end(struct log_cleaning *cleaning, int32_t from)
{
    const struct segment_list *list = &cleaning->segments;
    const int64_t limits[3] = {cleaning->settings.segment_bytes,
                               cleaning->settings.segment_index_bytes,
                               cleaning->settings.segment_index_bytes};
    int64_t sums[3], sizes[3], base = list->items[from]->base_offset;
    int32_t to = from + 1;
    segment_sizes(cleaning->log, list->items[from], sums);
    for (; to < cleaning->copy_count; to++) {
        segment_sizes(cleaning->log, list->items[to], sizes);
        bool fits = sizes[0] == 0 || segment_list_next_base(list, to) - 1 - base <= INT32_MAX;
        for (int i = 0; i < 3; i++) {
            sums[i] += sizes[i];
            fits = fits && sums[i] <= limits[i];
        }
        if (!fits)
            break;
    }
    return to;
}

static int group_begin(struct log_cleaning *cleaning)
{
    struct log *log = cleaning->log;
    cleaning->group_from = cleaning->at;
    cleaning->group_to = group_end(cleaning, cleaning->at);
    cleaning->filter.high_watermark =
        atomic_load_explicit(&log->high_watermark, memory_order_acquire);
    return cleaned_begin(&cleaning->cleaned, log,
                         cleaning->segments.items[cleaning->at]->base_offset);
}

static int group_seal(struct log_cleaning *cleaning)
{
    int err = cleaned_seal(&cleaning->cleaned, cleaning->log, cleaning->modified_ms,
                           &cleaning->stats.bytes_written);
    if (err == 0)
        cleaning->phase = CLEANING_SWAP;
    return err;
}

static int copy_open(struct log_cleaning *cleaning)
{
    struct segment_list *list = &cleaning->segments;
    struct segment *segment = list->items[cleaning->at];
    int err = segment_modified_ms(cleaning->log, segment, &cleaning->modified_ms);
    if (err == 0)
        err = note_aborted(cleaning, segment->base_offset,
                           segment_list_next_base(list, cleaning->at));
    cleaning->filter.retain_old_tombstones =
        cleaning->modified_ms > cleaning->old_tombstones_until_ms;
    return err < 0 ? err : source_open(cleaning, 0);
}

/* The batch that stands at the end of the writer from `start` on begins another segment. */
static int piece_begin(struct log_cleaning *cleaning, int64_t base_offset, size_t start)
{
    struct cleaned_segment *cleaned = &cleaning->cleaned;
    if (cleaning->piece_count == CLEANED_PIECES_MAX)
        return -EBADMSG;
    struct cleaned_segment *piece = &cleaning->pieces[cleaning->piece_count++];
    size_t size = cleaned->out.size - start;
    *piece = *cleaned;
    *cleaned = (struct cleaned_segment){0};
    write_bytes(&cleaned->out, piece->out.data + start, size);
    piece->out.size = start;
    int err =
        cleaned_seal(piece, cleaning->log, cleaning->modified_ms, &cleaning->stats.bytes_written);
    return err < 0 ? err : cleaned_begin(cleaned, cleaning->log, base_offset);
}

static bool piece_is_full(const struct log_cleaning *cleaning, int64_t size)
{
    int64_t max = cleaning->rules.segment_max_bytes, before = cleaning->cleaned.size;
    return before > 0 && before + size > (max > 0 ? max : INT32_MAX);
}

static int copy_batch(struct log_cleaning *cleaning, const struct batch *batch)
{
    struct cleaned_segment *cleaned = &cleaning->cleaned;
    enum cleaner_verdict verdict;
    struct aborted_entry entry;
    bool ended;
    size_t start = cleaned->out.size;
    cleaning->stats.bytes_read += batch->size;
    int err =
        cleaner_filter_batch(&cleaning->filter, batch, &cleaned->out, &verdict, &ended, &entry);
    if (err < 0)
        return err == -EFBIG ? -EBADMSG : err;
    if (verdict == CLEANER_KEEP)
        write_bytes(&cleaned->out, batch->data, (size_t)batch->size);
    if (cleaned->out.failed)
        return -ENOMEM;
    if (piece_is_full(cleaning, (int64_t)(cleaned->out.size - start))) {
        err = piece_begin(cleaning, batch->base_offset, start);
        start = 0;
    }
    if (err == 0 && ended) /* readers look for it where the marker is, and before */
        err = cleaned_add_txn(cleaned, &entry);
    if (err < 0 || verdict == CLEANER_DROP)
        return err;
    return cleaned_add(cleaned, cleaning->log, &cleaning->settings, start,
                       &cleaning->stats.bytes_written);
}

static int copy_next(struct log_cleaning *cleaning)
{
    struct batch batch;
    if (!cleaning->cleaned.segment) {
        if (cleaning->at < cleaning->copy_count)
            return group_begin(cleaning);
        cleaning->phase = CLEANING_OVER;
        return 0;
    }
    if (!cleaning->source)
        return cleaning->at < cleaning->group_to ? copy_open(cleaning) : group_seal(cleaning);
    int err = source_next(cleaning, &batch);
    if (err == -ENODATA) {
        source_close(cleaning);
        cleaning->at++;
        return 0;
    }
    return err < 0 ? err : copy_batch(cleaning, &batch);
}

/* ---- steps ---- */

static int tidy(struct log_cleaning *cleaning)
{
    int err = env_sync_dir(cleaning->log->env, cleaning->log->dir);
    if (err == 0)
        cleaning->phase = CLEANING_COPY;
    return err;
}

static int64_t bytes_moved(const struct log_cleaning *cleaning)
{
    const struct log_cleaning_stats *stats = &cleaning->stats;
    return stats->mapped_bytes + stats->bytes_read + stats->bytes_written;
}

static int phase_run(struct log_cleaning *cleaning)
{
    switch (cleaning->phase) {
    case CLEANING_MAP:
        return mapping_next(cleaning);
    case CLEANING_COPY:
        return copy_next(cleaning);
    case CLEANING_TIDY:
        return tidy(cleaning);
    default:
        return 0;
    }
}

/* A segment that is gone, or bytes that a cut took away, are no damage. */
static bool log_changed(const struct log_cleaning *cleaning, int err)
{
    return log_cut_epoch(cleaning->log) != cleaning->cut_epoch || err == -ENOENT;
}

int log_cleaning_step(struct log_cleaning *cleaning, int64_t max_bytes,
                      enum log_cleaning_next *ret_next, int64_t *ret_bytes)
{
    int64_t before = bytes_moved(cleaning);
    int err = 0;
    while (err == 0 && cleaning->phase != CLEANING_SWAP && cleaning->phase != CLEANING_OVER &&
           bytes_moved(cleaning) - before < max_bytes)
        err = phase_run(cleaning);
    *ret_bytes = bytes_moved(cleaning) - before;
    if (log_changed(cleaning, err))
        return -ECANCELED;
    if (err < 0)
        return err;
    *ret_next = cleaning->phase == CLEANING_SWAP   ? CLEANING_WANTS_WRITER
                : cleaning->phase == CLEANING_OVER ? CLEANING_DONE
                                                   : CLEANING_GOES_ON;
    return 0;
}
