#include "base/say.h"

#include <stdio.h>
#include <time.h>

#define LINE_MAX_BYTES 4096

/* A line under construction; what does not fit is cut, never overrun. */
struct line {
    char text[LINE_MAX_BYTES];
    size_t size;
};

static void line_put(struct line *line, const char *text, size_t size)
{
    size_t room = sizeof line->text - line->size;
    if (size > room)
        size = room;
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void line_put_text(struct line *line, const char *text)
{
    line_put(line, text, strlen(text));
}

static void line_put_time(struct line *line, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char text[64];
    gmtime_r(&seconds, &utc);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(text + n, sizeof text - n, ".%03dZ ", (int)(wall_ms % 1000));
    line_put(line, text, n);
}

static bool needs_quotes(struct str text)
{
    if (text.size == 0)
        return true;
    for (int32_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == 0x7f)
            return true;
    }
    return false;
}

static void line_put_value(struct line *line, struct str text)
{
    if (!text.data) {
        line_put_text(line, "null");
        return;
    }
    if (!needs_quotes(text)) {
        line_put(line, text.data, (size_t)text.size);
        return;
    }
    line_put_text(line, "\"");
    for (int32_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        char escaped[8];
        if (c == '"' || c == '\\')
            line_put(line, (char[]){'\\', (char)c}, 2);
        else if (c < ' ' || c == 0x7f)
            line_put(line, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\x%02x", c));
        else
            line_put(line, (char *)&c, 1);
    }
    line_put_text(line, "\"");
}

void say_line(const struct say *say, enum say_level level, const char *what,
              const struct kv *values, size_t count)
{
    static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    if (level < say->level || !say->write)
        return;
    struct line line;
    line.size = 0;
    if (say->wall_ms)
        line_put_time(&line, say->wall_ms(say->context));
    line_put_text(&line, level_names[level]);
    line_put_text(&line, " ");
    line_put_text(&line, what);
    for (size_t i = 0; i < count; i++) {
        const struct kv *kv = &values[i];
        char text[32];
        line_put_text(&line, " ");
        line_put_text(&line, kv->key);
        line_put_text(&line, "=");
        if (kv->kind == KV_STR) {
            line_put_value(&line, kv->text);
        } else if (kv->kind == KV_ID) {
            uuid_format(kv->id, text);
            line_put_text(&line, text);
        } else {
            line_put(&line, text,
                     (size_t)snprintf(text, sizeof text, "%lld", (long long)kv->number));
        }
    }
    say->write(say->context, level, line.text, line.size);
}
