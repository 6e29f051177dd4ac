/* One request at a time: first the places, then the failures, so that the controller knows what lay
 * in a directory when it hears that it is gone. */
#include "server/dir_reports.h"

#include <stdlib.h>

#include "base/errors.h"
#include "server/broker.h"

#define PLACED_AT_ONCE 2250 /* as Kafka's brokers */
#define RETRY_NS (200 * INT64_C(1000000))

static void look(struct broker *broker);

static struct broker *broker_of(struct controller_op *op)
{
    return container_of(op, struct broker, dir_reports.op);
}

static void submit(struct broker *broker, int16_t api_key, int16_t version, const void *request,
                   void *response, void (*done)(struct loop *loop, struct controller_op *op))
{
    struct dir_reports *reports = &broker->dir_reports;
    reports->op = (struct controller_op){.api_key = api_key,
                                         .api_version = version,
                                         .request = request,
                                         .response = response,
                                         .arena = &reports->arena,
                                         .done = done};
    reports->running = true;
    controller_submit(broker->controller, &broker_home(broker)->loop, &reports->op);
}

/* Go on with what else there is, after a while if this was refused. */
static void report_over(struct broker *broker, const char *what, int err)
{
    struct dir_reports *reports = &broker->dir_reports;
    struct loop *loop = &broker_home(broker)->loop;
    arena_close(&reports->arena);
    reports->running = false;
    if (!reports->started)
        return;
    if (err == 0) {
        look(broker);
        return;
    }
    say_warn(&broker->say, "the controller was not told of log directories, trying again",
             kv_text("what", what), kv_text("error", result_text(err)));
    loop_timer_set(loop, &reports->retry, loop->now_ns + RETRY_NS);
}

/* ---- failures ---- */

static void failures_done(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct broker *broker = broker_of(op);
    const struct broker_heartbeat_response *response = op->response;
    int err = op->result ? op->result : response->error_code;
    if (err == 0)
        broker->dir_reports.failed_told = broker->dir_reports.failed_count;
    report_over(broker, "failures", err);
}

/* Fill in the ids of those that failed; a directory that could not be opened has none. */
static int32_t failed_dirs(struct broker *broker, struct uuid *ids)
{
    const struct partition_set *set = &broker->partitions;
    int32_t count = 0;
    for (int32_t i = 0; i < set->dir_count; i++)
        if (atomic_load(&set->dirs[i].offline) && !uuid_is_zero(set->dirs[i].dir.meta.directory_id))
            ids[count++] = set->dirs[i].dir.meta.directory_id;
    return count;
}

/* True when there are failures to tell: it is under way. */
static bool tell_failures(struct broker *broker)
{
    struct dir_reports *reports = &broker->dir_reports;
    struct broker_heartbeat_request *request = arena_alloc(&reports->arena, sizeof *request);
    struct broker_heartbeat_response *response = arena_alloc(&reports->arena, sizeof *response);
    struct uuid *ids =
        arena_array(&reports->arena, (size_t)broker->partitions.dir_count, sizeof *ids);
    must(request && response && ids);
    reports->failed_count = failed_dirs(broker, ids);
    if (reports->failed_count == reports->failed_told)
        return false;
    broker_heartbeat_request_init(request);
    request->broker_id = broker->static_config->settings.node_id;
    request->broker_epoch = broker->broker_epoch;
    request->current_metadata_offset = image_get(&broker_home(broker)->images)->offset;
    request->offline_log_dirs = (struct uuid_array){ids, reports->failed_count};
    submit(broker, API_BROKER_HEARTBEAT, 1, request, response, failures_done);
    return true;
}

/* ---- places ---- */

static struct uuid place_of(const struct partition *partition)
{
    return partition->dir->dir.meta.directory_id;
}

static int place_order(const void *a, const void *b)
{
    const struct partition *x = *(struct partition *const *)a;
    const struct partition *y = *(struct partition *const *)b;
    int order = x->dir == y->dir ? 0 : x->dir < y->dir ? -1 : 1;
    if (order == 0)
        order = memcmp(&x->topic_id, &y->topic_id, sizeof x->topic_id);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static void places_done(struct loop *loop, struct controller_op *op)
{
    (void)loop;
    struct broker *broker = broker_of(op);
    struct dir_reports *reports = &broker->dir_reports;
    const struct assign_replicas_to_dirs_response *response = op->response;
    int err = op->result ? op->result : response->error_code;
    /* What the controller says of single partitions is that they are gone meanwhile. */
    for (int32_t i = 0; i < reports->placed_count; i++) {
        if (err != 0 && reports->started)
            list_push_back(&broker->partitions.placed, &reports->placed[i]->placed);
        else
            partition_unref(reports->placed[i]);
    }
    reports->placed_count = 0;
    report_over(broker, "places", err);
}

/* Directories, of each its topics, of each its partitions. */
static void places_fill(struct dir_reports *reports,
                        struct assign_replicas_to_dirs_request *request)
{
    int32_t count = reports->placed_count;
    struct assign_replicas_to_dirs_request_directory_data *dir = NULL;
    struct assign_replicas_to_dirs_request_topic_data *topic = NULL;
    struct assign_replicas_to_dirs_request_topic_data *topics =
        assign_replicas_to_dirs_request_topic_data_array(&reports->arena, count);
    struct assign_replicas_to_dirs_request_partition_data *parts =
        assign_replicas_to_dirs_request_partition_data_array(&reports->arena, count);
    request->directories.items =
        assign_replicas_to_dirs_request_directory_data_array(&reports->arena, count);
    must(topics && parts && request->directories.items);
    for (int32_t i = 0; i < count; i++) {
        const struct partition *partition = reports->placed[i];
        if (!dir || !uuid_equal(dir->id, place_of(partition))) {
            dir = &request->directories.items[request->directories.count++];
            dir->id = place_of(partition);
            dir->topics.items = topics;
            topic = NULL;
        }
        if (!topic || !uuid_equal(topic->topic_id, partition->topic_id)) {
            topic = topics++;
            topic->topic_id = partition->topic_id;
            topic->partitions.items = parts;
            dir->topics.count++;
        }
        parts++->partition_index = partition->index;
        topic->partitions.count++;
    }
}

static bool tell_places(struct broker *broker)
{
    struct dir_reports *reports = &broker->dir_reports;
    struct list *waiting = &broker->partitions.placed;
    if (list_empty(waiting))
        return false;
    struct assign_replicas_to_dirs_request *request = arena_alloc(&reports->arena, sizeof *request);
    struct assign_replicas_to_dirs_response *response =
        arena_alloc(&reports->arena, sizeof *response);
    reports->placed = arena_array(&reports->arena, PLACED_AT_ONCE, sizeof *reports->placed);
    must(request && response && reports->placed);
    while (reports->placed_count < PLACED_AT_ONCE && !list_empty(waiting))
        reports->placed[reports->placed_count++] =
            container_of(list_pop(waiting), struct partition, placed);
    qsort(reports->placed, (size_t)reports->placed_count, sizeof(struct partition *), place_order);
    assign_replicas_to_dirs_request_init(request);
    request->broker_id = broker->static_config->settings.node_id;
    request->broker_epoch = broker->broker_epoch;
    places_fill(reports, request);
    submit(broker, API_ASSIGN_REPLICAS_TO_DIRS, 0, request, response, places_done);
    return true;
}

/* ---- one after the other ---- */

static void look(struct broker *broker)
{
    struct dir_reports *reports = &broker->dir_reports;
    if (!reports->started || reports->running || heap_contains(&reports->retry.node))
        return;
    arena_init(&reports->arena, 0);
    if (!tell_places(broker) && !tell_failures(broker))
        arena_close(&reports->arena);
}

static void retry_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    look(container_of(timer, struct broker, dir_reports.retry));
}

static void placed_some(void *context)
{
    look(context);
}

void dir_reports_start(struct broker *broker)
{
    struct dir_reports *reports = &broker->dir_reports;
    loop_timer_init(&reports->retry, retry_fire);
    broker->partitions.placed_some = placed_some;
    broker->partitions.placed_context = broker;
    reports->started = true;
    look(broker);
}

void dir_reports_failed(struct broker *broker)
{
    look(broker);
}

void dir_reports_stop(struct broker *broker)
{
    struct dir_reports *reports = &broker->dir_reports;
    if (!reports->started)
        return;
    reports->started = false;
    loop_timer_cancel(&broker_home(broker)->loop, &reports->retry);
    broker->partitions.placed_some = NULL;
}

bool dir_reports_quiet(const struct broker *broker)
{
    return !broker->dir_reports.running;
}
