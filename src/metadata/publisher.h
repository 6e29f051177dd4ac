/* How the current image reaches its readers.
 *
 * One publisher per node. Its home loop publishes; any thread takes references. A loop has an
 * image_reader, with which its handlers look at the current image without counting references:
 *
 *   const struct image *image = image_get(&loop->images);
 *
 * The answer is the newest image, and stays valid until the loop's turn ends, whatever is published
 * meanwhile. In the steady state image_get is one atomic load. */
#ifndef JACKDAW_METADATA_PUBLISHER_H
#define JACKDAW_METADATA_PUBLISHER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "metadata/delta.h"
#include "metadata/image.h"

/* Told of every publication, on the home loop, in the order of subscription: after the new image is
 * visible to readers, before those who proposed the change are answered. The delta is valid during
 * the call; take image references to keep what it names. */
struct image_subscriber {
    struct list link;
    void (*changed)(struct image_subscriber *subscriber, const struct image_delta *delta);
};

struct image_publisher {
    pthread_mutex_t lock; /* guards taking a reference against replacing; a few instructions */
    _Atomic(struct image *) current;
    struct list subscribers; /* home loop */
};

/* The first image is the empty one, offset -1. 0 or -ENOMEM. */
int image_publisher_init(struct image_publisher *publisher);
void image_publisher_close(struct image_publisher *publisher); /* no reader may hold on */

void image_publisher_subscribe(struct image_publisher *publisher,
                               struct image_subscriber *subscriber);
void image_publisher_unsubscribe(struct image_publisher *publisher,
                                 struct image_subscriber *subscriber);

/* Make this the current image and tell the subscribers. Home loop. Takes its own reference. */
void image_publish(struct image_publisher *publisher, const struct image *image);

/* A reference of one's own, to be dropped with image_unref. Any thread. */
struct image *image_acquire(struct image_publisher *publisher);

/* A loop's view. */
struct image_reader {
    struct image_publisher *publisher;
    struct image *held;   /* the newest seen */
    struct image **stale; /* seen earlier in this turn */
    int32_t stale_count;
    int32_t stale_capacity;
};

void image_reader_init(struct image_reader *reader, struct image_publisher *publisher);
void image_reader_close(struct image_reader *reader);
const struct image *image_get(struct image_reader *reader);
/* From the loop's turn_end hook: pointers given out before are void. */
void image_reader_turn_end(struct image_reader *reader);

#endif
