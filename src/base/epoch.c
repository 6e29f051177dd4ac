/* Why it is safe. All accesses to `epoch` and `seen` that matter here are seq_cst, so they have one
 * total order S. Let an object be unlinked (U), then the domain's epoch be raised to e (R), then a
 * reader's `seen` be read by who wants to free (C).
 *
 * epoch_online reads the epoch, writes it to `seen` (W) and reads the epoch again (A) until both
 * readings are equal. It returns with the last W and A.
 *
 * 1. C reads a value below e, not 0: the entry is kept.
 * 2. C reads a value >= e: the reader's A read R or later, so U happens before all that the reader
 *    did since it came online: it cannot have found the object. What it did before, it did before
 * W, and C read W: that happens before the freeing.
 * 3. C reads 0: what the reader did before it went offline happens before the freeing, as C read
 * the 0 that epoch_offline wrote. If it comes online later, W is after C in S, so after R, and A is
 *    later still: A reads e or more, and case 2 applies to what follows.
 *
 * Why nothing is left over. An entry is kept only for a reader that is online; that reader goes
 * offline later, sees `waiting` above 0 and looks again. The retiring thread raises `waiting`
 * before it looks at the readers, and the reader writes `seen` before it looks at `waiting`, both
 * seq_cst: one of the two sees what the other wrote. */
#include "base/epoch.h"

#include "base/must.h"

void epoch_init(struct epoch_domain *domain)
{
    atomic_init(&domain->epoch, 1);
    atomic_init(&domain->waiting, 0);
    must(pthread_mutex_init(&domain->lock, NULL) == 0);
    list_init(&domain->readers);
    domain->first = NULL;
    domain->last = &domain->first;
}

/* Under the lock: the least epoch that an online reader has seen. */
static uint64_t epoch_oldest(struct epoch_domain *domain)
{
    uint64_t oldest = UINT64_MAX;
    list_for_each (at, &domain->readers) {
        uint64_t seen = atomic_load(&container_of(at, struct epoch_reader, link)->seen);
        if (seen != 0 && seen < oldest)
            oldest = seen;
    }
    return oldest;
}

/* Take what can be freed off the list. */
static struct epoch_entry *epoch_collect(struct epoch_domain *domain)
{
    pthread_mutex_lock(&domain->lock);
    uint64_t oldest = epoch_oldest(domain);
    struct epoch_entry *collected = domain->first, **end = &domain->first;
    while (*end && (*end)->epoch <= oldest)
        end = &(*end)->next;
    if (end == &domain->first) {
        collected = NULL;
    } else {
        domain->first = *end;
        if (!domain->first)
            domain->last = &domain->first;
        *end = NULL;
    }
    pthread_mutex_unlock(&domain->lock);
    return collected;
}

static void epoch_reclaim(struct epoch_domain *domain)
{
    struct epoch_entry *entry = epoch_collect(domain);
    while (entry) {
        struct epoch_entry *next = entry->next;
        atomic_fetch_sub(&domain->waiting, 1);
        entry->free(entry);
        entry = next;
    }
}

void epoch_close(struct epoch_domain *domain)
{
    must(list_empty(&domain->readers));
    epoch_reclaim(domain);
    must(!domain->first);
    pthread_mutex_destroy(&domain->lock);
}

void epoch_reader_add(struct epoch_domain *domain, struct epoch_reader *reader)
{
    atomic_init(&reader->seen, 0);
    reader->domain = domain;
    pthread_mutex_lock(&domain->lock);
    list_push_back(&domain->readers, &reader->link);
    pthread_mutex_unlock(&domain->lock);
}

void epoch_reader_remove(struct epoch_reader *reader)
{
    must(atomic_load(&reader->seen) == 0);
    pthread_mutex_lock(&reader->domain->lock);
    list_remove(&reader->link);
    pthread_mutex_unlock(&reader->domain->lock);
}

void epoch_online(struct epoch_reader *reader)
{
    uint64_t epoch, again = atomic_load(&reader->domain->epoch);
    do {
        epoch = again;
        atomic_store(&reader->seen, epoch);
        again = atomic_load(&reader->domain->epoch);
    } while (again != epoch);
}

void epoch_offline(struct epoch_reader *reader)
{
    atomic_store(&reader->seen, 0);
    if (atomic_load(&reader->domain->waiting) > 0)
        epoch_reclaim(reader->domain);
}

void epoch_retire(struct epoch_domain *domain, struct epoch_entry *entry,
                  void (*free)(struct epoch_entry *entry))
{
    entry->next = NULL;
    entry->free = free;
    pthread_mutex_lock(&domain->lock);
    entry->epoch = atomic_fetch_add(&domain->epoch, 1) + 1;
    *domain->last = entry;
    domain->last = &entry->next;
    atomic_fetch_add(&domain->waiting, 1);
    pthread_mutex_unlock(&domain->lock);
    epoch_reclaim(domain);
}
