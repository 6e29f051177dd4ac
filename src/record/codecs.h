/* What a codec's file offers to compression.c. */
#ifndef JACKDAW_RECORD_CODECS_H
#define JACKDAW_RECORD_CODECS_H

#include "record/compression.h"

/* The contracts are those of compress_bytes, decompressor_create, _read and _destroy. */
struct codec {
    int (*compress)(int level, int8_t magic, const void *data, size_t size, struct writer *out);
    int (*create)(int8_t magic, const void *data, size_t size, struct decompressor **ret);
    int (*read)(struct decompressor *decompressor, void *out, size_t capacity, size_t *ret_size);
    void (*destroy)(struct decompressor *decompressor);
};

/* The first member of each codec's own decompressor. */
struct decompressor {
    const struct codec *codec;
};

extern const struct codec codec_gzip, codec_snappy, codec_lz4, codec_zstd;

#endif
