/* Freeing what other threads may still be reading, without locks for the readers.
 *
 * A domain has readers, one per loop. A reader is online while its thread works and offline while
 * it waits: loops go online after the poll and offline before it, so a pointer that was loaded from
 * a shared place is good until the handler returns, and no further.
 *
 * Who takes an object out of the shared place hands it to epoch_retire. It is freed when every
 * reader that was online then has been offline, or online anew, since. That is found out by readers
 * going offline: no thread of its own, no timer, and nothing is left over once all readers are
 * offline.
 *
 * Publishing is the caller's: store the new pointer with release (or stronger) before retiring the
 * old one, load with acquire while online. Source of the idea: quiescent-state-based reclamation,
 * Hart et al., "Performance of memory reclamation for lockless synchronization", 2007. */
#ifndef JACKDAW_BASE_EPOCH_H
#define JACKDAW_BASE_EPOCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* Embedded in what is retired. */
struct epoch_entry {
    struct epoch_entry *next;
    uint64_t epoch;
    void (*free)(struct epoch_entry *entry);
};

struct epoch_domain {
    _Atomic uint64_t epoch;  /* raised by every retire */
    _Atomic int64_t waiting; /* entries retired and not freed */
    pthread_mutex_t lock;
    struct list readers;       /* lock */
    struct epoch_entry *first; /* lock; by epoch, ascending */
    struct epoch_entry **last; /* lock */
};

struct epoch_reader {
    _Alignas(64) _Atomic uint64_t seen; /* 0: offline */
    struct epoch_domain *domain;
    struct list link; /* domain->lock */
};

void epoch_init(struct epoch_domain *domain);

/* No reader may be left; all that still waits is freed. */
void epoch_close(struct epoch_domain *domain);

/* Readers come offline and go offline. */
void epoch_reader_add(struct epoch_domain *domain, struct epoch_reader *reader);
void epoch_reader_remove(struct epoch_reader *reader);

/* For the reader's own thread. Going offline may free what nobody can read any more, and calls the
 * entries' `free` with no lock held. */
void epoch_online(struct epoch_reader *reader);
void epoch_offline(struct epoch_reader *reader);

/* Any thread, online or not: free the object of `entry` by free(entry) once that is safe, at the
 * earliest in this call. The object must already be out of every reader's reach. */
void epoch_retire(struct epoch_domain *domain, struct epoch_entry *entry,
                  void (*free)(struct epoch_entry *entry));

#endif
