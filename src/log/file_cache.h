/* Bounded cache of open files, by path. A reference keeps the descriptor open; unreferenced ones
 * are closed, least recently used first, when the bound is passed. Any thread. */
#ifndef JACKDAW_LOG_FILE_CACHE_H
#define JACKDAW_LOG_FILE_CACHE_H

#include <stdint.h>

#include "os/env.h"

struct file_cache;
struct file_ref; /* one open file with its users counted */

/* max_open: descriptors kept open without users at most. NULL when memory runs out. */
struct file_cache *file_cache_create(struct env *env, uint32_t max_open);
void file_cache_destroy(struct file_cache *cache); /* nobody may hold a reference */

/* Open or reuse. 0 or -errno; descriptors running out (-EMFILE) closes unused ones and tries again.
 */
int file_cache_open(struct file_cache *cache, const char *path, unsigned env_open_flags,
                    struct file_ref **ret_file);
struct file_ref *file_ref_take(struct file_ref *file);
void file_ref_drop(struct file_ref *file); /* NULL is accepted */
int file_ref_descriptor(const struct file_ref *file);

/* The path was renamed or removed: users keep the old file, the next open sees the new one. */
void file_cache_forget(struct file_cache *cache, const char *path);

#endif
