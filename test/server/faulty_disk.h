/* The disk of a node with two log directories (broker_fixture_create_two_dirs), and its faults, of
 * one node at a time. */
#ifndef JACKDAW_TEST_SERVER_FAULTY_DISK_H
#define JACKDAW_TEST_SERVER_FAULTY_DISK_H

#include <stdatomic.h>
#include <stdbool.h>

#include "os/env.h"

struct faulty_disk {
    const char *_Atomic path; /* see faulty_disk_fail */
    _Atomic int err;
    _Atomic bool full;           /* writes fail */
    _Atomic bool no_descriptors; /* syncs of folders fail, which need one */
    _Atomic bool names_fail;     /* syncs of the folders of "orders" in DIR/more fail */
    _Atomic int more_syncs;      /* of DIR/more itself */
    _Atomic bool removals_wait;  /* files of deleted folders stay for now */
    _Atomic bool removal_waits;  /* and somebody tried */
};
extern struct faulty_disk faulty_disk;

/* To be handed to the fixture. */
void faulty_disk_plant(struct env *env);
/* Opening files whose path holds this text fails with this errno, and so does reading those that
 * are open. NULL: none. */
void faulty_disk_fail(const char *path, int err);

bool ends_with(const char *path, const char *end);

#endif
