/* From batches of the metadata log to published images.
 *
 * The loader is fed what a quorum's listener hears (quorum/quorum.h): batches of a snapshot, then
 * committed batches. It decodes, folds and publishes, once per loop turn. A metadata transaction
 * (KIP-866: BeginTransaction … EndTransaction over several batches) is published when it ends and
 * forgotten when it aborts. Home loop only. */
#ifndef JACKDAW_METADATA_LOADER_H
#define JACKDAW_METADATA_LOADER_H

#include "base/say.h"
#include "metadata/fold.h"
#include "metadata/publisher.h"
#include "os/loop.h"
#include "record/batch.h"

enum {
    LOADER_RECORD_MAX_BYTES = 8 * 1024 * 1024, /* decompressed bytes of a batch at once */
};

struct metadata_loader {
    struct loop *loop;
    const struct say *say;
    struct image_publisher *publisher;
    struct image_builder builder;
    struct loop_task publish; /* queued at most once per turn */
    bool publish_queued;
    bool held;                        /* replay under way: do not publish yet */
    bool in_snapshot;                 /* between snapshot_begin and snapshot_end */
    bool in_transaction;              /* as of the last batch fed */
    struct image *before_transaction; /* to return to when it aborts */
    int64_t offset;                   /* of the last batch fed, transactions included; -1 none */
    int64_t ignored_records;          /* records that did not fit the state */
    /* After a publication and its subscribers. */
    void (*published)(void *context, const struct image *image);
    void *context;
};

void metadata_loader_init(struct metadata_loader *loader, struct loop *loop, const struct say *say,
                          struct image_publisher *publisher);
void metadata_loader_close(struct metadata_loader *loader);

/* Feed. 0, or -EBADMSG / -ENOTSUP / -ENOMEM for a record that cannot be decoded: the node must not
 * go on, its state would differ from the others'. */
void metadata_loader_snapshot_begin(struct metadata_loader *loader);
int metadata_loader_snapshot_batch(struct metadata_loader *loader, const struct batch *batch);
void metadata_loader_snapshot_end(struct metadata_loader *loader, int64_t end_offset, int32_t epoch,
                                  int64_t last_timestamp);
int metadata_loader_batch(struct metadata_loader *loader, const struct batch *batch);

/* Between hold and release nothing is published: a start replays the log in one go. Release
 * publishes what there is, at once. */
void metadata_loader_hold(struct metadata_loader *loader);
void metadata_loader_release(struct metadata_loader *loader);

#endif
