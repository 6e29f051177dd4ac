/* What the controller hears from its quorum: the replay, commits, leadership, snapshots. Becoming
 * active it ends what an earlier controller left open, gives a new cluster its first records, and
 * registers itself. */
#include <errno.h>
#include <stdlib.h>

#include "controller/controller_private.h"
#include "controller/ops.h"
#include "quorum/snapshot.h"

static void fail(struct controller *controller, int error)
{
    if (controller->failed)
        return;
    controller->failed = true;
    controller_fail_ops(controller, error);
    controller->params.failed(controller->params.context, error);
}

/* Replay and commits. */

static void bootstrap_record(struct controller *controller, struct bytes value)
{
    const struct metadata_record_type *type;
    int16_t version;
    void *decoded;
    arena_reset(&controller->scratch, 0);
    int err = metadata_record_decode(value, &controller->scratch, &type, &version, &decoded);
    if (err) {
        fail(controller, err);
        return;
    }
    if (type->type != METADATA_FEATURE_LEVEL_RECORD ||
        controller->bootstrap_count == CONTROLLER_BOOTSTRAP_MAX) {
        say_warn(controller->params.say, "bootstrap record ignored", kv_text("type", type->name));
        return;
    }
    const struct feature_level_record *record = decoded;
    struct feature_level_record *copy = &controller->bootstrap[controller->bootstrap_count];
    copy->name = arena_str(&controller->arena, record->name);
    copy->feature_level = record->feature_level;
    if (copy->name.data)
        controller->bootstrap_count++;
    else
        fail(controller, -ENOMEM);
}

static void on_bootstrap(void *context, const struct batch *batch)
{
    struct controller *controller = context;
    struct record_reader reader;
    struct record record;
    int err = record_reader_init(&reader, batch, LOADER_RECORD_MAX_BYTES);
    if (!err) {
        while ((err = record_reader_next(&reader, NULL, &record)) == 0)
            bootstrap_record(controller, record.value);
        record_reader_close(&reader);
    }
    if (err != -ENODATA)
        fail(controller, err);
}

static void on_snapshot_begin(void *context, struct snapshot_id id)
{
    struct controller *controller = context;
    controller->loading_snapshot = id;
    metadata_loader_snapshot_begin(&controller->loader);
}

static void on_snapshot_batch(void *context, const struct batch *batch)
{
    struct controller *controller = context;
    int err = metadata_loader_snapshot_batch(&controller->loader, batch);
    if (err)
        fail(controller, err);
}

static void on_snapshot_end(void *context, int64_t last_timestamp)
{
    struct controller *controller = context;
    metadata_loader_snapshot_end(&controller->loader, controller->loading_snapshot.end_offset,
                                 controller->loading_snapshot.epoch, last_timestamp);
}

static void on_committed(void *context, const struct batch *batch)
{
    struct controller *controller = context;
    if (controller->failed)
        return;
    int err = metadata_loader_batch(&controller->loader, batch);
    if (err)
        fail(controller, err);
}

/* Leadership. */

static void now_ready(struct controller *controller)
{
    void (*ready)(void *context) = controller->ready;
    controller->ready = NULL;
    if (ready)
        ready(controller->ready_context);
}

static int add_registration(struct controller *controller, struct decision *decision)
{
    struct register_controller_record record;
    register_controller_record_init(&record);
    record.controller_id = controller->params.node_id;
    record.incarnation_id = controller->incarnation_id;
    record.end_points.count = controller->endpoint_count;
    record.end_points.items = register_controller_record_controller_endpoint_array(
        decision->scratch, controller->endpoint_count);
    record.features.count = features_count;
    record.features.items =
        register_controller_record_controller_feature_array(decision->scratch, features_count);
    if (!record.end_points.items || !record.features.items)
        return -ENOMEM;
    for (int32_t i = 0; i < controller->endpoint_count; i++) {
        const struct quorum_endpoint *from = &controller->endpoints[i];
        record.end_points.items[i] = (struct register_controller_record_controller_endpoint){
            from->listener, from->host, from->port, 0};
    }
    for (int32_t i = 0; i < features_count; i++)
        record.features.items[i] = (struct register_controller_record_controller_feature){
            str_of(features[i].name), features[i].min, features[i].max};
    decision_add(decision, METADATA_REGISTER_CONTROLLER_RECORD, 0, &record);
    return 0;
}

/* Two decisions, synced together: the second needs the level that the first sets. */
static int propose_first_records(struct controller *controller)
{
    struct decision decision;
    int err = 0;
    decision_begin(controller, &decision, NULL);
    if (decision.level == 0) {
        decide_bootstrap(&decision, controller->bootstrap, controller->bootstrap_count);
        err =
            decision.error ? decision.error : controller_propose(controller, &decision, NULL, NULL);
    }
    if (err)
        return err;
    decision_begin(controller, &decision, NULL);
    if (decision.level >= METADATA_VERSION_CONTROLLERS)
        err = add_registration(controller, &decision);
    if (!err)
        err = decision.error;
    return err ? err : controller_propose(controller, &decision, NULL, now_ready);
}

/* Live brokers are given a whole timeout to show up here. */
static int begin_sessions(struct controller *controller)
{
    int64_t now = env_now_ns(controller->params.env);
    struct tree_cursor cursor;
    const struct broker_image *broker;
    sessions_clear(&controller->sessions);
    brokers_from(image_builder_peek(&controller->head), INT32_MIN, &cursor);
    while ((broker = brokers_next(&cursor)))
        if (!broker->fenced &&
            !sessions_touch(&controller->sessions, broker->id, broker->epoch, now))
            return -ENOMEM;
    return 0;
}

static void activate(struct controller *controller, int32_t epoch)
{
    controller->phase = CONTROLLER_ACTIVE;
    controller->epoch = epoch;
    controller->head_void = true;
    controller->void_error = KAFKA_NOT_CONTROLLER;
    int err = propose_first_records(controller);
    if (!err)
        err = begin_sessions(controller);
    if (err) {
        fail(controller, err);
        return;
    }
    controller_arm_timers(controller);
    controller_run_waiting(controller);
}

static void on_leader_change(void *context, int32_t epoch, int32_t leader_id)
{
    struct controller *controller = context;
    if (controller->failed)
        return;
    metadata_loader_release(&controller->loader);
    if (controller->phase != CONTROLLER_LOADING && controller->phase != CONTROLLER_ACTIVE &&
        controller->phase != CONTROLLER_INACTIVE)
        return;
    if (leader_id == controller->params.node_id) {
        activate(controller, epoch);
        return;
    }
    controller->phase = CONTROLLER_INACTIVE;
    controller->epoch = -1;
    controller_fail_ops(controller, KAFKA_NOT_CONTROLLER);
}

static void on_failed(void *context, int error)
{
    fail(context, error);
}

/* Snapshots: the published image is immutable, so a pool job can write it while all goes on. */

static const void *on_snapshot_take(void *context, struct snapshot_id *ret_id,
                                    int64_t *ret_last_timestamp)
{
    struct controller *controller = context;
    struct image *image = image_acquire(controller->params.publisher);
    if (controller->failed || image->offset < 0) {
        image_unref(image);
        return NULL;
    }
    *ret_id = (struct snapshot_id){image->offset + 1, image->epoch};
    *ret_last_timestamp = image->timestamp_ms;
    return image;
}

static int write_value(void *context, struct bytes value)
{
    return snapshot_write_record(context, value);
}

static int on_snapshot_write(const void *state, struct snapshot_writer *writer)
{
    return image_write(state, write_value, writer);
}

static void on_snapshot_drop(void *context, const void *state)
{
    (void)context;
    image_unref(state);
}

void controller_listener(struct controller *controller, struct quorum_listener *ret_listener)
{
    *ret_listener = (struct quorum_listener){
        .bootstrap = on_bootstrap,
        .snapshot_begin = on_snapshot_begin,
        .snapshot_batch = on_snapshot_batch,
        .snapshot_end = on_snapshot_end,
        .committed = on_committed,
        .leader_change = on_leader_change,
        .failed = on_failed,
        .snapshot_take = on_snapshot_take,
        .snapshot_write = on_snapshot_write,
        .snapshot_drop = on_snapshot_drop,
        .context = controller,
    };
}
