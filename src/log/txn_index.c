#include <errno.h>
#include <stdlib.h>

#include "log/log_internal.h"

#define TXN_ENTRY_VERSION 0

void txn_entry_encode(const struct aborted_entry *entry, uint8_t out[TXN_ENTRY_SIZE])
{
    store_be16(out, TXN_ENTRY_VERSION);
    store_be64(out + 2, (uint64_t)entry->producer_id);
    store_be64(out + 10, (uint64_t)entry->first_offset);
    store_be64(out + 18, (uint64_t)entry->last_offset);
    store_be64(out + 26, (uint64_t)entry->last_stable_offset);
}

int txn_entry_decode(const uint8_t in[TXN_ENTRY_SIZE], struct aborted_entry *ret_entry)
{
    if (load_be16(in) != TXN_ENTRY_VERSION)
        return -EBADMSG;
    *ret_entry = (struct aborted_entry){
        .producer_id = (int64_t)load_be64(in + 2),
        .first_offset = (int64_t)load_be64(in + 10),
        .last_offset = (int64_t)load_be64(in + 18),
        .last_stable_offset = (int64_t)load_be64(in + 26),
    };
    return 0;
}

/* Gathers either what readers are told, in an arena, or whole entries. */
struct aborted_list {
    struct arena *arena; /* NULL: whole entries */
    struct aborted_transaction *items;
    struct aborted_entry *entries;
    int32_t count, capacity;
};

static int entry_add(struct aborted_list *list, const struct aborted_entry *entry)
{
    if (list->count == list->capacity) {
        int32_t capacity = list->capacity ? list->capacity * 2 : 8;
        void *entries = realloc(list->entries, (size_t)capacity * sizeof *list->entries);
        if (!entries)
            return -ENOMEM;
        list->entries = entries;
        list->capacity = capacity;
    }
    list->entries[list->count++] = *entry;
    return 0;
}

static int aborted_add(struct aborted_list *list, const struct aborted_entry *entry)
{
    if (!list->arena)
        return entry_add(list, entry);
    if (list->count == list->capacity) {
        int32_t capacity = list->capacity ? list->capacity * 2 : 8;
        struct aborted_transaction *items =
            arena_array(list->arena, (size_t)capacity, sizeof *items);
        if (!items)
            return -ENOMEM;
        if (list->count)
            memcpy(items, list->items, sizeof *items * (size_t)list->count);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] =
        (struct aborted_transaction){entry->producer_id, entry->first_offset};
    return 0;
}

#define ENTRIES_AT_ONCE 64

static int read_entries(struct log *log, int file, int32_t first, int32_t count, bool may_block,
                        uint8_t *data)
{
    size_t size = (size_t)count * TXN_ENTRY_SIZE;
    int64_t offset = (int64_t)first * TXN_ENTRY_SIZE;
    if (may_block)
        return env_read_all(log->env, file, data, size, offset);
    ssize_t n = env_read_nowait(log->env, file, data, size, offset);
    if (n < 0)
        return (int)n;
    return (size_t)n == size ? 0 : -EAGAIN;
}

/* Add what overlaps [from, to). *ret_complete: no later entry can. */
static int collect_file(struct log *log, int file, int32_t count, int64_t from, int64_t to,
                        bool may_block, struct aborted_list *list, bool *ret_complete)
{
    uint8_t data[ENTRIES_AT_ONCE * TXN_ENTRY_SIZE];
    for (int32_t at = 0; at < count;) {
        int32_t part = count - at < ENTRIES_AT_ONCE ? count - at : ENTRIES_AT_ONCE;
        int err = read_entries(log, file, at, part, may_block, data);
        if (err < 0)
            return err;
        for (int32_t i = 0; i < part; i++) {
            struct aborted_entry entry;
            err = txn_entry_decode(data + i * TXN_ENTRY_SIZE, &entry);
            if (err == 0 && entry.last_offset >= from && entry.first_offset < to)
                err = aborted_add(list, &entry);
            if (err < 0)
                return err;
            if (entry.last_stable_offset >= to) {
                *ret_complete = true;
                return 0;
            }
        }
        at += part;
    }
    return 0;
}

static int collect_segment(struct log *log, struct segment *segment, int64_t from, int64_t to,
                           bool may_block, struct aborted_list *list, bool *ret_complete)
{
    struct file_ref *file;
    pthread_mutex_lock(&log->list_lock);
    int32_t count = segment->txn_entries;
    pthread_mutex_unlock(&log->list_lock);
    if (count == 0)
        return 0;
    int err = segment_file(log, segment, SEGMENT_TXNINDEX, &file);
    if (err < 0)
        return err;
    err = collect_file(log, file_ref_descriptor(file), count, from, to, may_block, list,
                       ret_complete);
    file_ref_drop(file);
    return err;
}

static int collect(struct log *log, int64_t from, int64_t to, bool may_block,
                   struct aborted_list *list)
{
    bool complete = false;
    int64_t base = from;
    int err = 0;
    while (!complete && err == 0 && atomic_load_explicit(&log->has_aborts, memory_order_acquire)) {
        int64_t next_base;
        struct segment *segment = log_segment_for(log, base, &next_base);
        err = collect_segment(log, segment, from, to, may_block, list, &complete);
        segment_unref(log, segment);
        if (next_base < 0)
            break;
        base = next_base;
    }
    return err;
}

int log_aborted_transactions(struct log *log, int64_t from, int64_t to, bool may_block,
                             struct arena *arena, struct aborted_transaction **ret_items,
                             int32_t *ret_count)
{
    struct aborted_list list = {.arena = arena};
    int err = collect(log, from, to, may_block, &list);
    if (err < 0)
        return err;
    *ret_items = list.items;
    *ret_count = list.count;
    return 0;
}

int log_aborted_entries(struct log *log, int64_t from, int64_t to,
                        struct aborted_entry **ret_entries, int32_t *ret_count)
{
    struct aborted_list list = {0};
    int err = collect(log, from, to, true, &list);
    *ret_entries = list.entries;
    *ret_count = list.count;
    return err;
}
