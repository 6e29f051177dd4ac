#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A list of malloc'ed chunks; the newest one is filled front to back. Chunks start small, because
 * most requests need a few hundred bytes, and double up to CHUNK_MAX. */

#define CHUNK_FIRST 2048
#define CHUNK_MAX (256 * 1024)
#define PRINTF_FIRST 128

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    size_t used;
    alignas(ARENA_ALIGN) uint8_t data[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena){.limit_bytes = limit_bytes};
}

void arena_close(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *arena = (struct arena){0};
}

size_t arena_held_bytes(const struct arena *arena)
{
    size_t bytes = 0;
    for (const struct arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->next)
        bytes += sizeof *chunk + chunk->size;
    return bytes;
}

void arena_reset(struct arena *arena, size_t limit_bytes)
{
    struct arena_chunk *keep = NULL;
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        if (!next && chunk->size <= CHUNK_FIRST)
            keep = chunk;
        else
            free(chunk);
        chunk = next;
    }
    if (keep)
        keep->used = 0;
    *arena = (struct arena){.chunks = keep, .limit_bytes = limit_bytes};
}

static struct arena_chunk *chunk_add(struct arena *arena, size_t size)
{
    size_t want = arena->chunks ? arena->chunks->size * 2 : CHUNK_FIRST;
    if (want > CHUNK_MAX)
        want = CHUNK_MAX;
    if (want < size)
        want = size;
    struct arena_chunk *chunk = malloc(sizeof *chunk + want);
    if (!chunk)
        return NULL;
    chunk->next = arena->chunks;
    chunk->size = want;
    chunk->used = 0;
    arena->chunks = chunk;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t padded = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (arena->limit_bytes && padded > arena->limit_bytes - arena->used_bytes)
        return NULL;
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || padded > chunk->size - chunk->used) {
        chunk = chunk_add(arena, padded);
        if (!chunk)
            return NULL;
    }
    void *at = chunk->data + chunk->used;
    chunk->used += padded;
    arena->used_bytes += padded;
    return memset(at, 0, padded);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return arena_alloc(arena, bytes);
}

struct str arena_str(struct arena *arena, struct str text)
{
    if (!text.data)
        return text;
    char *copy = arena_alloc(arena, (size_t)text.size + 1);
    if (!copy)
        return (struct str){NULL, 0};
    memcpy(copy, text.data, (size_t)text.size);
    return (struct str){copy, text.size};
}

const char *arena_printf(struct arena *arena, const char *format, ...)
{
    char first[PRINTF_FIRST]; /* most texts are shorter, and are made only once */
    va_list args;
    va_start(args, format);
    int size = vsnprintf(first, sizeof first, format, args);
    va_end(args);
    if (size < 0)
        return NULL;
    char *text = arena_alloc(arena, (size_t)size + 1);
    if (!text)
        return NULL;
    if ((size_t)size < sizeof first)
        return memcpy(text, first, (size_t)size + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}
