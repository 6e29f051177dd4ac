/* Works: decisions on their way from the head through the quorum to the published image.
 *
 * Invariants:
 *  1. Works stand in `works` in the order of last_offset; a work without records has that of the
 * last record proposed before it, because it may have seen it in the head.
 *  2. A work is finished when its proposals are done and an image with last_offset is published.
 *  3. The head is the committed state and every decision proposed since. When a proposal fails, all
 *     behind it fail too; the head is void, and nothing is decided before it is made anew from the
 *     committed state.
 *  4. A metadata transaction that cannot be completed is aborted by the next batch proposed. Until
 * then nothing behind its begin is published. */
#include <errno.h>
#include <stdlib.h>

#include "controller/controller_private.h"

enum { ABORT_RETRY_MS = 1000 };

/* One proposal of a work. */
struct flight {
    struct quorum_proposal proposal;
    struct controller *controller;
    struct work *work;
};

static void work_free(struct work *work)
{
    list_remove(&work->link);
    free(work);
}

void controller_free_works(struct controller *controller)
{
    list_for_each_safe (link, &controller->works) {
        struct work *work = container_of(link, struct work, link);
        must(!work->op);
        work_free(work);
    }
}

/* The work is published, or failed for good. */
static void work_finish(struct controller *controller, struct work *work)
{
    struct controller_op *op = work->op;
    void (*then)(struct controller * controller) = work->then;
    int result = work->result;
    int64_t offset = work->wrote ? work->last_offset : -1;
    work_free(work);
    if (op && result)
        op_refuse(controller, op, result, NULL);
    else if (op)
        op_answer(controller, op, 0, offset);
    if (then && !result)
        then(controller);
}

/* Publication. */

static bool everything_published(const struct controller *controller, const struct image *image)
{
    return list_empty(&controller->works) && image->offset >= controller->head_offset;
}

void controller_published(void *context, const struct image *image)
{
    struct controller *controller = context;
    list_for_each_safe (link, &controller->works) {
        struct work *work = container_of(link, struct work, link);
        if (work->last_offset > image->offset || work->proposals > 0)
            break;
        work_finish(controller, work);
    }
    /* Nothing is under way: share the published nodes instead of keeping copies of them. */
    if (everything_published(controller, image))
        image_builder_reset(&controller->head, image);
    controller_arm_timers(controller);
}

/* The head. */

/* What is committed, without an open transaction. */
static const struct image *committed_image(const struct controller *controller)
{
    const struct metadata_loader *loader = &controller->loader;
    return loader->in_transaction ? loader->before_transaction
                                  : image_builder_peek(&loader->builder);
}

/* Works without records of their own looked at a head that never came true: what they would say is
 * not so. */
static void fail_onlookers(struct controller *controller)
{
    list_for_each_safe (link, &controller->works) {
        struct work *work = container_of(link, struct work, link);
        if (work->proposals > 0 || work->last_offset <= controller->loader.offset)
            continue;
        work->result = controller->void_error;
        work_finish(controller, work);
    }
}

static void head_renew(struct controller *controller)
{
    if (!controller->head_void)
        return;
    controller->head_void = false;
    fail_onlookers(controller);
    controller->abort_needed = controller->loader.in_transaction;
    image_builder_reset(&controller->head, committed_image(controller));
    controller->head_offset = controller->loader.offset;
}

static void abort_transaction(struct controller *controller)
{
    struct decision decision;
    if (!controller->abort_needed || controller->phase != CONTROLLER_ACTIVE || controller->failed)
        return;
    decision_begin(controller, &decision, NULL); /* puts the abort in front */
    int err =
        decision.error ? decision.error : controller_propose(controller, &decision, NULL, NULL);
    if (err)
        loop_timer_set(controller->params.loop, &controller->abort_timer,
                       decision.now_ns + ABORT_RETRY_MS * 1000000LL);
}

void controller_abort_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    abort_transaction(container_of(timer, struct controller, abort_timer));
}

static void renew_task(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct controller *controller = container_of(task, struct controller, renew_head);
    controller->renew_queued = false;
    head_renew(controller);
    abort_transaction(controller);
}

static void queue_renewal(struct controller *controller)
{
    if (controller->renew_queued)
        return;
    controller->renew_queued = true;
    controller->renew_head.run = renew_task;
    loop_defer(controller->params.loop, &controller->renew_head);
}

static void head_void(struct controller *controller, int error)
{
    controller->head_void = true;
    controller->void_error = error;
    queue_renewal(controller);
}

void decision_begin(struct controller *controller, struct decision *decision,
                    struct arena *response_arena)
{
    head_renew(controller);
    arena_reset(&controller->scratch, 0);
    const struct image *head = image_builder_peek(&controller->head);
    *decision = (struct decision){
        .env = controller->params.env,
        .say = controller->params.say,
        .head = head,
        .config = controller->params.config,
        .level = head->metadata_version,
        .kraft_version = quorum_voters(controller->quorum).kraft_version,
        .next_offset = quorum_next_offset(controller->quorum),
        .node_id = controller->params.node_id,
        .now_ns = env_now_ns(controller->params.env),
        .arena = response_arena ? response_arena : &controller->scratch,
        .scratch = &controller->scratch,
    };
    if (controller->abort_needed) {
        struct abort_transaction_record record;
        abort_transaction_record_init(&record);
        record.reason = STR("the controller that began it did not end it");
        decision_add(decision, METADATA_ABORT_TRANSACTION_RECORD, 0, &record);
    }
}

/* Proposing. */

static void flight_done(struct quorum *quorum, struct quorum_proposal *proposal, int result)
{
    (void)quorum;
    struct flight *flight = container_of(proposal, struct flight, proposal);
    struct controller *controller = flight->controller;
    struct work *work = flight->work;
    free(flight);
    work->proposals--;
    if (!result)
        return;
    head_void(controller, result);
    if (!work->result)
        work->result = result;
    if (work->proposals == 0)
        work_finish(controller, work);
}

static int propose_batch(struct controller *controller, struct work *work,
                         const struct bytes *values, int32_t count)
{
    struct flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return -ENOMEM;
    flight->controller = controller;
    flight->work = work;
    flight->proposal.done = flight_done;
    int err =
        quorum_propose(controller->quorum, controller->epoch, values, count, &flight->proposal);
    if (err) {
        free(flight);
        return err;
    }
    work->proposals++;
    work->last_offset = flight->proposal.last_offset;
    work->wrote = true;
    return 0;
}

static int encode(struct arena *arena, const struct decision_record *record,
                  struct bytes *ret_value)
{
    struct writer out = {0};
    int err = metadata_record_encode(record->type->type, record->version, record->record, &out);
    if (!err) {
        struct str copy = arena_str(arena, (struct str){(const char *)out.data, (int32_t)out.size});
        *ret_value = (struct bytes){(const uint8_t *)copy.data, copy.size};
        err = copy.data ? 0 : -ENOMEM;
    }
    writer_close(&out);
    return err;
}

static int encode_all(struct decision *decision, struct bytes **ret_values, int64_t *ret_bytes)
{
    struct bytes *values =
        arena_array(decision->scratch, (size_t)decision->count, sizeof values[0]);
    int64_t bytes = 0;
    if (!values)
        return -ENOMEM;
    for (int32_t i = 0; i < decision->count; i++) {
        int err = encode(decision->scratch, &decision->records[i], &values[i]);
        if (err)
            return err;
        bytes += values[i].size;
    }
    *ret_values = values;
    *ret_bytes = bytes;
    return 0;
}

/* How many values from `at` on fit into one batch. */
static int32_t batch_length(const struct bytes *values, int32_t at, int32_t count)
{
    int64_t bytes = 0;
    int32_t length = 0;
    while (at + length < count && length < QUORUM_BATCH_MAX_RECORDS) {
        bytes += values[at + length].size;
        if (length > 0 && bytes > CONTROLLER_BATCH_BYTES)
            break;
        length++;
    }
    return length;
}

static int propose_marker(struct controller *controller, struct work *work, int16_t type)
{
    struct begin_transaction_record record;
    begin_transaction_record_init(&record);
    const struct decision_record marker = {metadata_record_find(type), 0, &record};
    struct bytes value;
    int err = encode(&controller->scratch, &marker, &value);
    return err ? err : propose_batch(controller, work, &value, 1);
}

/* More records than one batch holds go as a metadata transaction (KIP-866), so that they show all
 * at once or not at all. */
static int propose_values(struct controller *controller, const struct decision *decision,
                          struct work *work, const struct bytes *values)
{
    int32_t count = decision->count;
    int32_t length = batch_length(values, 0, count);
    if (length == count)
        return propose_batch(controller, work, values, count);
    bool transaction = decision->level >= METADATA_VERSION_TRANSACTIONS;
    int32_t at = 0;
    int err = 0;
    if (controller->abort_needed) {
        /* It must not stand inside the new transaction. */
        err = propose_batch(controller, work, values, 1);
        at = 1;
    }
    if (!err && transaction)
        err = propose_marker(controller, work, METADATA_BEGIN_TRANSACTION_RECORD);
    for (; !err && at < count; at += length) {
        length = batch_length(values, at, count);
        err = propose_batch(controller, work, values + at, length);
    }
    if (!err && transaction)
        err = propose_marker(controller, work, METADATA_END_TRANSACTION_RECORD);
    return err;
}

static void apply_to_head(struct controller *controller, const struct decision *decision,
                          int64_t last_offset)
{
    for (int32_t i = 0; i < decision->count; i++)
        must(image_apply(&controller->head, decision->records[i].type,
                         decision->records[i].record) ||
             decision->records[i].type->type == METADATA_ABORT_TRANSACTION_RECORD);
    controller->head_offset = last_offset;
    controller->abort_needed = false;
    controller->last_proposal_ns = decision->now_ns;
}

static int propose_records(struct controller *controller, struct decision *decision,
                           struct work *work)
{
    struct bytes *values;
    int64_t bytes;
    int err = encode_all(decision, &values, &bytes);
    if (!err)
        err = propose_values(controller, decision, work, values);
    if (!err)
        apply_to_head(controller, decision, work->last_offset);
    return err;
}

int controller_propose(struct controller *controller, struct decision *decision,
                       struct controller_op *op, void (*then)(struct controller *controller))
{
    struct work *work = calloc(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    work->last_offset = controller->head_offset;
    list_push_back(&controller->works, &work->link);
    int err = decision->count > 0 ? propose_records(controller, decision, work) : 0;
    if (err && work->proposals == 0) {
        work_free(work);
        return err;
    }
    if (err) {
        /* The beginning of a transaction is on its way: it is aborted. The head never saw it. */
        work->result = err;
        controller->head_offset = work->last_offset;
        controller->abort_needed = true;
        queue_renewal(controller);
        return err;
    }
    work->op = op;
    work->then = then;
    if (op)
        op->work = work;
    /* Nothing to wait for: what it saw is published. */
    const struct image *published =
        atomic_load_explicit(&controller->params.publisher->current, memory_order_relaxed);
    if (work->proposals == 0 && work->link.prev == &controller->works &&
        published->offset >= work->last_offset)
        work_finish(controller, work);
    return 0;
}
