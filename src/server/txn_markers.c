#include "server/txn_markers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/errors.h"
#include "record/control.h"
#include "server/broker.h"

#define NS_PER_MS INT64_C(1000000)
#define MARKER_RETRY_MS 100

/* ---- one partition ---- */

static void part_locked(struct park_waiter *park, struct wakes *wakes)
{
    struct marker_part *part = container_of(park, struct marker_part, park);
    part->wake(part, wakes);
}

static void part_reached(struct waiter *waiter, struct wakes *wakes)
{
    struct marker_part *part = container_of(waiter, struct marker_part, waiter);
    part->wake(part, wakes);
}

static void part_op_wakes(struct coord_op *op, struct wakes *wakes)
{
    struct marker_part *part = container_of(op, struct marker_part, op);
    part->wake(part, wakes);
}

static bool part_done(struct marker_part *part, int error)
{
    partition_unref(part->partition);
    part->partition = NULL;
    part->error = error;
    part->stage = MARKER_DONE;
    return true;
}

/* Partitions with a coordinator are its own; who asks for markers knows partitions only. */
static int as_partition_error(int error)
{
    switch (error) {
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_NOT_COORDINATOR:
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    default:
        return error;
    }
}

static int part_coordinated(struct marker_part *part)
{
    struct coord_shard *shard;
    int err = coord_shard_find(part->broker->coordinators.groups, part->index, &shard);
    if (err != 0)
        return err;
    coord_op_init(&part->op);
    part->op.shard = shard;
    part->op.access = COORD_WRITE;
    part->op.marker = part->marker;
    part->op.marker_transaction_version = part->transaction_version;
    part->op.wake = part_op_wakes;
    part->stage = MARKER_COORDINATED;
    return 0;
}

static int part_find(struct marker_part *part, const struct image *image)
{
    const struct topic_image *topic = image_topic_named(image, part->topic);
    if (!topic || !topic_partition(topic, part->index))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (str_equal(part->topic, STR(GROUP_TOPIC)))
        return as_partition_error(part_coordinated(part));
    struct partition *partition = partition_find(&part->broker->partitions, topic->id, part->index);
    if (!partition)
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    part->partition = partition_ref(partition);
    part->park.fire = part_locked;
    waiter_init(&part->waiter, part_reached);
    part->stage = MARKER_APPEND;
    return partition_check_leader(partition, -1);
}

/* The marker as a batch of one control record, from `bytes` on appended. */
static int part_write(const struct marker_part *part, int64_t wall_ms, struct writer *bytes,
                      struct arena *arena, struct log_append_result *ret_result)
{
    const struct coord_marker *marker = part->marker;
    const struct end_transaction end = {marker->commit, marker->coordinator_epoch};
    const struct end_transaction_batch batch = {.timestamp = wall_ms,
                                                .producer_id = marker->producer_id,
                                                .producer_epoch = marker->producer_epoch};
    struct validated records;
    int err = end_transaction_write(&end, &batch, bytes);
    if (err == 0)
        err = log_records_from(bytes->data, bytes->size, arena, &records);
    return err ? err
               : partition_append_marker(part->partition, &records, part->transaction_version,
                                         ret_result);
}

/* Append lock held; on a loop or, epoch reader online, on the pool. */
static void part_append(struct marker_part *part)
{
    struct partition *partition = part->partition;
    struct log_append_result result;
    struct arena arena;
    struct writer bytes = {0};
    int err = partition_check_leader(partition, -1);
    part->leader_epoch = atomic_load_explicit(&partition->leader_epoch, memory_order_acquire);
    arena_init(&arena, 64 * 1024);
    if (err == 0)
        err = part_write(part, env_wall_ms(part->broker->env), &bytes, &arena, &result);
    writer_close(&bytes);
    arena_close(&arena);
    if (err == 0)
        part->end_offset = result.end_offset;
    else
        part->left_open = log_is_in_transaction(partition->log, part->marker->producer_id);
    part->error = err;
}

static void append_run(struct pool_job *job)
{
    struct marker_part *part = container_of(job, struct marker_part, job);
    struct epoch_reader reader; /* settings are read */
    epoch_reader_add(&part->broker->epochs, &reader);
    epoch_online(&reader);
    part_append(part);
    epoch_offline(&reader);
    epoch_reader_remove(&reader);
    parklock_release(&part->partition->append_lock);
}

static void append_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct marker_part *part = container_of(job, struct marker_part, job);
    struct wakes wakes;
    wakes_init(&wakes);
    part->stage = MARKER_APPENDED;
    part->wake(part, &wakes);
    wakes_run(&wakes);
}

/* True when the append is over, well or not. */
static bool part_begin_append(struct marker_part *part, struct loop *loop)
{
    if (!parklock_take(&part->partition->append_lock, &part->park))
        return false;
    if (partition_is_slow(part->partition)) {
        part->stage = MARKER_APPENDING;
        part->job.run = append_run;
        part->job.done = append_done;
        pool_submit(loop, &part->job);
        return false;
    }
    part_append(part);
    parklock_release(&part->partition->append_lock);
    part->stage = MARKER_APPENDED;
    return true;
}

static bool part_await(struct marker_part *part)
{
    struct watermark *mark = &part->partition->high_watermark;
    watermark_cancel(mark, &part->waiter);
    if (watermark_wait(mark, &part->waiter, part->end_offset, part->leader_epoch))
        return false;
    bool failed = atomic_load_explicit(&mark->epoch, memory_order_acquire) != part->leader_epoch;
    return part_done(part, failed ? KAFKA_NOT_LEADER_OR_FOLLOWER : 0);
}

bool marker_part_run(struct marker_part *part, const struct coord_turn *turn)
{
    int err = 0;
    if (part->stage == MARKER_FIND && (err = part_find(part, turn->image)) != 0)
        return part_done(part, err);
    if (part->stage == MARKER_COORDINATED) {
        if (!coord_op_run(&part->op, turn, &err))
            return false;
        part->left_open = part->op.marker_left_open;
        return part_done(part, as_partition_error(err));
    }
    if (part->stage == MARKER_APPEND && !part_begin_append(part, turn->loop))
        return false;
    if (part->stage == MARKER_APPENDED) {
        if (part->error != 0)
            return part_done(part, part->error);
        part->stage = MARKER_AWAIT;
    }
    if (part->stage == MARKER_AWAIT)
        return part_await(part);
    return part->stage == MARKER_DONE;
}

/* ---- all partitions of a transaction that this node coordinates ---- */

struct marker_job {
    struct list link; /* of its loop's jobs */
    struct broker *broker;
    struct loop *loop; /* where all of it happens, the markers' */
    struct txn_markers *markers;
    struct coord_marker marker;
    struct loop_task again;
    _Atomic bool posted;
    bool over; /* freed when `again` has come out of the mailbox */
    struct loop_timer retry;
    int32_t part_count;
    struct marker_job_part {
        struct marker_part part;
        struct marker_job *job;
    } parts[];
};

static void job_wakes(struct marker_part *part, struct wakes *wakes)
{
    struct marker_job *job = container_of(part, struct marker_job_part, part)->job;
    if (!atomic_exchange(&job->posted, true))
        loop_post_later(job->loop, &job->again, wakes);
}

static void job_free(struct marker_job *job)
{
    struct txn_service *txn = &job->broker->txn;
    list_remove(&job->link);
    free(job);
    atomic_fetch_sub(&txn->busy, 1); /* afterwards the broker may go */
}

/* No part has anything left that could wake the job; what woke it while it ran may still be in the
 * mailbox. */
static void job_end(struct marker_job *job, int error)
{
    loop_timer_cancel(job->loop, &job->retry);
    txn_markers_done(job->markers, error);
    job->over = true;
    if (!atomic_load(&job->posted))
        job_free(job);
}

/* A partition that was deleted needs no marker; the epoch that a later transaction of the producer
 * has raised, none any more. Who is fenced there as a coordinator that has been followed by
 * another, and is the coordinator still, was lied about: by a marker that somebody else sent. As
 * long as the transaction is open there it is not complete, whatever it was to become. */
static bool is_settled(const struct marker_part *part)
{
    switch (part->error) {
    case 0:
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_INVALID_PRODUCER_EPOCH:
        return true;
    case KAFKA_TRANSACTION_COORDINATOR_FENCED:
        return !part->left_open;
    default:
        return false;
    }
}

static void job_run(struct marker_job *job)
{
    struct coord_turn turn;
    coordinators_turn(job->broker, job->loop, &turn);
    bool all = true;
    int error = 0;
    for (int32_t i = 0; i < job->part_count; i++) {
        struct marker_part *part = &job->parts[i].part;
        if (!marker_part_run(part, &turn))
            all = false;
        else if (!is_settled(part))
            error = part->error;
    }
    if (!all)
        return;
    if (error == 0 || atomic_load(&job->broker->txn.stopped))
        job_end(job, error);
    else
        loop_timer_set(job->loop, &job->retry, job->loop->now_ns + MARKER_RETRY_MS * NS_PER_MS);
}

static void job_again(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    struct marker_job *job = container_of(task, struct marker_job, again);
    atomic_store(&job->posted, false);
    if (job->over)
        job_free(job);
    else
        job_run(job);
}

static void job_retry(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct marker_job *job = container_of(timer, struct marker_job, retry);
    for (int32_t i = 0; i < job->part_count; i++) {
        struct marker_part *part = &job->parts[i].part;
        if (part->stage == MARKER_DONE && !is_settled(part))
            part->stage = MARKER_FIND;
    }
    job_run(job);
}

static void job_fill(struct marker_job *job)
{
    const struct txn_markers *markers = job->markers;
    int32_t at = 0;
    job->marker = (struct coord_marker){.producer_id = markers->producer_id,
                                        .producer_epoch = markers->producer_epoch,
                                        .coordinator_epoch = markers->coordinator_epoch,
                                        .commit = markers->commit};
    for (int32_t t = 0; t < markers->partitions.count; t++) {
        const struct txn_topic *topic = &markers->partitions.topics[t];
        for (int32_t p = 0; p < topic->count; p++, at++) {
            job->parts[at].job = job;
            job->parts[at].part =
                (struct marker_part){.broker = job->broker,
                                     .marker = &job->marker,
                                     .transaction_version = markers->transaction_version,
                                     .topic = topic->name,
                                     .index = topic->partitions[p],
                                     .wake = job_wakes};
        }
    }
}

static void job_start(struct loop *loop, struct loop_task *task)
{
    struct txn_markers *markers = container_of(task, struct txn_markers, sink);
    struct broker *broker = markers->sink_work;
    struct broker_loop *home = loop->owner;
    int32_t count = 0;
    for (int32_t t = 0; t < markers->partitions.count; t++)
        count += markers->partitions.topics[t].count;
    struct marker_job *job = calloc(1, sizeof *job + (size_t)count * sizeof job->parts[0]);
    if (!job || atomic_load(&broker->txn.stopped)) {
        free(job);
        txn_markers_done(markers, job ? KAFKA_NOT_COORDINATOR : -ENOMEM);
        return;
    }
    atomic_fetch_add(&broker->txn.busy, 1);
    job->broker = broker;
    job->markers = markers;
    job->loop = loop;
    job->part_count = count;
    job->again.run = job_again;
    loop_timer_init(&job->retry, job_retry);
    list_push_back(&home->markers.jobs, &job->link);
    job_fill(job);
    job_run(job);
}

static void write_markers(void *server, struct txn_markers *markers, struct wakes *wakes)
{
    struct broker *broker = server;
    markers->sink_work = broker;
    markers->sink.run = job_start;
    loop_post_later(markers->loop, &markers->sink, wakes);
}

/* ---- producer ids ---- */

static int take_producer_id(void *server, int64_t *ret_producer_id)
{
    struct broker *broker = server;
    return producer_ids_take(&broker->producer_ids, ret_producer_id) ? 0 : -EAGAIN;
}

static void ids_came(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct txn_service *txn = container_of(op, struct txn_service, op);
    struct broker *broker = container_of(txn, struct broker, txn);
    if (op->result == 0 && txn->answer.error_code == 0)
        producer_ids_refill(&broker->producer_ids, txn->answer.producer_id_start,
                            txn->answer.producer_id_len);
    arena_close(&txn->arena);
    atomic_store(&txn->wanted, false);
}

static void ids_ask(struct loop *loop, struct loop_task *task)
{
    struct txn_service *txn = container_of(task, struct txn_service, want);
    struct broker *broker = container_of(txn, struct broker, txn);
    if (atomic_load(&txn->stopped)) {
        atomic_store(&txn->wanted, false);
        return;
    }
    arena_init(&txn->arena, 0);
    allocate_producer_ids_request_init(&txn->ask);
    txn->ask.broker_id = broker->static_config->settings.node_id;
    txn->ask.broker_epoch = broker->broker_epoch;
    txn->op = (struct controller_op){.api_key = API_ALLOCATE_PRODUCER_IDS,
                                     .request = &txn->ask,
                                     .response = &txn->answer,
                                     .arena = &txn->arena,
                                     .done = ids_came};
    controller_submit(broker->controller, loop, &txn->op);
}

static void want_producer_ids(void *server, struct wakes *wakes)
{
    struct broker *broker = server;
    if (!atomic_exchange(&broker->txn.wanted, true))
        loop_post_later(&broker_home(broker)->loop, &broker->txn.want, wakes);
}

/* ---- life ---- */

void txn_service_init(struct broker *broker)
{
    struct txn_service *txn = &broker->txn;
    txn->host = (struct txn_host){.server = broker,
                                  .write_markers = write_markers,
                                  .take_producer_id = take_producer_id,
                                  .want_producer_ids = want_producer_ids};
    txn->want.run = ids_ask;
}

bool txn_service_quiet(const struct broker *broker)
{
    return atomic_load(&broker->txn.busy) == 0 && !atomic_load(&broker->txn.wanted);
}

static void jobs_stop(struct loop *loop, struct loop_task *task)
{
    struct marker_loop *markers = container_of(task, struct marker_loop, stop);
    struct broker_loop *home = loop->owner;
    list_for_each_safe (link, &markers->jobs) {
        struct marker_job *job = container_of(link, struct marker_job, link);
        bool waits = atomic_load(&job->posted); /* for something that will come */
        for (int32_t i = 0; i < job->part_count; i++)
            waits |= job->parts[i].part.stage != MARKER_DONE;
        if (!waits)
            job_end(job, KAFKA_NOT_COORDINATOR);
    }
    atomic_fetch_sub(&home->broker->txn.busy, 1);
}

void marker_loop_init(struct marker_loop *markers)
{
    list_init(&markers->jobs);
    markers->stop.run = jobs_stop;
}

void txn_service_stop(struct broker *broker)
{
    atomic_store(&broker->txn.stopped, true);
    for (int32_t i = 0; i < broker->loop_count; i++) {
        atomic_fetch_add(&broker->txn.busy, 1);
        loop_post(&broker->loops[i].loop, &broker->loops[i].markers.stop);
    }
}
