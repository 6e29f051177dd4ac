/* Record batches: reading (magic 0, 1 and 2) and building (magic 2).
 *
 * Layout of magic 2 (Kafka protocol guide, "Record Batch"; all big-endian):
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

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "record/compression.h"

#define BATCH_HEADER_SIZE 61
#define BATCH_OVERHEAD 12 /* base_offset and batch_length, which batch_length does not count */
#define BATCH_CRC_FROM 21 /* the checksum covers this byte to the end */
#define BATCH_SIZE_MAX (INT32_MAX - BATCH_OVERHEAD)
#define LEGACY_OVERHEAD_V0 14 /* least length of an entry of magic 0 (1), after BATCH_OVERHEAD */
#define LEGACY_OVERHEAD_V1 22
#define NO_TIMESTAMP (-1)
#define NO_PRODUCER_ID (-1)
#define NO_SEQUENCE (-1)

enum batch_attribute {
    BATCH_COMPRESSION = 0x07,
    BATCH_LOG_APPEND_TIME = 0x08,
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
    BATCH_DELETE_HORIZON = 0x40,
    BATCH_ATTRIBUTES = 0x7f, /* all that have a meaning */
};

/* The header of one batch, decoded. For magic 0 and 1 it describes one (possibly compressed) entry
 * of a message set, with leader_epoch, producer_id, producer_epoch and base_sequence -1,
 * last_offset_delta 0 and both timestamps that of the entry (magic 0: NO_TIMESTAMP). The offset of
 * a compressed entry is that of the *last* record inside, and record_count is -1 (unknown): so
 * batch_last_offset is right for all, the first offset takes reading the records. */
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

/* The offset `delta` after `base`. Wraps like Java's: what a hostile header says is no overflow. */
static inline int64_t offset_add(int64_t base, int64_t delta)
{
    return (int64_t)((uint64_t)base + (uint64_t)delta);
}

static inline int64_t batch_last_offset(const struct batch *batch)
{
    return offset_add(batch->base_offset, batch->last_offset_delta);
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

/* sequence + more, wrapping from 2^31-1 to 0. Total: hostile headers hold any numbers. */
int32_t sequence_add(int32_t sequence, int32_t more);

/* base_sequence + last_offset_delta, wrapping; NO_SEQUENCE without sequences. (Not the record
 * count: compaction removes records and keeps the range.) */
int32_t batch_last_sequence(const struct batch *batch);

/* Read the header at the front of `data`. Nothing but lengths and magic is checked.
 *
 * 0; -EAGAIN when `size` does not hold the whole batch (ret_batch->size is set when the length is
 * known, else 0); -EBADMSG when the length is too small for the magic or above BATCH_SIZE_MAX, or
 * the magic unknown. */
int batch_read(const void *data, size_t size, struct batch *ret_batch);

/* As batch_read from the first BATCH_HEADER_SIZE bytes (fewer do for a shorter entry of magic 0 or
 * 1), without needing the rest of the batch. */
int batch_read_header(const void *data, size_t size, struct batch *ret_batch);

/* Whether the stored checksum is right (CRC-32C for magic 2, CRC-32 for 0 and 1). */
bool batch_checksum_ok(const struct batch *batch);
uint32_t batch_checksum(const struct batch *batch);

/* Change a batch of magic 2 in place; `data` is the writable batch->data. The first rewrites the
 * checksum too and, as Kafka's does, clears attributes without meaning; the second touches only
 * what the checksum does not cover. */
void batch_set_max_timestamp(struct batch *batch, uint8_t *data, bool log_append_time,
                             int64_t max_timestamp);
void batch_set_position(struct batch *batch, uint8_t *data, int64_t base_offset,
                        int32_t leader_epoch);

struct record_header {
    struct str key;
    struct bytes value; /* data NULL: null */
};

/* One record; key, value and headers point into the batch or into the reader's decompressed bytes.
 */
struct record {
    int64_t offset;
    int64_t timestamp;             /* NO_TIMESTAMP in magic 0 */
    int32_t sequence;              /* NO_SEQUENCE without */
    struct bytes key;              /* data NULL: null */
    struct bytes value;            /* data NULL: null */
    int32_t header_count;          /* magic 2 */
    struct record_header *headers; /* in the arena; NULL without arena or headers */
    struct bytes body;             /* magic 2: key, value and headers as encoded, for copying */
};

/* Decompressed bytes that all users of a budget may hold together. Who holds something while nobody
 * else does may pass the limit, so that some batch can always be read. Any thread. */
struct plain_budget {
    _Atomic int64_t held_bytes;
    int64_t limit_bytes;
};

/* What one user holds of it; one thread at a time. */
struct plain_account {
    struct plain_budget *budget; /* NULL: nothing is counted */
    int64_t held_bytes;
};

/* False when the budget has no room for so many bytes more. */
bool plain_take(struct plain_account *account, int64_t bytes);
void plain_give(struct plain_account *account, int64_t bytes);

/* Walks the records of one batch of any magic and codec.
 *
 *   struct record_reader reader;
 *   err = record_reader_init(&reader, &batch, max_bytes);
 *   while (err == 0 && (err = record_reader_next(&reader, arena, &record)) == 0) …
 *   record_reader_close(&reader);
 *
 * Decompression streams: memory stays at a window of READER_WINDOW_BYTES or twice the largest
 * record, whichever is more, and `max_bytes` bounds that record (a larger one answers -EFBIG).
 * init answers 0, -EBADMSG (no such codec, negative count), -EFBIG or -ENOMEM. next answers 0,
 * -ENODATA at the end, -ENOMEM (the arena's limit too), -EFBIG, -EBADMSG for anything malformed:
 * lengths, varints, fewer or more records than record_count, bytes left over; in magic 0 and 1 also
 * offsets that do not grow. The checksum is not looked at, nor are the offsets of magic 2 (Kafka
 * lets a client write any into an uncompressed batch, so its logs may hold any). `arena` may be
 * NULL: headers are then skipped (but checked). A record stays valid until the next call or close.
 * close may follow a failed init. `batch->data` must stay. */
#define READER_WINDOW_BYTES (16 * 1024)

struct record_reader {
    struct batch batch;
    struct plain_account *account; /* may be set after init: who answers for the window's memory */
    struct decompressor *decompressor; /* NULL: uncompressed */
    struct reader in;                  /* plain bytes at hand, not yet consumed */
    uint8_t *scratch;                  /* what `in` lies in, when compressed */
    size_t scratch_capacity, max_bytes;
    int64_t accounted; /* of the window, in `account` */
    int32_t index;
    int64_t last_offset;  /* of the record before */
    int64_t offset_shift; /* what turns the offsets inside a wrapper into the log's */
};

int record_reader_init(struct record_reader *reader, const struct batch *batch, size_t max_bytes);
int record_reader_next(struct record_reader *reader, struct arena *arena,
                       struct record *ret_record);
void record_reader_close(struct record_reader *reader);

/* Builds one v2 batch into a writer. Used by the metadata log, control records, recompression,
 * tests and the client.
 *
 * After init the caller may change the fields above `count`, before the first add. base_timestamp
 * is the first record's, unless BATCH_DELETE_HORIZON is set (then it holds the horizon);
 * max_timestamp is the greatest, unless BATCH_LOG_APPEND_TIME is set (then the append time).
 * last_offset_delta may be raised before finish, where compaction took the last records. */
struct batch_builder {
    struct writer out; /* the batch is appended here; take it after finish */
    enum compression compression;
    int compression_level;
    int16_t attributes; /* without compression bits */
    int64_t base_offset, base_timestamp, max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t leader_epoch;

    int32_t count;
    int64_t last_offset_delta; /* -1 before the first */
    size_t start;              /* of the batch in `out` */
    struct writer body;        /* records before compression */
    bool started, failed;
};

/* base_offset; no codec, no producer, leader_epoch -1, CreateTime. */
void batch_builder_init(struct batch_builder *builder, int64_t base_offset);
/* The next record at the next offset. Headers may be NULL with count 0. What does not fit is
 * told by finish. */
void batch_builder_add(struct batch_builder *builder, int64_t timestamp, struct bytes key,
                       struct bytes value, const struct record_header *headers,
                       int32_t header_count);
/* As above at a chosen offset delta (compaction leaves gaps); must grow. */
void batch_builder_add_at(struct batch_builder *builder, int64_t offset_delta, int64_t timestamp,
                          struct bytes key, struct bytes value, const struct record_header *headers,
                          int32_t header_count);
/* As above with key, value and headers as a record's `body` has them. */
void batch_builder_add_body(struct batch_builder *builder, int64_t offset_delta, int64_t timestamp,
                            struct bytes body);
/* Bytes the batch will take at most without compression. */
size_t batch_builder_size(const struct batch_builder *builder);
/* Write header, compressed body and checksum to builder->out. 0; -ENOMEM; -EFBIG when the batch is
 * too large for its length field or an offset delta for its own. */
int batch_builder_finish(struct batch_builder *builder);
void batch_builder_close(struct batch_builder *builder);

#endif
