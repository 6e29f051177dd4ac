/* Record batches, magic 2: reading, validation as Apache Kafka's LogValidator does it, building.
 *
 * Layout (Kafka protocol guide, "Record Batch"; all big-endian):
 *    0 base_offset int64          8 batch_length int32 (bytes after this field)
 *   12 partition_leader_epoch i32 16 magic int8 = 2   17 crc uint32 (CRC-32C of 21 … end)
 *   21 attributes int16           23 last_offset_delta int32
 *   27 base_timestamp int64       35 max_timestamp int64
 *   43 producer_id int64          51 producer_epoch int16
 *   53 base_sequence int32        57 record_count int32       61 records
 * base_offset and partition_leader_epoch lie outside the checksum, so a leader assigns both in
 * place. */
#ifndef JACKDAW_RECORD_BATCH_H
#define JACKDAW_RECORD_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "record/compression.h"

#define BATCH_HEADER_SIZE 61
#define BATCH_OVERHEAD 12 /* base_offset and batch_length, which batch_length does not count */
#define BATCH_SIZE_MAX (INT32_MAX - BATCH_OVERHEAD)
#define NO_TIMESTAMP (-1)
#define NO_PRODUCER_ID (-1)
#define NO_SEQUENCE (-1)

enum batch_attribute {
    BATCH_COMPRESSION = 0x07,
    BATCH_LOG_APPEND_TIME = 0x08,
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
    BATCH_DELETE_HORIZON = 0x40,
};

/* The header of one batch, decoded. For magic 0 and 1 it describes one (possibly compressed) entry
 * of a message set, with producer_id, producer_epoch and base_sequence -1. */
struct batch {
    const uint8_t *data; /* the first byte of the batch, borrowed */
    int32_t size;        /* all of it: BATCH_OVERHEAD + batch_length */
    int8_t magic;
    int16_t attributes;
    int64_t base_offset;
    int32_t leader_epoch;
    int32_t last_offset_delta;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
    uint32_t crc;
};

static inline int64_t batch_last_offset(const struct batch *batch)
{
    return batch->base_offset + batch->last_offset_delta;
}

static inline bool batch_is_control(const struct batch *batch)
{
    return batch->attributes & BATCH_CONTROL;
}

static inline bool batch_is_transactional(const struct batch *batch)
{
    return batch->attributes & BATCH_TRANSACTIONAL;
}

static inline enum compression batch_compression(const struct batch *batch)
{
    return (enum compression)(batch->attributes & BATCH_COMPRESSION);
}

/* base_sequence + record count - 1, wrapping from 2^31-1 to 0 as Kafka's does. */
int32_t batch_last_sequence(const struct batch *batch);

/* Read the header at the front of `data`. Nothing but lengths and magic is checked.
 *
 * 0; -EAGAIN when `size` does not hold the whole batch (ret_batch->size is set when the length is
 * known, else 0); -EBADMSG when the length is too small for the magic, or the magic unknown. */
int batch_read(const void *data, size_t size, struct batch *ret_batch);

/* As batch_read from at least BATCH_HEADER_SIZE bytes, without needing the rest of the batch. */
int batch_read_header(const void *data, size_t size, struct batch *ret_batch);

/* Whether the stored checksum is right (CRC-32C for magic 2, CRC-32 for 0 and 1). */
bool batch_checksum_ok(const struct batch *batch);

struct record_header {
    struct str key;
    struct bytes value; /* data NULL: null */
};

/* One record; key, value and headers point into the batch or into the reader's decompressed bytes.
 */
struct record {
    int64_t offset;
    int64_t timestamp;
    int32_t sequence;
    struct bytes key;   /* data NULL: null */
    struct bytes value; /* data NULL: null */
    int32_t header_count;
    struct record_header *headers; /* in the arena */
};

/* Walks the records of one batch of any magic and codec.
 *
 *   struct record_reader reader;
 *   err = record_reader_init(&reader, &batch, max_bytes);
 *   while (err == 0 && (err = record_reader_next(&reader, arena, &record)) == 0) …
 *   record_reader_close(&reader);
 *
 * `max_bytes` bounds what decompression may take at once (a bomb answers -EFBIG). next answers 0,
 * -ENODATA at the end, -EBADMSG for anything malformed: lengths, varints, offsets that do not grow,
 * fewer or more records than record_count, bytes left over. `arena` may be NULL: headers are then
 * skipped (but checked). A record stays valid until the next call or close. */
struct record_reader {
    struct batch batch;
    struct decompressor *decompressor; /* NULL: uncompressed */
    struct reader in;
    uint8_t *scratch; /* decompressed bytes not yet consumed */
    size_t scratch_size, scratch_at, scratch_capacity, max_bytes, total_bytes;
    int32_t index;
    int64_t last_offset;
};

int record_reader_init(struct record_reader *reader, const struct batch *batch, size_t max_bytes);
int record_reader_next(struct record_reader *reader, struct arena *arena,
                       struct record *ret_record);
void record_reader_close(struct record_reader *reader);

/* Builds one v2 batch into a writer. Used by the metadata log, control records, recompression,
 * tests and the client. */
struct batch_builder {
    struct writer out;  /* the batch; take it after finish */
    struct writer body; /* records, uncompressed */
    enum compression compression;
    int compression_level;
    int16_t attributes; /* without compression bits */
    int64_t base_offset, base_timestamp, max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t leader_epoch;
    int32_t count;
    int64_t last_offset_delta;
    bool failed;
};

void batch_builder_init(struct batch_builder *builder, int64_t base_offset);
/* The next record at the next offset. Headers may be NULL with count 0. */
void batch_builder_add(struct batch_builder *builder, int64_t timestamp, struct bytes key,
                       struct bytes value, const struct record_header *headers,
                       int32_t header_count);
/* As above at a chosen offset delta (compaction leaves gaps); must grow. */
void batch_builder_add_at(struct batch_builder *builder, int64_t offset_delta, int64_t timestamp,
                          struct bytes key, struct bytes value, const struct record_header *headers,
                          int32_t header_count);
/* Write header, compressed body and checksum to builder->out. 0 or -ENOMEM. */
int batch_builder_finish(struct batch_builder *builder);
void batch_builder_close(struct batch_builder *builder);

#endif
