/* What the decoder's fuzz targets check of a message that was decoded. */
#ifndef JACKDAW_TEST_FUZZ_DECODE_H
#define JACKDAW_TEST_FUZZ_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/message.h"

/* Decode the front of `data`. Whatever it holds, the arena's bound must hold; and what could be
 * decoded must encode, to bytes that decode to the same. */
void decode_and_check(const struct message_schema *schema, int16_t version, const uint8_t *data,
                      size_t size);

/* Put a valid random message of `schema` at `data`. Its size, or 0 when it does not fit. */
size_t decode_seed(const struct message_schema *schema, int16_t version, uint64_t seed,
                   uint8_t *data, size_t max_size);

#endif
