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

/* Append the compressed form of `data` to `out`. `level` as in Kafka's settings: gzip 1 to 9, lz4 1
 * to 17 (9, the default, is the fast compressor, all others the high-compression one), zstd
 * -131072 to 22, snappy none; COMPRESSION_LEVEL_DEFAULT is Kafka's default. `magic` 0 writes LZ4's
 * old header checksum. 0, -EINVAL unknown codec, -ENOMEM. */
int compress_bytes(enum compression codec, int level, int8_t magic, const void *data, size_t size,
                   struct writer *out);

/* A stream that gives the plain bytes of one compressed block, piece by piece. Never reads or
 * writes outside; input is hostile. Memory of its own: gzip 40 KiB; snappy 22 times the largest
 * block; lz4 twice the frame's block size (64 KiB to 4 MiB); zstd the frame's window, at most 128
 * MiB, touched no further than plain bytes come. */
struct decompressor;

/* `data` is borrowed until destroy. 0, -EINVAL unknown codec or none, -EBADMSG (what can be seen at
 * once), -ENOMEM. */
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
