/* Sorted tables of fixed-size entries beside a segment: offset → file position (.index) and
 * timestamp → offset (.timeindex), in Apache Kafka's layout.
 *
 *   .index      8 bytes: int32 offset - base, int32 position. The offset is the last one of the
 *               batch that starts at the position.
 *   .timeindex 12 bytes: int64 greatest timestamp so far, int32 offset - base of its batch's end.
 *
 * Files grow by appends of whole entries. The newest entries of an active segment are in memory
 * only, in a tail of at most INDEX_TAIL_ENTRIES; a search looks there first, then in the warm end
 * of the file (its last 8 KiB, where the pages are hot), then in the rest. Source: OffsetIndex,
 * TimeIndex and AbstractIndex of Kafka's storage module; why warm first: KAFKA-6432. */
#ifndef JACKDAW_LOG_INDEX_H
#define JACKDAW_LOG_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "os/env.h"

#define INDEX_TAIL_ENTRIES 64
#define INDEX_ENTRY_MAX 12
#define INDEX_WARM_BYTES 8192

enum index_kind { INDEX_OFFSET, INDEX_TIME, INDEX_KINDS };

static inline int32_t index_entry_size(enum index_kind kind)
{
    return kind == INDEX_OFFSET ? 8 : 12;
}

/* An entry of either kind. `key` is the relative offset or the timestamp, `value` the position or
 * the relative offset. Both grow from entry to entry. */
struct index_entry {
    int64_t key;
    int32_t value;
};

enum index_by { INDEX_BY_KEY, INDEX_BY_VALUE };

/* One index of a segment. Who may touch what is the log's business. */
struct index {
    int32_t written;         /* entries in the file */
    int32_t tail_count;      /* entries in memory after them */
    struct index_entry last; /* valid if there is any entry */
    uint8_t *tail;           /* encoded; NULL until the first append */
};

static inline int32_t index_count(const struct index *index)
{
    return index->written + index->tail_count;
}

void index_close(struct index *index); /* frees the tail */

/* Add to the tail, which must have room. -ENOMEM. */
int index_append(struct index *index, enum index_kind kind, struct index_entry entry);
static inline bool index_tail_full(const struct index *index)
{
    return index->tail_count == INDEX_TAIL_ENTRIES;
}

/* Write the tail behind what is in the file. Does not change `index`: the caller takes over with
 * index_tail_written, under whatever lock readers use. 0 or -errno. */
int index_write_tail(const struct index *index, enum index_kind kind, struct env *env, int file);
void index_tail_written(struct index *index);

struct index_entry index_tail_entry(const struct index *index, enum index_kind kind, int32_t nth);

/* The last tail entry whose key (or value) is <= target. False: none of them is. */
bool index_search_tail(const struct index *index, enum index_kind kind, enum index_by by,
                       int64_t target, struct index_entry *ret_entry);

/* The same among the first `count` entries of the file: its number, or -1 when none is <= target
 * (ret_entry is then untouched). 0; -EAGAIN unless may_block; -ENODATA when the file is shorter;
 * other -errno. */
struct index_file {
    struct env *env;
    int file;
    enum index_kind kind;
    int32_t count;
    bool may_block;
};
int index_search_file(const struct index_file *file, enum index_by by, int64_t target,
                      int32_t *ret_number, struct index_entry *ret_entry);

/* Read entry `number`. 0 or -errno. */
int index_read_entry(const struct index_file *file, int32_t number, struct index_entry *ret_entry);

/* Forget the entries from number `count` on. Reads the new last entry, which may block; the file
 * itself is left as it is. 0 or -errno. */
int index_truncate(struct index *index, enum index_kind kind, int32_t count, struct env *env,
                   int file);

/* How many entries at the front of a file of `size` bytes make sense: both columns grow and stay
 * within the limits (relative offsets and positions). The zeros at the end of a file that Kafka
 * preallocated do not. BLOCKING. */
int index_check_file(const struct index_file *file, int64_t size, int64_t offset_limit,
                     int64_t position_limit, int32_t *ret_valid);

#endif
