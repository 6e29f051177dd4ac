/* Compressed streams: the first byte chooses codec, magic and step. In one go or in steps the plain
 * bytes are the same, never more than were asked for, and the end is an end. */
#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "batch_seed.h"
#include "record/compression.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static int read_in_steps(enum compression codec, int8_t magic, const uint8_t *data, size_t size,
                         size_t step, struct writer *out)
{
    struct decompressor *decompressor;
    int err = decompressor_create(codec, magic, data, size, &decompressor);
    if (err < 0)
        return err;
    size_t got;
    do {
        uint8_t *at = malloc(step);
        must(at);
        got = 0;
        err = decompressor_read(decompressor, at, step, &got);
        must(err == 0 || got == 0);
        must(got <= step);
        write_bytes(out, at, got);
        free(at);
    } while (err == 0 && got > 0 && out->size <= FUZZ_PLAIN_MAX);
    uint8_t more;
    if (err == 0 && got == 0)
        must(decompressor_read(decompressor, &more, 1, &got) == 0 && got == 0);
    decompressor_destroy(decompressor);
    return err == 0 && out->size > FUZZ_PLAIN_MAX ? -EFBIG : err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum compression codec = (enum compression)(data[0] % 8);
    int8_t magic = data[0] & 8 ? 0 : 2;
    size_t step = 1 + (size_t)(data[0] >> 4) * 577;
    struct writer whole = {0}, steps = {0};
    int err = decompress_bytes(codec, magic, data + 1, size - 1, FUZZ_PLAIN_MAX, &whole);
    must(err == 0 || err == -EBADMSG || err == -EFBIG || err == -EINVAL || err == -ENOMEM);
    must(whole.size <= FUZZ_PLAIN_MAX);
    if (codec != COMPRESSION_NONE) {
        int again = read_in_steps(codec, magic, data + 1, size - 1, step, &steps);
        /* libzstd compares the size a frame claims only where it sees all of it at once. */
        must(again == err || err == -EFBIG || again == -EFBIG || codec == COMPRESSION_ZSTD);
        if (err == 0)
            must(steps.size == whole.size &&
                 (whole.size == 0 || memcmp(steps.data, whole.data, whole.size) == 0));
    }
    writer_close(&steps);
    writer_close(&whole);
    return 0;
}

/* Now and then a valid stream of what the input holds. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (seed % 32 > 0 || size < 2)
        return LLVMFuzzerMutate(data, size, max_size);
    struct writer packed = {0};
    int codec = 1 + (int)(seed / 32 % 4);
    must(compress_bytes((enum compression)codec, COMPRESSION_LEVEL_DEFAULT, 2, data + 1, size - 1,
                        &packed) == 0);
    if (packed.size < max_size) {
        data[0] = (uint8_t)((data[0] & 0xf0) | codec);
        memcpy(data + 1, packed.data, packed.size);
        size = packed.size + 1;
    }
    writer_close(&packed);
    return size;
}
