/* The reader: what is committed, as a client sees it that drops what was aborted. */
#include "copier_life.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "history.h"
#include "record/batch.h"
#include "record/control.h"

#define ABORTED_MAX 256

static void read_value(struct copier *reader, const struct record *record)
{
    struct copies *copies = reader->copies;
    char text[64] = {0};
    int share, input, number;
    must(record->value.size < (int32_t)sizeof text);
    memcpy(text, record->value.data, (size_t)record->value.size);
    must(sscanf(text, "%d %d %d", &share, &input, &number) == 3);
    must(share >= 0 && share < COPY_SHARES && number < copies->attempt_count);
    if (copies->attempts[number].fate == FATE_NEVER)
        history_fail("share %d: input %d of attempt %d is seen, and was not committed", share,
                     input, number);
    if (copies->seen[share][input]++ > 0)
        history_fail("share %d: input %d is seen twice", share, input);
    copies->seen_count++;
}

static bool is_abort(const struct batch *batch)
{
    struct record_reader reader;
    struct record record;
    struct end_transaction ended;
    must(record_reader_init(&reader, batch, 1 << 16) == 0);
    bool abort = record_reader_next(&reader, NULL, &record) == 0 &&
                 end_transaction_read(&record, &ended) == 0 && !ended.commit;
    record_reader_close(&reader);
    return abort;
}

/* Producers whose records are of an aborted transaction, from its first offset to its marker. */
struct aborted {
    int64_t producer_id, first_offset;
    bool over;
};

static bool is_aborted(struct aborted *all, int32_t count, const struct batch *batch)
{
    for (int32_t i = 0; i < count; i++)
        if (!all[i].over && all[i].producer_id == batch->producer_id &&
            all[i].first_offset <= batch->base_offset)
            return true;
    return false;
}

static void end_aborted(struct aborted *all, int32_t count, const struct batch *batch)
{
    for (int32_t i = 0; i < count; i++)
        if (!all[i].over && all[i].producer_id == batch->producer_id &&
            all[i].first_offset <= batch->base_offset) {
            all[i].over = true;
            return;
        }
}

static void read_batch(struct copier *reader, int32_t partition, const struct batch *batch)
{
    struct record_reader records;
    struct record record;
    must(record_reader_init(&records, batch, 1 << 16) == 0);
    while (record_reader_next(&records, NULL, &record) == 0)
        if (record.offset >= reader->next_offset[partition])
            read_value(reader, &record);
    record_reader_close(&records);
}

static void read_answer(struct copier *reader, int32_t partition,
                        const struct fetch_response_partition_data *data)
{
    struct aborted aborted[ABORTED_MAX];
    struct copies *copies = reader->copies;
    int32_t count = data->aborted_transactions.count < 0 ? 0 : data->aborted_transactions.count;
    must(count <= ABORTED_MAX);
    for (int32_t i = 0; i < count; i++)
        aborted[i] = (struct aborted){data->aborted_transactions.items[i].producer_id,
                                      data->aborted_transactions.items[i].first_offset, false};
    if (data->last_stable_offset < copies->stable_end[partition])
        history_fail("partition %d: the last stable offset goes back", partition);
    copies->stable_end[partition] = data->last_stable_offset;
    struct bytes left = {data->records.data, data->records.size};
    struct batch batch;
    while (left.size > 0 && batch_read(left.data, (size_t)left.size, &batch) == 0) {
        if (batch_last_offset(&batch) >= data->last_stable_offset)
            history_fail("partition %d: offset %lld is read, the last stable one is %lld",
                         partition, (long long)batch_last_offset(&batch),
                         (long long)data->last_stable_offset);
        if (batch_is_control(&batch) && is_abort(&batch))
            end_aborted(aborted, count, &batch);
        else if (!batch_is_control(&batch) && !is_aborted(aborted, count, &batch))
            read_batch(reader, partition, &batch);
        reader->next_offset[partition] = batch_last_offset(&batch) + 1;
        left.data += batch.size;
        left.size -= batch.size;
    }
    copies->settled[partition] = data->high_watermark == data->last_stable_offset &&
                                 reader->next_offset[partition] == data->high_watermark;
}

static void read_partition(struct copier *reader, int32_t partition)
{
    struct fetch_request_partition part;
    struct fetch_request_topic topic;
    struct fetch_request message;
    fetch_request_init(&message);
    fetch_request_topic_init(&topic);
    fetch_request_partition_init(&part);
    reader->copies->settled[partition] = false;
    part.partition = partition;
    part.fetch_offset = reader->next_offset[partition];
    part.partition_max_bytes = 4096; /* few transactions at a time */
    topic.topic = COPY_TOPIC;
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    message.topics.items = &topic;
    message.topics.count = 1;
    message.session_epoch = -1;
    message.isolation_level = 1;
    message.max_wait_ms = 50;
    message.min_bytes = 1;
    message.max_bytes = 1 << 20;
    const struct fetch_response *response = call(reader, API_FETCH, 12, &message);
    const struct fetch_response_partition_data *data =
        response && response->responses.count == 1 ? response->responses.items[0].partitions.items
                                                   : NULL;
    if (data && data->error_code == 0)
        read_answer(reader, partition, data);
    else if (data && !life_passes(data->error_code))
        history_fail("partition %d: a fetch failed: %d", partition, data->error_code);
    else
        life_rest(&reader->life, 20);
}

void copy_reader_main(struct env *env, void *plan)
{
    struct copier *reader = copier_begin(env, plan);
    struct copies *copies = reader->copies;
    bool settled = false;
    while (insist(reader, make_topics) != 0)
        ;
    while (!settled) {
        settled = true;
        for (int i = 0; i < COPIERS; i++)
            settled &= copies->idle[i]; /* before the reads that are to find nothing open */
        for (int32_t i = 0; i < COPY_PARTITIONS; i++) {
            read_partition(reader, i);
            settled &= copies->settled[i];
        }
    }
    copier_end(reader);
}
