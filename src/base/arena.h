/* Bump allocator for everything that lives exactly as long as one request.
 *
 * Nothing is freed by hand; arena_reset or arena_close drops all of it. `limit_bytes` caps what the
 * arena may take, so that a small frame cannot ask for large memory. */
#ifndef JACKDAW_BASE_ARENA_H
#define JACKDAW_BASE_ARENA_H

#include <stddef.h>

#include "base/bytes.h"

#define ARENA_ALIGN 16 /* every allocation takes a multiple of it */

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used_bytes;          /* handed out since init or reset, padding included */
    size_t limit_bytes;         /* 0: no limit */
};

void arena_init(struct arena *arena, size_t limit_bytes);
void arena_close(struct arena *arena);

/* Memory that it takes by now, handed out or not. */
size_t arena_held_bytes(const struct arena *arena);

/* Drop everything allocated, keeping one chunk for the next user. */
void arena_reset(struct arena *arena, size_t limit_bytes);

/* Zeroed memory, aligned to 16 bytes. NULL when the limit or memory is exhausted. size 0 gives a
 * valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);

/* Same for `count` items of `size` bytes; NULL as well when the product overflows. */
void *arena_array(struct arena *arena, size_t count, size_t size);

/* A copy that ends with a NUL byte which the size does not count. data is NULL on failure. */
struct str arena_str(struct arena *arena, struct str text);

/* printf into the arena, NUL-terminated; NULL on failure. */
const char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
