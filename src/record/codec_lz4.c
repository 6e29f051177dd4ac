/* lz4 by liblz4's frame functions.
 *
 * Kafka's frames are of independent blocks without content size or checksum, in blocks of 64 KiB.
 * Its reader wants independent blocks, skips a content size and a content checksum unread, and
 * checks the header's checksum, but not in magic 0, where old clients computed it over the frame's
 * magic number as well. A block of no bytes ends the frame, marked compressed or not. So header and
 * block sizes are read here, by those rules; the library is given a plain header and the blocks.
 *
 * Frame: magic number uint32, FLG, BD, [content size 8], header checksum; then blocks; all
 * little-endian. Source: lz4 Frame Format Description 1.6. */
#include <errno.h>
#include <lz4frame.h>
#include <stdlib.h>

#include "base/must.h"
#include "record/codecs.h"

#define LZ4_LEVEL_KAFKA_DEFAULT 9 /* in Kafka this one means the fast compressor */
#define LZ4_LEVEL_HC_MIN 3
#define FRAME_MAGIC 0x184d2204u
#define HEADER_SIZE 7 /* without content size */
#define CONTENT_SIZE 8
#define FLG_VERSION_MASK 0xc0
#define FLG_VERSION 0x40
#define FLG_INDEPENDENT 0x20
#define FLG_BLOCK_CHECKSUM 0x10
#define FLG_CONTENT_SIZE 0x08
#define FLG_RESERVED 0x03
#define BLOCK_UNCOMPRESSED 0x80000000u
#define BD_RESERVED 0x8f
#define BD_SIZE_MIN 4

/* xxHash32 with seed 0 of fewer than 16 bytes; liblz4 keeps its own to itself. Source: xxHash fast
 * digest algorithm, 0.1.1. */
static uint32_t xxh32_short(const uint8_t *at, size_t size)
{
    const uint32_t prime1 = 0x9e3779b1, prime2 = 0x85ebca77, prime3 = 0xc2b2ae3d,
                   prime4 = 0x27d4eb2f, prime5 = 0x165667b1;
    must(size < 16);
    uint32_t hash = prime5 + (uint32_t)size;
    for (; size >= 4; size -= 4, at += 4) {
        uint32_t word;
        memcpy(&word, at, 4);
        hash += word * prime3;
        hash = (hash << 17 | hash >> 15) * prime4;
    }
    for (; size > 0; size--, at++) {
        hash += *at * prime5;
        hash = (hash << 11 | hash >> 21) * prime1;
    }
    hash = (hash ^ hash >> 15) * prime2;
    hash = (hash ^ hash >> 13) * prime3;
    return hash ^ hash >> 16;
}

static uint8_t header_checksum(const uint8_t *at, size_t size)
{
    return (uint8_t)(xxh32_short(at, size) >> 8);
}

static int lz4_level(int level)
{
    if (level == COMPRESSION_LEVEL_DEFAULT || level == LZ4_LEVEL_KAFKA_DEFAULT)
        return 0;
    return level < LZ4_LEVEL_HC_MIN ? LZ4_LEVEL_HC_MIN : level;
}

static int lz4_compress(int level, int8_t magic, const void *data, size_t size, struct writer *out)
{
    LZ4F_preferences_t preferences = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = lz4_level(level),
    };
    size_t bound = LZ4F_compressFrameBound(size, &preferences);
    uint8_t *at = writer_reserve(out, bound);
    if (!at)
        return -ENOMEM;
    size_t got = LZ4F_compressFrame(at, bound, data, size, &preferences);
    if (LZ4F_isError(got))
        return -ENOMEM; /* the only thing that can fail with room enough */
    if (magic == 0)
        at[HEADER_SIZE - 1] = header_checksum(at, HEADER_SIZE - 1);
    out->size += got;
    return 0;
}

struct unlz4 {
    struct decompressor base;
    LZ4F_dctx *context;
    const uint8_t *in;
    size_t left;
    bool ended;
};

/* The bytes of the blocks from `at` to the one that ends the frame, or -EBADMSG. */
static int64_t blocks_size(const uint8_t *at, size_t size, bool checksums)
{
    size_t pos = 0;
    for (;;) {
        uint32_t block;
        if (size - pos < 4)
            return -EBADMSG;
        memcpy(&block, at + pos, 4);
        block &= ~BLOCK_UNCOMPRESSED;
        if (block == 0)
            return (int64_t)pos;
        size_t whole = 4 + (size_t)block + (checksums ? 4 : 0);
        if (whole > size - pos)
            return -EBADMSG;
        pos += whole;
    }
}

/* Check the header as Kafka does. Its size, or -EBADMSG. */
static int read_header(int8_t magic, const uint8_t *at, size_t size)
{
    uint32_t frame_magic;
    if (size < HEADER_SIZE)
        return -EBADMSG;
    memcpy(&frame_magic, at, 4);
    uint8_t flg = at[4], bd = at[5];
    if (frame_magic != FRAME_MAGIC || (flg & FLG_VERSION_MASK) != FLG_VERSION ||
        (flg & FLG_RESERVED) || !(flg & FLG_INDEPENDENT) || (bd & BD_RESERVED) ||
        bd >> 4 < BD_SIZE_MIN)
        return -EBADMSG;
    size_t described = flg & FLG_CONTENT_SIZE ? 2 + CONTENT_SIZE : 2;
    if (size < 4 + described + 1)
        return -EBADMSG;
    if (magic > 0 && at[4 + described] != header_checksum(at + 4, described))
        return -EBADMSG;
    return (int)(4 + described + 1);
}

static int library_error(size_t code)
{
    return strcmp(LZ4F_getErrorName(code), "ERROR_allocation_failed") == 0 ? -ENOMEM : -EBADMSG;
}

/* Give the library a header that says no more than how large the blocks are. */
static int feed_header(struct unlz4 *unlz4, uint8_t flg, uint8_t bd)
{
    uint8_t header[HEADER_SIZE] = {0x04, 0x22, 0x4d, 0x18};
    header[4] = FLG_VERSION | FLG_INDEPENDENT | (flg & FLG_BLOCK_CHECKSUM);
    header[5] = bd;
    header[6] = header_checksum(header + 4, 2);
    size_t in_size = sizeof header, out_size = 0;
    size_t hint = LZ4F_decompress(unlz4->context, NULL, &out_size, header, &in_size, NULL);
    if (LZ4F_isError(hint))
        return library_error(hint);
    must(in_size == sizeof header);
    return 0;
}

static int lz4_create(int8_t magic, const void *data, size_t size, struct decompressor **ret)
{
    const uint8_t *at = data;
    int header_size = read_header(magic, at, size);
    if (header_size < 0)
        return header_size;
    int64_t left =
        blocks_size(at + header_size, size - (size_t)header_size, at[4] & FLG_BLOCK_CHECKSUM);
    if (left < 0)
        return -EBADMSG;
    struct unlz4 *unlz4 = calloc(1, sizeof *unlz4);
    if (!unlz4 || LZ4F_isError(LZ4F_createDecompressionContext(&unlz4->context, LZ4F_VERSION))) {
        free(unlz4);
        return -ENOMEM;
    }
    unlz4->base.codec = &codec_lz4;
    unlz4->in = at + header_size;
    unlz4->left = (size_t)left;
    int err = feed_header(unlz4, at[4], at[5]);
    if (err == 0)
        *ret = &unlz4->base;
    else
        unlz4->base.codec->destroy(&unlz4->base);
    return err;
}

static int lz4_read(struct decompressor *base, void *out, size_t capacity, size_t *ret_size)
{
    struct unlz4 *unlz4 = (struct unlz4 *)base;
    size_t got = 0;
    while (got < capacity && !unlz4->ended) {
        size_t in_size = unlz4->left, out_size = capacity - got;
        size_t hint = LZ4F_decompress(unlz4->context, (uint8_t *)out + got, &out_size, unlz4->in,
                                      &in_size, NULL);
        if (LZ4F_isError(hint))
            return library_error(hint);
        unlz4->in += in_size;
        unlz4->left -= in_size;
        got += out_size;
        /* It asks for the end mark, which it is not shown. */
        unlz4->ended = unlz4->left == 0 && in_size == 0 && out_size == 0;
    }
    *ret_size = got;
    return 0;
}

static void lz4_destroy(struct decompressor *base)
{
    struct unlz4 *unlz4 = (struct unlz4 *)base;
    LZ4F_freeDecompressionContext(unlz4->context);
    free(unlz4);
}

const struct codec codec_lz4 = {lz4_compress, lz4_create, lz4_read, lz4_destroy};
