#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

struct buf *buf_adopt(uint8_t *data, size_t size, size_t capacity)
{
    must(capacity <= UINT32_MAX && size <= capacity);
    struct buf *buf = malloc(sizeof *buf);
    if (!buf)
        return NULL;
    atomic_init(&buf->refs, 1);
    buf->size = (uint32_t)size;
    buf->capacity = (uint32_t)capacity;
    buf->data = data;
    return buf;
}

struct buf *buf_create(size_t capacity)
{
    uint8_t *data = malloc(capacity ? capacity : 1);
    if (!data)
        return NULL;
    struct buf *buf = buf_adopt(data, 0, capacity);
    if (!buf)
        free(data);
    return buf;
}

struct buf *buf_ref(struct buf *buf)
{
    atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    return buf;
}

void buf_unref(struct buf *buf)
{
    if (!buf || atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(buf->data);
    free(buf);
}

int buf_grow(struct buf *buf, size_t capacity)
{
    must(atomic_load_explicit(&buf->refs, memory_order_relaxed) == 1);
    if (capacity <= buf->capacity)
        return 0;
    must(capacity <= UINT32_MAX);
    uint8_t *data = realloc(buf->data, capacity);
    if (!data)
        return -ENOMEM;
    buf->data = data;
    buf->capacity = (uint32_t)capacity;
    return 0;
}
