#include "os/pool.h"

#include "base/must.h"

static void pool_run(struct env_job *env_job)
{
    struct pool_job *job = container_of(env_job, struct pool_job, job);
    job->run(job);
}

/* From the post on, the job belongs to its loop and may be gone. */
static void pool_finish(struct env_job *env_job)
{
    struct pool_job *job = container_of(env_job, struct pool_job, job);
    loop_post(job->loop, &job->finished);
}

static void pool_done(struct loop *loop, struct loop_task *task)
{
    struct pool_job *job = container_of(task, struct pool_job, finished);
    job->done(loop, job);
}

void pool_submit(struct loop *loop, struct pool_job *job)
{
    job->loop = loop;
    job->job.run = pool_run;
    job->job.finish = pool_finish;
    job->finished.run = pool_done;
    env_job_submit(loop->env, &job->job);
}
