/* zstd by libzstd. A context lives as long as one batch: idle, none takes memory. */
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/must.h"
#include "record/codecs.h"

#define ZSTD_LEVEL_DEFAULT 3 /* Kafka's */
/* The largest window that is accepted, 128 MiB: what the library and with it Java's consumers
 * accept by default, and what producers at level 22 ask for. The memory is only touched as far as
 * plain bytes come. */
#define ZSTD_WINDOW_LOG_MAX 27

static int zstd_compress(int level, int8_t magic, const void *data, size_t size, struct writer *out)
{
    (void)magic;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(size);
    uint8_t *at = writer_reserve(out, bound);
    if (!context || !at) {
        ZSTD_freeCCtx(context);
        return -ENOMEM;
    }
    if (level == COMPRESSION_LEVEL_DEFAULT)
        level = ZSTD_LEVEL_DEFAULT;
    size_t got = ZSTD_compressCCtx(context, at, bound, data, size, level);
    ZSTD_freeCCtx(context);
    if (ZSTD_isError(got)) {
        must(ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation);
        return -ENOMEM;
    }
    out->size += got;
    return 0;
}

struct unzstd {
    struct decompressor base;
    ZSTD_DCtx *context;
    ZSTD_inBuffer in;
    bool inside; /* a frame has begun and not ended */
};

static int zstd_create(int8_t magic, const void *data, size_t size, struct decompressor **ret)
{
    (void)magic;
    struct unzstd *unzstd = calloc(1, sizeof *unzstd);
    if (!unzstd)
        return -ENOMEM;
    unzstd->base.codec = &codec_zstd;
    unzstd->in = (ZSTD_inBuffer){data, size, 0};
    unzstd->context = ZSTD_createDCtx();
    if (!unzstd->context) {
        free(unzstd);
        return -ENOMEM;
    }
    size_t set = ZSTD_DCtx_setParameter(unzstd->context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    must(!ZSTD_isError(set));
    *ret = &unzstd->base;
    return 0;
}

static int zstd_read(struct decompressor *base, void *out, size_t capacity, size_t *ret_size)
{
    struct unzstd *unzstd = (struct unzstd *)base;
    ZSTD_outBuffer plain = {out, capacity, 0};
    while (plain.pos < plain.size && (unzstd->inside || unzstd->in.pos < unzstd->in.size)) {
        size_t in_before = unzstd->in.pos, out_before = plain.pos;
        size_t hint = ZSTD_decompressStream(unzstd->context, &plain, &unzstd->in);
        if (ZSTD_isError(hint))
            return ZSTD_getErrorCode(hint) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
        unzstd->inside = hint != 0;
        if (unzstd->inside && unzstd->in.pos == in_before && plain.pos == out_before)
            return -EBADMSG; /* torn: it wants bytes that do not come */
    }
    *ret_size = plain.pos;
    return 0;
}

static void zstd_destroy(struct decompressor *base)
{
    struct unzstd *unzstd = (struct unzstd *)base;
    ZSTD_freeDCtx(unzstd->context);
    free(unzstd);
}

const struct codec codec_zstd = {zstd_compress, zstd_create, zstd_read, zstd_destroy};
