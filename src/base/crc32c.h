/* CRC-32C (Castagnoli), as in Kafka's record batches and producer snapshots. */
#ifndef JACKDAW_BASE_CRC32C_H
#define JACKDAW_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Checksum of `size` bytes. `previous` is the checksum of what came before them, 0 at the start. */
uint32_t crc32c(uint32_t previous, const void *data, size_t size);

#endif
