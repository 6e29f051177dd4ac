/* Reference-counted block of bytes: a received frame, an encoded answer. Any thread may hold one.
 */
#ifndef JACKDAW_BASE_BUF_H
#define JACKDAW_BASE_BUF_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    _Atomic int refs;
    uint32_t size;     /* bytes in use; the holder of the only reference may change it */
    uint32_t capacity; /* bytes at data */
    uint8_t *data;
};

/* One reference, size 0. NULL when memory runs out. */
struct buf *buf_create(size_t capacity);

/* One reference to a buf that takes over `data` (from malloc). NULL, and data not taken, on
 * failure. */
struct buf *buf_adopt(uint8_t *data, size_t size, size_t capacity);

struct buf *buf_ref(struct buf *buf);
void buf_unref(struct buf *buf); /* NULL is accepted */

/* Grow to at least `capacity`; only with the only reference. 0 or -ENOMEM. */
int buf_grow(struct buf *buf, size_t capacity);

#endif
