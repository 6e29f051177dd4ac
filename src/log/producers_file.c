/* The .snapshot file:
 *    0 version int16 = 1   2 crc uint32 (CRC-32C of 6 … end)   6 count int32, then for each
 *    0 producer_id int64   8 epoch int16   10 last_sequence int32   14 last_offset int64
 *   22 offset_delta int32  26 timestamp int64   34 coordinator_epoch int32
 *   38 current_txn_first_offset int64 */
#include "log/producers.h"

#include <errno.h>

#include "base/crc32c.h"
#include "base/must.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_CRC_AT 2
#define SNAPSHOT_CRC_FROM 6
#define SNAPSHOT_HEADER_SIZE 10
#define SNAPSHOT_ENTRY_SIZE 46

void producers_write(const struct producers *producers, struct writer *out)
{
    size_t start = out->size;
    write_int16(out, SNAPSHOT_VERSION);
    write_int32(out, 0);
    write_int32(out, (int32_t)producers->count);
    for (uint32_t i = 0; i < producers->count; i++) {
        const struct producer *producer = &producers->items[i];
        int newest = (producer->batch_first + producer->batch_count - 1) % PRODUCER_BATCHES;
        int32_t delta = producer->batch_count ? producer->batches[newest].offset_delta : 0;
        write_int64(out, producer->id);
        write_int16(out, producer->epoch);
        write_int32(out, producer_last_sequence(producer));
        write_int64(out, producer_last_offset(producer));
        write_int32(out, delta);
        write_int64(out, producer->last_timestamp);
        write_int32(out, producer->coordinator_epoch);
        write_int64(out, producer->txn_first_offset);
    }
    if (out->failed)
        return;
    uint8_t *data = out->data + start;
    uint32_t crc = crc32c(0, data + SNAPSHOT_CRC_FROM, out->size - start - SNAPSHOT_CRC_FROM);
    store_be32(data + SNAPSHOT_CRC_AT, crc);
}

/* Fill in a producer from one entry; false when it makes no sense. */
static bool entry_read(struct reader *in, struct producer *producer)
{
    *producer = (struct producer){.id = read_int64(in)};
    producer->epoch = read_int16(in);
    struct producer_batch batch = {.last_sequence = read_int32(in)};
    batch.last_offset = read_int64(in);
    batch.offset_delta = read_int32(in);
    producer->last_timestamp = batch.timestamp = read_int64(in);
    producer->coordinator_epoch = read_int32(in);
    producer->txn_first_offset = read_int64(in);
    if (producer->txn_first_offset < 0)
        producer->txn_first_offset = -1;
    if (batch.last_offset >= 0) {
        producer->batches[0] = batch;
        producer->batch_count = 1;
    }
    return producer->id >= 0 && batch.offset_delta >= 0 && batch.last_sequence >= NO_SEQUENCE;
}

static int entries_read(struct producers *producers, struct reader *in, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct producer producer;
        if (!entry_read(in, &producer) || !producers_put(producers, &producer))
            return -EBADMSG;
    }
    return 0;
}

int producers_read(struct producers *producers, struct bytes data, int64_t now_ms,
                   int64_t expiration_ms)
{
    must(producers->count == 0 && producers->open_count == 0);
    struct reader in = reader_of(data.data, (size_t)data.size);
    int16_t version = read_int16(&in);
    uint32_t crc = (uint32_t)read_int32(&in);
    int32_t count = read_int32(&in);
    if (in.failed || version != SNAPSHOT_VERSION || count < 0 || count > PRODUCERS_MAX ||
        reader_left(&in) != (size_t)count * SNAPSHOT_ENTRY_SIZE)
        return -EBADMSG;
    if (crc32c(0, data.data + SNAPSHOT_CRC_FROM, (size_t)data.size - SNAPSHOT_CRC_FROM) != crc)
        return -EBADMSG;
    int err = producers_reserve(producers, (uint32_t)count);
    if (err == 0)
        err = entries_read(producers, &in, (uint32_t)count);
    if (err < 0)
        producers_clear(producers);
    else
        producers_expire(producers, now_ms, expiration_ms);
    return err;
}
