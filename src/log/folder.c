/* Compaction replaces segments in two steps: the new ones are written as .cleaned, all renamed to
 * .swap, then the old ones are removed and the new ones renamed. A crash between leaves files of
 * which these rules make one or the other state:
 *
 *   .cleaned            the rewrite was not finished: remove it, and every .swap from there on
 *   .swap               the rewrite was finished: remove what it replaces, rename it
 *   .deleted, .tmp      remove */
#include "log/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log/log_internal.h"

struct entry {
    int64_t base_offset;
    enum segment_file kind;
    enum { NO_SUFFIX, SWAP, CLEANED, DELETED } suffix;
};

struct listing {
    struct env *env;
    const char *dir;
    struct entry *items;
    int32_t count, capacity;
};

static int remove_name(const struct listing *listing, const char *name)
{
    char path[LOG_PATH_MAX];
    int err = path_join(path, listing->dir, name);
    if (err == 0)
        err = env_unlink(listing->env, path);
    return err == -ENOENT ? 0 : err;
}

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), end_size = strlen(end);
    return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

static int visit(void *context, const char *name)
{
    struct listing *listing = context;
    struct entry entry;
    const char *suffix;
    if (ends_with(name, ".tmp"))
        return remove_name(listing, name);
    if (!segment_name_parse(name, &entry.base_offset, &entry.kind, &suffix))
        return 0;
    entry.suffix = !*suffix                              ? NO_SUFFIX
                   : strcmp(suffix, SUFFIX_SWAP) == 0    ? SWAP
                   : strcmp(suffix, SUFFIX_CLEANED) == 0 ? CLEANED
                                                         : DELETED;
    if (entry.suffix == DELETED)
        return remove_name(listing, name);

    if (listing->count == listing->capacity) {
        int32_t capacity = listing->capacity ? listing->capacity * 2 : 16;
        if (capacity > FOLDER_FILES_MAX)
            return -EFBIG;
        struct entry *items = realloc(listing->items, sizeof *items * (size_t)capacity);
        if (!items)
            return -ENOMEM;
        listing->items = items;
        listing->capacity = capacity;
    }
    listing->items[listing->count++] = entry;
    return 0;
}

static int remove_entry(const struct listing *listing, const struct entry *entry,
                        const char *suffix)
{
    char path[LOG_PATH_MAX];
    int err = segment_path(path, listing->dir, entry->base_offset, entry->kind, suffix);
    if (err == 0)
        err = env_unlink(listing->env, path);
    return err == -ENOENT ? 0 : err;
}

/* Take entry `at` out of the list; order does not matter before the end. */
static void drop(struct listing *listing, int32_t at)
{
    listing->items[at] = listing->items[--listing->count];
}

static int remove_cleaned(struct listing *listing)
{
    int64_t least = INT64_MAX;
    for (int32_t i = 0; i < listing->count; i++)
        if (listing->items[i].suffix == CLEANED && listing->items[i].base_offset < least)
            least = listing->items[i].base_offset;
    for (int32_t i = listing->count - 1; i >= 0; i--) {
        const struct entry *entry = &listing->items[i];
        bool gone =
            entry->suffix == CLEANED || (entry->suffix == SWAP && entry->base_offset >= least);
        if (!gone)
            continue;
        int err =
            remove_entry(listing, entry, entry->suffix == SWAP ? SUFFIX_SWAP : SUFFIX_CLEANED);
        if (err < 0)
            return err;
        drop(listing, i);
    }
    return 0;
}

/* The offset after the last batch of a finished .swap file. */
static int swap_end(const struct listing *listing, const struct entry *entry, int64_t *ret_end)
{
    char path[LOG_PATH_MAX];
    uint8_t buffer[SCAN_SMALL_BYTES];
    struct scan scan;
    struct batch batch;
    int64_t size, end = entry->base_offset;
    int err = segment_path(path, listing->dir, entry->base_offset, SEGMENT_LOG, SUFFIX_SWAP);
    if (err < 0)
        return err;
    int file = env_open(listing->env, path, ENV_READ);
    if (file < 0)
        return file;
    err = env_size(listing->env, file, &size);
    if (err == 0) {
        scan_init(&scan, listing->env, file, 0, size, true, buffer);
        while ((err = scan_next(&scan, &batch)) == 0)
            end = batch_last_offset(&batch) + 1;
    }
    (void)env_close(listing->env, file);
    *ret_end = end;
    return err == -ENODATA ? 0 : err;
}

static int rename_swap(struct listing *listing, struct entry *entry)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    int err = segment_path(from, listing->dir, entry->base_offset, entry->kind, SUFFIX_SWAP);
    if (err == 0)
        err = segment_path(to, listing->dir, entry->base_offset, entry->kind, "");
    if (err == 0)
        err = env_rename(listing->env, from, to);
    entry->suffix = NO_SUFFIX;
    return err;
}

static int finish_swaps(struct listing *listing, const struct say *say)
{
    int64_t least = INT64_MAX, end = INT64_MIN;
    for (int32_t i = 0; i < listing->count; i++) {
        const struct entry *entry = &listing->items[i];
        int64_t swap_end_offset;
        if (entry->suffix != SWAP || entry->kind != SEGMENT_LOG)
            continue;
        int err = swap_end(listing, entry, &swap_end_offset);
        if (err < 0)
            return err;
        if (entry->base_offset < least)
            least = entry->base_offset;
        /* The one of the same base goes even if nothing is left in its place: its .txnindex would
         * name transactions whose markers are gone. */
        if (swap_end_offset == entry->base_offset && swap_end_offset < INT64_MAX)
            swap_end_offset++;
        if (swap_end_offset > end)
            end = swap_end_offset;
        say_info(say, "finishing an interrupted replacement", kv_text("dir", listing->dir),
                 kv_int("segment", entry->base_offset));
    }
    for (int32_t i = listing->count - 1; i >= 0; i--) {
        const struct entry *entry = &listing->items[i];
        if (entry->suffix != NO_SUFFIX || entry->base_offset < least || entry->base_offset >= end)
            continue;
        int err = remove_entry(listing, entry, "");
        if (err < 0)
            return err;
        drop(listing, i);
    }
    for (int32_t i = 0; i < listing->count; i++) {
        int err = listing->items[i].suffix == SWAP ? rename_swap(listing, &listing->items[i]) : 0;
        if (err < 0)
            return err;
    }
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->base_offset != y->base_offset)
        return x->base_offset < y->base_offset ? -1 : 1;
    return (int)x->kind - (int)y->kind;
}

/* Group the files by base offset; indexes without a .log are removed. */
static int collect(struct listing *listing, const struct say *say, struct folder *folder)
{
    size_t room = (size_t)listing->count + 1;
    folder->segments = calloc(room, sizeof *folder->segments);
    folder->snapshots = calloc(room, sizeof *folder->snapshots);
    if (!folder->segments || !folder->snapshots)
        return -ENOMEM;
    if (listing->count)
        qsort(listing->items, (size_t)listing->count, sizeof *listing->items, compare_entries);
    for (int32_t i = 0; i < listing->count; i++) {
        const struct entry *entry = &listing->items[i];
        if (entry->kind == SEGMENT_SNAPSHOT) {
            folder->snapshots[folder->snapshot_count++] = entry->base_offset;
        } else if (entry->kind == SEGMENT_LOG) {
            folder->segments[folder->segment_count++] =
                (struct folder_segment){entry->base_offset, FILE_BIT(SEGMENT_LOG)};
        } else if (folder->segment_count > 0 &&
                   folder->segments[folder->segment_count - 1].base_offset == entry->base_offset) {
            folder->segments[folder->segment_count - 1].files |= (uint8_t)FILE_BIT(entry->kind);
        } else {
            say_warn(say, "removing an index without its segment", kv_text("dir", listing->dir),
                     kv_int("base_offset", entry->base_offset));
            int err = remove_entry(listing, entry, "");
            if (err < 0)
                return err;
        }
    }
    return 0;
}

int folder_load(struct env *env, const struct say *say, const char *dir, struct folder *ret_folder)
{
    struct listing listing = {.env = env, .dir = dir};
    struct folder folder = {0};
    int err = env_list_dir(env, dir, visit, &listing);
    if (err == -ENOENT) {
        *ret_folder = folder;
        return 0;
    }
    folder.exists = true;
    if (err == 0)
        err = remove_cleaned(&listing);
    if (err == 0)
        err = finish_swaps(&listing, say);
    if (err == 0)
        err = collect(&listing, say, &folder);
    free(listing.items);
    if (err < 0)
        folder_close(&folder);
    else
        *ret_folder = folder;
    return err;
}

void folder_close(struct folder *folder)
{
    free(folder->segments);
    free(folder->snapshots);
    *folder = (struct folder){0};
}
