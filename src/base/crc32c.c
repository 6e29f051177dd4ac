#include "base/crc32c.h"

#include <isa-l/crc.h>

#define STEP_MAX (1 << 30) /* the library takes an int */

uint32_t crc32c(uint32_t previous, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint32_t crc = ~previous;
    while (size > 0) {
        size_t step = size < STEP_MAX ? size : STEP_MAX;
        crc = crc32_iscsi((unsigned char *)(uintptr_t)at, (int)step, crc);
        at += step;
        size -= step;
    }
    return ~crc;
}
