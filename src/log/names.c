/* Names are parsed strictly: what Kafka would not write is not taken for a segment or partition. */
#include "log/names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OFFSET_DIGITS 20

static const char *const extensions[SEGMENT_FILES] = {
    [SEGMENT_LOG] = ".log",
    [SEGMENT_INDEX] = ".index",
    [SEGMENT_TIMEINDEX] = ".timeindex",
    [SEGMENT_TXNINDEX] = ".txnindex",
    [SEGMENT_SNAPSHOT] = ".snapshot",
};

int segment_path(char path[LOG_PATH_MAX], const char *dir, int64_t base_offset,
                 enum segment_file kind, const char *suffix)
{
    int n = snprintf(path, LOG_PATH_MAX, "%s/%0*lld%s%s", dir, OFFSET_DIGITS,
                     (long long)base_offset, extensions[kind], suffix);
    return n < 0 || n >= LOG_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Decimal digits only; false when there are none or the value does not fit. */
static bool parse_digits(const char *text, size_t size, int64_t max, int64_t *ret_value)
{
    int64_t value = 0;
    if (size == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        int digit = text[i] - '0';
        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

bool segment_name_parse(const char *name, int64_t *ret_base_offset, enum segment_file *ret_kind,
                        const char **ret_suffix)
{
    int64_t base_offset;
    if (strlen(name) <= OFFSET_DIGITS ||
        !parse_digits(name, OFFSET_DIGITS, INT64_MAX, &base_offset))
        return false;

    const char *rest = name + OFFSET_DIGITS;
    for (int kind = 0; kind < SEGMENT_FILES; kind++) {
        size_t size = strlen(extensions[kind]);
        if (strncmp(rest, extensions[kind], size) != 0)
            continue;
        const char *suffix = rest + size;
        if (*suffix && strcmp(suffix, SUFFIX_DELETED) != 0 && strcmp(suffix, SUFFIX_CLEANED) != 0 &&
            strcmp(suffix, SUFFIX_SWAP) != 0)
            continue;
        *ret_base_offset = base_offset;
        *ret_kind = (enum segment_file)kind;
        *ret_suffix = suffix;
        return true;
    }
    return false;
}

int path_join(char path[LOG_PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(path, LOG_PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= LOG_PATH_MAX ? -ENAMETOOLONG : 0;
}

static bool has_suffix(struct str text, const char *suffix)
{
    int32_t size = (int32_t)strlen(suffix);
    return text.size >= size && memcmp(text.data + text.size - size, suffix, (size_t)size) == 0;
}

/* The place of the last `c`, or -1. */
static int32_t find_last(struct str text, char c)
{
    for (int32_t i = text.size - 1; i >= 0; i--)
        if (text.data[i] == c)
            return i;
    return -1;
}

bool folder_name_parse(struct str name, struct str *ret_topic, int32_t *ret_partition,
                       enum folder_kind *ret_kind)
{
    enum folder_kind kind = has_suffix(name, "-delete")   ? FOLDER_DELETED
                            : has_suffix(name, "-future") ? FOLDER_FUTURE
                            : has_suffix(name, "-stray")  ? FOLDER_STRAY
                                                          : FOLDER_LOG;
    if (kind != FOLDER_LOG) {
        name.size = find_last(name, '.');
        if (name.size < 0)
            return false;
    }

    int32_t dash = find_last(name, '-');
    int64_t partition;
    if (dash <= 0 ||
        !parse_digits(name.data + dash + 1, (size_t)(name.size - dash - 1), INT32_MAX, &partition))
        return false;
    *ret_topic = (struct str){name.data, dash};
    *ret_partition = (int32_t)partition;
    *ret_kind = kind;
    return true;
}
