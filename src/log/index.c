#include "log/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/must.h"

/* Entries read at once when the search has come close. */
#define BLOCK_BYTES 4096

static struct index_entry entry_decode(enum index_kind kind, const uint8_t *at)
{
    if (kind == INDEX_OFFSET)
        return (struct index_entry){(int32_t)load_be32(at), (int32_t)load_be32(at + 4)};
    return (struct index_entry){(int64_t)load_be64(at), (int32_t)load_be32(at + 8)};
}

static void entry_encode(enum index_kind kind, struct index_entry entry, uint8_t *at)
{
    if (kind == INDEX_OFFSET) {
        store_be32(at, (uint32_t)entry.key);
        store_be32(at + 4, (uint32_t)entry.value);
    } else {
        store_be64(at, (uint64_t)entry.key);
        store_be32(at + 8, (uint32_t)entry.value);
    }
}

static int64_t entry_column(struct index_entry entry, enum index_by by)
{
    return by == INDEX_BY_KEY ? entry.key : entry.value;
}

void index_close(struct index *index)
{
    free(index->tail);
    index->tail = NULL;
    index->tail_count = 0;
}

int index_append(struct index *index, enum index_kind kind, struct index_entry entry)
{
    must(index->tail_count < INDEX_TAIL_ENTRIES);
    if (!index->tail) {
        index->tail = malloc((size_t)(INDEX_TAIL_ENTRIES * index_entry_size(kind)));
        if (!index->tail)
            return -ENOMEM;
    }
    entry_encode(kind, entry, index->tail + index->tail_count * index_entry_size(kind));
    index->tail_count++;
    index->last = entry;
    return 0;
}

int index_write_tail(const struct index *index, enum index_kind kind, struct env *env, int file)
{
    int32_t size = index_entry_size(kind);
    return env_write_all(env, file, index->tail, (size_t)(index->tail_count * size),
                         (int64_t)index->written * size);
}

void index_tail_written(struct index *index)
{
    index->written += index->tail_count;
    index->tail_count = 0;
}

struct index_entry index_tail_entry(const struct index *index, enum index_kind kind, int32_t nth)
{
    return entry_decode(kind, index->tail + nth * index_entry_size(kind));
}

/* The last of `count` encoded entries whose column is <= target, or -1. */
static int32_t search_block(const uint8_t *data, int32_t count, enum index_kind kind,
                            enum index_by by, int64_t target)
{
    int32_t low = 0, high = count; /* entries before low are <= target, from high on > target */
    while (low < high) {
        int32_t mid = low + (high - low) / 2;
        struct index_entry entry = entry_decode(kind, data + mid * index_entry_size(kind));
        if (entry_column(entry, by) <= target)
            low = mid + 1;
        else
            high = mid;
    }
    return low - 1;
}

bool index_search_tail(const struct index *index, enum index_kind kind, enum index_by by,
                       int64_t target, struct index_entry *ret_entry)
{
    int32_t at = search_block(index->tail, index->tail_count, kind, by, target);
    if (at < 0)
        return false;
    *ret_entry = entry_decode(kind, index->tail + at * index_entry_size(kind));
    return true;
}

static int read_entries(const struct index_file *file, int32_t first, int32_t count, uint8_t *data)
{
    int32_t entry_size = index_entry_size(file->kind);
    size_t size = (size_t)count * (size_t)entry_size;
    int64_t offset = (int64_t)first * entry_size;
    if (file->may_block)
        return env_read_all(file->env, file->file, data, size, offset);
    while (size > 0) {
        ssize_t n = env_read_nowait(file->env, file->file, data, size, offset);
        if (n <= 0)
            return n < 0 ? (int)n : -ENODATA;
        data += n;
        size -= (size_t)n;
        offset += n;
    }
    return 0;
}

int index_read_entry(const struct index_file *file, int32_t number, struct index_entry *ret_entry)
{
    uint8_t data[INDEX_ENTRY_MAX];
    int err = read_entries(file, number, 1, data);
    if (err == 0)
        *ret_entry = entry_decode(file->kind, data);
    return err;
}

/* Search entries [first, first + count), known to hold the answer or to begin after it. */
static int search_range(const struct index_file *file, int32_t first, int32_t count,
                        enum index_by by, int64_t target, int32_t *ret_number,
                        struct index_entry *ret_entry)
{
    uint8_t data[INDEX_WARM_BYTES];
    must(count * index_entry_size(file->kind) <= INDEX_WARM_BYTES);
    int err = read_entries(file, first, count, data);
    if (err < 0)
        return err;
    int32_t at = search_block(data, count, file->kind, by, target);
    *ret_number = at < 0 ? -1 : first + at;
    if (at >= 0)
        *ret_entry = entry_decode(file->kind, data + at * index_entry_size(file->kind));
    return 0;
}

int index_search_file(const struct index_file *file, enum index_by by, int64_t target,
                      int32_t *ret_number, struct index_entry *ret_entry)
{
    int32_t warm = INDEX_WARM_BYTES / index_entry_size(file->kind);
    int32_t block = BLOCK_BYTES / index_entry_size(file->kind);
    int32_t low = file->count > warm ? file->count - warm : 0;
    int err = search_range(file, low, file->count - low, by, target, ret_number, ret_entry);
    if (err < 0 || *ret_number >= 0 || low == 0)
        return err;

    /* The answer is before `low`: halve by single entries until one block is left. */
    int32_t high = low;
    low = 0;
    while (high - low > block) {
        struct index_entry entry;
        int32_t mid = low + (high - low) / 2;
        err = index_read_entry(file, mid, &entry);
        if (err < 0)
            return err;
        if (entry_column(entry, by) <= target)
            low = mid;
        else
            high = mid;
    }
    return search_range(file, low, high - low, by, target, ret_number, ret_entry);
}

int index_truncate(struct index *index, enum index_kind kind, int32_t count, struct env *env,
                   int file)
{
    must(count >= 0 && count <= index_count(index));
    struct index_entry last = {0};
    if (count > index->written) {
        int32_t at = count - index->written - 1;
        last = entry_decode(kind, index->tail + at * index_entry_size(kind));
    } else if (count > 0) {
        struct index_file in = {env, file, kind, count, true};
        int err = index_read_entry(&in, count - 1, &last);
        if (err < 0)
            return err;
    }
    index->tail_count = count > index->written ? count - index->written : 0;
    index->written = count < index->written ? count : index->written;
    index->last = last;
    return 0;
}

int index_check_file(const struct index_file *file, int64_t size, int64_t offset_limit,
                     int64_t position_limit, int32_t *ret_valid)
{
    uint8_t data[INDEX_WARM_BYTES];
    int32_t entry_size = index_entry_size(file->kind);
    int32_t total = (int32_t)(size / entry_size), block = INDEX_WARM_BYTES / entry_size;
    int64_t key_limit = file->kind == INDEX_OFFSET ? offset_limit : INT64_MAX;
    int64_t value_limit = file->kind == INDEX_OFFSET ? position_limit : offset_limit;
    /* The first batch has no entry, so no position is 0; nor is all of a time entry. */
    struct index_entry previous =
        file->kind == INDEX_OFFSET ? (struct index_entry){-1, 0} : (struct index_entry){-1, -1};
    int32_t valid = 0;
    while (valid < total) {
        int32_t count = total - valid < block ? total - valid : block;
        int err = read_entries(file, valid, count, data);
        if (err < 0)
            return err;
        int32_t i = 0;
        for (; i < count; i++) {
            struct index_entry entry = entry_decode(file->kind, data + i * entry_size);
            if (entry.key <= previous.key || entry.value <= previous.value ||
                entry.key > key_limit || entry.value > value_limit ||
                (entry.key == 0 && entry.value == 0))
                break;
            previous = entry;
        }
        valid += i;
        if (i < count)
            break;
    }
    *ret_valid = valid;
    return 0;
}
