/* Bounded cache of open files. A reference keeps the descriptor open; files that nobody uses are
 * closed, least recently used first, when the bound is passed. Any thread.
 *
 * A file is found again through the slot that its owner (a segment) embeds, so the usual open costs
 * one lock and neither a path nor a hash. */
#ifndef JACKDAW_LOG_FILE_CACHE_H
#define JACKDAW_LOG_FILE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/env.h"

struct file_cache;
struct file_ref; /* one open file with its users counted */

/* Remembers the open file of one path. Zero is empty. Owned by the cache while not forgotten. */
struct file_slot {
    struct file_ref *file; /* the cache's lock */
};

/* max_open: descriptors kept open without users at most. NULL when memory runs out. */
struct file_cache *file_cache_create(struct env *env, uint32_t max_open);
void file_cache_destroy(struct file_cache *cache); /* nobody may hold a reference */

/* The file that the slot remembers, or NULL: then file_cache_open. */
struct file_ref *file_cache_get(struct file_cache *cache, struct file_slot *slot);

/* Open `path`, or answer what another thread opened meanwhile, and remember it in `slot` (NULL:
 * nowhere; closed when the last user drops it). 0 or -errno; descriptors running out (-EMFILE,
 * -ENFILE) closes unused ones and tries again. */
int file_cache_open(struct file_cache *cache, struct file_slot *slot, const char *path,
                    unsigned env_open_flags, struct file_ref **ret_file);
/* Remember a file that was opened without a slot, for an owner who had to look first whether it is
 * the right one. Takes over the reference and answers one to what the slot remembers: this file, or
 * what another thread put there meanwhile. */
struct file_ref *file_cache_attach(struct file_cache *cache, struct file_slot *slot,
                                   struct file_ref *file);
struct file_ref *file_ref_take(struct file_ref *file);
void file_ref_drop(struct file_ref *file); /* NULL is accepted */
int file_ref_descriptor(const struct file_ref *file);

/* Empty the slot: its path was renamed or removed, or its owner goes. Users keep the old file. */
void file_cache_forget(struct file_cache *cache, struct file_slot *slot);

/* Whether somebody holds the slot's file: removing it now would make its last user, perhaps a loop,
 * pay for freeing the blocks. */
bool file_cache_in_use(struct file_cache *cache, struct file_slot *slot);

/* Descriptors open now, used or not; for metrics and tests. */
uint32_t file_cache_open_count(struct file_cache *cache);

#endif
