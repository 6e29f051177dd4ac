/* Log lines: one line per event, key=value, written by the function that decides.
 *
 *   say_info(say, "became leader", kv_str("topic", topic), kv_int("epoch", epoch));
 *
 * prints
 *
 *   2026-11-22T20:15:03.123Z INFO became leader topic=orders epoch=7
 *
 * Values with spaces, quotes or control characters are quoted and escaped, so that no input can
 * forge a line. A `say` may be used from any thread. */
#ifndef JACKDAW_BASE_SAY_H
#define JACKDAW_BASE_SAY_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/uuid.h"

enum say_level { SAY_DEBUG, SAY_INFO, SAY_WARN, SAY_ERROR };

/* One key and value; made by the kv_ functions, valid for one call. */
struct kv {
    const char *key;
    enum { KV_INT, KV_STR, KV_ID } kind;
    int64_t number;
    struct str text;
    struct uuid id;
};

static inline struct kv kv_int(const char *key, int64_t value)
{
    return (struct kv){.key = key, .kind = KV_INT, .number = value};
}

static inline struct kv kv_str(const char *key, struct str value)
{
    return (struct kv){.key = key, .kind = KV_STR, .text = value};
}

static inline struct kv kv_text(const char *key, const char *value)
{
    return (struct kv){.key = key, .kind = KV_STR, .text = str_of(value)};
}

static inline struct kv kv_id(const char *key, struct uuid value)
{
    return (struct kv){.key = key, .kind = KV_ID, .id = value};
}

/* Where lines go. `write` receives one finished line without newline and must be thread-safe; it
 * comes from env or a test. */
struct say {
    enum say_level level; /* lines below it are dropped */
    void (*write)(void *context, enum say_level level, const char *line, size_t size);
    int64_t (*wall_ms)(void *context); /* NULL: no time is printed */
    void *context;
};

void say_line(const struct say *say, enum say_level level, const char *what,
              const struct kv *values, size_t count);

#define say_at(say, level_, what, ...)                                                             \
    say_line((say), (level_), (what), (const struct kv[]){{0}, ##__VA_ARGS__} + 1,                 \
             sizeof((const struct kv[]){{0}, ##__VA_ARGS__}) / sizeof(struct kv) - 1)
#define say_debug(say, what, ...) say_at((say), SAY_DEBUG, (what), ##__VA_ARGS__)
#define say_info(say, what, ...) say_at((say), SAY_INFO, (what), ##__VA_ARGS__)
#define say_warn(say, what, ...) say_at((say), SAY_WARN, (what), ##__VA_ARGS__)
#define say_error(say, what, ...) say_at((say), SAY_ERROR, (what), ##__VA_ARGS__)

#endif
