#include "os/pages.h"

#include <stdint.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096

void pages_prefer_huge(void *block, size_t size_bytes)
{
    uintptr_t begin = ((uintptr_t)block + PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)block + size_bytes) & ~(uintptr_t)(PAGE_BYTES - 1);
    if (size_bytes >= PAGES_LARGE_BYTES)
        (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}
