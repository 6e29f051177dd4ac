/* The .txnindex file: aborted transactions of a segment in the order of their markers, 34 bytes
 * each: int16 version = 0, int64 producer_id, first_offset, last_offset, last_stable_offset. */
#ifndef JACKDAW_LOG_TXN_INDEX_H
#define JACKDAW_LOG_TXN_INDEX_H

#include <stdint.h>

#define TXN_ENTRY_SIZE 34

struct aborted_entry {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;        /* of the marker */
    int64_t last_stable_offset; /* what was stable once the marker was there */
};

void txn_entry_encode(const struct aborted_entry *entry, uint8_t out[TXN_ENTRY_SIZE]);
/* 0, or -EBADMSG for another version. */
int txn_entry_decode(const uint8_t in[TXN_ENTRY_SIZE], struct aborted_entry *ret_entry);

#endif
