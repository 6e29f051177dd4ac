/* The fold: metadata records make images, and nothing else does.
 *
 * A builder is an image under construction. It starts as another image (sharing all of it), takes
 * records one by one, and hands out images at any point; handing one out is O(1). */
#ifndef JACKDAW_METADATA_FOLD_H
#define JACKDAW_METADATA_FOLD_H

#include "base/arena.h"
#include "metadata/image.h"
#include "protocol/stored.h"

struct image_builder {
    struct image *image;  /* changed in place; not yet seen by anybody */
    struct arena scratch; /* while one record is folded in */
};

/* Start from `base` (NULL: from nothing). */
void image_builder_init(struct image_builder *builder, const struct image *base);
void image_builder_close(struct image_builder *builder);

/* Drop what was folded and start again from `base` (NULL: from nothing). */
void image_builder_reset(struct image_builder *builder, const struct image *base);

/* Fold one record in. It cannot fail: a record that does not fit the state (of a topic that does
 * not exist, say) changes nothing, and is counted in the answer: false. Unknown types are an error
 * of decoding, before this. The record is not kept: what is needed of it is copied. */
bool image_apply(struct image_builder *builder, const struct metadata_record_type *type,
                 const void *record);

/* Everything up to this place of the log is folded in. */
void image_builder_set_offset(struct image_builder *builder, int64_t offset, int32_t epoch,
                              int64_t timestamp_ms);

/* The image as it stands, for reading; valid until the next change. */
static inline const struct image *image_builder_peek(const struct image_builder *builder)
{
    return builder->image;
}

/* The image as it stands, to keep: one reference. The builder goes on from it. */
struct image *image_builder_snapshot(struct image_builder *builder);

/* Everything of an image as records, in the order of Kafka's snapshots (features first, so that
 * each record's version is known), at the record versions that the image's metadata.version allows.
 * `write` gets encoded values; a non-zero answer ends the walk and is returned. -ENOMEM. */
int image_write(const struct image *image, int (*write)(void *context, struct bytes value),
                void *context);

#endif
