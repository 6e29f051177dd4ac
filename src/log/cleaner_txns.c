#include "log/cleaner_txns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log/producers.h"

struct met_txn {
    struct aborted_entry entry;
    bool has_data;
};

void cleaner_txns_init(struct cleaner_txns *txns, struct env *env)
{
    uint64_t seeds[2];
    env_random(env, seeds, sizeof seeds);
    *txns = (struct cleaner_txns){0};
    map_init(&txns->committed, MAP_U64, sizeof(bool), seeds[0]);
    map_init(&txns->aborted, MAP_U64, sizeof(struct met_txn), seeds[1]);
}

void cleaner_txns_close(struct cleaner_txns *txns)
{
    free(txns->pending);
    map_close(&txns->committed);
    map_close(&txns->aborted);
    *txns = (struct cleaner_txns){0};
}

int cleaner_txns_add(struct cleaner_txns *txns, const struct aborted_entry *entry)
{
    if (txns->count == txns->capacity && txns->next > txns->capacity / 2) {
        txns->count -= txns->next;
        memmove(txns->pending, txns->pending + txns->next,
                (size_t)txns->count * sizeof *txns->pending);
        txns->next = 0;
    }
    if (txns->count == txns->capacity) {
        int32_t capacity = txns->capacity ? txns->capacity * 2 : 16;
        void *grown = realloc(txns->pending, (size_t)capacity * sizeof *txns->pending);
        if (!grown)
            return -ENOMEM;
        txns->pending = grown;
        txns->capacity = capacity;
    }
    txns->pending[txns->count++] = *entry;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct aborted_entry *x = a, *y = b;
    if (x->first_offset != y->first_offset)
        return x->first_offset < y->first_offset ? -1 : 1;
    return (x->last_offset > y->last_offset) - (x->last_offset < y->last_offset);
}

void cleaner_txns_sort(struct cleaner_txns *txns)
{
    if (txns->count > txns->next)
        qsort(txns->pending + txns->next, (size_t)(txns->count - txns->next), sizeof *txns->pending,
              compare_entries);
}

/* Begin the transactions whose first offset was passed. One that several segments told of begins
 * once: as long as it is under way the producer has no other. */
static int begin_up_to(struct cleaner_txns *txns, int64_t offset)
{
    while (txns->next < txns->count && txns->pending[txns->next].first_offset <= offset) {
        const struct aborted_entry *entry = &txns->pending[txns->next++];
        struct met_txn *met;
        int added = map_put(&txns->aborted, (uint64_t)entry->producer_id, &met);
        if (added < 0)
            return added;
        if (added)
            *met = (struct met_txn){.entry = *entry};
    }
    return 0;
}

static int meet_data(struct cleaner_txns *txns, const struct batch *batch, bool *ret_discard)
{
    void *place;
    if (!batch_is_transactional(batch))
        return 0;
    struct met_txn *met = map_find(&txns->aborted, (uint64_t)batch->producer_id);
    if (met) {
        met->has_data = true;
        *ret_discard = true;
        return 0;
    }
    int added = map_put(&txns->committed, (uint64_t)batch->producer_id, &place);
    return added < 0 ? added : 0;
}

int cleaner_txns_meet(struct cleaner_txns *txns, const struct batch *batch, bool *ret_discard,
                      bool *ret_ended, struct aborted_entry *ret_entry)
{
    struct txn_marker marker;
    struct met_txn met;
    *ret_discard = *ret_ended = false;
    int err = begin_up_to(txns, batch_last_offset(batch));
    if (err < 0)
        return err;
    if (!batch_is_control(batch))
        return meet_data(txns, batch, ret_discard);
    if (batch->record_count == 0) { /* an earlier cleaning emptied it */
        *ret_discard = true;
        return 0;
    }
    err = txn_marker_read(batch, &marker);
    if (err < 0 || !marker.is_marker)
        return err;
    if (marker.commit) {
        *ret_discard = !map_remove(&txns->committed, (uint64_t)batch->producer_id, NULL);
        return 0;
    }
    *ret_ended = map_remove(&txns->aborted, (uint64_t)batch->producer_id, &met) && met.has_data;
    *ret_discard = !*ret_ended;
    if (*ret_ended)
        *ret_entry = met.entry;
    return 0;
}
