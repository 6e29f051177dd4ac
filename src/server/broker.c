/* Creating, starting and stopping a node.
 *
 * Everything after broker_start is a chain of steps on the home loop: each step arranges for the
 * next one (a pool job, an answer of the controller, a timer) and returns. Starting: directories,
 * metadata, registration, logs, listeners. Stopping runs the chain's other end from wherever
 * starting got to: connections, the controlled shutdown, metadata, logs; the clean marker is
 * written last. */
#include "server/broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "group/group.h"
#include "metadata/features.h"
#include "server/directories.h"
#include "server/fetch_session.h"
#include "server/follow.h"
#include "server/listener.h"
#include "server/request.h"

#define NS_PER_MS INT64_C(1000000)
#define STOP_GRACE_NS (5000 * NS_PER_MS) /* for answers under way */
#define STOP_LOOK_NS (5 * NS_PER_MS)
#define HEARTBEAT_RETRY_NS (10 * NS_PER_MS)
#define ONE_LOOP_PER_CORE 0

enum life_stage {
    LIFE_NEW,
    LIFE_DIRECTORIES,
    LIFE_METADATA,
    LIFE_REGISTERING,
    LIFE_LOGS,
    LIFE_SERVING,
    LIFE_STOPPING,
    LIFE_STOPPED
};

struct broker_life {
    struct broker *broker;
    enum life_stage stage;
    struct loop_task begin, stop, dir_failed;
    struct pool_job job;
    struct controller_op op;
    struct arena arena;
    struct loop_timer timer;
    struct partition_assignment *assignments; /* in the arena */
    int32_t assignment_count;
    int job_result;
    bool stop_asked, job_running, op_running, timer_armed;
    _Atomic bool stop_posted, dir_failed_posted;
    int64_t grace_end_ns;
    int32_t leave_tries;
    int64_t stop_ns, drained_ns, left_ns, closing_ns; /* when each part of the stop was over */
};

static void life_stop(struct broker_life *life);

static void life_fail(struct broker_life *life, int err)
{
    if (life->broker->result == 0)
        life->broker->result = err;
    life->stop_asked = true;
    life_stop(life);
}

static void life_job(struct broker_life *life, void (*run)(struct pool_job *job),
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
        life->timer_armed = true;
        loop_timer_init(&life->timer, heartbeat_again);
        loop_timer_set(loop, &life->timer, loop->now_ns + HEARTBEAT_RETRY_NS);
    } else {
        life_load(life);
    }
}

static void heartbeat_op(struct broker_life *life, bool want_shut_down,
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
    heartbeat_op(life, false, heartbeat_done);
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

/* ---- stopping ---- */

static void life_stopped(struct broker_life *life)
{
    struct broker *broker = life->broker;
    life->stage = LIFE_STOPPED;
    broker->stopped(broker->context, broker, broker->result);
}

static void close_run(struct pool_job *job)
{
    struct broker_life *life = container_of(job, struct broker_life, job);
    struct broker *broker = life->broker;
    life->job_result = 0;
    fetch_sessions_clear(broker->sessions); /* they wait on marks of partitions */
    if (broker->partitions_up) {
        life->job_result =
            partition_set_close(&broker->partitions, broker->result == 0, broker->broker_epoch);
        broker->partitions_up = false;
    }
    directories_close(broker);
}

/* Whoever waits for a stop wants to know for what. */
static void say_stop(struct broker_life *life, int64_t now_ns)
{
    say_info(&life->broker->say, "stopped serving",
             kv_int("answers_ms", (life->drained_ns - life->stop_ns) / NS_PER_MS),
             kv_int("leaving_ms", (life->left_ns - life->drained_ns) / NS_PER_MS),
             kv_int("metadata_ms", (life->closing_ns - life->left_ns) / NS_PER_MS),
             kv_int("logs_ms", (now_ns - life->closing_ns) / NS_PER_MS));
}

static void close_done(struct loop *loop, struct pool_job *job)
{
    struct broker_life *life = container_of(job, struct broker_life, job);
    life->job_running = false;
    say_stop(life, loop->now_ns);
    if (life->broker->result == 0)
        life->broker->result = life->job_result;
    life_stopped(life);
}

static void controller_stopped(void *context, int result)
{
    struct broker_life *life = context;
    if (life->broker->result == 0)
        life->broker->result = result;
    life->closing_ns = broker_home(life->broker)->loop.now_ns;
    life_job(life, close_run, close_done);
}

static int64_t connections_open(struct broker *broker)
{
    int64_t open = 0;
    for (int32_t i = 0; i < broker->loop_count; i++)
        open += atomic_load(&broker->loops[i].counters.connections);
    return open;
}

/* On each loop: close what has no answer under way, hurry the others; at the end of the grace close
 * everything. No request begins any more. */
struct drain_task {
    struct loop_task task;
    struct broker_loop *home;
    bool all;
};

static void drain_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct drain_task *drain = container_of(task, struct drain_task, task);
    struct conn_set *set = &drain->home->conns;
    if (drain->all) {
        conn_set_shutdown(set, "stopping");
    } else {
        list_for_each_safe (pos, &set->by_activity) {
            struct conn *conn = container_of(pos, struct conn, activity);
            if (conn->inflight == 0)
                conn_close(conn, "stopping");
            else
                requests_hurry(conn);
        }
    }
    free(drain);
}

static void drain_loops(struct broker *broker, bool all)
{
    for (int32_t i = 0; i < broker->loop_count; i++) {
        struct drain_task *drain = calloc(1, sizeof *drain);
        if (!drain)
            continue;
        *drain = (struct drain_task){.task.run = drain_run, .home = &broker->loops[i], .all = all};
        loop_post(&broker->loops[i].loop, &drain->task);
    }
}

/* Leave the cluster as Kafka's brokers do (KIP-631): heartbeats that want to shut down, until the
 * controller has taken the leaders away and fenced the broker. A registration that stays unfenced
 * counts as alive for a whole session with whoever opens the metadata next, and a broker of the
 * same id is refused that long. It is no condition of stopping: a controller that fails or is not
 * done when the grace ends is left as it is. */
static void leave_send(struct broker_life *life);

static void leave_again(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct broker_life *life = container_of(timer, struct broker_life, timer);
    life->timer_armed = false;
    leave_send(life);
}

static void leave_done(struct loop *loop, struct controller_op *op)
{
    struct broker_life *life = container_of(op, struct broker_life, op);
    struct broker *broker = life->broker;
    const struct broker_heartbeat_response *response = op->response;
    life->op_running = false;
    bool failed = op->result != 0 || response->error_code != 0;
    if (failed || response->should_shut_down || loop->now_ns >= life->grace_end_ns) {
        if (failed || !response->should_shut_down)
            say_warn(&broker->say, "the controller did not fence this broker",
                     kv_text("error", op->result ? result_text(op->result)
                                                 : error_name(response->error_code)));
        life->left_ns = loop->now_ns;
        controller_stop(broker->controller, controller_stopped, life);
    } else if (life->leave_tries == 1) {
        leave_send(life); /* alone, the first moves the leaders and the second fences */
    } else {
        life->timer_armed = true;
        loop_timer_init(&life->timer, leave_again);
        loop_timer_set(loop, &life->timer, loop->now_ns + HEARTBEAT_RETRY_NS);
    }
}

static void leave_send(struct broker_life *life)
{
    life->leave_tries++;
    heartbeat_op(life, true, leave_done);
}

static void drain_look(struct loop *loop, struct loop_timer *timer)
{
    struct broker_life *life = container_of(timer, struct broker_life, timer);
    struct broker *broker = life->broker;
    life->timer_armed = false;
    bool quiet = (!broker->partitions_up || partition_set_quiet(&broker->partitions)) &&
                 coordinators_quiet(broker) && txn_service_quiet(broker) &&
                 internal_topics_quiet(broker) && dir_reports_quiet(broker);
    if (connections_open(broker) == 0 && quiet) {
        life->drained_ns = life->left_ns = loop->now_ns;
        if (!broker->controller)
            controller_stopped(life, 0);
        else if (broker->broker_epoch >= 0 && broker->result == 0)
            leave_send(life);
        else
            controller_stop(broker->controller, controller_stopped, life);
        return;
    }
    drain_loops(broker, loop->now_ns >= life->grace_end_ns);
    life->timer_armed = true;
    loop_timer_set(loop, timer, loop->now_ns + STOP_LOOK_NS);
}

/* Idempotent: runs again when what it waited for is over. */
static void life_stop(struct broker_life *life)
{
    struct broker *broker = life->broker;
    if (life->stage >= LIFE_STOPPING || life->job_running || life->op_running)
        return;
    life->stage = LIFE_STOPPING;
    struct loop *loop = &broker_home(broker)->loop;
    if (life->timer_armed)
        loop_timer_cancel(loop, &life->timer);
    atomic_store_explicit(&broker->serving, false, memory_order_release);
    listeners_close(broker);
    follow_stop(broker);
    dir_reports_stop(broker);
    txn_service_stop(broker);
    coordinators_stop(broker);
    if (broker->partitions_up)
        partition_set_stop(&broker->partitions);
    life->stop_ns = loop->now_ns;
    life->grace_end_ns = loop->now_ns + STOP_GRACE_NS;
    life->timer_armed = true;
    loop_timer_init(&life->timer, drain_look);
    loop_timer_set(loop, &life->timer, loop->now_ns);
}

static void stop_run(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct broker_life *life = container_of(task, struct broker_life, stop);
    life->stop_asked = true;
    life_stop(life);
}

void broker_stop(struct broker *broker)
{
    if (!atomic_exchange(&broker->life->stop_posted, true))
        loop_post(&broker_home(broker)->loop, &broker->life->stop);
}

/* ---- creating ---- */

static void turn_begin(struct loop *loop)
{
    struct broker_loop *home = loop->owner;
    epoch_online(&home->epoch);
    if (loop->gap_ns > 0)
        coordinators_gap(home->broker, loop);
}

static void turn_end(struct loop *loop)
{
    struct broker_loop *home = loop->owner;
    image_reader_turn_end(&home->images);
    epoch_offline(&home->epoch);
}

static int loops_init(struct broker *broker, int32_t count)
{
    size_t size = (size_t)count * sizeof *broker->loops;
    broker->loops = aligned_alloc(_Alignof(struct broker_loop), size);
    if (!broker->loops)
        return -ENOMEM;
    memset(broker->loops, 0, size);
    for (int32_t i = 0; i < count; i++) {
        struct broker_loop *home = &broker->loops[i];
        home->broker = broker;
        int err = loop_init(&home->loop, broker->env, i);
        if (err < 0)
            return err;
        broker->loop_count++;
        home->loop.owner = home;
        home->loop.turn_begin = turn_begin;
        home->loop.turn_end = turn_end;
        image_reader_init(&home->images, &broker->publisher);
        epoch_reader_add(&broker->epochs, &home->epoch);
        err = broker_loop_conns_init(home);
        if (err < 0)
            return err;
    }
    return 0;
}

int broker_create(struct env *env, const struct say *say, struct broker_config *config,
                  void (*ready)(void *context, struct broker *broker),
                  void (*stopped)(void *context, struct broker *broker, int result), void *context,
                  struct broker **ret_broker)
{
    struct broker *broker = calloc(1, sizeof *broker);
    struct broker_life *life = calloc(1, sizeof *life);
    if (!broker || !life) {
        free(broker);
        free(life);
        return -ENOMEM;
    }
    broker->env = env;
    broker->coordinators.group_fold = &group_fold;
    broker->coordinators.group_context = &broker->group_memory;
    broker->say = *say;
    broker->static_config = config;
    atomic_init(&broker->config, config);
    broker->ready = ready;
    broker->stopped = stopped;
    broker->context = context;
    broker->life = life;
    broker->broker_epoch = -1;
    broker->budget.limit_bytes = config->settings.request_memory_bytes;
    broker->plain.limit_bytes = config->settings.request_memory_bytes;
    life->broker = broker;
    life->begin.run = life_begin;
    life->stop.run = stop_run;
    life->dir_failed.run = dir_failed_run;
    arena_init(&life->arena, 0);
    producer_ids_init(&broker->producer_ids);
    txn_service_init(broker);
    broker->coordinators.transaction_fold = &txn_fold;
    broker->coordinators.transaction_context = &broker->txn.host;
    uint64_t quota_seed;
    env_random(env, &quota_seed, sizeof quota_seed);
    conn_quota_init(&broker->quota, quota_seed);
    epoch_init(&broker->epochs);
    int err = image_publisher_init(&broker->publisher);
    int32_t loops = config->settings.event_loops;
    if (loops == ONE_LOOP_PER_CORE)
        loops = env_core_count(env);
    if (err == 0)
        err = loops_init(broker, loops);
    broker->files = file_cache_create(env, (uint32_t)config->settings.open_files_max);
    if (err == 0 && !broker->files)
        err = -ENOMEM;
    uint64_t seed;
    env_random(env, &seed, sizeof seed);
    if (err == 0 && !(broker->sessions = fetch_sessions_create(
                          config->settings.max_incremental_fetch_session_cache_slots,
                          config->settings.fetch_session_memory_bytes, seed)))
        err = -ENOMEM;
    if (err != 0) {
        broker->static_config = NULL; /* still the caller's */
        atomic_store(&broker->config, NULL);
        broker_destroy(broker);
        return err;
    }
    *ret_broker = broker;
    return 0;
}

int broker_start(struct broker *broker)
{
    for (int32_t i = 0; i < broker->loop_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "loop-%d", i);
        int err = loop_start(&broker->loops[i].loop, name);
        if (err < 0)
            return err;
    }
    loop_post(&broker_home(broker)->loop, &broker->life->begin);
    return 0;
}

void broker_destroy(struct broker *broker)
{
    if (!broker)
        return;
    for (int32_t i = 0; i < broker->loop_count; i++)
        loop_stop(&broker->loops[i].loop);
    for (int32_t i = 0; i < broker->loop_count; i++)
        loop_join(&broker->loops[i].loop);
    controller_destroy(broker->controller);
    coordinators_destroy(broker);
    for (int32_t i = 0; i < broker->loop_count; i++) {
        conn_set_close(&broker->loops[i].conns);
        image_reader_close(&broker->loops[i].images);
        epoch_reader_remove(&broker->loops[i].epoch);
        loop_close(&broker->loops[i].loop);
    }
    epoch_close(&broker->epochs);
    free(broker->loops);
    free(broker->listeners);
    fetch_sessions_destroy(broker->sessions);
    producer_ids_close(&broker->producer_ids);
    conn_quota_close(&broker->quota);
    image_publisher_close(&broker->publisher);
    if (broker->files)
        file_cache_destroy(broker->files);
    struct broker_config *config = atomic_load(&broker->config);
    if (config != broker->static_config)
        broker_config_destroy(config);
    broker_config_destroy(broker->static_config);
    arena_close(&broker->life->arena);
    free(broker->life);
    free(broker);
}

void broker_address(const struct broker *broker, char text[NET_ADDRESS_TEXT_SIZE])
{
    net_address_format(&broker->listeners[0].bound, text);
}
