#include "log/epochs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "log/names.h"
#include "log/text_file.h"

#define FILE_BYTES_MAX (EPOCHS_MAX * 32)

void epochs_close(struct epochs *epochs)
{
    free(epochs->items);
    *epochs = (struct epochs){0};
}

int epochs_copy(const struct epochs *epochs, struct epochs *ret_copy)
{
    struct epochs copy = {0};
    int err = epochs_reserve(&copy, epochs->count);
    if (err < 0)
        return err;
    if (epochs->count)
        memcpy(copy.items, epochs->items, sizeof *copy.items * (size_t)epochs->count);
    copy.count = epochs->count;
    *ret_copy = copy;
    return 0;
}

int epochs_reserve(struct epochs *epochs, int32_t more)
{
    if (more <= epochs->capacity - epochs->count)
        return 0;
    int32_t capacity = epochs->count + more;
    struct epoch_entry *items = realloc(epochs->items, sizeof *items * (size_t)capacity);
    if (!items)
        return -ENOMEM;
    epochs->items = items;
    epochs->capacity = capacity;
    return 0;
}

bool epochs_assign(struct epochs *epochs, int32_t epoch, int64_t offset)
{
    must(epoch >= 0 && offset >= 0);
    if (epochs->count > 0) {
        const struct epoch_entry *last = &epochs->items[epochs->count - 1];
        if (last->epoch == epoch && offset >= last->start_offset)
            return false;
    }
    while (epochs->count > 0 && (epochs->items[epochs->count - 1].epoch >= epoch ||
                                 epochs->items[epochs->count - 1].start_offset >= offset))
        epochs->count--;
    must(epochs->count < epochs->capacity);
    epochs->items[epochs->count++] = (struct epoch_entry){epoch, offset};
    return true;
}

bool epochs_truncate_end(struct epochs *epochs, int64_t offset)
{
    int32_t before = epochs->count;
    while (epochs->count > 0 && epochs->items[epochs->count - 1].start_offset >= offset)
        epochs->count--;
    return epochs->count != before;
}

bool epochs_truncate_start(struct epochs *epochs, int64_t offset)
{
    int32_t drop = 0;
    while (drop < epochs->count && epochs->items[drop].start_offset <= offset)
        drop++;
    if (drop == 0 || (drop == 1 && epochs->items[0].start_offset == offset))
        return false;
    epochs->count -= drop - 1;
    memmove(epochs->items, epochs->items + drop - 1, sizeof *epochs->items * (size_t)epochs->count);
    epochs->items[0].start_offset = offset;
    return true;
}

bool epochs_clear(struct epochs *epochs)
{
    bool changed = epochs->count > 0;
    epochs->count = 0;
    return changed;
}

int32_t epochs_latest(const struct epochs *epochs)
{
    return epochs->count ? epochs->items[epochs->count - 1].epoch : -1;
}

int32_t epochs_at(const struct epochs *epochs, int64_t offset)
{
    for (int32_t i = epochs->count - 1; i >= 0; i--)
        if (epochs->items[i].start_offset <= offset)
            return epochs->items[i].epoch;
    return -1;
}

void epochs_end(const struct epochs *epochs, int32_t epoch, int64_t log_end, int32_t *ret_epoch,
                int64_t *ret_end_offset)
{
    int32_t higher = 0;
    *ret_epoch = -1;
    *ret_end_offset = -1;
    if (epoch == -1)
        return;
    if (epoch == epochs_latest(epochs)) {
        *ret_epoch = epoch;
        *ret_end_offset = log_end;
        return;
    }
    while (higher < epochs->count && epochs->items[higher].epoch <= epoch)
        higher++;
    if (higher == epochs->count)
        return;
    *ret_epoch = higher > 0 ? epochs->items[higher - 1].epoch : epoch;
    *ret_end_offset = epochs->items[higher].start_offset;
}

static int line_parse(struct str line, struct epoch_entry *ret_entry)
{
    int64_t epoch, offset;
    if (word_int64(line_word(&line), 0, INT32_MAX, &epoch) < 0 ||
        word_int64(line_word(&line), 0, INT64_MAX, &offset) < 0 || line_word(&line).size > 0)
        return -EBADMSG;
    *ret_entry = (struct epoch_entry){(int32_t)epoch, offset};
    return 0;
}

static int parse(struct str text, struct epochs *epochs)
{
    struct checkpoint_reader reader;
    struct str line;
    int err = checkpoint_reader_open(text, &reader);
    if (err == 0 && reader.left > EPOCHS_MAX)
        err = -EBADMSG;
    if (err == 0)
        err = epochs_reserve(epochs, reader.left);
    while (err == 0 && (err = checkpoint_reader_next(&reader, &line)) == 0) {
        struct epoch_entry entry;
        err = line_parse(line, &entry);
        if (err < 0)
            return err;
        if (epochs->count > 0 &&
            (entry.epoch <= epochs->items[epochs->count - 1].epoch ||
             entry.start_offset <= epochs->items[epochs->count - 1].start_offset))
            return -EBADMSG;
        epochs->items[epochs->count++] = entry;
    }
    return err == -ENODATA ? 0 : err;
}

int epochs_read(struct env *env, const char *dir, struct epochs *ret_epochs)
{
    char path[LOG_PATH_MAX];
    char *data;
    size_t size;
    struct epochs epochs = {0};
    int err = path_join(path, dir, EPOCHS_FILE);
    if (err == 0)
        err = env_load(env, path, FILE_BYTES_MAX, &data, &size);
    if (err < 0)
        return err == -EFBIG ? -EBADMSG : err;
    err = parse((struct str){data, (int32_t)size}, &epochs);
    free(data);
    if (err < 0)
        epochs_close(&epochs);
    else
        *ret_epochs = epochs;
    return err;
}

int epochs_write(const struct epochs *epochs, struct env *env, const char *dir)
{
    char path[LOG_PATH_MAX];
    struct writer out = {0};
    int err = path_join(path, dir, EPOCHS_FILE);
    if (err < 0)
        return err;
    write_format(&out, "0\n%d\n", epochs->count);
    for (int32_t i = 0; i < epochs->count; i++)
        write_format(&out, "%d %lld\n", epochs->items[i].epoch,
                     (long long)epochs->items[i].start_offset);
    err = out.failed ? -ENOMEM : file_replace_unsynced(env, path, out.data, out.size);
    writer_close(&out);
    return err;
}
