/* DescribeLogDirs: sizes of logs and space of directories. Asking the file system for its space may
 * wait for a device: that is a pool job. */
#include <stdlib.h>

#include "base/errors.h"
#include "server/api_table.h"

struct log_dirs_work {
    struct pool_job job;
    struct request *request;
    struct describe_log_dirs_response response;
    struct partition **partitions; /* asked for, sorted; references */
    int32_t count, capacity;
    bool failed, done;
};

static bool collect_all(void *context, struct partition *partition)
{
    struct log_dirs_work *work = context;
    if (work->count == work->capacity) {
        int32_t capacity = work->capacity ? work->capacity * 2 : 64;
        void *grown =
            arena_array(&work->request->arena, (size_t)capacity, sizeof *work->partitions);
        if (!grown) {
            work->failed = true;
            return false;
        }
        if (work->count)
            memcpy(grown, work->partitions, (size_t)work->count * sizeof *work->partitions);
        work->partitions = grown;
        work->capacity = capacity;
    }
    work->partitions[work->count++] = partition_ref(partition);
    return true;
}

static void collect_asked(struct request *request, struct log_dirs_work *work)
{
    const struct describe_log_dirs_request *body = request->body;
    for (int32_t t = 0; t < body->topics.count; t++) {
        const struct describe_log_dirs_request_describable_log_dir_topic *asked =
            &body->topics.items[t];
        const struct topic_image *topic = image_topic_named(request_image(request), asked->topic);
        for (int32_t p = 0; topic && p < asked->partitions.count; p++) {
            struct partition *partition = partition_find(&request_broker(request)->partitions,
                                                         topic->id, asked->partitions.items[p]);
            if (partition)
                collect_all(work, partition);
        }
    }
}

static int partition_order(const void *a, const void *b)
{
    const struct partition *x = *(struct partition *const *)a;
    const struct partition *y = *(struct partition *const *)b;
    int order = str_compare(x->topic, y->topic);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Of sorted partitions each is told once, however often it was asked for. */
static void drop_repeats(struct log_dirs_work *work)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < work->count; i++) {
        if (kept > 0 && work->partitions[kept - 1] == work->partitions[i])
            partition_unref(work->partitions[i]);
        else
            work->partitions[kept++] = work->partitions[i];
    }
    work->count = kept;
}

static bool dir_fill(struct log_dirs_work *work, struct partition_dir *dir,
                     struct describe_log_dirs_response_result *out)
{
    struct arena *arena = &work->request->arena;
    struct env *env = request_broker(work->request)->env;
    out->log_dir = str_of(dir->dir.path);
    if (atomic_load(&dir->offline))
        out->error_code = KAFKA_KAFKA_STORAGE_ERROR;
    else if (env->ops->disk_space(env, dir->dir.path, &out->total_bytes, &out->usable_bytes) < 0)
        out->total_bytes = out->usable_bytes = -1;
    out->topics.items = describe_log_dirs_response_topic_array(arena, work->count);
    struct describe_log_dirs_response_partition *parts =
        describe_log_dirs_response_partition_array(arena, work->count);
    if (!out->topics.items || !parts)
        return false;
    struct describe_log_dirs_response_topic *topic = NULL;
    for (int32_t i = 0; i < work->count && out->error_code == 0; i++) {
        const struct partition *partition = work->partitions[i];
        if (partition->dir != dir)
            continue;
        if (!topic || !str_equal(topic->name, partition->topic)) {
            topic = &out->topics.items[out->topics.count++];
            topic->name = partition->topic;
            topic->partitions.items = parts;
        }
        parts->partition_index = partition->index;
        parts->partition_size = log_size_bytes(partition->log);
        parts->offset_lag = 0;
        parts++;
        topic->partitions.count++;
    }
    return true;
}

static void dirs_run(struct pool_job *job)
{
    struct log_dirs_work *work = container_of(job, struct log_dirs_work, job);
    struct partition_set *set = &request_broker(work->request)->partitions;
    if (work->count)
        qsort(work->partitions, (size_t)work->count, sizeof *work->partitions, partition_order);
    drop_repeats(work);
    describe_log_dirs_response_init(&work->response);
    work->response.results.items =
        describe_log_dirs_response_result_array(&work->request->arena, set->dir_count);
    work->failed |= !work->response.results.items;
    for (int32_t d = 0; !work->failed && d < set->dir_count; d++)
        work->failed = !dir_fill(work, &set->dirs[d],
                                 &work->response.results.items[work->response.results.count++]);
}

static void dirs_done(struct loop *loop, struct pool_job *job)
{
    (void)loop;
    struct log_dirs_work *work = container_of(job, struct log_dirs_work, job);
    work->done = true;
    handle_describe_log_dirs(work->request);
}

static void dirs_cleanup(struct request *request)
{
    struct log_dirs_work *work = request->work;
    for (int32_t i = 0; work && i < work->count; i++)
        partition_unref(work->partitions[i]);
}

enum outcome handle_describe_log_dirs(struct request *request)
{
    const struct describe_log_dirs_request *body = request->body;
    struct log_dirs_work *work = request->work;
    if (!work) {
        request->work = work = arena_alloc(&request->arena, sizeof *work);
        request->cleanup = dirs_cleanup;
        if (!work)
            return request_refuse(request, "out of memory");
        work->request = request;
        work->job.run = dirs_run;
        work->job.done = dirs_done;
        if (body->topics.count < 0)
            partition_set_each(&request_broker(request)->partitions, collect_all, work);
        else
            collect_asked(request, work);
        pool_submit(&request->home->loop, &work->job);
        return PARKED;
    }
    if (!work->done)
        return PARKED;
    return work->failed ? request_refuse(request, "out of memory")
                        : request_answer(request, &work->response);
}
