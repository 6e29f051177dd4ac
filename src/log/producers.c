/* Producers lie densely in one array; a table of slots finds them by id once they are more than a
 * handful. Removal moves the last one into the gap. */
#include "log/producers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/must.h"
#include "record/control.h"

#define LINEAR_MAX 8 /* up to here the array is searched without slots */

void producers_close(struct producers *producers)
{
    free(producers->items);
    free(producers->slots);
    free(producers->open);
    free(producers->decided);
    *producers = (struct producers){0};
}

void producers_clear(struct producers *producers)
{
    producers->count = 0;
    producers->open_count = 0;
    producers->decided_count = 0;
    if (producers->slots)
        memset(producers->slots, 0, sizeof *producers->slots * producers->slot_count);
}

/* Ids are handed out in blocks by the cluster, not chosen by an attacker: mixing is enough. */
static uint32_t slot_of(const struct producers *producers, int64_t id)
{
    uint64_t h = (uint64_t)id * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) & (producers->slot_count - 1);
}

static void slot_insert(struct producers *producers, uint32_t item)
{
    uint32_t at = slot_of(producers, producers->items[item].id);
    while (producers->slots[at])
        at = (at + 1) & (producers->slot_count - 1);
    producers->slots[at] = item + 1;
}

static void slots_fill(struct producers *producers)
{
    memset(producers->slots, 0, sizeof *producers->slots * producers->slot_count);
    for (uint32_t i = 0; i < producers->count; i++)
        slot_insert(producers, i);
}

struct producer *producers_find(const struct producers *producers, int64_t id)
{
    if (!producers->slots) {
        for (uint32_t i = 0; i < producers->count; i++)
            if (producers->items[i].id == id)
                return &producers->items[i];
        return NULL;
    }
    uint32_t at = slot_of(producers, id);
    while (producers->slots[at]) {
        struct producer *producer = &producers->items[producers->slots[at] - 1];
        if (producer->id == id)
            return producer;
        at = (at + 1) & (producers->slot_count - 1);
    }
    return NULL;
}

static int slots_reserve(struct producers *producers, uint32_t count)
{
    uint32_t want = 16;
    if (count <= LINEAR_MAX && !producers->slots)
        return 0;
    while (want < count * 2)
        want *= 2;
    if (want <= producers->slot_count)
        return 0;
    uint32_t *slots = malloc(sizeof *slots * want);
    if (!slots)
        return -ENOMEM;
    free(producers->slots);
    producers->slots = slots;
    producers->slot_count = want;
    slots_fill(producers);
    return 0;
}

/* Grow *items to hold `count`; doubling, from 2. */
static int array_reserve(void **items, size_t item_size, uint64_t count, uint32_t *capacity)
{
    uint64_t want = *capacity ? *capacity : 2;
    if (count <= *capacity)
        return 0;
    while (want < count)
        want *= 2;
    if (want > INT32_MAX)
        return -ENOMEM;
    void *grown = realloc(*items, item_size * want);
    if (!grown)
        return -ENOMEM;
    *items = grown;
    *capacity = (uint32_t)want;
    return 0;
}

int producers_reserve(struct producers *producers, uint32_t more)
{
    int err = array_reserve((void **)&producers->items, sizeof *producers->items,
                            (uint64_t)producers->count + more, &producers->capacity);
    if (err == 0)
        err = slots_reserve(producers, producers->count + more);
    if (err == 0)
        err = array_reserve((void **)&producers->open, sizeof *producers->open,
                            (uint64_t)producers->open_count + more,
                            (uint32_t *)&producers->open_capacity);
    if (err == 0)
        err = array_reserve((void **)&producers->decided, sizeof *producers->decided,
                            (uint64_t)producers->decided_count + more,
                            (uint32_t *)&producers->decided_capacity);
    return err;
}

static struct producer *producers_add(struct producers *producers, int64_t id)
{
    must(producers->count < producers->capacity);
    uint32_t item = producers->count++;
    producers->items[item] = (struct producer){.id = id,
                                               .last_timestamp = NO_TIMESTAMP,
                                               .txn_first_offset = -1,
                                               .coordinator_epoch = -1,
                                               .epoch = -1};
    if (producers->slots)
        slot_insert(producers, item);
    return &producers->items[item];
}

static const struct producer_batch *producer_batch_at(const struct producer *producer, int nth)
{
    return &producer->batches[(producer->batch_first + nth) % PRODUCER_BATCHES];
}

int32_t producer_last_sequence(const struct producer *producer)
{
    return producer->batch_count
               ? producer_batch_at(producer, producer->batch_count - 1)->last_sequence
               : NO_SEQUENCE;
}

int64_t producer_last_offset(const struct producer *producer)
{
    return producer->batch_count
               ? producer_batch_at(producer, producer->batch_count - 1)->last_offset
               : -1;
}

static void producer_set_epoch(struct producer *producer, int16_t epoch)
{
    if (producer->epoch == epoch)
        return;
    producer->epoch = epoch;
    producer->batch_count = 0;
    producer->batch_first = 0;
}

static void producer_add_batch(struct producer *producer, struct producer_batch batch)
{
    if (producer->batch_count == PRODUCER_BATCHES) {
        producer->batches[producer->batch_first] = batch;
        producer->batch_first = (uint8_t)((producer->batch_first + 1) % PRODUCER_BATCHES);
        return;
    }
    int at = (producer->batch_first + producer->batch_count) % PRODUCER_BATCHES;
    producer->batches[at] = batch;
    producer->batch_count++;
}

int32_t producer_batch_first_sequence(const struct producer_batch *batch)
{
    int64_t first = (int64_t)batch->last_sequence - batch->offset_delta;
    return (int32_t)(first >= 0 ? first : first + INT32_MAX + INT64_C(1));
}

static bool find_duplicate(const struct producer *producer, const struct batch *batch,
                           struct producer_batch *ret_original)
{
    if (producer->epoch != batch->producer_epoch)
        return false;
    for (int i = 0; i < producer->batch_count; i++) {
        const struct producer_batch *known = producer_batch_at(producer, i);
        if (producer_batch_first_sequence(known) != batch->base_sequence ||
            known->last_sequence != batch_last_sequence(batch))
            continue;
        *ret_original = *known;
        return true;
    }
    return false;
}

static bool in_sequence(int32_t last, int32_t next)
{
    return next == (int64_t)last + 1 || (next == 0 && last == INT32_MAX);
}

/* KIP-360: a producer that is not known may begin anywhere; a new epoch begins at 0. */
static int check_sequence(const struct producer *producer, const struct batch *batch)
{
    if (!producer)
        return 0;
    if (batch->producer_epoch != producer->epoch)
        return batch->base_sequence == 0 || producer->epoch == -1
                   ? 0
                   : KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    return in_sequence(producer_last_sequence(producer), batch->base_sequence)
               ? 0
               : KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

static int check_data(const struct producer *producer, const struct batch *batch,
                      enum producer_origin origin)
{
    if (batch->producer_epoch < (producer ? producer->epoch : -1))
        return KAFKA_INVALID_PRODUCER_EPOCH;
    if (origin == PRODUCER_CLIENT) {
        int err = check_sequence(producer, batch);
        if (err)
            return err;
    }
    if (producer && producer_is_in_transaction(producer) && !batch_is_transactional(batch))
        return KAFKA_INVALID_TXN_STATE;
    return 0;
}

/* Since transaction.version 2 every transaction raises the epoch, so a marker of the epoch already
 * seen is stale, unless nothing is open: then it is a repeat and harmless (KIP-1228). */
static int check_marker(const struct producer *producer, const struct batch *batch,
                        const struct txn_marker *marker, int16_t transaction_version)
{
    if (!producer)
        return 0;
    int16_t epoch = batch->producer_epoch;
    bool repeat = transaction_version >= 2 && epoch == producer->epoch &&
                  (producer->txn_first_offset < 0 || epoch == INT16_MAX);
    bool stale = transaction_version >= 2 ? epoch <= producer->epoch : epoch < producer->epoch;
    if (stale && !repeat)
        return KAFKA_INVALID_PRODUCER_EPOCH;
    if (producer->coordinator_epoch > marker->coordinator_epoch)
        return KAFKA_TRANSACTION_COORDINATOR_FENCED;
    return 0;
}

int producers_check(const struct producers *producers, const struct batch *batch,
                    const struct txn_marker *marker, enum producer_origin origin,
                    int16_t transaction_version, struct producer_batch *ret_original)
{
    if (origin == PRODUCER_REPLICATION || batch->producer_id < 0)
        return 0;
    const struct producer *producer = producers_find(producers, batch->producer_id);
    if (origin == PRODUCER_CLIENT && producer && find_duplicate(producer, batch, ret_original))
        return KAFKA_DUPLICATE_SEQUENCE_NUMBER;
    if (!batch_is_control(batch))
        return check_data(producer, batch, origin);
    if (marker && marker->is_marker)
        return check_marker(producer, batch, marker, transaction_version);
    return 0;
}

/* Where `first_offset` stands or belongs among the open transactions. */
static int32_t open_find(const struct producers *producers, int64_t first_offset)
{
    int32_t low = 0, high = producers->open_count;
    while (low < high) {
        int32_t mid = low + (high - low) / 2;
        if (producers->open[mid].first_offset < first_offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void open_insert(struct producers *producers, int64_t first_offset, int64_t producer_id)
{
    must(producers->open_count < producers->open_capacity);
    int32_t at = open_find(producers, first_offset);
    memmove(producers->open + at + 1, producers->open + at,
            sizeof *producers->open * (size_t)(producers->open_count - at));
    producers->open[at] = (struct open_txn){first_offset, producer_id, .segment_base = -1};
    producers->open_count++;
}

bool producers_put(struct producers *producers, const struct producer *producer)
{
    if (producers_find(producers, producer->id))
        return false;
    if (producer_is_in_transaction(producer)) {
        int32_t at = open_find(producers, producer->txn_first_offset);
        if (at < producers->open_count &&
            producers->open[at].first_offset == producer->txn_first_offset)
            return false;
        open_insert(producers, producer->txn_first_offset, producer->id);
    }
    *producers_add(producers, producer->id) = *producer;
    return true;
}

static void decided_insert(struct producers *producers, struct decided_txn txn)
{
    must(producers->decided_count < producers->decided_capacity);
    int32_t at = producers->decided_count++;
    for (; at > 0 && producers->decided[at - 1].first_offset > txn.first_offset; at--)
        producers->decided[at] = producers->decided[at - 1];
    producers->decided[at] = txn;
}

/* Move the producer's open transaction to the decided ones. */
static void txn_complete(struct producers *producers, const struct producer *producer,
                         const struct batch *batch, bool commit,
                         struct completed_txn *ret_completed)
{
    int64_t first_offset = producer->txn_first_offset;
    int32_t at = open_find(producers, first_offset);
    must(at < producers->open_count && producers->open[at].producer_id == producer->id);
    producers->open_count--;
    memmove(producers->open + at, producers->open + at + 1,
            sizeof *producers->open * (size_t)(producers->open_count - at));
    *ret_completed = (struct completed_txn){
        .producer_id = producer->id,
        .first_offset = first_offset,
        .last_offset = batch->base_offset,
        .last_stable_offset =
            producers->open_count > 0 ? producers->open[0].first_offset : batch->base_offset + 1,
        .aborted = !commit,
    };
    decided_insert(producers, (struct decided_txn){first_offset, batch->base_offset});
}

bool producers_update(struct producers *producers, const struct batch *batch,
                      const struct txn_marker *marker, struct completed_txn *ret_completed)
{
    bool completed = false;
    if (batch_is_control(batch) && (!marker || !marker->is_marker))
        return false;
    struct producer *producer = producers_find(producers, batch->producer_id);
    if (!producer)
        producer = producers_add(producers, batch->producer_id);
    producer_set_epoch(producer, batch->producer_epoch);

    if (batch_is_control(batch)) {
        producer->coordinator_epoch = marker->coordinator_epoch;
        producer->last_timestamp = marker->timestamp;
        completed = producer_is_in_transaction(producer);
        if (completed)
            txn_complete(producers, producer, batch, marker->commit, ret_completed);
        producer->txn_first_offset = -1;
        return completed;
    }

    producer->last_timestamp = batch->max_timestamp;
    producer_add_batch(producer,
                       (struct producer_batch){.last_offset = batch_last_offset(batch),
                                               .timestamp = batch->max_timestamp,
                                               .last_sequence = batch_last_sequence(batch),
                                               .offset_delta = batch->last_offset_delta});
    if (batch_is_transactional(batch) && producer->txn_first_offset < 0) {
        producer->txn_first_offset = batch->base_offset;
        open_insert(producers, batch->base_offset, producer->id);
    }
    return completed;
}

void producers_note_older(struct producers *producers, const struct batch *batch)
{
    struct producer *producer = producers_find(producers, batch->producer_id);
    struct producer_batch sorted[PRODUCER_BATCHES + 1];
    int64_t last_offset = batch_last_offset(batch);
    int count = 0;
    if (!producer || producer->epoch != batch->producer_epoch ||
        last_offset >= producer_last_offset(producer))
        return;
    for (; count < producer->batch_count; count++) {
        sorted[count] = *producer_batch_at(producer, count);
        if (sorted[count].last_offset == last_offset)
            return;
    }
    int at = count++;
    for (; at > 0 && sorted[at - 1].last_offset > last_offset; at--)
        sorted[at] = sorted[at - 1];
    sorted[at] = (struct producer_batch){.last_offset = last_offset,
                                         .timestamp = batch->max_timestamp,
                                         .last_sequence = batch_last_sequence(batch),
                                         .offset_delta = batch->last_offset_delta};
    int drop = count > PRODUCER_BATCHES;
    producer->batch_count = (uint8_t)(count - drop);
    producer->batch_first = 0;
    memcpy(producer->batches, sorted + drop, sizeof *sorted * producer->batch_count);
}

bool producer_may_miss_batches(const struct producer *producer)
{
    return producer->batch_count > 0 && producer->batch_count < PRODUCER_BATCHES &&
           producer_batch_first_sequence(producer_batch_at(producer, 0)) != 0;
}

int64_t producers_first_unstable(const struct producers *producers)
{
    int64_t open = producers->open_count ? producers->open[0].first_offset : INT64_MAX;
    int64_t decided = producers->decided_count ? producers->decided[0].first_offset : INT64_MAX;
    return open < decided ? open : decided;
}

struct open_txn *producers_open_at(const struct producers *producers, int64_t first_offset)
{
    int32_t at = open_find(producers, first_offset);
    bool found = at < producers->open_count && producers->open[at].first_offset == first_offset;
    return found ? &producers->open[at] : NULL;
}

bool producers_release(struct producers *producers, int64_t high_watermark)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < producers->decided_count; i++)
        if (producers->decided[i].last_offset >= high_watermark)
            producers->decided[kept++] = producers->decided[i];
    bool changed = kept != producers->decided_count;
    producers->decided_count = kept;
    return changed;
}

static bool is_expired(int64_t txn_first_offset, int64_t last_timestamp, int64_t now_ms,
                       int64_t expiration_ms)
{
    int64_t age;
    if (txn_first_offset >= 0)
        return false;
    return !__builtin_sub_overflow(now_ms, last_timestamp, &age) && age >= expiration_ms;
}

uint32_t producers_expire(struct producers *producers, int64_t now_ms, int64_t expiration_ms)
{
    uint32_t kept = 0, before = producers->count;
    for (uint32_t i = 0; i < before; i++) {
        const struct producer *producer = &producers->items[i];
        if (!is_expired(producer->txn_first_offset, producer->last_timestamp, now_ms,
                        expiration_ms))
            producers->items[kept++] = *producer;
    }
    producers->count = kept;
    if (producers->slots && kept != before)
        slots_fill(producers);
    return before - kept;
}

int txn_marker_read(const struct batch *batch, struct txn_marker *ret_marker)
{
    struct record_reader reader;
    struct record record;
    struct end_transaction end;
    *ret_marker = (struct txn_marker){0};
    int err = record_reader_init(&reader, batch, (size_t)batch->size);
    if (err == 0)
        err = record_reader_next(&reader, NULL, &record);
    if (err == 0 && end_transaction_read(&record, &end) == 0)
        *ret_marker = (struct txn_marker){.is_marker = true,
                                          .commit = end.commit,
                                          .coordinator_epoch = end.coordinator_epoch,
                                          .timestamp = record.timestamp};
    record_reader_close(&reader);
    if (err == -ENODATA)
        return 0;
    return err == -EFBIG ? -EBADMSG : err;
}
