/* Valid batches and sets for the fuzz targets of record/, and mutation that reaches inside the
 * compressed part. */
#ifndef JACKDAW_TEST_FUZZ_BATCH_SEED_H
#define JACKDAW_TEST_FUZZ_BATCH_SEED_H

#include <stddef.h>
#include <stdint.h>

/* Plain bytes that a target decompresses at most. */
#define FUZZ_PLAIN_MAX (1 << 20)

/* A random valid batch of magic 2 in any codec. Its size, or 0 when max_size is too small. */
size_t batch_seed(unsigned seed, uint8_t *data, size_t max_size);

/* A random valid entry of magic 0 or 1, compressed or not. */
size_t legacy_seed(unsigned seed, uint8_t *data, size_t max_size);

/* Mutate the batch of magic 2 at `data`: now and then its plain records, compressed again, else its
 * bytes as they are. The new size. */
size_t batch_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Make the length field and the checksum of the batch of magic 2 at `data` right. */
void batch_repair(uint8_t *data, size_t size);

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#endif
