/* Stopping, from wherever starting got to: connections, the controlled shutdown, metadata, logs;
 * the clean marker is written last. Steps stand here behind those that they lead to. */
#include "server/life.h"

#include <stdlib.h>

#include "base/errors.h"
#include "server/directories.h"
#include "server/fetch_session.h"
#include "server/follow.h"
#include "server/listener.h"
#include "server/request.h"

#define STOP_GRACE_NS (5000 * NS_PER_MS) /* for answers under way */
#define STOP_LOOK_NS (5 * NS_PER_MS)

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
        life_wait(life, LIFE_RETRY_NS, leave_again);
    }
}

static void leave_send(struct broker_life *life)
{
    life->leave_tries++;
    life_heartbeat(life, true, leave_done);
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
    life_wait(life, STOP_LOOK_NS, drain_look);
}

void life_stop(struct broker_life *life)
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
    life_wait(life, 0, drain_look);
}
