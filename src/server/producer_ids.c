#include "server/producer_ids.h"

void producer_ids_init(struct producer_ids *ids)
{
    *ids = (struct producer_ids){0};
    pthread_mutex_init(&ids->lock, NULL);
}

void producer_ids_close(struct producer_ids *ids)
{
    pthread_mutex_destroy(&ids->lock);
}

bool producer_ids_take(struct producer_ids *ids, int64_t *ret_id)
{
    pthread_mutex_lock(&ids->lock);
    bool some = ids->next < ids->end;
    if (some)
        *ret_id = ids->next++;
    pthread_mutex_unlock(&ids->lock);
    return some;
}

/* Of two blocks that came at once the older is dropped: ids are unique, not dense. */
void producer_ids_refill(struct producer_ids *ids, int64_t first, int32_t count)
{
    pthread_mutex_lock(&ids->lock);
    if (ids->next >= ids->end) {
        ids->next = first;
        ids->end = first + count;
    }
    pthread_mutex_unlock(&ids->lock);
}
