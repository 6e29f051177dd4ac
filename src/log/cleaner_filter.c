/* A batch is read once to find out what stays. Only if that is some of it, or if a horizon is to be
 * set, it is read again and written anew: so memory holds one record, or the new batch.
 *
 * 1. Offsets never change, nor does the last offset of a batch: with it stays its last sequence.
 * 2. A tombstone, or a marker with nothing left to mark, gets its delete horizon when it is first
 *    met and goes in a cleaning after that. The horizon stands in the base timestamp's place. */
#include "log/cleaner_filter.h"

#include <errno.h>

#include "base/must.h"

/* What the first reading found. */
struct tally {
    int64_t total, kept;
    int64_t first_kept_offset;
    bool tombstones; /* among those kept */
};

struct judgement {
    struct cleaner_filter *filter;
    const struct batch *batch;
    bool discard; /* none of the records stays */
};

static bool has_horizon(const struct batch *batch)
{
    return batch->magic >= 2 && batch->attributes & BATCH_DELETE_HORIZON;
}

static bool horizon_passed(const struct cleaner_filter *filter, const struct batch *batch)
{
    return has_horizon(batch) && filter->now_ms >= batch->base_timestamp;
}

void cleaner_filter_close(struct cleaner_filter *filter)
{
    writer_close(&filter->verdicts);
}

/* What the verdict on a record rests on. */
struct sight {
    struct cleaner_key key;
    int64_t offset;
    bool has_key, has_value;
};

static bool is_kept(const struct judgement *judgement, const struct sight *sight)
{
    const struct cleaner_filter *filter = judgement->filter;
    const struct batch *batch = judgement->batch;
    if (judgement->discard)
        return false;
    if (batch_is_control(batch) || sight->offset > filter->map->latest_offset)
        return true;
    if (!sight->has_key || sight->offset < cleaner_map_get(filter->map, sight->key))
        return false;
    if (sight->has_value)
        return true;
    return batch->magic < 2 ? filter->retain_old_tombstones : !horizon_passed(filter, batch);
}

/* A bit for each record. */
static void note_verdict(struct writer *verdicts, int64_t index, bool kept)
{
    if (index % 8 == 0)
        write_int8(verdicts, 0);
    if (kept && !verdicts->failed)
        verdicts->data[index / 8] |= (uint8_t)(1u << index % 8);
}

static bool verdict_of(const struct writer *verdicts, int64_t index)
{
    must(index / 8 < (int64_t)verdicts->size);
    return verdicts->data[index / 8] & 1u << index % 8;
}

static void judge_seen(const struct judgement *judgement, const struct sight *seen, int count,
                       struct tally *tally)
{
    struct cleaner_filter *filter = judgement->filter;
    for (int i = 0; i < count; i++) {
        bool kept = is_kept(judgement, &seen[i]);
        note_verdict(&filter->verdicts, tally->total++, kept);
        if (!batch_is_control(judgement->batch) && !seen[i].has_key)
            filter->keyless++;
        if (!kept)
            continue;
        if (tally->kept++ == 0)
            tally->first_kept_offset = seen[i].offset;
        tally->tombstones |= !seen[i].has_value;
    }
}

static int judge(const struct judgement *judgement, struct tally *ret_tally)
{
    struct tally tally = {.first_kept_offset = -1};
    struct cleaner_filter *filter = judgement->filter;
    struct record_reader reader;
    struct record record;
    struct sight seen[CLEANER_MAP_AHEAD];
    int count = 0;
    filter->verdicts.size = 0;
    int err = record_reader_init(&reader, judgement->batch, filter->record_max_bytes);
    while (err == 0 && (err = record_reader_next(&reader, NULL, &record)) == 0) {
        struct sight *sight = &seen[count++];
        *sight = (struct sight){
            .offset = record.offset, .has_key = record.key.data, .has_value = record.value.data};
        if (sight->has_key)
            sight->key = cleaner_map_find(filter->map, record.key);
        if (count < CLEANER_MAP_AHEAD)
            continue;
        judge_seen(judgement, seen, count, &tally);
        count = 0;
    }
    record_reader_close(&reader);
    if (err != -ENODATA)
        return err;
    judge_seen(judgement, seen, count, &tally);
    if (filter->verdicts.failed)
        return -ENOMEM;
    filter->records_read += tally.total;
    filter->records_kept += tally.kept;
    *ret_tally = tally;
    return 0;
}

static void builder_like(struct batch_builder *builder, const struct batch *batch,
                         struct writer *out)
{
    batch_builder_init(builder, batch->base_offset);
    builder->out = *out;
    builder->attributes =
        batch->attributes & (BATCH_LOG_APPEND_TIME | BATCH_TRANSACTIONAL | BATCH_CONTROL);
    builder->max_timestamp = batch->max_timestamp;
    builder->producer_id = batch->producer_id;
    builder->producer_epoch = batch->producer_epoch;
    builder->base_sequence = batch->base_sequence;
    builder->leader_epoch = batch->leader_epoch;
    builder->body.limit = CLEANER_PLAIN_MAX_BYTES;
}

static int builder_end(struct batch_builder *builder, struct writer *out, int err)
{
    if (err == 0)
        err = batch_builder_finish(builder);
    *out = builder->out;
    builder->out = (struct writer){0};
    batch_builder_close(builder);
    return err;
}

/* The header alone, with the range of offsets and sequences that it had. */
static int write_empty(const struct batch *batch, struct writer *out)
{
    struct batch_builder builder;
    builder_like(&builder, batch, out);
    builder.last_offset_delta = batch->last_offset_delta;
    return builder_end(&builder, out, 0);
}

/* Old formats know neither gaps nor keys and values in our form: what is left of a wrapper becomes
 * a batch of magic 2. */
static int add_record(struct batch_builder *builder, const struct batch *batch,
                      const struct record *record)
{
    int64_t delta = record->offset - builder->base_offset;
    if (delta <= builder->last_offset_delta || delta > INT32_MAX)
        return -EBADMSG;
    if (batch->magic >= 2)
        batch_builder_add_body(builder, delta, record->timestamp, record->body);
    else
        batch_builder_add_at(builder, delta, record->timestamp, record->key, record->value, NULL,
                             0);
    return 0;
}

static int write_kept(const struct judgement *judgement, const struct tally *tally,
                      int64_t horizon_ms, struct writer *out)
{
    const struct batch *batch = judgement->batch;
    struct batch_builder builder;
    struct record_reader reader;
    struct record record;
    builder_like(&builder, batch, out);
    builder.compression = batch_compression(batch);
    if (batch->magic < 2)
        builder.base_offset = tally->first_kept_offset;
    if (horizon_ms >= 0) {
        builder.attributes |= BATCH_DELETE_HORIZON;
        builder.base_timestamp = horizon_ms;
    }
    int err = record_reader_init(&reader, batch, judgement->filter->record_max_bytes);
    for (int64_t i = 0; err == 0 && (err = record_reader_next(&reader, NULL, &record)) == 0; i++)
        if (verdict_of(&judgement->filter->verdicts, i))
            err = add_record(&builder, batch, &record);
    record_reader_close(&reader);
    if (err == -ENODATA)
        err = 0;
    if (err == 0 && batch->magic >= 2) {
        if (builder.last_offset_delta > batch->last_offset_delta)
            err = -EBADMSG;
        builder.last_offset_delta = batch->last_offset_delta;
    }
    return builder_end(&builder, out, err);
}

static bool is_last_of_producer(const struct cleaner_filter *filter, const struct batch *batch)
{
    if (batch->producer_id < 0)
        return false;
    const struct cleaner_last_batch *last =
        map_find(filter->last_batches, (uint64_t)batch->producer_id);
    if (!last)
        return false;
    if (last->last_data_offset >= 0)
        return batch_last_offset(batch) == last->last_data_offset;
    return batch_is_control(batch) && batch->producer_epoch == last->epoch;
}

int cleaner_filter_batch(struct cleaner_filter *filter, const struct batch *batch,
                         struct writer *out, enum cleaner_verdict *ret_verdict, bool *ret_ended,
                         struct aborted_entry *ret_entry)
{
    struct tally tally = {0};
    bool discard;
    int err = cleaner_txns_meet(filter->txns, batch, &discard, ret_ended, ret_entry);
    if (err < 0)
        return err;
    bool idle_marker = discard && batch_is_control(batch);
    bool stays = is_last_of_producer(filter, batch) ||
                 batch_last_offset(batch) + 1 == filter->high_watermark;
    struct judgement judgement = {filter, batch,
                                  discard && (!idle_marker || horizon_passed(filter, batch))};

    *ret_verdict = CLEANER_DROP;
    if (judgement.discard && !stays)
        return 0;
    err = judge(&judgement, &tally);
    if (err < 0)
        return err;
    if (tally.kept == 0) {
        if (!stays || batch->magic < 2)
            return 0;
        *ret_verdict = CLEANER_REWRITE;
        return write_empty(batch, out);
    }
    int64_t horizon_ms = has_horizon(batch) ? batch->base_timestamp : -1;
    bool new_horizon = batch->magic >= 2 && (tally.tombstones || idle_marker) && horizon_ms < 0;
    if (tally.kept == tally.total && !new_horizon) {
        *ret_verdict = CLEANER_KEEP;
        return 0;
    }
    if (new_horizon &&
        __builtin_add_overflow(filter->now_ms, filter->delete_retention_ms, &horizon_ms))
        horizon_ms = INT64_MAX;
    *ret_verdict = CLEANER_REWRITE;
    return write_kept(&judgement, &tally, horizon_ms, out);
}
