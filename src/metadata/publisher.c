#include "metadata/publisher.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "metadata/fold.h"

int image_publisher_init(struct image_publisher *publisher)
{
    struct image_builder builder;
    image_builder_init(&builder, NULL);
    pthread_mutex_init(&publisher->lock, NULL);
    atomic_init(&publisher->current, image_builder_snapshot(&builder));
    image_builder_close(&builder);
    list_init(&publisher->subscribers);
    return 0;
}

void image_publisher_close(struct image_publisher *publisher)
{
    must(list_empty(&publisher->subscribers));
    image_unref(atomic_load(&publisher->current));
    pthread_mutex_destroy(&publisher->lock);
}

void image_publisher_subscribe(struct image_publisher *publisher,
                               struct image_subscriber *subscriber)
{
    list_push_back(&publisher->subscribers, &subscriber->link);
}

void image_publisher_unsubscribe(struct image_publisher *publisher,
                                 struct image_subscriber *subscriber)
{
    (void)publisher;
    list_remove(&subscriber->link);
}

struct image *image_acquire(struct image_publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    struct image *image =
        image_ref(atomic_load_explicit(&publisher->current, memory_order_relaxed));
    pthread_mutex_unlock(&publisher->lock);
    return image;
}

void image_publish(struct image_publisher *publisher, const struct image *image)
{
    struct image *next = image_ref(image);
    pthread_mutex_lock(&publisher->lock);
    struct image *before = atomic_load_explicit(&publisher->current, memory_order_relaxed);
    atomic_store_explicit(&publisher->current, next, memory_order_release);
    pthread_mutex_unlock(&publisher->lock);

    if (!list_empty(&publisher->subscribers)) {
        struct arena arena;
        struct image_delta delta;
        arena_init(&arena, 0);
        image_diff(before, next, &arena, &delta);
        list_for_each_safe (link, &publisher->subscribers) {
            struct image_subscriber *subscriber = container_of(link, struct image_subscriber, link);
            subscriber->changed(subscriber, &delta);
        }
        arena_close(&arena);
    }
    image_unref(before);
}

void image_reader_init(struct image_reader *reader, struct image_publisher *publisher)
{
    *reader = (struct image_reader){.publisher = publisher, .held = image_acquire(publisher)};
}

void image_reader_close(struct image_reader *reader)
{
    image_reader_turn_end(reader);
    free(reader->stale);
    image_unref(reader->held);
    *reader = (struct image_reader){0};
}

/* Handlers of this turn may still look at the image held so far: it goes when the turn ends. */
static void reader_renew(struct image_reader *reader)
{
    if (reader->stale_count == reader->stale_capacity) {
        int32_t capacity = reader->stale_capacity ? reader->stale_capacity * 2 : 4;
        struct image **grown = realloc(reader->stale, (size_t)capacity * sizeof grown[0]);
        must(grown);
        reader->stale = grown;
        reader->stale_capacity = capacity;
    }
    reader->stale[reader->stale_count++] = reader->held;
    reader->held = image_acquire(reader->publisher);
}

const struct image *image_get(struct image_reader *reader)
{
    /* The image held cannot be freed and its address not be used again, so equal means current. */
    if (atomic_load_explicit(&reader->publisher->current, memory_order_acquire) != reader->held)
        reader_renew(reader);
    return reader->held;
}

void image_reader_turn_end(struct image_reader *reader)
{
    for (int32_t i = 0; i < reader->stale_count; i++)
        image_unref(reader->stale[i]);
    reader->stale_count = 0;
}
