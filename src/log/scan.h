/* Walks the batches of one segment file from front to back, reading no more than it must. */
#ifndef JACKDAW_LOG_SCAN_H
#define JACKDAW_LOG_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "os/env.h"
#include "record/batch.h"

struct scan {
    struct env *env;
    int file;
    int64_t position; /* of the batch that next answers */
    int64_t end;      /* bytes of the file that count */
    bool may_block;
    int64_t least_offset; /* the least base offset the next batch may have; INT64_MIN: any */
    /* The window of the file in memory. */
    uint8_t *buffer; /* the scan's own stack space, or malloc when `owned` */
    int32_t capacity;
    bool owned;
    int64_t buffer_at;
    int32_t buffer_size;
    int32_t last_size; /* of the batch before */
};

#define SCAN_SMALL_BYTES 4096                   /* for looking up one place */
#define SCAN_LARGE_BYTES (256 * 1024)           /* for reading everything */
#define SCAN_BODY_MAX_BYTES (512 * 1024 * 1024) /* a batch that scan_body brings to memory */

/* Look at headers only, in the caller's buffer. */
void scan_init(struct scan *scan, struct env *env, int file, int64_t position, int64_t end,
               bool may_block, uint8_t buffer[SCAN_SMALL_BYTES]);
/* Read whole batches; free with scan_close. -ENOMEM. */
int scan_init_large(struct scan *scan, struct env *env, int file, int64_t position, int64_t end);
void scan_close(struct scan *scan);

/* The next batch; its place is scan->position - batch.size afterwards. batch.data is NULL: the
 * bytes need not be in memory. 0; -ENODATA at the end; -EBADMSG when no whole, sound batch is at
 * the position (it stays there): a malformed header, one that reaches beyond the end, or offsets
 * that go back; -EAGAIN unless may_block; other -errno. */
int scan_next(struct scan *scan, struct batch *ret_batch);

/* Whether the checksum of the batch that scan_next just answered is right: 0, -EBADMSG, -errno.
 * Needs scan_init_large. */
int scan_check(struct scan *scan, const struct batch *batch);

/* Bring that batch's bytes to memory and set batch->data, valid until the next call. -EFBIG above
 * SCAN_BODY_MAX_BYTES. Needs scan_init_large. */
int scan_body(struct scan *scan, struct batch *batch);

#endif
