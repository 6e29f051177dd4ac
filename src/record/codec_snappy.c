/* snappy by libsnappy, which knows blocks only, in the framing of xerial's snappy-java:
 *   "\x82SNAPPY\0", version int32, least compatible version int32, then blocks: int32 size, bytes.
 * That is what Java writes, in blocks of 32 KiB. Other clients (librdkafka) write one bare block
 * without framing; both are read. The header may come again between blocks. */
#include <errno.h>
#include <snappy-c.h>
#include <stdlib.h>

#include "base/must.h"
#include "record/codecs.h"

#define XERIAL_HEADER 16
#define XERIAL_BLOCK (32 * 1024)
#define XERIAL_VERSION 1
/* No block stands for more than this many times its size: a copy of at most 64 bytes takes at
 * least 3. A block that claims more lies, and gets no memory. */
#define SNAPPY_RATIO_MAX 22

static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

static int snappy_compress_all(int level, int8_t magic, const void *data, size_t size,
                               struct writer *out)
{
    (void)level;
    (void)magic;
    write_bytes(out, xerial_magic, sizeof xerial_magic);
    write_int32(out, XERIAL_VERSION);
    write_int32(out, XERIAL_VERSION);
    const char *at = data;
    size_t left = size;
    while (left > 0) {
        size_t step = left < XERIAL_BLOCK ? left : XERIAL_BLOCK;
        size_t got = snappy_max_compressed_length(step);
        uint8_t *to = writer_reserve(out, 4 + got);
        if (!to)
            return -ENOMEM;
        must(snappy_compress(at, step, (char *)to + 4, &got) == SNAPPY_OK);
        store_be32(to, (uint32_t)got);
        out->size += 4 + got;
        at += step;
        left -= step;
    }
    return out->failed ? -ENOMEM : 0;
}

struct unsnappy {
    struct decompressor base;
    struct reader in;
    bool framed;
    uint8_t *plain; /* one block that did not fit where it was wanted */
    size_t plain_at, plain_size, plain_capacity;
};

static int snappy_create(int8_t magic, const void *data, size_t size, struct decompressor **ret)
{
    (void)magic;
    if (size == 0)
        return -EBADMSG;
    struct unsnappy *unsnappy = calloc(1, sizeof *unsnappy);
    if (!unsnappy)
        return -ENOMEM;
    unsnappy->base.codec = &codec_snappy;
    unsnappy->in = reader_of(data, size);
    unsnappy->framed =
        size >= XERIAL_HEADER && memcmp(data, xerial_magic, sizeof xerial_magic) == 0;
    *ret = &unsnappy->base;
    return 0;
}

/* The next block's bytes. 0, -ENODATA at the end (a torn size counts as the end, as in Java),
 * -EBADMSG. */
static int next_block(struct unsnappy *unsnappy, struct bytes *ret_block)
{
    struct reader *in = &unsnappy->in;
    if (!unsnappy->framed) {
        size_t size = reader_left(in);
        if (size == 0)
            return -ENODATA;
        *ret_block = (struct bytes){reader_take(in, size), (int32_t)size};
        return 0;
    }
    while (reader_left(in) >= XERIAL_HEADER &&
           memcmp(in->at, xerial_magic, sizeof xerial_magic) == 0)
        reader_take(in, XERIAL_HEADER);
    if (reader_left(in) < 4)
        return -ENODATA;
    int32_t size = read_int32(in);
    const uint8_t *data = size > 0 ? reader_take(in, (size_t)size) : NULL;
    if (!data)
        return -EBADMSG;
    *ret_block = (struct bytes){data, size};
    return 0;
}

static int plain_reserve(struct unsnappy *unsnappy, size_t size)
{
    if (size <= unsnappy->plain_capacity)
        return 0;
    uint8_t *plain = malloc(size);
    if (!plain)
        return -ENOMEM;
    free(unsnappy->plain);
    unsnappy->plain = plain;
    unsnappy->plain_capacity = size;
    return 0;
}

/* Decompress the next block, to `out` if it fits, else to `plain`. */
static int read_block(struct unsnappy *unsnappy, uint8_t *out, size_t capacity, size_t *ret_direct)
{
    struct bytes block;
    size_t size;
    int err = next_block(unsnappy, &block);
    if (err < 0)
        return err;
    const char *data = (const char *)block.data;
    size_t block_size = (size_t)block.size;
    if (snappy_uncompressed_length(data, block_size, &size) != SNAPPY_OK ||
        size > block_size * SNAPPY_RATIO_MAX)
        return -EBADMSG;
    bool direct = size <= capacity;
    if (!direct && (err = plain_reserve(unsnappy, size)) < 0)
        return err;
    if (snappy_uncompress(data, block_size, (char *)(direct ? out : unsnappy->plain), &size) !=
        SNAPPY_OK)
        return -EBADMSG;
    *ret_direct = direct ? size : 0;
    unsnappy->plain_at = 0;
    unsnappy->plain_size = direct ? 0 : size;
    return 0;
}

static int snappy_read(struct decompressor *base, void *out, size_t capacity, size_t *ret_size)
{
    struct unsnappy *unsnappy = (struct unsnappy *)base;
    uint8_t *to = out;
    size_t got = 0;
    while (got < capacity) {
        size_t ready = unsnappy->plain_size - unsnappy->plain_at;
        if (ready > 0) {
            size_t step = ready < capacity - got ? ready : capacity - got;
            memcpy(to + got, unsnappy->plain + unsnappy->plain_at, step);
            unsnappy->plain_at += step;
            got += step;
            continue;
        }
        size_t direct;
        int err = read_block(unsnappy, to + got, capacity - got, &direct);
        if (err == -ENODATA)
            break;
        if (err < 0)
            return err;
        got += direct;
    }
    *ret_size = got;
    return 0;
}

static void snappy_destroy(struct decompressor *base)
{
    struct unsnappy *unsnappy = (struct unsnappy *)base;
    free(unsnappy->plain);
    free(unsnappy);
}

const struct codec codec_snappy = {snappy_compress_all, snappy_create, snappy_read, snappy_destroy};
