/* Memory by the page. */
#ifndef JACKDAW_OS_PAGES_H
#define JACKDAW_OS_PAGES_H

#include <stddef.h>

/* A hint that a large block, just got from malloc or calloc, will be jumped about in: with pages of
 * 2 MiB the processor finds their places without asking memory for the way each time. Where the
 * system has none to give, and for blocks that malloc may keep for later (smaller than
 * PAGES_LARGE_BYTES), nothing changes. */
#define PAGES_LARGE_BYTES ((size_t)33 << 20) /* above malloc's greatest threshold for mmap */

void pages_prefer_huge(void *block, size_t size_bytes);

#endif
