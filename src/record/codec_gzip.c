/* gzip by zlib, which has met every hostile stream there is. Members may follow each other; what
 * follows and is none ends the stream, as in Java's GZIPInputStream. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/must.h"
#include "record/codecs.h"

#define GZIP_WINDOW_BITS (15 + 16) /* gzip headers, the largest window */
#define GZIP_MEMORY_LEVEL 8        /* as deflateInit */
#define GZIP_MEMBER_MIN 18         /* bytes of header and trailer */

static int gzip_compress(int level, int8_t magic, const void *data, size_t size, struct writer *out)
{
    (void)magic;
    z_stream stream = {0};
    int zlib_level = level >= 1 && level <= 9 ? level : Z_DEFAULT_COMPRESSION;
    if (size > UINT32_MAX / 2)
        return -ENOMEM;
    if (deflateInit2(&stream, zlib_level, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    size_t bound = deflateBound(&stream, size);
    uint8_t *at = writer_reserve(out, bound);
    if (!at) {
        deflateEnd(&stream);
        return -ENOMEM;
    }
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = at;
    stream.avail_out = (uInt)bound;
    must(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out->size += stream.total_out;
    deflateEnd(&stream);
    return 0;
}

struct gunzip {
    struct decompressor base;
    z_stream stream;
    bool ended;
};

static int gzip_create(int8_t magic, const void *data, size_t size, struct decompressor **ret)
{
    (void)magic;
    if (size > UINT32_MAX)
        return -EBADMSG;
    struct gunzip *gunzip = calloc(1, sizeof *gunzip);
    if (!gunzip)
        return -ENOMEM;
    gunzip->base.codec = &codec_gzip;
    gunzip->stream.next_in = (Bytef *)(uintptr_t)data;
    gunzip->stream.avail_in = (uInt)size;
    if (inflateInit2(&gunzip->stream, GZIP_WINDOW_BITS) != Z_OK) {
        free(gunzip);
        return -ENOMEM;
    }
    *ret = &gunzip->base;
    return 0;
}

/* One member ended: go on with the next, if there is one. */
static void next_member(struct gunzip *gunzip)
{
    z_stream *stream = &gunzip->stream;
    const uint8_t *next = stream->next_in;
    if (stream->avail_in > GZIP_MEMBER_MIN && next[0] == 0x1f && next[1] == 0x8b)
        must(inflateReset(stream) == Z_OK);
    else
        gunzip->ended = true;
}

static int gzip_read(struct decompressor *base, void *out, size_t capacity, size_t *ret_size)
{
    struct gunzip *gunzip = (struct gunzip *)base;
    z_stream *stream = &gunzip->stream;
    uInt room = capacity < UINT32_MAX ? (uInt)capacity : UINT32_MAX;
    stream->next_out = out;
    stream->avail_out = room;
    while (stream->avail_out > 0 && !gunzip->ended) {
        int state = inflate(stream, Z_NO_FLUSH);
        if (state == Z_STREAM_END)
            next_member(gunzip);
        else if (state == Z_MEM_ERROR)
            return -ENOMEM;
        else if (state != Z_OK) /* Z_BUF_ERROR: the input is torn */
            return -EBADMSG;
    }
    *ret_size = room - stream->avail_out;
    return 0;
}

static void gzip_destroy(struct decompressor *base)
{
    struct gunzip *gunzip = (struct gunzip *)base;
    inflateEnd(&gunzip->stream);
    free(gunzip);
}

const struct codec codec_gzip = {gzip_compress, gzip_create, gzip_read, gzip_destroy};
