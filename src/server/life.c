/* Starting: directories, metadata, registration, logs, listeners; each step arranges for the next
 * one (a pool job, an answer of the controller, a timer) and returns. Steps stand here behind those
 * that they lead to. */
#include "server/life.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "metadata/features.h"
#include "server/directories.h"
#include "server/follow.h"
#include "server/listener.h"

void life_fail(struct broker_life *life, int err)
{
    if (life->broker->result == 0)
        life->broker->result = err;
    life->stop_asked = true;
    life_stop(life);
}

void life_job(struct broker_life *life, void (*run)(struct pool_job *job),
              void (*done)(struct loop *loop, struct pool_job *job))
{
    life->job.run = run;
    life->job.done = done;
    life->job_running = true;
    pool_submit(&broker_home(life->broker)->loop, &life->job);
}

/* The job is over. False: the node is stopping and the chain ends here. */
static bool life_job_ok(struct broker_life *life)
{
    life->job_running = false;
    if (life->stop_asked) {
        life_stop(life);
        return false;
    }
    if (life->job_result != 0) {
        life_fail(life, life->job_result);
        return false;
    }
    return true;
}

void life_wait(struct broker_life *life, int64_t for_ns,
               void (*done)(struct loop *loop, struct loop_timer *timer))
{
    struct loop *loop = &broker_home(life->broker)->loop;
    life->timer_armed = true;
    loop_timer_init(&life->timer, done);
    loop_timer_set(loop, &life->timer, loop->now_ns + for_ns);
}

/* ---- listeners: the last step of starting ---- */

static void life_serve(struct broker_life *life)
{
    struct broker *broker = life->broker;
    atomic_store_explicit(&broker->serving, true, memory_order_release);
    int err = listeners_open(broker);
    if (err < 0) {
        life_fail(life, err);
        return;
    }
    partition_set_start(&broker->partitions);
    life->stage = LIFE_SERVING;
    broker->ready(broker->context, broker);
}

/* ---- logs ---- */

static void logs_run(struct pool_job *job)
{
    struct broker_life *life = container_of(job, struct broker_life, job);
    struct broker *broker = life->broker;
    int32_t threads = broker->static_config->settings.num_recovery_threads_per_data_dir *
                      broker->partitions.dir_count;
    life->job_result =
        partition_set_load(&broker->partitions, life->assignments, life->assignment_count, threads);
}

/* The node lives on while some directory is left, but never without the one of its metadata. Says
 * what is missing and stops otherwise. */
static bool life_dirs_ok(struct broker_life *life)
{
    struct broker *broker = life->broker;
    const struct broker_settings *settings = &broker->static_config->settings;
    bool metadata = false, any = false;
    for (int32_t i = 0; i < broker->partitions.dir_count; i++) {
        const struct partition_dir *dir = &broker->partitions.dirs[i];
        bool offline = atomic_load(&dir->offline);
        any |= !offline;
        metadata |= offline && str_equal(str_of(dir->dir.path), settings->metadata_log_dir);
    }
    if (any && !metadata)
        return true;
    say_error(&broker->say, metadata ? "the metadata directory is offline: stopping"
                                     : "every log directory is offline: stopping");
    life_fail(life, -EIO);
    return false;
}

static void logs_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct broker_life *life = container_of(job, struct broker_life, job);
    if (!life_job_ok(life) || !life_dirs_ok(life))
        return;
    /* What the image said while the logs were opened comes now. */
    follow_start(life->broker);
    dir_reports_start(life->broker);
    int err = coordinators_start(life->broker);
    if (err < 0)
        life_fail(life, err);
    else
        life_serve(life);
}

/* Those who wait for records of an offline directory hear of it. */
static bool stir_offline(void *context, struct partition *partition)
{
    (void)context;
    if (atomic_load(&partition->dir->offline))
        partition_stir(partition);
    return true;
}

static void dir_failed_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct broker_life *life = container_of(task, struct broker_life, dir_failed);
    atomic_store(&life->dir_failed_posted, false);
    if (life->stage >= LIFE_STOPPING || life->stop_asked) /* the partitions may be closing */
        return;
    if (!life_dirs_ok(life))
        return;
    partition_set_each(&life->broker->partitions, stir_offline, NULL);
    dir_reports_failed(life->broker);
}

static void dir_failed(void *context, struct partition_dir *dir)
{
    struct broker_life *life = context;
    (void)dir;
    if (!atomic_exchange(&life->dir_failed_posted, true))
        loop_post(&broker_home(life->broker)->loop, &life->dir_failed);
}

static void life_load(struct broker_life *life)
{
    struct broker *broker = life->broker;
    life->stage = LIFE_LOGS;
    int err = partition_set_init(&broker->partitions, broker->env, &broker_home(broker)->loop,
                                 &broker->epochs, &broker->say, broker->files,
                                 broker->static_config->settings.node_id, broker->dirs,
                                 broker->dir_count, &broker->static_config->settings);
    if (err < 0) {
        life_fail(life, err);
        return;
    }
    broker->partitions.dir_failed = dir_failed;
    broker->partitions.dir_failed_context = life;
    broker->partitions_up = true;
    broker->dirs = NULL;
    follow_config(broker);
    err = follow_assignments(broker, &life->arena, &life->assignments, &life->assignment_count);
    if (err < 0)
        life_fail(life, err);
    else
        life_job(life, logs_run, logs_done);
}

/* ---- registration ---- */

static void life_op(struct broker_life *life, int16_t api_key, int16_t version, const void *request,
                    void *response, void (*done)(struct loop *loop, struct controller_op *op))
{
    life->op = (struct controller_op){.api_key = api_key,
                                      .api_version = version,
                                      .request = request,
                                      .response = response,
                                      .arena = &life->arena,
                                      .done = done};
    life->op_running = true;
    controller_submit(life->broker->controller, &broker_home(life->broker)->loop, &life->op);
}

static void heartbeat_send(struct broker_life *life);

static void heartbeat_again(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct broker_life *life = container_of(timer, struct broker_life, timer);
    life->timer_armed = false;
    heartbeat_send(life);
}

static void heartbeat_done(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct broker_life *life = container_of(op, struct broker_life, op);
    const struct broker_heartbeat_response *response = op->response;
    life->op_running = false;
    if (life->stop_asked) {
        life_stop(life);
    } else if (op->result != 0 || response->error_code != 0) {
        say_error(&life->broker->say, "cannot join the cluster",
                  kv_text("error",
                          op->result ? result_text(op->result) : error_name(response->error_code)));
        life_fail(life, -EPROTO);
    } else if (response->is_fenced) {
        life_wait(life, LIFE_RETRY_NS, heartbeat_again);
    } else {
        life_load(life);
    }
}

void life_heartbeat(struct broker_life *life, bool want_shut_down,
                    void (*done)(struct loop *loop, struct controller_op *op))
{
    struct broker *broker = life->broker;
    struct broker_heartbeat_request *request = arena_alloc(&life->arena, sizeof *request);
    struct broker_heartbeat_response *response = arena_alloc(&life->arena, sizeof *response);
    must(request && response);
    broker_heartbeat_request_init(request);
    request->broker_id = broker->static_config->settings.node_id;
    request->broker_epoch = broker->broker_epoch;
    request->current_metadata_offset = image_get(&broker_home(broker)->images)->offset;
    request->want_shut_down = want_shut_down;
    life_op(life, API_BROKER_HEARTBEAT, 1, request, response, done);
}

static void heartbeat_send(struct broker_life *life)
{
    life_heartbeat(life, false, heartbeat_done);
}

static void register_done(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct broker_life *life = container_of(op, struct broker_life, op);
    const struct broker_registration_response *response = op->response;
    life->op_running = false;
    if (life->stop_asked) {
        life_stop(life);
        return;
    }
    if (op->result != 0 || response->error_code != 0) {
        say_error(&life->broker->say, "broker registration refused",
                  kv_text("error",
                          op->result ? result_text(op->result) : error_name(response->error_code)));
        life_fail(life, -EPROTO);
        return;
    }
    life->broker->broker_epoch = response->broker_epoch;
    heartbeat_send(life);
}

static void life_register(void *context)
{
    struct broker_life *life = context;
    if (life->stop_asked)
        return;
    struct broker *broker = life->broker;
    life->stage = LIFE_REGISTERING;
    struct broker_registration_request *request = arena_alloc(&life->arena, sizeof *request);
    struct broker_registration_response *response = arena_alloc(&life->arena, sizeof *response);
    must(request && response);
    if (!directories_registration(broker, &life->arena, request))
        life_fail(life, -ENOMEM);
    else
        life_op(life, API_BROKER_REGISTRATION, 4, request, response, register_done);
}

/* ---- metadata ---- */

static void controller_failed(void *context, int error)
{
    struct broker_life *life = context;
    say_error(&life->broker->say, "the metadata log failed: stopping",
              kv_text("error", result_text(error)));
    life_fail(life, error);
}

static void directories_done(struct loop *loop, struct pool_job *job)
{
    struct broker_life *life = container_of(job, struct broker_life, job);
    if (!life_job_ok(life))
        return;
    struct broker *broker = life->broker;
    const struct broker_settings *settings = &broker->static_config->settings;
    life->stage = LIFE_METADATA;
    struct controller_params params = {
        .env = broker->env,
        .loop = loop,
        .say = &broker->say,
        .publisher = &broker->publisher,
        .node_id = settings->node_id,
        .cluster_id = str_of(broker->cluster_id),
        .config = broker->static_config,
        .session_timeout_ms =
            config_long(&broker->static_config->values, BROKER_CONFIG_BROKER_SESSION_TIMEOUT_MS),
        .max_idle_ms = config_long(&broker->static_config->values,
                                   BROKER_CONFIG_METADATA_MAX_IDLE_INTERVAL_MS),
        .local_broker_id = settings->node_id,
        .failed = controller_failed,
        .context = life,
    };
    struct quorum_params quorum;
    quorum_params_init(&quorum);
    int err = directories_quorum(broker, &life->arena, &quorum);
    if (err == 0)
        err = controller_create(&params, &quorum, &broker->controller);
    if (err != 0)
        life_fail(life, err);
    else
        controller_start(broker->controller, life_register, life);
}

static void directories_run(struct pool_job *job)
{
    struct broker_life *life = container_of(job, struct broker_life, job);
    life->job_result = directories_open(life->broker);
}

static void life_begin(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct broker_life *life = container_of(task, struct broker_life, begin);
    life->stage = LIFE_DIRECTORIES;
    life_job(life, directories_run, directories_done);
}

static void stop_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct broker_life *life = container_of(task, struct broker_life, stop);
    life->stop_asked = true;
    life_stop(life);
}

struct broker_life *life_create(struct broker *broker)
{
    struct broker_life *life = calloc(1, sizeof *life);
    if (!life)
        return NULL;
    life->broker = broker;
    life->begin.run = life_begin;
    life->stop.run = stop_run;
    life->dir_failed.run = dir_failed_run;
    arena_init(&life->arena, 0);
    return life;
}

void life_destroy(struct broker_life *life)
{
    if (!life)
        return;
    arena_close(&life->arena);
    free(life);
}
