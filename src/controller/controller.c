/* How an op runs: arrive on the home loop, decide, propose, wait for the commit and the
 * publication, answer on its own loop.
 *
 * Invariants:
 *  1. Works stand in `works` in the order of last_offset; a work without records has that of the
 * last record proposed before it, because it may have seen it in the head.
 *  2. A work is answered when its proposals are done and an image with last_offset is published. An
 * op is answered once; one that ran out of time leaves its work behind.
 *  3. The head is the committed state and every decision proposed since. After a failed proposal it
 * is void, and nothing is decided before it is made anew from the committed state. */
#include "controller/controller.h"

#include <errno.h>
#include <stdlib.h>

#include "controller/answers.h"
#include "controller/controller_private.h"
#include "controller/describe_quorum.h"
#include "controller/ops.h"

/* Answering. */

static void op_done(struct loop *loop, struct loop_task *task)
{
    struct controller_op *op = container_of(task, struct controller_op, task);
    op->done(loop, op);
}

/* The op is the submitter's again. */
void op_answer(struct controller *controller, struct controller_op *op, int result, int64_t offset)
{
    if (heap_contains(&op->deadline))
        heap_remove(&controller->deadlines, &op->deadline);
    controller->op_count--;
    op->work = NULL;
    op->result = result;
    op->offset = offset;
    op->task.run = op_done;
    loop_post(op->loop, &op->task);
}

void op_refuse(struct controller *controller, struct controller_op *op, int result,
               const char *message)
{
    answer_error(op, error_to_wire(result), message);
    op_answer(controller, op, result, -1);
}

void controller_fail_ops(struct controller *controller, int result)
{
    for (struct list *link; (link = list_pop(&controller->waiting));)
        op_refuse(controller, container_of(link, struct controller_op, link), result, NULL);
    list_for_each (link, &controller->works) {
        struct work *work = container_of(link, struct work, link);
        struct controller_op *op = work->op;
        work->op = NULL;
        if (op)
            op_refuse(controller, op, result, NULL);
    }
}

/* Ops. */

static int decide(struct controller *controller, struct decision *decision,
                  struct controller_op *op, const char **ret_message)
{
    const void *request = op->request;
    void *response = op->response;
    switch (op->api_key) {
    case API_CREATE_TOPICS:
        return decide_create_topics(decision, request, response, ret_message);
    case API_DELETE_TOPICS:
        return decide_delete_topics(decision, op->api_version, request, response, ret_message);
    case API_CREATE_PARTITIONS:
        return decide_create_partitions(decision, request, response, ret_message);
    case API_ALTER_CONFIGS:
        return decide_alter_configs(decision, request, response);
    case API_INCREMENTAL_ALTER_CONFIGS:
        return decide_incremental_alter_configs(decision, request, response);
    case API_UPDATE_FEATURES:
        return decide_update_features(decision, op->api_version, request, response);
    case API_ALLOCATE_PRODUCER_IDS:
        return decide_allocate_producer_ids(decision, request, response);
    case API_BROKER_REGISTRATION:
        return decide_register_broker(decision, &controller->sessions,
                                      controller->params.cluster_id, request, response);
    case API_BROKER_HEARTBEAT:
        return decide_broker_heartbeat(decision, &controller->sessions, request, response);
    case API_ALTER_PARTITION:
        return decide_alter_partition(decision, op->api_version, request, response);
    case API_ELECT_LEADERS:
        return decide_elect_leaders(decision, op->api_version, request, response);
    case API_UNREGISTER_BROKER:
        return decide_unregister_broker(decision, request, response);
    case API_ASSIGN_REPLICAS_TO_DIRS:
        return decide_assign_replicas_to_dirs(decision, request, response);
    default:
        return KAFKA_UNSUPPORTED_VERSION;
    }
}

static void op_run(struct controller *controller, struct controller_op *op)
{
    struct decision decision;
    const char *message = NULL;
    int err;
    answer_init(op);
    if (op->api_key == API_DESCRIBE_QUORUM) {
        err = describe_quorum(controller->quorum, op->request, op->arena, op->response);
        if (err)
            op_refuse(controller, op, err, NULL);
        else
            op_answer(controller, op, 0, -1);
        return;
    }
    decision_begin(controller, &decision, op->arena);
    err = decide(controller, &decision, op, &message);
    if (!err)
        err = decision.error;
    if (!err)
        err = controller_propose(controller, &decision, op, NULL);
    /* The quorum's queue is full: the same as a controller that is too busy. */
    if (err == -ENOBUFS)
        err = KAFKA_THROTTLING_QUOTA_EXCEEDED;
    if (err)
        op_refuse(controller, op, err, message);
    controller_arm_timers(controller);
}

void controller_run_waiting(struct controller *controller)
{
    for (struct list *link; (link = list_pop(&controller->waiting));)
        op_run(controller, container_of(link, struct controller_op, link));
}

static void deadline_fire(struct loop *loop, struct loop_timer *timer)
{
    struct controller *controller = container_of(timer, struct controller, deadline_timer);
    struct heap_node *node;
    while ((node = heap_first(&controller->deadlines)) && node->key <= loop->now_ns) {
        struct controller_op *op = container_of(node, struct controller_op, deadline);
        struct work *work = op->work;
        if (work)
            work->op = NULL;
        else
            list_remove(&op->link);
        op_refuse(controller, op, KAFKA_REQUEST_TIMED_OUT, NULL);
    }
    if (node)
        loop_timer_set(loop, timer, node->key);
}

static int set_deadline(struct controller *controller, struct controller_op *op)
{
    int64_t now = env_now_ns(controller->params.env);
    int64_t due = op->deadline_ns;
    if (due == 0) {
        int64_t timeout_ms = answer_timeout_ms(op);
        if (timeout_ms < 0)
            timeout_ms = CONTROLLER_TIMEOUT_DEFAULT_MS;
        if (timeout_ms < CONTROLLER_TIMEOUT_MIN_MS)
            timeout_ms = CONTROLLER_TIMEOUT_MIN_MS;
        due = now + timeout_ms * 1000000;
    }
    int err = heap_insert(&controller->deadlines, &op->deadline, due);
    struct heap_node *first = heap_first(&controller->deadlines);
    if (!err && first == &op->deadline)
        loop_timer_set(controller->params.loop, &controller->deadline_timer, due);
    return err;
}

/* On the home loop. */
static void op_arrive(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct controller_op *op = container_of(task, struct controller_op, task);
    struct controller *controller = op->controller;
    controller->op_count++;
    int err = 0;
    if (!answer_is_served(op->api_key))
        err = KAFKA_UNSUPPORTED_VERSION;
    else if (controller->failed ||
             (controller->phase != CONTROLLER_ACTIVE && controller->phase != CONTROLLER_LOADING &&
              controller->phase != CONTROLLER_NEW))
        err = KAFKA_NOT_CONTROLLER;
    else if (controller->op_count > CONTROLLER_OPS_MAX)
        err = KAFKA_THROTTLING_QUOTA_EXCEEDED;
    else
        err = set_deadline(controller, op);
    if (err)
        op_refuse(controller, op, err, NULL);
    else if (controller->phase == CONTROLLER_ACTIVE)
        op_run(controller, op);
    else
        list_push_back(&controller->waiting, &op->link);
}

void controller_submit(struct controller *controller, struct loop *loop, struct controller_op *op)
{
    op->controller = controller;
    op->loop = loop;
    op->work = NULL;
    op->result = 0;
    op->offset = -1;
    list_init(&op->link);
    heap_node_init(&op->deadline);
    op->task.run = op_arrive;
    loop_post(controller->params.loop, &op->task);
}

struct quorum_leader controller_leader(const struct controller *controller)
{
    return quorum_leader(controller->quorum);
}

struct quorum *controller_quorum(struct controller *controller)
{
    return controller->quorum;
}

void controller_set_config(struct controller *controller, const struct broker_config *config)
{
    controller->params.config = config;
}

/* Brokers' sessions and idle times. */

static bool has_remote_broker(const struct controller *controller)
{
    struct tree_cursor cursor;
    const struct broker_image *broker;
    brokers_from(image_builder_peek(&controller->head), INT32_MIN, &cursor);
    while ((broker = brokers_next(&cursor)))
        if (broker->id != controller->params.local_broker_id && !broker->fenced)
            return true;
    return false;
}

void controller_arm_timers(struct controller *controller)
{
    if (controller->phase != CONTROLLER_ACTIVE)
        return;
    struct loop *loop = controller->params.loop;
    int64_t expiry = sessions_next_expiry(&controller->sessions);
    if (expiry != INT64_MAX && !heap_contains(&controller->session_timer.node))
        loop_timer_set(loop, &controller->session_timer, expiry);
    if (controller->params.max_idle_ms > 0 && !heap_contains(&controller->idle_timer.node) &&
        has_remote_broker(controller))
        loop_timer_set(loop, &controller->idle_timer,
                       env_now_ns(controller->params.env) +
                           controller->params.max_idle_ms * 1000000);
}

static void session_fire(struct loop *loop, struct loop_timer *timer)
{
    struct controller *controller = container_of(timer, struct controller, session_timer);
    int32_t broker_id;
    if (controller->phase != CONTROLLER_ACTIVE)
        return;
    if (loop->gap_ns > 0)
        sessions_shift(&controller->sessions, loop->gap_ns);
    while ((broker_id = sessions_expired(&controller->sessions, loop->now_ns)) >= 0) {
        struct decision decision;
        sessions_end(&controller->sessions, broker_id);
        decision_begin(controller, &decision, NULL);
        decide_fence_broker(&decision, broker_id);
        if (decision.count == 0)
            continue;
        say_info(controller->params.say, "fences a broker whose session ended",
                 kv_int("broker", broker_id));
        int err =
            decision.error ? decision.error : controller_propose(controller, &decision, NULL, NULL);
        if (err) {
            /* It is still unfenced: its next timeout tries again. */
            say_warn(controller->params.say, "could not fence a broker",
                     kv_int("broker", broker_id), kv_text("error", result_text(err)));
            const struct broker_image *broker =
                image_broker(image_builder_peek(&controller->head), broker_id);
            if (broker)
                sessions_touch(&controller->sessions, broker_id, broker->epoch, loop->now_ns);
        }
    }
    controller_arm_timers(controller);
}

/* Brokers compare their offset with the log's end to know that they are up to date, so an idle log
 * is kept moving for them. */
static void idle_fire(struct loop *loop, struct loop_timer *timer)
{
    struct controller *controller = container_of(timer, struct controller, idle_timer);
    int64_t idle_ns = controller->params.max_idle_ms * 1000000;
    if (controller->phase != CONTROLLER_ACTIVE || !has_remote_broker(controller))
        return;
    if (loop->now_ns - controller->last_proposal_ns >= idle_ns) {
        struct decision decision;
        struct no_op_record record;
        no_op_record_init(&record);
        decision_begin(controller, &decision, NULL);
        decision_add(&decision, METADATA_NO_OP_RECORD, 0, &record);
        if (decision.error || controller_propose(controller, &decision, NULL, NULL))
            controller->last_proposal_ns = loop->now_ns; /* try again after as long */
    }
    loop_timer_set(loop, timer, controller->last_proposal_ns + idle_ns);
}

/* Life. */

static int copy_endpoints(struct controller *controller, const struct quorum_params *quorum)
{
    struct quorum_endpoint *copies =
        arena_array(&controller->arena, (size_t)quorum->endpoint_count, sizeof copies[0]);
    if (!copies)
        return -ENOMEM;
    for (int32_t i = 0; i < quorum->endpoint_count; i++) {
        copies[i].listener = arena_str(&controller->arena, quorum->endpoints[i].listener);
        copies[i].host = arena_str(&controller->arena, quorum->endpoints[i].host);
        copies[i].port = quorum->endpoints[i].port;
        if (!copies[i].listener.data || !copies[i].host.data)
            return -ENOMEM;
    }
    controller->endpoints = copies;
    controller->endpoint_count = quorum->endpoint_count;
    return 0;
}

static void random_id(struct env *env, struct uuid *ret_id)
{
    uint8_t random[16];
    do {
        env_random(env, random, sizeof random);
    } while (!uuid_from_random(random, ret_id));
}

int controller_create(const struct controller_params *params, const struct quorum_params *quorum,
                      struct controller **ret_controller)
{
    struct controller *controller = calloc(1, sizeof *controller);
    if (!controller)
        return -ENOMEM;
    controller->params = *params;
    controller->epoch = -1;
    controller->head_offset = -1;
    arena_init(&controller->arena, 0);
    arena_init(&controller->scratch, 0);
    list_init(&controller->waiting);
    list_init(&controller->works);
    heap_init(&controller->deadlines);
    loop_timer_init(&controller->deadline_timer, deadline_fire);
    loop_timer_init(&controller->session_timer, session_fire);
    loop_timer_init(&controller->idle_timer, idle_fire);
    loop_timer_init(&controller->abort_timer, controller_abort_fire);
    sessions_init(&controller->sessions, params->session_timeout_ms * 1000000,
                  params->local_broker_id);
    image_builder_init(&controller->head, NULL);
    metadata_loader_init(&controller->loader, params->loop, params->say, params->publisher);
    controller->loader.published = controller_published;
    controller->loader.context = controller;
    random_id(params->env, &controller->incarnation_id);
    controller->params.cluster_id = arena_str(&controller->arena, params->cluster_id);
    int err = controller->params.cluster_id.data ? copy_endpoints(controller, quorum) : -ENOMEM;
    if (!err) {
        struct quorum_params own = *quorum;
        own.env = params->env;
        own.loop = params->loop;
        own.say = params->say;
        own.node_id = params->node_id;
        own.cluster_id = params->cluster_id;
        controller_listener(controller, &own.listener);
        err = quorum_create(&own, &controller->quorum);
    }
    if (err) {
        controller_destroy(controller);
        return err;
    }
    *ret_controller = controller;
    return 0;
}

void controller_start(struct controller *controller, void (*ready)(void *context), void *context)
{
    must(controller->phase == CONTROLLER_NEW);
    controller->phase = CONTROLLER_LOADING;
    controller->ready = ready;
    controller->ready_context = context;
    metadata_loader_hold(&controller->loader);
    quorum_start(controller->quorum);
}

static void quorum_stopped(void *context, int result)
{
    struct controller *controller = context;
    controller->phase = CONTROLLER_STOPPED;
    controller_fail_ops(controller, KAFKA_NOT_CONTROLLER);
    controller->stopped(controller->stopped_context, result);
}

void controller_stop(struct controller *controller, void (*stopped)(void *context, int result),
                     void *context)
{
    struct loop *loop = controller->params.loop;
    must(controller->phase != CONTROLLER_STOPPING && controller->phase != CONTROLLER_STOPPED);
    controller->phase = CONTROLLER_STOPPING;
    controller->stopped = stopped;
    controller->stopped_context = context;
    loop_timer_cancel(loop, &controller->session_timer);
    loop_timer_cancel(loop, &controller->idle_timer);
    for (struct list *link; (link = list_pop(&controller->waiting));)
        op_refuse(controller, container_of(link, struct controller_op, link), KAFKA_NOT_CONTROLLER,
                  NULL);
    quorum_stop(controller->quorum, quorum_stopped, controller);
}

void controller_destroy(struct controller *controller)
{
    if (!controller)
        return;
    loop_timer_cancel(controller->params.loop, &controller->deadline_timer);
    loop_timer_cancel(controller->params.loop, &controller->session_timer);
    loop_timer_cancel(controller->params.loop, &controller->idle_timer);
    loop_timer_cancel(controller->params.loop, &controller->abort_timer);
    controller_free_works(controller);
    quorum_destroy(controller->quorum);
    metadata_loader_close(&controller->loader);
    image_builder_close(&controller->head);
    sessions_close(&controller->sessions);
    heap_close(&controller->deadlines);
    arena_close(&controller->scratch);
    arena_close(&controller->arena);
    free(controller);
}
