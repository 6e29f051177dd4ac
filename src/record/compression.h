/* Kafka's codecs: none, gzip, snappy (xerial framing, raw accepted), lz4 (frame), zstd. */
#ifndef JACKDAW_RECORD_COMPRESSION_H
#define JACKDAW_RECORD_COMPRESSION_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum compression {
    COMPRESSION_NONE,
    COMPRESSION_GZIP,
    COMPRESSION_SNAPPY,
    COMPRESSION_LZ4,
    COMPRESSION_ZSTD,
};

#define COMPRESSION_LEVEL_DEFAULT INT32_MIN

/* Append the compressed form of `data` to `out`. `magic` 0 writes LZ4's old header checksum.
 * 0 or -ENOMEM. */
int compress_bytes(enum compression codec, int level, int8_t magic, const void *data, size_t size,
                   struct writer *out);

/* A stream that gives the plain bytes of one compressed block, piece by piece. Never reads or
 * writes outside; input is hostile. */
struct decompressor;

/* `data` is borrowed until destroy. 0, -EINVAL unknown codec, -ENOMEM. */
int decompressor_create(enum compression codec, int8_t magic, const void *data, size_t size,
                        struct decompressor **ret);
/* Up to `capacity` plain bytes; *ret_size 0 at the end. 0, -EBADMSG corrupt, -ENOMEM. */
int decompressor_read(struct decompressor *decompressor, void *out, size_t capacity,
                      size_t *ret_size);
void decompressor_destroy(struct decompressor *decompressor);

/* All of it in one go into `out` (append), at most max_bytes: 0, -EFBIG, -EBADMSG, -ENOMEM. */
int decompress_bytes(enum compression codec, int8_t magic, const void *data, size_t size,
                     size_t max_bytes, struct writer *out);

#endif
