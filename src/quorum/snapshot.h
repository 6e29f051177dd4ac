/* Snapshot files of the metadata log: <20-digit end offset>-<10-digit epoch>.checkpoint.
 *
 * A file is a run of record batches whose offsets count from 0: a control batch with SnapshotHeader
 * (and KRaftVersion, Voters, when known), data batches, a control batch with SnapshotFooter. It is
 * written under a name of its own ending in .part, synced and renamed, so that a name ending in
 * .checkpoint is always whole. Source: KIP-630, KIP-853. */
#ifndef JACKDAW_QUORUM_SNAPSHOT_H
#define JACKDAW_QUORUM_SNAPSHOT_H

#include "quorum/quorum.h"

enum {
    SNAPSHOT_NAME_SIZE = 43, /* "%020lld-%010d.checkpoint", with the closing NUL */
    SNAPSHOT_BATCH_RECORDS = 1024,
    SNAPSHOT_BATCH_BYTES = 1024 * 1024, /* a batch is closed when it reaches this */
};

void snapshot_name(struct snapshot_id id, char name[SNAPSHOT_NAME_SIZE]);
/* False when the name is not that of a finished snapshot. */
bool snapshot_parse_name(const char *name, struct snapshot_id *ret_id);

/* The voters to put into a snapshot's header batch; count 0 and kraft_version 0: none. */
struct snapshot_writer;

/* Begin DIR/<id>.checkpoint. timestamp is that of every batch. BLOCKING, as all of these. */
int snapshot_writer_create(struct env *env, const char *dir, struct snapshot_id id,
                           int64_t last_timestamp, struct quorum_voters voters,
                           struct snapshot_writer **ret_writer);
/* One more record's value; errors are kept for snapshot_writer_finish, and returned here too. */
int snapshot_write_record(struct snapshot_writer *writer, struct bytes value);
/* Footer, sync, rename, sync of the directory. The writer is gone in any case. */
int snapshot_writer_finish(struct snapshot_writer *writer, int64_t *ret_size_bytes);
void snapshot_writer_abort(struct snapshot_writer *writer); /* NULL is accepted */

#endif
