/* Random messages, made from the field tables: for the differential test and the fuzz targets. */
#ifndef JACKDAW_TEST_PROTOCOL_FILL_H
#define JACKDAW_TEST_PROTOCOL_FILL_H

#include "base/arena.h"
#include "protocol/tables.h"

enum fill_mode {
    FILL_FULL,    /* every field of the version has a value that is not its default */
    FILL_DEFAULT, /* every field has its default, or the nearest that the version can carry */
    FILL_RANDOM,  /* anything, defaults and nulls included */
};

/* A message that the version can carry. Everything it points to is in the arena. */
void *fill_message(const struct message_schema *schema, int16_t version, enum fill_mode mode,
                   uint64_t seed, struct arena *arena);

#endif
