#include "log/text_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/names.h"

#define METADATA_BYTES_MAX 4096

/* Cut the next line off; a last line without newline counts. False at the end. */
static bool text_line(struct str *text, struct str *ret_line)
{
    if (text->size <= 0)
        return false;
    const char *end = memchr(text->data, '\n', (size_t)text->size);
    int32_t size = end ? (int32_t)(end - text->data) : text->size;
    *ret_line = (struct str){text->data, size};
    if (size > 0 && text->data[size - 1] == '\r')
        ret_line->size--;
    int32_t taken = end ? size + 1 : size;
    text->data += taken;
    text->size -= taken;
    return true;
}

int checkpoint_reader_open(struct str text, struct checkpoint_reader *ret_reader)
{
    struct str line;
    int64_t version = 0, count = 0;
    if (text_line(&text, &line)) {
        int err = word_int64(line, 0, 0, &version);
        if (err < 0)
            return err;
        if (text_line(&text, &line))
            err = word_int64(line, 0, INT32_MAX, &count);
        if (err < 0)
            return err;
    }
    *ret_reader = (struct checkpoint_reader){text, (int32_t)count};
    return 0;
}

int checkpoint_reader_next(struct checkpoint_reader *reader, struct str *ret_line)
{
    struct str line;
    bool found = text_line(&reader->rest, &line);
    if (!found && reader->left == 0)
        return -ENODATA;
    if (!found || reader->left == 0)
        return -EBADMSG;
    reader->left--;
    *ret_line = line;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str line_word(struct str *line)
{
    while (line->size > 0 && is_blank(*line->data)) {
        line->data++;
        line->size--;
    }
    struct str word = {line->data, 0};
    while (line->size > 0 && !is_blank(*line->data)) {
        line->data++;
        line->size--;
        word.size++;
    }
    return word;
}

int word_int64(struct str word, int64_t min, int64_t max, int64_t *ret_value)
{
    bool negative = word.size > 0 && word.data[0] == '-';
    int64_t value = 0;
    if (word.size == negative)
        return -EBADMSG;
    for (int32_t i = negative; i < word.size; i++) {
        int digit = word.data[i] - '0';
        if (digit < 0 || digit > 9)
            return -EBADMSG;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return -EBADMSG;
    }
    if (value < min || value > max)
        return -EBADMSG;
    *ret_value = value;
    return 0;
}

void write_format(struct writer *writer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    uint8_t *at = size < 0 ? NULL : writer_reserve(writer, (size_t)size + 1);
    if (!at)
        return;
    va_start(args, format);
    vsnprintf((char *)at, (size_t)size + 1, format, args);
    va_end(args);
    writer->size += (size_t)size;
}

int file_replace_unsynced(struct env *env, const char *path, const void *data, size_t size)
{
    char temporary[LOG_PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof temporary)
        return -ENAMETOOLONG;
    int file = env_open(env, temporary, ENV_WRITE | ENV_CREATE | ENV_TRUNCATE);
    if (file < 0)
        return file;
    int err = env_write_all(env, file, data, size, 0);
    int close_err = env_close(env, file);
    if (err == 0)
        err = close_err;
    /* On failure the temporary file stays for the next attempt, or for the next start to remove:
     * removing it might block, and a loop may be here. */
    return err == 0 ? env_rename(env, temporary, path) : err;
}

/* "KEY: VALUE"; the value, or an empty one when the key is another. */
static struct str metadata_value(struct str line, const char *key)
{
    size_t size = strlen(key);
    if ((size_t)line.size < size || memcmp(line.data, key, size) != 0)
        return (struct str){0};
    struct str rest = {line.data + size, line.size - (int32_t)size};
    return line_word(&rest);
}

static int metadata_parse(struct str text, struct uuid *ret_topic_id)
{
    struct str line;
    struct uuid id;
    int64_t version;
    if (!text_line(&text, &line) ||
        word_int64(metadata_value(line, "version:"), 0, 0, &version) < 0)
        return -EBADMSG;
    if (!text_line(&text, &line) || uuid_parse(metadata_value(line, "topic_id:"), &id) < 0 ||
        uuid_is_zero(id))
        return -EBADMSG;
    *ret_topic_id = id;
    return 0;
}

int partition_metadata_read(struct env *env, const char *dir, struct uuid *ret_topic_id)
{
    char path[LOG_PATH_MAX];
    char *data;
    size_t size;
    int err = path_join(path, dir, PARTITION_METADATA);
    if (err < 0)
        return err;
    err = env_load(env, path, METADATA_BYTES_MAX, &data, &size);
    if (err < 0)
        return err == -EFBIG ? -EBADMSG : err;
    err = metadata_parse((struct str){data, (int32_t)size}, ret_topic_id);
    free(data);
    return err;
}

int partition_metadata_write(struct env *env, const char *dir, struct uuid topic_id)
{
    char path[LOG_PATH_MAX], text[128], id[UUID_TEXT_SIZE];
    int err = path_join(path, dir, PARTITION_METADATA);
    if (err < 0)
        return err;
    uuid_format(topic_id, id);
    int size = snprintf(text, sizeof text, "version: 0\ntopic_id: %s", id);
    return file_replace_unsynced(env, path, text, (size_t)size);
}
