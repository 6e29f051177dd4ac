/* The header of a batch: reading and checksum. The records inside are record_reader.c's.
 *
 * A message set of magic 0 or 1 is a sequence of entries, each read here as one batch:
 *    0 offset int64   8 size int32   12 crc uint32 (CRC-32 of 16 … end)   16 magic int8
 *   17 attributes int8   magic 1: 18 timestamp int64   then key, value (int32 length, bytes)
 * A compressed entry's value holds entries again, and its offset is that of the last one inside. */
#include "record/batch.h"

#include <errno.h>
#include <isa-l/crc.h>

#include "base/crc32c.h"
#include "base/must.h"

#define MAGIC_AT 16
#define LEGACY_CRC_AT 12
#define LEGACY_CRC_FROM 16
#define BATCH_CRC_AT 17
#define LEGACY_ATTRIBUTES 0x0f /* the others have no meaning before magic 2 */

int32_t sequence_add(int32_t sequence, int32_t more)
{
    uint32_t sum = (uint32_t)sequence + (uint32_t)more;
    if ((int64_t)sequence + more > INT32_MAX)
        sum -= (uint32_t)INT32_MAX + 1;
    return (int32_t)sum;
}

int32_t batch_last_sequence(const struct batch *batch)
{
    if (batch->base_sequence == NO_SEQUENCE)
        return NO_SEQUENCE;
    return sequence_add(batch->base_sequence, batch->last_offset_delta);
}

static int32_t least_size(int8_t magic)
{
    switch (magic) {
    case 0:
        return BATCH_OVERHEAD + LEGACY_OVERHEAD_V0;
    case 1:
        return BATCH_OVERHEAD + LEGACY_OVERHEAD_V1;
    case 2:
        return BATCH_HEADER_SIZE;
    default:
        return INT32_MAX;
    }
}

static void read_legacy(const uint8_t *at, struct batch *batch)
{
    batch->crc = load_be32(at + LEGACY_CRC_AT);
    batch->attributes = at[17] & (batch->magic == 0 ? BATCH_COMPRESSION : LEGACY_ATTRIBUTES);
    batch->leader_epoch = -1;
    batch->last_offset_delta = 0;
    batch->base_timestamp = batch->magic == 0 ? NO_TIMESTAMP : (int64_t)load_be64(at + 18);
    batch->max_timestamp = batch->base_timestamp;
    batch->producer_id = NO_PRODUCER_ID;
    batch->producer_epoch = -1;
    batch->base_sequence = NO_SEQUENCE;
    batch->record_count = batch->attributes & BATCH_COMPRESSION ? -1 : 1;
}

static void read_v2(const uint8_t *at, struct batch *batch)
{
    batch->leader_epoch = (int32_t)load_be32(at + 12);
    batch->crc = load_be32(at + BATCH_CRC_AT);
    batch->attributes = (int16_t)load_be16(at + BATCH_CRC_FROM);
    batch->last_offset_delta = (int32_t)load_be32(at + 23);
    batch->base_timestamp = (int64_t)load_be64(at + 27);
    batch->max_timestamp = (int64_t)load_be64(at + 35);
    batch->producer_id = (int64_t)load_be64(at + 43);
    batch->producer_epoch = (int16_t)load_be16(at + 51);
    batch->base_sequence = (int32_t)load_be32(at + 53);
    batch->record_count = (int32_t)load_be32(at + 57);
}

static int read_front(const uint8_t *at, size_t size, bool whole, struct batch *ret_batch)
{
    struct batch batch = {.data = at};
    ret_batch->size = 0;
    if (size < BATCH_OVERHEAD)
        return -EAGAIN;

    int32_t length = (int32_t)load_be32(at + 8);
    if (length < LEGACY_OVERHEAD_V0 || length > BATCH_SIZE_MAX - BATCH_OVERHEAD)
        return -EBADMSG;
    batch.size = length + BATCH_OVERHEAD;
    batch.base_offset = (int64_t)load_be64(at);
    if (size <= MAGIC_AT) {
        ret_batch->size = batch.size;
        return -EAGAIN;
    }

    batch.magic = (int8_t)at[MAGIC_AT];
    int32_t least = least_size(batch.magic);
    if (batch.size < least)
        return -EBADMSG;
    if (size < (size_t)(whole ? batch.size : least)) {
        ret_batch->size = batch.size;
        return -EAGAIN;
    }
    if (batch.magic == 2)
        read_v2(at, &batch);
    else
        read_legacy(at, &batch);
    *ret_batch = batch;
    return 0;
}

int batch_read(const void *data, size_t size, struct batch *ret_batch)
{
    return read_front(data, size, true, ret_batch);
}

int batch_read_header(const void *data, size_t size, struct batch *ret_batch)
{
    return read_front(data, size, false, ret_batch);
}

uint32_t batch_checksum(const struct batch *batch)
{
    if (batch->magic == 2)
        return crc32c(0, batch->data + BATCH_CRC_FROM, (size_t)batch->size - BATCH_CRC_FROM);
    return crc32_gzip_refl(0, batch->data + LEGACY_CRC_FROM,
                           (uint64_t)batch->size - LEGACY_CRC_FROM);
}

bool batch_checksum_ok(const struct batch *batch)
{
    return batch_checksum(batch) == batch->crc;
}

void batch_set_max_timestamp(struct batch *batch, uint8_t *data, bool log_append_time,
                             int64_t max_timestamp)
{
    must(batch->magic == 2 && batch->data == data);
    batch->attributes &= BATCH_ATTRIBUTES & ~BATCH_LOG_APPEND_TIME;
    if (log_append_time)
        batch->attributes |= BATCH_LOG_APPEND_TIME;
    batch->max_timestamp = max_timestamp;
    store_be16(data + BATCH_CRC_FROM, (uint16_t)batch->attributes);
    store_be64(data + 35, (uint64_t)max_timestamp);
    batch->crc = batch_checksum(batch);
    store_be32(data + BATCH_CRC_AT, batch->crc);
}

void batch_set_position(struct batch *batch, uint8_t *data, int64_t base_offset,
                        int32_t leader_epoch)
{
    must(batch->magic == 2 && batch->data == data);
    batch->base_offset = base_offset;
    batch->leader_epoch = leader_epoch;
    store_be64(data, (uint64_t)base_offset);
    store_be32(data + 12, (uint32_t)leader_epoch);
}
