/* Invariants:
 *  1. The builder holds what is published, plus what this turn folded, plus an open transaction.
 *  2. While a transaction is open nothing is published; `before_transaction` is the state to return
 * to when it aborts. */
#include "metadata/loader.h"

#include <errno.h>

#include "base/errors.h"
#include "base/must.h"

static void loader_publish(struct metadata_loader *loader)
{
    struct image *image = image_builder_snapshot(&loader->builder);
    image_publish(loader->publisher, image);
    if (loader->published)
        loader->published(loader->context, image);
    image_unref(image);
}

static bool may_publish(const struct metadata_loader *loader)
{
    return !loader->held && !loader->in_snapshot && !loader->in_transaction;
}

static void publish_task(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct metadata_loader *loader = container_of(task, struct metadata_loader, publish);
    loader->publish_queued = false;
    if (may_publish(loader))
        loader_publish(loader);
}

static void loader_changed(struct metadata_loader *loader)
{
    if (!may_publish(loader) || loader->publish_queued)
        return;
    loader->publish_queued = true;
    loop_defer(loader->loop, &loader->publish);
}

void metadata_loader_init(struct metadata_loader *loader, struct loop *loop, const struct say *say,
                          struct image_publisher *publisher)
{
    *loader =
        (struct metadata_loader){.loop = loop, .say = say, .publisher = publisher, .offset = -1};
    loader->publish.run = publish_task;
    image_builder_init(&loader->builder, NULL);
}

void metadata_loader_close(struct metadata_loader *loader)
{
    must(!loader->publish_queued);
    image_unref(loader->before_transaction);
    image_builder_close(&loader->builder);
}

static void end_transaction(struct metadata_loader *loader, bool commit)
{
    if (!commit)
        image_builder_reset(&loader->builder, loader->before_transaction);
    image_unref(loader->before_transaction);
    loader->before_transaction = NULL;
    loader->in_transaction = false;
}

static void loader_apply(struct metadata_loader *loader, const struct metadata_record_type *type,
                         const void *record, int64_t offset)
{
    bool fits = true;
    switch (type->type) {
    case METADATA_BEGIN_TRANSACTION_RECORD:
        fits = !loader->in_transaction;
        if (fits) {
            loader->before_transaction = image_builder_snapshot(&loader->builder);
            loader->in_transaction = true;
        }
        break;
    case METADATA_END_TRANSACTION_RECORD:
    case METADATA_ABORT_TRANSACTION_RECORD:
        fits = loader->in_transaction;
        if (fits)
            end_transaction(loader, type->type == METADATA_END_TRANSACTION_RECORD);
        break;
    default:
        fits = image_apply(&loader->builder, type, record);
    }
    if (!fits) {
        loader->ignored_records++;
        say_warn(loader->say, "metadata record does not fit and is ignored",
                 kv_text("type", type->name), kv_int("offset", offset));
    }
}

static int load_record(struct metadata_loader *loader, const struct record *record,
                       struct arena *arena)
{
    const struct metadata_record_type *type;
    int16_t version;
    void *decoded;
    arena_reset(arena, 0);
    int err = metadata_record_decode(record->value, arena, &type, &version, &decoded);
    if (err) {
        say_error(loader->say, "metadata record cannot be read", kv_int("offset", record->offset),
                  kv_text("error", result_text(err)));
        return err;
    }
    loader_apply(loader, type, decoded, record->offset);
    return 0;
}

static int load_records(struct metadata_loader *loader, const struct batch *batch)
{
    struct record_reader reader;
    struct record record;
    struct arena arena;
    int err = record_reader_init(&reader, batch, LOADER_RECORD_MAX_BYTES);
    if (err)
        return err;
    arena_init(&arena, 0);
    while ((err = record_reader_next(&reader, NULL, &record)) == 0) {
        err = load_record(loader, &record, &arena);
        if (err)
            break;
    }
    arena_close(&arena);
    record_reader_close(&reader);
    return err == -ENODATA ? 0 : err;
}

void metadata_loader_snapshot_begin(struct metadata_loader *loader)
{
    image_unref(loader->before_transaction);
    loader->before_transaction = NULL;
    loader->in_transaction = false;
    loader->in_snapshot = true;
    image_builder_reset(&loader->builder, NULL);
}

int metadata_loader_snapshot_batch(struct metadata_loader *loader, const struct batch *batch)
{
    return load_records(loader, batch);
}

void metadata_loader_snapshot_end(struct metadata_loader *loader, int64_t end_offset, int32_t epoch,
                                  int64_t last_timestamp)
{
    loader->in_snapshot = false;
    loader->offset = end_offset - 1;
    image_builder_set_offset(&loader->builder, end_offset - 1, epoch, last_timestamp);
    loader_changed(loader);
}

int metadata_loader_batch(struct metadata_loader *loader, const struct batch *batch)
{
    int err = batch_is_control(batch) ? 0 : load_records(loader, batch);
    if (err)
        return err;
    loader->offset = batch_last_offset(batch);
    if (!loader->in_transaction)
        image_builder_set_offset(&loader->builder, batch_last_offset(batch), batch->leader_epoch,
                                 batch->max_timestamp);
    loader_changed(loader);
    return 0;
}

void metadata_loader_hold(struct metadata_loader *loader)
{
    loader->held = true;
}

void metadata_loader_release(struct metadata_loader *loader)
{
    loader->held = false;
    if (may_publish(loader))
        loader_publish(loader);
}
