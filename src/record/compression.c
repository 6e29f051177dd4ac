/* Which codec does what. Each lives in a file of its own and knows nothing of the others. */
#include "record/compression.h"

#include <errno.h>
#include <stdlib.h>

#include "record/codecs.h"

#define STEP_BYTES (16 * 1024)

static const struct codec *const codecs[] = {
    [COMPRESSION_GZIP] = &codec_gzip,
    [COMPRESSION_SNAPPY] = &codec_snappy,
    [COMPRESSION_LZ4] = &codec_lz4,
    [COMPRESSION_ZSTD] = &codec_zstd,
};

static const struct codec *codec_of(enum compression compression)
{
    size_t index = (size_t)compression;
    return index < sizeof codecs / sizeof codecs[0] ? codecs[index] : NULL;
}

int compress_bytes(enum compression compression, int level, int8_t magic, const void *data,
                   size_t size, struct writer *out)
{
    if (compression == COMPRESSION_NONE) {
        write_bytes(out, data, size);
        return out->failed ? -ENOMEM : 0;
    }
    const struct codec *codec = codec_of(compression);
    return codec ? codec->compress(level, magic, data, size, out) : -EINVAL;
}

int decompressor_create(enum compression compression, int8_t magic, const void *data, size_t size,
                        struct decompressor **ret)
{
    const struct codec *codec = codec_of(compression);
    return codec ? codec->create(magic, data, size, ret) : -EINVAL;
}

int decompressor_read(struct decompressor *decompressor, void *out, size_t capacity,
                      size_t *ret_size)
{
    return decompressor->codec->read(decompressor, out, capacity, ret_size);
}

void decompressor_destroy(struct decompressor *decompressor)
{
    if (decompressor)
        decompressor->codec->destroy(decompressor);
}

int decompress_bytes(enum compression compression, int8_t magic, const void *data, size_t size,
                     size_t max_bytes, struct writer *out)
{
    if (compression == COMPRESSION_NONE) {
        if (size > max_bytes)
            return -EFBIG;
        write_bytes(out, data, size);
        return out->failed ? -ENOMEM : 0;
    }
    struct decompressor *decompressor;
    int err = decompressor_create(compression, magic, data, size, &decompressor);
    if (err < 0)
        return err;
    size_t total = 0, got = 0;
    do {
        size_t room = max_bytes - total < STEP_BYTES ? max_bytes - total + 1 : STEP_BYTES;
        uint8_t *at = writer_reserve(out, room);
        if (!at) {
            err = -ENOMEM;
            break;
        }
        err = decompressor_read(decompressor, at, room, &got);
        if (err < 0)
            break;
        total += got;
        if (total > max_bytes) {
            err = -EFBIG;
            break;
        }
        out->size += got;
    } while (got > 0);
    decompressor_destroy(decompressor);
    return err;
}
